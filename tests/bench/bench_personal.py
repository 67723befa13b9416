"""What personal messages cost: CPU seconds and memory for a million people who each get words of their own.

    python tests/bench/bench_personal.py [--markdown] [PEOPLE]

Each row is one run in a process of its own over a CSV of one row a person, every rendering another one. *Rendered and
checked* is a message's strings filled in and held against LINE's rules, *whole* all of it: the file read and checked,
rows in the order of people, renderings, their digests, equal ones grouped, and each group's request made. With
--markdown the table comes as a code block for docs/benchmarks.md.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from audsql.apply.personal import render_people, wording_of
from audsql.data.duckdb import open_engine
from audsql.line.filling import compile_filling
from audsql.meaning.ir import Account, Message, Project, TableSource, TemplateField

PEOPLE = 1_000_000
TEXT_A_SECOND_MIN = 50_000
FLEX_A_SECOND_MIN = 20_000
MEMORY_MEBIBYTES_MAX = 2_048
ZONE = ZoneInfo("Asia/Tokyo")
FIELDS = (
    TemplateField("name", "string", "お客様"),
    TemplateField("points", "number", Decimal(0)),
    TemplateField("item", "string"),
    TemplateField("url", "string"),
)
TEXT = Message(
    "text",
    template="{{ name }}様、{% if points >= 1000 %}ゴールド会員{% else %}会員{% endif %}: {{ points }} ポイント。"
    "{{ item | truncate(20) }} はいかがですか {{ url }}",
    table="members",
    fields=FIELDS,
)
FLEX = Message("flex", file="card.json", table="members", fields=FIELDS)
CARD: dict[str, Any] = {
    "type": "flex",
    "altText": "{{ name }}様へのおすすめ",
    "contents": {
        "type": "bubble",
        "hero": {"type": "image", "url": "https://img.example.com/{{ item }}.png", "size": "full"},
        "body": {
            "type": "box",
            "layout": "vertical",
            "contents": [
                {"type": "text", "text": "{{ name }}様", "weight": "bold", "size": "xl"},
                {"type": "text", "text": "{{ points }} ポイント", "color": "#999999", "wrap": True},
                {"type": "text", "text": "{{ item }}"},
            ],
        },
        "footer": {
            "type": "box",
            "layout": "vertical",
            "contents": [{"type": "button", "action": {"type": "uri", "label": "見る", "uri": "{{ url }}"}}],
        },
    },
}
MESSAGES = {"text": (TEXT, ({"type": "text", "text": TEXT.template},)), "flex": (FLEX, (CARD,))}


def people(count: int) -> list[str]:
    return sorted(f"U{(number * 2654435761 * 97) % (1 << 127):032x}" for number in range(count))


def written(root: Path, count: int) -> list[str]:
    users = people(count)
    with (root / "members.csv").open("w", encoding="utf-8") as out:
        out.write("user_id,name,points,item,url\n")
        for number, user in enumerate(users):
            item = number % 1000
            out.write(f"{user},山田{number},{number % 5000},item{item},https://shop.example/i/{item}\n")
    return users


def rendered(kind: str, count: int) -> float:
    """CPU seconds of rendering and checking alone."""
    message, objects = MESSAGES[kind]
    filling = compile_filling(message, objects, ZONE)
    values = [
        (f"山田{number}", Decimal(number % 5000), f"item{number % 1000}", f"https://shop.example/i/{number % 1000}")
        for number in range(count)
    ]
    begin = time.process_time()
    for one in values:
        filling.strings(one)
    return time.process_time() - begin


def whole(kind: str, root: Path, users: list[str]) -> float:
    """CPU seconds of everything from the file to the requests."""
    message, objects = MESSAGES[kind]
    table = TableSource("members", "members.csv", (("user_id", "user_id"),))
    project = Project("shop", "Asia/Tokyo", (Account("shop", "TOKEN"),), tables=(table,))
    engine = open_engine(project, root, root / "cache")
    wording = wording_of([kind], {kind: objects}, {kind: message}, ZONE)
    begin = time.process_time()
    found, problems = render_people(engine, wording, users, datetime(2026, 11, 21, tzinfo=UTC))
    assert found is not None and not found.left, problems
    reached = sum(len(group.people) for group in found.groups())
    assert reached == len(users) == found.distinct
    found.close()
    return time.process_time() - begin


def measured(kind: str, count: int, results: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        users = written(Path(folder), count)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        total = whole(kind, Path(folder), users)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    results.put((rendered(kind, min(count, 100_000)), total, before, peak))


def main(arguments: list[str]) -> int:
    count = next((int(one) for one in arguments if one.isdigit()), PEOPLE)
    failed = False
    lines = [f"{count:,} people        rendered and checked           whole     peak memory (of it before)"]
    for kind, least in (("text", TEXT_A_SECOND_MIN), ("flex", FLEX_A_SECOND_MIN)):
        apart = multiprocessing.get_context("spawn")
        results: Any = apart.Queue()
        process = apart.Process(target=measured, args=(kind, count, results))
        process.start()
        alone, total, before, peak = results.get()
        process.join()
        fast, slow = min(count, 100_000) / alone, count / total
        lines.append(f"{kind:<6} {fast:>22,.0f} a second {slow:>12,.0f} a second {peak:>8,} MiB ({before:,} MiB)")
        failed = failed or fast < least or peak > MEMORY_MEBIBYTES_MAX
    print("\n".join(["```", *lines, "```"] if "--markdown" in arguments else lines))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
