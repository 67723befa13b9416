"""Telephone numbers of a region: which there are, which can be mobile, and what is wrong with the others.

What a number of the region looks like is taken from the metadata of `phonenumbers` and compiled once to regular
expressions over bytes, so that a file is judged in one pass; only lines that do not pass are looked at one by one.
Rules: specs/data.md, ids.phone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audsql.records import dataclass

__all__ = [
    "CHARACTERS", "COUNTRY", "DIGITS", "LOST_ZERO", "ODD_HYPHENS", "SPREADSHEET", "UNALLOCATED", "NumberingPlan",
    "can_be_mobile", "country_digits", "digits_of", "judge", "judge_digits", "numbering_plan", "unproven_lines",
    "with_plain_hyphens",
]  # fmt: skip

CHARACTERS, COUNTRY, DIGITS = 1026, 1027, 1028
UNALLOCATED, LOST_ZERO, ODD_HYPHENS, SPREADSHEET = 1080, 1081, 1082, 1083

# Kinds of numbers as the metadata name them.
_PERSONAL = ("fixed_line", "mobile")
_KINDS = (
    "mobile", "fixed_line", "voip", "toll_free", "premium_rate", "shared_cost", "personal_number", "pager", "uan",
    "voicemail",
)  # fmt: skip

_BETWEEN = b"() -"
_NOT_DIGITS = bytes(value for value in range(256) if not (48 <= value <= 57 or value == 10))
_FOREIGN = np.ones(256, bool)
_FOREIGN[list(b"0123456789\n" + _BETWEEN)] = False
# Signs that stand for a hyphen: dashes, the minus sign, the long vowel mark in both widths, box lines.
_HYPHENS = re.compile("[\u2010-\u2015\u2212\u30fc\uff70\ufe58\ufe63\u2500\u2501]")
_AMOUNT = re.compile(rb"[0-9](?:[.][0-9]+)?[eE][+]?[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class NumberingPlan:
    """The numbers of a region as they are dialled there. `lengths`: digits, with the leading 0, that lines of people
    have; `run` matches as many lines of numbers as there are, `one` a number, `mobile` one that can be mobile;
    `abroad` what is dialled before a country code."""

    region: str
    country_code: bytes
    lengths: frozenset[int]
    run: re.Pattern[bytes]
    one: re.Pattern[bytes]
    mobile: re.Pattern[bytes]
    abroad: re.Pattern[bytes]


@lru_cache(maxsize=8)
def numbering_plan(region: str) -> NumberingPlan:
    """Of `jp`, `th` or `tw`; any other region is taken for `jp`."""
    from phonenumbers.phonemetadata import PhoneMetadata

    known = region if region in ("jp", "th", "tw") else "jp"
    metadata: Any = PhoneMetadata.metadata_for_region(known.upper())
    kinds = {name: found for name in _KINDS if (found := getattr(metadata, name)) and found.national_number_pattern}
    general = metadata.general_desc.national_number_pattern

    def number(*names: str) -> bytes:
        either = "|".join(f"(?:{kinds[name].national_number_pattern})" for name in names)
        # The second digit is not 0: what begins with 00 is dialled from abroad, or is a service, nobody's own.
        return f"0(?!0)(?=(?:{general})\n)(?:{either})\n".encode()

    any_kind = number(*kinds)
    return NumberingPlan(
        known,
        str(metadata.country_code).encode(),
        frozenset(digits + 1 for name in _PERSONAL for digits in kinds[name].possible_length),
        re.compile(b"(?:" + any_kind + b")++"),
        re.compile(any_kind),
        re.compile(number("mobile")),
        re.compile(f"(?:{metadata.international_prefix})[1-9]".encode()),
    )


def digits_of(data: bytes) -> bytes:
    """The lines of a text with nothing but their digits."""
    return data.translate(None, _NOT_DIGITS)


def unproven_lines(data: bytes, plan: NumberingPlan) -> NDArray[np.int64]:
    """The lines, counted from 0 and ascending, that are not plainly a number of the region.

    `data`: lines that LF or CRLF ends; the last one may lack it. Hyphens, blanks and parentheses within a line count
    for nothing. What is not named is good.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    failed = _failed_lines(digits_of(data), plan)
    array = np.frombuffer(data, np.uint8)
    suspect = np.flatnonzero(_FOREIGN[array]) if _has_foreign(data) else np.empty(0, np.int64)
    if b" " in data:
        suspect = np.concatenate((suspect, _edge_blanks(array)))
    if not len(suspect):
        return failed
    breaks = np.flatnonzero(array == 10)
    lines: NDArray[np.int64] = np.unique(np.concatenate((failed, np.searchsorted(breaks, suspect))))
    return lines


