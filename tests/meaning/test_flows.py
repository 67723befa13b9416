"""Flows as values: what is stored, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meaning_project import ACCOUNT, CARD, SHOP, codes, read, sound

from audsql.data.leaves import leaf_of
from audsql.meaning import algebra, ir
from audsql.meaning.flow import Branch, FlowStart, SendStep, WaitFor, WaitUntil
from audsql.meaning.flows import BRANCH_ARMS_MAX, FLOW_STEPS_MAX
from audsql.plan.meanings import expression_document, expression_of

WHOLE = """
policy house { always except uploaded(optout) }
policy spared { always except purchased(Z)  except for [welcome] }
flow welcome {
  start when uploaded(buyers)
  wait 3 days
  send card
  branch {
    purchased(A) -> send card
    orders() -> { wait until 12:00  send card }
    otherwise -> { wait 1 week }
  }
  exit when purchased(B)
  reentry: after 30 days
}
"""


def flow(text: str) -> ir.Flow:
    (found,) = sound(SHOP + text).project.flows
    return found


def test_a_whole_flow() -> None:
    found = flow(WHOLE)
    buyers, optout = ir.leaf(ir.Uploaded("buyers")), ir.leaf(ir.Uploaded("optout"))
    assert (found.name, found.account, found.policies) == ("welcome", "shop", ("house",))
    assert found.start == FlowStart("when", buyers)
    assert (found.exclude, found.reentry_minutes) == (optout, 30 * 24 * 60)
    wait, send, branch = found.steps
    assert (wait, send) == (WaitFor(3 * 24 * 60), SendStep(("card",)))
    assert isinstance(branch, Branch)
    assert [arm.steps for arm in branch.arms] == [
        (SendStep(("card",)),),
        (WaitUntil(12, 0), SendStep(("card",))),
        (WaitFor(7 * 24 * 60),),
    ]


def test_starts_and_defaults() -> None:
    assert flow('flow f { start on follow via "poster"  send card }\n').start == FlowStart("follow", via="poster")
    found = flow("flow f { trigger on orders  send card }\n")
    assert found.start == FlowStart("row", table="orders")
    assert (found.exit, found.exclude, found.reentry_minutes) == (ir.NOBODY, ir.NOBODY, None)
    assert flow("flow f { start on follow  send card  reentry: always }\n").reentry_minutes == 0


SETS = st.sampled_from(["uploaded(buyers)", "uploaded(optout)", "orders()", "clicked(spring)"])


@given(st.lists(SETS, min_size=1, max_size=4, unique=True), st.booleans(), st.sets(st.integers(0, 3)))
@settings(max_examples=80, deadline=None)
def test_everybody_takes_exactly_one_arm(sets: list[str], otherwise: bool, inside: set[int]) -> None:
    arms = "".join(f"    {one} -> send card\n" for one in sets) + ("    otherwise -> send card\n" if otherwise else "")
    analysis, _ = read(SHOP + f"flow f {{\n  start on follow\n  branch {{\n{arms}  }}\n}}\n")
    (branch,) = analysis.project.flows[0].steps
    assert isinstance(branch, Branch)
    atoms = sorted({atom.key for arm in branch.arms for atom in ir.atoms_of(arm.expression)})
    person = frozenset(key for index, key in enumerate(atoms) if index in inside)
    taken = [index for index, arm in enumerate(branch.arms) if ir.evaluate(arm.expression, person)]
    assert len(branch.arms) == len(sets) + 1
    assert len(taken) == 1


def test_nested_branches_need_no_recursion() -> None:
    steps = "send card"
    for _ in range(80):
        steps = f"branch {{ uploaded(buyers) -> {{ {steps} }} }}"
    found, depth = flow(f"flow f {{ start on follow  {steps} }}\n").steps, 0
    while isinstance(found[0], Branch):
        found, depth = found[0].arms[0].steps, depth + 1
    assert depth == 80


REFUSED = [
    ("start when nothing  send card", ["AUD0201"]),
    ("start when uploaded(buyers)  start when orders()  send card", ["AUD0302"]),
    ("start on follow  send card  exit when orders()  exit when orders()", ["AUD0302"]),
    ("start on follow  send card  reentry: always  reentry: never", ["AUD0302"]),
    ("start when friends EXCEPT friends  send card", ["AUD0350"]),
    ("start on follow  wait days  send card", ["AUD0225"]),
    ("start on follow  wait until noon  send card", ["AUD0225"]),
    ("start on follow  send buyers", ["AUD0204"]),
    ("trigger on buyers  send card", ["AUD0204"]),
    ("start on follow  send card  account: shp", ["AUD0207"]),
    ("start on follow  send card  account: shop  account: shop", ["AUD0302"]),
    ("start on follow  send card  exit when gone", ["AUD0201"]),
    ("start on follow  branch { gone -> send card }", ["AUD0201"]),
    ("start when NOT orders()  send card", ["AUD0261"]),
    ('start on follow via " "  send card', ["AUD0259"]),
    ("start when orders(since start)  send card", ["AUD0256"]),
    ("start when received(spring)  send card", ["AUD0330"]),
]


@pytest.mark.parametrize(("items", "wanted"), REFUSED)
def test_refused(items: str, wanted: list[str]) -> None:
    assert codes(SHOP + f"flow f {{ {items} }}\n") == wanted


def test_since_start_is_a_condition_of_its_own() -> None:
    found = flow("""flow f {
      start when purchased(A)
      wait 1 day
      branch {
        purchased(A, since start) -> send card
        purchased(A) -> send card
      }
      exit when purchased(B, since start, at least 2 times)
    }""")
    branch = found.steps[1]
    assert isinstance(branch, Branch)
    product = ir.ColumnCompare("product", "=", "A")
    assert branch.arms[0].expression == ir.leaf(ir.Rows("orders", (product, ir.SinceStart())))
    assert algebra.to_words(found.exit) == "orders(product = B, since start, at least 2 times)"
    assert algebra.within(branch.arms[0].expression, ir.leaf(ir.Rows("orders", (product,))))


def test_data_refuse_since_start() -> None:
    with pytest.raises(ValueError, match="since start"):
        leaf_of(ir.Rows("orders", (ir.SinceStart(),)), datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("Asia/Tokyo"))


def test_a_state_keeps_since_start() -> None:
    written = ir.leaf(ir.Rows("orders", (ir.SinceStart(),)))
    assert expression_of(expression_document(written)) == written


def test_a_linked_trigger_and_a_linked_start() -> None:
    tables = 'table members { file: "m.csv"  id: user_id, member_id }\n'
    sales = 'table sales { file: "s.csv"  id: member_id  time: sold_at }\n'
    assert flow(tables + sales + "flow f { trigger on sales  send card }\n").start == FlowStart("row", table="sales")
    start = flow(tables + sales + "flow f { start when sales()  send card }\n").start.expression
    assert start == ir.leaf(ir.Mapped("members", "member_id", ir.leaf(ir.Rows("sales"))))


def test_a_policy_names_the_flows_that_it_spares() -> None:
    rules = "policy house { always except uploaded(optout)  except for [f] }\n"
    spared = flow(rules + "flow f { start on follow  send card }\n")
    assert (spared.exclude, spared.policies) == (ir.NOBODY, ())


def test_a_broken_policy_leaves_no_flow_and_no_second_error() -> None:
    text = SHOP + "policy house { always except nothing }\nflow f { start on follow  send card }\n"
    analysis, problems = read(text)
    assert [problem.code for problem in problems] == ["AUD0201"]
    assert analysis.project.flows == ()


WAYS = [
    # An arm is judged by who comes to it: until the first wait those who entered.
    ("start when orders()  branch { NOT orders() -> send card }", ["AUD0251"]),
    ("start when orders()  wait 1 day  branch { NOT orders() -> send card }", []),
    ("start when orders()  branch { uploaded(buyers) -> { wait 1 day } }  branch { NOT orders() -> send card }", []),
    ("start when orders()  branch { uploaded(buyers) -> send card }  branch { NOT orders() -> send card }",
     ["AUD0251"]),
    ("start on follow  branch { purchased(A) -> { branch { purchased(*) -> send card  otherwise -> send card } } }",
     ["AUD0251"]),
    ("start on follow  branch { purchased(A) -> { branch { purchased(*) -> send card  otherwise -> {} } } }", []),
    ("start on follow  wait 1 day  branch { orders() -> send card }  exit when orders()", ["AUD0251"]),
    ("start when purchased(A)  send card  exit when orders()", ["AUD0252"]),
    ("start when purchased(A)  send card  exit when orders(since start)", []),
    ("start when uploaded(optout)  send card", ["AUD0253"]),
    ("start when orders()  send card  exit when orders() EXCEPT uploaded(optout)", ["AUD0252"]),
    ("start on follow  send card  branch { orders() -> { wait 1 day }  otherwise -> { send card  wait 2 days } }",
     ["AUD0255", "AUD0255"]),
    ("start on follow  send card  wait 1 day  wait until 12:00", ["AUD0255", "AUD0255"]),
    ("start on follow  branch { orders() -> { wait 1 day } }  send card", []),
    ("start on follow  send card  wait 1 day  reentry: after 30 days", []),
]  # fmt: skip


@pytest.mark.parametrize(("items", "wanted"), WAYS)
def test_ways(items: str, wanted: list[str]) -> None:
    policy = "policy house { always except uploaded(optout) }\n"
    assert codes(SHOP + policy + f"flow f {{ {items} }}\n") == wanted


def test_limits() -> None:
    steps = "send card  " * (FLOW_STEPS_MAX - 1)
    assert codes(SHOP + f"flow f {{ start on follow  {steps} branch {{ orders() -> {{}} }} }}\n") == []
    (problem,) = read(SHOP + f"flow f {{ start on follow  {steps} branch {{ orders() -> send card }} }}\n")[1]
    assert (problem.code, problem.fact("count")) == ("AUD0260", FLOW_STEPS_MAX + 1)
    arms = [f'purchased("{number}") -> send card  ' for number in range(BRANCH_ARMS_MAX + 1)]
    for count, wanted in ((BRANCH_ARMS_MAX, []), (BRANCH_ARMS_MAX + 1, ["AUD0264"])):
        text = "".join(arms[:count])
        assert codes(SHOP + f"flow f {{ start on follow  branch {{ {text} }} }}\n") == wanted


def test_several_accounts() -> None:
    cafe = 'account cafe { token: env("CAFE") }\n'
    text = ACCOUNT + cafe + CARD + "flow f { account: cafe  start when friends  send card }\n"
    analysis = sound(text)
    assert codes(text.replace("account: cafe", "")) == ["AUD0262"]
    assert codes(text.replace("account: cafe", "account: cofe")) == ["AUD0207"]
    assert codes(text.replace(ACCOUNT, "").replace(cafe, "").replace("account: cafe", "")) == ["AUD0263"]
    (found,) = analysis.project.flows
    assert (found.account, found.start.expression) == ("cafe", ir.leaf(ir.Friends("cafe")))
