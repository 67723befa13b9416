"""What atoms are made of: the sets within them, and the lists and tables that own ones are read from."""

from __future__ import annotations

from collections.abc import Iterable

from audsql.meaning import ir

__all__ = ["deep_atoms", "inner_of", "made_of", "nodes_inside", "read_from", "sources_in", "sources_of", "with_parts"]


def inner_of(atom: ir.Atom) -> ir.Expression | None:
    """The set that an atom is made from: what is mapped, what a lookalike resembles; None for all others."""
    return atom.inner if isinstance(atom, (ir.Mapped, ir.Lookalike)) else None


def nodes_inside(expression: ir.Expression) -> tuple[ir.Expression, ...]:
    """The distinct nodes, those inside atoms too, each after what it is made of; no recursion."""
    return ir.parts_first((expression,), _parts_of)


def _parts_of(node: ir.Expression) -> tuple[ir.Expression, ...]:
    inner = inner_of(node.atom) if isinstance(node, ir.Leaf) else None
    return ir.children(node) if inner is None else (inner,)


def deep_atoms(expression: ir.Expression) -> tuple[ir.Atom, ...]:
    """The atoms of an expression and those inside its mapped sets and look-alikes, each once, sorted by key."""
    outer = ir.atoms_of(expression)
    if all(inner_of(atom) is None for atom in outer):
        return outer
    found = {node.key: node.atom for node in nodes_inside(expression) if isinstance(node, ir.Leaf)}
    return tuple(found[key] for key in sorted(found))


def made_of(atom: ir.Atom) -> tuple[ir.Atom, ...]:
    """The own atoms that this one is computed from: those of a mapped set; none for all others, since what a
    look-alike resembles is computed by LINE Ads."""
    return ir.atoms_of(atom.inner) if isinstance(atom, ir.Mapped) else ()


def with_parts(atoms: Iterable[ir.Atom]) -> tuple[ir.Atom, ...]:
    """These atoms, sorted by key, and everything that they are computed from, each after its parts, each once."""
    given = {atom.key: atom for atom in atoms}
    return ir.parts_first((given[key] for key in sorted(given)), made_of)


def read_from(atom: ir.Atom) -> str:
    """The upload or table that an atom is read from itself, whatever it is made of; `friends(ACCOUNT)` for the list of
    friends that LINE gives; '' for what is read from nothing."""
    match atom:
        case ir.Uploaded(name) | ir.Rows(name) | ir.Linked(name) | ir.Mapped(name):
            return name
        case ir.Followers(account):
            return f"friends({account})"
        case _:
            return ""


def sources_of(atom: ir.Atom) -> tuple[str, ...]:
    """The uploads and tables that an atom and its parts are read from, sorted."""
    return tuple(sorted({name for part in with_parts((atom,)) if (name := read_from(part))}))


def sources_in(expression: ir.Expression) -> tuple[str, ...]:
    """The uploads and tables that a set is read from, what is subtracted included, sorted."""
    return tuple(sorted({name for part in with_parts(ir.atoms_of(expression)) if (name := read_from(part))}))
