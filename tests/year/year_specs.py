"""A shop's flows and deliveries from a seed: as values that the oracle reads, and as text that audsql reads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

ZONE = timezone(timedelta(hours=9))
START = datetime(2026, 11, 21, 10, 20, tzinfo=ZONE)

STARTS = ("s1", "s2", "s3", "s4", "s5", "s6")
MARKS = ("l1", "l2", "l3", "l4")
PRODUCTS = ("A", "B", "C", "D")
VIAS = ("poster", "search")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

# A condition is a nested tuple: ("list", name), ("bought", product, window), ("row", column), ("friends",),
# ("and", a, b), ("or", a, b), ("except", a, b). A window is None, ("days", n), ("hours", n) or ("start",).
Condition = tuple


@dataclass(frozen=True)
class Wait:
    minutes: int


@dataclass(frozen=True)
class Until:
    hour: int
    minute: int


@dataclass(frozen=True)
class Send:
    message: str


@dataclass(frozen=True)
class Branch:
    """Arms in order; a condition of None is `otherwise`."""

    arms: tuple[tuple[Condition | None, tuple[Step, ...]], ...]


Step = Wait | Until | Send | Branch


@dataclass(frozen=True)
class Flow:
    """`start`: ("when", condition), ("follow", via or None) or ("trigger", table). `reentry`: None is never, 0 always,
    else days. `edition` counts the texts that a name had."""

    name: str
    start: tuple
    steps: tuple[Step, ...]
    exit: Condition | None = None
    reentry: int | None = None
    edition: int = 1


@dataclass(frozen=True)
class Delivery:
    """`at`: once; `every`: (unit, weekday or day, hour, minute) with `catch_up`. To listed people."""

    name: str
    to: Condition
    message: str
    by: str
    at: datetime | None = None
    every: tuple | None = None
    catch_up: str = "skip"


@dataclass(frozen=True)
class Shop:
    """All that stands in the specs. `quiet`: (from hour, to hour) by the clock; `cap`: (sends, days); `free`: who is
    outside the cap; `over`: what becomes of a flow's send that a policy holds up."""

    flows: tuple[Flow, ...]
    deliveries: tuple[Delivery, ...]
    quiet: tuple[int, int] | None
    cap: tuple[int, int] | None
    free: frozenset[str] = field(default_factory=frozenset)
    over: str = "move"

    def text(self) -> str:
        return "\n".join(_statements(self))


# --- as text -------------------------------------------------------------------------------------------


def said(condition: Condition) -> str:
    kind, *rest = condition
    if kind == "list":
        return f"uploaded({rest[0]})"
    if kind == "friends":
        return "friends"
    if kind == "row":
        return f"drops({rest[0]} is given)"
    if kind == "bought":
        product, window = rest
        parts = [product] + ([_window(window)] if window else [])
        return f"purchased({', '.join(parts)})"
    left, right = (said(one) for one in rest)
    return f"({left} {kind.upper()} {right})"


def _window(window: tuple) -> str:
    return "since start" if window == ("start",) else f"last {window[1]} {window[0]}"


def duration(minutes: int) -> str:
    if minutes % 1440 == 0:
        return f"{minutes // 1440} days"
    return f"{minutes // 60} hours" if minutes % 60 == 0 else f"{minutes} minutes"


