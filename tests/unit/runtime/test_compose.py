"""`docker-compose.yml` gives Kafka the embedded broker's settings, and runs every unit of the topology."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from pipeline import cli
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.observability.endpoint import PORT_VARIABLE
from pipeline.topology import UNITS

COMPOSE = (Path(__file__).resolve().parents[3] / "docker-compose.yml").read_text(encoding="utf-8")

# A container has other addresses, and its own folder for the data.
OF_THE_PLACE = {"node.id", "controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"}


def test_kafka_has_the_embedded_brokers_settings(tmp_path: Path) -> None:
    ours = LocalKafka(tmp_path, port=1, controller_port=2).properties()
    theirs = {
        key.lower().replace("_", "."): value.strip('"')
        for key, value in re.findall(r"^ {6}KAFKA_(\w+): (.*)$", COMPOSE, flags=re.MULTILINE)
    }
    assert {key: theirs.get(key) for key in ours.keys() - OF_THE_PLACE} == {
        key: value for key, value in ours.items() if key not in OF_THE_PLACE
    }


def test_every_unit_is_a_service_with_its_health_check() -> None:
    port = re.search(rf'^    {PORT_VARIABLE}: "(\d+)"$', COMPOSE, flags=re.MULTILINE)[1]  # type: ignore[index]
    for unit in UNITS:
        assert f'command: ["run", "{unit.name}"]' in COMPOSE
        service = re.search(rf"^  {unit.name}:\n((?:    .*\n)+)", COMPOSE, flags=re.MULTILINE)
        assert service is not None
        assert f'"pipeline.runtime.health", "ready", "{port}"]' in service[1], "restored and assigned, not only started"


def test_every_command_is_one_of_the_command_line() -> None:
    typed = [json.loads(text) for text in re.findall(r"^    command: (\[.+\])$", COMPOSE, flags=re.MULTILINE)]
    setup = re.search(r"- >-\n((?: {8}.*\n)+)", COMPOSE)
    assert setup is not None
    told = [shlex.split(part.partition(">")[0]) for part in " ".join(setup[1].split()).split("&&")]
    typed += [words[1:] for words in told if words[0] == "pipeline"]
    assert len(typed) >= len(UNITS) + 5  # the empty one of setup, market and desk, and what setup types
    for words in typed:
        if words:
            assert cli.parser().parse_args(words).handler
