"""The main job, as a steward does it: one YAML file, the real command line, real servers on both sides."""

import hashlib
import json
import random

import pytest

from tests.acceptance.cli import HASTY, Bucket, Folder, run, sync, tree
from tests.servers.nginx import nginx

HTTP = """
mirror: scenes
title: Scenes
source:
  url: {origin}/
  {reader}
guard: {{max_removed: 2}}
"""
CHECKSUMS = "reader: checksums\n  checksums: [SHA256SUMS]"
AUTOINDEX = "reader: autoindex"
JOINED = 'reader: autoindex\n  checksums: ["**/SHA256SUMS"]'


def write(root, path, content):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def publish_sums(root):
    lines = [
        f"{hashlib.sha256(c).hexdigest()}  {p}\n" for p, c in sorted(tree(root).items()) if not p.endswith("SHA256SUMS")
    ]
    (root / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def archive(tmp_path):
    chance, root = random.Random(5), tmp_path / "www"
    for n, size in enumerate((0, 1, 4096, 70_000, 4 << 20, (4 << 20) + 1, 21 << 20)):
        write(root, f"LC08 é/{n % 2}/b{n}#1%.tif", chance.randbytes(size))
    write(root, "plain.txt", b"plain\n")
    publish_sums(root)
    return root


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return Folder(tmp_path / "store")
    server = request.getfixturevalue("swift")
    return Bucket(server, server.url())


@pytest.mark.parametrize(
    ("store", "reader"),
    [("folder", CHECKSUMS), ("folder", AUTOINDEX), ("folder", JOINED), ("bucket", JOINED)],
    indirect=["store"],
    ids=["checksums-folder", "autoindex-folder", "joined-folder", "joined-bucket"],
)
def test_a_dataset_is_mirrored_kept_current_and_verified(archive, store, tmp_path, reader):
    state, manifest = tmp_path / "state", tmp_path / "scenes.yaml"
    with nginx(archive, tmp_path / "nginx") as upstream:
        manifest.write_text(HTTP.format(origin=upstream.origin, reader=reader))
        allowed = ("--allow-private", upstream.origin)
        planned = json.loads(run(store, state, "plan", manifest, "--json", *allowed))
        assert (planned["fetch"], planned["keep"], planned["remove"]) == (9, 0, 0)
        first = sync(store, state, manifest, *allowed)
        assert (first["fetched"], first["complete"], first["failed"]) == (9, True, 0)
        assert store.read("scenes/") == tree(archive)
        again = sync(store, state, manifest, *allowed)
        assert (again["fetched"], again["kept"], again["snapshot"]) == (0, 9, first["snapshot"])

        write(archive, "LC08 é/0/b2#1%.tif", b"replaced, and longer than nothing")
        write(archive, "new/large one", random.Random(6).randbytes(17 << 20))
        (archive / "plain.txt").unlink()
        publish_sums(archive)
        before = store.read("scenes/")
        third = sync(store, state, manifest, *allowed)
        assert (third["fetched"], third["replaced"], third["removed"]) == (1, 2, 1)
        assert store.read("scenes/") == tree(archive)

        assert json.loads(run(store, state, "verify", "scenes", "--read-data", "--json"))["faults"] == []
        listed = {
            line["path"]: line
            for line in map(json.loads, run(store, state, "survey", manifest, "--json", *allowed).splitlines())
        }
        assert set(listed) == set(tree(archive))
    kept = json.loads(run(store, state, "snapshots", "scenes", "--json"))
    assert [s["id"] for s in kept] == [third["snapshot"], first["snapshot"]]
    changes = json.loads(run(store, state, "diff", "scenes", first["snapshot"], third["snapshot"][:12], "--json"))[
        "changes"
    ]
    assert {c["path"]: c["change"] for c in changes} == {
        "LC08 é/0/b2#1%.tif": "changed", "SHA256SUMS": "changed", "new/large one": "added", "plain.txt": "removed"
    }  # fmt: skip
    back = json.loads(run(store, state, "rollback", "scenes", first["snapshot"][:10], "--json"))
    assert back["snapshot"] == first["snapshot"]
    assert {p: c for p, c in store.read("scenes/").items() if p in before} == before
    run(store, state, "rollback", "scenes", third["snapshot"])
    run(store, state, "undelete", "scenes", "plain.txt")
    run(store, tmp_path / "other state", "rebuild")
    status = json.loads(run(store, tmp_path / "other state", "status", "--json"))
    assert (status[0]["mirror"], status[0]["files"]) == ("scenes", 10)


def test_a_bucket_is_mirrored_into_a_folder_and_into_a_bucket(swift, tmp_path):
    source = Bucket(swift, swift.url())
    files = {f"d{n % 3}/k{n:02}": random.Random(n).randbytes(n * 1000) for n in range(25)}
    files["large"] = random.Random(99).randbytes(18 << 20)
    for path, content in files.items():
        source.put(path, content)
    manifest = tmp_path / "copy.yaml"
    manifest.write_text(
        f"mirror: copy\nsource: {{url: '{source.url}', endpoint: '{swift.endpoint}', region: us-east-1}}\n"
    )
    for store in (Folder(tmp_path / "store"), Bucket(swift, swift.url())):
        store.environ = source.environ
        state = tmp_path / f"state {store.kind}"
        result = sync(store, state, manifest, "--allow-private", swift.endpoint)
        assert (result["fetched"], result["failed"]) == (26, 0)
        assert store.read("copy/") == files
        assert sync(store, state, manifest, "--allow-private", swift.endpoint)["kept"] == 26
    source.remove("d0/k00")
    source.put("d1/k01", b"changed")
    result = sync(store, state, manifest, "--allow-private", swift.endpoint)
    assert (result["removed"], result["replaced"], result["kept"]) == (1, 1, 24)


def test_a_folder_is_mirrored(archive, store, tmp_path):
    manifest = tmp_path / "disk.yaml"
    manifest.write_text(f'mirror: disk\nsource: {{settle: 0s, url: "file://{archive}/"}}\n')
    assert sync(store, tmp_path / "state", manifest)["fetched"] == 9
    assert store.read("disk/") == tree(archive)


@pytest.mark.promise("P5")
@pytest.mark.fault(31)
def test_a_mass_removal_waits_for_approval_with_exit_3(store, tmp_path):
    archive, manifest, state = tmp_path / "a", tmp_path / "a.yaml", tmp_path / "state"
    for n in range(20):
        write(archive, f"{n:02}", b"%d" % n)
    manifest.write_text(f'mirror: a\nsource: {{settle: 0s, url: "file://{archive}/"}}\n')
    sync(store, state, manifest)
    for n in range(5):
        (archive / f"{n:02}").unlink()
    parked = sync(store, state, manifest, wanted=3)
    assert (parked["parked"], parked["removed"]) == (5, 0)
    assert json.loads(run(store, state, "status", "--json"))[0]["parked"] == 5
    assert json.loads(run(store, state, "approve", "a", "--json"))["approved"] == 5
    assert sync(store, state, manifest)["removed"] == 5


def test_exit_codes_say_what_kind_of_failure_it_was(tmp_path):
    store, state, manifest = Folder(tmp_path / "store"), tmp_path / "state", tmp_path / "m.yaml"
    manifest.write_text("mirror: m\nsource: {url: 'http://127.0.0.1:9/', limit: 3}\n")
    run(store, state, "sync", manifest, wanted=2)
    run(store, state, "sync", tmp_path / "missing.yaml", wanted=2)
    manifest.write_text("mirror: m\nsource: {url: 'http://127.0.0.1:9/'}\n")
    run(store, state, "sync", manifest, wanted=4)  # a private address that nobody allowed
    run(store, state, "sync", manifest, "--allow-private", "http://127.0.0.1:9", wanted=4, program=HASTY)
    run(store, state, "verify", "unknown", wanted=2)
