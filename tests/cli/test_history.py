"""`history` and `blame`: what was applied, decided and unlocked, and by which commit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from f1000 import delivery, f1000

from audsql.apply.store import Holder, open_store
from audsql.session import mending, past
from audsql.session.commits import commit_of
from harness import Place

SALE = "audience warm_a = clicked(msg42) AND purchased(A)\n" + delivery("warm_a")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(here: Place, text: str) -> str:
    git(here.root, "add", "-A")
    git(here.root, "commit", "-qm", text)
    return git(here.root, "rev-parse", "HEAD")


def entries(here: Place, limit: int = 100) -> list[dict[str, Any]]:
    found = past.history(here.opened(), limit)
    assert found.document is not None, found.diagnostics
    return list(found.document["entries"])


@pytest.fixture(autouse=True)
def no_other_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, list[str]]]:
    """Two applies from two commits, one from edited files, a decision, a lock taken over and one ended by force."""
    with f1000(tmp_path_factory.mktemp("story"), SALE) as here:
        git(here.root, "init", "-q")
        here.write(".gitignore", ".audsql/\n")
        commits = [commit(here, "one")]
        assert here.apply().exit_code == 0
        more = "audience others = purchased(B)\n" + delivery("others", "at: 2030-01-01 10:00", name="later")
        here.write("more.aud", more)
        commits.append(commit(here, "two"))
        assert here.apply().exit_code == 0
        here.write("more.aud", more.replace("purchased(B)", "purchased(B, last 300 days)"))
        assert here.apply(accept_shrunk=frozenset({"optout"}), reason="a campaign ended").exit_code == 0
        assert here.command("state", "mv", "audience.others", "audience.rest", "--reason", "tidy").returncode == 0
        _hands(here)
        yield here, commits


def _hands(here: Place) -> None:
    store = open_store(str(here.root / ".audsql/state.sqlite"), create=False, environment="default")
    assert not isinstance(store, tuple)
    now = datetime.now(UTC)
    with store:
        store.acquire(Holder("anna", "build-7", 4321), now, timedelta(seconds=1))
        lease = store.acquire(Holder("ben", "build-8", 8765), now + timedelta(hours=1), timedelta(hours=1))
        assert hasattr(lease, "took_over")
        assert store.force_release(lease.id, now + timedelta(hours=1), "cleo") == "released"


def test_everything_that_happened_newest_first(story: tuple[Place, list[str]]) -> None:
    here, commits = story
    found = entries(here)
    kinds = [(one["kind"], one["by"]) for one in found if one["kind"] in ("takeover", "unlock")]
    assert kinds == [("unlock", "cleo"), ("takeover", "ben")]
    assert [one["from"]["by"] for one in found[:2]] == ["ben", "anna"]
    decisions = [(one["subject"], one["verdict"], one["reason"]) for one in found if one["kind"] == "decision"]
    assert decisions == [("audience.others", "moved", "tidy"), ("source.optout", "accept-shrunk", "a campaign ended")]
    applies = [one for one in found if one["kind"] == "apply"]
    assert [(one["commit"], one["dirty"]) for one in applies] == [
        (commits[1], True),
        (commits[1], False),
        (commits[0], False),
    ]
    assert [one["outcome"] for one in applies] == ["done"] * 3
    assert [one["counts"]["sent"] for one in applies] == [0, 0, 1]
    assert [one["counts"]["scheduled"] for one in applies] == [0, 1, 1]
    serials = [serial for one in reversed(applies) for serial in (one["serial_before"], one["serial_after"])]
    assert serials == sorted(serials) and serials[0] == 0
    events = [one["event"] for one in found]
    assert events == sorted(events, reverse=True)


def test_the_digest_of_a_plan_does_not_depend_on_the_commit(tmp_path: Path) -> None:
    with f1000(tmp_path, SALE) as here:
        first = here.plan().document
        git(here.root, "init", "-q")
        commit(here, "one")
        second = here.plan().document
        assert first is not None and second is not None and first["digest"] == second["digest"]


def test_a_limit_says_how_many_are_left_out(story: tuple[Place, list[str]]) -> None:
    here, _ = story
    whole = entries(here)
    found = past.history(here.opened(), 2).document
    assert found is not None and found["entries"] == whole[:2] and found["left_out"] == len(whole) - 2
    assert f"Earlier entries: {len(whole) - 2}" in here.command("history", "--limit", "2").stdout
    assert here.command("history", "--limit", "0").returncode == 64


def test_history_in_both_languages(story: tuple[Place, list[str]]) -> None:
    here, commits = story
    english, japanese = here.command("history").stdout, here.command("history", "--lang", "ja").stdout
    for text in (english, japanese):
        assert commits[0][:12] in text and "tidy" in text
    assert "deliveries sent: 1" in english and "files differed from it" in english
    assert "送った配信: 1" in japanese and "差分あり" in japanese


def test_before_the_first_apply_there_is_nothing(tmp_path: Path) -> None:
    with f1000(tmp_path, SALE) as here:
        assert entries(here) == []
        assert "Nothing was applied yet." in here.command("history").stdout
        assert past.blame(here.opened(), "sale_a").document["entries"] == []  # type: ignore[index]


def test_what_outlives_a_repair_is_still_told(tmp_path: Path) -> None:
    import sqlite3

    with f1000(tmp_path, SALE) as here:
        assert here.apply().exit_code == 0
        before = entries(here)
        connection = sqlite3.connect(here.root / ".audsql/state.sqlite")
        connection.execute("UPDATE record SET document = '{' WHERE kind = 'size' AND id LIKE 'audience.%'")
        connection.commit()
        connection.close()
        assert mending.repair(here.opened()).exit_code == 0
        repair, applied = entries(here)
        assert (repair["kind"], repair["lost_count"]) == ("repair", 1)
        assert (applied["plan"], applied["serial_after"]) == (before[-1]["plan"], before[-1]["serial_after"])


# --- commits ------------------------------------------------------------------------------------------


def test_what_makes_a_project_differ_from_its_commit(tmp_path: Path) -> None:
    with f1000(tmp_path / "work" / "shop", SALE) as here:
        top = tmp_path / "work"
        assert commit_of(here.opened()) is None
        git(top, "init", "-q")
        assert commit_of(here.opened()) is None
        (top / ".gitignore").write_text(".audsql/\n")
        here.write("extra.aud", 'message card { file: "messages/card.json" }\n')
        here.write("messages/card.json", '[{"type": "text", "text": "a"}]')
        name = commit(here, "one")

        def dirty() -> bool:
            found = commit_of(here.opened())
            assert found is not None and found.commit == name
            return found.dirty

        assert not dirty()
        here.write("data/unrelated.csv", "a\n")
        here.write("notes.txt", "x")
        assert not dirty()
        changes = {
            "shop.aud": (here.root / "shop.aud").read_text() + "\n",
            "audsql.toml": (here.root / "audsql.toml").read_text() + "\n",
            "messages/card.json": '[{"type": "text", "text": "b"}]',
            "new.aud": "-- nothing\n",
        }
        for path, text in changes.items():
            before = (here.root / path).read_bytes() if (here.root / path).exists() else None
            here.write(path, text)
            assert dirty(), path
            (here.root / path).unlink()
            assert dirty() is (before is not None), path
            if before is not None:
                (here.root / path).write_bytes(before)
            assert not dirty(), path


# --- blame --------------------------------------------------------------------------------------------


def blamed(here: Place, name: str) -> dict[str, Any]:
    found = past.blame(here.opened(), name)
    assert found.document is not None, found.diagnostics
    return found.document


def test_which_applies_changed_a_delivery(story: tuple[Place, list[str]]) -> None:
    here, commits = story
    found = blamed(here, "later")
    assert found["address"] == "delivery.later" and found["declared"] == {"path": "more.aud", "line": 2}
    assert [(one["commit"], one["dirty"]) for one in found["entries"]] == [(commits[1], True), (commits[1], False)]
    whats = [[one["what"] for one in entry["happened"]] for entry in found["entries"]]
    assert whats[0][0] == "set" and "changed" in whats[0] and whats[1][0] == "approved"
    assert found["entries"][0]["happened"][0]["state"] == "narrower"
    assert blamed(here, "delivery.later") == found
    sale = blamed(here, "sale_a")
    assert [one["state"] for one in sale["entries"][-1]["happened"] if one["what"] == "state"] == ["sending", "done"]
    assert len(sale["entries"]) == 1


def test_which_applies_changed_an_audience(story: tuple[Place, list[str]]) -> None:
    here, _ = story
    found = blamed(here, "audience.rest")
    whats = [one["what"] for entry in found["entries"] for one in entry["happened"]]
    assert found["declared"] is None and {"decided", "size_new", "size"} <= set(whats)
    assert "no longer in the specs" in here.command("blame", "rest").stdout
    assert "仕様にはもうありません" in here.command("blame", "rest", "--lang", "ja").stdout


@pytest.mark.parametrize(("name", "near"), [("latr", "later"), ("delivery.latr", "delivery.later"), ("zzzzzz", None)])
def test_an_unknown_name(story: tuple[Place, list[str]], name: str, near: str | None) -> None:
    outcome = past.blame(story[0].opened(), name)
    (one,) = outcome.diagnostics
    assert (one.code, one.fact("near"), outcome.exit_code) == ("AUD0647", near, 1)


def test_no_person_stands_in_what_is_told(story: tuple[Place, list[str]]) -> None:
    import re

    text = json.dumps([entries(story[0]), blamed(story[0], "sale_a")])
    assert not re.search(r"U[0-9a-f]{32}", text)
