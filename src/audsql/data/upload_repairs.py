"""Repairs of upload files: each of them named, made only where what comes out is a good line.

Rules: specs/operations.md, lint_upload.*.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from audsql.data import phones
from audsql.data.ids import Column, column_of, judged
from audsql.meaning.ir import IdKind
from audsql.records import dataclass

__all__ = ["REPAIRS", "Repaired", "guessed_kind", "is_blank", "normal_form", "repaired_lines"]

REPAIRS = (
    "encoding", "byte_order_mark", "line_ends", "header", "blank_lines", "half_width", "blanks", "quotes", "hyphens",
    "country_code", "zeros", "capitals", "duplicates", "dropped",
)  # fmt: skip
"""In the order in which they are told."""

# What is taken off the edges of a line: blanks, and characters that nobody sees.
_EDGES = " \t\u3000\u00a0\ufeff\u00ad" + "".join(map(chr, (*range(0x2000, 0x2010), *range(0x2028, 0x2030), 0x2060)))
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_USER_ID = re.compile(r"[Uu][0-9A-Fa-f]{32}")


@dataclass(frozen=True, slots=True)
class Repaired:
    """A line that is good now, and what was done to it."""

    text: bytes
    repairs: tuple[str, ...]


def repaired_lines(lines: Sequence[bytes], kind: IdKind, region: str, restore_zeros: bool) -> list[Repaired | None]:
    """For each bad line what becomes of it; None where no safe repair makes it good.

    `restore_zeros`: put back a leading 0 that a telephone number lacks.
    """
    tried = [_repair(line.decode("utf-8"), kind, region, restore_zeros) for line in lines]
    column = column_of(b"\n".join([*(text.encode() for text, _ in tried), b""]))
    codes = judged(column, kind, region).tolist() if tried else []
    return [
        Repaired(text.encode(), names) if code in (0, phones.UNALLOCATED) and names else None
        for (text, names), code in zip(tried, codes, strict=True)
    ]


def _repair(text: str, kind: IdKind, region: str, restore_zeros: bool) -> tuple[str, tuple[str, ...]]:
    names: list[str] = []

    def step(name: str, new: str) -> str:
        if new != text:
            names.append(name)
        return new

    text = step("blanks", text.strip(_EDGES))
    if len(text) > 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        text = step("quotes", text[1:-1].strip(_EDGES))
    text = step("half_width", text.translate(_WIDE).strip(_EDGES))
    if kind == "phone":
        plan = phones.numbering_plan(region)
        text = step("hyphens", phones.with_plain_hyphens(text.encode()).decode())
        text = step("country_code", _without_country(text, plan))
        if restore_zeros and phones.judge(text.encode(), plan) == phones.LOST_ZERO:
            text = step("zeros", f"0{phones.digits_of(text.encode()).decode()}")
    elif kind == "user_id" and _USER_ID.fullmatch(text):
        text = step("capitals", f"U{text[1:].lower()}")
    return text, tuple(names)


def _without_country(text: str, plan: phones.NumberingPlan) -> str:
    """The number as it is dialled within the country, where that is certain; else the text as it is."""
    line = text.encode()
    if phones.judge(line, plan) != phones.COUNTRY or not re.fullmatch(r"[+]?[0-9() -]+", text):
        return text
    digits = phones.digits_of(line)
    dialled = plan.abroad.match(digits)
    national = phones.country_digits(digits[dialled.end() - 1 :] if dialled else digits, plan)
    return national.decode() if national else text


def is_blank(line: bytes) -> bool:
    """Whether nothing that can be seen stands on a line."""
    return not line.decode("utf-8").strip(_EDGES)


def normal_form(line: bytes, kind: IdKind) -> bytes:
    """What two lines of one id have in common; the lines are good."""
    if kind == "phone":
        return phones.digits_of(line)
    if kind == "user_id":
        return line
    text = unicodedata.normalize("NFC", line.decode("utf-8"))
    return (text.lower() if kind in ("email", "ifa") else text).encode()


# --- what kind of ids a file holds --------------------------------------------------------------------

_LOOKS: tuple[tuple[IdKind, re.Pattern[str]], ...] = (
    ("email", re.compile(r"^.*@.*$", re.MULTILINE)),
    ("user_id", re.compile(r"^\W*[Uu][0-9A-Fa-f]{24,40}\W*$", re.MULTILINE)),
    ("ifa", re.compile(r"^\W*[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\W*$", re.MULTILINE)),
    (
        "phone",
        re.compile(
            r'^[\s"]*[+(]*\d(?:[\d() .\-\u2010-\u2015\u2212\u30fc\uff70]{6,}|[.]?\d*[eE][+]?\d+)[\s",;]*$', re.MULTILINE
        ),
    ),
)


def guessed_kind(column: Column) -> IdKind | None:
    """The kind that more than half of the lines look like, blank lines left out; None where there is none."""
    text = column.data.tobytes().replace(b"\r\n", b"\n").decode("utf-8").translate(_WIDE)
    filled = sum(1 for line in text.split("\n") if line.strip(_EDGES))
    for kind, pattern in _LOOKS:
        if 2 * sum(1 for _ in pattern.finditer(text)) > filled:
            return kind
    return None
