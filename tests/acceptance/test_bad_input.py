"""Bad input through the real command line: a code, the documented exit code, and every file as it was."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from f1000 import FOUNDING, SOURCES, delivery, f1000

from audsql.apply.sqlite import SqliteStore
from audsql.apply.store import StoreFailed
from audsql.diag import error
from audsql.plan.document import canonical, parse_plan, sealed
from audsql.session import applying, holding
from harness import AS_OF, TOKEN, TOKEN_VARIABLE, Place, codes

APPLY = ("apply", "--auto-approve", "--as-of", AS_OF.isoformat())
PLAN = ("plan", "--as-of", AS_OF.isoformat())
CHECK = ("check",)
AHEAD = delivery(FOUNDING, "at: 2026-12-01 10:00")
STATE = ".audsql/state.sqlite"


def person(i: int) -> str:
    return "U" + format(i, "032x")


def lines(*people: int) -> bytes:
    return "".join(person(i) + "\n" for i in people).encode()


# --- the hall: one simulator and one project, copied for every case --------------------------------------


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with f1000(tmp_path_factory.mktemp("origin"), delivery(FOUNDING), rate_limits=False) as here:
        yield here


@pytest.fixture
def here(origin: Place, tmp_path: Path) -> Place:
    shutil.copytree(origin.root, tmp_path / "shop")
    return Place(tmp_path / "shop", origin.simulator)


def put(here: Place, path: str, content: bytes | str | None) -> None:
    """A file of this content; None takes it away."""
    file = here.root / path
    if content is None:
        file.unlink()
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def fingerprint(root: Path) -> dict[str, str]:
    """Every file of a project with its digest; `.audsql` is not the user's, but the state in it is."""
    kept = [path for path in root.rglob("*") if path.is_file() and ".audsql" not in path.relative_to(root).parts]
    state = root / STATE
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [*kept, *([state] if state.exists() else [])]
    }


def code_of(output: str) -> list[str]:
    return re.findall(r"error\[(AUD\d{4})\]", output)


def says_nothing_private(output: str) -> None:
    assert "Traceback" not in output
    assert "AUD9901" not in output
    assert not re.search(r"[Uu][0-9a-f]{32}", output)
    assert TOKEN not in output
    assert not re.search(r"p\d+@example\.jp|090\d{8}", output)


def refused(here: Place, arguments: tuple[str, ...], exit_code: int, code: str, **environment: str) -> str:
    """Run a command that must fail so, and change and send nothing. Returns its stderr."""
    files, sent = fingerprint(here.root), here.requests("POST", "PUT", "DELETE")
    done = here.command(*arguments, **environment)
    says_nothing_private(done.stdout + done.stderr)
    assert (done.returncode, sorted(set(code_of(done.stderr)))) == (exit_code, [code]), done.stderr
    assert fingerprint(here.root) == files
    assert here.requests("POST", "PUT", "DELETE") == sent
    assert here.inbox() == []
    return done.stderr


