"""The twelve audience operations."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import replace

from audsql.sim import rules
from audsql.sim.bodies import (
    check_object,
    form_parts,
    json_object,
    query_boolean,
    query_integer,
    query_value,
)
from audsql.sim.model import (
    Account,
    Audience,
    Call,
    Job,
    Json,
    Response,
    Send,
    World,
    exists,
    is_exempt,
    make_audience_id,
    members_of,
    schedule,
    seconds_setting,
    status_of,
)

_UPLOAD = {
    "description": "string",
    "isIfaAudience": "boolean",
    "uploadDescription": "string",
    "audiences": "array",
}
_ADDITION = {"audienceGroupId": "integer", "uploadDescription": "string", "audiences": "array"}
_ID_FORMAT = "UPLOAD_AUDIENCE_GROUP_INVALID_AUDIENCE_ID_FORMAT"
_TOO_MANY = "UPLOAD_AUDIENCE_GROUP_TOO_MANY_AUDIENCE_IDS"
_NO_IDS = "UPLOAD_AUDIENCE_GROUP_NO_VALID_AUDIENCE_IDS"


def create_upload(call: Call) -> Response:
    """POST /upload: a new upload audience from JSON; without IDs it stays IN_PROGRESS."""
    body = json_object(call, _UPLOAD)
    _refuse_ifa(bool(body.get("isIfaAudience", False)))
    name = _name(body.get("description"))
    note = _upload_note(body.get("uploadDescription"))
    people = _json_ids(body.get("audiences", []))
    return _create(call, name, note, people)


def create_upload_by_file(call: Call) -> Response:
    """POST /upload/byFile: the same from a text file with one ID a line."""
    parts = _file_form(call, {"description", "isIfaAudience", "uploadDescription", "file"})
    flag = _text(parts, "isIfaAudience")
    if flag not in (None, "true", "false"):
        raise rules.refuse_property("isIfaAudience")
    _refuse_ifa(flag == "true")
    name = _name(_text(parts, "description"))
    note = _upload_note(_text(parts, "uploadDescription"))
    return _create(call, name, note, _file_ids(parts))


def add_to_upload(call: Call) -> Response:
    """PUT /upload: more IDs from JSON."""
    body = json_object(call, _ADDITION)
    audience = _uploadable(call, body.get("audienceGroupId"))
    note = _upload_note(body.get("uploadDescription"))
    people = _json_ids(body.get("audiences", []))
    return _add(call, audience, note, people, "audiences")


def add_to_upload_by_file(call: Call) -> Response:
    """PUT /upload/byFile: more IDs from a text file."""
    parts = _file_form(call, {"audienceGroupId", "uploadDescription", "file"})
    text = _text(parts, "audienceGroupId") or ""
    audience = _uploadable(call, int(text) if text.isascii() and text.isdigit() else None)
    note = _upload_note(_text(parts, "uploadDescription"))
    return _add(call, audience, note, _file_ids(parts), "file")


def create_click(call: Call) -> Response:
    """POST /click: the people who clicked in a broadcast or narrowcast of the past 60 days."""
    body = json_object(call, {"description": "string", "requestId": "string", "clickUrl": "string"})
    name = _name(body.get("description"))
    url = body.get("clickUrl")
    if url is not None and not 0 < len(url) <= rules.CLICK_URL_LENGTH:
        raise rules.refuse_details("size over clickUrl", "WRONG_CLICK_URL", "clickUrl")
    return _create_from_send(call, "CLICK", name, body.get("requestId"), url)


def create_imp(call: Call) -> Response:
    """POST /imp: the people who opened a broadcast or narrowcast of the past 60 days."""
    body = json_object(call, {"description": "string", "requestId": "string"})
    return _create_from_send(call, "IMP", _name(body.get("description")), body.get("requestId"), None)


def rename(call: Call) -> Response:
    """PUT /{id}/updateDescription."""
    body = json_object(call, {"description": "string"})
    audience = _writable(call, call.parameters["id"])
    name = _name(body.get("description"))
    call.account.audiences[audience.audience_group_id] = replace(audience, description=name)
    return Response(200, {})


def delete(call: Call) -> Response:
    """DELETE /{id}: gone at once; a narrowcast that is under way keeps the members it had."""
    audience = _writable(call, call.parameters["id"])
    call.account.audiences[audience.audience_group_id] = replace(audience, deleted_at=call.world.now)
    return Response(202, {})


def get(call: Call) -> Response:
    """GET /{id}: the audience and its latest jobs."""
    audience = _own(call, call.parameters["id"])
    jobs = sorted(audience.jobs, key=lambda job: -job.job_id)[: rules.JOBS_SHOWN]
    body = {
        "audienceGroup": _shown(call.world, call.account, audience),
        "jobs": [_shown_job(call.world, audience, job) for job in jobs],
    }
    return Response(200, body)


def get_shared(call: Call) -> Response:
    """GET /shared/{id}: a shared or own audience with its owner."""
    audience = _find(call, call.parameters["id"])
    if audience is None:
        raise _not_found()
    body: dict[str, Json] = {"audienceGroup": _shown(call.world, call.account, audience)}
    if audience.owner is not None:
        body["owner"] = dict(audience.owner)
    return Response(200, body)


def list_own(call: Call) -> Response:
    """GET /list: the account's audiences, newest first."""
    this_channel = not query_boolean(call, "includesExternalPublicGroups", True)
    page = query_integer(call, "page", None, 1)
    found = [
        audience
        for audience in _matching(call, rules.STATUSES, rules.CREATE_ROUTES)
        if audience.owner is None and not (this_channel and audience.create_route != "MESSAGING_API")
    ]
    return _page(call, found, page)


