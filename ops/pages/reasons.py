"""`docs/reference/reasons.md`: every name by which the pipeline refuses or does not believe, from the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ops.pages.text import wrapped
from pipeline.domain.rejections import CXL_REJ_CODE, DeadLetterReason, RejectReason, fix_code
from pipeline.domain.validators.faults import MEANING, SetAsideReason
from pipeline.domain.validators.table import VALIDATORS
from pipeline.door import DoorParameters
from pipeline.stages.intake import refusal_texts
from pipeline.stages.slicing import completion
from pipeline.stages.slicing.completion import RiskReason

INTRO: Final = (
    "For upstream developers and the desk: every name by which the pipeline refuses, with its FIX code, and when."
)
REFUSED: Final = (
    "On `source-events.<source>`: `reason`, `fix_code`, and `text` with what was wrong and what to send instead. "
    "The code is FIX OrdRejReason (103) in a REFUSED, CxlRejReason (102) in a CANCEL_REFUSED; 99 is *other*, and the "
    "name says what. The first reason that applies is given, in the order of the checks in "
    "`pipeline/stages/intake/checks.py`. Refused by us is not rejected by a venue."
)
REPEATED: Final = (
    "A repeat of a request, refused or not, is answered REPEATED and changes nothing. "
    "But a cancel refused UNKNOWN_ORDER is judged anew."
)
LETTERS: Final = (
    "What could not be read or applied, on `dead-letters`: whole, with its bytes, topic, partition, offset and one of "
    "these."
)

AT_RISK: Final = (
    "On `alerts`, kind COMPLETION_AT_RISK: a parent that must be completed may not be. It is said once for each "
    "parent, as soon as one of these shows, and always before it ends with something unexecuted."
)
SET_ASIDE: Final = (
    "Every record from outside, orders excepted, passes a validator before any stage decides on it "
    "(`pipeline/door.py`). What is not believed is set aside: counted in the state of each stage that reads it, and "
    "told to the desk on `alerts`, kind SET_ASIDE, with the topic as `subject_id` and one of these as `reason`: at "
    "once, and then at most every `door.alert_every_ns` "
    f"({DoorParameters().alert_every_ns // 1_000_000_000} s) for each topic, reason and instrument, with the number."
)
EFFECTS: Final = "What a fault means for decisions:"

# A reason without a line here is an error of tests/unit/test_documents.py.
MEANINGS: dict[RejectReason, str] = {
    RejectReason.UNKNOWN_KIND: "`kind` is none that this version knows",
    RejectReason.MISSING_CL_ORD_ID: "`cl_ord_id` is empty",
    RejectReason.MISSING_SOURCE: "`source` is empty",
    RejectReason.UNKNOWN_SOURCE: "no account on the topic `accounts` names this source",
    RejectReason.UNKNOWN_ACCOUNT: "the account is not on the topic `accounts`; names are compared exactly",
    RejectReason.ACCOUNT_NOT_OF_SOURCE: "the account belongs to another source",
    RejectReason.UNKNOWN_INSTRUMENT: "the symbol is not on the topic `instruments`; symbols are compared exactly",
    RejectReason.RESTRICTED_INSTRUMENT: "the instrument is on the restricted list",
    RejectReason.MISSING_SIDE: "`side` is missing",
    RejectReason.MISSING_QUANTITY: "`order_qty` is missing",
    RejectReason.QUANTITY_NOT_POSITIVE: "`order_qty` is 0 or below",
    RejectReason.QUANTITY_NOT_IN_LOTS: "`order_qty` is no multiple of the lot; the text names the two nearest that are",
    RejectReason.FRACTIONAL_QUANTITY: "fractions of a unit are not built",
    RejectReason.CASH_QUANTITY: "orders by an amount of money are not built",
    RejectReason.MIN_QUANTITY_TOO_LARGE: "`min_qty` is above `order_qty`",
    RejectReason.MISSING_LIMIT_PRICE: "a LIMIT order without `limit_px`",
    RejectReason.UNEXPECTED_LIMIT_PRICE: "a MARKET order with `limit_px`",
    RejectReason.PRICE_NOT_POSITIVE: "`limit_px` is 0 or below",
    RejectReason.PRICE_NOT_ON_TICK: "`limit_px` is between two ticks; the text names both. Nothing is rounded",
    RejectReason.UNSUPPORTED_ORDER_TYPE: "MARKET and LIMIT are taken; one of them must be said",
    RejectReason.UNSUPPORTED_TIME_IN_FORCE: "DAY is taken, and GTD within today's session",
    RejectReason.AUCTION_NOT_SUPPORTED: "at-the-opening and at-the-close orders are not built",
    RejectReason.UNSUPPORTED_STRATEGY: "VWAP and TWAP are taken",
    RejectReason.BAD_TIME_WINDOW: "`start_ns` and `end_ns` make no window inside the session",
    RejectReason.ALREADY_ENDED: "`end_ns` is not after now",
    RejectReason.BAD_PARTICIPATION_CAP: "`participation_cap` is not between 1 and 1,000,000 parts per million",
    RejectReason.UNKNOWN_VENUE: "`allowed_venues` names one that is not on the topic `venues`",
    RejectReason.BAD_VALUE: "a field has a value that means nothing here; the text names it",
    RejectReason.LOCATE_REQUIRED: "a short sale of what is hard to borrow needs `locate_id`",
    RejectReason.MARKET_CLOSED: "the session is over, or the clock has not started",
    RejectReason.HALTED: "the instrument is halted (in the contract, not given today: orders wait for the halt's end)",
    RejectReason.ORDER_TOO_LARGE: "above `max_order_qty` of the firm, source, account or instrument",
    RejectReason.ORDER_VALUE_TOO_LARGE: "above `max_order_value` of one of these",
    RejectReason.OUTSIDE_COLLAR: "`limit_px` is further from the reference than the `collar`",
    RejectReason.NO_REFERENCE_PRICE: "neither a quote of today nor a last close: nothing to value the order at",
    RejectReason.STALE_REFERENCE_PRICE: "the last quote is older than `max_reference_age_ns`",
    RejectReason.CREDIT_EXCEEDED: "above what is leased of the account's credit to this partition",
    RejectReason.NO_LIMIT_SET: "the firm has no limit or the account no credit: unset is not unlimited",
    RejectReason.RATE_EXCEEDED: "more orders in a second than `max_rate`",
    RejectReason.KILLED: "the desk has stopped new orders here; cancels are still taken",
    RejectReason.CONFLICTING_REPEAT: "this `cl_ord_id` was sent today with other content",
    RejectReason.UNKNOWN_ORDER: "a cancel of an order not sent today by this source",
    RejectReason.TOO_LATE_TO_CANCEL: "nothing of the order is left to cancel",
    RejectReason.ALREADY_PENDING: "a cancel of the order is under way",
    RejectReason.REPLACE_NOT_SUPPORTED: "replaces are not built: cancel, then send anew",
    RejectReason.NOT_UNDERSTOOD: "it says what a newer contract has and this version does not; the text names it",
}

LETTER_MEANINGS: dict[DeadLetterReason, str] = {
    DeadLetterReason.NO_VALUE: "the record has no value",
    DeadLetterReason.NO_SCHEMA_ID: "the value does not begin with a zero byte and an id",
    DeadLetterReason.UNKNOWN_SCHEMA_ID: "the registry does not know the id",
    DeadLetterReason.WRONG_SCHEMA: "the id is of a schema that cannot be read as this topic's",
    DeadLetterReason.UNDECODABLE: "the bytes are not what the schema says",
    DeadLetterReason.TRAILING_BYTES: "bytes are left over after the record",
    DeadLetterReason.TOO_LARGE: "larger than a record may be",
    DeadLetterReason.UNKNOWN_KIND: "`kind` is UNKNOWN: a later version's, or not said",
    DeadLetterReason.BAD_VALUE: "a field's value is outside what the record allows",
    DeadLetterReason.WRONG_PARTITION: "it lies on another partition than its key's (`orders-in` is forwarded instead)",
    DeadLetterReason.SKIPPED_BY_DESK: "a stage could not apply it and the desk ordered SKIP",
    DeadLetterReason.NOT_UNDERSTOOD: "a newer release wrote it, and says in it what this one does not know",
}


def page() -> str:
    """The whole page."""
    lines = ["# Reasons", "", *wrapped(INTRO), "", "## Refused requests", "", *wrapped(REFUSED), "", *_refusals(), ""]
    lines += [*wrapped(REPEATED), "", "## Dead letters", "", *wrapped(LETTERS), "", *_letters(), ""]
    lines += ["## Set aside", "", *wrapped(SET_ASIDE), "", *_set_aside(), "", EFFECTS, "", *_effects(), ""]
    lines += ["## Completion at risk", "", *wrapped(AT_RISK), "", *_at_risk()]
    return "\n".join(lines)


def _refusals() -> Iterator[str]:
    yield "| reason | 103 | 102 | of | when |"
    yield "|---|---|---|---|---|"
    for reason in RejectReason:
        if reason is RejectReason.UNKNOWN:
            continue
        order = reason in refusal_texts.REASONS
        of = "a new order" if order else "a cancel" if reason in CXL_REJ_CODE else "any request"
        if reason is RejectReason.REPLACE_NOT_SUPPORTED:
            of = "a replace"
        elif reason is RejectReason.CONFLICTING_REPEAT:
            of = "any request"
        yield f"| `{reason}` | {fix_code(reason)} | {fix_code(reason, of_cancel=True)} | {of} | {MEANINGS[reason]} |"


def _letters() -> Iterator[str]:
    yield "| reason | when |"
    yield "|---|---|"
    yield from (f"| `{each}` | {LETTER_MEANINGS[each]} |" for each in DeadLetterReason if each is not each.UNKNOWN)


def _set_aside() -> Iterator[str]:
    yield "| reason | when |"
    yield "|---|---|"
    yield from (f"| `{each}` | {MEANING[each]} |" for each in SetAsideReason if each is not each.UNKNOWN)


def _at_risk() -> Iterator[str]:
    yield "| reason | when, and what to do |"
    yield "|---|---|"
    yield from (f"| `{each}` | {completion.MEANING[each]} |" for each in RiskReason if each is not each.UNKNOWN)


def _effects() -> Iterator[str]:
    yield "| topic | effect |"
    yield "|---|---|"
    yield from (f"| `{each.topic}` | {each.effect} |" for each in VALIDATORS.values())
