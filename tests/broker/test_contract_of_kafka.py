"""What the worker relies on in Kafka and its client, asked of a real broker and of the simulated one alike.

A test that passes on one of them only says that the simulation is wrong, or that Kafka is not what we take it for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.kafka.clients import Kafka
from tests.simulated.clients import SimKafka
from tests.simulated.cluster import Cluster
from tests.simulated.world import World

BEAT_MS = 300
SESSION_MS = 2000
TIMEOUT_MS = 2000
DEADLINE_S = 120.0
"""Passes only where something is really wrong."""
QUIET_S = 0.5
"""How long we look whether more comes than should."""
_numbers = itertools.count(1)


class Ground:
    """Three topics of two partitions, and clients: of a real cluster or a simulated one."""

    def __init__(self, kafka: Any, name: str) -> None:
        self.kafka = kafka
        self.name = name
        self.a, self.b = f"{name}.a", f"{name}.b"

    def producer(self, name: str = "p", timeout_ms: int = 20_000) -> Any:
        found = self.kafka.producer(
            {"transactional.id": f"{self.name}.{name}", "transaction.timeout.ms": timeout_ms, "linger.ms": 0,
             "retry.backoff.ms": 2}
        )  # fmt: skip
        found.init_transactions(-1)
        return found

    def consumer(self, **settings: Any) -> Any:
        return self.kafka.consumer(
            {
                "group.id": f"{self.name}.g", "isolation.level": "read_committed", "enable.partition.eof": True,
                "enable.auto.commit": False, "auto.offset.reset": "error", "fetch.wait.max.ms": 20,
                "partition.assignment.strategy": "range",
                **settings,
            }
        )  # fmt: skip

    def reader(self, *places: tuple[str, int, int], **settings: Any) -> Any:
        found = self.consumer(**settings)
        found.assign([TopicPartition(*place) for place in places])
        return found

    def expect(self, consumer: Any, *values: bytes, end: int | None) -> None:
        """These values come and then, told last, this end (None: of several partitions, whatever they are); no more.

        Ends on the way there are passed over: how many are told depends on how the fetches fall.
        """
        found: list[Any] = []
        ends: list[Any] = []
        last: Any = None

        def there() -> bool:
            return found == list(values) and (end is None or last == ("end", end))

        enough = self.kafka.monotonic() + DEADLINE_S
        while self.kafka.monotonic() < enough:
            for message in consumer.consume(100, 0.05):
                error = message.error()
                last = message.value() if error is None else ("end", message.offset())
                assert error is None or error.code() == KafkaError._PARTITION_EOF
                (found if error is None else ends).append(last)
            if there():
                enough = min(enough, self.kafka.monotonic() + QUIET_S)
        assert there(), f"came: {found}, ends told: {ends}, last {last}"

    def members(self) -> list[Any]:
        """Of the group, as its coordinator sees it."""
        group = f"{self.name}.g"
        admin = self.kafka.admin()
        return list(admin.describe_consumer_groups([group], request_timeout=30)[group].result(60).members)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for it."""
        deadline = self.kafka.monotonic() + DEADLINE_S
        while not condition():
            assert self.kafka.monotonic() < deadline, f"waited in vain: {what}"
            self.kafka.sleep(0.1)


class Member:
    """A static member of the ground's group that writes down its callbacks, and reads nothing until told."""

    def __init__(self, ground: Ground, name: str, beat_ms: int = BEAT_MS, session_ms: int = SESSION_MS) -> None:
        self.told: list[tuple[str, list[tuple[str, int]]]] = []
        self.ground = ground
        self.consumer = ground.consumer(
            **{"group.instance.id": f"{name}", "session.timeout.ms": session_ms, "heartbeat.interval.ms": beat_ms}
        )
        self.assign: Callable[[Any, list[TopicPartition]], None] = lambda consumer, places: consumer.assign([])
        self.consumer.subscribe(
            [ground.a, ground.b],
            on_assign=self._on_assign,
            on_revoke=lambda consumer, places: self._on_end("revoke", consumer, places),
            on_lost=lambda consumer, places: self._on_end("lost", consumer, places),
        )

    def _on_assign(self, consumer: Any, places: list[TopicPartition]) -> None:
        self._tell("assign", places)
        self.assign(consumer, places)

    def _on_end(self, kind: str, consumer: Any, places: list[TopicPartition]) -> None:
        self._tell(kind, places)
        consumer.unassign()

    def _tell(self, kind: str, places: list[TopicPartition]) -> None:
        self.told.append((kind, sorted((each.topic.rsplit(".", 1)[1], each.partition) for each in places)))

    @property
    def metadata(self) -> Any:
        return self.consumer.consumer_group_metadata()


