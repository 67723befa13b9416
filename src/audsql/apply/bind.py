"""Binding: what own data and LINE say now, gathered into the facts that planning needs. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from audsql.apply.losing import losses_of
from audsql.apply.state import KnownSize, Occurrence, Resource, State, parse_time
from audsql.apply.world import (
    World,
    as_found,
    atoms_needed,
    excluded_linkages,
    exclusions,
    linkage_name,
    own_atoms,
)
from audsql.compile.bind import without_empty
from audsql.compile.bounds import bounds
from audsql.compile.program import CompiledDelivery, Multicast, Narrowcast, Program, RedeliveryLeaf, recipient_leaves
from audsql.compile.trees import leaf_key
from audsql.data.engine import Engine, People, SourceFacts, linkage_loss
from audsql.data.exclusions import empty_exclusions
from audsql.diag import Bag, Diagnostic
from audsql.meaning.ir import Atom, Expression, Followers, Mapped, Project, Uploaded
from audsql.meaning.lineage import made_of, read_from, with_parts
from audsql.plan.audiences import Held
from audsql.plan.definition import EVERY
from audsql.plan.facts import (
    AudienceFacts,
    DeliveryFacts,
    ExcludedLinkage,
    Facts,
    Movement,
    PartFacts,
    RemoteFacts,
    Size,
    SourceSummary,
    UploadFacts,
)
from audsql.plan.meanings import expression_of
from audsql.plan.occurrence import Known
from audsql.records import dataclass

__all__ = [
    "ERASED",
    "Bound",
    "applied_meanings",
    "approved_at",
    "bind",
    "bind_deliveries",
    "held_line_audiences",
    "held_of",
    "held_uploads",
    "known_occurrences",
    "last_generations",
    "members_name",
    "released_uploads",
    "sent_parts",
    "settled",
    "upload_facts",
]


@dataclass(frozen=True, slots=True)
class Bound:
    """Facts, the world they were counted in, and the deliveries without empty uploads, by name."""

    facts: Facts
    world: World
    deliveries: Mapping[str, CompiledDelivery]


ERASED = "erased"
"""The attribute of an upload that may hold a person who was erased: it is made anew."""


# --- what the state says --------------------------------------------------------------------------


def current(state: State, address: str) -> Resource | None:
    """The generation of an address that is in use or being made; else one that waits to be deleted."""
    rows = state.generations(address)
    live = [row for row in rows if row.status in ("creating", "ready")]
    released = [row for row in rows if row.status == "releasing" and row.remote_id is not None]
    return max(live or released, key=lambda row: row.generation, default=None)


def members_name(row: Resource) -> str:
    """Under which the engine keeps the members that LINE may have of this generation."""
    return f"{row.address}.{row.generation}"


def held_of(row: Resource, fingerprint: str) -> Held:
    """An upload that stands at LINE, as planning needs it."""
    erased = bool(row.attributes.get(ERASED))
    return Held(row.remote_id or 0, fingerprint, row.size or 0, row.expires_at, erased)


def held_uploads(state: State) -> dict[str, Held]:
    """Uploads at LINE by key. One that is still being made counts as holding nothing certain."""
    held = {}
    for address in sorted({row.address for row in state.resources if row.address.startswith("upload.")}):
        row = current(state, address)
        if row is not None and row.remote_id is not None:
            fingerprint = "" if row.status == "creating" else row.fingerprint
            held[row.function_key] = held_of(row, fingerprint or "")
    return held


def released_uploads(state: State) -> frozenset[str]:
    """Keys of uploads that only wait to be deleted."""
    addresses = {row.address for row in state.resources if row.address.startswith("upload.")}
    found = [current(state, address) for address in addresses]
    return frozenset(row.function_key for row in found if row is not None and row.status == "releasing")


def last_generations(state: State) -> dict[str, int]:
    """The newest generation of each key that the state knows of."""
    found: dict[str, int] = {}
    for row in state.resources:
        found[row.function_key] = max(found.get(row.function_key, 0), row.generation)
    return found


def held_line_audiences(state: State) -> dict[str, int]:
    rows = [row for row in state.resources if row.address.startswith("line_audience.")]
    return {
        row.function_key: row.remote_id
        for row in rows
        if row.remote_id is not None and row.status in ("creating", "ready")
    }


def known_occurrences(state: State) -> dict[str, tuple[Known, ...]]:
    found: dict[str, list[Known]] = {}
    closed = {row.subject for row in state.resolutions if row.verdict == "not-sent"}
    for row in state.occurrences:
        definition = str(row.document.get("definition", ""))
        by_person = row.state == "cancelled" and row.id in closed
        members = {str(part): str(one) for part, one in dict(row.document.get("members", {})).items()}
        known = Known(
            row.time, "closed" if by_person else row.state, definition, row.at, row.not_after, members,
            row.delivery, row.account, approved_at(row), str(row.document.get("content", "")),
            row.document.get("reach") or (),
            tuple((str(salt), int(low), int(high)) for salt, low, high in row.document.get("buckets", ())),
            dict(row.document.get("splits", {})), str(row.document.get("label", "")),
            dict(row.document.get("rule") or {}),
        )  # fmt: skip
        found.setdefault(row.name, []).append(known)
    return {name: tuple(sorted(rows, key=lambda known: known.scheduled)) for name, rows in sorted(found.items())}


def approved_at(row: Occurrence) -> datetime | None:
    """When an occurrence was approved, by the clock of its account; None for what an earlier version approved."""
    text = row.document.get("approved_at")
    return parse_time(str(text)) if text else None


def applied_meanings(state: State, now: Mapping[str, Expression] | None = None) -> dict[str, Expression]:
    """The sets of audiences and deliveries as they were applied last, by address (`audience.vip`). `now`: as they are.

    What is not remembered, or was written by a later version, is left out.
    """
    found: dict[str, Expression] = {}
    for row in state.sizes:
        document = row.attributes.get("meaning")
        if document and row.name.startswith(("audience.", "delivery.")):
            with suppress(ValueError):
                found[row.name] = expression_of(document, (now or {}).get(row.name))
    return found


def sent_parts(state: State) -> dict[str, dict[int, str]]:
    """LINE's request ids of the sends that were made, by delivery and part."""
    found: dict[str, dict[int, str]] = {}
    names = {row.id: row.name for row in state.occurrences}
    for operation in state.operations:
        accepted = operation.state in ("accepted", "sending", "succeeded")
        if accepted and operation.request_id and operation.kind in ("narrowcast", "broadcast"):
            found.setdefault(names.get(operation.occurrence, ""), {})[operation.part] = operation.request_id
    return found


