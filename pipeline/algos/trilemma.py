"""How hard to trade now: completion, schedule and cost cannot all be had at once.

Source: the trade-off between impact and timing risk is Almgren and Chriss, "Optimal Execution of
Portfolio Transactions", Journal of Risk 3(2), 2001 (Kissell and Glantz, "Optimal Trading Strategies",
2003, call it the trader's dilemma); the table itself is judgement, not fitted. Precedence: client cap >
completion > schedule > cost (docs/design-rules.md, Words of order). The first row that holds decides; its
name goes on the slice, so `pipeline audit explain` can print it.

| row                  | when                                              | style    | of depth |
|----------------------|---------------------------------------------------|----------|----------|
| NOTHING_DUE          | ahead of or on schedule                           | PASSIVE  | none     |
| CAP_REACHED          | nothing allowed by the participation cap          | PASSIVE  | none     |
| RESTS_BEHIND         | as RESTS, and behind by 5 % of the leaves         | MIDPOINT | none (*) |
| RESTS                | no such depth, but the limit is in the spread     | PASSIVE  | none (*) |
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

The numbers are the defaults of `TrilemmaParameters`. Wide: the spread is above twice its own
median. Size = min(need, cap, share of depth) in whole lots; need = what is due and not yet
live. Below the minimum slice it is 0 and accumulates, except where it is all that is left or
in the last moment; below the client's least execution it is always 0. A limit at the near touch or
between the touches takes nothing and is not out of the market: it rests, with all that is due (*). First
form: a limit behind the near touch means pause.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isqrt
from typing import Annotated

from pipeline.algos.participation import OwnVolume, own_qty_max
from pipeline.domain.orders import Completion
from pipeline.domain.parents import Style
from pipeline.parameters import Conflict, Parameters, count, ppm

PPM = 1_000_000
NS_PER_SECOND = 1_000_000_000


class TrilemmaParameters(Parameters, frozen=True, kw_only=True):
    """The numbers of the trilemma's table (`algos/trilemma.py`): when a row holds, how much of the depth it takes."""

    last_moment_ppm: Annotated[int, ppm("The last moment: this last part of the parent's window.")] = 20_000
    wide_spread_times: Annotated[
        int, count("A spread is wide when it is more than so many times its own median.", 1, 1_000)
    ] = 2  # fmt: skip
    volume_short_times: Annotated[
        int, count("MUST: volume is short when so many times the leaves are more than the cap will give.", 1, 1_000)
    ] = 2  # fmt: skip
    far_behind_ppm: Annotated[int, ppm("Far behind: by this part of the leaves, or more.")] = 200_000
    behind_ppm: Annotated[int, ppm("Behind: by this part of the leaves, or more.")] = 50_000
    first_slice_ppm: Annotated[int, ppm("A parent's first slice is at most this part of the leaves.", 1)] = 20_000
    must_depth_ppm: Annotated[int, ppm("MUST, last moment: part of the depth inside the limit taken.", 1)] = PPM
    first_slice_depth_ppm: Annotated[int, ppm("First slice: the same.", 1)] = 100_000
    volume_short_depth_ppm: Annotated[int, ppm("MUST, volume short: the same.", 1)] = 500_000
    last_moment_depth_ppm: Annotated[int, ppm("Last moment otherwise: the same.", 1)] = 500_000
    risk_depth_ppm: Annotated[int, ppm("Remaining risk above its budget: the same.", 1)] = 500_000
    far_behind_depth_ppm: Annotated[int, ppm("Far behind: the same.", 1)] = 250_000
    behind_depth_ppm: Annotated[int, ppm("Behind: the same.", 1)] = 250_000
    on_schedule_depth_ppm: Annotated[int, ppm("On schedule: the same.", 1)] = 250_000

    def conflicts(self) -> Iterable[Conflict]:
        """Who is behind is not far behind yet."""
        if self.behind_ppm >= self.far_behind_ppm:
            text = "whoever is behind would be far behind: far_behind_ppm must be above behind_ppm"
            yield Conflict(("behind_ppm", "far_behind_ppm"), text)


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
    least_qty             the client's least quantity of one execution, as far as it applies; 0 = none
    limit_in_spread       the limit is at the near touch or better, and short of the far one
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
    least_qty: int = 0
    limit_in_spread: bool = False

    @property
    def need_qty(self) -> int:
        """Units to send now to be on schedule, at most the leaves."""
        return max(0, min(self.behind_qty, self.leaves_qty))

    @property
    def must(self) -> bool:
        """Whether the order must be completed."""
        return self.completion is Completion.MUST

    @property
    def risky(self) -> bool:
        """Whether the remaining risk is above its budget; without a budget never."""
        return self.risk_budget is not None and self.remaining_risk > self.risk_budget

    def behind_by(self, share_ppm: int) -> bool:
        """Whether what is due is at least this share of the leaves."""
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
    holds: Callable[[Situation, TrilemmaParameters], bool]
    style: Style
    depth_ppm: Callable[[TrilemmaParameters], int] | None
    """Of the depth inside the limit; None: nothing is sent, or all of the need where it ``rests``."""
    rests: bool = False


def _last_moment(s: Situation, p: TrilemmaParameters) -> bool:
    return s.time_left_ppm <= p.last_moment_ppm


