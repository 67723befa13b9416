"""Nothing of a person leaves the data files and the uploads, whatever is run and however it fails."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from canaries import Canaries, forms

import spawn
from audsql import session
from harness import TOKEN_VARIABLE, Place, place

KEY = "a5" * 32
TOKEN = "canary-token-7f3Qz9Lw"
USERS = ["U" + hashlib.sha256(f"canary {number}".encode()).hexdigest()[:32] for number in range(120)]
LISTED, BOUGHT, TAGGED = USERS[:80], USERS[40:110], USERS[110:]
PHONES = [f"0907{number:07d}" for number in range(3141592, 3141612)]
EMAILS = [f"canary.{number}@bird-cage.example" for number in range(4711, 4731)]
MEMBERS = [f"MEMBER-KANARIE-{number}" for number in range(900, 960)]
BAD = ["0903333444x9", "Uc0ffeenothexadecimal0000000000zz", "not an address@bird-cage"]

SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload buyers { file: "data/buyers.txt"  id: user_id }
upload optout { file: "data/optout.txt"  id: user_id }
upload phones { file: "data/phones.txt"  id: phone }
upload letters { file: "data/letters.txt"  id: email }
upload cards { file: "data/cards.txt"  id: member_id }
table orders { file: "data/orders.csv"  id: user_id  time: ordered_at  verb purchased by product }
table members { file: "data/members.csv"  id: user_id, member_id }
policy house { always except uploaded(optout) }
audience regulars = purchased(A) AND uploaded(buyers)
audience card_holders = uploaded(cards) AND linked(members)
audience reachable_by_phone = uploaded(phones)
audience readers = uploaded(letters)
message sale { text: "sale" }
delivery now { to: uploaded(buyers) AND purchased(A)  send: sale }
delivery cards_now { to: card_holders  send: sale }
delivery later { to: uploaded(buyers) EXCEPT purchased(A)  send: sale  at: 2026-11-22 10:00 }
delivery by_list { to: purchased(A)  by: multicast  send: sale  at: 2026-11-21 12:00 }
flow steps { start when purchased(A)  send sale  wait 1 hour  send sale }
flow parted { start when purchased(A)  branch { chat_tag("VIP") -> send sale  otherwise -> send sale } }
test "people" { prove regulars within uploaded(buyers) }
"""


def lines(values: list[str]) -> str:
    return "".join(f"{one}\n" for one in values)


def project() -> dict[str, str]:
    orders = "user_id,ordered_at,product\n" + lines([f"{one},2026-11-01 10:00:00,A" for one in BOUGHT])
    members = "user_id,member_id\n" + lines([f"{one},{two}" for one, two in zip(USERS, MEMBERS, strict=False)])
    return {
        "shop.aud": SPEC,
        "data/buyers.txt": lines(LISTED),
        "data/optout.txt": lines(USERS[:3]),
        "data/phones.txt": lines(PHONES),
        "data/letters.txt": lines(EMAILS),
        "data/cards.txt": lines(MEMBERS),
        "data/orders.csv": orders,
        "data/members.csv": members,
    }


def world() -> dict[str, object]:
    friends = [
        {"userId": one, "status": "following", "followedAt": "2025-01-01T00:00:00+09:00", "policyAccepted": True}
        for one in USERS
    ]
    shop = {
        "token": TOKEN, "quota": {"type": "limited", "value": 30000}, "followersReadable": True,
        "notIncludesUnknown": True, "friends": friends, "sends": [],
        "audiences": [{"type": "CHAT_TAG", "description": "VIP", "members": TAGGED}],
    }  # fmt: skip
    return {"now": "2026-11-21T00:00:00+09:00", "accounts": {"shop": shop}}


CANARIES = Canaries([*USERS, *PHONES, *EMAILS, *MEMBERS, *BAD, TOKEN])


