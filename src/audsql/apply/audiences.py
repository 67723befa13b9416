"""Making LINE's audiences hold the people they should: create, add, replace, adopt, wait, delete.

Audience requests have no retry key. Each one is journalled before it leaves under a name that carries a
tag; after a crash the audience, or the upload job, is looked for by that tag and adopted. Adding the
same people twice is harmless. What LINE may hold is saved before it is sent, so that a person who must
leave is never overlooked (specs/operations.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from audsql.apply.bind import current, held_of, members_name, upload_facts
from audsql.apply.context import Context, Stop
from audsql.apply.state import UNSTORED, AudienceOperation, Resource
from audsql.apply.store import Removal
from audsql.apply.world import World
from audsql.compile.program import LineAudience, UploadFunction
from audsql.data.engine import People
from audsql.diag import error
from audsql.line.limits import AUDIENCE_LIFETIME_DAYS, UPLOAD_FILE_IDS_MAX, UPLOAD_JSON_IDS_MAX
from audsql.line.models import AudienceDetail
from audsql.line.outcome import Accepted, Found, Limited, Refused, WriteOutcome
from audsql.plan.audiences import upload_action
from audsql.plan.facts import RemoteAudienceFacts
from audsql.plan.tags import Tag, audience_name, chunk_description, parse_chunk
from audsql.records import dataclass

__all__ = ["Ready", "delete_released", "ensure_line_audience", "ensure_upload", "release", "wait_until_ready"]

LIST_DELAY_SECONDS = 30
POLL_SECONDS = (5, 10, 20, 30, 60)
REQUEST_ATTEMPTS_MAX = 6
RELEASE_GRACE_HOURS = 24

# Audiences that LINE fills itself; its word for one that has too few people to be used.
_GATHERED = ("CLICK", "IMP")
_INSUFFICIENT = "AUDIENCE_GROUP_AUDIENCE_INSUFFICIENT"


@dataclass(frozen=True, slots=True)
class Ready:
    """An audience that a send may rely on. `count` is what LINE counts, `size` what was uploaded."""

    key: str
    remote_id: int
    count: int
    size: int | None


# --- uploads ----------------------------------------------------------------------------------------


def ensure_upload(
    context: Context, upload: UploadFunction, world: World, needed_until: datetime, needed_by: tuple[str, ...]
) -> Resource:
    """The generation of this upload that holds (or is being filled with) exactly the world's people."""
    address = f"upload.{upload.key}"
    _settle_creation(context, address)
    people = context.engine.evaluate(upload.expression, world.people)
    state = context.state()
    row = current(state, address)
    facts = upload_facts(context.engine, context.program, state, world, upload.key)
    held, remote = None, None
    if row is not None and row.remote_id is not None:
        fingerprint = "" if row.status == "creating" else row.fingerprint
        held = held_of(row, fingerprint or "")
        remote = _look_up(context, row)
    decision = upload_action(facts, held, remote, needed_until)
    in_the_air = _in_the_air(context, upload.key)
    # What a send names that may have left stays; the send itself is stopped where somebody added people.
    kept_for_now = decision.reason == "changed_at_line" and in_the_air
    if (decision.action == "keep" or kept_for_now) and row is not None:
        kept = replace(row, status="ready" if row.status == "releasing" else row.status, needed_by=needed_by)
        return row if kept == row else context.put("upload.needed", kept)
    context.say(f"upload_{decision.action}", label=upload.label, reason=decision.reason, people=facts.size)
    if decision.action == "add" and row is not None and not in_the_air:
        return _grow(context, row, people, facts.fingerprint, needed_by)
    return _create(context, upload, row, people, facts.fingerprint, needed_by)


def _in_the_air(context: Context, key: str) -> bool:
    """Whether a delivery that has begun names this upload: whoever came in now would get that one too."""
    rows = context.state().occurrences
    return any(row.state == "sending" and key in dict(row.document.get("uploads", {})) for row in rows)


def _look_up(context: Context, row: Resource) -> RemoteAudienceFacts | None:
    """What LINE has under the row's id now; None where it has nothing."""
    detail = _detail(context, row.account, row.remote_id or 0)
    if detail is None:
        return None
    one = detail.audience
    return RemoteAudienceFacts(one.id, one.kind, one.name, one.status, one.count or 0, one.expires_at)


