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

    Without a project's key the mark is not signed: it guards against an accident only, and is kept where there are
    flows, of which LINE cannot tell afterwards who got what.
    """
    least = _least(os.environ.get(SERIAL_VARIABLE, ""))
    if keys is None and not least and not _path(opened).exists():
        return None
    from audsql.apply.store import StoreFailed

    try:
        state = store.snapshot()
        written = store.written()
    except StoreFailed as failed:
        return failed.diagnostic
    if state.serial < least:
        return error("AUD0659", None, path=store.path, serial=state.serial, seen=least)
    marks = _read(_path(opened), keys)
    if marks is None:
        return error("AUD0669", None, path=_NAME)
    seen = marks.get(_key(opened, state.environment))
    if seen is None:
        return None
    # The serial does not rise with what happens to single people; the number of events does.
    older = state.serial < seen["serial"] or written < seen.get("written", 0)
    if seen["lineage"] != state.lineage:
        older = keys is not None
    if not older and (keys is None or store.keyed() or not seen["keyed"]):
        return None
    return error("AUD0659", None, path=store.path, serial=state.serial, seen=seen["serial"])


def note(opened: Opened, store: Store, keys: Keys | None, *, changed: bool = True) -> None:
    """Remember how far the state has come. A run that `changed` nothing does not raise the number of events: no backup
    is made for it, and the newest one is not an older state. Raises OSError."""
    from audsql.data.cache import write_private

    state = store.snapshot()
    if keys is None and not state.flow_versions:
        return
    marks = _read(_path(opened), keys) or {}
    key = _key(opened, state.environment)
    before = marks.get(key, {})
    known = before.get("written", 0) if before.get("lineage") == state.lineage else 0
    marks[key] = {
        "lineage": state.lineage, "serial": state.serial, "written": store.written() if changed else known,
        "keyed": store.keyed(),
    }  # fmt: skip
    document: dict[str, Any] = {"marks": marks}
    if keys is not None:
        text = json.dumps(marks, sort_keys=True)
        document |= {"key_id": keys.key_id, "mac": mac(keys.current, "water", text.encode())}
    write_private(_path(opened), json.dumps(document, sort_keys=True).encode())


def _path(opened: Opened) -> Path:
    return opened.cache.parent / _NAME


def _key(opened: Opened, environment: str) -> str:
    """Each place of a state has a mark of its own."""
    url = opened.config.state_url if opened.config else ""
    return f"{environment} {url}"


def _least(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _read(path: Path, keys: Keys | None) -> dict[str, Any] | None:
    """The marks; none where there is no file, None where it is not ours. One that was never signed is of the time
    before the key: whoever could put it there could take the file away as well."""
    try:
        document = json.loads(path.read_bytes())
        if keys is None or "mac" not in document:
            return dict(document["marks"])
        text = json.dumps(document["marks"], sort_keys=True)
        good = hmac.compare_digest(mac(keys.named(document["key_id"]), "water", text.encode()), document["mac"])
        return dict(document["marks"]) if good else None
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, KeyMissing):
        return None
