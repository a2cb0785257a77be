"""Parses an ordinary answer that arrives in one piece, without aiohttp's parser and its stream.

For small files they are a large part of the cost of an answer (docs/adr/0015-own-connections.md). An answer is ordinary
if the piece is exactly one answer (RFC 9112) of status 200 or 206, with each header once, a Content-Length, and as many
bytes. For all others the result is None, and aiohttp's parser reads the same bytes. Nothing is accepted here that it
would refuse.
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
    """A complete answer; its body is read like a stream that has ended."""

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """`headers` have lower-case names."""
        self.status = status
        self.headers = headers
        self.content = content

    async def readany(self) -> bytes:
        """Return the body at the first call, then an empty one."""
        content, self.content = self.content, b""
        return content

    def is_eof(self) -> bool:
        """Return True: the body is complete."""
        return True

    def at_eof(self) -> bool:
        """Return True if the body was read."""
        return not self.content

    def exception(self) -> None:
        """Return None: a complete body cannot break."""

    def set_exception(self, error: BaseException) -> None:
        """Do nothing: a complete body cannot break."""


def parse_fast_response(piece: bytes) -> FastResponse | None:
    """Return the answer if `piece` is one ordinary answer from its first byte to its last, else None."""
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
