"""How much of a file a request gets: conditions and ranges of RFC 9110."""

import pytest
from hypothesis import given, strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from syncd.face.preconditions import Grant, grant, http_date

TAG, TIME, SIZE = "a" * 64, 1_700_000_000, 1000


def ask(method="GET", size=SIZE, **headers):
    fields = CIMultiDict((name.replace("_", "-"), value) for name, value in headers.items())
    return grant(method, CIMultiDictProxy(fields), size=size, etag=TAG, modified=TIME)


WHOLE = Grant(200, 0, SIZE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-0", Grant(206, 0, 1)),
        ("bytes=10-", Grant(206, 10, SIZE)),
        ("bytes=10-99999", Grant(206, 10, SIZE)),
        ("bytes=-5", Grant(206, SIZE - 5, SIZE)),
        ("bytes=-99999", Grant(206, 0, SIZE)),
        ("Bytes = 1 - 2", Grant(206, 1, 3)),
        ("bytes=1000-", Grant(416)),
        ("bytes=9999999999999999999-", Grant(416)),
        ("bytes=-0", Grant(416)),
        ("bytes=5-4", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=0-1,5-6", WHOLE),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(2000)), WHOLE),
        ("items=0-1", WHOLE),
        ("bytes=" + "9" * 5000 + "-", WHOLE),
        ("bytes=٣-٤", WHOLE),
        ("bytes=0x1-2", WHOLE),
        ("", WHOLE),
    ],
)
def test_one_range_of_bytes_is_given_and_everything_else_is_the_whole_file(value, expected):
    assert ask(Range=value) == expected


def test_an_empty_file_has_no_range():
    assert ask(size=0, Range="bytes=0-") == Grant(416)
    assert ask(size=0, Range="bytes=-5") == Grant(200, 0, 0)


def test_head_ignores_a_range():
    assert ask("HEAD", Range="bytes=0-1") == WHOLE
    assert ask("HEAD", Range="bytes=5000-") == WHOLE


@pytest.mark.parametrize(
    ("value", "is_given"),
    [
        (f'"{TAG}"', True),
        (http_date(TIME), True),
        (f'W/"{TAG}"', False),
        ('"other"', False),
        (http_date(TIME + 1), False),
        (http_date(TIME - 1), False),
        ("*", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_a_range_is_given_only_of_the_version_that_if_range_names(value, is_given):
    assert ask(Range="bytes=5-", If_Range=value) == (Grant(206, 5, SIZE) if is_given else WHOLE)


def test_conditions_are_judged_in_the_order_of_the_standard():
    assert ask(If_None_Match=f'"x", "{TAG}"', Range="bytes=0-1") == Grant(304)
    assert ask(If_None_Match=f'W/"{TAG}"') == Grant(304)
    assert ask("HEAD", If_None_Match="*") == Grant(304)
    assert ask(If_None_Match='"x"', If_Modified_Since=http_date(TIME)) == WHOLE  # the ETag decides alone
    assert ask(If_Modified_Since=http_date(TIME)) == Grant(304)
    assert ask(If_Modified_Since=http_date(TIME - 1)) == WHOLE
    assert ask(If_Modified_Since="yesterday") == WHOLE
    assert ask(If_Match='"x"', If_None_Match=f'"{TAG}"') == Grant(412)
    assert ask(If_Match=f'W/"{TAG}"') == Grant(412)
    assert ask(If_Match=f'"x", "{TAG}"', Range="bytes=1-1") == Grant(206, 1, 2)
    assert ask(If_Match="*") == WHOLE
    assert ask(If_Unmodified_Since=http_date(TIME - 1)) == Grant(412)
    assert ask(If_Unmodified_Since=http_date(TIME)) == WHOLE


def test_two_range_headers_are_several_ranges():
    fields = CIMultiDictProxy(CIMultiDict([("Range", "bytes=0-1"), ("Range", "bytes=5-6")]))
    assert grant("GET", fields, size=SIZE, etag=TAG, modified=TIME) == WHOLE


@given(st.text(max_size=40), st.integers(0, 50), st.sampled_from(["", '"x"', f'"{TAG}"']))
def test_whatever_is_asked_the_answer_lies_within_the_file(text, size, tag):
    found = ask(size=size, Range=f"bytes={text}", If_Range=tag)
    assert found.status in {200, 206, 416}
    assert 0 <= found.start <= found.stop <= size
    if found.status == 206:
        assert found.start < found.stop
    if tag == '"x"':
        assert found == Grant(200, 0, size)
