"""People as the ledger names them: 16 bytes that only its own secret turns back into a user ID.

A user ID is a `U` and 16 bytes. AES turns them into 16 others, one for one, so that the same person is the same row
everywhere in the ledger and nobody without the secret can tell who it is. The secret is made with the first person and
never again: it stands in the state closed under the project's key, or without a key in a file beside the SQLite state
that only its owner reads. Rules: specs/privacy.md, `privacy.ledger`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from audsql.apply.ledger_rows import PERSON_BYTES
from audsql.apply.ledger_stored import secret_name
from audsql.apply.sqlite_file import sync
from audsql.apply.store import StoreFailed, is_postgres
from audsql.data.erased import NOBODY_ERASED, Erased
from audsql.data.keys import KeyMissing, Keys, NotAuthentic, key_id_of, open_sealed, seal, sealed_under, subkey
from audsql.diag import error
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.apply.store import Lease, Store

__all__ = ["Persons", "make_persons", "open_persons", "secret_file"]

_SECRET_BYTES = 32
_FILE_BYTES_MAX = 4096
_SUFFIX = ".people-key"
_HEX = re.compile(r"[0-9a-f]{64}")
_UNREADABLE = ("AUD0658", "AUD0672", "AUD0673")
_ABOUT = "# Turns rows of the state beside this file back into people. Keep it with the state, and to yourself.\n"


@dataclass(frozen=True, slots=True)
class Persons:
    """`erased`: who was erased and may not enter again."""

    secret: bytes = field(repr=False)
    erased: Erased = field(default=NOBODY_ERASED, repr=False)

    @property
    def secret_id(self) -> str:
        """Names the secret: 16 hexadecimal digits of a digest of one of its sub-keys."""
        return key_id_of(self.secret)

    def hide(self, user_ids: Sequence[str]) -> list[bytes]:
        """The persons of these user IDs (`U` and 32 hexadecimal digits in lower case), in order.

        Raises ValueError for another text, which is not repeated.
        """
        try:
            plain = bytes.fromhex("".join([one[1:] for one in user_ids]))
        except ValueError:
            plain = b""
        if len(plain) != PERSON_BYTES * len(user_ids) or any(len(one) != 33 or one[0] != "U" for one in user_ids):
            raise ValueError("not the id of a LINE user") from None
        hidden = self._ciphered(plain, closing=True)
        return [hidden[begin : begin + PERSON_BYTES] for begin in range(0, len(hidden), PERSON_BYTES)]

    def show(self, persons: Sequence[bytes]) -> list[str]:
        """The user IDs of these persons, in order. Raises ValueError for bytes that are no person."""
        if any(len(one) != PERSON_BYTES for one in persons):
            raise ValueError("a person in the ledger is 16 bytes")
        shown = self._ciphered(b"".join(persons), closing=False).hex()
        return [f"U{shown[begin : begin + 32]}" for begin in range(0, len(shown), 32)]

    def _ciphered(self, content: bytes, *, closing: bool) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import ECB

        # One block a person, and no two people share one: what a mode would hide, that two blocks are equal, is
        # what a row of the ledger is found by.
        cipher = Cipher(AES(subkey(self.secret, "ledger person")), ECB())
        worker = cipher.encryptor() if closing else cipher.decryptor()
        return worker.update(content) + worker.finalize()

    def admitted(self, user_ids: Sequence[str]) -> list[str]:
        """These without whoever was erased: a list, a log or a table that still names them brings nobody back."""
        if not self.erased.by_kind.get("user_id"):
            return list(user_ids)
        from audsql.data.erased import is_erased
        from audsql.data.ids import column_of, read_ids

        _, ids = read_ids(column_of("\n".join(user_ids).encode("utf-8", "surrogatepass")), "user_id", "")
        if ids is None or len(ids) != len(user_ids):
            raise ValueError("not the id of a LINE user")
        return [one for one, gone in zip(user_ids, is_erased(self.erased, ids), strict=True) if not gone]

    def seal(self, name: str, plain: bytes) -> bytes:
        """Closed under the ledger's secret. It opens only under the same `name` (the id of its batch)."""
        return seal(Keys((self.secret,)), "ledger", name, plain)

    def open(self, name: str, closed: bytes) -> bytes:
        """What `seal` closed. Raises NotAuthentic, KeyMissing."""
        return open_sealed(Keys((self.secret,)), "ledger", name, closed)

    def code_digest(self, pool: str, code: str) -> bytes:
        """What a single-use code stands as in the ledger: 16 bytes of a keyed digest."""
        text = f"{pool}\0{code}".encode("utf-8", "surrogatepass")
        return hmac.new(subkey(self.secret, "ledger code"), text, hashlib.sha256).digest()[:PERSON_BYTES]


