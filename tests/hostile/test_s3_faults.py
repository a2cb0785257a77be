"""An S3 server that is busy, lies with status 200, loses its answers or verifies nothing, between us and a real one."""

import asyncio
import random
from typing import Any

import pytest

from syncd.core.errors import Damaged, Denied, Exists, Interrupted, NoSpace, NotFound, RangeRefused, Refused, Unsafe
from syncd.core.ports import Credential
from syncd.stores.s3.traits import ServerChecks
from syncd.stores.s3.uploads import elements
from tests.contracts.store_contract import paths, read, upload
from tests.servers.fixtures import BUCKET, PART, sha256
from tests.servers.s3_proxy import SLOW_DOWN, answer, error
from transports.s3.transport import open_transport

pytestmark = pytest.mark.swift
GOOD = ServerChecks(md5=True, sha256=True, if_none_match=True, payload=True)
OLD = ServerChecks(md5=True, sha256=False, if_none_match=True)
BLIND = ServerChecks(md5=False, sha256=False, if_none_match=False)


@pytest.fixture
async def store(swift, proxy):
    """A store behind the proxy."""
    opened = swift.at(proxy.url).store(swift.url(), verifies=GOOD, copy_limit=1 << 30)
    yield opened
    await opened.aclose()


def large():
    return random.Random(1).randbytes(2 * PART + 99)


def is_complete(method, target):
    return method == "POST" and "uploadId=" in target


def is_copy(path):
    return lambda method, target: method == "PUT" and target.endswith(path)


def is_part(method, target):
    return method == "PUT" and "partNumber=" in target


async def under_way(store):
    """Name the objects that multipart uploads are on their way to, below the store's root."""
    _, document = await store._bucket.read("GET", "", "", query={"uploads": "", "prefix": store._reading.root})
    _, uploads = elements(document, "Upload", "")
    return [upload["Key"].removeprefix(store._reading.root) for upload in uploads]


async def again(act, times=5):
    """Do as a caller that retries."""
    for _ in range(times):
        try:
            return await act()
        except (Interrupted, Refused):
            continue
    return await act()


@pytest.mark.fault(45)
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (SLOW_DOWN, Refused),
        (error(500, "InternalError"), Interrupted),
        (error(409, "OperationAborted"), Refused),
        (error(403, "RequestTimeTooSkewed"), Denied),
        (error(403, "AccessDenied"), Denied),
        (error(403, "QuotaExceeded"), NoSpace),
        (error(400, "RequestTimeout"), Interrupted),
        (error(400, "BadDigest"), Interrupted),
        (answer(200, b"<Error><Code>SlowDown</Code></Error>"), Refused),
        (None, Refused),
    ],
)
async def test_each_failure_has_its_word_and_names_the_file(store, proxy, reply, kind):
    proxy.fail(lambda method, target: method == "PUT", reply)
    with pytest.raises(kind, match=r"^a/b: "):
        await store.put("a/b", b"x")
    proxy.assert_spent()


async def test_a_busy_server_says_how_long_to_wait(store, proxy):
    proxy.fail(lambda method, target: method == "PUT", SLOW_DOWN)
    with pytest.raises(Refused) as caught:
        await store.put("a", b"x")
    assert caught.value.retry_after == 7.0


@pytest.mark.promise("P3")
@pytest.mark.fault(45)
async def test_a_put_whose_answer_was_lost_is_found_to_have_arrived(store, proxy):
    for reply in (None, error(500, "InternalError")):
        proxy.fail(is_copy("/a"), reply, after=True)
        stat = await store.put("a", b"new bytes")
        assert stat.version == (await store.stat("a")).version
        proxy.assert_spent()


@pytest.mark.promise("P2")
@pytest.mark.fault(45)
async def test_a_put_whose_answer_was_lost_is_not_taken_for_the_older_object(store, proxy):
    await store.put("a", b"old bytes")
    proxy.fail(is_copy("/a"), error(500, "InternalError"))
    with pytest.raises(Interrupted):
        await store.put("a", b"new bytes")
    assert await read(store, "a") == b"old bytes"


async def test_a_create_only_put_that_was_lost_knows_its_own_bytes(store, proxy):
    proxy.fail(is_copy("/a"), None, after=True)
    await store.put("a", b"mine", if_absent=True)
    assert await store.put("a", b"mine", if_absent=True)
    with pytest.raises(Exists):
        await store.put("a", b"other", if_absent=True)


