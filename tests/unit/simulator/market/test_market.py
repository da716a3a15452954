from collections import Counter
from pathlib import Path

import pytest

from pipeline.domain.market import (
    NBBO,
    BookEvent,
    BookEventKind,
    Depth,
    QuoteKind,
    SessionState,
    TradePrint,
    VenueStatus,
)
from pipeline.domain.orders import Side
from pipeline.domain.record import Record
from pipeline.domain.units import NS_PER_S
from pipeline.errors import WrongUse
from pipeline.gateways.lobster_files import find_day
from pipeline.simulator.market.market import (
    DARK_VENUE,
    FIRST_VENUE,
    SECOND_VENUE,
    VENUES,
    RecordedMarket,
    Source,
    market_records,
    window_of,
)
from pipeline.simulator.market.synthetic import SimulatedMarket
from pipeline.simulator.venues.book import record_only

START = 1_340_285_400 * NS_PER_S
TICK = 10_000_000


def simulated(seed: int = 1, length_s: int = 600, instrument: str = "SIMA") -> SimulatedMarket:
    return SimulatedMarket(
        instrument=instrument, start_ns=START, end_ns=START + length_s * NS_PER_S, trade_date=20120621, seed=seed
    )


@pytest.fixture(scope="module", params=["simulated", "recorded"])
def day(request: pytest.FixtureRequest) -> tuple[Source, list[tuple[int, Record]]]:
    source: Source = simulated()
    if request.param == "recorded":
        folder = request.getfixturevalue("recorded_data") / "lobster"
        source = RecordedMarket(find_day(folder / "LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"))
    return source, list(market_records(source))


def test_time_never_runs_back_and_each_venue_counts_its_events(day: tuple[Source, list[tuple[int, Record]]]) -> None:
    window = window_of(day[0])
    last_ns = window.start_ns
    numbers = Counter[str]()
    for at_ns, record in day[1]:
        assert last_ns <= at_ns <= window.end_ns
        last_ns = at_ns
        assert getattr(record, "event_ns", at_ns) == at_ns
        if isinstance(record, BookEvent):
            numbers[record.venue] += 1
            assert record.event_no == numbers[record.venue]
    assert numbers[FIRST_VENUE] > 2_000
    assert numbers[SECOND_VENUE] > 100


def test_the_books_are_never_crossed_and_the_second_is_never_better(
    day: tuple[Source, list[tuple[int, Record]]],
) -> None:
    books = {venue: record_only() for venue in (FIRST_VENUE, SECOND_VENUE)}
    checked = 0
    for _, record in day[1]:
        if isinstance(record, BookEvent):
            books[record.venue].apply(record, [])
        if not isinstance(record, NBBO):
            continue
        best = {
            (venue, side): levels[0][0]
            for venue, book in books.items()
            for side in (Side.BUY, Side.SELL)
            if (levels := book.levels(side, 1))
        }
        assert best[FIRST_VENUE, Side.BUY] < best[FIRST_VENUE, Side.SELL]
        assert best.get((SECOND_VENUE, Side.BUY), 0) <= best[FIRST_VENUE, Side.BUY]
        assert best.get((SECOND_VENUE, Side.SELL), 1 << 62) >= best[FIRST_VENUE, Side.SELL]
        assert record.bid_px is not None and record.offer_px is not None
        assert record.bid_px < record.offer_px
        assert record.bid_px % TICK == record.offer_px % TICK == 0
        checked += 1
    assert checked > 300


def test_quotes_say_what_they_are_of(day: tuple[Source, list[tuple[int, Record]]]) -> None:
    source, records = day
    quotes = [record for _, record in records if isinstance(record, NBBO)]
    one_venue = isinstance(source, RecordedMarket)
    assert {quote.kind for quote in quotes} == {QuoteKind.BBO if one_venue else QuoteKind.NBBO}
    assert {quote.feed for quote in quotes} == {"LOBSTER" if one_venue else "SIMULATED"}
    assert [quote.quote_no for quote in quotes] == list(range(1, len(quotes) + 1))
    assert all(a[1:] != b[1:] for a, b in zip(map(_said, quotes), map(_said, quotes[1:]), strict=False))
    if not one_venue:
        assert all(quote.bid_qty >= 100 and quote.offer_qty >= 100 for quote in quotes), "odd lots set no NBBO"


def _said(quote: NBBO) -> tuple[object, ...]:
    return (0, quote.bid_px, quote.bid_qty, quote.bid_venue, quote.offer_px, quote.offer_qty, quote.offer_venue)


