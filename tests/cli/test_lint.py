"""`audsql lint`, `[lint]` of audsql.toml, and `--fix` of `lint` and `check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audsql.cli.app import run
from audsql.cli.exits import Code
from audsql.config import parse_config
from audsql.session import linting, open_project
from audsql.session.linting import lint, repair

Captured = pytest.CaptureFixture[str]
LISTS = (
    'upload a { file: "a.txt"  id: user_id }\nupload b { file: "b.txt"  id: user_id }\n'
    'upload c { file: "c.txt"  id: user_id }\n'
)
IDLE = "audience x = uploaded(a) AND (uploaded(a) OR uploaded(b))\n"
NEAT = "audience x = uploaded(a)\n"


def write(folder: Path, text: str, config: str = "") -> Path:
    (folder / "spec.aud").write_text(text, encoding="utf-8", newline="")
    (folder / "audsql.toml").write_text(config, encoding="utf-8")
    return folder / "spec.aud"


def lint_of(folder: Path, *options: str) -> int:
    return run(["lint", "--project", str(folder), *options])


def test_warnings_alone_exit_0(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, LISTS + IDLE)
    assert lint_of(tmp_path) == Code.DONE
    shown = capsys.readouterr()
    assert "warning[AUD0511]" in shown.err
    assert shown.out == ""
    assert run(["check", "--project", str(tmp_path)]) == Code.DONE
    assert "AUD0511" not in capsys.readouterr().err


def test_japanese(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, LISTS + IDLE)
    assert lint_of(tmp_path, "--lang", "ja") == Code.DONE
    assert "何も変えません" in capsys.readouterr().err


def test_a_lint_can_be_an_error(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, LISTS + IDLE, '[lint]\nerror = ["AUD0511"]\n')
    assert lint_of(tmp_path) == Code.FINDINGS
    assert "error[AUD0511]" in capsys.readouterr().err
    assert run(["check", "--project", str(tmp_path)]) == Code.DONE


def test_a_lint_can_be_silenced(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, LISTS + IDLE, '[lint]\nignore = ["AUD0511"]\n')
    assert lint_of(tmp_path, "--json") == Code.DONE
    assert json.loads(capsys.readouterr().out)["diagnostics"] == []


def test_check_is_silenced_as_well(tmp_path: Path, capsys: Captured) -> None:
    text = 'account shop { token: env("T") }\naudience x = friends EXCEPT gender(female)\n'
    write(tmp_path, text)
    assert run(["check", "--project", str(tmp_path)]) == Code.DONE
    assert "AUD0503" in capsys.readouterr().err
    assert lint_of(tmp_path) == Code.DONE
    assert "AUD0503" in capsys.readouterr().err
    write(tmp_path, text, '[lint]\nignore = ["AUD0503"]\n')
    assert run(["check", "--project", str(tmp_path)]) == Code.DONE
    assert lint_of(tmp_path) == Code.DONE
    assert "AUD0503" not in capsys.readouterr().err


def test_errors_are_shown_instead(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, LISTS + IDLE + "audience y = uploaded(d)\n", '[lint]\nerror = ["AUD0511"]\n')
    assert lint_of(tmp_path) == Code.ERROR
    shown = capsys.readouterr().err
    assert "AUD0207" in shown
    assert "AUD0511" not in shown


@pytest.mark.parametrize("form", ["concise", "json", "github", "sarif"])
def test_machine_formats_go_to_stdout(form: str, tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, LISTS + IDLE)
    assert lint_of(tmp_path, "--format", form) == Code.DONE
    shown = capsys.readouterr()
    assert "AUD0511" in shown.out
    assert shown.err == ""


def test_no_project(tmp_path: Path, capsys: Captured) -> None:
    assert lint_of(tmp_path / "none") == Code.ERROR
    assert lint_of(tmp_path / "none", "--fix") == Code.ERROR
    assert "AUD0001" in capsys.readouterr().err


# --- [lint] -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ('[lint]\nignore = ["AUD0511", "AUD0503"]\nerror = ["AUD0515"]\n', []),
        ('[lint]\nignore = ["AUD0599"]\n', ["AUD0046"]),
        ('[lint]\nerror = ["AUD0201"]\n', ["AUD0046"]),
        ('[lint]\nignore = ["AUD0511"]\nerror = ["AUD0511"]\n', ["AUD0047"]),
        ('[lint]\nignore = "AUD0511"\n', ["AUD0012"]),
        ("[lint]\nignore = [511]\n", ["AUD0012"]),
        ("lint = true\n", ["AUD0012"]),
        ("[lint]\nignored = []\n", ["AUD0011"]),
        ('[env.staging.lint]\nignore = ["AUD0511"]\n', ["AUD0011"]),
    ],
)
def test_settings(text: str, codes: list[str]) -> None:
    assert [one.code for one in parse_config(text, "folder", None)[1]] == codes


def test_a_misspelt_code_is_near_the_right_one() -> None:
    _, problems = parse_config('[lint]\nignore = ["AUD511"]\n', "folder", None)
    assert [one.fact("near") for one in problems] == ["AUD0511"]


# --- --fix ------------------------------------------------------------------------------------------


def test_fix_writes_and_says_so(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, LISTS + IDLE)
    (tmp_path / "other.aud").write_text(f"audience y = {'uploaded(b)'}\n")
    before = (tmp_path / "other.aud").stat().st_mtime_ns
    assert lint_of(tmp_path, "--fix") == Code.DONE
    assert path.read_text() == LISTS + NEAT
    assert "spec.aud" in capsys.readouterr().err
    assert (tmp_path / "other.aud").stat().st_mtime_ns == before
    assert sorted(one.name for one in tmp_path.iterdir() if one.is_file()) == ["audsql.toml", "other.aud", "spec.aud"]
    assert lint_of(tmp_path, "--fix") == Code.DONE
    assert "spec.aud" not in capsys.readouterr().err


def test_line_ends_and_comments_stay(tmp_path: Path) -> None:
    path = write(tmp_path, (LISTS + "# kept\n" + IDLE).replace("\n", "\r\n"))
    assert lint_of(tmp_path, "--fix") == Code.DONE
    assert path.read_bytes().decode() == (LISTS + "# kept\n" + NEAT).replace("\n", "\r\n")


def test_one_fix_uncovers_the_next(tmp_path: Path) -> None:
    path = write(tmp_path, LISTS + "audience x = (uploaded(a) AND (uploaded(b) AND uploaded(b))) AND uploaded(a)\n")
    assert lint_of(tmp_path, "--fix") == Code.DONE
    assert "uploaded(b)" in path.read_text()
    assert lint(open_project(tmp_path)).diagnostics == ()


def test_unsafe_fixes_are_left_to_people(tmp_path: Path) -> None:
    text = LISTS + (
        "audience core = uploaded(a) AND uploaded(b) AND uploaded(c)\n"
        "audience more = (uploaded(c) AND uploaded(a) AND uploaded(b)) OR uploaded(d)\n"
        'upload d { file: "d.txt"  id: user_id }\n'
    )
    path = write(tmp_path, text)
    assert [one.code for one in lint(open_project(tmp_path)).diagnostics] == ["AUD0514"]
    assert lint_of(tmp_path, "--fix") == Code.DONE
    assert path.read_text() == text


def test_a_silenced_lint_fixes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, LISTS + IDLE, '[lint]\nignore = ["AUD0511"]\n')
    assert lint_of(tmp_path, "--fix") == Code.DONE
    assert path.read_text() == LISTS + IDLE


def test_used_files_are_neither_told_of_nor_written(tmp_path: Path) -> None:
    shared, project = tmp_path / "shared.aud", tmp_path / "shop"
    project.mkdir()
    shared.write_text(LISTS + IDLE + "audience y = uploaded(ｂ)\n".replace("ｂ", "b"))
    write(project, 'use "../shared.aud" as common\naudience z = common.x AND uploaded(common.a)\n')
    text = shared.read_text()
    assert [one.code for one in lint(open_project(project)).diagnostics] == []
    assert lint_of(project, "--fix") == Code.DONE
    assert run(["check", "--fix", "--project", str(project)]) == Code.DONE
    assert shared.read_text() == text


def test_check_fix_repairs_syntax_only(tmp_path: Path) -> None:
    path = write(tmp_path, LISTS + IDLE.replace("(uploaded(a) OR", "（uploaded(a) OR"))
    assert run(["check", "--project", str(tmp_path)]) == Code.ERROR
    assert run(["check", "--fix", "--project", str(tmp_path)]) == Code.DONE
    assert path.read_text() == LISTS + IDLE


def test_what_check_fix_cannot_repair_is_told(tmp_path: Path, capsys: Captured) -> None:
    text = LISTS + "audience x = uploaded(d)\n"
    path = write(tmp_path, text)
    assert run(["check", "--fix", "--project", str(tmp_path)]) == Code.ERROR
    assert "AUD0207" in capsys.readouterr().err
    assert path.read_text() == text


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, LISTS + IDLE)
    monkeypatch.setattr("os.replace", _refuse)
    assert lint_of(tmp_path, "--fix") == Code.ERROR
    assert "AUD0031" in capsys.readouterr().err
    assert path.read_text() == LISTS + IDLE


def _refuse(*_: object) -> None:
    raise PermissionError(13, "refused")


def test_a_round_that_makes_errors_is_not_made(tmp_path: Path) -> None:
    from audsql.diag import fix, warning

    write(tmp_path, LISTS + NEAT)

    def breaking(opened):  # type: ignore[no-untyped-def]
        assert opened.analysis is not None
        span = opened.analysis.scope.symbols.names["a"].span
        return [warning("AUD0524", span, fixes=[fix(span, "gone")], name="a")]

    assert repair(tmp_path, find=breaking) == linting.Repaired()


def test_rounds_come_to_an_end(tmp_path: Path) -> None:
    from audsql.diag import fix, warning
    from audsql.source import Span

    write(tmp_path, NEAT.replace("uploaded(a)", "uploaded(a)") + LISTS)

    def growing(opened):  # type: ignore[no-untyped-def]
        place = Span("spec.aud", 0, 0)
        return [warning("AUD0524", place, fixes=[fix(place, "# again\n")], name="a")]

    done = repair(tmp_path, find=growing)
    assert done.texts["spec.aud"].count("# again\n") == linting.ROUNDS_MAX
    assert done.fixes == {"spec.aud": linting.ROUNDS_MAX}
