"""Any text at all: reading never raises, places lie inside the text, formatting proves itself."""

from __future__ import annotations

from corpus import BROKEN, SOUND
from hypothesis import given, settings
from hypothesis import strategies as st

from audsql import catalog
from audsql.source import Source
from audsql.syntax import ast
from audsql.syntax.parse import parse_expression, parse_file
from audsql.syntax.print import apply_fixes, format_source
from audsql.syntax.text import expression_text
from audsql.syntax.tree import every_statement, flatten

SPELLED = (
    "audience upload test policy flow a AND or EXCEPT NOT = ( ) { } [ ] , : .. . * # `xy` 1_0 20% 2026-12-01 10:00 -5 "
    "A-1 last 90 days always except for given expect prove at to id send verb by allow empty p( （ “ ” "
    "param use as split of salt priority moved removed keep in -> sale[ common.b sample( seed: every: fresh: within "
    "start when on follow trigger exit wait until branch otherwise reentry: never after require reach quiet cap per"
)
WORDS = (*SPELLED.split(), "\n", "\t", "\r", "　", '"', "\\")
TEXTS = st.one_of(
    st.text(),
    st.text(st.sampled_from('abA_1- \n\r\t"`#(){}[],:=.<>!*%\\（　“”ａ、')),
    st.lists(st.sampled_from(WORDS)).map(" ".join),
    st.lists(st.sampled_from(WORDS)).map("".join),
)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """Statements of the corpus with pieces cut out, doubled or replaced."""
    parts = draw(st.lists(st.sampled_from((*SOUND, *(text for text, _ in BROKEN[6:]))), min_size=1, max_size=4))
    text = "\n".join(parts)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = (
            text[:start] + draw(st.sampled_from(("", text[start:end] * 2, "\n", '"', "}", "（", *WORDS))) + text[end:]
        )
    return text


ANY = st.one_of(TEXTS, mutations())


@settings(max_examples=300, deadline=None)
@given(ANY)
def test_reading(text: str) -> None:
    file, problems = parse_file(Source("a.aud", text))
    end = 0
    statements = list(every_statement(file.statements))
    for statement in statements:
        assert end <= statement.span.start < statement.span.end <= len(text)
        # What stands inside a `for` comes after it, within its end.
        end = statement.span.start if isinstance(statement, ast.For) else statement.span.end
    for problem in problems:
        entry = catalog.entry(problem.code)
        assert set(dict(problem.facts)) == set(entry.args)
        places = [problem.span, *(label.span for label in problem.labels)]
        places += [edit.span for repair in problem.fixes for edit in repair.edits]
        for place in places:
            assert place is not None
            assert 0 <= place.start <= place.end <= len(text)
        assert {label.key for label in problem.labels} <= set(entry.texts["en"].labels)
        assert {repair.key for repair in problem.fixes} <= {"", *entry.texts["en"].fixes}
    if any(isinstance(statement, ast.Bad) for statement in statements):
        assert problems
    for comment in file.comments:
        assert text[comment.span.start] in "#＃"


@settings(max_examples=200, deadline=None)
@given(ANY)
def test_formatting(text: str) -> None:
    formatted, problems = format_source(Source("a.aud", text))
    assert "AUD9911" not in [problem.code for problem in problems]
    assert format_source(Source("a.aud", formatted))[0] == formatted


@settings(max_examples=150, deadline=None)
@given(ANY)
def test_safe_fixes_settle(text: str) -> None:
    """After a few rounds of repairs nothing is left that a repair could be made for."""
    for _ in range(12):
        problems = parse_file(Source("a.aud", text))[1]
        fixed = apply_fixes(text, [repair for problem in problems for repair in problem.fixes])
        if fixed == text:
            return
        text = fixed
    raise AssertionError(text)


@settings(max_examples=150, deadline=None)
@given(ANY)
def test_expressions(text: str) -> None:
    expression, problems = parse_expression(text)
    assert expression is not None or problems
    if expression is not None and not problems:
        shown = expression_text(expression)
        again, more = parse_expression(shown)
        assert more == ()
        assert flatten(again) == flatten(expression)
        assert "\n" not in shown
