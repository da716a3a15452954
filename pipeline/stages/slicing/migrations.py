"""How slicing's state of an older version becomes this one's. Entries as older code wrote them are kept here for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from pipeline.domain.market import NBBO, SessionState
from pipeline.stage import Migration
from pipeline.stages.shared.market_entries import LatestQuote, Levels, Status
from pipeline.stages.slicing.entries import SampledMarket
from pipeline.state import Entry

_encode = msgspec.msgpack.encode


class MarketV1(Entry):
    """Version 1 of the table `markets`: the quote stood in it."""

    bid_px: int | None = None
    bid_qty: int = 0
    offer_px: int | None = None
    offer_qty: int = 0
    quote_ns: int = 0
    volume_qty: int = 0
    sampled_ns: int = 0
    spreads: list[int] = []
    midpoints: list[int] = []
    median_spread_px: int = 0
    volatility_px: int = 0
    venues: list[str] = []


class BookV1(Entry):
    """Version 1 of the table `books`: nothing was said of gaps."""

    bids: list[tuple[int, int]] = []
    offers: list[tuple[int, int]] = []


class StatusV1(Entry):
    """Version 1 of the table `statuses`."""

    state: str = SessionState.UNKNOWN


def _to_2(key: str, value: bytes) -> Iterable[tuple[str, bytes]]:
    """The quote gets a table of its own, as in routing; depth says whether it has a gap, a status has its bands.

    What version 1 did not keep of a quote (its venues, feed and number) is empty until the next one comes.
    """
    table, _, row = key.partition("/")
    match table:
        case "markets":
            old = msgspec.msgpack.decode(value, type=MarketV1)
            market = SampledMarket(
                volume_qty=old.volume_qty,
                sampled_ns=old.sampled_ns,
                spreads=old.spreads,
                midpoints=old.midpoints,
                median_spread_px=old.median_spread_px,
                volatility_px=old.volatility_px,
                venues=old.venues,
            )
            yield key, _encode(market)
            if old.quote_ns:
                yield f"quotes/{row}", _encode(LatestQuote(_quote(row, old)))
        case "books":
            book = msgspec.msgpack.decode(value, type=BookV1)
            yield key, _encode(Levels(_displayed(book.bids), _displayed(book.offers)))
        case "statuses":
            yield key, _encode(Status(SessionState(msgspec.msgpack.decode(value, type=StatusV1).state)))
        case _:
            yield key, value


def _quote(instrument: str, old: MarketV1) -> NBBO:
    return NBBO(
        instrument=instrument,
        feed="",
        event_ns=old.quote_ns,
        received_ns=old.quote_ns,
        quote_no=0,
        bid_px=old.bid_px,
        bid_qty=old.bid_qty,
        offer_px=old.offer_px,
        offer_qty=old.offer_qty,
    )


def _displayed(levels: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(px, qty) for px, qty in levels if qty > 0]


MIGRATIONS: Final[Mapping[int, Migration]] = {1: _to_2}
