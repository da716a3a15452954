"""The recorded days, one after the other."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(params=["AAPL_2012-06-21_1", "AMZN_2012-06-21_5"])
def recorded_day(request: pytest.FixtureRequest, recorded_data: Path) -> tuple[Path, dict[str, Any]]:
    """A LOBSTER zip and what it must add up to."""
    name = f"LOBSTER_SampleFile_{request.param}.zip"
    return recorded_data / "lobster" / name, json.loads((recorded_data / "lobster" / "expected.json").read_text())[name]
