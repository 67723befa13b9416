"""The planner: project, program, facts and records in, one document out. Pure.

Planning twice with the same inputs gives the same bytes; planning right after a full apply says
`No changes.`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Any

from audsql.compile.program import CompiledDelivery, LineAudience, Narrowcast, Program
from audsql.diag import Diagnostic
from audsql.line.limits import AUDIENCE_LIFETIME_DAYS, LIMITS_VERSION
from audsql.meaning.ir import Delivery, Expression, Project
from audsql.plan.audiences import (
    ACTIONS_THAT_CHANGE,
    Held,
    find_named,
    find_retargeting,
    live_until,
    upload_action,
)
from audsql.plan.behind import Receivers
from audsql.plan.bound import whole_bound
from audsql.plan.changes import changes_document
from audsql.plan.coupons import CouponInputs, coupons_document, with_coupons
from audsql.plan.definition import (
    accepted_definitions,
    content_digest,
    definition,
    filter_document,
    occurrence_time,
    recipient_document,
)
from audsql.plan.document import FORMAT_VERSION, Document, digest_of, sealed
from audsql.plan.drift import Drift, Expected, Record, drift_of
from audsql.plan.edges import EDGES_MAX, edge_rows, edges_of
from audsql.plan.facts import CapFacts, Facts, RemoteFacts
from audsql.plan.flows import FlowInputs, flow_messages, flows_document, with_flows
from audsql.plan.listed import audience_document, linkage_document, source_document
from audsql.plan.occurrence import Known, Verdict, judge, not_after
from audsql.plan.pace import pace_document
from audsql.plan.personal import PersonalInputs
from audsql.plan.quiet import quiets_of, window_end, window_start
from audsql.plan.repeated import (
    judge_repeated,
    repeats_document,
    times_that_need_a_person,
    times_that_stay,
    turns_this_month,
)
from audsql.plan.review import messages_document, review_digest
from audsql.plan.timeline import later_quota, quota_month, quota_month_end, timeline, turn_rows
from audsql.records import dataclass

__all__ = [
    "Desired",
    "PlanInputs",
    "Wanted",
    "bot_digest",
    "desired",
    "desired_of",
    "found_drift",
    "make_plan",
    "request_id_of",
    "resource_changes",
    "send_limit",
]

PLAN_VALID_HOURS = 24

# Deliveries in these states still need their audiences.
_ACTIVE = ("send", "schedule", "update", "keep", "resume")
_TO_APPROVE = ("schedule", "update")


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """`bound`: compiled deliveries by name, with uploads that came out empty taken out (the program's own
    form says what was approved, this one what is sent). `held`: uploads at LINE by key; `released`: those of
    them that only wait to be deleted; `generations`: the last one of each key that the state knows;
    `line_held`: ids of click and impression audiences by key; `occurrences`: by delivery name; `messages`:
    LINE message objects by message name; `request_ids`: of the sends that this project made, by delivery and part.

    `applied`: the sets of audiences and deliveries as they were applied last, by address. `moved`: renamings that
    the apply will follow. `left_behind`: keys of the uploads that deliveries left at LINE which are gone from the
    specs, by name; `removed`: those that a person has given up, and what becomes of the uploads. `overlaps`: of
    `plan.overlaps.overlaps_document`. `records` and `line_counts`: what LINE's inventory is held against.
    `receivers`: of the deliveries that were begun, by name.
    `caps`: what they do to each delivery that is to be sent, where that was counted.
    `paused`: what a person stopped, `delivery` None for everything. `only`: the deliveries that this plan is about,
    None for all. `flows`: what is known of flows and their people. `tested`: digests of the words that testers were
    sent. `coupons`, `personal`: what is known of coupons and of personal messages."""

    project: Project
    program: Program
    facts: Facts
    messages: Mapping[str, Sequence[Any]]
    environment: str
    spec_digest: str
    tool_version: str
    bound: Mapping[str, CompiledDelivery] = field(default_factory=dict)
    lineage: str | None = None
    serial: int = 0
    held: Mapping[str, Held] = field(default_factory=dict)
    line_held: Mapping[str, int] = field(default_factory=dict)
    released: frozenset[str] = frozenset()
    generations: Mapping[str, int] = field(default_factory=dict)
    occurrences: Mapping[str, tuple[Known, ...]] = field(default_factory=dict)
    request_ids: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    applied: Mapping[str, Expression] = field(default_factory=dict)
    moved: Sequence[Document] = ()
    left_behind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    removed: Sequence[Document] = ()
    receivers: Mapping[str, Receivers] = field(default_factory=dict)
    paused: Sequence[Document] = ()
    caps: Mapping[str, CapFacts] = field(default_factory=dict)
    records: Sequence[Record] = ()
    line_counts: Mapping[str, int] = field(default_factory=dict)
    only: frozenset[str] | None = None
    overlaps: Document = field(default_factory=lambda: {"listed": [], "more": 0, "apart_for_now": 0})
    yen_per_message: Mapping[str, str] = field(default_factory=dict)
    flows: FlowInputs = field(default_factory=FlowInputs)
    tested: frozenset[str] = frozenset()
    coupons: CouponInputs = field(default_factory=CouponInputs)
    personal: PersonalInputs = field(default_factory=PersonalInputs)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A delivery with its compiled form and what is to be done about it."""

    delivery: Delivery
    compiled: CompiledDelivery
    definition: str
    verdict: Verdict

    @property
    def active(self) -> bool:
        """Whether this plan has something to do about it, or waits to: of a repetition, only its approval."""
        return self.verdict.action in (_TO_APPROVE if self.delivery.every is not None else _ACTIVE)

    @property
    def comes_again(self) -> bool:
        """Whether it is a repetition that has times to come."""
        return self.delivery.every is not None and self.verdict.action in (*_TO_APPROVE, "keep", "edited")


