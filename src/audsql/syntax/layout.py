"""The canonical layout of one statement.

A block written on one line stays on one line while it fits; any other has one entry a line, with the
values in one column. An expression takes one line, or one line for each operand where that is too wide.

Rule: syntax.canonical of specs/language/02-syntax.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from audsql.source import Span, cell_width
from audsql.syntax import ast
from audsql.syntax.lex import escaped
from audsql.syntax.text import expression_text, name_text, value_text

__all__ = ["WIDTH_MAX", "statement_text"]

# Terminal cells of a line before a statement is broken into several.
WIDTH_MAX = 100

_Item = ast.Entry | ast.Verb | ast.Flag | ast.ExcludeRule | ast.TestItem


@dataclass(frozen=True, slots=True)
class _Line:
    """One item of a block: what stands before the aligned column, and what stands in it."""

    head: str
    rest: str
    group: str = ""

    @property
    def flat(self) -> str:
        return f"{self.head} {self.rest}" if self.rest else self.head


def statement_text(text: str, statement: ast.Statement, comments: list[ast.Comment]) -> str | None:
    """The statement in canonical layout; None where a comment inside it has no place there."""
    match statement:
        case ast.Audience():
            return None if comments else _audience(text, statement)
        case ast.Block():
            items: list[_Item] = sorted(
                (*statement.entries, *statement.verbs, *statement.flags), key=lambda item: item.span
            )
            return _block(text, f"{statement.kind} {name_text(statement.name)}", statement.span, items, comments)
        case ast.Policy():
            rules: list[_Item] = [rule for rule in statement.rules if isinstance(rule, ast.ExcludeRule)]
            return _block(text, f"policy {name_text(statement.name)}", statement.span, rules, comments)
        case ast.Test():
            title = _title(text, statement)
            return _block(text, f"test {title}", statement.span, list(statement.items), comments)
    return None


def _title(text: str, statement: ast.Test) -> str:
    """A test's title as it was written; one over several lines on one."""
    start = text.find('"', statement.span.start)
    written = text[start : _brace(text, statement.span)].rstrip()
    return escaped(statement.title) if "\n" in written else written


def _audience(text: str, statement: ast.Audience) -> str:
    head = f"audience {name_text(statement.name)} ="
    tail = " allow empty" if statement.allow_empty else ""
    one_line = f"{head} {expression_text(statement.expression, text)}{tail}"
    if _fits(one_line) or not isinstance(statement.expression, ast.Chain):
        return one_line
    return "\n".join([head, *_operand_lines(text, statement.expression, "  ")]) + tail


def _operand_lines(text: str, chain: ast.Chain, indent: str) -> list[str]:
    """One line for each operand, the operator first."""
    lines = [indent + expression_text(chain.operands[0], text)]
    for operator, operand in zip(chain.operators, chain.operands[1:], strict=True):
        lines.append(f"{indent}{operator} {expression_text(operand, text)}")
    return lines


def _fits(line: str) -> bool:
    return "\n" not in line and cell_width(line) <= WIDTH_MAX


# --- blocks -------------------------------------------------------------------------------------


def _block(text: str, head: str, span: Span, items: list[_Item], comments: list[ast.Comment]) -> str | None:
    brace = _brace(text, span)
    misplaced = any(item.span.start <= comment.span.start < item.span.end for item in items for comment in comments)
    if misplaced or any(comment.span.start < brace for comment in comments):
        return None
    lines = [_item_line(text, item) for item in items]
    if not items and not comments:
        return f"{head} {{}}"
    if not comments and "\n" not in text[brace : span.end]:
        one_line = f"{head} {{ {'  '.join(line.flat for line in lines)} }}"
        if _fits(one_line):
            return one_line
    return _tall(text, f"{head} {{", brace, items, lines, comments)


def _brace(text: str, span: Span) -> int:
    """The place of the block's opening brace, stepping over names and titles that hold one."""
    at, closing = span.start, ""
    while at < span.end and (closing or text[at] != "{"):
        character = text[at]
        if closing == '"' and character == "\\":
            at += 1
        elif character == closing:
            closing = ""
        elif not closing and character in '"`#':
            closing = "\n" if character == "#" else character
        at += 1
    return at


def _tall(text: str, head: str, brace: int, items: list[_Item], lines: list[_Line], comments: list[ast.Comment]) -> str:
    """One item a line, comments where they were, at most one blank line between two items."""
    spans = [item.span for item in items]
    elements: list[tuple[Span, int | None]] = [(span, number) for number, span in enumerate(spans)]
    elements += [(comment.span, None) for comment in comments]
    elements.sort(key=lambda element: element[0])
    padded = _padded(text, elements, lines)
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
        if number is not None and not _fits(f"  {shown.splitlines()[0]}"):
            shown = _broken(text, items[number], lines[number]) or shown
        done.append(f"  {shown}")
    return "\n".join([*done, "}"])


def _padded(text: str, elements: list[tuple[Span, int | None]], lines: list[_Line]) -> list[str]:
    """Each item with its second column at the place that its group shares."""
    widths: dict[tuple[str, int], int] = {}
    groups: list[tuple[str, int]] = [("", 0)] * len(lines)
    run, before = 0, ""
    for span, number in elements:
        group = lines[number].group if number is not None else "#"
        # Entries share one column in the whole block, givens only where they follow each other.
        run += group != before or text[text.rfind("\n", 0, span.start) + 1 : span.start].strip() != ""
        before = group
        if number is not None:
            groups[number] = (group, run if group == "given" else 0)
            widths[groups[number]] = max(widths.get(groups[number], 0), cell_width(lines[number].head))
    return [_pad(line, widths[groups[number]]) for number, line in enumerate(lines)]


def _pad(line: _Line, width: int) -> str:
    if not line.rest or not line.group:
        return line.flat
    padded = f"{line.head}{' ' * (width - cell_width(line.head))} {line.rest}"
    return padded if _fits(f"  {padded.splitlines()[0]}") else line.flat


def _broken(text: str, item: _Item, line: _Line) -> str | None:
    """An item that is too wide with its expression over several lines; None where it has none to break."""
    if isinstance(item, ast.Entry) and isinstance(item.value, ast.Chain):
        tail = " allow empty" if item.allow_empty else ""
        return "\n".join([line.head, *_operand_lines(text, item.value, "    ")]) + tail
    if isinstance(item, ast.ExcludeRule) and isinstance(item.expression, ast.Chain):
        lines = _operand_lines(text, item.expression, "    ")
        return "\n".join(["always except", *lines]) + _exceptions(item)
    return None


# --- items --------------------------------------------------------------------------------------


def _item_line(text: str, item: _Item) -> _Line:
    match item:
        case ast.Entry():
            return _Line(f"{item.key.text}:", _entry_value(text, item), "entry")
        case ast.Verb():
            by = f" by {name_text(item.column)}" if item.column else ""
            return _Line("verb", name_text(item.name) + by, "entry")
        case ast.Flag():
            return _Line(item.text, "")
        case ast.ExcludeRule():
            return _Line("always except", expression_text(item.expression, text) + _exceptions(item))
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


def _exceptions(rule: ast.ExcludeRule) -> str:
    return f" except for [{', '.join(name_text(name) for name in rule.exceptions)}]" if rule.exceptions else ""


def _entry_value(text: str, entry: ast.Entry) -> str:
    value = entry.value
    if isinstance(value, tuple):
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
