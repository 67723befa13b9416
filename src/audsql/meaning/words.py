"""Meaning as text again: the canonical words of an expression, in the language's own syntax.

Used in plans and messages. Conjunctions come first, exclusions last, tiers of an attribute join to
ranges: `clicked(msg42) AND purchased(A) AND age(30..39) EXCEPT uploaded(buyers)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from audsql.line.limits import AGE_TIERS, AREAS, FRIEND_FOR_TIERS_DAYS
from audsql.meaning import ir
from audsql.meaning.lineage import nodes_inside
from audsql.meaning.names import REMOTE_KINDS, written
from audsql.meaning.values import age_words, friend_for_words
from audsql.records import dataclass
from audsql.syntax import ast
from audsql.syntax.lex import escaped, is_plain_name
from audsql.syntax.text import value_text

__all__ = [
    "SAMPLE_SALT", "Arms", "Verbs", "arms_of", "atom_words", "atoms_in_words", "attribute_runs",
    "name_words", "share_words", "to_words", "verb_of", "verbs_of", "verbs_of_tables",
]  # fmt: skip

Verbs = Mapping[str, Sequence[ir.Verb]]
"""The verbs of each table, by the table's name."""

Arms = Mapping[str, tuple[str, frozenset[str]]]
"""By the key of an arm's bucket: how the arm is written, and the keys that its split set is joined of."""

SAMPLE_SALT = "sample:"
"""What the salt of a sample's bucket begins with; the seed follows (specs/language/04-sets.md)."""

_CHARACTERS_MAX = 4_000
_CALL_OF_KIND = {kind: call for call, kind in REMOTE_KINDS.items()}
_NO_VERBS: Verbs = {}
_NO_ARMS: Arms = {}


def verbs_of(project: ir.Project) -> Verbs:
    return verbs_of_tables(project.tables)


def verbs_of_tables(tables: Iterable[ir.TableSource]) -> Verbs:
    return {table.name: table.verbs for table in tables if table.verbs}


