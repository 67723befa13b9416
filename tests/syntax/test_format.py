"""The canonical layout: a fixed point that loses nothing."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from corpus import BROKEN, SOUND

from audsql.diag import Edit, Fix
from audsql.source import Source, Span
from audsql.syntax import print as printing
from audsql.syntax.parse import parse_file
from audsql.syntax.print import apply_fixes, format_source
from audsql.syntax.tree import flatten


def formatted(text: str) -> str:
    result, problems = format_source(Source("a.aud", text))
    assert "AUD9911" not in [problem.code for problem in problems]
    return result


@pytest.mark.parametrize("text", [*SOUND, *(text for text, _ in BROKEN)])
def test_fixed_point(text: str) -> None:
    once = formatted(text)
    assert formatted(once) == once
    before, after = (parse_file(Source("a.aud", one))[0].statements for one in (text, once))
    assert flatten(before) == flatten(after)


@pytest.mark.parametrize("seed", range(20))
def test_files(seed: int) -> None:
    """Statements in any order with comments, blank lines and line ends of any kind."""
    random = Random(seed)
    pool = [*SOUND, *(text for text, _ in BROKEN[6:] if not text.startswith(('upload u { file: "x', "audience `x")))]
    between = ("\n", "\n\n", "\n\n\n", "  # behind\n", "\n# above\n", "\n\n# alone\n\n\n", "\n \t \n")
    text = "".join(random.choice(pool) + random.choice(between) for _ in range(25))
    if seed % 3 == 0:
        text = text.replace("\n", "\r\n")
    once = formatted(text)
    assert formatted(once) == once
    assert ("\r\n" in once) == (seed % 3 == 0)
    assert "\n\n\n" not in once.replace("\r\n", "\n")
    comments = [[one.text for one in parse_file(Source("a.aud", shown))[0].comments] for shown in (text, once)]
    assert comments[0] == comments[1]


def test_the_contract_example_keeps_its_layout() -> None:
    example = (Path(__file__).parent / "example.aud").read_text(encoding="utf-8")
    again = formatted(example)
    collapsed = [" ".join(text.split()) for text in (example, again)]
    assert collapsed[0] == collapsed[1]
    assert "  to:     warm_a AND gender(female) AND age(30..39)\n  send:   sale_card" in again


def test_wide_lines_are_broken_at_operators() -> None:
    call = 'clicked(msg, "https://example.com/a/rather/long/address")'
    text = f"audience x = {call} AND {call} EXCEPT uploaded(buyers)\ndelivery d {{ to: {call} AND {call} }}\n"
    assert formatted(text) == (
        f"audience x =\n  {call}\n  AND {call}\n  EXCEPT uploaded(buyers)\n"
        f"delivery d {{\n  to:\n    {call}\n    AND {call}\n}}\n"
    )


def test_empty_and_blank() -> None:
    assert formatted("") == ""
    assert formatted(" \n\n\t") == ""
    assert formatted("\n\n# only\n\n") == "# only\n"
    assert formatted("\ufeffaudience  a = b") == "\ufeffaudience a = b\n"


@pytest.mark.parametrize(
    "text", ["audience  a = b ;\n", "; audience  a = b", "audience  a = b\n@@\n", "\x1faudience  a = b"]
)
def test_text_outside_statements_is_never_lost(text: str) -> None:
    assert formatted(text) == text


def test_a_wrong_result_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the layout shows as a bug, and the text stays."""
    monkeypatch.setattr(printing, "statement_text", lambda *_: "audience other = b")
    text, problems = format_source(Source("a.aud", "audience a   = b\n"))
    assert text == "audience a   = b\n"
    assert [(problem.code, problem.span) for problem in problems] == [("AUD9911", Span("a.aud", 0, 0))]
    assert problems[0].fact("same") is False


def test_fixes() -> None:
    text = "audience x ＝ p （A-1）\n"
    for _ in range(3):
        problems = parse_file(Source("a.aud", text))[1]
        text = apply_fixes(text, [repair for problem in problems for repair in problem.fixes])
    assert text == 'audience x = p("A-1")\n'


def test_fixes_that_overlap_or_need_a_person_are_left_out() -> None:
    def repair(start: int, end: int, text: str, safe: bool = True) -> Fix:
        return Fix((Edit(Span("a", start, end), text),), safe)

    text = "abcdef"
    assert (
        apply_fixes(text, [repair(1, 3, "X"), repair(2, 4, "Y"), repair(4, 5, ""), repair(0, 1, "Z", safe=False)])
        == "aXdf"
    )
    for other in ((0, 2), (1, 2), (2, 3), (2, 4), (0, 4)):
        assert apply_fixes(text, [repair(1, 3, "X"), repair(*other, "Y")]) == "aXdef"
    for other, wanted in (((0, 1), "YXdef"), ((3, 4), "aXYef"), ((4, 6), "aXdY")):
        assert apply_fixes(text, [repair(1, 3, "X"), repair(*other, "Y")]) == wanted
    both = Fix((Edit(Span("a", 5, 6), "!"), Edit(Span("a", 1, 2), "?")))
    assert apply_fixes(text, [repair(1, 2, "B"), both]) == "aBcdef"
    assert apply_fixes(text, [repair(1, 1, "B"), repair(1, 3, "C")]) == "aBCdef"
    assert apply_fixes(text, [repair(1, 1, "B"), repair(1, 1, "C"), repair(3, 3, "D")]) == "aBbcDdef"
    assert apply_fixes(text, [repair(1, 3, "B"), repair(0, 1, "A"), repair(3, 4, "D"), repair(2, 2, "C")]) == "ABDef"
    assert apply_fixes(text, []) == text
