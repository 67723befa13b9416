"""The audience endpoints, clause by clause (specs/simulator.md, Audiences)."""

from __future__ import annotations

from typing import Any

import pytest
from sim_cases import (
    GROUPS,
    KEY,
    OLD,
    PUSHED,
    SENT,
    URL,
    Line,
    form,
    friend,
    ids_body,
    line,
    uid,
    uids,
    world,
)

ID_FORMAT = "UPLOAD_AUDIENCE_GROUP_INVALID_AUDIENCE_ID_FORMAT"
DAY = 86_400


def codes(answer: Any) -> list[str]:
    assert answer.status == 400, (answer.status, answer.body)
    return [detail["message"] for detail in answer.body["details"]]


def test_create_answers_the_documented_fields() -> None:
    answer = line().post(f"{GROUPS}/upload", {"description": "buyers", "audiences": ids_body([1])})
    created = 1_795_186_800
    assert answer.status == 202
    assert answer.body == {
        "audienceGroupId": answer.body["audienceGroupId"],
        "createRoute": "MESSAGING_API",
        "type": "UPLOAD",
        "description": "buyers",
        "created": created,
        "permission": "READ_WRITE",
        "expireTimestamp": created + 15_552_000,
        "isIfaAudience": False,
    }


NAME_OVER = {"message": "size over audienceGroupName", "details": [{"message": "AUDIENCE_GROUP_NAME_SIZE_OVER"}]}
WRONG_JSON_ID = {
    "message": "Invalid audience id format",
    "details": [{"message": ID_FORMAT, "property": "audiences"}],
}
WRONG_FILE_ID = {"message": ID_FORMAT, "details": [{"message": ID_FORMAT, "property": "file"}]}
UNKNOWN = {"message": "audience group not found", "details": [{"message": "AUDIENCE_GROUP_NOT_FOUND"}]}
TOO_HIGH = {"message": "size: must be less than or equal to 40", "details": [{"message": "TOO_HIGH"}]}


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/upload", {"description": "x" * 121}, NAME_OVER),
        ("POST", "/upload", {"description": "x", "audiences": [{"id": "U12"}]}, WRONG_JSON_ID),
        ("POST", "/upload", {"description": "x", "audiences": [{"id": uid(10).upper()}]}, WRONG_JSON_ID),
        ("PUT", "/upload", {"audienceGroupId": 1, "audiences": ids_body([1])}, UNKNOWN),
        ("GET", "/1", None, UNKNOWN),
        ("DELETE", "/1", None, UNKNOWN),
        ("DELETE", "/abc", None, UNKNOWN),
        ("PUT", "/1/updateDescription", {"description": "x"}, UNKNOWN),
        ("GET", "/list?page=1&size=41", None, TOO_HIGH),
        ("GET", "/shared/1", None, UNKNOWN),
    ],
)
@pytest.mark.rule("line.answer.details", "line.audience.not_found", "line.answer.refused")
def test_error_bodies_that_line_documents(method: str, path: str, body: Any, expected: Any) -> None:
    answer = line().ask(method, f"{GROUPS}{path}", body)
    assert (answer.status, answer.body) == (400, expected)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "AUDIENCE_GROUP_NAME_EMPTY"),
        ({"description": ""}, "AUDIENCE_GROUP_NAME_EMPTY"),
        ({"description": " 　 "}, "AUDIENCE_GROUP_NAME_EMPTY"),
        ({"description": "a\nb"}, "AUDIENCE_GROUP_NAME_WRONG"),
        ({"description": "a", "uploadDescription": "x" * 301}, "AUDIENCE_GROUP_UPLOAD_DESCRIPTION_SIZE_OVER"),
        ({"description": "a", "audiences": ids_body(range(10_001))}, "UPLOAD_AUDIENCE_GROUP_TOO_MANY_AUDIENCE_IDS"),
    ],
)
@pytest.mark.rule("line.audience.name", "line.audience.ids")
def test_create_refuses(body: Any, code: str) -> None:
    assert codes(line().post(f"{GROUPS}/upload", body)) == [code]


