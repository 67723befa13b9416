"""Real processes that apply: forked, stopped at a point, raced against each other, on either store."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from store_cases import postgres_location

from audsql.apply import journal
from harness import Place, place

STORES = ("sqlite", "postgres")
PEOPLE = [f"U{number:032x}" for number in range(1, 201)]
BUYERS = PEOPLE[:120]
WORLD = {
    "now": "2026-11-21T00:00:00+09:00",
    "accounts": {
        "shop": {
            "token": "sim-token",
            "quota": {"type": "limited", "value": 30_000},
            "friends": [{"userId": one} for one in PEOPLE],
        }
    },
}
SPEC = """\
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload buyers { file: "buyers.txt" id: user_id }
message card { text: "hello" }
delivery sale { to: uploaded(buyers)  send: card }
"""


@contextmanager
def small(root: Path, store: str = "sqlite", spec: str = SPEC):
    """One delivery to 120 of 200 people."""
    files = {"shop.aud": spec, "buyers.txt": "\n".join(BUYERS) + "\n"}
    with place(root, WORLD, files, postgres_url(root) if store == "postgres" else "") as here:
        yield here


def postgres_url(root: Path) -> str:
    return postgres_location(root)


def forked(work: Callable[[], int]) -> int:
    """The id of a process that ends with the exit code of `work`."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return child


def exit_code(process: int) -> int:
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def stopped_at(here: Place, point: int) -> int:
    """An apply in a process of its own that stops itself (SIGSTOP) at this checkpoint; 0 where it ends before."""

    def work() -> int:
        signal.SIGKILL = signal.SIGSTOP  # type: ignore[misc]
        journal.arm_kill(point)
        return here.apply().exit_code

    process = forked(work)
    _, status = os.waitpid(process, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        assert os.waitstatus_to_exitcode(status) == 0
        return 0
    return process


def woken(process: int) -> int:
    """The exit code after SIGCONT."""
    os.kill(process, signal.SIGCONT)
    return exit_code(process)


def sends(here: Place) -> int:
    return sum(one["path"].endswith("/narrowcast") for one in here.requests("POST"))


def once_each(here: Place) -> bool:
    return here.received() == dict.fromkeys(BUYERS, 1)
