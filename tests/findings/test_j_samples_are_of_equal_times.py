"""Finding J: the spread's median and the volatility are of equal times, so the rate of quotes does not change them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.executions import FillKind
from pipeline.domain.orders import Urgency
from pipeline.domain.units import NS_PER_S
from pipeline.stages.slicing.parameters import SlicingParameters
from pipeline.stages.slicing.stage import SlicingStage
from pipeline.stages.slicing.state import SlicingState
from tests.stage_bench import Bench
from tests.unit.stages.slicing.test_stage import CENT, fill, opened, parent, quote, s, slices

Path = Callable[[int], tuple[int, int]]
"""Bid and offer in cents at a second."""


def walk(seed: int, every: int) -> Path:
    """A cent up or down, ``every`` so many seconds, two cents wide."""
    draw, mids = Random(seed), [10_000]
    for _ in range(2_000 // every):
        mids.append(mids[-1] + draw.choice((-1, 1)))
    return lambda second: (mids[second // every] - 1, mids[second // every] + 1)


def worked(path: Path, rate: str, parameters: SlicingParameters | None = None, **changes: Any) -> Bench[SlicingState]:
    """A parent from second 100 to 250, quoted along the path: on each change, each second, or thrice a second."""
    bench: Bench[SlicingState] = opened(Bench(SlicingStage(parameters or SlicingParameters()), swap_every=0))
    last = None
    for second in range(1, 250):
        now = path(second)
        if now != last or rate != "on change":
            for part in range(3 if rate == "thrice a second" else 1):
                bench.feed(quote(second + part / 3, bid=now[0], offer=now[1]))
        last = now
        if second == 100:
            bench.feed(parent(**{"order_qty": 10_000, "start_ns": s(100), "end_ns": s(250), **changes}))
        for out in slices(bench.tick(s(second))):
            bench.feed(fill(FillKind.TRADE, out.slice_no, out.qty), fill(FillKind.RETURNED, out.slice_no))
    return bench


@pytest.mark.parametrize("urgency", [Urgency.LOW, Urgency.MEDIUM, Urgency.HIGH])
@pytest.mark.parametrize("every", [1, 7, 60])
def test_the_same_path_is_worked_the_same_at_any_rate_of_quotes(every: int, urgency: Urgency) -> None:
    benches = [
        worked(walk(3, every), rate, urgency=urgency) for rate in ("on change", "each second", "thrice a second")
    ]
    first, *others = [slices(bench.out) for bench in benches]
    assert len(first) > 20
    assert all(other == first for other in others)
    markets = [bench.state.samples.of("X") for bench in benches]
    assert len({(market.volatility_px, market.median_spread_px) for market in markets}) == 1


def test_a_cent_a_minute_is_a_cent_a_minute_whatever_the_distance_of_samples() -> None:
    for seconds in (1, 5, 20):
        parameters = SlicingParameters(sample_ns=seconds * NS_PER_S, sample_count=240 // seconds + 1)
        sampled = worked(walk(3, 60), "on change", parameters).state.samples.of("X")
        # Four moves of a cent in 240 s: the root of 4 / 240 of a squared cent a second.
        assert sampled.volatility_px == pytest.approx(CENT * (4 / 240) ** 0.5, rel=1e-6)
        assert sampled.median_spread_px == 2 * CENT


def test_the_median_of_the_spread_is_of_time_not_of_quotes() -> None:
    bench = opened(Bench(SlicingStage()))
    bench.feed(parent())
    for second in range(1, 50):
        bench.feed(quote(second, bid=9_999, offer=10_001))
        for part in range(20):  # the spread flickers wide and back, twenty times in a tenth of a second
            bench.feed(quote(second + 0.5 + part / 200, bid=9_990, offer=10_010))
        bench.feed(quote(second + 0.7, bid=9_999, offer=10_001))
        bench.tick(s(second + 0.9))
    assert bench.state.samples.of("X").median_spread_px == 2 * CENT


def test_what_is_no_market_is_no_sample() -> None:
    bench = opened(Bench(SlicingStage()))
    bench.feed(parent())
    bench.tick(s(10))
    for second, bid, offer in ((11, 10_001, 10_001), (12, 10_050, 10_001), (13, 10_019, 10_021)):
        bench.feed(quote(second, bid=bid, offer=offer))
        bench.tick(s(second))
    market = bench.state.samples.of("X")
    assert market.spreads == [2 * CENT] * 11 + [0, 0, 2 * CENT]
    assert market.midpoints == [10_000 * CENT] * 11 + [0, 0, 10_020 * CENT]
    assert (market.volatility_px, market.median_spread_px) == (0, 2 * CENT), "no move is measured over a gap"


def test_the_night_is_no_sample() -> None:
    bench = opened(Bench(SlicingStage()))
    bench.feed(quote(23_399))
    bench.feed(parent(start_ns=s(23_300), end_ns=s(23_400)))
    bench.tick(s(23_390))
    bench.feed(quote(23_410))
    bench.feed(quote(40_000))
    assert set(bench.state.samples.of("X").midpoints) == {0}


@settings(deadline=None, max_examples=40)
@given(quotes=st.lists(st.tuples(st.integers(1, 80), st.integers(-5, 5)), max_size=20), seed=st.integers(0, 1_000))
def test_late_quotes_and_repeats_change_no_sample(quotes: list[tuple[int, int]], seed: int) -> None:
    in_order = sorted(dict(quotes).items())
    draw = Random(seed)
    clean, noisy = (opened(Bench(SlicingStage())) for _ in range(2))
    for place, (tenth, mid) in enumerate(in_order):
        record = quote(tenth / 10, bid=10_000 + mid, offer=10_002 + mid)
        clean.feed(record)
        noisy.feed(record)
        for _ in range(draw.randrange(3)):
            earlier, other = in_order[draw.randrange(place + 1)]
            noisy.feed(quote(earlier / 10, bid=10_000 + other, offer=10_002 + other))
    assert noisy.state.samples.of("X") == clean.state.samples.of("X")
    assert noisy.state.market.quote("X") == clean.state.market.quote("X")
