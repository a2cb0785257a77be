"""Serves the listing of a bucket of millions of synthetic keys, as S3 writes it, faster than anybody reads it.

Keys are `l2/<year>/<day>/granule-<day's number>-<n>.nc`, a thousand to a folder; bytes of `<Contents>` are of one length,
so that any page is a slice of ready-made folders. ListObjectsV2 and ListObjects, path-style, any signature, with prefix,
delimiter, start-after, max-keys, encoding-type and opaque continuation tokens.

    python -m tests.bench.s3_listing_server --keys 1000000
"""

import argparse
import asyncio
import base64
import hashlib
import json
import socket
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import cast, overload
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

EACH = 1000  # keys in a folder
FIRST_YEAR = 2000
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
BUCKET = "archive"
STAMP = b"@@@@@@@@"  # stands for YYYY/DDD in a piece
MARK = b"########"  # stands for the folder's number in an ETag


class Keys(Sequence[str]):
    """All keys in order, none of them stored."""

    def __init__(self, count: int) -> None:
        self.total = count

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self.total))]
        if not 0 <= index < self.total:
            raise IndexError(index)
        folder, number = divmod(index, EACH)
        return f"l2/{stamp(folder)}/granule-{number:06}-v1.nc"


def stamp(folder: int) -> str:
    """Return the eight characters that set one folder apart."""
    year, day = divmod(folder, 365)
    return f"{FIRST_YEAR + year:04}/{day + 1:03}"


