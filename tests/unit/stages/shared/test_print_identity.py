"""Which prints stand: what each record takes off and puts on, and what is wrong with it, by name."""

from __future__ import annotations

import pytest

from pipeline.domain.market import PrintKind, TradePrint
from pipeline.domain.validators.faults import Fault, SetAsideReason
from pipeline.stages.shared.print_identity import DAY_NS, Applied, KeptPrint, NeverCame, PrintIdentity
from pipeline.state import State, Task

DAY = 20_458
T0 = DAY * DAY_NS + 50_000_000_000


def told(
    print_id: str,
    qty: int = 5,
    kind: PrintKind = PrintKind.TRADE,
    ref: str | None = None,
    event_ns: int = T0,
    px: int = 1_000,
) -> TradePrint:
    return TradePrint(
        kind=kind, instrument="X@Y", venue="V@W", print_id=print_id, ref_print_id=ref, qty=qty, event_ns=event_ns,
        received_ns=T0, px=px,
    )  # fmt: skip


def correct(print_id: str, ref: str, qty: int) -> TradePrint:
    return told(print_id, qty, PrintKind.CORRECT, ref)


def cancel(ref: str) -> TradePrint:
    return told("c", 1, PrintKind.CANCEL, ref)


def kept(print_id: str, qty: int = 5) -> KeptPrint:
    return KeptPrint(f"V@W@{print_id}", T0, 1_000, qty, True, True, True)


def identity() -> PrintIdentity:
    return PrintIdentity(State(Task("analytics", 0, 1)))


def test_each_record_says_what_it_takes_off_and_what_it_puts_on() -> None:
    prints = identity()
    assert prints.apply(told("1")) == Applied(on=(kept("1"),))
    assert prints.apply(told("1")) == Applied(), "a repeat"
    assert prints.apply(correct("k1", "1", 6)) == Applied(off=(kept("1"),), on=(kept("k1", 6),))
    assert prints.apply(correct("k1", "1", 6)) == Applied()
    assert prints.apply(correct("k2", "k1", 7)) == Applied(off=(kept("k1", 6),), on=(kept("k2", 7),))
    assert prints.apply(cancel("1")) == Applied(off=(kept("k2", 7),))
    assert prints.apply(cancel("k2")) == Applied(), "it is taken back already"
    assert prints.apply(told("1")) == Applied()


def test_what_comes_before_what_it_names_waits_for_it() -> None:
    prints = identity()
    assert prints.apply(cancel("1")) == Applied()
    assert prints.apply(told("1")) == Applied()
    assert prints.apply(correct("k2", "k1", 7)) == Applied(on=(kept("k2", 7),)), "it says all of its trade"
    assert prints.apply(told("2")) == Applied(on=(kept("2"),))
    assert prints.apply(correct("k1", "2", 6)) == Applied(off=(kept("2"),)), "two families turn out to be one"


@pytest.mark.parametrize(
    ("records", "fault"),
    [
        ([told("1", kind=PrintKind.UNKNOWN)], (SetAsideReason.UNKNOWN_KIND, "kind is none of TRADE, CANCEL, CORRECT")),
        ([told("1", event_ns=-1)], (SetAsideReason.BAD_TIME, "event_ns is -1")),
        ([told("1", 0)], (SetAsideReason.OUT_OF_RANGE, "0 at 1000")),
        ([told("1", px=0)], (SetAsideReason.OUT_OF_RANGE, "5 at 0")),
        ([told("1", px=2**62)], (SetAsideReason.OUT_OF_RANGE, f"5 at {2**62}")),
        ([correct("k", "1", -1)], (SetAsideReason.OUT_OF_RANGE, "-1 at 1000")),
        ([told("c", kind=PrintKind.CANCEL)], (SetAsideReason.MISSING_REFERENCE, "a CANCEL without ref_print_id")),
        ([correct("k", "", 1)], (SetAsideReason.MISSING_REFERENCE, "a CORRECT without ref_print_id")),
        ([correct("k", "k", 1)], (SetAsideReason.MISSING_REFERENCE, "k corrects itself")),
        ([told("1"), told("1", 6)], (SetAsideReason.OTHER_CONTENT, "6 at 1000 after 5 at 1000")),
        ([told("1"), correct("1", "2", 6)], (SetAsideReason.OTHER_CONTENT, "6 at 1000 after 5 at 1000")),
        ([correct("k2", "1", 6), correct("k1", "1", 7)], (SetAsideReason.CORRECTED_TWICE, "k1, k2")),
        ([correct("k2", "k1", 6), correct("k1", "k2", 7)], (SetAsideReason.CORRECTED_TWICE, "in a circle")),
    ],
)
def test_what_is_wrong_is_named(records: list[TradePrint], fault: tuple[SetAsideReason, str]) -> None:
    prints = identity()
    for record in records[:-1]:
        assert prints.apply(record).fault is None
    assert prints.apply(records[-1]).fault == Fault(*fault)


def test_a_correction_to_nothing_takes_the_trade_back() -> None:
    prints = identity()
    assert prints.apply(correct("k", "1", 0)) == Applied()
    assert prints.apply(told("1")) == Applied()


def test_a_day_that_is_forgotten_is_final_and_names_what_never_came() -> None:
    prints = identity()
    for record in (told("1"), correct("k1", "1", 6), cancel("never"), told("2", event_ns=T0 + DAY_NS)):
        prints.apply(record)
    assert prints.forget_before(DAY) == [] and prints.apply(told("1")) == Applied()
    assert prints.forget_before(DAY + 1) == [NeverCame("X@Y", "V@W", "never")]
    for late in (told("1"), told("3"), correct("k2", "k1", 7), cancel("1")):
        assert prints.apply(late).fault == Fault(SetAsideReason.DAY_IS_FINAL, f"event_ns is {T0}")
    assert prints.apply(told("2", event_ns=T0 + DAY_NS)) == Applied(), "the day after is kept"
