"""A flow played on a clock of its own over the data at hand, by the code that runs it; nothing is sent or kept.

State, ledger, cache and account are thrown away with the folder that they are made in; the account is the simulator's,
whose friends are the people of the flow's own data. Rules: specs/flows.md, `flow.play`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from audsql.data.engine import EngineFailure
from audsql.diag import Diagnostic, error
from audsql.meaning import ir
from audsql.records import dataclass
from audsql.session.applying import ApplyOptions, apply, carried
from audsql.session.flowing import declared_flow
from audsql.session.project import Opened
from audsql.session.rehearsing import pass_time
from audsql.session.sets import engine_of
from audsql.session.stating import Stated

if TYPE_CHECKING:
    from audsql.apply.context import Context
    from audsql.meaning.flow import Flow

__all__ = ["DAYS_MAX", "people_of", "play"]

Document = dict[str, Any]
DAYS_MAX = 366
_HOUR = timedelta(hours=1)
_TOKEN = "play"
_COUNTED = ("entered", "done", "left", "missed", "passed_over", "held", "rejected")


def play(opened: Opened, name: str, days: int, begin: datetime | None) -> Stated:
    """The flow from `begin` (now where it is None) for so many days, as a timeline of counts."""
    if not 1 <= days <= DAYS_MAX:
        return Stated(None, (error("AUD0781", None, days=days, limit=DAYS_MAX),), 64)
    flow, problems = declared_flow(opened, name)
    if flow is None or opened.analysis is None:
        return Stated(None, problems, 1)
    cohorts = _decided_by_line(flow, opened.analysis.project)
    if cohorts:
        return Stated(None, (*problems, error("AUD0782", flow.span, flow=name, step=cohorts)), 1)
    begin = begin or datetime.now(UTC).replace(microsecond=0)
    try:
        friends = people_of(opened, flow, begin + timedelta(days=days))
        with _copy(opened, flow, friends, begin) as (copy, base_url):
            return _played(copy, base_url, flow, days, begin, problems)
    except EngineFailure as failure:
        return Stated(None, (*problems, failure.diagnostic), 1)


def _decided_by_line(flow: Flow, project: ir.Project) -> str:
    """The number of the first branch that LINE decides, '' where there is none."""
    from audsql.compile.flows import cohorts_of, readable_accounts
    from audsql.plan.flow_words import step_number

    found = cohorts_of(flow, readable_accounts(project))
    return step_number(found[0].path) if found else ""


# --- the copy -----------------------------------------------------------------------------------------


def people_of(opened: Opened, flow: Flow, until: datetime) -> list[str]:
    """Everybody whom the flow's own data name, in ascending order: the friends of an account that is played with."""
    from audsql.apply.flow_facts import flow_atoms, who_is_in

    assert opened.analysis is not None
    alone = replace(opened.analysis.project, flows=(flow,))
    atoms = flow_atoms(alone)
    engine = engine_of(opened, may_connect=True)
    read, _ = engine.materialise(atoms, until)
    everybody = ir.lor(*(ir.leaf(atom) for atom in atoms if not isinstance(atom, ir.Bucket)))
    found = who_is_in(engine, everybody, read.people, {}) if atoms and read.people else set[str]()
    return sorted(found | _followers(opened, flow))


def _followers(opened: Opened, flow: Flow) -> set[str]:
    """The people of the account's log of webhook events, where there is one."""
    from audsql.apply.flows.follow import user_ids_in

    assert opened.config is not None
    pattern = opened.config.follow_logs.get(flow.account)
    return set() if pattern is None else user_ids_in(opened.home, pattern)


@contextmanager
def _copy(opened: Opened, flow: Flow, friends: list[str], begin: datetime) -> Iterator[tuple[Opened, str]]:
    """The project with this flow alone, and a state, a cache and a simulator that are thrown away."""
    from audsql.sim.server import start_embedded

    assert opened.config is not None and opened.analysis is not None
    before = (begin - timedelta(days=400)).isoformat(timespec="seconds")
    account: Document = {
        "token": _TOKEN,
        "quota": {"type": "none"},
        "followersReadable": True,
        "friends": [{"userId": one, "followedAt": before} for one in friends],
    }
    world = {"now": begin.isoformat(timespec="seconds"), "auto": True, "accounts": {flow.account: account}}
    project = replace(opened.analysis.project, flows=(flow,), deliveries=(), priorities=(), moved=(), removed=())
    with tempfile.TemporaryDirectory(prefix="audsql-play-") as folder, start_embedded(world) as simulator:
        aside = Path(folder)
        url = f"sqlite:{aside / 'state.sqlite'}"
        config = replace(opened.config, endpoints={flow.account: simulator.base_url}, state_url=url)
        analysis = replace(opened.analysis, project=project)
        copy = replace(
            opened, config=config, aside=aside, analysis=analysis, compiled_once=[], diagnostics=(), findings=(),
            tokens={flow.account: _TOKEN},
        )  # fmt: skip
        yield copy, simulator.base_url


