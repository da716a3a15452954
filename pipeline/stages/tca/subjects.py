"""What is kept of a child, a parent and a client order, as far as their cost needs it."""

from __future__ import annotations

from pipeline.domain.analytics import TCALevel
from pipeline.domain.int64 import low_and_high, nearest, whole
from pipeline.domain.orders import Side, Strategy
from pipeline.state import Entry


class Subject(Entry):
    """A child, a parent or a client order.

    Its own record and its executions are on different topics and may be read in any order.
    """

    level: TCALevel
    subject_id: str
    known: bool = False
    """Its own record has been read; until then only executions of it have."""
    parent_id: str = ""
    instrument: str = ""
    side: Side = Side.UNKNOWN
    strategy: Strategy = Strategy.UNKNOWN
    venue: str = ""
    account: str = ""
    trade_date: int = 0
    order_qty: int = 0
    """PARENT: of its latest epoch."""
    arrival_px: int | None = None
    release_px: int | None = None
    start_ns: int = 0
    """CHILD: sent. PARENT: its first child was sent. ORDER: received."""
    end_ns: int = 0
    """The last execution that was not busted; ORDER: the last allocation."""
    qty: int = 0
    money: int = 0
    """With ``money_high`` (`pipeline.domain.int64`): a few thousand shares at 70,000 do not fit."""
    fees: int = 0
    revision: int = 0
    dirty: bool = False
    ended: bool = False
    """PARENT: it has ended, so its row and its children's are due."""
    child_count: int = 0
    """PARENT: length of its list of children."""
    money_high: int = 0
    begin_ns: int = 0
    """PARENT, ORDER: it was there and might be worked: the later of its receipt and its own start; 0: not known."""
    scheduled_end_ns: int = 0
    """PARENT, ORDER: its end as scheduled, ORDER: or the moment at which it was cancelled; 0: not known."""
    over_ns: int = 0
    """PARENT: the moment at which it ended."""
    epoch_no: int = 0
    """PARENT: its latest epoch, and how much of that was crossed out of it."""
    crossed_qty: int = 0
    epoch_qtys: list[tuple[int, int]] = []
    """PARENT: executed by epoch, [(epoch, quantity)]."""
    fills: list[tuple[str, str, int]] = []
    """CHILD: executions that stand, [(id, id of the original execution, the venue's time in ns)]."""

    @property
    def whole_money(self) -> int:
        """What its executions cost, in 1e-9 currency units."""
        return whole(self.money, self.money_high)

    @property
    def unexecuted_qty(self) -> int:
        """What was asked and not executed. PARENT: of its latest epoch, what was crossed out of it left out."""
        done_qty = self.qty
        if self.level is TCALevel.PARENT:
            done_qty += self.crossed_qty - sum(qty for epoch_no, qty in self.epoch_qtys if epoch_no < self.epoch_no)
        return nearest(max(0, self.order_qty - done_qty))

    def book(self, qty: int, money: int, fee: int) -> None:
        """Add an execution; with minus ``qty``, ``money`` and ``fee`` take one off."""
        self.qty = nearest(self.qty + qty)
        self.money, self.money_high = low_and_high(self.whole_money + money)
        self.fees = nearest(self.fees + fee)

    def book_epoch(self, epoch_no: int, qty: int) -> None:
        """PARENT: add an execution to its epoch."""
        qtys = dict(self.epoch_qtys)
        qtys[epoch_no] = nearest(qtys.get(epoch_no, 0) + qty)
        self.epoch_qtys = sorted(qtys.items())


class Booked(Entry):
    """What an allocation gave an order, so that it can be subtracted when the allocation is replaced or cancelled."""

    order_id: str
    qty: int
    money: int
    fee: int


class Names(Entry):
    """Keys of the orders read since the last tick, in that order; their arrival price is looked up at the next tick."""

    keys: list[str] = []
