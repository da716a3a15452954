"""A: what takes a print back may come before it. Permuted and repeated, one truth ends in the same bars and benchmarks.

Examples: a cancel before its print, a print repeated after its cancel or its correction, a correction before its print,
two corrections of one original. Siblings: corrections of corrections, a cancel of a correction or of its original,
across minutes, the same id on two days, at two venues, prints of one nanosecond, what comes after its day is final.
"""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.analytics import Bar, TCARow
from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.market import PrintKind, TradePrint
from pipeline.stages.analytics.stage import AnalyticsStage
from pipeline.stages.tca.stage import TCAStage
from tests.stage_bench import Bench
from tests.unit.stages.tca import test_stage as tca

S = 10**9
MINUTE_NS = 60 * S
OPEN_NS = 1_767_623_400 * S
"""2026-01-05 14:30 UTC."""
DAY_NS = 86_400 * S
TODAY = 20260105


def told(
    print_id: str,
    at_ns: int,
    px: int,
    qty: int,
    kind: PrintKind = PrintKind.TRADE,
    ref: str | None = None,
    venue: str = "V",
) -> TradePrint:
    return TradePrint(
        kind=kind, instrument="XYZ", venue=venue, print_id=print_id, ref_print_id=ref, event_ns=at_ns,
        received_ns=at_ns, px=px, qty=qty,
    )  # fmt: skip


def tick(at_ns: int, trade_date: int = TODAY) -> Tick:
    return Tick(kind=TickKind.TICK, now_ns=at_ns, wall_ns=at_ns, trade_date=trade_date)


def books(*prints: TradePrint, swap_every: int = 0) -> list[Bar]:
    """The bars that stand in the end, empty ones left out, as if nothing had been published before."""
    b = Bench(AnalyticsStage(), swap_every=swap_every)
    b.feed(tick(OPEN_NS), *prints)
    found = b.all(Bar, b.feed(tick(OPEN_NS + 10 * MINUTE_NS)))
    return [bar for bar in sorted(found, key=lambda bar: bar.start_ns) if bar.print_count]


def bar(start_ns: int, *sales: tuple[int, int]) -> Bar:
    """The bar of these prints: (price, quantity) in the order of their times."""
    pxs = [px for px, _ in sales]
    qty, money = sum(qty for _, qty in sales), sum(px * qty for px, qty in sales)
    return Bar(
        instrument="XYZ", start_ns=start_ns, revision=1, trade_date=TODAY, open_px=pxs[0], high_px=max(pxs),
        low_px=min(pxs), close_px=pxs[-1], volume_qty=qty, vwap_qty=qty, vwap_money=money, print_count=len(sales),
        vwap_px=round(money / qty),
    )  # fmt: skip


OTHER = told("0", OPEN_NS + 2, 1000, 10)
TRADE = told("1", OPEN_NS + 1, 5000, 5)
CANCEL = told("c", OPEN_NS + 3, 5000, 5, PrintKind.CANCEL, "1")
FIRST = told("k1", OPEN_NS + 1, 2000, 5, PrintKind.CORRECT, "1")
SECOND = told("k2", OPEN_NS + 1, 1000, 5, PrintKind.CORRECT, "1")
OF_FIRST = told("k3", OPEN_NS + 1, 3000, 4, PrintKind.CORRECT, "k1")
ELSEWHERE = told("k4", OPEN_NS + MINUTE_NS, 4000, 4, PrintKind.CORRECT, "1")
CANCEL_FIRST = told("d", OPEN_NS + 3, 1, 1, PrintKind.CANCEL, "k1")

