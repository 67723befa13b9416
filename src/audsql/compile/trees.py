"""Recipient trees (specs/line.md): which line audiences and uploads a send names, in how few leaves.

A tree's variables are the bits of the delivery's encoding and the line atoms that matter to it. Codes that
no cell has, and line assignments that certain facts exclude, are left open: nobody is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from audsql.compile import decision, exact, formula
from audsql.compile.cofactor import Split, Way
from audsql.compile.formula import Formula, Literal
from audsql.compile.least import Least
from audsql.compile.program import AllOf, AnyOf, AudienceLeaf, NoneOf, Recipient, RedeliveryLeaf
from audsql.compile.uploads import Encoding
from audsql.line.limits import RECIPIENT_LEAVES_MAX
from audsql.records import dataclass

__all__ = [
    "TABLE_VARIABLES_MAX",
    "States",
    "Task",
    "TooWide",
    "Tree",
    "apart_by_uploads",
    "leaf_key",
    "lines_of",
    "recipient_of",
    "renumbered",
    "states_of",
    "task_of",
    "tree_of",
    "tree_saying",
    "width_of",
    "with_uploads",
    "without",
]

TABLE_VARIABLES_MAX = 14
"""Line atoms and uploads that one tree is searched over. Each that matters takes a leaf, so that more never fit."""


_POLISHED_VARIABLES_MAX = 4
"""Variables of a tree for which one as short without NOT before uploads is searched for."""


class TooWide(Exception):
    """No tree of a send fits. `needed`: how many leaves each takes at least."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed} leaves")
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Task:
    """One send to be put as a tree: variables [0, uploads) are the uploads with the numbers `bits` in the delivery's
    encoding, then come the line atoms at `levels`."""

    bits: tuple[int, ...]
    levels: tuple[int, ...]
    on: int
    off: int
    weights: tuple[int, ...]

    @property
    def uploads(self) -> int:
        return len(self.bits)

    @property
    def codes(self) -> int:
        """The codes of its uploads that it has people of, as a number with a bit for each."""
        return _shrunk(len(self.bits) + len(self.levels), self.on, tuple(range(len(self.bits))))


@dataclass(frozen=True, slots=True)
class Tree:
    """A formula over a task's variables and how many leaves it takes at LINE; `least`: no tree of it takes fewer."""

    spoken: Formula
    leaves: int
    task: Task
    least: Least

    @property
    def work(self) -> int:
        """What looking for it costs, in steps that do not depend on the machine; a thorough search takes a few."""
        return 1 + 3 * max(self.task.uploads + len(self.task.levels) - exact.VARIABLES_MAX, 0)

    @property
    def named(self) -> frozenset[int]:
        """The numbers of the uploads that it names."""
        found = (leaf.variable for leaf in formula.leaves(self.spoken) if leaf.variable < self.task.uploads)
        return frozenset(self.task.bits[variable] for variable in found)

    @property
    def negated(self) -> frozenset[int]:
        """The numbers of the uploads that are used under NOT."""
        return frozenset(self.task.bits[variable] for variable in _negated(self.spoken, self.task.uploads))


def _negated(spoken: Formula, uploads: int) -> frozenset[int]:
    found = (leaf for leaf in formula.leaves(spoken) if not leaf.positive)
    return frozenset(leaf.variable for leaf in found if leaf.variable < uploads)


def lines_of(split: Split, way: Way) -> tuple[int, ...]:
    """The line atoms that decide who is in a send."""
    return tuple(sorted({level for line in way.lines for level in decision.support(split.space, line)}))


def _needed_lines(split: Split, way: Way, levels: Sequence[int]) -> tuple[int, ...]:
    """The line atoms left when those are dropped without which, too, certain facts tell who is in the send."""
    space = split.space
    sides = [(line, decision.both(space, split.line_facts, decision.negation(space, line))) for line in {*way.lines}]
    kept = list(levels)
    for level in reversed(levels):
        fewer = [tuple(decision.forget(space, side, (level,)) for side in pair) for pair in sides]
        if all(decision.both(space, inside, outside) == decision.FALSE for inside, outside in fewer):
            sides = [(inside, outside) for inside, outside in fewer]
            kept.remove(level)
    return tuple(kept)


