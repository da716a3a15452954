"""What the embedded platform promises: a real broker and registry that come, come back, and go without a trace."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from pipeline.errors import DiskFull, PortTaken, Unreachable, WrongUse
from pipeline.runtime.embedded import local
from pipeline.runtime.embedded.broker import LocalKafka, LocalRegistry
from pipeline.runtime.embedded.cluster import LocalCluster
from pipeline.runtime.embedded.platform import Platform, connect
from pipeline.runtime.ports import HOST, free_port
from tests.waiting import GIVE_UP_S

ROOT = Path(__file__).resolve().parents[2]
Unique = Callable[[str], str]


def record(**fields: object) -> str:
    """An Avro record whose fields are longs, with the given defaults (... = none)."""
    listed = [
        {"name": name, "type": "long", **({} if default is ... else {"default": default})}
        for name, default in fields.items()
    ]
    return json.dumps({"type": "record", "name": "Probe", "fields": listed})


def create_topic(bootstrap_servers: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})  # kept: its futures fail when it goes
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)


def register(registry_url: str, subject: str) -> None:
    SchemaRegistryClient({"url": registry_url}).register_schema(subject, Schema(record(seq=...), "AVRO"))


def produce(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "acks": "all"})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def read_committed(bootstrap_servers: str, topic: str, *, until: bytes) -> list[bytes]:
    """Everything a read-committed consumer sees, up to and with the value `until`."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"{topic}-reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    seen: list[bytes] = []
    deadline = time.monotonic() + GIVE_UP_S
    try:
        while time.monotonic() < deadline and until not in seen:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                seen.append(message.value() or b"")
    finally:
        consumer.close()
    return seen


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pids: list[int], timeout_s: float = GIVE_UP_S) -> list[int]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and any(alive(pid) for pid in pids):
        time.sleep(0.05)
    return [pid for pid in pids if alive(pid)]


def test_committed_transactions_are_read_and_aborted_ones_are_not(platform: Platform, unique: Unique) -> None:
    topic = unique("transactions")
    create_topic(platform.bootstrap_servers, topic)
    producer = Producer({"bootstrap.servers": platform.bootstrap_servers, "transactional.id": unique("probe")})
    producer.init_transactions(30)
    for value, commits in ((b"one", True), (b"never", False), (b"two", True)):
        producer.begin_transaction()
        producer.produce(topic, value)
        if commits:
            producer.commit_transaction(30)
        else:
            producer.flush(30)
            producer.abort_transaction(30)
    assert read_committed(platform.bootstrap_servers, topic, until=b"two") == [b"one", b"two"]


def test_the_registry_refuses_a_schema_that_breaks_full_transitive(platform: Platform, unique: Unique) -> None:
    client = SchemaRegistryClient({"url": platform.registry_url})
    subject = unique("subject") + "-value"
    first = client.register_schema(subject, Schema(record(seq=...), "AVRO"))
    client.set_compatibility(subject, "FULL_TRANSITIVE")
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(subject, Schema(record(seq=..., qty=...), "AVRO"))  # a new field without a default
    assert refused.value.http_status_code == 409
    second = client.register_schema(subject, Schema(record(seq=..., qty=0), "AVRO"))
    assert first != second
    assert client.get_versions(subject) == [1, 2]


def test_a_topic_nobody_declared_does_not_appear(platform: Platform, unique: Unique) -> None:
    topic = unique("misspelt")
    failures: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": platform.bootstrap_servers, "message.timeout.ms": 3000})
    producer.produce(topic, b"lost?", on_delivery=lambda error, _message: failures.append(error))
    producer.flush(GIVE_UP_S)
    assert [error is not None for error in failures] == [True]
    assert topic not in AdminClient({"bootstrap.servers": platform.bootstrap_servers}).list_topics(timeout=60).topics


@pytest.mark.parametrize("how", [LocalKafka.stop, LocalKafka.kill], ids=["stop", "kill -9"])
def test_a_broker_that_comes_back_has_its_port_and_its_records(
    own_kafka: LocalKafka, how: Callable[[LocalKafka], None]
) -> None:
    create_topic(own_kafka.bootstrap_servers, "kept")
    produce(own_kafka.bootstrap_servers, "kept", b"before")
    address, pid = own_kafka.bootstrap_servers, own_kafka.pid
    how(own_kafka)
    assert not alive(pid)
    own_kafka.start()
    assert own_kafka.bootstrap_servers == address
    produce(address, "kept", b"after")
    assert read_committed(address, "kept", until=b"after") == [b"before", b"after"]


def test_a_frozen_broker_answers_nobody_until_it_is_thawed(own_kafka: LocalKafka) -> None:
    own_kafka.pause()
    assert not own_kafka.ready()
    own_kafka.resume()
    own_kafka.wait_ready(GIVE_UP_S)


def test_stopping_leaves_neither_process_nor_folder() -> None:
    kafka = LocalKafka()
    with kafka:
        pids = [kafka.pid, psutil.Process(kafka.pid).ppid()]
        assert all(alive(pid) for pid in pids)
    assert wait_until_gone(pids) == []
    assert not kafka.data_dir.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["-9", "TERM", "Ctrl-C"])
