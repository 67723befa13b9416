"""The plan document as terminal text and as a pull request comment."""

from __future__ import annotations

from typing import Any

import pytest

from audsql.view.applied import event_line, result, status
from audsql.view.markdown import COMMENT_BYTES_MAX, plan_comment
from audsql.view.numbers import duration, moment, size
from audsql.view.plan import human
from audsql.view.results import evaluation
from audsql.view.terminal import Style
from audsql.view.times import LINES_MAX

BOUNDS = {"count": None, "exact": False, "low": 0, "high": 72}
EXACT = {"count": 215, "exact": True, "low": 215, "high": 215}


def upload(**changes: Any) -> dict[str, Any]:
    people = {"before": 220, "after": 215, "entering": 3, "leaving": 8}
    base = {"address": "upload.k2", "type": "UPLOAD", "label": "購入者", "action": "replace", "reason": "people_left"}
    return {**base, "people": people, **changes}


def click() -> dict[str, Any]:
    return {"address": "line_audience.k1", "type": "CLICK", "label": "msg42", "action": "create", "reason": "new"}


def delivery(**changes: Any) -> dict[str, Any]:
    send = {
        "part": 0,
        "kind": "narrowcast",
        "recipient": {"and": [{"audience": "k1"}, {"not": {"audience": "k2"}}]},
        "filter": {"gender": ["female"]},
        "limit": 215,
    }
    base = {"address": "delivery.sale_a", "action": "schedule", "at": "2026-12-01T10:00:00+09:00", "people": BOUNDS}
    return {**base, "to": "warm_a", "policies": ["house"], "sends": [send], **changes}


def plan(**changes: Any) -> dict[str, Any]:
    summary = {
        "add": 2,
        "change": 1,
        "delete": 0,
        "changes": True,
        "needs_a_person": 0,
        "people_entering": 3,
        "people_leaving": 8,
    }
    return {
        "project": "shop",
        "environment": "default",
        "as_of": "2026-11-21T00:00:00+09:00",
        "digest": "sha256:ab",
        "state": {"lineage": None, "serial": 4},
        "applyable": True,
        "resource_changes": [click(), upload()],
        "deliveries": [delivery()],
        "cancelled": [],
        "audiences": [
            {"name": "warm_a", "people": BOUNDS, "previous": None, "entering": None, "leaving": None},
            {"name": "購入者", "people": EXACT, "previous": {**EXACT, "count": 220}, "entering": 3, "leaving": 8},
        ],
        "guards": [],
        "quota": [{"account": "shop", "remaining": 30000, "low": 0, "high": 72}],
        "pace": {"waiting_seconds": 65},
        "summary": {**summary, **changes.pop("summary", {})},
        **changes,
    }


NOTHING = {"add": 0, "change": 0, "delete": 0, "changes": False, "people_entering": 0, "people_leaving": 0}


def test_plan() -> None:
    assert human(plan(), Style()) == (
        "audsql plan  shop   state 4   as of 2026-11-21 00:00 +09:00\n"
        "\n"
        "  + click audience  msg42                         new\n"
        "  ± upload          購入者     220 → 215  +3  -8  people left: a new audience takes its place\n"
        "  + delivery        sale_a  0..72 people          send 2026-12-01 10:00 +09:00\n"
        "\n"
        "  sale_a: warm_a\n"
        "    less policy house\n"
        "    narrowcast 1 of 1; to [msg42] AND NOT [購入者]; where gender(female); to at most 215\n"
        "\n"
        "Audiences (people)\n"
        "  warm_a      0..72\n"
        "  購入者  220 → 215  +3  -8\n"
        "\n"
        "Quota of shop: 0..72 messages of 30,000 left this month.\n"
        "Time: at least 65 seconds under LINE's rate limits.\n"
        "People: 3 enter, 8 leave.\n"
        "Plan: 2 to add, 1 to change, 0 to delete.\n"
    )


def turn(name: str = "sale_b", **changes: Any) -> dict[str, Any]:
    due, latest = "2026-12-05T10:00:00+09:00", "2026-12-05T16:00:00+09:00"
    row = {"address": f"delivery.{name}", "due": due, "earliest": due, "last": due, "latest": latest}
    return {**row, "after": [], "stuck": [], "upload_seconds": 0, **changes}


def timed(*rows: dict[str, Any], **changes: Any) -> str:
    created = {"created_at": "2026-11-21T09:00:00+09:00"}
    return human(plan(timeline=list(rows), **created, **changes), Style())


