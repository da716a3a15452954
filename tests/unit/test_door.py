"""The door: what is not believed is set aside by name, counted, told at a bounded rate, and never decides anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from pipeline import topology
from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, ControlScope, Tick, TickKind
from pipeline.domain.market import (
    NBBO,
    BookEvent,
    BookEventKind,
    Depth,
    DepthKind,
    Level,
    PrintKind,
    QuoteKind,
    SessionState,
    TradePrint,
    VenueStatus,
)
from pipeline.domain.record import Owned, Record
from pipeline.domain.units import NS_PER_S as S
from pipeline.domain.validators.faults import MEANING, PX_MAX, QTY_MAX, Checked, SetAsideReason
from pipeline.domain.validators.table import VALIDATORS
from pipeline.runtime.worker.wiring import Wiring
from pipeline.stage import Meta, Stage
from pipeline.state import State, Task
from pipeline.topics import topic_of
from tests.stage_bench import Bench

R = SetAsideReason
NOW = 1_340_285_400 * S
PX = 10**9

QUOTE = NBBO(
    kind=QuoteKind.NBBO,
    instrument="X",
    feed="f",
    event_ns=NOW,
    received_ns=NOW,
    quote_no=1,
    bid_px=99 * PX,
    bid_qty=5,
    bid_venue="V",
    offer_px=101 * PX,
    offer_qty=6,
    offer_venue="W",
)
LEVELS = (Level(px=101 * PX, qty=5), Level(px=102 * PX, qty=6))
SNAPSHOT = Depth(
    kind=DepthKind.SNAPSHOT,
    venue="V",
    instrument="X",
    event_ns=NOW,
    received_ns=NOW,
    event_no=1,
    bids=(Level(px=99 * PX, qty=5),),
    offers=LEVELS,
)
GAP = replace(SNAPSHOT, kind=DepthKind.CHANGE, gap=True, bids=(), offers=())
PRINT = TradePrint(
    kind=PrintKind.TRADE, instrument="X", venue="V", print_id="1", event_ns=NOW, received_ns=NOW, px=100 * PX, qty=7
)
CANCEL = replace(PRINT, kind=PrintKind.CANCEL, print_id="2", ref_print_id="1", px=0, qty=0)
STATUS = VenueStatus(venue="V", instrument="X", state=SessionState.OPEN, event_ns=NOW, received_ns=NOW)
NOT_OPEN = replace(STATUS, state=SessionState.UNKNOWN)
EVENT = BookEvent(
    kind=BookEventKind.ADD, venue="V", instrument="X", event_ns=NOW, event_no=1, order_ref="o", qty=3, px=100 * PX
)
TICK = Tick(kind=TickKind.TICK, now_ns=NOW, wall_ns=NOW, trade_date=20120621)
KILL = Control(
    kind=ControlKind.KILL, control_id="c", scope=ControlScope.SOURCE, scope_id="s", who="w", why="y", at_ns=NOW
)
NO_BID = replace(QUOTE, bid_px=None, bid_qty=0, bid_venue="")
NO_OFFER = replace(QUOTE, offer_px=None, offer_qty=0, offer_venue="")
NO_SIDE = replace(NO_BID, offer_px=None, offer_qty=0, offer_venue="")


@pytest.mark.parametrize("record", [QUOTE, SNAPSHOT, GAP, PRINT, CANCEL, STATUS, EVENT, TICK, KILL], ids=repr)
def test_what_is_right_is_believed_whole(record: Record) -> None:
    assert VALIDATORS[type(record)].check(record) == Checked(record)


@pytest.mark.parametrize(
    ("record", "left", "reasons"),
    [
        # quotes: the side that is wrong is unknown, the other one holds
        (replace(QUOTE, bid_px=-1), NO_BID, [R.PRICE_NOT_POSITIVE]),
        (replace(QUOTE, bid_px=0), NO_BID, [R.PRICE_NOT_POSITIVE]),
        (replace(QUOTE, bid_qty=-1), NO_BID, [R.QUANTITY_NEGATIVE]),
        (replace(QUOTE, offer_px=-1), NO_OFFER, [R.PRICE_NOT_POSITIVE]),
        (replace(QUOTE, offer_px=PX_MAX + 1), NO_OFFER, [R.OUT_OF_RANGE]),
        (replace(QUOTE, offer_qty=QTY_MAX + 1), NO_OFFER, [R.OUT_OF_RANGE]),
        (replace(QUOTE, bid_px=-1, offer_px=-1), NO_SIDE, [R.PRICE_NOT_POSITIVE, R.PRICE_NOT_POSITIVE]),
        (replace(QUOTE, kind=QuoteKind.UNKNOWN), replace(NO_SIDE, kind=QuoteKind.UNKNOWN), [R.UNKNOWN_KIND]),
        (replace(QUOTE, instrument=""), None, [R.MISSING_NAME]),
        (replace(QUOTE, event_ns=-1), None, [R.BAD_TIME]),
        (replace(QUOTE, event_ns=2**63 - 1), None, [R.BAD_TIME]),
        # depth: anything impossible makes the venue unknown until its next snapshot
        (replace(SNAPSHOT, kind=DepthKind.UNKNOWN), GAP, [R.UNKNOWN_KIND]),
        (replace(SNAPSHOT, offers=(Level(px=0, qty=5),)), GAP, [R.PRICE_NOT_POSITIVE]),
        (replace(SNAPSHOT, bids=(Level(px=PX, qty=-5),)), GAP, [R.QUANTITY_NEGATIVE]),
        (replace(SNAPSHOT, offers=LEVELS[::-1]), GAP, [R.LEVELS_NOT_IN_ORDER]),
        (replace(SNAPSHOT, offers=(LEVELS[0], LEVELS[0])), GAP, [R.LEVELS_NOT_IN_ORDER]),
        (replace(SNAPSHOT, bids=LEVELS[:1]), GAP, [R.BOOK_CROSSED]),
        (replace(SNAPSHOT, venue=""), None, [R.MISSING_NAME]),
        # prints are left out; a cancel needs what it takes back, and nothing else
        (replace(PRINT, kind=PrintKind.UNKNOWN), None, [R.UNKNOWN_KIND]),
        (replace(PRINT, px=-1), None, [R.PRICE_NOT_POSITIVE]),
        (replace(PRINT, qty=0), None, [R.QUANTITY_NOT_POSITIVE]),
        (replace(PRINT, px=PX_MAX, qty=1000), None, [R.OUT_OF_RANGE]),
        (replace(PRINT, print_id=""), None, [R.MISSING_NAME]),
        (replace(CANCEL, ref_print_id=None), None, [R.MISSING_REFERENCE]),
        (replace(CANCEL, ref_print_id=""), None, [R.MISSING_REFERENCE]),
        (replace(CANCEL, kind=PrintKind.CORRECT), None, [R.PRICE_NOT_POSITIVE]),
        # a venue of which nothing sure is known is not open
        (replace(STATUS, state=SessionState.UNKNOWN), NOT_OPEN, [R.UNKNOWN_KIND]),
        (replace(STATUS, lower_band_px=-1), NOT_OPEN, [R.PRICE_NOT_POSITIVE]),
        (replace(STATUS, lower_band_px=2 * PX, upper_band_px=PX), NOT_OPEN, [R.BANDS_CROSSED]),
        (replace(STATUS, instrument=""), None, [R.MISSING_NAME]),
        (replace(EVENT, kind=BookEventKind.UNKNOWN), None, [R.UNKNOWN_KIND]),
        (replace(EVENT, qty=0), None, [R.QUANTITY_NOT_POSITIVE]),
        (replace(EVENT, px=0), None, [R.PRICE_NOT_POSITIVE]),
        # the clock and the desk
        (replace(TICK, kind=TickKind.UNKNOWN), None, [R.UNKNOWN_KIND]),
        (replace(TICK, now_ns=-1), None, [R.BAD_TIME]),
        (replace(TICK, now_ns=2**63 - 1), None, [R.BAD_TIME]),
        (replace(TICK, rate=0), None, [R.OUT_OF_RANGE]),
        (replace(TICK, trade_date=20120631), None, [R.BAD_TIME]),
        (replace(TICK, trade_date=-1), None, [R.BAD_TIME]),
        (replace(TICK, trade_date=2**63 - 1), None, [R.BAD_TIME]),
        (replace(KILL, kind=ControlKind.UNKNOWN), None, [R.UNKNOWN_KIND]),
    ],
)
def test_what_cannot_be_believed_becomes_unknown(
    record: Record, left: Record | None, reasons: list[SetAsideReason]
) -> None:
    checked = VALIDATORS[type(record)].check(record)
    assert checked.record == left
    assert [fault.reason for fault in checked.faults] == reasons


class Seen(Stage[State]):
    """Keeps what it was given."""

    name: ClassVar[str] = "seen"
    title: ClassVar[str] = "sees"
    reads: ClassVar[tuple[type[Record], ...]] = (NBBO, Depth, TradePrint, VenueStatus, Tick, Control)
    writes: ClassVar[tuple[type[Owned], ...]] = (Alert,)

    def __init__(self) -> None:
        self.given: list[Record] = []

    def new_state(self, task: Task) -> State:
        return State(task)

    def step(self, state: State, message: Record, meta: Meta) -> Iterator[Owned]:
        if isinstance(message, Tick):
            state.apply_tick(message)
        self.given.append(message)
        return iter(())


def bench() -> tuple[Bench[State], Seen]:
    stage = Seen()
    made = Bench(stage)
    made.feed(TICK)
    stage.given.clear()
    return made, stage


AHEAD = NOW + 3600 * S


@pytest.mark.parametrize(
    ("record", "left"),
    [
        (replace(QUOTE, event_ns=AHEAD), None),
        (replace(PRINT, event_ns=AHEAD), None),
        (replace(CANCEL, event_ns=AHEAD), replace(CANCEL, event_ns=NOW + S)),
        (replace(SNAPSHOT, event_ns=AHEAD), replace(GAP, event_ns=NOW + S)),
        (replace(STATUS, event_ns=AHEAD), None),
        (replace(STATUS, event_ns=AHEAD, state=SessionState.HALTED), replace(STATUS, event_ns=NOW + S, state="HALTED")),
        (replace(TICK, wall_ns=AHEAD, now_ns=AHEAD), None),
        (replace(QUOTE, event_ns=NOW + S), replace(QUOTE, event_ns=NOW + S)),  # as far as clocks may differ
        (replace(QUOTE, event_ns=NOW + S + 1), None),
    ],
)
def test_no_stamp_after_its_receipt_is_believed(record: Record, left: Record | None) -> None:
    made, stage = bench()
    out = made.feed(record, append_ns=NOW)
    assert stage.given == ([] if left is None else [left])
    assert [alert.reason for alert in made.all(Alert, out)] == ([] if left == record else ["FUTURE_STAMP"])


def test_receipt_is_mapped_into_session_time_and_the_tolerance_with_it() -> None:
    # The day runs ten times as fast: three wall seconds after the tick it is 30 s later in the session.
    made, stage = bench()
    made.feed(replace(TICK, wall_ns=5 * S, rate=10_000_000), append_ns=5 * S)
    stage.given.clear()
    last, too_late = replace(QUOTE, event_ns=NOW + 40 * S), replace(QUOTE, event_ns=NOW + 40 * S + 1)
    made.feed(last, too_late, append_ns=8 * S)
    assert stage.given == [last]


def test_before_the_first_tick_and_inside_a_unit_there_is_no_receipt_to_compare_with() -> None:
    stage = Seen()
    made: Bench[State] = Bench(stage)
    ahead = replace(QUOTE, event_ns=AHEAD)
    made.feed(ahead, append_ns=NOW)
    made.feed(TICK, ahead)
    assert stage.given == [ahead, TICK, ahead]


def test_parts_of_a_later_contract_are_not_guessed_at_and_what_stops_is_believed() -> None:
    made, stage = bench()
    later = Meta(NOW, True, ("indicative=true",))
    for record, left in (
        (QUOTE, NO_SIDE),
        (SNAPSHOT, GAP),
        (PRINT, None),
        (STATUS, NOT_OPEN),
        (TICK, None),
        (KILL, KILL),
        (replace(KILL, kind=ControlKind.RESUME), None),
    ):
        stage.given.clear()
        told = list(stage.take(made.state, record, later))
        assert stage.given == ([] if left is None else [left]), record
        expected = [] if left is record else [("NOT_UNDERSTOOD", topic_of(type(record)).name)]
        assert [(each.reason, each.subject_id) for each in told if isinstance(each, Alert)] == expected


def test_every_fault_is_counted_and_the_desk_is_told_at_once_and_then_once_a_minute() -> None:
    made, _ = bench()
    bad = replace(PRINT, px=-1)
    first = Alert(
        kind=AlertKind.SET_ASIDE,
        instrument="X",
        subject_id="prints",
        reason="PRICE_NOT_POSITIVE",
        text=f"1 of prints set aside, 1 in all; the last one: px is -1 (venue V, print_id 1, event_ns {NOW}). Effect: "
        "the print is left out of volume, VWAP and last sale; a CANCEL holds whatever its time.",
        at_ns=NOW,
        count=1,
    )
    assert made.feed(bad, bad, bad) == [first]
    other = made.feed(replace(bad, instrument="Y"), replace(bad, px=100 * PX, qty=0))
    assert [(alert.instrument, alert.reason) for alert in made.all(Alert, other)] == [
        ("Y", "PRICE_NOT_POSITIVE"),
        ("X", "QUANTITY_NOT_POSITIVE"),
    ]
    assert made.tick(NOW + 60 * S - 1) == []
    rest = made.all(Alert, made.tick(NOW + 60 * S))
    assert [(alert.reason, alert.count, alert.text[:37]) for alert in rest] == [
        ("PRICE_NOT_POSITIVE", 3, "2 of prints set aside, 3 in all; the ")
    ]
    assert made.tick(NOW + 200 * S) == []
    assert made.state.set_aside["prints/PRICE_NOT_POSITIVE/X"].count == 3


def test_a_reader_that_is_not_the_first_counts_and_does_not_tell() -> None:
    made, stage = bench()
    told = list(stage.take(made.state, replace(PRINT, px=-1), Meta(NOW, front=False)))
    assert told == []
    assert made.state.set_aside["prints/PRICE_NOT_POSITIVE/X"].count == 1
    assert made.tick(NOW + 600 * S) == []


def test_names_without_end_are_counted_together() -> None:
    stage = Seen()
    made: Bench[State] = Bench(stage)
    state = made.state
    for number in range(1_200):
        list(stage.take(state, replace(PRINT, instrument=f"N{number}", px=-1), Meta(NOW)))
    assert len(state.set_aside) == 1_001
    assert state.set_aside["prints/PRICE_NOT_POSITIVE/*"].count == 200


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANING) == set(SetAsideReason)


def test_every_validator_names_the_topic_of_its_records() -> None:
    assert {record: each.topic for record, each in VALIDATORS.items()} == {
        record: topic_of(record).name for record in VALIDATORS
    }


def test_every_topic_that_an_edge_writes_has_a_validator_or_is_answered_by_intake() -> None:
    written = {topic.record for topics in topology.EDGES.values() for topic in topics}
    answered = {record for record in written if topic_of(record).name == "orders-in"}
    assert written - answered <= set(VALIDATORS)


def test_the_first_reader_of_each_topic_with_a_validator_may_write_alerts() -> None:
    wiring = Wiring("all", topology.STAGES)
    topics = {each.topic for each in VALIDATORS.values()}
    silent: list[Any] = [
        stage.name for stage in topology.STAGES if topics & wiring.fronts(stage) and Alert not in stage.writes
    ]
    assert silent == []