def test_nothing_outlives_a_parent_that_is_killed(number: signal.Signals) -> None:
    # Started from a thread that ends at once: the children belong to the process, not to that thread.
    program = """
        import signal, threading, time
        from pipeline.runtime.embedded.broker import LocalKafka
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
        kafka = LocalKafka()
        starter = threading.Thread(target=kafka.start)
        starter.start(); starter.join(); time.sleep(1)
        assert kafka.ready()
        print(kafka.pid, kafka.data_dir, flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    try:
        pid_text, folder = parent.stdout.readline().split()
        pid = int(pid_text)
        pids = [pid, psutil.Process(pid).ppid()]
        parent.send_signal(number)
        parent.wait(GIVE_UP_S)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert wait_until_gone(pids) == []
    assert not Path(folder).exists()


def test_a_taken_port_is_named() -> None:
    with socket.create_server((HOST, free_port())) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Apache Kafka cannot listen on 127.0.0.1:{port}: the port is taken"):
            LocalKafka(port=port).start()
        with pytest.raises(PortTaken, match=str(port)):
            LocalRegistry(port=port).start()


def test_too_little_room_is_said_before_anything_starts(tmp_path: Path) -> None:
    kafka = LocalKafka(tmp_path / "kafka", min_free_bytes=1 << 60)
    with pytest.raises(DiskFull, match=r"no room for the data of Apache Kafka at .* MiB free"):
        kafka.start()
    assert not kafka.running


def test_two_registries_live_side_by_side(platform: Platform) -> None:
    with LocalRegistry() as another:
        assert another.url != platform.registry_url
        assert another.ready()


def test_schemas_kept_in_a_file_survive_kill_9() -> None:
    subjects = [f"kept-{number}-value" for number in range(5)]
    with LocalRegistry(storage="file") as registry:
        for subject in subjects:
            register(registry.url, subject)
        registry.kill()
        registry.start()
        assert SchemaRegistryClient({"url": registry.url}).get_subjects() == subjects


@pytest.mark.slow
def test_three_brokers_survive_the_loss_of_one() -> None:
    with LocalCluster() as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
        admin.create_topics([NewTopic("replicated", 1)])["replicated"].result(30)
        produce(cluster.bootstrap_servers, "replicated", b"before")
        leader = admin.list_topics("replicated", timeout=60).topics["replicated"].partitions[0].leader
        cluster.nodes[leader].kill()
        produce(cluster.bootstrap_servers, "replicated", b"after")
        seen = read_committed(cluster.bootstrap_servers, "replicated", until=b"after")
        assert seen == [b"before", b"after"]


class TestTheUsersOwnPlatform:
    def test_is_used_when_both_variables_are_set(self, platform: Platform) -> None:
        env = {"KAFKA_BOOTSTRAP_SERVERS": platform.bootstrap_servers, "SCHEMA_REGISTRY_URL": platform.registry_url}
        with connect(env) as chosen:
            assert (chosen.bootstrap_servers, chosen.registry_url) == tuple(env.values())
            assert not chosen.owned
            with pytest.raises(WrongUse):
                _ = chosen.kafka

    def test_unreachable_names_component_and_address(self, platform: Platform) -> None:
        nobody = f"{HOST}:{free_port()}"
        cases: list[tuple[Mapping[str, str], str]] = [
            ({"KAFKA_BOOTSTRAP_SERVERS": nobody, "SCHEMA_REGISTRY_URL": platform.registry_url}, "Kafka"),
            (
                {"KAFKA_BOOTSTRAP_SERVERS": platform.bootstrap_servers, "SCHEMA_REGISTRY_URL": f"http://{nobody}"},
                "The schema registry",
            ),
        ]
        for env, component in cases:
            with pytest.raises(Unreachable, match=nobody) as caught, connect(env, timeout_s=2):
                pass
            assert caught.value.component == component
            assert caught.value.exit_code == 3

    def test_one_variable_alone_is_wrong_use(self) -> None:
        with pytest.raises(WrongUse, match="SCHEMA_REGISTRY_URL is not"), connect({"KAFKA_BOOTSTRAP_SERVERS": "x:1"}):
            pass


def test_local_up_outlives_its_command_and_down_ends_it(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from pipeline.runtime.embedded import local; "
        "sys.exit(local.up(folder=pathlib.Path(sys.argv[1])))"
    )
    said: list[str] = []
    assert local.status(folder=tmp_path, say=said.append) == 1
    try:
        for _round in range(2):
            done = subprocess.run(
                [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
                timeout=GIVE_UP_S,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            env = dict(pair.split("=", 1) for pair in done.stdout.split("export ")[1].split())
            assert local.addresses(tmp_path) == env
            assert local.status(folder=tmp_path, say=said.append) == 0
            pids = [entry["pid"] for entry in json.loads((tmp_path / "state.json").read_text())["running"]]
            with connect(env) as chosen:
                topics = AdminClient({"bootstrap.servers": chosen.bootstrap_servers}).list_topics(timeout=60).topics
            if _round == 0:
                create_topic(env["KAFKA_BOOTSTRAP_SERVERS"], "kept")
                register(env["SCHEMA_REGISTRY_URL"], "kept-value")
                first = env
            else:
                assert "kept" in topics
                assert SchemaRegistryClient({"url": env["SCHEMA_REGISTRY_URL"]}).get_subjects() == ["kept-value"]
                assert env == first
            assert local.down(folder=tmp_path, say=said.append) == 0
            assert wait_until_gone(pids) == []
    finally:
        local.down(folder=tmp_path, wipe=True, say=said.append)
    assert not (tmp_path / "data").exists()


def test_down_leaves_a_recycled_pid_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        started_s = psutil.Process(stranger.pid).create_time()
        entry = {"name": "Apache Kafka", "pid": stranger.pid, "started_s": started_s - 100, "address": "x:1", "log": ""}
        (tmp_path / "state.json").write_text(json.dumps({"running": [entry]}))
        try:
            local.down(folder=tmp_path, say=lambda _text: None)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_kafka_exception_is_what_the_probe_catches() -> None:
    # `ready` and `kafka_answers` turn exactly this into False; anything else must surface.
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": f"{HOST}:{free_port()}", "log_level": 0}).list_topics(timeout=0.3)