_CERTAIN = ("succeeded", "failed", "rejected", "refused_empty")


def settled(state: State, delivery: str) -> bool:
    """Whether it is certain which sends of a delivery were made, so that clicks and receipts of all can be named.

    What a person said was sent has no request id: who clicked in it cannot be named.
    """
    rows = [row for row in state.occurrences if row.name == delivery and row.state != "cancelled"]
    rows = [row for row in rows if row.time != EVERY]
    told = {row.subject for row in state.resolutions if row.verdict == "sent"}
    for row in rows:
        operations = state.operations_of(row.id)
        unknown = any(one.state not in _CERTAIN for one in operations) or (row.id in told and not operations)
        if row.state != "done" or unknown:
            return False
    return bool(rows)


def _nowhere(state: State, program: Program, active: Sequence[CompiledDelivery]) -> frozenset[str]:
    """Leaves that speak of sends to nobody: parts that were not made of deliveries that are over."""
    sent = sent_parts(state)
    named = {(one.delivery or "", one.part): one.key for one in program.audiences if one.kind in ("CLICK", "IMP")}
    for delivery in active:
        for send in delivery.sends:
            for leaf in recipient_leaves(send.recipient) if isinstance(send, Narrowcast) else ():
                if isinstance(leaf, RedeliveryLeaf):
                    named[leaf.delivery, leaf.part] = leaf_key(leaf)
    return frozenset(
        key for (name, part), key in named.items() if part not in sent.get(name, {}) and settled(state, name)
    )


# --- what own data says -----------------------------------------------------------------------------


