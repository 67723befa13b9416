"""docs/personal.md and its Japanese twin: recipes hold, and the card can be filled in."""

from __future__ import annotations

import json

import pytest
from documents import blocks_of

from audsql import session
from audsql.line.filling import check_filling
from audsql.meaning.ir import Message, TemplateField

PAGES = ("personal.md", "personal.ja.md")


@pytest.mark.parametrize("page", PAGES)
def test_recipes_have_no_errors(page: str) -> None:
    blocks = blocks_of(page)
    base = "".join(one.text for one in blocks if one.about == "base")
    recipes = [one for one in blocks if one.is_recipe]
    assert len(recipes) == 3
    for one in recipes:
        found = session.check_text(base + one.text)
        problems = found[0] if isinstance(found, tuple) and found and isinstance(found[0], tuple) else found
        assert [problem.code for problem in problems if problem.severity == "error"] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_card_can_be_filled_in(page: str) -> None:
    (card,) = [json.loads(one.text) for one in blocks_of(page) if one.about == "card.json"]
    fields = tuple(TemplateField(name, "string") for name in ("name", "item", "title"))
    assert check_filling(Message("card", file="card.json", table="members", fields=fields), [card]) == ()
