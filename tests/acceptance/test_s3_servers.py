"""Whole passes into buckets of servers that are busy, full, elsewhere, or forbid something."""

import asyncio
import json
import random
import subprocess

import pytest

from tests.acceptance.cli import Bucket, start, tree
from tests.servers.fixtures import BUCKET
from tests.servers.s3_dialect_proxy import DialectProxy
from tests.servers.s3_dialects import Dialect
from tests.servers.s3_proxy import SLOW_DOWN, error

pytestmark = pytest.mark.swift
MANIFEST = "mirror: scenes\nsource: {url: 'file://%s/'}\n"
PLAIN = Dialect()


class Passes:
    """Passes of one mirror into a bucket behind a proxy; `refuse` answers what a test wants to go wrong."""

    def __init__(self, folder, swift, proxy):
        self.www, self.state, self.manifest = folder / "www", folder / "state", folder / "scenes.yaml"
        self.proxy = proxy
        self.behind = Bucket(swift, swift.url())
        self.store = Bucket(swift.at(proxy.url), self.behind.url)
        (self.www / "d").mkdir(parents=True)
        for number, size in enumerate((0, 3, 70_000)):
            (self.www / f"d/f{number}").write_bytes(random.Random(number).randbytes(size))
        self.manifest.write_text(MANIFEST % self.www)

    async def sync(self, *more, wanted=0):
        """Return the last line of `sync --json`, and all that it wrote to stderr."""
        allowed = ("--allow-private", self.proxy.url)

        def run():
            words = ("sync", self.manifest, "--json", *allowed, *more)
            process = start(self.store, self.state, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = process.communicate(timeout=240)
            assert process.returncode == wanted, f"exit {process.returncode}\n{out}\n{err}"
            assert "Traceback" not in err, err
            return json.loads(out.splitlines()[-1]) if out.strip() else {}, out + err

        return await asyncio.to_thread(run)

    async def has_all(self):
        return await asyncio.to_thread(self.behind.read, "scenes/") == tree(self.www)


@pytest.fixture
async def passes(tmp_path, swift):
    async with DialectProxy(swift.endpoint, swift.access_key, swift.secret_key, BUCKET, PLAIN) as proxy:
        yield Passes(tmp_path, swift, proxy)


def once(reply, times=1):
    left = [times]

    def refuse(_):
        left[0] -= 1
        return reply if left[0] >= 0 else None

    return refuse


@pytest.mark.fault(45)
@pytest.mark.parametrize("reply", [error(500, "InternalError"), b""])
async def test_a_server_that_is_busy_at_the_very_start_is_asked_again(passes, reply):
    """`b""`: the connection is cut."""
    passes.proxy.refuse = once(reply or b"connection: close", 2)
    found, _ = await passes.sync()
    assert (found["fetched"], found["failed"]) == (3, 0)
    assert await passes.has_all()


@pytest.mark.fault(45)
async def test_a_lease_that_could_not_be_taken_at_first_is_taken(passes):
    def is_lease(asked):
        return asked.method == "PUT" and asked.target.endswith("lease.json")

    left = [error(500, "InternalError"), SLOW_DOWN.replace(b": 7", b": 0")]
    passes.proxy.refuse = lambda asked: left.pop() if left and is_lease(asked) else None
    await passes.sync()
    assert not left
    assert await passes.has_all()


@pytest.mark.fault(45)
async def test_a_lease_that_cannot_be_read_at_every_second_time_is_taken_and_settles(passes):
    asked = []

    def refuse(request):
        if request.method != "GET" or not request.target.endswith("lease.json"):
            return None
        asked.append(request)
        return SLOW_DOWN.replace(b": 7", b": 0") if len(asked) % 2 else None

    passes.proxy.refuse = refuse
    await passes.sync()
    assert len(asked) > 2
    assert await passes.has_all()


async def test_credentials_that_may_not_delete_are_named_and_the_pass_goes_on(passes):
    (passes.www / "d/large").write_bytes(random.Random(4).randbytes((16 << 20) + 9))
    passes.proxy.refuse = lambda asked: error(403, "AccessDenied") if asked.method == "DELETE" else None
    found, said = await passes.sync()
    assert (found["fetched"], found["failed"]) == (4, 0)
    assert "s3:DeleteObject" in said
    assert await passes.has_all()
    (passes.www / "d/f1").write_bytes(b"replaced")
    found, _ = await passes.sync()  # no lease or probe keeps it away
    assert (found["fetched"] + found["replaced"], found["failed"]) == (1, 0)
    assert await passes.has_all()


async def test_a_full_store_stops_the_pass_and_says_what_to_do(passes):
    def refuse(asked):
        return error(507, "XMinioStorageFull") if asked.method == "PUT" and "/scenes/" in asked.target else None

    passes.proxy.refuse = refuse
    _, said = await passes.sync(wanted=3)
    assert "free some space" in said
    passes.proxy.refuse = None
    found, _ = await passes.sync()
    assert (found["fetched"], found["failed"]) == (3, 0)


async def test_a_bucket_elsewhere_is_found_by_what_its_server_says(tmp_path, swift):
    dialect = Dialect(region="oss-cn-1", virtual_only="SecondLevelDomainForbidden", etags="upper")
    async with DialectProxy(swift.endpoint, swift.access_key, swift.secret_key, BUCKET, dialect) as proxy:
        passes = Passes(tmp_path, swift, proxy)
        found, _ = await passes.sync()
        assert (found["fetched"], found["failed"]) == (3, 0)
        assert await passes.has_all()
        refused = [asked for asked in proxy.seen if asked.region != "oss-cn-1"]
        assert len(refused) <= 3  # it is remembered


@pytest.mark.promise("P7")
async def test_a_referral_to_another_provider_gets_no_request(passes, swift):
    async with DialectProxy(swift.endpoint, swift.access_key, swift.secret_key, BUCKET, PLAIN) as thief:
        place = thief.url.partition("://")[2]
        redirect = error(301, "PermanentRedirect").replace(
            b"</Message>", f"</Message><Endpoint>{place}</Endpoint>".encode()
        )
        head, _, body = redirect.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
        passes.proxy.refuse = lambda _: b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])
        _, said = await passes.sync(wanted=4)
        assert f"refers to {place}" in said
        assert "endpoint" in said
        assert thief.seen == []
