"""What a stranger looks up: docstrings of public names, the exceptions they raise, the sources of the algorithms.

Public is a name without leading underscore: a function or class of a module, a method or property of a public class.
No test can judge whether a docstring is good; these see that there is one, and that it names errors and sources.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]

DEFECTS_OF_OURS: Final = {"AssertionError", "NotImplementedError"}
"""A caller who gets one of these has found a defect; there is nothing to prepare for."""

CITATION: Final = re.compile(
    r"\((?:[^()]*\s)?(?:19|20)\d\d\)"  # a paper or a law: (1988)
    r"|\bFIX \d\.\d|\bFIX [A-Z][A-Za-z]+ ?\(|\btag \d+"
    r"|\bSEC Rule \d|\bRFC \d{3,5}\b|\bISO \d{3,5}\b"
    r"|docs/design-rules\.md, [A-Z]"
)
"""A year in parentheses, a FIX, SEC, RFC or ISO reference, or a section of the design rules."""

DESIGN_RULES: Final = "docs/design-rules.md"

NOT_IN_THE_REPOSITORY: Final = tuple(
    # Written in parts, or this file would name them itself.
    f"{stem}.{ending}"
    for stem, ending in (
        ("trading", "md"), ("schedules", "json"), ("architecture", "md"), ("runtime", "md"), ("platform", "md"),
        ("style", "md"), ("execution", "md"), ("findings", "md"),
    )
)  # fmt: skip
"""Notes of ours that a reader of the repository does not have."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), named(path))


PIPELINE_FILES: Final = python_files("pipeline")


class Declared(NamedTuple):
    """A class as others may build on it: its bases by name, and the docstrings of its methods ("" for none)."""

    bases: tuple[str, ...]
    methods: dict[str, str]


