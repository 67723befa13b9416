"""After any edit, what a plan is made of is what reading everything gives, however much of it was kept."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from audsql import session, user_cache
from audsql.session import known
from audsql.session.project import Opened, messages_of, spec_digest

HEAD = """\
account shop { token: env("T") }
upload buyers { file: "buyers.txt" id: user_id }
upload optout { file: "optout.txt" id: user_id }
table orders { file: "orders.csv" id: user_id time: time verb purchased by product }
message hello { text: "hello" }
policy house { always except uploaded(optout) }
"""
FILES, AUDIENCES_PER_FILE, DELIVERIES, ROUNDS = 4, 16, 5, 40
SEEDS = range(40 if os.environ.get("AUDSQL_SWEEP") else 2)


def expression(numbers: random.Random, before: int) -> str:
    """A set over a table and over an audience of a lower number; rarely one that a lint speaks of."""
    own = f"purchased(P{numbers.randrange(1_000)}, last {numbers.randrange(1, 99)} days)"
    other = f"a{numbers.randrange(before)}" if before else "uploaded(buyers)"
    return numbers.choice([own, own, f"{own} OR {other}", f"{own} EXCEPT {other}", f"{own} AND {other}"])


def audience(numbers: random.Random, at: int) -> str:
    described = numbers.choice(["", "", "# 常連の人\n"])
    return f"{described}audience a{at} = {expression(numbers, at)}\n"


def made(folder: Path, numbers: random.Random) -> None:
    folder.mkdir()
    (folder / "audsql.toml").write_text('[project]\nname = "many"\n', "utf-8")
    sent = [
        f"# 便{at}\ndelivery d{at} {{ to: a{numbers.randrange(FILES * AUDIENCES_PER_FILE)}  send: hello"
        f"  at: 2026-12-0{1 + at} 10:00 }}\n"
        for at in range(DELIVERIES)
    ]
    (folder / "main.aud").write_text(HEAD + "".join(sent), "utf-8")
    for file in range(FILES):
        first = file * AUDIENCES_PER_FILE
        lines = [audience(numbers, at) for at in range(first, first + AUDIENCES_PER_FILE)]
        (folder / f"{file}.aud").write_text("".join(lines), "utf-8")


def edit(folder: Path, numbers: random.Random) -> None:
    """Mostly another set in an audience; at times whatever else people do to a file."""
    path = folder / f"{numbers.randrange(FILES)}.aud"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    row = numbers.randrange(len(lines))
    number = next((word[1:] for word in lines[row].split()[1:2] if word[1:].isdecimal()), "0")
    match numbers.choice(
        [*["set"] * 8, "comment", "gone", "name", "swap", "circle", "error", *["warning"] * 2, "head", "words"]
    ):
        case "set":
            lines[row] = audience(numbers, int(number))
        case "comment":
            lines.insert(row, "# うるう年の人\n")
        case "gone":
            del lines[row]
        case "name":
            lines[row] = lines[row].replace(f"a{number}", f"b{number}", 1)
        case "swap":
            lines[0], lines[row] = lines[row], lines[0]
        case "circle":
            lines[row] = f"audience a{number} = a{number} OR a{(int(number) + 1) % 64}\n"
        case "error":
            lines[row] = f"audience a{number} = purchased(\n"
        case "warning":
            lines[row] = f"audience a{number} = (uploaded(buyers) AND NOT uploaded(buyers)) OR uploaded(optout)\n"
        case "head":
            head = folder / "main.aud"
            head.write_text(head.read_text("utf-8").replace("10:00", f"1{numbers.randrange(9)}:00", 1), "utf-8")
        case "words":
            lines[row] = f"audience a{number} = a{numbers.randrange(64)}\n"
    path.write_text("".join(lines), "utf-8")


def everything(opened: Opened) -> tuple[Any, ...]:
    """All that a plan takes of the specs, to places and texts."""
    assert opened.analysis is not None
    messages, problems = messages_of(opened)
    own = (repr(opened.analysis.project), opened.diagnostics, opened.findings, repr(session.check(opened)))
    return *own, spec_digest(opened, messages), problems, opened.texts == opened.sources, repr(opened.config)


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each time that something was not known: whether it came of an edit of what was."""
    found: list[bool] = []
    original = known._after_edit

    def told(*arguments: Any) -> Any:
        result = original(*arguments)
        found.append(result is not None)
        return result

    monkeypatch.setattr(known, "_after_edit", told)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_an_edited_project_means_what_reading_it_gives(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, joined: list[bool]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    numbers = random.Random(seed)
    folder = tmp_path / "project"
    made(folder, numbers)
    session.open_meaning(folder)
    sound = {path: path.read_bytes() for path in folder.iterdir()}
    for _ in range(ROUNDS):
        edit(folder, numbers)
        whole = session.open_project(folder)
        assert everything(session.open_meaning(folder)) == everything(whole)
        if whole.findings or whole.diagnostics:
            # Back to what had no problem: else most rounds would have one.
            for path, content in sound.items():
                path.write_bytes(content)
            assert everything(session.open_meaning(folder)) == everything(session.open_project(folder))
        else:
            sound = {path: path.read_bytes() for path in folder.iterdir()}
    assert sum(joined) > ROUNDS // 8, "hardly anything was tried"


def test_a_warning_of_an_edit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    made(folder, random.Random(7))
    session.open_meaning(folder)
    lines = (folder / "0.aud").read_text("utf-8").splitlines()
    row = next(at for at, line in enumerate(lines) if line.startswith("audience a5 "))
    lines[row] = "audience a5 = (uploaded(buyers) AND NOT uploaded(buyers)) OR uploaded(optout)"
    (folder / "0.aud").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    whole = session.open_project(folder)
    assert whole.findings
    assert everything(session.open_meaning(folder)) == everything(whole)


@pytest.mark.parametrize("damage", ["rows", "files", "of", "meaning"])
def test_a_damaged_outline_is_not_believed(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, joined: list[bool]
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    folder = tmp_path / "project"
    made(folder, random.Random(7))
    session.open_meaning(folder)
    (path,) = cache.glob("audsql/outline-*")
    kept = json.loads(path.read_bytes().split(b"\n", 1)[1])
    match damage:
        case "rows":
            kept["value"]["rows"] = {name: [[1]] for name in kept["value"]["rows"]}
        case "files":
            del kept["value"]["files"]
        case "of":
            kept["value"]["of"] = "another"
        case "meaning":
            (other,) = cache.glob("audsql/meaning-*")
            other.write_bytes(b"")
    user_cache.write("outline", kept["key"], kept["value"])
    text = (folder / "0.aud").read_text("utf-8")
    (folder / "0.aud").write_text(text.replace(text.splitlines()[3], "audience a3 = uploaded(buyers)"), "utf-8")
    assert everything(session.open_meaning(folder)) == everything(session.open_project(folder))
    assert not any(joined)
