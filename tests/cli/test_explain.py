"""`audsql explain` and `audsql graph` as a user meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from audsql import session
from audsql.cli.app import run
from audsql.cli.exits import Code

Captured = pytest.CaptureFixture[str]

ANN, BOB, CID = (f"U{letter * 32}" for letter in "abc")
SPEC = """
account shop { token: env("T") }
# Everybody who has bought a shirt.
upload buyers { file: "data/buyers.txt"  id: user_id }
upload optout { file: "data/optout.txt"  id: user_id }
table orders { file: "data/orders.csv"  id: user_id  time: ordered_at  verb purchased by product }
delivery spring { sent: "bb9744f9-47fa-4a29-941e-1234567890ab"  at: 2026-11-10 10:00  by: broadcast }
message card { text: "hello" }

# Bought A, but not lately.
# Nobody is asked twice.
audience lapsed = purchased(A) EXCEPT purchased(A, last 90 days)
audience warm = clicked(spring) AND lapsed
audience `夏 の人` = warm OR uploaded(buyers)
audience doubled = (purchased(A) AND purchased(B)) OR (purchased(A) EXCEPT purchased(B))
split sale_test of lapsed { a 50%, b 50% } salt "2026-12"
delivery sale_a { to: sale_test.a OR warm  send: card  at: 2026-12-01 10:00 }
delivery sale_b { to: uploaded(buyers)  send: card  every: monday 10:00 }
priority [sale_a, sale_b]
policy house { always except uploaded(optout)  require reach >= 50 }
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUDSQL_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "audsql.toml").write_text('[project]\nname = "shop"\ntimezone = "Asia/Tokyo"\n')
    (tmp_path / "shop.aud").write_text(SPEC)
    (tmp_path / "data" / "buyers.txt").write_text(f"{ANN}\n")
    (tmp_path / "data" / "optout.txt").write_text(f"{BOB}\n")
    rows = [f"{ANN},A,2026-01-05 10:00", f"{BOB},A,2026-01-06 10:00", f"{BOB},A,2026-11-06 10:00"]
    (tmp_path / "data" / "orders.csv").write_text("\n".join(["user_id,product,ordered_at", *rows, ""]))
    return tmp_path


def explain(project: Path, capsys: Captured, *arguments: str) -> str:
    assert run(["explain", *arguments, "--project", str(project)]) == 0
    return capsys.readouterr().out


def document(project: Path, capsys: Captured, *arguments: str) -> dict[str, Any]:
    return json.loads(explain(project, capsys, *arguments, "--json"))


# --- names ------------------------------------------------------------------------------------------


def test_an_audience_with_parameters_is_used_by_its_calls(project: Path, capsys: Captured) -> None:
    (project / "more.aud").write_text(
        "audience late(p) = purchased(p)\n"
        "delivery reminder { to: late(A)  send: card  at: 2027-12-01 10:00 }\n"
    )  # fmt: skip
    found = document(project, capsys, "late")
    assert found["used_by"] == ["audience.late(A)"]
    assert "delivery.reminder" in found["used_by_through"]
    assert "audience.late" in document(project, capsys, "late(A)")["uses"]


def test_an_audience(project: Path, capsys: Captured) -> None:
    assert explain(project, capsys, "lapsed") == (
        "audience lapsed\n"
        "  Bought A, but not lately.\n"
        "  Nobody is asked twice.\n"
        "\n"
        "Means:\n"
        "  People who bought A, but have not bought A in the last 90 days.\n"
        "  as a formula: purchased(A) EXCEPT purchased(A, last 90 days)\n"
        "\n"
        "  - Its members are known by LINE user ID.\n"
        "  - Its members can be listed: your own data hold all of it.\n"
        "\n"
        "Uses: table.orders\n"
        "\n"
        "Used by: audience.warm, split.sale_test\n"
        "Through those: audience.夏 の人, delivery.sale_a, delivery.sale_b\n"
    )


