"""A plan of what was planned before reads no text again, and says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audsql import session, user_cache
from audsql.meaning.expand import Given
from audsql.meaning.plain import to_plain
from audsql.session import known
from audsql.session.project import Opened
from audsql.session.variables import Variables

HEAD = """\
account shop { token: env("T") }
upload buyers { file: "buyers.txt" id: user_id }
message hello { text: "hello" }
delivery d { to: a0  send: hello  at: 2026-12-01 10:00 }
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "audsql.toml").write_text('[project]\nname = "many"\n', "utf-8")
    (folder / "main.aud").write_text(HEAD, "utf-8")
    (folder / "many.aud").write_text("".join(f"audience a{n} = uploaded(buyers)\n" for n in range(60)), "utf-8")
    return folder


def is_known(opened: Opened) -> bool:
    return not opened.files


def same(opened: Opened, whole: Opened) -> bool:
    assert opened.analysis is not None and whole.analysis is not None
    plain = [to_plain(one.analysis.project, one.diagnostics, one.findings) for one in (opened, whole) if one.analysis]
    texts = opened.texts == whole.texts and opened.sources == whole.sources and opened.config == whole.config
    return texts and plain[0] == plain[1] and session.check(opened) == session.check(whole)


def test_the_second_time_it_is_known(root: Path) -> None:
    assert not is_known(session.open_meaning(root))
    opened = session.open_meaning(root)
    assert is_known(opened)
    assert same(opened, session.open_project(root))


def test_warnings_are_told_again(root: Path) -> None:
    (root / "warned.aud").write_text("audience w = uploaded(buyers) AND NOT uploaded(buyers) OR a0\n", "utf-8")
    session.open_meaning(root)
    opened = session.open_meaning(root)
    assert is_known(opened)
    assert session.check(opened)
    assert same(opened, session.open_project(root))


@pytest.mark.parametrize("change", ["text", "new file", "settings", "environment", "file gone"])
def test_a_change_is_read(root: Path, change: str) -> None:
    session.open_meaning(root)
    env = None
    match change:
        case "text":
            (root / "many.aud").write_text((root / "many.aud").read_text("utf-8") + "audience z = a1\n", "utf-8")
        case "new file":
            (root / "more.aud").write_text("audience z = a1\n", "utf-8")
        case "settings":
            (root / "audsql.toml").write_text('[project]\nname = "many"\ntimezone = "UTC"\n', "utf-8")
        case "environment":
            text = '[project]\nname = "many"\n[env.b.account.shop]\nendpoint = "sim"\n'
            (root / "audsql.toml").write_text(text, "utf-8")
            session.open_meaning(root)
            env = "b"
        case "file gone":
            (root / "main.aud").unlink()
    opened = session.open_meaning(root, env)
    assert not is_known(opened)
    assert same(opened, session.open_project(root, env))


def test_values_from_outside_and_used_files_are_read(root: Path, tmp_path: Path) -> None:
    (tmp_path / "common.aud").write_text("audience c = friends\n", "utf-8")
    (root / "use.aud").write_text('use "../common.aud" as common\n', "utf-8")
    session.open_meaning(root)
    assert not is_known(session.open_meaning(root))
    (root / "use.aud").unlink()
    session.open_meaning(root)
    assert is_known(session.open_meaning(root))
    (root / "parameter.aud").write_text("param days: number = 3\n", "utf-8")
    session.open_meaning(root)
    assert is_known(session.open_meaning(root))
    assert not is_known(session.open_meaning(root, None, Variables((Given("days", "5", "--var"),))))


def test_a_project_with_errors_says_them_again(root: Path) -> None:
    (root / "wrong.aud").write_text("audience w = nobody_knows\n", "utf-8")
    first = session.check(session.open_meaning(root))
    assert [one.code for one in first] == [one.code for one in session.check(session.open_project(root))]
    assert session.check(session.open_meaning(root)) == first


def test_who_stands_in_a_text_is_not_kept(root: Path) -> None:
    person = "U" + "0123456789abcdef" * 2
    (root / "person.aud").write_text(f"audience p = uploaded(buyers) # {person}\n", "utf-8")
    (root / "table.aud").write_text(
        f'table t {{ file: "t.csv" id: user_id  verb did by what }}\naudience q = did("{person}")\n', "utf-8"
    )
    session.open_meaning(root)
    assert not is_known(session.open_meaning(root))
    kept = [path.read_bytes() for path in user_cache._folder().rglob("*") if path.is_file()]
    assert not any(person.encode() in one for one in kept)


@pytest.mark.parametrize("damage", ["cut", "other", "shape"])
def test_what_is_damaged_is_not_believed(root: Path, damage: str) -> None:
    session.open_meaning(root)
    (path,) = user_cache._folder().glob("meaning-*")
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-10])
    elif damage == "other":
        path.write_bytes(content.replace(b"a59", b"a58"))
    else:
        key = json.loads(content.split(b"\n", 1)[1])["key"]
        value: Any = {"conditions": [], "nodes": [], "values": [[4_000]]}
        user_cache.write(known._KIND, key, value)
    opened = session.open_meaning(root)
    assert not is_known(opened)
    assert same(opened, session.open_project(root))
