"""SHA-256 of ids as a destination wants them: the normal form first, then the digest in lower-case hexadecimal.

What is hashed is decided here, once, and never by the query language of an engine: the same telephone number written
in two ways must give one digest. Rules: specs/operations.md, export.hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

from audsql.data.phones import numbering_plan
from audsql.meaning.ir import IdKind

__all__ = ["PHONE_FORMS", "PhoneForm", "hash_input", "hex_lines", "sha256_digests"]

PhoneForm = Literal["national", "e164"]
PHONE_FORMS: tuple[PhoneForm, ...] = ("national", "e164")


def hash_input(text: bytes, kind: IdKind, region: str, form: PhoneForm) -> bytes:
    """What of an id in normal form is hashed.

    A telephone number: `national`, the digits from the leading 0; `e164`, `+`, the country code and the digits without
    that 0. An e-mail address as it is: in lower case, without blanks.
    """
    if kind == "phone" and form == "e164":
        return b"+" + numbering_plan(region).country_code + text[1:]
    return text


def sha256_digests(texts: Iterable[bytes]) -> list[bytes]:
    """The digests, 32 bytes each. Python's own loop: no engine at hand spends less CPU on texts as short as these."""
    sha256 = hashlib.sha256
    return [sha256(text).digest() for text in texts]


def hex_lines(digests: Iterable[bytes]) -> bytes:
    """Digests as lines of lower-case hexadecimal, each ended by LF; nothing for none."""
    text = b"".join(digests).hex("\n", hashlib.sha256().digest_size)
    return f"{text}\n".encode() if text else b""
