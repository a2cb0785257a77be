"""What differs between the last Snapshot and the next one: changed files, and files with renewed claims."""

from collections.abc import Iterable

import msgspec

from manifests.snapshot import Entry, Origin, Verdict
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.first_origins import first_origin
from syncd.catalogue.parts import MirrorPart

_digests = msgspec.json.Decoder(dict[str, str]).decode


class ChangedFile(msgspec.Struct, frozen=True):
    """A path whose lines differ from those of the last Snapshot; `entry` and `origin` are None if it left it."""

    path: str
    entry: Entry | None
    origin: Origin | None


@reads_rows
class ChangedFiles(MirrorPart):
    """The marks of changes since the last Snapshot, range by range."""

    def next_path(self, mirror: int, first: str) -> str | None:
        """Return the first changed path that is not below `first`."""
        row = self._of(mirror).one(
            "SELECT path FROM changed WHERE mirror=? AND path>=? ORDER BY path LIMIT 1", (mirror, first)
        )
        return None if row is None else row[0]

    def last_entry(self, mirror: int, before: str | None) -> str | None:
        """Return the last path that has an Entry below `before`; None: the last of all."""
        bound, values = ("", (mirror,)) if before is None else ("AND path<? ", (mirror, before))
        sql = f"SELECT path FROM entry WHERE mirror=? {bound}ORDER BY path DESC LIMIT 1"  # noqa: S608  literals
        row = self._of(mirror).one(sql, values)
        return None if row is None else row[0]

    def has_more_than(self, mirror: int, count: int) -> bool:
        """Return True if a mirror has more than `count` Entries; reads no more of them."""
        sql = "SELECT 1 FROM entry WHERE mirror=? LIMIT 1 OFFSET ?"
        return self._of(mirror).one(sql, (mirror, count)) is not None

    def files(self, mirror: int, first: str, last: str | None, limit: int) -> list[ChangedFile]:
        """Return at most `limit` changed or renewed files in `[first, last)`, sorted; `last` None: to the end."""
        bounds, values = ("", (mirror, first)) if last is None else (" AND path<?", (mirror, first, last))
        marked = f"mirror=? AND path>=?{bounds}"
        sql = (
            "SELECT c.path, e.bytes, e.sha256, e.xxh3, e.url, e.verdict, e.proved, e.size, e.modified, e.version, "  # noqa: S608  literals
            "e.digests, e.by, e.answer_version, e.answer_modified, e.first FROM ("
            f"SELECT path FROM changed WHERE {marked} UNION SELECT path FROM renewed WHERE {marked} ORDER BY 1 LIMIT ?"
            ") c LEFT JOIN entry e ON e.mirror=? AND e.path=c.path ORDER BY c.path"
        )
        return [_changed_file(*row) for row in self._of(mirror).rows(sql, (*values, *values, limit, mirror))]

    def clear(self, mirror: int, ranges: Iterable[tuple[str, str | None]]) -> None:
        """Clear the marks of changes, and those of renewed claims in the ranges that were written."""

        def work() -> None:
            self._of(mirror).do("DELETE FROM changed WHERE mirror=?", (mirror,))
            for first, last in ranges:
                if last is None:
                    self._of(mirror).do("DELETE FROM renewed WHERE mirror=? AND path>=?", (mirror, first))
                else:
                    self._of(mirror).do(
                        "DELETE FROM renewed WHERE mirror=? AND path>=? AND path<?", (mirror, first, last)
                    )

        self._of(mirror).together(work)


def _changed_file(
    path: str,
    size: int | None,
    sha256: bytes,
    xxh3: bytes,
    url: str,
    verdict: Verdict,
    proved: float,
    listed: int | None,
    modified: float | None,
    version: str | None,
    digests: str | None,
    by: str,
    answer_version: str | None,
    answer_modified: float | None,
    first: str | None,
) -> ChangedFile:
    if size is None:
        return ChangedFile(path, None, None)
    promised = _digests(digests) if digests else {}
    begin = first_origin(first) if first is not None else None
    origin = Origin(
        path, url, verdict, proved, listed, modified, version, promised, by, answer_version, answer_modified, begin
    )
    return ChangedFile(path, Entry(path, size, sha256.hex(), xxh3.hex()), origin)