@pytest.mark.rule("line.audience.name", "line.audience.ids")
def test_limits_are_inclusive() -> None:
    shop = line()
    body = {"description": "あ" * 120, "uploadDescription": "x" * 300, "audiences": ids_body(range(10_000))}
    assert shop.post(f"{GROUPS}/upload", body).status == 202


@pytest.mark.parametrize(
    "body",
    [
        {"description": "a", "audience": []},
        {"description": "a", "audiences": "U1"},
        {"description": 1},
        {"description": "a", "audiences": [{"id": uid(1), "name": "x"}]},
        {"description": "a", "isIfaAudience": "true"},
    ],
)
def test_unknown_and_mistyped_properties_are_refused(body: Any) -> None:
    answer = line().post(f"{GROUPS}/upload", body)
    assert answer.status == 400
    assert "in the request body is invalid" in answer.body["message"]


def test_advertising_ids_need_an_application() -> None:
    answer = line().post(f"{GROUPS}/upload", {"description": "a", "isIfaAudience": True})
    assert answer.status == 403


def test_an_upload_becomes_ready_by_itself() -> None:
    shop = line()
    made = shop.upload(range(1, 6))
    assert (shop.group(made)["status"], shop.group(made)["audienceCount"]) == ("IN_PROGRESS", 0)
    shop.wait(20)
    assert (shop.group(made)["status"], shop.group(made)["audienceCount"]) == ("IN_PROGRESS", 5)
    shop.wait(9)
    assert shop.group(made)["status"] == "IN_PROGRESS"
    shop.wait(1)
    assert shop.group(made)["status"] == "READY"


def test_delays_come_from_the_world() -> None:
    shop = line(world(readySeconds=3_600, jobSeconds=1_800))
    made = shop.upload([1])
    shop.wait(3_599)
    assert shop.group(made)["status"] == "IN_PROGRESS"
    shop.wait(1)
    assert shop.group(made)["status"] == "READY"


@pytest.mark.rule("line.audience.empty")
def test_an_empty_upload_stays_in_progress() -> None:
    shop = line()
    answer = shop.post(f"{GROUPS}/upload", {"description": "empty"})
    shop.wait(10 * DAY)
    made = answer.body["audienceGroupId"]
    assert (shop.group(made)["status"], shop.group(made)["audienceCount"]) == ("IN_PROGRESS", 0)
    assert shop.narrowcast(recipient={"type": "audience", "audienceGroupId": made}).status == 400
    assert shop.ask("PUT", f"{GROUPS}/upload", {"audienceGroupId": made, "audiences": ids_body([1])}).status == 202
    shop.wait(30)
    assert shop.group(made)["status"] == "READY"


@pytest.mark.rule("line.audience.growing")
def test_adding_keeps_ready_and_counts_when_the_job_is_finished() -> None:
    shop = line()
    made = shop.ready([1, 2])
    body = {"audienceGroupId": made, "uploadDescription": "more", "audiences": ids_body([2, 3])}
    answer = shop.ask("PUT", f"{GROUPS}/upload", body)
    assert (answer.status, answer.body) == (202, {})
    assert (shop.group(made)["status"], shop.group(made)["audienceCount"]) == ("READY", 2)
    states = []
    for _ in range(3):
        job = shop.get(f"{GROUPS}/{made}").body["jobs"][0]
        states.append(job["jobStatus"])
        shop.wait(10)
    assert states == ["QUEUED", "WORKING", "FINISHED"]
    assert job["description"] == "more"
    assert (job["audienceCount"], job["type"], job["failedType"]) == (2, "DIFF_ADD", None)
    assert shop.group(made)["audienceCount"] == 3


def test_no_ids_cannot_be_added() -> None:
    shop = line()
    made = shop.upload([1])
    for ids in ({}, {"audiences": []}):
        answer = shop.ask("PUT", f"{GROUPS}/upload", {"audienceGroupId": made, **ids})
        assert codes(answer) == ["UPLOAD_AUDIENCE_GROUP_NO_VALID_AUDIENCE_IDS"]


