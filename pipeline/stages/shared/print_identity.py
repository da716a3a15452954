"""Which prints of the tape stand: one rule for repeats, cancels and corrections, in whatever order they come.

- A print is known by instrument, UTC day, venue and the feed's id. The same again is a repeat; the same id with other
  content is a fault, and the first one stands.
- A print and its corrections, and theirs, are one *family*. The correction that no other corrects stands for it; where
  several do not name one another (a feed that always names the original), the one with the highest id.
- A cancel of any of them takes the whole family back, whether what it names has come yet or not.
- A correction says all of its trade, so it counts as soon as it is read; what it corrects no longer counts then, and
  not when it comes late either.
- A day that was forgotten is final: what comes for it later changes nothing, and says so.

Sources for the habits of feeds: the consolidated tape's cancels and corrections name the original, resent after a gap
in any order.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from typing import Final, NamedTuple

from pipeline.domain.int64 import fits
from pipeline.domain.market import PrintKind, TradePrint
from pipeline.domain.units import NS_PER_S
from pipeline.domain.validators.faults import Fault, SetAsideReason
from pipeline.state import Entry, State

DAY_NS: Final = 86_400 * NS_PER_S


class KeptPrint(Entry):
    """A print, and whether it counts for the last price, the volume and the VWAP."""

    print_id: str
    """Venue and the feed's id."""
    event_ns: int
    px: int
    qty: int
    last: bool
    volume: bool
    vwap: bool

    @property
    def id_order(self) -> tuple[int, str]:
        """Ids of a feed count upwards: of two, the longer one is the later, then the greater one."""
        return len(self.print_id), self.print_id

    @property
    def order(self) -> tuple[int, int, str]:
        """By event time; of two with the same time the later id is the later one, whichever came first."""
        return self.event_ns, *self.id_order


class Family(Entry):
    """A print that was cancelled or corrected, by the keys of its versions."""

    instrument: str
    keys: list[str]
    """All that was named so far, read or not."""
    corrected: list[tuple[str, str]] = []
    """Corrections that were read: key, and key of what it corrects."""
    cancelled: bool = False
    standing: str = ""
    """The version that counts; empty when none does."""


class FamilyName(Entry):
    """The family of a print."""

    name: str


class FinalDay(Entry):
    """The last day of an instrument (days since 1970) whose prints were forgotten."""

    day: int


class Applied(NamedTuple):
    """What a print, cancel or correction has changed: prints that no longer count, prints that now do.

    ``fault`` is what was wrong with it; None when nothing was.
    """

    off: tuple[KeptPrint, ...] = ()
    on: tuple[KeptPrint, ...] = ()
    fault: Fault | None = None


class NeverCame(NamedTuple):
    """A print that was cancelled or corrected and never came itself."""

    instrument: str
    venue: str
    print_id: str


_NOTHING: Final = Applied()


