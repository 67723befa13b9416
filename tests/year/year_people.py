"""The people of the year: who follows, blocks, buys and opts out when, and the files that a shop writes of it."""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from year_specs import MARKS, PRODUCTS, START, STARTS, VIAS, ZONE

LISTS = (*STARTS, *MARKS, "gone", "optout")
_HOUR = timedelta(hours=1)


def person(number: int) -> str:
    return f"U{number:032x}"


@dataclass(frozen=True)
class Drop:
    """A row of the trigger's table."""

    person: str
    item: str
    at: datetime
    back: str = ""


@dataclass
class Files:
    """What the files said at one time, and who were friends then."""

    lists: Mapping[str, frozenset[str]]
    orders: tuple[tuple[str, str, datetime], ...]
    drops: tuple[Drop, ...]
    friends: frozenset[str] = frozenset()

    @cached_property
    def bought(self) -> dict[str, dict[str, list[datetime]]]:
        """Times by product and person, ascending."""
        found: dict[str, dict[str, list[datetime]]] = defaultdict(lambda: defaultdict(list))
        for who, product, at in sorted(self.orders, key=lambda one: one[2]):
            found[product][who].append(at)
        return found

    def bought_within(self, product: str, since: datetime | None, until: datetime) -> frozenset[str]:
        """Who bought from `since` on and before `until`."""
        if since is None:
            return frozenset(self.bought[product])
        return frozenset(
            who for who, times in self.bought[product].items() if bisect_left(times, since) < bisect_left(times, until)
        )


@dataclass(order=True)
class Happening:
    """Something that a person does at an instant."""

    at: datetime
    number: int
    what: str = field(compare=False)
    person: str = field(compare=False)
    detail: Any = field(compare=False, default=None)


