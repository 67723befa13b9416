"""The simulator on a socket of this machine: one port serves the API, the data host and the control plane.

It stands on the standard library's threaded server. A connection has to be closed without an answer when a fault
says so, which ASGI has no way to express, and an embedded simulator has to start in milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import cast

from audsql.sim.model import Json, Response
from audsql.sim.world import Simulation

_BODY_BYTES_MAX = 256 * 1024 * 1024
_POLL_SECONDS = 0.02


class _Server(socketserver.ThreadingTCPServer):
    """Holds the simulation and the lock that lets one request at a time into it."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, simulation: Simulation, port: int, webhooks: Path | None) -> None:
        self.simulation = simulation
        self.webhooks = webhooks
        self.webhooks_written = len(simulation.world.webhooks)
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def write_webhooks(self) -> None:
        """Append what the webhook was told since the last time: one body a line, as a shop's server would keep it."""
        told = self.simulation.world.webhooks
        if self.webhooks is None or len(told) <= self.webhooks_written:
            return
        with self.webhooks.open("a", encoding="utf-8") as file:
            for body in told[self.webhooks_written :]:
                file.write(json.dumps({name: body[name] for name in ("destination", "events")}) + "\n")
        self.webhooks_written = len(told)

    @property
    def base_url(self) -> str:
        """Where the simulator listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    """Turns bytes into a call of the simulation and its response into bytes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer any method: the simulation decides what exists."""
        body = self._read_body()
        if body is None:
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        server = cast(_Server, self.server)
        headers = {name: str(value) for name, value in self.headers.items()}
        with server.lock:
            response = server.simulation.handle(self.command, path, query, headers, body, headers.get("Host", ""))
            content = response.content()
            server.write_webhooks()
        if response.dropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(_wire(response, content))

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _read_body(self) -> bytes | None:
        """The whole body, by length or in chunks; None when it is malformed or too long."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _BODY_BYTES_MAX:
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _read_chunks(self) -> bytes | None:
        body = bytearray()
        while len(body) <= _BODY_BYTES_MAX:
            try:
                size = int(self.rfile.readline(64).split(b";")[0], 16)
            except ValueError:
                return None
            body += self.rfile.read(size)
            self.rfile.readline(64)
            if size == 0:
                return bytes(body)
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the request log of the control plane is the log."""


def _wire(response: Response, content: bytes) -> bytes:
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines += [f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + content


class Embedded:
    """A simulator in a thread of this process; leaving the `with` block stops it."""

    def __init__(self, world: Mapping[str, Json], port: int = 0, webhooks: Path | None = None) -> None:
        """Load the world and start listening on 127.0.0.1; port 0 takes a free one.

        `webhooks`: a file to which webhook bodies are appended, one JSON document a line.
        """
        self._server = _Server(Simulation(world), port, webhooks)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, daemon=True
        )
        self._thread.start()

    @property
    def base_url(self) -> str:
        """Where the simulator listens, without a slash at the end."""
        return self._server.base_url

    @property
    def simulation(self) -> Simulation:
        """What answers. Read it only while no request is under way."""
        return self._server.simulation

    def dump(self) -> dict[str, Json]:
        """The world as it is now; loading it continues."""
        with self._server.lock:
            return self._server.simulation.dump()

    def stop(self) -> None:
        """Stop listening. Calling it again does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Embedded:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_embedded(world: Mapping[str, Json], webhooks: Path | None = None) -> Embedded:
    """Start a simulator of this world in a thread. Raises ValueError, KeyError or TypeError for a wrong world."""
    return Embedded(world, webhooks=webhooks)


def run_simulator(world: Mapping[str, Json], port: int, ready_file: Path | None, webhooks: Path | None = None) -> None:
    """Serve this world on 127.0.0.1 until SIGTERM or SIGINT.

    Prints the base URL as the one line on standard output and, with `ready_file`, writes it there once the port
    answers. Raises OSError when the port is taken, ValueError, KeyError or TypeError for a wrong world.
    """
    stopped = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
    with Embedded(world, port, webhooks) as running:
        sys.stdout.write(running.base_url + "\n")
        sys.stdout.flush()
        if ready_file is not None:
            _write_whole(ready_file, running.base_url + "\n")
        stopped.wait()
    if ready_file is not None:
        with suppress(FileNotFoundError):
            ready_file.unlink()


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
