"""Deployment settings, from the environment; a command's options overrule them.

KAFKA_BOOTSTRAP_SERVERS   the broker
SCHEMA_REGISTRY_URL       the registry
PIPELINE_PARTITIONS       P, partitions of every topic a stage reads (default 2)
PIPELINE_SOURCES          upstream systems, each with a topic of its own for its order events (comma-separated)
PIPELINE_PARAMETERS       the file of parameters, TOML (default: every parameter has its default)
PIPELINE_STATE_DIR        where workers lease their slots and keep snapshots (default: in the user's cache)
PIPELINE_LOG              text (default) or json; see log.py
PIPELINE_METRICS_PORT     where a worker serves its metrics; see endpoint.py
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import WrongUse
from pipeline.runtime.embedded import local
from pipeline.runtime.embedded.artifacts import cache_dir
from pipeline.runtime.embedded.platform import KAFKA_VARIABLE, REGISTRY_VARIABLE

DEFAULT_PARTITIONS: Final = 2
DEFAULT_SOURCES: Final = "rebalancer,savings-plan,strategy-desk"
_LEGAL_SOURCE: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process of the pipeline needs to know of its deployment."""

    bootstrap_servers: str
    registry_url: str
    partitions: int
    sources: tuple[str, ...]
    state_dir: Path
    parameters: Path | None = None
    """The file of parameters, absolute; None: every parameter has its default."""

    @staticmethod
    def read(
        env: Mapping[str, str] | None = None,
        *,
        bootstrap_servers: str | None = None,
        registry_url: str | None = None,
        partitions: int | None = None,
        sources: tuple[str, ...] = (),
        parameters: Path | None = None,
    ) -> Settings:
        """Options first, then the environment, then what ``pipeline local up`` started.

        Raises WrongUse when no broker or registry is named anywhere, or a value is not as it must be.
        """
        env = os.environ if env is None else env
        bootstrap = bootstrap_servers or env.get(KAFKA_VARIABLE)
        registry = registry_url or env.get(REGISTRY_VARIABLE)
        if not bootstrap or not registry:
            here = local.addresses()
            bootstrap, registry = bootstrap or here.get(KAFKA_VARIABLE), registry or here.get(REGISTRY_VARIABLE)
        if not bootstrap or not registry:
            missing = KAFKA_VARIABLE if not bootstrap else REGISTRY_VARIABLE
            raise WrongUse(f"{missing} is not set. Set it to your own, or start both here with: pipeline local up")
        text = env.get("PIPELINE_PARTITIONS") or str(DEFAULT_PARTITIONS)
        if not _WHOLE_NUMBER.fullmatch(text) or int(text) < 1:
            raise WrongUse(f"PIPELINE_PARTITIONS is {text!r}: it must be a whole number from 1")
        named = sources or tuple(
            name.strip() for name in (env.get("PIPELINE_SOURCES") or DEFAULT_SOURCES).split(",") if name.strip()
        )
        for name in named:
            if not _LEGAL_SOURCE.fullmatch(name):
                raise WrongUse(f"source {name!r}: letters, digits, - and _ only, it becomes part of a topic's name")
        return Settings(
            bootstrap, registry, partitions or int(text), named, state_dir(env), parameters_file(parameters, env)
        )


def state_dir(env: Mapping[str, str] | None = None) -> Path:
    """Where workers lease their slots and say where they serve their metrics."""
    given = (os.environ if env is None else env).get("PIPELINE_STATE_DIR")
    return Path(given) if given else cache_dir() / "state"


def parameters_file(given: Path | None = None, env: Mapping[str, str] | None = None) -> Path | None:
    """The file of parameters: the one given, else PIPELINE_PARAMETERS; absolute, as other processes read it too."""
    named = given or (os.environ if env is None else env).get("PIPELINE_PARAMETERS")
    return Path(named).absolute() if named else None
