"""Going back to the specs of an earlier apply: an ordinary plan from them, over today's data and state."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic, error, has_errors
from audsql.meaning.project import Moved
from audsql.records import dataclass
from audsql.session.past import Applied, Past, applies, begun_since, past_of
from audsql.session.project import Opened, open_project
from audsql.session.revision import write_revision
from audsql.session.variables import NO_VARIABLES, Variables
from audsql.source import SourceMap

if TYPE_CHECKING:
    from audsql.apply.state import State

__all__ = ["Former", "former_specs"]

Document = dict[str, Any]
_GONE = "AUD0064"


@dataclass(frozen=True, slots=True)
class Former:
    """The project as it was: `opened` None where there is no way back. `revision` goes into the history, `facts` into
    documents, `texts` is what diagnostics point into."""

    opened: Opened | None
    diagnostics: tuple[Diagnostic, ...] = ()
    texts: SourceMap = field(default_factory=lambda: SourceMap({}))
    revision: Document = field(default_factory=dict)
    facts: Document = field(default_factory=dict)


@contextmanager
def former_specs(opened: Opened, serial: int, variables: Variables = NO_VARIABLES) -> Iterator[Former]:
    """The specs of the last apply that had ended by `serial`, for as long as the context lasts.

    Data files, state, cache and accounts are those of the project folder as it is.
    """
    past, problems = past_of(opened)
    if past is None:
        yield Former(None, problems, opened.texts)
        return
    target = _target(past, serial)
    if isinstance(target, Diagnostic):
        yield Former(None, (target,), opened.texts)
        return
    assert target.commit is not None
    with tempfile.TemporaryDirectory(prefix="audsql-rollback-") as folder:
        yield _read(opened, past, target, serial, Path(folder), variables)


def _target(past: Past, serial: int) -> Applied | Diagnostic:
    """The apply to go back to, with a commit that holds its specs."""
    newest = past.state.serial
    ended = [one for one in applies(past) if one.row.outcome is not None and one.serial_after is not None]
    reached = [one for one in ended if one.serial_after is not None and one.serial_after <= serial]
    if not reached or serial > newest:
        return error("AUD0643", None, serial=serial, newest=newest)
    last = reached[-1]
    if last.commit is None or last.dirty:
        return error("AUD0644", None, serial=serial, digest=last.row.digest, commit=last.commit)
    return last


def _read(
    opened: Opened, past: Past, target: Applied, serial: int, folder: Path, variables: Variables
) -> Former:  # fmt: skip
    commit = target.commit or ""
    written, refused = write_revision(opened.root, commit, folder)
    if written is None:
        gone = any(one.code == _GONE for one in refused)
        problems = (error("AUD0645", None, serial=serial, commit=commit),) if gone else refused
        return Former(None, problems, opened.texts)
    assert opened.config is not None
    former = open_project(written.root, opened.config.environment, variables=variables)
    problems = tuple(one for one in (*former.diagnostics, *former.findings) if one.severity == "error")
    if has_errors(problems) or former.analysis is None or former.config is None:
        told = error("AUD0646", None, serial=serial, commit=commit, count=len(problems))
        return Former(None, (told, *problems), former.texts)
    # The former zone belongs to what the specs mean; where state and accounts are is a matter of today.
    config = replace(opened.config, name=former.config.name, timezone=former.config.timezone)
    project = former.analysis.project
    moved = tuple(Moved(old, new, "delivery") for old, new in sorted(_names_back(opened, past.state, former).items()))
    analysis = replace(former.analysis, project=replace(project, moved=(*project.moved, *moved)))
    from audsql.apply.state import iso_time

    found = replace(former, config=config, analysis=analysis, kept_at=opened.home, aside=opened.aside)
    facts = {
        "to": serial,
        "commit": commit,
        "applied_at": iso_time(target.row.at),
        "applied_by": target.row.by,
        "irreversible": _irreversible(past, serial),
    }
    revision = {"commit": commit, "dirty": False, "rollback_to": serial}
    return Former(found, (), former.texts, revision, facts)


def _irreversible(past: Past, serial: int) -> list[Document]:
    found = []
    for row in begun_since(past, serial):
        counts = [one.counts.get("success") for one in past.state.operations_of(row.id)]
        known = [one for one in counts if one is not None]
        found.append(
            {"delivery": row.name, "occurrence": row.id, "state": row.state, "people": sum(known) if known else None}
        )
    return found


def _names_back(opened: Opened, state: State, former: Opened) -> dict[str, str]:
    """Deliveries that are recorded under a later name, and the one that the former specs have for them.

    Without it a delivery that was sent would look new under its old name.
    """
    assert former.analysis is not None
    declared = {one.name for one in former.analysis.project.deliveries}
    before = _former_names(opened, state)
    found = {}
    for row in state.occurrences:
        name = _first_declared(row.name, before, declared)
        if row.name not in declared and name is not None:
            found[row.name] = name
    return found


def _former_names(opened: Opened, state: State) -> Mapping[str, set[str]]:
    """By name the names that it had before: from `moved`, from `state mv`, and from first approvals."""
    found: dict[str, set[str]] = {}
    if opened.analysis is not None:
        for one in opened.analysis.project.moved:
            if one.kind == "delivery":
                found.setdefault(one.new, set()).add(one.old)
    for row in state.resolutions:
        to = row.attributes.get("to")
        if row.verdict == "moved" and isinstance(to, str):
            found.setdefault(to.removeprefix("delivery."), set()).add(row.subject.removeprefix("delivery."))
    for occurrence in state.occurrences:
        found.setdefault(occurrence.name, set()).add(occurrence.delivery)
    return found


def _first_declared(name: str, before: Mapping[str, set[str]], declared: set[str]) -> str | None:
    seen, level = {name}, [name]
    while level:
        for one in level:
            if one in declared:
                return one
        level = sorted({old for one in level for old in before.get(one, ())} - seen)
        seen |= set(level)
    return None
