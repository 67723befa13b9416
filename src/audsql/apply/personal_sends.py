"""Personal messages of one send: everybody's words, with a code for each where they show one.

Codes are given only to people whose message is otherwise certain, and before a message with them exists. Rules:
specs/operations.md, `personal.*`, `codes.*`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from audsql.apply.codes import Thing, codes_for, pools_read
from audsql.apply.context import Context, Stop
from audsql.apply.personal import LeftOut, Rendered, Wording, render_people, wording_of
from audsql.apply.state import Occurrence
from audsql.data.code_pools import Codes
from audsql.data.engine import TableRow
from audsql.diag import Diagnostic, warning
from audsql.meaning.ir import Delivery

__all__ = ["left_out_problems", "personal_groups", "render_sends", "stand_ins"]


def render_sends(
    context: Context,
    wording: Wording,
    owner: str,
    things: Sequence[Thing],
    as_of: datetime,
    *,
    given: Mapping[str, Sequence[TableRow | None]] | None = None,
    account: str = "",
) -> tuple[Rendered | None, tuple[Diagnostic, ...]]:
    """What is said to these people, each with the occurrence under which it is remembered (`Sent.occurrence`). Whoever
    is to have a code has it afterwards, in the ledger. `owner`, `given`, `account`: as of the batches and
    `render_people`. The result is to be closed. Raises LeaseLost, RowChanged, StoreFailed."""
    users = context.persons.show([person for person, _ in things])
    if not wording.pools:
        return render_people(context.engine, wording, users, as_of, given=given, account=account)
    codes, problems = pools_read(lambda pool: context.engine.codes(pool, as_of), context.project, wording.pools)
    if codes is None:
        return None, problems
    looked, found = render_people(
        context.engine, wording, users, as_of, codes=stand_ins(codes, len(users)), given=given, account=account
    )
    problems = (*problems, *found)
    if looked is None:
        return None, problems
    looked.close()
    out = {number for one in looked.left for number in one.people}
    chosen = [number for number in range(len(things)) if number not in out]
    own = codes_for(context, wording, owner, [things[number] for number in chosen], codes)
    given_codes = {pool: _spread(texts, chosen, len(things)) for pool, texts in own.items()}
    rendered, _ = render_people(context.engine, wording, users, as_of, codes=given_codes, given=given, account=account)
    return (None if rendered is None else _told_once(rendered, looked.left, out)), problems


def personal_groups(
    context: Context, occurrence: Occurrence, owner: str, delivery: Delivery, people: Sequence[bytes]
) -> Iterator[tuple[tuple[Any, ...], list[bytes]]]:
    """The message objects of a delivery with personal messages and who gets them, the largest group first. Who is left
    out is told. Raises Stop (1) where a table or a file of codes cannot be read, and what `render_sends` raises."""
    personal = {one.name: one for one in context.project.messages if one.personal}
    wording = wording_of(delivery.messages, context.messages, personal, ZoneInfo(context.project.timezone))
    things = [(one, occurrence.time) for one in people]
    rendered, problems = render_sends(
        context, wording, owner, things, _rows_as_of(context, occurrence), account=occurrence.account
    )
    if rendered is None:
        raise Stop(1, tuple(one for one in problems if one.severity == "error"))
    try:
        context.diagnostics.extend(left_out_problems(owner, rendered.left))
        for group in rendered.groups():
            yield group.messages, [people[number] for number in group.people]
    finally:
        rendered.close()


def _rows_as_of(context: Context, occurrence: Occurrence) -> datetime:
    """As the exclusions are read: now, or the instant that the plan was made for on purpose."""
    planned, now = occurrence.document.get("as_of"), context.now(occurrence.account)
    as_of = datetime.fromisoformat(str(planned)) if planned else now
    return as_of if occurrence.document.get("as_of_given") else max(as_of, now)


def stand_ins(codes: Mapping[str, Codes], count: int) -> dict[str, list[str | None]]:
    """The longest code of each pool for everybody: whatever code is theirs, their message is no longer."""
    return {pool: [max(one.texts, key=len, default="-")] * count for pool, one in codes.items()}


def _spread(texts: Sequence[str | None], numbers: Sequence[int], count: int) -> list[str | None]:
    found: list[str | None] = [None] * count
    for number, text in zip(numbers, texts, strict=True):
        found[number] = text
    return found


def _told_once(rendered: Rendered, first: Sequence[LeftOut], out: set[int]) -> Rendered:
    """Who is left out for the reason that they were left out for before codes were looked at."""
    later = [replace(one, people=tuple(number for number in one.people if number not in out)) for one in rendered.left]
    return replace(rendered, left=(*first, *(one for one in later if one.people)))


def left_out_problems(owner: str, left: Sequence[LeftOut]) -> tuple[Diagnostic, ...]:
    """Warnings about people who are not sent to, as counts: AUD1140."""
    return tuple(
        warning(
            "AUD1140",
            None,
            owner=owner,
            count=len(one.people),
            message=one.message or None,
            columns=one.columns,
            path=one.path or None,
            table=one.table or None,
            pool=one.pool or None,
        )
        for one in left
    )
