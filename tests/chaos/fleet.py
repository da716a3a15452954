"""The workers' processes: started, killed, frozen, started again as a supervisor would; how each ended is counted."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from tests.chaos.worker_process import ORDERS_VARIABLE

ROOT: Final = Path(__file__).resolve().parents[2]
EXIT_HUNG: Final = 70
"""The worker's watchdog, or its way out of a call that hangs, when it had to stop."""
Slot = tuple[str, int]
"""Unit and number."""


@dataclass
class Member:
    """A slot and the process in it."""

    slot: Slot
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    log_path: Path
    frozen: bool = False

    @property
    def name(self) -> str:
        return f"{self.slot[0]}-{self.slot[1]}"

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


@dataclass
class Fleet:
    """All workers of a run. To be used from the main thread: a worker ends with the thread that started it."""

    bootstrap_servers: str
    folder: Path
    orders: dict[str, Any]
    members: dict[Slot, Member] = field(default_factory=dict)
    rivals: dict[Slot, Member] = field(default_factory=dict)
    """Sleepers in whose slot another process works: when they are awake, one of the two must find out and end."""
    starts: int = 0
    client_aborts: int = 0
    """Processes that the client library ended by an assertion of its own (SIGABRT)."""
    hung: int = 0
    ended: list[str] = field(default_factory=list)
    """Workers that ended by themselves, with the end of their log: each is an anomaly."""
    _locks: dict[Slot, Path] = field(default_factory=dict)

    # ---------------------------------------------------------------- starting and ending

    def start(self, *slots: Slot) -> None:
        """Start a worker in each slot that has none."""
        for slot in slots:
            if slot not in self.members:
                self.members[slot] = self._spawn(slot)

    def replace(self, slot: Slot) -> None:
        """Start another process in the slot of one that sleeps, as on another machine, which has locks of its own."""
        self.rivals[slot] = self.members.pop(slot)
        self._locks[slot] = self.folder / f"locks-{self.starts}"
        self.members[slot] = self._spawn(slot)

    def kill(self, *slots: Slot) -> None:
        """kill -9, all at once."""
        gone = [self.members.pop(slot) for slot in slots]
        for member in gone:
            member.process.send_signal(signal.SIGKILL)
        for member in gone:
            member.process.wait(10)
            self._forget(member)

    def stop(self, *slots: Slot, timeout_s: float = 30.0) -> None:
        """SIGTERM, all at once: each finishes its batch."""
        leaving = [self.members.pop(slot) for slot in slots]
        for member in leaving:
            member.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        for member in leaving:
            try:
                code = member.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.ask_where(member)
                self.ended.append(f"{member.name} does not stop within {timeout_s:.0f} s\n{self.tail(member, 40)}")
                member.process.kill()
                code = member.process.wait()
            if code not in (0, -signal.SIGKILL, -signal.SIGTERM):  # by SIGTERM: before it had begun
                self._note_end(member, code)
            self._forget(member)

    def ask_where(self, *members: Member) -> None:
        """Let each write to its log where its threads are."""
        for member in members:
            if member.alive and self._has_begun(member):
                member.process.send_signal(signal.SIGUSR2)
        time.sleep(1.0)

    def close(self) -> None:
        """End whatever still runs."""
        for member in (*self.members.values(), *self.rivals.values()):
            if member.alive:
                member.process.kill()
                member.process.wait(10)
            member.log.close()
        self.members.clear()
        self.rivals.clear()

    def tend(self) -> None:
        """Notice who has ended; start again what a supervisor would."""
        for slot, rival in list(self.rivals.items()):
            member = self.members.get(slot)
            given_way = next((each for each in (rival, member) if each and _has_given_way(each)), None)
            if given_way is not None:
                del self.rivals[slot]
                if given_way is member:
                    self.members[slot] = rival
                given_way.log.close()
        for slot, member in list(self.members.items()):
            code = member.process.poll()
            if code is None:
                continue
            del self.members[slot]
            self._note_end(member, code)
            self._forget(member)
            self.start(slot)

    # ---------------------------------------------------------------- freezing

    def freeze(self, slots: Iterable[Slot]) -> None:
        """SIGSTOP, wherever they are."""
        for slot in slots:
            self.members[slot].process.send_signal(signal.SIGSTOP)
            self.members[slot].frozen = True

    def freeze_in_transaction(self, slots: Iterable[Slot], timeout_s: float = 1.5) -> None:
        """Let each stop itself at the next point inside a transaction; whoever has none is stopped where it is."""
        waiting = [slot for slot in slots if self._has_begun(self.members[slot])]
        for slot in waiting:
            self.members[slot].process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + timeout_s
        while waiting and time.monotonic() < deadline:
            waiting = [slot for slot in waiting if not self._is_stopped(slot)]
            time.sleep(0.01)
        self.freeze(slots)

    def thaw(self) -> None:
        """SIGCONT to all that sleep."""
        for member in (*self.members.values(), *self.rivals.values()):
            member.frozen = False
            if member.alive:  # also one that was stopped before it had begun
                member.process.send_signal(signal.SIGCONT)

    def _has_begun(self, member: Member) -> bool:
        """Whether its signals do what they are meant to."""
        return (self.folder / f"{member.name}.{member.process.pid}.commits").exists()

    def _is_stopped(self, slot: Slot) -> bool:
        try:
            stat = Path(f"/proc/{self.members[slot].process.pid}/stat").read_text(encoding="ascii")
        except FileNotFoundError:
            return True
        return stat.rpartition(")")[2].split()[0] in "TZX"

    # ---------------------------------------------------------------- what they tell

    @property
    def working(self) -> list[Slot]:
        """Slots whose process lives and does not sleep."""
        return [slot for slot, member in self.members.items() if member.alive and not member.frozen]

    def committed(self) -> int:
        """Transactions committed since the fleet's first start, by every process there was, as far as is known."""
        raws = (path.read_bytes() for path in self.folder.glob("*.commits"))
        return sum(struct.unpack(">q", raw)[0] for raw in raws if len(raw) == 8)

    def faults(self) -> Counter[str]:
        """Faults the workers made themselves, by point."""
        found: Counter[str] = Counter()
        for path in self.folder.glob("*.faults"):
            found.update(path.read_text(encoding="ascii").split())
        return found

    def events(self) -> list[tuple[float, str, str]]:
        """Time (this machine's monotonic seconds), slot, what."""
        found = []
        for path in self.folder.glob("*.events"):
            for line in path.read_text(encoding="ascii").splitlines():
                row = json.loads(line)
                found.append((float(row["at"]), path.stem, str(row["what"])))
        return sorted(found)

    def be_quiet(self) -> None:
        """No more faults from inside."""
        (self.folder / "quiet").touch()

    def tail(self, member: Member, lines: int = 12) -> str:
        return "\n".join(f"    {line[:400]}" for line in _said(member).splitlines()[-lines:])

    # ---------------------------------------------------------------- inside

    def _spawn(self, slot: Slot) -> Member:
        self.starts += 1
        locks = self._locks.setdefault(slot, self.folder / "locks")
        log_path = self.folder / f"{slot[0]}-{slot[1]}.{self.starts}.log"
        log = log_path.open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.worker_process", self.bootstrap_servers, slot[0], str(slot[1]),
             str(self.folder)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "PIPELINE_COMMIT": "chaos", ORDERS_VARIABLE: json.dumps(self.orders),
                 "CHAOS_LOCKS": str(locks)},
        )  # fmt: skip
        return Member(slot, process, log, log_path)

    def _note_end(self, member: Member, code: int) -> None:
        if code == -signal.SIGABRT:
            self.client_aborts += 1
        elif code == EXIT_HUNG:
            self.hung += 1
        else:
            self.ended.append(f"{member.name} ended by itself, exit code {code}\n{self.tail(member)}")

    def _forget(self, member: Member) -> None:
        member.log.close()


def _said(member: Member) -> str:
    return member.log_path.read_text(encoding="utf-8", errors="replace")


def _has_given_way(member: Member) -> bool:
    """Ended because another process has its slot. Whoever of the two joined last stays: that may be the sleeper."""
    return member.process.poll() == 1 and "another process has taken this slot" in _said(member)[-2000:]
