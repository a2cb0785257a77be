"""The catalogues of NASA and Copernicus: granules, products and folders, read from what they were seen to answer."""

import json
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st

from manifests.model.mirror import ManifestError, load_mirror
from manifests.readers import cmr, laads, odata
from manifests.reading.document import Cursor, Deleted, DocumentError, DocumentRequest, Gap, ReaderWarning, Selected
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, follows, stats, unselected

DAY = date(2024, 5, 31)
CMR = "https://cmr.earthdata.nasa.gov/search/"
ODATA = "https://catalogue.dataspace.copernicus.eu/odata/v1/"
LAADS = "https://ladsweb.modaps.eosdis.nasa.gov/archive/allData/61/MOD09GA/"
MD5 = "d96387295ea979fb8f7b9aa5f231c4ab"
SHA256 = "449827b2ede5fe14d716f39d06d6338c96032b26ec0fb3225a73d9ed45f0409f"
NOW = "Fri, 31 May 2024 12:10:00 GMT"


def opened(module, url, **options):
    return module.open_reader(Source(url, module.READER.options.model_validate(options)), DAY)


def repository(**options):
    return opened(cmr, CMR, **(options or {"collections": ("C1996881146-POCLOUD",)}))


def copernicus(**options):
    return opened(odata, ODATA, **({"collections": ("SENTINEL-1",)} | options))


def read(reader, body, follow=None, **headers):
    follow = follow or next(iter(reader.start()))
    body = body if isinstance(body, bytes) else json.dumps(body)
    return unselected(reader.read(answer(follow, body, **headers)))


def granule(*entries, urls=(), **more):
    links = urls or [{"URL": "https://archive.example/protected/x.nc", "Type": "GET DATA"}]
    extent = {"RangeDateTime": {"BeginningDateTime": "2002-06-02T09:00:00.000Z"}}
    umm = {"GranuleUR": "x", "RelatedUrls": links, "TemporalExtent": extent}
    umm |= {"DataGranule": {"ArchiveAndDistributionInformation": list(entries)}, **more}
    return {"meta": {"concept-id": "G1", "revision-date": "2024-05-01T00:00:00.000Z"}, "umm": umm}


def granules(*rows, hits=None):
    return {"hits": len(rows) if hits is None else hits, "took": 5, "items": list(rows)}


# CMR


def test_a_granule_of_podaac_is_a_file_with_its_size_and_digest():
    entry = {
        "Name": "x.nc",
        "SizeUnit": "MB",
        "Size": 4.31,
        "SizeInBytes": 4521491,
        "Checksum": {"Value": MD5, "Algorithm": "MD5"},
    }
    s3 = {"URL": "s3://podaac-ops-cumulus-protected/x.nc", "Type": "GET DATA VIA DIRECT ACCESS"}
    https = {"URL": "https://archive.example/protected/x.nc", "Type": "GET DATA"}
    md5 = {"URL": "https://archive.example/protected/x.nc.md5", "Type": "EXTENDED METADATA"}
    row = granule(entry, urls=[s3, https, md5, {"URL": "https://opendap.example/x.nc.html", "Type": "USE SERVICE API"}])
    assert read(repository(), granules(row)) == [
        Stat("2002/06/02/x.nc", 4521491, digests={"md5": MD5}, urls=(https["URL"], s3["URL"]))
    ]
    preferred = repository(collections=("C1-X",), prefer=("s3",), metadata=True)
    found = stats(read(preferred, granules(row)))
    assert found["2002/06/02/x.nc"].urls == (s3["URL"],)
    assert set(stats(read(repository(collections=("C1-X",), metadata=True), granules(row)))) == {
        "2002/06/02/x.nc",
        "2002/06/02/x.nc.md5",
    }


