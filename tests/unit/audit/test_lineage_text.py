"""The trees of a small life, line by line: a bust, a correction, a late over-fill, a busted cross, a refusal."""

from __future__ import annotations

from functools import cache

from msgspec.structs import replace

from pipeline.audit.lineage import History
from pipeline.domain.allocations import Allocation, AllocKind, AllocSource
from pipeline.domain.executions import Candidate, ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.orders import (
    Capacity,
    OrderEvent,
    OrderEventKind,
    OrdStatus,
    OrdType,
    Side,
    SourceEvent,
    Strategy,
    TimeInForce,
)
from pipeline.domain.parents import CrossKind, Lineage, LineageKind, Member, ParentKind, Slice, SliceKind, Style
from pipeline.domain.record import Record
from pipeline.domain.rejections import RejectReason
from tests.allocation_builders import DAY, PX, XYZ, bust, cross, fill, left, order, parent, statement

S = 1_000_000_000


def event(order_id: str, kind: OrderEventKind, no: int, status: OrdStatus, **more: object) -> OrderEvent:
    event_ = OrderEvent(
        kind=kind, source="OMS", order_id=order_id, cl_ord_id=f"c-{order_id}", ord_status=status, order_qty=30,
        event_no=no, at_ns=no * S,
    )  # fmt: skip
    return replace(event_, **more)


def child(child_id: str, wire_id: str, slice_no: int, kind: ChildKind = ChildKind.NEW, **more: object) -> ChildOrder:
    made = ChildOrder(
        kind=kind, child_id=child_id, wire_id=wire_id, parent_id="P", slice_no=slice_no, epoch_no=1, venue="XLIT",
        instrument=XYZ, side=Side.BUY, order_qty=20, ord_type=OrdType.LIMIT, limit_px=101 * PX,
        time_in_force=TimeInForce.DAY, sent_ns=4 * S, rule="CHEAPEST", scorecard_version=7, bid_px=99 * PX,
        offer_px=101 * PX, quote_no=12,
        candidates=(
            Candidate(venue="XLIT", cost_px=5_000_000, fill_rate=653_000),
            Candidate(venue="XATS", cost_px=6_000_000, fill_rate=1_000_000),
            Candidate(venue="XDRK", cost_px=-1, fill_rate=0, excluded="NO_DARK"),
        ),
    )  # fmt: skip
    return replace(made, **more)


def slice_(no: int, kind: SliceKind = SliceKind.SLICE) -> Slice:
    return Slice(
        kind=kind, parent_id="P", slice_no=no, epoch_no=1, instrument=XYZ, side=Side.BUY, qty=20, permitted_qty=36,
        style=Style.PASSIVE, why="ON_SCHEDULE", at_ns=3 * S,
    )  # fmt: skip


def of_child(made: Fill, child_id: str, exec_id: str, slice_no: int = 1, **more: object) -> Fill:
    return replace(made, child_id=child_id, exec_id=exec_id, venue="XLIT", slice_no=slice_no, venue_ns=5 * S, **more)


def allocation(alloc_id: str, order_id: str, qty: int, **more: object) -> Allocation:
    made = Allocation(
        kind=AllocKind.NEW, alloc_id=alloc_id, alloc_source=AllocSource.EXECUTIONS, instrument=XYZ, parent_id="P",
        epoch_no=1, order_id=order_id, source="OMS", cl_ord_id=f"c-{order_id}", alloc_account=f"acc-{order_id}",
        side=Side.BUY, capacity=Capacity.AGENCY, alloc_qty=qty, alloc_avg_px=100 * PX, net_money=qty * 100 * PX,
        fee=3_000_000, currency="USD", trade_date=DAY, settlement_date=DAY, at_ns=9 * S,
    )  # fmt: skip
    return replace(made, **more)


