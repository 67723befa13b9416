"""Text into the smallest pieces that the grammar speaks of, with their places in code points.

One compiled alternation walks the text once. Words stay words: whether `last` is a word of the language
or a name is decided by the parser, which knows what may stand there. Text that cannot be read is a
problem with a code and is stepped over; the lexer never raises and its time grows with the length of
the text. Full-width forms are read as the ASCII that they stand for, after being reported.

Rules: specs/language/01-lexical.md.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from dataclasses import field

from audsql.diag import Diagnostic, Edit, Fact, Fix, error
from audsql.records import dataclass
from audsql.source import Span
from audsql.syntax import moment
from audsql.syntax.ast import Comment
from audsql.syntax.identifiers import identifier_end

__all__ = [
    "REPORTED_MAX",
    "STATEMENT_WORDS",
    "Tokens",
    "escaped",
    "is_plain_name",
    "lex",
    "name_text",
    "string_text",
    "unescaped",
]

# What begins a statement, those of later versions of the language included.
STATEMENT_WORDS = frozenset(
    {
        "account", "upload", "table", "coupon", "codes", "message", "audience", "delivery", "policy", "test",
        "split", "priority", "flow", "param", "for", "use", "moved", "removed",
    }
)  # fmt: skip
# Problems with characters that are reported one by one in a text; more are counted.
REPORTED_MAX = 100
# Quotation marks that may be found open at the end of the text before the rest is given up.
_UNCLOSED_MAX = 20

# Letters, digits and everything outside ASCII, said by what they are not: a class of all of Unicode takes
# `re` milliseconds to compile.
_WORD_STARTS = r"[^\x00-@\[-^`{-\x7f]"
_WORD_GOES_ON = r"[^\x00-/:-@\[-^`{-\x7f]"
_WORD = rf"{_WORD_STARTS}{_WORD_GOES_ON}*+"
_TOKEN = re.compile(
    rf"""[ \t\r\n]*+(?:
      (?P<word>{_WORD})(?P<dashed>(?:-++{_WORD_GOES_ON}++)++)?
    | (?P<mark>\.\.|!=|<=|>=|->|=(?!=)|<(?!>)|>|[{{}}()\[\],:.*])
    | (?P<number>-?[0-9](?:{_WORD_GOES_ON}|\.(?=[0-9])|[-:/](?={_WORD_GOES_ON}))*+)
    | (?P<quote>")
    | (?P<comment>\#[^\n]*+)
    | (?P<backquote>`)
    | (?P<bad>==++|<>|[\x00-\x08\x0b\x0c\x0e-\x1f!$%&'+\-/;?@\\^|~\x7f]++)
    | \Z)""",
    re.VERBOSE,
)
_STRING = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BACKQUOTED = re.compile(r"[^`\r\n]*+`")
_FANCY_STRING = re.compile(r'[^“”＂"\n]*+[“”＂"]')
_FANCY_BACKQUOTED = re.compile(r"[^`｀\n]*+[`｀]")
_QUOTED_ONCE = re.compile(r"'[^'\"\\\r\n]*+'")
_LINE_END = re.compile(r"[\r\n]")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+(?:_[0-9]++)*+)(?:\.[0-9]++(?:_[0-9]++)*+)?")
_DIGITS_MAX = 30
_ESCAPE = re.compile(r'\\(?:(["\\n])|u\{([0-9A-Fa-f]{1,6})\}|(u\{[^"}\s]*\}?|.))', re.DOTALL)
_FULL_WIDTH = re.compile(r"[\uff01-\uff5e　、“”]+")
_TO_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    ord("　"): " ", ord("、"): ",", ord("“"): '"', ord("”"): '"'
}  # fmt: skip
_HIDDEN = re.compile(r"[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]+|\r(?!\n)")
# A line of a string that looks like the project going on: its closing quotation mark was forgotten.
_SWALLOWED = re.compile(
    rf"\n[ \t]*(?:(?:{'|'.join(sorted(STATEMENT_WORDS))})[ \t]+[^\n]*[={{]|\}}|[A-Za-z_]+:[ \t]|verb[ \t])"
)
_INSTEAD = {
    "&": "AND", "&&": "AND", "|": "OR", "||": "OR", "!": "NOT", "-": "EXCEPT", "==": "=", "<>": "!=", "'": '"',
    "--": "#", "//": "#",
}  # fmt: skip


@dataclass(slots=True)
class Tokens:
    """The pieces of one text as three columns, and what was found on the way.

    A kind is `NAME`, `QUOTED` (in backquotes), `STRING`, `NUMBER`, `PERCENT`, `DATETIME`, `CLOCK`, `CODE`
    (looks like a value that needs quotes) or the mark itself. `flat` is the text with every full-width
    form as its ASCII character, so that places are the same in both.
    """

    path: str
    text: str
    flat: str
    kinds: list[str] = field(default_factory=list)
    starts: array[int] = field(default_factory=lambda: array("l"))
    ends: array[int] = field(default_factory=lambda: array("l"))
    comments: list[Comment] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    problem_places: array[int] = field(default_factory=lambda: array("l"))
    fatal_places: list[int] = field(default_factory=list)
    wide_starts: array[int] = field(default_factory=lambda: array("l"))
    wide_ends: array[int] = field(default_factory=lambda: array("l"))
    unreported: int = 0
    _closing: dict[int, int] | None = None

    def word(self, index: int) -> str:
        """The piece as written, full-width forms as ASCII."""
        return self.flat[self.starts[index] : self.ends[index]]

    def span(self, first: int, last: int) -> Span:
        """From the start of one piece to the end of another."""
        return Span(self.path, self.starts[first], self.ends[last])

    def closing_braces(self) -> dict[int, int]:
        """Each opening brace that has a closing one, to it; made once."""
        if self._closing is None:
            self._closing = {}
            opened: list[int] = []
            for index, kind in enumerate(self.kinds):
                if kind == "{":
                    opened.append(index)
                elif kind == "}" and opened:
                    self._closing[opened.pop()] = index
        return self._closing

    def add(self, kind: str, start: int, end: int) -> None:
        self.kinds.append(kind)
        self.starts.append(start)
        self.ends.append(end)

    def count(self, place: int) -> None:
        """One more problem that is not reported on its own."""
        self.problem_places.append(place)
        self.unreported += 1

    def report(
        self, code: str, start: int, end: int, *, fatal: bool = False, fixes: tuple[Fix, ...] = (), **facts: Fact
    ) -> None:
        """Keep a problem, or count it where there are many; `fatal` makes its statement unreadable."""
        if fatal:
            self.fatal_places.append(start)
        if len(self.problems) >= REPORTED_MAX:
            self.count(start)
            return
        self.problem_places.append(start)
        self.problems.append(error(code, Span(self.path, start, end), labels=(), fixes=fixes, **facts))


def lex(path: str, text: str) -> Tokens:
    """All pieces of a text. What cannot be read is in `problems`, in the order of the text."""
    flat = text.translate(_TO_ASCII) if _FULL_WIDTH.search(text) else text
    tokens = Tokens(path, text, flat)
    at = 1 if text.startswith("\ufeff") else 0
    unclosed = 0
    while at >= 0:
        at = _walk(tokens, at)
        if at >= 0:
            unclosed += 1
            at = _unclosed_string(tokens, at) if unclosed <= _UNCLOSED_MAX else -1
    _report_wide(tokens)
    _report_hidden(tokens)
    tokens.problem_places = array("l", sorted(tokens.problem_places))
    tokens.fatal_places.sort()
    tokens.problems.sort(key=lambda problem: problem.sort_key)
    return tokens


def _walk(tokens: Tokens, at: int) -> int:
    """Reads on from `at`; -1 at the end of the text, else the place of a quotation mark with no other."""
    flat, match = tokens.flat, _TOKEN.match
    kinds, starts, ends = tokens.kinds, tokens.starts, tokens.ends
    wide = tokens.flat is not tokens.text
    while True:
        found = match(flat, at)
        kind = found.lastgroup if found else None
        if found is None or kind is None:
            if wide:
                _note_wide(tokens, at, len(flat))
            return -1
        start, end = found.start(1 if kind == "dashed" else kind), found.end()
        if wide:
            _note_wide(tokens, at, start + 1 if kind in ("quote", "comment", "backquote") else end)
        if kind == "mark":
            kinds.append(flat[start:end])
            starts.append(start)
            ends.append(end)
        elif kind == "word" and flat[start:end].isascii():
            kinds.append("NAME")
            starts.append(start)
            ends.append(end)
        elif kind == "quote":
            end = _string(tokens, start)
            if end < 0:
                return start
        else:
            end = _OTHERS[kind](tokens, start, end)
        at = end


# --- one piece each -----------------------------------------------------------------------------


def _word(tokens: Tokens, start: int, end: int) -> int:
    """A run with characters outside ASCII: names as far as they go, and what may not stand in one."""
    at = start
    while at < end:
        stop = identifier_end(tokens.flat, at, end)
        if stop > at:
            tokens.add("NAME", at, stop)
        else:
            stop = at + 1
            while stop < end and identifier_end(tokens.flat, stop, stop + 1) == stop:
                stop += 1
            _bad(tokens, at, stop)
        at = stop
    return end


def _dashed(tokens: Tokens, start: int, end: int) -> int:
    tokens.add("CODE", start, end)
    return end


def _number(tokens: Tokens, start: int, end: int) -> int:
    flat = tokens.flat
    run = flat[start:end]
    if _NUMBER.fullmatch(run) and len(run) <= _DIGITS_MAX:
        percent = flat.startswith("%", end)
        if percent and tokens.flat is not tokens.text:
            _note_wide(tokens, end, end + 1)
        tokens.add("PERCENT" if percent else "NUMBER", start, end + percent)
        return end + percent
    found = moment.read(flat, start, end)
    if found is None:
        tokens.add("CODE", start, end)
        return end
    if tokens.flat is not tokens.text:
        _note_wide(tokens, end, found.end)
    if not found.possible:
        span = Span(tokens.path, start, found.end)
        fixes = (Fix((Edit(span, found.instead),), safe=False),) if found.instead else ()
        facts: dict[str, Fact] = {
            "found": flat[start : found.end],
            "instead": found.instead,
            "last": found.last,
            "late": found.late,
            "other": not (found.instead or found.last or found.late),
        }
        tokens.report("AUD0117", start, found.end, fatal=True, fixes=fixes, **facts)
    tokens.add(found.kind, start, found.end)
    return found.end


def _comment(tokens: Tokens, start: int, end: int) -> int:
    text = tokens.text[start + 1 : end].rstrip()
    tokens.comments.append(Comment(text.removeprefix(" "), Span(tokens.path, start, start + 1 + len(text))))
    return end


def _backquote(tokens: Tokens, start: int, _end: int) -> int:
    pattern = _BACKQUOTED if tokens.text[start] == "`" else _FANCY_BACKQUOTED
    found = pattern.match(tokens.text, start + 1)
    if found is None:
        end = _line_end(tokens.text, start)
        tokens.report("AUD0105", start, start + 1, fatal=True)
    else:
        end = found.end()
        if tokens.text[end - 1] == "｀":
            _note_wide(tokens, end - 1, end)
        if not tokens.text[start + 1 : end - 1].strip():
            tokens.report("AUD0126", start, end, fatal=True)
    tokens.add("QUOTED", start, end)
    return end


def _line_end(text: str, start: int) -> int:
    found = _LINE_END.search(text, start)
    return found.start() if found else len(text)


def _string(tokens: Tokens, start: int) -> int:
    """A string's end, or -1 where it has none."""
    text = tokens.text
    plain = text[start] == '"'
    found = (_STRING if plain else _FANCY_STRING).match(text, start + 1)
    if found is None:
        return -1
    end = found.end()
    if not plain:
        _note_wide(tokens, end - 1, end)
    if "\\" in found.group():
        _check_escapes(tokens, start, end)
    tokens.add("STRING", start, end)
    return end


def _check_escapes(tokens: Tokens, start: int, end: int) -> None:
    for escape in _ESCAPE.finditer(tokens.text, start + 1, end - 1):
        if escape.group(3) is None and _character(escape.group(2)) is not None:
            continue
        first = escape.start()
        written = tokens.text[first : escape.end()]
        double = Fix((Edit(Span(tokens.path, first, first + 1), "\\\\"),), safe=False)
        tokens.report("AUD0104", first, escape.end(), fixes=(double,), found=written)


def _character(digits: str | None) -> str | None:
    """The character of `\\u{…}`; empty for another escape; None where Unicode has no such character."""
    if digits is None:
        return ""
    code = int(digits, 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else None


def _bad(tokens: Tokens, start: int, end: int) -> int:
    """A run of characters that stand for nothing: one problem."""
    if len(tokens.problems) >= REPORTED_MAX:
        tokens.count(start)
        return end
    if tokens.text[start] == "'" and (close := _QUOTED_ONCE.match(tokens.text, start)):
        return _single_quoted(tokens, start, close.end())
    run = tokens.flat[start:end]
    instead = _INSTEAD.get(run)
    blank = run.isspace() or run == "\ufeff"
    other = not instead and not blank
    fixes: tuple[Fix, ...] = ()
    if blank or instead:
        fixes = (Fix((Edit(Span(tokens.path, start, end), " " if blank else f"{instead}"),), safe=blank),)
    shown = _short(run if run.isprintable() and not blank else None)
    point = f"U+{ord(run[0]):04X}"
    facts: dict[str, Fact] = {"found": shown, "point": point, "instead": instead, "blank": blank, "other": other}
    tokens.report("AUD0102", start, end, fatal=False, fixes=fixes, **facts)
    return end


def _single_quoted(tokens: Tokens, start: int, end: int) -> int:
    """Text in single quotes: one problem, read on as the text that it is meant to be."""
    marks = ((start, start + 1), (end - 1, end))
    edits = tuple(Edit(Span(tokens.path, first, last), '"') for first, last in marks)
    repair = (Fix(edits, safe=False),)
    facts: dict[str, Fact] = {"found": "'", "point": "U+0027", "instead": '"', "blank": False, "other": False}
    tokens.report("AUD0102", start, end, fatal=False, fixes=repair, **facts)
    tokens.add("STRING", start, end)
    return end


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= 12 else f"{text[:11]}…"


_OTHERS = {
    "word": _word,
    "dashed": _dashed,
    "number": _number,
    "comment": _comment,
    "backquote": _backquote,
    "bad": _bad,
}


# --- an open quotation mark ---------------------------------------------------------------------


def _unclosed_string(tokens: Tokens, start: int) -> int:
    """Reports the string that has no end, forgets what was read after it, and gives where to read on.

    A forgotten mark shows only at the end of the text, where an odd one is left. The culprit is the
    first string that swallowed what looks like the project going on.
    """
    text = tokens.text
    kinds, starts, ends = tokens.kinds, tokens.starts, tokens.ends
    swallowing = (index for index in range(len(kinds)) if kinds[index] == "STRING")
    first = next((index for index in swallowing if _SWALLOWED.search(text, starts[index], ends[index])), None)
    if first is not None:
        start = starts[first]
        del kinds[first:], starts[first:], ends[first:]
    _forget_after(tokens, start)
    end = _line_end(text, start)
    tokens.report("AUD0103", start, end, fatal=True)
    tokens.add("STRING", start, end)
    return end


def _forget_after(tokens: Tokens, start: int) -> None:
    """Removes comments and problems after a place from which the text is read again."""
    while tokens.comments and tokens.comments[-1].span.start > start:
        tokens.comments.pop()
    tokens.problems = [problem for problem in tokens.problems if problem.span and problem.span.start < start]
    tokens.problem_places = array("l", (place for place in tokens.problem_places if place < start))
    tokens.fatal_places = [place for place in tokens.fatal_places if place < start]
    while tokens.wide_starts and tokens.wide_starts[-1] > start:
        tokens.wide_starts.pop()
        tokens.wide_ends.pop()


# --- full-width forms and hidden characters -----------------------------------------------------


def _note_wide(tokens: Tokens, start: int, end: int) -> None:
    """Keeps the full-width forms of a stretch that is neither string, comment nor backquoted."""
    for found in _FULL_WIDTH.finditer(tokens.text, start, end):
        first, last = found.span()
        if tokens.wide_ends and tokens.wide_ends[-1] == first:
            tokens.wide_ends[-1] = last
        else:
            tokens.wide_starts.append(first)
            tokens.wide_ends.append(last)


def _report_wide(tokens: Tokens) -> None:
    closing = _closing_marks(tokens)
    closes = set(closing.values())
    for first, last in zip(tokens.wide_starts, tokens.wide_ends, strict=True):
        if (first, last) in closes:
            continue
        if len(tokens.problems) >= REPORTED_MAX:
            tokens.count(first)
            continue
        written, ascii_text = tokens.text[first:last], tokens.flat[first:last]
        places = [(first, last), *([closing[first, last]] if (first, last) in closing else [])]
        repair = Fix(tuple(Edit(Span(tokens.path, at, end), tokens.flat[at:end]) for at, end in places))
        found = _short(written.replace("　", " ").strip()) or None
        instead = _short(ascii_text.strip()) or None
        point = f"U+{ord(written[0]):04X}"
        tokens.report(
            "AUD0101", first, last, fixes=(repair,), found=found, point=point, instead=instead, blank=not instead
        )


def _closing_marks(tokens: Tokens) -> dict[tuple[int, int], tuple[int, int]]:
    """The full-width mark that closes a text, by the one that opens it: the two are one mistake."""
    marks = set(zip(tokens.wide_starts, tokens.wide_ends, strict=True))
    if not marks:
        return {}
    strings = ((s, e) for kind, s, e in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True) if kind == "STRING")
    pairs = (((start, start + 1), (end - 1, end)) for start, end in strings)
    return {opens: closes for opens, closes in pairs if opens in marks and closes in marks and opens != closes}


def _report_hidden(tokens: Tokens) -> None:
    """Characters that make a text look different from what it says, wherever they stand."""
    for found in _HIDDEN.finditer(tokens.text):
        start, end = found.span()
        away = Fix((Edit(Span(tokens.path, start, end), "\n" if found.group() == "\r" else ""),), safe=False)
        point = f"U+{ord(found.group()[0]):04X}"
        tokens.report("AUD0125", start, end, fatal=True, fixes=(away,), point=point)


# --- what a piece says --------------------------------------------------------------------------


def name_text(bare: str) -> str:
    """A name as it counts, from its text without backquotes: NFC-normalised."""
    return bare if bare.isascii() else unicodedata.normalize("NFC", bare)


def string_text(written: str) -> str:
    """What a string with its quotation marks says; CRLF inside counts as one new line."""
    inner = written[1:-1] if len(written) > 1 and written.endswith('"') else written[1:]
    if "\r" in inner:
        inner = inner.replace("\r\n", "\n")
    return unescaped(inner) if "\\" in inner else inner


def unescaped(text: str) -> str:
    """A text with every escape as what it stands for."""
    return _ESCAPE.sub(_unescape, text)


def _unescape(escape: re.Match[str]) -> str:
    if escape.group(1):
        return "\n" if escape.group(1) == "n" else escape.group(1)
    return (_character(escape.group(2)) if escape.group(2) else None) or escape.group()


def escaped(text: str) -> str:
    """A string with quotation marks, on one line, that says `text`."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    hidden = re.sub(r"[\x00-\x08\x0b-\x1f\x7f\r\u2028\u2029]|" + _HIDDEN.pattern, _as_code_points, inner)
    return f'"{hidden}"'


def _as_code_points(found: re.Match[str]) -> str:
    return "".join(f"\\u{{{ord(character):x}}}" for character in found.group())


def is_plain_name(text: str) -> bool:
    """Whether a name may be written without backquotes (words of the language aside)."""
    if text.isascii():
        return text.isidentifier()
    if _FULL_WIDTH.search(text):
        return False
    return identifier_end(text, 0, len(text)) == len(text)
