"""Runs `audsql eval` many times as a process that is stopped at a point, and once more after each, by forking.

    python tests/data/interrupting.py PROJECT WORK EXPRESSION POINTS

A point is the n-th time that the process asks the system for a file of the project or of its cache. POINTS: how many
of them, spread evenly, are tried with SIGINT and with SIGKILL. Prints JSON: what each run ended with and left behind.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401 - imported once, before the processes part
import jsonschema  # noqa: F401
import lark  # noqa: F401

import audsql.data.duckdb
import audsql.session.sets
import audsql.syntax.table
import audsql.view.results  # noqa: F401
from audsql import session
from audsql.cli import app, evaluate  # noqa: F401

WATCHED = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "tempfile.mkstemp", "shutil.rmtree"})
KINDS = (signal.SIGINT, signal.SIGKILL)


def watch(root: Path, act: Callable[[int], None]) -> None:
    """Call `act` with 1, 2, 3, ... at each event that names something below `root`."""
    inside, seen = str(root), 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in WATCHED and arguments and str(arguments[0]).startswith(inside):
            seen += 1
            act(seen)

    sys.addaudithook(hook)


def forked(root: Path, expression: str, out: Path, act: Callable[[int], None] | None) -> int:
    """The exit code of one `eval`, negative for a signal; what it wrote is in `out`."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if act is not None:
            watch(root, act)
        code = app.run(["eval", expression, "--project", str(root), "--json"])
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def left_in(root: Path) -> dict[str, int]:
    """Files and folders of the cache that are nobody's entries, and their sizes in bytes, 0 of a folder."""
    cache = root / ".audsql" / "cache"
    found = [path for path in cache.rglob("*") if path.name.startswith(".") and path.name != ".gitignore"]
    found += (cache / "tmp").rglob("*")
    return {str(path.relative_to(cache)): path.stat().st_size if path.is_file() else 0 for path in sorted(found)}


def run_once(project: Path, work: Path, expression: str, point: int, kind: signal.Signals) -> dict[str, Any]:
    root = work / f"at-{point}-{kind.name}"
    shutil.copytree(project, root)
    out = work / "out.txt"

    def stop(number: int) -> None:
        if number == point:
            os.kill(os.getpid(), kind)

    first = forked(root, expression, out, stop)
    behind = left_in(root)
    second = forked(root, expression, out, None)
    found = {"point": point, "kind": kind.name, "first": first, "behind": behind, "second": second,
             "said": out.read_text(), "left": left_in(root)}  # fmt: skip
    shutil.rmtree(root)
    return found


def main(project: Path, work: Path, expression: str, count: int) -> None:
    # What is read once a process, tables of the parser above all, is read before there are processes. No thread yet.
    session.check_text((project / "x.aud").read_text())
    root, marks = work / "counted", work / "marks"
    shutil.copytree(project, root)
    forked(root, expression, work / "out.txt", lambda number: marks.write_text(str(number)))
    total = int(marks.read_text())
    said = (work / "out.txt").read_text()
    points = sorted({1 + at * (total - 1) // max(count - 1, 1) for at in range(count)})
    runs = [run_once(project, work, expression, point, kind) for point in points for kind in KINDS]
    print(json.dumps({"total": total, "said": said, "runs": runs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
