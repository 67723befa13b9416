"""The pure core of the simulator: a request goes in, an answer comes out, the world has changed.

No socket, wall clock or chance: the same world and the same requests give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import parse_qs, unquote

from audsql.sim import agenda, audiences, coupons, insight, rules, sends
from audsql.sim.bodies import form_parts
from audsql.sim.clock import format_time, http_date, take_token
from audsql.sim.control import control
from audsql.sim.faults import Fault, message_of, strike
from audsql.sim.model import Accepted, Account, Call, Json, Response, World, make_uuid
from audsql.sim.narrowcast import narrowcast, progress
from audsql.sim.worldfile import dump, load


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API: where it is, who answers, how often it may be asked."""

    method: str
    path: str
    answer: Callable[[Call], Response]
    rate: tuple[int, int] = rules.PER_SECOND
    retry_key: bool = False
    polled: bool = False

    @property
    def on_data_host(self) -> bool:
        """By-file uploads live on api-data.line.me."""
        return self.path.endswith("/byFile")


_AUDIENCE = "/v2/bot/audienceGroup"
_MESSAGE = "/v2/bot/message"
_INSIGHT = "/v2/bot/insight"
_COUPON = "/v2/bot/coupon"
_MINUTE, _HOUR = rules.PER_MINUTE, rules.PER_HOUR

# Fixed paths stand before those with a parameter: the first that fits answers.
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("POST", f"{_AUDIENCE}/upload", audiences.create_upload, _MINUTE),
    Endpoint("PUT", f"{_AUDIENCE}/upload", audiences.add_to_upload, _MINUTE),
    Endpoint("POST", f"{_AUDIENCE}/upload/byFile", audiences.create_upload_by_file, _MINUTE),
    Endpoint("PUT", f"{_AUDIENCE}/upload/byFile", audiences.add_to_upload_by_file, _MINUTE),
    Endpoint("POST", f"{_AUDIENCE}/click", audiences.create_click, _MINUTE),
    Endpoint("POST", f"{_AUDIENCE}/imp", audiences.create_imp, _MINUTE),
    Endpoint("GET", f"{_AUDIENCE}/list", audiences.list_own, _MINUTE, polled=True),
    Endpoint("GET", f"{_AUDIENCE}/shared/list", audiences.list_shared, _MINUTE, polled=True),
    Endpoint("GET", f"{_AUDIENCE}/shared/{{id}}", audiences.get_shared, _MINUTE, polled=True),
    Endpoint("PUT", f"{_AUDIENCE}/{{id}}/updateDescription", audiences.rename, _MINUTE),
    Endpoint("GET", f"{_AUDIENCE}/{{id}}", audiences.get, _MINUTE, polled=True),
    Endpoint("DELETE", f"{_AUDIENCE}/{{id}}", audiences.delete, _MINUTE),
    Endpoint("POST", f"{_MESSAGE}/narrowcast", narrowcast, _HOUR, retry_key=True),
    Endpoint("POST", f"{_MESSAGE}/broadcast", sends.broadcast, _HOUR, retry_key=True),
    Endpoint("POST", f"{_MESSAGE}/multicast", sends.multicast, rules.MULTICAST_RATE, retry_key=True),
    Endpoint("POST", f"{_MESSAGE}/push", sends.push, retry_key=True),
    Endpoint("GET", f"{_MESSAGE}/progress/narrowcast", progress, polled=True),
    *(
        Endpoint("POST", f"{_MESSAGE}/validate/{kind}", sends.validate)
        for kind in ("narrowcast", "broadcast", "multicast", "push", "reply")
    ),
    Endpoint("GET", f"{_MESSAGE}/quota", sends.quota),
    Endpoint("GET", f"{_MESSAGE}/quota/consumption", sends.consumption),
    Endpoint("GET", f"{_MESSAGE}/delivery/{{kind:reply|push|multicast|broadcast}}", sends.delivery_count),
    Endpoint("GET", f"{_MESSAGE}/aggregation/info", insight.unit_count),
    Endpoint("GET", f"{_MESSAGE}/aggregation/list", insight.unit_names),
    Endpoint("POST", _COUPON, coupons.create, rules.COUPON_RATE),
    Endpoint("GET", _COUPON, coupons.list_own, rules.COUPON_RATE),
    Endpoint("GET", f"{_COUPON}/{{couponId}}", coupons.get, rules.COUPON_RATE),
    Endpoint("PUT", f"{_COUPON}/{{couponId}}/close", coupons.close, rules.COUPON_RATE),
    Endpoint("GET", f"{_INSIGHT}/followers", insight.followers, _HOUR),
    Endpoint("GET", f"{_INSIGHT}/demographic", insight.demographic, _HOUR),
    Endpoint("GET", f"{_INSIGHT}/message/delivery", insight.message_delivery, _HOUR),
    Endpoint("GET", f"{_INSIGHT}/message/event", insight.message_event, _HOUR),
    Endpoint("GET", f"{_INSIGHT}/message/event/aggregation", insight.aggregation, _HOUR),
    Endpoint("GET", "/v2/bot/followers/ids", insight.follower_ids),
    Endpoint("GET", "/v2/bot/info", insight.bot_info),
    Endpoint("GET", "/v2/bot/profile/{userId}", insight.profile),
)


