"""Several brokers on this machine, for tests that lose one. Replication 3, two in sync required."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pipeline.runtime.embedded.artifacts import Artifacts
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.embedded.child import START_TIMEOUT_S
from pipeline.runtime.ports import free_port


class LocalCluster:
    """A KRaft cluster; `nodes` maps node id (from 1) to broker, each of which can be stopped, killed, frozen."""

    def __init__(self, size: int = 3, *, settings: Mapping[str, str] | None = None, heap_mb: int = 256) -> None:
        artifacts = Artifacts()
        voters: dict[int, int] = {}
        for node_id in range(1, size + 1):
            voters[node_id] = free_port(avoid=frozenset(voters.values()))
        self.nodes: dict[int, LocalKafka] = {}
        cluster_id = None
        for node_id in voters:
            node = LocalKafka(
                node_id=node_id, voters=voters, cluster_id=cluster_id, settings=settings, heap_mb=heap_mb,
                artifacts=artifacts,
            )  # fmt: skip
            cluster_id = node.cluster_id
            self.nodes[node_id] = node

    @property
    def bootstrap_servers(self) -> str:
        """All brokers' addresses, for a client's `bootstrap.servers`."""
        return ",".join(node.bootstrap_servers for node in self.nodes.values())

    def start(self, timeout_s: float = START_TIMEOUT_S) -> Self:
        """Start all, and wait until every broker knows every other."""
        try:
            for node in self.nodes.values():
                node.start(wait=False)
            for node in self.nodes.values():
                node.start(timeout_s)
            for node in self.nodes.values():
                node.wait_for_brokers(set(self.nodes), timeout_s)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End all and remove their folders. Not in good order: the last ones could not, without their quorum."""
        for node in self.nodes.values():
            node.kill()
        for node in self.nodes.values():
            node.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.close()
