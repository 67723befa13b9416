"""What `explain --compile` says of random deliveries: its table is the set, its bounds hold, its schema fits."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
from compile_make import delivery, project
from hypothesis import assume, given, settings
from test_properties import expressions

from audsql.compile import decision
from audsql.compile.cofactor import express
from audsql.compile.program import Narrowcast, recipient_leaves
from audsql.compile.sends import working_of
from audsql.compile.shape import normal
from audsql.compile.working import Working
from audsql.meaning import ir
from audsql.session.compiled_matrix import apart, matrix_of
from audsql.session.compiling import compiled_delivery
from audsql.view.compiled import page, with_words
from audsql.view.compiled_graph import mermaid
from audsql.view.terminal import Style

SCHEMA = json.loads((Path(__file__).parents[2] / "specs/schemas/compile.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)


def _document(expression: ir.Expression) -> dict[str, Any]:
    made = project(delivery("sale", expression))
    return compiled_delivery(made.deliveries[0], made)[0]


def _working(expression: ir.Expression) -> Working | None:
    return working_of(delivery("sale", expression), {}, {}, {})


@settings(max_examples=60, deadline=None)
@given(expression=expressions())
def test_the_places_of_the_table_are_the_set(expression: ir.Expression) -> None:
    """All filled places together are whom the delivery reaches, no more and no less."""
    working = _working(expression)
    assume(working is not None)
    assert working is not None
    split, matrix = working.split, matrix_of(working)
    assert matrix is not None
    space = split.space
    levels = {rail: level for level, rail in enumerate(split.rails)}
    function = express(space, normal(working.function), levels)
    possible = decision.conjunction(space, (split.line_facts, split.attribute_facts, split.own_facts))
    filled = [
        decision.conjunction(space, (split.cells[row.cell], row.line, column.states))
        for number, row in enumerate(matrix.rows)
        for index, column in enumerate(matrix.columns)
        if matrix.at(number, index)
    ]
    assert decision.disjunction(space, filled) == decision.both(space, function, possible)


@settings(max_examples=60, deadline=None)
@given(expression=expressions())
def test_a_place_has_one_send(expression: ir.Expression) -> None:
    """Or a later one that leaves out who got the earlier, where the table says so."""
    working = _working(expression)
    assume(working is not None)
    assert working is not None
    matrix = matrix_of(working)
    assert matrix is not None
    pairs = apart(working, matrix)
    assert sum(len(found) for found in pairs.values()) == len(working.sends) * (len(working.sends) - 1) // 2
    for row in range(len(matrix.rows)):
        for column in range(len(matrix.columns)):
            sends = matrix.at(row, column)
            assert len(sends) <= 1 or set(pairwise(sends)) <= set(pairs.get("order", ()))


@settings(max_examples=60, deadline=None)
@given(expression=expressions())
def test_no_bound_is_above_what_was_found(expression: ir.Expression) -> None:
    working = _working(expression)
    assume(working is not None)
    assert working is not None
    found = _document(expression)
    for least in found["least"].values():
        assert least["value"] <= least["chosen"]
        assert least["exact"] == (least["value"] == least["chosen"])
    assert len(found["least"]["sends"]["witness"]) <= len(found["sends"])
    for send, told in zip(working.sends, found["sends"], strict=True):
        assert isinstance(send, Narrowcast)
        assert told["leaves_least"] <= told["leaves"] == len(recipient_leaves(send.recipient))


@settings(max_examples=60, deadline=None)
@given(expression=expressions())
def test_documents_fit_their_schema_and_can_be_read(expression: ir.Expression) -> None:
    found = _document(expression)
    VALIDATOR.validate(with_words(found))
    assert json.dumps(found) == json.dumps(_document(expression))
    for language in ("en", "ja"):
        shown = page(found, Style(language=language))
        assert not re.search(r"\{[a-z_]+\}", shown)
        assert mermaid(found, language).startswith("graph LR\n")
