"""What the stamp of a file proves: its resolution, and whether it was old enough when the file was read."""

import email.utils

import pytest
from hypothesis import given, strategies as st

from manifests.stamps import DAY, MINUTE, SECOND, TICK, doubt, evaluate, has_zone, may_be_younger, resolution
from manifests.stat import Stat

NOW = 1_700_000_000.0
FILE = '"17979cfe362a0000-5-1f"'


@pytest.mark.parametrize(
    ("version", "seconds", "zone"),
    [
        ("listed:02-Jan-2026 03:04|5", MINUTE, False),
        ("listed:2026-01-02 03:04:05|5", SECOND, False),
        ("listed:2026-01-02T03:04:05.123Z|5", SECOND, True),
        ("listed:Fri, 02 Jan 2026 03:04:05 GMT|5", SECOND, True),
        ("listed:2026-01-02|5", DAY, False),
        ("listed:1767323045|5", SECOND, True),
        ("modified:Fri, 02 Jan 2026 03:04:05 GMT|5", SECOND, True),
        ("modified:20260102030405|5", SECOND, True),
        ('"69573625-5"', SECOND, True),
        ('"d41d8cd98f00b204e9800998ecf8427e"', 0.0, True),
        ('"5-5f0c2d1e3a4b5"', 0.0, True),
        (FILE, 2.0, True),
        ('"17979cfe362a0001-5-1f"', TICK, True),
        ("sha256:00", 0.0, True),
        (None, 0.0, True),
    ],
)
def test_a_version_tells_its_own_resolution(version, seconds, zone):
    assert (resolution(version), has_zone(version)) == (seconds, zone)


def listed(version, modified, **more):
    return Stat("f", 5, modified, version, **more)


ETAG = Stat("f", 5, None, '"abc"')


@pytest.mark.parametrize(
    ("stat", "answer", "expected"),
    [
        (listed("listed:14-Nov-2023 22:13|5", NOW - 20), Stat("f", 5, NOW - 10, '"abc"'), "ask"),
        (listed("listed:14-Nov-2023 22:13|5", NOW - 20), Stat("f", 5, NOW - 1, '"6553f0ff-5"'), "read"),
        (listed("listed:14-Nov-2023 22:10|5", NOW - 200), Stat("f", 5, NOW - 190, '"abc"'), ""),
        (listed("listed:2023-11-14|5", NOW - 80_000), Stat("f", 5, NOW - 7200, '"abc"'), "ask"),
        (listed("listed:2023-11-12|5", NOW - 3 * DAY), Stat("f", 5, NOW - 2 * DAY, '"abc"'), ""),
        (listed('"abc"', NOW), Stat("f", 5, NOW, '"abc"'), ""),
        (listed(FILE, NOW), Stat("f", 5, NOW, FILE), "read"),
        (listed("modified:20231114221320|5", NOW), Stat("f", 5, NOW, "modified:20231114221320|5"), "read"),
        (listed("listed:x 22:13|5", NOW - 20, digests={"md5": "0" * 32}), Stat("f", 5, NOW, '"abc"'), ""),
        (listed("listed:x 22:13|5", NOW - 20 + 8 * 3600), ETAG, "ask"),  # a zone eight hours ahead
        (listed("listed:x 22:13|5", NOW - 20 - 5 * 3600), ETAG, "ask"),
        (listed("listed:x 22:13|5", NOW - 400 - 5 * 3600), ETAG, ""),
        (listed("listed:x 22:13|5", NOW - 20), Stat("f", 5), "read"),
        (listed("listed:x 22:13|5", NOW + 400 * DAY), Stat("f", 5, NOW + 400 * DAY, '"abc"'), ""),
        (Stat("f", 5), ETAG, ""),
    ],
)
def test_a_stamp_is_in_doubt_while_a_further_change_could_still_give_it(stat, answer, expected):
    assert doubt(stat, answer, NOW) == expected


def test_the_clock_is_that_of_the_answer():
    """Our clock is an hour late; the answer's date shows that the file is young."""
    date = email.utils.formatdate(NOW + 3600, usegmt=True)
    stat, answer = listed("listed:14-Nov-2023 23:13|5", NOW + 3580), Stat("f", 5, NOW + 3590, '"abc"')
    assert evaluate(stat, answer, date, NOW) == ("ask", 3600.0)
    assert evaluate(stat, answer, "not a date", NOW)[1] == 0.0


@given(st.floats(0, DAY), st.floats(0, 59.9), st.floats(0, 2 * DAY))
def test_no_change_after_a_proved_stamp_can_give_the_same_stamp(minute, second, later):
    """Whatever a file's time and the time of its transfer: without a doubt, a later change shows another minute."""
    start = NOW - NOW % DAY
    modified = start + minute - minute % 60 + second
    read = modified + later
    stamp = modified - modified % 60
    stat, answer = listed("listed:x 22:13|5", stamp), Stat("f", 5, modified, '"abc"')
    if not doubt(stat, answer, read):
        assert read - read % 60 > stamp


@pytest.mark.parametrize(
    ("stat", "expected"),
    [
        (Stat("f", 5), True),
        (listed('"e"', NOW - 4), True),
        (listed('"e"', NOW - 6), False),
        (listed('"e"', NOW + 60), True),
        (listed("listed:x 22:13|5", NOW - 3600), True),
        (listed("listed:x 22:13|5", NOW - DAY), False),
    ],
)
def test_a_file_may_be_younger_unless_its_time_and_zone_say_otherwise(stat, expected):
    assert may_be_younger(stat, 5.0, NOW) is expected
