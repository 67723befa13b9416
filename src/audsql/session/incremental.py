"""`check` after a small edit: only the statements that it can concern are read again.

After a check without errors each statement's kind, place, digest, declared and used names are kept in the
user's cache, beside the diagnostics document. When few files differ, the statements that are new or gone and
all that depend on a name of theirs, however far, are checked together with everything that these need. Where
that finds nothing new, the document is the old one, and otherwise the whole project is checked: what comes
out is always what a check of everything gives.

Which names a statement uses is taken from its words alone, so that it may be too many and never too few.
"""

from __future__ import annotations

import bisect
import hashlib
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from audsql import user_cache
from audsql.config import CONFIG_NAME, Loaded
from audsql.diag import Diagnostic
from audsql.meaning.expand_loops import kind_of, name_of
from audsql.records import dataclass
from audsql.session.remembered import file_digest
from audsql.session.variables import NO_VARIABLES, Variables
from audsql.source import CopySpan, Source, SourceMap
from audsql.syntax import ast
from audsql.syntax.lex import unescaped
from audsql.syntax.parse import STATEMENTS_MAX, parse_file

__all__ = [
    "Edit", "Kept", "Place", "Recheck", "Row", "affected_places", "compared", "is_much", "keep", "needed_places",
    "odd_names", "outline_of", "parts_of", "recheck", "row_used",
]  # fmt: skip

Document = dict[str, Any]

# What an edit of such a statement can concern is itself and what uses its names.
_LOCAL = frozenset({"audience", "delivery", "flow", "message", "split", "test", "upload"})
# These can concern every statement, a table as one that links two kinds of id: they are read each time, and an
# edit of one is an edit of everything.
_ALWAYS = frozenset({"account", "codes", "coupon", "param", "policy", "table", "template", "use"})
_KNOWN = _LOCAL | _ALWAYS | {"moved", "priority", "removed"}
_SPACES = ("account", "policy")
# Above this share of the statements, checking everything is no slower.
_SHARE_MAX = 0.25
_FEW_STATEMENTS = 500
_NEW_NAMES_MAX = 200

# Letters, digits, the underscore and everything outside ASCII, as in the lexer.
_LETTER = r"[^\x00-/:-@\[-^`{-\x7f]"
_WORDS = re.compile(rf"{_LETTER}+")


class Row(NamedTuple):
    """A statement: its kind, place and digest, the names that it declares, and all that its words may name."""

    kind: str
    start: int
    end: int
    digest: str
    declares: Sequence[str]
    uses: Sequence[str]


