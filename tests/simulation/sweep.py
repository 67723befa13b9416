"""Applies that are killed, cut off and repeated: one scenario, run to its end whatever happens in between.

Each apply runs in a forked process, so that a SIGKILL is a real one: nothing is flushed, no handler runs.
The simulator lives in the parent and survives.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from f1000 import SOURCES, delivery, f1000

from audsql.apply import journal
from harness import AS_OF, Place

SPEC = delivery("(clicked(msg42) AND gender(female)) OR (purchased(A) AND area(tokyo))")
KILLED = -9
APPLIES_MAX = 6


def should_receive() -> set[str]:
    def inside(i: int) -> bool:
        known = i % 11 != 0
        female = known and i % 7 in (1, 2)
        tokyo = known and i % 4 in (0, 1)
        return (i % 3 == 0 and female) or (i % 4 == 0 and tokyo)

    return {"U" + format(i, "032x") for i in range(1, 1001) if inside(i) and i % 25 and i % 20}


@contextmanager
def scenario(root: Path, spec: str = SPEC, state: str = ""):
    with f1000(root, spec, SOURCES, state=state) as here:
        yield here


def in_process_of_its_own(work: Callable[[], int]) -> int:
    """The exit code of `work` in a forked process; KILLED if it was killed."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work()
        except BaseException:  # noqa: BLE001 - whatever it was, the child must end here
            traceback.print_exc()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    return KILLED if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def apply_once(here: Place, kill_at: int = 0, count_file: Path | None = None) -> int:
    def work() -> int:
        journal.arm_kill(kill_at)
        outcome = here.apply(as_of=AS_OF)
        if count_file is not None:
            count_file.write_text(str(journal.count_checkpoints()))
        return outcome.exit_code

    return in_process_of_its_own(work)


def apply_until_done(here: Place) -> list[int]:
    """Apply again and again until it is done or needs a person; the exit codes."""
    codes: list[int] = []
    while len(codes) < APPLIES_MAX:
        codes.append(apply_once(here))
        if codes[-1] in (0, 7):
            return codes
        here.advance(120)
    return codes


def says_no_changes(here: Place) -> bool:
    found: Path = here.root / "plan.json"

    def work() -> int:
        found.write_text(json.dumps(here.plan().document))
        return 0

    assert in_process_of_its_own(work) == 0
    document = json.loads(found.read_text())
    return document is not None and not document["summary"]["changes"]


def rotating(count: int, every: int) -> list[int]:
    """Points 1..count: all with AUDSQL_SWEEP=1, else every k-th with an offset that moves from day to day."""
    if os.environ.get("AUDSQL_SWEEP"):
        return list(range(1, count + 1))
    from datetime import UTC, datetime

    offset = datetime.now(UTC).timetuple().tm_yday % every
    return list(range(1 + offset, count + 1, every))
