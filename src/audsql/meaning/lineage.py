"""What own atoms are made of: the lists and tables that they are read from, and the sets that are mapped."""

from __future__ import annotations

from collections.abc import Iterable

from audsql.meaning import ir

__all__ = ["made_of", "read_from", "sources_of", "with_parts"]


def made_of(atom: ir.Atom) -> tuple[ir.Atom, ...]:
    """The own atoms that this one is computed from: those of a mapped set; none for all others."""
    return ir.atoms_of(atom.inner) if isinstance(atom, ir.Mapped) else ()


def with_parts(atoms: Iterable[ir.Atom]) -> tuple[ir.Atom, ...]:
    """These atoms and everything that they are made of, each after its parts, each once; no recursion."""
    order: dict[str, ir.Atom] = {}
    given = {atom.key: atom for atom in atoms}
    stack = [(given[key], False) for key in sorted(given, reverse=True)]
    while stack:
        atom, opened = stack.pop()
        if atom.key in order:
            continue
        parts = () if opened else made_of(atom)
        if parts:
            stack.append((atom, True))
            stack.extend((part, False) for part in reversed(parts))
        else:
            order[atom.key] = atom
    return tuple(order.values())


def read_from(atom: ir.Atom) -> str:
    """The upload or table that an atom is read from itself, whatever it is made of; '' for what no file holds."""
    match atom:
        case ir.Uploaded(name) | ir.Rows(name) | ir.Linked(name) | ir.Mapped(name):
            return name
        case _:
            return ""


def sources_of(atom: ir.Atom) -> tuple[str, ...]:
    """The uploads and tables that an atom and its parts are read from, sorted."""
    return tuple(sorted({name for part in with_parts((atom,)) if (name := read_from(part))}))
