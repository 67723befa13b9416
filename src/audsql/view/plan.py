"""The plan document as terminal text.

`No changes.`, `Plan: …` at the start of a line are fixed in every language: scripts look for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from audsql import catalog
from audsql.catalog import word
from audsql.source import cell_width
from audsql.view.coupons import COUPON_SIGNS, coupon_reason, coupon_rows
from audsql.view.drift import drift_lines
from audsql.view.flows import FLOW_SIGNS, flow_blocks, flow_reason
from audsql.view.numbers import duration, linkage_lines, losses_lines, moment, signed, size
from audsql.view.operated import pause_lines
from audsql.view.previews import message_lines
from audsql.view.terminal import Colour, Style, left, neutralise, right
from audsql.view.times import later_quota_lines, time_lines
from audsql.view.untrusted import cut

__all__ = [
    "DELIVERY_SIGNS", "UPLOAD_SIGNS", "delivery_reason", "guard_title", "human", "labels_of", "listed_changes",
    "meaning_line", "overlap_lines", "send_lines", "summary_text",
]  # fmt: skip

UPLOAD_SIGNS = {"create": "+", "add": "~", "replace": "±", "wait": "+", "keep": "=", "find": "="}
DELIVERY_SIGNS = {
    "send": "+",
    "schedule": "+",
    "update": "~",
    "resume": "~",
    "keep": "=",
    "sent": "=",
    "attention": "!",
    "past": "!",
    "closed": ".",
    "edited": "!",
}
_REPEATS = ("schedule", "update", "keep")
_ASCII_SIGNS = {"±": "+/-", "→": "->"}
_COLOURS: dict[str, Colour] = {"+": "green", "~": "yellow", "±": "yellow", "-": "red", "!": "red", "=": "dim"}
_LABEL_CELLS_MAX = 48

_Row = tuple[str, ...]


def human(document: dict[str, Any], style: Style, *, reported: bool = False) -> str:
    """Header, changes, audiences, verdicts, summary: the last line matters most.

    `reported`: the verdicts were shown in full beside; only those that refuse the plan are repeated.
    """
    sections = [
        [_header(document, style)],
        list(_changes(document, style)),
        list(_flows(document, style)),
        list(_drift(document, style)),
        list(_messages(document, style)),
        list(_meanings(document, style)),
        list(_audiences(document, style)),
        list(_overlaps(document, style)),
        list(_times(document, style)),
        list(_guards(document, style, reported)),
        list(_summary(document, style)),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _header(document: dict[str, Any], style: Style) -> str:
    as_of = moment(document["as_of"])
    name = neutralise(document["project"])
    if document["environment"] not in (None, "default"):
        name += f" ({neutralise(document['environment'])})"
    parts = [
        word("plan.header_state", style.language, serial=document["state"]["serial"]),
        word("plan.header_as_of", style.language, as_of=as_of),
    ]
    return f"{style.paint('bold', f'audsql plan  {name}')}   {'   '.join(parts)}"


# --- what changes -----------------------------------------------------------------------------------


def listed_changes(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The resource changes to show: those that something is done for, in address order."""
    return [one for one in document["resource_changes"] if one["action"] not in ("keep", "find")]


def _changes(document: dict[str, Any], style: Style) -> Iterator[str]:
    rows = [_resource_row(one, style) for one in listed_changes(document)]
    deliveries = [one for one in document["deliveries"] if one["action"] != "sent"]
    rows += [_delivery_row(one, style) for one in sorted(deliveries, key=_urgency)]
    rows += [_cancelled_row(one, style) for one in document["cancelled"]]
    rows += [_moved_row(one, style) for one in document.get("moved", ())]
    rows += [_removed_row(one, style) for one in document.get("removed", ())]
    rows += [_flow_row(one, style) for one in document.get("flows", ()) if one["action"] not in ("keep", "closing")]
    rows += [_coupon_row(one, style) for one in coupon_rows(document)]
    yield from _table(rows, style)
    labels = labels_of(document)
    for one in sorted(deliveries, key=_urgency):
        yield from _sends(one, labels, style)


