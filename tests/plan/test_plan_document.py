"""The plan as a document: its published schema, its bytes; and that the rules codes name are written down."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from plan_make import AT, KEY, NOW, line_audience, make, narrowcast, remote, remote_audience, source

from audsql import catalog
from audsql.compile.program import (
    AgeBetween,
    AllFilters,
    AllOf,
    AudienceLeaf,
    Broadcast,
    GenderIn,
    NoneOf,
    NotFilter,
    RedeliveryLeaf,
)
from audsql.plan.audiences import Held
from audsql.plan.document import canonical, parse_plan
from audsql.plan.facts import AudienceFacts, Movement, Size
from audsql.plan.guard import check
from audsql.plan.occurrence import Known
from audsql.plan.plan import PlanInputs, desired_of, make_plan

SPECS = Path(__file__).parents[2] / "specs"
VALIDATOR = jsonschema.Draft202012Validator(json.loads((SPECS / "schemas" / "plan.schema.json").read_text("utf-8")))
TREE = narrowcast(
    recipient=AllOf((AudienceLeaf(KEY), NoneOf(RedeliveryLeaf("old", 1)))),
    filter=AllFilters((NotFilter(GenderIn(("female",))), AgeBetween("age_30", None))),
)
DONE = Known("2026-10-01T01:00:00Z", "scheduled", "d", None, None)
PLANNED: dict[str, dict[str, Any]] = {
    "plain": {},
    "once": {"delivery": {"at": None}},
    "trees": {"send": TREE},
    "broadcast": {"send": Broadcast(0)},
    "refused": {"sources": (source(left=1), source(name="orders", kind="table", late_hours=3))},
    "found": {"audiences": (line_audience(),), "remote": remote(audiences=(remote_audience(),))},
    "waits": {"audiences": (line_audience("CLICK", delivery="old", name=None),)},
    "grown": {"held": {KEY: Held(7, "f0", 50, None)}, "remote": remote(audiences=(remote_audience(kind="UPLOAD"),))},
    "released": {"held": {"0123": Held(8, "f0", 50, None)}, "lineage": "6f1e9c3a-0b52-4d57", "serial": 12},
    "cancelled": {"occurrences": {"gone": (DONE,)}},
    "sent": {"state": "done", "now": AT},
    "begun": {"state": "sending", "now": AT, "held": {KEY: Held(7, "f0", 50, None)}},
    "unbounded": {"size": Size(0, None), "bound": None, "remote": remote(followers=None, quota_remaining=None)},
}


def planned(inputs: PlanInputs) -> dict[str, Any]:
    return make_plan(inputs, check(inputs, desired_of(inputs)))


@pytest.mark.parametrize("name", PLANNED)
def test_plans_fit_the_schema_and_come_back(name: str) -> None:
    document = planned(make(**PLANNED[name]))
    VALIDATOR.validate(document)
    assert parse_plan(canonical(document), "plan.json") == (document, ())


def test_audiences_fit_the_schema() -> None:
    inputs = make()
    facts = (AudienceFacts("a", Size(0, None)), AudienceFacts("b", Size(3, 3), Size(1, 2), Movement(2, 0)))
    object.__setattr__(inputs.facts, "audiences", facts)
    VALIDATOR.validate(planned(inputs))


@pytest.mark.parametrize("name", PLANNED)
def test_equal_inputs_give_equal_bytes(name: str) -> None:
    assert canonical(planned(make(**PLANNED[name]))) == canonical(planned(make(**PLANNED[name])))


@pytest.mark.parametrize(
    ("name", "add", "change", "delete", "applyable"),
    [
        ("plain", 2, 0, 0, True),
        ("refused", 2, 0, 0, False),
        ("grown", 1, 1, 0, True),
        ("released", 2, 0, 0, True),
        ("cancelled", 2, 0, 1, True),
        ("sent", 0, 0, 0, True),
        ("begun", 0, 1, 0, True),
    ],
)
def test_summary(name: str, add: int, change: int, delete: int, applyable: bool) -> None:
    document = planned(make(**PLANNED[name]))
    summary = document["summary"]
    assert (summary["add"], summary["change"], summary["delete"]) == (add, change, delete)
    assert summary["changes"] == bool(add or change or delete)
    assert document["applyable"] is applyable


@pytest.mark.rule("line.narrowcast.deleted")
def test_an_upload_stays_while_its_delivery_is_under_way() -> None:
    (change,) = planned(make(**PLANNED["begun"]))["resource_changes"]
    assert (change["action"], change["reason"]) == ("keep", "frozen")


def test_a_release_is_no_change() -> None:
    inputs = make(state="done", now=AT, held={KEY: Held(7, "f1", 60, None)})
    document = planned(inputs)
    assert document["releases"] == [{"address": f"upload.{KEY}", "action": "release", "remote_id": 7}]
    assert document["summary"]["changes"] is False


@pytest.mark.parametrize("name", ["created_at", "as_of"])
def test_times_have_their_zone(name: str) -> None:
    assert planned(make())[name] == NOW.isoformat(timespec="seconds")


OPERATIONS = tuple(
    code for code in catalog.codes() if code.startswith(("AUD062", "AUD07", "AUD085", "AUD086", "AUD1120"))
)


@pytest.mark.parametrize("code", OPERATIONS)
def test_rules_are_written_down(code: str) -> None:
    rules = set(re.findall(r"\*\*([a-z_.]+)\*\*", (SPECS / "operations.md").read_text("utf-8")))
    rules |= set(re.findall(r"`r\[([a-z_.]+)\]`", (SPECS / "state.md").read_text("utf-8")))
    rules |= set(re.findall(r"\*\*([a-z_.]+)\*\*", (SPECS / "flows.md").read_text("utf-8")))
    assert catalog.entry(code).rule in rules


def test_rules_name_codes_that_exist() -> None:
    named = set(re.findall(r"AUD\d{4}", (SPECS / "operations.md").read_text("utf-8")))
    assert named <= set(catalog.codes())
