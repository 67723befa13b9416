"""Which of two projects' things are the same under another name, and sets told in the new names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from audsql.meaning import ir
from audsql.meaning.algebra import Undecided
from audsql.meaning.declared import Thing
from audsql.meaning.relation import relation

__all__ = ["Renames", "pairs_of", "retold", "same_meaning"]

Renames = Mapping[tuple[str, str], str]
"""(kind, old name) to the new name."""

_PAIRS_MAX = 400
_SENT_FIELDS = ("messages", "at", "every", "account", "by", "sent_request_id")


def pairs_of(gone: Sequence[Thing], new: Sequence[Thing]) -> list[tuple[Thing, Thing]]:
    """Old and new things that are the same but for the name. Where several are, the nearest names go together,
    then those that come first."""
    found = [
        (-SequenceMatcher(None, old.name, later.name, autojunk=False).ratio(), at, later_at)
        for at, later_at in _likely(gone, new)
        for old, later in [(gone[at], new[later_at])]
        if _same(old, later)
    ]
    taken_old: set[int] = set()
    taken_new: set[int] = set()
    pairs: list[tuple[Thing, Thing]] = []
    for _, at, later_at in sorted(found):
        if at not in taken_old and later_at not in taken_new:
            taken_old.add(at)
            taken_new.add(later_at)
            pairs.append((gone[at], new[later_at]))
    return pairs


def _likely(gone: Sequence[Thing], new: Sequence[Thing]) -> Iterator[tuple[int, int]]:
    """Pairs worth a proof: all of few, of many only those over the same atoms or with the same declaration."""
    if len(gone) * len(new) <= _PAIRS_MAX:
        yield from ((at, later_at) for at in range(len(gone)) for later_at in range(len(new)))
        return
    groups: dict[object, list[int]] = {}
    for at, thing in enumerate(gone):
        groups.setdefault(_group(thing), []).append(at)
    for later_at, thing in enumerate(new):
        yield from ((at, later_at) for at in groups.get(_group(thing), ())[:_PAIRS_MAX])


def _group(thing: Thing) -> object:
    if thing.expression is None:
        return repr(sorted(thing.fields.items()))
    return tuple(atom.key for atom in ir.atoms_of(thing.expression))


def _same(old: Thing, new: Thing) -> bool:
    """Sets by meaning, deliveries by what is sent when as well; everything else by its declaration."""
    if old.expression is None or new.expression is None:
        return old.expression is new.expression and _apart_from_words(old) == _apart_from_words(new)
    if any(old.fields.get(name) != new.fields.get(name) for name in _SENT_FIELDS if old.kind == "delivery"):
        return False
    return same_meaning(old.expression, new.expression)


def _apart_from_words(thing: Thing) -> dict[str, object]:
    fields = {name: value for name, value in thing.fields.items() if name != "description"}
    verbs = fields.get("verbs")
    if isinstance(verbs, tuple):
        fields["verbs"] = tuple((verb.name, verb.column) for verb in verbs)
    return fields


def same_meaning(old: ir.Expression, new: ir.Expression) -> bool:
    """Whether both are the same set of somebody: two sets of nobody tell nothing about their names."""
    if old.key != new.key and not {a.key for a in ir.atoms_of(old)} & {a.key for a in ir.atoms_of(new)}:
        return False
    try:
        found = relation(old, new)
    except Undecided:
        return False
    return found.kind == "equal" and found.both is not None


# --- in the new names -----------------------------------------------------------------------------------


def retold(expression: ir.Expression, renames: Renames) -> ir.Expression:
    """The set with renamed sources, deliveries and accounts under their new names."""
    if not renames:
        return expression
    changed: dict[str, ir.Expression] = {}
    for atom in _inner_first(ir.atoms_of(expression)):
        told = _atom(atom, renames, changed)
        if told != atom:
            changed[atom.key] = ir.leaf(told)
    return ir.substitute(expression, changed) if changed else expression


def _inner_first(atoms: Sequence[ir.Atom]) -> list[ir.Atom]:
    """The atoms and those of the sets inside them, each after what it is made of."""
    order: dict[str, ir.Atom] = {}
    stack = [(atom, False) for atom in atoms]
    while stack:
        atom, opened = stack.pop()
        if opened or not isinstance(atom, ir.Mapped | ir.Lookalike):
            order.setdefault(atom.key, atom)
        elif atom.key not in order:
            stack.append((atom, True))
            stack.extend((part, False) for part in ir.atoms_of(atom.inner))
    return list(order.values())


def _atom(atom: ir.Atom, renames: Renames, changed: Mapping[str, ir.Expression]) -> ir.Atom:
    def name(kind: str, old: str) -> str:
        return renames.get((kind, old), old)

    match atom:
        case ir.Uploaded(source):
            return ir.Uploaded(name("upload", source))
        case ir.Rows(table):
            return replace(atom, table=name("table", table))
        case ir.Linked(table):
            return ir.Linked(name("table", table))
        case ir.Mapped(table):
            return replace(atom, table=name("table", table), inner=ir.substitute(atom.inner, changed))
        case ir.Lookalike():
            return replace(atom, inner=ir.substitute(atom.inner, changed))
        case ir.Clicked(delivery) | ir.Opened(delivery) | ir.Received(delivery):
            return replace(atom, delivery=name("delivery", delivery))
        case ir.Friends(account) | ir.Followers(account) | ir.RemoteAudience(account):
            return replace(atom, account=name("account", account))
        case _:
            return atom
