"""The essential part of the contract of stores, held on every dialect of S3 in front of a real server."""

import random
from contextlib import aclosing

import pytest

from syncd.core.errors import Damaged
from tests.contracts.essential import EssentialContract, paths, read, upload
from tests.servers.fixtures import BUCKET, sha256
from tests.servers.s3_dialect_proxy import DialectProxy
from tests.servers.s3_dialects import DIALECTS, KMS, Dialect

pytestmark = pytest.mark.swift
PART = 1 << 20  # bytes
SMALL_PARTS = {"piece": PART, "copy_limit": 2 * PART, "copy_part": PART + 1}


@pytest.fixture
async def speak(swift):
    """Start servers of a dialect; returns their proxy and a function that opens stores in it."""
    started, opened = [], []
    url = swift.url()

    async def begin(dialect: Dialect, **more):
        proxy = DialectProxy(swift.endpoint, swift.access_key, swift.secret_key, BUCKET, dialect)
        started.append(await proxy.__aenter__())

        def store():
            opened.append(swift.at(proxy.url).store(url, **SMALL_PARTS, **more))
            return opened[-1]

        return proxy, store

    yield begin
    for store in opened:
        await store.aclose()
    for proxy in started:
        await proxy.__aexit__(None, None, None)


class TestDialects(EssentialContract):
    @pytest.fixture(params=("aws-2023", "aws-kms", "gcs", "minio", "r2", "wasabi"))
    async def reopen(self, request, speak):
        dialect = DIALECTS[request.param]
        _, store = await speak(dialect, region=dialect.region or "us-east-1")

        async def open_again():
            return store()

        return open_again

    @pytest.fixture
    async def store(self, reopen):
        return await reopen()

    async def test_a_file_above_the_limit_of_copies_moves_whole(self, store):
        body = random.Random(3).randbytes(SMALL_PARTS["copy_limit"] + 5)
        await upload(store, "from", body)
        await store.move("from", "to")
        assert sha256(await read(store, "to")) == sha256(body)
        async with aclosing(store.list()) as found:
            assert [(stat.path, stat.size) async for stat in found] == [("to", len(body))]


OWN = Dialect(etags="own", joined="own")


@pytest.mark.promise("P1")
@pytest.mark.parametrize(
    "says",
    [
        KMS,
        {"x-amz-server-side-encryption": "aws:kms:dsse"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
async def test_etags_of_an_encrypted_bucket_are_no_md5s_and_cost_no_reading_back(speak, says):
    proxy, open_store = await speak(Dialect(etags="own", joined="own", says=says))
    store = open_store()
    body = random.Random(1).randbytes(2 * PART + 99)
    await store.put("small", b"bytes")
    await upload(store, "large", body)
    assert await read(store, "small") == b"bytes"
    assert sha256(await read(store, "large")) == sha256(body)
    assert proxy.count("GET", ".syncd/") == 0


async def test_etags_that_nothing_explains_are_explained_by_reading_back_once(speak):
    proxy, open_store = await speak(OWN)
    store = open_store()
    for number in range(3):
        await store.put(f"small{number}", b"bytes %d" % number)
        body = random.Random(number).randbytes(PART + 99)
        await upload(store, f"large{number}", body)
        assert sha256(await read(store, f"large{number}")) == sha256(body)
    assert proxy.count("GET", ".syncd/uploads/probe-") == 1
    assert proxy.count("GET", ".syncd/uploads/") <= 2
    assert await paths(store) == [f"{kind}{number}" for kind in ("large", "small") for number in range(3)]


@pytest.mark.promise("P1")
async def test_joined_bytes_that_are_wrong_are_found_although_the_etag_says_nothing(speak, monkeypatch):
    proxy, open_store = await speak(OWN)
    store = open_store()
    plain = proxy.speaker.request

    def garbled(asked):
        target, headers, body = plain(asked)
        if asked.part == 1:
            headers = {name: value for name, value in headers.items() if name != "content-md5"}
            body = b"x" + body[1:]
        return target, headers, body

    monkeypatch.setattr(proxy.speaker, "request", garbled)
    body = random.Random(4).randbytes(PART + 9)
    with pytest.raises(Damaged, match=r"stored as"):
        await upload(store, "large", body)
    assert await paths(store) == []
