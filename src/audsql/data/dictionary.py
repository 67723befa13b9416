"""The dictionary of people: every id that was ever seen gets a dense 32-bit number, for good.

Ids are found by all of their 128 bits, so that ids that share a half stay two people, however many somebody
forges. Numbers are only ever added: what a reading adds is a *run*, numbered in ascending order of the ids, and
runs of like size are joined, so that few are looked through and little is written anew. Each time that numbers
are added, the dictionary gets a new epoch, a random mark; a bitmap in the cache names the epoch it was written
under and is good only for a dictionary that went through that epoch. So a dictionary that was lost, rebuilt, or
overtaken by another process makes old bitmaps absent, never wrong.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import field
from operator import ne
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audsql.data.cache import old_files, read_entry, write_entry
from audsql.data.erased import NOBODY_ERASED, Erased, is_erased
from audsql.data.ids import Ids, Words, user_id_texts
from audsql.data.keys import Keys
from audsql.data.matching import ABSENT, Index, ascending_order, distinct, find, index_of, is_sparse, union
from audsql.data.texts import Texts, appended
from audsql.meaning.ir import IdKind
from audsql.records import dataclass

__all__ = [
    "ERASED", "Dictionary", "encode", "encode_sets", "flush", "id_order", "id_texts", "lookup", "numbers_known",
    "open_dictionary",
]  # fmt: skip

Numbers = NDArray[np.uint32]
_FORMAT = 2
_EPOCHS_KEPT_MAX = 4_096
ERASED = ABSENT
"""In place of the number of somebody who was erased."""
# A run is joined to the one before it unless that one has more than so many times its people.
_RUN_RATIO = 2
_RUNS_MAX = 8


@dataclass(slots=True)
class _Run:
    """The numbers from `start` up to `stop`. `order`: them, less `start`, in ascending order of their ids; None where
    that is their own order. `name`: the file that holds the run, empty where none does yet."""

    start: int
    stop: int
    order: Numbers | None = None
    name: str = ""
    index: Index | None = None
    words: tuple[Words, Words] | None = None


@dataclass(slots=True)
class Dictionary:
    """`high`, `low` (and `texts`, for kinds other than user ids) by number.

    `keys_kept` close the files. `blank`: numbers of people who were erased, of whom nothing is left;
    `admitted`: of those who are known again, because a list that only takes people away names them. `scrubbed` marks
    the tombstones that were seen to.
    """

    kind: IdKind
    salt: bytes
    epochs: list[str] = field(default_factory=list)
    high: Words = field(default_factory=lambda: np.empty(0, np.uint64))
    low: Words = field(default_factory=lambda: np.empty(0, np.uint64))
    runs: list[_Run] = field(default_factory=list)
    texts: Texts = field(default_factory=Texts)
    grown: bool = False
    keys_kept: Keys | None = None
    erased: Erased = NOBODY_ERASED
    blank: list[int] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)
    scrubbed: str = ""
    scrubbed_now: bool = False

    def __len__(self) -> int:
        return len(self.high)


def encode(dictionary: Dictionary, ids: Ids, *, erased_too: bool = False, admitted_too: bool = False) -> Numbers:
    """The number of each id, in the order given; ids that are new are added.

    Whoever was erased is `ERASED`, unless `erased_too` says that here the person is to be known, or `admitted_too`
    that it is so where the person is known again.
    """
    texts = [text.encode("utf-8") for text in ids.texts]
    high, low = (ids.high, ids.low) if ids.kind == "user_id" else _words(dictionary, texts)
    rows = ascending_order(high, low)
    high, low = high[rows], low[rows]
    numbers = _find(dictionary, high, low)
    missing = np.flatnonzero(numbers == ABSENT)
    gone = np.empty(0, np.intp)
    if len(missing) and dictionary.erased.mark:
        hits = is_erased(dictionary.erased, _chosen(ids, rows[missing]))
        gone, missing = missing[hits], missing if erased_too else missing[~hits]
    if len(missing):
        _add(dictionary, *distinct(high[missing], low[missing]))
        numbers[missing] = _find(dictionary, high[missing], low[missing])
    if erased_too:
        dictionary.admitted.extend(np.unique(numbers[gone]).tolist())
    if ids.kind != "user_id":
        _keep_texts(dictionary, numbers, [texts[row] for row in rows.tolist()])
    if not erased_too and not admitted_too and dictionary.erased.mark:
        found = np.flatnonzero(numbers != ERASED)
        known = _known_erased(dictionary)
        numbers[found[np.isin(numbers[found], known)]] = ERASED
    in_order = np.empty_like(numbers)
    in_order[rows] = numbers
    return in_order


def encode_sets(dictionary: Dictionary, sets: Sequence[tuple[Words, Words]]) -> list[Numbers]:
    """The numbers of sets of user ids, each in ascending order without repetitions; ids that are new are added.

    All at once, so that the dictionary grows by one run. Not where people were erased: `encode` looks at each.
    """
    assert dictionary.kind == "user_id" and not dictionary.erased.mark
    result = [_find(dictionary, high, low) for high, low in sets]
    missing = [np.flatnonzero(numbers == ABSENT) for numbers in result]
    new = [at for at, rows in enumerate(missing) if len(rows)]
    if not new:
        return result
    known = len(dictionary)
    parts = [
        sets[at] if len(missing[at]) == len(sets[at][0]) else (sets[at][0][missing[at]], sets[at][1][missing[at]])
        for at in new
    ]
    joined = union(parts)
    _add(dictionary, joined.high, joined.low)
    for at, places in zip(new, joined.places, strict=True):
        result[at][missing[at]] = places + np.uint32(known)
    return result


def _chosen(ids: Ids, rows: NDArray[np.intp]) -> Ids:
    if ids.kind == "user_id":
        return Ids(ids.kind, ids.high[rows], ids.low[rows])
    return Ids(ids.kind, ids.high, ids.low, tuple(ids.texts[row] for row in rows.tolist()))


def lookup(dictionary: Dictionary, ids: Ids) -> tuple[int | None, ...]:
    """The number of each id, None for one that the dictionary does not have; nothing is added."""
    return tuple(None if number == ABSENT else int(number) for number in numbers_known(dictionary, ids))


def numbers_known(dictionary: Dictionary, ids: Ids) -> Numbers:
    """The number of each id, `ABSENT` for one that the dictionary does not have; nothing is added."""
    texts = [text.encode("utf-8") for text in ids.texts]
    high, low = (ids.high, ids.low) if ids.kind == "user_id" else _words(dictionary, texts)
    rows = ascending_order(high, low)
    numbers = np.empty(len(rows), np.uint32)
    numbers[rows] = _find(dictionary, high[rows], low[rows])
    return numbers


def id_texts(dictionary: Dictionary, numbers: Numbers) -> list[str]:
    """The ids of these numbers as they are written, in ascending order of the ids."""
    if dictionary.kind != "user_id":
        return sorted(text.decode("utf-8") for text in dictionary.texts.of(numbers.tolist()))
    ordered = id_order(dictionary, numbers)
    return user_id_texts(dictionary.high[ordered], dictionary.low[ordered])


def id_order(dictionary: Dictionary, numbers: Numbers) -> Numbers:
    """These numbers of user ids in ascending order of the ids."""
    if not len(numbers):
        return numbers
    if (numbers[1:] < numbers[:-1]).any():
        numbers = np.sort(numbers)
    run = next(run for run in dictionary.runs if numbers[0] < run.stop)
    if run.order is None and numbers[-1] < run.stop:
        return numbers
    return numbers[ascending_order(dictionary.high[numbers], dictionary.low[numbers])]


# --- lookups --------------------------------------------------------------------------------------


def _words(dictionary: Dictionary, texts: Sequence[bytes]) -> tuple[Words, Words]:
    """128 bits of a salted BLAKE2b of each text."""
    salt = dictionary.salt
    digests = [hashlib.blake2b(text, digest_size=16, key=salt).digest() for text in texts]
    words = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2).astype(np.uint64)
    return words[:, 0].copy(), words[:, 1].copy()


def _find(dictionary: Dictionary, high: Words, low: Words) -> Numbers:
    """The number of each id, given in ascending order, or `ABSENT`."""
    numbers = np.full(len(high), ABSENT, np.uint32)
    rows: NDArray[np.intp] | None = None
    for run in dictionary.runs:
        if rows is not None:
            rows = rows[numbers[rows] == ABSENT]
        some = (high, low) if rows is None else (high[rows], low[rows])
        if not len(some[0]):
            break
        places = find(_run_words(dictionary, run), _run_index(dictionary, run, len(some[0])), *some)
        hits = np.flatnonzero(places != ABSENT)
        places = places[hits]
        inside = places if run.order is None else run.order[places]
        numbers[hits if rows is None else rows[hits]] = inside + np.uint32(run.start)
        rows = np.arange(len(high)) if rows is None else rows
    return numbers


def _run_words(dictionary: Dictionary, run: _Run) -> tuple[Words, Words]:
    """The ids of a run in ascending order."""
    high, low = dictionary.high[run.start : run.stop], dictionary.low[run.start : run.stop]
    if run.order is None:
        return high, low
    if run.words is None:
        run.words = high[run.order], low[run.order]
    return run.words


def _run_index(dictionary: Dictionary, run: _Run, needles: int) -> Index | None:
    if run.index is None and not is_sparse(needles, run.stop - run.start):
        high = _run_words(dictionary, run)[0]
        run.index = index_of(high) if len(high) else None
    return run.index


def _add(dictionary: Dictionary, high: Words, low: Words) -> None:
    """Give numbers to these ids, in ascending order, none of which has one or stands twice."""
    known = len(dictionary)
    if known + len(high) >= int(ABSENT):
        raise OverflowError("more people than 32-bit numbers")
    dictionary.high, dictionary.low = appended(dictionary.high, high), appended(dictionary.low, low)
    runs = dictionary.runs
    runs.append(_Run(known, known + len(high)))
    while len(runs) > 1 and (len(runs) > _RUNS_MAX or _size(runs[-2]) <= _RUN_RATIO * _size(runs[-1])):
        last, before = runs.pop(), runs.pop()
        runs.append(_joined(dictionary, before, last))
    dictionary.grown = True


def _size(run: _Run) -> int:
    return run.stop - run.start


def _joined(dictionary: Dictionary, before: _Run, last: _Run) -> _Run:
    """One run of two that stand beside each other; numbers that are nobody's stay out of the order."""
    orders = [
        (np.arange(_size(run), dtype=np.uint32) if run.order is None else run.order)
        + np.uint32(run.start - before.start)
        for run in (before, last)
    ]
    order = np.concatenate(orders)
    numbers = order + np.uint32(before.start)
    order = order[ascending_order(dictionary.high[numbers], dictionary.low[numbers])]
    whole = len(order) == last.stop - before.start
    in_order = whole and bool((order[1:] > order[:-1]).all())
    return _Run(before.start, last.stop, None if in_order else order)


