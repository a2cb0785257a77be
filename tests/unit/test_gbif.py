"""GBIF and IPTs: endpoints of datasets, lists up to where the registry stops, downloads, inventories and feeds."""

import json

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from manifests.readers.gbif import GbifOptions, open_reader
from manifests.reading.document import DocumentError, ReaderWarning
from manifests.stat import Stat
from tests.unit.reader_harness import Source, broken, notes, read_all, stats, survives

ROOT = "https://api.gbif.example/v1/"
IPT = "https://ipt.example/"
ONE, TWO = "d7dddbf4-2cf0-4f39-9b2a-bb099caae36c", "0b1735ff-6a66-454b-8686-cae1cbc732a2"
DOWNLOAD = "0040513-240906103802322"
ARCHIVE = "https://ipt.example/archive.do?r=birds"


def dataset(key=ONE, **more):
    endpoints = [
        {"key": 1, "type": "EML", "url": "https://ipt.example/eml.do?r=birds"},
        {"key": 2, "type": "DWC_ARCHIVE", "url": ARCHIVE},
        {"key": 3, "type": "DWC_ARCHIVE", "url": "https://ipt.example/second"},
    ]
    return {
        "key": key,
        "type": "CHECKLIST",
        "modified": "2024-01-02T00:00:00.000+00:00",
        "endpoints": endpoints,
        **more,
    }


def reader(url=ROOT, **options):
    return open_reader(Source(url, GbifOptions(**options)))


def test_the_archive_of_a_dataset_is_where_its_endpoint_says_and_its_server_tells_of_changes():
    documents = {f"{ROOT}dataset/{ONE}": json.dumps(dataset())}
    assert read_all(reader(datasets=(ONE,)), documents) == [Stat("dwca.zip", urls=(ARCHIVE,))]
    both = stats(read_all(reader(datasets=(ONE,), endpoints=("DWC_ARCHIVE", "EML", "COLDP")), documents))
    assert sorted(both) == ["dwca.zip", "eml.xml"]


def test_a_dataset_that_was_named_and_has_nothing_wanted_is_told():
    with pytest.raises(DocumentError, match=r"has no endpoint of COLDP; it has DWC_ARCHIVE, EML"):
        read_all(reader(datasets=(ONE,), endpoints=("COLDP",)), {f"{ROOT}dataset/{ONE}": json.dumps(dataset())})


def test_a_dataset_that_was_deleted_is_no_longer_there():
    documents = {f"{ROOT}dataset/{ONE}": json.dumps(dataset(deleted="2024-01-02T00:00:00"))}
    assert read_all(reader(datasets=(ONE,)), documents) == []


def page(*datasets, end=True, count=None):
    return json.dumps({"offset": 0, "limit": 1000, "endOfRecords": end, "count": count, "results": datasets})


def listed(begin, what="dataset?type=CHECKLIST&"):
    return f"{ROOT}{what}limit=1000&offset={begin}"


def test_lists_are_read_to_their_end():
    documents = {listed(0): page(dataset(), end=False), listed(1): page(dataset(TWO))}
    assert list(stats(read_all(reader(search={"type": "CHECKLIST"}), documents))) == [
        f"{ONE}/dwca.zip",
        f"{TWO}/dwca.zip",
    ]
    theirs = {listed(0, f"organization/{TWO}/publishedDataset?"): page(dataset())}
    assert list(stats(read_all(reader(publishers=(TWO,)), theirs))) == [f"{ONE}/dwca.zip"]


@pytest.mark.promise("P5")
def test_datasets_that_were_announced_and_did_not_come_make_a_list_incomplete():
    with pytest.raises(DocumentError, match="3 datasets were announced, and the list ends after 1"):
        read_all(reader(search={"type": "CHECKLIST"}), {listed(0): page(dataset(), count=3)})
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        read_all(
            reader(search={"type": "CHECKLIST"}), dict.fromkeys((listed(0), listed(1)), page(dataset(), end=False))
        )


def test_datasets_of_which_no_file_server_has_an_archive_are_noted_with_their_number():
    biocase = [{"type": "BIOCASE", "url": "https://biocase.example/pywrapper.cgi?dsa=x"}]
    documents = {listed(0): page(dataset(), dataset(TWO, endpoints=biocase), dataset(TWO[::-1], endpoints=[]))}
    found = read_all(reader(search={"type": "CHECKLIST"}), documents)
    assert list(stats(found)) == [f"{ONE}/dwca.zip"]
    assert notes(found) == ["datasets without an endpoint of DWC_ARCHIVE have no file to copy"] * 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            page(dataset(), count=100_001),
            "has 100001 datasets, of which the registry returns 100000: narrow the search",
        ),
        (page(end=False), "a page without datasets that is not the last"),
        ("{}", "not a list of datasets"),
        (page({"type": "CHECKLIST"}), "a dataset without a key"),
    ],
)
def test_a_list_that_cannot_be_had_whole_is_told(body, said):
    with pytest.raises(DocumentError, match=said):
        read_all(reader(search={"type": "CHECKLIST"}), {listed(0): body})


