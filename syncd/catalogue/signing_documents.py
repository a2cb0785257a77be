"""Which document named each signed link, so that it can be asked for a fresh one; of the survey under way only."""

from collections.abc import Iterable, Mapping

import msgspec

from manifests.messages import plain
from manifests.reading import DocumentRequest
from manifests.stat import storable
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import MirrorPart
from syncd.catalogue.survey_frontier import mark_of

_pack = msgspec.msgpack.Encoder(enc_hook=plain).encode
_request = msgspec.msgpack.Decoder(DocumentRequest).decode
_json = msgspec.json.Encoder(enc_hook=plain).encode
_strings = msgspec.json.Decoder(tuple[str, ...]).decode


@reads_rows
class SigningDocuments(MirrorPart):
    """The signed links of one mirror at a time; `Claims.forget` clears them."""

    def add(self, mirror: int, named: Iterable[tuple[str, DocumentRequest]]) -> None:
        """Record which document named the link of each path."""
        marks: dict[int, DocumentRequest] = {}
        rows = []
        for path, request in named:
            mark = mark_of(request)
            marks[mark] = request
            rows.append((mirror, storable(path), mark))
        self._of(mirror).many(
            "INSERT OR IGNORE INTO signer VALUES (?,?,?)", ((mirror, mark, _pack(one)) for mark, one in marks.items())
        )
        self._of(mirror).many("INSERT OR IGNORE INTO signed (mirror, path, mark) VALUES (?,?,?)", rows)

    def document(self, mirror: int, path: str) -> tuple[int, DocumentRequest] | None:
        """Return the document that named the link of a path, and its number."""
        row = self._of(mirror).one(
            "SELECT s.mark, s.asked FROM signed f JOIN signer s ON s.mirror=f.mirror AND s.mark=f.mark "
            "WHERE f.mirror=? AND f.path=?",
            (mirror, storable(path)),
        )
        return None if row is None else (int(row[0]), _request(row[1]))

    def renew(self, mirror: int, mark: int, links: Mapping[str, tuple[str, ...]]) -> None:
        """Record the fresh links of a document, by path."""
        self._of(mirror).many(
            "UPDATE signed SET urls=? WHERE mirror=? AND path=? AND mark=?",
            ((_json(urls).decode(), mirror, storable(path), mark) for path, urls in links.items()),
        )

    def fresh(self, mirror: int, path: str) -> tuple[str, ...]:
        """Return the links of a path that were asked for later than the survey; empty if there are none."""
        row = self._of(mirror).one("SELECT urls FROM signed WHERE mirror=? AND path=?", (mirror, storable(path)))
        return () if row is None or row[0] is None else _strings(row[0])
