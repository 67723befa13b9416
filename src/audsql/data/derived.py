"""Atoms that no file holds as they are: sets mapped through a linkage, and buckets (specs/data.md, derived.*)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audsql.data.buckets import Buckets, between
from audsql.data.engine import LinkageLoss, LinkKey
from audsql.data.linkage import Links, mapped
from audsql.data.people import NOBODY, Hashed, People, PeopleSet, bits_of, evaluate, numbers_of, with_bits
from audsql.meaning.ir import Atom, Bucket, IdKind, Mapped, atoms_of
from audsql.meaning.lineage import with_parts
from audsql.records import dataclass

__all__ = ["BucketsOf", "Derived", "bucket_kinds", "derive", "link_of"]

BucketsOf = Callable[[IdKind, str, NDArray[np.uint32]], Buckets]
"""The buckets of a kind under a salt, those of these numbers filled in."""


@dataclass(frozen=True, slots=True)
class Derived:
    """`people` of derived atoms by key, and what each mapping lost."""

    people: Mapping[str, People]
    losses: Mapping[str, LinkageLoss]


def link_of(atom: Mapped) -> LinkKey:
    return atom.table, atom.kind, atom.to


def derive(
    atoms: Sequence[Atom],
    base: Mapping[str, People],
    links: Mapping[LinkKey, Links],
    buckets_of: BucketsOf,
    beside: Mapping[str, PeopleSet],
) -> Derived:
    """The derived ones among these atoms and their parts, over sets that were read (`base`, by atom key).

    `beside`: who is in a mapped set in any case, by atom key. A mapped set whose parts or linkage are not given is
    left out. A bucket holds the ids that these sets and linkages know; for anybody else it is false.
    """
    order = with_parts(atoms)
    read = {atom.key: base[atom.key] for atom in order if not isinstance(atom, Bucket | Mapped) and atom.key in base}
    known = _known(order, read, links)
    people: dict[str, People] = dict(read)
    kinds_read = {key: one.kind for key, one in read.items() if isinstance(one, PeopleSet)}
    for bucket, kinds in bucket_kinds(order, atoms, kinds_read):
        people[bucket.key] = Hashed({kind: _bucket(bucket, kind, known, buckets_of) for kind in kinds})
    losses: dict[str, LinkageLoss] = {}
    for atom in order:
        if not isinstance(atom, Mapped):
            continue
        pairs = links.get(link_of(atom))
        if pairs is not None and all(part.key in people for part in atoms_of(atom.inner)):
            inside = evaluate(atom.inner, people, atom.kind)
            result, losses[atom.key] = mapped(link_of(atom), pairs, inside)
            others = beside.get(atom.key, NOBODY)
            people[atom.key] = with_bits(result, others, result.bits | others.bits)
    return Derived({key: one for key, one in people.items() if key not in read}, losses)


def _known(
    order: Sequence[Atom], read: Mapping[str, People], links: Mapping[LinkKey, Links]
) -> Mapping[IdKind, BitMap]:
    """Every id that the data name, by kind."""
    found: dict[IdKind, BitMap] = {}
    for one in read.values():
        if isinstance(one, PeopleSet) and one.kind is not None:
            found[one.kind] = found.get(one.kind, BitMap()) | one.bits
    for key in sorted({link_of(atom) for atom in order if isinstance(atom, Mapped)}):
        if key in links:
            # What goes in was read; what comes out may be new.
            found[key[2]] = found.get(key[2], BitMap()) | bits_of(links[key].found)
    return found


def bucket_kinds(
    order: Sequence[Atom], atoms: Sequence[Atom], read: Mapping[str, IdKind | None]
) -> Iterator[tuple[Bucket, tuple[IdKind, ...]]]:
    """Each bucket with the kinds of id that it stands beside; `read`: the kind of each set that was read, by key."""
    beside: dict[str, set[IdKind]] = {atom.key: set() for atom in order if isinstance(atom, Bucket)}
    if not beside:
        return
    outside = {kind for kind in (read.get(atom.key) for atom in atoms) if kind is not None}
    outside |= {atom.to for atom in atoms if isinstance(atom, Mapped)}
    for atom in atoms:
        if isinstance(atom, Bucket):
            beside[atom.key] |= outside
    for atom in order:
        if isinstance(atom, Mapped):
            for part in atoms_of(atom.inner):
                if isinstance(part, Bucket):
                    beside[part.key].add(atom.kind)
    yield from ((atom, tuple(sorted(beside[atom.key]))) for atom in order if isinstance(atom, Bucket))


def _bucket(atom: Bucket, kind: IdKind, known: Mapping[IdKind, BitMap], buckets_of: BucketsOf) -> BitMap:
    numbers = numbers_of(PeopleSet(kind, known.get(kind, BitMap())))
    return bits_of(between(buckets_of(kind, atom.salt, numbers), numbers, atom.low, atom.high))
