"""The dictionary of people: every id that was ever seen gets a dense 32-bit number, for good.

Lookups go by a sorted 64-bit key that is mixed with a secret salt, and are verified against the whole id
on every hit, so that ids that share a key stay two people. Numbers are only ever added. Each time that
numbers are added, the dictionary gets a new epoch, a random mark; a bitmap in the cache names the epoch it
was written under and is good only for a dictionary that went through that epoch. So a dictionary that was
lost, rebuilt, or overtaken by another process makes old bitmaps absent, never wrong.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from operator import ne
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audsql.data.cache import read_entry, write_entry
from audsql.data.erased import NOBODY_ERASED, Erased, is_erased
from audsql.data.ids import Ids, Words, user_id_texts
from audsql.data.keys import Keys
from audsql.meaning.ir import IdKind

__all__ = [
    "ERASED", "Dictionary", "encode", "flush", "id_order", "id_texts", "lookup", "open_dictionary",
]  # fmt: skip

Numbers = NDArray[np.uint32]
_FORMAT = 1
_EPOCHS_KEPT_MAX = 4_096
_NOT_FOUND = np.uint32(0xFFFFFFFF)
ERASED = _NOT_FOUND
"""In place of the number of somebody who was erased."""


@dataclass(slots=True)
class Dictionary:
    """`high`, `low` (and `texts`, for kinds other than user ids) by number; `keys` sorted, `numbers` beside them.

    `keys_kept` close the file. `blank`: numbers of people who were erased, of whom nothing is left;
    `admitted`: of those who are known again, because a list that only takes people away names them. `scrubbed` marks
    the tombstones that were seen to.
    """

    kind: IdKind
    salt: bytes
    epochs: list[str] = field(default_factory=list)
    high: Words = field(default_factory=lambda: np.empty(0, np.uint64))
    low: Words = field(default_factory=lambda: np.empty(0, np.uint64))
    keys: Words = field(default_factory=lambda: np.empty(0, np.uint64))
    numbers: Numbers = field(default_factory=lambda: np.empty(0, np.uint32))
    texts: list[str] = field(default_factory=list)
    grown: bool = False
    order: tuple[Numbers, Numbers] | None = None
    keys_kept: Keys | None = None
    erased: Erased = NOBODY_ERASED
    blank: list[int] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)
    scrubbed: str = ""

    def __len__(self) -> int:
        return len(self.high)


def encode(dictionary: Dictionary, ids: Ids, *, erased_too: bool = False, admitted_too: bool = False) -> Numbers:
    """The number of each id, in the order given; ids that are new are added.

    Whoever was erased is `ERASED`, unless `erased_too` says that here the person is to be known, or `admitted_too`
    that it is so where the person is known again.
    """
    high, low = (ids.high, ids.low) if ids.kind == "user_id" else _words(dictionary, ids.texts)
    numbers = _find(dictionary, high, low)
    missing = np.flatnonzero(numbers == _NOT_FOUND)
    gone = np.empty(0, np.intp)
    if len(missing) and dictionary.erased.mark:
        hits = is_erased(dictionary.erased, _chosen(ids, missing))
        gone, missing = missing[hits], missing if erased_too else missing[~hits]
    if len(missing):
        _add(dictionary, high[missing], low[missing])
        numbers[missing] = _find(dictionary, high[missing], low[missing])
    if erased_too:
        dictionary.admitted.extend(np.unique(numbers[gone]).tolist())
    if ids.kind != "user_id":
        _keep_texts(dictionary, numbers, ids.texts)
    if not erased_too and not admitted_too and dictionary.erased.mark:
        found = np.flatnonzero(numbers != ERASED)
        known = _known_erased(dictionary)
        numbers[found[np.isin(numbers[found], known)]] = ERASED
    return numbers


def _chosen(ids: Ids, rows: NDArray[np.intp]) -> Ids:
    if ids.kind == "user_id":
        return Ids(ids.kind, ids.high[rows], ids.low[rows])
    return Ids(ids.kind, ids.high, ids.low, tuple(ids.texts[row] for row in rows.tolist()))


def lookup(dictionary: Dictionary, ids: Ids) -> tuple[int | None, ...]:
    """The number of each id, None for one that the dictionary does not have; nothing is added."""
    high, low = (ids.high, ids.low) if ids.kind == "user_id" else _words(dictionary, ids.texts)
    return tuple(None if number == _NOT_FOUND else int(number) for number in _find(dictionary, high, low))


def id_texts(dictionary: Dictionary, numbers: Numbers) -> list[str]:
    """The ids of these numbers as they are written, in ascending order of the ids."""
    if dictionary.kind != "user_id":
        return sorted(map(dictionary.texts.__getitem__, numbers.tolist()))
    ordered = id_order(dictionary, numbers)
    return user_id_texts(dictionary.high[ordered], dictionary.low[ordered])


def id_order(dictionary: Dictionary, numbers: Numbers) -> Numbers:
    """These numbers of user ids in ascending order of the ids."""
    if dictionary.order is None or len(dictionary.order[0]) != len(dictionary):
        by_id = _sort_order(dictionary.high, dictionary.low).astype(np.uint32)
        rank = np.empty(len(dictionary), np.uint32)
        rank[by_id] = np.arange(len(dictionary), dtype=np.uint32)
        dictionary.order = (by_id, rank)
    by_id, rank = dictionary.order
    return by_id[np.sort(rank[numbers])]


# --- lookups --------------------------------------------------------------------------------------


def _words(dictionary: Dictionary, texts: tuple[str, ...]) -> tuple[Words, Words]:
    """128 bits of a salted BLAKE2b of each text."""
    salt = dictionary.salt
    digests = [hashlib.blake2b(text.encode("utf-8"), digest_size=16, key=salt).digest() for text in texts]
    words = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2).astype(np.uint64)
    return words[:, 0].copy(), words[:, 1].copy()


def _keys_of(salt: bytes, high: Words, low: Words) -> Words:
    """64-bit keys; who does not know the salt cannot make two ids share one."""
    first, second, third, fourth = (np.uint64(int.from_bytes(salt[at : at + 8], "big") | 1) for at in range(0, 32, 8))
    keys = (high ^ second) * first
    keys ^= keys >> np.uint64(32)
    keys += low * third
    keys ^= keys >> np.uint64(29)
    keys *= fourth
    keys ^= keys >> np.uint64(32)
    return keys


def _find(dictionary: Dictionary, high: Words, low: Words) -> Numbers:
    """The number of each id, or `_NOT_FOUND`."""
    found = np.full(len(high), _NOT_FOUND, np.uint32)
    if not len(dictionary) or not len(high):
        return found
    keys = _keys_of(dictionary.salt, high, low)
    rows = np.argsort(keys)
    keys = keys[rows]
    # Ascending needles walk the index in order, which is what makes this quick.
    places = np.searchsorted(dictionary.keys, keys)
    while len(rows):
        inside = places < len(dictionary.keys)
        rows, keys, places = rows[inside], keys[inside], places[inside]
        same = dictionary.keys[places] == keys
        rows, keys, places = rows[same], keys[same], places[same]
        numbers = dictionary.numbers[places]
        hit = (dictionary.high[numbers] == high[rows]) & (dictionary.low[numbers] == low[rows])
        found[rows[hit]] = numbers[hit]
        # Another id has this key: look at the next entry.
        rows, keys, places = rows[~hit], keys[~hit], places[~hit] + 1
    return found


def _sort_order(high: Words, low: Words) -> NDArray[np.intp]:
    order = np.argsort(high)
    ordered = high[order]
    if (ordered[1:] == ordered[:-1]).any():
        return np.lexsort((low, high))
    return order


def _add(dictionary: Dictionary, high: Words, low: Words) -> None:
    """Give numbers to these ids, none of which has one; repetitions are fine."""
    order = _sort_order(high, low)
    high, low = high[order], low[order]
    fresh = np.ones(len(high), bool)
    fresh[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    high, low = high[fresh], low[fresh]
    known = len(dictionary)
    if known + len(high) >= int(_NOT_FOUND):
        raise OverflowError("more people than 32-bit numbers")
    keys = _keys_of(dictionary.salt, high, low)
    order = np.argsort(keys)
    places = np.searchsorted(dictionary.keys, keys[order])
    dictionary.keys = np.insert(dictionary.keys, places, keys[order])
    dictionary.numbers = np.insert(dictionary.numbers, places, (order + known).astype(np.uint32))
    dictionary.high = np.concatenate((dictionary.high, high))
    dictionary.low = np.concatenate((dictionary.low, low))
    dictionary.grown = True


def _keep_texts(dictionary: Dictionary, numbers: Numbers, texts: tuple[str, ...]) -> None:
    known = len(dictionary.texts)
    dictionary.texts.extend([""] * (len(dictionary) - known))
    for row in np.flatnonzero((numbers >= known) & (numbers != ERASED)).tolist():
        dictionary.texts[numbers[row]] = texts[row]
    if dictionary.erased.mark:
        rows = np.flatnonzero(numbers != ERASED).tolist()
        numbers, texts = numbers[rows], tuple(texts[row] for row in rows)
    kept = map(dictionary.texts.__getitem__, numbers.tolist())
    if any(map(ne, kept, texts)):
        raise ArithmeticError("two ids share 128 bits of a salted digest")


# --- the file -------------------------------------------------------------------------------------


def open_dictionary(folder: Path, kind: IdKind, keys: Keys | None = None, erased: Erased = NOBODY_ERASED) -> Dictionary:
    """The dictionary kept in a folder; a new one where there is none or it is damaged.

    Nothing is left in it of whoever was erased. Raises KeyMissing.
    """
    entry = read_entry(folder / f"people-{kind}", keys)
    if entry is None or entry.header.get("format") != _FORMAT or entry.header.get("kind") != kind:
        return Dictionary(kind, secrets.token_bytes(32), keys_kept=keys, erased=erased, scrubbed=erased.mark)
    high, low, sorted_keys, numbers, texts = entry.blocks
    words = bytes(texts).decode("utf-8")
    dictionary = Dictionary(
        kind,
        bytes.fromhex(entry.header["salt"]),
        entry.header["epochs"],
        np.frombuffer(high, np.uint64),
        np.frombuffer(low, np.uint64),
        np.frombuffer(sorted_keys, np.uint64),
        np.frombuffer(numbers, np.uint32),
        words.split("\n") if words else [],
        keys_kept=keys,
        erased=erased,
        blank=entry.header.get("blank", []),
        admitted=entry.header.get("admitted", []),
        scrubbed=entry.header.get("scrubbed", ""),
    )
    if erased.mark and dictionary.scrubbed != erased.mark:
        _scrub(dictionary)
    return dictionary


def _scrub(dictionary: Dictionary) -> None:
    """Leave nothing of whoever was erased but a number that is nobody's, so that the numbers of others stand."""
    texts = (*dictionary.texts, *[""] * (len(dictionary) - len(dictionary.texts)))
    ids = Ids(dictionary.kind, dictionary.high, dictionary.low, () if dictionary.kind == "user_id" else texts)
    gone = np.setdiff1d(np.flatnonzero(is_erased(dictionary.erased, ids)), np.array(dictionary.blank, np.int64))
    dictionary.scrubbed, dictionary.grown, dictionary.admitted = dictionary.erased.mark, True, []
    if not len(gone):
        return
    dictionary.high, dictionary.low = dictionary.high.copy(), dictionary.low.copy()
    dictionary.high[gone] = dictionary.low[gone] = 0
    if dictionary.texts:
        for number in gone.tolist():
            dictionary.texts[number] = ""
    kept = ~np.isin(dictionary.numbers, gone)
    dictionary.keys, dictionary.numbers = dictionary.keys[kept], dictionary.numbers[kept]
    dictionary.blank = sorted([*dictionary.blank, *gone.tolist()])


