"""The defects, as exact replacements in the worker's source, and the test that must find each.

A text that is no longer in the source, or is there twice, fails the command: then adapt the defect to the new source,
or write another of the same meaning.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Defect(NamedTuple):
    """One mutant. ``edits``: file under `pipeline/`, text, its replacement. ``found_by``: a test, or "seeds"."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    found_by: str = "seeds"


WORKER: Final = "runtime/worker/worker.py"
TRANSACTION: Final = "runtime/worker/transaction.py"
TASK: Final = "runtime/worker/task.py"
TASK_GROUP: Final = "runtime/worker/task_group.py"
ASSIGNMENT: Final = "runtime/worker/assignment.py"
RESTORE: Final = "runtime/worker/restore.py"
MERGE: Final = "runtime/worker/merge.py"
STAGE: Final = "state.py"

DEFECTS: Final = (
    Defect(
        "offsets committed before the outputs, in a transaction of their own",
        ((TRANSACTION, "            self._call(producer.begin_transaction)\n",
          "            self._call(producer.begin_transaction)\n"
          "            self._call(self._send_offsets, producer, offsets, group)\n"
          "            self._call(producer.commit_transaction, -1)\n"
          "            self._call(producer.begin_transaction)\n"),),
    ),
    Defect(
        "outputs committed before the offsets, in a transaction of their own",
        ((TRANSACTION, "            self._call(self._send_offsets, producer, offsets, group)\n",
          "            self._call(producer.commit_transaction, -1)\n"
          "            self._call(producer.begin_transaction)\n"
          "            self._call(self._send_offsets, producer, offsets, group)\n"),),
    ),
    Defect(
        "offsets not sent in the transaction",
        ((TRANSACTION, "            self._call(self._send_offsets, producer, offsets, group)\n", ""),),
    ),
    Defect(
        "no rewind after an abort: reading goes on where it was",
        ((WORKER, "        consumer.assign(assign)\n",
          "        here, self._here = getattr(self, '_here', 0), self._assignment_epoch\n"
          "        if here != self._here:\n"
          "            consumer.assign(assign)\n"),),
    ),
    Defect(
        "state kept after an abort",
        ((WORKER, "        except Aborted as error:\n            self._drop()\n",
          "        except Aborted as error:\n"),),
    ),
    Defect(
        "state kept after an indefinite outcome",
        ((WORKER, "        except Indefinite as error:\n            self._drop()\n",
          "        except Indefinite as error:\n            self._transactions.open()\n"),),
    ),
    Defect(
        "the same producer goes on after an indefinite outcome",
        ((WORKER, "        if self._restored_before:\n", "        if False:\n"),),
    ),
    Defect(
        "lost partitions are not given up",
        ((WORKER, "                on_lost=self._on_lost,\n", "                on_lost=lambda *_: None,\n"),),
        "tests/simulated/test_worker.py",
    ),
    Defect(
        "records fetched for an earlier assignment are kept in the merge",
        ((WORKER, "        self._merges.clear()\n", ""),
         (WORKER, "            self._merges[partition] = Merge(", "            self._merges[partition] = "
          "self._merges.get(partition) or Merge(")),
    ),
    Defect(
        "the worker never hears that another has its slot",
        ((WORKER, "            if error is not None and (error.fatal() or error.code() in _FENCED):",
          "            if False:"),
         (WORKER, "            if error.slot_taken:", "            if False:")),
    ),
    Defect(
        "what a stale worker cannot apply is called poison",
        ((WORKER, "                if not self._overtaken(consumer):\n", "                if True:\n"),),
        "tests/simulated/test_worker.py",
    ),
    Defect(
        "the flush of a fenced producer raises through the worker",
        ((TRANSACTION,
          "                left = producer.flush(self._timeout_s)\n            except KafkaException",
          "                left = producer.flush(self._timeout_s)\n            except ZeroDivisionError"),),
    ),
    Defect(
        "a refused record is sent once more",
        ((TRANSACTION, "            except BufferError:\n", "            except (BufferError, KafkaException):\n"),),
        "tests/unit/runtime/worker/test_transaction.py",
    ),
    Defect(
        "a log is read on while another one's end is awaited",
        ((RESTORE, "                    if not over or", "                    if True or"),),
        "tests/unit/runtime/worker/test_restore.py",
    ),
    Defect(
        "restored to the last stable offset",
        ((RESTORE, '"isolation.level": "read_uncommitted"', '"isolation.level": "read_committed"'),),
        "tests/simulated/test_worker.py",
    ),
    Defect(
        "restored from uncommitted records",
        ((RESTORE, '    consumer = context.kafka.consumer({**_SETTINGS, "isolation.level": "read_committed"})',
          '    consumer = context.kafka.consumer({**_SETTINGS, "isolation.level": "read_uncommitted"})'),),
    ),
    Defect(
        "inputs read uncommitted",
        ((WORKER, '"isolation.level": "read_committed"', '"isolation.level": "read_uncommitted"'),),
    ),
    Defect(
        "a changelog that another is still writing is taken for a foreign one",
        ((ASSIGNMENT, "        if committed != before:\n", "        if False:\n"),),
    ),
    Defect(
        "the journal names the offset after the one it read",
        ((TASK, "offset=message.offset, writer=writer", "offset=message.offset + 1, writer=writer"),),
    ),
    Defect(
        "the journal counts one record too few in a run",
        ((TASK, "            runs.append([name, 1])\n", "            runs.append([name, 0])\n"),),
    ),
    Defect(
        "a changed entry is written only when it is new",
        ((STAGE, "        self._rows[key] = value\n        self._dirty[key] = None\n",
          "        if key not in self._rows:\n            self._dirty[key] = None\n"
          "        self._rows[key] = value\n"),),
    ),
    Defect(
        "the state is iterated in the order of insertion",
        ((STAGE, "        return sorted(self._rows)\n", "        return list(self._rows)\n"),),
    ),
    Defect(
        "_meta is not written",
        ((TASK, "            changelog.append((META_KEY,", "            len((META_KEY,"),),
    ),
    Defect(
        "_meta is written one transaction late",
        ((TASK, "            changelog.append((META_KEY, self.meta()))\n",
          "            late, self.late = getattr(self, 'late', b''), self.meta()\n"
          "            changelog.append((META_KEY, late or self.late))\n"),),
    ),
    Defect(
        "repeated numbers are applied again: told apart by offset only",
        ((TASK, "        if seq <= last:\n            return False\n",
          "        if seq <= last:\n            return True\n"),),
    ),
    Defect(
        "a gap in a writer's numbers is passed over",
        ((TASK, "            if missing > unread:\n", "            if False:\n"),),
        "tests/unit/runtime/memory/test_host.py",
    ),
    Defect(
        "read on from where the furthest of the readers stands",
        ((TASK_GROUP, "found[topic.name] = min(", "found[topic.name] = max("),),
        "tests/unit/runtime/worker/test_task_group.py",
    ),
    Defect(
        "what an earlier deployment left on inner topics is not taken over",
        ((ASSIGNMENT, "        if not behind:\n            return []\n",
          "        if behind or True:\n            return []\n"),),
    ),
    Defect(
        "what is taken over is read from the furthest of the readers",
        ((ASSIGNMENT, "            starts[name, task_group.partition] = min(offsets)",
          "            starts[name, task_group.partition] = max(offsets) + 1"),),
    ),
    Defect(
        "a SKIP drops the record without a word",
        ((TASK, "                return self._dead_letter(message, DeadLetterReason.SKIPPED_BY_DESK, skip)",
          "                return []"),),
        "tests/unit/runtime/memory/test_host.py",
    ),
    Defect(
        "a tick passes what has not been read yet",
        ((MERGE, "                if each.at_end_since_ns is None:\n                    return None\n", ""),
         (MERGE, "                if now_ns - max(each.at_end_since_ns, self._tick_since_ns) < self._grace_ns:\n"
          "                    return None\n", "                pass\n")),
        "tests/unit/runtime/worker/test_merge.py",
    ),
)  # fmt: skip
