"""Fixtures of the tests on a real broker. Every test in this folder carries the `broker` mark."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.runtime.embedded.broker import LocalKafka

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by place, so that nobody forgets."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.broker)


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Names nobody else uses on a shared broker: `unique("orders")` → `orders-4711-3`."""
    return lambda stem: f"{stem}-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def own_kafka() -> Iterator[LocalKafka]:
    """An embedded broker of the test's own, to stop, kill, freeze and start again."""
    with LocalKafka() as kafka:
        yield kafka
