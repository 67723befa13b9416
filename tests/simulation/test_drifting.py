"""Audiences that people change, delete and let expire at LINE, and accounts that two states drive: seen in the next
plan, and repaired or refused by the next apply (reference: T18, T24, T25; scenarios 29 to 36)."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from audsql.session import refreshing
from harness import TOKEN, Place, codes, place

PEOPLE = [f"U{number:032x}" for number in range(1, 201)]
BUYERS = PEOPLE[:120]
STRANGER = PEOPLE[150]
NOW = "2026-11-21T00:00:00+09:00"
SPEC = """account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload buyers { file: "buyers.txt"  id: user_id }
message card { text: "hello" }
delivery sale { to: uploaded(buyers)  send: card  at: 2026-12-01 10:00  by: narrowcast }
"""
UNTIL_IT_IS_DUE = 10 * 86_400 + 10 * 3_600


def world(**more: Any) -> dict[str, Any]:
    friends = [{"userId": one} for one in PEOPLE]
    account = {"token": "sim-token", "friends": friends, "targetReach": 200, **more}
    return {"now": NOW, "rateLimits": False, "accounts": {"shop": account}}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A project whose one delivery is approved, with its upload READY."""
    with place(tmp_path, world(), {"shop.aud": SPEC, "buyers.txt": "\n".join(BUYERS) + "\n"}) as made:
        assert made.apply().exit_code == 0
        yield made


def change(here: Place, edit: Callable[[dict[str, Any]], None]) -> None:
    """Let a person change the one audience in the account's own tools."""
    found = here.control("GET", "/_sim/world")
    for audience in found["accounts"]["shop"]["audiences"]:
        if "deleted" not in audience:
            edit(audience)
    here.control("PUT", "/_sim/world", found)


