"""One child after the other, and what the gate's refusal leaves behind."""

from __future__ import annotations

from pipeline.domain.executions import FillKind, ReportKind
from pipeline.domain.orders import OrdStatus
from pipeline.stages.routing.child_orders import through_the_gate
from pipeline.stages.routing.gate import GateReason
from pipeline.stages.routing.open_slice import OpenSlice
from pipeline.stages.routing.parameters import GateParameters
from pipeline.stages.routing.venue_selection import VenueChoice
from tests.unit.stages.routing.routing_bench import RoutingBench, kinds


def test_a_refusal_by_the_gate_is_the_callers_to_act_on_and_changes_nothing() -> None:
    bench = RoutingBench(gate=GateParameters(max_child_qty=10))
    bench.slice(5)
    state = bench.state
    (key,) = state.ledger.open_slices.keys()
    open_slice = OpenSlice(state.ledger.open_slices[key].slice)
    instrument = state.instruments.get("A", state.now_ns)
    assert instrument is not None
    choice = VenueChoice(state.market, state.scorecards, state.switches, state.parameters)
    placement = choice.next_child(open_slice, 11, instrument, state.venues.standing(state.now_ns), ())
    assert not isinstance(placement, str)
    before = dict(state.dump())
    assert through_the_gate(state, open_slice, placement) is GateReason.CHILD_TOO_LARGE
    assert dict(state.dump()) == before
    assert (open_slice.child_no, open_slice.tried) == (0, [])


def test_an_expired_slice_takes_back_its_child_though_an_earlier_one_was_opened_again() -> None:
    bench = RoutingBench()
    first = bench.one_child(bench.slice(100, lasts_s=3))
    # The venue makes it smaller, so that it is filled while the slice is not.
    bench.feed(bench.report(first, ReportKind.REPLACED, OrdStatus.NEW, leaves_qty=50))
    second = bench.one_child(bench.trade(first, 50, exec_id="E1"))
    bench.ack(second)
    bust = bench.report(
        first, ReportKind.BUST, OrdStatus.PARTIALLY_FILLED, exec_ref_id="E1", exec_id="B1", leaves_qty=50
    )
    assert [cancel.child_id for cancel in bench.cancels(bench.feed(bust))] == [first.child_id]
    (cancel,) = bench.cancels(bench.after(3))
    assert cancel.child_id == second.child_id
    out = bench.canceled(second, cancel)
    assert kinds(out) == ["Fill:RETURNED"]
    assert bench.fills(FillKind.RETURNED, out)[0].reason == "EXPIRED"
