"""What the end of a batch does to the people in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from audsql.apply.flows.sending import settled
from audsql.apply.flows.standing import after_batch, ended, left, noted
from audsql.apply.flows.tally import Tally
from audsql.apply.flows.ways import way_of
from audsql.apply.ledger import Batch, Place
from audsql.meaning import ir
from audsql.meaning.flow import Flow, FlowStart, SendStep, WaitFor

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
DUE = NOW - timedelta(hours=2)
STEPS = (SendStep(("card",)), WaitFor(60), SendStep(("card",)))
WAYS = {("f", "v"): way_of(Flow("f", "shop", FlowStart("follow"), STEPS, ir.NOBODY, ir.NOBODY))}
PLACE = Place("f", b"p" * 16, "1", "v", "0", "sending", DUE, DUE, "b", revision=3)
BATCH = Batch("b", "flow.f", "v/0", "shop", "push", "succeeded", "k", 1, NOW, NOW)


def after(place: Place = PLACE, **more: object) -> Place:
    (found,) = after_batch(replace(BATCH, **more), [place], WAYS, ZoneInfo("Asia/Tokyo"), NOW)
    assert found.revision == place.revision
    return found


@pytest.mark.parametrize("state", ["succeeded", "resolved_sent"])
def test_who_was_sent_it_waits_for_the_next_from_when_this_was_due(state):
    found = after(state=state)
    assert (found.state, found.step, found.due_at, found.batch, found.note) == (
        "waiting", "2", DUE + timedelta(hours=1), "", ""
    )  # fmt: skip


def test_what_was_missed_is_noted_and_the_person_goes_on():
    found = after(state="missed", evidence="window")
    assert (found.state, found.step, found.note) == ("waiting", "2", "missed:0")


@pytest.mark.parametrize("evidence", ["excluded", "nobody"])
def test_who_was_taken_out_of_a_batch_is_decided_of_anew(evidence):
    found = after(state="missed", evidence=evidence)
    assert (found.state, found.step, found.due_at, found.batch) == ("waiting", "0", DUE, "")


@pytest.mark.parametrize(("evidence", "missed"), [("excluded", 0), ("nobody", 0), ("window", 2)])
def test_only_what_nobody_is_sent_any_more_is_told_as_missed(evidence, missed):
    tally = Tally("f")
    settled([replace(BATCH, state="missed", evidence=evidence, count=2)], tally)
    assert tally.counts["missed"] == missed


def test_who_is_in_doubt_is_held_in_that_batch():
    found = after(state="in_doubt")
    assert (found.state, found.step, found.batch) == ("held", "0", "b")


@pytest.mark.parametrize(("state", "why"), [("rejected", "rejected"), ("resolved_not_sent", "unsent")])
def test_who_was_not_sent_it_leaves(state, why):
    found = after(state=state)
    assert (found.state, found.step, found.note, found.ended_at) == ("left", "", why, NOW)


def test_who_stands_where_no_version_is_known_is_held():
    assert after(replace(PLACE, version="other")).state == "held"
    assert after(replace(PLACE, step="9")).state == "held"


def test_an_end_is_when_it_was_due_and_words_stand_once():
    assert ended(PLACE).ended_at == DUE
    assert noted(noted(left(PLACE, "exit", NOW), "outside"), "outside").note == "exit outside"
