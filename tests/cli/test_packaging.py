"""The built wheel holds everything that a run needs, and runs from where it was unpacked."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import audsql

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "audsql"

FIND_BOTH = """
import audsql, sys
from audsql import catalog
from audsql.syntax.table import parse_table
assert audsql.__file__.startswith(sys.argv[1]), audsql.__file__
parse_table()
print(len(catalog.codes()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree as it stands, without the network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_grammar_catalogue_and_template(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "audsql/_grammar/audsql.lark" in names
    assert "audsql/py.typed" in names
    for folder, pattern in (("catalog", "*.toml"), ("cli/template", "**/*")):
        for path in (PACKAGE / folder).glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"audsql/{path.relative_to(PACKAGE).as_posix()}" in names
    assert not [name for name in names if name.startswith(("tests/", "specs/")) or name.endswith(".pyc")]


def test_wheel_has_the_console_script(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    assert "audsql = audsql.cli:main" in archive.read(name).decode()


def test_unpacked_wheel_finds_grammar_and_catalogue(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", FIND_BOTH, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(list((PACKAGE / "catalog").glob("AUD*.toml")))
    project = tmp_path / "shop"
    for arguments in (["init", "--project", str(project)], ["check", "--project", str(project)]):
        command = [sys.executable, "-m", "audsql", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_editable_install_finds_grammar_and_catalogue() -> None:
    assert Path(audsql.__file__).parent == PACKAGE
    done = subprocess.run([sys.executable, "-c", FIND_BOTH, str(PACKAGE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
