"""`audsql diff`: against Git revisions and folders, in three formats and two languages, and what stops it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audsql.cli.app import run
from audsql.cli.exits import Code
from audsql.session import revision
from audsql.session.revision import write_revision

Captured = pytest.CaptureFixture[str]
SCHEMA = json.loads((Path(__file__).parents[2] / "specs/schemas/diff.schema.json").read_text())
BEFORE = """
account shop { token: env("LINE_TOKEN") }
upload buyers { file: "buyers.txt"  id: user_id }
table orders { file: "orders.csv"  id: user_id = uid  time: at  verb purchased by product }
message card { text: "Hi" }
policy kind { always except uploaded(buyers) }
audience lapsed = purchased(A) EXCEPT purchased(A, last 30 days)
audience either = purchased(A) OR purchased(B)
audience old_name = purchased(C)
audience both = lapsed AND purchased(B)
delivery sale { to: lapsed  send: card  at: 2030-01-01 10:00 }
"""
AFTER = (
    BEFORE.replace("last 30 days", "last 90 days")
    .replace("purchased(A) OR purchased(B)", "purchased(A, B)")
    .replace("old_name", "new_name")
)
ORDERS = "uid,product,at\n" + "".join(
    f"U{number:032x},A,2026-{month:02}-01\n" for number, month in enumerate((1, 2, 9, 10), start=1)
)


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project below the top of a repository, with an edit that is not committed."""
    for name in ("AUDSQL_LANG", "GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C")
    monkeypatch.setenv("LC_ALL", "C")
    folder = tmp_path / "work" / "shop"
    folder.mkdir(parents=True)
    (folder / "spring.aud").write_text(BEFORE)
    git(tmp_path / "work", "init", "-q")
    git(tmp_path / "work", "add", "-A")
    git(tmp_path / "work", "commit", "-qm", "first")
    (folder / "spring.aud").write_text(AFTER)
    return folder


