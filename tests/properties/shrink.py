"""A failing case made smaller, step by step, as long as it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy

from naive import Expression, atoms
from worlds import ATTRIBUTE, SAMPLE, Case, atoms_used, name_of

RUNS_MAX = 250


def shrink(case: Case, fails: Callable[[Case], bool], runs_max: int = RUNS_MAX) -> Case:
    """The smallest case found that still fails, after so many runs at most."""
    runs = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in _candidates(case):
            runs += 1
            if runs > runs_max:
                return case
            if fails(candidate):
                case, smaller = candidate, True
                break
    return case


def _candidates(case: Case) -> Iterator[Case]:
    """Smaller cases, the much smaller ones first."""
    for index in reversed(range(len(case.wishes))):
        yield from _without_wish(case, index)
    yield from _only_used(case)
    yield from _fewer_people(case)
    for name, value in (("policy", None), ("priority", []), ("turns", [])):
        if getattr(case, name) != value:
            yield _with(case, **{name: value})
    for at, turn in enumerate(case.turns):
        yield _with(case, turns=case.turns[:at] + case.turns[at + 1 :])
        for name in sorted(turn.keys() - {"nth", "when"}):
            less = {key: value for key, value in turn.items() if key != name}
            yield _with(case, turns=[*case.turns[:at], less, *case.turns[at + 1 :]])
    for index, wish in enumerate(case.wishes):
        for to in _simpler(wish.to):
            found = _with(case)
            found.wishes[index].to = to
            yield found
    for at, turn in enumerate(case.turns):
        for name in sorted(turn.keys() - {"nth", "when"}):
            half = len(turn[name]) // 2
            for people in (turn[name][:half], turn[name][half:]) if half else ():
                yield _with(case, turns=[*case.turns[:at], {**turn, name: people}, *case.turns[at + 1 :]])


def _with(case: Case, **values: object) -> Case:
    found = deepcopy(case)
    found.known = {}
    for name, value in values.items():
        setattr(found, name, deepcopy(value))
    return found


def _without_wish(case: Case, index: int) -> Iterator[Case]:
    """Without the last delivery, or without an earlier one that nothing names."""
    last = len(case.wishes) - 1
    named = any(f"received({name_of(index)})" in atoms(wish.to) for wish in case.wishes)
    if last and index == last and not named:
        yield _with(case, wishes=case.wishes[:-1], priority=[one for one in case.priority if one != index])
    elif last and not case.priority and not any("received" in name for wish in case.wishes for name in atoms(wish.to)):
        yield _with(case, wishes=case.wishes[:index] + case.wishes[index + 1 :])


def _only_used(case: Case) -> Iterator[Case]:
    """Without lists and attributes that nothing names."""
    used = atoms_used(case) | ({"uploaded(b)", "uploaded(c)"} if atoms_used(case) & {"test.x", "test.y"} else set())
    used |= {"uploaded(a)"} if SAMPLE in used else set()
    lists = {name: people if name in used else [] for name, people in case.lists.items()}
    needed = {"status", "policyAccepted", "period"} | {ATTRIBUTE[name][0] for name in used & ATTRIBUTE.keys()}
    friends = [{name: value for name, value in one.items() if name in needed} for one in case.friends]
    if (lists, friends) != (case.lists, case.friends):
        yield _with(case, lists=lists, friends=friends)


def _fewer_people(case: Case) -> Iterator[Case]:
    count = len(case.friends)
    for left in (count // 2, count * 3 // 4, count * 9 // 10):
        if left < 1 or left == count:
            continue
        found = _with(case)
        found.friends = found.friends[:left]
        found.lists = {name: [one for one in people if one <= left] for name, people in found.lists.items()}
        found.telephones = [row for row in found.telephones if row[0] <= left]
        for turn in found.turns:
            for name in turn.keys() - {"nth", "when", "friends"}:
                turn[name] = [one for one in turn[name] if one <= left]
            turn["friends"] = [one for one in turn.get("friends", ()) if one[0] <= left]
        yield found


def _simpler(expression: Expression) -> Iterator[Expression]:
    """Each node replaced by one of its own parts."""
    if expression[0] == "atom":
        return
    yield from expression[1:]
    for at in range(1, len(expression)):
        for part in _simpler(expression[at]):
            yield (*expression[:at], part, *expression[at + 1 :])
