"""Times that come again, over the clocks of 24 zones and ten years, against a naive search minute by minute (T20)."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from audsql.meaning.ir import Every
from audsql.plan.recurring import Turn, instant_of, next_local, next_turns, turns_between, turns_from

ZONES = (
    "Asia/Tokyo", "UTC", "America/New_York", "America/Los_Angeles", "America/Sao_Paulo", "America/St_Johns",
    "America/Nuuk", "America/Havana", "America/Santiago", "America/Caracas", "Europe/London", "Europe/Berlin",
    "Europe/Lisbon", "Africa/Cairo", "Africa/Casablanca", "Asia/Tehran", "Asia/Kathmandu", "Asia/Gaza", "Asia/Beirut",
    "Asia/Pyongyang", "Australia/Lord_Howe", "Australia/Adelaide", "Pacific/Apia", "Pacific/Chatham",
)  # fmt: skip
FIRST, YEARS = 2011, 10
SWEEP = os.environ.get("AUDSQL_SWEEP") == "1"
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
TIMES = ((0, 0), (1, 59), (2, 30), (10, 0), (23, 30))


def naive(day: date, hour: int, minute: int, zone: str) -> datetime | None:
    """The first minute that shows the label or is past it, found by walking; None where there is no such day."""
    place = ZoneInfo(zone)
    wall = datetime(day.year, day.month, day.day, hour, minute)
    offsets = ((wall + DAY * step).replace(tzinfo=place).utcoffset() for step in (-2, -1, 0, 1, 2))
    ahead = max(offset for offset in offsets if offset is not None)
    moment, was_seen = (wall - ahead - timedelta(hours=4)).replace(tzinfo=UTC), False
    while True:
        shown = moment.astimezone(place).replace(tzinfo=None)
        was_seen = was_seen or shown.date() == day
        if shown >= wall:
            return moment if was_seen else None
        moment += MINUTE


def days_that_matter(zone: str) -> list[date]:
    """Every day on which clocks of the zone change, with its neighbours, and a few ordinary ones."""
    place, found = ZoneInfo(zone), set()
    day = datetime(FIRST, 1, 1, 12, tzinfo=UTC)
    while day.year < FIRST + YEARS:
        if day.astimezone(place).utcoffset() != (day + DAY).astimezone(place).utcoffset():
            found |= {(day + DAY * step).date() for step in (-1, 0, 1, 2)}
        day += DAY
    found |= {date(FIRST, 1, 31), date(FIRST + 1, 2, 29), date(FIRST + YEARS - 1, 12, 31)}
    return sorted(found)


@pytest.mark.threat("T20")
@pytest.mark.parametrize("zone", ZONES)
def test_days_on_which_clocks_change_are_as_somebody_who_walks_through_them_sees_them(zone):
    days = days_that_matter(zone)
    # Each change is looked at with one time of the day, all of them in a sweep.
    for index, day in enumerate(days):
        for hour, minute in TIMES if SWEEP else TIMES[index % len(TIMES) :][:1]:
            at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
            turns = [one for one in next_turns(Every("day", hour, minute), zone, at, 4) if one.label.date() == day]
            expected = naive(day, hour, minute, zone)
            assert [one.at for one in turns] == ([] if expected is None else [expected]), (zone, day, hour, minute)


@pytest.mark.threat("T20")
@pytest.mark.parametrize("zone", ZONES)
def test_ten_years_of_days_have_one_time_each(zone):
    """Every label once, ascending instants, the clock shows the label unless it jumps over it."""
    place = ZoneInfo(zone)
    start = datetime(FIRST, 1, 1, tzinfo=place).astimezone(UTC)
    end = datetime(FIRST + YEARS, 1, 1, tzinfo=place).astimezone(UTC)
    turns = turns_between(Every("day", 2, 30), zone, start, end - MINUTE, 10_000)
    labels = [one.label.date() for one in turns]
    left_out = {date(2011, 12, 30)} if zone == "Pacific/Apia" else set()
    whole = [date(FIRST, 1, 1) + DAY * step for step in range((date(FIRST + YEARS, 1, 1) - date(FIRST, 1, 1)).days)]
    assert labels == [one for one in whole if one not in left_out]
    assert all(before.at < after.at for before, after in pairwise(turns))
    for one in turns:
        shown = one.at.astimezone(place).replace(tzinfo=None)
        earlier = (one.at - MINUTE).astimezone(place).replace(tzinfo=None)
        # In a gap: the first minute after it, and a minute before the label was not reached.
        assert shown == one.label or earlier < one.label < shown


@pytest.mark.threat("T20")
@pytest.mark.parametrize("zone", ZONES)
def test_the_next_time_of_a_clock_is_the_first_from_an_instant_on(zone):
    for day in days_that_matter(zone)[:: 1 if SWEEP else 7]:
        start = datetime(day.year, day.month, day.day, 3, 17, tzinfo=UTC)
        for hour, minute in TIMES[:: 1 if SWEEP else 2]:
            found = next_local(start, hour, minute, zone)
            turns = turns_from(Every("day", hour, minute), zone, start - 3 * DAY)
            assert found == next(one.at for one in turns if one.at >= start)
            assert next_local(found, hour, minute, zone) == found
            assert next_local(found + MINUTE, hour, minute, zone) > found


def test_named_cases():
    def at(text: str, zone: str) -> str:
        return instant_of(datetime.fromisoformat(text), zone).isoformat()

    # New York, 2026-03-08: 02:00 to 03:00 does not exist. 2026-11-01: 01:00 to 02:00 comes twice.
    assert at("2026-03-08 02:30", "America/New_York") == "2026-03-08T07:00:00+00:00"
    assert at("2026-11-01 01:30", "America/New_York") == "2026-11-01T05:30:00+00:00"
    # Lord Howe moves by half an hour.
    assert at("2026-10-04 02:15", "Australia/Lord_Howe") == "2026-10-03T15:30:00+00:00"
    # Tokyo had summer time from 1948 to 1951, and none since.
    assert at("1950-05-07 00:30", "Asia/Tokyo") == "1950-05-06T15:00:00+00:00"
    assert at("2026-05-07 00:30", "Asia/Tokyo") == "2026-05-06T15:30:00+00:00"


def labels(every: Every, since: str, count: int, zone: str = "Asia/Tokyo") -> list[str]:
    start = datetime.fromisoformat(since).replace(tzinfo=ZoneInfo(zone))
    return [one.label.isoformat(" ", "minutes") for one in next_turns(every, zone, start, count)]


def test_units():
    assert labels(Every("month", 10, 0, day=31), "2026-01-31T10:01", 3) == [
        "2026-03-31 10:00", "2026-05-31 10:00", "2026-07-31 10:00",
    ]  # fmt: skip
    assert labels(Every("month", 10, 0, day=29), "2026-02-01", 2) == ["2026-03-29 10:00", "2026-04-29 10:00"]
    assert labels(Every("month", 10, 0, day=29), "2028-02-01", 1) == ["2028-02-29 10:00"]
    assert labels(Every("week", 9, 5, weekday=0), "2026-11-23T09:05", 2) == ["2026-11-23 09:05", "2026-11-30 09:05"]


def test_from_is_included_and_until_is_not():
    zone = ZoneInfo("Asia/Tokyo")
    start, end = datetime(2026, 12, 1, 10, tzinfo=zone), datetime(2026, 12, 3, 10, tzinfo=zone)
    every = Every("day", 10, 0, start=start, end=end)
    assert labels(every, "2026-11-01", 9) == ["2026-12-01 10:00", "2026-12-02 10:00"]
    assert labels(every, "2026-12-03T10:00", 9) == []


def test_the_end_of_the_calendar_is_an_end():
    late = datetime(9999, 12, 25, tzinfo=UTC)
    assert len(next_turns(Every("day", 10, 0), "Asia/Tokyo", late, 100)) < 100
    assert next_turns(Every("month", 10, 0, day=30), "UTC", datetime(9999, 12, 31, tzinfo=UTC), 1) == ()


def test_a_turn_is_a_value():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert Turn(moment, moment) == Turn(moment, moment)
