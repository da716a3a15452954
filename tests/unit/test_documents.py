"""The documents say what is so: pages are up to date, commands, links and files exist, lines end where they may."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from ops import update_docs
from ops.pages import commands as command_page
from ops.pages import layout, reasons
from pipeline.domain.rejections import DeadLetterReason, RejectReason
from pipeline.gateways.orders_file import BadLine, parse_csv
from tests.documents import (
    DOCUMENTS,
    README,
    ROOT,
    anchors,
    blocks,
    cited_files,
    cited_folders,
    commands,
    prose,
    snippets,
)
from tests.test_tidy import kept_files, named

MEASURED: Final = {ROOT / "ops" / "benchmarks.md", ROOT / "ops" / "chaos.md"}
"""Reports of what was measured: they keep the commands and names of that day."""
TAUGHT: Final = [path for path in DOCUMENTS if path not in MEASURED]
COMMANDS: Final = [(path, command) for path in TAUGHT for command in dict.fromkeys(commands(path))]
MODULES: Final = [(path, command) for path in TAUGHT for command in dict.fromkeys(commands(path, "python"))]
TARGETS: Final = [(path, command) for path in TAUGHT for command in dict.fromkeys(commands(path, "make"))]

WIDTH: Final = 120
NOT_WRAPPED: Final = {
    "requirements.lock": "written by pip-compile",
    "pipeline/runtime/embedded/artifacts.lock": "addresses and hashes",
    "ops/benchmarks.md": "written by bench/report.py",
    "ops/chaos.md": "written by tests/chaos/report.py",
}
"""Files with lines of any length, and why."""
WIDE_TABLES: Final = {
    "schemas/README.md",
    "docs/reference/topics.md",
    "docs/reference/parameters.md",
    "docs/reference/reasons.md",
    "ops/one-million.md",
}
"""Pages whose generated tables may have rows of any length: a row cannot be broken."""
TEXTS: Final = {".md", ".toml", ".yml", ".sh", ".in", ".lock"}
UNNAMED: Final = {"Makefile", "Dockerfile", "run", ".gitignore", ".dockerignore"}


def text_files() -> list[Path]:
    return [path for path in kept_files() if path.is_file() and (path.suffix in TEXTS or path.name in UNNAMED)]


# ---------------------------------------------------------------------- generated pages


@pytest.mark.parametrize("path", update_docs.PAGES, ids=named)
def test_what_is_generated_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == update_docs.PAGES[path](), "run: python -m ops.update_docs"


def test_every_reason_is_explained() -> None:
    assert list(reasons.MEANINGS) == [reason for reason in RejectReason if reason is not RejectReason.UNKNOWN]
    letters = [reason for reason in DeadLetterReason if reason is not DeadLetterReason.UNKNOWN]
    assert list(reasons.LETTER_MEANINGS) == letters


def test_a_lost_marker_is_said() -> None:
    with pytest.raises(ValueError, match="is gone"):
        update_docs.with_part("no markers here", update_docs.DRAWING, "x")


def test_the_tree_names_every_file_and_folder_says_what_it_is() -> None:
    tree = layout.page()
    files = [
        path for path in kept_files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in layout.FOLDERS
    ]
    assert [named(path) for path in files if path.name != "__init__.py" and path.name not in tree] == []
    silent = [named(path) for path in files if path.is_relative_to(ROOT / "pipeline") and not layout.first_line(path)]
    assert silent == [], "the first line of its docstring says what a file or a folder is for"


# ---------------------------------------------------------------------- for readers


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 140


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=named)
def test_a_page_begins_with_whom_it_is_for(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ") and lines[2].startswith("For "), f"{named(path)} begins: {lines[2][:60]}"


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path != README], ids=named)
def test_every_page_can_be_reached_from_the_readme(path: Path) -> None:
    reached, due = set[Path](), [README]
    while due:
        page = due.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for target in links(page):
            found = (page.parent / target.partition("#")[0]).resolve()
            due += sorted(found.glob("*.md")) if found.is_dir() else [found] if found.exists() else []
    assert path in reached


def links(path: Path) -> list[str]:
    """Targets of a page's links within the repository."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: list[str] = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in found if not target.startswith(("http://", "https://"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    for target in links(path):
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        assert page.exists(), f"{named(path)}: {target} is not there"
        if anchor:
            assert anchor in anchors(page), f"{named(path)}: {named(page)} has no heading #{anchor}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_an_anchor_is_of_one_heading(path: Path) -> None:
    found = anchors(path)
    assert sorted(set(found)) == sorted(found)


