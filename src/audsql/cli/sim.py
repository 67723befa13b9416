"""`audsql sim`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import click

from audsql.cli.app import Refusal
from audsql.cli.options import language_option
from audsql.diag import error

__all__ = ["command"]


@click.command("sim")
@click.option("--world", required=True, metavar="FILE", type=click.Path(path_type=Path), help="World file (JSON).")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--ready-file", metavar="FILE", type=click.Path(path_type=Path), help="Written with the URL once ready.")
@click.option(
    "--webhooks", metavar="FILE", type=click.Path(path_type=Path), help="Follow and unfollow events are appended to it."
)
@language_option
def command(world: Path, port: int, ready_file: Path | None, webhooks: Path | None, lang: str | None) -> None:
    """Run the LINE simulator until it is stopped.

    Its URL is printed, and written to --ready-file once it answers.
    """
    document = _read_world(world)
    from audsql.sim.server import run_simulator

    try:
        run_simulator(document, port, ready_file, webhooks)
    except OSError as problem:
        raise Refusal([error("AUD0071", None, port=str(port), reason=os.strerror(problem.errno or 0))]) from None


def _read_world(path: Path) -> dict[str, Any]:
    """A world's document; one that cannot be read is refused before anything listens."""
    from audsql.sim.worldfile import load

    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        load(document)
    except OSError as problem:
        raise Refusal([error("AUD0005", None, path=str(path), reason=os.strerror(problem.errno or 0))]) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise Refusal([error("AUD0070", None, path=str(path), problem=_problem(problem))]) from None
    return document


def _problem(problem: Exception) -> str:
    """What is wrong in one line, without the id of a person."""
    line = (str(problem).splitlines() or [""])[0]
    return f"{type(problem).__name__}: {re.sub(r'U[0-9a-f]{8,}', 'U...', line)}"
