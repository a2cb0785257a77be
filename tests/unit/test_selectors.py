"""Readers say which values of the manifest (collections, sets, globs) a document matches; the others are reported."""

import json
from datetime import date

import pytest
from hypothesis import given, strategies as st

from manifests.model.globs import GlobUse, matcher
from manifests.model.mirror import load_mirror
from manifests.readers import autoindex, ckan, cmr, dataverse, figshare, gbif, oai_pmh, odata, stac
from manifests.reading import Selected, Selective
from syncd.engine.selection import SourceSelection
from tests.unit.reader_harness import Source, answer

DAY = date(2024, 5, 31)
STAC_ITEM = {"type": "Feature", "id": "i1", "collection": "c1", "assets": {}, "properties": {}}
OAI_RECORD = """<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2024-05-01T12:00:00Z</responseDate>
<ListRecords><record><header><identifier>a</identifier></header></record></ListRecords></OAI-PMH>"""
OAI_NONE = """<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2024-05-01T12:00:00Z</responseDate>
<error code="noRecordsMatch">nothing</error></OAI-PMH>"""
INDEX = '<html><body><pre><a href="x.md5">x.md5</a>  02-Jan-2026 03:04  9\n</pre></body></html>'


def opened(module, **options):
    source = Source("https://archive.example/", module.READER.options.model_validate(options))
    return module.READER.opened(source, DAY)


def selected(reader, *bodies):
    """Return what the first documents match, one body for each."""
    found = []
    for follow, body in zip(reader.start(), bodies, strict=False):
        text = body if isinstance(body, str) else json.dumps(body)
        found += [one for one in reader.read(answer(follow, text)) if isinstance(one, Selected)]
    return [(one.key, one.value) for one in found]


CASES = [
    (stac, {"collections": ("c1", "c2")}, [{"features": [STAC_ITEM]}], [("collections", "c1")]),
    (stac, {"ids": ("i1", "i2")}, [{"features": [STAC_ITEM]}], [("ids", "i1")]),
    (
        cmr,
        {"collections": ("C1-A", "C2-A")},
        [{"items": [{"meta": {"collection-concept-id": "C2-A"}, "umm": {"GranuleUR": "g"}}]}],
        [("collections", "C2-A")],
    ),
    (
        odata,
        {"collections": ("SENTINEL-1", "SENTINEL-2")},
        [
            {
                "value": [
                    {
                        "Name": "n",
                        "Id": "1",
                        "S3Path": "/eodata/Sentinel-2/x",
                        "PublicationDate": "2024-01-01T00:00:00Z",
                    }
                ]
            }
        ],
        [("collections", "SENTINEL-2")],
    ),
    (oai_pmh, {"sets": ("one", "two")}, [OAI_RECORD, OAI_NONE], [("sets", "one")]),
    (
        dataverse,
        {"collections": ("one", "two")},
        [{"data": {"total_count": 1, "items": [{"global_id": "doi:1/X"}]}}, {"data": {"total_count": 0, "items": []}}],
        [("collections", "one")],
    ),
    (figshare, {"collections": ("1", "2")}, [[{"id": 5, "published_date": "2024-01-01"}], []], [("collections", "1")]),
    (
        gbif,
        {"publishers": ("d2b4ff72-6f24-43a6-a3a9-9a4fcd7c9a01", "d2b4ff72-6f24-43a6-a3a9-9a4fcd7c9a02")},
        [
            {"endOfRecords": True, "count": 1, "results": [{"key": "k", "endpoints": []}]},
            {"endOfRecords": True, "count": 0, "results": []},
        ],
        [("publishers", "d2b4ff72-6f24-43a6-a3a9-9a4fcd7c9a01")],
    ),
    (
        stac,
        {"collections": ("c1",), "assets": ("B04", "B4*"), "roles": ("data", "dta"), "types": ("image/*", "imge/*")},
        [{"features": [STAC_ITEM | {"assets": {"B04": {"roles": ["data"], "type": "image/tiff", "href": "x.tif"}}}]}],
        [("collections", "c1"), ("assets", "B04"), ("roles", "data"), ("types", "image/*")],
    ),
    (
        ckan,
        {"packages": ("p",), "formats": ("CSV", "NetCDFF")},
        [{"success": True, "result": {"name": "p", "resources": [{"url": "https://h/a.csv", "format": "csv"}]}}],
        [("formats", "CSV")],
    ),
    (autoindex, {"checksums": ("*.md5", "SHA256SUMS")}, [INDEX], [("checksums", "*.md5")]),
]


@pytest.mark.parametrize(
    ("module", "options", "bodies", "wanted"), CASES, ids=[f"{c[0].__name__}{n}" for n, c in enumerate(CASES)]
)
def test_a_reader_says_what_its_documents_match_and_the_rest_is_left(module, options, bodies, wanted):
    reader = opened(module, **options)
    assert isinstance(reader, Selective)
    assert selected(reader, *bodies) == wanted
    assert {(one.key, one.value) for one in reader.selectors} > set(wanted)


@pytest.mark.parametrize(
    ("module", "options", "body"),
    [
        (stac, {"collections": ("c1", "c2")}, {"features": [STAC_ITEM | {"collection": None}]}),
        (cmr, {"collections": ("C1-A", "C2-A")}, {"items": [{"umm": {"GranuleUR": "g"}}]}),
        (
            odata,
            {"collections": ("A", "B")},
            {"value": [{"Name": "n", "Id": "1", "PublicationDate": "2024-01-01T00:00:00Z"}]},
        ),
    ],
)
def test_rows_that_do_not_name_their_collection_may_be_of_any(module, options, body):
    assert [value for _, value in selected(opened(module, **options), body)] == list(options["collections"])


def selection(include, exclude=(), reader=None):
    text = f"mirror: m\nsource: {{url: 'https://h/', include: {json.dumps(include)}, exclude: {json.dumps(exclude)}}}\n"
    return SourceSelection(load_mirror(text, "m.yaml").source, reader or opened(cmr, collections=("C1-A",)))


def test_a_survey_that_goes_on_where_a_killed_one_ended_reports_nothing():
    chosen = selection(["*.nc", "*.nx"])
    assert chosen.unmatched() == (
        ("source.include", "*.nc"),
        ("source.include", "*.nx"),
        ("source.collections", "C1-A"),
    )
    chosen.give_up()
    assert chosen.unmatched() == ()


def test_globs_are_dropped_as_paths_match_them():
    chosen = selection(["*.nc", "/a/**", "*.nx"], ["old/", "*.tmp", "!keep.tmp"])
    for path in ("a/x.txt", "b/x.nc", "b/old/y.nc", "c.tmp"):
        chosen.wants(path)
    chosen.matched(Selected("collections", "C1-A"))
    assert chosen.unmatched() == (
        ("source.include", "*.nx"),
        ("source.exclude", "*.tmp"),
        ("source.exclude", "!keep.tmp"),
    )


GLOBS = st.lists(st.sampled_from(["*.a", "x/", "/y/*", "!*.b", "**", "z*", "!/y/"]), max_size=4, unique=True)
PATHS = st.lists(st.sampled_from(["m.a", "x/m.b", "y/m.b", "z1", "q/z2.a", "y/y/k"]), max_size=6)


@given(GLOBS, GLOBS, PATHS)
def test_taking_note_of_globs_changes_nothing_of_what_is_selected(include, exclude, paths):
    plain, noting = (
        matcher(include, exclude),
        matcher(include, exclude, included=GlobUse(include), excluded=GlobUse(exclude)),
    )
    assert [plain(path) for path in paths] == [noting(path) for path in paths]
