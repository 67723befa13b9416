"""Changes the language's code in small ways, one at a time, and sees whether a test fails.

    make mutants MUTANTS=1000 SEED=1

One process imports everything and collects the tests. A child runs them once and records which lines
each executes. Then for each mutant a child exchanges the code of the one function, runs the tests that
execute the changed line, fastest first, and stops at the first that fails. A test that takes far longer
than before, or a child without an answer, counts as killed. Equal MUTANTS and SEED give equal mutants.

Exit code 1 where fewer than nine in ten mutants are killed.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import pickle
import random
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest
from _pytest.logging import LogCaptureHandler, caplog_handler_key, caplog_records_key

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from mutations import Mutant, compiled, mutants_of, sources  # noqa: E402

SOURCES = ("src/audsql/syntax", "src/audsql/meaning")
TESTS = ("tests/syntax", "tests/meaning", "tests/spec", "tests/test_catalog.py", "tests/view", "tests/compile")
KILLED_MIN = 0.9
# A mutant's tests stop after this much CPU time; a test is stuck after ten times what it took, and a second.
MUTANT_CPU_SECONDS = 60
SLOW_TEST_SECONDS = 6.0
MEMORY_BYTES_MAX = 4 * 1024**3
# Of a property: while its lines are recorded, and after.
EXAMPLES_TRACED = 8
EXAMPLES = 80

_STUCK = 12


@dataclass
class Run:
    """What is asked for, and what is known of the tests: by index their seconds, by line the tests."""

    below: Path
    folders: list[Path]
    count: int
    seed: int
    workers: int
    out: Path | None
    seconds: dict[int, float] = field(default_factory=dict)
    by_line: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    killers: dict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))


# --- tests in this process --------------------------------------------------------------------------


def run_item(item: pytest.Item) -> BaseException | None:
    """Run a collected test; what it failed with, None where it passed or was skipped."""
    setup = item.session._setupstate
    # As pytest does before each run: fixtures of an earlier one are gone.
    item._initrequest()  # type: ignore[attr-defined]
    item.stash[caplog_handler_key] = LogCaptureHandler()
    item.stash[caplog_records_key] = {}
    try:
        setup.setup(item)
        item.runtest()
    except pytest.skip.Exception:
        return None
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as problem:  # noqa: BLE001  whatever a changed program raises is a failure
        return problem
    finally:
        setup.teardown_exact(None)
    return None


def _traced(item: pytest.Item, names: dict[str, str]) -> tuple[BaseException | None, set[tuple[str, int]]]:
    """What a test fails with, and the lines of the judged modules that it executes."""
    lines: set[tuple[str, int]] = set()

    def local(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            lines.add((names[frame.f_code.co_filename], frame.f_lineno))
        return local

    def calls(frame: FrameType, _event: str, _argument: object) -> Any:
        name = names.get(frame.f_code.co_filename)
        if name is None:
            return None
        lines.add((name, frame.f_lineno))
        return local

    sys.settrace(calls)
    try:
        problem = run_item(item)
    finally:
        sys.settrace(None)
    return problem, lines


def _measured(items: list[pytest.Item], indices: list[int], names: dict[str, str]) -> list[Any]:
    """(index, CPU seconds, lines, what it fails with) of each of these tests, run with and without the tracing."""
    found = []
    for index in indices:
        clear_caches()
        settle(items[index], EXAMPLES_TRACED)
        problem, lines = _traced(items[index], names)
        settle(items[index], EXAMPLES)
        before = time.process_time()
        if problem is None and lines:
            problem = run_item(items[index])
        seconds = time.process_time() - before
        found.append((index, seconds, lines, "" if problem is None else repr(problem)[:200]))
    return found


_CACHES: list[Any] = []


def clear_caches() -> None:
    for cache in _CACHES:
        cache.cache_clear()


# --- children ---------------------------------------------------------------------------------------


def _child(work: Any) -> tuple[int, int]:
    """A forked child that sends what `work` returns; (its id, the pipe to read)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    status = 1
    try:
        os.close(reading)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(work(), pipe)
        status = 0
    finally:
        os._exit(status)
    return 0, 0


def _received(child: int, reading: int) -> Any:
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(content) if content else None


def baseline(run: Run, items: list[pytest.Item], names: dict[str, str]) -> list[str]:
    """Measure every test; the names of those that fail as things are."""
    shares = [list(range(start, len(items), run.workers)) for start in range(run.workers)]
    children = [_child(lambda share=share: _measured(items, share, names)) for share in shares]
    failing: list[str] = []
    for child, reading in children:
        answer = _received(child, reading)
        if answer is None:
            raise SystemExit("a child ended while it measured the tests")
        for index, seconds, lines, problem in answer:
            if problem:
                failing.append(f"{items[index].nodeid} {problem}")
            elif seconds <= SLOW_TEST_SECONDS and lines:
                run.seconds[index] = seconds
                for line in lines:
                    run.by_line.setdefault(line, set()).add(index)
    return failing


