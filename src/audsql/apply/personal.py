"""What personal messages say to each of many people: rows, renderings, and who is sent the same words.

Everybody is rendered and checked before anything is sent. Of each rendering only its digest and the strings that are
the person's own are kept, and these only as far as memory allows; beyond that they are made again when their group's
turn comes. Rules: specs/operations.md, `personal.*`.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from audsql.data.engine import Engine, RowColumn, SourceFacts, TableRow, TableRows
from audsql.diag import Diagnostic
from audsql.line.filling import Filling, Illegal, compile_filling, joined
from audsql.line.recipient import canonical_json
from audsql.meaning.ir import Message
from audsql.meaning.rendering import Missing, Value
from audsql.records import dataclass

__all__ = ["Group", "LeftOut", "Reason", "Rendered", "Wording", "render_people", "wording_of"]

_DIGEST_BYTES = 16
_KEPT_BYTES_MAX = 256 << 20
_BETWEEN = "\x1f"  # JSON spells it otherwise, so that it stands in no string
_STAND_INS: Mapping[str, Value] = {"string": "x", "number": Decimal(1), "date": datetime(2026, 1, 1)}  # noqa: DTZ001

Reason = Literal[
    "missing",  # a column has no value for them and nothing stands for it
    "illegal",  # LINE would refuse their message
    "several",  # they have several rows, and none of them is the latest
    "code",  # no code is theirs
]


@dataclass(frozen=True, slots=True)
class Wording:
    """What is said: literal JSON of the messages that are everybody's, fillings of the others, in order. `tables`: the
    table that each message's columns are read from. `columns`: what is read of each table."""

    parts: tuple[str | Filling, ...]
    tables: Mapping[str, str]
    columns: Mapping[str, tuple[RowColumn, ...]]
    pools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """People who are sent the very same words, by their numbers among those who were rendered, ascending. `body`: the
    message objects as a list in canonical JSON."""

    body: bytes = field(repr=False)
    people: tuple[int, ...]

    @property
    def messages(self) -> tuple[Any, ...]:
        return tuple(json.loads(self.body))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """People who are not sent to, by their numbers, and why. `message` and `columns` that are missing or stand in the
    string at `path` that LINE would refuse for what `code` says; the `table` with several rows; the `pool`."""

    reason: Reason
    people: tuple[int, ...]
    message: str = ""
    columns: tuple[str, ...] = ()
    path: str = ""
    code: str = ""
    table: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Everybody rendered once. `left`: who is left out, in a stable order; `groups` makes the words of the others.
    `distinct`: how many groups that are. `sources`: what was read."""

    left: tuple[LeftOut, ...]
    distinct: int
    sources: Mapping[str, SourceFacts]
    groups: Callable[[], Iterator[Group]]
    close: Callable[[], None]


def wording_of(
    names: Sequence[str], messages: Mapping[str, Sequence[Any]], personal: Mapping[str, Message], zone: ZoneInfo
) -> Wording:
    """The messages of these names as one send. `messages`: LINE's objects by name, templates in place; `personal`:
    those that are filled in. Raises ValueError where a template is none (it was told before)."""
    parts: list[str | Filling] = []
    tables: dict[str, str] = {}
    columns: dict[str, dict[RowColumn, None]] = {}
    pools: dict[str, None] = {}
    for name in names:
        message = personal.get(name)
        if message is None or not message.personal:
            parts.append(canonical_json(list(messages[name])).decode("utf-8")[1:-1])
            continue
        filling = compile_filling(message, messages[name], zone)
        # What no template shows is not read.
        parts.append(filling)
        pools |= dict.fromkeys(one.pool for one in filling.fields if one.pool and one.name in filling.columns)
        own = [one for one in filling.fields if not one.pool and one.name in filling.columns]
        if message.table is not None and own:
            tables[name] = message.table
            columns.setdefault(message.table, {}).update((RowColumn(one.name, one.type), None) for one in own)
    return Wording(tuple(parts), tables, {name: tuple(of) for name, of in sorted(columns.items())}, tuple(pools))


# --- everybody --------------------------------------------------------------------------------------


def render_people(
    engine: Engine,
    wording: Wording,
    people: Sequence[str],
    as_of: datetime,
    *,
    codes: Mapping[str, Sequence[str | None]] | None = None,
    given: Mapping[str, Sequence[TableRow | None]] | None = None,
    pinned: Mapping[str, str] | None = None,
    account: str = "",
) -> tuple[Rendered | None, tuple[Diagnostic, ...]]:
    """What is said to these people, user IDs in any order, with repetitions where somebody is sent to twice.

    `codes`: by pool, for each of the people the code that is theirs, None where none is. `given`: by table, the row
    that counts for each of the people instead of their latest one, with the columns of `wording.columns`. `pinned`:
    digests of sources; where one is another, None comes back without a reason. The result is to be closed.
    """
    opened: dict[str, TableRows] = {}
    problems: list[Diagnostic] = []
    for table, columns in wording.columns.items():
        if given is not None and table in given:
            continue
        rows, found = engine.rows(table, columns, as_of, pinned, account)
        problems += found
        if rows is None:
            _close(opened)
            return None, tuple(problems)
        opened[table] = rows
    work = _Work(wording, people, opened, given or {}, codes or {}, _frame(wording))
    digests, left, kept = _first_pass(work)
    sources = {name: facts for rows in opened.values() for name, facts in rows.sources.items()}
    order, starts = _grouped(digests, {one for group in left for one in group.people})
    return (
        Rendered(
            left,
            len(starts),
            {name: sources[name] for name in sorted(sources)},
            lambda: _second_pass(work, kept, order, starts),
            lambda: _close(opened),
        ),
        tuple(problems),
    )


def _close(opened: Mapping[str, TableRows]) -> None:
    for rows in opened.values():
        rows.close()


@dataclass(frozen=True, slots=True)
class _Work:
    wording: Wording
    people: Sequence[str]
    opened: Mapping[str, TableRows]
    given: Mapping[str, Sequence[TableRow | None]]
    codes: Mapping[str, Sequence[str | None]]
    frame: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The strings of the first people one after the other; those of person i from `ends[i]` to `ends[i + 1]`."""

    data: bytearray
    ends: array[int]


