"""Flows compiled: what cannot be known of a person is told, and branches that LINE decides are marked."""

from __future__ import annotations

import pytest

from audsql.compile.flows import arm_delivery, cohort_source, cohorts_of, readable_accounts, unknown_atoms
from audsql.compile.project import check_project, compile_project
from audsql.meaning import ir
from audsql.meaning.flow import Branch, BranchArm, Flow, FlowStart, SendStep, Step, WaitFor

BUYERS, FRIENDS = ir.leaf(ir.Uploaded("buyers")), ir.leaf(ir.Friends("shop"))
FEMALE = ir.leaf(ir.Attribute("gender", "female"))
CLICKED = ir.leaf(ir.Clicked("spring"))
CARD, WAIT = SendStep(("card",)), WaitFor(60)
POINTS = ir.Message("points", template="{{ points }}", table="members", fields=(ir.TemplateField("points", "number"),))
SPRING = ir.Delivery("spring", "shop", BUYERS, BUYERS, "uploaded(buyers)", ("card",))


def project(flow: Flow, readable: bool = False) -> ir.Project:
    return ir.Project(
        "p", "Asia/Tokyo", accounts=(ir.Account("shop", "TOKEN", followers_readable=readable),),
        messages=(ir.Message("card", text="hello"), POINTS), deliveries=(SPRING,), flows=(flow,),
    )  # fmt: skip


def flow(*steps: Step, start: ir.Expression = BUYERS, leaving: ir.Expression = ir.NOBODY) -> Flow:
    return Flow("hello", "shop", FlowStart("when", start), steps or (CARD,), leaving, ir.NOBODY)


def branch(condition: ir.Expression, *steps: Step) -> Branch:
    return Branch((BranchArm(condition, steps), BranchArm(ir.lnot(condition), (CARD,))))


def told(of: ir.Project) -> list[tuple[str, dict[str, object]]]:
    found = [one for one in check_project(of) if one.severity == "error"]
    assert [one.code for one in compile_project(of)[1] if one.severity == "error"] == [one.code for one in found]
    return [(one.code, dict(one.facts)) for one in found]


@pytest.mark.parametrize(
    ("of", "facts"),
    [
        (project(flow(start=ir.land(BUYERS, FEMALE))), ("AUD0770", "start", ("gender(female)",))),
        (project(flow(leaving=CLICKED)), ("AUD0770", "exit", ("clicked(spring)",))),
        (project(flow(start=FRIENDS)), ("AUD0771", "start", None)),
        (project(flow(CARD, branch(CLICKED, CARD, WAIT))), ("AUD0772", None, ("clicked(spring)",))),
        (project(flow(branch(CLICKED, branch(BUYERS, CARD)))), ("AUD0772", None, ("clicked(spring)",))),
        (project(flow(branch(CLICKED, SendStep(("points",))))), ("AUD0773", None, ("clicked(spring)",))),
        (project(flow(branch(FRIENDS, WAIT, CARD))), ("AUD0772", None, ("friends",))),
    ],
)
def test_what_cannot_be_known_of_a_person_is_named(
    of: ir.Project, facts: tuple[str, str | None, tuple[str, ...] | None]
) -> None:
    ((code, found),) = told(of)
    assert (code, found.get("what"), found.get("atoms")) == facts


@pytest.mark.parametrize(
    "of",
    [
        project(flow()),
        project(flow(start=FRIENDS), readable=True),
        project(flow(branch(FRIENDS, WAIT, CARD)), readable=True),
        project(flow(branch(CLICKED, CARD), WAIT, CARD)),
        project(flow(branch(BUYERS, branch(FEMALE, CARD), WAIT))),
        project(flow(branch(BUYERS, SendStep(("points",)), WAIT))),
    ],
)
def test_what_can_be_known_is_no_error(of: ir.Project) -> None:
    assert told(of) == []


def test_a_branch_that_line_decides_is_a_cohort_with_disjoint_arms() -> None:
    of = project(flow(WAIT, branch(BUYERS, branch(CLICKED, CARD, CARD), WAIT), CARD))
    readable = readable_accounts(of)
    (cohort,) = cohorts_of(of.flows[0], readable)
    assert (cohort.path, [arm.number for arm in cohort.arms]) == ("1.0.0", [0, 1])
    assert [arm.sends for arm in cohort.arms] == [
        (("1.0.0.0.0", ("card",)), ("1.0.0.0.1", ("card",))),
        (("1.0.0.1.0", ("card",)),),
    ]
    first, second = (arm_delivery(of.flows[0], cohort, arm) for arm in cohort.arms)
    here = ir.leaf(ir.Uploaded(cohort_source("hello", "1.0.0")))
    assert (first.reach, second.reach) == (ir.land(here, CLICKED), ir.land(here, ir.lnot(CLICKED)))


def test_followers_are_known_of_the_account_that_lists_them() -> None:
    other = ir.land(FRIENDS, ir.leaf(ir.Friends("cafe")), BUYERS)
    assert unknown_atoms(other, frozenset({"shop"})) == (ir.Friends("cafe"),)
    assert unknown_atoms(other, frozenset()) == (ir.Friends("cafe"), ir.Friends("shop"))
