"""What happens by itself while virtual time passes: jobs finish, narrowcasts start and end, worlds change."""

from __future__ import annotations

import heapq
from dataclasses import replace

from audsql.sim import narrowcast, people
from audsql.sim.model import Account, World


def advance(world: World, seconds: float) -> None:
    """Let virtual time pass; everything due happens in order, each at its own instant."""
    until = world.now + seconds
    while world.agenda and world.agenda[0][0] <= until:
        at, _, account_name, what, key = heapq.heappop(world.agenda)
        world.now = max(world.now, at)
        account = world.accounts[account_name]
        if what == "job":
            _finish_job(account, *key)
        elif what == "audience":
            _change_audience(account, key)
        elif what == "friend":
            people.due_change(world, account, key)
        elif what == "arrive":
            people.arrive(world, account, key)
        else:
            narrowcast.step(world, account, what, key)
    world.now = until


def _finish_job(account: Account, audience_id: int, job_id: int) -> None:
    audience = account.audiences[audience_id]
    job = next(job for job in audience.jobs if job.job_id == job_id)
    done = replace(job, members=frozenset())
    account.audiences[audience_id] = replace(
        audience,
        members=(audience.members or frozenset()) | job.members,
        jobs=tuple(done if each.job_id == job_id else each for each in audience.jobs),
    )


def _change_audience(account: Account, audience_id: int) -> None:
    audience = account.audiences[audience_id]
    (_, added, removed), *rest = audience.changes
    members = ((audience.members or frozenset()) | added) - removed
    account.audiences[audience_id] = replace(audience, members=members, changes=tuple(rest))
