"""`audsql apply` on a terminal: the plan is shown, and only `yes` is taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audsql.cli.app import run
from audsql.cli.exits import Code

pty = pytest.importorskip("pty")


def apply_on_a_terminal(project: Path, answer: str) -> tuple[int, str]:
    """The exit code and all output of an apply whose stdin is a terminal."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "audsql", "apply", "--project", str(project)]
    environment = {**os.environ, "LINE_CHANNEL_ACCESS_TOKEN": "sim-token", "AUDSQL_LANG": "en"}
    process = subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
    )
    os.write(controller, f"{answer}\n".encode())
    output, _ = process.communicate(timeout=120)
    os.close(controller)
    os.close(terminal)
    return process.returncode, output


def test_only_yes_is_taken(tmp_path: Path) -> None:
    assert run(["init", "--project", str(tmp_path)]) == 0
    for answer in ("y", ""):
        code, output = apply_on_a_terminal(tmp_path, answer)
        assert code == Code.REFUSED, output
        assert "Plan: 2 to add" in output
        assert "Nothing was applied." in output
    assert not (tmp_path / ".audsql" / "state.sqlite").exists()
    code, output = apply_on_a_terminal(tmp_path, "yes")
    assert code == 0, output
    assert "Apply complete!" in output
