"""The state's documents as terminal text: list, rows, lock, and what a change of it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from audsql.catalog import word
from audsql.source import cell_width
from audsql.view import past
from audsql.view.numbers import moment
from audsql.view.terminal import Style, left, neutralise, right

__all__ = ["human"]

Document = dict[str, Any]
_KINDS = (
    "resource", "occurrence", "operation", "audience_operation", "spent_plan", "applied_plan", "resolution", "size",
    "flow_version",
)  # fmt: skip


def human(document: Document, style: Style) -> str:
    """One of the documents of `session.stating`, for a person."""
    lines = _VIEWS[str(document["kind"]).removeprefix("audsql.")](document, style)
    return "".join(f"{line}\n" for line in lines)


def _list(document: Document, style: Style) -> Iterator[str]:
    rows = document["rows"]
    yield word("status.header", style.language, serial=document["serial"])
    if not rows:
        yield word("status.nothing", style.language)
        return
    cells = [
        (
            neutralise(row["address"]),
            _state(row, style.language),
            "" if row["people"] is None else f"{row['people']:,}",
            "" if row["remote_id"] is None else str(row["remote_id"]),
        )
        for row in rows
    ]
    widths = [max(cell_width(row[column]) for row in cells) for column in range(4)]
    for address, state, people, remote in cells:
        text = f"  {left(address, widths[0])}  {left(state, widths[1])}  {right(people, widths[2])}  {remote}"
        yield text.rstrip()


def _state(row: Document, language: str) -> str:
    if row["state"] is None:
        return ""
    family = "state" if row["address"].startswith("delivery.") else "resource"
    return word(f"{family}.{row['state']}", language)


def _rows(document: Document, style: Style) -> Iterator[str]:
    yield style.paint("bold", neutralise(document["address"]))
    for group in ("resources", "occurrences", "operations", "audience_operations", "sizes"):
        for row in document[group]:
            yield ""
            yield f"  {neutralise(str(row['id']))}"
            yield from (f"    {line}" for line in _facts(row))


def _facts(row: Mapping[str, Any]) -> Iterator[str]:
    """A row's plain facts; what is made of parts is in the JSON form."""
    plain = {name: value for name, value in row.items() if name != "id" and isinstance(value, str | int | float)}
    width = max((len(name) for name in plain), default=0)
    for name, value in plain.items():
        yield f"{name.ljust(width)}  {neutralise(str(value))}"


def _lock(document: Document, style: Style) -> Iterator[str]:
    held = document["held"]
    if held is None:
        yield word("lock.free", style.language)
        return
    by = neutralise(f"{held['by']}@{held['host']}")
    yield word("lock.held", style.language, by=by, operation=neutralise(held["operation"]), pid=str(held["pid"]))
    until = "lock.expired" if held["expired"] else "lock.until"
    yield word(until, style.language, since=moment(held["since"]), expires=moment(held["expires"]))
    yield word("lock.id", style.language, id=held["id"])


def _unlocked(document: Document, style: Style) -> Iterator[str]:
    yield style.paint("green", word("lock.ended", style.language))


def _changed(document: Document, style: Style) -> Iterator[str]:
    text = word("stated.changed", style.language, count=document["rows"], serial=document["serial"])
    yield style.paint("green", text)


def _pushed(document: Document, style: Style) -> Iterator[str]:
    key = "stated.same" if document["verdict"] == "same" else "stated.pushed"
    yield style.paint("green", word(key, style.language, serial=document["serial"]))


def _repaired(document: Document, style: Style) -> Iterator[str]:
    if document["verdict"] == "sound":
        yield style.paint("green", word("repair.sound", style.language, serial=document["serial"]))
        return
    done = "repair.done" if document["verdict"] == "repaired" else "repair.would"
    yield style.paint("bold", word(done, style.language, kept=document["kept"], lost=len(document["lost"])))
    if not document["journal_whole"]:
        yield word("repair.journal", style.language)
    if document["damaged"] is not None:
        yield word("repair.kept_at", style.language, path=neutralise(document["damaged"]))
    if document["lost"]:
        yield word("repair.lost", style.language)
    for one in document["lost"]:
        state = "" if one["state"] is None else f"  ({neutralise(one['state'])})"
        kind = _kind(one["kind"], style.language)
        yield f"  {left(kind, 20)}  {neutralise(one['id'])}{state}"
    yield from _doubtful(document, style)


def _kind(kind: str, language: str) -> str:
    """A kind of row in words; what is damaged may name another."""
    return word(f"repair.kind.{kind}", language) if kind in _KINDS else neutralise(kind)


def _doubtful(document: Document, style: Style) -> Iterator[str]:
    if document["in_doubt"]:
        yield style.paint("red", word("repair.in_doubt", style.language))
        yield from (f"  {neutralise(identity)}" for identity in document["in_doubt"])
        yield word("repair.settle", style.language)
    if document["lost"] or not document["journal_whole"]:
        yield word("repair.tags", style.language)


def _upgraded(document: Document, style: Style) -> Iterator[str]:
    if document["verdict"] == "current":
        yield style.paint("green", word("upgrade.current", style.language, format=document["format"]))
        return
    yield style.paint("green", word("upgrade.done", style.language, format=document["format"]))
    yield word("upgrade.kept_at", style.language, path=neutralise(document["earlier"]))


_VIEWS: Mapping[str, Callable[[Document, Style], Iterator[str]]] = {
    "blame": past.blame,
    "history": past.history,
    "lock": _lock,
    "state_changed": _changed,
    "state_list": _list,
    "state_pushed": _pushed,
    "state_repaired": _repaired,
    "state_rows": _rows,
    "state_upgraded": _upgraded,
    "unlocked": _unlocked,
}
