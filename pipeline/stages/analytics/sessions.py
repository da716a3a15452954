"""The sessions of each instrument, day by day, as its records told them: what a print's trading date follows from.

Sessions are kept of earlier days too, whatever time the records come: a history may be told all at once, and a clock
change moves openings in UTC. Nothing here counts from midnight UTC but the date of a moment near no known session.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.stages.shared.print_tape import MINUTE_NS, trade_date_of
from pipeline.state import Entry, State

_HALF_DAY_NS = 720 * MINUTE_NS


class TradingSession(NamedTuple):
    """A trading date, yyyymmdd, with its opening and close, ns since 1970; ``effective_ns``: of the record that says
    so."""

    trade_date: int
    open_ns: int
    close_ns: int
    effective_ns: int


class SessionDays(Entry):
    """The sessions kept of an instrument, by trading date."""

    sessions: list[TradingSession] = []


class Sessions:
    """The sessions of a task's instruments; keeps its table in ``state``."""

    def __init__(self, state: State) -> None:
        self._days = state.table("sessions", SessionDays)
        self._first: dict[str, tuple[int, int]] = {}
        """By instrument ("": of all): a trading date and its first UTC date. Derived."""

    def learn(self, record: Instrument) -> None:
        """Keep the session of a record. Of two for one date the one that takes effect later holds, whichever came
        first."""
        if record.kind is not ReferenceKind.SET:
            return
        date = record.trade_date or trade_date_of(record.session_open_ns)
        new = TradingSession(date, record.session_open_ns, record.session_close_ns, record.effective_ns)
        known = self._days.get(record.instrument) or SessionDays()
        same = next((each for each in known.sessions if each.trade_date == date), None)
        if same == new or (same is not None and same.effective_ns > new.effective_ns):
            return
        others = [each for each in known.sessions if each.trade_date != date]
        self._days.put(record.instrument, SessionDays(sorted([*others, new])))
        self._first.clear()

    def before(self, instrument: str, trade_date: int, most: int) -> list[TradingSession]:
        """The last ``most`` sessions of earlier trading dates, by date; forgets those before them."""
        sessions = self._of(instrument)
        earlier = [each for each in sessions if each.trade_date < trade_date]
        if len(earlier) > most:
            self._days.put(instrument, SessionDays([each for each in sessions if each >= earlier[-most]]))
        return earlier[-most:]

    def trade_date_at(self, instrument: str, at_ns: int) -> int:
        """The trading date of a moment: that of its session, or of the session nearest to it.

        Where none is known within half a day, the UTC date.
        """
        nearest = min(self._of(instrument), key=lambda each: _distance_ns(each, at_ns), default=None)
        if nearest is None or _distance_ns(nearest, at_ns) > _HALF_DAY_NS:
            return trade_date_of(at_ns)
        return nearest.trade_date

    def first_utc_date(self, instrument: str, trade_date: int) -> int:
        """The UTC date on which the session of ``trade_date`` opens, if that is before it: east of Greenwich it is."""
        known = self._first.get(instrument)
        if known is None or known[0] != trade_date:
            if instrument not in self._days:
                return trade_date  # prints may name instruments without end
            opens = [trade_date_of(each.open_ns) for each in self._of(instrument) if each.trade_date == trade_date]
            known = self._first[instrument] = trade_date, min([trade_date, *opens])
        return known[1]

    def first_utc_date_of_all(self, trade_date: int) -> int:
        """The earliest :func:`first_utc_date` of all instruments."""
        known = self._first.get("")
        if known is None or known[0] != trade_date:
            first = min([trade_date, *(self.first_utc_date(name, trade_date) for name in self._days.keys())])
            known = self._first[""] = trade_date, first
        return known[1]

    def _of(self, instrument: str) -> list[TradingSession]:
        known = self._days.get(instrument)
        return known.sessions if known is not None else []


def _distance_ns(session: TradingSession, at_ns: int) -> int:
    """How far a moment is from a session, ns; 0 inside."""
    if at_ns < session.open_ns:
        return session.open_ns - at_ns
    return max(0, at_ns - session.close_ns + 1)