def _urgency(delivery: dict[str, Any]) -> tuple[bool, str]:
    """What needs a person stands first, then by address."""
    return DELIVERY_SIGNS.get(delivery["action"]) != "!", delivery["address"]


def _resource_row(one: dict[str, Any], style: Style) -> _Row:
    people = one.get("people")
    kind = word(f"kind.{one['type']}", style.language)
    reason = word(f"reason.{one['reason']}", style.language)
    if people is None:
        return (UPLOAD_SIGNS[one["action"]], kind, _label(one["label"]), "", "", "", reason)
    movement = f"{people['before']:,} {_sign('→', style)} {people['after']:,}"
    entering, leaving = signed(people["entering"], "+"), signed(people["leaving"], "-")
    return (UPLOAD_SIGNS[one["action"]], kind, _label(one["label"]), movement, entering, leaving, reason)


def _delivery_row(one: dict[str, Any], style: Style) -> _Row:
    name = _label(one["address"].removeprefix("delivery."))
    reason = delivery_reason(one, style.language)
    people = word("plan.people", style.language, size=size(one["people"]))
    return (DELIVERY_SIGNS[one["action"]], word("kind.delivery", style.language), name, people, "", "", reason)


def delivery_reason(one: Mapping[str, Any], language: str) -> str:
    """What is done about a delivery, with its time; of a repetition, its next time."""
    following = one["repeats"]["next"] if "repeats" in one else ()
    at = following[0]["at"] if following else one["at"]
    shown = moment(at) if at else word("plan.now", language)
    key = f"repeats.{one['action']}" if following and one["action"] in _REPEATS else f"delivery.{one['action']}"
    return word(key, language, at=shown)


def _cancelled_row(one: dict[str, Any], style: Style) -> _Row:
    name = _label(one["address"].removeprefix("delivery."))
    reason = word("delivery.cancelled", style.language, at=moment(one["occurrence"]))
    return ("-", word("kind.delivery", style.language), name, "", "", "", reason)


def _moved_row(one: dict[str, Any], style: Style) -> _Row:
    """A record that goes on under another name; nothing is sent for it."""
    reason = word("delivery.moved", style.language, old=neutralise(one["from"]))
    return ("~", word("kind.delivery", style.language), _label(one["to"]), "", "", "", reason)


def _removed_row(one: dict[str, Any], style: Style) -> _Row:
    """What becomes of the uploads of a delivery that is gone."""
    kept = one["action"] == "keep"
    reason = word("removed.keep" if kept else "removed.delete", style.language, count=len(one["addresses"]))
    return ("~" if kept else "-", word("kind.delivery", style.language), _label(one["name"]), "", "", "", reason)


def _flow_row(one: dict[str, Any], style: Style) -> _Row:
    people = "" if one["entering"] is None else word("plan.people", style.language, size=f"{one['entering']:,}")
    shown = people if one["action"] in ("new", "change", "move") else ""
    name, kind = _label(one["address"].removeprefix("flow.")), word("kind.flow", style.language)
    return (FLOW_SIGNS[one["action"]], kind, name, shown, "", "", flow_reason(one, style.language))


def _coupon_row(one: Mapping[str, Any], style: Style) -> _Row:
    name, kind = _label(one["address"].removeprefix("coupon.")), word("kind.coupon", style.language)
    return (COUPON_SIGNS[one["action"]], kind, name, "", "", "", coupon_reason(one, style.language))


def _flows(document: dict[str, Any], style: Style) -> Iterator[str]:
    """Who enters now, and what becomes of the people inside flows."""
    blocks = list(flow_blocks(document, style.language))
    if blocks:
        yield style.paint("bold", word("plan.flows", style.language))
    for first, *rest in blocks:
        yield f"  {first}"
        yield from (f"    {line}" for line in rest)