def width_of(split: Split, way: Way, weights: Sequence[int]) -> int:
    """How many sets the send depends on under any encoding: each takes a leaf."""
    lines = _needed_lines(split, way, lines_of(split, way))
    return sum(weights[level] for level in lines) + (len({*way.lines}) - 1).bit_length()


@dataclass(frozen=True, slots=True)
class States:
    """Whom a send lets in, for each state of the line atoms at `levels` (bit i of its number is atom i): a number with
    bit c set where people of cell c are in (`inside`), and where some are certainly not (`outside`)."""

    levels: tuple[int, ...]
    inside: tuple[int, ...]
    outside: tuple[int, ...]


def states_of(split: Split, way: Way) -> States:
    """The states of a send. Line atoms that certain facts make superfluous are left out where they are many. Raises
    TooWide."""
    levels = lines_of(split, way)
    if len(levels) + (len(split.cells) - 1).bit_length() > exact.VARIABLES_MAX:
        levels = _needed_lines(split, way, levels)
    if len(levels) > TABLE_VARIABLES_MAX:
        raise TooWide(len(levels))
    tables = dict(zip(levels, formula.columns(len(levels)), strict=True))
    full = (1 << (1 << len(levels))) - 1
    inside, outside = [0] * (1 << len(levels)), [0] * (1 << len(levels))
    for line, cells in _by_line(way).items():
        negated = decision.both(split.space, split.line_facts, decision.negation(split.space, line))
        for function, masks in ((line, inside), (negated, outside)):
            truth = _over(split, function, tables, full)
            for state in range(1 << len(levels)):
                if truth >> state & 1:
                    masks[state] |= cells
    return States(levels, tuple(inside), tuple(outside))


def _by_line(way: Way) -> dict[int, int]:
    """The cells of each function of line atoms."""
    found: dict[int, int] = {}
    for cell, line in enumerate(way.lines):
        found[line] = found.get(line, 0) | 1 << cell
    return found


def _over(split: Split, function: int, tables: Mapping[int, int], full: int) -> int:
    """A function of line atoms over those of a table; the others have any value."""
    others = [level for level in decision.support(split.space, function) if level not in tables]
    return decision.truth_table(split.space, decision.forget(split.space, function, others), tables, full)


def task_of(states: States, encoding: Encoding, weights: Sequence[int]) -> Task:
    """The truth table of a send's recipients. `weights`: the leaves that each line atom takes. Raises TooWide."""
    uploads = len(encoding)
    if uploads + len(states.levels) > TABLE_VARIABLES_MAX:
        raise TooWide(uploads + len(states.levels))
    cells = max(states.inside + states.outside).bit_length()
    codes = [1 << sum((mask >> cell & 1) << bit for bit, mask in enumerate(encoding)) for cell in range(cells)]
    coded = {mask: _coded(codes, mask) for mask in {*states.inside, *states.outside}}
    on = off = 0
    for state, (inside, outside) in enumerate(zip(states.inside, states.outside, strict=True)):
        on |= coded[inside] << (state << uploads)
        off |= coded[outside] << (state << uploads)
    every = (*([1] * uploads), *(weights[level] for level in states.levels))
    return Task(tuple(range(uploads)), states.levels, on, off, every)