ALL = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def turn(*members: Member, until: Callable[[], bool], seconds: float = DEADLINE_S) -> list[Any]:
    """Poll all of them until it is so; returns the events of no partition that came."""
    kafka = members[0].ground.kafka
    deadline = kafka.monotonic() + seconds
    found = []
    while not until():
        assert kafka.monotonic() < deadline, [each.told for each in members]
        for member in members:
            message = member.consumer.poll(0.05)
            if message is not None and message.error() is not None and message.topic() is None:
                found.append(message.error())
    return found


@pytest.fixture(scope="module")
def real() -> Iterator[LocalKafka]:
    with LocalKafka() as kafka:
        yield kafka


@pytest.fixture(params=["simulated", "real"])
def ground(request: pytest.FixtureRequest) -> Ground:
    name = f"t{next(_numbers)}"
    topics = {f"{name}.a": 2, f"{name}.b": 2}
    if request.param == "simulated":
        world = World(7)
        return Ground(SimKafka(Cluster(world, topics), world.main), name)
    kafka = Kafka(request.getfixturevalue("real").bootstrap_servers)
    admin = kafka.admin()
    for future in admin.create_topics([NewTopic(topic, 2) for topic in topics]).values():
        future.result(20)
    return Ground(kafka, name)


def write(producer: Any, *rows: tuple[str, int, bytes]) -> None:
    """Into the open transaction, all of it at the broker."""
    for topic, partition, value in rows:
        producer.produce(topic, value, None, partition)
    assert producer.flush(10) == 0


def refused(call: Callable[..., Any], *arguments: Any) -> tuple[int, bool, bool, bool]:
    """The error's code, and whether it is fatal, retriable, to be answered with an abort."""
    with pytest.raises(KafkaException) as caught:
        call(*arguments)
    error = caught.value.args[0]
    return error.code(), error.fatal(), error.retriable(), error.txn_requires_abort()


FENCED = (KafkaError._FENCED, True, False, False)

# -------------------------------------------------------------------- reading committed records


def test_an_open_transaction_is_hidden_and_holds_back_all_that_follows(ground: Ground) -> None:
    first, second = ground.producer("p1"), ground.producer("p2")
    reader = ground.reader((ground.a, 0, 0))
    first.begin_transaction()
    write(first, (ground.a, 0, b"1"))
    second.begin_transaction()
    write(second, (ground.a, 0, b"2"))
    second.commit_transaction(-1)
    ground.expect(reader, end=0)  # the end it is told is the last stable offset
    place = TopicPartition(ground.a, 0)
    assert reader.get_watermark_offsets(place, timeout=5, cached=False) == (0, 0)
    uncommitted = ground.consumer(**{"isolation.level": "read_uncommitted"})
    assert uncommitted.get_watermark_offsets(place, timeout=5, cached=False) == (0, 3), "two records and a marker"
    first.commit_transaction(-1)
    ground.expect(reader, b"1", b"2", end=4)
    assert reader.position([place])[0].offset == 4


def test_an_aborted_record_is_never_seen_and_the_position_passes_over_it(ground: Ground) -> None:
    producer, reader = ground.producer(), ground.reader((ground.a, 0, 0))
    producer.begin_transaction()
    write(producer, (ground.a, 0, b"1"))
    producer.abort_transaction(-1)
    ground.expect(reader, end=2)
    assert reader.position([TopicPartition(ground.a, 0)])[0].offset == 2
    producer.begin_transaction()
    write(producer, (ground.a, 0, b"2"))
    producer.commit_transaction(-1)
    ground.expect(reader, b"2", end=4)
    again = ground.reader((ground.a, 0, 0), **{"isolation.level": "read_uncommitted"})
    ground.expect(again, b"1", b"2", end=4)  # it lies there all the same


def test_reading_begins_where_it_is_told_to(ground: Ground) -> None:
    producer, reader = ground.producer(), ground.reader((ground.a, 0, 0))
    for value in (b"1", b"2", b"3"):
        producer.begin_transaction()
        write(producer, (ground.a, 0, value))
        producer.commit_transaction(-1)
    ground.expect(reader, b"1", b"2", b"3", end=6)
    reader.assign([TopicPartition(ground.a, 0, 3)])  # a marker's offset: just after the second record
    ground.expect(reader, b"3", end=6)  # and its end is told again


def test_a_place_beyond_the_log_is_told_as_an_error(ground: Ground) -> None:
    reader = ground.reader((ground.a, 0, 7))
    codes: set[int] = set()

    def told() -> bool:
        codes.update(message.error().code() for message in reader.consume(10, 0.1) if message.error())
        return bool(codes)

    ground.until(told, "an error")
    assert codes == {KafkaError._AUTO_OFFSET_RESET}


# -------------------------------------------------------------------- fencing and timeouts


