"""The canonical layout of one statement.

A block written on one line stays on one line while it fits; any other has one entry a line, with the
values in one column. An expression takes one line, or one line for each operand where that is too wide.

Rule: syntax.canonical of specs/language/02-syntax.md.
"""

from __future__ import annotations

from audsql.records import dataclass
from audsql.source import Span, cell_width
from audsql.syntax import ast
from audsql.syntax.flow_layout import flow_text
from audsql.syntax.lex import escaped
from audsql.syntax.outline import WIDTH_MAX, fits, opening_brace, operand_lines
from audsql.syntax.text import count_text, expression_text, name_text, value_text

__all__ = ["WIDTH_MAX", "loop_head", "statement_text"]

_Item = ast.Entry | ast.Verb | ast.Flag | ast.Field | ast.Arm | ast.PolicyRule | ast.TestItem


@dataclass(frozen=True, slots=True)
class _Line:
    """One item of a block: what stands before the aligned column, and what stands in it."""

    head: str
    rest: str
    group: str = ""

    @property
    def flat(self) -> str:
        return f"{self.head} {self.rest}" if self.rest else self.head


def statement_text(
    text: str, statement: ast.Statement, comments: list[ast.Comment], width: int = WIDTH_MAX
) -> str | None:
    """The statement in canonical layout; None where a comment inside it has no place there.

    A `for` has none of its own: its head, its statements and its brace are laid out one by one.
    """
    match statement:
        case ast.Block():
            items: list[_Item] = sorted(
                (*statement.entries, *statement.verbs, *statement.flags, *statement.fields), key=lambda item: item.span
            )
            head = f"{statement.kind} {name_text(statement.name, text)}"
            return _block(text, head, statement.span, items, comments, width)
        case ast.Policy():
            head = f"policy {name_text(statement.name, text)}"
            return _block(text, head, statement.span, list(statement.rules), comments, width)
        case ast.Test():
            head = f"test {_title(text, statement)}"
            return _block(text, head, statement.span, list(statement.items), comments, width)
        case ast.Split():
            return _split(text, statement, comments, width)
        case ast.Flow():
            return flow_text(text, statement, comments, width)
    return None if comments else _line_text(text, statement, width)


def _line_text(text: str, statement: ast.Statement, width: int) -> str | None:
    """A statement without a block, on one line where it fits."""
    match statement:
        case ast.Audience():
            return _audience(text, statement, width)
        case ast.Parameter():
            default = f" = {value_text(statement.default, text)}" if statement.default else ""
            return f"param {name_text(statement.name, text)}: {statement.type}{default}"
        case ast.Use():
            return f"use {value_text(statement.path, text)} as {name_text(statement.alias, text)}"
        case ast.Priority():
            names = [name_text(name, text) for name in statement.deliveries]
            one_line = f"priority [{', '.join(names)}]"
            return one_line if fits(one_line, width) else "priority [\n  " + ",\n  ".join(names) + ",\n]"
        case ast.Moved():
            return f"moved {name_text(statement.old, text)} -> {name_text(statement.new, text)}"
        case ast.Removed():
            return f"removed {name_text(statement.name, text)} {{ {statement.action} }}"
    return None


def loop_head(text: str, statement: ast.For) -> str:
    """The first line of a `for`."""
    return f"for {name_text(statement.variable, text)} in {value_text(statement.values, text)} {{"


def _title(text: str, statement: ast.Test) -> str:
    """A test's title as it was written; one over several lines on one."""
    start = text.find('"', statement.span.start)
    written = text[start : opening_brace(text, statement.span)].rstrip()
    return escaped(statement.title) if "\n" in written else written


def _audience(text: str, statement: ast.Audience, width: int) -> str:
    parameters = ", ".join(name_text(name, text) for name in statement.parameters)
    head = f"audience {name_text(statement.name, text)}{f'({parameters})' if parameters else ''} ="
    tail = " allow empty" if statement.allow_empty else ""
    one_line = f"{head} {expression_text(statement.expression, text)}{tail}"
    if fits(one_line, width) or not isinstance(statement.expression, ast.Chain):
        return one_line
    return "\n".join([head, *operand_lines(text, statement.expression, "  ")]) + tail


