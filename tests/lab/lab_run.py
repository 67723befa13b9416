"""One run: production's apply over the lab's ports, steps and faults as its case says, and then the invariants."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lab_engine import LabEngine
from lab_lean import lean
from lab_scenarios import SCENARIOS, opened, person
from lab_tables import SqliteTables, Tables
from lab_world import Crash, Lab, Worker

from audsql.apply import audiences, deliver
from audsql.apply.remote import read_remote
from audsql.apply.state import empty_state
from audsql.diag import has_errors
from audsql.session import applying, holding, planning
from audsql.session.accounts import Remote
from audsql.session.project import messages_of, spec_digest
from audsql.sim import world as sim_world
from audsql.sim.model import Turn
from audsql.sim.turns import react

QUIET_SECONDS = 20 * 60
SETTLING_APPLIES = 2


@dataclass
class Case:
    """A run as data: a scenario, steps with their faults, and what changes at LINE between sends."""

    scenario: str
    steps: list[dict[str, Any]]
    turns: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps({"scenario": self.scenario, "turns": self.turns, "steps": self.steps}, indent=1)

    @staticmethod
    def of(document: Mapping[str, Any]) -> Case:
        return Case(document["scenario"], document["steps"], document.get("turns", []))


@dataclass(frozen=True)
class Broken:
    """An invariant that does not hold, and why."""

    invariant: str
    why: str


# --- production's seams -----------------------------------------------------------------------------------

_LAB: list[Lab] = []
_SPECS: dict[int, tuple[Any, str]] = {}
_PLANS: dict[Any, Any] = {}


class _Clock:
    """`datetime` of a module that asks for the time of the machine it runs on."""

    fromisoformat = staticmethod(datetime.fromisoformat)

    @staticmethod
    def now(zone: object = UTC) -> datetime:
        return _LAB[-1].instant()


def _texts(one: Any) -> tuple[Any, str]:
    """Messages and digest of the specs: they follow from the project alone."""
    if id(one) not in _SPECS:
        found = messages_of(one)
        _SPECS[id(one)] = (found, spec_digest(one, found[0]))
    return _SPECS[id(one)]


def _make(one: Any, remote: Remote, state: Any, as_of: Any, options: Any) -> Any:
    """Production's planner; a first plan that was made before from the same is the same (plan.same)."""
    lab = _LAB[-1]
    worker = lab.current
    assert worker is not None
    engine = _engine(one)
    key = None
    if not state.lineage and not engine.machine.sets:
        facts = tuple(sorted(remote.facts.items()))
        key = (id(one), lab.instant(), facts, tuple(sorted(lab.data.now.items())), tuple(_PATCHED))
    if key is None or key not in _PLANS:
        made = _PLANNER(one, remote, state, as_of, options)
        if key is None:
            return _noted(lab, made)
        _PLANS[key] = made
        if len(_PLANS) > 5_000:
            _PLANS.clear()
        return _noted(lab, made)
    # What planning reads on the way is read all the same.
    lab.at("data")
    for name in _sources_of(_PLANS[key]):
        engine.machine.read.add(lab.data.digest(name))
    return _noted(lab, _PLANS[key])


def _sources_of(made: Any) -> list[str]:
    return [one["name"] for one in made[0].document["sources"]] if made[0] is not None else sorted(_LAB[-1].data.now)


def _noted(lab: Lab, made: Any) -> Any:
    if made[0] is not None:
        lab.documents.append(made[0].document)
    return made


_PLANNER = planning.make
_PATCHED: list[str] = []


def _pid() -> int:
    current = _LAB[-1].current
    return current.pid if current else 0


def _signal(pid: int, number: int) -> None:
    if pid not in _LAB[-1].alive:
        raise ProcessLookupError


def _host() -> str:
    current = _LAB[-1].current
    return f"machine{current.host}" if current else "nowhere"


