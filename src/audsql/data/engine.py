"""The engine port: what any engine for own data must do.

A set of people is `People`, an opaque value of the engine; counting and comparing it is cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from audsql.diag import Diagnostic
from audsql.meaning.ir import Atom, Expression, IdKind, atoms_of
from audsql.meaning.lineage import with_parts
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.data.code_pools import Codes
    from audsql.meaning.ir import CodePool

__all__ = [
    "Engine", "EngineFailure", "LinkKey", "LinkageKept", "LinkageLoss", "Materialised", "People", "RowColumn",
    "RowValue", "SourceFacts", "TableRow", "TableRows", "linkage_loss",
]  # fmt: skip

People = Any
LinkKey = tuple[str, IdKind, IdKind]
"""A table, the kind of id that goes in, the kind that comes out."""


@dataclass(frozen=True, slots=True)
class LinkageLoss:
    """What a mapping lost: `given` ids of kind `kind` went in, `lost` of them have no counterpart in `table`,
    `found` ids of kind `to` came out. Counts only."""

    table: str
    kind: IdKind
    to: IdKind
    given: int
    lost: int
    found: int

    def to_document(self) -> dict[str, str | int]:
        return {
            "table": self.table, "from": self.kind, "to": self.to,
            "given": self.given, "lost": self.lost, "found": self.found,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class LinkageKept:
    """`count` people stay in a set by one of their ids of kind `kind`, though another one of these is excluded there
    before it is mapped to ids of kind `to` through `table`."""

    table: str
    kind: IdKind
    to: IdKind
    count: int


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What reading one source found.

    `digest` is over the file's bytes and the rules that read it. `rows` counts data rows (a list's
    valid ids before duplicates are dropped), `people` distinct ids, `encoding` what was detected
    (utf-8, utf-8-sig, cp932). `modified` is the file's modification time, None for a pinned digest that
    the file no longer has. `blank_ids` counts rows without an id: they are nobody.
    """

    name: str
    kind: str
    digest: str
    rows: int
    people: int
    duplicates: int
    encoding: str
    modified: datetime | None
    blank_ids: int = 0


RowValue = str | Decimal | datetime | bool | None
"""A cell: text in NFC, a number exactly, an aware time in the project's zone, a truth value; None where it is empty."""


@dataclass(frozen=True, slots=True)
class RowColumn:
    """A column of a table, and what its cells are taken for."""

    name: str
    type: Literal["string", "number", "date", "truth"] = "string"


class TableRow(NamedTuple):
    """One row and the LINE user ID that it belongs to. `time`: by the table's `time:` column, None where it has none
    or the cell is empty. `values` in the order of the columns that were asked for. A tuple, since there are millions.
    """

    person: str
    time: datetime | None
    values: tuple[RowValue, ...]


class TableRows(Protocol):
    """The rows of a table by person. They can be gone through more than once, in an order that no order of the file's
    rows changes: by person, then time (rows without one first), then values. `sources`: the table and the linkage,
    where there is one, which `linkage` names. `timed`: whether the table has times. To be closed; what is forgotten
    closes itself.
    """

    columns: tuple[RowColumn, ...]
    sources: Mapping[str, SourceFacts]
    linkage: str
    timed: bool

    def __iter__(self) -> Iterator[TableRow]: ...

    def of(self, people: Sequence[str]) -> Iterator[list[TableRow]]:
        """The rows of each of these people (user IDs), one list after the other in the order of the people."""

    def close(self) -> None: ...


class EngineFailure(Exception):
    """What an engine could not do, other than read data: a method without diagnostics in its result raises it."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.code)
        self.diagnostic = diagnostic


@dataclass(frozen=True, slots=True)
class Materialised:
    """Own atoms evaluated. `people` by atom key, those that a mapped set is made of included; `digests` the
    digest of the source of each atom key that was read. `losses`: what each mapping lost, by atom key. `links`:
    the linkages that were read, opaque to everybody but the engine."""

    sources: Mapping[str, SourceFacts]
    people: Mapping[str, People]
    digests: Mapping[str, str]
    losses: Mapping[str, LinkageLoss] = field(default_factory=dict)
    links: Mapping[LinkKey, Any] = field(default_factory=dict)


def linkage_loss(expression: Expression, read: Materialised) -> tuple[LinkageLoss, ...]:
    """What the mappings of an expression lost, those inside others first."""
    if not read.losses:
        return ()
    parts = with_parts(atom for atom in atoms_of(expression) if atom.world == "own")
    return tuple(read.losses[part.key] for part in parts if part.key in read.losses)


class Engine(Protocol):
    """All methods are deterministic for the same files and `as_of`."""

    def materialise(
        self, atoms: Sequence[Atom], as_of: datetime, pinned: Mapping[str, str] | None = None
    ) -> tuple[Materialised, tuple[Diagnostic, ...]]:
        """Evaluate own atoms. `pinned` maps source names to digests: an atom of such a source is taken
        from the cache of that digest, whatever the file holds now, and is left out of the result
        (no diagnostic) where the cache no longer has it and the file differs."""

    def rows(
        self,
        table: str,
        columns: Sequence[RowColumn] | None,
        as_of: datetime,
        pinned: Mapping[str, str] | None = None,
        account: str = "",
    ) -> tuple[TableRows | None, tuple[Diagnostic, ...]]:
        """The rows of a table that belong to LINE user IDs, by its own column of them or else through the one linkage
        from its first id (`account`: for whom, where several tables link). Rows later than `as_of` are left out, rows
        of erased people too. `columns` None: all of them, as text. None comes back where something is wrong, and
        without a diagnostic where a source is not what `pinned` says: rows are not kept."""

    def codes(self, pool: CodePool, as_of: datetime) -> tuple[Codes | None, tuple[Diagnostic, ...]]:
        """The single-use codes in the file of a pool."""

    def derive(
        self,
        atoms: Sequence[Atom],
        people: Mapping[str, People],
        read: Materialised,
        beside: Mapping[str, People] | None = None,
    ) -> Mapping[str, People]:
        """The mapped sets and buckets among these atoms anew, over other sets of the atoms that were read, through
        the linkages of `read`. `beside`: who is in a mapped set in any case. What cannot be made of these is left
        out."""

    def evaluate(self, expression: Expression, people: Mapping[str, People]) -> People:
        """The set of an expression over own atoms that is false where all atoms are false."""

    def count(self, people: People) -> int: ...

    def members(self, people: People) -> Iterator[str]:
        """The ids, in a stable order."""

    def union(self, left: People, right: People) -> People: ...

    def delta(self, before: People, after: People) -> tuple[People, People]:
        """(entering, leaving)."""

    def fingerprint(self, people: People) -> str:
        """A keyed digest of the set, equal for equal sets of one project, useless without its key.

        Raises EngineFailure where there is no usable key."""

    def is_fingerprint(self, people: People, known: str) -> bool:
        """Whether a fingerprint is this set's, under the key of today or an older one."""

    def save(self, name: str, people: People) -> None:
        """Keep a set under a name in the local cache (the members LINE has, as far as we know).

        Raises EngineFailure where the cache cannot be written."""

    def load(self, name: str) -> People | None:
        """The set kept under a name; None where there is none or it is damaged."""

    def loaded(self, names: Sequence[str]) -> Iterator[tuple[str, People | None]]:
        """Each of these names with the set that `load` gives, one after the other; faster than one by one."""
