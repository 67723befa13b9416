"""A project on an engine that is elsewhere: eval, plan, apply against the simulator, and what is missing is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from engine_cases import opened, spark_missing
from store_cases import postgres_url

from audsql import session
from audsql.config import parse_config
from audsql.data.engine import EngineFailure
from audsql.data.remote import postgres, spark
from audsql.data.remote.settings import EngineSettings, open_backend, read_engine
from audsql.meaning.ir import Account, Project
from harness import AS_OF, Place, codes, place

PEOPLE = [f"U{number:032x}" for number in range(1, 201)]
WORLD = {
    "now": "2026-11-21T00:00:00+09:00",
    "accounts": {
        "shop": {
            "token": "sim-token",
            "quota": {"type": "limited", "value": 30_000},
            "friends": [{"userId": one} for one in PEOPLE],
        }
    },
}
SPEC = """\
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
upload optout { file: "optout.txt" id: user_id }
upload phones { file: "phones.txt" id: phone }
table members { file: "members.csv"  id: user_id, phone }
table orders { file: "orders.csv"  id: user_id  time: ordered_at  verb purchased by product }
audience bought = purchased(A, last 90 days)
message card { text: "hello" }
delivery sale { to: bought EXCEPT uploaded(optout)  send: card }
"""
FILES = {
    "shop.aud": SPEC,
    "optout.txt": "".join(f"{one}\n" for one in PEOPLE[::10]),
    "phones.txt": "090-1111-0001\n090-1111-0002\n",
    "members.csv": "user_id,phone\n" + "".join(f"{one},0901111{at:04d}\n" for at, one in enumerate(PEOPLE)),
    "orders.csv": "user_id,product,amount,ordered_at\n"
    + "".join(f"{one},{'AB'[at % 2]},{at}.5,2026-11-{1 + at % 20:02d}\n" for at, one in enumerate(PEOPLE)),
}
SENT_TO = {one for at, one in enumerate(PEOPLE) if at % 2 == 0 and at % 10}
ENGINE = '\n[engine]\nkind = "postgres"\nurl = \'env("SHOP_DATABASE")\'\n'


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE", postgres_url())


def on_postgres(here: Place) -> None:
    config = (here.root / "audsql.toml").read_text()
    here.write("audsql.toml", config + ENGINE)


def timeless(document: dict) -> dict:
    """A plan without when it was made; its digests are over that as well."""
    return {key: value for key, value in document.items() if key not in ("created_at", "valid_until", "digest")}


def test_plan_and_apply_on_postgres(tmp_path: Path) -> None:
    with place(tmp_path, WORLD, FILES) as here:
        embedded = here.plan()
        on_postgres(here)
        planned = here.plan()
        assert (codes(planned.diagnostics), timeless(embedded.document)) == ([], timeless(planned.document))
        applied = here.apply(planned.document)
        assert codes(applied.diagnostics) == []
        assert set(here.received()) == SENT_TO
        assert set(here.received().values()) == {1}
        # What was kept is the same for both engines: nothing is left to do, whichever looks.
        again = here.plan()
        here.write(
            "audsql.toml", (here.root / "audsql.toml").read_text().replace(ENGINE.format(url=postgres_url()), "")
        )
        assert timeless(here.plan().document) == timeless(again.document)


def test_eval_membership_and_members_on_postgres(tmp_path: Path) -> None:
    found = []
    with place(tmp_path, WORLD, FILES) as here:
        for at in range(2):
            if at:
                on_postgres(here)
            project = here.opened()
            answers = [
                session.evaluate(project, text, AS_OF)
                for text in (
                    "bought",
                    "bought EXCEPT uploaded(optout)",
                    "uploaded(phones)",
                    'sample(bought, 30%, seed: "a")',
                )
            ]
            found.append([document for document, _ in answers])
            listed = tmp_path / f"members-{at}.txt"
            document, problems = session.evaluate(project, "bought EXCEPT uploaded(optout)", AS_OF, listed)
            assert (document["count"], codes(problems)) == (80, [])
            found[-1].append(listed.read_text())
    assert found[0] == found[1]
    assert set(found[1][-1].split()) == SENT_TO


def test_a_file_that_changed_after_the_plan_is_not_sent_to(tmp_path: Path) -> None:
    with place(tmp_path, WORLD, FILES) as here:
        on_postgres(here)
        planned = here.plan()
        here.write("orders.csv", FILES["orders.csv"] + f"{PEOPLE[1]},A,1,2026-11-20\n")
        applied = here.apply(planned.document)
        assert "AUD0625" in codes(applied.diagnostics)
        assert here.received() == {}


def test_nothing_stays_in_the_database(tmp_path: Path) -> None:
    with place(tmp_path, WORLD, FILES) as here:
        on_postgres(here)
        arguments = ("eval", "bought EXCEPT uploaded(optout)", "--as-of", "2026-11-21")
        assert here.command(*arguments).returncode == 0
    with psycopg.connect(postgres_url()) as connection:
        sql = "SELECT count(*) FROM pg_catalog.pg_class WHERE relname LIKE 'audsql\\_%'"
        assert connection.execute(sql).fetchone() == (0,)


def test_eval_is_a_process_too(tmp_path: Path) -> None:
    with place(tmp_path, WORLD, FILES) as here:
        config = (here.root / "audsql.toml").read_text()
        here.write("audsql.toml", config + '\n[engine]\nkind = "postgres"\nurl = \'env("SHOP_DATABASE")\'\n')
        arguments = ("eval", "bought EXCEPT uploaded(optout)", "--as-of", "2026-11-21", "--format", "json")
        answer = here.command(*arguments, SHOP_DATABASE=postgres_url())
        assert (answer.returncode, json.loads(answer.stdout)["count"]) == (0, 80), answer.stderr
        assert answer.stderr == ""
        refused = here.command(*arguments, SHOP_DATABASE="")
        assert refused.returncode == 64
        assert "AUD0085" in refused.stderr
        assert "SHOP_DATABASE" in refused.stderr
        assert here.command("check").returncode == 0


# --- settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "setting", "problem"),
    [
        ('kind = "postgres"', "url", "missing"),
        ('kind = "spark"', "master", "missing"),
        ('url = "postgresql://host/db"', "url", "not_taken"),
        ('kind = "duckdb"\nmaster = "local[2]"', "master", "not_taken"),
        ('kind = "postgres"\nurl = "postgresql://h/d"\nmaster = "yarn"', "master", "not_taken"),
        ('kind = "postgres"\nurl = "mysql://h/d"', "url", "url"),
        ('kind = "postgres"\nurl = "env(\'X\')"', "url", "url"),
        ('kind = "postgres"\nurl = "postgresql://u:secret@h/d"', "url", "password"),
        ('kind = "postgres"\nurl = "postgresql://h/d?password=secret"', "url", "password"),
        ('kind = "spark"\nmaster = "local[0]"', "master", "master"),
        ('kind = "spark"\nmaster = "sc://host"', "master", "master"),
    ],
)
def test_settings_that_cannot_be(text: str, setting: str, problem: str) -> None:
    config, diagnostics = parse_config(f"[engine]\n{text}\n", "shop", None)
    assert config is None
    assert [one.code for one in diagnostics] == ["AUD0084"]
    assert dict(diagnostics[0].facts)["setting"] == setting
    assert dict(diagnostics[0].facts)["problem"] == problem
    assert "secret" not in repr(diagnostics)


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ('[engine]\nkind = "duckdb"', None, EngineSettings()),
        ('[engine]\nkind = "postgres"\nurl = "postgresql://u@h/d"', None, EngineSettings("postgres", "postgresql://u@h/d")),
        ("[engine]\nkind = \"postgres\"\nurl = 'env(\"X\")'", None, EngineSettings("postgres", variable="X")),
        ('[engine]\nkind = "spark"\nmaster = "local[*]"', None, EngineSettings("spark", master="local[*]")),
        ('[engine]\nkind = "spark"\nmaster = "local-cluster[2,1,1024]"', None,
         EngineSettings("spark", master="local-cluster[2,1,1024]")),
        ('[engine]\nkind = "postgres"\nurl = "postgresql://h/d"\n[env.dev.engine]\nkind = "duckdb"', "dev",
         EngineSettings()),
        ('[env.big.engine]\nkind = "spark"\nmaster = "spark://h:7077"\n[engine]\nkind = "duckdb"', "big",
         EngineSettings("spark", master="spark://h:7077")),
    ],
)  # fmt: skip
def test_settings_that_can_be(text: str, environment: str | None, expected: EngineSettings) -> None:
    config, diagnostics = parse_config(text, "shop", environment)
    assert diagnostics == ()
    assert config is not None
    assert config.engine == expected


def test_an_unknown_kind_is_told_once() -> None:
    config, diagnostics = parse_config('[engine]\nkind = "postgre"\n', "shop", None)
    assert config is None
    assert [(one.code, one.fact("near")) for one in diagnostics] == [("AUD0017", "postgres")]


# --- opening ------------------------------------------------------------------------------------------


def failure_of(settings: EngineSettings) -> dict[str, object]:
    with pytest.raises(EngineFailure) as raised:
        open_backend(settings)
    return {"code": raised.value.diagnostic.code, **dict(raised.value.diagnostic.facts)}


@pytest.mark.parametrize("package", ["psycopg", "sqlglot"])
def test_a_missing_package_of_postgres(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda name: None if name == package else object())
    told = failure_of(EngineSettings("postgres", "postgresql://h/d"))
    assert told == {"code": "AUD1070", "engine": "postgres", "package": package}


@pytest.mark.parametrize("package", ["pyspark", "sqlglot"])
def test_a_missing_package_of_spark(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "find_spec", lambda name: None if name == package else object())
    told = failure_of(EngineSettings("spark", master="local[2]"))
    assert told == {"code": "AUD1070", "engine": "spark", "package": package}


@pytest.mark.parametrize(
    ("answer", "found"),
    [('openjdk version "17.0.15" 2025-04-15', None), ('java version "1.8.0_401"', 8), ('openjdk version "11.0.2"', 11)],
)
def test_java_that_is_missing_or_old(
    answer: str, found: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{answer}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setattr(spark, "find_spec", lambda name: object())
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert spark.java_version() == (found or 17)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path) if found else str(tmp_path / "nothing"))
    told = failure_of(EngineSettings("spark", master="local[2]"))
    assert told == {"code": "AUD1071", "found": found, "least": 17}


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATABASE", "postgresql://anna:secret@127.0.0.1:1/shop")
    told = failure_of(EngineSettings("postgres", variable="SHOP_DATABASE"))
    assert (told["code"], told["engine"], told["place"]) == ("AUD1072", "postgres", "127.0.0.1")
    assert "secret" not in repr(told)
    monkeypatch.delenv("SHOP_DATABASE")
    assert failure_of(EngineSettings("postgres", variable="SHOP_DATABASE"))["code"] == "AUD0085"


def test_a_database_in_another_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS narrow")
        connection.execute("CREATE DATABASE narrow ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    url = psycopg.conninfo.make_conninfo(postgres_url(), dbname="narrow")
    with pytest.raises(EngineFailure) as raised:
        postgres.open_postgres(url)
    assert raised.value.diagnostic.fact("reason") == "server_encoding SQL_ASCII"


def test_a_server_that_goes_away(tmp_path: Path) -> None:
    engine = opened("postgres", tmp_path, Project("shop", "Asia/Tokyo", (Account("shop", "TOKEN"),)))
    engine.session.load_ids(PEOPLE[:3])
    backend = engine.session.backend.connection.info.backend_pid
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", (backend,))
    with pytest.raises(EngineFailure) as raised:
        engine.session.load_ids(PEOPLE[:3])
    told = raised.value.diagnostic
    assert (told.code, told.fact("engine"), told.fact("reason")) == ("AUD1074", "postgres", "57P01")


def test_settings_are_read_without_an_engine() -> None:
    assert read_engine("spark", {"master": "yarn"}) == EngineSettings("spark", master="yarn")
    names = "{'sqlglot', 'psycopg', 'pyspark', 'duckdb', 'numpy'}"
    ask = f"import sys, audsql.config; print(sorted({names} & {{*sys.modules}}))"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


# --- Spark on more than one process -------------------------------------------------------------------

CLUSTER = """
import sys
from pathlib import Path
from harness import AS_OF
from audsql import session
from audsql.data.remote.spark import open_spark

