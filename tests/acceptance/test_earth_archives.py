"""Archives of earth observation, each as a miniature on loopback, mirrored as a steward does it, changed, mirrored again."""

import pytest

from tests.acceptance.archive_passes import archives, check_whole_and_current
from tests.acceptance.cli import Bucket, Folder, sync
from tests.miniatures.cmr import Cmr
from tests.miniatures.esgf import Esgf
from tests.miniatures.laads import Laads
from tests.miniatures.miniature import served
from tests.miniatures.odata import Odata
from tests.miniatures.stac import COLLECTION, STYLES, PlanetaryStac, Stac, StacTable

KINDS = {
    **{f"stac-{style}": lambda style=style: Stac(style) for style in STYLES},
    "stac-static": lambda: Stac("static"),
    "stac-bare-md5": PlanetaryStac,
    "stac-geoparquet": StacTable,
    "cmr": Cmr,
    "esgf": Esgf,
    "odata": Odata,
    "odata-nodes": lambda: Odata(nodes=True),
    "laads": Laads,
    "laads-csv": lambda: Laads("csv"),
}


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    """Two passes over all of them: the first, and one after everything changed."""
    with archives(tmp_path_factory.mktemp("archives"), KINDS) as served_archives:
        first = served_archives.mirror()
        served_archives.change()
        yield (first, served_archives.mirror()), served_archives.upstreams


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_is_mirrored_whole_and_kept_current(passes, name):
    (first, changed), _ = passes
    check_whole_and_current(first[name], changed[name])


UNPROMISED = {"odata-nodes": "", "laads-csv": ""}  # no digests there


@pytest.mark.parametrize("name", KINDS)
def test_every_promise_of_an_archive_is_checked(passes, name):
    for seen in passes[0]:
        attested = {path for path, verdict in seen[name].verdicts.items() if verdict == "attested"}
        assert attested == {path for path in seen[name].verdicts if path.endswith(UNPROMISED.get(name, ("\0",)))}


def test_a_search_is_asked_page_by_page_for_what_the_manifest_wants(passes):
    searched = passes[1]["stac-merge"].searched
    assert searched[:3] == [
        ("POST", {"limit": 2, "collections": [COLLECTION]}),
        ("POST", {"limit": 2, "collections": [COLLECTION], "next": "2"}),
        ("POST", {"limit": 2, "collections": [COLLECTION], "next": "4"}),
    ]
    assert all(method == "GET" for method, _ in passes[1]["stac-get"].searched)


@pytest.mark.swift
def test_assets_that_lie_in_a_bucket_are_fetched_there_as_the_manifest_says(swift, tmp_path):
    bucket, store, manifest = Bucket(swift, swift.url()), Folder(tmp_path / "store"), tmp_path / "stac.yaml"
    upstream = Stac("merge", more=f", prefer: [s3], endpoint: '{swift.endpoint}', region: us-east-1")
    for path, content in upstream.files.items():
        bucket.put(path, content)
    upstream.bucket = f"s3://{bucket.bucket}/{bucket.base.lstrip('/')}"
    store.environ = bucket.environ
    with served(upstream.app()) as origin:
        manifest.write_text(upstream.manifest(origin))
        said = sync(store, tmp_path / "state", manifest, "--allow-private", origin, "--allow-private", swift.endpoint)
    assert (said["complete"], said["failed"], said["fetched"]) == (True, 0, len(upstream.files))
    assert store.read("stac/") == upstream.copy()
    assert not [request.path for request in upstream.asked if request.path.startswith("/data/")]


class Forgetful(Stac):
    """A search that may forget to name its next page, or to send the items that it counts."""

    forgets = empties = False

    def search(self, origin, request, body):
        page = super().search(origin, request, body)
        page |= {"features": [], "numberReturned": 0} if self.empties else {}
        return {**page, "links": []} if self.forgets else page


@pytest.mark.promise("P5")
@pytest.mark.fault(30)
def test_a_search_that_forgets_its_next_page_deletes_nothing_and_what_it_named_is_fetched(tmp_path):
    store, manifest, upstream = Folder(tmp_path / "store"), tmp_path / "stac.yaml", Forgetful("token")
    with served(upstream.app()) as origin:
        manifest.write_text(upstream.manifest(origin))
        allowed = ("--allow-private", origin)
        before = sync(store, tmp_path / "state", manifest, *allowed)
        upstream.forgets = True
        upstream.files["LC09_000/LC09_000_B9.TIF"] = b"new"
        said = sync(store, tmp_path / "state", manifest, *allowed, wanted=1)
        assert (said["complete"], said["removed"], said["parked"], said["fetched"]) == (False, 0, 0, 1)
        upstream.empties = True
        said = sync(store, tmp_path / "state", manifest, *allowed, wanted=1)
        assert (said["complete"], said["removed"], said["parked"], said["fetched"]) == (False, 0, 0, 0)
        assert store.read("forgetful/") == upstream.copy()
        upstream.forgets = upstream.empties = False
        whole = sync(store, tmp_path / "state", manifest, *allowed)
    assert (whole["complete"], whole["kept"]) == (True, before["fetched"] + 1)
