"""Random worlds and specs: people, lists, retargeting, attributes, and a delivery to a random expression."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from naive import Expression, digits_of, in_share, inside, linked_to, text

NOW = "2026-11-21T00:00:00+09:00"
MESSAGE = "bb9744f9-47fa-4a29-941e-1234567890ab"
URL = "https://shop.example/a"
PEOPLE = 420

OWN = ("uploaded(a)", "uploaded(b)", "uploaded(c)", "bought(X)")
SAMPLE = 'sample(uploaded(a), 30%, seed: "2026")'
LINKED = "(linked(members) AND uploaded(p))"
LEFT = "(linked(members) AND (uploaded(p) EXCEPT uploaded(q)))"
CALLED = '(linked(members) AND sample(uploaded(p), 50%, seed: "t"))'
DERIVED = (SAMPLE, "test.x", "test.y", LINKED, LEFT, CALLED, "(linked(members) EXCEPT uploaded(p))")
LINE = ("clicked(m)", "opened(m)", 'chat_tag("VIP")')
ATTRIBUTE = ("gender(female)", "gender(male)", "os(ios)", "area(tokyo)", "age(30..39)")


@dataclass(frozen=True)
class World:
    """`people`: each person's truth of every atom, and whether they can be reached and uploaded."""

    document: dict[str, Any]
    files: dict[str, str]
    people: dict[str, dict[str, bool | None]]
    reachable: frozenset[str]
    accepting: frozenset[str]
    includes_unknown: bool


def user_id(number: int) -> str:
    return "U" + format(number, "032x")


def make_world(seed: int, shortfall: bool, includes_unknown: bool) -> World:
    """A world that follows from its seed. `shortfall`: LINE leaves some people out of uploads."""
    chance = random.Random(seed)
    shares = {name: chance.choice((0.25, 0.4, 0.6)) for name in (*OWN, *LINE)}
    people: dict[str, dict[str, bool | None]] = {}
    friends, reachable, accepting = [], set(), set()
    for number in range(1, PEOPLE + 1):
        one: dict[str, bool | None] = {name: chance.random() < share for name, share in shares.items()}
        one["friends"] = True
        friend: dict[str, Any] = {
            "userId": user_id(number),
            "status": "blocked" if chance.random() < 0.05 else "following",
            "followedAt": "2025-01-01T00:00:00+09:00",
        }
        one |= _attributes(chance, friend)
        if shortfall and chance.random() < 0.1:
            friend["policyAccepted"] = False
        else:
            accepting.add(user_id(number))
        if friend["status"] == "following":
            reachable.add(user_id(number))
        friends.append(friend)
        people[user_id(number)] = one
    rows, lists = _telephones(chance, list(people))
    for user, one in people.items():
        one |= _derived(user, one, rows, lists)
    document = {"now": NOW, "accounts": {"shop": _account(friends, people, includes_unknown)}}
    files = _files(people) | _telephone_files(chance, rows, lists)
    return World(document, files, people, frozenset(reachable), frozenset(accepting), includes_unknown)


_Rows = list[tuple[str, str]]


def _telephones(chance: random.Random, users: list[str]) -> tuple[_Rows, dict[str, set[str]]]:
    """Rows of users and telephone numbers, none to three each, some shared; and two lists of numbers, some of
    them nobody's."""
    numbers = [f"090{number:08}" for number in range(500)]
    rows = [(user, chance.choice(numbers)) for user in users for _ in range(chance.choice((0, 1, 1, 2, 3)))]
    rows += [("", chance.choice(numbers)) for _ in range(20)]
    return rows, {name: {one for one in numbers if chance.random() < share} for name, share in (("p", 0.5), ("q", 0.3))}


def _derived(user: str, one: dict[str, bool | None], rows: _Rows, lists: dict[str, set[str]]) -> dict[str, bool | None]:
    def reached(numbers: set[str]) -> bool:
        return user in linked_to(mine, numbers)

    mine = [row for row in rows if row[0] == user]
    either = bool(one["uploaded(b)"]) or bool(one["bought(X)"])
    called = {number for number in lists["p"] if in_share("sample:t", number, 0, 5000)}
    has_row = bool(mine) or in_members(user)
    return {
        SAMPLE: bool(one["uploaded(a)"]) and in_share("sample:2026", user, 0, 3000),
        "test.x": either and in_share("autumn 秋", user, 0, 3500),
        "test.y": either and in_share("autumn 秋", user, 3500, 10_000),
        "uploaded(p)": reached(lists["p"]),
        LINKED: reached(lists["p"]),
        LEFT: reached(lists["p"] - lists["q"]),
        CALLED: reached(called),
        "(linked(members) EXCEPT uploaded(p))": has_row and not reached(lists["p"]),
    }


def in_members(user: str) -> bool:
    """Whether a user without a telephone has a row all the same."""
    return int(user[1:], 16) % 3 == 0


def _telephone_files(chance: random.Random, rows: _Rows, lists: dict[str, set[str]]) -> dict[str, str]:
    """The same numbers, written in other ways."""

    def written(number: str) -> str:
        digits = digits_of(number)
        return chance.choice((digits, f"{digits[:3]}-{digits[3:7]}-{digits[7:]}", f"({digits[:3]}){digits[3:]}"))

    extra = [(user_id(number), "") for number in range(1, PEOPLE + 1) if in_members(user_id(number))]
    lines = [f"{user},{written(number) if number else ''}" for user, number in (*rows, *extra)]
    chance.shuffle(lines)
    members = "".join(f"{line}\n" for line in ("user_id,phone", *lines))
    files = {f"data/{name}.txt": "".join(f"{written(one)}\n" for one in sorted(ids)) for name, ids in lists.items()}
    return {**files, "data/members.csv": members}


