"""Values for parameters from outside: the environment, a file of values, the command line.

Rules: params.values of specs/language/08-parameters.md.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.config import read_text
from audsql.diag import Bag, Diagnostic, error
from audsql.records import dataclass

if TYPE_CHECKING:
    from audsql.meaning.expand_values import Given
    from audsql.syntax import ast

__all__ = ["NO_VARIABLES", "VARIABLE_PREFIX", "Variables", "file_values", "read_variables"]

VARIABLE_PREFIX = "AUDSQL_VAR_"


@dataclass(frozen=True, slots=True)
class Variables:
    """Values by rising precedence, and what was wrong with reading them."""

    given: tuple[Given, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over names, values and where they came from; empty where there are none."""
        if not self.given and not self.diagnostics:
            return ""
        parts = "\n".join(repr((one.name, one.value, one.source)) for one in self.given)
        return hashlib.sha256(f"{parts}\n{self.diagnostics!r}".encode("utf-8", "surrogatepass")).hexdigest()


NO_VARIABLES = Variables()


def read_variables(options: Sequence[str], file: Path | None, environment: Mapping[str, str]) -> Variables:
    """Values from the environment, the file and the options `name=value`, the last of a name counts.

    A variable of the environment that no parameter has is no error: it may belong to another project.
    """
    variables = {name: value for name, value in environment.items() if name.startswith(VARIABLE_PREFIX)}
    variables.pop(VARIABLE_PREFIX, None)
    if not variables and not options and file is None:
        return NO_VARIABLES
    # Not above: `check` of what is remembered needs nothing of the language.
    from audsql.meaning.expand_values import Given

    bag = Bag()
    given = [
        Given(name.removeprefix(VARIABLE_PREFIX), value, name, strict=False)
        for name, value in sorted(variables.items())
    ]
    if file is not None:
        text, problems = read_text(file, str(file))
        bag.extend(problems)
        given += file_values(text, file.name, bag) if text is not None else []
    for option in options:
        name, separator, value = option.partition("=")
        if separator and name.strip():
            given.append(Given(name.strip(), value, "--var"))
        else:
            # The text is not repeated: it may be a value whose name was forgotten.
            bag.add(error("AUD0248", None, path="--var"))
    return Variables(tuple(given), bag.sorted())


def file_values(text: str, shown: str, bag: Bag) -> list[Given]:
    """The values of a text of TOML; a table `[common]` holds those of the file that is used as `common`."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        # tomllib's own words may quote the text.
        bag.add(error("AUD0248", None, path=shown))
        return []
    from audsql.meaning.expand_values import Given

    return [Given(name, _value(value), shown) for name, value in _flat(document)]


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values by dotted names, in the order of the text."""
    stack = [("", item) for item in reversed(list(document.items()))]
    while stack:
        prefix, (key, value) = stack.pop()
        if isinstance(value, dict):
            stack.extend((f"{prefix}{key}.", item) for item in reversed(list(value.items())))
        else:
            yield prefix + key, value


def _value(value: Any) -> str | ast.Value | None:
    """A value of TOML as one of the language; text stays text, None where the language has no such type."""
    from audsql.syntax import ast

    match value:
        case str():
            return value
        case bool() | time():
            return None
        case int() | Decimal():
            return ast.Number(Decimal(value)) if Decimal(value).is_finite() else None
        case datetime():
            offset = value.utcoffset()
            minutes = None if offset is None else round(offset.total_seconds() / 60)
            return ast.DateTime(value.year, value.month, value.day, value.hour, value.minute, minutes)
        case date():
            return ast.DateTime(value.year, value.month, value.day)
        case list():
            items = [ast.Text(item) if isinstance(item, str) else _value(item) for item in value]
            known = tuple(item for item in items if item is not None and not isinstance(item, str))
            return ast.ListValue(known) if len(known) == len(items) else None
        case _:
            return None
