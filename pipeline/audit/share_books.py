"""Compares what was executed and crossed with what was allocated of it, and with what reconciliations say of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pipeline.audit.line import Line
from pipeline.domain.allocations import Allocation, AllocKind, AllocSource, Reconciliation
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.parents import Cross, CrossKind

SET_ASIDE: Final = ("UNUSABLE_RECORD", "NOTHING_TO_TAKE_BACK", "MONEY_DOES_NOT_MATCH", "BEYOND_MEASURE")
"""Reasons of alerts by which allocation says that it has not booked an execution; they name its fill id."""


class OrderShare:
    """What stands allocated to an order: units and money of crosses and of executions."""

    def __init__(self) -> None:
        self.crossed = 0
        self.executed = 0
        self.money = 0


class _Epoch:
    def __init__(self) -> None:
        self.executed = 0
        self.money = 0
        self.fee = 0
        self.aside = 0
        self.side = ""
        self.allocated = 0
        self.allocated_money = 0
        self.allocated_fee = 0
        self.allocations = 0
        self.prices: set[int] = set()
        self.by_order: dict[str, tuple[int, int]] = {}
        """Quantity and fee of each order."""


class _Cross:
    def __init__(self) -> None:
        self.told: Cross | None = None
        self.busted = False
        self.buyers: set[str] = set()
        self.bought = 0
        self.sold = 0
        self.money = 0
        self.allocations = 0

    @property
    def qty(self) -> int:
        return 0 if self.told is None or self.busted else self.told.qty

    @property
    def px(self) -> int:
        return 0 if self.told is None else self.told.px


class ShareBooks:
    """Memory: a few figures per execution, allocation and epoch. Lines are of the records added so far."""

    def __init__(self) -> None:
        self._fills: dict[str, tuple[str, int, str, int, int, int]] = {}
        self._aside: dict[str, None] = {}
        self._crosses: dict[str, list[Cross]] = {}
        self._allocations: dict[str, Allocation] = {}
        self._restated: dict[str, int] = {}
        self._reconciled: dict[tuple[str, int, str], dict[int, Reconciliation]] = {}

    def on_fill(self, fill: Fill) -> None:
        """Enter an execution, bust or correction."""
        self._fills[fill.fill_id] = (fill.parent_id, fill.epoch_no, str(fill.side), *booked(fill))

    def on_alert(self, alert: Alert) -> None:
        """Enter an alert: of an execution that allocation has set aside it bears the fill's id."""
        if alert.kind is AlertKind.BREAK and alert.reason in SET_ASIDE:
            self._aside[alert.subject_id] = None

    def on_cross(self, cross: Cross) -> None:
        """Enter a cross, or a bust or correction of one."""
        self._crosses.setdefault(cross.cross_id, []).append(cross)

    def on_allocation(self, allocation: Allocation) -> None:
        """Enter an allocation."""
        if allocation.kind is not AllocKind.CANCEL:
            self._allocations[allocation.alloc_id] = allocation
        if allocation.ref_alloc_id is not None:
            self._restated[allocation.ref_alloc_id] = self._restated.get(allocation.ref_alloc_id, 0) + 1

    def on_reconciliation(self, told: Reconciliation) -> None:
        """Keep the newest version's parts. One may be told again, so they are kept apart by their number."""
        key = told.parent_id or "", told.epoch_no, told.cross_id or ""
        parts = self._reconciled.setdefault(key, {})
        if any(part.version > told.version for part in parts.values()):
            return
        if any(part.version < told.version for part in parts.values()):
            parts.clear()
        parts[told.part_no] = told

    def of_orders(self) -> dict[str, OrderShare]:
        """What stands allocated to each order that has an allocation."""
        shares: dict[str, OrderShare] = {}
        for allocation in self._standing():
            share = shares.setdefault(allocation.order_id, OrderShare())
            share.money += allocation.net_money
            if allocation.alloc_source is AllocSource.CROSS:
                share.crossed += allocation.alloc_qty
            else:
                share.executed += allocation.alloc_qty
        return shares

    def lines(self) -> Iterator[Line]:
        """The lines: quantities in units, money and fees in 1e-9 currency units."""
        epochs, crosses = self._epochs(), self._standing_crosses()
        reconciled = {key: parts for key, parts in self._reconciled.items() if parts}
        again = sum(count > 1 for count in self._restated.values())
        unknown = sum(alloc_id not in self._allocations for alloc_id in self._restated)
        yield from _crossed(crosses, reconciled)
        yield from _executed(epochs, reconciled)
        yield Line("allocations replaced or cancelled more than once, or that there are not", again + unknown, 0)
        yield from _cash(epochs, crosses, reconciled)

    def _standing(self) -> Iterator[Allocation]:
        return (each for alloc_id, each in self._allocations.items() if alloc_id not in self._restated)

    def _epochs(self) -> dict[tuple[str, int], _Epoch]:
        epochs: dict[tuple[str, int], _Epoch] = {}
        for fill_id, (parent_id, epoch_no, side, qty, money, fee) in self._fills.items():
            epoch = epochs.setdefault((parent_id, epoch_no), _Epoch())
            epoch.side = side
            if fill_id in self._aside:
                epoch.aside += qty
            else:
                epoch.executed += qty
                epoch.money += money
                epoch.fee += fee
        for allocation in self._standing():
            if allocation.alloc_source is not AllocSource.CROSS:
                epoch = epochs.setdefault((allocation.parent_id or "", allocation.epoch_no), _Epoch())
                epoch.allocated += allocation.alloc_qty
                epoch.allocated_money += allocation.net_money
                epoch.allocated_fee += allocation.fee
                epoch.allocations += 1
                epoch.prices.add(allocation.alloc_avg_px)
                qty, fee = epoch.by_order.get(allocation.order_id, (0, 0))
                epoch.by_order[allocation.order_id] = qty + allocation.alloc_qty, fee + allocation.fee
        return epochs

    def _standing_crosses(self) -> dict[str, _Cross]:
        """Each cross as it was last corrected. What restates one may name it, or its last correction."""
        named = {
            each.cross_id: each.ref_cross_id or ""
            for told in self._crosses.values()
            for each in told
            if each.kind is not CrossKind.TRADE
        }
        crosses: dict[str, _Cross] = {}
        booked_ = [each for told in self._crosses.values() for each in told if each.cross_id not in self._aside]
        for each in sorted(booked_, key=lambda each: each.kind is not CrossKind.TRADE):
            root = each.cross_id
            for _ in range(len(named)):
                root = named.get(root, root)
            cross = crosses.setdefault(root, _Cross())
            cross.buyers.update(leg.order_id for leg in each.buys)
            if each.kind is CrossKind.BUST:
                cross.busted = True
            elif not cross.busted:
                cross.told = each
        for allocation in self._standing():
            if allocation.alloc_source is AllocSource.CROSS:
                cross = crosses.setdefault(allocation.cross_id or "", _Cross())
                if allocation.order_id in cross.buyers:
                    cross.bought += allocation.alloc_qty
                else:
                    cross.sold += allocation.alloc_qty
                cross.money += allocation.net_money
                cross.allocations += 1
        return crosses


