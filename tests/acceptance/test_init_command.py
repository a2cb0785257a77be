"""`syncd init URL` over the upstream of every reader: which one fits, and a manifest that mirrors what is there."""

import json
import zoneinfo
from contextlib import contextmanager

import pytest
from aiohttp import web
from typer.testing import CliRunner

from manifests.model.mirror import load_mirror
from manifests.reading import built_in
from syncd.cli import app as commands
from tests.miniatures.checklistbank import ChecklistBank
from tests.miniatures.ckan import Ckan
from tests.miniatures.cmr import COLLECTION, Cmr
from tests.miniatures.csw import Csw
from tests.miniatures.dandi import Dandi
from tests.miniatures.dataverse import DOI, Dataverse
from tests.miniatures.esgf import Esgf
from tests.miniatures.figshare import ARTICLE, Figshare
from tests.miniatures.gbif import DATASET, Gbif, Ipt
from tests.miniatures.huggingface import REPOSITORY, HuggingFace
from tests.miniatures.laads import Laads
from tests.miniatures.metalink import Metalink
from tests.miniatures.miniature import Miniature, served, sha256
from tests.miniatures.ncbi import SUMMARY, Ncbi
from tests.miniatures.odata import Odata
from tests.miniatures.osf import NODE, Osf
from tests.miniatures.packages import Bag, Crate, Croissant, DataPackage, Hashdeep
from tests.miniatures.physionet import PhysioNet
from tests.miniatures.portals import DataJson, DcatPages, LandingPages
from tests.miniatures.ready import Cards, Pages, Pangaea
from tests.miniatures.records import Oai, ResourceSync
from tests.miniatures.stac import Stac, StacTable
from tests.miniatures.table import Table
from tests.miniatures.trees import Erddap, Thredds, Webdav
from tests.miniatures.zarr import Zarr, Zarr3
from tests.miniatures.zenodo import Zenodo


class AllYears(Laads):
    """An archive of which every year may be asked for."""

    def answer(self, path, query, origin):
        return {"content": []} if path.endswith("/2023.json") else super().answer(path, query, origin)


UTC = zoneinfo.ZoneInfo("UTC")  # read here: pyarrow would read it on the event loop
PAGES = "/pub/product/"

ADDRESSES = {
    "autoindex": (Pages(PAGES, ["2026/a.nc", "readme.txt"]), PAGES),
    "bagit": (Bag(), "/data/set/"),
    "checklistbank": (ChecklistBank(), "/dataset/3LR"),
    "checksums": (PhysioNet(), "/files/mitdb/1.0.0/"),
    "checksums, its list": (PhysioNet(), "/files/mitdb/1.0.0/SHA256SUMS.txt"),
    "ckan": (Ckan(), "/dataset/air-quality"),
    "cmr": (Cmr(), f"/search/concepts/{COLLECTION}.html"),
    "croissant": (Croissant(), "/data/set/"),
    "csw": (Csw(), "/geonetwork/srv/eng/csw?service=CSW&request=GetCapabilities"),
    "dandi": (Dandi("000003"), "/dandiset/000003?pos=1"),
    "datapackage": (DataPackage(), "/data/set/datapackage.json"),
    "dataverse": (Dataverse(), f"/dataset.xhtml?persistentId={DOI}"),
    "dcat": (DataJson(), "/"),
    "dcat, its document": (DcatPages(), "/catalog.jsonld"),
    "erddap": (Erddap(), "/erddap/files/buoys/"),
    "erddap, all of it": (Erddap(), "/erddap/index.html"),
    "esgf": (Esgf(), "/esg-search/search?source_id=NorESM2-LM&variable_id=tas&variable_id=pr&type=File&limit=10"),
    "figshare": (Figshare(), f"/articles/dataset/A_title/{ARTICLE}/3"),
    "gbif": (Gbif(), f"/dataset/{DATASET}"),
    "gbif, an IPT": (Ipt(), "/ipt/resource?r=birds"),
    "hashdeep": (Hashdeep(), "/data/set/hashes.txt"),
    "huggingface": (HuggingFace(), f"/datasets/{REPOSITORY}/tree/main"),
    "kcdb": (Cards(), "/api/kcdb/"),
    "laads": (AllYears(), "/archive/allData/61/MOD09GA/"),
    "metalink": (Metalink(), f"{Metalink.at}RELEASE.metalink"),
    "ncbi": (Ncbi(), f"/{SUMMARY}"),
    "oai-pmh": (Oai(), "/oai2d?verb=Identify"),
    "odata": (Odata(), "/odata/v1/Products?$filter=Collection/Name eq 'SENTINEL-2'"),
    "osf": (Osf(), f"/v2/nodes/{NODE}/"),
    "resourcesync": (ResourceSync(), "/"),
    "ro-crate": (Crate(), "/data/set/"),
    "schema-org": (Pangaea(), Pangaea.at),
    "schema-org, a sitemap": (LandingPages(), "/sitemap.xml"),
    "stac": (Stac("static"), "/stac/catalog.json"),
    "stac-geoparquet": (StacTable(), "/stac/items.parquet"),
    "table": (Table(), "/data/index.tsv"),
    "thredds": (Thredds(), "/thredds/catalog/noaaport/catalog.html"),
    "webdav": (Webdav(), "/remote.php/dav/public/x/"),
    "zarr": (Zarr(), "/store.zarr/"),
    "zarr, version 3": (Zarr3(), "/store.zarr/"),
    "zenodo": (Zenodo("6347574"), "/records/6347574?preview=1"),
}
"""By reader: an upstream, and an address of it as somebody copies it from a browser."""

