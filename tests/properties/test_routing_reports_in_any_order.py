"""Reports that tell one truth end in the same books, in whatever order they arrive and however often.

A venue lives one order's life: executions, corrections, corrections of corrections, busts, an end; some of its busts
give the quantity back to the order, some do not. It stamps what it says with its own time, and counts. The reports are
then fed in an order that hypothesis chooses, with repeats, and compared with the order in which they were said.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.domain.executions import ChildOrder, Fill, FillKind, ReportKind, VenueReport
from pipeline.domain.orders import OrdStatus, Side
from tests.unit.stages.routing.routing_bench import BID, OFFER, PX, RoutingBench

ORDER_QTY = 100


class Venue:
    """A venue's truth of one order, and what it said of it."""

    def __init__(self, bench: RoutingBench, child: ChildOrder) -> None:
        self.bench, self.child = bench, child
        self.said: list[VenueReport] = []
        self.qty: dict[str, int] = {}
        self.root: dict[str, str] = {}
        self.last: dict[str, str] = {}
        self.order_qty, self.ended = ORDER_QTY, False

    @property
    def cum_qty(self) -> int:
        return sum(self.qty.values())

    def say(self, kind: ReportKind, **more: Any) -> None:
        leaves_qty = 0 if self.ended else max(0, self.order_qty - self.cum_qty)
        if leaves_qty == 0:
            self.ended = True
        status = OrdStatus.PARTIALLY_FILLED if self.cum_qty else OrdStatus.NEW
        if self.ended:
            status = OrdStatus.FILLED if self.cum_qty >= self.order_qty else OrdStatus.CANCELED
        report = self.bench.report(
            self.child, kind, status, cum_qty=self.cum_qty, leaves_qty=leaves_qty, fee=1_000 + len(self.said), **more
        )
        self.said.append(replace(report, venue_ns=report.venue_ns + len(self.said) + 1))

    def trade(self, n: int) -> None:
        if self.ended:
            return
        exec_id = f"E{len(self.said)}"
        self.qty[exec_id] = 1 + n % (self.order_qty - self.cum_qty)
        self.root[exec_id] = self.last[exec_id] = exec_id
        self.say(ReportKind.TRADE, exec_id=exec_id, last_qty=self.qty[exec_id], last_px=self._px(n))

    def correct(self, n: int) -> None:
        root = self._standing(n)
        if root is None:
            return
        exec_id = f"G{len(self.said)}"
        named = self.last[root] if n % 2 else root  # some venues name the last correction, some the execution
        room = self.order_qty - self.cum_qty + self.qty[root]
        self.qty[root] = 1 + n % room
        self.last[root] = exec_id
        self.say(
            ReportKind.CORRECT, exec_id=exec_id, exec_ref_id=named, last_qty=self.qty[root], last_px=self._px(n // 3)
        )

    def bust(self, n: int) -> None:
        root = self._standing(n)
        if root is None:
            return
        named = self.last[root] if n % 2 else root
        taken = self.qty.pop(root)
        if n % 3 == 0 and not self.ended:
            self.order_qty -= taken  # not given back to the order
        self.say(ReportKind.BUST, exec_id=f"B{len(self.said)}", exec_ref_id=named, last_qty=taken)

    def end(self, n: int) -> None:
        if not self.ended and n % 4 == 0:
            self.ended = True
            self.say(ReportKind.CANCELED)

    def _standing(self, n: int) -> str | None:
        standing = sorted(self.qty)
        return standing[n % len(standing)] if standing else None

    def _px(self, n: int) -> int:
        return (BID if self.child.side is Side.BUY else OFFER) - self.child.side.sign * (n % 5) * PX


def lived(side: Side, script: list[tuple[int, int]]) -> Venue:
    """A bench with one child, and all that its venue says of it, not fed yet."""
    bench = RoutingBench(swap_every=5)
    child = bench.one_child(bench.slice(ORDER_QTY, side=side, permitted_qty=ORDER_QTY))
    venue = Venue(bench, child)
    venue.say(ReportKind.NEW)
    venue.trade(script[0][1])
    for action, n in script:
        (Venue.trade, Venue.trade, Venue.correct, Venue.correct, Venue.bust, Venue.end)[action](venue, n)
    return venue


def books(bench: RoutingBench) -> dict[str, Any]:
    """What routing has booked in the end, and what `fills` says when it is added up."""
    state = bench.state
    executions = {
        key: (e.qty, None if e.busted else e.px, e.fee, e.busted)
        for key in state.executions.keys()
        if (e := state.executions[key])
    }
    told: dict[str, tuple[int, int | None, int]] = {}
    for fill in bench.all(Fill):
        match fill.kind:
            case FillKind.TRADE:
                told[f"{fill.venue}/{fill.session_id}/{fill.exec_id}"] = fill.last_qty, fill.last_px, fill.fee
            case FillKind.CORRECT | FillKind.BUST:
                key = next(k for k in state.executions.keys() if state.executions[k].fill_id == fill.ref_fill_id)
                assert told[key][0] == (fill.prior_qty or fill.last_qty) and told[key][2] == fill.prior_fee
                gone = fill.kind is FillKind.BUST
                told[key] = (0, None, 0) if gone else (fill.last_qty, fill.last_px, fill.fee)
            case _:
                pass
    (child,) = (c for i in state.ledger.children.keys() if (c := state.ledger.children[i]).order.venue == "LITA")
    parent = state.ledger.parents["P0-1"]
    assert told == {key: (qty, px, fee) for key, (qty, px, fee, _) in executions.items()}, "fills say what is booked"
    return {
        "executions": executions,
        "child": (child.life.cum_qty, child.life.owed_qty, child.life.told_cum_qty, child.differs == "COUNT"),
        "live": child.life.live_qty,
        "parent": parent.cum_qty,
    }


SCRIPT = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1_000)), min_size=1, max_size=9)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCRIPT, st.sampled_from([Side.BUY, Side.SELL]), st.randoms(use_true_random=False))
def test_any_order_with_repeats_ends_in_the_same_books(script: list[tuple[int, int]], side: Side, random: Any) -> None:
    first = lived(side, script)
    first.bench.feed(*first.said)
    expected = books(first.bench)
    assert expected["child"] == (first.cum_qty, 0, first.cum_qty, False), "our count is the venue's"
    assert expected["parent"] == first.cum_qty

    second = lived(side, script)
    heard = second.said + [random.choice(second.said) for _ in range(random.randrange(6))]
    random.shuffle(heard)
    second.bench.feed(*heard)
    assert books(second.bench) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCRIPT, st.randoms(use_true_random=False))
def test_with_all_stamps_equal_the_executions_still_end_the_same(script: list[tuple[int, int]], random: Any) -> None:
    # Without times only the naming of one report by another gives an order, and ExecIDs where there is none.
    results = []
    for shuffled in (False, True):
        venue = lived(Side.BUY, script)
        heard = [replace(report, venue_ns=1) for report in venue.said]
        if shuffled:
            heard += [random.choice(heard) for _ in range(random.randrange(6))]
            random.shuffle(heard)
        venue.bench.feed(*heard)
        found = books(venue.bench)
        results.append((found["executions"], found["parent"]))
    assert results[0] == results[1]
