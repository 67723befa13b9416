"""Play one seed and tell of each run: `year_replay.py SEED [--days 30] [--size 200] [--people 120]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from year_run import played


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--people", type=int, default=120)
    parser.add_argument("--without", default="")
    given = parser.parse_args()
    without = frozenset(given.without.split(","))
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = played(given.seed, given.days, given.size, given.people, Path(folder), trace=print, without=without)
    print(found)
    print(f"{time.process_time() - began:.1f} s of CPU")
    for problem in found.problems[:40]:
        print(problem)
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