@pytest.mark.fault(45)
@pytest.mark.parametrize("reply", [None, error(500, "InternalError"), error(200, "InternalError")])
async def test_a_join_whose_answer_was_lost_is_found_to_be_done(store, proxy, reply):
    body = large()
    proxy.fail(is_complete, reply, after=True)
    await upload(store, "f", body)
    proxy.assert_spent()
    assert await read(store, "f") == body


@pytest.mark.promise("P1")
@pytest.mark.fault(45)
@pytest.mark.parametrize("reply", [SLOW_DOWN, error(200, "InternalError"), error(500, "InternalError"), None])
async def test_a_join_that_failed_is_tried_again_and_nothing_was_visible(store, proxy, reply):
    body = large()
    proxy.fail(is_complete, reply)
    async with store.stage("f", size=len(body)) as staged:
        await staged.write(0, body)
        with pytest.raises((Refused, Interrupted)):
            await staged.commit(size=len(body), sha256=sha256(body))
        assert await paths(store) == []
        await again(lambda: staged.commit(size=len(body), sha256=sha256(body)))
    proxy.assert_spent()
    assert await read(store, "f") == body


@pytest.mark.fault(45)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("reply", [None, error(200, "InternalError"), error(500, "InternalError"), SLOW_DOWN])
async def test_a_copy_that_failed_or_was_lost_ends_whole(store, proxy, reply, after):
    body = large()
    proxy.fail(is_copy("/f"), reply, after=after)
    async with store.stage("f", size=len(body)) as staged:
        await staged.write(0, body)
        await again(lambda: staged.commit(size=len(body), sha256=sha256(body)))
    proxy.assert_spent()
    assert await read(store, "f") == body
    assert await paths(store) == ["f"]
    assert await store.sweep(-5.0) == 0  # nothing was left behind


async def test_a_copy_by_parts_that_failed_leaves_nothing_and_ends_whole(swift, proxy):
    store = swift.at(proxy.url).store(swift.url(), verifies=GOOD, copy_limit=PART)
    body = large()
    await upload(store, "from", body)
    for meant, reply, after in (
        (lambda method, target: is_part(method, target) and "/to?" in target, error(200, "InternalError"), False),
        (lambda method, target: is_part(method, target) and "/to?" in target, SLOW_DOWN, False),
        (lambda method, target: is_complete(method, target) and "/to?" in target, None, True),
        (lambda method, target: is_complete(method, target) and "/to?" in target, error(200, "InternalError"), False),
    ):
        proxy.fail(meant, reply, after=after)
        await again(lambda: store.copy("from", "to"))
        proxy.assert_spent()
        assert sha256(await read(store, "to")) == sha256(body)
        await store.delete("to")
    await store.aclose()


@pytest.mark.parametrize("reply", [SLOW_DOWN, error(500, "InternalError"), error(404, "NoSuchUpload"), None])
async def test_a_copy_by_parts_that_was_not_joined_is_not_taken_for_the_older_file_of_its_size(swift, proxy, reply):
    store = swift.at(proxy.url).store(swift.url(), verifies=GOOD, copy_limit=PART)
    new, old = large(), large()[::-1]
    await upload(store, "to", old)
    await upload(store, "from", new)
    proxy.fail(lambda method, target: is_complete(method, target) and "/to?" in target, reply)
    with pytest.raises((Refused, Interrupted)):
        await store.move("from", "to")
    proxy.assert_spent()
    assert await read(store, "to") == old
    assert await read(store, "from") == new
    assert await under_way(store) == []
    await again(lambda: store.move("from", "to"))
    assert await read(store, "to") == new
    await store.aclose()


async def test_a_repair_by_parts_that_was_not_joined_is_not_taken_for_the_rotten_file_it_replaces(swift, proxy):
    store = swift.at(proxy.url).store(swift.url(), verifies=GOOD, copy_limit=PART)
    await upload(store, "from", large())
    await store.copy("from", "to")  # names the same size, ETag and sha256, as a file does that rotted on its disk
    proxy.fail(lambda method, target: is_complete(method, target) and "/to?" in target, error(500, "InternalError"))
    with pytest.raises(Interrupted):
        await store.move("from", "to")
    proxy.assert_spent()
    assert await paths(store) == ["from", "to"]
    await store.aclose()


