"""Several processes, and processes that die: real files, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from store_cases import LOCATIONS, NOW, TTL, sqlite_store, taken

from audsql.apply.state import to_document
from audsql.apply.store import LeaseLost, put

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), *sys.path))}


def spawn(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out


# A small apply, written so that it can be run again after any death: each step looks before it acts.
SCRIPT = """
import os, sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from store_cases import ANNA, NOW, TTL, every_kind, frozen, occurrence, upload
from audsql.apply import journal
from audsql.apply.state import SpentPlan
from audsql.apply.store import Removal, open_store, put
location, kill_at, run = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
journal.arm_kill(kill_at)
now = NOW + run * 2 * TTL
with open_store(location, create=True, environment="prod") as store:
    lease = store.acquire(replace(ANNA, pid=os.getpid()), now, TTL)
    state = store.snapshot()
    moment = state.occurrence(occurrence().id) or store.write(lease, now, "plan", occurrence(), SpentPlan("p", NOW))[0]
    for generation in (1, 2):
        row = next((r for r in state.resources if r.generation == generation), None)
        row = row or put(store, lease, now, "upload.intent", upload(generation=generation))
        row = put(store, lease, now, "upload.done", replace(row, status="ready", remote_id=generation))
    journal.checkpoint("http.before")
    row = next(iter(store.snapshot().operations), None) or put(store, lease, now, "send.intent", frozen())
    row = put(store, lease, now, "send.accepted", replace(row, state="succeeded", request_id="r"))
    store.write(lease, now, "done", *([replace(moment, state="done")]))
    lease = store.renew(lease, now, TTL)
    store.release(lease, now)
print(journal.count_checkpoints())
"""


@pytest.fixture(params=sorted(LOCATIONS))
def location(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """Where the state of a folder stands: a file in it, or a schema of a server."""
    return LOCATIONS[request.param]


def content(location: str) -> dict[str, object]:
    from audsql.apply.store import open_store

    store = open_store(location, create=False, environment="prod")
    assert not isinstance(store, tuple), store
    with store:
        document = to_document(store.snapshot())
        chain = [event.number for event in store.events()]
    assert chain == list(range(1, len(chain) + 1))
    for part in ("resources", "occurrences", "operations", "spent_plans"):
        for row in document[part]:
            del row["recorded_at"], row["updated_at"]
    return {name: document[name] for name in ("serial", "resources", "occurrences", "operations", "spent_plans")}


@pytest.mark.threat("T01")
@pytest.mark.scenario(3)
def test_killed_at_every_checkpoint_it_converges(tmp_path: Path, location: Callable[[Path], str]) -> None:
    code, out = finish(spawn(SCRIPT, location(tmp_path / "whole"), 0, 0))
    assert code == 0
    points = int(out)
    assert points >= 10
    whole = content(location(tmp_path / "whole"))
    for number in range(1, points + 1):
        place = location(tmp_path / str(number))
        code, _ = finish(spawn(SCRIPT, place, number, 0))
        assert code == -signal.SIGKILL, number
        assert int(content(place)["serial"]) <= int(whole["serial"])  # type: ignore[call-overload]
        code, out = finish(spawn(SCRIPT, place, 0, 1))
        assert code == 0
        assert content(place) == whole, number


def test_killed_at_any_moment_the_file_opens(tmp_path: Path) -> None:
    """SIGKILL from outside, between and within writes."""
    code = SCRIPT.split("location, kill_at")[0] + (
        "from audsql.apply.state import KnownSize\n"
        "store = open_store(sys.argv[1], create=True, environment='prod')\n"
        "lease = store.acquire(ANNA, NOW + int(sys.argv[2]) * TTL, TTL)\n"
        "row = store.snapshot().size('n') or KnownSize('n', 0, NOW)\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    row = put(store, lease, NOW, 'n', replace(row, size=row.size + 1))\n"
        "    print(row.size, flush=True)\n"
    )
    path, last = tmp_path / "state.db", 0
    for run in range(4):
        process = spawn(code, path, run)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for _ in range(7 + 5 * run):
            process.stdout.readline()
        process.kill()
        said = process.communicate(timeout=60)[0].split()
        with sqlite_store(tmp_path) as store:
            row = store.snapshot().size("n")
            assert row is not None and row.size >= max(last, int(said[-1] if said else 0))
            last = row.size


RACER = """
import sys
from dataclasses import replace
from datetime import timedelta
from store_cases import ANNA, NOW, TTL
from audsql.apply.state import KnownSize
from audsql.apply.store import Held, open_store, put
path, me, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(path, create=True, environment="prod")
won = waited = 0
while won < rounds:
    lease = store.acquire(replace(ANNA, name=me), NOW, TTL)
    if isinstance(lease, Held):
        assert lease.by != me
        waited += 1
        continue
    row = store.snapshot().size("n") or KnownSize("n", 0, NOW)
    put(store, lease, NOW, "n", replace(row, size=row.size + 1))
    store.release(lease, NOW)
    won += 1
