"""Deliveries that share an upload with different people in it are carried out one after the other.

What one delivery adds and another subtracts is as approved for the one and read again for the other
(specs/operations.md, apply.apart). LINE has one upload for both; it is filled anew once the one before is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audsql.apply.state import Occurrence

__all__ = ["Contents", "in_rounds", "other_people"]

Contents = Mapping[str, Mapping[str, str]]
"""By delivery the fingerprints of the people in each of its uploads, by key."""


def other_people(one: str, other: str, contents: Contents) -> bool:
    """Whether two deliveries share an upload that has other people for the one than for the other."""
    mine, theirs = contents[one], contents[other]
    return any(mine[key] != theirs[key] for key in mine.keys() & theirs.keys())


def in_rounds(rows: Sequence[Occurrence], contents: Contents) -> tuple[tuple[Occurrence, ...], ...]:
    """The occurrences in rounds, in each of which an upload has one content; as they stand where one round does.

    Of two that share an upload with other people the one that is due first goes first. What has no time is due now.
    """
    turn: dict[str, int] = {}
    disputed = _disputed(contents)
    for row in sorted(rows, key=lambda row: (row.at is not None, row.at.isoformat() if row.at else "", row.id)):
        earlier = [name for name in turn if name in disputed and row.name in disputed]
        before = [turn[name] for name in earlier if other_people(name, row.name, contents)]
        turn[row.name] = max(before, default=-1) + 1
    return tuple(
        tuple(row for row in rows if turn[row.name] == number) for number in range(max(turn.values(), default=-1) + 1)
    )


def _disputed(contents: Contents) -> frozenset[str]:
    """The deliveries with an upload that has other people for another one."""
    seen: dict[str, set[str]] = {}
    for uploads in contents.values():
        for key, fingerprint in uploads.items():
            seen.setdefault(key, set()).add(fingerprint)
    several = {key for key, found in seen.items() if len(found) > 1}
    return frozenset(name for name, uploads in contents.items() if several & uploads.keys())
