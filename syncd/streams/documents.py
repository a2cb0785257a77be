"""Fetches one whole document: sends the request, and collects the response, with a limit, in memory or on disk.

Requests with a method, a body or headers need a Transport with `ask` (`syncd.core.ports.Asking`). Headers without
effect (a folder has none) are ignored, and the document is read like a file.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import BinaryIO

import msgspec

from manifests.content_coding import coding_of, is_coded_name
from manifests.messages import message, plain
from manifests.origins import origin_of
from manifests.reading import Document, DocumentRequest
from syncd.core import (
    Answering,
    Asking,
    Body,
    Changed,
    Interrupted,
    NoSpace,
    RangeRefused,
    TooLarge,
    Transport,
    Unsafe,
    Unsupported,
    capability,
)
from syncd.streams.content_coding import DecodedBody

IN_MEMORY = 512 << 10  # bytes of a document kept in memory; a longer one goes to a file (docs/operating.md counts them)

FRESH_TRIES = 3  # reads of a document whose server cannot continue a broken one

_DELIMITERS = frozenset({"content-length", "transfer-encoding"})
_HARMLESS = frozenset({"accept", "accept-language", "content-type"})


def open_request(
    transport: Transport, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> AbstractAsyncContextManager[Body]:
    """Send a request. Raises Unsupported if it is more than a path and the transport has no `ask`."""
    if method != "GET" or headers or body:
        asking = capability(transport, Asking)
        if asking is not None:
            return asking.ask(method, url, headers, body)
    if method != "GET" or body:
        raise Unsupported(message("{url}: this transport does not support {method} requests", url=url, method=method))
    return transport.open(url)


async def fetch(transport: Transport, follow: DocumentRequest, spool: BinaryIO) -> Document:
    """Return the whole document. Raises Interrupted if it is shorter than announced, TooLarge above its limit."""
    if follow.method == "LIST":
        async for page in transport.list_pages(follow.url):
            lines = b"".join(msgspec.json.encode(stat, enc_hook=plain) + b"\n" for stat in page)
            with spool_guard(follow):
                await asyncio.to_thread(spool.write, lines)
        spool.seek(0)
        return Document(follow, follow.url, {}, spool)
    if follow.method == "GET" and not follow.headers and not follow.body:
        for _ in range(1, FRESH_TRIES):
            with suppress(Changed, RangeRefused):
                return await read_into_spool(transport.open(follow.url), follow, spool)
        return await read_into_spool(transport.open(follow.url), follow, spool)
    answering = capability(transport, Answering)
    if answering is not None:
        return await answering.answer(follow, spool)
    return await read_into_spool(
        open_request(transport, follow.method, follow.url, follow.headers, follow.body), follow, spool
    )


@contextmanager
def spool_guard(follow: DocumentRequest) -> Iterator[None]:
    """Raise NoSpace if the response cannot be stored."""
    try:
        yield
    except OSError as error:
        raise NoSpace(
            message(
                "{url}: the response cannot be stored in the state folder: {cause}",
                url=follow.url,
                cause=error.strerror,
            )
        ) from error


async def read_into_spool(
    opening: AbstractAsyncContextManager[Body], follow: DocumentRequest, spool: BinaryIO
) -> Document:
    """Write a response into `spool`, from its beginning, and return it as a document."""
    spool.seek(0)
    spool.truncate()
    async with opening as sent:
        body: Body = sent
        if coding_of(sent.headers) and not is_coded_name(sent.url):
            body = DecodedBody(sent)
        count = 0
        async for chunk in body:
            count += len(chunk)
            if count > follow.max_bytes:
                raise TooLarge(
                    message(
                        "{url}: longer than the {max_bytes} bytes allowed for such a document",
                        url=follow.url,
                        max_bytes=follow.max_bytes,
                    )
                )
            with spool_guard(follow):
                if count > IN_MEMORY:
                    await asyncio.to_thread(spool.write, chunk)
                else:
                    spool.write(chunk)
        if body.stat.size is not None and count != body.stat.size:
            raise Interrupted(
                message(
                    "{url}: {size} bytes announced, {count} arrived", url=follow.url, size=body.stat.size, count=count
                )
            )
        spool.seek(0)
        return Document(follow, body.url, body.headers, spool, is_bounded=_is_bounded(body))


def _is_bounded(body: Body) -> bool:
    """Return False if only the end of the connection ended an answer over HTTP (RFC 9112, section 6.3)."""
    return not _DELIMITERS.isdisjoint(body.headers) or not body.url.startswith(("http://", "https://"))


def check_request(follow: DocumentRequest, document: Document) -> DocumentRequest:
    """Return a request that a document named, without the headers that must not be sent. Raises Unsafe.

    A document may name any url to read. It may not cause a body or sensitive headers to be sent to another origin than
    its own.
    """
    if "://" not in follow.url or (follow.method in ("GET", "LIST") and not follow.body and not follow.headers):
        return follow
    try:
        is_same = origin_of(follow.url) == origin_of(document.url)
    except ValueError as error:
        raise Unsafe(message("{url}: the url {cause}", url=follow.url, cause=error)) from error
    if is_same:
        return follow
    if follow.method != "GET" or follow.body:
        raise Unsafe(
            message(
                "{url}: {document} requests a {method}, but this is another origin",
                url=follow.url,
                document=document.url,
                method=follow.method,
            )
        )
    kept = {name: value for name, value in follow.headers.items() if name.lower() in _HARMLESS}
    return msgspec.structs.replace(follow, headers=kept)
