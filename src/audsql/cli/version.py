"""`audsql version`."""

from __future__ import annotations

import click

from audsql import __version__
from audsql.cli.console import emit

__all__ = ["command"]


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        import json
        import platform

        document = {"format_version": "1.0", "version": __version__, "python": platform.python_version()}
        emit(json.dumps(document) + "\n")
    else:
        emit(f"audsql {__version__}\n")