def test_a_new_producer_takes_back_what_the_old_one_left_and_fences_it(ground: Ground) -> None:
    old = ground.producer()
    old.begin_transaction()
    write(old, (ground.a, 0, b"old"))
    new = ground.producer()
    reader = ground.reader((ground.a, 0, 0))
    ground.expect(reader, end=2)  # settled before init_transactions returned
    assert refused(old.commit_transaction, -1) == FENCED
    assert refused(old.commit_transaction, -1) == FENCED
    assert refused(old.abort_transaction, -1) == FENCED
    assert refused(old.begin_transaction) == FENCED
    assert refused(old.produce, ground.a, b"x", None, 0) == (KafkaError._FATAL, False, False, False)
    new.begin_transaction()
    write(new, (ground.a, 0, b"new"))
    new.commit_transaction(-1)
    ground.expect(reader, b"new", end=4)


def test_a_fenced_producer_is_told_by_its_flush(ground: Ground) -> None:
    old = ground.producer()
    ground.producer()
    old.begin_transaction()
    old.produce(ground.a, b"x", None, 0)
    assert refused(old.flush, 5) == FENCED
    group = ground.consumer().consumer_group_metadata()
    assert refused(old.send_offsets_to_transaction, [TopicPartition(ground.a, 0, 1)], group, 3) == FENCED
    assert refused(old.commit_transaction, -1) == FENCED


@pytest.mark.parametrize("act", ["commit", "abort", "write", "offsets"])
def test_a_transaction_that_runs_out_of_time_is_taken_back_and_its_producer_fenced(ground: Ground, act: str) -> None:
    producer = ground.producer(timeout_ms=1000)
    producer.begin_transaction()
    write(producer, (ground.a, 0, b"late"))
    ground.expect(ground.reader((ground.a, 0, 0)), end=2)  # by itself, when its time is over
    if act == "commit":
        assert refused(producer.commit_transaction, -1) == FENCED
    elif act == "abort":
        assert refused(producer.abort_transaction, -1) == FENCED
    elif act == "write":
        producer.produce(ground.a, b"x", None, 0)
        assert refused(producer.flush, 5) == FENCED
    else:
        group = ground.consumer().consumer_group_metadata()
        assert refused(producer.send_offsets_to_transaction, [TopicPartition(ground.a, 0, 1)], group, 3) == FENCED
    assert refused(producer.begin_transaction) == FENCED


# -------------------------------------------------------------------- offsets


def test_offsets_are_there_with_their_transaction_and_waited_for_until_then(ground: Ground) -> None:
    member, producer = Member(ground, "m"), ground.producer()
    turn(member, until=lambda: member.told == [("assign", ALL)])
    place = TopicPartition(ground.a, 0)
    assert member.consumer.committed([place], timeout=5)[0].offset < 0
    for end, offset in ((producer.abort_transaction, -1001), (producer.commit_transaction, 5)):
        producer.begin_transaction()
        write(producer, (ground.b, 0, b"x"))
        producer.send_offsets_to_transaction([TopicPartition(ground.a, 0, 5)], member.metadata, 3)
        asked = KafkaError._TIMED_OUT, False, False, False
        assert refused(lambda: member.consumer.committed([place], timeout=1)) == asked
        end(-1)
        assert member.consumer.committed([place], timeout=5)[0].offset == offset


def stale(producer: Any, ground: Ground, metadata: Any) -> tuple[int, bool, bool, bool]:
    """A transaction that sends its offsets as ``metadata``; what is said. It is taken back."""
    producer.begin_transaction()
    write(producer, (ground.b, 0, b"stale"))
    found = refused(producer.send_offsets_to_transaction, [TopicPartition(ground.a, 0, 7)], metadata, 3)
    assert refused(producer.commit_transaction, -1) == found, "an abort is asked for, whatever is tried"
    producer.abort_transaction(-1)
    return found


def test_offsets_of_an_earlier_generation_are_refused_and_the_producer_goes_on(ground: Ground) -> None:
    first, producer = Member(ground, "m1"), ground.producer()
    turn(first, until=lambda: len(first.told) == 1)
    before = first.metadata
    second = Member(ground, "m2")
    turn(first, second, until=lambda: len(first.told) == 3 and len(second.told) == 1)
    assert stale(producer, ground, before) == (KafkaError.ILLEGAL_GENERATION, False, False, True)
    producer.begin_transaction()
    write(producer, (ground.b, 0, b"good"))
    producer.send_offsets_to_transaction([TopicPartition(ground.a, 0, 1)], first.metadata, 3)
    producer.commit_transaction(-1)
    ground.expect(ground.reader((ground.b, 0, 0)), b"good", end=4)


# -------------------------------------------------------------------- groups


