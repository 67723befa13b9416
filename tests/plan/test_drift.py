"""Drift as a table: what is recorded, what LINE lists, what is said and done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from plan_make import KEY, NOW, line_audience, make, remote, remote_audience

from audsql.apply.found import refreshed
from audsql.apply.state import AudienceOperation, Resource, State
from audsql.compile.program import Program, UploadFunction
from audsql.meaning.ir import Leaf, Uploaded
from audsql.plan.audiences import Held
from audsql.plan.drift import Drift, Expected, Record, drift_of, other_states
from audsql.plan.guard import check
from audsql.plan.plan import desired_of, make_plan
from audsql.plan.tags import Tag, audience_name
from audsql.view.drift import DRIFT_LINES_MAX, drift_lines

LINEAGE = "lineage-1"
NAME = audience_name("buyers", Tag.of(LINEAGE, KEY, 1))
ADDRESS = f"upload.{KEY}"
MADE = Record(ADDRESS, 1, "shop", "UPLOAD", "ready", NAME, KEY, 7, 60, NOW + timedelta(days=180), "buyers")
STANDS = remote_audience(kind="UPLOAD", name=NAME, count=60)
KEEP = {"address": ADDRESS, "action": "keep", "reason": "same"}
REPLACE = {"address": ADDRESS, "action": "replace", "reason": "changed_at_line"}
CLICKS = replace(MADE, address="line_audience.k", kind="CLICK", size=None, key="k")
KEEP_CLICKS = {"address": "line_audience.k", "action": "keep", "reason": "same"}
CREATE_CLICKS = {**KEEP_CLICKS, "action": "create", "reason": "new"}


def found(
    record: Record = MADE, stands: Any = STANDS, change: Any = KEEP, lineage: str | None = LINEAGE, **more: Any
) -> list[Drift]:
    audiences = stands if isinstance(stands, tuple) else (stands,) if stands else ()
    changes = {record.address: change} if change else {}
    expected = Expected(lineage, (record,), changes=changes, **more)
    return list(drift_of(expected, {"shop": remote(audiences=audiences)}, NOW))


def said(*arguments: Any, **more: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.action) for one in found(*arguments, **more)]


DAYS = {days: NOW + timedelta(days=days) for days in (5, 13, 14, 15, 30)}
RENAMED = replace(STANDS, name="spring")
TABLE = [
    ("as it was left", MADE, STANDS, KEEP, []),
    ("nobody needs it and it stands", MADE, STANDS, None, []),
    ("deleted", MADE, None, KEEP, [("deleted", "make_anew")]),
    ("deleted under a delivery under way", MADE, None, {**KEEP, "reason": "frozen"}, [("deleted", "make_anew")]),
    ("deleted and not needed", MADE, None, None, [("deleted", "forget")]),
    ("deleted while it waits to be", replace(MADE, status="releasing"), None, None, []),
    ("deleted and needed again", replace(MADE, status="releasing"), None, KEEP, [("deleted", "make_anew")]),
    ("what was superseded may go", replace(MADE, status="superseded"), None, KEEP, []),
    ("expired", MADE, replace(STANDS, status="EXPIRED"), REPLACE, [("expired", "make_anew")]),
    ("failed", MADE, replace(STANDS, status="FAILED"), REPLACE, [("failed", "make_anew")]),
    ("inactive", MADE, replace(STANDS, status="INACTIVE"), REPLACE, [("failed", "make_anew")]),
    ("expired clicks", CLICKS, replace(STANDS, kind="CLICK", status="EXPIRED"), KEEP_CLICKS, [("expired", "person")]),
    ("deleted clicks", CLICKS, None, CREATE_CLICKS, [("deleted", "make_anew")]),
    ("deleted clicks of a send too old", CLICKS, None, KEEP_CLICKS, [("deleted", "person")]),
    ("one more", MADE, replace(STANDS, count=61), REPLACE, [("more_people", "make_anew")]),
    ("one more under way", MADE, replace(STANDS, count=61), KEEP, [("more_people", "person")]),
    ("one more where nobody needs it", MADE, replace(STANDS, count=61), None, [("more_people", "leave")]),
    ("one fewer", MADE, replace(STANDS, count=59), KEEP, [("fewer_people", "leave")]),
    ("not counted yet", MADE, replace(STANDS, count=0, status="IN_PROGRESS"), KEEP, []),
    ("still being filled", replace(MADE, status="creating"), replace(STANDS, count=9), KEEP, []),
    ("renamed", MADE, RENAMED, KEEP, [("renamed", "rename")]),
    ("renamed to what the specs say", replace(MADE, name=NAME.replace("buyers", "old")), STANDS, KEEP,
     [("renamed", "remember")]),
    ("an adopted one renamed", replace(CLICKS, name="Spring"), replace(RENAMED, kind="CLICK"), KEEP_CLICKS,
     [("renamed", "remember")]),
    ("expires soon", MADE, replace(STANDS, expires_at=DAYS[13]), KEEP, [("expiring", "leave")]),
    ("expires in 14 days", MADE, replace(STANDS, expires_at=DAYS[14]), KEEP, [("expiring", "leave")]),
    ("expires later", MADE, replace(STANDS, expires_at=DAYS[15]), KEEP, []),
    ("expires before its use", MADE, replace(STANDS, expires_at=DAYS[30]), {**REPLACE, "reason": "expires_too_soon"},
     [("expiring", "make_anew")]),
    ("expires and nobody needs it", MADE, replace(STANDS, expires_at=DAYS[5]), None, []),
]  # fmt: skip


@pytest.mark.parametrize(("what", "record", "stands", "change", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_of_an_audience_that_was_made_here(what, record, stands, change, expected):
    assert said(record, stands, change) == expected


def test_clicks_that_line_drops_before_they_are_needed_need_a_person():
    stands = replace(STANDS, kind="CLICK", expires_at=DAYS[15])
    assert said(CLICKS, stands, KEEP_CLICKS, needed_until={"k": DAYS[30]}) == [("expiring", "person")]
    assert said(CLICKS, stands, KEEP_CLICKS, needed_until={"k": DAYS[14]}) == []


NAMED = line_audience()
NAMED_TABLE = [
    ("there", remote_audience(), []),
    ("expired", remote_audience(status="EXPIRED"), [("expired", "person")]),
    ("failed", remote_audience(status="FAILED"), [("failed", "person")]),
    ("expires before its use", remote_audience(expires_at=DAYS[15]), [("expiring", "person")]),
    ("half of it went", remote_audience(count=100), [("changed_size", "leave")]),
    ("more than half stayed", remote_audience(count=101), []),
    ("doubled", remote_audience(count=400), [("changed_size", "leave")]),
    ("nearly doubled", remote_audience(count=399), []),
    ("not there: a guard says so", remote_audience(name="other"), []),
]


@pytest.mark.parametrize(("what", "stands", "expected"), NAMED_TABLE, ids=[row[0] for row in NAMED_TABLE])
def test_of_an_audience_that_is_found_by_name(what, stands, expected):
    more = {"named": (NAMED,), "needed_until": {"cafe01": DAYS[30]}, "counts": {"cafe01": 200}}
    remotes = {"shop": remote(audiences=(stands,))}
    rows = drift_of(Expected(LINEAGE, **more), remotes, NOW)
    assert [(one.kind, one.action) for one in rows] == expected


def test_a_small_audience_may_double():
    expected = Expected(LINEAGE, named=(NAMED,), counts={"cafe01": 20})
    assert not drift_of(expected, {"shop": remote(audiences=(remote_audience(count=60),))}, NOW)


def tagged(lineage: str, number: int, generation: int = 1, **more: Any) -> Any:
    name = audience_name("x", Tag.of(lineage, KEY, generation))
    return replace(STANDS, id=number, name=name, **more)


def test_what_carries_our_tag_and_is_not_known():
    """T25"""
    twin = tagged(LINEAGE, 8, generation=2)
    assert said(MADE, (STANDS, twin)) == [("untracked", "leave")]
    waiting = replace(MADE, remote_id=None, status="creating")
    assert said(waiting, (STANDS,), {**KEEP, "action": "create"}) == [("untracked", "adopt")]


def test_what_carries_the_tag_of_another_state():
    """T18"""
    others = (STANDS, tagged("lineage-2", 8), tagged("lineage-2", 9), tagged("lineage-3", 10))
    rows = found(MADE, others)
    assert [(one.kind, one.action, one.now) for one in rows] == [
        ("other_state", "person", 1),
        ("other_state", "person", 2),
    ] or [(one.kind, one.now) for one in rows] == [("other_state", 2), ("other_state", 1)]
    assert other_states({"shop": remote(audiences=(tagged("x", 1, kind="SHARED"),))}, LINEAGE) == []
    inputs = make(remote=remote(audiences=others), lineage=LINEAGE, records=(MADE,), held={KEY: held()})
    warned = [one for one in check(inputs, desired_of(inputs)) if one.code == "AUD0809"]
    assert sorted(dict(one.facts)["count"] for one in warned) == [1, 2]
    assert {one.severity for one in warned} == {"warning"}


def test_what_the_state_has_on_record_is_its_own_whatever_its_tag():
    """A repaired state goes on under a lineage of its own."""
    before = replace(STANDS, name=tagged("lineage-2", STANDS.id).name)
    others = (before, tagged("lineage-2", 9))
    assert other_states({"shop": remote(audiences=others)}, LINEAGE, (MADE,)) == other_states(
        {"shop": remote(audiences=others[1:])}, LINEAGE
    )
    inputs = make(remote=remote(audiences=(before,)), lineage=LINEAGE, records=(MADE,), held={KEY: held()})
    assert "AUD0809" not in [one.code for one in check(inputs, desired_of(inputs))]


def held() -> Held:
    return Held(7, "f1", 60, NOW + timedelta(days=180))


def plan_of(stands: Any) -> dict[str, Any]:
    inputs = make(remote=remote(audiences=(stands,)), lineage=LINEAGE, records=(MADE,), held={KEY: held()})
    return make_plan(inputs, ())


def test_a_plan_says_it_and_counts_what_leads_to_a_change():
    before, renamed = plan_of(STANDS), plan_of(RENAMED)
    assert before["drift"] == []
    assert [one["action"] for one in renamed["drift"]] == ["rename"]
    assert renamed["summary"]["change"] == before["summary"]["change"] + 1
    assert renamed["summary"]["drift"] == 1


def test_people_who_were_added_at_line_lead_to_a_new_audience():
    change = plan_of(replace(STANDS, count=61))["resource_changes"][0]
    assert (change["action"], change["reason"]) == ("replace", "changed_at_line")


def test_the_order_does_not_depend_on_lines_list():
    audiences = (STANDS, tagged("lineage-2", 8), tagged(LINEAGE, 9, 4), tagged(LINEAGE, 11, 5))
    assert found(MADE, audiences) == found(MADE, audiences[::-1])


def test_a_long_list_is_cut_and_counted():
    row = found(MADE, None)[0].to_document()
    lines = drift_lines({"drift": [row] * (DRIFT_LINES_MAX + 3)}, "en")
    assert len(lines) == DRIFT_LINES_MAX + 1
    assert "3" in lines[-1]
    assert all(drift_lines({"drift": [row]}, language) for language in ("en", "ja"))


# --- what a refresh remembers -----------------------------------------------------------------------

PROGRAM = Program((UploadFunction(KEY, "shop", Leaf(Uploaded("buyers")), "buyers"),), (), ())
ROW = Resource(ADDRESS, 1, "shop", "UPLOAD", "ready", NAME, KEY, 7, "f1", 60, expires_at=NOW + timedelta(days=180))


def remembered(row: Resource, *stands: Any, operations: tuple[AudienceOperation, ...] = ()) -> list[Any]:
    state = State("default", LINEAGE, 3, resources=(row,), audience_operations=operations)
    return list(refreshed(state, PROGRAM, {"shop": remote(audiences=stands)}, NOW))


def test_what_is_gone_is_marked_and_not_forgotten():
    """scenario 31 and 32"""
    (one,) = remembered(ROW)
    assert (one.what, one.row.status, one.row.remote_id) == ("gone", "failed", 7)
    assert remembered(one.row) == []


def test_a_name_that_the_specs_give_now_is_remembered_and_any_other_is_not():
    """scenario 33"""
    old = replace(ROW, name=NAME.replace("buyers", "old"))
    (one,) = remembered(old, STANDS)
    assert (one.what, one.row.name) == ("name", NAME)
    assert remembered(ROW, replace(STANDS, name="spring")) == []


def test_the_day_on_which_line_drops_it_is_remembered():
    (one,) = remembered(ROW, replace(STANDS, expires_at=DAYS[30]))
    assert (one.what, one.row.expires_at, one.row.status) == ("expires_at", DAYS[30], "ready")


def test_what_an_unanswered_creation_left_is_taken_up():
    """T25: one is adopted; without a request that asked for it, nothing is."""
    row = replace(ROW, status="creating", remote_id=None)
    asked = AudienceOperation(ADDRESS, 1, "create", "intent", "shop", NAME)
    (one,) = remembered(row, STANDS, replace(STANDS, id=9), operations=(asked,))
    assert (one.what, one.row.remote_id) == ("adopted", 7)
    assert remembered(row, STANDS) == []


def test_an_account_that_was_not_read_says_nothing():
    state = State("default", LINEAGE, 3, resources=(ROW,))
    assert not refreshed(state, PROGRAM, {}, NOW)
    assert not drift_of(Expected(LINEAGE, (MADE,)), {}, NOW)
