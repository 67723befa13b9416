"""A plan played against the simulator, loaded with what the account has: nothing is sent, nothing at LINE changes.

The simulated account has the audiences, sizes, friends, quota and request ids of the real one. Who is in an audience
of LINE's, and what LINE estimates of people, nobody can ask LINE for: members and attributes are invented, by a rule
that always gives the same ones. State and cache are copies (specs/operations.md, `apply.rehearse`).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.config import Config
from audsql.data.engine import EngineFailure
from audsql.diag import Diagnostic, has_errors
from audsql.meaning import ir
from audsql.session.accounts import Remote, connect
from audsql.session.applying import ApplyOptions, ApplyOutcome, apply, refusals_of, run_due
from audsql.session.coupons_copied import coupons_copied
from audsql.session.planning import open_store, state_of
from audsql.session.project import Opened, check, compiled
from audsql.session.sets import engine_of

if TYPE_CHECKING:
    from audsql.apply.state import State
    from audsql.apply.store import Store
    from audsql.plan.facts import RemoteAudienceFacts, RemoteFacts

__all__ = ["FRIENDS_MAX", "pass_time", "rehearse"]

Document = dict[str, Any]

FRIENDS_MAX = 100_000
"""More friends than this are not invented; sizes beyond it are cut off, and the report says so."""
_TURNS_MAX = 200
_AGES = ("age_20", "age_25", "age_30", "age_35", "age_40", "age_45", "age_50")
_AREAS = ("jp_13", "jp_14", "jp_23", "jp_27", "jp_40")


def rehearse(opened: Opened, document: Document | None, options: ApplyOptions) -> ApplyOutcome:
    """Apply in the simulator what `document` says, or a plan made now; then play every scheduled send in its time.

    A saved plan must fit the account and the state as an apply would demand.
    """
    problems = check(opened)
    if opened.analysis is None or has_errors(problems):
        return ApplyOutcome(None, problems, 1)
    state, found = state_of(opened)
    if state is None:
        return ApplyOutcome(None, found, 1)
    with connect(opened) as (remote, found):
        if remote is None:
            return ApplyOutcome(None, (*problems, *found), 1)
        if document is not None:
            refusals = refusals_of(opened, remote, state, document, options)
            if refusals:
                return ApplyOutcome(None, refusals, 5)
        try:
            world = _world(opened, remote, state, options.as_of)
        except EngineFailure as failure:
            return ApplyOutcome(None, (failure.diagnostic,), 1)
        with _copy(opened, world) as copied:
            if isinstance(copied, Diagnostic):
                return ApplyOutcome(None, (copied,), 1)
            return _played(copied, world, options, document)


def _played(
    copied: tuple[Opened, str], world: Document, options: ApplyOptions, document: Document | None
) -> ApplyOutcome:
    opened, base_url = copied
    # The plan is made anew against the simulated account: its endpoints and bots are others.
    outcome = apply(opened, None, replace(options, expect=None))
    turns, last = 0, _last_of(outcome.document)
    while outcome.document is not None and outcome.exit_code in (0, 4) and turns < _TURNS_MAX:
        due = outcome.document["next_due"]
        if due is None or last is None or datetime.fromisoformat(due) > last:
            break
        pass_time(base_url, datetime.fromisoformat(due))
        following = run_due(opened, replace(options, as_of=None))
        outcome = replace(following, document=_together(outcome.document, following.document))
        turns += 1
    if outcome.document is None:
        return outcome
    people = sum(len(one["friends"]) for one in world["accounts"].values())
    shown = {**outcome.document, "kind": "audsql.rehearsal", "friends": people, "cut_off": _cut_off(world)}
    if document is not None:
        shown["plan_digest"] = document["digest"]
    return replace(outcome, document=shown)


def _last_of(document: Document | None) -> datetime | None:
    """Until when time is played: every send that is scheduled now, and one time of each repetition."""
    rows = document["next"] if document is not None else ()
    return max((datetime.fromisoformat(one["at"]) for one in rows if one["at"] is not None), default=None)


def _together(first: Document, second: Document | None) -> Document:
    """Two reports as one: what was done adds up, how it stands is the later one's."""
    if second is None:
        return {**first, "next_due": None}
    counts = ("added", "changed", "deleted", "sent", "done")
    summary = {**second["summary"], **{name: first["summary"][name] + second["summary"][name] for name in counts}}
    return {**first, **second, "events": [*first["events"], *second["events"]], "summary": summary}


