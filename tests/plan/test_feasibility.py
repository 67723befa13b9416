"""What LINE's rules of time allow, over plans of several deliveries: verdicts, times, edges. Rules: `time.*`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from plan_make import remote, remote_audience
from test_plan_document import VALIDATOR

from audsql.compile.project import compile_project
from audsql.diag import Diagnostic
from audsql.line.limits import (
    AUDIENCE_LIFETIME_DAYS,
    AUDIENCE_READY_HOURS,
    CONCURRENT_OPERATIONS_PER_AUDIENCE_MAX,
    RATES,
    REDELIVERY_AGE_DAYS_MAX,
    RETARGETING_AGE_DAYS_MAX,
    UPLOAD_FILE_IDS_MAX,
    UPLOAD_JSON_IDS_MAX,
)
from audsql.meaning.lower import analyse
from audsql.plan import edges as edge_values
from audsql.plan import plan as plan_module
from audsql.plan.audiences import Held, live_until
from audsql.plan.definition import definition_digest, occurrence_time
from audsql.plan.document import canonical
from audsql.plan.edges import EDGES_MAX
from audsql.plan.facts import DeliveryFacts, Facts, Movement, PartFacts, RemoteFacts, Size, UploadFacts
from audsql.plan.feasibility import in_time
from audsql.plan.guard import check
from audsql.plan.occurrence import Known, not_after
from audsql.plan.pace import audience_requests, pace_document, seconds_until, upload_chunks, upload_seconds
from audsql.plan.plan import PlanInputs, desired_of, make_plan, resource_changes
from audsql.plan.timeline import Timeline, quota_month, timeline
from audsql.source import Source
from audsql.syntax.parse import parse_file

SOURCES = """
account shop { token: env("LINE_TOKEN") }
account other { token: env("OTHER_TOKEN") }
upload a { file: "a.txt"  id: user_id }
upload b { file: "b.txt"  id: user_id }
message card { text: "https://example.com/" }
"""
NOW = datetime.fromisoformat("2026-11-21T09:00:00+09:00")
MESSAGES = {"card": ({"type": "text", "text": "https://example.com/"},)}
SENDS_MAX, HOUR = RATES["narrowcast"][0], timedelta(hours=1)


def delivery(name: str, to: str, at: str | None = None, more: str = "") -> str:
    time = f"  at: {at}" if at else ""
    return f"delivery {name} {{ account: shop  to: {to}  send: card{time}  {more} }}\n"


def inputs_of(
    spec: str,
    *,
    now: datetime = NOW,
    states: Mapping[str, str] | None = None,
    account: RemoteFacts | None = None,
    people: int = 60,
    approved_at: datetime | None = None,
    **more: Any,
) -> PlanInputs:
    """A plan of these deliveries. `states`: what is recorded of each by name; `people`: in every upload and part."""
    file, problems = parse_file(Source("shop.aud", SOURCES + spec))
    analysis, found = analyse((file,), name="shop", timezone="Asia/Tokyo")
    assert [one for one in (*problems, *found) if one.severity == "error"] == []
    project = analysis.project
    program, refused = compile_project(project)
    assert refused == ()
    uploads = {one.key: UploadFacts(one.key, people, "f1", False, Movement(people, 0)) for one in program.uploads}
    sizes = {
        one.name: DeliveryFacts(one.name, Size(people, people), tuple(PartFacts(s.part, people) for s in one.sends))
        for one in program.deliveries
    }
    remotes = {"shop": account or remote(), "other": remote(account="other")}
    facts = Facts(NOW, False, now, uploads=uploads, deliveries=sizes, remotes=remotes)
    compiled = {one.name: one for one in program.deliveries}
    occurrences = {}
    for name, state in (states or {}).items():
        one = project.delivery(name)
        assert one is not None
        digest = definition_digest(one, compiled[name], MESSAGES)
        end = not_after(one.at or approved_at or now)
        row = Known(occurrence_time(one), state, digest, one.at, end, name=name, account="shop")
        occurrences[name] = (replace(row, approved_at=approved_at or now),)
    return PlanInputs(
        project, program, facts, MESSAGES, "default", f"sha256:{'0' * 64}", "0.1.0",
        occurrences=occurrences, endpoints={"shop": "sim"}, **more,
    )  # fmt: skip


def verdicts(inputs: PlanInputs) -> list[Diagnostic]:
    return list(in_time(inputs, desired_of(inputs)))


def times(inputs: PlanInputs) -> Timeline:
    aim = desired_of(inputs)
    return timeline(inputs, aim, resource_changes(inputs, aim))


def planned(inputs: PlanInputs) -> dict[str, Any]:
    return make_plan(inputs, check(inputs, desired_of(inputs)))


FIRST = delivery("first", "uploaded(a)", "2026-12-01 10:00")
ONCE = delivery("first", "uploaded(a)")
ELSEWHERE = 'delivery first {{ account: shop  sent: "r1"  at: {at}  by: narrowcast }}\n'


def second(to: str, at: str | None, more: str = "") -> str:
    return delivery("second", to, at, more)


def elsewhere(at: str) -> str:
    return ELSEWHERE.format(at=at)


def many(count: int, at: str, name: str = "d") -> str:
    """Deliveries of one send each, at one time."""
    return "".join(delivery(f"{name}{index:03}", "uploaded(a)", at) for index in range(count))


CASES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("one delivery", {"spec": FIRST}, ()),
    ("clicks some days later", {"spec": FIRST + second("clicked(first)", "2026-12-05 10:00")}, ()),
    ("clicks of the same time", {"spec": FIRST + second("clicked(first)", "2026-12-01 10:00")}, ("AUD0750",)),
    ("clicks of a later one", {"spec": FIRST + second("clicked(first)", "2026-11-30 10:00")}, ("AUD0750",)),
    ("opens of a later one, excluded", {"spec": FIRST + second("uploaded(a) EXCEPT opened(first)",
                                                              "2026-11-30 10:00")}, ("AUD0750",)),
    ("clicks and opens, told once", {"spec": FIRST + second("clicked(first) OR opened(first)",
                                                            "2026-11-30 10:00")}, ("AUD0750",)),
    ("clicks of a later one, at once", {"spec": FIRST + second("clicked(first)", None)}, ("AUD0750",)),
    ("clicks, both at once", {"spec": ONCE + second("clicked(first)", None)}, ("AUD0750",)),
    ("clicks of one that was sent", {"spec": FIRST + second("clicked(first)", "2026-12-05 10:00"),
                                     "states": {"first": "done"}, "days": 12}, ()),
    ("receipts of the same time", {"spec": FIRST + second("uploaded(b) EXCEPT received(first)",
                                                         "2026-12-01 10:00")}, ()),
    ("receipts, both at once", {"spec": ONCE + second("uploaded(b) EXCEPT received(first)", None)}, ()),
    ("receipts of a later one", {"spec": FIRST + second("uploaded(b) EXCEPT received(first)",
                                                       "2026-12-01 09:59")}, ("AUD0750",)),
    ("too soon", {"spec": FIRST + second("clicked(first)", "2026-12-01 15:59")}, ("AUD0751",)),
    ("just not too soon", {"spec": FIRST + second("clicked(first)", "2026-12-01 16:00")}, ()),
    ("too soon for receipts is no matter", {"spec": FIRST + second("received(first)", "2026-12-01 10:01")}, ()),
    ("sent elsewhere a minute ago", {"spec": elsewhere("2026-11-21 08:59") + second("clicked(first)", None)}, ()),
    ("waits for one that was missed", {"spec": FIRST + second("clicked(first)", "2026-12-05 10:00"),
                                       "states": {"first": "missed"}, "days": 11}, ("AUD0752",)),
    ("waits for one in doubt", {"spec": FIRST + second("received(first)", "2026-12-05 10:00"),
                                "states": {"first": "in_doubt"}, "days": 11}, ("AUD0752",)),
    ("waits for one that was closed", {"spec": FIRST + second("received(first)", "2026-12-05 10:00"),
                                       "states": {"first": "closed"}, "days": 11}, ("AUD0752",)),
    ("received a day before the limit", {"spec": FIRST + second("received(first)", "2026-12-14 10:00")}, ()),
    ("received a minute before the limit", {"spec": FIRST + second("received(first)", "2026-12-15 09:59")}, ()),
    ("received at the limit", {"spec": FIRST + second("received(first)", "2026-12-15 10:00")}, ("AUD0753",)),
    ("received too long ago, excluded", {"spec": FIRST + second("uploaded(b) EXCEPT received(first)",
                                                               "2026-12-20 10:00")}, ("AUD0753",)),
    ("received elsewhere, in time", {"spec": elsewhere("2026-11-08 10:00") + second("received(first)", None)}, ()),
    ("received elsewhere, too long ago", {"spec": elsewhere("2026-11-07 09:00") + second("received(first)", None)},
     ("AUD0753",)),
    ("received, sent and then too long ago", {"spec": FIRST + second("received(first)", "2026-12-15 10:00"),
                                              "states": {"first": "done"}, "days": 11}, ("AUD0753",)),
    ("clicks while their audience lives", {"spec": FIRST + second("clicked(first)", "2027-05-30 03:00")}, ()),
    ("clicks after their audience died", {"spec": FIRST + second("clicked(first)", "2027-05-30 05:00")},
     ("AUD0754",)),
    ("clicks made now, after their audience died", {"spec": elsewhere("2026-11-10 10:00") + second(
        "clicked(first)", "2027-05-21 10:00")}, ("AUD0754",)),
    ("clicks whose audience stands and lives", {"spec": elsewhere("2026-11-10 10:00") + second(
        "clicked(first)", "2026-12-24 10:00"), "found": ("CLICK", "2026-12-24 16:00")}, ()),
    ("clicks whose audience stands and dies", {"spec": elsewhere("2026-11-10 10:00") + second(
        "clicked(first)", "2026-12-24 10:00"), "found": ("CLICK", "2026-12-24 15:59")}, ("AUD0754",)),
    ("a tag that lives", {"spec": second('chat_tag("VIP")', "2026-12-24 10:00"),
                          "found": ("CHAT_TAG", "2026-12-24 16:00")}, ()),
    ("a tag that dies", {"spec": second('chat_tag("VIP")', "2026-12-24 10:00"),
                         "found": ("CHAT_TAG", "2026-12-24 15:59")}, ("AUD0755",)),
    ("a tag without an end", {"spec": second('chat_tag("VIP")', "2028-12-24 10:00"), "found": ("CHAT_TAG", None)},
     ()),
    ("repeated ones have another refusal", {"spec": FIRST + second(
        "clicked(first)", None, "every: monday 10:00  from: 2026-11-22")}, ()),
    ("as many sends as an hour takes", {"spec": many(SENDS_MAX, "2026-12-01 10:00")}, ()),
    ("one send more", {"spec": many(SENDS_MAX + 1, "2026-12-01 10:00")}, ("AUD0757",)),
    ("one send more, an hour later", {"spec": many(SENDS_MAX, "2026-12-01 10:00") + delivery(
        "z", "uploaded(a)", "2026-12-01 11:00")}, ()),
    ("as many as the window takes", {"spec": many(SENDS_MAX * 6, "2026-12-01 10:00")}, ("AUD0757",)),
    ("more than the window takes", {"spec": many(SENDS_MAX * 6 + 1, "2026-12-01 10:00")}, ("AUD0756",)),
    ("more than the window takes, begun", {"spec": many(SENDS_MAX * 6 + 1, "2026-12-01 10:00"), "states": {
        "d359": "sending", "d360": "sending"}, "days": 10, "hours": 1}, ("AUD0757",)),
    ("multicasts have another rate", {"spec": many(SENDS_MAX + 1, "2026-12-01 10:00").replace(
        "send: card", "send: card  by: multicast")}, ()),
    ("uploads in time", {"spec": second("uploaded(a)", "2026-11-21 09:02"), "people": UPLOAD_FILE_IDS_MAX * 121}, ()),
    ("uploads not in time", {"spec": second("uploaded(a)", "2026-11-21 09:01"),
                             "people": UPLOAD_FILE_IDS_MAX * 122}, ("AUD0758",)),
    ("uploads not in time, but it has none", {"spec": second("uploaded(a)", None),
                                              "people": UPLOAD_FILE_IDS_MAX * 122}, ()),
]  # fmt: skip
WARNINGS = {"AUD0751", "AUD0752", "AUD0755", "AUD0757", "AUD0758"}


def made(given: Mapping[str, Any]) -> PlanInputs:
    """`days` and `hours` after NOW; `found`: an audience that stands at LINE, by kind and expiry."""
    later = timedelta(days=given.get("days", 0), hours=given.get("hours", 0))
    account = None
    if "found" in given:
        kind, end = given["found"]
        expires = datetime.fromisoformat(f"{end}:00+09:00") if end else None
        standing = remote_audience(kind=kind, request_id="r1", expires_at=expires)
        account = remote(audiences=(standing,))
    rest = {name: given[name] for name in ("states", "people") if name in given}
    return inputs_of(given["spec"], now=NOW + later, account=account, **rest)


@pytest.mark.rule("line.audience.ready_hours")
@pytest.mark.parametrize(("given", "codes"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_verdicts(given: dict[str, Any], codes: tuple[str, ...]) -> None:
    """Exactly these verdicts over time, and all of them stand in the plan."""
    inputs = made(given)
    found = verdicts(inputs)
    assert tuple(one.code for one in found) == codes
    assert all((one.severity == "warning") == (one.code in WARNINGS) for one in found)
    document = planned(inputs)
    assert {one["code"] for one in document["guards"]} >= set(codes)
    VALIDATOR.validate(document)
    assert canonical(document) == canonical(planned(made(given)))


def test_every_code_has_a_case() -> None:
    assert {code for _, _, codes in CASES for code in codes} == {f"AUD075{number}" for number in range(9)}


def test_the_cases_stand_at_lines_numbers() -> None:
    """The times above are these numbers, written out."""
    assert (AUDIENCE_READY_HOURS, REDELIVERY_AGE_DAYS_MAX, AUDIENCE_LIFETIME_DAYS) == (6, 14, 180)
    assert (RETARGETING_AGE_DAYS_MAX, RATES["narrowcast"], RATES["audience"]) == (60, (60, 3_600), (60, 60))


# --- what verdicts say --------------------------------------------------------------------------------


def test_times_are_said_in_the_zone_of_the_project() -> None:
    (found,) = verdicts(inputs_of(FIRST + second("clicked(first)", "2026-11-30 10:00")))
    assert (found.fact("at"), found.fact("other_at")) == ("2026-11-30T10:00+09:00", "2026-12-01T10:00+09:00")
    assert found.fact("call") == "clicked(first)"


def test_the_last_send_is_named_with_its_time() -> None:
    (found,) = verdicts(inputs_of(many(SENDS_MAX * 2 + 1, "2026-12-01 10:00")))
    assert (found.fact("sends"), found.fact("count")) == (SENDS_MAX * 2 + 1, SENDS_MAX + 1)
    assert found.fact("last") == "2026-12-01T12:00+09:00"


def test_accounts_have_rates_of_their_own() -> None:
    spec = many(SENDS_MAX, "2026-12-01 10:00")
    other = many(SENDS_MAX, "2026-12-01 10:00", "e").replace("account: shop", "account: other")
    assert verdicts(inputs_of(spec + other)) == []
    (found,) = verdicts(inputs_of(spec + many(1, "2026-12-01 10:00", "f") + other))
    assert (found.fact("account"), found.fact("deliveries")) == ("shop", ("f000",))


def test_only_the_sends_around_it_are_counted() -> None:
    spec = many(SENDS_MAX + 1, "2026-12-01 10:00") + many(50, "2026-12-02 10:00", "e")
    (found,) = verdicts(inputs_of(spec))
    assert (found.code, found.fact("sends"), found.fact("count")) == ("AUD0757", SENDS_MAX + 1, 1)


# --- times --------------------------------------------------------------------------------------------


def test_never_more_sends_than_the_rate_in_any_window() -> None:
    """Deliveries of one to three sends over some hours, in every order: the rate holds, nothing goes early."""
    areas = "(uploaded(a) AND gender(female)) OR (uploaded(b) AND area(tokyo))"
    spec = "".join(
        delivery(f"d{index:03}", areas if index % 3 else "uploaded(a)", f"2026-12-01 {10 + index % 5}:{index % 60:02}")
        for index in range(150)
    )
    line = times(inputs_of(spec))
    sends = sorted(
        instant for turn in line.turns.values() for instant in (turn.earliest, turn.last)[: turn.narrowcasts]
    )
    assert max(turn.narrowcasts for turn in line.turns.values()) == 3
    assert all(turn.due <= turn.ready <= turn.earliest <= turn.last for turn in line.turns.values())
    for index in range(len(sends) - SENDS_MAX):
        assert sends[index + SENDS_MAX] - sends[index] >= HOUR
    starts = [turn.earliest for turn in line.turns.values()]
    assert starts == sorted(starts)


def test_a_delivery_goes_after_all_it_waits_for() -> None:
    """A diamond is no circle: the last waits for both, which wait for the first."""
    spec = (
        many(SENDS_MAX, "2026-12-01 10:00")
        + delivery("top", "uploaded(a)", "2026-12-01 10:00")
        + delivery("left", "received(top) AND uploaded(a)", "2026-12-01 10:00")
        + delivery("right", "received(top) EXCEPT uploaded(a)", "2026-12-01 10:00")
        + delivery("bottom", "received(left) OR received(right)", "2026-12-01 10:00")
    )
    turns = times(inputs_of(spec)).turns
    assert turns["left"].after == turns["right"].after == ("top",)
    assert turns["bottom"].after == ("left", "right")
    assert turns["top"].earliest == turns["top"].due + HOUR
    assert turns["bottom"].earliest >= max(turns["left"].last, turns["right"].last) >= turns["top"].last
    assert list(turns)[-1] == "bottom"


def test_without_a_time_it_is_due_when_it_was_approved() -> None:
    spec, approved = delivery("once", "uploaded(a)"), NOW - timedelta(hours=2)
    turn = times(inputs_of(spec, states={"once": "scheduled"}, approved_at=approved)).turns["once"]
    assert (turn.due, turn.earliest, turn.latest) == (approved, NOW, not_after(approved))


# --- how long requests take ---------------------------------------------------------------------------


def upload(people: int, action: str = "create", key: str = "k", entering: int | None = None) -> dict[str, Any]:
    moved = {"before": 0, "after": people, "entering": entering, "leaving": 0}
    return {"type": "UPLOAD", "action": action, "account": "shop", "address": f"upload.{key}", "people": moved}


@pytest.mark.parametrize(
    ("change", "requests"),
    [
        (upload(1), {"create": 1}),
        (upload(UPLOAD_JSON_IDS_MAX), {"create": 1}),
        (upload(UPLOAD_JSON_IDS_MAX + 1), {"create_file": 1}),
        (upload(UPLOAD_FILE_IDS_MAX * 3), {"create_file": 1, "add_file": 2}),
        (upload(UPLOAD_FILE_IDS_MAX * 3, "add", entering=5), {"add": 1}),
        (upload(UPLOAD_FILE_IDS_MAX * 3, "add", entering=UPLOAD_FILE_IDS_MAX + 1), {"add_file": 2}),
        (upload(UPLOAD_FILE_IDS_MAX * 3, "keep"), {}),
        ({"type": "CLICK", "action": "create"}, {"create_CLICK": 1}),
        ({"type": "CLICK", "action": "wait"}, {}),
    ],
)
def test_requests_of_an_audience(change: dict[str, Any], requests: dict[str, int]) -> None:
    assert dict(audience_requests(change)) == requests


def test_each_operation_has_its_own_minute() -> None:
    """120 creations by JSON and one by file: only the former wait."""
    small = [upload(1, key=f"{index:03}") for index in range(120)]
    found = upload_seconds([*small, upload(UPLOAD_JSON_IDS_MAX + 1, key="file")])
    assert [found[f"upload.{index:03}"] for index in (0, 59, 60, 119)] == [0, 0, 60, 60]
    assert upload_seconds([upload(UPLOAD_JSON_IDS_MAX + 1, key="file"), *small])["upload.file"] == 0


def test_time_is_counted_by_account() -> None:
    changes = [upload(1, key=f"{index:03}") for index in range(120)]
    shared = [{**one, "account": "ab"[index % 2]} for index, one in enumerate(changes)]
    assert pace_document(changes, [])["waiting_seconds"] == 60
    assert pace_document(shared, [])["waiting_seconds"] == 0
    assert pace_document(shared, [])["audience_requests"] == 120


@pytest.mark.parametrize(("request_number", "seconds"), [(1, 0), (60, 0), (61, 3600), (120, 3600), (121, 7200)])
def test_waiting_for_the_hour(request_number: int, seconds: int) -> None:
    assert seconds_until(request_number, "narrowcast") == seconds


def test_a_large_upload_is_worked_through_in_rounds() -> None:
    people = UPLOAD_FILE_IDS_MAX * (CONCURRENT_OPERATIONS_PER_AUDIENCE_MAX + 1)
    (row,) = planned(inputs_of(FIRST, people=people))["timeline"]
    assert (row["upload_requests"], row["upload_rounds"]) == (upload_chunks(people), 2)


# --- edges --------------------------------------------------------------------------------------------


def edges(inputs: PlanInputs) -> list[dict[str, Any]]:
    return planned(inputs)["edges"]


def test_edges_of_a_delivery_that_uses_the_clicks_of_another() -> None:
    spec = FIRST + second("clicked(first) EXCEPT received(first)", "2026-12-05 10:00")
    found = {one["kind"]: one for one in edges(inputs_of(spec))}
    assert set(found) == {"data", "upload", "react", "ready", "received"}
    assert (found["data"]["from"], found["data"]["to"]) == ("source.a", found["upload"]["from"])
    react, ready, received = found["react"], found["ready"], found["received"]
    assert (react["from"], react["to"], ready["to"]) == ("delivery.first", ready["from"], "delivery.second")
    assert react["earliest"] == "2026-12-01T10:00:00+09:00"
    assert react["latest"] == "2027-01-30T10:00:00+09:00"
    assert ready["latest"] == "2026-12-05T16:00:00+09:00"
    assert (received["from"], received["to"]) == ("delivery.first", "delivery.second")
    assert received["latest"] == "2026-12-05T16:00:00+09:00"


def test_a_limit_within_the_window_is_the_latest_time() -> None:
    spec = FIRST + second("received(first)", "2026-12-15 09:00")
    (found,) = [one for one in edges(inputs_of(spec)) if one["kind"] == "received"]
    assert found["latest"] == "2026-12-15T10:00:00+09:00"


def test_sends_of_an_account_follow_each_other_while_their_windows_meet() -> None:
    spec = "".join(delivery(name, "uploaded(a)", at) for name, at in (
        ("one", "2026-12-01 10:00"), ("two", "2026-12-01 16:00"), ("three", "2026-12-01 22:01")))  # fmt: skip
    turns = [(one["from"], one["to"]) for one in edges(inputs_of(spec)) if one["kind"] == "turn"]
    assert turns == [("delivery.one", "delivery.two")]


def test_a_part_follows_those_whose_receivers_it_leaves_out() -> None:
    spec = delivery("first", "(uploaded(a) AND age(20..29)) OR (uploaded(b) AND age(30..39))", "2026-12-01 10:00")
    found = edges(inputs_of(spec))
    assert [one["parts"] for one in found if one["kind"] == "part"] == [[0, 1]]
    apart = delivery("first", "(uploaded(a) AND gender(female)) OR (uploaded(b) AND area(tokyo))", "2026-12-01 10:00")
    assert not [one for one in edges(inputs_of(apart)) if one["kind"] == "part"]


def test_edges_are_counted_beyond_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = inputs_of(many(10, "2026-12-01 10:00"))
    whole = edges(inputs)
    assert 10 < len(whole) < EDGES_MAX
    for module in (edge_values, plan_module):
        monkeypatch.setattr(module, "EDGES_MAX", 10)
    document = planned(inputs)
    assert (document["edges"], document["edges_left_out"]) == (whole[:10], len(whole) - 10)


def test_edges_and_rows_have_a_total_order() -> None:
    spec = FIRST + "".join(second(f"received(first) AND uploaded({name})", "2026-12-05 10:00").replace(
        "second", f"second_{name}") for name in "ba")  # fmt: skip
    document = planned(inputs_of(spec))
    keys = [(edge_values._KINDS.index(one["kind"]), one["to"], one["from"]) for one in document["edges"]]
    assert keys == sorted(keys)
    assert len({json.dumps(one, sort_keys=True) for one in document["edges"]}) == len(document["edges"])
    assert [one["address"] for one in document["timeline"]] == [
        "delivery.first", "delivery.second_a", "delivery.second_b"]  # fmt: skip


@pytest.mark.parametrize("state", ["done", "missed", "closed"])
def test_what_is_over_has_no_time(state: str) -> None:
    document = planned(inputs_of(FIRST, states={"first": state}, now=NOW + timedelta(days=11)))
    assert (document["timeline"], document["edges"]) == ([], [])


# --- months -------------------------------------------------------------------------------------------


@pytest.mark.rule("line.quota.month")
@pytest.mark.parametrize(
    ("instant", "month"),
    [
        ("2026-11-30T14:59:59+00:00", "2026-11"),
        ("2026-11-30T15:00:00+00:00", "2026-12"),
        ("2026-11-30T23:59:59+09:00", "2026-11"),
        ("2027-01-01T00:00:00+09:00", "2027-01"),
    ],
)
def test_a_quota_is_of_a_month_in_japan(instant: str, month: str) -> None:
    assert quota_month(datetime.fromisoformat(instant)) == month


def test_later_months_count_against_quotas_of_their_own() -> None:
    spec = (
        delivery("now", "uploaded(a)")
        + delivery("soon", "uploaded(a)", "2026-11-30 23:59")
        + delivery("later", "uploaded(a)", "2026-12-01 00:00")
        + delivery("latest", "uploaded(a)", "2027-01-01 00:00")
    )
    document = planned(inputs_of(spec, account=remote(quota_remaining=120)))
    rows = {one["address"]: (one["month"], one["most_before"], one["most"]) for one in document["timeline"]}
    assert rows == {
        "delivery.now": ("2026-11", 0, 60),
        "delivery.soon": ("2026-11", 60, 60),
        "delivery.later": ("2026-12", 0, 60),
        "delivery.latest": ("2027-01", 0, 60),
    }
    assert [(one["account"], one["high"]) for one in document["quota"]] == [("other", 0), ("shop", 120)]
    assert [(one["month"], one["low"]) for one in document["later_quota"]] == [("2026-12", 60), ("2027-01", 60)]
    assert document["applyable"]


def test_what_nothing_bounds_leaves_open_what_is_left_for_the_next() -> None:
    inputs = inputs_of(delivery("now", "uploaded(a)") + delivery("soon", "uploaded(a)", "2026-11-22 10:00"))
    sizes = {**inputs.facts.deliveries, "now": DeliveryFacts("now", Size(0, None), ())}
    facts = replace(inputs.facts, deliveries=sizes, remotes={"shop": remote(followers=None)})
    found = planned(replace(inputs, facts=facts))["timeline"]
    assert [(one["most_before"], one["most"]) for one in found] == [(0, None), (None, 60)]


# --- uploads of deliveries that are far ahead ---------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "held_days", "action"),
    [
        (100, 120, "keep"),
        (100, 100, "replace"),
        (178, 175, "replace"),
        (300, 175, "keep"),
        (300, 1, "keep"),
        (300, 0.5, "replace"),
    ],
)
def test_an_upload_is_renewed_once_a_new_one_lives_long_enough(days: int, held_days: float, action: str) -> None:
    """Neither at every run until then, nor too late."""
    at = (NOW + timedelta(days=days)).strftime("%Y-%m-%d %H:%M")
    inputs = inputs_of(delivery("far", "uploaded(a)", at))
    (upload,) = inputs.program.uploads
    expires = NOW + timedelta(days=held_days)
    standing = remote_audience(kind="UPLOAD", name="a", count=60, expires_at=expires)
    facts = replace(inputs.facts, remotes={"shop": remote(audiences=(standing,))})
    held = {upload.key: Held(7, "f1", 60, expires)}
    (change,) = planned(replace(inputs, facts=facts, held=held))["resource_changes"]
    assert change["action"] == action


def test_a_new_upload_is_not_renewed_at_once() -> None:
    """Whenever the window ends, what is made now is kept by the plan after."""
    for days in range(170, 200):
        end, expires = NOW + timedelta(days=days), NOW + timedelta(days=AUDIENCE_LIFETIME_DAYS)
        assert expires >= live_until(end, NOW) + timedelta(days=1)
