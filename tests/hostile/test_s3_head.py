"""Buckets whose answer to HEAD is refused or wrong: a GET of one byte decides, and that is remembered."""

import hashlib

import pytest
from aiohttp import web

from syncd.core import CredentialRefused, Denied, NotFound
from tests.miniatures.miniature import served
from transports.s3.transport import open_transport

BODY = b"bytes" * 100
ETAG = f'"{hashlib.md5(BODY).hexdigest()}"'


class Bucket:
    """A bucket whose HEAD does as a test says; `asked` are the methods of the requests."""

    def __init__(self, head, gets=lambda _: None):
        self.head, self.gets = head, gets
        self.asked = []

    def app(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app

    async def answer(self, request):
        self.asked.append(request.method)
        if request.method == "HEAD":
            return self.head(request)
        if (refusal := self.gets(request)) is not None:
            return refusal
        headers = {"ETag": ETAG, "Content-Range": f"bytes 0-0/{len(BODY)}"}
        return web.Response(status=206, body=BODY[:1], headers=headers)


def status(code, **headers):
    return lambda _: web.Response(status=code, headers=headers)


def refusal(code):
    said = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    return lambda _: web.Response(status=403, text=said, content_type="application/xml")


async def described(bucket, times=1):
    with served(bucket.app()) as origin:
        transport = open_transport(
            "s3://b/",
            options={"endpoint": origin, "region": "us-east-1", "anonymous": True},
            credential=None,
            allow_private=frozenset({origin}),
            user_agent="tests",
        )
        try:
            return [await transport.stat(f"a{n}") for n in range(times)]
        finally:
            await transport.aclose()


@pytest.mark.parametrize(
    "head",
    [
        status(404), status(403), status(405), status(400), status(501),
        lambda _: web.Response(headers={"ETag": ETAG}),  # says that the object is empty
        lambda _: web.Response(body=b"x" * len(BODY), headers={"ETag": '"other"'}),
    ],
    ids=["404", "403", "405", "400", "501", "empty", "other ETag"],
)  # fmt: skip
async def test_a_get_of_one_byte_decides_where_head_is_refused_or_wrong_and_that_is_remembered(head):
    bucket = Bucket(head)
    found = await described(bucket, times=3)
    assert {(one.size, one.version) for one in found} == {(len(BODY), ETAG)}
    assert bucket.asked[-1] == "GET"


async def test_head_that_get_confirms_twice_is_trusted():
    bucket = Bucket(lambda _: web.Response(body=BODY, headers={"ETag": ETAG}))
    await described(bucket, times=4)
    assert bucket.asked == ["HEAD", "GET"] * 2 + ["HEAD"] * 2


@pytest.mark.parametrize(("code", "error"), [(404, NotFound), (403, Denied)])
async def test_an_object_is_missing_or_denied_if_get_says_so_too(code, error):
    bucket = Bucket(status(code), status(code))
    with pytest.raises(error):
        await described(bucket)
    assert (bucket.asked[0], set(bucket.asked[1:])) == ("HEAD", {"GET"})


async def test_an_archived_object_is_described_by_head_alone():
    bucket = Bucket(lambda _: web.Response(body=BODY, headers={"ETag": ETAG}), refusal("InvalidObjectState"))
    (found,) = await described(bucket)
    assert (found.size, found.version) == (len(BODY), ETAG)


async def test_rejected_keys_are_no_answer_of_one_object():
    bucket = Bucket(status(403), refusal("InvalidAccessKeyId"))
    with pytest.raises(CredentialRefused):
        await described(bucket)
