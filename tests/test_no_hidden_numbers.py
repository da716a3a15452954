"""No number shapes a decision unseen: in stages and algos each is a parameter's default, a unit, or excused by name.

Looked at are values of modules and classes, and defaults of functions. A field of a `Parameters` class is a parameter;
so what is left over is listed here, each with why no deployment may set it. 0 is nothing anywhere; 1 is
nothing where a row of state or a function begins with it, but a constant of a module that is 1 is looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
FILES: Final = sorted(path for folder in ("stages", "algos") for path in (ROOT / "pipeline" / folder).rglob("*.py"))

UNITS: Final = {
    "PPM": (1_000_000, "parts per million in one"),
    "NS_PER_SECOND": (1_000_000_000, "nanoseconds in a second"),
    "CURVE_TOTAL": (1_000_000_000, "parts per billion in one: what a curve adds up to"),
    "BALANCE_SCALE": (1_000_000_000, "steps of a carried balance in one unit of quantity"),
    "BPS_STEPS": (1_000, "steps of a result in one basis point"),
}
"""Scales: other values would only write the same quantity otherwise. Held to their values."""

VERSIONS: Final = {"MIGRATIONS", "state_version"}
"""They number layouts of the state: the journal records them by themselves, and no deployment chooses one."""

EXCUSED: Final = {
    "pipeline/algos/benchmarks.py:_STEPS_IN_ONE": "a unit: basis points in one, in steps",
    "pipeline/algos/rounding.py:BUY": "a sign, not a number: sides are +1 and -1 in every formula",
    "pipeline/algos/rounding.py:SELL": "a sign, likewise",
    "pipeline/algos/wire_id.py:COUNTER_BITS": "the wire id's format: an id could not be read back under another",
    "pipeline/algos/wire_id.py:PARTITION_BITS": "the wire id's format",
    "pipeline/algos/wire_id.py:SECRET_BYTES_MIN": "what a keyed hash needs; the secret's range is RoutingParameters'",
    "pipeline/algos/wire_id.py:WIRE_ID_CHARS": "the wire id's format",
    "pipeline/algos/wire_id.py:_HALF_BITS": "the wire id's format",
    "pipeline/algos/wire_id.py:_HALF_MASK": "the wire id's format",
    "pipeline/algos/wire_id.py:_ROUNDS": "the wire id's format",
    "pipeline/stages/analytics/sessions.py:_HALF_DAY_NS": "half of a unit: no session of another day can be nearer",
    "pipeline/stages/analytics/volume_days.py:_BINS_MOST": "the longest session there is: a week, in minutes",
    "pipeline/stages/analytics/volume_days.py:_DAY_NS": "a unit: a day",
    "pipeline/stages/intake/state.py:_STANDING_MOST": "a bound on a cache in memory: what it drops is looked up again, "
    "and comes out the same",
    "pipeline/stages/netting/eligibility.py:_MILLI_BPS_PER_PPM": "a unit",
    "pipeline/stages/routing/gate_counters.py:_WITHOUT_END": "stands for infinity: above any limit there may be",
    "pipeline/stages/shared/print_identity.py:DAY_NS": "a unit: a day",
    "pipeline/stages/shared/print_tape.py:MINUTE_NS": "a unit: the minute of a one-minute bar",
    "pipeline/stages/shared/print_tape.py:_CHUNK": "the state's layout: another one is another state version",
    "pipeline/stages/tca/chunked_lists.py:_CHUNK": "the state's layout: a name's place follows from it",
}
"""Name by file → why it is nothing a deployment may set."""


def numbers_of(value: ast.AST) -> list[int | float]:
    """The numbers written in an expression."""
    found = (node.value for node in ast.walk(value) if isinstance(node, ast.Constant))
    return [each for each in found if isinstance(each, int | float) and not isinstance(each, bool)]


def hidden_numbers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every constant, row default and function default that holds a number."""
    for node in tree.body:
        for name, value in _assigned(node):
            if not set(numbers_of(value)) <= {0}:
                yield node.lineno, name
    for owner in ast.walk(tree):
        if isinstance(owner, ast.ClassDef) and "Parameters" not in {ast.unparse(base) for base in owner.bases}:
            for node in owner.body:
                for name, value in _assigned(node):
                    if not set(numbers_of(value)) <= {0, 1}:
                        yield node.lineno, f"{owner.name}.{name}"
        elif isinstance(owner, ast.FunctionDef):
            defaults = [*owner.args.defaults, *(each for each in owner.args.kw_defaults if each is not None)]
            if any(not set(numbers_of(each)) <= {0, 1} for each in defaults):
                yield owner.lineno, f"{owner.name}()"


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        yield ast.unparse(node.target), node.value
    elif isinstance(node, ast.Assign):
        yield ", ".join(map(ast.unparse, node.targets)), node.value


def unexplained(tree: ast.Module, file: str) -> list[str]:
    """What is neither a unit nor excused."""
    return [
        f"{file}:{line}: {name} shapes decisions unseen: make it a field of the stage's parameters.py"
        for line, name in hidden_numbers(tree)
        if f"{file}:{name}" not in EXCUSED and name not in UNITS and name.rpartition(".")[2] not in VERSIONS
    ]


def test_no_number_of_stages_and_algos_shapes_decisions_unseen() -> None:
    assert len(FILES) > 60, "there are files to look at"
    found = [
        each
        for path in FILES
        for each in unexplained(ast.parse(path.read_text(encoding="utf-8")), path.relative_to(ROOT).as_posix())
    ]
    assert found == []


def test_units_are_what_they_say() -> None:
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for name, value in _assigned(node):
                if name in UNITS:
                    assert ast.literal_eval(value) == UNITS[name][0], f"{path}: {name}"


def test_an_excuse_is_of_something_that_is_there() -> None:
    there = {
        f"{path.relative_to(ROOT).as_posix()}:{name}"
        for path in FILES
        for _, name in hidden_numbers(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert EXCUSED.keys() <= there, f"gone: {sorted(EXCUSED.keys() - there)}"
    assert UNITS.keys() <= {name.rpartition(":")[2] for name in there}


@pytest.mark.parametrize(
    "text",
    [
        "PATIENCE = 10",
        "PATIENCE: Final = 1",
        "WINDOW_NS: Final = 15 * NS_PER_S",
        "REACH: Final = 0.005",
        'TABLE = (("A", 3), ("B", 4))',
        "PRIORS = {Kind.POST: Prior(fill_rate=300_000)}",
        'ROWS = (_Row("FAR", lambda s: s.behind_by(200_000)),)',
        "A = B = 7",
        "class Prior:\n    weight_qty: int = 500",
        "class Row(Entry):\n    tries = 3",
        "def build(days, quiet_tail_ppm=100_000):\n    pass",
        "def build(days, *, quiet_tail_ppm: int = 2 * HALF):\n    pass",
        "class Book:\n    def take(self, most: int = 64):\n        pass",
    ],
)
def test_a_number_that_is_planted_is_found(text: str) -> None:
    assert unexplained(ast.parse(text), "pipeline/stages/netting/windows.py")


@pytest.mark.parametrize(
    "text",
    [
        '_KEY: Final = ""',
        "STRICT = True",
        "class NettingParameters(Parameters, frozen=True):\n    window_ns: int = 15",
        "class Row(Entry):\n    count: int = 0\n    chunks: int = 1",
        "def floor(total, lot_qty=1):\n    return total // 2",
        "PPM = 1_000_000",
    ],
)
def test_what_is_no_number_of_its_own_is_left_alone(text: str) -> None:
    assert unexplained(ast.parse(text), "pipeline/stages/netting/windows.py") == []
