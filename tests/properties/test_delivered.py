"""Whatever is written, the people who get the message are the people of the expression, each once.

Random worlds and projects go through the whole product, from text to the simulator's inbox, while tags, attributes,
clicks and friends change between the sends; the naive evaluator judges who got what. `make sweep` runs 20,000 pairs,
`make test` 200 of them, others with each commit. AUDSQL_PAIRS and AUDSQL_PAIRS_FROM choose other ones.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from naive import State, atoms, hundredths, in_share, inside, surely, unmoved
from oracle import Run, from_json, run
from questions import case_of
from rapid import wired_place
from shrink import shrink
from worlds import CALLED, LEFT, LINKED, UNLISTED, Case, Wish, atom, spec

SWEEP = bool(os.environ.get("AUDSQL_SWEEP"))
PAIRS = int(os.environ.get("AUDSQL_PAIRS") or (20_000 if SWEEP else 200))
SHARD = 100
WIRED = 20 if SWEEP else 2
CASES = Path(__file__).parent / "cases"


@cache
def first() -> int:
    """The first pair: 0 in the sweep, else where the commit before ended."""
    given = os.environ.get("AUDSQL_PAIRS_FROM")
    if given or SWEEP:
        return int(given or 0)
    command = ["git", "rev-list", "--count", "HEAD"]
    counted = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return (int(counted.stdout) if counted.returncode == 0 else 0) * PAIRS % 20_000


@pytest.mark.parametrize("shard", range((PAIRS + SHARD - 1) // SHARD))
@pytest.mark.threat("T32", "T40")
def test_the_inbox_is_the_expression(shard: int) -> None:
    low = first() + shard * SHARD
    numbers = range(low, min(low + SHARD, first() + PAIRS))
    tally: Counter[str] = Counter()
    for number in numbers:
        result = run(case_of(number))
        assert not result.complaints, said(number, result)
        tally += counted(result)
    # What is refused, or is one send in a world that stands still, shows little: it must not be the rule.
    total = len(numbers)
    assert tally["sent"] >= 0.4 * total, tally
    assert tally["done"] >= 0.15 * total, tally
    assert (
        tally["several sends"] >= 0.15 * total and tally["changed between sends that reached people"] >= 0.05 * total
    ), tally


def said(number: int, result: Run) -> str:
    """What is wrong, how to see it again, and the smallest project found that shows it."""
    smallest = shrink(result.case, lambda one: bool(run(one).complaints), 60)
    again = f"python tests/properties/reproduce.py {number} --shrink"
    return "\n".join((f"pair {number}: {result.complaints}", again, spec(smallest), str(run(smallest).complaints)))


def counted(result: Run) -> Counter[str]:
    sends = [result.sends_of(index) for index in range(len(result.case.wishes))]
    reached = [[one for one in each if one.people] for each in sends]
    return Counter(
        {
            f"exit {result.exit_code}": 1,
            "sent": int(any(reached)),
            "done": len(result.done),
            "several sends": sum(len(each) > 1 for each in sends),
            "changed between sends that reached people": sum(
                len(each) > 1 and any(each[0].position <= turn["nth"] < each[-1].position for turn in result.case.turns)
                for each in reached
            ),
        }
    )


@pytest.mark.parametrize("file", sorted(CASES.glob("*.json")), ids=lambda file: file.stem)
def test_what_once_went_wrong(file: Path) -> None:
    assert not run(from_json(file.read_text(encoding="utf-8"))).complaints


@pytest.mark.parametrize("number", range(WIRED))
def test_a_socket_changes_nothing(number: int) -> None:
    """The pairs go without one; over a real one the same people get the same."""
    quick, wired = run(case_of(number)), run(case_of(number), place=wired_place)
    assert (wired.exit_code, wired.codes, wired.complaints) == (quick.exit_code, quick.codes, [])
    assert [(one.delivery, one.people) for one in wired.sent] == [(one.delivery, one.people) for one in quick.sent]


@pytest.mark.parametrize(
    ("expression", "policy"),
    [
        (atom(LINKED), None),
        (atom(LEFT), None),
        (("except", atom("friends"), atom(CALLED)), None),
        (atom(UNLISTED), None),
        (atom("test.x"), atom(LINKED)),
    ],
)
def test_shares_and_linkages_whatever_is_drawn(expression: tuple, policy: tuple | None) -> None:
    """Random pairs hold few of them, so these are always there."""
    case = case_with_telephones()
    case.wishes, case.policy = [Wish(expression)], policy
    result = run(case)
    assert (result.exit_code, result.complaints) == (0, [])
    assert result.sent[0].people


@cache
def number_with_telephones() -> int:
    return next(number for number in range(1_000) if (one := case_of(number)).telephones and still(one))


def still(case: Case) -> bool:
    return (
        case.includes_unknown and all("policyAccepted" not in one for one in case.friends) and len(case.friends) > 400
    )


def case_with_telephones() -> Case:
    case = case_of(number_with_telephones())
    case.turns, case.priority = [], []
    return case


# --- the judge itself -------------------------------------------------------------------------------


def test_the_naive_evaluator_by_hand() -> None:
    state = State(frozenset((1, 2, 3, 4)), {"a": frozenset((1, 2)), "b": frozenset((2, 3))}, {"b": frozenset((4,))})
    a, b = ("atom", "a"), ("atom", "b")
    assert inside(("or", a, b), state) == {1, 2, 3} and inside(("except", a, b), state) == {1}
    assert inside(("not", b), state) == {1, 4} and surely(("not", b), state) == ({1}, {2, 3})
    assert surely(("or", a, ("not", b)), state) == ({1, 2}, {3}) and surely(("and", b, b), state) == ({2, 3}, {1})
    moved = State(state.everybody, {"a": frozenset((1, 2)), "b": frozenset((3,))}, {"b": frozenset((1, 4))})
    assert unmoved({"a", "b"}, [state, moved]) == {3, 4} and unmoved({"a"}, [state, moved]) == {1, 2, 3, 4}
    assert atoms(("or", a, ("not", b))) == {"a", "b"}


def test_shares_are_hundredths_of_a_percent() -> None:
    assert all(in_share("s", str(one), 0, 5000) == (hundredths("s", str(one)) < 5000) for one in range(50))
    assert 400 < sum(in_share("s", str(one), 0, 5000) for one in range(1000)) < 600
