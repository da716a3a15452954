"""What commands, and the demo, make of a deployment's settings: its codec, a writer for its topics, its flow."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pipeline import topology
from pipeline.errors import WrongUse
from pipeline.parameters import read
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.contracts.registry import Registry, RegistryIds
from pipeline.runtime.kafka.edge_writer import EdgeWriter, KafkaSink
from pipeline.runtime.settings import Settings
from pipeline.topology import AnyStage, FlowParameters

Say = Callable[[str], None]
DESK: Final = "desk"
"""What `run` calls the desk's display, beside the units."""
SECRET_VARIABLE: Final = "PIPELINE_WIRE_SECRET"


def codec_for(settings: Settings) -> Codec:
    """A codec whose ids come from the deployment's registry."""
    return Codec(RegistryIds(Registry(settings.registry_url)))


def edge(settings: Settings, name: str, say: Say = print, stop: Callable[[], bool] = lambda: False) -> EdgeWriter:
    """A writer for an edge's run: its name is new each time, so its numbers begin at 1."""
    run = uuid.uuid4().hex[:12]
    sink = KafkaSink(settings.bootstrap_servers, f"{name}-{run}", say, stop)
    return EdgeWriter(name, run, settings.partitions, codec_for(settings), sink)


def parameters_of(path: Path | None) -> FlowParameters:
    """What a file of parameters says; the defaults without one. Raises WrongUse: not there, or all that is wrong."""
    if path is None:
        return FlowParameters()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"the file of parameters {path} cannot be read: {error}") from error
    return read(text, FlowParameters, str(path))


def deployed_flow(settings: Settings) -> tuple[AnyStage, ...]:
    """All stages with the deployment's parameters, and its own wire secret when it has one. Raises WrongUse."""
    return topology.flow(deployed_parameters(settings.parameters))


def deployed_parameters(path: Path | None) -> FlowParameters:
    """The file's parameters with the wire secret of the environment. Raises WrongUse."""
    parameters, secret = parameters_of(path), os.environ.get(SECRET_VARIABLE)
    if not secret:
        return parameters
    if not 16 <= len(secret.encode()) <= 64:
        raise WrongUse(f"{SECRET_VARIABLE} must be 16 to 64 bytes long, not {len(secret.encode())}")
    routing = msgspec.structs.replace(parameters.routing, wire_secret=secret.encode())
    return msgspec.structs.replace(parameters, routing=routing)


def environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process the same settings."""
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "SCHEMA_REGISTRY_URL": settings.registry_url,
        "PIPELINE_PARTITIONS": str(settings.partitions),
        "PIPELINE_SOURCES": ",".join(settings.sources),
        "PIPELINE_STATE_DIR": str(settings.state_dir),
    }
    if settings.parameters is not None:
        variables["PIPELINE_PARAMETERS"] = str(settings.parameters)
    return variables