async def test_a_copy_by_parts_that_is_cancelled_or_refused_leaves_no_parts_to_pay_for(swift, proxy):
    store = swift.at(proxy.url).store(swift.url(), verifies=GOOD, copy_limit=PART)
    await upload(store, "from", large())
    proxy.fail(lambda method, target: is_complete(method, target) and "/to?" in target, error(403, "AccessDenied"))
    with pytest.raises(Denied):
        await store.copy("from", "to")
    copying = asyncio.create_task(store.copy("from", "to"))
    while not any(is_part(method, target) and "/to?" in target for method, target in proxy.seen[-3:]):
        await asyncio.sleep(0.002)
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert await under_way(store) == []
    await store.aclose()


@pytest.mark.promise("P4")
@pytest.mark.fault(47)
async def test_a_sweep_finds_the_parts_of_a_copy_that_was_killed(swift, proxy):
    store = swift.at(proxy.url).store(swift.url(), verifies=GOOD, copy_limit=PART)
    await upload(store, "from", large())
    proxy.fail(lambda method, target: is_complete(method, target) and "/to?" in target, error(403, "AccessDenied"))
    proxy.fail(lambda method, target: method == "DELETE" and "uploadId=" in target, SLOW_DOWN)
    with pytest.raises(Denied):
        await store.copy("from", "to")
    proxy.assert_spent()
    assert await under_way(store) == ["to"]
    assert await store.sweep(3600.0) == 0
    assert await under_way(store) == ["to"]
    assert await store.sweep(-5.0) == 1
    assert await under_way(store) == []
    await store.aclose()


async def test_an_etag_that_is_no_md5_does_not_make_an_older_object_ours(store, proxy):
    await store.put("pointer", b"old bytes")

    def as_encrypted(named):
        more = [f"x-amz-meta-sha256: {named}"] if named else []
        lines = ["HTTP/1.1 200 X", 'ETag: "of-no-kind"', "Content-Length: 9", *more, "", ""]
        return "\r\n".join(lines).encode()

    for named, is_ours in (("", False), (sha256(b"old bytes"), False), (sha256(b"new bytes"), True)):
        proxy.fail(is_copy("/pointer"), error(500, "InternalError"))
        proxy.fail(lambda method, target: method == "HEAD", as_encrypted(named))
        if is_ours:
            assert (await store.put("pointer", b"new bytes")).version == '"of-no-kind"'
        else:
            with pytest.raises(Interrupted):
                await store.put("pointer", b"new bytes")
        proxy.assert_spent()


async def test_a_commit_whose_last_step_was_lost_can_be_repeated_even_if_it_creates_only(store, proxy):
    body = large()
    proxy.fail(lambda method, target: method == "DELETE", None, after=True)
    async with store.stage("f", size=len(body)) as staged:
        await staged.write(0, body)
        await again(lambda: staged.commit(size=len(body), sha256=sha256(body), if_absent=True))
    proxy.assert_spent()
    assert await read(store, "f") == body


async def test_a_part_that_failed_is_told_once_and_goes_up_again(store, proxy):
    body = large()
    proxy.fail(is_part, SLOW_DOWN, times=2)
    async with store.stage("f", size=len(body)) as staged:
        for start in range(0, len(body), PART):
            await again(lambda start=start: staged.write(start, body[start : start + PART]))
        await again(lambda: staged.commit(size=len(body), sha256=sha256(body)))
    proxy.assert_spent()
    assert await read(store, "f") == body


async def test_a_move_that_lost_its_answer_is_done(store, proxy):
    await store.put("a", b"bytes")
    proxy.fail(is_copy("/b"), None, after=True)
    await store.move("a", "b")
    proxy.assert_spent()
    assert await paths(store) == ["b"]


@pytest.mark.promise("P1")
@pytest.mark.parametrize("checks", [GOOD, OLD, None])
async def test_bytes_that_were_garbled_on_the_way_are_refused_by_the_server(swift, proxy, checks):
    store = swift.at(proxy.url).store(swift.url(), verifies=checks)
    await store.verifies()
    proxy.fail(lambda method, target: method == "PUT", garbled=lambda body: b"y" + body[1:])
    with pytest.raises(Interrupted, match=r"^a: "):
        await store.put("a", b"x")
    proxy.assert_spent()
    assert await paths(store) == []
    await store.aclose()