def _known_erased(dictionary: Dictionary) -> Numbers:
    return np.array([*dictionary.blank, *dictionary.admitted], np.uint32)


def flush(dictionary: Dictionary, folder: Path) -> str:
    """Keep the dictionary if it grew; its present epoch. Raises OSError."""
    if dictionary.grown or not dictionary.epochs:
        epochs = [*dictionary.epochs, secrets.token_hex(16)][-_EPOCHS_KEPT_MAX:]
        header: dict[str, object] = {
            "format": _FORMAT,
            "kind": dictionary.kind,
            "salt": dictionary.salt.hex(),
            "epochs": epochs,
        }
        if dictionary.scrubbed:
            header |= {"blank": dictionary.blank, "admitted": dictionary.admitted, "scrubbed": dictionary.scrubbed}
        arrays = (dictionary.high, dictionary.low, dictionary.keys, dictionary.numbers)
        blocks = [memoryview(np.ascontiguousarray(array).view(np.uint8).data) for array in arrays]
        texts = memoryview("\n".join(dictionary.texts).encode("utf-8"))
        write_entry(folder / f"people-{dictionary.kind}", header, [*blocks, texts], keys=dictionary.keys_kept)
        dictionary.epochs, dictionary.grown = epochs, False
    return dictionary.epochs[-1]
