"""What `audsql plan` costs: CPU and wall seconds of the whole process, and the most memory of it.

    python tests/bench/bench_plan.py [--markdown] [AUDIENCES ...]

A project of so many audiences (fifty in a file) over one table of purchases and one list, with ten deliveries that
wait for their time. It was applied once, against a simulator in another process. *Cold* has neither the data cache nor
what `check` and `plan` remember; *warm* has both, the sets of the last apply among it. *None* plans what was applied;
*one* plans with another window in one audience of a delivery, each time another. Medians. The last rows plan the
smaller project after no change over ten and a hundred times the members, and a project of 300 audiences.

Targets: 1,000 audiences in 1.0 s cold, 0.5 s warm and 100 MiB; 5,000 in 3.0 s, 1.5 s and 200 MiB; growth linear; after
no change independent of the number of members, and 300 audiences in 1.0 s of wall time on a machine that is idle. Where
SQLMesh or dbt are installed, they plan a project of the same shape.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZES = (1_000, 5_000)
FEW = 300
FEW_WALL_SECONDS = 1.0
MEMBERS = 1_000
MEMBER_FACTORS = (10, 100)
DELIVERIES = 10
AUDIENCES_PER_FILE = 50
REPETITIONS = 3
TARGETS = {1_000: (1.0, 0.5, 100.0), 5_000: (3.0, 1.5, 200.0)}
COMMAND = [sys.executable, "-c", "from audsql.cli import main; main()"]
AS_OF = "2026-11-21T00:00:00+09:00"
HEAD = """\
account shop { token: env("T") }
table orders { file: "orders.csv" id: user_id time: time verb purchased by product }
upload optout { file: "optout.txt" id: user_id }
message hello { text: "hello" }
policy house { always except uploaded(optout) }
"""


@dataclass(frozen=True)
class Cost:
    """Seconds, and mebibytes."""

    cpu: float
    wall: float
    memory: float


def write_project(folder: Path, audiences: int, members: int, endpoint: str) -> None:
    folder.mkdir()
    account = f'[account.shop]\nendpoint = "{endpoint}"\n'
    (folder / "audsql.toml").write_text(f'[project]\nname = "bench"\ntimezone = "Asia/Tokyo"\n\n{account}', "utf-8")
    (folder / "main.aud").write_text(HEAD + "".join(_deliveries(audiences)), "utf-8")
    for first in range(0, audiences, AUDIENCES_PER_FILE):
        lines = [_audience(at) for at in range(first, min(first + AUDIENCES_PER_FILE, audiences))]
        (folder / f"{first:05}.aud").write_text("".join(lines), "utf-8")
    write_data(folder, members)


def _audience(at: int) -> str:
    if at % 10 == 9:
        return f"audience a{at} = a{at - 9} OR a{at - 5}\n"
    return f"audience a{at} = purchased(P{at % 97}, last {30 + at % 300} days) EXCEPT purchased(P{at % 89 + 100})\n"


def _deliveries(audiences: int) -> list[str]:
    step = audiences // DELIVERIES
    return [
        f"delivery d{number} {{ to: a{number * step}  send: hello"
        f"  at: 2026-12-01 {10 + number % 8}:{number * 5:02} }}\n"
        for number in range(DELIVERIES)
    ]


def person(number: int) -> str:
    return "U" + format(number, "032x")


def write_data(folder: Path, members: int) -> None:
    with (folder / "orders.csv").open("w", encoding="utf-8") as file:
        file.write("user_id,product,time\n")
        for number in range(1, members + 1):
            for product in (f"P{number % 97}", f"P{number % 89 + 100}"):
                file.write(f"{person(number)},{product},2026-11-{1 + number % 20:02}T12:00:00+09:00\n")
    listed = "".join(person(number) + "\n" for number in range(1, members + 1, 25))
    (folder / "optout.txt").write_text(listed, "utf-8")


def edit(folder: Path, audiences: int, turn: int) -> None:
    """Another window in the audience of the first delivery."""
    path = folder / "00000.aud"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    lines[0] = f"audience a0 = purchased(P0, last {100 + turn} days) EXCEPT purchased(P100)\n"
    path.write_text("".join(lines), "utf-8")


@contextmanager
def simulator(folder: Path, members: int):
    """The address of a simulator in a process of its own: what it costs is not counted."""
    import json

    friends = [
        {"userId": person(number), "status": "following", "followedAt": "2025-01-01T00:00:00+09:00"}
        for number in range(1, members + 1)
    ]
    shop = {"token": "sim-token", "quota": {"type": "limited", "value": 10_000_000}, "friends": friends}
    world = folder / "world.json"
    world.write_text(json.dumps({"now": AS_OF, "accounts": {"shop": shop}}), "utf-8")
    ready = folder / "ready"
    command = [*COMMAND, "sim", "--world", str(world), "--port", "0", "--ready-file", str(ready)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not ready.exists():
            assert process.poll() is None, "the simulator did not start"
            time.sleep(0.05)
        yield ready.read_text("utf-8").strip()
    finally:
        process.terminate()
        process.wait()


def run(folder: Path, cache: Path, *arguments: str) -> Cost:
    # Compiled modules are kept, as they are once a package is installed.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**environment, "XDG_CACHE_HOME": str(cache), "T": "sim-token", "NO_COLOR": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (arguments, process.returncode, said.decode())
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)


def median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(one.cpu for one in costs),
        statistics.median(one.wall for one in costs),
        max(one.memory for one in costs),
    )


def measured(base: Path, audiences: int, members: int, repetitions: int = REPETITIONS) -> dict[str, Cost]:
    """Cost by case: `cold none`, `warm none`, `cold one`, `warm one`."""
    base.mkdir()
    folder, cache = base / "project", base / "cache"
    found: dict[str, list[Cost]] = {name: [] for name in ("cold none", "warm none", "cold one", "warm one")}

    caches, aside = (cache, folder / ".audsql" / "cache"), base / "aside"

    def forget() -> None:
        for one in caches:
            shutil.rmtree(one, ignore_errors=True)

    with simulator(base, members) as endpoint:
        write_project(folder, audiences, members, endpoint)
        run(folder, cache, "apply", "--auto-approve")
        # What was written within two seconds is not believed to be as it was.
        time.sleep(3)
        run(folder, cache, "plan")
        original = (folder / "00000.aud").read_text("utf-8")
        for turn in range(repetitions):
            found["warm none"].append(run(folder, cache, "plan"))
            edit(folder, audiences, 2 * turn)
            found["warm one"].append(run(folder, cache, "plan"))
            aside.mkdir()
            for one in caches:
                one.rename(aside / one.parent.name)
            edit(folder, audiences, 2 * turn + 1)
            found["cold one"].append(run(folder, cache, "plan"))
            forget()
            (folder / "00000.aud").write_text(original, "utf-8")
            found["cold none"].append(run(folder, cache, "plan"))
            forget()
            for one in caches:
                (aside / one.parent.name).rename(one)
            aside.rmdir()
    return {name: median(costs) for name, costs in found.items()}


def row(cells: list[str], markdown: bool) -> str:
    return "| " + " | ".join(cells) + " |" if markdown else "".join(f"{cell:>12}" for cell in cells)


def main(sizes: tuple[int, ...], markdown: bool) -> None:
    print(f"`audsql plan`: the whole process, median of {REPETITIONS}; CPU is what counts on a busy machine\n")
    print(row(["audiences", "members", "cache", "changes", "CPU", "wall", "memory", "target"], markdown))
    if markdown:
        print("| ---: | ---: | --- | --- | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as name:
        for audiences in sizes:
            costs = measured(Path(name) / f"{audiences}", audiences, MEMBERS)
            for case, cost in costs.items():
                print(row(cells_of(audiences, MEMBERS, case, cost), markdown), flush=True)
        for factor in MEMBER_FACTORS:
            costs = measured(Path(name) / f"members-{factor}", sizes[0], MEMBERS * factor, 1)
            case = "warm none"
            print(row(cells_of(sizes[0], MEMBERS * factor, case, costs[case]), markdown), flush=True)
        cost = measured(Path(name) / f"{FEW}", FEW, MEMBERS)["warm none"]
        cells = cells_of(FEW, MEMBERS, "warm none", cost)
        is_met = cost.wall <= FEW_WALL_SECONDS
        cells[-1] = ("met" if is_met else "missed") + f" ({FEW_WALL_SECONDS} s of wall time)"
        print(row(cells, markdown), flush=True)
    for module in ("sqlmesh", "dbt"):
        if importlib.util.find_spec(module) is None:
            print(f"\n{module} is not installed: nothing to set beside it")


def cells_of(audiences: int, members: int, case: str, cost: Cost) -> list[str]:
    cache, changes = case.split()
    target = "-"
    if audiences in TARGETS:
        cold, warm, memory = TARGETS[audiences]
        seconds = cold if cache == "cold" else warm
        is_met = cost.cpu <= seconds and cost.memory <= memory
        target = ("met" if is_met else "missed") + f" ({seconds} s, {memory:.0f} MiB)"
    numbers = [f"{cost.cpu:.2f} s", f"{cost.wall:.2f} s", f"{cost.memory:.0f} MiB"]
    return [f"{audiences:,}", f"{members:,}", cache, changes, *numbers, target]


if __name__ == "__main__":
    numbers = tuple(int(one) for one in sys.argv[1:] if one != "--markdown")
    main(numbers or SIZES, "--markdown" in sys.argv)
