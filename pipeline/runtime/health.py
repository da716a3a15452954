"""Health checks for containers: does this worker work, is it a member of its group, does this edge still write.

    python -m pipeline.runtime.health ready engine-0    the worker in this slot, here, is restored and assigned
    python -m pipeline.runtime.health ready 9464        the same of the worker with its metrics on this port
    python -m pipeline.runtime.health unit engine       a member of group `engine`, in a settled group, on this machine
    python -m pipeline.runtime.health topic clock 30    the newest record of topic `clock` is at most 30 s old
    python -m pipeline.runtime.health platform          broker and registry answer

`pipeline health …` is the same with the command line's options; containers ask this module, which starts faster.
Exit codes: 0 healthy, 1 not, 2 wrong use, 3 broker or registry not reachable. Addresses come from the environment.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec  # not exported where its users are told to find it

from pipeline.errors import EXIT_FOUND, EXIT_GOOD, PipelineError, Unreachable, WrongUse
from pipeline.runtime.embedded.platform import KAFKA_VARIABLE, REGISTRY_VARIABLE, require_reachable
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.ports import HOST
from pipeline.runtime.settings import state_dir

_TIMEOUT_S = 8.0


def unit_is_healthy(client: AdminClient, unit: str, *, here: frozenset[str] | None) -> bool:
    """Whether group `unit` is settled and has a member that connects from one of `here` (None = from anywhere)."""
    group = client.describe_consumer_groups([unit], request_timeout=_TIMEOUT_S)[unit].result(_TIMEOUT_S)
    if group.state is not ConsumerGroupState.STABLE:
        return False
    return any(here is None or member.host.lstrip("/") in here for member in group.members)


def worker_is_ready(where: str) -> tuple[bool, str]:
    """Whether the worker at port or in slot ``where`` answers that it is ready; and its words, or why it has none."""
    address = f"http://{HOST}:{where}"
    if not where.isdigit():
        file = state_dir() / f"{where}.metrics"
        if not file.exists():
            return False, f"no worker in slot {where} serves its metrics: there is no {file}"
        address = file.read_text(encoding="utf-8").strip()
    try:
        with urllib.request.urlopen(f"{address}/ready", timeout=_TIMEOUT_S) as answer:
            return True, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return False, error.read().decode().strip()
    except OSError as error:
        return False, f"{address} does not answer: {error}"


def topic_age_s(client: AdminClient, topic: str, now_s: float) -> float | None:
    """Seconds since the newest record of `topic` was appended, over its partitions; None when it is empty or absent."""
    described = client.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
    newest = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
    latest = {TopicPartition(topic, partition): newest for partition in described.partitions}
    if not latest:
        return None
    futures = client.list_offsets(latest, request_timeout=_TIMEOUT_S)
    newest_ms = max(future.result(_TIMEOUT_S).timestamp for future in futures.values())
    return None if newest_ms < 0 else now_s - newest_ms / 1000


def main(arguments: Sequence[str]) -> int:
    """Run one check; returns its exit code. Raises WrongUse, Unreachable."""
    match list(arguments):
        case ["ready", where]:
            return answer(*worker_is_ready(where))
        case ["unit", unit]:
            return check_unit(_from_environment(KAFKA_VARIABLE), unit)
        case ["topic", topic, seconds]:
            try:
                age_s_max = float(seconds)
            except ValueError as error:
                raise WrongUse(f"{seconds!r} is no number of seconds") from error
            return check_topic(_from_environment(KAFKA_VARIABLE), topic, age_s_max)
        case ["platform"]:
            return check_platform(_from_environment(KAFKA_VARIABLE), _from_environment(REGISTRY_VARIABLE))
        case _:
            raise WrongUse((__doc__ or "").strip())


def answer(healthy: bool, reason: str) -> int:
    """The exit code; prints the reason when the answer is no."""
    if not healthy:
        print(reason, file=sys.stderr)
    return EXIT_GOOD if healthy else EXIT_FOUND


def check_unit(bootstrap_servers: str, unit: str) -> int:
    """Whether a member of ``unit`` is here, in a settled group. Raises Unreachable."""
    with _asking(bootstrap_servers) as client:
        return answer(unit_is_healthy(client, unit, here=_own_addresses()), f"no settled member of {unit} here")


def check_topic(bootstrap_servers: str, topic: str, age_s_max: float) -> int:
    """Whether the newest record of ``topic`` is at most ``age_s_max`` seconds old. Raises Unreachable."""
    with _asking(bootstrap_servers) as client:
        age_s = topic_age_s(client, topic, time.time())
    healthy = age_s is not None and age_s <= age_s_max
    return answer(healthy, f"{topic} has no record" if age_s is None else f"newest record of {topic}: {age_s} s old")


def check_platform(bootstrap_servers: str, registry_url: str) -> int:
    """Whether broker and registry answer. Raises Unreachable when one does not."""
    require_reachable(bootstrap_servers, registry_url, _TIMEOUT_S)
    return EXIT_GOOD


@contextmanager
def _asking(bootstrap_servers: str) -> Iterator[AdminClient]:
    """A client to ask with. Raises AccessRefused, Unreachable."""
    kafka = Kafka(bootstrap_servers)
    client = kafka.admin()
    try:
        yield client
    except KafkaException as error:
        kafka.raise_refusal(client)
        raise Unreachable("Kafka", bootstrap_servers, str(error)) from error


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise WrongUse(f"{name} is not set")
    return value


def _own_addresses() -> frozenset[str]:
    _name, _aliases, addresses = socket.gethostbyname_ex(socket.gethostname())
    return frozenset(addresses)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
