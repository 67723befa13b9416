"""The accounts at LINE that a project sends for: clients, and what they found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from audsql.config import endpoint_of
from audsql.diag import Diagnostic, error, has_errors
from audsql.records import dataclass
from audsql.session.project import Opened

if TYPE_CHECKING:
    from audsql.line.client import LineClient
    from audsql.line.ports import RequestRecord
    from audsql.plan.facts import RemoteFacts

__all__ = ["FRIENDS_READ_MAX", "Remote", "connect", "followers_of", "friends_of"]

FRIENDS_READ_MAX = 100_000
"""A plan asks for no more friends than this only to count them: a thousand a request."""
_FOLLOWERS_MAX = 100_000_000


@dataclass(frozen=True, slots=True)
class Remote:
    """Clients and what they found, by account."""

    clients: Mapping[str, LineClient]
    facts: Mapping[str, RemoteFacts]
    endpoints: Mapping[str, str]

    def now(self) -> datetime:
        """The time that sends live in; with a simulator, its time."""
        first = next(iter(self.clients.values()), None)
        return first.now() if first else datetime.now(UTC)


@contextmanager
def connect(
    opened: Opened, also: frozenset[str] = frozenset(), only: frozenset[str] | None = None
) -> Iterator[tuple[Remote | None, tuple[Diagnostic, ...]]]:
    """Connect to the accounts that deliveries and flows use, and to those of `also` that are declared; with `only`, to
    these.

    With endpoint `sim` the embedded simulator runs meanwhile.
    """
    from audsql.apply.remote import read_remote
    from audsql.line.ports import system_ports
    from audsql.line.transport import open_client
    from audsql.session.simulator import embedded_simulator

    assert opened.analysis is not None and opened.config is not None
    clients: dict[str, LineClient] = {}
    facts: dict[str, RemoteFacts] = {}
    endpoints: dict[str, str] = {}
    problems: list[Diagnostic] = []
    with ExitStack() as stack:
        for account in _accounts_used(opened, also, only):
            endpoint, found = endpoint_of(opened.config, account.name, account.span)
            problems.extend(found)
            token = opened.tokens.get(account.name) or os.environ.get(account.token_variable, "")
            if endpoint is None:
                continue
            endpoints[account.name] = endpoint if endpoint in ("line", "sim") else "url"
            if endpoint == "sim":
                world = opened.home / str(opened.config.world)
                simulator = stack.enter_context(embedded_simulator(world, opened.folder))
                if isinstance(simulator, Diagnostic):
                    problems.append(simulator)
                    continue
                # The simulator's token is in its world file and is no secret.
                endpoint, token = simulator.url, token or simulator.tokens.get(account.name, "")
            if not token:
                problems.append(error("AUD0864", account.span, account=account.name, variable=account.token_variable))
                continue
            client = open_client(endpoint, account.name, token, system_ports(_request_log(opened)))
            if isinstance(client, Diagnostic):
                problems.append(client)
                continue
            stack.callback(client.close)
            remote, found = read_remote(client, _uses_shared(opened, account.name))
            problems.extend(found)
            if remote is not None:
                clients[account.name], facts[account.name] = client, remote
        yield (None if has_errors(problems) else Remote(clients, facts, endpoints)), tuple(problems)


def followers_of(remote: Remote) -> Callable[[str], frozenset[str] | Diagnostic]:
    """Who is a friend of an account, as LINE lists them to it; asked once, when it is first wanted."""
    from audsql.line.outcome import Found

    known: dict[str, frozenset[str] | Diagnostic] = {}

    def asked(account: str) -> frozenset[str] | Diagnostic:
        if account not in known:
            client = remote.clients.get(account)
            outcome = client.follower_ids(_FOLLOWERS_MAX) if client else None
            refused = error("AUD1054", None, account=account)
            known[account] = outcome.value if isinstance(outcome, Found) else refused
        return known[account]

    return asked


def friends_of(opened: Opened, remote: Remote, accounts: frozenset[str]) -> dict[str, frozenset[str]]:
    """Who is a friend, by account: of those that say `followers: readable`, as far as LINE lets them be read.

    Not of an account that LINE refuses, or with more friends than FRIENDS_READ_MAX: its plans say that it is unknown.
    """
    from audsql.line.outcome import Found

    assert opened.analysis is not None
    readable = {one.name for one in opened.analysis.project.accounts if one.followers_readable}
    found: dict[str, frozenset[str]] = {}
    for name in sorted(accounts & readable & remote.clients.keys()):
        reach = remote.facts[name].target_reach
        if reach is not None and reach > FRIENDS_READ_MAX:
            # More friends than that can be reached, so reading them would end without an answer.
            continue
        outcome = remote.clients[name].follower_ids(FRIENDS_READ_MAX)
        if isinstance(outcome, Found):
            found[name] = outcome.value
    return found


def _accounts_used(opened: Opened, also: frozenset[str], only: frozenset[str] | None) -> tuple[Any, ...]:
    """Accounts that some delivery to be made belongs to, that people stand in a flow of, and those of `also`; else
    `only` these."""
    assert opened.analysis is not None
    project = opened.analysis.project
    used = {one.account for one in project.deliveries if one.sent_request_id is None}
    used |= {one.account for one in project.flows} | {one.account for one in project.coupons}
    wanted = only if only is not None else used | also
    if only is None and any(account.name not in wanted for account in project.accounts):
        wanted |= _accounts_inside(opened)
    return tuple(account for account in project.accounts if account.name in wanted)


def _accounts_inside(opened: Opened) -> frozenset[str]:
    """Accounts of flows that people may still stand in, whatever the specs say by now."""
    from audsql.session.planning import state_of

    state, _ = state_of(opened)
    rows = () if state is None else state.flow_versions
    return frozenset(row.account for row in rows if row.state != "closed")


def _uses_shared(opened: Opened, account: str) -> bool:
    from audsql.meaning.ir import RemoteAudience, atoms_of

    assert opened.analysis is not None
    return any(
        isinstance(atom, RemoteAudience) and atom.kind == "SHARED"
        for one in opened.analysis.project.deliveries
        if one.account == account
        for atom in atoms_of(one.reach)
    )


def _request_log(opened: Opened) -> Callable[[RequestRecord], None]:
    """LINE asks for a log of requests: time, method, endpoint, status and request id; never a body."""
    folder = opened.folder

    def log(record: RequestRecord) -> None:
        line = f"{record.at.isoformat()} {record.method} {record.endpoint} {record.status} {record.request_id}\n"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            with (folder / "requests.log").open("a", encoding="utf-8") as out:
                out.write(line)
        except OSError as problem:
            # A failed write does not name its file by itself.
            raise OSError(problem.errno, problem.strerror, "requests.log") from None

    return log
