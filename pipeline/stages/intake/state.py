"""What intake keeps: the day's requests and their answers, open orders, and the facts that orders are checked against.

Money is in 1e-9 currency units.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeVar

from pipeline.domain.controls import ControlScope, CreditLease, Tick
from pipeline.domain.market import ReferencePrice
from pipeline.domain.orders import ClosedOrder, OrderRequest, OrdStatus, Side
from pipeline.domain.reference import Account, Instrument, Limit, LimitScope
from pipeline.domain.rejections import RejectReason
from pipeline.domain.times import age_ns
from pipeline.domain.units import NS_PER_S
from pipeline.stages.intake.checks import Facts
from pipeline.stages.intake.parameters import IntakeParameters
from pipeline.stages.shared import reference_data
from pipeline.stages.shared.partition_share import partition_share
from pipeline.stages.shared.reference_data import Dated, DatedRecord, limit_key
from pipeline.stages.shared.switches import Switches
from pipeline.state import Entry, State, Task

_SHARED_SCOPES: Final = frozenset({LimitScope.FIRM, LimitScope.INSTRUMENT})


D = TypeVar("D", bound=DatedRecord)
T = TypeVar("T")


class Request(Entry):
    """A request of today, by (trade date, source, ClOrdID), and its answer."""

    digest: bytes
    """BLAKE2b of its content: the same for a repeat, another one for a conflict."""
    order_id: str
    """The order it created or was to cancel; empty when there is none."""
    reason: RejectReason | None
    """Why it was refused."""
    ord_status: OrdStatus
    """UNKNOWN while the order is open: intake does not follow it."""
    cum_qty: int = 0
    """Once the order is closed: its executed quantity."""
    is_cancel: bool = False
    """A cancel or replace: it has no order of its own."""


class EarlyCancel(Entry):
    """A cancel whose order has not come yet."""

    request: OrderRequest
    key: str
    """Its own, in ``requests``."""
    digest: bytes
    append_ns: int
    received_ns: int
    """When it was received, session time; it is passed on with this time."""
    until_ns: int
    """When it is refused, session time."""


class EarlyCancels(Entry):
    """The cancels that wait for one order, in their order of arrival, by the key that the order's request will have."""

    waiting: list[EarlyCancel]


class OpenOrder(Entry):
    """An accepted order that is not closed, by order id."""

    request_key: str
    account: str
    instrument: str
    trade_date: int
    is_buy: bool
    reserved: int
    """Part of its account's credit that it holds until it is closed."""


class Exposure(Entry):
    """Money reserved on an account, in this partition."""

    buy: int = 0
    sell: int = 0


class SourceKnown(Entry):
    """A source that some account record has named at some time."""


class LastMidpoint(Entry):
    """The last midpoint of an instrument."""

    px: int
    quote_ns: int
    trade_date: int


class SettlementAssumed(Entry):
    """An instrument in which an order's settlement date had to be assumed, last on this trading date."""

    trade_date: int
    told: bool = False


class Standing(NamedTuple):
    """The reference data in force now that an order is checked against."""

    account: Account | None
    instrument: Instrument | None
    limits: tuple[Limit, ...]
    lease: CreditLease | None


class OfAccount(NamedTuple):
    """What is in force for an account now."""

    account: Account | None
    lease: CreditLease | None
    limit: Limit | None


class OfInstrument(NamedTuple):
    """What is in force for an instrument now."""

    instrument: Instrument | None
    limit: Limit | None


_STANDING_MOST: Final = 1 << 14
"""Cache bound per kind: clients can invent unlimited names."""


class OrderRate(Entry):
    """Orders counted against one limit in one second of session time."""

    second: int = 0
    count: int = 0


