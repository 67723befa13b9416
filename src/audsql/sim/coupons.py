"""Coupons: created once, never edited, listed, read, closed; and whether a message may carry one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from audsql.sim import rules
from audsql.sim.bodies import check_object, json_object, paged, query_integer
from audsql.sim.model import Account, Call, Coupon, Json, Response, World, make_ulid

_FIELDS = {
    "acquisitionCondition": "object",
    "barcodeImageUrl": "string",
    "couponCode": "string",
    "description": "string",
    "endTimestamp": "integer",
    "imageUrl": "string",
    "maxUseCountPerTicket": "integer",
    "reward": "object",
    "startTimestamp": "integer",
    "timezone": "string",
    "title": "string",
    "usageCondition": "string",
    "visibility": "string",
}
_REQUIRED = (
    "acquisitionCondition", "endTimestamp", "maxUseCountPerTicket", "startTimestamp", "timezone", "title", "visibility"
)  # fmt: skip
_LENGTHS = {"title": (1, 60), "description": (0, 1_000), "usageCondition": (0, 100)}
_ONE_OF = {"visibility": rules.COUPON_VISIBILITIES, "timezone": rules.COUPON_ZONES}
_PRICES: dict[str, dict[str, tuple[str, ...]]] = {
    "cashBack": {"fixed": ("fixedAmount",), "percentage": ("percentage",)},
    "discount": {
        "fixed": ("fixedAmount",),
        "percentage": ("percentage",),
        "explicit": ("priceAfterDiscount", "originalPrice"),
    },
    "free": {},
    "gift": {},
    "others": {},
}
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


def create(call: Call) -> Response:
    """POST /v2/bot/coupon: a coupon that runs from now on; only its id is answered."""
    given = json_object(call, _FIELDS, _REQUIRED)
    _check(call.world, given)
    running = sum(1 for each in call.account.coupons.values() if status_of(call.world, each) == "RUNNING")
    if running >= rules.COUPONS_VALID:
        raise rules.refuse(400, "The number of valid coupons has reached the limit")
    coupon_id = make_ulid(call.world, f"coupon:{call.account.name}:{len(call.account.coupons) + 1}")
    call.account.coupons[coupon_id] = Coupon(coupon_id, call.world.now, given)
    return Response(200, {"couponId": coupon_id})


def _check(world: World, given: Mapping[str, Json]) -> None:
    for name, (shortest, longest) in _LENGTHS.items():
        text = given.get(name)
        if text is not None and not shortest <= len(text.encode("utf-16-le", "surrogatepass")) // 2 <= longest:
            raise rules.refuse_field(name, f"Length must be between {shortest} and {longest}")
    for name, values in _ONE_OF.items():
        _one_of(name, given[name], values)
    for name in ("imageUrl", "barcodeImageUrl"):
        if name in given and not given[name].startswith("https://"):
            raise rules.refuse_field(name, "Must be a valid HTTPS URL")
    if given["maxUseCountPerTicket"] not in (-1, 1):
        raise rules.refuse_field("maxUseCountPerTicket", "Must be 1 or -1")
    if given["startTimestamp"] < 0:
        raise rules.refuse_field("startTimestamp", "Must be greater than or equal to 0")
    if given["endTimestamp"] <= max(given["startTimestamp"], world.now):
        raise rules.refuse_field("endTimestamp", "Must be later than startTimestamp and in the future")
    _check_condition(given["acquisitionCondition"])
    if "reward" in given:
        _check_reward(given["reward"])


def _one_of(name: str, value: Json, values: tuple[str, ...]) -> None:
    if value not in values:
        raise rules.refuse_field(name, f"Must be one of the following values: [{', '.join(values)}]")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise rules.refuse_field(name, f"Must be between {low} and {high}")


def _check_condition(given: Json) -> None:
    where = "acquisitionCondition"
    _one_of(f"{where}.type", given.get("type"), ("normal", "lottery"))
    if given["type"] == "normal":
        check_object(given, where, {"type": "string"}, ("type",))
        return
    fields = {"type": "string", "lotteryProbability": "integer", "maxAcquireCount": "integer"}
    found = check_object(given, where, fields, tuple(fields))
    _within(f"{where}.lotteryProbability", found["lotteryProbability"], 1, 99)
    if found["maxAcquireCount"] != -1:
        _within(f"{where}.maxAcquireCount", found["maxAcquireCount"], 1, rules.COUPON_ACQUIRED)


def _check_reward(given: Json) -> None:
    _one_of("reward.type", given.get("type"), tuple(_PRICES))
    prices = _PRICES[given["type"]]
    fields = {"type": "string", "priceInfo": "object"} if prices else {"type": "string"}
    found = check_object(given, "reward", fields, tuple(fields))
    if not prices:
        return
    price = found["priceInfo"]
    _one_of("reward.priceInfo.type", price.get("type"), tuple(prices))
    numbers = dict.fromkeys(prices[price["type"]], "integer")
    read = check_object(price, "reward.priceInfo", {"type": "string", **numbers}, ("type", *numbers))
    for name in numbers:
        _within(f"reward.priceInfo.{name}", read[name], 1, 99 if name == "percentage" else 2**53)


def status_of(world: World, coupon: Coupon) -> str:
    """What LINE calls the coupon now: a draft, running, or closed by somebody or by its end."""
    if coupon.draft:
        return "DRAFT"
    ended = coupon.document["endTimestamp"] <= world.now
    return "CLOSED" if coupon.closed_at is not None or ended else "RUNNING"


def list_own(call: Call) -> Response:
    """GET /v2/bot/coupon: ids and titles, newest first, by pages."""
    wanted = call.query.get("status", list(rules.COUPON_STATUSES))
    for status in wanted:
        if status not in rules.COUPON_STATUSES:
            raise rules.refuse(400, "Invalid status")
    size = query_integer(call, "limit", rules.COUPON_PAGE, 1, rules.COUPON_PAGE_MAX)
    ids = [each.coupon_id for each in call.account.coupons.values() if status_of(call.world, each) in wanted]
    page, following_page = paged(call, ids[::-1], size)
    items = [{"couponId": each, "title": call.account.coupons[each].document["title"]} for each in page]
    return Response(200, {"items": items, **following_page})


def _found(call: Call) -> Coupon:
    coupon_id = call.parameters["couponId"]
    if _ID.fullmatch(coupon_id) is None:
        raise rules.refuse(400, "Invalid couponId")
    found = call.account.coupons.get(coupon_id)
    if found is None:
        raise rules.refuse(404, rules.NOT_FOUND)
    return found


def get(call: Call) -> Response:
    """GET /v2/bot/coupon/{couponId}: what it was created with, and its status."""
    coupon = _found(call)
    body = {
        **coupon.document,
        "couponId": coupon.coupon_id,
        "createdTimestamp": int(coupon.created),
        "maxTicketPerUser": 1,
        "status": status_of(call.world, coupon),
    }
    reward = coupon.document.get("reward", {})
    price = reward.get("priceInfo")
    if price is not None and price["type"] != "percentage":
        body["reward"] = {**reward, "priceInfo": {**price, "currency": "JPY"}}
    return Response(200, body)


def close(call: Call) -> Response:
    """PUT /v2/bot/coupon/{couponId}/close: nobody can use it any more; 410 where it is closed already."""
    coupon = _found(call)
    status = status_of(call.world, coupon)
    if status == "DRAFT":
        raise rules.refuse(400, "The coupon is a draft")
    if status == "CLOSED":
        raise rules.refuse(410, "Gone")
    call.account.coupons[coupon.coupon_id] = coupon.closed(call.world.now)
    return Response(200, {})


def check_coupons(world: World, account: Account, messages: tuple[Json, ...]) -> None:
    """Refuse messages with a coupon that the account does not have, or that is not running."""
    for index, message in enumerate(messages):
        if message["type"] == "coupon":
            coupon = account.coupons.get(message["couponId"])
            if coupon is None or status_of(world, coupon) != "RUNNING":
                raise rules.refuse_property(f"messages[{index}].couponId")
