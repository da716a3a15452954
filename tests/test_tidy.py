"""What holds for every file: import ladder, purity, cards, lengths, drawings, no hosts of registries."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from pipeline import topology
from pipeline.state import Task
from pipeline.topics import TOPICS

ROOT: Final = Path(__file__).resolve().parents[1]
LINES_MAX: Final = 600

LADDER: Final = (
    ("errors",), ("domain",), ("parameters",), ("algos",), ("state", "door", "stage", "journal"),
    ("stages", "simulator"), ("topics", "topology"), ("audit", "tca"), ("runtime", "gateways", "desk"), ("commands",),
    ("demo",), ("cli", "__main__"),
)  # fmt: skip
"""A file imports from its own rung and from those before it, never from a later one."""
RUNG: Final = {name: number for number, names in enumerate(LADDER) for name in names}
PURE: Final = (
    "domain", "algos", "state", "door", "stage", "journal", "parameters", "stages", "simulator", "topics", "topology",
    "audit", "tca",
)  # fmt: skip

ALLOWED_IN_PURE: Final = {
    "__future__", "abc", "bisect", "collections", "dataclasses", "datetime", "difflib", "enum", "fractions",
    "functools", "hashlib", "heapq", "hmac", "itertools", "json", "math", "msgspec", "operator", "pipeline", "re",
    "statistics", "string", "struct", "textwrap", "tomllib", "types", "typing",
}  # fmt: skip
"""Anything else is a clock, chance, I/O or numbers that vary with the machine, until somebody shows it is not."""
CLOCKS: Final = {"now", "utcnow", "today"}
IMPURE_CALLS: Final = {"open", "print", "input", "hash", "id", "eval", "exec", "globals", "__import__"}
"""`hash` varies with PYTHONHASHSEED, `id` with the moment; the rest reaches outside."""
IMPURE_CALLS_ALLOWED: Final = {("pipeline/topics.py", "globals")}
"""At import only: every topic of the module, in the order it is written in."""


def python_files() -> list[Path]:
    return sorted(path for folder in ("pipeline", "tests", "bench", "ops") for path in (ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def part_of(path: Path) -> str:
    """The part of the house a file of `pipeline/` belongs to: its folder, or its own name."""
    return path.relative_to(ROOT / "pipeline").parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), named(path))


def imports_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of every module imported, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides where it leads"
            module = node.module or ""
            # `from pipeline import topics` imports pipeline.topics; `__version__` is the package's own.
            names = [alias.name for alias in node.names if not alias.name.startswith("__")]
            yield from ((node.lineno, f"{module}.{name}") for name in names if module == "pipeline")
            if module != "pipeline":
                yield node.lineno, module


PIPELINE_FILES: Final = [path for path in python_files() if path.is_relative_to(ROOT / "pipeline")]
PURE_FILES: Final = [path for path in PIPELINE_FILES if path.name != "__init__.py" and part_of(path) in PURE]


def test_every_part_has_its_rung() -> None:
    parts = {part_of(path) for path in PIPELINE_FILES} - {"__init__"}
    assert parts <= RUNG.keys(), f"no rung on the ladder: {sorted(parts - RUNG.keys())}"
    assert len(PURE_FILES) > 80, "the rules below look at files"


@pytest.mark.parametrize("path", [p for p in PIPELINE_FILES if part_of(p) != "__init__"], ids=named)
def test_imports_climb_the_ladder(path: Path) -> None:
    own = part_of(path)
    wrong = [
        f"line {line}: {own} imports {module}"
        for line, module in imports_of(tree_of(path))
        if module.startswith("pipeline.") and RUNG[module.split(".")[1]] > RUNG[own]
    ]
    assert wrong == []


def rooms(module: str) -> tuple[str, str]:
    """Where a module lives: its part of the house, and its room there (empty for a part of plain files)."""
    _, part, *rest = module.split(".")
    room = rest[0] if len(rest) > 1 or (rest and (ROOT / "pipeline" / part / rest[0]).is_dir()) else ""
    return part, room if part in ("stages", "runtime", "simulator") else ""


@cache
def module_imports() -> dict[str, set[str]]:
    """Every module of the pipeline to the modules of ours that it imports, wherever in the file."""
    modules = {named(path).removesuffix(".py").replace("/", "."): path for path in PIPELINE_FILES}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        found[module] = set()
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pipeline":
                each = {f"{node.module}.{alias.name}" for alias in node.names if not alias.name.startswith("__")}
                found[module] |= {name if name in modules else str(node.module) for name in each}
    return found


def test_a_stage_imports_only_itself_what_is_shared_domain_and_algos() -> None:
    """A stage that imports another one cannot be read, tested or compiled alone."""
    below = {"errors", "domain", "algos", "state", "stage", "parameters"}
    wrong = []
    for module, imported in module_imports().items():
        if not module.startswith("pipeline.stages."):
            continue
        own = module.split(".")[2]
        allowed = {own, "shared"} if own != "shared" else {"shared"}
        for each in sorted(imported):
            part = each.split(".")[1]
            if part == "stages" and each.split(".")[2] in allowed:
                continue
            # The simulated venues are the simulator's venues as a stage.
            if part in below or (part == "simulator" and own == "simulated_venues"):
                continue
            wrong.append(f"{module} imports {each}")
    assert wrong == []


NO_MIRROR: Final = {"chaos"}
"""Folders of `tests/unit` for what is no part of the pipeline."""


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "unit").rglob("test_*.py")), ids=named)
def test_a_unit_test_lies_where_what_it_tests_lies(path: Path) -> None:
    folder = path.parent.relative_to(ROOT / "tests" / "unit")
    if folder.as_posix() not in NO_MIRROR:
        assert (ROOT / "pipeline" / folder).is_dir(), f"tests/unit/{folder} mirrors no folder of pipeline/"


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of more than one name that can be reached from each other; by depth-first search (Tarjan, 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        path.append(name)
        for after in sorted(arrows.get(name, ())):
            if after not in number:
                visit(after)
                lowest[name] = min(lowest[name], lowest[after])
            elif after in path:
                lowest[name] = min(lowest[name], number[after])
        if lowest[name] == number[name]:
            circle = path[path.index(name) :]
            del path[path.index(name) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for name in sorted(arrows):
        if name not in number:
            visit(name)
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(module_imports()) == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    """Rooms: the packages inside `stages`, `runtime` and `simulator`."""
    arrows: dict[str, set[str]] = {}
    for module, imported in module_imports().items():
        here = rooms(module)
        there = {rooms(each) for each in imported if rooms(each)[0] == here[0]} - {here}
        if here[1]:
            arrows.setdefault("/".join(here), set()).update("/".join(each) for each in there if each[1])
    assert len(arrows) > 15, "the rule looks at rooms"
    assert circles(arrows) == []


def test_the_rule_of_circles_sees_them() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_no_class_name_is_used_twice() -> None:
    """Two classes of one name are confused in talk, in search and in error messages."""
    places: dict[str, list[str]] = {}
    for path in PIPELINE_FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(named(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def _called(node: ast.AST) -> str:
    """The plain name a call calls; empty for anything else."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def impurities(tree: ast.Module, name: str) -> Iterator[str]:
    for line, module in imports_of(tree):
        if module.split(".")[0] not in ALLOWED_IN_PURE:
            yield f"line {line}: imports {module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            yield f"line {node.lineno}: .{node.attr} is a clock"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fromtimestamp":
            if not any(keyword.arg == "tz" for keyword in node.keywords):
                yield f"line {node.lineno}: fromtimestamp without tz depends on the machine's zone"
        elif _called(node) in IMPURE_CALLS and (name, _called(node)) not in IMPURE_CALLS_ALLOWED:
            yield f"calls {_called(node)}"
        iterated = node.iter if isinstance(node, ast.For | ast.comprehension) else None
        if iterated is not None and (
            isinstance(iterated, ast.Set | ast.SetComp) or _called(iterated) in ("set", "frozenset")
        ):
            yield f"line {iterated.lineno}: a set is iterated in no order"