ALONE = [bar(OPEN_NS, (1000, 10))]
TRUTHS = {
    "trade, cancel": ([OTHER, TRADE, CANCEL], ALONE),
    "trade, correction": ([OTHER, TRADE, FIRST], [bar(OPEN_NS, (2000, 5), (1000, 10))]),
    "two corrections of the original": ([OTHER, TRADE, FIRST, SECOND], [bar(OPEN_NS, (1000, 5), (1000, 10))]),
    "correction of a correction": ([OTHER, TRADE, FIRST, OF_FIRST], [bar(OPEN_NS, (3000, 4), (1000, 10))]),
    "correction into another minute": (
        [OTHER, TRADE, ELSEWHERE],
        [bar(OPEN_NS, (1000, 10)), bar(OPEN_NS + MINUTE_NS, (4000, 4))],
    ),
    "cancel of a correction": ([OTHER, TRADE, FIRST, CANCEL_FIRST], ALONE),
    "cancel of the original of a correction": ([OTHER, TRADE, FIRST, CANCEL], ALONE),
    "cancel in a chain": ([OTHER, TRADE, FIRST, OF_FIRST, CANCEL_FIRST], ALONE),
    "the same id at another venue": (
        [OTHER, TRADE, CANCEL, told("1", OPEN_NS + 4, 7000, 2, venue="W")],
        [bar(OPEN_NS, (1000, 10), (7000, 2))],
    ),
    "prints of one nanosecond": (
        [told("9", OPEN_NS, 900, 1), told("10", OPEN_NS, 1000, 1), told("11", OPEN_NS, 950, 1)],
        [bar(OPEN_NS, (900, 1), (1000, 1), (950, 1))],
    ),
}


@pytest.mark.parametrize("truth", TRUTHS)
def test_a_truth_told_in_any_order_ends_in_the_same_bars(truth: str) -> None:
    prints, expected = TRUTHS[truth]
    for order in permutations(prints):
        assert books(*order) == expected, [each.print_id for each in order]