def bind(
    engine: Engine,
    project: Project,
    program: Program,
    state: State,
    remotes: Mapping[str, RemoteFacts],
    active: Sequence[CompiledDelivery],
    as_of: datetime,
    as_of_given: bool,
    now: datetime,
    friends: Mapping[str, frozenset[str]] | None = None,
    beside: Sequence[Atom] = (),
) -> tuple[Bound | None, tuple[Diagnostic, ...]]:
    """Evaluate everything a plan shows. `active`: the deliveries that still have something to do; `friends`: who they
    are, by account, of the accounts that may read it; `beside`: own atoms that are read as well (of flows)."""
    audience_atoms = {atom.key: atom for one in project.audiences for atom in own_atoms(one.expression)}
    needed = {atom.key: atom for atom in (*atoms_needed(active, program), *beside)} | audience_atoms
    world, diagnostics = as_found(engine, tuple(needed[key] for key in sorted(needed)), as_of)
    if world is None:
        return None, diagnostics
    problems = _empty_exclusions(project, world, active)
    if problems:
        return None, (*diagnostics, *problems)
    deliveries, uploads = bind_deliveries(engine, program, state, world, active)
    subtracted = exclusions(active)
    parts = with_parts(needed.values())
    excluded = {read_from(part) for part in parts if part.key in subtracted.subtracted | subtracted.mixed}
    facts = Facts(
        as_of=as_of,
        as_of_given=as_of_given,
        now=now,
        sources=tuple(
            _source(engine, project, state, world, found, found.name in excluded, now)
            for _, found in sorted(world.materialised.sources.items())
        ),
        uploads=uploads,
        audiences=_audiences(engine, project, state, world),
        deliveries={
            one.name: _delivery(engine, state, world, one, project, friends or {}) for one in deliveries.values()
        },
        remotes=remotes,
        excluded_linkages=tuple(
            _excluded_linkage(engine, world, one) for one in excluded_linkages(active, tuple(needed.values()))
        ),
    )
    return Bound(facts, world, deliveries), diagnostics


def _empty_exclusions(project: Project, world: World, active: Sequence[CompiledDelivery]) -> tuple[Diagnostic, ...]:
    """An excluded list without anybody is most likely a broken export: nothing is planned on it."""
    bag = Bag()
    for one in active:
        bag.extend(empty_exclusions(project, one.reach, world.materialised.sources))
    return bag.sorted()


def bind_deliveries(
    engine: Engine, program: Program, state: State, world: World, active: Sequence[CompiledDelivery]
) -> tuple[dict[str, CompiledDelivery], dict[str, UploadFacts]]:
    """The deliveries without the leaves that came out empty, and the facts of the other uploads by key."""
    keys = sorted({key for delivery in active for key in delivery.uploads})
    facts = {key: upload_facts(engine, program, state, world, key) for key in keys}
    empty = frozenset(key for key, one in facts.items() if one.size == 0) | _nowhere(state, program, active)
    deliveries = {delivery.name: without_empty(delivery, program, empty) for delivery in active}
    return deliveries, {key: one for key, one in facts.items() if key not in empty}


def upload_facts(engine: Engine, program: Program, state: State, world: World, key: str) -> UploadFacts:
    """The size of one upload, and who enters and leaves against what LINE has."""
    people = engine.evaluate(program.upload(key).expression, world.people)
    row = current(state, f"upload.{key}")
    before = engine.load(members_name(row)) if row is not None else None
    size, fingerprint = engine.count(people), engine.fingerprint(people)
    if row is not None and row.fingerprint and engine.is_fingerprint(people, row.fingerprint):
        # The same people under an older key are no change.
        fingerprint = row.fingerprint
    if before is None:
        return UploadFacts(key, size, fingerprint, False, Movement(size if row is None else 0, 0))
    entering, leaving = engine.delta(before, people)
    return UploadFacts(key, size, fingerprint, True, Movement(engine.count(entering), engine.count(leaving)))


def _size(engine: Engine, world: World, expression: Expression) -> Size:
    return _sized(engine, world, expression)[0]


def _sized(engine: Engine, world: World, expression: Expression) -> tuple[Size, People]:
    """How many people an expression has at least and at most, and those that own data can say are in it at most."""
    low, high = bounds(expression)
    least = engine.evaluate(low, world.people)
    if high is None:
        return Size(engine.count(least), None), least
    most = least if high is low else engine.evaluate(high, world.people)
    return Size(engine.count(least), engine.count(most)), most


