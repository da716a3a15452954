"""`pipeline audit`: recompute every decision from the log, seal it, follow an id, ask a child why it was sent."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.commands.grammar import Commands, Parser, command, settings_of, takes_parameters


def add(commands: Commands) -> None:
    """Add `pipeline audit` and its options to ``commands``."""
    audit = command(
        commands, "audit", "recompute every decision from the log; seal it; follow an id; ask a child why",
        "audit verify", "audit seal 2026-01-05.seal", "audit verify --seal 2026-01-05.seal", "audit lineage O0-17",
        "audit explain P0-3/2.1",
        connects=False,
    )  # fmt: skip
    actions = audit.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True, parser_class=Parser)
    verify = command(
        actions, "verify", "replay every task from the topics and compare every record",
        "audit verify", "audit verify --seal monday.seal tuesday.seal", "audit verify --parameters today.toml",
        more="Exit code 0: identical, and as sealed; 1: something was found, the first of it named with topic, "
        "partition, offset and field; 2: a seal's file is none, or the parameters' is wrong; 3: broker or registry "
        "unreachable. Copies the topics to TMPDIR.",
        handler=_verify,
    )  # fmt: skip
    verify.add_argument(
        "--seal", nargs="+", type=Path, default=[], metavar="FILE", help="check the topics against these seals too"
    )
    seal = command(
        actions, "seal", "write down what the topics hold now, to be kept outside the cluster",
        "audit seal monday.seal", "audit seal tuesday.seal --after monday.seal",
        more="Journal heads, and of every partition how far it goes and the SHA-256 of it. Exit code 0: written; 1: "
        "the journal does not go on from the earlier seal; 2: the file is there already, or an earlier seal is none; "
        "3: broker or registry unreachable.",
        handler=_seal,
    )  # fmt: skip
    seal.add_argument("file", type=Path, help="the file to write; never over another one")
    seal.add_argument("--after", type=Path, metavar="FILE", help="go on from this seal: read only what came since")
    takes_parameters(verify)
    lineage = command(actions, "lineage", "the tree around an id", "audit lineage O0-17", handler=_lineage)
    lineage.add_argument("id", help="any id of ours, a ClOrdID or an ExecID")
    explain = command(actions, "explain", "why a child was sent", "audit explain P0-3/2.1", handler=_explain)
    explain.add_argument("id", help="a child's id")


def _verify(options: argparse.Namespace) -> int:
    from pipeline.commands.deployment import deployed_flow
    from pipeline.runtime.auditing import seal, verify

    settings = settings_of(options)
    return verify.verify(settings, print, stages=deployed_flow(settings), seals=seal.load(options.seal))


def _seal(options: argparse.Namespace) -> int:
    from pipeline.runtime.auditing import seal

    return seal.seal(settings_of(options), options.file, options.after, print)


def _lineage(options: argparse.Namespace) -> int:
    from pipeline.runtime.auditing import lineage

    return lineage.lineage(settings_of(options), options.id, print)


def _explain(options: argparse.Namespace) -> int:
    from pipeline.runtime.auditing import lineage

    return lineage.explain(settings_of(options), options.id, print)