def _steps(steps: tuple[Step, ...], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for step in steps:
        if isinstance(step, Wait):
            yield f"{pad}wait {duration(step.minutes)}"
        elif isinstance(step, Until):
            yield f"{pad}wait until {step.hour:02d}:{step.minute:02d}"
        elif isinstance(step, Send):
            yield f"{pad}send {message_name(step.message)}"
        else:
            yield f"{pad}branch {{"
            for condition, inner in step.arms:
                yield f"{pad}  {'otherwise' if condition is None else said(condition)} -> {{"
                yield from _steps(inner, depth + 2)
                yield f"{pad}  }}"
            yield f"{pad}}}"


def message_name(text: str) -> str:
    return "m_" + "".join(one if one.isalnum() else "_" for one in text)


def messages_of(steps: tuple[Step, ...]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, Send):
            yield step.message
        elif isinstance(step, Branch):
            for _, inner in step.arms:
                yield from messages_of(inner)


def _statements(shop: Shop) -> Iterator[str]:
    yield 'account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN")  followers: readable }'
    for name in (*STARTS, *MARKS, "gone", "optout"):
        yield f'upload {name} {{ file: "data/{name}.txt"  id: user_id  allow empty }}'
    yield ('table orders { file: "data/orders.csv"  id: user_id  time: ordered_at  verb purchased by product }')
    yield ('table drops { file: "data/drops.csv"  id: user_id  time: dropped_at  verb dropped by item }')
    rules = ["always except uploaded(optout)"]
    if shop.quiet:
        rules.append(f"quiet {shop.quiet[0]:02d}:00..{shop.quiet[1]:02d}:00")
    if shop.cap:
        free = f"  except for [{', '.join(sorted(shop.free))}]" if shop.free else ""
        rules.append(f"cap {shop.cap[0]} per person per {shop.cap[1]} days{free}")
    yield "policy house {\n  " + "\n  ".join(rules) + "\n}"
    for flow in shop.flows:
        for text in messages_of(flow.steps):
            yield f'message {message_name(text)} {{ text: "{text}" }}'
        yield "\n".join(_flow(flow))
    for one in shop.deliveries:
        yield f'message {message_name(one.message)} {{ text: "{one.message}" }}'
        yield _delivery(one)


def _flow(flow: Flow) -> Iterator[str]:
    yield f"flow {flow.name} {{"
    kind, what = flow.start
    if kind == "when":
        yield f"  start when {said(what)}"
    elif kind == "follow":
        yield "  start on follow" + (f' via "{what}"' if what else "")
    else:
        yield f"  trigger on {what}"
    yield from _steps(flow.steps, 1)
    if flow.exit is not None:
        yield f"  exit when {said(flow.exit)}"
    if flow.reentry is not None:
        yield "  reentry: always" if flow.reentry == 0 else f"  reentry: after {flow.reentry} days"
    yield "}"


def _delivery(one: Delivery) -> str:
    if one.at is not None:
        when = f"at: {one.at:%Y-%m-%d %H:%M}"
    else:
        assert one.every is not None
        unit, which, hour, minute = one.every
        word = {"day": "day", "month": f"month {which}"}.get(unit) or WEEKDAYS[which]
        when = f"every: {word} {hour:02d}:{minute:02d}  catch_up: {one.catch_up}"
    what = f"to: {said(one.to)} allow empty  send: {message_name(one.message)}"
    return f"delivery {one.name} {{ {what}  by: {one.by}  {when} }}"


# --- from a seed ---------------------------------------------------------------------------------------


def shop_of(seed: int, count: int, days: int, without: frozenset[str] = frozenset()) -> Shop:
    """`count` flows and deliveries: four in five are flows. `without`: kinds of start, `cap`, `quiet`, `deliveries`, or
    names of flows that are left out of the text, to narrow down what goes wrong."""
    chance = random.Random(f"shop {seed}")
    flows = tuple(flow_of(chance, f"f{number:03d}") for number in range(count * 4 // 5))
    deliveries = tuple(_delivery_of(chance, f"d{number:03d}", days) for number in range(count - len(flows)))
    capped = chance.random() < 0.7
    names = [one.name for one in (*flows, *deliveries)]
    free = frozenset(name for name in names if chance.random() < 0.6) if capped else frozenset()
    # One delivery at most is covered: nothing says which of two that are due at once goes first.
    covered = [one.name for one in deliveries if one.name not in free]
    free |= frozenset(covered[1:]) if capped else frozenset()
    quiet, cap = chance.choice((None, (21, 9), (22, 7), (12, 13))), (chance.choice((2, 3)), 7)
    return Shop(
        tuple(one for one in flows if not {one.name, one.start[0]} & without),
        () if "deliveries" in without else deliveries,
        None if "quiet" in without else quiet,
        cap if capped and "cap" not in without else None,
        free if "cap" not in without else frozenset(),
    )


def flow_of(chance: random.Random, name: str, edition: int = 1) -> Flow:
    kind = chance.choice(("when", "when", "when", "follow", "trigger"))
    if kind == "when":
        start = ("when", _start(chance))
        reentry = chance.choice((None, None, 0, 3, 7))
    elif kind == "follow":
        start, reentry = ("follow", chance.choice((None, None, *VIAS))), chance.choice((None, None, 0))
    else:
        start, reentry = ("trigger", "drops"), None
    conditions = _pool(chance)
    steps = _steps_of(chance, f"{name}/", edition, conditions, 2)
    ending = None
    if kind == "trigger" and chance.random() < 0.7:
        ending = ("row", "back")
    elif chance.random() < 0.4:
        ending = chance.choice((("list", "gone"), ("bought", "D", ("start",)), ("bought", "D", ("days", 2))))
    return Flow(name, start, steps, ending, reentry, edition)


def _start(chance: random.Random) -> Condition:
    first: Condition = ("list", chance.choice(STARTS))
    draw = chance.random()
    if draw < 0.4:
        return first
    other: Condition = ("list", chance.choice([one for one in STARTS if one != first[1]]))
    bought: Condition = ("bought", "C", chance.choice((("days", 3), ("hours", 24), None)))
    if draw < 0.55:
        return ("except", first, bought)
    if draw < 0.7:
        return ("and", ("friends",), first)
    if draw < 0.85:
        return ("or", first, ("and", bought, other))
    return ("except", ("except", ("friends",), first), other)


def _pool(chance: random.Random) -> list[Condition]:
    """Conditions of branches that say nothing of each other."""
    pool: list[Condition] = [("list", one) for one in MARKS]
    pool += [("bought", "A", ("start",)), ("bought", "B", chance.choice((("days", 5), ("hours", 48), None)))]
    chance.shuffle(pool)
    return pool


def _steps_of(
    chance: random.Random, place: str, edition: int, conditions: list[Condition], depth: int
) -> tuple[Step, ...]:
    """Steps that end with a send, so that no wait is idle; each send has words of its own."""
    steps: list[Step] = []
    for _ in range(chance.choice((1, 1, 2, 3)) if depth == 2 else chance.choice((0, 0, 1))):
        draw = chance.random()
        if draw < 0.5:
            steps.append(Wait(chance.choice((60, 180, 720, 1440, 2880, 4320, 7 * 1440))))
        elif draw < 0.65:
            steps.append(Until(chance.choice((8, 10, 12, 18, 23)), chance.choice((0, 30))))
        elif draw < 0.85 and depth and conditions:
            steps.append(_branch(chance, f"{place}{len(steps)}.", edition, conditions, depth))
        else:
            steps.append(Send(f"{place}{len(steps)} e{edition}"))
    if depth == 2 and conditions and chance.random() < 0.5:
        steps.append(_branch(chance, f"{place}{len(steps)}.", edition, conditions, depth))
    else:
        steps.append(Send(f"{place}{len(steps)} e{edition}"))
    return tuple(steps)


def _branch(chance: random.Random, place: str, edition: int, conditions: list[Condition], depth: int) -> Branch:
    arms: list[tuple[Condition | None, tuple[Step, ...]]] = []
    wanted = [conditions.pop() for _ in range(min(len(conditions), chance.choice((1, 2))))]
    for number, condition in enumerate(wanted):
        arms.append((condition, _steps_of(chance, f"{place}{number}.", edition, conditions, depth - 1)))
    if chance.random() < 0.7:
        arms.append((None, _steps_of(chance, f"{place}{len(arms)}.", edition, conditions, depth - 1)))
    return Branch(tuple(arms))


def _delivery_of(chance: random.Random, name: str, days: int) -> Delivery:
    to: Condition = ("list", chance.choice(STARTS))
    if chance.random() < 0.4:
        # A list that is taken away and shrinks would stop the delivery; buyers only become more.
        to = ("except", to, ("bought", "B", None))
    hour = chance.choice((9, 10, 11, 14, 16, 19))
    by = chance.choice(("multicast", "push"))
    if chance.random() < 0.6:
        at = (START + timedelta(days=chance.randrange(1, days))).replace(hour=hour, minute=0)
        return Delivery(name, to, f"{name} once", by, at=at)
    unit = chance.choice(("day", "week", "week", "month"))
    which = chance.randrange(7) if unit == "week" else chance.randrange(1, 28) if unit == "month" else None
    return Delivery(
        name, to, f"{name} again", by, every=(unit, which, hour, 0), catch_up=chance.choice(("skip", "once"))
    )
