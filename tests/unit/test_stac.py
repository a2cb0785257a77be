"""STAC: searches and their pages, static catalogues, which assets are wanted, where they lie and what is promised."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, strategies as st

from manifests.model.mirror import ManifestError, load_mirror
from manifests.readers.stac import open_reader
from manifests.readers.stac_options import StacOptions
from manifests.reading.document import DerivedFile, DocumentError, DocumentRequest, ReaderWarning, Selected
from manifests.stat import Stat, UnsafePath, check_path
from tests.unit.reader_harness import Source, answer, broken, follows, stats, unselected

API = "https://landsatlook.example/stac-server/"
SUM = "40733ca28b19f80390c47ef0b7e456accc998f445947f5b95e03509363b22860c29b36563f5c5530fb6e61e2a10a0ffd2d616c4822288cae398ce8a47ea5494c1b"
S1 = "LT04_L2SP_002026_19830110_20200918_02_T1"
THUMB = f"https://landsatlook.example/data/{S1}/{S1}_thumb_small.jpeg"
ASSETS = {
    "thumbnail": {
        "title": "Thumbnail image", "type": "image/jpeg", "roles": ["thumbnail"], "href": THUMB,
        "alternate": {"s3": {"storage:platform": "AWS", "storage:requester_pays": True, "href": f"s3://usgs-landsat/{S1}_thumb_small.jpeg"}},
        "file:checksum": "13" + SUM,
    },
    "index": {"title": "HTML index page", "type": "text/html", "href": "https://landsatlook.example/stac-browser/x"},
}  # fmt: skip


def opened(url=API, today=date(2024, 5, 31), pays=False, **options):
    options = options or {"collections": ("c",)}
    source = Source(url, StacOptions.model_validate(options))
    object.__setattr__(source, "requester_pays", pays) if pays else None
    return open_reader(source, today)


def item(assets=ASSETS, name=S1, **more):
    properties = {"datetime": "1983-01-10T15:00:00Z", "updated": "2022-03-01T00:00:00Z"}
    return {
        "type": "Feature",
        "id": name,
        "collection": "c",
        "properties": properties,
        "assets": assets,
        "links": [],
        **more,
    }


def page(*items, links=(), **more):
    return {"type": "FeatureCollection", "features": list(items), "links": list(links), **more}


def read(body, reader=None, follow=None, url=None):
    reader = reader or opened()
    follow = follow or next(iter(reader.start()))
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return unselected(reader.read(answer(follow, body, url=url)))


def test_an_asset_of_landsat_is_what_it_says():
    (stat,) = read(page(item()))
    assert stat == Stat(
        f"{S1}/{S1}_thumb_small.jpeg", None, digests={"sha512": SUM[2:]},
        urls=(THUMB, f"s3://usgs-landsat/{S1}_thumb_small.jpeg"),
    )  # fmt: skip


def test_a_search_asks_for_what_the_manifest_wants():
    reader = opened(
        collections=("a", "b"), bbox=(1, 2, 3.5, 4), datetime="2024-01-01/2024-01-31", filter={"op": "<", "args": []},
        query={"eo:cloud_cover": {"lt": 10}}, page=7,
    )  # fmt: skip
    (first,) = reader.start()
    assert (first.url, first.method, first.headers["content-type"]) == (f"{API}search", "POST", "application/json")
    assert json.loads(first.body) == {
        "limit": 7, "collections": ["a", "b"], "bbox": [1, 2, 3.5, 4], "filter-lang": "cql2-json",
        "datetime": "2024-01-01T00:00:00Z/2024-01-31T23:59:59Z", "filter": {"op": "<", "args": []},
        "query": {"eo:cloud_cover": {"lt": 10}},
    }  # fmt: skip
    (got,) = opened(collections=("a", "b"), method="GET", filter="eo:cloud_cover < 5", bbox=(1, 2, 3, 4)).start()
    assert got.method == "GET"
    assert got.url == (
        f"{API}search?limit=250&collections=a,b&bbox=1.0,2.0,3.0,4.0&filter=eo:cloud_cover+%3C+5&filter-lang=cql2-text"
    )


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("P30D", "2024-05-01T00:00:00Z/.."),
        ("P1W", "2024-05-24T00:00:00Z/.."),
        ("2024-01-01", "2024-01-01T00:00:00Z/2024-01-01T23:59:59Z"),
        ("2024-01-01/..", "2024-01-01T00:00:00Z/.."),
        ("../2024-01-01T06:00:00+02:00", "../2024-01-01T04:00:00Z"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("P99999Y", "0001-01-01T00:00:00Z/.."),
    ],
)
def test_a_span_of_time_is_asked_for_in_utc_and_may_end_today(written, asked):
    (first,) = opened(collections=("c",), datetime=written).start()
    assert json.loads(first.body)["datetime"] == asked


NEXT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "merge": (
        {"method": "POST", "merge": True, "body": {"next": "n"}},
        {"limit": 250, "collections": ["c"], "next": "n"},
    ),
    "whole": ({"method": "POST", "merge": False, "body": {"next": "n"}}, {"next": "n"}),
    "token": ({"method": "POST", "body": {"token": "next:naip:vt_1"}}, {"token": "next:naip:vt_1"}),
}


@pytest.mark.parametrize("style", NEXT)
def test_the_next_page_is_asked_for_as_its_link_says(style):
    link, body = NEXT[style]
    found = read(
        page(
            item(),
            links=[{"rel": "next", "href": f"{API}search", "headers": {"X-Page": "2", "Authorization": "x"}, **link}],
        )
    )
    (following,) = follows(found)
    assert (following.url, following.method, json.loads(following.body)) == (f"{API}search", "POST", body)
    assert following.headers["x-page"] == "2"
    assert "authorization" not in following.headers


def test_the_next_page_of_a_link_without_a_method_is_got():
    (following,) = follows(
        read(page(item(), links=[{"rel": "next", "href": "search?token=next:2&limit=1"}]), url=f"{API}search")
    )
    assert (following.url, following.method, following.body) == (f"{API}search?token=next:2&limit=1", "GET", b"")


def test_servers_of_before_1_0_count_their_pages_or_give_a_token():
    (following,) = follows(read(page(item(), context={"page": 1, "limit": 1, "matched": 2})))
    assert json.loads(following.body)["page"] == 2
    second = page(item(name="second"), context={"page": 2, "limit": 1, "matched": 2})
    assert not follows(read(second, follow=following))
    (following,) = follows(read(page(item(), context={"next": "abc"})))
    assert json.loads(following.body)["next"] == "abc"


def test_a_page_that_names_itself_as_the_next_is_no_end():
    first = next(iter(opened().start()))
    link = {"rel": "next", "href": first.url, "method": "POST", "body": json.loads(first.body)}
    with pytest.raises(DocumentError, match="names itself as its next page"):
        read(page(item(), links=[link]))


@pytest.mark.promise("P5")
@pytest.mark.parametrize("told", [{"numberMatched": 7}, {"context": {"matched": 7}}])
@pytest.mark.parametrize("limit", [1, 250])
def test_items_that_were_announced_and_did_not_come_make_a_search_incomplete_whatever_the_page_size(told, limit):
    with pytest.raises(DocumentError, match="7 items were announced, and the list ends after 1"):
        read(page(item(), **told), opened(collections=("c",), page=limit))


@pytest.mark.promise("P5")
def test_a_page_with_fewer_items_than_it_counts_is_incomplete():
    with pytest.raises(DocumentError, match="2 items of this page were announced, and the list ends after 1"):
        read(page(item(), numberReturned=2))


def after(token):
    return [{"rel": "next", "href": f"{API}search?token={token}"}]


@pytest.mark.promise("P5")
def test_pages_without_items_come_to_an_end_which_is_proved_by_the_count_only():
    def walk(**more):
        reader, follow, asked = opened(), next(iter(opened().start())), 0
        while follow is not None:
            asked += 1
            follow = next(iter(follows(read(page(links=after(asked), **more), reader, follow))), None)
        return asked

    assert walk(numberMatched=0) == 5
    with pytest.raises(DocumentError, match="5 pages without an item, and each names a next one"):
        walk()


@pytest.mark.promise("P5")
def test_a_token_that_leads_back_to_an_earlier_page_makes_a_search_incomplete():
    reader = opened()
    (second,) = follows(read(page(item(name="a"), links=after(1)), reader))
    (third,) = follows(read(page(item(name="b"), links=after(2)), reader, second))
    (fourth,) = follows(read(page(item(name="c"), links=after(1)), reader, third))
    with pytest.raises(DocumentError, match="page 4 of the list repeats an earlier page"):
        read(page(item(name="b"), links=after(2)), reader, fourth)


def test_a_next_page_on_the_own_host_is_asked_by_the_scheme_that_answers():
    link = {"rel": "next", "href": f"http{API.removeprefix('https')}search?token=2"}
    (following,) = follows(read(page(item(), links=[link])))
    assert following.url == f"{API}search?token=2"


def wanted(published, **options):
    return set(stats(read(page(item(published)), opened(collections=("c",), **options))))


def test_assets_are_chosen_by_key_role_and_type():
    tif = "image/tiff; application=geotiff"
    assets = {
        "B2": {"href": "https://h/B2.TIF", "type": tif, "roles": ["data"]},
        "B3": {"href": "https://h/B3.TIF", "type": tif, "roles": ["data", "overview"]},
        "qa": {"href": "https://h/qa.TIF", "type": tif, "roles": ["mask"]},
        "mtl": {"href": "https://h/mtl.json", "type": "application/json", "roles": ["metadata"]},
        "page": {"href": "https://h/page", "type": "text/html", "roles": ["overview"]},
    }
    name = f"{S1}/"
    assert wanted(assets) == {name + f for f in ("B2.TIF", "B3.TIF", "qa.TIF", "mtl.json")}
    assert wanted(assets, assets=("B*",)) == {name + "B2.TIF", name + "B3.TIF"}
    assert wanted(assets, roles=("data", "mask")) == {name + "B2.TIF", name + "B3.TIF", name + "qa.TIF"}
    assert wanted(assets, types=("application/json",)) == {name + "mtl.json"}
    assert wanted(assets, types=("image/tiff*",), roles=("overview",)) == {name + "B3.TIF"}
    assert wanted(assets, assets=("page",)) == {name + "page"}


def test_assets_that_would_share_a_path_are_parted_by_their_keys_and_one_file_is_taken_once():
    assets = {
        "B02_10m": {"href": "https://h/R10m/B02.jp2"},
        "B02_20m": {"href": "https://h/R20m/B02.jp2"},
        "tci": {"href": "https://h/TCI.jp2"},
        "visual": {"href": "https://h/TCI.jp2"},
        "product": {"href": "https://h/Products(1)/$value"},
        "local": {"href": "https://h/x?download=1", "file:local_path": "GRANULE/x.xml"},
    }
    assert wanted(assets) == {
        f"{S1}/{path}" for path in ("B02_10m/B02.jp2", "B02_20m/B02.jp2", "TCI.jp2", "product", "GRANULE/x.xml")
    }


def test_an_asset_is_fetched_by_the_kind_of_url_that_is_preferred():
    (stat,) = read(page(item()), opened(collections=("c",), prefer=("s3", "https"), pays=True))
    assert stat.urls[0] == f"s3://usgs-landsat/{S1}_thumb_small.jpeg"
    (stat,) = read(page(item()), opened(collections=("c",), prefer=("https",)))
    assert stat.urls == (THUMB,)
    only = {"B2": {"href": "gs://bucket/B2.TIF"}, "B3": {"href": "https://h/B3.TIF"}}
    reader = opened()
    found = reader.read(answer(next(iter(reader.start())), json.dumps(page(item(only)))))
    assert isinstance(next(found), Selected)
    assert next(found).urls == ("https://h/B3.TIF",), "the others are read all the same"
    with pytest.raises(DocumentError, match="asset B2 has no url of https, http, s3"):
        next(found)


def test_that_readers_pay_is_told_in_both_versions_of_the_extension():
    found = read(page(item()), opened(collections=("c",), prefer=("s3",)))
    assert [one for one in found if isinstance(one, ReaderWarning)] == [
        ReaderWarning("assets are in requester-pays buckets: set requester_pays: true, or prefer: [https]")
    ]
    schemes = {"aws": {"type": "aws-s3", "bucket": "b", "region": "us-west-2", "requester_pays": True}}
    asset = {"B2": {"href": "s3://b/B2.TIF", "storage:refs": ["aws"]}}
    found = read(page(item(asset, properties={"storage:schemes": schemes})))
    assert any(isinstance(one, ReaderWarning) for one in found)
    assert not any(isinstance(one, ReaderWarning) for one in read(page(item(asset))))


def test_paths_follow_the_template():
    options = {"collections": ("c",), "path": "{collection}/{year}/{month}/{day}/{id}.{key}.jpeg"}
    (stat,) = read(page(item()), opened(**options))
    assert stat.path == f"c/1983/01/10/{S1}.thumbnail.jpeg"
    (stat,) = read(page(item()), opened(ids=(S1,)))
    assert stat.path == f"c/{S1}/{S1}_thumb_small.jpeg"


def test_an_items_own_json_is_a_file_where_it_is_wanted_and_the_same_for_the_same_item():
    options = {"collections": ("c",), "items": True}
    found = read(page(item()), opened(**options))
    (made,) = [one for one in found if isinstance(one, DerivedFile)]
    assert made.path == f"{S1}/{S1}.json"
    assert json.loads(made.body) == item()
    turned = dict(reversed(item().items()))
    assert made in read(page(turned), opened(**options))


CATALOG = {"type": "Catalog", "id": "root", "stac_version": "1.0.0"}
STATIC = {
    "catalog.json": {**CATALOG, "links": [{"rel": "child", "href": "./c/collection.json"}, {"rel": "self", "href": "x"}]},
    "c/collection.json": {
        "type": "Collection", "id": "c", "stac_version": "1.0.0", "assets": {"all": {"href": "./all.zip"}},
        "links": [{"rel": "item", "href": "i1/i1.json"}, {"rel": "item", "href": "i2/i2.json"}, {"rel": "parent", "href": ".."}],
    },
    "c/i1/i1.json": item({"B2": {"href": "./B2.TIF", "file:size": 3}}, "i1", bbox=[10, 50, 11, 51]),
    "c/i2/i2.json": item({"B2": {"href": "/far/B2.TIF"}}, "i2", bbox=[-170, 50, -169, 51]),
}  # fmt: skip


def crawl(url="https://h/stac/", documents=STATIC, **options):
    reader = opened(url, catalog="catalog.json", **options)
    found, waiting = [], list(reader.start())
    while waiting:
        follow = waiting.pop()
        where = follow.url if "://" in follow.url else url + follow.url
        for one in reader.read(answer(follow, json.dumps(documents[where.removeprefix(url)]), url=where)):
            (waiting if isinstance(one, DocumentRequest) else found).append(one)
    return stats(found)


def test_a_static_catalogue_is_walked_and_its_relative_links_are_resolved():
    found = crawl()
    assert {path: stat.urls for path, stat in found.items()} == {
        "c/i1/B2.TIF": ("https://h/stac/c/i1/B2.TIF",),
        "c/i2/B2.TIF": ("https://h/far/B2.TIF",),
    }
    assert found["c/i1/B2.TIF"].size == 3
    assert set(crawl(items=True, path="{id}/{file}")) == {"i1/B2.TIF", "i1/i1.json", "i2/B2.TIF", "i2/i2.json"}
    assert "c/c/all.zip" in crawl(collection_assets=True)


def test_of_a_static_catalogue_only_what_the_manifest_wants_is_taken():
    assert set(crawl(bbox=(9, 49, 10.5, 52))) == {"c/i1/B2.TIF"}
    assert set(crawl(bbox=(160, 49, -165, 52))) == {"c/i2/B2.TIF"}, "a box may cross the antimeridian"
    assert set(crawl(ids=("i2",))) == {"c/i2/B2.TIF"}
    assert crawl(collections=("other",)) == {}
    assert crawl(datetime="1990-01-01/..") == {}
    assert len(crawl(datetime="1983-01-10")) == 2


def test_a_catalogue_on_another_server_is_another_source_and_the_own_host_is_asked_as_it_answered():
    reader = opened("https://h/stac/", catalog="catalog.json")
    links = [
        {"rel": "child", "href": "https://other.example/catalog.json"},
        {"rel": "child", "href": "http://h/x.json"},
    ]
    note, follow = read({**CATALOG, "links": links}, reader, url="https://h/stac/catalog.json")
    assert note == ReaderWarning("catalogues on another server are not read: make a mirror of each")
    assert follow.url == "https://h/x.json"


@pytest.mark.promise("P5")
@pytest.mark.parametrize("kind", ["item", "items", "next"])
def test_an_item_or_a_page_on_another_server_makes_a_catalogue_incomplete(kind):
    reader = opened("https://h/stac/", catalog="catalog.json")
    links = [{"rel": kind, "href": "https://other.example/x.json"}]
    with pytest.raises(DocumentError, match=rf"a link \({kind}\) to another server, which is not followed"):
        read({**CATALOG, "links": links}, reader, url="https://h/stac/catalog.json")


def test_a_catalogue_that_leads_into_itself_comes_to_an_end():
    reader = opened("https://h/stac/", catalog="catalog.json")
    (follow,) = reader.start()

    def descend(n, follow):
        links = [{"rel": "child", "href": f"{n}.json"}]
        return read({**CATALOG, "links": links}, reader, follow, f"https://h/stac/{n}")

    for n in range(32):
        (follow,) = descend(n, follow)
    with pytest.raises(DocumentError, match="more than 32 deep"):
        descend(33, follow)


@pytest.mark.parametrize(
    "body",
    [b"<html>login</html>", b"[]", b"{}", b'{"code": "NotFoundError"}', b'"x"', b"", b"\xff", b'{"features": 3}'],
)
def test_what_is_no_stac_is_refused(body):
    with pytest.raises(DocumentError):
        read(body)


@pytest.mark.parametrize(
    ("keys", "where", "what"),
    [
        ("", "source", "names neither collections nor ids"),
        ("collections: [a], datetime: yesterday", "source.datetime", "P30D for the last thirty days"),
        ("collections: [a], datetime: 2024-02-01/2024-01-01", "source.datetime", "ends before it begins"),
        ("collections: [a], bbox: [1, 2, 3]", "source.bbox", "[west, south, east, north]"),
        ("collections: [a], bbox: [1, 5, 3, 4]", "source.bbox", "a south that is north of its north"),
        ("collections: [a], path: '{id}/{name}'", "source.path", "names {name}"),
        ("collections: [a], path: '{id'", "source.path", "unpaired"),
        ("collections: [a], path: 'all/{file}'", "source.path", "one path"),
        ("collections: [a], prefer: [ftp]", "source.prefer[0]", "allowed: 'https', 'http' or 's3'"),
        ("catalog: catalog.json, filter: 'a > 1'", "source", "a static catalogue cannot apply"),
        ("catalog: ../x.json", "source.catalog", "not allowed as names"),
        ("collections: [a], page: 0", "source.page", "≥ 1"),
    ],
)
def test_a_wrong_wish_is_told_where_it_stands(keys, where, what):
    with pytest.raises(ManifestError) as refused:
        load_mirror(
            f"mirror: x\nsource:\n  url: https://h/stac/\n  reader: stac\n  {keys}\n".replace(", ", "\n  ")
            if "[" not in keys and "'" not in keys
            else f"mirror: x\nsource: {{url: 'https://h/stac/', reader: stac, {keys}}}\n",
            "m",
        )
    (problem,) = refused.value.problems
    assert problem.where == where
    assert what in str(problem)


def test_a_manifest_with_filters_is_written_back_as_it_was():
    text = (
        "mirror: x\nsource:\n  url: https://h/stac/\n  reader: stac\n  collections: [c]\n  bbox: [1, 2, 3, 4]\n"
        "  query: {'eo:cloud_cover': {lt: 10}}\n  filter: 'a > 1'\n"
    )
    read_once = load_mirror(text, "m")
    again = load_mirror(read_once.model_dump_json(by_alias=True, exclude_none=True), "again")
    assert again == read_once
    assert hash(again) == hash(read_once)


def test_keys_of_s3_stand_in_a_manifest_whose_files_may_lie_in_buckets():
    text = "mirror: x\nsource: {{url: 'https://h/', reader: {}, collections: [{}], requester_pays: true, region: us-west-2}}\n"
    assert load_mirror(text.format("stac", "c"), "m").source.requester_pays
    assert load_mirror(text.format("cmr", "C1-X"), "m").source.region == "us-west-2"
    with pytest.raises(ManifestError, match="requester_pays: does not apply to a https url"):
        load_mirror(text.format("odata", "c"), "m")


WHOLE = json.dumps(
    page(
        item(),
        item({"B2": {"href": "x", "file:checksum": "120e00", "alternate": {"a": {"href": "s3://b/k"}}}}, "../up"),
        links=[{"rel": "next", "href": "search", "method": "POST", "body": {"token": 1}, "merge": True}],
        context={"matched": 3, "page": 1, "limit": 2},
    )
).encode()


@given(broken(WHOLE) | broken(json.dumps(STATIC["c/collection.json"]).encode()), st.booleans())
def test_a_broken_document_raises_nothing_but_that_it_is_broken(body, is_static):
    options = (
        {"catalog": "c.json", "items": True, "collection_assets": True}
        if is_static
        else {"collections": ("c",), "items": True}
    )
    reader = opened(**options)
    (follow,) = reader.start()
    try:
        for one in reader.read(answer(follow, body)):
            assert isinstance(one, Stat | DocumentRequest | DerivedFile | ReaderWarning | Selected)
    except DocumentError:
        pass


def test_a_collection_that_is_no_text_where_nobody_looked_is_told():
    reader = opened(catalog="c.json", items=True, collection_assets=True)
    (follow,) = reader.start()
    body = json.dumps(STATIC["c/collection.json"]).encode()
    with pytest.raises(DocumentError):
        list(reader.read(answer(follow, body[:1] + b'"unread": "\xff", ' + body[1:])))


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_name_of_an_item_leads_out_of_the_copy(name, key, file):
    try:
        found = read(page(item({key: {"href": "https://h/" + file}}, name)))
    except (DocumentError, UnicodeEncodeError):
        return
    for stat in stats(found).values():
        try:
            check_path(stat.path)
        except UnsafePath:
            continue
        assert ".." not in stat.path.split("/")
