"""The certain facts that a delivery was compiled with, and those left aside because data may move
(specs/compile.md, `compile.facts` and `compile.moving`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from audsql.compile.cofactor import moving
from audsql.meaning import ir
from audsql.meaning.algebra import certain_facts

__all__ = ["facts_document"]

Document = dict[str, Any]
Pair = tuple[str, str]

FACTS_MAX = 20
_WINDOWS = (ir.Last, ir.Since, ir.SinceStart, ir.Before)


def facts_document(function: ir.Expression, words: Callable[[ir.Atom], str]) -> Document:
    """`used`: people who cannot exist, so that nothing was asked of the compiler for them. `unused`: what is certain
    today, but may have changed by the time of the send. Each with its reason; at most FACTS_MAX of them."""
    atoms = {atom.key: atom for atom in ir.atoms_of(function)}
    facts = certain_facts(tuple(atoms.values()))
    moved = moving(function)
    inside = [pair for pair in facts.implications if set(pair) <= atoms.keys() and pair[0] != pair[1]]
    outside = [pair for pair in facts.exclusions if set(pair) <= atoms.keys() and pair[0] != pair[1]]
    used: list[Document] = []
    unused: list[Document] = []
    for pair in inside:
        gathered = all(isinstance(atoms[key], ir.Clicked) for key in pair)
        (unused if gathered or moved.breaks_implication(*pair) else used).append(_within(atoms, pair, words))
    for kept, found in (
        ([pair for pair in outside if not moved.breaks_exclusion(*pair)], used),
        ([pair for pair in outside if moved.breaks_exclusion(*pair)], unused),
    ):
        found.extend(_apart(atoms, clique, words) for clique in _cliques(kept))
    left_out = max(0, len(used) - FACTS_MAX) + max(0, len(unused) - FACTS_MAX)
    return {"used": used[:FACTS_MAX], "unused": unused[:FACTS_MAX], "left_out": left_out}


def _within(atoms: dict[str, ir.Atom], pair: Pair, words: Callable[[ir.Atom], str]) -> Document:
    inner, outer = atoms[pair[0]], atoms[pair[1]]
    match inner, outer:
        case ir.Clicked(), _:
            why = "link"
        case ir.Bucket(), _:
            why = "share"
        case ir.Rows(), ir.Rows():
            why = "window" if _without_windows(inner) == _without_windows(outer) else "stricter"
        case _:
            why = "linkage"
    return {"is": "within", "of": [words(inner), words(outer)], "why": why}


def _without_windows(atom: ir.Rows) -> tuple[object, ...]:
    return tuple(one for one in atom.rows if not isinstance(one, _WINDOWS)), atom.people


def _cliques(pairs: Sequence[Pair]) -> Iterable[list[str]]:
    """The exclusions as groups of which any two exclude each other; each pair stands in one."""
    left = dict.fromkeys(pairs)
    known = set(pairs)
    while left:
        group = list(next(iter(left)))
        for _, candidate in pairs:
            if candidate not in group and all(tuple(sorted((one, candidate))) in known for one in group):
                group.append(candidate)
        for pair in [pair for pair in left if set(pair) <= set(group)]:
            del left[pair]
        yield sorted(group)


def _apart(atoms: dict[str, ir.Atom], keys: Sequence[str], words: Callable[[ir.Atom], str]) -> Document:
    why = {ir.Attribute: "one_value", ir.Bucket: "arms"}.get(type(atoms[keys[0]]), "counts")
    return {"is": "apart", "of": [words(atoms[key]) for key in keys], "why": why}
