"""Expansion: parameters, loops, files that are used, and audiences with parameters, all on the tree.

What comes out has no `for`, no `name[p]` and no call of an audience: every statement means the same as one
that was written out by hand, and keeps the place at which it was written. Nothing is read here: values from
outside and the texts of used files come in as arguments. A statement that cannot be expanded becomes a `Bad`
node, so that nothing that refers to it is told to be wrong as well.

Rules: specs/language/08-parameters.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace

from audsql.diag import Bag, Diagnostic, Label, error, warning
from audsql.meaning import ir
from audsql.meaning.expand_loops import Item, Loops, kind_of, name_of
from audsql.meaning.expand_tree import Instance, Room, Seen, Template, Unit, Work, skeleton, substituted
from audsql.meaning.expand_values import Given, argument_text, unknown_given, value_of
from audsql.meaning.names import nearest
from audsql.meaning.order import order
from audsql.records import dataclass
from audsql.source import CopySpan, Span
from audsql.syntax import ast
from audsql.syntax.parse import STATEMENTS_MAX

__all__ = ["Expanded", "Given", "Inputs", "NO_INPUTS", "expand", "expand_expression", "in_folders", "values_given"]

_REFUSED_IN_USED = ("account", "coupon", "delivery", "flow", "priority", "moved", "removed")
_NAMELESS = ("priority", "moved", "removed")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What expansion needs besides the project's trees.

    `given`: values of parameters, of equal names the last counts. `used`: the path of a file that is used,
    by the path of the file that uses it and the path as written there; one that is missing could not be
    read, which has been told. `files`: the used files by path.
    """

    given: tuple[Given, ...] = ()
    used: Mapping[tuple[str, str], str] = field(default_factory=dict)
    files: Mapping[str, ast.File] = field(default_factory=dict)


NO_INPUTS = Inputs()


