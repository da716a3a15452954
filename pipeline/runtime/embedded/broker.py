"""A real Apache Kafka and a real schema registry as child processes of ours, on the loopback interface.

    with LocalPlatform() as platform:
        platform.bootstrap_servers, platform.registry_url

A broker by itself, to be stopped, killed, frozen and brought back on the same data and port (chaos tests):

    with LocalKafka() as kafka:
        kafka.kill(); kafka.start()

Several brokers: `cluster.py`.
"""

from __future__ import annotations

import base64
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from confluent_kafka import KafkaException

from pipeline.errors import ComponentDied, DiskFull
from pipeline.runtime.contracts.registry_access import registry_answers
from pipeline.runtime.embedded.artifacts import Artifacts
from pipeline.runtime.embedded.child import MIN_FREE_BYTES, START_TIMEOUT_S, ChildProcess, java
from pipeline.runtime.extras import Extra, require
from pipeline.runtime.kafka.client_settings import ClientSettings
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.ports import HOST, answers, free_port

Storage = Literal["memory", "file"]

_REPLICATION_MAX = 3

# After kill -9 the controller refuses the same broker until its old session has run out: 9 s by default. A node that is
# alone has nobody to take over from it, so a short session costs nothing.
_ALONE = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}

_OWN_CLIENT = ClientSettings({"socket.timeout.ms": "2000"})
"""Plain, whatever the environment says of the clients of other brokers."""

