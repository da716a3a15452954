"""What can be wrong with a record from outside, by name, and what a validator answers."""

from __future__ import annotations

from typing import Final, Generic, NamedTuple, TypeVar

from pipeline.domain.record import Kind, Record

PX_MAX: Final = 10**17
"""The largest price that is believed: 100 million currency units (1e-9). No security has cost a hundredth of it."""
QTY_MAX: Final = 10**12
"""The largest quantity of one record that is believed, in units of the instrument."""
NS_MAX: Final = 4 * 10**18
"""The latest moment that is believed, ns since 1970: in the year 2096."""


class SetAsideReason(Kind):
    """Why a record from outside, or a part of it, is not believed. Each has its meaning in :data:`MEANING`."""

    UNKNOWN = "UNKNOWN"
    UNKNOWN_KIND = "UNKNOWN_KIND"
    NOT_UNDERSTOOD = "NOT_UNDERSTOOD"
    MISSING_NAME = "MISSING_NAME"
    MISSING_REFERENCE = "MISSING_REFERENCE"
    PRICE_NOT_POSITIVE = "PRICE_NOT_POSITIVE"
    QUANTITY_NOT_POSITIVE = "QUANTITY_NOT_POSITIVE"
    QUANTITY_NEGATIVE = "QUANTITY_NEGATIVE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    LEVELS_NOT_IN_ORDER = "LEVELS_NOT_IN_ORDER"
    BOOK_CROSSED = "BOOK_CROSSED"
    BANDS_CROSSED = "BANDS_CROSSED"
    BAD_TIME = "BAD_TIME"
    FUTURE_STAMP = "FUTURE_STAMP"
    BAD_NAME = "BAD_NAME"
    CONTRADICTION = "CONTRADICTION"
    OTHER_CONTENT = "OTHER_CONTENT"
    DAY_IS_FINAL = "DAY_IS_FINAL"
    CORRECTED_TWICE = "CORRECTED_TWICE"
    NEVER_CAME = "NEVER_CAME"


MEANING: Final[dict[SetAsideReason, str]] = {
    SetAsideReason.UNKNOWN: "a reason of a later version",
    SetAsideReason.UNKNOWN_KIND: "its kind, or its state, is none that this version knows",
    SetAsideReason.NOT_UNDERSTOOD: "it has fields or symbols of a later contract that change its meaning",
    SetAsideReason.MISSING_NAME: "a name that identifies it is empty",
    SetAsideReason.MISSING_REFERENCE: "it takes something back and does not say what",
    SetAsideReason.PRICE_NOT_POSITIVE: "a price is 0 or below: some feeds say *none* in that way",
    SetAsideReason.QUANTITY_NOT_POSITIVE: "a quantity is 0 or below where something was traded or shown",
    SetAsideReason.QUANTITY_NEGATIVE: "a quantity is below 0",
    SetAsideReason.OUT_OF_RANGE: "a number is beyond anything possible, or its value does not fit 64 bits",
    SetAsideReason.LEVELS_NOT_IN_ORDER: "levels of a side are not best first, or a price is there twice",
    SetAsideReason.BOOK_CROSSED: "a venue's own bid is at or above its own offer",
    SetAsideReason.BANDS_CROSSED: "the lower price band is above the upper one",
    SetAsideReason.BAD_TIME: "a time is before 1970 or after 2096, or a date is no date",
    SetAsideReason.FUTURE_STAMP: "its time lies after the moment at which the broker had it",
    SetAsideReason.BAD_NAME: "a name is not of the form that such names have: nothing could match it",
    SetAsideReason.CONTRADICTION: "its fields contradict one another",
    SetAsideReason.OTHER_CONTENT: "a print of this id was read before, with other content; the first one stands",
    SetAsideReason.DAY_IS_FINAL: "a print of a day whose prints are forgotten: its bars and costs stay as they are",
    SetAsideReason.CORRECTED_TWICE: "corrections of a print that do not name one another: the highest id stands",
    SetAsideReason.NEVER_CAME: "a print was cancelled or corrected, and its day has passed without it",
}
"""What each reason says. The page of all reasons shows it."""


class Fault(NamedTuple):
    """One thing that is wrong: the reason, and in words which field and value."""

    reason: SetAsideReason
    text: str


R = TypeVar("R", bound=Record)


class Checked(NamedTuple, Generic[R]):
    """A validator's answer: the record as far as it can be believed (None: not at all), and what is wrong with it."""

    record: R | None
    faults: tuple[Fault, ...] = ()


def price_fault(px: int, field: str) -> Fault | None:
    """What is wrong with a price (1e-9 currency units), if anything is."""
    if px <= 0:
        return Fault(SetAsideReason.PRICE_NOT_POSITIVE, f"{field} is {px}")
    if px > PX_MAX:
        return Fault(SetAsideReason.OUT_OF_RANGE, f"{field} is {px}, above {PX_MAX}")
    return None


def quantity_fault(qty: int, field: str, *, least: int = 0) -> Fault | None:
    """What is wrong with a quantity that must be ``least`` (0 or 1) or more, if anything is."""
    if qty < least:
        reason = SetAsideReason.QUANTITY_NOT_POSITIVE if least else SetAsideReason.QUANTITY_NEGATIVE
        return Fault(reason, f"{field} is {qty}")
    if qty > QTY_MAX:
        return Fault(SetAsideReason.OUT_OF_RANGE, f"{field} is {qty}, above {QTY_MAX}")
    return None


def time_fault(at_ns: int, field: str) -> Fault | None:
    """What is wrong with a moment (ns since 1970), if anything is."""
    if 0 <= at_ns <= NS_MAX:
        return None
    return Fault(SetAsideReason.BAD_TIME, f"{field} is {at_ns}")


def name_fault(**names: str) -> Fault | None:
    """The first of these names that is empty, if one is."""
    for field, name in names.items():
        if not name:
            return Fault(SetAsideReason.MISSING_NAME, f"{field} is empty")
    return None
