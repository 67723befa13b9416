"""`export`: upload files for LINE's own screens, whole or not at all, and never for whom a policy keeps away."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from audsql.cli.app import run
from audsql.data import uploadable
from audsql.session import whole_folder
from harness import place

Captured = pytest.CaptureFixture[str]
SCHEMA = json.loads((Path(__file__).parents[2] / "specs/schemas/export.schema.json").read_text("utf-8"))

ALICE, BOB, CAROL, DAVE = (f"U{number:032x}" for number in (1, 2, 3, 4))
PHONES = {ALICE: "09011111111", BOB: "08022222222", CAROL: "07033333333", DAVE: "0312345678"}
ACCOUNT = 'account shop { token: env("TOKEN") }\n'
LISTS = """
upload users { file: "users.txt"  id: user_id }
upload buyers { file: "buyers.csv"  id: phone }
upload mails { file: "mails.txt"  id: email }
upload numbers { file: "numbers.txt"  id: member_id }
upload optout { file: "optout.txt"  id: user_id }
upload refused { file: "refused.txt"  id: phone }
table members { file: "members.csv"  id: user_id, phone }
"""
OPTOUT = "policy house { always except uploaded(optout) }\n"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AUDSQL_LANG", "AUDSQL_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LANG", "LC_ALL"):
        monkeypatch.setenv(name, "C.UTF-8")
    monkeypatch.chdir(tmp_path)


def write(spec: str, **files: str) -> None:
    """A project in the current folder: four people, all with a telephone; what a file holds may be given."""
    contents = {
        "users.txt": f"{ALICE}\n{BOB}\n{CAROL}\n",
        "buyers.csv": "090-1111-1111\n08022222222\n0312345678\n",
        "mails.txt": "First@Example.com\nsecond@example.com\n",
        "numbers.txt": "A1\n",
        "optout.txt": f"{BOB}\n",
        "refused.txt": "0312345678\n",
        "members.csv": "user_id,phone\n" + "".join(f"{user},{phone}\n" for user, phone in PHONES.items()),
        **files,
    }
    Path("audsql.toml").write_text('[project]\nname = "shop"\ntimezone = "Asia/Tokyo"\n')
    Path("shop.aud").write_text(ACCOUNT + LISTS + spec)
    for name, text in contents.items():
        Path(name).write_text(text)


def export(capsys: Captured, *arguments: str, code: int = 0) -> tuple[dict[str, Any], str]:
    """(the manifest, what stderr said)"""
    assert run(["export", *arguments, "--out", "out", "--json"]) == code, capsys.readouterr()
    printed = capsys.readouterr()
    return json.loads(printed.out) if printed.out else {}, printed.err


def lines(name: str = "upload.csv") -> list[str]:
    text = Path("out", name).read_bytes().decode()
    assert text.endswith("\n") and "\r" not in text and "\ufeff" not in text
    return text.splitlines()


@pytest.mark.rule("line.upload.file", "export.files", "export.set")
def test_a_list_of_telephones(capsys: Captured) -> None:
    write("")
    document, _ = export(capsys, "uploaded(buyers)")
    assert lines() == ["0312345678", "08022222222", "09011111111"]
    assert (document["id_kind"], document["destination"], document["people"]) == ("phone", "business-manager", 3)
    assert document["files"] == [{"name": "upload.csv", "lines": 3, "bytes": 35,
                                  "keyed_digest": document["files"][0]["keyed_digest"]}]  # fmt: skip
    Draft202012Validator(SCHEMA).validate(document)
    stored = json.loads(Path("out/manifest.json").read_text())
    assert {**stored, "folder": "out"} == document


def test_files_are_private_and_kept_from_git(capsys: Captured) -> None:
    write("")
    export(capsys, "uploaded(buyers)")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path("out").iterdir()}
    assert modes == {"upload.csv": 0o600, "manifest.json": 0o600, ".gitignore": 0o600}
    assert stat.S_IMODE(Path("out").stat().st_mode) == 0o700
    assert Path("out/.gitignore").read_text() == "*\n"


def test_the_manifest_holds_no_id_and_no_plain_digest(capsys: Captured) -> None:
    write("")
    export(capsys, "uploaded(buyers)")
    text = Path("out/manifest.json").read_text()
    content = Path("out/upload.csv").read_bytes()
    for secret in (
        "09011111111",
        "9011111111",
        hashlib.sha256(content).hexdigest(),
        hashlib.blake2b(content).hexdigest(),
    ):
        assert secret not in text


def test_the_same_people_give_the_same_bytes_whatever_made_the_list(capsys: Captured) -> None:
    """Neither the order of the file nor the cache decides."""
    write("")
    export(capsys, "uploaded(buyers)")
    first = Path("out/upload.csv").read_bytes()
    Path("buyers.csv").write_text("0312345678\n080-2222-2222\n09011111111\n")
    export(capsys, "uploaded(buyers)", "--force")
    assert Path("out/upload.csv").read_bytes() == first


@pytest.mark.rule("line.upload.size")
def test_files_are_divided_by_lines_and_by_bytes(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    write("", **{"buyers.csv": "".join(f"0901111{number:04}\n" for number in range(25))})
    monkeypatch.setattr(uploadable, "BUSINESS_FILE_LINES_MAX", 10)
    document, _ = export(capsys, "uploaded(buyers)", "--extension", "txt")
    assert [one["name"] for one in document["files"]] == [f"upload-{number}-of-3.txt" for number in (1, 2, 3)]
    assert [one["lines"] for one in document["files"]] == [10, 10, 5]
    together = [line for one in document["files"] for line in lines(one["name"])]
    assert together == [f"0901111{number:04}" for number in range(25)]
    monkeypatch.setattr(uploadable, "BUSINESS_FILE_BYTES_MAX", 36)
    document, _ = export(capsys, "uploaded(buyers)", "--force")
    assert [(one["lines"], one["bytes"]) for one in document["files"][:2]] == [(3, 36), (3, 36)]
    assert len(document["files"]) == 9 and document["files"][0]["name"] == "upload-1-of-9.csv"
    assert not list(Path("out").glob("*.txt"))  # nothing of the earlier export is left


@pytest.mark.rule("line.upload.megabyte", "line.upload.manager_size")
def test_pieces_fill_each_file() -> None:
    limits = uploadable.Limits(3, 10)
    assert list(uploadable.pieces([5, 5, 5, 1, 1, 1, 1, 10], limits)) == [(0, 2), (2, 5), (5, 7), (7, 8)]
    assert list(uploadable.pieces([], limits)) == []
    for destination in uploadable.DESTINATIONS:
        assert destination.limits(False) == uploadable.Limits(1_500_000, 20_000_000)
        assert destination.limits(True) == uploadable.Limits(1_500_000, 60_000_000)
    assert [uploadable.file_name("upload", 3, count, ".csv") for count in (1, 12)] == [
        "upload.csv",
        "upload-03-of-12.csv",
    ]


@pytest.mark.rule("line.upload.hash", "line.upload.hashed_email", "line.upload.hashed_phone", "export.hash")
def test_hashed_with_sha256(capsys: Captured) -> None:
    write("")
    document, _ = export(capsys, "uploaded(mails)", "--hash", "sha256")
    expected = sorted(hashlib.sha256(mail).hexdigest() for mail in (b"first@example.com", b"second@example.com"))
    assert lines() == expected
    assert (document["hash"], document["phone_form"]) == ("sha256", None)
    document, _ = export(capsys, "uploaded(refused)", "--hash", "sha256", "--phone-form", "e164", "--force")
    assert lines() == [hashlib.sha256(b"+81312345678").hexdigest()]
    assert document["phone_form"] == "e164"
    Draft202012Validator(SCHEMA).validate(document)


def test_user_ids_for_the_account_manager(capsys: Captured) -> None:
    write(OPTOUT + "audience all_users = uploaded(users)\n")
    document, _ = export(capsys, "all_users")
    assert lines() == [ALICE, CAROL]
    assert (document["destination"], document["before"], document["people"]) == ("oa-manager", 3, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("uploaded(users)", "--hash", "sha256"),
        ("uploaded(users)", "--for", "business-manager"),
        ("uploaded(buyers)", "--for", "oa-manager"),
        ("uploaded(numbers)",),
        # Which form LINE hashes is not known: with a wrong one nobody would be excluded.
        ("uploaded(refused)", "--hash", "sha256", "--to-exclude"),
    ],
)
def test_ids_that_the_destination_does_not_take(arguments: tuple[str, ...], capsys: Captured) -> None:
    write("")
    assert "AUD1087" in export(capsys, *arguments, code=64)[1]
    assert not Path("out").exists()


def test_another_kind_of_ids_through_the_table(capsys: Captured) -> None:
    write("", **{"members.csv": f"user_id,phone\n{ALICE},09011111111\n{ALICE},09044444444\n"})
    document, _ = export(capsys, "uploaded(users)", "--kind", "phone")
    assert lines() == ["09011111111", "09044444444"]
    assert document["linkage"] == [
        {"table": "members", "from": "user_id", "to": "phone", "given": 3, "lost": 2, "found": 2}
    ]
    assert "AUD0340" in export(capsys, "uploaded(users)", "--kind", "email", "--force", code=1)[1]


# --- policies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (OPTOUT, ["0312345678", "09011111111"]),  # Bob's telephone
        ("policy house { always except uploaded(refused) }\n", ["08022222222", "09011111111"]),
        (OPTOUT + "policy more { always except uploaded(refused) }\n", ["09011111111"]),
        ("policy house { always except uploaded(optout) OR uploaded(refused) }\n", ["09011111111"]),
        ("policy house { always except (uploaded(users) EXCEPT uploaded(optout)) }\n", ["0312345678", "08022222222"]),
        ("policy house { always except (linked(members) EXCEPT uploaded(refused)) }\n", ["0312345678"]),
        ("policy house { require uploaded(users) }\n", ["08022222222", "09011111111"]),
        ("policy house { require uploaded(users) AND friends }\n", ["08022222222", "09011111111"]),
        # Whoever may be tagged is left out: LINE alone knows who is.
        ('policy house { always except uploaded(optout) AND chat_tag("loud") }\n', ["0312345678", "09011111111"]),
    ],
)
def test_whom_a_policy_keeps_away_is_not_exported(policy: str, left: list[str], capsys: Captured) -> None:
    write(policy)
    document, _ = export(capsys, "uploaded(buyers)")
    assert lines() == left
    assert document["before"] == 3
    assert {one["name"] for one in document["policies"]} <= {"house", "more"}
    assert all(one["whole"] for one in document["policies"])


def test_an_exception_of_a_delivery_is_none_of_an_export(capsys: Captured) -> None:
    delivery = 'message hello { text: "hello" }\ndelivery hi { to: uploaded(users)  send: hello }\n'
    write("policy house { always except uploaded(optout)  except for [hi] }\n" + delivery)
    export(capsys, "uploaded(users)")
    assert lines() == [ALICE, CAROL]


def test_a_telephone_that_no_table_knows_is_kept_away_too(capsys: Captured) -> None:
    """It stands in the list of those who refused: whose it is does not matter."""
    write("policy house { always except uploaded(refused) }\n",
          **{"members.csv": f"user_id,phone\n{ALICE},09011111111\n"})  # fmt: skip
    export(capsys, "uploaded(buyers)")
    assert lines() == ["08022222222", "09011111111"]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ('policy house { always except chat_tag("loud") }\n', "loud"),
        ("policy house { always except friends }\n", "friends"),
    ],
)
def test_a_policy_that_line_alone_can_apply_refuses(policy: str, said: str, capsys: Captured) -> None:
    write(policy)
    problem = export(capsys, "uploaded(users)", code=5)[1]
    assert "AUD1088" in problem and said in problem
    assert not Path("out").exists()
    assert "AUD0052" in export(capsys, "uploaded(users)", "--accept-policy", "house", code=64)[1]
    document, _ = export(capsys, "uploaded(users)", "--accept-policy", "house", "--reason", "tags excluded by hand")
    assert (document["accepted"], document["reason"]) == (["house"], "tags excluded by hand")


def test_what_the_data_say_is_taken_away_of_an_accepted_policy(capsys: Captured) -> None:
    write('policy house { always except uploaded(optout) OR chat_tag("loud") }\n')
    assert "AUD1088" in export(capsys, "uploaded(users)", code=5)[1]
    document, _ = export(capsys, "uploaded(users)", "--accept-policy", "house", "--reason", "by hand")
    assert lines() == [ALICE, CAROL]
    assert document["policies"] == [{"name": "house", "rule": "always except", "taken": 1, "whole": False}]


def test_a_policy_without_a_table_in_between_refuses(capsys: Captured) -> None:
    write(OPTOUT)
    Path("shop.aud").write_text((ACCOUNT + LISTS + OPTOUT).replace("id: user_id, phone", "id: user_id, email = phone"))
    assert "AUD1088" in export(capsys, "uploaded(buyers)", code=5)[1]


def test_around_a_policy_with_a_reason(capsys: Captured) -> None:
    write(OPTOUT)
    assert "AUD0052" in export(capsys, "uploaded(users)", "--around-policy", "house", code=64)[1]
    document, _ = export(capsys, "uploaded(users)", "--around-policy", "house", "--reason", "staff test")
    assert lines() == [ALICE, BOB, CAROL]
    assert (document["around"], document["policies"]) == (["house"], [])


def test_files_that_exclude_are_not_made_smaller(capsys: Captured) -> None:
    write(OPTOUT + 'policy tags { always except chat_tag("loud") }\n')
    document, _ = export(capsys, "uploaded(optout)", "--to-exclude")
    assert lines() == [BOB]
    assert (document["purpose"], document["policies"]) == ("exclude", [])


def test_nobody_is_an_error(capsys: Captured) -> None:
    write(OPTOUT)
    problem = export(capsys, "uploaded(optout)", code=1)[1]
    assert "AUD1086" in problem and "house" in problem
    assert not Path("out").exists()


def test_what_line_holds_cannot_be_exported(capsys: Captured) -> None:
    write("")
    assert "AUD0043" in export(capsys, 'uploaded(users) AND chat_tag("a")', code=1)[1]


def test_the_terminal_says_what_was_taken_away(capsys: Captured) -> None:
    write(OPTOUT)
    for language, said in (
        ("en", "1 taken away by policy house"),
        ("ja", "ポリシー house（always except）により 1 件"),
    ):
        assert run(["export", "uploaded(users)", "--out", language, "--lang", language]) == 0
        assert said in capsys.readouterr().out


def test_nobody_who_was_erased_is_exported(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the list, not by the table, and not by the list of those who are kept away."""
    monkeypatch.setenv("AUDSQL_KEY", "6b" * 32)
    now = {"now": "2026-11-21T00:00:00+09:00", "accounts": {}}
    with place(tmp_path, now, {}):
        settings = Path("audsql.toml").read_text()
        # A list that deliveries only take people away by still keeps the person away, and is not shown.
        delivery = 'message hello { text: "hello" }\ndelivery hi { to: uploaded(users)  send: hello }\n'
        write(OPTOUT + delivery, **{"optout.txt": f"{BOB}\n{CAROL}\n"})
        Path("audsql.toml").write_text(settings)
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{BOB}\n08022222222\n"))
        assert run(["erase", "--id-from-stdin"]) == 0, capsys.readouterr()
        capsys.readouterr()
        for arguments in (
            ("uploaded(optout)", "--to-exclude"),
            ("uploaded(users)", "--to-exclude"),
            ("uploaded(buyers)",),
            ("linked(members)", "--kind", "phone", "--to-exclude"),
        ):
            document, _ = export(capsys, *arguments, "--force")
            assert not {BOB, "08022222222"} & set(lines()), arguments
            assert document["people"] == len(lines()) > 0


