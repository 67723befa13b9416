"""Substitution in one statement: parameters by values, indexes by text, names of used files by their full names.

A tree is rebuilt from its leaves up and without recursion. A part in which nothing changes stays the same
object. Rules: params.places, for.names and use.names of specs/language/08-parameters.md.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import field, fields, replace
from typing import Any, TypeVar

from audsql.diag import Bag, error
from audsql.meaning.expand_values import argument_text, as_text, indexed, shortened, type_of
from audsql.meaning.names import fix_near, is_unit, nearest
from audsql.records import dataclass
from audsql.source import CopySpan, Origin, Span
from audsql.syntax import ast, terms

__all__ = ["NAMING_CALLS", "Instance", "Room", "Seen", "Template", "Unit", "Work", "rebuilt", "skeleton", "substituted"]

Node = TypeVar("Node")

# Calls whose first value names a declaration.
NAMING_CALLS = frozenset({"uploaded", "linked", "clicked", "opened", "received"})
# Entries that hold a value (not a word of the language, a column, or the name of a declaration).
_VALUE_KEYS = frozenset(
    {"file", "text", "template", "query", "at", "from", "until", "every", "limit", "unit", "sent", "consent", "fresh",
     "title", "condition", "image", "barcode", "code", "discount", "cash_back", "price", "original", "lottery",
     "winners"}
)  # fmt: skip
_NAME_KEYS = frozenset({"send", "account"})


@dataclass(frozen=True, slots=True)
class Unit:
    """One text and how it is read: a file of the project, or one that is used.

    `own`: the names that a used file declares, which get `prefix`. `params`: values of parameters by the
    name that they have here, None where the value is unknown because of an error that has been told.
    """

    prefix: str = ""
    own: frozenset[str] = frozenset()
    aliases: frozenset[str] = frozenset()
    params: Mapping[str, ast.Value | None] = field(default_factory=dict)
    unread: bool = False
    """Whether a statement that could not be read may declare further parameters."""


@dataclass(frozen=True, slots=True)
class Template:
    """An audience with parameters, everything substituted but those."""

    node: ast.Audience
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Instance:
    """A template with these arguments, wanted at a place."""

    template: str
    name: str
    arguments: tuple[ast.Value, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Seen:
    """A name with an index, as it was written and with its index filled in."""

    base: str
    text: str
    index: str
    span: Span


@dataclass(slots=True)
class Work:
    """What is shared by all statements of a project while they are expanded.

    `templates`: by name; None for one with errors, or one that is not read yet. `instances`: by name.
    """

    bag: Bag
    templates: dict[str, Template | None] = field(default_factory=dict)
    arities: dict[str, int] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    waiting: list[Instance] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)


@dataclass(slots=True)
class Room:
    """How names and words are read in one statement. `broken` once it holds an error that has been told.

    `inner`: loop variables and arguments. `hidden`: parameters of the audience that is read, whose values
    are not known yet; `needs` are the audiences with parameters that it calls.
    """

    work: Work
    unit: Unit
    inner: Mapping[str, ast.Value | None]
    origin: Origin | None = None
    hidden: frozenset[str] | None = None
    strict: bool = True
    broken: bool = False
    needs: dict[str, Span] = field(default_factory=dict)

    def place(self, span: Span) -> Span:
        return CopySpan(span.path, span.start, span.end, self.origin) if self.origin else span

    def knows(self, word: ast.Word | ast.Name) -> bool:
        """Whether a bare word is a parameter or a loop variable here."""
        if word.quoted or word.index:
            return False
        return word.text in self.inner or word.text in self.unit.params or self.hides(word)

    def hides(self, word: ast.Word | ast.Name) -> bool:
        return self.hidden is not None and not word.quoted and word.text in self.hidden

    def get(self, word: ast.Word) -> ast.Value | None:
        """The value of a word that is known and not hidden; None marks the statement as broken."""
        found = self.inner[word.text] if word.text in self.inner else self.unit.params[word.text]
        if found is None:
            self.broken = True
            return None
        return replace(found, span=word.span)

    def full(self, text: str, quoted: bool = False) -> str:
        """The name that a reference means: of a declaration of the same used file, else of the project."""
        if not self.unit.prefix:
            return text
        first = text if quoted else text.partition("[")[0]
        if first in self.unit.own or (not quoted and first.partition(".")[0] in self.unit.own):
            return self.unit.prefix + text
        return text


# --- rebuilding -----------------------------------------------------------------------------------

_NODES: Mapping[type, tuple[str, ...]] = {
    kind: tuple(one.name for one in fields(kind) if one.name not in ("span", "operator_spans", "quoted", "description"))
    for module in (terms, ast)
    for kind in vars(module).values()
    if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__") and kind not in (Span, ast.File, ast.Comment)
}
_SPANNED = frozenset(kind for kind in _NODES if any(one.name == "span" for one in fields(kind)))


def rebuilt(root: Node, change: Callable[[Any], Any]) -> Node:
    """The tree with every node replaced by what `change` makes of it, after its parts."""
    done: dict[int, Any] = {}
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        names = _NODES[type(node)]
        if not ready:
            stack.append((node, True))
            for name in names:
                _push(getattr(node, name), stack)
            continue
        changes: dict[str, Any] = {}
        for name in names:
            before = getattr(node, name)
            after = _part(before, done)
            if after is not before:
                changes[name] = after
        done[id(node)] = change(replace(node, **changes) if changes else node)
    result: Node = done[id(root)]
    return result


def _push(value: Any, stack: list[tuple[Any, bool]]) -> None:
    if type(value) in _NODES:
        stack.append((value, False))
    elif type(value) is tuple:
        for item in value:
            if type(item) is tuple:
                stack.extend((one, False) for one in item if type(one) in _NODES)
            elif type(item) in _NODES:
                stack.append((item, False))


def _part(value: Any, done: Mapping[int, Any]) -> Any:
    if type(value) in _NODES:
        return done[id(value)]
    if type(value) is not tuple:
        return value
    parts = tuple(_part(item, done) for item in value)
    return parts if any(new is not old for new, old in zip(parts, value, strict=True)) else value


def substituted(node: Node, room: Room) -> Node:
    """The statement or expression with everything filled in that the room knows."""

    def change(part: Any) -> Any:
        if room.origin is not None and type(part) in _SPANNED:
            part = replace(part, span=room.place(part.span))
        hook = _HOOKS.get(type(part))
        return hook(part, room) if hook else part

    return rebuilt(node, change)


# --- values ---------------------------------------------------------------------------------------

_FITS: Mapping[str, tuple[type, ...]] = {
    "duration": (ast.Duration,),
    "date": (ast.DateTime,),
    "percent": (ast.Percent,),
    "string": (ast.Text,),
    "count": (ast.Number,),
    "measure": (ast.Number, ast.Percent),
    "time": (ast.TimeOfDay,),
    "value": (ast.Text, ast.Number, ast.Percent, ast.Duration, ast.DateTime),
}


def _wrong_type(word: ast.Word, value: ast.Value, wanted: str, room: Room) -> None:
    room.broken = True
    found = type_of(value)
    room.work.bag.add(error("AUD0224", word.span, name=word.text, type=found, wanted=wanted))


def _unknown(word: ast.Word, room: Room) -> None:
    """A bare word where only a parameter can stand, and there is none of this name."""
    if word.index or word.quoted or not room.strict or room.broken:
        return
    room.broken = True
    if room.unit.unread:
        return
    near = nearest(word.text, [*room.inner, *room.unit.params, *(room.hidden or ())])
    fixes = fix_near(word.span, near)
    unit = is_unit(word.text)
    room.work.bag.add(error("AUD0225", word.span, fixes=fixes, name=word.text, near=near, unit=unit, value=not unit))


def _typed(value: Any, wanted: str, room: Room) -> Any:
    """What stands in a place of one type; a bare word there is a parameter."""
    if not isinstance(value, ast.Word) or room.hides(value):
        return value
    if not room.knows(value):
        _unknown(value, room)
        return value
    found = room.get(value)
    if found is None:
        return value
    if not isinstance(found, _FITS[wanted]):
        _wrong_type(value, found, wanted, room)
        return value
    if wanted == "count" and isinstance(found, ast.Number):
        if found.value % 1 or found.value < 0:
            _wrong_type(value, found, wanted, room)
            return value
        return int(found.value)
    return found


def _plain(value: Any, room: Room) -> Any:
    """What stands in a place of any one value: a bare word is itself where no parameter has its name."""
    if not isinstance(value, ast.Word) or not room.knows(value) or room.hides(value):
        return value
    found = room.get(value)
    if isinstance(found, ast.ListValue):
        _wrong_type(value, found, "value", room)
        return value
    return value if found is None else found


def _spliced(values: Sequence[Any], room: Room) -> tuple[Any, ...]:
    """Values one after the other; a list that a word stands for is written out."""
    done: list[Any] = []
    for value in values:
        if not isinstance(value, ast.Word) or not room.knows(value) or room.hides(value):
            done.append(value)
            continue
        found = room.get(value)
        if isinstance(found, ast.ListValue):
            done.extend(replace(item, span=value.span) for item in found.items)
        else:
            done.append(value if found is None else found)
    return tuple(done)


def index_values(values: Sequence[ast.Value], room: Room) -> tuple[ast.Value, ...]:
    return tuple(as_text(_plain(value, room)) for value in values)


# --- names ----------------------------------------------------------------------------------------


def _index(node: Any, room: Room) -> Any:
    """`card[p]` as `card[A]`: of a Name or a Word."""
    if not node.index or any(isinstance(value, ast.Word) and room.hides(value) for value in node.index):
        return node
    values = index_values(node.index, room)
    text = indexed(node.text, values)
    full = room.full(text)
    inside = ", ".join(argument_text(value) for value in values)
    room.work.seen.setdefault(full, Seen(full[: len(full) - len(inside) - 2], full, inside, node.span))
    return replace(node, text=text, index=())


def _declared(name: ast.Name, room: Room) -> ast.Name:
    return replace(name, text=room.unit.prefix + name.text) if room.unit.prefix else name


def _referred(value: Any, room: Room) -> Any:
    """A Name, Word or Text that names a declaration, by its full name; the nearest loop or call may fill it in."""
    if isinstance(value, ast.Word) and not value.index and not value.quoted and not room.hides(value):
        found = room.inner.get(value.text)
        if isinstance(found, (ast.Text, ast.Number)):
            value = ast.Text(found.text if isinstance(found, ast.Text) else argument_text(found), value.span)
        elif value.text in room.inner:
            if found is None:
                room.broken = True
            else:
                _wrong_type(value, found, "name", room)
            return value
    if not isinstance(value, (ast.Name, ast.Word, ast.Text)) or (isinstance(value, ast.Word) and room.hides(value)):
        return value
    text = room.full(value.text, getattr(value, "quoted", True))
    return value if text == value.text else replace(value, text=text)


def _all_referred(values: Sequence[Any], room: Room) -> tuple[Any, ...]:
    return tuple(_referred(value, room) for value in values)


# --- expressions ----------------------------------------------------------------------------------


def _reference(node: ast.Reference, room: Room) -> ast.Expression:
    name, member = node.name, node.member
    if member is not None and not name.quoted and name.text in room.unit.aliases:
        name, member = _under_alias(name, member, node.span, room), None
    elif member is None and room.knows(name):
        room.broken = True
        room.work.bag.add(error("AUD0226", node.span, name=name.text))
        return node
    name = _referred(name, room)
    if name.text in room.work.arities and member is None:
        example = f"{name.text}({', '.join('…' for _ in range(room.work.arities[name.text]))})"
        room.broken = True
        room.work.bag.add(error("AUD0227", node.span, name=name.text, example=example))
        return node
    return node if name is node.name else replace(node, name=name, member=member)


def _under_alias(alias: ast.Name, member: ast.Name, span: Span, room: Room) -> ast.Name:
    """`common.regulars`, read as a name and its member, as the one name that it is."""
    own = room.full(member.text)
    seen = room.work.seen.get(own)
    if seen is not None and seen.span == member.span:
        # The index was taken for one of this text's own names.
        del room.work.seen[own]
        full = room.full(f"{alias.text}.{member.text}")
        base = full[: len(full) - len(seen.index) - 2]
        room.work.seen.setdefault(full, Seen(base, full, seen.index, seen.span))
    return ast.Name(f"{alias.text}.{member.text}", False, span)


def _call(node: ast.Call, room: Room) -> ast.Expression:
    name = _referred(node.name, room)
    if name.text in room.work.arities:
        return _template_call(node, name.text, room)
    given = node.arguments
    naming = node.name.text in NAMING_CALLS
    values = (*_all_referred(given.values[:1], room), *_spliced(given.values[1:], room)) if naming else ()
    values = values or _spliced(given.values, room)
    named = tuple((key, _plain(value, room)) for key, value in given.named)
    if values != given.values or named != given.named:
        node = replace(node, arguments=replace(given, values=values, named=named))
    return node if name is node.name else replace(node, name=name)


def _template_call(node: ast.Call, name: str, room: Room) -> ast.Expression:
    """A call of an audience with parameters: the name of what it becomes with these arguments."""
    room.needs.setdefault(name, node.span)
    given, bag = node.arguments, room.work.bag
    if given.conditions or given.subject is not None or given.named:
        place = given.conditions[0].span if given.conditions else node.span
        bag.add(error("AUD0229", place, name=name))
    elif any(isinstance(value, (ast.Star, ast.Range, ast.Environment)) for value in given.values):
        bag.add(error("AUD0229", node.span, name=name))
    elif len(given.values) != room.work.arities[name]:
        wanted = room.work.arities[name]
        bag.add(error("AUD0228", node.span, name=name, wanted=wanted, count=len(given.values)))
    else:
        return _instance(node, name, room)
    room.broken = True
    return node


def _instance(node: ast.Call, name: str, room: Room) -> ast.Expression:
    if room.hidden is not None:
        return node
    values = [room.get(v) if isinstance(v, ast.Word) and room.knows(v) else as_text(v) for v in node.arguments.values]
    arguments = tuple(value for value in values if value is not None)
    if len(arguments) < len(values):
        return node
    full = f"{name}({', '.join(argument_text(value) for value in arguments)})"
    if full not in room.work.instances:
        instance = Instance(name, full, arguments, Origin(shortened(full), _plain_span(node.span)))
        room.work.instances[full] = instance
        room.work.waiting.append(instance)
    return ast.Reference(ast.Name(full, False, node.span, ()), None, node.span)


def _plain_span(span: Span) -> Span:
    return Span(span.path, span.start, span.end)


# --- hooks of nodes -------------------------------------------------------------------------------


def _fill(key: str, wanted: str) -> Callable[[Any, Room], Any]:
    """A hook for nodes with one place of one type."""

    def hook(node: Any, room: Room) -> Any:
        before = getattr(node, key)
        after = _plain(before, room) if wanted == "value" else _typed(before, wanted, room)
        return node if after is before else replace(node, **{key: after})

    return hook


def _since(node: ast.SinceCondition, room: Room) -> ast.SinceCondition:
    if isinstance(node.moment, ast.Word) and node.moment.text == "start" and not node.moment.quoted:
        return node
    moment = _typed(node.moment, "date", room)
    return node if moment is node.moment else replace(node, moment=moment)


def _in(node: ast.InCondition, room: Room) -> ast.InCondition:
    values = _spliced(node.values, room)
    return replace(node, values=values)


def _entry(node: ast.Entry, room: Room) -> ast.Entry:
    value: Any = node.value
    if node.key.text in _NAME_KEYS:
        value = _all_referred(value, room) if isinstance(value, tuple) else _referred(value, room)
    elif node.key.text in _VALUE_KEYS and not isinstance(value, tuple):
        value = _plain(value, room)
    elif node.key.text == "coupon":
        value = _coupon(value, room)
    return node if value is node.value else replace(node, value=value)


def _coupon(value: Any, room: Room) -> Any:
    """The coupon of a message: its id, a parameter that has it, or the name of a declared one."""
    value = _plain(value, room)
    return _referred(value, room) if isinstance(value, ast.Word) else value


def _field(node: ast.Field, room: Room) -> ast.Field:
    fallback, pool = _plain(node.fallback, room), _referred(node.pool, room)
    return replace(node, fallback=fallback, pool=pool)


def _rule(node: Any, room: Room) -> Any:
    changes: dict[str, Any] = {"exceptions": _all_referred(node.exceptions, room)}
    if isinstance(node, ast.MeasureRule):
        changes["value"] = _typed(node.value, "measure", room)
    elif isinstance(node, ast.QuietRule):
        changes["hours"] = _typed(node.hours, "time", room)
    elif isinstance(node, ast.CapRule):
        changes |= {"count": _typed(node.count, "count", room), "duration": _typed(node.duration, "duration", room)}
    return replace(node, **changes)


def _given(node: ast.Given | ast.Expect, room: Room) -> Any:
    return replace(node, people=replace(node.people, items=_spliced(node.people.items, room)))


def _named_statement(node: Any, room: Room) -> Any:
    name = _declared(node.name, room)
    return node if name is node.name else replace(node, name=name)


def _split(node: ast.Split, room: Room) -> ast.Split:
    salt = _typed(node.salt, "string", room)
    node = _named_statement(node, room)
    return node if salt is node.salt else replace(node, salt=salt)


def _referring(*keys: str) -> Callable[[Any, Room], Any]:
    def hook(node: Any, room: Room) -> Any:
        changes: dict[str, Any] = {}
        for key in keys:
            before = getattr(node, key)
            changes[key] = _all_referred(before, room) if isinstance(before, tuple) else _referred(before, room)
        return replace(node, **changes)

    return hook


_HOOKS: Mapping[type, Callable[[Any, Room], Any]] = {
    ast.Name: _index,
    ast.Word: _index,
    ast.Reference: _reference,
    ast.Call: _call,
    ast.CompareCondition: _fill("value", "value"),
    ast.InCondition: _in,
    ast.LastCondition: _fill("duration", "duration"),
    ast.SinceCondition: _since,
    ast.BeforeCondition: _fill("moment", "date"),
    ast.TimesCondition: _fill("count", "count"),
    ast.AggregateCondition: _fill("value", "value"),
    ast.LatestCondition: _fill("value", "value"),
    ast.ThresholdCondition: _fill("value", "value"),
    ast.Entry: _entry,
    ast.Field: _field,
    ast.Verb: _named_statement,
    ast.Block: _named_statement,
    ast.Audience: _named_statement,
    ast.Policy: _named_statement,
    ast.Flow: _named_statement,
    ast.Split: _split,
    ast.Parameter: _named_statement,
    ast.Arm: _fill("weight", "percent"),
    ast.ExcludeRule: _rule,
    ast.RequireRule: _rule,
    ast.MeasureRule: _rule,
    ast.TestedRule: _rule,
    ast.QuietRule: _rule,
    ast.CapRule: _rule,
    ast.Given: _given,
    ast.Expect: _given,
    ast.TestAt: _fill("moment", "date"),
    ast.Priority: _referring("deliveries"),
    ast.Moved: _referring("old", "new"),
    ast.Removed: _referring("name"),
    ast.TriggerOn: _referring("table"),
    ast.SendStep: _referring("messages"),
    ast.StartOnFollow: _fill("path", "string"),
    ast.Reentry: _fill("when", "duration"),
    ast.WaitFor: _fill("duration", "duration"),
    ast.WaitUntil: _fill("time", "time"),
}


# --- audiences that nobody calls ------------------------------------------------------------------


def skeleton(template: ast.Audience, templates: Container[str]) -> ast.Expression:
    """The expression without what depends on the parameters, so that its names can still be checked; calls of
    other audiences with parameters, `templates`, are checked where those are written."""
    parameters = {name.text for name in template.parameters}

    def depends(value: object) -> bool:
        if not isinstance(value, (ast.Word, ast.Name)):
            return False
        bare = not value.quoted and value.text in parameters
        return bare or any(depends(inner) for inner in value.index)

    def change(node: Any) -> Any:
        if isinstance(node, ast.Reference) and depends(node.name):
            return ast.Reference(ast.Name("friends"), None, node.span)
        if not isinstance(node, ast.Call):
            return node
        if node.name.text in templates:
            return ast.Reference(node.name, None, node.span)
        given = node.arguments
        values = tuple(value for value in given.values if not depends(value))
        conditions = tuple(one for one in given.conditions if not any(depends(value) for value in _leaves(one)))
        named = tuple(one for one in given.named if not depends(one[1]))
        return replace(node, arguments=replace(given, values=values, conditions=conditions, named=named))

    return rebuilt(template.expression, change)


def _leaves(condition: ast.Condition) -> tuple[Any, ...]:
    keys = ("value", "duration", "moment", "count")
    found = tuple(getattr(condition, key) for key in keys if hasattr(condition, key))
    return (*found, *condition.values) if isinstance(condition, ast.InCondition) else found
