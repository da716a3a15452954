"""The same inputs in the same recorded order give the same bytes and state hashes, whatever the host does meanwhile.

Everything here is a day of the whole flow, all stages, from one seed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import topology
from pipeline.domain.audit import JournalEntry, JournalKind
from pipeline.runtime.auditing.verify import audit, recording_of
from pipeline.runtime.worker.migration import StateMismatch
from tests import recordings
from tests.recordings import (
    APART,
    ARRANGEMENTS,
    IDS,
    TOGETHER,
    UNITS,
    audited,
    host_of,
    image,
    plain_day,
    plain_day_of,
    small,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_seeds_day_is_replayed_to_the_byte_twice(seed: int) -> None:
    host = plain_day(seed)
    done = audited(host, runs=2)
    assert done.verified, done.text()
    written = {name: sum(task.outputs for task in done.tasks if task.stage == name) for name in recordings.NAMES}
    assert all(written.values()), f"a day in which every stage has something to do: {written}"
    assert image(host) != image(plain_day())


@pytest.mark.parametrize(
    ("share", "units"), [(1.0, "units"), (0.3, "apart"), (0.3, "together"), (0.02, "units"), (0.02, "together")]
)
def test_wherever_transactions_end_no_byte_and_no_state_changes(share: float, units: str) -> None:
    chance = random.Random(f"{share} {units}")
    plain = plain_day_of(units)
    host = host_of(small(), ARRANGEMENTS[units], boundary=lambda: chance.random() < share)
    host.run()
    host.commit()
    assert image(host) == image(plain)
    assert host.state_digest() == plain.state_digest()
    entries = [len(each.records(JournalEntry)) for each in (plain, host)]
    assert entries[1] > 2 * entries[0]
    ours, theirs = audited(host), audited(plain)
    assert ours.verified and theirs.verified, ours.text() + theirs.text()
    assert ours.digests == theirs.digests


@pytest.mark.parametrize("seed", range(3))
def test_cut_anywhere_and_restored_from_the_changelog_so_far_it_goes_on_the_same(seed: int) -> None:
    chance = random.Random(seed)
    host = host_of(small())
    host.commit()
    crashes, left = 0, len(host._outside)
    while left > 0:
        some = chance.randint(1, 200)
        host.run(some)
        left -= some
        what = chance.random()
        if what < 0.5:
            host.commit()
        elif what < 0.8:
            # All since the last commit is lost, topics too, and done again.
            crashes += 1
            host.crash()
            left = len(host._outside)
    host.commit()
    assert crashes >= 3, "a test of crashes has some"
    assert image(host) == image(plain_day())
    assert host.state_digest() == plain_day().state_digest()
    done = audited(host)
    assert done.verified, done.text()
    starts = [e for e in host.records(JournalEntry) if e.kind is JournalKind.EPOCH]
    assert len(starts) >= 3 * recordings.P * len(topology.STAGES), "a start that is itself lost leaves no entry"
    assert all(entry.state_hash for entry in starts), "each was compared with the replay's state at that moment"


@pytest.mark.parametrize("units", ["units", "together"])
def test_a_restore_forced_before_any_input_changes_no_byte(units: str) -> None:
    """The host compares the state restored with the one lost, each time; the restored one decides what follows."""
    chance = random.Random(units)
    host = host_of(
        small(), ARRANGEMENTS[units], boundary=lambda: chance.random() < 0.1, lost=lambda: chance.random() < 0.3
    )
    host.run()
    host.commit()
    assert host.losses > 80
    plain = plain_day_of(units)
    assert image(host) == image(plain)
    assert host.state_digest() == plain.state_digest()
    done = audited(host)
    assert done.verified, done.text()


def test_units_moved_apart_and_together_in_the_middle_of_the_day_lose_no_place() -> None:
    host = host_of(small())
    for units in (APART, TOGETHER, UNITS, TOGETHER, APART, UNITS):
        host.run(len(host._outside) // 3 + 1)
        host.move(units)
    host.run()
    host.commit()
    assert not host._outside
    done = audited(host, runs=2)
    assert done.verified, done.text()
    starts = {start.offset == -1 for entry in host.records(JournalEntry) for start in entry.starts}
    assert starts == {True, False}, "inputs were read from topics, and handed on in memory"


def test_one_process_or_several_replay_the_same() -> None:
    here = recording_of(plain_day(), IDS)
    one, several = (audit(here, topology.STAGES, lambda _: None, processes=count) for count in (1, 2))
    assert one.verified and several.verified
    assert one.digests == several.digests and one.heads == several.heads


MACHINES = {
    "other hashes, fourteen hours ahead": {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"},
    "half an hour behind, no FMA, no AVX2": {
        "PYTHONHASHSEED": "4711",
        "TZ": "America/St_Johns",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2",
    },
}
_DIGESTS = """
import hashlib, json, time
from tests.recordings import audited, image, plain_day
host = plain_day()
done = audited(host)
written = hashlib.sha256(repr(sorted(image(host).items())).encode()).hexdigest()
here = time.tzname, hash("a")
print(json.dumps([written, host.state_digest(), done.verified, list(done.digests), done.heads, *here]))
"""


def digests(env: dict[str, str]) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-c", _DIGESTS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: list[object] = json.loads(done.stdout)
    return found


def test_hash_seeds_time_zones_and_instruction_sets_change_no_byte() -> None:
    """The day is recorded and replayed anew in a process of each kind: bytes, states and journal heads are equal."""
    found = [digests(env) for env in ({"PYTHONHASHSEED": "0", "TZ": "UTC"}, *MACHINES.values())]
    assert len({json.dumps(each[-2:]) for each in found}) == len(found), "the machines do differ"
    assert [each[2] for each in found] == [True] * len(found)
    assert found[0][:-2] == found[1][:-2] == found[2][:-2]


def test_a_changelog_tampered_with_is_found_at_the_next_start() -> None:
    """No record on any topic is altered, but the state that was restored is not the one its inputs made."""
    host = host_of(small())
    host.run(len(host._outside) // 2)
    host.commit()
    rows = host.changelogs["analytics", 0]
    one, other = sorted(key for key in rows if key.startswith(b"instruments/"))[:2]
    assert rows[one] != rows[other]
    rows[one] = rows[other]
    host.crash()
    host.commit()
    done = audited(host)
    assert {(f.writer, f.field) for f in done.findings} >= {("analytics/0", "state_hash")}, done.text()


def test_a_changelog_that_lost_an_entry_is_refused_at_the_next_start() -> None:
    host = host_of(small())
    host.run(len(host._outside) // 2)
    host.commit()
    del host.changelogs["analytics", 0][b"instruments/SIMX"]
    with pytest.raises(StateMismatch, match="the changelog is not whole"):
        host.crash()