def _name(node: ast.expr) -> str:
    """The last part of a dotted name, without its type arguments; empty for anything else."""
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def classes_of(trees: Iterable[ast.Module]) -> dict[str, Declared]:
    """Every class by name (no name is used twice, see test_tidy.py)."""
    return {
        node.name: Declared(
            tuple(_name(base) for base in node.bases),
            {each.name: ast.get_docstring(each) or "" for each in node.body if isinstance(each, Function)},
        )
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


@cache
def known_classes() -> dict[str, Declared]:
    return classes_of(map(tree_of, PIPELINE_FILES))


def inherited_doc(owner: str, method: str, classes: dict[str, Declared]) -> str:
    """The docstring of ``method`` in a base of ``owner``, or in a Protocol all of whose methods ``owner`` has."""
    own = classes[owner]
    for base in own.bases:
        doc = classes[base].methods.get(method) or inherited_doc(base, method, classes) if base in classes else ""
        if doc:
            return doc
    for each in classes.values():
        if "Protocol" in each.bases and each.methods.get(method) and set(each.methods) <= set(own.methods):
            return each.methods[method]
    return ""


def _own_statements(function: Function) -> Iterator[ast.AST]:
    """Everything inside a function but what is inside functions and classes within it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def _raised(raised: ast.expr) -> str:
    """The class in ``raise X`` or ``raise X(...)``, by name."""
    return _name(raised.func if isinstance(raised, ast.Call) else raised)


def raised_by(function: Function) -> set[str]:
    """Exception classes that the function's own body raises by name, and does not catch itself.

    Without the TypeError in the last case of a `match`, which says that a case is missing: a defect of ours too.
    """
    caught = {
        id(each)
        for node in _own_statements(function)
        if isinstance(node, ast.Try)
        for handler in node.handlers
        for statement in node.body
        for each in ast.walk(statement)
        if isinstance(each, ast.Raise) and each.exc is not None and handler.type is not None
        and _raised(each.exc) in {_name(kind) for kind in getattr(handler.type, "elts", [handler.type])}
    }  # fmt: skip
    last_cases = [node.cases[-1] for node in _own_statements(function) if isinstance(node, ast.Match)]
    in_last_cases = {id(each) for case in last_cases for each in ast.walk(case)}
    found = set()
    for node in _own_statements(function):
        if isinstance(node, ast.Raise) and node.exc is not None and id(node) not in caught:
            name = _raised(node.exc)
            if name[:1].isupper() and not (name == "TypeError" and id(node) in in_last_cases):
                found.add(name)
    return found - DEFECTS_OF_OURS


def undocumented(tree: ast.Module, classes: dict[str, Declared]) -> list[str]:
    """Public names without a docstring, and those whose docstring does not name an exception they raise."""
    found: list[str] = []

    def look(name: str, function: Function, doc: str) -> None:
        if not doc:
            found.append(f"line {function.lineno}: {name} has no docstring")
        found.extend(
            f"line {function.lineno}: {name} raises {error}, which its docstring does not name"
            for error in sorted(raised_by(function))
            if not re.search(rf"\b{error}\b", doc)
        )

    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            look(node.name, node, ast.get_docstring(node) or "")
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        about = ast.get_docstring(node) or ""
        if not about:
            found.append(f"line {node.lineno}: {node.name} has no docstring")
        for each in node.body:
            if not isinstance(each, Function) or any(_name(mark) == "overload" for mark in each.decorator_list):
                continue
            name, own = f"{node.name}.{each.name}", ast.get_docstring(each) or ""
            if each.name == "__init__":
                look(name, each, f"{about}\n{own}".strip() or "-")
            elif not each.name.startswith("_"):
                look(name, each, own or inherited_doc(node.name, each.name, classes))
    return found


@pytest.mark.parametrize("path", PIPELINE_FILES, ids=named)
def test_every_public_name_has_a_docstring_that_names_the_errors_it_raises(path: Path) -> None:
    assert undocumented(tree_of(path), known_classes()) == []


def judged(text: str) -> list[str]:
    tree = ast.parse(text)
    return undocumented(tree, classes_of([tree]))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("def f(): pass", "f has no docstring"),
        ("class C: pass", "C has no docstring"),
        ('class C:\n    "A."\n    def m(self): pass', "C.m has no docstring"),
        ('class C:\n    "A."\n    @property\n    def p(self): return 1', "C.p has no docstring"),
        ('def f():\n    "Does."\n    raise ValueError("no")', "f raises ValueError"),
        ('def f():\n    "Raises ValueError."\n    raise errors.WrongUse', "f raises WrongUse"),
        ('class C:\n    "A."\n    def __init__(self): raise KeyError', "C.__init__ raises KeyError"),
        ('class C:\n    "A."\n    async def m(self):\n        "Does."\n        raise OSError()', "C.m raises OSError"),
        ('def f(x):\n    "Does."\n    match x:\n        case 1:\n            raise TypeError(x)\n        case _:\n'
         "            pass", "f raises TypeError"),
        ('class P(Protocol):\n    "A."\n    def m(self): ...\nclass C:\n    "A."\n    def m(self): pass',
         "C.m has no docstring"),
    ],
)  # fmt: skip
def test_the_rule_of_docstrings_sees_what_it_is_for(text: str, what: str) -> None:
    assert any(what in each for each in judged(text)), judged(text)


@pytest.mark.parametrize(
    "text",
    [
        "def _f(): pass",
        "class _C:\n    def m(self): pass",
        'class C:\n    "A."\n    def __len__(self): return 1',
        'class B:\n    "A."\n    def m(self):\n        "Does."\nclass C(B):\n    "A."\n    def m(self): pass',
        'class P(Protocol):\n    "A."\n    def m(self):\n        "Does."\nclass C:\n    "A."\n    def m(self): pass',
        'def f(x):\n    "Does."\n    match x:\n        case 1:\n            pass\n        case _:\n'
        "            raise TypeError(x)",
        'def f():\n    "Does."\n    def inner():\n        raise ValueError\n    return inner',
        'def f():\n    "Does."\n    try:\n        g()\n    except OSError as error:\n        raise error',
        'def f():\n    "Raises KeyError."\n    raise KeyError',
        'class C:\n    "Raises KeyError for none."\n    def __init__(self): raise KeyError',
    ],
)  # fmt: skip
def test_the_rule_of_docstrings_lets_pass_what_is_documented_or_private(text: str) -> None:
    assert judged(text) == []


ALGORITHMS: Final = [path for path in python_files("pipeline/algos") if path.name != "__init__.py"]


def cites_a_source(doc: str) -> bool:
    return CITATION.search(doc) is not None


@pytest.mark.parametrize("path", ALGORITHMS, ids=named)
def test_every_algorithm_cites_its_paper_its_standard_or_the_design_rule(path: Path) -> None:
    assert cites_a_source(ast.get_docstring(tree_of(path)) or "")


@pytest.mark.parametrize(
    ("doc", "cites"),
    [
        ("Shares units. Source: Perold (1988), a paper.", True),
        ("Reg NMS is law (in the version of 2005).", True),
        ("Participation: FIX 4.4 ParticipationRate, tag 849.", True),
        ("A bid is no more than the offer by SEC Rule 610(d).", True),
        ("A hash: RFC 7693.", True),
        ("Half to even: ISO 80000-1.", True),
        ("Shares whole units: docs/design-rules.md, Allocation.", True),
        ("Shares units in a fair way, as everybody knows.", False),
        ("Shares 1000 units over (12) members.", False),
        ("Shares units: see docs/design-rules.md.", False),
    ],
)
def test_the_rule_of_sources_sees_a_source_and_misses_none(doc: str, cites: bool) -> None:
    assert cites_a_source(doc) is cites


def sections(text: str) -> set[str]:
    """The headings of a page."""
    return {line.lstrip("#").strip() for line in text.splitlines() if line.startswith("#")}


def sections_missing(text: str, headings: set[str]) -> list[str]:
    """Citations in ``text`` of a section of the design rules that is none of ``headings``: the cited words."""
    cited = re.findall(rf"{re.escape(DESIGN_RULES)}, ([A-Z].{{0,60}})", " ".join(text.split()))
    ends = re.compile("|".join(rf"{re.escape(heading)}(?!\w)" for heading in headings))
    return [each for each in cited if not ends.match(each)]


def test_every_section_of_the_design_rules_that_code_cites_is_there() -> None:
    page = ROOT / DESIGN_RULES
    if not page.exists():
        pytest.skip(f"there is no {DESIGN_RULES} yet")
    headings = sections(page.read_text(encoding="utf-8"))
    missing = [
        f"{named(path)}: {cited}"
        for path in python_files("pipeline", "bench")
        for cited in sections_missing(path.read_text(encoding="utf-8"), headings)
    ]
    assert missing == []


def test_the_rule_of_sections_sees_those_that_are_not_there() -> None:
    headings = sections(
        "# Design rules\n\n## Cost (TCA)\n## Market data and venues\n### Rule 1: one owner\ntext # none"
    )
    assert headings == {"Design rules", "Cost (TCA)", "Market data and venues", "Rule 1: one owner"}
    there = "As in docs/design-rules.md,\nCost (TCA). Books (docs/design-rules.md, Market data\nand venues)."
    assert sections_missing(there, headings) == []
    assert sections_missing("docs/design-rules.md, Costs", headings) == ["Costs"]
    assert sections_missing("docs/design-rules.md, Market data.", headings) == ["Market data."]


def notes_cited(text: str) -> list[str]:
    """Names of notes that are not in the repository, where they stand alone; below a folder it is another file."""
    return [note for note in NOT_IN_THE_REPOSITORY if re.search(rf"(?<![\w/.-]){re.escape(note)}\b", text)]


@pytest.mark.parametrize("path", python_files("pipeline", "tests", "bench", "ops"), ids=named)
def test_no_file_cites_notes_that_are_not_in_the_repository(path: Path) -> None:
    assert notes_cited(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("note", NOT_IN_THE_REPOSITORY)
def test_the_rule_of_notes_sees_each_of_them(note: str) -> None:
    assert notes_cited(f"Source: `{note}`, Routing") == [note]
    assert notes_cited(f"see docs/{note} and my-{note}") == []
