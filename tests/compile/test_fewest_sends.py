"""The sends of a delivery are as few as brute force finds, and nobody gets two while LINE changes in between."""

from __future__ import annotations

import os
from collections import Counter
from datetime import date

import pytest
from compile_make import FRIENDS, attribute, clicked, compiled, delivery, less, opened, project, received, tag, uploaded
from compile_world import (
    Person,
    gets,
    in_recipient,
    kinds_of_own,
    most_sends,
    people,
    wanted,
)
from naive_sends import Asked, Grid, asked, asked_of_three, grid, named, sends_min

from audsql.compile.bind import without_empty
from audsql.compile.fewest import covered
from audsql.compile.least import Least
from audsql.compile.program import (
    AgeBetween,
    AllOf,
    AudienceLeaf,
    CompiledDelivery,
    GenderIn,
    Narrowcast,
    Program,
    RedeliveryLeaf,
    recipient_leaves,
)
from audsql.compile.project import compile_project
from audsql.compile.sends import split_of, working_of
from audsql.compile.trees import leaf_key
from audsql.line.limits import AGE_TIERS, RECIPIENT_LEAVES_MAX
from audsql.meaning import ir

SWEEP = bool(os.environ.get("AUDSQL_SWEEP"))
PARTS = 50
PART = date.today().toordinal() % PARTS
TWENTIES, THIRTIES = attribute("age", "age_20", "age_25"), attribute("age", "age_30", "age_35")


def _part(part: int) -> range:
    return range(part * 100, part * 100 + 100)


# --- as few as can be -------------------------------------------------------------------------------


def test_the_brute_force_knows_what_it_should() -> None:
    """People of two ages and two lists: three rows, two filters; two areas overlap, so their rows stay."""
    apart = ir.lor(ir.land(uploaded("a"), TWENTIES), ir.land(uploaded("b"), THIRTIES))
    assert (len(grid(apart, ()).rows), sends_min(grid(apart, ()))) == (3, 2)
    tokyo, osaka = attribute("area", "jp_13"), attribute("area", "jp_27")
    beside = ir.lor(ir.land(uploaded("a"), tokyo), ir.land(uploaded("b"), osaka))
    assert (len(grid(beside, ()).rows), sends_min(grid(beside, ()))) == (3, 3)
    assert sends_min(Grid((0b011, 0b101, 0b110, 0b111), (1, 2, 4, 3, 5, 6, 7))) == 3


@pytest.mark.parametrize("part", range(PARTS) if SWEEP else [PART])
def test_sends_are_as_few_as_brute_force_finds(part: int, capsys: pytest.CaptureFixture[str]) -> None:
    """5,000 random sets in fifty parts; without AUDSQL_SWEEP one part, another each day."""
    found: Counter[tuple[str, str]] = Counter()
    for number in _part(part):
        found += checked(number)
    assert found["fewer", "than rows"] >= 5
    if SWEEP:
        with capsys.disabled():
            sizes = {int(value): count for (what, value), count in found.items() if what == "sends"}
            print(f"\n{part}: sends {', '.join(named(sizes))}; fewer than rows {found['fewer', 'than rows']}")


def checked(number: int) -> Counter[tuple[str, str]]:
    """A random set is sent in as few sends as brute force finds; how many, and whether rows would be more."""
    one = asked(number)
    least = _checked(one, number)
    if least is None:
        return Counter({("refused", "AUD0411"): 1})
    fewer = least < len(grid(one.expression, one.impossible).rows)
    return Counter({("sends", str(least)): 1, ("fewer", "than rows"): int(fewer)})


def _checked(one: Asked, number: int) -> int | None:
    """The fewest sends of a random set; None where it is refused."""
    least = sends_min(grid(one.expression, one.impossible))
    working = working_of(delivery("sale", one.expression), {}, {}, {})
    if working is None:
        program, problems = compile_project(project(delivery("sale", one.expression)))
        assert not program.deliveries and problems[0].code == "AUD0411", (number, problems)
        return None
    assert working.split.sends_least.exact, number
    assert working.split.sends_least.value == len(working.sends) == least, number
    assert not working.guards.exposed and not working.guards.unsafe
    return least


