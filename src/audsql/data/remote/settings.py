"""`[engine]` of `audsql.toml`: which engine evaluates a project's own data, and where it is.

Nothing is looked up here: whether a package, Java or a server is there is asked when an engine is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from audsql.data.engine import EngineFailure
from audsql.diag import error
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.data.remote.backend import Backend

__all__ = ["EMBEDDED", "KINDS", "EngineSettings", "Problem", "open_backend", "read_engine"]

Kind = Literal["duckdb", "postgres", "spark"]
Problem = Literal["missing", "not_taken", "url", "password", "master"]
KINDS: tuple[Kind, ...] = ("duckdb", "postgres", "spark")
_TAKES = {"url": "postgres", "master": "spark"}
_VARIABLE = re.compile(r"env\(\"([A-Za-z_][A-Za-z0-9_]*)\"\)")
_URL = re.compile(r"postgres(ql)?://[^\0\s]+")
_PASSWORD = re.compile(r"://[^/?#]*:[^/?#]*@|[?&]password=")
_MASTER = re.compile(
    r"local(\[(\*|[1-9][0-9]*)(,\s*[0-9]+)?\])?|local-cluster\[[0-9]+,[0-9]+,[0-9]+\]|spark://\S+|k8s://\S+|yarn"
)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`url` of PostgreSQL, or `variable`: the environment variable that holds it; `master` of Spark."""

    kind: Kind = "duckdb"
    url: str = ""
    variable: str | None = None
    master: str = ""


EMBEDDED = EngineSettings()


def read_engine(kind: Kind, settings: Mapping[str, str]) -> EngineSettings | tuple[str, Problem]:
    """The engine of that kind with these settings as text, or the setting that does not fit and why."""
    for key, of in _TAKES.items():
        if key in settings and of != kind:
            return key, "not_taken"
        if key not in settings and of == kind:
            return key, "missing"
    url, master = settings.get("url", ""), settings.get("master", "")
    if kind == "spark" and not _MASTER.fullmatch(master):
        return "master", "master"
    variable = _VARIABLE.fullmatch(url)
    if kind == "postgres" and variable is None:
        if not _URL.fullmatch(url):
            return "url", "url"
        if _PASSWORD.search(url):
            return "url", "password"
    return EngineSettings(kind, "" if variable else url, variable[1] if variable else None, master)


def open_backend(settings: EngineSettings) -> Backend:
    """A session of the engine that is elsewhere. Raises EngineFailure: AUD0085 where the environment lacks the
    variable, and what `open_postgres` and `open_spark` raise."""
    if settings.kind == "spark":
        from audsql.data.remote.spark import open_spark

        return open_spark(settings.master)
    from audsql.data.remote.postgres import open_postgres

    url = settings.url or os.environ.get(settings.variable or "", "")
    if not url:
        raise EngineFailure(error("AUD0085", None, variable=settings.variable or ""))
    return open_postgres(url)
