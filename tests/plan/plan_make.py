"""A small project with one delivery, as values, to be planned; every part can be replaced by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from audsql.compile.program import (
    AudienceLeaf,
    CompiledDelivery,
    LineAudience,
    Narrowcast,
    Program,
    Recipient,
    UploadFunction,
)
from audsql.meaning.ir import Delivery, Leaf, Project, Uploaded
from audsql.plan.definition import definition_digest, occurrence_time
from audsql.plan.facts import (
    DeliveryFacts,
    ExcludedLinkage,
    Facts,
    Losses,
    Movement,
    PartFacts,
    RemoteAudienceFacts,
    RemoteFacts,
    Size,
    SourceSummary,
    UploadFacts,
)
from audsql.plan.occurrence import Known, not_after
from audsql.plan.plan import PlanInputs

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
AT = NOW + timedelta(days=10)
KEY = "ab12cd34ef"
BUYERS = Leaf(Uploaded("buyers"))
ACCOUNT = RemoteFacts("shop", "Ubot", (), 30_000, 1_000, 500)
MESSAGES = {"card": ({"type": "text", "text": "セール"},)}
UPLOAD = UploadFunction(KEY, "shop", BUYERS, "buyers")


def line_audience(kind: str = "CHAT_TAG", **changes: Any) -> LineAudience:
    return replace(LineAudience("cafe01", "shop", kind, "VIP", name="VIP"), **changes)


def remote_audience(**changes: Any) -> RemoteAudienceFacts:
    return replace(RemoteAudienceFacts(7, "CHAT_TAG", "VIP", "READY", 200), **changes)


def narrowcast(**changes: Any) -> Narrowcast:
    recipient: Recipient = AudienceLeaf(KEY)
    return replace(Narrowcast(0, recipient, None, BUYERS, BUYERS), **changes)


def remote(**changes: Any) -> RemoteFacts:
    return replace(ACCOUNT, **changes)


def source(**changes: Any) -> SourceSummary:
    base = SourceSummary("optout", "upload", "sha256:0", 10, 10, "utf-8", True, previous_people=10, left=0)
    return replace(base, **changes)


def make(
    *,
    delivery: Mapping[str, Any] | None = None,
    send: Narrowcast | None = None,
    audiences: tuple[LineAudience, ...] = (),
    others: tuple[Delivery, ...] = (),
    size: Size | None = None,
    bound: int | None = 60,
    remote: RemoteFacts = ACCOUNT,
    sources: tuple[SourceSummary, ...] = (),
    linkages: tuple[ExcludedLinkage, ...] = (),
    losses: Losses | None = None,
    now: datetime = NOW,
    state: str | None = None,
    definition: str | None = None,
    previous: Size | None = None,
    declared: Mapping[str, Any] | None = None,
    uploads: tuple[str, ...] = (KEY,),
    **inputs: Any,
) -> PlanInputs:
    """`state`: the delivery's occurrence is recorded as that, with `definition` or the one that it has.
    `previous`: its size at the last apply; `declared`: what else the project says."""
    one = replace(Delivery("sale", "shop", BUYERS, BUYERS, "uploaded(buyers)", ("card",), AT), **(delivery or {}))
    keys = tuple(audience.key for audience in audiences)
    compiled = CompiledDelivery("sale", "shop", BUYERS, (send or narrowcast(),), uploads, keys)
    if state is not None:
        digest = definition if definition is not None else definition_digest(one, compiled, MESSAGES)
        end = not_after(one.at) if one.at else None
        row = Known(occurrence_time(one), state, digest, one.at, end, name="sale", account="shop")
        inputs["occurrences"] = {"sale": (row,), **inputs.get("occurrences", {})}
    facts = Facts(
        as_of=now,
        as_of_given=False,
        now=now,
        sources=sources,
        excluded_linkages=linkages,
        uploads={KEY: UploadFacts(KEY, 60, "f1", False, Movement(60, 0))},
        deliveries={
            "sale": DeliveryFacts("sale", size or Size(60, 60), (PartFacts(0, bound),), previous, losses=losses)
        },
        remotes={"shop": remote},
    )
    deliveries = tuple(sorted((one, *others), key=lambda row: row.name))
    project = replace(Project("shop", "Asia/Tokyo", deliveries=deliveries), **(declared or {}))
    program = Program((UPLOAD,), audiences, (compiled,))
    return PlanInputs(
        project, program, facts, MESSAGES, "default", f"sha256:{'0' * 64}", "0.1.0", endpoints={"shop": "sim"}, **inputs
    )
