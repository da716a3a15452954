"""`pipeline audit` and `pipeline tca`: with the deployment's own flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.commands.running import deployed_flow
from pipeline.runtime.auditing import lineage as audit_lineage
from pipeline.runtime.auditing import seal as audit_seal
from pipeline.runtime.auditing import verify as audit_verify
from pipeline.runtime.settings import Settings

Say = Callable[[str], None]


def verify(settings: Settings, seals: Sequence[Path] = (), say: Say = print) -> int:
    """Replay every decision from the topics, and check them against seals; the exit code. Raises WrongUse."""
    return audit_verify.verify(settings, say, stages=deployed_flow(), seals=audit_seal.load(seals))


def seal(settings: Settings, path: Path, after: Path | None = None, say: Say = print) -> int:
    """Write a seal of what the topics hold now; the exit code. Raises WrongUse, PlatformError."""
    return audit_seal.seal(settings, path, after, say)


def lineage(settings: Settings, wanted: str, say: Say = print) -> int:
    """The tree around any id; the exit code."""
    return audit_lineage.lineage(settings, wanted, say)


def explain(settings: Settings, child_id: str, say: Say = print) -> int:
    """A child's reasons; the exit code."""
    return audit_lineage.explain(settings, child_id, say)


def tca_report(settings: Settings, say: Say = print) -> int:
    """What it cost; the exit code."""
    return audit_lineage.tca_report(settings, say)
