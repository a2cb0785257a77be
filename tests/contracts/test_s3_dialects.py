"""The essential part of the contract of stores, held on every dialect of S3 in front of a real server."""

import random
from contextlib import aclosing

import pytest

from syncd.core.errors import Damaged, Denied
from syncd.stores.s3.uploads import StartAgain
from tests.contracts.essential import EssentialContract, paths, read, upload
from tests.servers.fixtures import BUCKET, sha256
from tests.servers.s3_dialect_proxy import DialectProxy, garble_first_part
from tests.servers.s3_dialects import DIALECTS, KMS, NOT_IMPLEMENTED, Dialect
from tests.servers.s3_proxy import error

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
    @pytest.fixture(params=sorted(DIALECTS))
    async def reopen(self, request, speak):
        dialect = DIALECTS[request.param]
        limits = {"most_parts": dialect.most_parts, "least_part": dialect.least_part}
        _, store = await speak(dialect, **limits)  # the region and the form of the address are learnt

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

    async def test_what_arrived_is_found_again_by_another_process_in_parts_of_any_size(self, store, reopen):
        body = random.Random(13).randbytes(3 * store.piece + 77)
        async with store.stage("res", size=len(body)) as staged:
            token = staged.token
            await staged.write(0, body[: 2 * store.piece])
            await self.settle(staged)
        other = await reopen()
        async with other.stage("res", size=len(body), resume=token) as staged:
            ((start, stop),) = staged.present_ranges
            assert start == 0 < stop <= 2 * store.piece
            await staged.write(stop, body[stop:])
            assert b"".join([chunk async for chunk in staged.read()]) == body
            await staged.commit(size=len(body), sha256=sha256(body))
        assert sha256(await read(other, "res")) == sha256(body)


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
    garble_first_part(monkeypatch, proxy)
    body = random.Random(4).randbytes(PART + 9)
    with pytest.raises(Damaged, match=r"stored as"):
        await upload(store, "large", body)
    assert await paths(store) == []


async def test_a_part_that_is_one_too_many_starts_the_file_again_in_larger_ones(speak):
    proxy, open_store = await speak(Dialect(most_parts=2))
    store = open_store()
    body = random.Random(6).randbytes(3 * PART + 1)
    with pytest.raises(StartAgain, match="takes 2 parts"):
        await upload(store, "f", body)
    before = len(proxy.seen)
    await upload(store, "f", body)
    assert sha256(await read(store, "f")) == sha256(body)
    assert max(asked.part for asked in proxy.seen[before:]) == 2


async def test_parts_that_are_too_small_start_the_file_again_in_larger_ones(speak):
    _, open_store = await speak(Dialect(least_part=PART + 1))
    store = open_store()
    body = random.Random(7).randbytes(2 * PART + 1)
    with pytest.raises(StartAgain, match="EntityTooSmall"):
        await upload(store, "f", body)
    await upload(store, "f", body)
    assert sha256(await read(store, "f")) == sha256(body)


async def test_a_file_of_very_many_parts_asks_first_whether_it_may_have_them(speak):
    proxy, open_store = await speak(Dialect(most_parts=1_000))
    store = open_store()
    async with store.stage("huge", size=1_500 * PART) as staged:
        await staged.discard()
    assert [asked.part for asked in proxy.seen if asked.part] == [1_500]
    async with store.stage("huge", size=1_500 * PART) as staged:
        assert staged.token.split(".")[1] == str(2 * PART)
        await staged.discard()
    assert len([asked for asked in proxy.seen if asked.part]) == 1


@pytest.mark.promise("P1")
@pytest.mark.parametrize("reply", [NOT_IMPLEMENTED, error(403, "AccessDenied"), error(405, "MethodNotAllowed")])
async def test_a_copy_that_is_refused_goes_through_us_and_is_hashed(speak, reply):
    proxy, open_store = await speak(Dialect())
    proxy.refuse = lambda asked: reply if "x-amz-copy-source" in asked.headers else None
    store = open_store()
    bodies = {"small": b"bytes", "large": random.Random(8).randbytes(SMALL_PARTS["copy_limit"] + 9)}
    for path, body in bodies.items():
        await upload(store, path, body)
        await store.move(path, f"to/{path}")
        assert sha256(await read(store, f"to/{path}")) == sha256(body)
    asked = sum("x-amz-copy-source" in asked.headers for asked in proxy.seen)
    await store.put("more", b"x")
    await store.copy("more", "most")
    assert sum("x-amz-copy-source" in one.headers for one in proxy.seen) == asked  # it is remembered
    assert await paths(store) == ["more", "most", "to/large", "to/small"]


@pytest.mark.promise("P1")
async def test_an_object_that_rotted_is_not_copied_through_us(speak):
    proxy, open_store = await speak(Dialect(copies=False))
    store = open_store()
    await store.put("a", b"bytes")
    plain = proxy.speaker.response

    def rotten(asked, headers, body):
        headers, body = plain(asked, headers, body)
        return headers, b"rotte" if asked.method == "GET" and asked.target.endswith("/a") else body

    proxy.speaker.response = rotten
    with pytest.raises(Damaged, match=r"^a: stored as"):
        await store.copy("a", "b")
    assert await paths(store) == ["a"]


async def test_a_server_without_head_is_asked_for_one_byte(speak):
    proxy, open_store = await speak(Dialect())
    proxy.refuse = lambda asked: NOT_IMPLEMENTED if asked.method == "HEAD" else None
    store = open_store()
    body = random.Random(9).randbytes(PART + 1)
    await upload(store, "large", body)
    await store.put("empty", b"")
    assert [(await store.stat(path)).size for path in ("large", "empty")] == [len(body), 0]
    await store.move("large", "to")
    assert sha256(await read(store, "to")) == sha256(body)


async def test_what_must_not_be_deleted_is_named_and_a_journal_is_emptied(speak, caplog):
    proxy, open_store = await speak(Dialect())
    proxy.refuse = lambda asked: error(403, "AccessDenied") if asked.method == "DELETE" else None
    store = open_store()
    await upload(store, "large", random.Random(10).randbytes(PART + 1))
    await store.put(".syncd/journal/m.json", b"moves")
    await store.delete(".syncd/journal/m.json")
    assert await read(store, ".syncd/journal/m.json") == b""
    await store.move(".syncd/journal/m.json", ".syncd/removed/m.json")
    with pytest.raises(Denied, match=r"^large: .*s3:DeleteObject"):
        await store.delete("large")
    assert await store.sweep(-5.0) == 0
    assert caplog.text.count("s3:DeleteObject") == 1
