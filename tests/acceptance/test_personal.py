"""Personal messages from text to inbox: everybody gets their own words once, and nobody words that cannot be."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from audsql.apply import journal
from harness import AS_OF, TOKEN, codes, place

COUNT = 60
ACCOUNT = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload everyone { file: "everyone.txt"  id: user_id }
table members { file: "members.csv"  id: user_id  time: updated_at }
codes winter { file: "codes.txt" }
"""
NAME = "table: members  column name: string"
HELLO = (
    'message hi { template: "{{ name }}: {% if points >= 100 %}gold{% else %}{{ points }}{% endif %}"'
    f"  {NAME}  column points: number = 0 }}\n"
)
CODE = f'message hi {{ template: "{{{{ name }}}}: {{{{ code }}}}"  {NAME}  column code: codes winter }}\n'
SEND = "delivery sale { to: uploaded(everyone)  send: hi }\n"
CARD = {
    "type": "flex",
    "altText": "For {{ name }}",
    "contents": {
        "type": "bubble",
        "body": {"type": "box", "layout": "vertical", "contents": [{"type": "text", "text": "{{ name | upper }}"}]},
    },
}


def uid(number: int) -> str:
    return f"U{number:032x}"


def rows(count: int = COUNT, **others: str) -> str:
    """Person 1 to 20 say one thing, 21 to 40 another, all others their own."""
    lines = ["user_id,updated_at,name,points"]
    for number in range(1, count + 1):
        name = "anna" if number <= 20 else "ben" if number <= 40 else f"p{number}"
        lines.append(others.get(f"p{number}", f"{uid(number)},2026-11-01,{name},{150 if number <= 20 else 5}"))
    return "\n".join(lines) + "\n"


@contextmanager
def shop(root: Path, spec: str, members: str = "", some: str = "", count: int = COUNT, readable: bool = False):
    friends = [{"userId": uid(number), "followedAt": "2025-01-01T00:00:00+09:00"} for number in range(1, count + 1)]
    world = {"now": AS_OF.isoformat(), "accounts": {"shop": {
        "token": TOKEN, "friends": friends, "followersReadable": readable}}}  # fmt: skip
    files = {
        "shop.aud": ACCOUNT.replace('KEN") }', 'KEN")  followers: readable }' if readable else 'KEN") }') + spec,
        "everyone.txt": "".join(f"{uid(number)}\n" for number in range(1, count + 1)),
        "members.csv": members or rows(count),
        "codes.txt": some or "".join(f"WIN{number:04d}\n" for number in range(1, count + 11)),
        "card.json": json.dumps(CARD),
    }
    with place(root, world, files) as here:
        yield here