@dataclass(frozen=True, slots=True)
class Desired:
    """`needed_until`: the latest end of a window that needs a key; `needed_by`: the deliveries' names. `kept`: the
    names of the repetitions that will need a key again, whose audiences nothing is done about until then."""

    wanted: tuple[Wanted, ...]
    needed_until: Mapping[str, datetime]
    needed_by: Mapping[str, tuple[str, ...]]
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def desired(
    project: Project,
    program: Program,
    bound: Mapping[str, CompiledDelivery],
    messages: Mapping[str, Sequence[Any]],
    occurrences: Mapping[str, tuple[Known, ...]],
    now: datetime,
    only: frozenset[str] | None = None,
) -> Desired:
    """Which deliveries still have something to do, and which audiences they need until when; of these `only`."""
    compiled = {one.name: one for one in program.deliveries}
    wanted = []
    for delivery in project.deliveries:
        if delivery.sent_request_id is None and delivery.name in compiled and (only is None or delivery.name in only):
            accepted = accepted_definitions(delivery, compiled[delivery.name], messages)
            digest = accepted[0]
            known = tuple(_as_now(one, project, delivery.name, accepted) for one in occurrences.get(delivery.name, ()))
            if delivery.every is not None:
                verdict = judge_repeated(delivery, project.timezone, digest, known, now)
            else:
                verdict = judge(occurrence_time(delivery), delivery.at, digest, known, now)
            form = bound.get(delivery.name, compiled[delivery.name])
            wanted.append(Wanted(delivery, form, digest, verdict))
    until: dict[str, datetime] = {}
    by: dict[str, list[str]] = {}
    for one in wanted:
        if one.active and one.delivery.every is None:
            end = live_until(not_after(max(one.delivery.at, now) if one.delivery.at else now), now)
            for key in (*one.compiled.uploads, *one.compiled.audiences):
                until[key] = max(until.get(key, end), end)
                by.setdefault(key, []).append(one.delivery.name)
    return Desired(tuple(wanted), until, {key: tuple(sorted(names)) for key, names in by.items()}, _kept(wanted))


def _kept(wanted: Sequence[Wanted]) -> dict[str, tuple[str, ...]]:
    """The audiences of what is repeated: each occurrence refreshes them, and nothing lets go of them in between."""
    by: dict[str, list[str]] = {}
    for one in wanted:
        if one.comes_again:
            for key in (*one.compiled.uploads, *one.compiled.audiences):
                by.setdefault(key, []).append(one.delivery.name)
    return {key: tuple(sorted(names)) for key, names in sorted(by.items())}


