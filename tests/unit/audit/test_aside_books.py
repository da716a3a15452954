"""Every kind of fault in records from outside was told to the desk, by topic, reason and instrument."""

from __future__ import annotations

from msgspec.structs import replace

from pipeline.audit.aside_books import AsideBooks
from pipeline.audit.invariants import books
from pipeline.domain.audit import DeadLetter
from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind
from pipeline.domain.executions import Liquidity
from pipeline.domain.rejections import DeadLetterReason
from tests.allocation_builders import fill
from tests.unit.audit.test_venue_books import TRADE


def told(instrument: str, reason: str = "QUANTITY_NOT_POSITIVE", topic: str = "venue-reports") -> Alert:
    return Alert(kind=AlertKind.SET_ASIDE, instrument=instrument, subject_id=topic, reason=reason)


def figures(*records: object) -> tuple[int, int]:
    kept = AsideBooks()
    for record in records:
        if isinstance(record, Alert):
            kept.on_alert(record)
        elif isinstance(record, DeadLetter):
            kept.on_letter(record)
        else:
            kept.on_record(record)  # type: ignore[arg-type]
    return kept.line()[1:3]


GOOD = replace(TRADE, last_liquidity_ind=Liquidity.ADDED)
BAD = replace(GOOD, last_qty=0)


def test_each_topic_reason_and_instrument_counts_once() -> None:
    assert figures(GOOD, fill("f", -1)) == (0, 0)
    assert figures(BAD, BAD, replace(BAD, instrument="J"), replace(GOOD, last_px=-1)) == (3, 0)
    assert figures(BAD, told("I")) == figures(told("I"), BAD) == (1, 1)
    for other in (told("J"), told("I", "BAD_TIME"), told("I", topic="nbbo"), replace(told("I"), kind=AlertKind.BREAK)):
        assert figures(BAD, other) == (1, 0)
    assert figures(BAD, told("*")) == (1, 1), "beyond a thousand names they are told together"


def test_what_has_no_instrument_is_told_under_none() -> None:
    control = Control(kind=ControlKind.UNKNOWN, control_id="k", who="desk", why="test", at_ns=1)
    assert figures(control) == (1, 0)
    assert figures(control, told("*", "UNKNOWN_KIND", "controls")) == (1, 1)


def test_it_is_a_line_of_the_books() -> None:
    line = books([BAD, told("I")])[-1]
    assert line[:3] == ("kinds of faults in records from outside, and told to the desk", 1, 1)
    assert books([BAD])[-1][1:3] == (1, 0)


def test_what_became_a_dead_letter_has_been_told_of() -> None:
    letter = DeadLetter(
        stage="routing", topic="venue-reports", partition=0, offset=7, append_ns=1,
        reason=DeadLetterReason.WRONG_PARTITION, detail="astray", key=b"I", value=b"",
    )  # fmt: skip
    assert figures(BAD, letter) == figures(letter, BAD) == (1, 1)
    assert figures(BAD, replace(letter, key=b"J")) == figures(BAD, replace(letter, topic="nbbo")) == (1, 0)
    nameless = replace(BAD, instrument="")
    assert figures(nameless, replace(letter, key=b"")) == figures(nameless, replace(letter, key=None)) == (1, 1)
