"""What `audsql check` and `fmt` cost: CPU seconds of the whole process, and the most memory of it.

    python tests/bench/bench_check.py [STATEMENTS ...]

Projects of 1,000, 10,000 and 100,000 statements (or of STATEMENTS), fifty in a file. Of ten statements six are
audiences of two verb calls less a list, one an audience made of the ten before it, two deliveries, one a test.
*Cold* has nothing in the user's cache; *edited* has one window of one audience changed since the check before,
each time another; *cached* is the same command on the same texts; *fmt* lays the same texts out. Medians.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SIZES = (1_000, 10_000, 100_000)
STATEMENTS_PER_FILE = 50
REPETITIONS = 5
COMMAND = [sys.executable, "-c", "from audsql.cli import main; main()"]
HEAD = """\
account shop { token: env("T") }
table orders { file: "orders.csv" id: user_id time: time verb purchased by product }
upload buyers { file: "buyers.txt" id: user_id }
message hello { text: "hello" }
"""


def statements(count: int) -> Iterator[str]:
    """So many statements, those of the head among them."""
    yield from HEAD.splitlines(keepends=True)
    for at in range(count - HEAD.count("\n")):
        own = f"purchased(P{at}, last {30 + at % 300} days)"
        match at % 10:
            case 3 | 7:
                yield f"delivery d{at} {{ to: a{at - 1} AND gender(female)  send: hello  at: 2026-12-01 10:00 }}\n"
            case 8:
                yield f'test "t{at}" {{ given {own} = [U1] expect {own} = [U1] }}\n'
            case 9:
                # Every hundredth begins a chain of its own.
                before = f" OR a{at - 10}" if at % 100 != 9 else ""
                yield f"audience a{at} = a{at - 9}{before}\n"
            case _:
                yield f"audience a{at} = {own} AND purchased(Q{at % 7}) EXCEPT uploaded(buyers)\n"


def write_project(folder: Path, count: int) -> None:
    folder.mkdir()
    (folder / "audsql.toml").write_text('[project]\nname = "bench"\n', "utf-8")
    lines = list(statements(count))
    for number, first in enumerate(range(0, count, STATEMENTS_PER_FILE)):
        (folder / f"{number:05}.aud").write_text("".join(lines[first : first + STATEMENTS_PER_FILE]), "utf-8")


def edit(folder: Path, turn: int) -> None:
    """Another window in one audience, in the middle of the project."""
    paths = sorted(folder.glob("*.aud"))
    path = paths[len(paths) // 2 + turn]
    text = path.read_text("utf-8")
    path.write_text(text.replace(" days) AND", f"{turn} days) AND", 1), "utf-8")


def cost(folder: Path, cache: Path, *arguments: str) -> tuple[float, float]:
    """User and system time of one command in a process of its own, and the most memory of it in MB."""
    # Compiled modules are kept, as they are once a package is installed.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**environment, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{arguments} ended with {process.returncode}"
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measured(folder: Path, cache: Path) -> tuple[float, float, float, float, float]:
    """(cold, edited, cached, fmt, memory of cold in MB), the medians."""
    rows = []
    for turn in range(REPETITIONS):
        shutil.rmtree(cache, ignore_errors=True)
        cold, memory = cost(folder, cache, "check")
        edit(folder, turn)
        edited, _ = cost(folder, cache, "check")
        cached, _ = cost(folder, cache, "check")
        formatted, _ = cost(folder, cache, "fmt")
        rows.append((cold, edited, cached, formatted, memory))
    return tuple(statistics.median(column) for column in zip(*rows, strict=True))  # type: ignore[return-value]


def main(sizes: tuple[int, ...]) -> None:
    print(f"CPU of the whole process, median of {REPETITIONS}")
    print(f"{'statements':>12}{'cold':>12}{'edited':>12}{'cached':>12}{'fmt':>12}{'memory':>12}")
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            folder, cache = Path(name) / str(size), Path(name) / "cache"
            write_project(folder, size)
            if size == sizes[0]:
                cost(folder, cache, "check")  # compiles the modules
            *seconds, memory = measured(folder, cache)
            print(f"{size:>12,}" + "".join(f"{one:>10.2f} s" for one in seconds) + f"{memory:>9.0f} MB")


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
