"""What every schedule promises, whatever strategy it is for."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.orders import Side, Strategy
from pipeline.domain.parents import ParentKind, ParentOrder
from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.domain.units import NS_PER_S, PPB_ONE
from pipeline.stages.slicing.parameters import SlicingParameters
from pipeline.stages.slicing.schedule import SlicingView
from pipeline.stages.slicing.schedules.table import SCHEDULES
from pipeline.stages.slicing.state import SlicingState
from pipeline.stages.slicing.working_parent import working
from pipeline.state import Task

START_NS, END_NS = 100 * NS_PER_S, 200 * NS_PER_S
CURVE = VolumeCurve(
    instrument="X",
    version=3,
    trade_date=20260105,
    day_start_ns=0,
    bin_ns=50 * NS_PER_S,
    fractions=(0, 0, PPB_ONE // 10, PPB_ONE - PPB_ONE // 10),
    day_count=5,
    daily_volume_qty=1_000,
)


def view(strategy: Strategy, order_qty: int = 1_000, lot_qty: int = 1, curve: VolumeCurve | None = None) -> SlicingView:
    order = ParentOrder(
        kind=ParentKind.NEW,
        parent_id="P",
        instrument="X",
        bucket_id="B",
        trade_date=20260105,
        epoch_no=1,
        side=Side.BUY,
        order_qty=order_qty,
        strategy=strategy,
        start_ns=START_NS,
        end_ns=END_NS,
        at_ns=START_NS,
    )
    instrument = Instrument(
        kind=ReferenceKind.SET,
        instrument="X",
        effective_ns=0,
        tick_px=1,
        lot_qty=lot_qty,
        session_open_ns=0,
        session_close_ns=END_NS,
        reference_px=1,
        daily_volume_qty=1,
    )
    state = SlicingState(Task("slicing", 0, 1), SlicingParameters())
    if curve is not None:
        state.learn_curve(curve)
    return state.view(working(order, 0, 0), instrument)


def test_every_strategy_has_its_schedule() -> None:
    assert set(SCHEDULES) == set(Strategy)


@given(
    strategy=st.sampled_from(list(Strategy)),
    order_qty=st.integers(0, 10**6),
    lot_qty=st.sampled_from([1, 7, 100]),
    moments=st.lists(st.integers(START_NS - 10, END_NS + 10), min_size=2, max_size=6),
    curve=st.sampled_from([None, CURVE]),
)
def test_a_target_never_falls_and_is_whole_at_the_end(
    strategy: Strategy, order_qty: int, lot_qty: int, moments: list[int], curve: VolumeCurve | None
) -> None:
    schedule, moment = SCHEDULES[strategy], view(strategy, order_qty, lot_qty, curve)
    targets = [schedule.target_qty(moment, at_ns) for at_ns in sorted(moments)]
    assert targets == sorted(targets)
    assert all(0 <= qty <= order_qty and (qty % lot_qty == 0 or qty == order_qty) for qty in targets)
    assert schedule.target_qty(moment, END_NS) == order_qty


def test_what_earlier_epochs_did_counts_into_the_target() -> None:
    moment = view(Strategy.TWAP)
    parent = moment.parent
    parent.executed_qty = 300
    parent.begin_epoch(msgspec.structs.replace(parent.order, kind=ParentKind.EPOCH, epoch_no=2, order_qty=700))
    assert SCHEDULES[Strategy.TWAP].target_qty(moment, (START_NS + END_NS) // 2) == 500


@pytest.mark.parametrize(
    ("strategy", "curve", "target", "basis"),
    [
        (Strategy.TWAP, CURVE, 500, ""),
        (Strategy.VWAP, CURVE, 100, "curve v3"),
        (Strategy.VWAP, None, 500, "curve v0"),
        (Strategy.POV, CURVE, 500, ""),
        (Strategy.IS, CURVE, 500, ""),
    ],
)
def test_what_is_due_half_way_and_what_it_rests_on(
    strategy: Strategy, curve: VolumeCurve | None, target: int, basis: str
) -> None:
    moment = view(strategy, curve=curve)
    assert SCHEDULES[strategy].target_qty(moment, (START_NS + END_NS) // 2) == target
    assert SCHEDULES[strategy].basis(moment) == basis