def list_shared(call: Call) -> Response:
    """GET /shared/list: what others share with the account; its own as well when asked."""
    owned = query_boolean(call, "includesOwnedAudienceGroups", False)
    page = query_integer(call, "page", 1, 1)
    found = [
        audience
        for audience in _matching(call, rules.SHARED_STATUSES, rules.SHARED_CREATE_ROUTES)
        if audience.owner is not None or owned
    ]
    return _page(call, found, page)


def _name(text: str | None) -> str:
    if text is None or not text.strip():
        raise rules.refuse_details("empty audienceGroupName", "AUDIENCE_GROUP_NAME_EMPTY")
    if len(text) > rules.NAME_LENGTH:
        raise rules.refuse_details("size over audienceGroupName", "AUDIENCE_GROUP_NAME_SIZE_OVER")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise rules.refuse_details("wrong audienceGroupName", "AUDIENCE_GROUP_NAME_WRONG")
    return text


def _upload_note(text: str | None) -> str | None:
    if text is not None and len(text) > rules.UPLOAD_DESCRIPTION_LENGTH:
        raise rules.refuse_details("size over uploadDescription", "AUDIENCE_GROUP_UPLOAD_DESCRIPTION_SIZE_OVER")
    return text


def _refuse_ifa(wanted: bool) -> None:
    # Advertising IDs need a corporate application, which simulated accounts do not have.
    if wanted:
        raise rules.refuse(403, rules.NOT_AVAILABLE)


def _json_ids(entries: list[Json]) -> frozenset[str]:
    if len(entries) > rules.IDS_PER_REQUEST:
        raise rules.refuse_details("too many audience ids", _TOO_MANY, "audiences")
    ids = [_json_id(entry) for entry in entries]
    if not _all_user_ids(ids):
        raise rules.refuse_details("Invalid audience id format", _ID_FORMAT, "audiences")
    return frozenset(ids)


def _json_id(entry: Json) -> str:
    # An id and nothing else needs no closer look: there can be ten thousand of them.
    if type(entry) is dict and len(entry) == 1 and type(entry.get("id")) is str:
        return str(entry["id"])
    return str(check_object(entry, "audiences", {"id": "string"}).get("id", ""))


def _all_user_ids(ids: Iterable[str]) -> bool:
    matches = rules.USER_ID.fullmatch
    return all(matches(each) for each in ids)


def _file_form(call: Call, known: set[str]) -> dict[str, tuple[str, bytes]]:
    parts = form_parts(call)
    for name in parts:
        if name not in known:
            raise rules.refuse_property(name)
    if "file" not in parts:
        raise rules.refuse_field("file", "May not be empty")
    media = parts["file"][0]
    if media != "text/plain":
        raise rules.refuse(415, f"The content type, {media}, is not supported")
    return parts


def _text(parts: dict[str, tuple[str, bytes]], name: str) -> str | None:
    return parts[name][1].decode("utf-8", "replace") if name in parts else None


def _file_ids(parts: dict[str, tuple[str, bytes]]) -> frozenset[str]:
    content = parts["file"][1]
    wrong = rules.refuse_details(_ID_FORMAT, _ID_FORMAT, "file")
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise wrong from None
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise rules.refuse_details(_NO_IDS, _NO_IDS, "file")
    if len(lines) > rules.IDS_PER_FILE:
        raise rules.refuse_details(_TOO_MANY, _TOO_MANY, "file")
    if not _all_user_ids(lines):
        raise wrong
    return frozenset(lines)


def _create(call: Call, name: str, note: str | None, people: frozenset[str]) -> Response:
    _refuse_too_many(call)
    audience = _new(call, "UPLOAD", name)
    call.account.audiences[audience.audience_group_id] = audience
    if people:
        _start_job(call, audience, note, people)
    return Response(202, _created(audience))