def _detail(context: Context, account: str, remote_id: int) -> AudienceDetail | None:
    outcome = context.client(account).audience(remote_id)
    if isinstance(outcome, Found):
        return outcome.value
    if isinstance(outcome, Refused) and (outcome.gone or outcome.status == 404):
        return None
    raise Stop(4, (error("AUD0862", None, account=account),))


def _create(
    context: Context,
    upload: UploadFunction,
    old: Resource | None,
    people: People,
    fingerprint: str,
    needed_by: tuple[str, ...],
) -> Resource:
    state = context.state()
    address = f"upload.{upload.key}"
    # A tag stands for one set: a creation that was asked for with other people may still turn up.
    same = old is not None and old.remote_id is None and old.status == "creating" and old.fingerprint == fingerprint
    unmade = old if same else None
    generation = unmade.generation if unmade else max((r.generation for r in state.generations(address)), default=0) + 1
    name = audience_name(upload.label, Tag.of(state.lineage, upload.key, generation))
    row = Resource(
        address, generation, upload.account, "UPLOAD", "creating", name, upload.key, None, fingerprint,
        context.engine.count(people), needed_by=needed_by, stamp=unmade.stamp if unmade else UNSTORED,
    )  # fmt: skip
    context.engine.save(members_name(row), people)
    context.engine.save(_batch_name(row), people)
    return _fill(context, context.put("upload.creating", row), people)


def _grow(context: Context, row: Resource, people: People, fingerprint: str, needed_by: tuple[str, ...]) -> Resource:
    """Add who is missing. `people` contains everybody that LINE may have: nobody leaves."""
    engine = context.engine
    grown = replace(
        row, status="creating", fingerprint=fingerprint, size=engine.count(people), needed_by=needed_by
    )  # fmt: skip
    resuming = row.status == "creating" and row.fingerprint == fingerprint
    batch = engine.load(_batch_name(grown)) if resuming else None
    if batch is None:
        batch = _missing(context, row, people)
    engine.save(members_name(row), people)
    engine.save(_batch_name(grown), batch)
    return _fill(context, context.put("upload.growing", grown), batch)


def _missing(context: Context, row: Resource, people: People) -> People:
    """Whom LINE surely lacks; everybody where it is not certain that LINE has the kept members whole."""
    before = context.engine.load(members_name(row))
    if before is None or row.status == "creating" or not _is_of(context, before, row):
        return people
    return context.engine.delta(before, people)[0]


def _is_of(context: Context, people: People, row: Resource) -> bool:
    return row.fingerprint is not None and context.engine.is_fingerprint(people, row.fingerprint)


def _batch_name(row: Resource) -> str:
    return f"{members_name(row)}.batch.{row.fingerprint}"


