"""Values of parameters on the command line, and files that are used, as a user meets them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from audsql.cli.app import run
from audsql.session.project import open_project, spec_digest
from audsql.session.variables import read_variables

SPEC = """
account shop { token: env("LINE_TOKEN") }
table orders { file: "orders.csv"  id: user_id  time: at  verb purchased by product }
param window: duration
param products: list = [A]
audience recent = purchased(products, last window)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "audsql.toml").write_text('[project]\nname = "shop"\n')
    (folder / "shop.aud").write_text(SPEC)
    return folder


def check(project: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    run(["check", "--project", str(project), "--json", *options])
    return [one["code"] for one in json.loads(capsys.readouterr().out)["diagnostics"]]


def test_every_source_of_values(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(project, capsys) == ["AUD0220"]
    values = project / "values.toml"
    values.write_text('window = "9 days"\n')
    assert check(project, capsys, "--var-file", str(values)) == []
    assert check(project, capsys, "--var", "window=9 days", "--var", "products=A, B") == []
    monkeypatch.setenv("AUDSQL_VAR_window", "9 days")
    assert check(project, capsys) == []
    values.write_text('window = "soon"\n')
    assert check(project, capsys, "--var-file", str(values)) == ["AUD0221"]
    assert check(project, capsys, "--var-file", str(values), "--var", "window=3 days") == []


def test_a_wrong_name_is_told_before_its_value_is_lost(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(project, capsys, "--var", "window=9 days", "--var", "product=B") == ["AUD0223"]


@pytest.mark.parametrize(("option", "code"), [("window", "AUD0248"), ("=9 days", "AUD0248")])
def test_an_option_that_is_no_value(project: Path, capsys: pytest.CaptureFixture[str], option: str, code: str) -> None:
    assert code in check(project, capsys, "--var", option)


def test_a_file_of_values_that_cannot_be_read(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = project / "values.toml"
    assert "AUD0005" in check(project, capsys, "--var-file", str(values))
    values.write_text("window: 9 days\n")
    assert "AUD0248" in check(project, capsys, "--var-file", str(values))


def test_a_secret_is_in_no_message(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["check", "--project", str(project), "--var", "window=s3cr3t", "--var", "other=s3cr3t", "--var", "s3cr3t"])
    out, err = capsys.readouterr()
    assert "s3cr3t" not in out + err
    assert "AUD0221" in err


def test_what_check_remembers_is_of_these_values(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(project, capsys, "--var", "window=9 days") == []
    assert check(project, capsys, "--var", "window=soon") == ["AUD0221"]
    assert check(project, capsys, "--var", "window=9 days") == []


def test_what_check_remembers_is_of_these_used_files(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "shop.aud").write_text('use "../common/c.aud" as common\naudience a = uploaded(common.buyers)\n')
    assert check(project, capsys) == ["AUD0005"]
    common = project.parent / "common"
    common.mkdir()
    (common / "c.aud").write_text('upload buyers { file: "buyers.txt"  id: user_id }\n')
    assert check(project, capsys) == []
    (common / "c.aud").write_text('upload buyer { file: "buyers.txt"  id: user_id }\n')
    assert check(project, capsys) == ["AUD0207"]


def test_the_digest_of_the_specs_covers_used_files_and_values(project: Path) -> None:
    (project / "shop.aud").write_text(SPEC + 'use "../c.aud" as common\n')
    used = project.parent / "c.aud"
    used.write_text('upload buyers { file: "buyers.txt"  id: user_id }\n')

    def digest(value: str) -> str:
        opened = open_project(project, variables=read_variables([f"window={value}"], None, {}))
        return spec_digest(opened, {})

    first = digest("9 days")
    assert digest("9 days") == first
    assert digest("8 days") != first
    used.write_text('upload buyers { file: "others.txt"  id: user_id }\n')
    assert digest("9 days") != first


def test_a_used_file_is_told_of_in_its_own_text(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project.parent / "c.aud").write_text("audience old = age(32..39)\n")
    (project / "shop.aud").write_text('use "../c.aud" as common\n')
    run(["check", "--project", str(project)])
    shown = capsys.readouterr().err
    assert "../c.aud:1:" in shown
    assert "audience old = age(32..39)" in shown


@pytest.mark.parametrize("kind", ["folder", "pipe", "big", "binary", "missing"])
def test_a_used_file_that_is_no_text(project: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    used = project.parent / "c.aud"
    if kind == "folder":
        used.mkdir()
    elif kind == "pipe":
        os.mkfifo(used)
    elif kind == "big":
        used.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    elif kind == "binary":
        used.write_bytes(b"\0\1")
    (project / "shop.aud").write_text('use "../c.aud" as common\naudience a = common.x\n')
    run(["check", "--project", str(project), "--json"])
    (problem,) = json.loads(capsys.readouterr().out)["diagnostics"]
    wanted = {"folder": "AUD0007", "pipe": "AUD0007", "big": "AUD0004", "binary": "AUD0008", "missing": "AUD0005"}
    assert problem["code"] == wanted[kind]
    assert problem["path"] == "shop.aud"
    assert problem["start"] == {"line": 1, "column": 5}


def test_a_link_does_not_make_an_endless_circle(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = project.parent / "common"
    common.mkdir()
    (common / "loop").symlink_to(common, target_is_directory=True)
    (common / "c.aud").write_text('use "loop/c.aud" as again\n')
    (project / "shop.aud").write_text('use "../common/c.aud" as common\n')
    assert check(project, capsys) == ["AUD0244"]


def test_data_of_a_used_file_lies_below_its_folder_and_nowhere_else(project: Path, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from audsql.session.sets import evaluate

    common = project.parent / "common"
    common.mkdir()
    person = "U" + "0" * 31 + "1"
    (common / "buyers.txt").write_text(f"{person}\n")
    (project.parent / "other.txt").write_text(f"{person}\n")
    lists = [
        f'upload {name} {{ file: "{file}"  id: user_id }}\n'
        for name, file in (("a", "buyers.txt"), ("b", "../other.txt"))
    ]
    (common / "c.aud").write_text("".join(lists))
    (project / "shop.aud").write_text(
        'use "../common/c.aud" as common\nupload mine { file: "../common/buyers.txt"  id: user_id }\n'
    )
    opened = open_project(project)
    moment = datetime(2026, 12, 1, tzinfo=UTC)
    out = tmp_path / "out"
    document, _ = evaluate(opened, "uploaded(common.a)", moment, out)
    assert document is not None
    assert out.read_text().split() == [person]
    for name in ("common.b", "mine"):
        document, problems = evaluate(opened, f"uploaded({name})", moment, tmp_path / "none")
        assert document is None
        assert "AUD1003" in {one.code for one in problems}


def test_commands_take_values(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["test", "--project", str(project), "--var", "window=9 days", "--json"])
    assert json.loads(capsys.readouterr().out)["tests"] == []
    for command in ("check", "test", "plan", "apply", "eval", "explain", "graph", "status", "run"):
        run([command, "--help"])
        assert "--var-file" in capsys.readouterr().out, command


def test_fmt_leaves_used_files_alone(project: Path) -> None:
    used = project.parent / "c.aud"
    used.write_text('upload   buyers {file:"b.txt" id:user_id}\n')
    (project / "shop.aud").write_text('use   "../c.aud" as common\n')
    run(["fmt", "--project", str(project)])
    assert used.read_text() == 'upload   buyers {file:"b.txt" id:user_id}\n'
    assert (project / "shop.aud").read_text() == 'use "../c.aud" as common\n'
