"""What the tests of the engines share: every engine behind the port, and worlds of files that they all read."""

from __future__ import annotations

import csv
import os
import random
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from store_cases import postgres_url

from audsql.data.duckdb import open_engine
from audsql.data.engine import Engine
from audsql.data.erased import NOBODY_ERASED, Erased
from audsql.data.keys import Keys
from audsql.data.remote.backend import Backend
from audsql.data.remote.duck import open_duck
from audsql.data.remote.engine import open_remote
from audsql.data.remote.postgres import open_postgres
from audsql.data.remote.spark import JAVA_MIN, java_version, open_spark
from audsql.meaning.ir import (
    Account,
    Aggregate,
    Before,
    Bucket,
    ColumnCompare,
    ColumnGiven,
    ColumnIn,
    ColumnMissing,
    Expression,
    Last,
    Latest,
    Mapped,
    PeopleCondition,
    Project,
    RowCondition,
    Rows,
    Since,
    TableSource,
    Times,
    Uploaded,
    UploadSource,
    land,
    leaf,
    lnot,
    lor,
)

AS_OF = datetime.fromisoformat("2026-11-21T00:00:00+09:00")
KEY = b"a key of the tests of engines"
SWEEP = bool(os.environ.get("AUDSQL_SWEEP"))


def spark_missing() -> str | None:
    """Why Spark cannot run here; None where it can."""
    if find_spec("pyspark") is None:
        return "pyspark is not installed: `make spark` runs these"
    version = java_version()
    return None if version is not None and version >= JAVA_MIN else f"no Java {JAVA_MIN} or newer is found"


@cache
def _spark_folder() -> str:
    return tempfile.mkdtemp(prefix="audsql-spark-")


