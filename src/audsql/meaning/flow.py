"""Flows: step deliveries as values. They are checked here; running them is another stage's business."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal

from audsql.records import dataclass
from audsql.source import Span

if TYPE_CHECKING:
    from audsql.meaning.ir import Expression

__all__ = ["Branch", "BranchArm", "Flow", "FlowStart", "SendStep", "Step", "WaitFor", "WaitUntil"]


@dataclass(frozen=True, slots=True)
class FlowStart:
    """How people enter: `when` they come into a set, on `follow` (`via` a path of adding the account), or with each
    new `row` of a table."""

    kind: Literal["when", "follow", "row"]
    expression: Expression | None = None
    via: str | None = None
    table: str | None = None


@dataclass(frozen=True, slots=True)
class WaitFor:
    minutes: int


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Until the next `hour`:`minute` of the project's zone."""

    hour: int
    minute: int


@dataclass(frozen=True, slots=True)
class SendStep:
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BranchArm:
    """`expression` is who takes this arm: its own condition less those of the arms before it. The last arm takes
    everybody else."""

    expression: Expression
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    arms: tuple[BranchArm, ...]


Step = WaitFor | WaitUntil | SendStep | Branch


@dataclass(frozen=True, slots=True)
class Flow:
    """`exit` nobody: nothing ends it early. `exclude` is what the policies take away before every step.
    `reentry_minutes`: how long after its end a person may enter again, 0 for always, None for never."""

    name: str
    account: str
    start: FlowStart
    steps: tuple[Step, ...]
    exit: Expression
    exclude: Expression
    reentry_minutes: int | None = None
    policies: tuple[str, ...] = ()
    description: str = ""
    span: Span | None = field(default=None, compare=False)