def _audiences(engine: Engine, project: Project, state: State, world: World) -> tuple[AudienceFacts, ...]:
    rows = {row.name: row for row in state.sizes}
    # One after the other: not all sets of the last apply are in memory at a time.
    kept = engine.loaded([f"audience.{one.name}" for one in project.audiences])
    return tuple(
        _audience(engine, world, one.name, one.expression, rows.get(address), people)
        for one, (address, people) in zip(project.audiences, kept, strict=True)
    )


def _audience(
    engine: Engine, world: World, name: str, expression: Expression, row: KnownSize | None, before: People | None
) -> AudienceFacts:
    """`row` and `before`: what the last apply remembered of it."""
    size, now = _sized(engine, world, expression)
    linkage = linkage_loss(expression, world.materialised)
    previous = None if row is None else _previous(row)
    if row is None or before is None:
        return AudienceFacts(name, size, previous, linkage=linkage)
    entering, leaving = engine.delta(before, now)
    return AudienceFacts(name, size, previous, Movement(engine.count(entering), engine.count(leaving)), linkage)


def _previous(row: KnownSize) -> Size:
    low, high = row.attributes.get("low"), row.attributes.get("high")
    return Size(int(low if low is not None else row.size), None if high is None else int(high))


def _delivery(
    engine: Engine,
    state: State,
    world: World,
    compiled: CompiledDelivery,
    project: Project,
    friends: Mapping[str, frozenset[str]],
) -> DeliveryFacts:
    size = _size(engine, world, compiled.reach)
    delivery = project.delivery(compiled.name)
    limit = delivery.limit if delivery else None
    if limit is not None:
        size = Size(min(size.low, limit), limit if size.high is None else min(size.high, limit))
    parts = []
    for send in compiled.sends:
        bound: Expression | None = None
        if isinstance(send, Narrowcast):
            bound = send.bound
        elif isinstance(send, Multicast):
            bound = send.members
        people = None if bound is None else engine.evaluate(bound, world.people)
        members = engine.fingerprint(people) if isinstance(send, Multicast) else None
        parts.append(PartFacts(send.part, None if people is None else engine.count(people), members))
    row = state.size(f"delivery.{compiled.name}")
    linkage = linkage_loss(compiled.reach, world.materialised)
    known = friends.get(compiled.account)
    losses = None if delivery is None else losses_of(engine, world, delivery.to, compiled.reach, known)
    return DeliveryFacts(compiled.name, size, tuple(parts), None if row is None else _previous(row), linkage, losses)


def _source(
    engine: Engine,
    project: Project,
    state: State,
    world: World,
    found: SourceFacts,
    exclusion: bool,
    now: datetime,
) -> SourceSummary:
    previous = state.size(f"source.{found.name}")
    summary = SourceSummary(
        found.name, found.kind, found.digest, found.rows, found.people, found.encoding, exclusion,
        previous.size if previous else None,
    )  # fmt: skip
    if exclusion and found.kind == "upload":
        left = _people_gone(engine, world, found.name)
        summary = replace(summary, left=left)
    elif exclusion:
        summary = replace(summary, left=0)
    table = next((one for one in project.tables if one.name == found.name), None)
    if found.name in {read_from(Followers(one.name)) for one in project.accounts}:
        # LINE was asked for this plan.
        return replace(summary, dated=True)
    if table and table.fresh_hours is not None and found.modified is not None:
        summary = replace(summary, dated=True)
        age = now - found.modified
        if age > timedelta(hours=table.fresh_hours):
            late = int((age - timedelta(hours=table.fresh_hours)).total_seconds() // 3600) + 1
            summary = replace(summary, late_hours=late)
    return summary


def _excluded_linkage(engine: Engine, world: World, atom: Mapped) -> ExcludedLinkage:
    """People leave the windows of tables in the ordinary course of time: only of lists it is known why."""
    loss = world.materialised.losses[atom.key]
    lists = all(isinstance(part, Uploaded | Mapped) for part in with_parts(made_of(atom)))
    before = engine.load(linkage_name(atom)) if lists else None
    if before is None:
        return ExcludedLinkage(loss)
    return ExcludedLinkage(loss, engine.count(engine.delta(before, world.people[atom.key])[1]))


def _people_gone(engine: Engine, world: World, name: str) -> int | None:
    """How many people of the last applied list are not in the list now; None where that is not known."""
    before, now = engine.load(f"source.{name}"), world.people.get(Uploaded(name).key)
    if before is None or now is None:
        return None
    return engine.count(engine.delta(before, now)[1])
