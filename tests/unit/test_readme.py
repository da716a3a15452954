"""The documents say what is so: generated parts are up to date, commands exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ops import update_docs
from pipeline import cli
from pipeline.domain.rejections import DeadLetterReason, RejectReason
from tests.documents import DOCUMENTS, ROOT, commands

COMMANDS = [(path, command) for path in DOCUMENTS for command in dict.fromkeys(commands(path))]


@pytest.mark.parametrize("path", [update_docs.README, update_docs.REASONS], ids=lambda path: path.name)
def test_what_is_generated_is_up_to_date(path: Path) -> None:
    due = update_docs.rendered(update_docs.README.read_text(), update_docs.REASONS.read_text())
    assert path.read_text() == due[path], "run: python -m ops.update_docs"


def test_every_reason_is_explained() -> None:
    assert list(update_docs.MEANINGS) == [reason for reason in RejectReason if reason is not RejectReason.UNKNOWN]
    letters = [reason for reason in DeadLetterReason if reason is not DeadLetterReason.UNKNOWN]
    assert list(update_docs.LETTER_MEANINGS) == letters


def test_a_lost_marker_is_said() -> None:
    with pytest.raises(ValueError, match="is gone"):
        update_docs.with_part("no markers here", update_docs.DRAWING, "x")


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[f"{path.name}: {told}" for path, told in COMMANDS])
def test_every_command_told_is_one(path: Path, command: str) -> None:
    """The command line's own grammar takes it."""
    try:
        cli.parser().parse_args(shlex.split(command)[1:])
    except SystemExit as end:
        assert end.code == 0, f"{path.name} tells to type {command!r}"


def test_commands_are_found_in_the_documents() -> None:
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    anchors = {_anchor(title) for title in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, f"{path.name}: no heading {target}"
        elif not target.startswith("http"):
            assert (path.parent / target.partition("#")[0]).exists(), f"{path.name}: {target} is not there"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
