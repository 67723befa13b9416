"""List files in the Business Manager form: no header, one id a line.

Every rule has its own diagnostic with the physical line numbers, never the content of a line. A bad
line is an error; nothing is dropped. Rules: specs/data.md, lists.*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audsql.data.content import LINES_SHOWN_MAX, Content, Text, decode, line_list
from audsql.data.ids import Column, Ids, column_of, normalise, read_ids
from audsql.diag import Diagnostic, error, has_errors, warning
from audsql.line.limits import BUSINESS_FILE_BYTES_MAX, BUSINESS_FILE_LINES_MAX
from audsql.meaning.ir import IdKind, UploadSource
from audsql.source import Span

__all__ = ["ListRead", "bare_returns", "id_problems", "read_list"]

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


@dataclass(frozen=True, slots=True)
class ListRead:
    """What a list held. `ids` is None where there is an error; `duplicates` counts repeated lines."""

    encoding: str
    ids: Ids | None
    duplicates: int
    diagnostics: tuple[Diagnostic, ...]


def read_list(content: Content, source: UploadSource, region: str = "jp") -> ListRead:
    """Check a list file line by line and take its ids.

    `region` (jp, th, tw) decides what a telephone number looks like. Codes: AUD1005 to AUD1029.
    """
    text = decode(content, source.span)
    if isinstance(text, Diagnostic):
        return ListRead("", None, 0, (text,))
    problems = _file_problems(content, text, source)
    if has_errors(problems) or not text.data:
        ids = None if has_errors(problems) else normalise(column_of(b""), source.id_kind)
        return ListRead(text.encoding, ids, 0, problems)
    column = column_of(text.data)
    if len(column) > BUSINESS_FILE_LINES_MAX:
        lines_max = BUSINESS_FILE_LINES_MAX
        problem = error("AUD1021", source.span, file=content.file, count=len(column), lines_max=lines_max)
        return ListRead(text.encoding, None, 0, (problem,))
    codes, ids = read_ids(column, source.id_kind, region)
    problems = _line_problems(column, codes, source, region)
    if problems or ids is None:
        return ListRead(text.encoding, None, 0, problems)
    repeated = _repeated_lines(ids)
    return ListRead(text.encoding, ids, len(repeated), _repetition(repeated, source))


def _file_problems(content: Content, text: Text, source: UploadSource) -> tuple[Diagnostic, ...]:
    if not text.data:
        return () if source.allow_empty else (warning("AUD1005", source.span, file=content.file),)
    if source.id_kind in ("phone", "email") and len(content.data) > BUSINESS_FILE_BYTES_MAX:
        size, size_max = len(content.data), BUSINESS_FILE_BYTES_MAX
        return (error("AUD1022", source.span, file=content.file, bytes=size, bytes_max=size_max),)
    return bare_returns(text.data, content.file, source.span)


def bare_returns(data: bytes, file: str, span: Span | None) -> tuple[Diagnostic, ...]:
    """AUD1011 where a carriage return stands without a line feed: other programs see other lines."""
    if data.count(b"\r") == data.count(b"\r\n"):
        return ()
    array = np.frombuffer(data, np.uint8)
    returns = np.flatnonzero(array == 13)
    bare = returns[np.append(array, 0)[returns + 1] != 10]
    lines = np.unique(np.searchsorted(np.flatnonzero(array == 10), bare) + 1)
    return (error("AUD1011", span, file=file, count=len(bare), lines=line_list(lines.tolist())),)


def _line_problems(
    column: Column, codes: NDArray[np.uint16], source: UploadSource, region: str
) -> tuple[Diagnostic, ...]:
    if _is_header(column.line(0), bool(codes[0]), source.id_kind):
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
) -> tuple[Diagnostic, ...]:
    """One diagnostic for each code that occurs, with the first lines and the count of all."""
    found = []
    for code in np.unique(codes[codes != 0]).tolist():
        bad = lines[codes == code]
        shown = line_list(np.sort(bad)[:LINES_SHOWN_MAX].tolist())
        name, count = _CODES[code], len(bad)
        found.append(error(name, span, file=file, column=column, id_kind=kind, region=region, count=count, lines=shown))
    return tuple(found)


def _is_header(line: bytes, bad: bool, kind: IdKind) -> bool:
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


def _repeated_lines(ids: Ids) -> list[int]:
    """The lines (from 1, ascending) whose id stood on an earlier line."""
    if ids.kind != "user_id":
        if len(set(ids.texts)) == len(ids.texts):
            return []
        first = dict(zip(reversed(ids.texts), range(len(ids), 0, -1), strict=True))
        return [line for line, text in enumerate(ids.texts, 1) if first[text] != line]
    ordered = np.sort(ids.high)
    if not (ordered[1:] == ordered[:-1]).any():
        return []
    order = np.lexsort((ids.low, ids.high))
    high, low = ids.high[order], ids.low[order]
    same = np.flatnonzero((high[1:] == high[:-1]) & (low[1:] == low[:-1])) + 1
    # lexsort is stable, so the first of equal ids is the first line.
    return sorted((order[same] + 1).tolist())