class PrintIdentity:
    """The prints of a task by identity; keeps its tables in ``state``. Its owner calls :meth:`restored` at a restore.

    A plain print costs one entry. Everything is kept until its day is forgotten, so repeats are known for the day.
    """

    def __init__(self, state: State) -> None:
        self._prints = state.table("prints", KeptPrint)
        self._families = state.table("print-families", Family)
        self._family_of = state.table("print-family-of", FamilyName)
        self._final = state.table("final-days", FinalDay)
        self._kept: dict[str, list[int]] = {}
        """Days of which something is kept, by instrument, ascending; derived from the keys of the tables."""

    def apply(self, trade: TradePrint) -> Applied:
        """Take in a print, its cancel or correction."""
        if trade.kind not in (PrintKind.TRADE, PrintKind.CORRECT, PrintKind.CANCEL):
            return Applied(fault=Fault(SetAsideReason.UNKNOWN_KIND, "kind is none of TRADE, CANCEL, CORRECT"))
        if trade.event_ns < 0:
            return Applied(fault=Fault(SetAsideReason.BAD_TIME, f"event_ns is {trade.event_ns}"))
        day = trade.event_ns // DAY_NS
        final = self._final.get(trade.instrument)
        if final is not None and day <= final.day:
            return Applied(fault=Fault(SetAsideReason.DAY_IS_FINAL, f"event_ns is {trade.event_ns}"))
        if trade.kind is PrintKind.TRADE:
            return self._trade(trade, day)
        if not trade.ref_print_id:
            return Applied(fault=Fault(SetAsideReason.MISSING_REFERENCE, f"a {trade.kind} without ref_print_id"))
        ref_key = self._named(trade, day, trade.ref_print_id)
        # A correction to nothing takes the trade back.
        if trade.kind is PrintKind.CANCEL or trade.qty == 0:
            return self._cancel(trade.instrument, ref_key)
        return self._correct(trade, day, ref_key)

    def forget_before(self, day: int) -> list[NeverCame]:
        """Drop what is of days before ``day`` (days since 1970): they are final. Says what was named and never came."""
        never: list[NeverCame] = []
        for name in self._families.keys():
            family = self._families[name]
            if all(_day_of(key) >= day for key in family.keys):
                continue
            never.extend(
                NeverCame(family.instrument, *_venue_and_id_of(key)) for key in family.keys if key not in self._prints
            )
            for key in family.keys:
                self._family_of.remove(key)
            self._families.remove(name)
        for key in self._prints.keys():
            if _day_of(key) >= day:
                break
            self._prints.remove(key)
        for instrument, days in sorted(self._kept.items()):
            past = [kept for kept in days if kept < day]
            if past:
                self._final.put(instrument, FinalDay(past[-1]))
        self.restored()
        return never

    def restored(self) -> None:
        """Rebuild what is derived from the tables."""
        self._kept = {}
        for table in (self._prints, self._family_of):
            for key in table.keys():
                self._on(_instrument_of(key), _day_of(key))

    # ---------------------------------------------------------------- kinds

    def _trade(self, trade: TradePrint, day: int) -> Applied:
        key = _key(day, trade.instrument, trade.venue, trade.print_id)
        if key in self._prints:
            return self._again(trade, key)
        if fault := _size_fault(trade):
            return Applied(fault=fault)
        kept = self._keep(trade, day, key)
        named = self._family_of.get(key)
        if named is None:
            later_key = self._awaited_later(trade, day)
            if later_key is None:
                return Applied(on=(kept,))
            named = self._family_of[later_key]
            self._rename(named.name, later_key, key)
        family = self._families[named.name]
        return self._stand(named.name, family, [family.standing])

    def _correct(self, trade: TradePrint, day: int, ref_key: str) -> Applied:
        key = _key(day, trade.instrument, trade.venue, trade.print_id)
        if key == ref_key:
            return Applied(fault=Fault(SetAsideReason.MISSING_REFERENCE, f"{trade.print_id} corrects itself"))
        if key in self._prints:
            return self._again(trade, key)
        if fault := _size_fault(trade):
            return Applied(fault=fault)
        name, family = self._family(trade.instrument, ref_key)
        before = [family.standing]
        named = self._family_of.get(key)
        if named is None:
            family.keys.append(key)
            self._family_of.put(key, FamilyName(name))
        elif named.name != name:
            before.append(self._families[named.name].standing)
            self._merge(name, family, named.name)
        family.corrected.append((key, ref_key))
        self._keep(trade, day, key)
        return self._stand(name, family, before)

    def _cancel(self, instrument: str, ref_key: str) -> Applied:
        name, family = self._family(instrument, ref_key)
        if family.cancelled:
            return _NOTHING
        family.cancelled = True
        return self._stand(name, family, [family.standing])

    # ---------------------------------------------------------------- parts

    def _again(self, trade: TradePrint, key: str) -> Applied:
        """A print of an id that is known: a repeat changes nothing."""
        known = self._prints[key]
        if known == _kept(trade):
            return _NOTHING
        text = f"{trade.qty} at {trade.px} after {known.qty} at {known.px}"
        return Applied(fault=Fault(SetAsideReason.OTHER_CONTENT, text))

    def _keep(self, trade: TradePrint, day: int, key: str) -> KeptPrint:
        kept = _kept(trade)
        self._prints.put(key, kept)
        self._on(trade.instrument, day)
        return kept

    def _on(self, instrument: str, day: int) -> None:
        """Something of this day is kept."""
        days = self._kept.setdefault(instrument, [])
        if day not in days:
            insort(days, day)

    def _family(self, instrument: str, key: str) -> tuple[str, Family]:
        """The family of a key, which may be a new one of it alone, and the family's name."""
        named = self._family_of.get(key)
        if named is not None:
            return named.name, self._families[named.name]
        self._family_of.put(key, FamilyName(key))
        self._on(instrument, _day_of(key))
        family = Family(instrument, [key], standing=key if key in self._prints else "")
        self._families.put(key, family)
        return key, family

    def _stand(self, name: str, family: Family, before: Iterable[str]) -> Applied:
        """Find the version that counts now; ``before`` are the keys of those that did until now."""
        superseded = {ref_key for _, ref_key in family.corrected}
        last = [key for key in family.keys if key in self._prints and key not in superseded]
        family.standing = "" if family.cancelled else max(last, key=self._order, default="")
        self._families.put(name, family)
        off = tuple(self._prints[key] for key in before if key and key != family.standing)
        on = family.standing and family.standing not in before
        fault = None
        if family.corrected and len(last) != 1 and not family.cancelled:
            text = ", ".join(sorted(_id_of(key) for key in last)) or "in a circle"
            fault = Fault(SetAsideReason.CORRECTED_TWICE, text)
        return Applied(off, (self._prints[family.standing],) if on else (), fault)

    def _order(self, key: str) -> tuple[int, str, str]:
        return *self._prints[key].id_order, key

    def _merge(self, name: str, family: Family, other_name: str) -> None:
        """Two families turn out to be one: the first takes in the other."""
        other = self._families[other_name]
        family.keys += other.keys
        family.corrected += other.corrected
        family.cancelled = family.cancelled or other.cancelled
        for moved in other.keys:
            self._family_of.put(moved, FamilyName(name))
        self._families.remove(other_name)

    def _named(self, trade: TradePrint, day: int, print_id: str) -> str:
        """The key of the print that a cancel or correction names: of its own day, or of an earlier one kept."""
        own_key = _key(day, trade.instrument, trade.venue, print_id)
        if own_key in self._prints or own_key in self._family_of:
            return own_key
        for earlier in reversed(self._kept.get(trade.instrument, [])):
            key = _key(earlier, trade.instrument, trade.venue, print_id)
            if earlier < day and key in self._prints:
                return key
        return own_key

    def _awaited_later(self, trade: TradePrint, day: int) -> str | None:
        """The key under which a cancel or correction of a later day waits for this print; None when none does."""
        days = self._kept.get(trade.instrument, [])
        for later in days if len(days) > 1 else ():
            key = _key(later, trade.instrument, trade.venue, trade.print_id)
            if later > day and key in self._family_of and key not in self._prints:
                return key
        return None

    def _rename(self, name: str, old_key: str, key: str) -> None:
        """What a family knew as ``old_key`` is the print ``key``."""
        family = self._families[name]
        family.keys = [key if each == old_key else each for each in family.keys]
        family.corrected = [(by, key if ref_key == old_key else ref_key) for by, ref_key in family.corrected]
        self._family_of.remove(old_key)
        self._family_of.put(key, FamilyName(name))
        self._families.put(name, family)


