"""Small worlds and one-line requests for the simulator's tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audsql.sim.model import Response
from audsql.sim.world import Simulation

NOW = "2026-11-21T00:00:00+09:00"
SENT = "bb9744f9-47fa-4a29-941e-1234567890ab"
OLD = "00000000-0000-4000-a000-000000000001"
PUSHED = "00000000-0000-4000-a000-000000000002"
URL = "https://shop.example/spring"
KEY = "123e4567-e89b-12d3-a456-426614174000"
TEXT = [{"type": "text", "text": "hello"}]
GROUPS = "/v2/bot/audienceGroup"
SEND = "/v2/bot/message"


def uid(number: int) -> str:
    """The user ID of person `number`."""
    return f"U{number:032x}"


def uids(numbers: Iterable[int]) -> list[str]:
    """The user IDs of several people."""
    return [uid(number) for number in numbers]


def ids_body(numbers: Iterable[int]) -> list[dict[str, str]]:
    """People as the JSON upload endpoints take them."""
    return [{"id": each} for each in uids(numbers)]


def friend(number: int, **values: Any) -> dict[str, Any]:
    """A friend since 2025 with known attributes; None removes one."""
    given = {
        "userId": uid(number),
        "followedAt": "2025-01-01T00:00:00+09:00",
        "gender": "female" if number % 2 else "male",
        "age": f"age_{20 + 5 * (number % 5)}",
        "area": "jp_13" if number % 4 else "jp_27",
        "os": "ios" if number % 3 else "android",
        **values,
    }
    return {key: value for key, value in given.items() if value is not None}


def send(request_id: str, kind: str, at: str, people: Iterable[int], **values: Any) -> dict[str, Any]:
    """A past send to these people."""
    return {"requestId": request_id, "kind": kind, "at": at, "to": uids(people), **values}


def world(friends: int = 200, **account: Any) -> dict[str, Any]:
    """An account `shop` with 200 friends, one broadcast with 80 clicks and 120 opens, and an account `other`."""
    clicked = uids(range(1, 81))
    shop = {
        "token": "sim-token",
        "quota": {"type": "limited", "value": 30_000},
        "friends": [friend(number) for number in range(1, friends + 1)],
        "sends": [
            send(
                SENT, "broadcast", "2026-11-10T10:00:00+09:00", range(1, friends + 1),
                urls=[URL, f"{URL}/two"], opened=uids(range(1, 121)),
                clicked={URL: clicked, f"{URL}/two": clicked[:10]},
            ),
            send(OLD, "broadcast", "2026-09-22T00:00:00+09:00", range(1, 10)),
            send(PUSHED, "push", "2026-11-10T10:00:00+09:00", [1]),
        ],
        "audiences": [],
        **account,
    }  # fmt: skip
    other = {"token": "other-token", "friends": [], "sends": [send(KEY, "broadcast", "2026-11-10T10:00:00+09:00", [])]}
    return {"now": NOW, "accounts": {"shop": shop, "other": other}}


@dataclass
class Line:
    """A simulation and the requests of one account to it."""

    simulation: Simulation
    token: str = "sim-token"
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """One request; `body` is JSON unless it is bytes; header names are written with underscores."""
        route, _, query = path.partition("?")
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.simulation.handle(method, route, query, sent, content)

    def get(self, path: str, **headers: str) -> Response:
        """A GET request."""
        return self.ask("GET", path, None, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Response:
        """A POST request."""
        return self.ask("POST", path, body, **headers)

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        assert self.post("/_sim/clock", {"advance_seconds": seconds}).status == 200

    def upload(self, numbers: Iterable[int], name: str = "list") -> int:
        """A new upload audience of these people."""
        answer = self.post(f"{GROUPS}/upload", {"description": name, "audiences": ids_body(numbers)})
        assert answer.status == 202, answer.body
        return int(answer.body["audienceGroupId"])

    def ready(self, numbers: Iterable[int], name: str = "list") -> int:
        """The same, waited for."""
        made = self.upload(numbers, name)
        self.wait(30)
        return made

    def clicks(self, **body: Any) -> int:
        """A READY click audience of the past broadcast."""
        answer = self.post(f"{GROUPS}/click", {"description": "clicks", "requestId": SENT, **body})
        assert answer.status == 202, answer.body
        self.wait(30)
        return int(answer.body["audienceGroupId"])

    def narrowcast(self, **body: Any) -> Response:
        """A narrowcast of one text."""
        return self.post(f"{SEND}/narrowcast", {"messages": TEXT, **body})

    def sent(self, **body: Any) -> str:
        """The request id of a narrowcast that was accepted and has ended."""
        answer = self.narrowcast(**body)
        assert answer.status == 202, answer.body
        self.wait(30)
        return answer.headers["X-Line-Request-Id"]

    def progress(self, request_id: str) -> dict[str, Any]:
        """What LINE tells about a narrowcast."""
        answer = self.get(f"{SEND}/progress/narrowcast?requestId={request_id}")
        assert answer.status == 200, answer.body
        return dict(answer.body)

    def group(self, number: int) -> dict[str, Any]:
        """An audience as get shows it."""
        answer = self.get(f"{GROUPS}/{number}")
        assert answer.status == 200, answer.body
        return dict(answer.body["audienceGroup"])

    def received(self, request_id: str) -> list[int]:
        """The numbers of the people who received a send."""
        inbox = self.get("/_sim/inbox").body
        return sorted(int(each["userId"][1:], 16) for each in inbox if each["requestId"] == request_id)


def line(document: Mapping[str, Any] | None = None, token: str = "sim-token") -> Line:
    """A fresh simulation of the document, by default of `world()`."""
    return Line(Simulation(world() if document is None else document), token)


def audience(number: int) -> dict[str, Any]:
    """An audience leaf."""
    return {"type": "audience", "audienceGroupId": number}


def all_of(*trees: Any) -> dict[str, Any]:
    """An `and` operator."""
    return {"type": "operator", "and": list(trees)}


def any_of(*trees: Any) -> dict[str, Any]:
    """An `or` operator."""
    return {"type": "operator", "or": list(trees)}


def none_of(tree: Any) -> dict[str, Any]:
    """A `not` operator."""
    return {"type": "operator", "not": tree}


FEMALE = {"type": "gender", "oneOf": ["female"]}


def form(parts: Mapping[str, tuple[str | None, bytes]], boundary: str = "edge") -> tuple[bytes, str]:
    """A multipart body and its content type; a part is (media type or None, content)."""
    body = b""
    for name, (media, content) in parts.items():
        filename = '; filename="ids.txt"' if name == "file" else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n'.encode()
        body += f"Content-Type: {media}\r\n".encode() if media else b""
        body += b"\r\n" + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
