"""Lines that say where files came from first: over any number of hops the same, and without logins or queries."""

import pytest
from hypothesis import given, strategies as st

from manifests.provenance import first_of, parse_provenance, provenance_lines, public_url
from manifests.snapshot import FirstOrigin, Origin, SnapshotError

ORIGIN = Origin("a", "https://me:secret@archive.example/a?token=x#y", "verified", 5.0, by="https://archive.example/")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@archive.example/a?token=x#y", "https://archive.example/a"),
        ("s3://bucket/a b", "s3://bucket/a b"),
        ("file:///srv/archive/a", ""),
        ("", ""),
        ("https://[broken", ""),
    ],
)
def test_logins_queries_and_places_of_this_machine_are_left_out(url, shown):
    assert public_url(url) == shown


@given(st.text(max_size=40), st.sampled_from(["verified", "attested"]), st.floats(0, 4e9), st.text(max_size=40))
def test_the_first_provenance_is_the_same_after_any_number_of_hops(path, verdict, proved, by):
    first = first_of(Origin(path, "https://archive.example/x", verdict, proved, by=by))
    for hop in range(3):
        ((told, found),) = parse_provenance(
            provenance_lines([Origin(path, f"https://node{hop}/x", "verified", 9.0, by="node:x (head 1)", first=first)])
        )
        assert (told, found) == (path, first)


def test_a_stores_own_list_is_read_as_well():
    import msgspec

    ((path, first),) = parse_provenance([msgspec.json.encode(ORIGIN)])
    assert (path, first) == ("a", FirstOrigin("https://archive.example/a", "verified", 5.0, "https://archive.example/"))


@pytest.mark.parametrize(
    "row", [b"", b"{}", b'{"path":"a","verdict":"believed"}', b'{"path":"a","url":"https://a/%s"}' % (b"x" * 5000)]
)
def test_a_line_that_is_none_is_refused(row):
    with pytest.raises(SnapshotError, match="line 1 is no provenance"):
        list(parse_provenance([row]))