def _attributes(chance: random.Random, friend: dict[str, Any]) -> dict[str, bool | None]:
    """Estimated attributes, or nothing known of the person at all."""
    if chance.random() < 0.15:
        return dict.fromkeys(ATTRIBUTE)
    gender, os_ = chance.choice(("female", "male")), chance.choice(("ios", "android"))
    area, age = chance.choice(("jp_13", "jp_27")), chance.choice(("age_25", "age_30", "age_35", "age_40"))
    friend |= {"gender": gender, "os": os_, "area": area, "age": age}
    return {
        "gender(female)": gender == "female",
        "gender(male)": gender == "male",
        "os(ios)": os_ == "ios",
        "area(tokyo)": area == "jp_13",
        "age(30..39)": age in ("age_30", "age_35"),
    }


def _account(
    friends: list[dict[str, Any]], people: dict[str, dict[str, bool | None]], includes: bool
) -> dict[str, Any]:
    def who(name: str) -> list[str]:
        return [user for user, one in people.items() if one[name]]

    send = {
        "requestId": MESSAGE, "kind": "broadcast", "at": "2026-11-10T10:00:00+09:00", "urls": [URL],
        "to": list(people), "opened": who("opened(m)"), "clicked": {URL: who("clicked(m)")},
    }  # fmt: skip
    return {
        "token": "sim-token",
        "quota": {"type": "limited", "value": 30000},
        "notIncludesUnknown": includes,
        "friends": friends,
        "sends": [send],
        "audiences": [{"type": "CHAT_TAG", "description": "VIP", "members": who('chat_tag("VIP")')}],
    }


def _files(people: dict[str, dict[str, bool | None]]) -> dict[str, str]:
    lists = {
        f"data/{name}.txt": "".join(f"{user}\n" for user, one in people.items() if one[f"uploaded({name})"])
        for name in "abc"
    }
    rows = "".join(f"{user},{'X' if one['bought(X)'] else 'Y'}\n" for user, one in people.items())
    return {**lists, "data/orders.csv": "user_id,product\n" + rows}


SPEC = """
account shop {{ token: env("LINE_CHANNEL_ACCESS_TOKEN") }}
upload a {{ file: "data/a.txt"  id: user_id }}
upload b {{ file: "data/b.txt"  id: user_id }}
upload c {{ file: "data/c.txt"  id: user_id }}
table orders {{ file: "data/orders.csv"  id: user_id  verb bought by product }}
upload p {{ file: "data/p.txt"  id: phone }}
upload q {{ file: "data/q.txt"  id: phone }}
table members {{ file: "data/members.csv"  id: user_id, phone }}
split test of uploaded(b) OR bought(X) {{ x 35%, y 65% }} salt "autumn 秋"
delivery m {{ sent: "bb9744f9-47fa-4a29-941e-1234567890ab"  at: 2026-11-10 10:00  by: broadcast }}
message hello {{ text: "hello" }}
delivery sale {{ to: {to}  send: hello }}
{policy}
"""


def spec(expression: Expression, excluded: str | None) -> str:
    policy = f"policy house {{ always except {excluded} }}" if excluded else ""
    return SPEC.format(to=text(expression), policy=policy)


def expressions(leaves: int = 6) -> st.SearchStrategy[Expression]:
    """Trees over atoms of all three worlds; `friends` now and then."""
    names = st.sampled_from((*OWN, *OWN, *DERIVED, *LINE, *LINE, *ATTRIBUTE, "friends"))
    atom = st.tuples(st.just("atom"), names)

    def grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        pair = st.tuples(st.sampled_from(("and", "or", "except")), inner, inner)
        return pair | pair | st.tuples(st.just("not"), inner).filter(lambda e: e[1][0] != "not")

    free = st.recursive(atom, grown, max_leaves=leaves)
    # Most are bound to a set: an expression that holds of everybody unknown is refused before anything is sent.
    bound = st.tuples(st.sampled_from(("and", "and", "except")), atom, free)
    sendable = (bound | bound | free).filter(_sendable)
    return sendable | sendable | sendable | free


def _sendable(expression: Expression) -> bool:
    """Somebody can be in it, and somebody of whom nothing is known is not: what a delivery may be sent to."""
    chance = random.Random(7)
    names = (*OWN, *DERIVED, *LINE, *ATTRIBUTE)
    worlds = [_consistent({name: chance.random() < 0.5 for name in names}) for _ in range(60)]
    possible = [one for one in worlds if not (one["gender(female)"] and one["gender(male)"])]
    nobody = dict.fromkeys((*names, "friends"), False)
    return any(inside(expression, one) for one in possible) and not inside(expression, nobody)


def _consistent(one: dict[str, bool]) -> dict[str, bool]:
    """A person who can exist: shares are within what they are drawn from."""
    either = one["uploaded(b)"] or one["bought(X)"]
    shares = {
        SAMPLE: one[SAMPLE] and one["uploaded(a)"],
        "test.x": either and one["test.x"],
        "test.y": either and not one["test.x"],
        LEFT: one[LEFT] and one[LINKED],
        CALLED: one[CALLED] and one[LINKED],
        "(linked(members) EXCEPT uploaded(p))": one["(linked(members) EXCEPT uploaded(p))"] and not one[LINKED],
    }
    return one | shares | {"friends": True}
