"""What deliveries and flows send: each send with the names of its messages. Pure."""

from __future__ import annotations

from audsql.meaning.flow import SendStep
from audsql.meaning.ir import Delivery, Flow
from audsql.plan.flow_form import steps_by_path

__all__ = ["Send", "sends_of"]

Send = tuple[str, tuple[str, ...]]
"""Where it is sent, `sale` of a delivery and `welcome.2.0` of a flow's step, and the names of its messages."""


def sends_of(owner: Delivery | Flow) -> tuple[Send, ...]:
    """Every send that a delivery or a flow makes, in the order written."""
    if isinstance(owner, Delivery):
        return ((owner.name, owner.messages),)
    steps = steps_by_path(owner.steps).items()
    return tuple((f"{owner.name}.{path}", step.messages) for path, step in steps if isinstance(step, SendStep))