def test_what_goes_at_its_own_time_needs_no_line() -> None:
    assert timed(turn(), turn("at_once", due="2026-11-20T09:00:00+09:00", earliest="2026-11-21T09:00:00+09:00",
                             last="2026-11-21T09:00:00+09:00")) == human(plan(), Style())  # fmt: skip


def test_what_waits_says_for_what_and_until_when() -> None:
    late = turn("sale_c", earliest="2026-12-05T11:00:00+09:00", last="2026-12-05T12:00:00+09:00", upload_seconds=300)
    shown = timed(turn(after=["delivery.sale_a"], stuck=["delivery.lost"]), late)
    assert (
        "Deliveries that wait\n"
        "  sale_b: 2026-12-05 10:00 +09:00 at the earliest, 2026-12-05 16:00 +09:00 at the latest; "
        "once sent: sale_a; a person must settle first: lost\n"
        "  sale_c: 2026-12-05 11:00 +09:00 at the earliest, 2026-12-05 16:00 +09:00 at the latest; "
        "the requests for its audiences take at least 5 minutes; "
        "its last send 2026-12-05 12:00 +09:00 at the earliest\n"
    ) in shown


def test_only_the_first_that_wait_are_shown() -> None:
    rows = [turn(f"d{index:03}", after=["delivery.sale_a"]) for index in range(LINES_MAX + 5)]
    shown = timed(*rows)
    assert f"d{LINES_MAX - 1:03}:" in shown
    assert f"d{LINES_MAX:03}:" not in shown
    assert "  5 more lines are in the plan itself.\n" in shown


def test_a_comment_says_what_waits() -> None:
    document = plan(timeline=[turn(after=["delivery.a|b"])], created_at="2026-11-21T09:00:00+09:00")
    assert "<summary>Deliveries that wait</summary>" in plan_comment(document, "en")
    assert "<summary>待つ配信</summary>" in plan_comment(document, "ja")
    assert "a|b" not in plan_comment(document, "en")


def test_messages_of_later_months_have_a_line_of_their_own() -> None:
    rows = [
        {"account": "shop", "month": "2026-12", "low": 5, "high": 5},
        {"account": "shop", "month": "2027-01", "low": 0, "high": None},
    ]
    shown = human(plan(later_quota=rows), Style())
    assert "\nQuota of shop, 2026-12: 5 messages; what will be left then is not known yet.\n" in shown
    assert "\nQuota of shop, 2027-01: 0.. messages; what will be left then is not known yet.\n" in shown


@pytest.mark.parametrize("language", ["en", "ja"])
def test_fixed_lines_are_the_same_in_every_language(language: str) -> None:
    style = Style(language=language)
    assert "\nPlan: 2 to add, 1 to change, 0 to delete.\n" in human(plan(), style)
    quiet = plan(resource_changes=[], deliveries=[], quota=[], pace={"waiting_seconds": 0}, summary=NOTHING)
    assert "\nNo changes." in human(quiet, style)
    assert "Plan:" not in human(quiet, style)


def test_ascii_streams_get_ascii_signs() -> None:
    shown = human(plan(), Style(unicode=False))
    assert "  +/- upload" in shown
    assert "220 -> 215" in shown


def test_what_needs_a_person_stands_first_among_deliveries() -> None:
    lost = delivery(address="delivery.zz", action="attention", at=None, people=None, sends=[])
    lines = human(plan(deliveries=[delivery(), lost]), Style()).splitlines()
    rows = [line.split()[0] for line in lines if "delivery " in line]
    assert rows == ["!", "+"]


def test_sent_and_unchanged_is_not_shown() -> None:
    shown = human(plan(resource_changes=[upload(action="keep")], deliveries=[delivery(action="sent")]), Style())
    assert "upload" not in shown
    assert "sale_a" not in shown


def test_a_refused_plan_says_so() -> None:
    guard = {"code": "AUD0020", "severity": "error", "facts": {"account": "shop"}}
    shown = human(plan(guards=[guard], applyable=False), Style())
    assert "  ! error[AUD0020]: account `shop` has no endpoint\n" in shown
    assert "This plan cannot be applied.\n" in shown


def test_names_cannot_act() -> None:
    evil = "x\x1b[2J|</details>@team`"
    document = plan(resource_changes=[upload(label=evil)], deliveries=[delivery(address=f"delivery.{evil}", to=evil)])
    assert "\x1b" not in human(document, Style())
    comment = plan_comment(document, "en")
    assert "|</details>" not in comment
    assert comment.count("<details>") == comment.count("</details>")
    assert "@team" not in comment
    assert "\x1b" not in comment


