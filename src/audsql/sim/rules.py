"""The simulator's own dated table of LINE's numbers, words and error bodies (2026-11-21).

The house rule keeps LINE's numbers in `audsql.line.limits` alone. This table is the one deliberate exception: the
simulator is the independent judge of the compiler and of the client, and a judge that read its numbers from the
accused could not find a wrong one. Sources: the Messaging API reference of 2026-08-07 and line-openapi of
2026-07-01; every rule that LINE does not document is listed with its assumption in specs/simulator.md.
"""

from __future__ import annotations

import re
from typing import Any, Final

DATED: Final = "2026-11-21"

DAY_SECONDS: Final = 86_400
ZONE_SECONDS: Final = 9 * 3_600  # LINE counts days and months in UTC+09:00.

# Audiences.
NAME_LENGTH: Final = 120
UPLOAD_DESCRIPTION_LENGTH: Final = 300
CLICK_URL_LENGTH: Final = 2_000
IDS_PER_REQUEST: Final = 10_000
IDS_PER_FILE: Final = 1_500_000
BODY_BYTES: Final = 2 * 1_024 * 1_024
AUDIENCES_PER_CHANNEL: Final = 1_000
JOBS_SHOWN: Final = 50
OPERATIONS_PER_AUDIENCE: Final = 10
AUDIENCE_LIFE_SECONDS: Final = 180 * DAY_SECONDS
AUDIENCE_GRACE_SECONDS: Final = 30 * DAY_SECONDS
RETARGETING_SECONDS: Final = 60 * DAY_SECONDS
COUNT_HIDDEN_BELOW: Final = 20
PAGE_SIZE: Final = 20
PAGE_SIZE_MAX: Final = 40

# Sends.
MESSAGES_PER_SEND: Final = 5
MULTICAST_IDS: Final = 500
RECIPIENT_LEAVES: Final = 10
DEMOGRAPHIC_LEAVES: Final = 10
MINIMUM_RECIPIENTS: Final = 50
MINIMUM_TARGET_REACH: Final = 100
NARROWCAST_LIFE_SECONDS: Final = 14 * DAY_SECONDS
RETRY_KEY_SECONDS: Final = DAY_SECONDS
UNITS_PER_REQUEST: Final = 1
UNITS_PER_MONTH: Final = 1_000
UNIT_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,30}")
AGGREGATION_DAYS: Final = 30
UNIT_PAGE_MAX: Final = 100

# Coupons.
COUPONS_VALID: Final = 5_000
COUPON_PAGE: Final = 20
COUPON_PAGE_MAX: Final = 100
COUPON_ACQUIRED: Final = 999_999
COUPON_STATUSES: Final = ("DRAFT", "RUNNING", "CLOSED")
COUPON_VISIBILITIES: Final = ("UNLISTED", "PUBLIC")
COUPON_ZONES: Final = (
    "ETC_GMT_MINUS_12", "ETC_GMT_MINUS_11", "PACIFIC_HONOLULU", "AMERICA_ANCHORAGE", "AMERICA_LOS_ANGELES",
    "AMERICA_PHOENIX", "AMERICA_CHICAGO", "AMERICA_NEW_YORK", "AMERICA_CARACAS", "AMERICA_SANTIAGO",
    "AMERICA_ST_JOHNS", "AMERICA_SAO_PAULO", "ETC_GMT_MINUS_2", "ATLANTIC_CAPE_VERDE", "EUROPE_LONDON",
    "EUROPE_PARIS", "EUROPE_ISTANBUL", "EUROPE_MOSCOW", "ASIA_TEHRAN", "ASIA_TBILISI", "ASIA_KABUL",
    "ASIA_TASHKENT", "ASIA_COLOMBO", "ASIA_KATHMANDU", "ASIA_ALMATY", "ASIA_RANGOON", "ASIA_BANGKOK",
    "ASIA_TAIPEI", "ASIA_TOKYO", "AUSTRALIA_DARWIN", "AUSTRALIA_SYDNEY", "ASIA_VLADIVOSTOK", "ETC_GMT_PLUS_12",
    "PACIFIC_TONGATAPU",
)  # fmt: skip

# Other.
STATISTICS_HIDDEN_BELOW: Final = 20
FOLLOWERS_PAGE: Final = 300
FOLLOWERS_PAGE_MAX: Final = 1_000
CONTINUATION_SECONDS: Final = DAY_SECONDS

# Defaults of the simulated delays; LINE publishes none.
READY_SECONDS: Final = 30.0
JOB_SECONDS: Final = 20.0
WAIT_SECONDS: Final = 10.0
SEND_SECONDS: Final = 20.0
POLL_SECONDS: Final = 10.0
USABLE_SECONDS: Final = 0.0

