"""How much of a parent to release now, and how: the target of its schedule, the cap it shares, the trilemma's table."""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.algos import participation, trilemma
from pipeline.algos.participation import OwnVolume
from pipeline.algos.volume_curve import volume_between
from pipeline.domain.orders import Completion, Side, Urgency
from pipeline.domain.parents import Style
from pipeline.domain.units import PPB_ONE, PPM_ONE
from pipeline.stages.slicing.parameters import SlicingParameters
from pipeline.stages.slicing.schedule import SlicingView, last_moment_starts_ns
from pipeline.stages.slicing.schedules.table import SCHEDULES
from pipeline.stages.slicing.working_parent import WorkingParent


class Release(NamedTuple):
    """A decision: how much (0: nothing now), how, until when, and why."""

    qty: int
    style: Style
    expire_ns: int
    why: str


NOTHING: Final = Release(0, Style.PASSIVE, 0, "")


def is_too_soon(parent: WorkingParent, now_ns: int, parameters: SlicingParameters) -> bool:
    """Whether to wait: returned quantity is released again at growing intervals, never at once, or a refusal would
    loop."""
    doublings = min(parent.in_vain, parameters.interval_doublings_max)
    if doublings and now_ns >= last_moment_starts_ns(parent, parameters):
        doublings = 0
    return now_ns - parent.released_ns < parameters.interval_ns << doublings


def decide(view: SlicingView) -> Release:
    """The slice to release now."""
    parent, order, sampled, now_ns = view.parent, view.parent.order, view.sampled, view.now_ns
    leaves_qty = parent.unreleased_qty
    spread_px = view.market.spread_px(order.instrument)
    if spread_px is None:
        return NOTHING
    last_moment_ns = last_moment_starts_ns(parent, view.parameters)
    last_moment = now_ns >= last_moment_ns
    schedule, done_qty = SCHEDULES[order.strategy], view.done_qty
    # In the last moment all of it is due: at the end itself there is no time left to trade.
    target_qty = schedule.target_qty(view, parent.end_ns if last_moment else now_ns)
    behind_qty = target_qty - done_qty - parent.out_qty
    min_slice_qty = max(
        view.parameters.min_slice_qty, parent.order_qty * view.parameters.min_slice_ppm // PPM_ONE, parent.min_qty
    )
    if behind_qty <= 0 or (behind_qty < min(min_slice_qty, leaves_qty) and not last_moment):
        # NOTHING_DUE, or BELOW_MINIMUM_SLICE whatever the row: so at most ticks, and known without the rest.
        return NOTHING
    time_left_ppm = view.time_left_ns * PPM_ONE // max(1, parent.end_ns - parent.begin_ns)
    decision = trilemma.decide(
        trilemma.Situation(
            leaves_qty=leaves_qty,
            behind_qty=behind_qty,
            cap_qty=_cap_qty(view),
            time_left_ppm=min(time_left_ppm, view.parameters.trilemma.last_moment_ppm)
            if last_moment
            else time_left_ppm,
            remaining_risk=trilemma.remaining_risk(leaves_qty, sampled.volatility_px, view.time_left_ns),
            risk_budget=_risk_budget(order.urgency, leaves_qty, sampled.median_spread_px, view.parameters),
            spread_px=spread_px,
            median_spread_px=sampled.median_spread_px,
            depth_inside_limit_qty=depth_qty(view),
            obtainable_qty=_obtainable_qty(view),
            completion=order.completion,
            first_slice=parent.released_ns == 0,
            min_slice_qty=min_slice_qty,
            lot_qty=view.lot_qty,
            least_qty=parent.min_qty,
            limit_in_spread=_limit_in_spread(view),
        ),
        view.parameters.trilemma,
    )
    # What rests must be back in hand before the last moment, or it could not be crossed then.
    expire_ns = min(now_ns + _life_ns(decision.style, view.parameters), parent.end_ns)
    if now_ns < last_moment_ns:
        expire_ns = min(expire_ns, last_moment_ns)
    why = f"{decision.row}: target {target_qty}, done {done_qty}, out {parent.out_qty}"
    basis = schedule.basis(view)
    return Release(decision.size_qty, decision.style, expire_ns, f"{why}, {basis}" if basis else why)


