"""A thin client for the Messaging API: every operation returns an outcome value.

No method raises for what a server, a proxy or the network can do. Reads are retried with growing pauses;
sends and changes of audiences are made once and never again by themselves: a send is settled by the same
bytes and key, an audience by looking (specs/operations.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

from audsql.line import limits, models
from audsql.line.outcome import (
    Accepted,
    Found,
    Limited,
    ReadOutcome,
    Reply,
    SendOutcome,
    Unknown,
    WriteOutcome,
    read_json,
    settle_read,
    settle_send,
    settle_write,
)
from audsql.line.pace import Pacer
from audsql.line.ports import ClientPorts, RequestRecord, Secret
from audsql.line.recipient import canonical_json
from audsql.line.transport import (
    READ_DEADLINE_SECONDS,
    SEND_DEADLINE_SECONDS,
    UPLOAD_DEADLINE_SECONDS,
    Channel,
    Request,
)
from audsql.records import dataclass

if TYPE_CHECKING:
    import httpx

__all__ = ["LineClient", "Operation", "operation"]

T = TypeVar("T")
SendKind = Literal["narrowcast", "broadcast", "multicast", "push"]
MayWrite = Callable[[], bool]

READ_ATTEMPTS_MAX = 5
RETRY_PAUSE_SECONDS = 1.0
RETRY_PAUSE_SECONDS_MAX = 30.0
FIRST_CONTACT_PAUSE_SECONDS = 0.1
PACE_WAITS_MAX = 3
LIST_PAGES_MAX = 1_000
LIST_READS_MAX = 3


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API. `path` is its template, as the request log shows it; `rate` names its limit."""

    name: str
    method: str
    path: str
    rate: str = "default"
    on_data_host: bool = False


_MESSAGE = "/v2/bot/message"
_GROUP = "/v2/bot/audienceGroup"
_OPERATIONS = {
    entry.name: entry
    for entry in (
        Operation("create_upload", "POST", f"{_GROUP}/upload", "audience"),
        Operation("add_ids", "PUT", f"{_GROUP}/upload", "audience"),
        Operation("create_upload_file", "POST", f"{_GROUP}/upload/byFile", "audience", on_data_host=True),
        Operation("add_ids_file", "PUT", f"{_GROUP}/upload/byFile", "audience", on_data_host=True),
        Operation("create_click", "POST", f"{_GROUP}/click", "audience"),
        Operation("create_impression", "POST", f"{_GROUP}/imp", "audience"),
        Operation("rename", "PUT", f"{_GROUP}/{{audienceGroupId}}/updateDescription", "audience"),
        Operation("delete", "DELETE", f"{_GROUP}/{{audienceGroupId}}", "audience"),
        Operation("audience", "GET", f"{_GROUP}/{{audienceGroupId}}", "audience"),
        Operation("audiences", "GET", f"{_GROUP}/list", "audience"),
        Operation("shared_audiences", "GET", f"{_GROUP}/shared/list", "audience"),
        Operation("narrowcast", "POST", f"{_MESSAGE}/narrowcast", "narrowcast"),
        Operation("broadcast", "POST", f"{_MESSAGE}/broadcast", "broadcast"),
        Operation("multicast", "POST", f"{_MESSAGE}/multicast", "multicast"),
        Operation("push", "POST", f"{_MESSAGE}/push", "push"),
        Operation("progress", "GET", f"{_MESSAGE}/progress/narrowcast"),
        Operation("quota", "GET", f"{_MESSAGE}/quota"),
        Operation("consumption", "GET", f"{_MESSAGE}/quota/consumption"),
        Operation("validate", "POST", f"{_MESSAGE}/validate/{{kind}}"),
        Operation("followers", "GET", "/v2/bot/insight/followers", "insight"),
        Operation("follower_ids", "GET", "/v2/bot/followers/ids"),
        Operation("aggregation_units", "GET", "/v2/bot/message/aggregation/list"),
        Operation("insight_event", "GET", "/v2/bot/insight/message/event", "insight"),
        Operation("create_coupon", "POST", "/v2/bot/coupon", "coupon"),
        Operation("close_coupon", "PUT", "/v2/bot/coupon/{couponId}/close", "coupon"),
        Operation("coupon", "GET", "/v2/bot/coupon/{couponId}", "coupon"),
        Operation("coupons", "GET", "/v2/bot/coupon", "coupon"),
        Operation("bot", "GET", "/v2/bot/info"),
    )
}


