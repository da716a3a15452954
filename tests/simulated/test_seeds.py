"""The worker on the simulated broker: whatever happens, the books come out right. More seeds: ``make seeds``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulated.run import Run, run_seed

FOUND = {
    3860: "a sleeper whose slot was taken called what it could not apply any more poison",
    614: "a fenced worker never heard of it: the event was dropped together with its batch",
    51: "state restored while another still committed looked like a foreign changelog",
    3: "the flush of a fenced producer raised through the worker",
}
"""Seeds that have found something, on the code of that time."""


@pytest.mark.parametrize("seed", FOUND, ids=lambda seed: f"{seed}")
def test_seeds_that_have_found_something(seed: int) -> None:
    assert run_seed(seed).checked


@pytest.mark.parametrize("first", range(0, 400, 50))
def test_the_books_come_out_right_whatever_happens(first: int) -> None:
    for seed in range(100_000 + first, 100_000 + first + 50):
        assert run_seed(seed).checked


def test_the_same_seed_is_the_same_run() -> None:
    lines: list[list[str]] = [[], []]
    for each in lines:
        run = Run(4711, each.append)
        run.go()
    assert lines[0] == lines[1] and len(lines[0]) > 50
    assert run_seed(4711).digest == run_seed(4711).digest != run_seed(4712).digest


def test_it_is_the_same_run_in_another_process_whatever_its_hashes() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulated.seeds", "--seed", "4711"],
            env={**os.environ, "PYTHONHASHSEED": number},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for number in ("1", "2")
    }
    assert len(told) == 1 and "trace" in next(iter(told))