_Reconciled = dict[tuple[str, int, str], dict[int, Reconciliation]]


def _sum(parts: Iterable[Reconciliation], field: str) -> int:
    return sum(getattr(part, field) for part in parts)


def _crossed(crosses: dict[str, _Cross], reconciled: _Reconciled) -> Iterator[Line]:
    standing = [cross.told for cross in crosses.values() if cross.told is not None and not cross.busted]
    bought = sum(leg.qty for cross in standing for leg in cross.buys)
    sold = sum(leg.qty for cross in standing for leg in cross.sells)
    parts = (
        ("allocated", sum(cross.bought + cross.sold for cross in crosses.values())),
        (
            "beyond an order's quantity",
            sum(_short(cross, _of_cross(reconciled, key)) for key, cross in crosses.items()),
        ),
    )
    off = sum(_cross_is_off(cross, _of_cross(reconciled, cross_id)) for cross_id, cross in crosses.items())
    lost = sum(cross_id not in crosses for _, _, cross_id in reconciled if cross_id)
    yield Line("crossed to buy, and to sell", bought, sold)
    yield Line("crossed on both sides, and allocated of it", bought + sold, sum(qty for _, qty in parts), parts)
    yield Line("crosses whose reconciliation is not what they and their allocations say", off + lost, 0)


