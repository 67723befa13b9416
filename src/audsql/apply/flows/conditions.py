"""Who of those who stand in a flow is in a set: own data as of now, `since start` by person, the row of a trigger.

Everything is asked of many people at once: each atom is a mask over them, and an expression joins masks. Normative:
specs/flows.md, `flow.data`, `flow.since`, `flow.trigger.row`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from audsql.apply.context import Context
from audsql.data.among import Among, Mask, in_bucket, inside, those_of
from audsql.data.engine import People, RowColumn, TableRow
from audsql.data.exclusions import empty_exclusions
from audsql.data.leaves import leaf_of
from audsql.data.rowmatch import columns_of, is_met
from audsql.diag import Diagnostic, error, has_errors
from audsql.line.outcome import Found
from audsql.meaning import ir
from audsql.meaning.lineage import deep_atoms, nodes_inside, read_from, sources_of
from audsql.records import dataclass

__all__ = [
    "Crowd",
    "OwnRows",
    "Reading",
    "Unreadable",
    "check_exclusions",
    "holds",
    "materialise",
    "must_be_declared",
    "read_people",
    "started",
]

COHORTS_MAX = 64
"""Instants of entering up to which a set `since start` is evaluated whole for each; with more, person by person."""
FOLLOWERS_MAX = 100_000_000
_OWN_PIECE = 200


class Unreadable(Exception):
    """A condition cannot be known now: nothing is decided of anybody. `diagnostics` say why."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(diagnostics[0].code if diagnostics else "")
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class OwnRows:
    """The rows of a trigger's own table that a person entered with, of these columns; several where the table has
    several of one identity."""

    table: str
    columns: tuple[RowColumn, ...]
    rows: Sequence[Sequence[TableRow]]


@dataclass(slots=True)
class Crowd:
    """Those who are asked about. `entered`: when each of them did; empty where nobody has entered anything."""

    among: Among
    entered: Sequence[datetime] = ()
    own: OwnRows | None = None

    def __len__(self) -> int:
        return len(self.among)


@dataclass(slots=True)
class Reading:
    """The data of one flow in one run. `people` by atom key; `friends` by account, as LINE listed them."""

    context: Context
    flow: str
    now: datetime
    people: dict[str, People] = field(default_factory=dict)
    friends: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.context.project.timezone)


# --- reading ------------------------------------------------------------------------------------------


def read_people(reading: Reading, expressions: Iterable[ir.Expression], own_table: str = "") -> None:
    """Read what these sets are made of, all at once; `own_table`: of a trigger, which is read row by row. What differs
    from person to person is read when it is asked for. Raises Unreadable."""
    wanted: dict[str, ir.Atom] = {}
    for expression in expressions:
        for atom in ir.atoms_of(expression):
            if isinstance(atom, ir.Friends):
                _read_friends(reading, atom)
            elif atom.world != "own":
                raise Unreadable(error("AUD0817", None, flow=reading.flow, source=None, account=_account_of(atom)))
            elif not _is_own(atom, own_table) and not _since_start(atom) and not isinstance(atom, ir.Bucket):
                wanted[atom.key] = atom
    materialise(reading, wanted)


def materialise(reading: Reading, atoms: Mapping[str, ir.Atom]) -> None:
    """Make the sets of these own atoms. Raises Unreadable; EngineFailure passes through."""
    missing = tuple(atoms[key] for key in sorted(atoms) if key not in reading.people)
    if not missing:
        return
    must_be_declared(reading, {name for atom in missing for name in sources_of(atom)})
    found, diagnostics = reading.context.engine.materialise(missing, reading.now)
    absent = [atom.key for atom in missing if atom.key not in found.people]
    if has_errors(diagnostics) or absent:
        names = sorted({one for atom in missing for one in sources_of(atom)})
        told = error("AUD0817", None, flow=reading.flow, source=", ".join(names), account=None)
        raise Unreadable(*[one for one in diagnostics if one.severity == "error"], told)
    reading.people |= found.people


