"""`audsql explain`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from audsql.cli.app import Refusal
from audsql.cli.console import Console, emit, make_console
from audsql.cli.exits import code_of
from audsql.cli.options import (
    as_of_option,
    format_option,
    open_project,
    parse_as_of,
    project_options,
    report_opened,
    texts_of,
)
from audsql.diag import error

__all__ = ["command"]


@click.command("explain")
@click.argument("subject", metavar="[CODE|NAME]", required=False)
@project_options
@as_of_option
@format_option("human", "json", "mermaid")
@click.option("--person", "person_id", metavar="ID", help="Say what holds of one person, part by part.")
@click.option("--compile", "compiling", is_flag=True, help="Show how a delivery is sent to LINE, and why so.")
@click.pass_context
def command(
    ctx: click.Context,
    subject: str | None,
    project: Path,
    env: str | None,
    lang: str | None,
    as_of: str | None,
    output_format: str,
    person_id: str | None,
    compiling: bool,
) -> None:
    """Explain a message CODE, or a NAME of the project, in plain words.

    A code stands in brackets in a message, as in error[AUD0201]. A name is shown with what it means, how it
    is built, what it uses and what uses it. Without either, the names that can be explained are listed. The
    ID of --person is looked up in your own data and kept nowhere. With --compile and the NAME of a delivery,
    its groups of people, uploads, sends and filters are shown, and why there are not fewer; --format mermaid
    draws them.
    """
    _check_options(ctx, subject, person_id, output_format, compiling)
    if subject is not None and person_id is None and not compiling and re.fullmatch(r"[Aa][Uu][Dd]\d+", subject):
        console = make_console(lang)
        _show(_of_code(subject.upper(), console.language), output_format, console)
        return
    opened, console = open_project(project, env, lang)
    if compiling and subject is not None:
        ctx.exit(_of_delivery(opened, subject, output_format, console))
    elif subject is None:
        _list(opened, person_id, output_format, console)
    elif person_id is not None:
        ctx.exit(_of_person(opened, subject, person_id, as_of, output_format, console))
    else:
        report_opened(console, opened, opened.diagnostics)
        _show(_of_name(subject, opened), output_format, console)


def _check_options(
    ctx: click.Context, subject: str | None, person_id: str | None, output_format: str, compiling: bool
) -> None:
    """Raises UsageError for options that do not go together."""
    if compiling and subject is None:
        raise click.UsageError("--compile needs the NAME of a delivery", ctx)
    if compiling and person_id is not None:
        raise click.UsageError("--compile and --person cannot be combined", ctx)
    if output_format == "mermaid" and not compiling:
        raise click.UsageError("--format mermaid goes with --compile", ctx)


def _show(document: dict[str, Any], output_format: str, console: Console) -> None:
    from audsql.view.explained import explanation, with_words
    from audsql.view.terminal import document_bytes

    as_json = output_format == "json"
    emit(document_bytes(with_words(document)) if as_json else explanation(document, console.out))


def _list(opened: Any, person_id: str | None, output_format: str, console: Console) -> None:
    from audsql import session
    from audsql.view.explained import listing
    from audsql.view.terminal import document_bytes

    if person_id is not None:
        raise Refusal([error("AUD0083", None)])
    document = session.listing(opened)
    emit(document_bytes(document) if output_format == "json" else listing(document, console.out))


def _of_code(code: str, language: str) -> dict[str, Any]:
    from audsql import catalog
    from audsql.near import nearest

    try:
        entry = catalog.entry(code)
    except KeyError:
        raise Refusal([error("AUD0041", None, wanted=code, near=nearest(code, catalog.codes()))]) from None
    texts = entry.text(language)
    sample = {"bad": entry.sample.bad, "good": entry.sample.good} if entry.sample else None
    return {
        "format_version": "1.0",
        "code": code,
        "kind": entry.kind,
        "since": entry.since,
        "rule": entry.rule,
        "title": re.sub(r"\{[a-z_0-9]+\}", "...", texts.title),
        "explain": texts.explain.strip(),
        "sample": sample,
    }


def _of_name(name: str, opened: Any) -> dict[str, Any]:
    """What a name means, how it is built, and what it needs and is needed by."""
    from audsql import session

    document = session.explain(opened, name)
    if document is None:
        raise _unknown(name, opened)
    return document


def _unknown(name: str, opened: Any) -> Refusal:
    from audsql import session
    from audsql.near import nearest_name

    known = tuple(sorted({one for names in session.listing(opened)["names"].values() for one in names}))
    shown = known[:_NAMES_MAX]
    return Refusal([error("AUD0042", None, name=name, near=nearest_name(name, known), known=shown)], texts_of(opened))


_NAMES_MAX = 30


def _of_delivery(opened: Any, name: str, output_format: str, console: Console) -> int:
    """How a delivery is compiled; the exit code is 1 where it cannot be."""
    from audsql import session
    from audsql.near import nearest_name
    from audsql.view import compiled, compiled_graph
    from audsql.view.terminal import document_bytes

    document, diagnostics = session.compiled(opened, name)
    if document is None:
        known = session.deliveries(opened)
        bare = name.removeprefix("delivery.")
        problem = error(
            "AUD0042", None, name=f"delivery.{bare}", near=nearest_name(bare, known), known=known[:_NAMES_MAX]
        )
        raise Refusal([problem], texts_of(opened))
    report_opened(console, opened, (*opened.diagnostics, *diagnostics))
    match output_format:
        case "json":
            emit(document_bytes(compiled.with_words(document)))
        case "mermaid":
            emit(compiled_graph.mermaid(document, console.language))
        case _:
            emit(compiled.page(document, console.out))
    return int(code_of((*opened.diagnostics, *diagnostics)))


def _of_person(opened: Any, name: str, person_id: str, as_of: str | None, output_format: str, console: Console) -> int:
    """The exit code: 0 for an answer, 1 where there is none."""
    from audsql import session
    from audsql.view import explained
    from audsql.view.terminal import document_bytes

    moment = parse_as_of(as_of, opened.config.timezone)
    document, diagnostics = session.person(opened, name, person_id, moment)
    if document is None and not diagnostics:
        raise _unknown(name, opened)
    report_opened(console, opened, diagnostics)
    if document is not None and (document["parts"] or output_format == "json"):
        emit(document_bytes(document) if output_format == "json" else explained.person(document, console.out))
    return int(code_of(diagnostics))
