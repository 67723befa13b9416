"""A flow as it was approved: its definition frozen with its messages, and the digest that names this version. Pure.

A form is read back from the state without the specs, so that whoever entered a version finishes on it whatever became
of the text. Its document is a flat list of steps by their path (`2.1.0`: the first step in the second arm of the third
step), sets as `plan.meanings` writes them, and the messages (specs/state.md, `state.flow`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from audsql.meaning import ir
from audsql.meaning.flow import Branch, BranchArm, Flow, FlowStart, SendStep, Step, WaitFor, WaitUntil
from audsql.plan.document import digest_of
from audsql.plan.meanings import expression_document, expression_of, holds_person
from audsql.records import dataclass

__all__ = [
    "FlowForm",
    "exclude_document",
    "excluded_of",
    "form_digest",
    "form_document",
    "form_now",
    "form_of",
    "forms_of",
    "is_storable",
    "messages_sent",
    "steps_by_path",
    "version_of",
]

VERSION_DIGITS = 12
_START = len("sha256:")


@dataclass(frozen=True, slots=True)
class FlowForm:
    """A version of a flow. `flow` has the name, account, start, steps, exit and reentry as approved; what policies take
    away is not part of it (`excluded_of` gives today's).

    `messages`: LINE message objects by name, those of personal messages with their placeholders. `personal`: messages
    whose words are known at the send only: with fields, or of a declared coupon. `live`: new people enter it.
    `approved_at`: when this version was approved; `since`: since when the flow has been taking people without a break,
    over its edits: what happened earlier starts nobody. `taken_out`: a person gave the flow up with all who are inside.
    `excluded`: whom policies took away when a plan was approved last, None where that is not known.
    """

    flow: Flow
    version: str
    approved_at: datetime
    messages: Mapping[str, tuple[Any, ...]]
    personal: Mapping[str, ir.Message]
    live: bool
    since: datetime
    taken_out: bool = False
    excluded: ir.Expression | None = None

    @property
    def name(self) -> str:
        return self.flow.name


class Version(Protocol):
    """What a form is read from: a row of the state (`audsql.apply.state.FlowVersion`)."""

    @property
    def flow(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def approved_at(self) -> datetime: ...
    @property
    def document(self) -> Mapping[str, Any]: ...


class Versions(Protocol):
    """What holds such rows (`audsql.apply.state.State`)."""

    @property
    def flow_versions(self) -> Sequence[Version]: ...


# --- the way through a flow -----------------------------------------------------------------------------


def steps_by_path(steps: Sequence[Step]) -> dict[str, Step]:
    """Every step by its path, each before those inside it and in the order written; no recursion."""
    found: dict[str, Step] = {}
    stack = [(str(index), step) for index, step in enumerate(steps)][::-1]
    while stack:
        path, step = stack.pop()
        found[path] = step
        if isinstance(step, Branch):
            inner = [
                (f"{path}.{number}.{index}", one)
                for number, arm in enumerate(step.arms)
                for index, one in enumerate(arm.steps)
            ]
            stack.extend(inner[::-1])
    return found


def messages_sent(flow: Flow) -> tuple[str, ...]:
    """The names of the messages that a flow sends, sorted, each once."""
    sends = (step for step in steps_by_path(flow.steps).values() if isinstance(step, SendStep))
    return tuple(sorted({name for step in sends for name in step.messages}))


# --- the document ---------------------------------------------------------------------------------------


def form_document(
    flow: Flow, messages: Mapping[str, Sequence[Any]], declared: Mapping[str, ir.Message], since: datetime | None = None
) -> dict[str, Any]:
    """The flow as JSON. `messages`: LINE message objects by name; `declared`: the project's messages by name.

    `form_of` reads it back. It says nothing of a person unless an author wrote it into a condition (`is_storable`).
    """
    names = messages_sent(flow)
    own = {name: declared[name] for name in names if name in declared and _is_personal(declared[name])}
    return {
        "start": _start_document(flow.start),
        "steps": [_step_document(path, step) for path, step in steps_by_path(flow.steps).items()],
        "exit": expression_document(flow.exit),
        **exclude_document(flow.exclude),
        "reentry_minutes": flow.reentry_minutes,
        "description": flow.description,
        "messages": {name: list(messages.get(name, ())) for name in names},
        "personal": {name: _message_document(message) for name, message in own.items()},
        **({"since": _moment(since)} if since is not None else {}),
    }


def exclude_document(exclude: ir.Expression) -> dict[str, Any]:
    """Whom policies take away, for a flow's document; nothing where one names a person, which a state never does."""
    document = expression_document(exclude)
    return {} if holds_person(document) else {"exclude": document}


def is_storable(document: Mapping[str, Any]) -> bool:
    """Whether no condition of a flow's document names a person: a state never does."""
    conditions = [document["start"].get("set"), document["exit"], [one.get("arms") for one in document["steps"]]]
    return not holds_person(conditions)


def form_digest(flow: Flow, document: Mapping[str, Any]) -> str:
    """`sha256:…` of a flow's definition: what its people go through, whatever flow, messages and shares are called.
    `document`: its `form_document`."""
    start = flow.start
    personal = document["personal"]
    # Of a file with columns the file counts too, and of a declared coupon what it is good for.
    contents = {
        name: [personal[name], objects] if name in personal else objects
        for name, objects in document["messages"].items()
    }
    return digest_of(
        {
            "account": flow.account,
            "start": [start.kind, start.expression and start.expression.key, start.via, start.table],
            "steps": [[path, *_told(step, contents)] for path, step in steps_by_path(flow.steps).items()],
            "exit": flow.exit.key,
            "reentry_minutes": flow.reentry_minutes,
        }
    )


def _told(step: Step, contents: Mapping[str, Any]) -> list[Any]:
    match step:
        case WaitFor(minutes):
            return ["wait", minutes]
        case WaitUntil(hour, minute):
            return ["until", hour, minute]
        case SendStep(messages):
            return ["send", *[contents.get(name) for name in messages]]
        case Branch(arms):
            return ["branch", *[arm.expression.key for arm in arms]]


def version_of(digest: str) -> str:
    """The name of the version that has this digest: 12 hexadecimal digits."""
    return digest[_START : _START + VERSION_DIGITS]


def _start_document(start: FlowStart) -> dict[str, Any]:
    expression = None if start.expression is None else expression_document(start.expression)
    found = {"kind": start.kind, "set": expression, "via": start.via, "table": start.table}
    return {name: value for name, value in found.items() if value is not None}


def _step_document(path: str, step: Step) -> dict[str, Any]:
    match step:
        case WaitFor(minutes):
            return {"path": path, "wait_minutes": minutes}
        case WaitUntil(hour, minute):
            return {"path": path, "until": [hour, minute]}
        case SendStep(messages):
            return {"path": path, "send": list(messages)}
        case Branch(arms):
            return {"path": path, "arms": [expression_document(arm.expression) for arm in arms]}


def _is_personal(message: ir.Message) -> bool:
    return message.personal or message.coupon_name is not None


def _message_document(message: ir.Message) -> dict[str, Any]:
    """All that is given of a message; what has its default is left out, so that a later field changes no digest."""
    return _given(message, ("name", "description", "span", "folder"))


def _given(value: Any, passed_over: Iterable[str] = ()) -> dict[str, Any]:
    return {
        one.name: _written(getattr(value, one.name))
        for one in dataclasses.fields(value)
        if one.init and one.name not in passed_over and getattr(value, one.name) != one.default
    }


def _written(value: Any) -> Any:
    match value:
        case Decimal():
            return {"number": str(value)}
        case datetime():
            return {"moment": value.isoformat()}
        case tuple():
            return [_written(one) for one in value]
        case None | str() | bool() | int():
            return value
    return _given(value)


def _moment(instant: datetime) -> str:
    return instant.isoformat()


# --- read back ------------------------------------------------------------------------------------------


def form_of(row: Version) -> FlowForm:
    """The version of a flow that a row of the state holds. Raises ValueError for a document of a later version."""
    document = row.document
    try:
        flow = Flow(
            name=row.flow,
            account=row.account,
            start=_start_of(document["start"]),
            steps=_steps_of(document["steps"]),
            exit=expression_of(document["exit"]),
            exclude=ir.NOBODY,
            reentry_minutes=document["reentry_minutes"],
            description=document.get("description", ""),
        )
        messages = {name: tuple(objects) for name, objects in document["messages"].items()}
        personal = {name: _message_of(name, one) for name, one in document["personal"].items()}
        since = document.get("since")
        excluded = expression_of(document["exclude"]) if "exclude" in document else None
    except (TypeError, KeyError, AttributeError, IndexError) as problem:
        raise ValueError("no document of a flow") from problem
    return FlowForm(
        flow, row.version, row.approved_at, messages, personal, row.state == "active",
        row.approved_at if since is None else datetime.fromisoformat(since), bool(document.get("taken_out")),
        excluded,
    )  # fmt: skip


def forms_of(state: Versions) -> tuple[FlowForm, ...]:
    """The versions that people enter or are still inside of, by flow, the one that was approved last at the end."""
    rows = [row for row in state.flow_versions if row.state != "closed"]
    return tuple(form_of(row) for row in sorted(rows, key=lambda row: (row.flow, row.approved_at, row.version)))


def form_now(
    flow: Flow,
    messages: Mapping[str, Sequence[Any]],
    declared: Mapping[str, ir.Message],
    now: datetime,
) -> FlowForm:
    """The form that a flow of the specs would have if it were approved now: for a plan and for a rehearsal."""
    document = form_document(flow, messages, declared)
    names = document["messages"]
    return FlowForm(
        flow, version_of(form_digest(flow, document)), now, {name: tuple(names[name]) for name in names},
        {name: declared[name] for name in document["personal"]}, True, now,
        excluded=flow.exclude if "exclude" in document else None,
    )  # fmt: skip


def excluded_of(project: ir.Project, name: str, account: str) -> ir.Expression:
    """Whom today's policies take away before each step of a flow, whether or not the specs still have it."""
    for flow in project.flows:
        if flow.name == name and flow.account == account:
            return flow.exclude
    from audsql.meaning.types import localise

    rules = [policy.expression for policy in project.policies if name not in policy.exceptions]
    return localise(ir.lor(*rules), account)


def _start_of(document: Mapping[str, Any]) -> FlowStart:
    expression = expression_of(document["set"]) if "set" in document else None
    return FlowStart(document["kind"], expression, document.get("via"), document.get("table"))


def _steps_of(documents: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps as a tree: each stands behind what it is inside of, so those read last are the innermost."""
    inside: dict[str, list[Step]] = {}
    for one in reversed(documents):
        arm, _, _ = one["path"].rpartition(".")
        inside.setdefault(arm, []).append(_step_of(one, inside))
    return tuple(reversed(inside.get("", [])))


def _step_of(document: Mapping[str, Any], inside: Mapping[str, Sequence[Step]]) -> Step:
    match document:
        case {"wait_minutes": int(minutes)}:
            return WaitFor(minutes)
        case {"until": [int(hour), int(minute)]}:
            return WaitUntil(hour, minute)
        case {"send": list(names)}:
            return SendStep(tuple(names))
        case {"arms": list(arms), "path": str(path)}:
            return Branch(tuple(_arms_of(path, arms, inside)))
    raise ValueError("no document of a flow")


def _arms_of(path: str, arms: Sequence[Any], inside: Mapping[str, Sequence[Step]]) -> Iterator[BranchArm]:
    for number, expression in enumerate(arms):
        steps = tuple(reversed(inside.get(f"{path}.{number}", ())))
        yield BranchArm(expression_of(expression), steps)


def _message_of(name: str, document: Mapping[str, Any]) -> ir.Message:
    known = {one.name for one in dataclasses.fields(ir.Message) if one.init}
    given = {key: _read(value) for key, value in document.items() if key in known and key != "fields"}
    return ir.Message(name, fields=tuple(_field_of(one) for one in document.get("fields", ())), **given)


def _field_of(document: Mapping[str, Any]) -> ir.TemplateField:
    known = {one.name for one in dataclasses.fields(ir.TemplateField) if one.init}
    return ir.TemplateField(**{key: _read(value) for key, value in document.items() if key in known})


def _read(value: Any) -> Any:
    match value:
        case {"number": str(text)}:
            return Decimal(text)
        case {"moment": str(text)}:
            return datetime.fromisoformat(text)
    return value
