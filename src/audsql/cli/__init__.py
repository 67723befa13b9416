"""The command line. Commands are thin: each calls the hall (`audsql.session`) and a view."""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["main"]


def main() -> None:
    """The console entry: run the command in `sys.argv` and leave with its exit code."""
    arguments = sys.argv[1:]
    if arguments == ["version"]:
        # Scripts ask for it often, and most of what a command costs is click. What cannot be written
        # is tried and reported by the command itself.
        from audsql import __version__
        from audsql.cli.console import emit

        with suppress(OSError):
            emit(f"audsql {__version__}\n")
            return
    from audsql.cli.app import run

    sys.exit(run(arguments))