def test_filters_of_three_attributes_are_as_few_as_brute_force_finds() -> None:
    fewer = 0
    for number in range(2_000) if SWEEP else range(PART * 40, PART * 40 + 40):
        expression = asked_of_three(number)
        found = grid(expression, ())
        split = split_of(delivery("sale", expression), {}, {}, {})
        assert split is not None and len(split.ways) == len(found.rows)
        few = covered(split)
        assert few.sends_least.exact, number
        assert few.sends_least.value == len(few.ways) == sends_min(found), number
        fewer += len(few.ways) < len(split.ways)
    assert fewer >= 1


@pytest.mark.parametrize("reading", [True, False])
def test_the_fewest_sends_still_reach_everybody_once(reading: bool) -> None:
    for number in list(_part(PART))[:: 1 if SWEEP else 3]:
        one = asked(number)
        program, problems = compile_project(project(delivery("sale", one.expression)))
        for person in people(one.expression) if not problems else ():
            if any(a in person.own and b not in person.own for a, b in one.impossible):
                continue
            got = gets(program.deliveries[0], person, program, not_includes_unknown=reading)
            assert len(got) == wanted(one.expression, person, not_includes_unknown=reading), number
            assert all(wanted(send.region, person, not_includes_unknown=reading) for send in got)


# --- while it is being sent -------------------------------------------------------------------------


def test_nobody_gets_two_sends_while_line_changes_in_between() -> None:
    """Between two sends clicks and opens come, tags come and go, attributes are guessed anew; data are frozen."""
    several = 0
    for number in _part(PART) if SWEEP else list(_part(PART))[::2]:
        program, problems = compile_project(project(delivery("sale", asked(number).expression)))
        if problems or len(program.deliveries[0].sends) < 2:
            continue
        several += 1
        for own in kinds_of_own(program, asked(number).expression):
            assert most_sends(program.deliveries[0], program, asked(number).expression, own) <= 1, number
    assert several >= 10


# --- what keeps sends apart -------------------------------------------------------------------------


FEMALE = attribute("gender", "female")


def _guards(done: CompiledDelivery) -> list[list[int]]:
    """For each send the earlier ones whose receivers it leaves out."""
    return [
        [
            leaf.part
            for leaf in recipient_leaves(send.recipient)
            if isinstance(leaf, RedeliveryLeaf) and leaf.delivery == done.name
        ]
        for send in done.sends
        if isinstance(send, Narrowcast)
    ]


def test_sends_that_attributes_keep_apart_leave_out_who_got_an_earlier_one() -> None:
    done, _ = compiled(ir.lor(ir.land(uploaded("a"), TWENTIES), ir.land(uploaded("b"), THIRTIES)))
    assert _guards(done) == [[], [0]]
    assert [send.filter for send in done.sends if isinstance(send, Narrowcast)] == [
        AgeBetween("age_20", "age_30"),
        AgeBetween("age_30", "age_40"),
    ]
    assert [send.region for send in done.sends if isinstance(send, Narrowcast)] == [
        ir.land(uploaded("a"), TWENTIES),
        ir.land(uploaded("b"), THIRTIES),
    ]


@pytest.mark.parametrize(
    ("expression", "guards"),
    [
        (ir.lor(uploaded("a"), FEMALE), [[], []]),
        (ir.lor(clicked("m"), FEMALE), [[], []]),
        (ir.lor(opened("m"), FEMALE), [[], []]),
        (ir.lor(received("m"), FEMALE), [[], []]),
        (ir.lor(tag("vip"), FEMALE), [[], [0]]),
        (ir.lor(ir.land(uploaded("a"), tag("vip")), ir.land(uploaded("a"), FEMALE)), [[], [0]]),
        (ir.land(uploaded("a"), ir.lor(less(FRIENDS, clicked("m")), FEMALE)), [[], []]),
    ],
)
def test_only_what_can_change_the_wrong_way_is_guarded(expression: ir.Expression, guards: list[list[int]]) -> None:
    assert _guards(compiled(expression)[0]) == guards