NOT_HERE = {"objects", "s3-inventory", "syncd"}  # in buckets, and of nodes


def typed(*words, wanted=0):
    ended = CliRunner().invoke(commands.app, ["init", *map(str, words)])
    assert ended.exit_code == wanted, ended.output
    return ended


@web.middleware
async def strict(request, handler):
    """What a miniature did not expect is not there; it is not asked for again."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception:  # noqa: BLE001  whatever it stumbled over
        raise web.HTTPNotFound from None


@contextmanager
def looked_at(upstream, path, *words, wanted=0):
    app = upstream.app()
    app.middlewares.append(strict)
    with served(app) as origin:
        yield typed(f"{origin}{path}", "--allow-private", origin, *words, wanted=wanted)


def test_every_reader_has_an_address_here():
    assert {name.partition(",")[0] for name in ADDRESSES} == set(built_in()) - NOT_HERE


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_leads_to_its_reader_and_to_a_good_manifest(name):
    upstream, path = ADDRESSES[name]
    with looked_at(upstream, path, "--json") as ended:
        found = json.loads(ended.stdout)
    best = next(one for one in found["tried"] if one["fits"])
    assert best["reader"] == name.partition(",")[0], found
    assert best["files"] > 0
    assert best["why"]
    assert load_mirror(found["manifest"], "m.yaml").source.reader == best["reader"]


def test_the_manifest_is_written_once_and_says_what_was_found(tmp_path):
    words = ("--folder", tmp_path, "--name", "beats")
    with looked_at(PhysioNet(), "/files/mitdb/1.0.0/", *words) as ended:
        file = tmp_path / "beats.yaml"
        text = file.read_text()
        assert f"{file}: written" in ended.stdout
        assert "checksums fits: SHA256SUMS.txt lies at the address" in ended.stderr
        assert "# checksums: sha256 (4): every file will be verified" in text
        assert "# access:    open: a file was read without an account" in text
        assert "verify: {require: published}" in text
    checked = CliRunner().invoke(commands.app, ["check", str(tmp_path)])
    assert checked.exit_code == 0, checked.output
    with looked_at(PhysioNet(), "/files/mitdb/1.0.0/", *words, wanted=2) as ended:
        assert "exists already and was not changed" in ended.stderr
    assert file.read_text() == text


def test_a_folder_on_disk_is_read_by_its_list_if_it_has_one(tmp_path):
    (tmp_path / "a.nc").write_bytes(b"data")
    plain = json.loads(typed(f"file://{tmp_path}/", "--json").stdout)
    assert [(one["reader"], one["files"], one["bytes"]) for one in plain["tried"]] == [("", 1, 4)]
    (tmp_path / "SHA256SUMS").write_text(f"{sha256(b'data')}  a.nc\n")
    listed = json.loads(typed(f"file://{tmp_path}/", "--json").stdout)
    assert [(one["reader"], one["fits"]) for one in listed["tried"]] == [("checksums", True), ("", False)]


@pytest.mark.parametrize(
    ("answers", "wanted", "said"),
    [
        (404, 4, "upstream has no such file"),
        (401, 4, "name a credential of syncd.yaml with --credentials"),
        (200, 3, "no reader finds a file there"),
    ],
)
def test_where_nothing_fits_the_error_says_why(answers, wanted, said):
    class Closed(Miniature):
        def answer(self, path, query, origin):
            return web.Response(status=answers, text="nothing to see", content_type="text/plain")

    with looked_at(Closed(), "/some/folder/", wanted=wanted) as ended:
        assert said in ended.stderr
        assert not ended.stdout


def test_what_is_no_address_is_wrong_usage():
    assert "write it whole" in typed("zenodo.org/records/1", wanted=2).stderr
    assert "name or a password" in typed("https://me:secret@host.example/x/", wanted=2).stderr
    assert "secret" not in typed("https://me:secret@host.example/x/", wanted=2).output
