"""Files that break readers, each with what it must give: rows and people, or one error with its lines.

Every file is small and made here; those that unpack into very much are made packed, and never unpacked whole.
`rows` counts data rows, those without an id included. Where an error has no lines, `lines` is None.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from audsql.meaning.ir import IdKind

__all__ = ["A", "B", "C", "CASES", "SECRET", "Case"]

A, B, C = (f"U{number:032x}" for number in (10, 11, 12))
SECRET = "ひみつのなまえ"
Bytes = bytes | Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """`file`: the path or glob that is declared. `kind` with `listed`: an upload without `column:`; without it, a
    table whose id column is `uid`. `number`: a condition compares `amount` with a number."""

    name: str
    files: Mapping[str, Bytes]
    file: str
    kind: IdKind = "user_id"
    listed: bool = False
    number: bool = False
    people: tuple[str, ...] = ()
    rows: int = 0
    code: str = ""
    lines: tuple[str, ...] | None = None


_FOUND: list[Case] = []


def _list(name: str, data: Bytes, file: str = "list.txt", kind: IdKind = "user_id", **expected: object) -> None:
    _FOUND.append(Case(f"list: {name}", {file: data}, file, kind, listed=True, **expected))  # type: ignore[arg-type]


def _table(name: str, data: Bytes, file: str = "t.csv", kind: IdKind = "user_id", **expected: object) -> None:
    _FOUND.append(Case(f"{file}: {name}", {file: data}, file, kind, **expected))  # type: ignore[arg-type]


def _several(name: str, files: Mapping[str, Bytes], file: str, **expected: object) -> None:
    _FOUND.append(Case(f"glob: {name}", files, file, **expected))  # type: ignore[arg-type]


def _joined(*lines: str, end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


def _good(rows: int, *people: str) -> dict[str, object]:
    return {"rows": rows, "people": people}


def _bad(code: str, *lines: int | str) -> dict[str, object]:
    return {"code": code, "lines": tuple(map(str, lines)) or None}


# --- lists ----------------------------------------------------------------------------------------


def _lists() -> None:
    two = _joined(A, B)
    wide = "Ｕ" + A[1:]
    _list("plain", two, **_good(2, A, B))
    _list("CRLF", _joined(A, B, end="\r\n"), **_good(2, A, B))
    _list("mixed line ends", f"{A}\r\n{B}\n".encode(), **_good(2, A, B))
    _list("no last line end", two[:-1], **_good(2, A, B))
    _list("byte order mark", b"\xef\xbb\xbf" + two, **_good(2, A, B))
    _list("byte order mark twice", b"\xef\xbb\xbf" * 2 + two, **_bad("AUD1017", 1))
    _list("byte order mark in the middle", _joined(A, "\ufeff" + B), **_bad("AUD1017", 2))
    _list("empty", b"", **_good(0))
    _list("only a byte order mark", b"\xef\xbb\xbf", **_good(0))
    _list("only a line end", b"\n", **_bad("AUD1013", 1))
    _list("repeated", _joined(A, B, A, A), **_good(4, A, B))
    _list("header", _joined("user_id", A), **_bad("AUD1012", 1))
    _list("header in the middle", _joined(A, "user_id", B), **_bad("AUD1019", 2))
    _list("header at the end", _joined(A, B, "uid"), **_bad("AUD1019", 3))
    _list("empty lines", _joined(A, "", B, "", ""), **_bad("AUD1013", 2, 4, 5))
    _list("blanks around", _joined(" " + A, B + " "), **_bad("AUD1017", 1, 2))
    _list("ideographic blank", _joined(A, B + "\u3000"), **_bad("AUD1017", 2))
    _list("zero-width blank", _joined(A, B[:9] + "\u200b" + B[9:]), **_bad("AUD1017", 2))
    _list("direction mark", _joined(A, "\u202e" + B), **_bad("AUD1017", 2))
    _list("full-width letters", _joined(A, wide), **_bad("AUD1016", 2))
    _list("full-width digits", _joined(A, "U" + "０" * 32), **_bad("AUD1016", 2))
    _list("Arabic digits", _joined(A, "U" + "٣" * 32), **_bad("AUD1019", 2))
    _list("Cyrillic letter", _joined(A, B[:-1] + "а"), **_bad("AUD1019", 2))
    _list("capitals", _joined(A, "U" + "AB" * 16), **_bad("AUD1018", 2))
    _list("comma at the end", _joined(A + ",", B), **_bad("AUD1014", 1))
    _list("quotes", _joined(f'"{A}"', B), **_bad("AUD1015", 1))
    _list("unterminated quote", _joined(A, f'"{B}', C), **_bad("AUD1015", 2))
    _list("NUL", _joined(A, B + "\0", C), **_bad("AUD1010", 2))
    _list("NUL instead of a line end", f"{A}\0{B}\n".encode(), **_bad("AUD1010", 1))
    _list("bare CR", f"{A}\r{B}\n".encode(), **_bad("AUD1011", 1))
    _list("CR CR LF", f"{A}\r\r\n{B}\n".encode(), **_bad("AUD1011", 1))
    _list("form feed", _joined(A, B + "\f"), **_bad("AUD1017", 2))
    _list("line separator", f"{A}\u2028{B}\n".encode(), **_bad("AUD1017", 1))
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        _list(encoding, two.decode().encode(encoding), **_bad("AUD1006"))
    _list("neither encoding", _joined(A) + b"\xff\xfe\xfd\n" + _joined(B), **_bad("AUD1008"))
    _list("cut off within a character", (_joined(A) + "購入".encode())[:-1], **_bad("AUD1009"))
    _list("very long line", _joined(A, "U" + "0" * 2_000_000), **_bad("AUD1019", 2))
    _list("workbook", b"PK\x03\x04" + bytes(64), **_bad("AUD1007"))
    _list("gzip under another name", gzip.compress(two), **_bad("AUD1007"))
    _list("members in CP932", "会員①\n会員ー\n".encode("cp932"), kind="member_id", **_good(2, "会員①", "会員ー"))
    mixed = "会員あ\n".encode() + "会員い\n".encode("cp932")
    _list("mixed encodings", mixed, kind="member_id", **_bad("AUD1008"))
    _list("phones", _joined("090-1234-5678", "09012345678"), kind="phone", **_good(2, "09012345678"))
    _list("phone without its zero", _joined("09012345678", "9012345678"), kind="phone", **_bad("AUD1081", 2))
    for name, sign in (("long vowel", "ー"), ("hyphen", "\u2010"), ("minus", "\u2212")):
        _list(f"phone with a {name} mark", _joined(f"090{sign}1234{sign}5678"), kind="phone", **_bad("AUD1082", 1))
    _list("phone in scientific notation", _joined("9.01235E+09"), kind="phone", **_bad("AUD1083", 1))
    _list("full-width phone", _joined("０９０１２３４５６７８"), kind="phone", **_bad("AUD1016", 1))
    _list("mail with two signs", _joined("a@@example.com"), kind="email", **_bad("AUD1025", 1))
    _list("mail in capitals", _joined("A@example.com", "a@EXAMPLE.com"), kind="email", **_good(2, "a@example.com"))
    _list("forged keys", _forged, **_good(len(_FORGED), *_FORGED))


# Ids that agree in their first, or their last, 64 bits: whoever keys people by half an id joins them.
_FORGED = tuple(sorted([f"U{7:016x}{low:016x}" for low in range(40)] + [f"U{high:016x}{7:016x}" for high in range(40)
                       if high != 7]))  # fmt: skip


def _forged() -> bytes:
    return _joined(*_FORGED)


# --- delimited tables -----------------------------------------------------------------------------

_HEAD = "uid,amount,note\n"


def _tables() -> None:
    rows = f'{_HEAD}{A},1,"a, ""b""\nc"\n"{B}",2,\n,3,お客様\n'
    for encoding in ("utf-8", "utf-8-sig", "cp932"):
        for name, end in (("LF", "\n"), ("CRLF", "\r\n")):
            _table(f"{encoding} {name}", rows.replace("\n", end).encode(encoding), **_good(3, A, B))
    _table("tabs", f'uid\tnote\n{A}\t"x\ty"\n'.encode(), file="t.tsv", **_good(1, A))
    _table("empty", b"", **_bad("AUD1030"))
    _table("header only", _HEAD.encode(), **_good(0))
    _table("no header", f"{A},1,x\n{B},2,y\n".encode(), **_bad("AUD1030"))
    _table("header in the middle", f"{_HEAD}{A},1,x\n{_HEAD}{B},2,y\n".encode(), **_bad("AUD1019", 3))
    _table("name twice", f"uid,uid,note\n{A},1,x\n".encode(), **_bad("AUD1033"))
    _table("name with a blank", f"uid ,amount\n{A},1\n".encode(), **_bad("AUD1039"))
    _table("name in another form", f"uid,か\u3099\n{A},1\n".encode(), **_good(1, A))
    _table("unterminated quote", f'{_HEAD}{A},1,x\n{B},2,"{SECRET}\n{C},3,y\n'.encode(), **_bad("AUD1035", 3))
    _table("unterminated quote in the header", f'uid,"note\n{A},x\n'.encode(), **_bad("AUD1036", 1))
    _table("quote in a cell", f'{_HEAD}{A},1,{SECRET}"x\n{B},2,"y\n'.encode(), **_bad("AUD1036", 2))
    _table("text after a quote", f'{_HEAD}{A},1,x\n{B},2,"{SECRET}" y\n'.encode(), **_bad("AUD1036", 3))
    _table("escaped by a backslash", f'{_HEAD}{A},1,"x\\"y"\n'.encode(), **_bad("AUD1036", 2))
    _table("quoted line break before a bad line", f'{_HEAD}{A},1,"x\n\ny"\n{B},2\n'.encode(), **_bad("AUD1037", 5))
    _table("extra cell", f"{_HEAD}{A},1,x\n{B},2,{SECRET},z\n".encode(), **_bad("AUD1037", 3))
    _table("missing cell", f"{_HEAD}{A},1,x\n{B},2\n".encode(), **_bad("AUD1037", 3))
    _table("decimal comma", f"{_HEAD}{A},1,5,x\n".encode(), **_bad("AUD1037", 2))
    _table("semicolons", f"uid;amount;note\n{A};1;x\n".encode(), **_bad("AUD1039"))
    _table("empty line", f"{_HEAD}{A},1,x\n\n{B},2,y\n".encode(), **_bad("AUD1032", 3))
    _table("empty line at the end", f"{_HEAD}{A},1,x\n\n".encode(), **_bad("AUD1032", 3))
    _table("NUL in a cell", f"{_HEAD}{A},1,x\0{SECRET}\n".encode(), **_bad("AUD1010", 2))
    _table("bare CR in quotes", f'{_HEAD}{A},1,"x\ry"\n'.encode(), **_bad("AUD1011", 2))
    _table("bare CR at a line end", f"{_HEAD}{A},1,x\r{B},2,y\n".encode(), **_bad("AUD1011", 2))
    _table("line break in an id", f'{_HEAD}"{A}\n",1,x\n'.encode(), **_bad("AUD1017", 2))
    _table("blank in an id", f"{_HEAD}{A},1,x\n {B},2,y\n".encode(), **_bad("AUD1017", 3))
    _table("full-width number", f"{_HEAD}{A},１,x\n".encode(), number=True, **_bad("AUD1040", 2))
    _table("scientific notation", f"{_HEAD}{A},1,x\n{B},1E+05,y\n".encode(), number=True, **_bad("AUD1040", 3))
    _table("thousands", f'{_HEAD}{A},"1,200",x\n'.encode(), number=True, **_bad("AUD1040", 2))
    _table("odd minus", f"{_HEAD}{A},\u22121,x\n".encode(), number=True, **_bad("AUD1040", 2))
    _table("huge number", f"{_HEAD}{A},{'9' * 19},x\n".encode(), number=True, **_bad("AUD1040", 2))
    _table("blank as a number", f"{_HEAD}{A}, ,x\n".encode(), number=True, **_bad("AUD1040", 2))
    _table("formula", f'{_HEAD}{A},"=1+1",x\n'.encode(), number=True, **_bad("AUD1040", 2))
    _table("very long record", f"{_HEAD}{A},1,{'x' * (1 << 20)}\n".encode(), **_bad("AUD1034", 2))
    _table("long cell", f"{_HEAD}{A},1,{'x' * 900_000}\n".encode(), **_good(1, A))
    _table("UTF-16", f"{_HEAD}{A},1,x\n".encode("utf-16"), **_bad("AUD1006"))
    mixed = f"{_HEAD}{A},1,あ\n".encode() + f"{B},2,い\n".encode("cp932")
    _table("mixed encodings", mixed, **_bad("AUD1008"))
    _table("SQL in a cell", f"{_HEAD}{A},1,'; DROP TABLE raw; --\n".encode(), **_good(1, A))
    _table("repeated ids", f"{_HEAD}{A},1,x\n{A},2,y\n{B},3,z\n".encode(), **_good(3, A, B))


# --- JSON Lines -----------------------------------------------------------------------------------


def _json(*rows: Mapping[str, object]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _json_lines() -> None:
    def one(name: str, data: Bytes, **expected: object) -> None:
        _table(name, data, file="t.jsonl", **expected)

    first = _json({"uid": A, "amount": 1})
    line = f'{{"uid":"{B}","amount":%s}}\n'

    one("plain", _json({"uid": A, "amount": 1, "note": 'あ\n"\\'}, {"uid": B, "amount": None}), **_good(2, A, B))
    one("CRLF and byte order mark", b"\xef\xbb\xbf" + first.replace(b"\n", b"\r\n"), **_good(1, A))
    one("CP932", f'{{"uid":"{A}","note":"ソ表"}}\n'.encode("cp932"), **_good(1, A))
    one("no last line end", first[:-1], **_good(1, A))
    one("other order of keys", _json({"uid": A, "amount": 1}, {"amount": 2, "uid": B}), **_good(2, A, B))
    one("missing key", _json({"uid": A, "amount": 1}, {"uid": B}), number=True, **_good(2, A))
    one("blanks between signs", f' {{ "uid" :\t"{A}" , "amount" : 1 }} \n'.encode(), **_good(1, A))
    one("escaped key", f'{{"u\\u0069d":"{A}"}}\n'.encode(), **_good(1, A))
    one("escaped id", f'{{"uid":"\\u0055{A[1:]}"}}\n'.encode(), **_good(1, A))
    one("null id", _json({"uid": None}, {"uid": A}), **_good(2, A))
    one("empty", b"", **_good(0))
    one("exact number", first + (line % "99999999999999999.999999999").encode(), number=True, **_good(2, A, B))
    one("empty line", first + b"\n" + first, **_bad("AUD1032", 2))
    one("line of blanks", first + b"  \n" + first, **_bad("AUD1032", 2))
    one("no id key", first + _json({"amount": 2}), **_bad("AUD1067", 2))
    one("empty object", first + b"{}\n", **_bad("AUD1067", 2))
    one("id with a fraction", first + b'{"uid":1.5}\n', **_bad("AUD1067", 2))
    one("truth value as id", first + b'{"uid":true}\n', **_bad("AUD1067", 2))
    one("number as id", first + b'{"uid":15}\n', **_bad("AUD1019", 2))
    one("key twice", first + f'{{"uid":"{A}","uid":"{B}"}}\n'.encode(), **_bad("AUD1066", 2))
    one("key twice in another spelling", f'{{"uid":"{A}","\\u0075id":"{B}"}}\n'.encode(), **_bad("AUD1066", 1))
    one("key twice in another form", f'{{"uid":"{A}","が":1,"か\u3099":2}}\n'.encode(), **_bad("AUD1066", 1))
    one("id as a key", f'{{"{A}":1}}\n'.encode(), **_bad("AUD1030"))
    one("nested object", first + (line % '{"a":1}').encode(), **_bad("AUD1065", 2))
    one("nested list", first + (line % "[1]").encode(), **_bad("AUD1065", 2))
    one("deep", first + (line % ("[" * 100_000 + "]" * 100_000)).encode(), **_bad("AUD1065", 2))
    for literal in ("NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x10", "1e", "True", "nul", "1_0", "--1"):
        one(literal, first + (line % literal).encode(), **_bad("AUD1064", 2))
    one("number beyond exactness", first + (line % ("9" * 400)).encode(), number=True, **_bad("AUD1040", 2))
    one("endless number", first + (line % ("9" * 2_000)).encode(), **_bad("AUD1064", 2))
    one("exponent", first + (line % "1e5").encode(), number=True, **_bad("AUD1040", 2))
    one("text as a number", first + (line % '"１"').encode(), number=True, **_bad("AUD1040", 2))
    one("lone surrogate", first + (line % '"\\ud800"').encode(), **_bad("AUD1064", 2))
    one("reversed surrogates", first + (line % '"\\udc00\\ud800"').encode(), **_bad("AUD1064", 2))
    one("pair of surrogates", first + (line % '"\\ud83d\\ude00"').encode(), **_good(2, A, B))
    one("raw surrogate", first + (line % '"?"').encode().replace(b"?", b"\xed\xa0\x80"), **_bad("AUD1008"))
    one("escaped NUL", first + (line % '"\\u0000"').encode(), **_bad("AUD1010", 2))
    one("raw NUL", first + (line % '"\0"').encode(), **_bad("AUD1010", 2))
    one("unknown escape", first + (line % '"\\x41"').encode(), **_bad("AUD1064", 2))
    one("short escape", first + (line % '"\\u12"').encode(), **_bad("AUD1064", 2))
    one("escaped quote at the end", first + (line % '"\\"').encode(), **_bad("AUD1064", 2))
    one("tab in a text", first + (line % '"a\tb"').encode(), **_bad("AUD1064", 2))
    one("single quotes", first + f"{{'uid':'{B}'}}\n".encode(), **_bad("AUD1064", 2))
    one("comma at the end", first + f'{{"uid":"{B}",}}\n'.encode(), **_bad("AUD1064", 2))
    one("comment", first + b"// nobody\n", **_bad("AUD1064", 2))
    one("two objects on a line", first[:-1] + first, **_bad("AUD1064", 1))
    one("text behind", first[:-1] + b" x\n", **_bad("AUD1064", 1))
    one("cut off", first + first[:-5], **_bad("AUD1064", 2))
    one("one large list", b"[" + first[:-1] + b"]\n", **_bad("AUD1064", 1))
    one("spread over lines", json.dumps({"uid": A, "n": 1}, indent=1).encode(), **_bad("AUD1064", 1, 2, 3, 4))
    one("unpaired quote", first + f'{{"uid":"{B}}}\n'.encode() + first, **_bad("AUD1064", 2))
    one("very long line", first + (line % f'"{"x" * (1 << 20)}"').encode(), **_bad("AUD1034", 2))
    one("bare CR", first[:-1] + b"\r" + first, **_bad("AUD1011", 1))
    one("UTF-16", first.decode().encode("utf-16"), **_bad("AUD1006"))
    _table("several columns, none named", first, file="t.ndjson", listed=True, **_bad("AUD1062"))
    _table("one column, not named", _json({"who": A}), file="t.ndjson", listed=True, **_good(1, A))


# --- packed ---------------------------------------------------------------------------------------


def _zip(*members: tuple[str, bytes], **made: object) -> bytes:
    """An archive of these members; `mode` as of a Unix file, `flags` set afterwards in both headers."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = int(str(made.get("method", zipfile.ZIP_DEFLATED)))
            info.external_attr = int(str(made.get("mode", 0o100644))) << 16
            archive.writestr(info, data)
    data = bytearray(target.getvalue())
    if "flags" in made:
        data[6] |= int(str(made["flags"]))
        data[data.find(b"PK\x01\x02") + 8] |= int(str(made["flags"]))
    return bytes(data)