# ---------------------------------------------------------------------- what is to be typed


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[f"{path.name}: {text}" for path, text in COMMANDS])
def test_every_command_shown_is_one(path: Path, command: str) -> None:
    """The command line's own grammar takes it, up to a redirection."""
    words = shlex.split(re.split(r" [>|] ", command)[0])
    try:
        command_page.parser().parse_args(words[1:])
    except SystemExit as end:
        assert end.code == 0, f"{named(path)} tells to type {command!r}"


@pytest.mark.parametrize(("path", "command"), MODULES, ids=[f"{path.name}: {text}" for path, text in MODULES])
def test_every_module_to_run_exists(path: Path, command: str) -> None:
    words = command.split()
    if words[1] == "-m":
        assert importlib.util.find_spec(words[2]), f"{named(path)} tells to run {words[2]}"
    else:
        assert words[1] in snippets(), f"{named(path)} tells to run {words[1]}, which no page shows"


@pytest.mark.parametrize(("path", "command"), TARGETS, ids=[f"{path.name}: {text}" for path, text in TARGETS])
def test_every_make_target_exists(path: Path, command: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert command.split()[1] in targets


def test_commands_are_found_in_the_documents() -> None:
    assert len(COMMANDS) > 80 and len(MODULES) > 8 and len(TARGETS) > 8


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if blocks(path, "csv")], ids=named)
def test_files_of_orders_shown_can_be_sent(path: Path) -> None:
    for text in blocks(path, "csv"):
        orders = list(parse_csv(text.splitlines()))
        assert orders and not [order for order in orders if isinstance(order, BadLine)]


# ---------------------------------------------------------------------- what is named exists


NOT_OURS: Final = {
    "checkpointing/checkpoint.py": "of Quix Streams",
}
"""Files of others that are cited on purpose."""


def speaking_files() -> list[Path]:
    """Files that may name others: source and texts, but locks and measured reports."""
    files = [path for path in kept_files() if path.is_file() and path not in MEASURED]
    return [path for path in files if path.suffix in {".py", *TEXTS} - {".lock"} or path.name in UNNAMED]


def test_every_file_cited_exists() -> None:
    parts = [path.relative_to(ROOT).parts for path in kept_files() if path.is_file()]
    known = {"/".join(each[start:]) for each in parts for start in range(len(each))}
    shown = snippets().keys()
    dead = []
    for path in speaking_files():
        for name in sorted(set(cited_files(prose(path)))):
            if name not in known | shown | NOT_OURS.keys():
                dead.append(f"{named(path)}: {name}")
    assert dead == []


def test_every_folder_cited_exists() -> None:
    dead = []
    for path in speaking_files():
        dead += [f"{named(path)}: {name}" for name in cited_folders(prose(path)) if not (ROOT / name).exists()]
    assert dead == []


def test_the_test_of_cited_files_sees_what_it_is_for() -> None:
    said = "see `stages/gone/gate.py` and ../docs/gone.md, gone.py; not <stage>.py, x.pyc or out.txt"
    assert cited_files(said) == ["stages/gone/gate.py", "docs/gone.md", "gone.py"]
    assert cited_folders("in `tests/gone/`, not tests/*.py or latests/x") == ["tests/gone/"]


def test_a_reference_in_a_docstring_leads_to_something() -> None:
    dead = []
    for path in speaking_files():
        for target in re.findall(r":(?:class|func|mod|meth|data):`~?(pipeline\.[\w.]+)`", prose(path)):
            try:
                pkgutil.resolve_name(target)
            except (ImportError, AttributeError):
                dead.append(f"{named(path)}: {target}")
    assert dead == []


def test_the_glossary_uses_the_codes_own_names() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "pipeline").rglob("*.py"))
    words = set(re.findall(r"\w+", sources))
    used = re.findall(r"`(\w+)`", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    assert [name for name in used if name not in words and not name.startswith("_")] == []
    assert len(used) > 60


# ---------------------------------------------------------------------- how it is set


@pytest.mark.parametrize("path", text_files(), ids=named)
def test_no_line_is_longer_than_the_page_is_wide(path: Path) -> None:
    """Python is held to the same by ruff."""
    if named(path) in NOT_WRAPPED:
        return
    rows = named(path) in WIDE_TABLES
    long = [
        f"line {number}: {len(line)}"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > WIDTH and not (rows and line.startswith("|"))
    ]
    assert long == []