@cache
def history() -> History:
    lines = [("O0", "acc-O0", 30), ("O1", "acc-O1", 6)]
    first, second = fill("f1", 10, 100 * PX, 2_000_000), fill("f2", 4, 101 * PX)
    joined = Lineage(
        kind=LineageKind.JOINED, instrument=XYZ, bucket_id="B", at_ns=1 * S,
        members=(Member(order_id="O0", source="OMS", account="acc-O0", contributed_qty=30),),
    )  # fmt: skip
    refused = Lineage(
        kind=LineageKind.CANCEL_REFUSED, instrument=XYZ, bucket_id="B", order_id="O1", at_ns=8 * S,
        reason=RejectReason.TOO_LATE_TO_CANCEL,
    )  # fmt: skip
    began = replace(
        parent("P", lines=lines), strategy=Strategy.VWAP, end_ns=60 * S, limit_px=102 * PX, crossed_qty=4, gross_qty=40,
        at_ns=2 * S,
    )  # fmt: skip
    told = event("O0", OrderEventKind.TRADE, 2, OrdStatus.PARTIALLY_FILLED, last_qty=8, last_px=100 * PX, cum_qty=8)
    records: list[Record] = [
        order("O0", 30),
        replace(order("O1", 6), limit_px=102 * PX),
        event("O0", OrderEventKind.ACCEPTED, 1, OrdStatus.NEW, leaves_qty=30),
        replace(told, leaves_qty=22, avg_px=100 * PX + 5_000_000, text="as told"),
        SourceEvent(**{name: getattr(told, name) for name in OrderEvent.__struct_fields__}),
        event(
            "", OrderEventKind.REFUSED, 0, OrdStatus.REJECTED, cl_ord_id="bad", reason=RejectReason.KILLED, text="no"
        ),
        event("", OrderEventKind.REPEATED, 0, OrdStatus.UNKNOWN, cl_ord_id="bad", text="again"),
        joined,
        *statement("P", lines),
        refused,
        left("O1", 2, "k", "P"),
        left("O0", 3, None, "P", expired=True),
        cross("X", [("O0", 4, None)], [("S", 4, "Q")], 100 * PX + 5_000_000),
        cross("X2", [], [], kind=CrossKind.BUST, ref="X"),
        began,
        parent("P", ParentKind.CROSS_ASK, ask_id="a"),
        replace(parent("P", ParentKind.CROSS_DONE, ask_id="a", crossed_qty=5), at_ns=7 * S),
        replace(parent("P", ParentKind.RECALL), at_ns=8 * S),
        slice_(1),
        slice_(2),
        slice_(3, SliceKind.FINISH),
        child("C1", "w1", 1),
        child("C1", "w1c", 1, ChildKind.CANCEL, rule="EXPIRED", sent_ns=6 * S),
        child("C2", "w2", 2, limit_px=None, ord_type=OrdType.MARKET, venue="XATS", candidates=()),
        of_child(first, "C1", "E1"),
        of_child(second, "C1", "E2"),
        of_child(bust("b1", second), "C1", "E3"),
        of_child(fill("g1", 12, 100 * PX, 3_000_000, prior=first), "C1", "E4"),
        of_child(replace(fill("f3", 2, 99 * PX), late=True, overfill_qty=1), "C2", "E5", 2),
        replace(fill("r1", 8), kind=FillKind.RETURNED, slice_no=1, reason="EXPIRED"),
        allocation("A0-1", "O0", 9),
        allocation("A0-2", "O1", 3),
        allocation("A0-3", "O0", 8, kind=AllocKind.REPLACE, ref_alloc_id="A0-1"),
        allocation("A0-4", "O1", 0, kind=AllocKind.CANCEL, ref_alloc_id="A0-2", fee=0),
        allocation("A0-5", "O0", 4, alloc_source=AllocSource.CROSS, parent_id=None, epoch_no=0, cross_id="X", fee=0),
        allocation("A0-6", "O0", 1, parent_id="Q"),
    ]
    return History(records)


