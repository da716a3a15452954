"""What goes in from outside: orders from a file, the desk's controls, a market."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from confluent_kafka import KafkaError, Message

from pipeline import topics
from pipeline.commands.setup import codec_for, edge
from pipeline.domain.orders import OrderRequest
from pipeline.domain.partitioning import partition_of
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, PipelineError, WrongUse
from pipeline.gateways import clock, controls, orders_file
from pipeline.gateways.lobster_files import find_day
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.settings import Settings
from pipeline.simulator.market.market import RecordedMarket, Source, market_records, window_of
from pipeline.simulator.market.synthetic import SimulatedMarket

Say = Callable[[str], None]
_FLUSH_S: Final = 60.0
_LOOK_S: Final = 0.5
"""While acknowledgements are waited for: how often we look whether the broker lets us in."""


class OrderProducer:
    """Puts requests on `orders-in`, on their source's partition, each acknowledged by the broker before the end."""

    def __init__(self, settings: Settings, say: Say = print) -> None:
        self._settings = settings
        self._codec = codec_for(settings)
        self._kafka = Kafka(settings.bootstrap_servers)
        self._producer = self._kafka.producer(
            {
                "enable.idempotence": True,
                "linger.ms": 2,
                "delivery.timeout.ms": 300_000,
                "error_cb": self._trouble,
            }
        )
        self._say = say
        self._waiting = False
        self.failures: list[str] = []
        self.delivered = 0

    def send(self, request: OrderRequest, partition: int | None = None) -> None:
        self.send_raw(request.source, self._codec.encode(request), partition)

    def send_raw(self, source: str, value: bytes, partition: int | None = None) -> None:
        """Bytes as they are; `partition` None is the source's own. Raises AccessRefused."""
        where = partition_of(source, self._settings.partitions) if partition is None else partition
        while True:
            try:
                self._producer.produce(topics.ORDERS_IN.name, value, source.encode(), where, on_delivery=self._told)
                break
            except BufferError:
                self._poll(0.1)
        self._poll(0)

    def close(self, timeout_s: float = _FLUSH_S) -> None:
        """Wait for every acknowledgement. Raises PipelineError naming how many orders are not known to be taken.

        Raises AccessRefused when the broker has taken none, as it does not let us in.
        """
        deadline = time.monotonic() + timeout_s
        while (left := self._producer.flush(_LOOK_S)) and time.monotonic() < deadline:
            self._poll(0)
        if left or self.failures:
            first = f"; the first: {self.failures[0]}" if self.failures else ""
            raise PipelineError(
                f"{left + len(self.failures)} orders were not acknowledged by the broker{first}. Send the file again: "
                "what did arrive is recognised as a repeat."
            )

    def _poll(self, wait_s: float) -> None:
        self._producer.poll(wait_s)
        if not self.delivered and self._kafka.refused is not None:
            raise self._kafka.refused

    def _trouble(self, error: KafkaError) -> None:
        if not self._waiting and error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._waiting = True
            self._say(f"Kafka is not reachable at {self._settings.bootstrap_servers}: orders wait here until it is")

    def _told(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered += 1
            self._waiting = False
        else:
            self.failures.append(str(error))


def orders_send(settings: Settings, path: Path, *, skip_bad: bool = False, say: Say = print) -> int:
    """Check every line of a file, then send; 1 when lines did not fit (then nothing is sent, unless told to)."""
    if not path.exists():
        raise WrongUse(f"{path}: there is no such file")
    read = list(orders_file.read_orders(path))
    bad = [each for each in read if isinstance(each, orders_file.BadLine)]
    orders = [each for each in read if isinstance(each, OrderRequest)]
    for line in bad:
        say(f"{path}, line {line.number}: {line.why}")
    if bad and not skip_bad:
        say(f"nothing was sent: {len(bad)} of {len(read)} lines are no orders. Mend them, or use --skip-bad")
        return EXIT_FOUND
    producer = OrderProducer(settings)
    tty = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        print(
            f"{'' if not tty else chr(13)}sent {done} of {total}", end="" if tty else "\n", file=sys.stderr, flush=True
        )

    orders_file.send(orders, producer.send, progress)
    producer.close()
    if tty:
        print(file=sys.stderr)
    say(f"{producer.delivered} orders sent; their answers come on source-events.<source>")
    return EXIT_FOUND if bad else EXIT_GOOD


def control_send(settings: Settings, say: Say = print, **words: Any) -> int:
    """One control of the desk, to every partition at once."""
    record = controls.control(**words, at_ns=time.time_ns())
    edge(settings, "desk", say).write([record])
    say(f"{record.kind} {record.scope} {record.scope_id}".rstrip() + f" given as {record.control_id}")
    return EXIT_GOOD


def market_run(settings: Settings, sources: list[Source], rate: int, say: Say = print) -> int:
    """Publish markets and their clock, `rate` times as fast as life, until the end or Ctrl-C."""
    windows = [window_of(source) for source in sources]
    start_ns, end_ns = min(w.start_ns for w in windows), max(w.end_ns for w in windows)
    over = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal over
        over = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    writer = edge(settings, "market", say, lambda: over)
    last = time.monotonic()

    def told(now_ns: int, count: int) -> None:
        nonlocal last
        if time.monotonic() - last > 5:
            last = time.monotonic()
            say(f"market time {(now_ns - start_ns) // 1_000_000_000} s, {count} records")

    pacer = clock.Pacer(start_ns, rate * 1_000_000, windows[0].trade_date)
    say(f"{', '.join(w.instrument for w in windows)}: from {start_ns} ns, {rate} times as fast as life")
    count = clock.replay(market_records(*sources), writer, pacer, start_ns, end_ns, stop=lambda: over, told=told)
    say(f"{count} market records published")
    return EXIT_GOOD


def recorded(path: Path, symbol: str | None, from_s: int, length_s: int) -> Source:
    """A window of a recorded day. Raises WrongUse when there is none."""
    return RecordedMarket(find_day(path, symbol), from_s, length_s)


def simulated(instrument: str, seconds: int, seed: int) -> Source:
    """A simulated market that begins now."""
    now_ns = time.time_ns()
    date = int(time.strftime("%Y%m%d", time.gmtime(now_ns // 1_000_000_000)))
    return SimulatedMarket(instrument, now_ns, now_ns + seconds * 1_000_000_000, date, seed=seed)
