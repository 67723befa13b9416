"""Sets in plain words: every kind of atom and condition, and formulas that are too long for a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sentence_table import SENTENCES
from sentence_world import KNOWN, meaning, said

from audsql.catalog import _words
from audsql.meaning import ir
from audsql.session.formulas import BESIDE_MAX, DEPTH_MAX, PARTS_MAX, formula, formula_text
from audsql.view.sentences import sentence


@pytest.mark.parametrize(("text", "english", "japanese"), SENTENCES, ids=[row[0] for row in SENTENCES])
def test_sentences(text: str, english: str, japanese: str) -> None:
    assert said(text, "en") == english
    assert said(text, "ja") == japanese


def test_there_is_a_sentence_for_everything() -> None:
    """Each kind of atom and of condition stands in the table at least once."""
    atoms = [atom for text, _, _ in SENTENCES for atom in ir.atoms_of(meaning(text))]
    rows = [atom for atom in atoms if isinstance(atom, ir.Rows)]
    found = {type(atom).__name__ for atom in atoms}
    found |= {type(one).__name__ for atom in rows for one in (*atom.rows, *atom.people)}
    assert found == {
        "Uploaded", "Rows", "Linked", "Mapped", "Bucket", "Lookalike", "Friends", "Clicked", "Opened", "Received",
        "RemoteAudience", "Attribute", "ColumnCompare", "ColumnIn", "ColumnMissing", "ColumnGiven", "Last", "Since",
        "Before", "Times", "Aggregate", "Latest",
    }  # fmt: skip
    assert {one.function for atom in rows for one in atom.people if isinstance(one, ir.Aggregate)} == {
        "sum", "avg", "min", "max"
    }  # fmt: skip
    assert len(SENTENCES) >= 60


@pytest.mark.parametrize("language", ["en", "ja"])
def test_constants(language: str) -> None:
    shown = [sentence(formula(one, KNOWN), language) for one in (ir.EVERYBODY, ir.NOBODY)]
    assert shown[0] != shown[1]
    assert all(len(lines) == 1 for lines in shown)


def test_phrases_have_the_forms_of_their_language() -> None:
    """English says and denies; Japanese goes on as well. No form is empty that a sentence could need."""
    for language, count in (("en", 2), ("ja", 3)):
        say = _words()[language]["say"]
        for key in (
            "uploaded",
            "clicked",
            "friends",
            "mapped",
            "rows",
            "in_rows",
            "age",
            "arm",
            "sample",
            "verb_other",
        ):
            forms = say[key].split("|")
            assert len(forms) == count, key
            assert all(forms), key
        assert all(len(forms.split("|")) == count for forms in say["verbs"].values())


# --- bounds -----------------------------------------------------------------------------------------


def leaves(count: int) -> list[ir.Expression]:
    return [ir.leaf(ir.Uploaded(f"list{index:05}")) for index in range(count)]


def test_many_parts_are_counted() -> None:
    lines = sentence(formula(ir.lor(*leaves(5_000)), KNOWN), "en")
    assert len(lines) == BESIDE_MAX + 2
    assert lines[-1] == f"  - and {5_000 - BESIDE_MAX:,} more parts"


def test_depth_is_bounded() -> None:
    node: ir.Expression = ir.leaf(ir.Uploaded("list"))
    for index, one in enumerate(leaves(3_000)):
        node = ir.land(one, node) if index % 2 else ir.lor(one, node)
    document = formula(node, KNOWN)
    assert json.loads(json.dumps(document)) == document
    for language in ("en", "ja"):
        lines = sentence(document, language)
        assert len(lines) <= PARTS_MAX + 2 * DEPTH_MAX
        assert max(len(line) - len(line.lstrip()) for line in lines) <= 4 * (DEPTH_MAX + 2)
    assert len(formula_text(node, KNOWN)) < 5_000


def test_made_of_one_another_without_end() -> None:
    """Sets inside atoms nest as deep as anything else."""
    node: ir.Expression = ir.leaf(ir.Uploaded("list"))
    for index in range(3_000):
        node = ir.lor(ir.leaf(ir.Lookalike(node, 100 + index)), ir.leaf(ir.Uploaded(f"list{index}")))
    assert len(formula_text(node, KNOWN)) < 5_000
    assert len(sentence(formula(node, KNOWN), "en")) <= PARTS_MAX


def test_width_and_depth_together_are_bounded() -> None:
    node = ir.lor(*leaves(40))
    for level in range(5):
        node = ir.lor(*(ir.land(node, ir.leaf(ir.Uploaded(f"l{level}.{index}"))) for index in range(40)))
    assert len(sentence(formula(node, KNOWN), "en")) <= 2 * PARTS_MAX


@pytest.mark.parametrize("name", ["a\x1b[31mb", "x\u202ey", "<b>", "a|b", "{people}", 'say "x"', "a\nb"])
def test_names_cannot_act(name: str) -> None:
    for atom in (ir.Uploaded(name), ir.Clicked(name, name), ir.RemoteAudience("", "CHAT_TAG", name)):
        for language in ("en", "ja"):
            (line,) = sentence(formula(ir.leaf(atom), KNOWN), language)
            assert not re.search("[\x00-\x1f\x7f\u202e]", line)
            assert name in line or not name.isprintable()


def test_every_word_of_sentences_is_used() -> None:
    """A word below `say` that nothing asks for is a sentence that nobody sees."""
    package = Path(__file__).parents[2] / "src" / "audsql"
    source = "".join((package / "view" / name).read_text(encoding="utf-8") for name in ("sentences.py", "explained.py"))
    families = {
        "verbs", "list", "value", "years", "days", "id_kind", "a_kind", "total", "op", "op_date", "last", "sub", "head",
        "full",
    }  # fmt: skip
    made = ("rows_", "times_", "window_", "column_", "chat_tag", "friend_path")
    kinds = {
        "uploaded",
        "linked",
        "opened",
        "received",
        "clicked",
        "mapped",
        "lookalike",
        "gender",
        "os",
        "since",
        "before",
    }
    for key in _words()["en"]["say"]:
        assert f'"{key}"' in source or key in families | kinds or key.startswith(made), key
