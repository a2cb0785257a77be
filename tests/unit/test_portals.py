"""DCAT and schema.org: which links are files, what is promised, what is selected, and what is no catalogue."""

import json

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from manifests.readers import dcat, schema_org
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, broken, notes, read_all, stats, survives

ROOT = "https://portal.example/"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
FILE = {
    "downloadURL": "https://files.example/air.csv",
    "mediaType": "text/csv",
    "byteSize": 12,
    "checksum": {"algorithm": "SHA-256", "checksumValue": SHA256},
}
AIR = {"@type": "dcat:Dataset", "identifier": "https://portal.example/air", "distribution": [FILE]}


def catalogue(*datasets, **more):
    return json.dumps({"@type": "dcat:Catalog", "dataset": datasets, **more})


def portal(**options):
    return dcat.open_reader(Source(ROOT, dcat.DcatOptions(**options)))


def in_catalogue(*datasets, **options):
    return read_all(portal(**options), {"data.json": catalogue(*datasets)}, base=ROOT)


def test_a_download_has_its_checksum_and_no_size_for_dcat_lets_that_be_an_estimate():
    path = "portal.example_air/air.csv"
    assert stats(in_catalogue(AIR)) == {
        path: Stat(path, digests={"sha256": SHA256}, urls=("https://files.example/air.csv",))
    }


def test_a_service_is_no_file_and_is_told():
    found = in_catalogue({**AIR, "distribution": [FILE, {"accessURL": "https://portal.example/wms"}]})
    assert list(stats(found)) == ["portal.example_air/air.csv"]
    assert notes(found) == ["distributions without a downloadURL are pages or services, and are left out"]


@pytest.mark.parametrize(
    "options",
    [
        {"datasets": ("*/air",)},
        {"formats": ("CSV",)},
        {"formats": ("text/csv",)},
        {"datasets": ("https://portal.example/air",)},
    ],
)
def test_datasets_and_formats_are_selected(options):
    pdf = {"downloadURL": "/x.pdf", "mediaType": "https://www.iana.org/assignments/media-types/application/pdf"}
    other = {"identifier": "lakes", "distribution": [pdf], "@type": "Dataset"}
    csv = {**FILE, "format": "http://publications.europa.eu/resource/authority/file-type/CSV"}
    assert list(stats(in_catalogue({**AIR, "distribution": [csv]}, other, **options))) == ["portal.example_air/air.csv"]


@pytest.mark.promise("P5")
def test_datasets_that_were_announced_and_did_not_come_make_a_catalogue_incomplete():
    body = json.dumps({"@graph": [AIR, {"@type": "hydra:Collection", "hydra:totalItems": 3}]})
    with pytest.raises(DocumentError, match="3 datasets were announced, and the list ends after 1"):
        read_all(portal(), {"data.json": body})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{}", "has no dataset: is it a catalogue"),
        ("<html>", "a web page or XML instead of JSON"),
        (catalogue({"@type": "Dataset"}), "a dataset without an identifier"),
        (catalogue({**AIR, "distribution": [{"downloadURL": "http://["}]}), "a download with an invalid url"),
    ],
)
def test_what_is_no_catalogue_is_said(body, said):
    with pytest.raises(DocumentError, match=said):
        read_all(portal(), {"data.json": body})


def test_an_empty_catalogue_is_one():
    assert in_catalogue() == []


DATASET = {
    "@context": "https://schema.org/",
    "@type": "Dataset",
    "identifier": {"@type": "PropertyValue", "value": "doi:10.1594/P.1"},
    "distribution": {
        "@type": "DataDownload",
        "encodingFormat": "text/tab-separated-values",
        "contentUrl": "https://doi.example/10.1594/P.1?format=textfile",
        "contentSize": "52 B",
        "sha256": SHA256,
    },
}


def page(*described):
    scripts = "".join(f'<script id=1 type="application/ld+json">\n{json.dumps(one)}</script>' for one in described)
    return f"<!doctype html><html><head><meta charset=utf-8>{scripts}</head><body>é</body></html>\n"


def landing(*pages, **options):
    return schema_org.open_reader(Source(ROOT, schema_org.SchemaOrgOptions(pages=pages, **options)))


def test_a_landing_page_names_files_by_their_links_and_kinds_with_size_and_checksum():
    assert stats(read_all(landing("P.1"), {"P.1": page({"@type": "WebSite"}, DATASET)}, base=ROOT)) == {
        "P.1.tsv": Stat(
            "P.1.tsv", 52, digests={"sha256": SHA256}, urls=("https://doi.example/10.1594/P.1?format=textfile",)
        )
    }


def test_of_several_pages_each_dataset_has_a_folder():
    documents = {"P.1": page(DATASET), "P.2": json.dumps({**DATASET, "identifier": "doi:10.1594/P.2"})}
    found = stats(read_all(landing("P.1", "P.2"), documents, base=ROOT))
    assert list(found) == ["doi_10.1594_P.1/P.1.tsv", "doi_10.1594_P.2/P.1.tsv"]


def test_an_index_of_sitemaps_leads_to_pages_of_which_those_that_match_are_read():
    documents = {
        "sitemap.xml": "<sitemapindex><sitemap><loc>https://portal.example/s1.xml</loc></sitemap></sitemapindex>",
        f"{ROOT}s1.xml": f"<urlset><url><loc>{ROOT}about</loc></url><url><loc>{ROOT}d/1</loc></url></urlset>",
        f"{ROOT}d/1": page(DATASET),
    }
    found = read_all(landing(sitemap="sitemap.xml", match=("*/d/*",)), documents, base=ROOT)
    assert list(stats(found)) == ["doi_10.1594_P.1/P.1.tsv"]


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html><body>no dataset</body></html>", "describes no dataset in JSON-LD"),
        (page(DATASET).removesuffix("</html>\n"), "has no end: it is cut off"),
        ('<html><script type="application/ld+json">{"</script></html>', "not JSON"),
        (page({**DATASET, "distribution": {"contentUrl": "http://["}}), "a download has an invalid url"),
    ],
)
def test_a_page_that_is_cut_or_has_no_dataset_is_said(body, said):
    with pytest.raises(DocumentError, match=said):
        read_all(landing("P.1"), {"P.1": body}, base=ROOT)


def test_an_empty_sitemap_and_a_page_without_an_address_are_said():
    for body, said in (("<urlset/>", "names no pages"), ("<urlset><url><loc/></url></urlset>", "without a loc")):
        with pytest.raises(DocumentError, match=said):
            read_all(landing(sitemap="sitemap.xml"), {"sitemap.xml": body}, base=ROOT)


@pytest.mark.parametrize("options", [{}, {"pages": ("x",), "sitemap": "s"}, {"pages": ("x",), "match": ("*",)}])
def test_pages_are_named_or_a_sitemap_is(options):
    with pytest.raises(ValidationError):
        schema_org.SchemaOrgOptions.model_validate(options)


@settings(max_examples=100)
@given(body=broken(page(DATASET)))
def test_a_broken_page_is_said_and_nothing_worse(body):
    chosen = landing("P.1")
    survives(chosen, next(iter(chosen.start())), body)


@settings(max_examples=100)
@given(body=broken(catalogue(AIR)))
def test_a_broken_catalogue_is_said_and_nothing_worse(body):
    chosen = portal()
    survives(chosen, next(iter(chosen.start())), body)