def _as_now(known: Known, project: Project, name: str, accepted: Sequence[str]) -> Known:
    """A record under the definition that it has now, its window ended where quiet hours of today's policies begin."""
    if known.definition in accepted:
        known = replace(known, definition=accepted[0])
    quiets = quiets_of(project, name)
    if known.not_after is None or not quiets:
        return known
    begin = window_start(known.at, known.approved_at, known.not_after)
    return replace(known, not_after=min(known.not_after, window_end(begin, quiets, project.timezone)))


def desired_of(inputs: PlanInputs) -> Desired:
    return desired(
        inputs.project, inputs.program, inputs.bound, inputs.messages, inputs.occurrences, inputs.facts.now, inputs.only
    )  # fmt: skip


def make_plan(inputs: PlanInputs, guards: Sequence[Diagnostic]) -> Document:
    """The plan document. `guards` are the verdicts of `plan.guard.check`."""
    aim = desired_of(inputs)
    changes = resource_changes(inputs, aim)
    deliveries = [_delivery_change(one, inputs) for one in aim.wanted]
    cancelled = _cancelled(inputs)
    audiences = [audience_document(one) for one in inputs.facts.audiences]
    drift = found_drift(inputs, aim, changes)
    unsettled = _unsettled(inputs)
    releases = [
        {"address": f"upload.{key}", "action": "release", "remote_id": held.remote_id}
        for key, held in sorted(inputs.held.items())
        if key not in {*aim.needed_by, *aim.kept, *inputs.released, *unsettled}
    ]
    now = inputs.facts.now
    flows = flows_document(inputs.project, inputs.messages, inputs.flows, now) if inputs.only is None else []
    coupons = coupons_document(inputs.project, inputs.coupons, now) if inputs.only is None else []
    summary = with_flows(_summary(changes, deliveries, cancelled, inputs, drift), flows)
    return _reviewed(
        {
            "kind": "audsql.plan",
            "format_version": FORMAT_VERSION,
            "tool_version": inputs.tool_version,
            "limits_version": LIMITS_VERSION,
            "project": inputs.project.name,
            "environment": inputs.environment,
            "endpoints": dict(sorted(inputs.endpoints.items())),
            "bots": {name: bot_digest(remote.bot_id) for name, remote in sorted(inputs.facts.remotes.items())},
            "as_of": _time(inputs.facts.as_of),
            "as_of_given": inputs.facts.as_of_given,
            "created_at": _time(now),
            "valid_until": _time(now + timedelta(hours=PLAN_VALID_HOURS)),
            "state": {"lineage": inputs.lineage, "serial": inputs.serial},
            "spec_digest": inputs.spec_digest,
            "sources": [source_document(one) for one in inputs.facts.sources],
            "audiences": audiences,
            "resource_changes": changes,
            "releases": releases,
            "deliveries": deliveries,
            "messages": messages_document(
                [*_message_uses(aim, inputs), *flow_messages(flows)], inputs.messages, inputs.project
            ),
            "cancelled": cancelled,
            "moved": list(inputs.moved),
            "removed": list(inputs.removed),
            "changes": changes_document(inputs.project, inputs.applied),
            **({"flows": flows} if flows else {}),
            **({"coupons": coupons} if coupons else {}),
            "overlaps": inputs.overlaps,
            "drift": [one.to_document() for one in drift],
            **({"paused": list(inputs.paused)} if inputs.paused else {}),
            "quota": _quota(inputs, deliveries),
            "pace": pace_document(changes, deliveries),
            **_times(inputs, aim, changes, deliveries),
            "guards": [_guard(one) for one in guards],
            "applyable": not any(one.severity == "error" for one in guards),
            "summary": with_coupons(summary, coupons),
        }
    )


def _reviewed(body: Document) -> Document:
    return sealed({**body, "review_digest": review_digest(body)})


def _message_uses(aim: Desired, inputs: PlanInputs) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """The messages of deliveries that are about to be approved or sent, and whether a person has seen them before."""
    for one in aim.wanted:
        known, action = one.verdict.known, one.verdict.action
        if action not in ("send", "schedule", "update", "resume"):
            continue
        if known is None or known.state == "cancelled":
            state = "new"
        elif known.content:
            state = "same" if known.content == content_digest(one.delivery, inputs.messages) else "changed"
        else:
            state = "changed" if action == "update" else "same"
        yield f"delivery.{one.delivery.name}", tuple(one.delivery.messages), state


