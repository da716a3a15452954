"""Fuzz of the flow: ``make fuzz``.

    python -m tests.fuzz [--records 1000000] [--seed 2012] [--per-day 4000] [--jobs 1]
    python -m tests.fuzz --seed S --day N --only 3,17          one day again, with this garbage alone

Small days run through every stage in memory with garbage from outside among their records, until so many pieces of it
were tried. Exit code 1 when something did not hold: each kind is shown once, with the least garbage that shows it and
the line that runs it again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from typing import Final, NamedTuple

from tests.fuzz.flow import FROM_OUTSIDE, Failure, Garbage, Round, garbage, play

TRIES_PER_DAY: Final = 8
"""How often a day is run again without the garbage at which it ended."""
DENSITIES: Final = (0.05, 0.3, 1.0, 2.0)
TRIES_TO_SHRINK: Final = 60


class Asked(NamedTuple):
    """The garbage of one day."""

    seed: int
    day: int
    pieces: int


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--records", type=int, default=1_000_000, help="how many pieces of garbage, over all days")
    parser.add_argument("--seed", type=int, default=2012)
    parser.add_argument("--per-day", type=int, default=4_000, help="garbage in each day")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--day", type=int, help="this day alone")
    parser.add_argument("--only", default="", help="with --day: numbers of its garbage, nothing else")
    asked = parser.parse_args(arguments)
    if asked.day is not None:
        only = [int(each) for each in asked.only.split(",") if each]
        return _again(Asked(asked.seed, asked.day, asked.per_day), only)
    return _all(asked.seed, asked.records, asked.per_day, asked.jobs)


def _again(asked: Asked, only: Collection[int]) -> int:
    outcome = play(*asked, only=only or None)
    for number in only:
        print(f"{number}: {_shown(garbage(asked.seed, asked.day, number))}")
    for failure in outcome.failures:
        print(f"{failure.key}\n    {failure.detail}")
    print(f"{outcome.garbage} of garbage, {len(outcome.failures)} failures, without a trace {outcome.without_trace}")
    return 1 if outcome.failures else 0


def _all(seed: int, records: int, per_day: int, jobs: int) -> int:
    print(f"seed {seed}: {records} pieces of garbage, {per_day} a day", flush=True)
    first: dict[str, tuple[Asked, Failure]] = {}
    silent: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    alerts: Counter[str] = Counter()
    tried, started = 0, time.monotonic()
    days = (Asked(seed, number, _pieces(number, min(per_day, records))) for number in count())
    for asked, outcome in _days(days, jobs):
        tried += outcome.garbage
        silent += outcome.without_trace
        letters += outcome.dead_letters
        alerts += outcome.alerts
        for failure in outcome.failures:
            if failure.key not in first:
                first[failure.key] = asked, failure
                print(f"\nday {asked.day}: {failure.key}\n    {failure.detail[:300]}", flush=True)
        print(
            f"\r{tried} tried in {time.monotonic() - started:.0f} s, {len(first)} kinds of failures", end="", flush=True
        )
        if tried >= records:
            break
    print()
    for name, table in (("alerts", alerts), ("dead letters", letters), ("without a trace", silent)):
        print(f"\n{name}: {sum(table.values())}")
        for what, number in sorted(table.items()):
            print(f"  {number:8}  {what}")
    for key, (asked, failure) in first.items():
        _explain(key, asked, failure)
    print(f"\n{tried} pieces of garbage, {len(first)} kinds of failures")
    return 1 if first else 0


def _pieces(day: int, per_day: int) -> int:
    """A day with little garbage goes its way and shows what a single piece does; one with much, how they add up."""
    return max(1, int(per_day * DENSITIES[day % len(DENSITIES)]))


def _days(asked: Iterator[Asked], jobs: int) -> Iterator[tuple[Asked, Round]]:
    if jobs == 1:
        for each in asked:
            yield each, _through(each)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [(each, pool.submit(_through, each)) for each, _ in zip(asked, range(2 * jobs), strict=False)]
        while True:
            each, future = waiting.pop(0)
            upcoming = next(asked)
            waiting.append((upcoming, pool.submit(_through, upcoming)))
            try:
                yield each, future.result()
            except GeneratorExit:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _through(asked: Asked) -> Round:
    """The day, again and again without the garbage at which a stage raised, until it reaches its end."""
    without: set[int] = set()
    failures: list[Failure] = []
    for _ in range(TRIES_PER_DAY):
        outcome = play(*asked, without=without)
        failures.extend(outcome.failures)
        at = outcome.failures[-1].number if outcome.failures and " raises " in outcome.failures[-1].key else None
        if at is None:
            break
        without.add(at)
    outcome.failures = failures
    return outcome


def _explain(key: str, asked: Asked, failure: Failure) -> None:
    """Print the least garbage that shows the failure."""
    numbers = _least(key, asked, failure)
    print(f"\n{key}\n    {failure.detail[:300]}")
    for number in numbers[:10]:
        print(f"    {number}: {_shown(garbage(asked.seed, asked.day, number))}")
    print(f"    python -m tests.fuzz --seed {asked.seed} --day {asked.day} --only {','.join(map(str, numbers))}")


def _least(key: str, asked: Asked, failure: Failure) -> list[int]:
    """Numbers of garbage without which the failure is not seen: halved and halved again (Zeller, 1999)."""

    def shows(numbers: Collection[int]) -> bool:
        return any(each.key == key for each in play(*asked, only=numbers).failures)

    if failure.number is not None and shows([failure.number]):
        return [failure.number]
    left, tries, parts = list(range(asked.pieces)), 0, 2
    for kind in FROM_OUTSIDE:  # whole types first
        fewer = [each for each in left if type(garbage(asked.seed, asked.day, each).record) is not kind]
        if len(fewer) < len(left) and fewer and shows(fewer):
            left = fewer
    while len(left) > 1 and tries < TRIES_TO_SHRINK:
        size = -(-len(left) // parts)
        for start in range(0, len(left), size):
            fewer = left[:start] + left[start + size :]
            tries += 1
            if fewer and shows(fewer):
                left, parts = fewer, max(2, parts - 1)
                break
        else:
            if parts >= len(left):
                break
            parts = min(len(left), 2 * parts)
    return left


def _shown(each: Garbage) -> str:
    return f"{each.record!r}{' (on a wrong partition)' if each.astray else ''}, before input {each.before}"


if __name__ == "__main__":
    sys.exit(main())
