"""SQL that every engine understands, written once, and the step to each dialect.

The common subset is a list, `PARTS`, of what may stand in a statement, by the names that sqlglot's tree has for it.
Whatever is not in the list is refused before it is sent, and a test runs every part of the list on every engine. Left
out on purpose, because engines disagree on it: functions on text (trimming, cases, regular expressions), hashes, bit
operations, division, casts to narrower types, time zones. Such work is done before rows travel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from audsql.data.leaves import DECIMALS, INTEGER_DIGITS_MAX, WHOLE_DIGITS, Leaf, Naming, leaf_sql
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.data.remote.backend import Column

__all__ = [
    "PARTS", "Dialect", "Statement", "column_types", "columns_of", "difference", "intersection", "leaf_table",
    "parts_of", "rendered", "union",
]  # fmt: skip

Dialect = Literal["duckdb", "postgres", "spark"]

PARTS = frozenset(
    (
        # Shape of a statement.
        *("Select", "From", "Table", "TableAlias", "Subquery", "Where", "Group", "Order", "Ordered", "Distinct"),
        *("Union", "Intersect", "Except", "Star", "Column", "Identifier", "Alias", "Placeholder", "Literal"),
        # Conditions.
        *("And", "Or", "Not", "Paren", "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "Is", "Null", "In", "Boolean"),
        # Values.
        *("Coalesce", "Case", "If", "Cast", "DataType", "DataTypeParam", "Add", "Mul", "Mod"),
        # Over the rows of a person.
        *("Count", "Sum", "Min", "Max", "Filter"),
    )
)  # fmt: skip
"""What a statement may be made of."""

_TYPES: Mapping[str, Mapping[Dialect, str]] = {
    # The order of a text is that of its code points everywhere, which is that of its bytes.
    "text": {"duckdb": "VARCHAR", "postgres": 'TEXT COLLATE "C"', "spark": "STRING"},
    "truth": {"duckdb": "BOOLEAN", "postgres": "BOOLEAN", "spark": "BOOLEAN"},
    "time": {"duckdb": "BIGINT", "postgres": "BIGINT", "spark": "BIGINT"},
    "number": dict.fromkeys(("duckdb", "postgres", "spark"), f"DECIMAL({INTEGER_DIGITS_MAX + DECIMALS}, {DECIMALS})"),
    "whole": dict.fromkeys(("duckdb", "postgres", "spark"), f"DECIMAL({WHOLE_DIGITS}, 0)"),
    "bucket": dict.fromkeys(("duckdb", "postgres", "spark"), "INTEGER"),
}
_LETTERS = {"x": "text", "n": "number", "h": "whole", "t": "time", "b": "truth"}


@dataclass(frozen=True, slots=True)
class Statement:
    """A query in the common subset and the values of its places, in order. `weight`: how many sets it is made of."""

    sql: str
    values: tuple[object, ...] = ()
    weight: int = 1


# --- statements -----------------------------------------------------------------------------------


def columns_of(names: Sequence[str]) -> tuple[Column, ...]:
    """Names of typed columns with what they hold."""
    return tuple((name, "text" if name == "person" else _LETTERS[name[0]]) for name in names)


def column_types(columns: Sequence[Column], dialect: Dialect) -> str:
    """The columns of a table as a dialect declares them."""
    return ", ".join(f"{name} {_TYPES[type_name][dialect]}" for name, type_name in columns)


def leaf_table(table: str, leaves: Sequence[Leaf], naming: Naming) -> Statement:
    """Every person of a table once (`person`), with the truth of each leaf (`a0`, `a1`, ...)."""
    parts = [leaf_sql(leaf, naming) for leaf in leaves]
    truths = [f"coalesce({sql}, false) AS a{at}" for at, (sql, _) in enumerate(parts)]
    chosen = ", ".join(["person", *truths])
    values = tuple(value for _, bound in parts for value in bound)
    return Statement(f"SELECT {chosen} FROM {table} GROUP BY person", values, len(leaves))


def union(sets: Sequence[Statement]) -> Statement:
    return _joined("UNION", sets)


def intersection(sets: Sequence[Statement]) -> Statement:
    return _joined("INTERSECT", sets)


def difference(left: Statement, right: Statement) -> Statement:
    return _joined("EXCEPT", (left, right))


def _joined(operator: str, sets: Sequence[Statement]) -> Statement:
    """One operator over sets: each stands by itself, so that no engine's precedence is asked for."""
    if len(sets) == 1:
        return sets[0]
    text = f" {operator} ".join(f"SELECT person FROM ({one.sql}) AS s" for one in sets)
    values = tuple(value for one in sets for value in one.values)
    return Statement(text, values, sum(one.weight for one in sets))


# --- dialects -------------------------------------------------------------------------------------


@lru_cache(maxsize=1_024)
def rendered(sql: str, dialect: Dialect) -> str:
    """The same statement as an engine reads it, with the engine's own places for values.

    Raises ValueError for what is not in the common subset: sqlglot passes on what it does not know.
    """
    tree = _tree(sql)
    beyond = sorted(_named(tree) - PARTS)
    if beyond:
        raise ValueError(f"not in the common subset: {', '.join(beyond)}")
    text: str = tree.sql(dialect=dialect)
    if dialect == "postgres":
        # No text stands in a statement, so a percent sign is an operator or one of our places.
        return text.replace("%", "%%").replace("%%s", "%s")
    return text


def parts_of(sql: str) -> frozenset[str]:
    """What a statement is made of, in the words of `PARTS`."""
    return _named(_tree(sql))


def _tree(sql: str) -> Any:
    import sqlglot  # costs 0.1 s of start-up

    return sqlglot.parse_one(sql, read="duckdb")


def _named(tree: Any) -> frozenset[str]:
    return frozenset(type(node).__name__ for node in tree.walk())
