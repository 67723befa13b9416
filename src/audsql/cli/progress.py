"""Whether this command shows how far it is, and where."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["watched"]


@contextmanager
def watched(arguments: Sequence[str], language: str | None) -> Iterator[None]:
    """Show on stderr how far reading is, where a person looks at it, in `language` if given.

    The line is gone when the block ends."""
    from audsql.cli.console import make_console, say
    from audsql.session.progress import Meter, shown, wanted
    from audsql.view.progress import over, progress_line

    if not wanted(os.environ, tuple(arguments), is_terminal=sys.stderr.isatty()):
        yield
        return
    style = make_console(language).err
    before = [""]

    def write(line: str) -> None:
        say(over(line, before[0]))
        before[0] = line

    with shown(Meter(time.monotonic, lambda progress: progress_line(progress, style), write)):
        yield
