"""Formats of exchange, each as a miniature on loopback, mirrored by the real command line, changed, and mirrored again."""

import gzip
import hashlib
import json
import threading
from urllib.parse import quote_plus
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp

from tests.acceptance.archive_passes import archives
from tests.acceptance.cli import Bucket, Folder, sync
from tests.miniatures.packages import Bag, Crate, Croissant, DataPackage, Hashdeep
from tests.miniatures.records import Kcdb, Oai, ResourceSync
from tests.miniatures.trees import Erddap, Thredds, Webdav

KINDS = {
    "bag": Bag,
    "crate": Crate,
    "croissant": Croissant,
    "datapackage": DataPackage,
    "erddap": Erddap,
    "hashdeep": Hashdeep,
    "kcdb": Kcdb,
    "oai": Oai,
    "resourcesync": ResourceSync,
    "thredds": Thredds,
    "webdav": Webdav,
}
# what moves when it changes: (fetched, replaced, removed)
MOVES = {
    "bag": (1, 6, 1),
    "crate": (1, 2, 1),
    "croissant": (1, 2, 0),
    "datapackage": (1, 2, 1),
    "hashdeep": (1, 2, 1),
}


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    """Three passes over all of them: the first, one after nothing changed, one after everything did."""
    with archives(tmp_path_factory.mktemp("exchange"), KINDS, manifest="keep: {removed: 1s}\n") as served_archives:
        found = [served_archives.mirror() for _ in range(2)]
        served_archives.change()
        yield [*found, served_archives.mirror()]


@pytest.mark.parametrize("name", KINDS)
def test_an_upstream_is_mirrored_whole_and_kept_current(passes, name):
    first, again, changed = (seen[name] for seen in passes)
    for seen in (first, again, changed):
        assert sorted(seen.copy) == sorted(seen.upstream)
        if name == "oai":  # the bytes are canonical XML: what was said stands in them
            assert all(f">{title.split()[0]}".encode() in seen.copy[path] for path, title in seen.upstream.items())
        else:
            assert seen.copy == seen.upstream
        assert (seen.said["complete"], seen.said["failed"]) == (True, 0)
    assert first.said["fetched"] == len(first.copy)
    assert (again.said["fetched"], again.said["replaced"], again.said["removed"]) == (0, 0, 0)
    assert again.said["snapshot"] == first.said["snapshot"] != changed.said["snapshot"]
    moved = tuple(changed.said[key] for key in ("fetched", "replaced", "removed"))
    assert moved == MOVES.get(name, (1, 1, 1))


def test_what_changed_is_asked_for_and_nothing_else(passes):
    _, again, changed = passes
    assert {path for _, path in again["resourcesync"].asked} == {
        "/.well-known/resourcesync",
        "/caps.xml",
        "/changes.xml",
    }
    assert "/list.xml" not in {path for _, path in changed["resourcesync"].asked}
    asked = [path for _, path in changed["oai"].asked]
    assert asked[0] == "/oai2d?verb=Identify"
    assert "from=2023-11-14T22:13:20Z" in asked[1]
    assert len(asked) == 3  # two pages of three changes


def test_a_file_that_a_bag_does_not_hold_comes_from_where_it_says(passes):
    first = passes[0]["bag"]
    assert ("GET", "/elsewhere/data/far/large.bin") in first.asked
    assert first.copy["data/far/large.bin"] == b"far" * 3000


def test_a_bag_is_valid_where_it_lies_now(passes):
    copy = passes[2]["bag"].copy
    for line in copy["manifest-sha256.txt"].decode().splitlines():
        digest, _, path = line.partition("  ")
        assert hashlib.sha256(copy[path.replace("%25", "%")]).hexdigest() == digest


def test_a_catalog_that_refers_to_itself_is_read_once(passes):
    asked = [path for _, path in passes[1]["thredds"].asked]
    assert sorted(asked) == sorted(set(asked))
    assert len(asked) == 3


# An inventory instead of a listing

INVENTORY = """
mirror: listed
source:
  url: s3://{bucket}/{prefix}/
  endpoint: {endpoint}
  region: us-east-1
  reader: s3-inventory
  inventory: s3://lists-of-tests/inv/{bucket}/{prefix}/
guard: {{max_removed: 90%}}
"""


