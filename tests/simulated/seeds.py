"""Many seeds of the simulated broker, or one of them with its trace: ``make seeds``.

python -m tests.simulated.seeds --count 10000 --start 0 --jobs 2
python -m tests.simulated.seeds --seed 4711 --trace
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.simulated.run import Failed, Result, run_seed

CHUNK = 20


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make seeds", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: print all that happens")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep-going", action="store_true", help="do not end at the first seed that fails")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return _one(chosen.seed, chosen.trace)
    return _many(range(chosen.start, chosen.start + chosen.count), chosen.jobs, chosen.keep_going)


def _one(seed: int, trace: bool) -> int:
    try:
        result = run_seed(seed, print if trace else None)
    except Failed as failed:
        print(failed)
        return 1
    print(f"seed {seed}: right; {result.checked} inputs checked, faults {result.faults}, trace {result.digest}")
    return 0


def run_many(seeds: Sequence[int]) -> list[Result | str]:
    """Each seed's result, or what went wrong. Nothing escapes: a seed that breaks the simulation has failed too."""
    found: list[Result | str] = []
    for seed in seeds:
        try:
            found.append(run_seed(seed))
        except Failed as failed:
            found.append(str(failed))
        except Exception as error:
            found.append(f"seed {seed}: {type(error).__name__}: {error}")
    return found


def _many(seeds: range, jobs: int, keep_going: bool) -> int:
    started = time.monotonic()
    faults: Counter[str] = Counter()
    done = checked = 0
    failed: list[str] = []
    virtual_s = 0.0
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    for result in _results(chunks, jobs):
        if isinstance(result, str):
            failed.append(result)
            seed = result.split(":")[0]
            print(f"\n{result}\n  replay it: make seeds ARGS='--{seed.replace(' ', ' ')} --trace'", flush=True)
            if not keep_going:
                break
            continue
        done += 1
        checked += result.checked
        virtual_s += result.virtual_s
        faults.update(result.faults)
        if done % 500 == 0:
            print(f"{done} of {len(seeds)} seeds right, {time.monotonic() - started:.0f} s", flush=True)
    took = time.monotonic() - started
    print(f"\nseeds {seeds.start} to {seeds.stop - 1}: {done} right, {len(failed)} wrong, in {took:.0f} s")
    print(f"{checked} applied inputs checked, {virtual_s:.0f} s of virtual time, {sum(faults.values())} faults:")
    for kind, count in sorted(faults.items()):
        print(f"  {kind:<12} {count:>8}")
    return 1 if failed else 0


def _results(chunks: list[range], jobs: int) -> Iterator[Result | str]:
    if jobs <= 1:
        for chunk in chunks:
            yield from run_many(chunk)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for results in pool.imap_unordered(run_many, chunks):
            yield from results


if __name__ == "__main__":
    sys.exit(main())