def _size_fault(trade: TradePrint) -> Fault | None:
    if trade.px > 0 and trade.qty > 0 and fits(trade.px * trade.qty):
        return None
    return Fault(SetAsideReason.OUT_OF_RANGE, f"{trade.qty} at {trade.px}")


def _kept(trade: TradePrint) -> KeptPrint:
    return KeptPrint(
        f"{trade.venue}@{trade.print_id}",
        trade.event_ns,
        trade.px,
        trade.qty,
        trade.eligible_last,
        trade.eligible_volume,
        trade.eligible_vwap,
    )


def print_key(event_ns: int, instrument: str, venue: str, print_id: str) -> str:
    """The key of a print in the table `prints`."""
    return _key(event_ns // DAY_NS, instrument, venue, print_id)


def _key(day: int, instrument: str, venue: str, print_id: str) -> str:
    # The day first: keys are sorted by it, so that a day can be forgotten without a look at the others. The length of
    # what comes before the id, so that no two prints have one key.
    return f"{day:06d}@{len(instrument)}@{instrument}@{len(venue)}@{venue}@{print_id}"


def _venue_and_id_of(key: str) -> tuple[str, str]:
    _, length, rest = key.split("@", 2)
    length, rest = rest[int(length) + 1 :].split("@", 1)
    return rest[: int(length)], rest[int(length) + 1 :]


def _id_of(key: str) -> str:
    return _venue_and_id_of(key)[1]


def _instrument_of(key: str) -> str:
    _, length, rest = key.split("@", 2)
    return rest[: int(length)]


def _day_of(key: str) -> int:
    return int(key[:6])
