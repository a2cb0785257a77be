"""Croissant, read by mlcroissant: a few files with their checksums, 100,000 files by their list, fast."""

import json
import socket
import time
from dataclasses import replace

import pytest
from hypothesis import given

from manifests.readers import croissant as reader
from syncd.exchange.croissant import croissant
from tests.exchange.publications import BARE, LANDSAT, RESTRICTED, VALIDATORS, golden, wild
from tests.unit.reader_harness import Source, read_all, stats

pytestmark = [VALIDATORS, pytest.mark.filterwarnings("ignore")]
LARGE = replace(LANDSAT, files=(), history=(replace(LANDSAT.version, files=100_000),))


def test_the_descriptions_are_their_golden_files():
    golden("croissant-landsat.json", croissant(LANDSAT))
    golden("croissant-large.json", croissant(LARGE))


@pytest.mark.parametrize("held", [LANDSAT, LARGE, BARE, RESTRICTED], ids=["few", "large", "bare", "restricted"])
def test_mlcroissant_reads_it_without_a_fault_in_a_second(held, monkeypatch):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant reads Croissant")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asks the network"))
    took = []
    for _ in range(3):  # the first imports what it needs
        begun = time.process_time()
        found = mlcroissant.Dataset(jsonld=json.loads(croissant(held)))
        took.append(time.process_time() - begun)
    assert min(took) < 1
    assert found.metadata.issues.errors == set()
    assert len(found.metadata.file_objects) == (3 if held is LANDSAT else 1)


def test_our_own_reader_finds_the_files_below_their_version():
    kind = reader.READER
    body = croissant(LANDSAT, is_live=False)
    found = stats(read_all(kind.open(Source(LANDSAT.url, kind.options())), {"croissant.json": body}))
    assert {path: one.digests["sha256"] for path, one in found.items() if one.digests} == {
        f"snapshots/{LANDSAT.version.id}/files/{one.path}": one.sha256 for one in LANDSAT.files
    }


def test_the_checksum_of_a_file_is_that_of_its_entry():
    files = {one["name"]: one["sha256"] for one in json.loads(croissant(LANDSAT))["distribution"]}
    assert files == {one.path: one.sha256 for one in LANDSAT.files}


@given(wild)
def test_any_text_leaves_it_json(held):
    assert json.loads(croissant(held))["version"].startswith("1.0.0+")