# The workers are processes of their own, with nothing but what travelled.
open_spark("local-cluster[2,1,1024]", {"spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g",
           "spark.executor.memory": "1g", "spark.local.dir": sys.argv[2], "spark.sql.warehouse.dir": sys.argv[2]})
document, problems = session.evaluate(session.open_project(Path(sys.argv[1])), sys.argv[3], AS_OF)
print(document["count"], [one.code for one in problems])
"""


@pytest.mark.skipif(spark_missing() is not None, reason=spark_missing() or "")
def test_a_spark_cluster_has_the_same_people(tmp_path: Path) -> None:
    with place(tmp_path / "project", WORLD, FILES) as here:
        config = (here.root / "audsql.toml").read_text()
        here.write("audsql.toml", config + '\n[engine]\nkind = "spark"\nmaster = "local-cluster[2,1,1024]"\n')
        environment = {
            **os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONPATH": str(Path(__file__).parents[1]),
        }  # fmt: skip
        arguments = [sys.executable, "-c", CLUSTER, str(here.root), str(tmp_path / "spark")]
        answer = subprocess.run(
            [*arguments, "bought EXCEPT uploaded(optout)"], capture_output=True, text=True, env=environment, check=False
        )
        assert answer.stdout.strip().splitlines()[-1:] == ["80 []"], answer.stderr[-2000:]
