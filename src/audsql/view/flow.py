"""One flow as terminal text: who stands where, a timeline that was played, a recipe for another tool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audsql.catalog import word
from audsql.plan.flow_words import minutes_words, step_number
from audsql.view.flows import where
from audsql.view.numbers import moment
from audsql.view.terminal import Style, neutralise

__all__ = ["played", "recipe", "shown"]

Document = Mapping[str, Any]
_TURNS = ("entered", "done", "left", "missed", "passed_over", "held", "rejected")


# --- who is where -----------------------------------------------------------------------------------


def shown(document: Document, style: Style) -> str:
    return "".join(f"{line}\n" for line in _shown(document, style))


def _shown(document: Document, style: Style) -> Iterator[str]:
    language = style.language
    yield style.paint(
        "bold", f"{neutralise(document['flow'])}: {word('flow.approved_' + document['approved'], language)}"
    )
    if document["paused"]:
        yield word("flow.paused", language)
    for version in document["versions"]:
        yield ""
        yield from _version(version, language)
    if document["next_due"]:
        yield ""
        yield word("flow.next_due", language, at=moment(document["next_due"]))


def _version(version: Document, language: str) -> Iterator[str]:
    state = word(f"flow.version_{version['state']}", language)
    at = moment(version["approved_at"])
    yield word("flow.version", language, version=version["version"], at=at, state=state)
    for row in version["steps"]:
        waiting = row["waiting"] + row["sending"] + row["held"]
        facts = {"count": f"{waiting:,}", "where": where(row["step"], row["says"], language)}
        text = word("flow.at_stay", language, **facts, at=moment(row["due_at"]) if row["due_at"] else "?")
        for state in ("sending", "held"):
            if row[state]:
                text += f" {word('flow.' + state, language, count=f'{row[state]:,}')}"
        yield f"  {text}"
    people = version["people"]
    yield f"  {word('flow.over', language, done=people['done'], left=people['left'])}"


# --- a timeline -------------------------------------------------------------------------------------


def played(document: Document, style: Style) -> str:
    return "".join(f"{line}\n" for line in _played(document, style))


def _played(document: Document, style: Style) -> Iterator[str]:
    language = style.language
    facts = {"flow": neutralise(document["flow"]), "at": moment(document["from"]), "days": document["days"]}
    yield style.paint("bold", word("flow.played_day" if document["days"] == 1 else "flow.played", language, **facts))
    if not document["turns"]:
        yield word("flow.played_nothing", language)
    for turn in document["turns"]:
        first, *rest = _turn(turn, language)
        at = moment(turn["at"])
        yield f"  {at}  {first}"
        yield from (f"  {' ' * len(at)}  {line}" for line in rest)
    if document["people"]:
        yield word("flow.played_end", language)
    for row in document["people"]:
        state = word(f"flow.state_{row['state']}", language)
        place = "" if row["state"] in ("done", "left") else f" {where(row['step'], row['says'], language)}"
        yield f"  {row['count']:,}  {state}{place}"


def _turn(turn: Document, language: str) -> list[str]:
    """What happened at one instant, a line each."""
    lines = [word("flow.turn_entered", language, count=turn["entered"])] if turn["entered"] else []
    for row in turn["sent"]:
        lines.append(
            word("flow.turn_sent", language, count=row["count"], where=where(row["step"], row["says"], language))
        )
    for what in _TURNS[1:]:
        if turn[what]:
            lines.append(word(f"flow.turn_{what}", language, count=turn[what]) + _why(turn, what))
    return lines or [""]


def _why(turn: Document, what: str) -> str:
    """The reasons for which people left, as the ledger notes them."""
    reasons = turn["why"] if what == "left" else {}
    return (
        f" ({', '.join(f'{neutralise(why)}: {count:,}' for why, count in sorted(reasons.items()))})" if reasons else ""
    )


# --- a recipe ---------------------------------------------------------------------------------------


def recipe(document: Document, style: Style) -> str:
    return "".join(f"{line}\n" for line in _recipe(document, style))


def _recipe(document: Document, style: Style) -> Iterator[str]:
    language, name = style.language, neutralise(document["flow"])
    yield f"# {word('recipe.title', language, flow=name)}"
    yield ""
    yield word("recipe.intro", language)
    yield ""
    yield f"- {_start(document['start'], language)}"
    wait: list[str] = []
    for step in document["steps"]:
        if step["does"] in ("wait", "until"):
            wait.append(_wait(step, language))
            continue
        inside = "  " * (step["step"].count(".") // 2)
        yield f"{inside}- **{step_number(step['step'])}** {_step(step, wait, language)}"
        yield from (f"{inside}  - {line}" for line in _details(step, language))
        wait = []
    yield from (f"- {line}" for line in wait)
    limits = list(_limits(document, language))
    yield ""
    yield f"## {word('recipe.limits', language)}"
    yield ""
    yield from (f"- {line}" for line in limits or [word("recipe.no_limits", language)])


def _start(start: Document, language: str) -> str:
    if start["kind"] == "follow":
        via = start["via"]
        return (
            word("recipe.follow", language) if via is None else word("recipe.follow_via", language, via=neutralise(via))
        )
    return word(f"recipe.start_{start['kind']}", language, says=neutralise(start["says"]))


def _wait(step: Document, language: str) -> str:
    if step["does"] == "until":
        return word("recipe.until", language, time=step["time"])
    return word("recipe.wait", language, time=minutes_words(step["minutes"]))


def _step(step: Document, wait: list[str], language: str) -> str:
    """A step with the waits before it."""
    if step["does"] == "branch":
        does = word("recipe.branch", language, count=len(step["arms"]))
    else:
        does = word("recipe.send", language, names=", ".join(neutralise(one["name"]) for one in step["messages"]))
    return " ".join((*wait, does))


def _details(step: Document, language: str) -> Iterator[str]:
    if step["does"] == "branch":
        yield from (
            word("recipe.arm", language, number=at, says=neutralise(one)) for at, one in enumerate(step["arms"], 1)
        )
        return
    for message in step["messages"]:
        for bubble in message["bubbles"]:
            yield neutralise(bubble)


def _limits(document: Document, language: str) -> Iterator[str]:
    """What OA Manager cannot be told, and audsql does."""
    steps = document["steps"]
    if document["start"]["kind"] == "row":
        yield word("recipe.limit_row", language)
    if document["exit"]:
        yield word("recipe.limit_exit", language, says=neutralise(document["exit"]))
    if document["policies"]:
        yield word("recipe.limit_policies", language, names=", ".join(map(neutralise, document["policies"])))
    if document["reentry_minutes"] is not None:
        yield word("recipe.limit_reentry", language)
    if any(one["does"] == "wait" and one["minutes"] % (24 * 60) for one in steps):
        yield word("recipe.limit_minutes", language)
    if any(message["personal"] for one in steps if one["does"] == "send" for message in one["messages"]):
        yield word("recipe.limit_personal", language)
    if any(one["does"] == "branch" for one in steps) or document["start"]["kind"] == "when":
        yield word("recipe.limit_data", language)
