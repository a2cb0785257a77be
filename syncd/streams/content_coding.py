"""Decompresses a body that upstream compressed on the way, although it was asked not to.

Rules:
1. At most PIECE bytes are made at a time; the reader of the body limits how many follow.
2. The end of the compressed stream proves the end of the file: a cut raises Mismatch.
3. A body that is not compressed, whatever its header says, is passed on as it is.
"""

import zlib
from collections.abc import AsyncIterator

from manifests.content_coding import coding_of, is_coded_name
from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Body, Mismatch
from syncd.streams.body_wrapper import BodyWrapper

PIECE = 1 << 20  # bytes
_GZIP = b"\x1f\x8b"
_EITHER = 32 + zlib.MAX_WBITS  # gzip or zlib
_KNOWN = {"gzip": _EITHER, "x-gzip": _EITHER, "deflate": _EITHER}


class DecodedBody(BodyWrapper):
    """The bytes of the file that a compressed body stands for."""

    __slots__ = ("_body", "_coding")

    def __init__(self, body: Body) -> None:
        """Raise Mismatch for a coding that syncd does not know."""
        self.claim_as(body)
        self._body = body
        self._coding = coding_of(body.headers)
        if self._coding not in _KNOWN:
            raise Mismatch(
                message(
                    "{path}: the answer is compressed ({coding}), which the request ruled out, and syncd cannot "
                    "decompress it",
                    path=body.stat.path,
                    coding=self._coding,
                )
            )
        # size, version and checksums are those of the compressed bytes
        self.stat = Stat(body.stat.path, None, body.stat.modified)
        self.stop = None
        self.headers = {name: value for name, value in body.headers.items() if name != "content-encoding"}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decoder, is_first = zlib.decompressobj(_KNOWN[self._coding]), True
        async for chunk in self._body:
            if is_first and self._coding != "deflate" and chunk[:1] != _GZIP[:1]:
                yield chunk
                async for more in self._body:
                    yield more
                return
            is_first, waiting = False, chunk
            while waiting:
                if decoder.eof:  # another member follows
                    decoder = zlib.decompressobj(_KNOWN[self._coding])
                try:
                    piece = decoder.decompress(waiting, PIECE)
                except zlib.error as error:
                    raise Mismatch(
                        message(
                            "{path}: invalid {coding}: {cause}", path=self.stat.path, coding=self._coding, cause=error
                        )
                    ) from error
                if piece:
                    yield piece
                waiting = decoder.unused_data.lstrip(b"\0") if decoder.eof else decoder.unconsumed_tail
        if rest := decoder.flush():
            yield rest
        if not is_first and not decoder.eof:
            raise Mismatch(
                message("{path}: the compressed answer ({coding}) is cut", path=self.stat.path, coding=self._coding)
            )


def is_decoded(body: Body, stat: Stat, *, is_again: bool = False) -> bool:
    """Return True if a body must be decompressed to be the file that `stat` describes.

    Size and name decide. If what was taken first did not match a promised checksum, `is_again`, the other way is taken.
    """
    if not coding_of(body.headers):
        return False
    if stat.size is not None and body.stat.size is not None:
        # the announced length is that of the bytes that travel
        return body.stat.size != stat.size
    is_stored = is_coded_name(stat.path) or is_coded_name(body.url)
    return is_stored == (is_again and bool(stat.digests))