def _keep_texts(dictionary: Dictionary, numbers: Numbers, texts: Sequence[bytes]) -> None:
    """Remember the texts of new numbers; make sure of those of all others."""
    known = len(dictionary.texts)
    if len(dictionary) > known:
        new = [b""] * (len(dictionary) - known)
        for row in np.flatnonzero((numbers >= known) & (numbers != ERASED)).tolist():
            new[numbers[row] - known] = texts[row]
        dictionary.texts.add(new)
    rows = np.flatnonzero(numbers != ERASED)
    kept = dictionary.texts.of(numbers[rows])  # type: ignore[arg-type]
    if any(map(ne, kept, texts if len(rows) == len(texts) else [texts[row] for row in rows.tolist()])):
        raise ArithmeticError("two ids share 128 bits of a salted digest")


# --- the files ------------------------------------------------------------------------------------


def open_dictionary(folder: Path, kind: IdKind, keys: Keys | None = None, erased: Erased = NOBODY_ERASED) -> Dictionary:
    """The dictionary kept in a folder; a new one where there is none or a part of it is missing or damaged.

    Nothing is left in it of whoever was erased. Raises KeyMissing.
    """
    dictionary = _opened(folder, kind, keys, erased)
    if dictionary is None:
        return Dictionary(kind, secrets.token_bytes(32), keys_kept=keys, erased=erased, scrubbed=erased.mark)
    if erased.mark and dictionary.scrubbed != erased.mark:
        _scrub(dictionary)
    return dictionary


