"""Three nodes on loopback, over their real public sides: all end with one snapshot, and little is moved for it."""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from tests.acceptance.nodes import FollowingNode, SigningNode, snapshot_of
from tests.acceptance.public_side import MANIFEST, OPEN, PublicSide
from tests.fakes import Archive
from tests.servers.loopback import LoopbackServer

FILES = 400
CHANGES = 60


class CountingProxy(LoopbackServer):
    """Hands bytes on, and counts those that come back, at the socket."""

    def __init__(self, port):
        self.to, self.received = port, 0

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        there, out = await asyncio.open_connection("127.0.0.1", self.to)

        async def copy(source, sink, *, counted):
            while chunk := await source.read(1 << 16):
                self.received += len(chunk) * counted
                sink.write(chunk)
                await sink.drain()
            sink.write_eof()

        onward = asyncio.create_task(copy(reader, out, counted=False))
        try:
            await copy(there, writer, counted=True)
        except (OSError, asyncio.CancelledError):  # the test has ended, and with it this connection
            pass
        finally:
            onward.cancel()
            writer.transport.abort()
            out.transport.abort()
            await asyncio.gather(onward, return_exceptions=True)


@asynccontextmanager
async def public(node, *, after_a_pass=True):
    """Serve a node's mirror; yields its public side and a proxy in front of it."""
    side = PublicSide(node.folder, node.archive, mirroring=node)
    if after_a_pass:
        await side.run()
    else:
        async with node.open() as (store, catalogue):
            catalogue.settings.set("manifest:scenes", MANIFEST.format(name="scenes", publish=OPEN))
            catalogue.settings.set("store", await store.identify(None))
    async with side.serving(), CountingProxy(side.port) as proxy:
        yield side, proxy, f"http://127.0.0.1:{proxy.port}/mirrors/scenes/"


async def test_three_nodes_end_with_one_id_and_lists_are_a_hundredth_of_what_is_moved(tmp_path):
    chance = random.Random(13)
    files = {f"{n % 40:02}/{n:05}.nc": chance.randbytes(20) for n in range(FILES)}
    origin = SigningNode(tmp_path / "one", Archive(files), guard="100%")
    async with public(origin) as (side, proxy, url):
        near = FollowingNode(tmp_path / "two", origin, url=url, name="de-two")
        far = FollowingNode(tmp_path / "three", origin, url=url, name="us-three")
        assert (await near.run()).complete
        assert (await far.run()).complete
        changed = chance.sample(sorted(files), CHANGES)
        payload = {path: chance.randbytes(60_000) for path in changed}
        origin.archive.files.update(payload)
        await side.run()
        size = sum(map(len, payload.values()))
        side.served.clear()
        proxy.received = 0
        assert (await near.run()).complete
        lists = sum(one.sent for one in side.served if not one.path)
        assert lists <= size / 100
        assert proxy.received <= 1.05 * size
    assert snapshot_of(far) != snapshot_of(origin)  # it was cut off, and the node is not there
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        await far.run()
    async with public(near, after_a_pass=False) as (_, _, url):
        other = FollowingNode(tmp_path / "three", near, url=url, name="us-three")
        assert (await other.run()).complete
        assert other.head()["via"] == ["cn-one", "de-two"]
        assert other.head()["upstream_checked"] == origin.head()["upstream_checked"]
    assert snapshot_of(other) == snapshot_of(near) == snapshot_of(origin)
    assert other.natural() == near.natural() == origin.natural()


async def test_two_nodes_that_mirror_each_other_grow_older_together(tmp_path):
    """With the original out of reach, neither copy of the other makes one look fresh."""
    origin = SigningNode(tmp_path / "one", Archive({"a": b"a", "b": b"b"}), guard="100%")
    await origin.run()
    copy = FollowingNode(tmp_path / "two", origin)
    await copy.run()
    checked = copy.head()["upstream_checked"]
    back = FollowingNode(tmp_path / "one", copy, name="cn-one", key=origin.key)  # as its second source
    with pytest.raises(Exception, match="copy of our own mirror"):
        await back.run()
    for _ in range(3):
        await copy.run()
    assert copy.head()["upstream_checked"] == checked
    assert copy.head()["seq"] > 2
