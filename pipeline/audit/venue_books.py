"""What venues say we did against what we have booked: each execution once, by (venue, session, trade date, ExecID)."""

from __future__ import annotations

from typing import Final

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind, ReportKind, VenueReport

DESK_SESSION: Final = "DESK"
"""Fills the desk has declared have no report of a venue."""

_Id = tuple[str, str, int, str]
_Stand = tuple[int, int, int]
"""Quantity, money, fee."""

_NOTHING: Final[_Stand] = (0, 0, 0)


class VenueBooks:
    """Both sides, execution by execution."""

    def __init__(self) -> None:
        self._reported: dict[_Id, _Stand] = {}
        self._restatements: list[tuple[_Id, VenueReport]] = []
        self._root: dict[_Id, _Id] = {}
        self._instrument: dict[_Id, str] = {}
        self._filled: dict[_Id, _Stand] = {}
        self._by_fill: dict[str, _Id] = {}
        self._doubled = 0
        self._not_ours: dict[tuple[str, str], None] = {}

    def on_report(self, report: VenueReport) -> None:
        """An ExecutionReport; only executions, busts and corrections matter here."""
        key = report.venue, report.session_id, report.trade_date, report.exec_id
        stand = report.last_qty, report.last_qty * (report.last_px or 0), report.fee
        if report.kind is ReportKind.TRADE:
            self._reported.setdefault(key, stand)  # the same ExecID again is a repeat, whatever it says
            self._instrument.setdefault(key, report.instrument)
        elif report.kind in (ReportKind.BUST, ReportKind.CORRECT) and report.exec_ref_id:
            named = report.venue, report.session_id, report.trade_date, report.exec_ref_id
            root = self._root.get(named, named)
            if key not in self._root:
                self._root[key] = root
                self._restatements.append((root, report))

    def on_fill(self, fill: Fill) -> None:
        """A TRADE, BUST or CORRECT of ours."""
        if fill.session_id == DESK_SESSION:
            return
        stand = fill.last_qty, fill.last_qty * (fill.last_px or 0), fill.fee
        if fill.kind is FillKind.TRADE:
            key = fill.venue, fill.session_id, fill.trade_date, fill.exec_id
            self._doubled += key in self._filled
            self._filled[key] = stand
            self._by_fill[fill.fill_id] = key
        else:
            key = self._by_fill.get(fill.ref_fill_id or "", ("", "", 0, fill.fill_id))
            self._filled[key] = _NOTHING if fill.kind is FillKind.BUST else stand

    def on_alert(self, alert: Alert) -> None:
        """DontKnowTrade: a report that was answered and not booked."""
        if alert.kind is AlertKind.DONT_KNOW:
            self._not_ours[alert.instrument, alert.subject_id] = None

    def lines(self) -> list[tuple[str, int, int]]:
        """(name, venues', ours)."""
        said: list[_Stand] = []
        stands = self._standing()
        for key in self._reported:
            if key not in self._filled and (self._instrument[key], key[3]) in self._not_ours:
                continue
            said.append(stands[key])
        ours = list(self._filled.values())
        unequal = sum(stands.get(key) != stand for key, stand in self._filled.items())
        return [
            ("executions counted more than once", self._doubled, 0),
            ("executions the venues report, and booked", len(said), len(ours)),
            ("quantity the venues report, and booked", sum(s[0] for s in said), sum(s[0] for s in ours)),
            ("money the venues report, and booked, 1e-9", sum(s[1] for s in said), sum(s[1] for s in ours)),
            ("executions booked otherwise than reported", unequal, 0),
        ]

    def _standing(self) -> dict[_Id, _Stand]:
        """Every execution as the venue last said it is. What was busted stays so; what was not ours changes nothing."""
        stands = dict(self._reported)
        for root, report in self._restatements:
            if root in stands and stands[root] != _NOTHING and not self._is_refused(report):
                taken = report.last_qty, report.last_qty * (report.last_px or 0), report.fee
                stands[root] = _NOTHING if report.kind is ReportKind.BUST else taken
        return stands

    def _is_refused(self, report: VenueReport) -> bool:
        return (report.instrument, report.exec_id) in self._not_ours
