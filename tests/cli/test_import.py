"""`audsql import`: an account as LINE holds it, as a spec that says the same (scenarios 42 and 43, acceptance 6)."""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audsql import session
from audsql.line.models import AudienceInfo
from audsql.plan.imported import Found, Known, Sent, identifier, imported
from audsql.session import importing
from audsql.source import Source
from audsql.syntax.print import format_source
from harness import AS_OF, Place, codes, place

NOW = "2026-11-21T00:00:00+09:00"
ACCOUNT = 'account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }\n'
PEOPLE = [f"U{number:032x}" for number in range(1, 121)]
CALLS = {
    "CHAT_TAG": "chat_tag",
    "FRIEND_PATH": "friend_path",
    "WEBTRAFFIC": "web_traffic",
    "TRACKINGTAG_WEBTRAFFIC": "web_traffic",
    "RICHMENU_CLICK": "rich_menu_clicked",
    "RICHMENU_IMP": "rich_menu_seen",
    "RESERVATION": "reserved",
    "APP_EVENT": "app_event",
    "VIDEO_VIEW": "video_viewed",
    "IMAGE_CLICK": "image_clicked",
}
NAMES = [
    "VIP", "VIP 会員", "春の「お得」\"sale\"", "back\\slash", "2026年 春", "友だち追加：店頭", "gender", "AND", "---",
    "🎁",
    "カフェ（渋谷）", "a.b[c]", "# not a comment", "`tick`", "Ｗｉｄｅ", "ﾊﾝｶｸ", "audience x = friends", "が",
]  # fmt: skip


def send(number: int, kind: str, days_ago: int) -> dict[str, Any]:
    at = datetime.fromisoformat(NOW) - timedelta(days=days_ago)
    request = str(uuid.uuid5(uuid.NAMESPACE_URL, f"send {number}"))
    more = {"phase": "succeeded"} if kind == "narrowcast" else {}
    return {"requestId": request, "kind": kind, "at": at.isoformat(), "to": PEOPLE, "opened": PEOPLE, **more}


SENDS = [send(number, ("narrowcast", "broadcast")[number % 2], 1 + number * 2) for number in range(20)]


def audience(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "description": name, "members": PEOPLE, **more}


def audiences() -> list[dict[str, Any]]:
    """300 audiences of all types: names that are alike, quoted, Japanese, and such as cannot be told apart."""
    made = [audience(kind, name) for kind in sorted(CALLS) for name in NAMES if kind != "TRACKINGTAG_WEBTRAFFIC"]
    made += [audience("TRACKINGTAG_WEBTRAFFIC", f"tag {number}") for number in range(20)]
    made += [audience("SHARED", f"shared {number}", owner={"serviceType": "lineOfficialAccountManager"}, created=NOW)
             for number in range(10)]  # fmt: skip
    for number, one in enumerate(SENDS):
        made.append(audience("CLICK", f"clicks {number}", requestId=one["requestId"]))
        made.append(audience("IMP", f"opens {number}", requestId=one["requestId"]))
        url = f"https://example.com/?q=%22{number}"
        made.append(audience("CLICK", f"clicks {number}", requestId=one["requestId"], clickUrl=url))
    made += [audience("UPLOAD", f"list {number}") for number in range(20)]
    made += [
        audience("CHAT_TAG", "twice"),
        audience("CHAT_TAG", "TWICE"),
        audience("CHAT_TAG", "old", status="EXPIRED"),
    ]
    made += [audience("RICHMENU_CLICK", "broken", status="FAILED"), audience("POP_AD_IMP", "elsewhere")]
    made += [audience("UPLOAD", "theirs [audsql:abc123:0123456789:1]", permission="READ_WRITE")]
    made += [audience("FRIEND_PATH", f"path {number}") for number in range(300 - len(made))]
    return made


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    friends = [{"userId": one} for one in PEOPLE]
    account = {"token": "sim-token", "friends": friends, "sends": SENDS, "audiences": audiences()}
    world = {"now": NOW, "rateLimits": False, "accounts": {"shop": account}}
    with place(tmp_path_factory.mktemp("import"), world, {"account.aud": ACCOUNT}) as made:
        yield made


@pytest.fixture(scope="module")
def outcome(here: Place) -> importing.ImportOutcome:
    return importing.import_account(here.opened(), None, "en")


def expressions(opened: session.Opened) -> dict[str, str]:
    assert opened.analysis is not None
    return {one.name: one.expression.key for one in opened.analysis.project.audiences}


