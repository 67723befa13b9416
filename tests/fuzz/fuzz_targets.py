"""What must hold of any text: one function a command, which raises where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from audsql import catalog, session
from audsql.config import decode
from audsql.diag import Diagnostic, has_errors
from audsql.meaning.compare import compare
from audsql.meaning.lower import Analysis, analyse
from audsql.session.formulas import formula, known
from audsql.source import Source
from audsql.syntax import ast
from audsql.syntax.parse import parse_expression, parse_file
from audsql.syntax.print import expression_text, format_source
from audsql.syntax.tree import flatten
from audsql.view.sentences import sentence

__all__ = ["TARGETS"]

# More than any sentence or outline of `explain` may have.
LINES_MAX = 1_000
PATH = "spec.aud"


def text_of(given: str | bytes) -> str:
    """A text as the loader reads it; nothing where it refuses the bytes."""
    if isinstance(given, str):
        return given
    text, problems = decode(given, PATH)
    assert (text is None) == has_errors(problems), problems
    return text or ""


def check(given: str | bytes) -> None:
    """Diagnostics come in order, lie inside the text, and have known codes with the facts of their files."""
    text = text_of(given)
    judge(text, session.check_text(text))


def judge(text: str, found: Iterable[Diagnostic]) -> None:
    told = tuple(found)
    assert list(told) == sorted(told, key=lambda one: one.sort_key), "not in order"
    for one in told:
        entry = catalog.entry(one.code)
        assert {name for name, _ in one.facts} == set(entry.args), (one.code, one.facts)
        assert one.severity == entry.kind, one.code
        places = [one.span, *(label.span for label in one.labels)]
        places += [edit.span for repair in one.fixes for edit in repair.edits]
        for place in places:
            assert place is None or (place.path == PATH and 0 <= place.start <= place.end <= len(text)), (
                one.code,
                place,
            )
        assert {label.key for label in one.labels} <= set(entry.texts["en"].labels), one.code


def fmt(given: str | bytes) -> None:
    """Formatting proves itself, changes nothing the second time, and printed expressions read back."""
    text = text_of(given)
    formatted, problems = format_source(Source(PATH, text))
    assert "AUD9911" not in {one.code for one in problems}, "the formatted text reads as another tree"
    if formatted != text and len(text) % 4 == 0:
        # `format_source` has seen this itself; now and then it is seen from outside.
        assert format_source(Source(PATH, formatted))[0] == formatted, "formatting again changes more"
    if problems:
        return
    file, _ = parse_file(Source(PATH, text))
    for statement in file.statements:
        if isinstance(statement, ast.Audience):
            shown = expression_text(statement.expression)
            again, told = parse_expression(shown)
            assert not told and flatten(again) == flatten(statement.expression), shown


def analysed(text: str) -> Analysis | None:
    """What a text means, where it is free of errors."""
    file, problems = parse_file(Source(PATH, text))
    if has_errors(problems):
        return None
    analysis, found = analyse((file,), name="spec", timezone="Asia/Tokyo")
    return None if has_errors(found) else analysis


def explain(given: str | bytes) -> None:
    """Every set that a sound text declares is put into words of bounded length, in both languages."""
    analysis = analysed(text_of(given))
    if analysis is None:
        return
    project = analysis.project
    context = known(project)
    expressions = [one.expression for one in project.audiences] + [one.reach for one in project.deliveries]
    for expression in expressions:
        document = formula(expression, context)
        for language in catalog.LANGUAGES:
            lines = sentence(document, language)
            assert lines and len(lines) <= LINES_MAX
            assert all(line.strip() for line in lines), lines


def diff(given: str | bytes) -> None:
    """A project differs from itself in nothing. Against the same text without its last line, whatever changed is told
    the other way round when the two change places."""
    text = text_of(given)
    new = analysed(text)
    if new is None:
        return
    same = compare(new.project, new.project)
    assert same.changes == () and same.rewritten == (), same
    old = analysed(text.rstrip().rpartition("\n")[0])
    if old is None:
        return
    there, back = compare(old.project, new.project), compare(new.project, old.project)
    told = sorted((one.kind, _TURNED.get(one.classification, one.classification)) for one in back.changes)
    assert sorted((one.kind, one.classification) for one in there.changes) == told, (there.changes, back.changes)


_TURNED = {"added": "removed", "removed": "added", "narrower": "wider", "wider": "narrower"}

TARGETS: Mapping[str, Callable[[str | bytes], None]] = {
    "check": check,
    "fmt": fmt,
    "diff": diff,
    "explain": explain,
}
