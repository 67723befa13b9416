"""A year of a shop on the virtual clock: days pass, runs come or do not, and every inbox is judged.

A seed is one year. `played` gives what went wrong, in words without anybody's name, and what happened, as counts.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from year_line import TOKEN, Line, killed_at, machine
from year_oracle import Calendar, Oracle, Received, doubled, inside
from year_people import Files, Town, write_drops, write_events, write_export
from year_specs import START, ZONE, flow_of, shop_of

from audsql import session
from audsql.sim.people import come_or_change
from audsql.sim.world import Simulation

TOML = """[project]
name = "shop"
timezone = "Asia/Tokyo"

[account.shop]
endpoint = "line"
follow_log = "events/*.jsonl"
"""
SEND = "/v2/bot/message"
SLOTS = 40
"""Minutes of an hour at which runs begin, from the tenth on, each once in so many runs: what one began is never due at
the very minute of another."""
RUNS_IN_A_ROW = 6


@dataclass
class Found:
    """What a year came to."""

    seed: int
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        return f"seed {self.seed}: {counts}; exit codes {dict(sorted(self.codes.items()))}"


@dataclass
class Year:
    """One shop of `size` flows and deliveries. `trace` is told of each run, `without` as for `shop_of`; `gaps`: hours
    that usually lie between two runs."""

    seed: int
    days: int
    size: int
    people: int
    root: Path
    trace: Callable[[str], None] = lambda text: None
    without: frozenset[str] = frozenset()
    gaps: tuple[int, ...] = (3, 5, 8, 11, 14)
    found: Found = field(init=False)

    def __post_init__(self) -> None:
        self.found = Found(self.seed)
        self.chance = random.Random(f"year {self.seed}")
        self.town = Town(self.seed, self.people)
        self.shop = shop_of(self.seed, self.size, self.days, self.without)
        self.oracle = Oracle()
        self.calendar = Calendar()
        self.received: list[Received] = []
        self.optouts: dict[int, frozenset[str]] = {}
        self.reported: Counter[str] = Counter()
        self.whole = True
        self.read = 0
        self.told = 0
        self.number = 0
        self.files = Files({}, (), ())
        self.town.until(START)
        friends = [{"userId": who, "status": status} for who, status in self.town.status.items()]
        account = {"token": TOKEN, "friends": friends, "followersReadable": True}
        self.line = Line(Simulation({"now": START.isoformat(), "seed": self.seed, "accounts": {"shop": account}}))
        self.opened: Any = None

    # --- files and specs --------------------------------------------------------------------------------

    def write_specs(self) -> None:
        (self.root / "shop.aud").write_text(self.shop.text(), encoding="utf-8")
        self.opened = session.open_project(self.root)

    def export(self) -> None:
        self.files = self.town.export()
        write_export(self.root / "data", self.files, self.chance)

    def day_passes(self, until: datetime) -> None:
        """Time passes; every night the shop exports, and now and then does not."""
        while self.next_export <= until:
            self.at(self.next_export)
            self.export()
            self.next_export += timedelta(days=self.chance.choice((1, 1, 1, 1, 2)))
        self.at(until)

    def at(self, moment: datetime) -> None:
        """Let it be this time: who follows and blocks until then does."""
        world = self.line.simulation.world
        account = world.accounts["shop"]
        vias = []
        for one in self.town.until(moment):
            status = "following" if one.what == "follow" else "blocked"
            come_or_change(world, account, one.person, one.at.timestamp(), {"status": status}, None)
            vias.append(one.detail)
        self.line.advance(max(0.0, moment.timestamp() - world.now))
        new = world.webhooks[self.told :]
        self.told = len(world.webhooks)
        write_events(self.root / "events/follows.jsonl", new, vias, self.chance)

    # --- runs -------------------------------------------------------------------------------------------

    def play(self) -> Found:
        for folder in ("data", "events"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "events/follows.jsonl").write_text("", encoding="utf-8")
        (self.root / "audsql.toml").write_text(TOML, encoding="utf-8")
        self.next_export = (START + timedelta(days=1)).replace(hour=4, minute=5)
        self.at(START)
        self.export()
        self.write_specs()
        end = START + timedelta(days=self.days)
        with machine(self.line):
            self.turn(self.apply)
            now = START
            edited = 0
            while (now := self.next_run(now)) < end and not self.found.problems:
                self.day_passes(now)
                if (now - START).days // 30 > edited:
                    edited = (now - START).days // 30
                    self.edit(edited)
                    self.turn(self.apply)
                self.turn(self.run)
        self.found.problems.extend(self.at_the_end())
        for counts in (self.oracle.counts, self.calendar.counts):
            self.found.counts.update({f"oracle {name}": count for name, count in counts.items()})
        return self.found

    def next_run(self, now: datetime) -> datetime:
        """Usually some hours later; at times a day or more, as if runs were lost."""
        gap = self.chance.choice(self.gaps) if self.chance.random() < 0.93 else self.chance.choice((30, 80))
        self.number += 1
        slot = 10 + self.number * 17 % SLOTS
        return (now + timedelta(hours=gap)).replace(minute=slot, second=0)

    def edit(self, edition: int) -> None:
        """Some flows get another text, one ends, one comes."""
        flows = list(self.shop.flows)
        for at in self.chance.sample(range(len(flows)), max(1, len(flows) // 20)):
            # How a flow begins stays: who stands in its set is remembered by its name.
            anew = flow_of(self.chance, flows[at].name, edition + 1)
            flows[at] = replace(anew, start=flows[at].start, reentry=flows[at].reentry, exit=flows[at].exit)
        self.shop = replace(self.shop, flows=tuple(flows))
        self.found.counts["edits"] += 1
        self.write_specs()

    def apply(self) -> Any:
        return session.apply(self.opened, None, session.ApplyOptions(revision={}))

    def run(self) -> Any:
        return session.run_due(self.opened, session.ApplyOptions(revision={}))

    def turn(self, work: Callable[[], Any]) -> None:
        """One run, whatever happens to it, until it has ended well; then what arrived is judged."""
        write_drops(self.root / "data", self.town.drops, self.chance)
        now = datetime.fromtimestamp(self.line.now, ZONE)
        following = frozenset(who for who, status in self.town.status.items() if status == "following")
        files = replace_files(self.files, self.town, following)
        self.optouts[self.found.counts["runs"]] = files.lists["optout"]
        self.reported, self.whole = Counter(), True
        self.go_wrong()
        self.until_well(work)
        self.line.simulation.world.faults = []
        if work == self.apply:
            self.oracle.approve(self.shop, now)
            self.calendar.approve(self.shop, now, files)
        self.judge(now, files, following)
        if self.chance.random() < 0.2:
            self.found.counts["runs doubled"] += 1
            self.until_well(self.run)
            self.judge_nothing()
        self.found.counts["runs"] += 1

    def go_wrong(self) -> None:
        """Faults of the next requests to listed people."""
        if self.chance.random() < 0.3:
            kinds = ("drop-response", "refuse", "status:500", "status-after:500", "status-after:409")
            match = {"path": f"{SEND}/{self.chance.choice(('multicast', 'push'))}"}
            fault = {
                "match": match,
                "nth": self.chance.choice((1, 1, 2, 5)),
                "do": self.chance.choice(kinds),
                "seen": 0,
            }
            self.line.simulation.world.faults = [fault]
            self.found.counts["faults"] += 1

    def until_well(self, work: Callable[[], Any]) -> None:
        """Again and again until it is done or needs a person; some are killed, some find a clock that is wrong."""
        if self.chance.random() < 0.1:
            self.line.skew = self.chance.choice((-7200.0, 7200.0, 86_400.0))
            outcome = killed_at(self.line, 0, work)
            self.line.skew = 0.0
            self.found.counts["clock steps"] += 1
            self.found.codes[outcome.exit_code] += 1
        if self.chance.random() < 0.25:
            ended = killed_at(self.line, 1 + int(self.chance.expovariate(1 / 30)), work)
            self.whole = ended is not None
            self.report(ended)
            self.found.counts["kills"] += 1
        for _ in range(RUNS_IN_A_ROW):
            outcome = killed_at(self.line, 0, work)
            self.found.codes[outcome.exit_code] += 1
            self.report(outcome)
            errors = [one.code for one in outcome.diagnostics if one.severity == "error"]
            self.trace(f"{self.clock()} {work.__name__} {outcome.exit_code} {errors}")
            if outcome.exit_code in (0, 7):
                return
            if outcome.exit_code != 4 and outcome.exit_code != 6:
                break
            self.line.advance(1)
        self.found.problems.append(f"run {self.found.counts['runs']} ends with {outcome.exit_code}: {errors}")

    def report(self, outcome: Any) -> None:
        """Count what a run tells of flows."""
        for event in outcome.document["events"] if outcome is not None and outcome.document else ():
            self.reported[event["event"]] += event.get("count", 0)

    # --- judging ----------------------------------------------------------------------------------------

    def arrived(self) -> list[Received]:
        """What came into inboxes since the last look."""
        inbox = self.line.simulation.world.inbox
        run = self.found.counts["runs"]
        new = [
            Received(one["userId"], one["messages"][0]["text"], datetime.fromisoformat(one["at"]), run)
            for one in inbox[self.read :]
        ]
        self.read = len(inbox)
        self.received += new
        self.found.counts["received"] += len(new)
        return new

    def judge(self, now: datetime, files: Files, following: frozenset[str]) -> None:
        came = Counter((one.who, one.words) for one in self.arrived())
        for words, turn in self.calendar.run(now, files, self.shop.quiet).items():
            covered = words.split(" ")[0] not in self.shop.free
            over = {who for who in turn.may if covered and self.oracle.free_at(who, now) > now}
            got = Counter({who: count for (who, each), count in came.items() if each == words})
            for who in sorted((turn.must & following) - over - got.keys()):
                self.problem(f"{words} did not come", who)
            came.subtract({(who, words): 1 for who in (turn.may - over) & got.keys()})
            # Whom LINE passed over, since they block, was sent it all the same.
            for who in (turn.must | (turn.may & got.keys())) - over if covered else ():
                self.oracle.note(who, now)
        missed = self.oracle.missed
        expected = self.oracle.run(now, files, self.town.events)
        # What a killed run was about to tell is told by nobody: its people are counted where they stand.
        if self.whole and self.reported["flow_missed"] != self.oracle.missed - missed:
            self.found.problems.append(
                f"run {self.found.counts['runs']} tells of {self.reported['flow_missed']} missed sends, "
                f"not of {self.oracle.missed - missed}"
            )
        came.subtract((one.who, one.words) for one in expected if one.who in following)
        for (who, words), count in sorted(came.items()):
            if count:
                self.problem(f"{words} came, {count} too many" if count > 0 else f"{words} did not come", who)

    def judge_nothing(self) -> None:
        for one in self.arrived():
            self.problem(f"{one.words} came in a run right after a run", one.who)

    def clock(self) -> str:
        return f"{datetime.fromtimestamp(self.line.now, ZONE):%m-%d %H:%M}"

    def problem(self, text: str, who: str) -> None:
        number = int(who[1:], 16)
        self.found.problems.append(f"run {self.found.counts['runs']} at {self.clock()}: {text} (p{number})")

    def at_the_end(self) -> Iterator[str]:
        yield from inside(self.shop, self.received, self.optouts)
        entries = {
            (name, who): len(places) for name, people in self.oracle.places.items() for who, places in people.items()
        }
        yield from doubled(self.received, entries)


def replace_files(files: Files, town: Town, friends: frozenset[str]) -> Files:
    """What a run reads: last night's lists and orders, the drops and the friends of now."""
    known = Files(files.lists, files.orders, tuple(town.drops), friends)
    if "bought" in files.__dict__:
        known.__dict__["bought"] = files.bought
    else:
        files.__dict__["bought"] = known.bought
    return known


@contextmanager
def token() -> Iterator[None]:
    """The account's token in the environment."""
    name = "LINE_CHANNEL_ACCESS_TOKEN"
    before = os.environ.get(name)
    os.environ[name] = TOKEN
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def played(seed: int, days: int, size: int, people: int, root: Path, **more: Any) -> Found:
    """Play one seed; `more` as for `Year`."""
    with token():
        return Year(seed, days, size, people, root, **more).play()