def tree_saying(split: Split, encoding: Encoding, weights: Sequence[int], spoken: Formula) -> Tree:
    """A tree for the people of a formula whose variables are the line atoms by their levels and then, from
    `attribute_start`, the uploads of the encoding; with at most the leaves of the formula, which are few. What nobody
    can be is left open."""
    start = split.attribute_start
    names = sorted({leaf.variable for leaf in formula.leaves(spoken)})
    bits = tuple(name - start for name in names if name >= start)
    levels = tuple(name for name in names if name < start)
    order = {name: at for at, name in enumerate((*(start + bit for bit in bits), *levels))}
    cells = range(len(split.cells))
    codes = {sum((encoding[bit] >> cell & 1) << at for at, bit in enumerate(bits)) for cell in cells}
    rows = sum(1 << code for code in codes)
    columns = dict(zip(levels, formula.columns(len(levels)), strict=True))
    lines = _over(split, split.line_facts, columns, (1 << (1 << len(levels))) - 1)
    possible = sum(rows << (state << len(bits)) for state in range(1 << len(levels)) if lines >> state & 1)
    count = len(names)
    own = renumbered(spoken, order)
    truth = formula.table(own, formula.columns(count), (1 << (1 << count)) - 1)
    every = (*([1] * len(bits)), *(weights[level] for level in levels))
    return _at_most(Task(bits, levels, truth & possible, possible & ~truth, every), own)


def _at_most(task: Task, spoken: Formula) -> Tree:
    leaves = _leaves(spoken, task.weights)
    try:
        tree = tree_of(task)
    except TooWide:
        tree = None
    if tree is not None and tree.leaves <= leaves:
        return tree
    least, depends = exact.at_least(task.uploads + len(task.levels), task.on, task.off, task.weights)
    return Tree(spoken, leaves, task, _least(least, depends, leaves))


def _coded(codes: Sequence[int], cells: int) -> int:
    """The codes of these cells, as a number with a bit for each."""
    rows = 0
    for cell, code in enumerate(codes):
        if cells >> cell & 1:
            rows |= code
    return rows


def tree_of(task: Task, widths: Sequence[int] = ()) -> Tree:
    """One tree for the send, with few leaves; it may have too many. `widths`: of the search (`shortest`); where none
    are given, the fewest leaves are searched for as well. Raises TooWide where every tree has too many."""
    return _tree(task, tuple(widths))


@lru_cache(maxsize=2_048)
def _tree(task: Task, widths: tuple[int, ...]) -> Tree:
    count = task.uploads + len(task.levels)
    least, depends = exact.at_least(count, task.on, task.off, task.weights)
    if least > RECIPIENT_LEAVES_MAX:
        raise TooWide(least)
    core = _core(count, task.on, task.off)
    weights = tuple(task.weights[index] for index in core.kept)
    penalties = [int(index < task.uploads) for index in core.kept]
    try:
        spoken = formula.shortest(len(core.kept), core.on, core.off, weights, penalties, widths=widths)
    except formula.TooLong:
        raise TooWide(RECIPIENT_LEAVES_MAX + 1) from None
    if not widths and len(core.kept) <= exact.VARIABLES_MAX:
        spoken, searched = _searched(spoken, core.on, core.off, weights, penalties)
        if core.whole:
            least = max(least, searched + sum(task.weights[leaf.variable] for _, leaf in core.peeled))
    spoken = core.around(renumbered(spoken, core.kept))
    return Tree(spoken, _leaves(spoken, task.weights), task, _least(least, depends, _leaves(spoken, task.weights)))


def _least(value: int, depends: int, leaves: int) -> Least:
    if not value:
        return Least(0, "nothing", leaves == 0)
    return Least(value, "depends" if depends == value else "search", leaves == value)


def _leaves(spoken: Formula, weights: Sequence[int]) -> int:
    return sum(weights[leaf.variable] for leaf in formula.leaves(spoken))


def _searched(
    spoken: Formula, on: int, off: int, weights: tuple[int, ...], penalties: Sequence[int]
) -> tuple[Formula, int]:
    """The formula or one with fewer leaves or, with as many, without NOT before an upload; and the bound."""
    count = len(weights)
    leaves = _leaves(spoken, weights)
    answer = exact.search(count, on, off, weights, [False] * count, min(leaves - 1, RECIPIENT_LEAVES_MAX))
    if answer.formula is not None:
        spoken, leaves = answer.formula, answer.least
    negated = {leaf.variable for leaf in formula.leaves(spoken) if not leaf.positive and penalties[leaf.variable]}
    if negated and leaves <= RECIPIENT_LEAVES_MAX and count <= _POLISHED_VARIABLES_MAX:
        without = exact.search(count, on, off, weights, [bool(penalty) for penalty in penalties], leaves)
        spoken = without.formula or spoken
    return spoken, answer.least


