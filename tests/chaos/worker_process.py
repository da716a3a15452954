"""A worker of the sample stages with faults inside.

    python -m tests.chaos.worker_process BOOTSTRAP UNIT SLOT FOLDER

The worker is the real one; only the clients it is given misbehave. What to do stands in the variable CHAOS, as JSON;
what was done is appended to files in FOLDER, so that it outlives a kill -9:

    <slot>.faults           a line for each fault, before it happens
    <slot>.events           restores and joins, with their times
    <slot>.<pid>.commits    eight bytes: transactions this process has committed

SIGUSR1: sleep (SIGSTOP) at the next point inside a transaction. SIGUSR2: say where each thread is. A file ``quiet`` in
FOLDER ends all faults.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.kafka.clients import Kafka, Settings
from pipeline.runtime.process import run_unit
from pipeline.runtime.worker.worker import Deployment
from tests.broker.worker_process import FLOW, UNITS

ORDERS_VARIABLE: Final = "CHAOS"
ABORTING: Final = ("produce", "flush", "offsets")
"""Points at which a transaction is aborted: among its records, after all of them, after its offsets."""
UNKNOWN: Final = ("commit-not-sent", "commit-not-answered")
"""The outcome is not known: it was not committed; it was."""


class Trace:
    """What this process has done, in files."""

    def __init__(self, slot: str, folder: Path, orders: dict[str, Any]) -> None:
        self.session_s = float(orders.get("session_s", 10.0))
        self.transaction_s = float(orders.get("transaction_s", 5.0))
        self.restore_s = float(orders.get("restore_s", 0.0))
        self._chances: dict[str, float] = orders.get("points", {})
        self._chance = random.Random(f"{orders.get('seed')}/{slot}/{os.getpid()}")
        self._quiet = folder / "quiet"
        flags = os.O_CREAT | os.O_WRONLY
        self._faults = os.open(folder / f"{slot}.faults", flags | os.O_APPEND)
        self._events = os.open(folder / f"{slot}.events", flags | os.O_APPEND)
        self._commits = os.open(folder / f"{slot}.{os.getpid()}.commits", flags)
        self._count = 0
        self._sleep_at: str | None = None
        signal.signal(signal.SIGUSR1, self._sleep_soon)
        signal.signal(signal.SIGCONT, self._wake)
        self.committed(0)

    def _sleep_soon(self, _signal: int, _frame: object) -> None:
        self._sleep_at = self._chance.choice((*ABORTING, *UNKNOWN))

    def _wake(self, _signal: int, _frame: object) -> None:
        self._sleep_at = None  # it may have been stopped elsewhere, before it came to its point

    def committed(self, more: int = 1) -> None:
        self._count += more
        os.pwrite(self._commits, struct.pack(">q", self._count), 0)

    def event(self, what: str) -> None:
        os.write(self._events, f"{json.dumps({'what': what, 'at': time.monotonic()})}\n".encode())

    def fault(self, point: str, rows: int = 1) -> bool:
        """Whether a fault is due at ``point``; ``rows``: one of so many such moments in a transaction. May sleep."""
        if self._sleep_at == point:
            self._sleep_at = None
            os.write(self._faults, f"asleep-{point}\n".encode())
            os.kill(os.getpid(), signal.SIGSTOP)
        if self._chance.random() * rows >= self._chances.get(point, 0.0) or self._quiet.exists():
            return False
        os.write(self._faults, f"{point}\n".encode())
        return True

    @property
    def quiet(self) -> bool:
        return self._quiet.exists()


class FaultyKafka(Kafka):
    """Kafka's clients, with short timeouts and with faults at points inside a transaction."""

    def __init__(self, bootstrap_servers: str, trace: Trace) -> None:
        super().__init__(bootstrap_servers)
        self._trace = trace

    def consumer(self, settings: Settings) -> Consumer:
        if "group.instance.id" in settings:
            self._trace.event("join")
            return super().consumer({**settings, "reconnect.backoff.max.ms": 1000})
        if self._trace.restore_s and settings["isolation.level"] == "read_committed" and not self._trace.quiet:
            return SlowConsumer({**settings, "bootstrap.servers": self.bootstrap_servers, "log_level": 0}, self._trace)
        return super().consumer(settings)

    def producer(self, settings: Settings) -> Producer:
        timeout_ms = int(self._trace.transaction_s * 1000)
        return FaultyProducer(
            {**settings, "bootstrap.servers": self.bootstrap_servers, "transaction.timeout.ms": timeout_ms,
             "reconnect.backoff.max.ms": 1000, "log_level": 0, "error_cb": lambda error: None},
            self._trace,
        )  # fmt: skip