@dataclass(frozen=True)
class Case:
    """`files` replace those of the project (None: taken away). `says`: a part of the message."""

    name: str
    code: str
    files: dict[str, bytes | str | None]
    arguments: tuple[str, ...] = PLAN
    exit_code: int = 1
    says: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def cases(*found: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", found, ids=[one.name for one in found])


def holds(here: Place, case: Case) -> None:
    for path, content in case.files.items():
        put(here, path, content)
    assert case.says in refused(here, case.arguments, case.exit_code, case.code, **case.environment)


# --- specs ---------------------------------------------------------------------------------------------


def nested(depth: int) -> str:
    """The call has parentheses too."""
    return "audience deep = " + "(" * (depth - 1) + "purchased(A)" + ")" * (depth - 1) + "\n"


NOISE = bytes(33 + (i * i * 7 + i // 3) % 94 for i in range(64 * 1024)) * 64


@cases(
    Case("binary", "AUD0008", {"more.aud": bytes(range(256)) * 8}, CHECK),
    Case("binary, and a plan is asked for", "AUD0008", {"more.aud": bytes(range(256)) * 8}, APPLY),
    Case("no UTF-8", "AUD0003", {"more.aud": b"audience x = \xff\xfe(A)\n"}, CHECK),
    Case("CP932", "AUD0003", {"more.aud": "# 購入者\n".encode("cp932")}, CHECK, says="CP932"),
    Case("UTF-16", "AUD0008", {"more.aud": "audience x = friends\n".encode("utf-16")}, CHECK),
    Case("201 deep", "AUD0118", {"more.aud": nested(201)}, CHECK, says="200"),
    Case("5,000 deep", "AUD0118", {"more.aud": nested(5_000)}, CHECK, says="200"),
    Case("4 MiB and a byte", "AUD0004", {"more.aud": NOISE + b"#"}, CHECK),
    Case("cut off", "AUD0106", {"more.aud": "audience x = (purchased(A)"}, CHECK),
    Case("full-width digits", "AUD0101", {"more.aud": "audience x = purchased(A, last ３０ days)\n"}, CHECK),
    Case("twice the same name", "AUD0202", {"more.aud": 'upload buyers { file: "data/b.txt" id: user_id }\n'}, CHECK),
)
@pytest.mark.threat("T53")
def test_specs(case, here):
    holds(here, case)


def test_an_empty_spec_is_no_error_and_no_statement(here):
    put(here, "more.aud", b"")
    done = here.command(*CHECK)
    assert (done.returncode, code_of(done.stderr)) == (0, [])
    put(here, "shop.aud", b"")
    files = fingerprint(here.root)
    done = here.command(*APPLY)
    assert (done.returncode, code_of(done.stderr)) == (0, [])
    assert fingerprint(here.root) == files
    assert here.inbox() == []


def test_200_deep_parentheses_are_read(here):
    put(here, "more.aud", nested(200))
    done = here.command(*CHECK)
    assert (done.returncode, code_of(done.stderr)) == (0, [])


def test_noise_ends_with_bounded_output(here):
    put(here, "more.aud", NOISE)
    files = fingerprint(here.root)
    done = here.command(*CHECK)
    assert done.returncode == 1
    assert code_of(done.stderr)
    assert len(done.stderr) < 1_000_000
    says_nothing_private(done.stdout + done.stderr)
    assert fingerprint(here.root) == files


# --- lists and tables ------------------------------------------------------------------------------------

BUYERS, OPTOUT, ORDERS = "data/buyers.txt", "data/optout.txt", "data/orders.csv"
HEAD = "order_id,user_id,product,amount,ordered_at\n"
ROW = f"x,{person(12)},A,100,2026-11-01T00:00:00+09:00\n"
VIP = {"vip.aud": 'upload vip { file: "data/vip.txt" id: user_id }\naudience v = uploaded(vip)\n'}
FULL_WIDTH = person(7).translate({ord(a): ord(b) for a, b in zip("0123456789", "０１２３４５６７８９", strict=True)})


def many(count: int, bad: int) -> bytes:
    """A list of `count` lines, of which `bad`, spread evenly, are no ids."""
    every = count // bad
    return b"".join(
        b"not-an-id-%d\n" % i if i % every == every - 1 else b"U%032x\n" % i for i in range(every * bad)
    )  # fmt: skip


@cases(
    Case("missing", "AUD1001", {BUYERS: None}, APPLY),
    Case("empty, excluded", "AUD1050", {OPTOUT: b""}, APPLY),
    Case("only blank lines", "AUD1013", {BUYERS: b"\n\n\n"}),
    Case("a blank line", "AUD1013", {BUYERS: lines(7) + b"\n" + lines(14)}),
    Case("binary", "AUD1007", {BUYERS: b"\x89PNG\r\n\x1a\n" + bytes(range(256))}),
    Case("a workbook", "AUD1007", {BUYERS: b"PK\x03\x04" + bytes(400)}),
    Case("UTF-16", "AUD1006", {BUYERS: lines(7, 14).decode().encode("utf-16")}),
    Case("neither encoding", "AUD1008", {BUYERS: lines(7) + b"\xff\xff\xfd\n"}),
    Case("half a character", "AUD1009", {BUYERS: (FULL_WIDTH + "\n").encode()[:-2]}),
    Case("NUL", "AUD1010", {BUYERS: lines(7) + b"\0\n"}),
    Case("old Mac line ends", "AUD1011", {BUYERS: lines(7, 14).replace(b"\n", b"\r")}),
    Case("a header", "AUD1012", {BUYERS: b"user_id\n" + lines(7)}),
    Case("a Japanese header in CP932", "AUD1012", {BUYERS: "ユーザーID\n".encode("cp932") + lines(7)}),
    Case("two on a line", "AUD1014", {BUYERS: f"{person(7)},{person(14)}\n"}),
    Case("quotes", "AUD1015", {BUYERS: f'"{person(7)}"\n'}),
    Case("full-width digits", "AUD1016", {BUYERS: FULL_WIDTH + "\n"}),
    Case("a full-width id in the first line", "AUD1016", {BUYERS: FULL_WIDTH + "\n" + person(14)}),
    Case("full-width digits in CP932", "AUD1016", {BUYERS: (FULL_WIDTH + "\n").encode("cp932")}),
    Case("blanks", "AUD1017", {BUYERS: f" {person(7)}\n"}),
    Case("capitals", "AUD1018", {BUYERS: person(7)[:1] + "ABCDEF" + person(7)[7:] + "\n"}),
    Case("noise", "AUD1019", {BUYERS: lines(7) + b"hello\n"}),
    Case("cut off", "AUD1019", {BUYERS: lines(7, 14)[:-9]}),
    Case("an id too long", "AUD1019", {BUYERS: person(7) + "0\n"}),
    Case("outside", "AUD1003", {"shop.aud": SOURCES.replace("data/buyers", "../buyers") + delivery(FOUNDING)}),
    Case("unsupported", "AUD1004", {"shop.aud": SOURCES.replace("buyers.txt", "buyers.xlsx") + delivery(FOUNDING)}),
    Case("a folder", "AUD1002", {BUYERS: None, BUYERS + "/x": b""}),
)
@pytest.mark.threat("T43", "T44", "T46", "T47", "T51", "T54")
def test_lists(case, here):
    holds(here, case)


@cases(
    Case("missing", "AUD1001", {ORDERS: None}, APPLY),
    Case("empty", "AUD1030", {ORDERS: b""}, APPLY),
    Case("missing columns", "AUD1039", {ORDERS: "user_id,amount\n" + person(12) + ",100\n"}),
    Case("no header", "AUD1030", {ORDERS: ROW}),
    Case("no header, and the same twice", "AUD1030", {ORDERS: ROW.replace("x,", "A,")}),
    Case("a column twice", "AUD1033", {ORDERS: HEAD.replace("order_id", "product") + ROW}),
    Case("too few cells", "AUD1037", {ORDERS: HEAD + ROW + f"x,{person(24)},A\n"}),
    Case("a quote left open", "AUD1035", {ORDERS: HEAD + ROW.replace("A", '"A')}),
    Case("a quote within", "AUD1036", {ORDERS: HEAD + ROW.replace("A", 'A"B"')}),
    Case("empty lines", "AUD1032", {ORDERS: HEAD + ROW + "\n" + ROW}),
    Case("binary", "AUD1007", {ORDERS: b"\x1f\x8b\x08" + bytes(range(200))}),
    Case("UTF-16", "AUD1006", {ORDERS: (HEAD + ROW).encode("utf-16")}),
    Case("NUL", "AUD1010", {ORDERS: HEAD + ROW + "\0\n"}),
    Case("neither encoding", "AUD1008", {ORDERS: (HEAD + ROW).encode() + b"\xff\xff,\xfd\n"}),
    Case("half a character", "AUD1009", {ORDERS: (HEAD + f"x,{person(12)},購入").encode()[:-1]}),
    Case("noise", "AUD1039", {ORDERS: b"hello\nworld\n"}),
    Case("ids with full-width digits", "AUD1016", {ORDERS: HEAD + ROW + ROW.replace(person(12), FULL_WIDTH)}),
    Case("ids that are none", "AUD1019", {ORDERS: HEAD + ROW + ROW.replace(person(12), "hello")}),
    Case(
        "times that are none",
        "AUD1041",
        {
            ORDERS: HEAD + ROW + ROW.replace("2026-11-01T00:00:00+09:00", "yesterday"),
            "shop.aud": SOURCES + delivery(FOUNDING.replace("purchased(A)", "purchased(A, last 30 days)")),
        },
    ),
)
@pytest.mark.threat("T46", "T47", "T48", "T51")
def test_tables(case, here):
    holds(here, case)


@pytest.mark.threat("T48")
def test_an_empty_list_that_is_included_is_said(here):
    put(here, "vip.aud", VIP["vip.aud"])
    put(here, "data/vip.txt", b"")
    done = here.command("eval", "uploaded(vip)", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["count"] == 0
    assert "AUD1005" in done.stderr


@pytest.mark.threat("T43")
def test_cp932_and_a_byte_order_mark_are_read(here):
    put(here, ORDERS, (HEAD + ROW + ROW.replace("A", "紅茶").replace(person(12), person(24))).encode("cp932"))
    put(here, BUYERS, b"\xef\xbb\xbf" + lines(12))
    done = here.command("eval", "purchased(紅茶) OR uploaded(buyers)", "--json")
    assert (done.returncode, json.loads(done.stdout)["count"]) == (0, 2), done.stderr


def test_a_million_and_a_half_lines_with_300_bad_ones(here):
    put(here, BUYERS, many(1_500_000, 300))
    said = refused(here, APPLY, 1, "AUD1019")
    assert "300" in said
    assert "5000" in said.replace(",", "")  # the first bad line
    assert len(said) < 5_000


@pytest.mark.threat("T49")
def test_more_lines_than_one_request_takes(here):
    """A list is as long as it is; what is sent is divided."""
    put(here, BUYERS, b"".join(b"U%032x\n" % i for i in range(1_500_001)))
    done = here.command("eval", "uploaded(buyers)", "--json")
    assert (done.returncode, json.loads(done.stdout)["count"]) == (0, 1_500_001), done.stderr


# --- messages ----------------------------------------------------------------------------------------------

MESSAGE = "shop.aud"
FROM_FILE = SOURCES.replace('{ text: "セール開催中" }', '{ file: "messages/sale.json" }') + delivery(FOUNDING)
SALE = "messages/sale.json"


@cases(
    Case("missing", "AUD1120", {MESSAGE: FROM_FILE}),
    Case("outside", "AUD1120", {MESSAGE: FROM_FILE.replace("messages/", "../messages/")}),
    Case("empty", "AUD1101", {MESSAGE: FROM_FILE, SALE: b""}),
    Case("not JSON", "AUD1101", {MESSAGE: FROM_FILE, SALE: '{"type": "text", "text": '}),
    Case("not UTF-8", "AUD1101", {MESSAGE: FROM_FILE, SALE: '[{"type":"text","text":"購入"}]'.encode("cp932")}),
    Case("binary", "AUD1101", {MESSAGE: FROM_FILE, SALE: bytes(range(256))}),
    Case("no messages", "AUD1102", {MESSAGE: FROM_FILE, SALE: "[]"}),
    Case("six messages", "AUD1102", {MESSAGE: FROM_FILE, SALE: json.dumps([{"type": "text", "text": "a"}] * 6)}),
    Case("another type", "AUD1104", {MESSAGE: FROM_FILE, SALE: '"hello"'}),
    Case("a number for a text", "AUD1104", {MESSAGE: FROM_FILE, SALE: '[{"type": "text", "text": 5}]'}),
    Case("100,000 deep", "AUD1111", {MESSAGE: FROM_FILE, SALE: "[" * 100_000}),
)
@pytest.mark.threat("T53", "T54")
def test_messages(case, here):
    holds(here, case)


# --- audsql.toml, the token, the endpoint, the world ---------------------------------------------------------

TOML = "audsql.toml"


def config(endpoint: str = 'endpoint = "sim"', more: str = "") -> dict[str, str]:
    return {TOML: f'[project]\nname = "shop"\n\n[account.shop]\n{endpoint}\n\n{more}\n'}


@cases(
    Case("broken TOML", "AUD0010", {TOML: "[project\nname = "}, APPLY),
    Case("not UTF-8", "AUD0003", {TOML: b'[project]\nname = "\xff"\n'}),
    Case("binary", "AUD0008", {TOML: bytes(range(256))}),
    Case("an unknown key", "AUD0011", {TOML: '[project]\nnmae = "shop"\n'}, says="name"),
    Case("an unknown section", "AUD0011", {TOML: "[projects]\n"}),
    Case("another type", "AUD0012", {TOML: "[project]\nname = 5\n"}),
    Case("an unknown zone", "AUD0013", {TOML: '[project]\ntimezone = "Mars/Base"\n'}),
    Case("a state elsewhere", "AUD0014", {TOML: '[state]\nurl = "mysql://x"\n'}),
    Case("an endpoint that is none", "AUD0016", config('endpoint = "ftp://line"')),
    Case("an unknown language", "AUD0017", {TOML: '[project]\nlanguage = "fr"\n'}),
    Case("an unknown environment", "AUD0015", {}, (*PLAN, "--env", "staging"), 64),
    Case("no endpoint", "AUD0020", {TOML: "[project]\n"}, APPLY, 64, says="[account.shop]"),
    Case("no endpoint, for a plan", "AUD0020", {TOML: "[project]\n"}, PLAN, 64),
    Case("sim without a world", "AUD0021", config(), APPLY, 64),
    Case("a world that is missing", "AUD0022", config(more='[sim]\nworld = "none.json"'), APPLY),
    Case("a world that is empty", "AUD0022", config(more='[sim]\nworld = "w.json"') | {"w.json": ""}, APPLY),
    Case("a world that is a list", "AUD0022", config(more='[sim]\nworld = "w.json"') | {"w.json": "[]"}, APPLY),
    Case(
        "a world with a mistyped key",
        "AUD0022",
        config(more='[sim]\nworld = "w.json"') | {"w.json": '{"acounts": {}}'},
        APPLY,
    ),
    Case(
        "a world whose people are text",
        "AUD0022",
        config(more='[sim]\nworld = "w.json"')
        | {"w.json": json.dumps({"accounts": {"shop": {"token": "x", "friends": [person(1)]}}})},
        APPLY,
    ),
    Case("sim: missing", "AUD0005", {}, ("sim", "--world", "none.json")),
    Case("sim: empty", "AUD0070", {"w.json": ""}, ("sim", "--world", "w.json")),
    Case("sim: binary", "AUD0070", {"w.json": bytes(range(256))}, ("sim", "--world", "w.json")),
    Case("sim: a list", "AUD0070", {"w.json": "[]"}, ("sim", "--world", "w.json")),
    Case("sim: 100,000 deep", "AUD0070", {"w.json": "[" * 100_000}, ("sim", "--world", "w.json")),
    Case(
        "sim: people that are text",
        "AUD0070",
        {"w.json": json.dumps({"accounts": {"shop": {"token": "x", "friends": [person(1)]}}})},
        ("sim", "--world", "w.json"),
    ),
    Case("the token is missing", "AUD0864", {}, APPLY, 64, says=TOKEN_VARIABLE, environment={TOKEN_VARIABLE: ""}),
    Case("the token is another one", "AUD0804", {}, APPLY, environment={TOKEN_VARIABLE: "sim-t0ken"}),
    Case("the token is odd", "AUD0803", {}, APPLY, environment={TOKEN_VARIABLE: "sim token\nx"}),
    Case("nobody answers", "AUD0808", config('endpoint = "http://127.0.0.1:9"'), APPLY),
    Case("http to another host", "AUD0802", config('endpoint = "http://line.example"'), APPLY),
    Case("no date", "AUD0040", {}, ("plan", "--as-of", "yesterday"), 64),
    Case("no approval", "AUD0050", {}, ("apply",), 64),
    Case("no such command", "AUD0060", {}, ("aply",), 64),
    Case("no such option", "AUD0061", {}, ("apply", "--force"), 64),
    Case("no such plan", "AUD0005", {}, ("apply", "none.audplan")),
)
@pytest.mark.scenario(48)
def test_settings(case, here):
    holds(here, case)


@pytest.mark.parametrize("project", ["none", "data"])
def test_a_folder_that_is_no_project(project, here):
    refused(here, ("plan", "--project", project), 1, {"none": "AUD0001", "data": "AUD0002"}[project])


# --- plan files ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plan_bytes(origin: Place) -> bytes:
    document = origin.plan().document
    assert document is not None
    return canonical(document) + b"\n"


def flipped(raw: bytes, position: int) -> bytes:
    return raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]


PLAN_FILES: dict[str, tuple[Callable[[bytes], bytes], int, str]] = {
    "empty": (lambda raw: b"", 1, "AUD0620"),
    "cut off": (lambda raw: raw[: len(raw) // 2], 1, "AUD0620"),
    "not JSON": (lambda raw: b"plan: yes\n", 1, "AUD0620"),
    "binary": (lambda raw: bytes(range(256)), 1, "AUD0620"),
    "another document": (lambda raw: b'{"kind":"audsql.apply"}', 1, "AUD0620"),
    "a list": (lambda raw: b"[]", 1, "AUD0620"),
    "a newer format": (
        lambda raw: canonical(sealed({**json.loads(raw), "format_version": "2.0"})), 1, "AUD0621",
    ),
    "indented": (lambda raw: json.dumps(json.loads(raw), indent=1).encode(), 5, "AUD0622"),
    "a larger limit": (lambda raw: raw.replace(b'"limit":206', b'"limit":207'), 5, "AUD0622"),
    "the digest's last digit": (lambda raw: flipped(raw, raw.index(b'"digest":"sha256:') + 80), 5, "AUD0622"),
    "bytes after the end": (lambda raw: raw + b" ", 5, "AUD0622"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAN_FILES)
@pytest.mark.threat("T62")
@pytest.mark.scenario(24)
def test_plan_files(name, here, plan_bytes):
    change, exit_code, code = PLAN_FILES[name]
    assert change(plan_bytes) != plan_bytes
    put(here, "p.audplan", change(plan_bytes))
    refused(here, ("apply", "p.audplan"), exit_code, code)


@pytest.mark.threat("T62")
@pytest.mark.scenario(24)
def test_a_plan_edited_by_any_one_byte_is_refused(plan_bytes):
    """At every position, in the function that every reader of plans goes through."""
    assert parse_plan(plan_bytes, "p")[0] is not None
    found = set()
    for position in range(len(plan_bytes) - 1):
        document, problems = parse_plan(flipped(plan_bytes, position), "p")
        assert document is None, position
        found |= {one.code for one in problems}
    assert found == {"AUD0620", "AUD0621", "AUD0622"}


@pytest.mark.threat("T39")
@pytest.mark.scenario(23)
def test_a_plan_for_another_environment_or_place_is_stale(here, plan_bytes):
    put(here, "p.audplan", canonical(sealed({**json.loads(plan_bytes), "environment": "staging"})))
    assert "environment" in refused(here, ("apply", "p.audplan"), 5, "AUD0624")


# --- the state ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with f1000(tmp_path_factory.mktemp("applied"), AHEAD) as there:
        assert there.apply().exit_code == 0
        return (there.root / STATE).read_bytes()


def reread(raw: bytes, work: Path, statement: str) -> bytes:
    """The state after somebody ran SQL on it."""
    file = work / "edited.sqlite"
    file.write_bytes(raw)
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()
    return file.read_bytes()


STATES: dict[str, tuple[Callable[[bytes, Path], bytes], str]] = {
    "empty": (lambda raw, work: b"", "AUD0601"),
    "garbage": (lambda raw, work: bytes(range(256)) * 64, "AUD0601"),
    "a database of somebody else": (lambda raw, work: raw[:68] + bytes(4) + raw[72:], "AUD0601"),
    "its first bytes": (lambda raw, work: raw[:50], "AUD0602"),
    "half of it": (lambda raw, work: raw[: len(raw) // 2], "AUD0602"),
    "a byte less": (lambda raw, work: raw[:-1], "AUD0602"),
    "a page of zeros": (lambda raw, work: raw[:8192] + bytes(4096) + raw[12288:], "AUD0603"),
    "a newer version": (lambda raw, work: raw[:60] + (99).to_bytes(4, "big") + raw[64:], "AUD0605"),
    "an edited journal": (
        lambda raw, work: reread(raw, work, "UPDATE event SET document = document || ' ' WHERE number = 2"),
        "AUD0604",
    ),
    "an edited row": (
        lambda raw, work: reread(raw, work, "DELETE FROM record WHERE kind = 'occurrence'"), "AUD0603",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
@pytest.mark.threat("T15")
@pytest.mark.scenario(10, 11, 12)
def test_states(name, here, state_bytes, tmp_path):
    change, code = STATES[name]
    put(here, STATE, change(state_bytes, tmp_path))
    refused(here, APPLY, 1, code)


@pytest.mark.parametrize("arguments", [PLAN, ("run",), ("status",), ("resolve", "sale_a", "sent", "--reason", "seen")],
                         ids=["plan", "run", "status", "resolve"])  # fmt: skip
@pytest.mark.scenario(10)
def test_a_truncated_state_stops_every_command_that_reads_it(arguments, here, state_bytes):
    put(here, STATE, state_bytes[:-4096])
    refused(here, arguments, 1, "AUD0602")


def test_the_state_of_another_environment(here, state_bytes):
    put(here, STATE, state_bytes)
    put(here, TOML, (here.root / TOML).read_text() + '\n[env.staging.project]\nname = "staging"\n')
    refused(here, (*APPLY, "--env", "staging"), 1, "AUD0606")


# --- no space left -----------------------------------------------------------------------------------------

# A process that may write no file beyond so many bytes: what a full disk looks like to it.
LIMITED = (
    "import resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n"
    "sys.argv[:2] = ['audsql']\n"
    "from audsql.cli import main\n"
    "main()\n"
)


def limited(here: Place, bytes_max: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return child(here, [LIMITED, str(bytes_max), *arguments])


def child(here: Place, program: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", *program],
        cwd=here.root,
        env={**os.environ, "NO_COLOR": "1", "AUDSQL_LANG": "en", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def started(here: Place, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "audsql", *arguments],
        cwd=here.root,
        env={**os.environ, "NO_COLOR": "1", "AUDSQL_LANG": "en"},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )


def left_over(root: Path) -> list[str]:
    """Half-written files, whatever wrote them."""
    return [
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and (path.name.startswith((".new-", ".sim.", ".key-")) or path.suffix in (".tmp", ".new"))
    ]


@pytest.mark.parametrize("bytes_max", [0, 100, 4_096, 30_000, 60_000, 120_000])
@pytest.mark.threat("T12")
@pytest.mark.scenario(9)
def test_no_space_during_an_apply(bytes_max, tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        files = {name: one for name, one in fingerprint(here.root).items() if name != STATE}
        done = limited(here, bytes_max, *APPLY)
        says_nothing_private(done.stdout + done.stderr)
        assert done.returncode in (0, 1, 4), done.stderr
        assert bool(code_of(done.stderr)) == (done.returncode != 0), done.stderr
        assert bytes_max >= 60_000 or done.returncode != 0
        assert {name: one for name, one in fingerprint(here.root).items() if name != STATE} == files
        assert left_over(here.root) == []
        again = here.command(*APPLY)
        assert again.returncode == 0, again.stderr
        assert len(here.received()) == 58
        assert set(here.received().values()) == {1}
        assert not here.plan().document["summary"]["changes"]


@pytest.mark.threat("T12")
@pytest.mark.scenario(9)
def test_no_space_with_a_saved_plan_and_the_same_command_again(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        assert here.command(*PLAN, "--out", "p.audplan").returncode == 0
        for bytes_max in (0, 30_000, 36_000, 50_000):
            done = limited(here, bytes_max, "apply", "p.audplan")
            assert done.returncode in (0, 1, 4, 5), done.stderr
            says_nothing_private(done.stdout + done.stderr)
        if set(here.received().values()) != {1}:
            again = here.command("apply", "p.audplan")
            assert again.returncode == 0, again.stderr
        assert len(here.received()) == 58
        assert set(here.received().values()) == {1}


@pytest.mark.parametrize(
    ("arguments", "file", "code"),
    [
        ((*PLAN, "--out", "p.audplan"), "p.audplan", "AUD0031"),
        (("eval", "purchased(A)", "--members", "ids.txt"), "ids.txt", "AUD0044"),
        (("fmt",), "shop.aud", "AUD0031"),
    ],
    ids=["plan --out", "eval --members", "fmt"],
)
def test_no_space_for_a_file_that_a_command_writes(arguments, file, code, here):
    here.command("eval", "purchased(A)")  # so that the cache stands, and only the file itself is refused
    put(here, "shop.aud", (here.root / "shop.aud").read_text().replace("  id:   user_id", "  id:      user_id"))
    files = fingerprint(here.root)
    done = limited(here, 100, *arguments)
    says_nothing_private(done.stdout + done.stderr)
    assert (done.returncode, code_of(done.stderr)) == (1, [code]), done.stderr
    assert fingerprint(here.root) == files
    assert left_over(here.root) == []
    assert here.inbox() == []


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_no_space_for_what_a_command_prints(tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        with FULL.open("w") as full:
            done = started(here, *PLAN, "--json", stdout=full)
            _, said = done.communicate(timeout=120)
            assert (done.returncode, code_of(said)) == (1, ["AUD0031"]), said
            # Progress that nobody can read stops no send.
            assert started(here, *APPLY, stderr=full).wait(timeout=120) == 0
        assert len(here.received()) == 58
        assert set(here.received().values()) == {1}


def test_no_space_for_the_memory_of_the_embedded_simulator(here):
    put(here, TOML, config(more='[sim]\nworld = "world.json"')[TOML])
    here.command("eval", "purchased(A)")
    files = fingerprint(here.root)
    done = limited(here, 40_000, *PLAN)
    says_nothing_private(done.stdout + done.stderr)
    assert (done.returncode, code_of(done.stderr)) == (1, ["AUD0031"]), done.stderr
    assert "sim.json" in done.stderr
    assert fingerprint(here.root) == files
    assert left_over(here.root) == []
    assert here.command(*PLAN).returncode == 0


@pytest.mark.parametrize(("step", "exit_code"), [("acquire", 1), ("snapshot", 4), ("write", 4), ("release", 4)])
@pytest.mark.threat("T12")
@pytest.mark.scenario(7, 8)
def test_a_state_that_fails_at_any_step_is_said(step, exit_code, tmp_path, monkeypatch):
    problem = StoreFailed(error("AUD0608", None, path=STATE))
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        document = here.plan().document
        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, step, lambda *_: (_ for _ in ()).throw(problem))
            outcome = here.apply(document, as_of=None)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (exit_code, ["AUD0608"])
        if step == "release":
            assert len(here.received()) == 58
        else:
            assert here.inbox() == []
            # The process that held the lease is gone by then.
            monkeypatch.setattr(holding, "is_alive", lambda pid: False)
            assert here.apply(document, as_of=None).exit_code == 0
        assert set(here.received().values()) == {1}
        assert not here.plan().document["summary"]["changes"]


# --- fmt leaves alone what it cannot read ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"audience x = \xff\n", "AUD0003"),
        (bytes(range(256)), "AUD0008"),
        (b"audience   x = (purchased(A)\n", "AUD0106"),
        (nested(201).encode(), "AUD0118"),
    ],
    ids=["no UTF-8", "binary", "cut off", "too deep"],
)
def test_fmt_leaves_a_broken_file_alone(content, code, here):
    put(here, "more.aud", content)
    refused(here, ("fmt", "more.aud"), 1, code)


# --- two at a time, and one that is interrupted ------------------------------------------------------------------


@pytest.mark.parametrize("saved", [False, True], ids=["two plans", "one saved plan"])
@pytest.mark.threat("T09")
@pytest.mark.scenario(15)
def test_two_applies_at_the_same_time(saved, tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        arguments = APPLY
        if saved:
            assert here.command(*PLAN, "--out", "p.audplan").returncode == 0
            arguments = ("apply", "p.audplan")
        both = [started(here, *arguments) for _ in range(2)]
        said = [one.communicate(timeout=120) for one in both]
        for out, err in said:
            says_nothing_private(out + err)
        exits = sorted(one.returncode for one in both)
        assert exits[0] == 0, said
        assert exits[1] in (0, 5, 6), said
        assert len(here.received()) == 58
        assert set(here.received().values()) == {1}


@pytest.mark.parametrize("same", [True, False], ids=["the same plan", "another plan"])
@pytest.mark.threat("T39")
@pytest.mark.scenario(21)
def test_an_apply_that_another_one_overtook_before_its_lease_is_refused(same, tmp_path, monkeypatch):
    """Both looked at the state before either had the lease."""
    real = applying.take_lease
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        document = here.plan().document
        first = document if same else here.plan(AS_OF.replace(hour=1)).document

        def overtaken(store, operation):
            monkeypatch.setattr(applying, "take_lease", real)
            assert here.apply(first, as_of=None).exit_code == 0
            return real(store, operation)

        monkeypatch.setattr(applying, "take_lease", overtaken)
        outcome = here.apply(document, as_of=None)
        assert (outcome.exit_code, codes(outcome.diagnostics)) == (5, ["AUD0623" if same else "AUD0624"])
        assert len(here.received()) == 58
        assert set(here.received().values()) == {1}


# Ctrl-C at one point: the sweep kills at checkpoints, and so does this, with the signal of a terminal.
INTERRUPTED = (
    "import signal, sys\n"
    "signal.SIGKILL = getattr(signal, sys.argv[1])\n"
    "from audsql.apply.journal import arm_kill\n"
    "arm_kill(int(sys.argv[2]))\n"
    "sys.argv[:3] = ['audsql']\n"
    "from audsql.cli import main\n"
    "main()\n"
)


@pytest.mark.parametrize("point", [1, 4, 7, 12, 17, 20])
@pytest.mark.threat("T28")
@pytest.mark.scenario(4)
def test_interrupted_and_run_again(point, tmp_path):
    with f1000(tmp_path, delivery(FOUNDING)) as here:
        files = {name: one for name, one in fingerprint(here.root).items() if name != STATE}
        name = "SIGINT" if point % 2 else "SIGTERM"
        done = child(here, [INTERRUPTED, name, str(point), *APPLY])
        says_nothing_private(done.stdout + done.stderr)
        assert done.returncode == 130, done.stderr
        assert "run the same command again" in done.stderr
        again = here.command(*APPLY)
        assert again.returncode == 0, again.stderr
        assert len(here.received()) == 58
        assert set(here.received().values()) == {1}
        assert not here.plan().document["summary"]["changes"]
        assert {name: one for name, one in fingerprint(here.root).items() if name != STATE} == files
