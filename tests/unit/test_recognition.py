"""Addresses as they stand in a browser, and documents as servers send them: which source they mean."""

import pytest
from hypothesis import given, settings, strategies as st

from manifests.model.mirror import load_mirror
from manifests.recognition.by_address import by_address, given_address
from manifests.recognition.by_content import by_content
from manifests.recognition.by_name import NAMES, by_name
from manifests.recognition.candidate import Candidate
from manifests.recognition.manifest_text import FoundFiles, manifest_text, name_of

PUBLIC = {
    "https://zenodo.org/records/6347574": ("zenodo", "https://zenodo.org/", {"records": ["6347574"]}),
    "https://doi.org/10.5281/zenodo.6347574": ("zenodo", "https://zenodo.org/", {"records": ["6347574"]}),
    "https://figshare.com/articles/dataset/A_title/5616409/3": (
        "figshare",
        "https://api.figshare.com/v2/",
        {"articles": ["5616409"]},
    ),
    "https://osf.io/fdkmx/files/": ("osf", "https://api.osf.io/v2/", {"nodes": ["fdkmx"]}),
    "https://dandiarchive.org/dandiset/000003?pos=2": (
        "dandi",
        "https://api.dandiarchive.org/api/",
        {"dandisets": ["000003"]},
    ),
    "https://huggingface.co/datasets/openslr/librispeech_asr": (
        "huggingface",
        "https://huggingface.co/",
        {"repositories": ["openslr/librispeech_asr"]},
    ),
    "https://www.gbif.org/dataset/d7dddbf4-2cf0-4f39-9b2a-bb099caae36c": (
        "gbif",
        "https://api.gbif.org/v1/",
        {"datasets": ["d7dddbf4-2cf0-4f39-9b2a-bb099caae36c"]},
    ),
    "https://www.checklistbank.org/dataset/1010": (
        "checklistbank",
        "https://api.checklistbank.org/",
        {"datasets": ["1010"], "take": "archive"},
    ),
    "https://search.earthdata.nasa.gov/search/granules?p=C1996881146-POCLOUD": (
        "cmr",
        "https://cmr.earthdata.nasa.gov/search/",
        {"collections": ["C1996881146-POCLOUD"]},
    ),
    "https://dataverse.harvard.edu/dataset.xhtml?persistentId=doi:10.7910/DVN/TJCLKP": (
        "dataverse",
        "https://dataverse.harvard.edu/",
        {"datasets": ["doi:10.7910/DVN/TJCLKP"]},
    ),
    "https://www.bipm.org/kcdb/": ("kcdb", "https://www.bipm.org/api/kcdb/", {}),
    "https://catalog.data.gov/dataset/air-quality": (
        "ckan",
        "https://catalog.data.gov/",
        {"packages": ["air-quality"]},
    ),
    "https://thredds.ucar.edu/thredds/catalog/grib/NCEP/catalog.html": (
        "thredds",
        "https://thredds.ucar.edu/thredds/catalog/grib/NCEP/",
        {},
    ),
    "s3://noaa-goes19/ABI-L2-CMIPF/": ("", "s3://noaa-goes19/ABI-L2-CMIPF/", {}),
    "ftp://ftp.ncbi.nlm.nih.gov/pub/taxonomy/": ("", "ftp://ftp.ncbi.nlm.nih.gov/pub/taxonomy/", {}),
}


@pytest.mark.parametrize("url", PUBLIC)
def test_an_address_of_a_browser_names_its_source(url):
    found = next(by_address(given_address(url)))
    assert (found.reader, found.url, found.options) == PUBLIC[url]
    assert load_mirror(manifest_text(found, None), "m.yaml").source.url == found.url


@pytest.mark.parametrize("url", ["https://archive.example/data/set/", "https://archive.example/", "https://x.example"])
def test_an_address_that_names_no_archive_names_no_source(url):
    assert not list(by_address(given_address(url)))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_that_a_server_sends_for_every_name_is_none_of_them(name):
    page = b"<!doctype html><html><head><title>Not found</title></head><body>no such file</body></html>"
    assert by_name(given_address("https://archive.example/"), name, page) is None


def test_the_answer_of_a_bucket_leads_to_it():
    head = b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
    (found,) = by_content(given_address("https://s3.archive.example/bucket/"), head)
    assert found.source == {"url": "s3://bucket/", "endpoint": "https://s3.archive.example", "anonymous": True}


def test_a_table_with_a_column_of_addresses_is_one_of_files():
    head = b"#url\tsize\tmd5\tnote\nhttps://x/a\t1\td41d8cd98f00b204e9800998ecf8427e\tx\n"
    (found,) = by_content(given_address("https://archive.example/data/list.tsv"), head)
    assert found.options == {"tables": ["list.tsv"], "address": "url", "size": "size", "checksums": ["md5"]}


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT, st.text(max_size=80))
def test_whatever_a_server_says_the_manifest_stays_one(title, record, why):
    candidate = Candidate("https://archive.example/", "csw", why, {"cql": record})
    found = FoundFiles(files=1, bytes=2, digests={"sha256": 1}, denied=why)
    text = manifest_text(candidate, found, title=" ".join(title.split()))
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("source:")] == ["source:"]
    mirror = load_mirror(text, "m.yaml")
    assert mirror.source.options.model_dump()["cql"] == record


def test_a_mirror_is_named_by_what_is_chosen():
    assert name_of(Candidate("https://zenodo.org/", "zenodo", "", {"records": ["6347574"]})) == "zenodo-6347574"
    assert name_of(Candidate("https://physionet.org/files/mitdb/1.0.0/", "checksums", "")) == "physionet-mitdb-1-0-0"
