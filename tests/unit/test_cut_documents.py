"""A document that is cut anywhere is no complete list, unless its format cannot tell and its reader says so."""

import contextlib
import functools
import hashlib
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec
import pytest

from manifests.head import Head, comment_of
from manifests.readers.node_options import NodeOptions
from manifests.readers.s3_inventory import S3InventoryOptions
from manifests.reading import DocumentError, built_in
from manifests.snapshot import Content, Entry, Snapshot, cut, identity, pack, shard_of
from manifests.stat import Stat
from syncd.exchange.keys import SecretKey
from tests.miniatures.checklistbank import ChecklistBank
from tests.miniatures.ckan import Ckan
from tests.miniatures.cmr import Cmr
from tests.miniatures.csw import Csw
from tests.miniatures.dandi import Dandi
from tests.miniatures.dataverse import Dataverse
from tests.miniatures.esgf import Esgf
from tests.miniatures.figshare import Figshare
from tests.miniatures.gbif import Gbif, Ipt
from tests.miniatures.huggingface import HuggingFace
from tests.miniatures.laads import Laads
from tests.miniatures.metalink import Metalink
from tests.miniatures.miniature import Miniature, md5
from tests.miniatures.ncbi import Ncbi
from tests.miniatures.odata import Odata
from tests.miniatures.osf import Osf
from tests.miniatures.packages import Bag, Crate, Croissant, DataPackage, Hashdeep
from tests.miniatures.physionet import PhysioNet
from tests.miniatures.portals import DataJson, DcatPages, LandingPages
from tests.miniatures.records import Kcdb, Oai, ResourceSync
from tests.miniatures.stac import STYLES, Stac, StacTable
from tests.miniatures.table import Table
from tests.miniatures.trees import Erddap, Thredds, Webdav
from tests.miniatures.zarr import Zarr, Zarr3
from tests.miniatures.zenodo import Zenodo
from tests.unit import recorded_walks, test_s3_inventory
from tests.unit.reader_harness import Source

STAC = tuple(f"stac-{style}" for style in STYLES)
MINIATURES: dict[str, Callable[[], Miniature]] = {
    **{f"stac-{style}": functools.partial(Stac, style) for style in (*STYLES, "static")},
    "bag": Bag,
    "checklistbank": ChecklistBank,
    "ckan": Ckan,
    "cmr": Cmr,
    "col-annual": lambda: ChecklistBank(wanted="annual"),
    "crate": Crate,
    "croissant": Croissant,
    "csw": Csw,
    "dandi": Dandi,
    "datapackage": DataPackage,
    "dataverse": Dataverse,
    "dcat": DcatPages,
    "dcat-us": DataJson,
    "erddap": Erddap,
    "esgf": Esgf,
    "figshare": Figshare,
    "gbif": Gbif,
    "hashdeep": Hashdeep,
    "huggingface": HuggingFace,
    "ipt": Ipt,
    "kcdb": Kcdb,
    "laads": Laads,
    "laads-csv": lambda: Laads("csv"),
    "metalink": Metalink,
    "ncbi": Ncbi,
    "oai": Oai,
    "odata": Odata,
    "odata-nodes": lambda: Odata(nodes=True),
    "osf": Osf,
    "physionet": PhysioNet,
    "resourcesync": ResourceSync,
    "schema-org": LandingPages,
    "stac-geoparquet": StacTable,
    "table": Table,
    "thredds": Thredds,
    "webdav": Webdav,
    "zarr": Zarr,
    "zarr-three": Zarr3,
    "zenodo": Zenodo,
}


