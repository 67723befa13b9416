"""What must arrive: flows walked person by person, as specs/flows.md says it, by code that audsql does not share.

`Oracle.run` is told when a run was and what the files said; it answers who gets what in that run. `inside` and
`doubled` are rules that any inbox must keep, whatever was expected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from year_people import Drop, Files, Happening, midnight
from year_specs import ZONE, Branch, Condition, Delivery, Flow, Send, Shop, Step, Until, Wait

LATE = timedelta(hours=24)
TRIGGER_LATE = timedelta(hours=6)


class Sets:
    """The sets of one run: each condition once."""

    def __init__(self, files: Files, now: datetime) -> None:
        self.files, self.now = files, now
        self.known: dict[Condition, frozenset[str]] = {}

    def of(self, condition: Condition) -> frozenset[str]:
        found = self.known.get(condition)
        if found is None:
            found = self.known[condition] = self._work_out(condition)
        return found

    def _work_out(self, condition: Condition) -> frozenset[str]:
        kind, *rest = condition
        if kind == "list":
            return self.files.lists[rest[0]]
        if kind == "friends":
            return self.files.friends
        if kind == "bought":
            product, window = rest
            since = None
            if window is not None:
                days = window[0] == "days"
                since = midnight(self.now, window[1]) if days else self.now - timedelta(hours=window[1])
            return self.files.bought_within(product, since, self.now)
        left, right = (self.of(one) for one in rest)
        return left & right if kind == "and" else left | right if kind == "or" else left - right

    def holds(self, condition: Condition, who: str, entered: datetime, row: Drop | None) -> bool:
        """Whether it holds of one person who entered then, by this row."""
        kind, *rest = condition
        if kind == "row":
            return row is not None and bool(row.back)
        if kind == "bought" and rest[1] == ("start",):
            return any(at >= entered for at in self.files.bought[rest[0]].get(who, ()))
        if kind in ("and", "or", "except"):
            left, right = (self.holds(one, who, entered, row) for one in rest)
            return (left and right) if kind == "and" else (left or right) if kind == "or" else (left and not right)
        return who in self.of(condition)


@dataclass
class Place:
    """Where somebody stands: what is still before them, innermost last."""

    flow: Flow
    who: str
    entered: datetime
    due: datetime
    ahead: list[Step]
    row: Drop | None = None
    over: datetime | None = None
    why: str = ""
    seen_outside: bool = False
    passed_over: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """Somebody is sent these words in a run. `certain`: not only perhaps."""

    who: str
    words: str
    flow: str


class Oracle:
    """All flows of a shop. `approve` is an apply; it enters people as a run does."""

    def __init__(self) -> None:
        self.shop: Shop | None = None
        self.live: dict[str, Flow] = {}
        self.approved: dict[str, datetime] = {}
        self.places: dict[str, dict[str, list[Place]]] = defaultdict(lambda: defaultdict(list))
        self.rows_seen: dict[str, set[tuple[str, str, datetime]]] = defaultdict(set)
        self.events_seen: dict[str, int] = defaultdict(int)
        # When each person was sent something that a cap counts, ascending.
        self.sent: dict[str, list[datetime]] = defaultdict(list)
        self.counts: dict[str, int] = defaultdict(int)

    @property
    def missed(self) -> int:
        """How many sends and rows came too late so far."""
        return self.counts["late"] + self.counts["rows missed"]

    def approve(self, shop: Shop, now: datetime) -> None:
        """New texts: who is inside finishes the old one, the new one is for those who come."""
        self.shop = shop
        names = {one.name for one in shop.flows}
        self.live = {name: flow for name, flow in self.live.items() if name in names}
        for flow in shop.flows:
            if self.live.get(flow.name) != flow:
                self.live[flow.name] = flow
                self.approved[flow.name] = now

    # --- a run --------------------------------------------------------------------------------------

    def run(self, now: datetime, files: Files, events: list[Happening]) -> list[Expected]:
        """Who is sent what in a run at this time."""
        assert self.shop is not None
        sets = Sets(files, now)
        found: list[Expected] = []
        for name in sorted({*self.live, *self.places}):
            flow = self.live.get(name)
            if flow is not None:
                self._enter(flow, sets, events)
            rows = {(one.person, one.item, one.at): one for one in files.drops}
            for places in list(self.places[name].values()):
                for place in places:
                    if place.over is None and place.due <= now:
                        found.extend(self._walk(place, sets, rows))
        return found

    def _enter(self, flow: Flow, sets: Sets, events: list[Happening]) -> None:
        kind, what = flow.start
        if kind == "when":
            self._enter_set(flow, sets)
        elif kind == "follow":
            self._follow(flow, what, events)
        else:
            self._rows(flow, sets)

    def _begin(self, flow: Flow, who: str, at: datetime, row: Drop | None = None) -> None:
        self.places[flow.name][who].append(Place(flow, who, at, at, list(reversed(flow.steps)), row))
        self.counts["entered"] += 1

    def _enter_set(self, flow: Flow, sets: Sets) -> None:
        inside = sets.of(flow.start[1])
        away = sets.files.lists["optout"]
        if flow.exit is not None:
            away |= {who for who in inside if sets.holds(flow.exit, who, sets.now, None)}
        for who, places in self.places[flow.name].items():
            if places and places[-1].over is not None and who not in inside:
                places[-1].seen_outside = True
        for who in sorted(inside - away):
            places = self.places[flow.name].get(who)
            if not places or self._may_again(flow, places[-1], sets.now):
                self._begin(flow, who, sets.now)

    def _may_again(self, flow: Flow, last: Place, now: datetime) -> bool:
        if flow.reentry is None or last.over is None or not last.seen_outside:
            return False
        return now - last.over >= timedelta(days=flow.reentry)

    def _follow(self, flow: Flow, via: str | None, events: list[Happening]) -> None:
        begin = self.events_seen[flow.name]
        self.events_seen[flow.name] = len(events)
        for one in events[begin:]:
            if one.at < self.approved[flow.name]:
                continue
            places = self.places[flow.name].get(one.person, [])
            last = places[-1] if places else None
            if one.what == "block":
                if last is not None and last.over is None:
                    self._over(last, one.at, "unfollowed")
            elif via in (None, one.detail) and (last is None or (flow.reentry == 0 and last.over is not None)):
                self._begin(flow, one.person, one.at)

    def _rows(self, flow: Flow, sets: Sets) -> None:
        for row in sorted(sets.files.drops, key=lambda one: (one.at, one.person, one.item)):
            key = (row.person, row.item, row.at)
            if row.at < self.approved[flow.name] or row.at > sets.now or key in self.rows_seen[flow.name]:
                continue
            self.rows_seen[flow.name].add(key)
            if sets.now - row.at > TRIGGER_LATE:
                self.counts["rows missed"] += 1
            else:
                self._begin(flow, row.person, row.at, row)

    def _over(self, place: Place, at: datetime, why: str) -> None:
        place.over, place.why = at, why
        self.counts[why] += 1

    def _walk(self, place: Place, sets: Sets, rows: dict[tuple[str, str, datetime], Drop]) -> Iterator[Expected]:
        row = place.row
        if row is not None:
            row = rows.get((row.person, row.item, row.at))
        while place.over is None:
            self._pass_waits(place)
            if place.due > sets.now:
                return
            if not place.ahead:
                self._over(place, place.due, "done")
            elif place.row is not None and row is None:
                self._over(place, sets.now, "withdrawn")
            elif place.flow.exit is not None and sets.holds(place.flow.exit, place.who, place.entered, row):
                self._over(place, sets.now, "exit")
            elif place.who in sets.files.lists["optout"]:
                self._over(place, sets.now, "policy")
            elif isinstance(step := place.ahead[-1], Branch):
                place.ahead.pop()
                place.ahead.extend(reversed(_arm(step, place, sets, row)))
            elif not (yield from self._send(place, sets)):
                return

    def _pass_waits(self, place: Place) -> None:
        """Whoever comes to a wait stands behind it from then on, and is due later."""
        while place.ahead and isinstance(step := place.ahead[-1], Wait | Until):
            place.ahead.pop()
            if isinstance(step, Wait):
                place.due += timedelta(minutes=step.minutes)
            else:
                place.due = next_time(place.due, step.hour, step.minute)

    def _send(self, place: Place, sets: Sets) -> Generator[Expected, None, bool]:
        """Send or pass over; not where hours or a cap stand against it."""
        assert self.shop is not None
        step = place.ahead[-1]
        assert isinstance(step, Send)
        quiet = self.shop.quiet
        if quiet:
            place.due = out_of_quiet(place.due, quiet)
        if place.due > sets.now:
            self.counts["moved"] += 1
            return False
        if sets.now - place.due > LATE:
            place.passed_over.append(step.message)
            self.counts["late"] += 1
            place.ahead.pop()
            return True
        if quiet and in_quiet(sets.now, quiet):
            self.counts["moved"] += 1
            return False
        if place.flow.name not in self.shop.free:
            free = self.free_at(place.who, sets.now)
            if free > sets.now:
                place.due = free
                self.counts["moved by a cap"] += 1
                return False
            self.note(place.who, sets.now)
        place.ahead.pop()
        self.counts["sent"] += 1
        yield Expected(place.who, step.message, place.flow.name)
        return True

    def free_at(self, who: str, now: datetime) -> datetime:
        """The first instant from now on at which a cap lets this person be sent one more."""
        assert self.shop is not None
        if self.shop.cap is None:
            return now
        count, days = self.shop.cap
        times = [at for at in self.sent[who] if at > now - timedelta(days=days)]
        return now if len(times) < count else times[-count] + timedelta(days=days)

    def note(self, who: str, now: datetime) -> None:
        """Something that a cap counts is sent."""
        self.sent[who].append(now)


def _arm(step: Branch, place: Place, sets: Sets, row: Drop | None) -> tuple[Step, ...]:
    for condition, inner in step.arms:
        if condition is None or sets.holds(condition, place.who, place.entered, row):
            return inner
    return ()


def next_time(at: datetime, hour: int, minute: int) -> datetime:
    found = at.astimezone(ZONE).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return found if found >= at else found + timedelta(days=1)


def in_quiet(at: datetime, quiet: tuple[int, int]) -> bool:
    hour, (begin, end) = at.astimezone(ZONE).hour, quiet
    return begin <= hour < end if begin < end else hour >= begin or hour < end


def out_of_quiet(at: datetime, quiet: tuple[int, int]) -> datetime:
    return next_time(at, quiet[1], 0) if in_quiet(at, quiet) else at


# --- deliveries -----------------------------------------------------------------------------------------


@dataclass
class Turn:
    """One time of a delivery. `must` and `may`: who is sent it if a run comes now; None where none is due."""

    must: frozenset[str]
    may: frozenset[str]


@dataclass
class Schedule:
    """What was approved of a delivery, and which of its times are over."""

    one: Delivery
    since: datetime
    wanted: list[frozenset[str]] = field(default_factory=list)
    unwanted: frozenset[str] = frozenset()
    handled: datetime | None = None


class Calendar:
    """All deliveries of a shop."""

    def __init__(self) -> None:
        self.known: dict[str, Schedule] = {}
        self.counts: dict[str, int] = defaultdict(int)

    def approve(self, shop: Shop, now: datetime, files: Files) -> None:
        """Who would be sent it at an approval; whoever was excluded at one stays out."""
        sets = Sets(files, now)
        for one in shop.deliveries:
            schedule = self.known.setdefault(one.name, Schedule(one, now))
            wanted, unwanted = _parts(one.to, sets)
            schedule.wanted.append(wanted)
            schedule.unwanted |= unwanted | files.lists["optout"]

    def run(self, now: datetime, files: Files, quiet: tuple[int, int] | None) -> dict[str, Turn]:
        """By the words of the message, what a run at this time sends."""
        sets = Sets(files, now)
        found: dict[str, Turn] = {}
        for schedule in self.known.values():
            at = _time_of(schedule, now)
            if at is None or (schedule.handled is not None and at <= schedule.handled):
                continue
            in_time = now < not_after(at, quiet)
            if not in_time and not self._catches_up(schedule, at, now):
                self.counts["times missed"] += 1
                schedule.handled = at
            elif not (quiet and in_quiet(now, quiet)):
                found[schedule.one.message] = self._aimed(schedule, sets)
                self.counts["times sent" if in_time else "times sent late"] += 1
                schedule.handled = at
        return found

    def _aimed(self, schedule: Schedule, sets: Sets) -> Turn:
        wanted, unwanted = _parts(schedule.one.to, sets)
        away = unwanted | sets.files.lists["optout"]
        if schedule.one.every is not None:
            return Turn(wanted - away, wanted - away)
        away |= schedule.unwanted
        return Turn(wanted.intersection(*schedule.wanted) - away, frozenset().union(*schedule.wanted) - away)

    def _catches_up(self, schedule: Schedule, at: datetime, now: datetime) -> bool:
        one = schedule.one
        if one.every is None or one.catch_up == "skip":
            return False
        following = next(each for each in _times(one.every, at + timedelta(hours=1)) if each > at)
        return now - at <= (following - at) / 2


def _parts(to: Condition, sets: Sets) -> tuple[frozenset[str], frozenset[str]]:
    """Who is named, and who is taken away."""
    if to[0] == "except":
        return sets.of(to[1]), sets.of(to[2])
    return sets.of(to), frozenset()


def _time_of(schedule: Schedule, now: datetime) -> datetime | None:
    """The last time of the delivery until now, since its approval."""
    one = schedule.one
    if one.at is not None:
        return one.at if one.at <= now else None
    assert one.every is not None
    begin = max(schedule.since, now - timedelta(days=63))
    passed = [at for at in _times(one.every, begin) if begin <= at <= now]
    return passed[-1] if passed else None


def _times(every: tuple, since: datetime) -> Iterator[datetime]:
    """The times of a repetition around and after an instant; a hundred days of them."""
    unit, which, hour, minute = every
    for number in range(100):
        day = (since + timedelta(days=number)).replace(hour=hour, minute=minute, second=0, microsecond=0)
        fits = unit == "day" or (unit == "week" and day.weekday() == which) or (unit == "month" and day.day == which)
        if fits:
            yield day


def not_after(at: datetime, quiet: tuple[int, int] | None) -> datetime:
    """The end of a window: six hours, or the beginning of quiet hours."""
    end = at + timedelta(hours=6)
    if quiet is None:
        return end
    return min(end, next_time(at, quiet[0], 0))


# --- rules that need no expectation -----------------------------------------------------------------------


@dataclass(frozen=True)
class Received:
    """One entry of the inbox, and the run in which it came."""

    who: str
    words: str
    at: datetime
    run: int


def inside(shop: Shop, received: Iterable[Received], optouts: dict[int, frozenset[str]]) -> Iterator[str]:
    """What no inbox may hold: words in quiet hours, to people who opted out, more than a cap allows."""
    by_person: dict[str, list[Received]] = defaultdict(list)
    for one in received:
        by_person[one.who].append(one)
        if shop.quiet and in_quiet(one.at, shop.quiet):
            yield f"{one.words} came at {one.at:%H:%M}, in quiet hours"
        if one.who in optouts[one.run]:
            yield f"{one.words} came to somebody who had opted out"
    if shop.cap:
        for ones in by_person.values():
            yield from _over_cap(ones, shop.cap, shop.free)


def _over_cap(ones: list[Received], cap: tuple[int, int], free: frozenset[str]) -> Iterator[str]:
    counted = [one for one in ones if owner_of(one.words) not in free]
    for first in range(len(counted) - cap[0]):
        last = counted[first + cap[0]]
        if last.at - counted[first].at < timedelta(days=cap[1]):
            yield f"{last.words} is one more than {cap[0]} in {cap[1]} days"


def owner_of(words: str) -> str:
    return words.split("/")[0].split(" ")[0]


def doubled(received: Iterable[Received], entries: dict[tuple[str, str], int]) -> Iterator[str]:
    """Words that came to somebody more often than they entered the flow; both arms of one branch in one entry."""
    times: dict[tuple[str, str], int] = defaultdict(int)
    arms: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in received:
        if "/" not in one.words:
            continue
        times[one.who, one.words] += 1
        name, path = one.words.split(" ")[0].split("/")
        edition = one.words.split(" ")[1]
        parts = path.split(".")
        for depth in range(1, len(parts) - 1, 2):
            branch = f"{name} {edition} {'.'.join(parts[:depth])}"
            arms[one.who, branch][parts[depth]] = max(arms[one.who, branch][parts[depth]], times[one.who, one.words])
    for (who, words), count in sorted(times.items()):
        if count > entries.get((owner_of(words), who), 0):
            yield f"{words} came {count} times to one person"
    for (who, branch), found in sorted(arms.items()):
        if sum(found.values()) > entries.get((branch.split(" ")[0], who), 0):
            yield f"two arms of {branch} came to one person"
