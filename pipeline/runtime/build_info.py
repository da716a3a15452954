"""The code's commit, the hash of its lock file, interpreter and machine: what an epoch record says of them."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
COMMIT_VARIABLE: Final = "PIPELINE_COMMIT"


@cache
def commit() -> str:
    """The code's commit: from PIPELINE_COMMIT, else from git (with ``+changes`` when files differ from it)."""
    given = os.environ.get(COMMIT_VARIABLE)
    if given:
        return given
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head}+changes" if _git("status", "--porcelain", "--", "pipeline", "schemas") else head
    except (OSError, subprocess.SubprocessError):
        return "unknown"


@cache
def lock_hash() -> str:
    """SHA-256 of the dependency lock; empty when it is not there."""
    try:
        return hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()
    except OSError:
        return ""


@cache
def python() -> str:
    """Interpreter and machine."""
    return f"{platform.python_implementation()} {platform.python_version()} {platform.system()} {platform.machine()}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
