"""The flows of a plan in words: what is done about each, and what that means for the people who are inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audsql.catalog import word
from audsql.plan.flow_words import step_number
from audsql.view.numbers import moment
from audsql.view.terminal import neutralise

__all__ = ["FLOW_SIGNS", "flow_blocks", "flow_reason", "people_text", "where"]

FLOW_SIGNS = {"new": "+", "change": "~", "move": "~", "keep": "=", "close": "-", "remove": "-", "closing": "."}
_STEPS_MAX = 50


def people_text(count: int | str | None) -> str:
    """A number out of a plan, masked or not; `?` where it is not known."""
    return "?" if count is None else count if isinstance(count, str) else f"{count:,}"


def flow_reason(flow: Mapping[str, Any], language: str) -> str:
    """What is done about a flow, in a few words."""
    if flow["action"] == "change" and flow["version"] == flow["before"]:
        return word("flow.other_policies", language)
    return word(f"flow.{flow['action']}", language, old=neutralise(flow["from"] or ""))


def flow_blocks(document: Mapping[str, Any], language: str) -> Iterator[list[str]]:
    """For each flow that an apply changes, or that somebody is inside of: its name with what is done, and lines below
    it, in order: who enters now, what an edit changes, and what becomes of the people inside."""
    for flow in document.get("flows", ()):
        if flow["action"] != "keep" or flow["inside"] or flow["entering"]:
            name = neutralise(flow["address"].removeprefix("flow."))
            yield [f"{name}: {flow_reason(flow, language)}", *_lines(flow, language)]


def where(step: str, says: str, language: str) -> str:
    """A step by its number and its words."""
    if not step:
        return word("flow.end", language)
    return word("flow.step", language, step=step_number(step), says=neutralise(says))


def _lines(flow: Mapping[str, Any], language: str) -> Iterator[str]:
    if flow["action"] in ("new", "change", "move", "keep"):
        yield from _entering(flow, language)
    for edit in flow["edits"]:
        yield _edit(edit, language)
    for inside in flow["inside"]:
        yield from _inside(flow, inside, language)
    if flow["action"] == "change" and not flow["inside"]:
        yield word("flow.nobody_inside", language)


def _entering(flow: Mapping[str, Any], language: str) -> Iterator[str]:
    if flow["entering"] is None:
        yield word("flow.entering_unknown", language, start=neutralise(flow["start"]))
        return
    if flow["action"] == "keep" and not flow["entering"]:
        return
    yield word("flow.entering", language, count=people_text(flow["entering"]))
    says = {one["step"]: one["arms"] for one in flow["steps"] if "arms" in one}
    for arm in flow["arms"] if flow["entering"] else ():
        taken = neutralise(says[arm["step"]][arm["arm"]])
        step, people = step_number(arm["step"]), people_text(arm["people"])
        yield word("flow.arm", language, count=people, step=step, says=taken)


def _edit(edit: Mapping[str, Any], language: str) -> str:
    place = edit["step"]
    before, after = neutralise(edit["before"] or ""), neutralise(edit["after"] or "")
    if place in ("start", "exit", "reentry", "policies"):
        name = word(f"flow.{place}", language)
    else:
        name = word("flow.step_name", language, step=step_number(place))
    kind = "content" if edit["content"] else "edited" if before and after else "added" if after else "dropped"
    return word(f"flow.edit_{kind}", language, place=name, before=before, after=after)


def _inside(flow: Mapping[str, Any], inside: Mapping[str, Any], language: str) -> Iterator[str]:
    """One sentence about everybody inside a version, and where they stand."""
    at, count = moment(inside["approved_at"]), people_text(inside["people"])
    facts = {"count": count, "at": at, "version": inside["version"], "new": flow["version"] or ""}
    yield word(f"flow.inside_{inside['what']}", language, **facts)
    for row in inside["steps"][:_STEPS_MAX]:
        yield f"  {_row(row, inside['what'], language)}"
    if len(inside["steps"]) > _STEPS_MAX:
        yield f"  {word('flow.more_steps', language, count=len(inside['steps']) - _STEPS_MAX)}"


def _row(row: Mapping[str, Any], what: str, language: str) -> str:
    here = where(row["step"], row["says"], language)
    at = moment(row["due_at"]) if row["due_at"] else "?"
    key = "flow.lost_at" if what == "moved" and row.get("to") is None else f"flow.at_{what}"
    text = word(key, language, count=people_text(row["people"]), where=here, at=at)
    return f"{text} {word('flow.held', language, count=people_text(row['held']))}" if row["held"] else text
