"""The canonical layout of a flow: one step a line, the steps of an arm further in.

Rule: syntax.canonical of specs/language/02-syntax.md.
"""

from __future__ import annotations

from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.outline import Piece, fits, opening_brace, operand_lines, outlined
from audsql.syntax.text import expression_text, name_text, value_text

__all__ = ["flow_text"]

_Part = ast.FlowItem | ast.BranchArm | Piece


def flow_text(text: str, flow: ast.Flow, comments: list[ast.Comment], width: int) -> str | None:
    """The flow in canonical layout; None where a comment inside a step has no place there."""
    head = f"flow {name_text(flow.name, text)} {{"
    if not flow.items and not comments:
        return f"{head}}}"
    brace = opening_brace(text, flow.span) + 1
    pieces = [Piece(Span(flow.span.path, flow.span.start, brace), head, 0, "open")]
    pieces += _pieces(text, flow.items, width)
    pieces.append(_closing(flow.span, 0))
    places = [comment.span.start for comment in comments]
    if any(piece.span.start <= place < piece.span.end for piece in pieces for place in places):
        return None
    lines = outlined(text, _with_comments(text, pieces, comments), flow.span.start)
    return None if lines is None else "\n".join(lines)


def _with_comments(text: str, pieces: list[Piece], comments: list[ast.Comment]) -> list[Piece]:
    """The pieces and the comments between them, each comment as far in as what stands around it."""
    done: list[Piece] = []
    depth = 0
    waiting: list[Piece | ast.Comment] = [*pieces, *comments]
    for one in sorted(waiting, key=lambda one: one.span):
        if isinstance(one, ast.Comment):
            done.append(Piece(one.span, text[one.span.start : one.span.end], depth, "comment"))
        else:
            depth = one.depth + (one.role == "open")
            done.append(one)
    return done


def _closing(span: Span, depth: int) -> Piece:
    return Piece(Span(span.path, span.end - 1, span.end), "}", depth, "close")


def _pieces(text: str, items: tuple[ast.FlowItem, ...], width: int) -> list[Piece]:
    """The lines of all steps, in order, however deep the branches are."""
    done: list[Piece] = []
    waiting: list[tuple[_Part, int]] = [(item, 1) for item in reversed(items)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, Piece):
            done.append(part)
            continue
        inner: list[_Part] = []
        if isinstance(part, ast.Branch):
            brace = opening_brace(text, part.span) + 1
            done.append(Piece(Span(part.span.path, part.span.start, brace), "branch {", depth, "open"))
            inner = [*part.arms, _closing(part.span, depth)]
        elif isinstance(part, ast.BranchArm) and part.braced and part.steps:
            start = part.condition.span.end if part.condition else part.span.start
            brace = opening_brace(text, Span(part.span.path, start, part.span.end)) + 1
            head = f"{_condition(text, part)} -> {{"
            done.append(Piece(Span(part.span.path, part.span.start, brace), head, depth, "open"))
            inner = [*part.steps, _closing(part.span, depth)]
        else:
            done.append(Piece(part.span, _line(text, part, width - 2 * depth), depth))
        waiting += [(one, depth + 1) for one in reversed(inner)]
    return done


def _condition(text: str, arm: ast.BranchArm) -> str:
    return expression_text(arm.condition, text) if arm.condition else "otherwise"


def _line(text: str, part: ast.FlowItem | ast.BranchArm, width: int) -> str:
    """A step that holds no others."""
    match part:
        case ast.StartWhen():
            return _condition_line(text, "start when", part.expression, width)
        case ast.ExitWhen():
            return _condition_line(text, "exit when", part.expression, width)
        case ast.StartOnFollow():
            return "start on follow" + (f" via {value_text(part.path, text)}" if part.path else "")
        case ast.TriggerOn():
            return f"trigger on {name_text(part.table, text)}"
        case ast.Reentry():
            when = part.when if isinstance(part.when, str) else f"after {value_text(part.when, text)}"
            return f"reentry: {when}"
        case ast.WaitFor():
            return f"wait {value_text(part.duration, text)}"
        case ast.WaitUntil():
            return f"wait until {value_text(part.time, text)}"
        case ast.SendStep():
            return _send(text, part)
        case ast.BranchArm():
            steps = " ".join(_send(text, step) for step in part.steps if isinstance(step, ast.SendStep))
            return f"{_condition(text, part)} -> {steps or '{}'}"
        case ast.Entry():
            return f"{part.key.text}: {_entry_value(text, part)}"
    raise TypeError(part)


def _send(text: str, step: ast.SendStep) -> str:
    return f"send {', '.join(value_text(message, text) for message in step.messages)}"


def _entry_value(text: str, entry: ast.Entry) -> str:
    value = entry.value
    if isinstance(value, tuple | ast.PeopleRange | ast.Reference | ast.Call | ast.Not | ast.Paren | ast.Chain):
        raise TypeError(entry)
    return value_text(value, text)


def _condition_line(text: str, head: str, expression: ast.Expression, width: int) -> str:
    one_line = f"{head} {expression_text(expression, text)}"
    if fits(one_line, width) or not isinstance(expression, ast.Chain):
        return one_line
    return "\n".join([head, *operand_lines(text, expression, "  ")])