class Watched:
    """Runs commands as real processes and keeps all that they say."""

    def __init__(self, here: Place, scratch: Path, key: str | None) -> None:
        self.here, self.scratch, self.said = here, scratch, ""
        scratch.mkdir()
        self.environment = {
            **os.environ, "NO_COLOR": "1", "AUDSQL_LANG": "en", TOKEN_VARIABLE: TOKEN, "TMPDIR": str(scratch),
            "HOME": str(scratch), "XDG_CACHE_HOME": str(scratch / "cache"),
        }  # fmt: skip
        self.environment |= {"AUDSQL_KEY": key} if key else {}

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> int:
        done = spawn.run(arguments, cwd=self.here.root, env=self.environment | environment, input=stdin)
        for name, said in (("stdout", done.stdout), ("stderr", done.stderr)):
            assert CANARIES.in_bytes(said.encode()) == [], (arguments, name)
        assert done.returncode != 70, (arguments, done.stderr)
        self.said = done.stderr
        return done.returncode

    def found(self, *, cache_too: bool) -> list[object]:
        """Hits outside the owner's own data files."""
        without = ("data/",) if cache_too else ("data/", ".audsql/cache/")
        return [*CANARIES.in_folder(self.here.root, without), *CANARIES.in_folder(self.scratch)]


@pytest.fixture(params=[None, KEY], ids=["without a key", "with a key"])
def watched(request, tmp_path, monkeypatch):
    monkeypatch.delenv("AUDSQL_KEY", raising=False)
    if request.param:
        monkeypatch.setenv("AUDSQL_KEY", request.param)
    (tmp_path / "project").mkdir()
    with place(tmp_path / "project", world(), project()) as here:
        monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
        yield Watched(here, tmp_path / "scratch", request.param), bool(request.param)


def test_the_canary_finds_itself(tmp_path):
    """The grep is one that finds: each form of each kind of value, in a file and in its name."""
    for value in (USERS[0], PHONES[0], EMAILS[0], MEMBERS[0], TOKEN):
        for form, needle in forms(value).items():
            (tmp_path / "leak").write_bytes(b"before " + needle + b" after")
            assert ("leak", (value, form)) in CANARIES.in_folder(tmp_path)
    (tmp_path / "leak").unlink()
    assert CANARIES.in_folder(tmp_path) == []


def test_nothing_of_a_person_is_left_by_a_life_of_commands(watched):
    run, encrypted = watched
    assert run("check") in (0, 1)
    assert run("plan", "--out", "plan.json") == 0
    for form in ("human", "json", "markdown"):
        assert run("plan", "--format", form) == 0
    assert run("apply", "plan.json", "--json") == 0
    assert run.here.inbox(), "something was sent, so that there was something to leak"
    run.here.advance(13 * 3600)
    assert run("run") == 0
    assert any(one["kind"] == "multicast" for one in run.here.inbox())
    for command in (
        ("status",),
        ("status", "--json"),
        ("state", "list"),
        ("state", "pull"),
        ("doctor",),
        ("lock", "show"),
    ):
        assert run(*command) in (0, 1, 7)
    for command in (
        ("explain", "regulars"),
        ("eval", "uploaded(buyers) EXCEPT purchased(A)"),
        ("test",),
        ("graph",),
        ("lint",),
    ):
        assert run(*command) in (0, 1, 3)
    run.here.write("data/buyers.txt", lines(LISTED[5:]))
    assert run("plan", "--format", "markdown") == 0
    assert run("apply", "--auto-approve") == 0
    assert run.found(cache_too=encrypted) == []


def test_nothing_is_left_while_an_apply_is_at_work(watched):
    """The state file, its log and the working copies at every step, not only after the end."""
    run, encrypted = watched
    without = ("data/",) if encrypted else ("data/", ".audsql/cache/people", ".audsql/cache/sets")
    seen: list[object] = []

    def look(event: dict[str, object]) -> None:
        seen.append(event["event"])
        assert CANARIES.in_text(json.dumps(event)) == []
        assert CANARIES.in_folder(run.here.root, without) == []

    outcome = session.apply(run.here.opened(), None, session.ApplyOptions(on_event=look))
    assert outcome.exit_code == 0 and "upload_chunk" in seen


