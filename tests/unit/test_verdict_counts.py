"""How many files have which verdict: a count that is kept is that of a scan, whatever was recorded and deleted."""

import apsw
import pytest
from hypothesis import given, settings, strategies as st

from manifests.snapshot import Entry, Origin
from syncd.catalogue import Catalogue
from syncd.cli.output import share

PATHS = st.sampled_from(["a", "a/b", "c", "d", 'odd "name" \\ é'])
FILE = st.tuples(
    PATHS, st.sampled_from([("verified", "https://x/"), ("verified", ""), ("attested", "")]), st.integers(0, 9)
)
STEPS = st.lists(st.lists(FILE, max_size=6) | st.lists(PATHS, max_size=3), max_size=12)


BEFORE = 3  # the version of a mirror's file before it had counts


def proved(path, verdict, size):
    return Entry(path, size, "ab" * 32, "cd" * 16), Origin(path, path, verdict[0], 1.0, by=verdict[1])


def scanned(catalogue, mirror):
    sql = "SELECT verdict, by, count(*), sum(bytes) FROM entry WHERE mirror=? GROUP BY verdict, by"
    return {(row[0], row[1]): (row[2], row[3]) for row in catalogue.files.of(mirror).rows(sql, (mirror,))}


def kept(catalogue, mirror):
    return {(one.verdict, one.by): (one.files, one.bytes) for one in catalogue.holdings.verdicts(mirror)}


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_the_count_is_that_of_a_scan_whatever_is_recorded_replaced_and_deleted(tmp_path_factory, steps):
    with Catalogue(tmp_path_factory.mktemp("state")) as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        for step in steps:
            if step and isinstance(step[0], tuple):
                catalogue.holdings.add(mirror, [proved(*one) for one in step])
            else:
                catalogue.holdings.remove(mirror, step, 2.0)
            assert kept(catalogue, mirror) == scanned(catalogue, mirror)


def test_the_files_of_an_older_catalogue_are_counted_when_it_is_opened(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        mirror = catalogue.history.ensure_mirror("m", prefix="m/").id
        catalogue.holdings.add(mirror, [proved(f"{n}", ("attested", ""), n) for n in range(5)])
    db = apsw.Connection(str(tmp_path / "mirrors" / "m.sqlite"))
    db.execute("DROP TRIGGER verdict_deleted; ALTER TABLE entry DROP COLUMN first")
    for table in ("verdict", "first", "decision", "consent"):  # and of later versions
        db.execute(f"DROP TABLE {table}")
    db.pragma("user_version", BEFORE)
    db.close()
    with Catalogue(tmp_path) as catalogue:
        assert kept(catalogue, mirror) == {("attested", ""): (5, 10)}


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "-"), (0, 9, "0 %"), (9, 9, "100 %"), (1, 1000, "<1 %"), (999, 1000, ">99 %"), (1, 2, "50 %")],
)
def test_a_share_is_all_or_none_only_if_it_is(part, whole, said):
    assert share(part, whole) == said