# --- fewer variables ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Core:
    """A function with the literals around it taken off: `peeled`, the outermost first, with whether it is joined by
    AND. What is left is over the variables `kept`. `whole`: none of them was dropped that a shorter formula might use.
    """

    peeled: tuple[tuple[bool, Literal], ...]
    kept: tuple[int, ...]
    on: int
    off: int
    whole: bool

    def around(self, spoken: Formula) -> Formula:
        """The formula of what is left with the literals put back."""
        for conjunction, leaf in reversed(self.peeled):
            spoken = formula.join(conjunction, (leaf, spoken))
        return spoken


def _core(count: int, on: int, off: int) -> _Core:
    """A function that lies within a literal it depends on is that literal AND the rest: no formula is shorter, since
    each has a leaf of it and with that leaf decided is one of the rest. Likewise for OR."""
    kept = [index for index, column in enumerate(formula.columns(count)) if _told_apart(on, off, index, column)]
    peeled: list[tuple[bool, Literal]] = []
    while (found := _peel(count, on, off, kept)) is not None:
        conjunction, leaf = found
        column, shift = formula.columns(count)[leaf.variable], 1 << leaf.variable
        side = column if leaf.positive == conjunction else ~column
        on, off = ((rows & side) | _moved(rows & side, column, shift) for rows in (on, off))
        peeled.append(found)
        kept.remove(leaf.variable)
    whole = True
    if len(kept) > exact.VARIABLES_MAX:
        fewer = _kept(count, on, off, kept)
        whole = len(fewer) == len(kept)
        kept = list(fewer)
    small = [_shrunk(count, rows, kept) for rows in (on, off)]
    return _Core(tuple(peeled), tuple(kept), small[0], small[1], whole)


def _moved(rows: int, column: int, shift: int) -> int:
    """The rows with the value of one variable exchanged."""
    return (rows & ~column) << shift | (rows & column) >> shift


def _told_apart(on: int, off: int, index: int, column: int) -> bool:
    """Whether some row is another matter than the one that differs from it in this variable."""
    return _moved(on, column, 1 << index) != on or _moved(off, column, 1 << index) != off


def _peel(count: int, on: int, off: int, kept: Sequence[int]) -> tuple[bool, Literal] | None:
    for index in kept:
        column = formula.columns(count)[index]
        if not _moved(on, column, 1 << index) & off:
            continue
        for positive, truth in ((True, column), (False, ~column)):
            if not on & ~truth:
                return True, Literal(index, positive)
            if not off & truth:
                return False, Literal(index, positive)
    return None


def _kept(count: int, on: int, off: int, variables: Sequence[int]) -> tuple[int, ...]:
    """The variables left when those are dropped, one after the other, that the rows need not be told apart by."""
    kept = list(variables)
    columns = formula.columns(count)
    for index in reversed(variables):
        fewer = [rows | _moved(rows, columns[index], 1 << index) for rows in (on, off)]
        if not fewer[0] & fewer[1]:
            on, off = fewer
            kept.remove(index)
    return tuple(kept)


def _shrunk(count: int, rows: int, kept: Sequence[int]) -> int:
    """The rows over these variables alone, some row of the others being in."""
    if len(kept) == count:
        return rows & ((1 << (1 << count)) - 1)
    for index, column in enumerate(formula.columns(count)):
        if index not in kept:
            rows |= (rows & column) >> (1 << index)
    numbers = [0]
    for index in kept:
        numbers += [number | 1 << index for number in numbers]
    return sum((rows >> number & 1) << row for row, number in enumerate(numbers))


def renumbered(spoken: Formula, kept: Sequence[int] | Mapping[int, int]) -> Formula:
    """The formula with another number for each variable."""

    def literal(leaf: Literal) -> Formula:
        return Literal(kept[leaf.variable], leaf.positive)

    return formula.render(
        spoken,
        literal,
        formula.Truth,
        lambda parts: formula.join(True, parts),
        lambda parts: formula.join(False, parts),
    )