def test_what_grows_goes_first() -> None:
    """Whoever has not clicked gets the part without a filter, who has the filtered one: sent in this order somebody who
    clicks in between would get both, so the filtered one is first."""
    done, _ = compiled(less(uploaded("a"), less(clicked("m"), FEMALE)))
    first, second = done.sends
    assert isinstance(first, Narrowcast) and isinstance(second, Narrowcast)
    assert first.filter == GenderIn(("female",)) and second.filter is None
    assert (first.part, second.part) == (0, 1)


def test_a_single_send_has_no_guard() -> None:
    done, _ = compiled(ir.land(tag("vip"), ir.lnot(clicked("m")), FEMALE))
    assert _guards(done) == [[]]


def test_guards_that_do_not_fit_are_told() -> None:
    tags = [tag(f"t{number}") for number in range(RECIPIENT_LEAVES_MAX)]
    program, problems = compile_project(project(delivery("sale", ir.lor(*tags, FEMALE))))
    (problem,) = problems
    assert (problem.code, problem.severity, problem.fact("sends")) == ("AUD0412", "warning", 2)
    assert problem.fact("atom") == 'chat_tag("t0")'
    assert _guards(program.deliveries[0]) == [[], []]
    assert _guards(compiled(ir.lor(*tags[1:], FEMALE))[0]) == [[], [0]]
    wide = ir.lor(*(clicked(f"m{number}") for number in range(RECIPIENT_LEAVES_MAX)), FEMALE)
    assert _guards(compiled(wide)[0]) == [[], []]


def test_rows_are_sent_where_the_guards_of_fewer_sends_do_not_fit() -> None:
    """Two lists of ten tags each: nothing is left for a guard, and the three rows are apart by own data."""
    tags = [tag(f"t{number}") for number in range(RECIPIENT_LEAVES_MAX - 1)]
    one = ir.land(uploaded("a"), TWENTIES)
    other = ir.land(uploaded("b"), THIRTIES)
    reach = ir.land(*tags, ir.lor(one, other))
    working = working_of(delivery("sale", reach), {}, {}, {})
    program, _ = compile_project(project(delivery("sale", reach)))
    assert working is not None and not working.guards.unsafe
    for send in program.deliveries[0].sends:
        assert isinstance(send, Narrowcast) and len(recipient_leaves(send.recipient)) <= RECIPIENT_LEAVES_MAX
    for own in kinds_of_own(program, reach):
        assert _most_by_attributes(program, own, frozenset(one.key for one in ir.atoms_of(ir.land(*tags)))) <= 1


def _most_by_attributes(program: Program, own: frozenset[str], line: frozenset[str]) -> int:
    """Sends that one person can get whose attributes change while all else stays."""
    got: frozenset[str] = frozenset()
    for send in program.deliveries[0].sends:
        assert isinstance(send, Narrowcast)
        if send.recipient is None or in_recipient(send.recipient, Person(own, line | got, {}), program):
            got |= {f"redelivery(sale; {send.part})"}
    return len(got)


def test_a_guard_goes_with_the_part_that_was_not_sent() -> None:
    done, program = compiled(ir.lor(ir.land(uploaded("a"), TWENTIES), ir.land(uploaded("b"), THIRTIES)))
    first, second = (send.recipient for send in done.sends if isinstance(send, Narrowcast))
    assert isinstance(first, AudienceLeaf) and isinstance(second, AllOf)
    bound = without_empty(done, program, frozenset({first.key, leaf_key(RedeliveryLeaf("sale", 0))}))
    (send,) = bound.sends
    assert isinstance(send, Narrowcast) and send.part == 1
    assert send.recipient == next(part for part in second.operands if isinstance(part, AudienceLeaf))


