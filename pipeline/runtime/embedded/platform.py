"""The one door to a broker and a registry: the user's own when the environment names them, else embedded ones.

with connect() as platform:
    platform.bootstrap_servers, platform.registry_url
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Unreachable, WrongUse
from pipeline.runtime.contracts.registry_access import RegistryAccess, registry_answers
from pipeline.runtime.embedded.broker import LocalKafka, LocalPlatform, LocalRegistry
from pipeline.runtime.kafka.client_settings import ClientSettings
from pipeline.runtime.kafka.clients import Kafka

KAFKA_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
REGISTRY_VARIABLE = "SCHEMA_REGISTRY_URL"


@dataclass(frozen=True, slots=True)
class Platform:
    """Where broker and registry are; `owned` when they are ours and end with us."""

    bootstrap_servers: str
    registry_url: str
    owned: bool
    local: LocalPlatform | None = None

    @property
    def kafka(self) -> LocalKafka:
        """The embedded broker, for tests that stop and kill it. Raises WrongUse when the platform is not ours."""
        return self._own().kafka

    @property
    def registry(self) -> LocalRegistry:
        """The embedded registry. Raises WrongUse when the platform is not ours."""
        return self._own().registry

    def _own(self) -> LocalPlatform:
        if self.local is None:
            raise WrongUse("the broker belongs to somebody else: it cannot be stopped or killed from here")
        return self.local


@contextmanager
def connect(
    env: Mapping[str, str] | None = None, *, data_dir: Path | None = None, timeout_s: float = 15.0
) -> Iterator[Platform]:
    """Yield the platform to use. `env` defaults to the process's environment; `data_dir` keeps the embedded data.

    KAFKA_BOOTSTRAP_SERVERS and SCHEMA_REGISTRY_URL go together: with both set, both are checked (within `timeout_s`
    seconds each) and used. Raises Unreachable, WrongUse when only one is set, or what starting embedded ones raises.
    """
    env = os.environ if env is None else env
    bootstrap_servers, registry_url = env.get(KAFKA_VARIABLE, ""), env.get(REGISTRY_VARIABLE, "")
    if bool(bootstrap_servers) != bool(registry_url):
        missing, given = (
            (REGISTRY_VARIABLE, KAFKA_VARIABLE) if bootstrap_servers else (KAFKA_VARIABLE, REGISTRY_VARIABLE)
        )
        raise WrongUse(f"{given} is set but {missing} is not: set both to use your own, neither to use embedded ones.")
    if bootstrap_servers:
        require_reachable(bootstrap_servers, registry_url, timeout_s)
        yield Platform(bootstrap_servers, registry_url, owned=False)
        return
    client = ClientSettings.read(env)
    if client.secured:
        raise WrongUse(
            f"{', '.join(sorted(set(client.origins.values())))}: these say how a broker of your own lets you in, but "
            f"{KAFKA_VARIABLE} does not say where it is. Set it, with {REGISTRY_VARIABLE}; or unset these."
        )
    with LocalPlatform(data_dir, storage="memory" if data_dir is None else "file") as local:
        yield Platform(local.bootstrap_servers, local.registry_url, owned=True, local=local)


def require_reachable(bootstrap_servers: str, registry_url: str, timeout_s: float = 15.0) -> None:
    """Raise Unreachable, naming the component and its address, unless both answer within `timeout_s` seconds each.

    Raises AccessRefused when one answers and does not let us in.
    """
    Kafka(bootstrap_servers).require_answer(timeout_s)
    if not registry_answers(registry_url, timeout_s, RegistryAccess.read()):
        raise Unreachable("The schema registry", registry_url, f"Start it, correct {REGISTRY_VARIABLE} (Apicurio's "
                          f"address ends with /apis/ccompat/v7), or unset it together with {KAFKA_VARIABLE} to use "
                          f"the embedded registry.")  # fmt: skip
