"""`rollback`: an ordinary plan from the specs of an earlier apply; what was sent since is never sent again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from f1000 import delivery, f1000

from audsql.session import past
from harness import Place

AS_OF = ("--as-of", "2026-11-21T00:00:00+09:00")
AUDIENCE = "audience warm_a = clicked(msg42) AND purchased(A)\n"
LATER = delivery("purchased(B)", "at: 2030-01-01 10:00", name="later")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def applied(here: Place, specs: str | None = None, text: str = "more") -> int:
    """Commit these specs, apply them; the serial that this led to."""
    if specs is not None:
        here.write("specs.aud", specs)
    if not (here.root / ".git").exists():
        git(here.root, "init", "-q")
        here.write(".gitignore", ".audsql/\n")
    git(here.root, "add", "-A")
    git(here.root, "commit", "-qm", text)
    assert here.apply().exit_code == 0
    return serial(here)


def serial(here: Place) -> int:
    found = past.history(here.opened()).document
    assert found is not None
    return int(found["serial"])


def rollback(here: Place, to: int, *more: str, code: int = 0) -> dict[str, Any]:
    done = here.command("rollback", "--to", str(to), "--json", *AS_OF, *more)
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(autouse=True)
def no_other_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)


def test_back_to_the_former_specs(tmp_path: Path) -> None:
    """What was scheduled since is cancelled, what was changed is as it was, what was sent since stays sent."""
    with f1000(tmp_path, "") as here:
        first = applied(here, AUDIENCE + delivery("warm_a") + LATER)
        changed = LATER.replace("purchased(B)", "purchased(B, last 200 days)")
        soon = delivery("purchased(A)", "at: 2030-02-01 10:00", name="soon")
        applied(here, AUDIENCE + delivery("warm_a") + changed + soon + delivery("purchased(A)", name="sent_since"))
        received = here.received()
        files = (here.root / "specs.aud").read_text()

        would = rollback(here, first, "--dry-run")
        assert [one["delivery"] for one in would["irreversible"]] == ["sent_since"]
        assert would["irreversible"][0]["state"] == "done" and would["irreversible"][0]["people"]
        assert would["result"] is None and serial(here) > first
        actions = {one["address"]: one["action"] for one in would["plan"]["deliveries"]}
        assert actions == {"delivery.later": "update", "delivery.sale_a": "sent"}
        assert [one["address"] for one in would["plan"]["cancelled"]] == ["delivery.soon"]

        done = rollback(here, first, "--auto-approve")
        assert done["plan"]["digest"] == done["result"]["plan_digest"] and done["result"]["exit_code"] == 0
        assert here.received() == received
        assert (here.root / "specs.aud").read_text() == files
        entry = past.history(here.opened()).document["entries"][0]  # type: ignore[index]
        assert (entry["rollback_to"], entry["commit"], entry["dirty"]) == (first, done["commit"], False)
        again = rollback(here, first, "--dry-run")
        assert again["plan"]["summary"]["changes"] is False
        # The rollback is a point to go back to itself, and the folder's own specs can be applied again.
        assert here.apply().exit_code == 0 and here.received() == received


def test_a_delivery_that_was_renamed_since_is_not_sent_under_its_old_name(tmp_path: Path) -> None:
    with f1000(tmp_path, "") as here:
        first = applied(here, AUDIENCE + delivery("warm_a"))
        two = AUDIENCE + "moved sale_a -> sale_b\n" + delivery("warm_a", name="sale_b")
        second = applied(here, two)
        here.write("specs.aud", two.replace("sale_b", "sale_c").replace("moved sale_a", "moved sale_b"))
        applied(here, None, "renamed again")
        received = here.received()
        for to, name in ((second, "sale_b"), (first, "sale_a")):
            done = rollback(here, to, "--auto-approve")
            assert done["irreversible"] == []
            assert {one["address"]: one["action"] for one in done["plan"]["deliveries"]} == {f"delivery.{name}": "sent"}
            assert here.received() == received


def test_the_zone_and_messages_are_those_of_the_commit(tmp_path: Path) -> None:
    specs = LATER.replace("send: sale", "send: card") + 'message card { file: "messages/card.json" }\n'
    with f1000(tmp_path, "") as here:
        here.write("messages/card.json", '[{"type": "text", "text": "before"}]')
        first = applied(here, specs)
        here.write("messages/card.json", '[{"type": "text", "text": "after"}]')
        here.write("audsql.toml", (here.root / "audsql.toml").read_text().replace("Asia/Tokyo", "UTC"))
        applied(here)
        (one,) = rollback(here, first, "--dry-run")["plan"]["deliveries"]
        assert (one["content"][0]["text"], one["at"]) == ("before", "2030-01-01T10:00:00+09:00")


def test_no_terminal_and_no_approval(tmp_path: Path) -> None:
    with f1000(tmp_path, "") as here:
        first = applied(here, LATER)
        before = here.requests()
        done = here.command("rollback", "--to", str(first))
        assert done.returncode == 64 and "AUD0050" in done.stderr and here.requests() == before
        assert here.command("rollback").returncode == 64


@pytest.mark.parametrize("to", [0, 999])
def test_no_such_serial(tmp_path: Path, to: int) -> None:
    with f1000(tmp_path, "") as here:
        applied(here, LATER)
        done = here.command("rollback", "--to", str(to), "--dry-run")
        assert done.returncode == 1 and "AUD0643" in done.stderr


def test_without_a_commit_there_is_no_way_back(tmp_path: Path) -> None:
    with f1000(tmp_path, LATER) as here:
        assert here.apply().exit_code == 0
        outside = serial(here)
        first = applied(here, delivery("purchased(A)", "at: 2030-02-01 10:00", name="one"))
        here.write("specs.aud", delivery("purchased(A)", "at: 2030-03-01 10:00", name="two"))
        assert here.apply().exit_code == 0
        edited = serial(here)
        for to in (outside, edited):
            done = here.command("rollback", "--to", str(to), "--dry-run")
            assert done.returncode == 1 and "AUD0644" in done.stderr
            assert ("differed" in done.stderr) is (to == edited)
        assert rollback(here, first, "--dry-run")["to"] == first
        assert rollback(here, edited - 1, "--dry-run")["to"] == edited - 1


def test_a_commit_that_is_gone(tmp_path: Path) -> None:
    import shutil

    with f1000(tmp_path, "") as here:
        first = applied(here, LATER)
        shutil.rmtree(here.root / ".git")
        git(here.root, "init", "-q")
        git(here.root, "add", "-A")
        git(here.root, "commit", "-qm", "another history")
        done = here.command("rollback", "--to", str(first), "--dry-run")
        assert done.returncode == 1 and "AUD0645" in done.stderr


def test_specs_that_no_longer_pass(tmp_path: Path) -> None:
    with f1000(tmp_path, "") as here:
        here.write("shop.aud", (here.root / "shop.aud").read_text() + "param size: number\n")
        git(here.root, "init", "-q")
        here.write(".gitignore", ".audsql/\n")
        here.write("specs.aud", LATER)
        git(here.root, "add", "-A")
        git(here.root, "commit", "-qm", "one")
        done = here.command("apply", "--auto-approve", *AS_OF, "--var", "size=3")
        assert done.returncode == 0, done.stderr
        first = json.loads(here.command("history", "--json", "--var", "size=3").stdout)["serial"]
        done = here.command("rollback", "--to", str(first), "--dry-run")
        assert done.returncode == 1 and "AUD0646" in done.stderr
        assert here.command("rollback", "--to", str(first), "--dry-run", *AS_OF, "--var", "size=3").returncode == 0


def test_japanese(tmp_path: Path) -> None:
    with f1000(tmp_path, "") as here:
        first = applied(here, LATER)
        text = here.command("rollback", "--to", str(first), "--auto-approve", *AS_OF, "--lang", "ja").stdout
        assert f"シリアル {first} に戻ります" in text and "次の適用でこのロールバックが取り消されます" in text
