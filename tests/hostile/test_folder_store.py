"""A folder that is tampered with, full, cut off or torn in mid-write, and what the store on it answers."""

import asyncio
import errno
import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest
import xxhash

from syncd.core.errors import Busy, ConfigError, Damaged, NoSpace, NotFound, Offline, Unsafe
from syncd.stores.filesystem import file_changes, reading, reservation, staged_file, sync_batch
from syncd.stores.filesystem.store import FilesystemStore
from tests.contracts.store_contract import paths, read, upload
from tests.servers.fixtures import sha256


@pytest.fixture
async def store(tmp_path):
    opened = FilesystemStore(tmp_path / "store")
    yield opened
    await opened.aclose()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


def temporary(root):
    return sorted(path.name for path in (root / ".syncd/tmp").iterdir())


@pytest.mark.fault(19)
async def test_a_symbolic_link_planted_in_the_store_leads_nowhere(store, root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    await store.put("d/kept", b"x")
    (root / "link").symlink_to(outside)
    (root / "d/file").symlink_to(outside / "secret")
    for act in (
        store.put("link/new", b"x"),
        store.stat("link/secret"),
        read(store, "link/secret"),
        read(store, "d/file"),
        store.copy("d/kept", "link/copy"),
        store.move("d/kept", "link/moved"),
        upload(store, "link/up", b"x"),
    ):
        with pytest.raises(Unsafe, match=r"link|follow"):
            await act
    assert await paths(store) == ["d/kept"]
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    await store.put("d/file", b"ours")  # a name is replaced, not followed
    assert (outside / "secret").read_bytes() == b"secret"
    assert await read(store, "d/file") == b"ours"


@pytest.mark.fault(19)
async def test_a_folder_swapped_for_a_link_while_it_is_open_leads_nowhere(store, root, tmp_path):
    await store.put("a/b", b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "a").rename(root / "was-a")
    (root / "a").symlink_to(outside)
    await store.put("a/c", b"y")
    assert list(outside.iterdir()) == []


@pytest.mark.fault(20)
async def test_a_file_where_a_folder_is_needed_is_refused_and_the_other_way_round(store):
    await store.put("a", b"x")
    await store.put("d/e", b"x")
    with pytest.raises(Unsafe, match=r"^a"):
        await store.put("a/b", b"x")
    with pytest.raises(Unsafe, match=r"^d: "):
        await store.put("d", b"x")
    with pytest.raises(Unsafe):
        await upload(store, "d", b"x")
    assert await paths(store) == ["a", "d/e"]


async def test_folders_that_became_empty_go_but_not_the_first_below_ours(store, root):
    await store.put("a/b/c", b"x")
    await store.put(".syncd/staged/m/1/a", b"x")
    await store.move(".syncd/staged/m/1/a", "a/b/d")
    await store.delete("a/b/c")
    await store.delete("a/b/d")
    assert sorted(path.name for path in root.iterdir()) == [".syncd"]
    assert sorted(path.name for path in (root / ".syncd").iterdir()) == ["staged", "tmp"]
    await store.put("a/b/c", b"again")
    assert await read(store, "a/b/c") == b"again"


@pytest.mark.parametrize("way", ["put", "put if absent", "stage", "copy", "move"])
async def test_folders_that_were_removed_by_hand_are_made_anew(store, root, way):
    await store.put("kept", b"x")
    for path in ("m/a/b/f", "m/a/g", "m/c/h"):
        await store.put(path, b"old")  # so that the folders are open
    shutil.rmtree(root / "m")
    assert await paths(store) == ["kept"]
    match way:
        case "stage":
            await upload(store, "m/a/b/f", b"x")
        case "copy":
            await store.copy("kept", "m/a/b/f")
        case "move":
            await store.move("kept", "m/a/b/f")
        case _:
            await store.put("m/a/b/f", b"x", if_absent=way == "put if absent")
    assert (root / "m/a/b/f").read_bytes() == b"x"
    assert await read(store, "m/a/b/f") == b"x"
    await store.put("m/c/h", b"y")
    assert (root / "m/c/h").read_bytes() == b"y"
    assert temporary(root) == []


@pytest.mark.parametrize("way", ["put", "stage", "copy", "sweep"])
@pytest.mark.parametrize("gone", [".syncd/tmp", ".syncd"])
async def test_the_folder_of_what_is_under_way_is_made_anew_if_somebody_removed_it(store, root, gone, way):
    await store.put("a", b"x")
    await upload(store, "b", b"x")
    shutil.rmtree(root / gone)
    match way:
        case "put":
            await store.put("c", b"x")
        case "stage":
            await upload(store, "c", b"x")
        case "copy":
            await store.copy("a", "c")
        case "sweep":
            assert await store.sweep(-5.0) == 0
            await store.put("c", b"x")
    assert (root / "c").read_bytes() == b"x"
    assert temporary(root) == []
    with pytest.raises(NotFound):
        await store.copy("never", "d")


async def test_putting_and_pruning_at_once_loses_nothing(store):
    async def churn(number):
        for turn in range(30):
            await store.put(f"deep/er/{turn % 3}/{number}", b"x")
            await store.delete(f"deep/er/{turn % 3}/{number}")
        await store.put(f"deep/er/0/{number}", b"last")

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(churn(number))
    assert await paths(store) == [f"deep/er/0/{number}" for number in range(8)]


@pytest.mark.promise("P2")
@pytest.mark.fault(37)
@pytest.mark.parametrize(("code", "kind"), [(errno.EIO, Damaged), (errno.ENOSPC, NoSpace), (errno.EROFS, Offline)])
async def test_a_sync_that_fails_fails_the_file_and_is_never_tried_again(store, root, monkeypatch, code, kind):
    await store.put("before", b"x")
    calls = []

    def failing(fd):
        calls.append(fd)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(kind, match=f"^a: .*{root}"):
        await store.put("a", b"x")
    assert len(calls) == 1
    async with store.stage("b", size=3) as staged:
        await staged.write(0, b"abc")
        with pytest.raises(kind, match=r"^b: "):
            await staged.commit(size=3, sha256=sha256(b"abc"))
        assert len(calls) == 2
        with pytest.raises(Damaged, match="has ended"):
            await staged.commit(size=3, sha256=sha256(b"abc"))
    monkeypatch.undo()
    assert temporary(root) == []
    assert await paths(store) == ["before"]


async def test_what_failed_first_is_told_where_nothing_can_be_cleared_away(store, monkeypatch):
    """A file system that became read-only says so of every unlink, even of names that are not there."""
    await store.put("before", b"x")
    await store.put("blocked", b"x")

    def broken(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "unlink", read_only)
    puts = [store.put(path, b"x") for path in ("a", "blocked/b", "c")]
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["Stat", "Unsafe", "Stat"]
    with pytest.raises(Unsafe, match=r"^blocked"):
        await store.copy("before", "blocked/copy")
    async with store.stage("d", size=3) as staged:
        await staged.discard()
    monkeypatch.setattr(os, "fsync", broken)
    async with store.stage("e", size=3) as staged:
        await staged.write(0, b"abc")
        with pytest.raises(Damaged, match=r"^e: the disk"):
            await staged.commit(size=3, sha256=sha256(b"abc"))
    with pytest.raises(Damaged, match=r"^f: the disk"):
        await store.put("f", b"x")
    monkeypatch.setattr(staged_file, "reserve", broken)
    with pytest.raises(Damaged, match=r"^g: the disk"):
        async with store.stage("g", size=3):
            pass


@pytest.mark.fault(37)
async def test_one_bad_put_does_not_fail_the_others_of_its_batch(store, monkeypatch):
    await store.put("blocked", b"a file")
    outcomes = await asyncio.gather(
        *(store.put(path, b"x") for path in ("a/1", "blocked/x", "a/2", "b/3")), return_exceptions=True
    )
    assert [type(outcome).__name__ for outcome in outcomes] == ["Stat", "Unsafe", "Stat", "Stat"]
    assert await paths(store) == ["a/1", "a/2", "b/3", "blocked"]


async def test_slow_syncs_are_made_side_by_side_and_all_count(store, monkeypatch):
    monkeypatch.setattr(sync_batch, "SLOW_SYNC", -1.0)
    for _ in range(3):
        await asyncio.gather(*(store.put(f"{number % 4}/{number}", b"%d" % number) for number in range(20)))
    assert len(await paths(store)) == 20


async def test_who_is_alone_waits_for_a_quick_disk_itself_and_leaves_a_slow_one_to_threads(tmp_path, monkeypatch):
    real, threads = os.fsync, []

    def fsync(fd):
        threads.append(threading.current_thread().name)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(sync_batch, "SLOW_SYNC", 60.0)
    store = FilesystemStore(tmp_path, alone=True)
    await store.put("a/quick", b"1")
    assert {*threads} == {threading.current_thread().name}
    monkeypatch.setattr(sync_batch, "SLOW_SYNC", -1.0)
    await store.put("a/found-slow", b"2")
    threads.clear()
    await store.put("a/slow", b"3")
    assert all(name.startswith("store") for name in threads)
    assert await paths(store) == ["a/found-slow", "a/quick", "a/slow"]
    await store.aclose()


@pytest.mark.fault(38)
async def test_a_write_that_takes_only_part_is_continued(store, monkeypatch):
    body = random.Random(1).randbytes(100_000)
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, chunk, offset: real(fd, chunk[:33_333], offset))
    await store.put("short", body)
    await upload(store, "staged", body)
    monkeypatch.undo()
    assert await read(store, "short") == body
    assert await read(store, "staged") == body


