"""A LINE message object taken apart for a reader: its kind, its texts, its parts in order, where its links lead.

Works on objects that were checked and on types that are not known here; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from audsql.records import dataclass

__all__ = ["Part", "parts_of"]

_PARTS_MAX = 200
# Fields that hold what a person sees; the fields of an action say where it leads.
_SEEN = ("altText", "title", "text", "label", "address", "couponId")
_LEADS = ("uri", "linkUri", "text", "data", "clipboardText")
# Fields whose objects are parts of their own, in the order in which they are seen.
_INSIDE = (
    "template", "hero", "header", "body", "footer", "contents", "columns", "defaultAction", "action", "actions",
    "quickReply", "items", "sender",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """`depth` from 0; `kind` is LINE's type or the field's name; `text` what is seen; `link` where it leads."""

    depth: int
    kind: str
    text: str = ""
    link: str = ""


def parts_of(message: Mapping[str, object]) -> tuple[Part, ...]:
    """The parts of a message in reading order: at most 200, the first ones."""
    found: list[Part] = []
    stack: list[tuple[int, str, object]] = [(0, "message", message)]
    while stack and len(found) < _PARTS_MAX:
        depth, field, value = stack.pop()
        if isinstance(value, Mapping):
            found.append(_part(depth, field, value))
            stack.extend(reversed(list(_inside(depth, value))))
    return tuple(found)


def _part(depth: int, field: str, value: Mapping[str, object]) -> Part:
    is_action = field in ("action", "actions", "defaultAction")
    kind = value.get("type") if isinstance(value.get("type"), str) else field
    seen = ("label",) if is_action else _SEEN
    text = next((one for name in seen if isinstance(one := value.get(name), str) and one), "")
    leads = _LEADS if is_action else ("url", "baseUrl", "originalContentUrl", "imageUrl", "thumbnailImageUrl")
    link = next((one for name in leads if isinstance(one := value.get(name), str) and one), "")
    return Part(depth, str(kind), text, link)


def _inside(depth: int, value: Mapping[str, object]) -> Iterator[tuple[int, str, object]]:
    for name in _INSIDE:
        below = value.get(name)
        if isinstance(below, Mapping):
            yield depth + 1, name, below
        elif isinstance(below, Sequence) and not isinstance(below, str | bytes):
            yield from ((depth + 1, name, one) for one in below)
