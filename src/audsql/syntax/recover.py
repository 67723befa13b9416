"""Where a statement begins: for going on behind one that could not be read.

Rule: syntax.recovery of specs/language/02-syntax.md.
"""

from __future__ import annotations

from audsql.near import nearest
from audsql.syntax.lex import STATEMENT_WORDS, Tokens

__all__ = ["begins_line", "begins_statement", "next_statement", "probable_head", "statement_head"]

_NAMES = ("NAME", "QUOTED", "CODE")
# What follows the first word of each statement; a word of the text itself is given in lower case.
_HEADS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "account": (_NAMES, ("{", "[")),
    "upload": (_NAMES, ("{", "[")),
    "table": (_NAMES, ("{", "[")),
    "coupon": (_NAMES, ("{", "[")),
    "codes": (_NAMES, ("{", "[")),
    "message": (_NAMES, ("{", "[")),
    "delivery": (_NAMES, ("{", "[")),
    "policy": (_NAMES, ("{", "[")),
    "flow": (_NAMES, ("{", "[")),
    "removed": (_NAMES, ("{", "[", ".")),
    "audience": (_NAMES, ("=", "(", "[")),
    "test": (("STRING",), ("{",)),
    "param": (_NAMES, (":",)),
    "moved": (_NAMES, ("->", "[", ".")),
    "split": (_NAMES, ("of", "[")),
    "for": (_NAMES, ("in",)),
    "use": (("STRING",), ("as",)),
}

# Words that go on with a statement behind a name at the beginning of a line.
_ITEM_WORDS = frozenset(
    {
        "allow", "always", "branch", "by", "cap", "column", "disjoint", "exit", "expect", "given", "in", "is", "latest",
        "otherwise", "prove", "quiet", "require", "salt", "send", "start", "trigger", "verb", "via", "wait", "within",
    }
)  # fmt: skip
_OPERATORS = frozenset({"AND", "OR", "EXCEPT", "NOT"})


def begins_line(tokens: Tokens, index: int) -> bool:
    """Whether a piece is the first of its line."""
    return index == 0 or tokens.flat.find("\n", tokens.ends[index - 1], tokens.starts[index]) >= 0


def statement_head(tokens: Tokens, index: int) -> bool:
    """Whether a line begins here that nothing but a statement can begin with: `upload x {`."""
    word = tokens.word(index)
    if word not in STATEMENT_WORDS or index + 1 >= len(tokens.kinds) or not begins_line(tokens, index):
        return False
    second = tokens.kinds[index + 1]
    if word == "priority":
        return second == "["
    names, marks = _HEADS[word]
    if second not in names or index + 2 >= len(tokens.kinds):
        return False
    third = tokens.kinds[index + 2]
    return (tokens.word(index + 2) if third == "NAME" else third) in marks


def probable_head(tokens: Tokens, index: int) -> bool:
    """Whether a statement probably begins here: asked only where reading on has failed."""
    if statement_head(tokens, index):
        return True
    word = tokens.word(index)
    if word in STATEMENT_WORDS:
        if not begins_line(tokens, index):
            return False
        # A word in the first column begins a statement even where its name is missing.
        return _names_something(tokens, index + 1) or (_unindented(tokens, index) and _opens(tokens, index + 1))
    if word in _ITEM_WORDS or not _nearly_head(tokens, index):
        return False
    return nearest(word, sorted(STATEMENT_WORDS)) is not None


def _unindented(tokens: Tokens, index: int) -> bool:
    start = tokens.starts[index]
    return start == 0 or tokens.flat[start - 1] == "\n"


def _opens(tokens: Tokens, index: int) -> bool:
    return index < len(tokens.kinds) and tokens.kinds[index] in ("=", "{", "STRING")


def _names_something(tokens: Tokens, index: int) -> bool:
    """Whether the piece can only be the name that a statement declares."""
    kinds = tokens.kinds
    if index >= len(kinds) or kinds[index] != "NAME":
        return index < len(kinds) and kinds[index] in ("QUOTED", "CODE")
    word = tokens.word(index)
    is_key = index + 1 < len(kinds) and kinds[index + 1] == ":"
    return not is_key and word not in _ITEM_WORDS and word.upper() not in _OPERATORS


def _nearly_head(tokens: Tokens, index: int) -> bool:
    """Whether this looks like a statement whose first word is misspelt: `adience x =`."""
    kinds = tokens.kinds
    if index + 2 >= len(kinds) or kinds[index + 2] not in ("=", "{"):
        return False
    return kinds[index + 1] in ("NAME", "QUOTED", "STRING") and begins_line(tokens, index)


def begins_statement(tokens: Tokens, index: int) -> bool:
    """Whether the next statement may begin at this piece, behind a complete one."""
    if tokens.kinds[index] != "NAME":
        return False
    return tokens.word(index) in STATEMENT_WORDS or _nearly_head(tokens, index)


def next_statement(tokens: Tokens, index: int, depth: int, *, inside: bool = False) -> int:
    """The first piece from `index` on at which reading can go on; `depth` braces are open there.

    `inside`: the brace that closes the `for` around is such a piece.
    """
    kinds = tokens.kinds
    for at in range(index, len(kinds)):
        kind = kinds[at]
        if kind == "{":
            depth += 1
        elif kind == "}":
            if inside and depth == 0:
                return at
            depth = max(0, depth - 1)
        elif kind == "NAME" and _can_go_on(tokens, at, depth):
            return at
    return len(kinds)


def _can_go_on(tokens: Tokens, at: int, depth: int) -> bool:
    if tokens.word(at) in STATEMENT_WORDS:
        if depth == 0 and (at == 0 or tokens.kinds[at - 1] == "}" or begins_line(tokens, at)):
            return True
        return probable_head(tokens, at)
    return probable_head(tokens, at) or (depth == 0 and _nearly_head(tokens, at))
