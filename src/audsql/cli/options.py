"""Options that several commands share, and what they lead to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

import click

from audsql.cli.app import Refusal
from audsql.cli.console import Console, emit, make_console, report
from audsql.diag import Diagnostic, error

if TYPE_CHECKING:
    from audsql.session.variables import Variables
    from audsql.source import SourceMap

__all__ = [
    "as_of_option",
    "finish_stated",
    "fix_option",
    "format_option",
    "given_variables",
    "language_option",
    "lock_timeout_option",
    "open_project",
    "override_options",
    "overrides",
    "parse_as_of",
    "policy_option",
    "project_options",
    "prune_option",
    "reason_option",
    "report_opened",
    "stated_reason",
    "texts_of",
]

Function = TypeVar("Function", bound=Callable[..., Any])

_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?))?\s*(Z|[+-]\d{2}:?\d{2})?",
)


def language_option(function: Function) -> Function:
    """`--lang en|ja`."""
    return click.option("--lang", type=click.Choice(["en", "ja"]), help="Language of messages.")(function)


def project_options(function: Function) -> Function:
    """`--project DIR`, `--env NAME`, `--var NAME=VALUE`, `--var-file FILE`, `--lang en|ja`.

    The values of parameters reach no command's own arguments: `open_project` and `given_variables` find them.
    """
    function = language_option(function)
    function = click.option(
        "--var-file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_keep_option,
        help="Values of parameters: a TOML file of NAME = VALUE.",
    )(function)
    function = click.option(
        "--var",
        metavar="NAME=VALUE",
        multiple=True,
        expose_value=False,
        callback=_keep_option,
        help="Value of a parameter; repeatable. Before --var-file, before AUDSQL_VAR_NAME, before its default.",
    )(function)
    function = click.option("--env", "--environment", "env", metavar="NAME", help="Environment of audsql.toml.")(
        function
    )
    return click.option(
        "--project",
        default=".",
        show_default=True,
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Project folder.",
    )(function)


def _keep_option(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    ctx.meta[f"{__name__}.{parameter.name}"] = value
    return value


def given_variables() -> Variables:
    """What the parameters of the project are given by this command line, its file and the environment."""
    import os

    from audsql.session.variables import read_variables

    found = click.get_current_context().meta
    options: tuple[str, ...] = found.get(f"{__name__}.var") or ()
    file: Path | None = found.get(f"{__name__}.var_file")
    return read_variables(options, file, os.environ)


def as_of_option(function: Function) -> Function:
    """`--as-of T`: the instant that data windows end at."""
    return click.option("--as-of", metavar="T", help="Instant that data windows count from; default: now.")(function)


def lock_timeout_option(function: Function) -> Function:
    """`--lock-timeout SECONDS`: how long to wait for a lock that somebody else has; arrives as `lock_seconds`."""
    return click.option(
        "--lock-timeout",
        "lock_seconds",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=0.0,
        help="Wait so long for a lock that somebody else has; default: not at all.",
    )(function)


def fix_option(function: Function) -> Function:
    """`--fix`: make the safe fixes first; arrives as `with_fixes`."""
    return click.option("--fix", "with_fixes", is_flag=True, help="Make the safe fixes, write the files, then go on.")(
        function
    )


def override_options(function: Function) -> Function:
    """`--accept-shrunk NAME … --reason TEXT`: a guard that a person overrules; the reason stays in the history."""
    function = reason_option(required=False)(function)
    return click.option(
        "--accept-shrunk", metavar="NAME", multiple=True, help="A list that is subtracted may have lost people."
    )(function)


def policy_option(function: Function) -> Function:
    """`--accept-policy NAME …`: a policy's demands of sizes and fresh data that a person sets aside."""
    return click.option(
        "--accept-policy", metavar="NAME", multiple=True, help="What a policy requires of sizes and data may fail."
    )(function)


def prune_option(function: Function) -> Function:
    """`--prune`: what deliveries that are gone left at LINE is deleted."""
    return click.option("--prune", is_flag=True, help="Delete what deliveries that are gone left at LINE.")(function)


def reason_option(required: bool = True) -> Callable[[Function], Function]:
    """`--reason TEXT`: why a person does it; it stays in the history."""
    more = {"required": True} if required else {"default": ""}
    return click.option("--reason", metavar="TEXT", help="Why; kept in the history.", **more)


def stated_reason(reason: str, command: str) -> str:
    """The reason as given. Raises Refusal (AUD0052) where it says nothing."""
    if not reason.strip():
        raise Refusal([error("AUD0052", None, option=command)])
    return reason


def finish_stated(
    ctx: click.Context,
    outcome: Any,
    opened: Any,
    console: Console,
    output_format: str,
    human: Callable[[Any, Any], str] | None = None,
) -> None:
    """What a command ends with: diagnostics, the document as JSON or for a person, the exit code.

    `human`: the view of the document; that of the state where it is left out.
    """
    from audsql.view import stated
    from audsql.view.terminal import document_bytes

    report_opened(console, opened, outcome.diagnostics)
    if outcome.document is not None:
        as_json = output_format == "json"
        emit(document_bytes(outcome.document) if as_json else (human or stated.human)(outcome.document, console.out))
    ctx.exit(outcome.exit_code)


def overrides(names: tuple[str, ...], reason: str, option: str = "--accept-shrunk") -> frozenset[str]:
    """The accepted names. Raises Refusal (AUD0052) where no reason is given."""
    if names:
        stated_reason(reason, option)
    return frozenset(names)


def format_option(*choices: str) -> Callable[[Function], Function]:
    """`--format …` and its short form `--json`; both arrive as `output_format`."""

    def decorate(function: Function) -> Function:
        function = click.option(
            "--json", "output_format", flag_value="json", help="Short for --format json.", type=click.Choice(choices)
        )(function)
        return click.option(
            "--format", "output_format", type=click.Choice(choices), default=choices[0], show_default=True
        )(function)

    return decorate


def open_project(
    project: Path, env: str | None, lang: str | None, *, meaning_only: bool = False
) -> tuple[Any, Console]:
    """The opened project and the console in its language; a folder that is no project is refused.

    `meaning_only`: no further expression will be read in it.
    """
    from audsql import session

    opener = session.open_meaning if meaning_only else session.open_project
    opened = opener(project, env, variables=given_variables())
    if opened.config is None:
        raise Refusal(opened.diagnostics, texts_of(opened))
    return opened, make_console(lang, opened.config.language)


def texts_of(opened: Any) -> SourceMap:
    """All texts that a diagnostic may point into, `audsql.toml` among them."""
    texts: SourceMap = getattr(opened, "texts", None) or opened.sources
    return texts


def report_opened(console: Console, opened: Any, diagnostics: Sequence[Diagnostic]) -> None:
    """Diagnostics of a project, for a person, to stderr."""
    report(console, diagnostics, texts_of(opened))


def parse_as_of(text: str | None, timezone: str) -> datetime | None:
    """`--as-of` as an instant; without an offset it is in the project's time zone.

    Raises Refusal (AUD0040) for what is no date.
    """
    if text is None:
        return None
    match = _MOMENT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError(text)
        moment = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}{match[3] or ''}")
    except ValueError:
        raise Refusal([error("AUD0040", None, value=text)]) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))
