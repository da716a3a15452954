"""B and I in TCA: a quote counts at its own time, whenever it is read; a crossed or one-sided one is no benchmark.

Examples: an older quote read last, an arrival from a crossed quote. Siblings: two quotes of one nanosecond, quotes in
any order, a quote repeated, a burst of quotes between receipt and the tick, an order read long after its receipt, the
price of a child at a crossed market, the midpoint at an order's end, a market that stays crossed, markouts and savings.
"""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from pipeline.domain.market import NBBO, QuoteKind
from pipeline.domain.orders import Side
from pipeline.stages.tca.parameters import TCAParameters
from pipeline.stages.tca.stage import TCAStage
from pipeline.tca.report import fairness
from pipeline.tca.savings import savings
from tests.stage_bench import Bench
from tests.unit.stages.tca.test_stage import PX, T0, S, allocation, bench, child, fill, order, over, parent, quote, rows
from tests.unit.tca import test_report as of_report
from tests.unit.tca import test_savings as of_savings


def sides(at_ns: int, bid_px: int | None, offer_px: int | None, quote_no: int = 1) -> NBBO:
    return NBBO(kind=QuoteKind.NBBO, instrument="XYZ", feed="f", event_ns=at_ns, received_ns=at_ns, quote_no=quote_no,
                bid_px=bid_px, bid_qty=1, offer_px=offer_px, offer_qty=1)  # fmt: skip


def arrival(*quotes: NBBO, b: Bench | None = None) -> int | None:  # type: ignore[type-arg]
    """Of an order received at T0 + 5 s, with these quotes read in this order."""
    b = b or bench()
    b.feed(*quotes, order())
    b.tick(T0 + 6 * S)
    b.feed(allocation("A1", 30, 110 * PX, T0 + 20 * S))
    return rows(b, T0 + 21 * S)["O1"].arrival_px


def test_an_older_quote_read_last_is_not_the_arrival_price() -> None:
    assert arrival(quote(T0 + 3 * S, 110 * PX), quote(T0 + S, 100 * PX)) == 110 * PX


def test_quotes_in_any_order_give_one_arrival_price() -> None:
    quotes = [
        quote(T0, 90 * PX), quote(T0 + 2 * S, 100 * PX), sides(T0 + 4 * S, 119 * PX, 121 * PX, 7),
        sides(T0 + 4 * S, 109 * PX, 111 * PX, 8), quote(T0 + 5 * S + 1, 500 * PX),
    ]  # fmt: skip
    for order_read in permutations(quotes):
        assert arrival(*order_read, order_read[0]) == 110 * PX, "of two in one nanosecond the higher number"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((200 * PX, 100 * PX), id="crossed"),
        pytest.param((None, 100 * PX), id="no bid"),
        pytest.param((100 * PX, None), id="no offer"),
        pytest.param((None, None), id="neither"),
        pytest.param((-1, 100 * PX), id="a bid of -1"),
        pytest.param((100 * PX, 0), id="an offer of 0"),
    ],
)
def test_a_quote_without_a_midpoint_is_no_benchmark_and_the_last_one_speaks_for_a_while(
    bad: tuple[int | None, int | None],
) -> None:
    assert arrival(quote(T0, 100 * PX), sides(T0 + 4 * S, *bad)) == 100 * PX
    patient = Bench(TCAStage(TCAParameters(quote_patience_ns=S)))
    assert arrival(quote(T0, 100 * PX), sides(T0 + 3 * S, *bad), b=patient) is None, "for no longer than the patience"
    assert arrival(sides(T0 + 4 * S, *bad)) is None
    assert arrival(quote(T0, 90 * PX), sides(T0 + 3 * S, *bad), sides(T0 + 4 * S, 99 * PX, 101 * PX)) == 100 * PX


def test_a_locked_market_has_the_price_that_both_sides_agree_on() -> None:
    assert arrival(quote(T0, 90 * PX), sides(T0 + 4 * S, 100 * PX, 100 * PX)) == 100 * PX


