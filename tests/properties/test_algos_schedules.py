"""What schedules, caps and decisions keep, whatever the market does."""

from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.algos import twap, vwap
from pipeline.algos.participation import PPM, OwnVolume, allowance_qty, share_allowance
from pipeline.algos.trilemma import Situation, TrilemmaParameters, decide
from pipeline.algos.volume_curve import CURVE_TOTAL, build_curve, fraction_done, volume_between
from pipeline.domain.orders import Completion
from pipeline.domain.parents import Style

quantities = st.integers(0, 10**7)
lots = st.sampled_from([1, 7, 100])
bins = st.lists(st.integers(0, 10**6), min_size=1, max_size=12)


@given(quantities, st.integers(1, 50), lots)
def test_twap_slices_add_up_and_are_never_a_lot_off(total: int, count: int, lot: int) -> None:
    slices = twap.slice_quantities(total, count, lot)
    assert sum(slices) == total
    done = 0
    for k, qty in enumerate(slices, start=1):
        assert qty >= 0
        done += qty
        assert 0 <= Fraction(total * k, count) - done < lot


@given(quantities, lots, st.lists(st.integers(-10, 1_010), min_size=2, max_size=20))
def test_targets_never_fall(total: int, lot: int, times: list[int]) -> None:
    curve = build_curve([[3, 1, 4, 1, 5]], 5, 100_000)
    times.sort()
    by_time = [twap.target_qty(total, 0, 1_000, t, lot) for t in times]
    by_volume = [vwap.target_qty(total, curve, 200, 0, 0, 1_000, t, lot) for t in times]
    assert by_time == sorted(by_time)
    assert by_volume == sorted(by_volume)
    assert all(qty % lot == 0 or qty == total for qty in by_time + by_volume)


@given(quantities, bins, lots)
def test_vwap_slices_follow_the_weights(total: int, weights: list[int], lot: int) -> None:
    assume(any(weights))
    slices = vwap.slice_quantities(total, weights, lot)
    assert sum(slices) == total
    assert all(qty >= 0 for qty in slices)
    for k in range(1, len(weights) + 1):
        exact = Fraction(total * sum(weights[:k]), sum(weights))
        assert abs(exact - sum(slices[:k])) < lot
    assert all(qty == 0 for qty, weight in zip(slices, weights, strict=True) if not weight)


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=4, max_size=4), min_size=1, max_size=6))
def test_a_curve_is_the_mean_of_fractions_and_adds_up(days: list[list[int]]) -> None:
    full = [day for day in days if day[3]]
    assume(full)
    curve = build_curve(days, 4, 100_000)
    assert sum(curve) == CURVE_TOTAL
    for k in range(4):
        mean = sum((Fraction(day[k], sum(day)) for day in full), Fraction(0)) / len(full)
        assert abs(Fraction(curve[k], CURVE_TOTAL) - mean) < Fraction(2, CURVE_TOTAL)


@given(bins, st.lists(st.integers(-20, 200), min_size=4, max_size=4))
def test_volume_is_additive_and_a_flat_day_is_twap(curve: list[int], times: list[int]) -> None:
    a, b, c, d = sorted(times)
    parts = volume_between(curve, 10, 0, a, b) + volume_between(curve, 10, 0, b, c)
    assert parts == volume_between(curve, 10, 0, a, c)
    assert 0 <= fraction_done(curve, 10, 0, a, d, b) <= fraction_done(curve, 10, 0, a, d, c)
    assert fraction_done(curve, 10, 0, a, d, c) <= CURVE_TOTAL
    flat = [7] * 20
    if 0 <= a < d:
        assert vwap.target_qty(997, flat, 10, 0, a, d, b) == twap.target_qty(997, a, d, b)


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**5),
    st.integers(0, 10**5),
    st.integers(0, PPM - 1),
    st.sampled_from(list(OwnVolume)),
)
def test_what_is_allowed_never_breaks_the_cap_and_one_more_would(
    others: int, executed: int, live: int, cap_ppm: int, own_volume: OwnVolume
) -> None:
    allowed = allowance_qty(others, executed, live, cap_ppm, own_volume)
    assert allowed is not None

    def within(own: int) -> bool:
        volume = others + (own if own_volume is OwnVolume.INCLUDED else 0)
        return own * PPM <= cap_ppm * volume

    own = executed + live
    assert allowed == 0 or within(own + allowed)
    assert not within(own + allowed + 1)


@given(st.integers(0, 500), st.lists(st.integers(0, 100), max_size=6))
def test_siblings_use_the_allowance_once(allowance: int, wanted: list[int]) -> None:
    shares = share_allowance(allowance, wanted)
    assert sum(shares) == min(allowance, sum(wanted))
    assert all(0 <= share <= want for share, want in zip(shares, wanted, strict=True))


situations = st.builds(
    Situation,
    leaves_qty=st.integers(0, 5_000),
    behind_qty=st.integers(-5_000, 6_000),
    cap_qty=st.none() | st.integers(0, 3_000),
    time_left_ppm=st.integers(0, PPM),
    remaining_risk=st.integers(0, 100),
    risk_budget=st.none() | st.integers(0, 100),
    spread_px=st.integers(0, 30),
    median_spread_px=st.integers(0, 30),
    depth_inside_limit_qty=st.integers(0, 3_000),
    obtainable_qty=st.none() | st.integers(0, 20_000),
    completion=st.sampled_from(list(Completion)),
    first_slice=st.booleans(),
    min_slice_qty=st.sampled_from([1, 50, 200]),
    lot_qty=lots,
)


@given(situations)
def test_no_decision_is_larger_than_need_cap_or_depth(situation: Situation) -> None:
    decision = decide(situation, TrilemmaParameters())
    size = decision.size_qty
    assert 0 <= size <= max(0, min(situation.behind_qty, situation.leaves_qty))
    assert size <= situation.depth_inside_limit_qty
    assert situation.cap_qty is None or size <= situation.cap_qty
    assert size % situation.lot_qty == 0 or size == situation.leaves_qty
    if situation.behind_qty > 0 and situation.leaves_qty > 0 and size == 0:
        assert decision.held_back is not None, "what is due and not sent says why"
    if size and decision.row == "FIRST_SLICE":
        assert decision.style is Style.PASSIVE
        assert size * 50 <= max(situation.leaves_qty, 50 * max(situation.min_slice_qty, 100))
