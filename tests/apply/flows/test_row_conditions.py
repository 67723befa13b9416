"""Conditions decided row by row say what the engine says of the same rows."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from zoneinfo import ZoneInfo

from audsql.data.duckdb import open_engine
from audsql.data.leaves import leaf_of
from audsql.data.rowmatch import columns_of, is_met
from audsql.meaning import ir

ZONE = ZoneInfo("Asia/Tokyo")
AS_OF = datetime(2026, 11, 21, tzinfo=ZONE)
SIGNS = ("=", "!=", "<", "<=", ">", ">=")
PROJECT = ir.Project(
    "p", "Asia/Tokyo", tables=(ir.TableSource("rows", "rows.csv", (("user_id", "user_id"),), "at"),)
)  # fmt: skip


def conditions() -> list[ir.Rows]:
    moment = AS_OF - timedelta(days=3)
    tests: list[ir.RowCondition] = [
        ir.ColumnGiven("word"), ir.ColumnMissing("amount"), ir.Last(2, "day"), ir.Last(30, "hour"), ir.Since(moment),
        ir.Before(moment), ir.ColumnIn("word", ("a", "ö")), ir.ColumnIn("amount", (Decimal(1), Decimal("2.5"))),
    ]  # fmt: skip
    values: tuple[tuple[str, ir.Scalar], ...] = (("word", "b"), ("amount", Decimal("2.5")), ("when", moment))
    tests += [ir.ColumnCompare(column, sign, value) for (column, value), sign in product(values, SIGNS)]  # type: ignore[arg-type]
    tests += [ir.ColumnCompare("flag", "=", True)]
    people: list[ir.PeopleCondition] = [ir.Times(bound, 2) for bound in ("at least", "at most", "exactly")]  # type: ignore[arg-type]
    for function, sign in product(("sum", "avg", "min", "max"), SIGNS):
        people.append(ir.Aggregate(function, "amount", sign, Decimal("2.5")))  # type: ignore[arg-type]
    people += [
        ir.Aggregate("max", "when", ">=", moment),
        ir.Latest("word", "=", "a"),
        ir.Latest("amount", ">", Decimal(1)),
    ]
    found = [ir.Rows("rows", (one,)) for one in tests] + [ir.Rows("rows", (), (one,)) for one in people]
    chance = random.Random(7)
    for _ in range(40):
        found.append(ir.Rows("rows", tuple(chance.sample(tests, 2)), tuple(chance.sample(people, 2))))
    return found


def cells(chance: random.Random) -> str:
    word = chance.choice(["a", "b", "c", "ö", "", "B"])
    amount = chance.choice(["", "1", "2.5", "2.500000001", "-3", "10"])
    when, at = ((AS_OF - timedelta(hours=chance.randrange(1, 120))).isoformat() for _ in range(2))
    flag, when, at = chance.choice(["true", "false", ""]), chance.choice(["", when]), chance.choice(["", at, at])
    return f"{word},{amount},{when},{flag},{at}"


def test_every_kind_of_condition_as_the_engine_has_it(tmp_path):
    chance = random.Random(11)
    people = ["U" + format(number, "032x") for number in range(1, 61)]
    lines = [f"{chance.choice(people)},{cells(chance)}" for _ in range(150)]
    (tmp_path / "rows.csv").write_text("\n".join(["user_id,word,amount,when,flag,at", *lines, ""]))
    engine = open_engine(PROJECT, tmp_path, tmp_path / "cache")
    atoms = conditions()
    read, problems = engine.materialise(atoms, AS_OF)
    assert problems == ()
    leaves = [leaf_of(atom, AS_OF, ZONE) for atom in atoms]
    columns = columns_of(leaves)
    table, problems = engine.rows("rows", columns, AS_OF)
    assert table is not None, problems
    rows: dict[str, list[object]] = {}
    for row in table:
        rows.setdefault(row.person, []).append(row)
    table.close()
    for atom, leaf in zip(atoms, leaves, strict=True):
        expected = set(engine.members(read.people[atom.key]))
        assert {one for one in people if is_met(leaf, rows.get(one, ()), columns, ZONE)} == expected, atom.key
