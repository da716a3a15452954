"""Which parties may cross with each other, by which rule: the crossing rules, applied to each pair of parties.

A pair that no rule (row of ``crossing-rules``) allows is refused, with a named reason (:class:`CrossRefusal`, or the
name of the price condition that failed). Some refusals no rule can lift: one owner or control group on both sides, the
firm's own orders against a client's, unknown owners or account classes.

First form: only the price rule MIDPOINT with an even share of the spread is built, from one quote; the other price
rules are refused by name. Orders with a minimum quantity, or directed to a broker, do not cross; nor do pegged ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from pipeline.algos.crossing import CrossLimits, midpoint_check
from pipeline.algos.crossing import Quote as CrossQuote
from pipeline.domain.orders import AccountClass, Capacity
from pipeline.domain.reference import CrossingRule, Instrument, PriceRule
from pipeline.domain.units import PPM_ONE

_MILLI_BPS_PER_PPM: Final = 10


class CrossRefusal(StrEnum):
    """Why two parties do not cross, beside the price conditions of :class:`pipeline.algos.crossing.NoCross`."""

    UNKNOWN_CLASS = "UNKNOWN_CLASS"
    UNKNOWN_OWNER = "UNKNOWN_OWNER"
    OWN_ACCOUNT = "OWN_ACCOUNT"
    SAME_OWNER = "SAME_OWNER"
    SAME_CONTROL_GROUP = "SAME_CONTROL_GROUP"
    OTHER_CAPACITY = "OTHER_CAPACITY"
    OTHER_CURRENCY = "OTHER_CURRENCY"
    OTHER_SETTLEMENT = "OTHER_SETTLEMENT"
    MINIMUM_QUANTITY = "MINIMUM_QUANTITY"
    DIRECTED_BROKER = "DIRECTED_BROKER"
    PEGGED = "PEGGED"
    NO_RULE = "NO_RULE"
    FORBIDDEN_BY_RULE = "FORBIDDEN_BY_RULE"
    NO_CONSENT = "NO_CONSENT"
    PRICE_RULE_LAST_SALE = "PRICE_RULE_LAST_SALE"
    PRICE_RULE_CLOSE = "PRICE_RULE_CLOSE"
    PRICE_RULE_BENCHMARK = "PRICE_RULE_BENCHMARK"
    PRICE_RULE_UNKNOWN = "PRICE_RULE_UNKNOWN"
    UNEVEN_SHARE = "UNEVEN_SHARE"
    OUTSIDE_SESSION = "OUTSIDE_SESSION"
    TOO_MANY_PARTIES = "TOO_MANY_PARTIES"
    BEYOND_64_BITS = "BEYOND_64_BITS"


class Party(NamedTuple):
    """What decides whether orders may cross; orders that agree in all of it are matched as one."""

    account_class: AccountClass
    capacity: Capacity
    currency: str
    settlement: str
    consent: bool
    bar: str
    """A reason why these orders cross with nobody; empty for none."""
    owner: str
    """Owner and control group, given only where the other side has the same one too; else both are empty."""
    control_group: str


class Verdict(NamedTuple):
    """The rule by which a pair may cross; None and the reason when it may not."""

    rule: CrossingRule | None
    refusal: str


class Rights:
    """The crossing rules in force at a moment, with the price conditions checked against one quote."""

    def __init__(
        self, rules: Sequence[CrossingRule], quote: CrossQuote, instrument: Instrument | None, now_ns: int
    ) -> None:
        self._rules = rules
        self._quote = quote
        self._now_ns = now_ns
        self._in_session = instrument is not None and instrument.session_open_ns <= now_ns < instrument.session_close_ns
        self._known: dict[tuple[AccountClass, AccountClass, Capacity], Verdict] = {}

    def of(self, buyer: Party, seller: Party) -> Verdict:
        """Whether these two may cross; if not, the first refusal in this order: none a rule can lift, rule, consent."""
        refusal = _own_refusal(buyer, seller)
        if refusal:
            return Verdict(None, refusal)
        pair = (buyer.account_class, seller.account_class, buyer.capacity)
        verdict = self._known.get(pair)
        if verdict is None:
            verdict = self._known[pair] = self._by_rule(*pair)
        rule = verdict.rule
        if rule is not None and rule.consent_required and not (buyer.consent and seller.consent):
            return Verdict(None, CrossRefusal.NO_CONSENT)
        return verdict

    def _by_rule(self, one: AccountClass, other: AccountClass, capacity: Capacity) -> Verdict:
        rows = [
            rule
            for rule in self._rules
            if rule.capacity is capacity and (rule.one_class, rule.other_class) in ((one, other), (other, one))
        ]
        if not rows:
            return Verdict(None, CrossRefusal.NO_RULE)
        if not all(rule.allowed for rule in rows):
            return Verdict(None, CrossRefusal.FORBIDDEN_BY_RULE)  # one rule that forbids outweighs those that allow
        refused = ""
        for rule in rows:
            refusal = _unbuilt(rule) or self._price_refusal(rule)
            if not refusal:
                return Verdict(rule, "")
            refused = refused or refusal
        return Verdict(None, refused)

    def _price_refusal(self, rule: CrossingRule) -> str:
        if not self._in_session:
            return CrossRefusal.OUTSIDE_SESSION
        limits = CrossLimits(
            age_ns_max=rule.max_quote_age_ns,
            # Rounded down, to the stricter side: a fraction of a part per million is dropped.
            spread_ppm_max=rule.max_spread // _MILLI_BPS_PER_PPM,
            quote_qty_min=rule.min_quote_qty,
            median_distance_ppm_max=rule.max_move // _MILLI_BPS_PER_PPM,
        )
        reason = midpoint_check(self._quote, self._now_ns, limits)
        return "" if reason is None else reason.value


def _own_refusal(buyer: Party, seller: Party) -> str:
    """The reason that no rule can lift; empty when there is none."""
    one, other = buyer.account_class, seller.account_class
    if AccountClass.UNKNOWN in (one, other):
        return CrossRefusal.UNKNOWN_CLASS
    if buyer.bar or seller.bar:
        return buyer.bar or seller.bar
    if (one is AccountClass.OWN) != (other is AccountClass.OWN):
        return CrossRefusal.OWN_ACCOUNT
    if buyer.owner and buyer.owner == seller.owner:
        return CrossRefusal.SAME_OWNER
    if buyer.control_group and buyer.control_group == seller.control_group:
        return CrossRefusal.SAME_CONTROL_GROUP
    if buyer.capacity is not seller.capacity:
        return CrossRefusal.OTHER_CAPACITY
    if buyer.currency != seller.currency:
        return CrossRefusal.OTHER_CURRENCY
    if buyer.settlement != seller.settlement:
        return CrossRefusal.OTHER_SETTLEMENT
    return ""


def _unbuilt(rule: CrossingRule) -> str:
    match rule.price_rule:
        case PriceRule.MIDPOINT:
            # Half of the spread to each side: anything else favours one of two clients of ours.
            return "" if 2 * rule.price_improvement_share == PPM_ONE else CrossRefusal.UNEVEN_SHARE
        case PriceRule.LAST_SALE:
            return CrossRefusal.PRICE_RULE_LAST_SALE
        case PriceRule.CLOSE:
            return CrossRefusal.PRICE_RULE_CLOSE
        case PriceRule.BENCHMARK:
            return CrossRefusal.PRICE_RULE_BENCHMARK
        case PriceRule.UNKNOWN:
            return CrossRefusal.PRICE_RULE_UNKNOWN
