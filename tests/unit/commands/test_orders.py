"""`pipeline orders send`: nothing is sent when a line is bad, and what cannot be sent is said in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from pipeline.cli import main
from pipeline.commands import order_producer
from pipeline.domain.orders import OrderRequest
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.contracts.registry import RegistryIds
from pipeline.runtime.settings import Settings

HEADER: Final = "kind,source,cl_ord_id,account,instrument,side,order_qty\n"
GOOD: Final = "NEW,S1,C1,A1,AMZN,BUY,5\n"


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked at these."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:9")


class Producer:
    """Takes the place of the producer; keeps what it is given."""

    sent: list[OrderRequest]

    def __init__(self, settings: Settings) -> None:
        Producer.sent = []
        self.delivered = 0

    def send(self, request: OrderRequest) -> None:
        Producer.sent.append(request)
        self.delivered += 1

    def close(self) -> None:
        """All were delivered."""


def run(
    path: Path, text: str, *words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[str], list[str]]:
    monkeypatch.setattr(order_producer, "OrderProducer", Producer)
    path.write_text(text)
    Producer.sent = []
    code = main(["orders", "send", str(path), *words])
    said = [line.replace(str(path), "FILE") for line in capsys.readouterr().out.splitlines()]
    return code, said, [order.cl_ord_id for order in Producer.sent]


def test_all_good_lines_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = HEADER + GOOD + GOOD.replace("C1", "C2")
    code, said, sent = run(tmp_path / "o.csv", text, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, sent) == (0, ["C1", "C2"])
    assert said == ["2 orders sent; their answers come on source-events.<source>"]


def test_with_a_bad_line_every_bad_line_is_named_and_nothing_is_sent_unless_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = HEADER + GOOD + "NEW,S1,C2\n" + GOOD.replace("C1", "C3").replace("5", "1_0")
    named = [
        "FILE, line 3: 3 cells, and 7 names in the header",
        "FILE, line 4: order_qty: '1_0' is not a whole number in plain digits (prices are in 1e-9 currency units)",
    ]
    path = tmp_path / "o.csv"
    code, said, sent = run(path, text, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, sent) == (1, [])
    assert said == [*named, "nothing was sent: 2 of 3 lines are no orders. Mend them, or use --skip-bad"]
    code, said, sent = run(path, text, "--skip-bad", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, sent) == (1, ["C1"])
    assert said[:2] == named and said[2].startswith("1 orders sent")


@pytest.mark.parametrize("text", ["", HEADER, HEADER.replace("side", "sides") + GOOD])
def test_a_file_without_an_order_is_no_success(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, sent = run(tmp_path / "o.csv", text, "--skip-bad", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, sent) == (1, [])
    assert said[0].startswith("FILE, line 1: ") and said[-1] == "nothing was sent: no line is an order"


def test_a_file_that_is_not_there_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["orders", "send", str(tmp_path / "none.csv")]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_sender_whose_schema_is_not_registered_says_what_to_do_and_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Empty:
        url = "http://registry"

        def id_of(self, subject: str, text: str) -> None:
            """Nothing is registered."""

    empty: Any = Empty()
    monkeypatch.setattr(order_producer, "codec_for", lambda settings: Codec(RegistryIds(empty)))
    path = tmp_path / "o.csv"
    path.write_text(HEADER + GOOD)
    assert main(["orders", "send", str(path)]) == 2
    assert capsys.readouterr().err.startswith(
        "pipeline: the schema of orders-in is not registered under orders-in-value at http://registry: "
        "run `pipeline schemas register`"
    )