def _add(call: Call, audience: Audience, note: str | None, people: frozenset[str], where: str) -> Response:
    if not people:
        raise rules.refuse_details(_NO_IDS, _NO_IDS, where)
    working = sum(1 for job in audience.jobs if job.finished_at > call.world.now)
    if working >= rules.OPERATIONS_PER_AUDIENCE:
        raise rules.refuse(429, rules.RATE_LIMITED)
    _start_job(call, audience, note, people)
    return Response(202, {})


def _start_job(call: Call, audience: Audience, note: str | None, people: frozenset[str]) -> None:
    """Enter the adding; people who never accepted LINE's policy are left out without a word."""
    world, account = call.world, call.account
    friends = account.friends
    accepted = frozenset(each for each in people if each not in friends or friends[each].policy_accepted)
    job = Job(
        job_id=make_audience_id(world),
        created=world.now,
        finished_at=world.now + seconds_setting(account, "jobSeconds", rules.JOB_SECONDS),
        description=note,
        count=len(accepted),
        members=accepted,
    )
    ready_at = audience.ready_at
    if accepted and ready_at is None:
        ready_at = world.now + seconds_setting(account, "readySeconds", rules.READY_SECONDS)
    account.audiences[audience.audience_group_id] = replace(audience, jobs=(*audience.jobs, job), ready_at=ready_at)
    schedule(world, job.finished_at, account.name, "job", (audience.audience_group_id, job.job_id))


def _refuse_too_many(call: Call) -> None:
    own = sum(1 for each in call.account.audiences.values() if each.owner is None and exists(call.world, each))
    if own >= rules.AUDIENCES_PER_CHANNEL:
        raise rules.refuse_details("audience group count max over", "AUDIENCE_GROUP_COUNT_MAX_OVER")


def _new(call: Call, kind: str, name: str) -> Audience:
    return Audience(
        audience_group_id=make_audience_id(call.world),
        type=kind,
        description=name,
        created=call.world.now,
        expires_at=call.world.now + rules.AUDIENCE_LIFE_SECONDS,
    )


def _create_from_send(call: Call, kind: str, name: str, request_id: str | None, url: str | None) -> Response:
    _find_send(call, request_id)
    for each in call.account.audiences.values():
        same = each.type == kind and each.request_id == request_id and each.click_url == url
        if same and each.owner is None and exists(call.world, each):
            raise rules.refuse_details("duplicate requestId", "AUDIENCE_GROUP_REQUESTID_DUPLICATE")
    _refuse_too_many(call)
    ready_at = call.world.now + seconds_setting(call.account, "readySeconds", rules.READY_SECONDS)
    audience = replace(_new(call, kind, name), members=None, request_id=request_id, click_url=url, ready_at=ready_at)
    call.account.audiences[audience.audience_group_id] = audience
    return Response(202, _created(audience))


def _find_send(call: Call, request_id: str | None) -> Send:
    """The send that a click or impression audience may be made of."""
    send = call.account.sends.get(request_id or "")
    if send is None:
        if any((request_id or "") in account.sends for account in call.world.accounts.values()):
            raise rules.refuse_details("wrong bot id", "WRONG_BOT_ID")
        raise rules.refuse_details("request not found", "REQUEST_NOT_FOUND")
    finished = send.narrowcast is None or send.narrowcast.phase == "succeeded"
    usable = call.world.now >= send.at + seconds_setting(call.account, "usableSeconds", rules.USABLE_SECONDS)
    if send.kind not in ("broadcast", "narrowcast") or not finished or not usable:
        raise rules.refuse_details("request not found", "REQUEST_NOT_FOUND")
    if call.world.now - send.at > rules.RETARGETING_SECONDS:
        raise rules.refuse_details("too old messages", "TOO_OLD_MESSAGES")
    return send


def _not_found() -> rules.Refusal:
    return rules.refuse_details("audience group not found", "AUDIENCE_GROUP_NOT_FOUND")


def _find(call: Call, audience_group_id: int | str | None) -> Audience | None:
    text = str(audience_group_id)
    audience = call.account.audiences.get(int(text)) if text.isascii() and text.isdigit() else None
    return audience if audience is not None and exists(call.world, audience) else None


def _own(call: Call, audience_group_id: int | str | None) -> Audience:
    audience = _find(call, audience_group_id)
    if audience is None or audience.owner is not None:
        raise _not_found()
    return audience


def _writable(call: Call, audience_group_id: int | str | None) -> Audience:
    audience = _own(call, audience_group_id)
    if audience.permission != "READ_WRITE":
        raise _not_found()
    return audience


