"""ResourceSync lists: read by our own reader in full and by changes; long lists are cut as the standard says."""

from dataclasses import replace

import pytest

from manifests.readers import resourcesync as reader
from manifests.reading import Cursor, Deleted, Gap
from syncd.exchange import PublishedChange, PublishedFile, resourcesync
from tests.exchange.publications import ALL, FILES, LANDSAT, NOW, VALIDATORS, golden
from tests.exchange.xsd import parsed
from tests.unit.reader_harness import Source, answer, read_all, stats

pytestmark = VALIDATORS
ROOT = LANDSAT.url
CHANGES = (
    PublishedChange("created", FILES[0], NOW - 500),
    PublishedChange("updated", FILES[1], NOW - 400),
    PublishedChange("deleted", PublishedFile("gone.txt", 1, "e" * 64), NOW - 400),
)


def opened():
    kind = reader.READER
    return kind.open(Source(ROOT, kind.options(start="capabilitylist.xml")))


def documents(held=LANDSAT, files=FILES):
    found = {"capabilitylist.xml": resourcesync.capability_list(held)}
    found[held.view("resourcelist.xml")] = resourcesync.full_list(held, files)
    for part in range(1, resourcesync.parts(held) + 1):
        found[held.view(f"resourcelist.xml?part={part}")] = resourcesync.full_list(held, iter(files), part)
    return found


def test_the_lists_are_their_golden_files():
    golden("resourcesync.xml", resourcesync.source_description(ALL))
    golden("resourcelist.xml", resourcesync.full_list(LANDSAT, FILES))
    golden("changelist.xml", resourcesync.change_list(LANDSAT, CHANGES, NOW - 1_000, NOW))


def test_our_own_reader_reads_the_whole_list():
    found = read_all(opened(), documents(), base=ROOT)
    assert {path: (one.size, one.digests["sha256"]) for path, one in stats(found).items()} == {
        f"latest/{one.path}": (one.size, one.sha256) for one in FILES
    }
    assert any(isinstance(one, Cursor) for one in found)


def changed(mark):
    kept, found = opened(), []
    waiting = list(kept.resume(mark))
    body = {
        "capabilitylist.xml": resourcesync.capability_list(LANDSAT),
        LANDSAT.view("changelist.xml"): resourcesync.change_list(LANDSAT, CHANGES, NOW - 1_000, NOW),
    }
    while waiting:
        asked = waiting.pop(0)
        for one in kept.read(answer(asked, body[asked.url], base=ROOT)):
            (waiting if hasattr(one, "state") else found).append(one)
    return found


def test_our_own_reader_reads_the_changes():
    found = changed("2026-11-29T23:50:00.000000Z")
    assert sorted(stats(found)) == ["latest/a.tif", "latest/数据/b c+d#.nc"]
    assert [one.path for one in found if isinstance(one, Deleted)] == ["latest/gone.txt"]


def test_a_reader_that_was_away_for_longer_reads_everything_again():
    with pytest.raises(Gap):
        changed("2026-11-01T00:00:00.000000Z")


def test_a_long_list_is_an_index_of_parts_and_loses_nothing(monkeypatch):
    monkeypatch.setattr(resourcesync, "MAX_ENTRIES", 2)
    many = replace(LANDSAT, history=(replace(LANDSAT.version, files=5),))
    files = [PublishedFile(f"f{number}", number, f"{number:064x}") for number in range(5)]
    found = stats(read_all(opened(), documents(many, files), base=ROOT))
    assert sorted(found) == [f"latest/f{number}" for number in range(5)]


def test_too_many_changes_begin_later_and_never_in_the_middle_of_a_second(monkeypatch):
    monkeypatch.setattr(resourcesync, "MAX_ENTRIES", 3)
    times = [1, 2, 2, 2, 3]
    changes = [PublishedChange("created", replace(FILES[0], path=f"f{n}"), NOW + at) for n, at in enumerate(times)]
    root = parsed(resourcesync.change_list(LANDSAT, changes, NOW, NOW + 9))
    (described,) = [one for one in root if one.tag.endswith("}md")]
    assert described.get("from") == "2026-11-30T00:00:03Z"
    assert len([one for one in root if one.tag.endswith("}url")]) == 1


def test_a_restricted_mirror_has_no_lists():
    body = resourcesync.source_description(ALL).decode()
    assert "/mirrors/landsat/" in body
    assert "/mirrors/mimic/" not in body
