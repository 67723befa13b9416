"""Own data at the size of a real account: thirty lists of people, twenty expressions, against DuckDB and numpy.

    python tests/bench/bench_scale.py [PEOPLE] [--markdown] [--repetitions 3] [--sizes 1000000,5000000]
                                      [--only ENGINE_ALONE] [--events 5] [--memory BYTES] [--folder FOLDER]

Every side is a process of its own over the same files and must count the same people. *Cold* reads the lists,
verifies and numbers every id, evaluates and writes the members of twenty expressions to files; *warm* is the
evaluation alone, over what is in memory already. The floor is the same operators and counts over packed bits in numpy.
Writing the data is not counted. Medians; peak memory is of the whole process.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench_eval import peak_megabytes

LISTS = 30
EXPRESSIONS = 20
AUDIENCES = 300
SMALLEST, LARGEST = 0.001, 0.6
SEED = 20261122
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
PRODUCTS = 40
DAYS = 400
CHANGED = (0, 15, LISTS - 1)  # a small list, a middling one, the largest

Tree = int | tuple[str, "Tree", "Tree"]
Run = dict[str, Any]


# --- data -----------------------------------------------------------------------------------------------


def words_of(people: int) -> Any:
    """Two 64-bit words a person."""
    import numpy as np

    return np.random.default_rng(SEED).integers(0, 2**64, (people, 2), np.uint64)


def write_ids(path: Path, words: Any, ending: bytes = b"\n") -> None:
    import numpy as np

    letters = np.frombuffer(b"0123456789abcdef", np.uint8)
    with path.open("wb") as stream:
        for begin in range(0, len(words), 1 << 20):
            some = words[begin : begin + (1 << 20)].astype(">u8").view(np.uint8)
            lines = np.empty((len(some), 34), np.uint8)
            lines[:, 0], lines[:, 33] = ord("U"), ending[0]
            lines[:, 1:33:2], lines[:, 2:33:2] = letters[some >> 4], letters[some & 15]
            stream.write(lines.tobytes())


def write_lists(folder: Path, people: int) -> int:
    """Lists that overlap as real ones do: two of three follow how active a person is. How many lines there are."""
    import numpy as np

    words, chance = words_of(people), np.random.default_rng(SEED + 1)
    activity = chance.random(people, np.float32)
    total = 0
    for number in range(LISTS):
        share = SMALLEST * (LARGEST / SMALLEST) ** (number / (LISTS - 1))
        score = chance.random(people, np.float32)
        if number % 3:
            score += activity
        size = max(1, int(share * people))
        chosen = np.argpartition(score, people - size)[-size:]
        write_ids(folder / f"l{number}.txt", words[chance.permutation(chosen)])
        total += size
    return total


def change_list(folder: Path, number: int, people: int) -> None:
    """3 % of a list leave and 2 % that were nobody's join."""
    import numpy as np

    path, chance = folder / f"l{number}.txt", np.random.default_rng(SEED + 2 + number)
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [lines[at] for at in np.flatnonzero(chance.random(len(lines)) > 0.03).tolist()]
    fresh = folder / "fresh"
    write_ids(fresh, chance.integers(0, 2**64, (max(1, len(lines) // 50), 2), np.uint64))
    path.write_bytes(b"".join(kept) + fresh.read_bytes())
    fresh.unlink()


def write_events(folder: Path, people: int, rows: int) -> None:
    """Purchases in no order: person, product, day."""
    import numpy as np

    words, chance = words_of(people), np.random.default_rng(SEED + 3)
    letters = np.frombuffer(b"0123456789abcdef", np.uint8)
    first = np.datetime64("2026-11-22") - DAYS
    days = np.array([str(first + day).encode() for day in range(DAYS)], "S10").view(np.uint8).reshape(DAYS, 10)
    products = np.array([f"P{at:03}".encode() for at in range(PRODUCTS)], "S4").view(np.uint8).reshape(PRODUCTS, 4)
    with (folder / "events.csv").open("wb") as stream:
        stream.write(b"user_id,product,day\n")
        for begin in range(0, rows, 1 << 20):
            count = min(1 << 20, rows - begin)
            some = words[(people * chance.random(count) ** 2).astype(np.int64)].astype(">u8").view(np.uint8)
            lines = np.full((count, 50), ord(","), np.uint8)
            lines[:, 0], lines[:, 49] = ord("U"), ord("\n")
            lines[:, 1:33:2], lines[:, 2:33:2] = letters[some >> 4], letters[some & 15]
            lines[:, 34:38] = products[(PRODUCTS * chance.random(count) ** 2).astype(np.int64)]
            lines[:, 39:49] = days[chance.integers(0, DAYS, count)]
            stream.write(lines.tobytes())


def make_trees() -> list[Tree]:
    """Twenty random expressions of three to six operators, ninety in all."""
    chance = random.Random(SEED)

    def tree(size: int) -> Tree:
        if size == 0:
            return chance.randrange(LISTS)
        left = chance.randrange(size)
        return chance.choice(("AND", "OR", "EXCEPT")), tree(left), tree(size - 1 - left)

    return [tree(3 + at % 4) for at in range(EXPRESSIONS)]


def make_audiences() -> list[Tree]:
    """300 audiences, each of which narrows a part of one of the twenty expressions by another list."""
    chance = random.Random(SEED)
    parts = sorted({part for tree in make_trees() for part in parts_of(tree)}, key=repr)
    return [
        (chance.choice(("AND", "AND", "AND", "EXCEPT")), chance.choice(parts), chance.randrange(LISTS))
        for _ in range(AUDIENCES)
    ]


def parts_of(tree: Tree) -> Iterator[Tree]:
    if isinstance(tree, tuple):
        yield tree
        for side in tree[1:]:
            yield from parts_of(side)


# --- measuring --------------------------------------------------------------------------------------------


def measured(run: Run, stage: str, work: Callable[[], Any]) -> Any:
    """The result; CPU and wall seconds go into `run`."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    run[stage] = [time.process_time() - cpu, time.perf_counter() - wall]
    return result


def repeated(run: Run, stage: str, work: Callable[[], Any], before: Callable[[], None] = lambda: None) -> Any:
    """The same of the median of several runs, where one is short."""
    seconds = []
    for _ in range(7):
        before()
        result = measured(run, stage, work)
        seconds.append(run[stage])
    run[stage] = sorted(seconds)[len(seconds) // 2]
    return result


# --- the engine -------------------------------------------------------------------------------------------


def run_engine(folder: Path, options: Run) -> Run:
    from audsql.data.duckdb import open_engine
    from audsql.data.people import Memo
    from audsql.meaning.ir import Expression, Project, Uploaded, UploadSource, land, leaf, lnot, lor

    atoms = [Uploaded(f"l{number}") for number in range(LISTS)]
    uploads = tuple(UploadSource(atom.source, f"{atom.source}.txt", "user_id") for atom in atoms)
    project = Project("bench", "UTC", uploads=uploads)

    def lower(tree: Tree) -> Expression:
        if isinstance(tree, int):
            return leaf(atoms[tree])
        operator, left, right = tree[0], lower(tree[1]), lower(tree[2])
        return {"AND": land(left, right), "OR": lor(left, right), "EXCEPT": land(left, lnot(right))}[operator]

    trees = make_trees()
    expressions, audiences = ([lower(tree) for tree in some] for some in (trees, make_audiences()))
    run: Run = {}
    memory = {"memory_bytes": options["memory"]} if options["memory"] else {}
    engine = measured(run, "open", lambda: open_engine(project, folder, Path(options["cache"]), **memory))
    found, problems = measured(run, "read", lambda: engine.materialise(atoms, AS_OF))
    assert problems == (), problems
    people = found.people

    def forget() -> None:
        engine.memo = Memo(engine.memo.bytes_max)

    def count(some: Sequence[Expression]) -> list[int]:
        return [engine.count(engine.evaluate(one, people)) for one in some]

    if options["warm"]:
        run["counts"] = repeated(run, "warm", lambda: count(expressions), forget)
        repeated(run, "audiences", lambda: count(audiences), forget)
    else:
        run["counts"] = measured(run, "evaluate", lambda: count(expressions))
    of = options["changed"]
    wanted = [at for at, tree in enumerate(trees) if of is None or of in lists_of(tree)]

    def write() -> None:
        for at in wanted:
            with (Path(options["out"]) / f"{at}.txt").open("wb") as stream:
                for lines in engine.id_lines(engine.evaluate(expressions[at], people)):
                    stream.write(lines)

    measured(run, "write", write)
    return run


def lists_of(tree: Tree) -> set[int]:
    return {tree} if isinstance(tree, int) else lists_of(tree[1]) | lists_of(tree[2])


# --- DuckDB -----------------------------------------------------------------------------------------------

READ = "read_csv('{path}', header = false, auto_detect = false, delim = ',', quote = '', columns = {{'id': 'VARCHAR'}})"


def connected(options: Run) -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET temp_directory = '{options['out']}/tmp'")
    connection.execute("SET preserve_insertion_order = false")
    return connection


def mask_sql(tree: Tree) -> str:
    if isinstance(tree, int):
        return f"(mask & {1 << tree}) <> 0"
    operator = {"AND": "AND", "OR": "OR", "EXCEPT": "AND NOT"}[tree[0]]
    return f"(({mask_sql(tree[1])}) {operator} ({mask_sql(tree[2])}))"


def run_masks(folder: Path, options: Run, key: str, written: str) -> Run:
    """One table of every person with a bit for each list, then one pass for all counts and one for each file."""
    run: Run = {}
    connection = measured(run, "open", lambda: connected(options))
    lists = " UNION ALL ".join(
        f"SELECT {key} AS id, {1 << at}::UINTEGER AS bit FROM {READ.format(path=f'{folder}/l{at}.txt')}"
        for at in range(LISTS)
    )
    made = f"CREATE TABLE people AS SELECT id, bit_or(bit) AS mask FROM ({lists}) GROUP BY id"
    measured(run, "read", lambda: connection.execute(made))
    conditions = [mask_sql(tree) for tree in make_trees()]
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in conditions)
    run["counts"] = list(
        measured(run, "evaluate", lambda: connection.execute(f"SELECT {counts} FROM people").fetchone())
    )

    def write() -> None:
        for at, condition in enumerate(conditions):
            members = f"SELECT {written} FROM people WHERE {condition}"
            connection.execute(f"COPY ({members}) TO '{options['out']}/{at}.txt' (FORMAT csv, HEADER false, QUOTE '')")

    measured(run, "write", write)
    return run


def run_masks_of_text(folder: Path, options: Run) -> Run:
    return run_masks(folder, options, "id", "id")


def run_masks_of_uuids(folder: Path, options: Run) -> Run:
    """A user id as the 128 bits that it is, which the cast verifies, and as text again for the files."""
    return run_masks(folder, options, "CAST(substr(id, 2) AS UUID)", "'U' || replace(CAST(id AS VARCHAR), '-', '')")


def run_numbers(folder: Path, options: Run) -> Run:
    """A dictionary of everybody, lists of their numbers, semi and anti joins; the names joined back for the files."""
    run: Run = {}
    connection = measured(run, "open", lambda: connected(options))

    def read() -> None:
        for at in range(LISTS):
            path = f"{folder}/l{at}.txt"
            connection.execute(f"CREATE TEMP TABLE t{at} AS SELECT id FROM {READ.format(path=path)}")
        lists = " UNION ALL ".join(f"SELECT id FROM t{at}" for at in range(LISTS))
        connection.execute(
            f"CREATE TABLE people AS SELECT id, CAST(row_number() OVER () AS UINTEGER) AS n"
            f" FROM (SELECT DISTINCT id FROM ({lists}))"
        )
        for at in range(LISTS):
            connection.execute(f"CREATE TABLE l{at} AS SELECT n FROM t{at} JOIN people USING (id)")
            connection.execute(f"DROP TABLE t{at}")

    measured(run, "read", read)
    queries = [semi_sql(tree, "n") for tree in make_trees()]
    run["counts"] = counted(run, connection, queries, options)

    def write() -> None:
        for at, query in enumerate(queries):
            members = f"SELECT id FROM people SEMI JOIN ({query}) USING (n)"
            connection.execute(f"COPY ({members}) TO '{options['out']}/{at}.txt' (FORMAT csv, HEADER false, QUOTE '')")

    measured(run, "write", write)
    return run


def counted(run: Run, connection: Any, queries: Sequence[str], options: Run) -> list[int]:
    statements = [f"SELECT count(*) FROM ({query})" for query in queries]
    count = lambda: [connection.execute(one).fetchone()[0] for one in statements]  # noqa: E731
    result: list[int] = measured(run, "evaluate", count)
    if options["warm"]:
        measured(run, "warm", count)
    return result


def semi_sql(tree: Tree, key: str) -> str:
    """Lists hold everybody once, so only OR must take repetitions away."""
    if isinstance(tree, int):
        return f"SELECT {key} FROM l{tree}"
    left, right = semi_sql(tree[1], key), semi_sql(tree[2], key)
    if tree[0] == "OR":
        return f"SELECT {key} FROM ({left}) UNION SELECT {key} FROM ({right})"
    join = {"AND": "SEMI", "EXCEPT": "ANTI"}[tree[0]]
    return f"SELECT {key} FROM ({left}) {join} JOIN ({right}) USING ({key})"


def run_operators(folder: Path, options: Run) -> Run:
    """Lists of ids as text and the operators of sets."""
    run: Run = {}
    connection = measured(run, "open", lambda: connected(options))

    def read() -> None:
        for at in range(LISTS):
            path = f"{folder}/l{at}.txt"
            connection.execute(f"CREATE TABLE l{at} AS SELECT id FROM {READ.format(path=path)}")

    def sql(tree: Tree) -> str:
        if isinstance(tree, int):
            return f"SELECT id FROM l{tree}"
        operator = {"AND": "INTERSECT", "OR": "UNION", "EXCEPT": "EXCEPT"}[tree[0]]
        return f"({sql(tree[1])}) {operator} ({sql(tree[2])})"

    measured(run, "read", read)
    run["counts"] = counted(run, connection, [sql(tree) for tree in make_trees()], options)
    return run


# --- the floor --------------------------------------------------------------------------------------------


def run_floor(folder: Path, options: Run) -> Run:
    """Packed bits: each distinct part once, one pass over memory an operator, and the counts."""
    import numpy as np

    from audsql.data.userids import read_lines

    everybody = np.unique(words_of(options["people"])[:, 0])
    packed = []
    for number in range(LISTS):
        words = read_lines((folder / f"l{number}.txt").read_bytes())
        assert words is not None
        bits = np.zeros(len(everybody) + -len(everybody) % 64, bool)
        bits[np.searchsorted(everybody, np.sort(words[0]))] = True
        packed.append(np.packbits(bits).view(np.uint64))
    trees = make_trees()
    parts = {part: np.empty_like(packed[0]) for tree in trees for part in parts_of(tree)}
    spare = np.empty_like(packed[0])
    ordered = sorted(parts, key=lambda part: (depth(part), repr(part)))

    def count() -> list[int]:
        for part in ordered:
            left, right = (packed[side] if isinstance(side, int) else parts[side] for side in part[1:])
            if part[0] == "EXCEPT":
                np.invert(right, out=spare)
                right = spare
            (np.bitwise_or if part[0] == "OR" else np.bitwise_and)(left, right, out=parts[part])
        return [int(np.bitwise_count(parts[tree]).sum()) for tree in trees]

    run: Run = {}
    run["counts"] = repeated(run, "warm", count)
    return run


def depth(tree: Tree) -> int:
    return 0 if isinstance(tree, int) else 1 + max(depth(side) for side in tree[1:])


# --- events -----------------------------------------------------------------------------------------------

BOUGHT = ("P000", "P001", "P003", "P010")


def run_events(folder: Path, options: Run) -> Run:
    """Row conditions in one pass: products within windows, at least twice."""
    from audsql.data.duckdb import open_engine
    from audsql.meaning.ir import ColumnCompare, Last, Project, Rows, TableSource, Times

    table = TableSource("events", "events.csv", ids=(("user_id", "user_id"),), time_column="day")
    project = Project("bench", "UTC", tables=(table,))
    atoms = [
        Rows("events", (ColumnCompare("product", "=", product), Last(30 * (at + 1), "day")), (Times("at least", 2),))
        for at, product in enumerate(BOUGHT)
    ]
    run: Run = {}
    memory = {"memory_bytes": options["memory"]} if options["memory"] else {}
    engine = measured(run, "open", lambda: open_engine(project, folder, Path(options["cache"]), **memory))
    found, problems = measured(run, "read", lambda: engine.materialise(atoms, AS_OF))
    assert problems == (), problems
    run["counts"] = [engine.count(found.people[atom.key]) for atom in atoms]
    return run


def run_events_duckdb(folder: Path, options: Run) -> Run:
    run: Run = {}
    connection = measured(run, "open", lambda: connected(options))
    columns = "{'user_id': 'VARCHAR', 'product': 'VARCHAR', 'day': 'DATE'}"
    source = f"read_csv('{folder}/events.csv', header = true, auto_detect = false, delim = ',', columns = {columns})"
    conditions = [
        f"count(*) FILTER (WHERE product = '{product}' AND day >= DATE '2026-11-22' - {30 * (at + 1)}) >= 2"
        for at, product in enumerate(BOUGHT)
    ]
    each = ", ".join(f"{condition} AS a{at}" for at, condition in enumerate(conditions))
    totals = ", ".join(f"count(*) FILTER (WHERE a{at})" for at in range(len(BOUGHT)))
    query = f"SELECT {totals} FROM (SELECT user_id, {each} FROM {source} GROUP BY user_id)"
    run["counts"] = list(measured(run, "read", lambda: connection.execute(query).fetchone()))
    return run


SIDES = {
    "engine": run_engine,
    "floor": run_floor,
    "masks": run_masks_of_text,
    "uuids": run_masks_of_uuids,
    "numbers": run_numbers,
    "operators": run_operators,
    "events": run_events,
    "events_duckdb": run_events_duckdb,
}


# --- the run ------------------------------------------------------------------------------------------------


def spawn(side: str, folder: Path, **options: Any) -> Run:
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    given = {"out": str(out), "cache": "", "warm": False, "changed": None, "people": 0, "memory": 0, **options}
    command = [sys.executable, __file__, "--worker", side, str(folder), json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side}: {done.stderr}")
    run: Run = json.loads(done.stdout)
    shutil.rmtree(out, ignore_errors=True)
    return run


def worker(side: str, folder: Path, options: Run) -> None:
    run = SIDES[side](folder, options)
    print(json.dumps({**run, "peak": peak_megabytes()}))


def median(runs: Sequence[Run], *stages: str, at: int = 0) -> float:
    """Of the sum of stages: CPU seconds, or wall seconds with `at` 1."""
    return statistics.median(sum(run[stage][at] for stage in stages if stage in run) for run in runs)


WHOLE = ("open", "read", "evaluate", "write")


def agree(expected: Sequence[int], runs: Sequence[Run], what: str) -> None:
    for run in runs:
        if list(run["counts"]) != list(expected):
            sys.exit(f"{what}: counts differ: {run['counts']} {expected}")


def engine_runs(folder: Path, times: int, memory: int, people: int) -> dict[str, list[Run]]:
    cache = str(folder / "cache")
    runs: dict[str, list[Run]] = {"cold": []}
    for _ in range(times):
        shutil.rmtree(cache, ignore_errors=True)
        runs["cold"].append(spawn("engine", folder, cache=cache, memory=memory))
    # What changed within two seconds of being read is read again.
    time.sleep(2.5)
    spawn("engine", folder, cache=cache, memory=memory)
    runs["cached"] = [spawn("engine", folder, cache=cache, warm=True, memory=memory) for _ in range(times)]
    for number in CHANGED:
        before = (folder / f"l{number}.txt").read_bytes()
        change_list(folder, number, people)
        runs[f"changed{number}"] = []
        for _ in range(times):
            again = str(folder / "again" / "cache")
            shutil.rmtree(folder / "again", ignore_errors=True)
            shutil.copytree(cache, again)
            runs[f"changed{number}"].append(spawn("engine", folder, cache=again, changed=number, memory=memory))
        shutil.rmtree(folder / "again")
        (folder / f"l{number}.txt").write_bytes(before)
    return runs


def title_of(stage: str) -> str:
    names = {0: "the smallest list changed", 15: "a middling list changed", LISTS - 1: "the largest list changed"}
    return names[int(stage.removeprefix("changed"))] if stage.startswith("changed") else stage


def stage_rows(runs: dict[str, list[Run]], cold: float) -> Iterator[tuple[str, ...]]:
    for stage, some in runs.items():
        cells = [f"{median(some, one):.2f} s" for one in ("read", "evaluate", "write")]
        cpu, wall = median(some, *WHOLE), median(some, *WHOLE, at=1)
        peak = max(run["peak"] for run in some)
        yield title_of(stage), *cells, f"{cpu:.2f} s", f"{wall:.2f} s", f"{peak:,.0f} MB", f"{cold / cpu:.2f}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool) -> None:
    if markdown:
        print("| " + " | ".join(headings) + " |")
        print("| --- |" + " ---: |" * (len(headings) - 1))
        for row in rows:
            print("| " + " | ".join(row) + " |")
    else:
        widths = [max(len(row[at]) for row in [headings, *rows]) for at in range(len(headings))]
        for row in [headings, *rows]:
            print("  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in
                            enumerate(zip(row, widths, strict=True))))  # fmt: skip
    print()


def compare(folder: Path, people: int, options: argparse.Namespace) -> None:
    lines = write_lists(folder, people)
    times = options.repetitions
    ours = engine_runs(folder, times, options.memory, people)
    counts = ours["cold"][0]["counts"]
    for stage in ("cold", "cached"):
        agree(counts, ours[stage], stage)
    sides = {} if options.alone else {
        "masks": "DuckDB, mask of text ids", "uuids": "DuckDB, mask of UUIDs",
        "numbers": "DuckDB, numbers and semi joins", "operators": "DuckDB, set operators on text",
    }  # fmt: skip
    theirs = {}
    for side in sides:
        warm = side in ("numbers", "operators")
        theirs[side] = [spawn(side, folder, warm=warm) for _ in range(times)]
        agree(counts, theirs[side], side)
    cold = median(ours["cold"], *WHOLE)
    of = f"{LISTS} lists of {lines:,} lines, {EXPRESSIONS} expressions"
    print(f"{people:,} people, {of}; CPU seconds, median of {times}.")
    print()
    rows = list(stage_rows(ours, cold))
    for side, title in sides.items():
        if side != "operators":
            rows += [(title, *row[1:]) for row in stage_rows({title: theirs[side]}, cold)]
    headings = ("", "read", "evaluate", "write", "all CPU", "wall", "peak", "cold / this")
    # A side is named by its title; `stage_rows` names stages.
    table(headings, rows, options.markdown)
    if sides:
        best = min(median(theirs[side], *WHOLE) for side in ("masks", "uuids", "numbers"))
        print(f"Cold against the best of DuckDB: {best / cold:.2f} times less CPU (target 1.3).\n")
        floor = [spawn("floor", folder, people=people) for _ in range(times)]
        agree(counts, floor, "floor")
        warm_table(ours["cached"], theirs, floor, options.markdown)


def warm_table(ours: Sequence[Run], theirs: dict[str, list[Run]], floor: Sequence[Run], markdown: bool) -> None:
    warm, many, least = median(ours, "warm"), median(ours, "audiences"), median(floor, "warm")
    text, numbers = median(theirs["operators"], "warm"), median(theirs["numbers"], "warm")
    rows = [
        ("the engine", seconds(warm), "1", ""),
        ("packed bits in numpy", seconds(least), f"{least / warm:.2f}", f"{warm / least:.1f} times the floor (6)"),
        ("DuckDB, numbers and semi joins", seconds(numbers), f"{numbers / warm:,.0f}", "at least 20"),
        ("DuckDB, set operators on text", seconds(text), f"{text / warm:,.0f}", "at least 50"),
        (f"the engine, {AUDIENCES} audiences", seconds(many), f"{many / warm:.1f}", "at most 3, and 1 s"),
    ]
    table(("warm", "CPU", "times the engine", "target"), rows, markdown)


def seconds(value: float) -> str:
    return f"{value * 1000:,.1f} ms" if value < 1 else f"{value:,.2f} s"


def events(folder: Path, people: int, options: argparse.Namespace) -> None:
    rows = people * options.events
    write_events(folder, people, rows)
    runs = []
    for _ in range(options.repetitions):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        runs.append(spawn("events", folder, cache=str(folder / "cache"), memory=options.memory))
    duck = [spawn("events_duckdb", folder) for _ in range(options.repetitions)]
    agree(runs[0]["counts"], [*runs, *duck], "events")
    cells = [
        (title, f"{median(some, 'read'):.2f} s", f"{median(some, 'read', at=1):.2f} s",
         f"{max(run['peak'] for run in some):,.0f} MB")
        for title, some in (("the engine", runs), ("DuckDB alone, nothing verified", duck))
    ]  # fmt: skip
    print(f"{rows:,} rows of events, {len(BOUGHT)} conditions in one pass.\n")
    table(("cold", "CPU", "wall", "peak"), cells, options.markdown)


def growth(sizes: Sequence[int], options: argparse.Namespace) -> None:
    rows = []
    for people in sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            lines = write_lists(folder, people)
            run = spawn("engine", folder, cache=str(folder / "cache"), memory=options.memory)
            again = spawn("engine", folder, cache=str(folder / "cache"), warm=True, memory=options.memory)
            agree(run["counts"], [again], "cached")
        cpu = median([run], *WHOLE)
        rows.append((people, lines, cpu, median([run], *WHOLE, at=1), run["peak"], again["warm"][0]))
    cells = [
        (f"{people:,}", f"{lines:,}", f"{cpu:.2f} s", f"{cpu * 1e9 / lines:.0f} ns", f"{wall:.2f} s", f"{peak:,.0f} MB",
         seconds(warm))
        for people, lines, cpu, wall, peak, warm in rows
    ]  # fmt: skip
    headings = ("people", "lines", "cold CPU", "a line", "wall", "peak memory", "20 expressions warm")
    table(headings, cells, options.markdown)
    axis = ", ".join(f'"{people // 1_000_000} M"' if people >= 1_000_000 else f'"{people:,}"' for people, *_ in rows)
    for title, unit, at in (("Cold, CPU", "CPU seconds", 2), ("Cold, peak memory", "MB", 4)):
        values = ", ".join(f"{row[at]:.1f}" for row in rows)
        print(f'```mermaid\nxychart-beta\n  title "{title}"\n  x-axis "people" [{axis}]\n  y-axis "{unit}"')
        print(f"  line [{values}]\n```\n")


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("people", nargs="?", type=int, default=10_000_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--alone", action="store_true", help="the engine without DuckDB and the floor")
    parser.add_argument("--sizes", default="", help="only how cost grows, over so many people each")
    parser.add_argument("--events", type=int, default=5, help="rows of events for each person; 0: none")
    parser.add_argument("--memory", type=int, default=0, help="bytes that reading may take")
    parser.add_argument("--folder", default=None, help="where the data go; they are removed afterwards")
    options = parser.parse_args()
    if options.sizes:
        growth([int(size) for size in options.sizes.split(",")], options)
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        compare(Path(name), options.people, options)
        if options.events:
            events(Path(name), options.people, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