def _uploadable(call: Call, audience_group_id: int | None) -> Audience:
    audience = _writable(call, audience_group_id)
    if audience.type != "UPLOAD":
        raise _not_found()
    if status_of(call.world, call.account, audience) == "EXPIRED":
        raise rules.refuse_details("audience group expired", "AUDIENCE_GROUP_CAN_NOT_UPLOAD_STATUS_EXPIRED")
    return audience


def _created(audience: Audience) -> dict[str, Json]:
    """The answer to a create: no status and no count."""
    body: dict[str, Json] = {
        "audienceGroupId": audience.audience_group_id,
        "createRoute": audience.create_route,
        "type": audience.type,
        "description": audience.description,
        "created": int(audience.created),
        "permission": audience.permission,
        "expireTimestamp": int(audience.expires_at or 0),
        "isIfaAudience": audience.is_ifa,
    }
    return body | _origin(audience)


def _origin(audience: Audience) -> dict[str, Json]:
    pairs = (("requestId", audience.request_id), ("clickUrl", audience.click_url))
    return {name: value for name, value in pairs if value is not None}


def _shown(world: World, account: Account, audience: Audience) -> dict[str, Json]:
    """An audience as get and list show it; small counts of what LINE gathered read 0."""
    count = len(members_of(account, audience))
    status = status_of(world, account, audience)
    hidden = count < rules.COUNT_HIDDEN_BELOW and audience.type not in rules.EXEMPT_TYPES
    body: dict[str, Json] = {
        "audienceGroupId": audience.audience_group_id,
        "createRoute": audience.create_route,
        "type": audience.type,
        "description": audience.description,
        "status": status,
        "audienceCount": 0 if hidden else count,
        "created": int(audience.created),
        "permission": audience.permission,
        "isIfaAudience": audience.is_ifa,
    }
    if audience.expires_at is not None:
        body["expireTimestamp"] = int(audience.expires_at)
    if status == "FAILED":
        body["failedType"] = audience.failed_type or "AUDIENCE_GROUP_AUDIENCE_INSUFFICIENT"
    return body | _origin(audience)


def _shown_job(world: World, audience: Audience, job: Job) -> dict[str, Json]:
    finished = job.finished_at <= world.now
    half_way = (job.created + job.finished_at) / 2
    return {
        "audienceGroupJobId": job.job_id,
        "audienceGroupId": audience.audience_group_id,
        "description": job.description,
        "type": "DIFF_ADD",
        "jobStatus": "FINISHED" if finished else "WORKING" if world.now >= half_way else "QUEUED",
        "failedType": None,
        "audienceCount": job.count,
        "created": int(job.created),
    }


def _matching(call: Call, statuses: tuple[str, ...], routes: tuple[str, ...]) -> list[Audience]:
    """The audiences that pass the filters both lists share, newest first."""
    text = (query_value(call, "description") or "").casefold()
    status = query_value(call, "status")
    wanted = call.query.get("createRoute", [])
    if status is not None and status not in statuses:
        raise rules.refuse_details("status: unknown value", "WRONG_VALUE", "status")
    if any(route not in routes for route in wanted):
        raise rules.refuse_details("createRoute: unknown value", "WRONG_VALUE", "createRoute")
    found = [
        audience
        for audience in call.account.audiences.values()
        if exists(call.world, audience)
        and text in audience.description.casefold()
        and (status is None or status_of(call.world, call.account, audience) == status)
        and (not wanted or audience.create_route in wanted)
    ]
    return sorted(found, key=lambda audience: (-audience.created, -audience.audience_group_id))


def _page(call: Call, found: list[Audience], page: int) -> Response:
    size = query_integer(call, "size", rules.PAGE_SIZE, 1, rules.PAGE_SIZE_MAX)
    start = (page - 1) * size
    body = {
        "audienceGroups": [_shown(call.world, call.account, audience) for audience in found[start : start + size]],
        "hasNextPage": start + size < len(found),
        "totalCount": len(found),
        "readWriteAudienceGroupTotalCount": sum(1 for each in found if each.permission == "READ_WRITE"),
        "page": page,
        "size": size,
    }
    return Response(200, body)


def inventory(world: World) -> list[Json]:
    """Every audience of the world with its members, for the control plane."""
    return [
        {
            "account": account.name,
            **_shown(world, account, audience),
            "audienceCount": len(members_of(account, audience)),
            "members": sorted(members_of(account, audience)),
            "exempt": is_exempt(audience),
            "jobs": [_shown_job(world, audience, job) for job in audience.jobs],
        }
        for account in world.accounts.values()
        for audience in account.audiences.values()
        if exists(world, audience)
    ]
