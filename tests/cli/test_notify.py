"""`[notify]`: somebody is told when an apply or run needs them; nothing of a person, no token, no other exit code."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from test_line_rules import got, shop

from audsql.config import parse_config
from audsql.session import notifying
from harness import TOKEN, TOKEN_VARIABLE, codes

LIST = "uploaded(list)"
FAILED = {"progress": [{"errorCode": 2, "delivered": 0}]}


def configure(here, text: str, language: str = "en") -> None:
    config = (here.root / "audsql.toml").read_text()
    config = config.replace('name = "shop"', f'name = "shop"\nlanguage = "{language}"', 1)
    here.write("audsql.toml", f"{config}\n[notify]\n{text}\n")


def keeper(here, code: int = 0) -> str:
    """A command that keeps what it gets on its standard input, its arguments and its environment."""
    here.write(
        "keep.py",
        "import json, os, sys\n"
        "with open('told.jsonl', 'a') as out:\n"
        "    given = json.load(sys.stdin)\n"
        "    out.write(json.dumps({'told': given, 'argv': sys.argv[1:], 'env': dict(os.environ)}) + '\\n')\n"
        f"sys.exit({code})\n",
    )
    return f"command = {json.dumps([sys.executable, 'keep.py', 'fixed'])}"


def told(here) -> list:
    path = here.root / "told.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def warned(outcome) -> list[str]:
    return [one.code for one in outcome.diagnostics if one.severity == "warning"]


def test_a_command_gets_it_on_its_standard_input(tmp_path):
    with shop(tmp_path, LIST, **FAILED) as here:
        configure(here, keeper(here))
        assert here.apply().exit_code == 7
        (one,) = told(here)
        document = one["told"]
        assert (document["kind"], document["exit_code"], document["operation"]) == ("audsql.notification", 7, "apply")
        assert document["deliveries"] == [{"delivery": "sale", "state": "failed"}]
        assert document["codes"] == ["AUD0858"]
        assert set(document["counts"].values()) <= {"0", "1-9"}
        assert "sale" in document["text"]
        assert one["argv"] == ["fixed"]
        assert here.run().exit_code == 7 and len(told(here)) == 2


def test_nothing_of_a_person_and_no_token_gets_out(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDSQL_KEY", "ab" * 32)
    with shop(tmp_path, LIST, **FAILED) as here:
        configure(here, keeper(here))
        assert here.apply().exit_code == 7
        whole = json.dumps(told(here))
        assert TOKEN not in whole and TOKEN_VARIABLE not in told(here)[0]["env"]
        assert "ab" * 32 not in whole and f"{7:032x}" not in whole and "hello" not in whole


def test_it_is_not_called_where_all_is_well_unless_always(tmp_path):
    with shop(tmp_path, LIST) as here:
        configure(here, keeper(here))
        assert here.apply().exit_code == 0 and told(here) == []
        configure_always = (here.root / "audsql.toml").read_text() + "always = true\n"
        here.write("audsql.toml", configure_always)
        assert here.run().exit_code == 0
        assert [one["told"]["exit_code"] for one in told(here)] == [0]


def test_a_refusal_before_anything_began_is_told_too(tmp_path):
    with shop(tmp_path, LIST, more="expect: 1..2 people") as here:
        configure(here, keeper(here))
        done = here.command("apply", "--auto-approve")
        assert done.returncode == 5
        (one,) = told(here)
        assert one["told"]["exit_code"] == 5 and any(code.startswith("AUD07") for code in one["told"]["codes"])


def test_it_speaks_the_projects_language(tmp_path):
    with shop(tmp_path, LIST, **FAILED) as here:
        configure(here, keeper(here), "ja")
        assert here.apply().exit_code == 7
        assert "人の判断が必要" in told(here)[0]["told"]["text"]


@pytest.mark.parametrize("command", ['["/nowhere/to/be/found"]', None, '["."]'])
def test_that_it_fails_changes_nothing(tmp_path, command):
    with shop(tmp_path, LIST, **FAILED) as here:
        configure(here, f"command = {command}" if command else keeper(here, 3))
        outcome = here.apply()
        assert outcome.exit_code == 7 and "AUD0888" in warned(outcome)
        assert codes(outcome.diagnostics) == ["AUD0858"]


def test_a_command_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(notifying, "TIMEOUT_SECONDS", 0.2)
    with shop(tmp_path, LIST, **FAILED) as here:
        configure(here, f"command = {json.dumps([sys.executable, '-c', 'import threading; threading.Event().wait()'])}")
        outcome = here.apply()
        assert outcome.exit_code == 7 and "AUD0888" in warned(outcome)


# --- a webhook --------------------------------------------------------------------------------------


@contextmanager
def receiver(status: int = 200):
    """An address on this machine and what was posted to it."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", posted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_webhook_gets_it_by_post(tmp_path):
    with shop(tmp_path, LIST, **FAILED) as here, receiver() as (url, posted):
        configure(here, f'webhook = "{url}"')
        outcome = here.apply()
        assert outcome.exit_code == 7 and warned(outcome) == []
        ((path, headers, body),) = posted
        assert path == "/hook" and headers["content-type"] == "application/json"
        assert json.loads(body)["exit_code"] == 7
        assert TOKEN not in json.dumps([headers, body.decode()])