def with_uploads(tree: Tree, numbers: Mapping[int, int]) -> Tree:
    """The tree in an encoding in which these uploads, all that it names among them, have other numbers, and others are
    none."""
    task = tree.task
    count = task.uploads + len(task.levels)
    kept = [at for at in range(count) if at >= task.uploads or task.bits[at] in numbers]
    bits = tuple(numbers[bit] for bit in task.bits if bit in numbers)
    on, off = (_shrunk(count, rows, kept) for rows in (task.on, task.off))
    weights = tuple(task.weights[at] for at in kept)
    spoken = renumbered(tree.spoken, {old: new for new, old in enumerate(kept)})
    return Tree(spoken, tree.leaves, Task(bits, task.levels, on, off, weights), tree.least)


def apart_by_uploads(first: Tree, second: Tree) -> bool:
    """Whether two trees of one encoding have no code of own data in common. Uploads are frozen between the sends of a
    delivery: such trees stay disjoint whatever LINE changes in between."""
    return first.task.bits == second.task.bits and not first.task.codes & second.task.codes


# --- LINE's objects -------------------------------------------------------------------------------


def recipient_of(spoken: Formula, leaves: Mapping[int, Recipient]) -> Recipient | None:
    """The tree with a recipient in place of each variable; None where it is everybody."""
    match spoken:
        case formula.Truth(True):
            return None
        case formula.Truth():
            raise ValueError("a send to nobody has no tree")
        case _:
            return _part(spoken, leaves)


def _part(spoken: Formula, leaves: Mapping[int, Recipient]) -> Recipient:
    match spoken:
        case Literal(variable, positive):
            return leaves[variable] if positive else NoneOf(leaves[variable])
        case formula.Joined(conjunction, operands):
            parts = sorted((_part(operand, leaves) for operand in operands), key=_order)
            flat = [inner for part in parts for inner in _inner(part, conjunction)]
            return AllOf(tuple(flat)) if conjunction else AnyOf(tuple(flat))
        case _:
            raise ValueError("a constant inside a tree")


def _inner(part: Recipient, conjunction: bool) -> tuple[Recipient, ...]:
    if isinstance(part, AllOf if conjunction else AnyOf):
        return part.operands
    return (part,)


def _order(part: Recipient) -> tuple[int, str]:
    """Single leaves first, exclusions last."""
    if isinstance(part, NoneOf):
        return 2, repr(part)
    return int(isinstance(part, AllOf | AnyOf)), repr(part)


def leaf_key(leaf: AudienceLeaf | RedeliveryLeaf) -> str:
    """The name of a leaf: an audience's key, or `redelivery(d; part)`."""
    if isinstance(leaf, AudienceLeaf):
        return leaf.key
    return f"redelivery({leaf.delivery}; {leaf.part})"


def without(tree: Recipient, empty: frozenset[str]) -> Recipient | bool:
    """The tree with leaves of these names replaced by nobody; True is everybody, False nobody."""
    match tree:
        case AudienceLeaf() | RedeliveryLeaf():
            return False if leaf_key(tree) in empty else tree
        case NoneOf(operand):
            inner = without(operand, empty)
            return not inner if isinstance(inner, bool) else NoneOf(inner)
        case AllOf(operands):
            return _joined([without(operand, empty) for operand in operands], conjunction=True)
        case AnyOf(operands):
            return _joined([without(operand, empty) for operand in operands], conjunction=False)


def _joined(parts: Sequence[Recipient | bool], *, conjunction: bool) -> Recipient | bool:
    if any(isinstance(part, bool) and part != conjunction for part in parts):
        return not conjunction
    rest = tuple(inner for part in parts if not isinstance(part, bool) for inner in _inner(part, conjunction))
    if not rest:
        return conjunction
    if len(rest) == 1:
        return rest[0]
    return AllOf(rest) if conjunction else AnyOf(rest)
