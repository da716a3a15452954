"""Two small stages that use everything a host has to offer: state, counters, ids, copies, a loop, time, Resumed."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.analytics import Bar, VenueScore
from pipeline.domain.controls import Alert, AlertKind, Control, Resumed, Tick, TickKind
from pipeline.domain.market import PrintKind, ReferencePrice, TradePrint
from pipeline.domain.record import Owned, Record
from pipeline.stage import Meta, Stage
from pipeline.state import Entry, State, Task

POISON = "POISON"
"""An instrument on which the adder raises."""


class Total(Entry):
    qty: int = 0
    prints: int = 0
    echoes: int = 0


class AdderState(State):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.totals = self.table("totals", Total)


class Adder(Stage[AdderState]):
    """Adds up prints by instrument, one bar for each; hears its own bars come back as scores."""

    name = "adder"
    title = "adds up"
    reads = (TradePrint, VenueScore, ReferencePrice, Tick, Resumed)
    writes = (Bar, Alert)

    def new_state(self, task: Task) -> AdderState:
        return AdderState(task)

    def step(self, state: AdderState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case TradePrint():
                if message.instrument == POISON:
                    raise ValueError("cannot add poison")
                total = state.totals.get(message.instrument) or Total()
                total.qty += message.qty
                total.prints += 1
                state.totals.put(message.instrument, total)
                yield bar(message.instrument, total.prints, total.qty, message.px, state.now_ns, meta.append_ns)
            case VenueScore():
                total = state.totals[message.instrument]
                total.echoes += 1
                state.totals.put(message.instrument, total)
                if total.echoes % 3 == 0:
                    yield Alert(
                        kind=AlertKind.BREAK,
                        instrument=message.instrument,
                        subject_id=state.next_id("A"),
                        text=f"{total.echoes} of {total.prints}",
                        at_ns=state.now_ns,
                    )
            case ReferencePrice():
                state.next_number("references")
            case Tick():
                state.apply_tick(message)
            case Resumed():
                yield Alert(kind=AlertKind.STALE_HOLD, instrument="", subject_id=str(message.wall_ns))
            case _:
                raise TypeError(message)


class RepeaterState(State):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.last = self.table("last", Total)


class Repeater(Stage[RepeaterState]):
    """Answers each bar with a score; at a tick, tells all partitions the last price it has seen."""

    name = "repeater"
    title = "repeats"
    reads = (Bar, Tick, Control)
    writes = (VenueScore, ReferencePrice)

    def new_state(self, task: Task) -> RepeaterState:
        return RepeaterState(task)

    def step(self, state: RepeaterState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case Bar():
                number = state.next_number("scores")
                state.last.put(message.instrument, Total(message.volume_qty, number))
                yield VenueScore(
                    instrument=message.instrument,
                    venue="V",
                    window_end_ns=state.now_ns,
                    version=number,
                    children=1,
                    sent_qty=message.volume_qty,
                    filled_qty=message.volume_qty,
                    filled_money=0,
                    fees=0,
                    slippage=0,
                    time_to_fill_ns=0,
                )
            case Tick():
                state.apply_tick(message)
                for instrument in state.last.keys():
                    yield ReferencePrice(instrument=instrument, px=state.last[instrument].qty, quote_ns=message.now_ns)
            case Control():
                state.next_number("controls")
            case _:
                raise TypeError(message)


def bar(instrument: str, revision: int, qty: int, px: int, now_ns: int, start_ns: int) -> Bar:
    return Bar(
        instrument=instrument,
        start_ns=start_ns,
        revision=revision,
        trade_date=20260105,
        open_px=px,
        high_px=px,
        low_px=px,
        close_px=px,
        volume_qty=qty,
        vwap_qty=qty,
        vwap_money=now_ns,
        print_count=revision,
    )


def print_of(instrument: str, number: int, qty: int = 1, writer: str = "tape@1", seq: int = 0) -> TradePrint:
    """``seq`` 0: from nobody whose records are counted."""
    return TradePrint(
        writer=writer if seq else "",
        seq=seq,
        kind=PrintKind.TRADE,
        instrument=instrument,
        venue="V",
        print_id=f"p{number}",
        event_ns=number,
        received_ns=number,
        px=10_000_000_000,
        qty=qty,
    )


def tick_of(now_ns: int, kind: TickKind = TickKind.TICK) -> Tick:
    return Tick(kind=kind, now_ns=now_ns, wall_ns=now_ns, trade_date=20260105)
