"""Adds up the tables of all workers into one picture. Pure: JSON in, JSON out.

A part (the tables of one partition) depends only on how far the partition was read. So when two workers show the same
partition (for a moment, while one takes over from the other), the part that has read further is the right one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pipeline.desk.windows import MINUTE_NS

Json = dict[str, Any]
CHECK_AGE_MS: Final = 20_000
"""A comparison with the topics older than this does not count any more."""
_SECONDS: Final = 60
_COUNTS: Final = ("records", "unreadable", "repeats", "rebuilds")


class Whole:
    """Every partition once, from all workers' answers."""

    def __init__(self, answers: Iterable[Json], expected: Iterable[tuple[str, int]]) -> None:
        """``answers``: each worker's ``{"worker": address, "parts": [...]}``; ``expected``: topic and partition of
        all."""
        self.workers: list[Json] = []
        chosen: dict[tuple[str, int], Json] = {}
        for answer in answers:
            self.workers.append({"worker": answer["worker"], "parts": len(answer["parts"])})
            for part in answer["parts"]:
                place = part["topic"], part["partition"]
                if place not in chosen or part["next_offset"] > chosen[place]["next_offset"]:
                    chosen[place] = part
        self.workers.sort(key=lambda worker: str(worker["worker"]))
        expected = sorted(expected)
        self.missing = [place for place in expected if place not in chosen]
        self.parts = [chosen[place] for place in expected if place in chosen]

    def summary(self, now_ms: int) -> Json:
        """Totals by instrument, venue and source, the last full minute, and whether figures are complete and checked.

        ``now_ms``: wall time, ms since 1970. Units of measures: :mod:`pipeline.desk.measures`.
        """
        totals = _summed(((d, t), amounts) for part in self.parts for d, t, amounts in part["totals"])
        minute_ns = self._last_full_minute()
        recent = _summed(
            ((d, t), amounts) for part in self.parts for m, d, t, amounts in part["minutes"] if m == minute_ns
        )
        closes = {name: px for part in self.parts for name, _, px in part["closes"]}
        newest_ms = max((part["newest_append_ms"] for part in self.parts), default=0)
        unchecked = [
            part for part in self.parts if part["check"] is None or now_ms - part["check"]["at_ms"] > CHECK_AGE_MS
        ]
        behind = [part for part in self.parts if part["check"] is not None and part["check"]["behind"]]
        return {
            "now_ms": now_ms,
            "complete": not self.missing,
            "missing": [f"{topic}/{partition}" for topic, partition in self.missing],
            "verified": not (self.missing or unchecked or behind or self._trouble()),
            "unchecked": len(unchecked),
            "catching_up": len(behind),
            "trouble": self._trouble(),
            "newest_append_ms": newest_ms or None,
            "checked_ms": min((part["check"]["at_ms"] for part in self.parts if part["check"]), default=None),
            "workers": self.workers,
            "topics": self._topics(),
            "minute_ns": minute_ns,
            "totals": totals.get(("all", ""), {}),
            "last_minute": _with_rate(recent.get(("all", ""), {})),
            "instruments": _rows("instrument", totals, recent, closes),
            "venues": _rows("venue", totals, recent),
            "sources": _rows("source", totals, recent),
        }

    def minutes(self, last: int) -> Json:
        """The newest ``last`` windows, oldest first: totals and by instrument, venue and source."""
        windows = _summed(((m, d, t), amounts) for part in self.parts for m, d, t, amounts in part["minutes"])
        rows = []
        for minute_ns in sorted({m for m, _, _ in windows})[-last:] if last else []:
            row: Json = {"minute_ns": minute_ns, "totals": _with_rate(windows.get((minute_ns, "all", ""), {}))}
            for dimension in ("instrument", "venue", "source"):
                row[f"{dimension}s"] = {
                    t: _with_rate(windows[m, d, t]) for m, d, t in sorted(windows) if m == minute_ns and d == dimension
                }
            rows.append(row)
        return {"complete": not self.missing, "minutes": rows}

    def alerts(self, last: int) -> Json:
        """The newest ``last`` alerts, newest first, and what was set aside of each topic."""
        alerts = [alert for part in self.parts for alert in part["alerts"]]
        alerts.sort(key=lambda alert: (alert["at_ns"], alert["writer"], alert["subject_id"]), reverse=True)
        return {"complete": not self.missing, "alerts": alerts[:last], "set_aside": self._set_aside()}

    def _set_aside(self) -> list[Json]:
        """Records from outside that were not believed, by topic and reason: how many, of which instruments, and what
        the last alert said of it, with the effect."""
        rows: dict[tuple[str, str], Json] = {}
        for part in self.parts:
            for topic, reason, instrument, _, count, text, at_ns in part.get("set_aside", ()):
                row = rows.setdefault(
                    (topic, reason),
                    {"topic": topic, "reason": reason, "count": 0, "instruments": {}, "text": "", "at_ns": 0},
                )
                row["count"] += count
                row["instruments"][instrument] = row["instruments"].get(instrument, 0) + count
                if (at_ns, text) > (row["at_ns"], row["text"]):
                    row["at_ns"], row["text"] = at_ns, text
        for row in rows.values():
            row["instruments"] = dict(sorted(row["instruments"].items()))
        return [rows[key] for key in sorted(rows)]

    def _last_full_minute(self) -> int | None:
        newest = max((row[0] for part in self.parts for row in part["minutes"]), default=None)
        return None if newest is None else newest - MINUTE_NS

    def _topics(self) -> Json:
        topics: dict[str, Json] = {}
        for part in self.parts:
            row = topics.setdefault(part["topic"], dict.fromkeys((*_COUNTS, "newest_append_ms"), 0))
            for field in _COUNTS:
                row[field] += part[field]
            row["newest_append_ms"] = max(row["newest_append_ms"], part["newest_append_ms"])
        return topics

    def _trouble(self) -> list[str]:
        said = []
        for part in self.parts:
            where = f"{part['topic']}/{part['partition']}"
            said += [
                f"{where}: {writer} {first}–{last} missing in the topic before offset {offset}"
                for writer, first, last, offset in part["holes"]
            ]
            if part["repeats"]:
                said.append(f"{where}: {part['repeats']} records with a sequence number used before, not counted")
            if part["check"] is not None:
                said += [f"{where}: {difference}" for difference in part["check"]["differences"]]
        return said


def _summed(rows: Iterable[tuple[Any, Mapping[str, int]]]) -> dict[Any, dict[str, int]]:
    sums: dict[Any, dict[str, int]] = {}
    for place, amounts in rows:
        to = sums.setdefault(place, {})
        for measure, amount in amounts.items():
            to[measure] = to.get(measure, 0) + amount
    return sums


def _with_rate(amounts: Mapping[str, int]) -> Json:
    """A window's amounts with its rates per second of session time; the only floats here, for the eye."""
    rates = {f"{m}_per_s": round(amounts.get(m, 0) / _SECONDS, 3) for m in ("orders", "fills")}
    return {**amounts, **rates}


def _rows(
    dimension: str,
    totals: Mapping[tuple[str, str], Mapping[str, int]],
    recent: Mapping[tuple[str, str], Mapping[str, int]],
    closes: Mapping[str, int] | None = None,
) -> Sequence[Json]:
    rows = []
    for d, thing in sorted(totals):
        if d == dimension:
            row = {"name": thing, "totals": totals[d, thing], "last_minute": _with_rate(recent.get((d, thing), {}))}
            rows.append(row if closes is None else {**row, "close_px": closes.get(thing)})
    return rows
