"""Deleted and replaced files are kept beside the tree on both kinds of store, and restored by the commands."""

import json
import shutil

import pytest

from tests.acceptance.cli import Bucket, Folder, run, sync, tree
from tests.servers.nginx import nginx


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return Folder(tmp_path / "store")
    server = request.getfixturevalue("swift")
    return Bucket(server, server.url())


@pytest.fixture
def upstream(tmp_path):
    root = tmp_path / "www"
    (root / "deep").mkdir(parents=True)
    for number in range(12):
        (root / f"f{number:02}").write_bytes(b"%d" % number)
    (root / "deep/late").write_bytes(b"late")
    return root


@pytest.fixture
def manifest(tmp_path, upstream):
    file = tmp_path / "a.yaml"
    file.write_text(
        f"mirror: a\nsource: {{settle: 0s, url: 'file://{upstream}/'}}\nguard: {{max_removed: 50%}}\nkeep: {{versions: 0}}\n"
    )
    return file


@pytest.mark.promise("P6")
def test_files_are_kept_beside_the_tree_and_come_back_one_by_one(store, manifest, upstream, tmp_path):
    state = tmp_path / "state"
    first = sync(store, state, manifest)["snapshot"]
    shutil.rmtree(upstream / "deep")
    (upstream / "f01").write_bytes(b"")
    for number in range(3):
        (upstream / "new").write_bytes(b"%d" % number)
        last = sync(store, state, manifest)["snapshot"]
    assert store.read("a/") == tree(upstream)
    assert store.read(f".syncd/removed/a/{first}/") == {"deep/late": b"late"}
    listed = json.loads(run(store, state, "snapshots", "a", "--json"))
    assert ([one["current"] for one in listed], listed[-1]["id"]) == ([True, False, False, False], first)
    assert listed[0]["kept_until"] is None
    assert all(one["kept_until"] for one in listed[1:])

    run(store, state, "restore", "a", "f01", "--from", first[:12])
    run(store, state, "undelete", "a", "deep/late")
    restored = tree(upstream) | {"f01": b"1", "deep/late": b"late"}
    assert store.read("a/") == restored
    assert sync(store, state, manifest)["replaced"] == 0
    assert store.read("a/") == restored
    pins = json.loads(run(store, state, "unpin", "a", "--json"))
    assert pins == [{"path": "deep/late", "frozen": False}, {"path": "f01", "frozen": True}]
    assert json.loads(run(store, state, "status", "--json"))[0]["pinned"] == ["deep/late", "f01"]

    run(store, state, "unpin", "a", "deep/late", "f01")
    back = sync(store, state, manifest)
    assert (back["replaced"], back["removed"], back["snapshot"]) == (1, 1, last)
    assert store.read("a/") == tree(upstream)
    assert json.loads(run(store, state, "rollback", "a", first, "--json"))["snapshot"] == first
    run(store, state, "verify", "a", "--read-data")


def test_another_syncd_that_mirrors_the_folder_has_the_same_snapshot(manifest, upstream, tmp_path):
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    sync(store, state, manifest)
    shutil.rmtree(upstream / "deep")
    ours = sync(store, state, manifest)["snapshot"]
    with nginx(tmp_path / "store", tmp_path / "nginx") as server:
        other = tmp_path / "other.yaml"
        other.write_text(f"mirror: b\nsource: {{url: '{server.origin}/a/', reader: autoindex}}\n")
        theirs = sync(Folder(tmp_path / "second"), tmp_path / "state2", other, "--allow-private", server.origin)
    assert theirs["snapshot"] == ours


def test_unpinning_an_unpinned_file_is_refused_and_an_empty_list_says_so(manifest, tmp_path):
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    sync(store, state, manifest)
    assert run(store, state, "unpin", "a") == "a: nothing is pinned\n"
    run(store, state, "unpin", "a", "f00", wanted=2)
    run(store, state, "restore", "a", "never", "--from", "0000", wanted=2)