def test_an_address_from_the_environment(tmp_path, monkeypatch):
    with shop(tmp_path, LIST, **FAILED) as here, receiver() as (url, posted):
        configure(here, "webhook = 'env(\"HOOK\")'")
        monkeypatch.setenv("HOOK", url)
        assert here.apply().exit_code == 7 and len(posted) == 1
        for wrong in ("http://198.51.100.1/hook", "", "file:///etc/passwd"):
            monkeypatch.setenv("HOOK", wrong)
            outcome = here.run()
            assert outcome.exit_code == 7 and "AUD0888" in warned(outcome)
        assert len(posted) == 1


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_answer_that_is_no_success_is_a_warning_and_not_followed(tmp_path, status):
    with shop(tmp_path, LIST, **FAILED) as here, receiver(status) as (url, posted):
        configure(here, f'webhook = "{url}"')
        outcome = here.apply()
        assert outcome.exit_code == 7 and "AUD0888" in warned(outcome) and len(posted) == 1


# --- what audsql.toml may say -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[notify]\n", "AUD0886"),
        ("[notify]\nalways = true\n", "AUD0886"),
        ('[notify]\ncommand = ["a"]\nwebhook = "https://a.example/"\n', "AUD0886"),
        ("[notify]\ncommand = []\n", "AUD0012"),
        ('[notify]\ncommand = "a b"\n', "AUD0012"),
        ("[notify]\ncommand = [1]\n", "AUD0012"),
        ('[notify]\ncommand = ["a"]\nalways = "yes"\n', "AUD0012"),
        ("[notify]\nwebhook = 1\n", "AUD0012"),
        ('[notify]\nwebhok = "https://a.example/"\n', "AUD0011"),
        ("notify = 1\n", "AUD0012"),
        ('[notify]\nwebhook = "http://a.example/"\n', "AUD0887"),
        ('[notify]\nwebhook = "https://me:pw@a.example/"\n', "AUD0887"),
        ('[notify]\nwebhook = "ftp://a.example/"\n', "AUD0887"),
        ('[env.prod.notify]\nwebhook = "http://a.example/"\n', "AUD0887"),
    ],
)
def test_what_is_refused(text, code):
    config, problems = parse_config(text, "shop", None)
    assert config is None and [one.code for one in problems] == [code]


def test_an_environment_has_its_own():
    text = '[notify]\ncommand = ["a"]\n[env.prod.notify]\nwebhook = "https://a.example/x"\nalways = true\n[env.dev]\n'
    plain, prod, dev = (parse_config(text, "shop", name)[0] for name in (None, "prod", "dev"))
    assert plain.notify == dev.notify and plain.notify.command == ("a",)
    assert (prod.notify.command, prod.notify.webhook, prod.notify.always) == ((), "https://a.example/x", True)


def test_people_still_get_their_messages(tmp_path):
    with shop(tmp_path, LIST) as here:
        configure(here, 'command = ["/nowhere"]\nalways = true')
        outcome = here.apply()
        assert outcome.exit_code == 0 and "AUD0888" in warned(outcome)
        assert got(here) == list(range(1, 61))