@pytest.mark.rule("line.audience.jobs")
def test_the_latest_fifty_jobs_are_shown() -> None:
    shop = line()
    made = shop.upload([1])
    for number in range(2, 62):
        body = {"audienceGroupId": made, "uploadDescription": f"n{number}", "audiences": ids_body([number])}
        assert shop.ask("PUT", f"{GROUPS}/upload", body).status == 202
        shop.wait(20)
    jobs = shop.get(f"{GROUPS}/{made}").body["jobs"]
    assert [job["description"] for job in jobs] == [f"n{number}" for number in range(61, 11, -1)]


@pytest.mark.rule("line.audience.concurrent")
def test_ten_operations_at_a_time() -> None:
    shop = line()
    made = shop.upload([1])
    answers = [
        shop.ask("PUT", f"{GROUPS}/upload", {"audienceGroupId": made, "audiences": ids_body([2])}).status
        for _ in range(10)
    ]
    assert answers == [202] * 9 + [429]
    shop.wait(20)
    assert shop.ask("PUT", f"{GROUPS}/upload", {"audienceGroupId": made, "audiences": ids_body([2])}).status == 202


@pytest.mark.rule("line.audience.silent")
def test_people_without_the_policy_are_left_out_in_silence() -> None:
    document = world()
    document["accounts"]["shop"]["friends"].append(friend(300, policyAccepted=False))
    shop = line(document)
    made = shop.ready([1, 2, 300, 999])
    assert shop.group(made)["audienceCount"] == 3
    assert shop.get("/_sim/audiences").body[0]["members"] == uids([1, 2, 999])


def by_file(shop: Line, method: str = "POST", content: bytes = b"", media: str = "text/plain", **texts: str) -> Any:
    parts: dict[str, Any] = {name: (None, value.encode()) for name, value in texts.items()}
    body, kind = form({**parts, "file": (media, content)})
    return shop.ask(method, f"{GROUPS}/upload/byFile", body, Content_Type=kind)


LINES = "".join(f"{each}\n" for each in uids([1, 2, 3])).encode()


@pytest.mark.parametrize("content", [LINES, LINES.rstrip(b"\n"), LINES.replace(b"\n", b"\r\n")])
@pytest.mark.rule("line.audience.file_lines")
def test_files_with_one_id_a_line(content: bytes) -> None:
    shop = line()
    answer = by_file(shop, content=content, description="file", uploadDescription="part 1")
    assert answer.status == 202
    shop.wait(30)
    made = answer.body["audienceGroupId"]
    assert shop.group(made)["audienceCount"] == 3
    more = by_file(shop, "PUT", f"{uid(4)}\n".encode(), audienceGroupId=str(made))
    assert (more.status, more.body) == (202, {})
    shop.wait(30)
    assert shop.group(made)["audienceCount"] == 4
    assert shop.get(f"{GROUPS}/{made}").body["jobs"][1]["description"] == "part 1"


@pytest.mark.parametrize(
    "content", [b"user_id\n" + LINES, LINES + b"\n", b"\xef\xbb\xbf" + LINES, LINES.replace(b"U", b" U", 1), b"\xff"]
)
@pytest.mark.rule("line.audience.file_lines", "line.audience.id_form")
def test_files_with_anything_else_are_refused_whole(content: bytes) -> None:
    answer = by_file(line(), content=content, description="file")
    assert (answer.status, answer.body) == (400, WRONG_FILE_ID)


def test_file_requests_are_strict() -> None:
    shop = line()
    assert codes(by_file(shop, content=b"", description="x")) == ["UPLOAD_AUDIENCE_GROUP_NO_VALID_AUDIENCE_IDS"]
    assert by_file(shop, content=LINES, media="application/octet-stream", description="x").status == 415
    assert by_file(shop, content=LINES, description="x", isIfaAudience="True").status == 400
    assert by_file(shop, content=LINES, description="x", name="y").status == 400
    assert shop.post(f"{GROUPS}/upload/byFile", {"description": "x"}).status == 415
    body, kind = form({"description": (None, b"x")})
    assert shop.post(f"{GROUPS}/upload/byFile", body, Content_Type=kind).status == 400
    assert shop.post(f"{GROUPS}/upload/byFile", body[:-6], Content_Type=kind).status == 400