def test_the_repository_is_asked_for_what_the_manifest_wants():
    reader = repository(
        short_name="MOD09GA", version="061", datetime="2024-01-01/2024-01-31", bbox=(115, 39, 117.5, 41),
        search={"day_night_flag": "day", "options[platform][pattern]": ["true"]}, page=50,
    )  # fmt: skip
    (first,) = reader.start()
    assert first.url.startswith(f"{CMR}granules.umm_json?")
    assert parse_qs(urlsplit(first.url).query) == {
        "page_size": ["50"], "short_name": ["MOD09GA"], "version": ["061"], "bounding_box[]": ["115,39,117.5,41"],
        "temporal[]": ["2024-01-01T00:00:00Z,2024-01-31T23:59:59Z"], "day_night_flag": ["day"],
        "options[platform][pattern]": ["true"],
    }  # fmt: skip


def test_the_search_goes_on_with_the_header_until_there_is_none():
    after = '["pocloud",1719875499905,3146375711]'
    found = read(repository(), granules(granule(), hits=1), cmr_search_after=after)
    (following,) = follows(found)
    assert following.headers["cmr-search-after"] == after
    assert following.url == next(iter(repository().start())).url
    assert not follows(read(repository(), granules(hits=1), following))
    with pytest.raises(DocumentError, match="names itself"):
        read(repository(), granules({**granule(), "meta": {}}, hits=3), following, cmr_search_after=after)
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        read(repository(), granules(granule(), hits=3), following, cmr_search_after='["another"]')


@pytest.mark.promise("P5")
def test_a_partial_answer_makes_a_search_incomplete_and_so_do_granules_that_were_announced_and_did_not_come():
    with pytest.raises(DocumentError, match="only part of the answer arrived"):
        read(repository(), granules(granule()), cmr_timed_out="true")
    with pytest.raises(DocumentError, match="9 granules were announced"):
        read(repository(collections=("C1-X",), page=1), granules(granule(), hits=9))
    with pytest.raises(DocumentError, match="9 granules were announced, and the list ends after 1"):
        read(repository(), {"items": [granule()]}, cmr_hits="9")
    with pytest.raises(DocumentError, match="9 granules were announced, and the list ends after 1"):
        read(repository(), granules(granule(), hits=9))


def test_a_granule_that_only_another_kind_of_url_reaches_is_told_and_one_without_files_noted():
    row = granule(urls=[{"URL": "ftp://old.example/x.nc", "Type": "GET DATA"}])
    with pytest.raises(DocumentError, match="granule x: has no url of https, http, s3"):
        read(repository(), granules(row))
    assert read(repository(), granules(granule(urls=[{"URL": "https://h/", "Type": "VIEW RELATED INFORMATION"}]))) == [
        ReaderWarning("granules without a file were skipped")
    ]


def test_a_checksum_that_we_cannot_check_is_said_and_the_file_stays():
    entry = {"Name": "x.nc", "SizeInBytes": 5, "Checksum": {"Value": "12345", "Algorithm": "Fletcher-32"}}
    note, stat = read(repository(), granules(granule(entry)))
    assert note == ReaderWarning("checksums by Fletcher-32 cannot be checked")
    assert (stat.size, stat.digests, stat.version) == (5, {}, "revised:2024-05-01T00:00:00.000Z")


def test_files_within_packages_are_known_by_their_names():
    package = {
        "Name": "all.zip",
        "Files": [{"Name": "x.nc", "SizeInBytes": 7, "Checksum": {"Value": SHA256, "Algorithm": "SHA-256"}}],
    }
    (stat,) = read(repository(), granules(granule(package)))
    assert (stat.size, stat.digests) == (7, {"sha256": SHA256})


def test_after_a_whole_survey_only_revisions_are_asked_for_and_deletions_bring_back_the_whole():
    reader = repository()
    (mark, _) = read(reader, granules(granule()), date=NOW)
    assert mark == Cursor("2024-05-31T12:00:00Z")
    revised, deleted = reader.resume(mark.value)
    assert parse_qs(urlsplit(revised.url).query)["revision_date[]"] == ["2024-05-31T12:00:00Z,"]
    assert parse_qs(urlsplit(deleted.url).query) == {
        "revision_date": [mark.value], "page_size": ["2000"], "parent_collection_id": ["C1996881146-POCLOUD"],
    }  # fmt: skip
    assert read(reader, [], deleted) == []
    with pytest.raises(Gap, match="granules were deleted"):
        read(reader, [{"granule-ur": "ur2", "revision-date": "2017-09-07T18:51:39+0000"}], deleted)
    with pytest.raises(Gap):
        reader.resume("2023-05-01T00:00:00Z")


