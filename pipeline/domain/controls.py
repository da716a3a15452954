"""Inputs that steer the flow: ticks of the clock, the desk's controls, credit leases; and alerts to the desk."""

from __future__ import annotations

from pipeline.domain.record import Kind, Owned, Record
from pipeline.domain.units import Count, Money, Ns, Ppm, TradeDate


class TickKind(Kind):
    """What a tick marks."""

    UNKNOWN = "UNKNOWN"
    TICK = "TICK"
    DAY_START = "DAY_START"
    DAY_END = "DAY_END"


class Tick(Owned, frozen=True, kw_only=True):
    """The time, as a message. The contract of `clock`. *Now* is the last applied tick."""

    kind: TickKind = TickKind.UNKNOWN
    """An ordinary tick, or the first or last of a trading day."""
    now_ns: Ns
    """Session time. Live it is wall_ns; when a recorded day is replayed it is that day's time."""
    wall_ns: Ns
    """The clock gateway's own clock when it sent this tick."""
    rate: Ppm = 1_000_000
    """How fast session time runs against wall time; 1,000,000 is as it is, 10,000,000 ten times as fast."""
    trade_date: TradeDate
    """The trading date in session time."""

    def session_ns(self, wall_ns: int) -> int:
        """Session time of a moment of wall time near this tick (a broker's append time, say)."""
        return self.now_ns + (wall_ns - self.wall_ns) * self.rate // 1_000_000


class Resumed(Record, frozen=True, kw_only=True):
    """A task was started by a live host, at this wall time. Not on a topic: it stands in the journal's epoch record.

    A stage compares it with the last tick it has applied: a long gap is an outage, and what waited through it is
    stale until the desk releases it.
    """

    wall_ns: Ns
    """The host's clock when the task was started."""


class ControlKind(Kind):
    """What the desk orders."""

    UNKNOWN = "UNKNOWN"
    KILL = "KILL"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    BLOCK_VENUE = "BLOCK_VENUE"
    UNBLOCK_VENUE = "UNBLOCK_VENUE"
    CANCEL_PARENT = "CANCEL_PARENT"
    RELEASE_STALE = "RELEASE_STALE"
    RELEASE_WINDOW = "RELEASE_WINDOW"
    CHANGE_PARENT = "CHANGE_PARENT"
    DECLARE_FILLED = "DECLARE_FILLED"
    DECLARE_DEAD = "DECLARE_DEAD"
    BREAK_ALLOCATION = "BREAK_ALLOCATION"
    SKIP = "SKIP"


class ControlScope(Kind):
    """What a control speaks of."""

    UNKNOWN = "UNKNOWN"
    ALL = "ALL"
    SOURCE = "SOURCE"
    ACCOUNT = "ACCOUNT"
    INSTRUMENT = "INSTRUMENT"
    PARENT = "PARENT"
    CHILD = "CHILD"
    VENUE = "VENUE"


class Control(Owned, frozen=True, kw_only=True):
    """An order of the desk. The contract of `controls`; every stage sees it before anything else that waits.

    KILL stops what is in its scope and cancels what rests; RESUME of the same scope lifts KILL and PAUSE.
    """

    kind: ControlKind = ControlKind.UNKNOWN
    """What to do."""
    control_id: str
    """The desk's id of it."""
    scope: ControlScope = ControlScope.ALL
    """What it speaks of."""
    scope_id: str = ""
    """Which one; empty for ALL."""
    who: str
    """Who gave it."""
    why: str
    """The reason, in words."""
    at_ns: Ns
    """When it was given, wall time."""
    old: str | None = None
    """The old value, for changes."""
    new: str | None = None
    """The new value, for changes."""


class CreditLease(Owned, frozen=True, kw_only=True):
    """A share of an account's credit limit, granted to one partition of intake. The contract of `credit`.

    First form: each partition's share is static, the remainder going to the lowest partitions.
    """

    account: str
    """The account."""
    partition: int
    """The partition of intake that may use it."""
    lease_no: int
    """Counts the leases of this account and partition; the highest holds."""
    leased: Money | None
    """What may be open in this partition, buys and sells apart. Null: the account has no limit."""
    effective_ns: Ns
    """Session time from which it holds."""


class AlertKind(Kind):
    """What the desk or operations must see."""

    UNKNOWN = "UNKNOWN"
    COMPLETION_AT_RISK = "COMPLETION_AT_RISK"
    STALE_HOLD = "STALE_HOLD"
    UNKNOWN_CHILD = "UNKNOWN_CHILD"
    CONFLICTING_EXECUTION = "CONFLICTING_EXECUTION"
    OVERFILL = "OVERFILL"
    DONT_KNOW = "DONT_KNOW"
    LATE_FILL = "LATE_FILL"
    GATE_REFUSED = "GATE_REFUSED"
    CROSS_REFUSED = "CROSS_REFUSED"
    BREAK = "BREAK"
    KILLED = "KILLED"
    SET_ASIDE = "SET_ASIDE"


class Alert(Owned, frozen=True, kw_only=True):
    """Something a person should look at. The contract of `alerts`, keyed by instrument; any stage writes it."""

    kind: AlertKind = AlertKind.UNKNOWN
    """What it is about."""
    instrument: str
    """The instrument; the key."""
    subject_id: str
    """The parent, child, execution or cross in question."""
    reason: str = ""
    """A named reason within the kind."""
    text: str = ""
    """What happened and what to do."""
    at_ns: Ns = 0
    """Session time."""
    count: Count = 0
    """SET_ASIDE: how many of this topic, reason and instrument its writer has set aside in all. Else 0."""
