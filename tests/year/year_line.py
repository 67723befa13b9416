"""LINE in this process, and a process that can be killed at any checkpoint of its journal.

What audsql asks of outside — the network, the clock, the number of its process — comes from here; all between is
production. Nothing sleeps: the clock is the simulator's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partialmethod
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from audsql.apply import journal
from audsql.apply.remote import read_remote
from audsql.data import rowwise, tables
from audsql.data.duckdb import DuckEngine
from audsql.data.engine import Materialised
from audsql.diag import Diagnostic, has_errors
from audsql.line import limits
from audsql.line.client import LineClient
from audsql.line.outcome import Reply, Unknown
from audsql.line.ports import ClientPorts
from audsql.line.transport import Request
from audsql.meaning.ir import Rows, Uploaded
from audsql.session import applying, holding, planning
from audsql.session.accounts import Remote
from audsql.sim import agenda
from audsql.sim import world as sim_world
from audsql.sim.world import Simulation

TOKEN = "year-token"
_DATABASES = 200


class Killed(BaseException):
    """The process is gone: nothing below runs any more, nothing is written."""


class Line:
    """A simulation and the machine beside it: `skew` is what its clock is wrong by, `pid` which process runs."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.skew = 0.0
        self.pid = 1_000

    @property
    def now(self) -> float:
        return float(self.simulation.world.now)

    def instant(self) -> datetime:
        return datetime.fromtimestamp(self.now + self.skew, UTC)

    def advance(self, seconds: float) -> None:
        agenda.advance(self.simulation.world, seconds)

    def client(self) -> LineClient:
        ports = ClientPorts(self.instant, self.advance, lambda: 0.5)
        client = LineClient("shop", limits.API_URL, limits.DATA_URL, TOKEN, ports)
        client._channel = _Channel(self)  # type: ignore[assignment]
        return client


class _Channel:
    """`Channel` of audsql's client, without a socket."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def close(self) -> None:
        """Nothing to close."""

    def exchange(self, request: Request) -> Reply | Unknown:
        if request.may_write is not None and not request.may_write():
            return Unknown("withheld", written=False)
        parts = urlsplit(request.url)
        answer = self._line.simulation.handle(
            request.method, parts.path, parts.query, request.headers, request.content or b"", parts.netloc
        )
        if answer.dropped:
            self._line.advance(5)
            return Unknown("broken-off")
        return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.content())


@contextmanager
def machine(line: Line) -> Iterator[None]:
    """Production over this LINE and this machine's clock."""

    class Clock:
        fromisoformat = staticmethod(datetime.fromisoformat)

        @staticmethod
        def now(zone: object = UTC) -> datetime:
            return line.instant()

    def kill(pid: int, number: int) -> None:
        if number == 0:
            if pid != line.pid:
                raise ProcessLookupError
            return
        raise Killed

    read = _Read()
    system = SimpleNamespace(getpid=lambda: line.pid, kill=kill)

    @contextmanager
    def connected(opened: Any, *_: Any, **__: Any) -> Iterator[tuple[Remote | None, Any]]:
        client = line.client()
        facts, found = read_remote(client, False)
        if facts is None or has_errors(found):
            yield None, found
            return
        yield Remote({"shop": client}, {"shop": facts}, {"shop": "line"}), found

    patches: list[tuple[Any, str, Any]] = [
        (applying, "datetime", Clock),
        (holding, "datetime", Clock),
        (holding, "os", system),
        (journal, "os", system),
        (applying, "connect", connected),
        (planning, "connect", connected),
        (DuckEngine, "materialise", partialmethod(_Read.materialise_of, read)),
        (DuckEngine, "rows", partialmethod(_Read.rows_of, read)),
        (tables, "connect", _Databases().connect),
        (rowwise, "connect", _Databases().connect),
        # The state is kept once; copies of it, and a log of requests for people, are not what is looked at here.
        (applying, "keep_backup", lambda opened, store, before: ()),
        (sim_world, "_log", lambda call, endpoint: {}),
    ]
    with ExitStack() as stack:
        for owner, name, value in patches:
            stack.enter_context(patch.object(owner, name, value))
        yield


