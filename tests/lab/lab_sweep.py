"""Many runs: `python tests/lab/lab_sweep.py --runs 10000 [--seed 0] [--workers 2] [--mutants]`.

Every failing seed is told with the command that plays it again, and the first is made smaller. Exits 1 on a failure.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from lab_cases import case_of
from lab_mutants import MUTANTS, mutated
from lab_run import Case, run, seams

SEEDS = Path(__file__).parent / "seeds"


def failing(seeds: Iterable[int]) -> list[tuple[int, str]]:
    """The seeds of these whose run breaks an invariant, and how."""
    found = []
    with seams():
        for seed in seeds:
            broken, _ = run(case_of(seed))
            found += [(seed, f"{one.invariant}: {one.why}") for one in broken]
    return found


def command(seed: int) -> str:
    """What plays a seed again, call by call."""
    return f".venv/bin/python tests/lab/lab_replay.py {seed}"


def _share(task: tuple[int, int, int]) -> list[tuple[int, str]]:
    gc.collect()
    gc.freeze()
    return failing(range(*task))


def mutant_rows() -> list[tuple[str, str, str, str]]:
    """Of each mutant: its name, what is taken away, the invariant that finds it, the seed (`kept`: by hand)."""
    rows = []
    with seams():
        for name, (what, _) in MUTANTS.items():
            document = json.loads((SEEDS / f"mutant-{name}.json").read_text(encoding="utf-8"))
            with mutated(name):
                broken, _lab = run(Case.of(document))
            found = sorted({one.invariant for one in broken})
            seed = "kept" if document["seed"] is None else str(document["seed"])
            rows.append((name, what, ", ".join(found) or "SURVIVED", seed))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mutants", action="store_true")
    given = parser.parse_args()
    if given.mutants:
        rows = mutant_rows()
        print("| mutant | what is taken away | found by | seed |\n| --- | --- | --- | --- |")
        for row in rows:
            print("| " + " | ".join(row) + " |")
        if any(row[2] == "SURVIVED" for row in rows):
            return 1
    end, size = given.seed + given.runs, 250
    tasks = [(at, min(at + size, end), 1) for at in range(given.seed, end, size)]
    began, done, found = time.monotonic(), 0, 0
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        for task, problems in zip(tasks, pool.imap(_share, tasks), strict=True):
            done += task[1] - task[0]
            for seed, why in problems:
                print(f"{why}\n  {command(seed)}", flush=True)
            found += len({seed for seed, _ in problems})
            if done % 10_000 == 0:
                print(f"{done} runs, {done / (time.monotonic() - began):.0f} a second, {found} failed", flush=True)
    seconds = time.monotonic() - began
    print(f"{done} runs in {seconds:.0f} s ({done / max(seconds, 0.001):.0f} a second), {found} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
