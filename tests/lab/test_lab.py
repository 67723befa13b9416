"""Simulated applies: production's apply over ports that fail, crash, sleep, lose and repeat (specs/model/README.md)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from lab_cases import case_of
from lab_engine import Data, LabEngine, Machine
from lab_mutants import MUTANTS, mutated
from lab_run import Case, run, seams
from lab_scenarios import SCENARIOS, URL, Scenario, lists, person
from lab_shrink import shrunk
from lab_sweep import SEEDS, command, played

from audsql.meaning.ir import Uploaded, land, leaf, lnot, lor

# Four applies with faults each, about: more than two thousand of them.
RUNS = int(os.environ.get("AUDSQL_LAB_RUNS", "600"))
SHARES = 8


def first_seed() -> int:
    """Other seeds with every commit; 0 where there is no history."""
    answer = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return int(answer.stdout) * 1_000_000 if answer.stdout.strip().isdigit() else 0


@pytest.mark.parametrize("share", range(SHARES))
def test_no_run_breaks_an_invariant(share):
    begin = first_seed()
    tally = played(range(begin + share, begin + RUNS, SHARES))
    assert tally.runs > 0 and tally.applies > tally.runs
    assert not tally.failed, "\n".join(f"{why}\n  {command(seed)}" for seed, why in tally.failed)


KEPT = sorted(one.name for one in SEEDS.glob("*.json") if not one.name.startswith("mutant-"))


@pytest.mark.parametrize("name", KEPT)
def test_what_was_found_once_stays_mended(name):
    with seams():
        assert run(Case.of(json.loads((SEEDS / name).read_text())))[0] == []


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_protection_that_is_taken_away_is_missed(name):
    document = json.loads((SEEDS / f"mutant-{name}.json").read_text())
    with seams():
        with mutated(name):
            found = {one.invariant for one in run(Case.of(document))[0]}
        assert document["invariant"] in found
        assert run(Case.of(document))[0] == []


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_without_faults_everything_is_sent_and_nothing_is_left_to_do(scenario):
    worker = {"host": 0, "start": 0.0, "mode": "plan", "skew": 0.0, "faults": {}}
    case = Case(scenario, [{"do": "apply", "workers": [worker]}])
    with seams():
        broken, lab = run(case)
    assert broken == []
    got = {entry["messages"][0]["text"] for entry in lab.simulation.world.inbox}
    assert got == set(SCENARIOS[scenario].texts.values())


def test_a_list_that_a_lost_state_cut_is_not_cut_anew(monkeypatch):
    """Without a written time the lost send is planned again; its list, longer by now, would be cut elsewhere."""
    specs = "delivery d1 { to: uploaded(a)  send: one  by: multicast }"
    monkeypatch.setitem(SCENARIOS, "at once", Scenario("at once", specs, {"d1": f"one {URL}"}))
    worker = {"host": 0, "start": 0.0, "mode": "plan", "skew": 0.0, "faults": {"send.write": {"2": ["crash", 0.0]}}}
    people = {"do": "list", "name": "a", "people": list(range(1, 21))}
    steps = [
        {**people, "add": False}, {"do": "apply", "workers": [worker]}, {**people, "add": True},
        {"do": "lose_state"}, {"do": "lose_sets"},
    ]  # fmt: skip
    with seams():
        broken, lab = run(Case("at once", steps))
    assert broken == []
    assert len(lab.simulation.world.inbox) == 80, "the first request of three, which LINE took before the loss"


def test_a_seed_is_one_run():
    seed = next(seed for seed in range(1, 200) if len(case_of(seed).steps[0].get("workers", ())) > 1)
    traces: list[list[str]] = [[], []]
    with seams():
        for trace in traces:
            run(case_of(seed), trace.append)
    assert traces[0] == traces[1]
    assert len({line.split()[2] for line in traces[0]}) > 2, "several processes took turns"


def test_a_failing_case_becomes_small():
    seed = next(seed for seed in range(200) if case_of(seed).scenario == "narrowcast" and len(case_of(seed).steps) > 3)

    def still(case: Case) -> bool:
        return any(one.invariant == "I3 fuse" for one in run(case)[0])

    with seams(), mutated("no_fuse"):
        assert still(case_of(seed))
        assert shrunk(case_of(seed), still).steps == []


def test_the_engine_of_the_lab_does_what_sets_do():
    engine = LabEngine(Data(lists()), Machine(), lambda name: None)
    a, b, out = (leaf(Uploaded(name)) for name in ("a", "b", "optout"))
    people = {one.key: lists()[one.atom.source] for one in (a, b, out)}
    found = engine.evaluate(land(lor(a, b), lnot(out)), people)
    assert found == (people[a.key] | people[b.key]) - people[out.key]
    assert engine.evaluate(lor(land(a, lnot(b)), land(b, lnot(a))), people) == people[a.key] ^ people[b.key]
    assert engine.delta(found, found | {person(39)}) == (frozenset({person(39)}), frozenset())
    assert engine.is_fingerprint(found, engine.fingerprint(found))
