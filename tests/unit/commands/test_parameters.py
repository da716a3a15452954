"""`pipeline parameters`, and how a file of parameters reaches everything that decides or recomputes decisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands.deployment import deployed_flow, environment
from pipeline.runtime.settings import Settings

VARIABLES = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "SCHEMA_REGISTRY_URL": "http://127.0.0.1:2"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PIPELINE_PARAMETERS", raising=False)
    monkeypatch.delenv("PIPELINE_WIRE_SECRET", raising=False)
    path = tmp_path / "today.toml"
    path.write_text("[netting]\nwindow_ns = 7\n", encoding="utf-8")
    return path


def test_what_show_prints_passes_check_and_has_the_files_values(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["parameters", "show", "--parameters", str(file)]) == 0
    again = file.with_name("again.toml")
    again.write_text(capsys.readouterr().out, encoding="utf-8")
    assert cli.main(["parameters", "check", str(again)]) == 0
    assert "again.toml is good: 1 of" in capsys.readouterr().out
    assert cli.main(["parameters", "diff", str(file), str(again)]) == 0


def test_defaults_are_shown_whatever_the_environment_says(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_PARAMETERS", str(file))
    assert cli.main(["parameters", "show"]) == 0
    assert "window_ns = 7\n" in capsys.readouterr().out
    assert cli.main(["parameters", "show", "--defaults"]) == 0
    assert "window_ns = 7\n" not in capsys.readouterr().out


def test_a_difference_is_exit_code_1_and_named_with_both_values(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["parameters", "diff", str(file)]) == 1
    assert "  netting.window_ns: 15_000_000_000 → 7\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["parameters", "check"], ["run", "--all", "--parameters"], ["demo", "--parameters"]]
)
def test_a_wrong_file_is_exit_code_2_before_anything_runs(
    command: list[str], file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    file.write_text("[netting]\nwindow_ns = 'long'\n", encoding="utf-8")
    assert cli.main([*command, str(file)]) == 2
    assert 'today.toml:2: netting.window_ns = "long": it must be a whole number' in capsys.readouterr().err
    assert cli.main([*command, str(file.with_name("none.toml"))]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_option_and_variable_name_the_file_and_child_processes_are_given_it(file: Path) -> None:
    env = {**VARIABLES, "PIPELINE_PARAMETERS": str(file)}
    for settings in (Settings.read(env), Settings.read(VARIABLES, parameters=file)):
        assert settings.parameters == file
        assert environment(settings)["PIPELINE_PARAMETERS"] == str(file)
        configs = {stage.name: stage.config() for stage in deployed_flow(settings)}
        assert configs["netting"]["window_ns"] == 7
    assert "PIPELINE_PARAMETERS" not in environment(Settings.read(VARIABLES))


def test_the_wire_secret_comes_from_the_environment_beside_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.read(VARIABLES, parameters=file)
    before = {stage.name: stage.config() for stage in deployed_flow(settings)}["routing"]
    monkeypatch.setenv("PIPELINE_WIRE_SECRET", "a secret of our own, long enough")
    after = {stage.name: stage.config() for stage in deployed_flow(settings)}["routing"]
    assert {name for name in before if before[name] != after[name]} == {"wire_secret_sha256"}