# Copernicus


def product(**more):
    return {
        "@odata.mediaContentType": "application/octet-stream", "Id": "67360f3a-f36b-11ef-9d3f-0050561a7772",
        "Name": "S1A_AUX_INS_V20140406T010000_G20140409T142540.SAFE", "ContentLength": 728976, "Online": True,
        "PublicationDate": "2025-07-17T11:55:07.282635Z", "ModificationDate": "2025-10-10T17:56:18.034265Z",
        "S3Path": "/eodata/Sentinel-1/AUX/AUX_INS/2014/04/06/S1A.SAFE.zip", "EvictionDate": "9999-12-31T23:59:59.999999Z",
        "Checksum": [
            {"Value": "23383d85c5231487ce13d1c10aeb8e7b", "Algorithm": "MD5", "ChecksumDate": "2025-10-10T17:56:17.610209Z"},
            {"Value": "6a7eacd5bd2ac39a1761270e3194302951d4db3a3ca44d0f2917b4473c45e955", "Algorithm": "BLAKE3"},
        ],
        "ContentDate": {"Start": "2014-04-06T01:00:00.000000Z", "End": "2014-04-06T01:00:00.000000Z"}, **more,
    }  # fmt: skip


def filter_of(follow):
    return {name: value[0] for name, value in parse_qs(urlsplit(follow.url).query).items()}


def test_a_product_is_an_archive_with_both_its_checksums():
    (stat,) = read(copernicus(), {"value": [product()]})
    assert stat == Stat(
        "2014/04/06/S1A_AUX_INS_V20140406T010000_G20140409T142540.SAFE.zip", 728976,
        digests={
            "md5": "23383d85c5231487ce13d1c10aeb8e7b",
            "blake3": "6a7eacd5bd2ac39a1761270e3194302951d4db3a3ca44d0f2917b4473c45e955",
        },
        urls=("https://download.dataspace.copernicus.eu/odata/v1/Products(67360f3a-f36b-11ef-9d3f-0050561a7772)/$value",),
    )  # fmt: skip
    legacy = {"Value": "23383D85C5231487CE13D1C10AEB8E7B", "Algorithm": "MD5"}  # of the hubs before
    (stat,) = read(copernicus(), {"value": [product(Checksum=legacy)]})
    assert stat.digests == {"md5": "23383d85c5231487ce13d1c10aeb8e7b"}


def test_the_catalogue_is_asked_for_what_the_manifest_wants():
    reader = copernicus(
        collections=("SENTINEL-1", "O'B"), datetime="2024-01-01/2024-01-31", bbox=(170, -10, -170, 10),
        filter="contains(Name,'GRD')", page=7,
    )  # fmt: skip
    assert filter_of(next(iter(reader.start()))) == {
        "$filter": "(contains(Name,'GRD')) and (Collection/Name eq 'SENTINEL-1' or Collection/Name eq 'O''B') and Online eq true"
        " and ContentDate/Start ge 2024-01-01T00:00:00Z and ContentDate/Start le 2024-01-31T23:59:59Z"
        " and OData.CSC.Intersects(area=geography'SRID=4326;MULTIPOLYGON(((170 -10,180 -10,180 10,170 10,170 -10)),"
        "((-180 -10,-170 -10,-170 10,-180 10,-180 -10)))')",
        "$orderby": "PublicationDate asc", "$top": "7", "$count": "True",
    }  # fmt: skip


