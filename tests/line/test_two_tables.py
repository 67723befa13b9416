"""The client's table of LINE's numbers and the simulator's, written independently, say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audsql.line import limits
from audsql.sim import rules

DAY = 86_400
SAME = [
    (limits.AUDIENCE_NAME_CHARACTERS_MAX, rules.NAME_LENGTH),
    (limits.UPLOAD_DESCRIPTION_CHARACTERS_MAX, rules.UPLOAD_DESCRIPTION_LENGTH),
    (limits.CLICK_URL_CHARACTERS_MAX, rules.CLICK_URL_LENGTH),
    (limits.UPLOAD_JSON_IDS_MAX, rules.IDS_PER_REQUEST),
    (limits.UPLOAD_FILE_IDS_MAX, rules.IDS_PER_FILE),
    (limits.AUDIENCES_PER_CHANNEL_MAX, rules.AUDIENCES_PER_CHANNEL),
    (limits.JOBS_SHOWN_MAX, rules.JOBS_SHOWN),
    (limits.CONCURRENT_OPERATIONS_PER_AUDIENCE_MAX, rules.OPERATIONS_PER_AUDIENCE),
    (limits.AUDIENCE_LIFETIME_DAYS * DAY, rules.AUDIENCE_LIFE_SECONDS),
    (limits.AUDIENCE_EXPIRED_KEPT_DAYS * DAY, rules.AUDIENCE_GRACE_SECONDS),
    (limits.RETARGETING_AGE_DAYS_MAX * DAY, rules.RETARGETING_SECONDS),
    (limits.AUDIENCE_COUNT_HIDDEN_BELOW, rules.COUNT_HIDDEN_BELOW),
    (limits.LIST_PAGE_SIZE_MAX, rules.PAGE_SIZE_MAX),
    (limits.MESSAGES_PER_SEND_MAX, rules.MESSAGES_PER_SEND),
    (limits.MULTICAST_RECIPIENTS_MAX, rules.MULTICAST_IDS),
    (limits.RECIPIENT_LEAVES_MAX, rules.RECIPIENT_LEAVES),
    (limits.FILTER_LEAVES_MAX, rules.DEMOGRAPHIC_LEAVES),
    (limits.RECIPIENTS_MIN, rules.MINIMUM_RECIPIENTS),
    (limits.AUDIENCE_RECIPIENTS_MIN, rules.MINIMUM_RECIPIENTS),
    (limits.REDELIVERY_RECIPIENTS_MIN, rules.MINIMUM_RECIPIENTS),
    (limits.TARGET_REACH_MIN, rules.MINIMUM_TARGET_REACH),
    (limits.REDELIVERY_AGE_DAYS_MAX * DAY, rules.NARROWCAST_LIFE_SECONDS),
    (limits.PROGRESS_LIFETIME_DAYS * DAY, rules.NARROWCAST_LIFE_SECONDS),
    (limits.RETRY_KEY_LIFETIME_HOURS * 3_600, rules.RETRY_KEY_SECONDS),
    (limits.UNITS_PER_SEND_MAX, rules.UNITS_PER_REQUEST),
    (limits.UNIT_NAMES_PER_MONTH_MAX, rules.UNITS_PER_MONTH),
    (limits.FOLLOWER_IDS_PAGE_SIZE_MAX, rules.FOLLOWERS_PAGE_MAX),
    (limits.STATISTICS_HIDDEN_BELOW, rules.STATISTICS_HIDDEN_BELOW),
    (limits.RATES["narrowcast"], rules.PER_HOUR),
    (limits.RATES["broadcast"], rules.PER_HOUR),
    (limits.RATES["insight"], rules.PER_HOUR),
    (limits.RATES["audience"], rules.PER_MINUTE),
    (limits.RATES["multicast"], rules.MULTICAST_RATE),
    (limits.RATES["push"], rules.PER_SECOND),
    (limits.RATE_DEFAULT, rules.PER_SECOND),
    (limits.RATES["coupon"], rules.COUPON_RATE),
    (limits.COUPONS_VALID_MAX, rules.COUPONS_VALID),
    (limits.COUPON_PAGE_SIZE_MAX, rules.COUPON_PAGE_MAX),
    (limits.COUPON_WINNERS_MAX, rules.COUPON_ACQUIRED),
    (set(limits.MINIMUM_EXEMPT_AUDIENCE_TYPES), set(rules.EXEMPT_TYPES)),
    (limits.AUDIENCE_STATUSES, rules.STATUSES),
    (limits.CREATE_ROUTES, rules.CREATE_ROUTES),
    (set(limits.GENDERS), set(rules.GENDERS)),
    (set(limits.OSES), set(rules.APP_TYPES)),
    (limits.AGE_CODES, rules.AGES),
    (limits.FRIEND_FOR_CODES, tuple(rules.PERIODS)),
    (set(limits.AREAS), set(rules.AREAS)),
    (limits.USER_ID_PATTERN, rules.USER_ID.pattern),
    (limits.UNIT_NAME_PATTERN, rules.UNIT_NAME.pattern),
    (limits.LIMITS_VERSION, rules.DATED),
]
# Numbers of the simulator's table that the client has no use for: delays that LINE does not publish, pages that
# nobody asks for, and the size of a body, where each side takes the reading that is hard on the client.
OF_THE_SIMULATOR_ALONE = {
    "AGGREGATION_DAYS", "BODY_BYTES", "CONTINUATION_SECONDS", "COUPON_PAGE", "DAY_SECONDS", "FOLLOWERS_PAGE",
    "JOB_SECONDS", "PAGE_SIZE", "POLL_SECONDS", "READY_SECONDS", "SEND_SECONDS", "UNIT_PAGE_MAX", "USABLE_SECONDS",
    "WAIT_SECONDS", "ZONE_SECONDS",
}  # fmt: skip


@pytest.mark.parametrize(("ours", "judges"), SAME)
def test_both_tables_say_the_same(ours: object, judges: object) -> None:
    assert ours == judges


def test_the_client_keeps_to_the_smaller_megabyte() -> None:
    assert limits.REQUEST_BODY_BYTES_MAX <= rules.BODY_BYTES


def test_every_number_of_the_simulator_is_compared() -> None:
    """A new one: add it to SAME, or to OF_THE_SIMULATOR_ALONE with its reason."""
    numbers = {
        name
        for name, value in vars(rules).items()
        if re.fullmatch(r"[A-Z_]+", name) and isinstance(value, int | float) and not isinstance(value, bool)
    }
    text = Path(__file__).read_text(encoding="utf-8").split("SAME = [")[1].split("\n]")[0]
    compared = set(re.findall(r"rules\.([A-Z_]+)", text))
    assert numbers - compared == OF_THE_SIMULATOR_ALONE
