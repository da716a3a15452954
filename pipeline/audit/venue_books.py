"""Compares what venues report with what we have booked, each execution by (venue, session, ExecID).

The auditor's own reading of the reports: in whatever order they came, a bust is final, else the correction holds that
the venue made last. What routing has answered with DontKnow, or the door has set aside, is not expected in the books.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind, ReportKind, VenueReport
from pipeline.domain.validators.venue_reports import check_venue_report

DESK_SESSION: Final = "DESK"
"""Session of fills that the desk declared: no venue has reported them."""

_Id = tuple[str, str, str]
_Figures = tuple[int, int, int]
"""Quantity (units), money and fee (1e-9 currency units) of one execution."""

_ANY_DATE: Final = 19700101
"""The trading date is no part of what is compared: an execution under an impossible one is missed in our books."""

_NOTHING: Final[_Figures] = (0, 0, 0)


class VenueBooks:
    """Both sides' executions; each is a few figures in memory."""

    def __init__(self) -> None:
        self._reported: dict[_Id, _Figures] = {}
        self._said_ns: dict[_Id, int] = {}
        self._restatements: dict[_Id, VenueReport] = {}
        self._instrument: dict[_Id, str] = {}
        self._filled: dict[_Id, _Figures] = {}
        self._by_fill: dict[str, _Id] = {}
        self._restated: dict[_Id, None] = {}
        self._doubled = 0
        self._not_ours: dict[tuple[str, str], None] = {}

    def on_report(self, told: VenueReport) -> None:
        """Enter a venue's report; only executions, busts and corrections matter here."""
        report = check_venue_report(replace(told, trade_date=_ANY_DATE)).record
        if report is None:
            return
        key = report.venue, report.session_id, report.exec_id
        if report.kind is ReportKind.TRADE:
            # The same ExecID again is a repeat, whatever it says.
            self._reported.setdefault(key, (report.last_qty, report.last_qty * (report.last_px or 0), report.fee))
            self._said_ns.setdefault(key, report.venue_ns)
            self._instrument.setdefault(key, report.instrument)
        elif report.kind in (ReportKind.BUST, ReportKind.CORRECT):
            self._restatements.setdefault(key, report)

    def on_fill(self, fill: Fill) -> None:
        """Enter a booking of ours: ``fill`` is a TRADE, BUST or CORRECT."""
        if fill.session_id == DESK_SESSION:
            return
        booked = fill.last_qty, fill.last_qty * (fill.last_px or 0), fill.fee
        if fill.kind is FillKind.TRADE:
            key = fill.venue, fill.session_id, fill.exec_id
            self._doubled += key in self._filled
            self._filled[key] = booked
            self._by_fill[fill.fill_id] = key
        else:
            self._restated[fill.venue, fill.session_id, fill.exec_id] = None
            key = self._by_fill.get(fill.ref_fill_id or "", ("", "", fill.fill_id))
            self._filled[key] = _NOTHING if fill.kind is FillKind.BUST else booked

    def on_alert(self, alert: Alert) -> None:
        """Enter an alert: DONT_KNOW (FIX DontKnowTrade) and CONFLICTING_EXECUTION name a report that was not booked."""
        if alert.kind in (AlertKind.DONT_KNOW, AlertKind.CONFLICTING_EXECUTION):
            self._not_ours[alert.instrument, alert.subject_id] = None

    def lines(self) -> list[tuple[str, int, int]]:
        """The lines of the comparison: name, the venues' figure, ours; money in 1e-9 currency units."""
        said: list[_Figures] = []
        figures = self._as_restated()
        for key in self._reported:
            if key not in self._filled and (self._instrument[key], key[2]) in self._not_ours:
                continue
            said.append(figures[key])
        ours = list(self._filled.values())
        unequal = sum(figures.get(key) != booked for key, booked in self._filled.items())
        return [
            ("executions counted more than once", self._doubled, 0),
            ("executions the venues report, and booked", len(said), len(ours)),
            ("quantity the venues report, and booked", sum(s[0] for s in said), sum(s[0] for s in ours)),
            ("money the venues report, and booked, 1e-9", sum(s[1] for s in said), sum(s[1] for s in ours)),
            ("executions booked otherwise than reported", unequal, 0),
        ]

    def _as_restated(self) -> dict[_Id, _Figures]:
        """Every execution as its venue has restated it."""
        figures = dict(self._reported)
        holds: dict[_Id, tuple[int, int, int, str]] = {}
        for key, report in self._restatements.items():
            place = self._place(key)
            if place is None or self._is_refused(key, report):
                continue
            root, order = place
            if report.kind is ReportKind.BUST:
                figures[root] = _NOTHING
            elif figures[root] != _NOTHING and order >= holds.get(root, order):
                holds[root] = order
                figures[root] = report.last_qty, report.last_qty * (report.last_px or 0), report.fee
        return figures

    def _place(self, key: _Id) -> tuple[_Id, tuple[int, int, int, str]] | None:
        """The execution that a restatement belongs to, and which of its restatements is the later: by the venue's time,
        never before the one it names, then by who names whom, then by ExecID. None when no execution is named."""
        named, said_ns, depth = key, 0, 0
        while (report := self._restatements.get(named)) is not None and depth <= len(self._restatements):
            said_ns, depth = max(said_ns, report.venue_ns), depth + 1
            ref = report.venue, report.session_id, report.exec_ref_id or ""
            if ref == named:  # a restatement under the execution's own id
                break
            named = ref
        else:
            ref = named
        if ref not in self._reported:
            return None
        return ref, (max(said_ns, self._said_ns[ref]), depth, len(key[2]), key[2])

    def _is_refused(self, key: _Id, report: VenueReport) -> bool:
        return key not in self._restated and (report.instrument, report.exec_id) in self._not_ours