def walk(dates, top):
    """What the pages of a catalogue with these publication dates bring, and how far `$skip` went."""
    rows = [product(Id=f"{n:05}", Name=f"p{n}", PublicationDate=day) for n, day in enumerate(sorted(dates))]
    reader = copernicus(page=top)
    (follow,), found, skips = reader.start(), [], []
    while follow is not None:
        words = filter_of(follow)
        since = words["$filter"].partition("PublicationDate ge ")[2]
        left = [row for row in rows if row["PublicationDate"] >= since][int(words.get("$skip", 0)) :]
        skips.append(int(words.get("$skip", 0)))
        here = read(reader, {"value": left[:top]}, follow)
        found += [one for one in here if isinstance(one, Stat)]
        follow = next(iter(follows(here)), None)
        assert len(skips) < 3 * len(rows) + 5
    return [stat.path.rpartition("/")[2] for stat in found], skips


@given(st.lists(st.integers(1, 9), max_size=40), st.integers(1, 7))
def test_a_walk_along_the_dates_brings_every_product_once_and_skips_little(days, top):
    found, skips = walk([f"2025-07-{day:02}T00:00:00.000Z" for day in days], top)
    assert found == [f"p{n}.zip" for n in range(len(days))]
    assert max(skips) <= max((days.count(day) for day in days), default=0)


def test_more_products_of_one_date_than_can_be_skipped_are_told():
    reader = copernicus()
    state = odata.OdataState(since="2025-07-17T11:55:07.282635Z", skip=9_500)
    rows = [product() for _ in range(1_000)]
    with pytest.raises(DocumentError, match="more than 10000 products have the same PublicationDate"):
        read(reader, {"value": rows}, reader._page(state))


def test_a_short_page_that_names_a_next_one_is_not_the_last():
    assert follows(read(copernicus(), {"value": [product()], "@odata.nextLink": "https://x/?$skip=1"}))
    assert not follows(read(copernicus(), {"value": [product()]}))


@pytest.mark.promise("P5")
def test_products_that_were_announced_and_do_not_come_make_a_search_incomplete():
    (following,) = follows(read(copernicus(), {"value": [product()], "@odata.count": 3}))
    assert filter_of(following)["$skip"] == "1"
    with pytest.raises(DocumentError, match=r"3 products from \S+ on were announced, and the list ends after 1$"):
        read(copernicus(), {"value": [], "@odata.count": 3}, following)
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        read(copernicus(), {"value": [product()], "@odata.count": 3}, following)
    assert not follows(read(copernicus(), {"value": [product()], "@odata.count": 1}))


def test_what_was_deleted_is_asked_for_behind_what_was_modified():
    reader = copernicus()
    mark, *_ = read(reader, {"value": [product()]}, date=NOW)
    (changes,) = reader.resume(mark.value)
    assert "ModificationDate ge 2024-05-31T12:00:00Z" in filter_of(changes)["$filter"]
    *_, deleted = read(reader, {"value": [product()]}, changes)
    assert deleted.url.startswith(f"{ODATA}DeletedProducts?")
    assert filter_of(deleted)["$orderby"] == "DeletionDate asc"
    gone = product(DeletionDate="2024-06-01T00:00:00.000Z", DeletionCause="Corrupted product")
    assert read(reader, {"value": [gone]}, deleted) == [
        Deleted("2014/04/06/S1A_AUX_INS_V20140406T010000_G20140409T142540.SAFE.zip")
    ]
    with pytest.raises(Gap, match="their observation times are not reported"):
        read(reader, {"value": [product(ContentDate=None)]}, deleted)


