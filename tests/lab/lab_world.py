"""The ports of one simulated run: LINE over a bad network, the state, the clock, machines that crash and sleep.

Everything that production code asks of the outside comes here. Each call has a name; a run's plan says what goes
wrong at which call of a name (`"send.answer": {2: ("drop", 0)}`), so that a run follows from its plan alone.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from heapq import heappop, heappush
from typing import Any
from urllib.parse import urlsplit

from lab_engine import Data, LabEngine, Machine
from lab_scenarios import fresh_line, lists
from lab_tables import SqliteTables, Tables

from audsql.apply.door import Failure, Taken
from audsql.apply.sql_store import SqlStore
from audsql.apply.sqlite import SqliteDoor
from audsql.apply.verified import verify_content
from audsql.diag import error
from audsql.line import limits
from audsql.line.client import LineClient
from audsql.line.outcome import Reply, Unknown
from audsql.line.ports import ClientPorts
from audsql.line.transport import Request
from audsql.sim import agenda
from audsql.sim.clock import http_date

# A request that was written arrives within this time of the last look at the window, or never (assumption A4).
ARRIVES_SECONDS_MAX = 540
ENVIRONMENT = "default"


class Crash(BaseException):
    """The process is gone: nothing below runs any more, nothing is written."""


@dataclass
class Accepted:
    """A send that LINE took: under which key, who may not get it, which process wrote it."""

    request_id: str
    key: str
    excluded: frozenset[str]
    pid: int
    at: float


@dataclass
class Worker:
    """One process: where it runs, what goes wrong, and by how much its clock is wrong."""

    pid: int
    host: int
    faults: dict[str, dict[int, tuple[str, float]]]
    skew: float = 0.0
    wake: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    over: bool = False
    code: int | None = None
    codes: tuple[str, ...] = ()
    # Held by nobody but while the worker has the turn; None where it is alone.
    turn: threading.Lock | None = None
    engine: LabEngine | None = None
    # Who had opted out when the process began: lists change between applies only.
    excluded: frozenset[str] = frozenset()


@dataclass
class Lab:
    """One run's world. `trace` gets a line for each call where it is given."""

    trace: Callable[[str], None] | None = None
    simulation: Any = field(default_factory=fresh_line)
    data: Data = field(default_factory=lambda: Data(lists()))
    machines: dict[int, Machine] = field(default_factory=dict)
    tables: type[Tables] | type[SqliteTables] = Tables
    state: Tables | SqliteTables | None = None
    copy: Tables | SqliteTables | None = None
    copy_sets: dict[int, dict[str, frozenset[str]]] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    alive: set[int] = field(default_factory=set)
    current: Worker | None = None
    flying: list[tuple[float, int, Any]] = field(default_factory=list)
    serial: int = 0
    # What went wrong, by call and kind; `applies`: the processes of the case, those of the settling not counted.
    struck: Counter[str] = field(default_factory=Counter)
    applies: int = 0
    healed: bool = False
    state_was_lost: bool = False

    # --- time and turns -----------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return float(self.simulation.world.now)

    def instant(self) -> datetime:
        """What the clock of the running machine shows."""
        skew = self.current.skew if self.current else 0.0
        return datetime.fromtimestamp(self.now + skew, UTC)

    def advance_to(self, moment: float) -> None:
        """Time passes for everybody; what is on its way arrives."""
        while self.flying and self.flying[0][0] <= moment:
            at, _, deliver = heappop(self.flying)
            if at > self.now:
                agenda.advance(self.simulation.world, at - self.now)
            deliver()
        if moment > self.now:
            agenda.advance(self.simulation.world, moment - self.now)

    def sleep(self, seconds: float) -> None:
        """The running worker sleeps; others go on meanwhile."""
        me = self.current
        if me is None or me.turn is None:
            self.advance_to(self.now + seconds)
            return
        me.wake = self.now + seconds
        self._hand_over(me)

    def _hand_over(self, me: Worker) -> None:
        waiting = [one for one in self.workers if not one.over]
        if not waiting:
            return
        nxt = min(waiting, key=lambda one: (one.wake, one.pid))
        if nxt.wake > self.now:
            self.advance_to(nxt.wake)
        self.current = nxt
        if nxt is me:
            return
        assert nxt.turn is not None
        nxt.turn.release()
        if not me.over:
            assert me.turn is not None
            me.turn.acquire()

    def together(self, jobs: Sequence[tuple[Worker, float, Callable[[Worker], None]]]) -> None:
        """Run the workers at once, each from its start on; one has the turn at any time."""
        if len(jobs) == 1:
            worker, start, work = jobs[0]
            self.advance_to(self.now + start)
            self.workers, self.current = [worker], worker
            self._live(worker, work)
            self.current = None
            return
        base = self.now
        self.workers = [worker for worker, _, _ in jobs]
        for worker, start, _ in jobs:
            worker.turn, worker.wake = _closed(), base + start
        ended = [_crew(place, partial(self._in_turn, job[0], job[2])) for place, job in enumerate(jobs)]
        first = min(self.workers, key=lambda one: (one.wake, one.pid))
        self.advance_to(first.wake)
        self.current = first
        assert first.turn is not None
        first.turn.release()
        for one in ended:
            one.acquire()
        self.current = None
        broken = [one for one in self.workers if isinstance(one.code, BaseException)]
        if broken:
            raise broken[0].code  # type: ignore[misc]

    def _in_turn(self, worker: Worker, work: Callable[[Worker], None]) -> None:
        assert worker.turn is not None
        worker.turn.acquire()
        try:
            self._live(worker, work)
        except BaseException as problem:  # noqa: BLE001 - it is raised again where the threads are joined
            worker.code = problem  # type: ignore[assignment]
        worker.over = True
        self._hand_over(worker)

    def _live(self, worker: Worker, work: Callable[[Worker], None]) -> None:
        self.alive.add(worker.pid)
        worker.excluded = self.data.now["optout"]
        try:
            work(worker)
        except Crash:
            self.say("crashed")
        finally:
            self.alive.discard(worker.pid)
            worker.over = True

    # --- what goes wrong ----------------------------------------------------------------------------

    def at(self, name: str) -> tuple[str, float] | None:
        """A call of that name: what goes wrong at it. Crashes and pauses happen here, the rest is the caller's."""
        worker = self.current
        if worker is None:
            return None
        count = worker.counts[name] = worker.counts.get(name, 0) + 1
        fault = worker.faults.get(name, {}).get(count)
        if self.trace is not None:
            self.say(f"{name} {count}" + (f"  <- {fault[0]} {fault[1]:g}" if fault else ""))
        if fault is None:
            return None
        self.struck[f"{name} {fault[0]}"] += 1
        if fault[0] == "crash":
            raise Crash
        if fault[0] == "pause":
            self.sleep(fault[1])
            return None
        return fault

    def say(self, text: str) -> None:
        if self.trace is not None:
            who = f"p{self.current.pid}" if self.current else "-"
            self.trace(f"{datetime.fromtimestamp(self.now, UTC):%d %H:%M:%S} {who:4} {text}")

    # --- the state ----------------------------------------------------------------------------------

    def open_store(self) -> SqlStore:
        self.at("open")
        if self.state is None:
            self.state = self.tables.fresh(self.new_id(), ENVIRONMENT)
        return SqlStore(LabDoor(self, self.state), self.new_id)

    def new_id(self) -> str:
        self.serial += 1
        return f"id-{self.serial}"

    def keep_copy(self) -> None:
        if self.state is not None:
            self.copy = self.state.copied()
            self.copy_sets = {host: dict(one.sets) for host, one in self.machines.items()}

    def restore_copy(self, with_sets: bool) -> None:
        if self.copy is None:
            return
        self.state = self.copy.copied()
        self.state_was_lost = True
        if with_sets:
            for host, one in self.machines.items():
                one.sets = dict(self.copy_sets.get(host, {}))

    def lose_state(self) -> None:
        self.state_was_lost |= self.state is not None
        self.state = None

    def verify(self) -> None:
        """The state loads and every row and event fits (raises StoreFailed)."""
        if self.state is not None:
            verify_content(self.state.execute, "lab", ENVIRONMENT)

    def machine(self, host: int) -> Machine:
        return self.machines.setdefault(host, Machine())

    # --- LINE ---------------------------------------------------------------------------------------

    def client(self) -> LineClient:
        ports = ClientPorts(self.instant, self._client_sleep, lambda: 0.5)
        client = LineClient("shop", limits.API_URL, limits.DATA_URL, "lab-token", ports)
        client._channel = LabChannel(self)  # type: ignore[assignment]
        return client

    def _client_sleep(self, seconds: float) -> None:
        self.at("sleep")
        self.sleep(seconds)

    def fly(self, after: float, deliver: Callable[[], object]) -> None:
        self.serial += 1
        heappush(self.flying, (self.now + after, self.serial, deliver))

    def arrive(self, request: Request, worker: Worker) -> Any:
        """The request is at LINE."""
        parts = urlsplit(request.url)
        answer = self.simulation.handle(
            request.method, parts.path, parts.query, request.headers, request.content or b"", parts.netloc
        )
        key = request.headers.get("X-Line-Retry-Key")
        if key is not None and answer.status in (200, 202):
            request_id = answer.headers["X-Line-Request-Id"]
            self.accepted.append(Accepted(request_id, key, worker.excluded, worker.pid, self.now))
        if self.trace is not None:
            self.say(f"LINE {request.method} {parts.path} -> {answer.status}" + (f" key {key[:8]}" if key else ""))
        return answer


