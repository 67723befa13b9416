"""The same set under two names, and sets that have a name and are written out all the same.

Rules: lints.duplicate, lints.alias, lints.named of specs/language/11-lints.md.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

from audsql.diag import Diagnostic, Label, fix, warning
from audsql.meaning import algebra, ir
from audsql.meaning.lints.canon import ATOMS_MAX, atoms_that_count, canonical
from audsql.meaning.lints.subject import Subject, Written
from audsql.meaning.names import written as name_written
from audsql.meaning.order import references
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = ["COMPARED_MAX", "WRITTEN_OUT_ATOMS_MIN", "aliases", "duplicates", "written_out"]

WRITTEN_OUT_ATOMS_MIN = 3
# Sets of more atoms than a key is made of are proved equal, each with the earlier ones over the same atoms.
COMPARED_MAX = 200


def aliases(subject: Subject) -> Iterator[Diagnostic]:
    """`audience a = b`, as written. A name for an arm of a split, or for what a used file declares, is a good one."""
    for node in subject.nodes:
        if not isinstance(node, ast.Audience) or node.parameters:
            continue
        target = _bare(node.expression)
        if isinstance(target, ast.Reference) and target.member is None and _is_own_name(target.name):
            yield warning("AUD0513", node.name.span, name=node.name.text, other=expression_text(target))


def _is_own_name(name: ast.Name) -> bool:
    """Whether it names an audience of the project's own files; of a used file it has an alias before a dot."""
    return name.quoted or (name.text != "friends" and "." not in name.text and "(" not in name.text)


def duplicates(subject: Subject) -> Iterator[Diagnostic]:
    """Audiences that are the same set in every possible world; the later ones are told."""
    first: dict[Hashable, Written] = {}
    large: list[Written] = []
    for written in _audiences(subject):
        if written.varies or written.meaning is None or isinstance(_bare(written.expression), ast.Reference):
            continue
        key = _key(written.meaning)
        if key is None:
            large.append(written)
            continue
        earlier = first.setdefault(key, written)
        if earlier is not written and _equal(earlier, written):
            yield _duplicate(written, earlier, subject)
    yield from _large_duplicates(large, subject)


def _large_duplicates(audiences: Sequence[Written], subject: Subject) -> Iterator[Diagnostic]:
    """Those of too many atoms for a key: each is held against the earlier ones over the same atoms, up to a bound."""
    by_atoms: dict[tuple[str, ...], list[Written]] = {}
    compared = 0
    for written in audiences:
        assert written.meaning is not None
        candidates = by_atoms.setdefault(tuple(atom.key for atom in ir.atoms_of(written.meaning)), [])
        if compared + len(candidates) > COMPARED_MAX:
            yield warning(
                "AUD0526", _place(written, subject), what="audiences", count=len(audiences), limit=COMPARED_MAX
            )
            return
        compared += len(candidates)
        earlier = next((one for one in candidates if _equal(one, written)), None)
        if earlier is not None:
            yield _duplicate(written, earlier, subject)
        else:
            candidates.append(written)


def written_out(subject: Subject) -> Iterator[Diagnostic]:
    """A chain of several atoms that is an audience by another name."""
    named: dict[Hashable, Written] = {}
    for written in _audiences(subject):
        if not written.varies and written.meaning is not None:
            key = _key(written.meaning)
            if key is not None:
                named.setdefault(key, written)
    sets = (written for written in subject.written if written.kind in ("audience", "split"))
    needs = {written.name: references(written.expression) for written in sets}
    for written in subject.written:
        for node in () if written.varies else _chains(written):
            meaning = written.meanings.get(id(node))
            if meaning is None or (atoms_that_count(meaning) or 0) < WRITTEN_OUT_ATOMS_MIN:
                continue
            found = named.get(_key(meaning))
            if found is None or found.meaning is None or not _may_stand(found, written, node, needs):
                continue
            if _same(found.meaning, meaning):
                name = name_written(found.name)
                fixes = [fix(node.span, name, safe=False, key="name")]
                labels = [Label(_place(found, subject), "declared")]
                yield warning("AUD0514", node.span, labels=labels, fixes=fixes, name=found.name)


def _may_stand(found: Written, written: Written, node: ast.Chain, needs: Mapping[str, Mapping[str, object]]) -> bool:
    """Whether the audience's name can stand there: not in its own definition, nor in one that it needs. A whole
    audience that is the same as another is told as such."""
    if written.kind == "audience" and node is _bare(written.expression):
        return False
    if written.kind not in ("audience", "split"):
        return True
    seen: set[str] = set()
    waiting = [found.name]
    while waiting:
        name = waiting.pop()
        if name == written.name:
            return False
        if name not in seen:
            seen.add(name)
            waiting.extend(needs.get(name, ()))
    return True


def _chains(written: Written) -> Iterator[ast.Chain]:
    """The written chains, outermost first, that name at least three atoms themselves."""
    stack: list[ast.Expression] = [written.expression]
    while stack:
        node = stack.pop()
        match node:
            case ast.Chain(operands=operands):
                if _calls_in(node) >= WRITTEN_OUT_ATOMS_MIN:
                    yield node
                stack.extend(operands)
            case ast.Paren(inner=inner):
                stack.append(inner)
            case ast.Not(operand=operand):
                stack.append(operand)
            case _:
                continue


def _calls_in(expression: ast.Expression) -> int:
    """How many calls are written in it; a chain of names says what it is made of."""
    total, stack = 0, [expression]
    while stack and total < WRITTEN_OUT_ATOMS_MIN:
        match stack.pop():
            case ast.Chain(operands=operands):
                stack.extend(operands)
            case ast.Paren(inner=inner) | ast.Not(operand=inner):
                stack.append(inner)
            case ast.Call():
                total += 1
            case _:
                continue
    return total


# --- comparing --------------------------------------------------------------------------------------


def _key(meaning: ir.Expression) -> Hashable | None:
    """A key of equal sets; None where there are too many atoms to make one."""
    return canonical(meaning) if len(ir.atoms_of(meaning)) <= ATOMS_MAX else None


def _equal(left: Written, right: Written) -> bool:
    return left.meaning is not None and right.meaning is not None and _same(left.meaning, right.meaning)


def _same(left: ir.Expression, right: ir.Expression) -> bool:
    try:
        return algebra.equal(left, right)
    except algebra.Undecided:
        return False


def _duplicate(written: Written, earlier: Written, subject: Subject) -> Diagnostic:
    labels = [Label(_place(earlier, subject), "first")]
    return warning("AUD0512", _place(written, subject), labels=labels, name=written.name, other=earlier.name)


def _audiences(subject: Subject) -> Sequence[Written]:
    return [written for written in subject.written if written.kind == "audience"]


def _place(written: Written, subject: Subject) -> Span:
    symbol = subject.analysis.scope.symbols.get(written.name)
    return symbol.span if symbol else written.expression.span


def _bare(expression: ast.Expression) -> ast.Expression:
    while isinstance(expression, ast.Paren):
        expression = expression.inner
    return expression
