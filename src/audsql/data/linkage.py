"""Id linkage: sets of one kind of id as ids of another, through the rows of a table (specs/data.md, linkage.*)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audsql.data.engine import LinkageLoss, LinkKey
from audsql.data.people import PeopleSet, bits_of, numbers_of

__all__ = ["Links", "mapped"]


@dataclass(frozen=True, slots=True)
class Links:
    """The pairs of a linkage, by numbers of the two dictionaries; each pair once, rows without one of them left out."""

    given: NDArray[np.uint32]
    found: NDArray[np.uint32]


def mapped(key: LinkKey, links: Links, people: PeopleSet) -> tuple[PeopleSet, LinkageLoss]:
    """Whoever any of these people is linked to, and what was lost on the way. One to many, both ways."""
    table, kind, to = key
    numbers = numbers_of(people)
    chosen = np.isin(links.given, numbers)
    result = PeopleSet(to, bits_of(np.unique(links.found[chosen])))
    matched = len(np.unique(links.given[chosen]))
    return result, LinkageLoss(table, kind, to, len(numbers), len(numbers) - matched, len(result.bits))
