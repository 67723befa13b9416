"""Telling somebody that an apply or run needs them: a command or a webhook of `[notify]`.

Rule `operate.notify` of specs/operations.md. What is told names deliveries and codes and nobody; a notice that does
not arrive is a warning and changes no exit code.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from audsql.diag import Diagnostic, warning

if TYPE_CHECKING:
    from audsql.config import Notify
    from audsql.session.applying import ApplyOutcome
    from audsql.session.project import Opened

__all__ = ["notified", "notify"]

Document = dict[str, Any]
TIMEOUT_SECONDS = 10
_CALLED_ON = (4, 5, 7)
_NAMED_MAX = 50


def notified(opened: Opened, operation: str, outcome: ApplyOutcome) -> ApplyOutcome:
    """The outcome of an apply or run, with a warning where somebody was to be told and could not be."""
    problems = notify(opened, operation, outcome.exit_code, outcome.document, outcome.diagnostics)
    return replace(outcome, diagnostics=(*outcome.diagnostics, *problems)) if problems else outcome


def notify(
    opened: Opened, operation: str, exit_code: int, report: Document | None, diagnostics: Sequence[Diagnostic]
) -> tuple[Diagnostic, ...]:
    """Call what `[notify]` names, where this exit code is one to tell of; a warning where that failed. A rehearsal
    tells nobody."""
    settings = opened.config.notify if opened.config is not None else None
    if settings is None or opened.aside is not None or not (settings.always or exit_code in _CALLED_ON):
        return ()
    document = _document(opened, operation, exit_code, report or {}, diagnostics)
    content = json.dumps(document, ensure_ascii=False, sort_keys=True).encode()
    problem = _call(opened, settings.command, content) if settings.command else _post(settings, content)
    how = "command" if settings.command else "webhook"
    return (warning("AUD0888", None, how=how, problem=problem),) if problem else ()


# --- what is told -----------------------------------------------------------------------------------


def _document(
    opened: Opened, operation: str, exit_code: int, report: Document, diagnostics: Sequence[Diagnostic]
) -> Document:
    """No ids of people, no tokens, no texts of messages; numbers as the size that they have only."""
    assert opened.config is not None
    attention = report.get("needs_person", [])
    summary = report.get("summary", {})
    document = {
        "kind": "audsql.notification",
        "format_version": "1.0",
        "project": opened.config.name,
        "environment": opened.environment,
        "operation": operation,
        "exit_code": exit_code,
        "codes": sorted({one.code for one in diagnostics if one.severity == "error"}),
        "deliveries": [{"delivery": one["delivery"], "state": one["state"]} for one in attention[:_NAMED_MAX]],
        "more": max(0, len(attention) - _NAMED_MAX),
        "paused": list(report.get("paused", []))[:_NAMED_MAX],
        "counts": {name: _bucket(count) for name, count in sorted(summary.items())},
        "next_due": report.get("next_due"),
    }
    return {**document, "text": _text(opened, document)}


def _bucket(count: int) -> str:
    """`0`, `1-9`, `10-99`, …: how large, not how many."""
    if count <= 0:
        return "0"
    low = 10 ** (len(str(count)) - 1)
    return f"{low}-{low * 10 - 1}"


def _text(opened: Opened, document: Document) -> str:
    """One paragraph for a chat, in the project's language."""
    from audsql.catalog import word

    assert opened.config is not None
    language = opened.config.language or "en"
    facts = {name: document[name] for name in ("project", "operation", "exit_code")}
    lines = [word("notify.text", language, **facts), word(f"notify.exit.{_known(document['exit_code'])}", language)]
    for one in document["deliveries"]:
        state = word(f"state.{one['state']}", language)
        lines.append(f"- {word('status.delivery', language, name=one['delivery'], state=state)}")
    if document["codes"]:
        lines.append(" ".join(document["codes"]))
    lines.append(word("notify.see", language))
    return "\n".join(lines)


def _known(exit_code: int) -> str:
    return str(exit_code) if exit_code in (0, *_CALLED_ON) else "other"


# --- how it is told ---------------------------------------------------------------------------------


def _call(opened: Opened, command: Sequence[str], content: bytes) -> str | None:
    """Run a command with the document on its standard input; what went wrong, or None."""
    try:
        process = subprocess.Popen(
            list(command), cwd=opened.home, env=_environment(opened), stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as problem:
        return os.strerror(problem.errno) if isinstance(problem, OSError) and problem.errno else "not runnable"
    try:
        process.communicate(content, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        # It may have started others: they are in its process group, which began with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"timeout {TIMEOUT_SECONDS} s"
    return None if process.returncode == 0 else f"exit {process.returncode}"


def _environment(opened: Opened) -> Mapping[str, str]:
    """The environment without what is secret: tokens, keys, the url of the state."""
    assert opened.config is not None
    secret = {name for name in os.environ if name.startswith("AUDSQL_KEY")}
    if opened.config.state_variable:
        secret.add(opened.config.state_variable)
    if opened.analysis is not None:
        secret |= {account.token_variable for account in opened.analysis.project.accounts}
    return {name: value for name, value in os.environ.items() if name not in secret}


def _post(settings: Notify, content: bytes) -> str | None:
    """Post the document; what went wrong, or None. The address may be a secret and is not told."""
    from audsql.config import webhook_host
    from audsql.line.transport import is_loopback

    url = os.environ.get(settings.webhook_variable, "") if settings.webhook_variable else settings.webhook
    host = webhook_host(url)
    if host is None:
        return "no https address"
    import httpx

    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=not is_loopback(host)) as client:
            answer = client.post(url, content=content, headers={"Content-Type": "application/json"})
    except httpx.TimeoutException:
        return f"timeout {TIMEOUT_SECONDS} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        return "unreachable"
    return None if answer.is_success else f"status {answer.status_code}"
