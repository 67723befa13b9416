"""A person taken out of everything that is kept, for good (specs/privacy.md, privacy.erase).

The order is what makes it safe to be cut off at any instant: what will hold the person no more is decided and made
durable first, together with the tombstones; only then is anything taken out of the cache. Done again, it goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from audsql.data.engine import EngineFailure
from audsql.data.erased import Tombstone, digest_of_id
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import IdKind
from audsql.records import dataclass
from audsql.session.holding import take_lease, user_name
from audsql.session.keys import keys_of
from audsql.session.planning import open_store
from audsql.session.project import Opened, check
from audsql.session.sets import engine_of
from audsql.session.tombstones import SUBJECT, VERDICT, tombstones_of
from audsql.session.water import note

if TYPE_CHECKING:
    from audsql.apply.state import Resource, State
    from audsql.apply.store import Lease, Store
    from audsql.data.keys import Keys

__all__ = ["Erasure", "erase"]

Document = dict[str, Any]
_REGIONS = ("jp", "th", "tw")


@dataclass(frozen=True, slots=True)
class Erasure:
    """`document` is the certificate, None where nothing was done; it holds no id and no digest of one."""

    document: Document | None
    diagnostics: tuple[Diagnostic, ...] = ()
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """The ids of one person as the normaliser writes them, by kind."""

    by_kind: Mapping[IdKind, frozenset[str]]

    def pairs(self) -> list[tuple[IdKind, str]]:
        return sorted((kind, text) for kind, texts in self.by_kind.items() for text in texts)


def erase(opened: Opened, lines: Sequence[str]) -> Erasure:
    """Erase the person with these ids, one each."""
    problems = tuple(one for one in check(opened) if one.severity == "error")
    if opened.analysis is None or problems:
        return Erasure(None, problems, 1)
    try:
        keys = keys_of(opened)
        if keys is None:
            return Erasure(None, (error("AUD0660", None),), 64)
        person = _person(lines)
        if isinstance(person, Diagnostic):
            return Erasure(None, (person,), 64)
        return _held(opened, keys, person)
    except EngineFailure as failure:
        return Erasure(None, (failure.diagnostic,), 1)


def _person(lines: Sequence[str]) -> _Known | Diagnostic:
    """Each line as every kind of id that it can be: a tombstone too many harms nobody."""
    from audsql.data.ids import column_of, read_ids, user_id_texts

    found: dict[IdKind, set[str]] = {}
    if not lines:
        return error("AUD0662", None)
    for line in lines:
        for kind in get_args(IdKind):
            for region in _REGIONS:
                _, ids = read_ids(column_of(line.strip().encode("utf-8", "surrogatepass")), kind, region)
                if ids is not None and len(ids):
                    texts = user_id_texts(ids.high, ids.low) if kind == "user_id" else ids.texts
                    found.setdefault(kind, set()).update(texts)
    return _Known({kind: frozenset(texts) for kind, texts in sorted(found.items())})


def _held(opened: Opened, keys: Keys, person: _Known) -> Erasure:
    from audsql.apply.store import Held, StoreFailed, held_diagnostic

    store, problems = open_store(opened, create=True)
    if store is None:
        return Erasure(None, problems, 1)
    with store:
        try:
            lease = take_lease(store, "erase")
            if isinstance(lease, Held):
                return Erasure(None, (held_diagnostic(lease),), 6)
            try:
                return _erase(opened, store, lease, keys, person)
            finally:
                store.release(lease, datetime.now(UTC))
        except StoreFailed as failed:
            return Erasure(None, (failed.diagnostic,), 1)


def _erase(opened: Opened, store: Store, lease: Lease, keys: Keys, person: _Known) -> Erasure:
    state = store.snapshot()
    people = _listed(store, keys, person)
    under_way = tuple(
        sorted({row.name for row in state.occurrences if row.state == "sending"} | _asking(store, people))
    )
    if under_way:
        return Erasure(None, (error("AUD0661", None, deliveries=under_way),), 5)
    # Before anything is read: the cache is closed under keys that are here, and what was erased earlier stays so.
    engine_of(opened, state)
    sets = _sets_with(opened.cache, keys, person)
    affected = list(_affected(opened.cache, state, sets))
    now = datetime.now(UTC)
    written = _remember(store, lease, now, keys, person, [row for row, _ in affected])
    rows = store.ledger().forget(lease, now, people) if people else 0
    emptied = _scrub(opened, store.snapshot(), keys, person, sets)
    store.compact()
    note(opened, store, keys)
    sources = list(_sources(opened, person))
    document = {
        "kind": "audsql.erasure",
        "format_version": "1.0",
        "at": now.isoformat(),
        "environment": opened.environment,
        "key_id": keys.key_id,
        "tombstones": written,
        "searched": {"sets": sets.count, "dictionaries": len(emptied), "uploads": len(_uploads(state))},
        "removed": {"sets": len(sets.holding), "dictionaries": sum(emptied.values()), "ledger": rows},
        "audiences": [
            {"address": row.address, "remote_id": row.remote_id, "name": row.name, "known": known}
            for row, known in affected
        ],
        "sources": sources,
        "serial": store.snapshot().serial,
    }
    return Erasure(document)


def _listed(store: Store, keys: Keys, person: _Known) -> list[bytes]:
    """The person as the ledger names them, once for each user ID; nobody where the ledger knows nobody.

    Raises StoreFailed where its secret is not here: then nobody can be taken out of it.
    """
    from audsql.apply.persons import open_persons

    user_ids = sorted(person.by_kind.get("user_id", ()))
    persons = open_persons(store, keys) if user_ids else None
    return [] if persons is None else persons.hide(user_ids)


def _asking(store: Store, people: Sequence[bytes]) -> set[str]:
    """The owners of requests that may still leave and that name the person."""
    wanted = set(people)
    if not wanted:
        return set()
    ledger = store.ledger()
    under_way = ledger.batches(states=("pending", "intent"))
    return {one.owner.partition(".")[2] for one in under_way if wanted & set(ledger.people_of(one.id))}


# --- what holds the person --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sets:
    """Kept sets: how many were looked at, and which hold the person."""

    count: int
    holding: tuple[Path, ...]


def _sets_with(cache: Path, keys: Keys, person: _Known) -> _Sets:
    from audsql.data.cache import entry_paths, read_entry

    paths = [path for path in entry_paths(cache) if path.parent.name == "sets"]
    holding = []
    for path in paths:
        entry = read_entry(path, keys)
        if entry is not None and _without(entry.header.get("kind"), bytes(entry.blocks[0]), person) is not None:
            holding.append(path)
    return _Sets(len(paths), tuple(holding))


def _without(kind: IdKind | None, block: bytes, person: _Known) -> tuple[bytes, int] | None:
    """A set's ids without the person, and how many they are; None where the person is not among them."""
    import numpy as np

    wanted = person.by_kind.get(kind) if kind is not None else None
    if kind is None or not wanted:
        return None
    if kind != "user_id":
        texts = block.decode("utf-8").split("\n") if block else []
        left = [text for text in texts if text not in wanted]
        return None if len(left) == len(texts) else ("\n".join(left).encode("utf-8"), len(left))
    rows = np.frombuffer(block, "V16")
    gone = np.zeros(len(rows), bool)
    for text in wanted:
        gone |= rows == np.void(bytes.fromhex(text[1:]))
    return (rows[~gone].tobytes(), int((~gone).sum())) if gone.any() else None


