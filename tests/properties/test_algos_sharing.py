"""What sharing conserves, whatever the weights, caps and balances."""

from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.algos.pro_rata import (
    BALANCE_SCALE,
    largest_remainder,
    monotone_floor,
    share_more,
    share_with_caps,
)
from pipeline.algos.rounding import average_px, divide_half_even, tick_reaching, tick_within_limit

weights_lists = st.lists(st.integers(0, 10**7), min_size=1, max_size=8)
totals = st.integers(0, 10**6)


@st.composite
def members(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], list[int]]:
    """(weights, caps, balances, tie-breaks) of the same length."""
    count = draw(st.integers(1, 7))

    def column(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    return (
        column(0, 50),
        column(0, 50),
        column(-3 * BALANCE_SCALE, 3 * BALANCE_SCALE),
        column(0, 2**64 - 1),
    )


@given(weights_lists, totals)
def test_largest_remainder_keeps_quota_and_total(weights: list[int], total: int) -> None:
    assume(any(weights))
    shares = largest_remainder(weights, total)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        exact = Fraction(total * weight, sum(weights))
        assert abs(share - exact) < 1
        assert weight or share == 0


@given(weights_lists, totals, st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(weights: list[int], total: int, rng: object) -> None:
    assume(any(weights))
    order = list(range(len(weights)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    ties = [index * 7 for index in range(len(weights))]
    shares = largest_remainder(weights, total, ties)
    shuffled = largest_remainder([weights[i] for i in order], total, [ties[i] for i in order])
    assert shuffled == [shares[i] for i in order]


@given(weights_lists, totals)
def test_without_caps_and_balances_it_is_largest_remainder(weights: list[int], total: int) -> None:
    assume(any(weights))
    assert list(share_with_caps(weights, None, total).shares) == largest_remainder(weights, total)


@given(members(), st.integers(0, 400))
def test_caps_hold_and_nothing_is_lost(rows: tuple[list[int], list[int], list[int], list[int]], total: int) -> None:
    weights, caps, balances, ties = rows
    result = share_with_caps(weights, caps, total, balances, ties)
    room = sum(cap for cap, weight in zip(caps, weights, strict=True) if weight)
    assert sum(result.shares) + result.unplaced == total
    assert result.unplaced == max(0, total - room)
    assert all(0 <= share <= cap for share, cap in zip(result.shares, caps, strict=True))
    assert sum(result.carried) == sum(balances)
    changes = [new - old for new, old in zip(result.carried, balances, strict=True)]
    assert all(abs(change) < BALANCE_SCALE for change in changes)


@given(members(), st.integers(0, 400))
def test_capped_shares_are_proportional_among_the_uncapped(
    rows: tuple[list[int], list[int], list[int], list[int]], total: int
) -> None:
    """Water-filling, recomputed apart: one level L with entitlement min(cap, L x weight)."""
    weights, caps, balances, ties = rows
    result = share_with_caps(weights, caps, total, balances, ties)
    placed = sum(result.shares)
    levels = sorted({Fraction(c, w) for c, w in zip(caps, weights, strict=True) if w})
    low = Fraction(0)
    for high in levels:
        if _filled(weights, caps, high) >= placed:
            break
        low = high
    base = _filled(weights, caps, low)
    slope = sum(w for w, c in zip(weights, caps, strict=True) if w and Fraction(c, w) > low)
    level = low + (Fraction(placed - base) / slope if slope else 0)
    for share, weight, cap in zip(result.shares, weights, caps, strict=True):
        assert abs(share - min(Fraction(cap), level * weight)) < 1


def _filled(weights: list[int], caps: list[int], level: Fraction) -> Fraction:
    return sum((min(Fraction(c), level * w) for w, c in zip(weights, caps, strict=True)), Fraction(0))


@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=6),
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
)
def test_over_many_sharings_nobody_is_favoured(weights: list[int], amounts: list[int]) -> None:
    carried: tuple[int, ...] = (0,) * len(weights)
    received = [0] * len(weights)
    for amount in amounts:
        result = share_with_caps(weights, None, amount, carried)
        carried = result.carried
        received = [had + got for had, got in zip(received, result.shares, strict=True)]
    for got, weight in zip(received, weights, strict=True):
        exact = Fraction(sum(amounts) * weight, sum(weights))
        assert abs(got - exact) < len(weights), "the debt does not grow with the days"


@given(members(), st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_progress_never_goes_back_and_never_promises_too_much(
    rows: tuple[list[int], list[int], list[int], list[int]], steps: list[int]
) -> None:
    weights, caps, balances, ties = rows
    total = 0
    shown = [0] * len(weights)
    for step in steps:
        total += step
        now = monotone_floor(weights, total, caps)
        final = share_with_caps(weights, caps, total, balances, ties).shares
        assert all(new >= old for new, old in zip(now, shown, strict=True))
        assert all(new <= last for new, last in zip(now, final, strict=True))
        assert sum(final) - sum(now) < len(weights)
        shown = now


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6))
def test_an_average_loses_at_most_half_a_unit_a_share(notional: int, qty: int) -> None:
    average = average_px(notional, qty)
    assert average.avg_px * qty + average.residual == notional
    assert 2 * abs(average.residual) <= qty
    assert divide_half_even(-notional, qty) == -average.avg_px


@given(st.integers(1, 10**12), st.integers(1, 10**8), st.sampled_from([1, -1]))
def test_ticks_never_cost_more_than_the_limit(px: int, tick_px: int, side: int) -> None:
    within, reaching = tick_within_limit(px, tick_px, side), tick_reaching(px, tick_px, side)
    assert within % tick_px == 0 == reaching % tick_px
    assert 0 <= side * (px - within) < tick_px
    assert 0 <= side * (reaching - px) < tick_px


@given(members(), st.integers(0, 300), st.integers(0, 300))
def test_more_takes_nothing_from_anybody_and_does_not_ask_in_which_steps_it_came(
    drawn: tuple[list[int], list[int], list[int], list[int]], one: int, other: int
) -> None:
    weights, had, _, ties = drawn
    caps = [low + weight for low, weight in zip(had, weights, strict=True)]
    start = sum(had)
    first = share_more(weights, had, caps, start + one, ties)
    both = share_more(weights, had, caps, start + one + other, ties)
    assert share_more(weights, first, caps, start + one + other, ties) == both
    assert sum(both) == min(start + one + other, sum(had) + sum(weights))
    assert all(low <= share <= later <= cap for low, share, later, cap in zip(had, first, both, caps, strict=True))
