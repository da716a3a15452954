"""Records as the stages write them, for the desk's tests."""

from __future__ import annotations

from pipeline.domain.analytics import Bar
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind, ReportKind, VenueReport
from pipeline.domain.market import QuoteKind
from pipeline.domain.orders import (
    AccountClass,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderKind,
    OrderRequest,
    OrdStatus,
    RequestKind,
    Side,
)
from pipeline.domain.parents import Cross, CrossKind, CrossLeg
from pipeline.domain.reference import PriceRule

DAY_NS = 1_371_819_600_000_000_000
MINUTE_NS = 60_000_000_000
DATE = 20130621
PX = 250_000_000_000


def order(
    qty: int, *, no: int = 1, kind: OrderKind = OrderKind.NEW, source: str = "alpha", instrument: str = "AMZN",
    at_ns: int = DAY_NS, writer: str = "intake/0", seq: int = 1,
) -> Order:  # fmt: skip
    request = OrderRequest(
        kind=RequestKind.NEW if kind is OrderKind.NEW else RequestKind.CANCEL,
        source=source, cl_ord_id=f"C{no}", account="A1", instrument=instrument, side=Side.BUY,
        order_qty=qty if kind is OrderKind.NEW else None,
    )  # fmt: skip
    return Order(
        writer=writer, seq=seq, kind=kind, order_id=f"O0-{no}", instrument=instrument, trade_date=DATE,
        append_ns=at_ns, received_ns=at_ns, accepted_ns=at_ns, request=request,
    )  # fmt: skip


def event(
    kind: OrderEventKind, *, no: int = 1, source: str = "alpha", instrument: str = "AMZN", side: Side = Side.BUY,
    order_qty: int = 0, leaves: int = 0, last: int = 0, at_ns: int = DAY_NS, writer: str = "intake/0", seq: int = 1,
) -> OrderEvent:  # fmt: skip
    return OrderEvent(
        writer=writer, seq=seq, kind=kind, source=source, order_id=f"O0-{no}", cl_ord_id=f"C{no}", account="A1",
        instrument=instrument, side=side, order_qty=order_qty, leaves_qty=leaves, last_qty=last, at_ns=at_ns,
    )  # fmt: skip


def fill(
    qty: int, *, kind: FillKind = FillKind.TRADE, px: int = PX, prior: tuple[int, int] = (0, 0), fee: int = 0,
    prior_fee: int = 0, venue: str = "XLIT", instrument: str = "AMZN", at_ns: int = DAY_NS,
    writer: str = "routing/0", seq: int = 1,
) -> Fill:  # fmt: skip
    return Fill(
        writer=writer, seq=seq, kind=kind, fill_id=f"F{seq}", parent_id="P1", epoch_no=1, slice_no=1,
        instrument=instrument, side=Side.BUY, venue=venue, last_qty=qty, last_px=px, prior_qty=prior[0],
        prior_px=prior[1], fee=fee, prior_fee=prior_fee, parent_cum_qty=0, parent_live_qty=0, trade_date=DATE,
        at_ns=at_ns,
    )  # fmt: skip


def cross(
    qty: int, *, no: int = 1, ref: int | None = None, kind: CrossKind = CrossKind.TRADE, buyer: str = "alpha",
    seller: str = "beta", at_ns: int = DAY_NS, writer: str = "netting/0", seq: int = 1,
) -> Cross:  # fmt: skip
    def leg(source: str) -> CrossLeg:
        return CrossLeg(
            order_id=f"O-{source}", source=source, account="A", account_class=AccountClass.CLIENT, qty=qty
        )  # fmt: skip

    return Cross(
        writer=writer, seq=seq, kind=kind, cross_id=f"X{no}", ref_cross_id=None if ref is None else f"X{ref}",
        instrument="AMZN", trade_date=DATE, px=PX, qty=qty, buys=(leg(buyer),), sells=(leg(seller),),
        price_rule=PriceRule.MIDPOINT, rule_ids=("R1",), quote_kind=QuoteKind.NBBO, bid_px=PX, offer_px=PX, quote_no=1,
        quote_ns=at_ns, at_ns=at_ns,
    )  # fmt: skip


def report(
    kind: ReportKind, *, wire: str = "W1", orig: str | None = None, cum: int = 0, leaves: int = 0, venue: str = "XLIT",
    at_ns: int = DAY_NS, writer: str = "venues/0", seq: int = 1,
) -> VenueReport:  # fmt: skip
    return VenueReport(
        writer=writer, seq=seq, kind=kind, venue=venue, session_id=f"{venue}-SIM", instrument="AMZN", wire_id=wire,
        orig_wire_id=orig, exec_id=f"E{seq}", ord_status=OrdStatus.NEW, side=Side.BUY, cum_qty=cum, leaves_qty=leaves,
        venue_ns=at_ns, received_ns=at_ns, trade_date=DATE,
    )  # fmt: skip


def bar(
    volume: int, *, revision: int = 1, start_ns: int = DAY_NS, close: int | None = PX, writer: str = "analytics/0",
    seq: int = 1,
) -> Bar:  # fmt: skip
    return Bar(
        writer=writer, seq=seq, instrument="AMZN", start_ns=start_ns, revision=revision, trade_date=DATE, open_px=close,
        high_px=close, low_px=close, close_px=close, volume_qty=volume, vwap_qty=volume, vwap_money=volume * PX,
        print_count=1,
    )  # fmt: skip


def alert(text: str = "look", *, at_ns: int = DAY_NS, writer: str = "routing/0", seq: int = 1) -> Alert:
    return Alert(
        writer=writer, seq=seq, kind=AlertKind.LATE_FILL, instrument="AMZN", subject_id="F1", reason="LATE", text=text,
        at_ns=at_ns,
    )  # fmt: skip
