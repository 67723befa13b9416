"""Colours agree with the grammar: in editors (TextMate) and on pages (Pygments).

The corpus is every case of the specification that has no error, every spec of the examples, and every one of the pages
in docs/.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from functools import cache

import pytest
from documents import DOCS, blocks_of
from pygments.token import Comment, Error, Keyword, Operator, String
from spec_cases import all_cases

import highlighting
from audsql import highlight
from audsql.meaning.names import BUILT_IN
from audsql.pygments import TOKENS, AudsqlLexer
from audsql.syntax.lex import STATEMENT_WORDS
from audsql.syntax.table import CALL_WORDS, parse_table
from highlighting import GRAMMAR, ROOT, Word, scopes

KEYWORD_SCOPES = ("keyword.declaration", "keyword.other", "keyword.operator.set", "storage.type", "support.function")
# Of the words that the parser takes for the language's, so many have to be coloured so.
KEYWORD_SHARE_MIN = 0.999
# Of the words that it takes for names, so many may be coloured as the language's.
NAME_SHARE_MAX = 0.001


@cache
def corpus() -> tuple[tuple[str, str], ...]:
    """Texts by where they stand."""
    cases = tuple((str(case), case.text.partition("\n-- ")[0] + "\n") for case in all_cases() if case.kind == "valid")
    files = [*sorted((ROOT / "examples").glob("*/*.aud")), ROOT / "tests" / "syntax" / "example.aud"]
    pages = [block for page in sorted(DOCS.glob("language*.md")) for block in blocks_of(page.name)]
    cases += tuple((str(one), one.text) for one in pages if one.language == "aud" and not one.about.startswith("AUD"))
    return cases + tuple((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in files)


@cache
def decided() -> tuple[tuple[str, str, tuple[Word, ...]], ...]:
    with pytest.MonkeyPatch.context() as patch:
        return tuple((place, text, tuple(highlighting.words(text, patch))) for place, text in corpus())


def tokens_of(text: str) -> list[tuple[object, str]]:
    return list(AudsqlLexer(stripnl=False, ensurenl=False).get_tokens(text))


@cache
def token_at(text: str) -> list[object]:
    """The Pygments token of each character."""
    return [token for token, part in tokens_of(text) for _ in part]


# --- TextMate -----------------------------------------------------------------------------------------


def test_the_grammar_of_editors_is_up_to_date() -> None:
    assert GRAMMAR.read_text(encoding="utf-8") == highlight.textmate_text(), "run `make grammar`"


def test_patterns_are_read_alike_by_both_engines() -> None:
    """No construct that Python and Oniguruma read differently, and no lookbehind of a varying width."""
    for rule in (*highlight.RULES, *highlight.STRING_RULES):
        re.compile(rule.pattern)
        assert not re.search(r"\(\?P|\(\?\(|\\[uUNxpPhHRX](?!\\?\{)|\[:|&&|[*+?]\+|\\[AZzG]", rule.pattern), rule
        assert "(?<=" not in rule.pattern or not re.search(r"\(\?<[=!](?:[^()\[]|\[[^\]]*\])*[*+?]", rule.pattern), rule


def test_every_character_of_the_corpus_has_a_scope() -> None:
    for place, text in corpus():
        bare = [index for index, scope in enumerate(scopes(text)) if not scope and not text[index].isspace()]
        assert bare == [], (place, text[bare[0] : bare[0] + 20])


def test_nothing_valid_is_coloured_as_invalid() -> None:
    for place, text in corpus():
        wrong = [text[piece.start : piece.end] for piece in highlighting.textmate(text) if "invalid" in piece.scope]
        assert wrong == [], place


def test_comments_and_strings_are_whole() -> None:
    """As the lexer finds them: every character of theirs, and none besides."""
    seen: Counter[str] = Counter()
    for place, text in corpus():
        tokens = highlighting.lex("spec.aud", text)
        strings = {
            at
            for kind, start, end in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True)
            if kind == "STRING"
            for at in range(start, end)
        }
        comments = {at for one in tokens.comments for at in range(one.span.start, one.span.end)}
        for at, scope in enumerate(scopes(text)):
            is_string = scope.startswith(("string.", "constant.character.escape"))
            assert (at in strings) == is_string or text[at] == "\n", (place, text[at : at + 20])
            assert at not in comments or scope.startswith("comment."), (place, text[at : at + 20])
            assert at in comments or not scope.startswith("comment.") or text[at].isspace(), place
            seen[scope.split(".")[0]] += 1
    assert seen["string"] > 1000
    assert seen["comment"] > 100


@pytest.mark.parametrize("text", ["gender（female）", "audience　x", "“a", "a、b", "ａ"])
def test_full_width_forms_are_invalid(text: str) -> None:
    assert "invalid.illegal.full-width.audsql" in scopes(text)


@pytest.mark.parametrize("text", ['"（全角）、“”"', "# （全角）、", "`（全角）`"])
def test_full_width_forms_may_stand_in_text(text: str) -> None:
    assert not any("invalid" in scope for scope in scopes(text))


def test_escapes() -> None:
    found = scopes(r'"a\n\u{3042}\q"')
    assert found[2] == found[4] == "constant.character.escape.audsql"
    assert found[-2] == "invalid.illegal.escape.audsql"
    assert found[1] == found[-1] == "string.quoted.double.audsql"


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("2026-12-01", "constant.other.date"),
        ("2026-12-01 10:00 +09:00", "constant.other.date"),
        ("2026-12-01T10:00+09:00", "constant.other.date"),
        ("21:00", "constant.other.date"),
        ("12.5%", "constant.numeric.percent"),
        ("1_000", "constant.numeric.audsql"),
        ("-5", "constant.numeric.audsql"),
        ("`2026 春`", "variable.other.quoted"),
        ("# note", "comment.line"),
        ("購入者", "variable.other.audsql"),
    ],
)
def test_values(text: str, scope: str) -> None:
    assert all(one.startswith(scope) for one in scopes(text)), scopes(text)


def test_ranges_and_durations() -> None:
    text = "30 days..90 days"
    found = scopes(text)
    assert found[text.index("days")] == found[text.rindex("days")] == "keyword.other.unit.audsql"
    assert found[text.index("..")] == "keyword.operator.comparison.audsql"


# --- words --------------------------------------------------------------------------------------------


def test_operators_in_any_case() -> None:
    for word in ("AND", "and", "Or", "except", "NOT"):
        assert set(scopes(word)) == {"keyword.operator.set.audsql"}


def test_built_in_atoms() -> None:
    for name in BUILT_IN:
        text = f"audience x = {name}(a)"
        at = text.index(name)
        assert scopes(text)[at] == "support.function.audsql", name
        assert token_at(text)[at] is TOKENS["atom"], name


def test_every_word_of_the_grammar_is_coloured_somewhere() -> None:
    """A new word of the language needs a valid case, and a pattern that colours it there."""
    table = parse_table()
    coloured: dict[str, set[str]] = {"textmate": set(), "pygments": set()}
    for _, text, words in decided():
        found, tokens = scopes(text), token_at(text)
        for word in words:
            folded = word.text.upper()
            name = folded if folded in table.folded_words else word.text
            if word.keyword and found[word.start].startswith(KEYWORD_SCOPES):
                coloured["textmate"].add(name)
            if word.keyword and _is_keyword(tokens[word.start]):
                coloured["pygments"].add(name)
    wanted = {*table.words, *table.folded_words}
    assert wanted - coloured["textmate"] == set()
    assert wanted - coloured["pygments"] == set()


def _is_keyword(token: object) -> bool:
    return token in Keyword or token in Operator.Word or token is TOKENS["atom"]


@pytest.mark.parametrize("reader", ["textmate", "pygments"])
def test_words_are_coloured_as_the_parser_takes_them(reader: str) -> None:
    counts: Counter[tuple[bool, bool]] = Counter()
    missed: Counter[str] = Counter()
    for _, text, words in decided():
        found = [one.startswith(KEYWORD_SCOPES) for one in scopes(text)]
        tokens = [_is_keyword(token) for token in token_at(text)]
        coloured = found if reader == "textmate" else tokens
        for word in words:
            if word.text in BUILT_IN or word.text == "friends":
                continue
            counts[word.keyword, coloured[word.start]] += 1
            if word.keyword != coloured[word.start]:
                missed[f"{word.text} {'is a word' if word.keyword else 'is a name'}"] += 1
    right, wrong = counts[True, True], counts[True, False]
    assert right > 1500
    assert right / (right + wrong) >= KEYWORD_SHARE_MIN, missed.most_common(20)
    named, miscoloured = counts[False, False], counts[False, True]
    assert miscoloured / (named + miscoloured) <= NAME_SHARE_MAX, missed.most_common(20)


def test_no_word_is_coloured_inside_text() -> None:
    text = 'audience x = chat_tag("a AND last 30 days")  # account shop { AND }\n'
    inside = range(text.index('"') + 1, text.rindex('"'))
    assert {scopes(text)[at] for at in inside} == {"string.quoted.double.audsql"}
    assert {scopes(text)[at] for at in range(text.index("#"), len(text) - 1)} == {"comment.line.number-sign.audsql"}
    assert all(token_at(text)[at] in String for at in inside)
    assert all(token_at(text)[at] in Comment for at in range(text.index("#"), len(text) - 1))


def test_statements_that_have_only_begun_are_coloured() -> None:
    for word in STATEMENT_WORDS - {"for"}:
        assert scopes(f"{word} ")[0] == "keyword.declaration.audsql", word


def test_words_of_calls_need_their_bracket() -> None:
    for word in CALL_WORDS:
        assert scopes(f"{word}(")[0].startswith(KEYWORD_SCOPES)
        assert not scopes(f"{word},")[0].startswith(KEYWORD_SCOPES)


# --- Pygments -----------------------------------------------------------------------------------------


def test_pygments_gives_the_text_back() -> None:
    for place, text in corpus():
        assert "".join(part for _, part in tokens_of(text)) == text, place


def test_pygments_finds_no_error_in_valid_texts() -> None:
    for place, text in corpus():
        assert [part for token, part in tokens_of(text) if token in Error] == [], place


def test_pygments_reads_anything() -> None:
    for text in ("", '"', '"\\', "`", "\\", "\x00\ufeff\u202e", "audience x = （", "12A 0012 A-12"):
        assert "".join(part for _, part in tokens_of(text)) == text


def test_pygments_is_offered_and_needed_by_nobody_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pygments.lexers"] == {"audsql": "audsql.pygments:AudsqlLexer"}
    assert not any("ygments" in one for one in project["dependencies"])
    users = [
        path
        for path in sorted((ROOT / "src").rglob("*.py"))
        if path.name != "pygments.py" and re.search(r"^\s*(?:from|import) \S*pygments", path.read_text(), re.MULTILINE)
    ]
    assert users == []
