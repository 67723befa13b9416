"""`apply --retry`: a new generation only where LINE itself says that nobody got the last one (T03, T05, T07)."""

from __future__ import annotations

import json
import os

import pytest
from sweep import KILLED, in_process_of_its_own
from test_line_rules import got, narrowcasts, shop

from audsql import session
from audsql.apply import journal
from audsql.session import operating
from harness import AS_OF, codes

LIST = "uploaded(list)"
ALL = list(range(1, 61))
WHY = ("--reason", "the cause is gone")
PATH = "/v2/bot/message/narrowcast"


def failed(code: int, delivered: int = 0):
    return {"errorCode": code, "delivered": delivered}


def retry(here, **options):
    return operating.retry(here.opened(), "sale", "the cause is gone", session.ApplyOptions(**options))


def operations(here) -> list[tuple[int, str]]:
    document, _, _ = session.status(here.opened())
    (row,) = document["occurrences"]
    return [(int(one["id"].rsplit("#", 1)[1].split(".")[1]), one["state"]) for one in row["operations"]]


@pytest.mark.parametrize("code", [2, 4, 5])
def test_what_reached_nobody_is_sent_once_more_under_another_key(tmp_path, code):
    """Scenario 28: LINE made something and reports that it failed."""
    with shop(tmp_path, LIST, progress=[failed(code)]) as here:
        assert here.apply().exit_code == 7
        assert here.run().exit_code == 7 and narrowcasts(here) == 1
        done = here.command("apply", "--retry", "sale", *WHY)
        assert done.returncode == 0, done.stderr
        assert got(here) == ALL
        assert operations(here) == [(0, "failed"), (1, "succeeded")]
        assert here.plan().document["summary"]["changes"] is False


def test_asked_again_after_it_was_sent_nothing_happens(tmp_path):
    with shop(tmp_path, LIST, progress=[failed(2)]) as here:
        assert here.apply().exit_code == 7
        assert [retry(here).exit_code for _ in range(3)] == [0, 0, 0]
        assert got(here) == ALL and narrowcasts(here) == 2


def test_each_failure_may_be_followed_by_one_more_try(tmp_path):
    with shop(tmp_path, LIST, progress=[failed(2), failed(4)]) as here:
        assert [here.apply().exit_code, retry(here).exit_code, retry(here).exit_code] == [7, 7, 0]
        assert operations(here) == [(0, "failed"), (1, "failed"), (2, "succeeded")]
        assert got(here) == ALL


@pytest.mark.parametrize(("code", "delivered"), [(1, 0), (1, 30), (3, 0), (9, 0)])
def test_what_may_have_reached_somebody_is_not_sent_again(tmp_path, code, delivered):
    with shop(tmp_path, LIST, progress=[failed(code, delivered)]) as here:
        assert here.apply().exit_code == 7
        before = got(here)
        done = here.command("apply", "--retry", "sale", *WHY)
        assert done.returncode == 5 and "AUD0882" in done.stderr and "EXCEPT received(sale)" in done.stderr
        assert got(here) == before and narrowcasts(here) == 1
        assert operations(here) == [(0, "failed")]


def test_what_line_refused_is_tried_under_its_own_key(tmp_path):
    with shop(tmp_path, LIST) as here:
        here.faults({"match": {"method": "POST", "path": PATH}, "nth": 1, "do": "status:403"})
        assert here.apply().exit_code == 7
        assert operations(here) == [(0, "rejected")]
        assert retry(here).exit_code == 0
        assert operations(here) == [(0, "succeeded")] and got(here) == ALL


def test_a_delivery_in_doubt_is_for_resolve_T07(tmp_path):
    with shop(tmp_path, LIST) as here:
        here.faults(*({"match": {"method": "POST", "path": PATH}, "nth": nth, "do": "refuse"} for nth in range(1, 400)))
        assert here.apply().exit_code in (4, 7)
        here.advance(7 * 3600)
        assert here.run().exit_code == 7
        outcome = retry(here)
        assert outcome.exit_code == 5 and codes(outcome.diagnostics) == ["AUD0881"]
        assert got(here) == []


def test_past_its_window_it_needs_a_new_approval(tmp_path):
    with shop(tmp_path, LIST, progress=[failed(2)]) as here:
        assert here.apply().exit_code == 7
        here.advance(7 * 3600)
        outcome = retry(here)
        assert outcome.exit_code == 5 and codes(outcome.diagnostics) == ["AUD0883"]
        assert operations(here) == [(0, "failed")]


