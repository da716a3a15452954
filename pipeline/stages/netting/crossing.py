"""Crossing: opposing orders of an instrument meet at one price, party by party, each side shared pro rata.

Orders are first grouped into parties of equal rights (see ``eligibility.py``), because the cost of matching grows with
the number of pairs. An owner or control group that is on one side only needs no party of its own: nobody opposite may
not cross with it. Then as much is crossed as possible (maximum flow), in pairs of parties that form no cycle, and so
are few; each party's quantity goes to its orders by largest remainder. All of it is in whole lots, order by order.

No cross has one owner or control group on both of its sides: it is one buying party against sellers that each may
cross with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.algos.crossing import match_parties
from pipeline.algos.pro_rata import largest_remainder
from pipeline.algos.tie_break import tie_break
from pipeline.domain.orders import AccountClass, Capacity
from pipeline.domain.reference import CrossingRule
from pipeline.stages.netting.eligibility import CrossRefusal, Party, Rights


class Offer(NamedTuple):
    """What one order offers to cross."""

    order_id: str
    parent_id: str | None
    source: str
    account: str
    account_class: AccountClass
    owner: str
    control_group: str
    consent: bool
    capacity: Capacity
    currency: str
    settlement: str
    limit_px: int | None
    bar: str
    qty: int


class CrossPart(NamedTuple):
    """An order's part in a cross."""

    offer: Offer
    qty: int


class CrossMatch(NamedTuple):
    """Buyers and sellers that cross under one rule; both lists add up to the same quantity."""

    rule: CrossingRule
    buys: list[CrossPart]
    sells: list[CrossPart]


class CrossOutcome(NamedTuple):
    """What crossed, and why quantity left on both sides did not: refusal → number of pairs of parties."""

    met: list[CrossMatch]
    refused: dict[str, int]

    @property
    def crossed(self) -> dict[str, int]:
        """Order → its crossed quantity."""
        total: dict[str, int] = {}
        for met in self.met:
            for part in (*met.buys, *met.sells):
                total[part.offer.order_id] = total.get(part.offer.order_id, 0) + part.qty
        return total


def cross(
    buys: Sequence[Offer],
    sells: Sequence[Offer],
    px: int | None,
    rights: Rights,
    salt: str,
    max_parties: int,
    lot_qty: int = 1,
) -> CrossOutcome:
    """Match two sides at a price.

    px            the price, 1e-9 currency; None when there is no quote: nothing crosses, ``rights`` give the reasons
    salt          breaks ties together with the order's id; another one for each close, so that no order always wins
    max_parties   the most parties of a side that are matched, largest first; the others take no part
    lot_qty       every order crosses a multiple of it

    Orders whose limit does not allow the price, or that have less than a lot, take no part; that counts as no refusal.
    """
    buys, sells = _in_lots(buys, lot_qty), _in_lots(sells, lot_qty)
    if px is not None:
        buys = [offer for offer in buys if offer.limit_px is None or offer.limit_px >= px]
        sells = [offer for offer in sells if offer.limit_px is None or offer.limit_px <= px]
    if not buys or not sells:
        return CrossOutcome([], {})
    buyers, buyers_over = _parties(buys, sells, max_parties)
    sellers, sellers_over = _parties(sells, buys, max_parties)
    verdicts = [[rights.of(buyer, seller) for seller, _ in sellers] for buyer, _ in buyers]
    wanted, offered = [_total(offers) for _, offers in buyers], [_total(offers) for _, offers in sellers]
    crossed = match_parties(
        wanted,
        offered,
        [[verdict.rule is not None for verdict in row] for row in verdicts],
    )
    few_pairs(crossed)
    bought, sold = [sum(row) for row in crossed], [sum(row[j] for row in crossed) for j in range(len(sellers))]
    buy_parts = [_share(offers, qty, salt) for (_, offers), qty in zip(buyers, bought, strict=True)]
    sell_parts = [_share(offers, qty, salt) for (_, offers), qty in zip(sellers, sold, strict=True)]
    met: list[CrossMatch] = []
    for i, row in enumerate(crossed):
        rules: dict[str, CrossingRule] = {}
        for j, qty in enumerate(row):
            rule = verdicts[i][j].rule
            if qty and rule is not None:
                rules[rule.rule_id] = rule
        for rule_id in sorted(rules):
            columns = [j for j, qty in enumerate(row) if qty and _is(verdicts[i][j].rule, rule_id)]
            met.append(
                CrossMatch(
                    rules[rule_id],
                    _take(buy_parts[i], sum(row[j] for j in columns)),
                    [part for j in columns for part in _take(sell_parts[j], row[j])],
                )
            )
    refused: dict[str, int] = {}
    for i, row_of_verdicts in enumerate(verdicts):
        if wanted[i] == bought[i]:
            continue
        for j, verdict in enumerate(row_of_verdicts):
            if offered[j] > sold[j] and verdict.refusal:
                refused[str(verdict.refusal)] = refused.get(str(verdict.refusal), 0) + 1
    if buyers_over or sellers_over:
        refused[str(CrossRefusal.TOO_MANY_PARTIES)] = buyers_over + sellers_over
    met = [CrossMatch(each.rule, _in_units(each.buys, lot_qty), _in_units(each.sells, lot_qty)) for each in met]
    return CrossOutcome(met, {reason: refused[reason] for reason in sorted(refused)})


