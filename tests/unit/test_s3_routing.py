"""A source on the web whose files lie in buckets, and what a stranger's page cannot make us read."""

from typing import Any

import pytest

from syncd.core.errors import ConfigError, Unsupported
from syncd.sources.s3_routing import S3RoutedTransport
from syncd.streams.documents import open_request
from syncd.wrappers.fair_transport import FairTransport
from tests.fakes import Archive


class Web(Archive):
    def ask(self, method, url, headers=None, body=b""):
        self.asked.append((method, url, body))
        return self.open("page")


def routed(buckets=None):
    opened = []

    def bucket(url):
        opened.append(url)
        if buckets is None:
            raise ConfigError("no bucket here")
        return buckets

    web = Web({"page": b"{}", "https://h/x": b"web"})
    return S3RoutedTransport(web, bucket), web, opened


async def content(transport, path):
    async with transport.open(path) as body:
        return b"".join([chunk async for chunk in body])


async def test_files_in_buckets_are_read_there_and_a_bucket_is_opened_once():
    transport, _, opened = routed(Archive({"s3://b/k": b"bucket", "s3://b/l": b""}))
    assert opened == []
    assert await content(transport, "page") == b"{}"
    assert await content(transport, "https://h/x") == b"web"
    assert await content(transport, "s3://b/k") == b"bucket"
    assert (await transport.stat("s3://b/l")).size == 0
    assert opened == ["s3://b/"]
    await transport.aclose()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/x", "gs://b/k", "FILE:///etc/passwd", "S3://b/k"])
async def test_nothing_else_is_read_whatever_a_page_names(url):
    transport, web, opened = routed(Archive({url: b"secret"}))
    with pytest.raises(Unsupported, match="urls are refused in documents"):
        transport.open(url)
    with pytest.raises(Unsupported):
        await transport.stat(url)
    assert (web.asked, opened) == ([], [])


async def test_a_bucket_that_cannot_be_opened_fails_its_file_and_no_more():
    transport, _, _ = routed()
    with pytest.raises(Unsupported, match="s3://b/k: no bucket here"):
        transport.open("s3://b/k")
    assert await content(transport, "page") == b"{}"


class Share:
    def __init__(self):
        self.taken = self.given = 0

    async def acquire(self, count):
        self.taken += 1

    def release(self, count):
        self.given += 1


async def test_questions_pass_through_every_decorator_and_count_as_connections():
    transport, web, _ = routed()
    share: Any = Share()
    async with open_request(
        FairTransport(transport, share), "POST", "https://h/search", {"Accept": "a/b"}, b"{}"
    ) as body:
        assert share.taken == 1
        assert [chunk async for chunk in body] == [b"{}"]
    assert share.given == 1
    assert web.asked[0] == ("POST", "https://h/search", b"{}")
