"""Compares what venues report with what we have booked, each execution by (venue, session, trade date, ExecID)."""

from __future__ import annotations

from typing import Final

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind, ReportKind, VenueReport

DESK_SESSION: Final = "DESK"
"""Session of fills that the desk declared: no venue has reported them."""

_Id = tuple[str, str, int, str]
_Figures = tuple[int, int, int]
"""Quantity (units), money and fee (1e-9 currency units) of one execution."""

_NOTHING: Final[_Figures] = (0, 0, 0)


class VenueBooks:
    """Both sides' executions; each is a few figures in memory."""

    def __init__(self) -> None:
        self._reported: dict[_Id, _Figures] = {}
        self._restatements: list[tuple[_Id, VenueReport]] = []
        self._root: dict[_Id, _Id] = {}
        self._instrument: dict[_Id, str] = {}
        self._filled: dict[_Id, _Figures] = {}
        self._by_fill: dict[str, _Id] = {}
        self._doubled = 0
        self._not_ours: dict[tuple[str, str], None] = {}

    def on_report(self, report: VenueReport) -> None:
        """Enter a venue's report; only executions, busts and corrections matter here."""
        key = report.venue, report.session_id, report.trade_date, report.exec_id
        executed = report.last_qty, report.last_qty * (report.last_px or 0), report.fee
        if report.kind is ReportKind.TRADE:
            self._reported.setdefault(key, executed)  # the same ExecID again is a repeat, whatever it says
            self._instrument.setdefault(key, report.instrument)
        elif report.kind in (ReportKind.BUST, ReportKind.CORRECT) and report.exec_ref_id:
            named = report.venue, report.session_id, report.trade_date, report.exec_ref_id
            root = self._root.get(named, named)
            if key not in self._root:
                self._root[key] = root
                self._restatements.append((root, report))

    def on_fill(self, fill: Fill) -> None:
        """Enter a booking of ours: ``fill`` is a TRADE, BUST or CORRECT."""
        if fill.session_id == DESK_SESSION:
            return
        booked = fill.last_qty, fill.last_qty * (fill.last_px or 0), fill.fee
        if fill.kind is FillKind.TRADE:
            key = fill.venue, fill.session_id, fill.trade_date, fill.exec_id
            self._doubled += key in self._filled
            self._filled[key] = booked
            self._by_fill[fill.fill_id] = key
        else:
            key = self._by_fill.get(fill.ref_fill_id or "", ("", "", 0, fill.fill_id))
            self._filled[key] = _NOTHING if fill.kind is FillKind.BUST else booked

    def on_alert(self, alert: Alert) -> None:
        """Enter an alert; DONT_KNOW (FIX DontKnowTrade) names a report that we answered and did not book."""
        if alert.kind is AlertKind.DONT_KNOW:
            self._not_ours[alert.instrument, alert.subject_id] = None

    def lines(self) -> list[tuple[str, int, int]]:
        """The lines of the comparison: name, the venues' figure, ours; money in 1e-9 currency units."""
        said: list[_Figures] = []
        figures = self._as_restated()
        for key in self._reported:
            if key not in self._filled and (self._instrument[key], key[3]) in self._not_ours:
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
        """Every execution as its venue last restated it. A bust is final; a restatement that we refused is left out."""
        figures = dict(self._reported)
        for root, report in self._restatements:
            if root in figures and figures[root] != _NOTHING and not self._is_refused(report):
                taken = report.last_qty, report.last_qty * (report.last_px or 0), report.fee
                figures[root] = _NOTHING if report.kind is ReportKind.BUST else taken
        return figures

    def _is_refused(self, report: VenueReport) -> bool:
        return (report.instrument, report.exec_id) in self._not_ours