def test_300_audiences_of_all_types_plan_to_no_changes(here, outcome, tmp_path_factory):
    """scenario 43, acceptance 6: written, checked, canonical, `No changes.`; and each can be sent to."""
    assert len(here.audiences()) == 300
    assert outcome.audiences + outcome.left_out == 300
    path = here.root / "imported_shop.aud"
    done = here.command("import")
    try:
        assert done.returncode == 0, done.stderr
        assert path.read_text(encoding="utf-8") == outcome.text
        assert codes(session.check(here.opened())) == []
        assert here.command("fmt", "--check").returncode == 0
        planned = here.command("plan", "--detailed-exitcode")
        assert planned.returncode == 0, planned.stderr
        assert "No changes." in planned.stdout
        assert len(expressions(here.opened())) == outcome.audiences
        again = here.command("import")
        assert again.returncode == 1
        assert "AUD0816" in again.stderr
        assert path.read_text(encoding="utf-8") == outcome.text
        every_one_is_found(here)
    finally:
        path.unlink(missing_ok=True)
        (here.root / "use.aud").unlink(missing_ok=True)


def every_one_is_found(here: Place) -> None:
    """A delivery to each of them: no plan says that an audience is not there, there twice, or must be made."""
    names = sorted(expressions(here.opened()))
    for start in range(0, len(names), 9):
        chosen = " OR ".join(f"`{name}`" for name in names[start : start + 9])
        use = f'message card {{ text: "hello" }}\ndelivery d {{ to: {chosen}  send: card  by: narrowcast }}\n'
        here.write("use.aud", use)
        found = here.plan()
        assert codes(found.diagnostics) == []
        assert {one["action"] for one in found.document["resource_changes"]} <= {"find", "keep"}
        assert all(one["remote_id"] is not None for one in found.document["resource_changes"])


def test_the_same_account_gives_the_same_bytes(here, outcome):
    assert importing.import_account(here.opened(), "shop", "en").text == outcome.text


def test_sends_have_their_time_and_kind(outcome):
    text = outcome.text
    assert f'sent: "{SENDS[0]["requestId"]}"' in text
    assert len(re.findall("by: +narrowcast", text)) == sum(one["kind"] == "narrowcast" for one in SENDS[:7])
    assert len(re.findall("by: +broadcast", text)) == sum(one["kind"] == "broadcast" for one in SENDS[:7])
    assert re.search("delivery sent_2026_11_20 {[^}]*at: +2026-11-20 00:00\n", text)
    assert text.count("sent: ") == len(SENDS)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("UPLOAD list 3 ", "LINE never gives its people back"),
        ("CHAT_TAG twice ", "have this name"),
        ("CHAT_TAG old ", "expired at LINE"),
        ("RICHMENU_CLICK broken ", "not usable at LINE: FAILED"),
        ("POP_AD_IMP elsewhere ", "no word for this kind"),
        ("UPLOAD theirs [audsql:abc123:0123456789:1] ", "another state made it, with the mark [audsql:abc123:...]"),
    ],
)
def test_what_cannot_be_said_is_listed_with_the_reason(outcome, name, reason):
    """scenario 42: what another environment manages is left alone, and named."""
    (line,) = [line for line in outcome.text.splitlines() if line.startswith(f"# - {name}")]
    assert reason in line


def test_japanese(here):
    text = importing.import_account(here.opened(), None, "ja").text
    assert "別の状態が作ったものです" in text
    assert 'audience VIP_会員_2 = chat_tag("VIP 会員")\n' in text


