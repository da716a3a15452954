"""The routers there are, by name. A new one is a file in this folder and its line here."""

from __future__ import annotations

from typing import Final

from pipeline.stages.routing.router import Router
from pipeline.stages.routing.routers.sequential import SequentialRouter

ROUTERS: Final[dict[str, Router]] = {
    "SEQUENTIAL": SequentialRouter(),
}
