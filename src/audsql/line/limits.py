"""LINE's numbers and closed lists, in one dated table. No other module holds a LINE number.

Facts as of 2026-11-21. Sources, named in the comments: REF is LINE's Messaging API reference (source of
2026-08-07, `REF:L5220` is line 5220 there), REF-JA its Japanese original, GUIDE the Messaging API guides
of the same date, OAS LINE's OpenAPI description of 2026-07-01, FAQ the developers' FAQ of 2026-01-22, OAM
the manuals for LINE Official Account Manager and Business Manager, [I] a safe reading of a point that LINE
does not document (specs/line.md lists these).

Names end in their unit. Everything is per channel unless its comment says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LIMITS_VERSION: Final = "2026-11-21"

# --- hosts -----------------------------------------------------------------------------------------

API_URL: Final = "https://api.line.me"  # OAS servers
DATA_URL: Final = "https://api-data.line.me"  # by-file uploads only, REF:L8304

# --- audiences (REF:L7955-L9300) --------------------------------------------------------------------

AUDIENCES_PER_CHANNEL_MAX: Final = 1_000  # REF:L7962; whether EXPIRED ones count is not stated: they do [I]
AUDIENCE_NAME_CHARACTERS_MAX: Final = 120  # REF:L7987
UPLOAD_DESCRIPTION_CHARACTERS_MAX: Final = 300  # REF:L7987, not in OAS
UPLOAD_JSON_IDS_MAX: Final = 10_000  # a request, REF:L7987
UPLOAD_FILE_IDS_MAX: Final = 1_500_000  # a request, REF:L8304
CLICK_URL_CHARACTERS_MAX: Final = 2_000  # REF:L9027
CONCURRENT_OPERATIONS_PER_AUDIENCE_MAX: Final = 10  # QUEUED and WORKING jobs count, REF:L67
JOBS_SHOWN_MAX: Final = 50  # REF get-audience
LIST_PAGE_SIZE_MAX: Final = 40  # REF get-audiences
AUDIENCE_LIFETIME_DAYS: Final = 180  # from creation; adding does not extend it [I], REF:L7961
AUDIENCE_EXPIRED_KEPT_DAYS: Final = 30  # "a month" after expiry, then deleted, REF get-audience
RETARGETING_AGE_DAYS_MAX: Final = 60  # CLICK and IMP from a send of that age, REF:L9027, L9297
AUDIENCE_COUNT_HIDDEN_BELOW: Final = 20  # audienceCount is 0 below it, but for UPLOAD and CHAT_TAG, REF
AUDIENCE_READY_HOURS: Final = 6  # "may take several hours" until READY, REF get-audience; how many is ours [I]
UPLOAD_TIMEOUT_SECONDS_MIN: Final = 30  # what LINE asks of clients that add ids, REF:L8610
REQUEST_BODY_BYTES_MAX: Final = 2_000_000  # 413 above "2 MB", REF:L96; not applied to DATA_URL [I]

AUDIENCE_STATUSES: Final = ("IN_PROGRESS", "READY", "FAILED", "EXPIRED", "INACTIVE", "ACTIVATING")
AUDIENCE_TYPES: Final = (
    "UPLOAD", "CLICK", "IMP", "CHAT_TAG", "FRIEND_PATH", "RESERVATION", "RICHMENU_IMP", "RICHMENU_CLICK",
    "WEBTRAFFIC", "TRACKINGTAG_WEBTRAFFIC", "APP_EVENT", "VIDEO_VIEW", "IMAGE_CLICK", "POP_AD_IMP",
)  # fmt: skip
CREATABLE_AUDIENCE_TYPES: Final = ("UPLOAD", "CLICK", "IMP")  # REF, OAS and the SDK agree
MINIMUM_EXEMPT_AUDIENCE_TYPES: Final = ("UPLOAD", "CHAT_TAG")  # of the own account only, REF:L5247-L5258
COUNT_SHOWN_AUDIENCE_TYPES: Final = ("UPLOAD", "CHAT_TAG")  # audienceCount is shown however small, REF
CREATE_ROUTES: Final = ("OA_MANAGER", "MESSAGING_API", "POINT_AD", "AD_MANAGER")
AUDIENCE_COUNTRIES: Final = ("jp", "th", "tw")  # accounts that may create audiences, REF:L7910

# --- narrowcast (REF:L5220-L6037) -------------------------------------------------------------------

RECIPIENT_LEAVES_MAX: Final = 10  # audience and redelivery objects; a repeated one counts each time [I]
FILTER_LEAVES_MAX: Final = 10  # demographic objects; whether operators count is not stated
RECIPIENTS_MIN: Final = 50  # in the end, with a filter or a non-exempt audience, REF:L5247
AUDIENCE_RECIPIENTS_MIN: Final = 50  # of each non-exempt audience, REF-JA:L5248 (the English differs)
REDELIVERY_RECIPIENTS_MIN: Final = 50  # GUIDE gives no number [I]
TARGET_REACH_MIN: Final = 100  # for a filter, REF:L5247
REDELIVERY_AGE_DAYS_MAX: Final = 14  # 336 h after acceptance, and only once it succeeded
PROGRESS_LIFETIME_DAYS: Final = 14  # REF:L6039
PROGRESS_PHASES: Final = ("waiting", "sending", "succeeded", "failed")
ERROR_INTERNAL: Final = 1  # progress errorCode: may have sent to some
ERROR_TOO_FEW_RECIPIENTS: Final = 2
ERROR_RETRY_CONFLICT: Final = 3
ERROR_AUDIENCE_TOO_SMALL: Final = 4
ERROR_OVER_LIMIT: Final = 5  # cancelled by forbidPartialDelivery

# --- sends ------------------------------------------------------------------------------------------

MESSAGES_PER_SEND_MAX: Final = 5  # REF, OAS
MULTICAST_RECIPIENTS_MAX: Final = 500  # REF, OAS
UNITS_PER_SEND_MAX: Final = 1  # customAggregationUnits, push and multicast only
UNIT_NAME_PATTERN: Final = r"[A-Za-z0-9_]{1,30}"  # REF; GUIDE's hyphenated example breaks its own rule
UNIT_NAME: Final = re.compile(UNIT_NAME_PATTERN)  # use fullmatch
UNIT_NAMES_PER_MONTH_MAX: Final = 1_000  # the next one is silently not assigned
UNIT_NAMES_PAGE_SIZE_MAX: Final = 100  # REF get-name-list-of-units
RETRY_KEY_LIFETIME_HOURS: Final = 24  # REF:L7798; afterwards the same key sends again
FOLLOWER_IDS_PAGE_SIZE_MAX: Final = 1_000  # REF get-follower-ids
STATISTICS_LIFETIME_DAYS: Final = 14  # insight counts grow for that long, then stand still
STATISTICS_HIDDEN_BELOW: Final = 20  # null, never 0
QUOTA_ZONE: Final = "Asia/Tokyo"  # a quota is of a calendar month; that of Japan, where LINE counts [I]

# --- pacing -----------------------------------------------------------------------------------------

# (requests, seconds) an endpoint; REF:L38. The bucket's capacity is not published: one window's worth is
# never exceeded in any window [I].
RATE_DEFAULT: Final = (2_000, 1)
RATES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "narrowcast": (60, 3_600),
        "broadcast": (60, 3_600),
        "multicast": (200, 1),
        "push": (2_000, 1),
        "coupon": (200, 1),  # each of the coupon operations has its own
        "audience": (60, 60),  # each of the twelve audience operations has its own
        "insight": (60, 3_600),  # each of the insight operations has its own
    }
)
CLOCK_SKEW_SECONDS_MAX: Final = 300  # ours: how far this machine and LINE may disagree

# --- demographic filters ----------------------------------------------------------------------------

GENDERS: Final = ("female", "male")
OSES: Final = ("android", "ios")
AGE_TIERS: Final = (0, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70)  # lower bounds; 0 has no code of its own
AGE_CODES: Final = tuple(f"age_{years}" for years in AGE_TIERS[1:])
FRIEND_FOR_TIERS_DAYS: Final = (0, 7, 30, 90, 180, 365)  # lower bounds; 0 has no code of its own
FRIEND_FOR_CODES: Final = tuple(f"day_{days}" for days in FRIEND_FOR_TIERS_DAYS[1:])

# Code to (English name, Japanese name). id_01 to id_12 left the documentation and are not here.
AREAS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "jp_01": ("hokkaido", "北海道"),
        "jp_02": ("aomori", "青森"),
        "jp_03": ("iwate", "岩手"),
        "jp_04": ("miyagi", "宮城"),
        "jp_05": ("akita", "秋田"),
        "jp_06": ("yamagata", "山形"),
        "jp_07": ("fukushima", "福島"),
        "jp_08": ("ibaraki", "茨城"),
        "jp_09": ("tochigi", "栃木"),
        "jp_10": ("gunma", "群馬"),
        "jp_11": ("saitama", "埼玉"),
        "jp_12": ("chiba", "千葉"),
        "jp_13": ("tokyo", "東京"),
        "jp_14": ("kanagawa", "神奈川"),
        "jp_15": ("niigata", "新潟"),
        "jp_16": ("toyama", "富山"),
        "jp_17": ("ishikawa", "石川"),
        "jp_18": ("fukui", "福井"),
        "jp_19": ("yamanashi", "山梨"),
        "jp_20": ("nagano", "長野"),
        "jp_21": ("gifu", "岐阜"),
        "jp_22": ("shizuoka", "静岡"),
        "jp_23": ("aichi", "愛知"),
        "jp_24": ("mie", "三重"),
        "jp_25": ("shiga", "滋賀"),
        "jp_26": ("kyoto", "京都"),
        "jp_27": ("osaka", "大阪"),
        "jp_28": ("hyogo", "兵庫"),
        "jp_29": ("nara", "奈良"),
        "jp_30": ("wakayama", "和歌山"),
        "jp_31": ("tottori", "鳥取"),
        "jp_32": ("shimane", "島根"),
        "jp_33": ("okayama", "岡山"),
        "jp_34": ("hiroshima", "広島"),
        "jp_35": ("yamaguchi", "山口"),
        "jp_36": ("tokushima", "徳島"),
        "jp_37": ("kagawa", "香川"),
        "jp_38": ("ehime", "愛媛"),
        "jp_39": ("kochi", "高知"),
        "jp_40": ("fukuoka", "福岡"),
        "jp_41": ("saga", "佐賀"),
        "jp_42": ("nagasaki", "長崎"),
        "jp_43": ("kumamoto", "熊本"),
        "jp_44": ("oita", "大分"),
        "jp_45": ("miyazaki", "宮崎"),
        "jp_46": ("kagoshima", "鹿児島"),
        "jp_47": ("okinawa", "沖縄"),
        "tw_01": ("taipei", "台北市"),
        "tw_02": ("new_taipei", "新北市"),
        "tw_03": ("taoyuan", "桃園市"),
        "tw_04": ("taichung", "台中市"),
        "tw_05": ("tainan", "台南市"),
        "tw_06": ("kaohsiung", "高雄市"),
        "tw_07": ("keelung", "基隆市"),
        "tw_08": ("hsinchu_city", "新竹市"),
        "tw_09": ("chiayi_city", "嘉義市"),
        "tw_10": ("hsinchu_county", "新竹県"),
        "tw_11": ("miaoli", "苗栗県"),
        "tw_12": ("changhua", "彰化県"),
        "tw_13": ("nantou", "南投県"),
        "tw_14": ("yunlin", "雲林県"),
        "tw_15": ("chiayi_county", "嘉義県"),
        "tw_16": ("pingtung", "屏東県"),
        "tw_17": ("yilan", "宜蘭県"),
        "tw_18": ("hualien", "花蓮県"),
        "tw_19": ("taitung", "台東県"),
        "tw_20": ("penghu", "澎湖県"),
        "tw_21": ("kinmen", "金門県"),
        "tw_22": ("lienchiang", "連江県"),
        "th_01": ("bangkok", "バンコク"),
        "th_02": ("pattaya", "パタヤ"),
        "th_03": ("northern", "タイ北部"),
        "th_04": ("central", "タイ中部"),
        "th_05": ("southern", "タイ南部"),
        "th_06": ("eastern", "タイ東部"),
        "th_07": ("northeastern", "タイ東北部"),
        "th_08": ("western", "タイ西部"),
    }
)
_PREFECTURE_ENDINGS: Final[Mapping[str, str]] = MappingProxyType({"jp_13": "都", "jp_26": "府", "jp_27": "府"})


def _area_names() -> dict[str, str]:
    names = {code: code for code in AREAS}
    for code, (english, japanese) in AREAS.items():
        names[english] = names[japanese] = code
        if code.startswith("jp_") and code != "jp_01":
            names[japanese + _PREFECTURE_ENDINGS.get(code, "県")] = code
        if code.startswith("tw_"):
            names[japanese.replace("台", "臺").replace("県", "縣")] = code
    return names


# Every accepted spelling to its code: the code itself, the English name, 東京 and 東京都.
AREA_CODES_BY_NAME: Final[Mapping[str, str]] = MappingProxyType(_area_names())

# --- LINE Ads ---------------------------------------------------------------------------------------

LOOKALIKE_PERCENT_MIN: Final = 1  # LINE Ads help on look-alikes: 1-15 % or automatic
LOOKALIKE_PERCENT_MAX: Final = 15

# --- ids --------------------------------------------------------------------------------------------

USER_ID_PATTERN: Final = r"U[0-9a-f]{32}"  # REF:L261, GUIDE getting-user-ids
USER_ID: Final = re.compile(USER_ID_PATTERN)  # use fullmatch
USER_ID_CHARACTERS: Final = 33

# --- message objects (REF "Message objects" and "Action objects"; characters are UTF-16 code units) ----

TEXT_CHARACTERS_MAX: Final = 5_000
TEXT_EMOJIS_MAX: Final = 20
ALT_TEXT_CHARACTERS_MAX: Final = 1_500  # flex, template and imagemap
MESSAGE_URL_CHARACTERS_MAX: Final = 2_000  # images, videos, sounds, icons: https only
MEDIA_SCHEMES: Final = ("https",)
ACTION_URI_CHARACTERS_MAX: Final = 1_000
ACTION_SCHEMES: Final = ("http", "https", "line", "tel")
ACTION_LABEL_CHARACTERS_MAX: Final = 20  # templates and quick replies
IMAGE_CAROUSEL_LABEL_CHARACTERS_MAX: Final = 12
FLEX_LABEL_CHARACTERS_MAX: Final = 40
ACTION_TEXT_CHARACTERS_MAX: Final = 300  # message text, postback data, displayText, fillInText
CLIPBOARD_TEXT_CHARACTERS_MAX: Final = 1_000
SENDER_NAME_CHARACTERS_MAX: Final = 20
LOCATION_TEXT_CHARACTERS_MAX: Final = 100  # title and address
QUICK_REPLY_ITEMS_MAX: Final = 13
TEMPLATE_TITLE_CHARACTERS_MAX: Final = 40
BUTTONS_TEXT_CHARACTERS_MAX: Final = 160
CAROUSEL_TEXT_CHARACTERS_MAX: Final = 120
PICTURED_TEXT_CHARACTERS_MAX: Final = 60  # buttons and carousel columns with an image or a title
CONFIRM_TEXT_CHARACTERS_MAX: Final = 240
BUTTONS_ACTIONS_MAX: Final = 4
CONFIRM_ACTIONS: Final = 2
CAROUSEL_COLUMNS_MAX: Final = 10
CAROUSEL_ACTIONS_MAX: Final = 3
IMAGEMAP_ACTIONS_MAX: Final = 50
IMAGEMAP_TEXT_CHARACTERS_MAX: Final = 400
IMAGEMAP_LABEL_CHARACTERS_MAX: Final = 100
IMAGEMAP_VIDEO_LABEL_CHARACTERS_MAX: Final = 30
FLEX_CAROUSEL_BUBBLES_MAX: Final = 12
FLEX_BUBBLE_BYTES_MAX: Final = 30 * 1_024  # "30 KB"; which kilo is not stated
FLEX_CAROUSEL_BYTES_MAX: Final = 50 * 1_024  # "50 KB"
COUPON_TAG_CHARACTERS_MAX: Final = 30
VIDEO_TRACKING_CHARACTERS_MAX: Final = 100

# --- Business Manager upload files (manual of OAM, 2020-06-28) ----------------------------------------

BUSINESS_FILE_LINES_MAX: Final = 1_500_000
BUSINESS_FILE_BYTES_MAX: Final = 20_000_000  # "20 MB", plain values
BUSINESS_FILE_HASHED_BYTES_MAX: Final = 60_000_000  # "60 MB", SHA-256 values
BUSINESS_FILE_ENDINGS: Final = (".csv", ".txt")
BUSINESS_FILE_HASH: Final = "sha256"  # the only one, lower-case hexadecimal [I]
BUSINESS_ID_KINDS: Final = ("phone", "email", "ifa")  # what Business Manager takes, by our names of kinds
BUSINESS_HASHED_ID_KINDS: Final = ("phone", "email")
MANAGER_ID_KINDS: Final = ("user_id",)  # LINE Official Account Manager; its file limits are not stated: the above [I]
BUSINESS_EMAIL_CHARACTERS_MAX: Final = 120
BUSINESS_EMAIL_PATTERN: Final = r"[A-Za-z0-9_.@-]+"  # no space, comma, plus or others
BUSINESS_EMAIL: Final = re.compile(BUSINESS_EMAIL_PATTERN)
BUSINESS_PHONE_PATTERN: Final = r"[0-9() -]+"  # half-width digits, hyphen, space, parentheses; no country code
BUSINESS_PHONE: Final = re.compile(BUSINESS_PHONE_PATTERN)

# --- coupons ----------------------------------------------------------------------------------------

COUPON_TITLE_CHARACTERS_MAX: Final = 60  # OAS CouponCreateRequest, as all of these
COUPON_DESCRIPTION_CHARACTERS_MAX: Final = 1_000
COUPON_CONDITION_CHARACTERS_MAX: Final = 100
COUPON_PERCENT_MAX: Final = 99  # of a discount, of cash back, of a lottery; from 1
COUPON_WINNERS_MAX: Final = 999_999  # maxAcquireCount of a lottery; -1 is no limit
COUPON_UNLIMITED: Final = -1
COUPONS_VALID_MAX: Final = 5_000  # REF: running at one time
COUPON_PAGE_SIZE_MAX: Final = 100  # OAS listCoupon
COUPON_ZONES: Final = frozenset(
    {
        "AMERICA_ANCHORAGE", "AMERICA_CARACAS", "AMERICA_CHICAGO", "AMERICA_LOS_ANGELES", "AMERICA_NEW_YORK",
        "AMERICA_PHOENIX", "AMERICA_SANTIAGO", "AMERICA_SAO_PAULO", "AMERICA_ST_JOHNS", "ASIA_ALMATY", "ASIA_BANGKOK",
        "ASIA_COLOMBO", "ASIA_KABUL", "ASIA_KATHMANDU", "ASIA_RANGOON", "ASIA_TAIPEI", "ASIA_TASHKENT", "ASIA_TBILISI",
        "ASIA_TEHRAN", "ASIA_TOKYO", "ASIA_VLADIVOSTOK", "ATLANTIC_CAPE_VERDE", "AUSTRALIA_DARWIN", "AUSTRALIA_SYDNEY",
        "EUROPE_ISTANBUL", "EUROPE_LONDON", "EUROPE_MOSCOW", "EUROPE_PARIS", "PACIFIC_HONOLULU", "PACIFIC_TONGATAPU",
    }
)  # fmt: skip
COUPON_ZONES_BY_REGION: Final[Mapping[str, str]] = MappingProxyType(
    {"jp": "ASIA_TOKYO", "tw": "ASIA_TAIPEI", "th": "ASIA_BANGKOK", "id": "ASIA_BANGKOK"}
)
