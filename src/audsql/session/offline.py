"""A plan without data: what the specs alone say. No token, no network, no data file, no state (review.offline).

It is what an untrusted change gets before anybody has looked at it. It has another kind than a plan, so no
apply takes it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audsql.diag import error, has_errors
from audsql.session.differing import diff
from audsql.session.planning import PlanOutcome
from audsql.session.project import Opened, check, compiled, messages_of, open_project, spec_digest
from audsql.session.revision import write_revision
from audsql.session.variables import NO_VARIABLES, Variables

__all__ = ["plan_offline"]

Document = dict[str, Any]
_FORMAT_VERSION = "1.0"
_Messages = Mapping[str, Sequence[Any]]


def plan_offline(opened: Opened, base: str | None, variables: Variables = NO_VARIABLES) -> PlanOutcome:
    """What changes in meaning against a Git revision or folder (None: nothing is compared), how each delivery is
    compiled, and what its messages are. No sizes."""
    problems = check(opened)
    if opened.analysis is None or has_errors(problems):
        return PlanOutcome(None, problems)
    if base is None:
        return PlanOutcome(_document(opened, None, {}), problems)
    with tempfile.TemporaryDirectory(prefix="audsql-base-") as folder:
        commit = None
        if Path(base).is_dir():
            former = Path(base)
        else:
            revision, refused = write_revision(opened.root, base, Path(folder))
            if revision is None:
                return PlanOutcome(None, (*problems, *refused))
            former, commit = revision.root, revision.commit
        outcome = diff(opened, str(former), variables=variables)
        if outcome.document is None:
            # The places of these errors are in texts that the caller does not have.
            count = sum(one.severity == "error" for one in outcome.diagnostics)
            return PlanOutcome(None, (*problems, error("AUD0068", None, base=base, count=count)))
        environment = opened.config.environment if opened.config else None
        before = messages_of(open_project(former, environment, variables=variables))[0]
    comparison = {**outcome.document, "base": {"name": base, "commit": commit}}
    return PlanOutcome(_document(opened, comparison, before), problems)


def _document(opened: Opened, comparison: Document | None, before: _Messages) -> Document:
    from audsql import __version__
    from audsql.plan.document import sealed

    assert opened.analysis is not None and opened.config is not None
    messages, _ = messages_of(opened)
    return sealed(
        {
            "kind": "audsql.offline_plan",
            "format_version": _FORMAT_VERSION,
            "tool_version": __version__,
            "without_data": True,
            "applyable": False,
            "project": opened.config.name,
            "environment": opened.environment,
            "spec_digest": spec_digest(opened, messages),
            "base": comparison["base"] if comparison else None,
            "comparison": comparison,
            "labels": _labels(opened),
            "deliveries": _deliveries(opened, messages),
            "messages": _messages(opened, messages, before if comparison else None),
        }
    )


def _labels(opened: Opened) -> dict[str, str]:
    """What the audiences in recipient trees are called, by key."""
    program = compiled(opened)[0]
    labels = {one.key: one.label for one in program.uploads} | {one.key: one.label for one in program.audiences}
    return dict(sorted(labels.items()))


def _deliveries(opened: Opened, messages: _Messages) -> list[Document]:
    from audsql.compile.program import Narrowcast
    from audsql.plan.definition import definition, filter_document, occurrence_time, recipient_document

    assert opened.analysis is not None
    program, project = compiled(opened)[0], opened.analysis.project
    rows = []
    for one in program.deliveries:
        delivery = project.delivery(one.name)
        if delivery is None:
            continue
        sends: list[Document] = []
        for send in one.sends:
            row: Document = {"part": send.part, "kind": send.kind}
            if isinstance(send, Narrowcast):
                row |= {"recipient": recipient_document(send.recipient), "filter": filter_document(send.filter)}
            sends.append(row)
        rows.append(
            {
                "address": f"delivery.{one.name}",
                "account": delivery.account,
                "occurrence": occurrence_time(delivery),
                "at": delivery.at.isoformat(timespec="seconds") if delivery.at else None,
                "to": delivery.to_text,
                "policies": list(delivery.policies),
                "messages": list(delivery.messages),
                "sends": sends,
                "waits_for": list(one.waits_for),
                "content": definition(delivery, one, messages)["messages"],
            }
        )
    return sorted(rows, key=lambda row: str(row["address"]))


def _messages(opened: Opened, messages: _Messages, before: _Messages | None) -> list[Document]:
    from audsql.plan.document import digest_of
    from audsql.plan.review import messages_document

    def state(name: str) -> str:
        if before is None or name not in before:
            return "new"
        return "same" if digest_of(list(before[name])) == digest_of(list(messages.get(name, ()))) else "changed"

    assert opened.analysis is not None
    uses = [
        (f"delivery.{one.name}", (name,), state(name))
        for one in opened.analysis.project.deliveries
        for name in one.messages
    ]
    return messages_document(uses, messages, opened.analysis.project)