def publish_inventory(client, bucket, prefix, name, keys):
    """Write an inventory as S3 does: a list, the manifest, and last its checksum."""
    rows = []
    for key in keys:
        found = client.head_object(Bucket=bucket, Key=key)
        when = found["LastModified"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
        rows.append(
            f'"{bucket}","{quote_plus(key)}","{found["ContentLength"]}","{when}","{found["ETag"].strip(chr(34))}"\n'
        )
    body = gzip.compress("".join(rows).encode())
    root = f"inv/{bucket}/{prefix}"
    manifest = json.dumps(
        {
            "sourceBucket": bucket, "destinationBucket": "arn:aws:s3:::lists-of-tests", "version": "2016-11-30",
            "fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag",
            "files": [{"key": f"{root}/data/{name}.csv.gz", "size": len(body), "MD5checksum": hashlib.md5(body).hexdigest()}],
        }
    ).encode()  # fmt: skip
    client.put_object(Bucket="lists-of-tests", Key=f"{root}/data/{name}.csv.gz", Body=body)
    client.put_object(Bucket="lists-of-tests", Key=f"{root}/{name}/manifest.json", Body=manifest)
    checksum = f"{hashlib.md5(manifest).hexdigest()}\n".encode()
    client.put_object(Bucket="lists-of-tests", Key=f"{root}/{name}/manifest.checksum", Body=checksum)


def test_a_bucket_is_mirrored_by_its_inventory_in_another_bucket(swift, tmp_path):
    upstream = Bucket(swift, swift.url())
    client, bucket, prefix = upstream.client, upstream.bucket, upstream.base.rstrip("/")
    client.create_bucket(Bucket="lists-of-tests")
    files = {"a b+c.nc": b"a" * 1000, "d/é%20.nc": b"", "old.txt": b"old"}
    for path, content in files.items():
        upstream.put(path, content)
    upstream.put("not in the inventory yet", b"new")
    publish_inventory(client, bucket, prefix, "2024-05-01T00-00Z", [upstream.base + path for path in files])
    store, state, manifest = Folder(tmp_path / "store"), tmp_path / "state", tmp_path / "listed.yaml"
    store.environ = upstream.environ
    manifest.write_text(INVENTORY.format(bucket=bucket, prefix=prefix, endpoint=swift.endpoint))
    allowed = ("--allow-private", swift.endpoint)
    first = sync(store, state, manifest, *allowed)
    assert (first["fetched"], first["complete"]) == (3, True)
    assert store.read("listed/") == files
    upstream.put("old.txt", b"replaced")
    later = ["a b+c.nc", "old.txt", "not in the inventory yet"]
    publish_inventory(client, bucket, prefix, "2024-05-02T00-00Z", [upstream.base + path for path in later])
    client.put_object(Bucket="lists-of-tests", Key=f"inv/{bucket}/{prefix}/2024-05-03T00-00Z/manifest.json", Body=b"{}")
    second = sync(store, state, manifest, *allowed)
    assert [second[key] for key in ("fetched", "replaced", "removed", "kept", "complete")] == [1, 1, 1, 1, True]
    assert store.read("listed/")["old.txt"] == b"replaced"


# A real server of WebDAV


@pytest.fixture
def dav(tmp_path):
    """Serve a folder by WsgiDAV, on a free port of loopback."""
    root = tmp_path / "dav"
    root.mkdir()
    settings = {
        "provider_mapping": {"/": FilesystemProvider(str(root), readonly=True)},
        "simple_dc": {"user_mapping": {"*": True}},
        "logging": {"enable": False},
        "verbose": 0,
    }
    with make_server("127.0.0.1", 0, WsgiDAVApp(settings), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield root, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def test_a_folder_of_a_real_webdav_server_is_mirrored(dav, tmp_path):
    root, origin = dav
    files = {"a b#1%.nc": b"a" * 5000, "d/é/x.txt": b"x", "d/empty": b""}
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    store, state, manifest = Folder(tmp_path / "store"), tmp_path / "state", tmp_path / "dav.yaml"
    manifest.write_text(f"mirror: dav\nsource: {{url: '{origin}/', reader: webdav}}\nguard: {{max_removed: 90%}}\n")
    allowed = ("--allow-private", origin)
    first = sync(store, state, manifest, *allowed)
    assert (first["fetched"], first["complete"]) == (3, True)
    assert store.read("dav/") == files
    again = sync(store, state, manifest, *allowed)
    assert (again["kept"], again["fetched"], again["replaced"]) == (3, 0, 0)
    (root / "d/é/x.txt").write_bytes(b"longer")
    (root / "d/empty").unlink()
    (root / "new").write_bytes(b"new")
    third = sync(store, state, manifest, *allowed)
    assert [third[key] for key in ("fetched", "replaced", "removed", "kept")] == [1, 1, 1, 1]
