"""What must hold after every run, whatever went wrong in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lab_run import Broken, Case, Settled
from lab_scenarios import PEOPLE, SCENARIOS, person
from lab_world import Lab, LabDoor

from audsql.apply.sends import SENT_ELSEWHERE
from audsql.apply.sql_store import SqlStore
from audsql.apply.state import State, empty_state
from audsql.apply.store import StoreFailed
from audsql.plan.tags import Tag, parse_tag

_UNSENT = ("pending", "rejected", "refused_empty", "refused_guard", "stale", "missed")


def broken(lab: Lab, case: Case, settled: Settled) -> list[Broken]:
    try:
        lab.verify()
    except StoreFailed as failed:
        return [Broken("I1 state", failed.diagnostic.code)]
    state = (
        SqlStore(LabDoor(lab, lab.state), lab.new_id).snapshot() if lab.state is not None else empty_state("default")
    )
    found: list[Broken] = []
    found += _twice(lab, case)
    found += _excluded(lab)
    found += _fuse(lab, state)
    found += _lost(lab, case, state, settled)
    found += _audiences(lab, state)
    found += _quiet(lab, case, state, settled)
    return found


def _text(send: Any) -> str:
    return str(send.messages[0]["text"])


def _twice(lab: Lab, case: Case) -> Iterator[Broken]:
    """I2: nobody gets an occurrence twice, ever."""
    received = Counter((entry["messages"][0]["text"], entry["userId"]) for entry in lab.simulation.world.inbox)
    twice = [text for (text, _), count in received.items() if count > 1]
    for text, count in sorted(Counter(twice).items()):
        yield Broken("I2 twice", f"{count} people got “{text}” more than once")


def _excluded(lab: Lab) -> Iterator[Broken]:
    """I3: nobody gets what the process that sent it knew they must not get."""
    sends = lab.simulation.world.accounts["shop"].sends
    for one in lab.accepted:
        reached = set(sends[one.request_id].to) & one.excluded
        if reached:
            yield Broken("I3 excluded", f"{len(reached)} excluded people got request {one.request_id[:8]}")


def _fuse(lab: Lab, state: State) -> Iterator[Broken]:
    """Every narrowcast carries a bound."""
    sends = lab.simulation.world.accounts["shop"].sends
    for one in lab.accepted:
        narrowcast = sends[one.request_id].narrowcast
        if narrowcast is not None and narrowcast.maximum is None:
            yield Broken("I3 fuse", f"request {one.request_id[:8]} has no limit")
        if narrowcast is not None and narrowcast.recipient is None and narrowcast.demographic is None:
            yield Broken("I3 everybody", f"request {one.request_id[:8]} names nobody and so goes to everybody")


def _lost(lab: Lab, case: Case, state: State, settled: Settled) -> Iterator[Broken]:
    """I2: what LINE took is recorded, or it is visible that nobody knows; what is recorded as sent was sent."""
    by_key = {one.retry_key: one for one in state.operations}
    sends = lab.simulation.world.accounts["shop"].sends
    rows = {row.name: row for row in state.occurrences}
    of_text = {text: name for name, text in SCENARIOS[case.scenario].texts.items()}
    refused = _refused(settled)
    for one in lab.accepted:
        operation, name = by_key.get(one.key), of_text[_text(sends[one.request_id])]
        row = rows.get(name)
        if operation is not None and operation.state in _UNSENT and not lab.state_was_lost:
            yield Broken("I2 lost", f"LINE took a part of {name} that is recorded as {operation.state}")
        if (row is None or row.state in ("scheduled", "planned", "cancelled")) and not refused:
            yield Broken("I2 lost", f"LINE took {name}, which is recorded as {row.state if row else 'nothing'}")
    accepted = {one.request_id for one in lab.accepted}
    for operation in state.operations:
        if operation.state in ("accepted", "succeeded") and operation.request_id not in accepted:
            yield Broken("I2 invented", f"{operation.id} is recorded as sent and was not")
    yield from _whole(lab, case, state)


def _refused(settled: Settled) -> bool:
    return settled.document is None or not settled.document["applyable"]


def _whole(lab: Lab, case: Case, state: State) -> Iterator[Broken]:
    """What is done went to everybody whom it was approved for, but those who were excluded at some time.

    What LINE had taken before this state asked for it went to the people of that time; a run says so.
    """
    received = {(entry["messages"][0]["text"], entry["userId"]) for entry in lab.simulation.world.inbox}
    ever = frozenset[str]().union(
        lab.data.now["optout"], *(people for name, people in lab.data.versions.values() if name == "optout")
    )
    for row in state.occurrences:
        if row.state != "done" or not row.document.get("pins"):
            continue
        if any(one.evidence == SENT_ELSEWHERE for one in state.operations_of(row.id)):
            continue
        pinned = {name: lab.data.versions[digest][1] for name, digest in row.document["pins"].items()}
        wanted = _wanted(case, row.name, pinned)
        text = SCENARIOS[case.scenario].texts[row.name]
        missing = [one for one in (wanted or ()) if one not in ever and (text, one) not in received]
        if missing:
            yield Broken("I2 incomplete", f"{row.name} is done and {len(missing)} people did not get it")


def _wanted(case: Case, name: str, lists: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    if case.scenario in ("narrowcast", "scheduled", "multicast", "shared") or (case.scenario, name) in (
        ("clicks", "d1"), ("priority", "d1")
    ):  # fmt: skip
        return lists["a"]
    if case.scenario == "parts":
        ios = frozenset(person(i) for i in range(1, PEOPLE + 1) if i % 3)
        women = frozenset(person(i) for i in range(1, PEOPLE + 1) if i % 2)
        return (lists["a"] & ios) | (lists["b"] & women)
    return None


def _audiences(lab: Lab, state: State) -> Iterator[Broken]:
    """I2: every audience at LINE that bears the state's tag is in the state, or of a generation that it knows."""
    from audsql.sim.model import exists

    world = lab.simulation.world
    known = {row.remote_id for row in state.resources if row.remote_id is not None}
    generations: dict[str, int] = {}
    for row in state.resources:
        key = Tag.of("", row.function_key, 0).key
        generations[key] = max(generations.get(key, 0), row.generation)
    for key, generation in _ever(state):
        generations[key] = max(generations.get(key, 0), generation)
    ours = Tag.of(state.lineage, "", 0).lineage
    if lab.state_was_lost:
        return
    for one in world.accounts["shop"].audiences.values():
        tag = parse_tag(one.description)
        if tag is None or tag.lineage != ours or not exists(world, one) or one.audience_group_id in known:
            continue
        if tag.generation > generations.get(tag.key, 0):
            yield Broken("I2 orphan", f"an audience {tag} that the state never knew")


def _ever(state: State) -> Iterator[tuple[str, int]]:
    for one in state.audience_operations:
        yield Tag.of("", one.address.partition(".")[2], 0).key, one.generation


def _quiet(lab: Lab, case: Case, state: State, settled: Settled) -> Iterator[Broken]:
    """I4: after two applies without faults nothing is left to do, or a person is asked."""
    # An apply that was refused said why, and goes on being refused: a person is asked.
    asked = any(row.state in ("in_doubt", "missed", "failed") for row in state.occurrences)
    if _refused(settled) or settled.codes[-1] == 5 or asked:
        return
    assert settled.document is not None
    if settled.document["summary"]["changes"]:
        actions = [(one["address"], one["action"]) for one in settled.document["deliveries"]]
        yield Broken("I4 changes", f"after {settled.codes} {settled.problems} a plan still says {actions}")


__all__ = ["broken"]
