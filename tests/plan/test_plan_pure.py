"""The pure decisions of planning: occurrences, uploads, tags, the plan file, the guards."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from plan_make import AT, BUYERS, KEY, NOW, line_audience, make, narrowcast, remote, remote_audience, source

from audsql.compile.program import AllOf, AudienceLeaf, GenderIn, NoneOf, RedeliveryLeaf
from audsql.line.limits import (
    AUDIENCE_NAME_CHARACTERS_MAX,
    AUDIENCES_PER_CHANNEL_MAX,
    RECIPIENTS_MIN,
    RETARGETING_AGE_DAYS_MAX,
    TARGET_REACH_MIN,
    UPLOAD_DESCRIPTION_CHARACTERS_MAX,
)
from audsql.meaning.ir import Delivery, Every
from audsql.plan import audiences as audience_decisions
from audsql.plan import occurrence as occurrence_decisions
from audsql.plan.audiences import Held, find_named, find_retargeting, upload_action
from audsql.plan.bound import whole_bound
from audsql.plan.document import FORMAT_VERSION, canonical, digest_of, parse_plan, sealed
from audsql.plan.facts import Movement, RemoteAudienceFacts, Size, UploadFacts
from audsql.plan.feasibility import FEASIBILITY
from audsql.plan.flow_guards import FLOW_GUARDS
from audsql.plan.guard import GUARDS, check
from audsql.plan.history import HISTORY
from audsql.plan.occurrence import Known, judge, not_after
from audsql.plan.plan import desired_of, send_limit
from audsql.plan.policies import POLICIES
from audsql.plan.repeated import rule_document
from audsql.plan.tags import Tag, audience_name, chunk_description, parse_chunk, parse_tag
from audsql.plan.tested import coupons, untested

# --- occurrences ------------------------------------------------------------------------------------

TIME = "2026-12-01T09:00:00Z"
OTHER_TIME = "2026-11-01T09:00:00Z"
AFTER = AT + timedelta(minutes=5)
LONG_AFTER = not_after(AT) + timedelta(seconds=1)


def known(state: str, definition: str = "d1", scheduled: str = TIME, at: datetime | None = AT) -> Known:
    return Known(scheduled, state, definition, at, not_after(at) if at else None)


JUDGED: list[tuple[str, datetime | None, tuple[Known, ...], datetime, str]] = [
    ("new, once", None, (), NOW, "send"),
    ("new, ahead", AT, (), NOW, "schedule"),
    ("new, due this second", AT, (), AT, "send"),
    ("new, its time has passed", AT, (), AFTER, "past"),
    ("cancelled, ahead", AT, (known("cancelled"),), NOW, "schedule"),
    ("cancelled, its time has passed", AT, (known("cancelled"),), AFTER, "past"),
    ("approved, ahead", AT, (known("scheduled"),), NOW, "keep"),
    ("approved, due", AT, (known("scheduled"),), AFTER, "send"),
    ("approved, due this second", AT, (known("scheduled"),), AT, "send"),
    ("approved, last second of its window", AT, (known("scheduled"),), not_after(AT), "send"),
    ("approved, window over", AT, (known("scheduled"),), LONG_AFTER, "attention"),
    ("approved, window over, edited", AT, (known("scheduled", "d0"),), LONG_AFTER, "attention"),
    ("approved, once", None, (known("scheduled", scheduled="once", at=None),), NOW, "send"),
    ("approved, edited since", AT, (known("scheduled", "d0"),), NOW, "update"),
    ("declared not sent by a person", AT, (known("planned", ""),), NOW, "update"),
    ("begun", AT, (known("sending"),), AFTER, "resume"),
    ("begun, window over", AT, (known("sending"),), LONG_AFTER, "resume"),
    ("begun, edited since", AT, (known("sending", "d0"),), AFTER, "edited"),
    ("sent", AT, (known("done"),), AFTER, "sent"),
    ("sent, long ago", AT, (known("done"),), AFTER + timedelta(days=300), "sent"),
    ("sent, edited since", AT, (known("done", "d0"),), AFTER, "edited"),
    ("missed", AT, (known("missed"),), AFTER, "attention"),
    ("missed, edited since", AT, (known("missed", "d0"),), AFTER, "attention"),
    ("in doubt", AT, (known("in_doubt"),), AFTER, "attention"),
    ("in doubt, edited since", AT, (known("in_doubt", "d0"),), AFTER, "edited"),
    ("failed", AT, (known("failed"),), AFTER, "attention"),
    ("closed by a person", AT, (known("closed"),), AFTER, "closed"),
    ("declared sent by a person", AT, (known("done", ""),), AFTER, "sent"),
    ("sent for another time", AT, (known("done", scheduled=OTHER_TIME),), NOW, "edited"),
    ("begun for another time", AT, (known("sending", scheduled=OTHER_TIME),), NOW, "edited"),
    ("in doubt for another time", AT, (known("in_doubt", scheduled=OTHER_TIME),), NOW, "edited"),
    ("approved for another time", AT, (known("scheduled", scheduled=OTHER_TIME),), NOW, "schedule"),
    ("missed at another time", AT, (known("missed", scheduled=OTHER_TIME),), NOW, "schedule"),
    ("sent for another time, cancelled", AT, (known("cancelled"), known("done", scheduled=OTHER_TIME)), NOW, "edited"),
]


@pytest.mark.parametrize(
    ("at", "records", "now", "action"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED]
)
def test_judge(at: datetime | None, records: tuple[Known, ...], now: datetime, action: str) -> None:
    assert judge(TIME if at else "once", at, "d1", records, now).action == action


def test_every_judgement_has_a_case() -> None:
    assert {row[-1] for row in JUDGED} == set(get_args(occurrence_decisions.Action))


@pytest.mark.rule("line.retry.window")
@pytest.mark.threat("T07")
def test_the_window_ends_well_before_line_forgets() -> None:
    assert AT < not_after(AT) <= AT + timedelta(hours=20)


# --- uploads ----------------------------------------------------------------------------------------

UNTIL = NOW + timedelta(days=3)
HELD = Held(7, "f1", 60, None)


def facts(fingerprint: str = "f1", entering: int = 0, leaving: int = 0, known: bool = True) -> UploadFacts:
    return UploadFacts(KEY, 60, fingerprint, known, Movement(entering, leaving))


def at_line(status: str = "READY", expires_at: datetime | None = None) -> RemoteAudienceFacts:
    return RemoteAudienceFacts(7, "UPLOAD", "buyers", status, 60, expires_at)


ACTED: list[tuple[UploadFacts, Held | None, RemoteAudienceFacts | None, str, str]] = [
    (facts(), None, None, "create", "new"),
    (facts(), None, at_line(), "create", "new"),
    (facts(), HELD, None, "create", "deleted_at_line"),
    (facts(), HELD, at_line("EXPIRED"), "replace", "expired"),
    (facts(), HELD, at_line("FAILED"), "replace", "failed"),
    (facts(), HELD, at_line("INACTIVE"), "replace", "failed"),
    (facts(), HELD, at_line("SOMETHING_NEW"), "replace", "failed"),
    (facts(), HELD, at_line(), "keep", "same"),
    (facts(), HELD, at_line("IN_PROGRESS"), "keep", "same"),
    (facts(), HELD, at_line(expires_at=UNTIL + timedelta(days=1)), "keep", "same"),
    (facts(), HELD, at_line(expires_at=UNTIL + timedelta(hours=23)), "replace", "expires_too_soon"),
    (facts(), Held(7, "f1", 60, UNTIL), at_line(), "replace", "expires_too_soon"),
    (facts(), Held(7, "f1", 60, UNTIL), at_line(expires_at=UNTIL + timedelta(days=9)), "keep", "same"),
    (facts("f2", known=False), HELD, at_line(), "replace", "members_unknown"),
    (facts("f1", known=False), HELD, at_line(), "keep", "same"),
    (facts("f2", entering=3), HELD, at_line(), "add", "people_entered"),
    (facts("f2", entering=3, leaving=1), HELD, at_line(), "replace", "people_left"),
    (facts("f2", leaving=1), HELD, at_line(), "replace", "people_left"),
]


@pytest.mark.parametrize(("wanted", "held", "found", "action", "reason"), ACTED)
@pytest.mark.rule("line.audience.add_only", "line.audience.life", "line.audience.adding_life")
def test_upload_action(
    wanted: UploadFacts, held: Held | None, found: RemoteAudienceFacts | None, action: str, reason: str
) -> None:
    decision = upload_action(wanted, held, found, UNTIL)
    assert (decision.action, decision.reason) == (action, reason)


def test_every_action_has_a_case() -> None:
    assert {row[3] for row in ACTED} == set(get_args(audience_decisions.Action))
    assert audience_decisions.AudienceAction.__doc__ is not None
    for _, _, _, _, reason in ACTED:
        assert reason in audience_decisions.AudienceAction.__doc__


@pytest.mark.rule("line.audience.add_only")
def test_nobody_is_kept_who_must_leave() -> None:
    """Growth in place is the only change of an audience that stands; it never loses a leaver."""
    for wanted, _, _, action, _ in ACTED:
        assert action != "add" or not wanted.movement.leaving


@pytest.mark.rule("line.audience.request_once")
def test_retargeting_is_found_by_request_and_url() -> None:
    one = remote_audience(kind="CLICK", request_id="r1", click_url="https://e.example/a")
    account = remote(audiences=(remote_audience(kind="CLICK", request_id="r1", status="EXPIRED"), one))
    assert find_retargeting(account, "CLICK", "r1", "https://e.example/a") == one
    assert find_retargeting(account, "CLICK", "r1", None) is None
    assert find_retargeting(account, "IMP", "r1", "https://e.example/a") is None
    assert find_retargeting(account, "CLICK", "r2", "https://e.example/a") is None


@pytest.mark.parametrize(
    ("wanted", "listed", "found"),
    [
        ("CHAT_TAG", "CHAT_TAG", True),
        ("CHAT_TAG", "FRIEND_PATH", False),
        ("WEBTRAFFIC", "TRACKINGTAG_WEBTRAFFIC", True),
        ("SHARED", "SHARED", True),
        ("SHARED", "UPLOAD", False),
    ],
)
@pytest.mark.rule("line.audience.exists")
def test_named_audiences_are_found_by_kind(wanted: str, listed: str, found: bool) -> None:
    account = remote(audiences=(remote_audience(kind=listed), remote_audience(kind=listed, name="other")))
    assert [one.name for one in find_named(account, line_audience(wanted))] == ["VIP"] * found


# --- tags -------------------------------------------------------------------------------------------

LABELS = ["buyers", "", "  ", "購入者" * 100, "a" * 500, "line\nbreak", "x [audsql:000000:0000000000:9]", "🎉" * 130]
KEYS = [KEY, "f" * 64, "uploaded(buyers)", "", "6f1e9c3a-0b52-4d57-8a3e-5a7c2d9b1e00"]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("generation", [0, 1, 999_999])
@pytest.mark.rule("line.audience.name")
def test_tag_round_trip(label: str, key: str, generation: int) -> None:
    tag = Tag.of("6f1e9c3a-0b52-4d57-8a3e-5a7c2d9b1e00", key, generation)
    name = audience_name(label, tag)
    assert parse_tag(name) == tag
    assert name.endswith(str(tag))
    assert len(name) <= AUDIENCE_NAME_CHARACTERS_MAX
    assert name.isprintable()


@pytest.mark.parametrize("name", ["", "VIP", "[audsql:6f1e9c]", f"{Tag.of('6f1e9c', KEY, 1)} copy"])
def test_names_of_others_have_no_tag(name: str) -> None:
    assert parse_tag(name) is None


@pytest.mark.parametrize("fingerprint", ["f1", "b" * 64, ""])
@pytest.mark.threat("T27")
def test_chunk_round_trip(fingerprint: str) -> None:
    description = chunk_description(fingerprint, 3, 17)
    found = parse_chunk(description)
    assert found is not None
    assert found[1:] == (3, 17)
    assert parse_chunk(chunk_description(fingerprint, 4, 17)) != found
    assert len(description) <= UPLOAD_DESCRIPTION_CHARACTERS_MAX


@pytest.mark.parametrize("description", ["", "by hand", "audsql:zz/1of2", "audsql:b1b1b1b1b1b1/1of2 "])
def test_other_jobs_are_not_ours(description: str) -> None:
    assert parse_chunk(description) is None


# --- the plan file ----------------------------------------------------------------------------------

PLAN = {"kind": "audsql.plan", "format_version": FORMAT_VERSION, "project": "店", "serial": 4, "changes": [1, None]}
RAW = canonical(sealed(PLAN))


def refusal(raw: bytes) -> str:
    document, diagnostics = parse_plan(raw, "plan.json")
    assert document is None
    assert [one.fact("path") for one in diagnostics] == ["plan.json"]
    return diagnostics[0].code


def test_a_plan_is_read_as_it_was_written() -> None:
    assert parse_plan(RAW, "plan.json") == (sealed(PLAN), ())
    assert parse_plan(RAW + b"\n", "plan.json") == (sealed(PLAN), ())


def test_digest_covers_everything_and_no_order() -> None:
    backwards = dict(reversed(list(PLAN.items())))
    assert sealed(backwards)["digest"] == sealed(sealed(PLAN))["digest"] == digest_of(PLAN)
    for key in PLAN:
        assert sealed({**PLAN, key: "other"})["digest"] != digest_of(PLAN)


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_one_flipped_byte_is_refused(mask: int) -> None:
    for place in range(len(RAW)):
        altered = bytearray(RAW)
        altered[place] ^= mask
        assert refusal(bytes(altered)) in ("AUD0620", "AUD0621", "AUD0622"), place


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "AUD0620"),
        (b"\x00\xff", "AUD0620"),
        (b"[]", "AUD0620"),
        (b"{}", "AUD0620"),
        (b'{"kind":"audsql.apply"}', "AUD0620"),
        (b"[" * 100_000, "AUD0620"),
        (RAW[:-1], "AUD0620"),
        (canonical(sealed({**PLAN, "format_version": "2.0"})), "AUD0621"),
        (canonical({"kind": "audsql.plan"}), "AUD0621"),
        (canonical(PLAN), "AUD0622"),
        (json.dumps(sealed(PLAN), indent=2).encode(), "AUD0622"),
        (RAW.replace(b'"serial":4', b'"serial":4,"serial":4'), "AUD0622"),
        (RAW.replace(b'"serial":4', b'"serial":5'), "AUD0622"),
        (RAW.replace(b'"serial":4', b'"serial":NaN'), "AUD0622"),
        (RAW.replace(b'"serial":4', b'"serial":1e999'), "AUD0622"),
        (b" " + RAW, "AUD0622"),
    ],
)
def test_other_files_are_refused(raw: bytes, code: str) -> None:
    assert refusal(raw) == code


def test_a_newer_minor_version_is_read() -> None:
    raw = canonical(sealed({**PLAN, "format_version": "1.99"}))
    assert parse_plan(raw, "plan.json")[1] == ()


# --- the fuse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "expect", "own", "friends", "found"),
    [
        (None, None, 60, 1_000, 60),
        (None, None, 0, 1_000, 0),
        (None, None, None, 1_000, 1_000),
        (None, None, None, None, None),
        (None, (10, 50), 60, 1_000, 50),
        (None, (10, 90), 60, 1_000, 60),
        (None, (10, None), None, 1_000, 1_000),
        (None, (None, 90), None, None, 90),
        (30, (10, 20), 60, 1_000, 30),
    ],
)
def test_send_limit(
    limit: int | None, expect: tuple[int | None, int | None] | None, own: int | None, friends: int | None, found: int
) -> None:
    delivery = Delivery("sale", "shop", BUYERS, BUYERS, "uploaded(buyers)", limit=limit, expect=expect)
    assert send_limit(delivery, own, friends) == found


@pytest.mark.parametrize(
    ("limit", "expect", "high", "limits", "own", "found"),
    [
        (None, None, 60, [60, 60], [60, 60], (60, True)),
        (None, (10, 50), 60, [50, 50], [60, 60], (50, False)),
        (None, (10, 90), 60, [60, 60], [60, 60], (60, True)),
        (None, None, None, [1_000, 60], [None, 60], (1_000, False)),
        (None, (1, 90), None, [90, 60], [None, 60], (90, False)),
        (None, None, None, [None, 60], [None, 60], None),
        (30, None, 30, [30], [60], (30, False)),
        (None, None, None, [], [], None),
    ],
)
def test_bound_of_all_parts_together(
    limit: int | None,
    expect: tuple[int | None, int | None] | None,
    high: int | None,
    limits: list[int | None],
    own: list[int | None],
    found: tuple[int, bool] | None,
) -> None:
    delivery = Delivery("sale", "shop", BUYERS, BUYERS, "uploaded(buyers)", limit=limit, expect=expect)
    document = {"people": found[0], "own": found[1]} if found else None
    assert whole_bound(delivery, high, limits, dict(enumerate(own))) == document


# --- guards -----------------------------------------------------------------------------------------

FILTERED = narrowcast(filter=GenderIn(("female",)))
UNBOUNDED = narrowcast(bound=None)
RECEIVED = narrowcast(recipient=AllOf((AudienceLeaf(KEY), RedeliveryLeaf("other", 0))))
GUARDED_PART = narrowcast(recipient=AllOf((AudienceLeaf(KEY), NoneOf(RedeliveryLeaf("sale", 0)))))
OLD = NOW - timedelta(days=RETARGETING_AGE_DAYS_MAX + 1)
YOUNG = NOW - timedelta(days=RETARGETING_AGE_DAYS_MAX - 1)
THIS_MONTH = {"delivery": {"at": NOW + timedelta(days=1)}}
CLICKS = line_audience("CLICK", delivery="old", name=None)
TAGGED = remote_audience(kind="UPLOAD", name=audience_name("buyers", Tag.of("beef00", KEY, 1)))
TAG = (line_audience(),)
PATH = (line_audience("FRIEND_PATH"),)
FULL = tuple(remote_audience(id=at) for at in range(AUDIENCES_PER_CHANNEL_MAX))


def clicks_at_line(status: str, count: int) -> dict[str, Any]:
    """The click audience of the delivery `old`, as LINE lists it."""
    one = remote_audience(id=7, kind="CLICK", name="clicks", status=status, count=count)
    return {"audiences": (CLICKS,), "line_held": {CLICKS.key: 7}, "remote": remote(audiences=(one,))}


def past(at: datetime) -> tuple[Delivery, ...]:
    """A delivery that was sent elsewhere at that time."""
    return (Delivery("old", "shop", BUYERS, BUYERS, "friends", at=at, sent_request_id="r1"),)


def with_audience(audiences: Any, **changes: Any) -> dict[str, Any]:
    return {"audiences": audiences, "remote": remote(audiences=(remote_audience(**changes),))}


EVERY = Every("day", 10, 0)
DAILY = {"at": None, "every": EVERY}


def approved_daily(definition: str | None = None, time: str | None = None) -> dict[str, Any]:
    """The repetition as approved; `time`: the state of one of its times."""
    inputs = make(delivery=DAILY)
    digest = definition or desired_of(inputs).wanted[0].definition
    rule = rule_document(EVERY, "Asia/Tokyo")
    row = Known("every", "planned", digest, None, None, name="sale", account="shop", rule=rule)
    one = Known("2026-11-20T01:00:00Z", time or "done", digest, NOW, NOW, name="sale", account="shop",
                label="2026-11-20 10:00")  # fmt: skip
    return {"occurrences": {"sale": (one, row)}}


GUARDED: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("nothing is wrong", {}, ()),
    ("in doubt", {"state": "in_doubt", "now": AFTER}, ("AUD0700",)),
    ("missed", {"state": "missed", "now": AFTER}, ("AUD0700",)),
    ("failed", {"state": "failed", "now": AFTER}, ("AUD0700",)),
    ("approved, never run", {"state": "scheduled", "now": LONG_AFTER}, ("AUD0700",)),
    ("sent", {"state": "done", "now": AFTER}, ()),
    ("approved", {"state": "scheduled"}, ()),
    ("sent, edited", {"state": "done", "definition": "d0", "now": AFTER}, ("AUD0708",)),
    ("approved, edited", {"state": "scheduled", "definition": "d0"}, ()),
    ("past", {"now": AFTER}, ("AUD0707",)),
    ("due this second", {"now": AT}, ()),
    ("repeated", {"delivery": DAILY}, ()),
    ("repeated, approved", {"delivery": DAILY, **approved_daily()}, ()),
    ("repeated, edited", {"delivery": DAILY, **approved_daily("d0")}, ()),
    (
        "repeated, edited while a time is under way",
        {"delivery": DAILY, **approved_daily("d0", "sending")},
        ("AUD0790",),
    ),
    ("repeated, a time was missed", {"delivery": DAILY, **approved_daily(None, "missed")}, ("AUD0700",)),
    ("repeated, at its end", {"delivery": {**DAILY, "every": replace(EVERY, end=NOW)}}, ("AUD0791",)),
    (
        "repeated, sent before as one that was not",
        {
            "delivery": DAILY,
            "occurrences": {
                "sale": (Known("2026-11-20T01:00:00Z", "done", "d0", None, None, name="sale", account="shop"),)
            },
        },
        ("AUD0708",),
    ),
    ("tags of a lost state", {"remote": remote(audiences=(TAGGED,))}, ("AUD0715", "AUD0809")),
    ("tags of another state", {"remote": remote(audiences=(TAGGED,)), "lineage": "cafe00"}, ("AUD0715", "AUD0809")),
    ("tags of this state", {"remote": remote(audiences=(TAGGED,)), "lineage": "beef00", "generations": {KEY: 1}}, ()),
    (
        "tags of a later copy of this state",
        {"remote": remote(audiences=(TAGGED,)), "lineage": "beef00"},
        ("AUD0715",),
    ),
    (
        "tags, and a person's word",
        {"remote": remote(audiences=(TAGGED,)), "state": "planned", "definition": ""},
        ("AUD0809",),
    ),
    ("too many", {"delivery": {"expect": (10, 59)}}, ("AUD0701",)),
    ("too few", {"delivery": {"expect": (61, None)}}, ("AUD0701",)),
    ("as expected", {"delivery": {"expect": (60, 60)}}, ()),
    ("perhaps as expected", {"delivery": {"expect": (10, 20)}, "size": Size(0, 60)}, ()),
    ("too many, begun", {"delivery": {"expect": (10, 59)}, "state": "sending", "now": AFTER}, ()),
    ("nobody", {"size": Size(0, 0), "bound": 0}, ("AUD0702",)),
    ("nobody, allowed", {"size": Size(0, 0), "bound": 0, "delivery": {"allow_empty": True}}, ()),
    ("perhaps nobody", {"size": Size(0, 60)}, ()),
    ("an exclusion shrank", {"sources": (source(left=1),)}, ("AUD0703",)),
    ("an exclusion shrank, as far as known", {"sources": (source(left=None, people=9),)}, ("AUD0703",)),
    ("an exclusion swapped a person", {"sources": (source(left=1, people=10),)}, ("AUD0703",)),
    ("an exclusion grew", {"sources": (source(people=11),)}, ()),
    ("an exclusion is new", {"sources": (source(previous_people=None, left=None),)}, ()),
    ("another list shrank", {"sources": (source(exclusion=False, left=1),)}, ()),
    ("late data", {"sources": (source(late_hours=2),)}, ("AUD0710",)),
    ("quota too small", {**THIS_MONTH, "remote": remote(quota_remaining=59)}, ("AUD0704",)),
    (
        "quota perhaps too small",
        {**THIS_MONTH, "remote": remote(quota_remaining=59), "size": Size(0, 60)},
        ("AUD0705",),
    ),
    (
        "quota, no bound known",
        {**THIS_MONTH, "remote": remote(quota_remaining=999), "size": Size(0, None)},
        ("AUD0705",),
    ),
    ("quota, friends bound", {**THIS_MONTH, "remote": remote(quota_remaining=1_000), "size": Size(0, None)}, ()),
    ("quota just enough", {**THIS_MONTH, "remote": remote(quota_remaining=60)}, ()),
    ("quota too small, sent next month", {"remote": remote(quota_remaining=59)}, ()),
    ("no quota", {**THIS_MONTH, "remote": remote(quota_remaining=None), "size": Size(0, None)}, ()),
    ("quota, nothing to send", {"remote": remote(quota_remaining=0), "state": "done", "now": AFTER}, ()),
    ("a small part", {"send": FILTERED, "bound": RECIPIENTS_MIN - 1}, ("AUD0706",)),
    ("a small part of who received another", {"send": RECEIVED, "bound": RECIPIENTS_MIN - 1}, ("AUD0706",)),
    ("a small part of listed people", {"bound": RECIPIENTS_MIN - 1}, ()),
    ("a part that is large enough", {"send": FILTERED, "bound": RECIPIENTS_MIN}, ()),
    ("a part of nobody", {"send": FILTERED, "bound": 0}, ()),
    ("reach too small", {"send": FILTERED, "remote": remote(target_reach=TARGET_REACH_MIN - 1)}, ("AUD0709",)),
    ("reach large enough", {"send": FILTERED, "remote": remote(target_reach=TARGET_REACH_MIN)}, ()),
    ("reach not known", {"send": FILTERED, "remote": remote(target_reach=None)}, ()),
    ("reach too small, no filter", {"remote": remote(target_reach=0)}, ()),
    ("no audience of the name", {"audiences": TAG}, ("AUD0711",)),
    ("an audience of the name, other kind", with_audience(TAG, kind="FRIEND_PATH"), ("AUD0711",)),
    (
        "two audiences of the name",
        {"audiences": TAG, "remote": remote(audiences=(remote_audience(), remote_audience(id=8)))},
        ("AUD0712",),
    ),
    ("an audience that is not ready", with_audience(TAG, status="IN_PROGRESS"), ("AUD0713",)),
    ("a small audience", with_audience(PATH, kind="FRIEND_PATH", count=49), ("AUD0714",)),
    ("an audience that is large enough", with_audience(PATH, kind="FRIEND_PATH", count=50), ()),
    ("a small chat tag", with_audience(TAG, count=1), ()),
    ("an audience that is there", with_audience(TAG), ()),
    ("clicks too old", {"audiences": (CLICKS,), "others": past(OLD)}, ("AUD0716",)),
    ("clicks young enough", {"audiences": (CLICKS,), "others": past(YOUNG)}, ()),
    ("clicks too old, made in time", {**clicks_at_line("READY", 60), "others": past(OLD)}, ()),
    (
        "clicks too old, made in time and gone",
        {"audiences": (CLICKS,), "others": past(OLD), "line_held": {CLICKS.key: 7}},
        ("AUD0716",),
    ),
    ("clicks that LINE dropped", {**clicks_at_line("EXPIRED", 60), "others": past(OLD)}, ("AUD0713",)),
    ("a guard of few people", {"send": GUARDED_PART, "bound": RECIPIENTS_MIN - 1}, ("AUD0706", "AUD0767")),
    ("a guard of enough people", {"send": GUARDED_PART, "bound": RECIPIENTS_MIN}, ()),
    ("a guard of nobody", {"send": GUARDED_PART, "bound": 0}, ()),
    ("clicks of few, by LINE's word", {**clicks_at_line("FAILED", 0), "others": past(YOUNG)}, ("AUD0765",)),
    ("clicks of few, ready", {**clicks_at_line("READY", 49), "others": past(YOUNG)}, ("AUD0765",)),
    ("clicks that LINE gathers", {**clicks_at_line("IN_PROGRESS", 0), "others": past(YOUNG)}, ("AUD0766",)),
    ("clicks of enough people", {**clicks_at_line("READY", 50), "others": past(YOUNG)}, ()),
    ("no bound", {"send": UNBOUNDED, "bound": None, "remote": remote(followers=None)}, ("AUD0717",)),
    ("no bound but friends", {"send": UNBOUNDED, "bound": None}, ()),
    (
        "no bound but a limit",
        {"send": UNBOUNDED, "bound": None, "remote": remote(followers=None), "delivery": {"limit": 10}},
        (),
    ),
    (
        "no bound but an expectation",
        {"send": UNBOUNDED, "bound": None, "remote": remote(followers=None), "delivery": {"expect": (1, 90)}},
        (),
    ),
    ("a bound, friends not known", {"remote": remote(followers=None)}, ()),
    ("nothing would tell", {"delivery": {"at": None}, "uploads": ()}, ("AUD0768",)),
    ("its time tells", {"uploads": ()}, ()),
    ("its upload tells", {"delivery": {"at": None}}, ()),
    ("the state tells", {"delivery": {"at": None}, "uploads": (), "lineage": "beef00"}, ()),
    ("no room", {"remote": remote(audiences=FULL)}, ("AUD0718",)),
    ("room for one", {"remote": remote(audiences=FULL[1:])}, ()),
    ("no room, none needed", {"remote": remote(audiences=FULL), "held": {KEY: HELD}}, ()),
]
WARNINGS = {"AUD0700", "AUD0705", "AUD0706", "AUD0766", "AUD0767", "AUD0768", "AUD0809"}


@pytest.mark.parametrize(("given", "codes"), [row[1:] for row in GUARDED], ids=[row[0] for row in GUARDED])
@pytest.mark.rule(
    "line.audience.created",
    "line.filter.reach",
    "line.minimum.filter",
    "line.minimum.redelivery",
    "line.minimum.audience",
    "line.minimum.exempt",
    "line.audience.minimum",
    "line.audience.ready",
    "line.audience.channel",
    "line.audience.window",
    "line.audience.once",
    "line.audience.exists",
    "line.minimum.upload_filter",
    "line.minimum.english",
    "line.audience.expired_count",
    "line.audience.hidden_count",
    "line.quota.people",
    "line.quota.subtracted",
)
@pytest.mark.threat("T26", "T33")
def test_guards(given: dict[str, Any], codes: tuple[str, ...]) -> None:
    """Exactly these verdicts: the guard in question speaks, and all the others are silent."""
    inputs = make(**given)
    verdicts = check(inputs, desired_of(inputs))
    assert tuple(one.code for one in verdicts) == codes
    assert all((one.severity == "warning") == (one.code in WARNINGS) for one in verdicts)


def test_every_guard_has_a_case() -> None:
    expected = {*(f"AUD07{number:02}" for number in range(19)), "AUD0765", "AUD0766", "AUD0767", "AUD0768", "AUD0790"}
    expected |= {"AUD0791", "AUD0809"}
    assert {code for _, _, codes in GUARDED for code in codes} == expected


def test_every_guard_speaks() -> None:
    spoken = set()
    for _, given, _ in GUARDED:
        inputs = make(**given)
        spoken |= {guard.__name__ for guard in GUARDS if list(guard(inputs, desired_of(inputs)))}
    assert spoken == {guard.__name__ for guard in GUARDS} - {
        guard.__name__ for guard in (*FEASIBILITY, *POLICIES, *HISTORY, *FLOW_GUARDS, untested, coupons)
    }


def test_shrinking_can_be_accepted_by_name() -> None:
    inputs = make(sources=(source(left=1), source(name="staff", left=2)))
    verdicts = check(inputs, desired_of(inputs), frozenset({"optout"}))
    assert [(one.code, one.fact("name")) for one in verdicts] == [("AUD0703", "staff")]


def test_times_of_verdicts_are_in_the_zone_of_the_spec() -> None:
    at = datetime.fromisoformat("2026-11-21T17:00:00+09:00")
    inputs = make(delivery={"at": at}, now=datetime(2026, 11, 21, 8, 30, tzinfo=UTC))
    (verdict,) = check(inputs, desired_of(inputs))
    assert (verdict.fact("at"), verdict.fact("now")) == ("2026-11-21T17:00+09:00", "2026-11-21T17:30+09:00")
