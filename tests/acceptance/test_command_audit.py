"""What the command line does for a person lands in the audit log, refused or not, as what the daemon does."""

import json
import shutil

import pytest

from syncd.catalogue import Catalogue
from tests.acceptance.cli import Folder, run, sync

MANIFEST = "mirror: m\nsource: {{url: 'file://{upstream}/'}}\nguard: {{max_removed: 1}}\nkeep: {{versions: 5}}\n"


@pytest.fixture
def archive(tmp_path):
    upstream, manifest = tmp_path / "www", tmp_path / "m.yaml"
    upstream.mkdir()
    for number in range(8):
        (upstream / f"f{number}").write_bytes(b"content %d" % number)
    manifest.write_text(MANIFEST.format(upstream=upstream))
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    first = sync(store, state, manifest)["snapshot"]
    return store, state, manifest, upstream, first


def log(state):
    with Catalogue(state, read_only=True) as catalogue:
        found = catalogue.pass_history.audit(None, 100)
        assert catalogue.pass_history.check_audit().misfit is None
    assert all(one.who.endswith("command line)") or one.who == "command line" for one in found)
    assert all(one.door == "cli" and "uid" in one.details for one in found if one.what != "manifest")
    return [(one.what, one.mirror, str(one.outcome)) for one in reversed(found) if one.what not in ("manifest", "sync")]


def test_each_act_of_the_command_line_is_one_entry(archive):
    store, state, manifest, upstream, first = archive
    for number in range(4):
        (upstream / f"f{number}").unlink()
    sync(store, state, manifest, wanted=3)
    run(store, state, "reject", "m")
    run(store, state, "reject", "m", "--undo")
    sync(store, state, manifest, wanted=3)
    run(store, state, "approve", "m")
    sync(store, state, manifest, "--retry-failed")
    run(store, state, "undelete", "m", "f1")
    run(store, state, "unpin", "m", "f1")
    run(store, state, "restore", "m", "f2", "--from", first[:12])
    run(store, state, "rollback", "m", first[:12])
    run(store, state, "restore", "m", "absent", "--from", first[:12], wanted=2)
    found = log(state)
    assert [what for what, _, _ in found] == [
        "reject", "reject --undo", "approve", "retry", "undelete", "unpin", "restore", "rollback", "restore",
    ]  # fmt: skip
    assert {mirror for _, mirror, _ in found} == {"m"}
    outcomes = [outcome for _, _, outcome in found]
    assert outcomes[:3] == ["4 losses rejected", "4 losses no longer rejected", "4 losses approved"]
    assert outcomes[5] == "1 file unpinned: f1"
    assert outcomes[7] == f"snapshot {first[:12]} is the current one"
    assert outcomes[8].startswith("failed: absent: ")
    run(store, state, "forget", "m", "--yes", "m")
    assert [what for what, _, _ in log(state)][-1] == "forget"


def test_what_only_looks_is_not_in_the_log(archive):
    store, state, *_ = archive
    run(store, state, "approve", "m", "--list")
    run(store, state, "unpin", "m")
    run(store, state, "snapshots", "m")
    assert log(state) == []
    shutil.rmtree(state)


def test_a_tag_is_set_listed_and_removed_and_each_act_is_one_entry(archive):
    store, state, manifest, upstream, first = archive
    run(store, state, "tag", "m", first[:12], "v1.0")
    assert json.loads(run(store, state, "tag", "list", "m", "--json"))[0]["snapshot"] == first
    (upstream / "new").write_bytes(b"new")
    sync(store, state, manifest)
    shown = json.loads(run(store, state, "snapshots", "m", "--json"))
    assert [one["tags"] for one in shown] == [[], ["v1.0"]]
    assert "v1.0" in run(store, state, "snapshots", "m")
    run(store, state, "tag", "m", "v1.0", "v1.0")
    run(store, state, "tag", "m", shown[0]["id"][:12], "v1.0", wanted=3)
    run(store, state, "tag", "m", wanted=2)
    run(store, state, "forget", "m", "--yes", "m", "--files", wanted=3)
    run(store, state, "rollback", "m", "v1.0")
    refused = ["forget --bytes"]
    run(store, state, "tag", "remove", "m", "v1.0")
    run(store, state, "tag", "remove", "m", "v1.0", wanted=2)
    assert [what for what, _, _ in log(state)] == ["tag", "tag", "tag", *refused, "rollback", "untag", "untag"]
