"""What allocation keeps: client orders, parents with epochs and members, crosses, carried balances, queues.

Quantities are in the instrument's smallest unit, prices in 1e-9 currency units per unit of quantity, money
(quantity * price) and fees in 1e-9 currency units. An ``Entry`` holds what its state table stores. Money may need more
than 64 bits, which is the most an encoded number has: it is stored as a ``_low`` and a ``_high`` (``amounts.py``).
"""

from __future__ import annotations

from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.int64 import LONG_MAX, low_and_high, whole
from pipeline.domain.orders import Capacity, OrderEventKind, OrdStatus, Side
from pipeline.domain.parents import Cross, Lineage
from pipeline.stages.allocation.parameters import AllocationParameters
from pipeline.state import Entry, State, Task


class BrokenBooks(RuntimeError):
    """Allocation's own sums do not add up: we have a bug. It stops the worker; no record, whatever it says, raises
    it."""


class Budget:
    """How many records this step may still write."""

    def __init__(self, records: int) -> None:
        self._left = records

    @classmethod
    def without_end(cls) -> Budget:
        """For the day's end, after which no tick may come to go on with what is left."""
        return cls(LONG_MAX)

    def spend(self, records: int) -> None:
        """Count ``records`` as written."""
        self._left -= records

    @property
    def spent(self) -> bool:
        """No more is to be written in this step."""
        return self._left <= 0


class ClientOrder(Entry):
    """A client's order after intake.

    Its executed quantity and money are in three parts: crosses; shares of closed epochs; and, of the epoch that is
    still open, what the client has been shown so far.
    """

    order_id: str
    instrument: str
    source: str
    cl_ord_id: str
    account: str
    side: Side
    capacity: Capacity
    currency: str
    order_qty: int
    crossed_qty: int = 0
    crossed_low: int = 0
    crossed_gross_qty: int = 0
    """Crossed quantity with busted crosses included: from it follows whether all crosses of its window were read."""
    closed_qty: int = 0
    closed_low: int = 0
    open_qty: int = 0
    open_low: int = 0
    seen_qty: int = 0
    """The open epoch's executed quantity and money at the last report to the client, from which the next one prices
    what was added."""
    seen_low: int = 0
    event_no: int = 1
    """Intake's ACCEPTED was 1."""
    end: OrdStatus | None = None
    """How it ended; None while it lives."""
    pending: tuple[str, ...] = ()
    """Cancel requests (their ClOrdID) not answered yet."""
    answered: tuple[str, ...] = ()
    overdue: bool = False
    """It was kept beyond the end of its day."""
    settlement_date: int = 0
    """When its executions settle, yyyymmdd; 0 in a row of an older version, which did not keep it."""
    crossed_high: int = 0
    closed_high: int = 0
    open_high: int = 0
    seen_high: int = 0

    @property
    def crossed_money(self) -> int:
        """The money of its crosses."""
        return whole(self.crossed_low, self.crossed_high)

    @crossed_money.setter
    def crossed_money(self, amount: int) -> None:
        """Set it, in the fields that are stored."""
        self.crossed_low, self.crossed_high = low_and_high(amount)

    @property
    def closed_money(self) -> int:
        """The money of its shares of closed epochs."""
        return whole(self.closed_low, self.closed_high)

    @closed_money.setter
    def closed_money(self, amount: int) -> None:
        """Set it, in the fields that are stored."""
        self.closed_low, self.closed_high = low_and_high(amount)

    @property
    def open_money(self) -> int:
        """The money of what the client has been shown of the open epoch."""
        return whole(self.open_low, self.open_high)

    @open_money.setter
    def open_money(self, amount: int) -> None:
        """Set it, in the fields that are stored."""
        self.open_low, self.open_high = low_and_high(amount)

    @property
    def seen_money(self) -> int:
        """The open epoch's money, all members', at the last report to the client."""
        return whole(self.seen_low, self.seen_high)

    @seen_money.setter
    def seen_money(self, amount: int) -> None:
        """Set it, in the fields that are stored."""
        self.seen_low, self.seen_high = low_and_high(amount)

    @property
    def cum_qty(self) -> int:
        """What the client has been shown as executed, crosses included."""
        return self.crossed_qty + self.closed_qty + self.open_qty

    @property
    def money(self) -> int:
        """The money of :attr:`cum_qty`."""
        return self.crossed_money + self.closed_money + self.open_money

    @property
    def room_qty(self) -> int:
        """The most its open epoch may give it."""
        return 0 if self.end is not None else max(0, self.order_qty - self.crossed_qty - self.closed_qty)

    @property
    def leaves_qty(self) -> int:
        """What is still open, as the client sees it; 0 once the order has ended."""
        return 0 if self.end is not None else self.order_qty - self.cum_qty


