"""What is recorded under a name that the specs no longer have: followed, given up, or left as it is. Pure.

An occurrence keeps the name that it was first approved under for good, since its retry keys derive from it;
`moved` gives it the name by which it is found from now on (specs/operations.md, `names.moved`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from audsql.apply.state import KnownSize, Occurrence, Resource, State
from audsql.apply.store import Removal
from audsql.compile.program import Program
from audsql.compile.project import compile_project
from audsql.meaning import ir
from audsql.meaning.renames import retold
from audsql.plan.definition import accepted_definitions
from audsql.records import dataclass

__all__ = ["Followed", "followed", "left_behind", "moved_sizes", "settled_rows", "settlements", "under_new_names"]

Document = dict[str, Any]
Messages = Mapping[str, Sequence[Any]]
_OVER = ("done", "failed", "in_doubt", "missed")


# --- names that moved -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Followed:
    """`state` with the occurrences under their new names, `rows` those that differ, `moves` for the plan."""

    state: State
    rows: tuple[Occurrence, ...] = ()
    moves: tuple[Document, ...] = ()


def followed(state: State, project: ir.Project, program: Program, messages: Messages) -> Followed:
    """The state as it will be when `moved` statements about deliveries have been followed."""
    targets = _targets(project)
    if not targets:
        return Followed(state)
    former = _former_definitions(project, program, messages, targets)
    current = _definitions(project, program, messages)
    rows, used = [], set()
    for row in state.occurrences:
        name = targets.get(row.name, row.name)
        document = dict(row.document)
        if name != row.name:
            document["name"] = name
            used.add(row.name)
        definitions = current.get(name, ())
        if definitions and document.get("definition") in former[name] - set(definitions):
            document["definition"] = definitions[0]
            used |= {old for old in targets if name == targets[old] or targets[old] in _mentioned(project, name)}
        if document != dict(row.document):
            rows.append(replace(row, document=document))
    by_id = {row.id: row for row in rows}
    after = replace(state, occurrences=tuple(by_id.get(row.id, row) for row in state.occurrences))
    moves = tuple({"from": old, "to": targets[old]} for old in sorted(used))
    return Followed(after, tuple(rows), moves)


def _targets(project: ir.Project) -> dict[str, str]:
    """What each old name of a delivery leads to. A name that is declared itself has not moved."""
    steps = {one.old: one.new for one in project.moved if one.kind == "delivery"}
    declared = {one.name for one in project.deliveries}
    found = {}
    for old in sorted(steps.keys() - declared):
        name, seen = old, {old}
        while name in steps and name not in declared:
            name = steps[name]
            if name in seen:
                break
            seen.add(name)
        if name in declared:
            found[old] = name
    return found


def _mentioned(project: ir.Project, name: str) -> set[str]:
    delivery = project.delivery(name)
    atoms = ir.atoms_of(delivery.reach) if delivery else ()
    return {atom.delivery for atom in atoms if isinstance(atom, ir.Clicked | ir.Opened | ir.Received)}


def _definitions(project: ir.Project, program: Program, messages: Messages) -> dict[str, tuple[str, ...]]:
    forms = {one.name: one for one in program.deliveries}
    return {
        one.name: accepted_definitions(one, forms[one.name], messages)
        for one in project.deliveries
        if one.name in forms
    }


def _former_definitions(
    project: ir.Project, program: Program, messages: Messages, targets: Mapping[str, str]
) -> dict[str, set[str]]:
    """The digests that each delivery would have under the earlier names, by its name now."""
    found: dict[str, set[str]] = {}
    for back in _reversals(targets):
        before = _renamed(project, back)
        spoken_of = any(_mentioned(project, one.name) & back.keys() for one in project.deliveries)
        if spoken_of:
            digests = _definitions(before, compile_project(before)[0], messages)
        else:
            forms = tuple(replace(one, name=back.get(one.name, one.name)) for one in program.deliveries)
            digests = _definitions(before, replace(program, deliveries=forms), messages)
        for one in project.deliveries:
            found.setdefault(one.name, set()).update(digests.get(back.get(one.name, one.name), ()))
    return found


def _reversals(targets: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """New names to old ones; several where one name was reached from several."""
    olds: dict[str, list[str]] = {}
    for old in sorted(targets):
        olds.setdefault(targets[old], []).append(old)
    for index in range(max(len(names) for names in olds.values())):
        yield {new: names[min(index, len(names) - 1)] for new, names in olds.items()}


def _renamed(project: ir.Project, back: Mapping[str, str]) -> ir.Project:
    """The project with these deliveries called otherwise, in what refers to them too."""

    def renamed(expression: ir.Expression) -> ir.Expression:
        atoms = [atom for atom in ir.atoms_of(expression) if isinstance(atom, ir.Clicked | ir.Opened | ir.Received)]
        return ir.substitute(
            expression,
            {atom.key: ir.leaf(replace(atom, delivery=back[atom.delivery])) for atom in atoms if atom.delivery in back},
        )

    deliveries = [
        replace(one, name=back.get(one.name, one.name), to=renamed(one.to), reach=renamed(one.reach))
        for one in project.deliveries
    ]
    return replace(project, deliveries=tuple(sorted(deliveries, key=lambda one: one.name)))


def moved_sizes(state: State, moves: Sequence[Mapping[str, Any]]) -> list[KnownSize | Removal]:
    """The last known size of a delivery goes with its name."""
    rows: list[KnownSize | Removal] = []
    for move in moves:
        row = state.size(f"delivery.{move['from']}")
        if row is not None and state.size(f"delivery.{move['to']}") is None:
            rows.append(Removal(row))
            rows.append(KnownSize(f"delivery.{move['to']}", row.size, row.at, row.fingerprint, row.attributes))
    return rows


def under_new_names(
    applied: Mapping[str, ir.Expression], moves: Sequence[Mapping[str, Any]]
) -> dict[str, ir.Expression]:
    """Sets by address, of the deliveries that moved and in all that speaks of them."""
    if not moves:
        return dict(applied)
    names = {str(move["from"]): str(move["to"]) for move in moves}
    renames = {("delivery", old): new for old, new in names.items()}
    addresses = {f"delivery.{old}": f"delivery.{new}" for old, new in names.items()}
    return {addresses.get(address, address): retold(one, renames) for address, one in applied.items()}


# --- names that are gone ----------------------------------------------------------------------------


def left_behind(state: State, project: ir.Project) -> dict[str, tuple[str, ...]]:
    """Keys of the uploads that wait for deliveries which are gone from the specs before they were sent, by name."""
    declared = {one.name for one in project.deliveries}
    over = {row.name for row in state.occurrences if row.state in _OVER}
    found: dict[str, set[str]] = {}
    for row in _uploads(state):
        for name in row.needed_by:
            if name not in declared and name not in over:
                found.setdefault(name, set()).add(row.function_key)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _uploads(state: State) -> Iterator[Resource]:
    return (row for row in state.resources if row.address.startswith("upload.") and row.status in ("creating", "ready"))


def settlements(project: ir.Project, left: Mapping[str, tuple[str, ...]], prune: bool) -> tuple[Document, ...]:
    """What becomes of the uploads of deliveries that are gone: `keep` or `delete` as `removed` says, else `prune`."""
    said = {one.name: one.action for one in project.removed}
    return tuple(
        {"name": name, "action": said.get(name, "prune"), "addresses": [f"upload.{key}" for key in keys]}
        for name, keys in left.items()
        if name in said or prune
    )


def settled_rows(state: State, removed: Sequence[Mapping[str, Any]]) -> list[Resource]:
    """The uploads that no longer wait for what is gone. What one of them keeps is never deleted."""
    kept = {one["name"] for one in removed if one["action"] == "keep"}
    gone = {one["name"] for one in removed}
    rows = []
    for row in _uploads(state):
        names = set(row.needed_by)
        if names & gone:
            left = tuple(sorted(names - gone))
            keep = bool(names & kept) and not left
            rows.append(replace(row, needed_by=left, status="kept" if keep else row.status))
    return rows
