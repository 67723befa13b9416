"""Buckets: the stable, salted share that an id falls into (specs/data.md, derived.bucket).

What is hashed is the id as the dictionary keeps it: `U` and 32 digits, a telephone number as digits, an e-mail
address in lower case. Hashing is the whole cost, so buckets are kept by the dictionary's numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from audsql.data.dictionary import Dictionary
from audsql.data.ids import Words
from audsql.records import dataclass

__all__ = ["BUCKETS", "Buckets", "between", "extended", "read_buckets"]

Numbers = NDArray[np.uint32]
BUCKETS = 100 * 100  # a bucket is a hundredth of a percent
_UNKNOWN = 0xFFFF
_DIGEST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Buckets:
    """The bucket of each number of a dictionary under one salt; `_UNKNOWN` where it was never asked for."""

    values: NDArray[np.uint16]


def read_buckets(block: bytes | memoryview) -> Buckets:
    """Buckets as they were written to the cache: two bytes each."""
    return Buckets(np.frombuffer(block, np.uint16))


def extended(known: Buckets, dictionary: Dictionary, salt: str, numbers: Numbers) -> Buckets:
    """The buckets with those of `numbers` (distinct) filled in; the same value where nothing was missing."""
    if not len(numbers):
        return known
    values = known.values
    if int(numbers.max()) >= len(values):
        values = np.full(len(dictionary), _UNKNOWN, np.uint16)
        values[: len(known.values)] = known.values
    missing = numbers[values[numbers] == _UNKNOWN]
    if not len(missing):
        return known
    values = values.copy()
    values[missing] = _hashed(dictionary, salt, missing)
    return Buckets(values)


def between(buckets: Buckets, numbers: Numbers, low: int, high: int) -> Numbers:
    """Those of `numbers`, all of them filled in, whose bucket is at least `low` and below `high`."""
    values = buckets.values[numbers]
    return numbers[(values >= low) & (values < high)]


def _hashed(dictionary: Dictionary, salt: str, numbers: Numbers) -> NDArray[np.uint16]:
    """The first 32 bits, big-endian, of SHA-256 of UTF-8 `salt:id`, modulo 10,000."""
    prefix, digest = f"{salt}:".encode("utf-8", "surrogatepass"), hashlib.sha256
    if dictionary.kind == "user_id":
        texts = _user_id_texts(prefix, dictionary.high[numbers], dictionary.low[numbers])
    else:
        texts = [prefix + text for text in dictionary.texts.of(numbers.tolist())]
    digests = np.frombuffer(b"".join([digest(text).digest() for text in texts]), ">u4")
    return (digests[::_DIGEST_WORDS] % BUCKETS).astype(np.uint16)


def _user_id_texts(prefix: bytes, high: Words, low: Words) -> list[bytes]:
    """User ids as LINE writes them, each after the prefix; no text is made that is not hashed."""
    words = np.empty((len(high), 2), ">u8")
    words[:, 0], words[:, 1] = high, low
    start = prefix + b"U"
    digits = words.tobytes().hex().encode("ascii")
    return [start + digits[at : at + 32] for at in range(0, len(digits), 32)]