@contextmanager
def seams(remember: bool = True) -> Iterator[None]:
    """Production code over the lab's ports; what it imports by name is put in where it is used.

    `remember`: what is the same in every run is worked out once (lab_lean).
    """
    machine = SimpleNamespace(node=_host)
    patches = [
        patch.object(applying, "datetime", _Clock),
        patch.object(holding, "datetime", _Clock),
        patch.object(applying, "platform", machine),
        patch.object(holding, "platform", machine),
        patch.object(applying, "os", SimpleNamespace(getpid=_pid, path=os.path, strerror=os.strerror)),
        patch.object(holding, "os", SimpleNamespace(getpid=_pid, kill=_signal)),
        patch.object(applying, "keep_backup", lambda one, store, before: ()),
        # Files beside the state: there is no folder here.
        patch.object(applying, "note", lambda one, store, keys, changed=True: None),
        patch.object(applying, "forget_old", lambda one, state, now: 0),
        patch.object(applying, "user_name", lambda: "lab"),
        patch.object(holding, "user_name", lambda: "lab"),
        patch.object(applying, "open_store", lambda one, create: (_LAB[-1].open_store(), ())),
        patch.object(applying, "state_of", _state_of),
        patch.object(applying, "engine_of", _engine),
        patch.object(planning, "engine_of", _engine),
        patch.object(applying, "messages_of", lambda one: _texts(one)[0]),
        patch.object(planning, "messages_of", lambda one: _texts(one)[0]),
        patch.object(applying, "spec_digest", lambda one, messages: _texts(one)[1]),
        patch.object(planning, "spec_digest", lambda one, messages: _texts(one)[1]),
        patch.object(applying, "make", _make),
        # Small pieces, so that there are several of each (a multicast of 500 and an upload of 10,000 are one).
        # The simulator's log of requests is for people.
        patch.object(sim_world, "_log", lambda call, endpoint: {}),
        patch.object(deliver, "MULTICAST_RECIPIENTS_MAX", 80),
        patch.object(audiences, "UPLOAD_JSON_IDS_MAX", 100),
        patch.object(audiences, "UPLOAD_FILE_IDS_MAX", 100),
    ]
    for one in patches:
        one.start()
    try:
        with lean() if remember else nullcontext():
            yield
    finally:
        for one in reversed(patches):
            one.stop()


def _state_of(one: Any) -> Any:
    lab = _LAB[-1]
    lab.at("open")
    if lab.state is None:
        return empty_state(one.environment), ()
    return lab.open_store().snapshot(), ()


def _engine(one: Any, *state: Any, may_connect: bool = False, friends: Any = None) -> LabEngine:
    lab = _LAB[-1]
    worker = lab.current
    assert worker is not None
    if worker.engine is None:
        worker.engine = LabEngine(lab.data, lab.machine(worker.host), lab.at)
    return worker.engine


# --- one process -------------------------------------------------------------------------------------------


def _work(lab: Lab, case: Case, mode: str) -> Callable[[Worker], None]:
    project = opened(case.scenario)

    def work(worker: Worker) -> None:
        remote, found = _connected(lab)
        if remote is None:
            worker.code, worker.codes = 1, tuple(one.code for one in found)
            return
        options = applying.ApplyOptions(revision={})
        if mode == "run":
            outcome = applying._run_due(project, remote, options)
        else:
            document = lab.documents[-1] if mode == "again" and lab.documents else None
            outcome = applying._apply(project, remote, document, options)
        worker.code = outcome.exit_code
        worker.codes = tuple(one.code for one in outcome.diagnostics if one.severity == "error")
        if lab.trace is not None:
            lab.say(f"{mode}: exit {worker.code} {' '.join(worker.codes)}")

    return work


def _connected(lab: Lab) -> tuple[Remote | None, tuple[Any, ...]]:
    client = lab.client()
    facts, found = read_remote(client, False)
    if facts is None or has_errors(found):
        return None, found
    return Remote({"shop": client}, {"shop": facts}, {"shop": "line"}), found


# --- a whole run -------------------------------------------------------------------------------------------


def run(
    case: Case, trace: Callable[[str], None] | None = None, tables: type[Tables] | type[SqliteTables] = Tables
) -> tuple[list[Broken], Lab]:
    """Play a case, settle it by applies without faults, and say which invariants do not hold."""
    lab = Lab(trace=trace, tables=tables)
    _LAB.append(lab)
    try:
        return _run(lab, case), lab
    except Exception as problem:  # noqa: BLE001 - an error that production lets through is a finding
        if trace is not None:
            trace(traceback.format_exc())
        return [Broken("I1 error", f"{type(problem).__name__}: {problem}")], lab
    finally:
        _LAB.pop()


def _run(lab: Lab, case: Case) -> list[Broken]:
    from lab_invariants import broken

    lab.simulation.world.accounts["shop"].turns = [_turn(one) for one in case.turns]
    for step in case.steps:
        _step(lab, case, step)
    return broken(lab, case, _settle(lab, case))


