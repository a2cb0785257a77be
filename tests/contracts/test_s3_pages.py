"""Pages of listings as real S3 servers write them: what is counted, what goes on, and what of it may be spelled otherwise."""

import re

import pytest

from syncd.core.errors import PermanentError
from syncd.stores.s3.uploads import is_last_page
from transports.s3.listing import read_page

FILES, PAGE = 25, 10


@pytest.fixture(params=["swift", "rgw"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
async def bucket(server):
    store = server.store(server.url())
    for number in range(FILES):
        await store.put(f"sub{number % 3}/f{number:02}", b"%d" % number)
    yield store._bucket, store._reading.root
    await store.aclose()


async def pages(bucket, root, **more):
    """Every page of the listing, as the server writes it."""
    query, found = {"list-type": "2", "max-keys": str(PAGE), "prefix": root, **more}, []
    while True:
        _, body = await bucket.read("GET", "", "listing", query=query, limit=1 << 20)
        found.append(body)
        token = re.search(rb"<NextContinuationToken>([^<]+)<", body)
        if token is None:
            return found
        query["continuation-token"] = token[1].decode()


@pytest.mark.promise("P4")
async def test_the_count_and_the_end_of_each_page_are_read_and_other_spellings_mean_the_same(bucket):
    found = await pages(*bucket)
    assert [len(read_page(body, bucket[1], "b").page) for body in found] == [10, 10, 5]
    assert [read_page(body, bucket[1], "b").is_last for body in found] == [False, False, True]
    for body in found:
        (count,) = re.findall(rb"<KeyCount>(\d+)<", body)
        assert int(count) == body.count(b"<Contents>")
        for said in (b"True", b"TRUE", b" true ", b"1"):
            spelled = re.sub(rb"(<IsTruncated>)true(<)", rb"\g<1>" + said + rb"\g<2>", body)
            assert read_page(spelled, bucket[1], "b").token == read_page(body, bucket[1], "b").token
        for said in (b"False", b"FALSE", b" false\n"):
            spelled = re.sub(rb"(<IsTruncated>)false(<)", rb"\g<1>" + said + rb"\g<2>", body)
            assert read_page(spelled, bucket[1], "b").is_last == read_page(body, bucket[1], "b").is_last


@pytest.mark.promise("P4")
async def test_a_page_that_lost_a_key_is_refused_and_one_without_its_token_is_not_the_last(bucket):
    body = (await pages(*bucket))[0]
    assert len(read_page(re.sub(rb"<KeyCount>\d+</KeyCount>", b"", body), bucket[1], "b").page) == PAGE
    shorter = re.sub(rb"<Contents>.*?</Contents>", b"", body, count=1, flags=re.DOTALL)
    with pytest.raises(PermanentError, match="announces 10 keys and has 9"):
        read_page(shorter, bucket[1], "b")
    tokenless = re.sub(rb"<NextContinuationToken>[^<]*</NextContinuationToken>", b"", body)
    assert not read_page(tokenless, bucket[1], "b").is_last


@pytest.mark.promise("P4")
async def test_folders_of_one_level_are_never_taken_for_all_keys(bucket):
    for body in await pages(*bucket, delimiter="/"):
        assert b"<CommonPrefixes>" in body
        with pytest.raises(PermanentError, match="one level of folders only"):
            read_page(body, bucket[1], "b")


@pytest.mark.parametrize(
    ("said", "is_last"), [("true", False), ("True", False), ("1", False), ("false", True), ("False ", True), ("", True)]
)
def test_lists_of_uploads_and_parts_go_on_unless_they_say_false(said, is_last):
    assert is_last_page({"IsTruncated": said}) == is_last
