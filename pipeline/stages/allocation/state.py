"""What allocation keeps: client orders, parents with epochs and members, crosses, carried balances, what waits."""

from __future__ import annotations

from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Capacity, OrderEventKind, OrdStatus, Side
from pipeline.domain.parents import Cross, Lineage
from pipeline.stages.allocation.parameters import AllocationParameters
from pipeline.state import Entry, State, Task


class BrokenBooks(RuntimeError):
    """An invariant of ours does not hold: a bug of ours. It stops the worker; no fault of a venue raises it."""


class Budget:
    """How many records this step may still write."""

    def __init__(self, records: int) -> None:
        self._left = records

    def spend(self, records: int) -> None:
        self._left -= records

    @property
    def spent(self) -> bool:
        return self._left <= 0


class ClientOrder(Entry):
    """A client's order after intake.

    What it has is in three parts: crosses, its shares of epochs that are closed, and, of the epoch it is working in,
    what it has been shown so far.
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
    crossed_money: int = 0
    crossed_gross_qty: int = 0
    """Crossed, busted crosses included: tells whether the crosses of its window have all been seen."""
    closed_qty: int = 0
    closed_money: int = 0
    open_qty: int = 0
    open_money: int = 0
    seen_qty: int = 0
    """The open epoch's executed quantity and money when its owner was last told: for the price of what is added."""
    seen_money: int = 0
    event_no: int = 1
    """Intake's ACCEPTED was 1."""
    end: OrdStatus | None = None
    """How it ended; None while it lives."""
    pending: tuple[str, ...] = ()
    """Cancel requests (their ClOrdID) not answered yet."""
    answered: tuple[str, ...] = ()
    overdue: bool = False
    """It was kept beyond the end of its day."""

    @property
    def cum_qty(self) -> int:
        return self.crossed_qty + self.closed_qty + self.open_qty

    @property
    def money(self) -> int:
        return self.crossed_money + self.closed_money + self.open_money

    @property
    def room_qty(self) -> int:
        """What its open epoch may give it at the most."""
        return 0 if self.end is not None else self.order_qty - self.crossed_qty - self.closed_qty

    @property
    def leaves_qty(self) -> int:
        return 0 if self.end is not None else self.order_qty - self.cum_qty


class MemberBook(Entry):
    """A member in an epoch: a line of its statement, and from the epoch's close on what it was given."""

    order_id: str
    account: str
    contributed_qty: int
    cap_qty: int = 0
    """The most the epoch could give it, when it was closed."""
    carried: int = 0
    """The account's balance before the epoch was shared out, in 1e-9 units; what the sharing changed it by."""
    carried_change: int = 0
    carried_fee: int = 0
    carried_fee_change: int = 0
    share_qty: int = 0
    share_fee: int = 0
    alloc_id: str | None = None
    """The allocation that stands, and what it says; None when none does."""
    alloc_qty: int = 0
    alloc_px: int = 0
    alloc_fee: int = 0


class MemberChunk(Entry):
    """A part of an epoch's members, as its statement came."""

    members: list[MemberBook]


class Epoch(Entry):
    """An epoch of a parent: its statement, what was executed in it, and how far sharing it out has come."""

    parent_id: str
    epoch_no: int
    instrument: str
    stated: bool = False
    """The parent's record of it has come."""
    order_qty: int = 0
    trade_date: int = 0
    member_count: int = 0
    members_hash: str = ""
    chunk_count: int = 0
    chunks_seen: int = 0
    complete: bool = False
    """The statement is whole and verified."""
    crossed_done_qty: int = 0
    ask_id: str | None = None
    """An answer of netting's is outstanding: there may be one more cross."""
    recalled: bool = False
    quiet: bool = False
    """Routing has said that none of its children is live: what still comes restates it."""
    executed_qty: int = 0
    executed_money: int = 0
    fee: int = 0
    overfill_qty: int = 0
    dirty: bool = False
    """It stands in the list of those whose members are to be told of progress."""
    sweep_from: int = 0
    """Progress: the next member to be told."""
    corrected_by: OrderEventKind | None = None
    """A bust or correction has not yet been told to every member."""
    restated: bool = False
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

    @property
    def key(self) -> str:
        return epoch_key(self.parent_id, self.epoch_no)

    @property
    def shareable_qty(self) -> int:
        """Executed, without what routing knows to be beyond what the parent was permitted."""
        return self.executed_qty - self.overfill_qty


