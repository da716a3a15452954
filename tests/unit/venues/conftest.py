"""Recorded days beside the checkout; tests that need them skip when absent."""

import json
import os
from pathlib import Path
from typing import Any

import pytest


def data_folder() -> Path:
    beside = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
    return Path(os.environ.get("PIPELINE_DATA", beside))


@pytest.fixture(params=["AAPL_2012-06-21_1", "AMZN_2012-06-21_5"])
def recorded_day(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    """A LOBSTER zip and what it must add up to, or a skip naming the file."""
    name = f"LOBSTER_SampleFile_{request.param}.zip"
    path = data_folder() / "lobster" / name
    if not path.is_file():
        pytest.skip(f"the recorded day is not here: {path}")
    return path, json.loads((path.parent / "expected.json").read_text())[name]
