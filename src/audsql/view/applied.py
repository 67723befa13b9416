"""Apply as it goes, its result document, and the status document, as terminal text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audsql.catalog import render_text, word
from audsql.source import cell_width
from audsql.view.numbers import moment
from audsql.view.operated import agenda
from audsql.view.terminal import Colour, Style, left, neutralise

__all__ = ["event_line", "next_lines", "result", "status"]

_STATE_COLOURS: dict[str, Colour] = {
    "done": "green",
    "sending": "yellow",
    "in_doubt": "red",
    "missed": "red",
    "failed": "red",
}
_NEEDS_PERSON = ("in_doubt", "missed", "failed")


def event_line(event: dict[str, Any], style: Style) -> str:
    """One line for one event (`{event, …facts}`) of an apply; nothing for one that says nothing new."""
    if event["event"] == "upload_chunk" and event.get("chunks") == 1:
        return ""
    facts = {name: _shown(fact) if isinstance(fact, str) else fact for name, fact in event.items()}
    if "at" in facts:
        facts["at"] = moment(str(facts["at"]))
    # LINE leaves counts out of some answers.
    facts.setdefault("success", "?")
    if "reason" in facts:
        facts["reason"] = _word(f"reason.{facts['reason']}", style.language, str(facts["reason"]))
    # Requests to listed people say whose they are; those of a delivery's parts name the delivery.
    name = f"batch_{event['event']}" if "owner" in event else str(event["event"])
    text = _word(f"event.{name}", style.language, name.replace("_", " "))
    return f"  {render_text(text, facts)}"


def _shown(text: str) -> str:
    """User text without the tag that audiences of audsql carry at LINE."""
    return re.sub(r" \[audsql:[^\]]*\]$", "", neutralise(text))


def _word(key: str, language: str, otherwise: str) -> str:
    """A word of the catalogue; an event of a newer part still reads."""
    try:
        return word(key, language)
    except KeyError:
        return otherwise


def result(document: dict[str, Any], style: Style) -> str:
    """The fixed closing line of an apply: `Apply complete! …` or `Apply incomplete: …`.

    `summary` counts what was done: `added changed deleted sent scheduled`, and for an incomplete one
    `done failed not_started unknown`; `needs_person` lists what nothing is retried for by itself.
    """
    lines = list(_needs_person(document, style))
    if document.get("paused"):
        names = ", ".join(map(neutralise, document["paused"]))
        lines.append(style.paint("yellow", word("result.paused", style.language, names=names)))
    lines.append(_closing(document, style))
    lines += next_lines(document, style.language)
    return "\n".join(lines) + "\n"


_NEXT_MAX = 3


def next_lines(document: dict[str, Any], language: str) -> list[str]:
    """What is due next, the first few; nothing for what is no run."""
    if document.get("kind") not in ("audsql.apply", "audsql.run"):
        return []
    if "next" not in document:
        return []
    rows = [one for one in document["next"] if one["at"] is not None]
    if not rows:
        return [word("result.nothing_next", language)] if document["kind"] == "audsql.run" else []
    named = ({"name": neutralise(one["name"]), "at": moment(one["at"])} for one in rows[:_NEXT_MAX])
    shown = [word("result.next", language, **facts) for facts in named]
    left_out = len(rows) - len(shown)
    return [*shown, *([word("result.next_more", language, count=left_out)] if left_out else [])]


_REFUSED = 5
_DONE = ("added", "changed", "deleted", "sent", "sent_in_flows", "entered_flows", "unknown")


def _closing(document: dict[str, Any], style: Style) -> str:
    summary = document["summary"]
    if document.get("kind") == "audsql.resolve":
        lines = [style.paint("green", word("result.resolved", style.language))]
        if document.get("verdict"):
            lines.append(word(f"result.follows_{document['verdict'].replace('-', '_')}", style.language))
        return "\n".join(lines)

    if document.get("kind") == "audsql.rehearsal":
        return "\n".join(_rehearsed(document, style))

    def count(name: str) -> str:
        return f"{summary.get(name, 0):,}"

    if document.get("complete", True):
        done = f"{count('added')} added, {count('changed')} changed, {count('deleted')} deleted."
        text = f"Apply complete! Audiences: {done}"
        if document.get("kind") == "audsql.run" and not any(summary.get(name) for name in _DONE):
            text = word("result.nothing_due", style.language)
        for name in ("sent", "entered_flows", "sent_in_flows", "scheduled"):
            if summary.get(name):
                text += f" {word(f'result.{name}', style.language, count=summary[name])}"
        return style.paint("green", text)
    text = f"Apply incomplete: {count('done')} done, {count('failed')} failed, {count('not_started')} not started, "
    # What was refused is refused again, until a person has put right what the messages name.
    follows = (
        "result.refused" if document.get("exit_code") == _REFUSED and not document.get("paused") else "result.resume"
    )
    return style.paint("red", f"{text}{count('unknown')} unknown.") + " " + word(follows, style.language)


def _rehearsed(document: dict[str, Any], style: Style) -> Iterator[str]:
    """How a rehearsal ended; that nothing was sent stands first."""
    summary = document["summary"]
    key = "rehearsal.whole" if document.get("complete", True) else "rehearsal.stopped"
    colour: Colour = "green" if document.get("complete", True) else "red"
    yield style.paint(
        colour, word(key, style.language, sent=summary.get("sent", 0), friends=f"{document['friends']:,}")
    )
    yield word("rehearsal.invented", style.language)
    if document["cut_off"]:
        yield word("rehearsal.cut_off", style.language, friends=f"{document['friends']:,}")


def _needs_person(document: dict[str, Any], style: Style) -> Iterator[str]:
    for one in document.get("needs_person", ()):
        name = neutralise(one["delivery"])
        state = word(f"state.{one['state']}", style.language)
        key = "status.flow" if name.startswith("flow.") else "status.delivery"
        yield style.paint("red", f"! {word(key, style.language, name=name, state=state)}")


def status(document: dict[str, Any], style: Style) -> str:
    """What needs a person first, what is paused, due and expiring, then every occurrence and the audiences at LINE."""
    lines = [word("status.header", style.language, serial=document["serial"])]
    head = list(agenda(document, style))
    lines += ["", *head] if head else []
    lines += list(_flows_inside(document.get("flows", ()), style))
    lines += runner_lines(document, style)
    occurrences = sorted(document["occurrences"], key=_occurrence_order)
    lines += list(_occurrences(occurrences, style))
    lines += list(_resources(document["resources"], style))
    if not occurrences and not document["resources"] and not document["serial"]:
        lines.append(word("status.nothing", style.language))
    return "\n".join(lines) + "\n"


def _flows_inside(flows: Sequence[Mapping[str, Any]], style: Style) -> Iterator[str]:
    if not flows:
        return
    yield ""
    yield style.paint("bold", word("status.flows", style.language))
    width = max(cell_width(neutralise(one["flow"])) for one in flows)
    for one in flows:
        inside = word("status.flow_inside", style.language, count=f"{one['people']:,}")
        due = word("status.flow_due", style.language, at=moment(one["next_due"])) if one["next_due"] else ""
        yield f"  {left(neutralise(one['flow']), width)}  {inside}  {due}".rstrip()


def runner_lines(document: dict[str, Any], style: Style) -> list[str]:
    """The services that look after this project, one line each."""
    rows = document.get("runners", ())
    lines = []
    for one in rows:
        facts = {"host": neutralise(one["host"]), "pid": one["pid"], "seen": moment(one["seen"])}
        text = word(f"runner.{one['state']}", style.language, **facts)
        lines.append("  " + (style.paint("red", text) if one["state"] == "overdue" else text))
    return ["", style.paint("bold", word("status.runners", style.language)), *lines] if lines else []


def _occurrence_order(one: dict[str, Any]) -> tuple[bool, str, str]:
    return one["state"] not in _NEEDS_PERSON, one["time"], one["delivery"]


def _occurrences(occurrences: list[dict[str, Any]], style: Style) -> Iterator[str]:
    if not occurrences:
        return
    yield ""
    states = [word(f"state.{one['state']}", style.language) for one in occurrences]
    names = [neutralise(one["delivery"]) for one in occurrences]
    widths = max(map(cell_width, states)), max(map(cell_width, names))
    for one, state, name in zip(occurrences, states, names, strict=True):
        mark = "!" if one["state"] in _NEEDS_PERSON else " "
        text = f"{mark} {left(state, widths[0])}  {left(name, widths[1])}  {moment(one.get('at') or one['time'])}"
        colour = _STATE_COLOURS.get(one["state"])
        yield style.paint(colour, text) if colour else text
        for operation in one.get("operations", ()):
            yield f"      {_operation(operation, style)}"


def _operation(operation: dict[str, Any], style: Style) -> str:
    """One send of a delivery; its id is what `audsql resolve` takes."""
    state = _word(f"operation.{operation['state']}", style.language, str(operation["state"]))
    text = f"{neutralise(operation['id'])}  {state}"
    count = operation.get("success_count")
    return text if count is None else f"{text}  {word('plan.people', style.language, size=f'{count:,}')}"


def _resources(resources: list[dict[str, Any]], style: Style) -> Iterator[str]:
    if not resources:
        return
    yield ""
    yield style.paint("bold", word("status.audiences", style.language))
    names = [_shown(one["name"]) for one in resources]
    width = max(map(cell_width, names))
    for one, name in zip(resources, names, strict=True):
        state = _word(f"resource.{one['status']}", style.language, str(one["status"]))
        people = "" if one.get("size") is None else word("plan.people", style.language, size=f"{one['size']:,}")
        yield f"  {left(name, width)}  {state}  {people}".rstrip()