@dataclass(frozen=True, slots=True)
class Expanded:
    """`files` without anything left to expand. `uncalled`: what can be checked of audiences with parameters
    that nobody calls. `folders`: where the data files of a used file lie, by its path. `unit` and `work`: what
    further expressions are expanded with, None where the project has nothing to expand."""

    files: tuple[ast.File, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    uncalled: tuple[ast.Expression, ...] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    unit: Unit | None = field(default=None, compare=False, repr=False)
    work: Work | None = field(default=None, compare=False, repr=False)


def expand(files: tuple[ast.File, ...], inputs: Inputs = NO_INPUTS) -> Expanded:
    """The project with its parameters filled in; the same file objects where there is nothing to do."""
    if not _has_work(files, inputs):
        return Expanded(files)
    bag = Bag()
    texts = _texts(files, inputs, bag)
    units = _units(texts, inputs, bag)
    too_many = _too_many(texts, units)
    if too_many is not None:
        bag.add(too_many)
        return Expanded((*(_without_expansion(file) for file in files), _unread()), bag.sorted())
    work = Work(bag)
    items = [
        (text, unit, file, _items(file, text, unit, bag))
        for text, unit in zip(texts, units, strict=True)
        for file in text.files
    ]
    _read_templates(items, work)
    done = [_expanded_file(file, text, unit, found, work) for text, unit, file, found in items]
    done.append(_instances(work, sum(len(file.statements) for file in done)))
    done.append(_unknown_indexes(done, work))
    called = {instance.template for instance in work.instances.values()}
    uncalled = [one for name, one in sorted(work.templates.items()) if one is not None and name not in called]
    folders = {path: path.rpartition("/")[0] for path in inputs.files}
    statements = tuple(file for file in done if file.statements or file.path)
    expressions = tuple(skeleton(one.node, work.arities) for one in uncalled)
    return Expanded(statements, bag.sorted(), expressions, folders, units[0], work)


def expand_expression(
    expression: ast.Expression, expanded: Expanded, bag: Bag
) -> tuple[ast.Expression | None, tuple[ast.Audience, ...]]:
    """A further expression over an expanded project, with the audiences that its calls need beyond those that
    the project has; None where it has errors, which go to the bag."""
    if expanded.unit is None or expanded.work is None:
        return expression, ()
    known = expanded.work
    work = Work(bag, known.templates, known.arities, dict(known.instances))
    room = Room(work, expanded.unit, {})
    filled = substituted(expression, room)
    made = _instances(work, 0).statements
    return (None if room.broken else filled), tuple(one for one in made if isinstance(one, ast.Audience))


def _has_work(files: Sequence[ast.File], inputs: Inputs) -> bool:
    if any(one.strict for one in inputs.given):
        return True
    kinds = (ast.Parameter, ast.For, ast.Use)
    return any(
        isinstance(statement, kinds) or (isinstance(statement, ast.Audience) and statement.parameters)
        for file in files
        for statement in file.statements
    ) or any(file.indexed for file in files)


def _unread() -> ast.File:
    """A file that may declare anything, so that no name is called unknown."""
    return ast.File("", (ast.Bad("", None),))


def _without_expansion(file: ast.File) -> ast.File:
    kept = tuple(one for one in file.statements if not isinstance(one, (ast.For, ast.Use)))
    return file if len(kept) == len(file.statements) else replace(file, statements=kept)


def values_given(files: tuple[ast.File, ...], inputs: Inputs) -> tuple[tuple[str, str], ...]:
    """The names and values of parameters that are given one from outside, by name: what else than its texts
    a project means."""
    names = {one.name for one in inputs.given}
    if not names:
        return ()
    bag = Bag()
    values = _units(_texts(files, inputs, bag), inputs, bag)[0].params
    return tuple(
        (name, argument_text(value)) for name, value in sorted(values.items()) if name in names and value is not None
    )


def in_folders(project: ir.Project, folders: Mapping[str, str]) -> ir.Project:
    """The project with the folder of every data file that a used file names."""
    if not folders:
        return project

    def folder(span: Span | None) -> str:
        return folders.get(span.path, "") if span else ""

    return replace(
        project,
        uploads=tuple(replace(one, folder=folder(one.span)) for one in project.uploads),
        tables=tuple(replace(one, folder=folder(one.span)) for one in project.tables),
        messages=tuple(replace(one, folder=folder(one.span)) for one in project.messages),
        code_pools=tuple(replace(one, folder=folder(one.span)) for one in project.code_pools),
    )


# --- texts and what they know ---------------------------------------------------------------------


@dataclass(slots=True)
class _Text:
    """The project (the first), or one use of a file. `uses`: alias to the place of the text in the list,
    None where it could not be read."""

    files: tuple[ast.File, ...]
    prefix: str = ""
    above: tuple[str, ...] = ()
    uses: dict[str, int | None] = field(default_factory=dict)
    size: int = 0
    place: Span | None = None


def _texts(files: tuple[ast.File, ...], inputs: Inputs, bag: Bag) -> list[_Text]:
    """The project and every use of a file, each before those that it uses. Stops past the limit of statements."""
    texts = [_Text(files)]
    total, at = 0, 0
    while at < len(texts) and total <= STATEMENTS_MAX:
        text = texts[at]
        at += 1
        for file in text.files:
            total += len(file.statements)
            for use in file.statements:
                if isinstance(use, ast.Use) and use.alias.text not in text.uses:
                    text.uses[use.alias.text] = _used(use, file, text, texts, inputs, bag)
    return texts


def _used(use: ast.Use, file: ast.File, text: _Text, texts: list[_Text], inputs: Inputs, bag: Bag) -> int | None:
    path = inputs.used.get((file.path, use.path.text))
    if path is None:
        return None
    chain = (*text.above, file.path) if text.prefix else ()
    if path in chain:
        circle = " -> ".join((*chain[chain.index(path) :], path))
        bag.add(error("AUD0244", use.path.span, path=use.path.text, circle=circle))
        return None
    place = text.place or use.path.span
    texts.append(_Text((inputs.files[path],), f"{text.prefix}{use.alias.text}.", chain, place=place))
    return len(texts) - 1


def _units(texts: Sequence[_Text], inputs: Inputs, bag: Bag) -> list[Unit]:
    """What each text knows: its own parameters, and those of what it uses under their aliases."""
    given = {one.name: one for one in inputs.given}
    found: list[Unit] = [Unit()] * len(texts)
    known: list[str] = []
    for at in range(len(texts) - 1, -1, -1):
        text = texts[at]
        params: dict[str, ast.Value | None] = {}
        for statement in _statements(text):
            if isinstance(statement, ast.Parameter) and statement.name.text not in params:
                name = text.prefix + statement.name.text
                known.append(name)
                params[statement.name.text] = value_of(statement, name, given.get(name), bag)
            elif isinstance(statement, ast.Bad) and statement.kind == "param" and statement.name is not None:
                params.setdefault(statement.name.text, None)
        aliases = set(text.uses)
        for alias, used in text.uses.items():
            if used is not None:
                aliases.update(f"{alias}.{inner}" for inner in found[used].aliases)
                params.update({f"{alias}.{name}": value for name, value in found[used].params.items()})
        own = frozenset(_own_names(text)) if text.prefix else frozenset()
        found[at] = Unit(text.prefix, own, frozenset(aliases), params, _may_declare_more(text))
    if all(used is not None for text in texts for used in text.uses.values()):
        unknown_given(inputs.given, sorted(known), bag)
    return found


def _statements(text: _Text) -> Iterator[ast.Statement]:
    for file in text.files:
        yield from file.statements


def _may_declare_more(text: _Text) -> bool:
    """Whether a statement that could not be read may declare a parameter of any name."""
    return any(isinstance(one, ast.Bad) and one.name is None and one.kind in ("", "param") for one in _statements(text))


def _own_names(text: _Text) -> Iterator[str]:
    """What a used file declares, loops included; a policy is never referred to by name."""
    stack = list(_statements(text))
    while stack:
        statement = stack.pop()
        if isinstance(statement, ast.For):
            stack.extend(statement.statements)
            continue
        name = name_of(statement)
        if name is not None and not isinstance(statement, ast.Policy):
            yield name.text
        if isinstance(statement, ast.Block):
            yield from (verb.name.text for verb in statement.verbs)


def _too_many(texts: Sequence[_Text], units: Sequence[Unit]) -> Diagnostic | None:
    """Whether the project becomes larger than a project may be, found before anything is made."""
    total = 0
    for text, unit in zip(texts, units, strict=True):
        loops = Loops(unit, Bag())
        for statement in _statements(text):
            total += loops.size(statement, STATEMENTS_MAX)
            if total > STATEMENTS_MAX:
                place = statement.span if isinstance(statement, ast.For) else text.place
                return error("AUD0240", text.place or place, limit=STATEMENTS_MAX)
    return None


def _items(file: ast.File, text: _Text, unit: Unit, bag: Bag) -> list[Item]:
    """The statements of a file, its loops written out; what a used file may not hold is told and left out."""
    loops = Loops(unit, bag)
    found: list[Item] = []
    for statement in file.statements:
        if text.prefix and kind_of(statement) in _REFUSED_IN_USED and not isinstance(statement, ast.Bad):
            labels = [Label(text.place, "use")] if text.place else []
            bag.add(error("AUD0241", statement.span, labels=labels, statement=kind_of(statement)))
        elif text.prefix and isinstance(statement, ast.For):
            found.extend(item for item in loops.items(statement) if _may_be_used(item, text, bag))
        else:
            found.extend(loops.items(statement))
    return found


def _may_be_used(item: Item, text: _Text, bag: Bag) -> bool:
    if kind_of(item.statement) not in _REFUSED_IN_USED or isinstance(item.statement, ast.Bad):
        return True
    labels = [Label(text.place, "use")] if text.place else []
    bag.add(error("AUD0241", item.statement.span, labels=labels, statement=kind_of(item.statement)))
    return False


# --- audiences with parameters --------------------------------------------------------------------

_Items = Sequence[tuple[_Text, Unit, ast.File, list[Item]]]


def _read_templates(items: _Items, work: Work) -> None:
    """Every audience with parameters: names first, then bodies, then the circles among them."""
    named: list[tuple[str, ast.Audience, Room]] = []
    for _, unit, _, found in items:
        for item in found:
            node = item.statement
            if isinstance(node, ast.Audience) and node.parameters:
                parameters = frozenset(name.text for name in node.parameters)
                room = Room(work, unit, item.inner, item.origin, parameters)
                name = unit.prefix + substituted(node.name, Room(work, unit, item.inner)).text
                work.arities.setdefault(name, len(node.parameters))
                named.append((name, node, room))
    needs: dict[str, dict[str, Span]] = {}
    for name, node, room in named:
        _check_parameters(node, room)
        body = substituted(node, room)
        if name not in needs:
            needs[name] = room.needs
            work.templates[name] = None if room.broken else Template(body, room.origin)
    ordering = order(needs)
    for circle in ordering.circles:
        labels = [Label(place, "next") for place in circle.places[1:]]
        path = " -> ".join((*circle.names, circle.names[0]))
        work.bag.add(
            error(
                "AUD0210", circle.places[0], labels=labels, name=circle.names[0], path=path, policy=None, covered=None
            )
        )
    for name in needs.keys() - set(ordering.order):
        work.templates[name] = None


def _check_parameters(node: ast.Audience, room: Room) -> None:
    seen: dict[str, Span] = {}
    for name in node.parameters:
        if name.text in seen:
            labels = [Label(seen[name.text], "first")]
            room.broken = True
            room.work.bag.add(error("AUD0233", name.span, labels=labels, name=name.text))
        elif name.text in room.unit.params or name.text in room.inner:
            hidden = room.inner.get(name.text) or room.unit.params.get(name.text)
            labels = [Label(hidden.span, "hidden")] if hidden else []
            room.work.bag.add(warning("AUD0230", room.place(name.span), labels=labels, name=name.text))
        seen.setdefault(name.text, name.span)


def _instances(work: Work, count: int) -> ast.File:
    """Every audience with parameters with every set of arguments that it is called with, each once."""
    done: list[ast.Statement] = []
    while work.waiting:
        instance = work.waiting.pop()
        template = work.templates.get(instance.template)
        if count + len(work.instances) > STATEMENTS_MAX:
            work.bag.add(error("AUD0240", instance.origin.span, limit=STATEMENTS_MAX))
            return _unread()
        name = ast.Name(instance.name, False, instance.origin.span)
        done.append(ast.Bad("audience", name) if template is None else _instance(template, instance, work))
    return ast.File("", tuple(done))


def _instance(template: Template, instance: Instance, work: Work) -> ast.Statement:
    node = template.node
    parameters = [name.text for name in node.parameters]
    inner = dict(zip(parameters, instance.arguments, strict=True))
    room = Room(work, Unit(), inner, instance.origin, strict=False)
    expression = substituted(node.expression, room)
    span = node.name.span
    place = CopySpan(span.path, span.start, span.end, instance.origin)
    name = ast.Name(instance.name, False, place, instance.arguments)
    if room.broken:
        return ast.Bad("audience", replace(name, index=()), place)
    return ast.Audience(name, expression, node.allow_empty, node.description, room.place(node.span))


# --- statements -----------------------------------------------------------------------------------


def _expanded_file(file: ast.File, text: _Text, unit: Unit, items: Sequence[Item], work: Work) -> ast.File:
    done = [one for item in items for one in _expanded(item, unit, work)]
    if any(used is None for used in text.uses.values()) and text.files[0] is file:
        done.append(ast.Bad("", None))
    if len(done) == len(file.statements) and all(new is old for new, old in zip(done, file.statements, strict=True)):
        return file
    return replace(file, statements=tuple(done))


def _expanded(item: Item, unit: Unit, work: Work) -> Iterator[ast.Statement]:
    node = item.statement
    if isinstance(node, ast.Use):
        yield replace(node, alias=replace(node.alias, text=unit.prefix + node.alias.text)) if unit.prefix else node
    elif isinstance(node, ast.Bad):
        name = replace(node.name, text=unit.prefix + node.name.text) if node.name and unit.prefix else node.name
        yield replace(node, name=name) if name is not node.name else node
    elif isinstance(node, ast.Audience) and node.parameters:
        name = substituted(node.name, Room(work, unit, item.inner, item.origin))
        full = replace(name, text=unit.prefix + name.text)
        template = work.templates.get(full.text)
        yield replace(template.node, name=full) if template else ast.Bad("audience", full, node.span)
    else:
        yield from _substituted(item, unit, work)


def _substituted(item: Item, unit: Unit, work: Work) -> Iterator[ast.Statement]:
    node = item.statement
    room = Room(work, unit, item.inner, item.origin)
    before = set(work.seen) if isinstance(node, (ast.Moved, ast.Removed)) else None
    new = substituted(node, room)
    if before is not None:
        # What was is no longer declared.
        for name in work.seen.keys() - before:
            del work.seen[name]
    if not room.broken:
        yield new
        return
    kind = kind_of(node)
    if kind not in _NAMELESS:
        yield ast.Bad(kind, name_of(new), node.span)


# --- indexes that are not there -------------------------------------------------------------------


def _declared(files: Sequence[ast.File]) -> Iterator[str]:
    for file in files:
        for statement in file.statements:
            name = name_of(statement)
            if name is not None:
                yield name.text
            if isinstance(statement, ast.Block):
                yield from (verb.name.text for verb in statement.verbs)


def _unknown_indexes(files: Sequence[ast.File], work: Work) -> ast.File:
    """Names whose index nothing declares are told; the file that comes back declares them all the same."""
    unread = any(isinstance(one, ast.Bad) and one.name is None for file in files for one in file.statements)
    if not work.seen or unread:
        return ast.File("", ())
    declared = set(_declared(files))
    families: dict[str, list[str]] = {}
    for seen in work.seen.values():
        if seen.text in declared:
            families.setdefault(seen.base, []).append(seen.index)
    missing: list[ast.Statement] = []
    for seen in work.seen.values():
        if seen.text not in declared and (seen.base in families or seen.base in declared):
            work.bag.add(_unknown_index(seen, sorted(families.get(seen.base, ()))))
            missing.append(ast.Bad("", ast.Name(seen.text, False, seen.span), seen.span))
    return ast.File("", tuple(missing))


_KNOWN_SHOWN_MAX = 20


def _unknown_index(seen: Seen, known: Sequence[str]) -> Diagnostic:
    near = nearest(seen.index, known)
    shown = tuple(known[:_KNOWN_SHOWN_MAX])
    return error("AUD0239", seen.span, name=seen.base, index=seen.index, near=near, known=shown)