_AMONG_OTHERS = {"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}

_LOGGING = """\
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n%throwable
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = OUT
"""


class LocalKafka(ChildProcess):
    """One Kafka node, broker and controller in one (KRaft)."""

    name = "Apache Kafka"
    short = "kafka"

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int = 0,
        controller_port: int = 0,
        node_id: int = 1,
        voters: Mapping[int, int] | None = None,
        cluster_id: str | None = None,
        settings: Mapping[str, str] | None = None,
        heap_mb: int = 512,
        ends_with_parent: bool = True,
        min_free_bytes: int = MIN_FREE_BYTES,
        artifacts: Artifacts | None = None,
    ) -> None:
        super().__init__(data_dir, port, ends_with_parent, min_free_bytes)
        self.node_id = node_id
        self.cluster_id = cluster_id or base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.controller_port = voters[node_id] if voters else controller_port
        self._voters = dict(voters) if voters else None
        self._settings = dict(settings or {})
        self._heap_mb = heap_mb
        self._artifacts = artifacts or Artifacts()
        self._given_controller_port = self.controller_port != 0

    @property
    def bootstrap_servers(self) -> str:
        """For a client's `bootstrap.servers`."""
        return self.address

    def ready(self) -> bool:
        """Whether a client gets the cluster's metadata with this broker in it."""
        return self.node_id in self.known_brokers()

    def known_brokers(self) -> set[int]:
        """Node ids of the cluster's brokers as this one tells them; empty when it does not answer."""
        if not self.port or not answers(HOST, self.port, timeout_s=0.5):
            return set()
        try:
            client = Kafka(self.address, _OWN_CLIENT).admin()
            return set(client.list_topics(timeout=2).brokers)
        except KafkaException:
            return set()

    def wait_for_brokers(self, node_ids: set[int], timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until this broker knows all of `node_ids`. Raises ComponentDied when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not node_ids <= self.known_brokers():
            self.check()
            if time.monotonic() > deadline:
                raise ComponentDied(self.name, f"knows only {self.known_brokers()}", self.log_path, self.log_tail())
            time.sleep(0.1)

    def _ports(self) -> tuple[int, ...]:
        return (self.port, self.controller_port)

    def _choose_ports(self) -> None:
        super()._choose_ports()
        if not self.controller_port:
            self.controller_port = free_port(avoid=frozenset({self.port}))

    def _forget_ports(self) -> None:
        super()._forget_ports()
        if not self._given_controller_port:
            self.controller_port = 0

    def _prepare(self) -> None:
        properties = "".join(f"{key}={value}\n" for key, value in self.properties().items())
        (self.data_dir / "server.properties").write_text(properties, encoding="utf-8")
        (self.data_dir / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
        (self.data_dir / "tmp").mkdir(exist_ok=True)
        if not (self.data_dir / "data" / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        command = self._java(
            "kafka.tools.StorageTool", "format", "--ignore-formatted", f"--cluster-id={self.cluster_id}"
        )
        done = subprocess.run(
            [*command, "-c", str(self.data_dir / "server.properties")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            with self.log_path.open("a", encoding="utf-8") as log:
                log.write(done.stdout)
            if "No space left on device" in done.stdout:
                raise DiskFull(f"the data of {self.name}", self.data_dir)
            tail = "\n".join(done.stdout.splitlines()[-15:])
            raise ComponentDied(f"{self.name} (formatting)", f"exit code {done.returncode}", self._kept_log(), tail)

    def _command(self) -> list[str]:
        return self._java("kafka.Kafka", str(self.data_dir / "server.properties"))

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        # Measured on two cores: neither a class-data archive (up in 0.9 s instead of 1.9) nor C1 only (1.4 s) is worth
        # its cost: 48 MB more in the cache, or a slower broker under load.
        return [
            str(java()),
            f"-Xmx{self._heap_mb}m",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={self.data_dir / 'tmp'}",
            f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.properties'}",
            "-cp",
            ":".join(str(jar) for jar in self._artifacts.kafka_classpath()),
            main_class,
            *arguments,
        ]

    def properties(self) -> dict[str, str]:
        """The node's `server.properties`; ports must be known."""
        voters = self._voters or {self.node_id: self.controller_port}
        replication = str(min(len(voters), _REPLICATION_MAX))
        in_sync = "2" if len(voters) >= _REPLICATION_MAX else "1"
        return {
            "process.roles": "broker,controller",
            "node.id": str(self.node_id),
            "controller.quorum.voters": ",".join(f"{node}@{HOST}:{port}" for node, port in sorted(voters.items())),
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.data_dir / "data"),
            "num.partitions": "1",
            "default.replication.factor": replication,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replication,
            "transaction.state.log.replication.factor": replication,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": replication,
            "share.coordinator.state.topic.min.isr": in_sync,
            # Few partitions of the internal topics: they are created on first use, and each is a folder of files.
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.num.partitions": "4",
            # One machine, few cores: fewer threads that wake each other cost it a fifth less under small transactions.
            "num.network.threads": "1",
            "num.io.threads": "2",
            # Topics are code (`pipeline topics apply`): a misspelt name must fail, not appear.
            "auto.create.topics.enable": "false",
            # Recorded days carry old event times; by create time retention would delete them within seconds.
            "log.message.timestamp.type": "LogAppendTime",
            "log.retention.ms": "-1",
            "log.retention.bytes": "-1",
            # A dead transaction blocks all read-committed readers until its timeout plus this scan.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            **(_AMONG_OTHERS if len(voters) > 1 else _ALONE),
            **self._settings,
        }


class LocalRegistry(ChildProcess):
    """One Apicurio registry. `storage="memory"` forgets schemas when it stops; `"file"` keeps them in its folder."""

    name = "Apicurio Registry"
    short = "registry"

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int = 0,
        storage: Storage = "memory",
        heap_mb: int = 384,
        ends_with_parent: bool = True,
        min_free_bytes: int = MIN_FREE_BYTES,
        artifacts: Artifacts | None = None,
    ) -> None:
        super().__init__(data_dir, port, ends_with_parent, min_free_bytes)
        self._storage = storage
        self._heap_mb = heap_mb
        self._artifacts = artifacts or Artifacts()

    @property
    def url(self) -> str:
        """Base URL of the Confluent-compatible API, for a client's `schema.registry.url`."""
        return f"http://{self.address}/apis/ccompat/v7"

    def ready(self) -> bool:
        """Whether it lists its subjects."""
        return registry_answers(self.url, timeout_s=2)

    def _prepare(self) -> None:
        (self.data_dir / "tmp").mkdir(exist_ok=True)

    def _command(self) -> list[str]:
        return [
            str(java()),
            f"-Xmx{self._heap_mb}m",
            "-XX:+ExitOnOutOfMemoryError",
            # Little is asked of it: C1 only and one thread to collect halve its processor time (12 s to 6 s in a demo).
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={self.data_dir / 'tmp'}",
            "-jar",
            str(self._artifacts.registry_home() / "quarkus-run.jar"),
        ]

    def _environment(self) -> Mapping[str, str]:
        environment = {
            "QUARKUS_HTTP_HOST": HOST,
            "QUARKUS_HTTP_PORT": str(self.port),
            # Health and metrics: by default on port 9000 of every interface, so that a second registry could not start.
            "QUARKUS_MANAGEMENT_HOST": HOST,
            "QUARKUS_MANAGEMENT_PORT": "0",
        }
        if self._storage == "file":
            environment["APICURIO_STORAGE_KIND"] = "sql"
            environment["APICURIO_STORAGE_SQL_KIND"] = "h2"
            # By default H2 writes to disk half a second late: a kill -9 just after registering lost the schema.
            environment["APICURIO_DATASOURCE_URL"] = f"jdbc:h2:file:{self.data_dir / 'schemas'};WRITE_DELAY=0"
        return environment


class LocalPlatform:
    """Kafka and registry together: both start at once, and end in good order."""

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        kafka_port: int = 0,
        registry_port: int = 0,
        storage: Storage = "memory",
        settings: Mapping[str, str] | None = None,
        ends_with_parent: bool = True,
        artifacts: Artifacts | None = None,
    ) -> None:
        require(Extra.EMBEDDED)
        artifacts = artifacts or Artifacts()
        # Files first: fetching may take minutes and has its own errors.
        artifacts.kafka_classpath()
        artifacts.registry_home()
        folder = (lambda name: None) if data_dir is None else (lambda name: data_dir / name)
        self.kafka = LocalKafka(
            folder("kafka"), port=kafka_port, settings=settings, ends_with_parent=ends_with_parent, artifacts=artifacts
        )
        self.registry = LocalRegistry(
            folder("registry"),
            port=registry_port,
            storage=storage,
            ends_with_parent=ends_with_parent,
            artifacts=artifacts,
        )

    @property
    def bootstrap_servers(self) -> str:
        """host:port of the broker"""
        return self.kafka.bootstrap_servers

    @property
    def registry_url(self) -> str:
        """Base URL of the registry's Confluent-compatible API"""
        return self.registry.url

    def start(self, timeout_s: float = START_TIMEOUT_S) -> Self:
        """Start both and wait until both answer."""
        try:
            self.kafka.start(wait=False)
            self.registry.start(wait=False)
            self.kafka.start(timeout_s)
            self.registry.start(timeout_s)
        except BaseException:
            self.close()
            raise
        return self

    def stop(self) -> None:
        """Stop both; folders and ports stay."""
        self.registry.stop()
        self.kafka.stop()

    def close(self) -> None:
        """Stop both and remove temporary folders."""
        self.registry.close()
        self.kafka.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.close()
