"""`query:` tables: what is read of a database, exactly and without writing, and what a plan and an apply make of it."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from data_helpers import AS_OF, codes, project, told, user_id
from store_cases import postgres_url

from audsql import session
from audsql.config import parse_config
from audsql.data.cache import entry_paths, read_entry
from audsql.data.connections import Connection, read_connection
from audsql.data.duckdb import DuckEngine, open_engine
from audsql.data.queried import Queries
from audsql.diag import Diagnostic
from audsql.meaning.ir import TableSource
from harness import Place, place
from harness import codes as error_codes

FAR = "postgres"
NEAR = "duckdb"
_schemas = itertools.count()


class Database:
    """A database of one kind with a schema of its own."""

    def __init__(self, kind: str, root: Path) -> None:
        self.kind, self.root = kind, root
        self.schema = f"s{next(_schemas)}_{root.name.replace('-', '_')}"[:60].lower()
        if kind == FAR:
            self.run(f'CREATE SCHEMA "{self.schema}"', path=False)

    @property
    def url(self) -> str:
        url = postgres_url()
        return f"{url}{'&' if '?' in url else '?'}options=-c%20search_path%3D{self.schema}"

    def run(self, *statements: str, path: bool = True) -> None:
        if self.kind == NEAR:
            with duckdb.connect(str(self.root / "warehouse.duckdb")) as near:
                for statement in statements:
                    near.execute(statement)
            return
        with psycopg.connect(self.url if path else postgres_url(), autocommit=True) as far:
            for statement in statements:
                far.execute(statement)  # type: ignore[call-overload]

    def ask(self, statement: str) -> Any:
        if self.kind == NEAR:
            with duckdb.connect(str(self.root / "warehouse.duckdb")) as near:
                return near.execute(statement).fetchall()
        with psycopg.connect(self.url) as far:
            return far.execute(statement).fetchall()  # type: ignore[call-overload]

    def connection(self, **more: Any) -> Connection:
        if self.kind == NEAR:
            return Connection("warehouse", "duckdb", path="warehouse.duckdb", **more)
        return Connection("warehouse", "postgres", self.url, **more)


@pytest.fixture(params=[FAR, NEAR])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return Database(request.param, tmp_path)


@pytest.fixture
def far(tmp_path: Path) -> Database:
    return Database(FAR, tmp_path)


def table(query: str, **more: Any) -> TableSource:
    given = {"ids": (("user_id", "uid"),), "time_column": None, "query": query, "connection": "warehouse", **more}
    return TableSource("orders", "warehouse:orders", **given)


def engine(database: Database, source: TableSource, may_connect: bool = True, **limits: Any) -> DuckEngine:
    queries = Queries({"warehouse": database.connection(**limits)}, may_connect, "default")
    root = database.root
    return open_engine(project(tables=(source,)), root, root / ".audsql" / "cache", queries=queries)


def atom_of(text: str) -> Any:
    """The atom of a call of `orders`."""
    from audsql.meaning.lower import analyse, lower_expression
    from audsql.source import Source
    from audsql.syntax.parse import parse_expression, parse_file

    spec = 'account a { token: env("T") } table orders { file: "o.csv"  id: user_id = uid  time: made }'
    file, _ = parse_file(Source("a.aud", spec))
    analysis, _ = analyse((file,), name="p", timezone="Asia/Tokyo")
    tree, problems = parse_expression(text)
    assert tree is not None, problems
    expression, problems = lower_expression(tree, analysis)
    assert not problems, problems
    return expression.atom  # type: ignore[union-attr]


def members(
    database: Database, source: TableSource, call: str = "orders()", **more: Any
) -> tuple[list[str] | None, tuple[Diagnostic, ...], str]:
    """(ids in order or None, diagnostics, digest of the source)."""
    used = engine(database, source, **more)
    atom = atom_of(call)
    found, problems = used.materialise([atom], AS_OF)
    people = found.people.get(atom.key)
    digest = found.sources["orders"].digest if "orders" in found.sources else ""
    return (None if people is None else list(used.members(people))), problems, digest


def users(*numbers: int) -> list[str]:
    return [user_id(number) for number in numbers]


def insert(rows: Sequence[tuple[int, str]]) -> str:
    return "INSERT INTO orders VALUES " + ", ".join(f"('{user_id(number)}', {rest})" for number, rest in rows)


# --- values ---------------------------------------------------------------------------------------

VALUES = (
    "CREATE TABLE orders (uid text, amount numeric(30,9), big bigint, small int, made timestamp, instant timestamptz,"
    " day date, truth boolean, word text, code uuid)"
)
EXACT: tuple[tuple[str, str, str], ...] = (
    # the value in SQL, a condition that holds of it, one that does not
    ("amount", "123456789012345678.123456789", "orders(amount = 123456789012345678.123456789)"),
    ("amount", "-0.100000000", "orders(amount = -0.1)"),
    ("big", "9007199254740993", "orders(big = 9007199254740993)"),
    ("small", "-7", "orders(small < -6)"),
    ("made", "'2026-11-20 23:59:59.999999'", "orders(made < 2026-11-21 00:00)"),
    ("instant", "'2026-11-20 14:30:00+00'", "orders(instant = 2026-11-20 23:30 +09:00)"),
    ("day", "'2026-11-20'", "orders(day = 2026-11-20)"),
    ("truth", "true", "orders(truth = true)"),
    ("word", "'a, \"b\"'", 'orders(word = "a, \\"b\\"")'),
    ("word", "'か\u3099'", 'orders(word = "が")'),
    ("word", "' x '", 'orders(word = " x ")'),
    ("code", "'6f8ddc6c-58a0-4d0c-9d0a-0f4d5b6f7a10'", 'orders(code = "6f8ddc6c-58a0-4d0c-9d0a-0f4d5b6f7a10")'),
)


def test_every_type_keeps_its_exact_value(database: Database) -> None:
    database.run(VALUES)
    for number, (column, value, _) in enumerate(EXACT, 1):
        database.run(f"INSERT INTO orders (uid, {column}) VALUES ('{user_id(number)}', {value})")
    used = engine(database, table("SELECT * FROM orders"))
    atoms = [atom_of(condition) for _, _, condition in EXACT]
    found, problems = used.materialise([*atoms, atom_of("orders(word is missing)")], AS_OF)
    assert problems == ()
    for number, atom in enumerate(atoms, 1):
        assert list(used.members(found.people[atom.key])) == users(number), atom.key
    missing = list(used.members(found.people[atom_of("orders(word is missing)").key]))
    assert missing == users(*(n for n, (column, _, _) in enumerate(EXACT, 1) if column != "word"))


@pytest.mark.parametrize(
    ("type_far", "type_near"),
    [("double precision", "double"), ("real", "float"), ("text[]", "varchar[]"), ("bytea", "blob"),
     ("interval", "interval"), ("time", "time"), ("json", "struct(a int)")],
)  # fmt: skip
def test_a_type_without_an_exact_text_is_refused_with_its_column(tmp_path: Path, type_far: str, type_near: str) -> None:
    for kind, name in ((FAR, type_far), (NEAR, type_near)):
        database = Database(kind, tmp_path)
        database.run(f"CREATE TABLE orders (uid text, odd {name})")
        found, problems, _ = members(database, table("SELECT * FROM orders"))
        assert (found, codes(problems), told(problems[0])["column"]) == (None, ["AUD1096"], "odd"), kind


def test_padded_characters_are_refused(far: Database) -> None:
    far.run("CREATE TABLE orders (uid char(33))")
    assert codes(members(far, table("SELECT * FROM orders"))[1]) == ["AUD1096"]


@pytest.mark.parametrize("cell", ["'NaN'::numeric", "'infinity'::numeric"])
def test_a_number_that_is_none_is_told_with_its_row(far: Database, cell: str) -> None:
    far.run("CREATE TABLE orders (uid text, amount numeric)", insert([(1, "5"), (2, cell)]))
    _, problems, _ = members(far, table("SELECT * FROM orders ORDER BY uid"), "orders(amount > 1)")
    assert codes(problems) == ["AUD1040"] and told(problems[0])["lines"] == ("2",)


@pytest.mark.parametrize("cell", ["'infinity'", "'0044-03-15 BC'"])
def test_a_time_that_is_none_is_told_with_its_row(far: Database, cell: str) -> None:
    far.run("CREATE TABLE orders (uid text, made timestamptz)", insert([(1, "now()"), (2, cell)]))
    source = table("SELECT * FROM orders ORDER BY uid", time_column="made")
    _, problems, _ = members(far, source, "orders(last 3 days)")
    assert codes(problems) == ["AUD1041"] and told(problems[0])["lines"] == ("2",)


def test_ids_obey_the_same_rules_and_bad_ones_have_their_row(database: Database) -> None:
    rows = ["U1", "line\nbreak", "x", user_id(0xABC).upper()]
    values = ", ".join(f"('{row}', {n})" for n, row in enumerate([user_id(9), *rows]))
    database.run("CREATE TABLE orders (uid text, n int)", f"INSERT INTO orders VALUES {values}")
    found, problems, _ = members(database, table("SELECT uid, n FROM orders ORDER BY n"))
    told_of = {problem.code: told(problem)["lines"] for problem in problems}
    assert found is None and told_of == {"AUD1017": ("3",), "AUD1018": ("5",), "AUD1019": ("2", "4")}
    assert all(told(problem)["file"] == "warehouse:orders" for problem in problems)


def test_one_column_with_missing_ids(database: Database) -> None:
    database.run("CREATE TABLE orders (uid text)", f"INSERT INTO orders VALUES ('{user_id(1)}'), (NULL), ('')")
    used = engine(database, table("SELECT uid FROM orders"))
    found, problems = used.materialise([atom_of("orders()")], AS_OF)
    facts = found.sources["orders"]
    assert (problems, facts.rows, facts.people, facts.blank_ids) == ((), 3, 1, 2)


def test_columns_that_are_missing_or_stand_twice(database: Database) -> None:
    database.run("CREATE TABLE orders (uid text)", insert_ids(1))
    assert codes(members(database, table("SELECT uid AS other FROM orders"))[1]) == ["AUD1039"]
    assert codes(members(database, table('SELECT uid, 1 AS "A", 2 AS "A" FROM orders'))[1]) == ["AUD1033"]


def test_names_that_look_like_something_else(database: Database) -> None:
    database.run("CREATE TABLE orders (uid text)", f"INSERT INTO orders VALUES ('{user_id(1)}')")
    for name in ("PAR1", "%PDF", 'a""b', "列 1", "a,b"):
        found, problems, _ = members(database, table(f'SELECT 1 AS "{name}", uid FROM orders'))
        assert (found, problems) == (users(1), ()), name


# --- digests --------------------------------------------------------------------------------------


def test_equal_rows_in_any_order_have_one_digest_and_other_rows_another(database: Database) -> None:
    database.run("CREATE TABLE orders (uid text, n int)", insert([(n, str(n % 3)) for n in range(1, 40)]))
    up = members(database, table("SELECT * FROM orders ORDER BY uid"))
    down = members(database, table("SELECT * FROM orders ORDER BY uid DESC"))
    assert up[0] == down[0] and up[2] == down[2]
    swapped = members(database, table("SELECT n, uid FROM orders"))
    twice = members(database, table("SELECT * FROM orders UNION ALL SELECT * FROM orders WHERE n = 1"))
    database.run("UPDATE orders SET n = 7 WHERE n = 1")
    changed = members(database, table("SELECT * FROM orders ORDER BY uid"))
    assert len({up[2], swapped[2], twice[2], changed[2]}) == 4


def test_an_unchanged_result_is_answered_from_the_cache(far: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    far.run("CREATE TABLE orders (uid text)", insert_ids(1, 2))
    assert members(far, table("SELECT * FROM orders"))[0] == users(1, 2)
    monkeypatch.setattr("audsql.data.duckdb.evaluate_table", None)
    assert members(far, table("SELECT * FROM orders ORDER BY 1 DESC"))[0] == users(1, 2)


def insert_ids(*numbers: int) -> str:
    return "INSERT INTO orders VALUES " + ", ".join(f"('{user_id(number)}')" for number in numbers)


# --- one statement that only reads ----------------------------------------------------------------

WRITES = (
    "SELECT uid FROM orders; DELETE FROM orders",
    "DELETE FROM orders RETURNING uid",
    "INSERT INTO orders SELECT uid FROM orders RETURNING uid",
    "WITH gone AS (DELETE FROM orders RETURNING uid) SELECT uid FROM gone",
    "SELECT uid FROM orders) TO STDOUT; DELETE FROM orders; --",
    "SELECT uid FROM orders) AS q (c0)) TO PROGRAM 'touch /tmp/audsql-never' --",
    "COPY orders TO STDOUT",
    "TRUNCATE orders",
    "SELECT uid FROM orders WHERE uid = $1",
    "SELEC uid FROM orders",
    "SELECT nothing FROM orders",
    "",
    ";",
)


@pytest.mark.parametrize("query", WRITES)
def test_what_is_not_one_select_is_refused_and_changes_nothing(database: Database, query: str) -> None:
    database.run("CREATE TABLE orders (uid text)", insert_ids(1, 2))
    found, problems, _ = members(database, table(query or " "))
    assert (found, codes(problems)) == (None, ["AUD1098"])
    assert len(database.ask("SELECT uid FROM orders")) == 2


def test_a_function_that_writes_is_refused_by_the_transaction(far: Database) -> None:
    far.run(
        "CREATE TABLE orders (uid text)", insert_ids(1), "CREATE SEQUENCE numbers",
        "CREATE FUNCTION drop_all() RETURNS text LANGUAGE sql AS $$ DELETE FROM orders RETURNING uid $$",
    )  # fmt: skip
    for query in ("SELECT drop_all() AS uid", "SELECT nextval('numbers')::text AS uid",
                  "SELECT set_config('transaction_read_only', 'off', true) AS uid, drop_all() AS x"):  # fmt: skip
        _, problems, _ = members(far, table(query))
        assert (codes(problems), told(problems[0])["connection"]) == (["AUD1098"], "warehouse"), query
    assert len(far.ask("SELECT uid FROM orders")) == 1


@pytest.mark.parametrize("end", [" ;\n ", "\n-- a comment"])
def test_how_a_query_may_end(database: Database, end: str) -> None:
    database.run("CREATE TABLE orders (uid text)", insert_ids(3))
    query = f"WITH few AS (SELECT uid FROM orders) SELECT uid FROM few{end}"
    assert members(database, table(query))[0] == users(3)


def test_what_is_wrong_is_told_with_the_line_of_the_query_and_without_a_row(far: Database) -> None:
    far.run("CREATE TABLE orders (uid text)", "INSERT INTO orders VALUES ('secret value')")
    _, problems, _ = members(far, table("SELECT uid\nFROM orders\nWHERE nothing = 1"))
    assert told(problems[0]) == {"table": "orders", "connection": "warehouse", "reason": "UndefinedColumn", "line": 3}
    _, problems, _ = members(far, table("SELECT uid, uid::int AS n FROM orders"))
    assert told(problems[0])["reason"] == "InvalidTextRepresentation" and "secret" not in repr(problems)


def test_the_files_of_a_project_through_duckdbs_readers_and_no_others(tmp_path: Path) -> None:
    database = Database(NEAR, tmp_path / "project")
    database.root.mkdir()
    (database.root / "o.csv").write_text(f"uid\n{user_id(1)}\n")
    (tmp_path / "outside.csv").write_text(f"uid\n{user_id(2)}\n")
    database.run("CREATE TABLE none (n int)")
    source = table("SELECT uid FROM read_csv(getvariable('project') || '/o.csv')")
    assert members(database, source)[0] == users(1)
    for other in (f"read_csv('{tmp_path}/outside.csv')", "read_csv(getvariable('project') || '/../outside.csv')",
                  "read_csv('https://example.com/o.csv')", "postgres_query('x', 'SELECT 1')"):  # fmt: skip
        query = f"SELECT uid FROM {other}"
        found, problems, _ = members(database, table(query))
        assert (found, codes(problems)) == (None, ["AUD1098"]), query


# --- limits ---------------------------------------------------------------------------------------


def test_rows_and_bytes_beyond_the_limit_are_not_used_in_part(database: Database) -> None:
    database.run(
        "CREATE TABLE orders (uid text, word text)", insert([(n, "repeat('x', 1000)") for n in range(1, 1501)])
    )
    source = table("SELECT * FROM orders")
    assert len(members(database, source, rows_max=1500)[0] or ()) == 1500
    for limits, setting in (({"rows_max": 1499}, "rows_max"), ({"mebibytes_max": 1}, "mebibytes_max")):
        found, problems, _ = members(database, source, **limits)
        assert (found, codes(problems), told(problems[0])["setting"]) == (None, ["AUD1097"], setting)


SLOW = {FAR: "SELECT pg_sleep(600)::text AS uid", NEAR: "SELECT sum(a.range * b.range)::varchar AS uid "
        "FROM range(100000000) a, range(100000000) b"}  # fmt: skip


def test_a_query_that_takes_too_long_is_stopped(database: Database) -> None:
    database.run("CREATE TABLE orders (uid text)")
    found, problems, _ = members(database, table(SLOW[database.kind]), timeout_seconds=1)
    assert (found, codes(problems), told(problems[0])["setting"]) == (None, ["AUD1097"], "timeout_seconds")


# --- where it is ----------------------------------------------------------------------------------


def with_config(text: str) -> tuple[Connection | None, list[tuple[str, Any]]]:
    config, problems = parse_config(f"[connection.warehouse]\n{text}\n", "shop", None)
    found = config.connections["warehouse"] if config else None
    return found, [(one.code, one.facts) for one in problems]


@pytest.mark.parametrize(
    ("text", "setting", "problem"),
    [
        ('url = "postgresql://h/d"', "kind", "missing"),
        ('kind = "oracle"', "kind", "kind"),
        ('kind = "postgres"', "url", "missing"),
        ('kind = "postgres"\nurl = "mysql://h/d"', "url", "url"),
        ('kind = "postgres"\nurl = "postgresql://anna:hunter2@h/d"', "url", "password"),
        ('kind = "postgres"\nurl = "postgresql://h/d?password=hunter2"', "url", "password"),
        ('kind = "postgres"\nurl = "postgresql://h/d"\npath = "x"', "path", "not_taken"),
        ('kind = "duckdb"\nurl = "postgresql://h/d"', "url", "not_taken"),
        ('kind = "duckdb"\npath = "../x.duckdb"', "path", "path"),
        ('kind = "duckdb"\npath = "/x.duckdb"', "path", "path"),
    ],
)
def test_settings_that_do_not_fit(text: str, setting: str, problem: str) -> None:
    found, problems = with_config(text)
    assert found is None
    assert [(code, dict(facts)) for code, facts in problems] == [
        ("AUD0091", {"connection": "warehouse", "setting": setting, "problem": problem})
    ]
    assert "hunter2" not in repr(problems)


def test_settings_that_fit() -> None:
    found, _ = with_config('kind = "postgres"\nurl = \'env("WAREHOUSE_URL")\'\nrows_max = 5\ntimeout_seconds = 9')
    assert found == Connection("warehouse", "postgres", "", "WAREHOUSE_URL", "", 5, timeout_seconds=9)
    assert with_config('kind = "duckdb"')[0] == read_connection("warehouse", {"kind": "duckdb"})
    overlaid, _ = parse_config(
        '[connection.w]\nkind = "duckdb"\npath = "a"\n[env.x.connection.w]\npath = "b"\n', "shop", "x"
    )
    assert overlaid is not None and overlaid.connections["w"].path == "b"


def test_a_limit_out_of_its_range() -> None:
    assert [code for code, _ in with_config('kind = "duckdb"\nrows_max = 0')[1]] == ["AUD0670"]


PASSWORD = "hunter2-very-secret"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://anna:{PASSWORD}@127.0.0.1:1/none",
        f"postgresql://anna:{PASSWORD}@127.0.0.1:bad/none",
        f"postgresql:///none?host=/nowhere&password={PASSWORD}",
        f"{PASSWORD}",
    ],
)
def test_a_server_that_is_not_there_is_told_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", url)
    queries = Queries({"warehouse": Connection("warehouse", "postgres", variable="WAREHOUSE_URL")}, True)
    used = open_engine(project(tables=(table("SELECT 1"),)), tmp_path, tmp_path / "cache", queries=queries)
    _, problems = used.materialise([atom_of("orders()")], AS_OF)
    assert codes(problems) == ["AUD1093"] and PASSWORD not in repr(problems)


def test_a_variable_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAREHOUSE_URL", raising=False)
    queries = Queries({"warehouse": Connection("warehouse", "postgres", variable="WAREHOUSE_URL")}, True)
    used = open_engine(project(tables=(table("SELECT 1"),)), tmp_path, tmp_path / "cache", queries=queries)
    _, problems = used.materialise([atom_of("orders()")], AS_OF)
    assert codes(problems) == ["AUD0092"] and told(problems[0])["variable"] == "WAREHOUSE_URL"


def test_a_database_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    database = Database(NEAR, tmp_path)
    assert codes(members(database, table("SELECT 1 AS uid"))[1]) == ["AUD1093"]
    assert not (tmp_path / "warehouse.duckdb").exists()


# --- freshness ------------------------------------------------------------------------------------


def newest(database: Database, source: TableSource) -> datetime | None:
    found, problems = engine(database, source).materialise([atom_of("orders()")], AS_OF)
    assert not problems or codes(problems) == ["AUD1005"], problems
    return found.sources["orders"].modified


@pytest.mark.parametrize(
    ("type_name", "cell", "expected"),
    [
        ("timestamptz", "'2026-11-20 10:00+00'", "2026-11-20T10:00:00+00:00"),
        ("timestamp", "'2026-11-20 10:00'", "2026-11-20T10:00:00+09:00"),
        ("date", "'2026-11-20'", "2026-11-20T00:00:00+09:00"),
    ],
)
def test_a_result_is_as_old_as_its_newest_time(database: Database, type_name: str, cell: str, expected: str) -> None:
    rows = insert([(1, cell), (2, "'2026-01-01'"), (3, "NULL"), (4, "'2027-01-01'"), (5, "'infinity'")])
    database.run(f"CREATE TABLE orders (uid text, made {type_name})", rows)
    source = table("SELECT * FROM orders", time_column="made", fresh_hours=24)
    assert newest(database, source) == datetime.fromisoformat(expected)


def test_a_result_without_a_time_is_as_old_as_can_be(database: Database) -> None:
    database.run("CREATE TABLE orders (uid text, made timestamp)")
    source = table("SELECT * FROM orders", time_column="made", fresh_hours=24)
    found = newest(database, source)
    assert found is not None and AS_OF - found > timedelta(days=10_000)


def test_a_time_column_of_text_has_no_age(database: Database) -> None:
    database.run("CREATE TABLE orders (uid text, made text)", insert([(1, "'2026-11-20'")]))
    source = table("SELECT * FROM orders", time_column="made", fresh_hours=24)
    assert codes(members(database, source)[1]) == ["AUD1099"]
    assert members(database, replace(source, fresh_hours=None))[0] == users(1)


# --- from plan to inbox ---------------------------------------------------------------------------

SPEC = """
account shop {{ token: env("LINE_CHANNEL_ACCESS_TOKEN") }}
table orders {{
  query: "SELECT uid, item, made FROM orders"
  connection: warehouse
  id: user_id = uid
  time: made
  {fresh}
  verb purchased by item
}}
table gone {{
  query: "SELECT uid, '2026-11-20 23:00+09'::timestamptz AS made FROM gone"
  connection: warehouse
  id: user_id = uid
  time: made
  {fresh}
}}
message hello {{ text: "hello" }}
delivery sale {{ to: purchased(A) AND friends EXCEPT gone()  send: hello }}
{policy}
"""
TABLES = ("CREATE TABLE orders (uid text, item text, made timestamptz)", "CREATE TABLE gone (uid text)")


@pytest.fixture
def here(far: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Place, Database]]:
    rows = [(n, f"'{'A' if n <= 120 else 'B'}', '2026-11-20 12:00+09'") for n in range(1, 201)]
    far.run(*TABLES, insert(rows), f"INSERT INTO gone VALUES ('{user_id(1)}')")
    friends = [{"userId": user_id(n), "status": "following", "followedAt": "2025-01-01T00:00:00+09:00"}
               for n in range(1, 301)]  # fmt: skip
    account = {"token": "sim-token", "quota": {"type": "limited", "value": 30000}, "friends": friends, "sends": [],
               "audiences": []}  # fmt: skip
    world = {"now": "2026-11-21T00:00:00+09:00", "accounts": {"shop": account}}
    monkeypatch.setenv("WAREHOUSE_URL", far.url)
    with place(tmp_path, world, {"x.aud": SPEC.format(fresh="", policy="")}) as made:
        config = tmp_path / "audsql.toml"
        more = '\n[connection.warehouse]\nkind = "postgres"\nurl = \'env("WAREHOUSE_URL")\'\n'
        config.write_text(config.read_text() + more)
        yield made, far


def sent_to(here: Place) -> set[int]:
    assert set(here.received().values()) <= {1}
    return {int(user[1:], 16) for user in here.received()}


def test_from_a_query_to_the_inbox(here: tuple[Place, Database]) -> None:
    made, _ = here
    plan = made.plan()
    assert plan.document is not None, plan.diagnostics
    assert {one["name"]: one["rows"] for one in plan.document["sources"]} == {"orders": 200, "gone": 1}
    assert made.plan().document == plan.document
    assert "postgresql" not in repr(plan.document)
    done = made.apply(plan.document)
    assert done.exit_code == 0, done.diagnostics
    assert sent_to(made) == set(range(2, 121))


def test_rows_that_came_after_the_plan_are_not_sent_to_and_opt_outs_are(here: tuple[Place, Database]) -> None:
    made, database = here
    plan = made.plan()
    late = insert([(250, "'A', '2026-11-20 13:00+09'")])
    database.run(
        late, "DELETE FROM orders WHERE uid = '" + user_id(50) + "'", f"INSERT INTO gone VALUES ('{user_id(2)}')"
    )
    done = made.apply(plan.document)
    assert done.exit_code == 0, done.diagnostics
    assert sent_to(made) == set(range(3, 121))


def test_a_moved_result_that_is_not_kept_makes_the_plan_stale(here: tuple[Place, Database]) -> None:
    made, database = here
    plan = made.plan()
    database.run(insert([(250, "'A', '2026-11-20 13:00+09'")]))
    for entry in (made.root / ".audsql" / "cache" / "leaves").iterdir():
        entry.unlink()
    done = made.apply(plan.document)
    assert error_codes(done.diagnostics) == ["AUD0625"] and not made.received()


def test_no_exclusion_is_sent_around_where_the_database_is_gone(
    here: tuple[Place, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = here
    plan = made.plan()
    monkeypatch.setenv("WAREHOUSE_URL", f"postgresql://anna:{PASSWORD}@127.0.0.1:1/none")
    done = made.apply(plan.document)
    assert error_codes(done.diagnostics) == ["AUD1093"] and not made.received()
    assert made.plan().document is None
    monkeypatch.delenv("WAREHOUSE_URL")
    assert error_codes(made.plan().diagnostics) == ["AUD0092", "AUD0092"]
    for path in made.root.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def test_stale_rows_stop_what_asks_for_fresh_ones(here: tuple[Place, Database]) -> None:
    made, database = here
    policy = "policy house { require freshness }"
    made.write("x.aud", SPEC.format(fresh="fresh: within 24 hours", policy=policy))
    assert made.plan().document is not None and not error_codes(made.plan().diagnostics)
    made.write("x.aud", SPEC.format(fresh="fresh: within 6 hours", policy=policy))
    stale = made.plan()
    assert error_codes(stale.diagnostics), stale.diagnostics
    database.run(insert([(150, "'B', '2026-11-20 20:00+09'")]))
    assert not error_codes(made.plan().diagnostics)


def test_only_plan_and_apply_connect(here: tuple[Place, Database], monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = here

    def evaluated(text: str) -> tuple[int | None, list[str]]:
        document, problems = session.evaluate(made.opened(), text, AS_OF)
        return (document["count"] if document else None), [one.code for one in problems]

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("connected")

    with monkeypatch.context() as patched:
        patched.setattr(psycopg, "connect", refuse)
        patched.setattr(socket.socket, "connect", refuse)
        assert not session.check(made.opened())
        assert session.plan_offline(made.opened(), None).document is not None
        assert evaluated("purchased(A)") == (None, ["AUD1094"])
    assert made.plan().document is not None
    with monkeypatch.context() as patched:
        patched.setattr(psycopg, "connect", refuse)
        assert evaluated("purchased(A)") == (120, ["AUD1095"])
        assert evaluated("purchased(B)") == (None, ["AUD1094"])
        # What was read last is an entry of the cache like any other.
        for entry in entry_paths(made.root / ".audsql" / "cache"):
            found = read_entry(entry)
            if found is not None and "read_at" in found.header:
                entry.write_bytes(entry.read_bytes()[:-1] + b"?")
        assert evaluated("purchased(A)") == (None, ["AUD1094"])
    assert made.plan().document is not None and evaluated("purchased(A)")[0] == 120


def test_a_connection_of_a_wrong_name_is_told_before_anything_runs(here: tuple[Place, Database]) -> None:
    made, _ = here
    made.write("x.aud", SPEC.format(fresh="", policy="").replace("connection: warehouse", "connection: warehous"))
    found = session.check(made.opened())
    assert [one.code for one in found] == ["AUD0090", "AUD0090"] and told(found[0])["near"] == "warehouse"
