"""What a disk that arrived by post may hold: links, pipes, names that are no text, files that change under our hands."""

import asyncio
import errno
import os
import socket
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as some

from manifests.stat import UnsafePath, check_path
from syncd.core.errors import Changed, Denied, Interrupted, NotFound, Unreachable, Unsafe, Unsupported
from transports.file import CHUNK, FileTransport, open_transport
from transports.net import NOWHERE, SPECIAL, TO_FOLDERS


async def read(transport, path, **span):
    async with transport.open(path, **span) as body:
        return b"".join([chunk async for chunk in body])


async def paths(transport, prefix=""):
    return [stat.path async for stat in transport.list(prefix)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "x").write_bytes(b"content")
    (tmp_path / "root" / "sub" / "y").write_bytes(b"below")
    return tmp_path / "root"


@pytest.fixture
def transport(folder):
    return FileTransport(str(folder))


@pytest.fixture
def as_another_user():
    """A folder of root, with files; the test runs as a user who may not read all of it."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as made:
        root = Path(made) / "root"
        for name in ("open/a", "secret/b", "unsearchable/c", "x"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"content")
        Path(made).chmod(0o755)
        (root / "secret").chmod(0o700)
        (root / "unsearchable").chmod(0o744)
        os.seteuid(65_534)
        try:
            yield root
        finally:
            os.seteuid(0)


async def test_a_folder_that_may_not_be_read_is_told_after_all_other_files(as_another_user):
    found = []

    async def append_all():
        async for stat in FileTransport(str(as_another_user)).list():
            found.append(stat.path)

    with pytest.raises(Denied, match=r"^2 folders could not be listed, so files may be missing: secret/: Permission"):
        await append_all()
    assert found == ["open/a", "x"]


@pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "nowhere", "link", "../root2/x", "way/outside"])
async def test_a_link_that_leads_out_or_nowhere_is_not_followed_and_told(folder, transport, target):
    (folder / "link").symlink_to(target)
    (folder / "way").symlink_to("..")
    (folder.parent / "root2").mkdir()
    (folder.parent / "root2" / "x").write_bytes(b"beside")
    assert await paths(transport) == ["sub/y", "x"]
    assert transport.skipped() == {NOWHERE: 1, TO_FOLDERS: 1}
    for ask in (transport.stat, partial(read, transport)):
        with pytest.raises(Unsafe, match=r"^link: is a symbolic link that leads to no file of the source"):
            await ask("link")


@pytest.mark.parametrize("target", ["x", "./sub/../x", "sub/again", "/ROOT/x"])
async def test_a_link_to_a_file_of_the_source_is_that_file(folder, transport, target):
    (folder / "sub" / "again").symlink_to("../x")
    (folder / "link").symlink_to(target.replace("/ROOT", str(folder)))
    assert await paths(transport) == ["link", "sub/again", "sub/y", "x"]
    assert transport.skipped() == {}
    found = {stat.path: stat async for stat in transport.list()}
    assert (await transport.stat("link")).version == found["link"].version == found["x"].version
    assert await read(transport, "link") == b"content"


async def test_links_below_a_root_that_is_reached_by_a_link_are_judged_by_the_real_folder(folder, tmp_path):
    (tmp_path / "mounted").symlink_to("root")
    (folder / "link").symlink_to("sub/y")
    (folder / "sub" / "up").symlink_to("../x")
    transport = FileTransport(str(tmp_path / "mounted"))
    assert await paths(transport) == ["link", "sub/up", "sub/y", "x"]
    assert await read(transport, "sub/up") == b"content"


async def test_a_linked_folder_is_neither_walked_nor_entered(folder, transport):
    (folder / "way").symlink_to("..")
    (folder / "loop").symlink_to(".")
    assert await paths(transport) == ["sub/y", "x"]
    assert transport.skipped() == {TO_FOLDERS: 2}
    for path in ("way/outside", "loop/x"):
        with pytest.raises((Unsafe, NotFound), match=f"^{path}: "):
            await read(transport, path)


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "sub/../../outside",
        "/etc/passwd",
        "sub//y",
        ".",
        "",
        "x\x00",
        "..",
        ".syncd/../../outside",
        ".syncd/",
        "a\\b",
    ],
)
async def test_a_path_that_leads_out_is_refused(transport, path):
    with pytest.raises(Unsafe):
        await read(transport, path)


async def test_pipes_sockets_and_folders_are_no_files_and_nobody_hangs_on_them(folder, transport):
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        assert await paths(transport) == ["sub/y", "x"]
        assert transport.skipped() == {SPECIAL: 2}
        async with asyncio.timeout(120):
            for path in ("pipe", "sub"):
                with pytest.raises(NotFound, match=f"^{path}: "):
                    await read(transport, path)
    with pytest.raises(NotFound):
        await read(transport, "x/below-a-file")


async def test_a_name_that_is_no_text_is_listed_so_that_it_can_be_refused_by_name(folder, transport):
    (folder / os.fsdecode(b"caf\xe9.nc")).write_bytes(b"old character set")
    found = await paths(transport)
    assert len(found) == 3
    bad = next(path for path in found if path.startswith("caf"))
    with pytest.raises(UnsafePath):
        check_path(bad)
    with pytest.raises(Unsafe):
        await read(transport, bad)


async def test_names_in_the_encoding_that_the_manifest_names_are_read_in_it(tmp_path):
    (tmp_path / "r" / os.fsdecode("数据".encode("gb18030"))).mkdir(parents=True)
    (tmp_path / "r" / os.fsdecode("数据/降水.nc".encode("gb18030"))).write_bytes(b"rain")
    (tmp_path / "r" / os.fsdecode(b"\xff.nc")).write_bytes(b"not gb18030")
    url = f"file://{tmp_path}/r/"
    for encoding, expected in [
        ("gb18030", ["\\xff.nc", "数据/降水.nc"]),
        ("utf-8", ["\\xca\\xfd\\xbe\\xdd", "\\xff.nc"]),
    ]:
        transport = open_transport(
            url, options={"encoding": encoding}, credential=None, allow_private=frozenset(), user_agent=""
        )
        assert await paths(transport) == expected
        for path in expected:
            if path.startswith("\\"):
                with pytest.raises(UnsafePath, match=r"source\.encoding"):
                    check_path(path)
            else:
                assert await read(transport, path) == b"rain"
                assert (await transport.stat(path)).size == 4


async def test_a_file_that_changes_while_it_is_read_is_noticed(folder, transport):
    (folder / "big").write_bytes(bytes(3 * CHUNK))
    async with transport.open("big") as body:
        chunks = aiter(body)
        await anext(chunks)
        with (folder / "big").open("r+b") as file:
            file.seek(2 * CHUNK)
            file.write(b"other")
        os.utime(folder / "big", ns=(1, 1))
        with pytest.raises(Changed, match=r"^big: .*while it was read"):
            [chunk async for chunk in chunks]


async def test_a_file_that_is_replaced_by_rename_is_read_to_its_old_end_and_has_another_version_then(folder, transport):
    async with transport.open("x") as body:
        version = body.stat.version
        (folder / "new").write_bytes(b"CONTENT")
        (folder / "new").rename(folder / "x")
        assert b"".join([chunk async for chunk in body]) == b"content"
    with pytest.raises(Changed):
        await read(transport, "x", version=version)


async def test_a_folder_that_is_not_there_is_unreachable_and_not_empty(tmp_path):
    transport = FileTransport(str(tmp_path / "unmounted"))
    with pytest.raises(Unreachable, match="no such folder"):
        await paths(transport)
    with pytest.raises(Unreachable, match="no such folder"):
        await transport.stat("x")


async def test_what_may_not_be_read_is_denied_and_what_comes_from_nowhere_is_unreachable(transport, monkeypatch):
    for number, kind in ((errno.EACCES, Denied), (errno.ESTALE, Unreachable), (errno.EIO, Interrupted)):

        def fail(*_, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("transports.file._open", fail)  # root may read everything, so no mode bits would do
        with pytest.raises(kind, match=rf"^x: {os.strerror(number)}"):
            await read(transport, "x")


async def test_urls_are_taken_if_they_are_below_the_folder(folder, transport):
    (folder / "a b%").write_bytes(b"1")
    for url in (f"file://{folder}/a%20b%25", f"file://localhost{folder}/a%20b%25"):
        assert await read(transport, url) == b"1"
    for url in (f"file://{folder.parent}/outside", f"file://{folder}/../outside", f"file://[{folder}/x", "file://[]/x"):
        with pytest.raises(Unsafe):
            await read(transport, url)
    with pytest.raises(Unsupported):
        await read(transport, "https://example.org/x")
    opened = open_transport(
        f"file://{folder}/sub/", options={}, credential=None, allow_private=frozenset(), user_agent="t"
    )
    assert await read(opened, "y") == b"below"


async def test_no_descriptor_is_left_behind_by_reads_that_were_cancelled(folder, transport):
    (folder / "big").write_bytes(bytes(3 * CHUNK))
    held = Path("/proc/self/fd")
    before = len(list(held.iterdir()))
    for turns in range(20):
        task = asyncio.create_task(read(transport, "big"))
        for _ in range(turns // 2):
            await asyncio.sleep(0.0002)
        task.cancel()
        await asyncio.wait([task])
    async with asyncio.timeout(120):
        while len(list(held.iterdir())) > before:
            await asyncio.sleep(0.01)


NAMES = some.text(some.sampled_from("ab-./0 é"), min_size=1, max_size=3).map(lambda name: name.strip("/"))


@settings(max_examples=60, deadline=None)
@given(
    wanted=some.sets(some.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=12),
    after=some.text("ab-/0", max_size=3),
    prefix=some.text("ab-/0", max_size=2),
)
def test_the_order_of_a_listing_is_the_order_of_whole_paths(tmp_path_factory, wanted, after, prefix):
    root = tmp_path_factory.mktemp("tree")
    made = set()
    for path in sorted(wanted):
        try:
            check_path(path)
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(b"")
        except (UnsafePath, OSError):  # `a` and `a/b` cannot both be files
            continue
        made.add(path)

    async def listed():
        transport = FileTransport(str(root))
        return [stat.path async for page in transport.list_pages(prefix, after) for stat in page]

    expected = sorted(path for path in made if path.startswith(prefix) and path > after)
    assert asyncio.run(listed()) == expected
