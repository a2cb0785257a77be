"""Objects that an S3 server sends without a length: the listing has it, and the bytes are compared with that."""

import hashlib
from xml.sax.saxutils import escape

import pytest
from aiohttp import web

from syncd.core import Interrupted, Mismatch
from tests.acceptance.mirroring import Mirroring
from tests.miniatures.miniature import served
from transports.s3.transport import open_transport

FILES = {"small": b"x" * 1000, "empty": b"", "large": bytes(range(256)) * 40_000}


class Unmeasured:
    """A bucket whose objects come chunked, without a length; `cut` of their bytes are missing."""

    def __init__(self, cut=0):
        self.cut = cut

    def app(self):
        app = web.Application()
        app.router.add_get("/{path:.*}", self.answer)
        return app

    async def answer(self, request):
        if "list-type" in request.query:
            rows = "".join(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-02T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;{hashlib.md5(body).hexdigest()}&quot;</ETag><Size>{len(body)}</Size></Contents>"
                for key, body in sorted(FILES.items())
            )
            text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
            return web.Response(text=text, content_type="application/xml")
        body = FILES[request.path.rpartition("/")[2]]
        answer = web.StreamResponse(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(body[: len(body) - self.cut])
        await answer.write_eof()
        return answer


def opened(origin):
    return open_transport(
        "s3://b/",
        options={"endpoint": origin, "region": "us-east-1", "anonymous": True},
        credential=None,
        allow_private=frozenset({origin}),
        user_agent="tests",
    )


async def test_an_object_without_a_length_is_taken_to_its_end_and_compared_with_the_listing(tmp_path):
    with served(Unmeasured().app()) as origin:
        transport = opened(origin)
        try:
            mirroring = Mirroring(tmp_path, transport)
            assert (await mirroring.run()).complete
            assert mirroring.natural() == FILES
        finally:
            await transport.aclose()


@pytest.mark.promise("P1")
async def test_an_object_without_a_length_that_is_shorter_than_listed_is_refused(tmp_path):
    with served(Unmeasured(cut=1).app()) as origin:
        transport = opened(origin)
        try:
            mirroring = Mirroring(tmp_path, transport)
            result = await mirroring.run()
            assert (result.failed, mirroring.natural()) == (2, {"empty": b""})
            async with mirroring.open() as (_, catalogue):
                kinds = {failure.error for failure in catalogue.failures.files(1)}
            assert kinds <= {Mismatch.__name__, Interrupted.__name__}
        finally:
            await transport.aclose()
