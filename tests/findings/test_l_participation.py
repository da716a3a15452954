"""Finding L: under a cap our part of all that is traded stays within it, whether or not the tape has our executions."""

from __future__ import annotations

import pytest

from pipeline.domain.orders import Side
from pipeline.stages.slicing.parameters import NOT_ON_TAPE, ON_TAPE, SlicingParameters
from tests.findings.slicing_bench import BOTH_SIDES, Desk
from tests.unit.stages.slicing.test_stage import parent, s

QUARTER = 250_000


def part_of_volume(desk: Desk) -> float:
    """Our part of everything traded: what others did and what we did, once each."""
    own = sum(desk.done(parent_id=parent_id) for parent_id in desk.executed)
    return own / (desk.printed_qty + (0 if desk.prints_own else own))


def worked(desk: Desk, seconds: int = 300, others: int = 30) -> Desk:
    for second in range(1, seconds):
        desk.print(others)
        desk.run(second)
    return desk


@pytest.mark.parametrize("side", BOTH_SIDES)
def test_a_quarter_is_a_quarter_of_the_tape_that_has_our_executions(side: Side) -> None:
    desk = Desk()
    desk.feed(parent(side=side, participation_cap=QUARTER, order_qty=100_000, end_ns=s(300)))
    assert 0.245 <= part_of_volume(worked(desk)) <= 0.25  # was a third


@pytest.mark.parametrize(("own_prints", "least"), [(ON_TAPE, 0.19), (NOT_ON_TAPE, 0.245)])
def test_a_tape_without_our_executions_never_takes_us_above_it(own_prints: str, least: float) -> None:
    desk = Desk(SlicingParameters(own_prints=own_prints))
    desk.prints_own = False
    desk.feed(parent(participation_cap=QUARTER, order_qty=100_000, end_ns=s(300)))
    assert least <= part_of_volume(worked(desk)) <= 0.25


def test_siblings_share_one_cap_and_their_executions_on_the_tape() -> None:
    desk = Desk()
    for parent_id in ("P1", "P2", "P3"):
        desk.feed(parent(parent_id=parent_id, participation_cap=QUARTER, order_qty=100_000, end_ns=s(300)))
    assert 0.24 <= part_of_volume(worked(desk)) <= 0.25


def test_a_sibling_without_a_cap_uses_up_the_cap_of_the_other() -> None:
    desk = Desk()
    desk.feed(
        parent(parent_id="P1", participation_cap=QUARTER, order_qty=100_000, end_ns=s(300)),
        parent(parent_id="P2", order_qty=9_000, end_ns=s(300)),
    )
    worked(desk)
    assert desk.done(parent_id="P2") > 8_000, "no cap of its own: it trades as much as all others"
    assert desk.done(parent_id="P1") == 0, "its side is above a quarter already"


def test_the_other_sides_executions_are_volume_of_others() -> None:
    desk = Desk()
    desk.feed(
        parent(parent_id="P1", participation_cap=QUARTER, order_qty=100_000, end_ns=s(300)),
        parent(parent_id="P2", side=Side.SELL, participation_cap=QUARTER, order_qty=100_000, end_ns=s(300)),
    )
    worked(desk)
    bought, sold = desk.done(parent_id="P1"), desk.done(parent_id="P2")
    assert max(bought, sold) * 4 <= desk.printed_qty, "each side is within a quarter of the tape"


def test_our_print_before_our_fill_is_told_gives_nothing_away() -> None:
    """The tape is faster than the report: for a moment the print counts as others', the fill then takes it off."""
    desk = Desk()
    desk.feed(parent(participation_cap=QUARTER, order_qty=1_000, end_ns=s(300)))
    desk.run(10)
    desk.print(300)
    desk.run(250)
    assert desk.done() == 100, "a quarter of 400"