class Town:
    """Everybody. `until(t)` lets the days pass; `export()` is what a shop writes at night."""

    def __init__(self, seed: int, people: int) -> None:
        self.chance = random.Random(f"town {seed}")
        self.people = [person(number) for number in range(1, people + 1)]
        self.status = dict.fromkeys(self.people[: people * 3 // 4], "following")
        self.lists: dict[str, set[str]] = {name: set() for name in LISTS}
        for name in (*STARTS, *MARKS):
            self.lists[name] = {who for who in self.people if self.chance.random() < 0.08}
        self.lists["optout"] = {who for who in self.people if self.chance.random() < 0.05}
        self.orders: list[tuple[str, str, datetime]] = []
        self.drops: list[Drop] = []
        self.events: list[Happening] = []
        self.coming: list[Happening] = []
        self.day = START.replace(hour=0, minute=0)
        self.number = 0

    def _on(self, day: datetime, what: str, who: str, detail: Any = None, hours: tuple[int, int] = (0, 24)) -> None:
        # The first minutes of an hour: a run, which comes later in an hour, never lies at the edge of a window.
        at = day + _HOUR * self.chance.randrange(*hours) + timedelta(minutes=self.chance.randrange(5), seconds=30)
        self.number += 1
        self.coming.append(Happening(at, self.number, what, who, detail))

    def _plan_day(self, day: datetime) -> None:
        chance = self.chance
        # Nobody takes an opt-out back: were there many in every month, nobody would be left in the next.
        leaving = 0.008 if day < START + timedelta(days=10) else 0.001
        for who in self.people:
            draw = chance.random()
            if draw < 0.010:
                self._on(day, "block" if self.status.get(who) == "following" else "follow", who, chance.choice(VIAS))
            elif draw < 0.010 + leaving:
                self._on(day, "optout", who)
            elif draw < 0.105:
                self._on(day, "order", who, chance.choice(PRODUCTS))
            elif draw < 0.135:
                self._on(day, "enlist", who, chance.choice((*STARTS, *MARKS)))
            elif draw < 0.165:
                self._on(day, "delist", who, chance.choice((*STARTS, *MARKS)))
            elif draw < 0.17:
                self._on(day, "gone", who)
            elif draw < 0.19:
                self._on(day, "drop", who, f"item{chance.randrange(9)}")
        self.coming.sort()

    def until(self, now: datetime) -> list[Happening]:
        """Let time pass up to now; what happened at LINE meanwhile, in order."""
        while self.day <= now:
            self._plan_day(self.day)
            self.day += timedelta(days=1)
        line: list[Happening] = []
        while self.coming and self.coming[0].at <= now:
            one = self.coming.pop(0)
            self._do(one)
            if one.what in ("follow", "block"):
                line.append(one)
        return line

    def _do(self, one: Happening) -> None:
        who = one.person
        if one.what in ("follow", "block"):
            one.what = "block" if self.status.get(who) == "following" else "follow"
            self.status[who] = "following" if one.what == "follow" else "blocked"
            self.events.append(one)
        elif one.what == "optout":
            self.lists["optout"].add(who)
        elif one.what == "gone":
            self.lists["gone"] ^= {who}
        elif one.what == "order":
            self.orders.append((who, one.detail, one.at))
        elif one.what == "enlist":
            self.lists[one.detail].add(who)
        elif one.what == "delist":
            self.lists[one.detail].discard(who)
        elif one.what == "drop":
            self.drops.append(Drop(who, one.detail, one.at))
            if self.chance.random() < 0.4:
                hours = timedelta(hours=self.chance.randrange(1, 40))
                self.number += 1
                self.coming.append(Happening(one.at + hours, self.number, "back", who, (one.detail, one.at)))
                self.coming.sort()
        else:
            self._row_changes(one)

    def _row_changes(self, one: Happening) -> None:
        """The price is back up, or the row is gone altogether."""
        item, at = one.detail
        kept = [row for row in self.drops if (row.person, row.item, row.at) != (one.person, item, at)]
        if self.chance.random() < 0.6:
            kept.append(Drop(one.person, item, at, "yes"))
        self.drops = kept

    def export(self) -> Files:
        """The lists and orders as they are now."""
        lists = {name: frozenset(people) for name, people in self.lists.items()}
        return Files(lists, tuple(self.orders), tuple(self.drops))


# --- files ------------------------------------------------------------------------------------------------


def write_export(folder: Path, files: Files, chance: random.Random) -> None:
    """The nightly files, in whatever order the export found them."""
    for name, people in files.lists.items():
        rows = sorted(people)
        chance.shuffle(rows)
        (folder / f"{name}.txt").write_text("".join(f"{one}\n" for one in rows), encoding="utf-8")
    orders = [f"{who},{product},{at:%Y-%m-%dT%H:%M:%S+09:00}" for who, product, at in files.orders]
    chance.shuffle(orders)
    # A first row that types the columns, of somebody who never was.
    first = f"{person(9_999)},Z,2020-01-01T00:00:00+09:00"
    _write_table(folder / "orders.csv", "user_id,product,ordered_at", [first, *orders])


def write_drops(folder: Path, drops: Iterable[Drop], chance: random.Random) -> None:
    """The trigger's table: whole, in another order each time, some rows twice."""
    rows = [f"{one.person},{one.item},{one.at:%Y-%m-%dT%H:%M:%S+09:00},{one.back}" for one in drops]
    rows += [one for one in rows if chance.random() < 0.05]
    chance.shuffle(rows)
    first = f"{person(9_999)},none,2020-01-01T00:00:00+09:00,never"
    _write_table(folder / "drops.csv", "user_id,item,dropped_at,back", [first, *rows])


def _write_table(path: Path, header: str, rows: list[str]) -> None:
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")


def write_events(path: Path, bodies: Iterable[Mapping[str, Any]], vias: Iterable[str], chance: random.Random) -> None:
    """Append webhook events as a shop's server keeps them: bodies or single events, `via` added, some again."""
    with path.open("a", encoding="utf-8") as out:
        for body, via in zip(bodies, vias, strict=True):
            event = dict(body["events"][0])
            if event["type"] == "follow":
                event["via"] = via
            whole = {"destination": body["destination"], "events": [event]}
            text = json.dumps(event if chance.random() < 0.5 else whole)
            again = json.dumps({**event, "deliveryContext": {"isRedelivery": True}})
            out.write(f"{text}\n" + (f"{again}\n" if chance.random() < 0.1 else ""))


def midnight(now: datetime, days: int) -> datetime:
    """00:00 in the project's zone, so many days before the day of `now`."""
    return (now.astimezone(ZONE) - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
