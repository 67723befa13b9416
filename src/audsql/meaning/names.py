"""Names: what a project declares, which words cannot be declared, and the nearest name to a misspelt one.

Uploads, tables, verbs, audiences, deliveries and messages share one name space; accounts and policies
have one of their own each (specs/language/03-names.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from audsql.diag import Bag, Diagnostic, Fix, Label, error, fix
from audsql.near import nearest
from audsql.records import dataclass
from audsql.source import Span, made_often
from audsql.syntax import ast
from audsql.syntax.text import name_text

__all__ = [
    "ATTRIBUTES", "BUILT_IN", "REMOTE_KINDS", "Symbol", "Symbols", "declare", "fix_near", "is_unit", "nearest",
    "unknown_parameter", "written",
]  # fmt: skip

# The calls that find an audience in LINE by its name, and LINE's type for each (specs/line.md).
REMOTE_KINDS: Mapping[str, str] = {
    "app_event": "APP_EVENT",
    "chat_tag": "CHAT_TAG",
    "friend_path": "FRIEND_PATH",
    "image_clicked": "IMAGE_CLICK",
    "reserved": "RESERVATION",
    "rich_menu_clicked": "RICHMENU_CLICK",
    "rich_menu_seen": "RICHMENU_IMP",
    "shared": "SHARED",
    "video_viewed": "VIDEO_VIEW",
    "web_traffic": "WEBTRAFFIC",
}
ATTRIBUTES = ("age", "area", "friend_for", "gender", "os")
BUILT_IN = tuple(
    sorted({*REMOTE_KINDS, *ATTRIBUTES, "clicked", "opened", "received", "uploaded", "linked", "sample", "lookalike"})
)
_NEVER_DECLARED = {"reach", "change", "freshness", "friends", "count", "otherwise", *BUILT_IN}
_OPERATOR_WORDS = {"and", "or", "not", "except"}


@made_often
@dataclass(frozen=True, slots=True)
class Symbol:
    """A declared name. `kind` is the word of its statement. `broken`: its contents are unknown."""

    kind: str
    name: str
    span: Span
    node: ast.Statement | ast.Verb
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Symbols:
    """All declarations by name, the first of each name."""

    names: Mapping[str, Symbol]
    accounts: Mapping[str, Symbol]
    policies: Mapping[str, Symbol]
    unread: frozenset[str] = frozenset()
    """Kinds of names that statements which could not be read may declare, '' for any kind."""

    def may_be_unread(self, *kinds: str) -> bool:
        """Whether an unknown name of these kinds may stand in a statement that could not be read."""
        return not self.unread.isdisjoint((*kinds, ""))

    def get(self, name: str) -> Symbol | None:
        return self.names.get(name)

    def of_kind(self, *kinds: str) -> tuple[str, ...]:
        """The names of these kinds, sorted."""
        return tuple(sorted(name for name, symbol in self.names.items() if symbol.kind in kinds))


def declare(files: Iterable[ast.File], bag: Bag) -> Symbols:
    """Collect the declarations of all files; later ones of the same name are errors."""
    names: dict[str, Symbol] = {}
    accounts: dict[str, Symbol] = {}
    policies: dict[str, Symbol] = {}
    spaces = {"account": accounts, "policy": policies}
    for symbol in _declarations(files):
        space = spaces.get(symbol.kind, names)
        first = space.get(symbol.name)
        if first is not None:
            bag.add(error("AUD0202", symbol.span, labels=[Label(first.span, "first")], name=symbol.name))
            if first.kind != symbol.kind:
                # Which of the two a use means is open: uses say nothing more.
                space[symbol.name] = replace(first, broken=True)
            continue
        if symbol.name in _NEVER_DECLARED or symbol.name.casefold() in _OPERATOR_WORDS:
            bag.add(error("AUD0203", symbol.span, name=symbol.name))
        space[symbol.name] = symbol
    return Symbols(names, accounts, policies, frozenset(_unread(files)))


_KINDS = {
    "account", "audience", "codes", "coupon", "delivery", "flow", "message", "policy", "split", "table", "test",
    "upload",
}  # fmt: skip


def _unread(files: Iterable[ast.File]) -> Iterator[str]:
    for file in files:
        for statement in file.statements:
            if not isinstance(statement, ast.Bad):
                continue
            if statement.kind == "table":
                yield "verb"
            if statement.name is None:
                yield statement.kind if statement.kind in _KINDS else ""


def _declarations(files: Iterable[ast.File]) -> Iterator[Symbol]:
    for file in sorted(files, key=lambda file: file.path):
        for statement in file.statements:
            yield from _symbols_of(statement)


def _symbols_of(statement: ast.Statement) -> Iterator[Symbol]:
    match statement:
        case ast.Block(kind=kind, name=name):
            yield Symbol(kind, name.text, name.span, statement)
            for verb in statement.verbs:
                yield Symbol("verb", verb.name.text, verb.name.span, verb)
        case ast.Audience(name=name):
            yield Symbol("audience", name.text, name.span, statement)
        case ast.Split(name=name):
            yield Symbol("split", name.text, name.span, statement)
        case ast.Flow(name=name):
            yield Symbol("flow", name.text, name.span, statement)
        case ast.Parameter(name=name):
            yield Symbol("param", name.text, name.span, statement)
        case ast.Use(alias=alias):
            yield Symbol("use", alias.text, alias.span, statement)
        case ast.Policy(name=name):
            yield Symbol("policy", name.text, name.span, statement)
        case ast.Bad(kind=kind, name=name) if name is not None:
            yield Symbol(kind, name.text, name.span, statement, broken=True)
        case _:
            return


# --- did you mean ---------------------------------------------------------------------------------


def fix_near(span: Span, near: str | None) -> tuple[Fix, ...]:
    """A fix that writes the near name; it changes meaning, so it is never applied unseen."""
    return (fix(span, written(near), safe=False, key="near"),) if near else ()


def unknown_parameter(word: ast.Word) -> Diagnostic:
    """A word that is still in the place of a number, a date, a duration or a percentage names no parameter."""
    unit = is_unit(word.text)
    return error("AUD0225", word.span, name=word.text, near=None, unit=unit, value=not unit)


_UNITS = frozenset({"minute", "minutes", "hour", "hours", "day", "days", "week", "weeks"})


def is_unit(word: str) -> bool:
    """Whether the word is the unit of a duration, as in `last days` without its number."""
    return word.lower() in _UNITS


def written(name: str) -> str:
    """A name as it is written: in backquotes where it is no identifier."""
    return name_text(ast.Name(name))
