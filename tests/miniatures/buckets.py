"""An S3 server of a few buckets: listings in short pages, bodies, and who is let in: nobody who signs, or only who pays."""

import hashlib
from urllib.parse import quote
from xml.sax.saxutils import escape

from aiohttp import web

PAGE = 2  # keys: so that every listing of more goes on


class Buckets:
    """`buckets` maps a name to its objects by key; of those in `paid`, whoever reads pays."""

    def __init__(self, paid=()):
        self.buckets = {}
        self.paid = frozenset(paid)
        self.asked = []

    def put(self, bucket, key, content):
        self.buckets.setdefault(bucket, {})[key] = content

    def app(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _serve(self, request):
        bucket, _, key = request.path.removeprefix("/").partition("/")
        self.asked.append((request.method, bucket, key, dict(request.headers), dict(request.query)))
        objects = self.buckets.get(bucket)
        if objects is None:
            return failed(404, "NoSuchBucket")
        if not self._lets_in(bucket, request.headers):
            return failed(403, "AccessDenied")
        if not key:
            return self._listed(objects, request.query)
        if key not in objects:
            return failed(404, "NoSuchKey")
        etag = f'"{hashlib.md5(objects[key]).hexdigest()}-2"'  # of an upload in parts: no digest of anything
        return web.Response(body=objects[key], headers={"ETag": etag}, content_type="binary/octet-stream")

    def _lets_in(self, bucket, headers):
        signed = headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 Credential=AKIAREADER/")
        if bucket in self.paid:
            return signed and headers.get("x-amz-request-payer") == "requester"
        return "Authorization" not in headers

    def _listed(self, objects, query):
        if query.get("list-type") != "2":
            return failed(400, "InvalidArgument")
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = max(query.get("start-after", ""), query.get("continuation-token", ""))
        keys, folders = [], []
        for key in sorted(objects):
            if key.startswith(prefix) and key > after and not (folders and key.startswith(folders[-1])):
                rest = key.removeprefix(prefix)
                if delimiter and delimiter in rest:
                    folders.append(prefix + rest[: rest.index(delimiter) + 1])
                else:
                    keys.append(key)
        found = sorted([*keys, *folders])
        page = found[:PAGE]
        more = len(found) > PAGE
        text = quote if query.get("encoding-type") == "url" else escape
        rows = "".join(
            f"<CommonPrefixes><Prefix>{text(one)}</Prefix></CommonPrefixes>"
            if one in folders
            else f"<Contents><Key>{text(one)}</Key><LastModified>2026-11-02T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{hashlib.md5(objects[one]).hexdigest()}-2&quot;</ETag><Size>{len(objects[one])}</Size></Contents>"
            for one in page
        )
        last = page[-1] + ("\U0010ffff" if page and page[-1] in folders else "") if page else ""
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        return xml(
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><KeyCount>{len(page)}</KeyCount>'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        )


def failed(status, code):
    return xml(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>", status)


def xml(text, status=200):
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return web.Response(body=body, status=status, content_type="application/xml")
