"""What 1,000,000 orders a second would need, computed from the measured cost of one, into ops/one-million.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.results import Line, median, rows_of, written
from bench.stand import ROOT

PAGE: Final = ROOT / "ops" / "one-million.md"
BEGIN: Final = "<!-- computed: written by `python -m bench report` -->"
END: Final = "<!-- end of computed part -->"

GOAL: Final = 1_000_000
FULL: Final = 0.6
"""Average use of a core that leaves room for a lost worker's share and for a busy minute."""
REPLICATION: Final = 3
LINK_BYTES_S: Final = 25e9 / 8 * FULL
"""Bytes a second that one broker's 25 Gbit/s carries at the same average use."""


@dataclass(frozen=True)
class Cost:
    """What one order costs, and where that was measured."""

    worker_us: float
    """CPU µs of all workers."""
    broker_us: float
    """CPU µs of the broker, one copy."""
    slowest_stage_us: float
    """CPU µs of the most expensive task an order passes: it limits the rate of a partition."""
    slowest_stage: str
    out_bytes: float
    """Bytes on one broker's disk: orders, every output, journal, changelogs, and its share of the market."""
    source: str


def rendered(text: str, by_case: Mapping[str, Sequence[Line]]) -> str:
    """The page with its computed part written anew. Raises ValueError when it has lost its markers."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has lost its markers {BEGIN!r} … {END!r}")
    cost = cost_of(by_case)
    lines = ["Not computed yet: it needs the cases `whole-life` and `stages`."] if cost is None else table(cost)
    return head + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + tail


def cost_of(by_case: Mapping[str, Sequence[Line]]) -> Cost | None:
    """The measured cost of an order; None while a case that is needed was not measured."""
    if not {"whole-life", "stages"} <= by_case.keys():
        return None
    runs = [line for line in by_case["whole-life"] if line.figures.get("sustained") == "yes"]
    if not runs:
        return None
    best = max(runs, key=lambda line: float(line.figures["orders/s joined"]))
    rate = float(best.figures["orders/s offered"])
    cores = {name: _percent(best, f"{name} CPU") for name in ("intake", "engine", "venues", "reporting", "broker")}
    stages = {
        row: median(runs_of, "µs an order") or 0.0
        for row, runs_of in rows_of(by_case["stages"]).items()
        if row.endswith(")")
    }
    slowest = max(stages, key=lambda row: stages[row])
    return Cost(
        worker_us=sum(share for name, share in cores.items() if name != "broker") / rate * 1e6,
        broker_us=cores["broker"] / rate * 1e6,
        slowest_stage_us=stages[slowest],
        slowest_stage=slowest,
        out_bytes=float(best.figures["log bytes an order"]),
        source=f"whole life at {written(rate)} orders/s, {best.at[:10]}, commit {best.machine.get('commit', '?')[:10]}",
    )


def table(cost: Cost) -> list[str]:
    """The calculation, row by row."""
    return [
        f"From: {cost.source}.",
        "",
        "| | | how |",
        "|---|---:|---|",
        *(f"| {what} | {written(number)}{unit} | {how} |" for what, number, unit, how in _rows(cost)),
    ]


def _rows(cost: Cost) -> Iterator[tuple[str, float, str, str]]:
    cores = GOAL * cost.worker_us / 1e6 / FULL
    brokers_cpu = GOAL * cost.broker_us * REPLICATION / 1e6 / FULL
    # Each byte comes in once, goes out to two followers, and is read by about one stage.
    traffic = GOAL * cost.out_bytes * (1 + (REPLICATION - 1) + 1)
    yield "workers' CPU for an order", cost.worker_us, " µs", "measured: all four units"
    yield "broker's CPU for an order", cost.broker_us, " µs", "measured: one copy, no TLS, no fsync"
    yield "bytes written for an order", cost.out_bytes, "", "measured: what is on the disk, the market included"
    yield "worker cores", math.ceil(cores), "", f"1,000,000 × {written(cost.worker_us)} µs ÷ {FULL}"
    yield (
        "partitions",
        math.ceil(GOAL * cost.slowest_stage_us / 1e6 / FULL),
        "",
        (
            f"1,000,000 × {written(cost.slowest_stage_us)} µs of `{cost.slowest_stage}`, the dearest stage, ÷ {FULL}: "
            "each stage of a partition on a core of its own; with a unit per core it is the workers' number"
        ),
    )
    yield "broker cores", math.ceil(brokers_cpu), "", f"1,000,000 × {written(cost.broker_us)} µs × 3 copies ÷ {FULL}"
    yield "brokers of 16 cores", math.ceil(brokers_cpu / 16), "", "the number above ÷ 16"
    yield "network, all brokers", traffic * 8 / 1e9, " Gbit/s", "bytes × (in + 2 copies + 1 reading)"
    yield "brokers by network", math.ceil(traffic / LINK_BYTES_S), "", f"25 Gbit/s each, {FULL:.0%} full"
    yield (
        "disk a day of 6.5 h",
        GOAL * cost.out_bytes * REPLICATION * 23_400 / 1e12,
        " TB",
        "three copies, no compression",
    )


def _percent(line: Line, figure: str) -> float:
    return float(str(line.figures.get(figure, "0%")).rstrip("%")) / 100
