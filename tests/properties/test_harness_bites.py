"""A property that cannot fail shows nothing: with a fault built in, it fails within a few hundred pairs.

Most faults spoil a request on its way, as a compiler or a binding that is wrong would; two switch a check off.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from oracle import run
from questions import case_of
from rapid import Bend, straight
from shrink import shrink
from worlds import Case

from audsql.apply import checks

PAIRS = 300
Tree = dict[str, Any]
TWICE, OUTSIDE, MISSED, UNLIMITED = "got it twice", "not in the expression", "did not get it", "without a limit"


def on_narrowcasts(change: Callable[[Tree], Tree]) -> Bend:
    def bend(method: str, path: str, body: bytes) -> bytes:
        if method != "POST" or not path.endswith("/message/narrowcast"):
            return body
        return json.dumps(change(json.loads(body))).encode()

    return bend


def without(unwanted: Callable[[Tree], bool]) -> Bend:
    """Requests whose recipients lack every condition that is unwanted."""

    def change(body: Tree) -> Tree:
        kept = pruned(body["recipient"], unwanted) if "recipient" in body else None
        rest = {name: value for name, value in body.items() if name != "recipient"}
        return rest if kept is None else {**rest, "recipient": kept}

    return on_narrowcasts(change)


def pruned(tree: Tree, unwanted: Callable[[Tree], bool]) -> Tree | None:
    if unwanted(tree):
        return None
    for operator in ("and", "or"):
        if operator in tree:
            kept = [one for child in tree[operator] if (one := pruned(child, unwanted)) is not None]
            return {**tree, operator: kept} if kept else None
    return tree


def is_guard(tree: Tree) -> bool:
    return "not" in tree and tree["not"]["type"] == "redelivery"


def is_exclusion(tree: Tree) -> bool:
    return "not" in tree and tree["not"]["type"] == "audience"


def loses_somebody(method: str, path: str, body: bytes) -> bytes:
    """The last id of every upload is lost."""
    if not path.endswith("/audienceGroup/upload") or not body:
        return body
    document = json.loads(body)
    document["audiences"] = document.get("audiences", [])[:-1]
    return json.dumps(document).encode()


def no_filter(body: Tree) -> Tree:
    return {name: value for name, value in body.items() if name != "filter" or "recipient" not in body}


def no_limit(body: Tree) -> Tree:
    return {name: value for name, value in body.items() if name != "limit"}


def bites(bend: Bend, words: str) -> Case | None:
    """The first pair of which the judge says so."""
    return next(found(bend, words), None)


def found(bend: Bend, words: str) -> Iterator[Case]:
    for number in range(PAIRS):
        case = case_of(number)
        if any(words in one for one in run(case, bend).complaints):
            yield case


@pytest.mark.parametrize(
    ("bend", "words"),
    [
        (without(is_guard), TWICE),
        (without(is_exclusion), OUTSIDE),
        (on_narrowcasts(no_filter), OUTSIDE),
        (on_narrowcasts(no_limit), UNLIMITED),
        (loses_somebody, MISSED),
    ],
    ids=["guard dropped", "exclusion dropped", "filter dropped", "limit dropped", "upload short"],
)
def test_a_spoilt_request_is_found(bend: Bend, words: str) -> None:
    assert bites(bend, words) is not None


def test_a_shortfall_that_nobody_looks_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_of_upload", lambda *_: [])
    assert bites(straight, OUTSIDE) is not None


def test_a_failing_pair_is_made_smaller() -> None:
    bend = without(is_exclusion)
    case = bites(bend, OUTSIDE)
    assert case is not None
    smaller = shrink(case, lambda one: any(OUTSIDE in word for word in run(one, bend).complaints), 12)
    assert any(OUTSIDE in one for one in run(smaller, bend).complaints)
    assert len(smaller.friends) < len(case.friends)