# (requests, seconds): a full bucket holds `requests` and refills evenly over `seconds`.
PER_MINUTE: Final = (60, 60)
PER_HOUR: Final = (60, 3_600)
PER_SECOND: Final = (2_000, 1)
MULTICAST_RATE: Final = (200, 1)
COUPON_RATE: Final = (200, 1)

USER_ID: Final = re.compile(r"U[0-9a-f]{32}")
CHAT_ID: Final = re.compile(r"[UCR][0-9a-f]{32}")
UUID: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")

# Types that a narrowcast may use below the minimum when they belong to the sending account.
EXEMPT_TYPES: Final = frozenset({"UPLOAD", "CHAT_TAG"})
EXPIRING_TYPES: Final = frozenset({"UPLOAD", "CLICK", "IMP"})
STATUSES: Final = ("IN_PROGRESS", "READY", "FAILED", "EXPIRED", "INACTIVE", "ACTIVATING")
SHARED_STATUSES: Final = ("IN_PROGRESS", "READY", "FAILED", "EXPIRED")
CREATE_ROUTES: Final = ("OA_MANAGER", "MESSAGING_API", "POINT_AD", "AD_MANAGER")
SHARED_CREATE_ROUTES: Final = (*CREATE_ROUTES, "BUSINESS_MANAGER", "YAHOO_DISPLAY_ADS")

GENDERS: Final = ("male", "female")
APP_TYPES: Final = ("ios", "android")
AGES: Final = tuple(f"age_{years}" for years in (15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70))
PERIODS: Final = {f"day_{days}": days for days in (7, 30, 90, 180, 365)}
AREAS: Final = frozenset(
    f"{country}_{number:02d}"
    for country, count in (("jp", 47), ("tw", 22), ("th", 8))
    for number in range(1, count + 1)
)
# Insight names prefectures in Japanese without suffix, in the order of jp_01 to jp_47.
PREFECTURES: Final = (
    "北海道", "青森", "岩手", "宮城", "秋田", "山形", "福島", "茨城", "栃木", "群馬",
    "埼玉", "千葉", "東京", "神奈川", "新潟", "富山", "石川", "福井", "山梨", "長野",
    "岐阜", "静岡", "愛知", "三重", "滋賀", "京都", "大阪", "兵庫", "奈良", "和歌山",
    "鳥取", "島根", "岡山", "広島", "山口", "徳島", "香川", "愛媛", "高知", "福岡",
    "佐賀", "長崎", "熊本", "大分", "宮崎", "鹿児島", "沖縄",
)  # fmt: skip

RATE_LIMITED: Final = "The API rate limit has been exceeded. Try again later."
MONTHLY_LIMIT: Final = "You have reached your monthly limit."
UNAUTHORISED: Final = (
    "Authentication failed due to the following reason: invalid token. "
    "Confirm that the access token in the authorization header is valid."
)
NOT_AVAILABLE: Final = "Access to this API is not available for your account"
NOT_FOUND: Final = "Not found"
TOO_FEW_FRIENDS: Final = "Your account does not have enough friends"
KEY_ACCEPTED: Final = "The retry key is already accepted"
FORBID_ALONE: Final = "The option forbidPartialDelivery must be used with upToRemainingQuota."

FAILURES: Final = {
    1: "An internal error occurred.",
    2: "There are not enough recipients.",
    3: "The request conflicts with one that was already accepted.",
    4: "An audience with too few recipients is included.",
    5: "The delivery was cancelled because it would have been partial.",
}


class Refusal(Exception):
    """LINE answers with an error and nothing happens: the status, the body, extra headers."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def refuse(status: int, message: str) -> Refusal:
    """An error whose body is the message alone."""
    return Refusal(status, {"message": message})


def refuse_details(message: str, code: str, property_name: str | None = None) -> Refusal:
    """A 400 of the audience endpoints: a message and one detail that carries the code."""
    detail = {"message": code}
    if property_name is not None:
        detail["property"] = property_name
    return Refusal(400, {"message": message, "details": [detail]})


def refuse_field(property_name: str, problem: str) -> Refusal:
    """A 400 of the message endpoints: one wrong field of the request body."""
    return refuse_fields(((property_name, problem),))


def refuse_fields(problems: tuple[tuple[str, str], ...]) -> Refusal:
    """A 400 of the message endpoints: several wrong fields, in the order found."""
    details = [{"message": problem, "property": name} for name, problem in problems]
    return Refusal(400, {"message": f"The request body has {len(details)} error(s)", "details": details})


def refuse_property(property_name: str) -> Refusal:
    """A 400 for a property that may not stand there."""
    return refuse(400, f"The property, {property_name}, in the request body is invalid (line: -, column: -)")