class MemberBook(Entry):
    """A member of an epoch: a line of the epoch's statement and, once the epoch is closed, its share."""

    order_id: str
    account: str
    contributed_qty: int
    cap_qty: int = 0
    """The most the epoch could give it at its close."""
    carried: int = 0
    """The account's balance before the epoch was shared out, in 1e-9 units of quantity; ``carried_change`` is what
    the sharing changed it by. The two after it say the same of fees."""
    carried_change: int = 0
    carried_fee: int = 0
    carried_fee_change: int = 0
    share_qty: int = 0
    share_fee: int = 0
    alloc_id: str | None = None
    """The allocation now in force, and its quantity, price and fee; None when there is none."""
    alloc_qty: int = 0
    alloc_px: int = 0
    alloc_fee: int = 0
    more_ids: tuple[str, ...] = ()
    """The other allocations in force, of a share whose money does not fit one."""
    closed_qty: int = -1
    """Its share at the epoch's close; -1 until the epoch is first restated."""
    end_qty: int = -1
    """Its share when its order ended; -1 until the epoch is first restated after that."""

    @property
    def alloc_ids(self) -> tuple[str, ...]:
        """All allocations now in force."""
        return () if self.alloc_id is None else (self.alloc_id, *self.more_ids)

    @alloc_ids.setter
    def alloc_ids(self, ids: tuple[str, ...]) -> None:
        """Set it, in the fields that are stored."""
        self.alloc_id, self.more_ids = (ids[0], ids[1:]) if ids else (None, ())


class MemberChunk(Entry):
    """One chunk of an epoch's statement."""

    members: list[MemberBook]


class Epoch(Entry):
    """An epoch of a parent: its statement, its executions added up, and the progress of sharing them out."""

    parent_id: str
    epoch_no: int
    instrument: str
    stated: bool = False
    """The parent's own record of this epoch has been read."""
    order_qty: int = 0
    trade_date: int = 0
    member_count: int = 0
    members_hash: str = ""
    chunk_count: int = 0
    chunks_seen: int = 0
    complete: bool = False
    """All chunks of the statement have been read, and agree with the parent's record."""
    crossed_done_qty: int = 0
    """What netting's CROSS_DONE records say was crossed out of the parent in this epoch."""
    ask_id: str | None = None
    """The CROSS_ASK of netting's that has no CROSS_DONE yet: one more cross may come."""
    recalled: bool = False
    quiet: bool = False
    """Routing reported that no child is sent in it any more: an execution that comes later restates the epoch."""
    executed_qty: int = 0
    executed_low: int = 0
    fee: int = 0
    overfill_qty: int = 0
    dirty: bool = False
    """It is in ``Work.dirty``: its members get a report in the next round of progress."""
    sweep_from: int = 0
    """Index of the next member to get its progress report."""
    corrected_by: OrderEventKind | None = None
    """Not every member has been sent the last bust or correction yet; the event kind that reports it."""
    restated: bool = False
    """There was a bust or correction while it was open."""
    settling: bool = False
    closed: bool = False
    final: bool = False
    version: int = 0
    cause: FillKind = FillKind.QUIET
    cursor: int = 0
    px: int = 0
    error_qty: int = 0
    error_fee: int = 0
    error_carried_fee: int = 0
    error_carried_fee_change: int = 0
    executed_high: int = 0
    unusable: bool = False
    """Its statement is not what the parent's record says: no member can be given anything."""
    live_qty: int = 0
    """What children of it and of earlier epochs could still execute as it was shared out (CUT); 0 after QUIET."""

    @property
    def executed_money(self) -> int:
        """The money of its executions."""
        return whole(self.executed_low, self.executed_high)

    @executed_money.setter
    def executed_money(self, amount: int) -> None:
        """Set it, in the fields that are stored."""
        self.executed_low, self.executed_high = low_and_high(amount)

    @property
    def key(self) -> str:
        """Its key in the table of epochs."""
        return epoch_key(self.parent_id, self.epoch_no)

    @property
    def shareable_qty(self) -> int:
        """Executed quantity without what routing reported as beyond the parent's permitted quantity."""
        return self.executed_qty - self.overfill_qty


class ParentBook(Entry):
    """A parent: its epochs, and how far it has come. ``done``: netting wrote DONE; ``ended``: its last epoch closed."""

    parent_id: str
    instrument: str
    epochs: list[int] = []
    crossed_qty: int = 0
    """Quantity of the legs of crosses out of the working parent, in all epochs."""
    done: bool = False
    ended: bool = False
    overdue: bool = False
    """It was open at the end of its day."""


class LegBook(Entry):
    """A leg of a cross as booked, with its allocation now in force (None when there is none)."""

    order_id: str
    qty: int
    money_low: int
    alloc_id: str | None
    money_high: int = 0
    more_ids: tuple[str, ...] = ()
    """The other allocations in force, of a leg whose money does not fit one."""

    @property
    def money(self) -> int:
        """Its quantity at the cross's price."""
        return whole(self.money_low, self.money_high)

    @property
    def alloc_ids(self) -> tuple[str, ...]:
        """All allocations now in force."""
        return () if self.alloc_id is None else (self.alloc_id, *self.more_ids)


