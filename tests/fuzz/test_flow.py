"""The short form of `make fuzz`: a few days with garbage from outside, and the generator itself."""

from __future__ import annotations

import random

import pytest

from pipeline.domain.controls import Control, Tick
from pipeline.domain.market import NBBO, Depth, QuoteKind, VenueStatus
from pipeline.domain.record import Kind, Record
from pipeline.topics import TOPICS
from tests.fuzz.flow import FROM_OUTSIDE, day, garbage, play
from tests.fuzz.records import HIGHEST, LOWEST, Generator, Vocabulary, fields_of

SEED = 2012

IGNORED: dict[type[Record], str] = {
    Depth: "a level book older than the one known, or a change while the venue's levels are unknown",
    NBBO: "a quote older than the one held",
    VenueStatus: "a status older than the one held",
    Control: "a release of what is not held",
    Tick: "a tick earlier than the last one",
}
"""Types of which a record may leave no trace, and why."""


@pytest.mark.parametrize(("number", "pieces"), [(0, 200), (1, 800), (2, 1500), (3, 800), (4, 400)])
def test_garbage_from_outside_stops_nothing_and_the_books_balance(number: int, pieces: int) -> None:
    outcome = play(SEED, number, pieces)
    assert [(failure.key, failure.detail, failure.number) for failure in outcome.failures] == []
    assert outcome.garbage == pieces
    unexplained = outcome.without_trace.keys() - {kind.__name__ for kind in IGNORED}
    assert {name: outcome.examples[name].record for name in unexplained} == {}


def test_the_garbage_of_a_number_is_always_the_same() -> None:
    assert [garbage(SEED, 1, number) for number in range(50)] == [garbage(SEED, 1, number) for number in range(50)]
    assert garbage(SEED, 1, 7) != garbage(SEED, 2, 7)


@pytest.mark.parametrize("kind", [topic.record for topic in TOPICS], ids=lambda kind: str(kind.__name__))
def test_every_field_of_every_record_gets_its_extremes(kind: type[Record]) -> None:
    generator = Generator(random.Random(1), Vocabulary([]), 10**18)
    made = [generator.record(kind) for _ in range(600)]
    for field in fields_of(kind):
        values = [getattr(record, field.name) for record in made]
        if field.optional:
            assert None in values, f"{field.name} may be none"
        if field.listed:
            assert () in values and any(len(value) > 1 for value in values if value)
        elif issubclass(field.of, Kind):
            assert set(field.of) <= set(values), f"{field.name}: {set(field.of) - set(values)} never drawn"
        elif field.of is int:
            assert {LOWEST, -1, 0, HIGHEST} <= set(values), field.name
        elif field.of is str:
            assert "" in values and any(isinstance(value, str) and len(value) > 100 for value in values)


def test_a_changed_record_differs_in_a_few_fields_only() -> None:
    quote = NBBO(kind=QuoteKind.NBBO, instrument="A", feed="F", event_ns=5, received_ns=5, quote_no=1, bid_px=10)
    generator = Generator(random.Random(3), Vocabulary([quote]), 5)
    for _ in range(200):
        changed = generator.changed(quote)
        differing = [f.name for f in fields_of(NBBO) if getattr(changed, f.name) != getattr(quote, f.name)]
        assert len(differing) <= 3


def test_the_vocabulary_is_the_days_own() -> None:
    known = day(0).known
    assert {"SIMA", "SIMX"} <= set(known.of("instrument"))
    assert {"XNAS", "XBAT", "XDRK"} <= set(known.of("venue"))
    assert {kind for kind in FROM_OUTSIDE if not known.records.get(kind)} == {Control}, "the demo's desk is silent"