def _frame(wording: Wording) -> tuple[str, ...]:
    """The JSON of a request's messages around everybody's own strings."""
    literals = ["["]
    for number, part in enumerate(wording.parts):
        own = (part,) if isinstance(part, str) else part.literals
        literals[-1] += ("," if number else "") + own[0]
        literals += own[1:]
    literals[-1] += "]"
    return tuple(literals)


class _Left(Exception):
    """Somebody is left out; `why` is without people."""

    def __init__(self, why: LeftOut) -> None:
        super().__init__(why.reason)
        self.why = why


def _first_pass(work: _Work) -> tuple[NDArray[np.uint64], tuple[LeftOut, ...], _Kept]:
    """A digest of each rendering as two words, who is left out, and the renderings themselves as far as they fit."""
    digests = bytearray()
    left: dict[LeftOut, array[int]] = {}
    kept = _Kept(bytearray(), array("q", [0]))
    nothing = bytes(_DIGEST_BYTES)
    for number, strings in enumerate(_strings(work, range(len(work.people)))):
        own = b""
        if isinstance(strings, LeftOut):
            left.setdefault(strings, array("I")).append(number)
            digests += nothing
        else:
            own = strings.encode()
            digests += hashlib.blake2b(own, digest_size=_DIGEST_BYTES).digest()
        if len(kept.data) < _KEPT_BYTES_MAX:
            kept.data.extend(own)
            kept.ends.append(len(kept.data))
    found = [replace(why, people=tuple(numbers)) for why, numbers in left.items()]
    found.sort(key=lambda one: (one.reason, one.message, one.table, one.pool, one.path, one.columns, one.code))
    return np.frombuffer(bytes(digests), np.uint64).reshape(-1, 2), tuple(found), kept


