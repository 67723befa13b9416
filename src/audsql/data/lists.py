"""List files in the Business Manager form: no header, one id a line.

Every rule has its own diagnostic with the physical line numbers, never the content of a line. A bad
line is an error; nothing is dropped. Rules: specs/data.md, lists.*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audsql.data.content import LINES_SHOWN_MAX, Content, Text, decode, line_list
from audsql.data.ids import Column, Ids, Words, column_of, judged, normalise, read_ids
from audsql.data.matching import ascending_order, distinct
from audsql.data.phones import UNALLOCATED
from audsql.data.userids import read_lines
from audsql.diag import Diagnostic, error, has_errors, warning
from audsql.line.limits import (
    BUSINESS_FILE_BYTES_MAX,
    BUSINESS_FILE_LINES_MAX,
    JOBS_SHOWN_MAX,
    UPLOAD_FILE_IDS_MAX,
)
from audsql.meaning.ir import IdKind, UploadSource
from audsql.records import dataclass
from audsql.source import Span

__all__ = [
    "ListRead",
    "bare_returns",
    "doubtful_numbers",
    "id_problems",
    "is_header",
    "read_list",
    "unallocated_numbers",
]

HEADER = 1012
_CODES = {
    1012: "AUD1012",
    1013: "AUD1013",
    1014: "AUD1014",
    1015: "AUD1015",
    1016: "AUD1016",
    1017: "AUD1017",
    1018: "AUD1018",
    1019: "AUD1019",
    1023: "AUD1023",
    1024: "AUD1024",
    1025: "AUD1025",
    1026: "AUD1026",
    1027: "AUD1027",
    1028: "AUD1028",
    1029: "AUD1029",
    1081: "AUD1081",
    1082: "AUD1082",
    1083: "AUD1083",
    1084: "AUD1084",
}
_HEADER_BYTES_MAX = 200
_HEADER_NAMES = frozenset(
    (
        *("id", "uid", "userid", "lineid", "lineuserid", "memberid", "member", "customerid", "customer"),
        *("email", "mail", "mailaddress", "emailaddress", "phone", "tel", "telephone", "phonenumber", "telno"),
        *("mobile", "ifa", "idfa", "gaid", "aaid", "adid"),
        *("ユーザーid", "会員id", "会員番号", "顧客id", "顧客番号", "メール", "メールアドレス"),
        *("電話", "電話番号", "携帯番号", "携帯電話番号"),
    )
)


# As many as the jobs of one audience that LINE still shows can bring.
USER_ID_LINES_MAX = JOBS_SHOWN_MAX * UPLOAD_FILE_IDS_MAX


@dataclass(frozen=True, slots=True)
class ListRead:
    """What a list held. `ids` is None where there is an error; `duplicates` counts repeated lines of `rows`.

    User ids are in ascending order, each once; others as they stand in the file.
    """

    encoding: str
    ids: Ids | None
    rows: int
    duplicates: int
    diagnostics: tuple[Diagnostic, ...]


def read_list(content: Content, source: UploadSource, region: str = "jp") -> ListRead:
    """Check a list file line by line and take its ids.

    `region` (jp, th, tw) decides what a telephone number looks like. Codes: AUD1005 to AUD1029.
    """
    if content.parts:
        return _read_several(content, source, region)
    text = decode(content, source.span)
    if isinstance(text, Diagnostic):
        return ListRead("", None, 0, 0, (text,))
    problems = _file_problems(content, text, source)
    if has_errors(problems) or not text.data:
        ids = None if has_errors(problems) else normalise(column_of(b""), source.id_kind)
        return ListRead(text.encoding, ids, 0, 0, problems)
    lines_max = USER_ID_LINES_MAX if source.id_kind == "user_id" else BUSINESS_FILE_LINES_MAX
    count = text.data.count(b"\n") + (not text.data.endswith(b"\n"))
    if count > lines_max:
        problem = error("AUD1021", source.span, file=content.file, count=count, lines_max=lines_max)
        return ListRead(text.encoding, None, 0, 0, (problem,))
    # A whole file of good user ids, as nearly all are, needs no line of its own looked at.
    words = read_lines(text.data) if source.id_kind == "user_id" else None
    if words is not None:
        return _user_ids_read(text.encoding, *words, source)
    column = column_of(text.data)
    codes, ids = read_ids(column, source.id_kind, region)
    problems = _line_problems(column, codes, source, region)
    if problems or ids is None:
        return ListRead(text.encoding, None, 0, 0, problems)
    if source.id_kind == "user_id":
        return _user_ids_read(text.encoding, ids.high, ids.low, source)
    repeated = _repeated_texts(ids.texts)
    notes = (*unallocated_numbers(column, source, region), *_repetition(repeated, source))
    return ListRead(text.encoding, ids, len(ids), len(repeated), notes)


def _read_several(content: Content, source: UploadSource, region: str) -> ListRead:
    """The lists of a glob, each under every rule of a list, as one."""
    reads = [read_list(part, replace(source, file=part.file), region) for part in content.parts]
    notes = tuple(note for read in reads for note in read.diagnostics if note.code != "AUD1020")
    encoding = ", ".join(dict.fromkeys(read.encoding for read in reads if read.encoding))
    found = [read.ids for read in reads if read.ids is not None]
    if len(found) < len(reads):
        return ListRead(encoding, None, 0, 0, notes)
    rows = sum(read.rows for read in reads)
    high, low = (np.concatenate([getattr(ids, word) for ids in found]) for word in ("high", "low"))
    texts = tuple(text for ids in found for text in ids.texts)
    if source.id_kind == "user_id":
        order = ascending_order(high, low)
        ids = Ids("user_id", *distinct(high[order], low[order]))
        repeated = rows - len(ids)
    else:
        ids, repeated = Ids(source.id_kind, high, low, texts), rows - len(set(texts))
    if repeated:
        notes += (warning("AUD1020", source.span, file=source.file, count=repeated, lines=()),)
    return ListRead(encoding, ids, rows, repeated, notes)


def unallocated_numbers(column: Column, source: UploadSource, region: str) -> tuple[Diagnostic, ...]:
    """AUD1080 where telephone numbers of the right length are none of the region's."""
    if source.id_kind != "phone":
        return ()
    lines = np.flatnonzero(judged(column, source.id_kind, region) == UNALLOCATED) + 1
    if not len(lines):
        return ()
    shown = line_list(lines.tolist())
    return (doubtful_numbers(source.file, region, len(lines), shown, source.span),)


