"""One session of an engine that is elsewhere: names for tables, what was kept, and ids that come and go.

Only this module and the backends speak to an engine. Nothing is asked twice: tables never change, so a statement
means the same people for as long as the session lasts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field

from audsql.data.remote.backend import Backend, Piece
from audsql.data.remote.emitter import Statement
from audsql.data.remote.sets import RemoteSet
from audsql.meaning.ir import IdKind
from audsql.records import dataclass

__all__ = ["RemoteSession", "id_pieces"]

_PIECE = 1 << 13


@dataclass(slots=True)
class RemoteSession:
    """`kept`: tables by the statement that they hold. `counts`: sizes by statement."""

    backend: Backend
    kept: dict[Statement, Statement] = field(default_factory=dict)
    counts: dict[Statement, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_name(self) -> str:
        return f"audsql_{next(self.numbers)}"

    def keep(self, statement: Statement) -> Statement:
        """The same people under a name of their own."""
        if statement not in self.kept:
            self.kept[statement] = Statement(f"SELECT person FROM {self.keep_rows(statement)}")
        return self.kept[statement]

    def keep_rows(self, statement: Statement) -> str:
        """The name of a new table with the rows of a statement."""
        name = self.new_name()
        self.backend.keep(name, statement.sql, statement.values)
        return name

    def load_ids(self, ids: Iterable[str]) -> Statement:
        """A table of these ids, each once."""
        name = self.new_name()
        self.backend.load(name, (("person", "text"),), _pieces(dict.fromkeys(ids)))
        return Statement(f"SELECT person FROM {name}")

    def count(self, people: RemoteSet) -> int:
        if people.statement is None:
            return 0
        if people.statement not in self.counts:
            self.counts[people.statement] = self.number(f"SELECT count(*) AS n FROM ({people.statement.sql}) AS s",
                                                        people.statement.values)  # fmt: skip
        return self.counts[people.statement]

    def number(self, sql: str, values: Sequence[object] = ()) -> int:
        """The one number that a query answers with."""
        return int(self.backend.rows(sql, values)[0][0])

    def ids(self, people: RemoteSet) -> Iterator[str]:
        """The ids in ascending order of their code points."""
        if people.statement is not None:
            named = people.statement if not people.statement.values else self.keep(people.statement)
            yield from self.backend.ids(f"SELECT person FROM ({named.sql}) AS s ORDER BY person")


def _pieces(ids: Iterable[str]) -> Iterator[Piece]:
    rest = iter(ids)
    while piece := [(one,) for one in itertools.islice(rest, _PIECE)]:
        yield piece


def id_pieces(kind: IdKind, ids: Iterable[str]) -> Iterator[bytes]:
    """Ids as a set is kept and fingerprinted (`fingerprint.id_bytes`), in pieces."""
    rest, between = iter(ids), b""
    while piece := list(itertools.islice(rest, _PIECE)):
        if kind == "user_id":
            yield bytes.fromhex("".join(one[1:] for one in piece))
        else:
            yield between + "\n".join(piece).encode("utf-8")
            between = b"\n"