class Place(NamedTuple):
    """A row, by its file and its number there."""

    path: str
    number: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What the last check knew. `told`: each place that a diagnostic speaks of. `reads`: the file of a message
    by its name. `outside`: other paths that were looked at, `meant` the names that used files may mean. `digests`:
    of all these files, None without one."""

    files: dict[str, str]
    rows: dict[str, list[Row]]
    told: list[tuple[str, str, int]]
    reads: dict[str, str]
    outside: list[str]
    meant: list[str]
    digests: dict[str, str | None]
    document: Document


@dataclass(frozen=True, slots=True)
class Recheck:
    """The document, the files that it depends on besides the specs, and the numbers of statements that were
    read again because the edit concerns them, and that these need."""

    document: Document
    read: tuple[str, ...]
    affected: int
    needed: int


@dataclass(slots=True)
class Edit:
    """The project now against what was kept. `parsed`: statements of the files that differ."""

    rows: dict[str, list[Row]]
    parsed: dict[str, Sequence[Any]]
    added: set[Place] = field(default_factory=set)
    removed: list[Row] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def each(self) -> list[tuple[Place, Row]]:
        return [(Place(path, number), row) for path, rows in self.rows.items() for number, row in enumerate(rows)]


# --- keeping ----------------------------------------------------------------------------------------


def keep(
    root: Path,
    loaded: Loaded,
    language: str,
    opened: Any,
    diagnostics: Sequence[Diagnostic],
    document: Document,
    variables: Variables = NO_VARIABLES,
) -> None:
    """Keep what the next check needs to read little; nothing where there are errors or it could not be used."""
    key = _key(root, loaded, language, variables)
    if key is None or opened.analysis is None or loaded.diagnostics or variables.diagnostics:
        return
    told = [place for diagnostic in diagnostics for place in _places(diagnostic)]
    if document["summary"]["errors"] or None in told:
        return
    outlines = {file.path: outline_of(file) for file in opened.files}
    if None in outlines.values():
        return
    names = {name for rows in outlines.values() for row in rows or () for name in row.declares}
    odd = odd_names(names)
    rows = {
        path: [row_used(row, loaded.sources.sources[path].text, names, odd) for row in found or ()]
        for path, found in outlines.items()
    }
    own = {name for found in rows.values() for row in found if row.kind == "message" for name in row.declares}
    reads = _reads(opened, own)
    outside = sorted({*opened.looked_at, *_reads(opened, None).values()} - set(reads.values()))
    used = [source.text for path, source in opened.sources.sources.items() if path not in rows]
    meant = sorted({name for text in used for name in _named(text, names, odd)})
    files = {source.path: source.digest for source in loaded.sources}
    digests = _digests(root, reads, outside)
    written = [place for place in told if place]
    user_cache.write("rows", key, _plain(Kept(files, rows, written, reads, outside, meant, digests, document)))


def _plain(kept: Kept) -> dict[str, Any]:
    return {one.name: getattr(kept, one.name) for one in fields(kept)}


def _digests(root: Path, reads: Mapping[str, str], outside: Sequence[str]) -> dict[str, str | None]:
    return {path: file_digest(root / path) for path in sorted({*reads.values(), *outside})}


def _key(root: Path, loaded: Loaded, language: str, variables: Variables) -> str | None:
    if loaded.config is None:
        return None
    config = loaded.texts.get(CONFIG_NAME)
    parts = (
        str(root.resolve()),
        user_cache.code_digest(),
        config.digest if config else "",
        str(loaded.config.environment),
        language,
        variables.digest,
    )
    return "\n".join(parts)


def _read(key: str) -> Kept | None:
    value = user_cache.read("rows", key)
    try:
        rows = {path: [Row._make(row) for row in rows] for path, rows in value["rows"].items()}
        told = [(str(code), str(path), int(start)) for code, path, start in value["told"]]
        kept = {name: value[name] for name in ("files", "reads", "outside", "meant", "digests", "document")}
        return Kept(rows=rows, told=told, **kept)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _places(diagnostic: Diagnostic) -> Iterator[tuple[str, str, int] | None]:
    """Every place that a diagnostic speaks of; None for one that a statement does not fix."""
    edits = [edit.span for fix in diagnostic.fixes for edit in fix.edits]
    for span in (diagnostic.span, *(label.span for label in diagnostic.labels), *edits):
        yield None if span is None or isinstance(span, CopySpan) else (diagnostic.code, span.path, span.start)


def _reads(opened: Any, names: Set[str] | None) -> dict[str, str]:
    """The file of each message by its name, of these messages or of all."""
    messages = opened.analysis.project.messages
    return {
        message.name: posixpath.join(message.folder, message.file)
        for message in messages
        if message.file is not None and (names is None or message.name in names)
    }


# --- rows -------------------------------------------------------------------------------------------


def outline_of(file: Any) -> list[Row] | None:
    """The rows of a file without what they use; None where a statement stands for others that are not written."""
    if file.indexed:
        return None
    found = []
    for statement in file.statements:
        kind = _kind(statement)
        if kind not in _KNOWN:
            return None
        found.append(Row(kind, statement.span.start, statement.span.end, "", _declared(statement), ()))
    return found


def _kind(statement: Any) -> str:
    if isinstance(statement, ast.Bad):
        return ""
    return "template" if isinstance(statement, ast.Audience) and statement.parameters else kind_of(statement)


def _declared(statement: Any) -> list[str]:
    name = name_of(statement)
    verbs = statement.verbs if isinstance(statement, ast.Block) else ()
    return [name.text, *(verb.name.text for verb in verbs)] if name else []


def odd_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names that are more than one word."""
    return tuple(name for name in names if not _WORDS.fullmatch(name))


