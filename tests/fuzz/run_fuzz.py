"""Gives bent texts and raw bytes to check, fmt, diff and explain, and sees whether what must hold holds.

    make fuzz INPUTS=1000000 SEED=1

Input `index` of a seed is always the same. A failing input is made small and written to tests/fuzz/found/,
where `make test` replays it from then on; the line printed names target, seed and index.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
FOUND = HERE / "found"
sys.path.insert(0, str(HERE))

from fuzz_inputs import Input, input_of  # noqa: E402
from fuzz_targets import TARGETS  # noqa: E402

INPUT_SECONDS_MAX = 5.0
FAILURES_MAX = 20
TRIES_MAX = 2_000
# How many of the inputs are whole projects: what puts sets into words is not reached by much else.
SOUND = {"check": 0.04, "fmt": 0.04, "diff": 0.15, "explain": 0.3}


class OutOfTime(Exception):
    """An input took more CPU time than any may."""


@dataclass(frozen=True)
class Failure:
    target: str
    seed: int
    index: int
    given: Input
    problem: str
    place: str


def problem_of(target: str, given: Input) -> tuple[str, str] | None:
    """What goes wrong with an input, and where; None where all holds."""
    signal.setitimer(signal.ITIMER_PROF, INPUT_SECONDS_MAX)
    try:
        TARGETS[target](given)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:  # noqa: BLE001  whatever is raised is the finding
        frame = traceback.extract_tb(problem.__traceback__)[-1]
        return f"{type(problem).__name__}: {problem}"[:300], f"{Path(frame.filename).name}:{frame.name}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def failures(target: str, seed: int, indices: range) -> Iterator[Failure]:
    """The inputs that fail, one for each place."""
    signal.signal(signal.SIGPROF, _out_of_time)
    seen: set[str] = set()
    for index in indices:
        given = input_of(seed, index, SOUND.get(target, 0.0))
        found = problem_of(target, given)
        if found is not None and found[1] not in seen:
            seen.add(found[1])
            small = minimised(given, lambda one, place=found[1]: (problem_of(target, one) or ("", ""))[1] == place)
            problem, place = problem_of(target, small) or found
            yield Failure(target, seed, index, small, problem, place)
            if len(seen) == FAILURES_MAX:
                return


def _out_of_time(_number: int, _frame: FrameType | None) -> None:
    raise OutOfTime


def minimised(given: Input, fails: Callable[[Input], bool]) -> Input:
    """The input with as many pieces left out as still fail in the same place."""
    size, tries = max(1, len(given) // 2), 0
    while size >= 1 and tries < TRIES_MAX:
        at, smaller = 0, False
        while at < len(given) and tries < TRIES_MAX:
            shorter = given[:at] + given[at + size :]
            tries += 1
            if fails(shorter):
                given, smaller = shorter, True
            else:
                at += size
        size = size if smaller and size == 1 else size // 2
    return given


# --- cases that were found --------------------------------------------------------------------------


def keep(failure: Failure, folder: Path = FOUND) -> Path:
    """Write a case that `make test` replays."""
    binary = isinstance(failure.given, bytes)
    content = failure.given.hex() if isinstance(failure.given, bytes) else failure.given
    case = {
        "target": failure.target,
        "bytes" if binary else "text": content,
        "found": f"seed {failure.seed}, index {failure.index}: {failure.problem} in {failure.place}",
    }
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(f"{failure.target}\0{content!r}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    path = folder / f"{failure.target}-{digest}.json"
    path.write_text(json.dumps(case, indent=2, sort_keys=True) + "\n", encoding="ascii")
    return path


def kept(path: Path) -> tuple[str, Input]:
    case = json.loads(path.read_text(encoding="ascii"))
    return case["target"], case["text"] if "text" in case else bytes.fromhex(case["bytes"])


# --- many -------------------------------------------------------------------------------------------


def _share(work: tuple[str, int, int, int, int]) -> tuple[list[Failure], int, float]:
    target, seed, first, stop, step = work
    gc.freeze()
    before = time.process_time()
    indices = range(first, stop, step)
    found = list(failures(target, seed, indices))
    return found, len(indices), time.process_time() - before


def run(targets: list[str], seed: int, inputs: int, workers: int) -> int:
    """How many inputs fail."""
    count = 0
    for target in targets:
        started = time.monotonic()
        # Small shares: a process that has read a million texts is not one that has read ten thousand.
        step = 5_000
        work = [(target, seed, first, min(first + step, inputs), 1) for first in range(0, inputs, step)]
        done, seconds = 0, 0.0
        places: set[str] = set()
        with get_context("fork").Pool(workers) as pool:
            for found, number, spent in pool.imap_unordered(_share, work):
                done += number
                seconds += spent
                for failure in found:
                    if failure.place not in places:
                        places.add(failure.place)
                        count += 1
                        path = keep(failure)
                        print(f"{target} seed {seed} index {failure.index}: {failure.problem} in {failure.place}")
                        print(f"  {failure.given!r}\n  kept as {os.path.relpath(path)}", flush=True)
        rate = done / seconds if seconds else 0
        print(f"{target}: {done:,} inputs, {rate:,.0f} a second a core, {time.monotonic() - started:.0f} s", flush=True)
    return count


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)} (default: all)")
    given = parser.parse_args(arguments)
    return 1 if run(given.targets or list(TARGETS), given.seed, given.inputs, given.workers) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
