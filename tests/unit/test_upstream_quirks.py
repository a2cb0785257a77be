"""Unexpected behaviour that real upstreams showed, each by its number in the list of them."""

import base64
import gzip
import hashlib
import json
import re
from datetime import date

import pytest

from manifests.digest import Hasher, could_be_cut, parse_digest, parse_multihash
from manifests.readers import (
    autoindex,
    bagit,
    checksums,
    cmr,
    croissant,
    dataverse,
    figshare,
    gbif,
    metalink,
    ncbi,
    odata,
    s3_inventory,
    stac,
    stac_options,
    thredds,
    zenodo,
)
from manifests.reading.document import DocumentError, ReaderWarning
from manifests.reading.reader import built_in
from manifests.stat import Stat, UnsafePath, check_path
from syncd.core.errors import Mismatch
from syncd.engine.verdict import ReceivedFile, decide_verdict, hash_algorithms
from tests.miniatures.checklistbank import coldp
from tests.miniatures.stac import Stac
from tests.unit.reader_harness import Source, answer, follows, read_all, stats
from transports.http.headers import digests

EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
LANDSAT = "40733ca28b19f80390c47ef0b7e456accc998f445947f5b95e03509363b22860c29b36563f5c5530fb6e61e2a10a0ffd2d616c4822288cae398ce8a47ea5494c1b"
MD5 = "246e75874963b153bfd517320f4e891e"


def opened(module, url="https://archive.example/", **options):
    return module.open_reader(Source(url, module.READER.options(**options)))


def test_1_a_multihash_field_holds_a_bare_md5():
    assert parse_multihash("13" + LANDSAT) == ("sha512", LANDSAT[2:])
    for bare in ("dd3cc7ed9a831bfe915c87e45638c48c", "43cffe252dc0eacac1f462a27e833b87"):
        assert parse_multihash(bare) is None
        assert parse_digest(bare) == ("md5", bare)


def test_2_a_bare_md5_reads_as_a_multihash_cut_short():
    for value in ("120e" + EMPTY[:28], "110e" + EMPTY[:28], "130e" + EMPTY[:28], "160e" + EMPTY[:28]):
        assert parse_multihash(value) is None, "only whole digests are taken for one"
        assert could_be_cut(value)
    assert not could_be_cut(EMPTY)


def landsat(*assets):
    items = [
        {
            "type": "Feature",
            "id": f"i{n}",
            "collection": "c",
            "properties": {"updated": "2024-05-01T00:00:00Z"},
            "assets": {"B2": asset},
        }
        for n, asset in enumerate(assets)
    ]
    reader = stac.open_reader(Source("https://h/", stac_options.StacOptions(collections=("c",))), date(2024, 5, 1))
    return reader.read(answer(next(iter(reader.start())), json.dumps({"features": items, "links": []})))


def test_1_a_publisher_of_stac_who_writes_bare_md5s_is_believed_and_that_is_said():
    bare = {"href": "https://h/B2.TIF", "file:checksum": "dd3cc7ed9a831bfe915c87e45638c48c"}
    found = list(landsat(bare))
    assert next(iter(stats(found).values())).digests == {"md5": "dd3cc7ed9a831bfe915c87e45638c48c"}
    assert any(isinstance(one, ReaderWarning) and "bare hex" in one.text for one in found)


def test_2_what_a_checksum_is_its_publisher_decides_and_no_single_value():
    cut = {"href": "https://h/cut.TIF", "file:checksum": "120e" + EMPTY[:28]}
    whole = {"href": "https://h/whole.TIF", "file:checksum": "13" + LANDSAT}
    bare = {"href": "https://h/bare.TIF", "file:checksum": EMPTY}
    assert stats(landsat(cut, bare))["i0/cut.TIF"].digests == {"md5": "120e" + EMPTY[:28]}
    found = list(landsat(cut, whole))
    assert stats(found)["i0/cut.TIF"].digests == {}
    assert any(isinstance(one, ReaderWarning) and "truncated" in one.text for one in found)


