"""A Zarr store on a server that lists nothing: absent chunks are no failure, and no loss of chunks goes unseen."""

import json
import subprocess

import pytest

from tests.acceptance.cli import Folder, start
from tests.miniatures.miniature import served
from tests.miniatures.zarr import Zarr


@pytest.fixture
def mirrored(tmp_path):
    """An upstream, the store, and what runs one more pass: it returns the result, and the events before it."""
    upstream, store, manifest = Zarr(), Folder(tmp_path / "store"), tmp_path / "zarr.yaml"
    with served(upstream.app()) as origin:
        manifest.write_text(
            f'mirror: zarr\nsource: {{url: "{origin}{upstream.at}", reader: zarr}}\nguard: {{max_removed: 1}}\n'
        )
        (tmp_path / "syncd.yaml").write_text(f"allow_private: {json.dumps([origin])}\n")

        def again(wanted=0):
            words = ("sync", manifest, "--config", tmp_path / "syncd.yaml", "--json")
            process = start(store, tmp_path / "state", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = process.communicate(timeout=280)
            assert process.returncode == wanted, err
            return json.loads(out), [json.loads(line) for line in err.splitlines() if line.startswith("{")]

        yield upstream, store, again


@pytest.mark.promise("P4")
def test_chunks_that_vanish_together_are_held_and_one_alone_is_removed(mirrored):
    upstream, store, again = mirrored
    again()
    del upstream.files["air/1.1"]
    assert again()[0]["removed"] == 1
    held = store.paths("zarr/")
    upstream.files = {}
    assert again(wanted=3)[0]["parked"]
    assert store.paths("zarr/") == held


def test_metadata_that_is_missing_is_a_failure_and_removes_nothing(mirrored):
    upstream, store, again = mirrored
    again()
    held = store.paths("zarr/")
    whole = upstream.copy()
    upstream.copy = lambda: {path: body for path, body in whole.items() if path not in ("air/.zarray", "air/0.0")}
    said, _ = again(wanted=1)
    assert not said["complete"]
    assert store.paths("zarr/") == held


def test_a_store_of_metadata_alone_is_noted(mirrored):
    upstream, store, again = mirrored
    upstream.files = {}
    said, events = again()
    assert store.paths("zarr/") == set(upstream.written())
    assert said["complete"]
    assert any("none of the chunks that its metadata describes" in event.get("text", "") for event in events)