# --- the secret -------------------------------------------------------------------------------------


def open_persons(store: Store, keys: Keys | None, erased: Erased = NOBODY_ERASED) -> Persons | None:
    """The people of a state, None where nobody ever stood in its ledger. Nothing is written.

    Raises StoreFailed where the secret is lost or is not the one that they stand under.
    """
    secret = _stored_secret(store, keys)
    return None if secret is None else Persons(secret, erased)


def make_persons(
    store: Store, keys: Keys | None, lease: Lease, now: datetime, erased: Erased = NOBODY_ERASED
) -> Persons:
    """The same, with a secret made where there is none, and kept under the project's current key.

    Raises StoreFailed, also for a state on a server without a key, and LeaseLost.
    """
    path = secret_file(store)
    if keys is None and path is None:
        raise StoreFailed(error("AUD0671", None, path=store.path))
    ledger = store.ledger()
    secret = _usable_secret(store, keys)
    if secret is None:
        secret = _secret_in(path) if path is not None and path.exists() else secrets.token_bytes(_SECRET_BYTES)
    made, known = Persons(secret, erased), ledger.secret()
    if keys is None:
        assert path is not None
        if not path.exists():
            _write_secret(path, secret)
        if known.id != made.secret_id:
            ledger.keep_secret(lease, now, made.secret_id, None)
        return made
    if known.id != made.secret_id or known.closed is None or sealed_under(known.closed) != keys.key_id:
        ledger.keep_secret(lease, now, made.secret_id, seal(keys, "ledger", secret_name(made.secret_id), secret))
    if path is not None and path.exists():
        # From before the key: what is closed in the state stands open nowhere.
        path.unlink()
        sync(path.parent)
    return made


def _usable_secret(store: Store, keys: Keys | None) -> bytes | None:
    """The stored secret; None where one may be made: there is none, or it cannot be read and nobody stands under it."""
    try:
        return _stored_secret(store, keys)
    except StoreFailed as failed:
        if failed.diagnostic.code not in _UNREADABLE or store.ledger().secret().used:
            raise
        return None


def secret_file(store: Store) -> Path | None:
    """Where the secret of a state without a key stands; None for a state on a server."""
    return None if is_postgres(store.path) else Path(store.path + _SUFFIX)


def _stored_secret(store: Store, keys: Keys | None) -> bytes | None:
    ledger = store.ledger()
    known = ledger.secret()
    if not known.id:
        return None
    if find_spec("cryptography") is None:
        raise StoreFailed(error("AUD0656", None, package="cryptography"))
    closed, path = known.closed, secret_file(store)
    if closed is not None:
        try:
            secret = open_sealed(keys or Keys(()), "ledger", secret_name(known.id), closed)
        except KeyMissing as missing:
            raise StoreFailed(error("AUD0658", None, path=store.path, key_id=missing.key_id)) from None
        except NotAuthentic:
            raise StoreFailed(error("AUD0603", None, path=store.path, part="ledger", place=None, backup=None)) from None
    elif path is None or not path.exists():
        raise StoreFailed(error("AUD0672", None, path=store.path, file=None if path is None else path.name))
    else:
        secret = _secret_in(path)
    if key_id_of(secret) != known.id:
        raise StoreFailed(error("AUD0673", None, path=store.path, file=None if path is None else path.name))
    return secret


def _secret_in(path: Path) -> bytes:
    """The secret in a file. Raises StoreFailed where it holds none or cannot be read."""
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        with path.open("rb") as stream:
            text = stream.read(_FILE_BYTES_MAX).decode("ascii", "replace")
    except OSError as problem:
        raise StoreFailed(error("AUD0657", None, path=path.name, reason=os.strerror(problem.errno or 0))) from None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1 or not _HEX.fullmatch(lines[0]):
        raise StoreFailed(
            error("AUD0673", None, path=str(path.with_name(path.name.removesuffix(_SUFFIX))), file=path.name)
        )
    return bytes.fromhex(lines[0])


def _write_secret(path: Path, secret: bytes) -> None:
    """Whole or not at all, durable before anybody stands under it. Raises StoreFailed."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(f"{_ABOUT}{secret.hex()}\n".encode())
            out.flush()
            os.fsync(out.fileno())
        # Never over one that is there: whoever lost the lease meanwhile does not replace the winner's.
        os.link(fresh, path)
        sync(path.parent)
    except OSError as problem:
        raise StoreFailed(error("AUD0612", None, path=str(path), reason=os.strerror(problem.errno or 0))) from None
    finally:
        fresh.unlink(missing_ok=True)