def test_12_items_of_landsat_without_a_checksum_or_a_size_are_files_all_the_same():
    (stat,) = stats(landsat({"href": "https://h/B2.TIF"})).values()
    assert (stat.size, stat.digests, stat.version) == (None, {}, "updated:2024-05-01T00:00:00Z")


def test_11_products_of_copernicus_without_a_checksum_and_of_length_0_are_files_all_the_same():
    row = {
        "Id": "1",
        "Name": "S2A.SAFE",
        "Checksum": [],
        "ContentLength": 0,
        "EvictionDate": "",
        "ContentDate": {"Start": "2015-07-04T10:10:06.027Z"},
    }
    reader = odata.open_reader(Source("https://h/", odata.OdataOptions(collections=("SENTINEL-2",))), date(2024, 5, 1))
    found = reader.read(answer(next(iter(reader.start())), json.dumps({"value": [row]})))
    (stat,) = stats(found).values()
    assert (stat.path, stat.size, stat.digests) == ("2015/07/04/S2A.SAFE.zip", None, {})


@pytest.mark.parametrize(
    ("entry", "size", "digests"),
    [
        ({"Name": "Not provided", "Size": 2.015649, "SizeInBytes": 2015649, "Checksum": {"Value": "44" * 32, "Algorithm": "SHA-256"}, "SizeUnit": "MB"}, 2015649, {"sha256": "44" * 32}),
        ({"Name": "Not provided", "Size": 65.8373498916626, "SizeInBytes": 69035465, "SizeUnit": "MB"}, 69035465, {}),
        ({"Name": "Not provided", "Size": 6.69670295715332, "SizeUnit": "MB"}, None, {}),
        ({"Name": "Not provided", "Size": 589.2875518799, "SizeUnit": "NA"}, None, {}),
    ],
)  # fmt: skip
def test_13_granules_without_a_name_a_unit_or_a_checksum_are_files_all_the_same(entry, size, digests):
    def granule(*urls):
        links = [{"URL": url, "Type": "GET DATA"} for url in urls]
        return {
            "umm": {
                "GranuleUR": "g",
                "RelatedUrls": links,
                "DataGranule": {"ArchiveAndDistributionInformation": [entry]},
            }
        }

    reader = cmr.open_reader(Source("https://h/", cmr.CmrOptions(collections=("C1-X",))), date(2024, 5, 1))

    def read(*urls):
        page = json.dumps({"hits": 1, "items": [granule(*urls)]})
        return list(stats(reader.read(answer(next(iter(reader.start())), page))).values())

    (stat,) = read("https://h/x.nc")
    assert (stat.size, stat.digests) == (size, digests)
    assert [(stat.size, stat.digests) for stat in read("https://h/x.nc", "https://h/y.nc")] == [(None, {})] * 2


def test_14_a_login_page_that_comes_with_200_is_not_taken_for_a_file():
    page = b"<!DOCTYPE html>\n<html><head><title>Earthdata Login</title></head><body></body></html>"
    for promised in (Stat("x.hdf"), Stat("x.hdf", size=69035465), Stat("x.hdf", digests={"md5": EMPTY})):
        hasher = Hasher(hash_algorithms(promised.digests))
        hasher.update(page)
        answered = Stat("x.hdf", len(page))
        with pytest.raises(Mismatch):
            decide_verdict(
                promised, ReceivedFile(answered, len(page), hasher.hexdigests(), page, "text/html", "https://h/x.hdf")
            )


def test_21_an_item_that_came_without_its_bands_is_read_again_when_they_are_there():
    upstream = Stac("merge")
    complete = dict(upstream.files)
    upstream.files = {path: body for path, body in complete.items() if path.endswith("MTL.json")}
    reader = stac.open_reader(Source("https://h/stac/", stac_options.StacOptions(collections=("c",))), date(2024, 5, 1))

    def listed():
        follow, page = next(iter(reader.start())), {"features": upstream.items("https://h"), "links": []}
        return set(stats(reader.read(answer(follow, json.dumps(page)))))

    assert {path.removeprefix("landsat-c2l2-sr/") for path in listed()} == set(upstream.files)
    upstream.files = complete
    assert {path.removeprefix("landsat-c2l2-sr/") for path in listed()} == set(complete)


