"""How much of a parent to release now, and how: the target of its schedule, the cap it shares, the trilemma's table."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

import msgspec

from pipeline.algos import participation, trilemma, twap, vwap
from pipeline.algos.participation import OwnVolume
from pipeline.algos.volume_curve import volume_between
from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.orders import Completion, Side, Strategy, Urgency
from pipeline.domain.parents import Style
from pipeline.domain.reference import Instrument
from pipeline.domain.units import NS_PER_S, PPB_ONE, PPM_ONE
from pipeline.stages.slicing.market_view import MarketView
from pipeline.stages.slicing.working_parent import Totals, WorkingParent


class SlicingParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of slicing; they stand in the journal."""

    passive_ns: int = 15 * NS_PER_S
    """How long a passive slice may rest before it is taken back and looked at again."""
    midpoint_ns: int = 8 * NS_PER_S
    """The same for a midpoint slice."""
    taking_ns: int = 10 * NS_PER_S
    """The same for a crossing or sweeping slice."""
    interval_ns: int = NS_PER_S
    """Least time between two slices of one parent, the last moment excepted."""
    last_moment_ns: int = 10 * NS_PER_S
    """The last moment is never shorter than this: the way to a venue and back, several times."""
    min_slice_qty: int = 5
    """Smallest slice in units; smaller ones accumulate until they are all that is left, or the last moment."""
    min_slice: int = 20_000
    """The same, in ppm of the parent's quantity; the larger of the two holds."""
    risk_budget_spreads: int = 4
    """MEDIUM urgency bears this many median spreads of remaining risk, HIGH a quarter of it, LOW any."""


_PATIENCE: Final = 3
"""How often the time between slices doubles while they come back unexecuted."""


class Own(Protocol):
    """Who counts what each side has executed."""

    own_buy_qty: int
    own_sell_qty: int


class Release(NamedTuple):
    """A decision: how much (0: nothing now), how, until when, and why."""

    qty: int
    style: Style
    expire_ns: int
    why: str


def is_too_soon(parent: WorkingParent, now_ns: int, config: SlicingParameters) -> bool:
    """What comes back unexecuted is asked for again at growing intervals; never at once, or a refusal would loop."""
    patience = 0 if now_ns >= _last_moment_ns(parent, config) else min(parent.in_vain, _PATIENCE)
    return now_ns - parent.released_ns < config.interval_ns << patience


