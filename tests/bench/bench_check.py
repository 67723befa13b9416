"""What `audsql check` costs: CPU seconds of the whole process, cold and from its cache.

    python tests/bench/bench_check.py [STATEMENTS ...]

Projects of 1,000 and 10,000 statements (or of STATEMENTS): three of four are audiences of two verb calls less
a list, each fourth is a delivery to one of them with an attribute. *Cold* has nothing in the user's cache, the
grammar's table included; *cached* is the same command again on the same texts. Medians.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SIZES = (1_000, 10_000)
REPETITIONS = 5
COMMAND = [sys.executable, "-c", "from audsql.cli import main; main()", "check"]
HEAD = """\
account shop { token: env("T") }
table orders { file: "orders.csv" id: user_id time: time verb purchased by product }
upload buyers { file: "buyers.txt" id: user_id }
message hello { text: "hello" }
"""


def statements(count: int) -> Iterator[str]:
    """So many statements, those of the head among them."""
    yield HEAD
    for at in range(count - HEAD.count("\n")):
        if at % 4 == 3:
            yield f"delivery d{at} {{ to: a{at - 1} AND gender(female)  send: hello  at: 2026-12-01 10:00 }}\n"
        else:
            sets = f"purchased(P{at}, last {30 + at % 300} days) AND purchased(Q{at % 7}) EXCEPT uploaded(buyers)"
            yield f"audience a{at} = {sets}\n"


def write_project(folder: Path, count: int) -> None:
    folder.mkdir()
    (folder / "audsql.toml").write_text('[project]\nname = "bench"\n', "utf-8")
    (folder / "project.aud").write_text("".join(statements(count)), "utf-8")


def cpu_seconds(folder: Path, cache: Path) -> float:
    """User and system time of one `check` in a process of its own."""
    # Compiled modules are kept, as they are once a package is installed.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        COMMAND, cwd=folder, env={**environment, "XDG_CACHE_HOME": str(cache)}, check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(folder: Path, cache: Path) -> tuple[float, float]:
    """(cold, cached), the medians."""
    cold, cached = [], []
    for _ in range(REPETITIONS):
        shutil.rmtree(cache, ignore_errors=True)
        cold.append(cpu_seconds(folder, cache))
        cached.append(cpu_seconds(folder, cache))
    return statistics.median(cold), statistics.median(cached)


def main(sizes: tuple[int, ...]) -> None:
    print(f"audsql check, CPU of the whole process, median of {REPETITIONS}")
    print(f"{'statements':>12}{'cold':>12}{'cached':>12}")
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            folder = Path(name) / str(size)
            write_project(folder, size)
            if size == sizes[0]:
                cpu_seconds(folder, Path(name) / "cache")  # compiles the modules
            cold, cached = measured(folder, Path(name) / "cache")
            print(f"{size:>12,}{cold:>10.2f} s{cached:>10.2f} s")


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
