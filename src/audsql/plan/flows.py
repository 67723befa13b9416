"""What an apply would do about flows, and what that means for the people who are inside them. Pure.

A flow that was edited is a new version: new people enter it, who is inside finishes on the version that they entered.
`moved` takes who is inside along to a flow of another name, step by step of equal path; `removed { delete }` takes them
out. Rules: specs/flows.md, `flow.plan` and what follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any, Literal
from zoneinfo import ZoneInfo

from audsql.meaning import ir
from audsql.meaning.flow import Branch, Flow, SendStep
from audsql.meaning.words import Arms, Verbs, arms_of, to_words, verbs_of
from audsql.plan.document import Document, digest_of
from audsql.plan.flow_form import FlowForm, excluded_of, form_now, steps_by_path
from audsql.plan.flow_words import arm_words, exit_words, reentry_words, start_words, step_words
from audsql.records import dataclass

__all__ = [
    "NEW_VERSION",
    "ArmCount",
    "FlowChange",
    "FlowFacts",
    "FlowInputs",
    "Inside",
    "Stood",
    "counterpart",
    "flow_changes",
    "flow_messages",
    "flow_targets",
    "flows_document",
    "sent_again",
    "with_flows",
]

FlowAction = Literal["new", "change", "move", "keep", "close", "remove", "closing"]
NEW_VERSION = ("new", "change", "move")
"""Actions after which another version is the one that people enter."""
_INSIDE = ("waiting", "sending", "held")


_Part = tuple[str, object]
"""What a part of a flow says, and what the words leave open."""
_Pair = tuple[_Part | None, _Part | None]


@dataclass(frozen=True, slots=True)
class Stood:
    """How many people stand at one step of one version in one state, and when the first of them is due."""

    version: str
    step: str
    state: str
    count: int
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ArmCount:
    """How many of those who would enter now take one arm of a branch that they come to at once."""

    step: str
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class FlowFacts:
    """`entering`: how many would enter now; None where that is not known before the run (who follows, new rows).
    `unit_known`: LINE knows the flow's aggregation unit in this month."""

    entering: int | None = None
    arms: tuple[ArmCount, ...] = ()
    unit_known: bool = False


