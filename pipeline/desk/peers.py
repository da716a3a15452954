"""Where the desk's other workers are. The consumer group is the directory: each member's client id is its address."""

from __future__ import annotations

import re
from typing import Final

from confluent_kafka.admin import AdminClient

_CLIENT_ID: Final = re.compile(r"desk@([A-Za-z0-9.-]{1,253}):([0-9]{1,5})")
_TIMEOUT_S: Final = 5.0


def client_id(host: str, port: int) -> str:
    """The client id of a worker that serves at host:port."""
    return f"desk@{host}:{port}"


def address_in(text: str) -> str | None:
    """host:port out of a member's client id; None when it is no worker of the desk."""
    match = _CLIENT_ID.fullmatch(text)
    return f"{match[1]}:{match[2]}" if match else None


def addresses(admin: AdminClient, group: str) -> list[str]:
    """Of every member of the group, each once. A worker that was killed stays until its session times out."""
    asked = admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group]
    # Longer than the request itself: librdkafka 2.16 aborts the process when a client goes with a request in flight.
    described = asked.result(3 * _TIMEOUT_S)
    return sorted({found for member in described.members if (found := address_in(member.client_id or ""))})
