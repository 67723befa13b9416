"""Few uploads and short trees, against counting that shares no code with the compiler.

Random functions of up to four own, three line and two attribute atoms, with and without certain facts. How many
uploads a delivery needs is counted by hand: two kinds of people known from own data must differ in an upload exactly
if some state of LINE's sets and attributes treats them apart. How many leaves a tree needs is found by listing all
functions of one leaf, of two, and so on. `AUDSQL_SWEEP=1` runs 5,000 and prints how uploads, leaves and fallbacks are
spread; otherwise a hundred a day, others every day.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache
from itertools import combinations, product

import pytest
from compile_make import attribute, clicked, delivery, opened, project, purchased, tag, uploaded
from compile_world import subsets

from audsql.compile.formula import Joined, Literal, Truth
from audsql.compile.program import AudienceLeaf, Narrowcast, RedeliveryLeaf, recipient_leaves
from audsql.compile.project import compile_project
from audsql.compile.sends import working_of
from audsql.compile.trees import Tree
from audsql.compile.working import Working
from audsql.meaning import ir

SWEEP = bool(os.environ.get("AUDSQL_SWEEP"))
COUNT = 5_000 if SWEEP else 100
OFFSET = 0 if SWEEP else datetime.now(UTC).toordinal() % 50 * 100
BLOCKS = 10
OWN_FREE = [uploaded("a"), uploaded("b"), uploaded("c"), uploaded("d")]
OWN_NESTED = [purchased("A", 7), purchased("A", 30), purchased("A"), uploaded("a")]
LINE_FREE = [tag("x"), tag("y"), opened("m")]
LINE_NESTED = [clicked("m", "https://e.example/"), clicked("m"), tag("x")]
ATTRIBUTES = [attribute("gender", "female"), attribute("area", "jp_13")]
LEAVES_MAX = 10
LISTED_VARIABLES_MAX = 4
LISTED_LEAVES_MAX = 7

seen: Counter[tuple[str, object]] = Counter()


def _formula(draw: random.Random, leaves: list[ir.Expression], size: int) -> ir.Expression:
    """A random formula of so many leaves; attributes are not negated, so that no NOT is left for a filter."""
    if size == 1:
        leaf = draw.choice(leaves)
        negated = draw.random() < 0.35 and leaf not in ATTRIBUTES
        return ir.lnot(leaf) if negated else leaf
    first = draw.randint(1, size - 1)
    parts = (_formula(draw, leaves, first), _formula(draw, leaves, size - first))
    return ir.land(*parts) if draw.random() < 0.5 else ir.lor(*parts)


def expression(seed: int) -> ir.Expression:
    """A random function that somebody listed or a set of LINE anchors."""
    draw = random.Random(seed)
    own, line = draw.choice([(OWN_FREE, LINE_FREE), (OWN_NESTED, LINE_NESTED)])
    leaves = [
        *draw.sample(own, draw.randint(1, 4)),
        *draw.sample(line, draw.randint(0, 3)),
        *draw.sample(ATTRIBUTES, draw.randint(0, 2)),
    ]
    found = _formula(draw, leaves, draw.randint(2, 14))
    return ir.land(found, uploaded("base")) if ir.evaluate(found, frozenset()) else found


def working(seed: int) -> Working | None:
    """How it is compiled; None where it is refused, or nobody is reached."""
    return working_of(delivery("sale", expression(seed)), {}, {}, {})


# --- by hand --------------------------------------------------------------------------------------


NESTED = [
    (purchased("A", 7).key, purchased("A", 30).key),
    (purchased("A", 7).key, purchased("A").key),
    (purchased("A", 30).key, purchased("A").key),
]


def _names(found: ir.Expression, world: str) -> list[str]:
    return [atom.key for atom in ir.atoms_of(found) if atom.world == world]


def _broken(found: ir.Expression, inner: str, outer: str) -> bool:
    """Whether the inner set is only subtracted and the outer only added: then data may break the fact by the send."""
    if inner not in _names(found, "own"):
        return False
    every = [atom.key for atom in ir.atoms_of(found)]

    def changes(key: str, to: bool) -> bool:
        others = subsets([name for name in every if name != key])
        pairs = ((ir.evaluate(found, {*state}), ir.evaluate(found, {*state, key})) for state in others)
        return any(before is not to and after is to for before, after in pairs)

    return not changes(inner, True) and not changes(outer, False)


def states(found: ir.Expression, world: str) -> list[frozenset[str]]:
    """The states of the atoms of a world that can occur."""
    names = _names(found, world)
    pairs = [pair for pair in NESTED if {*pair} <= {*names} and not _broken(found, *pair)]
    chosen = [frozenset(state) for state in subsets(names)]
    return [state for state in chosen if not any(inner in state and outer not in state for inner, outer in pairs)]


def kinds(found: ir.Expression) -> int:
    """Kinds of people that LINE's sets and attributes treat apart, as far as own data can tell."""
    others = [line | held for line in states(found, "line") for held in states(found, "attribute")]
    return len({tuple(ir.evaluate(found, own | other) for other in others) for own in states(found, "own")})


