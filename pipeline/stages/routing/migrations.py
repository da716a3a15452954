"""How routing's state of an older version becomes this one's. Entries as older code wrote them are kept here for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from pipeline.domain.executions import Liquidity
from pipeline.domain.orders import Side
from pipeline.domain.parents import Slice
from pipeline.stage import Migration
from pipeline.stages.routing.exposure_ledger import BookedChild
from pipeline.stages.routing.open_slice import OpenSlice
from pipeline.stages.routing.state import BookedExecution, EarlyRestatements, Restatement, SessionsOfExecId
from pipeline.stages.routing.venue_scorecards import Unfilled
from pipeline.state import Entry


class OpenSliceV1(Entry):
    """Version 1 of the table `out`: a slice had exactly one child that could still execute."""

    slice: Slice
    executed_qty: int = 0
    child_id: str = ""
    child_no: int = 0
    tried: list[str] = msgspec.field(default_factory=list)
    swept: list[str] = msgspec.field(default_factory=list)
    probed: bool = False
    closing: str = ""
    left: list[Unfilled] = msgspec.field(default_factory=list)


def _to_2(key: str, value: bytes) -> Iterable[tuple[str, bytes]]:
    """An open slice names all its children that can still execute: here the one there was."""
    if not key.startswith("out/"):
        yield key, value
        return
    old = msgspec.msgpack.decode(value, type=OpenSliceV1)
    new = OpenSlice(
        slice=old.slice,
        executed_qty=old.executed_qty,
        child_ids=[old.child_id] if old.child_id else [],
        child_no=old.child_no,
        tried=old.tried,
        swept=old.swept,
        probed=old.probed,
        closing=old.closing,
        left=old.left,
    )
    yield key, msgspec.msgpack.encode(new)


class BookedExecutionV2(Entry):
    """Version 2 of the table `executions`: the trading date was part of the key."""

    fill_id: str
    parent_id: str
    child_id: str
    epoch_no: int
    slice_no: int
    instrument: str
    side: Side
    venue: str
    session_id: str
    exec_id: str
    trade_date: int
    told_qty: int
    told_px: int
    qty: int
    px: int
    fee: int
    liquidity: Liquidity
    busted: bool = False


def _to_3(key: str, value: bytes) -> Iterable[tuple[str, bytes]]:
    """An execution's key is its venue, session and ExecID. What was kept of its day is kept from that day on."""
    table, _, row = key.partition("/")
    date, _, identity = row.partition("/")
    if table == "executions":
        old = msgspec.msgpack.decode(value, type=BookedExecutionV2)
        values = {name: getattr(old, name) for name in BookedExecutionV2.__struct_fields__}
        execution = BookedExecution(**values, booked_date=int(date), told_fee=old.fee)
        yield f"{table}/{identity}", msgspec.msgpack.encode(execution)
        sessions = SessionsOfExecId([old.session_id])
        yield f"exec-ids/{old.venue}/{old.exec_id}", msgspec.msgpack.encode(sessions)
    elif table == "restatements":
        restatement = msgspec.msgpack.decode(value, type=Restatement)
        restatement.key = restatement.key.partition("/")[2]
        restatement.booked_date = int(date)
        yield f"{table}/{identity}", msgspec.msgpack.encode(restatement)
    elif table == "early":
        early = msgspec.msgpack.decode(value, type=EarlyRestatements)
        early.booked_date = int(date)
        yield f"{table}/{identity}", msgspec.msgpack.encode(early)
    elif table == "children":
        child = msgspec.msgpack.decode(value, type=BookedChild)
        child.declared_key = child.declared_key.partition("/")[2]
        yield key, msgspec.msgpack.encode(child)
    else:
        yield key, value


MIGRATIONS: Final[Mapping[int, Migration]] = {1: _to_2, 2: _to_3}