def doubtful_numbers(file: str, region: str, count: int, lines: tuple[str, ...], span: Span | None) -> Diagnostic:
    """AUD1080: so many numbers, the first of them on these lines."""
    return warning(
        "AUD1080", span, file=file, column=None, id_kind="phone", region=region, count=count, lines=lines, rows=()
    )


def _user_ids_read(encoding: str, high: Words, low: Words, source: UploadSource) -> ListRead:
    rows = ascending_order(high, low)
    high, low = high[rows], low[rows]
    once = distinct(high, low)
    repeated = [] if len(once[0]) == len(high) else _repeated_rows(rows, high, low)
    notes = _repetition(repeated, source)
    return ListRead(encoding, Ids("user_id", *once), len(high), len(repeated), notes)


def _file_problems(content: Content, text: Text, source: UploadSource) -> tuple[Diagnostic, ...]:
    if not text.data:
        return () if source.allow_empty else (warning("AUD1005", source.span, file=content.file),)
    if source.id_kind in ("phone", "email") and len(text.data) > BUSINESS_FILE_BYTES_MAX:
        size, size_max = len(text.data), BUSINESS_FILE_BYTES_MAX
        return (error("AUD1022", source.span, file=content.file, bytes=size, bytes_max=size_max),)
    return bare_returns(text.data, content.file, source.span)


