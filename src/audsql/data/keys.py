"""Keys: what is derived from a project's secret, and what is kept closed under it (specs/privacy.md, privacy.keys).

One secret is never used by itself: each purpose has a sub-key of its own by HKDF, so that what one of them gives
away says nothing about another. The current secret writes; older ones only read.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import Literal

from audsql.records import dataclass

__all__ = [
    "KEY_BYTES_MIN",
    "SEALED",
    "KeyMissing",
    "Keys",
    "NotAuthentic",
    "Purpose",
    "key_id_of",
    "mac",
    "open_sealed",
    "open_stream",
    "seal",
    "seal_stream",
    "sealed_under",
    "subkey",
]

KEY_BYTES_MIN = 16
Purpose = Literal["id", "cache", "state", "journal", "person", "water", "ledger"]
Buffer = bytes | memoryview

SEALED = b"audsqlE1"
_ID_BYTES = 8
_SALT_BYTES = 32
_TAG_BYTES = 16
_HEAD_BYTES = len(SEALED) + _ID_BYTES + _SALT_BYTES
_CHUNK_BYTES = 1 << 20


class KeyMissing(Exception):
    """Something is closed under a key that is not among those given. `key_id` names it."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id


class NotAuthentic(Exception):
    """What was opened is not what was closed under this key, name and purpose."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The project's secrets, the current one first. Never shown: only `key_id` may be printed."""

    secrets: tuple[bytes, ...] = field(repr=False)

    @property
    def current(self) -> bytes:
        return self.secrets[0]

    @property
    def key_id(self) -> str:
        """Names the current key: 16 hexadecimal digits of a digest of one of its sub-keys."""
        return key_id_of(self.current)

    @property
    def key_ids(self) -> tuple[str, ...]:
        return tuple(key_id_of(secret) for secret in self.secrets)

    def named(self, key_id: str) -> bytes:
        """The secret of that id. Raises KeyMissing."""
        for secret in self.secrets:
            if key_id_of(secret) == key_id:
                return secret
        raise KeyMissing(key_id)


@functools.lru_cache(maxsize=256)
def subkey(secret: bytes, purpose: str, salt: bytes | None = None) -> bytes:
    """32 bytes by HKDF-SHA-256. Raises ImportError without the package `cryptography`."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=f"audsql 1 {purpose}".encode()).derive(secret)


@functools.lru_cache(maxsize=64)
def key_id_of(secret: bytes) -> str:
    return hashlib.sha256(subkey(secret, "id")).hexdigest()[: 2 * _ID_BYTES]


def mac(secret: bytes, purpose: Purpose, content: bytes) -> str:
    """HMAC-SHA-256 under the sub-key of this purpose, hexadecimal."""
    return hmac.new(subkey(secret, purpose), content, hashlib.sha256).hexdigest()


def sealed_under(content: Buffer) -> str | None:
    """The id of the key that something is closed under; None where it is not closed."""
    if len(content) < _HEAD_BYTES or content[: len(SEALED)] != SEALED:
        return None
    return bytes(content[len(SEALED) : len(SEALED) + _ID_BYTES]).hex()


def seal(keys: Keys, purpose: Purpose, name: str, plain: Buffer) -> bytes:
    """Closed under the current key. It opens only under the same `name`, so that two cannot be exchanged."""
    return b"".join(seal_stream(keys, purpose, name, [plain]))


def seal_stream(keys: Keys, purpose: Purpose, name: str, parts: Sequence[Buffer]) -> Iterator[bytes]:
    """The same in pieces of about a mebibyte: AES-256-GCM under a key of its own for each text, so that counting
    nonces never meet; the number of a piece and whether it is the last are part of its nonce."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt = secrets.token_bytes(_SALT_BYTES)
    cipher, bound = AESGCM(subkey(keys.current, purpose, salt)), _bound(purpose, name)
    yield SEALED + bytes.fromhex(keys.key_id) + salt
    number, waiting = 0, b""
    for piece in _pieces(parts):
        if waiting:
            yield cipher.encrypt(_nonce(number, False), waiting, bound)
            number += 1
        waiting = piece
    yield cipher.encrypt(_nonce(number, True), waiting, bound)


def open_sealed(keys: Keys, purpose: Purpose, name: str, content: Buffer) -> bytes:
    """What `seal` closed. Raises KeyMissing, NotAuthentic."""
    return bytes(open_stream(keys, purpose, name, content))


def open_stream(keys: Keys, purpose: Purpose, name: str, content: Buffer) -> bytearray:
    """What `seal_stream` closed. Raises KeyMissing, NotAuthentic."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key_id = sealed_under(content)
    if key_id is None:
        raise NotAuthentic
    view = memoryview(content)
    salt = bytes(view[_HEAD_BYTES - _SALT_BYTES : _HEAD_BYTES])
    cipher, bound = AESGCM(subkey(keys.named(key_id), purpose, salt)), _bound(purpose, name)
    body, size = view[_HEAD_BYTES:], _CHUNK_BYTES + _TAG_BYTES
    plain = bytearray()
    try:
        for number, begin in enumerate(range(0, max(1, len(body)), size)):
            last = begin + size >= len(body)
            plain += cipher.decrypt(_nonce(number, last), bytes(body[begin : begin + size]), bound)
    except InvalidTag:
        raise NotAuthentic from None
    return plain


def _pieces(parts: Sequence[Buffer]) -> Iterator[bytes]:
    """The same bytes in pieces of one size, but for the last."""
    held = bytearray()
    for part in parts:
        view = memoryview(part).cast("B") if memoryview(part).nbytes else memoryview(b"")
        for begin in range(0, len(view), _CHUNK_BYTES):
            held += view[begin : begin + _CHUNK_BYTES]
            if len(held) >= _CHUNK_BYTES:
                yield bytes(held[:_CHUNK_BYTES])
                del held[:_CHUNK_BYTES]
    if held:
        yield bytes(held)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _bound(purpose: str, name: str) -> bytes:
    return f"{purpose}\0{name}".encode("utf-8", "surrogatepass")
