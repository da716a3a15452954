"""The market and the clock as a process: simulated books of every instrument, session time is wall time.

BOOTSTRAP PARTITIONS INSTRUMENTS SECONDS
"""

from __future__ import annotations

import sys
import time

from bench.world import PX, World
from pipeline.domain.units import NS_PER_MS, NS_PER_S
from pipeline.gateways.clock import Pacer, replay
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.kafka.edge_writer import EdgeWriter, KafkaSink
from pipeline.simulator.market.market import market_records
from pipeline.simulator.market.synthetic import SimulatedMarket


def main(bootstrap_servers: str, partitions: str, instruments: str, seconds: str) -> int:
    world = World(int(partitions), instruments=int(instruments))
    start_ns = time.time_ns()
    end_ns = start_ns + int(seconds) * NS_PER_S
    sources = [
        SimulatedMarket(
            name, start_ns, end_ns, world.trade_date, seed=number, open_px=PX, event_every_ns=100 * NS_PER_MS
        )
        for number, name in enumerate(world.instruments, start=1)
    ]
    writer = EdgeWriter(
        "market", "1", int(partitions), Codec(LocalIds()), KafkaSink(bootstrap_servers, "bench-market", print)
    )
    pacer = Pacer(start_ns, 1_000_000, world.trade_date)
    replay(market_records(*sources), writer, pacer, start_ns, end_ns)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
