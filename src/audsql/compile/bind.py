"""What binding data to a program may change: uploads that came out empty are nobody.

LINE never makes an empty audience READY, so it cannot be named. The rewriting is exact, and the codes of
all other uploads stay as they are, or plans would change their shape with the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from audsql.compile.program import (
    AudienceLeaf,
    CompiledDelivery,
    Narrowcast,
    Program,
    Send,
    recipient_leaves,
)
from audsql.compile.trees import without
from audsql.meaning import ir

__all__ = ["without_empty"]


def without_empty(delivery: CompiledDelivery, program: Program, empty: frozenset[str]) -> CompiledDelivery:
    """The delivery with these audiences taken as nobody (specs/compile.md, `compile.empty`).

    `empty` holds keys of uploads, of LINE audiences that cannot exist (clicks of a part that was not sent),
    and `redelivery(d; part)` for such a part itself. Sends to nobody are gone; the parts of the others keep
    their numbers. A send whose recipients become everybody keeps its filter; without a filter it is to all
    friends, which happens only where the author wrote `friends`. Raises ValueError for anything else, and where
    people would come in whom the expression does not hold, which cannot be of a delivery that
    `compile_delivery` made.
    """
    sends = tuple(send for old in delivery.sends for send in _rewritten(old, delivery.reach, empty))
    used = sorted({leaf.key for leaf in _audience_leaves(sends)})
    uploads = {upload.key for upload in program.uploads}
    return replace(
        delivery,
        sends=sends,
        uploads=tuple(key for key in used if key in uploads),
        audiences=tuple(key for key in used if key not in uploads),
    )


def _audience_leaves(sends: Iterable[Send]) -> Iterator[AudienceLeaf]:
    for send in sends:
        if isinstance(send, Narrowcast):
            yield from (leaf for leaf in recipient_leaves(send.recipient) if isinstance(leaf, AudienceLeaf))


def _rewritten(send: Send, reach: ir.Expression, empty: frozenset[str]) -> Iterator[Send]:
    if not isinstance(send, Narrowcast) or send.recipient is None:
        yield send
        return
    tree = without(send.recipient, empty)
    if tree is True:
        yield _to_everybody(send, reach)
    elif not isinstance(tree, bool):
        yield replace(send, recipient=tree)


def _to_everybody(send: Narrowcast, reach: ir.Expression) -> Narrowcast:
    """All friends, less the filter. Where it holds without an attribute, an anchored expression names friends."""
    friends = any(isinstance(atom, ir.Friends) for atom in ir.atoms_of(reach))
    if not _has_strangers(send.region) or (send.filter is None and not friends):
        raise ValueError("a send would grow to friends who are not in the expression")
    return replace(send, recipient=None, everybody=send.filter is None)


def _has_strangers(region: ir.Expression) -> bool:
    """Whether friends whom no data and no audience of LINE name can be in this part: *anchored*, looked at again.

    An empty upload changes nothing for them, so what the part was for them before, it must be now.
    """
    known = {atom.key: ir.Constant(isinstance(atom, ir.Friends)) for atom in ir.atoms_of(region)}
    named = {atom.key for atom in ir.atoms_of(region) if atom.world == "attribute"}
    return ir.substitute(region, {key: value for key, value in known.items() if key not in named}) != ir.NOBODY