def test_a_download_has_a_size_and_no_digest():
    job = {
        "key": DOWNLOAD,
        "status": "SUCCEEDED",
        "size": 943,
        "downloadLink": f"{ROOT}x/{DOWNLOAD}.zip",
        "totalRecords": 0,
    }
    documents = {f"{ROOT}occurrence/download/{DOWNLOAD}": json.dumps(job)}
    assert read_all(reader(downloads=(DOWNLOAD,)), documents) == [
        Stat(f"{DOWNLOAD}.zip", 943, version=f"download:{DOWNLOAD}", urls=(f"{ROOT}x/{DOWNLOAD}.zip",))
    ]
    del job["downloadLink"]
    documents = {f"{ROOT}occurrence/download/{DOWNLOAD}": json.dumps(job)}
    (stat,) = read_all(reader(downloads=(DOWNLOAD,)), documents)
    assert stat.urls == (f"{ROOT}occurrence/download/request/{DOWNLOAD}.zip",)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("PREPARING", "still being prepared"),
        ("FILE_ERASED", "is not available .FILE_ERASED.*ask GBIF for a new one"),
        (None, "no status"),
    ],
)
def test_a_download_that_is_not_there_is_told(status, said):
    with pytest.raises(DocumentError, match=said):
        read_all(
            reader(downloads=(DOWNLOAD,)), {f"{ROOT}occurrence/download/{DOWNLOAD}": json.dumps({"status": status})}
        )


FEED = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:ipt="http://ipt.gbif.org/" xmlns:atom="http://www.w3.org/2005/Atom"><channel><title>IPT</title><ttl>15</ttl>
<item><title>Birds - Version 2.0</title><link>https://ipt.example/resource?r=birds</link>
 <ipt:eml>https://ipt.example/eml.do?r=birds</ipt:eml><ipt:dwca>https://ipt.example/archive.do?r=birds</ipt:dwca>
 <pubDate>Wed, 26 Jun 2013 09:45:46 +0000</pubDate><guid isPermaLink="false">d7dddbf4/v2.0</guid></item>
<item><title>Metadata alone</title><ipt:eml>https://ipt.example/eml.do?r=none</ipt:eml><guid>9/v1</guid></item>
<item><title>A package</title><ipt:metadata>https://ipt.example/metadata.do?r=a%2Fb</ipt:metadata>
 <ipt:archive>https://ipt.example/archive.do?r=traps</ipt:archive><guid>8/v1.1</guid></item></channel></rss>"""


METADATA_ONLY = ReaderWarning("datasets that have metadata only have no archive to copy")


@pytest.mark.promise("P5")
def test_a_feed_that_may_leave_out_older_datasets_is_no_complete_list():
    items = "".join(f"<item><guid>{n}/v1</guid><dwca>{IPT}archive.do?r=d{n}</dwca></item>" for n in range(10))
    with pytest.raises(DocumentError, match=r"a feed of 10 datasets may leave out older ones: read the inventory"):
        read_all(reader(IPT, ipt="feed"), {f"{IPT}rss.do": f"<rss><channel>{items}</channel></rss>"})


def test_a_feed_tells_archives_and_their_versions():
    assert read_all(reader(IPT, ipt="feed"), {f"{IPT}rss.do": FEED}) == [
        Stat("birds/dwca.zip", version="ipt:d7dddbf4/v2.0", urls=("https://ipt.example/archive.do?r=birds",)),
        METADATA_ONLY,
        Stat("traps/dwca.zip", version="ipt:8/v1.1", urls=("https://ipt.example/archive.do?r=traps",)),
    ]
    chosen = stats(read_all(reader(IPT, ipt="feed", endpoints=("DWC_ARCHIVE", "EML")), {f"{IPT}rss.do": FEED}))
    assert sorted(chosen) == ["a%2Fb/eml.xml", "birds/dwca.zip", "birds/eml.xml", "none/eml.xml", "traps/dwca.zip"]


INVENTORY = json.dumps(
    {
        "registeredResources": [
            {
                "title": "Birds", "type": "Occurrence", "records": 3, "lastPublished": "2013-06-25", "gbifKey": ONE,
                "eml": "https://ipt.example/eml.do?r=birds", "dwca": "https://ipt.example/archive.do?r=birds", "version": 2.1,
            },
            {"title": "Fish", "gbifKey": TWO, "dwca": "https://ipt.example/download/fish", "version": "1.0"},
        ]
    }
)  # fmt: skip


def test_an_inventory_tells_all_archives_with_their_versions():
    assert read_all(reader(IPT, ipt="inventory"), {f"{IPT}inventory/dataset": INVENTORY}) == [
        Stat("birds/dwca.zip", version="ipt:2013-06-25", urls=("https://ipt.example/archive.do?r=birds",)),
        Stat(f"{TWO}/dwca.zip", version="ipt:1.0", urls=("https://ipt.example/download/fish",)),
    ]


@pytest.mark.parametrize(
    "wrong", [{}, {"datasets": ("x",)}, {"ipt": "feed", "datasets": (ONE,)}, {"downloads": ("../1",)}]
)
def test_a_manifest_that_asks_for_nothing_or_for_what_nobody_has_is_told(wrong):
    with pytest.raises(ValidationError):
        GbifOptions(**wrong)


@settings(max_examples=40)
@given(broken(page(dataset(), dataset(TWO), end=False)))
def test_a_broken_list_is_a_document_error(body):
    chosen = reader(search={"type": "CHECKLIST"})
    for one in survives(chosen, next(iter(chosen.start())), body):
        assert not isinstance(one, Stat) or (one.digests, one.size) == ({}, None)


@settings(max_examples=40)
@given(broken(FEED) | broken(INVENTORY))
def test_a_broken_feed_or_inventory_is_a_document_error(body):
    for kind in ("feed", "inventory"):
        chosen = reader(IPT, ipt=kind)
        survives(chosen, next(iter(chosen.start())), body)
