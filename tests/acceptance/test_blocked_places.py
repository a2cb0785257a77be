"""A place of the store that cannot be swapped concerns its own file: all others are swapped, published, rolled back."""

import contextlib
import subprocess

import pytest

from syncd.core.errors import Denied
from tests.acceptance.mirroring import BucketMirroring, Mirroring, objects
from tests.fakes import Archive
from tests.servers.s3_proxy import Proxy, error

OLD = {"a": b"a1", "sub/x": b"x1", "z": b"z1"}
NEW = {"a": b"a2", "sub/x": b"x2", "z": b"z2", "new": b"n2"}


@contextlib.contextmanager
def immutable(path):
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable files, or this user may not make them")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


@contextlib.contextmanager
def a_folder(path):
    old = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / "of-somebody").write_bytes(b"kept")
    yield
    assert (path / "of-somebody").read_bytes() == b"kept"
    (path / "of-somebody").unlink()
    path.rmdir()
    path.write_bytes(old)


@contextlib.contextmanager
def a_link(path):
    old, outside = path.read_bytes(), path.parents[2] / "outside"
    outside.write_bytes(b"outside")
    path.unlink()
    path.symlink_to(outside)
    yield
    assert outside.read_bytes() == b"outside"
    path.unlink(missing_ok=True)
    path.write_bytes(old)


class Forbidding:
    """A store in which one path may not be written: a Store double, for systems without immutable files."""

    def __init__(self, inner, path):
        self.inner, self.path = inner, path

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if name not in ("put", "move", "copy", "delete"):
            return value

        async def change(*paths, **more):
            if any(path == self.path for path in paths if isinstance(path, str)):
                raise Denied(f"{self.path}: may not be written")
            return await value(*paths, **more)

        return change


def failures(catalogue):
    return {failed.path: failed.reason for failed in catalogue.failures.files(1)}


def seen(mirroring):
    root = mirroring.store_folder / "scenes"
    found = (p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


BLOCKED = [immutable, a_folder, a_link]


@pytest.mark.promise("P9")
@pytest.mark.parametrize("block", BLOCKED)
async def test_a_file_whose_place_is_blocked_fails_alone_and_the_next_pass_makes_up_for_it(tmp_path, block):
    mirroring = Mirroring(tmp_path, Archive(OLD), guard="100%")
    first = (await mirroring.run()).snapshot
    mirroring.archive.files = dict(NEW)
    with block(mirroring.store_folder / "scenes/sub/x"):
        result = await mirroring.run()
        assert (result.failed, result.complete) == (1, False)
        assert {path: body for path, body in seen(mirroring).items() if path in ("a", "z", "new")} == {
            "a": b"a2", "z": b"z2", "new": b"n2",
        }  # fmt: skip
        async with mirroring.open() as (store, catalogue):
            assert (await mirroring.pointer(store)).snapshot == result.snapshot != first
            ((path, reason),) = failures(catalogue).items()
            assert path == "sub/x"
            assert "its path in the store cannot be taken" in reason
        asked = len(mirroring.archive.asked)
        assert (await mirroring.run()).failed == 1
        assert len(mirroring.archive.asked) == asked, "its bytes wait in the store"
    assert (await mirroring.run()).complete
    assert mirroring.natural() == NEW
    assert len(mirroring.archive.asked) == asked


@pytest.mark.promise("P9")
@pytest.mark.parametrize("block", BLOCKED)
async def test_a_rollback_brings_back_all_files_but_the_one_whose_place_is_blocked(tmp_path, block):
    mirroring = Mirroring(tmp_path, Archive(OLD), guard="100%")
    first = (await mirroring.run()).snapshot
    mirroring.archive.files = dict(NEW)
    await mirroring.run()
    with block(mirroring.store_folder / "scenes/sub/x"):
        async with mirroring.open() as (store, catalogue):
            failed = []
            await mirroring.restoration(store, catalogue, lambda path, _: failed.append(path)).rollback(first)
            assert failed == ["sub/x"]
        found = seen(mirroring)
        assert (found["a"], found["z"], "new" in found) == (b"a1", b"z1", False)
    async with mirroring.open() as (store, catalogue):
        assert (await mirroring.restoration(store, catalogue).rollback(first)).id == first
    assert mirroring.natural() == OLD


@pytest.mark.promise("P9")
async def test_a_new_file_whose_place_holds_something_unknown_fails_alone(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(OLD))
    await mirroring.run()
    root = mirroring.store_folder / "scenes"
    (root / "folder").mkdir()
    (root / "folder/of-somebody").write_bytes(b"kept")
    (root / "link").symlink_to("/etc/hostname")
    mirroring.archive.files = OLD | {"folder": b"1", "link": b"2", "other": b"3"}
    result = await mirroring.run()
    async with mirroring.open() as (_, catalogue):
        assert "folder" in failures(catalogue)
    assert seen(mirroring)["other"] == b"3"
    assert seen(mirroring)["folder/of-somebody"] == b"kept"
    assert result.snapshot


@pytest.mark.promise("P9")
async def test_a_store_that_forbids_one_path_publishes_the_others(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(OLD), guard="100%")
    await mirroring.run()
    mirroring.archive.files = {path: body for path, body in NEW.items() if path != "z"}  # z is deleted
    for path in ("scenes/sub/x", "scenes/z"):
        result = await mirroring.run(wrap=lambda store, path=path: Forbidding(store, path))
        assert result.failed <= 1
    assert (await mirroring.run()).complete
    assert mirroring.natural() == mirroring.archive.files


@pytest.fixture(params=["swift", "rgw"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.mark.promise("P9")
async def test_a_key_that_a_bucket_forbids_fails_alone_in_a_pass_and_in_a_rollback(tmp_path, server):
    mirroring = BucketMirroring(tmp_path, Archive(OLD), server, guard="100%")
    first = (await mirroring.run()).snapshot
    mirroring.archive.files = dict(NEW)
    async with Proxy(server.endpoint) as proxy, mirroring.through(server.at(proxy.url)):
        locked = error(403, "AccessDenied")

        def is_meant(method, target):
            return method in ("PUT", "DELETE", "POST") and target.partition("?")[0].endswith("/scenes/sub/x")

        proxy.fail(is_meant, locked, times=1 << 30)
        result = await mirroring.run()
        assert (result.failed, result.complete) == (1, False)
        async with mirroring.open() as (store, catalogue):
            found = await objects(store, "scenes/")
            assert found == {f"scenes/{path}": body for path, body in (NEW | {"sub/x": b"x1"}).items()}
            assert (await mirroring.pointer(store)).snapshot == result.snapshot != first
            assert [*failures(catalogue)] == ["sub/x"]
        proxy.faults.clear()
        assert (await mirroring.run()).complete
        proxy.fail(is_meant, locked, times=1 << 30)
        async with mirroring.open() as (store, catalogue):
            await mirroring.restoration(store, catalogue).rollback(first)
            found = await objects(store, "scenes/")
            assert found == {f"scenes/{path}": body for path, body in (OLD | {"sub/x": b"x2"}).items()}
