"""What allocation conserves, whatever happens and in whatever order the topics are seen.

A story is two parents of one instrument with common accounts: window crosses, executions, busts and corrections, a
cross between working parents' members and a client outside, a recall with cancels, a second epoch, late executions,
busts after the end. Its topics are interleaved at random, each in its own order.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain.controls import Alert
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import OrderEvent, OrderEventKind, Side
from pipeline.domain.parents import EpochClosed, ParentKind
from pipeline.domain.record import Record
from pipeline.stages.allocation.parameters import AllocationParameters
from pipeline.stages.allocation.stage import AllocationStage
from pipeline.stages.allocation.state import AllocationState
from tests.allocation_builders import (
    CORRECTIONS,
    PX,
    XYZ,
    Books,
    bust,
    cancel,
    cross,
    fill,
    left,
    order,
    parent,
    quiet,
    statement,
)
from tests.stage_bench import Bench

ACCOUNTS = ("A", "B", "C")


@dataclass
class Parent:
    """A parent's part in the story."""

    parent_id: str
    lines: list[tuple[str, str, int]]
    window: list[int]
    """What each order crossed in the window."""
    first: list[Fill]
    """Executions of the first epoch, busts and corrections among them, up to QUIET."""
    late: list[Fill]
    """The same, after QUIET."""
    out_of_parent: list[int]
    """What each member crossed out of the working parent."""
    leavers: list[int]
    """Members that cancel; nobody: the first epoch is the last."""
    second_qty: int
    """Executed in the second epoch, at the most."""

    @property
    def recalled(self) -> bool:
        return bool(self.leavers)


@st.composite
def executions(draw: st.DrawFn, parent_id: str, most: int, tag: str, earlier: list[Fill]) -> list[Fill]:
    """Up to ``most`` executed in all at any time, with busts, corrections and corrections of these of what stands."""
    standing: dict[str, Fill] = {}
    for f in earlier:
        restate(standing, f)
    found: list[Fill] = []
    for number in range(draw(st.integers(0, 6))):
        done = sum(f.last_qty for f in standing.values())
        what = draw(st.sampled_from(("trade", "trade", "bust", "correct", "correct")))
        px, fee = draw(st.integers(1, 10**12)), draw(st.integers(-50, 50))
        fill_id = f"{parent_id}-{tag}{number}"
        if what == "trade" and done < most:
            found.append(fill(fill_id, draw(st.integers(1, most - done)), px, fee, parent_id))
        elif what != "trade" and standing:
            of = standing[draw(st.sampled_from(sorted(standing)))]
            if what == "bust":
                found.append(bust(fill_id, of))
            else:
                qty = draw(st.integers(1, max(1, most - done + of.last_qty)))
                found.append(fill(fill_id, qty, px, fee, parent_id, prior=of))
        else:
            continue
        restate(standing, found[-1])
    return found


def restate(standing: dict[str, Fill], f: Fill) -> None:
    """Apply a fill to what stands: each execution under its first id, with the figures of its last correction."""
    if f.kind is FillKind.BUST:
        del standing[f.ref_fill_id or ""]
    else:
        root = f.ref_fill_id or f.fill_id
        standing[root] = msgspec.structs.replace(f, fill_id=root)


def other_order(fills: list[Fill], random: Random) -> list[Fill]:
    """The same executions in another order: each one's restatements stay behind it and in their own order, which is
    all that the topic promises; figures until now are as they were, since they are the execution's own."""
    by_execution: dict[str, list[Record]] = {}
    for f in fills:
        by_execution.setdefault(f.ref_fill_id or f.fill_id, []).append(f)
    mixed = interleaved(list(by_execution.values()), random)
    return [f for f in mixed if isinstance(f, Fill)]


