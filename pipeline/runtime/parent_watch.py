"""Run one command that ends when the process that asked for it ends, even by kill -9.

    python -I -S parent_watch.py PARENT_PID PID_FILE SCRATCH_DIR COMMAND…      (SCRATCH_DIR may be empty)

Why a process of its own: the kernel's parent-death signal is tied to the *thread* that forked, so a broker started by
a thread would die with that thread; and a hook between fork and exec is unsafe in a program with threads. This process
has one thread and watches its parent's pid instead; the command carries the parent-death signal of this process, so
killing this one with -9 ends the command too. Uses the standard library only, to start fast.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from types import FrameType

_POLL_S = 0.25
_GRACE_S = 5.0
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run the command; the exit code is the command's, or 128 + the signal that ended it."""
    parent, pid_file, scratch, command = int(arguments[0]), arguments[1], arguments[2], arguments[3:]
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def die_with_watch() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _frame: FrameType | None) -> None:
        if child is not None:
            child.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to decide about
    # One thread, so the hook before exec is safe here.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_watch)
    aside = f"{pid_file}.new"
    with open(aside, "w", encoding="ascii") as handle:
        handle.write(str(child.pid))
    os.replace(aside, pid_file)

    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(timeout=_POLL_S)
            return code if code >= 0 else 128 - code
        if os.getppid() != parent:
            child.terminate()
            try:
                child.wait(timeout=_GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if scratch:
                shutil.rmtree(scratch, ignore_errors=True)
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
