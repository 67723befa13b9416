"""Random worlds: people, lists, telephones, retargeting, attributes, and what changes between the sends.

A `Case` is plain data that follows from its number: the world, the project and the truth follow from the case, so
that a case can be kept as a file and made smaller.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from naive import Expression, People, State, atoms, in_share, linked_to, text

NOW = "2026-11-21T00:00:00+09:00"
MESSAGE = "bb9744f9-47fa-4a29-941e-1234567890ab"
URL = "https://shop.example/a"

LISTS = ("uploaded(a)", "uploaded(b)", "uploaded(c)")
BOUGHT = "bought(X)"
OWN = (*LISTS, BOUGHT)
SAMPLE = 'sample(uploaded(a), 30%, seed: "2026")'
LINKED = "(linked(members) AND uploaded(p))"
LEFT = "(linked(members) AND (uploaded(p) EXCEPT uploaded(q)))"
CALLED = '(linked(members) AND sample(uploaded(p), 50%, seed: "t"))'
UNLISTED = "(linked(members) EXCEPT uploaded(p))"
SHARES = (SAMPLE, "test.x", "test.y")
LINKAGES = (LINKED, LEFT, CALLED, UNLISTED)
VIP, NEW = 'chat_tag("VIP")', 'chat_tag("New")'
LINE = ("clicked(m)", "opened(m)", VIP, NEW)
# The values of LINE's attributes that satisfy each atom.
ATTRIBUTE: dict[str, tuple[str, tuple[str, ...]]] = {
    "gender(female)": ("gender", ("female",)),
    "gender(male)": ("gender", ("male",)),
    "os(ios)": ("os", ("ios",)),
    "os(android)": ("os", ("android",)),
    "area(tokyo)": ("area", ("jp_13",)),
    "age(20..29)": ("age", ("age_20", "age_25")),
    "age(30..39)": ("age", ("age_30", "age_35")),
    "age(40..49)": ("age", ("age_40", "age_45")),
    "friend_for(>= 90 days)": ("period", ("long",)),
}
VALUES = {
    "gender": ("female", "male"),
    "os": ("ios", "android"),
    "area": ("jp_13", "jp_13", "jp_27"),
    "age": ("age_20", "age_25", "age_30", "age_35", "age_40", "age_45"),
}
_SINCE = {"long": "2025-01-01T00:00:00+09:00", "short": "2026-11-01T00:00:00+09:00"}


@dataclass
class Wish:
    """One delivery: to whom, and what it allows."""

    to: Expression
    allow_empty: bool = False
    allow_shortfall: bool = False


@dataclass
class Case:
    """`friends`: values per person; `lists`: people per own or LINE atom; `telephones`: pairs of person and number,
    person 0 is nobody; `numbers`: the telephone lists; `turns`: what changes between sends."""

    number: int
    friends: list[dict[str, Any]]
    lists: dict[str, list[int]]
    telephones: list[list[Any]]
    numbers: dict[str, list[str]]
    wishes: list[Wish]
    turns: list[dict[str, Any]] = field(default_factory=list)
    policy: Expression | None = None
    priority: list[int] = field(default_factory=list)
    includes_unknown: bool = True
    # What follows from friends and lists alone, once it was asked for.
    known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


def atom(name: str) -> Expression:
    return ("atom", name)


@cache
def user_id(person: int) -> str:
    return "U" + format(person, "032x")


def name_of(index: int) -> str:
    return f"sale{index}"


def everybody(case: Case) -> range:
    return range(1, len(case.friends) + 1)


# --- the people ---------------------------------------------------------------------------------------


def people_of(chance: random.Random, shortfall: bool) -> list[dict[str, Any]]:
    """60 to 1,000 friends: some have blocked the account, some are known to LINE in part or not at all."""
    low, high = chance.choice(((60, 140), (100, 250), (250, 450), (600, 900), (700, 1000), (700, 1000)))
    return [_person(chance, shortfall) for _ in range(chance.randint(low, high))]


def _person(chance: random.Random, shortfall: bool) -> dict[str, Any]:
    draw = chance.random
    one: dict[str, Any] = {"status": "blocked" if draw() < 0.05 else "following"}
    one["period"] = "short" if draw() < 0.1 else "long"
    if shortfall and draw() < 0.1:
        one["policyAccepted"] = False
    known = draw()
    for name, values in VALUES.items():
        unknown = known < 0.1 or (known < 0.25 and draw() < 0.5)
        one[name] = None if unknown else values[int(draw() * len(values))]
    return one


def lists_of(chance: random.Random, count: int) -> dict[str, list[int]]:
    """Who is in each list and audience: none, up to 60 or a share."""
    return {name: _some(chance, count) for name in (*OWN, *LINE)}


def _some(chance: random.Random, count: int) -> list[int]:
    kind = chance.random()
    if kind < 0.03:
        return []
    if kind < 0.09:
        return sorted(chance.sample(range(1, count + 1), chance.randint(1, min(60, count))))
    share = chance.choice((0.4, 0.5, 0.6, 0.75))
    return [person for person in range(1, count + 1) if chance.random() < share]


def telephones_of(chance: random.Random, count: int) -> tuple[list[list[Any]], dict[str, list[str]]]:
    """Rows of people and telephone numbers, none to three each, some shared; and two lists of numbers, some of
    them nobody's."""
    numbers = [f"090{number:08}" for number in range(count)]
    rows = [[one, chance.choice(numbers)] for one in range(1, count + 1) for _ in range(chance.choice((0, 1, 1, 2)))]
    rows += [[0, chance.choice(numbers)] for _ in range(5)]
    shares = (("p", 0.5), ("q", 0.3))
    return rows, {name: [one for one in numbers if chance.random() < share] or numbers[:1] for name, share in shares}


