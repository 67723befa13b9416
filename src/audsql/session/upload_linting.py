"""Upload files that people already have: what LINE would not take, and a repaired copy.

No project is needed, and no state, engine or network is touched. Rules: specs/operations.md, lint_upload.*.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic, error, has_errors, warning
from audsql.records import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audsql.data.content import Content, Text
    from audsql.data.ids import Column
    from audsql.meaning.ir import IdKind

__all__ = ["LintOptions", "LintOutcome", "lint_upload"]

Document = dict[str, Any]
_KIND = "audsql.lint_upload"
_FORMAT_VERSION = "1.0"
_HEADER, _EMPTY, _REPEATED, _BARE_RETURNS = 1012, 1013, 1020, 1011
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class LintOptions:
    """`id_kind`: None to guess it. `region`: jp, th, tw. `copy`: where a repaired copy goes. `restore_zeros`: put back
    the leading 0 of telephone numbers. `drop_bad`: leave lines out of the copy that cannot be repaired."""

    file: Path
    id_kind: IdKind | None = None
    region: str = "jp"
    copy: Path | None = None
    restore_zeros: bool = False
    drop_bad: bool = False


@dataclass(frozen=True, slots=True)
class LintOutcome:
    """`document`: None where the file could not be judged at all."""

    document: Document | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class _Judged:
    """Every line of the file with its code: 0, an error's number, AUD1080's or AUD1020's."""

    content: Content
    text: Text
    column: Column
    codes: NDArray[np.uint16]
    kind: IdKind
    region: str


@dataclass(frozen=True, slots=True)
class _Copy:
    """What a copy would hold. `left`: lines (from 1) that are still bad and their codes; `dropped` are left out."""

    data: bytes
    repairs: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[int, int] = field(default_factory=dict)
    dropped: tuple[int, ...] = ()


def lint_upload(options: LintOptions) -> LintOutcome:
    """What is wrong with a list file by the rules of LINE Business Manager, told by physical line.

    With `copy`, safe repairs are made first and the rest is told; the copy is written only where nothing is left.
    """
    from audsql.data.content import decode

    if options.copy is not None and os.path.lexists(options.copy):
        return LintOutcome(None, (error("AUD1085", None, path=str(options.copy), earlier=False),))
    content = _read(options.file)
    if isinstance(content, Diagnostic):
        return LintOutcome(None, (content,))
    text = decode(content, None)
    if isinstance(text, Diagnostic):
        return LintOutcome(None, (text,))
    judged = _judge(content, text, options)
    if isinstance(judged, Diagnostic):
        return LintOutcome(None, (judged,))
    if options.copy is None:
        problems = (*_whole_file(judged), *_line_problems(judged, judged.codes))
        return LintOutcome(_document(judged, options, problems), problems)
    return _with_copy(judged, options, options.copy)


def _read(file: Path) -> Content | Diagnostic:
    from audsql.data.content import open_file
    from audsql.line.limits import BUSINESS_FILE_ENDINGS

    found = open_file(file.parent, file.name, BUSINESS_FILE_ENDINGS, None)
    if isinstance(found, Diagnostic):
        facts = {name: str(file) if name == "file" else fact for name, fact in found.facts}
        return replace(found, facts=tuple(sorted(facts.items())))
    if found.parts or found.packing:
        # A pattern or a packed file: not what LINE is given.
        return error("AUD1004", None, file=str(file), format=found.packing or "*", supported=BUSINESS_FILE_ENDINGS,
                     packings=())  # fmt: skip
    return replace(found, file=str(file))


# --- judging ----------------------------------------------------------------------------------------


def _judge(content: Content, text: Text, options: LintOptions) -> _Judged | Diagnostic:
    import numpy as np

    from audsql.data.ids import column_of, judged
    from audsql.data.lists import is_header
    from audsql.data.upload_repairs import guessed_kind

    column = column_of(text.data) if text.data else column_of(b"")
    kind = options.id_kind or guessed_kind(column)
    if kind is None and len(column):
        return error("AUD1089", None, file=content.file)
    kind = kind or "user_id"
    codes = judged(column, kind, options.region) if len(column) else np.zeros(0, np.uint16)
    if len(column) and is_header(column.line(0), bool(codes[0]), kind):
        codes[0] = _HEADER
    good = np.flatnonzero((codes == 0) | (codes == _unallocated()))
    seen: set[bytes] = set()
    repeated = [row for row in good.tolist() if _again(column.line(row), kind, seen)]
    codes[repeated] = _REPEATED
    return _Judged(content, text, column, codes, kind, options.region)


