"""Windows and cron lines: what the clock on the wall says, on the nights too in which it is turned."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from manifests.errors import InvalidValue
from manifests.model.windows import check_cron, next_cron, parse_window

BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  the strategy adds the zone
CLOCK = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda at: f"{at[0]:02}:{at[1]:02}")


def shanghai(hour, minute=0):
    return datetime(2026, 5, 4, hour, minute, tzinfo=ZoneInfo("Asia/Shanghai"))


def test_a_window_may_span_midnight():
    window = parse_window("20:00-06:00 Asia/Shanghai")
    assert [window.is_open(shanghai(hour)) for hour in (19, 20, 23, 0, 5, 6, 12)] == [
        False, True, True, True, True, False, False,
    ]  # fmt: skip
    assert window.opens_in(shanghai(19, 30)) == 1800
    assert window.opens_in(shanghai(23)) == 0.0
    assert str(window) == "20:00-06:00 Asia/Shanghai"


def test_a_window_is_judged_in_its_own_zone():
    window = parse_window("20:00-06:00 Asia/Shanghai")
    assert window.is_open(datetime(2026, 5, 4, 12, 0, tzinfo=UTC))
    assert not window.is_open(datetime(2026, 5, 4, 11, 59, tzinfo=UTC))


def test_a_window_up_to_midnight_is_open_until_then():
    window = parse_window("18:30-24:00 UTC")
    assert window.is_open(datetime(2026, 5, 4, 23, 59, 59, tzinfo=UTC))
    assert not window.is_open(datetime(2026, 5, 5, 0, 0, tzinfo=UTC))


@given(MOMENTS, CLOCK, CLOCK, st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]))
def test_a_window_is_open_when_it_says_that_it_will_be(now, opens, closes, zone):
    if opens == closes:
        return
    window = parse_window(f"{opens}-{closes} {zone}")
    wait = window.opens_in(now)
    assert 0 <= wait <= 4 * 86_400
    assert window.is_open(now + timedelta(seconds=wait))
    assert (wait == 0) is window.is_open(now)


def test_an_hour_that_comes_twice_opens_the_window_twice():
    window = parse_window("02:30-02:45 Europe/Berlin")
    between = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)  # 02:50 in summer time, ten minutes before the clock goes back
    assert window.opens_in(between) == 40 * 60


def test_an_hour_that_does_not_come_opens_nothing():
    window = parse_window("02:15-02:45 Europe/Berlin")
    before = datetime(2026, 3, 29, 1, 0, tzinfo=BERLIN)
    assert window.opens_in(before) == pytest.approx(24.25 * 3600)  # the next night; this one is an hour short


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20:00-06:00",
        "20-6 UTC",
        "25:00-06:00 UTC",
        "24:30-06:00 UTC",
        "20:00-20:00 UTC",
        "20:00-06:00 Mars",
        "20:00-06:00 ../x",
    ],
)
def test_a_window_that_says_too_little_is_refused(text):
    with pytest.raises(InvalidValue):
        parse_window(text)


def test_a_moment_without_a_zone_is_a_bug():
    with pytest.raises(ValueError, match="without a zone"):
        parse_window("20:00-06:00 UTC").is_open(datetime(2026, 1, 1))  # noqa: DTZ001  the point of the test


def test_cron_means_its_own_zone():
    due = next_cron("0 3 * * *", ZoneInfo("Asia/Shanghai"), datetime(2026, 5, 4, 12, tzinfo=UTC))
    assert due == datetime(2026, 5, 4, 19, tzinfo=UTC)


@given(MOMENTS, st.sampled_from(["30 2 * * *", "*/20 * * * *", "0 0 1 * *", "15 1 * * 0"]))
def test_the_next_pass_is_always_later(now, line):
    assert next_cron(line, BERLIN, now) > now


@pytest.mark.parametrize("line", ["", "x", "0 3 * *", "61 * * * *", "0 0 31 2 *", "@hourlyish"])
def test_a_cron_line_that_is_never_due_is_refused(line):
    with pytest.raises(InvalidValue):
        check_cron(line)