# --- what changes between the sends -----------------------------------------------------------------


def turns_of(chance: random.Random, case: Case) -> list[dict[str, Any]]:
    """One to four changes, each at the next narrowcasts' acceptance or end."""
    return [_turn(chance, case) for _ in range(chance.randint(1, 4))]


def _turn(chance: random.Random, case: Case) -> dict[str, Any]:
    share = chance.choice((0.05, 0.2, 0.5))
    turn: dict[str, Any] = {
        "nth": chance.choice((1, 1, 1, 2, 2, 3)),
        "when": chance.choice(("ended", "ended", "accepted")),
    }
    for tag in (VIP, NEW):
        if chance.random() < 0.7:
            turn[tag] = _chosen(chance, case, share)
    for name in ("clicked(m)", "opened(m)"):
        if chance.random() < 0.3:
            turn[name] = _chosen(chance, case, share)
    if chance.random() < 0.7:
        turn["friends"] = [[person, _changed(chance)] for person in _chosen(chance, case, share)]
    return turn


def _chosen(chance: random.Random, case: Case, share: float) -> list[int]:
    return [person for person in everybody(case) if chance.random() < share]


def _changed(chance: random.Random) -> dict[str, Any]:
    """An attribute estimated anew or lost; a person who blocks the account, or comes back."""
    if chance.random() < 0.1:
        return {"status": chance.choice(("blocked", "following"))}
    name = chance.choice(("gender", "gender", "age", "age", "os", "area"))
    return {name: None if chance.random() < 0.1 else chance.choice(VALUES[name])}


# --- the world of the simulator -----------------------------------------------------------------------


def world_document(case: Case) -> dict[str, Any]:
    friends = [
        {"userId": user_id(person), "followedAt": _SINCE[one["period"]], **_given(one)}
        for person, one in zip(everybody(case), case.friends, strict=True)
    ]
    send = {
        "requestId": MESSAGE, "kind": "broadcast", "at": "2026-11-10T10:00:00+09:00", "urls": [URL],
        "to": [one["userId"] for one in friends], "opened": _users(case.lists["opened(m)"]),
        "clicked": {URL: _users(case.lists["clicked(m)"])},
    }  # fmt: skip
    tags = [{"type": "CHAT_TAG", "description": name, "members": _users(case.lists[tag])} for name, tag in TAGS.items()]
    account = {
        "token": "sim-token",
        "quota": {"type": "limited", "value": 30_000},
        "notIncludesUnknown": case.includes_unknown,
        "friends": friends,
        "sends": [send],
        "audiences": tags,
        "turns": _document_turns(case),
    }
    return {"now": NOW, "accounts": {"shop": account}}


TAGS = {"VIP": VIP, "New": NEW}


def _given(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if value is not None and name != "period"}


def _users(people: Iterable[int]) -> list[str]:
    return [user_id(person) for person in people]