@pytest.mark.rule("line.audience.insufficient", "line.audience.hidden_count")
def test_click_audiences_of_any_or_one_address() -> None:
    shop = line()
    plain = shop.post(f"{GROUPS}/click", {"description": "any", "requestId": SENT})
    assert (plain.status, plain.body["requestId"], "clickUrl" in plain.body) == (202, SENT, False)
    one = shop.post(f"{GROUPS}/click", {"description": "one", "requestId": SENT, "clickUrl": f"{URL}/two"})
    assert one.body["clickUrl"] == f"{URL}/two"
    shop.wait(30)
    group = shop.group(plain.body["audienceGroupId"])
    assert (group["status"], group["audienceCount"], group["type"]) == ("READY", 80, "CLICK")
    # Ten people: under twenty the count reads 0, under fifty it never becomes READY.
    shop.wait(30 * DAY)
    group = shop.group(one.body["audienceGroupId"])
    assert (group["status"], group["audienceCount"]) == ("IN_PROGRESS", 0)


@pytest.mark.rule("line.audience.insufficient")
def test_an_insufficient_audience_can_fail_instead() -> None:
    shop = line(world(insufficientStatus="FAILED"))
    made = shop.post(f"{GROUPS}/click", {"description": "a", "requestId": SENT, "clickUrl": f"{URL}/two"})
    shop.wait(30)
    group = shop.group(made.body["audienceGroupId"])
    assert (group["status"], group["failedType"]) == ("FAILED", "AUDIENCE_GROUP_AUDIENCE_INSUFFICIENT")


def test_impression_audiences_hold_who_opened() -> None:
    shop = line()
    made = shop.post(f"{GROUPS}/imp", {"description": "opened", "requestId": SENT}).body["audienceGroupId"]
    shop.wait(30)
    assert (shop.group(made)["status"], shop.group(made)["audienceCount"]) == ("READY", 120)


@pytest.mark.parametrize("kind", ["click", "imp"])
@pytest.mark.parametrize(
    ("request_id", "code"),
    [
        ("00000000-0000-4000-a000-00000000ffff", "REQUEST_NOT_FOUND"),
        (None, "REQUEST_NOT_FOUND"),
        (PUSHED, "REQUEST_NOT_FOUND"),
        (KEY, "WRONG_BOT_ID"),
        (OLD, "TOO_OLD_MESSAGES"),
    ],
)
@pytest.mark.rule("line.audience.request_kind", "line.audience.window", "line.audience.request_delay")
def test_request_ids_that_cannot_be_used(kind: str, request_id: str | None, code: str) -> None:
    shop = line()
    shop.wait(1)  # OLD is exactly 60 days old at the start.
    body = {"description": "a", "requestId": request_id}
    assert codes(shop.post(f"{GROUPS}/{kind}", body)) == [code]


@pytest.mark.rule("line.audience.window")
def test_sixty_days_are_inclusive() -> None:
    assert line().post(f"{GROUPS}/imp", {"description": "a", "requestId": OLD}).status == 202


@pytest.mark.rule("line.audience.request_once")
def test_one_audience_a_request_and_address() -> None:
    shop = line()
    first = shop.post(f"{GROUPS}/click", {"description": "a", "requestId": SENT})
    assert codes(shop.post(f"{GROUPS}/click", {"description": "b", "requestId": SENT})) == [
        "AUDIENCE_GROUP_REQUESTID_DUPLICATE"
    ]
    assert shop.post(f"{GROUPS}/click", {"description": "b", "requestId": SENT, "clickUrl": URL}).status == 202
    assert shop.post(f"{GROUPS}/imp", {"description": "c", "requestId": SENT}).status == 202
    assert codes(shop.post(f"{GROUPS}/imp", {"description": "d", "requestId": SENT})) == [
        "AUDIENCE_GROUP_REQUESTID_DUPLICATE"
    ]
    assert shop.ask("DELETE", f"{GROUPS}/{first.body['audienceGroupId']}").status == 202
    assert shop.post(f"{GROUPS}/click", {"description": "a", "requestId": SENT}).status == 202


