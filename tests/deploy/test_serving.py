"""What deploy/serve/ shows of a store: the copies and what proves them, and nothing that is the service's alone."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from syncd.stores.filesystem.dirfd_cache import PRIVATE, PRIVATE_FILES
from syncd.stores.filesystem.store import FilesystemStore
from syncd.stores.lease import LEASE, Lease, ProcessIdentity
from syncd.stores.s3.staged import UPLOADS
from tests.servers.nginx import nginx

SERVE = Path(__file__).parents[2] / "deploy" / "serve"
HIDDEN = sorted({*(f"{folder}/m/x" for folder in PRIVATE), f"{UPLOADS}x", *PRIVATE_FILES})
SHOWN = [
    "m/x",
    ".syncd/mirrors/m.json",
    ".syncd/snapshots/m/1/SHA256SUMS",
    ".syncd/shards/m/1.jsonl.gz",
    ".syncd/versions/m/1/x",
]


@pytest.fixture
def store(tmp_path):
    for path in (*HIDDEN, *SHOWN):
        (tmp_path / "store" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "store" / path).write_text(path)
    (tmp_path / "store/m/way-out").symlink_to("/etc/hostname")
    return tmp_path / "store"


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_nginx_serves_the_copies_and_hides_what_is_the_services(store, tmp_path):
    text = (SERVE / "nginx.conf").read_text()
    more = re.sub(r"(?m)^root .*;$", "", text)
    assert more != text
    with nginx(store, tmp_path / "work", more) as server:
        assert {path: status(f"{server.origin}/{path}") for path in SHOWN} == dict.fromkeys(SHOWN, 200)
        assert {path: status(f"{server.origin}/{path}") for path in HIDDEN} == dict.fromkeys(HIDDEN, 404)
        for path in (
            ".syncd//staged/m/x",
            ".syncd/%73taged/m/x",
            "m/../.syncd/lease.json",
            ".syncd/staged",
            ".syncd/staged/",
        ):
            assert status(f"{server.origin}/{path}") == 404, path
        assert status(f"{server.origin}/m/way-out") in (403, 404)
        assert status(f"{server.origin}/") == 200


def test_the_bucket_policy_denies_what_is_the_services():
    policy = json.loads((SERVE / "s3-public-read.json").read_text())
    allow, deny = policy["Statement"]
    assert (allow["Effect"], deny["Effect"], allow["Resource"]) == ("Allow", "Deny", "arn:aws:s3:::BUCKET/*")
    assert "NotPrincipal" in deny
    patterns = [one.removeprefix("arn:aws:s3:::BUCKET/") for one in deny["Resource"]]
    denied = re.compile("|".join(re.escape(one).replace(r"\*", ".*") for one in patterns)).fullmatch
    assert [path for path in HIDDEN if denied(path) is None] == [".syncd/lock"], "a bucket has no lock"
    assert [path for path in SHOWN if denied(path) is not None] == []


async def take_lease(root, known=None):
    store = FilesystemStore(root)
    found = await store.identify(known)
    if known is None:
        await Lease(store, "syncd", place=ProcessIdentity("host", "machine", 1)).acquire()
    await store.aclose()
    return found


def test_lease_and_lock_of_a_folder_are_private_also_those_of_an_older_syncd(tmp_path):
    known = asyncio.run(take_lease(tmp_path))
    files = {path: tmp_path / path for path in (LEASE, ".syncd/lock")}
    assert {path: oct(file.stat().st_mode & 0o777) for path, file in files.items()} == dict.fromkeys(files, "0o600")
    for file in files.values():
        file.chmod(0o644)
    asyncio.run(take_lease(tmp_path, known))
    assert {path: oct(file.stat().st_mode & 0o777) for path, file in files.items()} == dict.fromkeys(files, "0o600")
