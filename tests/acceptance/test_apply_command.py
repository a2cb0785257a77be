"""A plan is written to a file, agreed to, and carried out exactly, or not at all: `syncd plan --out`, `syncd apply`."""

import json

import pytest

from syncd.process import DONE, GUARDED, USAGE
from tests.acceptance.cli import Folder, run, start, sync

MANIFEST = """
mirror: m
source: {{url: file://{upstream}/, settle: 0s}}
guard: {{max_removed: 100%}}
"""


@pytest.fixture
def site(tmp_path):
    """An upstream of three files, mirrored once; then one is new, one is replaced and one is gone."""
    upstream = tmp_path / "www"
    upstream.mkdir()
    for name in ("kept", "replaced", "gone"):
        (upstream / name).write_bytes(name.encode())
    manifest = tmp_path / "m.yaml"
    manifest.write_text(MANIFEST.format(upstream=upstream))
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    sync(store, state, manifest)
    (upstream / "new").write_bytes(b"new")
    (upstream / "replaced").write_bytes(b"replaced again")
    (upstream / "gone").unlink()
    return store, state, manifest, upstream


def planned(site, *more):
    store, state, manifest, _ = site
    file = manifest.with_name("m.plan")
    return file, json.loads(run(store, state, "plan", manifest, "--out", file, "--json", *more))


def applied(site, file, wanted):
    """Return what `syncd apply` said as an error; its exit code must be `wanted`."""
    store, state, *_ = site
    process = start(store, state, "apply", file, stdout=-1, stderr=-1)
    out, err = process.communicate(timeout=280)
    assert process.returncode == wanted, f"{out}\n{err}"
    return out if wanted == DONE else err


def test_a_plan_says_each_change_and_is_carried_out_exactly(site):
    file, told = planned(site)
    header, *lines = map(json.loads, file.read_text().splitlines())
    assert told["file"] == str(file)
    assert header["files"] == {"fetch": 1, "replace": 1, "remove": 1}
    assert {(line["action"], line["path"]) for line in lines} == {
        ("fetch", "new"),
        ("replace", "replaced"),
        ("remove", "gone"),
    }
    assert "1 fetched, 1 replaced" in applied(site, file, DONE)
    assert applied(site, file, GUARDED).count("another snapshot") == 1, "a plan is carried out once"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda upstream: (upstream / "newer").write_bytes(b"x"), "newer: fetch, which was not planned"),
        (lambda upstream: (upstream / "new").write_bytes(b"another"), "new: changed upstream"),
        (lambda upstream: (upstream / "new").unlink(), "new: no longer to fetch"),
        (lambda upstream: (upstream / "kept").write_bytes(b"not kept"), "kept: replace, which was not planned"),
        (lambda upstream: (upstream / "gone").write_bytes(b"back again"), "gone: replace instead of delete"),
    ],
    ids=["new file", "other content", "gone", "kept no longer", "back"],
)
def test_a_plan_that_upstream_has_overtaken_changes_nothing_and_says_why(site, change, said):
    store, state, manifest, upstream = site
    file, _ = planned(site)
    before = json.loads(run(store, state, "snapshots", "m", "--json"))
    change(upstream)
    err = applied(site, file, GUARDED)
    assert said in err
    assert "nothing was changed" in err
    assert f"syncd plan {manifest} --out {file}" in err
    assert json.loads(run(store, state, "snapshots", "m", "--json")) == before


def test_a_plan_of_another_manifest_is_outdated_but_not_by_a_comment(site):
    _, _, manifest, _ = site
    file, _ = planned(site)
    text = manifest.read_text()
    manifest.write_text(text.replace("settle: 0s", "settle: 0s, exclude: [new]"))
    assert "the manifest changed" in applied(site, file, GUARDED)
    manifest.write_text(f"# looked at by anna\n{text}")
    applied(site, file, DONE)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-20]), "was changed or cut"),
        (
            lambda file: file.write_bytes(file.read_bytes().replace(b'"path":"new"', b'"path":"old"')),
            "was changed or cut",
        ),
        (lambda file: file.write_bytes(b"mirror: m\n"), "is not a plan"),
        (
            lambda file: file.write_bytes(file.read_bytes().replace(b'"syncd_plan":1', b'"syncd_plan":2')),
            "another version",
        ),
        (lambda file: file.unlink(), "cannot be read"),
    ],
    ids=["cut", "edited", "a manifest", "a later version", "missing"],
)
def test_a_file_that_is_no_whole_plan_is_refused(site, damage, said):
    file, _ = planned(site)
    damage(file)
    assert said in applied(site, file, USAGE)


def test_a_mirror_that_was_never_synced_is_planned_and_applied(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www/a").write_bytes(b"a")
    manifest, file = tmp_path / "m.yaml", tmp_path / "m.plan"
    manifest.write_text(MANIFEST.format(upstream=tmp_path / "www"))
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    run(store, state, "plan", manifest, "--out", file)
    assert not state.exists(), "a plan leaves nothing behind"
    assert "1 fetched" in run(store, state, "apply", file)
