"""`lint-upload`: every rule told by physical line, and a repaired copy that nobody can mistake for another list."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from audsql.cli.app import run
from audsql.data.content import decode
from audsql.data.files import open_file, read_list
from audsql.meaning.ir import UploadSource
from audsql.session import upload_linting

Captured = pytest.CaptureFixture[str]
SCHEMA = json.loads((Path(__file__).parents[2] / "specs/schemas/lint_upload.schema.json").read_text("utf-8"))
USER = "U" + "0123456789abcdef" * 2
IFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
GOOD = ("09011111111", "08022222222", "0312345678")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AUDSQL_LANG", raising=False)
    for name in ("LANG", "LC_ALL"):
        monkeypatch.setenv(name, "C.UTF-8")
    monkeypatch.chdir(tmp_path)


def lint(capsys: Captured, data: str | bytes, *arguments: str, code: int = 0, name: str = "list.csv") -> dict[str, Any]:
    Path(name).write_bytes(data.encode() if isinstance(data, str) else data)
    assert run(["lint-upload", name, "--json", *arguments]) == code, capsys.readouterr()
    printed = capsys.readouterr()
    document = json.loads(printed.out) if printed.out else {"stderr": printed.err}
    if printed.out:
        assert printed.err == ""
        Draft202012Validator(SCHEMA).validate(document)
    return document


def joined(*lines: str, end: str = "\n") -> str:
    return "".join(line + end for line in lines)


def found(document: dict[str, Any]) -> dict[str, list[int]]:
    return {one["code"]: one["lines"] for one in document["findings"]}


def repairs(document: dict[str, Any]) -> dict[str, int]:
    return {one["name"]: one["count"] for one in document["repairs"]}


def test_a_good_file(capsys: Captured) -> None:
    document = lint(capsys, joined(*GOOD))
    assert found(document) == {}
    assert (document["id_kind"], document["guessed"], document["lines"]) == ("phone", True, 3)
    assert document["phones"] == {"mobile": 2, "other": 1, "not_in_use": 0}


# Each rule of an upload file, with its code: (kind, bad line, code).
RULES = [
    ("phone", "", "AUD1013"),
    ("phone", "09011111111,x", "AUD1014"),
    ("phone", "09011111111;", "AUD1014"),
    ("phone", "09011111111\t1", "AUD1014"),
    ("phone", '"09011111111"', "AUD1015"),
    ("phone", "０９０11111111", "AUD1016"),
    ("phone", " 09011111111", "AUD1017"),
    ("phone", "09011111111\u3000", "AUD1017"),
    ("phone", "090/1111/1111", "AUD1026"),
    ("phone", "09011111111 ext 3", "AUD1026"),
    ("phone", "+819011111111", "AUD1027"),
    ("phone", "+81 (0)90 1111 1111", "AUD1027"),
    ("phone", "81-90-1111-1111", "AUD1027"),
    ("phone", "010819011111111", "AUD1027"),
    ("phone", "090111111", "AUD1028"),
    ("phone", "090111111111", "AUD1028"),
    ("phone", "9011111111", "AUD1081"),
    ("phone", "090\u30fc1111\u30fc1111", "AUD1082"),
    ("phone", "090\u20101111\u22121111", "AUD1082"),
    ("phone", "9.01111E+09", "AUD1083"),
    ("email", "a b@example.jp", "AUD1017"),
    ("email", "a@example.jp,b@example.jp", "AUD1014"),
    ("email", "a+b@example.jp", "AUD1084"),
    ("email", "a!b@example.jp", "AUD1024"),
    ("email", "ａ@example.jp", "AUD1016"),
    ("email", "@example.jp", "AUD1025"),
    ("email", "x" * 110 + "@example.jp", "AUD1023"),
    ("user_id", USER[:-1], "AUD1019"),
    ("user_id", USER.upper(), "AUD1018"),
    ("ifa", IFA[:-1], "AUD1029"),
]
OTHERS = {
    "phone": joined(*GOOD),
    "email": joined("a@example.jp", "b@example.jp", "C.d@example.jp"),
    "user_id": joined(*(f"U{number:032x}" for number in range(3))),
    "ifa": joined(*(f"6d92078a-8246-4ba4-ae5b-76104861e7d{number}" for number in range(3))),
}


@pytest.mark.parametrize(("kind", "line", "code"), RULES)
@pytest.mark.threat("T44", "T45")
@pytest.mark.rule("line.upload.email", "line.upload.phone", "lint_upload.rules")
def test_every_rule_has_its_own_code(kind: str, line: str, code: str, capsys: Captured) -> None:
    """The kind is guessed; the line is the fourth; what stands there is not shown."""
    document = lint(capsys, OTHERS[kind] + joined(line), code=3)
    assert (document["id_kind"], found(document)) == (kind, {code: [4]})
    assert [one["code"] for one in document["diagnostics"]] == [code]
    for output_format in ("human", "concise", "github", "sarif"):
        assert run(["lint-upload", "list.csv", "--format", output_format]) == 3
        printed = "".join(capsys.readouterr())
        assert code in printed
        assert len(line) < 8 or line not in printed


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (joined("phone", *GOOD), "AUD1012"),
        (joined("電話番号", *GOOD), "AUD1012"),
        (joined(*GOOD, end="\r"), "AUD1011"),
        (joined(*GOOD).encode("utf-16"), "AUD1006"),
        (b"PK\x03\x04" + bytes(50), "AUD1007"),
        (b"0901\xff\xfe\xfd\n", "AUD1008"),
        (joined(*GOOD) + "090\0\n", "AUD1010"),
    ],
)
@pytest.mark.threat("T46")
def test_files_as_a_whole(data: str | bytes, code: str, capsys: Captured) -> None:
    Path("list.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
    readable = code in ("AUD1012", "AUD1011")
    assert run(["lint-upload", "list.csv", "--kind", "phone"]) == (3 if readable else 1)
    assert code in capsys.readouterr().err


def test_limits_of_a_file(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    from audsql.line import limits

    monkeypatch.setattr(limits, "BUSINESS_FILE_LINES_MAX", 2)
    monkeypatch.setattr(limits, "BUSINESS_FILE_BYTES_MAX", 20)
    codes = {one["code"] for one in lint(capsys, joined(*GOOD), code=3)["diagnostics"]}
    assert codes == {"AUD1021", "AUD1022"}
    # Repaired, it fits.
    document = lint(capsys, joined(GOOD[2], GOOD[2], "", ""), "--fix", "out.csv")
    assert document["written"] == {"file": "out.csv", "lines": 1, "bytes": 11}


@pytest.mark.parametrize(
    ("name", "code"), [("list.xlsx", "AUD1004"), ("list.csv.gz", "AUD1004"), ("none.csv", "AUD1001")]
)
def test_files_that_cannot_be_read(name: str, code: str, capsys: Captured) -> None:
    if name.startswith("list"):
        Path(name).write_text(joined(*GOOD))
    assert run(["lint-upload", name, "--kind", "phone"]) == 1
    assert code in capsys.readouterr().err


def test_an_empty_file_is_warned_of(capsys: Captured) -> None:
    assert [one["code"] for one in lint(capsys, "")["diagnostics"]] == ["AUD1005"]
    assert lint(capsys, "", "--fix", "out.csv")["written"] is None
    assert not Path("out.csv").exists()


def test_repeated_ids_and_numbers_not_in_use_are_warned_of(capsys: Captured) -> None:
    document = lint(capsys, joined(*GOOD, "03-1234-5678", "0900123456"))
    assert found(document) == {"AUD1020": [4], "AUD1080": [5]}
    assert {one["severity"] for one in document["findings"]} == {"warning"}
    assert document["phones"] == {"mobile": 2, "other": 1, "not_in_use": 1}


@pytest.mark.rule("lint_upload.kind")
def test_no_kind_with_a_majority(capsys: Captured) -> None:
    mixed = joined("09011111111", "a@example.jp")
    assert "AUD1089" in lint(capsys, mixed, code=64)["stderr"]
    assert found(lint(capsys, mixed, "--kind", "phone", code=3)) == {"AUD1026": [2]}


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["9011111111"] * 3, "phone"),
        (["+81 90 1111 1111", "０９０１１１１１１１１", "x"], "phone"),
        (["9.01111E+09", "9.01111E+09", ""], "phone"),
        ([USER.upper(), USER + ",", "x"], "user_id"),
        (["a@b@c", "x@y", "09011111111"], "email"),
        ([IFA, "x", IFA], "ifa"),
    ],
)
def test_the_kind_is_that_of_more_than_half(lines: list[str], kind: str, capsys: Captured) -> None:
    Path("list.csv").write_text(joined(*lines))
    run(["lint-upload", "list.csv", "--json"])
    assert json.loads(capsys.readouterr().out)["id_kind"] == kind


def test_regions(capsys: Captured) -> None:
    thai = joined("081-234-5678", "021234567")
    assert found(lint(capsys, thai, "--region", "th")) == {}
    assert found(lint(capsys, thai, code=3)) == {"AUD1028": [2], "AUD1080": [1]}
    assert found(lint(capsys, joined("0912-345-678"), "--region", "tw")) == {}


@pytest.mark.parametrize("kind", sorted(OTHERS))
def test_a_project_finds_the_same(kind: Any, capsys: Captured, tmp_path: Path) -> None:
    """The codes and the first lines of `lint-upload` are those of an upload of that file."""
    lines = OTHERS[kind] + joined(*(line for other, line, _ in RULES if other == kind and line))
    document = lint(capsys, lines, code=3)
    content = open_file(tmp_path, "list.csv", (".csv",), None)
    read = read_list(content, UploadSource("list", "list.csv", kind))  # type: ignore[arg-type]
    told = {one.code: list(one.fact("lines") or ()) for one in read.diagnostics}  # type: ignore[arg-type]
    expected = {one["code"]: [str(line) for line in one["lines"][:5]]
                for one in document["findings"] if one["severity"] == "error"}  # fmt: skip
    assert told == expected
    assert not isinstance(decode(content, None), str)  # type: ignore[arg-type]


# --- repairs ------------------------------------------------------------------------------------------

MESS = (
    b"\xef\xbb\xbf"
    + joined(
        "電話番号",
        "090-1111-1111",
        "０８０２２２２２２２２",
        "",
        " \u3000",
        " 0312345678\u200b",
        "+81 (0)70 3333 3333",
        "819044444444",
        "090\u30fc5555\u30fc5555",
        '"09066666666"',
        "09011111111",
        end="\r\n",
    ).encode()
)


def test_every_safe_repair_is_named_and_counted(capsys: Captured) -> None:
    document = lint(capsys, MESS, "--fix", "out.csv")
    assert repairs(document) == {
        "byte_order_mark": 1, "line_ends": 11, "header": 1, "blank_lines": 2, "half_width": 1, "blanks": 1,
        "quotes": 1, "hyphens": 1, "country_code": 2, "duplicates": 1,
    }  # fmt: skip
    assert Path("out.csv").read_bytes().decode() == joined(
        "090-1111-1111", "08022222222", "0312345678", "07033333333", "09044444444", "090-5555-5555", "09066666666"
    )
    assert document["written"] == {"file": "out.csv", "lines": 7, "bytes": Path("out.csv").stat().st_size}
    assert Path("list.csv").read_bytes() == MESS
    assert stat.S_IMODE(Path("out.csv").stat().st_mode) == 0o600
    assert found(lint(capsys, Path("out.csv").read_bytes())) == {}


def test_a_repaired_copy_needs_no_repair(capsys: Captured) -> None:
    lint(capsys, MESS, "--fix", "out.csv")
    document = lint(capsys, Path("out.csv").read_bytes(), "--fix", "again.csv")
    assert document["repairs"] == []
    assert Path("again.csv").read_bytes() == Path("out.csv").read_bytes()


def test_lost_zeros_only_when_asked_for(capsys: Captured) -> None:
    data = joined(*GOOD, "9044444444")
    document = lint(capsys, data, "--fix", "out.csv", code=3)
    assert (document["written"], Path("out.csv").exists()) == (None, False)
    assert [one["code"] for one in document["diagnostics"]] == ["AUD1081"]
    document = lint(capsys, data, "--fix", "out.csv", "--restore-zeros")
    assert repairs(document) == {"zeros": 1}
    assert Path("out.csv").read_text() == joined(*GOOD, "09044444444")


def test_what_cannot_be_repaired_is_dropped_by_name_alone(capsys: Captured) -> None:
    data = joined(GOOD[0], "9.01111E+09", " " + GOOD[1], "x", GOOD[2])
    document = lint(capsys, data, "--fix", "out.csv", code=3)
    assert not Path("out.csv").exists()
    assert found(document) == {"AUD1017": [3], "AUD1026": [4], "AUD1083": [2]}
    assert [one["code"] for one in document["diagnostics"]] == ["AUD1026", "AUD1083"]
    document = lint(capsys, data, "--fix", "out.csv", "--drop-bad")
    assert (document["dropped"], repairs(document)) == ([2, 4], {"blanks": 1, "dropped": 2})
    assert Path("out.csv").read_text() == joined(*GOOD)


def test_an_address_keeps_what_stands_behind_its_plus(capsys: Captured) -> None:
    document = lint(capsys, joined("a@example.jp", "a+b@example.jp"), "--fix", "out.csv", code=3)
    assert document["written"] is None and repairs(document) == {}


def test_capitals_of_user_ids_and_cp932(capsys: Captured) -> None:
    document = lint(capsys, joined(USER.upper(), USER), "--fix", "out.csv")
    assert repairs(document) == {"capitals": 1, "duplicates": 1}
    data = joined("電話番号", *GOOD).encode("cp932")
    document = lint(capsys, data, "--fix", "other.csv")
    assert repairs(document) == {"encoding": 1, "header": 1}


def test_nothing_is_written_where_nothing_is_left(capsys: Captured) -> None:
    document = lint(capsys, joined("phone", "x"), "--kind", "phone", "--fix", "out.csv", "--drop-bad")
    assert (document["written"], document["dropped"]) == (None, [2])
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("place", ["list.csv", "./list.csv", "link.csv", "there.csv"])
def test_neither_the_input_nor_another_file_is_written_over(place: str, capsys: Captured) -> None:
    Path("link.csv").symlink_to("list.csv")
    Path("there.csv").write_text("mine")
    assert "AUD1085" in lint(capsys, MESS, "--fix", place, code=1)["stderr"]
    assert Path("list.csv").read_bytes() == MESS
    assert Path("there.csv").read_text() == "mine"


def test_a_file_that_comes_in_between_is_not_written_over(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    class System:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, _: int) -> None:
            Path("out.csv").write_text("mine")

    monkeypatch.setattr(upload_linting, "os", System())
    assert "AUD1085" in lint(capsys, MESS, "--fix", "out.csv", code=1)["stderr"]
    assert Path("out.csv").read_text() == "mine"
    assert [path.name for path in Path().glob(".*")] == []


def test_options_that_need_a_copy(capsys: Captured) -> None:
    Path("list.csv").write_text(joined(*GOOD))
    assert run(["lint-upload", "list.csv", "--drop-bad"]) == 64
    assert "--fix" in capsys.readouterr().err


def test_the_terminal_names_what_was_done(capsys: Captured) -> None:
    Path("list.csv").write_bytes(MESS + b"x\n")
    for language, said in (("en", "country code replaced by 0: 2"), ("ja", "国番号を 0 に変更: 2")):
        copy = f"{language}.csv"
        assert run(["lint-upload", "list.csv", "--fix", copy, "--drop-bad", "--lang", language]) == 0
        printed = capsys.readouterr().out
        assert said in printed and copy in printed and "12" in printed