# --- whole or not at all ------------------------------------------------------------------------------


def test_nothing_is_overwritten(capsys: Captured) -> None:
    write("")
    export(capsys, "uploaded(buyers)")
    before = Path("out/upload.csv").read_bytes()
    problem = export(capsys, "uploaded(mails)", code=1)[1]
    assert "AUD1085" in problem and "--force" in problem
    assert Path("out/upload.csv").read_bytes() == before
    export(capsys, "uploaded(mails)", "--force")
    assert lines() == ["first@example.com", "second@example.com"]


@pytest.mark.parametrize("other", ["notes.txt", "upload-2-of-2.csv"])
def test_what_audsql_did_not_export_is_never_replaced(other: str, capsys: Captured) -> None:
    write("")
    export(capsys, "uploaded(buyers)")
    Path("out", other).write_text("mine")
    problem = export(capsys, "uploaded(mails)", "--force", code=1)[1]
    assert "AUD1085" in problem and "--force" not in problem.replace("audsql explain", "")
    assert Path("out", other).read_text() == "mine"
    assert "0312345678" in lines()


def test_an_empty_folder_is_taken_and_a_link_is_not(capsys: Captured) -> None:
    write("")
    Path("out").mkdir()
    export(capsys, "uploaded(buyers)")
    assert len(lines()) == 3
    Path("real").mkdir()
    Path("link").symlink_to("real")
    assert run(["export", "uploaded(buyers)", "--out", "link", "--force"]) == 1
    assert list(Path("real").iterdir()) == []


