"""C in analytics and TCA: nothing raises, what a message cannot hold is left out by name, nothing divides by nothing.

Examples: prices and sizes of -1 and 0, money beyond 64 bits (a few hundred thousand shares at 70,000). Siblings: sums
of a minute at a venue, time waited times quantity, a cost against an absurd price, averages of what was busted whole,
kinds of a later version, executions without a price, every field of every record at its extremes in both stages.
"""

from __future__ import annotations

import random
from typing import Any, get_args

import msgspec
import pytest

from pipeline.domain.allocations import AllocKind
from pipeline.domain.analytics import Bar, TCARow, VenueScore
from pipeline.domain.controls import Alert, Tick, TickKind
from pipeline.domain.executions import FillKind
from pipeline.domain.market import PrintKind, ReferencePrice
from pipeline.domain.parents import CrossKind
from pipeline.domain.record import Kind, Record
from pipeline.domain.reference import Instrument
from pipeline.runtime.contracts.avro_code import compiled
from pipeline.stage import Meta, Stage
from pipeline.stages.analytics.stage import AnalyticsStage
from pipeline.stages.shared.print_tape import MINUTE_NS
from pipeline.stages.tca.stage import TCAStage
from pipeline.state import Task
from pipeline.tca.report import fairness, grouped, latest
from tests.golden.samples import sample
from tests.stage_bench import Bench
from tests.unit.stages.analytics import test_stage as of_analytics
from tests.unit.stages.tca.test_stage import (
    PX,
    T0,
    S,
    allocation,
    bench,
    child,
    fill,
    order,
    over,
    parent,
    quote,
    rows,
    trade,
)  # fmt: skip
from tests.unit.tca import test_report as of_report

KRW = 70_000 * PX
QTY = 300_000
"""21 billion won: 2.1e19 in 1e-9 units, more than an unsigned 64-bit integer holds."""


