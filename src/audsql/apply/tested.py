"""Messages sent to testers: the rows that remember it, the requests, and what marks them as a test.

A test is a row of the history, begun before the first request and ended once LINE took every one. It holds the digest
of the words, the list's name and how many people it had; never who they are (specs/operations.md, `tested.*`).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from audsql.apply.context import Context
from audsql.apply.state import Resolution, State, iso_time
from audsql.line.limits import MESSAGES_PER_SEND_MAX
from audsql.line.outcome import Accepted, AlreadyAccepted, Limited, Refused, Unknown
from audsql.line.recipient import push_body
from audsql.records import dataclass

__all__ = [
    "REPEAT_SECONDS",
    "TESTERS_MAX",
    "Tally",
    "TestSend",
    "begin",
    "finish",
    "marked",
    "push_all",
    "tested_digests",
]

TESTERS_MAX = 50
"""More people than that are no test: a list of that length was meant for something else. Ours."""
REPEAT_SECONDS = 60
"""The same test again within this time has the keys of the first one, so that LINE sends nothing twice. Ours."""
_TRIES = 3
_RATE_PAUSE_SECONDS = 1.0
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class TestSend:
    """One send of a test. `label`: `sale`, or `welcome.2.0` for a step. `messages`: what each tester gets, by user
    ID. `mark`: the message that says that it is a test."""

    label: str
    account: str
    digest: str
    mark: Mapping[str, Any]
    messages: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(slots=True)
class Tally:
    """How many testers LINE took it for, refused it for, and of how many that is unknown; why it refused last."""

    sent: int = 0
    refused: int = 0
    unknown: int = 0
    place: str | None = None
    detail: str = ""


def tested_digests(state: State) -> frozenset[str]:
    """The digests of all words that testers were sent."""
    found = (_DIGEST.search(row.reason) for row in state.resolutions if row.verdict == "tested")
    return frozenset(match.group() for match in found if match)


def begin(context: Context, send: TestSend, to: str) -> datetime:
    """Write down that a test begins; the instant that its keys are made from: that of the same test to the same list,
    where that began less than REPEAT_SECONDS ago."""
    now = context.steady_now()
    subject, reason = _subject(send), _reason(send, to)
    before = [row.at for row in context.state().resolutions if row.subject == subject]
    same = [
        row.at for row in context.state().resolutions
        if (row.subject, row.verdict, row.reason) == (subject, "test-begun", reason)
        and timedelta() <= now - row.at < timedelta(seconds=REPEAT_SECONDS)
    ]  # fmt: skip
    if same:
        return max(same)
    at = max([now, *(one + timedelta(microseconds=1) for one in before)])
    context.write("test.begun", Resolution(subject, "test-begun", reason, context.options.holder, at))
    return at


def finish(context: Context, send: TestSend, to: str) -> None:
    """Write down that the testers were sent these words."""
    subject = _subject(send)
    before = [row.at for row in context.state().resolutions if row.subject == subject]
    at = max([context.steady_now(), *(one + timedelta(microseconds=1) for one in before)])
    context.write("test.sent", Resolution(subject, "tested", _reason(send, to), context.options.holder, at))


def _subject(send: TestSend) -> str:
    return f"test.{send.label}"


def _reason(send: TestSend, to: str) -> str:
    return f"{send.digest} {to} {len(send.messages)}"


def marked(send: TestSend, messages: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The requests that carry the mark and the messages: one, or two where LINE's limit leaves no room for the mark."""
    if len(messages) < MESSAGES_PER_SEND_MAX:
        return [[send.mark, *messages]]
    return [[send.mark], [*messages]]


def push_all(context: Context, send: TestSend, began: datetime) -> Tally:
    """Push to each tester, in the order of their ids."""
    tally = Tally()
    for person in sorted(send.messages):
        outcomes = []
        for number, messages in enumerate(marked(send, send.messages[person])):
            outcomes.append(_push(context, send, person, messages, _key(context, send, person, number, began)))
            if not isinstance(outcomes[-1], Accepted | AlreadyAccepted):
                break
        _count(tally, outcomes[-1])
    return tally


def _push(
    context: Context, send: TestSend, person: str, messages: Sequence[Mapping[str, Any]], key: str
) -> Accepted | AlreadyAccepted | Refused | Limited | Unknown:
    """The same bytes and key until the answer is certain, a few times."""
    client, body = context.client(send.account), push_body(person, list(messages))
    outcome = context.request("test", lambda: client.push(body, key))
    for _ in range(_TRIES - 1):
        if isinstance(outcome, Limited) and outcome.kind == "rate":
            client.sleep(_RATE_PAUSE_SECONDS)
        elif not isinstance(outcome, Unknown):
            break
        outcome = context.request("test", lambda: client.push(body, key))
    return outcome


def _key(context: Context, send: TestSend, person: str, number: int, began: datetime) -> str:
    text = "\n".join(("audsql/test/v1", context.bots[send.account], send.digest, person, str(number), iso_time(began)))
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=5))


def _count(tally: Tally, outcome: object) -> None:
    match outcome:
        case Accepted() | AlreadyAccepted():
            tally.sent += 1
        case Refused():
            tally.refused += 1
            tally.place, tally.detail = outcome.property_name, ", ".join(outcome.codes) or outcome.message
        case Limited():
            tally.refused += 1
            tally.detail = outcome.kind
        case _:
            tally.unknown += 1
