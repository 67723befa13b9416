"""The short ways of the lab lead to the same: tables without a database, and pure parts that are worked out once."""

from __future__ import annotations

import pytest
from lab_cases import case_of
from lab_run import run, seams
from lab_tables import SqliteTables, Tables

FIRST, RUNS = 7_000_000, 16
RECORD = "SELECT kind, id, document, incarnation, revision, created_at, updated_at, body FROM record"
EVENTS = "SELECT number, document, hash FROM event ORDER BY number"
META = "SELECT lineage, environment, format, serial, events, head FROM meta"
LEASE = "SELECT by, host, pid, operation, since, expires, lock_id FROM lease"


def contents(tables):
    return [sorted(tables.execute(text).fetchall()) for text in (RECORD, EVENTS, META, LEASE)]


def outcome(seed, tables, remember):
    """Everything that a run leaves, and each call on its way."""
    calls: list[str] = []
    with seams(remember):
        broken, lab = run(case_of(seed), calls.append, tables)
    rows = contents(lab.state) if lab.state is not None else None
    return broken, calls, rows, lab.simulation.world.inbox, lab.documents


@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_a_run_is_the_same_over_sqlite_and_with_everything_worked_out_anew(seed):
    assert outcome(seed, Tables, True) == outcome(seed, SqliteTables, False)


def test_a_transaction_that_is_undone_leaves_what_was_there():
    for kind in (Tables, SqliteTables):
        tables = kind.fresh("lineage", "default")
        before = contents(tables)
        tables.begin(True)
        insert = "INSERT INTO record (kind, id, document, incarnation, revision, created_at, updated_at, body)"
        tables.execute(insert + " VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ("k", "i", "{}", "a", 1, "t", "t", None))
        tables.execute("INSERT INTO event (number, document, hash) VALUES (?, ?, ?)", (1, "{}", "h"))
        tables.execute("UPDATE meta SET serial = ?, events = ?, head = ?", (1, 1, "h"))
        tables.execute("UPDATE lease SET epoch = epoch + 1, lock_id = ''")
        tables.roll_back()
        assert contents(tables) == before
        tables.close()


def test_a_statement_that_is_not_known_fails():
    with pytest.raises(KeyError):
        Tables.fresh("lineage", "default").execute("DELETE FROM record")
