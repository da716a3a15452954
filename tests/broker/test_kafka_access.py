"""Every door to Kafka over TLS with a password (SCRAM): one flow, and what a wrong password or authority is told.

Everything runs as processes of its own, as a user starts it, and is given its settings as a user gives them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from pipeline.domain.orders import OrderEvent
from pipeline.domain.record import Record
from pipeline.runtime.auditing.topic_reader import read_records
from pipeline.runtime.contracts.checks import register
from pipeline.runtime.contracts.registry import Registry
from pipeline.runtime.embedded.platform import Platform
from pipeline.runtime.ports import free_port
from pipeline.runtime.settings import Settings
from pipeline.topics import ORDER_EVENTS
from tests.broker.secure_kafka import PASSWORD, USER, SecureKafka, secure_kafka
from tests.waiting import GIVE_UP_S

ROOT = Path(__file__).resolve().parents[2]
WRONG = "no-such-h0rse"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("kafka")) as made:
        yield made


class House:
    """Commands with a deployment's environment, in a folder of their own."""

    def __init__(self, kafka: SecureKafka, registry_url: str, folder: Path) -> None:
        self.kafka = kafka
        self.folder = folder
        self.file = folder / "client.properties"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_KAFKA_")},
            "PYTHONPATH": str(ROOT),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "SCHEMA_REGISTRY_URL": registry_url,
            "PIPELINE_STATE_DIR": str(folder / "state"),
            "PIPELINE_SOURCES": "rebalancer",
            "PIPELINE_KAFKA_CONFIG": str(self.file),
        }
        self.write(**kafka.properties())
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, **settings: str) -> None:
        """The file of settings."""
        lines = [f"{name} = {value}" for name, value in settings.items()]
        self.file.write_text("# how our broker lets us in\n" + "\n".join(lines) + "\n")

    def start(self, *words: str, module: str = "pipeline") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words], cwd=self.folder, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def run(self, *words: str, code: int = 0) -> str:
        process = self.start(*words)
        said, _ = process.communicate(timeout=GIVE_UP_S)
        assert process.returncode == code, said
        assert PASSWORD not in said and WRONG not in said
        return said

    def input_files(self) -> None:
        made = [sys.executable, "-m", "pipeline.demo.sample_reference", "SIMX"]
        text = subprocess.run(made, env=self.env, cwd=self.folder, check=True, capture_output=True, text=True).stdout
        (self.folder / "reference.jsonl").write_text(text)
        order = {
            "kind": "NEW", "source": "rebalancer", "cl_ord_id": "S-1", "account": "rebalancer-01", "instrument": "SIMX",
            "side": "BUY", "order_qty": 100, "ord_type": "MARKET", "strategy": "TWAP",
            "end_ns": time.time_ns() + 600 * 10**9,
        }  # fmt: skip
        (self.folder / "orders.jsonl").write_text(json.dumps(order) + "\n")

    def logs(self) -> str:
        return "\n".join(f"--- {p.name}\n{p.read_text()}" for p in sorted((self.folder / "state").glob("logs/*.log")))

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)  # a supervisor ends what it has started
                process.wait(GIVE_UP_S)


@pytest.fixture
def house(kafka: SecureKafka, platform: Platform, tmp_path: Path) -> Iterator[House]:
    made = House(kafka, platform.registry_url, tmp_path)
    made.input_files()
    # Each test may be the first: who writes asks the registry for its schema before it asks the broker for anything.
    register(Registry(platform.registry_url), ["rebalancer"], say=lambda _: None)
    yield made
    made.close()


