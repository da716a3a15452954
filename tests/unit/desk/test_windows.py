"""A partition's tables depend only on how far it was read, whatever comes twice, late, or not at all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.desk.measures import ALL
from pipeline.desk.windows import ALERTS_KEPT, MINUTES_KEPT, Hole, PartitionTables, RecordOutcome
from pipeline.domain.orders import OrderEventKind
from pipeline.domain.record import Owned
from tests.unit.desk.records import DAY_NS, MINUTE_NS, alert, event, fill, order

WRITERS = ("intake/0", "allocation/0")


def log(count: int) -> list[tuple[int, Owned]]:
    """Orders' events of two writers, with holes in the offsets as transactions leave them."""
    made: list[tuple[int, Owned]] = []
    for no in range(count):
        kind = OrderEventKind.ACCEPTED if no % 2 == 0 else OrderEventKind.TRADE
        record = event(
            kind, no=no // 2, order_qty=10, leaves=10 if no % 2 == 0 else 3, last=0 if no % 2 == 0 else 7,
            writer=WRITERS[no % 2], seq=no // 2 + 1, at_ns=DAY_NS + no % 4 * MINUTE_NS,
        )  # fmt: skip
        made.append((no + no // 3 * 2, record))
    return made


def part_of(records: list[tuple[int, Owned]]) -> PartitionTables:
    part = PartitionTables("order-events", 0)
    for offset, record in records:
        assert part.apply(offset, 1, record) is RecordOutcome.APPLIED
    return part


def tables(part: PartitionTables) -> Any:
    shown = part.as_json(MINUTES_KEPT)
    del shown["rebuilds"]
    return shown


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 30)), max_size=12))
def test_reading_again_from_anywhere_earlier_changes_nothing(rereads: list[tuple[int, int]]) -> None:
    records = log(30)
    part, have = PartitionTables("order-events", 0), 0
    for start, end in [*rereads, (0, 30)]:
        for offset, record in records[min(start, have) : end]:
            outcome = part.apply(offset, 1, record)
            assert outcome is not RecordOutcome.GAP
        have = max(have, end)
    assert tables(part) == tables(part_of(records))


@given(st.sets(st.integers(0, 29), min_size=1, max_size=5), st.booleans())
def test_what_is_lost_on_the_way_is_noticed_and_a_rebuild_makes_it_right(lost: set[int], in_flight: bool) -> None:
    records = log(30)
    part = PartitionTables("order-events", 0)
    gaps = 0
    for no, (offset, record) in enumerate(records):
        if no in lost:
            continue
        if part.apply(offset, 1, record) is RecordOutcome.GAP:
            gaps += 1
            part.rebuild(offset)
            if in_flight:  # what was fetched before the reader went back still arrives
                for later_offset, later in records[no + 1 :]:
                    assert part.apply(later_offset, 1, later) is RecordOutcome.SKIPPED
            for again_offset, again in records:
                part.apply(again_offset, 1, again)
            break
    noticed = any(n + 2 < 30 and not set(range(n + 2, 30, 2)) <= lost for n in lost)
    assert gaps == noticed, "a gap is noticed with the writer's next record; the tail is the books' business"
    if gaps:
        assert tables(part) == tables(part_of(records))
        assert part.rebuilds == 1


def test_a_gap_that_is_there_again_after_a_rebuild_is_in_the_topic_and_is_shown() -> None:
    records = [(no, order(1, seq=seq)) for no, seq in enumerate((1, 2, 5, 6))]
    part = PartitionTables("orders", 0)
    assert [part.apply(*place(each)) for each in records[:3]] == [
        RecordOutcome.APPLIED,
        RecordOutcome.APPLIED,
        RecordOutcome.GAP,
    ]
    part.rebuild(2)
    assert [part.apply(*place(each)) for each in records] == [RecordOutcome.APPLIED] * 4
    assert part.holes == [Hole("intake/0", 3, 4, 2)]
    assert part.totals[ALL]["orders"] == 4


