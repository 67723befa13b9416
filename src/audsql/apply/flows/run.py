"""Everything that is due in flows: open batches first, then who enters, then everybody who is due, step by step.

Normative: specs/flows.md.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from audsql.apply.batches import OPEN, Undecided, code_of, is_paused, name_of, settle_open
from audsql.apply.context import Context, Stop
from audsql.apply.flow_versions import follow_moved
from audsql.apply.flows.cohort_form import own_atoms
from audsql.apply.flows.cohorts import send_cohort, settle_cohorts
from audsql.apply.flows.conditions import Reading, Unreadable, check_exclusions, read_people
from audsql.apply.flows.enter import Entrance, entrance
from audsql.apply.flows.follow import follow_entrance, read_follow_log
from audsql.apply.flows.sending import owner_of, send_step, settled, words_columns
from audsql.apply.flows.standing import after_batch, is_over, left, ways_of
from audsql.apply.flows.tally import Tally
from audsql.apply.flows.trigger import LATE_HOURS as ROW_LATE_HOURS
from audsql.apply.flows.trigger import MISSED, TOO_SOON, read_trigger_rows, trigger_entrance
from audsql.apply.flows.walk import LATE_HOURS, Decided, Walk, decide
from audsql.apply.flows.ways import Way
from audsql.apply.ledger import Batch, Place
from audsql.apply.pausing import pause_of, pause_row
from audsql.compile.flows import Cohort, cohorts_of, readable_accounts
from audsql.diag import error, warning
from audsql.meaning import ir
from audsql.meaning.flow import Branch
from audsql.plan.flow_form import FlowForm, excluded_of, forms_of, steps_by_path
from audsql.plan.plan import bot_digest
from audsql.records import dataclass

__all__ = ["run_flows"]

_PLACES_AT_A_TIME = 100_000
_REFUSED = 5


@dataclass(slots=True)
class _Run:
    """What is the same for all flows of a run. `ways` by flow and version."""

    context: Context
    forms: Sequence[FlowForm]
    ways: Mapping[tuple[str, str], Way]
    entering: Mapping[str, int]
    walks: dict[tuple[str, str], Walk] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.context.project.timezone)

    def after(self, batch: Batch, places: Sequence[Place]) -> Sequence[Place]:
        return after_batch(batch, places, self.ways, self.zone, self.context.now(batch.account))


def run_flows(context: Context, entering: Mapping[str, int]) -> int:
    """Enter and walk; the exit code. `entering`: of flows that are approved in this apply how many people their plan
    counted. Stop, LeaseLost and store failures pass through."""
    forms = forms_of(context.state())
    if not forms:
        return 0
    _same_bots(context)
    run = _Run(context, forms, ways_of(forms), entering)
    code = _settle(run)
    follow_moved(context)
    for name in sorted({form.name for form in forms}):
        code = max(code, _run_flow(run, [form for form in forms if form.name == name]))
    _close(run)
    held = any(one.state == "held" for one in context.ledger.standings())
    return 7 if held and code in (0, 7) else code


def _same_bots(context: Context) -> None:
    """A token that belongs to another account by now reaches other people. Raises Stop."""
    for row in context.state().flow_versions:
        bot = context.bots.get(row.account)
        if row.state != "closed" and bot and row.document.get("bot") not in (None, bot_digest(bot)):
            raise Stop(_REFUSED, (error("AUD0624", None, what=("accounts",)),))


def _settle(run: _Run) -> int:
    """What earlier runs left open is brought to its end first, with who may still get it."""
    context = run.context

    def allowed(batch: Batch, people: Sequence[bytes]) -> frozenset[bytes]:
        return _still_allowed(run, batch, people)

    batches = [
        *settle_open(context, run.after, allowed),
        *settle_cohorts(context, run.forms, run.after, allowed),
    ]
    by_owner: dict[str, list[Batch]] = {}
    for one in batches:
        by_owner.setdefault(name_of(context.project, one.owner), []).append(one)
    for name, found in sorted(by_owner.items()):
        tally = Tally(name)
        settled([one for one in found if one.state not in OPEN], tally)
        tally.say(context)
    return code_of(batches)


def _run_flow(run: _Run, forms: Sequence[FlowForm]) -> int:
    """One flow, all its versions."""
    context, name, account = run.context, forms[0].name, forms[0].flow.account
    if account not in context.clients:
        return 0
    tally, now = Tally(name), context.now(account)
    if pause_of(context.state(), context.project, owner_of(name)) is not None:
        if context.ledger.places(name, states=("waiting",), due_by=now):
            is_paused(context, owner_of(name))
        return 0
    try:
        _take_out(run, forms, tally, now)
        walks, code = _walks(run, forms, tally, now)
        code = max([code, *(_enter(run, walk) for walk in walks.values() if walk.form.live)])
        return max(code, _walk_all(run, walks, forms, now))
    except Unreadable as problem:
        _tell(context, problem)
        return _REFUSED
    except Stop as stop:
        # What this flow lacks is no other flow's business; a token or a quota is.
        if stop.exit_code != _REFUSED:
            raise
        context.diagnostics.extend(stop.diagnostics)
        return _REFUSED
    finally:
        tally.say(context)
        _tell_late(context, tally)


def _walks(run: _Run, forms: Sequence[FlowForm], tally: Tally, now: datetime) -> tuple[dict[str, Walk], int]:
    """The versions that people enter or stand in, with their data; 5 where those of one cannot be read, which keeps
    nobody waiting in another."""
    inside = {one.version for one in run.context.ledger.standings(forms[0].name) if one.state == "waiting"}
    found: dict[str, Walk] = {}
    code = 0
    for form in forms:
        if form.live or form.version in inside:
            try:
                found[form.version] = _walk_of(run, form, tally, now)
            except Unreadable as problem:
                _tell(run.context, problem)
                code = _REFUSED
    return found, code


def _tell(context: Context, problem: Unreadable) -> None:
    """What several versions or flows lack is told once."""
    context.diagnostics.extend(one for one in problem.diagnostics if one not in context.diagnostics)


def _walk_of(run: _Run, form: FlowForm, tally: Tally, now: datetime) -> Walk:
    """A version with the data that its conditions need, read now."""
    context, start = run.context, form.flow.start
    # A policy that left the specs goes on taking people away until somebody approves a plan without it.
    excluded = ir.lor(excluded_of(context.project, form.name, form.flow.account), form.excluded or ir.NOBODY)
    reading = Reading(context, form.name, now)
    readable = readable_accounts(context.project)
    cohorts = {one.path: one for one in cohorts_of(form.flow, readable)}
    conditions = (excluded, *_conditions(form, cohorts, readable))
    check_exclusions(reading, excluded)
    read_people(reading, conditions, start.table or "")
    walk = Walk(form, run.ways[form.name, form.version], reading, excluded, tally, cohorts)
    if start.table is not None:
        shown = words_columns(form, walk.way, start.table, reading.zone)
        walk.rows = read_trigger_rows(reading, form, conditions, shown)
    if start.kind == "follow":
        walk.log = read_follow_log(reading, form.flow.account)
        walk.unfollowed = walk.log.unfollowed(now)
    return walk


def _tell_late(context: Context, tally: Tally) -> None:
    rows = tally.counts["missed.row"]
    steps = tally.counts["missed"] - rows
    for count, hours in ((steps, LATE_HOURS), (rows, ROW_LATE_HOURS)):
        if count:
            context.diagnostics.append(warning("AUD0822", None, flow=tally.flow, count=count, hours=hours))


def _conditions(form: FlowForm, cohorts: Mapping[str, Cohort], readable: frozenset[str]) -> list[ir.Expression]:
    """All sets of a flow that are asked of its people one by one; the set that it began with only where it is entered,
    since its sources may be gone by then."""
    flow = form.flow
    found = [flow.exit]
    if form.live and flow.start.expression is not None:
        found.append(flow.start.expression)
    for path, step in steps_by_path(flow.steps).items():
        if path in cohorts:
            # What LINE does not decide of it is known of each person too.
            found += [ir.leaf(atom) for atom in own_atoms(cohorts[path], readable)]
        elif isinstance(step, Branch):
            found += [arm.expression for arm in step.arms]
    return found


# --- entering -----------------------------------------------------------------------------------------


def _enter(run: _Run, walk: Walk) -> int:
    """Whoever may enter this version now; 5 where more would than a person approved."""
    found, name = _entrance(walk), walk.form.name
    most = run.entering.get(name)
    if most is not None and len(found.fresh) > most:
        _hold_back(run.context, name, most, len(found.fresh))
        return 5
    _write(run, "flow.outside", found.seen, fresh=False)
    _write(run, "flow.entered", found.fresh, fresh=True)
    over = [place.note for place in found.fresh if is_over(place)]
    walk.tally.add("entered", len(found.fresh) - len(over))
    walk.tally.add("missed", over.count(MISSED), "row")
    walk.tally.add("passed_over", over.count(TOO_SOON), TOO_SOON)
    return 0


def _entrance(walk: Walk) -> Entrance:
    if walk.rows is not None:
        return trigger_entrance(walk.reading, walk.form, walk.way, walk.rows)
    if walk.log is not None:
        return follow_entrance(walk.reading, walk.form, walk.way, walk.log)
    return entrance(walk.reading, walk.form, walk.way, walk.excluded)


def _hold_back(context: Context, name: str, planned: int, found: int) -> None:
    """A flow that more people would enter than a person saw is paused: no later run lets them in by itself."""
    told, now = error("AUD0818", None, flow=name, planned=planned, found=found), context.steady_now()
    context.diagnostics.append(told)
    row = pause_row(context.state(), owner_of(name), "paused", told.code, context.options.holder, now)
    context.write("flow.held_back", row)


def _take_out(run: _Run, forms: Sequence[FlowForm], tally: Tally, now: datetime) -> None:
    """Everybody out of a flow that a person gave up with who is inside."""
    if not any(form.taken_out for form in forms):
        return
    versions = {form.version for form in forms if form.taken_out}
    inside = run.context.ledger.places(forms[0].name, states=("waiting",))
    gone = [left(place, "removed", now) for place in inside if place.version in versions]
    _write(run, "flow.removed", gone, fresh=False)
    tally.add("left", len(gone), "removed")


def _write(run: _Run, what: str, places: Sequence[Place], *, fresh: bool) -> None:
    """Some people after the others: what is decided of one never depends on another."""
    context = run.context
    for begin in range(0, len(places), _PLACES_AT_A_TIME):
        some = places[begin : begin + _PLACES_AT_A_TIME]
        context.keep_lease()
        write = context.ledger.enter if fresh else context.ledger.move
        write(context.lease, context.steady_now(), what, some)


# --- walking ------------------------------------------------------------------------------------------


def _walk_all(run: _Run, walks: Mapping[str, Walk], forms: Sequence[FlowForm], now: datetime) -> int:
    """Everybody who is due, until nobody comes any further. Who was sent something may be due for the next step."""
    name, code, moved = forms[0].name, 0, True
    while moved:
        due = run.context.ledger.places(name, states=("waiting",), due_by=now)
        batches, moved = _round(run, walks, due, now)
        code = max(code, code_of(batches))
        if any(one.state in OPEN for one in batches):
            break
    return max(code, _tell_unknown(run, name, due, {form.version for form in forms}))


def _tell_unknown(run: _Run, name: str, due: Sequence[Place], known: Container[str]) -> int:
    """Who stands in a version that the state does not know is left alone."""
    count = sum(place.version not in known for place in due)
    if count:
        run.context.diagnostics.append(error("AUD0821", None, flow=name, count=count))
    return 5 if count else 0


def _round(run: _Run, walks: Mapping[str, Walk], due: Sequence[Place], now: datetime) -> tuple[list[Batch], bool]:
    """As far as everybody comes without knowing what becomes of a send; whether anybody moved."""
    batches: list[Batch] = []
    before = {(one.person, one.entry): one for one in due}
    by_version: dict[str, list[Place]] = {}
    for place in due:
        by_version.setdefault(place.version, []).append(place)
    moved = False
    for version in sorted(by_version.keys() & walks.keys()):
        walk = walks[version]
        decided = decide(walk, by_version[version], now)
        changed = [one for one in decided.changed if one != before[one.person, one.entry]]
        _write(run, "flow.moved", changed, fresh=False)
        counted = walk.tally.counts.total()
        batches += _send_all(run, walk, decided)
        moved = moved or bool(changed) or walk.tally.counts.total() > counted
    return batches, moved or any(one.state not in OPEN for one in batches)


def _send_all(run: _Run, walk: Walk, decided: Decided) -> list[Batch]:
    batches: list[Batch] = []
    steps = [*decided.sending.items(), *decided.cohorts.items()]
    for path, places in steps:
        if is_paused(run.context, owner_of(walk.form.name)):
            break
        send = send_cohort if path in walk.cohorts else send_step
        batches += send(walk, path, places, run.after)
        if any(one.state in OPEN for one in batches):
            break
    return batches


def _still_allowed(run: _Run, batch: Batch, people: Sequence[bytes]) -> frozenset[bytes]:
    """Who of those in a batch of an earlier run may be sent it still: nobody who would leave by now."""
    import numpy as np

    from audsql.apply.flows.walk import crowd_of, staying

    context = run.context
    name = name_of(context.project, batch.owner)
    version = batch.occurrence.partition("/")[0]
    form = next((one for one in run.forms if (one.name, one.version) == (name, version)), None)
    if form is None or form.taken_out:
        return frozenset()
    places = context.ledger.places(batch=batch.id)
    gone = np.zeros(len(places), np.bool_)
    try:
        if (name, version) not in run.walks:
            run.walks[name, version] = _walk_of(run, form, Tally(name), context.now(batch.account))
        walk = run.walks[name, version]
        for mask in staying(walk, crowd_of(walk, places)).values():
            gone = gone | mask
    except Unreadable:
        # The flow itself is looked at next, and says why.
        raise Undecided from None
    kept = {place.person for at, place in enumerate(places) if not gone[at]}
    return frozenset(person for person in people if person in kept)


# --- versions -----------------------------------------------------------------------------------------


def _close(run: _Run) -> None:
    """A version that nobody enters any more and nobody stands in is over."""
    context = run.context
    closing = [row for row in context.state().flow_versions if row.state == "closing"]
    if not closing:
        return
    open_states = ("waiting", "sending", "held")
    inside = {(one.flow, one.version) for one in context.ledger.standings() if one.state in open_states}
    rows = [replace(row, state="closed") for row in closing if (row.flow, row.version) not in inside]
    if rows:
        context.write("flow.closed", *rows)
        for row in rows:
            context.say("flow_closed", flow=row.flow, version=row.version)
