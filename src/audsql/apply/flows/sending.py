"""Sending a step: who comes to it is taken up by batches, durable before anything leaves, and moves on with their end.

Normative: specs/flows.md, `flow.order`, `flow.once`, `flow.personal`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from zoneinfo import ZoneInfo

from audsql.apply.batches import OPEN, After, Content, Receiver, carry, openings
from audsql.apply.coupons import filled
from audsql.apply.flows.conditions import Unreadable, must_be_declared
from audsql.apply.flows.standing import BACK, moved_on, noted
from audsql.apply.flows.tally import Tally
from audsql.apply.flows.walk import Walk
from audsql.apply.flows.ways import Way, behind
from audsql.apply.ledger import Batch, Occupied, Opening, Place
from audsql.apply.personal import Rendered, Wording, wording_of
from audsql.apply.personal_sends import left_out_problems, render_sends
from audsql.data.engine import RowColumn, TableRow
from audsql.diag import error
from audsql.line.limits import MULTICAST_RECIPIENTS_MAX
from audsql.meaning.flow import SendStep
from audsql.meaning.ir import Message
from audsql.plan.flow_form import FlowForm
from audsql.records import dataclass

__all__ = ["owner_of", "pass_over", "send_step", "sent_as", "settled", "unit_of", "words_columns"]

# What is opened and not carried yet waits for the next run: few people, and few requests, in one transaction.
_PEOPLE_AT_A_TIME = 20 * MULTICAST_RECIPIENTS_MAX
_BATCHES_AT_A_TIME = 200


def owner_of(flow: str) -> str:
    return f"flow.{flow}"


def unit_of(flow: str) -> str:
    """The name under which LINE counts what a flow sends: the same in every state, so that a lost one is noticed."""
    return f"audsql_{hashlib.sha256(f'audsql/flow/{flow}'.encode()).hexdigest()[:8]}"


def sent_as(place: Place) -> str:
    """Under which it is recorded that this person is sent this step this time."""
    return f"{place.entry}/{place.step}"


@dataclass(frozen=True, slots=True)
class _Group:
    """People who are sent the same words, each once."""

    content: Content
    places: Sequence[Place]


def send_step(walk: Walk, path: str, places: Sequence[Place], after: After) -> list[Batch]:
    """Send these people a step, those who stand there now and are due, nobody twice; the batches as they ended. Stops
    early where one is not settled: who is left stays where they are, for a later run. Raises Unreadable."""
    ended: list[Batch] = []
    for some in _portions(_groups(walk, path, places)):
        found = _send_some(walk, path, some, after)
        ended += found
        if any(one.state in OPEN for one in found):
            break
    return ended


def _portions(groups: Iterable[_Group]) -> Iterator[list[_Group]]:
    """Groups that are opened together; a large one is cut."""
    portion: list[_Group] = []
    people = 0
    for group in groups:
        for begin in range(0, len(group.places), _PEOPLE_AT_A_TIME):
            some = group.places[begin : begin + _PEOPLE_AT_A_TIME]
            if portion and (people + len(some) > _PEOPLE_AT_A_TIME or len(portion) >= _BATCHES_AT_A_TIME):
                yield portion
                portion, people = [], 0
            portion.append(_Group(group.content, some))
            people += len(some)
    if portion:
        yield portion


def _send_some(walk: Walk, path: str, groups: Sequence[_Group], after: After) -> list[Batch]:
    context, owner = walk.reading.context, owner_of(walk.form.name)
    opened = [opening for group in groups for opening in _opened(walk, path, group)]
    if not opened:
        return []
    context.keep_lease()
    try:
        context.ledger.open_batches(context.lease, context.steady_now(), "flow.sending", opened)
    except Occupied:
        return _send_others(walk, path, groups, after)
    identities = {one.batch.id for one in opened}
    found = [one for one in context.ledger.batches(owner, states=("pending",)) if one.id in identities]
    return settled((carry(context, one, after) for one in found), walk.tally)


def _opened(walk: Walk, path: str, group: _Group) -> list[Opening]:
    form = walk.form
    receivers = [Receiver(place.person, sent_as(place), place) for place in group.places]
    occurrence = f"{form.version}/{path}"
    return openings(
        walk.reading.context, form.flow.account, owner_of(form.name), occurrence, group.content, receivers
    )  # fmt: skip


def settled(batches: Iterable[Batch], tally: Tally) -> list[Batch]:
    """The batches as they ended, counted by what became of their people; no more behind one that is not settled."""
    ended: list[Batch] = []
    words = {"succeeded": "sent", "in_doubt": "held", "rejected": "rejected", "missed": "missed"}
    for one in batches:
        ended.append(one)
        # Who may not get it any more is decided of anew, and counted then.
        if one.state in words and not (one.state == "missed" and one.evidence in BACK):
            tally.add(words[one.state], one.count)
        if one.state in OPEN:
            break
    return ended


def _send_others(walk: Walk, path: str, groups: Sequence[_Group], after: After) -> list[Batch]:
    """Where it is recorded already that somebody is sent this: they go on behind it, the others are sent it. Nobody is
    sent anything twice, whatever became of their place."""
    context, owner = walk.reading.context, owner_of(walk.form.name)
    known: set[tuple[bytes, str]] = set()
    for occurrence in sorted({sent_as(place) for group in groups for place in group.places}):
        known |= {(person, occurrence) for person in context.ledger.was_sent(owner, occurrence)}
    gone = [place for group in groups for place in group.places if (place.person, sent_as(place)) in known]
    if not gone:
        raise Occupied
    pass_over(walk, path, gone, "known")
    others = [
        _Group(group.content, [place for place in group.places if (place.person, sent_as(place)) not in known])
        for group in groups
    ]
    return _send_some(walk, path, others, after)


def pass_over(walk: Walk, path: str, places: Sequence[Place], why: str) -> None:
    """Move these on behind a step that they are not sent, with why."""
    context, zone = walk.reading.context, walk.reading.zone
    moved = [noted(moved_on(one, behind(walk.way, path, one.due_at, zone)), f"{why}:{path}") for one in places]
    context.keep_lease()
    context.ledger.move(context.lease, context.steady_now(), "flow.moved", moved)
    walk.tally.add("passed_over", len(moved), why)


# --- words --------------------------------------------------------------------------------------------


def _groups(walk: Walk, path: str, places: Sequence[Place]) -> Iterator[_Group]:
    """Who is sent what; who cannot be is passed over. Raises Unreadable, and Stop for a coupon that is not there."""
    form, step = walk.form, walk.way.steps[path]
    assert isinstance(step, SendStep)
    if _own_words(form).keys() & set(step.messages):
        yield from _personal(walk, path, step, places)
        return
    messages = [message for name in step.messages for message in form.messages[name]]
    yield _Group(Content(tuple(filled(walk.reading.context, messages)), unit_of(form.name)), places)


def _own_words(form: FlowForm) -> dict[str, Message]:
    """The messages that are filled in for each person; those of a coupon alone say the same to everybody."""
    return {name: message for name, message in form.personal.items() if message.personal}


def words_columns(form: FlowForm, way: Way, table: str, zone: ZoneInfo) -> tuple[RowColumn, ...]:
    """The columns of a trigger's table that the messages of a flow show."""
    found: dict[RowColumn, None] = {}
    for step in way.steps.values():
        if isinstance(step, SendStep) and _own_words(form).keys() & set(step.messages):
            wording = wording_of(step.messages, form.messages, _own_words(form), zone)
            found |= dict.fromkeys(wording.columns.get(table, ()))
    return tuple(found)


