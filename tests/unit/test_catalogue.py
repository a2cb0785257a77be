"""The Catalogue: one writer, no half-read damage, and claims of several documents joined into one."""

import pytest

from manifests.snapshot import Entry, Origin
from manifests.stat import Promise, Stat
from syncd.catalogue import Catalogue, Version
from syncd.errors import Busy, Damaged


def proved(path, content=b"x"):
    return Entry(path, len(content), "ab" * 32, "cd" * 16), Origin(path, path, "attested", 1.0, len(content))


def test_a_second_writer_is_refused_and_told_who_holds_the_state(tmp_path):
    with Catalogue(tmp_path), pytest.raises(Busy, match="in use by process"):
        Catalogue(tmp_path)
    Catalogue(tmp_path).close()


@pytest.mark.parametrize(
    "spoil", [lambda content: b"not a database " * 300, lambda content: content[:5000] + b"\xff" * 3000]
)
def test_a_damaged_catalogue_is_refused_with_the_way_out(tmp_path, spoil):
    with Catalogue(tmp_path) as catalogue:
        mirror = catalogue.history.enrol("m", prefix="m/").id
        catalogue.holdings.enter(mirror, [proved(f"{n:05}") for n in range(3000)])
    file = tmp_path / "catalogue.sqlite"
    file.write_bytes(spoil(file.read_bytes()))

    def use():
        with Catalogue(tmp_path) as catalogue:
            list(catalogue.holdings.entries(1))
            catalogue.history.mirrors()
            catalogue.holdings.enter(1, [proved("new")])

    with pytest.raises(Damaged, match="syncd rebuild"):
        use()


def test_a_catalogue_of_a_newer_syncd_is_left_alone(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        catalogue.database._db.pragma("user_version", 99)
    with pytest.raises(Damaged, match="of version 99, this syncd knows 1"):
        Catalogue(tmp_path)


def test_what_several_documents_say_of_a_path_is_joined_and_a_contradiction_is_kept(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        claims = catalogue.claims
        claims.add(1, [Stat("b", 5), Stat("a", None, None, None, {"md5": "1" * 32})])
        claims.add(1, [Stat("a", 7, 9.0, None, {"sha256": "2" * 64}), Stat("c", 1, None, None, {"md5": "3" * 32})])
        claims.promise(
            1, [Promise("b", {"md5": "4" * 32}, "MD5SUMS"), Promise("nowhere", {"md5": "5" * 32}, "MD5SUMS")]
        )
        claims.promise(1, [Promise("c", {"md5": "6" * 32}, "MD5SUMS")])
        a, b, c = claims.all(1)
    assert (a.size, a.modified, a.digests) == (7, 9.0, {"md5": "1" * 32, "sha256": "2" * 64})
    assert b.digests == {"md5": "4" * 32}
    assert c.version == f"conflict:two lists publish md5 {'3' * 32} and {'6' * 32}"


def test_files_of_which_nothing_is_known_are_asked_for_and_no_others(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        catalogue.claims.add(
            1, [Stat("blind"), Stat("dated", None, 1.0), Stat("digest", digests={"md5": "1" * 32}), Stat("listed")]
        )
        catalogue.claims.promise(1, [Promise("listed", {"md5": "2" * 32}, "SUMS")])
        assert [stat.path for stat in catalogue.claims.blind(1, "", 10)] == ["blind"]


def test_the_first_of_two_swaps_before_a_snapshot_keeps_what_was_published(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        catalogue.holdings.put_aside(1, Version("s", "f", 1, "published"), 1.0)
        catalogue.holdings.put_aside(1, Version("s", "f", 2, "never published"), 2.0)
        assert [v.sha256 for v in catalogue.holdings.versions(1, "f")] == ["published"]


def test_a_removed_file_is_remembered_until_it_is_back(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        holdings = catalogue.holdings
        holdings.enter(1, [proved("f")])
        holdings.settled(1)
        holdings.remove(1, ["f", "never there"], 5.0)
        assert list(holdings.changed(1)) == ["f"]
        assert [r.path for r in holdings.removed(1, 6.0)] == ["f"]
        assert holdings.removed(1, 5.0) == []
        holdings.enter(1, [proved("f")])
        assert holdings.was_removed(1, "f") is None
