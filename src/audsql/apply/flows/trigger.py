"""Flows that begin with a new row of a table: each row once, whatever order and however often it is delivered.

A row is known by whose it is, its time and the columns that the table's verbs go by; what is kept of that is a keyed
digest, as the name of the entry. Normative: specs/flows.md, `flow.trigger`, `flow.trigger.row`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, timedelta

from audsql.apply.context import Context
from audsql.apply.flow_versions import entries_known
from audsql.apply.flows.conditions import Reading, Unreadable, must_be_declared
from audsql.apply.flows.enter import Entrance, place_at_start
from audsql.apply.flows.standing import left
from audsql.apply.flows.ways import Way
from audsql.apply.ledger import Place
from audsql.data.engine import RowColumn, TableRow, TableRows
from audsql.data.leaves import leaf_of
from audsql.data.rowmatch import columns_of
from audsql.diag import error
from audsql.meaning import ir
from audsql.plan.flow_form import FlowForm
from audsql.records import dataclass

__all__ = ["LATE_HOURS", "MISSED", "TOO_SOON", "TriggerRows", "read_trigger_rows", "trigger_entrance"]

LATE_HOURS = 6
MISSED = "missed"
"""Note of a place that was never entered: its row was too old when it was first seen."""
TOO_SOON = "reentry"
"""Note of a place that was never entered: its person had been in the flow too short a time before."""


@dataclass(frozen=True, slots=True)
class TriggerRows:
    """Rows of a trigger's table by the entry that they make, each with the user ID it belongs to."""

    columns: tuple[RowColumn, ...]
    by_entry: dict[str, list[TableRow]]


def read_trigger_rows(
    reading: Reading, form: FlowForm, conditions: Sequence[ir.Expression], shown: Sequence[RowColumn]
) -> TriggerRows:
    """The rows since the flow takes people, not later than now, with the columns that `conditions` ask for and those
    that its messages show. Raises Unreadable."""
    table, account = form.flow.start.table or "", form.flow.account
    must_be_declared(reading, (table,))
    declared = next(one for one in reading.context.project.tables if one.name == table)
    asked = _asked(reading, table, conditions)
    named = sorted({verb.column for verb in declared.verbs if verb.column})
    identity = tuple(RowColumn(name) for name in named) or _all_columns(reading, table, account)
    columns = (*identity, *dict.fromkeys(one for one in (*asked, *shown) if one not in identity))
    rows = _rows(reading, table, columns, account)
    by_entry: dict[str, list[TableRow]] = {}
    try:
        for row in rows:
            if row.time is not None and form.since < row.time <= reading.now:
                by_entry.setdefault(_entry(reading.context, row, len(identity)), []).append(row)
    finally:
        rows.close()
    return TriggerRows(columns, by_entry)


def _asked(reading: Reading, table: str, conditions: Sequence[ir.Expression]) -> tuple[RowColumn, ...]:
    atoms = {atom.key: atom for one in conditions for atom in ir.atoms_of(one)}
    own = [atom for atom in atoms.values() if isinstance(atom, ir.Rows) and atom.table == table]
    plain = [replace(atom, rows=tuple(one for one in atom.rows if one != ir.SinceStart())) for atom in own]
    return columns_of([leaf_of(atom, reading.now, reading.zone) for atom in plain])


def _all_columns(reading: Reading, table: str, account: str) -> tuple[RowColumn, ...]:
    rows = _rows(reading, table, None, account)
    rows.close()
    return tuple(sorted(rows.columns, key=lambda one: one.name))


def _rows(reading: Reading, table: str, columns: Sequence[RowColumn] | None, account: str) -> TableRows:
    rows, diagnostics = reading.context.engine.rows(table, columns, reading.now, account=account)
    if rows is None:
        told = error("AUD0817", None, flow=reading.flow, source=table, account=None)
        raise Unreadable(*[one for one in diagnostics if one.severity == "error"], told)
    return rows


def _entry(context: Context, row: TableRow, columns: int) -> str:
    """The name of the entry that a row makes: the same for the same row, and without the ledger's secret nothing."""
    assert row.time is not None
    values = [row.person, row.time.astimezone(UTC).isoformat(), list(row.values[:columns])]
    return context.persons.code_digest("row", json.dumps(values, ensure_ascii=True)).hex()


# --- entering -----------------------------------------------------------------------------------------


def trigger_entrance(reading: Reading, form: FlowForm, way: Way, rows: TriggerRows) -> Entrance:
    """Whoever a new row belongs to enters at the row's time. A row that comes too late, or too soon after the person's
    last time where the flow asks for a pause, is recorded and passed over."""
    context, late = reading.context, reading.now - timedelta(hours=LATE_HOURS)
    known = entries_known(context, form.name)
    entries = sorted(rows.by_entry, key=lambda entry: (rows.by_entry[entry][0].time or reading.now, entry))
    persons = context.persons.hide([rows.by_entry[entry][0].person for entry in entries])
    admitted = frozenset(context.persons.admitted(sorted({rows.by_entry[one][0].person for one in entries})))
    pause = timedelta(minutes=form.flow.reentry_minutes or 0)
    last = _last_entered(context, form.name) if pause else {}
    fresh: list[Place] = []
    for entry, person in zip(entries, persons, strict=True):
        row = rows.by_entry[entry][0]
        if (person, entry) in known or row.time is None or row.person not in admitted:
            continue
        place = place_at_start(form, way, person, entry, row.time.astimezone(UTC), reading)
        before = last.get(person)
        if row.time < late:
            place = left(place, MISSED, reading.now)
        elif before is not None and (before.ended_at is None or before.ended_at + pause > row.time):
            place = left(place, TOO_SOON, reading.now)
        elif pause:
            last[person] = place
        fresh.append(place)
    return Entrance(tuple(sorted(fresh, key=lambda place: (place.person, place.entry))))


def _last_entered(context: Context, flow: str) -> dict[bytes, Place]:
    """The last place of everybody who really entered, by person."""
    found: dict[bytes, Place] = {}
    for place in context.ledger.places(flow):
        before = found.get(place.person)
        if place.note not in (MISSED, TOO_SOON) and (before is None or before.entered_at < place.entered_at):
            found[place.person] = place
    return found