def is_cap_below_need(view: SlicingView) -> bool:
    """Whether a MUST parent (with the siblings that share its cap) can no longer be completed under the cap."""
    # Whether time is up is not asked here: that has a reason of its own.
    return trilemma.completion_at_risk(
        Completion.MUST, view.siblings.unexecuted_qty, _obtainable_qty(view), max(1, view.time_left_ns)
    )


def depth_qty(view: SlicingView) -> int:
    """Units displayed inside the parent's limit, at the venues where it may be worked now."""
    order = view.parent.order
    return view.market.depth_inside_qty(order.instrument, view.venues, order.side, order.limit_px)


def _limit_in_spread(view: SlicingView) -> bool:
    """Whether the parent's limit lets it stand at the near touch or better, but take nothing."""
    order, quote = view.parent.order, view.market.quote(view.parent.order.instrument)
    if order.limit_px is None or quote is None or quote.bid_px is None or quote.offer_px is None:
        return False
    near_px, far_px = (quote.bid_px, quote.offer_px) if order.side is Side.BUY else (quote.offer_px, quote.bid_px)
    sign = order.side.sign
    return sign * (order.limit_px - near_px) >= 0 > sign * (order.limit_px - far_px)


def _cap_qty(view: SlicingView) -> int | None:
    """What the participation cap, shared by all siblings of the side, still allows now; None without a cap."""
    cap = _cap_of(view)
    if cap is None:
        return None
    return participation.allowance_qty(
        view.others_volume_qty, view.own_volume_qty, view.siblings.out_qty, cap, OwnVolume.INCLUDED
    )


def _cap_of(view: SlicingView) -> int | None:
    """The participation cap, parts per million; None without one."""
    cap = view.parent.order.participation_cap
    return min(cap, PPM_ONE) if cap > 0 else None


def _obtainable_qty(view: SlicingView) -> int | None:
    """What the cap will still give by the end on the volume expected; None without a cap."""
    cap = _cap_of(view)
    if cap is None:
        return None
    return trilemma.obtainable_qty(
        view.others_volume_qty, _volume_left_qty(view), view.own_volume_qty, cap, OwnVolume.INCLUDED
    )


def _volume_left_qty(view: SlicingView) -> int:
    """The market's volume expected until the parent's end.

    Where the market has traded less than was expected so far, once the window is old enough to tell, it is expected to
    go on so; where it has traded more, nothing more is expected of it.
    """
    parent = view.parent
    began_ns, end_ns = parent.counted_ns or parent.begin_ns, parent.end_ns
    expected_qty = _volume_expected_qty(view, max(view.now_ns, began_ns), end_ns)
    passed_ns = view.now_ns - began_ns
    if passed_ns * PPM_ONE < (end_ns - began_ns) * view.parameters.volume_learned_ppm:
        return expected_qty
    until_now_qty = _volume_expected_qty(view, began_ns, view.now_ns)
    if view.others_volume_qty >= until_now_qty:
        return expected_qty
    return expected_qty * view.others_volume_qty // until_now_qty


def _volume_expected_qty(view: SlicingView, from_ns: int, end_ns: int) -> int:
    """The market's usual volume between two moments: along the curve, or evenly over the session without one."""
    curve, instrument = view.curve, view.instrument
    if curve is not None:
        part = volume_between(curve.fractions, curve.bin_ns, view.day_start_ns, from_ns, end_ns)
        return curve.daily_volume_qty * part // (PPB_ONE * curve.bin_ns)
    session_ns = max(1, instrument.session_close_ns - instrument.session_open_ns)
    return max(0, instrument.daily_volume_qty) * max(0, end_ns - from_ns) // session_ns


def _risk_budget(urgency: Urgency, leaves_qty: int, median_spread_px: int, parameters: SlicingParameters) -> int | None:
    """How much remaining risk the parent's urgency bears, 1e-9 currency; None: any."""
    if urgency is Urgency.LOW or median_spread_px == 0:
        return None
    budget = leaves_qty * median_spread_px * parameters.risk_budget_spreads
    return budget // parameters.high_urgency_part if urgency is Urgency.HIGH else budget


def _life_ns(style: Style, parameters: SlicingParameters) -> int:
    match style:
        case Style.PASSIVE:
            return parameters.passive_ns
        case Style.MIDPOINT:
            return parameters.midpoint_ns
        case _:
            return parameters.taking_ns
