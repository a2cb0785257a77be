"""Trees of real FTP and SFTP servers, mirrored by the real command line as a steward does it."""

import hashlib
import json
import subprocess
from typing import Any

from tests.acceptance.cli import Folder, start, sync
from tests.servers.ftp import vsftpd
from tests.servers.sshd import sshd

BIG = bytes(range(256)) * 40_000  # 10 MB: several ranges at once


def grow(root):
    (root / "a").mkdir(parents=True)
    (root / "a" / "big.bin").write_bytes(BIG)
    (root / "a.txt").write_bytes(b"small")
    sums = "".join(
        f"{hashlib.sha256(body).hexdigest()}  {path}\n" for path, body in [("a/big.bin", BIG), ("a.txt", b"small")]
    )
    (root / "SHA256SUMS").write_text(sums)


def manifest(folder, name, source):
    path = folder / f"{name}.yaml"
    path.write_text(f"mirror: {name}\nsource: {json.dumps(source | {'settle': '0s'})}\n")
    return path


def refused(store, state, *more):
    """Return what a command that cannot work says, on one line."""
    process = start(store, state, *more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=280)
    assert process.returncode not in (0, 1), err
    assert "Traceback" not in err, err
    return " ".join(err.split())


def test_an_ftp_tree_is_mirrored_by_its_listing_and_verified_by_its_checksums(tmp_path):
    grow(tmp_path / "root")
    (tmp_path / "root").chmod(0o555)
    store = Folder(tmp_path / "store")
    with vsftpd(tmp_path / "root", tmp_path / "work") as server:
        allow = ("--allow-private", server.origin)
        listed = manifest(tmp_path, "listed", {"url": f"{server.origin}/"})
        first = sync(store, tmp_path / "state", listed, *allow)
        assert (first["complete"], first["fetched"]) == (True, 3)
        assert store.read("listed/")["a/big.bin"] == BIG
        again = sync(store, tmp_path / "state", listed, *allow)
        assert (again["fetched"], again["replaced"], again["kept"]) == (0, 0, 3)
        source = {"url": f"{server.origin}/", "reader": "checksums", "checksums": ["SHA256SUMS"]}
        proved = sync(store, tmp_path / "state", manifest(tmp_path, "proved", source), *allow)
        assert (proved["complete"], proved["failed"]) == (True, 0)
        assert store.read("proved/")["a/big.bin"] == BIG
    (tmp_path / "root").chmod(0o755)


def test_an_sftp_tree_is_mirrored_with_a_private_key_from_a_file(tmp_path):
    grow(tmp_path / "root")
    store = Folder(tmp_path / "store")
    with sshd(tmp_path / "work") as server:
        (tmp_path / "id").write_text(server.private_key)
        (tmp_path / "id").chmod(0o600)
        key = {"username": server.username, "private_key": {"file": "id"}}
        (tmp_path / "syncd.yaml").write_text(
            json.dumps(
                {"allow_private": [server.origin], "credentials": {"beam": {"origin": server.origin, "key": key}}}
            )
        )
        source: dict[str, Any] = {"url": f"{server.origin}{tmp_path}/root/", "credentials": "beam"}
        words = ("--config", tmp_path / "syncd.yaml")
        unknown = refused(store, tmp_path / "state", "sync", manifest(tmp_path, "beam", source), *words)
        assert f"host_keys: [{server.fingerprint}]" in unknown
        source["host_keys"] = [server.fingerprint]
        first = sync(store, tmp_path / "state", manifest(tmp_path, "beam", source), *words)
        assert (first["complete"], first["fetched"]) == (True, 3)
        assert store.read("beam/")["a/big.bin"] == BIG


def test_without_the_extra_the_error_says_what_to_install(tmp_path):
    store = Folder(tmp_path / "store")
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "aioftp.py").write_text("raise ImportError('No module named aioftp')\n")
    store.environ = {"PYTHONPATH": str(tmp_path / "without")}
    asked = refused(store, tmp_path / "state", "survey", manifest(tmp_path, "x", {"url": "ftp://127.0.0.1:9/"}))
    assert "pip install 'syncd[ftp]'" in asked