def add_somebody(here: Place) -> None:
    """Another job adds a person whom nobody reviewed."""
    audience = next(one for one in here.audiences() if one["type"] == "UPLOAD")
    body = {"audienceGroupId": audience["audienceGroupId"], "audiences": [{"id": STRANGER}]}
    request = urllib.request.Request(
        f"{here.simulator.base_url}/v2/bot/audienceGroup/upload",
        data=json.dumps(body).encode(),
        method="PUT",
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202
    here.advance(60)


def drift(here: Place) -> list[tuple[str, str]]:
    document = here.plan().document
    assert document is not None
    assert document["summary"]["drift"] == len(document["drift"])
    return [(one["kind"], one["action"]) for one in document["drift"]]


def held(here: Place) -> list[dict[str, Any]]:
    return [one for one in here.audiences() if one.get("type") == "UPLOAD"]


def names_in_last_send(here: Place) -> str:
    sends = [one for one in here.requests("POST") if one["path"].endswith("/narrowcast")]
    return str(sends[-1]["body"]["recipient"])


def is_quiet(here: Place) -> None:
    """The plan after it says No changes, and names no drift that anything is done about."""
    document = here.plan().document
    assert document is not None
    assert not document["summary"]["changes"]
    assert {one["action"] for one in document["drift"]} <= {"leave"}


def sends_once(here: Place) -> None:
    here.advance(UNTIL_IT_IS_DUE)
    assert here.run().exit_code == 0
    assert here.received() == dict.fromkeys(BUYERS, 1)


def test_nothing_that_is_as_it_was_left_is_drift(here):
    assert drift(here) == []
    is_quiet(here)


def test_deleted_out_of_band_is_shown_and_made_anew(here):
    """scenario 32, T24"""
    change(here, lambda one: one.update(deleted=NOW))
    assert drift(here) == [("deleted", "make_anew")]
    assert here.plan().document["resource_changes"][0]["reason"] == "deleted_at_line"
    assert here.apply().exit_code == 0
    is_quiet(here)
    sends_once(here)


@pytest.mark.parametrize(("status", "kind"), [("EXPIRED", "expired"), ("FAILED", "failed"), ("INACTIVE", "failed")])
def test_given_up_by_line_is_made_anew(here, status, kind):
    """T24: an audience that is not usable any more."""
    change(here, lambda one: one.update(status=status))
    assert drift(here) == [(kind, "make_anew")]
    assert here.apply().exit_code == 0
    is_quiet(here)
    sends_once(here)


def test_renamed_by_hand_gets_its_name_back(here):
    """scenario 29: what LINE has is not what was made."""
    before = held(here)[0]["description"]
    change(here, lambda one: one.update(description="春のセール"))
    document = here.plan().document
    assert [(one["kind"], one["action"], one["found_name"]) for one in document["drift"]] == [
        ("renamed", "rename", "春のセール")
    ]
    assert document["summary"]["changes"]
    done = here.command("plan", "--detailed-exitcode")
    assert done.returncode == 2, done.stderr
    outcome = here.apply(document)
    assert outcome.exit_code == 0
    assert [one["description"] for one in held(here)] == [before]
    is_quiet(here)
    sends_once(here)


def test_a_name_that_line_does_not_take_back_stops_nothing(here):
    change(here, lambda one: one.update(description="x", permission="READ"))
    outcome = here.apply()
    assert outcome.exit_code == 0
    assert "AUD0810" in [one.code for one in outcome.diagnostics]
    sends_once(here)


def test_people_added_by_another_job_are_left_behind_with_the_audience(here):
    """scenario 29: ids that nobody reviewed are in it. A new audience takes its place; they get nothing."""
    add_somebody(here)
    assert drift(here) == [("more_people", "make_anew")]
    assert here.apply().exit_code == 0
    assert len(held(here)) == 2
    is_quiet(here)
    sends_once(here)


def test_people_added_after_the_last_plan_stop_the_send(here):
    """Between approval and send nobody looked: a run makes the audience anew before it sends."""
    add_somebody(here)
    sends_once(here)


def test_fewer_people_than_were_uploaded_is_told(tmp_path):
    friends = [{"userId": one, "policyAccepted": one != BUYERS[0]} for one in PEOPLE]
    files = {"shop.aud": SPEC, "buyers.txt": "\n".join(BUYERS) + "\n"}
    with place(tmp_path, world(friends=friends), files) as here:
        assert here.apply().exit_code == 0
        document = here.plan().document
        assert [(one["kind"], one["action"], one["before"], one["now"]) for one in document["drift"]] == [
            ("fewer_people", "leave", 120, 119)
        ]
        assert not document["summary"]["changes"]


def test_expiring_before_it_is_needed_is_made_anew(here):
    soon = (datetime.fromisoformat(NOW) + timedelta(days=5)).isoformat()
    change(here, lambda one: one.update(expires=soon))
    assert drift(here) == [("expiring", "make_anew")]
    assert here.apply().exit_code == 0
    is_quiet(here)
    sends_once(here)


def test_expiring_within_two_weeks_but_after_its_use_is_told(here):
    later = (datetime.fromisoformat(NOW) + timedelta(days=13)).isoformat()
    change(here, lambda one: one.update(expires=later))
    assert drift(here) == [("expiring", "leave")]
    is_quiet(here)


def test_the_tag_of_another_state_is_a_warning_and_left_alone(here):
    """T18: two states drive one account."""
    found = here.control("GET", "/_sim/world")
    foreign = {"type": "UPLOAD", "description": "theirs [audsql:abc123:0123456789:1]", "members": BUYERS}
    found["accounts"]["shop"]["audiences"].append({**foreign, "permission": "READ_WRITE"})
    here.control("PUT", "/_sim/world", found)
    outcome = here.plan()
    assert [(one["kind"], one["name"], one["now"]) for one in outcome.document["drift"]] == [
        ("other_state", "abc123", 1)
    ]
    assert [one.code for one in outcome.diagnostics] == ["AUD0809"]
    assert outcome.document["applyable"]
    assert here.apply().exit_code == 0
    assert len(held(here)) == 2


def test_an_audience_of_this_state_that_it_does_not_know_is_told(here):
    """T25: what a lost answer left behind costs quota and nothing else."""
    name = held(here)[0]["description"]
    found = here.control("GET", "/_sim/world")
    twin = {"type": "UPLOAD", "description": name.replace(":1]", ":7]"), "members": BUYERS, "permission": "READ_WRITE"}
    found["accounts"]["shop"]["audiences"].append(twin)
    here.control("PUT", "/_sim/world", found)
    assert drift(here) == [("untracked", "leave")]
    is_quiet(here)


# --- refreshing alone -------------------------------------------------------------------------------


def writes(here: Place) -> list[str]:
    return [one["path"] for one in here.requests("POST", "PUT", "DELETE") if "/_sim/" not in one["path"]]


def test_a_refresh_of_what_is_as_it_was_left_remembers_nothing(here):
    document = refreshing.look(here.opened()).document
    assert document["summary"] == {"drift": 0, "remember": 0, "changes": False}
    before = here.opened()
    serial = refreshing.remember(before).document["serial"]
    assert refreshing.remember(before).document["serial"] == serial


def test_refresh_marks_what_is_gone_and_touches_nothing_at_line(here):
    """scenario 32: remembered as gone, planned as create."""
    change(here, lambda one: one.update(deleted=NOW))
    before = writes(here)
    outcome = refreshing.remember(here.opened())
    assert outcome.exit_code == 0
    assert [one["what"] for one in outcome.document["remembered"]] == ["gone"]
    assert writes(here) == before
    assert here.plan().document["resource_changes"][0]["reason"] == "new"
    assert here.apply().exit_code == 0
    sends_once(here)


def test_refresh_takes_expiry_and_status_over(here):
    later = (datetime.fromisoformat(NOW) + timedelta(days=90)).isoformat()
    change(here, lambda one: one.update(expires=later))
    outcome = refreshing.remember(here.opened())
    assert [one["what"] for one in outcome.document["remembered"]] == ["expires_at"]
    change(here, lambda one: one.update(status="EXPIRED"))
    assert [one["what"] for one in refreshing.remember(here.opened()).document["remembered"]] == ["expired"]
    assert refreshing.look(here.opened()).document["remembered"] == []
    assert here.apply().exit_code == 0
    sends_once(here)


def test_the_commands(here):
    change(here, lambda one: one.update(deleted=NOW))
    seen = here.command("plan", "--refresh-only", "--detailed-exitcode")
    assert seen.returncode == 2, seen.stderr
    assert "deleted at LINE" in seen.stdout
    assert "Refresh: 1 to remember." in seen.stdout
    assert here.command("apply", "--refresh-only").returncode == 64
    done = here.command("apply", "--refresh-only", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert "Refresh complete!" in done.stdout
    again = here.command("plan", "--refresh-only", "--detailed-exitcode")
    assert again.returncode == 0
    assert again.stdout.startswith("No changes.")
    assert codes(here.plan().diagnostics) == []


@pytest.mark.parametrize("option", ["--as-of=2026-12-01", "--prune", "--out=x.plan"])
def test_refresh_only_stands_alone(here, option):
    refused = here.command("plan", "--refresh-only", option)
    assert refused.returncode == 64
    assert "AUD0811" in refused.stderr


# --- interrupted and repeated repairs -----------------------------------------------------------------

CREATE = {"method": "POST", "path": "/v2/bot/audienceGroup/upload*"}
DELETE = {"method": "DELETE", "path": "/v2/bot/audienceGroup/*"}
RENAME = {"method": "PUT", "path": "*/updateDescription"}
OTHERS = "\n".join(PEOPLE[20:140]) + "\n"


def test_deleting_what_is_gone_already_cleans_the_state(here):
    """scenario 31: an upload that nothing needs any more was deleted by hand before audsql came to it."""
    here.write("shop.aud", SPEC.split("delivery sale", 1)[0] + "removed sale { delete }\n" + KEEPS_THE_ACCOUNT)
    assert here.apply().exit_code == 0
    change(here, lambda one: one.update(deleted=NOW))
    here.advance(25 * 3_600)
    assert here.run().exit_code == 0
    document = here.plan().document
    assert document["drift"] == []
    assert refreshing.look(here.opened()).document["remembered"] == []


KEEPS_THE_ACCOUNT = "delivery later { to: friends  send: card  at: 2026-12-20 10:00  by: broadcast }\n"


def test_an_interrupted_deletion_converges(here):
    """scenario 34"""
    here.write("shop.aud", SPEC.split("delivery sale", 1)[0] + "removed sale { delete }\n" + KEEPS_THE_ACCOUNT)
    assert here.apply().exit_code == 0
    here.advance(25 * 3_600)
    here.faults({"match": DELETE, "nth": 1, "do": "drop-response"})
    here.run()
    here.faults()
    assert here.run().exit_code == 0
    assert [one for one in held(here) if "deletedAt" not in one and not one.get("deleted")] == []
    assert here.plan().document["drift"] == []


@pytest.mark.parametrize("after", ["same", "changed", "removed"])
def test_a_rebuild_that_was_interrupted_ends_right(here, after):
    """scenario 35: the old one is gone, the new one failed; then the same specs, others, or none."""
    change(here, lambda one: one.update(deleted=NOW))
    here.faults({"match": CREATE, "do": "status:400"})
    assert here.apply().exit_code == 1
    here.faults()
    if after == "changed":
        here.write("buyers.txt", OTHERS)
    if after == "removed":
        here.write("shop.aud", SPEC.split("delivery sale", 1)[0] + "removed sale { delete }\n" + KEEPS_THE_ACCOUNT)
    assert here.apply().exit_code == 0
    is_quiet(here)
    here.advance(UNTIL_IT_IS_DUE)
    assert here.run().exit_code == 0
    people = {"same": BUYERS, "changed": PEOPLE[20:140], "removed": []}[after]
    assert here.received() == dict.fromkeys(people, 1)


def test_a_rebuild_that_fails_again_and_again_leaves_nothing_unknown(here):
    """scenario 36: the new one is made first; three times the answer is lost. Every leftover is known, and goes."""
    add_somebody(here)
    for _ in range(3):
        here.faults({"match": CREATE, "nth": 1, "do": "status-after:500"})
        here.apply()
    here.faults()
    assert here.apply().exit_code == 0
    assert {one["kind"] for one in here.plan().document["drift"]} <= {"more_people"}
    sends_once(here)
    here.advance(2 * 86_400)
    here.run()
    assert [one["kind"] for one in here.plan().document["drift"]] == []


def test_a_renaming_whose_answer_is_lost_is_carried_on(here):
    """scenario 30"""
    before = held(here)[0]["description"]
    change(here, lambda one: one.update(description="x"))
    here.faults({"match": RENAME, "nth": 1, "do": "drop-response"})
    assert here.apply().exit_code == 0
    here.faults()
    assert [one["description"] for one in held(here)] == [before]
    is_quiet(here)


def test_a_list_that_is_not_whole_gives_nothing_up(here, monkeypatch):
    """drift.gone: LINE's list leaves it out, and LINE knows it all the same."""
    from audsql.apply import remote as reading

    real = reading.read_remote

    def partial(*arguments: Any) -> Any:
        found, problems = real(*arguments)
        return (replace(found, audiences=()) if found else None), problems

    monkeypatch.setattr(reading, "read_remote", partial)
    outcome = refreshing.remember(here.opened())
    assert (outcome.exit_code, codes(outcome.diagnostics)) == (1, ["AUD0812"])
    monkeypatch.undo()
    is_quiet(here)


def test_a_tag_of_line_that_lost_half_its_people_is_told(tmp_path):
    """An audience made elsewhere: information, and no change."""
    spec = SPEC.replace("to: uploaded(buyers)", 'to: chat_tag("VIP")')
    tags = [{"type": "CHAT_TAG", "description": "VIP", "members": PEOPLE}]
    files = {"shop.aud": spec, "buyers.txt": "\n".join(BUYERS) + "\n"}
    with place(tmp_path, world(audiences=tags), files) as here:
        assert here.apply().exit_code == 0
        assert drift(here) == []
        change(here, lambda one: one.update(members=PEOPLE[:90]))
        assert drift(here) == [("changed_size", "leave")]
        is_quiet(here)


SCHEMAS = Path(__file__).resolve().parents[2] / "specs" / "schemas"


def validator() -> Any:
    schemas = {name: json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8")) for name in ("plan", "refresh")}
    registry = Registry().with_resources((one["$id"], Resource.from_contents(one)) for one in schemas.values())
    return {
        name: jsonschema.Draft202012Validator(schema, registry=registry, format_checker=None)
        for name, schema in schemas.items()
    }


def test_the_documents_are_as_published(here):
    change(here, lambda one: one.update(deleted=NOW))
    check = validator()
    document = here.plan().document
    assert document["drift"]
    assert list(check["plan"].iter_errors(document)) == []
    for found in (refreshing.look(here.opened()).document, refreshing.remember(here.opened()).document):
        assert found["remembered"]
        assert list(check["refresh"].iter_errors(found)) == []