def bare_returns(data: bytes, file: str, span: Span | None) -> tuple[Diagnostic, ...]:
    """AUD1011 where a carriage return stands without a line feed: other programs see other lines."""
    if b"\r" not in data or data.count(b"\r") == data.count(b"\r\n"):
        return ()
    array = np.frombuffer(data, np.uint8)
    returns = np.flatnonzero(array == 13)
    bare = returns[np.append(array, 0)[returns + 1] != 10]
    lines = np.unique(np.searchsorted(np.flatnonzero(array == 10), bare) + 1)
    return (error("AUD1011", span, file=file, count=len(bare), lines=line_list(lines.tolist())),)


def _line_problems(
    column: Column, codes: NDArray[np.uint16], source: UploadSource, region: str
) -> tuple[Diagnostic, ...]:
    if is_header(column.line(0), bool(codes[0]), source.id_kind):
        codes[0] = HEADER
    lines = np.arange(1, len(column) + 1)
    return id_problems(codes, lines, source.file, None, source.id_kind, region, source.span)


def id_problems(
    codes: NDArray[np.uint16],
    lines: NDArray[np.int64],
    file: str,
    column: str | None,
    kind: IdKind,
    region: str,
    span: Span | None,
    shown_of: Callable[[NDArray[np.int64]], tuple[tuple[str, ...], tuple[str, ...]]] | None = None,
) -> tuple[Diagnostic, ...]:
    """One diagnostic for each code that occurs, with the first lines and the count of all.

    `shown_of`: from what stands in `lines` to the facts `lines` and `rows`, where those are no numbers of lines."""
    found = []
    for code in np.unique(codes[codes != 0]).tolist():
        bad = lines[codes == code]
        given = line_list(np.sort(bad)[:LINES_SHOWN_MAX].tolist())
        shown, rows = shown_of(bad) if shown_of else (given, ())
        name, count = _CODES[code], len(bad)
        found.append(
            error(
                name, span, file=file, column=column, id_kind=kind, region=region, count=count, lines=shown, rows=rows
            )
        )
    return tuple(found)


def is_header(line: bytes, bad: bool, kind: IdKind) -> bool:
    """A first line that names a column, as far as that can be known: a member id may be any text."""
    if len(line) > _HEADER_BYTES_MAX:
        return False
    words = line.decode("utf-8").replace(",", "\t").replace(";", "\t").split("\t")
    names = {word.strip(' "\u3000').casefold().translate(_NAME_NOISE) for word in words}
    if names & _HEADER_NAMES:
        return True
    letters = any(word and (word[0].isalpha() or word[0] == "_") for word in names)
    digits = sum(sign.isdecimal() for sign in line.decode("utf-8"))
    return bad and kind != "member_id" and letters and digits < 4 and b"@" not in line


_NAME_NOISE = str.maketrans("", "", " _-.")


def _repetition(repeated: list[int], source: UploadSource) -> tuple[Diagnostic, ...]:
    if not repeated:
        return ()
    return (warning("AUD1020", source.span, file=source.file, count=len(repeated), lines=line_list(repeated)),)


def _repeated_texts(texts: tuple[str, ...]) -> list[int]:
    """The lines (from 1, ascending) whose id stood on an earlier line."""
    if len(set(texts)) == len(texts):
        return []
    first = dict(zip(reversed(texts), range(len(texts), 0, -1), strict=True))
    return [line for line, text in enumerate(texts, 1) if first[text] != line]


def _repeated_rows(rows: NDArray[np.int64], high: Words, low: Words) -> list[int]:
    """The same for user ids in ascending order, `rows` the places that they stood at."""
    fresh = np.concatenate(([True], (high[1:] != high[:-1]) | (low[1:] != low[:-1])))
    first = np.minimum.reduceat(rows, np.flatnonzero(fresh))[np.cumsum(fresh) - 1]
    lines: list[int] = (np.sort(rows[rows != first]) + 1).tolist()
    return lines
