"""A lit venue's rules: what happens to an order of ours that arrives at a price-time book."""

from __future__ import annotations

from pipeline.domain.executions import Liquidity, ReportKind
from pipeline.domain.orders import OrdType, TimeInForce
from pipeline.simulator.venues.book import OrderBook
from pipeline.simulator.venues.orders import Answer, Execution, VenueOrder, cancel_rest, reject, say, traded


def arrive(book: OrderBook, order: VenueOrder, post_only: bool) -> list[Answer]:
    """Accept, execute against the record and rest, cancel or reject ``order``; returns the venue's answers in order.

    It takes what the record displays inside its limit, best price first; one execution for each price level. What is
    left of a limit day order queues behind the record. Where it would trade with an order of our own, what is left is
    cancelled (SELF_TRADE_PREVENTED).
    """
    reason = _refusal(book, order, post_only)
    if reason:
        return [reject(order, reason)]
    answers = [say(order, ReportKind.NEW)]
    own_px = book.own_opposite_px(order)
    for px, qty in _takeable(book, order):
        if own_px is not None and (px >= own_px if order.is_buy else px <= own_px):
            break
        part = min(qty, order.leaves_qty)
        book.take(order, px, part)
        order.execute(part)
        answers.append(traded(Execution(order, part, px, Liquidity.REMOVED)))
        if not order.is_live:
            return answers
    if own_px is not None:
        answers.append(cancel_rest(order, "SELF_TRADE_PREVENTED"))
    elif order.ord_type is OrdType.MARKET:
        answers.append(cancel_rest(order, "NO_LIQUIDITY"))
    elif order.time_in_force is TimeInForce.IOC:
        answers.append(cancel_rest(order, "IMMEDIATE_OR_CANCEL"))
    else:
        book.rest(order)
    return answers


def _refusal(book: OrderBook, order: VenueOrder, post_only: bool) -> str:
    if order.ord_type not in (OrdType.LIMIT, OrdType.MARKET):
        return "UNSUPPORTED_ORDER_TYPE"
    if order.time_in_force not in (TimeInForce.DAY, TimeInForce.IOC):
        return "UNSUPPORTED_TIME_IN_FORCE"
    if order.ord_type is OrdType.LIMIT and order.limit_px is None:
        return "MISSING_LIMIT_PRICE"
    if order.min_qty > 1 and order.time_in_force is not TimeInForce.IOC:
        return "MIN_QUANTITY_NEEDS_IMMEDIATE_OR_CANCEL"
    if post_only and (order.ord_type is OrdType.MARKET or order.time_in_force is TimeInForce.IOC):
        return "POST_ONLY_MUST_REST"
    if post_only and (book.marketable(order) or book.own_opposite_px(order) is not None):
        return "POST_ONLY_WOULD_TAKE"
    return ""


def _takeable(book: OrderBook, order: VenueOrder) -> list[tuple[int, int]]:
    """The levels it takes from; none when together they do not reach its minimum quantity."""
    levels = book.marketable(order)
    return levels if sum(qty for _, qty in levels) >= min(order.min_qty, order.order_qty) else []