def texts(here: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in here.inbox():
        found.setdefault(one["userId"], []).extend(bubble["text"] for bubble in one["messages"])
    return found


def stops(here: Any) -> list[tuple[str, dict[str, Any]]]:
    """What stops a plan."""
    document = here.plan().document
    return [(one["code"], one["facts"]) for one in document["guards"] if one["severity"] == "error"]


def files_of(root: Path) -> str:
    """Everything that is stored of a project but its own files."""
    found = [path for path in (root / ".audsql").rglob("*") if path.is_file()]
    return "".join(path.read_bytes().decode("latin-1") for path in found)


def test_everybody_gets_their_own_words_once_in_the_fewest_requests(tmp_path: Path) -> None:
    with shop(tmp_path, HELLO + SEND) as here:
        assert stops(here) == []
        assert here.apply().exit_code == 0
        assert texts(here) == {
            uid(number): ["anna: gold"] if number <= 20 else ["ben: 5"] if number <= 40 else [f"p{number}: 5"]
            for number in range(1, COUNT + 1)
        }
        sent = Counter(one["path"].rsplit("/", 1)[-1] for one in here.requests("POST")
                       if "/message/" in one["path"] and "/validate/" not in one["path"])  # fmt: skip
        assert (sent["multicast"], sent["push"]) == (2, 20)
        assert here.apply().exit_code == 0
        assert len(here.inbox()) == COUNT


def test_cards_are_filled_in(tmp_path: Path) -> None:
    spec = 'message hi { file: "card.json"  table: members  column name: string }\n' + SEND
    with shop(tmp_path, spec) as here:
        assert here.apply().exit_code == 0
        found = {one["userId"]: one["messages"][0] for one in here.inbox()}
        assert len(found) == COUNT
        assert found[uid(50)]["altText"] == "For p50"
        assert found[uid(50)]["contents"]["body"]["contents"][0]["text"] == "P50"


def test_a_missing_value_stops_the_plan_with_its_column_and_count(tmp_path: Path) -> None:
    gaps = {f"p{number}": f"{uid(number)},2026-11-01,,5" for number in (41, 42, 43)}
    with shop(tmp_path, HELLO + SEND, rows(**gaps)) as here:
        assert stops(here) == [
            ("AUD1134", {"message": "hi", "column": "name", "table": "members", "count": 3}),
        ]
        assert codes(here.apply().diagnostics) == ["AUD1134"]
        assert here.inbox() == []


def test_several_rows_without_a_latest_stop_the_plan(tmp_path: Path) -> None:
    twice = {
        "p50": f"{uid(50)},2026-11-01,x,5\n{uid(50)},2026-11-01,y,5",
        "p51": f"{uid(51)},2026-10-01,old,1\n{uid(51)},2026-11-02,new,2",
    }
    with shop(tmp_path, HELLO + SEND, rows(**twice)) as here:
        assert stops(here) == [("AUD1135", {"table": "members", "count": 1, "timed": True})]
        here.write("members.csv", rows(p51=twice["p51"]))
        assert stops(here) == []
        assert here.apply().exit_code == 0
        assert texts(here)[uid(51)] == ["new: 2"]


def test_what_line_would_refuse_stops_the_plan(tmp_path: Path) -> None:
    long = {"p50": f"{uid(50)},2026-11-01,{'x' * 4_996},5", "p51": f"{uid(51)},2026-11-01,{chr(0x1F600) * 2_500},5"}
    with shop(tmp_path, HELLO + SEND, rows(**long)) as here:
        assert stops(here) == [
            (
                "AUD1136",
                {"message": "hi", "path": "[0].text", "columns": ["name", "points"], "problem": "AUD1105", "count": 1},
            )
        ]


def test_data_that_changed_after_the_plan_leaves_out_those_concerned_alone(tmp_path: Path) -> None:
    with shop(tmp_path, HELLO + SEND) as here:
        document = here.plan().document
        here.write("members.csv", rows(p50=f"{uid(50)},2026-11-01,,5"))
        outcome = here.apply(document)
        (told,) = [dict(one.facts) for one in outcome.diagnostics if one.code == "AUD1140"]
        assert (told["count"], told["columns"], told["message"]) == (1, ("name",), "hi")
        assert uid(50) not in texts(here)
        assert len(texts(here)) == COUNT - 1


# --- codes ------------------------------------------------------------------------------------------


def test_codes_are_given_once_and_stand_in_no_file_of_audsql(tmp_path: Path) -> None:
    with shop(tmp_path, CODE + SEND) as here:
        outcome = here.apply()
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (0, [])
        given = [text.split(": ")[1] for some in texts(here).values() for text in some]
        assert len(given) == len(set(given)) == COUNT
        assert "WIN0001" not in files_of(tmp_path) + json.dumps(here.plan().document) + json.dumps(here.events)
        here.write("shop.aud", ACCOUNT + CODE + SEND + SEND.replace("sale", "again"))
        assert [one for one in stops(here) if one[0] == "AUD1137"] == [
            ("AUD1137", {"pool": "winter", "needed": COUNT, "free": 10, "missing": COUNT - 10})
        ]
        here.write("codes.txt", "".join(f"WIN{number:04d}\n" for number in range(1, 201)))
        assert stops(here) == []
        assert here.apply().exit_code == 0
        both = [text.split(": ")[1] for some in texts(here).values() for text in some]
        assert len(both) == len(set(both)) == 2 * COUNT


def test_a_shortage_stops_the_plan(tmp_path: Path) -> None:
    with shop(tmp_path, CODE + SEND, some="A1\nA2\nA2\n") as here:
        assert stops(here) == [("AUD1137", {"pool": "winter", "needed": COUNT, "free": 2, "missing": COUNT - 2})]


class Killed(BaseException):
    """In place of SIGKILL: nothing that follows a checkpoint happens."""


@pytest.mark.parametrize("at", [1, 4, 5, 6, 7, 8, 9, 10, 12, 15])
def test_a_killed_run_gives_nobody_another_code_and_no_code_to_another(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with shop(tmp_path, CODE + SEND, count=6) as here:
        document = here.plan().document
        journal.arm_kill(at)
        with monkeypatch.context() as patched:
            patched.setattr(journal.os, "kill", killed)
            try:
                here.apply(document)
            except Killed:
                monkeypatch.setattr("audsql.session.holding.is_alive", lambda _: False)
        journal.arm_kill(0)
        assert here.apply().exit_code == 0
        given = [text.split(": ")[1] for some in texts(here).values() for text in some]
        assert len(given) == len(set(given)) == 6
        assert all(len(some) == 1 for some in texts(here).values())


# --- the plan ---------------------------------------------------------------------------------------


def test_a_plan_shows_invented_people_and_nobody_real(tmp_path: Path) -> None:
    with shop(tmp_path, HELLO + SEND) as here:
        document = here.plan().document
        (message,) = document["messages"]
        assert message["personal"]["table"] == "members"
        shown = {one["person"]: one["text"] for one in message["personal"]["previews"]}
        assert shown["usual"] == "example: gold"
        assert shown["without"] is None
        assert {one.get("missing") for one in message["personal"]["previews"]} == {None, "name"}
        assert len(shown["longest"]) > len(shown["usual"])
        assert not any(name in json.dumps(document) for name in ("anna", "p50"))


def test_another_fallback_is_another_message_to_approve(tmp_path: Path) -> None:
    with shop(tmp_path, HELLO + SEND) as here:
        before = here.plan().document
        here.write("shop.aud", ACCOUNT + HELLO.replace("number = 0", "number = 1") + SEND)
        after = here.plan().document
        assert before["deliveries"][0]["definition"] != after["deliveries"][0]["definition"]
        assert before["review_digest"] != after["review_digest"]


def test_a_flow_stops_for_whoever_would_enter_it_without_a_value(tmp_path: Path) -> None:
    flow = "flow welcome { start when uploaded(everyone)  wait 1 day  send hi }\n"
    gaps = {f"p{number}": f"{uid(number)},2026-11-01,,5" for number in (41, 42)}
    with shop(tmp_path, HELLO + flow, rows(**gaps)) as here:
        assert stops(here) == [("AUD1134", {"message": "hi", "column": "name", "table": "members", "count": 2})]
        here.write("members.csv", rows())
        assert stops(here) == []
        assert here.apply().exit_code == 0
        here.advance(25 * 3600)
        here.write("members.csv", rows(**gaps))
        assert stops(here) == [], "who is inside already is passed over when it is their turn, and told"
        assert codes(here.run().diagnostics) == []
        assert len(texts(here)) == COUNT - 2


def test_friends_whom_line_lists_are_reached_each_with_their_own_words(tmp_path: Path) -> None:
    with shop(tmp_path, HELLO + "delivery sale { to: friends  send: hi }\n", readable=True) as here:
        assert stops(here) == []
        assert here.apply().exit_code == 0
        assert texts(here)[uid(50)] == ["p50: 5"]
        assert len(texts(here)) == len(here.inbox()) == COUNT
