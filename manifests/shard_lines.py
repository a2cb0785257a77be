"""Edits the sorted lines of a shard: only changed lines are made, all others are copied as bytes.

The lines are those of Entries, of Origins, or of `sha256sum`. A changed line is found by bisection of the text, so the
cost is that of a copy, and of some microseconds for each change.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from manifests.messages import message
from manifests.snapshot import Entry, Shard, SnapshotError, is_cut

STEP = 512  # bytes of the first step ahead: changes are often close to one another


class _Path(msgspec.Struct):
    path: str


_path = msgspec.json.Decoder(_Path).decode
_entry = msgspec.json.Decoder(Entry).decode

PathOf = Callable[[bytes], str]
"""Returns the path of one line, without its line end."""

Edit = tuple[str, bytes]
"""A path, and its new line; b"" if it has none any more."""


class Edited(NamedTuple):
    """Edited lines, and the old lines of the changed paths; b"" where there was none."""

    text: bytes
    replaced: list[bytes]


def json_path(line: bytes) -> str:
    """Return the path of the line of an Entry or Origin."""
    return _path(line).path


def sums_path(line: bytes) -> str:
    """Return the path of a line of `sha256sum`, whose names are escaped as GNU coreutils does. Raises ValueError."""
    if line[64:66] != b"  " and line[65:67] != b"  ":
        raise ValueError(message("no line of sha256sum"))
    if not line.startswith(b"\\"):
        return line[66:].decode()
    return "\\".join(part.replace("\\n", "\n") for part in line[67:].decode().split("\\\\"))


def edit(text: bytes, edits: Iterable[Edit], path_of: PathOf) -> Edited:
    """Return the text with some lines added, replaced or deleted; both are sorted by path. Raises SnapshotError."""
    view = memoryview(text)
    pieces: list[memoryview | bytes] = []
    replaced: list[bytes] = []
    at = 0
    try:
        for path, line in edits:
            start, end = _find(text, at, path, path_of)
            pieces += view[at:start], line
            replaced.append(text[start:end])
            at = end
    except (msgspec.MsgspecError, ValueError) as error:
        raise SnapshotError(message("a line that is none of a shard: {cause}", cause=error)) from error
    pieces.append(view[at:])
    return Edited(b"".join(pieces), replaced)


def edited_shard(shard: Shard, edits: Iterable[tuple[str, Entry | None]], before: bytes, after: Edited) -> Shard | None:
    """Return a Shard with `edits` made, without its checksum; None if it is to be cut elsewhere, or has no lines."""
    if not after.text:
        return None
    old_last, new_last = json_path(_last(before)), json_path(_last(after.text))
    count, size = shard.count, shard.bytes
    left: dict[str, Entry | None] = {}
    for (path, entry), line in zip(edits, after.replaced, strict=True):
        if line:
            count, size = count - 1, size - _entry(line).size
        if entry is not None:
            count, size = count + 1, size + entry.size
            if path != new_last and is_cut(path):
                return None
        left[path] = entry
    is_left = left.get(old_last, True) is not None
    if (is_left and old_last != new_last and is_cut(old_last)) or (is_cut(old_last) and not is_cut(new_last)):
        return None
    return Shard(json_path(after.text[: after.text.index(b"\n")]), count, size, "")


def _last(text: bytes) -> bytes:
    return text[text.rfind(b"\n", 0, len(text) - 1) + 1 : len(text) - 1]


def _find(text: bytes, low: int, path: str, path_of: PathOf) -> tuple[int, int]:
    """Return where the line of a path begins and ends, or where it would stand; lines before `low` are smaller."""
    high, step = len(text), STEP
    while (start := text.find(b"\n", low + step) + 1) and start < high:
        end = text.index(b"\n", start)
        if path_of(text[start:end]) >= path:
            high = start
            break
        low, step = end + 1, step * 2
    while low < high:
        start = text.rfind(b"\n", low, (low + high) // 2) + 1 or low
        end = text.index(b"\n", start)
        if path_of(text[start:end]) < path:
            low = end + 1
        else:
            high = start
    if low == len(text) or path_of(text[low : (end := text.index(b"\n", low))]) != path:
        return low, low
    return low, end + 1
