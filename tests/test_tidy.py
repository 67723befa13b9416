"""House rules that a machine can judge (ARCHITECTURE.md)."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "audsql"

FUNCTION_LINES_MAX = 70
FUNCTION_LINES_MEDIAN_MAX = 13
FUNCTION_LINES_NINE_IN_TEN_MAX = 40
FILE_LINES_MAX = 600

# What touches the world; everything else of the core is given what it needs to know.
TOUCHES_THE_WORLD = ("apply", "cli", "data", "line", "session", "sim")
TOUCHES_THE_WORLD_FILES = ("config.py", "catalog/__init__.py", "syntax/table.py", "user_cache.py")
WORLDLY_MODULES = {
    "asyncio", "duckdb", "getpass", "glob", "http", "httpx", "io", "os", "pathlib", "platform", "random", "secrets",
    "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "urllib.request", "uuid",
}  # fmt: skip

# Numbers that are hardly anything but LINE's, and the places where one of them is something else.
LINE_NUMBERS = {5_000, 10_000, 1_500_000, 2_000_000, 20_000_000, 60_000_000}
LINE_NUMBERS_ELSEWHERE = {
    # A bound of ours where LINE gives none.
    ("line/message_rules.py", 10_000),
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions() -> list[tuple[str, int]]:
    """Each function with its number of lines."""
    found = []
    for path in sources():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                place = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                found.append((place, node.end_lineno - node.lineno + 1))
    return found


def test_imports_go_down_the_house() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_functions_are_short() -> None:
    sizes = functions()
    assert [(place, size) for place, size in sizes if size > FUNCTION_LINES_MAX] == []
    lines = sorted(size for _, size in sizes)
    assert statistics.median(lines) <= FUNCTION_LINES_MEDIAN_MAX
    assert lines[len(lines) * 9 // 10] <= FUNCTION_LINES_NINE_IN_TEN_MAX


def test_files_are_short() -> None:
    long = {}
    for path in sources():
        count = len(path.read_text(encoding="utf-8").splitlines())
        if count > FILE_LINES_MAX:
            long[str(path.relative_to(ROOT))] = count
    assert long == {}


def test_nothing_is_left_to_do() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    found = [str(path.relative_to(ROOT)) for path in sources() if words.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_only_the_command_line_prints() -> None:
    found = []
    for path in sources():
        if path.relative_to(PACKAGE).parts[0] in ("cli", "view"):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                # The simulator is a program of its own: its URL is its one line of output.
                if path.relative_to(PACKAGE).parts[0] == "sim":
                    continue
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_the_core_is_pure() -> None:
    found = []
    for path in sources():
        relative = path.relative_to(PACKAGE).as_posix()
        if relative.split("/")[0] in TOUCHES_THE_WORLD or relative in TOUCHES_THE_WORLD_FILES:
            continue
        found += [f"{relative}: {name}" for name in imported(path) if name in WORLDLY_MODULES]
    assert found == []


def imported(path: Path) -> list[str]:
    """Modules that a file imports as it runs; imports for types alone do nothing."""
    names = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return [name for name in names if name.split(".")[0] != "audsql"]


def test_no_clock_below_the_hall() -> None:
    """`now` is given, never asked for, wherever decisions are made."""
    clock = re.compile(r"\b(datetime\.now|datetime\.utcnow|date\.today|time\.time)\(")
    pure = ("source.py", "diag.py", "catalog", "compile", "meaning", "plan", "syntax", "view")
    found = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.relative_to(PACKAGE).parts[0] in pure and clock.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_numbers_of_line_stand_in_one_table() -> None:
    found = []
    for path in sources():
        relative = path.relative_to(PACKAGE)
        # The simulator has a table of its own: it judges ours.
        if relative.as_posix() == "line/limits.py" or relative.parts[0] == "sim":
            continue
        for node in ast.walk(tree(path)):
            number = node.value if isinstance(node, ast.Constant) and type(node.value) is int else 0
            if number in LINE_NUMBERS and (relative.as_posix(), number) not in LINE_NUMBERS_ELSEWHERE:
                found.append(f"{relative}:{node.lineno} {number}")
    assert found == []


def test_no_limit_of_line_is_defined_twice() -> None:
    limits = {target.id for target in constants(PACKAGE / "line" / "limits.py")}
    found = [
        f"{path.relative_to(PACKAGE)}:{target.lineno} {target.id}"
        for path in sources()
        if path.relative_to(PACKAGE).parts[0] != "sim" and path.name != "limits.py"
        for target in constants(path)
        if target.id in limits
    ]
    assert found == []


def constants(path: Path) -> list[ast.Name]:
    """Names in capitals that a module assigns."""
    targets: list[ast.expr] = []
    for node in tree(path).body:
        if isinstance(node, ast.Assign):
            targets += node.targets
        elif isinstance(node, ast.AnnAssign):
            targets.append(node.target)
    return [target for target in targets if isinstance(target, ast.Name) and target.id.isupper()]


def test_no_exception_is_swallowed() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and all(isinstance(body, ast.Pass) for body in node.body)
    ]
    assert found == []


def test_no_paths_of_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a Git checkout")
    machine = [f"{Path.home()}/".encode(), f"{ROOT.parent}/".encode()]
    found = []
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file():
            content = path.read_bytes()
            # A path begins with its slash; the same letters inside a longer path are another one.
            found += [
                name for place in machine if len(place) > 2 and re.search(rb"(?<![\w.-])" + re.escape(place), content)
            ]
    assert found == []


HEAVY = ("duckdb", "numpy", "httpx", "lark", "networkx", "pydantic", "pyroaring", "rich", "starlette", "uvicorn")


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["--help"], ["explain", "AUD0001"]])
def test_small_commands_load_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from audsql.cli.app import run; code = run(sys.argv[1:]);"
        f"heavy = sorted(set({HEAVY!r}) & set(sys.modules)); sys.stderr.write(' '.join(heavy)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


def test_version_loads_no_stage() -> None:
    program = (
        "import sys; from audsql.cli.app import run; run(['version']);"
        "sys.stderr.write(' '.join(sorted(name for name in sys.modules if name.startswith('audsql.'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert loaded <= {"audsql.cli", "audsql.cli.app", "audsql.cli.console", "audsql.cli.exits", "audsql.cli.version"}
