"""The command line. Commands are thin: each calls the hall (`audsql.session`) and a view."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

__all__ = ["main"]

# A command makes values that live until it ends and hardly any cycles. Looking for cycles after every 700
# new objects, as Python does by itself, costs a check a tenth of its time and finds nothing.
_OBJECTS_BEFORE_COLLECTING = 50_000
# These read and end. What they make is of the size of the texts; people stand in arrays and bitmaps, which hold no
# cycles and go when they are no longer used.
_NEVER_COLLECTING = ("check", "fmt", "lint", "plan")


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
    if arguments[:1] and arguments[0] in _NEVER_COLLECTING:
        gc.disable()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTING)
    from audsql.cli.app import run

    _arm_kill_point()
    sys.exit(run(arguments))


def _arm_kill_point() -> None:
    """For crash tests: AUDSQL_TEST_KILL_AT=n kills this process at the n-th durable write or request."""
    number = os.environ.get("AUDSQL_TEST_KILL_AT", "")
    if number.isascii() and number.isdigit():
        from audsql.apply.journal import arm_kill

        arm_kill(int(number))
