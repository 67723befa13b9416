"""What the next plan compares with: sizes, meanings, lists that are subtracted, sets of audiences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from audsql.apply.context import Context
from audsql.apply.state import KnownSize, row_id
from audsql.apply.world import atoms_needed, excluded_linkages, linkage_name, own_atoms
from audsql.compile.bounds import bounds
from audsql.data.engine import People
from audsql.meaning.ir import Atom, Uploaded
from audsql.meaning.lineage import sources_of
from audsql.plan.changes import meanings_of
from audsql.plan.meanings import storable

__all__ = ["remember", "remember_sizes"]


def remember(context: Context, plan: Mapping[str, Any]) -> None:
    """Keep the sizes and meanings that the next plan compares with."""
    remember_sizes(context, plan)
    _keep_audiences(context, plan)


def remember_sizes(context: Context, plan: Mapping[str, Any]) -> None:
    """The same without the sets of audiences, which are those of the last apply."""
    now = context.steady_now()
    state = context.state()
    rows: list[KnownSize] = []
    meanings = meanings_of(context.project)
    sized = [(f"audience.{one['name']}", one["people"]) for one in plan["audiences"]]
    sized += [(one["address"], one["people"]) for one in plan["deliveries"] if one["people"]]
    for address, people in sized:
        meaning = storable(meanings[address]) if address in meanings else None
        attributes = {"low": people["low"], "high": people["high"], "meaning": meaning}
        rows.append(KnownSize(address, people["low"], now, attributes=attributes))
    for one in plan["resource_changes"]:
        if one.get("count") is not None:
            rows.append(KnownSize(one["address"], one["count"], now))
    for one in plan["sources"]:
        rows.append(KnownSize(f"source.{one['name']}", one["people"], now, one["digest"]))
    known = {row_id(row): row for row in state.sizes}
    changed = []
    for row in rows:
        before = known.get(row.name)
        if before is None:
            changed.append(row)
        elif (before.size, before.fingerprint, dict(before.attributes)) != (
            row.size, row.fingerprint, dict(row.attributes)
        ):  # fmt: skip
            changed.append(replace(row, stamp=before.stamp))
    if changed:
        context.write("sizes.kept", *changed)
    _keep_lists(context, plan)


def _keep_lists(context: Context, plan: Mapping[str, Any]) -> None:
    """Keep the members of lists that are subtracted, mapped ones too, so that one that shrinks is noticed."""
    names = [one["name"] for one in plan["sources"] if one["exclusion"] and one["kind"] == "upload"]
    people = _as_planned(context, plan, [Uploaded(name) for name in names])
    for name in names:
        if Uploaded(name).key in people:
            context.engine.save(f"source.{name}", people[Uploaded(name).key])
    deliveries = context.program.deliveries
    mapped = excluded_linkages(deliveries, atoms_needed(deliveries, context.program))
    linked = _as_planned(context, plan, mapped)
    for atom in mapped:
        if atom.key in linked:
            context.engine.save(linkage_name(atom), linked[atom.key])


def _keep_audiences(context: Context, plan: Mapping[str, Any]) -> None:
    """Keep the set of every audience, so that the next plan can say who enters and who leaves."""
    expressions = {}
    for audience in context.project.audiences:
        low, high = bounds(audience.expression)
        expressions[audience.name] = low if high is None else high
    people = _as_planned(context, plan, [atom for one in expressions.values() for atom in own_atoms(one)])
    for name, expression in sorted(expressions.items()):
        if all(atom.key in people for atom in own_atoms(expression)):
            context.engine.save(f"audience.{name}", context.engine.evaluate(expression, people))


def _as_planned(context: Context, plan: Mapping[str, Any], atoms: Sequence[Atom]) -> Mapping[str, People]:
    """These atoms over the files that the plan was made from, as far as they are still known."""
    pins = {one["name"]: one["digest"] for one in plan["sources"]}
    wanted = {atom.key: atom for atom in atoms if set(sources_of(atom)) <= set(pins)}
    as_of = datetime.fromisoformat(plan["as_of"])
    materialised, _ = context.engine.materialise(tuple(wanted[key] for key in sorted(wanted)), as_of, pins)
    return materialised.people
