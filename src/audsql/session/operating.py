"""What the person on duty does: pause, resume, and another try at what failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from audsql.diag import Diagnostic, error, has_errors, warning
from audsql.near import nearest
from audsql.session.applying import ApplyOptions, ApplyOutcome, carried
from audsql.session.holding import user_name
from audsql.session.planning import open_store
from audsql.session.project import Opened

if TYPE_CHECKING:
    from audsql.apply.context import Context
    from audsql.apply.pausing import Pause
    from audsql.apply.state import Occurrence, State
    from audsql.apply.store import Store
    from audsql.meaning.ir import Project

__all__ = ["local_time", "paused_documents", "pause", "resume", "retry", "waiting_documents"]

Document = dict[str, Any]
_TRIES = 5


def pause(opened: Opened, delivery: str | None, reason: str) -> ApplyOutcome:
    """Let nothing leave for LINE, or nothing of one delivery, until `resume`. Works while an apply is at work, and
    where the specs have errors. What LINE accepted goes on."""
    return _said(opened, delivery, "paused", reason)


def resume(opened: Opened, delivery: str | None, reason: str) -> ApplyOutcome:
    """End the pause of everything, or that of one delivery. Nothing is sent by this: `run` or `apply` does."""
    return _said(opened, delivery, "resumed", reason)


def _said(opened: Opened, delivery: str | None, verdict: str, reason: str) -> ApplyOutcome:
    from audsql.apply.store import RuleBroken, StoreFailed

    store, problems = open_store(opened, create=True)
    if store is None:
        return ApplyOutcome(None, problems, 1)
    with store:
        try:
            unknown = _unknown(store.snapshot(), _project(opened), delivery)
            if unknown is not None:
                return ApplyOutcome(None, (unknown,), 1)
            changed = _written(store, _project(opened), delivery, verdict, reason)
            state = store.snapshot()
        except StoreFailed as failed:
            return ApplyOutcome(None, (failed.diagnostic,), 1)
        except RuleBroken:
            return ApplyOutcome(None, (error("AUD0884", None),), 1)
    return _answer(opened, state, delivery, verdict, changed)


def _project(opened: Opened) -> Project | None:
    return opened.analysis.project if opened.analysis is not None else None


def _unknown(state: State, project: Project | None, delivery: str | None) -> Diagnostic | None:
    """A pause of what nobody has ever heard of would stop nothing: most likely the name is misspelt."""
    from audsql.apply.pausing import pauses_of

    known = {row.name for row in state.occurrences} | {row.delivery for row in state.occurrences}
    known |= {f"flow.{row.flow}" for row in state.flow_versions}
    if project is not None:
        known |= {one.name for one in project.deliveries} | {f"flow.{one.name}" for one in project.flows}
    known |= {one.delivery for one in pauses_of(state) if one.delivery is not None}
    if delivery is None or delivery in known:
        return None
    return error("AUD0878", None, delivery=delivery, near=nearest(delivery, tuple(sorted(known))))


def _written(store: Store, project: Project | None, delivery: str | None, verdict: str, reason: str) -> bool:
    """Whether anything had to be written. Another pause at the same instant makes it look again."""
    from audsql.apply.pausing import pause_row
    from audsql.apply.store import RowChanged

    for attempt in range(_TRIES):
        state, now = store.snapshot(), datetime.now(UTC)
        rows = [
            pause_row(state, name, verdict, reason, user_name(), now)
            for name in _subjects(state, project, delivery, verdict)
        ]
        try:
            if rows:
                store.note(now, verdict, *rows)
            return bool(rows)
        except RowChanged:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("the last try raises or returns")


def _subjects(state: State, project: Project | None, delivery: str | None, verdict: str) -> list[str | None]:
    """What the new rows are about: nothing where it is paused, or not paused, already."""
    from audsql.apply.pausing import names_of, pauses_of

    standing = [one.delivery for one in pauses_of(state)]
    if verdict == "paused":
        return [] if delivery in standing else [delivery]
    names: set[str | None] = {None} if delivery is None else set(names_of(state, project, delivery))
    return [name for name in standing if name in names]


def _answer(opened: Opened, state: State, delivery: str | None, verdict: str, changed: bool) -> ApplyOutcome:
    from audsql.apply.pausing import pause_warning, pauses_of

    waiting = waiting_documents(opened, state)
    document = {
        "kind": f"audsql.{'pause' if verdict == 'paused' else 'resume'}",
        "format_version": "1.0",
        "delivery": delivery,
        "changed": changed,
        "paused": paused_documents(opened, state),
        "waiting": [one for one in waiting if delivery in (None, one["delivery"])],
    }
    if verdict == "paused":
        return ApplyOutcome(document, tuple(_beyond_recall(state, delivery)), 0)
    return ApplyOutcome(document, pause_warning(pauses_of(state), _zone(opened)), 0)


def _beyond_recall(state: State, delivery: str | None) -> Iterator[Diagnostic]:
    """What LINE has taken, or may have taken, goes on: there is no call that takes it back."""
    accepted, unknown = set(), set()
    for row in state.occurrences:
        if delivery not in (None, row.name, row.delivery) or (delivery is None and row.state != "sending"):
            continue
        for one in state.operations_of(row.id):
            if one.state in ("accepted", "sending", "succeeded"):
                accepted.add(row.name)
            elif one.state == "in_doubt" or (one.state == "intent" and one.attributes.get("asked")):
                unknown.add(row.name)
    if accepted or unknown:
        yield warning("AUD0879", None, deliveries=tuple(sorted(accepted)), unknown=tuple(sorted(unknown)))


def paused_documents(opened: Opened, state: State) -> list[Document]:
    """The pauses in force; `delivery` is None for that of everything."""
    from audsql.apply.pausing import pauses_of

    return [_pause(opened, one) for one in pauses_of(state)]


def _pause(opened: Opened, one: Pause) -> Document:
    return {"delivery": one.delivery, "since": local_time(opened, one.since), "by": one.by, "reason": one.reason}


def waiting_documents(opened: Opened, state: State) -> list[Document]:
    """What was approved and is not over, the first to come first."""
    from audsql.apply.pausing import pause_of

    rows = [row for row in state.occurrences if row.state in ("scheduled", "sending")]
    return [
        {
            "delivery": row.name,
            "occurrence": row.id,
            "state": row.state,
            "at": row.at and local_time(opened, row.at),
            "not_after": row.not_after and local_time(opened, row.not_after),
            "paused": pause_of(state, _project(opened), row.name) is not None,
        }
        for row in sorted(rows, key=_by_time)
    ]


def _by_time(row: Occurrence) -> tuple[str, str]:
    return (row.at.astimezone(UTC).isoformat() if row.at else "", row.id)


def _zone(opened: Opened) -> str:
    return opened.config.timezone if opened.config else "UTC"


def local_time(opened: Opened, moment: datetime) -> str:
    """An instant in the project's time zone."""
    return moment.astimezone(ZoneInfo(_zone(opened))).isoformat(timespec="seconds")


# --- another try ------------------------------------------------------------------------------------


def retry(opened: Opened, delivery: str, reason: str, options: ApplyOptions) -> ApplyOutcome:
    """Try a delivery again of which LINE said that it failed and nobody got it; then go on as `run` does."""
    from audsql.apply.store import RuleBroken

    def work(context: Context) -> int:
        from audsql.apply.retrying import begin_again
        from audsql.apply.run import carry_out

        try:
            problems = begin_again(context, delivery, reason)
        except RuleBroken:
            problems = (error("AUD0884", None),)
        context.diagnostics.extend(problems)
        if has_errors(problems):
            return 1 if problems[0].code in ("AUD0878", "AUD0884") else 5
        return carry_out(context)

    return carried(opened, options, "apply", work)
