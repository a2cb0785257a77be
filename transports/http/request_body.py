"""The body of a request: one buffer or several, sent in blocks without being joined."""

from collections.abc import Iterator, Sequence

RequestBody = bytes | Sequence[bytes | memoryview]


def pieces_of(body: RequestBody) -> Sequence[bytes | memoryview]:
    """Return the buffers of a body."""
    return (body,) if isinstance(body, bytes) else body


def length_of(body: RequestBody) -> int:
    """Return the bytes of a body."""
    return len(body) if isinstance(body, bytes) else sum(map(len, body))


def blocks(body: RequestBody, size: int, last: int) -> Iterator[list[memoryview]]:
    """Yield the buffers in blocks of at most `size` bytes; the `last` bytes are a block of their own."""
    left, room = length_of(body) - last, size
    block: list[memoryview] = []
    tail: list[memoryview] = []
    for piece in pieces_of(body):
        view = memoryview(piece)
        while view and left:
            part = view[: min(room, left)]
            block.append(part)
            room -= len(part)
            left -= len(part)
            view = view[len(part) :]
            if not room:
                yield block
                block, room = [], size
        if view:
            tail.append(view)
    if block:
        yield block
    if tail:
        yield tail