@dataclass(frozen=True, slots=True)
class FlowInputs:
    """`forms`: the versions that people enter or are still inside of. `known`: the names of all flows that were ever
    approved. `standing`: who stands where, by the name of the flow. `facts`: by name of the flows of the project."""

    forms: tuple[FlowForm, ...] = ()
    known: frozenset[str] = frozenset()
    standing: Mapping[str, tuple[Stood, ...]] = field(default_factory=dict)
    facts: Mapping[str, FlowFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inside:
    """The people inside one version. `what`: they `stay` in it as it is, `finish` on it while nobody enters it any
    more, are `moved` to another one, or are `taken_out`."""

    form: FlowForm
    what: Literal["stay", "finish", "moved", "taken_out"]
    stood: tuple[Stood, ...]

    @property
    def people(self) -> int:
        return sum(one.count for one in self.stood)


@dataclass(frozen=True, slots=True)
class FlowChange:
    """One flow. `form`: as it would be approved, None where it left the specs; `live`: the version that people enter
    until now; `old`: the name that it had (`moved`), '' where it did not move. `excluded`: where policies took others
    away when a plan was approved last, whom then and whom today."""

    name: str
    action: FlowAction
    form: FlowForm | None
    live: FlowForm | None
    inside: tuple[Inside, ...]
    old: str = ""
    excluded: tuple[ir.Expression, ir.Expression] | None = None

    @property
    def since(self) -> datetime | None:
        """Since when the flow takes people without a break; None: it begins now."""
        return self.live.since if self.live is not None else None


# --- what is to be done ---------------------------------------------------------------------------------


def flow_targets(project: ir.Project) -> dict[str, str]:
    """What each old name of a flow leads to. A name that is declared itself has not moved."""
    steps = {one.old: one.new for one in project.moved if one.kind == "flow"}
    declared = {one.name for one in project.flows}
    found = {}
    for old in sorted(steps.keys() - declared):
        name, seen = old, {old}
        while name in steps and name not in declared and steps[name] not in seen:
            name = steps[name]
            seen.add(name)
        if name in declared:
            found[old] = name
    return found


def flow_changes(
    project: ir.Project, messages: Mapping[str, Sequence[Any]], inputs: FlowInputs, now: datetime
) -> tuple[FlowChange, ...]:
    """What is to be done about each flow of the project and of the state, by name."""
    forms: dict[str, list[FlowForm]] = {}
    for form in inputs.forms:
        forms.setdefault(form.name, []).append(form)
    declared = {one.name: one for one in project.messages}
    sources = {new: old for old, new in flow_targets(project).items() if old in forms}
    given_up = {one.name for one in project.removed if one.action == "delete"}
    found = []
    for flow in project.flows:
        old = sources.get(flow.name, "")
        now_form = form_now(flow, messages, declared, now)
        found.append(_wanted(now_form, forms.get(flow.name, []), forms.get(old, []), inputs, old))
    gone = forms.keys() - {flow.name for flow in project.flows} - set(sources.values())
    for name in gone:
        found.append(_gone(name, forms[name], name in given_up, inputs))
    return tuple(sorted((_under_policies(one, project, forms) for one in found), key=lambda one: one.name))


def _under_policies(one: FlowChange, project: ir.Project, forms: Mapping[str, Sequence[FlowForm]]) -> FlowChange:
    """With what became of policies since a plan was approved: whom they take away is approved with a flow."""
    known = next((form for form in forms.get(one.name, ()) if form.excluded is not None), None)
    if known is None or known.excluded is None:
        return one
    today = excluded_of(project, one.name, known.flow.account)
    if today.key == known.excluded.key:
        return one
    return replace(one, action="change" if one.action == "keep" else one.action, excluded=(known.excluded, today))


def _wanted(
    form: FlowForm, own: Sequence[FlowForm], before: Sequence[FlowForm], inputs: FlowInputs, old: str
) -> FlowChange:
    """A flow of the specs. `own`: its versions in the state; `before`: those under the name that it had."""
    live = next((one for one in own if one.live), None)
    former = next((one for one in before if one.live), None) or (before[-1] if before else None)
    inside = [*_insides(own, "finish", inputs, form.version), *_insides(before, "moved", inputs)]
    if before:
        return FlowChange(form.name, "move", form, live or former, tuple(inside), old)
    if live is None:
        return FlowChange(form.name, "new", form, None, tuple(inside))
    action: FlowAction = "keep" if live.version == form.version else "change"
    return FlowChange(form.name, action, form, live, tuple(inside))


def _gone(name: str, own: Sequence[FlowForm], given_up: bool, inputs: FlowInputs) -> FlowChange:
    live = next((one for one in own if one.live), None)
    if given_up and not all(one.taken_out for one in own):
        return FlowChange(name, "remove", None, live, tuple(_insides(own, "taken_out", inputs)))
    action: FlowAction = "closing" if live is None else "close"
    return FlowChange(name, action, None, live, tuple(_insides(own, "finish", inputs)))


def _insides(
    forms: Iterable[FlowForm], what: Literal["finish", "moved", "taken_out"], inputs: FlowInputs, stays: str = ""
) -> Iterator[Inside]:
    """Those versions that somebody is inside of. `stays`: the version that goes on being the one to enter."""
    for form in forms:
        rows = inputs.standing.get(form.name, ())
        stood = tuple(one for one in rows if one.version == form.version and one.state in _INSIDE)
        if stood:
            yield Inside(form, "stay" if form.version == stays else what, stood)


def counterpart(path: str, old: Flow, new: Flow) -> str | None:
    """Where somebody who stands at a step goes on in another flow: at the step of the same path if it is of the same
    kind; None where there is none. Behind the last step is behind the last step."""
    if path == "":
        return ""
    before, after = steps_by_path(old.steps).get(path), steps_by_path(new.steps).get(path)
    return path if before is not None and type(before) is type(after) else None


def sent_again(path: str, old: FlowForm, new: FlowForm) -> tuple[str, ...]:
    """The messages that somebody at a step of `old` may have got and would get once more from there on in `new`."""
    before, rest = _sends_around(path, old)
    _, coming = _sends_around(path, new)
    more = {one for one in before if len(coming.get(one, ())) > len(rest.get(one, ()))}
    return tuple(sorted({name for one in more for name in coming[one]}))


_Sends = dict[str, list[str]]


def _sends_around(path: str, form: FlowForm) -> tuple[_Sends, _Sends]:
    """What is sent before a step and what from it on: names by the digest of the content, once for each send. An arm
    that a person cannot have taken counts to neither."""
    place = _numbers(path)
    before: _Sends = {}
    coming: _Sends = {}
    for other, step in steps_by_path(form.flow.steps).items():
        if isinstance(step, SendStep) and (side := _side(_numbers(other), place)) is not None:
            found = before if side == "before" else coming
            for name in step.messages:
                found.setdefault(_content(form, name), []).append(name)
    return before, coming


def _side(other: tuple[int, ...], place: tuple[int, ...]) -> str | None:
    """Whether a step is `before` a place or still `coming`; None where it is in another arm of a branch around it."""
    if not place:
        return "before"
    for depth, (left, right) in enumerate(zip(other, place, strict=False)):
        if left != right:
            is_arm = depth % 2 == 1
            return None if is_arm else ("before" if left < right else "coming")
    return "coming"


def _numbers(path: str) -> tuple[int, ...]:
    return tuple(int(one) for one in path.split(".")) if path else ()


def _content(form: FlowForm, name: str) -> str:
    personal = form.personal.get(name)
    if personal is not None:
        return digest_of([personal.template, personal.text, personal.coupon_name, list(form.messages.get(name, ()))])
    return digest_of(list(form.messages.get(name, ())))


# --- the document ---------------------------------------------------------------------------------------


def flows_document(
    project: ir.Project, messages: Mapping[str, Sequence[Any]], inputs: FlowInputs, now: datetime
) -> list[Document]:
    """Each flow of the project and of the state as it stands in a plan."""
    verbs, arms = verbs_of(project), arms_of(project)
    zone = ZoneInfo(project.timezone)
    return [
        _flow_document(one, inputs.facts.get(one.name, FlowFacts()), verbs, arms, zone)
        for one in flow_changes(project, messages, inputs, now)
    ]


def _flow_document(one: FlowChange, facts: FlowFacts, verbs: Verbs, arms: Arms, zone: ZoneInfo) -> Document:
    form = one.form or one.live or next((row.form for row in one.inside), None)
    entered = one.form is not None
    return {
        "address": f"flow.{one.name}",
        "account": form.flow.account if form else "",
        "action": one.action,
        "version": one.form.version if one.form else None,
        "before": one.live.version if one.live else None,
        "from": one.old or None,
        "since": _time(one.since, zone),
        "start": start_words(form.flow.start, verbs, arms) if form else "",
        "exit": exit_words(form.flow, verbs, arms) if form else "",
        "policies": list(one.form.flow.policies) if one.form else [],
        "steps": _steps(form, verbs, arms) if form else [],
        "messages": [{"name": name, "state": _state(one, name)} for name in sorted(form.messages)] if form else [],
        "personal": sorted(form.personal) if form else [],
        "entering": facts.entering if entered else 0,
        "arms": [{"step": arm.step, "arm": arm.number, "people": arm.count} for arm in facts.arms] if entered else [],
        "edits": _edits(one, verbs, arms),
        "inside": [_inside_document(row, one, zone) for row in one.inside],
    }


def _steps(form: FlowForm, verbs: Verbs, arms: Arms) -> list[Document]:
    rows: list[Document] = []
    for path, step in steps_by_path(form.flow.steps).items():
        row: Document = {"step": path, "says": step_words(step)}
        if isinstance(step, Branch):
            row["arms"] = [arm_words(step, number, verbs, arms) for number in range(len(step.arms))]
        rows.append(row)
    return rows


def _edits(one: FlowChange, verbs: Verbs, arms: Arms) -> list[Document]:
    """Where the version to come differs from the one that people enter until now, in words."""
    policies = _policy_edit(one, verbs, arms)
    if one.form is None or one.live is None or one.form.version == one.live.version:
        return policies
    before, after = _told(one.live, verbs, arms), _told(one.form, verbs, arms)
    rows = []
    for place, (old, new) in sorted(_aligned(before, after), key=lambda one: _place_order(one[0])):
        if old != new:
            words = {"step": place, "before": old and old[0], "after": new and new[0]}
            rows.append({**words, "content": bool(old and new and old[0] == new[0])})
    return [*rows, *policies]


def _aligned(before: Mapping[str, _Part], after: Mapping[str, _Part]) -> Iterator[tuple[str, _Pair]]:
    """Parts with their counterparts: behind a step that was put in or taken out the others keep theirs."""
    for place in ("start", "exit", "reentry"):
        yield place, (before.get(place), after.get(place))
    old, new = _by_step(before), _by_step(after)
    had_keys, has_keys = ([digest_of(sorted(one.items())) for one in side] for side in (old, new))
    for _, i, i_end, j, j_end in SequenceMatcher(None, had_keys, has_keys, autojunk=False).get_opcodes():
        for at in range(max(i_end - i, j_end - j)):
            had = old[i + at] if i + at < i_end else {}
            has = new[j + at] if j + at < j_end else {}
            for inner in {*had, *has}:
                number = j + at if has else i + at
                yield f"{number}{inner}", (had.get(inner), has.get(inner))


def _by_step(told: Mapping[str, _Part]) -> list[dict[str, _Part]]:
    """The parts of each step of the trunk, by where in it they are."""
    found: dict[int, dict[str, _Part]] = {}
    for place, part in told.items():
        number, dot, inner = place.partition(".")
        if number.isdecimal():
            found.setdefault(int(number), {})[dot + inner] = part
    return [found[number] for number in sorted(found)]


def _policy_edit(one: FlowChange, verbs: Verbs, arms: Arms) -> list[Document]:
    if one.excluded is None:
        return []
    before, after = (
        None if exclude == ir.NOBODY else f"always except {to_words(exclude, verbs, arms)}" for exclude in one.excluded
    )
    return [{"step": "policies", "before": before, "after": after, "content": before == after}]


def _told(form: FlowForm, verbs: Verbs, arms: Arms) -> dict[str, _Part]:
    """Every part by its place, in words and with what the words leave open (the content of messages)."""
    flow = form.flow
    found: dict[str, _Part] = {
        "start": (start_words(flow.start, verbs, arms), None),
        "reentry": (reentry_words(flow.reentry_minutes), None),
    }
    if flow.exit != ir.NOBODY:
        found["exit"] = (exit_words(flow, verbs, arms), flow.exit.key)
    for path, step in steps_by_path(flow.steps).items():
        content = [_content(form, name) for name in step.messages] if isinstance(step, SendStep) else None
        if isinstance(step, Branch):
            for number, arm in enumerate(step.arms):
                found[f"{path}.{number}"] = (arm_words(step, number, verbs, arms), arm.expression.key)
        found[path] = (step_words(step), content)
    return found


def _place_order(place: str) -> tuple[int, tuple[int, ...]]:
    if place in ("start", "exit", "reentry"):
        return ({"start": 0, "exit": 2, "reentry": 3}[place], ())
    return (1, _numbers(place))


def _inside_document(inside: Inside, change: FlowChange, zone: ZoneInfo) -> Document:
    flow = inside.form.flow
    target = change.form.flow if change.form is not None else None
    said = {path: step_words(step) for path, step in steps_by_path(flow.steps).items()}
    rows = []
    for path in sorted({one.step for one in inside.stood}, key=_numbers):
        here = [one for one in inside.stood if one.step == path]
        times = [one.due_at for one in here if one.due_at is not None]
        row: Document = {
            "step": path,
            "says": said.get(path, ""),
            "people": sum(one.count for one in here),
            "held": sum(one.count for one in here if one.state == "held"),
            "due_at": _time(min(times, default=None), zone),
        }
        if inside.what == "moved" and target is not None:
            row["to"] = counterpart(path, flow, target)
        rows.append(row)
    return {
        "version": inside.form.version,
        "approved_at": _time(inside.form.approved_at, zone),
        "what": inside.what,
        "people": inside.people,
        "steps": rows,
    }


def _time(moment: datetime | None, zone: ZoneInfo) -> str | None:
    return None if moment is None else moment.astimezone(zone).isoformat(timespec="seconds")


def _state(one: FlowChange, name: str) -> str:
    """Whether what a message says is `new` to this flow, `changed`, or the `same` as in the version that is live."""
    if one.form is None or one.live is None or name not in one.live.messages:
        return "same" if one.form is None else "new"
    return "same" if _content(one.form, name) == _content(one.live, name) else "changed"


def flow_messages(flows: Sequence[Document]) -> list[tuple[str, tuple[str, ...], str]]:
    """The messages of flows that are about to be approved, as `plan.review.messages_document` takes them."""
    approved = (one for one in flows if one["action"] in NEW_VERSION)
    return [(one["address"], (row["name"],), row["state"]) for one in approved for row in one["messages"]]


def with_flows(summary: Document, flows: Sequence[Document]) -> Document:
    """A plan's summary with its flows counted in."""
    actions = [one["action"] for one in flows]
    add = summary["add"] + actions.count("new")
    change = summary["change"] + actions.count("change") + actions.count("move")
    # Nobody enters it any more, but whom policies take away from it is another set.
    change += sum(one["action"] == "closing" and bool(one["edits"]) for one in flows)
    delete = summary["delete"] + actions.count("close") + actions.count("remove")
    return {**summary, "add": add, "change": change, "delete": delete, "changes": bool(add or change or delete)}
