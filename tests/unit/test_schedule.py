"""When passes are due: on time, caught up once, backing off, by the wall clock of the steward, whatever clocks do."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from manifests.model.mirror import load_mirror
from syncd.daemon.schedule import (
    FIRST_RETRY,
    LAST_DENIED,
    LAST_RETRY,
    MAX_EARLY,
    Past,
    backoff,
    cycle,
    due,
    fresh_within,
    opens_in,
    waits_for,
)

HOUR, DAY = 3_600.0, 86_400.0
NOW = datetime(2026, 11, 25, 12, tzinfo=ZoneInfo("UTC")).timestamp()
BOUNDS = datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2028-01-01")
times = st.floats(0, 4e9)


def mirror(schedule="", name="m", limits=""):
    lines = [f"mirror: {name}", f"source: {{url: 'https://h/'{limits}}}"]
    return load_mirror("\n".join([*lines, f"schedule: {schedule}" if schedule else ""]), "m.yaml")


def every(length):
    return mirror(f"{{every: {length}}}")


def next_due(declared, past, now):
    """When a mirror that has a schedule is due."""
    found = due(declared, past, now)
    assert found is not None
    return found


def at(text, zone):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_without_a_schedule_nothing_is_due_unless_it_was_cut_short_or_could_not_be_had():
    assert due(mirror(), Past(), NOW) is None
    assert due(mirror(), Past(began=NOW - 9, ended=NOW - 1), NOW) is None
    assert due(mirror(), Past(began=NOW - 9, cut=True), NOW) == NOW
    assert due(mirror(), Past(began=NOW - 9, ended=NOW, failures=1), NOW) == NOW + FIRST_RETRY


def test_a_new_mirror_is_due_at_once():
    assert next_due(every("6h"), Past(), NOW) == NOW
    assert next_due(mirror('{cron: "0 3 * * *"}'), Past(), NOW) == NOW


@given(began=times, name=st.sampled_from([f"m{n}" for n in range(40)]), hours=st.integers(1, 2000))
def test_every_is_never_late_and_only_a_little_early(began, name, hours):
    found = next_due(mirror(f"{{every: {hours}h}}", name), Past(began=began, ended=began + 60), began + 120)
    length = hours * HOUR
    assert began + length - min(MAX_EARLY, length / 20) <= found <= began + length


def test_mirrors_of_one_interval_are_spread():
    past = Past(began=NOW, ended=NOW)
    dues = {next_due(mirror("{every: 1h}", f"m{n}"), past, NOW) for n in range(50)}
    assert len(dues) == 50
    assert max(dues) - min(dues) > 120


@given(missed=st.integers(1, 10_000), line=st.sampled_from(["{every: 6h}", '{cron: "0 */6 * * *"}']))
def test_what_was_missed_is_caught_up_once(missed, line):
    declared = mirror(line)
    began = NOW - missed * 6 * HOUR - HOUR
    assert next_due(declared, Past(began=began, ended=began), NOW) <= NOW
    assert next_due(declared, Past(began=NOW, ended=NOW), NOW) > NOW


@given(began=times, now=times, hours=st.integers(1, 100))
@pytest.mark.fault(44)
def test_a_clock_that_was_ahead_never_holds_a_mirror_up_for_longer_than_its_interval(began, now, hours):
    past = Past(began=began, ended=began)
    assert next_due(every(f"{hours}h"), past, now) <= now + hours * HOUR
    failing = Past(began=began, ended=began, failures=9)
    assert next_due(every(f"{hours}h"), failing, now) <= now + LAST_RETRY
    assert next_due(mirror('{cron: "0 3 * * *"}'), past, now) <= now + DAY


@given(st.integers(1, 5_000), st.booleans())
def test_what_cannot_be_had_is_tried_more_and_more_rarely_but_always_again(failures, denied):
    declared = every("7d")
    last = LAST_DENIED if denied else LAST_RETRY
    one, other = (
        next_due(declared, Past(began=NOW - 60, ended=NOW, failures=n, denied=denied), NOW) - NOW
        for n in (failures, failures + 1)
    )
    assert FIRST_RETRY <= one <= other <= last
    assert other == min(last, 2 * one)


def test_a_dense_schedule_backs_off_too():
    assert next_due(every("1m"), Past(began=NOW - 60, ended=NOW, failures=4), NOW) == NOW + 8 * FIRST_RETRY


def test_a_source_that_answered_and_listed_no_file_is_asked_again_by_its_schedule():
    empty = Past(began=NOW - 60, ended=NOW, failures=4, denied=True, found_none=True)
    assert NOW - 60 < next_due(every("1m"), empty, NOW) <= NOW
    assert next_due(every("1d"), empty, NOW) == NOW + 8 * FIRST_RETRY
    assert due(mirror(), empty, NOW) == NOW + 8 * FIRST_RETRY


@given(st.integers(1, 100), st.integers(1, 1000))
def test_what_failed_in_part_is_tried_again_sooner_but_never_later_than_planned(partial, hours):
    declared = every(f"{hours}h")
    past = Past(began=NOW - 60, ended=NOW)
    again = next_due(declared, Past(began=NOW - 60, ended=NOW, partial=partial), NOW)
    assert again == min(next_due(declared, past, NOW), NOW + backoff(partial, 900.0, DAY))


@pytest.mark.parametrize("schedule", ["", "{every: 6h}"])
def test_files_that_may_be_complete_later_are_looked_at_then_even_on_demand(schedule):
    declared = mirror(schedule)
    past = Past(began=NOW - 1, ended=NOW, settles=NOW + 5, looks=1)
    assert due(declared, past, NOW) == NOW + 5
    assert due(declared, Past(began=NOW - 1, ended=NOW), NOW) == (
        None if not schedule else next_due(declared, Past(began=NOW - 1, ended=NOW), NOW)
    )


@given(looks=st.integers(1, 40), took=st.floats(0, 7200), settles=st.floats(-3600, 3600))
def test_a_mirror_that_is_written_to_all_the_time_is_not_surveyed_all_the_time(looks, took, settles):
    declared = every("6h")
    past = Past(began=NOW - took, ended=NOW, settles=NOW + settles, looks=looks)
    again = next_due(declared, past, NOW)
    assert again <= next_due(declared, Past(began=NOW - took, ended=NOW), NOW)
    planned = next_due(declared, Past(began=NOW - took, ended=NOW), NOW)
    if again < planned:
        assert again >= NOW + took - 1e-3
        assert again >= NOW + settles
        assert looks == 1 or again >= NOW + min(300.0, 5.0 * 2 ** (looks - 2))


@pytest.mark.parametrize(
    ("zone", "line", "began", "dues"),
    [
        # clocks go forward at 02:00: the 02:30 of that night is not lost
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T02:30", ["2026-03-29T03:00", "2026-03-30T02:30"]),
        # clocks go back at 03:00: an hour that comes twice is due once
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T02:30", ["2026-10-25T02:30", "2026-10-26T02:30"]),
        ("Asia/Shanghai", "0 3 * * *", "2026-03-28T03:00", ["2026-03-29T03:00", "2026-03-30T03:00"]),
    ],
)
def test_cron_means_the_clock_on_the_wall(zone, line, began, dues):
    declared = mirror(f'{{cron: "{line}", timezone: {zone}}}')
    moment = at(began, zone)
    for wanted in dues:
        moment = next_due(declared, Past(began=moment, ended=moment), moment + 1)
        assert (
            datetime.fromtimestamp(moment, ZoneInfo(zone)).replace(tzinfo=None).isoformat(timespec="minutes") == wanted
        )


@given(
    st.datetimes(*BOUNDS),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_a_daily_cron_is_due_once_on_each_day_of_the_wall(start, zone):
    declared = mirror(f'{{cron: "15 2 * * *", timezone: {zone}}}')
    moment, days = start.replace(tzinfo=ZoneInfo(zone)).timestamp(), []
    for _ in range(8):
        moment = next_due(declared, Past(began=moment, ended=moment), moment)
        days.append(datetime.fromtimestamp(moment, ZoneInfo(zone)).date())
    assert days == [days[0] + timedelta(days=n) for n in range(8)]


@pytest.mark.fault(44)
def test_what_a_clock_that_was_ahead_wrote_down_neither_holds_up_who_waits_for_others_nor_sets_him_off():
    declared, ahead = mirror("{after: [a, b]}"), NOW + 400 * 24 * HOUR
    ran_ahead, ran_now = Past(began=ahead, ended=ahead), Past(began=NOW - HOUR, ended=NOW - HOUR)
    assert due(declared, ran_ahead, NOW, {"a": NOW - 5, "b": NOW - 9}) == NOW - 5
    assert due(declared, ran_now, NOW, {"a": NOW - 5, "b": ahead}) is None
    assert waits_for(declared, ran_now, {"a": NOW - 5, "b": ahead}, NOW) == ["b"]


def test_after_others_a_pass_is_due_once_each_of_them_completed_one():
    declared = mirror("{after: [a, b]}")
    past = Past(began=NOW - HOUR, ended=NOW - HOUR / 2)
    for completed in ({}, {"a": NOW, "b": None}, {"a": NOW, "b": NOW - 2 * HOUR}):
        assert due(declared, past, NOW, completed) is None
    assert waits_for(declared, past, {"a": NOW, "b": NOW - 2 * HOUR}, NOW) == ["b"]
    assert due(declared, past, NOW, {"a": NOW - 5, "b": NOW - 9}) == NOW - 5
    assert due(declared, Past(), NOW, {"a": 1.0, "b": 2.0}) == 2.0
    assert due(declared, Past(began=NOW, ended=NOW, failures=1), NOW, {}) == NOW + FIRST_RETRY


def test_mirrors_that_wait_for_one_another_are_found():
    assert cycle({"a": [], "b": ["a"], "c": ["a", "b", "elsewhere"]}) == []
    assert sorted(cycle({"a": ["b"], "b": ["c"], "c": ["b"], "d": []})) == ["b", "c"]
    assert cycle({"a": ["a"]}) == ["a"]


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        ("{every: 6h}", 9 * HOUR),
        ("{every: 1m}", 60 + 600),
        ('{cron: "0 3 * * *"}', 36 * HOUR),
        ('{cron: "0 3 * * 1-5"}', 3 * DAY * 1.5),  # from Friday to Monday
        ("{every: 6h, fresh_within: 2d}", 2 * DAY),
        ("{after: [a, b]}", 11 * HOUR),
        ("{after: [c]}", None),
        ("", None),
    ],
)
def test_how_old_a_copy_may_get_follows_from_its_longest_interval(schedule, wanted):
    assert fresh_within(mirror(schedule), NOW, {"a": 9 * HOUR, "b": 10 * HOUR, "c": None}) == wanted


def test_a_window_is_waited_for():
    declared = mirror("{every: 1h}", limits=", limits: {window: '20:00-06:00 Asia/Shanghai'}")
    assert opens_in(declared, at("2026-05-01T19:00", "Asia/Shanghai")) == HOUR
    assert opens_in(declared, at("2026-05-01T23:00", "Asia/Shanghai")) == 0.0
    assert opens_in(mirror(), NOW) == 0.0