def _uploads(state: State) -> list[Resource]:
    live = ("creating", "ready", "releasing")
    return [row for row in state.resources if row.address.startswith("upload.") and row.status in live]


def _affected(cache: Path, state: State, sets: _Sets) -> Iterable[tuple[Resource, bool]]:
    """Uploads at LINE that hold the person, or of which this machine does not know who is in them."""
    from audsql.apply.bind import members_name
    from audsql.data.cache import entry_name

    holding = {path.name for path in sets.holding}
    for row in _uploads(state):
        name = entry_name(members_name(row))
        known = (cache / "sets" / name).is_file()
        if name in holding or not known:
            yield row, known


# --- taking out -------------------------------------------------------------------------------------


def _remember(
    store: Store, lease: Lease, now: datetime, keys: Keys, person: _Known, affected: Sequence[Resource]
) -> int:
    """Tombstones, and the mark of every audience that is to be made anew, in one transaction."""
    from audsql.apply.bind import ERASED
    from audsql.apply.state import Resolution

    known = set(tombstones_of(store.snapshot()))
    fresh = [digest_of_id(keys, kind, text) for kind, text in person.pairs()]
    rows = [_row(one, now) for one in fresh if one not in known]
    assert all(isinstance(row, Resolution) for row in rows)
    marked = [replace(row, attributes={**row.attributes, ERASED: True}) for row in affected]
    store.write(lease, now, "person.erased", *rows, *marked)
    return len(fresh)