@pytest.mark.parametrize("path", PURE_FILES, ids=named)
def test_everything_up_to_tca_is_free_of_clock_chance_and_io(path: Path) -> None:
    assert list(impurities(tree_of(path), named(path))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from random import random",
        "import numpy as np",
        "import os.path",
        "from confluent_kafka import Producer",
        "from datetime import datetime\nx = datetime.now()",
        "from datetime import date\nx = date.today()",
        "from datetime import datetime\nx = datetime.fromtimestamp(1)",
        "for x in {1, 2}:\n    pass",
        "y = [x for x in set(z)]",
        "y = hash('x')",
        "print('x')",
        "def f():\n    import socket",
    ],
)
def test_the_rule_of_purity_sees_what_it_is_for(text: str) -> None:
    assert list(impurities(ast.parse(text), "x"))


@pytest.mark.parametrize("path", python_files(), ids=named)
def test_no_file_is_longer_than_its_limit(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX


@pytest.mark.parametrize("path", [p for p in PIPELINE_FILES if p.name != "__init__.py"], ids=named)
def test_every_file_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


CARD: Final = ("Reads", "Keeps", "Writes", "Refuses", "Conserves")


def card_of(text: str) -> dict[str, str]:
    """The five entries of a stage's card by their words. Raises ValueError for a text that does not open with one."""
    first, empty, *rest = text.splitlines()
    if not first or empty:
        raise ValueError("its first line says what it is for, and stands alone")
    card: dict[str, str] = {}
    for line in rest[: rest.index("") if "" in rest else None]:
        bullet = re.fullmatch(r"- (\w+): (\S.*)", line)
        if bullet:
            card[bullet[1]] = bullet[2]
        elif card and re.fullmatch(r"  \S.*", line):
            card[list(card)[-1]] += line[1:]
        else:
            raise ValueError(f"neither `- Word: …` nor a continuation by two spaces: {line!r}")
    if tuple(card) != CARD:
        raise ValueError(f"its entries are {list(card)}, they must be {list(CARD)}")
    if any("First form" in line and not line.startswith("First form:") for line in rest):
        raise ValueError("what is first form is a paragraph that begins with `First form:`")
    return card


@pytest.mark.parametrize("stage", topology.STAGES, ids=lambda stage: str(stage.name))
def test_a_stage_opens_with_its_card(stage: topology.AnyStage) -> None:
    module = importlib.import_module(type(stage).__module__)
    text = inspect.getdoc(module) or ""
    card = card_of(text)
    for word, topics in (("Reads", topology.read_by(stage)), ("Writes", topology.written_by(stage))):
        missing = [topic.name for topic in topics if not re.search(rf"(?<![\w-]){topic.name}(?![\w-])", card[word])]
        assert missing == [], f"{word} does not name {missing}"
    cited = re.findall(r"`([\w/]+\.py)`", text)
    assert [name for name in cited if not (Path(str(module.__file__)).parent / name).is_file()] == []


def test_the_rule_of_cards_sees_what_it_is_for() -> None:
    good = "What for.\n\n" + "\n".join(f"- {word}: a,\n  b." for word in CARD) + "\n\nFirst form: c."
    assert card_of(good) == dict.fromkeys(CARD, "a, b.")
    for bad in (
        good.replace("What for.\n", "What for."),
        good.replace("- Keeps: a,\n  b.\n", ""),
        good.replace("- Reads:", "*Reads*"),
        good.replace("\n  b.", "\n    b."),
        good.replace("First form", "And more. First form"),
    ):
        with pytest.raises(ValueError):
            card_of(bad)


MEMBERS: Final = (
    "name", "title", "reads", "writes", "answers", "state_version", "migrations", "parameters", "__init__", "config",
    "new_state", "step",
)  # fmt: skip
"""Of a stage's class, in this order; helpers follow."""


@pytest.mark.parametrize("stage", topology.STAGES, ids=lambda stage: str(stage.name))
def test_a_stages_class_is_written_as_all_others_are(stage: topology.AnyStage) -> None:
    """<Name>Stage on a <Name>State, with <Name>Parameters as `parameters` where it has any."""
    tree = ast.parse(inspect.getsource(importlib.import_module(type(stage).__module__)))
    (node,) = (each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == type(stage).__name__)
    name = node.name.removesuffix("Stage")
    assert name.lower() == stage.name and [ast.unparse(base) for base in node.bases] == [f"Stage[{name}State]"]
    assert type(stage.new_state(Task(stage.name, 0, 1))).__name__ == f"{name}State"
    assert type(stage.parameters).__name__ in (f"{name}Parameters", "Parameters")
    members: list[str] = []
    for each in node.body:
        if isinstance(each, ast.FunctionDef):
            members.append(each.name)
        elif not isinstance(each, ast.Expr):
            assert isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name), ast.unparse(each)
            assert ast.unparse(each.annotation).startswith("ClassVar[") or each.target.id == "parameters"
            members.append(each.target.id)
    known = [member for member in members if member in MEMBERS]
    assert known == [member for member in MEMBERS if member in known] == members[: len(known)]
    wanted = {"name", "title", "reads", "writes", "new_state", "step"}
    wanted |= {"parameters", "__init__"} if type(stage.parameters).__name__ == f"{name}Parameters" else set()
    assert wanted <= set(known)
    assert not hasattr(stage, "_config") and not hasattr(stage, "_parameters")