def test_the_range_assignor_divides_each_topic_in_the_order_of_the_instances(ground: Ground) -> None:
    second = Member(ground, "m2")
    turn(second, until=lambda: len(second.told) == 1)
    first = Member(ground, "m1")
    turn(first, second, until=lambda: len(second.told) == 3 and len(first.told) == 1)
    assert second.told == [("assign", ALL), ("revoke", ALL), ("assign", [("a", 1), ("b", 1)])]
    assert first.told == [("assign", [("a", 0), ("b", 0)])]


def test_a_static_member_that_comes_back_moves_nothing_and_fences_what_it_was(ground: Ground) -> None:
    first, other, producer = Member(ground, "m1"), Member(ground, "m2"), ground.producer()
    turn(first, other, until=lambda: any(each[1] == [("a", 0), ("b", 0)] for each in first.told) and bool(other.told))
    told, others, before = list(first.told), list(other.told), first.metadata
    again = Member(ground, "m1")
    turn(again, other, until=lambda: len(again.told) == 1)
    assert again.told == [("assign", [("a", 0), ("b", 0)])] and other.told == others
    assert stale(producer, ground, before) == (KafkaError.FENCED_INSTANCE_ID, False, False, True)
    events: list[Any] = []

    def told_once() -> bool:
        message = first.consumer.poll(0.05)
        if message is not None and message.error() is not None:
            events.append(message.error())
        return bool(events)

    ground.until(told_once, "that it is fenced")
    for _ in range(40):
        told_once()
    assert [(error.code(), error.fatal()) for error in events] == [(KafkaError._FATAL, False)], "told once"
    assert first.told == told, "and no callback"


def test_a_member_that_is_silent_is_put_out_and_told_that_it_has_lost_all(ground: Ground) -> None:
    # Its next heartbeat, by which it learns of it, is far away: what happens before has the time for it.
    member, producer = Member(ground, "m", beat_ms=15_000), ground.producer()
    turn(member, until=lambda: len(member.told) == 1)
    before = member.metadata
    ground.until(lambda: ground.members() == [], "that the silent member is put out")
    unknown = (KafkaError.UNKNOWN_MEMBER_ID, False, False, True)
    assert stale(producer, ground, before) == unknown
    assert stale(producer, ground, member.metadata) == unknown, "it does not know yet"
    ground.kafka.sleep(15)
    assert stale(producer, ground, before) == unknown
    assert stale(producer, ground, member.metadata) == unknown, "it knows, and its application does not"
    turn(member, until=lambda: len(member.told) == 3)
    assert [kind for kind, _ in member.told] == ["assign", "lost", "assign"]


def test_a_static_member_that_closes_stays_until_its_session_is_over(ground: Ground) -> None:
    # A session so long that the question is asked within it, however slow the machine.
    first, other = Member(ground, "m1"), Member(ground, "m2", session_ms=12_000)
    turn(first, other, until=lambda: any(each[1] == [("a", 0), ("b", 0)] for each in first.told) and bool(other.told))
    count = len(first.told)
    other.consumer.close()
    assert other.told[-1] == ("revoke", [("a", 1), ("b", 1)])
    assert len(ground.members()) == 2, "it is closed, and a member"
    turn(first, until=lambda: len(first.told) == count + 2)
    assert len(ground.members()) == 1
    assert first.told[-2:] == [("revoke", [("a", 0), ("b", 0)]), ("assign", ALL)]


def test_a_rebalance_comes_inside_consume_after_poll_has_returned_a_record(ground: Ground) -> None:
    producer = ground.producer()
    producer.begin_transaction()
    write(producer, *((ground.a, 0, b"%d" % i) for i in range(50)))
    producer.commit_transaction(-1)
    first = Member(ground, "m1")
    first.assign = lambda consumer, _: consumer.assign([TopicPartition(ground.a, 0, 0)])
    turn(first, until=lambda: len(first.told) == 1)
    record = first.consumer.poll(5)
    assert record is not None and record.error() is None
    first.assign = lambda consumer, _: consumer.assign([])
    _second = Member(ground, "m2")
    ground.until(lambda: len(ground.members()) == 2, "that the second has joined")
    ground.kafka.sleep(10 * BEAT_MS / 1000)  # the first one's heartbeats are told of it
    assert first.told == [("assign", ALL)], "nothing is told outside poll and consume"
    rest = first.consumer.consume(100, 0.5)
    assert ("revoke", ALL) in first.told
    assert [message.value() for message in rest if message.error() is None] == [], "records of before are thrown away"


def test_after_an_abort_of_what_was_not_sent_yet_the_producer_goes_on(ground: Ground) -> None:
    producer = ground.producer()
    for value, end in ((b"1", producer.abort_transaction), (b"2", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(ground.a, value, None, 0)
        producer.produce(ground.a, value, None, 1)
        if end == producer.abort_transaction:
            producer.purge()
        end(-1)
    reader = ground.reader((ground.a, 0, 0), (ground.a, 1, 0))
    ground.expect(reader, b"2", b"2", end=None)
