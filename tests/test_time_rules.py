"""Which clock rules what (docs/time.md), as far as code shows it: no age is computed by hand, and nobody compares what
a sender says of time with wall time.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
FILES: Final = sorted(path for folder in ("stages", "algos") for path in (ROOT / "pipeline" / folder).rglob("*.py"))

CLAIMED: Final = {"event_ns", "quote_ns", "venue_ns", "transact_ns", "seen_ns"}
"""Times that a sender has set."""
NOW: Final = {"now_ns"}
WALL: Final = {"wall_ns", "append_ns"}

EXCUSED: Final = {
    "pipeline/algos/crossing.py:midpoint_check": "a quote of the future is refused as stale in the same line",
    "pipeline/stages/routing/second_opinion.py:on_nbbo": "ahead of the clock counts as now; far ahead is set aside",
}
"""Function by file → why its age can be no wrong one."""


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def wrong(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and what is wrong: an age by subtraction, a claim compared or subtracted with wall time."""
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            pairs = [(node.left, node.right)]
            if {name_of(node.left), name_of(node.right)} & CLAIMED and {name_of(node.left), name_of(node.right)} & NOW:
                yield node.lineno, "an age by hand: age_ns of pipeline/domain/times.py"
        elif isinstance(node, ast.Compare):
            pairs = list(zip([node.left, *node.comparators], node.comparators, strict=False))
        else:
            continue
        for one, other in pairs:
            names = {name_of(one), name_of(other)}
            if names & CLAIMED and names & WALL:
                yield one.lineno, "a sender's time against wall time: session_ns of the state is between them"


def functions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield f"{path.relative_to(ROOT).as_posix()}:{node.name}", node


def test_no_age_is_computed_by_hand_and_no_claim_is_held_against_wall_time() -> None:
    found: dict[str, list[tuple[int, str]]] = {}
    for path in FILES:
        for name, node in functions(path):
            found.setdefault(name, []).extend(wrong(node))
    assert len(found) > 500, "there are functions to look at"
    assert {name: each for name, each in found.items() if each and name not in EXCUSED} == {}
    assert [name for name in EXCUSED if not found.get(name)] == [], "an excuse of something that is not there"


@pytest.mark.parametrize(
    "text",
    [
        "age = now_ns - quote.event_ns",
        "age = view.now_ns - view.quote_ns",
        "ahead = report.venue_ns - state.now_ns",
        "late = quote.event_ns < state.clock.wall_ns",
        "late = 0 <= meta.append_ns <= trade.event_ns",
        "gap = tick.wall_ns - quote.event_ns",
    ],
)
def test_the_rule_of_clocks_sees_what_it_is_for(text: str) -> None:
    assert len(list(wrong(ast.parse(text)))) == 1


@pytest.mark.parametrize(
    "text", ["x = now_ns - sent_ns", "x = quote.event_ns < other.event_ns", "x = age_ns(quote.event_ns, now_ns, 5)"]
)
def test_the_rule_of_clocks_lets_pass_what_is_right(text: str) -> None:
    assert list(wrong(ast.parse(text))) == []