def spark_backend() -> Backend:
    """A session of its own in the one application of this process."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    options = {
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.sql.warehouse.dir": f"{_spark_folder()}/warehouse",
        "spark.local.dir": f"{_spark_folder()}/local",
        "spark.driver.memory": "1g",
    }
    return open_spark("local[2]", options)


BACKENDS: dict[str, Callable[[], Backend]] = {
    "duckdb": open_duck,
    "postgres": lambda: open_postgres(postgres_url()),
    "spark": spark_backend,
}
_SPARK = pytest.mark.skipif(spark_missing() is not None, reason=spark_missing() or "")
REMOTE = ["duckdb", "postgres", pytest.param("spark", marks=_SPARK)]
EVERY = ["embedded", *REMOTE]


def opened(
    kind: str,
    root: Path,
    project: Project,
    key: bytes | None = KEY,
    keys: Keys | None = None,
    erased: Erased = NOBODY_ERASED,
) -> Engine:
    """An engine of that kind with a cache of its own."""
    cache_folder = root / ".audsql" / f"cache-{kind}"
    if kind == "embedded":
        return open_engine(project, root, cache_folder, key, keys, erased)
    return open_remote(BACKENDS[kind](), project, root, cache_folder, key, keys, erased)


def user_id(number: int) -> str:
    return f"U{number:032x}"


# --- one world with everything ------------------------------------------------------------------------

_WORDS = ("", "A", "a", "B", "10", "010", "が", "か\u3099", "İ", "x,y", 'q"q', "l\nl", "\u3000x", "%s ? $1 :p", "\\N")
_NUMBERS = ("", "0", "1", "-1", "10", "010", "0.5", "1.000000001", "+2", "999999999999999999", "-999999999999999999")
_TRUTHS = ("", "true", "TRUE", "false")
_BASES = (
    datetime(2026, 11, 20),
    datetime(2026, 11, 1),
    datetime(2026, 8, 1),
    datetime(1969, 12, 31),
    datetime(1, 1, 2),
)
_FORMS: tuple[Callable[[datetime], str], ...] = (
    lambda one: one.isoformat(),
    lambda one: one.strftime("%Y/%m/%d") if one.year > 999 else one.isoformat(),
    lambda one: one.isoformat() + "+09:00",
    lambda one: one.isoformat(sep=" ") + "Z",
    lambda one: one.isoformat() + ".000001",
)
PEOPLE = 40

SHOP = Project(
    "shop",
    "Asia/Tokyo",
    (Account("shop", "TOKEN"),),
    (
        UploadSource("buyers", "buyers.txt", "user_id"),
        UploadSource("optout", "optout.txt", "user_id"),
        UploadSource("phones", "phones.txt", "phone"),
        UploadSource("codes", "codes.csv", "member_id", column="code"),
    ),
    (
        TableSource("orders", "orders.csv", (("user_id", "uid"),), "at"),
        TableSource("visits", "visits.csv", (("member_id", "code"), ("user_id", "uid")), "at"),
        TableSource("members", "members.csv", (("user_id", "uid"), ("phone", "tel"), ("member_id", "code"))),
    ),
)


def _moment(chance: random.Random) -> str:
    if chance.random() < 0.1:
        return ""
    return chance.choice(_FORMS)(chance.choice(_BASES) + timedelta(minutes=chance.randint(0, 3000)))


def _rows(chance: random.Random, count: int) -> list[list[str]]:
    return [
        [
            "" if chance.random() < 0.05 else user_id(chance.randrange(PEOPLE)),
            f"m{chance.randrange(PEOPLE)}",
            chance.choice(_WORDS),
            chance.choice(_NUMBERS),
            chance.choice(_TRUTHS),
            _moment(chance),
        ]
        for _ in range(count)
    ]


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def write_world(root: Path, seed: int, rows: int = 240) -> None:
    """The files of `SHOP`."""
    chance = random.Random(seed)
    header = ["uid", "code", "name", "amount", "ok", "at"]
    _write(root / "orders.csv", header, _rows(chance, rows))
    _write(root / "visits.csv", header, _rows(chance, rows // 2))
    linked = [[user_id(i), f"0901111{i % 30:04d}", f"m{i % 35}"] for i in range(PEOPLE) if i % 5]
    _write(root / "members.csv", ["uid", "tel", "code"], linked)
    _write(root / "codes.csv", ["code"], [[f"m{i}"] for i in range(0, PEOPLE, 3)])
    for name, step in (("buyers", 3), ("optout", 7)):
        (root / f"{name}.txt").write_text("".join(f"{user_id(i)}\n" for i in range(0, PEOPLE + 9, step)))
    (root / "phones.txt").write_text("".join(f"090-1111-{i:04d}\n" for i in range(0, 33, 2)))


# --- random atoms and expressions ---------------------------------------------------------------------

_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_DECIMALS = tuple(map(Decimal, ("0", "1", "-1", "10", "0.5", "1.000000001", "5.25", "999999999999999999")))


def _scalar(chance: random.Random) -> tuple[str, str | Decimal | bool | datetime]:
    return chance.choice(
        [
            ("name", chance.choice(_WORDS[1:])),
            ("amount", chance.choice(_DECIMALS)),
            ("amount", chance.choice(("10", "010"))),
            ("ok", chance.random() < 0.5),
            ("at", _instant(chance)),
        ]
    )


def _instant(chance: random.Random) -> datetime:
    return AS_OF - timedelta(minutes=chance.choice((0, 1440, 30_000, 200_000)) + chance.randint(0, 4000))


def row_conditions(chance: random.Random) -> list[RowCondition]:
    """One of each kind."""
    column, value = _scalar(chance)
    words, amounts = chance.sample(_WORDS[1:], 3), chance.sample(_DECIMALS, 2)
    return [
        ColumnCompare(column, chance.choice(_OPERATORS), value),
        ColumnIn("name", tuple(sorted(words))),
        ColumnIn("amount", tuple(sorted(amounts))),
        ColumnIn("amount", ()),
        ColumnIn("amount", ("10", Decimal("1"))),
        ColumnMissing(chance.choice(("name", "amount", "at"))),
        ColumnGiven(chance.choice(("name", "amount", "at"))),
        Last(chance.randint(0, 40), chance.choice(("minute", "hour", "day"))),
        Last(3_000_000, "day"),
        Since(_instant(chance)),
        Before(_instant(chance)),
    ]


def people_conditions(chance: random.Random) -> list[PeopleCondition]:
    """One of each kind."""
    column, value = _scalar(chance)
    return [
        *(Times(bound, chance.randint(0, 4)) for bound in ("at least", "at most", "exactly")),
        *(
            Aggregate(function, "amount", chance.choice(_OPERATORS), chance.choice(_DECIMALS))
            for function in ("sum", "avg", "min", "max")
        ),
        *(Aggregate(function, "at", chance.choice(_OPERATORS), _instant(chance)) for function in ("min", "max")),
        Latest(column, chance.choice(_OPERATORS), value),
    ]


def every_atom(seed: int, mixed: int = 40, times: int = 3) -> list[Rows]:
    """Atoms over `orders`: each kind of condition by itself, so many times, and mixtures."""
    chance = random.Random(seed)
    found = [Rows("orders"), Rows("visits"), Rows("visits", (ColumnGiven("name"),))]
    found += [Rows("orders", (one,)) for _ in range(times) for one in row_conditions(chance)]
    found += [Rows("orders", (), (one,)) for _ in range(times) for one in people_conditions(chance)]
    for _ in range(mixed):
        rows = chance.sample(row_conditions(chance), chance.randint(0, 2))
        people = chance.sample(people_conditions(chance), chance.randint(0, 2))
        found.append(Rows("orders", tuple(rows), tuple(people)))
    return list({one.key: one for one in found}.values())


LISTS = (Uploaded("buyers"), Uploaded("optout"))
PHONES, CODES = Uploaded("phones"), Uploaded("codes")
BUCKETS = (Bucket("sample:s", 0, 1000), Bucket("ab", 2500, 10_000))
MAPPED = (
    Mapped("members", "phone", leaf(PHONES)),
    Mapped("members", "member_id", land(leaf(CODES), leaf(BUCKETS[0]))),
    Mapped("members", "member_id", land(leaf(CODES), lnot(leaf(Rows("visits"))))),
    Mapped("members", "phone", leaf(Mapped("members", "member_id", leaf(CODES), "phone"))),
)


def expressions(atoms: list, seed: int, count: int, depth: int = 4) -> list[Expression]:
    """Random set expressions over these atoms; some hold people outside all of them."""
    chance = random.Random(seed)

    def one(level: int) -> Expression:
        if not level or chance.random() < 0.2:
            return leaf(chance.choice(atoms))
        parts = [one(level - 1) for _ in range(chance.randint(2, 4))]
        ways = (land, lor, lambda *given: land(given[0], *map(lnot, given[1:])), lambda *given: lnot(given[0]))
        return chance.choice(ways)(*parts)

    return [one(depth) for _ in range(count)]
