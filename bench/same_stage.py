"""The peers' work as a stage of ours: order in, net position by instrument, one result out for each order.

Its table has two forms. ``batch`` is the pipeline's own: the changelog gets one record per key and transaction.
``each`` writes one per message, at the moment of its change, as Kafka Streams does: the same work, record for record.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import topics
from pipeline.domain.record import Kind, Owned, Record
from pipeline.runtime.contracts.codec import Registered
from pipeline.runtime.contracts.schemas import contract_text
from pipeline.stage import Meta, Stage
from pipeline.state import Entry, State, Table, Task
from pipeline.topics import DEAD_LETTERS, JOURNAL, Topic


class BenchSide(Kind):
    """The peers' side, behind the UNKNOWN that every enum of ours begins with."""

    UNKNOWN = "UNKNOWN"
    BUY = "BUY"
    SELL = "SELL"


class BenchOrder(Record, frozen=True, kw_only=True):
    """The peers' order: the same nine fields, the same Avro, byte for byte but for the enum's number."""

    order_id: str
    """Its id."""
    source: str
    """Who sent it."""
    account: str
    """For whom."""
    instrument: str
    """The key."""
    side: BenchSide
    """Buy or sell."""
    quantity: int
    """How many."""
    limit_price: int | None
    """Always null."""
    strategy: str
    """Its name."""
    ts: int
    """Microseconds."""


class BenchNet(Owned, frozen=True, kw_only=True):
    """The peers' result, behind the writer and number that every record of ours begins with."""

    order_id: str
    """The order it follows."""
    instrument: str
    """The key."""
    net: int
    """Bought less sold so far."""
    n: int
    """Orders so far."""


class Position(Entry):
    """An instrument's position."""

    net: int = 0
    n: int = 0


class EachTable(Table[Position]):
    """A table that drains every put, as it was at that moment, not only the last of a transaction."""

    __slots__ = ("_log",)

    def __init__(self, name: str, entry: type[Position]) -> None:
        super().__init__(name, entry)
        self._log: list[tuple[str, bytes | None]] = []

    def put(self, key: str, value: Position) -> None:
        super().put(key, value)
        self._log.extend(super().drain())

    def drain(self) -> Iterator[tuple[str, bytes | None]]:
        log, self._log = self._log, []
        return iter(log)


class SameState(State):
    """Positions by instrument."""

    def __init__(self, task: Task, *, each: bool) -> None:
        super().__init__(task)
        self.positions: Table[Position] = self.table("positions", Position)
        if each:
            self.positions = self._tables["positions"] = EachTable("positions", Position)


class SameWork(Stage[SameState]):
    """Adds up orders by instrument, one result for each."""

    title = "the peers' work"
    reads = (BenchOrder,)
    writes = (BenchNet,)

    def __init__(self, name: str, *, each: bool) -> None:
        self.name = name  # type: ignore[misc]  # a name for each run, so that each has a changelog of its own
        self._each = each

    def new_state(self, task: Task) -> SameState:
        return SameState(task, each=self._each)

    def step(self, state: SameState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case BenchOrder():
                position = state.positions.get(message.instrument) or Position()
                position.net += message.quantity if message.side is BenchSide.BUY else -message.quantity
                position.n += 1
                state.positions.put(message.instrument, position)
                yield BenchNet(order_id=message.order_id, instrument=message.instrument, net=position.net, n=position.n)
            case _:
                raise TypeError(message)


ORDERS = Topic("bench-orders", BenchOrder, lambda record: str(record.instrument))
SCHEMA_IDS = {ORDERS.name: 1, "controls": 3, DEAD_LETTERS.name: 4, JOURNAL.name: 5}
NET_SCHEMA_ID = 2


def nets_topic(name: str) -> Topic:
    """The output topic of the run ``name``."""
    return Topic(f"{name}.out", BenchNet, lambda record: str(record.instrument))


def install(nets: Topic) -> None:
    """Make both topics known to this process as if ``pipeline.topics`` listed them; it has no way to add topics."""
    for topic in (ORDERS, nets):
        topics._BY_NAME[topic.name] = topic
        topics._BY_RECORD[topic.record] = topic


class SameIds:
    """Schema ids of this work's topics."""

    def id_of(self, topic_name: str, text: str) -> int:
        return SCHEMA_IDS.get(topic_name, NET_SCHEMA_ID)

    def lookup(self, schema_id: int) -> Registered | None:
        record = BenchOrder if schema_id == 1 else BenchNet if schema_id == NET_SCHEMA_ID else None
        return None if record is None else Registered(contract_text(record), frozenset())