def test_a_parent_of_some_million_dollars_in_won_is_costed_to_the_unit() -> None:
    b = bench()
    asked = msgspec.structs.replace(parent(KRW), order_qty=2 * QTY)
    b.feed(asked, child(midpoint_px=KRW), fill(qty=QTY, px=KRW + PX), fill(qty=QTY, px=KRW - 2 * PX, fill_id="F2"))
    b.feed(over())
    row = rows(b, T0 + 30 * S)["P"]
    assert (row.executed_qty, row.avg_px, row.fees) == (2 * QTY, KRW - PX // 2, 100)
    assert (row.arrival_cost_mbps, row.fee_cost_mbps, row.shortfall_cost_mbps) == (-71, 0, -71)
    b.feed(fill(FillKind.BUST, QTY, KRW + PX, fill_id="F3", ref_fill_id="F1", fee=0, prior_fee=50))
    row = rows(b, T0 + 31 * S)["P"]
    assert (row.executed_qty, row.avg_px, row.fees, row.arrival_cost_mbps) == (QTY, KRW - 2 * PX, 50, -286)


def test_orders_of_more_than_a_message_holds_are_costed_from_their_allocations() -> None:
    b = bench()
    b.feed(quote(T0, KRW), order())
    b.tick(T0 + 6 * S)
    for number in range(5):
        b.feed(allocation(f"A{number}", QTY // 3, KRW + PX, T0 + 20 * S))
    row = rows(b, T0 + 21 * S)["O1"]
    assert (row.executed_qty, row.avg_px, row.arrival_cost_mbps) == (5 * QTY // 3, KRW + PX, 143)


def test_a_minute_of_more_money_than_a_message_holds_has_a_vwap_and_says_that_it_has_no_sum() -> None:
    b = of_analytics.bench()
    at = of_analytics.OPEN_NS
    b.feed(*(of_analytics.trade(str(no), at + no, KRW + no % 2 * 2 * PX, 100_000) for no in range(4)))
    (bar,) = of_analytics.bars(b, at + MINUTE_NS)
    assert bar == Bar(
        instrument="XYZ", start_ns=at, revision=1, trade_date=of_analytics.TODAY, open_px=KRW, high_px=KRW + 2 * PX,
        low_px=KRW, close_px=KRW + 2 * PX, volume_qty=400_000, vwap_qty=0, vwap_money=0, print_count=4,
        vwap_px=KRW + PX,
    )  # fmt: skip


def test_a_venues_minute_of_more_money_or_waiting_than_64_bits_is_told_as_far_as_it_fits() -> None:
    b = of_analytics.bench()
    at = of_analytics.OPEN_NS
    hours = 3 * 3600 * S
    sent = msgspec.structs.replace(of_analytics.child(qty=2_000_000), bid_px=KRW - 1, offer_px=KRW + 1)
    b.feed(of_analytics.tick(at), sent)
    b.feed(of_analytics.fill(qty=1_000_000, px=KRW, venue_ns=at + hours))
    b.feed(of_analytics.fill(qty=1_000_000, px=KRW, venue_ns=at + hours, fill_id="G"))
    (score,) = of_analytics.scores(b, at + MINUTE_NS)
    assert score == VenueScore(
        instrument="XYZ", venue="V", window_end_ns=at + MINUTE_NS, version=1, children=1,
        sent_qty=2_000_000, filled_qty=2_000_000, filled_money=0, fees=14, slippage=0, time_to_fill_ns=hours,
        beyond_range=True,
    )  # fmt: skip


def test_a_cost_that_no_message_can_hold_is_unknown_and_the_rest_of_the_row_stands() -> None:
    b = bench()
    b.feed(parent(arrival_px=1), child(midpoint_px=100), fill(px=10**17, qty=10), over())
    row = rows(b, T0 + 30 * S)["P"]
    assert (row.arrival_cost_mbps, row.shortfall_cost_mbps, row.avg_px, row.executed_qty) == (None, None, 10**17, 10)
    assert row.aggregation_delay_cost_mbps == 990_000_000


def test_what_was_busted_whole_has_no_average_and_divides_by_nothing() -> None:
    b = bench()
    bust = fill(FillKind.BUST, 50, 102 * PX, fill_id="F2", ref_fill_id="F1", fee=0, prior_fee=50)
    b.feed(parent(), child(), fill(), bust, over())
    row = rows(b, T0 + 30 * S)["P"]
    assert (row.executed_qty, row.avg_px, row.fees, row.fee_cost_mbps, row.participation) == (0, None, 0, None, None)
    assert (row.start_ns, row.end_ns, row.interval_vwap_px) == (T0 + 10 * S, 0, None)
    (group,) = grouped(latest([row]), lambda _: "")
    assert (group.arrival.cost_mbps, group.vwap.perf_mbps, group.fee_mbps, group.delay.cost_mbps) == (None,) * 4


def test_kinds_of_a_later_version_change_no_cost() -> None:
    b = bench()
    b.feed(quote(T0, 100 * PX), order(), parent(), child(), fill())
    b.feed(fill(FillKind.UNKNOWN, fill_id="F9", qty=7, prior_qty=3, prior_px=1))
    b.feed(allocation("A1", 30, 101 * PX, T0 + 20 * S))
    b.feed(allocation("A9", 9, 1, T0 + 20 * S, "A1", AllocKind.UNKNOWN), over())
    found = rows(b, T0 + 31 * S)
    assert {name: (row.executed_qty, row.avg_px) for name, row in found.items()} == {
        "P": (50, 102 * PX),
        "C1": (50, 102 * PX),
        "O1": (30, 101 * PX),
    }
    unknown = msgspec.structs.replace(of_report.cross(10, 1_000), kind=CrossKind.UNKNOWN)
    assert fairness([unknown, of_report.quote(40, 900)], horizon_ns=10) == []


def test_a_cross_at_nothing_has_no_markout_to_divide_by() -> None:
    nothing = msgspec.structs.replace(of_report.cross(10, 1_000), px=0)
    assert {one.mbps for one in fairness([nothing, of_report.quote(5, 1), of_report.quote(40, 9)], 10)} == {0}


def test_prices_and_sizes_of_minus_one_or_zero_are_left_out_and_told_once() -> None:
    b = Bench(AnalyticsStage())
    at = of_analytics.OPEN_NS
    b.feed(of_analytics.tick(at), of_analytics.trade("1", at + 1, 1000, 5))
    caused = b.feed(
        *(
            of_analytics.trade(f"b{no}", at + 2, px, qty)
            for no, (px, qty) in enumerate([(-1, 5), (0, 5), (1, 0), (1, -1)])
        )
    )
    assert [(alert.instrument, alert.subject_id) for alert in b.all(Alert, caused)] == [("XYZ", "prints")] * 2
    (bar,) = of_analytics.bars(b, at + MINUTE_NS)
    assert (bar.volume_qty, bar.vwap_money, bar.low_px, bar.print_count) == (5, 5_000, 1000, 1)
    t = bench()
    t.feed(trade("1", T0 + 12 * S, 100 * PX, 100), trade("2", T0 + 13 * S, -1, 5), trade("3", T0 + 13 * S, 1, -9))
    t.feed(parent(), child(), fill(), over())
    assert (rows(t, T0 + 30 * S)["P"].interval_vwap_px, rows(t, T0 + 30 * S)) == (100 * PX, {})


def test_what_contradicts_itself_on_the_tape_is_told_to_the_desk_by_name() -> None:
    b = Bench(AnalyticsStage())
    at, day_ns = of_analytics.OPEN_NS, of_analytics.DAY_NS
    told = of_analytics.trade
    b.feed(of_analytics.tick(at), told("1", at, 1000, 5), told("x", at, 1, 1, PrintKind.CANCEL, "never"))
    b.feed(told("1", at, 1001, 5), told("k1", at, 1002, 5, PrintKind.CORRECT, "1"))
    b.feed(told("k2", at, 1003, 5, PrintKind.CORRECT, "1"), told("me", at, 1003, 5, PrintKind.CORRECT, "me"))
    b.feed(of_analytics.tick(at + 60 * S))
    b.feed(of_analytics.tick(at + day_ns, of_analytics.TODAY + 1), told("9", at, 1, 1))
    alerts = [(alert.reason, alert.text.partition(";")[0]) for alert in b.all(Alert)]
    assert alerts == [
        ("OTHER_CONTENT", "1 of prints set aside, 1 in all"),
        ("CORRECTED_TWICE", "1 of prints set aside, 1 in all"),
        ("MISSING_REFERENCE", "1 of prints set aside, 1 in all"),
        ("NEVER_CAME", "1 of prints set aside, 1 in all"),
        ("DAY_IS_FINAL", "1 of prints set aside, 1 in all"),
    ]
    assert "print_id never" in b.all(Alert)[3].text and "venue V" in b.all(Alert)[3].text


# ---------------------------------------------------------------------- every field at its extremes

EXTREMES = (-(2**63), -1, 0, 1, 2**31, 10**12, 10**17, 2**63 - 1)


NAMES = {"instrument": "XYZ", "parent_id": "P", "child_id": "C1", "order_id": "O1", "venue": "V", "print_id": "1"}


def plain(record_type: type[Record]) -> Record:
    """A record of one life that all types speak of: the same names, times of this day, small numbers."""
    record = sample(record_type)
    changes: dict[str, Any] = {name: value for name, value in NAMES.items() if hasattr(record, name)}
    for field in msgspec.structs.fields(record_type):
        if field.type is not bool and isinstance(getattr(record, field.name), int) and field.name not in changes:
            small = 20260105 if field.name.endswith("_date") else 100
            changes[field.name] = T0 + 5 * S if field.name.endswith("_ns") else small
    return msgspec.structs.replace(record, **changes)


def changed(record: Record, draw: random.Random) -> Record:
    """The record with one or two of its fields at an extreme."""
    changes: dict[str, Any] = {}
    for field in draw.sample(msgspec.structs.fields(type(record)), k=draw.choice((1, 1, 2))):
        value = getattr(record, field.name)
        if isinstance(value, bool):
            changes[field.name] = not value
        elif isinstance(value, int):
            changes[field.name] = draw.choice(EXTREMES)
        elif isinstance(value, Kind):
            changes[field.name] = draw.choice(list(type(value)))
        elif isinstance(value, str):
            changes[field.name] = draw.choice(["", "XYZ", "1", "@", value])
        elif type(None) in get_args(field.type):
            changes[field.name] = draw.choice([None, *EXTREMES]) if value is None else None
    return msgspec.structs.replace(record, **changes)


@pytest.mark.parametrize("through_the_door", [True, False], ids=["taken", "stepped"])
@pytest.mark.parametrize("stage_type", [AnalyticsStage, TCAStage])
@pytest.mark.parametrize("seed", range(6))
def test_no_record_with_a_field_at_its_extreme_stops_the_stage(
    stage_type: type[Stage[Any]], seed: int, through_the_door: bool
) -> None:
    """What comes out fits its contract, and state can be written. Also without the door, which is not built for us."""
    draw = random.Random(seed)
    stage = stage_type()
    state = stage.new_state(Task(stage.name, 0, 1))
    types = [each for each in stage.reads if each is not Tick and each is not Instrument]
    apply = stage.take if through_the_door else stage.step
    known: dict[type[Record], list[Record]] = {each: [plain(each)] for each in types}
    now_ns = T0
    for _ in range(250):
        record_type = draw.choice([*types, None])
        if record_type is None:
            now_ns += draw.choice((S, 60 * S, 3600 * S, 86_400 * S))
            date = 20260105 + (now_ns - T0) // (86_400 * S) % 20
            message: Record = Tick(kind=TickKind.TICK, now_ns=now_ns, wall_ns=now_ns, trade_date=date)
        else:
            message = changed(draw.choice(known[record_type]), draw)
            known[record_type].append(message)
        for record in apply(state, message, Meta(0)):
            assert type(record) in stage.writes, type(record)
            compiled(type(record)).encode(record)
            assert not isinstance(record, (Bar, TCARow, ReferencePrice)) or record.instrument is not None
        list(state.drain())
