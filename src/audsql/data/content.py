"""A file of the project, read once: where it may lie, its bytes, its digest, its encoding.

What is evaluated is the copy in memory that was hashed, so that a file that is replaced in between
cannot show two faces. Rules: specs/data.md, files.*.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

from audsql.data.endings import PACKINGS, PARQUET, is_glob, kind_of, unread_ending
from audsql.data.globs import GLOB_FILES_MAX, matches
from audsql.data.packed import unpack
from audsql.diag import Diagnostic, error
from audsql.records import dataclass
from audsql.source import Span

__all__ = [
    "LINES_SHOWN_MAX", "Content", "Text", "decode", "escapes", "inside", "line_list", "line_of", "open_file",
    "unpacked",
]  # fmt: skip

FILE_BYTES_MAX = 4_000_000_000  # what is read into memory at most
LINES_SHOWN_MAX = 5
_LIST_ENDINGS = (".csv", ".txt")
_PIECE_BYTES = 1 << 22
_SIGNATURES = (
    (b"PK\x03\x04", "XLSX/ZIP"),
    (b"\x1f\x8b", "GZIP"),
    (b"\xd0\xcf\x11\xe0", "XLS"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"PAR1", "Parquet"),
    (b"BZh", "BZIP2"),
    (b"7z\xbc\xaf", "7-Zip"),
    (b"SQLite format 3\0", "SQLite"),
)
# What CP932 leaves undefined is decoded to these.
_UNDEFINED_CP932 = "\x80\uf8f0\uf8f1\uf8f2\uf8f3"
_CONTROL_BYTES = bytes(value for value in range(32) if value not in b"\0\t\n\x0b\x0c\r")


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes as they are stored. `digest`: SHA-256 of them in hexadecimal; `modified`: in UTC.

    `packing`: how they are packed (`.gz`, ...), '' where they are not: `decode` and `unpacked` undo it. `parts`:
    the files of a glob in their order; `data` is empty then, and `digest` is over their paths and digests.
    """

    file: str
    data: bytes
    digest: str
    modified: datetime
    packing: str = ""
    ending: str = ""
    parts: tuple[Content, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text as UTF-8 bytes without byte order mark. `encoding`: utf-8, utf-8-sig or cp932."""

    data: bytes
    encoding: str


def line_list(lines: Sequence[int]) -> tuple[str, ...]:
    """The first few line numbers as facts of a diagnostic."""
    return tuple(str(int(line)) for line in lines[:LINES_SHOWN_MAX])


def line_of(data: bytes, offset: int) -> int:
    """The physical line (from 1) that holds the byte at `offset`."""
    return data.count(b"\n", 0, offset) + 1


# --- where a file may lie -------------------------------------------------------------------------


def open_file(root: Path, file: str, formats: Sequence[str], span: Span | None) -> Content | Diagnostic:
    """Read `file`, a path or a glob relative to `root`, or say why it cannot be read.

    `formats`: the endings that the caller reads, with their dot; text formats may be packed. Codes: AUD1001
    no such file, AUD1002 unreadable, AUD1003 outside the folder, AUD1004 format not supported, AUD1007 no
    file, AUD1022 too large, AUD1031 changed while it was read, AUD1061 a glob with no match or too many.
    """
    kind = "URL" if "://" in file else "**" if "**" in file else unread_ending(file, formats)
    if kind:
        return error("AUD1004", span, file=file, format=kind, supported=tuple(formats), packings=PACKINGS)
    if is_glob(file):
        return _open_files(root, file, formats, span)
    return _open_one(root, file, FILE_BYTES_MAX, span)


def _open_one(root: Path, file: str, bytes_max: int, span: Span | None) -> Content | Diagnostic:
    path = inside(root, file)
    if path is None:
        return error("AUD1003", span, file=file)
    try:
        return _read(path, file, bytes_max, span)
    except FileNotFoundError:
        return error("AUD1001", span, file=file)
    except OSError as failure:
        return error("AUD1002", span, file=file, reason=os.strerror(failure.errno or 0))


def _open_files(root: Path, pattern: str, formats: Sequence[str], span: Span | None) -> Content | Diagnostic:
    """All files that match, as one content."""
    if escapes(pattern):
        return error("AUD1003", span, file=pattern)
    try:
        files = matches(root, pattern)
        if not 0 < len(files) <= GLOB_FILES_MAX:
            return error("AUD1061", span, file=pattern, count=len(files), files_max=GLOB_FILES_MAX)
        parts: list[Content] = []
        left = FILE_BYTES_MAX
        for file in files:
            part = _open_one(root, file, left, span)
            if isinstance(part, Diagnostic):
                # It was there a moment ago.
                return error("AUD1031", span, file=file) if part.code == "AUD1001" else part
            # A name that is no text can be read, but not shown.
            parts.append(replace(part, file=file.encode("utf-8", "replace").decode()))
            left -= len(part.data)
        changed = matches(root, pattern) != files
    except OSError as failure:
        return error("AUD1002", span, file=pattern, reason=os.strerror(failure.errno or 0))
    if changed:
        return error("AUD1031", span, file=pattern)
    lines = (f"{unicodedata.normalize('NFC', file)}\0{part.digest}\n" for file, part in zip(files, parts, strict=True))
    digest = hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    kind = kind_of(pattern)
    modified = max(part.modified for part in parts)
    return Content(pattern, b"", digest, modified, kind.packing, kind.ending, tuple(parts))


def escapes(file: str) -> bool:
    """Whether a path is not one below a folder, whatever lies there."""
    pure = PurePosixPath(file)
    outside = pure.is_absolute() or ".." in pure.parts or bool(PureWindowsPath(file).drive)
    return outside or "\0" in file or "\\" in file


def inside(root: Path, file: str) -> Path | None:
    """The real path of `file`, or None where it is not strictly below the folder."""
    if escapes(file):
        return None
    try:
        real, base = (root / PurePosixPath(file)).resolve(), root.resolve()
    except (OSError, RuntimeError):
        return None
    return real if base in real.parents else None


def _read(path: Path, file: str, bytes_max: int, span: Span | None) -> Content | Diagnostic:
    # The path is already real: a link put there since is refused. A pipe must not make us wait.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as stream:
        before = os.fstat(stream.fileno())
        if not stat.S_ISREG(before.st_mode):
            return error("AUD1007", span, file=file, format="FIFO/device")
        if before.st_size > bytes_max:
            return error("AUD1022", span, file=file, bytes=before.st_size, bytes_max=FILE_BYTES_MAX)
        data = stream.read(before.st_size + 1)
        after = os.fstat(stream.fileno())
    if len(data) != after.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return error("AUD1031", span, file=file)
    modified = datetime.fromtimestamp(after.st_mtime, UTC)
    kind = kind_of(file)
    return Content(file, data, hashlib.sha256(data).hexdigest(), modified, kind.packing, kind.ending)


def unpacked(content: Content, formats: Sequence[str], span: Span | None) -> Content | Diagnostic:
    """One file with the bytes that it holds once unpacked, and their ending; itself where it is not packed.

    `formats`: the endings that are read of a member whose archive does not say. Codes: AUD1004, AUD1034,
    AUD1057 to AUD1060.
    """
    if not content.packing:
        return content
    found = unpack(content.data, content.packing, content.file, span)
    if isinstance(found, Diagnostic):
        return found
    data, ending = found
    ending = ending or content.ending
    if ending not in formats or ending == PARQUET:
        return error("AUD1060", span, file=content.file)
    return replace(content, data=data, packing="", ending=ending)


# --- encodings ------------------------------------------------------------------------------------


def decode(content: Content, span: Span | None) -> Text | Diagnostic:
    """The whole file decoded strictly: UTF-8, with or without byte order mark, then CP932.

    Codes: AUD1006 UTF-16 or UTF-32, AUD1007 binary, AUD1008 neither encoding, AUD1009 ends within a
    character, AUD1010 NUL characters; those of `unpacked`, for a list that is packed.
    """
    if content.packing:
        bare = unpacked(content, _LIST_ENDINGS, span)
        return bare if isinstance(bare, Diagnostic) else decode(bare, span)
    problem = _not_text(content, span)
    if problem is not None:
        return problem
    data = content.data
    encoding = "utf-8"
    if data.startswith(b"\xef\xbb\xbf"):
        data, encoding = data[3:], "utf-8-sig"
    if data.isascii():
        return Text(data, encoding)
    fault = _utf8_fault(data)
    if fault is None:
        return Text(data, encoding)
    if encoding == "utf-8-sig" or (fault.cut_off and not data[: fault.offset].isascii()):
        return _undecodable(content, span, data, fault)
    converted = _from_cp932(data)
    return Text(converted, "cp932") if isinstance(converted, bytes) else _undecodable(content, span, data, converted)


def _not_text(content: Content, span: Span | None) -> Diagnostic | None:
    data = content.data
    kind = next((name for signature, name in _SIGNATURES if data.startswith(signature)), "")
    if kind:
        return error("AUD1007", span, file=content.file, format=kind)
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) or _looks_utf16(data):
        return error("AUD1006", span, file=content.file)
    if b"\0" not in data:
        return None
    if any(value in data for value in _CONTROL_BYTES):
        return error("AUD1007", span, file=content.file, format=None)
    lines: list[int] = []
    at = data.find(b"\0")
    while at >= 0 and len(lines) < LINES_SHOWN_MAX:
        lines.append(line_of(data, at))
        line_end = data.find(b"\n", at)
        at = data.find(b"\0", line_end) if line_end >= 0 else -1
    return error("AUD1010", span, file=content.file, count=data.count(b"\0"), lines=line_list(lines), rows=())


def _looks_utf16(data: bytes) -> bool:
    """Latin text in UTF-16 has a NUL in every other byte, and nowhere else."""
    head = data[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    return len(head) >= 4 and max(even, odd) * 3 > len(head) and min(even, odd) == 0


@dataclass(frozen=True, slots=True)
class _Fault:
    """Where decoding fails; `cut_off`: at the very end, within a character."""

    offset: int
    cut_off: bool


def _pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) in whole lines: no character of either encoding holds a line feed. Decoding all at
    once would take several times the file's size in memory."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _PIECE_BYTES) + 1 or len(data)
        yield start, data[start:end]
        start = end


def _utf8_fault(data: bytes) -> _Fault | None:
    for start, piece in _pieces(data):
        try:
            piece.decode("utf-8")
        except UnicodeDecodeError as failure:
            return _fault(data, start, failure)
    return None


def _from_cp932(data: bytes) -> bytes | _Fault:
    converted = []
    for start, piece in _pieces(data):
        try:
            text = piece.decode("cp932")
        except UnicodeDecodeError as failure:
            return _fault(data, start, failure)
        stray = [at for at in map(text.find, _UNDEFINED_CP932) if at >= 0]
        if stray:
            return _Fault(start + len(text[: min(stray)].encode("cp932")), False)
        converted.append(text.encode("utf-8"))
    return b"".join(converted)


def _fault(data: bytes, start: int, failure: UnicodeDecodeError) -> _Fault:
    at_end = start + failure.end >= len(data)
    cut_off = at_end and failure.reason in ("unexpected end of data", "incomplete multibyte sequence")
    return _Fault(start + failure.start, cut_off)


def _undecodable(content: Content, span: Span | None, data: bytes, fault: _Fault) -> Diagnostic:
    line = line_of(data, fault.offset)
    if fault.cut_off:
        return error("AUD1009", span, file=content.file, line=line)
    return error("AUD1008", span, file=content.file, line=line)
