"""Evaluating 20 expressions over lists of people: the embedded engine against DuckDB set operators.

    python tests/bench/bench_eval.py [PEOPLE]

Ten lists hold 0.1 % to 60 % of one million people (or of PEOPLE). Both sides read the same files in the
same run and must count the same people. *Cold* starts from the files; *cached* is a new process whose
files did not change; *warm* is the 20 expressions alone. DuckDB has no counterpart to *cached*: there it
is compared with DuckDB's cold. Medians of three; peak memory is of the whole process.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

LISTS = 10
EXPRESSIONS = 20
OPERATORS = 5  # in each expression, at most
REPETITIONS = 3
SMALLEST, LARGEST = 0.001, 0.6
SEED = 20261121
HEADINGS = ("engine CPU", "wall", "DuckDB CPU", "wall", "ratio CPU", "wall")
AS_OF = datetime(2026, 11, 21, tzinfo=UTC)

# An expression: the number of a list, or (operator, left, right).
Tree = int | tuple[str, "Tree", "Tree"]


# --- data -----------------------------------------------------------------------------------------------


def write_lists(folder: Path, people: int) -> None:
    """Lists that overlap as real ones do: two of three follow how active a person is."""
    import numpy as np

    chance = np.random.default_rng(SEED)
    words = chance.integers(0, 2**64, (people, 2), np.uint64).astype(">u8")
    digits = words.tobytes().hex()
    ids = np.array([f"U{digits[at : at + 32]}" for at in range(0, 32 * people, 32)])
    activity = chance.random(people)
    for number in range(LISTS):
        share = SMALLEST * (LARGEST / SMALLEST) ** (number / (LISTS - 1))
        score = chance.random(people) + (activity if number % 3 else 0)
        chosen = np.argsort(score)[-max(1, int(share * people)) :]
        (folder / f"l{number}.txt").write_text("\n".join(ids[chance.permutation(chosen)]) + "\n", "ascii")


def make_trees() -> list[Tree]:
    chance = random.Random(SEED)

    def tree(size: int) -> Tree:
        if size == 0:
            return chance.randrange(LISTS)
        left = chance.randrange(size)
        return chance.choice(("AND", "OR", "EXCEPT")), tree(left), tree(size - 1 - left)

    return [tree(1 + at % OPERATORS) for at in range(EXPRESSIONS)]


# --- the two sides ----------------------------------------------------------------------------------------


def measured(work: Callable[[], list[int]]) -> tuple[list[int], float, float]:
    """(result, CPU seconds, wall seconds)."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def run_engine(folder: Path, cache: Path) -> dict[str, tuple[list[int], float, float]]:
    from audsql.data.duckdb import open_engine
    from audsql.meaning.ir import Expression, Project, Uploaded, UploadSource, land, leaf, lnot, lor

    atoms = [Uploaded(f"l{number}") for number in range(LISTS)]
    project = Project(
        "bench", "UTC", uploads=tuple(UploadSource(a.source, f"{a.source}.txt", "user_id") for a in atoms)
    )

    def lower(tree: Tree) -> Expression:
        if isinstance(tree, int):
            return leaf(atoms[tree])
        operator, left, right = tree[0], lower(tree[1]), lower(tree[2])
        return {"AND": land(left, right), "OR": lor(left, right), "EXCEPT": land(left, lnot(right))}[operator]

    expressions = [lower(tree) for tree in make_trees()]
    engine = open_engine(project, folder, cache)
    people = {}

    def count() -> list[int]:
        return [engine.count(engine.evaluate(expression, people)) for expression in expressions]

    def read_and_count() -> list[int]:
        found, problems = engine.materialise(atoms, AS_OF)
        assert problems == (), problems
        people.update(found.people)
        return count()

    return {"read": measured(read_and_count), "warm": measured(count)}


def run_duckdb(folder: Path, _: Path) -> dict[str, tuple[list[int], float, float]]:
    import duckdb

    def sql(tree: Tree) -> str:
        if isinstance(tree, int):
            return f"SELECT id FROM l{tree}"
        operator = {"AND": "INTERSECT", "OR": "UNION", "EXCEPT": "EXCEPT"}[tree[0]]
        return f"({sql(tree[1])}) {operator} ({sql(tree[2])})"

    queries = [f"SELECT count(*) FROM ({sql(tree)})" for tree in make_trees()]
    connection = duckdb.connect()

    def count() -> list[int]:
        return [connection.execute(query).fetchall()[0][0] for query in queries]

    def read_and_count() -> list[int]:
        for number in range(LISTS):
            source = "read_csv(?, header = false, auto_detect = false, columns = {'id': 'VARCHAR'})"
            connection.execute(f"CREATE TABLE l{number} AS SELECT id FROM {source}", [f"{folder}/l{number}.txt"])
        return count()

    return {"read": measured(read_and_count), "warm": measured(count)}


def worker(side: str, folder: Path, cache: Path) -> None:
    result = {"engine": run_engine, "duckdb": run_duckdb}[side](folder, cache)
    print(json.dumps({"peak": peak_megabytes(), **result}))


def peak_megabytes() -> float:
    """Of this program alone: Linux hands `ru_maxrss` down from the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(lines[0].split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- the run ------------------------------------------------------------------------------------------------


def spawn(side: str, folder: Path, cache: Path) -> dict[str, object]:
    command = [sys.executable, __file__, "--worker", side, str(folder), str(cache)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def median(runs: list[dict[str, object]], stage: str, at: int) -> float:
    return statistics.median(run[stage][at] for run in runs)  # type: ignore[index]


def main(people: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lists(folder, people)
        cold = [spawn("engine", folder, folder / f"cache{at}") for at in range(REPETITIONS)]
        cached = [spawn("engine", folder, folder / "cache0") for _ in range(REPETITIONS)]
        duck = [spawn("duckdb", folder, folder) for _ in range(REPETITIONS)]
    counts = duck[0]["warm"][0]  # type: ignore[index]
    for run in (*cold, *cached, *duck):
        for stage in ("read", "warm"):
            if run[stage][0] != counts:  # type: ignore[index]
                print(f"counts differ: {run[stage][0]} {counts}", file=sys.stderr)  # type: ignore[index]
                return 1
    print(f"{EXPRESSIONS} expressions over {LISTS} lists of {people:,} people, median of {REPETITIONS}; counts agree")
    print("        " + "".join(f"{title:>14}" for title in HEADINGS))
    rows = (("cold", cold, "read", "read"), ("cached", cached, "read", "read"), ("warm", cached, "warm", "warm"))
    for title, runs, stage, other in rows:
        ours, theirs = ([median(side, of, at) for at in (1, 2)] for side, of in ((runs, stage), (duck, other)))
        ratios = [f"{right / max(left, 1e-6):,.1f}x" for left, right in zip(ours, theirs, strict=True)]
        cells = [f"{seconds * 1000:,.1f} ms" for seconds in (*ours, *theirs)]
        print(f"{title:8}" + "".join(f"{cell:>14}" for cell in (*cells, *ratios)))
    peaks = [max(float(run["peak"]) for run in runs) for runs in (cold, cached, duck)]  # type: ignore[arg-type]
    print(f"peak memory: engine cold {peaks[0]:,.0f} MB, cached {peaks[1]:,.0f} MB, DuckDB {peaks[2]:,.0f} MB")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
