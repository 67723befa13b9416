"""Operands that change nothing: without them the set is the same in every possible world.

Rule: lints.redundant of specs/language/11-lints.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from audsql.diag import Diagnostic, Fix, Label, fix, warning
from audsql.meaning import algebra, ir
from audsql.meaning.expressions import is_literally_friends
from audsql.meaning.lints.canon import related
from audsql.meaning.lints.subject import Subject, Written
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["OPERANDS_MAX", "redundant"]

# Each operand is held against all others.
OPERANDS_MAX = 60


@dataclass(frozen=True, slots=True)
class _Chain:
    """A written chain. `terms`: what each operand demands of a person, so that the chain, or where `either` its
    complement, is all of them together."""

    node: ast.Chain
    terms: tuple[ir.Expression, ...]
    either: bool


def redundant(subject: Subject) -> Iterator[Diagnostic]:
    """Each operand of a chain that the others make idle; of several, the later ones."""
    for written in subject.written:
        if written.varies or written.meaning is None:
            continue
        for node in _chains(written):
            chain = _read(node, written)
            if chain is None or not related(chain.terms):
                continue
            if len(chain.terms) > OPERANDS_MAX:
                yield warning("AUD0526", node.span, what="operands", count=len(chain.terms), limit=OPERANDS_MAX)
                continue
            try:
                yield from _told(chain, subject)
            except algebra.Undecided as undecided:
                yield warning("AUD0505", node.span, atoms=undecided.atoms)


def _chains(written: Written) -> Iterator[ast.Chain]:
    stack: list[ast.Expression] = [written.expression]
    while stack:
        node = stack.pop()
        match node:
            case ast.Chain(operands=operands):
                yield node
                stack.extend(operands)
            case ast.Paren(inner=inner):
                stack.append(inner)
            case ast.Not(operand=operand):
                stack.append(operand)
            case ast.Call(arguments=ast.Arguments(subject=subject)) if subject is not None:
                stack.append(subject)
            case _:
                continue


def _read(node: ast.Chain, written: Written) -> _Chain | None:
    """The chain, None where a part is unknown, or is mapped to another kind of id on its way."""
    parts = [written.meanings.get(id(operand)) for operand in node.operands]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    either = all(operator == "OR" for operator in node.operators)
    if either:
        whole = ir.lor(*known)
        terms = [ir.lnot(part) for part in known]
    elif "OR" in node.operators:
        return None
    else:
        pairs = zip(("AND", *node.operators), known, strict=True)
        terms = [part if operator == "AND" else ir.lnot(part) for operator, part in pairs]
        whole = ir.land(*terms)
    return _Chain(node, tuple(terms), either) if whole == written.meanings.get(id(node)) else None


def _told(chain: _Chain, subject: Subject) -> Iterator[Diagnostic]:
    # What is always empty or always everybody is told by `check`; beside it, everything is idle.
    if algebra.is_empty(ir.land(*chain.terms)):
        return
    kept = list(range(len(chain.terms)))
    idle: list[int] = []
    for index in reversed(range(len(chain.terms))):
        others = [chain.terms[other] for other in kept if other != index]
        if not _removable(chain, kept, index) or not _follows(others, chain.terms[index]):
            continue
        if not algebra.is_everybody(chain.terms[index]):
            kept.remove(index)
            idle.append(index)
    for index in reversed(idle):
        yield _finding(chain, index, kept, subject)


def _removable(chain: _Chain, kept: Sequence[int], index: int) -> bool:
    """What stands before EXCEPT cannot be left out."""
    if len(kept) == 1:
        return False
    return kept[0] != index or chain.node.operators[kept[1] - 1] != "EXCEPT"


def _follows(others: Sequence[ir.Expression], term: ir.Expression) -> bool:
    return algebra.within(ir.land(*others), term)


def _finding(chain: _Chain, index: int, kept: Sequence[int], subject: Subject) -> Diagnostic:
    operand = chain.node.operands[index]
    fixes = _fixes(chain, index, kept, subject)
    reason = next((other for other in kept if _explains(chain, other, index)), None)
    if reason is None:
        return warning("AUD0510", operand.span, fixes=fixes, operand=expression_text(operand))
    other = chain.node.operands[reason]
    taken, other_taken = _is_taken(chain, index), _is_taken(chain, reason)
    same = chain.terms[reason] == chain.terms[index]
    return warning(
        "AUD0511",
        operand.span,
        labels=[Label(other.span, "other")],
        fixes=fixes,
        operand=expression_text(operand),
        other=expression_text(other),
        twice=same,
        wider=not same and not chain.either and not taken,
        narrower=not same and chain.either,
        apart=not same and taken and not other_taken,
        taken=not same and taken and other_taken,
    )


def _explains(chain: _Chain, other: int, index: int) -> bool:
    """Whether this one alone makes the operand idle, in a way that can be said in a few words."""
    if _is_taken(chain, other) and not _is_taken(chain, index):
        return False
    return algebra.within(chain.terms[other], chain.terms[index])


def _is_taken(chain: _Chain, index: int) -> bool:
    """Whether the operand is taken away by EXCEPT."""
    return index > 0 and chain.node.operators[index - 1] == "EXCEPT"


# --- the fix ----------------------------------------------------------------------------------------


def _fixes(chain: _Chain, index: int, kept: Sequence[int], subject: Subject) -> list[Fix]:
    """The operand cut out together with its operator, where that surely changes nothing else either."""
    operands = chain.node.operands
    here = operands[index].span
    if index == 0:
        cut = Span(here.path, here.start, operands[1].span.start)
    else:
        cut = Span(here.path, operands[index - 1].span.end, here.end)
    left_alone = len(kept) == 1 and is_literally_friends(operands[kept[0]])
    if left_alone or _negates_attributes(chain.terms) or subject.comment_within(cut):
        return []
    return [fix(cut, "", key="remove")]


def _negates_attributes(terms: Sequence[ir.Expression]) -> bool:
    """Whether LINE's NOT of an attribute takes part: for whom LINE knows nothing of, equal sets may differ there."""
    return any(
        isinstance(node, ir.Not) and any(isinstance(atom, ir.Attribute) for atom in ir.atoms_of(node))
        for term in terms
        for node in ir.nodes_of(term)
    )
