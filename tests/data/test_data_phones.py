"""Telephone numbers: judged line by line as `phonenumbers` itself judges them, and hashed as destinations want them."""

from __future__ import annotations

import hashlib
import re

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import CountryCodeSource, NumberParseException, PhoneNumber
from phonenumbers.phonemetadata import PhoneMetadata

from audsql.data.hashing import hash_input, hex_lines, sha256_digests
from audsql.data.ids import bad_codes, column_of, judged, normalise
from audsql.data.phones import judge, numbering_plan
from audsql.data.upload_repairs import repaired_lines

# --- a naive reader, one line at a time ---------------------------------------------------------------

_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\uff70\ufe58\ufe63\u2500\u2501"
_LENGTHS = {"jp": {10, 11}, "th": {9, 10}, "tw": {9, 10}}
_CODES = {"jp": 81, "th": 66, "tw": 886}


def _parsed(text: str, region: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region.upper(), keep_raw_input=True)
    except NumberParseException:
        return None


def _valid(digits: str, region: str) -> bool:
    number = _parsed(digits, region)
    return (
        number is not None
        and number.country_code_source == CountryCodeSource.FROM_DEFAULT_COUNTRY
        and phonenumbers.is_valid_number_for_region(number, region.upper())
    )


def _naive_digits(digits: str, region: str) -> int:
    code = str(_CODES[region])
    if digits.startswith("0") and digits[1:2] != "0":
        abroad = PhoneMetadata.metadata_for_region(region.upper()).international_prefix
        if re.match(f"(?:{abroad})[1-9]", digits):
            number = _parsed(digits, region)
            assert number is None or number.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_IDD
            return 1027
        if _valid(digits, region):
            return 0
        return 1080 if len(digits) in _LENGTHS[region] else 1028
    if not digits.startswith("0") and _valid("0" + digits, region):
        return 1081
    rest = digits.removeprefix(code)
    if digits.startswith(code) and (
        len(rest) >= min(_LENGTHS[region]) - 1
        or phonenumbers.is_valid_number_for_region(_parsed("+" + digits, region) or PhoneNumber(), region.upper())
    ):
        return 1027
    return 1028


def _naive_own(line: str, region: str) -> int:
    digits = re.sub(r"[() -]", "", line)
    if re.fullmatch("[0-9]+", digits):
        return _naive_digits(digits, region)
    if re.fullmatch(r"[0-9](\.[0-9]+)?[eE]\+?[0-9]{1,2}", line):
        return 1083
    if "+" in line:
        return 1027
    plain = "".join("-" if sign in _HYPHENS else sign for sign in line)
    if plain != line and _naive_own(plain, region) in (0, 1080):
        return 1082
    return 1026 if digits else 1028


def naive(line: str, region: str) -> int:
    own = _naive_own(line, region)
    edge = line != line.strip(" \t")
    if line == "":
        return 1013
    if own and '"' in line:
        return 1015
    if own and re.search("[,;\t]", line):
        return 1014
    if own and re.search("[\uff01-\uff5e]", line):
        return 1016
    hidden = re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00a0\u00ad\u200b\u202e\u2060\u3000\ufeff]", line)
    return 1017 if (own or edge) and (edge or hidden) else own


_EXAMPLES = {
    region: [
        "0" + str(number.national_number)
        for kind in range(11)
        if (number := phonenumbers.example_number_for_type(region.upper(), kind)) is not None
    ]
    for region in _CODES
}
_digit = st.sampled_from("0123456789")


@st.composite
def _numbers(draw: st.DrawFn) -> tuple[str, list[str], str]:
    """A region, lines, and a line end."""
    region = draw(st.sampled_from(sorted(_CODES)))
    code = str(_CODES[region])
    start = st.sampled_from([*_EXAMPLES[region], "0", "090", "080", "06", "01", "00", "010", "019", "81", "", "7", "1"])

    def line() -> str:
        text = draw(start)
        text = text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text
        text += draw(st.text(_digit, max_size=draw(st.sampled_from([0, 0, 2, 9]))))
        dress = draw(st.integers(0, 11))
        match dress:
            case 0:
                return f"+{code} (0){text.removeprefix('0')}"
            case 1:
                return code + text.removeprefix("0")
            case 2:
                return text.removeprefix("0")
            case 3:
                return "-".join(re.findall(".{1,4}", text))
            case 4:
                return draw(st.sampled_from([*_HYPHENS, "\uff0d", "/", "."])).join(re.findall(".{1,4}", text))
            case 5:
                return text.translate({code: code + 0xFEE0 for code in range(48, 58)})
            case 6:
                return f"{text[:1]}.{text[1:6]}E+{len(text):02}"
            case 7:
                return draw(st.sampled_from([" {}", "{} ", '"{}"', "{},x", "\u3000{}", "{}\u200b", "\t{}"])).format(
                    text
                )
            case 8:
                return draw(st.text(st.sampled_from('0189 ()-+ー\uff10é"\x01e.'), max_size=14))
            case _:
                return text

    return region, [line() for _ in range(draw(st.integers(1, 8)))], draw(st.sampled_from(["\n", "\r\n"]))


