"""What is to be done about a delivery now, given what is recorded of it: pure decisions.

A send is an occurrence: account, delivery, scheduled time. The spec fixes it, never the run; an
occurrence that was sent is never sent again, whatever is edited or lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Literal

from audsql.records import dataclass

__all__ = ["WINDOW_HOURS_DEFAULT", "Known", "Verdict", "judge", "not_after"]

WINDOW_HOURS_DEFAULT = 6

Action = Literal["send", "schedule", "update", "keep", "resume", "sent", "closed", "attention", "past", "edited"]

_STARTED = ("sending", "done", "in_doubt", "failed")
_CLOSED = ("missed", "in_doubt", "failed")


@dataclass(frozen=True, slots=True)
class Known:
    """An occurrence as the state records it: `state` is planned, scheduled, sending, done, missed,
    in_doubt, failed, cancelled or closed; `definition` the digest that was approved, empty where a person
    declared it; `members` the fingerprints of people that were approved one by one, by part.

    `name` is the delivery's name when it was approved, which is the occurrence's for good; `approved_at` when
    that was. `content` is the digest of its messages, `reach` the document of its set (plan.meanings), `buckets`
    and `splits` the shares that it used; they are empty for what an earlier version approved. `label`: of a
    repetition, the time of the wall clock that this stands for; `rule`: of the repetition itself (plan.repeated)."""

    scheduled: str
    state: str
    definition: str
    at: datetime | None
    not_after: datetime | None
    members: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    account: str = ""
    approved_at: datetime | None = None
    content: str = ""
    reach: Sequence[Any] = ()
    buckets: tuple[tuple[str, int, int], ...] = ()
    splits: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    rule: Mapping[str, Any] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether somebody may have got it."""
        return self.state in _STARTED


@dataclass(frozen=True, slots=True)
class Verdict:
    """`send`: first time, due now · `schedule`: first time, due later · `update`: approved earlier, edited
    since · `keep`: approved, waiting · `resume`: begun · `sent` · `closed`: a person said that it was not
    sent, and it is not sent again under this name and time · `attention`: needs a person · `past`: its time
    had passed before it was ever applied · `edited`: sent, and changed since."""

    action: Action
    known: Known | None


def not_after(at: datetime) -> datetime:
    """The end of a send's window: LINE forgets a retry key after 24 hours and would send again."""
    return at + timedelta(hours=WINDOW_HOURS_DEFAULT)


def judge(scheduled: str, at: datetime | None, definition: str, known: tuple[Known, ...], now: datetime) -> Verdict:
    """`known`: every recorded occurrence of the delivery's name, whatever its time."""
    same = next((one for one in known if one.scheduled == scheduled), None)
    elsewhere = next((one for one in known if one.scheduled != scheduled and one.state in _STARTED), None)
    if same is None or same.state == "cancelled":
        if elsewhere is not None:
            return Verdict("edited", elsewhere)
        if at is not None and at < now:
            return Verdict("past", None)
        return Verdict("send" if at is None or at == now else "schedule", None)
    if same.state == "closed":
        return Verdict("closed", same)
    if same.definition not in (definition, "") and same.state in _STARTED:
        return Verdict("edited", same)
    if same.state in _CLOSED:
        return Verdict("attention", same)
    if same.state in ("sending", "done"):
        return Verdict("resume" if same.state == "sending" else "sent", same)
    return Verdict(_approved(same, definition, now), same)


def _approved(known: Known, definition: str, now: datetime) -> Action:
    if known.not_after is not None and now > known.not_after:
        return "attention"
    if known.definition != definition:
        return "update"
    due = known.at is None or known.at <= now
    return "send" if due else "keep"
