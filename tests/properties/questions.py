"""Random projects over a random world: expressions, policies, priorities, chains of deliveries."""

from __future__ import annotations

import random

from naive import Expression, State, atoms, inside
from worlds import (
    ATTRIBUTE,
    BOUGHT,
    LINE,
    LINKAGES,
    LISTS,
    NEW,
    SHARES,
    VIP,
    Case,
    Wish,
    atom,
    lists_of,
    name_of,
    people_of,
    telephones_of,
    truth,
    turns_of,
)

_TRIES = 15
_LISTED = (*LISTS, *LISTS, *SHARES)
_TABLED = (*LISTS, *SHARES, BOUGHT, BOUGHT, *LINKAGES)
Names = tuple[str, ...]
_TAGS = (VIP, VIP, NEW)
# Values that exclude each other, and the attributes that are written with NOT.
_TIERS = (
    ("age(20..29)", "age(30..39)", "age(40..49)"),
    ("gender(female)", "gender(male)"),
    ("os(ios)", "os(android)"),
    ("gender(female)", "os(ios)", "area(tokyo)"),
)


def case_of(number: int) -> Case:
    """The case of this number: the same one, always."""
    chance = random.Random(f"case {number}")
    shortfall, includes_unknown = chance.random() < 0.12, chance.random() < 0.6
    friends = people_of(chance, shortfall)
    # Reading a table costs as much as all the rest of a small pair.
    tables = chance.random() < 0.25
    telephones, numbers = telephones_of(chance, len(friends)) if tables else ([], {})
    own = _TABLED if tables else _LISTED
    lists = lists_of(chance, len(friends))
    case = Case(number, friends, lists, telephones, numbers, [], includes_unknown=includes_unknown)
    still = truth(case, 0, {})
    if chance.random() < 0.25:
        case.policy = atom(chance.choice((*own, LINE[0], VIP)))
    for index in range(chance.choice((1, 1, 1, 2, 2, 3))):
        case.wishes.append(_wish(chance, own, case, index, still))
    if len(case.wishes) > 1 and chance.random() < 0.35:
        case.priority = chance.sample(range(len(case.wishes)), 2)
    if chance.random() < 0.55:
        case.turns = turns_of(chance, case)
    return case


def _wish(chance: random.Random, own: Names, case: Case, index: int, still: State) -> Wish:
    to = _sendable(chance, own, case, still)
    if index and chance.random() < 0.25:
        earlier = atom(f"received({name_of(chance.randrange(index))})")
        to = (chance.choice(("except", "except", "and")), to, earlier)
    short = any("policyAccepted" in one for one in case.friends)
    empty = any(not case.lists[name] for name in LISTS) and chance.random() < 0.7
    return Wish(to, allow_empty=empty, allow_shortfall=chance.random() < (0.5 if short else 0.05))


def _sendable(chance: random.Random, own: Names, case: Case, still: State) -> Expression:
    """Mostly an expression that LINE can carry out in this world: fifty people or more, and nobody unknown."""
    policy = inside(case.policy, still) if case.policy is not None else frozenset()
    wanted = min(chance.choice((1, 60, 150, 300)), len(still.everybody) // 2)
    to = _drawn(chance, own)
    for _ in range(_TRIES):
        if _bound(to) and len((inside(to, still) - policy) & still.members["reachable"]) >= wanted:
            break
        to = _drawn(chance, own)
    return to


def _bound(expression: Expression) -> bool:
    """Somebody of whom nothing is known is not in it: what a delivery may be sent to."""
    names = atoms(expression)
    person = frozenset((1,))
    members = {name: frozenset[int]() for name in names} | {"friends": person}
    if not inside(expression, State(person, members, {})):
        return True
    # Nobody but a friend of whom nothing else is known: `friends` binds it.
    return not inside(expression, State(person, members | {"friends": frozenset()}, {}))


def _drawn(chance: random.Random, own: Names) -> Expression:
    kind = chance.random()
    if kind < 0.3:
        return tiers(chance, own)
    if kind < 0.45:
        return opposites(chance, own)
    if kind < 0.6:
        return torn(chance, own)
    return tree(chance, own, chance.randint(2, 6))


def held(chance: random.Random, own: Names) -> Expression:
    """People of lists and of LINE, often of a tag that may change."""
    one = atom(chance.choice((*own, *LINE, *_TAGS)))
    if chance.random() < 0.6:
        return one
    other = atom(chance.choice((*own, *LINE, *_TAGS)))
    return one if other == one else (chance.choice(("and", "or", "or", "except")), one, other)


def tiers(chance: random.Random, own: Names) -> Expression:
    """Each tier of an attribute has people of its own: several sends, or a search for fewer."""
    values = list(chance.choice(_TIERS))
    chance.shuffle(values)
    parts: list[Expression] = [
        ("and", held(chance, own), atom(value)) for value in values[: chance.randint(2, len(values))]
    ]
    if chance.random() < 0.4:
        parts[0] = held(chance, own)
    return joined("or", parts)


def opposites(chance: random.Random, own: Names) -> Expression:
    """Some if they are known to be it, others if they are not: NOT as it is written."""
    name = chance.choice(tuple(ATTRIBUTE))
    known: Expression = ("and", held(chance, own), atom(name))
    other = held(chance, own)
    rest: Expression = ("except", other, atom(name)) if chance.random() < 0.5 else ("and", other, ("not", atom(name)))
    return ("or", known, rest)


def torn(chance: random.Random, own: Names) -> Expression:
    """A tag decides which of two sends a person gets: the case in which a change between them could send twice."""
    tag, list_ = atom(chance.choice(_TAGS)), atom(chance.choice(own))
    name = atom(chance.choice(tuple(ATTRIBUTE)))
    with_tag: Expression = ("and", list_, tag)
    return chance.choice(
        (
            ("or", with_tag, ("and", list_, name)),
            ("or", with_tag, ("and", held(chance, own), name)),
            ("and", list_, ("or", tag, name)),
            ("or", ("and", tag, name), ("except", list_, tag)),
        )
    )


def joined(operator: str, parts: list[Expression]) -> Expression:
    whole = parts[0]
    for part in parts[1:]:
        whole = (operator, whole, part)
    return whole


def tree(chance: random.Random, own: Names, leaves: int) -> Expression:
    """A tree over atoms of all three worlds, bound to a set as often as not."""
    if leaves == 1:
        return atom(chance.choice((*own, *own, *LINE, *LINE, *ATTRIBUTE, "friends")))
    if chance.random() < 0.12:
        inner = tree(chance, own, leaves - 1)
        return inner if inner[0] == "not" else ("not", inner)
    left = chance.randint(1, leaves - 1)
    operator = chance.choice(("and", "or", "except"))
    return (operator, tree(chance, own, left), tree(chance, own, leaves - left))
