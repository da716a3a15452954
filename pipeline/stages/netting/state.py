"""What netting keeps: which order waits in which bucket or works in which parent, and the asks that are open.

An order that is done, a bucket that is closed and a parent that has ended have no row any more. Members are not listed
in the row of their bucket or parent (it would be written whole for each order that joins): each order's row names its
place, and the lists are an index that is rebuilt after a restore.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.domain.orders import AccountClass, Capacity, Completion, Order, SettlementType, Side, Strategy, Urgency
from pipeline.stages.netting.parameters import NettingParameters
from pipeline.stages.netting.quote_history import Markets
from pipeline.stages.shared import reference_data
from pipeline.stages.shared.stale_hold import StaleHold
from pipeline.stages.shared.switches import Switches
from pipeline.state import Entry, State, Task


class Terms(Entry):
    """What must be equal for two orders to share a bucket. Its encoding is the bucket's key."""

    instrument: str
    trade_date: int
    side: Side
    capacity: Capacity
    currency: str
    settlement_type: SettlementType
    held: bool
    strategy: Strategy
    urgency: Urgency
    completion: Completion
    risk_aversion: int | None
    start_ns: int | None
    """None: as soon as the window closes."""
    end_ns: int
    limit_px: int | None
    pegged: bool
    allowed_venues: tuple[str, ...]
    dark_allowed: bool
    min_qty: int
    participation_cap: int
    directed_broker: str | None
    whose: str
    """OWN, CLIENTS or UNKNOWN: the firm's own orders never share a parent with clients'."""
    alone: str
    """The order's own id when it may not share a parent (no consent to aggregation), else empty."""


class LiveOrder(Entry):
    """A live order: the bucket or parent it is in, and its open quantity."""

    instrument: str
    bucket_id: str
    parent_id: str
    """Empty while it waits in its window."""
    join_no: int
    """Number of its joining; statements list members in this order."""
    source: str
    account: str
    account_class: AccountClass
    owner: str
    control_group: str
    consent: bool
    received_ns: int
    arrival_px: int | None
    contributed_qty: int
    """In a parent: its weight in the epoch. In a window: its order quantity."""
    open_qty: int
    """The same less what was crossed since. Executions in the epoch become known only when allocation closes it."""
    leaving: bool = False
    """Its cancel is pending until its parent's epoch is closed, or until less is live."""
    leaving_cl_ord_id: str | None = None
    """ClOrdID of the client's cancel; None when the desk cancelled the parent."""
    told_epoch: int = 0
    """The last epoch that allocation closed for it, and what was left of it then."""
    remaining_qty: int = 0

    @property
    def outside(self) -> bool:
        """In a parent, but no member of its epoch: held, or waiting to leave until less is live."""
        return self.parent_id != "" and self.contributed_qty == 0


class Bucket(Entry):
    """A bucket of a window: orders of equal terms that wait for the window's close."""

    terms: Terms
    key: str
    close_ns: int
    deadline_ns: int
    """It closes by then, even if market data has not come as far as ``close_ns``."""


class NettedParent(Entry):
    """A working parent."""

    terms: Terms
    bucket_id: str
    start_ns: int
    epoch_no: int
    order_qty: int
    crossed_qty: int = 0
    """Quantity crossed out of it in this epoch."""
    ask_id: str = ""
    recall_wanted: bool = False
    recalled: bool = False
    ending: bool = False
    """Slicing wrote FINISH: no recall and no ask begins any more."""
    chunks: list[int] = []
    """Numbers of the chunks read so far of allocation's statement that closes the epoch."""
    end_ns: int = 0
    """When its work ends: its terms' end, or the session's close as it was known when the parent was made."""
    odd_qty: int = 0
    """What was told of its quantity as below a lot: it cannot be sent."""
    held_qty: int = 0
    """What of its members was held as the epoch began."""
    recall_ns: int = 0
    """When its last recall was sent."""


class Round(Entry):
    """Working parents that were asked to set quantity aside, with the answers so far; after the last one they cross."""

    ask_id: str
    parent_ids: list[str]
    answers: dict[str, int]


class NettingBook(Entry):
    """Open buckets and working parents of one instrument, each list in order of creation."""

    window_close_ns: int = 0
    buckets: list[str] = []
    parents: list[str] = []
    next_cross_ns: int = 0
    round: Round | None = None
    refused: list[str] = []
    """Reasons of the last refusal alerts for working parents, so that each is written once."""


class MandateWindow(Entry):
    """The open window, in one instrument, of a mandate with windows of its own (`[netting.mandate."NAME"]`)."""

    close_ns: int = 0
    buckets: list[str] = []


class Located(NamedTuple):
    """An order's id and row."""

    order_id: str
    row: LiveOrder


