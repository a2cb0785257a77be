"""The sitemap, the folder of metadata files and Metalink: small documents that clients of others read."""

from hypothesis import given

from manifests.readers import autoindex, metalink as reader
from syncd.exchange import metalink, sitemap
from tests.exchange.publications import ALL, FILES, LANDSAT, NODE, NOW, VALIDATORS, golden, wild
from tests.exchange.xsd import parsed
from tests.unit.reader_harness import Source, read_all, stats

pytestmark = VALIDATORS


def test_the_documents_are_their_golden_files():
    golden("sitemap.xml", sitemap.sitemap(NODE, ALL))
    golden("waf.html", sitemap.folder_listing("/waf/", [("landsat.xml", 3_456, NOW), ("bare.xml", 2_000, NOW - 60)]))
    golden("file.meta4", metalink.metalink(LANDSAT, FILES[1], piece=100, pieces=("1" * 64, "2" * 64)))


def test_our_own_reader_reads_the_metalink():
    kind = reader.READER
    options = kind.options(lists=["b.meta4"])
    body = metalink.metalink(LANDSAT, FILES[1], elsewhere=[("https://de.example.net/b.nc", "de")])
    name = next(iter(kind.open(Source(LANDSAT.url, options)).start())).url
    found = stats(read_all(kind.open(Source(LANDSAT.url, options)), {name: body}))
    (one,) = [one for path, one in found.items() if path.endswith("b c+d#.nc")]
    assert (one.size, one.digests) == (200, {"sha256": "b" * 64})
    assert one.urls == (LANDSAT.file_url(FILES[1].path), "https://de.example.net/b.nc")


def test_our_own_reader_lists_the_folder():
    kind = autoindex.READER
    page = sitemap.folder_listing("/waf/", [("landsat.xml", 3_456, NOW), ("bare.xml", 2_000, NOW - 60)])
    url = "https://data.example.org/waf/"
    found = read_all(kind.open(Source(url, kind.options())), {"": (page, {"content-type": "text/html"}), url: page})
    assert {path: one.size for path, one in stats(found).items()} == {"landsat.xml": 3_456, "bare.xml": 2_000}


@given(wild)
def test_any_text_leaves_them_well_formed(held):
    parsed(sitemap.sitemap(held.node, [held]))
    for file in held.files:
        root = parsed(metalink.metalink(held, file))
        assert root[2].get("name") == file.path
