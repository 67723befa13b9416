"""`for`: what a loop may hold, how much it becomes, and its statements one by one.

Rules: for.* of specs/language/08-parameters.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace

from audsql.diag import Bag, Label, error, warning
from audsql.meaning.expand_tree import Room, Unit, Work, index_values
from audsql.meaning.expand_values import argument_text, as_text, shortened, type_of
from audsql.meaning.names import fix_near, is_unit, nearest
from audsql.records import dataclass
from audsql.source import Origin, Span
from audsql.syntax import ast

__all__ = ["Item", "Loops", "kind_of", "name_of"]

_REFUSED = (ast.Use, ast.Parameter, ast.Priority, ast.Moved, ast.Removed)


@dataclass(frozen=True, slots=True)
class Item:
    """A statement with the values of the loops around it."""

    statement: ast.Statement
    inner: Mapping[str, ast.Value | None] = field(default_factory=dict)
    origin: Origin | None = None


def kind_of(statement: ast.Statement) -> str:
    """The word that a statement begins with; of one that could not be read, what it probably was."""
    match statement:
        case ast.Block(kind=kind) | ast.Bad(kind=kind):
            return kind
        case ast.Parameter():
            return "param"
        case _:
            return type(statement).__name__.lower()


def name_of(statement: ast.Statement) -> ast.Name | None:
    """The name that a statement declares."""
    match statement:
        case ast.Use(alias=name):
            return name
        case ast.Test() | ast.For() | ast.Priority() | ast.Moved() | ast.Removed():
            return None
        case _:
            return statement.name


@dataclass(slots=True)
class Loops:
    """The loops of one text. `wrong`: statements in them that have been told of and declare nothing sound."""

    unit: Unit
    bag: Bag
    wrong: set[int] = field(default_factory=set)
    # The nodes themselves, too: the id of one that is gone would be given again.
    given_up: dict[int, ast.Statement] = field(default_factory=dict)

    # --- values -----------------------------------------------------------------------------------

    def _listed(self, loop: ast.For, inner: Mapping[str, ast.Value | None]) -> list[ast.Value] | None:
        """The loop's values in order; None where one is unknown, and why has been told."""
        room = Room(Work(self.bag), self.unit, inner)
        values = loop.values
        if isinstance(values, ast.Word):
            found = self._list_of(values, room)
            if found is None:
                return None
            return [replace(item, span=values.span) for item in found.items]
        done: list[ast.Value] = []
        for item in values.items:
            if isinstance(item, ast.Word) and room.knows(item):
                value = room.get(item)
                if value is None:
                    return None
                done.extend(value.items if isinstance(value, ast.ListValue) else [value])
            else:
                done.extend(index_values((item,), room))
        return done

    def _list_of(self, word: ast.Word, room: Room) -> ast.ListValue | None:
        if not room.knows(word):
            near = nearest(word.text, [*room.inner, *room.unit.params])
            unit, fixes = is_unit(word.text), fix_near(word.span, near)
            self.bag.add(error("AUD0225", word.span, fixes=fixes, name=word.text, near=near, unit=unit, value=not unit))
            return None
        value = room.get(word)
        if value is None or isinstance(value, ast.ListValue):
            return value
        self.bag.add(error("AUD0224", word.span, name=word.text, type=type_of(value), wanted="list"))
        return None

    def _length(self, loop: ast.For) -> int:
        def of(value: ast.Value) -> int:
            known = self.unit.params.get(value.text) if isinstance(value, ast.Word) and not value.quoted else None
            return len(known.items) if isinstance(known, ast.ListValue) else 1

        return of(loop.values) if isinstance(loop.values, ast.Word) else sum(of(item) for item in loop.values.items)

    def size(self, statement: ast.Statement, limit: int) -> int:
        """How many statements it becomes, found without making any; counted no further than past `limit`."""
        total = 0
        stack = [(statement, 1)]
        while stack and total <= limit:
            node, times = stack.pop()
            total += times
            if isinstance(node, ast.For):
                within = times * self._length(node)
                stack.extend((inner, within) for inner in node.statements if within)
        return total

    # --- checks -----------------------------------------------------------------------------------

    def check(self, loop: ast.For) -> None:
        """Tell what is wrong with a loop and those in it, whatever their values are."""
        stack: list[tuple[ast.For, tuple[ast.Name, ...]]] = [(loop, ())]
        while stack:
            node, around = stack.pop()
            variables = (*around, node.variable)
            self._check_variable(node, around)
            self._check_values(node)
            for statement in node.statements:
                if isinstance(statement, ast.For):
                    stack.append((statement, variables))
                else:
                    self._check_statement(statement, variables)

    def _check_variable(self, loop: ast.For, around: Sequence[ast.Name]) -> None:
        name = loop.variable
        first = next((one.span for one in around if one.text == name.text), None)
        hidden = self.unit.params.get(name.text)
        if first is not None or name.text in self.unit.params:
            place = first or (hidden.span if hidden else None)
            labels = [Label(place, "hidden")] if place else []
            self.bag.add(warning("AUD0230", name.span, labels=labels, name=name.text))

    def _check_values(self, loop: ast.For) -> None:
        if self._length(loop) == 0:
            self.bag.add(warning("AUD0237", loop.values.span, name=loop.variable.text))

    def _check_statement(self, statement: ast.Statement, variables: Sequence[ast.Name]) -> None:
        if isinstance(statement, _REFUSED) or (isinstance(statement, ast.Block) and statement.kind == "account"):
            self.wrong.add(id(statement))
            self.bag.add(error("AUD0235", statement.span, statement=kind_of(statement)))
            return
        verbs = [verb.name for verb in statement.verbs] if isinstance(statement, ast.Block) else []
        for name in (name_of(statement), *verbs):
            if name is None or isinstance(statement, ast.Bad):
                continue
            words = {value.text for value in name.index if isinstance(value, ast.Word) and not value.quoted}
            missing = next((one for one in variables if one.text not in words), None)
            if missing is not None:
                self.wrong.add(id(statement))
                labels = [Label(missing.span, "variable")]
                facts = f"{name.text}[{', '.join(one.text for one in variables)}]"
                self.bag.add(
                    error("AUD0234", name.span, labels=labels, name=name.text, variable=missing.text, example=facts)
                )
                return

    # --- expansion --------------------------------------------------------------------------------

    def items(self, statement: ast.Statement) -> Iterator[Item]:
        """The statement itself, or those that a loop becomes, in the order of its values."""
        if not isinstance(statement, ast.For):
            yield Item(statement)
            return
        self.check(statement)
        stack: list[tuple[ast.Statement, Mapping[str, ast.Value | None], Origin | None]] = [(statement, {}, None)]
        while stack:
            node, inner, origin = stack.pop()
            if isinstance(node, ast.For):
                stack.extend(reversed(self._bodies(node, inner, origin)))
            elif id(node) not in self.wrong and not isinstance(node, ast.Bad):
                yield Item(_titled(node, inner), inner, origin)
            elif id(node) not in self.given_up:
                self.given_up[id(node)] = node
                name = name_of(node)
                if not isinstance(node, _REFUSED):
                    base = replace(name, index=()) if name and not name.index else None
                    yield Item(ast.Bad(kind_of(node), base, node.span))

    def _bodies(
        self, loop: ast.For, inner: Mapping[str, ast.Value | None], origin: Origin | None
    ) -> list[tuple[ast.Statement, Mapping[str, ast.Value | None], Origin | None]]:
        values = self._listed(loop, inner)
        if values is None or self._repeated(loop, values):
            return [(ast.Bad("", None, loop.span), {}, None)]
        variable = loop.variable
        place = Span(variable.span.path, variable.span.start, variable.span.end)
        bodies: list[tuple[ast.Statement, Mapping[str, ast.Value | None], Origin | None]] = []
        for value in values:
            text = f"{variable.text} = {argument_text(value)}"
            here = Origin(shortened(f"{origin.text}, {text}" if origin else text), place)
            known = {**inner, variable.text: as_text(value)}
            bodies.extend((statement, known, here) for statement in loop.statements)
        return bodies

    def _repeated(self, loop: ast.For, values: Sequence[ast.Value]) -> bool:
        texts: set[str] = set()
        for value in values:
            text = argument_text(value)
            if text in texts:
                self.bag.add(error("AUD0236", value.span, value=text, name=loop.variable.text))
                return True
            texts.add(text)
        return False


def _titled(statement: ast.Statement, inner: Mapping[str, ast.Value | None]) -> ast.Statement:
    """The copies of a test tell themselves apart by their titles."""
    if not isinstance(statement, ast.Test):
        return statement
    values = ", ".join(argument_text(value) for value in inner.values() if value is not None)
    return replace(statement, title=f"{statement.title} [{values}]")