def test_in_japanese(project: Path, capsys: Captured) -> None:
    text = explain(project, capsys, "warm", "--lang", "ja")
    assert "  spring をクリックし、Aを購入した人。ただし過去90日間にAを購入した人を除く。\n" in text
    assert "`clicked(spring)` は LINE が持っているため、中の人を一覧にできません。" in text


def test_the_formula_is_the_shortest(project: Path, capsys: Captured) -> None:
    text = explain(project, capsys, "doubled")
    assert "  People who bought A.\n  as a formula: purchased(A)\n" in text


def test_a_delivery(project: Path, capsys: Captured) -> None:
    found = document(project, capsys, "sale_b")
    assert [one["role"] for one in found["sets"]] == ["reaches", "to"]
    says = {point["say"]: point["facts"] for point in found["points"]}
    assert says["sends"] == {"messages": ["card"]}
    assert says["every_week"]["time"] == "10:00"
    assert says["less_policy"] == {"name": "house", "text": "uploaded(optout)"}
    assert says["behind"] == {"names": ["sale_a"]}
    assert found["sets"][1]["words"] == {
        "en": ["People who are on the list buyers."],
        "ja": ["リスト buyers に載っている人。"],
    }
    reaches = found["sets"][0]["words"]["en"]
    assert any("they are on the list optout" in line for line in reaches)
    assert found["uses"] == ["delivery.sale_a", "message.card", "policy.house", "upload.buyers"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("buyers", "A list of LINE user IDs in data/buyers.txt."),
        ("orders", "`purchased(...)` is whoever has a row whose product is the value."),
        ("purchased", "Whoever has a row in orders whose product is the value."),
        ("card", "The text: hello"),
        ("shop", "The token stands in the environment variable T."),
        ("spring", "It was sent elsewhere, as request bb9744f9-47fa-4a29-941e-1234567890ab"),
        ("house", "A delivery must reach at least 50 people."),
        ("policy.house", "People who are on the list optout."),
        ("audience.lapsed", "People who bought A, but have not bought A in the last 90 days."),
        ("sale_test", "- a: 50% of them, chosen by a fixed hash."),
        ("sale_test.b", "are in arm b of the test sale_test (50%, chosen by a fixed hash)"),
        ("夏 の人", "they are on the list buyers"),
        ("sale_a", "At 2026-12-01 10:00 (Asia/Tokyo)."),
    ],
)
def test_every_kind(name: str, shown: str, project: Path, capsys: Captured) -> None:
    assert shown in explain(project, capsys, name)
    found = document(project, capsys, name, "--lang", "ja")
    assert found["format_version"] == "1.0"
    assert explain(project, capsys, name, "--lang", "ja").strip()


def test_limits_come_from_the_table(project: Path, capsys: Captured) -> None:
    from audsql.line.limits import RECIPIENTS_MIN, RETARGETING_AGE_DAYS_MAX

    facts = {point["say"]: point["facts"] for point in document(project, capsys, "warm")["points"]}
    assert facts["limit_clicks"] == {"days": RETARGETING_AGE_DAYS_MAX}
    assert facts["limit_few"] == {"count": RECIPIENTS_MIN}
    assert facts["opaque"]["atom"] == "clicked(spring)"


def test_what_there_is(project: Path, capsys: Captured) -> None:
    text = explain(project, capsys)
    assert "  audience: doubled, lapsed, warm, 夏 の人\n" in text
    assert "  split: sale_test, sale_test.a, sale_test.b\n" in text
    for names in document(project, capsys)["names"].values():
        for name in names:
            assert explain(project, capsys, name)


def test_a_name_that_is_not_there(project: Path, capsys: Captured) -> None:
    assert run(["explain", "lapset", "--project", str(project)]) == Code.ERROR
    err = capsys.readouterr().err
    assert "error[AUD0042]" in err
    assert "did you mean `lapsed`?" in err