def test_after_a_rebuild_that_lost_something_too_the_books_can_ask_for_another() -> None:
    part = PartitionTables("orders", 0)
    part.apply(0, 1, order(1, seq=1))
    assert part.apply(2, 1, order(1, seq=3)) is RecordOutcome.GAP
    part.rebuild(2)
    part.apply(0, 1, order(1, seq=1))
    assert part.apply(2, 1, order(1, seq=3)) is RecordOutcome.APPLIED  # taken for a hole in the topic
    part.rebuild()  # the books found a record more
    part.apply(0, 1, order(1, seq=1))
    assert part.apply(2, 1, order(1, seq=3)) is RecordOutcome.GAP  # lost once more: not taken for a hole now
    part.rebuild(2)
    for offset in range(3):
        assert part.apply(offset, 1, order(1, seq=offset + 1)) is RecordOutcome.APPLIED
    assert part.holes == []
    assert part.totals[ALL]["orders"] == 3


def test_a_number_used_twice_is_counted_once_and_said() -> None:
    part = PartitionTables("fills", 0)
    part.apply(0, 1, fill(5, seq=1))
    assert part.apply(3, 1, fill(5, seq=1)) is RecordOutcome.SKIPPED
    assert (part.repeats, part.records, part.next_offset) == (1, 2, 4)
    assert part.totals[ALL]["fill_qty"] == 5


def test_what_cannot_be_read_is_counted_as_such_and_passed_over() -> None:
    part = PartitionTables("orders", 0)
    assert part.apply(0, 1, None) is RecordOutcome.APPLIED
    assert part.apply(0, 1, None) is RecordOutcome.SKIPPED
    part.apply(1, 1, order(3))
    assert (part.records, part.unreadable, part.totals[ALL]["orders"]) == (2, 1, 1)


def test_windows_are_by_the_minute_of_the_event_and_late_records_go_where_they_belong() -> None:
    part = PartitionTables("orders", 0)
    for seq, minute in enumerate((0, 2, 1, 0), 1):
        part.apply(seq, 1, order(seq, seq=seq, at_ns=DAY_NS + minute * MINUTE_NS + 59_999_999_999))
    assert {(minute - DAY_NS) // MINUTE_NS: window[ALL]["order_qty"] for minute, window in part.minutes.items()} == {
        0: 1 + 4,
        1: 3,
        2: 2,
    }


def test_old_windows_go_and_the_totals_stay() -> None:
    part = PartitionTables("orders", 0)
    for seq in range(1, MINUTES_KEPT + 3):
        part.apply(seq, 1, order(1, seq=seq, at_ns=DAY_NS + seq * MINUTE_NS))
    part.apply(5_000, 1, order(1, seq=MINUTES_KEPT + 3, at_ns=DAY_NS))  # older than all that are kept
    assert len(part.minutes) == MINUTES_KEPT
    assert min(part.minutes) == DAY_NS + 3 * MINUTE_NS
    assert part.totals[ALL]["orders"] == MINUTES_KEPT + 3


def test_a_record_without_a_time_is_in_the_totals_only() -> None:
    part = PartitionTables("alerts", 0)
    part.apply(0, 1, alert(at_ns=0))
    assert (part.totals[ALL]["alerts"], part.minutes) == (1, {})


def test_the_newest_alerts_are_kept() -> None:
    part = PartitionTables("alerts", 0)
    for seq in range(1, ALERTS_KEPT + 11):
        part.apply(seq, 1, alert(f"no {seq}", seq=seq))
    kept = [row["text"] for row in part.as_json(0)["alerts"]]
    assert (len(kept), kept[-1], part.totals[ALL]["alerts"]) == (
        ALERTS_KEPT,
        f"no {ALERTS_KEPT + 10}",
        ALERTS_KEPT + 10,
    )


def test_its_json_is_json_and_holds_as_many_windows_as_asked() -> None:
    part = part_of(log(30))
    shown = json.loads(json.dumps(part.as_json(2)))
    assert {row[0] for row in shown["minutes"]} == {DAY_NS + 2 * MINUTE_NS, DAY_NS + 3 * MINUTE_NS}
    assert part.as_json(0)["minutes"] == []
    assert shown["next_offset"] == part.next_offset
    assert shown["totals"][0] == ["all", "", part.totals[ALL]]


def test_a_record_of_an_unknown_writer_without_a_number_is_counted() -> None:
    part = PartitionTables("orders", 0)
    for offset in range(2):
        assert part.apply(offset, 1, msgspec.structs.replace(order(1), writer="", seq=0)) is RecordOutcome.APPLIED


def place(record: tuple[int, Owned]) -> tuple[int, int, Owned]:
    return record[0], 1, record[1]