def must_be_declared(reading: Reading, names: Iterable[str]) -> None:
    """A version that was approved may speak of a list or table that the specs have no more. Raises Unreadable."""
    project = reading.context.project
    known = {one.name for one in project.uploads} | {one.name for one in project.tables}
    known |= {read_from(ir.Followers(one.name)) for one in project.accounts}
    gone = sorted({*names} - known)
    if gone:
        raise Unreadable(error("AUD0817", None, flow=reading.flow, source=", ".join(gone), account=None))


def check_exclusions(reading: Reading, excluded: ir.Expression) -> None:
    """A list that takes people away and is empty, or has lost some of them, is most likely a broken export; in an apply
    a person can accept that it lost them. Raises Unreadable."""
    own = [atom for atom in ir.atoms_of(excluded) if atom.world == "own" and not _since_start(atom)]
    found, diagnostics = reading.context.engine.materialise(own, reading.now)
    empty = empty_exclusions(reading.context.project, ir.lnot(excluded), found.sources)
    if empty or has_errors(diagnostics):
        raise Unreadable(*empty, *[one for one in diagnostics if one.severity == "error"])
    lists = [atom for atom in own if isinstance(atom, ir.Uploaded)]
    shrunk = [one for atom in lists if (one := _shrunk(reading.context, atom, found.people[atom.key])) is not None]
    if shrunk:
        raise Unreadable(*shrunk)


def _shrunk(context: Context, atom: ir.Uploaded, people: People) -> Diagnostic | None:
    """Whether a list lost people since a run looked at it; else it is remembered as it is now."""
    engine, kept = context.engine, f"flows.{atom.source}"
    before = engine.load(kept)
    if before is None:
        engine.save(kept, people)
        return None
    came, left = (engine.count(one) for one in engine.delta(before, people))
    if left and atom.source not in context.options.accept_shrunk:
        count, now = engine.count(before), engine.count(people)
        return error("AUD0703", None, name=atom.source, before=count, after=now, left=left)
    if came or left:
        engine.save(kept, people)
    return None


def _read_friends(reading: Reading, atom: ir.Friends) -> None:
    account = next((one for one in reading.context.project.accounts if one.name == atom.account), None)
    if atom.account in reading.friends:
        return
    if account is None or not account.followers_readable or atom.account not in reading.context.clients:
        raise Unreadable(error("AUD0817", None, flow=reading.flow, source=None, account=_account_of(atom)))
    outcome = reading.context.client(atom.account).follower_ids(FOLLOWERS_MAX)
    if not isinstance(outcome, Found):
        raise Unreadable(error("AUD0817", None, flow=reading.flow, source=None, account=atom.account))
    reading.friends[atom.account] = outcome.value


def _account_of(atom: ir.Atom) -> str | None:
    return atom.account if isinstance(atom, ir.Friends) else None


def _is_own(atom: ir.Atom, table: str) -> bool:
    return bool(table) and isinstance(atom, ir.Rows) and atom.table == table


def _since_start(atom: ir.Atom) -> bool:
    return any(isinstance(one, ir.Rows) and ir.SinceStart() in one.rows for one in deep_atoms(ir.leaf(atom)))


def started(expression: ir.Expression, moment: datetime) -> ir.Expression:
    """The expression for somebody who entered at this instant; no recursion."""
    made: dict[str, ir.Expression] = {}
    for node in nodes_inside(expression):
        match node:
            case ir.Leaf(ir.Rows() as atom):
                rows = tuple(ir.Since(moment) if isinstance(one, ir.SinceStart) else one for one in atom.rows)
                made[node.key] = ir.leaf(replace(atom, rows=rows))
            case ir.Leaf(ir.Mapped() as atom):
                made[node.key] = ir.leaf(replace(atom, inner=made[atom.inner.key]))
            case ir.Not(operand):
                made[node.key] = ir.lnot(made[operand.key])
            case ir.And(operands):
                made[node.key] = ir.land(*(made[one.key] for one in operands))
            case ir.Or(operands):
                made[node.key] = ir.lor(*(made[one.key] for one in operands))
            case _:
                made[node.key] = node
    return made[expression.key]


# --- asking -------------------------------------------------------------------------------------------