def resource_changes(inputs: PlanInputs, aim: Desired) -> list[Document]:
    """What happens to each audience that a delivery still needs: uploads, then LINE's own; each by key."""
    uploads = [_upload_change(key, inputs, aim) for key in sorted(aim.needed_by) if key in inputs.facts.uploads]
    lines = [
        _line_change(audience, inputs, aim) for audience in inputs.program.audiences if audience.key in aim.needed_by
    ]
    return [*uploads, *lines]


def found_drift(inputs: PlanInputs, aim: Desired, changes: Sequence[Document]) -> tuple[Drift, ...]:
    """What LINE holds otherwise than it was left, against what is still needed."""
    named = [one for one in inputs.program.audiences if one.key in aim.needed_by and one.kind not in ("CLICK", "IMP")]
    expected = Expected(
        inputs.lineage, inputs.records, named, {one["address"]: one for one in changes}, aim.needed_until,
        inputs.line_counts,
    )  # fmt: skip
    return drift_of(expected, inputs.facts.remotes, inputs.facts.now)


def _times(
    inputs: PlanInputs, aim: Desired, changes: Sequence[Document], deliveries: Sequence[Document]
) -> dict[str, Any]:
    """When each delivery can go, and what waits for what (time.edges)."""
    line = timeline(inputs, aim, changes)
    rows = turn_rows(inputs, aim, line)
    edges = edges_of(inputs, aim, line, changes)
    months = {row["address"]: row["month"] for row in rows}
    return {
        "timeline": rows,
        "edges": edge_rows(edges, inputs.project.timezone),
        "edges_left_out": max(0, len(edges) - EDGES_MAX),
        "later_quota": later_quota(deliveries, months, quota_month(inputs.facts.now)),
    }


def bot_digest(bot_id: str) -> str:
    """Which account at LINE a token belongs to, without its id."""
    return digest_of(bot_id)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _upload_change(key: str, inputs: PlanInputs, aim: Desired) -> Document:
    upload = inputs.program.upload(key)
    facts = inputs.facts.uploads[key]
    held = inputs.held.get(key)
    remote_facts = inputs.facts.remotes.get(upload.account)
    remote = remote_facts.by_id(held.remote_id) if held and remote_facts else None
    decision = upload_action(facts, held, remote, aim.needed_until[key])
    frozen = any(one.verdict.action == "resume" and key in one.compiled.uploads for one in aim.wanted)
    action, reason = ("keep", "frozen") if frozen and held else (decision.action, decision.reason)
    return {
        "address": f"upload.{key}",
        "type": "UPLOAD",
        "account": upload.account,
        "label": upload.label,
        "action": action,
        "reason": reason,
        "negated": upload.negated,
        "people": {
            "before": held.size if held else 0,
            "after": facts.size,
            "entering": facts.movement.entering if facts.known or not held else None,
            "leaving": facts.movement.leaving if facts.known or not held else None,
        },
        "fingerprint": facts.fingerprint,
        "remote_id": held.remote_id if held else None,
        "needed_by": list(aim.needed_by[key]),
    }


def _line_change(audience: LineAudience, inputs: PlanInputs, aim: Desired) -> Document:
    remote = inputs.facts.remotes.get(audience.account)
    found, action = _line_found(audience, inputs, remote)
    known = remote.by_id(found) if remote is not None and found is not None else None
    return {
        "address": f"line_audience.{audience.key}",
        "type": audience.kind,
        "account": audience.account,
        "label": audience.label,
        "action": action,
        "reason": {"create": "new", "wait": "not_sent_yet"}.get(action, "same"),
        "delivery": audience.delivery,
        "url": audience.url,
        "remote_id": found,
        "count": known.count if known is not None and audience.kind not in ("CLICK", "IMP") else None,
        "needed_by": list(aim.needed_by[audience.key]),
    }