def test_3_content_md5_is_hex_where_base64_is_the_rule():
    whole = {"content-length": "0"}
    assert digests({**whole, "content-md5": EMPTY}) == {"md5": EMPTY}
    assert digests({**whole, "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}) == {"md5": EMPTY}


def test_8_a_field_named_sha256_holds_an_md5():
    assert parse_digest(EMPTY, "sha256") == ("md5", EMPTY)
    assert parse_digest("1B2M2Y8AsgTpgAmY7PhCfg==", "sha256") == ("md5", EMPTY)


def test_15_what_is_made_of_parts_is_no_digest_of_the_object():
    assert digests({"x-amz-checksum-sha256": "MvOzZfmoSS0LSvTdk1PfrPnrdyNkiCHnsMt8sa2pmDs=-4"}) == {}
    composite = {"x-amz-checksum-crc32c": "yZRlqg==", "x-amz-checksum-type": "COMPOSITE"}
    assert digests(composite) == {}
    assert digests({**composite, "x-amz-checksum-type": "FULL_OBJECT"}) == {"crc32c": "c99465aa"}
    assert digests({"etag": f'"{EMPTY}-14"'}) == {}
    assert parse_digest(f"{EMPTY}-14") is None


def test_5_physionet_writes_one_space_between_digest_and_name():
    sums = (
        "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 admissions.csv\n"
        "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  starts with a space.csv\n"
    )
    found = stats(read_all(opened(checksums, checksums=("SHA256SUMS.txt",)), {"SHA256SUMS.txt": sums}))
    assert list(found) == ["admissions.csv", " starts with a space.csv", "SHA256SUMS.txt"]
    assert found["admissions.csv"].digests["sha256"].startswith("5891b5b5")


def test_6_a_sidecar_of_pubmed_is_written_by_openssl():
    name = "pubmed/baseline/pubmed22n0002.xml.gz"
    sidecar = f"MD5(pubmed22n0002.xml.gz)= {MD5}\n"
    assert len(sidecar) == 60
    for module, options in ((ncbi, {"singles": (name,)}), (checksums, {"checksums": (f"{name}.md5",)})):
        found = stats(read_all(opened(module, **options), {f"{name}.md5": sidecar}))
        assert found[name].digests == {"md5": MD5}


def test_7_uniprot_and_asf_still_write_metalink_3():
    body = (
        '<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="S1A.zip"><resources>'
        '<url type="http">https://datapool.example/S1A.zip</url></resources></file></files></metalink>'
    )
    found = stats(read_all(opened(metalink, lists=("Fairbanks_SLC.metalink",)), {"Fairbanks_SLC.metalink": body}))
    assert found["S1A.zip"].urls == ("https://datapool.example/S1A.zip",)


def test_10_the_digest_of_a_table_in_dataverse_is_of_the_original():
    held = {"id": 8, "filesize": 900, "md5": MD5, "originalFileFormat": "text/csv", "originalFileSize": 700}
    body = {"data": {"latestVersion": {"files": [{"label": "survey.tab", "dataFile": held}]}}}
    chosen = opened(dataverse, datasets=("doi:10.5/x",))
    (stat,) = chosen.read(answer(next(iter(chosen.start())), json.dumps(body)))
    assert stat.urls == ("https://archive.example/api/access/datafile/8?format=original",)
    assert (stat.path, stat.size, stat.digests) == ("survey.csv", 700, {"md5": MD5})


@pytest.mark.parametrize("name", ["../escape", "a/../../escape", "/etc/passwd", "..\\escape", "C:\\x", "./../x"])
@pytest.mark.parametrize("is_three", [False, True])
def test_18_a_metalink_that_leads_out_of_the_source_is_refused_where_all_paths_are(name, is_three):
    file = f'<file name="{name}"/>'
    space = "http://www.metalinker.org/" if is_three else "urn:ietf:params:xml:ns:metalink"
    body = f'<metalink xmlns="{space}">{f"<files>{file}</files>" if is_three else file}</metalink>'
    for place in ("list.metalink", "deep/er/list.metalink"):
        stat, _ = read_all(opened(metalink, lists=(place,)), {place: body})
        with pytest.raises(UnsafePath):
            check_path(stat.path)


def test_20_a_zip_of_gbif_without_a_digest_must_end_in_its_directory():
    key = "0040513-240906103802322"
    for body, is_whole in ((coldp("occurrences"), True), (coldp("occurrences")[:-40], False)):
        job = {"key": key, "status": "SUCCEEDED", "size": len(body)}
        chosen = opened(gbif, "https://api.gbif.example/v1/", downloads=(key,))
        (stat,) = chosen.read(answer(next(iter(chosen.start())), json.dumps(job)))
        hasher = Hasher(hash_algorithms(path=stat.path))
        hasher.update(body)
        arrived = ReceivedFile(stat, len(body), hasher.hexdigests(), body[:1024], "application/zip", stat.urls[0])
        if is_whole:
            assert decide_verdict(stat, arrived) == "attested"
        else:
            with pytest.raises(Mismatch, match="the zip file is incomplete"):
                decide_verdict(stat, arrived)


def test_22_gbif_stops_at_a_hundred_thousand_rows_and_zenodo_at_ten_thousand():
    chosen = opened(gbif, search={"type": "OCCURRENCE"})
    page = {"endOfRecords": False, "count": 100_001, "results": []}
    with pytest.raises(DocumentError, match="narrow the search"):
        list(chosen.read(answer(next(iter(chosen.start())), json.dumps(page))))
    chosen = opened(zenodo, query="climate")
    with pytest.raises(DocumentError, match="narrow the query"):
        list(chosen.read(answer(next(iter(chosen.start())), '{"hits": {"total": 10001, "hits": []}}')))


def test_22_figshare_is_read_past_its_thousandth_row_from_the_day_on_where_it_stopped():
    chosen = opened(figshare, group="7", page_size=500)
    (follow,) = chosen.start()
    for page in (1, 2):
        rows = [{"id": page * 500 + n, "published_date": f"2024-0{page}-01T00:00:00Z"} for n in range(500)]
        follow = follows(chosen.read(answer(follow, json.dumps(rows))))[-1]
    assert "page=1&" in follow.url
    assert follow.url.endswith("published_since=2024-02-01")


# Formats of exchange


def test_4_the_integrity_of_a_wis2_notification_is_base64_or_hex_and_one_that_was_shortened_is_none():
    method = "sha512"  # no reader of ours takes notifications yet: this is what one will read values with
    good = "lT7r2ekzrb3np7Jqk7vACk5qclFUxZXkEqgt1hqU3Tz+4/IaZZnb2KQxFw502Bn0o4v+++ImukvaE7EelTSfoA=="
    violating = (
        "5a4cae86ee22d91f349ac51e24db08eba33f42950bdb295a78fdd00532bffc92"
        "4bffa9e40b7d246e0b3629d4d7b2398e54710179e611d42aa9ef86ec0f2599e5"
    )
    assert parse_digest(good, method) == (method, base64.b64decode(good).hex())
    assert parse_digest(violating, method) == (method, violating)
    assert parse_digest("A2KNxvks...S8qfSCw==", method) is None


def test_8_a_sha256_of_croissant_that_is_as_long_as_an_md5_is_one_and_a_placeholder_is_none():
    placeholder = "https://github.com/mlcommons/croissant/issues/80"
    for value, promised in ((MD5, {"md5": MD5}), (placeholder, {}), ("b" * 64, {"sha256": "b" * 64})):
        described = {"distribution": [{"@type": "cr:FileObject", "contentUrl": "a.csv", "sha256": value}]}
        found = stats(read_all(opened(croissant), {"croissant.json": json.dumps(described)}))
        assert found["a.csv"].digests == promised


@pytest.mark.parametrize(
    ("units", "said", "size"),
    [("Kbytes", "11.75", None), ("Mbytes", "2", None), ("bytes", "452", 452), ("bytes", "4.5", None)],
)
def test_9_the_size_in_a_thredds_catalog_is_rounded_and_no_size(units, said, size):
    body = (
        '<catalog xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0"><service name="h" '
        'serviceType="HTTPServer" base="/f/"/><dataset name="x" urlPath="x.nc" serviceName="h">'
        f'<dataSize units="{units}">{said}</dataSize></dataset></catalog>'
    )
    found = stats(read_all(opened(thredds), {"https://archive.example/catalog.xml": body}))
    assert found["x.nc"].size == size


def test_15_an_etag_of_many_parts_in_an_inventory_is_a_version_and_no_digest():
    etag = "d41d8cd98f00b204e9800998ecf8427e-12"
    body = gzip.compress(f'"bucket","k","5","{etag}"\n"bucket","l","5","{MD5}"\n'.encode())
    md5 = hashlib.md5(body).hexdigest()
    files = [{"key": "data/1.csv.gz", "size": len(body), "MD5checksum": md5}]
    manifest = {"sourceBucket": "bucket", "fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, ETag", "files": files}
    text = json.dumps(manifest)
    place = "s3://lists/inv"
    chosen = opened(s3_inventory, "s3://bucket/", inventory=place, manifest="2024")
    documents = {
        f"{place}/2024/manifest.checksum": hashlib.md5(text.encode()).hexdigest(),
        f"{place}/2024/manifest.json": text,
        "s3://lists/data/1.csv.gz": body,
    }
    found = stats(read_all(chosen, documents))
    assert (found["k"].version, found["k"].digests) == (f'"{etag}"', {})
    assert (found["l"].version, found["l"].digests) == (f'"{MD5}"', {})


@pytest.mark.parametrize(("version", "is_valid"), [("0.97", True), ("1.0", False)])
def test_16_the_same_line_twice_makes_a_bag_invalid_only_from_1_0_on(version, is_valid):
    documents = bag(version, "data/a", f"{MD5}  data/a\n")
    if is_valid:
        assert stats(read_all(opened(bagit), documents))["data/a"].digests == {"md5": MD5}
    else:
        with pytest.raises(DocumentError, match=r"lists 'data/a' twice, which BagIt 1\.0 forbids"):
            read_all(opened(bagit), documents)


def bag(version, path, more=""):
    declared = f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n"
    return {"bagit.txt": declared, "manifest-md5.txt": f"{MD5}  {path}\n{more}"}


def test_17_nginx_cuts_the_names_that_it_shows_after_fifty_characters():
    name = "ceph-base_17.2.6-pve1%2B3_with_a_very_long_name_indeed_amd64.changelog"
    page = (
        '<html><head><title>Index of /</title></head><body><h1>Index of /</h1><hr><pre><a href="../">../</a>\n'
        f'<a href="{name}">{name[:47]}..&gt;</a> 04-Aug-2023 10:24                5231\n</pre></body></html>'
    )
    chosen = opened(autoindex)
    (follow,) = chosen.start()
    assert list(stats(chosen.read(answer(follow, page)))) == [name.replace("%2B", "+")]


@pytest.mark.parametrize("path", ["data/../../escape", "data/..", "data/./x", "data//x", "data/a\\b"])
def test_18_a_bag_that_leads_out_of_itself_is_refused_where_all_paths_are(path):
    documents = bag("0.97", path)
    documents["fetch.txt"] = f"https://archive.example/x - {path}\nhttps://archive.example/y - ../../{path}\n"
    found = [one for one in stats(read_all(opened(bagit), documents)) if one not in documents]
    assert len(found) == 2
    for one in found:
        with pytest.raises(UnsafePath):
            check_path(one)


def test_19_no_reader_of_ours_compares_the_sequencers_of_s3_events():
    """Vendors disagree on how they are padded; a listing or an inventory says what is there, whatever came first."""
    assert not [name for name in built_in() if "event" in name or "notification" in name]


def test_each_of_the_22_surprises_has_a_test_that_names_it():
    named = {int(found[1]) for name in globals() if (found := re.match(r"test_(\d+)_", name))}
    assert named == set(range(1, 23))
