"""A pause from one process reaches an apply that is at work in another, before its next request (T09, T28)."""

from __future__ import annotations

import os

import pytest
from test_line_rules import got, narrowcasts, shop

TWO = '}\nmessage other { text: "other" }\ndelivery news { to: uploaded(list)  send: other '
ALL = list(range(1, 61))


def apply_that_waits(here, at_event: str):
    """An apply in a process of its own that stops at an event; (wait for that, let it go on and get its exit code)."""
    reached_out, reached_in = os.pipe()
    go_out, go_in = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:

            def hold(event):
                if event["event"] == at_event:
                    os.write(reached_in, b"x")
                    os.read(go_out, 1)

            here.events = type("Held", (list,), {"append": staticmethod(hold)})()
            code = here.apply().exit_code
        finally:
            os._exit(code)
    os.close(reached_in)
    os.close(go_out)

    def wait():
        assert os.read(reached_out, 1) == b"x"

    def finish() -> int:
        os.write(go_in, b"xxxxxxxx")
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(go_in)
        os.close(reached_out)
        return code

    return wait, finish


@pytest.mark.parametrize("subject", [(), ("sale",)])
def test_what_has_not_left_yet_does_not_leave(tmp_path, subject):
    with shop(tmp_path, "uploaded(list)", more=TWO) as here:
        wait, finish = apply_that_waits(here, "accepted")
        wait()
        assert narrowcasts(here) == 1
        done = here.command("pause", *subject, "--reason", "wrong price")
        assert done.returncode == 0, done.stderr
        # The first was accepted before: it is named, followed to its end, and cannot be called back.
        assert ("news" in done.stderr) == (subject == ())
        assert finish() == 5
        assert narrowcasts(here) == 1 and got(here) == ALL
        assert here.run().exit_code == 5 and narrowcasts(here) == 1
        assert here.command("resume", *subject).returncode == 0
        assert here.run().exit_code == 0
        assert set(here.received().values()) == {2}


def test_a_pause_while_audiences_are_made(tmp_path):
    with shop(tmp_path, "uploaded(list)") as here:
        wait, finish = apply_that_waits(here, "upload_create")
        wait()
        assert here.command("pause", "--reason", "wrong price").returncode == 0
        assert here.command("status").returncode == 0
        assert finish() == 5
        assert narrowcasts(here) == 0
        assert here.command("resume").returncode == 0
        assert here.run().exit_code == 0 and got(here) == ALL


def test_two_people_pause_at_once(tmp_path):
    """Neither waits for the lease, and both find it paused."""
    with shop(tmp_path, "uploaded(list)") as here:
        assert here.command("status").returncode == 0
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                code = 99
                try:
                    from audsql.session import operating

                    code = operating.pause(here.opened(), None, "wrong price").exit_code
                finally:
                    os._exit(code)
            children.append(child)
        assert {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children} == {0}
        assert here.apply().exit_code == 5
        assert here.command("resume").returncode == 0
        assert here.run().exit_code == 0 and got(here) == ALL