def test_each_execution_is_one_print(day: tuple[Source, list[tuple[int, Record]]]) -> None:
    done = (BookEventKind.EXECUTE, BookEventKind.EXECUTE_HIDDEN)
    events = [r for _, r in day[1] if isinstance(r, BookEvent) and r.kind in done]
    prints = [r for _, r in day[1] if isinstance(r, TradePrint)]
    assert [(e.venue, e.px, e.qty, e.kind is BookEventKind.EXECUTE_HIDDEN) for e in events] == [
        (p.venue, p.px, p.qty, p.hidden) for p in prints
    ]
    assert len({(p.venue, p.print_id) for p in prints}) == len(prints)
    assert all(p.eligible_last == (p.qty >= 100) and p.eligible_vwap for p in prints)


def test_depth_is_told_with_each_new_best_and_else_not_too_often(day: tuple[Source, list[tuple[int, Record]]]) -> None:
    last: dict[str, Depth] = {}
    for _, record in day[1]:
        if not isinstance(record, Depth):
            continue
        before = last.get(record.venue)
        last[record.venue] = record
        assert len(record.bids) <= 5 and len(record.offers) <= 5
        assert [level.px for level in record.bids] == sorted((level.px for level in record.bids), reverse=True)
        if before is not None and (before.bids[:1], before.offers[:1]) == (record.bids[:1], record.offers[:1]):
            assert record.event_ns - before.event_ns >= 100_000_000


def test_all_venues_open_and_close(day: tuple[Source, list[tuple[int, Record]]]) -> None:
    window = window_of(day[0])
    statuses = [record for _, record in day[1] if isinstance(record, VenueStatus)]
    opens = [(VENUES[i], SessionState.OPEN, window.start_ns) for i in range(3)]
    closes = [(VENUES[i], SessionState.CLOSED, window.end_ns) for i in range(3)]
    assert [(s.venue, s.state, s.event_ns) for s in statuses] == opens + closes
    assert isinstance(day[1][0][1], VenueStatus)
    assert DARK_VENUE in VENUES


def test_the_same_seed_gives_the_same_day_and_another_seed_another() -> None:
    first = list(market_records(simulated(length_s=60)))
    assert list(market_records(simulated(length_s=60))) == first
    assert list(market_records(simulated(seed=2, length_s=60))) != first


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_simulated_market_looks_like_a_market(seed: int) -> None:
    records = [record for _, record in market_records(simulated(seed))]
    quotes = [r for r in records if isinstance(r, NBBO)]
    spreads = sorted((q.offer_px or 0) - (q.bid_px or 0) for q in quotes)
    assert TICK <= spreads[len(spreads) // 2] <= 5 * TICK
    volume = sum(r.qty for r in records if isinstance(r, TradePrint))
    assert 12_000 < volume < 60_000
    midpoints = [q.midpoint_px or 0 for q in quotes]
    assert 5 * TICK <= max(midpoints) - min(midpoints) <= 100 * TICK, "the price moves, and not away"


def test_several_markets_are_merged_by_time_and_an_instrument_has_one() -> None:
    both = list(market_records(simulated(length_s=30), simulated(length_s=30, instrument="SIMB")))
    assert [at for at, _ in both] == sorted(at for at, _ in both)
    for name in ("SIMA", "SIMB"):
        alone = list(market_records(simulated(length_s=30, instrument=name)))
        assert [pair for pair in both if getattr(pair[1], "instrument", "") == name] == alone
    with pytest.raises(WrongUse, match="SIMA"):
        market_records(simulated(), simulated(seed=2))


def test_a_halt_is_told_of_every_venue(tmp_path: Path) -> None:
    name = "TEST_2012-06-21_34200000_57600000_{}_2.csv"
    row = "1200000,10,1000000,5,1300000,7,900000,1\n"
    lines = ["34200.1,1,7,5,1000000,1", "34201,7,0,0,-1,-1", "34203,7,0,0,1,-1"]
    (tmp_path / name.format("message")).write_text("\n".join(lines) + "\n")
    (tmp_path / name.format("orderbook")).write_text(row * 3)
    records = [record for _, record in market_records(RecordedMarket(find_day(tmp_path)))]
    states = [(r.venue, r.state.value) for r in records if isinstance(r, VenueStatus)][3:-3]
    assert states == [(v, "HALTED") for v in VENUES] + [(v, "OPEN") for v in VENUES]
    halts = [r.venue for r in records if isinstance(r, BookEvent) and r.kind is BookEventKind.HALT]
    assert halts == [FIRST_VENUE, SECOND_VENUE]