# --- time passes --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Watch:
    """What was told of already: how many events of the run, and the batches."""

    context: Context
    flow: Flow
    zone: ZoneInfo
    turns: list[Document] = field(default_factory=list)
    events: int = 0
    batches: set[str] = field(default_factory=set)


def _played(
    copy: Opened, base_url: str, flow: Flow, days: int, begin: datetime, problems: tuple[Diagnostic, ...]
) -> Stated:
    assert copy.analysis is not None
    zone = ZoneInfo(copy.analysis.project.timezone)
    outcome = apply(copy, None, ApplyOptions())
    if outcome.document is None:
        return Stated(None, (*problems, *outcome.diagnostics), outcome.exit_code or 1)
    turns: list[Document] = []
    standing: list[Document] = []

    def work(context: Context) -> int:
        # The log names the account's own bot, which this one is not.
        context.bots = dict.fromkeys(context.bots, "")
        watch = _Watch(context, flow, zone, turns)
        _look(watch, outcome.document["events"] if outcome.document else ())
        _pass_days(watch, base_url, begin + timedelta(days=days))
        standing.extend(_standing(watch))
        return 0

    report = carried(copy, ApplyOptions(), "run", work)
    if report.document is None:
        return Stated(None, (*problems, *report.diagnostics), report.exit_code or 1)
    document = {
        "kind": "audsql.flow_play",
        "format_version": "1.0",
        "flow": flow.name,
        "from": begin.astimezone(zone).isoformat(timespec="seconds"),
        "days": days,
        "turns": turns,
        "people": standing,
    }
    return Stated(document, (*problems, *outcome.diagnostics, *report.diagnostics))


def _pass_days(watch: _Watch, base_url: str, end: datetime) -> None:
    """From one instant at which something is due to the next, and hour by hour where people may come in between."""
    from audsql.apply.flows.run import run_flows

    context = watch.context
    # Of a set that people come into a look a day is enough: who comes later enters later.
    tick = timedelta(days=1) if watch.flow.start.kind == "when" else _HOUR
    now = context.now(watch.flow.account)
    while now < end:
        due = [one.due_at for one in context.ledger.standings() if one.state == "waiting" and one.due_at is not None]
        following = min([now + tick, *(at for at in due if at > now)])
        if following > end:
            break
        pass_time(base_url, following)
        now = context.now(watch.flow.account)
        run_flows(context, {})
        _look(watch, context.events)


def _look(watch: _Watch, events: Any) -> None:
    """What happened in this turn, added to the timeline where anything did."""
    from audsql.plan.flow_form import steps_by_path
    from audsql.plan.flow_words import step_words

    context, said = watch.context, steps_by_path(watch.flow.steps)
    fresh = events[watch.events :] if events is context.events else events
    if events is context.events:
        watch.events = len(events)
    turn: Document = {}
    for one in fresh:
        what = str(one["event"]).removeprefix("flow_")
        if what in _COUNTED and one.get("flow") == watch.flow.name:
            turn[what] = turn.get(what, 0) + one["count"]
            for why, count in one.get("why", {}).items():
                reasons = turn.setdefault("why", {})
                reasons[why] = reasons.get(why, 0) + count
    sent: dict[str, int] = {}
    for batch in context.ledger.batches(f"flow.{watch.flow.name}"):
        if batch.id not in watch.batches:
            watch.batches.add(batch.id)
            path = batch.occurrence.partition("/")[2]
            sent[path] = sent.get(path, 0) + batch.count
    steps = [
        {"step": path, "says": step_words(said[path]) if path in said else "", "count": count}
        for path, count in sorted(sent.items())
    ]
    if turn or steps:
        at = context.now(watch.flow.account).astimezone(watch.zone).replace(second=0).isoformat(timespec="seconds")
        watch.turns.append({"at": at, **_counts(turn), "sent": steps})


def _counts(turn: Mapping[str, Any]) -> Document:
    return {**{what: turn.get(what, 0) for what in _COUNTED}, "why": turn.get("why", {})}


def _standing(watch: _Watch) -> Iterator[Document]:
    """Who stands where at the end."""
    from audsql.plan.flow_form import steps_by_path
    from audsql.plan.flow_words import step_words

    said = steps_by_path(watch.flow.steps)
    for one in watch.context.ledger.standings(watch.flow.name):
        words = step_words(said[one.step]) if one.step in said else ""
        yield {"step": one.step, "says": words, "state": one.state, "count": one.count}
