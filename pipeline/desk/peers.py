"""Finds the desk's other workers through the consumer group: each member's client id contains its address."""

from __future__ import annotations

import re
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.runtime.kafka.clients import Kafka

_CLIENT_ID: Final = re.compile(r"(?:.*-)?desk@([A-Za-z0-9.-]{1,253}):([0-9]{1,5})")
"""A deployment may put a prefix of its own before it (`client.id` of its client settings)."""
_TIMEOUT_S: Final = 5.0


def client_id(host: str, port: int) -> str:
    """The client id of a worker that serves at host:port."""
    return f"desk@{host}:{port}"


def address_in(text: str) -> str | None:
    """The host:port in a member's client id; None when the member is no worker of the desk."""
    match = _CLIENT_ID.fullmatch(text)
    return f"{match[1]}:{match[2]}" if match else None


class Directory:
    """The addresses of a group's members, asked from the broker each time. Use from one thread."""

    def __init__(self, bootstrap_servers: str, group: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._group = group
        self._admin: AdminClient | None = None

    def addresses(self) -> list[str]:
        """The address of every member, sorted; a worker that was killed stays until its session times out.

        Raises KafkaException or TimeoutError when the broker does not answer.
        """
        if self._admin is None:
            self._admin = Kafka(self._bootstrap_servers).admin()
        try:
            asked = self._admin.describe_consumer_groups([self._group], request_timeout=_TIMEOUT_S)[self._group]
            # Longer than the request's own timeout: librdkafka 2.16 aborts the process when a client is destroyed with
            # a request in flight.
            described = asked.result(3 * _TIMEOUT_S)
        except KafkaException:
            self._admin = None  # after a broker outage the old client has been seen not to recover
            raise
        return sorted({found for member in described.members if (found := address_in(member.client_id or ""))})