class CrossBook(Entry):
    """A cross, kept for the day so that it can be busted or corrected."""

    cross: Cross
    version: int
    legs: list[LegBook]
    error_qty: int = 0


class CrossRoot(Entry):
    """Which cross a correction or bust was of: what restates it next may name either."""

    cross_id: str


class EarlyCrosses(Entry):
    """Busts and corrections read before their cross, in the order they came."""

    crosses: list[Cross]


class Balance(Entry):
    """What rounding still owes an account in an instrument: ``qty`` in 1e-9 units of quantity, ``fee`` in 1e-18
    currency units (1e-9 of a unit of money)."""

    qty: int = 0
    fee: int = 0


class Queue(Entry):
    """Fills and crosses of an instrument that cannot be booked yet, each list in the order of its topic."""

    fills: list[Fill] = []
    """QUIET records, and executions of epochs that are quiet already."""
    crosses: list[Cross] = []


class WaitingLineage(Entry):
    """Lineage records read before their order, or before a cross of it."""

    lineage: list[Lineage]


class Work(Entry):
    """Work that later ticks go on with, each list in the order it was added to."""

    dirty: list[str] = []
    """Keys of epochs whose members get a report in the next round of progress."""
    sweeping: list[str] = []
    """Keys of epochs whose members are being sent their reports."""
    settling: list[str] = []
    """Instruments whose queue stopped because the step had written enough records."""
    progress_ns: int = 0
    """When the last round of progress began, in session time."""


def epoch_key(parent_id: str, epoch_no: int) -> str:
    """Key in the table of epochs; keys of one parent sort by ``epoch_no``."""
    return f"{parent_id}|{epoch_no:06d}"


def balance_key(account: str, instrument: str) -> str:
    """Key in the table of balances."""
    return f"{account}|{instrument}"


class AllocationState(State):
    """Client orders, parents, epochs and their members, crosses, balances, queues."""

    def __init__(self, task: Task, parameters: AllocationParameters) -> None:
        super().__init__(task)
        self.parameters = parameters
        self.orders = self.table("orders", ClientOrder)
        self.parents = self.table("parents", ParentBook)
        self.epochs = self.table("epochs", Epoch)
        self.chunks = self.table("chunks", MemberChunk)
        self.crosses = self.table("crosses", CrossBook)
        self.balances = self.table("balances", Balance)
        self.queues = self.table("queues", Queue)
        self.waiting = self.table("waiting", WaitingLineage)
        self.works = self.table("work", Work)
        self.cross_roots = self.table("cross_roots", CrossRoot)
        self.early_crosses = self.table("early_crosses", EarlyCrosses)

    @property
    def work(self) -> Work:
        """The lists of work; put it back as ``works.put("", work)`` after a change."""
        return self.works.get("") or Work()

    def parent(self, parent_id: str, instrument: str) -> ParentBook:
        """The parent, or a new one that is in no table yet."""
        return self.parents.get(parent_id) or ParentBook(parent_id, instrument)

    def epoch(self, parent_id: str, epoch_no: int, instrument: str) -> Epoch:
        """The epoch, created by the first record that names it, on whatever topic that is."""
        epoch = self.epochs.get(epoch_key(parent_id, epoch_no))
        if epoch is None:
            epoch = Epoch(parent_id, epoch_no, instrument)
            parent = self.parent(parent_id, instrument)
            parent.epochs = sorted([*parent.epochs, epoch_no])
            self.parents.put(parent_id, parent)
            self.epochs.put(epoch.key, epoch)
        return epoch

    def chunks_of(self, epoch: Epoch) -> list[tuple[str, MemberChunk]]:
        """(key, chunk) of the epoch's statement, in order; none until it is complete."""
        if not epoch.complete:
            return []
        keys = [chunk_key(epoch, number) for number in range(1, epoch.chunk_count + 1)]
        return [(key, self.chunks[key]) for key in keys]

    def members_of(self, epoch: Epoch) -> list[MemberBook]:
        """The members by the epoch's statement, in order; none until it is complete."""
        return [member for _, chunk in self.chunks_of(epoch) for member in chunk.members]

    def balance(self, account: str, instrument: str) -> Balance:
        """The account's carried balance in the instrument, zeros when there is none."""
        return self.balances.get(balance_key(account, instrument)) or Balance()

    def change_balance(self, account: str, instrument: str, qty: int, fee: int) -> None:
        """Add ``qty`` and ``fee``, in the units of :class:`Balance`, to the account's balance."""
        if qty or fee:
            balance = self.balance(account, instrument)
            balance.qty += qty
            balance.fee += fee
            self.balances.put(balance_key(account, instrument), balance)


def chunk_key(epoch: Epoch, chunk_no: int) -> str:
    """Key in the table of chunks; ``chunk_no`` counts from 1."""
    return f"{epoch.key}|{chunk_no:06d}"