def test_the_files_in_a_product_are_read_folder_by_folder():
    reader = copernicus(files="nodes")
    (nodes,) = read(reader, {"value": [product(Name="S1A.SAFE")]})
    root = "https://download.dataspace.copernicus.eu/odata/v1/Products(67360f3a-f36b-11ef-9d3f-0050561a7772)/Nodes"
    assert nodes.url == root
    (inside,) = read(
        reader, {"result": [{"Id": "S1A.SAFE", "Name": "S1A.SAFE", "ContentLength": 0, "ChildrenNumber": 2}]}, nodes
    )
    assert inside.url == f"{root}(S1A.SAFE)/Nodes"
    rows = [{"Name": "manifest.safe", "ContentLength": 9, "ChildrenNumber": 0}, {"Name": "a b", "ChildrenNumber": 1}]
    stat, deeper = read(reader, {"result": rows}, inside)
    assert stat == Stat("2014/04/06/S1A.SAFE/manifest.safe", 9, urls=(f"{root}(S1A.SAFE)/Nodes(manifest.safe)/$value",))
    assert deeper.url == f"{root}(S1A.SAFE)/Nodes(a%20b)/Nodes"


# LAADS


def folder(body, **options):
    return read(opened(laads, LAADS, **options), body)


def test_a_folder_lists_itself_as_json_or_as_csv():
    rows = [
        {
            "name": "a.hdf",
            "size": 5,
            "md5sum": MD5,
            "mtime": 1709265840,
            "downloadsLink": "/archive/x/a.hdf",
            "cksum": 7,
        },
        {"name": "b.hdf", "size": "6", "last-modified": "2024-03-01 04:04"},
        {"name": "2024", "size": 0, "md5sum": ""},
    ]
    for body in ({"content": rows}, rows):
        first, second, inside = folder(body)
        assert first == Stat(
            "a.hdf",
            5,
            1709265840.0,
            digests={"md5": MD5},
            urls=("https://ladsweb.modaps.eosdis.nasa.gov/archive/x/a.hdf",),
        )
        assert second == Stat("b.hdf", 6, 1709265840.0, urls=(f"{LAADS}b.hdf",))
        assert inside.url == f"{LAADS}2024.json"
    table = b"name, last-modified, size\r\nb.hdf, 2024-03-01 04:04, 6\r\n2024, 2024-03-01 04:04, 0\r\n"
    stat, inside = folder(table, listing="csv")
    assert stat == second
    assert inside.url == f"{LAADS}2024.csv"


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("said", "headers", "following"),
    [
        ({"nextPageLink": "/api/x.json?page=2"}, {}, "https://ladsweb.modaps.eosdis.nasa.gov/api/x.json?page=2"),
        ({"links": {"next": {"href": f"{LAADS}x?page=2"}}}, {}, f"{LAADS}x?page=2"),
        ({}, {"link": f'<{LAADS}x?page=2>; rel="next"'}, f"{LAADS}x?page=2"),
        ({"numPages": 2}, {}, f"{LAADS.rstrip('/')}.json?page=2"),
        ({"numPages": 1, "next": None}, {}, None),
    ],
)
def test_further_pages_are_requested_if_the_answer_says_that_there_are(said, headers, following):
    reader = opened(laads, LAADS)
    row = {"name": "a.hdf", "size": 5}
    _, *more = read(reader, {"content": [row], **said}, **headers)
    assert [follow.url for follow in more] == ([following] if following else [])
    if more:
        second = {**said, "content": [{"name": "b.hdf", "size": 6}], "nextPageLink": None, "links": None}
        assert [one.path for one in read(reader, second, more[0])] == ["b.hdf"]
        with pytest.raises(DocumentError, match="repeats an earlier page"):
            read(reader, {"content": [row], "nextPageLink": "/api/x.json?page=3"}, more[0])


def test_a_span_of_time_leaves_whole_folders_unread():
    years = [{"name": str(year), "size": 0} for year in (2022, 2023, 2024)]
    assert [follow.url for follow in folder(years, datetime="2023-12-31/2024-01-01")] == [
        f"{LAADS}2023.json",
        f"{LAADS}2024.json",
    ]
    reader = opened(laads, LAADS, datetime="2023-12-31/2024-01-01")
    of_2023, of_2024 = read(reader, years)
    days = [{"name": f"{day:03}", "size": 0} for day in (1, 2, 365)]
    assert [follow.url for follow in read(reader, days, of_2023)] == [f"{LAADS}2023/365.json"]
    assert [follow.url for follow in read(reader, days, of_2024)] == [f"{LAADS}2024/001.json"]


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"content": 3}', b"3", b""])
def test_what_is_no_listing_is_refused(body):
    with pytest.raises(DocumentError):
        folder(body)
    with pytest.raises(DocumentError):
        folder(b"<html>\n", listing="csv")