def test_a_dry_run_writes_nothing(here, outcome):
    before = sorted(path.name for path in here.root.iterdir())
    done = here.command("import", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout == outcome.text
    assert sorted(path.name for path in here.root.iterdir()) == before


def test_nothing_at_line_was_changed(here, outcome):
    writes = [one for one in here.requests("POST", "PUT", "DELETE") if "/_sim/" not in one["path"]]
    assert writes == []


def test_what_the_project_says_already_is_left_out(here, outcome):
    here.write("mine.aud", 'audience best = chat_tag("vip")\naudience VIP_2 = friend_path("VIP")\n')
    try:
        text = importing.import_account(here.opened(), None, "en").text
        assert "audience best of this project is it already" in text
        assert 'chat_tag("VIP")' not in text
        here.write("imported_shop.aud", text)
        assert codes(session.check(here.opened())) == []
    finally:
        (here.root / "mine.aud").unlink()
        (here.root / "imported_shop.aud").unlink(missing_ok=True)


def test_what_this_state_made_is_left_out(tmp_path):
    """scenario 42, of its own state."""
    spec = ACCOUNT + (
        'upload buyers { file: "buyers.txt"  id: user_id }\nmessage card { text: "hello" }\n'
        "delivery sale { to: uploaded(buyers)  send: card  at: 2026-12-01 10:00  by: narrowcast }\n"
    )
    world = {"now": NOW, "accounts": {"shop": {"token": "sim-token", "friends": [{"userId": one} for one in PEOPLE]}}}
    with place(tmp_path, world, {"shop.aud": spec, "buyers.txt": "\n".join(PEOPLE) + "\n"}) as here:
        assert here.apply(as_of=AS_OF).exit_code == 0
        found = importing.import_account(here.opened(), None, "en")
        assert (found.audiences, found.left_out) == (0, 1)
        assert "the state of this project made it" in found.text
        here.write("imported_shop.aud", found.text)
        assert not here.plan().document["summary"]["changes"]


@pytest.mark.parametrize(
    ("spec", "arguments", "code"),
    [
        ("", (), "AUD0813"),
        (ACCOUNT + ACCOUNT.replace("shop", "other"), (), "AUD0814"),
        (ACCOUNT, ("--account", "shpo"), "AUD0815"),
    ],
)
def test_it_must_be_clear_which_account(tmp_path, spec, arguments, code):
    with place(tmp_path, {"now": NOW, "accounts": {"shop": {"token": "sim-token"}}}, {"account.aud": spec}) as here:
        done = here.command("import", *arguments)
        assert done.returncode == 64
        assert code in done.stderr


def test_an_endpoint_is_needed(tmp_path):
    with place(tmp_path, {"now": NOW, "accounts": {"shop": {"token": "sim-token"}}}, {"account.aud": ACCOUNT}) as here:
        here.write("audsql.toml", '[project]\nname = "shop"\n')
        assert here.command("import").returncode == 64


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("VIP", "VIP"),
        ("VIP 会員", "VIP_会員"),
        ("2026年 春", "_2026年_春"),
        ("Ｗｉｄｅ", "Wide"),
        ("ﾊﾝｶｸ", "ハンカク"),
        ("a--b", "a_b"),
        ("gender", "x_1"),
        ("And", "x_1"),
        ("🎁", "x_1"),
        ("", "x_1"),
        ("x" * 100, "x" * 60),
    ],
)
def test_a_name_of_the_language(text, name):
    assert identifier(text, "x_1") == name


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=8))
def test_any_names_make_a_spec_that_says_them(names: list[str]) -> None:
    """Whatever people typed into LINE: the file reads, is canonical, and each audience is found by its own name."""
    found = [Found(AudienceInfo(number, "CHAT_TAG", name, "READY")) for number, name in enumerate(names, start=1)]
    result = imported(found, {}, Known())
    assert result == imported(found[::-1], {}, Known())
    text = "".join(f"audience {one.name} = {one.expression}\n" for one in result.audiences)
    formatted, problems = format_source(Source("x.aud", ACCOUNT + text))
    assert not problems
    assert formatted.count("audience ") >= len(result.audiences)
    assert [one for one in session.check_texts({"x.aud": ACCOUNT + text}) if one.severity == "error"] == []
    folded = [unicodedata.normalize("NFC", name).casefold() for name in names]
    once = {name for name, key in zip(names, folded, strict=True) if folded.count(key) == 1 and name.strip()}
    assert len(result.audiences) == len(once)


def test_names_are_numbered_in_one_order():
    found = [Found(AudienceInfo(number, kind, "春", "READY")) for number, kind in enumerate(CALLS, start=1)]
    found = [one for one in found if one.info.kind != "TRACKINGTAG_WEBTRAFFIC"]
    names = [one.name for one in imported(found, {}, Known(taken=frozenset({"春"}))).audiences]
    assert names == [f"春_{number}" for number in range(2, 11)]


def test_a_send_that_is_declared_keeps_its_name():
    at = datetime.fromisoformat(NOW)
    info = AudienceInfo(1, "CLICK", "c", "READY", request_id="r1", click_url='https://e.com/"')
    known = Known(taken=frozenset({"my spring"}), sends={"r1": "my spring"})
    result = imported([Found(info)], {"r1": Sent(at)}, known)
    assert result.sends == ()
    assert result.audiences[0].expression == 'clicked(`my spring`, "https://e.com/\\"")'
    assert json.dumps(result.audiences[0].name) == '"c"'
