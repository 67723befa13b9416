"""The audiences of an account as statements of the language: what can be said, under which names, what cannot. Pure.

A name at LINE is any text; a name of the language is made of it, the same one each time (specs/operations.md,
import.*).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Literal

from audsql.line.models import AudienceInfo
from audsql.meaning.names import BUILT_IN, REMOTE_KINDS
from audsql.plan.tags import Tag, parse_tag
from audsql.records import dataclass
from audsql.syntax.lex import escaped, is_plain_name

__all__ = [
    "Found",
    "Imported",
    "ImportedAudience",
    "ImportedSend",
    "Known",
    "LeftOut",
    "Sent",
    "identifier",
    "imported",
]

NAME_CHARACTERS_MAX = 60
_CALLS = {kind: call for call, kind in REMOTE_KINDS.items()} | {"TRACKINGTAG_WEBTRAFFIC": "web_traffic"}
_GATHERED = {"CLICK": "clicked", "IMP": "opened"}
_USABLE = ("READY", "IN_PROGRESS", "ACTIVATING")
_RESERVED = {*BUILT_IN, "and", "or", "not", "except", "reach", "change", "freshness", "friends", "count", "otherwise"}

Reason = Literal[
    "managed", "other_state", "upload", "ambiguous", "expired", "failed", "kind", "no_send", "nameless", "said"
]


@dataclass(frozen=True, slots=True)
class Found:
    """An audience of the account. `shared`: another account's, shared with it."""

    info: AudienceInfo
    shared: bool = False

    @property
    def call(self) -> str | None:
        """The call of the language that means it; None where there is none."""
        return "shared" if self.shared else _CALLS.get(self.info.kind) or _GATHERED.get(self.info.kind)


@dataclass(frozen=True, slots=True)
class Sent:
    """A send that was made elsewhere, as far as LINE tells. `by` is None where it does not."""

    at: datetime
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the project has already. `lineage` and `ids`: of its state; `taken`: declared names; `sends`: names of
    declared sends by request id; `said`: names of audiences by call and text."""

    lineage: str | None = None
    ids: frozenset[int] = frozenset()
    taken: frozenset[str] = frozenset()
    sends: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedAudience:
    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class ImportedSend:
    name: str
    request_id: str
    sent: Sent


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`detail`: the other state's mark, or the name under which the project says it already."""

    found: Found
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    sends: tuple[ImportedSend, ...]
    audiences: tuple[ImportedAudience, ...]
    left_out: tuple[LeftOut, ...]


def imported(found: Sequence[Found], sent: Mapping[str, Sent], known: Known) -> Imported:
    """All audiences of an account, each said or left out with a reason; the order of `found` means nothing.

    `sent`: the sends that audiences are made of, by LINE's request id.
    """
    ordered = sorted(found, key=lambda one: (one.call or "~", folded(one.info.name), one.info.id))
    said: list[Found] = []
    left_out: list[LeftOut] = []
    alike = Counter(_words(one) for one in ordered if one.info.status != "EXPIRED")
    for one in ordered:
        reason = _why_not(one, alike, known)
        if reason is None:
            said.append(one)
        else:
            left_out.append(reason)
    taken = set(known.taken)
    sends = _sends(said, sent, known, taken)
    names = {**known.sends, **{one.request_id: one.name for one in sends}}
    audiences = [
        ImportedAudience(_free(identifier(one.info.name, f"{one.call}_{one.info.id}"), taken), _expression(one, names))
        for one in said
    ]
    return Imported(tuple(sends), tuple(audiences), tuple(left_out))


def folded(name: str) -> str:
    """What of a name counts where LINE's audiences are looked up by it."""
    return unicodedata.normalize("NFC", name).casefold()


# --- what can be said -------------------------------------------------------------------------------


def _why_not(one: Found, alike: Mapping[tuple[str, str], int], known: Known) -> LeftOut | None:
    info, tag = one.info, parse_tag(one.info.name)
    ours = Tag.of(known.lineage, "", 0).lineage if known.lineage else None
    if not one.shared and tag is not None and tag.lineage != ours:
        return LeftOut(one, "other_state", tag.lineage)
    if not one.shared and (tag is not None or info.id in known.ids):
        return LeftOut(one, "managed")
    if one.call is None:
        return LeftOut(one, "upload" if info.kind == "UPLOAD" else "kind", info.kind)
    if info.status == "EXPIRED":
        return LeftOut(one, "expired")
    if info.status not in _USABLE:
        return LeftOut(one, "failed", info.status)
    if one.call in _GATHERED.values():
        if not info.request_id:
            return LeftOut(one, "no_send")
    elif not info.name.strip():
        return LeftOut(one, "nameless")
    if alike[_words(one)] > 1:
        return LeftOut(one, "ambiguous", str(alike[_words(one)]))
    name = known.said.get(_words(one))
    return LeftOut(one, "said", name) if name is not None else None


def _words(one: Found) -> tuple[str, str]:
    """What an expression of the language would tell it by: what is the same here cannot be told apart."""
    info = one.info
    if one.call in _GATHERED.values():
        return one.call or "", f"{info.request_id}\n{info.click_url or ''}"
    return one.call or "", folded(info.name)


def _expression(one: Found, sends: Mapping[str, str]) -> str:
    if one.call not in _GATHERED.values():
        return f"{one.call}({escaped(one.info.name)})"
    name = sends[one.info.request_id or ""]
    url = f", {escaped(one.info.click_url)}" if one.info.click_url and one.call == "clicked" else ""
    return f"{one.call}({name if is_plain_name(name) else f'`{name}`'}{url})"


# --- names ------------------------------------------------------------------------------------------


def _sends(said: Sequence[Found], sent: Mapping[str, Sent], known: Known, taken: set[str]) -> list[ImportedSend]:
    """The sends that no statement of the project declares yet, named after their day, the earliest first."""
    wanted = {one.info.request_id for one in said if one.call in _GATHERED.values() and one.info.request_id}
    new = sorted((request for request in wanted if request not in known.sends), key=lambda one: (sent[one].at, one))
    return [ImportedSend(_free(f"sent_{sent[request].at:%Y_%m_%d}", taken), request, sent[request]) for request in new]


def identifier(text: str, otherwise: str) -> str:
    """A name of the language that reads like `text`; `otherwise` where nothing of it can stay.

    Letters and digits of any script stay, in their plain width; whatever stands between them becomes `_`.
    """
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text))
    kept = "".join(character if f"a{character}".isidentifier() else "_" for character in plain)
    name = "_".join(part for part in kept.split("_") if part)[:NAME_CHARACTERS_MAX].rstrip("_")
    if name and not name[0].isidentifier():
        name = f"_{name}"
    usable = name and is_plain_name(name) and unicodedata.normalize("NFC", name) == name
    return name if usable and name.casefold() not in _RESERVED else otherwise


def _free(name: str, taken: set[str]) -> str:
    """The name, or with the first number from 2 that nothing has; it is taken then."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free