def _row(tombstone: Tombstone, now: datetime) -> Any:
    from audsql.apply.state import Resolution

    subject = f"{SUBJECT}{tombstone.kind}.{tombstone.digest}"
    return Resolution(subject, VERDICT, "", user_name(), now, {"key_id": tombstone.key_id})


def _scrub(opened: Opened, state: State, keys: Keys, person: _Known, sets: _Sets) -> dict[str, int]:
    """Take the person out of kept sets, dictionaries and working copies; per dictionary whether it knew them."""
    import shutil

    from audsql.data.cache import read_entry, write_entry
    from audsql.data.dictionary import flush, open_dictionary
    from audsql.session.tombstones import erased_people

    for path in sets.holding:
        entry = read_entry(path, keys)
        left = None if entry is None else _without(entry.header["kind"], bytes(entry.blocks[0]), person)
        if entry is not None and left is not None:
            write_entry(path, {**entry.header, "count": left[1]}, [left[0]], sync=True, keys=keys)
    erased = erased_people(opened, keys, state)
    emptied: dict[str, int] = {}
    for kind in get_args(IdKind):
        if (opened.cache / f"people-{kind}").is_file():
            before = open_dictionary(opened.cache, kind, keys)
            dictionary = open_dictionary(opened.cache, kind, keys, erased)
            emptied[kind] = int(len(dictionary.blank) > len(before.blank))
            flush(dictionary, opened.cache)
    shutil.rmtree(opened.cache / "tmp", ignore_errors=True)
    return emptied


def _sources(opened: Opened, person: _Known) -> Iterable[Document]:
    """Every file that the project reads, and whether it names the person. Files are the owner's: only looked at."""
    assert opened.analysis is not None
    project = opened.analysis.project
    declared = {(one.name, one.file) for one in project.uploads} | {(one.name, one.file) for one in project.tables}
    texts = [text for _, text in person.pairs()]
    for name, file in sorted(declared):
        yield {"name": name, "file": file, "names_the_person": _names(opened, name, texts)}


def _names(opened: Opened, name: str, texts: Sequence[str]) -> bool | None:
    """Whether a source holds one of these ids; None where that cannot be known."""
    from audsql.data.cache import scratch_folder
    from audsql.data.content import open_file
    from audsql.data.declared import declared_source
    from audsql.data.searching import names_one

    assert opened.analysis is not None
    found = declared_source(opened.analysis.project, name)
    content = open_file(opened.home / found.folder, found.file, found.formats, None)
    if isinstance(content, Diagnostic):
        return None
    with scratch_folder(opened.cache) as scratch:
        return names_one(content, texts, found.formats, scratch)
