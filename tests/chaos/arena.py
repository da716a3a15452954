"""One run: a broker (or three), topics, load and workers; at the end the faults stop, and everything must converge."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from confluent_kafka import KafkaException

from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.embedded.cluster import LocalCluster
from tests.chaos.checker import Verdict, Wrong, check, unread
from tests.chaos.fleet import Fleet
from tests.chaos.logs import Reader, Unread, judge, places_of
from tests.chaos.workload import Load, make_topics

SESSION_S: Final = 1.5
TRANSACTION_S: Final = 2.5
BROKER_SETTINGS: Final = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
}
"""Everything that is waited for, shortened, so that an hour holds many faults."""
CONVERGE_S: Final = 120.0
_SAY_EVERY_S: Final = 5.0
_JAVA_OPTIONS: Final = "JAVA_TOOL_OPTIONS"
BOTH, ADDER, REPEATER = "both", "adder", "repeater"


class Arena:
    """Use as a context manager; :meth:`finish` gives the verdict."""

    def __init__(
        self,
        title: str,
        seed: int,
        say: Callable[[str], None],
        *,
        brokers: int = 1,
        orders: Mapping[str, Any] | None = None,
        rate: int = 150,
        instruments: int = 24,
        keep: Path | None = None,
    ) -> None:
        self.title = title
        self.chance = random.Random(f"{title}/{seed}")
        self.injected: Counter[str] = Counter()
        self.target = 0
        self.folder = Path(tempfile.mkdtemp(prefix="pipeline-chaos-"))
        self._say = say
        self._said_at = 0.0
        self._began = time.monotonic()
        self._keep = keep
        self._brokers = brokers
        self._rate, self._instruments = rate, instruments
        self._orders = {"seed": seed, "session_s": SESSION_S, "transaction_s": TRANSACTION_S, **(orders or {})}
        self.cluster: LocalCluster
        self.kafka: LocalKafka
        self.load: Load
        self.fleet: Fleet

    def __enter__(self) -> Self:
        quicker_starts()
        try:
            if self._brokers == 1:
                self.kafka = LocalKafka(settings=BROKER_SETTINGS).start(120)
                self.nodes, address = {1: self.kafka}, self.kafka.bootstrap_servers
            else:
                self.cluster = LocalCluster(self._brokers, settings=BROKER_SETTINGS).start()
                self.nodes, address = self.cluster.nodes, self.cluster.bootstrap_servers
            self.bootstrap_servers = address
            make_topics(address)
            self.load = Load(address, self._rate, self._instruments)
            self.fleet = Fleet(address, self.folder, dict(self._orders))
        except BaseException:
            self._close_brokers()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind: object, *_exc: object) -> None:
        self.fleet.close()
        if (kind is not None or self.failed) and self._keep is not None:
            kept = self._keep / f"{self.title}-{os.getpid()}-{int(time.time())}"
            shutil.copytree(self.folder, kept, dirs_exist_ok=True)
            for number, node in self.nodes.items():
                shutil.copytree(node.data_dir / "data", kept / f"broker-{number}", dirs_exist_ok=True)
                shutil.copy(node.log_path, kept / f"broker-{number}.txt")
            self._say(f"{self.title}: logs kept in {kept}")
        self._close_brokers()
        shutil.rmtree(self.folder, ignore_errors=True)

    failed = False

    def _close_brokers(self) -> None:
        if hasattr(self, "cluster"):
            self.cluster.close()
        elif hasattr(self, "kafka"):
            self.kafka.close()

    # ---------------------------------------------------------------- for faults

    def count(self, kind: str, times: int = 1) -> None:
        self.injected[kind] += times

    def tell(self) -> None:
        """Say how far it is, every few seconds."""
        now = time.monotonic()
        if now - self._said_at >= _SAY_EVERY_S:
            self._said_at = now
            done = sum(self.injected.values())
            self._say(
                f"{self.title}: {done} of {self.target} faults, {self.load.prints} prints sent, "
                f"{self.fleet.committed()} transactions committed, {self.fleet.starts} processes, "
                f"{now - self._began:.0f} s"
            )

    def pause(self, seconds: float) -> None:
        """Let time pass, and look after the workers meanwhile."""
        until = time.monotonic() + seconds
        while True:
            self.fleet.tend()
            self.tell()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.05))

    def between(self, least_s: float, most_s: float) -> None:
        """A random pause."""
        self.pause(self.chance.uniform(least_s, most_s))

    def progress(self, transactions: int = 3, timeout_s: float = 90.0) -> bool:
        """Wait until the workers have committed so many more; False, and an entry among the ended, when they do not."""
        goal = self.fleet.committed() + transactions
        deadline = time.monotonic() + timeout_s
        while self.fleet.committed() < goal:
            if time.monotonic() > deadline:
                self.fleet.ask_where(*self.fleet.members.values())
                self.fleet.ended.append(f"no transaction was committed for {timeout_s:.0f} s")
                return False
            self.pause(0.03)
        return True

    def await_rivals(self, timeout_s: float = 45.0) -> None:
        """Of two processes in one slot one must find out and end; those that do not go among the ended."""
        deadline = time.monotonic() + timeout_s
        while self.fleet.rivals and time.monotonic() < deadline:
            self.pause(0.1)
        for member in self.fleet.rivals.values():
            self.fleet.ended.append(f"{member.name}: two processes go on in one slot\n{self.fleet.tail(member)}")

    # ---------------------------------------------------------------- the end

    def finish(self) -> Verdict:
        """Faults stop; everything that was sent must be applied by whoever is there. Then check."""
        self.fleet.be_quiet()
        self.fleet.thaw()
        self.load.stop()
        places = places_of(self.bootstrap_servers)
        reader = Reader(self.bootstrap_servers, places)
        stuck = self._converge(reader)
        self.await_rivals()
        self.fleet.stop(*self.fleet.members)
        reader.update(timeout_s=30)
        judge(reader.logs, [node.data_dir / "data" for node in self.nodes.values()])
        verdict = check(reader.logs, sample=True, sent=self.load.sent)
        if stuck:
            verdict.add(Wrong.UNFINISHED, f"after {CONVERGE_S:.0f} s without faults: {stuck}")
        for text in self.fleet.ended:
            verdict.add(Wrong.ENDED, text)
        self.failed = verdict.total > 0
        return verdict

    def _converge(self, reader: Reader) -> str:
        """Wait until every input is applied; else what is left."""
        deadline = time.monotonic() + CONVERGE_S
        while True:
            self.pause(0.5)
            try:
                reader.update(timeout_s=15)
                left = unread(reader.logs, sample=True)
            except (Unread, KafkaException) as error:
                left = [str(error)]
            if not left:
                return ""
            if time.monotonic() > deadline:
                self.fleet.ask_where(*self.fleet.members.values())
                return "; ".join(left)


def quicker_starts() -> None:
    """Brokers are started hundreds of times: the quick compiler only."""
    os.environ.setdefault(_JAVA_OPTIONS, "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData")
