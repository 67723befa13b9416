"""`python tests/properties/reproduce.py NUMBER | FILE [--shrink] [--out FILE]`: one pair of the property again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from oracle import from_json, run, to_json  # noqa: E402
from questions import case_of  # noqa: E402
from shrink import shrink  # noqa: E402
from worlds import Case, spec  # noqa: E402


def report(case: Case) -> str:
    """The specs, what changes, what was sent, and what is wrong with it."""
    result = run(case)
    lines = [spec(case).strip(), f"friends: {len(case.friends)}, not includes unknown: {case.includes_unknown}"]
    for turn in case.turns:
        sizes = {name: len(value) for name, value in turn.items() if name not in ("nth", "when")}
        lines.append(f"when narrowcast {turn['nth']} is {turn['when']}: {sizes}")
    for one in result.sent:
        body = {name: one.body[name] for name in ("recipient", "filter", "limit") if name in one.body}
        lines.append(f"narrowcast {one.position} of {one.delivery}: {len(one.people)} people, {body}")
    lines.append(f"exit code {result.exit_code} {result.codes}")
    return "\n".join([*lines, *(result.complaints or ["nothing is wrong"])])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", help="the number of a pair, or a file of tests/properties/cases")
    parser.add_argument("--shrink", action="store_true", help="make it smaller first")
    parser.add_argument("--out", type=Path, help="write the case there")
    given = parser.parse_args()
    case = case_of(int(given.case)) if given.case.isdigit() else from_json(Path(given.case).read_text("utf-8"))
    if given.shrink:
        case = shrink(case, lambda one: bool(run(one).complaints))
    if given.out is not None:
        given.out.write_text(to_json(case), encoding="utf-8")
    sys.stdout.write(report(case) + "\n")
    return 1 if run(case).complaints else 0


if __name__ == "__main__":
    sys.exit(main())
