"""One-minute bars from the tape: published when the minute has ended, and again, as a new revision, when it changes."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.algos.rounding import divide_half_even
from pipeline.domain.analytics import Bar
from pipeline.domain.int64 import fits, nearest
from pipeline.domain.market import TradePrint
from pipeline.stages.analytics.sessions import Sessions
from pipeline.stages.shared.print_identity import KeptPrint, NeverCame
from pipeline.stages.shared.print_tape import MINUTE_NS, Tape, TapeChange, trade_date_of
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
    trade_date: int = 0
    """The day (yyyymmdd) before which everything is forgotten."""


class MinuteBars:
    """The bars of a task and the prints they are made from; keeps its tables in ``state``."""

    def __init__(self, state: State, sessions: Sessions, bars_per_tick: int) -> None:
        self._sessions = sessions
        self._bars_per_tick = bars_per_tick
        self._tape = Tape(state)
        self._bars = state.table("bars", BarEntry)
        self._pending = state.table("pending", Pending)

    def apply(self, trade: TradePrint) -> TapeChange:
        """Apply a print, its cancel or correction."""
        change = self._tape.apply(trade)
        for minute_ns, _ in change.minutes:
            key = f"{trade.instrument}@{minute_ns}"
            bar = self._bars.get(key) or BarEntry(trade.instrument, minute_ns)
            if not bar.dirty:
                bar.dirty = True
                self._bars.put(key, bar)
                pending = self._pending.get("") or Pending()
                pending.minutes.append(key)
                self._pending.put("", pending)
        return change

    def last_sale(self, instrument: str) -> KeptPrint | None:
        """The last of the prints kept that may be the last sale, by event time; None when there is none."""
        return self._tape.last_sale(instrument)

    def restored(self) -> None:
        """Rebuild what is derived from the tables."""
        self._tape.restored()

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
            self._pending.put("", Pending(later, pending.trade_date))

    def forget_before(self, trade_date: int) -> list[NeverCame]:
        """Drop prints and bars of UTC days before ``trade_date`` (yyyymmdd), once all their bars are published.

        To be called at each tick. From then on those bars are final: a later print or correction of theirs changes
        nothing. Says what was cancelled or corrected and never came.
        """
        pending = self._pending.get("") or Pending()
        if pending.trade_date == trade_date:
            return []
        if any(trade_date_of(self._bars[key].start_ns) < trade_date for key in pending.minutes):
            return []  # some are not published yet: tried again at the next tick
        pending.trade_date = trade_date
        self._pending.put("", pending)
        for key in self._bars.keys():
            if trade_date_of(self._bars[key].start_ns) < trade_date:
                self._bars.remove(key)
        return self._tape.forget_before(trade_date)

    def _summed(self, bar: BarEntry) -> Bar:
        prints = list(self._tape.minute(bar.instrument, bar.start_ns))
        # By event time; of two with the same time, the one with the later id is the later one, whichever came first.
        lasts = [kept.px for kept in sorted(prints, key=lambda kept: kept.order) if kept.last]
        vwap_qty = sum(kept.qty for kept in prints if kept.vwap)
        vwap_money = sum(kept.qty * kept.px for kept in prints if kept.vwap)
        both_fit = fits(vwap_money) and fits(vwap_qty)
        return Bar(
            instrument=bar.instrument,
            start_ns=bar.start_ns,
            revision=bar.revision,
            trade_date=self._sessions.trade_date_at(bar.instrument, bar.start_ns),
            open_px=lasts[0] if lasts else None,
            high_px=max(lasts, default=None),
            low_px=min(lasts, default=None),
            close_px=lasts[-1] if lasts else None,
            volume_qty=nearest(sum(kept.qty for kept in prints if kept.volume)),
            vwap_qty=vwap_qty if both_fit else 0,
            vwap_money=vwap_money if both_fit else 0,
            print_count=len(prints),
            vwap_px=divide_half_even(vwap_money, vwap_qty) if vwap_qty else None,
        )