_materialise, _rows = DuckEngine.materialise, DuckEngine.rows


class _Read:
    """What one command has read: here no file changes while one runs, so nothing is read twice."""

    def __init__(self) -> None:
        self.engine: DuckEngine | None = None
        self.known: dict[Any, tuple[Materialised, tuple[Diagnostic, ...]]] = {}
        self.rows: dict[Any, Any] = {}

    def of(self, engine: DuckEngine) -> _Read:
        if engine is not self.engine:
            self.engine, self.known, self.rows = engine, {}, {}
        return self

    @staticmethod
    def materialise_of(engine: DuckEngine, self: _Read, *given: Any, **named: Any) -> Any:
        return self.materialise(engine, *given, **named)

    @staticmethod
    def rows_of(engine: DuckEngine, self: _Read, table: str, columns: Any, as_of: datetime, **more: Any) -> Any:
        rows = self.of(engine).rows
        key = (table, repr(columns), as_of, repr(sorted(more.items())))
        if key not in rows:
            found, diagnostics = _rows(engine, table, columns, as_of, **more)
            rows[key] = (found if found is None else _Kept(found), diagnostics)
        return rows[key]

    def materialise(
        self, engine: DuckEngine, atoms: Any, as_of: datetime, pinned: Any = None
    ) -> tuple[Materialised, tuple[Diagnostic, ...]]:
        """Each atom once. Those that are made of others are left to production, which looks at all of them at once."""
        if not all(isinstance(atom, Uploaded | Rows) for atom in atoms) or pinned:
            return _materialise(engine, atoms, as_of, pinned)
        known, diagnostics = self.of(engine).known, []
        for atom in atoms:
            if (atom.key, as_of) not in known:
                known[atom.key, as_of] = _materialise(engine, [atom], as_of)
        found = [known[key, as_of] for key in sorted({atom.key for atom in atoms})]
        for one in (one for _, problems in found for one in problems):
            if one not in diagnostics:
                diagnostics.append(one)
        whole = Materialised(
            {name: facts for one, _ in found for name, facts in sorted(one.sources.items())},
            {key: people for one, _ in found for key, people in one.people.items()},
            {key: digest for one, _ in found for key, digest in one.digests.items()},
        )
        return whole, tuple(diagnostics)


class _Kept:
    """Rows of a table that stay readable for the whole command, whoever closes them."""

    def __init__(self, rows: Any) -> None:
        self._rows, self._read = rows, list(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._read)

    def close(self) -> None:
        """Others may ask for them as well."""


class _Database:
    """A connection to one of them."""

    def __init__(self, base: Any, name: str) -> None:
        self._base, self._name = base, name
        self._cursor = base.cursor()
        self._cursor.execute(f"USE {name}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __enter__(self) -> _Database:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()

    def cursor(self) -> _Database:
        return _Database(self._base, self._name)


class _Databases:
    """A database in memory for each that production opens, all of them in one: opening one takes longer than a run."""

    def __init__(self) -> None:
        self.number = 0
        self.base: Any = None

    def connect(self, scratch: Any, memory_bytes: int = 0) -> Any:
        import duckdb

        if self.number % _DATABASES == 0:
            self.base = duckdb.connect(":memory:")
        self.number += 1
        self.base.execute(f"ATTACH ':memory:' AS year{self.number}")
        return _Database(self.base, f"year{self.number}")


def killed_at(line: Line, checkpoint: int, work: Callable[[], Any]) -> Any:
    """The work in a process of its own that is killed at a checkpoint (0: at none); None where it was."""
    line.pid += 1
    journal.arm_kill(checkpoint)
    try:
        return work()
    except Killed:
        return None
    finally:
        journal.arm_kill(0)
        line.pid += 1