class _System:
    """The module `os` with some of its functions exchanged."""

    def __init__(self, **exchanged: Any) -> None:
        self.exchanged = exchanged

    def __getattr__(self, name: str) -> Any:
        return self.exchanged.get(name) or getattr(os, name)


@pytest.mark.parametrize("at", range(6))
def test_stopped_anywhere_nothing_half_is_left(at: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier export stays as it was until the new one stands whole in its place."""
    write("")
    export(capsys, "uploaded(buyers)")
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    calls = 0

    def stops(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(whole_folder, "os", _System(fsync=stops))
        assert run(["export", "uploaded(mails)", "--out", "out", "--force"]) == (130 if calls > at else 0)
    assert calls == min(at + 1, 5)
    capsys.readouterr()
    now = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    whole = json.loads(now["manifest.json"])["files"][0]
    assert whole["bytes"] == len(now["upload.csv"])
    assert now == before or b"@" in now["upload.csv"]
    export(capsys, "uploaded(mails)", "--force")
    assert [path.name for path in Path().glob(".out.*")] == []


def test_what_a_killed_run_left_is_removed_by_the_next(capsys: Captured) -> None:
    write("")
    left = Path(".out.abc.unfinished")
    left.mkdir()
    (left / "upload.csv").write_text("09011111111\n")
    export(capsys, "uploaded(buyers)")
    assert not left.exists()


def test_a_place_that_cannot_be_written(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    write("")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    for exchanged in ({"fsync": full}, {"rename": full}):
        monkeypatch.setattr(whole_folder, "os", _System(**exchanged))
        assert "AUD0031" in export(capsys, "uploaded(buyers)", code=1)[1]
        assert not Path("out").exists() and list(Path().glob(".out.*")) == []


def test_an_earlier_export_comes_back_where_the_new_one_cannot_take_its_place(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("")
    export(capsys, "uploaded(buyers)")
    renamed: list[object] = []

    def second_fails(*paths: Any) -> None:
        renamed.append(paths)
        if len(renamed) == 2:
            raise OSError(5, os.strerror(5))
        os.rename(*paths)

    monkeypatch.setattr(whole_folder, "os", _System(rename=second_fails))
    assert "AUD0031" in export(capsys, "uploaded(mails)", "--force", code=1)[1]
    assert "0312345678" in lines() and list(Path().glob(".out.*")) == []


@pytest.mark.threat("T59")
@pytest.mark.parametrize("start", ["=", "+", "@", "\t", "=cmd|' /C calc'!"])
def test_what_begins_like_a_formula_is_no_id(start: str, capsys: Captured) -> None:
    """Opened in a spreadsheet, a file of ids computes nothing: such a line is never read, so it is never written."""
    write("", **{"mails.txt": f"first@example.com\n{start}1@example.com\n"})
    assert "AUD10" in export(capsys, "uploaded(mails)", code=1)[1]
    assert not Path("out").exists()
