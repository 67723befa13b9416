"""Upload files of a set for LINE's own screens: whom they hold, and what stands in them.

Rules: specs/operations.md, export.*.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.data.engine import EngineFailure, LinkageLoss, linkage_loss
from audsql.diag import Diagnostic, error, has_errors
from audsql.meaning import ir
from audsql.meaning.types import kind_problem, linkages, mapped_through
from audsql.records import dataclass
from audsql.session.export_policies import Denial, denials
from audsql.session.project import Opened
from audsql.session.sets import engine_of
from audsql.source import Span

if TYPE_CHECKING:
    from audsql.data.engine import Engine, Materialised
    from audsql.data.hashing import PhoneForm
    from audsql.data.uploadable import Destination

__all__ = ["MANIFEST", "ExportOptions", "export"]

Document = dict[str, Any]
MANIFEST = "manifest.json"
_KIND = "audsql.export"
_FORMAT_VERSION = "1.0"
_STEM = "upload"
_KEY_BYTES_MAX = 64
_EXPRESSION = Span("<expression>", 0, 0)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`folder`: where the files go. `id_kind`, `destination`: None for what follows from the set. `algorithm`:
    `sha256`, or None for plain ids. `ending`: `.csv` or `.txt`. `to_exclude`: the files are used to exclude people.
    `accepted`, `around`: policies of which only what the data say is taken away, and those that are not applied."""

    folder: Path
    id_kind: ir.IdKind | None = None
    destination: str | None = None
    algorithm: str | None = None
    phone_form: PhoneForm = "national"
    ending: str = ".csv"
    to_exclude: bool = False
    accepted: frozenset[str] = frozenset()
    around: frozenset[str] = frozenset()
    reason: str = ""
    force: bool = False
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The set as ids of the wanted kind, before policies."""

    text: str
    expression: ir.Expression
    id_kind: ir.IdKind
    destination: Destination


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Whom the files hold: `ids` in normal form, `before` how many the set has, `taken` by each policy."""

    ids: Sequence[bytes]
    before: int
    taken: Sequence[tuple[Denial, int]] = ()
    losses: Sequence[LinkageLoss] = ()
    notes: tuple[Diagnostic, ...] = field(default=())


def export(opened: Opened, text: str, options: ExportOptions) -> tuple[Document | None, tuple[Diagnostic, ...]]:
    """Write upload files of an audience or expression and say what they hold: the manifest.

    Policies are applied. Nothing is written where there is an error. Raises EngineFailure.
    """
    refused = _place_problem(options)
    wanted, problems = _wanted(opened, text, options)
    if wanted is None or has_errors((*refused, *problems)):
        return None, (*problems, *refused)
    rules, problems = denials(opened, wanted.id_kind, options.accepted, options.around)
    if options.to_exclude:
        rules, problems = (), ()
    if has_errors(problems):
        return None, problems
    chosen, problems = _chosen(opened, wanted, rules, options)
    if chosen is None:
        return None, problems
    if not chosen.ids:
        policies = tuple(sorted({rule.policy for rule, count in chosen.taken if count}))
        return None, (*problems, error("AUD1086", None, before=chosen.before, policies=policies))
    document, failures = _write(opened, wanted, chosen, options)
    return document, (*problems, *failures)


# --- what is asked for ------------------------------------------------------------------------------


def _place_problem(options: ExportOptions) -> tuple[Diagnostic, ...]:
    """Something is at the place that must not be replaced."""
    from audsql.session.whole_folder import is_free

    folder = options.folder
    try:
        if is_free(folder):
            return ()
        earlier = folder.is_dir() and not folder.is_symlink() and _made_by_export(folder)
    except OSError as problem:
        return (_unwritten(folder, problem),)
    return () if earlier and options.force else (error("AUD1085", None, path=str(folder), earlier=earlier),)