def _opened(folder: Path, kind: IdKind, keys: Keys | None, erased: Erased) -> Dictionary | None:
    entry = read_entry(folder / f"people-{kind}", keys)
    if entry is None or entry.header.get("format") != _FORMAT or entry.header.get("kind") != kind:
        return None
    header = entry.header
    dictionary = Dictionary(
        kind,
        bytes.fromhex(header["salt"]),
        header["epochs"],
        keys_kept=keys,
        erased=erased,
        blank=header.get("blank", []),
        admitted=header.get("admitted", []),
        scrubbed=header.get("scrubbed", ""),
    )
    for name, start, stop in header["runs"]:
        run = read_entry(folder / _file_name(kind, name), keys)
        if run is None:
            return None
        high, low, order, lengths, texts = run.blocks
        words = [np.frombuffer(block, np.uint64) for block in (high, low)]
        # The first run stays where the file is mapped.
        dictionary.high = appended(dictionary.high, words[0]) if start else words[0]
        dictionary.low = appended(dictionary.low, words[1]) if start else words[1]
        dictionary.texts.add_block(texts, np.frombuffer(lengths, np.uint32).astype(np.int64))
        in_order = run.header["in_order"]
        dictionary.runs.append(_Run(start, stop, None if in_order else np.frombuffer(order, np.uint32), name))
    return dictionary


