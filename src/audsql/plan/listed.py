"""What a plan was made over: files and audiences, as parts of its document. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from audsql.data.engine import LinkageLoss
from audsql.plan.document import Document
from audsql.plan.facts import AudienceFacts, SourceSummary

__all__ = ["audience_document", "linkage_document", "source_document"]


def source_document(one: SourceSummary) -> Document:
    """A file or query that was read."""
    return {
        "name": one.name,
        "kind": one.kind,
        "digest": one.digest,
        "rows": one.rows,
        "people": one.people,
        "encoding": one.encoding,
        "exclusion": one.exclusion,
        "previous_people": one.previous_people,
    }


def audience_document(one: AudienceFacts) -> Document:
    """An audience of the specs, with how many people it has."""
    return {
        "name": one.name,
        "people": one.size.to_document(),
        "previous": one.previous.to_document() if one.previous else None,
        "entering": one.movement.entering if one.movement else None,
        "leaving": one.movement.leaving if one.movement else None,
        **linkage_document(one.linkage),
    }


def linkage_document(losses: Sequence[LinkageLoss]) -> Document:
    """What mapping ids lost, where any were mapped."""
    return {"linkage": [loss.to_document() for loss in losses]} if losses else {}