def _can_only_rest(s: Situation) -> bool:
    return s.depth_inside_limit_qty <= 0 and s.limit_in_spread


def _wide(s: Situation, p: TrilemmaParameters) -> bool:
    return 0 < s.median_spread_px * p.wide_spread_times < s.spread_px


def _volume_short(s: Situation, p: TrilemmaParameters) -> bool:
    return s.obtainable_qty is not None and p.volume_short_times * s.leaves_qty > s.obtainable_qty


# From patient to urgent: post, peg to the midpoint, take one quote, take all.
_PASSIVE, _MIDPOINT, _CROSS, _SWEEP = Style.PASSIVE, Style.MIDPOINT, Style.CROSS, Style.SWEEP

TABLE: tuple[_Row, ...] = (
    _Row("NOTHING_DUE", lambda s, p: s.need_qty == 0, _PASSIVE, None),
    _Row("CAP_REACHED", lambda s, p: s.cap_qty is not None and s.cap_qty <= 0, _PASSIVE, None),
    _Row("RESTS_BEHIND", lambda s, p: _can_only_rest(s) and s.behind_by(p.behind_ppm), _MIDPOINT, None, rests=True),
    _Row("RESTS", lambda s, p: _can_only_rest(s), _PASSIVE, None, rests=True),
    _Row("OUT_OF_LIMIT", lambda s, p: s.depth_inside_limit_qty <= 0, _PASSIVE, None),
    _Row("MUST_LAST_MOMENT", lambda s, p: s.must and _last_moment(s, p), _SWEEP, lambda p: p.must_depth_ppm),
    _Row("FIRST_SLICE", lambda s, p: s.first_slice, _PASSIVE, lambda p: p.first_slice_depth_ppm),
    _Row("MUST_VOLUME_SHORT", lambda s, p: s.must and _volume_short(s, p), _CROSS, lambda p: p.volume_short_depth_ppm),
    _Row("LAST_MOMENT_WIDE", lambda s, p: _last_moment(s, p) and _wide(s, p), _MIDPOINT,
         lambda p: p.last_moment_depth_ppm),
    _Row("LAST_MOMENT", _last_moment, _CROSS, lambda p: p.last_moment_depth_ppm),
    _Row("RISK_OVER_BUDGET_WIDE", lambda s, p: s.risky and _wide(s, p), _MIDPOINT, lambda p: p.risk_depth_ppm),
    _Row("RISK_OVER_BUDGET", lambda s, p: s.risky, _CROSS, lambda p: p.risk_depth_ppm),
    _Row("FAR_BEHIND_WIDE", lambda s, p: s.behind_by(p.far_behind_ppm) and _wide(s, p), _MIDPOINT,
         lambda p: p.far_behind_depth_ppm),
    _Row("FAR_BEHIND", lambda s, p: s.behind_by(p.far_behind_ppm), _CROSS, lambda p: p.far_behind_depth_ppm),
    _Row("BEHIND", lambda s, p: s.behind_by(p.behind_ppm), _MIDPOINT, lambda p: p.behind_depth_ppm),
    _Row("ON_SCHEDULE", lambda s, p: True, _PASSIVE, lambda p: p.on_schedule_depth_ppm),
)  # fmt: skip


def decide(situation: Situation, parameters: TrilemmaParameters) -> Decision:
    """Style and size by the first row of `TABLE` that holds.

    0 <= size <= min(need, cap, share of depth), where the share is at least one minimum
    slice as far as the depth holds it.
    Raises ValueError for a negative leaves or a lot or minimum slice below 1.
    """
    s, p = situation, parameters
    if s.leaves_qty < 0 or s.lot_qty < 1 or s.min_slice_qty < 1:
        raise ValueError(f"leaves, lot or minimum slice out of range: {s}")
    row = next(row for row in TABLE if row.holds(s, p))
    if row.depth_ppm is None and not row.rests:
        return Decision(row.name, row.style, 0, None if s.need_qty == 0 else row.name)
    size = s.need_qty if row.depth_ppm is None else min(s.need_qty, _share_of_depth(s, row.depth_ppm(p)))
    if s.cap_qty is not None:
        size = min(size, s.cap_qty)
    if s.first_slice and row.name == "FIRST_SLICE":
        # At least the minimum slice, or the test of the water would never be sent.
        small = s.leaves_qty * p.first_slice_ppm // PPM
        size = min(size, max(small, s.min_slice_qty, s.lot_qty))
    if size < s.leaves_qty:
        # Only the very last of an order may be an odd lot.
        size -= size % s.lot_qty
    if size == 0:
        return Decision(row.name, row.style, 0, "BELOW_LOT")
    if size < s.least_qty:
        return Decision(row.name, row.style, 0, "BELOW_LEAST_EXECUTION")
    if size < s.min_slice_qty and size < s.leaves_qty and not _last_moment(s, p):
        return Decision(row.name, row.style, 0, "BELOW_MINIMUM_SLICE")
    return Decision(row.name, row.style, size)


def remaining_risk(leaves_qty: int, volatility_px: int, time_left_ns: int) -> int:
    """One standard deviation of the value of the leaves until the end, 1e-9 currency.

    sigma x sqrt(t) x leaves, with `volatility_px` the standard deviation of the price over
    one second (1e-9 currency). Integers; the square root is floored to 1e-9 s^(1/2).
    Raises ValueError for a negative argument.
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
