"""The parts of a flow in the words of the language: `wait 3 days`, `send card`, `start on follow`. Pure."""

from __future__ import annotations

from audsql.meaning import ir
from audsql.meaning.flow import Branch, Flow, FlowStart, SendStep, Step, WaitFor, WaitUntil
from audsql.meaning.words import Arms, Verbs, to_words

__all__ = [
    "arm_words",
    "exit_words",
    "minutes_words",
    "reentry_words",
    "start_words",
    "step_number",
    "step_words",
]

_UNITS = ((7 * 24 * 60, "week"), (24 * 60, "day"), (60, "hour"), (1, "minute"))


def minutes_words(minutes: int) -> str:
    """A duration in the largest unit that measures it: `3 days`."""
    size, unit = next((size, unit) for size, unit in _UNITS if minutes % size == 0)
    count = minutes // size
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def start_words(start: FlowStart, verbs: Verbs, arms: Arms) -> str:
    if start.kind == "follow":
        return "start on follow" + ("" if start.via is None else f' via "{start.via}"')
    if start.kind == "row":
        return f"trigger on {start.table}"
    return f"start when {to_words(start.expression or ir.NOBODY, verbs, arms)}"


def reentry_words(minutes: int | None) -> str:
    return "never" if minutes is None else f"after {minutes_words(minutes)}" if minutes else "always"


def exit_words(flow: Flow, verbs: Verbs, arms: Arms) -> str:
    """'' where nothing ends the flow early."""
    return "" if flow.exit == ir.NOBODY else f"exit when {to_words(flow.exit, verbs, arms)}"


def step_words(step: Step) -> str:
    match step:
        case WaitFor(minutes):
            return f"wait {minutes_words(minutes)}"
        case WaitUntil(hour, minute):
            return f"wait until {hour:02}:{minute:02}"
        case SendStep(messages):
            return f"send {', '.join(messages)}"
        case Branch():
            return "branch"


def step_number(path: str) -> str:
    """A step's place as people count, from 1: `3.2.1` is the first step in the second arm of the third step. '' behind
    the last step."""
    return ".".join(str(int(one) + 1) for one in path.split(".")) if path else ""


def arm_words(step: Branch, number: int, verbs: Verbs, arms: Arms) -> str:
    """Whom an arm takes; `otherwise` for the last one, who are all that the others leave."""
    if number and number == len(step.arms) - 1:
        return "otherwise"
    return to_words(step.arms[number].expression, verbs, arms)