def _personal(walk: Walk, path: str, step: SendStep, places: Sequence[Place]) -> Iterator[_Group]:
    """By the words that they are sent. Those of a trigger flow speak of the row that a person entered with."""
    form, context = walk.form, walk.reading.context
    wording = wording_of(step.messages, form.messages, _own_words(form), walk.reading.zone)
    must_be_declared(walk.reading, wording.columns)
    things = [(place.person, sent_as(place)) for place in places]
    rendered, problems = render_sends(
        context, wording, owner_of(form.name), things, walk.reading.now, given=_given(walk, wording, places),
        account=form.flow.account,
    )  # fmt: skip
    if rendered is None:
        told = error("AUD0817", None, flow=form.name, source=", ".join(sorted(wording.columns)) or None, account=None)
        raise Unreadable(*[one for one in problems if one.severity == "error"], told)
    try:
        _left_out(walk, path, rendered, places)
        for group in rendered.groups():
            words = Content(tuple(filled(context, group.messages)), unit_of(form.name), personal=True)
            yield _Group(words, [places[number] for number in group.people])
    finally:
        rendered.close()


def _given(walk: Walk, wording: Wording, places: Sequence[Place]) -> dict[str, list[TableRow | None]]:
    """The rows that people entered with, in the columns that the words show."""
    table = walk.form.flow.start.table
    if walk.rows is None or table is None or table not in wording.columns:
        return {}
    at = [walk.rows.columns.index(column) for column in wording.columns[table]]
    found = [walk.rows.by_entry.get(place.entry) for place in places]
    return {table: [rows[0]._replace(values=tuple(rows[0].values[one] for one in at)) if rows else None
                    for rows in found]}  # fmt: skip


def _left_out(walk: Walk, path: str, rendered: Rendered, places: Sequence[Place]) -> None:
    """Who has no value for something that the words need is passed over, told as a count, and goes on."""
    walk.reading.context.diagnostics.extend(left_out_problems(owner_of(walk.form.name), rendered.left))
    for left in rendered.left:
        pass_over(walk, path, [places[number] for number in left.people], left.reason)