def inventory():
    """An S3 Inventory of two lists."""
    lists = [test_s3_inventory.packed(*map(test_s3_inventory.row, names)) for names in (["a", "b c"], ["d/e"])]
    body, name = test_s3_inventory.manifest(*lists), "2024-01-01T00-00Z"
    found = (Stat(f"inv/all/{name}/manifest.json"), Stat(f"inv/all/{name}/manifest.checksum"))
    documents = {
        f"{test_s3_inventory.PLACE}2": b"".join(msgspec.json.encode(one) + b"\n" for one in found),
        f"{test_s3_inventory.PLACE}{name}/manifest.json": body,
        f"{test_s3_inventory.PLACE}{name}/manifest.checksum": f"{md5(body)}\n",
        **{f"s3://lists/inv/nix-cache/all/data/{number}": packed for number, packed in enumerate(lists)},
    }
    options = S3InventoryOptions(inventory=test_s3_inventory.PLACE)
    return recorded_walks.from_documents(Source("s3://nix-cache/", options), "s3-inventory", documents)


def node():
    """A mirror of another node: head, signature, snapshot.json and two shards."""
    key = SecretKey(b"of tests", b"1" * 32)
    names = [f"{number:06}" for number in range(30_000)]
    entries = [Entry(name, 1, "a" * 64, "b" * 32) for name in names]
    shards, documents = [], {}
    for run in cut(entries):
        shard, text = shard_of(run)
        shards.append(shard)
        documents[f"https://node.example/mirrors/m/shards/{shard.sha256}"] = pack(text)
    content = Content(tuple(shards))
    snapshot = Snapshot(identity(content), content, "m", 0.0, len(entries), len(entries))
    listed = msgspec.json.encode(snapshot)
    at, digest = "2026-11-30T00:00:00Z", hashlib.sha256(listed).hexdigest()
    head = Head("n", "m", 1, snapshot.id, digest, len(entries), len(entries), at, at, at, at)
    text = msgspec.json.encode(head)
    documents["https://node.example/mirrors/m/head.json"] = text
    documents["https://node.example/mirrors/m/head.json.minisig"] = key.sign(text, comment_of(head))
    documents[f"https://node.example/mirrors/m/snapshots/{snapshot.id}/snapshot.json"] = listed
    assert len(shards) > 1
    source = Source("https://node.example/mirrors/m/", NodeOptions(keys=(key.public.text,)))
    return recorded_walks.from_documents(source, "syncd", documents)


DOCUMENTS = {"s3-inventory": inventory, "syncd": node}


def unnoticed(walk):
    """The cuts that nothing reveals, except those that the reader declares."""
    for question, place in walk.cuts():
        unseen, body = walk.kind.proof.unseen, walk.answers[question].body
        if unseen == "none" or (unseen == "lines" and not f"\n{body[:place].decode('latin-1')}".endswith(("\n", "\r"))):
            yield f"{question.method} {question.url} of {len(body)} bytes at {place}: …{body[max(0, place - 60) : place]!r}"


@pytest.mark.promise("P5")
@pytest.mark.parametrize("name", [*MINIATURES, *DOCUMENTS])
def test_no_document_that_is_cut_is_a_complete_list(name):
    walk = DOCUMENTS[name]() if name in DOCUMENTS else recorded_walks.from_upstream(MINIATURES[name]())
    assert walk.found()
    assert list(unnoticed(walk)) == []


PAGED = ("cmr", "csw", "dandi", "dcat", "esgf", "figshare", "huggingface", "kcdb", "oai", "odata", "osf", *STAC)


@pytest.mark.promise("P5")
@pytest.mark.parametrize("name", PAGED)
def test_a_server_that_answers_with_an_earlier_page_has_no_complete_list(name):
    walk = recorded_walks.from_upstream(MINIATURES[name]())
    whole, pages = walk.found(), list(walk.answers.items())
    swapped = [
        (question, earlier)
        for number, (question, _) in enumerate(pages)
        for there, earlier in pages[:number]
        if urlsplit(there.url).path == urlsplit(question.url).path
    ]
    for question, earlier in swapped:
        with contextlib.suppress(DocumentError):
            assert walk.found({**walk.answers, question: earlier}) == whole
    assert swapped


def test_every_reader_that_reads_documents_has_its_documents_cut():
    read = {MINIATURES[name]().reader for name in MINIATURES} | DOCUMENTS.keys()
    assert built_in().keys() - read == {"objects", "autoindex"}
