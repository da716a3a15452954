"""Validators of reference data: the edges of every range, from both sides; every fault at once; what stops holds."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.domain.int64 import LONG_MAX
from pipeline.domain.orders import AccountClass, Capacity
from pipeline.domain.reference import (
    Account,
    CrossingRule,
    Instrument,
    Limit,
    LimitScope,
    PriceRule,
    ReferenceKind,
    Venue,
    VenueKind,
)
from pipeline.domain.validators.faults import NS_MAX, PX_MAX, QTY_MAX, Checked, SetAsideReason
from pipeline.domain.validators.reference import (
    check_account,
    check_crossing_rule,
    check_instrument,
    check_limit,
    check_venue,
    is_source_name,
)
from tests.golden.samples import records

R = SetAsideReason
SET, REMOVE = ReferenceKind.SET, ReferenceKind.REMOVE
MINUTE: Final = 60_000_000_000
DAY: Final = 1440 * MINUTE
OPEN: Final = 1_353_681_000_000_000_000
"""2012-11-23 14:30 UTC."""

INSTRUMENT: Final = Instrument(
    kind=SET, instrument="XYZ", effective_ns=OPEN - DAY, tick_px=10_000_000, session_open_ns=OPEN,
    session_close_ns=OPEN + 210 * MINUTE, reference_px=10**11, daily_volume_qty=1_000_000, calendar="XNYS",
    trade_date=20121123, cash_settlement_date=20121123, next_day_settlement_date=20121126,
    regular_settlement_date=20121128,
)  # fmt: skip
ACCOUNT: Final = Account(
    kind=SET, account="A", effective_ns=0, source="desk.1_a-b", account_class=AccountClass.CLIENT, owner="o",
    control_group="g",
)  # fmt: skip
VENUE: Final = Venue(
    kind=SET, venue="XNAS", effective_ns=0, venue_kind=VenueKind.LIT, maker_fee_px=-2_000_000, taker_fee_px=3_000_000,
    latency_ns=1, latency_jitter_ns=0,
)  # fmt: skip
LIMIT: Final = Limit(kind=SET, scope=LimitScope.FIRM, effective_ns=0, max_order_qty=1)
RULE: Final = CrossingRule(
    kind=SET, rule_id="r", effective_ns=0, one_class=AccountClass.CLIENT, other_class=AccountClass.PENSION,
    allowed=True, price_rule=PriceRule.MIDPOINT, max_quote_age_ns=0, max_spread=0, max_move=0, authority="consent",
)  # fmt: skip
GOOD: Final = (INSTRUMENT, ACCOUNT, VENUE, LIMIT, RULE)
CHECKS: Final[dict[type, Any]] = {
    Instrument: check_instrument, Account: check_account, Venue: check_venue, Limit: check_limit,
    CrossingRule: check_crossing_rule,
}  # fmt: skip


def check(record: Any) -> Checked[Any]:
    found: Checked[Any] = CHECKS[type(record)](record)
    return found


def spoiled(record: Any) -> dict[str, Any]:
    """Values of its other fields with which nothing could be worked."""
    match record:
        case Instrument():
            return {"tick_px": 0, "lot_qty": -1, "session_close_ns": 0, "currency": ""}
        case Account():
            return {"source": "", "account_class": AccountClass.UNKNOWN}
        case Venue():
            return {"latency_ns": -1, "venue_kind": VenueKind.UNKNOWN}
        case Limit():
            return {"max_order_qty": -1}
        case _:
            return {"max_spread": -1, "price_rule": PriceRule.UNKNOWN, "authority": ""}


def dated(**changes: Any) -> Instrument:
    return replace(INSTRUMENT, **changes)


def limited(scope: LimitScope, scope_id: str = "", **numbers: Any) -> Limit:
    return Limit(kind=SET, scope=scope, scope_id=scope_id, effective_ns=0, **numbers)


@pytest.mark.parametrize("record", GOOD, ids=lambda record: type(record).__name__)
def test_what_is_right_passes_as_it_is(record: Any) -> None:
    assert check(record) == Checked(record, ())


LAST_PASSING: Final = [
    dated(tick_px=2),
    dated(tick_px=PX_MAX, reference_px=0),
    dated(lot_qty=QTY_MAX, reference_px=9_223_372, tick_px=2),
    dated(round_lot_qty=1),
    dated(round_lot_qty=QTY_MAX),
    dated(reference_px=0),
    dated(reference_px=PX_MAX - 1),
    dated(daily_volume_qty=0),
    dated(daily_volume_qty=QTY_MAX),
    dated(session_close_ns=OPEN + MINUTE),
    dated(session_close_ns=OPEN + 7 * DAY),
    dated(session_open_ns=OPEN - DAY),
    dated(effective_ns=0),
    dated(effective_ns=NS_MAX),
    dated(regular_settlement_date=20121224),
    dated(calendar="", trade_date=0, cash_settlement_date=0, next_day_settlement_date=0, regular_settlement_date=0),
    dated(calendar="", cash_settlement_date=0, next_day_settlement_date=0, regular_settlement_date=0),
    replace(ACCOUNT, owner="", control_group=""),
    replace(ACCOUNT, account="x" * 200, source="s" * 200),
    *(
        replace(VENUE, **{field: number})
        for field in ("maker_fee_px", "taker_fee_px")
        for number in (-(10**12), 10**12)
    ),
    *(replace(VENUE, **{field: 60_000_000_000}) for field in ("latency_ns", "latency_jitter_ns")),
    replace(VENUE, latency_ns=0),
    replace(VENUE, min_qty=QTY_MAX),
    limited(LimitScope.FIRM, max_order_qty=0, max_order_value=0, max_reference_age_ns=0, max_rate=0, max_backlog_ns=0),
    limited(LimitScope.ACCOUNT, "A", max_exposure=LONG_MAX, max_order_value=LONG_MAX, max_rate=LONG_MAX),
    limited(LimitScope.GATE, max_exposure=0, collar=10_000_000),
    limited(LimitScope.GATE, "XYZ", collar=0),
    limited(LimitScope.INSTRUMENT, "XYZ"),
    limited(LimitScope.SOURCE, "S", max_order_qty=LONG_MAX, max_reference_age_ns=LONG_MAX),
    replace(RULE, max_quote_age_ns=LONG_MAX, max_spread=10_000_000, max_move=10_000_000, min_quote_qty=QTY_MAX),
    replace(RULE, price_improvement_share=0),
    replace(RULE, price_improvement_share=1_000_000),
    replace(RULE, allowed=False, authority=""),
]


@pytest.mark.parametrize("record", LAST_PASSING, ids=str)
def test_the_last_value_that_passes(record: Any) -> None:
    assert check(record) == Checked(record, ())


FIRM_NUMBERS: Final = (
    "max_order_qty", "max_order_value", "max_reference_age_ns", "max_rate", "max_backlog_ns", "collar",
)  # fmt: skip
FIRST_REFUSED: Final = [
    # ---- every record: kind, key, time
    *((replace(record, kind=ReferenceKind.UNKNOWN), R.UNKNOWN_KIND, "neither SET nor REMOVE") for record in GOOD),
    *((replace(record, effective_ns=-1), R.BAD_TIME, "effective_ns is -1") for record in GOOD),
    *((replace(record, effective_ns=NS_MAX + 1), R.BAD_TIME, "effective_ns is 4000000000000000001") for record in GOOD),
    (dated(instrument=""), R.MISSING_NAME, "instrument is empty"),
    (dated(instrument=" XYZ"), R.BAD_NAME, "instrument is ' XYZ'"),
    (dated(instrument="X\x00Z"), R.BAD_NAME, "instrument is"),
    (dated(instrument="x" * 201), R.BAD_NAME, "at most 200"),
    (replace(ACCOUNT, account=""), R.MISSING_NAME, "account is empty"),
    (replace(VENUE, venue="XNAS\n"), R.BAD_NAME, "venue is"),
    (replace(RULE, rule_id=""), R.MISSING_NAME, "rule_id is empty"),
    # ---- instruments
    *((dated(currency=name), R.BAD_NAME, "currency is") for name in ("", "usd", "US", "USDT", "US1")),
    (dated(tick_px=0), R.OUT_OF_RANGE, "tick_px is 0: it must be from 2 to"),
    (dated(tick_px=-2), R.OUT_OF_RANGE, "tick_px is -2"),
    (dated(tick_px=3), R.OUT_OF_RANGE, "tick_px is 3: it must be even"),
    (dated(tick_px=PX_MAX + 2), R.OUT_OF_RANGE, "tick_px"),
    (dated(lot_qty=0), R.OUT_OF_RANGE, "lot_qty is 0"),
    (dated(lot_qty=QTY_MAX + 1, tick_px=2, reference_px=0), R.OUT_OF_RANGE, "lot_qty"),
    (dated(lot_qty=QTY_MAX, reference_px=9_223_373, tick_px=2), R.OUT_OF_RANGE, "more than 64 bits hold"),
    (dated(round_lot_qty=0), R.OUT_OF_RANGE, "round_lot_qty is 0"),
    (dated(round_lot_qty=QTY_MAX + 1), R.OUT_OF_RANGE, "round_lot_qty"),
    (dated(reference_px=-1), R.OUT_OF_RANGE, "reference_px is -1"),
    (dated(reference_px=PX_MAX + 1), R.OUT_OF_RANGE, "reference_px"),
    (dated(daily_volume_qty=-1), R.OUT_OF_RANGE, "daily_volume_qty is -1"),
    (dated(daily_volume_qty=QTY_MAX + 1), R.OUT_OF_RANGE, "daily_volume_qty"),
    (dated(session_close_ns=OPEN), R.CONTRADICTION, "is not before session_close_ns"),
    (dated(session_close_ns=OPEN + MINUTE - 1), R.CONTRADICTION, "a minute"),
    (dated(session_close_ns=OPEN + 8 * DAY), R.CONTRADICTION, "the session is from"),
    (dated(session_close_ns=NS_MAX + 1), R.BAD_TIME, "session_close_ns is"),
    (dated(session_open_ns=-1), R.BAD_TIME, "session_open_ns is -1"),
    (dated(session_open_ns=OPEN - 2 * DAY), R.CONTRADICTION, "trade_date is 20121123"),
    (dated(trade_date=20121125, cash_settlement_date=20121125), R.CONTRADICTION, "trade_date is 20121125"),
    (dated(trade_date=20121131), R.BAD_TIME, "trade_date is 20121131: no date"),
    (dated(regular_settlement_date=20121332), R.BAD_TIME, "regular_settlement_date is 20121332"),
    (dated(cash_settlement_date=20121122), R.CONTRADICTION, "not in order"),
    (dated(next_day_settlement_date=20121122), R.CONTRADICTION, "not in order"),
    (dated(regular_settlement_date=20121125), R.CONTRADICTION, "not in order"),
    (dated(regular_settlement_date=20121225), R.OUT_OF_RANGE, "more than 31 days"),
    (dated(next_day_settlement_date=0), R.CONTRADICTION, "next_day_settlement_date not given"),
    (dated(trade_date=0), R.CONTRADICTION, "trade_date not given"),
    (
        dated(cash_settlement_date=0, next_day_settlement_date=0, regular_settlement_date=0),
        R.CONTRADICTION,
        "`pipeline reference sessions` fills in",
    ),
    # ---- accounts
    (replace(ACCOUNT, source=""), R.MISSING_NAME, "source is ''"),
    (replace(ACCOUNT, source="a/b"), R.BAD_NAME, "part of a topic's name"),
    (replace(ACCOUNT, source="s" * 201), R.BAD_NAME, "1 to 200"),
    (replace(ACCOUNT, account_class=AccountClass.UNKNOWN), R.UNKNOWN_KIND, "none of CLIENT, REGISTERED_FUND"),
    # ---- venues
    (replace(VENUE, venue_kind=VenueKind.UNKNOWN), R.UNKNOWN_KIND, "venue_kind is none of LIT, ATS, DARK"),
    *(
        (replace(VENUE, **{field: number}), R.OUT_OF_RANGE, f"{field} is {number}")
        for field in ("maker_fee_px", "taker_fee_px") for number in (-(10**12) - 1, 10**12 + 1)
    ),
    *(
        (replace(VENUE, **{field: number}), R.OUT_OF_RANGE, f"{field} is {number}")
        for field in ("latency_ns", "latency_jitter_ns") for number in (-1, 60_000_000_001)
    ),
    (replace(VENUE, min_qty=0), R.OUT_OF_RANGE, "min_qty is 0"),
    (replace(VENUE, min_qty=QTY_MAX + 1), R.OUT_OF_RANGE, "min_qty"),
    # ---- limits
    (limited(LimitScope.UNKNOWN), R.UNKNOWN_KIND, "scope is none of FIRM, SOURCE, ACCOUNT, INSTRUMENT, GATE"),
    (limited(LimitScope.FIRM, "desk"), R.CONTRADICTION, "it is empty for FIRM"),
    *((limited(scope), R.MISSING_NAME, "scope_id is empty")
      for scope in (LimitScope.SOURCE, LimitScope.ACCOUNT, LimitScope.INSTRUMENT)),
    (limited(LimitScope.GATE, " X"), R.BAD_NAME, "scope_id is ' X'"),
    *((limited(LimitScope.FIRM, "", **{field: -1}), R.OUT_OF_RANGE, f"{field} is -1") for field in FIRM_NUMBERS),
    (limited(LimitScope.ACCOUNT, "A", max_exposure=-1), R.OUT_OF_RANGE, "max_exposure is -1"),
    (limited(LimitScope.FIRM, collar=10_000_001), R.OUT_OF_RANGE, "collar is 10000001"),
    *((limited(scope, name, max_exposure=1), R.CONTRADICTION, "does not bind")
      for scope, name in ((LimitScope.FIRM, ""), (LimitScope.SOURCE, "S"), (LimitScope.INSTRUMENT, "X"))),
    *((limited(scope, name, max_backlog_ns=1), R.CONTRADICTION, "only FIRM")
      for scope, name in ((LimitScope.GATE, ""), (LimitScope.ACCOUNT, "A"), (LimitScope.SOURCE, "S"))),
    # ---- crossing rules
    (replace(RULE, one_class=AccountClass.UNKNOWN), R.UNKNOWN_KIND, "one_class or other_class"),
    (replace(RULE, other_class=AccountClass.UNKNOWN), R.UNKNOWN_KIND, "one_class or other_class"),
    (replace(RULE, capacity=Capacity.UNKNOWN), R.UNKNOWN_KIND, "capacity"),
    (replace(RULE, price_rule=PriceRule.UNKNOWN), R.UNKNOWN_KIND, "price_rule"),
    *((replace(RULE, **{field: -1}), R.OUT_OF_RANGE, f"{field} is -1")
      for field in ("max_quote_age_ns", "max_spread", "max_move", "min_quote_qty", "price_improvement_share")),
    (replace(RULE, max_spread=10_000_001), R.OUT_OF_RANGE, "max_spread"),
    (replace(RULE, max_move=10_000_001), R.OUT_OF_RANGE, "max_move"),
    (replace(RULE, min_quote_qty=QTY_MAX + 1), R.OUT_OF_RANGE, "min_quote_qty"),
    (replace(RULE, price_improvement_share=1_000_001), R.OUT_OF_RANGE, "price_improvement_share"),
    (replace(RULE, authority=" "), R.MISSING_NAME, "authority is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "reason", "words"), FIRST_REFUSED, ids=str)
def test_the_first_value_that_is_refused_and_why(record: Any, reason: R, words: str) -> None:
    checked = check(record)
    assert checked.record is None
    assert [fault.reason for fault in checked.faults] == [reason], checked.faults
    assert words in checked.faults[0].text


def test_all_faults_of_a_record_are_told_at_once() -> None:
    faults = check_instrument(dated(tick_px=-1, lot_qty=0, session_close_ns=OPEN, currency="")).faults
    assert [fault.text.split()[0] for fault in faults] == ["currency", "tick_px", "lot_qty", "session_open_ns"]


@pytest.mark.parametrize("record", GOOD, ids=lambda record: type(record).__name__)
def test_a_removal_needs_its_key_and_time_only(record: Any) -> None:
    removal = replace(record, kind=REMOVE, **spoiled(record))
    assert check(removal) == Checked(removal, ())


def test_a_restricted_instrument_with_a_fault_is_removed_and_not_traded_on_its_older_record() -> None:
    wrong = dated(restricted=True, tick_px=0)
    checked = check_instrument(wrong)
    assert checked.record == replace(wrong, kind=REMOVE)
    assert [fault.reason for fault in checked.faults] == [R.OUT_OF_RANGE]
    assert check_instrument(dated(restricted=True)) == Checked(dated(restricted=True), ())
    for nameless in (dated(restricted=True, instrument=""), dated(restricted=True, effective_ns=-1)):
        assert check_instrument(nameless).record is None


def test_a_rule_that_forbids_holds_whatever_its_numbers() -> None:
    forbids = replace(RULE, allowed=False, max_spread=-1, price_rule=PriceRule.UNKNOWN)
    checked = check_crossing_rule(forbids)
    assert checked.record == forbids and len(checked.faults) == 2
    assert check_crossing_rule(replace(forbids, rule_id="")).record is None
    assert check_crossing_rule(replace(forbids, kind=ReferenceKind.UNKNOWN)).record is None


@pytest.mark.parametrize(("name", "legal"), [("a", True), ("A.b_c-9", True), ("", False), ("a b", False), ("ü", False)])
def test_a_sources_name_is_one_that_a_topic_can_have(name: str, legal: bool) -> None:
    assert is_source_name(name) is legal


@given(st.one_of(*(records(record_type) for record_type in CHECKS)))
def test_whatever_is_in_a_record_a_validator_answers(record: Any) -> None:
    checked = check(record)
    assert checked.faults or checked.record == record
