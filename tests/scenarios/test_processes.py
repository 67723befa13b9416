"""Applies in real processes that meet, stop, wake, break and are interrupted, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import psycopg
import pytest
from process_cases import STORES, exit_code, forked, once_each, sends, small, stopped_at, woken
from store_cases import postgres_url
from sweep import rotating

from harness import TOKEN, TOKEN_VARIABLE, Place, codes

SWEEP = bool(os.environ.get("AUDSQL_SWEEP"))
ROUNDS = 200 if SWEEP else 2
POINTS = 30
APPLY = ("apply", "--auto-approve")


def child(here: Place, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own that becomes `audsql ARGUMENTS`."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=here.root,
        env={**os.environ, TOKEN_VARIABLE: TOKEN, "NO_COLOR": "1", "AUDSQL_LANG": "en"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# --- two at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize("store", STORES)
@pytest.mark.scenario(15, 16)
@pytest.mark.threat("T09")
def test_two_applies_at_once_send_once(store, tmp_path):
    """Both are let go at the same instant; the second finds it locked, overtaken, or nothing left to do."""
    for number in range(ROUNDS):
        with small(tmp_path / str(number), store) as here:
            starts = [os.pipe(), os.pipe()]

            def work(reading: int, here: Place = here) -> int:
                os.read(reading, 1)
                return here.apply().exit_code

            both = [forked(lambda reading=reading: work(reading)) for reading, _ in starts]
            for _, writing in starts:
                os.write(writing, b"x")
            exits = sorted(exit_code(one) for one in both)
            for ends in starts:
                for one in ends:
                    os.close(one)
            assert exits[0] == 0 and exits[1] in (0, 5, 6), (number, exits)
            assert once_each(here), number
            assert sends(here) == 1, number
            assert here.apply().exit_code == 0
            assert sends(here) == 1, number


@pytest.mark.parametrize("store", STORES)
@pytest.mark.scenario(19)
@pytest.mark.threat("T10")
def test_a_paused_holder_that_wakes_after_the_take_over_changes_nothing(store, tmp_path):
    """Stopped at a point, its lock ended by force, its work done by another; then it wakes."""
    stopped = 0
    for point in rotating(POINTS, 10):
        with small(tmp_path / str(point), store) as here:
            process = stopped_at(here, point)
            if not process:
                continue
            stopped += 1
            asked = here.requests("POST", "PUT", "DELETE")
            try:
                held = json.loads(here.command("lock", "show", "--json").stdout)["held"]
                if held is not None:
                    assert here.command("unlock", held["id"], "--force").returncode == 0
                codes_ = [here.apply().exit_code]
                while codes_[-1] == 4 and len(codes_) < 5:
                    here.advance(600)
                    codes_.append(here.apply().exit_code)
                before = (here.requests("POST", "PUT", "DELETE"), here.inbox())
            finally:
                code = woken(process)
            if held is not None:
                # 5: before its first request it finds its plan out of date. 0: there was nothing left to do.
                out_of_date, over = {5} if not asked else set(), {0} if asked == before[0] else set()
                assert code in {4, 6} | out_of_date | over, (point, code)
            assert here.requests("POST", "PUT", "DELETE") == before[0], point
            assert here.inbox() == before[1], point
            assert once_each(here), point
            assert not here.plan().document["summary"]["changes"], point
    assert stopped


@pytest.mark.threat("T10")
def test_a_session_that_the_server_ends_at_any_point_sends_nothing_twice(tmp_path):
    for point in rotating(POINTS, 10):
        with small(tmp_path / str(point), "postgres") as here:
            process = stopped_at(here, point)
            if not process:
                continue
            with psycopg.connect(postgres_url(), autocommit=True) as session:
                session.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'audsql'"
                )
            assert woken(process) in (0, 1, 4), point
            again = here.apply()
            assert again.exit_code == 0, (point, again.diagnostics)
            assert once_each(here), point
            assert sends(here) <= 2, point
            assert not here.plan().document["summary"]["changes"], point


@pytest.mark.parametrize("store", STORES)
@pytest.mark.scenario(18)
def test_what_a_killed_holder_left_is_taken_over_and_said(store, tmp_path):
    with small(tmp_path, store) as here:
        killed = here.command(*APPLY, AUDSQL_TEST_KILL_AT="9")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        again = here.command(*APPLY)
        assert again.returncode == 0, again.stderr
        assert "AUD0615" in again.stderr
        assert once_each(here)


# --- waiting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["apply", "run"])
@pytest.mark.scenario(17)
def test_waiting_for_a_lock(command, tmp_path):
    with small(tmp_path) as here:
        process = stopped_at(here, 6)
        assert process
        arguments = ("apply", "--auto-approve") if command == "apply" else ("run",)
        late = here.command(*arguments, "--lock-timeout", "0.1")
        assert (late.returncode, "AUD0613" in late.stderr) == (6, True), late.stderr
        done: list[subprocess.CompletedProcess[str]] = []
        waiting = threading.Thread(target=lambda: done.append(here.command(*arguments, "--lock-timeout", "90")))
        waiting.start()
        assert woken(process) == 0
        waiting.join()
        # What it saw before it had the lock no longer fits; it waited, and did nothing.
        assert done[0].returncode in (0, 5), done[0].stderr
        assert once_each(here)
        assert here.command(*arguments, "--lock-timeout", "-1").returncode == 64


# --- interrupted, and broken in the middle --------------------------------------------------------

INTERRUPTED_TWICE = """
import os, signal, sys
from audsql.apply import journal
from audsql.apply.sql_store import SqlStore
closing = SqlStore.close
def close(store):
    os.kill(os.getpid(), signal.SIGINT)
    closing(store)