def _split(text: str, statement: ast.Split, comments: list[ast.Comment], width: int) -> str | None:
    head = f"split {name_text(statement.name, text)} of {expression_text(statement.expression, text)}"
    closing = text.find("}", statement.arms[-1].span.end)
    if any(comment.span.start > closing for comment in comments):
        return None
    tail = f" salt {value_text(statement.salt, text)}" if statement.salt else ""
    span = Span(statement.span.path, statement.span.start, closing + 1)
    return _block(text, head, span, list(statement.arms), comments, width, separator=", ", tail=tail)


# --- blocks -------------------------------------------------------------------------------------


def _block(
    text: str, head: str, span: Span, items: list[_Item], comments: list[ast.Comment], width: int,
    *, separator: str = "  ", tail: str = "",
) -> str | None:  # fmt: skip
    brace = opening_brace(text, span)
    misplaced = any(item.span.start <= comment.span.start < item.span.end for item in items for comment in comments)
    if misplaced or any(comment.span.start < brace for comment in comments):
        return None
    lines = [_item_line(text, item) for item in items]
    if not items and not comments:
        return f"{head} {{}}"
    if not comments and "\n" not in text[brace : span.end]:
        one_line = f"{head} {{ {separator.join(line.flat for line in lines)} }}{tail}"
        if fits(one_line, width):
            return one_line
    return _tall(text, f"{head} {{", brace, items, lines, comments, width) + tail


def _tall(
    text: str, head: str, brace: int, items: list[_Item], lines: list[_Line], comments: list[ast.Comment], width: int
) -> str:
    """One item a line, comments where they were, at most one blank line between two items."""
    spans = [item.span for item in items]
    elements: list[tuple[Span, int | None]] = [(span, number) for number, span in enumerate(spans)]
    elements += [(comment.span, None) for comment in comments]
    elements.sort(key=lambda element: element[0])
    padded = _padded(elements, lines, width)
    done, end = [head], brace + 1
    for span, number in elements:
        gap = text[end : span.start]
        end = span.end
        if number is None and "\n" not in gap:
            done[-1] += f"  {text[span.start : span.end]}"
            continue
        if gap.count("\n") > 1 and len(done) > 1:
            done.append("")
        shown = text[span.start : span.end] if number is None else padded[number]
        if number is not None and not fits(f"  {shown.splitlines()[0]}", width):
            shown = _broken(text, items[number], lines[number]) or shown
        done.append(f"  {shown}")
    return "\n".join([*done, "}"])


def _padded(elements: list[tuple[Span, int | None]], lines: list[_Line], width: int) -> list[str]:
    """Each item with its second column at the place that its group shares."""
    widths: dict[tuple[str, int], int] = {}
    groups: list[tuple[str, int]] = [("", 0)] * len(lines)
    run, before = 0, ""
    for _, number in elements:
        group = lines[number].group if number is not None else "#"
        # Entries share one column in the whole block, givens only where they follow each other.
        run += group != before
        before = group
        if number is not None:
            groups[number] = (group, run if group == "given" else 0)
            widths[groups[number]] = max(widths.get(groups[number], 0), cell_width(lines[number].head))
    return [_pad(line, widths[groups[number]], width) for number, line in enumerate(lines)]


def _pad(line: _Line, column: int, width: int) -> str:
    if not line.rest or not line.group:
        return line.flat
    padded = f"{line.head}{' ' * (column - cell_width(line.head))} {line.rest}"
    return padded if fits(f"  {padded.splitlines()[0]}", width) else line.flat


def _broken(text: str, item: _Item, line: _Line) -> str | None:
    """An item that is too wide with its expression over several lines; None where it has none to break."""
    if isinstance(item, ast.Entry) and isinstance(item.value, ast.Chain):
        tail = " allow empty" if item.allow_empty else ""
        return "\n".join([line.head, *operand_lines(text, item.value, "    ")]) + tail
    if isinstance(item, ast.ExcludeRule | ast.RequireRule) and isinstance(item.expression, ast.Chain):
        lines = operand_lines(text, item.expression, "    ")
        return "\n".join([line.head, *lines]) + _exceptions(text, item)
    return None


