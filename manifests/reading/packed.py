"""Documents that are packed with gzip, as files of their own: `sitemap.xml.gz`, `index.tsv.gz`."""

import gzip
import io
import zlib
from typing import BinaryIO, cast

from manifests.messages import message
from manifests.reading.document import Document, DocumentError

MAX_UNPACKED = 64 << 30  # bytes; a stream, never in memory

_MAGIC = b"\x1f\x8b"


def is_packed(document: Document) -> bool:
    """Return True if a document is packed with gzip."""
    at = document.stream.tell()
    head = document.stream.read(2)
    document.stream.seek(at)
    return head == _MAGIC


def unpacked(document: Document, limit: int = MAX_UNPACKED) -> Document:
    """Return a document as its bytes before they were packed; itself if it is not packed.

    Reading raises DocumentError if it is cut or damaged, or longer than `limit`.
    """
    if not is_packed(document):
        return document
    stream = cast("BinaryIO", UnpackedStream(document, limit))
    return Document(document.asked, document.url, document.headers, stream)


class UnpackedStream(io.BufferedIOBase):
    """The content of a packed document. Its end is proved by the length and checksum that gzip writes there."""

    def __init__(self, document: Document, limit: int) -> None:
        self._url = document.url
        self._limit = limit
        self._inner = gzip.GzipFile(fileobj=document.stream, mode="rb")

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place in the content."""
        return self._inner.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, counted from the beginning or from here; backwards, everything is unpacked again."""
        try:
            return self._inner.seek(offset, whence)
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(error) from error

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes; all if it is negative."""
        try:
            return self._checked(self._inner.read(-1 if size is None else size))
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(error) from error

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, by one read."""
        try:
            return self._checked(self._inner.read1(size))
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(error) from error

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line, or its first `size` bytes."""
        try:
            return self._checked(self._inner.readline(-1 if size is None else size))
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(error) from error

    def _checked(self, found: bytes) -> bytes:
        if self._inner.tell() > self._limit:
            raise DocumentError(
                message("{url}: unpacks to more than {limit} bytes, the most allowed", url=self._url, limit=self._limit)
            )
        return found

    def _damaged(self, error: Exception) -> DocumentError:
        return DocumentError(message("{url}: cannot be unpacked (gzip): {cause}", url=self._url, cause=error))
