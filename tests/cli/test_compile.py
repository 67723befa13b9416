"""`audsql explain DELIVERY --compile` as a reviewer meets it (specs/explain.md, `explain.compile`)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audsql import session
from audsql.cli.app import run
from audsql.cli.exits import Code
from audsql.line.limits import FILTER_LEAVES_MAX, RECIPIENT_LEAVES_MAX
from audsql.source import cell_width
from audsql.view import compiled_graph
from audsql.view.compiled import page, with_words
from audsql.view.terminal import Style

Captured = pytest.CaptureFixture[str]

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "specs/schemas/compile.schema.json").read_text(encoding="utf-8"))
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/audsql.toml"))
SPEC = """
account shop { token: env("T") }
upload buyers { file: "buyers.txt"  id: user_id }
upload optout { file: "optout.txt"  id: user_id }
table orders { file: "orders.csv"  id: user_id  time: ordered_at  verb purchased by product }
delivery msg42 { sent: "bb9744f9-47fa-4a29-941e-1234567890ab"  at: 2026-11-10 10:00  by: broadcast }
message card { text: "hello" }
"""
POLICY = "policy house { always except uploaded(optout) }"
FOUNDING = "clicked(msg42) AND purchased(A) EXCEPT uploaded(buyers)"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUDSQL_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "audsql.toml").write_text('[project]\nname = "shop"\ntimezone = "Asia/Tokyo"\n')
    (tmp_path / "shop.aud").write_text(SPEC)
    return tmp_path


def write(project: Path, reach: str, entries: str = "", more: str = "") -> None:
    (project / "sale.aud").write_text(
        f"delivery sale {{ to: {reach}  send: card  {entries} }}\n{more}\n", encoding="utf-8"
    )


def document(project: Path, name: str = "sale") -> dict[str, Any]:
    """The document, valid against its schema."""
    found, _ = session.compiled(session.open_project(project), name)
    assert found is not None
    told = with_words(found)
    jsonschema.validate(told, SCHEMA)
    return told


def text(project: Path, name: str = "sale", language: str = "en") -> str:
    return page(document(project, name), Style(language=language))


# --- what is shown ----------------------------------------------------------------------------------


def test_the_founding_sentence_fits_on_a_screen(project: Path, capsys: Captured) -> None:
    write(project, FOUNDING, more=POLICY)
    assert run(["explain", "sale", "--compile", "--project", str(project)]) == Code.DONE
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) <= 45
    assert "People who clicked msg42 and bought A, but" in shown
    assert "the policy house takes away: uploaded(optout)" in shown
    assert "  1    1      clicked(msg42)    1\n" in shown
    assert "to [clicked(msg42)] AND [upload 1]   (2 of 10 audiences)" in shown


def test_groups_have_codes_and_the_unlisted_has_none(project: Path) -> None:
    write(project, "(purchased(A) AND area(tokyo)) OR (purchased(B) AND area(osaka))")
    found = document(project)
    codes = [tuple(group["uploads"]) for group in found["groups"]]
    assert len(set(codes)) == len(codes) == 4
    assert [group["unlisted"] for group in found["groups"]] == [False, False, False, True]
    assert codes[-1] == ()
    for upload in found["uploads"]:
        assert upload["groups"] == [one["number"] for one in found["groups"] if upload["number"] in one["uploads"]]


def test_sends_are_as_line_takes_them(project: Path) -> None:
    write(project, "clicked(msg42) OR (purchased(A) AND gender(female))")
    found = document(project)
    assert [one["line"].get("filter") for one in found["sends"]] == [
        None,
        {"demographic": {"type": "gender", "oneOf": ["female"]}},
    ]
    assert found["sends"][0]["leaves_max"] == RECIPIENT_LEAVES_MAX
    assert found["sends"][1]["conditions_max"] == FILTER_LEAVES_MAX
    assert "upload 1" in json.dumps(found["sends"][1]["line"])
    assert found["sends"][0]["bound"] is None
    assert found["sends"][1]["bound"]["text"].startswith("purchased(A)")


def test_certain_facts_and_those_that_may_move(project: Path) -> None:
    write(project, "(purchased(A, last 30 days) AND clicked(msg42)) OR (purchased(A) AND opened(msg42))")
    assert document(project)["facts"]["used"] == [
        {"is": "within", "of": ["purchased(A, last 30 days)", "purchased(A)"], "why": "window"}
    ]
    write(project, "(purchased(A) AND clicked(msg42)) EXCEPT purchased(A, last 30 days)")
    facts = document(project)["facts"]
    assert [one["of"] for one in facts["unused"]] == [["purchased(A, last 30 days)", "purchased(A)"]]
    assert facts["used"] == []
    assert "was not relied on" in text(project)


def test_values_of_one_attribute_are_one_fact(project: Path) -> None:
    write(project, "(purchased(A) AND age(20..34)) OR (purchased(B) AND age(35..44))")
    apart = [one for one in document(project)["facts"]["used"] if one["is"] == "apart"]
    assert [one["why"] for one in apart] == ["one_value"]
    assert len(apart[0]["of"]) == 5


def test_each_bound_has_its_reason(project: Path) -> None:
    write(project, "clicked(msg42) OR (purchased(A) AND gender(female))")
    least = document(project)["least"]
    assert (least["sends"]["chosen"], least["sends"]["value"], least["sends"]["exact"]) == (2, 2, True)
    assert least["uploads"] == {"chosen": 1, "value": 1, "reason": "cells", "exact": True}
    assert least["sends"]["witness"] == [{"row": 1, "column": 2}, {"row": 2, "column": 1}]
    assert "No two of these places fit into one send: row 1 in b, row 2 in a." in text(project)


def test_what_no_two_of_can_be_in_one_send(project: Path) -> None:
    """Of any two witnesses one of the other corners of the table is reached by nobody."""
    write(project, "(purchased(A) AND area(tokyo)) OR (clicked(msg42) AND area(osaka)) OR (opened(msg42) AND os(ios))")
    found = document(project)
    rows = {row["number"]: row["sends"] for row in found["matrix"]["rows"]}
    places = [(one["row"], one["column"] - 1) for one in found["least"]["sends"]["witness"]]
    assert 2 <= len(places) <= found["least"]["sends"]["value"]
    for row, column in places:
        assert rows[row][column]
        others = [place for place in places if place != (row, column)]
        assert all(not (rows[row][other[1]] and rows[other[0]][column]) for other in others)


def test_empty_uploads(project: Path) -> None:
    write(project, "clicked(msg42) OR purchased(A)")
    found = document(project)
    assert [change["becomes"] for one in found["empty"] for change in one["sends"]].count("smaller") >= 1
    write(project, "clicked(msg42) AND purchased(A)")
    assert [change["becomes"] for one in document(project)["empty"] for change in one["sends"]] == ["dropped"]
    assert "is not made; without these people it reaches nobody" in text(project)


def test_more_than_line_takes_in_one_request(project: Path) -> None:
    """Two of five audiences: one tree would have more leaves than LINE takes."""
    one, two, three, four, five = (f'chat_tag("t{number}")' for number in range(5))
    half = f"({one} AND {two}) OR ({three} AND {four}) OR (({one} OR {two}) AND ({three} OR {four}))"
    write(project, f"{half} OR (({one} OR {two} OR {three} OR {four}) AND {five})")
    found = document(project)
    assert found["outcome"] == "narrowcasts"
    assert len(found["sends"]) > found["least"]["sends"]["value"]
    assert [one["taken"] for one in found["fallbacks"]][-1:] == [True]
    assert all(send["leaves"] <= RECIPIENT_LEAVES_MAX for send in found["sends"])
    assert found["sends"][1]["guards"] == [0]
    shown = text(project)
    assert "this fits, with 2 sends" in shown
    assert "leaves out whoever got send 1" in shown


def test_long_pages_are_cut_and_what_is_left_out_is_counted(project: Path) -> None:
    areas = ("tokyo", "osaka", "kyoto", "hokkaido")
    write(project, " OR ".join(f"(purchased(P{number}) AND area({area}))" for number, area in enumerate(areas)))
    found, shown = document(project), text(project)
    assert len(found["sends"]) == 15
    assert len(re.findall(r"^  send \d+", shown, re.MULTILINE)) == 12
    assert "and 3 more sends" in shown
    assert found["matrix"]["columns_left_out"] > 0
    assert f"and {found['matrix']['columns_left_out']} more columns" in shown
    assert "no group is in two" in shown


# --- what is not sent by narrowcast -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "entries", "outcome", "shown"),
    [
        ("purchased(A)", "by: multicast", "multicast", "A multicast, by user ID"),
        ("purchased(A, last 3 days) allow empty", "", "nothing", "nobody can be in the set"),
    ],
)
def test_other_ways(reach: str, entries: str, outcome: str, shown: str, project: Path) -> None:
    write(project, reach, entries, "delivery first { to: purchased(A)  send: card }\npriority [first, sale]")
    if outcome != "nothing":
        write(project, reach, entries)
    assert document(project)["outcome"] == outcome
    assert shown in text(project)


def test_broadcast(project: Path) -> None:
    write(project, "friends", "by: broadcast")
    assert document(project)["outcome"] == "broadcast"
    assert "A broadcast to all friends" in text(project)


@pytest.mark.parametrize(
    ("reach", "entries", "code", "reached"),
    [
        (" AND ".join(f'chat_tag("t{number}")' for number in range(14)), "", "AUD0401", "uploads"),
        ("clicked(msg42) OR (purchased(A) AND gender(female))", "limit: 5", "AUD0408", "all"),
    ],
)
def test_what_cannot_be_sent(
    reach: str, entries: str, code: str, reached: str, project: Path, capsys: Captured
) -> None:
    write(project, reach, entries)
    found = document(project)
    assert found["outcome"] == "refused"
    assert (found["error"]["code"], found["error"]["reached"]) == (code, reached)
    assert run(["explain", "sale", "--compile", "--project", str(project)]) == Code.ERROR
    printed = capsys.readouterr()
    assert f"error[{code}]" in printed.err
    assert f"error[{code}]" in printed.out
    assert "The set\n" in printed.out


def test_a_circle_of_deliveries(project: Path) -> None:
    more = "delivery other { to: clicked(sale)  send: card }"
    write(project, "clicked(other) AND purchased(A)", more=more)
    found = document(project)
    assert found["outcome"] in ("refused", "broken")
    assert text(project)


def test_a_delivery_before_of_which_nothing_is_sent(project: Path) -> None:
    more = "delivery second { to: purchased(A, last 3 days) allow empty  send: card }"
    more += "\ndelivery first { to: purchased(A)  send: card }\npriority [first, second]"
    write(project, "clicked(second) OR purchased(B)", more=more)
    assert {"world": "line", "text": "clicked(second)", "is": "nobody"} in document(project)["conditions"]
    assert "clicked(second) is nobody" in text(project)


def test_sent_elsewhere_and_broken(project: Path) -> None:
    write(project, "purchased(A) AND unknown_name")
    assert document(project, "msg42")["outcome"] in ("elsewhere", "broken")
    assert document(project)["outcome"] == "broken"
    assert "audsql check" in text(project)


def test_parts_of_the_delivery_before(project: Path) -> None:
    """Clicks of a delivery with two sends are two audiences."""
    more = "delivery first { to: opened(msg42) OR (purchased(A) AND gender(female))  send: card }"
    write(project, "clicked(first)", more=more)
    found = document(project)
    assert sorted(set(found["labels"].values()) - {"upload 1"}) == ["clicked(first)", "clicked(first) part 1"]
    assert found["sends"][0]["leaves"] >= 2


# --- names, formats, languages ----------------------------------------------------------------------


def test_unknown_names_and_other_things(project: Path, capsys: Captured) -> None:
    write(project, FOUNDING)
    assert run(["explain", "sael", "--compile", "--project", str(project)]) == Code.ERROR
    told = capsys.readouterr().err
    assert "AUD0042" in told
    assert "did you mean `sale`?" in told
    assert run(["explain", "buyers", "--compile", "--project", str(project)]) == Code.ERROR
    assert "declares no `delivery.buyers`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--compile"], ["sale", "--compile", "--person", "U" + "a" * 32], ["sale", "--format", "mermaid"]],
)
def test_options_that_do_not_go_together(arguments: list[str], project: Path, capsys: Captured) -> None:
    write(project, FOUNDING)
    assert run(["explain", *arguments, "--project", str(project)]) == Code.USAGE
    assert "AUD0062" in capsys.readouterr().err


def test_json_and_mermaid(project: Path, capsys: Captured) -> None:
    write(project, FOUNDING)
    where = ["--compile", "--project", str(project)]
    assert run(["explain", "delivery.sale", *where, "--json"]) == Code.DONE
    printed = capsys.readouterr().out
    assert json.loads(printed) == json.loads(json.dumps(document(project)))
    assert run(["explain", "sale", *where, "--format", "mermaid"]) == Code.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "graph LR"
    nodes = {line.split("[")[0].strip() for line in lines[1:] if "[" in line}
    assert {"o0", "g1", "u1", "s0", "l0"} <= nodes
    for line in lines[1:]:
        edge = re.fullmatch(r"  (\w+) (?:-- .+ )?--> (\w+)", line)
        assert edge is None or {edge[1], edge[2]} <= nodes
    assert "  u1 --> s0" in lines


def test_names_cannot_leave_their_labels(project: Path) -> None:
    evil = 'a"]; click n0 "x" %%{init}%% <b>|{`'
    write(project, f"clicked(msg42) AND chat_tag({json.dumps(evil)}) AND purchased({json.dumps(evil)})")
    drawn = compiled_graph.mermaid(document(project), "en")
    for line in drawn.splitlines():
        label = re.fullmatch(r'  \w+\["([^"]*)"\]', line)
        if label:
            assert not set(label[1]) & set("<>`{}%|\\")
    assert evil not in drawn


def test_japanese_tables_are_aligned(project: Path) -> None:
    write(project, "clicked(msg42) OR (purchased(A) AND gender(female))")
    shown = text(project, language="ja").splitlines()
    start = next(index for index, line in enumerate(shown) if line.lstrip().startswith("行 "))
    heads, first = shown[start], shown[start + 1]
    column = cell_width(heads[: heads.index("LINE")])
    assert cell_width(first[: first.index("clicked")]) == column
    assert not re.search(r"[ぁ-ん]", text(project))
    assert "{" not in re.sub(r"\{\".*", "", "\n".join(shown).split("送信対象")[0])


def test_no_ids_and_no_file_is_read(project: Path) -> None:
    """No data file exists, and the document says nothing of one."""
    write(project, FOUNDING)
    assert not list(project.glob("*.csv"))
    assert "csv" not in json.dumps(document(project))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_explained(folder: Path) -> None:
    opened = session.open_project(folder)
    for name in session.deliveries(opened):
        found, problems = session.compiled(opened, name)
        assert found is not None
        assert [one.code for one in problems if one.severity == "error"] == []
        jsonschema.validate(with_words(found), SCHEMA)
        again, _ = session.compiled(session.open_project(folder), name)
        assert found == again
        for language in ("en", "ja"):
            shown = page(found, Style(language=language))
            assert not re.search(r"\{[a-z_]+\}", shown)
            assert compiled_graph.mermaid(found, language).startswith("graph LR\n")
