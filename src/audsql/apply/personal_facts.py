"""What a plan finds out about personal messages: everybody rendered once, and only counts left of it.

Rules: specs/operations.md, `personal.*`, `codes.*`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from audsql.apply.codes import free_codes, pools_read
from audsql.apply.ledger import Ledger
from audsql.apply.personal import LeftOut, Rendered, Wording, render_people, wording_of
from audsql.apply.personal_sends import stand_ins
from audsql.apply.persons import Persons
from audsql.apply.world import World
from audsql.compile.program import CompiledDelivery, Multicast
from audsql.data.code_pools import Codes
from audsql.data.engine import Engine
from audsql.diag import Diagnostic
from audsql.meaning.ir import Project
from audsql.plan.definition import occurrence_time
from audsql.plan.flow_form import messages_sent
from audsql.plan.personal import PersonalFacts, PersonalInputs
from audsql.plan.plan import Wanted
from audsql.records import dataclass

__all__ = ["Known", "personal_inputs"]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the people of a state: its ledger, and who they are in it; both None where there is none."""

    ledger: Ledger | None = None
    persons: Persons | None = None


def personal_inputs(
    engine: Engine,
    world: World,
    project: Project,
    messages: Mapping[str, Sequence[Any]],
    wanted: Sequence[Wanted],
    known: Known,
    as_of: datetime,
    entering: Mapping[str, Sequence[str]] | None = None,
) -> tuple[PersonalInputs | None, tuple[Diagnostic, ...]]:
    """Everybody of each delivery that is to be sent, rendered, and of each flow whoever enters it first (`entering`,
    user IDs by its name) in all of its messages. None where a source cannot be read."""
    zone = ZoneInfo(project.timezone)
    personal = {one.name: one for one in project.messages if one.personal}
    found: dict[str, PersonalFacts] = {}
    codes: dict[str, Codes] = {}
    problems: dict[Diagnostic, None] = {}
    for one in wanted:
        if not one.active or one.verdict.action == "resume" or not personal.keys() & {*one.delivery.messages}:
            continue
        wording = wording_of(one.delivery.messages, messages, personal, zone)
        read, told = pools_read(lambda pool: engine.codes(pool, as_of), project, wording.pools)
        problems |= dict.fromkeys(told)
        if read is None:
            return None, tuple(problems)
        codes |= read
        people = listed_people(engine, one.compiled, world)
        rendered, told = render_people(
            engine, wording, people, as_of, codes=stand_ins(read, len(people)), account=one.delivery.account
        )
        problems |= dict.fromkeys(told)
        if rendered is None:
            return None, tuple(problems)
        rendered.close()
        found[one.delivery.name] = _facts(project, wording, rendered, people, known, one)
    for name in sorted(entering or {}):
        (flow,) = (one for one in project.flows if one.name == name)
        sent = [one for one in messages_sent(flow) if one in personal]
        facts, told = _of_flow(engine, project, wording_of(sent, messages, personal, zone), (entering or {})[name],
                               flow.account, as_of)  # fmt: skip
        problems |= dict.fromkeys(told)
        if facts is None:
            return None, tuple(problems)
        found[f"flow.{name}"] = facts
    free = {name: _free(codes[name], known) for name in sorted(codes)}
    return PersonalInputs(found, free), tuple(problems)


def _of_flow(
    engine: Engine, project: Project, wording: Wording, people: Sequence[str], account: str, as_of: datetime
) -> tuple[PersonalFacts | None, tuple[Diagnostic, ...]]:
    """Codes are not counted: which of its messages somebody comes to, the flow decides on the way."""
    read, told = pools_read(lambda pool: engine.codes(pool, as_of), project, wording.pools)
    if read is None:
        return None, told
    rendered, found = render_people(engine, wording, people, as_of, codes=stand_ins(read, len(people)), account=account)
    if rendered is None:
        return None, (*told, *found)
    rendered.close()
    return _counted(project, wording, rendered), (*told, *found)


def listed_people(engine: Engine, form: CompiledDelivery, world: World) -> list[str]:
    """The user IDs of everybody whom a delivery lists, ascending."""
    found: set[str] = set()
    for send in form.sends:
        if isinstance(send, Multicast):
            found.update(engine.members(engine.evaluate(send.members, world.people)))
    return sorted(found)


def _facts(
    project: Project,
    wording: Wording,
    rendered: Rendered,
    people: Sequence[str],
    known: Known,
    one: Wanted,
) -> PersonalFacts:
    out = {number for left in rendered.left for number in left.people}
    needing = [person for number, person in enumerate(people) if number not in out]
    codes = tuple((pool, _without_code(known, pool, one, needing)) for pool in wording.pools)
    return replace(_counted(project, wording, rendered), codes=codes)


def _counted(project: Project, wording: Wording, rendered: Rendered) -> PersonalFacts:
    tables = {table.name: bool(table.time_column) for table in project.tables}
    missing: dict[tuple[str, str, str | None], int] = {}
    for left in rendered.left:
        for column in left.columns if left.reason == "missing" else ():
            key = (left.message, column, wording.tables.get(left.message))
            missing[key] = missing.get(key, 0) + len(left.people)
    return PersonalFacts(
        rendered.distinct,
        tuple((*key, count) for key, count in sorted(missing.items(), key=lambda pair: pair[0][:2])),
        tuple((left.table, len(left.people), tables[left.table]) for left in _of(rendered.left, "several")),
        tuple(
            (left.message, left.path, left.columns, left.code, len(left.people))
            for left in _of(rendered.left, "illegal")
        ),
    )


def _of(left: Iterable[LeftOut], reason: str) -> list[LeftOut]:
    return [one for one in left if one.reason == reason]


def _without_code(known: Known, pool: str, one: Wanted, people: Sequence[str]) -> int:
    """How many of these people have no code of a pool for this delivery yet."""
    if known.ledger is None or known.persons is None:
        return len(people)
    thing = (f"delivery.{one.delivery.name}", occurrence_time(one.delivery))
    own = {row.person for row in known.ledger.assigned(pool) if (row.owner, row.occurrence) == thing}
    return len(people) if not own else sum(person not in own for person in known.persons.hide(people))


def _free(codes: Codes, known: Known) -> int:
    if known.ledger is None or known.persons is None:
        return len(codes.texts)
    return free_codes(codes, known.ledger.assigned(codes.name), known.persons.code_digest)
