"""The index of held content: whatever is published, content is found by its checksum, at a bounded price."""

import asyncio
import hashlib

from hypothesis import given, settings, strategies as st

from manifests.digest import KNOWN, STRONG
from manifests.snapshot import Entry, Origin
from manifests.stat import Stat
from syncd.catalogue import Catalogue, HeldBytes, digest_key
from syncd.catalogue.held_index import RUN, begins_run
from syncd.engine.content_claims import evidence_of, keys_of
from syncd.engine.content_index import index_published


def number(catalogue, sql):
    (row,) = catalogue.held._do(lambda db: db.execute(sql).fetchall())
    return row[0]


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def entry(path, content, size=100, **claims):
    return Entry(path, size, sha(content), "00" * 16), Origin(path, path, "attested", 1.0, size, **claims)


def found(catalogue, content):
    """The paths at which the index leads to a content."""
    runs = catalogue.held.runs([digest_key("sha256", sha(content))]).get(digest_key("sha256", sha(content)), [])
    row = catalogue.history.mirror("m")
    stored = [
        one
        for run in runs
        for read in (catalogue.content.entries, catalogue.content.others)
        for one in read(row.id, run.first, run.last)
    ]
    return {one.path for one in stored if one.sha256 == sha(content)}


def publish(catalogue, row):
    asyncio.run(index_published(catalogue, row, catalogue.holdings.totals(row.id)[0]))
    catalogue.changes.clear(row.id, ())


def put(catalogue, row, files):
    catalogue.holdings.add(row.id, [entry(path, content) for path, content in files.items()])


paths = st.integers(0, 4000).map(lambda n: f"d{n % 7}/{n:04}")
changes = st.lists(st.tuples(st.sampled_from(["put", "remove"]), st.lists(paths, min_size=1, max_size=60)), max_size=6)


@settings(max_examples=15, deadline=None)
@given(changes)
def test_after_every_publish_all_content_is_found_wherever_runs_are_divided(tmp_path_factory, history):
    folder = tmp_path_factory.mktemp("state")
    with Catalogue(folder) as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/")
        wanted = {}
        for number, (act, some) in enumerate(history):
            if act == "put":
                files = {path: f"{path} {number}" for path in some}
                put(catalogue, row, files)
                wanted |= files
            else:
                catalogue.holdings.remove(row.id, some, 1.0)  # their bytes stay, under another name
            publish(catalogue, row)
            for path, content in wanted.items():
                assert path in found(catalogue, content)


def test_a_run_that_new_files_divide_is_read_in_short_pieces(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/")
        put(catalogue, row, {"a": "first", "z": "last"})
        publish(catalogue, row)
        put(catalogue, row, {f"m/{n:05}": str(n) for n in range(5000)})
        publish(catalogue, row)
        assert found(catalogue, "last") == {"z"}
        key = digest_key("sha256", sha("last"))
        (run,) = catalogue.held.runs([key])[key]
        assert begins_run(run.first), "what follows the new files begins a run of theirs"
        assert len(list(catalogue.content.entries(row.id, run.first, run.last))) < 20 * RUN


def test_a_publish_that_is_repeated_after_a_crash_adds_nothing_twice(tmp_path):
    with Catalogue(tmp_path) as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/")
        put(catalogue, row, {f"{n:03}": str(n) for n in range(300)})
        for _ in range(2):
            asyncio.run(index_published(catalogue, row, 300))
        publish(catalogue, row)
        assert all(found(catalogue, str(n)) == {f"{n:03}"} for n in range(300))
        assert number(catalogue, "SELECT count(*) FROM held") == 300


def test_the_index_takes_less_than_60_bytes_a_file(tmp_path):
    count = 20_000
    with Catalogue(tmp_path) as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/")
        for at in range(0, count, 2000):  # in ten publishes: rows arrive in no order, as they do in life
            files = [
                entry(f"satellite/product-level-2/2024/{n % 97:03}/scene-{n:08}.nc", str(n), modified=1.6e9 + n)
                for n in range(at, at + 2000)
            ]
            catalogue.holdings.add(row.id, files)
            publish(catalogue, row)
        pages, size = number(catalogue, "PRAGMA page_count"), number(catalogue, "PRAGMA page_size")
        assert number(catalogue, "SELECT count(*) FROM held") == 2 * count, "by its sha256, and by its time"
        assert pages * size / count <= 60


def test_an_index_of_stale_rows_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.catalogue.held_index.SLACK", 1 << 18)
    with Catalogue(tmp_path) as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/")
        for turn in range(40):
            put(catalogue, row, {f"{n:04}": f"{n} {turn}" for n in range(1500)})
            publish(catalogue, row)
        rows = number(catalogue, "SELECT count(*) FROM held")
        assert rows < 30 * 1500
        put(catalogue, row, {"x": "x"})
        publish(catalogue, row)
        assert found(catalogue, "x") == {"x"}


def test_strong_checksums_are_those_of_which_nobody_can_make_two_contents():
    assert {"sha256", "sha512", "sha3-256", "blake3", "blake2b-256", "sha512-256"} <= STRONG <= KNOWN.keys()
    assert STRONG.isdisjoint({"md5", "sha1", "gitblob", "crc32", "crc32c", "crc64nvme", "xxh3-128", "blake2b-128"})


def test_the_strongest_promise_is_the_evidence():
    stat = Stat("a/b", 9, 5.0, '"etag"', {"md5": "0" * 32, "sha512": "1" * 128, "sha256": "2" * 64})
    assert [(one.algorithm, one.is_strong) for one in evidence_of(stat)] == [("sha256", True), ("sha512", True)]
    (weak,) = evidence_of(Stat("a/b", 9, 5.0, '"etag"', {"md5": "0" * 32}))
    assert (weak.algorithm, weak.is_strong) == ("md5", False)
    assert evidence_of(Stat("a/b")) == []


def test_a_time_tells_of_files_of_one_name_only_and_an_etag_of_contents_of_all():
    held = HeldBytes("x/name", 9, "0" * 64, modified=5.0)
    same, another = (evidence_of(Stat(path, 9, 5.0))[0] for path in ("y/name", "y/another"))
    assert (same.fits(held), another.fits(held)) == (True, False)
    tagged = HeldBytes("x/name", 9, "0" * 64, modified=5.0, version='"0cc175b9c0f1b6a831c399e269772661"')
    assert evidence_of(Stat("y/another", 9, 7.0, '"0cc175b9c0f1b6a831c399e269772661"'))[0].fits(tagged)
    made_of_time = '"5f5e1000-9"'
    assert not evidence_of(Stat("y/another", 9, 7.0, made_of_time))[0].fits(
        HeldBytes("x/name", 9, "0" * 64, version=made_of_time)
    )
    assert evidence_of(Stat("y/another", 9, 5.0))[0].key in keys_of(held), "the index leads to both, the claim decides"


def test_damaged_content_is_no_source():
    assert not evidence_of(Stat("a", 9, digests={"sha256": "0" * 64}))[0].fits(
        HeldBytes("b", 9, "0" * 64, version="damaged")
    )