@pytest.mark.parametrize("truth", TRUTHS)
def test_what_is_told_again_after_a_reconnect_changes_nothing(truth: str) -> None:
    prints, expected = TRUTHS[truth]
    assert books(*prints, *prints) == expected
    assert books(*prints, *reversed(prints), *prints, swap_every=1) == expected
    for place in range(len(prints)):
        assert books(*prints[: place + 1], *prints) == expected


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_whole_minute_told_in_any_order_and_more_than_once_ends_in_the_same_books(data: st.DataObject) -> None:
    """Families of a print, a chain of corrections and perhaps a cancel of any of them; then all shuffled and repeated.

    Seen from analytics (bars) and from TCA (the benchmark of an order that spans them all).
    """
    prints: list[TradePrint] = []
    stands: list[tuple[int, int, int]] = []
    for number in range(data.draw(st.integers(1, 6))):
        versions = data.draw(st.integers(1, 4))
        ids = [f"{number}.{version}" for version in range(versions)]
        for version, print_id in enumerate(ids):
            at_ns = OPEN_NS + data.draw(st.integers(0, 2)) * MINUTE_NS + number
            px, qty = 1000 * (number + 1) + version, data.draw(st.integers(1, 9))
            kind = PrintKind.CORRECT if version else PrintKind.TRADE
            prints.append(told(print_id, at_ns, px, qty, kind, ids[version - 1] if version else None))
        if data.draw(st.booleans()):
            ref = data.draw(st.sampled_from(ids))
            prints.append(told(f"{number}.c", OPEN_NS, 1, 1, PrintKind.CANCEL, ref))
        else:
            stands.append((at_ns, px, qty))
    again = data.draw(st.lists(st.sampled_from(prints), max_size=10))
    shuffled = data.draw(st.permutations([*prints, *again]))
    expected = []
    for start_ns in sorted({at_ns // MINUTE_NS * MINUTE_NS for at_ns, _, _ in stands}):
        of_minute = sorted(each for each in stands if each[0] // MINUTE_NS * MINUTE_NS == start_ns)
        expected.append(bar(start_ns, *((px, qty) for _, px, qty in of_minute)))
    assert [msgspec.structs.replace(each, vwap_px=None) for each in books(*shuffled)] == [
        msgspec.structs.replace(each, vwap_px=None) for each in expected
    ]
    volume, money = sum(qty for _, _, qty in stands), sum(px * qty for _, px, qty in stands)
    row = benchmark(*shuffled)
    assert (row.interval_vwap_qty, row.interval_vwap_px) == (volume, round(money / volume) if volume else None)


def benchmark(*prints: TradePrint) -> TCARow:
    """The row of a child that was sent before and filled after all of these."""
    b = Bench(TCAStage(), swap_every=0)
    b.feed(*prints, tca.parent(), tca.child(at_ns=OPEN_NS), tca.fill(at_ns=OPEN_NS + 10 * MINUTE_NS), tca.over())
    return tca.rows(b, OPEN_NS + 11 * MINUTE_NS)["C1"]


@pytest.mark.parametrize("truth", TRUTHS)
def test_tca_measures_against_the_same_tape_whatever_the_order(truth: str) -> None:
    prints, expected = TRUTHS[truth]
    volume = sum(each.vwap_qty for each in expected)
    money = sum(each.vwap_money for each in expected)
    for order in permutations(prints):
        row = benchmark(*order)
        assert (row.interval_vwap_qty, row.interval_vwap_px) == (volume, round(money / volume))


def test_a_print_of_yesterdays_id_is_another_print_and_a_cancel_finds_its_own_day() -> None:
    yesterday = told("1", OPEN_NS - DAY_NS, 500, 3)
    today = told("1", OPEN_NS, 1000, 10)
    b = Bench(AnalyticsStage())
    b.feed(yesterday, today, told("c", OPEN_NS, 1, 1, PrintKind.CANCEL, "1"))
    found = {bar.start_ns: bar.volume_qty for bar in b.all(Bar, b.feed(tick(OPEN_NS + MINUTE_NS)))}
    assert found == {OPEN_NS - DAY_NS: 3, OPEN_NS: 0}, "the cancel is of today's"


@pytest.mark.parametrize("cancel_first", [True, False])
def test_a_cancel_after_midnight_takes_back_yesterdays_print_whichever_comes_first(cancel_first: bool) -> None:
    yesterday = told("1", OPEN_NS - DAY_NS, 500, 3)
    cancel = told("c", OPEN_NS, 1, 1, PrintKind.CANCEL, "1")
    b = Bench(AnalyticsStage())
    b.feed(*((cancel, yesterday) if cancel_first else (yesterday, cancel)))
    assert [bar.volume_qty for bar in b.all(Bar, b.feed(tick(OPEN_NS + MINUTE_NS)))] in ([], [0])


def test_what_comes_after_its_day_is_final_neither_restates_a_bar_nor_begins_it_anew() -> None:
    b = Bench(AnalyticsStage())
    b.feed(tick(OPEN_NS), TRADE, OTHER)
    b.feed(tick(OPEN_NS + MINUTE_NS))
    b.feed(tick(OPEN_NS + DAY_NS, TODAY + 1))
    late = [told("7", OPEN_NS + 5, 9, 9), TRADE, FIRST, CANCEL, told("k", OPEN_NS + 5, 8, 8, PrintKind.CORRECT, "0")]
    assert b.all(Bar, b.feed(*late, tick(OPEN_NS + DAY_NS + 10 * MINUTE_NS, TODAY + 1))) == []


def test_identities_are_kept_for_the_day_only() -> None:
    b = Bench(AnalyticsStage())
    never = told("x", OPEN_NS + 3, 1, 1, PrintKind.CANCEL, "never")
    b.feed(tick(OPEN_NS), TRADE, FIRST, OF_FIRST, never, tick(OPEN_NS + MINUTE_NS))
    b.feed(tick(OPEN_NS + DAY_NS, TODAY + 1))
    left = {key.partition("/")[0] for key, _ in b.state.dump()}
    assert not left & {"prints", "print-families", "print-family-of", "minutes", "chunks", "bars"}, left
