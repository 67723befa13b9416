"""What was sent or made under a name, against the names of the project now: renamings, shares, what is left. Pure.

Each is a guard as `audsql.plan.guard` describes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from audsql.compile.program import Narrowcast, Send
from audsql.diag import Diagnostic, error, warning
from audsql.line.limits import RECIPIENTS_MIN
from audsql.meaning.ir import Bucket, Delivery, Project, Received, Split, atoms_of
from audsql.meaning.lineage import deep_atoms
from audsql.meaning.names import written
from audsql.meaning.relation import Undecided, relation
from audsql.plan.behind import Leaving, has_minimum, is_left_out
from audsql.plan.definition import accepted_definitions, content_digest, occurrence_time
from audsql.plan.meanings import buckets_of, expression_of
from audsql.plan.occurrence import Known, not_after
from audsql.plan.plan import Desired, PlanInputs, Wanted

__all__ = ["HISTORY", "changed_splits", "split_documents"]


# --- names ------------------------------------------------------------------------------------------


def renamed_without_moved(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """A delivery that was sent is gone, and a new one says the same, or nearly: most likely it was renamed."""
    names = {one.name for one in inputs.project.deliveries} | {one.name for one in inputs.project.removed}
    gone = [
        (name, known)
        for name, all_known in sorted(inputs.occurrences.items())
        if name not in names
        for known in all_known
        if known.begun
    ]
    for one in _fresh(aim):
        untimed = [(name, known) for name, known in gone if known.scheduled == "once"]
        same = next((name for name, known in untimed if _says_the_same(inputs, one, known)), None)
        if same is not None:
            yield error("AUD0730", one.delivery.span, delivery=one.delivery.name, old=same)
            continue
        near = ((name, *_shared(inputs, one, known)) for name, known in gone)
        for old, people, messages in near:
            if people or messages:
                yield warning(
                    "AUD0742", one.delivery.span, delivery=one.delivery.name, old=old, people=people or None,
                    messages=messages or None,
                )  # fmt: skip
                break


def _shared(inputs: PlanInputs, one: Wanted, known: Known) -> tuple[bool, bool]:
    """Whether a new delivery goes to an equal set, and whether it says the same to a set that is not proved to be
    of other people. Of what an earlier version sent that is not remembered."""
    if (known.account and known.account != one.delivery.account) or not (known.content and known.reach):
        return False, False
    try:
        found = relation(expression_of(known.reach), one.delivery.reach)
        same, apart = found.kind == "equal", found.both is None
    except (Undecided, ValueError):
        same, apart = False, False
    return same, not apart and known.content == content_digest(one.delivery, inputs.messages)


def _fresh(aim: Desired) -> Iterator[Wanted]:
    """Deliveries that nothing is recorded of."""
    return (one for one in aim.wanted if one.verdict.action in ("send", "schedule") and one.verdict.known is None)


def _says_the_same(inputs: PlanInputs, one: Wanted, known: Known) -> bool:
    """The same messages to the same people, or to all of them or some. What was approved before its set was
    remembered compares as a whole."""
    if known.account and known.account != one.delivery.account:
        return False
    if known.content and known.reach:
        try:
            found = relation(expression_of(known.reach), one.delivery.reach)
        except (Undecided, ValueError):
            return False
        nested = found.kind == "equal" or (found.kind in ("narrower", "wider") and found.both is not None)
        return nested and known.content == content_digest(one.delivery, inputs.messages)
    form = next(form for form in inputs.program.deliveries if form.name == one.delivery.name)
    before = replace(one.delivery, name=known.name, at=None)
    return known.definition in accepted_definitions(before, form, inputs.messages)


def two_histories(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Two deliveries that were sent cannot become one."""
    for one in aim.wanted:
        known = inputs.occurrences.get(one.delivery.name, ())
        names = sorted({row.name for row in known if row.name})
        times = [(row.account, row.scheduled) for row in known]
        if len(set(times)) < len(times):
            yield error("AUD0734", one.delivery.span, delivery=one.delivery.name, names=tuple(names))


