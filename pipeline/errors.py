"""Errors a user may meet, as one tree. Each says what happened, where, and what to do; the class fixes the exit code.

PipelineError                  1   a check found something, or the run could not be completed
├── WrongUse                   2   the command line, a file or a setting is not as it must be
└── PlatformError              3   a component is not there
    ├── Unreachable                nobody answers at a given address
    ├── AccessRefused              somebody answers, and does not let us in or is not who it should be
    ├── PortTaken                  another process listens on the port we were given
    ├── DiskFull                   no room for the broker's data or for the files to fetch
    ├── ComponentDied              a child process of ours ended by itself
    └── ArtifactsMissing           the broker's or registry's files can neither be found nor fetched
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

EXIT_GOOD = 0
EXIT_FOUND = 1
EXIT_WRONG_USE = 2
EXIT_UNREACHABLE = 3


class PipelineError(Exception):
    """Base of everything we raise on purpose; `str(error)` is fit to be shown to a user."""

    exit_code: ClassVar[int] = EXIT_FOUND


class WrongUse(PipelineError):
    """A command, a file or a setting is not as it must be."""

    exit_code = EXIT_WRONG_USE


class PlatformError(PipelineError):
    """A component the pipeline needs is not there."""

    exit_code = EXIT_UNREACHABLE


class Unreachable(PlatformError):
    """Nobody answers as `component` at `address`."""

    def __init__(self, component: str, address: str, what_to_do: str) -> None:
        super().__init__(f"{component} is not reachable at {address}. {what_to_do}")
        self.component = component
        self.address = address
        self.what_to_do = what_to_do


class AccessRefused(PlatformError):
    """`component` at `address` does not let us in, or its certificate is not one we trust; `why` is the client's word.

    Waiting does not help: a person must correct what `what_to_do` names.
    """

    def __init__(self, component: str, address: str, why: str, what_to_do: str) -> None:
        super().__init__(f"{component} at {address}: no access: {why}. {what_to_do}")
        self.component = component
        self.address = address
        self.what_to_do = what_to_do


class PortTaken(PlatformError):
    """`component` cannot listen on `port` (of 127.0.0.1): another process does."""

    def __init__(self, component: str, port: int) -> None:
        super().__init__(
            f"{component} cannot listen on 127.0.0.1:{port}: the port is taken by another process. "
            f"End that process, or choose another port (0 = any free one)."
        )
        self.component = component
        self.port = port


class DiskFull(PlatformError):
    """There is no room at `path`; sizes in bytes, `free_bytes` None when only the failure is known."""

    def __init__(self, what: str, path: Path, needed_bytes: int | None = None, free_bytes: int | None = None) -> None:
        sizes = ""
        if needed_bytes is not None and free_bytes is not None:
            sizes = f" ({_mib(free_bytes)} MiB free, {_mib(needed_bytes)} MiB needed)"
        super().__init__(f"Disk full: no room for {what} at {path}{sizes}. Free some space, or point TMPDIR / "
                         f"XDG_CACHE_HOME to a larger disk.")  # fmt: skip
        self.path = path


class ComponentDied(PlatformError):
    """A child process of ours ended by itself; the message shows the end of its log."""

    def __init__(self, component: str, status: str, log_path: Path, log_tail: str) -> None:
        tail = "\n".join(f"    {line}" for line in log_tail.splitlines()) or "    (the log is empty)"
        super().__init__(f"{component} ended by itself ({status}). Its log, {log_path}, ends with:\n{tail}")
        self.component = component
        self.log_path = log_path


class ArtifactsMissing(PlatformError):
    """Files of the embedded platform can neither be found in the cache nor fetched."""

    def __init__(self, problem: str, cache: Path) -> None:
        super().__init__(
            f"{problem}\n"
            f"The embedded broker and registry are fetched once into {cache}. What to do: connect this machine to the "
            f"network and run the command again; or copy that folder from a machine that has it; or start your own "
            f"and set KAFKA_BOOTSTRAP_SERVERS and SCHEMA_REGISTRY_URL. Behind a mirror, set PIPELINE_ARTIFACTS_MIRROR "
            f"to its address."
        )
        self.cache = cache


def _mib(size_bytes: int) -> int:
    return size_bytes // (1 << 20)
