"""Play one run again: `python tests/lab/lab_replay.py SEED|FILE [--mutant NAME] [--quiet] [--shrink FILE]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lab_cases import case_of
from lab_mutants import MUTANTS, mutated
from lab_run import Broken, Case, run, seams
from lab_shrink import shrunk


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what")
    parser.add_argument("--mutant", choices=sorted(MUTANTS))
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--shrink", type=Path)
    given = parser.parse_args()
    if given.what.isdigit():
        case = case_of(int(given.what))
    else:
        case = Case.of(json.loads(Path(given.what).read_text(encoding="utf-8")))
    with seams(), mutated(given.mutant):
        if given.shrink is not None:
            case = smallest(case)
            given.shrink.write_text(case.to_json() + "\n", encoding="utf-8")
        broken, _ = run(case, None if given.quiet else print)
    for one in broken:
        print(f"{one.invariant}: {one.why}")
    return 1 if broken else 0


def smallest(case: Case) -> Case:
    """The case made smaller as long as the first invariant that it breaks stays broken."""
    broken: list[Broken] = run(case)[0]
    if not broken:
        return case
    return shrunk(case, lambda one: any(found.invariant == broken[0].invariant for found in run(one)[0]))


if __name__ == "__main__":
    sys.exit(main())