def _fit(template: str, path: str) -> dict[str, str] | None:
    """The parameters when the path fits the template, else None. `{name:a|b}` takes only these values."""
    wanted, given = template.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    found: dict[str, str] = {}
    for pattern, part in zip(wanted, given, strict=True):
        if not pattern.startswith("{"):
            if pattern != part:
                return None
            continue
        name, _, values = pattern[1:-1].partition(":")
        if not part or (values and part not in values.split("|")):
            return None
        found[name] = part
    return found


@lru_cache(maxsize=1024)
def _find_endpoint(method: str, path: str) -> tuple[Endpoint | None, Mapping[str, str]]:
    for endpoint in ENDPOINTS:
        if endpoint.method == method:
            parameters = _fit(endpoint.path, path)
            if parameters is not None:
                return endpoint, {name: unquote(value) for name, value in parameters.items()}
    return None, {}


_NOBODY = Account(name="", token="", settings={}, quota=None, friends={})


class Simulation:
    """One simulated LINE. `handle` is its whole interface; it is not thread-safe."""

    __slots__ = ("world",)

    def __init__(self, document: Mapping[str, Json]) -> None:
        """Load a world document. Raises ValueError, KeyError or TypeError when it is not one."""
        self.world: World = load(document)

    def dump(self) -> dict[str, Json]:
        """The world as a document that continues this simulation."""
        return dump(self.world)

    def handle(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        host: str = "",
    ) -> Response:
        """Answer one request. A response with `dropped` means: close the connection without an answer."""
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        if path.startswith("/_sim/"):
            answer = control(self.world, method.upper(), path, body)
        else:
            answer = _answer(self.world, method.upper(), path, query, lower, body, host)
        headers = {**_common_headers(self.world, answer), **answer.headers}
        return Response(answer.status, answer.body, headers, answer.dropped)


def _common_headers(world: World, answer: Response) -> dict[str, str]:
    headers = {"Date": http_date(world.now), "X-Line-Simulator": "audsql"}
    if answer.body is not None:
        headers["Content-Type"] = "application/json"
    return headers


def _answer(
    world: World, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, host: str
) -> Response:
    """An API request: faults first, then the endpoint; everything is logged."""
    request_id = make_uuid(world)
    fault = strike(world, method, path)
    if fault.delay_seconds:
        agenda.advance(world, fault.delay_seconds)
    endpoint, parameters = _find_endpoint(method, path)
    account = _account(world, headers)
    values = parse_qs(query, keep_blank_values=True) if query else {}
    # A request without a valid token is refused before anything reads the account that stands in here.
    call = Call(world, account or _NOBODY, request_id, method, path, parameters, values, headers, body)
    entry = _log(call, endpoint)
    response = _respond(fault, endpoint, call, host)
    entry["status"] = None if fault.refuse else response.status
    if fault.names:
        entry["fault"] = list(fault.names)
    headers = {"X-Line-Request-Id": request_id, **response.headers}
    return Response(response.status, response.body, headers, response.dropped)


