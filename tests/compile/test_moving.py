"""Data that move between an approval and a send: nobody comes in, and whoever is excluded by then stays out, although
facts that held of the data then, and hold of those now, do not hold of what is made of both."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from compile_make import FRIENDS, attribute, clicked, delivery, less, project, purchased, uploaded
from compile_world import Person, people, reached, subsets, wanted
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from audsql.apply.world import Polarity, exclusions
from audsql.compile.project import compile_project
from audsql.meaning import ir

BOUGHT, NINETY, THIRTY = purchased("A"), purchased("A", 90), purchased("A", 30)
OWN = [uploaded("a"), uploaded("b"), BOUGHT, NINETY, THIRTY]
OTHERS = [clicked("m"), attribute("gender", "male"), FRIENDS]
WITHIN = [(THIRTY.key, BOUGHT.key), (NINETY.key, BOUGHT.key), (THIRTY.key, NINETY.key)]
POSSIBLE = [
    frozenset(keys)
    for keys in subsets([one.key for one in OWN])
    if not any(inner in keys and outer not in keys for inner, outer in WITHIN)
]
MEN = attribute("gender", "male")


def _combined(parts: st.SearchStrategy[ir.Expression]) -> st.SearchStrategy[ir.Expression]:
    pairs = st.tuples(parts, parts)
    return st.one_of(
        pairs.map(lambda pair: ir.land(*pair)),
        pairs.map(lambda pair: ir.lor(*pair)),
        pairs.map(lambda pair: less(*pair)),
    )


EXPRESSIONS = st.recursive(st.sampled_from([*OWN, *OWN, *OTHERS]), _combined, max_leaves=8)


def _at_the_send(
    then: frozenset[str], now: frozenset[str], keys: frozenset[str], polarity: Polarity
) -> frozenset[str] | None:
    """The own atoms of a person as apply has them; None where it stops, for something both adds and subtracts."""
    if any((key in then) != (key in now) for key in polarity.mixed):
        return None
    return frozenset(key for key in keys if key in then or (key in polarity.subtracted and key in now))


@settings(max_examples=60, deadline=None)
@given(reach=EXPRESSIONS)
@example(reach=less(BOUGHT, ir.land(THIRTY, MEN)))
@example(reach=ir.land(NINETY, BOUGHT, ir.lnot(ir.land(FRIENDS, MEN, THIRTY, uploaded("a")))))
def test_only_who_was_approved_and_is_not_excluded_by_now_is_reached(reach: ir.Expression) -> None:
    assume(not isinstance(reach, ir.Constant) and not ir.evaluate(reach, frozenset()))
    program, problems = compile_project(project(delivery("sale", reach)))
    assume(not problems)
    (done,) = program.deliveries
    polarity = exclusions([done])
    kinds: dict[frozenset[str], list[Person]] = {}
    for person in people(reach):
        kinds.setdefault(person.own, []).append(person)
    keys = frozenset(atom.key for atom in ir.atoms_of(reach))
    for then, now in product(POSSIBLE, POSSIBLE):
        own = _at_the_send(then, now, keys, polarity)
        for person in kinds.get(own, ()) if own is not None else ():
            got = [one for one in done.sends if reached(one, person, program, not_includes_unknown=False)]
            assert len(got) <= 1
            for held in (then, then | now) if got else ():
                allowed = wanted(reach, replace(person, own=held & keys), not_includes_unknown=False)
                assert allowed, (person, sorted(then), sorted(now))