def _messages(document: dict[str, Any], style: Style) -> Iterator[str]:
    """What people will see, in short: the messages that nobody approved yet as they are now."""
    lines = message_lines(document, style.language)
    if lines:
        yield style.paint("bold", word("plan.messages", style.language))
        yield from (f"  {line}" for line in lines)


def _meanings(document: dict[str, Any], style: Style) -> Iterator[str]:
    """How sets differ from those that were applied last: proved, with who comes and who goes."""
    if not document.get("changes", ()):
        return
    yield style.paint("bold", word("plan.meanings", style.language))
    for one in document.get("changes", ()):
        yield f"  {meaning_line(one, style.language)}"


def meaning_line(one: dict[str, Any], language: str) -> str:
    """One changed set: its name, how it lies to the earlier one, and the people who come and go."""
    relation = word(f"meaning.{one['classification']}", language, old=neutralise(one["old_name"] or ""))
    parts = [f"{neutralise(one['address'].split('.', 1)[1])}: {relation}"]
    parts += [f"{sign} {_label(one[name])}" for sign, name in (("+", "added"), ("-", "removed")) if one[name]]
    return "   ".join(parts)


def _label(text: str) -> str:
    """A name short enough for a column, cut by cells."""
    return cut(neutralise(text), _LABEL_CELLS_MAX)


def _sign(sign: str, style: Style) -> str:
    return sign if style.unicode else _ASCII_SIGNS.get(sign, sign)


def _table(rows: Sequence[_Row], style: Style) -> Iterator[str]:
    """Sign, kind and name to the left, numbers to the right, the reason last."""
    if not rows:
        return
    signs = [_sign(row[0], style) for row in rows]
    widths = [max(cell_width(row[column]) for row in rows) for column in range(7)]
    sign_width = max(map(cell_width, signs))
    for row, sign in zip(rows, signs, strict=True):
        cells = [left(row[1], widths[1]), left(row[2], widths[2])]
        cells += [right(row[column], widths[column]) for column in (3, 4, 5) if widths[column]]
        line = f"  {left(sign, sign_width)} {'  '.join(cells)}  {row[6]}".rstrip()
        yield style.paint(_COLOURS[row[0]], line)


# --- how a delivery is sent -------------------------------------------------------------------------


def _sends(delivery: dict[str, Any], labels: Mapping[str, str], style: Style) -> Iterator[str]:
    first, *rest = send_lines(delivery, labels, style.language) or [""]
    if first:
        yield ""
        yield f"  {first}"
        yield from (f"    {line}" for line in rest)


def labels_of(document: Mapping[str, Any]) -> dict[str, str]:
    """What audiences are called, by key."""
    later = {key: label for one in document["deliveries"] for key, label in _uploads_of(one).items()}
    return {**later, **{one["address"].split(".", 1)[1]: one["label"] for one in document["resource_changes"]}}


def _uploads_of(delivery: Mapping[str, Any]) -> Mapping[str, str]:
    """What the uploads of a repetition are called, which stand in no change."""
    found: Mapping[str, str] = delivery.get("repeats", {}).get("uploads", {})
    return found


def send_lines(delivery: Mapping[str, Any], labels: Mapping[str, str], language: str) -> list[str]:
    """The delivery's set, then one line a policy, a mapping of ids and a send: to which audiences, filtered how,
    with which limit. Nothing of a delivery that nothing is done about."""
    if delivery["action"] not in ("send", "schedule", "update", "resume"):
        return []
    count = len(delivery["sends"])
    lines = [f"{neutralise(delivery['address'].removeprefix('delivery.'))}: {neutralise(delivery['to'])}"]
    lines += [word("plan.policy", language, name=neutralise(policy)) for policy in delivery["policies"]]
    lines += linkage_lines(dict(delivery), language)
    lines += losses_lines(delivery, language, delivery.get("people"))
    for send in delivery["sends"]:
        parts = [word(f"send.{send['kind']}", language, part=send["part"] + 1, count=count)]
        if send.get("recipient") is not None:
            parts.append(word("send.to", language, recipient=_whole(send["recipient"], labels)))
        if send.get("filter") is not None:
            parts.append(word("send.filter", language, filter=_whole(send["filter"], labels)))
        if send.get("limit") is not None:
            parts.append(word("send.limit", language, limit=send["limit"]))
        lines.append("; ".join(parts))
    lines += repeat_lines(delivery, language)
    if count > 1 and delivery.get("bound"):
        lines.append(word("send.bound", language, people=delivery["bound"]["people"]))
    return lines


