"""Drift as lines of text: what LINE holds otherwise, and what becomes of it."""

from __future__ import annotations

from typing import Any

from audsql.catalog import word
from audsql.view.numbers import moment
from audsql.view.terminal import neutralise

__all__ = ["DRIFT_LINES_MAX", "drift_line", "drift_lines"]

DRIFT_LINES_MAX = 40


def drift_lines(document: dict[str, Any], language: str) -> list[str]:
    """One line for each, what is not merely told first, and how many are not listed."""
    rows = sorted(document.get("drift", ()), key=lambda one: one["action"] in ("leave", "remember"))
    lines = [drift_line(one, language) for one in rows[:DRIFT_LINES_MAX]]
    if len(rows) > DRIFT_LINES_MAX:
        lines.append(word("drift.more", language, count=len(rows) - DRIFT_LINES_MAX))
    return lines


def drift_line(one: dict[str, Any], language: str) -> str:
    """What was found, and what an apply does about it."""
    facts = {
        "found_name": neutralise(one["found_name"] or ""),
        "before": one["before"] or 0,
        "now": one["now"] or 0,
        "expires_at": moment(one["expires_at"]) if one["expires_at"] else "?",
    }
    found = word(f"drift.{one['kind']}", language, **facts)
    action = word(f"drift_action.{one['action']}", language)
    return f"{neutralise(one['name'])}: {found}   {action}"
