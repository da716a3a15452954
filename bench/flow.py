"""The whole flow on one machine: broker, units, a simulated market with its clock, and upstream systems."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer

from bench.processes.sender import Sending
from bench.stand import Failed, Stand
from bench.watch import Watch
from bench.world import World
from pipeline import topics
from pipeline.domain.units import NS_PER_S

ALL: Final = ("intake", "engine", "venues", "reporting")
"""Every unit."""


class Flow:
    """Units of the pipeline at work on a stand. The market runs for ``seconds`` from the start."""

    def __init__(self, stand: Stand, *, instruments: int, seconds: int, units: Sequence[str] = ALL) -> None:
        self.stand = stand
        self.world = World(stand.partitions, instruments=instruments)
        self.units = tuple(units)
        stand.topics(self.world.sources)
        stand.edge("reference").write(self.world.reference())
        self.processes = {name: stand.unit(name) for name in self.units}
        for name in self.units:
            stand.ready(name)
        arguments = (stand.bootstrap, str(stand.partitions), str(instruments), str(seconds))
        self.market = stand.process("bench.processes.market_process", *arguments, log="market")
        stand.until_written(topics.CLOCK.name, stand.partitions * 3, 60, self.market)
        stand.until_read("intake", topics.CREDIT.name)
        self.start_ns = 0
        """Wall time of the first order."""

    def watch(self) -> Watch:
        """A watch over the CPU and memory of every process."""
        pids = {name.replace("-", "_"): process.pid for name, process in self.processes.items()}
        return Watch(market=self.market.pid, **pids, **self.stand.broker_pids)

    def send(self, rate: int, seconds: int, **more: Any) -> subprocess.Popen[bytes]:
        """Start the upstream systems; the first order is due at ``start_ns``, once all are made."""
        # Making and encoding an order takes some 30 µs on a quiet machine; this allows for three times that.
        self.start_ns = time.time_ns() + int((3.0 + rate * seconds * 90e-6) * NS_PER_S)
        sending = Sending(
            bootstrap=self.stand.bootstrap, partitions=self.stand.partitions, instruments=len(self.world.instruments),
            base_ns=self.world.base_ns, start_ns=self.start_ns, rate=rate, seconds=seconds, **more,
        )  # fmt: skip
        process = self.stand.process("bench.processes.sender", msgspec.json.encode(sending).decode(), log="sender")
        self.stand.wait(lambda: "made" in self.stand.said("sender"), 120, "the orders are not made")
        if time.time_ns() > self.start_ns:
            raise Failed("the machine is too busy: the orders were made too late to be sent at their times")
        return process

    def check(self) -> None:
        """Raises Failed when a unit has ended by itself."""
        for name, process in {**self.processes, "market": self.market}.items():
            if process.poll() is not None:
                raise Failed(f"{name} ended with {process.returncode}: {self.stand.said(name)[-1500:]}")

    def stop(self) -> None:
        """Stop the market and the units."""
        for process in (self.market, *self.processes.values()):
            if process.poll() is None:
                self.stand.stop(process)


class Seen:
    """Collects raw records with the wall time at which a read-committed reader had them; decoded afterwards."""

    def __init__(self, stand: Stand, *names: str) -> None:
        self._consumer: Consumer = stand.reader(names, from_end=True)
        self._codec = stand.codec
        self._raw: list[tuple[int, str, bytes]] = []

    def until(self, end_ns: int) -> None:
        """Read until a moment of wall time, ns since 1970."""
        while time.time_ns() < end_ns:
            messages = self._consumer.consume(1, 0.05)
            if messages:
                messages += self._consumer.consume(1_000, 0)
            now_ns = time.time_ns()
            for message in messages:
                if message.error() is None:
                    self._raw.append((now_ns, str(message.topic()), bytes(message.value() or b"")))

    def records(self) -> list[tuple[int, Any]]:
        """Wall time (ns since 1970) at which each record was read, and the record."""
        return [(at_ns, self._codec.decode(name, value)) for at_ns, name, value in self._raw]

    def close(self) -> None:
        """Close the reader."""
        self._consumer.close()
