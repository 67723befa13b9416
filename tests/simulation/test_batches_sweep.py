"""Deliveries in batches, killed at every checkpoint, met by every fault, and run twice at once: nobody twice."""

from __future__ import annotations

import os
import signal

import pytest
from store_cases import postgres_location
from sweep import KILLED, apply_once, apply_until_done, in_process_of_its_own, rotating, says_no_changes

from harness import AS_OF, codes, place

PEOPLE = range(1, 6)
OPTED_OUT = (3,)
SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
message m { text: "hello" }
upload a { file: "a.txt"  id: user_id }
upload out { file: "out.txt"  id: user_id }
policy house { always except uploaded(out)  cap 1 per person per 7 days }
delivery first { to: uploaded(a)  send: m  by: push }
"""
SECOND = 'upload b { file: "b.txt"  id: user_id }\ndelivery second { to: uploaded(b)  send: m }\n'


def uid(number: int) -> str:
    return f"U{number:032x}"


def listed(numbers) -> str:
    return "".join(f"{uid(number)}\n" for number in numbers)


def shop(root, state: str = "", second: bool = False):
    friends = [{"userId": uid(n), "followedAt": "2025-01-01T00:00:00+09:00"} for n in range(1, 21)]
    world = {"now": AS_OF.isoformat(), "accounts": {"shop": {"token": "sim-token", "friends": friends}}}
    files = {"shop.aud": SPEC + (SECOND if second else ""), "a.txt": listed(PEOPLE), "out.txt": listed(OPTED_OUT)}
    files |= {"b.txt": listed(range(4, 8))} if second else {}
    return place(root, world, files, state=state)


def got(here) -> dict[int, int]:
    return {int(user[1:], 16): count for user, count in sorted(here.received().items())}


EXPECTED = {number: 1 for number in PEOPLE if number not in OPTED_OUT}
WITH_SECOND = {number: 1 for number in range(1, 8) if number not in OPTED_OUT}


# A part of the points in `make test`, each day others; all of them with AUDSQL_SWEEP=1.
STORES = {"sqlite": 31, **({"postgres": 1} if os.environ.get("AUDSQL_SWEEP") else {})}


def state_of(store: str, root, monkeypatch) -> str:
    """Where the state is; one on a server keeps people only under a key."""
    if store == "sqlite":
        return ""
    monkeypatch.setenv("AUDSQL_KEY", "0123456789abcdef" * 4)
    return postgres_location(root)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.threat("T01", "T25")
def test_killed_at_any_point_everybody_gets_it_once(tmp_path, store, monkeypatch):
    count_file = tmp_path / "count"
    with shop(tmp_path / "whole", state_of(store, tmp_path / "whole", monkeypatch), second=True) as here:
        assert apply_once(here, count_file=count_file) == 0
        assert got(here) == WITH_SECOND
    points = int(count_file.read_text())
    assert points > 30
    for point in rotating(points, STORES[store]):
        with shop(tmp_path / str(point), state_of(store, tmp_path / str(point), monkeypatch), second=True) as here:
            assert apply_once(here, kill_at=point) == KILLED, point
            assert apply_until_done(here)[-1] == 0, point
            assert got(here) == WITH_SECOND, point
            assert says_no_changes(here), point


@pytest.mark.parametrize("fault", ["drop-response", "status:429"])
@pytest.mark.threat("T02", "T03")
def test_any_send_may_fail_once(tmp_path, fault):
    for number in rotating(len(EXPECTED) + 1, 6):
        with shop(tmp_path / str(number), second=True) as here:
            here.faults({"match": {"method": "POST", "path": "/v2/bot/message/[mp]u*"}, "nth": number, "do": fault})
            assert apply_until_done(here)[-1] == 0, number
            assert got(here) == WITH_SECOND, number


@pytest.mark.threat("T09")
def test_two_at_once(tmp_path):
    """One holds the state; the other waits for it and finds nothing left to do."""
    with shop(tmp_path, second=True) as here:
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                os._exit(here.apply(lock_seconds=60).exit_code)
            children.append(child)
        ends = {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children}
        # Who comes second holds a plan for a state that has moved on.
        assert ends <= {0, 5, 6} and 0 in ends
        assert got(here) == WITH_SECOND


def test_killed_between_the_answer_and_its_record_while_somebody_opts_out(tmp_path):
    """Whether it was taken is open, and the bytes name who must not get it any more: it is not asked for again."""
    with shop(tmp_path) as here:

        def killed() -> int:
            from audsql.apply import context

            def at_the_answer(name: str) -> None:
                if name == "answer.batch.push":
                    os.kill(os.getpid(), signal.SIGKILL)

            context.checkpoint = at_the_answer
            return here.apply().exit_code

        assert in_process_of_its_own(killed) == KILLED
        (first,) = got(here)
        here.write("out.txt", listed((*OPTED_OUT, first)))
        outcome = here.run()
        assert outcome.exit_code == 7 and "AUD0824" in codes(outcome.diagnostics)
        assert got(here) == EXPECTED
        requests = [one for one in here.requests("POST") if one["path"] == "/v2/bot/message/push"]
        assert len(requests) == len(EXPECTED)
