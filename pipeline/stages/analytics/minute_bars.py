"""One-minute bars from the tape: published when the minute has ended, and again, as a new revision, when it changes."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.analytics import Bar
from pipeline.domain.market import TradePrint
from pipeline.stages.analytics.sessions import Sessions
from pipeline.stages.shared.print_tape import MINUTE_NS, Tape, trade_date_of
from pipeline.state import Entry, State


class BarEntry(Entry):
    """A minute's bar: the last revision published, and whether its prints have changed since (``dirty``)."""

    instrument: str
    start_ns: int
    revision: int = 0
    dirty: bool = False


class Pending(Entry):
    """Keys of the bars that have changed since they were published, in the order of the changes."""

    minutes: list[str] = []


class MinuteBars:
    """The bars of a task and the prints they are made from; keeps its tables in ``state``."""

    def __init__(self, state: State, sessions: Sessions, bars_per_tick: int) -> None:
        self._sessions = sessions
        self._bars_per_tick = bars_per_tick
        self._tape = Tape(state)
        self._bars = state.table("bars", BarEntry)
        self._pending = state.table("pending", Pending)

    def apply(self, trade: TradePrint) -> list[tuple[int, int]]:
        """Apply a print, its cancel or correction. Returns what :meth:`Tape.apply` returns: the changed minutes."""
        changes = self._tape.apply(trade)
        for minute_ns, _ in changes:
            key = f"{trade.instrument}@{minute_ns}"
            bar = self._bars.get(key) or BarEntry(trade.instrument, minute_ns)
            if not bar.dirty:
                bar.dirty = True
                self._bars.put(key, bar)
                pending = self._pending.get("") or Pending()
                self._pending.put("", Pending([*pending.minutes, key]))
        return changes

    def closed(self, now_ns: int) -> Iterator[Bar]:
        """New revisions of the bars that changed and whose minute ended by ``now_ns`` (session time).

        At most ``bars_per_tick``, so that a history loaded at once does not make one very long step.
        """
        pending = self._pending.get("")
        if pending is None or not pending.minutes:
            return
        later: list[str] = []
        published = 0
        for key in pending.minutes:
            bar = self._bars[key]
            if bar.start_ns + MINUTE_NS > now_ns or published == self._bars_per_tick:
                later.append(key)
                continue
            published += 1
            bar.dirty = False
            bar.revision += 1
            self._bars.put(key, bar)
            yield self._summed(bar)
        if published:
            self._pending.put("", Pending(later))

    def forget_before(self, trade_date: int) -> None:
        """Drop prints and bars of UTC days before ``trade_date`` (yyyymmdd), once all their bars are published.

        From then on those bars are final: a later correction of their prints is ignored.
        """
        if any(trade_date_of(self._bars[key].start_ns) < trade_date for key in self._pending_keys()):
            return  # some are not published yet: tried again at the next new day
        self._tape.forget_before(trade_date)
        for key in self._bars.keys():
            if trade_date_of(self._bars[key].start_ns) < trade_date:
                self._bars.remove(key)

    def _pending_keys(self) -> list[str]:
        pending = self._pending.get("")
        return [] if pending is None else pending.minutes

    def _summed(self, bar: BarEntry) -> Bar:
        prints = list(self._tape.minute(bar.instrument, bar.start_ns))
        # By event time; of two with the same time, the one that was read first comes first (sorted is stable).
        lasts = [kept.px for kept in sorted(prints, key=lambda kept: kept.event_ns) if kept.last]
        return Bar(
            instrument=bar.instrument,
            start_ns=bar.start_ns,
            revision=bar.revision,
            trade_date=self._sessions.trade_date_at(bar.instrument, bar.start_ns),
            open_px=lasts[0] if lasts else None,
            high_px=max(lasts, default=None),
            low_px=min(lasts, default=None),
            close_px=lasts[-1] if lasts else None,
            volume_qty=sum(kept.qty for kept in prints if kept.volume),
            vwap_qty=sum(kept.qty for kept in prints if kept.vwap),
            vwap_money=sum(kept.qty * kept.px for kept in prints if kept.vwap),
            print_count=len(prints),
        )