def repeat_lines(delivery: Mapping[str, Any], language: str) -> list[str]:
    """The next times of a repetition, each with what it would reach today, and what becomes of a missed one."""
    if "repeats" not in delivery:
        return []
    lines = []
    for one in delivery["repeats"]["next"]:
        people = word("plan.people", language, size=size(one["people"]))
        end = word("status.until", language, end=moment(one["not_after"]))
        lines.append(word("repeats.time", language, at=moment(one["at"]), until=end, people=people))
    rule = delivery["repeats"]["rule"]
    if rule["until"] is not None:
        lines.append(word("repeats.until", language, at=moment(_in_zone(rule["until"], rule["zone"]))))
    return [*lines, word(f"repeats.{rule['catch_up']}", language)]


def _in_zone(text: str, zone: str) -> str:
    return datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")


def _whole(tree: dict[str, Any], labels: Mapping[str, str]) -> str:
    """A tree without the parentheses around all of it."""
    text = _tree(tree, labels)
    return text[1:-1] if "and" in tree or "or" in tree else text


def _tree(tree: dict[str, Any], labels: Mapping[str, str]) -> str:
    """A recipient or filter tree in the language's own operators."""
    match tree:
        case {"and": operands}:
            return "(" + " AND ".join(_tree(operand, labels) for operand in operands) + ")"
        case {"or": operands}:
            return "(" + " OR ".join(_tree(operand, labels) for operand in operands) + ")"
        case {"not": operand}:
            return f"NOT {_tree(operand, labels)}"
        case {"audience": key}:
            return f"[{_label(labels.get(key, key))}]"
        case {"redelivery": name}:
            return f"[received {_label(name)}]"
        case {"age": [low, high]} | {"friend_for": [low, high]}:
            return f"{next(iter(tree))}({low or ''}..<{high or ''})"
    name, values = next(iter(tree.items()))
    return f"{name}({', '.join(values)})"


# --- audiences, verdicts, summary -------------------------------------------------------------------


