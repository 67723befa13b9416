"""Many runs: `python tests/lab/lab_sweep.py --runs 10000 [--seed 0] [--from 0] [--workers 2] [--mutants]`.

A run is a case of about four applies with faults, and the applies without faults that settle it. Every failing seed
is told with the command that plays it again. A sweep that was stopped goes on with the `--from` of its last line.
Exits 1 on a failure.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab_cases import case_of
from lab_mutants import MUTANTS, mutated
from lab_run import Case, run, seams

SEEDS = Path(__file__).parent / "seeds"
TASK_RUNS = 250
LINE_RUNS = 10_000


@dataclass
class Tally:
    """What a number of runs came to: `failed` by seed and reason, `struck` what went wrong in them and how often."""

    runs: int = 0
    applies: int = 0
    cpu_seconds: float = 0.0
    struck: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.runs += other.runs
        self.applies += other.applies
        self.cpu_seconds += other.cpu_seconds
        self.struck.update(other.struck)
        self.failed += other.failed

    def __str__(self) -> str:
        rate = self.runs / max(self.cpu_seconds, 0.001)
        seeds = len({seed for seed, _ in self.failed})
        return (
            f"{self.runs} runs, {self.applies} applies with faults, {self.struck.total()} faults struck, "
            f"{rate:.0f} runs a second of CPU, {seeds} failed"
        )


@contextmanager
def _rare_collections() -> Iterator[None]:
    """A run makes much that is gone at its end: it is looked for seldom."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def played(seeds: Iterable[int]) -> Tally:
    """Play these seeds."""
    tally, began = Tally(), time.process_time()
    with seams(), _rare_collections():
        for seed in seeds:
            broken, lab = run(case_of(seed))
            tally.runs += 1
            tally.applies += lab.applies
            tally.struck.update(lab.struck)
            tally.failed += [(seed, f"{one.invariant}: {one.why}") for one in broken]
    tally.cpu_seconds = time.process_time() - began
    return tally


def command(seed: int) -> str:
    """What plays a seed again, call by call."""
    return f".venv/bin/python tests/lab/lab_replay.py {seed}"


def _share(task: tuple[int, int]) -> Tally:
    gc.collect()
    gc.freeze()
    return played(range(*task))


def mutant_rows() -> list[tuple[str, str, str, str]]:
    """Of each mutant: its name, what is taken away, the invariant that finds it, the seed (`kept`: by hand)."""
    rows = []
    for name, (what, _) in MUTANTS.items():
        document = json.loads((SEEDS / f"mutant-{name}.json").read_text(encoding="utf-8"))
        with seams(), mutated(name):
            broken, _lab = run(Case.of(document))
        found = sorted({one.invariant for one in broken})
        seed = "kept" if document["seed"] is None else str(document["seed"])
        rows.append((name, what, ", ".join(found) or "SURVIVED", seed))
    return rows


def swept(first: int, begin: int, runs: int, workers: int) -> Tally:
    """Play the runs from `begin` of `runs`, the seed of run 0 being `first`; tell of failures and how far it is."""
    tasks = [(first + at, first + min(at + TASK_RUNS, runs)) for at in range(begin, runs, TASK_RUNS)]
    whole = Tally()
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for task, part in zip(tasks, pool.imap(_share, tasks), strict=True):
            whole.add(part)
            for seed, why in part.failed:
                print(f"{why}\n  {command(seed)}", flush=True)
            if (task[1] - first) // LINE_RUNS > (task[0] - first) // LINE_RUNS:
                print(f"{whole}; goes on with --from {task[1] - first}", flush=True)
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", type=int, default=0, dest="begin", metavar="RUNS")
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
    whole = swept(given.seed, given.begin, given.runs, given.workers)
    print("| what went wrong | times |\n| --- | --- |")
    for name, times in sorted(whole.struck.items()):
        print(f"| {name} | {times} |")
    print(whole)
    return 1 if whole.failed else 0


if __name__ == "__main__":
    sys.exit(main())
