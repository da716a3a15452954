"""The targets of `make fuzz-decoders`, without atheris: what begins valid is read, and some random bytes stop none."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.decoders import NAMES
from tests.fuzz.readers import TARGETS


def test_every_target_is_named() -> None:
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_random_bytes_raise_only_what_is_documented(name: str) -> None:
    target = TARGETS[name]
    draw = random.Random(name)
    target.read(target.begin_with[0])  # this one is valid to the end
    for valid in target.begin_with:
        for _ in range(300):
            data = bytearray(valid)
            for _ in range(draw.randint(1, 4)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            try:
                target.read(bytes(data[: draw.randint(0, len(data))]))
            except target.documented:
                continue