@pytest.mark.parametrize("stage", topology.STAGES, ids=lambda stage: str(stage.name))
def test_a_stages_step_is_one_match_that_names_every_message_it_reads(stage: topology.AnyStage) -> None:
    module = importlib.import_module(type(stage).__module__)
    tree = ast.parse(inspect.getsource(module))
    step = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "step")
    matches = [n for n in step.body if isinstance(n, ast.Match)]
    assert len(matches) == 1
    named_ones = {
        pattern.cls.id
        for case in matches[0].cases
        for pattern in ast.walk(case.pattern)
        if isinstance(pattern, ast.MatchClass) and isinstance(pattern.cls, ast.Name)
    }
    assert named_ones == {record.__name__ for record in stage.reads}
    last = matches[0].cases[-1]
    assert isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None, "the last case is for all others"
    assert any(isinstance(node, ast.Raise) for node in ast.walk(last)), "and raises"


def test_every_topic_has_its_schema_and_no_schema_is_without_a_topic() -> None:
    assert {path.stem for path in (ROOT / "schemas").glob("*.avsc")} == {topic.schema for topic in TOPICS}


def test_every_topic_is_written_by_somebody_and_stages_read_what_is_written() -> None:
    for stage in topology.STAGES:
        for topic in topology.read_by(stage):
            assert topology.writers_of(topic), f"{stage.name} reads {topic.name}, which nobody writes"
    unwritten = [t.name for t in TOPICS if not topology.writers_of(t) and t not in topology.MACHINE_TOPICS]
    assert unwritten == []


