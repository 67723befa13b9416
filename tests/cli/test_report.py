"""`report`: what LINE says of a delivery; few people are no number."""

from __future__ import annotations

import json

import pytest
from test_line_rules import shop


@pytest.mark.parametrize(("people", "shown"), [(60, 60), (15, None)])
def test_receivers_and_what_is_too_few(tmp_path, people, shown):
    with shop(tmp_path, "uploaded(list)", people=range(1, people + 1)) as here:
        assert here.apply().exit_code == 0
        sent = len(here.requests("POST"))
        done = here.command("report", "sale", "--json")
        assert done.returncode == 0, done.stderr
        (part,) = json.loads(done.stdout)["occurrences"][0]["parts"]
        assert (part["state"], part["delivered"]) == ("succeeded", shown)
        assert part["opened"] is None and part["clicked"] is None
        assert len(here.requests("POST")) == sent
        text = here.command("report", "sale")
        assert text.returncode == 0 and ("60" in text.stdout) == (shown == 60)
        assert f"{people}" not in text.stdout or shown == 60
        assert "開封" in here.command("report", "sale", "--lang", "ja").stdout


def test_an_unknown_delivery_and_one_that_failed(tmp_path):
    with shop(tmp_path, "uploaded(list)", progress=[{"errorCode": 2, "delivered": 0}]) as here:
        assert here.apply().exit_code == 7
        assert "AUD0878" in here.command("report", "sael").stderr
        (part,) = json.loads(here.command("report", "sale", "--json").stdout)["occurrences"][0]["parts"]
        assert (part["state"], part["error_code"], part["opened"]) == ("failed", 2, None)
