"""Documents that only look: status, doctor."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from audsql.config import toml_key
from audsql.diag import Diagnostic, has_errors
from audsql.plan.definition import EVERY
from audsql.session.agenda import agenda_of, flows_inside
from audsql.session.planning import state_of
from audsql.session.project import Opened, check
from audsql.session.serving import runners_of

__all__ = ["doctor", "status"]

Document = dict[str, Any]


def status(opened: Opened) -> tuple[Document, tuple[Diagnostic, ...], int]:
    """Everything that was approved and what became of it. Exit 7 while something needs a person."""
    state, problems = state_of(opened)
    if state is None:
        codes = [one.code for one in problems]
        return {"kind": "audsql.status", "serial": 0, "occurrences": [], "resources": [], "errors": codes}, problems, 1
    zone = ZoneInfo(opened.config.timezone if opened.config else "UTC")
    occurrences = [
        {
            "id": row.id,
            "delivery": row.name,
            "account": row.account,
            "time": row.time,
            "at": row.at.astimezone(zone).isoformat() if row.at else None,
            "state": row.state,
            "operations": [
                {
                    "id": one.id,
                    "state": one.state,
                    "kind": one.kind,
                    "request_id": one.request_id,
                    "error_code": one.error_code,
                    "success_count": one.counts.get("success"),
                }
                for one in state.operations_of(row.id)
            ],
        }
        for row in state.occurrences
        if row.time != EVERY
    ]
    resources = [
        {
            "address": row.address,
            "generation": row.generation,
            "name": row.name,
            "kind": row.kind,
            "status": row.status,
            "size": row.size,
            "remote_id": row.remote_id,
            "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        }
        for row in state.resources
    ]
    runners, found = runners_of(opened, datetime.now(UTC)) if state.lineage else ([], ())
    document = {
        "kind": "audsql.status", "format_version": "1.0", "lineage": state.lineage, "serial": state.serial,
        **agenda_of(opened, state), "flows": flows_inside(opened, state), "runners": runners,
        "occurrences": occurrences, "resources": resources,
    }  # fmt: skip
    return document, found, 7 if found or document["needs_person"] else 0


def doctor(opened: Opened | None) -> Document:
    """What works here. Tokens are looked for, never shown."""
    checks = [
        _check("python", "ok", "doctor.version", text=platform.python_version()),
        _check("platform", "ok", "doctor.version", text=sys.platform),
        _grammar(),
    ]
    if opened is not None and opened.config is not None:
        problems = check(opened)
        bad = sum(one.severity == "error" for one in problems)
        checks.append(_check("project", "error" if bad else "ok", "doctor.problems", count=bad))
        checks += _accounts(opened)
        checks.append(_keys(opened))
        checks.append(_check("privacy", "ok", "doctor.floor", floor=opened.config.floor))
        checks.append(_check("retention", "ok", "doctor.retention", **asdict(opened.config.retention)))
        state, found = state_of(opened)
        if state is None:
            checks.append(_check("state", "error", "doctor.code", code=found[0].code))
        else:
            checks.append(_check("state", "ok", "doctor.serial", serial=state.serial))
    return {"kind": "audsql.doctor", "format_version": "1.0", "checks": checks}


def _check(name: str, status: str, detail: str, **facts: Any) -> Document:
    """`detail` is a word of the catalogue, `facts` what stands in it."""
    return {"name": name, "status": status, "detail": detail, "facts": facts}


def _keys(opened: Opened) -> Document:
    from audsql.data.engine import EngineFailure
    from audsql.session.keys import keys_of

    try:
        keys = keys_of(opened)
    except EngineFailure as failure:
        return _check("keys", "error", "doctor.code", code=failure.diagnostic.code)
    if keys is None:
        return _check("keys", "ok", "doctor.no_key")
    return _check("keys", "ok", "doctor.key", key_id=keys.key_id, older=len(keys.secrets) - 1)


def _grammar() -> Document:
    from audsql.syntax.parse import parse_expression

    _, problems = parse_expression("friends")
    bad = has_errors(problems)
    return _check("grammar", "error" if bad else "ok", "doctor.problems", count=len(problems))


def _accounts(opened: Opened) -> list[Document]:
    assert opened.analysis is not None and opened.config is not None
    rows = []
    for account in opened.analysis.project.accounts:
        endpoint = opened.config.endpoints.get(account.name)
        name, variable = f"account {account.name}", account.token_variable
        if endpoint is None:
            rows.append(_check(name, "warning", "doctor.no_endpoint", account=toml_key(account.name)))
        elif not os.environ.get(variable):
            rows.append(_check(name, "warning", "doctor.no_token", endpoint=endpoint, variable=variable))
        else:
            rows.append(_check(name, "ok", "doctor.account", endpoint=endpoint, variable=variable))
    return rows
