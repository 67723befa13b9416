"""The common subset: every part of it is run on every engine, and nothing outside of it is sent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_cases import AS_OF, BACKENDS, BUCKETS, LISTS, MAPPED, REMOTE, SHOP, every_atom, opened, write_world

from audsql.data.remote import emitter
from audsql.data.remote.backend import Backend
from audsql.data.remote.emitter import PARTS, parts_of, rendered
from audsql.meaning.ir import land, leaf, lnot, lor

# NULL in every column but the id, big numbers, times before 1970, texts that other collations sort otherwise.
COLUMNS = (("person", "text"), ("x1", "text"), ("n2", "number"), ("h2", "whole"), ("t3", "time"), ("b4", "truth"))
BIG, WHOLE = Decimal("999999999999999999.999999999"), 10**27 - 1
ROWS = [
    ("a", "x", Decimal("1.5"), 1_500_000_000, -5, True),
    ("a", "X", Decimal("-0.000000001"), -1, 7, False),
    ("B", "é", BIG, WHOLE, -6, None),
    ("B", None, BIG, WHOLE, None, True),
    ("é", None, None, None, None, None),
]

# Each part: a statement that turns on it, its values, and its rows in order.
CASES: dict[str, tuple[str, tuple[object, ...], list[tuple[Any, ...]]]] = {
    "Select": ("SELECT person FROM {t} WHERE t3 = 7", (), [("a",)]),
    "From": ("SELECT t3 FROM {t} WHERE t3 > 0", (), [(7,)]),
    "Table": ("SELECT b4 FROM {t} WHERE t3 = 7", (), [(False,)]),
    "TableAlias": ("SELECT s.person FROM {t} AS s WHERE s.t3 = 7", (), [("a",)]),
    "Subquery": ("SELECT person FROM (SELECT person FROM {t} WHERE t3 = 7) AS s", (), [("a",)]),
    "Where": ("SELECT person FROM {t} WHERE x1 = 'X'", (), [("a",)]),
    "Group": ("SELECT person, count(*) AS n FROM {t} GROUP BY person ORDER BY person", (),
              [("B", 2), ("a", 2), ("é", 1)]),
    # The order of code points: upper case first, letters with marks last.
    "Order": ("SELECT DISTINCT person FROM {t} ORDER BY person", (), [("B",), ("a",), ("é",)]),
    "Ordered": ("SELECT t3 FROM {t} WHERE t3 IS NOT NULL ORDER BY t3", (), [(-6,), (-5,), (7,)]),
    "Distinct": ("SELECT count(DISTINCT person) AS n FROM {t}", (), [(3,)]),
    "Union": ("SELECT person FROM {t} UNION SELECT person FROM {t} ORDER BY person", (), [("B",), ("a",), ("é",)]),
    "Intersect": ("SELECT x1 AS v FROM {t} INTERSECT SELECT person AS v FROM {t}", (), [("é",)]),
    "Except": ("SELECT person FROM {t} EXCEPT SELECT x1 FROM {t} ORDER BY person", (), [("B",), ("a",)]),
    "Star": ("SELECT count(*) AS n FROM {t}", (), [(5,)]),
    "Column": ("SELECT x1 FROM {t} WHERE t3 = ?", (-6,), [("é",)]),
    "Identifier": ("SELECT x1 FROM {t} WHERE t3 = ?", (-5,), [("x",)]),
    "Alias": ("SELECT max(t3) AS latest FROM {t}", (), [(7,)]),
    "Placeholder": ("SELECT person FROM {t} WHERE x1 = ? AND t3 = ? AND b4 = ?", ("x", -5, True), [("a",)]),
    "Literal": ("SELECT person FROM {t} WHERE t3 = 7", (), [("a",)]),
    "And": ("SELECT count(*) AS n FROM {t} WHERE b4 AND t3 = ?", (-5,), [(1,)]),
    "Or": ("SELECT count(*) AS n FROM {t} WHERE b4 OR t3 = 7", (), [(3,)]),
    "Not": ("SELECT count(*) AS n FROM {t} WHERE NOT b4", (), [(1,)]),
    "Paren": ("SELECT count(*) AS n FROM {t} WHERE (b4 OR t3 = 7) AND x1 = 'X'", (), [(1,)]),
    # Texts are equal where their code points are.
    "EQ": ("SELECT count(*) AS n FROM {t} WHERE x1 = ?", ("X",), [(1,)]),
    "NEQ": ("SELECT count(*) AS n FROM {t} WHERE x1 <> ?", ("X",), [(2,)]),
    "LT": ("SELECT x1 FROM {t} WHERE x1 < ?", ("a",), [("X",)]),
    "LTE": ("SELECT count(*) AS n FROM {t} WHERE n2 <= CAST(? AS DECIMAL(38, 9))", ("1.500000000",), [(2,)]),
    "GT": ("SELECT x1 FROM {t} WHERE x1 > ?", ("z",), [("é",)]),
    "GTE": ("SELECT count(*) AS n FROM {t} WHERE n2 >= CAST(? AS DECIMAL(38, 9))", (str(BIG),), [(2,)]),
    "Is": ("SELECT count(*) AS n FROM {t} WHERE b4 IS NULL", (), [(2,)]),
    "Null": ("SELECT count(*) AS n FROM {t} WHERE x1 IS NOT NULL", (), [(3,)]),
    "In": ("SELECT count(*) AS n FROM {t} WHERE x1 IN (?, ?) OR person IN (SELECT x1 FROM {t})", ("x", "X"), [(3,)]),
    "Boolean": ("SELECT count(*) FILTER (WHERE true) AS n, count(*) FILTER (WHERE false) AS m FROM {t}", (), [(5, 0)]),
    "Coalesce": ("SELECT coalesce(b4, false) AS v FROM {t} WHERE t3 = ?", (-6,), [(False,)]),
    "Case": ("SELECT CASE WHEN b4 THEN 1 ELSE 0 END AS v FROM {t} WHERE t3 < 0 ORDER BY t3", (), [(0,), (1,)]),
    "If": ("SELECT max(CASE WHEN x1 = ? THEN 1 ELSE 0 END) AS v FROM {t}", ("X",), [(1,)]),
    "Cast": ("SELECT count(*) AS n FROM {t} WHERE n2 = CAST(? AS DECIMAL(38, 9))", ("-0.000000001",), [(1,)]),
    "DataType": ("SELECT CAST(count(h2) AS DECIMAL(10, 0)) AS n FROM {t}", (), [(4,)]),
    "DataTypeParam": ("SELECT count(*) AS n FROM {t} WHERE h2 = CAST(? AS DECIMAL(27, 0))", (str(WHOLE),), [(2,)]),
    "Add": ("SELECT t3 + 1 AS v FROM {t} WHERE t3 = 7", (), [(8,)]),
    # 38 digits, of which none may be lost: an average compares so.
    "Mul": ("SELECT person FROM (SELECT person, sum(h2) = CAST(? AS DECIMAL(27, 0)) * CAST(count(h2) AS DECIMAL(10, 0))"
            " AS v FROM {t} GROUP BY person) AS s WHERE v", (str(WHOLE),), [("B",)]),
    # The sign of a rest is that of the number; only whether there is one is asked.
    "Mod": ("SELECT t3 FROM {t} WHERE t3 % 2 <> 0 ORDER BY t3", (), [(-5,), (7,)]),
    "Count": ("SELECT count(x1) AS n FROM {t}", (), [(3,)]),
    "Sum": ("SELECT sum(n2) AS v FROM {t} WHERE person = 'B'", (), [(2 * BIG,)]),
    "Min": ("SELECT min(n2) AS v, min(t3) AS w FROM {t}", (), [(Decimal("-0.000000001"), -6)]),
    "Max": ("SELECT max(n2) AS v FROM {t}", (), [(BIG,)]),
    "Filter": ("SELECT count(*) FILTER (WHERE b4) AS n, max(t3) FILTER (WHERE b4) AS v FROM {t}", (), [(2, -5)]),
}  # fmt: skip


@pytest.fixture(scope="module")
def backends() -> Iterator[dict[str, Backend]]:
    made: dict[str, Backend] = {}
    yield made
    for backend in made.values():
        backend.close()


def backend_of(backends: dict[str, Backend], kind: str) -> Backend:
    if kind not in backends:
        backends[kind] = BACKENDS[kind]()
        backends[kind].load("rows_of_parts", COLUMNS, [ROWS[:2], [], ROWS[2:]])
    return backends[kind]


def test_every_part_has_a_case_that_uses_it() -> None:
    assert CASES.keys() == PARTS
    assert [part for part, (sql, _, _) in CASES.items() if part not in parts_of(sql.format(t="t"))] == []


@pytest.mark.parametrize("kind", REMOTE)
def test_every_part_means_the_same(kind: str, backends: dict[str, Backend]) -> None:
    backend = backend_of(backends, kind)
    for part, (sql, values, expected) in CASES.items():
        assert backend.rows(sql.format(t="rows_of_parts"), values) == expected, part


@pytest.mark.parametrize("kind", REMOTE)
def test_values_arrive_as_they_left(kind: str, backends: dict[str, Backend]) -> None:
    backend = backend_of(backends, kind)
    texts = [
        "\\N",
        "\\.",
        "a\tb",
        "l\nl",
        "r\rr",
        '"',
        "'",
        "%s",
        "?",
        "$1",
        ":p",
        "",
        " ",
        "\u3000",
        "か\u3099",
        "😀",
        "\\",
    ]
    backend.load(
        "texts_of_parts",
        (("person", "text"), ("bucket", "bucket")),
        [list(zip(texts, itertools.count(), strict=False))],
    )
    assert list(backend.ids("SELECT person FROM texts_of_parts ORDER BY bucket")) == texts
    assert list(backend.ids("SELECT person FROM texts_of_parts ORDER BY person")) == sorted(texts)
    for at, text in enumerate(texts):
        assert backend.rows("SELECT bucket FROM texts_of_parts WHERE person = ?", (text,)) == [(at,)]
    backend.drop("texts_of_parts")


@pytest.mark.parametrize("kind", ["duckdb", "postgres", "spark"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT lower(person) FROM t",
        "SELECT trim(person) FROM t",
        "SELECT regexp_replace(person, 'a', 'b') FROM t",
        "SELECT sha256(person) FROM t",
        "SELECT hash(person) FROM t",
        "SELECT t3 / 2 FROM t",
        "SELECT t3 // 2 FROM t",
        "SELECT t3 & 1 FROM t",
        "SELECT avg(n2) FROM t",
        "SELECT made_up(t3) FROM t",
        "SELECT person FROM t UNION ALL SELECT person FROM t WHERE x1 LIKE 'a%'",
        "DROP TABLE t",
    ],
)
def test_nothing_else_is_sent(kind: emitter.Dialect, sql: str) -> None:
    with pytest.raises(ValueError, match="not in the common subset"):
        rendered(sql, kind)


def test_engines_are_sent_every_part_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is no longer than what engines are really asked."""
    write_world(tmp_path, 3)
    sent: set[str] = set()
    real = emitter.rendered

    def watched(sql: str, dialect: emitter.Dialect) -> str:
        sent.add(sql)
        return real(sql, dialect)

    monkeypatch.setattr("audsql.data.remote.duck.rendered", watched)
    engine = opened("duckdb", tmp_path, SHOP)
    atoms = [*every_atom(5), *LISTS, *MAPPED, *BUCKETS]
    read, _ = engine.materialise(atoms, AS_OF)
    left, right = (leaf(one) for one in LISTS)
    for expression in (land(left, right), lor(left, right), land(left, lnot(right))):
        list(engine.members(engine.evaluate(expression, read.people)))
    assert frozenset().union(*map(parts_of, sent)) == PARTS