def _judged(run: Run, mutant: Mutant, tests: list[int], items: list[pytest.Item], patch: Any) -> tuple[str, str]:
    """In a child: the verdict on a mutant and the test that gave it."""
    resource.setrlimit(resource.RLIMIT_CPU, (MUTANT_CPU_SECONDS, MUTANT_CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    signal.signal(signal.SIGPROF, lambda *_: os._exit(_STUCK))
    clear_caches()
    try:
        patch(mutant)
    except (RuntimeError, SyntaxError) as problem:
        return f"not made ({problem})", ""
    for index in tests:
        signal.setitimer(signal.ITIMER_PROF, 1 + 10 * run.seconds[index])
        if run_item(items[index]) is not None:
            return "killed", items[index].nodeid
    return "survived", ""


# --- the exchange -----------------------------------------------------------------------------------


class Exchange:
    """Puts a mutant's code into the functions that are alive."""

    def __init__(self, texts: dict[str, str], files: dict[str, str]) -> None:
        self.texts, self.files = texts, files
        alive: dict[CodeType, list[FunctionType]] = defaultdict(list)
        wanted = set(files.values())
        for one in gc.get_objects():
            if isinstance(one, FunctionType) and one.__code__.co_filename in wanted:
                alive[one.__code__].append(one)
        self.alive = alive

    def __call__(self, mutant: Mutant) -> None:
        """Exchange every code that differs, and every default."""
        file = self.files[mutant.path]
        old = compile(self.texts[mutant.path], file, "exec", dont_inherit=True)
        new = compiled(mutant, self.texts[mutant.path], file)
        exchanged = 0
        pairs = [(old, new)]
        while pairs:
            before, after = pairs.pop()
            if before.co_name == after.co_name and before != after and before in self.alive:
                for function in self.alive[before]:
                    if after.co_freevars == before.co_freevars:
                        function.__code__ = after
                        exchanged += 1
            inner = [one for one in before.co_consts if isinstance(one, CodeType)]
            pairs += zip(inner, (one for one in after.co_consts if isinstance(one, CodeType)), strict=False)
        if not exchanged:
            exchanged = self._defaults(mutant, old, new)
        if not exchanged:
            raise RuntimeError("no function with this code is alive")

    def _defaults(self, mutant: Mutant, old: CodeType, new: CodeType) -> int:
        """A changed default: the functions' own defaults, where exactly one constant differs."""
        exchanged = 0
        names = {mutant.function.split(".")[-1]}
        for code, functions in self.alive.items():
            if code.co_filename != old.co_filename or code.co_name not in names:
                continue
            for function in functions:
                before = ast_literal(mutant.before)
                values = function.__defaults__ or ()
                if before in values:
                    position = values.index(before)
                    function.__defaults__ = (*values[:position], ast_literal(mutant.after), *values[position + 1 :])
                    exchanged += 1
                for name, value in (function.__kwdefaults__ or {}).items():
                    if value == before and type(value) is type(before):
                        function.__kwdefaults__[name] = ast_literal(mutant.after)
                        exchanged += 1
                        break
        return exchanged


def ast_literal(text: str) -> object:
    import ast

    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(text)
    return object()


# --- the whole --------------------------------------------------------------------------------------


@dataclass
class Outcome:
    verdicts: dict[Mutant, tuple[str, str]] = field(default_factory=dict)
    outside: int = 0
    candidates: int = 0
    tests: int = 0
    failing: list[str] = field(default_factory=list)
    seconds_measuring: float = 0.0
    seconds_judging: float = 0.0


def draw(run: Run, texts: dict[str, str]) -> tuple[list[Mutant], int, int]:
    """The mutants, how many there are to draw from, and how many lie outside functions."""
    everything: list[Mutant] = []
    outside = 0
    for path, text in texts.items():
        found, elsewhere = mutants_of(path, text)
        everything += found
        outside += elsewhere
    count = min(run.count, len(everything)) if run.count else len(everything)
    return sorted(random.Random(run.seed).sample(everything, count)), len(everything), outside


def judge(run: Run, items: list[pytest.Item]) -> Outcome:
    """Every drawn mutant's verdict."""
    texts = sources(run.folders, run.below)
    files = {path: str(run.below / path) for path in texts}
    outcome = Outcome(tests=len(items))
    mutants, outcome.candidates, outcome.outside = draw(run, texts)
    _CACHES[:] = [one for one in gc.get_objects() if _is_own_cache(one, set(files.values()))]
    patch = Exchange(texts, files)
    gc.collect()
    gc.freeze()
    started = time.monotonic()
    outcome.failing = baseline(run, items, {file: path for path, file in files.items()})
    outcome.seconds_measuring = time.monotonic() - started
    started = time.monotonic()
    waiting = list(reversed(mutants))
    running: dict[int, tuple[Mutant, int]] = {}
    while waiting or running:
        while waiting and len(running) < run.workers:
            mutant = waiting.pop()
            tests = _tests_for(run, mutant)
            if not tests:
                outcome.verdicts[mutant] = ("uncovered", "")
                continue
            child, reading = _child(lambda m=mutant, t=tests: _judged(run, m, t, items, patch))
            running[child] = (mutant, reading)
        if running:
            _settle(run, outcome, running, items)
    outcome.seconds_judging = time.monotonic() - started
    return outcome


def _settle(run: Run, outcome: Outcome, running: dict[int, tuple[Mutant, int]], items: list[pytest.Item]) -> None:
    child, status = os.wait()
    if child not in running:
        return
    mutant, reading = running.pop(child)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    if content:
        verdict = pickle.loads(content)
    elif os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == _STUCK:
        verdict = ("stuck", "")
    else:
        verdict = ("no answer", "")
    outcome.verdicts[mutant] = verdict
    if verdict[1]:
        index = next(index for index, item in enumerate(items) if item.nodeid == verdict[1])
        killers = run.killers[(mutant.path, mutant.outermost)]
        if index not in killers:
            killers.append(index)


def _is_own_cache(one: object, files: set[str]) -> bool:
    inner = getattr(one, "__wrapped__", None) if hasattr(type(one), "cache_clear") else None
    code = getattr(inner, "__code__", None)
    # The table is made of the grammar: a change elsewhere leaves it as it is.
    return code is not None and code.co_filename in files and code.co_name != "parse_table"


def _tests_for(run: Run, mutant: Mutant) -> list[int]:
    """The tests that execute the changed line: what killed a neighbour first, then the fastest."""
    covering = set(run.by_line.get((mutant.path, mutant.line), ()))
    if mutant.kind != "return early":
        # A statement of several lines is executed where it begins; a default where its function is called.
        for line in range(mutant.line, max(mutant.outermost, mutant.line - 12) - 1, -1):
            covering |= run.by_line.get((mutant.path, line), set()) if not covering else set()
    known = [index for index in reversed(run.killers[(mutant.path, mutant.outermost)]) if index in covering][:10]
    rest = sorted(covering - set(known), key=lambda index: (run.seconds[index], index))
    return [*known, *rest]


def told(run: Run, outcome: Outcome) -> tuple[str, bool]:
    """The report, and whether enough mutants are killed."""
    kinds = Counter(verdict for verdict, _ in outcome.verdicts.values())
    judged = len(outcome.verdicts)
    killed = kinds["killed"] + kinds["stuck"]
    lines = [
        f"{judged} mutants of {outcome.candidates} (seed {run.seed}), {outcome.tests} tests; "
        f"{outcome.outside} changes outside functions are left out",
        f"killed {killed} ({killed / max(judged, 1):.1%}), of these by running away {kinds['stuck']}; "
        f"survived {kinds['survived']}, uncovered {kinds['uncovered']}, no answer {kinds['no answer']}",
        f"{outcome.seconds_measuring:.0f} s to measure the tests, {outcome.seconds_judging:.0f} s for the mutants",
        "",
    ]
    for nodeid in outcome.failing:
        lines.append(f"left out, fails as things are: {nodeid}")
    by_file: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, (verdict, _) in outcome.verdicts.items():
        by_file[mutant.path]["killed" if verdict in ("killed", "stuck") else "alive"] += 1
    for path, counts in sorted(by_file.items()):
        lines.append(f"{counts['killed']:5} of {counts.total():5} killed  {path}")
    lines.append("")
    for mutant, (verdict, _) in sorted(outcome.verdicts.items()):
        if verdict not in ("killed", "stuck"):
            lines.append(f"{verdict}: {mutant}")
    return "\n".join(lines) + "\n", judged > 0 and killed >= KILLED_MIN * judged


class _Plugin:
    def __init__(self, run: Run) -> None:
        self.run, self.enough = run, False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        for item in session.items:
            settle(item, EXAMPLES)
        text, self.enough = told(self.run, judge(self.run, session.items))
        sys.stdout.write(f"\n{text}")
        if self.run.out is not None:
            self.run.out.parent.mkdir(parents=True, exist_ok=True)
            self.run.out.write_text(text, encoding="utf-8")
        return True


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=1000, help="how many; 0: all there are")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--below", type=Path, default=ROOT, help="the folder that paths are relative to")
    parser.add_argument("--source", action="append", help=f"a folder of modules (default: {' '.join(SOURCES)})")
    parser.add_argument("--tests", action="append", help=f"a file or folder of tests (default: {' '.join(TESTS)})")
    parser.add_argument("--out", type=Path, help="write the report there, too")
    given = parser.parse_args(arguments)
    below = given.below.resolve()
    folders = [below / one for one in given.source or SOURCES]
    run = Run(below, folders, given.mutants, given.seed, given.workers, given.out)
    plugin = _Plugin(run)
    wanted = [str(below / one) for one in given.tests or TESTS]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--capture=no", f"--rootdir={below}"]
    code = pytest.main([*options, *wanted], plugins=[plugin])
    return 0 if code == 0 and plugin.enough else 1


def settle(item: pytest.Item, examples: int) -> None:
    """Few examples of a property, always the same ones, and nothing remembered."""
    from hypothesis import HealthCheck, settings

    own = getattr(getattr(item, "obj", None), "_hypothesis_internal_use_settings", None)
    if own is not None:
        item.obj._hypothesis_internal_use_settings = settings(  # type: ignore[attr-defined]
            own,
            max_examples=min(examples, own.max_examples),
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
