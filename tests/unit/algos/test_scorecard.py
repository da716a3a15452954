from dataclasses import replace

import pytest

from pipeline.algos.scorecard import (
    ScoreParts,
    VenueCounts,
    VenuePrior,
    rank_venues,
    score_venue,
)

CENT = 10_000_000
PRIOR = VenuePrior(
    cost_px=CENT,
    fill_rate_ppm=500_000,
    fill_time_ns=2_000_000_000,
    unfilled_px=3 * CENT,
    weight_qty=1_000,
    weight_fills=10,
)


def test_without_experience_the_score_is_the_prior() -> None:
    score = score_venue("X", VenueCounts(), PRIOR, delay_px_per_second=1_000)
    assert score == ScoreParts("X", CENT + 2_000, CENT, 500_000, 2_000_000_000)


def test_cost_is_over_the_whole_quantity_asked() -> None:
    """1,000 asked, 400 filled at -1 cent and a 0.3 cent rebate, 600 finished at +2 cents."""
    counts = VenueCounts(
        sent_qty=1_000,
        filled_qty=400,
        touch_cost=-400 * CENT,
        fees=-400 * 3 * CENT // 10,
        finish_cost=600 * 2 * CENT,
        finished_qty=600,
        fill_time_ns=8_000_000_000,
        fill_count=10,
    )
    score = score_venue("X", counts, PRIOR)
    assert score.cost_px == (-400 * CENT - 120 * CENT + 1_200 * CENT + 1_000 * CENT) // 2_000
    assert score.fill_rate_ppm == 450_000
    assert score.fill_time_ns == 1_400_000_000


def test_cheap_fills_do_not_hide_what_did_not_fill() -> None:
    picky = VenueCounts(sent_qty=10_000, filled_qty=100, touch_cost=-100 * CENT, fill_count=1)
    plain = VenueCounts(sent_qty=10_000, filled_qty=10_000, touch_cost=10_000 * CENT, fill_count=9)
    ranked = rank_venues([score_venue("PICKY", picky, PRIOR), score_venue("PLAIN", plain, PRIOR)])
    assert [score.venue for score in ranked] == ["PLAIN", "PICKY"]


def test_fees_decide_between_equals() -> None:
    counts = VenueCounts(sent_qty=5_000, filled_qty=5_000, fill_count=5)
    dear = replace(counts, fees=5_000 * 3_000_000)
    ranked = rank_venues([score_venue("DEAR", dear, PRIOR), score_venue("FREE", counts, PRIOR)])
    assert [score.venue for score in ranked] == ["FREE", "DEAR"]


def test_a_few_lucky_fills_do_not_beat_long_experience() -> None:
    lucky = VenueCounts(sent_qty=10, filled_qty=10, touch_cost=-10 * CENT, fill_count=1)
    proven = VenueCounts(sent_qty=100_000, filled_qty=100_000, touch_cost=-20_000 * CENT, fill_count=500)
    assert score_venue("L", lucky, PRIOR).score_px > score_venue("P", proven, PRIOR).score_px


def test_rank_is_the_same_whatever_the_order() -> None:
    a = ScoreParts("A", 1, 1, 5, 5)
    b = ScoreParts("B", 1, 1, 6, 9)
    c = ScoreParts("C", 1, 1, 5, 4)
    d = ScoreParts("D", 0, 0, 0, 0)
    e = ScoreParts("E", 1, 1, 5, 5)
    expected = [d, b, c, a, e]
    assert rank_venues([a, b, c, d, e]) == expected
    assert rank_venues([e, d, c, b, a]) == expected


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="exceed sent"):
        score_venue("X", VenueCounts(sent_qty=1, filled_qty=2), PRIOR)
    with pytest.raises(ValueError, match="weights"):
        score_venue("X", VenueCounts(), replace(PRIOR, weight_fills=0))
