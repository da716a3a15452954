"""Netting conserves every unit, whatever comes in which order; and matches parties as it must."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.algos.pro_rata import monotone_floor, share_with_caps
from pipeline.domain.controls import TickKind
from pipeline.domain.market import SessionState
from pipeline.domain.orders import AccountClass, Order, Side
from pipeline.domain.parents import Cross, EpochClosed, Lineage, LineageKind, ParentKind, ParentOrder, Slice, SliceKind
from pipeline.domain.record import Owned
from pipeline.stages.netting.crossing import CrossPart, Offer, cross, few_pairs, in_bounds
from pipeline.stages.netting.eligibility import Rights
from tests.unit.stages.netting.netting_bench import (
    END,
    MID,
    PX,
    T0,
    NettingBench,
    S,
    aside,
    cancel,
    closed,
    config,
    order,
    quote,
    rule,
    slice_of,
    status,
)

SIDES = (Side.BUY, Side.SELL, Side.SELL_SHORT)
CONFIG = config(max_members=6, chunk_members=3, max_legs=7, max_parties=3)


@dataclass
class Work:
    """A parent in the hands of the simulated slicing and allocation."""

    record: ParentOrder
    order_qty: int = 0
    executed: int = 0
    taken: int = 0
    aside: int = 0
    weights: dict[str, int] = field(default_factory=dict)
    caps: dict[str, int] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    recalled: bool = False
    finished: bool = False


class World:
    """Netting, with slicing, routing and allocation played by the book of the protocol, answers late at will."""

    def __init__(self, swap_every: int) -> None:
        rules = (rule(), rule("fund", one_class=AccountClass.REGISTERED_FUND, consent_required=False))
        self.bench = NettingBench(rules=rules, config=CONFIG, swap_every=swap_every)
        self.now = T0
        self.orders: dict[str, Order] = {}
        self.crossed: dict[str, int] = {}
        self.left: dict[str, int] = {}
        self.executed: dict[str, int] = {}
        self.ended: dict[str, None] = {}
        self.works: dict[str, Work] = {}
        self.statements: dict[tuple[str, int], dict[str, int]] = {}
        self.answers: list[Slice | list[EpochClosed]] = []

    # ---------------------------------------------------------------- what happens

    def new(self, side: int, qty: int, who: int, terms: int) -> None:
        order_id = f"O{len(self.orders)}"
        made = order(
            order_id,
            SIDES[side],
            qty,
            owner=f"w{who % 5}",
            control_group=f"g{who % 3}" if who % 2 else "",
            account_class=(AccountClass.CLIENT, AccountClass.CLIENT, AccountClass.REGISTERED_FUND, AccountClass.OWN)[
                who % 4
            ],
            received_ns=self.now,
            r_crossing_consent=terms % 5 != 0,
            r_held=terms % 7 == 0,
            r_aggregation_consent=terms % 11 != 0,
            limit_px=(None, None, MID - PX, MID + PX)[terms % 4],
            end_ns=(END, END, self.now + 9 * S)[terms % 3],
        )
        self.orders[order_id] = made
        self.feed(made)

    def cancel(self, which: int) -> None:
        if self.orders:
            self.feed(cancel(f"O{which % len(self.orders)}", f"x{which}"))

    def quote(self, shift: int, spread: int) -> None:
        bid = MID + shift * 2 - spread
        self.feed(quote(self.now, bid, bid + 2 * spread))

    def execute(self, which: int, qty: int) -> None:
        works = [w for w in self.works.values() if not w.recalled and not w.finished]
        if works:
            work = works[which % len(works)]
            work.executed += min(qty, work.order_qty - work.taken - work.aside - work.executed)
            self.show(work)

    def answer(self, which: int) -> None:
        if self.answers:
            given = self.answers.pop(which % min(2, len(self.answers)))
            for message in [given] if isinstance(given, Slice) else given:
                self.feed(message)

    def finish(self, which: int) -> None:
        works = [w for w in self.works.values() if not w.recalled and not w.finished and not w.aside]
        if works:
            work = works[which % len(works)]
            work.finished = True
            self.feed(slice_of(work.record, SliceKind.FINISH))
            self.answers.append(self.close(work, final=True))

    def tick(self, step: int, kind: TickKind = TickKind.TICK) -> None:
        self.now += step
        self.check(self.bench.tick(self.now, kind=kind))

    def feed(self, *messages: Order | Slice | EpochClosed | Owned) -> None:
        for message in messages:
            if isinstance(message, EpochClosed):
                self.on_closed(message)
            self.check(self.bench.feed(message))

    # ---------------------------------------------------------------- slicing and allocation

    def show(self, work: Work) -> None:
        """Clients are shown the floor of their share: it never falls, and with crosses it never exceeds the order."""
        ids = list(work.weights)
        floors = monotone_floor([work.weights[i] for i in ids], work.executed, [work.caps[i] for i in ids])
        for order_id, floor in zip(ids, floors, strict=True):
            assert floor >= work.shown.get(order_id, 0), "progress fell"
            assert floor <= work.caps[order_id]
            work.shown[order_id] = floor

    def close(self, work: Work, final: bool) -> list[EpochClosed]:
        ids = list(work.weights)
        caps = [work.caps[i] for i in ids]
        shared = share_with_caps([work.weights[i] for i in ids], caps, work.executed)
        assert shared.unplaced == 0, "more executed than members had open"
        shares = {i: (qty, cap - qty) for i, qty, cap in zip(ids, shared.shares, caps, strict=True)}
        count = -(-len(ids) // 2)
        return [
            closed(work.record, {i: shares[i] for i in ids[2 * n : 2 * n + 2]}, final=final, chunk=(n + 1, count))
            for n in range(count)
        ]

    def on_closed(self, message: EpochClosed) -> None:
        for share in message.shares:
            self.executed[share.order_id] = self.executed.get(share.order_id, 0) + share.executed_qty
            if message.final:
                self.ended[share.order_id] = None
                self.left[share.order_id] = self.left.get(share.order_id, 0) + share.remaining_qty

    def on_parent(self, record: ParentOrder) -> None:
        if record.kind in (ParentKind.NEW, ParentKind.EPOCH):
            statement = self.statements[record.parent_id, record.epoch_no]
            assert (len(statement), sum(statement.values())) == (record.member_count, record.order_qty)
            assert min(statement.values()) > 0
            if record.kind is ParentKind.NEW:
                assert record.gross_qty == record.crossed_qty + record.order_qty
            self.works[record.parent_id] = Work(record, record.order_qty, weights=dict(statement), caps=dict(statement))
            return
        work = self.works[record.parent_id]
        match record.kind:
            case ParentKind.CROSS_ASK:
                assert not work.recalled
                unreleased = work.order_qty - work.executed - work.taken - work.aside
                work.aside = 0 if work.finished else min(record.ask_qty, unreleased)
                self.answers.append(aside(record, work.aside))
            case ParentKind.CROSS_DONE:
                assert record.crossed_qty <= work.aside
                work.aside, work.taken = 0, work.taken + record.crossed_qty
                assert sum(work.weights.values()) - sum(work.caps.values()) == work.taken
                self.show(work)
            case ParentKind.RECALL:
                assert not work.aside, "a recall waits for the ask"
                if not work.finished:
                    work.recalled = True
                    self.answers.append(self.close(work, final=False))
            case ParentKind.DONE:
                del self.works[record.parent_id]
            case _:
                raise AssertionError(record.kind)

    # ---------------------------------------------------------------- what must hold

    def check(self, made: list[Owned]) -> None:
        for record in made:
            match record:
                case Cross():
                    self.on_cross(record)
                case Lineage(kind=LineageKind.LEFT, order_id=str(order_id)):
                    assert order_id not in self.bench.state.orders
                    self.left[order_id] = self.left.get(order_id, 0) + record.left_qty
                case Lineage(kind=LineageKind.MEMBERS, parent_id=str(parent_id)):
                    into = self.statements.setdefault((parent_id, record.epoch_no), {})
                    into.update({m.order_id: m.contributed_qty for m in record.members})
                case ParentOrder():
                    self.on_parent(record)
                case _:
                    pass
        self.conserved()

    def on_cross(self, record: Cross) -> None:
        assert len(record.buys) + len(record.sells) <= CONFIG.max_legs
        assert sum(leg.qty for leg in record.buys) == record.qty == sum(leg.qty for leg in record.sells)
        assert record.bid_px < record.px < record.offer_px
        for leg in (*record.buys, *record.sells):
            self.crossed[leg.order_id] = self.crossed.get(leg.order_id, 0) + leg.qty
            if leg.parent_id is not None:
                work = self.works[leg.parent_id]
                work.caps[leg.order_id] -= leg.qty
                assert work.caps[leg.order_id] >= work.shown.get(leg.order_id, 0), "crossed what was shown as done"
        for one in record.buys:
            buy = self.orders[one.order_id]
            assert buy.request.side is Side.BUY and (buy.limit_px is None or buy.limit_px >= record.px)
            for other in record.sells:
                sell = self.orders[other.order_id]
                assert sell.request.side is not Side.BUY and (sell.limit_px is None or sell.limit_px <= record.px)
                assert buy.owner != sell.owner
                assert not buy.control_group or buy.control_group != sell.control_group
                classes = {buy.account_class, sell.account_class}
                assert AccountClass.OWN not in classes
                consents = buy.request.crossing_consent and sell.request.crossing_consent
                assert consents or classes == {AccountClass.CLIENT, AccountClass.REGISTERED_FUND}

    def conserved(self) -> None:
        state = self.bench.state
        for order_id, known in self.orders.items():
            row = None if order_id in self.ended else state.orders.get(order_id)
            done = self.crossed.get(order_id, 0) + self.executed.get(order_id, 0) + self.left.get(order_id, 0)
            open_qty = 0 if row is None else row.open_qty
            if row is not None and row.parent_id and row.told_epoch == state.parents[row.parent_id].epoch_no:
                open_qty = row.remaining_qty
            assert known.request.order_qty == done + open_qty, order_id
        for sign in (1, -1):
            assert sum(q for i, q in self.crossed.items() if self.orders[i].request.side.sign == sign) == sum(
                q for i, q in self.crossed.items() if self.orders[i].request.side.sign == -sign
            )

    def end(self) -> None:
        """Everything is answered, every parent finished: no row that speaks of an order is left."""
        self.tick(S, TickKind.DAY_END)
        while self.answers or self.works:
            while self.answers:
                self.answer(0)
            self.works = {i: work for i, work in self.works.items() if i in self.bench.state.parents}
            self.finish(0)
        assert self.bench.live_rows() == 0
        for order_id, known in self.orders.items():
            done = self.crossed.get(order_id, 0) + self.executed.get(order_id, 0) + self.left.get(order_id, 0)
            assert known.request.order_qty == done


NUMBER = st.integers(0, 1_000)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("new"), st.integers(0, 2), st.integers(1, 60), NUMBER, NUMBER),
        st.tuples(st.just("new"), st.integers(0, 2), st.integers(1, 60), NUMBER, NUMBER),
        st.tuples(st.just("cancel"), NUMBER),
        st.tuples(st.just("tick"), st.integers(0, 8 * S)),
        st.tuples(st.just("quote"), st.integers(-PX // 4, PX // 4), st.integers(0, PX // 4)),
        st.tuples(st.just("execute"), NUMBER, st.integers(1, 100)),
        st.tuples(st.just("answer"), NUMBER),
        st.tuples(st.just("answer"), NUMBER),
        st.tuples(st.just("finish"), NUMBER),
        st.tuples(st.just("halt"), st.booleans()),
    ),
    max_size=60,
)


def play(steps: list[tuple[object, ...]], swap_every: int) -> World:
    world = World(swap_every)
    for name, *numbers in steps:
        if name == "halt":
            world.feed(status(SessionState.HALTED if numbers[0] else SessionState.OPEN, world.now))
        else:
            getattr(world, str(name))(*numbers)
    world.end()
    return world


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_every_unit_is_crossed_executed_gone_or_still_there(steps: list[tuple[object, ...]]) -> None:
    play(steps, swap_every=1)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_decisions_are_the_same_whether_state_was_restored_or_not(steps: list[tuple[object, ...]]) -> None:
    restored, live = play(steps, swap_every=1), play(steps, swap_every=0)
    assert restored.bench.out == live.bench.out
    assert restored.bench.state.digest() == live.bench.state.digest()


def drawn(seed: int, length: int) -> list[tuple[object, ...]]:
    """A long day: more orders and answers than cancels and ends, so that parents live to be asked and recalled."""
    random = Random(seed)

    def number() -> int:
        return random.randrange(1_000)

    steps: list[tuple[object, ...]] = []
    for _ in range(length):
        match random.choices("nctqeafh", (8, 1, 4, 1, 3, 4, 0.3, 0.1))[0]:
            case "n":
                steps.append(("new", random.randrange(3), random.randint(1, 60), number(), number()))
            case "c":
                steps.append(("cancel", number()))
            case "t":
                steps.append(("tick", random.randrange(4 * S)))
            case "q":
                steps.append(("quote", random.randint(-PX // 8, PX // 8), random.choice((0, 10, PX // 8, PX // 4))))
            case "e":
                steps.append(("execute", number(), random.randint(1, 60)))
            case "a":
                steps.append(("answer", number()))
            case "f":
                steps.append(("finish", number()))
            case _:
                steps.append(("halt", random.random() < 0.3))
    return steps


def test_long_days_balance_and_go_through_everything() -> None:
    seen: dict[str, int] = {}
    for seed in range(60):
        try:
            world = play(drawn(seed, 120), swap_every=1 if seed % 10 == 0 else 0)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        for record in world.bench.out:
            match record:
                case Cross():
                    words = ["cross", "working" if record.buys[0].parent_id else "window"]
                case ParentOrder():
                    words = [record.kind, "later" if record.epoch_no > 1 else "first", f"{record.crossed_qty > 0}"]
                case Lineage():
                    words = [record.kind, f"{record.expired}", record.reason or ""]
                case _:
                    words = [type(record).__name__]
            label = " ".join(words).strip()
            seen[label] = seen.get(label, 0) + 1
    for label in (
        "cross window",
        "cross working",
        "NEW first True",
        "EPOCH later False",
        "RECALL first False",
        "CROSS_DONE first True",
        "CROSS_DONE first False",
        "CROSS_DONE later True",
        "DONE first False",
        "LEFT False",
        "LEFT True",
        "CANCEL_REFUSED False TOO_LATE_TO_CANCEL",
        "CANCEL_REFUSED False ALREADY_PENDING",
    ):
        assert seen.get(label, 0) > 0, f"{label} never came up: {seen}"


# -------------------------------------------------------------------- matching


@given(st.lists(st.lists(st.integers(0, 30), min_size=5, max_size=5), min_size=1, max_size=6))
def test_few_pairs_keep_every_total_in_pairs_that_were_used(crossed: list[list[int]]) -> None:
    before = [row[:] for row in crossed]
    few_pairs(crossed)
    assert [sum(row) for row in crossed] == [sum(row) for row in before]
    assert [sum(column) for column in zip(*crossed, strict=True)] == [
        sum(column) for column in zip(*before, strict=True)
    ]
    used = [(i, j) for i, row in enumerate(crossed) for j, qty in enumerate(row) if qty]
    assert all(before[i][j] for i, j in used) and min(min(row) for row in crossed) >= 0
    # A forest: no more pairs than nodes less trees.
    root = {("r", i): ("r", i) for i in range(len(crossed))} | {("c", j): ("c", j) for j in range(5)}

    def find(node: tuple[str, int]) -> tuple[str, int]:
        return node if root[node] == node else find(root[node])

    for i, j in used:
        one, other = find(("r", i)), find(("c", j))
        assert one != other, "a cycle is left"
        root[one] = other


OFFERS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 50)), min_size=1, max_size=12)


def offers(side: str, drawn: list[tuple[int, int]]) -> list[Offer]:
    found = []
    for n, (who, qty) in enumerate(drawn):
        request = order(f"{side}{n}").request
        found.append(
            Offer(
                f"{side}{n}",
                None,
                "alpha",
                "acc",
                AccountClass.CLIENT,
                f"w{who}",
                "",
                True,
                request.capacity,
                "USD",
                request.settlement_type,
                None,
                "",
                qty,
            )
        )
    return found


@settings(deadline=None)
@given(OFFERS, OFFERS)
def test_as_much_crosses_as_owners_allow_and_pieces_stay_balanced(
    buys: list[tuple[int, int]], sells: list[tuple[int, int]]
) -> None:
    bench = NettingBench()
    conditions = bench.state.market.for_cross("AMZN", T0, None)[1]
    rights = Rights([rule()], conditions, bench.state.instruments.get("AMZN", T0), T0)
    outcome = cross(offers("b", buys), offers("s", sells), MID, rights, "salt", 48)
    total = sum(part.qty for met in outcome.met for part in met.buys)
    # Owners that may not meet themselves: the most is the smaller side, or all but what one owner holds on both.
    bought, sold = sum(q for _, q in buys), sum(q for _, q in sells)
    held = [sum(q for w, q in buys if w == who) + sum(q for w, q in sells if w == who) for who in range(5)]
    assert total == min(bought, sold, *(bought + sold - both for both in held))
    ordered = {f"b{n}": q for n, (_, q) in enumerate(buys)} | {f"s{n}": q for n, (_, q) in enumerate(sells)}
    assert all(0 < qty <= ordered[order_id] for order_id, qty in outcome.crossed.items())
    for met in outcome.met:
        pieces = in_bounds(met, 3, 40)
        parts: list[CrossPart] = []
        for piece in pieces:
            assert len(piece.buys) + len(piece.sells) <= 3
            assert 40 >= sum(p.qty for p in piece.buys) == sum(p.qty for p in piece.sells) > 0
            parts += [*piece.buys, *piece.sells]
        assert sum(p.qty for p in parts) == sum(p.qty for p in (*met.buys, *met.sells))
