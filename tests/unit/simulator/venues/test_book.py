from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.executions import Liquidity
from pipeline.domain.market import BookEvent, BookEventKind
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.simulator.venues.book import OrderBook, anonymous_ref, record_only
from pipeline.simulator.venues.lit import arrive
from pipeline.simulator.venues.orders import Execution, VenueOrder

TICK = 10_000_000


class Tape:
    """Feeds a book with events by hand."""

    def __init__(self) -> None:
        self.book: OrderBook = record_only()
        self.no = 0
        self.changed: list[VenueOrder] = []

    def __call__(self, kind: BookEventKind, side: Side, qty: int, ticks: int, ref: str = "") -> list[Execution]:
        self.no += 1
        event = BookEvent(
            kind=kind, venue="X", instrument="I", event_ns=self.no, event_no=self.no, order_ref=ref, side=side, qty=qty,
            px=ticks * TICK,
        )  # fmt: skip
        return self.book.apply(event, self.changed)


def own(side: Side, qty: int, ticks: int | None, no: int = 1, tif: TimeInForce = TimeInForce.DAY) -> VenueOrder:
    ord_type = OrdType.MARKET if ticks is None else OrdType.LIMIT
    px = None if ticks is None else ticks * TICK
    return VenueOrder("X", "I", f"W{no}", no, side, ord_type, tif, px, qty, 0, leaves_qty=qty)


def test_our_order_fills_last_at_its_price() -> None:
    tape = Tape()
    tape(BookEventKind.ADD, Side.BUY, 100, 10, "A")
    mine = own(Side.BUY, 50, 10)
    arrive(tape.book, mine, post_only=False)
    tape(BookEventKind.ADD, Side.BUY, 100, 10, "B")
    assert mine.ahead_qty == 200
    assert tape(BookEventKind.EXECUTE, Side.BUY, 100, 10, "A") == []
    assert tape(BookEventKind.EXECUTE, Side.BUY, 100, 10, "B") == []
    assert mine.ahead_qty == 0
    # Hidden interest yields to what is displayed, once nobody displayed is ahead.
    assert tape(BookEventKind.EXECUTE_HIDDEN, Side.BUY, 30, 10) == [Execution(mine, 30, 10 * TICK, Liquidity.ADDED)]


def test_only_executions_move_the_queue() -> None:
    tape = Tape()
    tape(BookEventKind.ADD, Side.BUY, 100, 10, "A")
    mine = own(Side.BUY, 50, 10)
    arrive(tape.book, mine, post_only=False)
    tape(BookEventKind.REDUCE, Side.BUY, 40, 10, "A")
    tape(BookEventKind.DELETE, Side.BUY, 60, 10, "A")
    assert mine.ahead_qty == 100
    assert tape(BookEventKind.EXECUTE_HIDDEN, Side.BUY, 30, 10) == []


def test_an_execution_beyond_our_price_meets_us_first_and_its_aggressor_does_not_trade_again() -> None:
    tape = Tape()
    tape(BookEventKind.ADD, Side.BUY, 100, 9, "A")
    first, second = own(Side.BUY, 30, 10), own(Side.BUY, 30, 11, no=2)
    arrive(tape.book, first, post_only=False)
    arrive(tape.book, second, post_only=False)
    executions = tape(BookEventKind.EXECUTE, Side.BUY, 70, 9, "A")
    assert [(e.order.no, e.qty, e.px) for e in executions] == [(2, 30, 11 * TICK), (1, 30, 10 * TICK)]
    totals = tape.book.totals
    assert (totals.aggressive_qty, totals.own_qty, totals.record_qty, totals.displaced_qty) == (70, 60, 10, 0)
    # The record's order leaves as recorded all the same.
    assert tape.book.levels(Side.BUY, 5) == [(9 * TICK, 30)]


def test_what_we_took_stays_gone_until_the_recorded_order_leaves() -> None:
    tape = Tape()
    tape(BookEventKind.ADD, Side.SELL, 100, 10, "A")
    arrive(tape.book, own(Side.BUY, 60, 10, tif=TimeInForce.IOC), post_only=False)
    again = own(Side.BUY, 60, 10, no=2, tif=TimeInForce.IOC)
    arrive(tape.book, again, post_only=False)
    assert again.cum_qty == 40
    # 30 of it leave: what is left is ours anyway. Then the rest leaves, and a new order is whole.
    tape(BookEventKind.REDUCE, Side.SELL, 30, 10, "A")
    assert tape.book.marketable(own(Side.BUY, 1, 10)) == []
    assert tape(BookEventKind.EXECUTE, Side.SELL, 70, 10, "A") == []
    assert tape.book.totals.displaced_qty == 70
    tape(BookEventKind.ADD, Side.SELL, 100, 10, "A")
    assert tape.book.marketable(own(Side.BUY, 1, 10)) == [(10 * TICK, 100)]


def test_orders_nobody_introduced_come_out_of_the_levels_anonymous_quantity() -> None:
    tape = Tape()
    tape(BookEventKind.ADD, Side.SELL, 100, 10, anonymous_ref(Side.SELL, 10 * TICK))
    tape(BookEventKind.ADD, Side.SELL, 50, 10, "A")
    tape(BookEventKind.DELETE, Side.SELL, 30, 10, "unknown")
    assert tape.book.levels(Side.SELL, 1) == [(10 * TICK, 120)]
    tape(BookEventKind.EXECUTE, Side.SELL, 90, 10, "unknown too")
    assert tape.book.levels(Side.SELL, 1) == [(10 * TICK, 50)]
    assert tape.book.totals.record_qty == 90