class Pages:
    """Pages of `<Contents>`, put together from ready-made pieces: a folder is a join of 5,000 of them."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        parts = [_contents(number) for number in range(EACH)]
        self.width = len(parts[0])
        assert all(len(part) == self.width for part in parts)
        self._pieces: list[bytes] = []
        for part in parts:
            before, after = part.split(STAMP)
            self._pieces += [before, STAMP, *after.partition(MARK)]

    def contents(self, start: int, stop: int) -> bytes:
        """Return the elements of keys `[start, stop)`; our keys look the same when they are percent-encoded."""
        out = []
        while start < stop:
            folder, number = divmod(start, EACH)
            until = min(EACH, number + stop - start)
            whole = self._folder(folder)
            out.append(whole if until - number == EACH else whole[number * self.width : until * self.width])
            start += until - number
        return b"".join(out)

    def _folder(self, folder: int) -> bytes:
        # The ETag holds the folder's number too, so no two keys share one.
        self._pieces[1::5] = [stamp(folder).encode()] * EACH
        self._pieces[3::5] = [b"%08x" % folder] * EACH
        return b"".join(self._pieces)


def _contents(number: int) -> bytes:
    etag = MARK.decode() + hashlib.md5(str(number).encode()).hexdigest()[8:]
    size = 1_000_000 + int(hashlib.md5(b"s%d" % number).hexdigest()[:8], 16) % 8_999_999
    moment = f"2024-0{number % 9 + 1}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:00.000Z"
    key = f"l2/{STAMP.decode()}/granule-{number:06}-v1.nc"
    text = (
        f"<Contents><Key>{key}</Key><LastModified>{moment}</LastModified><ETag>&quot;{etag}&quot;</ETag>"
        f"<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )
    return text.encode()


def list_objects(pages: Pages, asked: dict[str, str]) -> bytes:
    """Answer one ListObjectsV2, or ListObjects where `list-type` is not 2."""
    keys = pages.keys
    second = asked.get("list-type") == "2"
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    most = min(EACH, int(asked.get("max-keys", EACH)))
    encode = asked.get("encoding-type") == "url"
    after = asked.get("start-after" if second else "marker", "")
    token = asked.get("continuation-token")
    start, stop = bisect_left(keys, prefix), _end_of(keys, prefix)
    if token is not None:
        start = max(start, int(base64.urlsafe_b64decode(token)[8:]))
    elif after:
        start = max(
            start, _end_of(keys, after) if delimiter and after.endswith(delimiter) else bisect_right(keys, after)
        )
    folders: list[str] = []
    if delimiter and start < stop and delimiter in keys[start][len(prefix) :]:
        start, folders = _folders(keys, start, stop, prefix, delimiter, most)
        body, found, last = b"", len(folders), folders[-1] if folders else ""
    else:
        until = min(stop, start + most)
        body, found = pages.contents(start, until), until - start
        start, last = until, keys[until - 1] if found else ""
    head = [f"<Name>{BUCKET}</Name><Prefix>{_text(prefix, encode)}</Prefix><MaxKeys>{most}</MaxKeys>"]
    more = start < stop
    if second:
        head.append(f"<KeyCount>{found}</KeyCount>")
        head.append(f"<ContinuationToken>{token}</ContinuationToken>" if token is not None else "")
    if more:
        following = base64.urlsafe_b64encode(b"\x01opaque\x02" + str(start).encode()).decode()
        named = f"<NextMarker>{_text(last, encode)}</NextMarker>"
        head.append(f"<NextContinuationToken>{following}</NextContinuationToken>" if second else named)
    head.append(f"<Delimiter>{_text(delimiter, encode)}</Delimiter>" if delimiter else "")
    head.append("<EncodingType>url</EncodingType>" if encode else "")
    head.append(f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>")
    common = "".join(f"<CommonPrefixes><Prefix>{_text(one, encode)}</Prefix></CommonPrefixes>" for one in folders)
    return b"".join([HEAD.encode(), "".join(head).encode(), body, common.encode(), b"</ListBucketResult>"])


def _folders(keys: Keys, start: int, stop: int, prefix: str, delimiter: str, most: int) -> tuple[int, list[str]]:
    folders: list[str] = []
    while start < stop and len(folders) < most:
        key = keys[start]
        folder = key[: key.index(delimiter, len(prefix)) + len(delimiter)]
        folders.append(folder)
        start = _end_of(keys, folder)
    return start, folders


def _end_of(keys: Keys, prefix: str) -> int:
    return bisect_left(keys, prefix[:-1] + chr(ord(prefix[-1]) + 1)) if prefix else len(keys)


def _text(words: str, encode: bool) -> str:
    return quote(words, safe="/") if encode else escape(words)


class Answering(asyncio.Protocol):
    """One connection of HTTP/1.1: requests without bodies, answers one after the other."""

    def __init__(self, pages: Pages, counters: dict[str, int]) -> None:
        self.pages = pages
        self.counters = counters
        self.got = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.counters["connections"] += 1

    def data_received(self, chunk: bytes) -> None:
        self.got += chunk
        assert self.transport is not None
        while b"\r\n\r\n" in self.got:
            head, self.got = self.got.split(b"\r\n\r\n", 1)
            method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
            status, body = self._answer(target)
            self.counters["requests"] += 1
            if method == "HEAD":
                body = b""
            lines = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nServer: AmazonS3\r\n"
            self.transport.write(
                f"{lines}x-amz-bucket-region: us-east-1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            self.transport.write(body)

    def _answer(self, target: str) -> tuple[str, bytes]:
        parts = urlsplit(target)
        if unquote(parts.path).strip("/") != BUCKET:
            return "404 Not Found", b"<Error><Code>NoSuchKey</Code><Message>Only a listing is here</Message></Error>"
        asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if "location" in asked:
            return "200 OK", b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>'
        return "200 OK", list_objects(self.pages, asked)


async def _serve(keys: int, port: int) -> None:
    loop = asyncio.get_running_loop()
    pages, counters = Pages(Keys(keys)), {"connections": 0, "requests": 0}
    over = asyncio.Event()

    def answer() -> None:
        if not sys.stdin.readline():
            over.set()
            return
        print(json.dumps(counters), flush=True)

    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    server = await loop.create_server(lambda: Answering(pages, counters), sock=listening)
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    loop.add_reader(sys.stdin.fileno(), answer)
    await over.wait()
    server.close()


def main() -> None:
    """Run one server in this process."""
    import uvloop

    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    words.add_argument("--keys", type=int, default=1_000_000)
    words.add_argument("--port", type=int, default=0)
    asked = words.parse_args()
    uvloop.run(_serve(asked.keys, asked.port))


if __name__ == "__main__":
    main()
