"""Quiet hours on the wall clock of a zone: over midnight, and over the days on which clocks are put on and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from audsql.meaning.ir import Project, Quiet
from audsql.plan.occurrence import not_after
from audsql.plan.quiet import is_quiet, next_allowed, quiets_of, window_end

TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"


def quiet(start: str, end: str, **more: object) -> Quiet:
    def minutes(text: str) -> int:
        hour, minute = text.split(":")
        return int(hour) * 60 + int(minute)

    return Quiet("house", minutes(start), minutes(end), **more)  # type: ignore[arg-type]


NIGHT, NOON = quiet("21:00", "9:00"), quiet("12:00", "13:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("rule", "zone", "instant", "expected"),
    [
        (NIGHT, TOKYO, "2026-12-01T20:59:59+09:00", False),
        (NIGHT, TOKYO, "2026-12-01T21:00:00+09:00", True),
        (NIGHT, TOKYO, "2026-12-02T00:00:00+09:00", True),
        (NIGHT, TOKYO, "2026-12-02T08:59:59+09:00", True),
        (NIGHT, TOKYO, "2026-12-02T09:00:00+09:00", False),
        (NOON, TOKYO, "2026-12-01T12:30:00+09:00", True),
        (NOON, TOKYO, "2026-12-01T13:00:00+09:00", False),
        # 8 March 2026: at 2:00 it is 3:00. Quiet from 2:30 begins with the jump, and one until 2:30 ends with it.
        (quiet("2:30", "9:00"), NEW_YORK, "2026-03-08T01:59:59-05:00", False),
        (quiet("2:30", "9:00"), NEW_YORK, "2026-03-08T03:00:00-04:00", True),
        (quiet("21:00", "2:30"), NEW_YORK, "2026-03-08T01:59:59-05:00", True),
        (quiet("21:00", "2:30"), NEW_YORK, "2026-03-08T03:00:00-04:00", False),
        # 1 November 2026: at 2:00 it is 1:00 again. The stretch is whole.
        (quiet("1:30", "9:00"), NEW_YORK, "2026-11-01T01:29:59-04:00", False),
        (quiet("1:30", "9:00"), NEW_YORK, "2026-11-01T01:30:00-04:00", True),
        (quiet("1:30", "9:00"), NEW_YORK, "2026-11-01T01:10:00-05:00", True),
        (quiet("21:00", "1:30"), NEW_YORK, "2026-11-01T01:40:00-04:00", True),
        (quiet("21:00", "1:30"), NEW_YORK, "2026-11-01T01:29:59-05:00", True),
        (quiet("21:00", "1:30"), NEW_YORK, "2026-11-01T01:30:00-05:00", False),
    ],
)
@pytest.mark.threat("T20")
@pytest.mark.scenario(45)
def test_quiet(rule: Quiet, zone: str, instant: str, expected: bool) -> None:
    assert is_quiet(at(instant), (rule,), zone) is expected
    assert is_quiet(at(instant).astimezone(UTC), (rule,), zone) is expected


@pytest.mark.parametrize(
    ("rules", "zone", "instant", "expected"),
    [
        ((), TOKYO, "2026-12-01T22:00:00+09:00", "2026-12-01T22:00:00+09:00"),
        ((NIGHT,), TOKYO, "2026-12-01T22:00:00+09:00", "2026-12-02T09:00:00+09:00"),
        ((NIGHT, quiet("8:00", "10:00")), TOKYO, "2026-12-01T22:00:00+09:00", "2026-12-02T10:00:00+09:00"),
        ((quiet("21:00", "2:30"),), NEW_YORK, "2026-03-07T22:00:00-05:00", "2026-03-08T03:00:00-04:00"),
        ((quiet("21:00", "1:30"),), NEW_YORK, "2026-10-31T22:00:00-04:00", "2026-11-01T01:30:00-05:00"),
    ],
)
def test_the_next_allowed_time(rules: tuple[Quiet, ...], zone: str, instant: str, expected: str) -> None:
    found = next_allowed(at(instant), rules, zone)
    assert found is not None
    assert found.timestamp() == at(expected).timestamp()
    assert not is_quiet(found, rules, zone)


def test_hours_that_cover_the_day_leave_no_time() -> None:
    assert next_allowed(at("2026-12-01T22:00:00+09:00"), (NIGHT, quiet("9:00", "21:00")), TOKYO) is None


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-12-01T10:00:00+09:00", "2026-12-01T12:00:00+09:00"),
        ("2026-12-01T13:00:00+09:00", "2026-12-01T19:00:00+09:00"),
        ("2026-12-01T18:00:00+09:00", "2026-12-01T21:00:00+09:00"),
        ("2026-12-01T20:59:59+09:00", "2026-12-01T21:00:00+09:00"),
        ("2026-12-01T22:00:00+09:00", "2026-12-01T22:00:00+09:00"),
    ],
)
@pytest.mark.threat("T22")
def test_a_window_ends_where_quiet_hours_begin(start: str, expected: str) -> None:
    assert window_end(at(start), (NIGHT, NOON), TOKYO) == at(expected)


@pytest.mark.threat("T20")
@pytest.mark.scenario(45)
def test_a_window_of_a_night_that_is_put_forward() -> None:
    rule = quiet("2:30", "9:00")
    assert window_end(at("2026-03-08T00:30:00-05:00"), (rule,), NEW_YORK) == at("2026-03-08T03:00:00-04:00")


def test_no_instant_of_a_window_is_quiet() -> None:
    """Every ten minutes of the days around both changes: what the window allows is outside quiet hours."""
    for day in ("2026-03-07T00:00:00-05:00", "2026-10-31T00:00:00-04:00"):
        for tens in range(0, 6 * 48, 3):
            start = at(day) + timedelta(minutes=10 * tens)
            end = window_end(start, (NIGHT, quiet("1:30", "3:15")), NEW_YORK)
            assert end <= not_after(start)
            for step in range(int((end - start).total_seconds() // 600)):
                assert not is_quiet(start + timedelta(minutes=10 * step), (NIGHT, quiet("1:30", "3:15")), NEW_YORK)


def test_exceptions_are_by_name() -> None:
    project = Project("shop", TOKYO, requirements=(quiet("21:00", "9:00", exceptions=("notice",)),))
    assert quiets_of(project, "notice") == ()
    assert len(quiets_of(project, "sale")) == 1