def test_a_recorded_order_that_enters_through_our_price_trades_with_us() -> None:
    tape = Tape()
    mine = own(Side.BUY, 50, 10)
    arrive(tape.book, mine, post_only=False)
    assert tape(BookEventKind.ADD, Side.SELL, 80, 9, "A") == [Execution(mine, 50, 10 * TICK, Liquidity.ADDED)]
    assert tape.book.marketable(own(Side.BUY, 1, 10, no=2)) == [(9 * TICK, 30)]


def test_our_orders_never_meet() -> None:
    tape = Tape()
    tape(BookEventKind.ADD, Side.SELL, 10, 9, "A")
    tape(BookEventKind.ADD, Side.SELL, 10, 11, "B")
    resting = own(Side.SELL, 50, 10)
    arrive(tape.book, resting, post_only=False)
    answers = arrive(tape.book, own(Side.BUY, 50, 12, no=2), post_only=False)
    assert [(a.kind.value, a.last_qty, a.reason) for a in answers] == [
        ("NEW", 0, ""),
        ("TRADE", 10, ""),
        ("CANCELED", 0, "SELF_TRADE_PREVENTED"),
    ]
    assert resting.cum_qty == 0


STEP = st.tuples(
    st.sampled_from(
        ["add", "add", "reduce", "delete", "execute", "execute", "hidden", "buy", "sell", "cancel", "clear"]
    ),
    st.booleans(),
    st.integers(1, 60),
    st.integers(0, 5),
    st.integers(0, 8),
)


def _play(steps: list[tuple[str, bool, int, int, int]]) -> tuple[Tape, list[VenueOrder], list[list[int]]]:
    """Random events as a record could show them (never crossed), and orders of ours in between."""
    tape = Tape()
    refs: dict[str, tuple[Side, int, int]] = {}
    mine: list[VenueOrder] = []
    history = []
    for number, (what, is_buy, qty, distance, pick) in enumerate(steps):
        side = Side.BUY if is_buy else Side.SELL
        ticks = 100 - side.sign * (distance + 1)
        ref = sorted(refs)[pick % len(refs)] if refs else ""
        if what == "add":
            tape(BookEventKind.ADD, side, qty, ticks, f"R{number}")
            refs[f"R{number}"] = (side, qty, ticks)
        elif what == "hidden":
            tape(BookEventKind.EXECUTE_HIDDEN, side, qty, ticks)
        elif what in ("reduce", "delete", "execute") and ref:
            at_side, left, at_ticks = refs[ref]
            part = left if what == "delete" else min(qty, left)
            kind = {"reduce": BookEventKind.REDUCE, "delete": BookEventKind.DELETE, "execute": BookEventKind.EXECUTE}
            tape(kind[what], at_side, part, at_ticks, ref)
            refs[ref] = (at_side, left - part, at_ticks)
            if part == left:
                del refs[ref]
        elif what in ("buy", "sell"):
            order_side = Side.BUY if what == "buy" else Side.SELL
            tif = TimeInForce.IOC if pick == 0 else TimeInForce.DAY
            order = own(order_side, qty, None if pick == 1 else 97 + distance, no=number, tif=tif)
            arrive(tape.book, order, post_only=pick == 2 and tif is TimeInForce.DAY)
            mine.append(order)
        elif what == "cancel" and tape.book.own:
            tape.book.withdraw(tape.book.own[pick % len(tape.book.own)])
        elif what == "clear" and pick == 0:
            tape(BookEventKind.CLEAR, Side.UNKNOWN, 0, 0)
            refs.clear()
        history.append([order.cum_qty for order in mine])
        totals = tape.book.totals
        assert totals.aggressive_qty == totals.own_qty + totals.record_qty + totals.displaced_qty
        assert 0 <= totals.displaced_qty <= totals.taken_qty
        assert all(order.cum_qty <= order.order_qty for order in mine)
        # The record drives: whatever we do, the book shows what it says.
        shown: dict[tuple[Side, int], int] = {}
        for at_side, left, at_ticks in refs.values():
            shown[at_side, at_ticks * TICK] = shown.get((at_side, at_ticks * TICK), 0) + left
        assert {(s, px): q for s in (Side.BUY, Side.SELL) for px, q in tape.book.levels(s, 99)} == shown
    return tape, mine, history


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_recorded_aggressive_volume_is_what_filled_us_and_what_filled_the_record(
    steps: list[tuple[str, bool, int, int, int]],
) -> None:
    tape, mine, _ = _play(steps)
    totals = tape.book.totals
    assert sum(order.cum_qty for order in mine) == totals.own_qty + totals.taken_qty


@settings(max_examples=100, deadline=None)
@given(st.lists(STEP, min_size=2, max_size=30), st.lists(STEP, max_size=30))
def test_another_future_changes_no_past_execution(
    past: list[tuple[str, bool, int, int, int]], future: list[tuple[str, bool, int, int, int]]
) -> None:
    _, _, alone = _play(past)
    _, _, continued = _play(past + future)
    assert continued[: len(past)] == alone


def test_an_empty_market_fills_nothing() -> None:
    tape = Tape()
    order = own(Side.BUY, 100, None, tif=TimeInForce.IOC)
    answers = arrive(tape.book, order, post_only=False)
    assert [a.kind.value for a in answers] == ["NEW", "CANCELED"]
    resting = own(Side.SELL, 100, 10, no=2)
    arrive(tape.book, resting, post_only=False)
    assert (order.cum_qty, resting.cum_qty, resting.leaves_qty) == (0, 0, 100)