class IntakeState(State):
    """Requests, open orders and credit in use, and the reference data and switches that orders are checked against."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.instruments = reference_data.instruments(self)
        self.accounts = reference_data.accounts(self)
        self.venues = reference_data.venues(self)
        self.limits = reference_data.limits(self)
        self.leases: Dated[CreditLease] = Dated(self, "leases", CreditLease, lambda lease: lease.account)
        self.switches = Switches(self)
        self.sources = self.table("sources", SourceKnown)
        self.requests = self.table("requests", Request)
        self.orders = self.table("orders", OpenOrder)
        self.exposures = self.table("exposures", Exposure)
        self.quotes = self.table("quotes", LastMidpoint)
        self.rates = self.table("rates", OrderRate)
        self.early = self.table("early-cancels", EarlyCancels)
        self._waiting_of: dict[str, int] = {}
        """Source to the number of its cancels that wait. Derived from the table."""
        self._assumed = self.table("settlement-assumed", SettlementAssumed)
        self._to_tell: list[str] = []
        """Instruments with a settlement date assumed today that the desk has not been told of. Derived."""
        self._to_forget: list[str] = []
        """Keys of requests of other days, sorted, forgotten from the end. Derived from the table and the clock."""
        self._of_account: dict[str, OfAccount] = {}
        self._of_instrument: dict[str, OfInstrument] = {}
        self._of_source: dict[str, tuple[Limit, ...]] = {}
        """Caches of what was looked up since reference data last changed; of a source its own and the firm's limit."""
        self._standing_until_ns: int | None = 0
        """When the next future version comes into force, which ends the caches; None: there is none."""

    def restored(self) -> None:
        self._find_old_requests()
        self._waiting_of.clear()
        for key in self.early.keys():
            for each in self.early.peek(key).waiting:
                self._count_waiting(each.request.source, 1)
        self._to_tell = [key for key in self._assumed.keys() if not self._assumed[key].told]

    # ---------------------------------------------------------------- time

    def pass_time(self, tick: Tick, forget: int) -> None:
        """Apply a tick and forget up to ``forget`` requests of days that are over."""
        before = self.clock.trade_date
        self.apply_tick(tick)
        if self.clock.trade_date != before:
            self._find_old_requests()
        for _ in range(min(forget, len(self._to_forget))):
            self.requests.remove(self._to_forget.pop())

    def _find_old_requests(self) -> None:
        today = f"{self.clock.trade_date}/"
        self._to_forget = [key for key in self.requests.keys() if not key.startswith(today)]

    # ---------------------------------------------------------------- identity

    def request_key(self, source: str, cl_ord_id: str) -> str:
        """A request's identity today. With the source's length, no two pairs of source and ClOrdID give one key."""
        return f"{self.clock.trade_date}/{len(source)}/{source}/{cl_ord_id}"

    # ---------------------------------------------------------------- cancels that wait

    def let_wait(self, order_key: str, cancel: EarlyCancel) -> None:
        """Keep a cancel until the request ``order_key`` comes."""
        early = self.early.get(order_key) or EarlyCancels([])
        early.waiting.append(cancel)
        self.early.put(order_key, early)
        self._count_waiting(cancel.request.source, 1)

    def stop_waiting(self, order_key: str) -> list[EarlyCancel]:
        """Remove and return what waits for the request ``order_key``, in its order of arrival."""
        early = self.early.get(order_key)
        if early is None:
            return []
        self.early.remove(order_key)
        for each in early.waiting:
            self._count_waiting(each.request.source, -1)
        return early.waiting

    def waiting_of(self, source: str) -> int:
        """How many cancels of a source wait."""
        return self._waiting_of.get(source, 0)

    def _count_waiting(self, source: str, change: int) -> None:
        self._waiting_of[source] = self._waiting_of.get(source, 0) + change

    # ---------------------------------------------------------------- facts

    def is_known(self, scope: ControlScope, scope_id: str) -> bool:
        """Whether a control's scope names what reference data name now; True for scopes that they do not speak of."""
        match scope:
            case ControlScope.SOURCE:
                return scope_id in self.sources
            case ControlScope.ACCOUNT:
                return self.accounts.get(scope_id, self.now_ns) is not None
            case ControlScope.INSTRUMENT:
                return self.instruments.get(scope_id, self.now_ns) is not None
            case ControlScope.VENUE:
                return self.venues.get(scope_id, self.now_ns) is not None
            case ControlScope.ALL:
                return not scope_id
            case _:
                return True

    def learn_price(self, price: ReferencePrice, ahead_ns: int) -> None:
        """Keep a midpoint, unless a later one is known. Nothing is learned from a price or time that cannot be.

        What was kept with a time that cannot be, before the clock or this rule said so, does not stand in the way.
        """
        if price.px <= 0 or (self.now_ns and age_ns(price.quote_ns, self.now_ns, ahead_ns) is None):
            return
        known = self.quotes.get(price.instrument)
        if known is None or known.quote_ns <= price.quote_ns or age_ns(known.quote_ns, self.now_ns, ahead_ns) is None:
            self.quotes.put(price.instrument, LastMidpoint(price.px, price.quote_ns, self.clock.trade_date))

    def learn(self, table: Dated[D], record: D) -> None:
        """Put a record into one of this state's tables of reference data, and drop the caches."""
        table.put(record, self.now_ns)
        self._look_again()
        if record.effective_ns > self.now_ns:
            until_ns = self._standing_until_ns
            self._standing_until_ns = record.effective_ns if until_ns is None else min(until_ns, record.effective_ns)

    def _look_again(self) -> None:
        self._of_account.clear()
        self._of_instrument.clear()
        self._of_source.clear()

    def standing(self, r: OrderRequest) -> Standing:
        """The reference data in force for an order now; each part is cached until reference data change."""
        now_ns, until_ns = self.now_ns, self._standing_until_ns
        if until_ns is not None and now_ns >= until_ns:
            self._look_again()
            tables: tuple[Dated[Any], ...] = (self.accounts, self.instruments, self.limits, self.leases)
            changes = [at_ns for table in tables if (at_ns := table.next_change_ns(now_ns)) is not None]
            self._standing_until_ns = min(changes, default=None)
        account, lease, of_account = self._of_account.get(r.account) or self._look_account(r.account)
        instrument, of_instrument = self._of_instrument.get(r.instrument) or self._look_instrument(r.instrument)
        limits = self._of_source.get(r.source) or self._look_source(r.source)
        if limits and (of_account or of_instrument):
            limits = (*limits, *(limit for limit in (of_account, of_instrument) if limit is not None))
        return Standing(account, instrument, limits, lease)

    def _look_account(self, name: str) -> OfAccount:
        limit = self.limits.get(limit_key(LimitScope.ACCOUNT, name), self.now_ns)
        found = OfAccount(self.accounts.get(name, self.now_ns), self.leases.get(name, self.now_ns), limit)
        return _remember(self._of_account, name, found)

    def _look_instrument(self, name: str) -> OfInstrument:
        limit = self.limits.get(limit_key(LimitScope.INSTRUMENT, name), self.now_ns)
        return _remember(self._of_instrument, name, OfInstrument(self.instruments.get(name, self.now_ns), limit))

    def _look_source(self, name: str) -> tuple[Limit, ...]:
        """The firm's limit and the source's; none when the firm has none."""
        firm = self.limits.get(limit_key(LimitScope.FIRM), self.now_ns)
        own = self.limits.get(limit_key(LimitScope.SOURCE, name), self.now_ns)
        found = () if firm is None else (firm,) if own is None else (firm, own)
        return _remember(self._of_source, name, found)

    def facts(self, r: OrderRequest, append_ns: int, received_ns: int, parameters: IntakeParameters) -> Facts:
        """All that the guards look at. Counts the order against the rates of its limits, at ``received_ns``."""
        clock = self.clock
        now_ns = clock.now_ns
        account, instrument, limits, lease = self.standing(r)
        exposure = self.exposures.get(r.account)
        facts = Facts(
            now_ns=now_ns,
            append_ns=append_ns,
            parameters=parameters,
            account=account,
            instrument=instrument,
            killed=self.switches.killed(source=r.source, account=r.account, instrument=r.instrument),
            limits=limits,
            over_rate=self._count(limits, received_ns // NS_PER_S),
            lease=lease,
        )
        if r.allowed_venues:
            facts.unknown_venue = next(
                (code for code in r.allowed_venues if self.venues.get(code, now_ns) is None), None
            )
        quote = self.quotes.get(r.instrument)
        if quote is not None and quote.trade_date == clock.trade_date:
            quote_age_ns = age_ns(quote.quote_ns, now_ns, parameters.reference_ahead_ns)
            if quote_age_ns is not None:
                facts.quote_px, facts.quote_age_ns = quote.px, quote_age_ns
        if exposure is not None:
            facts.reserved = exposure.buy if r.side is Side.BUY else exposure.sell
        return facts

    def note_assumed_settlement(self, instrument: str) -> None:
        """Note that the settlement date of an order in ``instrument`` had to be assumed."""
        known = self._assumed.get(instrument)
        if known is None or known.trade_date != self.clock.trade_date:
            self._assumed.put(instrument, SettlementAssumed(self.clock.trade_date))
            self._to_tell.append(instrument)

    def assumed_settlements(self) -> list[str]:
        """The instruments noted since the last call, each once a trading date, sorted: for the desk."""
        told, self._to_tell = sorted(self._to_tell), []
        for instrument in told:
            row = self._assumed[instrument]
            row.told = True
            self._assumed.put(instrument, row)
        return told

    def _count(self, limits: tuple[Limit, ...], second: int) -> Limit | None:
        """Count one order in ``second``; the first limit whose rate it exceeds, if any.

        A source and its accounts live in one partition, so their rates are exact. The rates of the firm and of an
        instrument are split over all partitions, each with its static share as with credit, so that the sum holds.
        """
        over: Limit | None = None
        for limit in limits:
            if limit.max_rate is None:
                continue
            key = limit_key(limit.scope, limit.scope_id)
            rate = self.rates.get(key) or OrderRate()
            if second > rate.second:
                rate = OrderRate(second, 0)
            rate.count += 1
            self.rates.put(key, rate)
            most = limit.max_rate
            if limit.scope in _SHARED_SCOPES:
                most = partition_share(most, self.task.partition, self.task.partitions)
            if rate.count > most and over is None:
                over = limit
        return over

    # ---------------------------------------------------------------- credit

    def open(self, order_id: str, order: OpenOrder) -> None:
        """Book an accepted order and reserve its credit."""
        self.orders.put(order_id, order)
        self._reserve(order, order.reserved)

    def close(self, closed: ClosedOrder) -> bool:
        """Give back what the order reserved, once; False when it is not open."""
        order = self.orders.get(closed.order_id)
        if order is None:
            return False
        self.orders.remove(closed.order_id)
        self._reserve(order, -order.reserved)
        request = self.requests.get(order.request_key)
        if request is not None:
            request.ord_status, request.cum_qty = closed.ord_status, closed.cum_qty
            self.requests.put(order.request_key, request)
        return True

    def _reserve(self, order: OpenOrder, money: int) -> None:
        exposure = self.exposures.get(order.account) or Exposure()
        if order.is_buy:
            exposure.buy += money
        else:
            exposure.sell += money
        assert exposure.buy >= 0 and exposure.sell >= 0, f"more credit given back than reserved on {order.account}"
        self.exposures.put(order.account, exposure)


def _remember(cache: dict[str, T], name: str, found: T) -> T:
    if len(cache) >= _STANDING_MOST:
        cache.clear()
    cache[name] = found
    return found
