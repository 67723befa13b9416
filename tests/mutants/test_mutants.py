"""The mutation tester on a toy: what is tested is killed, what is not survives, each told with its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mutations import compiled, mutants_of

TOY = '''"""A toy."""
from __future__ import annotations


def larger(left: int, right: int) -> int:
    """The larger of both."""
    return left if left > right else right


def often(count: int, step: int = 2) -> int:
    while count < 10:
        count += step
    return count


def unseen(flag: bool) -> str:
    return "yes" if flag else "no"
'''
TESTS = """
from toy.toy import larger, often


def test_larger():
    assert larger(1, 2) == 2
    assert larger(3, 2) == 3


def test_often():
    assert often(1) in (10, 11, 12)
"""


def test_a_toy(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").write_text("")
    (tmp_path / "toy" / "toy.py").write_text(TOY)
    (tmp_path / "test_toy.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n")
    command = [sys.executable, str(Path(__file__).with_name("run_mutants.py")), "--mutants", "0", "--workers", "1"]
    places = ["--below", str(tmp_path), "--source", "toy", "--tests", "test_toy.py", "--out", str(tmp_path / "report")]
    done = subprocess.run([*command, *places], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    report = (tmp_path / "report").read_text()
    alive = {line for line in report.splitlines() if line.startswith(("survived", "uncovered", "not made"))}
    assert not any("left > right  ->  left <= right" in line or "not left > right" in line for line in alive)
    assert "survived: toy/toy.py:7 larger: comparison: left > right  ->  left >= right" in alive
    assert "uncovered: toy/toy.py:17 unseen: constant: 'yes'  ->  ''" in alive
    assert not any("count += step" in line for line in alive), "a loop without an end is killed"
    assert "of these by running away 1" in report or "of these by running away 2" in report
    # A changed default is made: 3 steps to 10 as well, 1 step to 10 as well.
    assert "survived: toy/toy.py:10 often: constant: 2  ->  3" in alive
    assert not any(line.startswith("not made") for line in alive)


def test_every_mutant_compiles_and_differs() -> None:
    found, outside = mutants_of("toy.py", TOY)
    assert outside == 0
    plain = compile(TOY, "toy.py", "exec", dont_inherit=True)
    assert all(compiled(one, TOY, "toy.py") != plain for one in found)
    assert {one.kind for one in found} >= {"comparison", "constant", "condition negated", "statement deleted"}


def test_what_nobody_should_judge_is_left_alone() -> None:
    text = 'def f(a: "int" = 1) -> "str":\n    """Words."""\n    assert a, "why"\n    raise ValueError("what")\n'
    found, _ = mutants_of("x.py", text)
    assert {one.kind for one in found} == {"constant", "statement deleted", "return early"}
    assert {one.before for one in found if one.kind == "constant"} == {"1"}