def _respond(fault: Fault, endpoint: Endpoint | None, call: Call, host: str) -> Response:
    if fault.refuse:
        return Response(0, dropped=True)
    if fault.status_before is not None:
        return Response(fault.status_before, {"message": message_of(fault.status_before)})
    try:
        response = _perform(endpoint, call, host)
    except rules.Refusal as refusal:
        response = Response(refusal.status, refusal.body, refusal.headers)
    if fault.status_after is not None:
        response = Response(fault.status_after, {"message": message_of(fault.status_after)})
    return replace(response, dropped=True) if fault.drop_response else response


def _account(world: World, headers: Mapping[str, str]) -> Account | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    return next((each for each in world.accounts.values() if each.token == token.strip()), None)


def _perform(endpoint: Endpoint | None, call: Call, host: str) -> Response:
    """The gates every request passes, then the endpoint itself."""
    if endpoint is None or _wrong_host(endpoint, host):
        raise rules.refuse(404, rules.NOT_FOUND)
    if call.account is _NOBODY:
        raise rules.refuse(401, rules.UNAUTHORISED)
    if endpoint.polled and call.world.auto:
        agenda.advance(call.world, rules.POLL_SECONDS)
    bucket = f"{endpoint.method} {endpoint.path}"
    if call.world.rate_limits and not take_token(call.world, call.account, bucket, endpoint.rate):
        raise rules.refuse(429, rules.RATE_LIMITED)
    if len(call.body) > rules.BODY_BYTES and not endpoint.on_data_host:
        raise rules.refuse(413, "Request Entity Too Large")
    key = call.headers.get("x-line-retry-key")
    if key is not None:
        _check_retry_key(call, endpoint, key)
    response = endpoint.answer(call)
    if key is not None:
        call.account.retry_keys[key.lower()] = Accepted(call.world.now, call.request_id, _echo(response))
    return response


def _wrong_host(endpoint: Endpoint, host: str) -> bool:
    name = host.partition(":")[0].lower()
    return name.endswith("line.me") and (name == "api-data.line.me") != endpoint.on_data_host


def _check_retry_key(call: Call, endpoint: Endpoint, key: str) -> None:
    if not endpoint.retry_key or rules.UUID.fullmatch(key) is None:
        raise rules.refuse(400, "The retry key is invalid" if endpoint.retry_key else "Retry key is not supported")
    kept = call.account.retry_keys.get(key.lower())
    if kept is not None and call.world.now - kept.at < rules.RETRY_KEY_SECONDS:
        body = {"message": rules.KEY_ACCEPTED, **kept.echo}
        raise rules.Refusal(409, body, {"X-Line-Accepted-Request-Id": kept.request_id})


def _echo(response: Response) -> dict[str, Json]:
    sent = response.body.get("sentMessages")
    return {} if sent is None else {"sentMessages": sent}


def _log(call: Call, endpoint: Endpoint | None) -> dict[str, Json]:
    """Enter the request into the log; its status is filled in when it is known."""
    entry = {
        "at": format_time(call.world.now),
        "method": call.method,
        "path": call.path,
        "query": {name: values[0] if len(values) == 1 else values for name, values in call.query.items()},
        "status": None,
        "account": None if call.account is _NOBODY else call.account.name,
        "requestId": call.request_id,
        "retryKey": call.headers.get("x-line-retry-key"),
        "body": _logged_body(call),
        "host": "api-data" if endpoint is not None and endpoint.on_data_host else "api",
    }
    call.world.requests.append(entry)
    return entry


def _logged_body(call: Call) -> Json:
    """JSON parsed; of a file upload its texts and the number of ids, never the ids."""
    if not call.body:
        return None
    if not call.headers.get("content-type", "").startswith("multipart/"):
        try:
            return json.loads(call.body)
        except (ValueError, RecursionError):
            return None
    try:
        parts = form_parts(call)
    except rules.Refusal:
        return None
    texts = {name: content.decode("utf-8", "replace") for name, (_, content) in parts.items() if name != "file"}
    content = parts["file"][1].rstrip(b"\r\n") if "file" in parts else b""
    return {**texts, "ids": content.count(b"\n") + 1 if content else 0}