def arms_of(project: ir.Project) -> Arms:
    """The arms of every split, so that their buckets are written as they were: `sale_test.a`."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for split in project.splits:
        for arm in split.arms:
            parts = arm.expression.operands if isinstance(arm.expression, ir.And) else (arm.expression,)
            rest = frozenset(part.key for part in parts)
            for part in parts:
                if isinstance(part, ir.Leaf) and isinstance(part.atom, ir.Bucket) and part.atom.salt == split.salt:
                    found[part.key] = f"{name_words(split.name)}.{name_words(arm.name)}", rest - {part.key}
    return found


def to_words(expression: ir.Expression, verbs: Verbs = _NO_VERBS, arms: Arms = _NO_ARMS) -> str:
    """The expression as the language writes it. A part longer than a screen is given as `(...)`.

    The constants have no words of their own in the language; they read `nobody` and `everybody`. `arms` makes
    the set of a split and an arm's bucket read as the arm.
    """
    words: dict[str, _Words] = {}
    nodes = nodes_inside(expression)
    arms = _apart((node.atom for node in nodes if isinstance(node, ir.Leaf)), arms)
    for node in nodes:
        words[node.key] = _words_of(node, words, verbs, arms)
    return words[expression.key].text


def atoms_in_words(atoms: Sequence[ir.Atom], verbs: Verbs = _NO_VERBS) -> list[str]:
    """Each atom as the language writes it; arms that would read alike with their ranges."""
    arms = _apart(atoms, _NO_ARMS)
    return [arms[atom.key][0] if atom.key in arms else atom_words(atom, verbs) for atom in atoms]


def _apart(atoms: Iterable[ir.Atom], arms: Arms) -> Arms:
    """The arms, with the ranges of buckets that would read alike: an arm as it was and as it is have one name."""
    alike: dict[str, list[ir.Bucket]] = {}
    for atom in atoms:
        if isinstance(atom, ir.Bucket) and not atom.salt.startswith(SAMPLE_SALT):
            alike.setdefault(arms[atom.key][0] if atom.key in arms else atom.label, []).append(atom)
    found = dict(arms)
    present = {text for text, _ in arms.values()}
    for text, buckets in alike.items():
        salts = {one.salt for one in buckets}
        for one in buckets:
            if not text or (len(buckets) == 1 and (one.key in arms or text not in present)):
                continue
            salt = f"{escaped(one.salt)}, " if len(salts) > 1 else ""
            rest = arms[one.key][1] if one.key in arms else frozenset()
            found[one.key] = f"{text} ({salt}{share_words(one.low)}..{share_words(one.high)})", rest
    return found


@dataclass(frozen=True, slots=True)
class _Words:
    """`loose`: needs parentheses as an operand. `negated`: the words of x where this is NOT x. `own`: listable."""

    text: str
    loose: bool = False
    negated: str | None = None
    own: bool = False

    @property
    def operand(self) -> str:
        if not self.loose:
            return self.text
        return f"({self.text})" if len(self.text) <= _CHARACTERS_MAX else "(...)"


def _words_of(node: ir.Expression, words: Mapping[str, _Words], verbs: Verbs, arms: Arms) -> _Words:
    match node:
        case ir.Constant(value):
            return _Words("everybody" if value else "nobody")
        case ir.Leaf(ir.Mapped(inner=inner)):
            return replace(words[inner.key], own=True)
        case ir.Leaf(ir.Lookalike(inner=inner, hundredths=share)):
            return _Words(f"lookalike({words[inner.key].text}, {share_words(share)})")
        case ir.Leaf(atom):
            return _Words(arms[node.key][0] if node.key in arms else atom_words(atom, verbs), own=atom.world == "own")
        case ir.Not(operand):
            inner_words = words[operand.key]
            return _Words(f"NOT {inner_words.operand}", negated=inner_words.operand, own=inner_words.own)
        case ir.And(operands):
            return _and_words(operands, words, arms)
        case ir.Or(operands):
            return _or_words(operands, words)


def _and_words(operands: Sequence[ir.Expression], words: Mapping[str, _Words], arms: Arms) -> _Words:
    """The operands joined; an arm's bucket takes the place of the set that it splits, a sample's holds the
    listable operands in its parentheses."""
    own = all(words[operand.key].own for operand in operands)
    keys = {operand.key for operand in operands}
    hidden = {key for one in keys if one in arms and arms[one][1] <= keys for key in arms[one][1]}
    rest = [operand for operand in operands if operand.key not in hidden]
    samples = [bucket for operand in rest if (bucket := _sample_of(operand)) is not None]
    plain = _plain([operand for operand in rest if _sample_of(operand) is None], words)
    if samples and any(part.own and part.negated is None for part in plain):
        text = _joined([part for part in plain if part.own])
        for bucket in samples:
            seed = escaped(bucket.salt.removeprefix(SAMPLE_SALT))
            text = f"sample({text}, {share_words(bucket.high)}, seed: {seed})"
        plain = [_Words(text, own=True), *(part for part in plain if not part.own)]
    else:
        plain = _plain(rest, words)
    return _Words(_joined(plain), loose=len(plain) > 1, own=own)


def _plain(operands: Sequence[ir.Expression], words: Mapping[str, _Words]) -> list[_Words]:
    """The words of each operand; excluded values of one attribute are excluded together."""
    families: dict[str, list[str]] = {}
    found: list[_Words] = []
    for operand in operands:
        inner = operand.operand if isinstance(operand, ir.Not) else None
        if isinstance(inner, ir.Leaf) and isinstance(inner.atom, ir.Attribute):
            families.setdefault(inner.atom.family, []).append(inner.atom.value)
        else:
            found.append(words[operand.key])
    joined = [text for family in sorted(families) for text in _attribute_words(family, families[family])]
    return [*(_Words(f"NOT {text}", negated=text) for text in joined), *found]


def _sample_of(node: ir.Expression) -> ir.Bucket | None:
    """The bucket of a `sample`, which takes a share from the first on."""
    if isinstance(node, ir.Leaf) and isinstance(node.atom, ir.Bucket):
        return node.atom if node.atom.salt.startswith(SAMPLE_SALT) and node.atom.low == 0 else None
    return None


def _joined(parts: Sequence[_Words]) -> str:
    positive = [part for part in parts if part.negated is None]
    negative = [part.negated for part in parts if part.negated is not None]
    if not positive:
        return " AND ".join(f"NOT {text}" for text in negative)
    first = positive[0].text if len(parts) == 1 else " AND ".join(part.operand for part in positive)
    return first + "".join(f" EXCEPT {text}" for text in negative)


def _or_words(operands: Sequence[ir.Expression], words: Mapping[str, _Words]) -> _Words:
    tiers: dict[str, list[str]] = {}
    rest: list[str] = []
    for operand in operands:
        if isinstance(operand, ir.Leaf) and isinstance(operand.atom, ir.Attribute):
            tiers.setdefault(operand.atom.family, []).append(operand.atom.value)
        else:
            rest.append(words[operand.key].operand)
    joined = [call for family, values in sorted(tiers.items()) for call in _attribute_words(family, values)]
    parts = [*rest, *joined]
    own = all(words[operand.key].own for operand in operands)
    return _Words(" OR ".join(parts), loose=len(parts) > 1, own=own)


# --- atoms ----------------------------------------------------------------------------------------


def atom_words(atom: ir.Atom, verbs: Verbs = _NO_VERBS) -> str:
    """An atom as the language writes it: `purchased(A, last 90 days)`."""
    match atom:
        case ir.Uploaded(source):
            return f"uploaded({name_words(source)})"
        case ir.Rows():
            return _rows_words(atom, verbs)
        case ir.Linked(table):
            return f"linked({name_words(table)})"
        case ir.Friends() | ir.Followers():
            return "friends"
        case ir.Clicked(delivery, url):
            return f"clicked({name_words(delivery)}{'' if url is None else ', ' + escaped(url)})"
        case ir.Opened(delivery):
            return f"opened({name_words(delivery)})"
        case ir.Received(delivery):
            return f"received({name_words(delivery)})"
        case ir.RemoteAudience(_, kind, name):
            return f"{_CALL_OF_KIND.get(kind, kind.lower())}({escaped(name)})"
        case ir.Attribute(family, value):
            return _attribute_words(family, [value])[0]
        case ir.Mapped() | ir.Lookalike():
            return to_words(ir.leaf(atom), verbs)
        case ir.Bucket(salt, low, high, label):
            return label or f"bucket({escaped(salt)}, {share_words(low)}..{share_words(high)})"


def _attribute_words(family: str, values: Sequence[str]) -> list[str]:
    if family == "age":
        return [age_words(low, high) for low, high in attribute_runs(values, AGE_TIERS)]
    if family == "friend_for":
        return [friend_for_words(low, high) for low, high in attribute_runs(values, FRIEND_FOR_TIERS_DAYS)]
    if family == "area":
        return [f"area({', '.join(AREAS[value][1] if value in AREAS else value for value in sorted(values))})"]
    return [f"{family}({', '.join(sorted(values))})"]


def attribute_runs(values: Sequence[str], bounds: Sequence[int]) -> list[tuple[int | None, int | None]]:
    """Neighbouring tiers joined, as (low, high), both ends included and None where open."""
    wanted = {int(value.rpartition("_")[2]) for value in values}
    runs: list[tuple[int | None, int | None]] = []
    start: int | None = None
    for index, bound in enumerate(bounds):
        if bound not in wanted:
            continue
        start = bound if start is None else start
        following = bounds[index + 1] if index + 1 < len(bounds) else None
        if following not in wanted:
            high = None if following is None else following - 1
            # One end at least is written: all tiers together are `0..`.
            runs.append((start if start or high is None else None, high))
            start = None
    return runs


def _rows_words(atom: ir.Rows, verbs: Verbs) -> str:
    found = verb_of(atom, verbs)
    if found is None:
        return _call_words(atom.table, [], atom.rows, atom.people)
    verb, condition = found
    rest = [other for other in atom.rows if other is not condition]
    return _call_words(verb.name, [_verb_values(condition)], rest, atom.people)


def verb_of(atom: ir.Rows, verbs: Verbs) -> tuple[ir.Verb, ir.RowCondition] | None:
    """The verb that says one of the atom's conditions with its values, and that condition."""
    for verb in verbs.get(atom.table, ()):
        for condition in atom.rows if verb.column else ():
            match condition:
                case ir.ColumnCompare(name, "=") | ir.ColumnIn(name) | ir.ColumnGiven(name) if name == verb.column:
                    return verb, condition
                case _:
                    continue
    return None