def pass_time(base_url: str, until: datetime) -> None:
    """Let the simulator's clock come to this instant, by a minute at least."""
    with urllib.request.urlopen(f"{base_url}/_sim/clock", timeout=30) as answer:
        now = datetime.fromisoformat(json.loads(answer.read())["now"])
    seconds = max(int((until - now).total_seconds()) + 1, 60)
    body = json.dumps({"advance_seconds": seconds}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{base_url}/_sim/clock", body), timeout=30) as answer:
        answer.read()


def _cut_off(world: Document) -> bool:
    return any(len(one["friends"]) >= FRIENDS_MAX for one in world["accounts"].values())


# --- a copy of the project --------------------------------------------------------------------------


@contextmanager
def _copy(opened: Opened, world: Document) -> Iterator[tuple[Opened, str] | Diagnostic]:
    """The project with a state, a cache and a simulator of its own, and the simulator's address."""
    from audsql.sim.server import start_embedded

    with tempfile.TemporaryDirectory(prefix="audsql-rehearsal-") as folder, start_embedded(world) as simulator:
        assert opened.config is not None
        aside = Path(folder)
        accounts = dict.fromkeys(world["accounts"], simulator.base_url)
        config: Config = replace(opened.config, endpoints=accounts, state_url=f"sqlite:{aside / 'state.sqlite'}")
        copy = replace(opened, config=config, aside=aside)
        problem = _copied_state(opened, copy)
        yield problem if problem is not None else (copy, simulator.base_url)


def _copied_state(opened: Opened, copy: Opened) -> Diagnostic | None:
    from audsql.apply.store import StoreFailed

    state, problems = state_of(opened)
    if state is None:
        return problems[0]
    if not state.lineage:
        return None
    source, problems = open_store(opened, create=False)
    if source is None:
        return problems[0]
    target, problems = open_store(copy, create=True)
    if target is None:
        source.close()
        return problems[0]
    with source, target:
        try:
            target.put_back(source.backup(), copy.environment, state_time(state))
            _copy_secret(source, target)
        except StoreFailed as failed:
            return failed.diagnostic
    return None


def _copy_secret(source: Store, target: Store) -> None:
    """Without a key the ledger's secret stands in a file beside the state; the copy goes with the copy."""
    from audsql.apply.persons import secret_file

    before, after = secret_file(source), secret_file(target)
    if before is not None and after is not None and before.exists():
        after.touch(mode=0o600)
        after.write_bytes(before.read_bytes())


def state_time(state: State) -> datetime:
    """An instant that is not before anything in the state."""
    from datetime import UTC

    return max((row.at for row in state.applied_plans), default=datetime(1970, 1, 1, tzinfo=UTC))


# --- the simulated account --------------------------------------------------------------------------


def _world(opened: Opened, remote: Remote, state: State, as_of: datetime | None) -> Document:
    """A world file (specs/schemas/world.schema.json) of the accounts as they are."""
    now = remote.now()
    own = _own_people(opened, as_of or now)
    accounts = {name: _account(opened, name, facts, state, own, now) for name, facts in sorted(remote.facts.items())}
    assert opened.analysis is not None
    for name, account in accounts.items():
        coupons = coupons_copied(remote.clients[name], state, opened.analysis.project)
        account.update({"coupons": coupons} if coupons else {})
    return {"now": now.isoformat(timespec="seconds"), "auto": True, "accounts": accounts}


def _own_people(opened: Opened, as_of: datetime) -> list[str]:
    """The people of own data that uploads are made of, as far as they are LINE users, at most FRIENDS_MAX."""
    assert opened.analysis is not None
    program, _ = compiled(opened)
    atoms = {atom.key: atom for upload in program.uploads for atom in ir.atoms_of(upload.expression)}
    engine = engine_of(opened, may_connect=True)
    read, _ = engine.materialise(tuple(atoms[key] for key in sorted(atoms)), as_of)
    found: dict[str, None] = {}
    for upload in program.uploads:
        if all(atom.key in read.people for atom in ir.atoms_of(upload.expression)):
            for person in engine.members(engine.evaluate(upload.expression, read.people)):
                found.setdefault(person)
                if len(found) >= FRIENDS_MAX:
                    return list(found)
    found |= dict.fromkeys(_people_of_flows(opened, as_of))
    return list(found)[:FRIENDS_MAX]


def _people_of_flows(opened: Opened, as_of: datetime) -> list[str]:
    """The people of the own data that flows read, in ascending order."""
    from audsql.session.flow_play import people_of

    assert opened.analysis is not None
    return sorted({person for flow in opened.analysis.project.flows for person in people_of(opened, flow, as_of)})


def _account(
    opened: Opened, name: str, facts: RemoteFacts, state: State, own: Sequence[str], now: datetime
) -> Document:
    friends = _friends(own, facts)
    ids, links = [one["userId"] for one in friends], _links(opened, facts)
    return {
        "token": _token(opened, name),
        "quota": {"type": "none"}
        if facts.quota_remaining is None
        else {"type": "limited", "value": facts.quota_remaining, "used": 0},
        "friends": friends,
        "sends": [_send(*one, ids, links) for one in _sends(opened, name, state, facts, now)],
        "audiences": [_audience(one, ids) for one in facts.audiences if one.status != "EXPIRED"],
    }


def _token(opened: Opened, name: str) -> str:
    """The simulated account takes the token that the project would use; it never leaves this process."""
    import os

    assert opened.analysis is not None
    account = next(one for one in opened.analysis.project.accounts if one.name == name)
    return os.environ.get(account.token_variable) or f"rehearsal {name}"


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _friends(own: Sequence[str], facts: RemoteFacts) -> list[Document]:
    """As many as the account has: those of own data first, then invented ones."""
    wanted = min(max(facts.followers or 0, facts.target_reach or 0, len(own)), FRIENDS_MAX)
    invented = (
        "U" + hashlib.sha256(f"rehearsal {number}".encode()).hexdigest()[:32] for number in range(wanted - len(own))
    )
    return [_friend(person) for person in (*own[:wanted], *invented)]


def _friend(person: str) -> Document:
    draw = _digest(person)
    friend: Document = {"userId": person, "followedAt": "2025-01-01T00:00:00+09:00"}
    if draw % 10:
        friend |= {
            "gender": ("female", "male")[draw // 10 % 2],
            "age": _AGES[draw // 20 % len(_AGES)],
            "area": _AREAS[draw // 200 % len(_AREAS)],
            "os": ("ios", "android")[draw // 2000 % 2],
        }
    return friend


def _audience(one: RemoteAudienceFacts, friends: Sequence[str]) -> Document:
    """The audience under its own id, with as many members as LINE says; below twenty LINE says nothing."""
    members = sorted(friends, key=lambda person: _digest(f"{one.id} {person}"))[: one.count]
    found: Document = {
        "audienceGroupId": one.id,
        "type": one.kind,
        "description": one.name,
        "members": members,
        "status": one.status,
    }
    if one.expires_at is not None:
        found["expires"] = one.expires_at.isoformat(timespec="seconds")
    if one.request_id is not None:
        found["requestId"] = one.request_id
    if one.click_url is not None:
        found["clickUrl"] = one.click_url
    return found


def _sends(
    opened: Opened, account: str, state: State, facts: RemoteFacts, now: datetime
) -> Iterator[tuple[str, str, datetime]]:
    """What was sent before, as far as somebody may refer to it: request id, kind, time."""
    assert opened.analysis is not None
    found: dict[str, tuple[str, str, datetime]] = {}
    for delivery in opened.analysis.project.deliveries:
        if delivery.account == account and delivery.sent_request_id is not None:
            found[delivery.sent_request_id] = (
                delivery.sent_request_id,
                delivery.sent_by or "broadcast",
                delivery.at or now - timedelta(days=1),
            )
    owners = {row.id: row for row in state.occurrences if row.account == account}
    for one in state.operations:
        row = owners.get(one.occurrence)
        if row is not None and one.request_id is not None and one.state == "succeeded":
            found.setdefault(one.request_id, (one.request_id, one.kind, one.not_before or now - timedelta(days=1)))
    for audience in facts.audiences:
        if audience.request_id is not None:
            found.setdefault(audience.request_id, (audience.request_id, "narrowcast", now - timedelta(days=1)))
    yield from (found[key] for key in sorted(found))


def _send(request_id: str, kind: str, at: datetime, friends: Sequence[str], urls: Sequence[str]) -> Mapping[str, Any]:
    """A send to everybody. Many are taken to have opened it and clicked each link: a rehearsal is to show every step,
    and sets below LINE's minimum would end it early."""
    opened = sorted(friends, key=lambda person: _digest(f"{request_id} {person}"))[: len(friends) * 4 // 5]
    return {
        "requestId": request_id,
        "kind": kind,
        "at": at.isoformat(timespec="seconds"),
        "to": list(friends),
        "opened": opened,
        "urls": list(urls),
        "clicked": {url: opened[: len(opened) * 3 // 4] for url in urls},
    }


def _links(opened: Opened, facts: RemoteFacts) -> list[str]:
    """The links that somebody speaks of, and one more."""
    assert opened.analysis is not None
    atoms = [atom for one in opened.analysis.project.deliveries for atom in ir.atoms_of(one.reach)]
    named = {atom.url for atom in atoms if isinstance(atom, ir.Clicked) and atom.url is not None}
    made = {one.click_url for one in facts.audiences if one.click_url is not None}
    return sorted({*named, *made, "https://rehearsal.invalid/"})
