"""From any id the whole way is found: order, window, parent, slices, children with reasons, executions, allocations."""

from __future__ import annotations

import pytest

from pipeline.audit.lineage import History
from pipeline.domain.executions import FillKind
from pipeline.domain.text import moment, money, price
from tests.days import longer_day, records_of


@pytest.fixture(scope="module")
def history() -> History:
    return History(records_of(longer_day()))


@pytest.fixture(scope="module")
def worked(history: History) -> str:
    """A parent with executions and with more than one child."""
    return next(
        parent_id
        for parent_id in sorted(history.fills)
        if len(history.children_of.get(parent_id, ())) > 1
        and any(fill.kind is FillKind.TRADE for fill in history.fills[parent_id])
    )


def tree(history: History, wanted: str) -> str:
    lines = history.tree(wanted)
    assert lines is not None, f"{wanted} was not found"
    return "\n".join(lines)


def test_an_orders_tree_goes_from_the_request_to_the_allocation(history: History, worked: str) -> None:
    member = history.members[worked, 1][0].members[0]
    text = tree(history, member.order_id)
    for stage in (
        "ClOrdID",
        "ACCEPTED",
        "joined bucket",
        f"member of parent {worked}",
        "slice 1",
        "child ",
        "allocation",
    ):
        assert stage in text, stage


def test_every_way_in_leads_to_the_same_parent(history: History, worked: str) -> None:
    fill = next(f for f in history.fills[worked] if f.kind is FillKind.TRADE)
    member = history.members[worked, 1][0].members[0]
    allocation = next(a for a in history.allocations[member.order_id] if a.parent_id == worked)
    order = history.orders[member.order_id][0]
    ids = [worked, fill.child_id, fill.fill_id, fill.exec_id, allocation.alloc_id, member.order_id]
    for wanted in [*ids, order.request.cl_ord_id]:
        assert f"parent {worked}, epoch 1: " in tree(history, wanted), wanted
    assert fill.exec_id in tree(history, fill.child_id)


def test_an_executions_tree_shows_its_child_and_no_other(history: History, worked: str) -> None:
    fill = next(f for f in history.fills[worked] if f.kind is FillKind.TRADE)
    others = [child for child in history.children_of[worked] if child != fill.child_id]
    text = tree(history, fill.exec_id)
    assert f"child {fill.child_id} (" in text
    assert not any(f"child {child} (" in text for child in others)


def test_a_parents_allocations_add_up_to_what_its_tree_shows_executed(history: History, worked: str) -> None:
    executed = sum(f.last_qty for f in history.fills[worked] if f.kind is FillKind.TRADE)
    lines = [line for line in tree(history, worked).splitlines() if "allocation " in line]
    assert sum(int(line.split(": ")[1].split(" at ")[0].replace(",", "")) for line in lines) == executed


def test_a_crosss_tree_names_both_sides_its_price_and_its_right(history: History) -> None:
    cross_id = sorted(history.crosses)[0]
    cross = history.crosses[cross_id][0]
    text = tree(history, cross_id)
    assert "bought" in text and "sold" in text and f"at {price(cross.px)}" in text
    assert cross.rule_ids[0] in text and "evidence" in text
    assert f"cross {cross_id}" in tree(history, cross.buys[0].order_id)


def test_a_refused_request_says_why(history: History) -> None:
    assert "was refused: UNKNOWN_ACCOUNT" in tree(history, "BAD001")


def test_an_unknown_id_is_none(history: History) -> None:
    assert history.tree("no such thing") is None
    assert history.explain("no such thing") is None
    assert history.tree("") is None


def test_a_child_says_why_by_its_id_and_by_its_wire_id(history: History) -> None:
    child = next(r[0] for r in history.children.values() if len(r[0].candidates) > 1)
    lines = history.explain(child.child_id)
    assert lines is not None
    text = "\n".join(lines)
    for said in (child.rule, f"quote {child.quote_no}", f"{child.scorecard_version} executions", "chosen"):
        assert said in text, said
    for candidate in child.candidates:
        assert candidate.venue in text and price(candidate.cost_px) in text
    assert history.explain(child.wire_id) == lines


@pytest.mark.parametrize(
    ("px", "text"),
    [(None, "none"), (0, "0.00"), (100_005_000_000, "100.005"), (-1, "-0.000000001"), (1_234_500_000_000, "1,234.50")],
)
def test_prices_are_written_exactly(px: int | None, text: str) -> None:
    assert price(px) == text
    if px is not None:
        assert money(px) == text


def test_moments_are_times_of_day_to_the_millisecond() -> None:
    assert moment(1_340_285_400_123_999_999) == "13:30:00.123"
    assert moment(0) == "at no time"
