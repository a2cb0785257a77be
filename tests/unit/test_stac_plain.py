"""Plain pages of STAC items are read by another way than unusual ones, and give the same."""

import io
import json
from datetime import date

import pytest
from hypothesis import given, strategies as st

from manifests.model.mirror import load_mirror
from manifests.readers.stac_plain import TRIES
from manifests.reading import Document, DocumentError, DocumentRequest, installed
from manifests.stat import Stat

SUMS = ["1220" + "ab" * 32, "1220" + "AB" * 32, "1220" + "ab" * 31, "cd" * 16, "zz", "", " ", None, 7]
HREFS = [
    "https://h.example/a/b.tif", "https://h.example/a/B.TIF", "https://h.example/c/y%20z.tif", "s3://b/a.tif",
    "https://h.example", "https://h.example/", "https://h.example/a/", "https://h.example/a/$value", "rel.tif",
    "https://h.example/a?x=1", " https://h.example/a/d.tif", "ftp://h.example/a", "", None, 5,
]  # fmt: skip
MANIFESTS = {
    "": "",
    "several collections": "  path: '{collection}/{key}/{id}-{file}'\n",
    "assets": "  assets: ['k*', v]\n",
    "types": "  types: ['image/*']\n",
    "roles": "  roles: [data]\n",
    "years": "  path: '{year}/{id}/{file}'\n",
    "items": "  items: true\n",
    "http": "  prefer: [http, s3]\n",
}


def mostly(usual, odd):
    return st.one_of(*[st.just(usual)] * 8, st.sampled_from(odd))


ASSETS = st.fixed_dictionaries(
    {"href": st.one_of(*[st.integers(0, 5).map("https://h.example/d/f{}.tif".format)] * 8, st.sampled_from(HREFS))},
    optional={
        "type": mostly("image/tiff", ["text/html", None, 5]),
        "file:size": mostly(7, ["5", 2.0, 2.5, -1, None, 10**30]),
        "file:checksum": mostly(SUMS[0], SUMS),
        "checksum:multihash": mostly(SUMS[0], SUMS),
        "updated": mostly("2024-05-02T00:00:00Z", ["x", None, " 2024-05-02 "]),
        "roles": mostly(["data"], [None, "data", [5]]),
        "alternate": mostly(None, [{}, {"s3": {"href": "s3://b/a.tif"}}]),
        "file:local_path": mostly(None, ["./x/y.tif", ""]),
    },
)
ITEMS = st.fixed_dictionaries(
    {"id": st.one_of(st.integers(0, 9).map("i{}".format), mostly("i", ["", " i", 5, None, "a/b"]))},
    optional={
        "collection": mostly("landsat", [None, "", "other", " x", 5]),
        "properties": mostly({"updated": "2024-05-01T00:00:00Z"}, [{}, None, 5, {"updated": "x"}, {"updated": 5}]),
        "assets": st.dictionaries(st.sampled_from(["k1", "k2", "v", "a b", ""]), ASSETS, max_size=4),
        "geometry": st.just({"type": "Point", "coordinates": [1.5, 2]}),
    },
)
PAGES = st.fixed_dictionaries(
    {"features": st.lists(ITEMS, max_size=4)},
    optional={
        "numberReturned": mostly(2, ["x", None]),
        "numberMatched": mostly(4, ["x", None]),
        "links": mostly([{"rel": "next", "href": "https://e.example/stac/search?t=2"}], [None, 5, [5]]),
    },
)


def opened(extra):
    text = f"mirror: x\nsource:\n  url: https://e.example/stac/\n  reader: stac\n  collections: [landsat]\n{extra}"
    return installed()["stac"].opened(load_mirror(text, "x.yaml").source, date(2026, 1, 1))


def read(reader, page):
    """What a page gives, and how reading it ends."""
    (asked,) = reader.start()
    assert isinstance(asked, DocumentRequest)
    found = []
    try:
        for one in reader.read(Document(asked, asked.url, {}, io.BytesIO(page))):
            found.append(one)
    except DocumentError as error:
        found.append(str(error))
    return found


def generally(reader):
    reader._plain._tries = 0
    return reader


@pytest.mark.parametrize("name", MANIFESTS)
@given(page=PAGES)
def test_a_page_gives_the_same_by_either_way(name, page):
    body = json.dumps(page).encode()
    assert read(opened(MANIFESTS[name]), body) == read(generally(opened(MANIFESTS[name])), body)


def test_a_usual_page_is_read_by_the_quick_way(monkeypatch):
    asset = {"href": "https://h.example/d/f.tif", "type": "image/tiff", "file:size": 3, "file:checksum": SUMS[0]}
    page = json.dumps({"features": [{"id": "i", "collection": "landsat", "assets": {"k": asset}}]}).encode()
    reader = opened("")
    monkeypatch.setattr(reader, "_features", None)
    stats = [one for one in read(reader, page) if isinstance(one, Stat)]
    assert stats == [Stat("i/f.tif", 3, digests={"sha256": "ab" * 32}, urls=("https://h.example/d/f.tif",))]


@pytest.mark.parametrize("page", [b"\xef\xbb\xbf" + b'{"features": []}', b'{"features": 5}', b"<html>", b'{"features"'])
def test_what_is_no_page_of_items_is_told_as_before(page):
    assert read(opened(""), page) == read(generally(opened("")), page)


def test_where_pages_are_unusual_the_quick_way_is_given_up():
    reader = opened("")
    odd = json.dumps({"features": [{"id": "i", "assets": {"k": {"href": "rel.tif"}}}]}).encode()
    for _ in range(TRIES):
        assert reader._plain._tries
        read(reader, odd)
    assert not reader._plain._tries
