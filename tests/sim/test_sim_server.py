"""The simulator on a socket: answers, dropped connections, start and stop."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sim_cases import GROUPS, SEND, TEXT, form, uid, world

from audsql.sim.server import Embedded, start_embedded

HEADERS = {"Authorization": "Bearer sim-token", "Content-Type": "application/json"}
PUSH = {"to": uid(1), "messages": TEXT}


@pytest.fixture
def running() -> Iterator[Embedded]:
    """A simulator of the usual world."""
    with start_embedded(world()) as embedded:
        yield embedded


def connect(base_url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=10)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    connection.request(method, path, None if body is None else json.dumps(body), HEADERS)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_one_connection_serves_many_requests(running: Embedded) -> None:
    connection = connect(running.base_url)
    for _ in range(50):
        assert ask(connection, "POST", f"{SEND}/push", PUSH)[0] == 200
    assert len(ask(connection, "GET", "/_sim/inbox")[1]) == 50


@pytest.mark.parametrize(("do", "received"), [("drop-response", 1), ("refuse", 0)])
def test_dropped_connections_are_closed_without_a_byte(running: Embedded, do: str, received: int) -> None:
    connection = connect(running.base_url)
    ask(connection, "POST", "/_sim/faults", [{"match": {"path": SEND}, "nth": 1, "do": do}])
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        ask(connection, "POST", f"{SEND}/push", PUSH)
    connection.close()
    assert len(ask(connection, "GET", "/_sim/inbox")[1]) == received
    assert ask(connection, "POST", f"{SEND}/push", PUSH)[0] == 200


def test_bodies_in_chunks(running: Embedded) -> None:
    body, kind = form({"description": (None, b"chunks"), "file": ("text/plain", f"{uid(1)}\n".encode())})
    connection = connect(running.base_url)
    pieces = iter([body[:10], body[10:]])
    headers = {**HEADERS, "Content-Type": kind}
    connection.request("POST", f"{GROUPS}/upload/byFile", pieces, headers, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["description"]) == (202, "chunks")
    assert answer.headers["Date"] == "Fri, 20 Nov 2026 15:00:00 GMT"


@pytest.mark.parametrize("length", ["x", "-1", "99999999999"])
def test_a_malformed_length_closes_the_connection(running: Embedded, length: str) -> None:
    connection = connect(running.base_url)
    connection.putrequest("POST", f"{SEND}/push")
    connection.putheader("Content-Length", length)
    connection.endheaders()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        connection.getresponse()


def test_an_embedded_simulator_persists_and_stops() -> None:
    with start_embedded(world()) as first:
        ask(connect(first.base_url), "POST", f"{SEND}/push", PUSH)
        dump = first.dump()
    with pytest.raises(ConnectionError):
        ask(connect(first.base_url), "GET", "/_sim/inbox")
    first.stop()
    with start_embedded(dump) as second:
        assert len(ask(connect(second.base_url), "GET", "/_sim/inbox")[1]) == 1


def test_a_wrong_world_does_not_start() -> None:
    with pytest.raises(ValueError, match="unknown key in world"):
        start_embedded({**world(), "nwo": 1})


RUN = """
import json, sys
from pathlib import Path
from audsql.sim.server import run_simulator
run_simulator(json.loads(Path(sys.argv[1]).read_text()), 0, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "world.json").write_text(json.dumps(world()))
    ready = tmp_path / "ready"
    source = str(Path(__file__).parents[2] / "src")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path / "world.json"), str(ready)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert process.stdout is not None and process.stderr is not None
    printed = process.stdout.readline().strip()
    deadline = time.monotonic() + 10
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ready.read_text().strip() == printed
    assert ask(connect(printed), "GET", "/_sim/inbox") == (200, [])
    process.send_signal(number)
    assert process.wait(timeout=10) == 0
    assert process.stdout.read() == process.stderr.read() == ""
    assert not ready.exists()
