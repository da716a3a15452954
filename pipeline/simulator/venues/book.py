"""A price-time book that replays recorded events, order by order, with our orders queued behind: the pessimistic bound.

The record decides. A recorded order enters, shrinks and leaves when the record says so, whatever we did; beside its
quantity the book keeps how much of it we *took*, and that stays gone until the order itself leaves. Of a recorded
execution:

1. our orders at a better price come first, at their own price, best first, then in time; the aggressor they absorbed
   does not trade again, though the record's order leaves as recorded;
2. at the execution's own price we are last: the record's orders, later ones too, are ahead of ours. Only executions
   shorten that queue, cancels never; hidden interest yields to our displayed order once nobody is ahead of it;
3. the rest fills the record, as far as we had not taken it; what comes for quantity we had taken finds nothing.

So, always: aggressive_qty = own_qty + record_qty + displaced_qty, and displaced_qty ≤ taken_qty.

A recorded order that enters at or through the price of a resting order of ours trades with it on arrival, at our price,
and that much of it counts as taken. Why a replay is bounded in this way: docs/design-rules.md, Market data and venues.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from pipeline.domain.executions import Liquidity
from pipeline.domain.market import BookEvent, BookEventKind
from pipeline.domain.orders import Side
from pipeline.simulator.venues.orders import Execution, VenueOrder
from pipeline.state import Entry, Table


class RecordedOrder(Entry):
    """An order of the record: its remaining quantity in the record, and how much of that we took."""

    side: Side
    px: int
    qty: int
    taken_qty: int
    no: int
    """Time priority within the book."""

    @property
    def available_qty(self) -> int:
        """What an order of ours could still take of it."""
        return self.qty - self.taken_qty


class BookTotals(Entry):
    """What a book has counted, in units; the module's docstring has the equation they keep."""

    event_no: int = 0
    order_no: int = 0
    aggressive_qty: int = 0
    """Recorded executions, visible and hidden."""
    own_qty: int = 0
    """The part of aggressive_qty that filled our resting orders."""
    record_qty: int = 0
    """The part of aggressive_qty that filled recorded orders."""
    displaced_qty: int = 0
    """The part of aggressive_qty that found nothing, since we had taken that quantity before."""
    taken_qty: int = 0
    """Recorded quantity we took, or that traded with a resting order of ours as it entered."""


def record_only() -> OrderBook:
    """A book that only follows a record: without orders of ours, and with tables of its own instead of a stage's."""
    return OrderBook("", Table("recorded", RecordedOrder), Table("totals", BookTotals))


def anonymous_ref(side: Side, px: int) -> str:
    """The reference of a level's quantity of unknown orders (those older than the record, or deeper than it shows)."""
    return f"@{'B' if side is Side.BUY else 'S'}{px}"


class _Side:
    """One side of the book: prices in order, and the recorded orders at each in time order."""

    __slots__ = ("levels", "prices")

    def __init__(self) -> None:
        self.prices: list[int] = []
        self.levels: dict[int, dict[str, RecordedOrder]] = {}

    def add(self, ref: str, order: RecordedOrder) -> None:
        level = self.levels.get(order.px)
        if level is None:
            level = self.levels[order.px] = {}
            insort(self.prices, order.px)
        level[ref] = order

    def remove(self, ref: str, order: RecordedOrder) -> None:
        level = self.levels[order.px]
        del level[ref]
        if not level:
            del self.levels[order.px]
            del self.prices[bisect_left(self.prices, order.px)]


