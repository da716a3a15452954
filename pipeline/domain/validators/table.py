"""Which records come through the door, by what validator, and what is left of one that is not believed.

Orders have none: intake answers each with a refusal of its own. What our own stages write is ours to get right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pipeline.domain.controls import Control, Tick
from pipeline.domain.executions import VenueReport
from pipeline.domain.market import NBBO, BookEvent, Depth, TradePrint, VenueStatus
from pipeline.domain.record import Record
from pipeline.domain.reference import Account, CrossingRule, Instrument, Limit, Venue
from pipeline.domain.validators import market, reference, steering, venue_reports
from pipeline.domain.validators.faults import Checked


class Validator(NamedTuple):
    """How records of a type are checked. Functions of one record each, of that type."""

    topic: str
    """The records' topic."""
    check: Callable[[Any], Checked[Any]]
    """The record as far as it can be believed, and its faults."""
    effect: str
    """What a fault means for decisions, in words for the desk."""
    stamp: str = ""
    """The field with the sender's own time, if it has one that cannot lie after its receipt."""
    unknown: Callable[[Any], Any | None] = lambda _: None
    """What is left of a record that has parts of a later contract; None: nothing."""
    holds: Callable[[Any], bool] = lambda _: False
    """Whether it is believed all the same: what only stops something is."""
    untimed: Callable[[Any, int], Any | None] = lambda _record, _latest_ns: None
    """What is left of a record whose stamp lies after the latest moment that is possible; None: nothing."""


VALIDATORS: Final[dict[type[Record], Validator]] = {
    NBBO: Validator(
        "nbbo",
        market.check_nbbo,
        "a side that is wrong is unknown until the next quote; one with an impossible time changes nothing",
        stamp="event_ns",
        unknown=market.unknown_nbbo,
    ),
    Depth: Validator(
        "depth",
        market.check_depth,
        "the venue's levels are unknown until its next snapshot",
        stamp="event_ns",
        unknown=market.unknown_depth,
        untimed=market.untimed_depth,
    ),
    TradePrint: Validator(
        "prints",
        market.check_print,
        "the print is left out of volume, VWAP and last sale; a CANCEL holds whatever its time",
        stamp="event_ns",
        untimed=market.untimed_print,
    ),
    VenueStatus: Validator(
        "venue-status",
        market.check_status,
        "the venue is not open until it says so again; what closes it holds whatever its time",
        stamp="event_ns",
        unknown=market.unknown_status,
        untimed=market.untimed_status,
    ),
    BookEvent: Validator(
        "book-events", market.check_book_event, "the simulated book goes on without it", stamp="event_ns"
    ),
    VenueReport: Validator(
        "venue-reports",
        venue_reports.check_venue_report,
        "an execution that cannot be is not booked, of a status nothing is concluded: the order keeps its exposure, "
        "and the venue's next count shows what is missing",
        stamp="venue_ns",
        untimed=venue_reports.untimed_report,
    ),
    Tick: Validator("clock", steering.check_tick, "time stands still until the next tick", stamp="wall_ns"),
    Control: Validator(
        "controls",
        steering.check_control,
        "the control does nothing: give it again in known terms",
        holds=steering.stops,
    ),
    Instrument: Validator(
        "instruments",
        reference.check_instrument,
        "the record before it stays in force; a restricted instrument is removed, and nothing is traded in it",
        unknown=reference.removed_if_restricted,
        holds=reference.removes,
    ),
    Account: Validator(
        "accounts", reference.check_account, "the record before it stays in force", holds=reference.removes
    ),
    Venue: Validator("venues", reference.check_venue, "the record before it stays in force", holds=reference.removes),
    Limit: Validator("limits", reference.check_limit, "the limit before it stays in force: load it again, mended"),
    CrossingRule: Validator(
        "crossing-rules",
        reference.check_crossing_rule,
        "the rule before it stays in force; one that forbids holds all the same",
        holds=reference.forbids_crossing,
    ),
}
"""The validator of each type of record that comes from outside."""
