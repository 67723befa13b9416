"""From a number to a case: which scenario, which steps, and which call goes wrong how. One number, one run."""

from __future__ import annotations

import random
from typing import Any

from lab_run import Case
from lab_scenarios import PEOPLE, SCENARIOS

HOUR = 3600.0
_NAMES = tuple(sorted(SCENARIOS))

# What can go wrong at a call of each name, and how many such calls the first apply of a scenario has, about.
_FAULTS: dict[str, tuple[tuple[str, ...], int]] = {
    "send.connect": (("crash", "pause", "refuse", "pause"), 4),
    "send.write": (("crash", "drop", "late", "twice", "status"), 4),
    "send.answer": (("crash", "drop", "pause", "status"), 4),
    "audience.connect": (("crash", "pause", "refuse"), 8),
    "audience.write": (("crash", "drop", "late", "twice", "status"), 8),
    "audience.answer": (("crash", "drop", "pause", "status"), 8),
    "read": (("crash", "drop", "pause", "status"), 40),
    "begin": (("crash", "pause", "full"), 60),
    "commit": (("crash",), 60),
    "committed": (("crash", "pause"), 60),
    "data": (("crash", "pause"), 4),
    "save": (("crash", "pause"), 12),
    "saved": (("crash",), 12),
    "sleep": (("crash", "pause"), 12),
    "open": (("crash", "pause"), 3),
}
_USUAL = tuple(_FAULTS)
_WORST = ("send.connect", "send.write", "send.answer", "send.answer", "committed", "commit", "audience.write", "sleep")
# At these the request was cleared to leave: it arrives within assumption A4.
_PAUSES = (1.0, 30.0, 70.0, 5 * 60.0, 16 * 60.0, HOUR, 5.9 * HOUR, 6.5 * HOUR, 19 * HOUR, 24.5 * HOUR, 26 * HOUR)
_STATUSES = (500.0, 503.0, 504.0, 409.0, 408.0)


def case_of(seed: int) -> Case:
    """Even numbers draw all faults alike; odd ones draw the worst: around sends, with lost and old states."""
    chance = random.Random(seed)
    worst = bool(seed % 2)
    scenario = SCENARIOS[chance.choice(_NAMES)]
    steps: list[dict[str, Any]] = []
    if scenario.name in ("guard", "parts") and chance.random() < 0.1:
        steps.append({"do": "unaccept", "people": sorted(chance.sample(range(39, PEOPLE, 39), 2))})
    for number in range(chance.choice((1, 2, 2, 3, 3, 4))):
        if number:
            steps += _between(chance, worst, scenario.name)
        steps.append(_apply(chance, worst, number))
        if scenario.name == "clicks" and chance.random() < 0.7:
            steps.append({"do": "click", "people": sorted(chance.sample(range(1, PEOPLE + 1), 150))})
    turns = _turns(chance) if scenario.moving else []
    return Case(scenario.name, steps, turns)


def _apply(chance: random.Random, worst: bool, number: int) -> dict[str, Any]:
    many = chance.choice((1, 1, 2, 2, 3)) if worst else chance.choice((1, 1, 1, 1, 1, 2, 3))
    workers = []
    for _ in range(many):
        workers.append(
            {
                "host": chance.choice((0, 0, 1)) if many == 1 else chance.randrange(2),
                "start": chance.choice((0.0, 0.0, 1.0, 20.0, 16 * 60.0, 17 * 60.0)) if many > 1 else 0.0,
                "mode": "plan" if number == 0 else chance.choice(("plan", "again", "run")),
                "skew": chance.choice((0.0, 0.0, 0.0, 120.0, -120.0, 280.0, -280.0)),
                "faults": _faults(chance, worst),
            }
        )
    return {"do": "apply", "workers": workers}


def _faults(chance: random.Random, worst: bool) -> dict[str, dict[str, list[Any]]]:
    found: dict[str, dict[str, list[Any]]] = {}
    for _ in range(chance.choice((0, 1, 1, 2, 3)) if not worst else chance.choice((1, 2, 2, 3, 4))):
        name = chance.choice(_WORST if worst else _USUAL)
        kinds, calls = _FAULTS[name]
        kind = chance.choice(kinds)
        nth = 1 + min(chance.randrange(calls), chance.randrange(calls))
        found.setdefault(name, {})[str(nth)] = [kind, _amount(chance, kind)]
    return found


def _amount(chance: random.Random, kind: str) -> float:
    if kind == "pause":
        return chance.choice(_PAUSES)
    if kind in ("late", "twice"):
        return chance.choice((1.0, 61.0, 300.0, 540.0))
    return chance.choice(_STATUSES) if kind == "status" else 0.0


def _between(chance: random.Random, worst: bool, scenario: str) -> list[dict[str, Any]]:
    """What happens between two applies: time, opt-outs, other lists, a lost or an old state, a lost cache."""
    steps: list[dict[str, Any]] = []
    draw = chance.random
    if draw() < 0.15:
        steps.append({"do": "keep_copy"})
    if draw() < 0.7:
        steps.append({"do": "advance", "seconds": chance.choice((1.0, *_PAUSES))})
    if draw() < 0.35:
        steps.append({"do": "optout", "people": sorted(chance.sample(range(1, PEOPLE + 1), chance.randint(1, 12)))})
    if draw() < 0.2:
        people = sorted(chance.sample(range(1, PEOPLE + 1), chance.randint(1, 20)))
        steps.append({"do": "list", "name": chance.choice(("a", "b")), "add": draw() < 0.5, "people": people})
    if draw() < (0.25 if worst else 0.08):
        steps.append({"do": "lose_state"})
        if draw() < 0.5:
            steps.append({"do": "lose_sets"})
    elif draw() < (0.15 if worst else 0.05):
        steps.append({"do": "restore_copy", "with_sets": draw() < 0.5})
    elif draw() < 0.05:
        steps.append({"do": "lose_sets"})
    return steps


def _turns(chance: random.Random) -> list[dict[str, Any]]:
    """Chat tags and attributes that change when a narrowcast is accepted or has ended."""
    turns = []
    for nth in (1, 2):
        some = chance.sample(range(1, PEOPLE + 1), 60)
        turns.append(
            {
                "nth": nth, "when": chance.choice(("accepted", "ended")), "add": sorted(some[:20]),
                "remove": sorted(some[20:40]), "gender": [[i, chance.choice(("female", "male"))] for i in some[40:]],
            }
        )  # fmt: skip
    return turns