def _fill(context: Context, row: Resource, batch: People) -> Resource:
    """Upload every chunk of `batch` that LINE does not have yet, creating the audience with the first."""
    count = context.engine.count(batch)
    chunk_size = UPLOAD_JSON_IDS_MAX if count <= UPLOAD_JSON_IDS_MAX else UPLOAD_FILE_IDS_MAX
    chunks = max(1, -(-count // chunk_size))
    there = _chunks_there(context, row)
    members = context.engine.members(batch)
    for index, ids in enumerate(_chunked(members, chunk_size), start=1):
        description = chunk_description(row.fingerprint or "", index, chunks)
        if parse_chunk(description) in there:
            continue
        if row.remote_id is None:
            row = _create_with(context, row, ids, description)
        else:
            _add(context, row, ids, description, index, chunks)
        context.say("upload_chunk", label=row.name, chunk=index, chunks=chunks, people=len(ids))
    return row


def _chunked(members: Iterator[str], size: int) -> Iterator[list[str]]:
    while chunk := list(islice(members, size)):
        yield chunk


def _chunks_there(context: Context, row: Resource) -> set[tuple[str, int, int] | None]:
    """The chunks that upload jobs of this audience already carry."""
    if row.remote_id is None:
        return set()
    detail = _detail(context, row.account, row.remote_id)
    jobs = detail.jobs if detail else ()
    return {parse_chunk(job.description) for job in jobs if job.status != "FAILED"} - {None}


def _create_with(context: Context, row: Resource, ids: list[str], description: str) -> Resource:
    client = context.client(row.account)
    by_file = len(ids) > UPLOAD_JSON_IDS_MAX
    call = client.create_upload_file if by_file else client.create_upload
    for _ in range(REQUEST_ATTEMPTS_MAX):
        wanted = AudienceOperation(row.address, row.generation, "create", "intent", row.account, row.name, 0, 0)
        operation = context.put("upload.create.intent", context.audience_operation(wanted))
        outcome = context.request("upload.create", partial(call, row.name, ids, description))
        if isinstance(outcome, Accepted) and outcome.audience_id is not None:
            expires = client.now() + timedelta(days=AUDIENCE_LIFETIME_DAYS)
            made = replace(row, remote_id=outcome.audience_id, created_at=client.now(), expires_at=expires)
            done = replace(operation, state="done", remote_id=outcome.audience_id)
            stored = context.write("upload.create.done", made, done)
            return stored[0]  # type: ignore[return-value]
        _refused_or_wait(context, row, outcome)
        _settle_creation(context, row.address)
        found = next((r for r in context.state().generations(row.address) if r.generation == row.generation), row)
        if found.remote_id is not None:
            return found
        row = found
    raise Stop(4, (error("AUD0862", None, account=row.account),))


def _add(context: Context, row: Resource, ids: list[str], description: str, index: int, chunks: int) -> None:
    client = context.client(row.account)
    by_file = len(ids) > UPLOAD_JSON_IDS_MAX
    call = client.add_ids_file if by_file else client.add_ids
    remote_id = row.remote_id or 0
    for _ in range(REQUEST_ATTEMPTS_MAX):
        wanted = AudienceOperation(
            row.address, row.generation, "add", "intent", row.account, description, index, chunks, remote_id
        )
        operation = context.put("upload.add.intent", context.audience_operation(wanted))
        outcome = context.request("upload.add", partial(call, remote_id, ids, description))
        if isinstance(outcome, Accepted) or parse_chunk(description) in _chunks_there(context, row):
            context.put("upload.add.done", replace(operation, state="done"))
            return
        _refused_or_wait(context, row, outcome)
    raise Stop(4, (error("AUD0862", None, account=row.account),))


def _refused_or_wait(context: Context, row: Resource, outcome: WriteOutcome) -> None:
    """Stop where LINE said no; wait where it asked to, or where the answer was lost."""
    if isinstance(outcome, Refused):
        refusal = ", ".join(outcome.codes) or str(outcome.status)
        raise Stop(1, (error("AUD0851", None, name=row.name, refusal=refusal),))
    context.client(row.account).sleep(60 if isinstance(outcome, Limited) else LIST_DELAY_SECONDS)


def _settle_creation(context: Context, address: str) -> None:
    """Find what an interrupted or unanswered creation left at LINE, by its tag, and adopt it."""
    state = context.state()
    row = current(state, address)
    if row is None or row.remote_id is not None:
        return
    asked = any(
        operation.kind == "create" and operation.generation == row.generation
        for operation in state.audience_operations_of(address)
    )
    if not asked:
        return
    tag = str(Tag.of(state.lineage, row.function_key, row.generation))
    outcome = context.client(row.account).audiences(tag)
    if not isinstance(outcome, Found):
        raise Stop(4, (error("AUD0862", None, account=row.account),))
    found = sorted(one.id for one in outcome.value if one.name.endswith(tag))
    if not found:
        return
    expires = next(one.expires_at for one in outcome.value if one.id == found[0])
    adopted = context.put("upload.adopted", replace(row, remote_id=found[0], expires_at=expires))
    context.say("audience_adopted", label=adopted.name)
    _discard_twins(context, adopted, found[1:])


def _discard_twins(context: Context, row: Resource, remote_ids: Sequence[int]) -> None:
    """More than one audience with one tag: all but the first are recorded to be deleted."""
    for remote_id in remote_ids:
        generation = max(r.generation for r in context.state().generations(row.address)) + 1
        twin = Resource(
            row.address, generation, row.account, row.kind, "superseded", row.name, row.function_key, remote_id,
            attributes={"released_at": context.now(row.account).isoformat()},
        )  # fmt: skip
        context.put("upload.twin", twin)


# --- audiences of LINE's own ------------------------------------------------------------------------


def ensure_line_audience(
    context: Context, audience: LineAudience, request_id: str, needed_by: tuple[str, ...]
) -> Resource | None:
    """The click or impression audience of one send. None: LINE does not know the send yet."""
    address = f"line_audience.{audience.key}"
    row = current(context.state(), address)
    if row is not None and row.remote_id is not None and _look_up(context, row) is not None:
        return (
            row
            if row.needed_by == needed_by
            else context.put("line_audience.needed", replace(row, needed_by=needed_by))
        )
    state = context.state()
    # A tag stands for one send's audience: one that was asked for of another send may still turn up.
    same = row is not None and row.remote_id is None and row.attributes.get("request_id") == request_id
    unmade = row if same else None
    generation = unmade.generation if unmade else max((r.generation for r in state.generations(address)), default=0) + 1
    name = audience_name(audience.label, Tag.of(state.lineage, audience.key, generation))
    fresh = Resource(
        address, generation, audience.account, audience.kind, "creating", name, audience.key, needed_by=needed_by,
        attributes={"request_id": request_id}, stamp=unmade.stamp if unmade else UNSTORED,
    )  # fmt: skip
    return _make_line_audience(context, audience, fresh, request_id)


def _make_line_audience(context: Context, audience: LineAudience, row: Resource, request_id: str) -> Resource | None:
    client = context.client(row.account)
    for _ in range(REQUEST_ATTEMPTS_MAX):
        existing = _retargeting(context, audience, request_id)
        if existing is not None:
            adopted = replace(row, remote_id=existing.id, name=existing.name, expires_at=existing.expires_at)
            return context.put("line_audience.adopted", adopted)
        context.say("audience_create", label=audience.label, kind=audience.kind)
        row, operation = _asking_line(context, row)
        if audience.kind == "CLICK":
            call = partial(client.create_click, row.name, request_id, audience.url)
        else:
            call = partial(client.create_impression, row.name, request_id)
        outcome = context.request("line_audience.create", call)
        if isinstance(outcome, Accepted) and outcome.audience_id is not None:
            expires = client.now() + timedelta(days=AUDIENCE_LIFETIME_DAYS)
            made = replace(row, remote_id=outcome.audience_id, expires_at=expires)
            done = replace(operation, state="done", remote_id=outcome.audience_id)
            return context.write("line_audience.created", made, done)[0]  # type: ignore[return-value]
        if isinstance(outcome, Refused) and "REQUEST_NOT_FOUND" in outcome.codes:
            return None
        if not (isinstance(outcome, Refused) and "AUDIENCE_GROUP_REQUESTID_DUPLICATE" in outcome.codes):
            _refused_or_wait(context, row, outcome)
    raise Stop(4, (error("AUD0862", None, account=row.account),))


def _asking_line(context: Context, row: Resource) -> tuple[Resource, AudienceOperation]:
    """Recorded before the request leaves: what it makes is known for ours even if no later run needs it any more."""
    wanted = AudienceOperation(row.address, row.generation, "create", "intent", row.account, row.name, 0, 0)
    stored = context.write("line_audience.create.intent", row, context.audience_operation(wanted))
    return stored[0], stored[1]  # type: ignore[return-value]


def _retargeting(context: Context, audience: LineAudience, request_id: str) -> RemoteAudienceFacts | None:
    outcome = context.client(audience.account).audiences()
    if not isinstance(outcome, Found):
        raise Stop(4, (error("AUD0862", None, account=audience.account),))
    for one in outcome.value:
        same = one.kind == audience.kind and one.request_id == request_id and (one.click_url or None) == audience.url
        if same and one.status in ("READY", "IN_PROGRESS", "ACTIVATING"):
            return RemoteAudienceFacts(one.id, one.kind, one.name, one.status, one.count or 0, one.expires_at)
    return None


# --- waiting ------------------------------------------------------------------------------------------


def wait_until_ready(
    context: Context, rows: Sequence[Resource], deadline: datetime
) -> tuple[dict[str, Ready], tuple[Resource, ...]]:
    """Wait until every audience is READY with all its uploads, and switch to it.

    Returns what is ready by function key, and the rows that were not ready by the deadline or that LINE gave
    up for having too few people.
    """
    waiting = list(rows)
    too_small: list[Resource] = []
    ready: dict[str, Ready] = {}
    for attempt in range(1_000_000):
        still: list[Resource] = []
        for row in waiting:
            one = _if_ready(context, row)
            if one is None:
                still.append(row)
            elif isinstance(one, Resource):
                too_small.append(one)
            else:
                ready[row.function_key] = one
        waiting = still
        if not waiting or context.now(waiting[0].account) >= deadline:
            break
        if attempt == 0:
            context.say("waiting_for_audiences", count=len(waiting))
        context.client(waiting[0].account).sleep(POLL_SECONDS[min(attempt, len(POLL_SECONDS) - 1)])
    return ready, (*too_small, *waiting)


def _if_ready(context: Context, row: Resource) -> Ready | Resource | None:
    """None: not yet. The row itself: LINE does not make it usable, because too few people clicked or opened."""
    detail = _detail(context, row.account, row.remote_id or 0)
    if detail is not None and row.kind in _GATHERED and detail.audience.failed_type == _INSUFFICIENT:
        return row
    if detail is None or detail.audience.status in ("FAILED", "EXPIRED", "INACTIVE"):
        reason = detail.audience.failed_type or detail.audience.status if detail else "DELETED"
        context.put("audience.failed", _failed(context, row))
        raise Stop(7, (error("AUD0853", None, name=row.name, reason=reason),))
    if any(job.status == "FAILED" for job in detail.jobs):
        context.put("audience.failed", _failed(context, row))
        raise Stop(4, (error("AUD0853", None, name=row.name, reason="JOB_FAILED"),))
    if not detail.settled:
        return None
    if row.status != "ready":
        expires = detail.audience.expires_at or row.expires_at
        _switch(context, replace(row, status="ready", expires_at=expires))
    return Ready(row.function_key, row.remote_id or 0, detail.audience.count or 0, row.size)


def _failed(context: Context, row: Resource) -> Resource:
    released = {"released_at": context.now(row.account).isoformat()}
    return replace(row, status="failed", attributes={**row.attributes, **released})


def _switch(context: Context, row: Resource) -> None:
    """Use this generation from now on; the others of its address go, later."""
    released = {"released_at": context.now(row.account).isoformat()}
    older = [
        replace(other, status="superseded", needed_by=(), attributes={**other.attributes, **released})
        for other in context.state().generations(row.address)
        if other.generation != row.generation and other.status in ("ready", "creating")
    ]
    context.write("audience.ready", row, *older)
    context.say("audience_ready", label=row.name, replaced=len(older))


# --- going away -----------------------------------------------------------------------------------------


def release(context: Context, needed: Mapping[str, tuple[str, ...]]) -> None:
    """Uploads that no delivery needs any more are no longer updated, and are deleted later."""
    rows = [
        _released(context, row)
        for row in context.state().resources
        if row.address.startswith("upload.") and row.status in ("ready", "creating") and row.function_key not in needed
    ]
    known = [row for row in rows if row is not None]
    if known:
        context.write("uploads.released", *known)


def _released(context: Context, row: Resource) -> Resource | None:
    """None: nothing is known now of the account's time. What was not filled whole is not taken for whole later."""
    if row.account not in context.clients:
        return None
    released = {"released_at": context.now(row.account).isoformat()}
    whole = row.fingerprint if row.status == "ready" else ""
    return replace(
        row, status="releasing", fingerprint=whole, needed_by=(), attributes={**row.attributes, **released}
    )  # fmt: skip


def delete_released(context: Context) -> None:
    """Delete what was released or superseded a day ago: LINE asks not to create and delete in haste."""
    marks = _marks(context)
    for row in context.state().resources:
        if (row.address, row.generation) in marks:
            continue
        if row.status not in ("releasing", "superseded", "failed") or row.account not in context.clients:
            continue
        released_at = row.attributes.get("released_at")
        if not row.address.startswith("upload.") or not released_at:
            continue
        age = context.now(row.account) - datetime.fromisoformat(str(released_at))
        if age < timedelta(hours=RELEASE_GRACE_HOURS):
            continue
        if row.remote_id is not None and not _delete(context, row):
            continue
        context.write("audience.deleted", Removal(row))
        context.say("audience_deleted", label=row.name)


def _marks(context: Context) -> frozenset[tuple[str, int]]:
    """One upload of each delivery that was sent without a written time and stands in the specs.

    Its tag is all that tells a later state, if this one is lost, that the delivery was sent: LINE forgets the retry
    key after a day, and no time says that it is past (specs/operations.md, `apply.release.mark`).
    """
    begun = {row.name for row in context.state().occurrences if row.time == "once" and row.state != "cancelled"}
    marks: set[tuple[str, int]] = set()
    for one in context.program.deliveries:
        held = [current(context.state(), f"upload.{key}") for key in one.uploads] if one.name in begun else []
        kept = [row for row in held if row is not None and row.remote_id is not None]
        marks.update((row.address, row.generation) for row in kept[:1])
    return frozenset(marks)


def _delete(context: Context, row: Resource) -> bool:
    outcome = context.request("audience.delete", lambda: context.client(row.account).delete(row.remote_id or 0))
    return isinstance(outcome, Accepted) or (isinstance(outcome, Refused) and outcome.gone)
