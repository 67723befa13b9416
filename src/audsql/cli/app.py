"""The command group: commands load when they are called, and every way out has its exit code."""

from __future__ import annotations

import importlib
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING

import click

from audsql import __version__
from audsql.cli.console import make_console, prepare_streams, report, say
from audsql.cli.exits import Code, code_of

if TYPE_CHECKING:
    from audsql.diag import Diagnostic
    from audsql.source import SourceMap

__all__ = ["Refusal", "group", "run"]

# Each command stands in its own module as `command`; importing one must stay cheap.
_COMMANDS: Mapping[str, str] = {
    "apply": "apply",
    "blame": "blame",
    "check": "check",
    "completion": "completion",
    "conformance": "conformance",
    "diff": "diff",
    "doctor": "doctor",
    "erase": "erase",
    "eval": "evaluate",
    "explain": "explain",
    "export": "export",
    "flow": "flow",
    "fmt": "fmt",
    "graph": "graph",
    "history": "history",
    "import": "import_",
    "init": "init",
    "lint": "lint",
    "lint-upload": "lint_upload",
    "lock": "lock",
    "overlap": "overlap",
    "pause": "pause",
    "plan": "plan",
    "report": "report",
    "resolve": "resolve",
    "resume": "resume",
    "rollback": "rollback",
    "run": "run",
    "send-test": "send_test",
    "show": "show",
    "sim": "sim",
    "state": "state",
    "status": "status",
    "test": "test",
    "unlock": "unlock",
    "version": "version",
}


class Refusal(click.ClickException):
    """A command stops with diagnostics; the exit code follows from them unless one is given."""

    def __init__(
        self, diagnostics: Sequence[Diagnostic], sources: SourceMap | None = None, code: int | None = None
    ) -> None:
        super().__init__("")
        self.diagnostics = tuple(diagnostics)
        self.sources = sources
        self.code = code if code is not None else int(code_of(diagnostics))


class _Group(click.Group):
    """A group whose commands are imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"audsql.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            from audsql.diag import error
            from audsql.near import nearest

            known = tuple(sorted(_COMMANDS))
            raise Refusal([error("AUD0060", None, name=name, near=nearest(name, known), known=known)])
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `audsql init`, then `audsql check`, `audsql plan`, `audsql apply`.",
)
@click.version_option(__version__, prog_name="audsql", message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context) -> None:
    """LINE audiences and deliveries as text: plan them, review them, apply them once."""
    if ctx.invoked_subcommand is None:
        say(ctx.get_help() + "\n")
        ctx.exit(Code.USAGE)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; nothing but SystemExit of a completion gets out."""
    prepare_streams()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _watched(arguments):
            result = group.main(args=list(arguments), prog_name="audsql", standalone_mode=False)
    except Refusal as refusal:
        report(make_console(_language(arguments)), refusal.diagnostics, refusal.sources)
        return refusal.code
    except click.UsageError as problem:
        report(make_console(_language(arguments)), [_usage(problem, arguments)])
        return Code.USAGE
    except (click.Abort, KeyboardInterrupt):
        from audsql.catalog import word

        say(word("interrupted", make_console(_language(arguments)).language) + "\n")
        return Code.INTERRUPTED
    except OSError as problem:
        return _system_problem(problem, arguments)
    except Exception as problem:  # noqa: BLE001  the last net: a bug gets a report, never a traceback with data
        from audsql.data.engine import EngineFailure

        if isinstance(problem, EngineFailure):
            report(make_console(_language(arguments)), [problem.diagnostic])
            return code_of([problem.diagnostic])
        report(make_console(_language(arguments)), [_bug(problem)])
        return Code.BUG
    return result if isinstance(result, int) else Code.DONE


def _watched(arguments: Sequence[str]) -> AbstractContextManager[None]:
    """Where a person looks on, how far reading is; elsewhere nothing is imported for it."""
    if not sys.stderr.isatty():
        return nullcontext()
    from audsql.cli.progress import watched

    return watched(arguments, _language(arguments))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM is taken like Ctrl-C, so that every clean-up runs."""
    raise KeyboardInterrupt


def _language(arguments: Sequence[str]) -> str | None:
    """`--lang` of a command line that could not be read as a whole."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--lang="):
            return argument.removeprefix("--lang=")
        if argument == "--lang" and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


def _command(arguments: Sequence[str]) -> str:
    """The command that is meant, where the parser stopped before it said so."""
    return f"audsql {arguments[0]}" if arguments and arguments[0] in _COMMANDS else "audsql"


def _usage(problem: click.UsageError, arguments: Sequence[str]) -> Diagnostic:
    from audsql.diag import error
    from audsql.near import nearest

    command = problem.ctx.command_path if problem.ctx else "audsql"
    if isinstance(problem, click.NoSuchOption):
        options = [name for parameter in _parameters(problem) for name in parameter.opts if name.startswith("--")]
        near = nearest(problem.option_name, tuple(sorted(options)))
        return error("AUD0061", None, command=command, option=problem.option_name, near=near)
    missing = extra = option = None
    command = command if problem.ctx else _command(arguments)
    match problem:
        case click.MissingParameter(param=click.Parameter() as parameter):
            missing = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
        case click.BadOptionUsage():
            option = problem.option_name
        case _:
            # click has no type of its own for it; its text is the only mark.
            extra = _EXTRA.match(problem.message)
    told = missing or option or extra
    return error(
        "AUD0062", None, command=command, missing=missing, option=option, extra=extra[1] if extra else None,
        problem=None if told else " ".join(problem.format_message().split()),
    )  # fmt: skip


_EXTRA = re.compile(r"Got unexpected extra arguments? \((.*)\)$", re.DOTALL)


def _parameters(problem: click.UsageError) -> list[click.Parameter]:
    return problem.ctx.command.get_params(problem.ctx) if problem.ctx else []


def _system_problem(problem: OSError, arguments: Sequence[str]) -> int:
    """The system refused (a full disk, say) where no stage expected it: not a bug of ours, not the data's."""
    import os
    from pathlib import Path

    from audsql.diag import error

    name = Path(str(problem.filename)).name if problem.filename else "stdout"
    reason = os.strerror(problem.errno) if problem.errno else type(problem).__name__
    report(make_console(_language(arguments)), [error("AUD0031", None, path=name, reason=reason)])
    return Code.ERROR


def _bug(problem: BaseException) -> Diagnostic:
    """Kind and places only: an exception's own text and its locals may hold people's data."""
    import traceback
    from pathlib import Path

    from audsql.diag import error

    package = Path(__file__).resolve().parent.parent
    frames = traceback.extract_tb(problem.__traceback__)
    places = []
    for frame in frames:
        path = Path(frame.filename).resolve()
        if path.is_relative_to(package):
            places.append(f"{path.relative_to(package).as_posix()}:{frame.lineno}")
    return error("AUD9901", None, kind=type(problem).__name__, places=tuple(places[-5:]), version=__version__)
