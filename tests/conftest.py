"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pipeline.runtime.embedded.platform import Platform
from tests.platforms import choose_platform

# An example that takes long says something of the machine, not of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A real broker and registry for the whole session: the environment's, else testcontainers', else embedded ones.

    It is shared: use topic, group and subject names of your own (the `unique` fixture). A test that stops or kills the
    broker starts one of its own (`own_kafka` in tests/broker/conftest.py).
    """
    with choose_platform(os.environ) as chosen:
        yield chosen


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recorded data beside the checkout, or PIPELINE_DATA; the test is skipped when there is none."""
    folder = Path(os.environ.get("PIPELINE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder} (set PIPELINE_DATA to a folder that has it)")
    return folder
