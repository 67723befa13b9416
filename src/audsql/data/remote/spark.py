"""Spark as an engine: temporary views of one session, each the rows of a finished job.

A kept view is cut off from the plan that made it (`localCheckpoint`): plans do not grow from one set to the next, and
nothing is computed twice. What a lost executor held is gone with it; then the command ends with an error and can be
given again, because a set is made before anything is sent.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audsql.data.engine import EngineFailure
from audsql.data.remote.backend import Column, Piece, failed, missing_package
from audsql.data.remote.emitter import Dialect, column_types, rendered
from audsql.diag import error
from audsql.records import dataclass

__all__ = ["JAVA_MIN", "SparkBackend", "java_version", "open_spark"]

JAVA_MIN = 17
_JAVA_SECONDS = 30
_QUIET = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    # What does not fit a type is an error, never NULL or another number.
    "spark.sql.ansi.enabled": "true",
}


@dataclass(slots=True)
class SparkBackend:
    """Implements `Backend` over one session."""

    session: Any
    kind: Dialect = "spark"
    kept: dict[str, Any] = field(default_factory=dict)

    def load(self, table: str, columns: Sequence[Column], pieces: Iterable[Piece]) -> None:
        schema = column_types(columns, "spark")
        with _failures():
            whole = None
            for piece in pieces:
                # Checked row by row: Spark takes a value of another type for NULL, without a word.
                frame = self.session.createDataFrame(_decimal(piece, columns), schema, verifySchema=True)
                whole = frame if whole is None else whole.unionAll(frame)
            self._keep(table, whole if whole is not None else self.session.createDataFrame([], schema))

    def keep(self, table: str, sql: str, values: Sequence[object]) -> None:
        with _failures():
            self._keep(table, self.session.sql(rendered(sql, "spark"), args=list(values)))

    def rows(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with _failures():
            return [tuple(row) for row in self.session.sql(rendered(sql, "spark"), args=list(values)).collect()]

    def ids(self, sql: str) -> Iterator[str]:
        with _failures():
            for row in self.session.sql(rendered(sql, "spark")).toLocalIterator():
                yield row[0]

    def drop(self, table: str) -> None:
        with _failures():
            self.session.catalog.dropTempView(table)
            self.kept.pop(table).unpersist()

    def close(self) -> None:
        for table in tuple(self.kept):
            try:
                self.drop(table)
            except EngineFailure:
                # The session has ended before; its memory went with it.
                self.kept.pop(table, None)

    def _keep(self, table: str, frame: Any) -> None:
        self.kept[table] = frame.localCheckpoint(eager=True)
        self.kept[table].createOrReplaceTempView(table)


def _decimal(piece: Piece, columns: Sequence[Column]) -> list[tuple[Any, ...]]:
    """The same rows with every number as a decimal, which whole numbers of more than 64 bits must be."""
    places = [at for at, (_, type_name) in enumerate(columns) if type_name == "whole"]
    if not places:
        return list(piece)
    rows = []
    for row in piece:
        values = list(row)
        for at in places:
            values[at] = None if values[at] is None else Decimal(values[at])
        rows.append(tuple(values))
    return rows


class _failures:
    """Spark's own failures as ours. Its message may quote rows, so only the name of the condition is kept."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if problem is not None and type(problem).__module__.partition(".")[0] in ("pyspark", "py4j"):
            raise failed("spark", _reason(problem)) from None


def _reason(problem: BaseException) -> str:
    condition = getattr(problem, "getCondition", lambda: None)()
    return condition or type(problem).__name__


def open_spark(master: str, options: Mapping[str, str] | None = None) -> SparkBackend:
    """A session of its own in the application of this process, which is started where there is none.

    `options`: settings of Spark on top of ours and of what Spark itself is configured with. Raises EngineFailure:
    AUD1070 a package is missing, AUD1071 Java is missing or older than `JAVA_MIN`, AUD1072 the cluster is not there.
    """
    for package in ("pyspark", "sqlglot"):
        if find_spec(package) is None:
            raise missing_package("spark", package)
    found = java_version()
    if found is None or found < JAVA_MIN:
        raise EngineFailure(error("AUD1071", None, found=found, least=JAVA_MIN))
    from pyspark.sql import SparkSession

    if master.startswith("local"):
        # Workers on this machine must be the Python that audsql runs under.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("audsql").master(master)
    for name, value in {**_QUIET, **(options or {})}.items():
        builder = builder.config(name, value)
    try:
        with _failures():
            return SparkBackend(builder.getOrCreate().newSession())
    except EngineFailure as failure:
        reason = str(dict(failure.diagnostic.facts)["reason"])
        raise EngineFailure(error("AUD1072", None, engine="spark", place=master, reason=reason)) from None


def java_version() -> int | None:
    """The major version of the Java that Spark will start; None where there is none."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if java is None:
        return None
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, timeout=_JAVA_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # `version "17.0.15"`; before Java 9 it was `version "1.8.0"`.
    written = re.search(rb'version "(?:1\.)?([0-9]+)', answer.stderr + answer.stdout)
    return int(written[1]) if written else None
