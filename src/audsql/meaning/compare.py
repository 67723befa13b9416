"""Two states of a project compared by meaning: what became narrower, wider, another set, or only got another name.

Normative: specs/language/09-algebra.md, `algebra.compare`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from audsql.meaning import ir
from audsql.meaning.algebra import Undecided
from audsql.meaning.declared import KINDS, Thing, mentions, named, things_of
from audsql.meaning.minimal import minimal
from audsql.meaning.relation import relation
from audsql.meaning.renames import pairs_of, retold
from audsql.records import dataclass

__all__ = ["Change", "Classification", "Comparison", "compare", "compare_sets"]

Classification = Literal[
    "equal", "renamed", "narrower", "wider", "overlapping", "disjoint", "undecided", "metadata-only", "added", "removed"
]
Things = Mapping[str, Mapping[str, Thing]]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one thing.

    `kind`: the statement's word, `arm` for an arm of a split (`split.arm`), `policy` for one rule of a policy.
    `before` and `after` are its sets in the names of the later project, None where there is none. `added` and
    `removed` are the people who come and go as minimal formulas, None where nobody can; `entering`, `leaving` and
    `staying` the atoms (keys) of one possible person each. `fields`: what else changed. `text_changed`: its own
    definition reads differently. `because`: addresses of changed things that it follows from.
    """

    kind: str
    name: str
    classification: Classification
    before: ir.Expression | None = None
    after: ir.Expression | None = None
    added: ir.Expression | None = None
    removed: ir.Expression | None = None
    entering: frozenset[str] | None = None
    leaving: frozenset[str] | None = None
    staying: frozenset[str] | None = None
    old_name: str | None = None
    text_changed: bool = False
    fields: tuple[str, ...] = ()
    because: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`changes` in the order in which things depend on each other, then by name. `rewritten`: addresses of what
    reads differently and means the same. `unchanged`: how many things are the same in every respect."""

    changes: tuple[Change, ...]
    rewritten: tuple[str, ...] = ()
    unchanged: int = 0


def compare_sets(
    before: Mapping[str, ir.Expression],
    after: Mapping[str, ir.Expression],
    *,
    kind: str = "audience",
    everything: bool = False,
) -> tuple[Change, ...]:
    """What became of named sets, sorted by name; those that stay the same only if `everything` is asked for.

    One set that went and one that came are the same under another name where their meaning is equal.
    """
    if not everything:
        same = {name for name, one in before.items() if name in after and after[name].key == one.key}
        before = {name: one for name, one in before.items() if name not in same}
        after = {name: one for name, one in after.items() if name not in same}
    old = {name: Thing(kind, name, expression) for name, expression in before.items()}
    new = {name: Thing(kind, name, expression) for name, expression in after.items()}
    pairs = pairs_of([old[name] for name in sorted(old.keys() - new)], [new[name] for name in sorted(new.keys() - old)])
    renames = {first.name: second.name for first, second in pairs}
    changes = _changes(old, new, renames, {})
    return tuple(change for change in changes if everything or change.classification != "equal")


def compare(before: ir.Project, after: ir.Project, *, everything: bool = False) -> Comparison:
    """What became of everything that a project declares.

    A source whose declaration changed is a change of its own; its atoms count as the same people on both sides.
    """
    old, new = things_of(before), things_of(after)
    renames, old = _settled(old, new, {(moved.kind, moved.old): moved.new for moved in after.moved})
    found: list[Change] = []
    for kind in KINDS:
        of_kind = {first: second for (other, first), second in renames.items() if other == kind}
        found.extend(_changes(old[kind], new[kind], of_kind, renames))
    causes = _because(found, old, new)
    changes = [replace(change, because=causes.get(change.address, ())) for change in found]
    shown = tuple(change for change in changes if everything or change.classification != "equal")
    same = [change for change in changes if change.classification == "equal"]
    rewritten = tuple(change.address for change in same if change.text_changed)
    return Comparison(shown, rewritten, len(same) - len(rewritten))


# --- names --------------------------------------------------------------------------------------------


def _settled(
    old: Things, new: Things, moved: Mapping[tuple[str, str], str]
) -> tuple[dict[tuple[str, str], str], dict[str, dict[str, Thing]]]:
    """All renames, those that are declared first, and the old things told in the new names. Each round of found
    renames can make sets equal that were not before."""
    renames = {(kind, name): later for (kind, name), later in moved.items() if name in old.get(kind, ())}
    told = _told(old, renames)
    while True:
        found = {
            (first.kind, first.name): second.name
            for kind in KINDS
            for first, second in pairs_of(*_unpaired(kind, told, new, renames))
        }
        if not found:
            return renames, told
        renames |= found
        told = _told(old, renames)


def _unpaired(
    kind: str, old: Things, new: Things, renames: Mapping[tuple[str, str], str]
) -> tuple[list[Thing], list[Thing]]:
    taken = {later for (other, _), later in renames.items() if other == kind}
    gone = [thing for name, thing in old[kind].items() if name not in new[kind] and (kind, name) not in renames]
    come = [thing for name, thing in new[kind].items() if name not in old[kind] and name not in taken]
    return gone, come


def _told(old: Things, renames: Mapping[tuple[str, str], str]) -> dict[str, dict[str, Thing]]:
    """The old things with renamed sources, deliveries, accounts and messages under their new names."""
    if not renames:
        return {kind: dict(things) for kind, things in old.items()}
    return {kind: {name: _one_told(thing, renames) for name, thing in things.items()} for kind, things in old.items()}


def _one_told(thing: Thing, renames: Mapping[tuple[str, str], str]) -> Thing:
    fields = dict(thing.fields)
    messages = fields.get("messages")
    if isinstance(messages, tuple):
        fields["messages"] = tuple(renames.get(("message", name), name) for name in messages)
    account = fields.get("account")
    if isinstance(account, str):
        fields["account"] = renames.get(("account", account), account)
    expression = None if thing.expression is None else retold(thing.expression, renames)
    return replace(thing, expression=expression, fields=fields)


# --- one thing ----------------------------------------------------------------------------------------


def _changes(
    old: Mapping[str, Thing], new: Mapping[str, Thing], pairs: Mapping[str, str], renames: Mapping[tuple[str, str], str]
) -> Iterator[Change]:
    """One change for each thing, by name."""
    former = {later: first for first, later in pairs.items()}
    for name in sorted(old.keys() | new):
        if name in new:
            first = old.get(former.get(name, name))
            yield _added(new[name]) if first is None else _changed(first, new[name])
        elif name not in pairs:
            yield _removed(old[name])


def _added(thing: Thing) -> Change:
    return Change(thing.kind, thing.name, "added", after=thing.expression, added=thing.expression, text_changed=True)


def _removed(thing: Thing) -> Change:
    return Change(thing.kind, thing.name, "removed", before=thing.expression, removed=thing.expression)


def _changed(old: Thing, new: Thing) -> Change:
    names = sorted(old.fields.keys() | new.fields)
    fields = tuple(name for name in names if old.fields.get(name) != new.fields.get(name))
    base = Change(
        new.kind,
        new.name,
        "equal",
        old.expression,
        new.expression,
        old_name=None if old.name == new.name else old.name,
        text_changed=old.text != new.text,
        fields=fields,
    )
    if old.expression is None or new.expression is None or old.expression.key == new.expression.key:
        return _same_set(base)
    try:
        found = relation(new.expression, old.expression)
    except Undecided:
        return replace(base, classification="undecided")
    if found.kind == "equal":
        return _same_set(base)
    return replace(
        base,
        classification=found.kind,
        added=_region(new.expression, old.expression) if found.left_only is not None else None,
        removed=_region(old.expression, new.expression) if found.right_only is not None else None,
        entering=found.left_only,
        leaving=found.right_only,
        staying=found.both,
    )


def _same_set(base: Change) -> Change:
    if base.fields:
        return replace(base, classification="metadata-only")
    return replace(base, classification="equal" if base.old_name is None else "renamed")


def _region(inside: ir.Expression, outside: ir.Expression) -> ir.Expression:
    return minimal(ir.land(inside, ir.lnot(outside)))


# --- causes -------------------------------------------------------------------------------------------


def _because(changes: Sequence[Change], old: Things, new: Things) -> dict[str, tuple[str, ...]]:
    """For each changed thing those that it follows from and that were themselves edited."""
    edited = {change.address for change in changes if _is_edited(change)}
    if not edited:
        return {}
    addresses = (named(old), named(new))
    links: dict[str, tuple[str, ...]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for change in changes:
        if change.classification not in ("equal", "renamed"):
            reached = _reached(change, old, new, addresses, links)
            found[change.address] = tuple(sorted(reached & edited - {change.address}))
    return found


def _is_edited(change: Change) -> bool:
    """Whether it differs by its own declaration, and not only by what it mentions."""
    if change.classification in ("added", "removed"):
        return True
    return change.classification not in ("equal", "renamed") and (change.text_changed or bool(change.fields))


def _reached(
    change: Change,
    old: Things,
    new: Things,
    addresses: tuple[Mapping[str, str], Mapping[str, str]],
    links: dict[str, tuple[str, ...]],
) -> set[str]:
    """Everything that it mentions, before or after, and what that mentions in turn."""
    found: set[str] = set()
    stack = [change.address]
    if change.old_name is not None:
        stack.append(f"{change.kind}.{change.old_name}")
    while stack:
        address = stack.pop()
        if address not in links:
            links[address] = _linked(address, old, addresses[0]) + _linked(address, new, addresses[1])
        fresh = [one for one in links[address] if one not in found]
        found.update(fresh)
        stack.extend(fresh)
    return found


def _linked(address: str, things: Things, addresses: Mapping[str, str]) -> tuple[str, ...]:
    kind, _, name = address.partition(".")
    thing = things[kind].get(name)
    if thing is None:
        return ()
    return (*thing.after, *mentions(thing.text, addresses))
