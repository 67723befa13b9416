"""When deliveries can go, of the plan document: a line for each that waits for something else than its own time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from audsql.catalog import word
from audsql.view.numbers import duration, moment, size
from audsql.view.terminal import neutralise

__all__ = ["LINES_MAX", "later_quota_lines", "time_lines"]

LINES_MAX = 30
"""A plan lists all of them; a reader sees the first ones and how many more there are."""


def time_lines(document: Mapping[str, Any], language: str) -> list[str]:
    """One line a delivery: when it can go at the earliest and the latest, and what holds it up."""
    rows = [row for row in document.get("timeline", ()) if _waits(row, document)]
    lines = [_line(row, language) for row in rows[:LINES_MAX]]
    if len(rows) > LINES_MAX:
        lines.append(word("markdown.more", language, count=len(rows) - LINES_MAX))
    return lines


def _waits(row: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether anything holds it up: another delivery, its uploads, or LINE's rate of sends."""
    start = max(datetime.fromisoformat(row["due"]), datetime.fromisoformat(document["created_at"]))
    held_up = row["upload_seconds"] > 0 or row["last"] != row["earliest"]
    return bool(row["after"] or row["stuck"] or held_up or datetime.fromisoformat(row["earliest"]) > start)


def _line(row: Mapping[str, Any], language: str) -> str:
    facts = {"earliest": moment(row["earliest"]), "latest": moment(row["latest"])}
    text = word("times.delivery", language, name=_name(row["address"]), **facts)
    return "; ".join([text, *_reasons(row, language)])


def _reasons(row: Mapping[str, Any], language: str) -> Iterator[str]:
    if row["after"]:
        yield word("times.after", language, names=", ".join(map(_name, row["after"])))
    if row["stuck"]:
        yield word("times.stuck", language, names=", ".join(map(_name, row["stuck"])))
    if row["upload_seconds"]:
        yield word("times.uploads", language, time=duration(row["upload_seconds"], language))
    if row["last"] != row["earliest"]:
        yield word("times.last", language, last=moment(row["last"]))


def _name(address: str) -> str:
    return neutralise(address.removeprefix("delivery."))


def later_quota_lines(document: Mapping[str, Any], language: str) -> list[str]:
    """Messages of later months, by account and month."""
    return [
        word(
            "plan.quota_later",
            language,
            account=neutralise(one["account"]),
            month=one["month"],
            messages=size({"exact": one["low"] == one["high"], "count": one["low"], **one}),
        )
        for one in document.get("later_quota", ())
    ]
