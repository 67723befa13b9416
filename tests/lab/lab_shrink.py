"""A smaller case that is still broken in the same way: fewer faults first, then fewer workers, steps and turns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from lab_run import Case


def shrunk(case: Case, still: Callable[[Case], bool]) -> Case:
    """The smallest that is reached by taking one thing away at a time."""
    found = True
    while found:
        found = False
        for smaller in _smaller(case):
            if still(smaller):
                case, found = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    yield from _fewer_faults(case)
    for s, step in enumerate(case.steps):
        if step["do"] == "apply" and len(step["workers"]) > 1:
            for w in range(len(step["workers"])):
                other = copy.deepcopy(case)
                del other.steps[s]["workers"][w]
                yield other
    for s in range(len(case.steps)):
        other = copy.deepcopy(case)
        del other.steps[s]
        yield other
    for t in range(len(case.turns)):
        other = copy.deepcopy(case)
        del other.turns[t]
        yield other


def _fewer_faults(case: Case) -> Iterator[Case]:
    for s, step in enumerate(case.steps):
        for w, worker in enumerate(step.get("workers", ())):
            for name, found in worker["faults"].items():
                for nth in found:
                    other = copy.deepcopy(case)
                    faults = other.steps[s]["workers"][w]["faults"]
                    del faults[name][nth]
                    if not faults[name]:
                        del faults[name]
                    yield other
            if worker.get("skew"):
                other = copy.deepcopy(case)
                other.steps[s]["workers"][w]["skew"] = 0.0
                yield other