def _unallocated() -> int:
    from audsql.data.phones import UNALLOCATED

    return UNALLOCATED


def _again(line: bytes, kind: IdKind, seen: set[bytes]) -> bool:
    """Whether an id stood on an earlier line; it is seen from now on."""
    from audsql.data.upload_repairs import normal_form

    form = normal_form(line, kind)
    if form in seen:
        return True
    seen.add(form)
    return False


def _whole_file(judged: _Judged) -> tuple[Diagnostic, ...]:
    """What is wrong with the file as it stands, whatever its lines."""
    from audsql.data.lists import bare_returns

    file, text = judged.content.file, judged.text
    if not text.data:
        return (warning("AUD1005", None, file=file),)
    problems = _sizes(file, len(judged.column), len(judged.content.data))
    return (*problems, *bare_returns(text.data, file, None))


def _sizes(file: str, lines: int, size: int) -> tuple[Diagnostic, ...]:
    from audsql.line.limits import BUSINESS_FILE_BYTES_MAX, BUSINESS_FILE_LINES_MAX

    problems = []
    if lines > BUSINESS_FILE_LINES_MAX:
        problems.append(error("AUD1021", None, file=file, count=lines, lines_max=BUSINESS_FILE_LINES_MAX))
    if size > BUSINESS_FILE_BYTES_MAX:
        problems.append(error("AUD1022", None, file=file, bytes=size, bytes_max=BUSINESS_FILE_BYTES_MAX))
    return tuple(problems)


def _line_problems(judged: _Judged, codes: NDArray[np.uint16]) -> tuple[Diagnostic, ...]:
    import numpy as np

    from audsql.data.content import line_list
    from audsql.data.lists import doubtful_numbers, id_problems

    file, kind, region = judged.content.file, judged.kind, judged.region
    notes, told = {_REPEATED, _unallocated()}, []
    repeated = (np.flatnonzero(codes == _REPEATED) + 1).tolist()
    if repeated:
        told.append(warning("AUD1020", None, file=file, count=len(repeated), lines=line_list(repeated)))
    doubtful = (np.flatnonzero(codes == _unallocated()) + 1).tolist()
    if doubtful:
        told.append(doubtful_numbers(file, region, len(doubtful), line_list(doubtful), None))
    errors = np.where(np.isin(codes, sorted(notes)), 0, codes).astype(np.uint16)
    lines = np.arange(1, len(codes) + 1)
    return (*id_problems(errors, lines, file, None, kind, region, None), *told)


# --- a repaired copy --------------------------------------------------------------------------------


def _with_copy(judged: _Judged, options: LintOptions, copy: Path) -> LintOutcome:
    from audsql.data.lists import bare_returns

    made = _copied(judged, options)
    codes = judged.codes.copy()
    codes[:] = 0
    for line, code in made.left.items():
        codes[line - 1] = code
    for row in (judged.codes == _unallocated()).nonzero()[0].tolist():
        codes[row] = _unallocated()
    lines = made.data.count(b"\n")
    problems = (
        *_sizes(judged.content.file, lines, len(made.data)),
        *bare_returns(judged.text.data, judged.content.file, None),
        *_line_problems(judged, codes),
    )
    if not judged.text.data:
        problems = (warning("AUD1005", None, file=judged.content.file),)
    written = bool(made.data) and not has_errors(problems)
    document = {**_document(judged, options, problems), "repairs": _told(made), "dropped": list(made.dropped)}
    if written:
        failures = _write_new(copy, made.data)
        if failures:
            return LintOutcome(None, failures)
        document["written"] = {"file": str(copy), "lines": lines, "bytes": len(made.data)}
    return LintOutcome(document, problems)


