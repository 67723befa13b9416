"""`audsql run --watch` as a service, on the simulator's clock: stops, restarts, errors, signs of life (T28, T29).

Rules: `schedule.watch`, `schedule.stop`, `schedule.heartbeat`.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from f1000 import delivery, f1000

from audsql import session
from audsql.cli import app
from audsql.session import serving
from audsql.session.serving import Watch, runners_of, serve
from harness import TOKEN, TOKEN_VARIABLE, codes

DAILY = delivery("purchased(A)", "every: day 10:00", "daily")
HOUR = 3600
STOPS = ("time_opened", "upload_create", "accepted", "succeeded", "done")


class Looking:
    """Lets a service make so many cycles, resting on the simulator's clock, and keeps what it told."""

    def __init__(self, here, cycles: int, interval_seconds: int = HOUR, between=lambda count: None, now=None):
        self.cycles, self.rests = [], []

        def rest(opened, seconds):
            self.rests.append(seconds)
            serving.let_pass(opened, seconds)
            between(len(self.cycles))
            if len(self.cycles) >= cycles:
                raise KeyboardInterrupt

        clock = (lambda: now) if now is not None else (lambda: datetime.now(UTC))
        self.watch = Watch(here.opened, self.cycles.append, interval_seconds, rest, clock)

    def serve(self, on_event=lambda event: None) -> int:
        return serve(self.watch, session.ApplyOptions(on_event=on_event))

    @property
    def told(self) -> list[list[str]]:
        return [[one.code for one in cycle.outcome.diagnostics] for cycle in self.cycles]


def narrowcasts(here):
    return [one for one in here.requests("POST") if one["path"].endswith("/message/narrowcast")]


