"""A project whose LINE is a simulation in this process: the whole product but for the socket.

A pair costs some eighty requests, and a socket costs more than everything else that a request does. The wire itself
is tested by tests/contract, tests/sim and by one pair in so many of the property.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from audsql import session
from audsql.line import client
from audsql.line.outcome import Reply, Unknown
from audsql.line.transport import Request
from audsql.sim.server import Embedded
from audsql.sim.world import Simulation

TOKEN_VARIABLE = "LINE_CHANNEL_ACCESS_TOKEN"
ENDPOINT = "http://127.0.0.1:1"
CONFIG = '[project]\nname = "shop"\ntimezone = "Asia/Tokyo"\n\n[account.shop]\nendpoint = "{}"\n'
MEMORY = Path("/dev/shm")


@dataclass
class Quick:
    """A project folder and the simulation that its account lives in."""

    root: Path
    simulation: Simulation
    events: list[dict[str, Any]] = field(default_factory=list)

    def apply(self) -> Any:
        options = session.ApplyOptions(as_of=None, on_event=self.events.append)
        return session.apply(session.open_project(self.root), None, options)

    @property
    def world(self) -> Any:
        return self.simulation.world


class DirectChannel:
    """Stands in for the network: a request is a call of the simulation. `bend` spoils the bodies of requests."""

    current: Simulation
    bend: staticmethod[[str, str, bytes], bytes]

    def __init__(self, make_transport: object = None) -> None:
        self.host = "127.0.0.1"

    def exchange(self, request: Request) -> Reply | Unknown:
        if request.may_write is not None and not request.may_write():
            return Unknown("withheld", written=False)
        at = urlsplit(request.url)
        headers, body = dict(request.headers), self.bend(request.method, at.path, request.content or b"")
        if request.form is not None or request.file is not None:
            headers["Content-Type"], body = multipart(request.form or {}, request.file)
        answer = self.current.handle(request.method, at.path, at.query, headers, body, self.host)
        if answer.dropped:
            return Unknown("broken-off", written=True)
        return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.content())

    def close(self) -> None:
        """There is nothing to close."""


def multipart(form: Mapping[str, str], file: bytes | None) -> tuple[str, bytes]:
    """The media type and the bytes of a form with a file."""
    boundary = "boundary-of-the-property"
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode() for name, text in form.items()]
    if file is not None:
        head = b'Content-Disposition: form-data; name="file"; filename="ids.txt"\r\nContent-Type: text/plain\r\n\r\n'
        parts.append(head + file)
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


Bend = Callable[[str, str, bytes], bytes]


def straight(method: str, path: str, body: bytes) -> bytes:
    """Nothing is spoilt."""
    return body


@contextmanager
def quick_place(world: Mapping[str, Any], files: Mapping[str, str], bend: Bend = straight) -> Iterator[Quick]:
    """A project of these files (path → text) whose account `shop` lives in a simulation of this world."""
    simulation = Simulation(world)
    channel = type("Channel", (DirectChannel,), {"current": simulation, "bend": staticmethod(bend)})
    with _project(ENDPOINT, files) as root, patch.object(client, "Channel", channel):
        yield Quick(root, simulation)


@contextmanager
def wired_place(world: Mapping[str, Any], files: Mapping[str, str], bend: Bend = straight) -> Iterator[Quick]:
    """The same over a socket, with nothing replaced."""
    assert bend is straight
    with Embedded(world) as simulator, _project(simulator.base_url, files) as root:
        yield Quick(root, simulator.simulation)


@contextmanager
def _project(endpoint: str, files: Mapping[str, str]) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    try:
        for path, text in {"audsql.toml": CONFIG.format(endpoint), **files}.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        with patch.dict(os.environ, {TOKEN_VARIABLE: "sim-token"}):
            yield root
    finally:
        shutil.rmtree(root)