def _closed() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


class _Hand:
    """A thread that plays one worker after another: starting a thread for each takes longer than many a run."""

    def __init__(self) -> None:
        self.begun, self.ended = _closed(), _closed()
        self.work: Callable[[], None] = lambda: None
        threading.Thread(target=self._play, daemon=True).start()

    def _play(self) -> None:
        while True:
            self.begun.acquire()
            self.work()
            self.ended.release()


_HANDS: list[_Hand] = []


def _crew(place: int, work: Callable[[], None]) -> threading.Lock:
    """Let the thread of that number do the work; the lock that it opens at the end."""
    while len(_HANDS) <= place:
        _HANDS.append(_Hand())
    hand = _HANDS[place]
    hand.work = work
    hand.begun.release()
    return hand.ended


class LabDoor:
    """The state's tables in memory. A crash may come before a transaction, before its end, and after it."""

    locking = ""

    def __init__(self, lab: Lab, tables: Tables | SqliteTables) -> None:
        self._lab = lab
        self._tables = tables
        self._writes = False
        self.execute = tables.execute
        self.roll_back = tables.roll_back

    @property
    def name(self) -> str:
        return "lab"

    def begin(self, *, write: bool) -> None:
        self._writes = write
        if write:
            fault = self._lab.at("begin")
            if fault is not None:
                raise Failure(error("AUD0608", None, path="lab"), broken=False)
        self._tables.begin(write)

    def has_table(self, name: str) -> bool:
        """People stand in the state only over SQLite: the tables in memory are those of every other run."""
        return isinstance(self._tables, SqliteTables) and SqliteDoor.has_table(self, name)  # type: ignore[arg-type]

    def make_ledger(self) -> None:
        SqliteDoor.make_ledger(self)  # type: ignore[arg-type]

    def make_beats(self) -> None:
        SqliteDoor.make_beats(self)  # type: ignore[arg-type]

    def insert_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        for row in rows:
            try:
                self.execute(
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", row
                )
            except sqlite3.IntegrityError:
                raise Taken from None

    def update_many(
        self, table: str, columns: Sequence[str], keys: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        values = ", ".join(f"{name} = ?" for name in columns)
        for row in rows:
            self.execute(f"UPDATE {table} SET {values} WHERE {' AND '.join(f'{name} = ?' for name in keys)}", row)

    def commit(self) -> None:
        if not self._writes:
            self._tables.commit()
            return
        worker = self._lab.current
        # Nobody else may come in between: SQLite makes other writers wait. Only a crash is possible here.
        if worker is not None and worker.faults.get("commit"):
            self._lab.at("commit")
        self._tables.commit()
        self._lab.at("committed")

    def close(self) -> None:
        """The tables outlive the process."""


class LabChannel:
    """`Channel` over the lab's network: connects, asks `may_write` once more, writes, hears the answer or not."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def close(self) -> None:
        """Nothing to close."""

    def exchange(self, request: Request) -> Reply | Unknown:
        lab = self._lab
        if request.may_write is not None and not request.may_write():
            return Unknown("withheld", written=False)
        kind = _kind(request)
        if kind == "read":
            return self._read(request)
        fault = lab.at(f"{kind}.connect")
        if fault is not None and fault[0] == "refuse":
            return Unknown("unreachable", written=False)
        if request.may_write is not None and not request.may_write():
            return Unknown("withheld", written=False)
        return self._write(request, kind)

    def _read(self, request: Request) -> Reply | Unknown:
        lab, worker = self._lab, self._lab.current
        fault = lab.at("read")
        if fault is not None:
            return Unknown("timeout") if fault[0] == "drop" else Reply(int(fault[1]), {}, b'{"message": "x"}')
        assert worker is not None
        path = request.url.partition("line.me")[2]
        if path == _QUOTA or path.startswith(_UNCHANGING):
            known = _unchanging(path, _Same(request))
            return Reply(known.status, {**_HEADERS, "date": http_date(lab.now)}, known.body)
        return _reply(lab.arrive(request, worker))

    def _write(self, request: Request, kind: str) -> Reply | Unknown:
        lab, worker = self._lab, self._lab.current
        assert worker is not None
        fault = lab.at(f"{kind}.write")
        if fault is not None and fault[0] == "late":
            lab.fly(min(fault[1], ARRIVES_SECONDS_MAX), lambda: lab.arrive(request, worker))
            lab.sleep(60)
            return Unknown("timeout")
        if fault is not None and fault[0] == "drop":
            lab.sleep(60)
            return Unknown("timeout")
        if fault is not None and fault[0] == "status":
            return Reply(int(fault[1]), {}, b'{"message": "x"}')
        if fault is not None and fault[0] == "twice":
            lab.fly(min(fault[1], ARRIVES_SECONDS_MAX), lambda: lab.arrive(request, worker))
        answer = lab.arrive(request, worker)
        fault = lab.at(f"{kind}.answer")
        if fault is not None and fault[0] == "drop":
            lab.sleep(60)
            return Unknown("timeout")
        if fault is not None and fault[0] == "status":
            return Reply(int(fault[1]), {}, b"<html>")
        return _reply(answer)


# What LINE answers to these is the same in every run and at every time of it.
_UNCHANGING = ("/v2/bot/info", "/v2/bot/insight/followers", "/v2/bot/message/validate/")
_QUOTA = "/v2/bot/message/quota"
_HEADERS = {"x-line-request-id": "00000000-0000-4000-a000-000000000000"}


class _Same:
    """Requests to one of these are told apart by path alone."""

    def __init__(self, request: Request) -> None:
        self.method, self.headers, self.content = request.method, request.headers, request.content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same)

    def __hash__(self) -> int:
        return 0


@cache
def _unchanging(path: str, request: _Same) -> Reply:
    place, _, query = path.partition("?")
    return _reply(fresh_line().handle(request.method, place, query, request.headers, request.content or b"", ""))


def _kind(request: Request) -> str:
    if "X-Line-Retry-Key" in request.headers:
        return "send"
    if request.method == "GET" or "/validate/" in request.url:
        return "read"
    return "audience"


def _reply(answer: Any) -> Reply:
    return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.content())