def _of_cross(reconciled: _Reconciled, cross_id: str) -> dict[int, Reconciliation]:
    return reconciled.get(("", 0, cross_id), {})


def _short(cross: _Cross, parts: dict[int, Reconciliation]) -> int:
    """What the error account owns of a cross, both sides; its reconciliation says how much of the worse one."""
    if not _sum(parts.values(), "error_account_qty"):
        return 0
    return cross.qty - cross.bought + cross.qty - cross.sold


def _cross_is_off(cross: _Cross, parts: dict[int, Reconciliation]) -> bool:
    told = list(parts.values())
    if cross.told is None or not told:
        return True
    allocated = min(cross.bought, cross.sold)
    due = cross.qty, cross.qty * cross.px, cross.qty * cross.px, allocated, cross.qty - allocated, cross.allocations
    names = (
        "executed_qty", "executed_money", "allocated_money", "allocated_qty", "error_account_qty", "allocation_count",
    )  # fmt: skip
    equal = cross.bought == cross.sold == cross.qty
    return (
        tuple(_sum(told, name) for name in names) != due
        or any(part.balanced is not equal for part in told)
        or any(_sum(told, name) for name in ("residual", "executed_fee", "allocated_fee"))
        or _lacks_parts(parts)
    )


def _lacks_parts(parts: dict[int, Reconciliation]) -> bool:
    return any(sorted(parts) != list(range(1, part.part_count + 1)) for part in parts.values())


def _executed(epochs: dict[tuple[str, int], _Epoch], reconciled: _Reconciled) -> Iterator[Line]:
    # An epoch without a side has no fill; if it was allocated all the same, the line after this loop shows it.
    for side in sorted({epoch.side for epoch in epochs.values()} - {""}):
        own = [(key, epoch) for key, epoch in epochs.items() if epoch.side == side]
        shared = [(epoch, reconciled[*key, ""].values()) for key, epoch in own if (*key, "") in reconciled]
        parts = [
            ("allocated", sum(epoch.allocated for epoch, _ in shared)),
            ("error account", sum(_sum(told, "error_account_qty") for _, told in shared)),
            ("not yet allocated", sum(epoch.executed for key, epoch in own if (*key, "") not in reconciled)),
        ]
        aside = sum(epoch.aside for _, epoch in own)
        if aside:
            parts.append(("set aside by name", aside))
        executed = sum(epoch.executed + epoch.aside for _, epoch in own)
        yield Line(f"executed to {side}", executed, sum(qty for _, qty in parts), tuple(parts))
    off = sum(_epoch_is_off(epoch, reconciled.get((*key, ""), {})) for key, epoch in epochs.items())
    without = [parts.values() for key, parts in reconciled.items() if not key[2] and key[:2] not in epochs]
    lost = sum(_sum(told, "executed_qty") != 0 or _sum(told, "allocated_qty") != 0 for told in without)
    yield Line("epochs whose reconciliation is not what fills and allocations say", off + lost, 0)