@pytest.mark.promise("P1", "P2")
@pytest.mark.fault(46)
async def test_a_server_that_verifies_nothing_is_read_back_before_anything_is_visible(swift, proxy):
    store = swift.at(proxy.url).store(swift.url(), verifies=BLIND)
    await store.put("small", b"bytes")
    assert proxy.count("GET", ".syncd/uploads/") == 1
    body = large()
    await upload(store, "large", body)
    assert proxy.count("GET", ".syncd/uploads/") == 2
    proxy.fail(
        lambda method, target: method == "GET" and ".syncd/uploads/" in target,
        answer(200, b"other", 'ETag: "x"'),
    )
    with pytest.raises(Damaged, match=r"other|stored as"):
        await store.put("bad", b"bytes")
    proxy.assert_spent()
    assert await paths(store) == ["large", "small"]
    assert await store.sweep(-5.0) == 0
    await store.aclose()


@pytest.mark.promise("P3")
@pytest.mark.fault(46)
async def test_a_server_that_ignores_conditions_is_asked_first(swift, proxy):
    store = swift.at(proxy.url).store(swift.url(), verifies=BLIND)
    await store.put("a", b"one")
    with pytest.raises(Exists, match=r"^a: "):
        await store.put("a", b"two", if_absent=True)
    assert await read(store, "a") == b"one"
    await store.aclose()


@pytest.mark.fault(46)
async def test_what_a_server_verifies_is_tried_and_not_believed(swift, proxy):
    def ignorant(head):
        lines = [
            line for line in head.split(b"\r\n") if not line.lower().startswith((b"content-md5", b"if-none-match"))
        ]
        return b"\r\n".join(lines)

    straight = swift.store(swift.url())
    assert await straight.verifies() == GOOD
    assert await paths(straight) == []
    await straight.aclose()
    through = swift.at(proxy.url).store(swift.url())
    proxy.fail(lambda method, target: method == "PUT", rewrite=ignorant, times=100)
    found = await through.verifies()
    assert (found.md5, found.if_none_match) == (False, False)
    await through.aclose()


async def test_a_listing_that_breaks_off_raises_and_ends_nothing_early(store, proxy):
    async with asyncio.TaskGroup() as group:
        for number in range(25):
            group.create_task(store.put(f"{number:02d}", b"x"))
    proxy.fail(lambda method, target: "continuation-token" in target, SLOW_DOWN)
    seen = []
    pages = store.list_pages()
    seen += [stat.path for stat in await anext(pages)]
    with pytest.raises(Refused):
        await anext(pages)
    assert seen == [f"{number:02d}" for number in range(10)]
    seen += [stat.path async for stat in store.list() if stat.path > seen[-1]]
    assert seen == [f"{number:02d}" for number in range(25)]


async def test_a_listing_that_is_left_early_leaves_nothing_behind(store):
    async with asyncio.TaskGroup() as group:
        for number in range(25):
            group.create_task(store.put(f"{number:02d}", b"x"))
    pages = store.list_pages()
    assert len(await anext(pages)) == 10
    await pages.aclose()
    assert {task for task in asyncio.all_tasks() if "_Fetch" in repr(task)} == set()


async def test_a_range_that_the_server_ignores_or_mistakes_is_never_accepted(store, proxy):
    await store.put("r", b"0123456789")
    for reply in (
        answer(200, b"0123456789", 'ETag: "x"'),
        answer(206, b"012", 'ETag: "x"', "Content-Range: bytes 0-2/10"),
        answer(206, b"345", 'ETag: "x"'),
    ):
        proxy.fail(lambda method, target: method == "GET", reply)
        with pytest.raises(Exception, match=r"^r: "):
            await read(store, "r", start=3, stop=6)
        proxy.assert_spent()


@pytest.mark.parametrize(
    "reply",
    [
        error(400, "InvalidArgument"),
        error(403, "AccessDenied"),
        error(416, "InvalidRange"),
        error(501, "NotImplemented"),
        answer(206, b"0123456789", 'ETag: "x"'),
        answer(206, b"0123", 'ETag: "x"', "Content-Range: bytes 0-3/10"),
        answer(206, b"0123456789", 'ETag: "x"', "Content-Range: bytes 0-9/*"),
    ],
)
async def test_a_range_from_the_beginning_that_is_refused_is_asked_for_as_the_whole_object(store, proxy, reply):
    await store.put("r", b"0123456789")
    proxy.fail(lambda method, target: method == "GET", reply)
    for requests in (2, 3):
        async with store.open("r", stop=8) as body:
            assert (body.start, body.stop, body.stat.size) == (0, 10, 10)
            assert b"".join([chunk async for chunk in body]) == b"0123456789"
        assert proxy.count("GET", "/r") == requests, "the second time, it is asked so at once"
    proxy.assert_spent()


