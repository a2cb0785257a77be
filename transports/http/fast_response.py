"""Reads an answer that came in one piece and says only what nearly every answer says: a quick way past the parser.

Where thousands of small files are fetched, much of what an answer costs is the parser and the stream made for it. A
piece that is exactly one plain answer (RFC 9112: status 200 or 206, each header once, a length and as many bytes) needs
neither. All else is None here and left to the parser, which sees the same bytes: nothing is read that it would refuse.
"""

import re
from collections.abc import Mapping

MAX_HEAD = 8 << 10  # bytes

_HEAD = re.compile(
    rb"HTTP/1\.1 (200|206) [\x20-\x7e]*+\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e]*+\r\n){1,64}+)\r\n"
)
_UNUSUAL = frozenset({"transfer-encoding", "connection", "upgrade", "trailer"})
_PLAIN = {"keep-alive", "Keep-Alive"}


class FastResponse:
    """A whole answer; its body is read as that of a stream that has ended."""

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """`headers` have lower-case names."""
        self.status = status
        self.headers = headers
        self.content = content

    async def readany(self) -> bytes:
        """Return the body, and then nothing."""
        content, self.content = self.content, b""
        return content

    def is_eof(self) -> bool:
        """Tell that all of it is here."""
        return True

    def at_eof(self) -> bool:
        """Tell whether it was read."""
        return not self.content

    def exception(self) -> None:
        """Return nothing: what is here cannot break."""

    def set_exception(self, error: BaseException) -> None:
        """Take no notice, as above."""


def parse_fast_response(piece: bytes) -> FastResponse | None:
    """Return the answer that `piece` is, if it is one plain answer from its first byte to its last."""
    head = _HEAD.match(piece, 0, MAX_HEAD)
    if head is None:
        return None
    headers = {}
    lines = head[2].decode("ascii").split("\r\n")
    lines.pop()
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" \t")
    if len(headers) != len(lines) or not _is_plain(headers):
        return None
    length = headers.get("content-length", "")
    content = piece[head.end() :]
    if not length.isdigit() or int(length) != len(content):
        return None
    return FastResponse(int(head[1]), headers, content)


def _is_plain(headers: Mapping[str, str]) -> bool:
    return _UNUSUAL.isdisjoint(headers) or (
        headers.get("connection", "") in _PLAIN and headers.keys() & _UNUSUAL == {"connection"}
    )