def row_used(row: Row, text: str, names: set[str], odd: Sequence[str]) -> Row:
    """The row with its digest and with those of the names that its words may mean."""
    written = text[row.start : row.end]
    digest = hashlib.blake2b(written.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return row._replace(digest=digest, uses=sorted(_named(written, names, odd)))


def _named(written: str, names: set[str], odd: Sequence[str]) -> set[str]:
    """Those of the names that a text may mean, inside strings as well."""
    if not written.isascii():
        written = unicodedata.normalize("NFC", written)
    found = names.intersection(_WORDS.findall(written))
    found.update(name for name in odd if name in written)
    if "\\" in written:
        plain = unescaped(written)
        found |= names.intersection(_WORDS.findall(plain))
        found.update(name for name in odd if name in plain)
    return found


# --- checking again ---------------------------------------------------------------------------------


def recheck(root: Path, loaded: Loaded, language: str, variables: Variables = NO_VARIABLES) -> Recheck | None:
    """The diagnostics document of the project as it stands, where that follows from what was kept; else None."""
    if loaded.diagnostics or variables.diagnostics:
        return None
    key = _key(root, loaded, language, variables)
    kept = _read(key) if key else None
    if key is None or kept is None:
        return None
    if any(path in loaded.sources.sources or kept.digests.get(path) != _now(root, path) for path in kept.outside):
        return None
    edit = compared(kept, loaded.sources)
    if edit is None:
        return None
    stale = {name for name, path in kept.reads.items() if kept.digests.get(path) != _now(root, path)}
    edit.names |= stale
    affected = affected_places(edit, stale, set(kept.meant))
    if affected is None or not _stays(kept, edit, affected):
        return None
    needed = needed_places(edit, affected, kept.meant)
    opened = None if is_much(edit, affected | needed) else _same(root, loaded, variables, kept, edit, affected | needed)
    if opened is None:
        return None
    gone = {name for row in edit.removed for name in row.declares}
    own = {name for place in affected for name in edit.rows[place.path][place.number].declares}
    reads = {name: path for name, path in kept.reads.items() if name not in gone | own} | _reads(opened, own)
    document = {**kept.document, "summary": {**kept.document["summary"], "files_checked": len(opened.texts.sources)}}
    now = replace(
        kept,
        files={source.path: source.digest for source in loaded.sources},
        rows=edit.rows,
        reads=reads,
        digests=_digests(root, reads, kept.outside),
        document=document,
    )
    user_cache.write("rows", key, _plain(now))
    return Recheck(document, tuple(sorted({*reads.values(), *kept.outside})), len(affected), len(needed))


def _now(root: Path, path: str) -> str | None:
    return file_digest(root / path)


def compared(kept: Kept, sources: SourceMap) -> Edit | None:
    """What was added and removed; None where that can concern everything."""
    outlines: dict[str, list[Row]] = {}
    parsed: dict[str, Sequence[Any]] = {}
    size = sum(len(source.text) for source in sources)
    differing = [source for source in sources if kept.files.get(source.path) != source.digest]
    if sum(len(source.text) for source in differing) > max(size * _SHARE_MAX, 100_000):
        return None
    for source in differing:
        file, problems = parse_file(source)
        outline = None if problems else outline_of(file)
        if outline is None:
            return None
        outlines[source.path], parsed[source.path] = outline, file.statements
    rows = {
        source.path: outlines[source.path] if source.path in outlines else kept.rows[source.path] for source in sources
    }
    names = _declared_once(rows)
    if names is None:
        return None
    old = [row for path, found in kept.rows.items() if path not in rows or path in parsed for row in found]
    names.update(name for row in old for name in row.declares)
    odd = odd_names(names)
    for path in outlines:
        rows[path] = [row_used(row, sources.sources[path].text, names, odd) for row in rows[path]]
    edit = Edit(rows, parsed)
    _difference(edit, old)
    fresh = edit.names - {name for found in kept.rows.values() for row in found for name in row.declares}
    is_local = _all_local(edit) and _uses_of(rows) == _uses_of(kept.rows)
    return edit if is_local and _find_uses(edit, sources, fresh) else None


def _uses_of(rows: Mapping[str, Sequence[Row]]) -> set[tuple[str, str]]:
    """Every `use`, with the file that it stands in: what it means depends on the folder."""
    return {(path, row.digest) for path, found in rows.items() for row in found if row.kind == "use"}


def _declared_once(rows: Mapping[str, Sequence[Row]]) -> set[str] | None:
    """All names; None where two statements declare one."""
    seen: dict[str, set[str]] = {"": set(), **{space: set() for space in _SPACES}}
    for found in rows.values():
        for row in found:
            space = seen[row.kind if row.kind in _SPACES else ""]
            for name in row.declares:
                if name in space:
                    return None
                space.add(name)
    return set().union(*seen.values())


def _difference(edit: Edit, old: Sequence[Row]) -> None:
    """Statements are the same if their texts are; where they stand says nothing."""
    left = Counter(row.digest for row in old)
    for path in edit.parsed:
        for number, row in enumerate(edit.rows[path]):
            if left[row.digest] > 0:
                left[row.digest] -= 1
            else:
                edit.added.add(Place(path, number))
                edit.names.update(row.declares)
    for row in reversed(old):
        if left[row.digest] > 0:
            left[row.digest] -= 1
            edit.removed.append(row)
            edit.names.update(row.declares)


def _all_local(edit: Edit) -> bool:
    added = {edit.rows[place.path][place.number].kind for place in edit.added}
    return _LOCAL.issuperset(added) and _LOCAL.issuperset(row.kind for row in edit.removed)


def _find_uses(edit: Edit, sources: SourceMap, fresh: set[str]) -> bool:
    """Statements in files that did not change may have the word that is a name now; they are noted to use it.
    Whether that could be found in good time."""
    if len(fresh) > _NEW_NAMES_MAX:
        return False
    odd = odd_names(fresh)
    some = re.compile("|".join(rf"(?<!{_LETTER}){re.escape(name)}(?!{_LETTER})" for name in sorted(fresh)))
    for path, rows in edit.rows.items():
        text = sources.sources[path].text
        plain = "\\" not in text and (text.isascii() or unicodedata.is_normalized("NFC", text))
        if path in edit.parsed or not fresh or (plain and not some.search(text)):
            continue
        for number, row in enumerate(rows):
            found = _named(text[row.start : row.end], fresh, odd)
            if found:
                rows[number] = row._replace(uses=sorted({*row.uses, *found}))
    return True


# --- what the edit concerns -------------------------------------------------------------------------


def affected_places(edit: Edit, stale: Set[str], meant: Set[str]) -> set[Place] | None:
    """The added statements and all that use a name of theirs or of a removed one, however far; None where
    something that concerns everything does."""
    users: dict[str, list[Place]] = {}
    affected = set(edit.added)
    for place, row in edit.each():
        for name in row.uses:
            users.setdefault(name, []).append(place)
        if row.kind == "message" and not stale.isdisjoint(row.declares):
            affected.add(place)
    same_names = _kinds_of(edit.removed) == _kinds_of(edit.rows[path][number] for path, number in edit.added)
    waiting, seen = list(edit.names), set(edit.names)
    while waiting:
        for place in users.get(waiting.pop(), ()):
            row = edit.rows[place.path][place.number]
            if row.kind in ("moved", "removed") and same_names:
                continue
            if row.kind not in _LOCAL:
                return None
            affected.add(place)
            fresh = [name for name in row.declares if name not in seen]
            seen.update(fresh)
            waiting.extend(fresh)
    return affected if seen.isdisjoint(meant) else None


def _kinds_of(rows: Iterable[Row]) -> set[tuple[str, tuple[str, ...]]]:
    return {(row.kind, tuple(row.declares)) for row in rows}


def needed_places(edit: Edit, affected: Set[Place], meant: Sequence[str]) -> set[Place]:
    """The other statements without which these cannot be checked: what they use, and what concerns everything."""
    declared: dict[str, list[Place]] = {}
    ranked: dict[str, list[Place]] = {}
    waiting = list(affected)
    for place, row in edit.each():
        for name in row.declares:
            declared.setdefault(name, []).append(place)
        if row.kind in _ALWAYS:
            waiting.append(place)
        elif row.kind == "priority":
            for name in row.uses:
                ranked.setdefault(name, []).append(place)
    waiting.extend(place for name in meant for place in declared.get(name, ()))
    chosen = set(waiting)
    while waiting:
        place = waiting.pop()
        row = edit.rows[place.path][place.number]
        near = [other for name in row.uses for other in declared.get(name, ())]
        near += [other for name in row.declares for other in ranked.get(name, ())]
        fresh = [other for other in near if other not in chosen]
        chosen.update(fresh)
        waiting.extend(fresh)
    return chosen - affected


def is_much(edit: Edit, chosen: Set[Place]) -> bool:
    count = sum(len(rows) for rows in edit.rows.values())
    multiplied = any(row.kind in ("template", "use") for rows in edit.rows.values() for row in rows)
    limit = STATEMENTS_MAX // 2 if multiplied else STATEMENTS_MAX
    return count > limit or len(chosen) > max(count * _SHARE_MAX, _FEW_STATEMENTS)


def _stays(kept: Kept, edit: Edit, affected: Set[Place]) -> bool:
    """Whether what was told still holds, where it was told: in statements that the edit does not concern, of
    files that did not change."""
    for _, path, start in kept.told:
        if path not in edit.rows or path in edit.parsed:
            return False
        rows = edit.rows[path]
        number = bisect.bisect_right(rows, start, key=lambda row: row.start) - 1
        if number < 0 or start > rows[number].end or Place(path, number) in affected:
            return False
    return True


# --- the part that is checked -----------------------------------------------------------------------


def _same(
    root: Path,
    loaded: Loaded,
    variables: Variables,
    kept: Kept,
    edit: Edit,
    chosen: Set[Place],
) -> Any | None:
    """The part of the project, checked; None where something is told of it that was not told before."""
    from audsql.meaning.expand import Inputs
    from audsql.meaning.lower import analyse
    from audsql.session.project import Opened, check
    from audsql.session.uses import load_uses

    assert loaded.config is not None
    parts = parts_of(edit, chosen, loaded.sources)
    if parts is None:
        return None
    files, starts = parts
    uses = load_uses(root, files)
    odd = odd_names(edit.names)
    if uses.bag.items or any(_named(source.text, edit.names, odd) for source in uses.sources):
        return None
    inputs = Inputs(variables.given, uses.used, uses.files)
    config = loaded.config
    analysis, findings = analyse(tuple(files), name=config.name, timezone=config.timezone, inputs=inputs)
    sources = SourceMap.of([*loaded.sources, *uses.sources])
    texts = SourceMap.of([*loaded.texts, *uses.sources])
    opened = Opened(root, config, sources, texts, analysis, (), findings, tuple(files), inputs)
    told = set(kept.told)
    for diagnostic in check(opened):
        for place in _places(diagnostic):
            if diagnostic.severity == "error" or place is None or _as_written(place, starts) not in told:
                return None
    return opened


def parts_of(
    edit: Edit, chosen: Set[Place], sources: SourceMap
) -> tuple[list[Any], dict[str, list[tuple[int, int]]]] | None:
    """The files with the chosen statements alone, and where each of these begins there and in its own text."""
    numbers: dict[str, list[int]] = {}
    for place in sorted(chosen):
        numbers.setdefault(place.path, []).append(place.number)
    files: list[Any] = []
    starts: dict[str, list[tuple[int, int]]] = {}
    for path, wanted in numbers.items():
        if path in edit.parsed:
            files.append(ast.File(path, tuple(edit.parsed[path][number] for number in wanted)))
            continue
        rows = [edit.rows[path][number] for number in wanted]
        text, found = sources.sources[path].text, []
        at = 0
        for row in rows:
            found.append((at, row.start))
            at += row.end - row.start + 1
        file, problems = parse_file(Source(path, "\n".join(text[row.start : row.end] for row in rows)))
        if problems or [_kind(one) for one in file.statements] != [row.kind for row in rows]:
            return None
        files.append(file)
        starts[path] = found
    return files, starts


def _as_written(
    place: tuple[str, str, int], starts: Mapping[str, Sequence[tuple[int, int]]]
) -> tuple[str, str, int] | None:
    """A place of the part where it is in the project."""
    code, path, at = place
    found = starts.get(path, ())
    number = bisect.bisect_right(found, at, key=lambda one: one[0]) - 1
    return (code, path, found[number][1] + at - found[number][0]) if number >= 0 else None