# --- bounds -----------------------------------------------------------------------------------------


def _least(expression: ir.Expression) -> Least:
    working = working_of(delivery("sale", expression), {}, {}, {})
    assert working is not None
    return working.split.sends_least


def _tier(number: int) -> ir.Expression:
    return attribute("age", f"age_{AGE_TIERS[number]}")


def test_each_bound_says_why() -> None:
    assert _least(uploaded("a")) == Least(1, "one", exact=True)
    assert _least(ir.lor(uploaded("a"), FEMALE)) == Least(2, "rank", exact=True)
    pairs = ir.lor(*(ir.land(uploaded(name), attribute("area", f"jp_{at + 10}")) for at, name in enumerate("abc")))
    assert _least(pairs) == Least(7, "rests", exact=True)
    ages = ir.lor(*(ir.land(uploaded(name), _tier(at)) for at, name in enumerate("abcd")))
    assert _least(ages) == Least(4, "rank", exact=True)


def test_many_exclusive_tiers_are_as_many_sends() -> None:
    """Six lists with an age each are 63 rows, more than LINE lets an account send, and six sends."""
    reach = ir.lor(*(ir.land(uploaded(f"u{at}"), _tier(at)) for at in range(6)))
    done, _ = compiled(reach)
    assert len(done.sends) == 6
    assert _guards(done) == [list(range(number)) for number in range(6)]


def test_beyond_the_search_rows_are_an_upper_bound() -> None:
    """Twelve areas with NOT and without: people can be in any of thousands of sets of them, which are not gone through.
    What rank proves is proved all the same."""
    areas = [attribute("area", f"jp_{number}") for number in range(10, 22)]
    wide = ir.lor(ir.land(uploaded("c"), ir.land(*areas[:5])), ir.land(uploaded("d"), ir.lnot(ir.lor(*areas[5:10]))))
    tens = [less(areas[10], areas[11]), less(areas[11], areas[10])]
    halves = ir.lor(ir.land(uploaded("a"), tens[0]), ir.land(uploaded("b"), tens[1]))
    assert _least(halves) == Least(2, "rank", exact=True)
    far = ir.lor(halves, wide, ir.land(uploaded("e"), ir.lor(areas[0], *(ir.lnot(one) for one in areas[:5]))))
    working = working_of(delivery("sale", far), {}, {}, {})
    assert working is not None
    least = working.split.sends_least
    assert least.value < len(working.split.ways) and not least.exact


def test_the_same_sends_come_out_every_time() -> None:
    reach = ir.lor(*(ir.land(uploaded(name), _tier(at)) for at, name in enumerate("abcd")))
    assert repr(compiled(reach)) == repr(compiled(reach))


def test_two_lists_of_a_split_with_an_age_each_are_two_sends() -> None:
    """Arms of a split, samples and priorities are sets like any other; arms exclude each other, so no row is both."""
    arms = [ir.land(uploaded("a"), ir.leaf(ir.Bucket("one", low, low + 5_000))) for low in (0, 5_000)]
    done, program = compiled(ir.lor(ir.land(arms[0], TWENTIES), ir.land(arms[1], THIRTIES)))
    assert len(done.sends) == 2 and _guards(done) == [[], []]
    assert len(program.uploads) == 2


def test_what_a_priority_leaves_over_is_as_few_sends() -> None:
    first = ir.lor(ir.land(uploaded("a"), TWENTIES), ir.land(uploaded("b"), THIRTIES))
    second = less(
        ir.lor(ir.land(uploaded("c"), TWENTIES), ir.land(uploaded("d"), THIRTIES)), uploaded("a"), uploaded("b")
    )
    program, problems = compile_project(project(delivery("first", first), delivery("second", second)))
    assert not problems
    assert [len(one.sends) for one in program.deliveries] == [2, 2]
