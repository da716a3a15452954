"""The code's commit and version, its lock file's hash, interpreter and machine: for epoch records, seals, metrics."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from pipeline import __version__

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_CHECKOUT: Final = _PACKAGE.parent
_BUILT_FROM: Final = _PACKAGE / "COMMIT"
"""Written by setup.py into a wheel, and only there."""
COMMIT_VARIABLE: Final = "PIPELINE_COMMIT"
UNKNOWN: Final = "unknown"


@cache
def commit() -> str:
    """The code's commit: from PIPELINE_COMMIT, else as the wheel was built, else from git, else ``unknown``.

    ``+changes`` after it: files differed from that commit.
    """
    given = os.environ.get(COMMIT_VARIABLE)
    if given:
        return given
    if _BUILT_FROM.exists():
        # Git is not asked then: an installed package may lie inside somebody else's checkout.
        return _BUILT_FROM.read_text(encoding="utf-8").strip() or UNKNOWN
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head}+changes" if _git("status", "--porcelain", "--", "pipeline", "schemas") else head
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN


@cache
def code() -> str:
    """Commit and version, as the journal and a seal name the code: ``6043585… (0.1.0)``; the commit is its first word.

    The audit compares the whole text, so code of an unknown commit is still told apart by its version.
    """
    return f"{commit()} ({__version__})"


@cache
def lock_hash() -> str:
    """SHA-256 of the dependency lock; empty without one: a wheel's dependencies are what its installer chose."""
    if _BUILT_FROM.exists():
        return ""
    try:
        return hashlib.sha256((_CHECKOUT / "requirements.lock").read_bytes()).hexdigest()
    except OSError:
        return ""


@cache
def python() -> str:
    """Interpreter and machine."""
    return f"{platform.python_implementation()} {platform.python_version()} {platform.system()} {platform.machine()}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_CHECKOUT, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
