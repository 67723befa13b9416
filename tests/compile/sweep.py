"""How the random deliveries of test_fewest_sends and test_fewest_uploads come out, in all: `make sweep` runs it.

    python tests/compile/sweep.py [--count 5000] [--workers 2]

Each test is run over all its seeds, a share of them in every process; what they find is added up and printed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

os.environ["AUDSQL_SWEEP"] = "1"

import test_fewest_sends
import test_fewest_uploads

Found = Counter[tuple[str, str]]


def sends(start: int, end: int) -> Found:
    """The fewest sends of random sets, each compared with brute force."""
    found: Found = Counter()
    for number in range(start, end):
        found += test_fewest_sends.checked(number)
    return found


def uploads(start: int, end: int) -> Found:
    """Uploads, leaves, bounds and fallbacks of random functions, each compared with a search by hand."""
    test_fewest_uploads.seen.clear()
    for seed in range(start, end):
        test_fewest_uploads.check_fewest(seed)
    return Counter({(what, str(value)): count for (what, value), count in test_fewest_uploads.seen.items()})


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=5_000)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    starts = range(0, chosen.count, 100)
    ends = [min(start + 100, chosen.count) for start in starts]
    with ProcessPoolExecutor(chosen.workers) as pool:
        for title, one in (("fewest sends", sends), ("fewest uploads and leaves", uploads)):
            total: Found = Counter()
            for found in pool.map(one, starts, ends):
                total += found
            print(f"{title}, {chosen.count:,} random deliveries")
            for (what, value), count in sorted(total.items(), key=lambda entry: (entry[0][0], entry[0][1].rjust(20))):
                print(f"  {what:>10} {value:>20} {count:>7,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
