"""The high-water mark: what this machine has seen of a state, kept outside of it.

A copy of an older state that is put in place of the present one is sound in itself; only what was seen since tells
(specs/privacy.md, privacy.replay).
"""

from __future__ import annotations

import hmac
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.data.keys import KeyMissing, Keys, mac
from audsql.diag import Diagnostic, error
from audsql.session.project import Opened

if TYPE_CHECKING:
    from audsql.apply.store import Store

__all__ = ["SERIAL_VARIABLE", "check", "note"]

SERIAL_VARIABLE = "AUDSQL_STATE_SERIAL_MIN"
_NAME = "high-water.json"


def check(opened: Opened, store: Store, keys: Keys | None) -> Diagnostic | None:
    """Why a state that was opened is not to be believed: it is older than one that was seen; None where it is not.

    What is seen is remembered where the project has a key; without one anybody could write the mark.
    """
    least = _least(os.environ.get(SERIAL_VARIABLE, ""))
    if keys is None and not least:
        return None
    from audsql.apply.store import StoreFailed

    try:
        state = store.snapshot()
    except StoreFailed as failed:
        return failed.diagnostic
    if state.serial < least:
        return error("AUD0659", None, path=store.path, serial=state.serial, seen=least)
    if keys is None:
        return None
    marks = _read(_path(opened), keys)
    if marks is None:
        return error("AUD0669", None, path=_NAME)
    seen = marks.get(_key(opened, state.environment))
    if seen is None:
        return None
    if seen["lineage"] == state.lineage and state.serial >= seen["serial"] and (store.keyed() or not seen["keyed"]):
        return None
    return error("AUD0659", None, path=store.path, serial=state.serial, seen=seen["serial"])


def note(opened: Opened, store: Store, keys: Keys | None) -> None:
    """Remember how far the state has come. Raises OSError."""
    from audsql.data.cache import write_private

    if keys is None:
        return
    state = store.snapshot()
    marks = _read(_path(opened), keys) or {}
    marks[_key(opened, state.environment)] = {
        "lineage": state.lineage, "serial": state.serial, "keyed": store.keyed()
    }  # fmt: skip
    text = json.dumps(marks, sort_keys=True)
    sealed = {"marks": marks, "key_id": keys.key_id, "mac": mac(keys.current, "water", text.encode())}
    write_private(_path(opened), json.dumps(sealed, sort_keys=True).encode())


def _path(opened: Opened) -> Path:
    return opened.cache.parent / _NAME


def _key(opened: Opened, environment: str) -> str:
    """Each place of a state has a mark of its own."""
    url = opened.config.state_url if opened.config else ""
    return f"{environment} {url}"


def _least(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _read(path: Path, keys: Keys) -> dict[str, Any] | None:
    """The marks; none where there is no file, None where it is not ours."""
    try:
        document = json.loads(path.read_bytes())
        text = json.dumps(document["marks"], sort_keys=True)
        good = hmac.compare_digest(mac(keys.named(document["key_id"]), "water", text.encode()), document["mac"])
        return dict(document["marks"]) if good else None
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, KeyMissing):
        return None
