"""The tables of all workers added up into one picture."""

from __future__ import annotations

import json
from typing import Any

from pipeline.desk.board import CHECK_AGE_MS, Whole
from pipeline.desk.windows import PartitionTables
from pipeline.domain.controls import Alert, AlertKind
from tests.unit.desk.records import DAY_NS, MINUTE_NS, PX, alert, bar, fill, order

EXPECTED = [(topic, partition) for topic in ("orders", "fills", "bars", "alerts") for partition in (0, 1)]
AGREES = {"at_ms": 5, "behind": False, "differences": []}


def parts(behind: int = 0) -> list[dict[str, Any]]:
    """All parts; orders/0 lacks its last ``behind`` records."""
    made = {place: PartitionTables(*place) for place in EXPECTED}
    for seq in range(1, 5 - behind):
        made["orders", 0].apply(seq, 10 + seq, order(seq, seq=seq, at_ns=DAY_NS + (seq - 1) * MINUTE_NS))
    made["orders", 1].apply(7, 20, order(100, source="beta", instrument="CSCO", at_ns=DAY_NS + 3 * MINUTE_NS))
    made["fills", 0].apply(0, 30, fill(60, at_ns=DAY_NS + 3 * MINUTE_NS))
    made["bars", 0].apply(0, 1, bar(1000))
    made["alerts", 0].apply(0, 1, alert("old", at_ns=DAY_NS))
    made["alerts", 1].apply(0, 1, alert("new", at_ns=DAY_NS + 1))
    return [{**json.loads(json.dumps(made[place].as_json(60))), "check": AGREES} for place in EXPECTED]


def test_the_whole_is_the_sum_over_partitions_whoever_has_them() -> None:
    every = parts()
    alone = Whole([{"worker": "a", "parts": every}], EXPECTED)
    shared = Whole([{"worker": "a", "parts": every[::2]}, {"worker": "b", "parts": every[1::2]}], EXPECTED)
    one, two = alone.summary(99), shared.summary(99)
    assert [worker["parts"] for worker in two["workers"]] == [4, 4]
    for summary in (one, two):
        del summary["workers"]
    assert one == two
    assert one["totals"] == {
        "orders": 5, "order_qty": 110, "fills": 1, "fill_qty": 60, "fill_money": 60 * PX, "fee_money": 0,
        "market_qty": 1000, "alerts": 2,
    }  # fmt: skip
    assert [(row["name"], row["totals"]["order_qty"]) for row in one["sources"]] == [("alpha", 10), ("beta", 100)]
    assert [(row["name"], row["close_px"]) for row in one["instruments"]] == [("AMZN", PX), ("CSCO", None)]
    assert (one["complete"], one["verified"], one["newest_append_ms"], one["checked_ms"]) == (True, True, 30, 5)
    assert alone.minutes(60) == shared.minutes(60)


def test_of_two_workers_with_the_same_partition_the_one_further_on_is_shown() -> None:
    for answers in ([parts(behind=2), parts()], [parts(), parts(behind=2)]):
        whole = Whole([{"worker": str(no), "parts": each} for no, each in enumerate(answers)], EXPECTED)
        assert whole.summary(99)["totals"]["orders"] == 5


def test_a_partition_nobody_shows_is_named() -> None:
    summary = Whole([{"worker": "a", "parts": parts()[1:]}], EXPECTED).summary(99)
    assert (summary["complete"], summary["verified"], summary["missing"]) == (False, False, ["orders/0"])
    nothing = Whole([], EXPECTED)
    assert nothing.summary(99)["totals"] == {}
    assert nothing.minutes(5) == {"complete": False, "minutes": []}


def test_it_is_verified_only_when_every_part_equals_the_books_and_nothing_follows() -> None:
    for check, said in (
        (None, "not compared yet"),
        ({**AGREES, "at_ms": 99 - CHECK_AGE_MS - 1}, "compared too long ago"),
        ({**AGREES, "behind": True}, "a record follows"),
        ({**AGREES, "differences": ["records: shown 1, in the topic 2"]}, "differs"),
    ):
        every = parts()
        every[3]["check"] = check
        summary = Whole([{"worker": "a", "parts": every}], EXPECTED).summary(99)
        assert not summary["verified"], said
    assert summary["trouble"] == ["fills/1: records: shown 1, in the topic 2"]


