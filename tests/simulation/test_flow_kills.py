"""Flows that are killed at any point, and by two runs at once: everybody gets each step once, nobody two arms."""

from __future__ import annotations

import importlib
import json
import os
import random
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from store_cases import postgres_location
from sweep import KILLED, in_process_of_its_own, rotating

from audsql import session
from audsql.apply import journal
from harness import Place, place

PEOPLE = 24
DAY = 86_400
SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload members { file: "members.txt"  id: user_id }
upload vip { file: "vip.txt"  id: user_id }
upload gone { file: "gone.txt"  id: user_id  allow empty }
upload optout { file: "optout.txt"  id: user_id  allow empty }
message hello { text: "hello" }
message gold { text: "gold" }
message plain { text: "plain" }
message last { text: "last" }
policy house { always except uploaded(optout) }
flow welcome {
  start when uploaded(members)
  send hello
  wait 1 day
  branch {
    uploaded(vip) -> send gold
    otherwise -> send plain
  }
  wait 1 hour
  send last
  exit when uploaded(gone)
}
"""
# In make test few points, each day others; all of them with AUDSQL_SWEEP=1.
STORES = {"sqlite": 37, "postgres": 59}
ROUNDS = {"sqlite": 100, "postgres": 50} if os.environ.get("AUDSQL_SWEEP") else {"sqlite": 1, "postgres": 1}
KEY = "6b" * 32


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """What every command imports stands in this process, so that those that are forked off need not."""
    ours = """apply.run apply.flows.run apply.batches apply.flow_facts apply.bind apply.context apply.sqlite data.duckdb
        data.tables line.client line.transport meaning.lower plan.plan plan.guard plan.flows session.applying
        session.repeating session.flow_people"""
    for name in ours.split():
        importlib.import_module(f"audsql.{name}")
    for name in ("duckdb", "httpx", "numpy", "psycopg"):
        importlib.import_module(name)


def person(number: int) -> str:
    """No run of zeros: its bytes stand in no file by chance."""
    return f"U{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


NUMBERS = {person(number): number for number in range(1, PEOPLE + 1)}


def lines(numbers: Any) -> str:
    return "".join(f"{person(number)}\n" for number in numbers)


# 5 alone is vip, so that one request is a push; 7 opts out after the first message, 8 is gone by then.
VIP, OPTED_OUT, GONE = (5,), (7,), (8,)
EXPECTED = Counter(
    [("hello", number) for number in range(1, PEOPLE + 1)]
    + [("gold", number) for number in VIP]
    + [("plain", number) for number in range(1, PEOPLE + 1) if number not in (*VIP, *OPTED_OUT, *GONE)]
    + [("last", number) for number in range(1, PEOPLE + 1) if number not in (*OPTED_OUT, *GONE)]
)


@contextmanager
def scenario(root: Path, store: str):
    world = {
        "now": "2026-11-21T10:00:00+09:00",
        "accounts": {"shop": {"token": "sim-token", "friends": [{"userId": person(n)} for n in range(1, PEOPLE + 1)]}},
    }
    files = {
        "shop.aud": SPEC, "members.txt": lines(range(1, PEOPLE + 1)), "vip.txt": lines(VIP), "gone.txt": "",
        "optout.txt": "",
    }  # fmt: skip
    state = "" if store == "sqlite" else postgres_location(root)
    with place(root, world, files, state) as here:
        if state:
            os.environ["AUDSQL_KEY"] = KEY
        try:
            yield here
        finally:
            os.environ.pop("AUDSQL_KEY", None)


def work(here: Place, what: str) -> int:
    """One command in this process; a run that finds the state locked waits for it."""
    options = session.ApplyOptions(on_event=here.events.append, revision={}, lock_seconds=30)
    outcome = (
        session.apply(here.opened(), None, options) if what == "apply" else session.run_due(here.opened(), options)
    )
    return int(outcome.exit_code)


def killed(here: Place, what: str, at: int) -> tuple[int, int]:
    """The exit code in a process of its own that is killed at a checkpoint (0: at none), and how many it passed."""
    count = here.root / "count"

    def inside() -> int:
        journal.arm_kill(at)
        code = work(here, what)
        count.write_text(str(journal.count_checkpoints()))
        return code

    code = in_process_of_its_own(inside)
    return code, int(count.read_text()) if code != KILLED else 0


def until_done(here: Place, what: str) -> None:
    codes = [killed(here, what, 0)[0]]
    while codes[-1] not in (0,) and len(codes) < 5:
        here.advance(60)
        codes.append(killed(here, what, 0)[0])
    assert codes[-1] == 0, codes


def change(here: Place) -> None:
    here.write("optout.txt", lines(OPTED_OUT))
    here.write("gone.txt", lines(GONE))


# What happens: which command, how long after the one before, and what changes first.
DAYS: tuple[tuple[str, int], ...] = (("apply", 0), ("run", DAY + 60), ("run", 3_600 + 60))


def play(here: Place, kill_in: int = -1, at: int = 0) -> list[int]:
    """The whole story; the process of one of its commands is killed at a checkpoint. Checkpoints by command."""
    passed = []
    for number, (what, seconds) in enumerate(DAYS):
        here.advance(seconds)
        if number == 1:
            change(here)
        if number == kill_in:
            assert killed(here, what, at)[0] == KILLED
            passed.append(0)
            until_done(here, what)
        else:
            code, count = killed(here, what, 0)
            assert code == 0, (number, code)
            passed.append(count)
    return passed


def received(here: Place) -> Counter[tuple[str, int]]:
    return Counter((one["messages"][0]["text"], NUMBERS[one["userId"]]) for one in here.inbox())


@pytest.mark.parametrize("store", STORES)
def test_killed_at_any_point_everybody_gets_each_step_once(store: str, tmp_path: Path) -> None:
    with scenario(tmp_path / "whole", store) as here:
        passed = play(here)
        assert received(here) == EXPECTED
        kinds = Counter(
            one["path"].rpartition("/")[2] for one in here.requests("POST") if "/validate" not in one["path"]
        )
        assert kinds["push"] == 1 and kinds["multicast"] >= 3
    points = [(number, at) for number, count in enumerate(passed) for at in range(1, count + 1)]
    assert len(points) > 30
    for index in rotating(len(points), STORES[store]):
        number, at = points[index - 1]
        with scenario(tmp_path / f"{number}-{at}", store) as here:
            play(here, number, at)
            assert received(here) == EXPECTED, (number, at)


def both_at_once(here: Place, what: str) -> list[int]:
    """Two processes begin the same command; their exit codes."""
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            code = 99
            try:
                code = work(here, what)
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@pytest.mark.parametrize("store", STORES)
def test_two_runs_at_once_send_each_step_once(store: str, tmp_path: Path) -> None:
    for number in range(ROUNDS[store]):
        chance = random.Random(f"two runs {number}")
        with scenario(tmp_path / str(number), store) as here:
            path = f"/v2/bot/message/{chance.choice(('multicast', 'push'))}"
            do = chance.choice(("drop-response", "status:500", "status-after:500", "refuse"))
            for step, (what, seconds) in enumerate(DAYS):
                here.advance(seconds)
                if step == 1:
                    change(here)
                here.faults({"match": {"path": path}, "nth": 1, "do": do})
                codes = both_at_once(here, what)
                assert set(codes) <= {0, 4, 5, 6}, (number, codes)
                here.faults()
                until_done(here, "run")
            assert received(here) == EXPECTED, number


def test_what_is_stored_names_nobody(tmp_path: Path) -> None:
    with scenario(tmp_path, "sqlite") as here:
        play(here)
        for file in sorted((here.root / ".audsql").rglob("*")):
            if file.is_file() and "cache" not in file.parts:
                content = file.read_bytes()
                for number in range(1, PEOPLE + 1):
                    assert person(number).encode() not in content, file.name
                    assert bytes.fromhex(person(number)[1:]) not in content, file.name
        assert "hello" in json.dumps(here.inbox())
