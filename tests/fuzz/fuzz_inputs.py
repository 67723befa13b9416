"""Inputs for the fuzzer: the corpus, bent. Input `index` of a seed is always the same text."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from random import Random

from audsql import catalog

__all__ = ["Input", "input_of"]

ROOT = Path(__file__).resolve().parents[2]
CORPUS_CHARACTERS_MAX = 900
STATEMENT_CHARACTERS_MAX = 120
# How many of the bent texts are one short statement: they are read many times as fast as whole cases.
SHORT = 0.8

_BLOCK = re.compile(r"^(```+)aud[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_HEAD = re.compile(
    r"^(?=(?:account|upload|table|message|audience|delivery|policy|test|split|priority|flow|param|for|use|moved|removed)\b)",
    re.MULTILINE,
)
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`\n]*`|\d[\d_.:+%-]*|\w+|[^\w\s]|\s+')
_WORDS = """
    account upload table message audience delivery policy test split priority flow param for use moved removed
    audience AND OR EXCEPT NOT and or except not = ( ) { } [ ] , : . .. * != < <= > >= # ` " \\ friends uploaded(
    clicked( opened( received( purchased( gender( age( friend_for( sample( linked( female 30..39 last since before
    at least most exactly times latest sum( avg( in is missing given allow empty shortfall always except for expect
    prove within disjoint count( require quiet cap every fresh send wait stop otherwise if on 1 0 -1 2_0 0.5 20%
    999999999 2026-12-01 10:00 +09:00 24:00 days hour ~ | & ; / env( user_id phone email people
"""
_SPELLED = tuple(re.findall(r"\S+", _WORDS))
_ODD = (
    *("", " ", "\n", "\t", "\r\n", "\r", "　", "（", "“", "：", "\u200e", "\ufeff", "\x00", "\U0001f381", "é", "ａ"),
    *("e\u0301", "\ud800", "女性", "{" * 30, "(" * 40, "NOT " * 5, "# x\n", '"\n"'),
)

Input = str | bytes


@cache
def corpus() -> tuple[str, ...]:
    """The cases of the specification, the samples of the catalogue and the examples, none of them long."""
    found: dict[str, None] = {}
    for page in sorted((ROOT / "specs" / "language").glob("*.md")):
        for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            found.update(dict.fromkeys(re.split(r"^-- .* --\n", block.group(2), flags=re.MULTILINE)))
    for code in catalog.codes():
        sample = catalog.entry(code).sample
        if sample is not None:
            found.update({sample.bad: None, sample.good: None})
    for example in sorted((ROOT / "examples").rglob("*.aud")):
        found.update(dict.fromkeys(re.split(r"\n\n", example.read_text(encoding="utf-8"))))
    return tuple(text for text in found if 0 < len(text) <= CORPUS_CHARACTERS_MAX)


@cache
def statements() -> tuple[str, ...]:
    """The short statements of the corpus, each by itself: most of what can go wrong needs no more."""
    parts = {part.strip() + "\n": None for text in corpus() for part in _HEAD.split(text)}
    return tuple(part for part in parts if 1 < len(part) <= STATEMENT_CHARACTERS_MAX)


@cache
def tokens_of(text: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(text))


def input_of(seed: int, index: int, sound: float = 0.2) -> Input:
    """One input: a bent text of the corpus, with the probability `sound` a project whose sets mean something,
    sometimes bytes or noise."""
    random = Random((seed << 44) ^ index)
    kind = random.random()
    if kind < 0.04:
        return random.randbytes(random.randrange(40))
    if kind < 0.08:
        return _bytes(random, _text(random))
    if kind < 0.12:
        return "".join(random.choice(_ODD) + random.choice(_SPELLED) for _ in range(random.randrange(12)))
    return _sound(random) if random.random() < sound else _text(random)


# --- projects that mean something -------------------------------------------------------------------

_PRELUDE = """account shop { token: env("LINE_TOKEN") }
message card { text: "hello" }
upload a { file: "a.txt"  id: user_id }
upload `b 1` { file: "b.txt"  id: user_id }
table orders { file: "orders.csv"  id: user_id, phone  time: ordered_at  verb purchased by product  verb visited }
delivery spring { sent: "request-1"  at: 2026-11-10 10:00  by: broadcast }
"""
_ATOMS = (
    *(
        "friends",
        "uploaded(a)",
        "uploaded(`b 1`)",
        "orders()",
        "visited(last 7 days)",
        "clicked(spring)",
        "opened(spring)",
    ),
    *(
        'clicked(spring, "https://e.example/1")',
        "gender(female)",
        "gender(male)",
        "age(20..39)",
        "age(50..)",
        "os(ios)",
    ),
    *("friend_for(>= 90 days)", "area(tokyo)", 'chat_tag("VIP")', "linked(orders)", "purchased(*)", "received(spring)"),
    *("sample(friends, 10%, seed: x)", "sample(uploaded(a), 0.5%)", "orders(latest status = done)"),
)
_CONDITIONS = (
    *("last 30 days", "last 2 weeks", "since 2026-01-01", "before 2026-07-01", "at least 2 times", "at most 3 times"),
    *("exactly 0 times", "amount >= 100", "amount < 50", 'shop in (tokyo, "大阪")', "gift is given", "note is missing"),
    *("sum(amount) > 1000", "avg(amount) <= 2", "max(amount) != 7", "latest product = B"),
)


def _sound(random: Random) -> str:
    """A few audiences and deliveries over lists, a table and what LINE holds; now and then bent."""
    names: list[str] = []
    lines = [_PRELUDE]
    for number in range(random.randrange(1, 4)):
        lines.append(f"audience x{number} = {_expression(random, names, 3)} allow empty\n")
        names.append(f"x{number}")
    if random.random() < 0.3:
        lines.append(f"split s of {_expression(random, names, 1)} {{ one 30%  two 70% }}\n")
        names += ["s.one", "s.two"]
    if random.random() < 0.4:
        lines.append(f"policy p {{ always except {_operand_of(random, names, 2)} }}\n")
    if random.random() < 0.5:
        reach = f"friends AND {_operand_of(random, names, 2)} allow empty"
        lines.append(f"delivery d {{ to: {reach}  send: card  at: 2026-12-01 10:00 }}\n")
    text = "".join(lines)
    return _bent(random, text) if random.random() < 0.25 else text


def _expression(random: Random, names: list[str], depth: int) -> str:
    operator = random.choice((" AND ", " OR ", " EXCEPT "))
    return operator.join(_operand_of(random, names, depth) for _ in range(random.choice((1, 2, 2, 3, 4))))


def _operand_of(random: Random, names: list[str], depth: int) -> str:
    chance = random.random()
    if depth and chance < 0.3:
        return f"{random.choice(('', '', 'NOT '))}({_expression(random, names, depth - 1)})"
    if names and chance < 0.45:
        return random.choice(names)
    atom = random.choice(_ATOMS)
    if chance > 0.75:
        conditions = random.sample(_CONDITIONS, random.randrange(3))
        atom = f"purchased({', '.join([random.choice(('A', 'B', 'A, B', '*')), *conditions])})"
    return f"NOT {atom}" if random.random() < 0.15 else atom


# --- texts that are bent ----------------------------------------------------------------------------


def _text(random: Random) -> str:
    texts = statements() if random.random() < SHORT else corpus()
    text = random.choice(texts)
    if random.random() < 0.2:
        text += "\n" + random.choice(texts)
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        text = _bent(random, text)
    return text


def _bent(random: Random, text: str) -> str:
    """The text with one change, mostly of whole pieces, so that many changed texts still read."""
    pieces = list(tokens_of(text))
    if not pieces:
        return random.choice(_SPELLED)
    at = random.randrange(len(pieces))
    match random.randrange(9):
        case 0:
            pieces[at] = ""
        case 1:
            pieces[at] = random.choice(_SPELLED)
        case 2 | 3:
            pieces[at] = _alike(random, pieces, pieces[at])
        case 4:
            other = tokens_of(random.choice(corpus()))
            start = random.randrange(len(other))
            pieces[at:at] = other[start : start + random.randrange(1, 12)]
        case 5:
            end = at + random.randrange(1, 12)
            pieces[at:at] = pieces[at:end]
        case 6:
            del pieces[at : at + random.randrange(1, 12)]
        case 7:
            pieces.insert(at, random.choice(_ODD))
        case _:
            joined = random.choice((" AND ", " OR ", " EXCEPT ", " AND NOT "))
            pieces[at:at] = [joined, *_operand(random, text)] if pieces[at].isspace() else [random.choice(_SPELLED)]
    return "".join(pieces)


def _alike(random: Random, pieces: list[str], piece: str) -> str:
    """Another piece of the text of the same kind: a name for a name, a number for a number."""
    kind = piece[0]
    same = [
        one
        for one in pieces
        if one != piece
        and ((one[0].isdigit() and kind.isdigit()) or (one[0] == kind) or (one[0].isalpha() and kind.isalpha()))
    ]
    return random.choice(same) if same else random.choice(_SPELLED)


def _operand(random: Random, text: str) -> list[str]:
    calls = re.findall(r"\w+\([^()\n]*\)", text) or ["friends"]
    return [random.choice(calls)]


def _bytes(random: Random, text: str) -> bytes:
    found = bytearray(text.encode(random.choice(("utf-8", "utf-8", "cp932", "utf-16")), "replace"))
    for _ in range(random.randrange(4)):
        if found:
            found[random.randrange(len(found))] = random.randrange(256)
    return bytes(found)