class OrderBook:
    """The book of one instrument at one venue, over tables of the stage's state (keys begin with ``prefix``)."""

    def __init__(self, prefix: str, recorded: Table[RecordedOrder], totals: Table[BookTotals]) -> None:
        self._prefix = prefix
        self._recorded = recorded
        self._totals = totals
        self._bids = _Side()
        self._offers = _Side()
        self._own: list[VenueOrder] = []

    # ---------------------------------------------------------------- restoring

    def index(self, ref: str, order: RecordedOrder) -> None:
        """After a restore: enter a recorded order of the table into the price levels. Call in the order of ``no``."""
        self._side(order.side).add(ref, order)

    # ---------------------------------------------------------------- looking

    @property
    def totals(self) -> BookTotals:
        """What the book has counted so far."""
        return self._totals.get(self._prefix) or BookTotals()

    @property
    def own(self) -> list[VenueOrder]:
        """Our resting orders, in time order."""
        return self._own

    def levels(self, side: Side, count: int) -> list[tuple[int, int]]:
        """The best ``count`` levels of the record, (price, quantity): without our orders, with what we took."""
        book = self._side(side)
        prices = book.prices[-count:][::-1] if side is Side.BUY else book.prices[:count]
        return [(px, sum(order.qty for order in book.levels[px].values())) for px in prices]

    def orders_at(self, side: Side, px: int) -> list[tuple[str, int]]:
        """The record's orders at a price, (reference, quantity), oldest first."""
        return [(ref, order.qty) for ref, order in self._side(side).levels.get(px, {}).items()]

    def prices(self, side: Side) -> list[int]:
        """All prices of a side of the record, best first."""
        prices = self._side(side).prices
        return prices[::-1] if side is Side.BUY else list(prices)

    def marketable(self, order: VenueOrder) -> list[tuple[int, int]]:
        """What ``order`` could take now, (price, quantity) best first: recorded, not yet taken, inside its limit."""
        found = []
        book = self._opposite(order.side)
        for px in book.prices if order.is_buy else reversed(book.prices):
            if not order.accepts(px):
                break
            qty = sum(resting.available_qty for resting in book.levels[px].values())
            if qty:
                found.append((px, qty))
        return found

    def own_opposite_px(self, order: VenueOrder) -> int | None:
        """The best price at which ``order`` would meet an order of our own; None when it would not."""
        met = [o.limit_px for o in self._own if o.is_buy != order.is_buy and o.limit_px is not None]
        met = [px for px in met if order.accepts(px)]
        if not met:
            return None
        return min(met) if order.is_buy else max(met)

    # ---------------------------------------------------------------- our orders

    def take(self, order: VenueOrder, px: int, qty: int) -> None:
        """Take ``qty`` of what :meth:`marketable` showed at ``px``, oldest order first.

        Raises AssertionError when there is less: the caller did not ask :meth:`marketable`.
        """
        totals = self.totals
        totals.taken_qty += qty
        self._put_totals(totals)
        for ref, resting in self._opposite(order.side).levels[px].items():
            part = min(qty, resting.available_qty)
            if part:
                resting.taken_qty += part
                self._recorded.put(self._key(ref), resting)
                qty -= part
            if not qty:
                return
        raise AssertionError(f"took {qty} more than there is at {px} in {self._prefix}")

    def rest(self, order: VenueOrder) -> None:
        """Queue ``order``, which has a limit, behind everything recorded at its price."""
        assert order.limit_px is not None
        level = self._side(order.side).levels.get(order.limit_px)
        order.ahead_qty = 0 if level is None else sum(resting.qty for resting in level.values())
        self._own.append(order)

    def resume(self, order: VenueOrder) -> None:
        """After a restore: enter a resting order of ours. Call in time order."""
        self._own.append(order)

    def withdraw(self, order: VenueOrder) -> None:
        """Remove ``order``, which rests in the book."""
        self._own.remove(order)

    # ---------------------------------------------------------------- the record

    def apply(self, event: BookEvent, changed: list[VenueOrder]) -> list[Execution]:
        """Apply a recorded event; returns our executions. Adds to ``changed`` our orders whose quantities it
        changed."""
        totals = self.totals
        totals.event_no = event.event_no
        executions: list[Execution] = []
        match event.kind:
            case BookEventKind.ADD:
                executions = self._add(event, totals, changed)
            case BookEventKind.REDUCE:
                self._shrink(event, event.qty)
            case BookEventKind.DELETE:
                self._shrink(event, None)
            case BookEventKind.EXECUTE | BookEventKind.EXECUTE_HIDDEN:
                executions = self._execute(event, totals, changed)
            case BookEventKind.CLEAR:
                self._clear(changed)
            case BookEventKind.HALT | BookEventKind.RESUME | BookEventKind.UNKNOWN:
                pass
        self._own = [order for order in self._own if order.is_live]
        self._put_totals(totals)
        return executions

    def _add(self, event: BookEvent, totals: BookTotals, changed: list[VenueOrder]) -> list[Execution]:
        ref = event.order_ref or anonymous_ref(event.side, event.px)
        order = self._recorded.get(self._key(ref))
        if order is not None and (order.px, order.side) == (event.px, event.side):
            order.qty += event.qty
        else:
            if order is not None:
                self._drop(ref, order)
            totals.order_no += 1
            order = RecordedOrder(event.side, event.px, event.qty, 0, totals.order_no)
            self._side(event.side).add(ref, order)
        executions = []
        left = event.qty
        for own in self._better(event.side, event.px, opposite=True):
            part = min(left, own.leaves_qty)
            if part:
                executions.append(self._fill(own, part, changed))
                left -= part
        order.taken_qty += event.qty - left
        totals.taken_qty += event.qty - left
        self._recorded.put(self._key(ref), order)
        for own in self._own:
            if self._same(own, event):
                own.ahead_qty += event.qty
                changed.append(own)
        return executions

    def _execute(self, event: BookEvent, totals: BookTotals, changed: list[VenueOrder]) -> list[Execution]:
        totals.aggressive_qty += event.qty
        hidden = event.kind is BookEventKind.EXECUTE_HIDDEN
        executions = []
        left = event.qty
        for own in self._better(event.side, event.px, opposite=False):
            at_price = own.limit_px == event.px
            if at_price and not (hidden and own.ahead_qty == 0):
                continue
            part = min(left, own.leaves_qty)
            if part:
                executions.append(self._fill(own, part, changed))
                left -= part
        totals.own_qty += event.qty - left
        found = left
        if not hidden:
            for own in self._own:
                if own.ahead_qty and self._same(own, event):
                    own.ahead_qty = max(0, own.ahead_qty - event.qty)
                    changed.append(own)
            ref, order = self._find(event)
            if order is not None:
                # Quantity beyond what the book knows at this price was there too: the record never showed that order.
                missing = max(0, event.qty - order.qty)
                found = min(left, order.available_qty + missing)
                self._reduce(ref, order, event.qty)
        totals.record_qty += found
        totals.displaced_qty += left - found
        return executions

    def _shrink(self, event: BookEvent, qty: int | None) -> None:
        ref, order = self._find(event)
        if order is None:
            return
        # Deleting a known order takes all of it; of an unknown one, its size is taken from the anonymous quantity.
        whole = qty is None and not ref.startswith("@")
        self._reduce(ref, order, order.qty if whole else event.qty)

    def _reduce(self, ref: str, order: RecordedOrder, qty: int) -> None:
        order.qty -= qty
        if order.qty <= 0:
            self._drop(ref, order)
            return
        order.taken_qty = min(order.taken_qty, order.qty)
        self._recorded.put(self._key(ref), order)

    def _clear(self, changed: list[VenueOrder]) -> None:
        for side in (self._bids, self._offers):
            for px in list(side.prices):
                for ref, order in list(side.levels[px].items()):
                    self._drop(ref, order)
        for own in self._own:
            # The adds that follow a CLEAR build the queue ahead of it again.
            own.ahead_qty = 0
            changed.append(own)

    # ---------------------------------------------------------------- helpers

    def _fill(self, own: VenueOrder, qty: int, changed: list[VenueOrder]) -> Execution:
        assert own.limit_px is not None
        own.execute(qty)
        changed.append(own)
        return Execution(own, qty, own.limit_px, Liquidity.ADDED)

    def _better(self, side: Side, px: int, *, opposite: bool) -> list[VenueOrder]:
        """Our resting orders that an aggressor meets before or at ``px``: best price first, then time.

        ``side`` is the resting side of an execution, or with ``opposite`` the side of a recorded order that enters.
        """
        buys = (side is Side.BUY) != opposite
        met = [
            own
            for own in self._own
            if own.is_buy == buys and own.limit_px is not None and (own.limit_px >= px if buys else own.limit_px <= px)
        ]
        return sorted(met, key=lambda own: (-(own.limit_px or 0) if buys else (own.limit_px or 0), own.no))

    @staticmethod
    def _same(own: VenueOrder, event: BookEvent) -> bool:
        return own.limit_px == event.px and own.is_buy == (event.side is Side.BUY)

    def _find(self, event: BookEvent) -> tuple[str, RecordedOrder | None]:
        """The event's order, or where it is unknown the level's anonymous quantity."""
        order = self._recorded.get(self._key(event.order_ref))
        if order is not None:
            return event.order_ref, order
        ref = anonymous_ref(event.side, event.px)
        return ref, self._recorded.get(self._key(ref))

    def _drop(self, ref: str, order: RecordedOrder) -> None:
        self._side(order.side).remove(ref, order)
        self._recorded.remove(self._key(ref))

    def _key(self, ref: str) -> str:
        return f"{self._prefix}/{ref}"

    def _put_totals(self, totals: BookTotals) -> None:
        self._totals.put(self._prefix, totals)

    def _side(self, side: Side) -> _Side:
        return self._bids if side is Side.BUY else self._offers

    def _opposite(self, side: Side) -> _Side:
        return self._offers if side is Side.BUY else self._bids
