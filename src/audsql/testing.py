"""Runs the `test` statements of a project in small worlds of named people, without data and without LINE.

A person is the set of atoms that they satisfy. Atoms that are not given have nobody, except that whoever
is in a given refinement is in its plain atom too; `friends` is everybody named, unless given; shares follow from
the hash of each name, unless an arm of their split is given; ids of every kind are the person's name. `prove`
speaks of every possible world, so it looks at no given (specs/language/07-tests.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, product

from audsql.diag import Diagnostic, Label, error, has_errors
from audsql.meaning import algebra, ir
from audsql.meaning.cases import CountCase, ExpectCase, GivenCase, ProveCase, TestCase
from audsql.meaning.lineage import with_parts
from audsql.meaning.lower import Analysis
from audsql.meaning.splits import bucket_of
from audsql.records import dataclass
from audsql.source import Span

__all__ = ["TestResult", "run_tests"]

_READINGS_MAX = 4_096

World = Mapping[str, tuple[frozenset[str], ...]]
"""Each person with the atoms (keys) that they satisfy; several sets where a given leaves it open."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """Whether one test holds. `broken`: it could not run, for errors that checking the project tells."""

    title: str
    ok: bool
    diagnostics: tuple[Diagnostic, ...]
    span: Span
    broken: bool = False

    # pytest collects classes of this name otherwise.
    __test__ = False


def run_tests(analysis: Analysis) -> tuple[TestResult, ...]:
    """Every test of the project in the order of its files."""
    verbs = algebra.verbs_of(analysis.project)
    return tuple(_run(test, verbs) for test in analysis.tests)


def _run(test: TestCase, verbs: algebra.Verbs) -> TestResult:
    if test.broken:
        return TestResult(test.title, False, (), test.span, broken=True)
    problems = [*_given_problems(test, verbs), *_arm_problems(test, verbs)]
    if not problems:
        problems.extend(_expectation_problems(test))
    for proof in test.proofs:
        problem = _proof_problem(proof, verbs)
        if problem is not None:
            problems.append(problem)
    return TestResult(test.title, not has_errors(problems), tuple(problems), test.span)


# --- worlds -----------------------------------------------------------------------------------------


def _people(test: TestCase) -> tuple[str, ...]:
    named: set[str] = set()
    for given in test.givens:
        named |= given.people
    for expectation in test.expectations:
        if isinstance(expectation, ExpectCase):
            named |= expectation.people
    return tuple(sorted(named))


def _atoms(test: TestCase) -> tuple[ir.Atom, ...]:
    found = {atom.key: atom for given in test.givens for atom in given.atoms}
    sets = [expectation.expression for expectation in test.expectations]
    for expression in (*sets, *(given.within for given in test.givens if given.within is not None)):
        found.update({atom.key: atom for atom in ir.atoms_of(expression)})
    return with_parts(found[key] for key in sorted(found))


def _world(test: TestCase) -> World:
    """The people of the test, each with the sets of atoms that the givens leave possible."""
    atoms = _atoms(test)
    facts = algebra.certain_facts(atoms)
    friends = {atom.key for atom in atoms if isinstance(atom, ir.Friends)}
    friends -= {atom.key for given in test.givens for atom in given.atoms}
    world: dict[str, tuple[frozenset[str], ...]] = {}
    for person in _people(test):
        mine = [given for given in test.givens if person in given.people]
        shares = _shares(person, atoms, test.givens)
        readings = {
            _with_mapped(algebra.closed({*friends, *shares, *chosen}, facts), atoms, facts)
            for chosen in islice(product(*([atom.key for atom in given.atoms] for given in mine)), _READINGS_MAX)
        }
        possible = [reading for reading in readings if algebra.possible(reading, facts)]
        world[person] = tuple(sorted(possible or readings, key=sorted))
    return world


def _shares(person: str, atoms: Sequence[ir.Atom], givens: Sequence[GivenCase]) -> Iterator[str]:
    """The buckets (keys) that the person's name falls into; those of a split with a given arm are given alone."""
    given = {atom.salt for one in givens for atom in one.atoms if isinstance(atom, ir.Bucket)}
    for atom in atoms:
        if (
            isinstance(atom, ir.Bucket)
            and atom.salt not in given
            and atom.low <= bucket_of(atom.salt, person) < atom.high
        ):
            yield atom.key


def _with_mapped(keys: frozenset[str], atoms: Sequence[ir.Atom], facts: algebra.Facts) -> frozenset[str]:
    """The atoms (keys) with the mapped sets whose parts hold: people have the same name in every kind of id.
    `atoms`: each after its parts."""
    for atom in atoms:
        if isinstance(atom, ir.Mapped) and ir.evaluate(atom.inner, keys):
            keys = algebra.closed({*keys, atom.key}, facts)
    return keys


def _arm_problems(test: TestCase, verbs: algebra.Verbs) -> Iterator[Diagnostic]:
    """Givens of an arm whose people the other givens do not have in the split set."""
    if all(given.within is None for given in test.givens):
        return
    world = _world(test)
    for given in test.givens:
        if given.within is None:
            continue
        inside, unsettled = _members(given.within, world)
        outside = given.people - inside - {*unsettled}
        if outside:
            inner, outer = _words(given, verbs), algebra.to_words(given.within, verbs)
            yield error("AUD0906", given.span, people=tuple(sorted(outside)), inner=inner, outer=outer)


