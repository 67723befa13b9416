"""Projects from text, for the tests of meaning."""

from __future__ import annotations

from audsql.diag import Diagnostic
from audsql.meaning.lower import Analysis, analyse
from audsql.source import Source
from audsql.syntax.parse import parse_file

ACCOUNT = 'account shop { token: env("LINE_TOKEN") }\n'
BUYERS = 'upload buyers { file: "buyers.txt"  id: user_id }\n'
OPTOUT = 'upload optout { file: "optout.txt"  id: user_id }\n'
ORDERS = 'table orders { file: "orders.csv"  id: user_id  time: ordered_at  verb purchased by product  verb visited }\n'
CARD = 'message card { text: "hello" }\n'
SPRING = 'delivery spring { sent: "request-1"  at: 2026-11-10 10:00  by: broadcast }\n'
SHOP = ACCOUNT + BUYERS + OPTOUT + ORDERS + CARD + SPRING


def read(*texts: str, timezone: str = "Asia/Tokyo") -> tuple[Analysis, tuple[Diagnostic, ...]]:
    """The meaning of these texts, each a file, and every diagnostic of parsing and meaning."""
    files, problems = [], []
    for index, text in enumerate(texts):
        file, told = parse_file(Source(f"{index}.aud", text))
        files.append(file)
        problems.extend(told)
    analysis, told = analyse(tuple(files), name="test", timezone=timezone)
    return analysis, (*problems, *told)


def codes(*texts: str) -> list[str]:
    return [problem.code for problem in read(*texts)[1]]


def sound(*texts: str) -> Analysis:
    """The meaning of texts that are free of errors and warnings."""
    analysis, problems = read(*texts)
    assert not problems, problems
    return analysis
