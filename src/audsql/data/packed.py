"""Packed files: one stream, unpacked whole or not at all, with every limit counted on the way.

Nothing is taken from a header on trust: sizes are counted as the bytes come out. Rules: specs/data.md,
files.compressed.
"""

from __future__ import annotations

import bz2
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from audsql.data.endings import kind_of
from audsql.diag import Diagnostic, error
from audsql.source import Span

__all__ = ["LINE_BYTES_MAX", "PACKED_RATIO_MAX", "ROWS_MAX", "UNPACKED_BYTES_MAX", "too_much", "unpack"]

UNPACKED_BYTES_MAX = 4_000_000_000
PACKED_RATIO_MAX = 200
ROWS_MAX = 500_000_000
LINE_BYTES_MAX = 1 << 20  # a longer line is a damaged file, or an attack
_RATIO_FROM_BYTES = 1 << 24  # a short text of equal lines packs better than any real one
_PIECE_BYTES = 1 << 20
_XZ_MEMORY_BYTES = 1 << 28
_ENCRYPTED, _STRONG = 0x1, 0x40
_END_BYTES = 22
_DESCRIPTOR_BYTES_MAX = 24
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")


class _Damaged(Exception):
    """The stream is cut off, fails its checksum or has something behind its end."""


class _Excess(Exception):
    """A limit on what comes out was passed."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.code)
        self.diagnostic = diagnostic


def unpack(data: bytes, packing: str, file: str, span: Span | None) -> tuple[bytes, str] | Diagnostic:
    """What a packed file holds, and the ending that its name has in a zip ('' for others).

    Codes: AUD1034 a line that is too long, AUD1057 damaged, AUD1058 too much comes out, AUD1059 a zip with
    other than one member, AUD1060 a member that is refused.
    """
    try:
        if packing == ".zip":
            return _from_zip(data, file, span)
        return _gathered(_streams(data, _DECOMPRESSORS[packing]), len(data), file, span), ""
    except _Excess as excess:
        return excess.diagnostic
    except (_Damaged, EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, ValueError):
        return error("AUD1057", span, file=file, packing=packing)


def too_much(file: str, span: Span | None) -> Diagnostic:
    """AUD1058: a file means more bytes or rows than it may."""
    bytes_max, ratio_max, rows_max = UNPACKED_BYTES_MAX, PACKED_RATIO_MAX, ROWS_MAX
    return error("AUD1058", span, file=file, bytes_max=bytes_max, ratio_max=ratio_max, rows_max=rows_max)


# --- gzip, bzip2, xz ------------------------------------------------------------------------------


class _Inflate:
    """One deflate stream with the interface of `bz2.BZ2Decompressor`; `bits` as zlib has them."""

    def __init__(self, bits: int) -> None:
        self._inner = zlib.decompressobj(bits)
        self._waiting = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._waiting + data, max_length)
        self._waiting = self._inner.unconsumed_tail
        return piece

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".gz": lambda: _Inflate(31),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES),
}


def _streams(data: bytes, open_one: Callable[[], Any]) -> Iterator[bytes]:
    """The text of all streams, one after the other, in pieces."""
    at = 0
    while at < len(data) or at == 0:
        one = open_one()
        while not one.eof:
            fed = b""
            if one.needs_input:
                fed = data[at : at + _PIECE_BYTES]
                at += len(fed)
                if not fed:
                    raise _Damaged
            piece = one.decompress(fed, _PIECE_BYTES)
            if piece:
                yield piece
        at -= len(one.unused_data)


def _gathered(pieces: Iterator[bytes], packed_bytes: int, file: str, span: Span | None) -> bytes:
    """All pieces, as long as they keep within the limits."""
    found, total, line = [], 0, 0
    lines = 1
    for piece in pieces:
        total += len(piece)
        if total > UNPACKED_BYTES_MAX or (total > _RATIO_FROM_BYTES and total > packed_bytes * PACKED_RATIO_MAX):
            raise _Excess(too_much(file, span))
        # A piece is no longer than a line may be: only its first line can be a long one.
        end = piece.find(b"\n")
        if line + (end if end >= 0 else len(piece)) > LINE_BYTES_MAX + 1:
            raise _Excess(error("AUD1034", span, file=file, bytes_max=LINE_BYTES_MAX, count=1, lines=(str(lines),)))
        lines += piece.count(b"\n")
        line = line + len(piece) if end < 0 else len(piece) - piece.rfind(b"\n") - 1
        found.append(piece)
    return b"".join(found)


# --- zip ------------------------------------------------------------------------------------------


def _from_zip(data: bytes, file: str, span: Span | None) -> tuple[bytes, str] | Diagnostic:
    counted = _members_counted(data)
    if counted != 1:
        return error("AUD1059", span, file=file, count=counted)
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members, directory = archive.infolist(), archive.start_dir
    if len(members) != 1:
        return error("AUD1059", span, file=file, count=len(members))
    member = members[0]
    ending, expected = kind_of(member.filename).ending, kind_of(file).ending
    if _is_refused(member) or (expected and ending != expected):
        return error("AUD1060", span, file=file)
    stream = _member(data[:directory], member)
    deflated = member.compress_type == zipfile.ZIP_DEFLATED
    pieces = _streams(stream, lambda: _Inflate(-15)) if deflated else _cut(stream)
    text = _gathered(pieces, len(data), file, span)
    if len(text) != member.file_size or zlib.crc32(text) != member.CRC:
        raise _Damaged
    return text, ending


def _members_counted(data: bytes) -> int:
    """How many members the end of the archive names, before any of them is looked at; it must end the file."""
    at = data.rfind(b"PK\x05\x06")
    if at < 0 or len(data) < at + _END_BYTES:
        raise _Damaged
    *_, count, _, _, comment_bytes = struct.unpack_from("<4s4H2IH", data, at)
    if at + _END_BYTES + comment_bytes != len(data):
        raise _Damaged
    return int(count)


def _is_refused(member: zipfile.ZipInfo) -> bool:
    """Not a plain file of this folder: led out or down, a link, a device, encrypted, packed in another way."""
    name, mode = member.orig_filename, member.external_attr >> 16
    odd_name = not name or name != member.filename or any(sign in name for sign in "/\\:\0") or name in (".", "..")
    odd_kind = bool(mode) and stat.S_IFMT(mode) not in (0, stat.S_IFREG)
    odd_method = member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    nested = bool(kind_of(name).packing)
    return odd_name or odd_kind or odd_method or nested or bool(member.flag_bits & (_ENCRYPTED | _STRONG))


def _member(data: bytes, member: zipfile.ZipInfo) -> bytes:
    """The packed bytes of the only member in what stands before the directory; both headers must agree, and
    nothing else may stand there: a program that reads from the front would see another file."""
    begin = member.header_offset
    head = data[begin : begin + _LOCAL_HEADER.size]
    if begin != 0 or len(head) != _LOCAL_HEADER.size:
        raise _Damaged
    signature, _, flags, method, *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(head)
    if signature != b"PK\x03\x04" or method != member.compress_type or flags & (_ENCRYPTED | _STRONG):
        raise _Damaged
    named = data[_LOCAL_HEADER.size : _LOCAL_HEADER.size + name_bytes]
    if named not in (member.orig_filename.encode("utf-8"), member.orig_filename.encode("cp437", "replace")):
        raise _Damaged
    start = begin + _LOCAL_HEADER.size + name_bytes + extra_bytes
    stream = data[start : start + member.compress_size]
    between = len(data) - start - member.compress_size
    if len(stream) != member.compress_size or not 0 <= between <= _DESCRIPTOR_BYTES_MAX:
        raise _Damaged
    return stream


def _cut(data: bytes) -> Iterator[bytes]:
    for begin in range(0, len(data), _PIECE_BYTES):
        yield data[begin : begin + _PIECE_BYTES]
