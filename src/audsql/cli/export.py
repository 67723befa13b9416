"""`audsql export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audsql.cli.console import emit
from audsql.cli.exits import Code, code_of
from audsql.cli.options import (
    as_of_option,
    format_option,
    open_project,
    overrides,
    parse_as_of,
    project_options,
    report_opened,
)

__all__ = ["command"]

_KINDS = ("user_id", "phone", "email", "ifa", "member_id")
_DESTINATIONS = ("business-manager", "oa-manager")


@click.command("export")
@click.argument("audience", metavar="AUDIENCE|EXPRESSION")
@click.option(
    "--out", "folder", metavar="FOLDER", required=True, type=click.Path(path_type=Path), help="Folder to make."
)
@click.option("--kind", "id_kind", type=click.Choice(_KINDS), help="Ids to write; default: those of the set.")
@click.option("--for", "destination", type=click.Choice(_DESTINATIONS), help="Where the files are uploaded.")
@click.option("--hash", "algorithm", type=click.Choice(["sha256"]), help="Hash the ids; default: plain.")
@click.option(
    "--phone-form",
    type=click.Choice(["national", "e164"]),
    default="national",
    show_default=True,
    help="What of a telephone number is hashed.",
)
@click.option("--extension", type=click.Choice(["csv", "txt"]), default="csv", show_default=True, help="Of the files.")
@click.option("--to-exclude", is_flag=True, help="The files are used to exclude people: policies are not applied.")
@click.option("--accept-policy", metavar="NAME", multiple=True, help="Apply of a policy only what the data say.")
@click.option("--around-policy", metavar="NAME", multiple=True, help="Do not apply a policy.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the manifest.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@project_options
@as_of_option
@format_option("human", "json")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    audience: str,
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
    **given: Any,
) -> None:
    """Write upload files of a set for LINE's own screens, by the rules of LINE Business Manager.

    Whom the policies of the project keep away is not in them, unless the files are used to exclude people.
    """
    from audsql.session.exporting import export
    from audsql.view.exported import human
    from audsql.view.terminal import document_bytes

    opened, console = open_project(project, env, lang)
    moment = parse_as_of(as_of, opened.config.timezone)
    document, diagnostics = export(opened, audience, _options(given, moment))
    report_opened(console, opened, diagnostics)
    if document is None:
        ctx.exit(code_of(diagnostics) or Code.ERROR)
    emit(document_bytes(document) if output_format == "json" else human(document, console.out))
    ctx.exit(code_of(diagnostics))


def _options(given: dict[str, Any], moment: Any) -> Any:
    """Raises Refusal (AUD0052) where a policy is overruled without a reason."""
    from audsql.session.exporting import ExportOptions

    reason = given["reason"]
    return ExportOptions(
        given["folder"],
        given["id_kind"],
        given["destination"],
        given["algorithm"],
        given["phone_form"],
        f".{given['extension']}",
        given["to_exclude"],
        overrides(given["accept_policy"], reason, "--accept-policy"),
        overrides(given["around_policy"], reason, "--around-policy"),
        reason,
        given["force"],
        moment,
    )
