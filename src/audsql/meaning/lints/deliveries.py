"""Deliveries that will not find what they refer to, and deliveries that tell too much of a few people.

Rules: lints.retargeting, lints.links, lints.slices, lints.limit of specs/language/11-lints.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from audsql.diag import Diagnostic, Label, warning
from audsql.line.limits import AUDIENCE_LIFETIME_DAYS, REDELIVERY_AGE_DAYS_MAX, RETARGETING_AGE_DAYS_MAX
from audsql.meaning import ir
from audsql.meaning.lints.subject import Subject, nodes_of
from audsql.meaning.words import atom_words
from audsql.source import Span
from audsql.syntax import ast

__all__ = ["expiring", "limited", "linkless", "retargeting", "slices"]

_Retargeting = ir.Clicked | ir.Opened | ir.Received
# What may become a link in a chat; a text without any of these has nothing to click.
_LINK = re.compile(r"://|www\.|tel:|mailto:", re.IGNORECASE)


def retargeting(subject: Subject) -> Iterator[Diagnostic]:
    """Clicks, opens and receipts of a delivery that goes later, or of one so old that LINE makes no audience of
    it any more by itself."""
    for delivery, atom, other, place in _retargeted(subject):
        labels = [Label(other.span, "declared")] if other.span else []
        end = delivery.at or (delivery.every.end if delivery.every else None)
        if other.at is None or end is None:
            continue
        name, call = delivery.name, atom_words(atom)
        if other.at >= end:
            yield warning("AUD0517", place, labels=labels, delivery=name, other=other.name, call=call)
        elif delivery.at is not None and _needs_haste(delivery.at - other.at, atom):
            yield warning(
                "AUD0518",
                place,
                labels=labels,
                delivery=name,
                other=other.name,
                call=call,
                days=(delivery.at - other.at).days,
                limit_days=RETARGETING_AGE_DAYS_MAX,
            )


def _needs_haste(age: timedelta, atom: _Retargeting) -> bool:
    """Whether the audience must be made before its delivery is due, and then still exists."""
    made, kept = timedelta(days=RETARGETING_AGE_DAYS_MAX), timedelta(days=_kept_days(atom))
    return not isinstance(atom, ir.Received) and made < age <= kept


def expiring(subject: Subject) -> Iterator[Diagnostic]:
    """Clicks, opens and receipts that LINE will have deleted before a delivery, or before the last of a repeated
    one, whenever it is applied."""
    for delivery, atom, other, place in _retargeted(subject):
        if _is_gone(delivery, atom, other):
            labels = [Label(other.span, "declared")] if other.span else []
            yield warning(
                "AUD0519",
                place,
                labels=labels,
                delivery=delivery.name,
                other=other.name,
                call=atom_words(atom),
                limit_days=_kept_days(atom),
                repeated=delivery.every is not None,
            )


def _is_gone(delivery: ir.Delivery, atom: _Retargeting, other: ir.Delivery) -> bool:
    if other.at is None:
        return False
    if delivery.every is not None and delivery.every.end is None:
        return True
    end = delivery.at or (delivery.every.end if delivery.every else None)
    return end is not None and end - other.at > timedelta(days=_kept_days(atom))


def _kept_days(atom: _Retargeting) -> int:
    """How long after a delivery LINE can still aim at those who reacted: an audience is made in time and expires."""
    if isinstance(atom, ir.Received):
        return REDELIVERY_AGE_DAYS_MAX
    return RETARGETING_AGE_DAYS_MAX + AUDIENCE_LIFETIME_DAYS


def _retargeted(subject: Subject) -> Iterator[tuple[ir.Delivery, _Retargeting, ir.Delivery, Span]]:
    """Each delivery with each atom about another delivery that it is sent by, and where that is written."""
    deliveries = {delivery.name: delivery for delivery in subject.project.deliveries}
    written = {one.name: one.expression for one in subject.written if one.kind == "delivery"}
    for delivery in subject.project.deliveries:
        if delivery.sent_request_id is not None or delivery.name not in written:
            continue
        for atom in ir.atoms_of(delivery.to):
            if isinstance(atom, _Retargeting) and atom.delivery in deliveries:
                place = _place(written[delivery.name], atom.delivery)
                yield delivery, atom, deliveries[atom.delivery], place


def _place(expression: ast.Expression, name: str) -> Span:
    """The call about that delivery, or the whole where it stands behind a name."""
    calls = _calls(expression, "clicked", "opened", "received")
    return next((call.span for call, named in calls if named == name), expression.span)


def _calls(expression: ast.Expression, *names: str) -> Iterator[tuple[ast.Call, str]]:
    for node in nodes_of(expression):
        if isinstance(node, ast.Call) and node.name.text in names and node.arguments.values:
            value = node.arguments.values[0]
            if isinstance(value, (ast.Word, ast.Text)):
                yield node, value.text


# --- links ------------------------------------------------------------------------------------------


def linkless(subject: Subject) -> Iterator[Diagnostic]:
    """Clicks in a delivery of texts without a link."""
    messages = {message.name: message for message in subject.project.messages}
    without = {
        delivery.name: delivery
        for delivery in subject.project.deliveries
        if delivery.messages and all(_has_no_link(messages.get(name)) for name in delivery.messages)
    }
    for written in subject.written:
        for call, name in _calls(written.expression, "clicked") if without else ():
            if name in without:
                other = without[name]
                labels = [Label(other.span, "declared")] if other.span else []
                yield warning("AUD0520", call.span, labels=labels, delivery=name, messages=other.messages)


def _has_no_link(message: ir.Message | None) -> bool:
    return message is not None and message.text is not None and _LINK.search(message.text) is None


# --- few people -------------------------------------------------------------------------------------


def slices(subject: Subject) -> Iterator[Diagnostic]:
    """Two deliveries whose sets differ by the people of one list alone: their results side by side tell of them."""
    sent = [delivery for delivery in subject.project.deliveries if delivery.sent_request_id is None]
    whole: dict[tuple[str, str], ir.Delivery] = {}
    for delivery in sent:
        whole.setdefault((delivery.account, delivery.to.key), delivery)
    for delivery in sent:
        for rest, name in _without_one_list(delivery.to):
            other = whole.get((delivery.account, rest.key))
            if other is None or delivery.name in other.behind or other.name in delivery.behind:
                # Of deliveries in one list of priorities nobody gets two.
                continue
            if delivery.to_span is not None:
                labels = [Label(other.to_span, "other")] if other.to_span else []
                place = delivery.to_span
                yield warning("AUD0521", place, labels=labels, delivery=delivery.name, other=other.name, list=name)


def _without_one_list(expression: ir.Expression) -> Iterator[tuple[ir.Expression, str]]:
    """The set with one list of people left out of its formula, for each such list."""
    if not isinstance(expression, ir.And | ir.Or):
        return
    join = ir.land if isinstance(expression, ir.And) else ir.lor
    for operand in expression.operands:
        inner = operand.operand if isinstance(operand, ir.Not) else operand
        if isinstance(inner, ir.Leaf) and isinstance(inner.atom, ir.Uploaded):
            yield join(*(one for one in expression.operands if one != operand)), inner.atom.source


def limited(subject: Subject) -> Iterator[Diagnostic]:
    """`limit:` without `expect:`: nobody would notice that there are fewer people than the limit, or far more."""
    for delivery in subject.project.deliveries:
        if delivery.limit is not None and delivery.expect is None:
            yield warning("AUD0525", delivery.span, delivery=delivery.name, limit=delivery.limit)