print(store.snapshot().lineage, waited)
"""


@pytest.mark.threat("T09")
@pytest.mark.scenario(15, 16)
def test_racing_processes_lose_no_write_and_make_one_state(tmp_path: Path, location: Callable[[Path], str]) -> None:
    from audsql.apply.store import open_store

    racers = [spawn(RACER, location(tmp_path), name, 40) for name in ("anna", "ben", "chie")]
    answers = [finish(racer) for racer in racers]
    assert [code for code, _ in answers] == [0, 0, 0]
    assert len({out.split()[0] for _, out in answers}) == 1
    store = open_store(location(tmp_path), create=False, environment="prod")
    assert not isinstance(store, tuple), store
    with store:
        row = store.snapshot().size("n")
        assert row is not None and row.size == 120
        assert len({event.epoch for event in store.events()}) == 120


@pytest.mark.threat("T10")
@pytest.mark.scenario(19)
def test_a_paused_holder_wakes_after_the_take_over(tmp_path: Path, location: Callable[[Path], str]) -> None:
    from audsql.apply.store import open_store

    code = (
        RACER.split("path, me")[0]
        + """
store = open_store(sys.argv[1], create=True, environment="prod")
lease = store.acquire(ANNA, NOW, TTL)
print("held", flush=True)
sys.stdin.readline()
try:
    put(store, lease, NOW, "late", KnownSize("n", 1, NOW))
except Exception as problem:
    print(type(problem).__name__)
"""
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, location(tmp_path)],
        env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGSTOP)
    other = open_store(location(tmp_path), create=False, environment="prod")
    assert not isinstance(other, tuple), other
    with other as store:
        taken(store, now=NOW + TTL)
        before = store.events()
        process.send_signal(signal.SIGCONT)
        assert process.communicate("\n", timeout=60)[0].strip() == LeaseLost.__name__
        assert store.events() == before


FULL = """
import json, resource, sys
from dataclasses import replace
from store_cases import ANNA, NOW, TTL
from audsql.apply.state import KnownSize
from audsql.apply.store import StoreFailed, open_store, put
store = open_store(sys.argv[1], create=True, environment="prod")
lease = store.acquire(ANNA, NOW, TTL)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
done = 0
codes = []
for number in range(1000):
    try:
        put(store, lease, NOW, "n", KnownSize(f"n{number:04}", number, NOW, attributes={"pad": "x" * 500}))
        assert not codes, "a failed store is not believed again"
        done += 1
    except StoreFailed as failure:
        codes.append(failure.diagnostic.code)
        if len(codes) == 3:
            break
print(json.dumps([done, codes]))
"""


@pytest.mark.parametrize("limit", [60_000, 150_000, 333_333])
@pytest.mark.threat("T12")
@pytest.mark.scenario(9)
def test_a_file_that_may_not_grow_keeps_what_it_had(tmp_path: Path, limit: int) -> None:
    code, out = finish(spawn(FULL, tmp_path / "state.db", limit))
    done, codes = json.loads(out)
    assert code == 0 and done > 0
    assert len(codes) == 3 and set(codes) <= {"AUD0608", "AUD0612"}
    with sqlite_store(tmp_path) as store:
        assert [row.size for row in store.snapshot().sizes] == list(range(done))
        lease = taken(store, now=NOW + TTL)
        put(store, lease, NOW, "n", store.snapshot().sizes[0])
