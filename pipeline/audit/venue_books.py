"""Compares what venues report with what we have booked, each execution by venue, session and ExecID, across midnight.

Reports may come in any order: what restates an execution before it, a correction of a correction before that one. A
bust is final; else the correction holds that the venue made last, by its own time, and never before the one it names.
"""

from __future__ import annotations

from typing import Final

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind, ReportKind, VenueReport
from pipeline.domain.validators.venue_reports import check_venue_report

DESK_SESSION: Final = "DESK"
"""Session of fills that the desk declared: no venue has reported them."""
_KEPT: Final = "EXECUTION_NOT_SEEN_YET"
"""Reason of an answer to a venue that does not refuse: the restatement is kept until its execution comes."""

_EXECUTIONS: Final = (ReportKind.TRADE, ReportKind.BUST, ReportKind.CORRECT)

_Id = tuple[str, str, str]
_Figures = tuple[int, int, int]
"""Quantity (units), money and fee (1e-9 currency units) of one execution."""

_NOTHING: Final[_Figures] = (0, 0, 0)


class VenueBooks:
    """Both sides' executions; each is a few figures in memory."""

    def __init__(self) -> None:
        self._reported: dict[_Id, _Figures] = {}
        self._retold: dict[_Id, dict[_Figures, None]] = {}
        self._booked: dict[_Id, _Figures] = {}
        """Executions as they were booked first, without what restates them."""
        self._restatements: dict[_Id, VenueReport] = {}
        self._said_ns: dict[_Id, int] = {}
        self._instrument: dict[_Id, str] = {}
        self._filled: dict[_Id, _Figures] = {}
        self._by_fill: dict[str, _Id] = {}
        self._applied: dict[_Id, None] = {}
        self._doubled = 0
        self._not_ours: dict[tuple[str, str], None] = {}

    def on_report(self, report: VenueReport) -> None:
        """Enter a venue's report; only executions, busts and corrections matter here."""
        if report.kind not in _EXECUTIONS:
            return
        if check_venue_report(report).record is None:
            return  # no books could hold it; that the desk was told of it is another line
        key = report.venue, report.session_id, report.exec_id
        if report.kind is ReportKind.TRADE:
            self._told(key, _figures(report))
            self._instrument.setdefault(key, report.instrument)
            self._said_ns.setdefault(key, report.venue_ns)
        else:
            self._restatements.setdefault(key, report)

    def _told(self, key: _Id, figures: _Figures) -> None:
        """The same ExecID again is a repeat, whatever it says; of several tellings that one counts that was booked,
        since what was told before it may have been refused."""
        first = self._reported.setdefault(key, figures)
        if figures != first:
            self._retold.setdefault(key, {})[figures] = None

    def on_fill(self, fill: Fill) -> None:
        """Enter a booking of ours: ``fill`` is a TRADE, BUST or CORRECT."""
        if fill.session_id == DESK_SESSION:
            return
        if fill.kind is FillKind.TRADE:
            key = fill.venue, fill.session_id, fill.exec_id
            self._doubled += key in self._filled
            self._filled[key] = self._booked[key] = _figures(fill)
            self._by_fill[fill.fill_id] = key
        else:
            self._applied[fill.venue, fill.session_id, fill.exec_id] = None
            key = self._by_fill.get(fill.ref_fill_id or "", ("", "", fill.fill_id))
            self._filled[key] = _NOTHING if fill.kind is FillKind.BUST else _figures(fill)

    def on_alert(self, alert: Alert) -> None:
        """Enter an alert. DONT_KNOW (FIX DontKnowTrade) names a report that we answered and did not book, and so does
        CONFLICTING_EXECUTION, unless it was booked when it was told first."""
        if alert.kind in (AlertKind.DONT_KNOW, AlertKind.CONFLICTING_EXECUTION) and alert.reason != _KEPT:
            self._not_ours[alert.instrument, alert.subject_id] = None

    def lines(self) -> list[tuple[str, int, int]]:
        """The lines of the comparison: name, the venues' figure, ours; money and fees in 1e-9 currency units."""
        figures = self._as_restated()
        said = [figures[key] for key in self._reported if key in self._filled or not self._is_refused(key)]
        ours = list(self._filled.values())
        unequal = sum(figures.get(key) != booked for key, booked in self._filled.items())
        return [
            ("executions counted more than once", self._doubled, 0),
            ("executions the venues report, and booked", len(said), len(ours)),
            ("quantity the venues report, and booked", sum(s[0] for s in said), sum(s[0] for s in ours)),
            ("money the venues report, and booked, 1e-9", sum(s[1] for s in said), sum(s[1] for s in ours)),
            ("fees the venues report, and booked, 1e-9", sum(s[2] for s in said), sum(s[2] for s in ours)),
            ("executions booked otherwise than reported", unequal, 0),
        ]

    def _is_refused(self, key: _Id) -> bool:
        return (self._instrument[key], key[2]) in self._not_ours

    def _as_restated(self) -> dict[_Id, _Figures]:
        """Every execution as its venue last restated it. A restatement that we refused is left out."""
        figures = dict(self._reported)
        for key, others in self._retold.items():
            booked = self._booked.get(key)
            if booked is not None and booked in others:
                figures[key] = booked
        order = sorted((self._place(key), key) for key in self._restatements)
        for (_, _, _, _, root), key in order:
            report = self._restatements[key]
            refused = (report.instrument, report.exec_id) in self._not_ours and key not in self._applied
            if root in figures and figures[root] != _NOTHING and not refused:
                figures[root] = _NOTHING if report.kind is ReportKind.BUST else _figures(report)
        return figures

    def _place(self, key: _Id) -> tuple[int, int, int, str, _Id]:
        """Where a restatement comes among those of its execution, which is last: by the venue's time, how many others
        it restates, and ExecID."""
        exec_id = key[2]
        said_ns, depth, seen = 0, 0, {key: None}
        while (report := self._restatements.get(key)) is not None:
            said_ns, depth = max(said_ns, report.venue_ns), depth + 1
            key = key[0], key[1], report.exec_ref_id or ""
            if key in seen:  # a venue's circle
                break
            seen[key] = None
        return max(said_ns, self._said_ns.get(key, 0)), depth, len(exec_id), exec_id, key


def _figures(said: VenueReport | Fill) -> _Figures:
    return said.last_qty, said.last_qty * (said.last_px or 0), said.fee
