"""The published numbers beside the checkout; tests that need them skip when absent."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _read_paper(name: str) -> Any:
    beside = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
    root = Path(os.environ.get("PIPELINE_DATA", beside))
    file = root / "papers" / f"{name}.json"
    if not file.is_file():
        pytest.skip(f"published numbers are not here: {file}")
    return json.loads(file.read_text())


@pytest.fixture
def paper() -> Callable[[str], Any]:
    """paper(name): content of data/papers/<name>.json, or a skip naming the file."""
    return _read_paper
