"""The arms of a branch that LINE decides as one row of sends: nobody can come to two, whatever changes at LINE."""

from __future__ import annotations

from itertools import product

import pytest

from audsql.apply.flows.cohort_form import CohortForm, cohort_form, own_atoms, source_atom
from audsql.compile.flows import cohorts_of
from audsql.compile.program import Narrowcast, RedeliveryLeaf, recipient_leaves
from audsql.diag import has_errors
from audsql.line.limits import RECIPIENT_LEAVES_MAX
from audsql.meaning import ir
from audsql.meaning.lower import analyse
from audsql.meaning.words import arms_of, verbs_of
from audsql.source import Source
from audsql.syntax.parse import parse_file

SPEC = """
account shop {{ token: env("LINE_TOKEN") }}
message one {{ text: "1" }}
message two {{ text: "2" }}
message three {{ text: "3" }}
upload buyers {{ file: "buyers.txt"  id: user_id }}
upload joined {{ file: "joined.txt"  id: user_id }}
delivery d {{ sent: "bb9744f9-47fa-4a29-941e-1234567890ab"  at: 2026-11-10 10:00  by: broadcast }}
flow welcome {{
  start when uploaded(joined)
  branch {{
{arms}
  }}
}}
"""
CLICK, OPEN, TAG, WOMAN, BUYER = "clicked(d)", "opened(d)", 'chat_tag("VIP")', "gender(female)", "uploaded(buyers)"
BRANCHES = [
    (f"{CLICK} -> send one", "otherwise -> send two"),
    (f"NOT {CLICK} -> send one", "otherwise -> send two"),
    (f"{CLICK} -> send one", f"{OPEN} -> send two", "otherwise -> send three"),
    (f"{TAG} -> send one", "otherwise -> send two"),
    (f"{TAG} -> send one", f"{CLICK} -> send two", "otherwise -> send three"),
    (f"{WOMAN} -> send one", f"{TAG} AND {BUYER} -> send two", "otherwise -> send three"),
    (f"{BUYER} -> send one", f"{WOMAN} -> send two"),
    (f"{CLICK} AND {TAG} -> {{ send one  send two }}", f"{CLICK} -> {{}}", f"{BUYER} -> send three"),
    (f"{CLICK} OR {BUYER} -> send one", f"NOT {OPEN} -> send two"),
]


def project_of(*arms: str) -> ir.Project:
    text = SPEC.format(arms="\n".join(f"    {arm}" for arm in arms))
    file, problems = parse_file(Source("shop.aud", text))
    analysis, found = analyse((file,), name="spec", timezone="Asia/Tokyo")
    assert not has_errors((*problems, *found)), (problems, found)
    return analysis.project


def compiled(*arms: str) -> tuple[CohortForm, ir.Atom]:
    project = project_of(*arms)
    (flow,) = project.flows
    (cohort,) = cohorts_of(flow, frozenset())
    source = source_atom("welcome", cohort.path, "ab" * 16)
    made = cohort_form(flow, cohort, source, {"d": (0,)}, verbs_of(project), arms_of(project))
    assert isinstance(made, CohortForm), made
    return made, source


def sends(made: CohortForm) -> list[Narrowcast]:
    return [one for one in made.form.sends if isinstance(one, Narrowcast)]


def guards(send: Narrowcast) -> set[int]:
    leaves = recipient_leaves(send.recipient)
    return {leaf.part for leaf in leaves if isinstance(leaf, RedeliveryLeaf) and leaf.delivery == "flow.welcome"}


def worlds(atoms: list[ir.Atom]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """What one person may be before and after: own data stay, clicks and opens only grow, the rest may change."""
    found = []
    for before, after in product(product((False, True), repeat=len(atoms)), repeat=2):
        fits = all(
            one == other if atom.world == "own" else other >= one if isinstance(atom, ir.Clicked | ir.Opened) else True
            for atom, one, other in zip(atoms, before, after, strict=True)
        )
        if fits:
            pair = [frozenset(a.key for a, held in zip(atoms, side, strict=True) if held) for side in (before, after)]
            found.append((pair[0], pair[1]))
    return found


@pytest.mark.parametrize("arms", BRANCHES)
def test_whoever_may_come_from_an_earlier_arm_is_left_out_of_a_later_one(arms: tuple[str, ...]) -> None:
    made, source = compiled(*arms)
    rows = sends(made)
    assert [one.part for one in rows] == list(range(len(rows))) and made.crowded == frozenset()
    atoms = sorted({atom for one in rows for atom in ir.atoms_of(one.region)}, key=lambda atom: atom.key)
    possible = worlds(atoms)
    for at, earlier in enumerate(rows):
        for later in rows[at + 1 :]:
            if made.arms[earlier.part] == made.arms[later.part]:
                continue
            both = any(ir.evaluate(earlier.region, one) and ir.evaluate(later.region, two) for one, two in possible)
            assert not both or earlier.part in guards(later), (earlier.part, later.part)
            assert not any(ir.evaluate(earlier.region, one) and ir.evaluate(later.region, one) for one, _ in possible)
    # Nobody is reached who does not stand there.
    assert all(source.key in one for send in rows for one, _ in possible if ir.evaluate(send.region, one))
    assert all(len(recipient_leaves(send.recipient)) <= RECIPIENT_LEAVES_MAX for send in rows)


def test_an_arm_that_others_come_into_is_sent_first() -> None:
    """Who clicks between two sends comes from `otherwise` into the arm of clicks, never back: no receipt is needed."""
    made, _ = compiled(f"NOT {CLICK} -> send one", "otherwise -> send two")
    assert [made.messages[one.part] for one in sends(made)] == [("two",), ("one",)]
    assert [guards(one) for one in sends(made)] == [set(), set()]


def test_each_step_of_an_arm_is_sent_by_itself() -> None:
    made, _ = compiled(f"{CLICK} -> {{ send one  send two, three }}", "otherwise -> {}")
    assert [made.messages[one.part] for one in sends(made)] == [("one",), ("two", "three")]


def test_what_is_known_of_each_person_is_told_from_what_line_knows() -> None:
    (flow,) = project_of(f"{CLICK} AND {BUYER} -> send one", "otherwise -> send two").flows
    (cohort,) = cohorts_of(flow, frozenset())
    assert [atom.key for atom in own_atoms(cohort, frozenset())] == [ir.Uploaded("buyers").key]