class NettingState(State):
    """Windows, parents and live orders, and the lists of members derived from them."""

    def __init__(self, task: Task, parameters: NettingParameters) -> None:
        super().__init__(task)
        self.parameters = parameters
        self.market = Markets(self, parameters)
        self.switches = Switches(self)
        self.instruments = reference_data.instruments(self)
        self.limits = reference_data.limits(self)
        self.stale = StaleHold(self, self.limits, parameters.max_backlog_ns)
        self.rules = reference_data.crossing_rules(self)
        self.orders = self.table("orders", LiveOrder)
        self.buckets = self.table("buckets", Bucket)
        self.parents = self.table("parents", NettedParent)
        self.books = self.table("books", NettingBook)
        self.mandate_windows = self.table("mandate-windows", MandateWindow)
        self.waiting_recalls: dict[str, None] = {}
        """Parents whose recall waits for its time: an index."""
        self._members: dict[str, dict[str, None]] = {}
        self._joinable: dict[str, str] = {}
        self._window_of: dict[str, str] = {}
        """Bucket to the key of its mandate's window; those of the instrument's own window are not in it."""

    def restored(self) -> None:
        self.market.restored()
        self._members, self._joinable = {}, {}
        seen = ((order_id, self.orders.peek(order_id)) for order_id in self.orders.keys())
        joined = sorted((row.join_no, order_id, row.parent_id or row.bucket_id) for order_id, row in seen)
        for _, order_id, place_id in joined:
            self._members.setdefault(place_id, {})[order_id] = None
        for instrument in self.books.keys():
            for bucket_id in self.books[instrument].buckets:
                self._joinable[self.buckets[bucket_id].key] = bucket_id
        parents = ((parent_id, self.parents.peek(parent_id)) for parent_id in self.parents.keys())
        self.waiting_recalls = {parent_id: None for parent_id, row in parents if row.recall_wanted and not row.recalled}
        windows = [(key, self.mandate_windows[key].buckets) for key in self.mandate_windows.keys()]
        self._window_of = {bucket_id: key for key, buckets in windows for bucket_id in buckets}

    # ---------------------------------------------------------------- questions

    def book(self, instrument: str) -> NettingBook:
        """The instrument's buckets and parents; an empty book that is in no table when there are none."""
        return self.books.get(instrument) or NettingBook()

    def members(self, place_id: str) -> list[Located]:
        """The orders in a bucket or parent (``place_id``), in order of joining."""
        return [Located(order_id, self.orders[order_id]) for order_id in self._members.get(place_id, ())]

    def member_count(self, place_id: str) -> int:
        """How many orders are in a bucket or parent."""
        return len(self._members.get(place_id, ()))

    def joinable(self, key: str) -> str | None:
        """Id of the bucket of this key that still accepts orders; None when there is none."""
        bucket_id = self._joinable.get(key)
        if bucket_id is None or self.now_ns >= self.buckets[bucket_id].close_ns:
            return None
        return bucket_id

    def span_ns(self, terms: Terms) -> tuple[int, int]:
        """When work on orders of these terms can begin, now or later, and when it ends.

        Not before the session opens, and not after it closes: a close may have been pulled in since the order came.
        """
        instrument, begin_ns, end_ns = self.instruments.get(terms.instrument, self.now_ns), self.now_ns, terms.end_ns
        if terms.start_ns is not None:
            begin_ns = max(begin_ns, terms.start_ns)
        if instrument is not None:
            end_ns = min(end_ns, instrument.session_close_ns)
            if instrument.session_open_ns < end_ns:
                begin_ns = max(begin_ns, instrument.session_open_ns)
        return begin_ns, end_ns

    def lot_qty(self, instrument: str) -> int:
        """Orders of the instrument are multiples of this; 1 when it is not known."""
        known = self.instruments.get(instrument, self.now_ns)
        return 1 if known is None else max(1, known.lot_qty)

    def own_mandate(self, order: Order) -> str:
        """The order's mandate when it has windows of its own, else empty."""
        mandate = order.request.mandate or ""
        return mandate if mandate in self.parameters.mandate else ""

    def window_close_ns(self, instrument: str, mandate: str) -> int:
        """When the window an order of this mandate would join closes; past or 0: none is open."""
        if not mandate:
            return self.book(instrument).window_close_ns
        window = self.mandate_windows.get(_window_key(instrument, mandate))
        return 0 if window is None else window.close_ns

    def same_window(self, bucket_id: str) -> list[str]:
        """The buckets that wait in the same window, this one included."""
        buckets = self.book(self.buckets[bucket_id].terms.instrument).buckets
        return [each for each in buckets if self._window_of.get(each) == self._window_of.get(bucket_id)]

    def stopped(self, instrument: str) -> bool:
        """Whether the instrument is killed, paused or stale: no cross and no new parent in it."""
        return (
            self.switches.killed(instrument=instrument)
            or self.switches.paused(instrument=instrument)
            or self.stale.holds(instrument)
        )

    def barred(self, source: str, account: str) -> bool:
        """Whether source or account is killed or paused by name: its orders wait, are not worked and do not cross.

        A stop of everything is not meant: that stops instruments and parents, see :meth:`stopped`.
        """
        return self.switches.party_stopped(source, account)

    # ---------------------------------------------------------------- changes

    def open_window(self, instrument: str, mandate: str, close_ns: int) -> None:
        """Set when the window that orders of this mandate join closes; 0: none is open any more."""
        if mandate:
            key = _window_key(instrument, mandate)
            window = self.mandate_windows.get(key) or MandateWindow()
            window.close_ns = close_ns
            self.mandate_windows.put(key, window)
        else:
            book = self.book(instrument)
            book.window_close_ns = close_ns
            self.books.put(instrument, book)

    def end_windows(self, instrument: str, bucket_ids: Sequence[str]) -> None:
        """The windows of these buckets are closed before their time: who comes next opens another."""
        for key in dict.fromkeys(self._window_of.get(bucket_id) for bucket_id in bucket_ids):
            if key is None:
                self.open_window(instrument, "", 0)
            else:
                window = self.mandate_windows[key]
                window.close_ns = 0
                self.mandate_windows.put(key, window)

    def open_bucket(self, bucket_id: str, bucket: Bucket, mandate: str = "") -> None:
        """``mandate``: the one in whose own window it is."""
        instrument = bucket.terms.instrument
        book = self.book(instrument)
        book.buckets = [*book.buckets, bucket_id]
        self.books.put(instrument, book)
        self.buckets.put(bucket_id, bucket)
        self._joinable[bucket.key] = bucket_id
        if mandate:
            key = _window_key(instrument, mandate)
            window = self.mandate_windows.get(key) or MandateWindow()
            window.buckets = [*window.buckets, bucket_id]
            self.mandate_windows.put(key, window)
            self._window_of[bucket_id] = key

    def close_to_newcomers(self, bucket_id: str) -> None:
        """No order joins this bucket any more; it stays only for orders whose source or account is stopped."""
        bucket = self.buckets[bucket_id]
        bucket.close_ns = bucket.deadline_ns = min(bucket.close_ns, self.now_ns)
        self.buckets.put(bucket_id, bucket)

    def drop_bucket(self, bucket_id: str) -> None:
        """Remove a bucket without members."""
        bucket = self.buckets[bucket_id]
        book = self.books[bucket.terms.instrument]
        book.buckets = [each for each in book.buckets if each != bucket_id]
        self.books.put(bucket.terms.instrument, book)
        self.buckets.remove(bucket_id)
        if self._joinable.get(bucket.key) == bucket_id:
            del self._joinable[bucket.key]
        key = self._window_of.pop(bucket_id, None)
        if key is not None:
            window = self.mandate_windows[key]
            window.buckets = [each for each in window.buckets if each != bucket_id]
            if window.buckets:
                self.mandate_windows.put(key, window)
            else:
                self.mandate_windows.remove(key)
        self._forget_if_empty(bucket.terms.instrument)

    def open_parent(self, parent_id: str, parent: NettedParent) -> None:
        """Add a working parent."""
        book = self.book(parent.terms.instrument)
        book.parents = [*book.parents, parent_id]
        self.books.put(parent.terms.instrument, book)
        self.parents.put(parent_id, parent)

    def drop_parent(self, parent_id: str) -> None:
        """Remove the parent and every order still in it."""
        instrument = self.parents[parent_id].terms.instrument
        for order_id, _ in self.members(parent_id):
            self.drop_order(order_id)
        book = self.books[instrument]
        book.parents = [each for each in book.parents if each != parent_id]
        self.books.put(instrument, book)
        self.parents.remove(parent_id)
        self.waiting_recalls.pop(parent_id, None)
        self._forget_if_empty(instrument)

    def join(self, order: Order, bucket_id: str, qty: int) -> None:
        """Put a new order with ``qty`` open into a bucket."""
        row = LiveOrder(
            instrument=order.instrument,
            bucket_id=bucket_id,
            parent_id="",
            join_no=self.next_number("join"),
            source=order.request.source,
            account=order.request.account,
            account_class=order.account_class,
            owner=order.owner,
            control_group=order.control_group,
            consent=order.request.crossing_consent,
            received_ns=order.received_ns,
            arrival_px=self.market.midpoint_at(order.instrument, order.received_ns),
            contributed_qty=qty,
            open_qty=qty,
        )
        self.orders.put(order.order_id, row)
        self._members.setdefault(bucket_id, {})[order.order_id] = None

    def move(self, order_id: str, parent_id: str) -> None:
        """Move an order from its bucket into a parent; its open quantity becomes its weight."""
        row = self.orders[order_id]
        self._leave(row.bucket_id, order_id)
        row.parent_id, row.contributed_qty = parent_id, row.open_qty
        self.orders.put(order_id, row)
        self._members.setdefault(parent_id, {})[order_id] = None

    def drop_order(self, order_id: str) -> None:
        """Remove an order from its bucket or parent, and its row."""
        row = self.orders[order_id]
        self._leave(row.parent_id or row.bucket_id, order_id)
        self.orders.remove(order_id)

    def _leave(self, place_id: str, order_id: str) -> None:
        members = self._members[place_id]
        del members[order_id]
        if not members:
            del self._members[place_id]

    def _forget_if_empty(self, instrument: str) -> None:
        book = self.books[instrument]
        if not book.buckets and not book.parents:
            self.books.remove(instrument)


def _window_key(instrument: str, mandate: str) -> str:
    return f"{instrument}/{mandate}"
