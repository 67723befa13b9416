"""Whether sets have anybody, by trying every possible person: the way out where decision diagrams outgrow their limit.

The last variables stand in truth tables, the others are tried one assignment after the other, those that
facts rule out never. The work is known before it starts, so a question is either answered or refused at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import and_, or_

from audsql.meaning import ir
from audsql.meaning.facts import Facts
from audsql.meaning.spaces import NODES_MAX, Tables, Undecided
from audsql.records import dataclass

__all__ = ["ATOMS_MAX", "WORK_MAX", "search"]

ATOMS_MAX = 30
TABLE_VARIABLES = 18
WORK_MAX = 8_000_000
"""Parts of all expressions times assignments tried: operations on tables of 2^18 bits, about two microseconds each."""


@dataclass(frozen=True, slots=True)
class _Question:
    """`nodes` each after its children, as (kind, positions of the children); `targets` are positions."""

    nodes: tuple[tuple[ir.Expression, tuple[int, ...]], ...]
    targets: tuple[int, ...]


def search(targets: Sequence[ir.Expression], facts: Facts) -> tuple[frozenset[str] | None, ...]:
    """For each set the atoms (keys) of a possible person in it; None where it is always empty.

    Raises Undecided beyond `ATOMS_MAX` atoms, or where there is more than `WORK_MAX` to do.
    """
    question = _question(targets)
    order = _busiest_first(question)
    work = sum(1 + len(parts) for _, parts in question.nodes) << max(0, len(order) - TABLE_VARIABLES)
    if len(order) > ATOMS_MAX or work > WORK_MAX:
        raise Undecided(len(order), NODES_MAX)
    tried, tabled = order[: max(0, len(order) - TABLE_VARIABLES)], order[max(0, len(order) - TABLE_VARIABLES) :]
    tables = Tables(len(tabled))
    columns = {key: tables.variable(index) for index, key in enumerate(tabled)}
    found: dict[int, frozenset[str]] = {}
    for chosen in _assignments(tried, facts):
        allowed = _allowed(tables, columns, tried, chosen, facts)
        values = _values(question, tables, columns, chosen)
        for index, target in enumerate(question.targets):
            model = tables.model(values[target] & allowed) if index not in found else None
            if model is not None:
                found[index] = chosen | {tabled[position] for position in model}
        if len(found) == len(targets):
            break
    return tuple(found.get(index) for index in range(len(targets)))


def _busiest_first(question: _Question) -> list[str]:
    """The atoms that stand in the most places first: fixed, they make the most parts constant."""
    uses: dict[int, int] = {}
    for _, parts in question.nodes:
        for part in parts:
            uses[part] = uses.get(part, 0) + 1
    leaves = [(position, node.key) for position, (node, _) in enumerate(question.nodes) if isinstance(node, ir.Leaf)]
    return [key for position, key in sorted(leaves, key=lambda leaf: (-_places(question, leaf[0], uses), leaf[1]))]


def _places(question: _Question, position: int, uses: Mapping[int, int]) -> int:
    """How often the atom or its complement is a part of something."""
    complement = next((index for index, (node, parts) in enumerate(question.nodes) if parts == (position,)), None)
    return uses.get(position, 0) + (uses.get(complement, 0) if complement is not None else 0)


def _question(targets: Sequence[ir.Expression]) -> _Question:
    positions: dict[str, int] = {}
    nodes: list[tuple[ir.Expression, tuple[int, ...]]] = []
    for target in targets:
        for node in ir.nodes_of(target):
            if node.key not in positions:
                positions[node.key] = len(nodes)
                nodes.append((node, tuple(positions[child.key] for child in ir.children(node))))
    return _Question(tuple(nodes), tuple(positions[target.key] for target in targets))


def _assignments(keys: Sequence[str], facts: Facts) -> Iterator[frozenset[str]]:
    """Every set of these atoms that one person can be in, as far as they alone tell."""
    inside = set(keys)
    implied = [pair for pair in facts.implications if inside.issuperset(pair)]
    excluded = [pair for pair in facts.exclusions if inside.issuperset(pair)]
    for row in range(1 << len(keys)):
        chosen = frozenset(key for index, key in enumerate(keys) if row >> index & 1)
        if any(left in chosen and right not in chosen for left, right in implied):
            continue
        if not any(left in chosen and right in chosen for left, right in excluded):
            yield chosen


def _allowed(
    tables: Tables, columns: Mapping[str, int], tried: Sequence[str], chosen: frozenset[str], facts: Facts
) -> int:
    """The rows of the table that facts allow beside the assignment."""
    fixed = dict.fromkeys(tried, tables.false) | dict.fromkeys(chosen, tables.true)
    total = tables.true
    for left, right in facts.implications:
        if left in columns or right in columns:
            total &= tables.negation(columns.get(left, fixed.get(left, 0))) | columns.get(right, fixed.get(right, 0))
    for left, right in facts.exclusions:
        if left in columns or right in columns:
            total &= tables.negation(columns.get(left, fixed.get(left, 0)) & columns.get(right, fixed.get(right, 0)))
    return total


def _values(question: _Question, tables: Tables, columns: Mapping[str, int], chosen: frozenset[str]) -> list[int]:
    values: list[int] = []
    for node, parts in question.nodes:
        match node:
            case ir.Constant(value):
                values.append(tables.true if value else tables.false)
            case ir.Leaf():
                column = columns.get(node.key)
                values.append(column if column is not None else tables.true if node.key in chosen else tables.false)
            case ir.Not():
                values.append(_complement(values[parts[0]], tables))
            case ir.And():
                values.append(_both([values[part] for part in parts], tables))
            case ir.Or():
                values.append(_either([values[part] for part in parts], tables))
    return values


def _both(values: Sequence[int], tables: Tables) -> int:
    """The conjunction. Constants are told by identity: nothing is read where one decides."""
    if any(value is tables.false for value in values):
        return tables.false
    varying = [value for value in values if value is not tables.true]
    return (reduce(and_, varying) or tables.false) if varying else tables.true


def _either(values: Sequence[int], tables: Tables) -> int:
    if any(value is tables.true for value in values):
        return tables.true
    return reduce(or_, [value for value in values if value is not tables.false], tables.false)


def _complement(value: int, tables: Tables) -> int:
    if value is tables.true:
        return tables.false
    return tables.true if value is tables.false else tables.negation(value)