def document(capsys: Captured, *arguments: str) -> dict[str, Any]:
    assert run(["diff", "--json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    return found


def classes(found: dict[str, Any]) -> dict[str, str]:
    return {change["address"]: change["classification"] for change in found["changes"]}


def test_against_the_last_commit(shop: Path, capsys: Captured) -> None:
    found = document(capsys, "--project", str(shop))
    assert classes(found) == {
        "audience.both": "narrower",
        "audience.lapsed": "narrower",
        "audience.new_name": "renamed",
        "delivery.sale": "narrower",
    }
    by_address = {change["address"]: change for change in found["changes"]}
    lapsed = by_address["audience.lapsed"]
    assert lapsed["removed"]["formula"] == "purchased(A, last 90 days) EXCEPT purchased(A, last 30 days)"
    assert lapsed["added"] is None
    person = lapsed["removed"]["person"]
    assert person["in"] == ["purchased(A, last 90 days)"] and person["not_in"] == ["purchased(A, last 30 days)"]
    assert person["formula"]["is"] == "all" and len(person["formula"]["except"]) == 1
    assert by_address["audience.both"]["because"] == ["audience.lapsed"]
    assert by_address["delivery.sale"]["because"] == ["audience.lapsed"]
    assert lapsed["because"] == []
    assert found["rewritten"] == ["audience.either"]
    assert found["moved"] == [{"kind": "audience", "old": "old_name", "new": "new_name"}]
    assert found["base"]["name"] == "HEAD" and len(found["base"]["commit"]) == 40


def test_nothing_changed(shop: Path, capsys: Captured) -> None:
    git(shop, "commit", "-aqm", "second")
    assert run(["diff", "--project", str(shop), "--exit-code"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "No changes."
    assert len(classes(document(capsys, "--project", str(shop), "--base", "HEAD~1"))) == 4


def test_exit_code(shop: Path) -> None:
    assert run(["diff", "--project", str(shop)]) == 0
    assert run(["diff", "--project", str(shop), "--exit-code"]) == Code.CHANGES


def test_against_a_folder(shop: Path, tmp_path: Path, capsys: Captured) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "spring.aud").write_text(BEFORE)
    found = document(capsys, "--project", str(shop), "--base", str(other))
    assert len(found["changes"]) == 4 and found["base"]["commit"] is None


def test_both_languages(shop: Path, capsys: Captured) -> None:
    assert run(["diff", "--project", str(shop), "--lang", "en"]) == 0
    english = capsys.readouterr().out
    assert "audience lapsed: narrower" in english and "moved old_name -> new_name" in english
    assert english.splitlines()[-1] == "Diff: 0 added, 3 changed, 0 removed, 1 renamed."
    assert run(["diff", "--project", str(shop), "--lang", "ja"]) == 0
    japanese = capsys.readouterr().out
    assert "オーディエンス lapsed: 対象が狭くなりました" in japanese
    assert japanese.splitlines()[-1] == english.splitlines()[-1]


def test_markdown_escapes_what_people_wrote(shop: Path, capsys: Captured) -> None:
    (shop / "spring.aud").write_text(AFTER.replace('"Hi"', '"Hi"').replace("purchased(C)", 'purchased("<b>|@all")'))
    assert run(["diff", "--project", str(shop), "--format", "markdown"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("<!-- audsql:diff -->\n")
    assert "\\<b\\>\\|@\u2060all" in shown and "<b>" not in shown


def test_counts(shop: Path, capsys: Captured) -> None:
    (shop / "orders.csv").write_text(ORDERS)
    (shop / "buyers.txt").write_text(f"U{99:032x}\n")
    as_of = ("--counts", "--as-of", "2026-10-15 10:00")
    found = document(capsys, "--project", str(shop), *as_of)
    by_address = {change["address"]: change for change in found["changes"]}
    assert by_address["audience.lapsed"]["removed"]["people"] == {"count": 1, "exact": True, "low": 1, "high": 1}
    assert by_address["audience.both"]["removed"]["people"]["count"] == 0


def test_counts_of_what_line_holds_are_bounds(shop: Path, capsys: Captured) -> None:
    (shop / "orders.csv").write_text(ORDERS)
    (shop / "buyers.txt").write_text(f"U{99:032x}\n")
    (shop / "spring.aud").write_text(AFTER.replace("both = lapsed", "both = gender(female) AND lapsed"))
    found = document(capsys, "--project", str(shop), "--counts", "--as-of", "2026-10-15 10:00")
    both = next(change for change in found["changes"] if change["address"] == "audience.both")
    assert both["removed"]["people"]["low"] == 0


@pytest.mark.parametrize(
    "name", ["nope", "-o", "--output=x", "HEAD:spring.aud", "a b", "HEAD..HEAD", "$(id)", "x\ny", ""]
)
def test_no_such_revision(shop: Path, tmp_path: Path, name: str) -> None:
    found, told = write_revision(shop, name, tmp_path)
    assert found is None and [one.code for one in told] == ["AUD0064"]


def test_outside_a_repository(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "spring.aud").write_text(BEFORE)
    assert run(["diff", "--project", str(tmp_path)]) == Code.USAGE
    assert "AUD0065" in capsys.readouterr().err


def test_without_git(shop: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert run(["diff", "--project", str(shop)]) == Code.USAGE
    assert "AUD0063" in capsys.readouterr().err


def test_a_spec_too_big(shop: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision, "FILE_BYTES_MAX", 100)
    assert run(["diff", "--project", str(shop)]) == Code.USAGE
    assert "spring.aud" in capsys.readouterr().err


def test_no_project_at_that_revision(shop: Path, capsys: Captured) -> None:
    young = shop.parent / "young"
    young.mkdir()
    (young / "spring.aud").write_text(BEFORE)
    assert run(["diff", "--project", str(young)]) == Code.USAGE
    assert "AUD0067" in capsys.readouterr().err


def test_errors_of_either_side_are_shown(shop: Path, capsys: Captured) -> None:
    git(shop, "commit", "-aqm", "good")
    (shop / "spring.aud").write_text(BEFORE.replace("AND purchased(B)", "AND nowhere"))
    assert run(["diff", "--project", str(shop)]) == Code.ERROR
    assert "AUD0201" in capsys.readouterr().err
    git(shop, "commit", "-aqm", "bad")
    (shop / "spring.aud").write_text(AFTER)
    assert run(["diff", "--project", str(shop)]) == Code.ERROR
    told = capsys.readouterr()
    assert "AUD0068" in told.err and "AUD0201" in told.err and told.out == ""


def test_links_and_hooks_of_a_repository_do_nothing(shop: Path, tmp_path: Path) -> None:
    top = shop.parent
    (tmp_path / "secret.aud").write_text("secret")
    (shop / "link.aud").symlink_to(tmp_path / "secret.aud")
    hook = top / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    git(top, "add", "-A")
    git(top, "commit", "-qm", "link")
    target = tmp_path / "target"
    found, told = write_revision(shop, "HEAD", target)
    assert found is not None and not told
    assert sorted(path.name for path in found.root.iterdir()) == ["spring.aud"]
    assert not (tmp_path / "ran").exists()
