"""A case through the whole product, and what is wrong with who got the messages.

The judge is the naive evaluator at the moment of each send. People whose atoms stay as they are over a delivery and
whom LINE's rules decide must get it; nobody else is promised anything but that he gets it once at most, and only
while he is in the expression.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from naive import Expression, People, State, atoms, inside, surely, unmoved
from rapid import Bend, Quick, quick_place, straight
from worlds import Case, Wish, atoms_used, everybody, name_of, project_files, truth, whole, world_document

EXIT_CODES = (0, 1, 5, 7)
# An audience of fewer than 50 people that LINE never finishes: a later run goes on waiting.
WAITED = (4, {"AUD0852", "AUD0870"})
# While people block the account it can fall below LINE's target reach of 100.
TOO_FEW = "enough friends"
# One pair in so many is applied a second time.
AGAIN = 8


@dataclass(frozen=True)
class Sent:
    """One narrowcast as the simulator took it: of which delivery, which one of all, and who got it."""

    delivery: str
    position: int
    people: tuple[int, ...]
    body: dict[str, Any]


@dataclass
class Run:
    """What came of a case; `exit_code` is the worst one."""

    case: Case
    exit_code: int
    codes: list[str]
    sent: list[Sent]
    others: int
    done: frozenset[str]
    refusals: list[str]
    complaints: list[str] = field(default_factory=list)

    def sends_of(self, index: int) -> list[Sent]:
        return [one for one in self.sent if one.delivery == name_of(index)]


USUAL = {"status": "following", "period": "long"}


def to_json(case: Case) -> str:
    """The case as a file: what follows from it is left out."""
    document = {name: value for name, value in asdict(case).items() if name != "known"}
    document["friends"] = [
        {name: value for name, value in one.items() if value is not None and value != USUAL.get(name)}
        for one in case.friends
    ]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def from_json(text: str) -> Case:
    document = json.loads(text)
    wishes = [Wish(**wish) for wish in document["wishes"]]
    return Case(**{**document, "wishes": wishes, "friends": [{**USUAL, **one} for one in document["friends"]]})


def run(case: Case, bend: Bend = straight, place: Any = quick_place) -> Run:
    """Apply the case's project in its world, and judge it."""
    with place(world_document(case), project_files(case), bend) as here:
        outcomes = [here.apply()]
        if case.number % AGAIN == 0 or any(name.startswith("received(") for name in atoms_used(case)):
            # Nobody is sent anything again; what waits for another delivery is sent now.
            outcomes.append(here.apply())
        problems = [one for outcome in outcomes for one in outcome.diagnostics if one.severity == "error"]
        found = [one.code for one in problems]
        sent, others = _sent(here)
        done = frozenset(one["delivery"] for one in here.events if one.get("event") == "done")
        refusals = [str(dict(one.facts)["refusal"]) for one in problems if one.code == "AUD0855"]
        result = Run(case, max(one.exit_code for one in outcomes), found, sent, others, done, refusals)
    result.complaints = list(complaints(result))
    return result


def _sent(here: Quick) -> tuple[list[Sent], int]:
    """The accepted narrowcasts in order, and how many other sends were accepted."""
    inbox: dict[str, list[int]] = {}
    for one in here.world.inbox:
        inbox.setdefault(one["requestId"], []).append(int(one["userId"][1:], 16))
    posts = [one for one in here.world.requests if one["method"] == "POST" and one["status"] in (200, 202)]
    casts = [one for one in posts if one["path"].endswith("/narrowcast")]
    casts = [one for one in casts if "validate" not in one["path"]]
    found = [
        Sent(one["body"]["messages"][0]["text"], at, tuple(inbox.pop(one["requestId"], ())), one["body"])
        for at, one in enumerate(casts, 1)
    ]
    return found, len(inbox)


def complaints(result: Run) -> Iterator[str]:
    """What must not be, in words; nothing where all is well."""
    waited = result.exit_code == WAITED[0] and WAITED[1] & set(result.codes)
    if result.exit_code not in EXIT_CODES and not waited:
        yield f"exit code {result.exit_code}: {result.codes}"
    for refusal in result.refusals:
        if not (TOO_FEW in refusal and result.case.turns):
            yield f"LINE refused a request that we built: {refusal}"
    if result.others:
        yield "somebody got something else than a narrowcast"
    for index in range(len(result.case.wishes)):
        yield from _of_delivery(result, index)


def _of_delivery(result: Run, index: int) -> Iterator[str]:
    case, name, sends = result.case, name_of(index), result.sends_of(index)
    expression = whole(case, index)
    got = Counter(person for one in sends for person in one.people)
    states = [truth(case, one.position, received_before(result, one.position)) for one in sends]
    if any(count > 1 for count in got.values()):
        yield f"{name}: {sum(count > 1 for count in got.values())} people got it twice"
    lenient = _not_accepting(case) if case.wishes[index].allow_shortfall else frozenset()
    for one, state in zip(sends, states, strict=True):
        outside = frozenset(one.people) - inside(expression, state) - lenient
        if outside:
            yield f"{name}: {len(outside)} people got send {one.position} and were not in the expression then"
        if not {"recipient", "filter"} & set(one.body) and not _is_friends(expression):
            yield f"{name}: a send to everybody"
        if "limit" not in one.body:
            yield f"{name}: a send without a limit"
    if name in result.done:
        yield from _complete(result, name, expression, states, got)
    elif result.exit_code == 0 and sends:
        yield f"{name}: exit code 0, and it is not done"


def _complete(result: Run, name: str, expression: Expression, states: list[State], got: Counter[int]) -> Iterator[str]:
    case = result.case
    if not states:
        states = [truth(case, len(result.sent), received_before(result, len(result.sent) + 1))]
    # Whoever got an earlier delivery of the priority list is not to get this one, wherever he is by now.
    missed = certain(expression, states) - _not_accepting(case) - frozenset(got) - _got_earlier(result, name)
    if missed:
        yield f"{name}: {len(missed)} people of the expression did not get it"
    exact = case.includes_unknown and not case.turns and not _not_accepting(case)
    if exact and frozenset(got) != inside(expression, states[0]) & states[0].members["reachable"]:
        yield f"{name}: who got it is not the expression"


def _got_earlier(result: Run, name: str) -> People:
    names = [name_of(index) for index in result.case.priority]
    earlier = names[: names.index(name)] if name in names else []
    return frozenset(person for one in result.sent if one.delivery in earlier for person in one.people)


def certain(expression: Expression, states: list[State]) -> People:
    """In it at every moment, whatever unknown attributes are, reachable, and nothing about them changed."""
    names = atoms(expression)
    people = unmoved({*names, "reachable"} - {"friends"}, states)
    for state in states:
        people &= surely(expression, state)[0] & state.members["reachable"]
    return people


def received_before(result: Run, position: int) -> dict[str, People]:
    """Who had got each delivery before this narrowcast."""
    found: dict[str, set[int]] = {name_of(index): set() for index in range(len(result.case.wishes))}
    for one in result.sent:
        if one.position < position:
            found[one.delivery] |= set(one.people)
    return {f"received({name})": frozenset(people) for name, people in found.items()}


def _not_accepting(case: Case) -> People:
    """Whom LINE leaves out of uploads without a word."""
    pairs = zip(everybody(case), case.friends, strict=True)
    return frozenset(person for person, one in pairs if one.get("policyAccepted") is False)


def _is_friends(expression: Expression) -> bool:
    """`friends AND friends` is `friends`; nothing else may be sent to everybody."""
    return atoms(expression) == {"friends"}
