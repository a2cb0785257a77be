"""Dataverse: datasets by persistent identifier, tables in their original form, collections page by page."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from manifests.readers.dataverse import DataverseOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, broken, read_all, stats, survives

ROOT = "https://dataverse.example/"
DOI = "doi:10.7910/DVN/TJCLKP"
ASKED = f"{ROOT}api/datasets/:persistentId/?persistentId={DOI}"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"

PLAIN = {
    "label": "read me.txt",
    "directoryLabel": "docs/en",
    "restricted": False,
    "dataFile": {"id": 7, "filesize": 5, "md5": MD5, "checksum": {"type": "SHA-1", "value": SHA1}},
}
TABLE: dict[str, Any] = {
    "label": "survey.tab",
    "dataFile": {
        "id": 8,
        "filename": "survey.tab",
        "contentType": "text/tab-separated-values",
        "filesize": 900,
        "md5": MD5,
        "checksum": {"type": "MD5", "value": MD5},
        "tabularData": True,
        "originalFileFormat": "application/x-stata-13",
        "originalFileSize": 700,
        "UNF": "UNF:6:abc==",
    },
}


def dataset(*files):
    return json.dumps({"status": "OK", "data": {"id": 1, "latestVersion": {"versionNumber": 1, "files": files}}})


def reader(*datasets, **options):
    return open_reader(Source(ROOT, DataverseOptions(datasets=datasets, **options)))


def read(*files, **options):
    return stats(read_all(reader(DOI, **options), {ASKED: dataset(*files)}))


def test_files_lie_as_the_dataset_orders_them_with_every_digest_published():
    assert read(PLAIN) == {
        "docs/en/read me.txt": Stat(
            "docs/en/read me.txt",
            5,
            version="file:7",
            digests={"sha1": SHA1, "md5": MD5},
            urls=(f"{ROOT}api/access/datafile/7",),
        )
    }


def test_a_table_comes_in_its_original_form_which_the_digest_is_of():
    (stat,) = read(TABLE).values()
    url = f"{ROOT}api/access/datafile/8?format=original"
    assert stat == Stat("survey.dta", 700, version="file:8", digests={"md5": MD5}, urls=(url,))
    named = {**TABLE, "dataFile": {**TABLE["dataFile"], "originalFileName": "Survey 1.dta"}}
    assert list(read(named)) == ["Survey 1.dta"]


def test_the_derived_form_has_its_own_size_and_no_promise():
    assert read(TABLE, original=False) == {
        "survey.tab": Stat("survey.tab", 900, version="file:8", urls=(f"{ROOT}api/access/datafile/8",))
    }


def test_restricted_files_are_asked_for_unless_they_are_to_be_skipped():
    hidden = {**PLAIN, "restricted": True}
    assert len(read(hidden)) == 1
    assert read(hidden, restricted="skip") == {}


def test_a_version_by_number_is_asked_for_and_read_in_its_own_shape():
    url = f"{ROOT}api/datasets/:persistentId/versions/2.1?persistentId={DOI}"
    body = json.dumps({"status": "OK", "data": {"versionNumber": 2, "files": [PLAIN]}})
    assert list(stats(read_all(reader(DOI, version="2.1"), {url: body}))) == ["docs/en/read me.txt"]


def test_an_error_is_told_in_the_words_of_the_site():
    with pytest.raises(DocumentError, match="Dataset with Persistent ID doi:x not found"):
        read_all(reader(DOI), {ASKED: '{"status":"ERROR","message":"Dataset with Persistent ID doi:x not found."}'})


def test_a_file_without_an_id_is_told_after_the_others():
    chosen = reader(DOI)
    follow = next(iter(chosen.start()))
    body = dataset({"label": "x"}, PLAIN)
    assert list(stats(survives(chosen, follow, body))) == ["docs/en/read me.txt"]
    with pytest.raises(DocumentError, match="a file without a label, or without an id"):
        read_all(chosen, {ASKED: body})


def search(begin):
    return f"{ROOT}api/search?q=*&type=dataset&subtree=harvard&sort=date&order=asc&per_page=1000&start={begin}"


def test_a_collection_is_read_page_by_page_and_each_dataset_has_a_folder():
    documents = {
        search(0): json.dumps({"data": {"total_count": 2, "items": [{"global_id": DOI}]}}),
        search(1): json.dumps({"data": {"total_count": 2, "items": [{"global_id": "doi:10.5/x"}]}}),
        ASKED: dataset(PLAIN),
        f"{ROOT}api/datasets/:persistentId/?persistentId=doi:10.5/x": dataset(TABLE),
    }
    found = stats(read_all(reader(collections=("harvard",)), documents))
    assert sorted(found) == ["doi_10.5_x/survey.dta", "doi_10.7910_DVN_TJCLKP/docs/en/read me.txt"]


@pytest.mark.promise("P5")
def test_a_collection_that_ends_early_is_told():
    same = json.dumps({"data": {"total_count": 2, "items": [{"global_id": DOI}]}})
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        read_all(reader(collections=("harvard",)), {search(0): same, search(1): same, ASKED: dataset(PLAIN)})
    documents = {search(0): json.dumps({"data": {"total_count": 2, "items": []}})}
    with pytest.raises(DocumentError, match="2 datasets were announced, and the list ends after 0"):
        read_all(reader(collections=("harvard",)), documents)


def test_what_is_no_identifier_is_told():
    for wrong in ({}, {"datasets": ("10.7910/DVN/TJCLKP",)}, {"datasets": (DOI,), "version": "draft"}):
        with pytest.raises(ValidationError):
            DataverseOptions(**wrong)


@settings(max_examples=40)
@given(broken(dataset(PLAIN, TABLE)))
def test_a_broken_dataset_is_a_document_error(body):
    chosen = reader(DOI)
    for stat in survives(chosen, next(iter(chosen.start())), body):
        assert set(stat.digests) <= {"md5", "sha1"}
        assert stat.size is None or stat.size >= 0
