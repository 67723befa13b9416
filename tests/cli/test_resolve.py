"""`resolve`: a person's word on what the journal cannot know, with its reason (T07)."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from test_line_rules import got, shop

LIST = "uploaded(list)"
PATH = "/v2/bot/message/narrowcast"
ANSWERED = {"match": {"method": "POST", "path": PATH}, "do": "drop-response"}


@contextmanager
def in_doubt(root, more: str = ""):
    """A delivery of which every answer was lost until its window was over."""
    with shop(root, LIST, more=more) as here:
        here.faults(*({**ANSWERED, "nth": nth} for nth in range(1, 99)))
        assert here.apply().exit_code == 4
        here.faults()
        here.advance(9 * 3600)
        assert here.run().exit_code == 7
        yield here


def test_status_says_what_to_look_at_and_what_to_type(tmp_path):
    with in_doubt(tmp_path) as here:
        done = here.command("status")
        assert done.returncode == 7
        head = done.stdout.split("\n\n")[1]
        assert "LINE Official Account Manager" in head and "messages used this month" in head
        assert 'audsql resolve sale sent --reason "…"' in head and 'audsql resolve sale not-sent --reason "…"' in head
        assert "--retry" not in head


@pytest.mark.parametrize("how", ["delivery", "occurrence", "operation"])
@pytest.mark.parametrize(
    ("verdict", "state", "follows"), [("sent", "done", "counts as sent"), ("not-sent", "cancelled", "new name")]
)
def test_each_subject_is_settled_and_what_follows_is_said(tmp_path, how, verdict, state, follows):
    with in_doubt(tmp_path) as here:
        (row,) = json.loads(here.command("status", "--json").stdout)["occurrences"]
        subject = {"delivery": "sale", "occurrence": row["id"], "operation": row["operations"][0]["id"]}[how]
        before = got(here)
        done = here.command("resolve", subject, verdict, "--reason", "in the history, ticket 12")
        assert done.returncode == 0 and follows in done.stdout
        (row,) = json.loads(here.command("status", "--json").stdout)["occurrences"]
        assert row["state"] == state
        assert here.command("status").returncode == 0
        assert here.run().exit_code == 0 and got(here) == before
        assert "AUD0865" in here.command("resolve", subject, verdict, "--reason", "again").stderr


def test_an_unknown_subject_names_a_near_one(tmp_path):
    with in_doubt(tmp_path) as here:
        done = here.command("resolve", "sael", "sent", "--reason", "x")
        assert done.returncode == 1 and "AUD0866" in done.stderr and "did you mean `sale`?" in done.stderr


def test_a_name_of_two_open_sends_is_no_subject(tmp_path):
    from dataclasses import replace
    from datetime import UTC, datetime

    from audsql.session.holding import take_lease
    from audsql.session.planning import open_store

    with in_doubt(tmp_path) as here:
        store, _ = open_store(here.opened(), create=False)
        with store:
            (row,) = store.snapshot().occurrences
            lease = take_lease(store, "test")
            now = datetime.now(UTC)
            store.write(lease, now, "test", replace(row, time="2026-11-20T00:00:00Z", stamp=type(row.stamp)()))
            store.release(lease, now)
        done = here.command("resolve", "sale", "sent", "--reason", "x")
        assert done.returncode == 1 and "AUD0889" in done.stderr and row.id in done.stderr
        assert here.command("resolve", row.id, "sent", "--reason", "x").returncode == 0
        assert here.command("resolve", "sale", "not-sent", "--reason", "x").returncode == 0