def test_comment() -> None:
    lines = plan_comment(plan(), "en").splitlines()
    assert lines[0] == "<!-- audsql:plan env=default digest=sha256:ab -->"
    assert "**Plan: 2 to add, 1 to change, 0 to delete.**" in lines
    row = "| ± | upload 購入者 | 220 → … | <20 | <20 | people left: a new audience takes its place |"
    assert row in lines
    assert lines[-1] == "`audsql apply PLAN --expect sha256:ab`"


def test_comment_stays_within_what_github_takes() -> None:
    many = [upload(address=f"upload.{number}", label=f"購入者{number}") for number in range(5_000)]
    comment = plan_comment(plan(resource_changes=many), "en")
    assert len(comment.encode()) <= COMMENT_BYTES_MAX
    assert "more lines are in the plan itself." in comment


def test_sizes_and_times() -> None:
    assert size(None) == "?"
    assert size(EXACT) == "215"
    assert size({**BOUNDS, "high": None, "low": 1200}) == "1,200.."
    assert moment("2026-11-21T10:00:30Z") == "2026-11-21 10:00:30 Z"
    assert moment("once") == "once"
    assert duration(7201, "en") == "3 hours"
    assert duration(59, "en") == "59 seconds"


def test_evaluation() -> None:
    assert evaluation(EXACT, Style()) == "215 people\n"
    assert evaluation(BOUNDS, Style()).startswith("0 to 72 people")
    assert evaluation({**BOUNDS, "high": None}, Style()).startswith("at least 0 people")


def applied(**changes: Any) -> dict[str, Any]:
    summary = {"added": 2, "changed": 0, "deleted": 1, "sent": 1, "scheduled": 0}
    summary |= {"done": 1, "failed": 1, "not_started": 2, "unknown": 1}
    return {"complete": True, "needs_person": [], "summary": summary, **changes}


def test_apply_result() -> None:
    assert result(applied(), Style()) == (
        "Apply complete! Audiences: 2 added, 0 changed, 1 deleted. Deliveries sent: 1.\n"
    )
    idle = {"added": 0, "changed": 0, "deleted": 0, "sent": 0, "scheduled": 1, "unknown": 0}
    assert result(applied(kind="audsql.run", summary=idle), Style()) == "Nothing is due. Deliveries scheduled: 1.\n"
    assert result(applied(kind="audsql.run"), Style()).startswith("Apply complete!")
    assert result(applied(kind="audsql.apply", summary=idle), Style()).startswith("Apply complete!")
    broken = applied(complete=False, needs_person=[{"delivery": "sale_a", "state": "in_doubt"}])
    assert result(broken, Style()).splitlines() == [
        "! delivery sale_a: in doubt",
        "Apply incomplete: 1 done, 1 failed, 2 not started, 1 unknown. Running it again goes on from here.",
    ]
    refused = applied(complete=False, exit_code=5)
    assert result(refused, Style()).endswith("It was refused; put right what is named above first.\n")
    assert result({**refused, "paused": ["sale_a"]}, Style()).endswith("goes on from here.\n")


def test_events() -> None:
    event = {"event": "upload_replace", "label": "購入者", "reason": "people_left", "people": 1215}
    assert event_line(event, Style()).startswith("  upload 購入者: a new audience of 1,215 people; people left")
    assert event_line({"event": "something_new"}, Style()) == "  something new"


def test_status_shows_what_needs_a_person_first() -> None:
    operations = [{"id": "op1", "state": "in_doubt", "success_count": None}]
    document = {
        "serial": 7,
        "occurrences": [
            {"delivery": "a", "state": "done", "time": "once", "operations": []},
            {"delivery": "b", "state": "in_doubt", "time": "2026-12-01T01:00:00Z", "operations": operations},
        ],
        "resources": [{"name": "購入者", "status": "ready", "size": 1215}],
    }
    assert status(document, Style()).splitlines() == [
        "state 7",
        "",
        "! in doubt  b  2026-12-01 01:00 Z",
        "      op1  in doubt: it may have been sent",
        "  sent      a  once",
        "",
        "Audiences at LINE",
        "  購入者  ready  1,215 people",
    ]
    assert "Nothing was applied yet." in status({"serial": 0, "occurrences": [], "resources": []}, Style())
