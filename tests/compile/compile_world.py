"""A small world of people, and a naive reading of what was compiled: no code of the compiler is used.

A person is a set of atom keys. An attribute family that LINE does not know of a person is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from audsql.compile.program import (
    AgeBetween,
    AllFilters,
    AllOf,
    AnyFilter,
    AnyOf,
    AreaIn,
    AudienceLeaf,
    CompiledDelivery,
    Filter,
    FriendForBetween,
    GenderIn,
    Narrowcast,
    NoneOf,
    NotFilter,
    OsIn,
    Program,
    Recipient,
    RedeliveryLeaf,
    Send,
)
from audsql.meaning import ir

AGES = (0, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70)


@dataclass(frozen=True)
class Person:
    """`attributes`: family to value, None unknown. `own` and `line`: keys of atoms, and `redelivery(d; part)`
    for a part that the person got."""

    own: frozenset[str]
    line: frozenset[str]
    attributes: Mapping[str, str | None]

    def truths(self) -> frozenset[str]:
        known = {f"{family}({value})" for family, value in self.attributes.items() if value is not None}
        return self.own | self.line | known


def people(expression: ir.Expression) -> list[Person]:
    """One person of every kind that the atoms can tell apart."""
    atoms = ir.atoms_of(expression)
    own = [atom.key for atom in atoms if atom.world == "own"]
    line = [atom.key for atom in atoms if atom.world == "line" and not isinstance(atom, ir.Friends)]
    friends = frozenset(atom.key for atom in atoms if isinstance(atom, ir.Friends))
    families: dict[str, list[str | None]] = {}
    for atom in atoms:
        if isinstance(atom, ir.Attribute):
            families.setdefault(atom.family, [None, "other_99"]).append(atom.value)
    return [
        Person(frozenset(inside), frozenset(touched) | friends, dict(zip(families, values, strict=True)))
        for inside in subsets(own)
        for touched in subsets(line)
        for values in product(*families.values())
    ]


def subsets(keys: Iterable[str]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for key in keys:
        found += [(*chosen, key) for chosen in found]
    return found


def wanted(expression: ir.Expression, person: Person, *, not_includes_unknown: bool) -> bool:
    """Whether the person is in the set; NOT of an unknown attribute by the reading given."""
    return _wanted(expression, person, person.truths(), negated=False, reading=not_includes_unknown)


def _wanted(node: ir.Expression, person: Person, truths: frozenset[str], *, negated: bool, reading: bool) -> bool:
    match node:
        case ir.Constant(value):
            return value != negated
        case ir.Leaf(atom):
            if isinstance(atom, ir.Attribute) and person.attributes[atom.family] is None:
                return negated and reading
            return (atom.key in truths) != negated
        case ir.Not(operand):
            return _wanted(operand, person, truths, negated=not negated, reading=reading)
        case ir.And(operands) | ir.Or(operands):
            parts = [_wanted(part, person, truths, negated=negated, reading=reading) for part in operands]
            return all(parts) if isinstance(node, ir.And) != negated else any(parts)
    raise AssertionError(node)


def reached(send: Send, person: Person, program: Program, *, not_includes_unknown: bool) -> bool:
    assert isinstance(send, Narrowcast)
    inside = send.recipient is None or in_recipient(send.recipient, person, program)
    return inside and (send.filter is None or in_filter(send.filter, person, not_includes_unknown))


def gets(done: CompiledDelivery, person: Person, program: Program, *, not_includes_unknown: bool) -> list[Narrowcast]:
    """The sends that the person gets, made one after the other while nothing else changes: who got one is among the
    receivers of that part when a later one leaves them out."""
    found: list[Narrowcast] = []
    for send in done.sends:
        if reached(send, person, program, not_includes_unknown=not_includes_unknown):
            assert isinstance(send, Narrowcast)
            found.append(send)
            got = f"redelivery({done.name}; {send.part})"
            person = Person(person.own, person.line | {got}, person.attributes)
    return found


def in_recipient(tree: Recipient, person: Person, program: Program) -> bool:
    match tree:
        case AudienceLeaf(key):
            return _in_audience(key, person, program)
        case RedeliveryLeaf(delivery, part):
            return f"redelivery({delivery}; {part})" in person.line or (
                part == 0 and f"received({delivery})" in person.line
            )
        case AllOf(operands):
            return all(in_recipient(part, person, program) for part in operands)
        case AnyOf(operands):
            return any(in_recipient(part, person, program) for part in operands)
        case NoneOf(operand):
            return not in_recipient(operand, person, program)
    raise AssertionError(tree)


def _in_audience(key: str, person: Person, program: Program) -> bool:
    for upload in program.uploads:
        if upload.key == key:
            return ir.evaluate(upload.expression, person.own)
    audience = program.audience(key)
    match audience.kind:
        case "CLICK":
            return f"clicked({audience.delivery}; {audience.url or ''})" in person.line
        case "IMP":
            return f"opened({audience.delivery})" in person.line
        case kind:
            return f"remote({audience.account}; {kind}; {audience.name})" in person.line


def in_filter(tree: Filter, person: Person, reading: bool) -> bool:
    """Negation stands on single objects only, so one reading of an unknown value decides it."""
    match tree:
        case AllFilters(operands):
            return all(in_filter(part, person, reading) for part in operands)
        case AnyFilter(operands):
            return any(in_filter(part, person, reading) for part in operands)
        case NotFilter(operand):
            value = person.attributes[_family(operand)]
            return reading if value is None else not _matches(operand, value)
    value = person.attributes[_family(tree)]
    return value is not None and _matches(tree, value)


def _family(tree: Filter) -> str:
    names = {GenderIn: "gender", OsIn: "os", AreaIn: "area", AgeBetween: "age", FriendForBetween: "friend_for"}
    return names[type(tree)]


def _matches(tree: Filter, value: str) -> bool:
    match tree:
        case GenderIn(values) | OsIn(values) | AreaIn(values):
            return value in values
        case AgeBetween(gte, lt) | FriendForBetween(gte, lt):
            if value.startswith("other"):
                return False
            at = int(value.split("_")[1])
            return (gte is None or at >= int(gte.split("_")[1])) and (lt is None or at < int(lt.split("_")[1]))
    raise AssertionError(tree)


def kinds_of_own(program: Program, expression: ir.Expression) -> Iterator[frozenset[str]]:
    """One person for each choice of uploads to be in."""
    seen: set[tuple[bool, ...]] = set()
    for chosen in subsets([atom.key for atom in ir.atoms_of(expression) if atom.world == "own"]):
        own = frozenset(chosen)
        told = tuple(ir.evaluate(upload.expression, own) for upload in program.uploads)
        if told not in seen:
            seen.add(told)
            yield own


def most_sends(done: CompiledDelivery, program: Program, expression: ir.Expression, own: frozenset[str]) -> int:
    """The most sends that one person can get while LINE changes in between: clicks and opens come, tags come and go,
    attributes are guessed anew; data are frozen."""
    moments = [person for person in people(expression) if not person.own]
    attributes = [
        dict(one)
        for one in {tuple(sorted(person.attributes.items(), key=str)): person.attributes for person in moments}.values()
    ]
    lines = sorted({person.line for person in moments}, key=sorted)
    growing = ("clicked(", "opened(")
    now: set[tuple[frozenset[str], frozenset[str]]] = {(frozenset(), frozenset())}
    for send in done.sends:
        assert isinstance(send, Narrowcast)
        passes = send.filter is None or any(
            in_filter(send.filter, Person(own, frozenset(), one), reading)
            for one, reading in product(attributes, (True, False))
        )
        later: set[tuple[frozenset[str], frozenset[str]]] = set()
        for (grown, got), line in product(now, lines):
            if not grown <= line:
                continue
            kept = frozenset(key for key in line if key.startswith(growing))
            later.add((kept, got))
            person = Person(own, line | got, {})
            if passes and (send.recipient is None or in_recipient(send.recipient, person, program)):
                later.add((kept, got | {f"redelivery(sale; {send.part})"}))
        now = later
    return max(len(got) for _, got in now)