ERRORS = {
    "a bad telephone number": {"data/phones.txt": lines([*PHONES, BAD[0]])},
    "a bad user id": {"data/buyers.txt": lines([*LISTED, BAD[1]])},
    "a bad address": {"data/letters.txt": lines([*EMAILS, BAD[2]])},
    "an id twice": {"data/buyers.txt": lines([*LISTED, LISTED[0]])},
    "a quoted id": {"data/buyers.txt": lines([f'"{LISTED[0]}"', *LISTED])},
    "a time that is none": {
        "data/orders.csv": "user_id,ordered_at,product\n" + lines([f"{USERS[0]},{PHONES[0]},A", f"{USERS[1]},x,A"])
    },
    "a row that is too long": {
        "data/orders.csv": "user_id,ordered_at,product\n" + lines([f"{USERS[0]},2026-11-01 10:00:00,A,{EMAILS[0]}"])
    },
    "a quote that does not end": {
        "data/orders.csv": "user_id,ordered_at,product\n" + f'{USERS[0]},"{PHONES[0]},A\n{USERS[1]},2026-11-01,A\n'
    },
    "a header that is missing": {"data/orders.csv": lines([f"{one},2026-11-01 10:00:00,A" for one in BOUGHT])},
    "a byte that is no text": {"data/members.csv": "user_id,member_id\n" + f"{USERS[0]},{MEMBERS[0]}\0\n"},
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_in_data_name_nobody(tmp_path, name, monkeypatch):
    monkeypatch.delenv("AUDSQL_KEY", raising=False)
    (tmp_path / "project").mkdir()
    with place(tmp_path / "project", world(), {**project(), **ERRORS[name]}) as here:
        run = Watched(here, tmp_path / "scratch", None)
        # An id that stands twice is a warning; all else stops the plan.
        assert run("plan", "--json") in ((0,) if name == "an id twice" else (1, 5)), run.said
        assert "error[AUD" in run.said or "warning[AUD1020]" in run.said, run.said
        assert run("eval", "card_holders AND regulars", "--format", "json") in (0, 1)
        assert run.found(cache_too=False) == []


def test_errors_of_line_name_nobody(watched):
    """LINE's answers are repeated by code and endpoint: what they echo goes nowhere."""
    run, encrypted = watched
    for fault in ("status:500", "status:400", "status:429", "drop-response"):
        run.here.faults({"match": {"method": "POST", "path": "/v2/bot/audienceGroup/upload"}, "nth": 1, "do": fault})
        assert run("apply", "--auto-approve") in (0, 1, 4, 7)
    run.here.faults({"match": {"method": "POST", "path": "/v2/bot/message/multicast"}, "nth": 1, "do": "status:400"})
    run.here.advance(13 * 3600)
    assert run("run") in (0, 1, 4, 7)
    assert run("status") in (0, 7)
    assert run("plan", **{TOKEN_VARIABLE: TOKEN + "-revoked"}) == 1
    assert run.found(cache_too=encrypted) == []


def test_a_bug_is_reported_without_data(watched):
    """An exception of ours or of a library: kind and places, never its text and never its locals."""
    run, encrypted = watched
    broken = (
        "import sys, runpy\n"
        "import audsql.data.lists as lists, audsql.data.duckdb as duck\n"
        "def read_list(content, *rest):\n"
        "    person = content.data.decode()\n"
        "    raise ValueError('Original Line: ' + person)\n"
        "lists.read_list = duck.read_list = read_list\n"
        "from audsql.cli.app import run\n"
        "sys.exit(run(['plan']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken], cwd=run.here.root, env=run.environment, capture_output=True, check=False
    )
    assert done.returncode == 70 and b"AUD9901" in done.stderr
    assert CANARIES.in_bytes(done.stdout + done.stderr) == []
    assert run.found(cache_too=encrypted) == []


def test_ids_of_a_command_line_are_not_repeated(watched):
    run, encrypted = watched
    for kind, person in (("user_id", USERS[0]), ("phone", PHONES[0]), ("email", EMAILS[0])):
        assert run("explain", "regulars", "--person", person, "--id-kind", kind) in (0, 1, 64)
    if encrypted:
        assert run("erase", "--id-from-stdin", stdin=USERS[0]) == 0
        assert run("erase", EMAILS[0]) == 0
    assert run.found(cache_too=encrypted) == []
