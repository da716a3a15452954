"""Scorecards: experience moves the score, what was left unfilled is paid for, nothing a venue does breaks the sums."""

from __future__ import annotations

from pipeline.domain.reference import ReferenceKind, Venue, VenueKind
from pipeline.stages.routing.parameters import PriorsParameters
from pipeline.stages.routing.venue_scorecards import PlacementKind, Scorecards, ScoreSums, Unfilled, score_key
from pipeline.state import State, Task

HALF = 10_000_000
TAKE = PlacementKind.TAKE


class Some(State):
    def __init__(self) -> None:
        super().__init__(Task("some", 0, 1))
        self.cards = Scorecards(self, PriorsParameters())


def venue(name: str, taker_fee_px: int = 3_000_000) -> Venue:
    return Venue(
        kind=ReferenceKind.SET,
        venue=name,
        effective_ns=0,
        venue_kind=VenueKind.LIT,
        maker_fee_px=-2_000_000,
        taker_fee_px=taker_fee_px,
        latency_ns=0,
        latency_jitter_ns=0,
    )


def test_before_experience_fees_decide() -> None:
    cards = Some().cards
    dear, cheap = (cards.score("A", venue("V", fee), TAKE, HALF).score_px for fee in (3_000_000, 1_000_000))
    assert dear > cheap


def test_a_venue_that_does_not_fill_becomes_dearer() -> None:
    cards = Some().cards
    before = cards.score("A", venue("V"), TAKE, HALF)
    cards.add(score_key("A", "V", TAKE), ScoreSums(sent_qty=10_000))
    after = cards.score("A", venue("V"), TAKE, HALF)
    assert after.score_px > before.score_px and after.fill_rate_ppm < before.fill_rate_ppm
    assert cards.score("A", venue("W"), TAKE, HALF).score_px == before.score_px, "and only that venue"
    assert cards.score("B", venue("V"), TAKE, HALF).score_px == before.score_px, "in that instrument"


def test_finishing_elsewhere_at_a_worse_price_is_paid_by_the_venue_that_left_it() -> None:
    def left_to(px: int) -> int:
        cards = Some().cards
        key = score_key("A", "V", TAKE)
        cards.add(key, ScoreSums(sent_qty=1_000))
        left = Unfilled(key, 1_000, 1_000)
        assert cards.finished(left, 400, px, 0, 1) == 400
        left.qty -= 400
        assert cards.finished(left, 700, px, 0, 1) == 600, "never more than was left"
        return cards.score("A", venue("V"), TAKE, HALF).score_px

    assert left_to(2_000_000) > left_to(1_000)


def test_an_over_fill_does_not_break_the_score() -> None:
    cards = Some().cards
    key = score_key("A", "V", TAKE)
    cards.add(key, ScoreSums(sent_qty=100, filled_qty=130, fill_count=2))
    cards.finished(Unfilled(key, 0, 50), 50, 10, 0, 1)
    assert 0 < cards.score("A", venue("V"), TAKE, HALF).fill_rate_ppm <= 1_000_000


def test_the_version_counts_executions_by_instrument() -> None:
    cards = Some().cards
    cards.seen("A")
    cards.seen("A")
    assert (cards.version("A"), cards.version("B")) == (2, 0)
