"""What a reviewer of a plan looks at besides numbers: its messages, and one digest of all that a person approves.

A plan's own digest covers its times too, so the same plan made again has another one. The digest for
review leaves out what moves by itself (review.digest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audsql.line.messages import link_hosts
from audsql.meaning.ir import Message, Project
from audsql.plan.document import Document, digest_of
from audsql.plan.personal import previews_document

__all__ = ["messages_document", "review_digest"]

# What is approved by a person who reviews a plan. Counts of quota, paces and times of the account move by themselves.
_APPROVED = (
    "project", "environment", "endpoints", "bots", "limits_version", "spec_digest", "cancelled", "moved", "removed",
    "changes",
)  # fmt: skip
_APPROVED_OF_DELIVERIES = ("address", "account", "action", "occurrence", "at", "definition", "people")
# Who stands where moves by itself; how many enter at once does not, and neither does what is approved.
_APPROVED_OF_FLOWS = ("address", "account", "action", "version", "before", "from", "policies", "entering", "arms")
_APPROVED_OF_CHANGES = ("address", "type", "account", "label", "action", "reason", "needed_by", "people")
# The later ones outweigh the earlier ones where deliveries share a message.
_STATES = ("same", "changed", "new")


def messages_document(
    uses: Sequence[tuple[str, Sequence[str], str]], messages: Mapping[str, Sequence[Any]], project: Project
) -> list[Document]:
    """Each message that is about to be sent, by name: what it is made of and where its links lead.

    `uses`: a delivery's address, the names of its messages, and whether what it says is `new`, `changed` or the
    `same` since it was approved. `messages`: LINE message objects by name, of personal ones with their templates.
    """
    addresses: dict[str, list[str]] = {}
    states: dict[str, str] = {}
    for address, names, state in uses:
        for name in dict.fromkeys(names):
            addresses.setdefault(name, []).append(address)
            states[name] = max(state, states.get(name, "same"), key=_STATES.index)
    personal = {one.name: one for one in project.messages if one.personal}
    return [
        {
            **_message(name, messages.get(name, ()), states[name], addresses[name]),
            **(_previews(personal[name], messages.get(name, ()), project) if name in personal else {}),
        }
        for name in sorted(addresses)
    ]


def _previews(message: Message, content: Sequence[Any], project: Project) -> Document:
    """What a personal message is filled in from, and how it looks for people who do not exist."""
    return {
        "personal": {
            "table": message.table,
            "columns": [one.name for one in message.fields if not one.pool],
            "codes": sorted({one.pool for one in message.fields if one.pool}),
            "previews": previews_document(message, content, project.timezone),
        }
    }


def _message(name: str, content: Sequence[Any], state: str, addresses: Sequence[str]) -> Document:
    return {
        "name": name,
        "state": state,
        "digest": digest_of(list(content)),
        "kinds": [str(one.get("type", "?")) for one in content],
        "link_hosts": list(link_hosts(list(content))),
        "deliveries": sorted(addresses),
    }


def review_digest(document: Mapping[str, Any]) -> str:
    """`sha256:…` over what a person approves: specs, data as read, who gets what and how many they are.

    The same for a plan that is made again later while neither specs, data nor what is at LINE moved. It holds
    the digests of the data's bytes and no keyed fingerprint, so that it is the same on every machine.
    """
    return digest_of(
        {
            **{name: document[name] for name in _APPROVED},
            "as_of": document["as_of"] if document["as_of_given"] else None,
            "sources": [{"name": one["name"], "digest": one["digest"]} for one in document["sources"]],
            "audiences": [{"name": one["name"], "people": one["people"]} for one in document["audiences"]],
            "resource_changes": [
                {name: one.get(name) for name in _APPROVED_OF_CHANGES}
                for one in document["resource_changes"]
                if one["action"] not in ("keep", "find")
            ],
            "deliveries": [{name: one[name] for name in _APPROVED_OF_DELIVERIES} for one in document["deliveries"]],
            **_flows(document),
            "guards": [{"code": one["code"], "severity": one["severity"]} for one in document["guards"]],
        }
    )


def _flows(document: Mapping[str, Any]) -> Document:
    """What a person approves of flows, where there are any."""
    flows = document.get("flows", ())
    return {"flows": [{name: one[name] for name in _APPROVED_OF_FLOWS} for one in flows]} if flows else {}
