"""Facts about more than two atoms: `purchased(A, B)` is `purchased(A) OR purchased(B)`, and everybody's bucket
falls into exactly one place, so that all arms of a split together are the split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from audsql.meaning import ir

__all__ = ["spelled_out"]

_ATOMS_MAX = 64
_RANGES_MAX = 32
_BUCKETS = 100 * 100


def spelled_out(atoms: Sequence[ir.Atom]) -> ir.Expression:
    """What is always true of the atoms; everybody where there is nothing to tell.

    Each row condition `in (…)` holds exactly if `=` does for one of its values, all else the same. This is told only
    of lists that share a table and a value with another atom, and not of conditions on people, which speak of all
    rows together. A bucket is one number.
    """
    asked = [atom for atom in atoms if isinstance(atom, ir.Rows)]
    equations = [
        (atom, parts)
        for atom in asked
        for index, condition in enumerate(atom.rows)
        if isinstance(condition, ir.ColumnIn) and not atom.people and _is_shared(atom, condition, asked)
        for parts in [tuple(_values(atom, index, condition))]
    ]
    if len(atoms) + sum(len(parts) for _, parts in equations) > _ATOMS_MAX:
        equations = []
    return ir.land(*(_same(ir.leaf(atom), ir.lor(*parts)) for atom, parts in equations), *_buckets(atoms))


def _buckets(atoms: Sequence[ir.Atom]) -> Iterator[ir.Expression]:
    """For each salt, in which of its ranges a bucket can be together."""
    by_salt: dict[str, dict[str, ir.Bucket]] = {}
    for atom in atoms:
        if isinstance(atom, ir.Bucket):
            by_salt.setdefault(atom.salt, {})[atom.key] = atom
    for salt in sorted(by_salt):
        ranges = [by_salt[salt][key] for key in sorted(by_salt[salt])]
        if len(ranges) <= _RANGES_MAX:
            places = sorted({0} | {edge for one in ranges for edge in (one.low, one.high) if edge < _BUCKETS})
            yield ir.lor(*(ir.land(*(_holds(one, place) for one in ranges)) for place in places))


def _holds(one: ir.Bucket, place: int) -> ir.Expression:
    return ir.leaf(one) if one.low <= place < one.high else ir.lnot(ir.leaf(one))


def _is_shared(atom: ir.Rows, condition: ir.ColumnIn, others: Sequence[ir.Rows]) -> bool:
    return any(
        other != atom and other.table == atom.table and _speaks_of(other, condition.column, condition.values)
        for other in others
    )


def _speaks_of(atom: ir.Rows, column: str, values: tuple[ir.Scalar, ...]) -> bool:
    """Whether one of its row conditions asks for one of these values."""
    for condition in atom.rows:
        match condition:
            case ir.ColumnCompare(other, "=", value) if other == column and value in values:
                return True
            case ir.ColumnIn(other, listed) if other == column and set(listed) & set(values):
                return True
            case _:
                continue
    return False


def _values(atom: ir.Rows, index: int, condition: ir.ColumnIn) -> Iterator[ir.Expression]:
    rest = (*atom.rows[:index], *atom.rows[index + 1 :])
    for value in condition.values:
        yield ir.leaf(replace(atom, rows=(*rest, ir.ColumnCompare(condition.column, "=", value))))


def _same(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    return ir.lor(ir.land(left, right), ir.land(ir.lnot(left), ir.lnot(right)))
