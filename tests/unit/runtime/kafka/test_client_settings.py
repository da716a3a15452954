"""What a deployment may say of its Kafka clients, what it may not, and what is never shown."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from pipeline.errors import WrongUse
from pipeline.runtime.kafka.client_settings import REFUSED, ClientSettings, name_of, variable_of
from pipeline.runtime.kafka.clients import Kafka

ROOT = Path(__file__).resolve().parents[4]
SECRET = "hunter2-hunter2"


def of_text(text: str, tmp_path: Path, **env: str) -> ClientSettings:
    file = tmp_path / "client.properties"
    file.write_text(text)
    return ClientSettings.read({"PIPELINE_KAFKA_CONFIG": str(file), **env})


def test_a_file_is_read_line_by_line_and_a_value_is_taken_as_it_stands(tmp_path: Path) -> None:
    given = of_text("# ours\n\n! too\nsasl.password = a=b\\c #d\nlinger.ms=7\nsasl.mechanism=PLAIN\n", tmp_path)
    assert given.values == {"sasl.password": "a=b\\c #d", "linger.ms": "7", "sasl.mechanisms": "PLAIN"}
    assert given.origins["linger.ms"] == f"{tmp_path}/client.properties, line 5"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("linger.ms=7\njust words\n", 2, "it must be `name = value`"),
        ("=7\n", 1, "it must be `name = value`"),
        ("linger.ms=\n", 1, "it must be `name = value`"),
        ("linger.ms=7\n\nlinger.ms=8\n", 3, "linger.ms was given in line 1 already"),
        ("sasl.mechanism=PLAIN\nsasl.mechanisms=PLAIN\n", 2, "sasl.mechanisms was given in line 1 already"),
        ("error_cb=print\n", 1, "it is a function of the Python client"),
    ],
)
def test_a_line_that_does_not_fit_is_named(text: str, line: int, what: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUse) as caught:
        of_text(text, tmp_path)
    assert f"client.properties, line {line}: " in str(caught.value) and what in str(caught.value)


def test_a_line_that_does_not_fit_is_not_shown_as_it_may_be_a_password(tmp_path: Path) -> None:
    with pytest.raises(WrongUse) as caught:
        of_text(f"sasl.password {SECRET}\n", tmp_path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("content", "what"), [(None, "No such file"), (b"\xff\xfe", "it is no text in UTF-8")])
def test_a_file_that_cannot_be_read_is_named_with_the_variable(
    content: bytes | None, what: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(WrongUse) as caught:
        ClientSettings.read({"PIPELINE_KAFKA_CONFIG": str(tmp_path / "x")})
    assert f"PIPELINE_KAFKA_CONFIG={tmp_path}/x: {what}" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("PIPELINE_KAFKA_SECURITY_PROTOCOL", "security.protocol"),
        ("PIPELINE_KAFKA_SSL_CA_LOCATION", "ssl.ca.location"),
        ("PIPELINE_KAFKA_LOG__LEVEL", "log_level"),
    ],
)
def test_a_variable_is_a_setting_and_the_other_way_about(variable: str, name: str) -> None:
    assert name_of(variable) == name
    assert variable_of(name) == variable


def test_the_environment_overrules_the_file_and_both_what_a_client_would_have(tmp_path: Path) -> None:
    given = of_text("linger.ms=7\nsocket.timeout.ms=9000\n", tmp_path, PIPELINE_KAFKA_LINGER_MS="8", KAFKA_X="1")
    assert given.origins["linger.ms"] == "PIPELINE_KAFKA_LINGER_MS"
    assert given.of_client("a:1", {"linger.ms": 0, "acks": "all"}) == {
        "linger.ms": "8", "socket.timeout.ms": "9000", "acks": "all", "bootstrap.servers": "a:1",
    }  # fmt: skip


def test_without_a_word_a_client_has_its_own_settings_and_nothing_else() -> None:
    assert ClientSettings.read({}).of_client("a:1", {"client.id": "engine-0"}) == {
        "client.id": "engine-0", "bootstrap.servers": "a:1",
    }  # fmt: skip


def test_a_client_id_is_a_prefix_of_each_clients_own_name() -> None:
    given = ClientSettings.read({"PIPELINE_KAFKA_CLIENT_ID": "acme"})
    assert given.of_client("a:1", {"client.id": "engine-0"})["client.id"] == "acme-engine-0"
    assert given.of_client("a:1", {})["client.id"] == "acme-pipeline"
    with pytest.raises(WrongUse, match=r"PIPELINE_KAFKA_CLIENT_ID: client\.id, a prefix here"):
        ClientSettings.read({"PIPELINE_KAFKA_CLIENT_ID": "a b"})


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_correctness_rests_on_is_refused_by_name_with_the_reason(name: str) -> None:
    variable = variable_of(name)
    with pytest.raises(WrongUse) as caught:
        ClientSettings.read({variable: "1"})
    assert str(caught.value) == f"{variable}: {name} cannot be set: {REFUSED[name]}"


def test_the_page_for_operators_names_all_that_is_refused() -> None:
    page = (ROOT / "docs" / "kafka-security.md").read_text()
    words = set(page.split("`")[1::2])
    patterns = [word.rstrip("*") for word in words if word.endswith("*")]
    aliases = {"auto.commit.enable", "group.protocol.type", "request.required.acks"}  # older names of what is named
    missing = {name for name in REFUSED if name not in words and not name.startswith(tuple(patterns))}
    assert missing <= aliases, missing - aliases


def test_every_setting_that_the_code_gives_a_client_for_correctness_is_refused_from_outside() -> None:
    """The workers' own settings, less those that only tune: a deployment may change these alone."""
    from pipeline.runtime.worker import restore, transaction, worker

    tuning = {
        "client.id", "error_cb", "fetch.min.bytes", "fetch.queue.backoff.ms", "fetch.wait.max.ms", "linger.ms",
        "max.partition.fetch.bytes", "queue.buffering.max.messages", "queued.max.messages.kbytes",
        "queued.min.messages", "retry.backoff.max.ms", "retry.backoff.ms",
        "retention.ms",  # of a topic
    }  # fmt: skip
    sources = [Path(module.__file__ or "").read_text() for module in (restore, transaction, worker)]
    named = {word for text in sources for word in text.split('"') if "." in word and word.replace(".", "").isalpha()}
    settings = {word for word in named if f'"{word}":' in "".join(sources)}
    assert len(settings) > 15
    assert settings - tuning <= REFUSED.keys()


