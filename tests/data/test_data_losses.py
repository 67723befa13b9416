"""From the ids that were given to people who get a message: what is lost on the way is said, and in few words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from data_helpers import user_id

from audsql import session
from audsql.diag import Diagnostic
from audsql.sim.rules import FOLLOWERS_PAGE_MAX
from audsql.view import plan as plan_view
from audsql.view.markdown import plan_comment
from audsql.view.terminal import Style
from harness import Place, place

PLAN = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "specs/schemas/plan.schema.json").read_text("utf-8"))
)
SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN")  FOLLOWERS }
upload phones { file: "data/phones.txt"  id: phone }
upload refused { file: "data/refused.txt"  id: phone  allow empty }
upload optout { file: "data/optout.txt"  id: user_id }
table members { file: "data/members.csv"  id: user_id, phone }
message hello { text: "hello" }
policy house { always except uploaded(optout) }
audience callers = uploaded(phones) EXCEPT uploaded(refused)
delivery sale { to: callers AND linked(members)  send: hello }
delivery plain { to: linked(members)  send: hello  at: 2026-12-01 10:00 }
"""
READABLE = "followers: readable"


def phone(number: int) -> str:
    return f"090{number:08}"


@contextmanager
def shop(root: Path, spec: str, **account: Any) -> Iterator[Place]:
    """200 members, number 7 with a second telephone; 120 telephones and two that nobody has. 50 to 54 blocked the
    account, 60 never was a friend."""
    people = [number for number in range(1, 201) if number != 60]
    world = {
        "now": "2026-11-21T00:00:00+09:00",
        "accounts": {
            "shop": {
                "token": "sim-token",
                "quota": {"type": "limited", "value": 30_000},
                "friends": [
                    {
                        "userId": user_id(number),
                        "status": "blocked" if 50 <= number < 55 else "following",
                        "followedAt": "2025-01-01T00:00:00+09:00",
                    }
                    for number in people
                ],
                "sends": [],
                "audiences": [],
                **account,
            }
        },
    }
    rows = "".join(f"{user_id(n)},{phone(n)}\n" for n in range(1, 201))
    files = {
        "x.aud": spec,
        "data/members.csv": f"user_id,phone\n{rows}{user_id(7)},{phone(900)}\n",
        "data/phones.txt": "".join(f"{phone(n)}\n" for n in (*range(1, 121), 500, 900)),
        "data/refused.txt": f"{phone(900)}\n",
        "data/optout.txt": f"{user_id(1)}\n{user_id(2)}\n",
    }
    with place(root, world, files) as made:
        yield made


def told(diagnostics: Iterable[Diagnostic]) -> set[str]:
    """Codes of warnings too."""
    return {one.code for one in diagnostics}


def losses(document: dict[str, Any], name: str = "sale") -> Any:
    assert [one.message for one in PLAN.iter_errors(document)] == []
    return next(one for one in document["deliveries"] if one["address"] == f"delivery.{name}").get("losses")


def test_the_way_from_ids_to_people(tmp_path: Path) -> None:
    with shop(tmp_path, SPEC.replace("FOLLOWERS", "")) as here:
        plan = here.plan(None)
        assert "AUD1092" in told(plan.diagnostics)
        size = {"count": 120, "exact": True, "low": 120, "high": 120}
        assert losses(plan.document) == {
            "given": 121, "without_user_id": 1, "user_ids": size, "friends": None, "kept_by_another_id": 1
        }  # fmt: skip
        assert losses(plan.document, "plain") is None, "nothing is mapped, and nobody knows who is a friend"
        assert not [one for one in here.requests("GET") if "followers/ids" in one["path"]]
        shown = plan_view.human(plan.document, Style())
        line = (
            "121 ids given, 1 without a user ID -> 120 user IDs -> friends among them not known -> 118 after policies"
        )
        assert f"    {line}" in shown.splitlines()
        found, warned = session.evaluate(here.opened(), "callers AND linked(members)", None)
        assert found is not None
        assert found["losses"] == losses(plan.document)
        assert "AUD1092" in told(warned)
        assert "losses" not in (session.evaluate(here.opened(), "uploaded(phones)", None)[0] or {"losses": 0})


def test_friends_are_counted_where_they_may_be_read(tmp_path: Path) -> None:
    with shop(tmp_path, SPEC.replace("FOLLOWERS", READABLE), followersReadable=True) as here:
        plan = here.plan(None).document
        # Of 120 five blocked the account and one never was a friend: LINE does not say which.
        assert losses(plan)["friends"] == 114
        plain = losses(plan, "plain")
        assert (plain["given"], plain["without_user_id"], plain["friends"]) == (None, None, 194)
        lines = plan_view.human(plan, Style()).splitlines()
        assert "    200 user IDs -> 194 of them friends -> 198 after policies" in lines
        assert user_id(3) not in json.dumps(plan)


@pytest.mark.parametrize("readable", [True, False])
def test_friends_who_cannot_be_read_are_unknown(
    tmp_path: Path, readable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LINE refuses, or they are more than a plan asks for."""
    monkeypatch.setattr("audsql.session.accounts.FRIENDS_READ_MAX", 100)
    monkeypatch.setattr("audsql.line.limits.FOLLOWER_IDS_PAGE_SIZE_MAX", 50)
    with shop(tmp_path, SPEC.replace("FOLLOWERS", READABLE), followersReadable=readable) as here:
        plan = here.plan(None)
        assert losses(plan.document)["friends"] is None
        assert losses(plan.document, "plain") is None
        assert plan.document["applyable"]


def test_all_pages_of_friends_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FOLLOWERS_PAGE_MAX > 50
    monkeypatch.setattr("audsql.line.limits.FOLLOWER_IDS_PAGE_SIZE_MAX", 50)
    with shop(tmp_path, SPEC.replace("FOLLOWERS", READABLE), followersReadable=True) as here:
        assert losses(here.plan(None).document)["friends"] == 114
        assert len([one for one in here.requests("GET") if "followers/ids" in one["path"]]) == 4


def test_the_comment_hides_how_few_were_lost(tmp_path: Path) -> None:
    with shop(tmp_path, SPEC.replace("FOLLOWERS", READABLE), followersReadable=True) as here:
        document = here.plan(None).document
    assert "121 ids given, 1 without" in plan_comment(document, "en", 0)
    text = plan_comment(document, "en", 20)
    line = next(line for line in text.splitlines() if "ids given" in line)
    # One without a user ID, six who are no friends, two who opted out: no two numbers tell any of these.
    assert "<20 without" in line.replace("\\", "")
    assert not {"121", "120", "114"} <= {word.strip("\\,") for word in line.split()}


def test_a_warning_goes_where_the_exclusion_is_outside(tmp_path: Path) -> None:
    spec = SPEC.replace("FOLLOWERS", "").replace("to: callers AND linked(members)", "to: linked(members) AND outside")
    spec += "audience outside = linked(members) AND uploaded(phones) EXCEPT uploaded(refused)\n"
    with shop(tmp_path, spec) as here:
        plan = here.plan(None)
        assert "AUD1092" not in told(plan.diagnostics)
        assert losses(plan.document)["user_ids"]["count"] == 119
        assert here.apply(plan.document).exit_code == 0
        assert user_id(7) not in here.received()


def test_somebody_whom_a_policy_takes_away_stays_by_no_id(tmp_path: Path) -> None:
    with shop(tmp_path, SPEC.replace("FOLLOWERS", "") + "policy calls { always except uploaded(refused) }\n") as here:
        assert "AUD1092" not in told(here.plan(None).diagnostics)