def _in_lots(offers: Sequence[Offer], lot_qty: int) -> Sequence[Offer]:
    """The offers counted in whole lots; those below one are left out."""
    if lot_qty == 1:
        return offers
    return [offer._replace(qty=offer.qty // lot_qty) for offer in offers if offer.qty >= lot_qty]


def _in_units(parts: list[CrossPart], lot_qty: int) -> list[CrossPart]:
    """The parts counted in units again. (What each one offered stays counted in lots: nobody reads it any more.)"""
    return parts if lot_qty == 1 else [CrossPart(part.offer, part.qty * lot_qty) for part in parts]


def in_bounds(met: CrossMatch, max_legs: int, most_qty: int) -> list[CrossMatch]:
    """The same cross in pieces of at most ``max_legs`` legs and ``most_qty`` units, each balanced; a leg may be split
    between two pieces."""
    if len(met.buys) + len(met.sells) <= max_legs and _total_parts(met.buys) <= most_qty:
        return [met]
    half = max_legs // 2
    buys, sells = list(met.buys), list(met.sells)
    pieces: list[CrossMatch] = []
    while buys:
        qty = min(_total_parts(buys[:half]), _total_parts(sells[:half]), most_qty)
        pieces.append(CrossMatch(met.rule, _take(buys, qty), _take(sells, qty)))
    return pieces


def few_pairs(crossed: list[list[int]]) -> None:
    """Change a matching in place so that its pairs form no cycle, each row and column keeping its total.

    Around any cycle of pairs, quantity can be moved from every second pair to the ones between; once one of them is
    empty, the cycle is gone. Only pairs that were used before are used.
    """
    rows: list[list[int]] = [[] for _ in crossed]
    columns: list[list[int]] = [[] for _ in crossed[0]] if crossed else []
    for i, row in enumerate(crossed):
        for j in range(len(row)):
            while row[j] > 0:
                path = _path(rows, columns, j, i)
                if path is None:
                    rows[i].append(j)
                    columns[j].append(i)
                    break
                # The path has an odd number of pairs: those at even places take what is taken from the new pair.
                give = path[1::2]
                qty = min([row[j], *(crossed[a][b] for a, b in give)])
                row[j] -= qty
                for a, b in path[::2]:
                    crossed[a][b] += qty
                for a, b in give:
                    crossed[a][b] -= qty
                    if crossed[a][b] == 0:
                        rows[a].remove(b)
                        columns[b].remove(a)


def _path(rows: list[list[int]], columns: list[list[int]], start: int, goal: int) -> list[tuple[int, int]] | None:
    """The pairs in use on the way from row ``goal`` to column ``start``, in order; None when there is no way."""
    by_column: dict[int, int] = {}
    by_row: dict[int, int] = {start: -1}
    frontier = [start]
    while frontier and goal not in by_column:
        reached: list[int] = []
        for j in frontier:
            for i in columns[j]:
                if i not in by_column:
                    by_column[i] = j
                    fresh = [other for other in rows[i] if other not in by_row]
                    by_row.update((other, i) for other in fresh)
                    reached.extend(fresh)
        frontier = reached
    if goal not in by_column:
        return None
    path: list[tuple[int, int]] = []
    i = goal
    while True:
        j = by_column[i]
        path.append((i, j))
        if j == start:
            return path
        i = by_row[j]
        path.append((i, j))


def _parties(
    offers: Sequence[Offer], against: Sequence[Offer], max_parties: int
) -> tuple[list[tuple[Party, list[Offer]]], int]:
    """Offers by party, the largest party first, and how many parties are too many (they take no part)."""
    owners = {offer.owner for offer in against}
    groups = {offer.control_group for offer in against if offer.control_group}
    parties: dict[Party, list[Offer]] = {}
    for offer in offers:
        apart = offer.owner in owners or offer.control_group in groups
        party = Party(
            offer.account_class,
            offer.capacity,
            offer.currency,
            offer.settlement,
            offer.consent,
            offer.bar or ("" if offer.owner else CrossRefusal.UNKNOWN_OWNER),
            offer.owner if apart else "",
            offer.control_group if apart else "",
        )
        parties.setdefault(party, []).append(offer)
    ordered = sorted(parties.items(), key=lambda item: (-_total(item[1]), item[0]))
    return ordered[:max_parties], max(0, len(ordered) - max_parties)


def _share(offers: list[Offer], qty: int, salt: str) -> list[CrossPart]:
    ties = [tie_break(salt, offer.order_id) for offer in offers]
    shares = largest_remainder([offer.qty for offer in offers], qty, ties)
    return [CrossPart(offer, share) for offer, share in zip(offers, shares, strict=True) if share]


def _take(parts: list[CrossPart], qty: int) -> list[CrossPart]:
    """Remove ``qty`` from the front of ``parts`` (which is changed) and return it; the last part may be split."""
    taken: list[CrossPart] = []
    place = 0
    while qty:
        part = parts[place]
        if part.qty <= qty:
            place += 1
        else:
            parts[place] = CrossPart(part.offer, part.qty - qty)
            part = CrossPart(part.offer, qty)
        taken.append(part)
        qty -= part.qty
    del parts[:place]
    return taken


def _total(offers: Sequence[Offer]) -> int:
    return sum(offer.qty for offer in offers)


def _total_parts(parts: Sequence[CrossPart]) -> int:
    return sum(part.qty for part in parts)


def _is(rule: CrossingRule | None, rule_id: str) -> bool:
    return rule is not None and rule.rule_id == rule_id