def test_no_value_is_ever_shown() -> None:
    given = ClientSettings.read({"PIPELINE_KAFKA_SASL_PASSWORD": SECRET, "PIPELINE_KAFKA_SSL_KEY_PEM": SECRET})
    assert SECRET not in repr(given) + str(given) + f"{copy.copy(given)}"
    assert SECRET not in str(given.unusable(f"it does not like {SECRET}"))
    said = given.refusal("a:1", KafkaError(KafkaError._AUTHENTICATION, f"sasl_ssl://a:1/bootstrap: no {SECRET}"))
    assert SECRET not in str(said)


def test_what_librdkafka_does_not_know_is_refused_in_its_own_words(tmp_path: Path) -> None:
    kafka = Kafka("127.0.0.1:1", of_text(f"linger.ms=1\nsasl.pasword={SECRET}\n", tmp_path))
    makers: list[Any] = [kafka.admin, lambda: kafka.producer({}), lambda: kafka.consumer({"group.id": "g"})]
    for make in makers:
        with pytest.raises(WrongUse) as caught:
            make()
        assert str(caught.value) == (
            f"{tmp_path}/client.properties, line 2: no Kafka client can be made with this: "
            'No such configuration property: "sasl.pasword"'
        )
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("code", "given", "said"),
    [
        (KafkaError._AUTHENTICATION, {"PIPELINE_KAFKA_SASL_USERNAME": "u", "PIPELINE_KAFKA_SASL_MECHANISMS": "PLAIN"},
         "Correct sasl.mechanisms (PIPELINE_KAFKA_SASL_MECHANISMS), sasl.username (PIPELINE_KAFKA_SASL_USERNAME). "
         "sasl.password: not set; give PIPELINE_KAFKA_SASL_PASSWORD, or a line in the file of PIPELINE_KAFKA_CONFIG."),
        (KafkaError._SSL, {"PIPELINE_KAFKA_SECURITY_PROTOCOL": "SSL"},
         "Correct security.protocol (PIPELINE_KAFKA_SECURITY_PROTOCOL). ssl.ca.location: not set; give "
         "PIPELINE_KAFKA_SSL_CA_LOCATION, or a line in the file of PIPELINE_KAFKA_CONFIG."),
        (KafkaError._SSL, {"PIPELINE_KAFKA_SSL_CA_PEM": "x"}, "Correct ssl.ca.pem (PIPELINE_KAFKA_SSL_CA_PEM)."),
    ],
)  # fmt: skip
def test_a_refusal_says_which_setting_to_correct_and_where(code: int, given: dict[str, str], said: str) -> None:
    word = "sasl_ssl://host:9092/bootstrap: it will not (after 328ms in state AUTH_REQ)"
    error = ClientSettings.read(given).refusal("host:9092", KafkaError(code, word))
    assert str(error) == f"Kafka at host:9092: no access: it will not. {said}"
    assert error.exit_code == 3
