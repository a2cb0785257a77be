"""Archives of the life sciences and repositories, each as a miniature on loopback, mirrored as a steward does it.

All of them are mirrored by one command, changed, and mirrored again; then each is looked at by itself.
"""

import json
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from syncd.errors import Denied
from syncd.ports import Credential
from tests.acceptance.cli import Folder, run, start
from tests.miniatures.checklistbank import ChecklistBank
from tests.miniatures.ckan import Ckan
from tests.miniatures.dataverse import Dataverse
from tests.miniatures.figshare import Figshare
from tests.miniatures.gbif import DATASET, DOWNLOAD, Gbif, Ipt
from tests.miniatures.huggingface import HuggingFace
from tests.miniatures.metalink import Metalink
from tests.miniatures.miniature import served
from tests.miniatures.ncbi import Ncbi
from tests.miniatures.osf import Osf
from tests.miniatures.physionet import PASSWORD, UNSIGNED, USER, PhysioNet
from tests.miniatures.zenodo import Zenodo
from transports.http import HttpTransport

KINDS = {
    "checklistbank": ChecklistBank,
    "col-annual": lambda: ChecklistBank(wanted="annual"),
    "ckan": Ckan,
    "dataverse": Dataverse,
    "figshare": Figshare,
    "gbif": Gbif,
    "huggingface": HuggingFace,
    "ipt": Ipt,
    "metalink": Metalink,
    "ncbi": Ncbi,
    "osf": Osf,
    "physionet": lambda: PhysioNet("mimic-iv", "3.1", credentialed=True),
    "physionet-open": PhysioNet,
    "zenodo": Zenodo,
}
CONFIG = """
allow_private: [{origins}]
credentials:
  physionet: {{origin: "{physionet}", basic: {{username: {user}, password: {{env: PHYSIONET_PASSWORD}}}}}}
"""


@dataclass
class Seen:
    """What came of a pass over one upstream: what it had, what the copy held, what `sync --json` said, how each file was judged."""

    upstream: dict
    copy: dict
    said: dict
    verdicts: dict


def held(store, name, snapshot):
    """What the snapshot lists, as it lies in the store; what was removed upstream lies there too, for a while."""
    sums = (store.root / f".syncd/snapshots/{name}/{snapshot}/SHA256SUMS").read_text()
    return {path: (store.root / name / path).read_bytes() for path in (line[66:] for line in sums.splitlines())}


def mirrored(store, state, config, manifests, upstreams):
    words = ("sync", *manifests, "--json", "--config", config)
    process = start(store, state, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, f"{out}\n{err}"
    said = {line["mirror"]: line for line in map(json.loads, out.splitlines())}
    events = [json.loads(line) for line in err.splitlines()]
    return {
        name: Seen(
            each.copy(),
            held(store, name, said[name]["snapshot"]),
            said[name],
            {e["path"]: e["verdict"] for e in events if e["event"] == "TransferFinished" and e["mirror"] == name},
        )
        for name, each in upstreams.items()
    }


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    """Two passes over all of them: the first, and one after everything changed."""
    folder = tmp_path_factory.mktemp("archives")
    store, state, config = Folder(folder / "store"), folder / "state", folder / "syncd.yaml"
    store.environ = {"PHYSIONET_PASSWORD": PASSWORD}
    upstreams = {name: make() for name, make in KINDS.items()}
    with ExitStack() as stack:
        origins = {name: stack.enter_context(served(each.app())) for name, each in upstreams.items()}
        manifests = []
        for name, each in upstreams.items():
            manifests.append(folder / f"{name}.yaml")
            manifests[-1].write_text(each.manifest(origins[name], name))
        quoted = ", ".join(f'"{origin}"' for origin in origins.values())
        config.write_text(CONFIG.format(origins=quoted, physionet=origins["physionet"], user=USER))
        first = mirrored(store, state, config, manifests, upstreams)
        for each in upstreams.values():
            each.change()
        yield (first, mirrored(store, state, config, manifests, upstreams)), upstreams


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_is_mirrored_whole_and_kept_current(passes, name):
    (first, changed), _ = passes
    for seen in (first[name], changed[name]):
        assert seen.copy == seen.upstream
        assert (seen.said["complete"], seen.said["failed"]) == (True, 0)
    before, after = first[name].copy, changed[name].copy
    assert first[name].said["fetched"] == len(before)
    assert changed[name].said["fetched"] == len(after.keys() - before.keys())
    assert changed[name].said["removed"] == len(before.keys() - after.keys())
    same = sum(before.get(path) == content for path, content in after.items())
    assert changed[name].said["kept"] == same != len(after)


LISTS = ("SHA256SUMS.txt", "RELEASE.metalink", "md5checksums.txt", "assembly_summary.txt", ".md5")
NO_PROMISE = {
    "ckan": ("",),
    "gbif": ("",),
    "ipt": ("",),
    "ncbi": ("hashes.txt",),
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
    assert f"failed: {DOWNLOAD}.zip: no digest is promised, and this is no whole zip" in said
    assert store.paths("gbif/") == {f"{DATASET}/dwca.zip"}
    assert any(path.endswith(f"{DOWNLOAD}.zip") for path in store.paths(".syncd/quarantine/"))
