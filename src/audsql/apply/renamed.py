"""Names of audiences that were changed by hand in LINE, put back: the tag in them is what recovery finds them by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from audsql.apply.context import Context
from audsql.apply.state import AudienceOperation, Resource
from audsql.diag import warning
from audsql.line.outcome import Accepted, Found

__all__ = ["put_names_back"]


def put_names_back(context: Context, plan: Mapping[str, Any]) -> None:
    """Carry out what the plan says about names. Safe to repeat: a name that is right already is left alone.

    A name that LINE does not take is reported (AUD0810) and stops nothing: the audience holds the same people.
    """
    for one in plan.get("drift", ()):
        if one["action"] != "rename" or one["account"] not in context.clients:
            continue
        rows = context.state().generations(one["address"])
        row = next((row for row in rows if row.remote_id == one["remote_id"]), None)
        if row is not None:
            _put_back(context, row)


def _put_back(context: Context, row: Resource) -> None:
    client, remote_id = context.client(row.account), row.remote_id or 0
    found = client.audience(remote_id)
    if isinstance(found, Found) and found.value.audience.name == row.name:
        return
    wanted = AudienceOperation(
        row.address, row.generation, "rename", "intent", row.account, row.name, remote_id=remote_id
    )
    operation = context.put("audience.rename.intent", context.audience_operation(wanted))
    outcome = context.request("audience.rename", lambda: client.rename(remote_id, row.name))
    done = isinstance(outcome, Accepted)
    context.put("audience.rename.done", replace(operation, state="done" if done else "failed"))
    if done:
        context.say("audience_renamed", label=row.name)
    else:
        context.diagnostics.append(warning("AUD0810", None, name=row.name))
