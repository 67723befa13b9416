"""An account that exists already, written as a spec: what LINE holds, under names of the language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from audsql.diag import Diagnostic, error, has_errors
from audsql.near import nearest
from audsql.records import dataclass
from audsql.session.accounts import connect
from audsql.session.planning import state_of
from audsql.session.project import Opened, check

if TYPE_CHECKING:
    from audsql.line.client import LineClient
    from audsql.line.models import AudienceInfo
    from audsql.plan.imported import Found, Imported, Known, LeftOut, Sent

__all__ = ["ImportOutcome", "default_path", "import_account"]


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """`text` is the spec in canonical layout, None where the project or LINE could not be read. The numbers are of what
    stands in it, and of what does not."""

    text: str | None
    diagnostics: tuple[Diagnostic, ...]
    account: str = ""
    audiences: int = 0
    sends: int = 0
    left_out: int = 0


def default_path(account: str) -> str:
    """Where the spec of an account is written unless a person says otherwise, inside the project."""
    return f"imported_{account}.aud"


def import_account(opened: Opened, name: str | None, language: str) -> ImportOutcome:
    """The spec of an account. Reads the project, the state and LINE; writes nothing."""
    from audsql.plan.imported import imported

    problems = check(opened)
    if opened.analysis is None or has_errors(problems):
        return ImportOutcome(None, problems)
    account = _account(opened, name)
    if isinstance(account, Diagnostic):
        return ImportOutcome(None, (*problems, account))
    state, found = state_of(opened)
    if state is None:
        return ImportOutcome(None, (*problems, *found))
    with connect(opened, only=frozenset({account})) as (remote, found):
        if remote is None:
            return ImportOutcome(None, (*problems, *found))
        client = remote.clients[account]
        audiences = _inventory(client)
        if isinstance(audiences, Diagnostic):
            return ImportOutcome(None, (*problems, audiences))
        zone = ZoneInfo(opened.analysis.project.timezone)
        sent = {one: replace(when, at=when.at.astimezone(zone)) for one, when in _sends(client, audiences)}
        result = imported(audiences, sent, _known(opened, account, state))
        text = _text(opened, account, result, remote.now(), language)
    counts = (len(result.audiences), len(result.sends), len(result.left_out))
    return ImportOutcome(text, problems, account, *counts)


def _account(opened: Opened, name: str | None) -> str | Diagnostic:
    """The account that is meant: the named one, or the only one."""
    assert opened.analysis is not None
    declared = tuple(sorted(one.name for one in opened.analysis.project.accounts))
    if not declared:
        return error("AUD0813", None)
    if name is None:
        return declared[0] if len(declared) == 1 else error("AUD0814", None, known=declared)
    if name not in declared:
        return error("AUD0815", None, name=name, near=nearest(name, declared), known=declared)
    return name


# --- what LINE has ----------------------------------------------------------------------------------


def _inventory(client: LineClient) -> list[Found] | Diagnostic:
    from audsql.line.inventory import InventoryFailure, read_inventory
    from audsql.plan.imported import Found

    inventory = read_inventory(client)
    if isinstance(inventory, InventoryFailure):
        return inventory.diagnostic()
    return [*(Found(one) for one in inventory.audiences), *(Found(one, shared=True) for one in inventory.shared)]


def _sends(client: LineClient, found: Iterable[Found]) -> Iterator[tuple[str, Sent]]:
    """Each send that an audience was made of: when and how, by the progress and the statistics that LINE still has."""
    of: dict[str, list[AudienceInfo]] = {}
    for one in found:
        if one.info.request_id:
            of.setdefault(one.info.request_id, []).append(one.info)
    for request_id, audiences in sorted(of.items()):
        yield request_id, _sent(client, request_id, audiences)


def _sent(client: LineClient, request_id: str, audiences: Iterable[AudienceInfo]) -> Sent:
    """LINE knows progress for narrowcasts alone, so a send that has statistics and no progress was a broadcast.

    Of one that is too old for both, all that is known is that it was made before its audiences.
    """
    from audsql.line.limits import PROGRESS_LIFETIME_DAYS
    from audsql.line.outcome import Found as Answer
    from audsql.line.outcome import Refused
    from audsql.plan.imported import Sent

    now = client.now()
    progress = client.progress(request_id)
    if isinstance(progress, Answer) and progress.value.accepted_at is not None:
        return Sent(progress.value.accepted_at, "narrowcast")
    moment = _statistics_time(client, request_id)
    if moment is not None:
        unknown = isinstance(progress, Refused) and now - moment < timedelta(days=PROGRESS_LIFETIME_DAYS)
        return Sent(moment, "broadcast" if unknown else None)
    created = [one.created_at for one in audiences if one.created_at is not None]
    return Sent(min(created, default=now))


def _statistics_time(client: LineClient, request_id: str) -> datetime | None:
    from audsql.line.outcome import Found as Answer

    answer = client.insight_event(request_id)
    overview = answer.value.get("overview") if isinstance(answer, Answer) else None
    seconds = overview.get("timestamp") if isinstance(overview, dict) else None
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and seconds > 0 else None


# --- what the project has ---------------------------------------------------------------------------


def _known(opened: Opened, account: str, state: Any) -> Known:
    from audsql.meaning.ir import Leaf
    from audsql.plan.imported import Known

    assert opened.analysis is not None
    project = opened.analysis.project
    sends = {
        one.sent_request_id: one.name
        for one in project.deliveries
        if one.sent_request_id is not None and one.account == account
    }
    said: dict[tuple[str, str], str] = {}
    for one in project.audiences:
        words = _words(one.expression.atom, account, sends) if isinstance(one.expression, Leaf) else None
        if words is not None:
            said.setdefault(words, one.name)
    mine = [row for row in state.resources if row.account == account]
    return Known(
        state.lineage or None,
        frozenset(row.remote_id for row in mine if row.remote_id is not None),
        _declared(opened),
        sends,
        said,
    )


def _words(atom: Any, account: str, sends: dict[str, str]) -> tuple[str, str] | None:
    """The call and the text by which an audience of the project is found at LINE, as `plan.imported` compares them."""
    from audsql.meaning.ir import Clicked, Opened, RemoteAudience
    from audsql.meaning.names import REMOTE_KINDS
    from audsql.plan.imported import folded

    requests = {name: request for request, name in sends.items()}
    match atom:
        case RemoteAudience() if atom.account in ("", account):
            call = next(call for call, kind in REMOTE_KINDS.items() if kind == atom.kind)
            return call, folded(atom.name)
        case Clicked() if atom.delivery in requests:
            return "clicked", f"{requests[atom.delivery]}\n{atom.url or ''}"
        case Opened() if atom.delivery in requests:
            return "opened", f"{requests[atom.delivery]}\n"
    return None


def _declared(opened: Opened) -> frozenset[str]:
    """Every name that a new statement must not take."""
    from audsql.diag import Bag
    from audsql.meaning.names import declare

    return frozenset(declare(opened.files, Bag()).names)


# --- the text ---------------------------------------------------------------------------------------


def _text(opened: Opened, account: str, found: Imported, now: datetime, language: str) -> str:
    """The spec in canonical layout: where it came from, sends, audiences, and what is left out with the reason."""
    from audsql.catalog import word
    from audsql.source import Source
    from audsql.syntax.print import format_source

    assert opened.analysis is not None
    project = opened.analysis.project
    zone = ZoneInfo(project.timezone)
    owner = f"  account: {account}" if len(project.accounts) > 1 else ""
    lines = [f"# {word('import.header', language, account=account, at=f'{now.astimezone(zone):%Y-%m-%d %H:%M}')}", ""]
    for send in found.sends:
        by = f"  by: {send.sent.by}" if send.sent.by else ""
        at = f"{send.sent.at:%Y-%m-%d %H:%M}"
        lines += [f'delivery {send.name} {{ sent: "{send.request_id}"  at: {at}{by}{owner} }}', ""]
    lines += [f"audience {one.name} = {one.expression}" for one in found.audiences]
    if found.left_out:
        lines += ["", f"# {word('import.left_out', language, count=len(found.left_out))}"]
        lines += [f"# - {_left_out(one, language)}" for one in found.left_out]
    return format_source(Source(default_path(account), "\n".join(lines) + "\n"))[0]


def _left_out(one: LeftOut, language: str) -> str:
    info = one.found.info
    name = _plain(info.name)
    reason = word_of(one, language)
    return f"{info.kind} {name} ({info.id}): {reason}"


def word_of(one: LeftOut, language: str) -> str:
    from audsql.catalog import word

    return word(f"import.{one.reason}", language, detail=_plain(one.detail))


def _plain(text: str) -> str:
    """Text that stays in its comment, on its line, and changes no direction of writing."""
    return "".join(character if character.isprintable() else " " for character in text)
