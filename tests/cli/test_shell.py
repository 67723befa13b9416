"""The command line as a user meets it: streams, exit codes, languages, ways out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audsql import __version__
from audsql.cli.app import run
from audsql.cli.console import language_of, write_file
from audsql.cli.exits import Code, code_of
from audsql.cli.options import parse_as_of
from audsql.diag import error, warning

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUDSQL_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def audsql(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "audsql", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_version(capsys: Captured) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr() == (f"audsql {__version__}\n", "")
    assert run(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == __version__


def test_help_goes_to_stdout_and_nothing_at_all_is_usage(capsys: Captured) -> None:
    assert run(["--help"]) == 0
    assert "Commands:" in capsys.readouterr().out
    assert run([]) == Code.USAGE
    out, err = capsys.readouterr()
    assert (out, "Commands:" in err) == ("", True)


@pytest.mark.parametrize(
    ("arguments", "code", "near"),
    [
        (["pln"], "AUD0060", "did you mean `audsql plan`?"),
        (["plan", "--as-off", "x"], "AUD0061", "did you mean `--as-of`?"),
        (["eval"], "AUD0062", "EXPRESSION"),
        (["check", "--format", "xml"], "AUD0062", "xml"),
        (["pause"], "AUD0062", "note: `--reason` is missing"),
        (["diff", "HEAD"], "AUD0062", "note: `HEAD` is one argument too many"),
        (["apply", "--retry"], "AUD0062", "`audsql apply` was not understood"),
        (["apply", "p", "--as-of", "2026-11-21"], "AUD0051", "--as-of"),
        (["explain", "AUD00033"], "AUD0041", "AUD0003"),
    ],
)
def test_usage(arguments: list[str], code: str, near: str, capsys: Captured) -> None:
    assert run(arguments) == Code.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert f"error[{code}]" in err
    assert near in err


def test_usage_in_japanese(capsys: Captured) -> None:
    assert run(["pln", "--lang", "ja"]) == Code.USAGE
    assert capsys.readouterr().err.startswith("エラー[AUD0060]: コマンド `pln` はありません\n")
    for arguments, note in (["pause"], "`--reason` がありません"), (["diff", "HEAD"], "`HEAD` は余分な引数です"):
        assert run([*arguments, "--lang", "ja"]) == Code.USAGE
        assert f"補足: {note}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "configured", "environment", "language"),
    [
        ("ja", "en", {"AUDSQL_LANG": "en"}, "ja"),
        (None, "en", {"AUDSQL_LANG": "ja"}, "ja"),
        (None, "ja", {"LANG": "en_US.UTF-8"}, "ja"),
        (None, None, {"LANG": "ja_JP.UTF-8"}, "ja"),
        (None, None, {"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, "en"),
        (None, None, {"AUDSQL_LANG": "fr"}, "en"),
    ],
)
def test_language(option: str | None, configured: str | None, environment: dict[str, str], language: str) -> None:
    assert language_of(option, configured, environment) == language


@pytest.mark.scenario(48)
def test_apply_without_a_terminal_does_no_work(tmp_path: Path) -> None:
    (tmp_path / "x.aud").write_text("this is not read\n")
    done = audsql("apply", "--project", str(tmp_path), stdin=subprocess.DEVNULL)
    assert done.returncode == Code.USAGE
    assert done.stdout == ""
    assert "error[AUD0050]" in done.stderr
    assert os.listdir(tmp_path) == ["x.aud"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21", "2026-11-21T00:00:00+09:00"),
        ("2026-11-21 10:00", "2026-11-21T10:00:00+09:00"),
        ("2026-11-21T10:00:00+09:00", "2026-11-21T10:00:00+09:00"),
        ("2026-11-21T01:00Z", "2026-11-21T01:00:00+00:00"),
    ],
)
def test_as_of(text: str, expected: str) -> None:
    moment = parse_as_of(text, "Asia/Tokyo")
    assert moment is not None
    assert moment.isoformat() == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-11-21 25:00", "21.11.2026"])
def test_as_of_that_is_no_date(text: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "x.aud").write_text("")
    assert run(["plan", "--project", str(tmp_path), "--as-of", text]) == Code.USAGE
    assert "error[AUD0040]" in capsys.readouterr().err


def test_exit_codes() -> None:
    wrong, refused, usage = error("AUD0003", None), error("AUD0700", None), error("AUD0020", None)
    assert code_of([]) == Code.DONE
    assert code_of([warning("AUD0700", None)]) == Code.DONE
    assert code_of([wrong, refused]) == Code.ERROR
    assert code_of([refused]) == Code.REFUSED
    assert code_of([usage]) == Code.USAGE


# --- explain, completion, sim -----------------------------------------------------------------------


def test_explain_a_code(capsys: Captured) -> None:
    assert run(["explain", "aud0003"]) == 0
    assert capsys.readouterr().out.startswith("AUD0003: `...` is not UTF-8\n")
    assert run(["explain", "AUD0003", "--json", "--lang", "ja"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == "AUD0003"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    done = audsql("completion", shell)
    assert done.returncode == 0
    assert "_AUDSQL_COMPLETE" in done.stdout


def test_completion_offers_commands() -> None:
    environment = {**os.environ, "_AUDSQL_COMPLETE": "bash_complete", "COMP_WORDS": "audsql ex", "COMP_CWORD": "1"}
    assert audsql(env=environment).stdout.splitlines() == ["plain,explain", "plain,export"]


@pytest.mark.parametrize(
    ("content", "code"),
    [("", "AUD0070"), ("[1]", "AUD0070"), ('{"now": "x", "accounts": {}}', "AUD0070"), (None, "AUD0005")],
)
def test_worlds_that_cannot_be_read(content: str | None, code: str, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "world.json"
    if content is not None:
        path.write_text(content)
    assert run(["sim", "--world", str(path)]) == Code.ERROR
    assert f"error[{code}]" in capsys.readouterr().err


# --- ways out ---------------------------------------------------------------------------------------


@pytest.mark.threat("T65")
def test_a_bug_is_reported_without_data(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    from audsql import catalog

    def broken(code: str) -> None:
        raise ZeroDivisionError("U0123456789abcdef0123456789abcdef")

    entry = catalog.entry
    monkeypatch.setattr(catalog, "entry", lambda code: broken(code) if code == "AUD0003" else entry(code))
    assert run(["explain", "AUD0003"]) == Code.BUG
    out, err = capsys.readouterr()
    assert out == ""
    assert "error[AUD9901]" in err
    assert "ZeroDivisionError" in err
    assert "cli/explain.py:" in err
    assert "U0123" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption(number: signal.Signals) -> None:
    program = (
        "import sys, time; from audsql.cli import app, version;"
        "from audsql.cli.console import emit;"
        "version.emit = lambda text: (sys.stdout.write('go\\n'), sys.stdout.flush(), time.sleep(60));"
        "sys.exit(app.run(['version']))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"go\n"
    time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == Code.INTERRUPTED
    assert b"Traceback" not in err


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = f"{sys.executable} -m audsql explain AUD0003; echo $? >&2"
    done = subprocess.run(["sh", "-c", f"({program}) | true"], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "0"


def test_a_full_disk_is_an_error_not_a_bug() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "audsql", "version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == Code.ERROR
    assert "error[AUD0031]" in done.stderr


def test_output_that_cannot_be_encoded_is_escaped() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = audsql("pln", "--lang", "ja", env=environment)
    assert done.returncode == Code.USAGE
    assert "AUD0060" in done.stderr


# --- files ------------------------------------------------------------------------------------------


def test_files_are_whole_or_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("before")
    path.chmod(0o640)
    assert write_file(path, b"after") == ()
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["x.txt"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("before")
    (tmp_path / "link.txt").symlink_to("real.txt")
    assert write_file(tmp_path / "link.txt", b"after") == ()
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_bytes() == b"after"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (found,) = write_file(tmp_path / "missing" / "x.txt", b"x", shown="x.txt")
    assert (found.code, found.fact("path")) == ("AUD0031", "x.txt")
    (tmp_path / "folder").mkdir()
    (found,) = write_file(tmp_path / "folder", b"x")
    assert found.code == "AUD0031"
    assert sorted(os.listdir(tmp_path)) == ["folder"]


# --- init -------------------------------------------------------------------------------------------


def test_init_overwrites_nothing(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "spring.aud").write_text("mine\n")
    assert run(["init", "--project", str(tmp_path)]) == Code.ERROR
    assert "error[AUD0030]" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["spring.aud"]


def test_init_leaves_a_gitignore_alone(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    assert run(["init", "--project", str(tmp_path)]) == 0
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    assert "add `.audsql/` to .gitignore" in capsys.readouterr().err
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = "audsql.toml data/buyers.txt data/optout.txt data/orders.csv messages/coupon.json spring.aud world.json"
    assert names == {".gitignore", *expected.split()}


def test_init_ignores_what_never_belongs_into_git(tmp_path: Path) -> None:
    assert run(["init", "--project", str(tmp_path / "new" / "shop")]) == 0
    assert ".audsql/" in (tmp_path / "new" / "shop" / ".gitignore").read_text().splitlines()
