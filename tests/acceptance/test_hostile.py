"""Specs that mean harm: each ends with a clear error or does what it says, within bounded time, memory and output.

The bounds are the kernel's: a process that takes more CPU seconds or address space than it may have is ended.
"""

from __future__ import annotations

import ast
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from harness import TOKEN, TOKEN_VARIABLE

ROOT = Path(__file__).parents[2]
CPU_SECONDS_MAX = 60
# Where no data are read; the engine reserves more addresses than it uses.
MEMORY_BYTES_MAX = 3 << 30
OUTPUT_CHARACTERS_MAX = 200_000
PERSON = "U" + "0" * 32
HEAD = """\
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
table orders { file: "data/orders.csv" id: user_id time: at verb purchased by product }
upload buyers { file: "data/buyers.txt" id: user_id }
message card { text: "hello" }
"""


def bounded(command: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    if command != "eval":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "audsql", *arguments],
        cwd=root,
        env={
            **os.environ,
            TOKEN_VARIABLE: TOKEN,
            "NO_COLOR": "1",
            "AUDSQL_LANG": "en",
            "XDG_CACHE_HOME": str(root / "c"),
        },
        capture_output=True,
        text=True,
        preexec_fn=lambda: bounded(arguments[0]),
        check=False,
    )
    assert done.returncode in (0, 1, 5, 64), (done.returncode, done.stderr[-2_000:])
    assert "Traceback" not in done.stderr and "AUD9901" not in done.stderr, done.stderr[-2_000:]
    assert len(done.stdout) + len(done.stderr) < OUTPUT_CHARACTERS_MAX
    return done


def found(done: subprocess.CompletedProcess[str]) -> list[str]:
    return sorted(set(re.findall(r"error\[(AUD\d{4})\]", done.stderr)))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    (root / "audsql.toml").write_text('[project]\nname = "shop"\ntimezone = "Asia/Tokyo"\n')
    (root / "data/buyers.txt").write_text(PERSON + "\n")
    (root / "data/orders.csv").write_text(f"user_id,product,at\n{PERSON},A,2026-11-01T00:00:00+09:00\n")
    return root


def checked(project: Path, text: str) -> subprocess.CompletedProcess[str]:
    (project / "main.aud").write_text(HEAD + text, encoding="utf-8")
    return run(project, "check")


# --- expansion, depth, size -----------------------------------------------------------------------


def listed(count: int, prefix: str) -> str:
    return ", ".join(f"{prefix}{number}" for number in range(count))


def doubled(depth: int) -> str:
    """Each calls the one before it twice: 2 to the power of `depth` if they were written out."""
    first = "audience b0(p, q) = purchased(p) EXCEPT purchased(q)\n"
    rest = (
        f"audience b{at}(p, q) = b{at - 1}(p, q) OR (b{at - 1}(q, p) AND NOT b{at - 1}(p, q{at}))\n"
        for at in range(1, depth)
    )
    return first + "".join(rest) + f"audience x = b{depth - 1}(A, B)\n"