@lru_cache(maxsize=8)
def listed(variables: int) -> tuple[frozenset[int], ...]:
    """The functions (tables) that some formula of n leaves says and none of fewer, for each n."""
    rows = list(product((False, True), repeat=variables))
    every = (1 << len(rows)) - 1
    single = {sum(1 << at for at, row in enumerate(rows) if row[index]) for index in range(variables)}
    levels: list[frozenset[int]] = [frozenset({0, every}), frozenset(single | {every ^ one for one in single})]
    known = {*levels[0], *levels[1]}
    for count in range(2, LISTED_LEAVES_MAX + 1):
        fresh = {
            joined
            for less in range(1, count // 2 + 1)
            for one in levels[less]
            for other in levels[count - less]
            for joined in (one & other, one | other)
        }
        levels.append(frozenset(fresh - known))
        known |= fresh
    return tuple(levels)


def shortest(variables: int, wanted: dict[int, bool]) -> int | None:
    """The fewest leaves of a function with these values on these rows; None beyond what is listed."""
    care = sum(1 << row for row in wanted)
    value = sum(1 << row for row, inside in wanted.items() if inside)
    for count, functions in enumerate(listed(variables)):
        if any(function & care == value for function in functions):
            return count
    return None


def says(spoken: object, row: tuple[bool, ...]) -> bool:
    match spoken:
        case Truth(value):
            return value
        case Literal(variable, positive):
            return row[variable] is positive
        case Joined(conjunction, operands):
            parts = [says(operand, row) for operand in operands]
            return all(parts) if conjunction else any(parts)
    raise AssertionError(spoken)


def rows_of(work: Working, tree: Tree) -> dict[tuple[bool, ...], bool]:
    """What the tree says of each state of its uploads and line atoms that some person can be in."""
    names = [work.split.rails[level][0] for level in tree.task.levels]
    found: dict[tuple[bool, ...], bool] = {}
    for own in states(work.function, "own"):
        code = [ir.evaluate(work.uploads[bit].expression, own) for bit in tree.task.bits]
        for line in states(work.function, "line"):
            row = (*code, *(name in line for name in names))
            found[row] = says(tree.spoken, row)
    return found


# --- what must hold -------------------------------------------------------------------------------


@pytest.mark.parametrize("block", range(BLOCKS))
def test_uploads_and_leaves_are_the_fewest_by_hand(block: int) -> None:
    for seed in range(OFFSET + block, OFFSET + COUNT, BLOCKS):
        check_fewest(seed)
    if SWEEP:
        _print_spread()


def check_fewest(seed: int) -> None:
    """A random function has the fewest uploads and leaves, or says that it may not; `seen` counts them."""
    found = expression(seed)
    work = working(seed)
    if work is None:
        _, problems = compile_project(project(delivery("sale", found)))
        assert {problem.code for problem in problems if problem.severity == "error"} == {"AUD0401"}, (seed, found)
        seen["refused", "AUD0401"] += 1
    elif work.sends:
        _check_uploads(seed, work)
        for tree in (tree for trees in work.cover.trees for tree in trees):
            _check_leaves(seed, work, tree)


def either(*parts: ir.Expression) -> ir.Expression:
    """An odd number of them."""
    total = parts[0]
    for part in parts[1:]:
        total = ir.lor(ir.land(total, ir.lnot(part)), ir.land(part, ir.lnot(total)))
    return total


def test_of_equally_many_sends_those_told_apart_by_own_data_are_taken() -> None:
    lists = [uploaded(name) for name in "ab"]
    apart = [ir.land(one, *(ir.lnot(other) for other in lists[:at])) for at, one in enumerate(lists)]
    parts = [ir.land(one, *(tag(f"{at}{number}") for number in range(5))) for at, one in enumerate(apart)]
    work = working_of(delivery("sale", ir.lor(*parts)), {}, {}, {})
    assert work is not None
    taken = next(one for one in work.cover.fallbacks if one.taken)
    assert (taken.step, taken.sends, taken.uploads, taken.more_sends) == ("split_own", 2, 2, 1)
    assert not any(isinstance(leaf, RedeliveryLeaf) for send in work.sends for leaf in recipient_leaves(send.recipient))


def test_divided_by_a_line_atom_the_later_send_has_room_for_its_guard() -> None:
    most = ir.lor(*(ir.land(*three) for three in combinations([tag(f"t{at}") for at in range(5)], 3)))
    work = working_of(delivery("sale", most), {}, {}, {})
    assert work is not None and len(work.sends) == 2 and work.cover.fallbacks[-1].step == "split_line"
    leaves = [recipient_leaves(send.recipient) for send in work.sends]
    assert all(len(found) <= LEAVES_MAX for found in leaves)
    assert [sum(isinstance(leaf, RedeliveryLeaf) for leaf in found) for found in leaves] == [0, 1]


def test_two_line_atoms_over_four_lists_take_four_uploads_and_ten_leaves() -> None:
    one, other = tag("x"), tag("y")
    states = [(one, other), (one, ir.lnot(other)), (ir.lnot(one), other), (ir.lnot(one), ir.lnot(other))]
    parts = [ir.land(uploaded(name), *state) for name, state in zip("abcd", states, strict=True)]
    work = working_of(delivery("sale", ir.lor(*parts)), {}, {}, {})
    assert work is not None and len(work.split.cells) == 16 and not work.cover.fallbacks
    assert (len(work.cover.encoding), work.cover.worst) == (4, 10)


@pytest.mark.parametrize(
    ("reach", "code"),
    [
        (either(*(tag(f"t{at}") for at in range(10))), "AUD0401"),
        (ir.lor(*(ir.land(uploaded(f"u{at}"), tag(f"t{at % 5}"), tag(f"s{at}")) for at in range(12))), "AUD0404"),
    ],
)
def test_what_is_too_large_is_refused_with_its_limit(reach: ir.Expression, code: str) -> None:
    _, problems = compile_project(project(delivery("sale", reach)))
    assert [problem.code for problem in problems] == [code]


def test_equally_good_codes_are_chosen_alike_in_every_delivery() -> None:
    reach = ir.lor(ir.land(uploaded("a"), tag("x")), ir.land(uploaded("b"), tag("y")))
    wider = ir.lor(ir.land(uploaded("a"), tag("z")), ir.land(uploaded("b"), tag("w")))
    both, _ = compile_project(project(delivery("one", reach), delivery("two", wider)))
    alone, _ = compile_project(project(delivery("one", reach)))
    assert len(both.uploads) == 2 and both.deliveries[0].uploads == both.deliveries[1].uploads
    assert alone.deliveries[0] == both.deliveries[0], "another delivery changes nothing"


def _check_uploads(seed: int, work: Working) -> None:
    needed = (kinds(work.function) - 1).bit_length()
    used = {
        leaf.key
        for send in work.sends
        if isinstance(send, Narrowcast)
        for leaf in recipient_leaves(send.recipient)
        if isinstance(leaf, AudienceLeaf) and leaf.key in {upload.key for upload in work.uploads}
    }
    taken = [fallback for fallback in work.cover.fallbacks if fallback.taken]
    assert work.cover.uploads_least.value == needed, (seed, work.function.key)
    assert work.cover.uploads_least.exact == (len(used) == needed), (seed, work.function.key)
    assert len(used) >= needed
    assert len(used) == needed or taken, (seed, work.function.key)
    assert not any(ir.evaluate(upload.expression, frozenset()) for upload in work.uploads), seed
    assert [fallback.uploads for fallback in taken] in ([], [len(used)]), seed
    seen["uploads", len(used)] += 1
    seen["sends", len(work.sends)] += 1
    seen["fallback", taken[0].step if taken else "none"] += 1


def _check_leaves(seed: int, work: Working, tree: Tree) -> None:
    rows = rows_of(work, tree)
    variables = len(next(iter(rows)))
    assert tree.leaves == len(recipient_leaves_of(tree)) <= LEAVES_MAX, seed
    assert tree.least.exact == (tree.least.value == tree.leaves), seed
    seen["leaves", tree.leaves] += 1
    seen["least", f"{tree.least.reason} {'exact' if tree.least.exact else 'bound'}"] += 1
    if variables > LISTED_VARIABLES_MAX:
        return
    ordered = {row: at for at, row in enumerate(product((False, True), repeat=variables))}
    fewest = shortest(variables, {ordered[row]: inside for row, inside in rows.items()})
    if fewest is None:
        assert tree.leaves > LISTED_LEAVES_MAX, seed
    else:
        assert tree.leaves >= fewest >= tree.least.value, (seed, work.function.key)
        assert tree.leaves == fewest or not tree.least.exact, (seed, work.function.key)
        seen["by hand", "fewest" if tree.leaves == fewest else "more"] += 1


def recipient_leaves_of(tree: Tree) -> list[Literal]:
    found: list[Literal] = []
    left: list[object] = [tree.spoken]
    while left:
        part = left.pop()
        if isinstance(part, Literal):
            found.append(part)
        elif isinstance(part, Joined):
            left.extend(part.operands)
    return found


def _print_spread() -> None:
    for (what, value), count in sorted(seen.items(), key=lambda entry: (entry[0][0], str(entry[0][1]).rjust(9))):
        print(f"{what:>10} {value!s:>18} {count:>7,}")
