"""The input merge: time overtakes nothing that is older than it, and is not overtaken."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.worker.merge import Merge, Rank, rank_of
from pipeline.topics import CLOCK, CONTROLS, FILLS, LIMITS, NBBO, ORDERS, ORDERS_IN, VENUE_REPORTS

INPUTS = [
    ("controls", Rank.CONTROL),
    ("fills", Rank.OWN),
    ("limits", Rank.REFERENCE),
    ("nbbo", Rank.MARKET),
    ("orders-in", Rank.ORDERS),
    ("clock", Rank.CLOCK),
]


def merge(grace_ns: int = 0, *, ended: bool = True) -> Merge[str]:
    made: Merge[str] = Merge(INPUTS, grace_ns)
    if ended:
        end_all(made)
    return made


def end_all(of: Merge[str]) -> None:
    for name in of.names():
        of.at_end(name, 0)


def drain(of: Merge[str], now_ns: int = 0) -> list[str]:
    out = []
    while (record := of.pop(now_ns)) is not None:
        out.append(record)
    return out


def test_ranks_follow_from_topics() -> None:
    owned = frozenset({"fills", "orders"})
    for topic, rank in (
        (CONTROLS, Rank.CONTROL),
        (FILLS, Rank.OWN),
        (ORDERS, Rank.OWN),
        (VENUE_REPORTS, Rank.OWN),
        (LIMITS, Rank.REFERENCE),
        (NBBO, Rank.MARKET),
        (ORDERS_IN, Rank.ORDERS),
        (CLOCK, Rank.CLOCK),
    ):
        assert rank_of(topic, owned) is rank, topic.name


def test_controls_then_our_own_then_the_smallest_time() -> None:
    each = merge()
    for name, at_ns in (("orders-in", 1), ("nbbo", 2), ("fills", 8), ("controls", 9), ("limits", 2)):
        each.push(name, at_ns, f"{name}@{at_ns}")
    end_all(each)
    # limits first of all: nothing has been judged yet
    assert drain(each) == ["controls@9", "limits@2", "fills@8", "orders-in@1", "nbbo@2"]


def test_equal_times_go_by_rank() -> None:
    each = merge()
    assert drain(each) == []  # primed
    for name in ("clock", "orders-in", "nbbo", "limits"):
        each.push(name, 5, name)
    end_all(each)
    assert drain(each) == ["limits", "nbbo", "orders-in", "clock"]


def test_nothing_is_applied_before_reference_data_is_read_to_its_end() -> None:
    each = merge(ended=False)
    each.push("orders-in", 1, "order")
    each.at_end("clock", 0)
    each.at_end("controls", 0)
    assert each.pop(0) is None
    each.push("limits", 7, "limit")
    assert each.pop(0) == "limit"
    assert each.pop(0) is None, "there may be more"
    each.at_end("limits", 0)
    assert each.pop(0) == "order"


def test_a_tick_waits_for_an_input_that_has_not_shown_its_next_record() -> None:
    each = merge()
    each.push("clock", 10, "tick")
    each.push("orders-in", 3, "order@3")  # no longer at its end
    each.push("nbbo", 11, "quote@11")
    assert drain(each) == ["order@3"], "more orders may be on their way"
    each.push("orders-in", 9, "order@9")
    each.push("orders-in", 12, "order@12")
    end_all(each)
    assert drain(each) == ["order@9", "tick", "quote@11", "order@12"]


def test_nothing_later_than_a_waiting_tick_overtakes_it_not_even_our_own() -> None:
    each = merge()
    each.push("clock", 10, "tick")
    each.push("fills", 11, "fill@11")
    each.push("fills", 12, "fill@12")
    end_all(each)
    assert drain(each) == ["tick", "fill@11", "fill@12"]


def test_while_the_clock_has_not_shown_its_next_tick_only_controls_move() -> None:
    each = merge()
    assert drain(each) == []
    each.push("clock", 1, "tick@1")
    assert drain(each) == ["tick@1"]  # and its input is not at its end: catching up
    each.push("fills", 50, "fill@50")
    each.push("controls", 60, "kill")
    assert drain(each) == ["kill"]
    each.push("clock", 40, "tick@40")
    each.at_end("clock", 0)
    assert drain(each) == ["tick@40", "fill@50"]


def test_an_input_at_its_end_holds_a_tick_for_the_moment_of_grace() -> None:
    each = merge(grace_ns=10)
    each.push("clock", 5, "tick")
    assert each.pop(100) is None
    assert each.pop(109) is None
    assert each.pop(110) == "tick"


def test_a_new_end_starts_the_moment_of_grace_again() -> None:
    each = merge(grace_ns=10)
    each.push("clock", 5, "tick")
    assert each.pop(100) is None
    each.push("nbbo", 4, "quote")
    assert each.pop(105) == "quote"
    each.at_end("nbbo", 106)
    assert each.pop(112) is None
    assert each.pop(116) == "tick"


LOGS = st.lists(st.tuples(st.sampled_from([name for name, _ in INPUTS]), st.integers(0, 30)), max_size=60)


@given(LOGS, st.randoms(use_true_random=False))
def test_catching_up_no_tick_overtakes_or_is_overtaken_whatever_order_fetches_come_in(
    log: list[tuple[str, int]], chance: random.Random
) -> None:
    logs: dict[str, list[int]] = {name: sorted(at for n, at in log if n == name) for name, _ in INPUTS}
    each = merge(ended=False)
    taken: list[tuple[str, int]] = []
    left = {name: list(times) for name, times in logs.items()}
    pending = [name for name, _ in INPUTS]
    while pending:
        name = chance.choice(pending)
        if left[name]:
            at_ns = left[name].pop(0)
            each.push(name, at_ns, f"{name}@{at_ns}")
        else:
            each.at_end(name, 0)
            pending.remove(name)
        taken.extend((r.partition("@")[0], int(r.partition("@")[2])) for r in drain(each))
    assert sorted(taken) == sorted(log), "nothing is lost"
    now = -1
    for name, at_ns in taken:
        if name == "clock":
            now = at_ns
        elif name in ("fills", "nbbo", "orders-in"):
            assert at_ns > now, f"{name}@{at_ns} was overtaken by the tick of {now}"
    for i, (name, at_ns) in enumerate(taken):
        if name in ("fills", "nbbo", "orders-in"):
            assert all(later >= at_ns for n, later in taken[i:] if n == "clock"), "a tick was overtaken"
