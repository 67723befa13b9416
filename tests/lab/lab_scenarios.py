"""The projects of the lab: specs, lists, and the people at LINE. Small, and each with one hard thing in it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from audsql.session.project import Opened, check, open_project
from audsql.sim.model import Account, World
from audsql.sim.world import Simulation

START = "2026-11-21T09:00:00+09:00"
PEOPLE = 360
URL = "https://shop.example/a"

_SOURCES = """
account shop { token: env("LAB_TOKEN") }
upload a { file: "a.txt"  id: user_id }
upload b { file: "b.txt"  id: user_id }
upload optout { file: "optout.txt"  id: user_id }
message one { text: "one https://shop.example/a" }
message two { text: "two" }
policy house { always except uploaded(optout) }
"""


@dataclass(frozen=True)
class Scenario:
    """`texts`: by delivery the text that its message has. `moving`: LINE's data change between sends."""

    name: str
    specs: str
    texts: Mapping[str, str]
    moving: bool = False


_ONE, _TWO = f"one {URL}", "two"

SCENARIOS = {
    one.name: one
    for one in (
        Scenario("narrowcast", "delivery d1 { to: uploaded(a)  send: one }", {"d1": _ONE}),
        Scenario("scheduled", "delivery d1 { to: uploaded(a)  send: one  at: 2026-11-21 12:00 }", {"d1": _ONE}),
        Scenario(
            "guard",
            'delivery d1 { to: ((uploaded(a) EXCEPT uploaded(b)) AND chat_tag("VIP")) OR gender(female)  send: one }',
            {"d1": _ONE},
            moving=True,
        ),
        Scenario(
            "parts",
            "delivery d1 { to: (uploaded(a) AND os(ios)) OR (uploaded(b) AND gender(female))  send: one }",
            {"d1": _ONE},
        ),
        Scenario(
            "multicast",
            "delivery d1 { to: uploaded(a)  send: one  by: multicast  at: 2026-11-21 12:00 }",
            {"d1": _ONE},
        ),
        Scenario(
            "shared",
            "delivery d1 { to: uploaded(a)  send: one }\n"
            "delivery d2 { to: uploaded(a)  send: two  at: 2026-11-21 12:00 }",
            {"d1": _ONE, "d2": _TWO},
        ),
        Scenario(
            "clicks",
            "delivery d1 { to: uploaded(a)  send: one }\n"
            "delivery d2 { to: uploaded(b) EXCEPT clicked(d1)  send: two  at: 2026-11-21 12:00 }",
            {"d1": _ONE, "d2": _TWO},
        ),
        Scenario(
            "priority",
            "delivery d1 { to: uploaded(a)  send: one }\n"
            "delivery d2 { to: uploaded(b) AND gender(female)  send: two  at: 2026-11-21 12:00 }\n"
            "priority [d1, d2]",
            {"d1": _ONE, "d2": _TWO},
        ),
    )
}


@cache
def person(number: int) -> str:
    return "U" + format(number, "032x")


def lists() -> dict[str, frozenset[str]]:
    """`a`: 240 people, `b`: 200 of whom 80 are in `a`, `optout`: every 39th."""
    return {
        "a": frozenset(person(i) for i in range(1, 241)),
        "b": frozenset(person(i) for i in range(161, 361)),
        "optout": frozenset(person(i) for i in range(39, PEOPLE + 1, 39)),
    }


@cache
def opened(name: str) -> Opened:
    """The project, read and compiled once."""
    with tempfile.TemporaryDirectory() as folder:
        return _opened(Path(folder), name)


def _opened(folder: Path, name: str) -> Opened:
    (folder / "lab.aud").write_text(_SOURCES + SCENARIOS[name].specs, encoding="utf-8")
    (folder / "audsql.toml").write_text(
        '[project]\nname = "lab"\ntimezone = "Asia/Tokyo"\n\n[account.shop]\nendpoint = "line"\n', encoding="utf-8"
    )
    found = open_project(folder)
    problems = [one.code for one in check(found) if one.severity == "error"]
    assert not problems, problems
    return found


def _friend(i: int) -> dict[str, Any]:
    return {
        "userId": person(i),
        "gender": "female" if i % 2 else "male",
        "os": "ios" if i % 3 else "android",
        "followedAt": "2026-01-01T00:00:00+09:00",
    }


@cache
def _template() -> World:
    friends = [_friend(i) for i in range(1, PEOPLE + 1)]
    vip = {"type": "CHAT_TAG", "description": "VIP", "members": [person(i) for i in range(1, 301) if i % 3 != 2]}
    account = {
        "token": "lab-token", "quota": {"type": "limited", "value": 10_000}, "friends": friends, "audiences": [vip]
    }  # fmt: skip
    return Simulation({"now": START, "seed": 1, "rateLimits": False, "accounts": {"shop": account}}).world


def fresh_line() -> Simulation:
    """A LINE of this world: values are shared, tables are copied."""
    template = _template()
    simulation = Simulation.__new__(Simulation)
    accounts = {name: _copied(one) for name, one in template.accounts.items()}
    simulation.world = replace(
        template, accounts=accounts, inbox=[], requests=[], faults=[], webhooks=[], agenda=list(template.agenda)
    )  # fmt: skip
    return simulation


def _copied(one: Account) -> Account:
    return replace(
        one, friends=dict(one.friends), audiences=dict(one.audiences), sends=dict(one.sends), retry_keys={},
        buckets={}, used=dict(one.used), running=set(), outcomes=[], turns=[], coupons={},
    )  # fmt: skip