def _last_moment_ns(parent: WorkingParent, config: SlicingParameters) -> int:
    """When the last moment begins."""
    horizon_ns = parent.order.end_ns - parent.order.start_ns
    return parent.order.end_ns - max(config.last_moment_ns, horizon_ns * trilemma.LAST_MOMENT_PPM // PPM_ONE)


def own_qty(own: Own, side: Side) -> int:
    """What this side has executed today."""
    return own.own_buy_qty if side is Side.BUY else own.own_sell_qty


def target_qty(parent: WorkingParent, curve: VolumeCurve | None, now_ns: int, lot_qty: int) -> int:
    """What the schedule wants done by now, in whole units from the parent's beginning, crosses included."""
    order = parent.order
    total = parent.earlier_qty + parent.order_qty
    if order.strategy is Strategy.VWAP and curve is not None:
        return vwap.target_qty(
            total,
            curve.fractions,
            curve.bin_ns,
            curve.day_start_ns,
            order.start_ns,
            order.end_ns,
            now_ns,
            lot_qty,
        )
    return twap.target_qty(total, order.start_ns, order.end_ns, now_ns, lot_qty)


def decide(
    parent: WorkingParent,
    siblings: Totals,
    side_own_qty: int,
    market: MarketView,
    instrument: Instrument,
    curve: VolumeCurve | None,
    now_ns: int,
    config: SlicingParameters,
) -> Release:
    """The slice to release now.

    siblings      all parents of its instrument and side, this one included
    side_own_qty  executed today by this side of the instrument
    """
    order = parent.order
    leaves = parent.unreleased_qty
    horizon_ns = max(1, order.end_ns - order.start_ns)
    time_left_ns = max(0, order.end_ns - now_ns)
    spread_px = market.spread_px(order.instrument)
    if spread_px is None:
        return Release(0, Style.PASSIVE, 0, "")
    last_moment_ns = _last_moment_ns(parent, config)
    last_moment = now_ns >= last_moment_ns
    time_left_ppm = time_left_ns * PPM_ONE // horizon_ns
    done = parent.earlier_qty + parent.executed_qty + parent.taken_qty + parent.set_aside_qty
    # In the last moment all of it is due: at the end itself there is no time left to trade.
    target = target_qty(parent, curve, order.end_ns if last_moment else now_ns, instrument.lot_qty)
    behind_qty = target - done - parent.out_qty
    min_slice_qty = max(config.min_slice_qty, parent.order_qty * config.min_slice // PPM_ONE)
    if behind_qty <= 0 or (behind_qty < min(min_slice_qty, leaves) and not last_moment):
        # NOTHING_DUE, or BELOW_MINIMUM_SLICE whatever the row: told without asking for the rest, at most ticks.
        return Release(0, Style.PASSIVE, 0, "")
    median_px = market.median_spread_px(order.instrument)
    decision = trilemma.decide(
        trilemma.Situation(
            leaves_qty=leaves,
            behind_qty=behind_qty,
            cap_qty=_cap_qty(parent, siblings, side_own_qty, market),
            time_left_ppm=min(time_left_ppm, trilemma.LAST_MOMENT_PPM) if last_moment else time_left_ppm,
            remaining_risk=trilemma.remaining_risk(leaves, market.volatility_px(order.instrument), time_left_ns),
            risk_budget=_risk_budget(order.urgency, leaves, median_px, config),
            spread_px=spread_px,
            median_spread_px=median_px,
            depth_inside_limit_qty=market.depth_inside(order.instrument, order.side, order.limit_px),
            obtainable_qty=_obtainable(parent, side_own_qty, market, instrument, curve, now_ns),
            completion=order.completion,
            first_slice=parent.released_ns == 0,
            min_slice_qty=min_slice_qty,
            lot_qty=instrument.lot_qty,
        )
    )
    style = decision.style
    # What rests must be back in hand before the last moment, or it could not be crossed then.
    expire_ns = min(now_ns + _life_ns(style, config), order.end_ns)
    if now_ns < last_moment_ns:
        expire_ns = min(expire_ns, last_moment_ns)
    why = f"{decision.row}: target {target}, done {done}, out {parent.out_qty}"
    if order.strategy is Strategy.VWAP:
        why += f", curve v{0 if curve is None else curve.version}"
    return Release(decision.size_qty, style, expire_ns, why)


def can_be_at_risk(parent: WorkingParent, now_ns: int) -> bool:
    """Only what must be done can be at risk, only once it is worked, and without a cap only when time is up."""
    order = parent.order
    return (
        order.completion is Completion.MUST
        and now_ns >= order.start_ns
        and (order.participation_cap != 0 or now_ns >= order.end_ns)
    )


def is_at_risk(
    parent: WorkingParent,
    siblings: Totals,
    side_own_qty: int,
    market: MarketView,
    instrument: Instrument,
    curve: VolumeCurve | None,
    now_ns: int,
) -> bool:
    """Whether a MUST parent (with the siblings that share its cap) can no longer be completed under the cap."""
    order = parent.order
    return trilemma.completion_at_risk(
        Completion.MUST,
        siblings.unexecuted_qty,
        _obtainable(parent, side_own_qty, market, instrument, curve, now_ns),
        order.end_ns - now_ns,
    )


def _cap_qty(parent: WorkingParent, siblings: Totals, side_own_qty: int, market: MarketView) -> int | None:
    """What the participation cap, shared by all siblings of the side, still allows now; None without a cap."""
    order = parent.order
    if order.participation_cap == 0:
        return None
    return participation.allowance_qty(
        market.of(order.instrument).volume_qty - parent.volume_before,
        max(0, side_own_qty - parent.own_before),
        siblings.out_qty,
        order.participation_cap,
        OwnVolume.INCLUDED,
    )


def _obtainable(
    parent: WorkingParent,
    side_own_qty: int,
    market: MarketView,
    instrument: Instrument,
    curve: VolumeCurve | None,
    now_ns: int,
) -> int | None:
    """What the cap will still give by the end on the volume expected; None without a cap."""
    order = parent.order
    if order.participation_cap == 0:
        return None
    return trilemma.obtainable_qty(
        market.of(order.instrument).volume_qty - parent.volume_before,
        _volume_expected(instrument, curve, now_ns, order.end_ns),
        max(0, side_own_qty - parent.own_before),
        order.participation_cap,
        OwnVolume.INCLUDED,
    )


def _volume_expected(instrument: Instrument, curve: VolumeCurve | None, now_ns: int, end_ns: int) -> int:
    """The market's volume from now to ``end_ns``: along the curve, or evenly over the session without one."""
    if curve is not None:
        part = volume_between(curve.fractions, curve.bin_ns, curve.day_start_ns, now_ns, end_ns)
        return curve.daily_volume_qty * part // (PPB_ONE * curve.bin_ns)
    session_ns = max(1, instrument.session_close_ns - instrument.session_open_ns)
    return instrument.daily_volume_qty * max(0, end_ns - now_ns) // session_ns


def _risk_budget(urgency: Urgency, leaves_qty: int, median_spread_px: int, config: SlicingParameters) -> int | None:
    if urgency is Urgency.LOW or median_spread_px == 0:
        return None
    spreads = leaves_qty * median_spread_px * config.risk_budget_spreads
    return spreads // 4 if urgency is Urgency.HIGH else spreads


def _life_ns(style: Style, config: SlicingParameters) -> int:
    match style:
        case Style.PASSIVE:
            return config.passive_ns
        case Style.MIDPOINT:
            return config.midpoint_ns
        case _:
            return config.taking_ns
