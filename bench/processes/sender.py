"""The upstream systems as a process: orders at a fixed rate, made and encoded before the first is due.

One JSON argument, see :class:`Sending`. Each order's transact_ns is the moment it was due: what is measured from it
counts the sender's own lateness too.
"""

from __future__ import annotations

import json
import sys
import time

import msgspec
from confluent_kafka import Producer

from bench.stand import put
from bench.world import World
from pipeline import topics
from pipeline.domain.units import NS_PER_S
from pipeline.runtime.contracts.codec import Codec, LocalIds


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What to send."""

    bootstrap: str
    partitions: int
    instruments: int
    base_ns: int
    """Of the world."""
    start_ns: int
    """Wall time of the first order."""
    rate: int
    seconds: int
    live_s: int = 20
    """An order ends this long after it was due, rounded up to whole ten seconds, so that many share a bucket."""
    held_every: int = 0
    """One order in this many is held and lives for ``held_live_s``; 0: none."""
    held_live_s: int = 5
    largest_qty: int = 10


def rows(sending: Sending) -> list[tuple[int, int, bytes, bytes]]:
    """Every order: when it is due (wall ns since 1970), partition, key, value."""
    world = World(sending.partitions, instruments=sending.instruments, base_ns=sending.base_ns)
    codec = Codec(LocalIds())
    found = []
    for number in range(sending.rate * sending.seconds):
        due_ns = sending.start_ns + number * NS_PER_S // sending.rate
        held = bool(sending.held_every) and number % sending.held_every == sending.held_every - 1
        end_ns = due_ns + sending.live_s * NS_PER_S
        end_ns = -(-end_ns // (10 * NS_PER_S)) * 10 * NS_PER_S
        if held:
            end_ns = due_ns + sending.held_live_s * NS_PER_S
        order = world.order(end_ns=end_ns, held=held, largest_qty=sending.largest_qty, transact_ns=due_ns)
        partition, key = world.place_of(order)
        found.append((due_ns, partition, key, codec.encode(order)))
    return found


def main(text: str) -> int:
    sending = msgspec.json.decode(text, type=Sending)
    made = rows(sending)
    producer = Producer(
        {
            "bootstrap.servers": sending.bootstrap,
            "enable.idempotence": True,
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 0,
        }
    )
    producer.list_topics(topics.ORDERS_IN.name, 10)
    print("made", flush=True)
    late_ns = 0
    for due_ns, partition, key, value in made:
        while (left_ns := due_ns - time.time_ns()) > 0:
            producer.poll(0)
            time.sleep(min(0.002, left_ns / NS_PER_S))
        late_ns = max(late_ns, -left_ns)
        put(producer, topics.ORDERS_IN.name, value, key, partition)
    left = producer.flush(60)
    print(json.dumps({"sent": len(made) - left, "latest_ms": late_ns / 1e6}), flush=True)
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