# All of them


@pytest.mark.parametrize(
    ("reader", "keys", "where", "what"),
    [
        ("cmr", "", "source", "both collections and a short name, or neither"),
        ("cmr", "collections: [MUR]", "source.collections[0]", "its concept id"),
        ("cmr", "collections: [C1-X], version: '1'", "source", "no short_name"),
        ("cmr", "short_name: x, search: {page_size: 3}", "source", "which other keys set"),
        ("cmr", "short_name: x, path: '{granule}'", "source.path", "write {file} into it"),
        ("cmr", "short_name: x, page: 2001", "source.page", "≤ 2000"),
        ("odata", "", "source", "names neither collections nor a filter"),
        ("odata", "collections: [S1], files: all", "source.files", "allowed: 'archive' or 'nodes'"),
        ("odata", "collections: [S1], download: 'ftp://x/'", "source.download", "scheme"),
        ("laads", "listing: html", "source.listing", "allowed: 'json' or 'csv'"),
        ("laads", "assets: [B1]", "source.assets", "is an option of reader stac, stac-geoparquet, not of laads"),
    ],
)
def test_a_wrong_wish_is_told_where_it_stands(reader, keys, where, what):
    with pytest.raises(ManifestError) as refused:
        load_mirror(f"mirror: x\nsource: {{url: 'https://h/x/', reader: {reader}{', ' if keys else ''}{keys}}}\n", "m")
    (problem,) = refused.value.problems
    assert problem.where == where
    assert what in str(problem)


@pytest.mark.parametrize(
    "keys",
    [
        "reader: cmr, short_name: x, search: {a: [b, c], d: 1}, bbox: [1, 2, 3, 4]",
        "reader: odata, collections: [S1], datetime: P30D", "reader: laads, listing: csv",
    ],
)  # fmt: skip
def test_a_manifest_is_written_back_as_it_was(keys):
    once = load_mirror(f"mirror: x\nsource: {{url: 'https://h/x/', {keys}}}\n", "m")
    assert load_mirror(once.model_dump_json(by_alias=True, exclude_none=True), "again") == once
    assert isinstance(hash(once), int)


WHOLE = {
    "cmr": (
        repository(),
        json.dumps(granules(granule({"Name": "x.nc", "Checksum": {"Value": MD5, "Algorithm": "MD5"}}))),
    ),
    "deleted": (repository(), json.dumps([{"granule-ur": "x"}])),
    "odata": (copernicus(page=1), json.dumps({"value": [product()], "@odata.nextLink": "x"})),
    "nodes": (
        copernicus(files="nodes"),
        json.dumps({"result": [{"Name": "a", "ChildrenNumber": 1, "ContentLength": 1}]}),
    ),
    "laads": (opened(laads, LAADS), json.dumps({"content": [{"name": "a", "size": 5, "md5sum": MD5}]})),
    "csv": (opened(laads, LAADS, listing="csv"), "name, last-modified, size\na.hdf, 2024-03-01 04:04, 6\n"),
}


@pytest.mark.parametrize("name", WHOLE)
@given(st.data())
def test_a_broken_document_raises_nothing_but_that_it_is_broken(name, data):
    reader, body = WHOLE[name]
    (follow, *_) = reader.start()
    if name == "deleted":
        _, follow = reader.resume("2024-05-01T00:00:00Z")
    if name == "nodes":
        follow = DocumentRequest("https://h/Nodes", state=odata._state(odata.OdataState("nodes", folder="x")))
    try:
        for one in reader.read(answer(follow, data.draw(broken(body)))):
            assert isinstance(one, Stat | DocumentRequest | ReaderWarning | Cursor | Deleted | Selected)
    except DocumentError:
        pass
