"""C, reference data: impossible values were accepted in one place and divided by in another.

Each example stopped a unit, or made it do something silently, on data alone. Now the door sets the record aside for
every stage that reads it: nothing of their state changes but the count, and the first reader tells the desk.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from msgspec.structs import replace

from pipeline import topology
from pipeline.algos.rounding import tick_reaching, tick_within_limit
from pipeline.algos.twap import floor_to_lot
from pipeline.domain.controls import Alert, AlertKind, Tick, TickKind
from pipeline.domain.orders import AccountClass
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import CrossingRule, Instrument, LimitScope, PriceRule, ReferenceKind, Venue
from pipeline.domain.rejections import RejectReason
from pipeline.domain.validators.table import VALIDATORS
from pipeline.simulator.venues.dark import HiddenInterest, interest_of
from pipeline.simulator.venues.latency import latency_ns
from pipeline.stage import Meta, Stage
from pipeline.stages.analytics.stage import AnalyticsStage
from pipeline.stages.netting.stage import NettingStage
from pipeline.state import State, Task
from tests.unit.domain.validators.test_reference import (
    ACCOUNT,
    FIRST_REFUSED,
    GOOD,
    INSTRUMENT,
    LAST_PASSING,
    OPEN,
    RULE,
    VENUE,
    dated,
    limited,
)
from tests.unit.stages.intake.intake_bench import bench, expect, instrument, new

TICK: Final = Tick(kind=TickKind.TICK, now_ns=OPEN, wall_ns=OPEN, trade_date=20121123)

DIVIDED_BY: Final = {
    "a tick of 0: routing rounds to it": dated(tick_px=0),
    "a tick of 1: half of it is 0, and a dark venue divides by that": dated(tick_px=1),
    "a tick below 0: intake and routing take what is left over by it": dated(tick_px=-10_000_000),
    "a lot of 0: slicing and routing cut to it": dated(lot_qty=0),
    "a lot below 0": dated(lot_qty=-100),
    "a session of half a minute: a curve without a bin": dated(session_close_ns=OPEN + 30_000_000_000),
    "a session that closes before it opens": dated(session_close_ns=OPEN - 1),
    "a volume below 0: dark interest below 0": dated(daily_volume_qty=-1),
    "a price of -1 for none": dated(reference_px=-1),
    "a jitter of -1: a draw from nothing": replace(VENUE, latency_jitter_ns=-1),
    "a jitter far below 0: reports come before their orders": replace(VENUE, latency_jitter_ns=-(10**12)),
    "a latency below 0": replace(VENUE, latency_ns=-1),
    "a fee beyond anything: its money does not fit 64 bits": replace(VENUE, taker_fee_px=10**18),
    "an exposure below 0: clamped to nothing, silently": limited(LimitScope.ACCOUNT, "A", max_exposure=-1),
    "an exposure of a source: it binds nobody, silently": limited(LimitScope.SOURCE, "S", max_exposure=1),
    "a collar above 100 %: no sale is ever outside of it": limited(LimitScope.FIRM, collar=10_000_001),
    "a rate below 0": limited(LimitScope.GATE, max_rate=-1),
    "a source that can have no topic: its events go nowhere": replace(ACCOUNT, source="desk 1"),
    "a class of tomorrow: it may be ours, and share with clients": replace(ACCOUNT, account_class=AccountClass.UNKNOWN),
    "a share of 200 % of the spread": replace(RULE, price_improvement_share=2_000_000),
    "an age below 0: no quote is ever young enough": replace(RULE, max_quote_age_ns=-1),
}


def readers(record: Record) -> list[Stage[Any]]:
    return [stage for stage in topology.STAGES if type(record) in stage.reads]


def believed(state: State) -> dict[str, bytes]:
    return {key: value for key, value in state.dump() if not key.startswith("set-aside/")}


def take(stage: Stage[Any], state: State, *messages: Record, front: bool = False) -> list[Owned]:
    return [record for message in messages for record in stage.take(state, message, Meta(0, front))]


@pytest.mark.parametrize("record", DIVIDED_BY.values(), ids=DIVIDED_BY.keys())
def test_a_record_nobody_could_work_with_changes_nothing_for_any_of_its_readers(record: Record) -> None:
    assert readers(record)
    for stage in readers(record):
        state = stage.new_state(Task(stage.name, 0, 1))
        take(stage, state, TICK)
        before = believed(state)
        assert take(stage, state, record) == [], "only the first reader of a topic tells"
        assert believed(state) == before, stage.name
        assert sum(state.set_aside[key].count for key in state.set_aside.keys()) >= 1
        take(stage, state, replace(TICK, now_ns=OPEN + 1, wall_ns=OPEN + 1))


@pytest.mark.parametrize(("record", "reason", "words"), FIRST_REFUSED, ids=str)
def test_the_first_reader_tells_the_desk_which_field_and_what_follows(record: Any, reason: str, words: str) -> None:
    first, *_ = readers(record)
    state = first.new_state(Task(first.name, 0, 1))
    take(first, state, TICK)
    (alert,) = take(first, state, record, front=True)
    assert isinstance(alert, Alert)
    assert (alert.kind, alert.reason, alert.at_ns) == (AlertKind.SET_ASIDE, reason, OPEN)
    assert words in alert.text and "the record before it stays in force" in alert.text.replace(
        "limit", "record"
    ).replace("rule before", "record before")


def test_every_topic_of_reference_data_has_its_validator() -> None:
    assert {topic.record for topic in topology.EDGES["reference data"]} <= VALIDATORS.keys()


PASSING: Final = [*GOOD, *LAST_PASSING]


@pytest.mark.parametrize("record", [each for each in PASSING if isinstance(each, Instrument)], ids=str)
def test_what_an_instrument_may_be_can_be_divided_by_wherever_it_is(record: Instrument) -> None:
    """The places that divide by, round to or count with fields of an instrument, at the edges of what passes."""
    for px in (1, record.tick_px, record.reference_px + 1):
        for side in (1, -1):
            assert tick_within_limit(px, record.tick_px, side) % record.tick_px == 0
            assert tick_reaching(px, record.tick_px, side) % record.tick_px == 0
    assert px % (record.tick_px // 2) >= 0, "a dark venue's step"
    assert 0 <= floor_to_lot(10**12, 3, record.lot_qty) <= 10**12 // 3
    for cell in range(20):
        interest = interest_of(cell, HiddenInterest(), 1, "XDRK", record)
        assert interest is None or (interest.qty >= record.lot_qty and interest.qty % record.lot_qty == 0)
    stage = AnalyticsStage()
    state = stage.new_state(Task(stage.name, 0, 1))
    (curve,) = take(stage, state, replace(record, effective_ns=0), TICK)
    assert sum(curve.fractions) == 10**9  # type: ignore[attr-defined]


@pytest.mark.parametrize("record", [each for each in PASSING if isinstance(each, Venue)], ids=str)
def test_the_way_to_a_venue_is_never_shorter_than_its_latency(record: Venue) -> None:
    for number in range(20):
        way_ns = latency_ns(record, 1, "out", str(number))
        assert record.latency_ns <= way_ns <= record.latency_ns + record.latency_jitter_ns


# ---------------------------------------------------------------------- what only stops something holds


def test_a_restriction_holds_though_the_rest_of_its_record_is_wrong() -> None:
    """The older record is not restricted: trading on by it would be a breach."""
    made = bench()
    expect(made, new("before"), None)
    made.feed(instrument(restricted=True, tick_px=0))
    expect(made, new("after"), RejectReason.UNKNOWN_INSTRUMENT)
    made.feed(instrument(restricted=True))
    expect(made, new("mended"), RejectReason.RESTRICTED_INSTRUMENT)


def test_a_restriction_written_by_a_later_version_holds_too() -> None:
    made = bench()
    later = instrument(restricted=True)
    told = [*made.stage.take(made.state, later, Meta(0, True, ("stop_px",)))]
    assert [(each.reason, type(each)) for each in told if isinstance(each, Alert)] == [("NOT_UNDERSTOOD", Alert)]
    expect(made, new(), RejectReason.UNKNOWN_INSTRUMENT)


def test_a_rule_that_forbids_holds_though_its_numbers_are_wrong_and_one_that_allows_does_not() -> None:
    forbids = replace(RULE, rule_id="f", allowed=False, max_spread=-1, price_rule=PriceRule.UNKNOWN)
    allows = replace(RULE, rule_id="a", max_spread=-1)
    stage = NettingStage()
    state = stage.new_state(Task(stage.name, 0, 1))
    take(stage, state, TICK, forbids, allows)
    assert state.rules.standing(OPEN) == [forbids]


@pytest.mark.parametrize("record", GOOD, ids=lambda record: type(record).__name__)
def test_what_a_later_version_says_is_not_taken_for_what_this_one_would_mean(record: Any) -> None:
    for stage in readers(record):
        state = stage.new_state(Task(stage.name, 0, 1))
        take(stage, state, TICK)
        before = believed(state)
        written = list(stage.take(state, record, Meta(0, False, ("field_of_tomorrow",))))
        assert written == [] and believed(state) == before, stage.name


@pytest.mark.parametrize("record", [INSTRUMENT, ACCOUNT, VENUE], ids=lambda record: type(record).__name__)
def test_a_removal_holds_whatever_else_its_record_says(record: Any) -> None:
    """Nothing is traded any more where it stood: that can only stop something."""
    removal = replace(record, kind=ReferenceKind.REMOVE)
    for stage in readers(record):
        state = stage.new_state(Task(stage.name, 0, 1))
        take(stage, state, TICK)
        before = believed(state)
        list(stage.take(state, removal, Meta(0, False, ("field_of_tomorrow",))))
        assert believed(state) != before, stage.name


def test_a_rule_without_authority_may_forbid_but_not_allow() -> None:
    check = VALIDATORS[CrossingRule].check
    assert check(replace(RULE, authority="")).record is None
    assert check(replace(RULE, authority="", allowed=False)).faults == ()