def _document_turns(case: Case) -> list[dict[str, Any]]:
    """A tag that a turn names is turned over: whoever has it loses it, whoever has not gets it."""
    members = {tag: set(case.lists[tag]) for tag in TAGS.values()}
    found: list[dict[str, Any]] = []
    for turn in in_time(case.turns):
        document: dict[str, Any] = {"nth": turn["nth"], "when": turn["when"], "audiences": [], "reactions": []}
        for name, tag in TAGS.items():
            gone, come = members[tag] & set(turn.get(tag, ())), set(turn.get(tag, ())) - members[tag]
            members[tag] = (members[tag] - gone) | come
            if gone or come:
                audience = {"description": name, "add": _users(sorted(come)), "remove": _users(sorted(gone))}
                document["audiences"].append(audience)
        clicked, opened = turn.get("clicked(m)", ()), turn.get("opened(m)", ())
        if clicked or opened:
            reaction = {"requestId": MESSAGE, "opened": _users(opened), "clicked": {URL: _users(clicked)}}
            document["reactions"].append(reaction)
        document["friends"] = [{"userId": user_id(person), **values} for person, values in turn.get("friends", ())]
        found.append(document)
    return found


def in_time(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order in which they happen: an acceptance goes before the end of the same narrowcast."""
    return sorted(turns, key=lambda turn: (turn["nth"], turn["when"] == "ended"))


# --- the truth ----------------------------------------------------------------------------------------


def truth(case: Case, narrowcast: int, received: dict[str, Iterable[int]]) -> State:
    """The state in which LINE decides who gets the nth narrowcast, from 1."""
    turns = [one for one in in_time(case.turns) if _happened(one, narrowcast)]
    everyone = frozenset(everybody(case))
    members = {name: frozenset(people) for name, people in case.lists.items()}
    for turn in turns:
        for tag in TAGS.values():
            members[tag] ^= frozenset(turn.get(tag, ()))
        for name in ("clicked(m)", "opened(m)"):
            members[name] |= frozenset(turn.get(name, ()))
    changed = _values(case, turns)
    unknown: dict[str, People] = {}
    for name, (attribute, values) in ATTRIBUTE.items():
        groups = changed[attribute]
        members[name] = frozenset[int]().union(*(groups.get(value, ()) for value in values))
        unknown[name] = frozenset(groups.get(None, ()))
    members |= {"friends": everyone, "reachable": frozenset(changed["status"]["following"])}
    return State(everyone, members | _derived(case) | {one: frozenset(who) for one, who in received.items()}, unknown)


def _happened(turn: dict[str, Any], narrowcast: int) -> bool:
    return turn["nth"] < narrowcast or (turn["nth"] == narrowcast and turn["when"] == "accepted")


def _values(case: Case, turns: Sequence[dict[str, Any]]) -> dict[str, dict[Any, set[int]]]:
    """Who has which value of which attribute."""
    latest: dict[tuple[int, str], Any] = {}
    for turn in turns:
        for person, values in turn.get("friends", ()):
            latest |= {(person, name): value for name, value in values.items()}
    at_first = case.known.get("values") or case.known.setdefault("values", _grouped(case))
    found = {name: {value: set(people) for value, people in groups.items()} for name, groups in at_first.items()}
    for (person, name), value in latest.items():
        found[name][case.friends[person - 1].get(name)].discard(person)
        found[name].setdefault(value, set()).add(person)
    return found


def _grouped(case: Case) -> dict[str, dict[Any, set[int]]]:
    found: dict[str, dict[Any, set[int]]] = {}
    for name in (*VALUES, "period", "status"):
        groups = found[name] = {"following": set()}
        for person, one in enumerate(case.friends, 1):
            groups.setdefault(one.get(name), set()).add(person)
    return found


def atoms_used(case: Case) -> set[str]:
    expressions = [wish.to for wish in case.wishes] + ([case.policy] if case.policy is not None else [])
    return set().union(*map(atoms, expressions))


def _derived(case: Case) -> dict[str, People]:
    """Shares and linkages; the same over the whole of a case."""
    if "derived" not in case.known:
        case.known["derived"] = _drawn(case)
    return case.known["derived"]


def _drawn(case: Case) -> dict[str, People]:
    a, b, c = (frozenset(case.lists[name]) for name in LISTS)
    shares = {
        SAMPLE: _share(a, "sample:2026", 0, 3000),
        "test.x": _share(b | c, "autumn 秋", 0, 3500),
        "test.y": _share(b | c, "autumn 秋", 3500, 10_000),
    }
    return shares | (_linked(case) if case.telephones else {})


def _linked(case: Case) -> dict[str, People]:
    rows = [(person, number) for person, number in case.telephones]
    p, q = frozenset(case.numbers["p"]), frozenset(case.numbers["q"])
    called = frozenset(number for number in p if in_share("sample:t", number, 0, 5000))
    everybody_linked = frozenset(person for person, _ in rows if person) | frozenset(
        filter(in_members, everybody(case))
    )
    return {
        LINKED: linked_to(rows, p),
        LEFT: linked_to(rows, p - q),
        CALLED: linked_to(rows, called),
        UNLISTED: everybody_linked - linked_to(rows, p),
    }


def _share(people: People, salt: str, low: int, high: int) -> People:
    return frozenset(person for person in people if in_share(salt, user_id(person), low, high))


def in_members(person: int) -> bool:
    """Whether a person without a telephone has a row all the same."""
    return person % 3 == 0


# --- the project --------------------------------------------------------------------------------------


def project_files(case: Case) -> dict[str, str]:
    chance = random.Random(case.number)
    files = {f"data/{name}.txt": _lines(_users(case.lists[f"uploaded({name})"])) for name in "abc"}
    files["x.aud"] = spec(case)
    used = atoms_used(case)
    if BOUGHT in used:
        bought = frozenset(case.lists[BOUGHT])
        orders = [f"{user_id(one)},{'X' if one in bought else 'Y'}" for one in everybody(case)]
        files["data/orders.csv"] = _lines(["user_id,product", *orders])
    return files if used.isdisjoint(LINKAGES) else files | _telephone_files(chance, case)


def _telephone_files(chance: random.Random, case: Case) -> dict[str, str]:
    rows = [f"{user_id(one) if one else ''},{_written(chance, number)}" for one, number in case.telephones]
    rows += [f"{user_id(one)}," for one in filter(in_members, everybody(case))]
    chance.shuffle(rows)
    numbers = {f"data/{name}.txt": _lines(_written(chance, one) for one in case.numbers[name]) for name in "pq"}
    return {**numbers, "data/members.csv": _lines(["user_id,phone", *rows])}


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _written(chance: random.Random, digits: str) -> str:
    """The same number, written in some way."""
    return chance.choice((digits, f"{digits[:3]}-{digits[3:7]}-{digits[7:]}", f"({digits[:3]}){digits[3:]}"))


SPEC = """
account shop {{ token: env("LINE_CHANNEL_ACCESS_TOKEN") }}
{uploads}
split test of uploaded(b) OR uploaded(c) {{ x 35%, y 65% }} salt "autumn 秋"
delivery m {{ sent: "bb9744f9-47fa-4a29-941e-1234567890ab"  at: 2026-11-10 10:00  by: broadcast }}
{rest}
"""
ORDERS = 'table orders { file: "data/orders.csv"  id: user_id  verb bought by product }'
TELEPHONES = """
upload p { file: "data/p.txt"  id: phone }
upload q { file: "data/q.txt"  id: phone }
table members { file: "data/members.csv"  id: user_id, phone }
"""


def spec(case: Case) -> str:
    empty = " allow empty" if any(wish.allow_empty for wish in case.wishes) else ""
    uploads = [f'upload {name} {{ file: "data/{name}.txt"  id: user_id{empty} }}' for name in "abc"]
    used = atoms_used(case)
    rest = [ORDERS] if BOUGHT in used else []
    rest += [] if used.isdisjoint(LINKAGES) else [TELEPHONES]
    for index, wish in enumerate(case.wishes):
        allowed = (" allow empty" if wish.allow_empty else "") + ("  allow shortfall" if wish.allow_shortfall else "")
        rest.append(f'message hello{index} {{ text: "{name_of(index)}" }}')
        rest.append(f"delivery {name_of(index)} {{ to: {text(wish.to)}{allowed}  send: hello{index} }}")
    if case.policy is not None:
        rest.append(f"policy house {{ always except {text(case.policy)} }}")
    if len(case.priority) > 1:
        rest.append(f"priority [{', '.join(map(name_of, case.priority))}]")
    return SPEC.format(uploads="\n".join(uploads), rest="\n".join(rest))


def whole(case: Case, index: int) -> Expression:
    """To whom a delivery really is: less the policy, less whom the earlier ones of the priority list reach."""
    to = case.wishes[index].to
    for earlier in case.priority[: case.priority.index(index)] if index in case.priority else ():
        to = ("except", to, case.wishes[earlier].to)
    return to if case.policy is None else ("except", to, case.policy)