class FaultyProducer(Producer):
    """A producer whose transactions fail now and then."""

    def __init__(self, settings: Settings, trace: Trace) -> None:
        super().__init__(settings)
        self._trace = trace
        self._rows = 20.0
        self._row = 0

    def begin_transaction(self) -> None:
        self._rows = max(1.0, 0.9 * self._rows + 0.1 * self._row)
        self._row = 0
        super().begin_transaction()

    def produce(self, *arguments: Any, **named: Any) -> None:
        super().produce(*arguments, **named)
        self._row += 1
        if self._trace.fault("produce", int(self._rows)):
            # On its way to the broker, not only in the client: an abort has something to take back.
            super().flush(0.05)
            raise _abortable()

    def flush(self, *arguments: Any, **named: Any) -> int:
        left = super().flush(*arguments, **named)
        if self._trace.fault("flush"):
            raise _abortable()
        return left

    def send_offsets_to_transaction(self, *arguments: Any, **named: Any) -> None:
        super().send_offsets_to_transaction(*arguments, **named)
        if self._trace.fault("offsets"):
            raise _abortable()

    def commit_transaction(self, *arguments: Any, **named: Any) -> None:
        if self._trace.fault("commit-not-sent"):
            raise _unknown()
        super().commit_transaction(*arguments, **named)
        self._trace.committed()
        if self._trace.fault("commit-not-answered"):
            raise _unknown()


class SlowConsumer(Consumer):
    """Reads a changelog slowly: a trickle for most of ``restore_s``, then the rest."""

    def __init__(self, settings: Settings, trace: Trace) -> None:
        super().__init__(settings)
        self._trace = trace
        self._fast_from = time.monotonic() + trace.restore_s
        trace.event("restore-begins")

    def consume(self, num_messages: int = 1, timeout: float = -1) -> Any:
        if time.monotonic() < self._fast_from:
            time.sleep(0.05)
            return super().consume(10, timeout)
        return super().consume(num_messages, timeout)

    def close(self) -> None:
        super().close()
        self._trace.event("restore-ends")


def _abortable() -> KafkaException:
    return KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE, "a fault of the test", txn_requires_abort=True))


def _unknown() -> KafkaException:
    return KafkaException(KafkaError(KafkaError._TIMED_OUT, "a fault of the test: no answer"))


def die_with_parent() -> None:
    """End with the process that started this one, however that ends. (Its main thread must have started it.)"""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main(bootstrap_servers: str, unit: str, slot: int, folder: Path) -> int:
    die_with_parent()
    faulthandler.register(signal.SIGUSR2)
    name = f"{unit}-{slot}"
    trace = Trace(name, folder, json.loads(os.environ.get(ORDERS_VARIABLE, "{}")))
    stages = [stage for stage in FLOW if stage.name in UNITS[unit]]
    locks = Path(os.environ.get("CHAOS_LOCKS", str(folder / "locks")))
    deployment = Deployment(FaultyKafka(bootstrap_servers, trace), locks, FLOW, UNITS, session_s=trace.session_s)

    def say(text: str) -> None:
        print(f"{time.monotonic():.3f} {text}", flush=True)

    return run_unit(unit, stages, deployment, Codec(LocalIds()), slot=slot, say=say)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