def _turn(given: Mapping[str, Any]) -> Turn:
    vip = (("VIP", frozenset(map(person, given.get("add", ()))), frozenset(map(person, given.get("remove", ())))),)
    friends = tuple((person(i), {"gender": value}) for i, value in given.get("gender", ()))
    return Turn(given["nth"], given["when"], friends, vip)


def _step(lab: Lab, case: Case, step: Mapping[str, Any]) -> None:
    lab.say(f"--- {step['do']} {'' if step['do'] == 'apply' else {k: v for k, v in step.items() if k != 'do'}}")
    match step["do"]:
        case "apply":
            jobs = []
            for given in step["workers"]:
                lab.serial += 1
                faults = {
                    name: {int(nth): (str(one[0]), float(one[1])) for nth, one in found.items()}
                    for name, found in given["faults"].items()
                }
                worker = Worker(lab.serial, given["host"], faults, given.get("skew", 0.0))
                jobs.append((worker, given["start"], _work(lab, case, given["mode"])))
            lab.applies += len(jobs)
            lab.together(jobs)
        case "advance":
            lab.advance_to(lab.now + step["seconds"])
        case "optout":
            lab.data.now["optout"] |= frozenset(map(person, step["people"]))
        case "list":
            people = frozenset(map(person, step["people"]))
            now = lab.data.now[step["name"]]
            lab.data.now[step["name"]] = now | people if step["add"] else now - people
        case "lose_state":
            lab.lose_state()
        case "keep_copy":
            lab.keep_copy()
        case "restore_copy":
            lab.restore_copy(step["with_sets"])
        case "lose_sets":
            for one in lab.machines.values():
                one.sets.clear()
                one.read.clear()
        case "unaccept":
            # They never accepted LINE's policy: LINE leaves them out of every upload.
            friends = lab.simulation.world.accounts["shop"].friends
            for one in map(person, step["people"]):
                friends[one] = replace(friends[one], policy_accepted=False)
        case "click":
            _click(lab, step["people"])


def _click(lab: Lab, people: list[int]) -> None:
    account = lab.simulation.world.accounts["shop"]
    for request_id, send in sorted(account.sends.items()):
        reached = frozenset(send.to) & frozenset(map(person, people))
        if send.urls:
            account.sends[request_id] = react(send, reached, {send.urls[0]: reached})


@dataclass
class Settled:
    """The exit codes and diagnostics of the applies without faults, and the plan after them (None: refused)."""

    codes: list[int | None]
    problems: list[tuple[str, ...]]
    document: dict[str, Any] | None


def _settle(lab: Lab, case: Case) -> Settled:
    """The network heals, what is on its way arrives, leases of the dead run out, everything due comes due."""
    lab.healed = True
    settled = Settled([], [], None)
    _rest(lab, case, 0.0)
    _without_faults(lab, case, settled, "plan")
    if case.scenario in DUE:
        _rest(lab, case, _END)
        _without_faults(lab, case, settled, "run")
    for _ in range(SETTLING_APPLIES):
        _rest(lab, case, 0.0)
        settled.document = _plan(lab, case)
        if settled.document is None or not settled.document["summary"]["changes"] or len(settled.codes) > 2:
            break
        _without_faults(lab, case, settled, "plan")
    return settled


def _rest(lab: Lab, case: Case, until: float) -> None:
    lab.advance_to(max(lab.now + QUIET_SECONDS, until))
    if case.scenario == "clicks":
        # Below LINE's minimum of clicks a delivery only waits.
        _click(lab, list(range(1, 241)))


def _without_faults(lab: Lab, case: Case, settled: Settled, mode: str) -> None:
    lab.serial += 1
    worker = Worker(lab.serial, 0, {})
    lab.together([(worker, 0.0, _work(lab, case, mode))])
    settled.codes.append(worker.code)
    settled.problems.append(worker.codes)


def _plan(lab: Lab, case: Case) -> dict[str, Any] | None:
    planned: list[Any] = []

    def look(worker: Worker) -> None:
        remote, found = _connected(lab)
        assert remote is not None, found
        state, _ = _state_of(opened(case.scenario))
        planned.append(_PLANNER(opened(case.scenario), remote, state, None, planning.PlanOptions()))

    lab.serial += 1
    lab.together([(Worker(lab.serial, 0, {}), 0.0, look)])
    made = planned[0][0]
    return made.document if made is not None else None


DUE = ("scheduled", "multicast", "shared", "clicks", "priority")
_END = datetime.fromisoformat("2026-11-21T12:05:00+09:00").timestamp()


__all__ = ["Broken", "Case", "Crash", "SCENARIOS", "run", "seams"]
