"""Linkage from text to inbox: who is sent to, what the plan says was lost, and opt-outs that come after the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data_helpers import user_id

from harness import Place, codes, place

PEOPLE = 200
SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload phones { file: "data/phones.txt"  id: phone }
upload refused { file: "data/refused.txt"  id: phone  allow empty }
upload codes { file: "data/codes.txt"  id: member_id  allow empty }
table members { file: "data/members.csv"  id: user_id, phone, member_id }
message hello { text: "hello" }
policy house { always except uploaded(codes) }
audience callers = uploaded(phones) EXCEPT uploaded(refused)
delivery sale { to: callers AND friends  send: hello }
"""


def phone(number: int) -> str:
    return f"090{number:08}"


def friend(number: int) -> dict[str, Any]:
    return {"userId": user_id(number), "status": "following", "followedAt": "2025-01-01T00:00:00+09:00"}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    account = {
        "token": "sim-token",
        "quota": {"type": "limited", "value": 30000},
        "friends": [friend(number) for number in range(1, PEOPLE + 1)],
        "sends": [],
        "audiences": [],
    }
    world = {"now": "2026-11-21T00:00:00+09:00", "accounts": {"shop": account}}
    rows = "".join(f"{user_id(n)},{phone(n)},m{n}\n" for n in range(1, PEOPLE + 1))
    files = {
        "x.aud": SPEC,
        "data/members.csv": "user_id,phone,member_id\n" + rows,
        "data/phones.txt": "".join(f"{phone(n)}\n" for n in (*range(1, 121), 500, 501)),
        "data/refused.txt": f"{phone(1)}\n",
        "data/codes.txt": "m2\nm900\n",
    }
    with place(tmp_path, world, files) as made:
        yield made


def numbers(here: Place) -> set[int]:
    assert set(here.received().values()) <= {1}
    return {int(user[1:], 16) for user in here.received()}


def test_the_people_and_the_loss(here: Place) -> None:
    plan = here.plan(None)
    assert codes(plan.diagnostics) == []
    sale = next(one for one in plan.document["deliveries"] if one["address"] == "delivery.sale")
    assert sale["linkage"] == [
        {"table": "members", "from": "member_id", "to": "user_id", "given": 2, "lost": 1, "found": 1},
        {"table": "members", "from": "phone", "to": "user_id", "given": 121, "lost": 2, "found": 119},
    ]
    assert [one["name"] for one in plan.document["sources"]] == ["codes", "members", "phones", "refused"]
    assert here.apply(as_of=None).exit_code == 0
    assert numbers(here) == {*range(3, 121)}


def test_what_is_refused_after_the_plan_stays_out(here: Place) -> None:
    plan = here.plan(None).document
    with (here.root / "data/refused.txt").open("a") as file:
        file.write(f"{phone(3)}\n")
    with (here.root / "data/codes.txt").open("a") as file:
        file.write("m4\n")
    outcome = here.apply(plan)
    assert outcome.exit_code == 0, codes(outcome.diagnostics)
    assert numbers(here) == {*range(5, 121)}


def test_new_rows_of_the_linkage_exclude_and_never_include(here: Place) -> None:
    plan = here.plan(None).document
    with (here.root / "data/members.csv").open("a") as file:
        # 150 was not sent to when the plan was made; the telephone of 10 turns out to belong to an opt-out.
        file.write(f"{user_id(150)},{phone(500)},m150\n{user_id(10)},,m2\n")
    outcome = here.apply(plan)
    assert outcome.exit_code == 0, codes(outcome.diagnostics)
    assert numbers(here) == {*range(3, 121)} - {10}


def test_a_refusal_that_is_taken_back_is_noticed(here: Place) -> None:
    plan = here.plan(None).document
    (here.root / "data/refused.txt").write_text(f"{phone(7)}\n")
    assert codes(here.apply(plan).diagnostics) == ["AUD0703"]
    assert numbers(here) == set()


def test_the_plan_says_what_was_lost_to_people(here: Place) -> None:
    lines = here.command("plan").stdout.splitlines()
    assert "    through `members`: 121 phone in, 2 of them without a user_id, 119 user_id out" in lines
    assert "    through `members`: 2 member_id in, 1 of them without a user_id, 1 user_id out" in lines
    assert "phone" not in next(line for line in lines if line.strip().startswith("callers"))


def test_eval_says_what_was_lost(here: Place) -> None:
    found = here.command("eval", "callers", "--format", "json")
    assert '"count": 121' in found.stdout
    text = here.command("eval", "callers AND linked(members)")
    assert text.stdout.splitlines()[0] == "119 people"
    assert "through `members`: 121 phone in, 2 of them without a user_id, 119 user_id out" in text.stdout
    members = here.root / "ids.txt"
    assert here.command("eval", "callers AND linked(members)", "--members", str(members)).returncode == 0
    assert len(members.read_text().splitlines()) == 119
