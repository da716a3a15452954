"""Transaction cost analysis: what it cost, against which benchmark, for children, parents and client orders.

- Reads: orders, parents, child-orders, fills, allocations, nbbo, prints, clock.
- Keeps: the day's prints; for each child, parent and client order its executed quantity, money, fees and times, until
  the end of the next day.
- Writes: tca, one row per child and parent when the parent has ended, one per client order when it is allocated and
  when its end has come (also of one that nothing was done of), and a new revision whenever a bust, a correction or a
  late fill changes it; alerts.
- Refuses: nothing.
- Conserves: a row's money is the sum of its executions' money; a parent's row is computed from prints and its own
  fills, never from its children's rows.

Benchmarks are prices; a positive cost hurt; every figure is an integer in 1e-3 bps, rounded once, half to even.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from pipeline.domain.allocations import Allocation
from pipeline.domain.analytics import TCARow
from pipeline.domain.controls import Alert, Tick
from pipeline.domain.executions import ChildOrder, Fill
from pipeline.domain.market import NBBO, TradePrint
from pipeline.domain.orders import Order
from pipeline.domain.parents import ParentOrder
from pipeline.domain.record import Owned, Record
from pipeline.stage import Meta, Migration, Stage
from pipeline.stages.shared.print_sums import TapeSums
from pipeline.stages.shared.print_tape import Tape, trade_date_of
from pipeline.stages.tca.cost_book import CostBook
from pipeline.stages.tca.migrations import MIGRATIONS
from pipeline.stages.tca.parameters import TCAParameters
from pipeline.state import State, Task


class TCAState(State):
    """The day's prints, and what the costs of children, parents and client orders are computed from."""

    def __init__(self, task: Task, parameters: TCAParameters) -> None:
        super().__init__(task)
        sums = TapeSums()
        self.tape = Tape(self, sums)
        self.book = CostBook(self, sums, parameters)

    def restored(self) -> None:
        self.tape.restored()
        self.book.restored()


class TCAStage(Stage[TCAState]):
    """What it cost, against which benchmark."""

    name: ClassVar[str] = "tca"
    title: ClassVar[str] = "what it cost: arrival, interval VWAP, our own delay, fees"
    reads: ClassVar[tuple[type[Record], ...]] = (
        Order,
        ParentOrder,
        ChildOrder,
        Fill,
        Allocation,
        NBBO,
        TradePrint,
        Tick,
    )
    writes: ClassVar[tuple[type[Owned], ...]] = (TCARow, Alert)
    state_version: ClassVar[int] = 2
    migrations: ClassVar[Mapping[int, Migration]] = MIGRATIONS

    parameters: TCAParameters

    def __init__(self, parameters: TCAParameters = TCAParameters()) -> None:  # noqa: B008 - a frozen constant
        self.parameters = parameters

    def new_state(self, task: Task) -> TCAState:
        return TCAState(task, self.parameters)

    def step(self, state: TCAState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case Order():
                state.book.on_order(message)
            case ParentOrder():
                state.book.on_parent(message)
            case ChildOrder():
                state.book.on_child(message)
            case Fill():
                state.book.on_fill(message)
            case Allocation():
                state.book.on_allocation(message)
            case NBBO():
                state.book.on_quote(message)
            case TradePrint():
                state.tape.apply(message)
            case Tick():
                before = state.clock.trade_date
                state.apply_tick(message)
                if state.clock.trade_date != before:
                    # East of Greenwich a day begins on the UTC date before its own.
                    state.tape.forget_before(min(state.clock.trade_date, trade_date_of(state.now_ns)))
                    state.book.begin_day(state.now_ns)
                state.book.forget_some()
                yield from state.book.rows_at_tick(state.now_ns)
                return
            case _:
                raise TypeError(f"tca does not read {type(message).__name__}")
        yield from state.book.rows_between_ticks(state.now_ns)
