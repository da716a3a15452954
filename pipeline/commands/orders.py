"""`pipeline orders`: send a file of orders, checked line by line before the first is sent."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.commands.grammar import Commands, command, settings_of
from pipeline.errors import EXIT_FOUND, EXIT_GOOD


def add(commands: Commands) -> None:
    """Add `pipeline orders` and its options to ``commands``."""
    parser = command(
        commands, "orders", "send orders from a file, checked line by line first",
        "orders send programme.csv", "orders send orders.jsonl --skip-bad",
        more="The fields and their units are those of schemas/orders-in.avsc. The file is read strictly: UTF-8, as "
        "many cells as the header has, numbers in plain digits, each source and cl_ord_id once; all lines that are no "
        "orders are named at once. Exit code 0: all were sent; 1: some lines are no orders, and none was sent (with "
        "--skip-bad: the good ones were; none under a header that is not right).",
        handler=_send,
    )  # fmt: skip
    parser.add_argument("action", choices=["send"])
    parser.add_argument("file", type=Path, help="JSON lines, or .csv with the schema's field names")
    parser.add_argument("--skip-bad", action="store_true", help="send the good lines although some are bad")


def _send(options: argparse.Namespace) -> int:
    from pipeline.commands.order_producer import OrderProducer
    from pipeline.domain.orders import OrderRequest
    from pipeline.gateways import orders_file

    path: Path = options.file
    settings = settings_of(options)
    read = orders_file.read_orders(path)
    bad = [each for each in read if isinstance(each, orders_file.BadLine)]
    orders = [each for each in read if isinstance(each, OrderRequest)]
    for line in bad:
        print(f"{path}, line {line.number}: {line.why}")
    if bad and not options.skip_bad:
        print(f"nothing was sent: {len(bad)} of {len(read)} lines are no orders. Mend them, or use --skip-bad")
        return EXIT_FOUND
    if not orders:
        print("nothing was sent: no line is an order")
        return EXIT_FOUND
    producer = OrderProducer(settings)
    orders_file.send(orders, producer.send, _progress)
    producer.close()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{producer.delivered} orders sent; their answers come on source-events.<source>")
    return EXIT_FOUND if bad else EXIT_GOOD


def _progress(done: int, total: int) -> None:
    """On a terminal one line that is written over; in a log a line each time."""
    tty = sys.stderr.isatty()
    print(f"{chr(13) if tty else ''}sent {done} of {total}", end="" if tty else "\n", file=sys.stderr, flush=True)
