"""Which sets one person is in. The id is looked up and never kept: not in the dictionary, not in the cache, and not in
a table of an engine that is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from audsql.data.dictionary import lookup
from audsql.data.duckdb import DuckEngine
from audsql.data.engine import Engine, People
from audsql.data.ids import column_of, read_ids, user_id_texts
from audsql.data.people import PeopleSet
from audsql.data.remote.engine import RemoteEngine
from audsql.data.remote.sets import RemoteSet
from audsql.meaning.ir import IdKind
from audsql.records import dataclass

__all__ = ["Standing", "standing_of"]


@dataclass(frozen=True, slots=True)
class Standing:
    """The id as it is compared, and by key whether the person is in each set; None of a set of other ids."""

    id: str
    inside: Mapping[str, bool | None]


def standing_of(
    engine: Engine, kind: IdKind, written: str, region: str, people: Mapping[str, People]
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
    if isinstance(engine, RemoteEngine):
        sets = {key: one for key, one in people.items() if isinstance(one, RemoteSet)}
        return Standing(text, {key: engine.holds(one, kind, text) for key, one in sets.items()})
    assert isinstance(engine, DuckEngine)
    dictionary = engine.dictionaries.get(kind)
    number = None if dictionary is None else lookup(dictionary, ids)[0]
    inside = {key: _is_in(one, kind, number) for key, one in people.items() if isinstance(one, PeopleSet)}
    return Standing(text, inside)


def _is_in(people: PeopleSet, kind: IdKind, number: int | None) -> bool | None:
    if people.kind not in (None, kind):
        return None
    return number is not None and number in people.bits