def _verb_values(condition: ir.RowCondition) -> str:
    match condition:
        case ir.ColumnCompare(value=value):
            return _scalar_words(value)
        case ir.ColumnIn(values=values):
            return ", ".join(_scalar_words(value) for value in values)
        case _:
            return "*"


def _call_words(
    name: str, first: Sequence[str], rows: Sequence[ir.RowCondition], people: Sequence[ir.PeopleCondition]
) -> str:
    parts = [*first, *(_row_words(condition) for condition in rows), *(_people_words(c) for c in people)]
    return f"{name_words(name)}({', '.join(parts)})"


def _row_words(condition: ir.RowCondition) -> str:
    match condition:
        case ir.ColumnCompare(column, operator, value):
            return f"{_column_words(column)} {operator} {_scalar_words(value)}"
        case ir.ColumnIn(column, values):
            return f"{_column_words(column)} in ({', '.join(_scalar_words(value) for value in values)})"
        case ir.ColumnMissing(column):
            return f"{_column_words(column)} is missing"
        case ir.ColumnGiven(column):
            return f"{_column_words(column)} is given"
        case ir.Last(amount, unit):
            return f"last {amount} {unit}{'' if amount == 1 else 's'}"
        case ir.Since(at):
            return f"since {_moment_words(at)}"
        case ir.SinceStart():
            return "since start"
        case ir.Before(at):
            return f"before {_moment_words(at)}"


