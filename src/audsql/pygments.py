"""The Pygments lexer of audsql, for pages and documents.

Pygments finds it by the entry point `pygments.lexers`; nothing of audsql imports this module, so Pygments
is needed only where something is coloured by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pygments.lexer import RegexLexer
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String, Text, Token

from audsql.highlight import RULES, STRING_RULES

__all__ = ["TOKENS", "AudsqlLexer"]

TOKENS: Mapping[str, Any] = {
    "comment": Comment.Single,
    "string": String.Double,
    "escape": String.Escape,
    "bad_escape": Error,
    "quoted": Name.Variable,
    "wide": Error,
    "bad": Error,
    "statement": Keyword.Declaration,
    "operator": Operator.Word,
    "word": Keyword,
    "unit": Keyword.Constant,
    "type": Keyword.Type,
    "key": Name.Attribute,
    "atom": Name.Builtin,
    "call": Name.Function,
    "date": Token.Literal.Date,
    "percent": Number.Float,
    "number": Number,
    "name": Name,
    "compare": Operator,
    "mark": Punctuation,
}
"""Kinds of `audsql.highlight`, each with its token."""


class AudsqlLexer(RegexLexer):
    """Specs of audsql: `.aud` files."""

    name = "audsql"
    aliases: ClassVar[list[str]] = ["audsql", "aud"]
    filenames: ClassVar[list[str]] = ["*.aud"]
    tokens: ClassVar[dict[str, list[Any]]] = {
        "root": [
            (r"\s+", Text.Whitespace),
            (RULES[0].pattern, TOKENS[RULES[0].kind]),
            ('"', TOKENS["string"], "string"),
            *((rule.pattern, TOKENS[rule.kind]) for rule in RULES[1:]),
        ],
        "string": [
            ('"', TOKENS["string"], "#pop"),
            *((rule.pattern, TOKENS[rule.kind]) for rule in STRING_RULES),
            (r'[^"\\]+', TOKENS["string"]),
            (r"\\", TOKENS["bad_escape"]),
        ],
    }
