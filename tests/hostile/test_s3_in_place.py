"""A file that is uploaded to its final path: nothing of it is visible before it was verified, whatever the server does."""

import random

import pytest

from syncd.core.errors import Damaged, Exists, Interrupted, LeaseLapsed
from tests.contracts.store_contract import paths, read, upload
from tests.hostile.test_s3_faults import BLIND, again, is_complete, is_part, under_way
from tests.servers.fixtures import BUCKET, PART, sha256
from tests.servers.s3_dialect_proxy import DialectProxy, garble_first_part
from tests.servers.s3_dialects import Dialect
from tests.servers.s3_proxy import error

pytestmark = pytest.mark.swift
BODY = random.Random(1).randbytes(PART + 99)


@pytest.fixture
async def store(swift, proxy):
    opened = swift.at(proxy.url).store(swift.url())
    yield opened
    await opened.aclose()


async def write(staged, body=BODY):
    for start in range(0, len(body), PART):
        await staged.write(start, body[start : start + PART])


def commit(staged, body=BODY, **more):
    return staged.commit(size=len(body), sha256=sha256(body), **more)


@pytest.mark.promise("P1")
async def test_the_bytes_go_to_their_path_once_and_are_never_copied(store, proxy):
    async with store.stage("large", size=len(BODY), in_place=True) as staged:
        assert await under_way(store) == ["large"]
        await write(staged)
        assert await paths(store) == []
        await commit(staged, if_absent=True)
    assert await read(store, "large") == BODY
    assert [target for method, target in proxy.seen if method == "PUT" and target.endswith("/large")] == []
    assert await paths(store) == ["large"]
    assert await under_way(store) == []


async def test_parts_are_verified_by_their_sha256_and_no_md5_is_sent(store, proxy):
    await store.verifies()
    heads = []
    proxy.fail(is_part, times=9, rewrite=lambda head: heads.append(head.lower()) or head)
    proxy.fail(lambda method, target: target.endswith("/s"), rewrite=lambda head: heads.append(head.lower()) or head)
    await upload(store, "large", BODY)
    await store.put("s", b"small")
    assert len(heads) == 3
    assert all(b"content-md5" not in head for head in heads)
    assert f"x-amz-content-sha256: {sha256(b'small')}".encode() in heads[-1]
    assert sum(f"x-amz-content-sha256: {sha256(BODY[PART:])}".encode() in head for head in heads) == 1


@pytest.mark.promise("P3")
@pytest.mark.fault(45)
@pytest.mark.parametrize("reply", [None, error(500, "InternalError")])
async def test_a_join_whose_answer_was_lost_is_done(store, proxy, reply):
    await store.put("large", b"an older object")
    async with store.stage("large", size=len(BODY), in_place=True) as staged:
        await write(staged)
        proxy.fail(is_complete, reply, after=True)
        await commit(staged)
    proxy.assert_spent()
    assert await read(store, "large") == BODY


@pytest.mark.promise("P2")
@pytest.mark.fault(45)
async def test_a_join_that_failed_leaves_the_older_object_and_is_made_again(store, proxy):
    old = random.Random(2).randbytes(len(BODY))
    await upload(store, "large", old)
    async with store.stage("large", size=len(BODY), in_place=True) as staged:
        await write(staged)
        proxy.fail(is_complete, error(500, "InternalError"))
        with pytest.raises(Interrupted):
            await commit(staged)
        assert await read(store, "large") == old
        await again(lambda: commit(staged))
    assert await read(store, "large") == BODY


async def test_a_create_only_join_leaves_what_is_there(store):
    await store.put("large", b"unknown")
    async with store.stage("large", size=len(BODY), in_place=True) as staged:
        await write(staged)
        with pytest.raises(Exists, match=r"^large: "):
            await commit(staged, if_absent=True)
        assert await read(store, "large") == b"unknown"
        await staged.discard()
    assert await read(store, "large") == b"unknown"
    assert await under_way(store) == []


@pytest.mark.promise("P3")
async def test_a_process_whose_lease_has_lapsed_joins_nothing_although_it_sent_parts(store):
    async with store.stage("large", size=len(BODY), in_place=True) as staged:

        def guard(path):
            raise LeaseLapsed(f"{path}: the lease has expired")

        store.use_guard(guard)
        await write(staged)
        with pytest.raises(LeaseLapsed, match=r"^large: "):
            await commit(staged)
        assert await paths(store) == []
        store.use_guard(lambda _: None)
        await commit(staged)
    assert await paths(store) == ["large"]


@pytest.mark.promise("P4")
@pytest.mark.fault(47)
async def test_an_upload_that_a_dead_process_left_is_swept_and_one_in_use_is_not(swift, store):
    other = swift.store(store.url)
    async with store.stage("large", size=len(BODY), in_place=True) as staged:
        await write(staged)
        assert await store.sweep(-5.0) == 0
        assert await other.sweep(3600.0) == 0
        await commit(staged)
    async with store.stage("dead", size=len(BODY), in_place=True) as staged:
        await staged.write(0, BODY[:PART])
        staged.drop_unnamed = staged.stop  # as after a kill
    assert await under_way(store) == ["dead"]
    assert await other.sweep(-5.0) == 1
    assert await paths(other) == ["large"]
    await other.aclose()


@pytest.mark.promise("P1")
async def test_a_server_that_verifies_nothing_gets_no_bytes_at_their_path_before_they_were_read_back(swift, proxy):
    store = swift.at(proxy.url).store(swift.url(), verifies=BLIND)
    async with store.stage("large", size=len(BODY), in_place=True) as staged:
        assert all(path.startswith(".syncd/uploads/") for path in await under_way(store))
        await write(staged)
        await commit(staged)
    assert proxy.count("GET", ".syncd/uploads/") == 1
    assert await read(store, "large") == BODY
    await store.aclose()


@pytest.mark.promise("P1")
async def test_bytes_that_are_joined_wrongly_do_not_stay(swift, monkeypatch):
    async with DialectProxy(swift.endpoint, swift.access_key, swift.secret_key, BUCKET, Dialect()) as proxy:
        store = swift.at(proxy.url).store(swift.url())
        async with store.stage("large", size=len(BODY), in_place=True) as staged:
            garble_first_part(monkeypatch, proxy)
            await write(staged)
            with pytest.raises(Damaged, match=r"^large: stored as"):
                await commit(staged)
            await staged.discard()
        assert await paths(store) == []
        monkeypatch.undo()
        async with store.stage("large", size=len(BODY), in_place=True) as staged:
            assert staged.token, "from now on, what is joined is looked at before it is visible"
            await write(staged)
            await commit(staged)
        assert await read(store, "large") == BODY
        await store.aclose()
