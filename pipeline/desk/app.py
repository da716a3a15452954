"""The desk: orders, fills, exposure and alerts as they happen, in a browser. Display only, never an input of decisions.

Faust assigns the partitions to the workers of group `desk` and streams them. The tables are ours
(:mod:`pipeline.desk.windows`), in memory only, and rebuilt from the topics: a worker that starts, or is given a
partition, reads that partition from its beginning. So nothing can be wrong after a kill: no offsets are committed and
there is no changelog. Records that Faust may still lose are found and read again (:meth:`Desk.audit`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import faust
from confluent_kafka import KafkaException
from faust.types import TP

from pipeline.desk import broker_access, peers, web
from pipeline.desk.cross_check import CrossCheck, Discrepancy, ShownFigures
from pipeline.desk.faust_patches import CommittedApp
from pipeline.desk.windows import TOPICS, PartitionTables, RecordOutcome
from pipeline.domain.record import Record
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, PipelineError, PlatformError, PortTaken, Unreachable, WrongUse
from pipeline.runtime.contracts.codec import Codec, Undecodable
from pipeline.runtime.contracts.registry import Registry, RegistryIds
from pipeline.runtime.embedded.platform import require_reachable
from pipeline.runtime.kafka.client_settings import ClientSettings
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.ports import free_port, is_taken
from pipeline.runtime.settings import Settings
from pipeline.topics import topic_named

DEFAULT_PORT: Final = 6066
GROUP: Final = "desk"
AUDIT_S: Final = 2.0
"""Time between two comparisons of the tables with the topics."""
_REBUILD_S: Final = 30.0
"""A partition whose tables differ from the topic is rebuilt at most this often, and shown as wrong meanwhile."""
STANDSTILL_S: Final = 10.0
"""When a partition's tables have not reached a record of its topic for this long, Faust is told to read from there."""
_SESSION_S: Final = 6.0
"""A killed worker's partitions move to the others after this; a broker's default allows no less."""

Say = Callable[[str], object]
ReadAgain = Callable[[Mapping[TP, int]], Awaitable[None]]


class Check(NamedTuple):
    """The last comparison of a partition's tables with its topic: when (wall ms), whether records are missing yet, and
    what differs."""

    at_ms: int
    behind: bool
    differences: tuple[str, ...]