# --- items --------------------------------------------------------------------------------------


def _item_line(text: str, item: _Item) -> _Line:
    match item:
        case ast.Entry():
            return _Line(f"{item.key.text}:", _entry_value(text, item), "entry")
        case ast.Verb():
            by = f" by {name_text(item.column, text)}" if item.column else ""
            return _Line("verb", name_text(item.name, text) + by, "entry")
        case ast.Flag():
            return _Line(item.text, "")
        case ast.Field():
            fallback = f" = {value_text(item.fallback, text)}" if item.fallback else ""
            kind = f"codes {name_text(item.pool, text)}" if item.pool else item.type
            return _Line("column", f"{name_text(item.name, text)}: {kind}{fallback}")
        case ast.Arm():
            return _Line(name_text(item.name, text), value_text(item.weight, text), "arm")
        case (
            ast.ExcludeRule() | ast.RequireRule() | ast.MeasureRule() | ast.TestedRule() | ast.QuietRule()
            | ast.CapRule()
        ):  # fmt: skip
            return _rule_line(text, item)
        case ast.Given():
            return _Line(f"given {expression_text(item.atom, text)}", f"= {value_text(item.people, text)}", "given")
        case ast.TestAt():
            return _Line("at:", value_text(item.moment, text))
        case ast.Expect():
            expected = value_text(item.people, text)
            return _Line("expect", f"{expression_text(item.expression, text)} = {expected}")
        case ast.ExpectCount():
            return _Line("expect", f"count({expression_text(item.expression, text)}) = {item.count}")
    left, right = expression_text(item.left, text), expression_text(item.right, text)
    return _Line("prove", f"{left} {item.relation} {right}")


def _rule_line(text: str, rule: ast.PolicyRule) -> _Line:
    match rule:
        case ast.ExcludeRule():
            head, rest = "always except", expression_text(rule.expression, text)
        case ast.RequireRule():
            head, rest = "require", expression_text(rule.expression, text)
        case ast.MeasureRule():
            bound = f" {rule.operator} {value_text(rule.value, text)}" if rule.value else ""
            head, rest = "require", rule.measure + bound
        case ast.TestedRule():
            head, rest = "require", "tested"
        case ast.QuietRule():
            head, rest = "quiet", value_text(rule.hours, text) + _over(rule)
        case ast.CapRule():
            per = f"per person per {value_text(rule.duration, text)}"
            head, rest = "cap", f"{count_text(rule.count, text)} {per}{_over(rule)}"
    return _Line(head, rest + _exceptions(text, rule))


def _over(rule: ast.QuietRule | ast.CapRule) -> str:
    return f" {rule.over}" if rule.over else ""


def _exceptions(text: str, rule: ast.PolicyRule) -> str:
    names = ", ".join(name_text(name, text) for name in rule.exceptions)
    return f" except for [{names}]" if names else ""


def _entry_value(text: str, entry: ast.Entry) -> str:
    value = entry.value
    if entry.key.text == "fresh" and isinstance(value, ast.Duration | ast.Word):
        return f"within {value_text(value, text)}"
    if isinstance(value, tuple):
        if entry.key.text == "every":
            return " ".join(_part(text, part) for part in value)
        return ", ".join(_part(text, part) for part in value)
    if isinstance(value, ast.PeopleRange):
        low, high = ("" if bound is None else str(bound) for bound in (value.low, value.high))
        return f"{low}..{high} people"
    if isinstance(value, ast.Reference | ast.Call | ast.Not | ast.Paren | ast.Chain):
        return expression_text(value, text) + (" allow empty" if entry.allow_empty else "")
    return value_text(value, text)


def _part(text: str, part: ast.Value | ast.IdColumn) -> str:
    if not isinstance(part, ast.IdColumn):
        return value_text(part, text)
    return f"{name_text(part.kind)} = {name_text(part.column)}" if part.column else name_text(part.kind)
