"""How the sets of audiences and deliveries differ from those that were applied last. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audsql.meaning.compare import Change, compare_sets
from audsql.meaning.ir import Expression, Project
from audsql.meaning.words import arms_of, to_words, verbs_of

__all__ = ["changes_document", "meanings_of"]


def meanings_of(project: Project) -> dict[str, Expression]:
    """The set of every audience and of every delivery that this project sends, by address (`audience.vip`)."""
    found = {f"audience.{one.name}": one.expression for one in project.audiences}
    for delivery in project.deliveries:
        if delivery.sent_request_id is None:
            found[f"delivery.{delivery.name}"] = delivery.reach
    return dict(sorted(found.items()))


def changes_document(project: Project, applied: Mapping[str, Expression]) -> list[dict[str, Any]]:
    """Every set that is known from the last apply and is another one now, or goes by another name.

    `added` and `removed` are the people who come and go, in the words of the language; None for nobody, and
    where the relation cannot be proved (`undecided`). What means the same is not listed.
    """
    now = meanings_of(project)
    rows = []
    for kind in ("audience", "delivery"):
        after = _of_kind(kind, now)
        before = _of_kind(kind, applied)
        # What was not applied yet is new, and the plan says so elsewhere.
        for change in compare_sets(before, after, kind=kind):
            if change.classification not in ("added", "removed"):
                rows.append(_row(change, project))
    return rows


def _of_kind(kind: str, sets: Mapping[str, Expression]) -> dict[str, Expression]:
    return {address.removeprefix(f"{kind}."): one for address, one in sets.items() if address.startswith(f"{kind}.")}


def _row(change: Change, project: Project) -> dict[str, Any]:
    verbs, arms = verbs_of(project), arms_of(project)
    added, removed = change.added, change.removed
    return {
        "address": change.address,
        "classification": change.classification,
        "old_name": change.old_name,
        "added": None if added is None else to_words(added, verbs, arms),
        "removed": None if removed is None else to_words(removed, verbs, arms),
    }