def name_of_another(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """An occurrence keeps the name that it was approved under, so that its key at LINE stays the same."""
    taken = {
        (known.name, known.scheduled): name
        for name, all_known in sorted(inputs.occurrences.items())
        for known in all_known
        if known.name != name
    }
    for one in _fresh(aim):
        now = taken.get((one.delivery.name, occurrence_time(one.delivery)))
        if now is not None:
            yield error("AUD0735", one.delivery.span, delivery=one.delivery.name, now=now)


# --- shares -----------------------------------------------------------------------------------------


def split_documents(project: Project, delivery: Delivery) -> dict[str, Any]:
    """Salt and arms of every split that a delivery's set uses, by name."""
    used = {atom.label for atom in deep_atoms(delivery.reach) if isinstance(atom, Bucket)}
    return {split.name: _split(split) for split in project.splits if _labels(split) & used}


def _labels(split: Split) -> set[str]:
    return {f"{written(split.name)}.{written(arm.name)}" for arm in split.arms}


def _split(split: Split) -> dict[str, Any]:
    return {"salt": split.salt, "arms": [[arm.name, arm.hundredths] for arm in split.arms]}


def changed_splits(project: Project, occurrences: Mapping[str, Sequence[Known]]) -> dict[str, tuple[str, ...]]:
    """The splits whose salt, weights or arms are others than when a delivery used them, with these deliveries."""
    now = {split.name: _split(split) for split in project.splits}
    called = {one.old: one.new for one in project.moved if one.kind == "split"}
    found: dict[str, set[str]] = {}
    for delivery, all_known in occurrences.items():
        for known in all_known:
            for name, before in known.splits.items() if known.begun else ():
                current = now.get(called.get(name, name))
                if current is not None and current != before:
                    found.setdefault(called.get(name, name), set()).add(delivery)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def share_changed(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for name, deliveries in changed_splits(inputs.project, inputs.occurrences).items():
        split = next(one for one in inputs.project.splits if one.name == name)
        yield error("AUD0731", split.span, name=name, deliveries=deliveries)
    used = {bucket for rows in inputs.occurrences.values() for known in rows if known.begun for bucket in known.buckets}
    for audience in inputs.project.audiences if used else ():
        earlier = inputs.applied.get(f"audience.{audience.name}")
        before = set(buckets_of(earlier)) if earlier is not None else set()
        now = {bucket for bucket in buckets_of(audience.expression) if bucket[0].startswith("sample:")}
        lost = {bucket for bucket in before - now if bucket[0].startswith("sample:")}
        if lost & used and now - before:
            yield error("AUD0732", audience.span, name=audience.name)


# --- who went first ---------------------------------------------------------------------------------


def behind_one_that_was_sent(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """What is subtracted for a priority is the earlier delivery's set as data are now, not as they were when it was
    sent: whoever got it and has left the set since would get the later one too, unless LINE leaves them out."""
    for one in aim.wanted:
        received = {atom.delivery for atom in atoms_of(one.delivery.reach) if isinstance(atom, Received)}
        for name in one.delivery.behind if one.active and one.verdict.action != "resume" else ():
            begun = any(known.begun for known in inputs.occurrences.get(name, ()))
            if begun and name not in received and not _leaves_out(inputs, one, name):
                yield warning("AUD0743", one.delivery.span, delivery=one.delivery.name, earlier=name)


def _leaves_out(inputs: PlanInputs, one: Wanted, earlier: str) -> bool:
    """Whether every send of a delivery will leave out whoever got an earlier one."""
    now, end = inputs.facts.now, one.verdict.known.not_after if one.verdict.known else None
    moment = max(now, end or not_after(max(one.delivery.at or now, now)))
    facts = inputs.facts.deliveries.get(one.delivery.name)
    # Of several sends nothing is known to be in each of them.
    surely = facts.size.low if facts is not None and len(one.compiled.sends) == 1 else 0
    return all(
        is_left_out(
            earlier, send, one.delivery.behind, inputs.receivers,
            Leaving(moment, None if _has_minimum(inputs, one, send) else surely - RECIPIENTS_MIN),
        )
        for send in one.compiled.sends
    )  # fmt: skip


def _has_minimum(inputs: PlanInputs, one: Wanted, send: Send) -> bool:
    kinds = {key: inputs.program.audience(key).kind for key in one.compiled.audiences}
    return isinstance(send, Narrowcast) and has_minimum(send, kinds)


# --- who is excluded by another id ------------------------------------------------------------------


def lost_in_linkage(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Whoever is excluded by another id and not found through the linkage gets messages all the same."""
    for one in inputs.facts.excluded_linkages:
        loss = one.loss
        if one.left:
            yield error("AUD0741", None, name=loss.table, kind=loss.kind, to=loss.to, left=one.left)
        if loss.lost:
            yield warning(
                "AUD0740", None, name=loss.table, kind=loss.kind, to=loss.to, given=loss.given, lost=loss.lost
            )


def kept_by_another_id(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    """Who is excluded by one id, inside a set that is mapped, and stays in it by another one."""
    for name, facts in sorted(inputs.facts.deliveries.items()):
        for one in facts.losses.kept if facts.losses else ():
            yield warning("AUD1092", None, delivery=name, name=one.table, kind=one.kind, to=one.to, count=one.count)


# --- what is left at LINE ---------------------------------------------------------------------------


def left_behind(inputs: PlanInputs, aim: Desired) -> Iterator[Diagnostic]:
    for name, keys in sorted(inputs.left_behind.items()):
        if name not in {one["name"] for one in inputs.removed}:
            yield warning("AUD0733", None, name=name, count=len(keys))


HISTORY = (
    two_histories,
    name_of_another,
    renamed_without_moved,
    share_changed,
    behind_one_that_was_sent,
    lost_in_linkage,
    kept_by_another_id,
    left_behind,
)