def test_a_burst_of_quotes_after_the_receipt_does_not_push_the_arrival_price_out() -> None:
    """Kept by time, not by count: an order read a tick later finds the quote of its receipt under hundreds of later."""
    b = Bench(TCAStage(), swap_every=50)
    b.feed(quote(T0, 100 * PX), *(quote(T0 + 6 * S + no, 200 * PX) for no in range(300)))
    b.tick(T0 + 7 * S)
    b.tick(T0 + 8 * S)
    b.feed(order(received_ns=T0 + 5 * S))
    b.tick(T0 + 9 * S)
    b.feed(allocation("A1", 30, 110 * PX, T0 + 20 * S))
    assert rows(b, T0 + 21 * S)["O1"].arrival_px == 100 * PX


def test_an_order_read_after_its_quotes_are_forgotten_has_no_arrival_and_old_quotes_give_it_none() -> None:
    b = bench()
    b.feed(quote(T0, 100 * PX), quote(T0 + 50 * S, 200 * PX), quote(T0 + 100 * S, 300 * PX))
    b.tick(T0 + 101 * S)
    b.feed(quote(T0 + 4 * S, 999 * PX), order(received_ns=T0 + 5 * S), order("O2", received_ns=T0 + 99 * S))
    b.tick(T0 + 102 * S)
    b.feed(allocation("A1", 30, 110 * PX, T0 + 103 * S))
    b.feed(msgspec.structs.replace(allocation("A2", 30, 110 * PX, T0 + 103 * S), order_id="O2"))
    found = rows(b, T0 + 104 * S)
    assert (found["O1"].arrival_px, found["O2"].arrival_px) == (None, 200 * PX)


def test_the_price_left_behind_is_of_the_end_itself_whatever_is_quoted_after_it() -> None:
    b = bench()
    b.feed(quote(T0, 100 * PX), msgspec.structs.replace(order(), end_ns=T0 + 60 * S))
    b.tick(T0 + 6 * S)
    b.feed(quote(T0 + 61 * S, 300 * PX), sides(T0 + 59 * S, 130 * PX, 120 * PX), quote(T0 + 58 * S, 110 * PX))
    assert rows(b, T0 + 62 * S)["O1"].last_px == 110 * PX


def test_a_child_sent_into_a_crossed_market_has_no_arrival_and_gives_its_parent_no_release_price() -> None:
    b = bench()
    crossed = msgspec.structs.replace(child(), bid_px=120 * PX, offer_px=100 * PX)
    b.feed(parent(), crossed, fill(), over())
    found = rows(b, T0 + 30 * S)
    assert [(row.arrival_px, row.arrival_cost_mbps) for row in found.values() if row.subject_id == "C1"] == [
        (None, None)
    ]
    assert (found["P"].release_px, found["P"].aggregation_delay_cost_mbps) == (None, None)


def test_markouts_of_crosses_are_of_the_later_quote_and_never_of_a_crossed_one() -> None:
    def at(event_ns: int, midpoint_px: int, quote_no: int) -> NBBO:
        return msgspec.structs.replace(of_report.quote(event_ns, midpoint_px), quote_no=quote_no)

    bad = msgspec.structs.replace(of_report.quote(19, 5_000), bid_px=9_000, offer_px=1_000)
    quotes = [at(5, 1_000, 1), at(15, 1_020, 3), at(15, 1_010, 2), bad, at(40, 900, 9)]
    for order_read in permutations(quotes):
        found = fairness([of_report.cross(10, 1_000), *order_read], horizon_ns=10)
        assert {markout.account: markout.gained for markout in found} == {"A": 600, "B": -200, "C": -400}


def test_what_was_not_done_is_worth_the_last_midpoint_by_time_in_the_savings() -> None:
    late = msgspec.structs.replace(of_savings.quote(49 * PX, 51 * PX), event_ns=1)
    bad = msgspec.structs.replace(of_savings.quote(300 * PX, 100 * PX), event_ns=99)
    day = [of_savings.order("O1", Side.BUY, 100, "c1"), of_savings.arrived("O1", 100 * PX)]
    quotes = [of_savings.quote(109 * PX, 111 * PX), late, bad]
    for order_read in permutations(quotes):
        assert savings([*day, *order_read], day).together.opportunity == 1_000 * PX
