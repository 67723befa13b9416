"""What was frozen for a send is kept until it is over, and no longer."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_erase import PERSON, files, world

from audsql.data.cache import entry_name
from audsql.session.retaining import trim_requests
from harness import place

SPEC = files()["shop.aud"].replace("  send: sale\n", "  send: sale\n  by: multicast\n")


def test_frozen_lists_go_once_their_send_is_over(tmp_path, monkeypatch):
    monkeypatch.delenv("AUDSQL_KEY", raising=False)
    with place(tmp_path, world(), {**files(), "shop.aud": SPEC}) as here:
        assert here.apply(as_of=None).exit_code == 0
        sets = here.root / ".audsql/cache/sets"
        frozen = sets / entry_name("multicast.shop/weekly/2026-12-01T01:00:00Z.0")
        here.advance(10 * 24 * 3600 + 10 * 3600)
        here.faults({"match": {"method": "POST", "path": "/v2/bot/message/multicast"}, "nth": 1, "do": "status:400"})
        assert here.run().exit_code in (1, 4, 7)
        assert frozen.is_file() and not here.received(), "while it is not over the list stands"
        here.write("shop.aud", SPEC.replace("weekly", "other").replace("2026-12-01", "2026-12-02"))
        assert here.apply(as_of=None).exit_code in (0, 7)
        here.advance(24 * 3600)
        assert here.run().exit_code in (0, 7)
        assert here.received()[PERSON] == 1
        assert not (sets / entry_name("multicast.shop/other/2026-12-02T01:00:00Z.0")).exists()


def test_uploads_keep_who_is_in_them_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.delenv("AUDSQL_KEY", raising=False)
    with place(tmp_path, world(), files()) as here:
        assert here.apply(as_of=None).exit_code == 0
        from audsql import session
        from audsql.session.planning import state_of

        state, _ = state_of(session.open_project(here.root))
        rows = [one for one in state.resources if one.address.startswith("upload.")]
        sets = here.root / ".audsql/cache/sets"
        assert rows
        for row in rows:
            name = f"{row.address}.{row.generation}"
            assert (sets / entry_name(name)).is_file()
            assert not (sets / entry_name(f"{name}.batch.{row.fingerprint}")).exists()


NOW = datetime(2026, 12, 1, tzinfo=UTC)


def logged(*days_ago: int) -> list[str]:
    return [
        f"{(NOW - timedelta(days=one)).isoformat()} POST /v2/bot/message/multicast 200 r{one}\n" for one in days_ago
    ]


@pytest.mark.parametrize(
    ("lines", "bytes_max", "kept"),
    [
        ((), 1_000, ()),
        ((9, 3, 1), 1_000, (9, 3, 1)),
        ((40, 31, 30, 1), 1_000, (30, 1)),
        ((40, 31), 1_000, ()),
        ((9, 3, 1), 150, (3, 1)),
        ((9, 3, 1), 149, (3, 1)),
        ((9, 3, 1), 10, ()),
    ],
)
def test_the_log_of_requests_is_bounded_by_age_and_by_size(
    tmp_path: Path, lines: tuple[int, ...], bytes_max: int, kept: tuple[int, ...]
) -> None:
    path = tmp_path / "requests.log"
    path.write_text("".join(logged(*lines)))
    changed = trim_requests(path, NOW - timedelta(days=30), bytes_max)
    assert path.read_text() == "".join(logged(*kept))
    assert (changed, os.listdir(tmp_path)) == (int(lines != kept), ["requests.log"])


def test_a_log_that_is_not_there_and_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    assert trim_requests(path, NOW, 10) == 0
    path.write_text("26-11-30T00:00 POST\n" + logged(1)[0])
    assert trim_requests(path, NOW - timedelta(days=30), 1_000) == 1
    assert path.read_text() == logged(1)[0]


def test_what_is_set_holds_after_an_apply(tmp_path, monkeypatch):
    monkeypatch.delenv("AUDSQL_KEY", raising=False)
    with place(tmp_path, world(), files()) as here:
        here.write("audsql.toml", (here.root / "audsql.toml").read_text() + SETTINGS)
        left = here.root / ".audsql/cache/tmp/left"
        left.mkdir(parents=True)
        hours_ago = datetime.now(UTC).timestamp() - 3 * 3600
        os.utime(left, (hours_ago, hours_ago))
        log = here.root / ".audsql/requests.log"
        log.write_text("2020-01-01T00:00:00+00:00 GET /v2/bot/info 200 old\n")
        assert here.apply(as_of=None).exit_code == 0
        assert not left.exists()
        assert " old" not in log.read_text() and log.read_text()
        here.write("shop.aud", SPEC.replace("weekly", "other"))
        assert here.apply(as_of=None).exit_code in (0, 7)
        assert len(list((here.root / ".audsql/backups").glob("state-*.json"))) == 1


SETTINGS = """
[retention]
backups = 1
requests_days = 30
spool_hours = 2
"""
