"""A project with something of every kind, and the words of its expressions."""

from __future__ import annotations

from audsql.meaning import ir
from audsql.meaning.lower import Analysis, analyse, lower_expression
from audsql.session.formulas import formula, known
from audsql.source import Source
from audsql.syntax.parse import parse_expression, parse_file
from audsql.view.sentences import sentence

SHOP = """
account shop { token: env("TOKEN") }
upload buyers { file: "buyers.txt"  id: user_id }
upload optout { file: "optout.txt"  id: user_id }
upload phones { file: "phones.txt"  id: phone }
table orders { file: "orders.csv"  id: user_id  time: ordered_at  verb purchased by product  verb visited }
table places { file: "places.csv"  id: user_id  time: at  verb checkin by place  verb reviewed by item }
table members { file: "members.csv"  id: user_id, phone }
message card { text: "hello" }
delivery spring { sent: "request-1"  at: 2026-11-10 10:00  by: broadcast }
delivery summer { sent: "request-2"  at: 2026-11-11 10:00  by: narrowcast }
split sale_test of purchased(A) { holdout 55%, a 45% } salt "2026-12"
"""


def world(text: str = SHOP) -> Analysis:
    """The meaning of a text that is free of errors."""
    file, told = parse_file(Source("shop.aud", text))
    analysis, found = analyse((file,), name="shop", timezone="Asia/Tokyo")
    assert [one.code for one in (*told, *found) if one.severity == "error"] == []
    return analysis


WORLD = world()
KNOWN = known(WORLD.project)


def meaning(text: str) -> ir.Expression:
    """What a text means in the shop; warnings apart, it is free of problems."""
    tree, told = parse_expression(text)
    assert tree is not None
    expression, found = lower_expression(tree, WORLD)
    assert [one.code for one in (*told, *found) if one.severity == "error"] == [], text
    return expression


def said(text: str, language: str) -> str:
    return "\n".join(sentence(formula(meaning(text), KNOWN), language))
