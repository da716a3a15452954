"""The TCA row of a child, a parent or a client order: its figures against its benchmarks, from what is kept of it.

One rule for a parent and for the orders in it: the interval goes from when it was there and might be worked (the later
of receipt and start) to its scheduled end or its cancel, once that has come; until then to its last execution. What is
not executed at the end is measured by the price it left behind (Perold's opportunity cost).
"""

from __future__ import annotations

from pipeline.algos.benchmarks import cost_bps, cost_bps_of_notional
from pipeline.algos.rounding import divide_half_even
from pipeline.algos.shortfall import Shortfall, shortfall
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.int64 import fits
from pipeline.domain.units import MILLI_BPS_ONE, PPM_ONE
from pipeline.stages.shared.print_sums import TapeSums
from pipeline.stages.tca.subjects import Subject


def begin_ns(subject: Subject) -> int:
    """Start of the interval of a subject."""
    return subject.begin_ns or subject.start_ns


def is_over(subject: Subject, now_ns: int) -> bool:
    """Whether nothing more of it will be worked. A child has no rest of its own: what it leaves is its parent's."""
    match subject.level:
        case TCALevel.PARENT:
            return subject.ended
        case TCALevel.ORDER:
            return bool(subject.scheduled_end_ns) and subject.scheduled_end_ns <= now_ns
        case _:
            return False


def row_of(subject: Subject, tape: TapeSums, last_px: int | None, now_ns: int) -> TCARow:
    """The next revision of a row. ``last_px``: the midpoint when the subject was over, None when there was none."""
    sign, qty, money = subject.side.sign, subject.qty, subject.whole_money
    start_ns, fill_end_ns = begin_ns(subject), subject.end_ns
    whole_interval = 0 < subject.scheduled_end_ns <= now_ns
    end_ns = subject.scheduled_end_ns if whole_interval else fill_end_ns
    tape_qty, tape_money = tape.between(subject.instrument, start_ns, end_ns)
    vwap_px = divide_half_even(tape_money, tape_qty) if tape_qty > 0 else None
    fill_qty, fill_money = tape.between(subject.instrument, start_ns, fill_end_ns)
    fill_vwap_px = divide_half_even(fill_money, fill_qty) if fill_qty > 0 else None
    over = is_over(subject, now_ns)
    unexecuted_qty = 0 if subject.level is TCALevel.CHILD else subject.unexecuted_qty
    lost = _lost(subject, unexecuted_qty, last_px) if over or not unexecuted_qty else None
    paper = (subject.arrival_px or 0) * (qty + unexecuted_qty)

    def against(benchmark_px: int | None) -> int | None:
        return (
            _fitting(cost_bps_of_notional(sign, money, qty, benchmark_px))
            if benchmark_px is not None and benchmark_px > 0 and qty > 0
            else None
        )

    def share(part: int | None) -> int | None:
        return None if part is None or paper <= 0 else _fitting(divide_half_even(part * MILLI_BPS_ONE, paper))

    return TCARow(
        level=subject.level,
        subject_id=subject.subject_id,
        revision=subject.revision,
        parent_id=subject.parent_id,
        instrument=subject.instrument,
        side=subject.side,
        strategy=subject.strategy,
        venue=subject.venue,
        account=subject.account,
        trade_date=subject.trade_date,
        order_qty=subject.order_qty if subject.level is not TCALevel.PARENT else _fitting(qty + unexecuted_qty) or 0,
        executed_qty=qty,
        avg_px=_fitting(divide_half_even(money, qty)) if qty > 0 else None,
        fees=subject.fees,
        arrival_px=subject.arrival_px,
        release_px=subject.release_px,
        start_ns=start_ns,
        end_ns=end_ns,
        interval_vwap_px=vwap_px,
        interval_vwap_qty=_fitting(tape_qty) or 0,
        arrival_cost_mbps=against(subject.arrival_px),
        vwap_cost_mbps=against(vwap_px),
        aggregation_delay_cost_mbps=_delay(subject),
        fee_cost_mbps=_fitting(divide_half_even(subject.fees * MILLI_BPS_ONE, money)) if money > 0 else None,
        participation=_fitting(max(0, qty) * PPM_ONE // tape_qty) if tape_qty > 0 else None,
        at_ns=now_ns,
        final=over and (whole_interval or not subject.scheduled_end_ns),
        unexecuted_qty=unexecuted_qty,
        last_px=last_px if over else None,
        delay_cost_mbps=share(lost.delay if lost is not None else None),
        trading_cost_mbps=share(lost.trading if lost is not None else None),
        opportunity_cost_mbps=share(lost.opportunity if lost is not None else None),
        explicit_cost_mbps=share(lost.explicit if lost is not None else None),
        shortfall_cost_mbps=share(lost.total if lost is not None else None),
        fill_end_ns=fill_end_ns,
        fill_vwap_px=fill_vwap_px,
        fill_vwap_qty=_fitting(fill_qty) or 0,
        fill_vwap_cost_mbps=against(fill_vwap_px),
    )


def _lost(subject: Subject, unexecuted_qty: int, last_px: int | None) -> Shortfall | None:
    """The parts of the implementation shortfall; None where a price is missing that they need."""
    if subject.level is TCALevel.CHILD or subject.arrival_px is None or subject.qty < 0:
        return None
    if last_px is None:
        if unexecuted_qty:
            return None
        last_px = subject.arrival_px
    return shortfall(
        subject.side.sign,
        subject.qty + unexecuted_qty,
        subject.qty,
        subject.whole_money,
        subject.fees,
        subject.arrival_px,
        last_px,
        subject.release_px,
    )


def _delay(subject: Subject) -> int | None:
    release_px, arrival_px = subject.release_px or 0, subject.arrival_px or 0
    if subject.level is TCALevel.CHILD or release_px <= 0 or arrival_px <= 0:
        return None
    return _fitting(cost_bps(subject.side.sign, release_px, arrival_px))


def _fitting(value: int) -> int | None:
    """A figure, or None when a message cannot hold it: an unknown cost is not a wrong one."""
    return value if fits(value) else None