def _bomb(piece: bytes, times: int) -> bytes:
    """A gzip file of very much: one packed piece, repeated, so that the whole is never in memory unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + packed * times + packer.flush() + bytes(8)


def _forged_size() -> bytes:
    """A zip whose directory promises less than its member holds."""
    data = bytearray(_zip(("t.csv", _joined("uid", A, B))))
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 4)
    return bytes(data)


def _hidden_member() -> bytes:
    """A zip with a second member that only a reader from the front finds."""
    inner = _zip(("t.csv", _joined("uid", A)))
    start = inner.find(b"PK\x01\x02")
    hidden = inner[:start]
    data = bytearray(hidden + inner)
    at = data.rfind(b"PK\x05\x06")
    struct.pack_into("<I", data, at + 16, len(hidden) + start)
    directory = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 42, 0)
    return bytes(data)


def _packed() -> None:
    text = _joined("uid", A, B)
    more = _joined(C)
    packed = gzip.compress(text)
    _table("plain", packed, file="t.csv.gz", **_good(2, A, B))
    _table("two members", packed + gzip.compress(more), file="t.csv.gz", **_good(3, A, B, C))
    _table("cut off", packed[:-6], file="t.csv.gz", **_bad("AUD1057"))
    _table("cut off after a member", packed + gzip.compress(more)[:9], file="t.csv.gz", **_bad("AUD1057"))
    _table("garbage behind", packed + b"garbage", file="t.csv.gz", **_bad("AUD1057"))
    _table("zeros behind", packed + bytes(512), file="t.csv.gz", **_bad("AUD1057"))
    _table("wrong checksum", packed[:-8] + bytes(4) + packed[-4:], file="t.csv.gz", **_bad("AUD1057"))
    _table("not packed", text, file="t.csv.gz", **_bad("AUD1057"))
    _table("nothing", b"", file="t.csv.gz", **_bad("AUD1057"))
    _table("packed twice", gzip.compress(packed), file="t.csv.gz", **_bad("AUD1007"))
    _table("bomb of rows", lambda: _bomb(_joined(A) * 30_000, 200), file="t.csv.gz", **_bad("AUD1058"))
    _table("bomb of one line", lambda: _bomb(b"0" * 1_000_000, 200), file="t.csv.gz", **_bad("AUD1034", 1))
    _table("long line", gzip.compress(text + b"x" * (1 << 21)), file="t.csv.gz", **_bad("AUD1034", 4))
    _table("plain", bz2.compress(text) + bz2.compress(more), file="t.csv.bz2", **_good(3, A, B, C))
    _table("cut off", bz2.compress(text)[:-3], file="t.csv.bz2", **_bad("AUD1057"))
    _table("garbage behind", bz2.compress(text) + b"BZ", file="t.csv.bz2", **_bad("AUD1057"))
    _table("bomb", lambda: bz2.compress(b"\n" * 20_000_000), file="t.csv.bz2", **_bad("AUD1058"))
    _table("plain", lzma.compress(text), file="t.csv.xz", **_good(2, A, B))
    _table("cut off", lzma.compress(text)[:-3], file="t.csv.xz", **_bad("AUD1057"))
    _table("old form", lzma.compress(text, lzma.FORMAT_ALONE), file="t.csv.xz", **_bad("AUD1057"))
    _table("JSON Lines", gzip.compress(_json({"uid": A})), file="t.jsonl.gz", **_good(1, A))
    _table("Parquet packed once more", b"PAR1", file="t.parquet.gz", **_bad("AUD1004"))
    _table("Zstandard", b"\x28\xb5\x2f\xfd" + bytes(20), file="t.csv.zst", **_bad("AUD1004"))
    _table("tar", b"", file="t.tar.gz", **_bad("AUD1004"))
    _list("packed", gzip.compress(_joined(A, B)), file="list.txt.gz", **_good(2, A, B))
    _list("packed in a zip", _zip(("list.txt", _joined(A, B))), file="list.zip", **_good(2, A, B))
    _list("table in a zip", _zip(("list.tsv", _joined(A, B))), file="list.zip", **_bad("AUD1060"))
    _list("packed, bad line", gzip.compress(_joined(A, "x")), file="list.txt.gz", **_bad("AUD1019", 2))
    _zips(text)


def _zips(text: bytes) -> None:
    def one(name: str, data: Bytes, file: str = "t.csv.zip", **expected: object) -> None:
        _table(name, data, file=file, **expected)

    good = _zip(("t.csv", text))
    one("plain", good, **_good(2, A, B))
    one("stored", _zip(("t.csv", text), method=0), **_good(2, A, B))
    one("format by the member", _zip(("orders.tsv", text)), file="t.zip", **_good(2, A, B))
    one("Japanese name", _zip(("顧客.csv", text)), **_good(2, A, B))
    one("other format than said", _zip(("t.tsv", text)), **_bad("AUD1060"))
    one("no format", _zip(("t.pdf", text)), file="t.zip", **_bad("AUD1060"))
    one("no member", _zip(), **_bad("AUD1059"))
    one("two members", _zip(("t.csv", text), ("u.csv", text)), **_bad("AUD1059"))
    one("folder besides", _zip(("d/", b""), ("d/t.csv", text)), **_bad("AUD1059"))
    one("in a folder", _zip(("d/t.csv", text)), **_bad("AUD1060"))
    one("path that leads out", _zip(("../t.csv", text)), **_bad("AUD1060"))
    one("absolute path", _zip(("/etc/t.csv", text)), **_bad("AUD1060"))
    one("drive", _zip(("C:t.csv", text)), **_bad("AUD1060"))
    one("backslash", _zip(("..\\t.csv", text)), **_bad("AUD1060"))
    one("link", _zip(("t.csv", b"/etc/passwd"), mode=0o120777), **_bad("AUD1060"))
    one("encrypted", _zip(("t.csv", text), flags=1), **_bad("AUD1060"))
    one("other method", _zip(("t.csv", text), method=zipfile.ZIP_LZMA), **_bad("AUD1060"))
    one("zip in a zip", _zip(("t.csv.zip", good)), **_bad("AUD1060"))
    one("zip in a zip under another name", _zip(("t.csv", good)), **_bad("AUD1007"))
    one("gzip in a zip", _zip(("t.csv.gz", gzip.compress(text))), **_bad("AUD1060"))
    one("cut off", good[:-5], **_bad("AUD1057"))
    one("garbage behind", good + b"garbage", **_bad("AUD1057"))
    one("garbage before", b"garbage" + good, **_bad("AUD1057"))
    one("forged size", _forged_size, **_bad("AUD1057"))
    one("hidden member", _hidden_member, **_bad("AUD1057"))
    one("damaged", good.replace(good[40:50], bytes(10)), **_bad("AUD1057"))
    one("no zip", text, **_bad("AUD1057"))
    one("bomb", lambda: _zip(("t.csv", _joined(A) * 600_000)), **_bad("AUD1058"))


# --- Parquet and globs ----------------------------------------------------------------------------


@cache
def _parquet(sql: str, options: str = "") -> bytes:
    """A file of the rows of a query, written by the engine's own writer."""
    import tempfile
    from pathlib import Path

    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.parquet")
        with duckdb.connect() as connection:
            connection.execute("SET force_mbedtls_unsafe = 'true'")
            connection.execute(f"PRAGMA add_parquet_key('key', '{'k' * 32}')")
            connection.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet{options})")
        return path.read_bytes()