@st.composite
def a_parent(draw: st.DrawFn, parent_id: str) -> Parent:
    weights = draw(st.lists(st.integers(1, 30), min_size=1, max_size=5))
    accounts = [draw(st.sampled_from(ACCOUNTS)) for _ in weights]
    lines = [(f"{parent_id}-O{i}", account, w) for i, (w, account) in enumerate(zip(weights, accounts, strict=True))]
    window = [draw(st.integers(0, 9)) for _ in weights]
    # Netting bounds what it crosses by what slicing set aside: crosses and executions together fit in the epoch.
    crossed = [draw(st.integers(0, w)) if draw(st.booleans()) else 0 for w in weights]
    most = sum(weights) - sum(crossed)
    first = draw(executions(parent_id, most, "f", []))
    late = draw(executions(parent_id, most, "l", first)) if draw(st.booleans()) else []
    leavers = [i for i in range(len(weights)) if draw(st.booleans())] if draw(st.booleans()) else []
    second = draw(st.integers(0, sum(weights)))
    return Parent(parent_id, lines, window, first, late, crossed, leavers, second)


def interleaved(topics: list[list[Record]], random: Random) -> list[Record]:
    """One order of all records that keeps each topic's own."""
    left_over = [list(topic) for topic in topics if topic]
    found: list[Record] = []
    while left_over:
        topic = random.choice(left_over)
        found.append(topic.pop(0))
        left_over = [each for each in left_over if each]
    return found


class Tale:
    """A story told to a stage in one of its many orders, with ticks in between."""

    def __init__(self, parents: list[Parent], seed: int, max_records: int = 1_000) -> None:
        self.random = Random(seed)
        parameters = AllocationParameters(progress_ns=1, max_records=max_records)
        self.bench: Bench[AllocationState] = Bench(AllocationStage(parameters), swap_every=1 + seed % 3)
        self.fills: list[Fill] = []
        self.now = 1_000_000_000
        self.parents = parents
        self._first_epochs()
        for each in parents:
            if each.recalled:
                self._second_epoch(each)

    def feed(self, topics: list[list[Record]]) -> None:
        for record in interleaved(topics, self.random):
            if isinstance(record, Fill):
                self.fills.append(record)
            self.bench.feed(record)
            if self.random.random() < 0.3:
                self.tick()
        for _ in range(200):
            if not self.bench.state.work.settling:
                break
            self.tick()

    def tick(self) -> None:
        self.now += self.random.randrange(1, 10)
        self.bench.tick(self.now)

    def _first_epochs(self) -> None:
        orders: list[Record] = []
        crosses: list[Record] = []
        lineage: list[Record] = []
        parents: list[Record] = []
        fills: list[list[Record]] = []
        for p in self.parents:
            for (order_id, account, weight), window, crossed in zip(p.lines, p.window, p.out_of_parent, strict=True):
                orders.append(order(order_id, weight + window, account=account))
                if window:
                    orders.append(order(f"{order_id}-W", window, Side.SELL))
                    crosses.append(
                        cross(f"{order_id}-XW", [(order_id, window, None)], [(f"{order_id}-W", window, None)], 7 * PX)
                    )
                if crossed:
                    orders.append(order(f"{order_id}-S", crossed, Side.SELL))
            parents.append(parent(p.parent_id, lines=p.lines))
            lineage += statement(p.parent_id, p.lines, chunk=2)
            total = sum(p.out_of_parent)
            for (order_id, _, _), crossed in zip(p.lines, p.out_of_parent, strict=True):
                if crossed:
                    mine, other = (order_id, crossed, p.parent_id), (f"{order_id}-S", crossed, None)
                    crosses.append(cross(f"{order_id}-XP", [mine], [other], px=9 * PX))
            if total:
                parents.append(parent(p.parent_id, ParentKind.CROSS_ASK, ask_id="a"))
                parents.append(parent(p.parent_id, ParentKind.CROSS_DONE, ask_id="a", crossed_qty=total))
            if p.recalled:
                parents.append(parent(p.parent_id, ParentKind.RECALL))
                orders += [cancel(p.lines[i][0], f"k-{p.lines[i][0]}") for i in p.leavers]
            over = quiet(p.parent_id, final=not p.recalled, crossed_qty=total)
            fills.append([*p.first, over, *p.late])
        # Which parent's fills come first is part of the story, not of its telling.
        in_order = interleaved(fills, Random(len(self.parents[0].lines)))
        self.feed([orders, crosses, lineage, parents, in_order])

    def _second_epoch(self, p: Parent) -> None:
        shares = {s.order_id: s for c in self.bench.all(EpochClosed) if c.parent_id == p.parent_id for s in c.shares}
        assert set(shares) == {line[0] for line in p.lines}
        books = Books(self.bench.out)
        given = books.of_epoch(p.parent_id, 1)
        lineage: list[Record] = []
        lines: list[tuple[str, str, int]] = []
        for number, (order_id, account, _) in enumerate(p.lines):
            if order_id in books.closed:
                continue
            # Late executions and busts may have come since: netting goes by what it was told, allocation by what is.
            share = given[order_id].alloc_qty if order_id in given else 0
            changed = share - shares[order_id].executed_qty
            remaining = shares[order_id].remaining_qty - changed
            assert remaining > 0
            if number in p.leavers:
                lineage.append(left(order_id, remaining, f"k-{order_id}", p.parent_id))
            else:
                lines.append((order_id, account, remaining))
        fills: list[Record] = []
        if lines:
            lineage += statement(p.parent_id, lines, 2)
            qty = min(p.second_qty, sum(line[2] for line in lines))
            if qty:
                fills.append(fill(f"{p.parent_id}-s", qty, 11 * PX, 3, p.parent_id, 2))
            self.feed([lineage, [parent(p.parent_id, ParentKind.EPOCH, 2, lines)], [*fills, quiet(p.parent_id, 2)]])
        else:
            self.feed([lineage, [parent(p.parent_id, ParentKind.DONE)], [quiet(p.parent_id, 1)]])

    def checked(self) -> Books:
        """Everything that must hold of any story."""
        books = Books(self.bench.out)
        for p in self.parents:
            for epoch_no in (1, 2):
                if (p.parent_id, epoch_no, None) in books.reconciliations:
                    books.check_epoch(p.parent_id, epoch_no, self.fills)
            assert (p.parent_id, 1, None) in books.reconciliations, "shared out"
            last = [c for c in self.bench.all(EpochClosed) if c.parent_id == p.parent_id][-1]
            assert last.final, "the parent ended"
        books.check_orders()
        known = {e.order_id for e in self.bench.all(OrderEvent)}
        assert known == set(books.closed), "every order ended, once"
        for told in books.reconciliations.values():
            assert told.balanced
        accounts = [*ACCOUNTS, ""]
        assert sum(self.bench.state.balance(account, XYZ).qty for account in accounts) == 0
        assert sum(self.bench.state.balance(account, XYZ).fee for account in accounts) == 0
        assert [a for a in self.bench.all(Alert) if a.reason == "LEFT_QUANTITY"] == []
        return books


