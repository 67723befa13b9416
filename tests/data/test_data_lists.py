"""List files: every rule has its own diagnostic, with the lines, and no content of a line ever leaves."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import pytest
from data_helpers import codes, read_upload, told, user_id
from hypothesis import given, settings
from hypothesis import strategies as st

from audsql.data.ids import bad_codes, column_of, normalise

GOOD = [user_id(number) for number in (10, 11, 12)]
A, B, C = GOOD


def joined(*lines: str, end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


# Name: (bytes, code, lines, count).
HOSTILE_USER_IDS: dict[str, tuple[bytes, str, tuple[str, ...] | None, int | None]] = {
    "header": (joined("user_id", A), "AUD1012", ("1",), 1),
    "header in Japanese": (joined("ユーザーID", A), "AUD1012", ("1",), 1),
    "header of two columns": (joined("id,name", A), "AUD1012", ("1",), 1),
    "header in the middle": (joined(A, "user_id", B), "AUD1019", ("2",), 1),
    "short": (joined(A, A[:-1], B), "AUD1019", ("2",), 1),
    "long": (joined(A, A + "0"), "AUD1019", ("2",), 1),
    "not hexadecimal": (joined(A, A[:-1] + "g"), "AUD1019", ("2",), 1),
    "no leading U": (joined(A, "V" + A[1:]), "AUD1019", ("2",), 1),
    "capitals": (joined(A, "U" + "ABCDEF01" * 4, B), "AUD1018", ("2",), 1),
    "small u": (joined(A, "u" + A[1:]), "AUD1018", ("2",), 1),
    "full width": (joined(A, "Ｕ" + A[1:], "U" + "０" * 32), "AUD1016", ("2", "3"), 2),
    "blank before": (joined(A, " " + B), "AUD1017", ("2",), 1),
    "blank after": (joined(A, B + " "), "AUD1017", ("2",), 1),
    "blank within": (joined(A, B[:5] + " " + B[6:]), "AUD1017", ("2",), 1),
    "ideographic blank": (joined(A, B + "\u3000"), "AUD1017", ("2",), 1),
    "no-break blank": (joined(A, "\u00a0" + B), "AUD1017", ("2",), 1),
    "zero-width": (joined(A, B + "\u200b"), "AUD1017", ("2",), 1),
    "mark within": (joined(A, "\ufeff" + B), "AUD1017", ("2",), 1),
    "bidi": (joined(A, "\u202e" + B), "AUD1017", ("2",), 1),
    "only blanks": (joined(A, "   ", B), "AUD1017", ("2",), 1),
    "empty lines": (joined(A, "", B, "", ""), "AUD1013", ("2", "4", "5"), 3),
    "comma": (joined(A, B + "," + C), "AUD1014", ("2",), 1),
    "trailing comma": (joined(A + ",", B + ","), "AUD1014", ("1", "2"), 2),
    "tab": (joined(A + "\tx"), "AUD1014", ("1",), 1),
    "semicolon": (joined(A, f"{B};"), "AUD1014", ("2",), 1),
    "quotes": (joined(f'"{A}"', f'"{B}"'), "AUD1015", ("1", "2"), 2),
    "quoted commas": (joined(A, f'"{B}","x"'), "AUD1015", ("2",), 1),
    "NUL": (joined(A, B[:-1] + "\0"), "AUD1010", ("2",), 1),
    "bare CR": (joined(A, B + "\r" + C, A), "AUD1011", ("2",), 1),
    "CR only": (joined(A, B, C, end="\r"), "AUD1011", ("1",), 3),
    "UTF-16": (joined(A, B).decode().encode("utf-16"), "AUD1006", None, None),
    "UTF-16 without mark": (joined(A, B).decode().encode("utf-16-le"), "AUD1006", None, None),
    "UTF-32": (joined(A, B).decode().encode("utf-32"), "AUD1006", None, None),
    "workbook": (b"PK\x03\x04" + bytes(100), "AUD1007", None, None),
    "gzip": (b"\x1f\x8b\x08" + bytes(100), "AUD1007", None, None),
    "noise": (bytes(random.Random(3).randbytes(5000)), "AUD1007", None, None),
    "cut off": ("購入者".encode()[:-1], "AUD1009", None, None),
    "neither encoding": (joined(A) + b"\xff\xfe\xfd\n" + joined(B), "AUD1008", None, None),
}


@pytest.mark.parametrize("name", HOSTILE_USER_IDS)
@pytest.mark.threat("T44", "T46")
def test_hostile_user_ids(name: str, tmp_path: Path) -> None:
    data, code, lines, count = HOSTILE_USER_IDS[name]
    members, problems, _ = read_upload(tmp_path, data)
    assert codes(problems) == [code]
    assert members is None
    if lines is not None:
        assert (told(problems[0])["lines"], told(problems[0])["count"]) == (lines, count)
    assert not any(told_id in repr(problems) for told_id in (A, B, C, A[5:], B[5:]))


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (joined(A, B, C), "utf-8"),
        (joined(A, B, C, end="\r\n"), "utf-8"),
        (joined(A, B, C)[:-1], "utf-8"),
        (joined(A, B, C, end="\r\n")[:-2], "utf-8"),
        (b"\xef\xbb\xbf" + joined(A, B, C), "utf-8-sig"),
        (f"{A}\r\n{B}\n{C}".encode(), "utf-8"),
    ],
)
def test_good_forms(data: bytes, encoding: str, tmp_path: Path) -> None:
    members, problems, used = read_upload(tmp_path, data)
    assert (members, problems) == (GOOD, ())
    facts = used.materialise([_people()], _as_of())[0].sources["people"]
    assert (facts.rows, facts.people, facts.duplicates, facts.encoding) == (3, 3, 0, encoding)


def _people() -> object:
    from audsql.meaning.ir import Uploaded

    return Uploaded("people")


def _as_of() -> object:
    from data_helpers import AS_OF

    return AS_OF


def test_member_ids_in_cp932(tmp_path: Path) -> None:
    members, problems, used = read_upload(tmp_path, "会員①\n会員ー\n".encode("cp932"), "member_id")
    assert (members, problems) == (["会員①", "会員ー"], ())
    assert used.materialise([_people()], _as_of())[0].sources["people"].encoding == "cp932"


def test_repeated_ids_warn(tmp_path: Path) -> None:
    members, problems, used = read_upload(tmp_path, joined(A, B, A, C, B, A))
    assert members == GOOD
    assert codes(problems) == ["AUD1020"]
    assert (problems[0].severity, told(problems[0])["lines"], told(problems[0])["count"]) == (
        "warning",
        ("3", "5", "6"),
        3,
    )
    found, again = used.materialise([_people()], _as_of())
    assert again == problems
    assert found.sources["people"].duplicates == 3


def test_empty_list_is_nobody_with_a_warning(tmp_path: Path) -> None:
    for data in (b"", b"\xef\xbb\xbf"):
        members, problems, _ = read_upload(tmp_path, data)
        assert (members, codes(problems)) == ([], ["AUD1005"])
        assert problems[0].severity == "warning"
    assert read_upload(tmp_path, b"", allow_empty=True)[:2] == ([], ())


EMAILS = {
    "a.b-c_d@example.jp": None,
    "plus+tag@example.jp": "AUD1084",
    "two@@example.jp": "AUD1025",
    "@example.jp": "AUD1025",
    "nobody@": "AUD1025",
    "example.jp": "AUD1025",
    "日本@example.jp": "AUD1024",
    "a b@example.jp": "AUD1017",
    " a@example.jp": "AUD1017",
    "a@example.jp,b@example.jp": "AUD1014",
    '"a"@example.jp': "AUD1015",
    "ａ@example.jp": "AUD1016",
    "x" * 109 + "@example.jp": None,  # 120 characters
    "x" * 110 + "@example.jp": "AUD1023",
}


@pytest.mark.parametrize("address", EMAILS)
def test_emails(address: str, tmp_path: Path) -> None:
    members, problems, _ = read_upload(tmp_path, joined("First@Example.jp", address), "email")
    expected = EMAILS[address]
    if expected is None:
        assert (members, problems) == (sorted(["first@example.jp", address]), ())
    else:
        assert codes(problems) == [expected]
        assert told(problems[0])["lines"] == ("2",)


PHONES = {
    ("jp", "090-1234-5678"): "09012345678",
    ("jp", "(03) 1234 5678"): "0312345678",
    ("jp", "9012345678"): "AUD1081",
    ("jp", "9.01235E+09"): "AUD1083",
    ("jp", "9.01235E09"): "AUD1083",
    ("jp", "+81 90 1234 5678"): "AUD1027",
    ("jp", "81-90-1234-5678"): "AUD1027",
    ("jp", "０９０１２３４５６７８"): "AUD1016",
    ("jp", "090ー1234ー5678"): "AUD1082",
    ("jp", "٠٩٠١٢٣٤٥٦٧٨"): "AUD1026",
    ("jp", "090123456789"): "AUD1028",
    ("jp", "00012345678"): "AUD1028",
    ("jp", " 09012345678"): "AUD1017",
    ("jp", "09012345678,"): "AUD1014",
    ("th", "081-234-5678"): "0812345678",
    ("th", "+66812345678"): "AUD1027",
    ("tw", "0912-345-678"): "0912345678",
    ("tw", "886912345678"): "AUD1027",
}


@pytest.mark.parametrize(("region", "number"), PHONES)
@pytest.mark.threat("T44", "T45")
def test_phones(region: str, number: str, tmp_path: Path) -> None:
    members, problems, _ = read_upload(tmp_path, joined(number), "phone", region=region)
    expected = PHONES[region, number]
    if expected.startswith("AUD"):
        assert codes(problems) == [expected]
        assert told(problems[0])["lines"] == ("1",)
    else:
        assert (members, problems) == ([expected], ())


@pytest.mark.threat("T46")
def test_phone_header(tmp_path: Path) -> None:
    assert codes(read_upload(tmp_path, joined("phone", "09012345678"), "phone")[1]) == ["AUD1012"]
    assert codes(read_upload(tmp_path, joined("電話番号", "09012345678"), "phone")[1]) == ["AUD1012"]


def test_advertising_ids(tmp_path: Path) -> None:
    one = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
    assert read_upload(tmp_path, joined(one), "ifa")[:2] == ([one.lower()], ())
    for bad in (one[:-1], one.replace("-", ""), one.replace("-", "0"), one[:-1] + "G"):
        assert codes(read_upload(tmp_path, joined(one, bad), "ifa")[1]) == ["AUD1029"]


@pytest.mark.threat("T49")
def test_size_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audsql.data import lists

    monkeypatch.setattr(lists, "USER_ID_LINES_MAX", 2)
    monkeypatch.setattr(lists, "BUSINESS_FILE_BYTES_MAX", 20)
    _, problems, _ = read_upload(tmp_path, joined(A, B, C))
    assert codes(problems) == ["AUD1021"]
    assert told(problems[0]) == {"file": "list.txt", "count": 3, "lines_max": 2}
    _, problems, _ = read_upload(tmp_path, joined("09012345678", "09012345679"), "phone")
    assert codes(problems) == ["AUD1022"]
    assert read_upload(tmp_path, joined(A, B))[0] == [A, B]


def test_several_reasons_at_once(tmp_path: Path) -> None:
    _, problems, _ = read_upload(tmp_path, joined("user_id", A, "", "x", "U" + "A" * 32))
    assert codes(problems) == ["AUD1012", "AUD1013", "AUD1018", "AUD1019"]


def test_big_list_with_bad_lines_takes_bounded_memory(tmp_path: Path) -> None:
    count, bad = 1_500_000, 300
    lines = [f"U{number * 0x9E3779B97F4A7C15 % (1 << 128):032x}" for number in range(1, count + 1)]
    places = sorted(random.Random(1).sample(range(1, count), bad))
    for place in places:
        lines[place] = lines[place][:-1]
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    del lines
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    members, problems, _ = read_upload(tmp_path, (tmp_path / "list.txt").read_bytes())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert members is None
    assert codes(problems) == ["AUD1019"]
    assert told(problems[0])["count"] == bad
    assert told(problems[0])["lines"] == tuple(str(place + 1) for place in places[:5])
    assert grown < 700_000  # kB


# --- against a naive reader ---------------------------------------------------------------------------

_pieces = st.sampled_from(
    ["U", "0123456789abcdef" * 2, "0" * 31, "f", "F", " ", ",", '"', "\t", "Ｕ", "\u3000", "\u200b", "é", "g", "-"]
)
_lines = st.lists(st.one_of(st.lists(_pieces, max_size=4).map("".join), st.integers(0, 50).map(user_id)), min_size=1)


@given(_lines, st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_lines_are_judged_like_a_naive_reader_does(lines: list[str], ending: str, closed: bool) -> None:
    data = (ending.join(lines) + (ending if closed or not lines[-1] else "")).encode()
    column = column_of(data)
    assert len(column) == len(lines)
    found = bad_codes(column, "user_id", "jp")
    for line, code in zip(lines, found.tolist(), strict=True):
        good = len(line) == 33 and line[0] == "U" and set(line[1:]) <= set("0123456789abcdef")
        assert (code == 0) == good, (line, code)
        assert (code == 1013) == (line == "")
        if '"' in line:
            assert code == 1015


@given(st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_user_ids_round_trip(numbers: list[int]) -> None:
    ids = normalise(column_of(joined(*map(user_id, numbers))), "user_id")
    words = zip(ids.high.tolist(), ids.low.tolist(), strict=True)
    assert [(high << 64) + low for high, low in words] == numbers


_noise = st.text(st.sampled_from("0123456789- ()"), max_size=16)


@given(st.lists(_noise, min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
@pytest.mark.threat("T37")
def test_phones_normalise_once(numbers: list[str]) -> None:
    column = column_of(joined(*numbers))
    good = [one for one, code in zip(numbers, bad_codes(column, "phone", "jp").tolist(), strict=True) if not code]
    expected = [
        one
        for one in numbers
        if one.strip(" ") == one
        and len(digits := "".join(filter(str.isdigit, one))) in (10, 11)
        and digits[0] == "0"
        and digits[1] != "0"
        and not (digits.startswith("010") and digits[3] != "0")  # dialled before a country code
    ]
    assert good == expected
    if good:
        once = normalise(column_of(joined(*good)), "phone").texts
        assert once == tuple("".join(filter(str.isdigit, one)) for one in good)
        assert normalise(column_of(joined(*once)), "phone").texts == once