def holds(reading: Reading, expression: ir.Expression, crowd: Crowd) -> Mask:
    """Who of them is in the set. Raises Unreadable."""
    count = len(crowd)
    return ir.fold(
        expression,
        lambda node: _atom(reading, node.atom, crowd),
        lambda value: np.full(count, value, np.bool_),
        lambda mask: ~mask,
        np.logical_and.reduce,
        np.logical_or.reduce,
    )


def _atom(reading: Reading, atom: ir.Atom, crowd: Crowd) -> Mask:
    if crowd.own is not None and _is_own(atom, crowd.own.table):
        assert isinstance(atom, ir.Rows)
        return _of_own_rows(reading, atom, crowd, crowd.own)
    if isinstance(atom, ir.Friends):
        _read_friends(reading, atom)
        return those_of(crowd.among, reading.friends[atom.account])
    if isinstance(atom, ir.Bucket):
        return in_bucket(crowd.among, atom.salt, atom.low, atom.high)
    if atom.world != "own":
        raise Unreadable(error("AUD0817", None, flow=reading.flow, source=None, account=_account_of(atom)))
    if _since_start(atom):
        return _since(reading, atom, crowd)
    materialise(reading, {atom.key: atom})
    return inside(reading.context.engine, crowd.among, reading.people[atom.key])


def _of_own_rows(reading: Reading, atom: ir.Rows, crowd: Crowd, own: OwnRows) -> Mask:
    """Whether the row that each of them entered with satisfies the conditions."""
    found = np.zeros(len(crowd), np.bool_)
    for at, rows in enumerate(own.rows):
        found[at] = _met(reading, atom, rows, own.columns, crowd.entered[at])
    return found


def _met(
    reading: Reading, atom: ir.Rows, rows: Sequence[TableRow], columns: Sequence[RowColumn], entered: datetime
) -> bool:
    if ir.SinceStart() in atom.rows:
        atom = replace(atom, rows=tuple(one for one in atom.rows if not isinstance(one, ir.SinceStart)))
        rows = [one for one in rows if one.time is not None and one.time >= entered]
    return is_met(leaf_of(atom, reading.now, reading.zone), rows, columns, reading.zone)


def _since(reading: Reading, atom: ir.Atom, crowd: Crowd) -> Mask:
    """Sets that begin when each of them entered: one for each instant, or the rows of each person."""
    instants = sorted(set(crowd.entered))
    if isinstance(atom, ir.Rows) and len(instants) > COHORTS_MAX:
        return _since_by_rows(reading, atom, crowd)
    found = np.zeros(len(crowd), np.bool_)
    places: dict[datetime, list[int]] = {}
    for at, instant in enumerate(crowd.entered):
        places.setdefault(instant, []).append(at)
    for begin in range(0, len(instants), _OWN_PIECE):
        some = {one: started(ir.leaf(atom), one) for one in instants[begin : begin + _OWN_PIECE]}
        materialise(reading, {part.key: part for expression in some.values() for part in ir.atoms_of(expression)})
        for instant, expression in some.items():
            rows = places[instant]
            part = Among([crowd.among.user_ids[row] for row in rows])
            found[rows] = inside(reading.context.engine, part, reading.people[expression.key])
    return found


def _since_by_rows(reading: Reading, atom: ir.Rows, crowd: Crowd) -> Mask:
    """Whether each of them is in the set by their own rows since they entered."""
    plain = replace(atom, rows=tuple(one for one in atom.rows if not isinstance(one, ir.SinceStart)))
    columns = columns_of([leaf_of(plain, reading.now, reading.zone)])
    table, diagnostics = reading.context.engine.rows(atom.table, columns, reading.now)
    if table is None:
        told = error("AUD0817", None, flow=reading.flow, source=atom.table, account=None)
        raise Unreadable(*[one for one in diagnostics if one.severity == "error"], told)
    rows: dict[str, list[TableRow]] = {}
    try:
        asked = table.of(sorted(set(crowd.among.user_ids)))
        for row in (row for rows_of_one in asked for row in rows_of_one):
            rows.setdefault(row.person, []).append(row)
    finally:
        table.close()
    entered = zip(crowd.among.user_ids, crowd.entered, strict=True)
    return np.array([_met(reading, atom, rows.get(one, ()), columns, at) for one, at in entered], np.bool_)
