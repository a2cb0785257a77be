"""Where the files of a mirror of another node came from first, as the lists of that node said in the last survey."""

from collections.abc import Iterable, Sequence

import msgspec

from manifests.messages import plain
from manifests.snapshot import FirstOrigin
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart

_json = msgspec.json.Encoder(enc_hook=plain).encode
first_origin = msgspec.json.Decoder(FirstOrigin).decode
"""Returns the first provenance that a column holds."""


@reads_rows
class FirstOrigins(MirrorPart):
    """The first provenances of the last survey, until their files are recorded."""

    def add(self, mirror: int, found: Iterable[tuple[str, FirstOrigin]]) -> None:
        """Record the first provenance of paths."""
        self._of(mirror).many(
            "INSERT OR REPLACE INTO first VALUES (?,?,?)",
            ((mirror, path, _json(origin).decode()) for path, origin in found),
        )

    def of(self, mirror: int, paths: Sequence[str]) -> dict[str, FirstOrigin]:
        """Return the first provenance of paths; without those of which nothing was said."""
        found = {}
        for path in paths:
            row = self._of(mirror).one("SELECT origin FROM first WHERE mirror=? AND path=?", (mirror, path))
            if row is not None:
                found[path] = first_origin(row[0])
        return found

    def forget(self, mirror: int) -> None:
        """Delete what the survey before found."""
        self._of(mirror).do("DELETE FROM first WHERE mirror=?", (mirror,))
