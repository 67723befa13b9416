"""Deliveries that take more than one tree fits: which step makes them fit, and that everybody still gets one send."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import date
from itertools import combinations

import pytest
from compile_make import attribute, compiled, delivery, project, refused, tag, uploaded
from compile_world import gets, kinds_of_own, most_sends, people, reached, wanted

from audsql.compile import sends
from audsql.compile.bind import without_empty
from audsql.compile.program import Narrowcast, RedeliveryLeaf, recipient_leaves
from audsql.compile.project import compile_project
from audsql.compile.sends import working_of
from audsql.compile.working import Working
from audsql.line.limits import RECIPIENT_LEAVES_MAX
from audsql.meaning import ir

SWEEP = bool(os.environ.get("AUDSQL_SWEEP"))
COUNT = 400 if SWEEP else 12
START = 0 if SWEEP else date.today().toordinal() % 300
TAGS = [tag(f"t{number:02}") for number in range(60)]
LISTS = [uploaded(name) for name in "abcde"]
SPLITS = {"split_own", "split_uploads", "split_line", "split_receipts"}


def _joined(draw: random.Random, parts: list[ir.Expression]) -> ir.Expression:
    while len(parts) > 1:
        one, two = (parts.pop(draw.randrange(len(parts))) for _ in range(2))
        parts.append(draw.choice([ir.land(one, two), ir.lor(one, two), ir.land(one, ir.lnot(two))]))
    return parts[0] if not ir.evaluate(parts[0], frozenset()) else ir.land(uploaded("z"), parts[0])


def mixed(seed: int) -> ir.Expression:
    """A random tree over lists and tags, each of which may stand in it several times."""
    draw = random.Random(seed)
    lists, tags = LISTS[: draw.randint(1, 5)], TAGS[: draw.randint(2, 6)]
    return _joined(draw, [draw.choice(lists + tags) for _ in range(draw.randint(6, 22))])


def by_two_tags(seed: int) -> ir.Expression:
    """For two attributes another choice of lists in each of the four states of two tags."""
    draw = random.Random(seed)
    lists, (one, two) = LISTS[: draw.randint(3, 4)], TAGS[:2]
    states = [
        ir.land(one, two),
        ir.land(one, ir.lnot(two)),
        ir.land(ir.lnot(one), two),
        ir.land(ir.lnot(one), ir.lnot(two)),
    ]

    def some() -> ir.Expression:
        parts = [draw.choice(lists) for _ in range(draw.randint(1, 4))]
        while len(parts) > 1:
            left, right = parts.pop(), parts.pop(0)
            either = ir.lor(ir.land(left, ir.lnot(right)), ir.land(right, ir.lnot(left)))
            parts.append(
                draw.choice([ir.land(left, right), ir.lor(left, right), ir.land(left, ir.lnot(right)), either])
            )
        return parts[0]

    first, second = (ir.lor(*(ir.land(some(), state) for state in states)) for _ in range(2))
    return ir.lor(ir.land(first, attribute("gender", "female")), ir.land(second, attribute("os", "ios")))


def wide(seed: int) -> ir.Expression:
    """Several products of tags and lists."""
    draw = random.Random(seed)
    lists, tags = LISTS[: draw.randint(0, 3)], TAGS[: draw.randint(4, 6)]

    def product() -> ir.Expression:
        parts = [draw.choice([one, one, ir.lnot(one)]) for one in draw.sample(tags, draw.randint(1, 3))]
        if lists and draw.random() < 0.7:
            parts.append(draw.choice([draw.choice(lists), ir.lnot(draw.choice(lists))]))
        return ir.land(*parts)

    found = ir.lor(*(product() for _ in range(draw.randint(4, 8))))
    return found if not ir.evaluate(found, frozenset()) else ir.land(uploaded("z"), found)


def apart(lists: list[ir.Expression]) -> list[ir.Expression]:
    """Each list without the earlier ones."""
    return [ir.land(one, *(ir.lnot(other) for other in lists[:at])) for at, one in enumerate(lists)]


def mux(one: ir.Expression, two: ir.Expression) -> ir.Expression:
    """One of four lists by the state of two tags."""
    a, b, c, d, _ = LISTS
    return ir.lor(
        ir.land(a, one, two),
        ir.land(b, one, ir.lnot(two)),
        ir.land(c, ir.lnot(one), two),
        ir.land(d, ir.lnot(one), ir.lnot(two)),
    )


def most_of_five() -> ir.Expression:
    return ir.lor(*(ir.land(*three) for three in combinations(TAGS[:5], 3)))


CASES: dict[str, tuple[Callable[[], ir.Expression], str, int, int]] = {
    "another code": (lambda: mixed(802), "encoding", 1, 3),
    "one more upload": (lambda: mixed(955), "one_more_upload", 1, 3),
    "an upload for each state of two tags": (lambda: by_two_tags(1), "four_uploads", 3, 8),
    "groups with three tags each": (
        lambda: ir.lor(*(ir.land(one, *TAGS[3 * at : 3 * at + 3]) for at, one in enumerate(apart(LISTS[:3])))),
        "split_own", 2, 2,
    ),
    "groups with an upload each": (lambda: mixed(116), "split_uploads", 2, 8),
    "four lists by two tags, a fifth, another tag": (
        lambda: ir.lor(ir.land(mux(*TAGS[:2]), LISTS[4]), TAGS[2]), "split_own", 2, 4,
    ),
    "four lists by two tags or another tag, within a fifth": (
        lambda: ir.land(ir.lor(mux(*TAGS[:2]), TAGS[2]), LISTS[4]), "split_receipts", 2, 5,
    ),
    "three of five tags": (most_of_five, "split_line", 2, 0),
    "thirteen tags": (lambda: ir.lor(*TAGS[:13]), "split_receipts", 2, 0),
    "twelve tags without a list": (
        lambda: ir.land(ir.lor(*TAGS[:12]), ir.lnot(LISTS[0])), "split_receipts", 2, 1,
    ),
}  # fmt: skip


def _working(reach: ir.Expression) -> Working | None:
    return working_of(delivery("sale", reach), {}, {}, {})


def _step(working: Working) -> str:
    return next((one.step for one in working.cover.fallbacks if one.taken), "none")


@pytest.mark.parametrize("name", CASES)
def test_each_step_is_taken_where_it_fits_with_the_fewest_sends(name: str) -> None:
    reach, step, count, uploads = CASES[name]
    working = _working(reach())
    assert working is not None
    assert (_step(working), len(working.sends), len(working.uploads)) == (step, count, uploads)
    (taken,) = (one for one in working.cover.fallbacks if one.taken)
    fitting = [one.sends for one in working.cover.fallbacks if one.leaves <= RECIPIENT_LEAVES_MAX]
    assert taken.sends == min(fitting)
    assert (taken.sends, taken.uploads) == (count, uploads)
    assert taken.more_sends == count - len(working.parts)
    assert (taken.more_sends > 0) == (step in SPLITS)


@pytest.mark.parametrize("name", CASES)
def test_everybody_gets_one_send_however_many_there_are(name: str) -> None:
    _reached_once(CASES[name][0]())


def test_random_sets_that_are_divided_reach_everybody_once() -> None:
    divided = 0
    for seed in range(START, START + COUNT):
        working = _working(wide(seed))
        if working is not None and _step(working) in SPLITS:
            divided += 1
            _reached_once(wide(seed))
    assert divided >= 1


def _reached_once(reach: ir.Expression) -> None:
    """Whoever is in the set gets one send, nobody else one, and is in the set that is told of that send alone."""
    program, problems = compile_project(project(delivery("sale", reach)))
    assert not [problem for problem in problems if problem.severity == "error"]
    done = program.deliveries[0]
    readings = (True, False) if any(isinstance(atom, ir.Attribute) for atom in ir.atoms_of(reach)) else (True,)
    for reading in readings:
        for person in people(reach):
            got = gets(done, person, program, not_includes_unknown=reading)
            assert len(got) == wanted(reach, person, not_includes_unknown=reading), person
            told = [one for one in done.sends if _told(one, person.truths())]
            assert told == got or len(readings) > 1, person
    for send in done.sends:
        assert isinstance(send, Narrowcast)
        assert 1 <= len(recipient_leaves(send.recipient)) <= RECIPIENT_LEAVES_MAX


def _told(send: object, truths: frozenset[str]) -> bool:
    assert isinstance(send, Narrowcast)
    return ir.evaluate(send.region, truths)


# --- receipts ---------------------------------------------------------------------------------------


def test_sends_that_overlap_leave_out_who_got_an_earlier_one() -> None:
    done, _ = compiled(ir.lor(*TAGS[:25]))
    leaves = [recipient_leaves(send.recipient) for send in done.sends if isinstance(send, Narrowcast)]
    assert [len(found) for found in leaves] == [10, 10, 8]
    guards = [[leaf.part for leaf in found if isinstance(leaf, RedeliveryLeaf)] for found in leaves]
    assert guards == [[], [0], [0, 1]]


@pytest.mark.parametrize("seed", range(START % 50, START % 50 + 6))
def test_nobody_gets_two_of_the_sends_whatever_changes_at_line(seed: int) -> None:
    """Random unions of more products of four tags than one tree takes."""
    draw = random.Random(seed)
    reach = ir.lor(*(ir.land(*draw.sample(TAGS[:5], 3)) for _ in range(6)), ir.land(LISTS[0], *TAGS[3:5]))
    program, problems = compile_project(project(delivery("sale", reach)))
    assert not problems
    for own in kinds_of_own(program, reach):
        assert most_sends(program.deliveries[0], program, reach, own) <= 1


def test_a_send_that_reached_nobody_leaves_its_people_to_the_later_one() -> None:
    """The guard goes with it: those whom both let in get the second, and still nobody outside of the set does."""
    reach = ir.lor(*TAGS[:12])
    done, program = compiled(reach)
    assert len(done.sends) == 2
    _, second = without_empty(done, program, frozenset({"redelivery(sale; 0)"})).sends
    assert isinstance(second, Narrowcast) and second.recipient is not None
    assert not any(isinstance(leaf, RedeliveryLeaf) for leaf in recipient_leaves(second.recipient))
    more = 0
    for person in people(reach):
        late = reached(second, person, program, not_includes_unknown=True)
        assert not late or wanted(reach, person, not_includes_unknown=True)
        more += late and second not in gets(done, person, program, not_includes_unknown=True)
        assert late or not reached(done.sends[1], person, program, not_includes_unknown=True)
    assert more


# --- what no number of sends reaches ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "needed", "part"),
    [
        (ir.land(*TAGS[:11]), 11, ir.land(*TAGS[:11])),
        (ir.lor(LISTS[1], ir.land(LISTS[0], *TAGS[:10])), 11, ir.land(LISTS[0], ir.lnot(LISTS[1]), *TAGS[:10])),
        (ir.lor(*TAGS[12:16], ir.land(*TAGS[:12])), 12, ir.land(*TAGS[:12])),
    ],
)
def test_the_smallest_part_that_fits_in_no_send_is_named(
    reach: ir.Expression, needed: int, part: ir.Expression
) -> None:
    problem = refused(reach)
    facts = dict(problem.facts)
    assert (problem.code, facts["needed"]) == ("AUD0401", needed)
    said = str(facts["expression"])
    assert {f'"{atom.name}"' for atom in ir.atoms_of(part) if isinstance(atom, ir.RemoteAudience)} == {
        word for word in said.replace("(", " ").replace(")", " ").split() if word.startswith('"')
    }


def test_each_send_more_leaves_a_place_less() -> None:
    """Ten sends with ten places, less a guard for each earlier one, are 55 tags."""
    assert len(compiled(ir.lor(*TAGS[:55]))[0].sends) == 10
    assert refused(ir.lor(*TAGS[:56])).code == "AUD0401"


def test_more_sends_than_line_takes_an_hour_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those into which a delivery is divided are counted as well."""
    reach = CASES["groups with three tags each"][0]()
    assert len(compiled(reach)[0].sends) == 2
    monkeypatch.setattr(sends, "SENDS_MAX", 1)
    problem = refused(reach)
    assert (problem.code, dict(problem.facts)["sends"]) == ("AUD0403", 2)


def test_a_parity_of_ten_tags_is_refused() -> None:
    total = TAGS[0]
    for one in TAGS[1:10]:
        total = ir.lor(ir.land(total, ir.lnot(one)), ir.land(one, ir.lnot(total)))
    assert refused(total).code == "AUD0401"