def _audiences(document: dict[str, Any], style: Style) -> Iterator[str]:
    if not document["audiences"]:
        return
    yield style.paint("bold", word("plan.audiences", style.language))
    rows = []
    for one in document["audiences"]:
        moves = one["previous"] is not None and size(one["previous"]) != size(one["people"])
        before = f"{size(one['previous'])} {_sign('→', style)} " if moves else ""
        entering, leaving = one["entering"], one["leaving"]
        moved = [signed(entering, "+") if entering else "", signed(leaving, "-") if leaving else ""]
        rows.append((_label(one["name"]), f"{before}{size(one['people'])}", *moved))
    widths = [max(cell_width(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [left(row[0], widths[0]), *(right(row[column], widths[column]) for column in (1, 2, 3))]
        yield f"  {'  '.join(cells)}".rstrip()
    for one in document["audiences"]:
        for line in linkage_lines(one, style.language):
            yield f"  {_label(one['name'])}: {line}"


def _drift(document: dict[str, Any], style: Style) -> Iterator[str]:
    """What LINE holds otherwise than it was left; nothing where all is as it was."""
    lines = drift_lines(document, style.language)
    if lines:
        yield style.paint("bold", word("plan.drift", style.language))
        yield from (f"  ! {line}" for line in lines)


def _overlaps(document: dict[str, Any], style: Style) -> Iterator[str]:
    """Who can get more than one message of this plan; nothing where nobody can."""
    lines = overlap_lines(document, style.language)
    if lines:
        yield style.paint("bold", word("plan.overlaps", style.language))
        yield from (f"  {line}" for line in lines)


def overlap_lines(document: dict[str, Any], language: str) -> list[str]:
    """One line for each pair that is listed, with the set and its people, and how many pairs are not."""
    overlaps = document.get("overlaps", {"listed": (), "more": 0, "apart_for_now": 0})
    lines = []
    for one in overlaps["listed"]:
        first, second = (_label(address.removeprefix("delivery.")) for address in one["deliveries"])
        pair = word("plan.overlap", language, first=first, second=second, both=neutralise(one["both"]))
        lines.append(f"{pair}   {word('plan.people', language, size=size(one['people']))}")
    for name, entry in (("more", "plan.overlaps_more"), ("apart_for_now", "plan.overlaps_for_now")):
        if overlaps[name]:
            lines.append(word(entry, language, count=overlaps[name]))
    return lines


def _times(document: dict[str, Any], style: Style) -> Iterator[str]:
    """When those deliveries can go that wait for more than their own time; nothing where none does."""
    lines = time_lines(document, style.language)
    if lines:
        yield style.paint("bold", word("plan.times", style.language))
        yield from (f"  {line}" for line in lines)


def guard_title(guard: dict[str, Any], language: str) -> str:
    """A verdict's title out of the catalogue."""
    facts = {
        name: tuple(map(neutralise, fact))
        if isinstance(fact, list)
        else neutralise(fact)
        if isinstance(fact, str)
        else fact
        for name, fact in guard["facts"].items()
    }
    return catalog.render_text(catalog.entry(guard["code"]).text(language).title, facts)


def _guards(document: dict[str, Any], style: Style, reported: bool) -> Iterator[str]:
    for guard in document["guards"]:
        if reported and guard["severity"] != "error":
            continue
        severity = word(f"severity.{guard['severity']}", style.language)
        text = f"  ! {severity}[{guard['code']}]: {guard_title(guard, style.language)}"
        yield style.paint("red" if guard["severity"] == "error" else "yellow", text)


def summary_text(document: dict[str, Any]) -> str:
    """The fixed line: what other tools look for."""
    summary = document["summary"]
    if not summary["changes"]:
        return "No changes."
    return f"Plan: {summary['add']:,} to add, {summary['change']:,} to change, {summary['delete']:,} to delete."


def _summary(document: dict[str, Any], style: Style) -> Iterator[str]:
    summary, language = document["summary"], style.language
    if document.get("paused"):
        yield style.paint("yellow", word("plan.paused", language))
        yield from pause_lines(document["paused"], style)
    for quota in document["quota"]:
        if quota["high"]:
            yield _quota_line(quota, style)
    yield from later_quota_lines(document, language)
    if document["pace"]["waiting_seconds"]:
        yield word("plan.pace", language, time=duration(document["pace"]["waiting_seconds"], language))
    if summary["changes"] and (summary["people_entering"] or summary["people_leaving"]):
        entering, leaving = summary["people_entering"], summary["people_leaving"]
        yield word("plan.people_moved", language, entering=entering, leaving=leaving)
    if summary["needs_a_person"]:
        yield style.paint("red", word("plan.needs_person", language, count=summary["needs_a_person"]))
    if not document["applyable"]:
        yield style.paint("red", word("plan.refused", language))
    note = f" {word('plan.no_changes', language)}" if document["applyable"] and not summary["changes"] else ""
    yield style.paint("bold", summary_text(document)) + note


def _quota_line(quota: dict[str, Any], style: Style) -> str:
    messages = size(
        {
            "count": quota["low"],
            "exact": quota["low"] == quota["high"],
            "low": quota["low"],
            "high": quota["high"],
        }
    )
    if quota["remaining"] is None:
        return word("plan.quota_unlimited", style.language, account=neutralise(quota["account"]), messages=messages)
    facts = {"account": neutralise(quota["account"]), "messages": messages, "remaining": quota["remaining"]}
    return word("plan.quota", style.language, **facts)