def _copied(judged: _Judged, options: LintOptions) -> _Copy:
    """The lines of the copy, in the order of the file."""
    from audsql.data.upload_repairs import is_blank, repaired_lines

    good = {0, _unallocated(), _REPEATED}
    codes = judged.codes.tolist()
    bad = [row for row, code in enumerate(codes) if code not in good and code not in (_HEADER, _EMPTY)]
    tries = repaired_lines([judged.column.line(row) for row in bad], judged.kind, judged.region, options.restore_zeros)
    mended = dict(zip(bad, tries, strict=True))
    counts = Counter[str](_file_repairs(judged))
    left: dict[int, int] = {}
    kept: list[bytes] = []
    seen: set[bytes] = set()
    for row, code in enumerate(codes):
        line = judged.column.line(row)
        if code in (_HEADER, _EMPTY):
            counts["header" if code == _HEADER else "blank_lines"] += 1
            continue
        if code not in good:
            found = mended[row]
            if found is None and is_blank(line):
                counts["blank_lines"] += 1
                continue
            if found is None:
                left[row + 1] = code
                continue
            counts.update(found.repairs)
            line = found.text
        if _again(line, judged.kind, seen):
            counts["duplicates"] += 1
            continue
        kept.append(line)
    dropped = tuple(left) if options.drop_bad else ()
    counts["dropped"] += len(dropped)
    return _Copy(b"\n".join([*kept, b""]) if kept else b"", counts, {} if options.drop_bad else left, dropped)


def _file_repairs(judged: _Judged) -> dict[str, int]:
    """What the copy changes of the file as a whole."""
    data = judged.content.data
    return {
        "encoding": int(judged.text.encoding == "cp932"),
        "byte_order_mark": int(data.startswith(_MARK)),
        "line_ends": judged.text.data.count(b"\r\n"),
    }


def _told(made: _Copy) -> list[Document]:
    from audsql.data.upload_repairs import REPAIRS

    return [{"name": name, "count": made.repairs[name]} for name in REPAIRS if made.repairs.get(name)]


def _write_new(path: Path, content: bytes) -> tuple[Diagnostic, ...]:
    """A file that was not there before, readable by its owner alone, complete or not there at all."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        # Unlike a rename, a link never takes the place of a file that came in between.
        os.link(temporary, path)
    except FileExistsError:
        return (error("AUD1085", None, path=str(path), earlier=False),)
    except OSError as problem:
        return (error("AUD0031", None, path=str(path), reason=os.strerror(problem.errno or 0)),)
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    return ()


# --- the document -----------------------------------------------------------------------------------


def _document(judged: _Judged, options: LintOptions, problems: Sequence[Diagnostic]) -> Document:
    """Counts and numbers of lines, never what stands there."""
    shown = judged.codes
    severities = {one.code: one.severity for one in problems}
    return {
        "kind": _KIND,
        "format_version": _FORMAT_VERSION,
        "file": judged.content.file,
        "id_kind": judged.kind,
        "guessed": options.id_kind is None,
        "region": judged.region if judged.kind == "phone" else None,
        "encoding": judged.text.encoding,
        "bytes": len(judged.content.data),
        "lines": len(shown),
        "phones": _phones(judged) if judged.kind == "phone" else None,
        "findings": [
            {
                "code": f"AUD{code}",
                "severity": severities.get(f"AUD{code}", "error"),
                "count": int((shown == code).sum()),
                "lines": [row + 1 for row in (shown == code).nonzero()[0].tolist()],
            }
            for code in sorted(set(shown.tolist()) - {0})
        ],
        "asked": options.copy is not None,
        "repairs": [],
        "dropped": [],
        "written": None,
    }


def _phones(judged: _Judged) -> Document:
    """What the good numbers are: LINE accounts are most often opened with a mobile one."""
    from audsql.data.phones import can_be_mobile, digits_of, numbering_plan

    rows = [row for row, code in enumerate(judged.codes.tolist()) if code in (0, _unallocated())]
    digits = digits_of(b"\n".join([*map(judged.column.line, rows), b""]))
    mobile = can_be_mobile(digits, numbering_plan(judged.region))
    unallocated = int((judged.codes == _unallocated()).sum())
    return {"mobile": mobile, "other": len(rows) - mobile - unallocated, "not_in_use": unallocated}
