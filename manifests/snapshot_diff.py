"""What changed between two Snapshots, as a document: a line for each path, sorted; `+ Entry` or `- "path"`.

It needs no trust: who applies it to his own list and cuts that again comes to the id of the newer Snapshot, or the
document is wrong.
"""

from collections.abc import Iterable, Iterator

import msgspec

from manifests.messages import message
from manifests.snapshot import Entry, SnapshotError, lines

MAX_CHANGES = 200_000  # lines of a document; with more of them the lists themselves are cheaper
MAX_LINE = 16 << 10  # bytes

_entry = msgspec.json.Decoder(Entry).decode
_path = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def diff_lines(changes: Iterable[tuple[str, Entry | None]]) -> Iterator[bytes]:
    """Yield the line of each changed path, sorted; without an Entry the newer Snapshot has no such file."""
    for path, entry in changes:
        yield b"+ " + lines([entry]) if entry is not None else b"- " + _encode(path) + b"\n"


def parse_diff(rows: Iterable[bytes]) -> Iterator[tuple[str, Entry | None]]:
    """Yield each changed path with its Entry. Raises SnapshotError for a line that is none, or comes out of order."""
    last = ""
    for number, row in enumerate(rows, 1):
        try:
            if row[:2] == b"+ ":
                entry = _entry(row[2:])
                found: tuple[str, Entry | None] = entry.path, entry
            elif row[:2] == b"- ":
                found = _path(row[2:]), None
            else:
                raise SnapshotError(message("line {number} is none of a difference", number=number))
        except msgspec.MsgspecError as error:
            what = message("line {number} is none of a difference: {cause}", number=number, cause=str(error))
            raise SnapshotError(what) from error
        if found[0] <= last:
            raise SnapshotError(message("line {number} is not sorted", number=number))
        last = found[0]
        yield found
