"""Canaries: values that stand for people, and every form in which one could leak."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

__all__ = ["Canaries", "forms"]

_BEGIN = 8


def forms(value: str) -> dict[str, bytes]:
    """The value as it could be found by somebody who looks for it."""
    raw = value.encode()
    found = {
        "plain": raw,
        "upper": value.upper().encode(),
        "sha256": hashlib.sha256(raw).hexdigest().encode(),
        "md5": hashlib.md5(raw).hexdigest().encode(),
        "sha1": hashlib.sha1(raw).hexdigest().encode(),
        "base64": base64.b64encode(raw).rstrip(b"="),
        "base64url": base64.urlsafe_b64encode(raw).rstrip(b"="),
        "base64 of sha256": base64.b64encode(hashlib.sha256(raw).digest()).rstrip(b"="),
        "raw sha256": hashlib.sha256(raw).digest(),
        "url": urllib.parse.quote(value, safe="").encode(),
        "json": json.dumps(value)[1:-1].encode(),
        "utf-16": value.encode("utf-16-le"),
        "escaped": "".join(f"\\u{ord(one):04x}" for one in value).encode(),
        "hex": raw.hex().encode(),
    }
    if re.fullmatch("U[0-9a-f]{32}", value):
        found["digits"] = value[1:].encode()
        found["raw id"] = bytes.fromhex(value[1:])
        # Numbers of eight bytes in the order of this machine: the halves of an id.
        found["high half"] = bytes.fromhex(value[1:17])[::-1]
        found["low half"] = bytes.fromhex(value[17:])[::-1]
    if value.startswith("090"):
        found["abroad"] = f"+81{value[1:]}".encode()
    return found


class Canaries:
    """Values, and where they turned up."""

    def __init__(self, values: Iterable[str]) -> None:
        self.needles = {(value, form): needle for value in values for form, needle in forms(value).items()}
        # Found by their first eight bytes, all at once; what is shorter is looked for by itself.
        self.begun: dict[int, list[tuple[str, str]]] = {}
        for name, needle in self.needles.items():
            if len(needle) >= _BEGIN:
                self.begun.setdefault(int.from_bytes(needle[:_BEGIN], "little"), []).append(name)
        self.beginnings = np.array(sorted(self.begun), "<u8")
        self.short = [name for name, needle in self.needles.items() if len(needle) < _BEGIN]
        # Most files are looked at again and again while they stay as they are.
        self.known: dict[bytes, list[tuple[str, str]]] = {}

    def in_bytes(self, content: bytes) -> list[tuple[str, str]]:
        digest = hashlib.sha256(content).digest()
        if digest not in self.known:
            maybe = {name for begin in self._beginnings_in(content) for name in self.begun[begin]}
            self.known[digest] = [
                name for name in self.needles if (name in maybe or name in self.short) and self.needles[name] in content
            ]
        return self.known[digest]

    def _beginnings_in(self, content: bytes) -> set[int]:
        found: set[int] = set()
        for offset in range(_BEGIN):
            count = (len(content) - offset) // _BEGIN
            if count > 0:
                words = np.frombuffer(content, "<u8", count, offset)
                found.update(words[np.isin(words, self.beginnings)].tolist())
        return found

    def in_text(self, text: str) -> list[tuple[str, str]]:
        return self.in_bytes(text.encode("utf-8", "surrogateescape"))

    def in_folder(self, folder: Path, without: tuple[str, ...] = ()) -> list[tuple[str, tuple[str, str]]]:
        """Hits by file below a folder; `without`: names of folders, relative to it, that are not looked into."""
        found = []
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not name.startswith(without):
                found += [(name, hit) for hit in [*self.in_bytes(path.read_bytes()), *self.in_text(name)]]
        return found