class Desk:
    """The tables of the partitions this worker has, and how they are kept right. All calls from one event loop."""

    def __init__(
        self, codec: Codec, partitions: int, say: Say = print, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.parts: dict[tuple[str, int], PartitionTables] = {}
        self.partitions = partitions
        self.peers: list[str] = []
        self._checks: dict[tuple[str, int], Check] = {}
        self._behind: dict[tuple[str, int], tuple[int, float]] = {}
        """The offset that a partition's tables do not get past, and since when (monotonic s)."""
        self._rebuilt_at: dict[tuple[str, int], float] = {}
        self._codec = codec
        self._say = say
        self._clock = clock

    def expected(self) -> list[tuple[str, int]]:
        """Topic and partition of all that the desk shows, on whichever worker."""
        return [(topic.name, partition) for topic in TOPICS for partition in range(self.partitions)]

    def own(self, assigned: set[TP]) -> Mapping[TP, int]:
        """Take over an assignment: returns the offset each partition is to be read from; drops the tables of all
        others."""
        now = {(tp.topic, tp.partition) for tp in assigned}
        for place in [place for place in self.parts if place not in now]:
            del self.parts[place]
            self._checks.pop(place, None)
            self._behind.pop(place, None)
            self._rebuilt_at.pop(place, None)
        for place in now:
            if place not in self.parts:
                self.parts[place] = PartitionTables(*place)
        return {tp: self.parts[tp.topic, tp.partition].next_offset for tp in assigned}

    async def take(self, message: Any, read_again: ReadAgain) -> None:
        """Count a record from Faust. If records before it are missing, its partition is read again from the
        beginning."""
        part = self.parts.get((message.topic, message.partition))
        if part is None or message.offset < part.next_offset:
            return
        record = await self._decoded(message)
        if part.apply(message.offset, round(message.timestamp * 1000), record) is RecordOutcome.GAP:
            self._say(f"desk: {part.topic}/{part.partition}: a gap before offset {message.offset}: rebuilding")
            part.rebuild(message.offset)
            await read_again({TP(part.topic, part.partition): 0})

    async def _decoded(self, message: Any) -> Record | None:
        while True:
            try:
                return self._codec.decode(topic_named(message.topic).name, message.value)
            except Undecodable:
                return None
            except Unreachable as error:
                self._say(f"desk: {error} Waiting.")
                await asyncio.sleep(1)

    def shown(self) -> list[ShownFigures]:
        """The figures this worker shows now, to be compared with the topics."""
        return [ShownFigures.of(self.parts[place]) for place in sorted(self.parts)]

    async def audit(self, findings: list[Discrepancy], read_again: ReadAgain) -> None:
        """Act on a comparison with the topics: a difference rebuilds a partition's tables, a standstill reads on.

        Findings about tables that were rebuilt since are ignored.
        """
        for finding in findings:
            place = finding.shown.topic, finding.shown.partition
            part = self.parts.get(place)
            if part is None or part.rebuilds != finding.shown.rebuilds:
                continue
            self._checks[place] = Check(_now_ms(), finding.behind, finding.differences)
            if finding.differences:
                if self._clock() - self._rebuilt_at.get(place, -_REBUILD_S) >= _REBUILD_S:
                    self._say(f"desk: {place[0]}/{place[1]}: differs from the books: {'; '.join(finding.differences)}")
                    self._rebuilt_at[place] = self._clock()
                    part.rebuild()
                    await read_again({TP(*place): 0})
            elif self._stands_still(place, part, finding):
                self._say(f"desk: {place[0]}/{place[1]}: stands still at {part.next_offset}: reading on from there")
                await read_again({TP(*place): part.next_offset})

    def _stands_still(self, place: tuple[str, int], part: PartitionTables, finding: Discrepancy) -> bool:
        if not finding.behind or finding.shown.next_offset != part.next_offset:
            self._behind.pop(place, None)
            return False
        offset, since = self._behind.get(place, (-1, 0.0))
        if offset == part.next_offset and self._clock() - since < STANDSTILL_S:
            return False
        self._behind[place] = part.next_offset, self._clock()
        return offset == part.next_offset

    def parts_as_json(self, minutes_max: int) -> list[dict[str, Any]]:
        """This worker's own partitions as JSON, each with its last comparison, and its newest ``minutes_max``
        windows."""
        return [
            {
                **self.parts[place].as_json(minutes_max),
                "check": self._checks[place]._asdict() if place in self._checks else None,
            }
            for place in sorted(self.parts)
        ]


def run_desk(
    settings: Settings, *, host: str = "127.0.0.1", port: int = DEFAULT_PORT, group: str = GROUP, say: Say = print
) -> int:
    """Serve the desk's pages at host:port (0: any free one) until SIGTERM or SIGINT; returns the exit code.

    PortTaken, Unreachable and WrongUse are passed to ``say``, not raised: their exit code is returned. Call it in the
    main thread only.

    Workers of one ``group`` share the partitions, and each shows the whole by asking the others, at the host they
    serve on: leave it at the loopback interface, or see to it that only the desk reaches it.
    """
    try:
        require_reachable(settings.bootstrap_servers, settings.registry_url)
        _require_topics(settings)
        if port == 0:
            port = free_port()
        elif is_taken(port):
            raise PortTaken("The desk", port)
        return _serve(settings, host, port, group, say)
    except PipelineError as error:
        say(f"desk: {error}")
        return error.exit_code


def _serve(settings: Settings, host: str, port: int, group: str, say: Say) -> int:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    advertised = _advertised(host)
    address = f"{advertised}:{port}"
    desk = Desk(_codec(settings), settings.partitions, say)
    app = _faust_app(settings, host, port, group, peers.client_id(advertised, port))
    app.place_of = desk.own
    web.serve(app, desk, address)
    stopping = False

    channel = app.topic(*(topic.name for topic in TOPICS), value_type=bytes, acks=False)

    @app.agent(channel, name=f"{group}.tables")
    async def tables(stream: Any) -> None:
        async for event in stream.events():
            await desk.take(event.message, app.read_again)

    @app.on_partitions_assigned.connect  # type: ignore[arg-type]
    async def assigned(_app: Any, *args: Any, **_kwargs: Any) -> None:
        desk.own(args[0])  # for an empty assignment Faust never calls place_of

    @app.task  # type: ignore[untyped-decorator]
    async def audit() -> None:
        books = CrossCheck(settings.bootstrap_servers, _codec(settings), group)
        directory = peers.Directory(settings.bootstrap_servers, group)
        shown_bad = False

        say(f"desk: serving at http://{address}/")
        try:
            while not app.should_stop:
                try:
                    members = await loop.run_in_executor(executor, directory.addresses)
                    desk.peers = [member for member in members if member != address]
                    findings = await loop.run_in_executor(executor, books.check, desk.shown(), lambda: stopping)
                    if not app.rebalancing:
                        await desk.audit(findings, app.read_again)
                    if shown_bad:
                        say("desk: the broker answers again")
                    shown_bad = False
                except (KafkaException, PlatformError, TimeoutError) as error:
                    if not shown_bad:
                        say(f"desk: the topics cannot be compared with: {error}. Waiting for the broker and registry.")
                    shown_bad = True
                await app.sleep(AUDIT_S)
        finally:
            executor.submit(books.close)

    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="desk-books")
    worker = faust.Worker(
        app, loop=loop, quiet=True, loglevel="WARN", redirect_stdouts=False, override_logging=False, daemon=True
    )
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        code = EXIT_GOOD if end.code in (None, 0) else EXIT_FOUND
    finally:
        stopping = True
        executor.shutdown(wait=True)
    say("desk: stopped in good order" if code == EXIT_GOOD else "desk: stopped by an error")
    return code


