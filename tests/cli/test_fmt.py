"""`audsql fmt`: files, stdin, --check, --fix."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from audsql.cli.app import run
from audsql.cli.exits import Code

Captured = pytest.CaptureFixture[str]
LOOSE = b"audience x=friends   and gender(female)\n"
NEAT = b"audience x = friends AND gender(female)\n"


def test_files_are_formatted_in_place(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.aud").write_bytes(LOOSE)
    (tmp_path / "b.aud").write_bytes(NEAT)
    before = (tmp_path / "b.aud").stat().st_mtime_ns
    assert run(["fmt", "--project", str(tmp_path)]) == 0
    assert (tmp_path / "a.aud").read_bytes() == NEAT
    assert (tmp_path / "b.aud").stat().st_mtime_ns == before
    assert "a.aud" in capsys.readouterr().err
    assert run(["fmt", "--check", "--project", str(tmp_path)]) == 0


def test_check_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.aud").write_bytes(LOOSE)
    assert run(["fmt", "--check", "--project", str(tmp_path)]) == Code.FINDINGS
    assert (tmp_path / "a.aud").read_bytes() == LOOSE
    assert os.listdir(tmp_path) == ["a.aud"]


def test_named_files(tmp_path: Path) -> None:
    (tmp_path / "a.aud").write_bytes(LOOSE)
    (tmp_path / "b.aud").write_bytes(LOOSE)
    assert run(["fmt", str(tmp_path / "a.aud")]) == 0
    assert (tmp_path / "a.aud").read_bytes() == NEAT
    assert (tmp_path / "b.aud").read_bytes() == LOOSE


def standard_input(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    standard_input(LOOSE, monkeypatch)
    assert run(["fmt", "-"]) == 0
    assert capsys.readouterr().out == NEAT.decode()
    standard_input(LOOSE, monkeypatch)
    assert run(["fmt", "--check", "-"]) == Code.FINDINGS
    assert capsys.readouterr().out == ""
    standard_input(b"\xff", monkeypatch)
    assert run(["fmt", "-"]) == Code.ERROR
    assert "error[AUD0003]" in capsys.readouterr().err


def test_line_ends_stay(tmp_path: Path) -> None:
    (tmp_path / "a.aud").write_bytes(LOOSE.replace(b"\n", b"\r\n"))
    assert run(["fmt", "--project", str(tmp_path)]) == 0
    assert (tmp_path / "a.aud").read_bytes() == NEAT.replace(b"\n", b"\r\n")


def test_what_cannot_be_read_stays(tmp_path: Path, capsys: Captured) -> None:
    broken = b"audience y = (friends\n"
    (tmp_path / "a.aud").write_bytes(broken + LOOSE)
    assert run(["fmt", "--project", str(tmp_path)]) == Code.ERROR
    assert (tmp_path / "a.aud").read_bytes() == broken + NEAT
    assert "error[AUD01" in capsys.readouterr().err


def test_fix_makes_full_width_forms_plain(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.aud").write_text("audience x = friends　AND　gender（female）\n", encoding="utf-8")
    assert run(["fmt", "--project", str(tmp_path)]) == Code.ERROR
    capsys.readouterr()
    assert run(["fmt", "--fix", "--project", str(tmp_path)]) == 0
    assert (tmp_path / "a.aud").read_bytes() == NEAT
    assert "error" not in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.aud").write_bytes(LOOSE)
    tmp_path.chmod(0o500)
    try:
        assert run(["fmt", "--project", str(tmp_path)]) == Code.ERROR
    finally:
        tmp_path.chmod(0o700)
    assert "error[AUD0031]" in capsys.readouterr().err
    assert (tmp_path / "a.aud").read_bytes() == LOOSE
