"""A lost Catalogue costs nothing but time: it is made anew from the store, and upstream is asked for no file again."""

import random
import shutil
from urllib.parse import unquote

import pytest

from tests.acceptance.cli import Folder, run, sync, tree
from tests.acceptance.test_sync_command import publish_sums, write
from tests.servers.nginx import nginx


def asked(server):
    """What upstream was asked for: status, bytes of the body, path."""
    lines = (server.work / "access.log").read_text().splitlines()
    return [(int(line.split()[0]), int(line.split()[1]), unquote(line.split()[2])) for line in lines]


@pytest.mark.promise("P4")
@pytest.mark.fault(42)
def test_after_the_loss_of_the_catalogue_nothing_is_downloaded_again(tmp_path):
    root, chance = tmp_path / "www", random.Random(3)
    for number, size in enumerate((0, 1, 70_000, 5 << 20, 9 << 20)):
        write(root, f"a/{number % 2}/b{number}.tif", chance.randbytes(size))
    publish_sums(root)
    manifest, state, store = tmp_path / "m.yaml", tmp_path / "state", Folder(tmp_path / "store")
    with nginx(root, tmp_path / "nginx") as server:
        manifest.write_text(
            f"mirror: scenes\nsource: {{url: '{server.origin}/', reader: checksums, checksums: [SHA256SUMS]}}\n"
            "guard: {max_removed: 2}\n"
        )
        words = (manifest, "--allow-private", server.origin)
        sync(store, state, *words)
        (root / "a/0/b2.tif").write_bytes(b"replaced")
        (root / "a/1/b1.tif").unlink()
        publish_sums(root)
        before = sync(store, state, *words)
        assert (before["replaced"], before["removed"]) == (2, 1)
        held, kept = store.read("scenes/"), tree(tmp_path / "store" / ".syncd" / "versions")

        for how in ("by itself", "rebuild"):
            shutil.rmtree(state)
            first, sent = len(asked(server)), server.sent()
            if how == "rebuild":
                assert "scenes: 5 files" in run(store, state, "rebuild")
                assert len(asked(server)) == first  # upstream heard nothing of it
            after = sync(store, state, *words)
            assert (after["fetched"], after["replaced"], after["kept"], after["bytes"]) == (0, 0, 5, 0)
            assert after["snapshot"] == before["snapshot"]
            assert {path for _, _, path in asked(server)[first:]} == {"/SHA256SUMS"}
            assert server.sent() - sent <= 2 * (root / "SHA256SUMS").stat().st_size
            assert store.read("scenes/") == held
            assert tree(tmp_path / "store" / ".syncd" / "versions") == kept
        assert held == tree(root)
        run(store, state, "undelete", "scenes", "a/1/b1.tif")  # it can still be had
