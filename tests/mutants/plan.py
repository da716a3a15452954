"""Which edits are tried, and which tests are to find each: drawn by a seed, spread over packages and operators.

An edit's place in the draw follows from the seed and from its own text alone: what is changed elsewhere in the file
does not change the draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import Final

from tests.mutants.operators import Site, sites_of

ROOT: Final = Path(__file__).resolve().parents[2]
PIPELINE: Final = ROOT / "pipeline"
LEAST: Final = 6
"""Edits of each package at the least, where it has as many; the rest is shared out by size."""

_WHOLE: Final = ("tests/findings", "tests/fuzz", "tests/simulation")
"""What looks at all stages together, after a package's own tests."""

TESTS: Final[dict[str, tuple[str, ...]]] = {
    "algos": ("tests/unit/algos", "tests/properties/test_algos_*.py", "tests/unit/stages", *_WHOLE),
    "audit": ("tests/unit/audit", "tests/unit/runtime/auditing", *_WHOLE),
    "simulator/venues": (
        "tests/unit/simulator/venues", "tests/unit/stages/simulated_venues", "tests/properties/test_venues*.py",
        *_WHOLE,
    ),
    "stages": ("tests/unit/stages/test_*.py", *_WHOLE),
    "stages/allocation": ("tests/unit/stages/allocation", "tests/properties/test_allocation*.py", *_WHOLE),
    "stages/analytics": ("tests/unit/stages/analytics", "tests/properties/test_analytics*.py", *_WHOLE),
    "stages/intake": ("tests/unit/stages/intake", "tests/properties/test_intake*.py", *_WHOLE),
    "stages/netting": ("tests/unit/stages/netting", "tests/properties/test_netting*.py", *_WHOLE),
    "stages/routing": ("tests/unit/stages/routing", "tests/properties/test_routing*.py", *_WHOLE),
    "stages/shared": ("tests/unit/stages/shared", "tests/unit/stages", *_WHOLE),
    "stages/simulated_venues": ("tests/unit/stages/simulated_venues", *_WHOLE),
    "stages/slicing": ("tests/unit/stages/slicing", "tests/properties/test_slicing*.py", *_WHOLE),
    "stages/tca": ("tests/unit/stages/tca", "tests/unit/tca", "tests/properties/test_tca*.py", *_WHOLE),
    "tca": ("tests/unit/tca", "tests/unit/stages/tca", *_WHOLE),
}  # fmt: skip
"""Package below `pipeline/` to the tests that are to find its defects, the quick and near ones first."""

NEVER: Final = ("tests/simulation/test_snippets.py", "tests/simulation/test_audit_memory.py")
"""They start processes, which do not have the edit."""


def package_of(path: str) -> str:
    """The package of TESTS that a file below `pipeline/` belongs to; empty for one whose defects are not tried."""
    folder = path.rpartition("/")[0]
    while folder and folder not in TESTS:
        folder = folder.rpartition("/")[0]
    return folder


def files() -> list[str]:
    """The files whose defects are tried, relative to `pipeline/`. Of `parameters.py` none: what they hold is a
    deployment's choice, and the tests of the generated pages compare it."""
    found = (path.relative_to(PIPELINE).as_posix() for path in sorted(PIPELINE.rglob("*.py")))
    return [path for path in found if package_of(path) and Path(path).name not in ("__init__.py", "parameters.py")]


def all_sites() -> dict[str, list[Site]]:
    """Every edit that can be made, by package."""
    found: dict[str, list[Site]] = {}
    for path in files():
        sites = sites_of(path, (PIPELINE / path).read_text(encoding="utf-8"))
        found.setdefault(package_of(path), []).extend(sites)
    return found


def chosen(sites: dict[str, list[Site]], count: int, seed: int) -> list[Site]:
    """About ``count`` edits: of each package by its size, within a package of each operator in turn."""
    total = sum(map(len, sites.values()))
    picked: list[Site] = []
    for package in sorted(sites):
        quota = max(min(LEAST, count), round(count * len(sites[package]) / total)) if total else 0
        picked.extend(_in_turn(sites[package], seed)[:quota])
    return picked


def _in_turn(sites: Iterable[Site], seed: int) -> list[Site]:
    drawn = sorted(sites, key=lambda site: _draw(seed, site.key))
    by_operator: dict[str, list[Site]] = {}
    for site in drawn:
        by_operator.setdefault(site.operator, []).append(site)
    rounds = zip_longest(*(by_operator[operator] for operator in sorted(by_operator)))
    return [site for site in chain.from_iterable(rounds) if site is not None]


def _draw(seed: int, key: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=16).digest()


def rungs_for(path: str, *, near: bool = False) -> list[str]:
    """The tests for a file below `pipeline/`, as paths, nearest first: its own, its package's, those of the whole
    (not when ``near``)."""
    own = ROOT / "tests" / "unit" / Path(path).parent
    nearest = sorted(own.glob(f"test_{Path(path).stem}*.py")) if own.is_dir() else []
    found: dict[str, None] = dict.fromkeys(each.relative_to(ROOT).as_posix() for each in nearest)
    for pattern in (each for each in TESTS[package_of(path)] if not (near and each in _WHOLE)):
        found.update(dict.fromkeys(_files(pattern)))
    return [each for each in found if each not in NEVER]


def _files(pattern: str) -> Iterator[str]:
    for place in sorted(ROOT.glob(pattern)):
        tests = sorted(place.rglob("test_*.py")) if place.is_dir() else [place]
        yield from (each.relative_to(ROOT).as_posix() for each in tests)
