"""Which crosses stand: busts and corrections of corrections, whatever order they are read in."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from pipeline.domain.parents import Cross, CrossKind
from pipeline.tca.crosses import standing
from tests.unit.tca.test_report import cross, quote

TRADE = cross(10, 1_000)
OTHER = cross(20, 2_000)


def told(kind: CrossKind, cross_id: str, ref: str, px: int = 1_000, seq: int = 0) -> Cross:
    return msgspec.structs.replace(TRADE, kind=kind, cross_id=cross_id, ref_cross_id=ref, px=px, seq=seq)


FIRST = told(CrossKind.CORRECT, "K1", "X10", 1_001, 1)
SECOND = told(CrossKind.CORRECT, "K2", "K1", 1_002, 2)
AGAIN = told(CrossKind.CORRECT, "A9", "X10", 1_003, 3)


@pytest.mark.parametrize(
    ("records", "stands"),
    [
        ([TRADE, OTHER], [TRADE, OTHER]),
        ([TRADE, FIRST], [FIRST]),
        ([TRADE, FIRST, SECOND], [SECOND]),
        ([TRADE, FIRST, AGAIN], [AGAIN]),
        ([TRADE, told(CrossKind.BUST, "B", "X10"), OTHER], [OTHER]),
        ([TRADE, FIRST, told(CrossKind.BUST, "B", "X10")], []),
        ([TRADE, FIRST, told(CrossKind.BUST, "B", "K1")], []),
        ([TRADE, FIRST, SECOND, told(CrossKind.BUST, "B", "K1")], []),
        ([TRADE, told(CrossKind.UNKNOWN, "U", "X10")], [TRADE]),
        ([told(CrossKind.BUST, "B", "gone"), OTHER], [OTHER]),
        ([told(CrossKind.CORRECT, "K8", "K9"), told(CrossKind.CORRECT, "K9", "K8")], []),
    ],
)
def test_a_cross_stands_as_last_corrected_unless_it_was_busted(records: list[Cross], stands: list[Cross]) -> None:
    for order in permutations([*records, records[0]]):
        assert standing([*order, quote(1, 1)]) == stands
