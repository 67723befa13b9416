"""How a text is coloured: one ordered list of patterns, for editors and for pages.

At each place the first pattern that matches wins. A word of the language is coloured by what stands beside
it on its line, since colouring has no parser: `last` before a duration, `people` behind a number. The
patterns stay within what Python's `re` and Oniguruma (the engine of TextMate grammars) read alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["RULES", "SCOPES", "STRING_RULES", "Rule", "textmate_text"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern and the kind of what it matches, a key of `SCOPES`."""

    kind: str
    pattern: str


SCOPES: Mapping[str, str] = {
    "comment": "comment.line.number-sign.audsql",
    "string": "string.quoted.double.audsql",
    "escape": "constant.character.escape.audsql",
    "bad_escape": "invalid.illegal.escape.audsql",
    "quoted": "variable.other.quoted.audsql",
    "wide": "invalid.illegal.full-width.audsql",
    "bad": "invalid.illegal.character.audsql",
    "statement": "keyword.declaration.audsql",
    "operator": "keyword.operator.set.audsql",
    "word": "keyword.other.audsql",
    "unit": "keyword.other.unit.audsql",
    "type": "storage.type.audsql",
    "key": "variable.parameter.key.audsql",
    "atom": "support.function.audsql",
    "call": "entity.name.function.audsql",
    "date": "constant.other.date.audsql",
    "percent": "constant.numeric.percent.audsql",
    "number": "constant.numeric.audsql",
    "name": "variable.other.audsql",
    "compare": "keyword.operator.comparison.audsql",
    "mark": "punctuation.audsql",
}
"""Kinds, each with its scope in editors."""

_LABEL = r"(?:\w+|`[^`]*`)(?:\[[^\]]*\])?"
# What may follow a word that a value or a set follows.
_NEXT = r"[ \t]+[\w`\"(]"
_TYPE = "(?:string|number|date|duration|percent|list)"
_ATOMS = (
    "uploaded|linked|sample|lookalike|clicked|opened|received|age|area|friend_for|gender|os|app_event|chat_tag"
    "|friend_path|image_clicked|reserved|rich_menu_clicked|rich_menu_seen|shared|video_viewed|web_traffic"
)


def _word(pattern: str) -> str:
    """A pattern that begins and ends where words do."""
    return rf"(?<![\w`])(?:{pattern})(?!\w)"