def test_a_topic_has_one_owner_or_is_one_of_the_shared_ones() -> None:
    for topic in TOPICS:
        if topic not in topology.SHARED_TOPICS:
            assert len(topology.writers_of(topic)) <= 1, f"{topic.name} is written by {topology.writers_of(topic)}"


def test_the_drawing_in_the_readme_is_the_topologys() -> None:
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README.md yet")
    assert topology.as_mermaid() in readme.read_text(encoding="utf-8"), "paste `pipeline topology --mermaid`"


CLIENTS: Final = {
    "pipeline/runtime/kafka/clients.py": {"Consumer", "Producer", "AdminClient", "bootstrap.servers"},
    "pipeline/runtime/kafka/client_settings.py": {"bootstrap.servers"},
    "pipeline/runtime/contracts/registry.py": {"SchemaRegistryClient"},
}
"""Where clients are made, and of what kind: with the settings that a deployment gives all of them."""
CLIENT_KINDS: Final = re.compile(
    "(Avro|Serializing|Deserializing|AIO|AIOKafka)?(Consumer|Producer|AdminClient)|(Async)?SchemaRegistryClient"
)


def clients_made(tree: ast.Module) -> set[str]:
    """What makes clients in a file: names handed on or called, and the setting that every client of Kafka needs."""
    found: set[str] = set()
    annotations = {
        id(part)
        for node in ast.walk(tree)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if annotation is not None
        for part in ast.walk(annotation)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in ("bootstrap.servers", "metadata.broker.list"):
            found.add("bootstrap.servers")
        if isinstance(node, ast.Call):
            for each in (node.func, *node.args):
                name = each.id if isinstance(each, ast.Name) else each.attr if isinstance(each, ast.Attribute) else ""
                if id(each) not in annotations and CLIENT_KINDS.fullmatch(name):
                    found.add(name)
    return found


@pytest.mark.parametrize("path", PIPELINE_FILES, ids=named)
def test_clients_are_made_in_one_place(path: Path) -> None:
    if named(path).startswith("pipeline/desk/faust_patches"):
        return  # Faust makes its own, with the settings of pipeline/desk/broker_access.py
    assert clients_made(tree_of(path)) <= CLIENTS.get(named(path), set())


@pytest.mark.parametrize(
    "text",
    [
        "Producer({})",
        "confluent_kafka.Consumer(settings)",
        "make(AdminClient, 1)",
        'x = {"bootstrap.servers": y}',
        "c = SchemaRegistryClient({})",
        "AIOKafkaConsumer()",
    ],
)
def test_the_rule_of_clients_sees_what_it_is_for(text: str) -> None:
    assert clients_made(ast.parse(text))


REGISTRY_HOSTS: Final = tuple(
    # Written in parts, or this file would name them itself.
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"), ("repo1", "maven", "org"),
        ("repo", "maven", "apache", "org"), ("static", "crates", "io"), ("proxy", "golang", "org"),
        ("conda", "anaconda", "org"), ("rubygems", "org"),
    )
)  # fmt: skip


def kept_files() -> list[Path]:
    """Every file under version control, or about to be; without git, every file that is not hidden."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        return [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        return [p for p in ROOT.rglob("*") if not any(part.startswith(".") for part in p.relative_to(ROOT).parts)]


def test_no_file_names_the_host_of_a_package_registry() -> None:
    named_hosts = []
    for path in kept_files():
        if path.is_file():
            text = path.read_bytes().decode("utf-8", errors="ignore").lower()
            named_hosts += [f"{named(path)}: {host}" for host in REGISTRY_HOSTS if host in text]
    assert named_hosts == []


def test_none_of_the_recorded_data_was_copied_here() -> None:
    copied = [named(path) for path in kept_files() if path.suffix in (".zip", ".csv", ".gz", ".parquet")]
    small = [name for name in copied if (ROOT / name).stat().st_size > 20_000 or "LOBSTER_Sample" in name]
    assert small == []
