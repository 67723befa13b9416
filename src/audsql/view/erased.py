"""The certificate of an erasure for a person to read: what was searched, what was removed, what is still to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audsql.catalog import word
from audsql.view.terminal import Style, neutralise

__all__ = ["human"]

_SOURCE = {True: "erase.source_names", False: "erase.source_free", None: "erase.source_unread"}


def human(document: dict[str, Any], style: Style) -> str:
    """The document of `session.erasing.erase`."""
    return "".join(f"{line}\n" for line in _lines(document, style.language))


def _lines(document: dict[str, Any], language: str) -> Iterator[str]:
    searched, removed = document["searched"], document["removed"]
    yield word("erase.done", language, at=document["at"], tombstones=document["tombstones"], key_id=document["key_id"])
    yield word(
        "erase.removed", language, sets=searched["sets"], holding=removed["sets"],
        dictionaries=searched["dictionaries"], emptied=removed["dictionaries"],
    )  # fmt: skip
    if not document["audiences"]:
        yield word("erase.no_audience", language)
    for one in document["audiences"]:
        name = "erase.audience" if one["known"] else "erase.audience_unknown"
        yield word(name, language, address=neutralise(one["address"]), remote=one["remote_id"] or 0)
    if document["audiences"]:
        yield word("erase.next", language)
    for one in document["sources"]:
        name = _SOURCE[one["names_the_person"]]
        yield word(name, language, name=neutralise(one["name"]), file=neutralise(one["file"]))
