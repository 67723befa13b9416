"""The plan document as one pull request comment: verdicts and table first, details after, within GitHub's limit.

Everything that a person wrote is escaped (`view.untrusted`); a comment is read by more people than a plan,
so small numbers of people are not in it (review.small).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

from audsql.catalog import word
from audsql.plan.masking import FLOOR
from audsql.view.comment import Section, fitted
from audsql.view.coupons import COUPON_SIGNS, coupon_reason, coupon_rows
from audsql.view.drift import drift_lines
from audsql.view.flows import FLOW_SIGNS, flow_blocks, flow_reason, people_text
from audsql.view.mermaid import graph_lines
from audsql.view.numbers import duration, linkage_lines, moment, size
from audsql.view.plan import (
    DELIVERY_SIGNS,
    UPLOAD_SIGNS,
    delivery_reason,
    guard_title,
    labels_of,
    listed_changes,
    meaning_line,
    overlap_lines,
    send_lines,
    summary_text,
)
from audsql.view.previews import message_blocks
from audsql.view.shared import count_text, masked
from audsql.view.times import later_quota_lines, time_lines
from audsql.view.untrusted import cut, quoted

__all__ = ["COMMENT_BYTES_MAX", "details", "mark", "plan_comment"]

# GitHub refuses a comment above 65,535 characters, GitLab one above 1,000,000.
COMMENT_BYTES_MAX = 65_000
_NAME_CELLS_MAX = 80
_LINE_CELLS_MAX = 600


def plan_comment(document: Mapping[str, Any], language: str, floor: int = FLOOR) -> str:
    """The comment, at most COMMENT_BYTES_MAX bytes of UTF-8. Its first line is a hidden mark by which a bot finds and
    replaces it. Counts of people below `floor` are hidden, 0: none."""
    shown = masked(document, floor)
    head = Section(tuple(_head(shown, language)), ("",), whole=True)
    tail = "\n".join(_how_to_apply(shown, language)) + "\n"
    sections = [
        head,
        Section((), tuple(_guards(shown, language))),
        _table(shown, language),
        details(word("plan.flows", language), _flows(shown, language)),
        details(word("markdown.graph", language), graph_lines(shown, language), whole=True),
        details(word("markdown.messages", language), message_blocks(shown, language)),
        details(word("plan.meanings", language), _bullets(_meanings(shown, language))),
        details(word("plan.audiences", language), _bullets(_audiences(shown, language))),
        details(word("plan.overlaps", language), _bullets(overlap_lines(dict(shown), language))),
        details(word("plan.times", language), _bullets(time_lines(shown, language))),
        details(word("plan.drift", language), _bullets(drift_lines(dict(shown), language))),
        details(word("markdown.sends", language), _sends(shown, language)),
    ]
    kept = [one for one in sections if one.blocks]
    return fitted(kept, COMMENT_BYTES_MAX - len(tail.encode()) - 1, language) + "\n" + tail


def mark(kind: str, environment: str, **more: str) -> str:
    """The hidden first line. Nothing but letters, digits and `-_.:` can stand in it."""
    facts = {"env": environment, **more}
    return f"<!-- audsql:{kind} {' '.join(f'{name}={_attribute(value)}' for name, value in facts.items())} -->"


def _attribute(text: str) -> str:
    kept = "".join(one if one.isascii() and (one.isalnum() or one in "-_.:") else "_" for one in text[:200])
    # Two hyphens would end the comment in some readers.
    return kept.replace("--", "-_")


def _name(text: str) -> str:
    return quoted(cut(text, _NAME_CELLS_MAX))


def details(title: str, blocks: Iterator[str] | Sequence[str], *, whole: bool = False) -> Section:
    """A section that is folded away. `title` is a word of the catalogue."""
    return Section(("<details>", f"<summary>{title}</summary>", ""), tuple(blocks), ("", "</details>"), whole)


def _bullets(lines: Iterator[str] | Sequence[str]) -> Iterator[str]:
    return (f"- {quoted(cut(line, _LINE_CELLS_MAX))}" for line in lines)


# --- what stands in front -----------------------------------------------------------------------------


def _head(document: Mapping[str, Any], language: str) -> Iterator[str]:
    environment, summary = document["environment"] or "default", document["summary"]
    yield mark("plan", environment, digest=document["digest"])
    yield f"### audsql plan · {_name(document['project'])} · {_name(environment)}"
    yield ""
    yield f"**{summary_text(dict(document))}**"
    yield ""
    yield from (f"- {line}" for line in _facts(document, language))
    if summary["needs_a_person"]:
        yield f"- **{quoted(word('plan.needs_person', language, count=summary['needs_a_person']))}**"
    if not document["applyable"]:
        yield f"- **{word('plan.refused', language)}**"


def _facts(document: Mapping[str, Any], language: str) -> Iterator[str]:
    """One line each: who moves, what it takes of the quota, what that costs, and how long it takes."""
    summary = document["summary"]
    if summary["people_entering"] or summary["people_leaving"]:
        entering, leaving = count_text(summary["people_entering"]), count_text(summary["people_leaving"])
        yield quoted(word("plan.people_moved", language, entering=entering, leaving=leaving))
    for quota in document["quota"]:
        if quota["high"] or "shown" in quota:
            yield _quota(quota, language)
    yield from map(quoted, later_quota_lines(document, language))
    if document["pace"]["waiting_seconds"]:
        yield quoted(word("plan.pace", language, time=duration(document["pace"]["waiting_seconds"], language)))


def _quota(quota: Mapping[str, Any], language: str) -> str:
    exact = quota["low"] == quota["high"]
    messages = size({**quota, "count": quota["low"], "exact": exact})
    account = cut(quota["account"], _NAME_CELLS_MAX)
    if quota["remaining"] is None:
        line = word("plan.quota_unlimited", language, account=account, messages=messages)
    else:
        line = word("plan.quota", language, account=account, messages=messages, remaining=quota["remaining"])
    price = quota.get("yen_per_message")
    if price is None or "shown" in quota:
        return quoted(line)
    yen = int((Decimal(price) * quota["high"]).to_integral_value(ROUND_CEILING))
    return quoted(f"{line} {word('markdown.yen', language, yen=yen, price=price)}")


def _guards(document: Mapping[str, Any], language: str) -> Iterator[str]:
    """Refusals, then warnings, then what else there is to know; each a block of its own."""
    order = {"error": 0, "warning": 1}
    for guard in sorted(document["guards"], key=lambda one: order.get(one["severity"], 2)):
        alert = {"error": "CAUTION", "warning": "WARNING"}.get(guard["severity"], "NOTE")
        title = cut(guard_title(dict(guard), language), _LINE_CELLS_MAX)
        yield f"> [!{alert}]\n> {quoted(guard['code'])}: {quoted(title)}\n"


# --- the table ----------------------------------------------------------------------------------------


def _table(document: Mapping[str, Any], language: str) -> Section:
    titles = [word(f"markdown.{name}", language) for name in ("what", "people", "entering", "leaving", "why")]
    rows = [*_change_rows(document, language), *_delivery_rows(document, language), *_name_rows(document, language)]
    return Section((f"| | {' | '.join(titles)} |", "|--|--|--:|--:|--:|--|"), tuple(rows))


def _row(sign: str, what: str, people: str, entering: str, leaving: str, why: str) -> str:
    return f"| {sign} | {what} | {people} | {entering} | {leaving} | {why} |"


def _delivery_rows(document: Mapping[str, Any], language: str) -> Iterator[str]:
    kind = word("kind.delivery", language)
    deliveries = [one for one in document["deliveries"] if one["action"] != "sent"]
    for one in sorted(deliveries, key=lambda row: (DELIVERY_SIGNS[row["action"]] != "!", row["address"])):
        why = quoted(delivery_reason(one, language))
        name = _name(one["address"].removeprefix("delivery."))
        yield _row(DELIVERY_SIGNS[one["action"]], f"{kind} {name}", size(one["people"]), "", "", why)


def _change_rows(document: Mapping[str, Any], language: str) -> Iterator[str]:
    for one in listed_changes(dict(document)):
        what = f"{word('kind.' + one['type'], language)} {_name(one['label'])}"
        why, sign, people = word(f"reason.{one['reason']}", language), UPLOAD_SIGNS[one["action"]], one.get("people")
        if people is None:
            yield _row(sign, what, "", "", "", why)
            continue
        movement = count_text(people["entering"]), count_text(people["leaving"])
        yield _row(sign, what, f"{count_text(people['before'])} → {count_text(people['after'])}", *movement, why)


def _name_rows(document: Mapping[str, Any], language: str) -> Iterator[str]:
    kind = word("kind.delivery", language)
    for one in document["cancelled"]:
        why = quoted(word("delivery.cancelled", language, at=moment(one["occurrence"])))
        yield _row("-", f"{kind} {_name(one['address'].removeprefix('delivery.'))}", "", "", "", why)
    for one in document.get("moved", ()):
        why = quoted(word("delivery.moved", language, old=cut(one["from"], _NAME_CELLS_MAX)))
        yield _row("~", f"{kind} {_name(one['to'])}", "", "", "", why)
    for one in document.get("removed", ()):
        kept = one["action"] == "keep"
        why = word("removed.keep" if kept else "removed.delete", language, count=len(one["addresses"]))
        yield _row("~" if kept else "-", f"{kind} {_name(one['name'])}", "", "", "", why)
    for one in document.get("flows", ()):
        if one["action"] not in ("keep", "closing"):
            people = people_text(one["entering"]) if one["action"] in ("new", "change", "move") else ""
            what = f"{word('kind.flow', language)} {_name(one['address'].removeprefix('flow.'))}"
            yield _row(FLOW_SIGNS[one["action"]], what, people, "", "", quoted(flow_reason(one, language)))
    for one in coupon_rows(document):
        what = f"{word('kind.coupon', language)} {_name(one['address'].removeprefix('coupon.'))}"
        yield _row(COUPON_SIGNS[one["action"]], what, "", "", "", quoted(coupon_reason(one, language)))


# --- details ------------------------------------------------------------------------------------------


def _meanings(document: Mapping[str, Any], language: str) -> Iterator[str]:
    return (meaning_line(one, language) for one in document.get("changes", ()))


def _audiences(document: Mapping[str, Any], language: str) -> Iterator[str]:
    for one in document["audiences"]:
        movement = (("+", one["entering"]), ("-", one["leaving"]))
        moved = [f"{sign}{count_text(number)}" for sign, number in movement if number]
        people = word("plan.people", language, size=size(one["people"]))
        yield "   ".join([f"{cut(one['name'], _NAME_CELLS_MAX)}: {people}", *moved])
        yield from (f"{cut(one['name'], _NAME_CELLS_MAX)}: {line}" for line in linkage_lines(one, language))


def _flows(document: Mapping[str, Any], language: str) -> Iterator[str]:
    """One block a flow: who enters, and what becomes of the people inside."""
    for block in flow_blocks(document, language):
        first, *rest = (quoted(cut(line, _LINE_CELLS_MAX)) for line in block)
        yield "\n".join([f"- {first}", *(f"  - {line.strip()}" for line in rest)])


def _sends(document: Mapping[str, Any], language: str) -> Iterator[str]:
    """One block a delivery: its set, its policies, its sends."""
    labels = labels_of(document)
    for one in document["deliveries"]:
        lines = send_lines(one, labels, language)
        if lines:
            first, *rest = (quoted(cut(line, _LINE_CELLS_MAX)) for line in lines)
            yield "\n".join([f"- {first}", *(f"  - {line}" for line in rest)])


def _how_to_apply(document: Mapping[str, Any], language: str) -> Iterator[str]:
    if document["applyable"]:
        yield ""
        yield word("markdown.apply", language)
        yield ""
        yield f"`audsql apply PLAN --expect {_attribute(document['digest'])}`"
        if "review_digest" in document:
            yield ""
            yield word("markdown.apply_again", language)
            yield ""
            yield f"`audsql apply --expect {_attribute(document['review_digest'])}`"
