"""Character encodings of untrusted documents: those that a manifest or a document names, and UTF-16 by its mark.

Readers of lists know UTF-8 only: `recoded` turns a document of another encoding into it, as a stream. Bytes that are
not text in that encoding stay as they are, so a name with such bytes is refused by `check_path`, and no other.
"""

import codecs
import io
from typing import BinaryIO, cast

from manifests.reading.document import Document

_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_WIDE = frozenset(_MARKS.values())


def text_encoding(name: str) -> str | None:
    """Return Python's name of a text encoding; None for an unknown one, and for a codec of bytes such as `zip`."""
    try:
        "".encode(name)  # raises LookupError for a codec that is not a text encoding
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        return None


def encoding_of(source: object) -> str:
    """Return the encoding of names that a manifest's source declares; utf-8 without one."""
    return getattr(source, "encoding", None) or "utf-8"


def recoded(document: Document, encoding: str = "utf-8") -> Document:
    """Return a document as UTF-8: from UTF-16 if it begins as that, with or without its mark, else from `encoding`."""
    at = document.stream.tell()
    head = document.stream.read(8)
    document.stream.seek(at)
    found = _MARKS.get(head[:2]) or _unmarked(head) or encoding
    if found == "utf-8":
        return document
    stream = cast("BinaryIO", RecodedStream(document.stream, found))
    return Document(
        document.asked,
        document.url,
        document.headers,
        stream,
        missing=document.missing,
        is_bounded=document.is_bounded,
    )


def _unmarked(head: bytes) -> str:
    """Return the encoding of a document that begins with ASCII in UTF-16, without a mark; "" for others."""
    high, low = head[0::2], head[1::2]
    if len(head) == 8 and not any(low) and all(high):
        return "utf-16-le"
    return "utf-16-be" if len(head) == 8 and not any(high) and all(low) else ""


class RecodedStream(io.BufferedIOBase):
    """A binary stream of text in one encoding, read as UTF-8.

    Places are those of the inner stream: `seek` to its start, its end, or a place computed from them.
    """

    def __init__(self, inner: BinaryIO, encoding: str) -> None:
        self._inner = inner
        self._encoding = encoding
        self._text: io.TextIOWrapper | None = None
        self._rest = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place of the inner stream; within a character of two bytes, to its beginning."""
        if self._text is not None:
            self._text.detach()
            self._text = None
        self._rest = b""
        place = self._inner.seek(offset, whence)
        if self._encoding in _WIDE and place % 2:
            place = self._inner.seek(place - 1)
        return place

    def tell(self) -> int:
        """Return the place in the inner stream, which may be ahead of what was read."""
        return self._inner.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes of UTF-8; all of them if it is negative."""
        text = self._decoder()
        if size is None or size < 0:
            whole = self._rest + self._encoded(text.read())
            self._rest = b""
            return whole
        while len(self._rest) < size:
            more = text.read(max(size - len(self._rest), 1))
            if not more:
                break
            self._rest += self._encoded(more)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line in UTF-8, or its first `size` bytes."""
        limit = -1 if size is None else size
        text = self._decoder()
        line = self._rest
        if b"\n" not in line:
            line += self._encoded(text.readline(limit))
        at = line.find(b"\n") + 1 or len(line)
        at = min(at, limit) if limit >= 0 else at
        taken, self._rest = line[:at], line[at:]
        return taken

    def _decoder(self) -> io.TextIOWrapper:
        if self._text is None:
            errors = "replace" if self._encoding in _WIDE else "surrogateescape"
            self._text = io.TextIOWrapper(self._inner, self._encoding, errors, newline="\n")
            if self._encoding in _WIDE and self._inner.tell() == 0:
                mark = self._text.read(1)
                self._rest = b"" if mark == "\ufeff" else self._encoded(mark)
        return self._text

    @staticmethod
    def _encoded(text: str) -> bytes:
        return text.encode("utf-8", "surrogateescape")
