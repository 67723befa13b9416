"""The nodes of policies and flows (see `build`)."""

from __future__ import annotations

from typing import Any

from audsql.diag import error
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.making import Action, Making, finish_expression, key

__all__ = ["FLOW_ACTIONS"]

_Names = tuple[ast.Name, ...]


# --- policies -----------------------------------------------------------------------------------


def _policy(_making: Making, parts: list[Any], span: Span) -> ast.Policy:
    return ast.Policy(parts[1], tuple(parts[3]) if isinstance(parts[3], list) else (), "", span)


def _exceptions(_making: Making, parts: list[Any], _span: Span) -> _Names:
    return tuple(parts[3])


def _excepted(parts: list[Any]) -> _Names:
    """The names of `except for […]` at the end of a rule."""
    return parts[-1] if isinstance(parts[-1], tuple) else ()


def _exclude(making: Making, parts: list[Any], span: Span) -> ast.ExcludeRule:
    return ast.ExcludeRule(finish_expression(making, parts[2], excluded=True), _excepted(parts), span)


def _require(making: Making, parts: list[Any], span: Span) -> ast.RequireRule:
    return ast.RequireRule(finish_expression(making, parts[1]), _excepted(parts), span)


def _measured(_making: Making, parts: list[Any], span: Span) -> ast.MeasureRule:
    return ast.MeasureRule(parts[1], parts[2], parts[3], _excepted(parts), span)


def _freshness(_making: Making, parts: list[Any], span: Span) -> ast.MeasureRule:
    return ast.MeasureRule("freshness", None, None, _excepted(parts), span)


def _tested(_making: Making, parts: list[Any], span: Span) -> ast.TestedRule:
    return ast.TestedRule(_excepted(parts), span)


def _over(parts: list[Any]) -> Any:
    """The word `move` or `refuse` of a rule."""
    return next((part for part in parts if isinstance(part, str)), None)


def _quiet(_making: Making, parts: list[Any], span: Span) -> ast.QuietRule:
    return ast.QuietRule(parts[1], _excepted(parts), span, _over(parts))


def _quiet_hours(_making: Making, parts: list[Any], span: Span) -> ast.QuietRule:
    hours = ast.Range(parts[1], parts[3], parts[1].span.to(parts[3].span))
    return ast.QuietRule(hours, _excepted(parts), span, _over(parts))


def _cap(_making: Making, parts: list[Any], span: Span) -> ast.CapRule:
    return ast.CapRule(parts[1], parts[5], _excepted(parts), span, _over(parts))


# --- flows --------------------------------------------------------------------------------------


def _flow(_making: Making, parts: list[Any], span: Span) -> ast.Flow:
    return ast.Flow(parts[1], tuple(parts[3]) if isinstance(parts[3], list) else (), "", span)


def _flow_entry(making: Making, parts: list[Any], span: Span) -> ast.Entry:
    return ast.Entry(key(making, parts[0]), parts[2], False, span)


def _reentry(_making: Making, parts: list[Any], span: Span) -> ast.Reentry:
    return ast.Reentry(parts[2], span)


def _after(_making: Making, parts: list[Any], _span: Span) -> ast.Duration | ast.Word:
    length: ast.Duration | ast.Word = parts[1]
    return length


def _start_when(making: Making, parts: list[Any], span: Span) -> ast.StartWhen:
    return ast.StartWhen(finish_expression(making, parts[2]), span)


def _start_on_follow(_making: Making, parts: list[Any], span: Span) -> ast.StartOnFollow:
    return ast.StartOnFollow(parts[4] if len(parts) == 5 else None, span)


def _trigger_on(_making: Making, parts: list[Any], span: Span) -> ast.TriggerOn:
    return ast.TriggerOn(parts[2], span)


def _exit_when(making: Making, parts: list[Any], span: Span) -> ast.ExitWhen:
    return ast.ExitWhen(finish_expression(making, parts[2]), span)


def _wait_for(_making: Making, parts: list[Any], span: Span) -> ast.WaitFor:
    return ast.WaitFor(parts[1], span)


def _wait_until(_making: Making, parts: list[Any], span: Span) -> ast.WaitUntil:
    return ast.WaitUntil(parts[2], span)


def _send(_making: Making, parts: list[Any], span: Span) -> ast.SendStep:
    return ast.SendStep(tuple(parts[-1]), span)


# --- branches -----------------------------------------------------------------------------------


def _branch(making: Making, parts: list[Any], span: Span) -> ast.Branch:
    arms: list[ast.BranchArm] = parts[2]
    for arm in arms[:-1]:
        if arm.condition is None:
            making.fatal = True
            making.problems.append(error("AUD0140", arm.span))
            break
    return ast.Branch(tuple(arms), span)


def _arm_send(making: Making, parts: list[Any], span: Span) -> ast.BranchArm:
    return ast.BranchArm(finish_expression(making, parts[0]), (parts[2],), False, span)


def _arm_steps(making: Making, parts: list[Any], span: Span) -> ast.BranchArm:
    return ast.BranchArm(finish_expression(making, parts[0]), _steps(parts), True, span)


def _otherwise_send(_making: Making, parts: list[Any], span: Span) -> ast.BranchArm:
    return ast.BranchArm(None, (parts[2],), False, span)


def _otherwise_steps(_making: Making, parts: list[Any], span: Span) -> ast.BranchArm:
    return ast.BranchArm(None, _steps(parts), True, span)


def _steps(parts: list[Any]) -> tuple[ast.Step, ...]:
    return tuple(parts[3]) if isinstance(parts[3], list) else ()


FLOW_ACTIONS: dict[str, Action] = {
    "policy": _policy, "exceptions": _exceptions, "exclude": _exclude, "require": _require, "measured": _measured,
    "freshness": _freshness, "tested": _tested, "quiet": _quiet, "quiet_hours": _quiet_hours, "cap": _cap,
    "flow": _flow, "flow_entry": _flow_entry, "reentry": _reentry, "after": _after, "start_when": _start_when,
    "start_on_follow": _start_on_follow, "trigger_on": _trigger_on, "exit_when": _exit_when,
    "wait_for": _wait_for, "wait_until": _wait_until, "send": _send, "send_key": _send,
    "branch": _branch, "arm_send": _arm_send, "arm_steps": _arm_steps,
    "otherwise_send": _otherwise_send, "otherwise_steps": _otherwise_steps,
}  # fmt: skip