def _made_by_export(folder: Path) -> bool:
    """Whether the folder holds an export and nothing else. Raises OSError."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files = {str(one["name"]) for one in manifest["files"]}
        made = manifest["kind"] == _KIND
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
    return made and {one.name for one in folder.iterdir()} <= {MANIFEST, ".gitignore", *files}


def _wanted(opened: Opened, text: str, options: ExportOptions) -> tuple[_Wanted | None, tuple[Diagnostic, ...]]:
    from audsql.data.uploadable import DESTINATIONS, destination_of
    from audsql.meaning.lower import lower_expression
    from audsql.syntax.parse import parse_expression

    tree, problems = parse_expression(text)
    known = (*opened.diagnostics, *opened.findings, *problems)
    if opened.analysis is None or tree is None or has_errors(known):
        return None, known
    expression, found = lower_expression(tree, opened.analysis)
    if has_errors(found):
        return None, found
    opaque = [atom.key for atom in ir.atoms_of(expression) if atom.world != "own"]
    if opaque:
        return None, (error("AUD0043", None, atom=opaque[0]),)
    have = _kind_of(expression, opened)
    kind = options.id_kind or have
    destination = next((one for one in DESTINATIONS if one.name == options.destination), None) or destination_of(kind)
    takes = destination.hashed_id_kinds if options.algorithm else destination.id_kinds
    # Which form LINE hashes is not known, and with a wrong one an exclusion would keep nobody away.
    uncertain = kind == "phone" and options.algorithm is not None and options.to_exclude
    if kind not in takes or uncertain:
        plain = kind in destination.id_kinds
        return None, (
            error(
                "AUD1087",
                None,
                id_kind=kind,
                destination=destination.name,
                wanted=() if plain else takes or destination.id_kinds,
                algorithm=options.algorithm if plain or not takes else None,
            ),
        )
    mapped, unconnected = _as_kind(opened, expression, have, kind)
    if mapped is None:
        return None, unconnected
    return _Wanted(" ".join(text.split()), mapped, kind, destination), found


def _kind_of(expression: ir.Expression, opened: Opened) -> ir.IdKind:
    assert opened.analysis is not None
    scope = opened.analysis.scope
    for atom in ir.atoms_of(expression):
        match atom:
            case ir.Uploaded(name):
                return scope.uploads[name].id_kind
            case ir.Rows(name):
                return scope.tables[name].ids[0][0]
            case ir.Mapped(to=to):
                return to
            case ir.Linked() | ir.Followers():
                return "user_id"
    return "user_id"


def _as_kind(
    opened: Opened, expression: ir.Expression, have: ir.IdKind, kind: ir.IdKind
) -> tuple[ir.Expression | None, tuple[Diagnostic, ...]]:
    """The set as ids of another kind, through the one table that holds both."""
    assert opened.analysis is not None
    if have == kind:
        return expression, ()
    scope = opened.analysis.scope
    tables = linkages(have, kind, scope.tables.values(), scope.accounts.get(scope.account))
    if len(tables) != 1:
        return None, (kind_problem(have, kind, tables, _EXPRESSION, None),)
    return mapped_through(expression, have, kind, tables[0]), ()


# --- whom it holds ----------------------------------------------------------------------------------


def _chosen(
    opened: Opened, wanted: _Wanted, rules: Sequence[Denial], options: ExportOptions
) -> tuple[_Chosen | None, tuple[Diagnostic, ...]]:
    engine = engine_of(opened)
    whole = ir.land(wanted.expression, *(ir.lnot(rule.expression) for rule in rules))
    atoms = {atom.key: atom for part in (wanted.expression, whole) for atom in ir.atoms_of(part)}
    read, notes = engine.materialise([atoms[key] for key in sorted(atoms)], options.as_of or datetime.now(UTC))
    if has_errors(notes):
        return None, notes
    before = engine.count(engine.evaluate(wanted.expression, read.people))
    taken = [(rule, _count(engine, ir.land(wanted.expression, rule.expression), read)) for rule in rules]
    ids = [one.encode() for one in engine.members(engine.evaluate(whole, read.people))]
    ids = _without_erased(opened, wanted.id_kind, ids)
    ids.sort()
    return _Chosen(ids, before, taken, linkage_loss(wanted.expression, read), notes), notes


def _count(engine: Engine, expression: ir.Expression, read: Materialised) -> int:
    return engine.count(engine.evaluate(expression, read.people))


def _without_erased(opened: Opened, kind: ir.IdKind, ids: list[bytes]) -> list[bytes]:
    """Nobody who was erased: a list that only keeps people away still names them to the engine."""
    from audsql.data.erased import is_erased
    from audsql.data.ids import column_of, normalise
    from audsql.data.keys import KeyMissing
    from audsql.session.keys import keys_of, missing_key
    from audsql.session.tombstones import erased_people

    try:
        erased = erased_people(opened, keys_of(opened), None)
    except KeyMissing as missing:
        raise EngineFailure(missing_key(opened.cache.name, missing)) from None
    if not ids or not erased.by_kind.get(kind):
        return ids
    gone = is_erased(erased, normalise(column_of(b"".join(one + b"\n" for one in ids)), kind))
    return [one for one, is_gone in zip(ids, gone.tolist(), strict=True) if not is_gone]


# --- what is written --------------------------------------------------------------------------------


def _write(
    opened: Opened, wanted: _Wanted, chosen: _Chosen, options: ExportOptions
) -> tuple[Document | None, tuple[Diagnostic, ...]]:
    from audsql.session.whole_folder import write_folder

    secret = _secret(opened)
    rows: list[Document] = []

    def files() -> Iterator[tuple[str, bytes]]:
        # Nothing of the folder ever belongs into Git.
        yield ".gitignore", b"*\n"
        for name, lines, content in _files(opened, wanted, chosen.ids, options):
            digest = hashlib.blake2b(content, digest_size=32, key=secret, person=b"upload file").hexdigest()
            rows.append({"name": name, "lines": lines, "bytes": len(content), "keyed_digest": digest})
            yield name, content
        yield MANIFEST, _manifest_bytes(_manifest(opened, wanted, chosen, options, rows))

    try:
        write_folder(options.folder, files())
    except OSError as problem:
        return None, (_unwritten(options.folder, problem),)
    return {**_manifest(opened, wanted, chosen, options, rows), "folder": str(options.folder)}, ()


def _files(
    opened: Opened, wanted: _Wanted, ids: Sequence[bytes], options: ExportOptions
) -> Iterator[tuple[str, int, bytes]]:
    """Name, lines and content of each file. Digests have an order of their own, so that it tells nothing of ids."""
    from audsql.data.hashing import hash_input, hex_lines, sha256_digests
    from audsql.data.uploadable import file_name, pieces

    kind, region = wanted.id_kind, _region(opened)
    limits = wanted.destination.limits(options.algorithm is not None)
    if options.algorithm:
        texts = (hash_input(one, kind, region, options.phone_form) for one in ids)
        digests = sorted(sha256_digests(texts))
        parts = list(pieces([2 * len(one) + 1 for one in digests], limits))
        for number, (first, behind) in enumerate(parts, 1):
            name = file_name(_STEM, number, len(parts), options.ending)
            yield name, behind - first, hex_lines(digests[first:behind])
        return
    parts = list(pieces([len(one) + 1 for one in ids], limits))
    for number, (first, behind) in enumerate(parts, 1):
        name = file_name(_STEM, number, len(parts), options.ending)
        yield name, behind - first, b"\n".join([*ids[first:behind], b""])


def _manifest(
    opened: Opened, wanted: _Wanted, chosen: _Chosen, options: ExportOptions, rows: Sequence[Document]
) -> Document:
    from audsql import __version__

    assert opened.config is not None
    hashed = options.algorithm is not None
    document: Document = {
        "kind": _KIND,
        "format_version": _FORMAT_VERSION,
        "tool_version": __version__,
        "project": opened.config.name,
        "environment": opened.environment,
        "set": wanted.text,
        "as_of": options.as_of.isoformat(timespec="seconds") if options.as_of else None,
        "id_kind": wanted.id_kind,
        "destination": wanted.destination.name,
        "hash": options.algorithm,
        "phone_form": options.phone_form if hashed and wanted.id_kind == "phone" else None,
        "purpose": "exclude" if options.to_exclude else "send",
        "before": chosen.before,
        "people": len(chosen.ids),
        "policies": [
            {"name": rule.policy, "rule": rule.rule, "taken": count, "whole": rule.whole}
            for rule, count in chosen.taken
        ],
        "accepted": sorted(options.accepted),
        "around": sorted(options.around),
        "reason": options.reason or None,
        "files": list(rows),
    }
    if chosen.losses:
        document["linkage"] = [loss.to_document() for loss in chosen.losses]
    return document


def _manifest_bytes(document: Document) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "surrogateescape")


def _region(opened: Opened) -> str:
    from audsql.data.declared import region_of

    assert opened.analysis is not None
    return region_of(opened.analysis.project, "")


def _secret(opened: Opened) -> bytes:
    """What file digests are made with: the digest of a short list alone would give its ids away. Raises
    EngineFailure."""
    from audsql.data.cache import load_key
    from audsql.session.keys import keys_of

    keys = keys_of(opened)
    try:
        return (keys.current if keys else load_key(opened.cache))[:_KEY_BYTES_MAX]
    except OSError as problem:
        raise EngineFailure(error("AUD1047", None, reason=os.strerror(problem.errno or 0))) from None
    except ValueError:
        raise EngineFailure(error("AUD1049", None, source="cache")) from None


def _unwritten(folder: Path, problem: OSError) -> Diagnostic:
    return error("AUD0031", None, path=str(folder), reason=os.strerror(problem.errno or 0))
