"""Files of restricted mirrors are closed to other users: new ones from the start, and once what the store has."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from manifests.model import load_mirror
from syncd.catalogue import Catalogue, mode_progress
from syncd.stores.filesystem.store import FilesystemStore
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive

FILES = {"a/b/one": b"1", "a/two": b"2" * 70_000, "three": b"3", "big": b"4" * (5 << 20)}
OPEN, CLOSED = "\npublish: {access: open}\n", "\npublish: {access: restricted}\n"
EMBARGO = "\nabout: {access: embargoed, embargo: 2023-11-20}\npublish: {access: open}\n"


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


class Declared(Mirroring):
    """A mirror whose manifest changes."""

    def declare(self, more):
        text = self.mirror.model_dump_json(by_alias=True, exclude_none=True, exclude={"publish", "about"})
        self.mirror = load_mirror(text[:-1] + "}", "scenes.yaml")
        extra = load_mirror(f"mirror: scenes\nsource: {{url: 'https://h/'}}{more}", "x.yaml")
        self.mirror = self.mirror.model_copy(update={"publish": extra.publish, "about": extra.about})

    def modes(self):
        """The modes of what belongs to the mirror, by path."""
        root = self.store_folder
        mine = [root / "scenes", root / ".syncd/mirrors/scenes.json"]
        mine += [root / ".syncd" / kind / "scenes" for kind in ("snapshots", "shards", "versions")]
        found = {}
        for top in mine:
            for path in (top, *(top.rglob("*") if top.is_dir() else ())):
                if path.exists():
                    found[path.relative_to(root).as_posix()] = stat.S_IMODE(path.stat().st_mode)
        return found

    def are(self, file, folder):
        wrong = {
            path: oct(mode)
            for path, mode in self.modes().items()
            if mode != (folder if (self.store_folder / path).is_dir() else file)
        }
        assert wrong == {}
        return True


async def test_a_restricted_mirror_is_closed_from_its_first_byte_and_others_are_not(tmp_path, monkeypatch):
    seen = []
    link, rename = os.link, os.rename

    def look(name, fd):
        seen.append((name, stat.S_IMODE(os.stat(name, dir_fd=fd).st_mode)))

    def linked(name, to, *, src_dir_fd, dst_dir_fd, **more):
        look(name, src_dir_fd)
        link(name, to, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **more)

    def renamed(name, to, *, src_dir_fd=None, dst_dir_fd=None):
        if src_dir_fd is not None:
            look(name, src_dir_fd)
        rename(name, to, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    mirroring = Declared(tmp_path, Archive(dict(FILES)), guard="100%")
    async with mirroring.open():
        pass  # the store exists
    mirroring.declare(CLOSED)
    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(os, "rename", renamed)
    await mirroring.run()
    assert len(seen) >= len(FILES)
    assert {mode for name, mode in seen if "lease" not in name} == {0o640}
    assert mirroring.are(0o640, 0o750)
    mirroring.archive.files |= {"three": b"33", "new/file": b"n"}
    del mirroring.archive.files["a/two"]
    await mirroring.run()
    assert mirroring.are(0o640, 0o750)
    other = Declared(tmp_path / "other", Archive(dict(FILES)))
    await other.run()
    assert other.are(0o644, 0o755)


async def test_a_mirror_that_becomes_restricted_is_closed_once_and_opened_when_it_is_open_again(tmp_path):
    mirroring = Declared(tmp_path, Archive(dict(FILES)))
    mirroring.declare(OPEN)
    await mirroring.run()
    assert mirroring.are(0o644, 0o755)
    mirroring.declare(CLOSED)
    await mirroring.run()
    assert mirroring.are(0o640, 0o750)
    mirroring.declare(OPEN)
    await mirroring.run()
    assert mirroring.are(0o644, 0o755)
    async with mirroring.open() as (_, catalogue):
        assert mode_progress(catalogue) == {}


async def test_an_embargo_opens_the_files_when_its_day_has_come(tmp_path):
    mirroring = Declared(tmp_path, Archive(dict(FILES)))
    mirroring.declare(EMBARGO)  # the clock of these tests stands before that day
    await mirroring.run()
    assert mirroring.are(0o640, 0o750)
    mirroring.now += 30 * 86_400
    await mirroring.run()
    assert mirroring.are(0o644, 0o755)


async def test_closing_continues_after_a_kill_and_status_tells_until_then(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.stores.filesystem.store.PAGE", 2)
    files = {f"f{n}": b"%d" % n for n in range(9)}
    mirroring = Declared(tmp_path, Archive(files))
    await mirroring.run()
    mirroring.declare(CLOSED)
    asked, whole = [], FilesystemStore.set_modes

    async def dies(self, prefix, after):
        asked.append((prefix, after))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return await whole(self, prefix, after)

    with monkeypatch.context() as killing:
        killing.setattr(FilesystemStore, "set_modes", dies)
        with pytest.raises(KeyboardInterrupt):
            await mirroring.run()
    assert mirroring.modes()["scenes"] == 0o750  # nothing below it can be reached any more
    with Catalogue(mirroring.folder / "state", read_only=True) as catalogue:
        found = mode_progress(catalogue)["scenes"]
        assert (found.is_done, found.after) == (False, asked[2][1])
    again = []

    async def looks(self, prefix, after):
        again.append((prefix, after))
        return await whole(self, prefix, after)

    monkeypatch.setattr(FilesystemStore, "set_modes", looks)
    await mirroring.run()
    assert again[0] == asked[2]
    assert mirroring.are(0o640, 0o750)
    again.clear()
    await mirroring.run()
    assert again == []


async def test_the_group_may_read_what_others_may_not(tmp_path):
    groups = [one for one in os.getgroups() if one != os.getegid()] or ([4242] if os.geteuid() == 0 else [])
    if not groups:
        pytest.skip("this user is in one group only")
    store = FilesystemStore(tmp_path / "store", group=groups[0])
    await store.identify(None)
    store.use_narrow(("m/",))
    await store.put("m/a/b", b"x")
    await store.put("n/a", b"x")
    await store.aclose()
    root = tmp_path / "store"
    assert {(root / path).stat().st_gid for path in ("m", "m/a", "m/a/b")} == {groups[0]}
    assert (root / "n/a").stat().st_gid == os.getegid()


def test_two_threads_make_one_narrow_folder(tmp_path):
    from syncd.stores.filesystem.dirfd_cache import DirfdCache

    folders = DirfdCache(str(tmp_path))
    folders.use_narrow(("m/",))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: folders.find(f"m/{n % 3}", make=True), range(30)))
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "m").rglob("*")} == {0o750}
