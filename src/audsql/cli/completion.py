"""`audsql completion`."""

from __future__ import annotations

import click

from audsql.cli.console import emit

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a SHELL."""
    from click.shell_completion import get_completion_class

    from audsql.cli.app import group

    completion = get_completion_class(shell)
    assert completion is not None, shell
    emit(completion(group, {}, "audsql", "_AUDSQL_COMPLETE").source() + "\n")