def _people_words(condition: ir.PeopleCondition) -> str:
    match condition:
        case ir.Times(bound, count):
            return f"{bound} {count} time{'' if count == 1 else 's'}"
        case ir.Aggregate(function, column, operator, value):
            return f"{function}({_column_words(column)}) {operator} {_scalar_words(value)}"
        case ir.Latest(column, operator, value):
            return f"latest {_column_words(column)} {operator} {_scalar_words(value)}"


def _column_words(name: str) -> str:
    """A column, in backquotes where its name is no identifier or a word of the language."""
    text = value_text(ast.Word(name))
    return written(name) if text == name else text


def _scalar_words(value: ir.Scalar) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value if _column_words(value) == value else escaped(value)
        case datetime():
            return _moment_words(value)
        case Decimal():
            return format(value, "f")


def _moment_words(at: datetime) -> str:
    offset = at.strftime("%z")
    zone = f" {offset[:3]}:{offset[3:5]}" if offset else ""
    return f"{at.year:04}-{at.month:02}-{at.day:02} {at.hour:02}:{at.minute:02}{zone}"


def share_words(hundredths: int) -> str:
    """A share in hundredths of a percent: `10%`, `0.01%`."""
    return f"{format((Decimal(hundredths) / 100).normalize(), 'f')}%"


def name_words(name: str) -> str:
    """A name as it is written; `common.buyers` and `sale[A]` need no backquotes."""
    head, bracket, index = name.partition("[")
    if all(is_plain_name(part) and written(part) == part for part in head.split(".")) and (
        not bracket or (index.endswith("]") and is_plain_name(index[:-1]))
    ):
        return name
    return written(name)