def test_what_has_errors_is_explained_as_far_as_it_goes(project: Path, capsys: Captured) -> None:
    (project / "shop.aud").write_text(SPEC + "audience broken = nothing_here AND uploaded(buyers)\n")
    text = explain(project, capsys, "broken")
    assert "It has errors: see `audsql check`." in text
    assert "Uses: upload.buyers" in text


def test_explaining_reads_no_data(project: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from audsql.cli.app import run; code = run(sys.argv[1:]);"
        "heavy = {'duckdb', 'numpy', 'httpx'} & set(sys.modules); sys.exit(code or len(heavy))"
    )
    for arguments in (["explain", "warm"], ["explain"], ["graph", "--format", "mermaid"]):
        command = [sys.executable, "-c", program, *arguments, "--project", str(project)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0, arguments


def test_a_code_shows_its_message(capsys: Captured) -> None:
    assert run(["explain", "AUD0201", "--lang", "en"]) == 0
    out = capsys.readouterr().out
    assert "The message begins: error[AUD0201]: " in out
    assert "This does not:" in out


# --- one person -------------------------------------------------------------------------------------

AS_OF = ("--as-of", "2026-11-21")


def values(found: dict[str, Any]) -> dict[str, bool | None]:
    return {row["text"] or f"{row['is']} {row['name']}".strip(): row["value"] for row in found["parts"]}


def test_a_person(project: Path, capsys: Captured) -> None:
    assert explain(project, capsys, "sale_a", "--person", ANN, *AS_OF).splitlines()[3:] == [
        "  delivery sale_a: " + ("yes" if in_arm(ANN) else "unknown"),
        "    among those it is written for: " + ("yes" if in_arm(ANN) else "unknown"),
        "      at least one of these: " + ("yes" if in_arm(ANN) else "unknown"),
        "        sale_test.a: " + ("yes" if in_arm(ANN) else "no"),
        "          lapsed: yes",
        "            all of this: yes",
        "              purchased(A): yes",
        "              not this: yes",
        "                purchased(A, last 90 days): no",
        "        warm: unknown",
        "          all of this: unknown",
        "            clicked(spring): unknown",
        "            lapsed: yes",
        "    not taken away by policy house: yes",
        "      uploaded(optout): no",
        "",
        "unknown: LINE holds that part and does not say it of one person",
    ]


def in_arm(person: str) -> bool:
    """The bucket as the language states it, written out once more."""
    import hashlib

    return int.from_bytes(hashlib.sha256(f"2026-12:{person}".encode()).digest()[:4], "big") % 10_000 < 5_000


def test_three_values(project: Path, capsys: Captured) -> None:
    """What is false beside something unknown is false; the window moves with --as-of."""
    found = values(document(project, capsys, "warm", "--person", BOB, *AS_OF))
    assert (found["audience warm"], found["clicked(spring)"], found["lapsed"]) == (False, None, False)
    later = values(document(project, capsys, "warm", "--person", BOB, "--as-of", "2027-11-21"))
    assert (later["audience warm"], later["lapsed"]) == (None, True)
    taken = values(document(project, capsys, "sale_a", "--person", BOB, "--as-of", "2027-11-21"))
    assert (taken["delivery sale_a"], taken["less house"]) == (False, False)


def test_priority_counts(project: Path, capsys: Captured) -> None:
    found = values(document(project, capsys, "sale_b", "--person", ANN, *AS_OF))
    assert found["to"] is True
    assert found["behind sale_a"] is (False if in_arm(ANN) else None)
    assert found["delivery sale_b"] == found["behind sale_a"]


@pytest.mark.parametrize(("name", "inside"), [("buyers", True), ("optout", False), ("orders", True), ("house", False)])
def test_sources_and_policies(name: str, inside: bool, project: Path, capsys: Captured) -> None:
    assert document(project, capsys, name, "--person", ANN, *AS_OF)["parts"][0]["value"] is inside


def test_a_person_who_is_nowhere(project: Path, capsys: Captured) -> None:
    assert run(["explain", "lapsed", "--person", CID, "--project", str(project), *AS_OF]) == 0
    out, err = capsys.readouterr()
    assert "warning[AUD0081]" in err
    assert "  audience lapsed: no\n" in out


@pytest.mark.parametrize("wrong", ["", "u1", "U12", ANN.upper(), f"{ANN}\n{BOB}", f" {ANN}", "\udcff", "'; DROP"])
def test_what_is_no_id(wrong: str, project: Path, capsys: Captured) -> None:
    assert run(["explain", "lapsed", "--person", wrong, "--project", str(project), *AS_OF]) == Code.ERROR
    out, err = capsys.readouterr()
    assert "error[AUD0080]" in err
    assert out == ""


@pytest.mark.parametrize("name", ["card", "spring", "shop"])
def test_what_is_no_set(name: str, project: Path, capsys: Captured) -> None:
    assert run(["explain", name, "--person", ANN, "--project", str(project)]) == Code.USAGE
    assert "error[AUD0082]" in capsys.readouterr().err
    assert run(["explain", "--person", ANN, "--project", str(project)]) == Code.USAGE
    assert "error[AUD0083]" in capsys.readouterr().err


def test_the_id_is_kept_nowhere(project: Path, capsys: Captured) -> None:
    for name in ("lapsed", "sale_a", "sale_test.a", "house", "card"):
        for person in (ANN, CID, CID[:-1]):
            run(["explain", name, "--person", person, "--project", str(project), *AS_OF])
            out, err = capsys.readouterr()
            assert person not in out + err
            assert person[1:] not in out + err
    for file in project.rglob("*"):
        if file.is_file() and file.parent.name != "data":
            content = file.read_bytes()
            assert CID.encode() not in content
            assert bytes.fromhex(CID[1:]) not in content
            assert bytes.fromhex(CID[1:])[::-1] not in content


# --- the graph --------------------------------------------------------------------------------------


def graph(project: Path, capsys: Captured, *arguments: str) -> str:
    assert run(["graph", "--project", str(project), *arguments]) == 0
    return capsys.readouterr().out


def test_graph_has_everything(project: Path, capsys: Captured) -> None:
    found = json.loads(graph(project, capsys, "--json"))
    assert {node["kind"] for node in found["nodes"]} == {
        "account", "audience", "delivery", "message", "policy", "split", "table", "upload"
    }  # fmt: skip
    edges = {(edge["from"], edge["to"]) for edge in found["edges"]}
    assert {
        ("delivery.sale_a", "split.sale_test"), ("split.sale_test", "audience.lapsed"),
        ("delivery.sale_b", "delivery.sale_a"), ("delivery.sale_a", "policy.house"), ("policy.house", "upload.optout"),
        ("audience.lapsed", "table.orders"), ("audience.warm", "delivery.spring"), ("delivery.sale_a", "message.card"),
    } <= edges  # fmt: skip
    assert [node["address"] for node in found["nodes"]] == sorted(node["address"] for node in found["nodes"])


def test_graph_of_one(project: Path, capsys: Captured) -> None:
    found = json.loads(graph(project, capsys, "--json", "--focus", "lapsed"))
    assert {node["address"] for node in found["nodes"]} == {
        "audience.lapsed", "table.orders", "audience.warm", "audience.夏 の人", "split.sale_test", "delivery.sale_a",
        "delivery.sale_b",
    }  # fmt: skip
    assert graph(project, capsys, "--json", "--focus", "purchased") == graph(
        project, capsys, "--json", "--focus", "orders"
    )
    assert run(["graph", "--project", str(project), "--focus", "lapset"]) == Code.ERROR
    assert "did you mean `lapsed`?" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["human", "dot", "mermaid", "json"])