PARENT = """\
parent P, epoch 1: BUY 36 XYZ, limit 102.00, VWAP until 00:01:00.000, of 2 orders, 4 of 40 crossed before, \
bucket B, 00:00:02.000
│  ├─ 30 of order O0 for acc-O0 of OMS
│  ├─ 6 of order O1 for acc-O1 of OMS
├─ CROSS_DONE, epoch 1, 5 crossed, 00:00:07.000
├─ RECALL, epoch 1, 00:00:08.000
├─ slice 1, epoch 1: 20 PASSIVE, permitted 36, 00:00:03.000: ON_SCHEDULE
│  ├─ child C1 (on the wire w1): BUY 20 LIMIT at 101.00 DAY to XLIT, 00:00:04.000: CHEAPEST
│  ├─ CANCEL of child C1 (on the wire w1c): BUY 20 LIMIT at 101.00 DAY to XLIT, 00:00:06.000: EXPIRED
│  │  ├─ TRADE f1: 10 at 100.00, XLIT ExecID E1, fee 0.002, 00:00:05.000
│  │  ├─ TRADE f2: 4 at 101.00, XLIT ExecID E2, fee 0.00, 00:00:05.000
│  │  ├─ BUST of f2 b1: 4 at 101.00, XLIT ExecID E3, fee 0.00, 00:00:05.000
│  │  ├─ CORRECT of f1 g1: 12 at 100.00, XLIT ExecID E4, fee 0.003, 00:00:05.000
│  └─ returned 8: EXPIRED
├─ slice 2, epoch 1: 20 PASSIVE, permitted 36, 00:00:03.000: ON_SCHEDULE
│  ├─ child C2 (on the wire w2): BUY 20 MARKET DAY to XATS, 00:00:04.000: CHEAPEST
│  │  ├─ TRADE f3: 2 at 99.00, XLIT ExecID E5, fee 0.00, 00:00:05.000, late, 1 beyond what was permitted
└─ allocation A0-1: 9 at 100.00 to acc-O0 for order O0, fee 0.003, of P, epoch 1
└─ allocation A0-3 REPLACE of A0-1: 8 at 100.00 to acc-O0 for order O0, fee 0.003, of P, epoch 1
└─ allocation A0-2: 3 at 100.00 to acc-O1 for order O1, fee 0.003, of P, epoch 1
└─ allocation A0-4 CANCEL of A0-2: 0 at 100.00 to acc-O1 for order O1, fee 0.00, of P, epoch 1
"""

ORDER = """\
order O0: BUY 30 XYZ, VWAP, for acc-O0 of OMS (ClOrdID c-O0), received 00:00:00.000
├─ 00:00:01.000 ACCEPTED, now NEW, done 0, open 30
├─ 00:00:02.000 TRADE, now PARTIALLY_FILLED, 8 at 100.00, done 8, open 22, average 100.005: as told
├─ 00:00:01.000 joined bucket B with 30
├─ 00:00:00.000 member of parent P, epoch 1, with 30
├─ 00:00:00.000 left with 3 not worked any more (expired)
├─ crossed: cross X (TRADE): 4 XYZ at 100.005 (MIDPOINT), 00:00:00.000
├─ crossed: cross X2 (BUST of X): 0 XYZ at 100.00 (MIDPOINT), 00:00:00.000
├─ allocation A0-1: 9 at 100.00 to acc-O0 for order O0, fee 0.003, of P, epoch 1
├─ allocation A0-3 REPLACE of A0-1: 8 at 100.00 to acc-O0 for order O0, fee 0.003, of P, epoch 1
├─ allocation A0-5: 4 at 100.00 to acc-O0 for order O0, fee 0.00, of cross X
├─ allocation A0-6: 1 at 100.00 to acc-O0 for order O0, fee 0.003, of Q, epoch 1
"""

OTHER_ORDER = """\
order O1: BUY 6 XYZ, limit 102.00, VWAP, for acc-O1 of OMS (ClOrdID c-O1), received 00:00:00.000
├─ 00:00:00.000 member of parent P, epoch 1, with 6
├─ 00:00:08.000 CANCEL_REFUSED: TOO_LATE_TO_CANCEL
├─ 00:00:00.000 left with 2 not worked any more (cancelled)
├─ allocation A0-2: 3 at 100.00 to acc-O1 for order O1, fee 0.003, of P, epoch 1
├─ allocation A0-4 CANCEL of A0-2: 0 at 100.00 to acc-O1 for order O1, fee 0.00, of P, epoch 1
"""

CROSS = """\
cross X (TRADE): 4 XYZ at 100.005 (MIDPOINT), 00:00:00.000
├─ evidence: NBBO 99.005 / 101.005, quote 1 of 00:00:00.000; rules R1
├─ acc-O0 of OMS bought 4 by order O0, out of its window
├─ acc-S of OMS sold 4 by order S, out of parent Q
cross X2 (BUST of X): 0 XYZ at 100.00 (MIDPOINT), 00:00:00.000
├─ evidence: NBBO 99.00 / 101.00, quote 1 of 00:00:00.000; rules R1
"""