@pytest.mark.fault(36)
async def test_a_full_disk_is_named_before_the_first_byte_where_the_size_is_known(store, monkeypatch, root):
    def no_room(fd, size, folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(staged_file, "reserve", no_room)
    with pytest.raises(NoSpace, match=f"^big: no space left in {root}"):
        async with store.stage("big", size=1 << 40):
            pass
    assert temporary(root) == []


@pytest.mark.parametrize(("cost", "taken"), [(0.0, 1 << 30), (reservation.DEAR, reservation.TRIAL)])
async def test_room_is_taken_before_the_first_byte_unless_that_is_the_work_of_writing(
    store, monkeypatch, root, cost, taken
):
    spent, stops = [0.0], []

    def take(fd, start, stop):
        spent[0] += cost
        stops.append(stop)

    monkeypatch.setattr(reservation, "_allocate", take)
    monkeypatch.setattr(time, "thread_time", lambda: spent[0])
    async with store.stage("big", size=1 << 30) as file:
        await file.discard()
    assert max(stops) == taken
    if cost:
        async with store.stage("other", size=1 << 30) as file:
            await file.discard()
        assert len(stops) == 1, "it was learnt"
        with pytest.raises(NoSpace, match=f"^big: no space left in {root}"):
            async with store.stage("big", size=1 << 60):
                pass
    assert temporary(root) == []


@pytest.mark.promise("P2")
@pytest.mark.fault(41)
async def test_bytes_that_did_not_reach_the_disk_are_not_believed_after_a_power_cut(store, root):
    body = random.Random(2).randbytes(300)
    async with store.stage("f", size=300) as staged:
        token = staged.token
        for start in (0, 100, 200):
            await staged.write(start, body[start : start + 100])
    part, log = root / f".syncd/tmp/{token}.part", root / f".syncd/tmp/{token}.log"
    torn = bytearray(part.read_bytes())
    torn[100:200] = bytes(100)  # the journal reached the disk, these bytes did not
    part.write_bytes(torn)
    log.write_bytes(log.read_bytes()[:-20])  # and its last line was torn
    async with store.stage("f", size=300, resume=token) as staged:
        assert staged.present_ranges == ((0, 100),)
        await staged.write(100, body[100:])
    async with store.stage("f", size=300, resume=token) as staged:
        assert staged.present_ranges == ((0, 300),)
        await staged.commit(size=300, sha256=sha256(body))
    assert await read(store, "f") == body
    assert temporary(root) == []


@pytest.mark.parametrize(
    "journal",
    [
        b"\n\n",
        b"0 10 zzzz\n",
        b"10 0 " + b"0" * 16 + b"\n",
        b"-5 5 " + b"0" * 16 + b"\n",
        b"\xff\xfe\n",
        b"0 99999999 ",
    ],
)
async def test_a_journal_that_makes_no_sense_holds_nothing(store, root, journal):
    async with store.stage("f", size=10) as staged:
        token = staged.token
    (root / f".syncd/tmp/{token}.log").write_bytes(journal)
    async with store.stage("f", size=10, resume=token) as staged:
        assert staged.present_ranges == ()


async def test_a_journal_of_bytes_beyond_the_end_holds_nothing(store, root):
    async with store.stage("f", size=None) as staged:
        token = staged.token
        await staged.write(0, b"abc")
    digest = xxhash.xxh3_64_hexdigest(b"abc\0")
    (root / f".syncd/tmp/{token}.log").write_text(f"0 4 {digest}\n")
    async with store.stage("f", size=None, resume=token) as staged:
        assert staged.present_ranges == ()


async def test_a_folder_that_holds_other_files_does_not_become_a_store(store, root):
    root.mkdir()
    (root / "thesis.tex").write_text("do not touch")
    with pytest.raises(ConfigError, match="holds thesis"):
        await store.identify(None)


@pytest.mark.fault(39)
async def test_an_unmounted_store_is_offline_and_not_empty(store, root):
    known = await store.identify(None)
    (root / ".syncd/store.json").rename(root / ".syncd/gone")
    with pytest.raises(Offline, match="unmounted"):
        await store.identify(known)
    other = FilesystemStore(root.parent / "nothing")
    with pytest.raises(Offline, match="no such folder"):
        await other.identify(known)
    assert not (root.parent / "nothing").exists()
    await other.aclose()


@pytest.mark.promise("P3")
@pytest.mark.fault(43)
async def test_two_processes_on_one_folder_exclude_each_other_exactly(store, root):
    held = await store.lock()
    other = FilesystemStore(root)
    with pytest.raises(Busy):
        await other.lock()
    del held
    async with asyncio.timeout(120):
        while True:
            try:
                await other.lock()
            except Busy:  # the thread that opened it may hold on to it for a moment
                await asyncio.sleep(0.01)
            else:
                break
    await other.aclose()


async def test_a_named_pipe_in_the_store_does_not_hold_anybody_up(store, root):
    await store.put("d/x", b"x")
    os.mkfifo(root / "d/pipe")
    with pytest.raises(Unsafe, match="device"):
        await asyncio.wait_for(read(store, "d/pipe"), 120)
    assert await paths(store) == ["d/x"]


async def test_a_file_that_shrinks_while_it_is_read_is_noticed(store, root):
    await store.put("s", bytes(reading.CHUNK * 3))
    with pytest.raises(Damaged, match="shrank"):  # noqa: PT012  the file shrinks between two chunks
        async with store.open("s") as body:
            async for _ in body:
                os.truncate(root / "s", reading.CHUNK)


async def test_what_may_not_or_cannot_be_read_has_no_sum_and_spoils_no_other(store, root, tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    for path in ("d/first", "d/sick", "d/last"):
        await store.put(path, path.encode())
    await store.put("d/shrinks", bytes(3 * staged_file.FOLD))
    (root / "link").symlink_to(outside)
    (root / "d/file").symlink_to(outside / "secret")
    os.mkfifo(root / "d/pipe")
    sick, shrinks = ((root / "d" / name).stat().st_ino for name in ("sick", "shrinks"))
    pread = os.pread

    def failing(fd, count, offset):
        inode = os.fstat(fd).st_ino
        if inode == sick:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if inode == shrinks:
            os.truncate(root / "d/shrinks", staged_file.FOLD)
        return pread(fd, count, offset)

    monkeypatch.setattr(os, "pread", failing)
    asked = ["d/first", "link/secret", "d/file", "d/pipe", "d/sick", "d/shrinks", "gone/file", "d/last"]
    found = await asyncio.to_thread(store.sums, asked, lambda: False)
    assert dict(zip(asked, found, strict=True)) == {
        **dict.fromkeys(asked),
        "d/first": sha256(b"d/first"),
        "d/last": sha256(b"d/last"),
    }


async def test_a_sum_that_nobody_waits_for_any_more_ends_at_the_next_block(store, monkeypatch):
    for path in ("a", "b"):
        await store.put(path, bytes(5 * staged_file.FOLD))
    read, pread = [], os.pread

    def counted(fd, count, offset):
        read.append(offset)
        return pread(fd, count, offset)

    monkeypatch.setattr(os, "pread", counted)
    found = await asyncio.to_thread(store.sums, ["a", "b"], lambda: len(read) == 2)
    assert (list(found), read) == ([None, None], [0, staged_file.FOLD])


async def test_a_sweep_in_the_middle_of_a_copy_takes_nothing_of_it_however_old_the_file_is(store, root, monkeypatch):
    await store.put("m/f", b"old")
    os.utime(root / "m/f", (1, 1))
    another = FilesystemStore(root)  # as of another process
    real, swept = staged_file.put_in_place, []

    def between(*args, **named):
        swept.extend(each._temporaries.sweep(7 * 86400.0) for each in (store, another))
        swept.append(store._temporaries.sweep(-5.0))  # ours, and in use
        real(*args, **named)

    monkeypatch.setattr(file_changes, "put_in_place", between)
    await store.copy("m/f", ".syncd/versions/m/s/f")
    assert swept == [0, 0, 0]
    assert await read(store, ".syncd/versions/m/s/f") == b"old"
    assert temporary(root) == []
    await another.aclose()


async def test_a_put_whose_caller_gave_up_harms_nobody(store):
    tasks = [asyncio.create_task(store.put(f"{number}", b"x")) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in done[1::2]] == ["Stat"] * 10
    assert set(await paths(store)) >= {f"{number}" for number in range(1, 20, 2)}
    with pytest.raises(NotFound):
        await store.stat("never")


def count_open():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_nothing_stays_open_when_all_is_over(store):
    before = count_open()
    for number in range(300):
        await store.put(f"many/{number}/x", b"x")
    await upload(store, "f", bytes(10))
    assert count_open() - before < 150
    await store.aclose()
    assert count_open() <= before + 3
