"""Many short texts in one buffer: for ids that are no numbers, by the million."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from audsql.records import dataclass

__all__ = ["Texts", "appended"]

_Scalar = TypeVar("_Scalar", bound=np.generic)
_GROWTH = 8  # room for one more in so many, so that adding a few again and again does not copy all each time


def appended(array: NDArray[_Scalar], more: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """`array` with more at its end; in the room behind it where there is some.

    Only the longest of the arrays that share a room may be appended to.
    """
    total = len(array) + len(more)
    room = array.base
    if not isinstance(room, np.ndarray) or not room.flags.owndata or room.dtype != array.dtype or len(room) < total:
        room = np.empty(total + total // _GROWTH, array.dtype)
        room[: len(array)] = array
    room[len(array) : total] = more
    return room[:total]


@dataclass(slots=True)
class Texts:
    """Texts by number as UTF-8: text i is `data[ends[i - 1] : ends[i]]`."""

    data: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    ends: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> str:
        return self.of([number])[0].decode("utf-8")

    def of(self, numbers: Sequence[int]) -> list[bytes]:
        """The texts of these numbers."""
        view, ends = self.data.data, self.ends
        chosen = np.asarray(numbers, np.int64)
        starts = np.where(chosen > 0, ends[chosen - 1], 0).tolist() if len(chosen) else []
        return [view[start:end].tobytes() for start, end in zip(starts, ends[chosen].tolist(), strict=True)]

    def add(self, texts: Sequence[bytes]) -> None:
        self.add_block(b"".join(texts), np.fromiter(map(len, texts), np.int64, len(texts)))

    def add_block(self, block: bytes | memoryview, lengths: NDArray[np.int64]) -> None:
        """Texts that stand one behind the other."""
        self.ends = appended(self.ends, np.cumsum(lengths) + len(self.data))
        self.data = appended(self.data, np.frombuffer(block, np.uint8))

    def block(self, start: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The texts of these numbers one behind the other, and their lengths."""
        begin = int(self.ends[start - 1]) if start else 0
        ends = self.ends[start:stop]
        return self.data[begin : int(ends[-1]) if len(ends) else begin], np.diff(ends, prepend=begin)

    def blank(self, numbers: Iterable[int]) -> None:
        """Leave nothing of these texts, in the room behind them neither."""
        gone = set(numbers)
        left = [b"" if number in gone else text for number, text in enumerate(self.of(range(len(self))))]
        self.data, self.ends = np.empty(0, np.uint8), np.empty(0, np.int64)
        self.add(left)