def test_one_flow_with_tls_a_password_and_a_prefix_at_every_door(
    house: House, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    # Part by file, part by variables: the two are one list of settings.
    settings = house.kafka.properties()
    house.write(**{name: value for name, value in settings.items() if name != "sasl.password"})
    house.env |= {
        "PIPELINE_KAFKA_SASL_PASSWORD": PASSWORD, "PIPELINE_KAFKA_CLIENT_ID": "acme", "PIPELINE_DESK_PORT": str(port),
    }  # fmt: skip
    house.run("topics", "apply")
    house.run("schemas", "register")
    house.run("reference", "load", "reference.jsonl")
    house.run("orders", "send", "orders.jsonl")
    house.start("run", "intake", "desk")  # two processes, which inherit all of it

    for name, value in house.env.items():
        if name.startswith("PIPELINE_KAFKA_"):
            monkeypatch.setenv(name, value)
    found: list[Record] = []
    deadline = time.monotonic() + GIVE_UP_S
    where = Settings(house.kafka.bootstrap_servers, platform.registry_url, 2, ("rebalancer",), house.folder)
    while not found:
        assert time.monotonic() < deadline, house.logs()
        read_records(where, [ORDER_EVENTS], found.append, lambda _: None)
    (answer,) = found
    assert isinstance(answer, OrderEvent) and answer.cl_ord_id == "S-1"

    def summary() -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/summary", timeout=10) as got:
                return json.loads(got.read())
        except OSError:
            return {"workers": [], "verified": False}

    # The desk has found itself in the directory by its client id, prefix and all, and has what the topics have.
    while not ((shown := summary())["verified"] and all(each["parts"] for each in shown["workers"])):
        assert time.monotonic() < deadline, f"{shown}\n{house.logs()}"
        time.sleep(0.3)
    assert shown["trouble"] == []
    admin = AdminClient({"bootstrap.servers": house.kafka.bootstrap_servers, **settings})
    groups = admin.describe_consumer_groups(["intake", "desk"])
    members = [member.client_id for future in groups.values() for member in future.result(30).members]
    assert len(members) == 2 and all(str(each).startswith("acme-") for each in members), members
    assert PASSWORD not in house.logs()


def test_all_that_the_library_can_say_of_itself_has_no_password_in_it(house: House) -> None:
    house.write(**house.kafka.properties("SCRAM-SHA-256"))
    house.env |= {"PIPELINE_KAFKA_DEBUG": "all", "PIPELINE_KAFKA_LOG__LEVEL": "7"}
    said = house.run("topics", "plan")
    assert "SCRAM-SHA-256" in said, "it speaks indeed"


DOORS = {
    "command": ("topics", "plan"),
    "edge": ("reference", "load", "reference.jsonl"),
    "sender": ("orders", "send", "orders.jsonl"),
    "worker": ("run", "intake"),
    "desk": ("run", "desk"),
    "audit": ("audit", "verify"),
}


def refused(house: House) -> dict[str, str]:
    """What each door says when it is not let in: all end by themselves, with exit code 3."""
    house.env["PIPELINE_DESK_PORT"] = "0"
    ran = {door: house.start(*words) for door, words in DOORS.items()}
    ran["health"] = house.start("topic", "clock", "30", module="pipeline.runtime.health")
    said = {door: process.communicate(timeout=GIVE_UP_S)[0] for door, process in ran.items()}
    assert {door: process.returncode for door, process in ran.items()} == dict.fromkeys(ran, 3), said
    assert not any(PASSWORD in text or WRONG in text or "Traceback" in text for text in said.values()), said
    return said


def test_a_wrong_password_ends_every_door_with_3_and_the_setting_and_the_file_to_correct(house: House) -> None:
    house.write(**{**house.kafka.properties(), "sasl.password": WRONG})
    for door, text in refused(house).items():
        assert f"Kafka at {house.kafka.bootstrap_servers}: no access: SASL authentication error" in text, door
        assert f"sasl.username ({house.file}, line 5), sasl.password ({house.file}, line 6)" in text, (door, text)
    house.write(**{**house.kafka.properties(), "sasl.password": WRONG})
    house.env["PIPELINE_KAFKA_SASL_USERNAME"] = USER
    assert "sasl.username (PIPELINE_KAFKA_SASL_USERNAME)" in house.run("topics", "plan", code=3), "where it was given"


def test_a_broker_of_another_authority_ends_every_door_with_3_and_the_file_to_correct(house: House) -> None:
    house.write(**{**house.kafka.properties(), "ssl.ca.location": str(house.kafka.other_ca)})
    for door, text in refused(house).items():
        assert f"Kafka at {house.kafka.bootstrap_servers}: no access: SSL handshake failed" in text, door
        assert f"Correct ssl.ca.location ({house.file}, line 3)" in text, (door, text)


def test_what_the_library_does_not_know_is_refused_in_its_own_words_with_exit_code_2(house: House) -> None:
    house.write(**{**house.kafka.properties(), "sasl.pasword": WRONG})
    said = house.run("topics", "plan", code=2)
    assert f"{house.file}, line 7: no Kafka client can be made with this: No such configuration property: " in said
    house.write(**{**house.kafka.properties(), "ssl.ca.location": "/no/such/file"})
    for words in (("run", "intake"), ("run", "desk"), ("orders", "send", "orders.jsonl")):
        assert "ssl.ca.location failed" in house.run(*words, code=2)
    house.write(**{**house.kafka.properties(), "isolation.level": "read_uncommitted"})
    assert "decisions rest on committed records alone" in house.run("run", "intake", code=2)