def test_holes_and_repeats_are_shown() -> None:
    every = parts()
    every[0] |= {"holes": [["intake/0", 3, 4, 17]], "repeats": 2}
    summary = Whole([{"worker": "a", "parts": every}], EXPECTED).summary(99)
    assert len(summary["trouble"]) == 2
    assert "intake/0 3–4" in summary["trouble"][0]
    assert not summary["verified"]


def test_rates_are_of_the_last_full_minute() -> None:
    summary = Whole([{"worker": "a", "parts": parts()}], EXPECTED).summary(99)
    assert summary["minute_ns"] == DAY_NS + 2 * MINUTE_NS
    assert summary["last_minute"] == {"orders": 1, "order_qty": 3, "orders_per_s": 0.017, "fills_per_s": 0.0}
    assert summary["sources"][1]["last_minute"]["orders_per_s"] == 0.0, "beta sent in the minute still running"


def test_minutes_come_in_order_with_every_dimension_and_alerts_newest_first() -> None:
    whole = Whole([{"worker": "a", "parts": parts()}], EXPECTED)
    rows = whole.minutes(2)["minutes"]
    assert [row["minute_ns"] for row in rows] == [DAY_NS + 2 * MINUTE_NS, DAY_NS + 3 * MINUTE_NS]
    assert rows[1]["totals"]["orders"] == 2
    assert rows[1]["venues"]["XLIT"]["fill_qty"] == 60
    assert {name: row["order_qty"] for name, row in rows[1]["sources"].items()} == {"alpha": 4, "beta": 100}
    assert whole.minutes(0)["minutes"] == []
    assert [row["text"] for row in whole.alerts(9)["alerts"]] == ["new", "old"]
    assert [row["text"] for row in whole.alerts(1)["alerts"]] == ["new"]


def set_aside(
    topic: str, reason: str, instrument: str, writer: str, seq: int, count: int, at_ns: int, text: str
) -> Alert:
    return Alert(
        writer=writer, seq=seq, kind=AlertKind.SET_ASIDE, instrument=instrument, subject_id=topic, reason=reason,
        text=text, at_ns=at_ns, count=count,
    )  # fmt: skip


def test_what_was_set_aside_is_shown_by_topic_and_reason_with_its_count_and_effect() -> None:
    first, second = PartitionTables("alerts", 0), PartitionTables("alerts", 1)
    told = [
        set_aside("nbbo", "PRICE_NOT_POSITIVE", "AMZN", "intake/0", 1, 1, 5, "1 of nbbo; Effect: unknown."),
        set_aside("nbbo", "PRICE_NOT_POSITIVE", "AMZN", "intake/0", 2, 40, 70, "39 of nbbo; Effect: unknown."),
        set_aside("nbbo", "FUTURE_STAMP", "AMZN", "intake/0", 3, 2, 71, "s"),
        alert("other", writer="intake/0", seq=4),
    ]
    for offset, record in enumerate(told):
        first.apply(offset, 1, record)
    second.apply(0, 1, set_aside("nbbo", "PRICE_NOT_POSITIVE", "CSCO", "intake/1", 1, 3, 60, "3 of nbbo"))
    second.apply(1, 1, set_aside("prints", "BAD_TIME", "CSCO", "analytics/1", 1, 1, 61, "print"))
    parts_ = [json.loads(json.dumps(each.as_json(0))) for each in (first, second)]
    whole = Whole([{"worker": "a", "parts": parts_}], [("alerts", 0), ("alerts", 1)])
    assert whole.alerts(0)["set_aside"] == [
        {
            "topic": "nbbo",
            "reason": "FUTURE_STAMP",
            "count": 2,
            "instruments": {"AMZN": 2},
            "text": "s",
            "at_ns": 71,
        },
        {
            "topic": "nbbo",
            "reason": "PRICE_NOT_POSITIVE",
            "count": 43,
            "instruments": {"AMZN": 40, "CSCO": 3},
            "text": "39 of nbbo; Effect: unknown.",
            "at_ns": 70,
        },
        {"topic": "prints", "reason": "BAD_TIME", "count": 1, "instruments": {"CSCO": 1}, "text": "print", "at_ns": 61},
    ]
    del parts_[0]["set_aside"]  # as a worker of the version before answers
    older = Whole([{"worker": "a", "parts": parts_}], [("alerts", 0), ("alerts", 1)])
    assert [row["count"] for row in older.alerts(0)["set_aside"]] == [3, 1]