@pytest.mark.threat("T21", "T29")
def test_a_service_sends_each_time_when_it_is_due(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        looking = Looking(here, 10, 6 * HOUR)
        assert looking.serve() == 0
        assert set(here.received().values()) == {2}
        # It looks at once when a time has come, and not a minute later.
        assert {one["at"][11:16] for one in narrowcasts(here)} <= {"10:00", "10:01", "10:02", "10:03"}
        assert all(0 < one <= 6 * HOUR for one in looking.rests)


@pytest.mark.threat("T28", "T29")
@pytest.mark.parametrize("event", STOPS if os.environ.get("AUDSQL_SWEEP") == "1" else STOPS[1:3])
def test_a_service_that_is_stopped_in_a_cycle_goes_on_where_it_stopped(tmp_path, event):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        here.advance(10 * HOUR)

        def stop(said):
            if said["event"] == event:
                raise KeyboardInterrupt

        assert Looking(here, 5).serve(stop) == 130
        (row,), warned = runners_of(here.opened(), datetime.now(UTC))
        assert (row["state"], warned) == ("stopped", ())
        # Nobody has to wait for its lease.
        assert here.run().exit_code == 0
        assert Looking(here, 2).serve() == 0
        assert set(here.received().values()) == {1}


def test_changed_specs_are_reported_once_and_never_applied(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        text = (here.root / "shop.aud").read_text()

        def edit(count):
            if count == 2:
                here.write("shop.aud", text.replace("セール開催中", "まちがい"))
            if count == 7:
                here.write("shop.aud", text)

        looking = Looking(here, 8, 2 * HOUR, edit)
        assert looking.serve() == 0
        assert [index for index, one in enumerate(looking.told) if "AUD0793" in one] == [2, 7]
        # It was due at ten, with words that nobody approved; it left once they were those that somebody had.
        refused = [index for index, one in enumerate(looking.told) if "AUD0863" in one]
        assert refused and refused[-1] < 7
        assert {one["messages"][0]["text"] for one in here.inbox()} == {"セール開催中"}
        assert set(here.received().values()) == {1}


def test_errors_that_may_pass_make_it_wait_longer_each_time(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        text = (here.root / "shop.aud").read_text()

        def edit(count):
            here.write("shop.aud", "delivery {" if 1 <= count <= 7 else text)

        waits = []
        looking = Looking(here, 9, 60, edit)
        object.__setattr__(looking.watch, "rest", lambda opened, seconds: (waits.append(seconds), edit(len(waits)))
                           if len(waits) < 8 else (_ for _ in ()).throw(KeyboardInterrupt))  # fmt: skip
        assert looking.serve() == 0
        assert waits == [60, 60, 120, 240, 480, 900, 900, 900]
        assert [cycle.outcome.exit_code for cycle in looking.cycles] == [0, 1, 1, 1, 1, 1, 1, 1, 0]


def test_a_service_that_cannot_work_here_ends_at_once(tmp_path, monkeypatch):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        monkeypatch.setenv(TOKEN_VARIABLE, "")
        looking = Looking(here, 5)
        assert looking.serve() == 64
        assert looking.told == [["AUD0864"]]


@pytest.mark.threat("T29")
def test_status_tells_of_a_service_that_fell_silent(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        assert session.status(here.opened())[0]["runners"] == []
        started = datetime.now(UTC) - timedelta(minutes=10)
        with pytest.raises(RuntimeError):
            # Killed: nothing says that it stops.
            watch = Watch(here.opened, lambda cycle: _die(), 60, now=lambda: started)
            serve(watch, session.ApplyOptions())
        document, problems, code = session.status(here.opened())
        assert ([one.code for one in problems], code) == (["AUD0792"], 7)
        assert [one["state"] for one in document["runners"]] == ["overdue"]
        assert runners_of(here.opened(), started + timedelta(minutes=3))[1] == ()
        shown = here.command("status")
        assert (shown.returncode, "NO SIGN OF LIFE" in shown.stdout) == (7, True)
        assert Looking(here, 1).serve() == 0
        assert session.status(here.opened())[2] == 0


def _die():
    raise RuntimeError


@pytest.mark.threat("T29")
def test_a_service_keeps_nothing_open_and_does_not_grow(tmp_path):
    with f1000(tmp_path, DAILY, rate_limits=False) as here:
        assert here.apply(as_of=None).exit_code == 0
        seen: dict[int, tuple[int, int]] = {}
        cycles = []

        def measure(opened, seconds):
            serving.let_pass(opened, seconds)
            cycles.append(seconds)
            if len(cycles) in (3, 6):
                gc.collect()
                files = len(list(Path("/proc/self/fd").iterdir()))
                seen[len(cycles)] = (files, tracemalloc.get_traced_memory()[0])
            if len(cycles) == 6:
                raise KeyboardInterrupt

        tracemalloc.start()
        try:
            # Nothing of a cycle is kept by who looks on either.
            assert serve(Watch(here.opened, lambda cycle: None, HOUR, measure), session.ApplyOptions()) == 0
        finally:
            tracemalloc.stop()
        assert seen[6][0] <= seen[3][0]
        # A hundredth of what the first cycles hold would be a leak of years, not of days.
        assert seen[6][1] - seen[3][1] < 1_000_000


@pytest.mark.threat("T28")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_two_cycles_ends_it_well(tmp_path, monkeypatch, capsys, number):
    before = signal.getsignal(signal.SIGTERM)
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
        monkeypatch.setattr(Watch, "__init__", _with_rest(lambda opened, seconds: os.kill(os.getpid(), number)))
        try:
            code = app.run(["run", "--watch", "--interval", "60", "--format", "json", "--project", str(here.root)])
        finally:
            signal.signal(signal.SIGTERM, before)
        assert code == 0
        (line,) = capsys.readouterr().out.splitlines()
        document = json.loads(line)
        assert (document["kind"], document["next_due"]) == ("audsql.run", "2026-11-21T10:00:00+09:00")
        assert 0 < document["rest_seconds"] <= 60
        assert runners_of(here.opened(), datetime.now(UTC))[0][0]["state"] == "stopped"


def _with_rest(rest):
    original = Watch.__init__

    def init(self, again, tell, interval_seconds=60):
        original(self, again, tell, interval_seconds, rest)

    return init


def test_an_interval_has_bounds(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        for text in ("4", "3601"):
            assert here.command("run", "--watch", "--interval", text).returncode == 64


def test_two_services_send_each_time_once(tmp_path):
    with f1000(tmp_path, DAILY) as here:
        assert here.apply(as_of=None).exit_code == 0
        here.advance(10 * HOUR)
        other = []

        def also(event):
            if event["event"] == "accepted" and not other:
                other.append(here.run().exit_code)

        assert Looking(here, 2).serve(also) == 0
        assert other == [6]
        assert set(here.received().values()) == {1}
        assert codes(here.run().diagnostics) == []