class ParentBook(Entry):
    """A parent, as far as allocation is concerned."""

    parent_id: str
    instrument: str
    epochs: list[int] = []
    crossed_qty: int = 0
    """Legs of crosses out of the working parent, all epochs."""
    done: bool = False
    over: bool = False
    overdue: bool = False
    """It was open at the end of its day."""


class LegBook(Entry):
    """A leg of a cross as booked: the allocation that stands for it."""

    order_id: str
    qty: int
    money: int
    alloc_id: str | None


class CrossBook(Entry):
    """A cross, kept for the day so that it can be taken back."""

    cross: Cross
    version: int
    legs: list[LegBook]
    error_qty: int = 0


class Balance(Entry):
    """What an account is owed in an instrument, in 1e-9 units, and in fees, in 1e-9 of 1e-9 currency units."""

    qty: int = 0
    fee: int = 0


class Queue(Entry):
    """What of an instrument waits its turn, in the order of its topics."""

    fills: list[Fill] = []
    """QUIETs, and executions of epochs that are quiet."""
    crosses: list[Cross] = []


class WaitingLineage(Entry):
    """Lineage that came before its order, or before a cross of it."""

    lineage: list[Lineage]


class Work(Entry):
    """Lists of what goes on with time, in the order it came up."""

    dirty: list[str] = []
    """Epochs with something to tell at the next round of progress."""
    sweeping: list[str] = []
    """Epochs whose members are being told."""
    settling: list[str] = []
    """Instruments whose queue stopped because the step was full."""
    progress_ns: int = 0
    """When the last round began."""


def epoch_key(parent_id: str, epoch_no: int) -> str:
    return f"{parent_id}|{epoch_no:06d}"


def balance_key(account: str, instrument: str) -> str:
    return f"{account}|{instrument}"


class AllocationState(State):
    """A task's books."""

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

    @property
    def work(self) -> Work:
        return self.works.get("") or Work()

    def parent(self, parent_id: str, instrument: str) -> ParentBook:
        return self.parents.get(parent_id) or ParentBook(parent_id, instrument)

    def epoch(self, parent_id: str, epoch_no: int, instrument: str) -> Epoch:
        """The epoch, made when it is first heard of: its halves may come in any order."""
        epoch = self.epochs.get(epoch_key(parent_id, epoch_no))
        if epoch is None:
            epoch = Epoch(parent_id, epoch_no, instrument)
            parent = self.parent(parent_id, instrument)
            parent.epochs = sorted([*parent.epochs, epoch_no])
            self.parents.put(parent_id, parent)
            self.epochs.put(epoch.key, epoch)
        return epoch

    def chunks_of(self, epoch: Epoch) -> list[tuple[str, MemberChunk]]:
        """The chunks of a complete statement, in order."""
        keys = [chunk_key(epoch, number) for number in range(1, epoch.chunk_count + 1)]
        return [(key, self.chunks[key]) for key in keys]

    def members_of(self, epoch: Epoch) -> list[MemberBook]:
        return [member for _, chunk in self.chunks_of(epoch) for member in chunk.members]

    def balance(self, account: str, instrument: str) -> Balance:
        return self.balances.get(balance_key(account, instrument)) or Balance()

    def change_balance(self, account: str, instrument: str, qty: int, fee: int) -> None:
        if qty or fee:
            balance = self.balance(account, instrument)
            balance.qty += qty
            balance.fee += fee
            self.balances.put(balance_key(account, instrument), balance)


def chunk_key(epoch: Epoch, chunk_no: int) -> str:
    return f"{epoch.key}|{chunk_no:06d}"
