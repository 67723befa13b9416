"""An account as LINE has it, read into the facts that planning uses."""

from __future__ import annotations

from audsql.diag import Diagnostic, error
from audsql.line.client import LineClient
from audsql.line.inventory import InventoryFailure, read_inventory
from audsql.line.models import AudienceInfo
from audsql.plan.facts import RemoteAudienceFacts, RemoteFacts

__all__ = ["audience_facts", "read_remote"]


def audience_facts(one: AudienceInfo, shared: bool = False) -> RemoteAudienceFacts:
    kind = "SHARED" if shared else one.kind
    return RemoteAudienceFacts(
        one.id, kind, one.name, one.status, one.count or 0, one.expires_at, one.request_id, one.click_url
    )


def read_remote(client: LineClient, with_shared: bool) -> tuple[RemoteFacts | None, tuple[Diagnostic, ...]]:
    """Everything a plan asks LINE about one account; reads only."""
    found = read_inventory(client, with_shared)
    if isinstance(found, InventoryFailure):
        return None, (found.diagnostic(),)
    if client.clock_is_wrong:
        return None, (error("AUD0861", None, account=client.account, seconds=int(client.clock_skew_seconds() or 0)),)
    audiences = tuple(audience_facts(one) for one in found.audiences)
    shared = tuple(audience_facts(one, shared=True) for one in found.shared)
    # Everybody who ever added the account: friends of today may be more than yesterday's count less blocks.
    followers = found.followers.followers if found.followers else None
    return (
        RemoteFacts(
            client.account, found.bot_id, (*audiences, *shared), found.quota_remaining, followers, found.target_reach
        ),
        (),
    )