def _grouped(digests: NDArray[np.uint64], left: set[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of people group by group, the largest first, of equal ones that with the first person first; and
    where each group starts."""
    stays = np.ones(len(digests), np.bool_)
    stays[list(left)] = False
    numbers = np.flatnonzero(stays)
    if not len(numbers):
        return numbers, numbers
    low, high = digests[numbers, 0], digests[numbers, 1]
    by_digest = np.lexsort((numbers, low, high))
    changes = np.flatnonzero((np.diff(low[by_digest]) != 0) | (np.diff(high[by_digest]) != 0)) + 1
    bounds = np.concatenate(([0], changes, [len(numbers)]))
    counts, firsts = np.diff(bounds), numbers[by_digest[bounds[:-1]]]
    group_order = np.lexsort((firsts, -counts))
    rank = np.empty(len(counts), np.int64)
    rank[group_order] = np.arange(len(counts))
    ranks = np.repeat(rank, counts)
    order = numbers[by_digest][np.lexsort((numbers[by_digest], ranks))]
    return order, np.concatenate(([0], np.cumsum(counts[group_order])))[:-1]


def _second_pass(work: _Work, kept: _Kept, order: NDArray[np.int64], starts: NDArray[np.int64]) -> Iterator[Group]:
    """The words once for each group, those of the first of its people."""
    firsts, known = order[starts].tolist(), len(kept.ends) - 1
    again = _strings(work, [number for number in firsts if number >= known])
    ends = [*starts.tolist(), len(order)][1:]
    for start, end, first in zip(starts.tolist(), ends, firsts, strict=True):
        own: str | LeftOut
        if first < known:
            own = kept.data[kept.ends[first] : kept.ends[first + 1]].decode()
        else:
            own = next(again)
        if isinstance(own, LeftOut):
            raise AssertionError("a rendering comes out twice alike")
        strings = own.split(_BETWEEN) if len(work.frame) > 1 else ()
        yield Group(joined(work.frame, strings).encode(), tuple(order[start:end].tolist()))


# --- one person -------------------------------------------------------------------------------------


def _strings(work: _Work, numbers: Sequence[int]) -> Iterator[str | LeftOut]:
    """The strings that are each person's own, as JSON spells them, or why nothing is said to them."""
    people = [work.people[number] for number in numbers]
    streams = [
        _rows_of(work.given[table], numbers) if table in work.given else iter(work.opened[table].of(people))
        for table in work.wording.columns
    ]
    makers = _makers(work)
    tables, timed = tuple(work.wording.columns), [_is_timed(work, table) for table in work.wording.columns]
    for number in numbers:
        try:
            strings = _own(number, streams, timed, makers, tables)
        except _Left as left:
            yield left.why
        else:
            yield _BETWEEN.join(strings)


def _own(
    number: int,
    streams: Sequence[Iterator[list[TableRow]]],
    timed: Sequence[bool],
    makers: Sequence[_Make],
    tables: Sequence[str],
) -> list[str]:
    """The strings of the person whose rows come next in every stream. Raises _Left."""
    # Every stream goes on, whatever is wrong with one of them.
    rows = [next(stream) for stream in streams]
    found: list[TableRow | None] = []
    for at, some in enumerate(rows):
        if len(some) > 1 and not _is_certain(some, timed[at]):
            raise _Left(LeftOut("several", (), table=tables[at]))
        found.append(some[-1] if some else None)
    if len(makers) == 1:
        return makers[0](found, number)
    return [text for make in makers for text in make(found, number)]


def _rows_of(rows: Sequence[TableRow | None], numbers: Sequence[int]) -> Iterator[list[TableRow]]:
    for number in numbers:
        row = rows[number]
        yield [] if row is None else [row]


def _is_timed(work: _Work, table: str) -> bool:
    return table in work.opened and work.opened[table].timed


def _is_certain(rows: Sequence[TableRow], timed: bool) -> bool:
    """Whether the last row of a person counts: the latest by time, and no other of that time says anything else."""
    last = rows[-1]
    rivals = [row for row in rows if row.time == last.time] if timed else rows
    return all(row.values == last.values for row in rivals)


_Make = Callable[[Sequence[TableRow | None], int], list[str]]


def _makers(work: _Work) -> list[_Make]:
    tables = {table: at for at, table in enumerate(work.wording.columns)}
    return [_maker(work, part, tables) for part in work.wording.parts if isinstance(part, Filling)]


def _maker(work: _Work, filling: Filling, tables: Mapping[str, int]) -> _Make:
    """A function from the rows and the number of a person to the strings of one message."""
    table = work.wording.tables.get(filling.name)
    columns = work.wording.columns[table] if table is not None else ()
    at = tables[table] if table is not None else 0
    places = {(one.name, one.type): place for place, one in enumerate(columns)}
    picks = [None if one.pool else places.get((one.name, one.type)) for one in filling.fields]
    pools = [(number, one.pool, work.codes.get(one.pool)) for number, one in enumerate(filling.fields)
             if one.pool and one.name in filling.columns]  # fmt: skip
    nothing: tuple[Value, ...] = (None,) * len(picks)
    as_they_are = not pools and picks == list(range(len(columns)))
    render = filling.strings

    def make(rows: Sequence[TableRow | None], number: int) -> list[str]:
        row = rows[at] if table is not None else None
        given: Sequence[Any] = row.values if row is not None else ()
        if row is not None and as_they_are:
            values: Sequence[Value] = given
        else:
            filled = [given[pick] if pick is not None and given else None for pick in picks] if row else [*nothing]
            for place, pool, codes in pools:
                code = codes[number] if codes is not None else None
                if code is None:
                    raise _Left(LeftOut("code", (), filling.name, pool=pool))
                filled[place] = code
            values = filled
        try:
            return render(values)
        except Missing as missing:
            raise _Left(_missing(filling, values, missing)) from None
        except Illegal as illegal:
            raise _Left(LeftOut("illegal", (), filling.name, illegal.columns, illegal.path, illegal.code)) from None

    return make


def _missing(filling: Filling, values: Sequence[Value], first: Missing) -> LeftOut:
    """All columns that this person lacks on the way that the template takes with them."""
    numbers = {one.name: number for number, one in enumerate(filling.fields)}
    found, filled, column = list[str](), [*values], first.column
    while True:
        found.append(column)
        filled[numbers[column]] = _STAND_INS[filling.fields[numbers[column]].type]
        try:
            filling.strings(filled)
        except Missing as missing:
            column = missing.column
        except Illegal:
            break
        else:
            break
    return LeftOut("missing", (), filling.name, tuple(sorted(found)))
