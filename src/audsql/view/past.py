"""History, blame and what goes around a rollback's plan, as terminal text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from audsql.catalog import word
from audsql.view.numbers import moment
from audsql.view.terminal import Style, neutralise

__all__ = ["blame", "history", "rollback_end", "rollback_header", "short"]

Document = dict[str, Any]
_SHORT = 12
_VERDICTS = (
    "accept-policy", "accept-shrunk", "forgotten", "moved", "not-sent", "paused", "resumed", "retry", "sent",
    "test-begun", "tested",
)  # fmt: skip
_OPERATIONS = ("apply", "run", "resolve", "state", "import", "erase")


def short(name: str) -> str:
    """A digest or commit, as many characters of it as a person needs."""
    return neutralise(name.removeprefix("sha256:"))[:_SHORT]


def _word(family: str, key: str, known: tuple[str, ...], language: str) -> str:
    """A word of a family; what a newer part wrote is shown as it is."""
    return word(f"{family}.{key}", language) if key in known else neutralise(key)


# --- history ----------------------------------------------------------------------------------------


def history(document: Document, style: Style) -> Iterator[str]:
    """A line for each entry, with what belongs to it below."""
    yield word("status.header", style.language, serial=document["serial"])
    if not document["entries"]:
        yield word("status.nothing", style.language)
    for entry in document["entries"]:
        yield ""
        yield from _ENTRIES[entry["kind"]](entry, style)
    if document["left_out"]:
        yield ""
        yield word("history.left_out", style.language, count=document["left_out"])


def _head(entry: Document, text: str, style: Style) -> str:
    by = f"  {neutralise(entry['by'])}" if entry["by"] else ""
    return f"{moment(entry['at'])}{by}  {style.paint('bold', text)}"


def _apply(entry: Document, style: Style) -> Iterator[str]:
    language = style.language
    text = word("history.apply", language, plan=short(entry["plan"]))
    if entry["rollback_to"] is not None:
        text = word("history.rollback", language, plan=short(entry["plan"]), serial=entry["rollback_to"])
    yield _head(entry, text, style)
    outcome = word(f"outcome.{entry['outcome']}", language)
    yield f"  {outcome}  {_serials(entry, language)}{_commit(entry, language)}"
    yield from _counts(entry, language)


def _serials(entry: Document, language: str) -> str:
    after = "?" if entry["serial_after"] is None else str(entry["serial_after"])
    return word("history.serials", language, before=str(entry["serial_before"]), after=after)


def _commit(entry: Document, language: str) -> str:
    if entry["commit"] is None:
        return ""
    key = "history.commit_dirty" if entry["dirty"] else "history.commit"
    return "  " + word(key, language, commit=short(entry["commit"]))


def _counts(entry: Document, language: str) -> Iterator[str]:
    told = [word(f"history.{name}", language, count=count) for name, count in entry["counts"].items() if count]
    if told:
        yield "  " + word("list_separator", language).join(told)


def _run(entry: Document, style: Style) -> Iterator[str]:
    operation = _word("operation", entry["operation"], _OPERATIONS, style.language)
    plan = f" {short(entry['plan'])}" if entry["plan"] else ""
    yield _head(entry, operation + plan, style)
    yield f"  {_serials(entry, style.language)}"
    yield from _counts(entry, style.language)


def _decision(entry: Document, style: Style) -> Iterator[str]:
    verdict = _word("verdict", entry["verdict"], _VERDICTS, style.language)
    to = f" → {neutralise(entry['to'])}" if entry["to"] and style.unicode else ""
    to = f" -> {neutralise(entry['to'])}" if entry["to"] and not style.unicode else to
    yield _head(entry, f"{neutralise(entry['subject'])}{to}: {verdict}", style)
    if entry["reason"]:
        yield f"  {word('history.reason', style.language, reason=neutralise(entry['reason']))}"


def _hands(entry: Document, style: Style) -> Iterator[str]:
    former = entry["from"]
    by = neutralise(f"{former['by']}@{former['host']}")
    yield _head(entry, word(f"history.{entry['kind']}", style.language), style)
    yield "  " + word(
        "history.held", style.language, by=by, operation=neutralise(str(former["operation"])),
        since=moment(str(former["since"])),
    )  # fmt: skip


def _repair(entry: Document, style: Style) -> Iterator[str]:
    text = word("history.repair", style.language, kept=entry["kept"], lost=entry["lost_count"])
    yield _head(entry, text, style)


def _upgrade(entry: Document, style: Style) -> Iterator[str]:
    yield _head(entry, word("history.upgrade", style.language, before=entry["from"], after=entry["to"]), style)


_ENTRIES: Mapping[str, Callable[[Document, Style], Iterator[str]]] = {
    "apply": _apply,
    "decision": _decision,
    "repair": _repair,
    "run": _run,
    "takeover": _hands,
    "unlock": _hands,
    "upgrade": _upgrade,
}


# --- blame ------------------------------------------------------------------------------------------


def blame(document: Document, style: Style) -> Iterator[str]:
    """Where it stands now, then each run that changed what is remembered of it."""
    language = style.language
    yield style.paint("bold", neutralise(document["address"]))
    declared = document["declared"]
    place = f"{neutralise(declared['path'])}:{declared['line']}" if declared else word("blame.gone", language)
    yield f"  {place}"
    for row in document["recorded"]:
        state = word(f"state.{row['state']}", language)
        yield f"  {neutralise(row['occurrence'])}  {state}"
    if not document["entries"]:
        yield word("blame.nothing", language)
    for entry in document["entries"]:
        yield ""
        operation = _word("operation", entry["operation"], _OPERATIONS, language)
        plan = f" {short(entry['plan'])}" if entry["plan"] else ""
        yield _head(entry, operation + plan, style) + _commit(entry, language)
        yield from (f"  {_happened(one, language)}" for one in entry["happened"])


def _happened(one: Document, language: str) -> str:
    match one["what"]:
        case "approved" | "state":
            state = word(f"state.{one['state']}", language)
            return word(f"blame.{one['what']}", language, id=neutralise(one["id"]), state=state)
        case "set":
            return word("blame.set", language, relation=word(f"diff.class.{one['state']}", language))
        case "decided":
            verdict = _word("verdict", str(one["state"]), _VERDICTS, language)
            return word("blame.decided", language, verdict=verdict, reason=neutralise(one["reason"]))
        case "request":
            return word("blame.request", language, id=neutralise(one["id"]), state=str(one["state"]))
        case _:
            return word(f"blame.{one['what']}", language, id=neutralise(one["id"]))


# --- rollback ---------------------------------------------------------------------------------------


def rollback_header(facts: Document, style: Style) -> str:
    """What is gone back to, and what stays as it is."""
    lines = [
        word(
            "rollback.header", style.language, serial=facts["to"], commit=short(facts["commit"]),
            at=moment(facts["applied_at"]), by=neutralise(facts["applied_by"]),
        )
    ]  # fmt: skip
    if facts["irreversible"]:
        lines.append(style.paint("yellow", word("rollback.irreversible", style.language)))
    for one in facts["irreversible"]:
        state = word(f"state.{one['state']}", style.language)
        people = "" if one["people"] is None else "  " + word("plan.people", style.language, size=f"{one['people']:,}")
        lines.append(f"  {neutralise(one['delivery'])}  {state}{people}  {neutralise(one['occurrence'])}")
    return "".join(f"{line}\n" for line in lines) + "\n"


def rollback_end(facts: Document, style: Style) -> str:
    """What is left to do in the project folder."""
    return word("rollback.end", style.language, commit=short(facts["commit"])) + "\n"