def _has_foreign(data: bytes) -> bool:
    return bool(data.translate(None, b"0123456789\n" + _BETWEEN))


def _edge_blanks(array: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where a blank begins or ends a line."""
    blanks = np.flatnonzero(array == 32)
    begins = (blanks == 0) | (array[blanks - 1] == 10)
    ends = array[np.minimum(blanks + 1, len(array) - 1)] == 10
    places: NDArray[np.int64] = blanks[begins | ends]
    return places


def _failed_lines(digits: bytes, plan: NumberingPlan) -> NDArray[np.int64]:
    match, failed, place, end = plan.run.match, [], 0, len(digits)
    while place < end:
        run = match(digits, place)
        if run is not None:
            place = run.end()
        if place < end:
            failed.append(place)
            place = digits.index(b"\n", place) + 1
    if not failed:
        return np.empty(0, np.int64)
    breaks = np.flatnonzero(np.frombuffer(digits, np.uint8) == 10)
    lines: NDArray[np.int64] = np.searchsorted(breaks, np.array(failed, np.int64))
    return lines


def judge(line: bytes, plan: NumberingPlan) -> int:
    """0 for a number of the region, else the number of what it deserves: UNALLOCATED is a warning, the rest errors.

    Blanks at the edges, quotes, separators and full-width digits have diagnostics of their own before this one.
    """
    digits = line.translate(None, _BETWEEN)
    if digits.isdigit():
        return judge_digits(digits, plan)
    if _AMOUNT.fullmatch(line):
        return SPREADSHEET
    if b"+" in line:
        return COUNTRY
    plain = with_plain_hyphens(line)
    return ODD_HYPHENS if plain != line and judge(plain, plan) in (0, UNALLOCATED) else CHARACTERS if digits else DIGITS


def with_plain_hyphens(line: bytes) -> bytes:
    """The line with whatever stands for a hyphen written as one."""
    return _HYPHENS.sub("-", line.decode("utf-8", "replace")).encode() if not line.isascii() else line


def judge_digits(digits: bytes, plan: NumberingPlan) -> int:
    """The same of a line's digits."""
    one = plan.one.fullmatch
    if digits.startswith(b"0") and digits[1:2] != b"0":
        if plan.abroad.match(digits):
            return COUNTRY
        if one(digits + b"\n"):
            return 0
        return UNALLOCATED if len(digits) in plan.lengths else DIGITS
    if digits and not digits.startswith(b"0") and one(b"0" + digits + b"\n"):
        return LOST_ZERO
    rest = digits.removeprefix(plan.country_code)
    if len(rest) < len(digits) and (len(rest) >= min(plan.lengths) - 1 or country_digits(digits, plan)):
        return COUNTRY
    return DIGITS


def country_digits(digits: bytes, plan: NumberingPlan) -> bytes:
    """The number that is dialled within the country for digits with its country code, with or without the 0 behind
    it, as in `+81 (0)90`; empty where that is no number of the region."""
    if not digits.startswith(plan.country_code):
        return b""
    national = b"0" + digits.removeprefix(plan.country_code).removeprefix(b"0")
    return national if plan.one.fullmatch(national + b"\n") else b""


def can_be_mobile(texts: bytes, plan: NumberingPlan) -> int:
    """How many of these lines of digits can be mobile telephones."""
    return len(plan.mobile.findall(texts))