@pytest.mark.rule("line.audience.once")
def test_names_may_repeat_and_change() -> None:
    shop = line()
    first, second = shop.upload([1], "same"), shop.upload([1], "SAME")
    answer = shop.ask("PUT", f"{GROUPS}/{first}/updateDescription", {"description": "new"})
    assert (answer.status, answer.body) == (200, {})
    assert [shop.group(each)["description"] for each in (first, second)] == ["new", "SAME"]


@pytest.mark.rule("line.audience.not_found", "line.answer.writes")
def test_delete_answers_202_once() -> None:
    shop = line()
    made = shop.upload([1])
    answer = shop.ask("DELETE", f"{GROUPS}/{made}")
    assert (answer.status, answer.body) == (202, {})
    assert codes(shop.ask("DELETE", f"{GROUPS}/{made}")) == ["AUDIENCE_GROUP_NOT_FOUND"]
    assert codes(shop.get(f"{GROUPS}/{made}")) == ["AUDIENCE_GROUP_NOT_FOUND"]


@pytest.mark.rule("line.audience.life")
def test_expiry_after_180_days_and_deletion_a_month_later() -> None:
    shop = line()
    made = shop.ready([1])
    shop.wait(180 * DAY - 31)
    assert shop.group(made)["status"] == "READY"
    shop.wait(1)
    assert shop.group(made)["status"] == "EXPIRED"
    body = {"audienceGroupId": made, "audiences": ids_body([2])}
    assert codes(shop.ask("PUT", f"{GROUPS}/upload", body)) == ["AUDIENCE_GROUP_CAN_NOT_UPLOAD_STATUS_EXPIRED"]
    assert shop.narrowcast(recipient={"type": "audience", "audienceGroupId": made}).status == 400
    shop.wait(30 * DAY)
    assert codes(shop.get(f"{GROUPS}/{made}")) == ["AUDIENCE_GROUP_NOT_FOUND"]


@pytest.mark.rule("line.audience.adding_life")
def test_adding_does_not_extend_the_life() -> None:
    shop = line()
    made = shop.ready([1])
    before = shop.group(made)["expireTimestamp"]
    shop.wait(100 * DAY)
    shop.ask("PUT", f"{GROUPS}/upload", {"audienceGroupId": made, "audiences": ids_body([2])})
    assert shop.group(made)["expireTimestamp"] == before


@pytest.mark.rule("line.audience.channel")
def test_a_thousand_audiences_a_channel() -> None:
    shop = line({**world(), "rateLimits": False})
    for number in range(1_000):
        shop.upload([1], f"n{number}")
    answer = shop.post(f"{GROUPS}/upload", {"description": "one more"})
    assert codes(answer) == ["AUDIENCE_GROUP_COUNT_MAX_OVER"]
    assert codes(shop.post(f"{GROUPS}/imp", {"description": "x", "requestId": SENT})) == [
        "AUDIENCE_GROUP_COUNT_MAX_OVER"
    ]


def manager(kind: str, name: str, people: range = range(1, 61), **values: Any) -> dict[str, Any]:
    return {"type": kind, "description": name, "members": uids(people), **values}


SHARED = {"serviceType": "account", "id": "@other", "name": "Other shop"}
MIXED = [
    manager("CHAT_TAG", "VIP"),
    manager("FRIEND_PATH", "Path"),
    manager("WEBTRAFFIC", "Theirs", owner=SHARED, createRoute="BUSINESS_MANAGER"),
]


def names(answer: Any) -> list[str]:
    assert answer.status == 200, answer.body
    return [group["description"] for group in answer.body["audienceGroups"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("page=1", ["late vip", "early", "Path", "VIP"]),
        ("page=1&description=VIP", ["late vip", "VIP"]),
        ("page=1&status=READY", ["early", "Path", "VIP"]),
        ("page=1&status=IN_PROGRESS", ["late vip"]),
        ("page=1&createRoute=MESSAGING_API", ["late vip", "early"]),
        ("page=1&createRoute=MESSAGING_API&createRoute=OA_MANAGER", ["late vip", "early", "Path", "VIP"]),
        ("page=1&createRoute=POINT_AD", []),
        ("page=1&includesExternalPublicGroups=false", ["late vip", "early"]),
        ("page=2&size=3", ["VIP"]),
        ("page=3&size=3", []),
    ],
)
@pytest.mark.rule("line.audience.exists", "line.audience.pages")
def test_the_list_filters_and_pages(query: str, expected: list[str]) -> None:
    shop = line(world(audiences=MIXED))
    shop.ready([1], "early")
    shop.upload([1], "late vip")
    assert names(shop.get(f"{GROUPS}/list?{query}")) == expected


