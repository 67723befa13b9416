"""How a delivery was compiled, step by step, as values. Nothing is decided here: `compile.sends` fills it in, and
`explain --compile` shows it."""

from __future__ import annotations

from collections.abc import Mapping

from audsql.compile.audiences import Named
from audsql.compile.changing import Guards
from audsql.compile.cofactor import Split, Way
from audsql.compile.covers import Cover
from audsql.compile.program import Filter, Send, UploadFunction, filter_leaves
from audsql.meaning import ir
from audsql.records import dataclass

__all__ = ["Part", "Working"]


@dataclass(frozen=True, slots=True)
class Part:
    """A way with its filter; `rest` is the filter in the author's terms."""

    way: Way
    rest: ir.Expression
    filter: Filter | None

    @property
    def order(self) -> tuple[bool, int, str]:
        return self.filter is not None, filter_leaves(self.filter), self.rest.key


@dataclass(frozen=True, slots=True)
class Working:
    """A delivery by narrowcasts and the way to it.

    `function` is what it reaches among friends. `parts` are in the order of the sends; `cover.trees` has for each part
    its trees, one a send, more where one was split. `uploads` are the bits of the codes, those included that no send
    names in the end. `guards`: what keeps anybody from getting two of the sends. Bounds from
    below stand at what they bound: `split.sends_least`, `cover.uploads_least`.
    """

    delivery: ir.Delivery
    function: ir.Expression
    names: Mapping[str, Named]
    split: Split
    parts: tuple[Part, ...]
    cover: Cover
    sends: tuple[Send, ...]
    uploads: tuple[UploadFunction, ...]
    guards: Guards
