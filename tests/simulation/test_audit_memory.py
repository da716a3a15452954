"""An audit's memory does not grow with the day: topics are read as streams, whatever their length."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pipeline.runtime.auditing.topic_copy import TopicCopy
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.memory.host import MemoryHost
from tests.sample_stages import Adder, Repeater, print_of, tick_of

ROOT = Path(__file__).resolve().parents[2]
FLOW = (Adder(), Repeater())
_AUDIT = """
import pickle, sys
from pipeline.audit.recorded import Log
from pipeline.runtime.auditing.seal import seal_recording
from pipeline.runtime.auditing.verify import Recording, audit
from pipeline.runtime.contracts.codec import LocalIds
from tests.simulation.test_audit_memory import FLOW
log, names, count = pickle.load(open(sys.argv[1], "rb"))
recording = Recording(log, LocalIds(), "files", 1, names, count, {})
done = audit(recording, FLOW, lambda _: None, processes=1, seals=[seal_recording(recording, "now")])
assert done.verified, done.text()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def copied_log(folder: Path, prints: int) -> int:
    """A day of so many prints of 2 kB each in many transactions, as a cluster's copy lies in files; its bytes."""
    count = 0

    def every_tenth() -> bool:
        nonlocal count
        count += 1
        return count % 10 == 0

    host = MemoryHost(FLOW, 1, Codec(LocalIds()), units=[["adder", "repeater"]], boundary=every_tenth)
    for number in range(1, prints + 1):
        made = print_of(f"I{number % 7}", number)
        host.publish(msgspec.structs.replace(made, conditions=(f"{number}" * 500,)), number)
        if number % 500 == 0:
            host.publish(tick_of(number), number)
    host.run()
    host.commit()
    folder.mkdir()
    copied = TopicCopy(folder)
    for (topic, partition), records in host.topics.items():
        for stored in records:
            copied.take(topic, partition, stored.offset, stored.append_ns, stored.key, stored.value)
    names = tuple(sorted({name for name, _ in host.topics}))
    (folder / "log").write_bytes(pickle.dumps((copied.close(), names, copied.total)))
    return sum(path.stat().st_size for path in folder.iterdir())


def peak_kb(folder: Path) -> int:
    """The audit's largest resident size, in a process of its own (ru_maxrss would begin with its parent's)."""
    done = subprocess.run(
        [sys.executable, "-c", _AUDIT, str(folder / "log")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the largest resident size is read from /proc")
def test_an_audit_of_four_times_the_records_takes_no_more_memory(tmp_path: Path) -> None:
    one, four = (copied_log(tmp_path / f"{prints}", prints) for prints in (2_500, 10_000))
    assert four - one > 15_000_000
    grown = peak_kb(tmp_path / "10000") - peak_kb(tmp_path / "2500")
    assert grown * 1024 < (four - one) // 8, f"{grown} kB more for {(four - one) // 1024} kB more on the topics"
