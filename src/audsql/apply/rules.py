"""What every store refuses to write, whoever asks: rules about one row and the row that it replaces."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from audsql.apply.state import (
    OPERATION_FINAL,
    OPERATION_UNSENT,
    AudienceOperation,
    FlowVersion,
    HeldCoupon,
    KnownSize,
    Occurrence,
    Operation,
    Resource,
    Row,
    row_content,
)
from audsql.apply.store import RuleBroken
from audsql.plan.document import canonical

__all__ = ["check_removal", "check_row"]

_USER_ID = re.compile(r"(?<![0-9A-Za-z])U[0-9a-f]{32}(?![0-9A-Za-z])")
_LISTS_PEOPLE = frozenset({"multicast", "push"})
_SENDABLE = frozenset({"pending", "intent"})


def check_row(before: Row | None, after: Row, content: Mapping[str, Any] | None = None) -> None:
    """Raise RuleBroken where `after` may not replace `before` (None: it is new). `content`: its `row_content`, where
    that is at hand.

    Rules state.privacy, state.flow, state.operation.final, state.operation.once, state.operation.body of
    specs/state.md.
    """
    _check_privacy(after, row_content(after) if content is None else content)
    if isinstance(before, FlowVersion) and isinstance(after, FlowVersion) and before.digest != after.digest:
        raise RuleBroken("the definition of a flow's version never changes: an edited flow is another version")
    if isinstance(after, Operation):
        _check_body(after)
        if isinstance(before, Operation):
            _check_transition(before, after)
            _check_frozen(before, after)


def check_removal(row: Row) -> None:
    """Raise RuleBroken for rows that are memory of what was done: those are never taken out."""
    if not isinstance(row, Resource | AudienceOperation | KnownSize):
        raise RuleBroken(f"a {type(row).__name__} is never removed")


def _check_privacy(row: Row, content: Mapping[str, Any]) -> None:
    if isinstance(row, Occurrence | FlowVersion | HeldCoupon):
        # The author's own message texts: what stands in them is the author's.
        content = {name: value for name, value in content.items() if name != "document"}
    if _USER_ID.search(canonical(content).decode("utf-8", "surrogatepass")):
        raise RuleBroken(f"a {type(row).__name__} holds the id of a person")


def _check_body(row: Operation) -> None:
    if row.body is None:
        return
    if row.kind in _LISTS_PEOPLE:
        raise RuleBroken(f"the body of a {row.kind} lists people and is not stored")
    if row.body_sha256 != hashlib.sha256(row.body).hexdigest():
        raise RuleBroken("body_sha256 is not that of the body")


def _check_transition(before: Operation, after: Operation) -> None:
    if before.state == after.state:
        return
    if before.state in OPERATION_FINAL:
        raise RuleBroken(f"{before.state} is final")
    may_send_again = before.state in OPERATION_UNSENT
    if after.state in _SENDABLE and not may_send_again:
        raise RuleBroken(f"{before.state} never becomes {after.state}: people may have got the message")


def _check_frozen(before: Operation, after: Operation) -> None:
    if before.state in OPERATION_UNSENT:
        return
    if before.retry_key != after.retry_key:
        raise RuleBroken("the retry key of a generation never changes")
    if before.body_sha256 is not None and before.body_sha256 != after.body_sha256:
        raise RuleBroken("the body was frozen with the intent")
