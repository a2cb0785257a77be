"""Passes from a bucket into another place of the same server: bytes are read and hashed here, and never sent back."""

import random

import pytest

from syncd.core import Changed
from syncd.stores.s3.source_copies import PINS
from tests.acceptance.mirroring import BucketMirroring, objects
from tests.servers.fixtures import BUCKET, PART
from tests.servers.s3_dialect_proxy import DialectProxy
from tests.servers.s3_dialects import DIALECTS, Dialect
from tests.servers.s3_proxy import error
from transports.s3.transport import open_transport

SMALL, LARGE, HUGE = "d/small.nc", "d/large.nc", "huge.nc"
SIZES = {"tiny.txt": 1000, SMALL: 300_000, LARGE: (4 << 20) + 17, HUGE: 2 * PART + (1 << 20)}
PLAIN = Dialect()
LITTLE = 200_000  # bytes: tiny files, and what the store keeps of its own


class Inside:
    """A source and a store behind one proxy that counts what it gets."""

    def __init__(self, folder, server, proxy):
        self.proxy, self.direct = proxy, server
        self.near = server.at(proxy.url)
        self.url = server.url()
        self.upstream = server.store(self.url)
        self.content = {}
        self.source = open_transport(
            self.url,
            options={"endpoint": proxy.url, "region": "us-east-1"},
            credential=server.credential,
            allow_private=frozenset({proxy.url}),
            user_agent="syncd/test",
        )
        self.mirroring = BucketMirroring(folder, self.source, self.near)

    async def put(self, path, size, seed=1):
        self.content[path] = random.Random(f"{path} {seed}").randbytes(size)
        await self.upstream.put(path, self.content[path])

    async def run(self):
        """Run a pass; return it, and how many bytes of bodies were sent to the server."""
        before = len(self.proxy.seen)
        done = await self.mirroring.run()
        return done, sum(len(asked.body) for asked in self.proxy.seen[before:])

    def copies(self):
        """Return the requests to copy from the source, without those for a version that does not exist."""
        asked = [one for one in self.proxy.seen if self.url[4:] in one.headers.get("x-amz-copy-source", "")]
        return [one for one in asked if "0" * 32 not in "".join(one.headers.get(pin, "") for pin in PINS)]

    async def stored(self, prefix="scenes/"):
        async with self.mirroring.open() as (store, _):
            return {path.removeprefix(prefix): body for path, body in (await objects(store, prefix)).items()}

    async def aclose(self):
        await self.source.aclose()
        await self.upstream.aclose()


@pytest.fixture(params=["swift", "rgw"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def inside(tmp_path):
    return lambda server, dialect=PLAIN: _Opened(tmp_path, server, dialect)


class _Opened:
    def __init__(self, folder, server, dialect):
        self.given = folder, server
        self.proxy = DialectProxy(server.endpoint, server.access_key, server.secret_key, BUCKET, dialect)

    async def __aenter__(self):
        folder, server = self.given
        self.inside = Inside(folder, server, await self.proxy.__aenter__())
        for path, size in SIZES.items():
            await self.inside.put(path, size)
        return self.inside

    async def __aexit__(self, *error):
        await self.inside.aclose()
        await self.proxy.__aexit__(*error)


async def test_files_of_the_same_server_are_read_once_and_never_sent_back(inside, server, request):
    is_ceph = request.node.callspec.params["server"] == "rgw"
    several = SIZES[HUGE] * 1.2 if is_ceph else 0  # Ceph RGW copies parts of any version, so they are sent
    async with inside(server) as here:
        done, sent = await here.run()
        assert (done.fetched, done.failed) == (4, 0)
        assert await here.stored() == here.content
        assert sent < LITTLE + several
        await here.put(SMALL, 310_000, seed=2)
        await here.put(HUGE, 2 * PART + (2 << 20), seed=2)
        done, sent = await here.run()
        assert (done.replaced, done.failed) == (2, 0)
        assert await here.stored() == here.content
        assert sent < LITTLE + several
        versions = await here.stored(".syncd/versions/scenes/")
        assert sorted(map(len, versions.values())) == [300_000, SIZES[HUGE]]


async def test_the_sha256_and_no_metadata_of_the_source_come_with_a_copy(inside, server):
    async with inside(server) as here:
        await here.run()
        async with here.mirroring.open() as (store, _):
            for path in (SMALL, LARGE):
                found, sha256 = await store._objects.describe(f"scenes/{path}")
                assert (found.size, len(sha256)) == (SIZES[path], 64)


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(copies=False, copies_parts=False),
        Dialect(ignores=PINS),
        Dialect(unknown=PINS),
        Dialect(copies_parts=False),
    ],
    ids=["no-copies", "pin-ignored", "pin-unknown", "no-copies-of-parts"],
)
async def test_a_server_that_cannot_copy_one_version_only_gets_the_bytes(inside, swift, dialect):
    async with inside(swift, dialect) as here:
        done, sent = await here.run()
        assert (done.fetched, done.failed) == (4, 0)
        assert await here.stored() == here.content
        assert sent > SIZES[HUGE]
        if dialect != Dialect(copies_parts=False):
            assert sent > sum(SIZES.values())
        async with here.mirroring.open() as (store, _):
            assert not [path async for path in store._reading.list(".syncd/uploads/")]


@pytest.mark.parametrize("name", sorted(DIALECTS))
async def test_the_copy_is_right_in_every_dialect(inside, swift, name):
    if DIALECTS[name].virtual_only:
        pytest.skip("its source needs another address")
    async with inside(swift, DIALECTS[name]) as here:
        done, _ = await here.run()
        assert (done.fetched, done.failed) == (4, 0)
        assert await here.stored() == here.content


async def test_credentials_that_may_not_read_the_source_are_tried_once_a_pass_for_each_kind_of_copy(inside, swift):
    async with inside(swift) as here:
        refused = []

        def refuse(asked):
            if here.url[4:] not in asked.headers.get("x-amz-copy-source", ""):
                return None
            refused.append(asked)
            return error(403, "AccessDenied")

        here.proxy.refuse = refuse
        done, sent = await here.run()
        assert (done.fetched, done.failed, len(refused)) == (4, 0, 2)
        assert await here.stored() == here.content
        assert sent > sum(SIZES.values())


@pytest.mark.promise("P1")
async def test_what_changes_between_reading_and_copying_is_read_again(inside, server):
    async with inside(server) as here:
        newer, served = {}, set()

        def meddle(asked):
            named = asked.headers.get("x-amz-copy-source", "")
            if not here.copies() or here.url[4:] not in named or served:
                return None
            served.add(named)
            return error(412, "PreconditionFailed")  # as a server answers that has a newer version

        here.proxy.refuse = meddle
        done, _ = await here.run()
        assert served
        assert (done.failed, newer) == (0, {})
        assert await here.stored() == here.content


async def test_a_copy_of_another_version_is_refused_by_the_server_itself(inside, server):
    async with inside(server) as here, here.mirroring.open() as (store, _):
        url = await here.source.bucket.url(here.source.root + SMALL)
        assert await store.copyable_from(url, 300_000)
        assert await store.may_copy(url, 300_000)
        old = (await here.source.stat(SMALL)).version
        await here.put(SMALL, 300_000, seed=3)
        async with store.stage("scenes/x", size=300_000, resume=store.copy_token(url, old)) as file:
            with pytest.raises(Changed, match="changed before it was copied"):
                await file.commit(size=300_000, sha256="0" * 64)
        assert await objects(store, "scenes/") == {}
        assert await store.copyable_from("http://elsewhere.example/bucket/key", 1) == ""
