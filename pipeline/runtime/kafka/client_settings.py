"""What a deployment says of its Kafka clients: any setting of librdkafka, from a file and from the environment.

PIPELINE_KAFKA_CONFIG=FILE       lines `name = value`; a line that begins with # or ! is a comment
PIPELINE_KAFKA_<NAME>=VALUE      SASL_PASSWORD is `sasl.password`: letters become small, _ a dot, __ an underscore

The environment overrules the file, and both overrule what a client would have set for itself, except what the
pipeline's correctness rests on (:data:`REFUSED`): that is refused by name. `client.id` is a prefix: each client adds
its own name. Values may be secret, so none is ever shown: errors name the setting and where it was given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError

from pipeline.errors import AccessRefused, WrongUse

FILE_VARIABLE: Final = "PIPELINE_KAFKA_CONFIG"
PREFIX: Final = "PIPELINE_KAFKA_"
REFUSING: Final = (KafkaError._AUTHENTICATION, KafkaError._SSL)
"""Codes of errors that say that a broker, or its certificate, was met and did not pass, or did not let us in."""

_ALIASES: Final = {"sasl.mechanism": "sasl.mechanisms"}
_LEGAL_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SECRET: Final = re.compile(r"password|passphrase|secret|pem|oauthbearer\.config")

_ADDRESS: Final = "the address has a place of its own: KAFKA_BOOTSTRAP_SERVERS, or --bootstrap-servers"
_GROUP: Final = "a unit's members share its partitions by its name, and every topic of the unit in the same way"
_SESSION: Final = "how long a member that is gone keeps its place is chosen with the worker's own waits"
_OFFSETS: Final = "offsets are committed in the transaction of what was made of the records, never by themselves"
_RESET: Final = "a worker begins where its restored state stands, and must stop when the log does not reach back there"
_COMMITTED: Final = "decisions rest on committed records alone"
_ENDS: Final = "merging waits for the ends of all inputs, as their leaders tell them"
_TRANSACTION: Final = "a transaction belongs to one slot of one unit, and its length to the worker's own waits"
_ONCE: Final = "each record must stand in the log once, in order, on every replica in sync"
_SIZE: Final = "how large a record may be is max.message.bytes of its topic; changelogs and dead letters need the room"
_TOPICS: Final = "topics are made by `pipeline topics apply` alone: a misspelt name must fail, not appear"
_CALLBACK: Final = "it is a function of the Python client, which text cannot give"

REFUSED: Final[Mapping[str, str]] = {
    "bootstrap.servers": _ADDRESS,
    "metadata.broker.list": _ADDRESS,
    "group.id": _GROUP,
    "group.instance.id": _GROUP,
    "group.protocol": _GROUP,
    "group.protocol.type": _GROUP,
    "group.remote.assignor": _GROUP,
    "partition.assignment.strategy": _GROUP,
    "session.timeout.ms": _SESSION,
    "heartbeat.interval.ms": _SESSION,
    "enable.auto.commit": _OFFSETS,
    "auto.commit.enable": _OFFSETS,
    "auto.commit.interval.ms": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "offset.store.method": _OFFSETS,
    "offset.store.path": _OFFSETS,
    "offset.store.sync.interval.ms": _OFFSETS,
    "auto.offset.reset": _RESET,
    "isolation.level": _COMMITTED,
    "enable.partition.eof": _ENDS,
    "client.rack": _ENDS,
    "transactional.id": _TRANSACTION,
    "transaction.timeout.ms": _TRANSACTION,
    "message.timeout.ms": _TRANSACTION,
    "delivery.timeout.ms": _TRANSACTION,
    "acks": _ONCE,
    "request.required.acks": _ONCE,
    "enable.idempotence": _ONCE,
    "enable.gapless.guarantee": _ONCE,
    "max.in.flight": _ONCE,
    "max.in.flight.requests.per.connection": _ONCE,
    "retries": _ONCE,
    "message.send.max.retries": _ONCE,
    "queuing.strategy": _ONCE,
    "delivery.report.only.error": "writers wait for the broker's word on each record",
    "message.max.bytes": _SIZE,
    "allow.auto.create.topics": _TOPICS,
    "test.mock.num.brokers": "it would put a broker that keeps nothing in the place of yours",
    "logger": _CALLBACK,
    "on_commit": _CALLBACK,
    "on_delivery": _CALLBACK,
}
"""What cannot be set, with the reason. Names that end with `_cb` are refused too."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Settings given for all clients, each with where it was given. Shows no values."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict)
    """Setting to `FILE, line 3` or the variable's name."""

    @staticmethod
    def read(env: Mapping[str, str] | None = None) -> ClientSettings:
        """Of an environment (default: our own). Raises WrongUse for what cannot be read, is refused, or comes twice.

        Whether librdkafka knows a name is found out when a client is made (:class:`pipeline.runtime.kafka.clients`).
        """
        env = os.environ if env is None else env
        values, origins = _of_file(Path(env[FILE_VARIABLE])) if env.get(FILE_VARIABLE) else ({}, {})
        from_env: dict[str, str] = {}
        for variable in sorted(env):
            if not variable.startswith(PREFIX) or variable == FILE_VARIABLE or not env[variable]:
                continue
            name = name_of(variable)
            if name in from_env:
                raise WrongUse(f"{from_env[name]} and {variable} are the same setting, {name}: unset one of them")
            from_env[name] = variable
            values[name], origins[name] = env[variable], variable
        for name, origin in origins.items():
            reason = _CALLBACK if name.endswith("_cb") else REFUSED.get(name)
            if reason is not None:
                raise WrongUse(f"{origin}: {name} cannot be set: {reason}")
        if "client.id" in values and not _LEGAL_PREFIX.fullmatch(values["client.id"]):
            raise WrongUse(f"{origins['client.id']}: client.id, a prefix here, has 1 to 100 letters, digits and . _ -")
        return ClientSettings(values, origins)

    @property
    def secured(self) -> bool:
        """Whether they say how to be let in, so that a broker could refuse."""
        return any(name.startswith(("security.", "sasl.", "ssl.")) for name in self.values)

    def of_client(self, bootstrap_servers: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """All settings of a client whose own ones are ``own``."""
        merged = {**own, **self.values, "bootstrap.servers": bootstrap_servers}
        if "client.id" in self.values:
            merged["client.id"] = self.client_id(own.get("client.id", "pipeline"))
        return merged

    def client_id(self, own: str) -> str:
        """A client's name with the prefix, when there is one."""
        return f"{self.values['client.id']}-{own}" if "client.id" in self.values else own

    def unusable(self, word: str) -> WrongUse:
        """The error for settings of which no client can be made; ``word``: what librdkafka said."""
        named = [name for name in self.origins if f'"{name}"' in word or f"`{name}`" in word or word.startswith(name)]
        where = ", ".join(self.origins[name] for name in named or self.origins)
        return WrongUse(f"{where}: no Kafka client can be made with this: {self.without_secrets(word)}")

    def refusal(self, bootstrap_servers: str, error: KafkaError) -> AccessRefused:
        """The error for a broker that did not let us in, or that is not the one we may talk to."""
        word = re.sub(r"^\w+://\S+: ", "", re.sub(r"\s*\(after \d+ms in state \w+\)$", "", error.str()))
        word = self.without_secrets(word).rstrip(".")
        tls = error.code() == KafkaError._SSL
        own = [name for name in self.origins if name.startswith("ssl." if tls else "sasl.")]
        given = [f"{name} ({self.origins[name]})" for name in (*own, "security.protocol") if name in self.origins]
        due = ("ssl.ca.location",) if tls else ("sasl.username", "sasl.password", "sasl.mechanisms")
        unset = [
            name for name in due if name not in self.origins and name.replace("location", "pem") not in self.origins
        ]
        words = []
        if given:
            words.append(f"Correct {', '.join(given)}")
        if unset:
            variables = ", ".join(variable_of(name) for name in unset)
            words.append(f"{', '.join(unset)}: not set; give {variables}, or a line in the file of {FILE_VARIABLE}")
        return AccessRefused("Kafka", bootstrap_servers, word, ". ".join(words) + ".")

    def without_secrets(self, text: str) -> str:
        """``text`` with every secret value struck out, should it stand there."""
        for name, value in self.values.items():
            if _SECRET.search(name):
                text = text.replace(value, "***")
        return text


PLAIN: Final = ClientSettings()
"""Nothing is said: plain connections, as to an embedded broker."""


def name_of(variable: str) -> str:
    """`PIPELINE_KAFKA_SASL_PASSWORD` → `sasl.password`; `PIPELINE_KAFKA_LOG__LEVEL` → `log_level`."""
    name = "_".join(part.replace("_", ".") for part in variable.removeprefix(PREFIX).lower().split("__"))
    return _ALIASES.get(name, name)


def variable_of(name: str) -> str:
    """The other way about."""
    return PREFIX + name.replace("_", "__").replace(".", "_").upper()


def _of_file(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise WrongUse(f"{FILE_VARIABLE}={path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongUse(f"{FILE_VARIABLE}={path}: it is no text in UTF-8") from error
    values: dict[str, str] = {}
    origins: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text[0] in "#!":
            continue
        origin = f"{path}, line {number}"
        name, sign, value = (part.strip() for part in text.partition("="))
        name = _ALIASES.get(name, name)
        if not sign or not name or not value:
            raise WrongUse(f"{origin}: it must be `name = value` (the line is not shown: it may hold a secret)")
        if name in values:
            raise WrongUse(f"{origin}: {name} was given in line {origins[name].rpartition(' ')[2]} already")
        values[name], origins[name] = value, origin
    return values, origins
