"""Rules of specs/line.md as an apply meets them: small worlds in which LINE does the awkward thing."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from harness import AS_OF, codes, place

SENT = "bb9744f9-47fa-4a29-941e-1234567890ab"
URL = "https://shop.example/"
SPEC = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload list { file: "list.txt"  id: user_id }
upload out { file: "out.txt"  id: user_id }
delivery first { sent: "bb9744f9-47fa-4a29-941e-1234567890ab"  at: 2026-11-10 10:00  by: broadcast }
message card { text: "hello https://shop.example/" }
"""


def uid(number: int) -> str:
    return f"U{number:032x}"


def text(numbers) -> str:
    return "".join(f"{uid(number)}\n" for number in numbers)


@contextmanager
def shop(root, to: str, people=range(1, 61), out=range(31, 41), clicked=range(1, 61), silent=(), more="", **account):
    """An account of 200 friends with one broadcast. `silent`: who has not accepted LINE's terms."""
    friends = [
        {"userId": uid(n), "followedAt": "2025-01-01T00:00:00+09:00", "policyAccepted": n not in silent}
        for n in range(1, 201)
    ]
    past = {
        "requestId": SENT, "kind": "broadcast", "at": "2026-11-10T10:00:00+09:00", "urls": [URL],
        "to": [uid(n) for n in range(1, 201)], "opened": [], "clicked": {URL: [uid(n) for n in clicked]},
    }  # fmt: skip
    world = {
        "now": AS_OF.isoformat(),
        "accounts": {"shop": {"token": "sim-token", "friends": friends, "sends": [past], "audiences": [], **account}},
    }
    files = {
        "shop.aud": f"{SPEC}delivery sale {{ to: {to}  send: card {more} }}\n",
        "list.txt": text(people),
        "out.txt": text(out),
    }
    with place(root, world, files) as here:
        yield here


def got(here) -> list[int]:
    return sorted(int(one["userId"][1:], 16) for one in here.inbox())


def narrowcasts(here) -> int:
    return sum(one["path"].endswith("/message/narrowcast") for one in here.requests("POST"))


@pytest.mark.rule("line.audience.silent")
def test_a_shortfall_of_who_is_subtracted_stops_the_send(tmp_path):
    """LINE leaves one of the excluded out of the upload without a word: that person would get the message."""
    with shop(tmp_path, "clicked(first) EXCEPT uploaded(out)", clicked=range(1, 101), silent=(35,)) as here:
        outcome = here.apply()
        assert "AUD0850" in codes(outcome.diagnostics)
        assert got(here) == []


@pytest.mark.rule("line.audience.silent")
def test_a_shortfall_of_who_is_sent_to_is_no_more_than_that(tmp_path):
    with shop(tmp_path, "uploaded(list)", silent=(5,)) as here:
        assert here.apply().exit_code == 0
        assert got(here) == [n for n in range(1, 61) if n != 5]


@pytest.mark.rule("line.audience.insufficient")
@pytest.mark.parametrize("status", ["IN_PROGRESS", "FAILED"])
def test_a_click_audience_that_is_too_small_sends_to_nobody(status, tmp_path):
    with shop(tmp_path, "clicked(first)", clicked=range(1, 50), insufficientStatus=status) as here:
        assert here.apply().exit_code != 0
        assert got(here) == []
        assert narrowcasts(here) == 0


@pytest.mark.rule("line.progress.internal", "line.retry.conflict")
@pytest.mark.parametrize(("error", "delivered"), [(1, 7), (3, 0)])
def test_a_send_that_may_have_reached_some_is_never_made_again(error, delivered, tmp_path):
    with shop(tmp_path, "uploaded(list)", progress=[{"errorCode": error, "delivered": delivered}]) as here:
        assert here.apply().exit_code == 7
        assert len(got(here)) == delivered
        for _ in range(2):
            here.advance(3_600)
            assert here.apply().exit_code != 0
        assert narrowcasts(here) == 1
        assert len(got(here)) == delivered


@pytest.mark.rule("line.audience.request_delay")
def test_clicks_of_a_send_wait_until_line_knows_it(tmp_path):
    """The request id cannot be used yet: nothing is sent until the audience is there, and then once."""
    until_two_today = 10 * 86_400 + 16 * 3_600
    with shop(tmp_path, "clicked(first)", usableSeconds=until_two_today) as here:
        done = [here.apply().exit_code]
        assert done[0] != 0
        assert narrowcasts(here) == 0
        here.advance(2 * 3_600)
        while done[-1] not in (0, 7) and len(done) < 4:
            here.advance(600)
            done.append(here.apply().exit_code)
        assert done[-1] == 0
        assert got(here) == list(range(1, 61))