CHILD = """\
child C1 is of parent P
parent P, epoch 1: BUY 36 XYZ, limit 102.00, VWAP until 00:01:00.000, of 2 orders, 4 of 40 crossed before, \
bucket B, 00:00:02.000
│  ├─ 30 of order O0 for acc-O0 of OMS
│  ├─ 6 of order O1 for acc-O1 of OMS
├─ CROSS_DONE, epoch 1, 5 crossed, 00:00:07.000
├─ RECALL, epoch 1, 00:00:08.000
├─ slice 1, epoch 1: 20 PASSIVE, permitted 36, 00:00:03.000: ON_SCHEDULE
│  ├─ child C1 (on the wire w1): BUY 20 LIMIT at 101.00 DAY to XLIT, 00:00:04.000: CHEAPEST
│  ├─ CANCEL of child C1 (on the wire w1c): BUY 20 LIMIT at 101.00 DAY to XLIT, 00:00:06.000: EXPIRED
│  │  ├─ TRADE f1: 10 at 100.00, XLIT ExecID E1, fee 0.002, 00:00:05.000
│  │  ├─ TRADE f2: 4 at 101.00, XLIT ExecID E2, fee 0.00, 00:00:05.000
│  │  ├─ BUST of f2 b1: 4 at 101.00, XLIT ExecID E3, fee 0.00, 00:00:05.000
│  │  ├─ CORRECT of f1 g1: 12 at 100.00, XLIT ExecID E4, fee 0.003, 00:00:05.000
│  └─ returned 8: EXPIRED
"""

WHY = """\
child C1 (on the wire w1): BUY 20 LIMIT at 101.00 DAY to XLIT, 00:00:04.000: CHEAPEST
  slice 1                 20 PASSIVE: ON_SCHEDULE
  quote at the decision   quote 12: 99.00 / 101.00
  rule                    CHEAPEST
  scorecard               7 executions seen
  candidates              venue      cost a unit   fills   verdict
                          XLIT             0.005   65.3%   chosen
                          XATS             0.006  100.0%   ranked behind
                          XDRK      -0.000000001    0.0%   NO_DARK
"""


def tree(wanted: str) -> str:
    lines = history().tree(wanted)
    assert lines is not None
    return "\n".join(lines) + "\n"


def inner(order_of: str) -> str:
    """The parent as it is shown within an order's own tree: without the other members, without allocations."""
    lines = [line for line in PARENT.splitlines() if " of order " not in line and not line.startswith("└─ allocation")]
    return f"└─ worked in parent P:\n{''.join(f'   {line}' + chr(10) for line in lines)}"


def test_a_parents_tree() -> None:
    assert tree("P") == PARENT


def test_an_orders_tree_says_that_its_cross_was_busted() -> None:
    assert tree("O0") == ORDER + inner("O0")
    assert tree("A0-3") == "allocation A0-3 is of order O0\n" + tree("O0")


def test_an_order_is_found_by_its_clients_id() -> None:
    assert tree("c-O1") == tree("O1") == OTHER_ORDER + inner("O1")


def test_a_crosss_tree_is_found_by_any_of_its_ids() -> None:
    assert tree("X") == tree("X2") == CROSS


def test_a_childs_tree_shows_that_child_only() -> None:
    assert tree("C1") == CHILD
    for wanted in ("f1", "E1", "E3", "g1"):
        assert tree(wanted) == f"execution {wanted} is of child C1\n" + CHILD.partition("\n")[2]


def test_why_a_child_was_sent() -> None:
    lines = history().explain("C1")
    assert lines is not None and "\n".join(lines) + "\n" == WHY
    assert history().explain("w1") == lines == history().explain("w1c")


def test_what_was_refused_or_repeated_is_told_by_the_requests_id() -> None:
    assert tree("bad") == "request bad of OMS was refused: KILLED (no)\nrequest bad of OMS REPEATED: again\n"


def test_of_many_members_the_first_are_shown_and_the_others_counted() -> None:
    lines = [(f"O{no}", "A", 1) for no in range(14)]
    many = History([*statement("Q", lines), parent("Q", lines=lines)]).tree("Q")
    assert many is not None and len(many) == 14
    assert many[12:] == ["│  ├─ 1 of order O11 for A of OMS", "│  └─ … and 2 more"]
    twelve = History([*statement("Q", lines[:12]), parent("Q", lines=lines[:12])]).tree("Q")
    assert twelve is not None and len(twelve) == 13 and "more" not in twelve[-1]


def test_an_order_of_which_only_events_are_there_says_so() -> None:
    alone = History([event("O9", OrderEventKind.ACCEPTED, 1, OrdStatus.NEW, leaves_qty=30)]).tree("O9")
    assert alone == [
        "order O9: only its events are recorded",
        "├─ 00:00:01.000 ACCEPTED, now NEW, done 0, open 30",
    ]


def test_an_id_of_nothing_is_none() -> None:
    assert [history().tree(wanted) for wanted in ("", "nobody")] == [None, None]
    assert [history().explain(wanted) for wanted in ("", "nobody")] == [None, None]
