"""Which sets one person is in. The id is looked up and never kept: not in the dictionary, not in the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audsql.data.dictionary import lookup
from audsql.data.duckdb import DuckEngine
from audsql.data.ids import column_of, read_ids, user_id_texts
from audsql.data.people import People, PeopleSet
from audsql.meaning.ir import IdKind

__all__ = ["Standing", "standing_of"]


@dataclass(frozen=True, slots=True)
class Standing:
    """The id as it is compared, and by key whether the person is in each set; None of a set of other ids."""

    id: str
    inside: Mapping[str, bool | None]


def standing_of(
    engine: DuckEngine, kind: IdKind, written: str, region: str, people: Mapping[str, People]
) -> Standing | None:
    """Where the person of an id stands; None where the text is no id of that kind.

    The sets must have been materialised by this engine.
    """
    try:
        line = written.encode("utf-8")
    except UnicodeEncodeError:
        return None
    if not line or b"\n" in line or b"\r" in line:
        return None
    ids = read_ids(column_of(line), kind, region)[1]
    if ids is None:
        return None
    text = user_id_texts(ids.high, ids.low)[0] if kind == "user_id" else ids.texts[0]
    dictionary = engine.dictionaries.get(kind)
    number = None if dictionary is None else lookup(dictionary, ids)[0]
    inside = {key: _is_in(one, kind, number) for key, one in people.items() if isinstance(one, PeopleSet)}
    return Standing(text, inside)


def _is_in(people: PeopleSet, kind: IdKind, number: int | None) -> bool | None:
    if people.kind not in (None, kind):
        return None
    return number is not None and number in people.bits