RULES: tuple[Rule, ...] = (
    Rule("comment", r"#[^\n]*"),
    Rule("quoted", r"`[^`\r\n]*`"),
    # A full-width form stands for nothing outside strings, comments and backquotes.
    Rule("wide", r"[！-～　、“”]+"),
    Rule("date", r"(?<![\w.])[0-9]{4}-[0-9]{2}-[0-9]{2}(?:(?:[ \t]+|T)[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?"
         r"(?:[ \t]*(?:Z|[+-][0-9]{2}:[0-9]{2}))?)?"),
    Rule("date", r"(?<!\w)[0-9]{1,2}:[0-9]{2}(?!\w)"),
    Rule("percent", r"(?<!\w)-?[0-9][0-9_]*(?:\.[0-9][0-9_]*)?%"),
    Rule("number", r"(?<!\w)-?[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?!\w)"),
    Rule("unit", r"(?<=[0-9][ \t])(?:minutes?|hours?|days?|weeks?)(?!\w)"),
    Rule("word", r"(?<=[0-9.][ \t])people(?!\w)"),
    # Statements: where the line goes on as a statement does, or where it has only begun.
    Rule("statement", _word(rf"(?:account|upload|message|delivery|table|policy|flow|coupon|codes)"
         rf"(?=[ \t]+{_LABEL}[ \t]*\{{)")),
    Rule("statement", _word(rf"audience(?=[ \t]+{_LABEL}[ \t]*[=(])")),
    Rule("statement", _word(r"test(?=[ \t]+\")")),
    Rule("statement", _word(r"use(?=[ \t]+\")")),
    Rule("statement", _word(r"param(?=[ \t]+[\w`]+[ \t]*:)")),
    Rule("statement", _word(rf"split(?=[ \t]+{_LABEL}[ \t]+of(?!\w))")),
    Rule("statement", _word(r"priority(?=[ \t]*\[)")),
    Rule("statement", _word(r"(?:moved|removed)(?=[ \t]+[\w`])")),
    Rule("statement", _word(r"for(?=[ \t]+[\w`]+[ \t]+in(?!\w))")),
    Rule("statement", r"^(?:account|upload|message|delivery|table|policy|flow|coupon|codes|audience|test|use|param"
         r"|split|priority|moved|removed)(?=[ \t]*(?:$|[\w`]+[ \t]*$))"),
    Rule("type", rf"(?<=:[ \t]){_TYPE}(?=[ \t]*(?:$|[=,}}#]|[ \t](?:column|\w+:)))"),
    Rule("type", rf"(?<=:){_TYPE}(?=[ \t]*(?:$|[=,}}#]))"),
    Rule("word", r"(?<=:[ \t])codes(?=[ \t]+[\w`])"),
    Rule("word", r"(?<=reentry:[ \t])(?:never|always|after)(?!\w)"),
    Rule("word", _word(r"column(?=[ \t]+[\w`]+[ \t]*:)")),
    Rule("key", r"(?<![\w.`])[^\W\d]\w*(?=[ \t]*:)"),
    Rule("operator", _word(r"(?i:AND|OR|EXCEPT|NOT)")),
    Rule("word", _word(rf"verb(?={_NEXT})|by(?={_NEXT})|of(?={_NEXT})|as(?={_NEXT})|salt(?={_NEXT})")),
    Rule("word", r"(?<=except[ \t])for(?=[ \t]*\[)"),
    Rule("word", _word(r"in(?=[ \t]*[(\[]|[ \t]+[\w`]+[ \t]*\{)")),
    Rule("word", _word(r"is[ \t]+(?:missing|given)")),
    Rule("word", _word(r"at[ \t]+(?:least|most)")),
    Rule("word", _word(rf"(?:last|since|before|exactly)(?={_NEXT})")),
    Rule("word", _word(r"times?(?=[ \t]*(?:$|[,)#]))")),
    Rule("word", _word(r"latest(?=[ \t]+[\w`]+[ \t]*(?:[=<>]|!=))")),
    Rule("atom", _word(rf"(?:{_ATOMS})(?=\()")),
    Rule("word", _word(r"(?:env|count|sum|avg|min|max)(?=\()")),
    Rule("word", _word(r"allow[ \t]+(?:empty|shortfall)")),
    Rule("word", _word(rf"always(?=[ \t]+(?i:except))|require(?={_NEXT})|freshness")),
    Rule("word", r"(?<=require[ \t])tested(?=[ \t]*(?:$|[}#,]|[ \t](?!(?i:AND|OR|EXCEPT)(?!\w))"
         r"|[ \t]except[ \t]+for))"),
    Rule("word", r"(?<=[0-9][0-9][ \t])(?:move|refuse)(?!\w)"),
    Rule("word", r"(?<=(?:\w|[0-9])[ \t])(?:move|refuse)(?=[ \t]*(?:$|[}#,]|except[ \t]+for"
         r"|(?:always|require|quiet|cap)(?!\w)))"),
    Rule("word", _word(r"(?:reach|change)(?=[ \t]*[<>=!])")),
    Rule("word", _word(r"quiet(?=[ \t]+[\w`])|cap(?=[ \t]+[\w`]+[ \t]+per)")),
    Rule("word", _word(r"per[ \t]+person|per(?=[ \t]+[\w`])")),
    Rule("word", _word(rf"(?:given|expect|prove|within|disjoint)(?={_NEXT})")),
    Rule("word", _word(r"start[ \t]+(?:when|on[ \t]+follow(?:[ \t]+via)?)|trigger[ \t]+on|exit[ \t]+when")),
    Rule("word", _word(rf"wait[ \t]+until(?=[ \t])|wait(?={_NEXT})|send(?={_NEXT})|branch(?=[ \t]*\{{)")),
    Rule("word", _word(r"otherwise(?=[ \t]*->)")),
    Rule("word", r"(?<=\{[ \t])(?:keep|delete)(?=[ \t]*\})"),
    Rule("atom", _word(r"friends")),
    Rule("call", r"(?<![\w`])[^\W\d]\w*(?=\()"),
    Rule("name", r"[^\W\d]\w*"),
    Rule("bad", r"[0-9]\w*"),
    Rule("compare", r"->|\.\.|!=|<=|>=|[=<>]"),
    Rule("mark", r"[{}()\[\],:.*]"),
    Rule("bad", r"[^\s\w]"),
)  # fmt: skip

STRING_RULES: tuple[Rule, ...] = (
    Rule("escape", r'\\(?:["\\n]|u\{[0-9A-Fa-f]{1,6}\})'),
    Rule("bad_escape", r"\\."),
)
"""What stands inside a string, which runs to the next quotation mark, over lines if need be."""


def textmate_text() -> str:
    """What `grammar/audsql.tmLanguage.json` should hold."""
    string = {
        "name": SCOPES["string"],
        "begin": '"',
        "end": '"',
        "patterns": [_textmate(rule) for rule in STRING_RULES],
    }
    document = {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "audsql",
        "scopeName": "source.audsql",
        "fileTypes": ["aud"],
        "patterns": [_textmate(RULES[0]), string, *map(_textmate, RULES[1:])],
    }
    return json.dumps(document, ensure_ascii=True, indent=2) + "\n"


def _textmate(rule: Rule) -> dict[str, Any]:
    return {"name": SCOPES[rule.kind], "match": rule.pattern}
