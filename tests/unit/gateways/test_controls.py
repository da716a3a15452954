import pytest

from pipeline.domain.controls import ControlKind, ControlScope
from pipeline.errors import WrongUse
from pipeline.gateways.controls import control


def test_words_become_a_control() -> None:
    made = control("block-venue", "venue", "XBAT", " ann ", "slow", 7)
    assert (made.kind, made.scope, made.scope_id) == (ControlKind.BLOCK_VENUE, ControlScope.VENUE, "XBAT")
    assert (made.who, made.why, made.at_ns, made.control_id) == ("ann", "slow", 7, "7-ann")
    assert control("unblock-venue", "all", "", "ann", "a block of all", 7).scope_id == ""
    assert control("KILL", "ALL", "", "ann", "fire", 7).kind is ControlKind.KILL
    assert control("skip", "all", "orders-in/1/4711", "ann", "poison", 7).scope_id == "orders-in/1/4711"


@pytest.mark.parametrize(
    ("kind", "scope", "scope_id", "who", "why", "said"),
    [
        ("stop", "all", "", "ann", "x", "KILL"),
        ("unknown", "all", "", "ann", "x", "no control"),
        ("kill", "world", "", "ann", "x", "INSTRUMENT"),
        ("kill", "all", "AMZN", "ann", "x", "has no id"),
        ("kill", "instrument", "", "ann", "x", "needs an id"),
        ("kill", "all", "", "", "x", "--who"),
        ("kill", "all", "", "ann", " ", "--why"),
        ("block-venue", "instrument", "AMZN", "ann", "x", "of VENUE"),
        ("block-venue", "all", "", "ann", "x", "of VENUE"),
        ("declare-filled", "child", "P0-1/1.1", "ann", "x", "QUANTITY@PRICE"),
        ("unblock-venue", "all", "XBAT", "ann", "x", "has no id"),
        ("unblock-venue", "instrument", "AMZN", "ann", "x", "of VENUE"),
        ("kill", "account", " A1", "ann", "x", "blanks around it"),
        ("kill", "account", "A1\n", "ann", "x", "--id: one line of text"),
        ("kill", "all", "", "an\x00n", "x", "--who: one line of text"),
        ("kill", "all", "", "ann", "x\ny", "--why: one line of text"),
        ("kill", "all", "", "ann", "x\udcff", "--why: one line of text"),
        ("skip", "all", "", "ann", "x", "names a position"),
        ("skip", "all", "orders/0", "ann", "x", "names a position"),
        ("skip", "instrument", "orders/0/12", "ann", "x", "no scope"),
    ],
)
def test_what_is_no_control_is_said(kind: str, scope: str, scope_id: str, who: str, why: str, said: str) -> None:
    with pytest.raises(WrongUse, match=said):
        control(kind, scope, scope_id, who, why, 1)


@pytest.mark.parametrize(
    "new", ["6", "@5", "6@", "1_0@5", "+6@5", "6@5,05", "6@.5", "６@5", "6@0.0000000001", "9" * 19 + "@1"]
)
def test_a_declared_fill_is_a_quantity_at_a_price_in_plain_digits(new: str) -> None:
    assert control("declare-filled", "child", "P0-1/1.1", "ann", "x", 1, new="6@50.05").new == "6@50.05"
    with pytest.raises(WrongUse, match="QUANTITY@PRICE"):
        control("declare-filled", "child", "P0-1/1.1", "ann", "x", 1, new=new)
