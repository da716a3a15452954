"""CPU seconds and peak memory of processes, watched from outside while they work."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

EVERY_S = 0.05


class Watch:
    """Samples processes by name until it is left. Times are seconds since 1970, as brokers' append times are."""

    def __init__(self, **pids: int) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._cpu: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}
        self._peak_kib: dict[str, int] = dict.fromkeys(pids, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._sample()

    def add(self, name: str, pid: int) -> None:
        """One more process, from now on."""
        self._cpu[name] = []
        self._peak_kib[name] = 0
        self._processes = {**self._processes, name: psutil.Process(pid)}

    def cpu_s(self, name: str, begin_s: float = 0.0, end_s: float = float("inf")) -> float:
        """CPU seconds used between two moments (s since 1970), as far as samples go."""
        samples = self._cpu[name]
        if not samples:
            return 0.0
        return _at(samples, min(end_s, samples[-1][0])) - _at(samples, max(begin_s, samples[0][0]))

    def peak_mb(self, name: str) -> float:
        """Largest resident size since the process began, in 10**6 bytes."""
        return self._peak_kib[name] * 1024 / 1e6

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            self._sample()

    def _sample(self) -> None:
        for name, process in self._processes.items():
            try:
                now, times = time.time(), process.cpu_times()
                self._cpu[name].append((now, times.user + times.system))
                self._peak_kib[name] = max(self._peak_kib[name], peak_kib(process.pid))
            except (psutil.Error, OSError):
                continue  # it has ended: what was seen of it stays


def peak_kib(pid: int) -> int:
    """Peak resident size of a process (VmHWM), KiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def resident_bytes() -> int:
    """Resident size of this process now, bytes."""
    return int(psutil.Process().memory_info().rss)


def _at(samples: list[tuple[float, float]], when_s: float) -> float:
    """The counter at a moment, between two samples by proportion."""
    before = samples[0]
    for sample in samples:
        if sample[0] >= when_s:
            if sample[0] == before[0]:
                return sample[1]
            return before[1] + (sample[1] - before[1]) * (when_s - before[0]) / (sample[0] - before[0])
        before = sample
    return before[1]
