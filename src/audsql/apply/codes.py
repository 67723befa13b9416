"""Single-use codes: given to a person for good before a message with them exists, and to nobody else ever.

The ledger has the keyed digest of a code and whose it is; the text stands in the file and in the message. What was
given stays given when a run is repeated, killed or comes to nothing. Rules: specs/operations.md, `codes.*`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from audsql.apply.context import Context
from audsql.apply.ledger import Assigned, Occupied
from audsql.apply.personal import Wording
from audsql.data.code_pools import Codes
from audsql.diag import Diagnostic
from audsql.meaning.ir import CodePool, Project

__all__ = ["Thing", "codes_for", "free_codes", "pools_read"]

_TRIES = 3

Thing = tuple[bytes, str]
"""A person, and the occurrence that they get a code for."""


def pools_read(
    engine_codes: Callable[[CodePool], tuple[Codes | None, tuple[Diagnostic, ...]]],
    project: Project,
    pools: Sequence[str],
) -> tuple[dict[str, Codes] | None, tuple[Diagnostic, ...]]:
    """The files of these pools; None where one cannot be read or is declared no more."""
    declared = {one.name: one for one in project.code_pools}
    found: dict[str, Codes] = {}
    problems: list[Diagnostic] = []
    for name in pools:
        codes, diagnostics = engine_codes(declared[name]) if name in declared else (None, ())
        problems += diagnostics
        if codes is not None:
            found[name] = codes
    return (found if len(found) == len(pools) else None), tuple(problems)


def free_codes(codes: Codes, assigned: Iterable[Assigned], digest: Callable[[str, str], bytes]) -> int:
    """How many codes of a pool nobody has."""
    taken = {one.code for one in assigned}
    return sum(digest(codes.name, text) not in taken for text in codes.texts) if taken else len(codes.texts)


def codes_for(
    context: Context, wording: Wording, owner: str, things: Sequence[Thing], codes: Mapping[str, Codes]
) -> dict[str, list[str | None]]:
    """By pool, for each of these a code of their own, the same whenever it is asked for; None where none is left, or
    the one that is theirs stands in the file no more. Who has none is given one here, durably.

    Raises LeaseLost, RowChanged, StoreFailed as every write does.
    """
    return {pool: _of_pool(context, codes[pool], owner, things) for pool in wording.pools}


def _of_pool(context: Context, codes: Codes, owner: str, things: Sequence[Thing]) -> list[str | None]:
    by_digest = {context.persons.code_digest(codes.name, text): text for text in codes.texts}
    for attempt in range(_TRIES):
        assigned = context.ledger.assigned(codes.name)
        taken = {one.code for one in assigned}
        own = {(one.person, one.occurrence): one.code for one in assigned if one.owner == owner}
        wanting = sorted({thing for thing in things if thing not in own})
        free = (digest for digest in by_digest if digest not in taken)
        fresh = [Assigned(codes.name, code, person, owner, occurrence)
                 for (person, occurrence), code in zip(wanting, free, strict=False)]  # fmt: skip
        try:
            if fresh:
                context.keep_lease()
                context.ledger.assign(context.lease, context.steady_now(), "codes.assigned", fresh)
        except Occupied:
            # Somebody else gave one of these meanwhile: nothing was written, and what they wrote counts.
            if attempt == _TRIES - 1:
                raise
            continue
        own |= {(one.person, one.occurrence): one.code for one in fresh}
        return [by_digest.get(own[thing]) if thing in own else None for thing in things]
    raise AssertionError("every try ends")
