"""Effective-dated reference data: which version holds, what is kept, and that a restore changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.controls import CreditLease
from pipeline.domain.reference import Limit, LimitScope, ReferenceKind, Venue, VenueKind
from pipeline.stages.shared.reference_data import Dated, Effective, limit_key, limits, venues
from pipeline.state import State, Task

SET, REMOVE = ReferenceKind.SET, ReferenceKind.REMOVE


def new_state() -> tuple[State, Effective[Limit]]:
    state = State(Task("test", 0, 1))
    return state, limits(state)


def limit(effective_ns: int, max_order_qty: int = 0, kind: ReferenceKind = SET, scope_id: str = "A") -> Limit:
    return Limit(
        kind=kind, scope=LimitScope.ACCOUNT, scope_id=scope_id, effective_ns=effective_ns, max_order_qty=max_order_qty
    )


KEY = limit_key(LimitScope.ACCOUNT, "A")


@pytest.mark.parametrize(
    ("versions", "now_ns", "qty", "because"),
    [
        ([], 100, None, "nothing was ever set"),
        ([(100, 1, SET)], 99, None, "not yet"),
        ([(100, 1, SET)], 100, 1, "from its moment on, the moment included"),
        ([(100, 1, SET), (200, 2, SET)], 199, 1, "the later one waits"),
        ([(100, 1, SET), (200, 2, SET)], 200, 2, "the later one holds"),
        ([(200, 2, SET), (100, 1, SET)], 150, 1, "the order of putting does not matter"),
        ([(200, 2, SET), (100, 1, SET)], 250, 2, "a late word of an earlier moment changes nothing now"),
        ([(100, 1, SET), (100, 3, SET)], 100, 3, "of one moment the last put holds"),
        ([(100, 1, SET), (200, 0, REMOVE)], 200, None, "removed"),
        ([(100, 1, SET), (200, 0, REMOVE)], 199, 1, "not removed yet"),
        ([(200, 0, REMOVE), (100, 1, SET)], 250, None, "what was removed does not come back by a late record"),
        ([(100, 1, SET), (200, 0, REMOVE), (300, 4, SET)], 300, 4, "set again"),
        ([(100, 1, ReferenceKind.UNKNOWN)], 100, None, "a kind we do not know changes nothing"),
    ],
)
def test_the_latest_effective_version_holds(
    versions: list[tuple[int, int, ReferenceKind]], now_ns: int, qty: int | None, because: str
) -> None:
    _, table = new_state()
    for effective_ns, max_order_qty, kind in versions:
        table.put(limit(effective_ns, max_order_qty, kind), now_ns=0)
    held = table.get(KEY, now_ns)
    assert (None if held is None else held.max_order_qty) == qty, because


def test_passed_versions_are_dropped_and_future_ones_kept() -> None:
    _, table = new_state()
    for effective_ns in (100, 200, 300, 400):
        table.put(limit(effective_ns, effective_ns), now_ns=0)
    table.put(limit(500, 500), now_ns=310)
    held = [table.get(KEY, now_ns) for now_ns in (299, 300, 400, 500)]
    assert [None if version is None else version.max_order_qty for version in held] == [None, 300, 400, 500]


@given(
    puts=st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 9), st.sampled_from([SET, REMOVE]), st.integers(0, 5)), max_size=12
    ),
    later=st.integers(0, 10),
)
def test_dropping_never_changes_what_holds_from_now_on(
    puts: list[tuple[int, int, ReferenceKind, int]], later: int
) -> None:
    _, table = new_state()
    now_ns = 0
    everything: list[Limit] = []
    for effective_ns, qty, kind, passes in puts:
        now_ns += passes
        everything.append(limit(effective_ns, qty, kind))
        table.put(everything[-1], now_ns)
    at = now_ns + later
    holding = [r for r in everything if r.effective_ns <= at]
    # max() takes the first of equals; reversed makes that the last put.
    expected = max(reversed(holding), key=lambda r: r.effective_ns) if holding else None
    if expected is not None and expected.kind is REMOVE:
        expected = None
    assert table.get(KEY, at) == expected


def test_a_restore_gives_the_same_answers() -> None:
    state, table = new_state()
    table.put(limit(100, 1), 0)
    table.put(limit(200, 2, REMOVE), 0)
    table.put(limit(100, 7, scope_id="B/with/slashes"), 0)
    restored, restored_table = new_state()
    for key, value in state.dump():
        restored.load(key, value)
    assert restored.digest() == state.digest()
    keys = table.keys()
    assert restored_table.keys() == keys
    for now_ns in (0, 100, 200):
        for key in keys:
            assert restored_table.get(key, now_ns) == table.get(key, now_ns)
    assert type(restored_table.get(KEY, 100)) is Limit


def test_standing_lists_what_is_set_by_key() -> None:
    state = State(Task("test", 0, 1))
    table = venues(state)
    for code, effective_ns, kind in (("Z", 1, SET), ("A", 1, SET), ("M", 9, SET), ("B", 1, SET), ("B", 2, REMOVE)):
        table.put(
            Venue(
                kind=kind,
                venue=code,
                effective_ns=effective_ns,
                venue_kind=VenueKind.LIT,
                maker_fee_px=0,
                taker_fee_px=0,
                latency_ns=0,
                latency_jitter_ns=0,
            ),
            0,
        )
    assert [venue.venue for venue in table.standing(5)] == ["A", "Z"]
    assert len(table) == 4


def test_records_without_a_kind_are_dated_too() -> None:
    state = State(Task("test", 0, 1))
    leases: Dated[CreditLease] = Dated(state, "leases", CreditLease, lambda lease: lease.account)
    leases.put(CreditLease(account="A", partition=0, lease_no=1, leased=5, effective_ns=10), 0)
    leases.put(CreditLease(account="A", partition=0, lease_no=2, leased=None, effective_ns=20), 0)
    held = [leases.get("A", now_ns) for now_ns in (9, 10, 20)]
    assert [None if lease is None else lease.lease_no for lease in held] == [None, 1, 2]
