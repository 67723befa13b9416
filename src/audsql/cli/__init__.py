"""The command line. Commands are thin: each calls the hall (`audsql.session`) and a view."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """The console entry: run the command in `sys.argv` and leave with its exit code."""
    from audsql.cli.app import run

    sys.exit(run(sys.argv[1:]))