TOO_MUCH: dict[str, tuple[str, list[str]]] = {
    "a million copies of a loop": (
        f"for a in [{listed(1_000, 'v')}] {{\nfor b in [{listed(1_000, 'w')}] {{\n"
        "audience x[a, b] = purchased(a)\n}\n}\n",
        ["AUD0240"],
    ),
    "ten to the power of twelve copies": (
        "".join(f"for v{at} in [{listed(10, 'x')}] {{ " for at in range(12))
        + f"audience x[{listed(12, 'v')}] = purchased(v0)"
        + " }" * 12
        + "\n",
        ["AUD0240"],
    ),
    "100,000 brackets": ("audience x = " + "(" * 100_000 + "\n", ["AUD0118"]),
    "100,000 times NOT": ("audience x = " + "NOT " * 100_000 + "purchased(A)\n", ["AUD0114"]),
    "26 digits": ("audience x = purchased(A, last 99999999999999999999999999 days)\n", ["AUD0127"]),
    "100,000 digits": (f"audience x = purchased(A, last {'9' * 100_000} days)\n", ["AUD0124"]),
    "digits and signs": (f"audience x = purchased(A, last {'1_' * 200_000} days)\n", ["AUD0124"]),
    "more people than there are": (
        f"delivery d {{ to: uploaded(buyers) send: card expect: {'9' * 5_000} people }}\n", ["AUD0134"],
    ),
    "a text that never ends": ('audience x = "' + "\\\\" * 100_000 + "\n", ["AUD0103"]),
    "a name that never ends": ("audience `" + "a" * 1_000_000 + "\n", ["AUD0105"]),
    "a million blanks": ("audience x" + " " * 1_000_000 + "=\n", ["AUD0130"]),
    "a message of 600,000 characters": (f'message m {{ text: "{"https://" * 75_000}" }}\n', ["AUD1105"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_MUCH)
@pytest.mark.threat("T53", "T56")
def test_what_is_too_much_is_refused(name: str, project: Path) -> None:
    text, codes = TOO_MUCH[name]
    assert found(checked(project, text)) == codes


MUCH = {
    "calls within calls": doubled(8),
    "a chain of 20,000": "audience x = " + " OR ".join(f"purchased(P{at})" for at in range(20_000)) + "\n",
    "a text of a million characters": f'audience x = purchased("{"a" * 1_000_000}")\n',
    "100,000 escapes": 'audience x = purchased("' + "\\u{41}" * 100_000 + '")\n',
}


@pytest.mark.parametrize("name", MUCH)
@pytest.mark.threat("T53")
def test_what_is_much_is_read(name: str, project: Path) -> None:
    assert checked(project, MUCH[name]).returncode == 0


@pytest.mark.parametrize("sign", ["“a", "”", "＂", "｀", "（", "１", "＝ ", "'a", "\u202e", "`a", '"a', "\\", "“a”\n"])
@pytest.mark.threat("T56")
def test_noise_of_one_sign_ends(sign: str, project: Path) -> None:
    done = checked(project, "audience x = " + sign * 60_000 + "\n")
    assert done.returncode == 1 and found(done)


# --- regular expressions ---------------------------------------------------------------------------

# A repetition within a repetition is linear where every round begins with a sign that the inner one cannot take.
PLAIN = {
    r"[Uu][0-9A-Fa-f]{32}|[^@\s]+@[^@\s]+\.[^@\s]+|\+?(?:[-() ]*\d){10,}[-() ]*": "a digit ends each round",
}


def patterns() -> Iterator[tuple[str, str]]:
    """Every regular expression of the product and its file; those that are put together, in parts."""
    for path in sorted((ROOT / "src" / "audsql").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("re.") and call.args:
                for part in ast.walk(call.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str | bytes):
                        value = part.value
                        yield path.name, value.decode("latin-1") if isinstance(value, bytes) else value


def explodes(tree: Any, within: bool = False) -> bool:
    """Whether an unbounded repetition that can give back stands within another one."""
    for operation, argument in tree:
        if operation in (constants.MAX_REPEAT, constants.MIN_REPEAT):
            _, most, inner = argument
            unbounded = most == constants.MAXREPEAT
            # A round of a single alternative of fixed length takes the text in one way only.
            if unbounded and within:
                return True
            if explodes(inner, within or unbounded):
                return True
        elif operation is constants.SUBPATTERN:
            if explodes(argument[-1], within):
                return True
        elif operation is constants.BRANCH:
            if any(explodes(one, within) for one in argument[1]):
                return True
        elif operation in (constants.ASSERT, constants.ASSERT_NOT) and explodes(argument[1], within):
            return True
    return False


@pytest.mark.threat("T56")
def test_no_regular_expression_can_take_a_text_in_exponentially_many_ways() -> None:
    assert explodes(parser.parse(r"(a+)+b")) and explodes(parser.parse(r"(?:a*b?)*c"))
    assert not explodes(parser.parse(r"(?:a++b)+c")) and not explodes(parser.parse(r"a+b+"))
    seen = 0
    for file, pattern in patterns():
        try:
            tree = parser.parse(pattern)
        except re.error:
            continue
        seen += 1
        assert pattern in PLAIN or not explodes(tree), f"{file}: {pattern}"
    assert seen > 60


# --- paths ------------------------------------------------------------------------------------------

OUTSIDE = {
    "above": ("../../secret.txt", "AUD1003"),
    "above within": ("data/../../secret.txt", "AUD1003"),
    "absolute": ("/etc/passwd.txt", "AUD1003"),
    "a device": ("/dev/zero.txt", "AUD1003"),
    "a link": ("data/link.txt", "AUD1003"),
    "a linked folder": ("away/secret.txt", "AUD1003"),
    "an address": ("http://169.254.169.254/latest.txt", "AUD1004"),
    "a file address": ("file:///etc/passwd.txt", "AUD1004"),
    "many at once": ("data/*.txt", "AUD1003"),
}


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.threat("T54")
def test_no_file_outside_the_project_is_read(name: str, project: Path) -> None:
    path, code = OUTSIDE[name]
    (project.parent / "secret.txt").write_text(PERSON + "\n")
    (project / "data/link.txt").symlink_to(project.parent / "secret.txt")
    (project / "away").symlink_to(project.parent)
    (project / "main.aud").write_text(HEAD + f"upload evil {{ file: {json.dumps(path)} id: user_id }}\n")
    done = run(project, "eval", "uploaded(evil)")
    assert (done.returncode, found(done)) == (1, [code]), done.stderr
    assert "0" * 32 not in done.stdout + done.stderr


@pytest.mark.parametrize("file", ["../secret.json", "/etc/hostname.json", "data/link.json"])
@pytest.mark.threat("T54")
def test_no_message_file_outside_the_project_is_read(file: str, project: Path) -> None:
    (project.parent / "secret.json").write_text('{"type": "text", "text": "canary"}')
    (project / "data/link.json").symlink_to(project.parent / "secret.json")
    done = checked(project, f"message evil {{ file: {json.dumps(file)} }}\n")
    assert found(done) == ["AUD1120"]
    assert "canary" not in done.stdout + done.stderr


# --- code in texts ----------------------------------------------------------------------------------

TEMPLATES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ name.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ config }}",
    "{{ name | attr('__class__') }}",
    "{{ self._TemplateReference__context }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% for one in range(1000000000) %}a{% endfor %}",
    "{{ 'a' * 1000000000 }}",
    "{{ lipsum.__globals__ }}",
]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.threat("T57")
def test_a_template_reaches_nothing_but_its_columns(template: str, project: Path) -> None:
    body = json.dumps(template)
    done = checked(project, f'message evil from orders {{ column name: string = "you"  template: {body} }}\n')
    assert done.returncode == 1 and found(done), done.stderr


