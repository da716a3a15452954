"""`pipeline controls`: an order of the desk: stop, go on, block a venue, settle a doubt by hand."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.commands.grammar import Commands, command, settings_of
from pipeline.errors import EXIT_GOOD

if TYPE_CHECKING:
    from pipeline.runtime.settings import Settings


def add(commands: Commands) -> None:
    """Add `pipeline controls` and its options to ``commands``."""
    parser = command(
        commands, "controls", "an order of the desk, with who and why",
        'controls kill --scope all --who ann --why "runaway strategy"',
        'controls block-venue --scope venue --id XBAT --who ann --why "rejects"',
        'controls release-stale --who ann --why "book checked"',
        more="It is recorded as every input is, and reaches every partition. What each kind does: "
        "schemas/controls.avsc.",
        handler=_controls,
    )  # fmt: skip
    parser.add_argument(
        "kind",
        help="kill, pause, resume, block-venue, unblock-venue, release-stale, release-window, cancel-parent, "
        "change-parent, declare-filled, declare-dead, break-allocation, skip",
    )
    parser.add_argument(
        "--scope", default="all", help="all (default), source, account, instrument, parent, child, venue"
    )
    parser.add_argument("--id", default="", help="which one; for skip: topic/partition/offset")
    parser.add_argument("--who", required=True, help="who gives it: recorded")
    parser.add_argument("--why", required=True, help="the reason: recorded")
    parser.add_argument("--old", help="for kinds that change something: what it is now")
    parser.add_argument("--new", help="and what it is to be")


def _controls(options: argparse.Namespace) -> int:
    return send_control(
        settings_of(options),
        kind=options.kind,
        scope=options.scope,
        scope_id=options.id,
        who=options.who,
        why=options.why,
        old=options.old,
        new=options.new,
    )


def send_control(
    settings: Settings,
    say: Callable[[str], None] = print,
    *,
    kind: str,
    who: str,
    why: str,
    scope: str = "all",
    scope_id: str = "",
    old: str | None = None,
    new: str | None = None,
) -> int:
    """One control, to every partition at once. Raises WrongUse as `gateways.controls.control`."""
    from pipeline.commands.deployment import edge
    from pipeline.gateways import controls

    record = controls.control(kind, scope, scope_id, who, why, time.time_ns(), old, new)
    edge(settings, "desk", say).write([record])
    say(f"{record.kind} {record.scope} {record.scope_id}".rstrip() + f" given as {record.control_id}")
    return EXIT_GOOD