stories = st.tuples(a_parent("P1"), a_parent("P2")).map(list)
seeds = st.integers(0, 2**32)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(stories, seeds)
def test_everything_executed_and_crossed_comes_home(story: list[Parent], seed: int) -> None:
    books = Tale(story, seed).checked()
    for p in story:
        for (order_id, _, _), window, crossed in zip(p.lines, p.window, p.out_of_parent, strict=True):
            assert books.events.get(order_id) is None or books.events[order_id][-1].crossed_qty == window + crossed


@quick
@given(stories, seeds, seeds)
def test_what_comes_home_does_not_depend_on_how_topics_interleave(story: list[Parent], one: int, other: int) -> None:
    first, second = Tale(story, one).checked(), Tale(story, other).checked()
    assert first.shares() == second.shares()
    assert first.ends() == second.ends()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data(), seeds, seeds, st.booleans())
def test_what_comes_home_does_not_depend_on_the_order_of_executions_and_what_restates_them(
    weights: list[int], data: st.DataObject, one: int, other: int, final: bool
) -> None:
    """Any order of executions, busts and corrections of corrections before routing's QUIET, and any order of those
    that come late, the orders ended or not: quantity, price and fee of every member and of the error account are the
    same."""
    fills = data.draw(executions("P", 2 * sum(weights), "f", []))
    lines = [(f"O{i}", ACCOUNTS[i % 3], w) for i, w in enumerate(weights)]
    cut = data.draw(st.integers(0, len(fills) // 2))
    before, after = fills[:cut], fills[cut:]

    def books(seed: int) -> tuple[dict[tuple[str, str, int, str], tuple[int, int, int]], tuple[int, ...]]:
        random = Random(seed)
        early = other_order(before, random)
        late = other_order(after, random)
        bench: Bench[AllocationState] = Bench(AllocationStage(AllocationParameters(progress_ns=1)), swap_every=3)
        bench.feed(*[order(o, w, account=a) for o, a, w in lines], *statement("P", lines), parent("P", lines=lines))
        if not final:
            bench.feed(parent("P", ParentKind.RECALL))
        now = 1_000
        for record in [*early, quiet("P", final=final), *late]:
            bench.feed(record)
            now += 10
            bench.tick(now)
        told = Books(bench.out)
        told.check_epoch("P", 1, [*early, *late])
        told.check_orders()
        last = told.reconciliations["P", 1, None]
        sums = last.executed_qty, last.allocated_qty, last.error_account_qty, last.executed_money, last.executed_fee
        return told.shares(), sums

    assert books(one) == books(other)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories, seeds, st.integers(1, 6))
def test_nor_on_how_much_a_step_may_write(story: list[Parent], seed: int, max_records: int) -> None:
    whole, bit_by_bit = Tale(story, seed), Tale(story, seed, max_records)
    assert whole.checked().shares() == bit_by_bit.checked().shares()
    assert whole.checked().ends() == bit_by_bit.checked().ends()


@quick
@given(st.lists(st.integers(1, 30), min_size=1, max_size=7), st.data(), seeds)
def test_without_busts_nothing_shown_is_ever_taken_back(weights: list[int], data: st.DataObject, seed: int) -> None:
    total = sum(weights)
    cuts = sorted(data.draw(st.lists(st.integers(0, total), max_size=6)))
    sizes = [b - a for a, b in zip([0, *cuts], cuts, strict=False) if b > a]
    fills = [fill(f"P-f{i}", qty, PX + i, 1, "P") for i, qty in enumerate(sizes)]
    lines = [(f"O{i}", ACCOUNTS[i % 3], w) for i, w in enumerate(weights)]
    late_from = data.draw(st.integers(0, len(fills)))
    bench: Bench[AllocationState] = Bench(AllocationStage(AllocationParameters(progress_ns=1)))
    orders: list[Record] = [order(o, w, account=a) for o, a, w in lines]
    recall = parent("P", ParentKind.RECALL)
    told: list[Record] = [*fills[:late_from], quiet("P", final=False), *fills[late_from:]]
    topics: list[list[Record]] = [
        orders,
        list(statement("P", lines, chunk=3)),
        [parent("P", lines=lines), recall],
        told,
    ]
    now = 1_000
    for record in interleaved(topics, Random(seed)):
        bench.feed(record)
        now += 10
        bench.tick(now)
    books = Books(bench.out)
    books.check_epoch("P", 1, fills)
    events = bench.all(OrderEvent)
    restated = [e for e in events if e.kind in CORRECTIONS and e.last_qty]
    assert restated == []
    assert all(
        books.cum(o) == sum(a.alloc_qty for a in books.standing.values() if a.order_id == o) for o, _, _ in lines
    )
    assert sum(books.cum(o) for o, _, _ in lines) == sum(sizes)
    assert {e.kind for e in events} <= {OrderEventKind.TRADE, OrderEventKind.FILLED, OrderEventKind.TRADE_CORRECT}


@quick
@given(st.lists(st.integers(1, 10), min_size=1, max_size=5), st.integers(1, 80), st.integers(0, 40), st.booleans())
def test_overfills_have_an_owner(weights: list[int], executed: int, fee: int, flagged: bool) -> None:
    bench: Bench[AllocationState] = Bench(AllocationStage())
    lines = [(f"O{i}", ACCOUNTS[i % 3], w) for i, w in enumerate(weights)]
    beyond = max(0, executed - sum(weights))
    executions = [fill("P-f", executed, 99 * PX + 1, fee, overfill_qty=beyond if flagged else 0)]
    bench.feed(*[order(o, w, account=a) for o, a, w in lines], *statement("P", lines), parent("P", lines=lines))
    bench.feed(*executions, quiet("P"))
    books = Books(bench.out)
    books.check_epoch("P", 1, executions)
    books.check_orders()
    assert books.reconciliations["P", 1, None].error_account_qty == beyond
