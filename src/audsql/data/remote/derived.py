"""Sets that no file holds, made by an engine that is elsewhere: mapped sets and buckets (specs/data.md, derived.*)."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from audsql.data.buckets import BUCKETS
from audsql.data.derived import bucket_kinds, link_of
from audsql.data.engine import LinkageLoss, LinkKey
from audsql.data.remote.backend import Piece
from audsql.data.remote.emitter import Statement, difference
from audsql.data.remote.session import RemoteSession
from audsql.data.remote.sets import NOBODY, Hashed, People, RemoteSet, evaluate, whole_union
from audsql.meaning.ir import Atom, Bucket, IdKind, Mapped, atoms_of
from audsql.meaning.lineage import with_parts
from audsql.records import dataclass

__all__ = ["BucketTables", "Derived", "derive"]

BucketTables = dict[tuple[IdKind, str], list[str]]
"""Tables of ids with their buckets (`person`, `bucket`), by kind and salt. No id stands in two of one list."""

_PIECE = 1 << 13


@dataclass(frozen=True, slots=True)
class Derived:
    """`people` of derived atoms by key, and what each mapping lost."""

    people: Mapping[str, People] = field(default_factory=dict)
    losses: Mapping[str, LinkageLoss] = field(default_factory=dict)


def derive(
    session: RemoteSession,
    buckets: BucketTables,
    atoms: Sequence[Atom],
    base: Mapping[str, People],
    links: Mapping[LinkKey, str],
    beside: Mapping[str, RemoteSet],
) -> Derived:
    """The derived ones among these atoms and their parts, as `audsql.data.derived.derive` makes them.

    `links`: tables of pairs. Buckets are worked out here from the ids, never by the engine: hashes differ.
    """
    order = with_parts(atoms)
    read = {atom.key: base[atom.key] for atom in order if not isinstance(atom, Bucket | Mapped) and atom.key in base}
    people: dict[str, People] = dict(read)
    kinds_read = {key: one.kind for key, one in read.items() if isinstance(one, RemoteSet)}
    for bucket, kinds in bucket_kinds(order, atoms, kinds_read):
        known = {kind: _known(session, kind, order, read, links) for kind in kinds}
        people[bucket.key] = Hashed({kind: _bucket(session, buckets, bucket, one) for kind, one in known.items()})
    losses: dict[str, LinkageLoss] = {}
    for atom in order:
        if not isinstance(atom, Mapped):
            continue
        table = links.get(link_of(atom))
        if table is not None and all(part.key in people for part in atoms_of(atom.inner)):
            inside = evaluate(atom.inner, people, session.keep, atom.kind)
            result, losses[atom.key] = _mapped(session, link_of(atom), table, inside)
            whole = whole_union([result, beside.get(atom.key, NOBODY)], session.keep)
            people[atom.key] = (
                whole if whole.statement is None else RemoteSet(whole.kind, session.keep(whole.statement))
            )
    return Derived({key: one for key, one in people.items() if key not in read}, losses)


def _mapped(session: RemoteSession, key: LinkKey, table: str, inside: RemoteSet) -> tuple[RemoteSet, LinkageLoss]:
    """Whoever any of these people is linked to, and what was lost on the way."""
    name, kind, to = key
    if inside.statement is None:
        return RemoteSet(to, None), LinkageLoss(name, kind, to, 0, 0, 0)
    among = f"given IN ({inside.statement.sql})"
    linked = f"SELECT DISTINCT found AS person FROM {table} WHERE {among}"
    result = RemoteSet(to, session.keep(Statement(linked, inside.statement.values)))
    given = session.count(inside)
    counting = f"SELECT count(DISTINCT given) AS n FROM {table} WHERE {among}"
    matched = session.number(counting, inside.statement.values)
    return result, LinkageLoss(name, kind, to, given, given - matched, session.count(result))


def _union(session: RemoteSession, sets: Sequence[RemoteSet]) -> RemoteSet:
    """Everybody of these sets under a name of their own."""
    whole = whole_union(sets, session.keep)
    return whole if whole.statement is None else RemoteSet(whole.kind, session.keep(whole.statement))


# --- buckets --------------------------------------------------------------------------------------


def _known(
    session: RemoteSession,
    kind: IdKind,
    order: Sequence[Atom],
    read: Mapping[str, People],
    links: Mapping[LinkKey, str],
) -> RemoteSet:
    """Every id of a kind that the data name."""
    sets = [one for one in read.values() if isinstance(one, RemoteSet) and one.kind == kind]
    for key in sorted({link_of(atom) for atom in order if isinstance(atom, Mapped)}):
        if key in links and key[2] == kind:
            found = Statement(f"SELECT DISTINCT found AS person FROM {links[key]}")
            sets.append(RemoteSet(kind, session.keep(found)))
    return whole_union([RemoteSet(kind, None), *sets], session.keep)


def _bucket(session: RemoteSession, buckets: BucketTables, atom: Bucket, known: RemoteSet) -> RemoteSet:
    """Those of the known ids that fall into a range."""
    assert known.kind is not None
    tables = buckets.setdefault((known.kind, atom.salt), [])
    _fill(session, tables, atom.salt, known)
    limits = (atom.low, atom.high)
    parts = [
        RemoteSet(known.kind, Statement(f"SELECT person FROM {table} WHERE bucket >= ? AND bucket < ?", limits))
        for table in tables
    ]
    return _union(session, [RemoteSet(known.kind, None), *parts])


def _fill(session: RemoteSession, tables: list[str], salt: str, known: RemoteSet) -> None:
    """A table more where ids have no bucket yet."""
    if known.statement is None:
        return
    missing = known
    have = [RemoteSet(known.kind, Statement(f"SELECT person FROM {table}")) for table in tables]
    there = whole_union(have, session.keep)
    if there.statement is not None:
        missing = RemoteSet(known.kind, session.keep(difference(known.statement, there.statement)))
        if not session.count(missing):
            return
    name = session.new_name()
    session.backend.load(name, (("person", "text"), ("bucket", "bucket")), _hashed(session.ids(missing), salt))
    tables.append(name)


def _hashed(ids: Iterator[str], salt: str) -> Iterator[Piece]:
    """The first 32 bits, big-endian, of SHA-256 of UTF-8 `salt:id`, modulo 10,000."""
    prefix, digest = f"{salt}:".encode("utf-8", "surrogatepass"), hashlib.sha256
    while piece := list(itertools.islice(ids, _PIECE)):
        hashes = ((one, digest(prefix + one.encode("utf-8")).digest()) for one in piece)
        yield [(one, int.from_bytes(found[:4], "big") % BUCKETS) for one, found in hashes]
