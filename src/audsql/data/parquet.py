"""Parquet files: the footer read here, so that columns, types and rows are known apart from the engine.

The footer is Thrift in its compact form. Only its own bytes are looked at, every length is checked against
them, and what is nested too deeply is damage. Rules: specs/data.md, parquet.*.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Mapping
from typing import Any

from audsql.data.packed import PACKED_RATIO_MAX, ROWS_MAX, too_much
from audsql.data.shape import names_a_person
from audsql.diag import Diagnostic, error
from audsql.records import dataclass
from audsql.source import Span

__all__ = ["ParquetShape", "cell_sql", "parquet_shape"]

_MAGIC, _ENCRYPTED_MAGIC = b"PAR1", b"PARE"
_DEPTH_MAX = 12
_ITEMS_MAX = 5_000_000

# Numbers of the Parquet format (parquet.thrift).
_BOOLEAN, _INT32, _INT64, _INT96, _FLOAT, _DOUBLE, _BYTES, _FIXED = range(8)
_UTF8, _ENUM, _DECIMAL, _DATE, _TIME_MILLIS, _TIME_MICROS, _MILLIS, _MICROS = 0, 4, 5, 6, 7, 8, 9, 10
_WHOLE_FIRST, _WHOLE_LAST, _JSON, _BSON, _INTERVAL = 11, 18, 19, 20, 21
_LOGICAL = {1: "text", 4: "text", 5: "decimal", 6: "date", 7: "TIME", 8: "time", 10: "whole", 11: "text", 12: "text",
            13: "BSON", 14: "text", 15: "FLOAT16", 16: "VARIANT"}  # fmt: skip
_CONVERTED = {_UTF8: "text", _ENUM: "text", _DECIMAL: "decimal", _DATE: "date", _TIME_MILLIS: "TIME",
              _TIME_MICROS: "TIME", _MILLIS: "instant", _MICROS: "instant", _JSON: "text", _BSON: "BSON",
              _INTERVAL: "INTERVAL", **dict.fromkeys(range(_WHOLE_FIRST, _WHOLE_LAST + 1), "whole")}  # fmt: skip
_PHYSICAL = {_BOOLEAN: "truth", _INT32: "whole", _INT64: "whole", _INT96: "INT96", _FLOAT: "float", _DOUBLE: "double",
             _BYTES: "BINARY", _FIXED: "BINARY"}  # fmt: skip
_READ = frozenset(("text", "whole", "decimal", "float", "double", "truth", "date", "local", "instant"))
_PRECISION_MAX = 38


@dataclass(frozen=True, slots=True)
class ParquetShape:
    """`types`: for each column what it is read as, in lower case, or the name of a type that is not read."""

    header: tuple[str, ...]
    types: tuple[str, ...]
    records: int
    data: bytes

    def is_read(self, number: int) -> bool:
        return self.types[number] in _READ

    def is_identifying(self, number: int) -> bool:
        """Whether a column may hold ids."""
        return self.types[number] in ("text", "whole")


def parquet_shape(data: bytes, file: str, span: Span | None) -> tuple[ParquetShape | None, tuple[Diagnostic, ...]]:
    """Columns and rows by the footer. Codes: AUD1030 a column names a person, AUD1033 a name stands twice,
    AUD1058 more rows than the bytes can mean, AUD1069 damaged, cut off or encrypted."""
    damaged = (error("AUD1069", span, file=file, encrypted=data[-4:] == _ENCRYPTED_MAGIC),)
    try:
        footer = _footer(data)
        records, schema = footer[3], footer[2]
        columns = _columns(schema)
        counted = sum(group[3] for group in footer.get(4, ()))
        encrypted = 8 in footer
    except (_Damaged, KeyError, TypeError, AttributeError, IndexError, struct.error, UnicodeDecodeError):
        return None, damaged
    if encrypted or not isinstance(records, int) or records < 0 or counted != records:
        return None, (error("AUD1069", span, file=file, encrypted=encrypted),)
    if records > min(ROWS_MAX, len(data) * PACKED_RATIO_MAX):
        return None, (too_much(file, span),)
    header = tuple(name for name, _ in columns)
    if not any(header) or any(names_a_person(name) for name in header):
        return None, (error("AUD1030", span, file=file),)
    twice = tuple(sorted({name for name in header if name and header.count(name) > 1}))
    if twice:
        return None, (error("AUD1033", span, file=file, names=twice),)
    return ParquetShape(header, tuple(kind for _, kind in columns), records, data), ()


# --- the footer -----------------------------------------------------------------------------------


class _Damaged(Exception):
    """The bytes are no footer."""


def _footer(data: bytes) -> Mapping[int, Any]:
    if len(data) < 12 or data[:4] != _MAGIC or data[-4:] != _MAGIC:
        raise _Damaged
    length = int.from_bytes(data[-8:-4], "little")
    if not 0 < length <= len(data) - 12:
        raise _Damaged
    reader = _Thrift(data[-8 - length : -8])
    footer = reader.structure(0)
    if reader.at != length:
        raise _Damaged
    return footer


def _columns(schema: list[Any]) -> list[tuple[str, str]]:
    """(name in NFC, type) of the columns of the top level."""
    found = []
    at, top = 1, schema[0][5]
    for _ in range(top):
        element = schema[at]
        name = unicodedata.normalize("NFC", element[4].decode("utf-8"))
        found.append((name, _type(element)))
        at = _after(schema, at)
    if at != len(schema):
        raise _Damaged
    return found


def _after(schema: list[Any], at: int) -> int:
    """The place after an element and all below it."""
    left = 1
    while left:
        left += schema[at].get(5, 0) - 1
        at += 1
        if left < 0 or left > len(schema):
            raise _Damaged
    return at


def _type(element: Mapping[int, Any]) -> str:
    """What a column is read as, or the name of a type that is not read."""
    if 1 not in element or element.get(5):
        return "STRUCT/LIST/MAP"
    if element.get(3) == 2:
        return "LIST"
    physical, converted, logical = element[1], element.get(6), element.get(10)
    if physical not in _PHYSICAL:
        raise _Damaged
    if logical:
        number, details = next(iter(logical.items()))
        kind = _LOGICAL.get(number, f"#{number}")
        if kind == "time":
            kind = "instant" if details.get(1) is True else "local"
    elif converted is not None:
        kind = _CONVERTED.get(converted, f"#{converted}")
    else:
        kind = _PHYSICAL[physical]
    if kind == "decimal" and element.get(8, _PRECISION_MAX + 1) > _PRECISION_MAX:
        return "DECIMAL"
    if physical == _INT96:
        return "INT96"
    return kind


class _Thrift:
    """A reader of the compact protocol: structures as dictionaries by field number."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.count = data, 0, 0

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise _Damaged
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise _Damaged

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def taken(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise _Damaged
        self.at += length
        return self.data[self.at - length : self.at]

    def structure(self, depth: int) -> dict[int, Any]:
        found: dict[int, Any] = {}
        number = 0
        while True:
            head = self.byte()
            if head == 0:
                return found
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            kind = head & 0x0F
            if number in found:
                raise _Damaged
            found[number] = kind == 1 if kind in (1, 2) else self.value(kind, depth)

    def value(self, kind: int, depth: int) -> Any:
        self.count += 1
        if depth >= _DEPTH_MAX or self.count > _ITEMS_MAX:
            raise _Damaged
        match kind:
            case 1 | 2:
                return self.byte() == 1
            case 3:
                return self.byte()
            case 4 | 5 | 6:
                return self.zigzag()
            case 7:
                return self.taken(8)
            case 8:
                return self.taken(self.varint())
            case 9 | 10:
                return self.items_of(depth)
            case 11:
                return self.pairs_of(depth)
            case 12:
                return self.structure(depth + 1)
            case _:
                raise _Damaged

    def items_of(self, depth: int) -> list[Any]:
        head = self.byte()
        count = head >> 4 if head >> 4 != 15 else self.varint()
        if count > len(self.data) - self.at:
            raise _Damaged
        return [self.value(head & 0x0F, depth + 1) for _ in range(count)]

    def pairs_of(self, depth: int) -> list[Any]:
        count = self.varint()
        if not count:
            return []
        kinds = self.byte()
        if count > len(self.data) - self.at:
            raise _Damaged
        return [(self.value(kinds >> 4, depth + 1), self.value(kinds & 0x0F, depth + 1)) for _ in range(count)]


# --- cells ----------------------------------------------------------------------------------------

_EXACT = {"float": 2**24, "double": 2**53}


def cell_sql(kind: str, column: str) -> str:
    """A cell as text, as the same value would be written in CSV; `column`: a name that is safe in SQL."""
    text = f"CAST({column} AS VARCHAR)"
    match kind:
        case "decimal":
            return _shortened(text)
        case "float" | "double":
            small = f"printf('%.9f', CAST({column} AS DOUBLE))"
            type_name = kind.upper()
            plain = (
                f"CASE WHEN NOT contains({text}, 'e') THEN {text}"
                f" WHEN CAST({small} AS {type_name}) = {column} AND abs({column}) < 1 THEN {small} ELSE {text} END"
            )
            # What is larger may have been rounded on its way here; the sign says so to whoever takes it for a number.
            return (
                f"CASE WHEN isfinite({column}) AND abs({column}) < {_EXACT[kind]} THEN {_shortened(plain)}"
                f" WHEN isfinite({column}) THEN '~' || {text} ELSE {text} END"
            )
        case "instant":
            return f"CAST(make_timestamp(epoch_us({column})) AS VARCHAR) || 'Z'"
        case _:
            return text


def _shortened(text: str) -> str:
    """Without zeros at the end of the fraction."""
    return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