def test_graph_formats(form: str, project: Path, capsys: Captured) -> None:
    first = graph(project, capsys, "--format", form)
    assert graph(project, capsys, "--format", form) == first
    assert "夏 の人" in first
    if form == "mermaid":
        assert all(re.fullmatch(r'graph LR|  n\d+(\["[^"]*"\]| --> n\d+)', line) for line in first.splitlines())


def test_flows_have_edges(tmp_path: Path) -> None:
    from audsql.session.graphs import expressions_of
    from audsql.source import Source
    from audsql.syntax.parse import parse_file

    text = """flow welcome {
  start when uploaded(buyers)
  wait 3 days
  branch { purchased(A) -> { branch { friends -> send card otherwise -> send card } } otherwise -> send card }
  exit when purchased(B)
}
"""
    file, told = parse_file(Source("a.aud", text))
    assert [one.code for one in told] == []
    assert len(list(expressions_of(file.statements[0]))) == 4


def test_flows_are_explained() -> None:
    """Steps in order, arms with their own a level deeper, whoever leaves and what is never sent to."""
    from zoneinfo import ZoneInfo

    from audsql.meaning import ir
    from audsql.meaning.flow import Branch, BranchArm, Flow, FlowStart, SendStep, WaitFor, WaitUntil
    from audsql.session.explaining import STEPS_MAX, about_flow
    from audsql.session.formulas import Known
    from audsql.view.explained import explanation
    from audsql.view.terminal import Style

    buyers, optout = ir.leaf(ir.Uploaded("buyers")), ir.leaf(ir.Uploaded("optout"))
    arms = (BranchArm(buyers, (WaitFor(120), SendStep(("a",)))), BranchArm(ir.lnot(buyers), (SendStep(("b", "c")),)))
    steps = (WaitFor(3 * 24 * 60), WaitUntil(12, 0), Branch(arms))
    flow = Flow("welcome", "shop", FlowStart("follow", via="店頭"), steps, buyers, optout, 30 * 24 * 60)
    links: dict[str, Any] = {"uses": [], "uses_through": [], "used_by": [], "used_by_through": []}

    def shown(flow: Flow, language: str) -> list[str]:
        sets, points = about_flow(flow, Known(ZoneInfo("Asia/Tokyo")))
        head = {"kind": "flow", "name": "welcome", "description": "", "sets": sets, "points": points, **links}
        return explanation(head, Style(language=language)).splitlines()

    assert shown(flow, "en")[-10:] == [
        "  - Begins when somebody becomes a friend through 店頭.",
        "  - wait 3 days",
        "  - wait until 12:00",
        "  - the first of these that fits:",
        "    - People who are on the list buyers.",
        "      - wait 2 hours",
        "      - send a",
        "    - People who are not on the list buyers.",
        "      - send b, c",
        "  - Whoever has come to the end may enter again after 30 days.",
    ]
    assert "Ends early for:" in shown(flow, "en")
    assert "  - 終わった人は、30日後にまた入れます。" in shown(flow, "ja")
    many = Flow("welcome", "shop", FlowStart("row", table="orders"), (WaitFor(1),) * 60, ir.NOBODY, ir.NOBODY)
    assert f"  - and {60 - STEPS_MAX} more steps" in shown(many, "en")
    assert "  - Nobody enters twice." in shown(many, "en")


def test_large_graphs(tmp_path: Path) -> None:
    """Thousands of audiences in a row: nothing recurses, and every edge is there once."""
    count = 3_000
    lines = [f"audience a{index} = a{index - 1} OR uploaded(buyers)" for index in range(1, count)]
    (tmp_path / "audsql.toml").write_text('[project]\nname = "shop"\ntimezone = "Asia/Tokyo"\n')
    text = 'upload buyers { file: "b.txt"  id: user_id }\naudience a0 = uploaded(buyers)\n' + "\n".join(lines)
    (tmp_path / "a.aud").write_text(text)
    opened = session.open_project(tmp_path)
    whole = session.graph(opened)
    assert len(whole["nodes"]) == count + 1
    assert len(whole["edges"]) == 2 * count - 1
    found = session.explain(opened, f"a{count - 1}")
    assert found is not None
    assert len(found["uses_through"]) == count - 2
