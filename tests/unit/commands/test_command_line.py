"""Every command: its words, its help with examples that it takes itself, its exit codes, how soon it answers."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

import pipeline
from pipeline import cli


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser's commands and their actions, each once."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield each
                yield from parsers(each)


COMMANDS = list(parsers(cli.parser()))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.prog))
def test_a_command_shows_examples_that_it_takes(command: argparse.ArgumentParser) -> None:
    examples = re.findall(r"^  pipeline (.+)$", command.epilog or "", flags=re.MULTILINE)
    assert examples
    for example in examples:
        options = cli.parser().parse_args(shlex.split(example))
        assert callable(options.handler), example
        assert f"pipeline {example}".startswith(command.prog), "an example of this command"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.prog))
def test_every_word_of_a_command_is_explained(command: argparse.ArgumentParser) -> None:
    bare = [
        action.dest
        for action in command._actions
        if not action.help
        and not isinstance(action, argparse._SubParsersAction)
        and len(list(action.choices or ())) != 1  # the only word there is explains itself: `orders send`
    ]
    assert bare == []


def test_the_commands_load_nothing_but_themselves_until_one_is_called() -> None:
    """`--help` answers at once: no client of Kafka, no stage, is imported to show it."""
    program = (
        "import sys; from pipeline import cli; cli.parser().format_help(); "
        "print([name for name in sys.modules if name.split('.')[0] in ('confluent_kafka', 'msgspec', 'faust') "
        "or name.startswith(('pipeline.runtime', 'pipeline.stages', 'pipeline.domain'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "required: COMMAND"),
        ("dance", "invalid choice: 'dance'"),
        ("topics shrink", "invalid choice: 'shrink'"),
        ("audit", "required: ACTION"),
        ("health", "required: CHECK"),
        ("health topic clock soon", "invalid float value: 'soon'"),
        ("controls kill", "required: --who, --why"),
    ],
)
def test_wrong_words_end_with_exit_code_2_and_what_was_wrong(
    typed: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(shlex.split(typed))
    assert end.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("run", "name units or stages (intake, engine,"),
        ("run engine --all", "or say --all"),
        ("run weather", "there is no unit or stage weather: one of intake,"),
        ("market replay", "which file? pipeline market replay PATH"),
        ("orders send /nowhere.csv", "/nowhere.csv: there is no such file"),
        ("reference load /nowhere.jsonl", "/nowhere.jsonl: No such file"),
        ("controls explode --who ann --why test", "there is no control 'explode'"),
        ("demo --kill moon@30", "--kill moon@30: UNIT@SECOND"),
    ],
)
def test_what_a_command_cannot_do_ends_with_exit_code_2_and_what_was_wrong(
    typed: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")
    assert cli.main(shlex.split(typed)) == 2
    assert words in capsys.readouterr().err


def test_a_platform_that_does_not_answer_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    nobody = "--bootstrap-servers 127.0.0.1:1 --registry-url http://127.0.0.1:1"
    assert cli.main(shlex.split(f"health topic clock 30 {nobody}")) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_a_worker_that_is_not_there_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_STATE_DIR", str(tmp_path))
    assert cli.main(["health", "ready", "engine-0"]) == 1
    assert "no worker in slot engine-0" in capsys.readouterr().err


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"pipeline {pipeline.__version__}\n")
