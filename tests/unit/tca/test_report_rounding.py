"""A shortfall in 1e-3 bps goes to the nearest one, halves to the even one, and is as much a cost as its opposite."""

from __future__ import annotations

import pytest

from pipeline.tca.report import Lost


@pytest.mark.parametrize(
    ("trading", "paper", "mbps"),
    [
        (1, 4_000_000, 2),  # 2.5
        (3, 8_000_000, 4),  # 3.75: down it would be 3
        (-3, 8_000_000, -4),
        (1, 3_000_000, 3),  # 3.33
        (0, 1, 0),
        (5, 0, None),  # nothing was asked at a price
    ],
)
def test_a_shortfall_is_rounded_to_the_nearest(trading: int, paper: int, mbps: int | None) -> None:
    assert Lost(paper=paper, trading=trading).cost_mbps == mbps
