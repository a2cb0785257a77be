"""Dates as the servers write them into their listings."""

import pytest
from hypothesis import given, strategies as st

from manifests.readers.autoindex_dates import DATE, seconds


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("04-Aug-2023 10:24", 1691144640),
        ("2023-08-04 10:24", 1691144640),
        ("2023-08-04 10:24:56", 1691144696),
        ("2023-Aug-04 10:24:56", 1691144696),
        ("2023-08-04T10:24:56Z", 1691144696),
        ("2023-08-04T12:24:56.5+02:00", 1691144696),
        ("Fri, 04 Aug 2023 10:24:56 GMT", 1691144696),
        ("Friday, August 4, 2023 10:24 AM", 1691144640),
        ("8/4/2023 12:24 AM", 1691108640),
        ("04.08.2023 10:24", 1691144640),
        ("2023-08-04", 1691107200),
        ("8/4/2023", None),
        ("8/4/2023 10:24", None),
        ("31-Feb-2023 10:24", None),
        ("2023-00-04 10:24", None),
        ("04-Aug-2023 24:24", None),
        ("0000-01-01 00:00", None),
    ],
)
def test_a_date_is_read_as_utc_and_an_ambiguous_one_is_none(text, moment):
    match = DATE.match(text)
    assert match is not None
    assert match[0] == text
    assert seconds(text) == moment


@given(st.text(max_size=40) | st.from_regex(DATE, fullmatch=True))
def test_no_date_is_too_strange_to_be_read(text):
    match = DATE.match(text)
    if match is not None:
        seconds(match[0])
