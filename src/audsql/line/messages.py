"""LINE message objects: checked against LINE's rules before anything is planned, and shown in short.

The rules are those of LINE's reference ("Message objects", "Action objects") as far as they can be seen in
the object itself; whether a picture exists or a coupon runs is LINE's validate endpoint's business. A
message or component type that is not known here is a warning, since LINE adds types without notice.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from audsql.diag import Diagnostic, error
from audsql.line import limits
from audsql.line.message_rules import MESSAGE, Walk
from audsql.line.recipient import canonical_json
from audsql.source import Span

__all__ = [
    "check_message",
    "coupon_message",
    "link_hosts",
    "message_digest",
    "outline",
    "read_messages",
    "text_message",
]

MESSAGE_DEPTH_MAX = 60
MESSAGE_FILE_BYTES_MAX = 1_000_000
OUTLINE_CHARACTERS_MAX = 60
_LINK = re.compile(r"https?://[^\s\"'<>」』）]+")


def text_message(text: str) -> dict[str, object]:
    """The message object of a plain text."""
    return {"type": "text", "text": text}


def coupon_message(coupon: str) -> dict[str, object]:
    """The message object of a coupon, by the id that LINE gave it. Its form is not documented."""
    return {"type": "coupon", "couponId": coupon}


def read_messages(
    content: bytes,
    where: Span | None,
    name: str,
    judge: Callable[[list[dict[str, object]]], Iterable[Diagnostic]] | None = None,
) -> tuple[tuple[dict[str, object], ...], tuple[Diagnostic, ...]]:
    """The message objects of a file (one object or a list of them) and what is wrong with them.

    No objects are given where an error is among the diagnostics. UTF-8, with or without BOM. `judge`: what looks at
    the objects of a personal message, whose strings are templates.
    """
    if len(content) > MESSAGE_FILE_BYTES_MAX:
        return (), (error("AUD1110", where, message=name, path="", count=len(content), limit=MESSAGE_FILE_BYTES_MAX),)
    doubled: list[str] = []
    try:
        raw = json.loads(content.decode("utf-8-sig"), object_pairs_hook=lambda pairs: _object(pairs, doubled))
    except UnicodeDecodeError:
        return (), (error("AUD1101", where, message=name, line=None, column=None),)
    except json.JSONDecodeError as broken:
        return (), (error("AUD1101", where, message=name, line=broken.lineno, column=broken.colno),)
    except RecursionError:
        return (), (error("AUD1111", where, message=name, limit=MESSAGE_DEPTH_MAX),)
    except ValueError:
        return (), (error("AUD1101", where, message=name, line=None, column=None),)
    found = [error("AUD1114", where, message=name, field=key) for key in dict.fromkeys(doubled)]
    if judge is None or not _are_objects(raw) or _deeper_than(raw, MESSAGE_DEPTH_MAX):
        found += check_message(raw, where, name)
    else:
        found += judge(raw if isinstance(raw, list) else [raw])
    if any(diagnostic.severity == "error" for diagnostic in found):
        return (), tuple(found)
    return tuple(raw) if isinstance(raw, list) else (raw,), tuple(found)


def _are_objects(raw: object) -> bool:
    return all(isinstance(one, dict) for one in (raw if isinstance(raw, list) else [raw]))


def _object(pairs: list[tuple[str, object]], doubled: list[str]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in pairs:
        if key in result:
            doubled.append(key)
        result[key] = value
    return result


def check_message(raw: object, where: Span | None, name: str = "") -> tuple[Diagnostic, ...]:
    """What is wrong with a message object, or a list of 1 to 5 of them, called `name` in the project."""
    if _deeper_than(raw, MESSAGE_DEPTH_MAX):
        return (error("AUD1111", where, message=name, limit=MESSAGE_DEPTH_MAX),)
    if isinstance(raw, list):
        if not 1 <= len(raw) <= limits.MESSAGES_PER_SEND_MAX:
            limit = limits.MESSAGES_PER_SEND_MAX
            return (error("AUD1102", where, message=name, count=len(raw), limit=limit),)
        entries = [(f"[{index}]", entry) for index, entry in enumerate(raw)]
    else:
        entries = [("", raw)]
    walk = Walk(name, where)
    for path, entry in entries:
        MESSAGE(walk, entry, path)
    return tuple(walk.found)


def _deeper_than(raw: object, limit: int) -> bool:
    """Whether objects and lists stand in each other more than `limit` deep."""
    level = [raw]
    for _ in range(limit + 1):
        below: list[object] = []
        for value in level:
            below += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if not below:
            return False
        level = below
    return True


# --- showing ------------------------------------------------------------------------------------------------


def message_digest(messages: Mapping[str, object] | Sequence[Mapping[str, object]]) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal: equal messages have equal digests."""
    return hashlib.sha256(canonical_json(messages)).hexdigest()


def outline(message: Mapping[str, object]) -> str:
    """One line of what a person will see: the text or the alternative text, and where its links lead."""
    text = next(
        (message[key] for key in ("text", "altText", "title", "couponId") if isinstance(message.get(key), str)), ""
    )
    shown = " ".join("".join(character if character.isprintable() else " " for character in str(text)).split())
    if len(shown) > OUTLINE_CHARACTERS_MAX:
        shown = shown[: OUTLINE_CHARACTERS_MAX - 1] + "…"
    kind = str(message.get("type", "?"))
    parts = [shown] if kind == "text" else [f"[{kind}]", shown]
    hosts = link_hosts(message)
    if hosts:
        parts.append("→ " + ", ".join(hosts))
    return " ".join(part for part in parts if part)


def link_hosts(message: object) -> tuple[str, ...]:
    """The hosts that a message's links, pictures and texts name, sorted, each once."""
    return tuple(sorted({host for text in _texts(message) for host in _hosts(text)}))


def _texts(value: object) -> Iterator[str]:
    stack = [value]
    while stack:
        top = stack.pop()
        if isinstance(top, str):
            yield top
        elif isinstance(top, Mapping):
            stack.extend(top.values())
        elif isinstance(top, list | tuple):
            stack.extend(top)


def _hosts(text: str) -> Iterator[str]:
    for match in _LINK.finditer(text):
        try:
            host = urlsplit(match.group()).hostname
        except ValueError:
            continue
        if host:
            yield host
