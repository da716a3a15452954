"""Analytics: bars that are right whatever the tape does later, curves of earlier days, scores exact under busts."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.analytics import Bar, VenueScore, VolumeCurve
from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.market import NBBO, PrintKind, QuoteKind, ReferencePrice, TradePrint
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.domain.record import Owned
from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.domain.units import NS_PER_MS, NS_PER_S, PPB_ONE
from pipeline.stage import Meta
from pipeline.stages.analytics.stage import AnalyticsStage
from pipeline.stages.shared.print_tape import MINUTE_NS, minute_of
from pipeline.state import Task
from tests.stage_bench import Bench

OPEN_NS = 1_767_623_400 * NS_PER_S
"""2026-01-05 14:30 UTC, 09:30 in New York."""
DAY_NS = 1440 * MINUTE_NS
TODAY = 20260105
CENT = 10_000_000


def trade(
    print_id: str,
    at_ns: int,
    px: int,
    qty: int,
    kind: PrintKind = PrintKind.TRADE,
    ref: str | None = None,
    **flags: bool,
) -> TradePrint:
    return TradePrint(
        kind=kind, instrument="XYZ", venue="V", print_id=print_id, ref_print_id=ref, event_ns=at_ns, received_ns=at_ns,
        px=px, qty=qty, **flags,  # type: ignore[arg-type]
    )  # fmt: skip


def bench() -> Bench:  # type: ignore[type-arg]
    return Bench(AnalyticsStage())


def tick(at_ns: int, trade_date: int = TODAY) -> Tick:
    return Tick(kind=TickKind.TICK, now_ns=at_ns, wall_ns=at_ns, trade_date=trade_date)


def bars(b: Bench, at_ns: int) -> list[Bar]:  # type: ignore[type-arg]
    return b.all(Bar, b.feed(tick(at_ns)))


# ---------------------------------------------------------------------- bars


def test_a_minute_is_published_once_it_is_over_and_only_then() -> None:
    b = bench()
    b.feed(trade("1", OPEN_NS + 1, 1000, 5), trade("2", OPEN_NS + 9, 1200, 10), trade("3", OPEN_NS + 5, 900, 1))
    assert bars(b, OPEN_NS + MINUTE_NS - 1) == []
    (bar,) = bars(b, OPEN_NS + MINUTE_NS)
    assert (bar.open_px, bar.high_px, bar.low_px, bar.close_px) == (1000, 1200, 900, 1200), "by event time"
    assert (bar.volume_qty, bar.vwap_qty, bar.vwap_money, bar.print_count) == (16, 16, 5000 + 12000 + 900, 3)
    assert (bar.start_ns, bar.revision, bar.trade_date) == (OPEN_NS, 1, TODAY)
    assert bars(b, OPEN_NS + 2 * MINUTE_NS) == [], "no news, no revision"


def test_a_late_print_makes_a_new_revision() -> None:
    b = bench()
    b.feed(trade("1", OPEN_NS + 1, 1000, 5))
    bars(b, OPEN_NS + MINUTE_NS)
    b.feed(trade("2", OPEN_NS + 2, 1100, 7))
    (bar,) = bars(b, OPEN_NS + MINUTE_NS + 1)
    assert (bar.revision, bar.volume_qty, bar.close_px) == (2, 12, 1100)


def test_a_cancelled_print_is_taken_out_and_a_corrected_one_restated() -> None:
    b = bench()
    b.feed(trade("1", OPEN_NS + 1, 1000, 5), trade("2", OPEN_NS + 2, 1100, 7))
    bars(b, OPEN_NS + MINUTE_NS)
    b.feed(trade("3", OPEN_NS + 9, 1100, 7, PrintKind.CANCEL, "2"))
    (bar,) = bars(b, OPEN_NS + MINUTE_NS + 1)
    assert (bar.revision, bar.volume_qty, bar.high_px) == (2, 5, 1000)
    b.feed(trade("4", OPEN_NS + 1, 1050, 6, PrintKind.CORRECT, "1"))
    (bar,) = bars(b, OPEN_NS + MINUTE_NS + 2)
    assert (bar.revision, bar.volume_qty, bar.vwap_money, bar.open_px) == (3, 6, 6300, 1050)
    b.feed(trade("5", OPEN_NS + 9, 1, 1, PrintKind.CANCEL, "4"))
    (bar,) = bars(b, OPEN_NS + MINUTE_NS + 3)
    assert (bar.revision, bar.volume_qty, bar.open_px, bar.print_count) == (4, 0, None, 0)


def test_a_correction_into_another_minute_changes_both() -> None:
    b = bench()
    b.feed(trade("1", OPEN_NS + 1, 1000, 5))
    bars(b, OPEN_NS + 3 * MINUTE_NS)
    b.feed(trade("2", OPEN_NS + MINUTE_NS + 1, 1000, 5, PrintKind.CORRECT, "1"))
    found = bars(b, OPEN_NS + 3 * MINUTE_NS + 1)
    assert [(bar.start_ns, bar.revision, bar.volume_qty) for bar in found] == [
        (OPEN_NS, 2, 0),
        (OPEN_NS + MINUTE_NS, 1, 5),
    ]


def test_repeats_and_corrections_of_unknown_prints_change_nothing() -> None:
    b = bench()
    b.feed(trade("1", OPEN_NS + 1, 1000, 5))
    bars(b, OPEN_NS + MINUTE_NS)
    b.feed(trade("1", OPEN_NS + 1, 1000, 5), trade("9", OPEN_NS + 1, 1, 1, PrintKind.CANCEL, "never"))
    assert bars(b, OPEN_NS + 2 * MINUTE_NS) == []


def test_only_eligible_prints_count_each_in_its_own_figure() -> None:
    b = bench()
    b.feed(
        trade("1", OPEN_NS + 1, 1000, 5),
        trade("2", OPEN_NS + 2, 9000, 7, eligible_vwap=False),
        trade("3", OPEN_NS + 3, 8000, 11, eligible_last=False),
        trade("4", OPEN_NS + 4, 1000, 13, eligible_volume=False),
    )
    (bar,) = bars(b, OPEN_NS + MINUTE_NS)
    assert (bar.volume_qty, bar.vwap_qty, bar.high_px, bar.print_count) == (5 + 7 + 11, 5 + 11 + 13, 9000, 4)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_came_when_the_last_revision_is_what_stands(data: st.DataObject) -> None:
    b = bench()
    standing: dict[str, tuple[int, int]] = {}
    last: dict[int, Bar] = {}
    now_ns = OPEN_NS
    for number in range(data.draw(st.integers(1, 25))):
        what = data.draw(st.sampled_from(["trade", "trade", "cancel", "correct", "tick"]))
        at_ns = OPEN_NS + data.draw(st.integers(0, 3)) * MINUTE_NS + number
        qty, ref = data.draw(st.integers(1, 100)), data.draw(st.sampled_from(sorted(standing) or ["none"]))
        if what == "tick":
            now_ns += MINUTE_NS // 2
            last |= {bar.start_ns: bar for bar in bars(b, now_ns)}
        elif what == "trade":
            b.feed(trade(str(number), at_ns, 1000, qty))
            standing[str(number)] = at_ns, qty
        elif what == "cancel":
            b.feed(trade(str(number), at_ns, 1000, qty, PrintKind.CANCEL, ref))
            standing.pop(ref, None)
        elif ref in standing:
            b.feed(trade(str(number), at_ns, 1000, qty, PrintKind.CORRECT, ref))
            standing.pop(ref)
            standing[str(number)] = at_ns, qty
    last |= {bar.start_ns: bar for bar in bars(b, OPEN_NS + 10 * MINUTE_NS)}
    volumes: dict[int, int] = {}
    for at_ns, qty in standing.values():
        volumes[minute_of(at_ns)] = volumes.get(minute_of(at_ns), 0) + qty
    assert {start: bar.volume_qty for start, bar in last.items() if bar.volume_qty} == volumes


# ---------------------------------------------------------------------- curves


def instrument(minutes: int = 5, daily_volume_qty: int = 777, open_ns: int = OPEN_NS, **changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "kind": ReferenceKind.SET, "instrument": "XYZ", "effective_ns": open_ns - DAY_NS // 2, "tick_px": CENT,
        "session_open_ns": open_ns, "session_close_ns": open_ns + minutes * MINUTE_NS, "reference_px": 10**9,
        "daily_volume_qty": daily_volume_qty,
    }  # fmt: skip
    return Instrument(**(fields | changes))


def yesterdays(minutes: int = 5) -> Instrument:
    """The record of the day before, by which its session is known."""
    return instrument(minutes, open_ns=OPEN_NS - DAY_NS)


def test_without_earlier_days_the_curve_is_flat_and_says_so() -> None:
    b = bench()
    (curve,) = b.all(VolumeCurve, b.feed(instrument(3), tick(OPEN_NS)))
    assert sum(curve.fractions) == PPB_ONE and max(curve.fractions) - min(curve.fractions) <= 1
    assert (curve.day_count, curve.daily_volume_qty, curve.version, curve.bin_ns) == (0, 777, 1, MINUTE_NS)
    assert b.all(VolumeCurve, b.feed(tick(OPEN_NS + 1))) == [], "once a day"


def test_a_curve_is_learned_from_earlier_days_only() -> None:
    b = bench()
    b.feed(instrument(5), yesterdays(5))
    for minute, qty in enumerate((100, 50, 10, 40, 200)):
        b.feed(trade(f"y{minute}", OPEN_NS - DAY_NS + minute * MINUTE_NS, 1000, qty))
    b.feed(*(trade(f"t{minute}", OPEN_NS + minute * MINUTE_NS, 1000, 1_000_000) for minute in range(5)))
    b.feed(trade("early", OPEN_NS - DAY_NS - MINUTE_NS, 1000, 999))
    (curve,) = b.all(VolumeCurve, b.feed(tick(OPEN_NS)))
    assert curve.fractions == (250_000_000, 125_000_000, 25_000_000, 100_000_000, 500_000_000)
    assert (curve.day_count, curve.daily_volume_qty, curve.trade_date) == (1, 400, TODAY)
    (tomorrow,) = b.all(VolumeCurve, b.feed(tick(OPEN_NS + DAY_NS, TODAY + 1)))
    assert tomorrow.version == 2 and sum(tomorrow.fractions) == PPB_ONE


def test_a_print_cancelled_later_is_not_in_tomorrows_curve() -> None:
    b = bench()
    b.feed(
        instrument(2),
        yesterdays(2),
        trade("1", OPEN_NS - DAY_NS, 1, 100),
        trade("2", OPEN_NS - DAY_NS + MINUTE_NS, 1, 300),
    )
    b.feed(trade("3", OPEN_NS - DAY_NS, 1, 9, PrintKind.TRADE), trade("4", OPEN_NS, 1, 9, PrintKind.CANCEL, "3"))
    (curve,) = b.all(VolumeCurve, b.feed(tick(OPEN_NS)))
    assert curve.fractions == (250_000_000, 750_000_000)


# ---------------------------------------------------------------------- scores


def child(child_id: str = "C1", at_ns: int = OPEN_NS, qty: int = 100) -> ChildOrder:
    return ChildOrder(
        kind=ChildKind.NEW, child_id=child_id, wire_id="w", parent_id="P", slice_no=1, epoch_no=1, venue="V",
        instrument="XYZ", side=Side.SELL, order_qty=qty, ord_type=OrdType.LIMIT, limit_px=1,
        time_in_force=TimeInForce.IOC, sent_ns=at_ns, bid_px=990, offer_px=1010,
    )  # fmt: skip


def fill(kind: FillKind = FillKind.TRADE, qty: int = 40, px: int = 995, **fields: object) -> Fill:
    values: dict[str, object] = {
        "kind": kind, "fill_id": "F", "parent_id": "P", "epoch_no": 1, "slice_no": 1, "child_id": "C1",
        "instrument": "XYZ", "side": Side.SELL, "venue": "V", "last_qty": qty, "last_px": px, "fee": 7,
        "parent_cum_qty": 0, "parent_live_qty": 0, "trade_date": TODAY, "venue_ns": OPEN_NS + 3_000, "at_ns": OPEN_NS,
    }  # fmt: skip
    return msgspec.convert(values | fields, Fill)


def scores(b: Bench, at_ns: int) -> list[VenueScore]:  # type: ignore[type-arg]
    return b.all(VenueScore, b.feed(tick(at_ns)))


@pytest.mark.parametrize("child_first", [True, False], ids=["child first", "fill first: topics have no order"])
def test_a_minutes_score_counts_what_was_sent_and_filled(child_first: bool) -> None:
    b = bench()
    b.feed(tick(OPEN_NS))
    b.feed(*((child(), fill()) if child_first else (fill(), child())))
    (score,) = scores(b, OPEN_NS + MINUTE_NS)
    assert (score.children, score.sent_qty, score.filled_qty, score.filled_money) == (1, 100, 40, 40 * 995)
    assert (score.fees, score.slippage, score.time_to_fill_ns) == (7, 40 * 5, 3_000), "sold 5 below the midpoint: hurt"
    assert (score.window_end_ns, score.version) == (OPEN_NS + MINUTE_NS, 1)
    assert scores(b, OPEN_NS + 2 * MINUTE_NS) == [], "nothing happened, nothing is said"


def test_a_bust_in_the_same_minute_leaves_no_trace_and_a_later_one_takes_back() -> None:
    busted = fill(FillKind.BUST, fill_id="B", ref_fill_id="F", fee=0, prior_fee=7)
    b = bench()
    b.feed(tick(OPEN_NS), child(), fill(), busted)
    (score,) = scores(b, OPEN_NS + MINUTE_NS)
    assert (score.filled_qty, score.filled_money, score.fees, score.slippage, score.time_to_fill_ns) == (0, 0, 0, 0, 0)
    assert score.children == 1
    b.feed(fill())
    assert [s.filled_qty for s in scores(b, OPEN_NS + 2 * MINUTE_NS)] == [40]
    b.feed(busted)
    assert [(s.filled_qty, s.fees, s.version) for s in scores(b, OPEN_NS + 3 * MINUTE_NS)] == [(-40, -7, 3)]


def test_a_correction_counts_the_difference() -> None:
    b = bench()
    b.feed(tick(OPEN_NS), child(), fill())
    b.feed(
        fill(FillKind.CORRECT, qty=30, px=1000, fill_id="G", ref_fill_id="F", prior_qty=40, prior_px=995, prior_fee=7)
    )
    (score,) = scores(b, OPEN_NS + MINUTE_NS)
    assert (score.filled_qty, score.filled_money, score.fees, score.slippage) == (30, 30_000, 7, 0)


def test_reference_prices_are_whole_records_of_the_latest_quote() -> None:
    """When they are told, and which are not: `tests/findings/test_i_reference_prices.py`."""

    def quote(bid_px: int) -> NBBO:
        return NBBO(kind=QuoteKind.NBBO, instrument="XYZ", feed="f", event_ns=5, received_ns=5, quote_no=1,
                    bid_px=bid_px, offer_px=bid_px + 20)  # fmt: skip

    b = bench()
    first = b.all(ReferencePrice, b.feed(quote(990), tick(OPEN_NS)))
    assert first == [ReferencePrice(instrument="XYZ", px=1000, quote_ns=5)]
    assert b.all(ReferencePrice, b.feed(quote(1000), tick(OPEN_NS + NS_PER_S - 1))) == []
    assert [p.px for p in b.all(ReferencePrice, b.feed(tick(OPEN_NS + NS_PER_S)))] == [1010]
    assert b.all(ReferencePrice, b.feed(tick(OPEN_NS + 5 * NS_PER_S))) == [], "no venue is known to be open"


# ---------------------------------------------------------------------- a recorded day


INELIGIBLE = 0x75C6E0E
"""Average price, derivatively priced, prior reference, out of sequence, sold, extended hours (the data's own words)."""
MIDNIGHT_NS = 1_381_118_400 * NS_PER_S
"""2013-10-07 00:00 in New York (UTC-4)."""


def test_a_recorded_day_of_2013_gives_its_volume_and_vwap_late_prints_as_revisions(recorded_data: Path) -> None:
    folder = recorded_data / "us_equity"
    expected = json.loads((folder / "expected.json").read_text())["tick_days"]["bac/20131007"]
    stage = AnalyticsStage()
    state = stage.new_state(Task("analytics", 0, 1))
    now_ns, published = MIDNIGHT_NS, list[Bar]()

    def feed(message: Owned) -> None:
        published.extend(bar for bar in stage.step(state, message, Meta(0)) if isinstance(bar, Bar))

    held: list[TradePrint] = []
    with zipfile.ZipFile(folder / "tick" / "bac" / "20131007_trade.zip") as archive:
        lines = io.TextIOWrapper(archive.open(archive.namelist()[0]))
        for number, line in enumerate(lines):
            ms, px, qty, exchange, condition, suspicious = line.strip().split(",")
            if not 34_200_000 <= int(ms) < 57_600_000:
                continue
            eligible = suspicious == "0" and not int(condition, 16) & INELIGIBLE
            print_ = TradePrint(
                kind=PrintKind.TRADE, instrument="BAC", venue=exchange, print_id=str(number),
                event_ns=MIDNIGHT_NS + int(ms) * NS_PER_MS, received_ns=0, px=int(px) * 100_000, qty=int(qty),
                eligible_vwap=eligible, eligible_volume=eligible, eligible_last=eligible,
            )  # fmt: skip
            if number % 5_000 == 0:
                held.append(print_)  # told an hour after the close
                continue
            if print_.event_ns >= now_ns + MINUTE_NS:
                now_ns = minute_of(print_.event_ns)
                feed(tick(now_ns, 20131007))
            feed(print_)
    close_ns = MIDNIGHT_NS + 57_600_000 * NS_PER_MS
    feed(tick(close_ns, 20131007))
    before = {bar.start_ns: bar for bar in published}
    assert sum(bar.volume_qty for bar in before.values()) < expected["rth_volume_eligible"]
    for late in held:
        feed(late)
    feed(tick(close_ns + 60 * MINUTE_NS, 20131007))
    last = {bar.start_ns: bar for bar in published}
    assert len(last) == 390
    assert {minute_of(late.event_ns) for late in held} <= {s for s, bar in last.items() if bar.revision > 1}
    assert sum(bar.volume_qty for bar in last.values()) == expected["rth_volume_eligible"]
    assert {bar.trade_date for bar in last.values()} == {20131007}
    money, volume = sum(bar.vwap_money for bar in last.values()), sum(bar.vwap_qty for bar in last.values())
    assert money / volume / 10**9 == pytest.approx(expected["rth_vwap_eligible"], abs=5e-9)