def _given_problems(test: TestCase, verbs: algebra.Verbs) -> Iterator[Diagnostic]:
    """Givens that stand twice, or that no world can satisfy at once."""
    first: dict[tuple[str, ...], GivenCase] = {}
    for given in test.givens:
        keys = tuple(sorted(atom.key for atom in given.atoms))
        if keys in first:
            yield error("AUD0908", given.span, labels=[Label(first[keys].span, "first")], atom=_words(given, verbs))
        first.setdefault(keys, given)
    facts = algebra.certain_facts(tuple(atom for given in test.givens for atom in given.atoms))
    for index, left in enumerate(test.givens):
        for right in test.givens[index + 1 :]:
            yield from _broken_fact(left, right, facts, verbs)


def _broken_fact(left: GivenCase, right: GivenCase, facts: algebra.Facts, verbs: algebra.Verbs) -> Iterator[Diagnostic]:
    if _always(left, right, facts.implications) and left.people - right.people:
        yield _outside(left, right, verbs)
    elif _always(right, left, facts.implications) and right.people - left.people:
        yield _outside(right, left, verbs)
    both = left.people & right.people
    if both and _always_exclude(left, right, facts.exclusions):
        yield error(
            "AUD0907",
            right.span,
            labels=[Label(left.span, "other")],
            people=tuple(sorted(both)),
            left=_words(left, verbs),
            right=_words(right, verbs),
        )


def _always(left: GivenCase, right: GivenCase, implications: Iterable[tuple[str, str]]) -> bool:
    known = set(implications)
    return all(any((a.key, b.key) in known for b in right.atoms) for a in left.atoms)


def _always_exclude(left: GivenCase, right: GivenCase, exclusions: Iterable[tuple[str, str]]) -> bool:
    known = set(exclusions)
    return all((a.key, b.key) in known or (b.key, a.key) in known for a in left.atoms for b in right.atoms)


def _outside(inner: GivenCase, outer: GivenCase, verbs: algebra.Verbs) -> Diagnostic:
    return error(
        "AUD0906",
        inner.span,
        labels=[Label(outer.span, "other")],
        people=tuple(sorted(inner.people - outer.people)),
        inner=_words(inner, verbs),
        outer=_words(outer, verbs),
    )


def _words(given: GivenCase, verbs: algebra.Verbs) -> str:
    return algebra.to_words(ir.lor(*(ir.leaf(atom) for atom in given.atoms)), verbs)


# --- expectations -----------------------------------------------------------------------------------


def _expectation_problems(test: TestCase) -> Iterator[Diagnostic]:
    world = _world(test)
    for expectation in test.expectations:
        inside, open_people = _members(expectation.expression, world)
        if open_people:
            yield error("AUD0909", expectation.span, people=tuple(open_people))
        elif isinstance(expectation, CountCase):
            if len(inside) != expectation.count:
                yield error(
                    "AUD0902",
                    expectation.span,
                    expected=expectation.count,
                    found=len(inside),
                    people=tuple(sorted(inside)),
                )
        elif inside != expectation.people:
            yield error(
                "AUD0901",
                expectation.span,
                missing=tuple(sorted(expectation.people - inside)),
                unexpected=tuple(sorted(inside - expectation.people)),
                found=tuple(sorted(inside)),
            )


def _members(expression: ir.Expression, world: World) -> tuple[frozenset[str], Sequence[str]]:
    """The people in the set, and those of whom the givens leave open whether they are."""
    inside: set[str] = set()
    unsettled: list[str] = []
    for person, readings in world.items():
        answers = {ir.evaluate(expression, reading) for reading in readings}
        if answers == {True}:
            inside.add(person)
        elif len(answers) > 1:
            unsettled.append(person)
    return frozenset(inside), unsettled


# --- proofs -----------------------------------------------------------------------------------------


def _proof_problem(proof: ProveCase, verbs: algebra.Verbs) -> Diagnostic | None:
    """A proof that fails, with a possible person who shows it."""
    try:
        found = _counterexample(proof)
    except algebra.Undecided as undecided:
        return error("AUD0910", proof.span, atoms=undecided.atoms)
    if found is None:
        return None
    atoms = {atom.key: atom for side in (proof.left, proof.right) for atom in ir.atoms_of(side)}
    return error(
        "AUD0903",
        proof.span,
        relation=proof.relation,
        left=algebra.to_words(proof.left, verbs),
        right=algebra.to_words(proof.right, verbs),
        inside=tuple(algebra.atom_words(atoms[key], verbs) for key in sorted(found)),
        outside=tuple(algebra.atom_words(atoms[key], verbs) for key in sorted(atoms.keys() - found)),
    )


def _counterexample(proof: ProveCase) -> frozenset[str] | None:
    if proof.relation == "=":
        return algebra.difference(proof.left, proof.right)
    if proof.relation == "within":
        return algebra.witness(ir.land(proof.left, ir.lnot(proof.right)))
    return algebra.witness(ir.land(proof.left, proof.right))
