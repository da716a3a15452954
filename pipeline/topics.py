"""Every topic as a typed value, named once: its record, its key, how it spreads over partitions, how long it is kept.

One record type per topic, so a record says by its type where it belongs: :func:`topic_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any, Final

from pipeline.domain import allocations, analytics, audit, controls, executions, market, orders, parents, reference
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Record


class Spread(Enum):
    """How a topic's records find their partitions."""

    KEYED = "by key"
    """murmur2(key) mod P, passed explicitly; a record found in another partition becomes a dead letter."""
    COPIED = "a copy on each partition"
    """Written P times in one transaction: every task sees it."""
    OWN = "the writer's own partition"
    """Written to the partition of the task that writes it."""
    SENDER = "by source, as senders will"
    """By source, but senders may use any partitioner: intake forwards what is in another partition (`orders-in`
    only)."""
    SINGLE = "one partition"
    """For readers only; no stage reads it."""


class Keep(Enum):
    """How long records stay."""

    WHOLE = "kept whole"
    COMPACTED = "compacted"


@dataclass(frozen=True)
class Topic:
    """A topic: name, record type, key, how it is partitioned, how long it is kept."""

    name: str
    record: type[Record]
    key: Callable[[Any], str]
    spread: Spread = Spread.KEYED
    keep: Keep = Keep.WHOLE
    per_source: bool = False
    """One topic for each source, named ``<name>.<source>``."""

    @property
    def schema(self) -> str:
        """The stem of its file in ``schemas/``."""
        return self.name

    def name_for(self, record: Any) -> str:
        """The name on the cluster of the topic this record goes to: with the record's source, where topics are per
        source."""
        return f"{self.name}.{record.source}" if self.per_source else self.name


_instrument: Final = attrgetter("instrument")
_source: Final = attrgetter("source")

ORDERS_IN: Final = Topic("orders-in", orders.OrderRequest, _source, Spread.SENDER)
ORDERS_REROUTED: Final = Topic("orders-rerouted", orders.OrderRerouted, _source)
ORDERS: Final = Topic("orders", orders.Order, _instrument)
ORDER_EVENTS: Final = Topic("order-events", orders.OrderEvent, _instrument)
SOURCE_EVENTS: Final = Topic("source-events", orders.SourceEvent, _instrument, Spread.OWN, per_source=True)
ORDER_CLOSURES: Final = Topic("order-closures", orders.OrdersClosed, _source)
LINEAGE: Final = Topic("lineage", parents.Lineage, _instrument)
PARENTS: Final = Topic("parents", parents.ParentOrder, _instrument)
CROSSES: Final = Topic("crosses", parents.Cross, _instrument)
EPOCHS: Final = Topic("epochs", parents.EpochClosed, _instrument)
SLICES: Final = Topic("slices", parents.Slice, _instrument)
CHILD_ORDERS: Final = Topic("child-orders", executions.ChildOrder, _instrument)
VENUE_REPORTS: Final = Topic("venue-reports", executions.VenueReport, _instrument)
FILLS: Final = Topic("fills", executions.Fill, _instrument)
ALLOCATIONS: Final = Topic("allocations", allocations.Allocation, _instrument)
RECONCILIATIONS: Final = Topic("reconciliations", allocations.Reconciliation, _instrument)
TRADE_REPORTS: Final = Topic("trade-reports", allocations.TradeReport, _instrument)
TCA: Final = Topic("tca", analytics.TCARow, _instrument)
BARS: Final = Topic("bars", analytics.Bar, _instrument)
VOLUME_CURVES: Final = Topic("volume-curves", analytics.VolumeCurve, _instrument)
VENUE_SCORES: Final = Topic("venue-scores", analytics.VenueScore, _instrument)
REFERENCE_PRICES: Final = Topic("reference-prices", market.ReferencePrice, _instrument, Spread.COPIED)
BOOK_EVENTS: Final = Topic("book-events", market.BookEvent, _instrument)
DEPTH: Final = Topic("depth", market.Depth, _instrument)
NBBO: Final = Topic("nbbo", market.NBBO, _instrument)
PRINTS: Final = Topic("prints", market.TradePrint, _instrument)
VENUE_STATUS: Final = Topic("venue-status", market.VenueStatus, _instrument)
CLOCK: Final = Topic("clock", controls.Tick, lambda _: "clock", Spread.COPIED)
CONTROLS: Final = Topic("controls", controls.Control, lambda r: str(r.control_id), Spread.COPIED)
CREDIT: Final = Topic("credit", controls.CreditLease, lambda r: str(r.account), Spread.COPIED)
ALERTS: Final = Topic("alerts", controls.Alert, _instrument)
INSTRUMENTS: Final = Topic("instruments", reference.Instrument, _instrument, Spread.COPIED)
ACCOUNTS: Final = Topic("accounts", reference.Account, lambda r: str(r.account), Spread.COPIED)
VENUES: Final = Topic("venues", reference.Venue, lambda r: str(r.venue), Spread.COPIED)
LIMITS: Final = Topic("limits", reference.Limit, lambda r: f"{r.scope}/{r.scope_id}", Spread.COPIED)
CROSSING_RULES: Final = Topic("crossing-rules", reference.CrossingRule, lambda r: str(r.rule_id), Spread.COPIED)
DEAD_LETTERS: Final = Topic("dead-letters", audit.DeadLetter, lambda r: str(r.stage), Spread.OWN)
JOURNAL: Final = Topic("journal", audit.JournalEntry, lambda r: f"{r.stage}/{r.partition}", Spread.OWN)
SCHEMAS: Final = Topic("schemas", audit.SchemaCopy, lambda r: str(r.subject), Spread.SINGLE, Keep.WHOLE)

TOPICS: Final[tuple[Topic, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Topic))

_BY_RECORD: Final[dict[type[Record], Topic]] = {topic.record: topic for topic in TOPICS}
_BY_NAME: Final[dict[str, Topic]] = {topic.name: topic for topic in TOPICS}


def topic_of(record_type: type[Record]) -> Topic:
    """The topic of a record type. Raises KeyError for a type that has no topic."""
    return _BY_RECORD[record_type]


def topic_named(name: str) -> Topic:
    """The topic of a name on the cluster, sources' own topics included. Raises KeyError for a name that is not ours."""
    topic = _BY_NAME.get(name)
    if topic is None:
        topic = _BY_NAME[name.partition(".")[0]]
        if not topic.per_source:
            raise KeyError(name)
    return topic


def partitions_for(topic: Topic, key: str, own_partition: int, partitions: int) -> range | tuple[int, ...]:
    """The partitions that a record of ``topic`` with ``key`` is written to, by a task of ``own_partition`` among
    ``partitions``."""
    if topic.spread is Spread.COPIED:
        return range(partitions)
    if topic.spread is Spread.OWN:
        return (own_partition,)
    if topic.spread is Spread.SINGLE:
        return (0,)
    return (partition_of(key, partitions),)


def changelog_of(stage: str) -> str:
    """The name of the compacted topic that a stage's state is restored from."""
    return f"changelog.{stage}"