def _line_found(audience: LineAudience, inputs: PlanInputs, remote: RemoteFacts | None) -> tuple[int | None, str]:
    if audience.kind not in ("CLICK", "IMP"):
        named = find_named(remote, audience) if remote else ()
        return (named[0].id if len(named) == 1 else None), "find"
    held = inputs.line_held.get(audience.key)
    if held is not None and remote is not None and remote.by_id(held) is not None:
        return held, "keep"
    request_id = request_id_of(audience, inputs)
    if request_id is None:
        return None, "wait"
    existing = find_retargeting(remote, audience.kind, request_id, audience.url) if remote else None
    return (existing.id, "keep") if existing else (None, "create")


def request_id_of(audience: LineAudience, inputs: PlanInputs) -> str | None:
    """LINE's request id of the send that a click or impression audience is made from: declared by `sent:`,
    or of a send that this project made. None: not sent yet."""
    delivery = inputs.project.delivery(audience.delivery or "")
    if delivery is not None and delivery.sent_request_id is not None:
        return delivery.sent_request_id
    return inputs.request_ids.get(audience.delivery or "", {}).get(audience.part)


def _delivery_change(one: Wanted, inputs: PlanInputs) -> Document:
    facts = inputs.facts.deliveries.get(one.delivery.name)
    bounds = {part.part: part.bound for part in facts.parts} if facts else {}
    members = {str(part.part): part.members for part in facts.parts if part.members} if facts else {}
    other_people = one.verdict.known is not None and dict(one.verdict.known.members) != members
    remote = inputs.facts.remotes.get(one.delivery.account)
    friends = remote.followers if remote else None
    at = one.delivery.at
    limits = [send_limit(one.delivery, bounds.get(send.part), friends) for send in one.compiled.sends]
    return {
        "address": f"delivery.{one.delivery.name}",
        "account": one.delivery.account,
        "action": "update" if one.verdict.action == "keep" and other_people else one.verdict.action,
        "occurrence": occurrence_time(one.delivery),
        "at": _time(at) if at else None,
        "not_after": _time(_window_end(inputs.project, one.delivery.name, at)) if at else None,
        "definition": one.definition,
        "to": one.delivery.to_text,
        "policies": list(one.delivery.policies),
        "messages": list(one.delivery.messages),
        "people": facts.size.to_document() if facts else None,
        **linkage_document(facts.linkage if facts else ()),
        **({"losses": facts.losses.to_document()} if facts and facts.losses else {}),
        "sends": [{**_send_view(send), "limit": limit} for send, limit in zip(one.compiled.sends, limits, strict=True)],
        "bound": whole_bound(one.delivery, facts.size.high if facts else None, limits, bounds),
        "waits_for": list(one.compiled.waits_for),
        "content": definition(one.delivery, one.compiled, inputs.messages)["messages"],
        "part_bounds": {str(part): bound for part, bound in sorted(bounds.items())},
        "members": members,
        **_repeats(one, inputs),
    }


def _repeats(one: Wanted, inputs: PlanInputs) -> Document:
    """The next times of a repetition, and what each would reach today."""
    if one.delivery.every is None:
        return {}
    facts = inputs.facts.deliveries.get(one.delivery.name)
    people = facts.size.to_document() if facts else None
    labels = {upload.key: upload.label for upload in inputs.program.uploads if upload.key in one.compiled.uploads}
    shown = repeats_document(one.delivery, inputs.project, people, inputs.facts.now)
    return {"repeats": {**shown, "uploads": dict(sorted(labels.items()))}}


def _window_end(project: Project, name: str, at: datetime) -> datetime:
    return window_end(at, quiets_of(project, name), project.timezone).astimezone(at.tzinfo)


def _send_view(send: Any) -> Document:
    if isinstance(send, Narrowcast):
        recipient, filter_ = recipient_document(send.recipient), filter_document(send.filter)
        return {"part": send.part, "kind": send.kind, "recipient": recipient, "filter": filter_}
    return {"part": send.part, "kind": send.kind}


def send_limit(delivery: Delivery, own_bound: int | None, friends: int | None) -> int | None:
    """The fuse of one send: people beyond which LINE must not deliver.

    The number of own people that contain the send, else of friends; a written `expect` lowers it, a
    written `limit` replaces it. None where nothing is known.
    """
    if delivery.limit is not None:
        return delivery.limit
    bounds = [bound for bound in (own_bound if own_bound is not None else friends,) if bound is not None]
    if delivery.expect and delivery.expect[1] is not None:
        bounds.append(delivery.expect[1])
    return min(bounds) if bounds else None


