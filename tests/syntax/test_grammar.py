"""The grammar: without conflicts, complete, and in step with the rules of the specification."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import lark
import pytest

from audsql.near import nearest
from audsql.syntax import identifiers, lex
from audsql.syntax import table as tables
from audsql.syntax.build import ACTIONS, PLACELESS
from audsql.syntax.table import CALL_WORDS, parse_table, table_text

ROOT = Path(__file__).parents[2]
GRAMMAR = (ROOT / "grammar" / "audsql.lark").read_text(encoding="utf-8")


def test_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    lark.logger.addHandler(caplog.handler)
    lark.logger.setLevel(logging.DEBUG)
    try:
        lark.Lark(GRAMMAR, parser="lalr", start=["statement", "expression", "loop"], debug=True)
    finally:
        lark.logger.setLevel(logging.CRITICAL)
        lark.logger.removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records if "onflict" in record.getMessage()] == []


def test_every_production_has_a_builder() -> None:
    actions = {rule.action for rule in parse_table().rules}
    assert actions <= set(ACTIONS)
    assert set(PLACELESS) <= set(ACTIONS)


def test_words_of_the_lexer_are_those_of_the_grammar() -> None:
    words = set(parse_table().words)
    assert words >= lex.STATEMENT_WORDS
    assert words >= CALL_WORDS


def test_productions_name_rules_of_the_specification() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "specs" / "language").glob("*.md"))
    rules = set(re.findall(r"^### (\S+)$", pages, re.MULTILINE))
    named = re.findall(r"^// ((?:syntax|lexical)\.\w+)", GRAMMAR, re.MULTILINE)
    assert set(named) <= rules
    blocks = re.split(r"\n\n", GRAMMAR.split("%declare", 1)[1].split("\n\n", 1)[1])
    assert [block for block in blocks if "%declare" not in block and not block.lstrip().startswith("// ")] == []


def test_identifiers_are_those_of_their_unicode_version() -> None:
    import unicodedata

    if unicodedata.unidata_version != identifiers.UNICODE_VERSION:
        pytest.skip("this Python has another version of Unicode")
    start = [code for code in range(0x80, 0x110000) if chr(code).isidentifier()]
    going_on = [code for code in range(0x80, 0x110000) if f"a{chr(code)}".isidentifier()]
    for table, wanted in ((identifiers._START, start), (identifiers._CONTINUE, going_on)):
        first, last = identifiers._table(table)
        ranges = zip(first, last, strict=True)
        assert [code for low, high in ranges for code in range(low, high + 1)] == wanted
    assert identifiers.identifier_end("éか\u3099①", 0, 4) == 3


def test_nearest() -> None:
    words = ("always", "audience", "upload", "EXCEPT")
    assert nearest("adience", words) == "audience"
    assert nearest("ＵＰＬＯＡＤ", words) == "upload"
    assert nearest("uplaod", words) == "upload"
    assert nearest("xyz", words) is None
    assert nearest("", words) is None


def test_the_kept_table_is_taken_only_where_it_is_of_the_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is missing, is none, or is of another grammar, lark makes the same table."""
    table = parse_table()
    kept, made = (ROOT / "grammar" / "audsql.table.json").read_text(encoding="utf-8"), []
    monkeypatch.setattr(tables, "_made", lambda text: made.append(text) or table)
    for content, count in ((kept, 0), ("{}", 1), ("", 1), (kept.replace('"key":"', '"key":"1'), 1), (None, 1)):

        def beside(name: str, content: str | None = content) -> str:
            if name == "audsql.lark":
                return GRAMMAR
            assert name == "audsql.table.json"
            if content is None:
                raise FileNotFoundError(name)
            return content

        monkeypatch.setattr(tables, "_beside", beside)
        made.clear()
        assert parse_table.__wrapped__() == table
        assert made == [GRAMMAR] * count


def test_what_only_stands_for_its_part_is_passed_over() -> None:
    """A rule marked `?` without an action of its own is not in the table; every other rule is."""
    start = "%declare NAME END\nstatement: outer END\nexpression: outer\nloop: outer NAME END\n"
    inner = "single: NAME | NAME NAME NAME\n"
    for outer, kept in (("outer: single", ["outer"]), ("?outer: single", []), ("?outer: single -> alias", ["alias"])):
        actions = [rule.action for rule in tables._made(f"{start}{outer}\n{inner}").rules]
        assert [one for one in actions if one in ("outer", "alias")] == kept
        assert {"statement", "loop", "single"} <= set(actions)


def test_the_kept_table_is_of_this_grammar() -> None:
    kept = ROOT / "grammar" / "audsql.table.json"
    assert kept.read_text(encoding="utf-8") == table_text(), "run `make grammar`"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ("\\", '"\\\\"'),
        ('a"b\\n', '"a\\"b\\\\n"'),
        ("a\nb\tc", '"a\\nb\tc"'),
        ("\r", '"\\u{d}"'),
        ("\x00\x08\x0b\x1f\x7f", '"\\u{0}\\u{8}\\u{b}\\u{1f}\\u{7f}"'),
        ("\u200e\u202e\u2028é", '"\\u{200e}\\u{202e}\\u{2028}é"'),
    ],
)
def test_strings_are_written_as_they_are_read(text: str, written: str) -> None:
    assert lex.escaped(text) == written
    assert lex.string_text(written) == text
