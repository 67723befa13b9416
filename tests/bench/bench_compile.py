"""What compiling costs: CPU seconds against the atoms of one delivery and the deliveries of one project.

    python tests/bench/bench_compile.py [--markdown]

*Atoms*: for each number of atoms twenty random expressions, half of the atoms own data, three in ten sets that LINE
holds, the others attributes; each atom stands once. *Deliveries*: projects whose deliveries share eight audiences of
own data, four tags and four attributes. The numbers are of one process; the seeds are fixed. With --markdown the
charts come as code blocks for docs/benchmarks.md.
"""

from __future__ import annotations

import random
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import datetime

from audsql.compile.project import compile_project
from audsql.meaning import ir

ATOMS = (4, 8, 12, 16, 20, 24)
DELIVERIES = (10, 100, 500, 1_000, 2_000)
REPETITIONS = 20
VALUES = [
    ("gender", "female"),
    ("age", "age_30"),
    ("os", "ios"),
    ("area", "jp_13"),
    ("age", "age_50"),
    ("area", "jp_27"),
]


def atoms(count: int) -> list[ir.Expression]:
    """So many atoms of all worlds."""
    attributes = min(max(count // 5, 1), len(VALUES))
    lines = count * 3 // 10
    own = [ir.leaf(ir.Uploaded(f"list{index}")) for index in range(count - lines - attributes)]
    held = [ir.leaf(ir.RemoteAudience("shop", "CHAT_TAG", f"tag{index}")) for index in range(lines)]
    return [*own, *held, *(ir.leaf(ir.Attribute(*VALUES[index])) for index in range(attributes))]  # type: ignore[arg-type]


def joined(draw: random.Random, parts: Sequence[ir.Expression]) -> ir.Expression:
    """The parts in a random tree of AND, OR and EXCEPT, each once, anchored."""
    left = list(parts)
    draw.shuffle(left)
    while len(left) > 1:
        one, two = (left.pop(draw.randrange(len(left))) for _ in range(2))
        left.append(draw.choice([ir.land(one, two), ir.lor(one, two), ir.land(one, ir.lnot(two))]))
    return left[0] if not ir.evaluate(left[0], frozenset()) else ir.lnot(left[0])


def project(reaches: Sequence[ir.Expression]) -> ir.Project:
    """A project of one delivery for each."""
    at = datetime(2026, 12, 1, 10)
    deliveries = tuple(
        ir.Delivery(f"d{index:05}", "shop", reach, reach, "as written", ("m",), at=at)
        for index, reach in enumerate(reaches)
    )
    return ir.Project("bench", "Asia/Tokyo", (ir.Account("shop", "T"),), deliveries=deliveries)


def cost(reaches: Sequence[ir.Expression]) -> tuple[float, int, int]:
    """CPU seconds, sends and refusals of one project."""
    whole = project(reaches)
    started = time.process_time()
    program, problems = compile_project(whole)
    used = time.process_time() - started
    refused = sum(problem.severity == "error" for problem in problems)
    return used, sum(len(delivery.sends) for delivery in program.deliveries), refused


def by_atoms(count: int) -> tuple[float, float, int, int]:
    """(median, largest, sends, refusals) of REPETITIONS expressions."""
    draw = random.Random(count)
    rows = [cost([joined(draw, atoms(count))]) for _ in range(REPETITIONS)]
    seconds = [row[0] for row in rows]
    return statistics.median(seconds), max(seconds), sum(row[1] for row in rows), sum(row[2] for row in rows)


def shared(count: int) -> list[ir.Expression]:
    """Deliveries of two to five parts, out of audiences and atoms that all of them share."""
    draw = random.Random(count)
    lists = [ir.leaf(ir.Uploaded(f"list{index}")) for index in range(24)]
    parts = [ir.land(ir.lor(*draw.sample(lists, 3)), ir.lnot(draw.choice(lists))) for _ in range(8)]
    parts += [ir.leaf(ir.RemoteAudience("shop", "CHAT_TAG", f"tag{index}")) for index in range(4)]
    parts += [ir.leaf(ir.Attribute(*value)) for value in VALUES[:4]]  # type: ignore[arg-type]
    return [joined(draw, draw.sample(parts, draw.randint(2, 5))) for _ in range(count)]


def chart(title: str, unit: str, labels: Sequence[str], values: Sequence[float]) -> str:
    axis = ", ".join(f'"{label}"' for label in labels)
    bars = ", ".join(f"{value:.3f}" for value in values)
    lines = ["```mermaid", "xychart-beta", f'  title "{title}"', f'  x-axis "{unit}" [{axis}]']
    return "\n".join([*lines, '  y-axis "CPU seconds"', f"  bar [{bars}]", "```"])


def main(markdown: bool) -> None:
    # The first compilation loads what all others use.
    compile_project(project([ir.leaf(ir.Uploaded("first"))]))
    print(f"{'atoms':>12}{'median':>12}{'largest':>12}{'sends':>12}{'refused':>12}   of {REPETITIONS}")
    rows = [by_atoms(count) for count in ATOMS]
    for count, (median, largest, sends, refused) in zip(ATOMS, rows, strict=True):
        print(f"{count:>12}{median:>10.3f} s{largest:>10.3f} s{sends:>12,}{refused:>12}")
    print(f"{'deliveries':>12}{'total':>12}{'each':>12}{'sends':>12}{'refused':>12}")
    totals = [cost(shared(count)) for count in DELIVERIES]
    for count, (seconds, sends, refused) in zip(DELIVERIES, totals, strict=True):
        print(f"{count:>12,}{seconds:>10.3f} s{seconds / count * 1_000:>9.2f} ms{sends:>12,}{refused:>12}")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    if markdown:
        print(
            chart(
                "Compiling one delivery, the slowest of twenty",
                "atoms",
                [str(count) for count in ATOMS],
                [row[1] for row in rows],
            )
        )
        print(
            chart("Compiling a project", "deliveries", [str(count) for count in DELIVERIES], [row[0] for row in totals])
        )


if __name__ == "__main__":
    main("--markdown" in sys.argv[1:])
