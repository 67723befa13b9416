"""Renderings of many people: who is grouped with whom, who is left out and why, and what does not change that."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.data.data_helpers import AS_OF, user_id

from audsql.apply import personal
from audsql.apply.personal import Rendered, render_people, wording_of
from audsql.data.duckdb import open_engine
from audsql.data.engine import TableRow
from audsql.meaning.ir import Account, Message, Project, TableSource, TemplateField

TOKYO = ZoneInfo("Asia/Tokyo")
HELLO = Message("hi", template="{{ name }}: {{ points }}", table="members",
                fields=(TemplateField("name", "string"), TemplateField("points", "number", Decimal(0))))  # fmt: skip
LAST = Message(
    "last", template="bought {{ item }}", table="orders", fields=(TemplateField("item", "string", "nothing"),)
)
CODE = Message("code", template="{{ name }} {{ own }}", table="members",
               fields=(TemplateField("name", "string"), TemplateField("own", "string", pool="winter")))  # fmt: skip
LINK = {"type": "flex", "altText": "{{ name }}", "contents": {"type": "bubble", "hero": {
    "type": "image", "url": "{{ url }}"}}}  # fmt: skip
PICTURE = Message("picture", file="p.json", table="members",
                  fields=(TemplateField("name", "string"), TemplateField("url", "string")))  # fmt: skip
OBJECTS: Mapping[str, Sequence[Any]] = {
    "hi": ({"type": "text", "text": HELLO.template},),
    "last": ({"type": "text", "text": LAST.template},),
    "code": ({"type": "text", "text": CODE.template},),
    "picture": (LINK,),
    "plain": ({"type": "text", "text": "hello"}, {"type": "sticker", "packageId": "1", "stickerId": "2"}),
}
PERSONAL = {one.name: one for one in (HELLO, LAST, CODE, PICTURE)}
TABLES = (
    TableSource("members", "members.csv", (("user_id", "user_id"),)),
    TableSource("orders", "orders.csv", (("user_id", "user_id"),), time_column="at"),
)


def _rendered(
    root: Path, names: Sequence[str], people: Sequence[int], members: str = "", orders: str = "", **more: Any
) -> Rendered:
    (root / "members.csv").write_text(f"user_id,name,points,url\n{members}", "utf-8")
    (root / "orders.csv").write_text(f"user_id,at,item\n{orders}", "utf-8")
    project = Project("shop", "Asia/Tokyo", (Account("shop", "TOKEN"),), tables=TABLES)
    engine = open_engine(project, root, root / ".audsql" / "cache")
    found, problems = render_people(
        engine, wording_of(names, OBJECTS, PERSONAL, TOKYO), [user_id(one) for one in people], AS_OF, **more
    )
    assert found is not None, problems
    return found


def _texts(rendered: Rendered) -> list[tuple[list[str], tuple[int, ...]]]:
    return [
        ([str(one.get("text", one["type"])) for one in group.messages], group.people) for group in rendered.groups()
    ]


def _members(*rows: tuple[int, str]) -> str:
    return "".join(f"{user_id(number)},{rest}\n" for number, rest in rows)


def test_equal_words_go_together_the_largest_group_first(tmp_path: Path) -> None:
    members = _members((1, "anna,5,"), (2, "ben,1,"), (3, "anna,5.0,"), (4, "carl,,"), (5, "ben,1,"), (6, "anna,5,"))
    rendered = _rendered(tmp_path, ["hi"], [1, 2, 3, 4, 5, 6], members)
    assert _texts(rendered) == [(["anna: 5"], (0, 2, 5)), (["ben: 1"], (1, 4)), (["carl: 0"], (3,))]
    assert (rendered.distinct, rendered.left) == (3, ())
    assert _texts(rendered) == _texts(rendered), "as often as they are asked for"
    rendered.close()


def test_nobody_at_all_is_no_group(tmp_path: Path) -> None:
    assert _texts(_rendered(tmp_path, ["hi"], [])) == []
    assert _texts(_rendered(tmp_path, ["hi"], [1])) == []


def test_several_messages_from_several_tables_and_plain_ones(tmp_path: Path) -> None:
    orders = f"{user_id(1)},2026-11-01,tea\n{user_id(1)},2026-11-05,rice\n{user_id(1)},2027-01-01,later\n"
    rendered = _rendered(tmp_path, ["plain", "hi", "last"], [2, 1], _members((1, "anna,5,"), (2, "ben,,")), orders)
    assert _texts(rendered) == [
        (["hello", "sticker", "ben: 0", "bought nothing"], (0,)),
        (["hello", "sticker", "anna: 5", "bought rice"], (1,)),
    ]
    assert sorted(rendered.sources) == ["members", "orders"]
    assert json.loads(next(rendered.groups()).body)[1] == OBJECTS["plain"][1]


def test_all_the_same_words_are_one_group(tmp_path: Path) -> None:
    assert _texts(_rendered(tmp_path, ["plain"], [3, 1, 2])) == [(["hello", "sticker"], (0, 1, 2))]


def test_who_is_left_out_and_why(tmp_path: Path) -> None:
    members = _members(
        (1, "anna,5,https://a.example/1"), (2, ",5,https://a.example/2"), (3, "carl,5,"), (4, "dora,5,not a link"),
        (5, "eva,5,https://a.example/5"), (5, "eva,6,https://a.example/5"), (6, "x,1,https://a.example/"),
        (6, "y,1,https://a.example/"), (7, f"{'x' * 1501},1,https://a.example/"),
    )  # fmt: skip
    rendered = _rendered(tmp_path, ["picture"], [1, 2, 3, 4, 5, 6, 7, 8], members)
    found = [(one.reason, one.people, one.columns or one.table, one.path, one.code) for one in rendered.left]
    assert found == [
        ("illegal", (6,), ("name",), "[0].altText", "AUD1105"),
        ("illegal", (3,), ("url",), "[0].contents.hero.url", "AUD1106"),
        ("missing", (1,), ("name",), "", ""),
        ("missing", (7,), ("name", "url"), "", ""),
        ("missing", (2,), ("url",), "", ""),
        ("several", (5,), "members", "", ""),
    ]
    assert sorted(one for group in rendered.groups() for one in group.people) == [0, 4], "two rows that say the same"


def test_rows_of_one_time_that_differ_decide_nothing(tmp_path: Path) -> None:
    orders = "".join(f"{user_id(one)},{at},{item}\n" for one, at, item in (
        (1, "2026-11-05", "a"), (1, "2026-11-05", "b"), (2, "2026-11-05", "a"), (2, "2026-11-05", "a"),
        (3, "", "old"), (3, "2026-11-01", "new"), (4, "", "x"), (4, "", "y")))  # fmt: skip
    rendered = _rendered(tmp_path, ["last"], [1, 2, 3, 4], "", orders)
    assert [(one.reason, one.people) for one in rendered.left] == [("several", (0, 3))]
    assert _texts(rendered) == [(["bought a"], (1,)), (["bought new"], (2,))]


def test_codes_are_each_persons_own_and_without_one_nothing_is_said(tmp_path: Path) -> None:
    members = _members((1, "anna,,"), (2, "anna,,"), (3, "anna,,"))
    rendered = _rendered(tmp_path, ["code"], [1, 2, 3], members, codes={"winter": ["A1", None, "A3"]})
    assert _texts(rendered) == [(["anna A1"], (0,)), (["anna A3"], (2,))]
    assert [(one.reason, one.people, one.pool) for one in rendered.left] == [("code", (1,), "winter")]


def test_a_row_that_is_given_counts_and_a_person_may_come_twice(tmp_path: Path) -> None:
    given = {"orders": [TableRow(user_id(1), None, ("tea",)), None, TableRow(user_id(1), None, ("rice",))]}
    rendered = _rendered(tmp_path, ["hi", "last"], [1, 2, 1], _members((1, "anna,1,"), (2, "ben,1,")), given=given)
    assert _texts(rendered) == [
        (["anna: 1", "bought tea"], (0,)), (["ben: 1", "bought nothing"], (1,)), (["anna: 1", "bought rice"], (2,)),
    ]  # fmt: skip


def test_what_does_not_fit_into_memory_is_made_again_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = random.Random(3)
    rows = [(number, f"{chosen.choice('abcdefgh')},{chosen.randrange(4)},") for number in range(1, 301)]
    people = list(range(1, 301))
    chosen.shuffle(people)
    whole = _texts(_rendered(tmp_path, ["hi"], people, _members(*rows)))
    chosen.shuffle(rows)
    for room in (0, 100, 1_000):
        monkeypatch.setattr(personal, "_KEPT_BYTES_MAX", room)
        assert _texts(_rendered(tmp_path, ["hi"], people, _members(*rows))) == whole
    assert [len(group) for _, group in whole] == sorted((len(group) for _, group in whole), reverse=True)
    assert sorted(one for _, group in whole for one in group) == list(range(300))


def test_values_cannot_leave_their_strings(tmp_path: Path) -> None:
    hostile = '\\"}],\x7f"{{ points }}\u2028<b>'
    quoted = hostile.replace('"', '""')
    rendered = _rendered(tmp_path, ["hi", "plain"], [1], _members((1, f'"{quoted}",1,')))
    assert _texts(rendered)[0][0] == [f"{hostile}: 1", "hello", "sticker"]