def _two(column: str = "1 AS amount") -> str:
    return f"SELECT uid, {column} FROM (VALUES ('{A}'), ('{B}')) AS t(uid)"


def _parquets() -> None:
    def one(name: str, data: Bytes, **expected: object) -> None:
        _table(name, data, file="t.parquet", **expected)

    def damaged(change: Callable[[bytearray], None]) -> Callable[[], bytes]:
        def made() -> bytes:
            data = bytearray(_parquet(_two()))
            change(data)
            return bytes(data)

        return made

    def cut(data: bytearray) -> None:
        del data[-12:]

    def overwritten(at: int, text: bytes) -> Callable[[bytearray], None]:
        def change(data: bytearray) -> None:
            data[at : at + len(text) if at + len(text) else None] = text

        return change

    for codec in ("uncompressed", "snappy", "gzip", "zstd"):
        one(codec, lambda codec=codec: _parquet(_two(), f", COMPRESSION {codec}"), number=True, **_good(2, A, B))
    one("no rows", lambda: _parquet(_two() + " WHERE false"), **_good(0))
    one("bomb of rows", lambda: _parquet(f"SELECT '{A}' AS uid FROM range(1000000)"), **_bad("AUD1058"))
    one("null id", lambda: _parquet(f"SELECT unnest([NULL, '{A}']) AS uid"), **_good(2, A))
    one("bad id", lambda: _parquet(f"SELECT unnest(['{A}', '{A}x']) AS uid"), **_bad("AUD1019", 2))
    one("binary id", lambda: _parquet(f"SELECT '{A}'::BLOB AS uid"), **_bad("AUD1068"))
    one("id as a fraction", lambda: _parquet("SELECT 1.5::DOUBLE AS uid"), **_bad("AUD1068"))
    one("unused list", lambda: _parquet(_two("[1] AS amount")), **_good(2, A, B))
    nested = {
        "list": "[1]",
        "structure": "{'a': 1}",
        "map": "map{'a': 1}",
        "binary": "'1'::BLOB",
        "time": "TIME '10:00'",
    }
    for name, value in nested.items():
        one(name, lambda value=value: _parquet(_two(f"{value} AS amount")), number=True, **_bad("AUD1068"))
    for name, value in {"NaN": "'nan'", "infinity": "'inf'", "beyond exactness": "9007199254740993"}.items():
        one(
            name, lambda value=value: _parquet(_two(f"{value}::DOUBLE AS amount")), number=True, **_bad("AUD1040", 1, 2)
        )
    one("huge integer", lambda: _parquet(_two("9223372036854775807 AS amount")), number=True, **_bad("AUD1040", 1, 2))
    one("NUL in a text", lambda: _parquet(f"SELECT '{A}' || chr(0) AS uid"), **_bad("AUD1010", 1))
    one("encrypted", lambda: _parquet(_two(), ", ENCRYPTION_CONFIG {footer_key: 'key'}"), **_bad("AUD1069"))
    one("wrong mark at the end", damaged(overwritten(-4, b"PAR2")), **_bad("AUD1069"))
    one("wrong mark at the start", damaged(overwritten(0, b"PAR2")), **_bad("AUD1069"))
    one("cut off", damaged(cut), **_bad("AUD1069"))
    one("footer longer than the file", damaged(overwritten(-8, b"\xff\xff\xff\x7f")), **_bad("AUD1069"))
    one("footer of other bytes", damaged(overwritten(-150, bytes(20))), **_bad("AUD1069"))
    one("pages of other bytes", damaged(overwritten(4, b"\xff" * 30)), **_bad("AUD1069"))
    one("only marks", b"PAR1PAR1", **_bad("AUD1069"))
    one("no Parquet", _joined("uid", A), **_bad("AUD1069"))
    one("nothing", b"", **_bad("AUD1069"))
    one("name twice but for its form", lambda: _parquet(_two('1 AS "が", 2 AS "か\u3099"')), **_bad("AUD1033"))


