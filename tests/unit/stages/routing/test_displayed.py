"""What routing sees: snapshots replace, changes change, after a gap nothing is known until the next snapshot."""

from __future__ import annotations

from pipeline.domain.market import NBBO, Depth, DepthKind, Level, QuoteKind, SessionState
from pipeline.domain.orders import Side
from pipeline.stages.routing.displayed import Displayed
from pipeline.state import State, Task


class Some(State):
    def __init__(self) -> None:
        super().__init__(Task("some", 0, 1))
        self.displayed = Displayed(self)


def depth(
    kind: DepthKind, bids: tuple[tuple[int, int], ...], offers: tuple[tuple[int, int], ...], gap: bool = False
) -> Depth:
    return Depth(
        kind=kind,
        venue="V",
        instrument="A",
        event_ns=0,
        received_ns=0,
        event_no=1,
        gap=gap,
        bids=tuple(Level(px=px, qty=qty) for px, qty in bids),
        offers=tuple(Level(px=px, qty=qty) for px, qty in offers),
    )


def nbbo() -> NBBO:
    return NBBO(
        kind=QuoteKind.NBBO,
        instrument="A",
        feed="f",
        event_ns=0,
        received_ns=0,
        quote_no=1,
        bid_px=8,
        bid_venue="V",
        offer_px=12,
        offer_venue="W",
        writer="feed@1",
        seq=7,
    )


def test_changes_replace_remove_and_insert_levels_in_order() -> None:
    displayed = Some().displayed
    displayed.on_depth(depth(DepthKind.SNAPSHOT, ((9, 1), (8, 1)), ((11, 1),)))
    assert (displayed.far_px("A", "V", Side.SELL), displayed.far_px("A", "V", Side.BUY)) == (9, 11)
    displayed.on_depth(depth(DepthKind.CHANGE, ((9, 0),), ((10, 5),)))
    assert (displayed.far_px("A", "V", Side.SELL), displayed.far_px("A", "V", Side.BUY)) == (8, 10)
    displayed.on_depth(depth(DepthKind.CHANGE, (), ((10, 0), (11, 0))))
    assert displayed.far_px("A", "V", Side.BUY) is None


def test_after_a_gap_the_quote_is_all_that_is_known_until_the_next_snapshot() -> None:
    displayed = Some().displayed
    displayed.on_depth(depth(DepthKind.SNAPSHOT, ((9, 1),), ((11, 1),)))
    displayed.on_depth(depth(DepthKind.CHANGE, ((7, 1),), (), gap=True))
    displayed.on_depth(depth(DepthKind.CHANGE, ((6, 1),), ()))
    assert displayed.far_px("A", "V", Side.SELL) is None
    displayed.on_nbbo(nbbo())
    assert displayed.far_px("A", "V", Side.SELL) == 8
    assert displayed.far_px("A", "V", Side.BUY) is None, "W shows the offer"
    displayed.on_depth(depth(DepthKind.SNAPSHOT, ((9, 1),), ((11, 1),)))
    assert displayed.far_px("A", "V", Side.SELL) == 9


def test_changes_before_any_snapshot_tell_nothing() -> None:
    displayed = Some().displayed
    displayed.on_depth(depth(DepthKind.CHANGE, ((9, 1),), ((11, 1),)))
    assert displayed.far_px("A", "V", Side.SELL) is None


def test_a_venue_that_has_said_nothing_is_not_open() -> None:
    assert Some().displayed.status("A", "V").state is SessionState.UNKNOWN