def test_the_list_tells_its_totals() -> None:
    shop = line(world(audiences=MIXED))
    shop.upload([1], "mine")
    body = shop.get(f"{GROUPS}/list?page=1&size=2").body
    assert {key: value for key, value in body.items() if key != "audienceGroups"} == {
        "hasNextPage": True,
        "totalCount": 3,
        "readWriteAudienceGroupTotalCount": 1,
        "page": 1,
        "size": 2,
    }
    assert all("jobs" not in group for group in body["audienceGroups"])


@pytest.mark.parametrize(
    "query", ["", "page=0", "page=x", "page=1&size=0", "page=1&status=OLD", "page=1&createRoute=X"]
)
def test_the_list_refuses(query: str) -> None:
    assert line().get(f"{GROUPS}/list?{query}").status == 400


def test_shared_audiences() -> None:
    shop = line(world(audiences=MIXED))
    assert names(shop.get(f"{GROUPS}/shared/list")) == ["Theirs"]
    assert names(shop.get(f"{GROUPS}/shared/list?page=1&includesOwnedAudienceGroups=true")) == ["Theirs", "Path", "VIP"]
    made = shop.get(f"{GROUPS}/shared/list").body["audienceGroups"][0]["audienceGroupId"]
    answer = shop.get(f"{GROUPS}/shared/{made}")
    assert (answer.status, answer.body["owner"]) == (200, SHARED)
    assert codes(shop.get(f"{GROUPS}/{made}")) == ["AUDIENCE_GROUP_NOT_FOUND"]
    assert codes(shop.ask("DELETE", f"{GROUPS}/{made}")) == ["AUDIENCE_GROUP_NOT_FOUND"]


def test_audiences_of_the_manager_can_only_be_read() -> None:
    shop = line(world(audiences=MIXED))
    made = shop.get(f"{GROUPS}/list?page=1").body["audienceGroups"][-1]["audienceGroupId"]
    assert shop.group(made)["permission"] == "READ"
    assert codes(shop.ask("DELETE", f"{GROUPS}/{made}")) == ["AUDIENCE_GROUP_NOT_FOUND"]


@pytest.mark.parametrize(
    ("kind", "size", "status", "count"),
    [
        ("CHAT_TAG", 5, "READY", 5),
        ("CHAT_TAG", 0, "IN_PROGRESS", 0),
        ("FRIEND_PATH", 19, "IN_PROGRESS", 0),
        ("FRIEND_PATH", 49, "IN_PROGRESS", 49),
        ("FRIEND_PATH", 50, "READY", 50),
        ("UPLOAD", 1, "READY", 1),
    ],
)
@pytest.mark.rule("line.audience.hidden_count")
def test_types_with_and_without_a_minimum(kind: str, size: int, status: str, count: int) -> None:
    shop = line(world(audiences=[manager(kind, "it", range(1, size + 1))]))
    group = shop.get(f"{GROUPS}/list?page=1").body["audienceGroups"][0]
    assert (group["status"], group["audienceCount"]) == (status, count)


def test_audiences_of_a_world_change_by_themselves() -> None:
    changes = [{"at": "2026-11-22T00:00:00+09:00", "add": uids([100]), "remove": uids([1, 2])}]
    shop = line(world(audiences=[manager("CHAT_TAG", "VIP", changes=changes)]))
    shop.wait(DAY - 1)
    assert len(shop.get("/_sim/audiences").body[0]["members"]) == 60
    shop.wait(1)
    assert shop.get("/_sim/audiences").body[0]["members"] == uids([*range(3, 61), 100])
