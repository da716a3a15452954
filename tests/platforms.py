"""Which broker and registry the tests run against. The order: environment, testcontainers, embedded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from pipeline.runtime.embedded.platform import KAFKA_VARIABLE, REGISTRY_VARIABLE, Platform, connect, require_reachable
from pipeline.runtime.ports import free_port

KAFKA_IMAGE = "apache/kafka:4.1.0"
REGISTRY_IMAGE = "apicurio/apicurio-registry:3.3.3"


def choose_platform(env: Mapping[str, str]) -> AbstractContextManager[Platform]:
    """The platform for a test session, not yet started."""
    if env.get(KAFKA_VARIABLE) or env.get(REGISTRY_VARIABLE):
        return connect(env)
    if env.get("PIPELINE_TESTS_PLATFORM") != "embedded" and docker_answers():
        return containers()
    return connect({})


def docker_answers() -> bool:
    """Whether a container engine is there, not only its client."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=3)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except (DockerException, OSError):
        return False


@contextmanager
def containers() -> Iterator[Platform]:
    """Broker and registry in containers, with the embedded broker's settings.

    Not run on the machine this was written on, which has no container engine.
    """
    from testcontainers.core.container import DockerContainer

    from pipeline.runtime.embedded.broker import LocalKafka

    # The broker tells clients its address, so the outer port must be known before it starts.
    port = free_port()
    inner = {
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": "1@localhost:9093",
        "log.dirs": "/tmp/kafka-data",
    }
    settings = {**LocalKafka(port=port, controller_port=9093, artifacts=None).properties(), **inner}
    kafka = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, port)
    for key, value in settings.items():
        kafka = kafka.with_env("KAFKA_" + key.upper().replace(".", "_"), value)
    registry = DockerContainer(REGISTRY_IMAGE).with_exposed_ports(8080)
    with kafka, registry:
        host = registry.get_container_host_ip()
        url = f"http://{host}:{registry.get_exposed_port(8080)}/apis/ccompat/v7"
        address = f"127.0.0.1:{port}"
        require_reachable(address, url, timeout_s=90)
        yield Platform(address, url, owned=True)
