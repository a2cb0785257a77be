"""A read-only S3 front: each mirror is a bucket, whose keys are the paths of its current snapshot.

It answers what `aws s3 sync`, rclone, s5cmd, boto3, s3fs and GDAL ask: ListObjectsV2 and V1, HEAD and GET with ranges,
`?location`. Requests may be signed: a signature proves nothing here, and is not needed where everybody may read.
"""

import base64
import binascii
import html
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec
from aiohttp import web

from manifests.snapshot import Snapshot
from syncd.face.answers import EVERY, Reject
from syncd.face.asked import Asked
from syncd.face.context import FaceContext
from syncd.face.file_routes import send_file
from syncd.face.public_mirrors import PublicMirror

MOST_KEYS = 1_000
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_CODES = {
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NoSuchKey",
    410: "NoSuchKey",
    405: "MethodNotAllowed",
    412: "PreconditionFailed",
    416: "InvalidRange",
    503: "ServiceUnavailable",
}


class S3Key(msgspec.Struct, frozen=True):
    """One key of a listing, or a common prefix if it has no checksum."""

    key: str
    size: int = 0
    sha256: str = ""
    modified: float = 0.0


async def s3_answer(context: FaceContext, asked: Asked, rest: tuple[str, ...]) -> web.StreamResponse:
    """Answer one request below `/s3/`."""
    asked.door = "s3"
    if not rest or rest == ("",):
        return _xml(f'<ListAllMyBucketsResult xmlns="{NAMESPACE}"><Buckets/></ListAllMyBucketsResult>')
    bucket, key = rest[0], "/".join(rest[1:])
    try:
        mirror = context.mirror(asked, bucket, "bytes" if key else "listing")
    except Reject as error:
        raise Reject(error.status, "NoSuchBucket" if error.status in {404, 410} else "") from error
    snapshot = context.mirrors.snapshot(mirror, mirror.row.snapshot)
    if snapshot is None:
        raise Reject(503)
    if key:
        headers = {"Cache-Control": "no-cache"}
        return await send_file(context, asked, mirror, snapshot, key, headers=headers, is_folder=False)
    if "location" in asked.query:
        return _xml(f'<LocationConstraint xmlns="{NAMESPACE}"></LocationConstraint>')
    return await _list(context, asked, mirror, snapshot)


def s3_error(error: Reject) -> web.Response:
    """Return an error as S3 tells it."""
    code = error.reason if error.reason == "NoSuchBucket" else _CODES.get(error.status, "InvalidRequest")
    status = 403 if error.status == 401 else error.status
    made = _xml(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>", status=status)
    made.headers.update(error.headers)
    return made


async def _list(context: FaceContext, asked: Asked, mirror: PublicMirror, snapshot: Snapshot) -> web.Response:
    query = asked.query
    is_second = query.get("list-type") == "2"
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after = _start(query, is_second=is_second)
    most = _most(query.get("max-keys", ""))
    rows = await _keys(context, snapshot, prefix, delimiter, after, most + 1) if most else []
    more, rows = len(rows) > most > 0, rows[:most]
    as_url = query.get("encoding-type") == "url"

    def shown(text: str) -> str:
        return quote(text, safe="/") if as_url else html.escape(text)

    parts = [f"<Name>{mirror.name}</Name><Prefix>{shown(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"]
    if delimiter:
        parts.append(f"<Delimiter>{shown(delimiter)}</Delimiter>")
    if as_url:
        parts.append("<EncodingType>url</EncodingType>")
    parts.append(f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>")
    if is_second:
        parts.append(f"<KeyCount>{len(rows)}</KeyCount>")
        if more:
            parts.append(f"<NextContinuationToken>{_token(rows[-1].key)}</NextContinuationToken>")
    else:
        parts.append(f"<Marker>{shown(query.get('marker', ''))}</Marker>")
        if more:
            parts.append(f"<NextMarker>{shown(rows[-1].key)}</NextMarker>")
    for row in rows:
        if row.sha256:
            at = datetime.fromtimestamp(int(row.modified), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            parts.append(
                f"<Contents><Key>{shown(row.key)}</Key><LastModified>{at}</LastModified><ETag>&quot;{row.sha256}&quot;"
                f"</ETag><Size>{row.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        else:
            parts.append(f"<CommonPrefixes><Prefix>{shown(row.key)}</Prefix></CommonPrefixes>")
    return _xml(f'<ListBucketResult xmlns="{NAMESPACE}">{"".join(parts)}</ListBucketResult>')


async def _keys(
    context: FaceContext, snapshot: Snapshot, prefix: str, delimiter: str, after: str, limit: int
) -> list[S3Key]:
    """Return at most `limit` keys and common prefixes that sort after `after`."""
    if delimiter not in {"", "/"}:
        raise Reject(400)
    folder = prefix[: prefix.rfind("/") + 1]
    rows: list[S3Key] = []
    if delimiter:
        start = after[len(folder) :] if after.startswith(folder) else ""
        if after and not after.startswith(folder) and after > folder:
            return []
        name, slash, _ = start.partition("/")
        for child in await context.lists.children(snapshot, folder, name + slash, limit, prefix=prefix):
            if child.entry is None:
                rows.append(S3Key(folder + child.name))
            else:
                rows.append(S3Key(folder + child.name, child.entry.size, child.entry.sha256, child.modified))
        return rows
    first = max(prefix, after + "\0") if after else prefix
    async for entry, modified in context.lists.run_from(snapshot, first):
        if not entry.path.startswith(prefix):
            break
        rows.append(S3Key(entry.path, entry.size, entry.sha256, modified))
        if len(rows) == limit:
            break
    return rows


def _start(query: Mapping[str, str], *, is_second: bool) -> str:
    if not is_second:
        return query.get("marker", "")
    token = query.get("continuation-token", "")
    if not token:
        return query.get("start-after", "")
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise Reject(400) from error


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _most(given: str) -> int:
    if not given:
        return MOST_KEYS
    if not given.isascii() or not given.isdecimal() or len(given) > 9:
        raise Reject(400)
    return min(MOST_KEYS, int(given))


def _xml(body: str, *, status: int = 200) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
    headers = {**EVERY, "Content-Type": "application/xml", "Cache-Control": "no-store"}
    return web.Response(body=text.encode(), status=status, headers=headers)
