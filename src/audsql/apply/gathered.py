"""The audiences of LINE's own that sends name: made of an earlier send, or found by their name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audsql.apply.audiences import Ready, ensure_line_audience
from audsql.apply.bind import sent_parts, settled
from audsql.apply.context import Context, Stop
from audsql.apply.state import Resource
from audsql.diag import Diagnostic, error
from audsql.line.limits import AUDIENCE_RECIPIENTS_MIN
from audsql.line.outcome import Found
from audsql.plan.audiences import find_named, names_like
from audsql.plan.facts import RemoteFacts

__all__ = ["line_resources", "named_audiences", "not_ready"]


def not_ready(context: Context, row: Resource) -> Diagnostic:
    """An audience that LINE fills itself and does not finish has too few people, most likely."""
    if row.kind not in ("CLICK", "IMP"):
        return error("AUD0852", None, name=row.name, kind=row.kind)
    of = context.program.audience(row.function_key).delivery or ""
    return error("AUD0870", None, name=row.name, kind=row.kind, of=of, minimum=AUDIENCE_RECIPIENTS_MIN)


def line_resources(context: Context, key: str, needed_by: tuple[str, ...]) -> list[Resource]:
    """The audience of an earlier send, asked for; none for one that is found by name, or that cannot be made yet."""
    audience = context.program.audience(key)
    if audience.kind not in ("CLICK", "IMP"):
        return []
    source = context.project.delivery(audience.delivery or "")
    request_id = source.sent_request_id if source else None
    if request_id is None and settled(context.state(), audience.delivery or ""):
        request_id = sent_parts(context.state()).get(audience.delivery or "", {}).get(audience.part)
    made = ensure_line_audience(context, audience, request_id, needed_by) if request_id else None
    if made is None:
        if request_id:
            # The send is settled and LINE does not count it yet.
            context.diagnostics.append(error("AUD0852", None, name=audience.label, kind=audience.kind))
        context.say("waiting_for_delivery", delivery=audience.delivery, label=audience.label)
        return []
    return [made]


def named_audiences(context: Context, keys: Mapping[str, Sequence[str]]) -> dict[str, Ready]:
    """Audiences that were made in LINE's own tools, found by name."""
    found: dict[str, Ready] = {}
    for audience in context.program.audiences:
        if audience.key not in keys or audience.kind in ("CLICK", "IMP"):
            continue
        remote = _remote_audiences(context, audience.account, shared=audience.kind == "SHARED")
        same = find_named(remote, audience)
        if len(same) == 1 and same[0].status == "READY":
            found[audience.key] = Ready(audience.key, same[0].id, same[0].count, None)
        else:
            context.diagnostics.append(
                error(
                    "AUD0711",
                    None,
                    name=audience.name or "",
                    kind=audience.kind,
                    account=audience.account,
                    near=names_like(remote, audience),
                )
            )
    return found


def _remote_audiences(context: Context, account: str, shared: bool) -> RemoteFacts:
    from audsql.apply.remote import audience_facts

    client = context.client(account)
    outcome = client.shared_audiences() if shared else client.audiences()
    if not isinstance(outcome, Found):
        raise Stop(4, (error("AUD0862", None, account=account),))
    return RemoteFacts(account, "", tuple(audience_facts(one, shared) for one in outcome.value), None, None, None)
