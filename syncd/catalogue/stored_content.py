"""The stored bytes of a run of paths, whatever they are now: current files, removed ones, and replaced versions."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from manifests.snapshot import Origin
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.holdings import PENDING
from syncd.catalogue.parts import MirrorPart

Kind = Literal["entry", "removed", "version"]

_digests = msgspec.json.Decoder(dict[str, str]).decode
_origin = msgspec.json.Decoder(Origin).decode


class HeldBytes(msgspec.Struct, frozen=True):
    """Stored bytes, and what upstream claimed of them; `snapshot` is the folder of removed and replaced ones.

    A removed file without one is still under its final name.
    """

    path: str
    bytes: int
    sha256: str
    kind: Kind = "entry"
    snapshot: str = PENDING
    modified: float | None = None
    version: str | None = None
    digests: dict[str, str] = {}
    url: str = ""


@reads_rows
class StoredContent(MirrorPart):
    """Stored bytes by path."""

    def entries(self, mirror: int, first: str, last: str | None) -> Iterator[HeldBytes]:
        """Yield the current files in `[first, last)`, sorted by path; `last` None: to the end."""
        sql = "SELECT path, bytes, sha256, modified, version, digests, url FROM entry WHERE mirror=? AND path>=? "
        for path, size, sha256, modified, version, digests, url in self._rows(sql, mirror, first, last):
            promised = _digests(digests) if digests else {}
            yield HeldBytes(path, size, sha256.hex(), "entry", PENDING, modified, version, promised, url)

    def others(self, mirror: int, first: str, last: str | None) -> Iterator[HeldBytes]:
        """Yield the removed files and the replaced versions in `[first, last)`, each sorted by path."""
        sql = "SELECT path, snapshot, bytes, sha256, origin FROM removed WHERE mirror=? AND path>=? "
        for path, snapshot, size, sha256, said in self._rows(sql, mirror, first, last):
            o = _origin(said)
            yield HeldBytes(path, size, sha256, "removed", snapshot, o.modified, o.version, o.digests, o.url)
        sql = "SELECT path, snapshot, bytes, sha256 FROM version WHERE mirror=? AND path>=? "
        for path, snapshot, size, sha256 in self._rows(sql, mirror, first, last):
            if sha256:
                yield HeldBytes(path, size, sha256, "version", snapshot)

    def _rows(self, sql: str, mirror: int, first: str, last: str | None) -> Iterator[tuple[Any, ...]]:
        if last is None:
            return self._of(mirror).rows(f"{sql}ORDER BY path", (mirror, first))
        return self._of(mirror).rows(f"{sql}AND path<? ORDER BY path", (mirror, first, last))