def _globs() -> None:
    one, two = _joined("uid,amount", f"{A},1"), _joined("uid,amount", f"{B},2", f"{C},x")
    _several("two files", {"d/o-2.csv": one, "d/o-1.csv": two, "d/p.csv": b"", "d/.o-3.csv": b""}, "d/o-*.csv",
             **_good(3, A, B, C))  # fmt: skip
    _several("a bad cell in the second", {"d/o-1.csv": one, "d/o-2.csv": two}, "d/o-*.csv", number=True,
             **_bad("AUD1040", "d/o-2.csv:3"))  # fmt: skip
    _several("none", {"d/p.csv": one}, "d/o-*.csv", **_bad("AUD1061"))
    _several("other header", {"d/o-1.csv": one, "d/o-2.csv": _joined("uid,sum", f"{B},1")}, "d/o-*.csv",
             **_bad("AUD1063"))  # fmt: skip
    _several("header in another order", {"o-1.csv": one, "o-2.csv": _joined("amount,uid", f"1,{B}")}, "o-?.csv",
             **_bad("AUD1063"))  # fmt: skip
    forms = {"1.csv": _joined("uid,が", f"{A},1"), "2.csv": _joined("uid,か\u3099", f"{B},2")}
    _several("header in another form", forms, "[12].csv", **_good(2, A, B))
    _several("in folders", {"d/1/o.csv": one, "d/2/o.csv": one, "d/3/p.csv": one}, "d/*/o.csv", **_good(2, A))
    _several("any depth", {"d/1/o.csv": one}, "**/o.csv", **_bad("AUD1004"))
    _several("one of them empty", {"1.csv": one, "2.csv": b""}, "*.csv", **_bad("AUD1030"))
    _several("packed", {"1.csv.gz": gzip.compress(one), "2.csv.gz": gzip.compress(one)}, "*.csv.gz", **_good(2, A))
    _several("one of them damaged", {"1.csv.gz": gzip.compress(one), "2.csv.gz": one}, "*.csv.gz", **_bad("AUD1057"))
    _several("too many", {f"{number}.csv": one for number in range(1001)}, "*.csv", **_bad("AUD1061"))
    keys = {"1.jsonl": _json({"uid": A, "amount": 1}), "2.jsonl": _json({"uid": B, "note": "x"})}
    _several("JSON Lines with other keys", keys, "*.jsonl", number=True, **_good(2, A))
    lists = {"1.txt": _joined(A, B), "2.txt": _joined(B, C)}
    _several("lists", lists, "*.txt", listed=True, **_good(4, A, B, C))
    _several("a bad line in the second list", {"1.txt": _joined(A), "2.txt": _joined(B, "x")}, "*.txt", listed=True,
             **_bad("AUD1019", 2))  # fmt: skip


_lists()
_tables()
_json_lines()
_packed()
_parquets()
_globs()
CASES = tuple(_FOUND)
