"""Messages filled in for one person after the other: LINE's objects with templates for strings, compiled once.

The structure is fixed, so a rendering is the same JSON with other strings in it, and only these strings and the sizes
that they change have to be looked at again. What looks doubtful is judged whole, by the rules that judge every message.
Rules: specs/language/05-statements.md, `messages.filled`; specs/line.md, `line.message.*`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any
from zoneinfo import ZoneInfo

from audsql.diag import Bag, Diagnostic, error
from audsql.line.limits import FLEX_BUBBLE_BYTES_MAX
from audsql.line.message_rules import MESSAGE, StringRule, Walk, utf16_length
from audsql.line.messages import check_message, text_message
from audsql.line.recipient import canonical_json
from audsql.meaning.ir import Message, TemplateField
from audsql.meaning.rendering import Template, TooLong, Values, compile_template, is_template
from audsql.meaning.templates import check_texts
from audsql.records import dataclass

__all__ = ["Filling", "Illegal", "check_filling", "compile_filling", "joined", "objects_of_template"]

_UTF8_BYTES_MAX = 4  # of a character
_TEXTS_MAX = 200_000  # characters of all strings of a message
_SAMPLE = "x"
# What needs no further look: any such link has a host, and no blank or bracket in it.
_USUAL_LINK = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]*(?:[/?#][!-Z^-~]*)?")


class Illegal(Exception):
    """A rendering that LINE would refuse: the place of the string, the code of what is wrong, the columns in it."""

    def __init__(self, path: str, code: str, columns: tuple[str, ...]) -> None:
        super().__init__(code)
        self.path, self.code, self.columns = path, code, columns


@dataclass(frozen=True, slots=True)
class _Slot:
    """A string that is a template, and what LINE asks of it."""

    path: str
    template: Template
    rules: tuple[StringRule, ...]


@dataclass(frozen=True, slots=True)
class Filling:
    """A compiled message. `fields` in the order in which values are given. `strings` gives the strings of one person,
    spelled as JSON, for the values of that person; it raises `rendering.Missing` and Illegal. Between `literals`, one
    more than there are strings, they are the message objects as canonical JSON, without the brackets of a list.
    `columns`: those that a template names; `compared`: what they are compared with in conditions."""

    name: str
    fields: tuple[TemplateField, ...]
    literals: tuple[str, ...]
    strings: Callable[[Values], list[str]]
    columns: frozenset[str]
    compared: tuple[tuple[str, str | Decimal], ...] = ()

    def render(self, values: Values) -> str:
        """The message objects of one person as canonical JSON, `{…},{…}`. Raises as `strings`."""
        return joined(self.literals, self.strings(values))


def joined(literals: Sequence[str], strings: Sequence[str]) -> str:
    """literal, string, literal, …, literal."""
    pieces = [""] * (2 * len(strings) + 1)
    pieces[::2] = literals
    pieces[1::2] = strings
    return "".join(pieces)


def objects_of_template(message: Message, objects: Sequence[Mapping[str, Any]] = ()) -> tuple[dict[str, Any], ...]:
    """The message objects of a personal message with its templates in their places: those of its file, or a text."""
    if message.template is not None:
        return (text_message(message.template),)
    return tuple(dict(one) for one in objects)


def compile_filling(message: Message, objects: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> Filling:
    """A personal message that was found legal. `objects` with the templates in place. Raises ValueError otherwise."""
    given = list(objects)
    paths = [(path, text) for path, text in _strings(given, "") if is_template(text)]
    rules, _, _ = _asked(message.name, given)
    slots = [
        _Slot(path, compile_template(text, message.fields, zone), tuple(dict.fromkeys(rules.get(path, ()))))
        for path, text in paths
    ]
    literals = _literals(given)
    return Filling(
        message.name,
        message.fields,
        literals,
        _renderer(message.name, given, slots, literals),
        frozenset(name for slot in slots for name in slot.template.columns),
        tuple(dict.fromkeys(pair for slot in slots for pair in slot.template.literals)),
    )


def check_filling(message: Message, objects: Sequence[Mapping[str, Any]]) -> tuple[Diagnostic, ...]:
    """What is wrong with the objects of a personal message's file, whoever gets it: templates that cannot be read,
    words of LINE's that are templates, everything that does not depend on a person. Codes: AUD1121 to AUD1127,
    AUD1133, AUD1101 to AUD1117."""
    bag, given = Bag(), list(objects)
    templates = [(path, text) for path, text in _strings(given, "") if is_template(text)]
    if message.span is not None:
        check_texts(message.name, templates, message.span, message.fields, bag)
    _, fixed, found = _asked(message.name, given)
    told = [error("AUD1133", message.span, message=message.name, path=path) for path, _ in templates if path in fixed]
    paths = {path for path, _ in templates}
    about = [replace(one, span=message.span) for one in found if dict(one.facts).get("path") not in paths]
    return (*bag.items, *told, *about)


# --- what LINE asks of each string ------------------------------------------------------------------


def _asked(
    name: str, objects: list[Mapping[str, Any]]
) -> tuple[dict[str, list[StringRule]], set[str], tuple[Diagnostic, ...]]:
    """The rules of each string by path, which are words of LINE's, and what is wrong with templates as samples."""
    sample = _mapped(objects, lambda path, text: _SAMPLE if is_template(text) else text)
    found = check_message(sample, None, name)
    if any(one.code in ("AUD1111", "AUD1102") for one in found):
        return {}, set(), found
    walk = Walk(name, None, strings={})
    for index, entry in enumerate(sample):
        MESSAGE(walk, entry, f"[{index}]")
    # A word of LINE's that is not known is warned of, and the sample is none: `check_filling` says it otherwise.
    return walk.strings or {}, walk.fixed, tuple(one for one in found if one.code not in ("AUD1108", "AUD1109"))