def _faust_app(settings: Settings, host: str, port: int, group: str, client_id: str) -> CommittedApp:
    given = ClientSettings.read()
    datadir = settings.state_dir / f"{group}-{port}"
    datadir.mkdir(parents=True, exist_ok=True)
    return CommittedApp(
        group,
        broker=[f"kafka://{server.strip()}" for server in settings.bootstrap_servers.split(",")],
        broker_client_id=given.client_id(client_id),
        broker_credentials=broker_access.credentials(given),
        broker_session_timeout=_SESSION_S,
        broker_heartbeat_interval=_SESSION_S / 3,
        consumer_auto_offset_reset="earliest",
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        datadir=datadir,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        web_bind=host,
        web_host=host,
        web_port=port,
        web_tables_enabled=False,
        web_router_enabled=False,
        web_stats_enabled=False,
        web_graph_enabled=False,
        web_metrics_enabled=False,
        autodiscover=False,
    )


def _codec(settings: Settings) -> Codec:
    return Codec(RegistryIds(Registry(settings.registry_url)))


def _require_topics(settings: Settings) -> None:
    """The desk creates no topics: `pipeline topics apply` does. Raises WrongUse when one is missing."""
    found = Kafka(settings.bootstrap_servers).require_answer(15).topics
    for topic in TOPICS:
        count = len(found[topic.name].partitions) if topic.name in found else 0
        if count != settings.partitions:
            raise WrongUse(
                f"topic {topic.name} has {count} partitions at {settings.bootstrap_servers}, not "
                f"{settings.partitions}: run `pipeline topics apply`, or correct PIPELINE_PARTITIONS"
            )


def _advertised(host: str) -> str:
    """The host at which other workers reach this one."""
    try:
        anywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        anywhere = False
    return socket.gethostname() if anywhere else host


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