def operation(name: str) -> Operation:
    """The operation of that name."""
    return _OPERATIONS[name]


class LineClient:
    """One account's channel. A port: it holds connections, the pace, and what the server's clock said."""

    def __init__(
        self,
        account: str,
        api_url: str,
        data_url: str,
        token: str,
        ports: ClientPorts,
        make_transport: Callable[[], httpx.BaseTransport] | None = None,
    ) -> None:
        self.account = account
        self._urls = (api_url, data_url)
        self._token = Secret(token)
        self._ports = ports
        self._channel = Channel(make_transport)
        self._pacer = Pacer({name: entry.rate for name, entry in _OPERATIONS.items()})
        self._server_time: datetime | None = None
        self._skew_seconds: float | None = None
        # LINE itself is never asked to play a simulator, whatever a header says.
        self._simulator: bool | None = False if api_url == limits.API_URL else None

    def __repr__(self) -> str:
        return f"LineClient({self.account!r}, {self._urls[0]!r})"

    def close(self) -> None:
        self._channel.close()

    # --- audiences: changes ---------------------------------------------------------------------------

    def create_upload(self, name: str, user_ids: Sequence[str], upload_description: str = "") -> WriteOutcome:
        """A new audience of at most 10,000 people."""
        body = {"description": name, "isIfaAudience": False, "audiences": _people(user_ids)}
        return self._write("create_upload", _with_job(body, upload_description), needs_id=True)

    def add_ids(self, audience_id: int, user_ids: Sequence[str], upload_description: str = "") -> WriteOutcome:
        """At most 10,000 more people into an audience. They count once the job is FINISHED."""
        body = {"audienceGroupId": audience_id, "audiences": _people(user_ids)}
        return self._write("add_ids", _with_job(body, upload_description))

    def create_upload_file(self, name: str, user_ids: Sequence[str], upload_description: str = "") -> WriteOutcome:
        """A new audience of at most 1,500,000 people, on the data host."""
        form = {"description": name, "isIfaAudience": "false"}
        return self._upload("create_upload_file", form, user_ids, upload_description, needs_id=True)

    def add_ids_file(self, audience_id: int, user_ids: Sequence[str], upload_description: str = "") -> WriteOutcome:
        """At most 1,500,000 more people into an audience, on the data host."""
        return self._upload("add_ids_file", {"audienceGroupId": str(audience_id)}, user_ids, upload_description)

    def create_click(self, name: str, request_id: str, click_url: str | None = None) -> WriteOutcome:
        """The people who clicked in a broadcast or narrowcast; any link of it where `click_url` is None."""
        body = {"description": name, "requestId": request_id}
        return self._write("create_click", body | ({"clickUrl": click_url} if click_url else {}), needs_id=True)

    def create_impression(self, name: str, request_id: str) -> WriteOutcome:
        """The people who opened a broadcast or narrowcast."""
        return self._write("create_impression", {"description": name, "requestId": request_id}, needs_id=True)

    def rename(self, audience_id: int, name: str) -> WriteOutcome:
        return self._write("rename", {"description": name}, {"audienceGroupId": audience_id})

    def delete(self, audience_id: int) -> WriteOutcome:
        """`Refused` with `gone` means that it was deleted before, which is as good."""
        return self._write("delete", None, {"audienceGroupId": audience_id})

    # --- audiences: reads -----------------------------------------------------------------------------

    def audience(self, audience_id: int) -> ReadOutcome[models.AudienceDetail]:
        """One audience with its upload jobs."""
        return self._read("audience", models.read_detail, {"audienceGroupId": audience_id})

    def audiences(self, name_contains: str | None = None) -> ReadOutcome[tuple[models.AudienceInfo, ...]]:
        """Every audience that the channel may use, those made in LINE Official Account Manager included."""
        query = {"includesExternalPublicGroups": "true"}
        return self._list("audiences", query | ({"description": name_contains} if name_contains else {}))

    def shared_audiences(self) -> ReadOutcome[tuple[models.AudienceInfo, ...]]:
        """Audiences that Business Manager shares with this account."""
        return self._list("shared_audiences", {"includesOwnedAudienceGroups": "false"})

    # --- coupons --------------------------------------------------------------------------------------

    def create_coupon(self, body: Mapping[str, object]) -> WriteOutcome:
        """A new coupon; its id is `couponId` of the answer. LINE edits none (specs/line.md, `coupon.immutable`)."""
        return self._write("create_coupon", body)

    def close_coupon(self, coupon_id: str) -> WriteOutcome:
        """Nobody can use it any more. `Refused` with 410: it was closed before."""
        return self._write("close_coupon", None, {"couponId": coupon_id})

    def coupon(self, coupon_id: str) -> ReadOutcome[models.CouponInfo]:
        """One coupon with all that it was created with; `Refused` with 404 where the account has none of that id."""
        return self._read("coupon", models.read_coupon, {"couponId": coupon_id})

    def running_coupons(self) -> ReadOutcome[tuple[models.CouponTitle, ...]]:
        """Ids and titles of every coupon that is running."""
        found: dict[str, models.CouponTitle] = {}
        query = {"status": "RUNNING", "limit": str(limits.COUPON_PAGE_SIZE_MAX)}
        while True:
            outcome = self._read("coupons", models.read_coupons, query=query)
            if not isinstance(outcome, Found):
                return outcome
            found.update((one.id, one) for one in outcome.value.coupons)
            if not outcome.value.following:
                return Found(tuple(found[key] for key in sorted(found)), outcome.request_id)
            # A token that leads nowhere new would lead on for ever.
            if query.get("start") == outcome.value.following or len(found) > limits.COUPONS_VALID_MAX:
                return Unknown("too-many-coupons")
            query["start"] = outcome.value.following

    # --- sends ----------------------------------------------------------------------------------------

    def narrowcast(self, body: bytes, retry_key: str, may_write: MayWrite | None = None) -> SendOutcome:
        """Sends exactly these bytes. See `recipient` for how a body is built, `send` for `may_write`."""
        return self.send("narrowcast", body, retry_key, may_write)

    def broadcast(self, body: bytes, retry_key: str, may_write: MayWrite | None = None) -> SendOutcome:
        return self.send("broadcast", body, retry_key, may_write)

    def multicast(self, body: bytes, retry_key: str, may_write: MayWrite | None = None) -> SendOutcome:
        return self.send("multicast", body, retry_key, may_write)

    def push(self, body: bytes, retry_key: str, may_write: MayWrite | None = None) -> SendOutcome:
        return self.send("push", body, retry_key, may_write)

    def send(self, kind: SendKind, body: bytes, retry_key: str, may_write: MayWrite | None = None) -> SendOutcome:
        """One attempt over a new connection: no retry, no redirect, 60 seconds in all.

        `may_write` is asked after the connection stands and before the first byte: the place to check the
        window and the lease. If it says no, the outcome is `Unknown("withheld", written=False)`. The pace
        is kept before the connection is opened, so call `pace(kind)` first where waiting matters.
        """
        key = str(UUID(retry_key))
        request = self._request(operation(kind), {}, SEND_DEADLINE_SECONDS, content=body, retry_key=key)
        reply = self._exchange(operation(kind), replace(request, fresh=True, may_write=may_write))
        return reply if isinstance(reply, Unknown) else settle_send(reply)

    def progress(self, request_id: str) -> ReadOutcome[models.Progress]:
        """How far a narrowcast is; LINE knows it for 14 days (then `Refused` with status 404)."""
        return self._read("progress", models.read_progress, query={"requestId": request_id})

    def validate(self, kind: SendKind, messages: Sequence[Mapping[str, object]]) -> ReadOutcome[bool]:
        """LINE's own check of message objects; `Refused` names what is wrong. Nothing is sent."""
        content = canonical_json({"messages": list(messages)})
        return self._read("validate", lambda body: True, {"kind": kind}, content=content)

    # --- the account ----------------------------------------------------------------------------------

    def bot(self) -> ReadOutcome[models.BotInfo]:
        """Which bot the token belongs to. Has no effect, so it serves as the preflight of a run."""
        return self._read("bot", models.read_bot)

    def quota(self) -> ReadOutcome[models.Quota]:
        return self._read("quota", models.read_quota)

    def consumption(self) -> ReadOutcome[int]:
        """Messages used this month, approximately."""
        return self._read("consumption", models.read_consumption)

    def followers(self, day: date) -> ReadOutcome[models.FollowerCounts]:
        """Friends and target reach on a day of Japan's calendar."""
        return self._read("followers", models.read_followers, query={"date": day.strftime("%Y%m%d")})

    def follower_ids(self, most: int) -> ReadOutcome[frozenset[str]]:
        """The friends, without those who blocked the account or do not let LINE tell; Unknown for more than `most`.

        Refused where the account may not read them: only verified and premium ones may.
        """
        found: set[str] = set()
        query = {"limit": str(limits.FOLLOWER_IDS_PAGE_SIZE_MAX)}
        while True:
            outcome = self._read("follower_ids", models.read_follower_ids, query=query)
            if not isinstance(outcome, Found):
                return outcome
            found.update(outcome.value.ids)
            if not outcome.value.following:
                return Found(frozenset(found), outcome.request_id)
            # A token that leads nowhere new would lead on for ever.
            if len(found) >= most or query.get("start") == outcome.value.following or not outcome.value.ids:
                return Unknown("too-many-followers")
            query["start"] = outcome.value.following

    def aggregation_units(self) -> ReadOutcome[frozenset[str]]:
        """The names of this month's aggregation units."""
        found: set[str] = set()
        query = {"limit": str(limits.UNIT_NAMES_PAGE_SIZE_MAX)}
        while True:
            outcome = self._read("aggregation_units", models.read_unit_names, query=query)
            if not isinstance(outcome, Found):
                return outcome
            found.update(outcome.value.names)
            if not outcome.value.following:
                return Found(frozenset(found), outcome.request_id)
            if len(found) > limits.UNIT_NAMES_PER_MONTH_MAX or query.get("start") == outcome.value.following:
                return Unknown("too-many-units")
            query["start"] = outcome.value.following

    def insight_event(self, request_id: str) -> ReadOutcome[Mapping[str, object]]:
        """Opens and clicks of a narrowcast or broadcast, as LINE gives them: null means below 20."""
        return self._read("insight_event", lambda body: body, query={"requestId": request_id})

    # --- time and pace --------------------------------------------------------------------------------

    @property
    def is_simulator(self) -> bool:
        """Whether the endpoint said that it is a simulator. Asks it if it was not asked yet."""
        if self._simulator is None:
            self.bot()
        return bool(self._simulator)

    def now(self) -> datetime:
        """The time that sends live in: the machine's against LINE, the server's against a simulator."""
        if not self.is_simulator:
            return self._ports.now()
        return self._simulator_now() or self._server_time or self._ports.now()

    def sleep(self, seconds: float) -> None:
        """Lets time pass: really against LINE, by the simulator's clock against a simulator."""
        if seconds <= 0:
            return
        if not self.is_simulator:
            self._ports.sleep(seconds)
            return
        whole = int(seconds) + (seconds > int(seconds))
        reply = self._control("POST", json.dumps({"advance_seconds": whole}).encode())
        if not isinstance(reply, Reply) or reply.status >= 400:
            self._ports.sleep(min(seconds, 1.0))

    def server_time(self) -> datetime | None:
        """The `Date` of the last reply."""
        return self._server_time

    def clock_skew_seconds(self) -> float | None:
        """This machine's clock less LINE's, at the last reply; None before one, 0 against a simulator."""
        return 0.0 if self._simulator else self._skew_seconds

    @property
    def clock_is_wrong(self) -> bool:
        """The two clocks differ by more than five minutes: no window can be trusted."""
        return abs(self.clock_skew_seconds() or 0.0) > limits.CLOCK_SKEW_SECONDS_MAX

    def pace(self, name: str) -> float:
        """Waits until this operation is within its rate; gives the seconds waited."""
        waited = 0.0
        for _ in range(PACE_WAITS_MAX):
            if self._pacer.wait_seconds(name, self._glance()) <= 0:
                break
            seconds = self._pacer.wait_seconds(name, self.now())
            self.sleep(seconds)
            waited += seconds
        return waited

    def pace_seconds(self, name: str) -> float:
        """How long `pace` would wait."""
        return self._pacer.wait_seconds(name, self._glance())

    def recall(self, name: str, times: Iterable[datetime]) -> None:
        """Requests of earlier runs, from the journal, that count against the pace."""
        self._pacer.recall(name, times)

    def _glance(self) -> datetime:
        """A time that is never ahead of `now` and costs no request."""
        return self._server_time or self._ports.now() if self._simulator else self._ports.now()

    def _simulator_now(self) -> datetime | None:
        reply = self._control("GET", None)
        if not isinstance(reply, Reply):
            return None
        body = read_json(reply.body) or {}
        try:
            moment = datetime.fromisoformat(str(body.get("now")))
        except ValueError:
            return _date_of(reply)
        return moment if moment.tzinfo else None

    def _control(self, method: str, content: bytes | None) -> Reply | Unknown:
        url = f"{self._urls[0]}/_sim/clock"
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        reply = self._channel.exchange(Request(method, url, headers, content))
        if isinstance(reply, Reply):
            self._server_time = _date_of(reply) or self._server_time
        return reply

    # --- one request ------------------------------------------------------------------------------------

    def _write(
        self,
        name: str,
        body: Mapping[str, object] | None,
        path: Mapping[str, object] | None = None,
        needs_id: bool = False,
    ) -> WriteOutcome:
        content = None if body is None else canonical_json(body)
        request = self._request(operation(name), path or {}, SEND_DEADLINE_SECONDS, content=content)
        # A connection of its own: one that was idle may break at the first byte and leave a doubt behind.
        reply = self._exchange(operation(name), replace(request, fresh=True))
        return reply if isinstance(reply, Unknown) else settle_write(reply, needs_id)

    def _upload(
        self, name: str, form: dict[str, str], user_ids: Sequence[str], description: str, needs_id: bool = False
    ) -> WriteOutcome:
        if not 0 < len(user_ids) <= limits.UPLOAD_FILE_IDS_MAX:
            raise ValueError("an upload by file has 1 to 1,500,000 ids")
        if description:
            form["uploadDescription"] = description
        request = self._request(operation(name), {}, UPLOAD_DEADLINE_SECONDS)
        # No line break after the last id: whether LINE takes one is not documented.
        request = replace(request, form=form, file="\n".join(user_ids).encode("ascii"), fresh=True)
        reply = self._exchange(operation(name), request)
        return reply if isinstance(reply, Unknown) else settle_write(reply, needs_id)

    def _list(self, name: str, query: Mapping[str, str]) -> ReadOutcome[tuple[models.AudienceInfo, ...]]:
        """All pages; read again where the list changed between two pages, as far as LINE lets one see it."""
        for _ in range(LIST_READS_MAX):
            result = self._pages(name, query)
            if not isinstance(result, Found) or result.value[1]:
                break
        return Found(result.value[0], result.request_id) if isinstance(result, Found) else result

    def _pages(self, name: str, query: Mapping[str, str]) -> ReadOutcome[tuple[tuple[models.AudienceInfo, ...], bool]]:
        found: dict[int, models.AudienceInfo] = {}
        size = limits.LIST_PAGE_SIZE_MAX
        for page in range(1, LIST_PAGES_MAX + 1):
            numbers = {"page": str(page), "size": str(size)}
            outcome = self._read(name, models.read_page, query={**query, **numbers})
            if not isinstance(outcome, Found):
                return outcome
            entries = outcome.value.audiences
            found.update((entry.id, entry) for entry in entries)
            # The shared list has no dependable hasNextPage: a page that is not full is the last.
            if len(entries) < size and not (outcome.value.has_next and entries):
                total = outcome.value.total
                whole = tuple(found[identifier] for identifier in sorted(found))
                return Found((whole, total is None or total == len(found)), outcome.request_id)
        return Unknown("list-without-end")

    def _read(
        self,
        name: str,
        decode: Callable[[Mapping[str, object]], T | None],
        path: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> ReadOutcome[T]:
        request = self._request(operation(name), path or {}, READ_DEADLINE_SECONDS, query, content)
        outcome = self._read_once(name, request, decode)
        for attempt in range(1, READ_ATTEMPTS_MAX):
            again = isinstance(outcome, Unknown) or (isinstance(outcome, Limited) and outcome.kind == "rate")
            if not again:
                break
            self._pause(attempt)
            outcome = self._read_once(name, request, decode)
        return outcome

    def _pause(self, attempt: int) -> None:
        growth = 2.0**attempt * (0.5 + self._ports.random())
        if self._simulator is None:
            # Nobody has answered yet, so that it is not known whose clock to wait by.
            self._ports.sleep(FIRST_CONTACT_PAUSE_SECONDS * growth)
        else:
            self.sleep(min(RETRY_PAUSE_SECONDS * growth, RETRY_PAUSE_SECONDS_MAX))

    def _read_once(
        self, name: str, request: Request, decode: Callable[[Mapping[str, object]], T | None]
    ) -> ReadOutcome[T]:
        reply = self._exchange(operation(name), request)
        outcome = reply if isinstance(reply, Unknown) else settle_read(reply)
        if not isinstance(outcome, Accepted):
            return outcome
        value = decode(outcome.body)
        return Unknown("success-of-another-shape") if value is None else Found(value, outcome.request_id)

    def _request(
        self,
        entry: Operation,
        path: Mapping[str, object],
        deadline_seconds: float,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        retry_key: str | None = None,
    ) -> Request:
        filled = entry.path
        for name, value in path.items():
            filled = filled.replace(f"{{{name}}}", quote(str(value), safe=""))
        headers = {
            "Authorization": f"Bearer {self._token.reveal()}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "audsql",
        }
        if content is not None:
            headers["Content-Type"] = "application/json"
        if retry_key is not None:
            headers["X-Line-Retry-Key"] = retry_key
        url = self._urls[entry.on_data_host] + filled + (f"?{urlencode(query)}" if query else "")
        return Request(entry.method, url, headers, content, deadline_seconds=deadline_seconds)

    def _exchange(self, entry: Operation, request: Request) -> Reply | Unknown:
        self.pace(entry.name)
        before = self._ports.now()
        started = self._glance()
        reply = self._channel.exchange(request)
        if isinstance(reply, Reply) or reply.written:
            self._pacer.note(entry.name, started)
        if isinstance(reply, Reply):
            self._learn(reply, before)
        status = reply.status if isinstance(reply, Reply) else None
        request_id = reply.headers.get("x-line-request-id") if isinstance(reply, Reply) else None
        self._ports.log(RequestRecord(before, entry.method, entry.path, status, request_id))
        return reply

    def _learn(self, reply: Reply, before: datetime) -> None:
        """Remembers the server's clock, and whether it is a simulator's."""
        if self._simulator is None or (not self._simulator and "x-line-simulator" in reply.headers):
            self._simulator = "x-line-simulator" in reply.headers and self._urls[0] != limits.API_URL
        moment = _date_of(reply)
        if moment is not None:
            self._server_time = moment
            now = self._ports.now()
            self._skew_seconds = (before + (now - before) / 2 - moment).total_seconds()


def _people(user_ids: Sequence[str]) -> list[dict[str, str]]:
    if not 0 < len(user_ids) <= limits.UPLOAD_JSON_IDS_MAX:
        raise ValueError("an upload by JSON has 1 to 10,000 ids")
    return [{"id": user_id} for user_id in user_ids]


def _with_job(body: dict[str, object], upload_description: str) -> dict[str, object]:
    return body | ({"uploadDescription": upload_description} if upload_description else {})


def _date_of(reply: Reply) -> datetime | None:
    try:
        moment = parsedate_to_datetime(reply.headers.get("date", ""))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
