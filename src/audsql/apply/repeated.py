"""Repetitions as rows of the state: approved once, opened time after time, each time an occurrence of its own.

Rules: specs/operations.md, `schedule.*`. A repetition is an occurrence row of the time `every` in the state `planned`;
its times follow each other without a gap, so that whatever comes after the last one that is recorded is still open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from audsql.apply.context import Context
from audsql.apply.state import Occurrence, State, iso_time, occurrence_id, parse_time
from audsql.diag import error
from audsql.meaning.ir import Project, Quiet
from audsql.plan.definition import EVERY, accepted_definitions, occurrence_at
from audsql.plan.plan import bot_digest
from audsql.plan.quiet import quiets_of, window_end
from audsql.plan.recurring import Turn, turns_from
from audsql.plan.repeated import Coming, Rule, coming, is_turn, leaves_at, rule_document, rule_of
from audsql.records import dataclass

__all__ = [
    "Opening", "approved", "approved_rows", "close_missed", "next_turn", "opened_row", "openings", "passed_over",
    "same_as_approved",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opening:
    """A time that is due. `row`: the repetition; `turn`: the time; `not_before` and `not_after`: when requests may
    leave; `late`: it is caught up; `before`: the record of a time that was opened under an earlier text."""

    row: Occurrence
    turn: Turn
    not_before: datetime
    not_after: datetime
    late: bool = False
    before: Occurrence | None = None


def approved(state: State) -> tuple[Occurrence, ...]:
    """The repetitions that were approved and are in force."""
    rows = (row for row in state.occurrences if row.time == EVERY and row.state == "planned")
    return tuple(row for row in rows if rule_of(row.document.get("rule") or {}) is not None)


def _times_of(state: State, row: Occurrence) -> list[Occurrence]:
    """The occurrences of a repetition, in the order of their times."""
    found = [one for one in state.occurrences if one.name == row.name and one.document.get("label")]
    return sorted((one for one in found if one.account == row.account), key=lambda one: one.time)


def _since(state: State, row: Occurrence) -> datetime:
    """From when on its times have no record yet."""
    begin = parse_time(str(row.document["since"]))
    last = [datetime.fromisoformat(one.time) for one in _times_of(state, row)]
    return max([begin, *(one + timedelta(seconds=1) for one in last)])


def next_turn(state: State, row: Occurrence) -> Turn | None:
    """The first time of a repetition that has no record yet; None where none is left."""
    rule = rule_of(row.document["rule"])
    assert rule is not None
    return next(turns_from(rule.every, rule.zone, _since(state, row)), None)


def same_as_approved(context: Context, row: Occurrence) -> bool:
    """Whether the specs say of a repetition what was approved of it."""
    delivery = context.project.delivery(row.name)
    compiled = next((one for one in context.program.deliveries if one.name == row.name), None)
    if delivery is None or compiled is None or delivery.every is None:
        return False
    accepted = accepted_definitions(delivery, compiled, context.messages)
    rule = rule_document(delivery.every, context.project.timezone)
    return row.document.get("definition") in accepted and dict(row.document["rule"]) == rule


# --- approval -----------------------------------------------------------------------------------------


def approved_rows(
    context: Context, state: State, entry: Mapping[str, Any], digest: str, known: Occurrence | None, said: Any
) -> Iterator[Occurrence]:
    """The rows of a repetition that is approved now: itself; its times that passed under an earlier rule, as missed;
    those that were opened and have not begun, to be opened anew as they are now.

    `known`: the repetition as it stands, under this name; `said`: what a later plan compares with.
    """
    name, account = entry["address"].removeprefix("delivery."), entry["account"]
    now, rule = context.now(account), entry["repeats"]["rule"]
    goes_on = known is not None and known.state == "planned" and dict(known.document.get("rule") or {}) == rule
    since = str(known.document["since"]) if known is not None and goes_on else iso_time(now)
    document = {
        "definition": entry["definition"], "rule": rule, "since": since, "approved_at": iso_time(now),
        "bot": bot_digest(context.bots[account]), **said,
    }  # fmt: skip
    identity = known.delivery if known else name
    if identity != name:
        document["name"] = name
    fresh = Occurrence(account, identity, EVERY, "planned", digest, None, None, document)
    yield replace(fresh, stamp=known.stamp) if known else fresh
    if known is None or known.state != "planned":
        return
    if not goes_on and rule_of(known.document.get("rule") or {}) is not None:
        found = _coming(state, known, quiets_of(context.project, name), now)
        turns = [*found.missed, *([found.due] if found.due is not None else [])]
        yield from (_missed(known, turn, digest) for turn in turns)
    after = rule_of(rule)
    for one in _times_of(state, known):
        at = datetime.fromisoformat(one.time)
        if one.state == "scheduled" and after is not None and is_turn(after.every, after.zone, at):
            yield replace(one, state="planned")


def _coming(state: State, row: Occurrence, quiets: Sequence[Quiet], now: datetime) -> Coming:
    rule = rule_of(row.document["rule"])
    assert rule is not None
    return coming(rule, quiets, _since(state, row), now)


def _missed(row: Occurrence, turn: Turn, digest: str) -> Occurrence:
    """The record of a time at which nothing was even begun."""
    document = {name: row.document[name] for name in ("definition", "reach", "content", "name") if name in row.document}
    return Occurrence(
        row.account, row.delivery, occurrence_at(turn.at), "missed", digest, turn.at, turn.at,
        {**document, "label": _label(turn)},
    )  # fmt: skip


def _label(turn: Turn) -> str:
    return turn.label.isoformat(sep=" ", timespec="minutes")


# --- a run --------------------------------------------------------------------------------------------


def close_missed(context: Context) -> frozenset[str]:
    """Record every time that passed without a run as missed, and say so; their ids."""
    rows: list[Occurrence] = []
    state = context.state()
    for row in approved(state):
        if row.account not in context.clients:
            continue
        now, quiets = context.now(row.account), quiets_of(context.project, row.name)
        rows += [_missed(row, turn, row.plan_digest) for turn in _coming(state, row, quiets, now).missed]
        rows += [replace(one, state="missed") for one in _planned(state, row) if now > _end(context.project, row, one)]
    if rows:
        context.write("repeated.missed", *rows)
    for one in rows:
        context.say("time_missed", delivery=one.name, label=str(one.document["label"]))
    return frozenset(one.id for one in rows)


def _planned(state: State, row: Occurrence) -> list[Occurrence]:
    return [one for one in _times_of(state, row) if one.state == "planned"]


def _end(project: Project, row: Occurrence, one: Occurrence) -> datetime:
    quiets, rule = quiets_of(project, row.name), rule_of(row.document["rule"])
    assert rule is not None
    return window_end(leaves_at(datetime.fromisoformat(one.time), quiets, rule.zone), quiets, rule.zone)


def openings(context: Context) -> list[Opening]:
    """The times that are due and whose repetition is still what was approved; of the others it is said."""
    found: list[Opening] = []
    state = context.state()
    for row in approved(state):
        if row.account not in context.clients:
            continue
        one = _opening(context, state, row)
        if one is None:
            continue
        if row.document.get("bot") not in (None, bot_digest(context.bots[row.account])):
            # A token that belongs to another account by now reaches other people.
            context.diagnostics.append(error("AUD0624", None, what=("accounts",)))
        elif same_as_approved(context, row):
            found.append(one)
        else:
            context.diagnostics.append(error("AUD0863", None, delivery=row.name))
    return found


def _opening(context: Context, state: State, row: Occurrence) -> Opening | None:
    now, rule = context.now(row.account), rule_of(row.document["rule"])
    assert rule is not None
    quiets = quiets_of(context.project, row.name)
    due = coming(rule, quiets, _since(state, row), now)
    if due.due is not None and due.not_before is not None and due.not_after is not None:
        return Opening(row, due.due, due.not_before, due.not_after, due.late) if due.not_before <= now else None
    for one in reversed(_planned(state, row)):
        return _again(rule, quiets, row, one)
    return None


def _again(rule: Rule, quiets: Sequence[Quiet], row: Occurrence, one: Occurrence) -> Opening:
    at = datetime.fromisoformat(one.time)
    begin = leaves_at(at, quiets, rule.zone)
    turn = Turn(datetime.fromisoformat(str(one.document["label"])), at)
    return Opening(row, turn, begin, window_end(begin, quiets, rule.zone), False, one)


def opened_row(one: Opening, entry: Mapping[str, Any], plan: Mapping[str, Any], said: Mapping[str, Any]) -> Occurrence:
    """The occurrence of a time, over the data of now. `entry`: its delivery in `plan`, which was made for it alone."""
    row = one.row
    document = {
        "definition": row.document["definition"],
        "as_of": plan["as_of"],
        "as_of_given": False,
        "pins": {source["name"]: source["digest"] for source in plan["sources"]},
        "members": entry["members"],
        "bot": plan["bots"].get(row.account),
        "limits": {str(send["part"]): send["limit"] for send in entry["sends"]},
        "bound": entry.get("bound"),
        "approved_at": row.document["approved_at"],
        "label": _label(one.turn),
        **({"late": True} if one.late else {}),
        **said,
    }
    if row.name != row.delivery:
        document["name"] = row.name
    time = occurrence_at(one.turn.at)
    fresh = Occurrence(
        row.account, row.delivery, time, "scheduled", row.plan_digest, one.not_before, one.not_after, document
    )
    return replace(fresh, stamp=one.before.stamp) if one.before else fresh


def passed_over(state: State, one: Opening, told_now: frozenset[str]) -> list[Occurrence]:
    """Earlier times that were missed without having begun: with the next one under way nobody has to look at them.

    `told_now`: those that this very run closed; they are told first.
    """
    begun = {row.occurrence for row in state.operations}
    this = occurrence_id(one.row.account, one.row.delivery, occurrence_at(one.turn.at))
    rows = [
        row for row in _times_of(state, one.row) if row.state == "missed" and row.id not in {this, *begun, *told_now}
    ]
    return [replace(row, state="cancelled", document={**row.document, "passed_over": True}) for row in rows]