def _cancelled(inputs: PlanInputs) -> list[Document]:
    """Approved occurrences that the spec no longer has: the delivery is gone, or its time was changed."""
    current = {
        (delivery.name, occurrence_time(delivery))
        for delivery in inputs.project.deliveries
        if delivery.sent_request_id is None
    }
    current |= times_that_stay(inputs.project, inputs.occurrences)
    return [
        {"address": f"delivery.{name}", "occurrence": known.scheduled}
        for name, all_known in sorted(inputs.occurrences.items())
        for known in all_known
        if known.state in ("planned", "scheduled") and (name, known.scheduled) not in current
    ]


def _quota(inputs: PlanInputs, deliveries: Sequence[Document]) -> list[Document]:
    """By account, what the deliveries of this month need; later ones count against a quota that is not known yet."""
    rows = []
    counted = [one for one in deliveries if one["action"] in _ACTIVE and _is_of_this_month(one["at"], inputs)]
    for account, remote in sorted(inputs.facts.remotes.items()):
        mine = [one for one in counted if one["account"] == account]
        sizes = [(one["people"], _times_left(one, inputs)) for one in mine if one["people"]]
        known = [None if people["high"] is None else people["high"] * times for people, times in sizes]
        high = None if None in known else sum(one for one in known if one is not None)
        rows.append(
            {
                "account": account,
                "remaining": remote.quota_remaining,
                "low": sum(people["low"] * times for people, times in sizes),
                "high": high if high is not None else remote.followers,
                "followers": remote.followers,
                "target_reach": remote.target_reach,
                **_yen(inputs, account),
            }
        )
    return rows


def _times_left(change: Document, inputs: PlanInputs) -> int:
    """How often it is sent in what is left of this month."""
    delivery = inputs.project.delivery(change["address"].removeprefix("delivery."))
    if delivery is None or delivery.every is None:
        return 1
    now = inputs.facts.now
    return turns_this_month(delivery.every, inputs.project.timezone, now, quota_month_end(now))


def _yen(inputs: PlanInputs, account: str) -> Document:
    """What a message costs, where the project says so."""
    price = inputs.yen_per_message.get(account)
    return {} if price is None else {"yen_per_message": price}


def _is_of_this_month(at: str | None, inputs: PlanInputs) -> bool:
    return at is None or quota_month(datetime.fromisoformat(at)) <= quota_month(inputs.facts.now)


def _guard(one: Diagnostic) -> Document:
    facts = {name: list(value) if isinstance(value, tuple) else value for name, value in one.facts}
    return {"code": one.code, "severity": one.severity, "facts": facts}


def _unsettled(inputs: PlanInputs) -> frozenset[str]:
    """Uploads of deliveries that are gone: absence alone deletes nothing, and what is kept is not deleted either."""
    deleted = {one["name"] for one in inputs.removed if one["action"] != "keep"}
    return frozenset(key for name, keys in inputs.left_behind.items() if name not in deleted for key in keys)


def _summary(
    changes: Sequence[Document],
    deliveries: Sequence[Document],
    cancelled: Sequence[Document],
    inputs: PlanInputs,
    drift: Sequence[Drift],
) -> Document:
    actions = [one["action"] for one in changes]
    sends = [one["action"] for one in deliveries]
    add = actions.count("create") + sends.count("send") + sends.count("schedule")
    change = sum(actions.count(name) for name in ACTIONS_THAT_CHANGE if name != "create") + sends.count("update")
    resume = sends.count("resume")
    kept = sum(one["action"] == "keep" for one in inputs.removed)
    change += resume + len(inputs.moved) + kept + sum(one.action == "rename" for one in drift)
    delete = len(cancelled) + len(inputs.removed) - kept
    return {
        "add": add,
        "change": change,
        "delete": delete,
        "changes": bool(add or change or delete),
        "needs_a_person": sends.count("attention") + len(times_that_need_a_person(inputs.project, inputs.occurrences)),
        "drift": len(drift),
        "people_entering": sum(one["people"]["entering"] or 0 for one in changes if "people" in one),
        "people_leaving": sum(one["people"]["leaving"] or 0 for one in changes if "people" in one),
        "audience_lifetime_days": AUDIENCE_LIFETIME_DAYS,
    }
