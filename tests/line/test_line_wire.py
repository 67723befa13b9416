"""The client on real sockets: deadlines, withholding after connecting, redirects, bytes of any kind."""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from audsql.line.client import LineClient
from audsql.line.outcome import Accepted, Unknown
from audsql.line.ports import ClientPorts
from audsql.line.transport import Channel, Request, open_client

TOKEN = "canary-token-7f3a"
KEY = "123e4567-e89b-12d3-a456-426614174000"


def whole_request(connection: socket.socket) -> bytes:
    """One request: its head, then as many bytes as its head says. Headers and body come in two pieces."""
    data = b""
    while piece := connection.recv(65_536):
        data += piece
        head, mark, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if mark and len(body) >= (int(length[1]) if length else 0):
            break
    return data


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads what is there and lets `answer` do as it likes; gives its URL and what it read."""
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                received.append(b"")
                received[-1] = whole_request(connection)
                if received[-1]:
                    answer(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
    finally:
        listener.close()


def client_of(url: str) -> LineClient:
    ports = ClientPorts(lambda: datetime.now(UTC), lambda seconds: None, lambda: 0.0)
    client = open_client(url, "shop", TOKEN, ports)
    assert isinstance(client, LineClient)
    return client


def sends(raw: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(raw)


OK = b"HTTP/1.1 202 Accepted\r\nX-Line-Request-Id: r-1\r\nContent-Length: 2\r\n\r\n{}"


def test_a_send_goes_over_a_socket() -> None:
    with serving(sends(OK)) as (url, received):
        assert client_of(url).narrowcast(b'{"a":1}', KEY) == Accepted("r-1", {}, 202)
    assert received[0].startswith(b"POST /v2/bot/message/narrowcast HTTP/1.1\r\n")
    assert received[0].endswith(b'\r\n\r\n{"a":1}')


@pytest.mark.threat("T08")
def test_the_last_question_comes_after_connecting_and_before_the_first_byte() -> None:
    asked: list[int] = []
    with serving(sends(OK)) as (url, received):

        def may_write() -> bool:
            asked.append(len(received))
            return len(asked) < 2

        assert client_of(url).narrowcast(b"{}", KEY, may_write) == Unknown("withheld", written=False)
        time.sleep(0.05)
        assert len(asked) == 2
        assert received in ([], [b""])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 202 Accepted\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 900\r\n\r\n{}",
        b"\x16\x03\x01\x00",
        b"HTTP/1.1 202 Accepted\r\nX-Line-Request-Id: r-1\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.threat("T06")
def test_no_bytes_of_a_server_raise(raw: bytes) -> None:
    with serving(sends(raw)) as (url, received):
        outcome = client_of(url).narrowcast(b"{}", KEY)
    assert isinstance(outcome, Unknown)
    assert outcome.written
    assert len(received) == 1


def test_a_trickling_server_is_cut_off_at_the_deadline() -> None:
    def trickle(connection: socket.socket) -> None:
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
            for _ in range(100):
                connection.sendall(b"a")
                time.sleep(0.05)
        except OSError:
            return

    with serving(trickle) as (url, _):
        reply = Channel().exchange(Request("GET", url, {}, deadline_seconds=0.4, fresh=True))
        assert reply == Unknown("timeout")


def test_an_endless_body_ends() -> None:
    def flood(connection: socket.socket) -> None:
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b" " * 1_000_000)
        except OSError:
            return

    with serving(flood) as (url, _):
        reply = Channel().exchange(Request("GET", url, {}, deadline_seconds=20))
    assert reply == Unknown("reply-too-large")


def test_a_closed_port_is_unreachable_and_nothing_was_written() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert client_of(f"http://127.0.0.1:{port}").push(b"{}", KEY) == Unknown("unreachable", written=False)


@pytest.mark.threat("T64")
def test_debug_logging_shows_no_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(sends(OK)) as (url, received):
        client_of(url).narrowcast(b"{}", KEY)
    assert TOKEN.encode() in received[0]
    assert TOKEN not in caplog.text