@given(_numbers(), st.booleans())
@example(("jp", ["01012345678", "010819012345678", "8190-1234-5678"], "\n"), True)
@example(("tw", ["0191234567", "019886912345678"], "\n"), True)
@settings(max_examples=400, deadline=None)
@pytest.mark.threat("T44", "T45")
def test_every_line_is_judged_as_phonenumbers_does(given: tuple[str, list[str], str], closed: bool) -> None:
    region, lines, end = given
    data = (end.join(lines) + (end if closed or not lines[-1] else "")).encode()
    column = column_of(data)
    assert len(column) == len(lines)
    expected = [naive(line, region) for line in lines]
    assert judged(column, "phone", region).tolist() == expected
    errors = [0 if code == 1080 else code for code in expected]
    assert bad_codes(column, "phone", region).tolist() == errors


@pytest.mark.parametrize("region", sorted(_CODES))
def test_the_numbering_plan_is_that_of_phonenumbers(region: str) -> None:
    """Every example of the metadata, and every prefix of four digits at every length."""
    plan = numbering_plan(region)
    assert plan.lengths == _LENGTHS[region]
    wrong = []
    for length in range(8, 13):
        for prefix in range(1, 1000):
            digits = f"0{prefix}".ljust(length, "3")
            if judge(digits.encode(), plan) != naive(digits, region):
                wrong.append(digits)
    assert wrong == []
    for digits in _EXAMPLES[region]:
        assert judge(digits.encode(), plan) == naive(digits, region)


def test_bad_lines_of_a_large_file_keep_their_numbers() -> None:
    lines = [f"090{1 + number % 9}{number % 10_000_000:07}" for number in range(200_000)]
    bad = {7: ("9012345678", 1081), 99_999: ("090ー1234ー5678", 1082), 150_000: ("", 1013), 199_999: ("+81", 1027)}
    for row, (text, _) in bad.items():
        lines[row] = text
    codes = bad_codes(column_of("\r\n".join(lines).encode() + b"\r\n"), "phone", "jp")
    assert {row: codes[row] for row in codes.nonzero()[0].tolist()} == {row: code for row, (_, code) in bad.items()}


@given(_numbers())
@settings(max_examples=150, deadline=None)
def test_a_repair_makes_a_good_line_and_no_other_number(given: tuple[str, list[str], str]) -> None:
    """What comes out is good, and is the same digits but for the country code or the leading 0."""
    region, lines, _ = given
    code = str(_CODES[region])
    for line, done in zip(lines, repaired_lines([line.encode() for line in lines], "phone", region, True), strict=True):
        if done is None:
            continue
        out = done.text.decode()
        assert naive(out, region) in (0, 1080)
        plain = re.sub(r"\D", "", line.translate({wide: wide - 0xFEE0 for wide in range(0xFF10, 0xFF1A)}))
        digits = re.sub(r"\D", "", out)
        same = {plain, "0" + plain, "0" + plain.removeprefix(code), plain.removeprefix(code)}
        assert digits in same or digits.removeprefix("0") == plain[-len(digits) + 1 :]
        if digits == "0" + plain:
            assert "zeros" in done.repairs


def test_a_lost_zero_comes_back_only_when_asked_for() -> None:
    assert repaired_lines([b"9012345678"], "phone", "jp", False) == [None]
    (done,) = repaired_lines([b"90-1234-5678"], "phone", "jp", True)
    assert done is not None
    assert (done.text, done.repairs) == (b"09012345678", ("zeros",))


# --- hashes -------------------------------------------------------------------------------------------


def test_the_vector_of_line() -> None:
    """LINE's own example for notification messages: SHA-256 of E.164 with its plus."""
    text = hash_input(b"08000001234", "phone", "jp", "e164")
    assert text == b"+818000001234"
    assert hex_lines(sha256_digests([text])) == b"d41e0ad70dddfeb68f149ad6fc61574b9c5780ab7bcb2fba5517771ffbb2409c\n"


def test_forms_of_one_id_have_one_hash() -> None:
    """However it is written: half-width digits from the leading 0; an address in lower case."""
    spellings = b"090-1234-5678\n(090) 1234 5678\n09012345678\n"
    texts = {bytes(str(one), "ascii") if isinstance(one, str) else one
             for one in normalise(column_of(spellings), "phone").texts}  # fmt: skip
    assert texts == {b"09012345678"}
    assert hash_input(b"09012345678", "phone", "jp", "national") == b"09012345678"
    assert hash_input(b"0812345678", "phone", "th", "e164") == b"+66812345678"
    assert hash_input(b"0912345678", "phone", "tw", "e164") == b"+886912345678"
    mail = normalise(column_of(b"First@Example.JP\n"), "email").texts[0]
    mail = mail.encode() if isinstance(mail, str) else mail
    assert hash_input(mail, "email", "jp", "national") == b"first@example.jp"


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_hashes_are_those_of_a_loop(texts: list[bytes]) -> None:
    expected = "".join(f"{hashlib.sha256(text).hexdigest()}\n" for text in texts)
    assert hex_lines(sha256_digests(texts)).decode() == expected