SqlStore.close = close
signal.SIGKILL = signal.SIGINT
journal.arm_kill(int(sys.argv[1]))
del sys.argv[1]
from audsql.cli import main
main()
"""


@pytest.mark.parametrize("point", [4, 9, 13])
@pytest.mark.scenario(4, 5)
@pytest.mark.threat("T28")
def test_interrupted_again_while_it_ends(point, tmp_path):
    with small(tmp_path) as here:
        done = child(here, INTERRUPTED_TWICE, str(point), *APPLY)
        assert done.returncode == 130, done.stderr
        assert "Traceback" not in done.stderr
        assert "run the same command again" in done.stderr
        again = here.command(*APPLY)
        assert again.returncode == 0, again.stderr
        assert once_each(here)
        assert not here.plan().document["summary"]["changes"]


BROKEN = """
import os, sys
from audsql.apply import journal
def broken(*_):
    raise ZeroDivisionError("U0123456789abcdef0123456789abcdef")
os.kill = broken
journal.arm_kill(int(sys.argv[1]))
del sys.argv[1]
from audsql.cli import main
main()
"""


@pytest.mark.parametrize("point", [4, 9, 13])
@pytest.mark.scenario(6)
@pytest.mark.threat("T65")
def test_a_bug_in_the_middle_leaves_what_was_done(point, tmp_path):
    with small(tmp_path) as here:
        done = child(here, BROKEN, str(point), *APPLY)
        assert done.returncode == 70, done.stderr
        assert "AUD9901" in done.stderr and "U0123" not in done.stderr
        again = here.command(*APPLY)
        assert again.returncode == 0, again.stderr
        assert once_each(here)
        assert not here.plan().document["summary"]["changes"]


# --- syncing that fails ---------------------------------------------------------------------------


@pytest.mark.skipif(not os.access("/usr/bin/strace", os.X_OK), reason="strace makes the system call fail")
@pytest.mark.threat("T13", "T14")
def test_an_error_while_syncing_is_not_believed(tmp_path):
    """From the n-th sync on, every one fails: the intent is not durable, so its request does not leave."""
    for number in rotating(24, 8):
        with small(tmp_path / str(number)) as here:
            inject = f"--inject=fdatasync,fsync:error=EIO:when={number}+"
            command = ["/usr/bin/strace", "-f", "-o", "/dev/null", "--trace=fdatasync,fsync", inject]
            done = subprocess.run(
                [*command, sys.executable, "-m", "audsql", *APPLY],
                cwd=here.root,
                env={**os.environ, TOKEN_VARIABLE: TOKEN, "AUDSQL_LANG": "en"},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode in (0, 1, 4), (number, done.stderr)
            assert "Traceback" not in done.stderr and "AUD9901" not in done.stderr, done.stderr
            again = here.apply()
            assert again.exit_code == 0, (number, codes(again.diagnostics))
            assert once_each(here), number