def _strings(value: Any, path: str) -> list[tuple[str, str]]:
    """Every string that is a value, by path, in the order of canonical JSON."""
    found: list[tuple[str, str]] = []

    def note(where: str, text: str) -> str:
        found.append((where, text))
        return text

    _mapped(value, note, path)
    return found


def _mapped(value: Any, change: Callable[[str, str], str], path: str = "") -> Any:
    """The same with other strings. As deep as the message, which is bounded where it is read."""
    if isinstance(value, str):
        return change(path, value)
    if isinstance(value, Mapping):
        return {key: _mapped(value[key], change, f"{path}.{key}" if path else key) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_mapped(one, change, f"{path}[{index}]") for index, one in enumerate(value)]
    return value


# --- rendering --------------------------------------------------------------------------------------


def _literals(objects: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """The JSON around the templates."""
    whole = canonical_json(objects).decode("utf-8")
    mark, number = "\x01hole", 0
    while json.dumps(mark)[1:-1] in whole:
        mark, number = f"\x01hole{number}", number + 1
    holed = canonical_json(_mapped(objects, lambda _, text: mark if is_template(text) else text)).decode("utf-8")
    return tuple(holed[1:-1].split(json.dumps(mark)))


def _renderer(
    name: str, objects: list[Mapping[str, Any]], slots: Sequence[_Slot], literals: tuple[str, ...]
) -> Callable[[Values], list[str]]:
    shows = [(slot, slot.template.render, _quick(slot)) for slot in slots]
    # What is counted in all of them at once: what emoji stand in, and how large a bubble gets.
    whole = any("emojis" in one for one in objects)
    room = _TEXTS_MAX
    if any(one.get("type") == "flex" for one in objects):
        room = (FLEX_BUBBLE_BYTES_MAX - len("".join(literals).encode("utf-8"))) // _UTF8_BYTES_MAX

    def strings(values: Values) -> list[str]:
        found, doubtful, left = [], whole, room
        for slot, show, is_sound in shows:
            try:
                text = show(values)
            except TooLong as long:
                raise _too_long(slot, long.column) from None
            doubtful = doubtful or not is_sound(text)
            found.append(encode_basestring(text))
            left -= len(found[-1])
            if left < -_TEXTS_MAX:
                raise _too_long(slot, "")
        if doubtful or left < 0:
            _judge(name, joined(literals, found), slots)
        return found

    return strings


def _too_long(slot: _Slot, column: str) -> Illegal:
    return Illegal(slot.path, "AUD1105", (column,) if column else tuple(sorted(slot.template.columns)))


def _quick(slot: _Slot) -> Callable[[str], bool]:
    """Whether a string is certainly what LINE asks for; where it is not certain, everything is looked at."""
    limit = min((rule.limit for rule in slot.rules), default=None)
    may_be_empty = all(rule.may_be_empty for rule in slot.rules)
    links = [rule.link for rule in slot.rules if rule.link is not None]
    usual = _USUAL_LINK if all(_finds_nothing(link, "https://a.example/") for link in links) else None
    if limit is None:
        return _has_form

    def is_sound(text: str) -> bool:
        if len(text) > limit or (len(text) * 2 > limit and utf16_length(text) > limit):
            return False
        if not may_be_empty and (not text or text.isspace()):
            return False
        if not _has_form(text):
            return False
        if not links or (usual is not None and usual.fullmatch(text)):
            return True
        return all(_finds_nothing(link, text) for link in links)

    return is_sound


def _finds_nothing(check: Callable[[Walk, object, str], None], text: str) -> bool:
    walk = Walk("", None)
    check(walk, text, "")
    return not walk.found


def _has_form(text: str) -> bool:
    """Whether a text can be sent: no half characters, no NUL."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _judge(name: str, found: str, slots: Sequence[_Slot]) -> None:
    """Raise Illegal for what LINE would refuse."""
    for one in check_message(json.loads(f"[{found}]"), None, name):
        if one.severity == "error":
            path = str(dict(one.facts).get("path", ""))
            columns = {name for slot in slots if slot.path == path for name in slot.template.columns}
            if not columns:
                columns = {name for slot in slots if slot.path.startswith(path) for name in slot.template.columns}
            raise Illegal(path, one.code, tuple(sorted(columns)))
