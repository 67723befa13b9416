"""Years of shops with 200 flows and deliveries: one seed is one year, and says what came of it.

`year_sweep.py --years 4 --from 2` goes on behind two years that are done. Ends with 1 where a year went wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

from year_run import Found, played


def one_year(seed: int, *, days: int, size: int, people: int) -> tuple[Found, float]:
    """What a seed came to, and its seconds of CPU."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = played(seed, days, size, people, Path(folder))
    return found, time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="begin", metavar="YEARS")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--people", type=int, default=120)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    play = partial(one_year, days=given.days, size=given.size, people=given.people)
    counts: Counter[str] = Counter()
    wrong = 0
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        seeds = range(given.seed + given.begin, given.seed + given.years)
        for found, seconds in pool.imap(play, seeds):
            counts.update(found.counts)
            wrong += bool(found.problems)
            print(f"{found}; {seconds:.0f} s of CPU; goes on with --from {found.seed - given.seed + 1}", flush=True)
            for problem in found.problems[:20]:
                print(f"  {problem}", flush=True)
    print("| what happened | times |\n| --- | --- |")
    for name, times in sorted(counts.items()):
        print(f"| {name} | {times} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
