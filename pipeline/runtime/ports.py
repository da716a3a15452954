"""Ports on the loopback interface: free ones, and whether a given one is taken."""

from __future__ import annotations

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
_LOWEST = 20_000


def free_port(*, avoid: frozenset[int] = frozenset()) -> int:
    """A port nobody listens on, outside the kernel's range for outgoing connections. Raises OSError if none is found.

    From inside that range, a client that keeps reconnecting to a broker that is down would sooner or later be given the
    broker's own port as its source port and connect to itself, and the broker could not come back.
    """
    highest = _first_ephemeral_port() - 1
    for _ in range(200):
        port = random.SystemRandom().randint(_LOWEST, max(highest, _LOWEST + 1000))
        if port not in avoid and not is_taken(port):
            return port
    raise OSError(f"no free port found between {_LOWEST} and {highest}")


def is_taken(port: int) -> bool:
    """Whether another process holds `port`; a connection still lingering from an ended one does not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return answers(HOST, port, timeout_s=0.2)


def answers(host: str, port: int, timeout_s: float) -> bool:
    """Whether somebody accepts connections at host:port within `timeout_s` seconds."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def _first_ephemeral_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
