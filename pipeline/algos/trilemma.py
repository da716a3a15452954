"""How hard to trade now: completion, schedule and cost cannot all be had at once.

Source: the trade-off between impact and timing risk is Almgren and Chriss, "Optimal Execution of
Portfolio Transactions", Journal of Risk 3(2), 2001 (Kissell and Glantz, "Optimal Trading Strategies",
2003, call it the trader's dilemma); the table itself is judgement, not fitted. Precedence: client cap >
completion > schedule > cost. The first row that holds decides; its name goes on the slice, so
`pipeline explain` can print it.

| row                  | when                                              | style    | of depth |
|----------------------|---------------------------------------------------|----------|----------|
| NOTHING_DUE          | ahead of or on schedule                           | PASSIVE  | none     |
| CAP_REACHED          | nothing allowed by the participation cap          | PASSIVE  | none     |
| OUT_OF_LIMIT         | no displayed depth inside the limit               | PASSIVE  | none     |
| MUST_LAST_MOMENT     | MUST, last 2 % of the time                        | SWEEP    | 100 %    |
| FIRST_SLICE          | nothing sent before; at most 2 % of the leaves    | PASSIVE  | 10 %     |
| MUST_VOLUME_SHORT    | MUST, leaves above half of what the cap will give | CROSS    | 50 %     |
| LAST_MOMENT_WIDE     | last 2 % of the time, spread wide                 | MIDPOINT | 50 %     |
| LAST_MOMENT          | last 2 % of the time                              | CROSS    | 50 %     |
| RISK_OVER_BUDGET_WIDE| remaining risk above its budget, spread wide      | MIDPOINT | 50 %     |
| RISK_OVER_BUDGET     | remaining risk above its budget                   | CROSS    | 50 %     |
| FAR_BEHIND_WIDE      | behind by 20 % of the leaves, spread wide         | MIDPOINT | 25 %     |
| FAR_BEHIND           | behind by 20 % of the leaves                      | CROSS    | 25 %     |
| BEHIND               | behind by 5 % of the leaves                       | MIDPOINT | 25 %     |
| ON_SCHEDULE          | otherwise                                         | PASSIVE  | 25 %     |

Wide: the spread is above twice its own median. Size = min(need, cap, share of depth) in
whole lots; need = what is due and not yet live. Below the minimum slice it is 0 and
accumulates, except where it is all that is left or in the last moment. First form: out of
limit means pause.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

from pipeline.algos.participation import OwnVolume, own_qty_max
from pipeline.domain.orders import Completion
from pipeline.domain.parents import Style

PPM = 1_000_000
LAST_MOMENT_PPM = 20_000
FIRST_SLICE_PPM = 20_000
FAR_BEHIND_PPM = 200_000
BEHIND_PPM = 50_000
WIDE_SPREAD_TIMES = 2
NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Situation:
    """What the decision looks at; integers only.

    leaves_qty            not yet executed and not live
    behind_qty            due by the schedule and neither executed nor live; negative: ahead
    cap_qty               what the participation cap allows now; None = no cap
    time_left_ppm         of the whole window, 0..1,000,000
    remaining_risk        `remaining_risk()` of the leaves, 1e-9 currency
    risk_budget           the most the mandate's risk aversion bears; None = indifferent
    spread_px, median_spread_px    now, and its own median (1e-9 currency); median 0 = unknown
    depth_inside_limit_qty         displayed on the other side within our limit
    obtainable_qty        what the cap will still give by the end on forecast volume
                          (`obtainable_qty()`); None = no cap
    completion            MUST binds; anything else is worked as BEST_EFFORT
    first_slice           True while nothing of the parent has ever been sent
    """

    leaves_qty: int
    behind_qty: int
    cap_qty: int | None
    time_left_ppm: int
    remaining_risk: int
    risk_budget: int | None
    spread_px: int
    median_spread_px: int
    depth_inside_limit_qty: int
    obtainable_qty: int | None
    completion: Completion
    first_slice: bool
    min_slice_qty: int = 1
    lot_qty: int = 1

    @property
    def need_qty(self) -> int:
        return max(0, min(self.behind_qty, self.leaves_qty))

    @property
    def last_moment(self) -> bool:
        return self.time_left_ppm <= LAST_MOMENT_PPM

    @property
    def wide(self) -> bool:
        return 0 < self.median_spread_px * WIDE_SPREAD_TIMES < self.spread_px

    @property
    def must(self) -> bool:
        return self.completion is Completion.MUST

    @property
    def volume_short(self) -> bool:
        return self.obtainable_qty is not None and 2 * self.leaves_qty > self.obtainable_qty

    @property
    def risky(self) -> bool:
        return self.risk_budget is not None and self.remaining_risk > self.risk_budget

    def behind_by(self, share_ppm: int) -> bool:
        return self.behind_qty * PPM >= share_ppm * self.leaves_qty


@dataclass(frozen=True, slots=True)
class Decision:
    """How to trade and how much; `row` names the row of the table, `held_back` why a
    size came out as zero although something is due (None otherwise)."""

    row: str
    style: Style
    size_qty: int
    held_back: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    holds: Callable[[Situation], bool]
    style: Style
    depth_ppm: int


# From patient to urgent: post, peg to the midpoint, take one quote, take all.
_PASSIVE, _MIDPOINT, _CROSS, _SWEEP = Style.PASSIVE, Style.MIDPOINT, Style.CROSS, Style.SWEEP

TABLE: tuple[_Row, ...] = (
    _Row("NOTHING_DUE", lambda s: s.need_qty == 0, _PASSIVE, 0),
    _Row("CAP_REACHED", lambda s: s.cap_qty is not None and s.cap_qty <= 0, _PASSIVE, 0),
    _Row("OUT_OF_LIMIT", lambda s: s.depth_inside_limit_qty <= 0, _PASSIVE, 0),
    _Row("MUST_LAST_MOMENT", lambda s: s.must and s.last_moment, _SWEEP, PPM),
    _Row("FIRST_SLICE", lambda s: s.first_slice, _PASSIVE, 100_000),
    _Row("MUST_VOLUME_SHORT", lambda s: s.must and s.volume_short, _CROSS, 500_000),
    _Row("LAST_MOMENT_WIDE", lambda s: s.last_moment and s.wide, _MIDPOINT, 500_000),
    _Row("LAST_MOMENT", lambda s: s.last_moment, _CROSS, 500_000),
    _Row("RISK_OVER_BUDGET_WIDE", lambda s: s.risky and s.wide, _MIDPOINT, 500_000),
    _Row("RISK_OVER_BUDGET", lambda s: s.risky, _CROSS, 500_000),
    _Row("FAR_BEHIND_WIDE", lambda s: s.behind_by(FAR_BEHIND_PPM) and s.wide, _MIDPOINT, 250_000),
    _Row("FAR_BEHIND", lambda s: s.behind_by(FAR_BEHIND_PPM), _CROSS, 250_000),
    _Row("BEHIND", lambda s: s.behind_by(BEHIND_PPM), _MIDPOINT, 250_000),
    _Row("ON_SCHEDULE", lambda s: True, _PASSIVE, 250_000),
)


def decide(situation: Situation) -> Decision:
    """Style and size by the first row of `TABLE` that holds.

    0 <= size <= min(need, cap, share of depth), where the share is at least one minimum
    slice as far as the depth holds it.
    Raises ValueError for a negative leaves or a lot or minimum slice below 1.
    """
    s = situation
    if s.leaves_qty < 0 or s.lot_qty < 1 or s.min_slice_qty < 1:
        raise ValueError(f"leaves, lot or minimum slice out of range: {s}")
    row = next(row for row in TABLE if row.holds(s))
    if row.depth_ppm == 0:
        return Decision(row.name, row.style, 0, None if s.need_qty == 0 else row.name)
    size = min(s.need_qty, _share_of_depth(s, row.depth_ppm))
    if s.cap_qty is not None:
        size = min(size, s.cap_qty)
    if s.first_slice and row.name == "FIRST_SLICE":
        # At least the minimum slice, or the test of the water would never be sent.
        small = s.leaves_qty * FIRST_SLICE_PPM // PPM
        size = min(size, max(small, s.min_slice_qty, s.lot_qty))
    if size < s.leaves_qty:
        # Only the very last of an order may be an odd lot.
        size -= size % s.lot_qty
    if size == 0:
        return Decision(row.name, row.style, 0, "BELOW_LOT")
    if size < s.min_slice_qty and size < s.leaves_qty and not s.last_moment:
        return Decision(row.name, row.style, 0, "BELOW_MINIMUM_SLICE")
    return Decision(row.name, row.style, size)


def remaining_risk(leaves_qty: int, volatility_px: int, time_left_ns: int) -> int:
    """One standard deviation of the value of the leaves until the end, 1e-9 currency.

    sigma x sqrt(t) x leaves, with `volatility_px` the standard deviation of the price over
    one second (1e-9 currency). Integers; the square root is floored to 1e-9 s^(1/2).
    """
    if min(leaves_qty, volatility_px, time_left_ns) < 0:
        raise ValueError(f"negative risk input: {leaves_qty}, {volatility_px}, {time_left_ns}")
    root = isqrt(time_left_ns * NS_PER_SECOND)
    return leaves_qty * volatility_px * root // NS_PER_SECOND


def obtainable_qty(
    others_qty: int,
    forecast_others_qty: int,
    executed_qty: int,
    cap_ppm: int | None,
    own_volume: OwnVolume,
) -> int | None:
    """What the cap will still give by the end if others trade the forecast; None = no cap.

    others_qty, executed_qty  since the start, as for `participation.allowance_qty`
    forecast_others_qty       others' volume still expected until the end
    """
    most = own_qty_max(others_qty + forecast_others_qty, cap_ppm, own_volume)
    return None if most is None else max(0, most - executed_qty)


def completion_at_risk(completion: Completion, unexecuted_qty: int, obtainable: int | None, time_left_ns: int) -> bool:
    """True the moment a MUST order cannot be completed under its cap on forecast volume.

    unexecuted_qty  leaves including what is live, of all siblings that share the cap
    obtainable      `obtainable_qty()`; None = no cap

    Also true when the time is up. An order that is only BEST_EFFORT is never at risk.
    """
    if completion is not Completion.MUST or unexecuted_qty <= 0:
        return False
    return time_left_ns <= 0 or (obtainable is not None and unexecuted_qty > obtainable)


def _share_of_depth(s: Situation, depth_ppm: int) -> int:
    share = s.depth_inside_limit_qty * depth_ppm // PPM
    # A thin book would otherwise stop small orders for good.
    return max(share, min(max(s.lot_qty, s.min_slice_qty), s.depth_inside_limit_qty))