def test_what_was_edited_or_paused_is_not_sent(tmp_path):
    with shop(tmp_path, LIST, progress=[failed(2)]) as here:
        assert here.apply().exit_code == 7
        whole = (here.root / "shop.aud").read_text()
        here.write("shop.aud", whole.replace("hello", "goodbye"))
        assert codes(retry(here).diagnostics) == ["AUD0863"]
        here.write("shop.aud", whole)
        assert operating.pause(here.opened(), "sale", "wait").exit_code == 0
        outcome = retry(here)
        assert outcome.exit_code == 5 and codes(outcome.diagnostics) == ["AUD0876"]
        assert operations(here) == [(0, "failed")]
        assert operating.resume(here.opened(), "sale", "").exit_code == 0
        assert retry(here).exit_code == 0 and got(here) == ALL


def test_whoever_was_excluded_meanwhile_gets_nothing(tmp_path):
    with shop(tmp_path, f"{LIST} EXCEPT uploaded(out)", people=range(1, 101), progress=[failed(2)]) as here:
        assert here.apply().exit_code == 7
        here.write("out.txt", (here.root / "out.txt").read_text() + f"U{50:032x}\n")
        assert retry(here).exit_code == 0
        assert got(here) == [n for n in range(1, 101) if not 31 <= n <= 40 and n != 50]


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [
        (("--retry", "sael", *WHY), 1, "AUD0878"),
        (("--retry", "sale"), 64, "AUD0052"),
        (("plan.json", "--retry", "sale", *WHY), 64, "AUD0885"),
        (("--retry", "sale", "--expect", "x", *WHY), 64, "AUD0885"),
        (("--retry", "sale", *WHY), 5, "AUD0881"),
    ],
)
def test_refusals(tmp_path, arguments, code, name):
    with shop(tmp_path, LIST) as here:
        assert here.apply().exit_code == 0
        done = here.command("apply", *arguments)
        assert done.returncode == code and name in done.stderr, done.stderr
        assert narrowcasts(here) == 1


def test_a_delivery_of_which_a_part_was_sent_is_not_sent_again(tmp_path):
    """Known-partial: the rest is reached by a new delivery that leaves out whoever got it."""
    both = "(uploaded(list) AND gender(female)) OR (uploaded(out) AND area(tokyo)) OR clicked(first)"
    people = {"people": range(1, 91), "out": range(91, 181), "clicked": range(1, 100)}
    with shop(tmp_path, both, **people, progress=[None, failed(2)]) as here:
        sends = here.plan().document["deliveries"][0]["sends"]
        assert len(sends) > 1
        assert here.apply().exit_code == 7
        before = got(here)
        assert before
        outcome = retry(here)
        assert outcome.exit_code == 5 and codes(outcome.diagnostics) == ["AUD0882"]
        assert got(here) == before


def test_status_says_what_to_type(tmp_path):
    with shop(tmp_path, LIST, progress=[failed(2)]) as here:
        assert here.apply().exit_code == 7
        done = here.command("status")
        assert done.returncode == 7
        command = next(line.strip() for line in done.stdout.splitlines() if "--retry" in line)
        assert command == 'audsql apply --retry sale --reason "…"'
        assert done.stdout.index("--retry") < done.stdout.index("resolve")
        document = json.loads(here.command("status", "--json").stdout)
        assert document["needs_person"][0]["why"] == "failed_nobody"


# --- killed, and two at once ------------------------------------------------------------------------


def test_killed_at_any_point_it_is_sent_once_T01(tmp_path):
    with shop(tmp_path / "whole", LIST, progress=[failed(2)]) as here:
        assert here.apply().exit_code == 7
        journal.arm_kill(0)
        assert retry(here).exit_code == 0
        points = journal.count_checkpoints()
    assert points > 6
    for point in range(1, points + 1, 2 if os.environ.get("AUDSQL_LONG") is None else 1):
        with shop(tmp_path / str(point), LIST, progress=[failed(2)]) as here:
            assert here.apply().exit_code == 7

            def killed(here=here, point=point):
                journal.arm_kill(point)
                return retry(here).exit_code

            assert in_process_of_its_own(killed) == KILLED, point
            assert retry(here).exit_code == 0, point
            assert got(here) == ALL, point
            assert operations(here) == [(0, "failed"), (1, "succeeded")], point
            assert here.run().exit_code == 0 and got(here) == ALL, point


def test_two_at_once_send_it_once_T09(tmp_path):
    """Each stops at a gate before it begins; one has the lease, the other leaves with 6 or finds it done."""
    with shop(tmp_path, LIST, progress=[failed(2)]) as here:
        assert here.apply(as_of=AS_OF).exit_code == 7
        gate_out, gate_in = os.pipe()
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                code = 99
                try:
                    os.close(gate_in)
                    os.read(gate_out, 1)
                    code = retry(here).exit_code
                finally:
                    os._exit(code)
            children.append(child)
        os.close(gate_out)
        os.close(gate_in)
        ended = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        assert ended in ([0, 0], [0, 6])
        assert got(here) == ALL and operations(here) == [(0, "failed"), (1, "succeeded")]