@pytest.mark.parametrize("code", [400, 416, 501])
async def test_a_later_range_that_is_refused_is_told_apart(store, proxy, code):
    await store.put("r", b"0123456789")
    proxy.fail(lambda method, target: method == "GET", error(code, "Whatever"))
    with pytest.raises(RangeRefused, match=r"^r: "):
        await read(store, "r", start=3, stop=6)


async def test_an_object_is_taken_as_it_is_stored_whatever_its_content_encoding(store, proxy):
    await store.put("r", b"0123456789")
    proxy.fail(lambda method, target: method == "GET", answer(200, b"packed", 'ETag: "x"', "Content-Encoding: gzip"))
    async with store.open("r") as body:
        assert "content-encoding" not in body.headers
        assert b"".join([chunk async for chunk in body]) == b"packed"


async def test_a_body_that_ends_early_is_interrupted(store, proxy):
    await store.put("r", b"0123456789")
    proxy.fail(
        lambda method, target: method == "GET",
        b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123',
    )
    with pytest.raises(Interrupted, match=r"^r: "):
        await read(store, "r")


async def test_a_private_endpoint_of_a_source_is_refused_unless_allowed(swift):
    straight = swift.store(url := swift.url())
    await straight.put("a", b"x")
    await straight.aclose()
    for allowed in (frozenset(), frozenset({swift.endpoint})):
        source = open_transport(
            url,
            options={"endpoint": swift.endpoint, "region": "us-east-1"},
            credential=swift.credential,
            allow_private=allowed,
            user_agent="tests",
        )
        if allowed:
            assert [stat.path async for stat in source.list()] == ["a"]
        else:
            with pytest.raises(Unsafe, match="allow_private"):
                await source.stat("a")
        await source.aclose()


async def test_a_credential_for_another_place_is_not_sent(swift, proxy):
    source = open_transport(
        f"s3://{BUCKET}/",
        options={"endpoint": proxy.url, "region": "us-east-1"},
        credential=Credential("other", "https://elsewhere.example", "s3", "secret", username="key"),
        allow_private=frozenset({proxy.url}),
        user_agent="tests",
    )
    with pytest.raises(Denied, match=r"is for https://elsewhere\.example"):
        await source.stat("a")
    assert proxy.seen == []
    await source.aclose()


async def test_a_wrong_key_is_denied_and_a_missing_bucket_not_found(swift):
    options = {"endpoint": swift.endpoint, "region": "us-east-1"}
    more: dict[str, Any] = {"allow_private": frozenset({swift.endpoint}), "user_agent": "tests"}
    bad = Credential("bad", f"s3://{BUCKET}", "s3", "wrong", username=swift.access_key)
    source = open_transport(f"s3://{BUCKET}/", options=options, credential=bad, **more)
    with pytest.raises(Denied, match=r"^a: "):
        await source.stat("a")
    await source.aclose()
    good = Credential("good", "s3://no-such-bucket", "s3", swift.secret_key, username=swift.access_key)
    source = open_transport("s3://no-such-bucket/", options=options, credential=good, **more)
    with pytest.raises(NotFound, match="no such bucket"):
        _ = [stat async for stat in source.list()]
    await source.aclose()


async def test_a_bucket_in_another_region_is_followed_there_and_back(swift, proxy):
    store = swift.at(proxy.url).store(swift.url(), verifies=GOOD)
    await store.put("a", b"bytes")
    moved = error(400, "AuthorizationHeaderMalformed", "x-amz-bucket-region: eu-north-1")
    proxy.fail(lambda method, target: method == "GET", moved)
    assert await read(store, "a") == b"bytes"  # Swift is in us-east-1, tells the signatures apart, and says so
    assert proxy.count("GET") == 3
    await store.aclose()


async def test_a_server_that_refers_on_and_on_is_not_followed_for_ever(swift, proxy):
    store = swift.at(proxy.url).store(swift.url(), verifies=GOOD)
    for number in range(4):
        moved = error(400, "AuthorizationHeaderMalformed", f"x-amz-bucket-region: region-{number}")
        proxy.fail(lambda method, target: method == "GET", moved)
    with pytest.raises(Denied, match=r"^a: "):
        await read(store, "a")
    proxy.assert_spent()
    assert proxy.count("GET") == 4
    await store.aclose()
