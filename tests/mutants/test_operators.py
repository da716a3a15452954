"""The edits of the logic: each kind is made where it should be, and none where it decides nothing."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.operators import made, sites_of
from tests.mutants.plan import TESTS, all_sites, chosen, package_of, rungs_for

PATH = "stages/netting/windows.py"


def edits(source: str) -> list[tuple[str, str, str]]:
    """Operator, what was and what it becomes, of every edit of the source."""
    mutants = [made(PATH, source, site.number)[0] for site in sites_of(PATH, source)]
    return [(mutant.operator, mutant.before, mutant.after) for mutant in mutants]


@pytest.mark.parametrize(
    ("source", "operator", "before", "after"),
    [
        ("x = a < b", "comparison", "x = a < b", "x = a <= b"),
        ("x = a >= b", "comparison", "x = a >= b", "x = a > b"),
        ("x = a < b <= c", "comparison", "x = a < b <= c", "x = a < b < c"),
        ("x = a is None", "comparison", "x = a is None", "x = a is not None"),
        ("x = a in b", "comparison", "x = a in b", "x = a not in b"),
        ("x = a + b", "sign", "x = a + b", "x = a - b"),
        ("x = -a", "sign", "x = -a", "x = a"),
        ("x -= a", "sign", "x -= a", "x += a"),
        ("x = 1", "constant", "x = 1", "x = 0"),
        ("x = 0", "constant", "x = 0", "x = 1"),
        ("x = 1000000000", "constant", "x = 1000000000", "x = 2000000000"),
        ("x = True", "constant", "x = True", "x = False"),
        ("x = not a", "negation", "x = not a", "x = a"),
        ("x = a and b", "negation", "x = a and b", "x = a or b"),
        ("if a.b:\n    pass", "negation", "if a.b", "if not a.b"),
        ("x = a // b", "rounding", "x = a // b", "x = -(-a // b)"),
        ("x = divide_half_even(a, b)", "rounding", "x = divide_half_even(a, b)", "x = a // b"),
        ("x = floor_to_lot(a, b)", "rounding", "x = floor_to_lot(a, b)", "x = a"),
        ("x = min(a, b)", "min/max", "x = min(a, b)", "x = max(a, b)"),
        ("x = quote.bid_px", "side", "x = quote.bid_px", "x = quote.offer_px"),
        ("x = Side.BUY", "side", "x = Side.BUY", "x = Side.SELL"),
        ("x = side.sign", "side", "x = side.sign", "x = -side.sign"),
        ("def f(a):\n    a = 2\n    return a", "removed statement", "a = 2", "nothing"),
        ("def f(a):\n    a.put(b)\n    return a", "removed statement", "a.put(b)", "nothing"),
        ("def f(a):\n    if a:\n        return\n    g()", "removed statement", "return", "nothing"),
        ("def f(a):\n    raise KeyError(a)", "removed statement", "raise KeyError(a)", "nothing"),
    ],
)
def test_each_kind_of_edit_is_made(source: str, operator: str, before: str, after: str) -> None:
    assert (operator, before, after) in edits(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""About 3 things."""',
        "import a",
        "def f(a: Literal[1]) -> Literal[2]:\n    return a",
        "@mark(1)\nclass A(B, frozen=True):\n    pass",
        "assert a < b + 1",
        "x = f'{a + 1}'",
        "x = 'a' + b",
        "x = [a] + b",
        "x = zip(a, b, strict=True)",
        "def f():\n    a = g()\n    return a",
    ],
)
def test_what_decides_nothing_is_left_alone(source: str) -> None:
    assert edits(source) == []


def test_only_the_edit_asked_for_is_made() -> None:
    source = "def f(a, b):\n    return a < b and a + 1 > b\n"
    texts = [ast.unparse(made(PATH, source, site.number)[1]) for site in sites_of(PATH, source)]
    assert len(set(texts)) == len(texts) == 6
    assert all(text != source.strip() for text in texts)


def test_an_edit_keeps_its_name_when_other_lines_change() -> None:
    before = "def f(a, b):\n    return min(a, b) < total_of(a)\n"
    after = "LIMIT = 4\n\n\ndef g():\n    return LIMIT + 1\n\n\n" + before
    old = {site.key for site in sites_of(PATH, before)}
    assert old and old <= {site.key for site in sites_of(PATH, after)}
    assert {made(PATH, before, site.number)[0].identity for site in sites_of(PATH, before)} <= {
        made(PATH, after, site.number)[0].identity for site in sites_of(PATH, after)
    }


def test_every_package_has_edits_tests_and_its_share() -> None:
    sites = all_sites()
    assert sites.keys() == TESTS.keys()
    picked = chosen(sites, 200, 2012)
    assert picked == chosen(sites, 200, 2012) != chosen(sites, 200, 2013)
    assert 180 <= len(picked) <= 240
    for package in TESTS:
        own = [site for site in picked if package_of(site.path) == package]
        assert len(own) >= 6
        assert len({site.operator for site in own}) >= 4
        assert all(rungs_for(site.path) for site in own)
