"""Archives of the life sciences and repositories, each as a miniature on loopback, mirrored as a steward does it.

All of them are mirrored by one command, changed, and mirrored again; then each is looked at by itself.
"""

import pytest

from syncd.core.errors import Denied
from syncd.core.ports import Credential
from tests.acceptance.archive_passes import archives, check_whole_and_current
from tests.acceptance.cli import Folder, run
from tests.miniatures.checklistbank import ChecklistBank
from tests.miniatures.ckan import Ckan
from tests.miniatures.csw import Csw
from tests.miniatures.dandi import Dandi
from tests.miniatures.dataverse import Dataverse
from tests.miniatures.figshare import Figshare
from tests.miniatures.gbif import DATASET, DOWNLOAD, Gbif, Ipt
from tests.miniatures.huggingface import HuggingFace
from tests.miniatures.metalink import Metalink
from tests.miniatures.miniature import served
from tests.miniatures.ncbi import Ncbi
from tests.miniatures.osf import Osf
from tests.miniatures.physionet import PASSWORD, UNSIGNED, USER, PhysioNet
from tests.miniatures.portals import DataJson, DcatPages, LandingPages
from tests.miniatures.zarr import Zarr, Zarr3
from tests.miniatures.zenodo import Zenodo
from transports.http.transport import HttpTransport

KINDS = {
    "checklistbank": ChecklistBank,
    "col-annual": lambda: ChecklistBank(wanted="annual"),
    "ckan": Ckan,
    "csw": Csw,
    "dandi": Dandi,
    "dataverse": Dataverse,
    "dcat": DcatPages,
    "dcat-us": DataJson,
    "figshare": Figshare,
    "gbif": Gbif,
    "huggingface": HuggingFace,
    "ipt": Ipt,
    "metalink": Metalink,
    "ncbi": Ncbi,
    "osf": Osf,
    "physionet": lambda: PhysioNet("mimic-iv", "3.1", credentialed=True),
    "physionet-open": PhysioNet,
    "schema-org": LandingPages,
    "zarr": Zarr,
    "zarr-three": Zarr3,
    "zenodo": Zenodo,
}


def credentials(origins):
    basic = f"{{username: {USER}, password: {{env: PHYSIONET_PASSWORD}}}}"
    return f'credentials: {{physionet: {{origin: "{origins["physionet"]}", basic: {basic}}}}}\n'


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    """Two passes over all of them: the first, and one after everything changed."""
    with archives(
        tmp_path_factory.mktemp("archives"), KINDS, environ={"PHYSIONET_PASSWORD": PASSWORD}, config=credentials
    ) as served_archives:
        first = served_archives.mirror()
        served_archives.change()
        yield (first, served_archives.mirror()), served_archives.upstreams


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_is_mirrored_whole_and_kept_current(passes, name):
    (first, changed), _ = passes
    check_whole_and_current(first[name], changed[name])


LISTS = ("SHA256SUMS.txt", "RELEASE.metalink", "md5checksums.txt", "assembly_summary.txt", ".md5")
NO_PROMISE = {
    "ckan": ("",),
    "csw": ("",),
    "dcat-us": ("",),
    "gbif": ("",),
    "ipt": ("",),
    "ncbi": ("hashes.txt",),
    "zarr": ("",),
    "zarr-three": ("",),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_promise_of_an_archive_is_checked_and_only_what_has_none_is_attested(passes, name):
    found, _ = passes
    wanted = (*LISTS, *NO_PROMISE.get(name, ()))
    for seen in found:
        assert {path for path, verdict in seen[name].verdicts.items() if verdict == "attested"} == {
            path for path in seen[name].verdicts if path.endswith(wanted)
        }


def test_a_credentialed_database_is_asked_with_its_credential_by_a_client_that_says_who_it_is(passes):
    _, upstreams = passes
    asked = upstreams["physionet"].asked
    assert asked
    assert all(request.headers["User-Agent"].startswith("syncd/") for request in asked)
    assert all(request.headers["Authorization"].startswith("Basic ") for request in asked)
    assert not any("Authorization" in request.headers for request in upstreams["physionet-open"].asked)


def test_what_did_not_change_is_not_read_again(passes):
    _, upstreams = passes
    read = [request.path for request in upstreams["dataverse"].asked if request.path.startswith("/api/access/")]
    assert len(read) == 3 + 2


@pytest.mark.parametrize(
    ("agent", "user", "password"),
    [("syncd/1", UNSIGNED, PASSWORD), ("syncd/1", USER, "wrong"), ("Mozilla/5.0", USER, PASSWORD)],
    ids=["no agreement signed", "wrong password", "a browser"],
)
async def test_whoever_may_not_have_a_credentialed_database_is_told_so(agent, user, password):
    upstream = PhysioNet(credentialed=True)
    with served(upstream.app()) as origin:
        credential = Credential("physionet", origin, "basic", password, username=user)
        transport = HttpTransport(
            origin + upstream.at, user_agent=agent, credential=credential, allow_private=frozenset({origin})
        )
        with pytest.raises(Denied, match=r"SHA256SUMS\.txt: .* answers 40[13] to credential physionet"):
            async with transport.open("SHA256SUMS.txt"):
                pass
        await transport.aclose()


def test_a_download_of_gbif_that_was_stored_cut_off_is_put_aside_and_said_so(tmp_path):
    store, manifest, upstream = Folder(tmp_path / "store"), tmp_path / "gbif.yaml", Gbif(broken=True)
    with served(upstream.app()) as origin:
        manifest.write_text(upstream.manifest(origin))
        said = run(store, tmp_path / "state", "sync", manifest, "--allow-private", origin, wanted=1)
    assert f"failed: {DOWNLOAD}.zip: no checksum is published, and the zip file is incomplete" in said
    assert store.paths("gbif/") == {f"{DATASET}/dwca.zip"}
    assert any(path.endswith(f"{DOWNLOAD}.zip") for path in store.paths(".syncd/quarantine/"))