SQL = [
    "' OR 1=1 --",
    "'; DROP TABLE raw; --",
    '" OR "1"="1',
    "A'); COPY raw TO '/tmp/stolen.csv'; --",
    "\\'; SELECT 1; --",
]


@pytest.mark.parametrize("text", SQL)
@pytest.mark.threat("T55")
def test_a_literal_is_never_sql(text: str, project: Path) -> None:
    (project / "main.aud").write_text(HEAD, encoding="utf-8")
    done = run(project, "eval", f"purchased({json.dumps(text)})", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["count"] == 0
    (project / "data/orders.csv").write_text(
        "user_id,product,at\n" + PERSON + ',"' + text.replace('"', '""') + '",2026-11-01T00:00:00+09:00\n'
    )
    done = run(project, "eval", f"purchased({json.dumps(text)})", "--json")
    assert json.loads(done.stdout)["count"] == 1


@pytest.mark.threat("T55")
def test_a_name_is_never_sql(project: Path) -> None:
    name = '`x"; DROP TABLE raw; --`'
    (project / "main.aud").write_text(
        HEAD + f'table {name} {{ file: "data/orders.csv" id: user_id time: at verb `b"\'ought` by product }}\n'
    )
    done = run(project, "eval", "`b\"'ought`(A)", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["count"] == 1


# --- text that acts ---------------------------------------------------------------------------------

EVIL = "a\x1b[2J\x1b]0;x\x07\u202egnp\u2066\x9b\u2028::error::x%0A</script><img src=x onerror=alert(1)>"


@pytest.mark.parametrize("output", ["human", "concise", "json", "github", "sarif"])
@pytest.mark.threat("T58")
def test_what_somebody_wrote_does_not_act_where_it_is_shown(output: str, project: Path) -> None:
    (project / "main.aud").write_text(HEAD + f"audience x = `{EVIL}` OR purchased(A)\n", encoding="utf-8")
    done = run(project, "check", "--format", output)
    assert done.returncode == 1
    shown = done.stdout + done.stderr
    assert not set(shown) & set("\x1b\x07\x9b\u202e\u2066\u2028")
    if output == "github":
        assert all(
            line.startswith(("::error ", "::warning ", "::notice ")) for line in done.stdout.splitlines() if line
        )
    if output in ("json", "sarif"):
        json.loads(done.stdout)


# --- data that unfold -------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["data/orders.csv", "data/buyers.txt"])
@pytest.mark.threat("T51")
def test_compressed_data_are_refused_unread(file: str, project: Path) -> None:
    """Nothing that is compressed is unfolded: a bomb is a file that is no text."""
    import gzip

    (project / file).write_bytes(gzip.compress(b"0" * 200_000_000, 9))
    (project / "main.aud").write_text(HEAD, encoding="utf-8")
    done = run(project, "eval", "purchased(A) OR uploaded(buyers)")
    assert (done.returncode, found(done)) == (1, ["AUD1007"]), done.stderr


# --- specs of strangers -----------------------------------------------------------------------------


@pytest.mark.threat("T60")
def test_a_strangers_specs_are_checked_without_data_token_or_network(project: Path) -> None:
    """The environment is empty, the data are away, and a socket is an error."""
    (project / "main.aud").write_text(HEAD + "audience x = purchased(A) EXCEPT uploaded(buyers)\n")
    for file in ("data/buyers.txt", "data/orders.csv"):
        (project / file).unlink()
    program = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('a socket')\n"
        "socket.socket = refuse\n"
        "from audsql.cli import main\n"
        "main()\n"
    )
    for arguments in (("check",), ("lint",), ("graph",), ("explain", "x")):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=project,
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
