"""Line atoms by the names that LINE has for them (specs/line.md).

Clicks and opens become audiences that are made from a send, receipts are referred to by the send itself,
and everything else is found by its name. Each send of a delivery has clicks, opens and receipts of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from audsql.compile.program import AnyOf, AudienceLeaf, LineAudience, Recipient, RedeliveryLeaf
from audsql.meaning import ir
from audsql.meaning.words import atom_words
from audsql.records import dataclass

__all__ = ["Named", "Parts", "named", "refers_to"]

Parts = Mapping[str, tuple[int, ...]]
"""The numbers of the sends of each delivery of this project that is compiled already."""


@dataclass(frozen=True, slots=True)
class Named:
    """A line atom as leaves of a recipient tree; none where nothing was or will be sent."""

    atom: ir.Atom
    leaves: tuple[AudienceLeaf | RedeliveryLeaf, ...]
    audiences: tuple[LineAudience, ...] = ()
    waits_for: str | None = None

    @property
    def recipient(self) -> Recipient:
        """Who is in any of the leaves."""
        return self.leaves[0] if len(self.leaves) == 1 else AnyOf(self.leaves)


def refers_to(atom: ir.Atom) -> str | None:
    """The delivery that an atom speaks of."""
    return atom.delivery if isinstance(atom, ir.Clicked | ir.Opened | ir.Received) else None


def named(atom: ir.Atom, account: str, parts: Parts) -> Named:
    """The leaves for a line atom of this account. Raises ValueError for `friends`, which has none."""
    target = refers_to(atom)
    waits_for = target if target in parts else None
    numbers = (0,) if target is None else parts.get(target, (0,))
    match atom:
        case ir.Received(delivery):
            return Named(atom, tuple(RedeliveryLeaf(delivery, part) for part in numbers), (), waits_for)
        case ir.Clicked() | ir.Opened():
            audiences = tuple(_from_send(atom, account, part) for part in numbers)
        case ir.RemoteAudience(owner, kind, name):
            audiences = (LineAudience(atom.key, owner or account, kind, atom_words(atom), name=name),)
        case _:
            raise ValueError(f"no audience of LINE stands for {atom.key}")
    return Named(atom, tuple(AudienceLeaf(audience.key) for audience in audiences), audiences, waits_for)


def _from_send(atom: ir.Clicked | ir.Opened, account: str, part: int) -> LineAudience:
    """The audience of who clicked or opened one send. The first send has the plain name."""
    suffix = "" if part == 0 else f" part {part}"
    key, label = atom.key + suffix, atom_words(atom) + suffix
    if isinstance(atom, ir.Opened):
        return LineAudience(key, account, "IMP", label, delivery=atom.delivery, part=part)
    return LineAudience(key, account, "CLICK", label, delivery=atom.delivery, url=atom.url, part=part)