def _file_name(kind: IdKind, name: str) -> str:
    return f"people-{kind}.{name}"


def _scrub(dictionary: Dictionary) -> None:
    """Leave nothing of whoever was erased but a number that is nobody's, so that the numbers of others stand."""
    count = len(dictionary)
    texts = () if dictionary.kind == "user_id" else tuple(map(bytes.decode, dictionary.texts.of(range(count))))
    ids = Ids(dictionary.kind, dictionary.high, dictionary.low, texts)
    gone = np.setdiff1d(np.flatnonzero(is_erased(dictionary.erased, ids)), np.array(dictionary.blank, np.int64))
    dictionary.scrubbed, dictionary.grown, dictionary.admitted = dictionary.erased.mark, True, []
    dictionary.scrubbed_now = True
    if not len(gone):
        return
    dictionary.high, dictionary.low = dictionary.high.copy(), dictionary.low.copy()
    dictionary.high[gone] = dictionary.low[gone] = 0
    if len(dictionary.texts):
        dictionary.texts.blank(gone.tolist())
    for at, run in enumerate(dictionary.runs):
        inside = gone[(gone >= run.start) & (gone < run.stop)] - run.start
        if len(inside):
            order = np.arange(_size(run), dtype=np.uint32) if run.order is None else run.order
            dictionary.runs[at] = _Run(run.start, run.stop, order[~np.isin(order, inside)])
    dictionary.blank = sorted([*dictionary.blank, *gone.tolist()])


def _known_erased(dictionary: Dictionary) -> Numbers:
    return np.array([*dictionary.blank, *dictionary.admitted], np.uint32)


def flush(dictionary: Dictionary, folder: Path) -> str:
    """Keep the dictionary if it grew; its present epoch. Raises OSError."""
    if dictionary.grown or not dictionary.epochs:
        for run in dictionary.runs:
            if not run.name:
                _write_run(dictionary, run, folder)
        epochs = [*dictionary.epochs, secrets.token_hex(16)][-_EPOCHS_KEPT_MAX:]
        header: dict[str, object] = {
            "format": _FORMAT,
            "kind": dictionary.kind,
            "salt": dictionary.salt.hex(),
            "epochs": epochs,
            "runs": [[run.name, run.start, run.stop] for run in dictionary.runs],
        }
        if dictionary.scrubbed:
            header |= {"blank": dictionary.blank, "admitted": dictionary.admitted, "scrubbed": dictionary.scrubbed}
        write_entry(folder / f"people-{dictionary.kind}", header, [], keys=dictionary.keys_kept)
        dictionary.epochs, dictionary.grown = epochs, False
        _remove_others(dictionary, folder)
    return dictionary.epochs[-1]


def _write_run(dictionary: Dictionary, run: _Run, folder: Path) -> None:
    """A file of its own under a name that no other process uses."""
    name = secrets.token_hex(16)
    order = np.empty(0, np.uint32) if run.order is None else run.order
    texts, lengths = np.empty(0, np.uint8), np.empty(0, np.int64)
    if dictionary.kind != "user_id":
        texts, lengths = dictionary.texts.block(run.start, run.stop)
    part = slice(run.start, run.stop)
    arrays = (dictionary.high[part], dictionary.low[part], order, lengths.astype(np.uint32), texts)
    blocks = [memoryview(np.ascontiguousarray(array).view(np.uint8).data) for array in arrays]
    header = {"in_order": run.order is None}
    write_entry(folder / _file_name(dictionary.kind, name), header, blocks, keys=dictionary.keys_kept)
    run.name = name


def _remove_others(dictionary: Dictionary, folder: Path) -> None:
    """Remove files of runs that were joined since: old ones, as another process may be about to name its own; all where
    somebody was erased."""
    named = {_file_name(dictionary.kind, run.name) for run in dictionary.runs}
    for path in old_files(folder, _file_name(dictionary.kind, "*"), at_once=dictionary.scrubbed_now):
        if path.name not in named:
            path.unlink(missing_ok=True)
    dictionary.scrubbed_now = False
