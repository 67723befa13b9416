"""Plans that were refused, and large projects that are cut off."""

from __future__ import annotations

import json
import os

import pytest
from process_cases import BUYERS, SPEC, once_each, small
from sweep import KILLED, apply_once, apply_until_done, rotating

AUDIENCES = 5_000 if os.environ.get("AUDSQL_SWEEP") else 300


@pytest.mark.scenario(25)
def test_a_plan_that_was_refused_is_shown_and_never_applied(tmp_path):
    spec = SPEC.replace("send: card", "send: card  expect: 500..600 people")
    with small(tmp_path, spec=spec) as here:
        here.command("plan", "--out", "p.audplan")
        assert json.loads((here.root / "p.audplan").read_text())["applyable"] is False
        shown = here.command("show", "p.audplan")
        assert (shown.returncode, "AUD0701" in shown.stdout + shown.stderr) == (0, True), shown.stderr
        refused = here.command("apply", "p.audplan")
        assert (refused.returncode, "AUD0701" in refused.stderr) == (5, True), refused.stderr
        assert here.requests("POST", "PUT", "DELETE") == []


@pytest.mark.scenario(50)
def test_a_large_project_with_one_change_is_cut_off_anywhere_and_converges(tmp_path):
    many = "".join(f"audience a{at} = uploaded(buyers) EXCEPT uploaded(u{at % 7})\n" for at in range(AUDIENCES))
    lists = "".join(f'upload u{at} {{ file: "u{at}.txt" id: user_id }}\n' for at in range(7))
    ahead = SPEC.replace("send: card }", "send: card  at: 2026-11-21 10:00 }") + lists + many
    for point in rotating(24, 12):
        with small(tmp_path / str(point), spec=ahead.split("upload u0")[0]) as here:
            for at in range(7):
                here.write(f"u{at}.txt", BUYERS[at] + "\n")
            here.write("shop.aud", ahead)
            assert here.apply().exit_code == 0
            here.write("shop.aud", ahead.replace("a42 = uploaded(buyers) EXCEPT", "a42 = uploaded(buyers) AND"))
            assert apply_once(here, kill_at=point) in (KILLED, 0), point
            assert apply_until_done(here)[-1] == 0, point
            here.advance(10 * 3600)
            assert here.run().exit_code == 0, point
            assert once_each(here), point
            assert not here.plan().document["summary"]["changes"], point