def _epoch_is_off(epoch: _Epoch, parts: dict[int, Reconciliation]) -> bool:
    told = list(parts.values())
    if not told:
        return bool(epoch.allocated)
    names = ("executed_qty", "executed_money", "executed_fee", "allocated_qty", "allocation_count")
    due = epoch.executed, epoch.money, epoch.fee, epoch.allocated, epoch.allocations
    error_qty, residual = _sum(told, "error_account_qty"), _sum(told, "residual")
    money, fee = _sum(told, "allocated_money"), _sum(told, "allocated_fee")
    error_money, error_fee = money - epoch.allocated_money, fee - epoch.allocated_fee
    px = next(iter(epoch.prices), None)
    return (
        tuple(_sum(told, name) for name in names) != due
        or not all(part.balanced for part in told)
        or epoch.executed != epoch.allocated + error_qty
        or epoch.money != money + residual
        or epoch.fee != fee
        or 2 * abs(residual) > epoch.executed
        or len(epoch.prices) > 1
        or (px is not None and (epoch.allocated_money, error_money) != (epoch.allocated * px, error_qty * px))
        or any(_wrong_fee(epoch, *each) for each in [*epoch.by_order.values(), (error_qty, error_fee)])
        or any((part.error_account == "") is not (error_qty == error_fee == 0) for part in told)
        or _lacks_parts(parts)
    )


def _wrong_fee(epoch: _Epoch, qty: int, fee: int) -> bool:
    """Whether a part of the fees is one unit or more away from what is proportional to its quantity."""
    if epoch.executed == 0:
        return qty != 0
    return abs(fee * epoch.executed - epoch.fee * qty) >= epoch.executed


def _cash(epochs: dict[tuple[str, int], _Epoch], crosses: dict[str, _Cross], reconciled: _Reconciled) -> Iterator[Line]:
    """Money of executions and of both sides of crosses, against that of their allocations."""
    shared = [(epoch, reconciled[*key, ""].values()) for key, epoch in epochs.items() if (*key, "") in reconciled]
    parts = (
        ("allocated", sum(epoch.allocated_money for epoch, _ in shared)),
        ("error account", sum(_sum(told, "allocated_money") - epoch.allocated_money for epoch, told in shared)),
        ("residual of rounded prices", sum(_sum(told, "residual") for _, told in shared)),
    )
    fees = (
        ("allocated", sum(epoch.allocated_fee for epoch, _ in shared)),
        ("error account", sum(_sum(told, "allocated_fee") - epoch.allocated_fee for epoch, told in shared)),
    )
    executed, paid = sum(epoch.money for epoch, _ in shared), sum(epoch.fee for epoch, _ in shared)
    crossed = (
        ("allocated", sum(cross.money for cross in crosses.values())),
        (
            "beyond an order's quantity",
            sum(_short(cross, _of_cross(reconciled, key)) * cross.px for key, cross in crosses.items()),
        ),
    )
    both_sides = sum(2 * cross.qty * cross.px for cross in crosses.values())
    name = "money of crosses, both sides, and of their allocations, 1e-9"
    yield Line("money of executions allocated, 1e-9", executed, sum(money for _, money in parts), parts)
    yield Line("fees of executions allocated, 1e-9", paid, sum(fee for _, fee in fees), fees)
    yield Line(name, both_sides, sum(money for _, money in crossed), crossed)


def booked(fill: Fill) -> tuple[int, int, int]:
    """Quantity (units), money and fee (1e-9 currency units) that an execution, bust or correction adds to the books.

    A bust and a correction to less add negative amounts; any other kind of fill adds nothing.
    """
    qty, px, fee = fill.last_qty, fill.last_px or 0, fill.fee
    if fill.kind is FillKind.TRADE:
        return qty, qty * px, fee
    if fill.kind is FillKind.BUST:
        return -qty, -qty * px, -fill.prior_fee
    if fill.kind is FillKind.CORRECT:
        return qty - fill.prior_qty, qty * px - fill.prior_qty * (fill.prior_px or 0), fee - fill.prior_fee
    return 0, 0, 0
