"""The claims of upstream in the pass under way, and the steps planned from them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from manifests.messages import plain
from manifests.reading import Stats
from manifests.stat import Promise, Stat, storable
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.mirror_files import MirrorFiles
from syncd.catalogue.planned_steps import PlannedSteps
from syncd.core import SLICE

PAGE = SLICE  # claims of a page, which is planned in one turn of the event loop

_json = msgspec.json.Encoder(enc_hook=plain).encode
_digests = msgspec.json.Decoder(dict[str, str]).decode
_strings = msgspec.json.Decoder(tuple[str, ...]).decode


@reads_rows
class Claims(PlannedSteps):
    """Stats, published checksums and Steps of one mirror at a time; cleared when a survey begins."""

    def __init__(self, files: MirrorFiles) -> None:
        """Use the files of the mirrors."""
        super().__init__(files)
        self._began: dict[int, int] = {}

    def together(self, mirror: int, work: Callable[[], None]) -> None:
        """Run `work`, which changes claims of one mirror, in one transaction, which the next durable one syncs."""
        self._of(mirror).together(work, durable=False)

    def forget(self, mirror: int) -> None:
        """Begin a survey: delete all claims, and the record of the documents that they came from."""
        for table in ("claim", "promise", "question", "asking", "signed", "signer"):
            self._of(mirror).do(f"DELETE FROM {table} WHERE mirror=?", (mirror,))  # noqa: S608  constants
        self.drop_steps(mirror)
        self._began[mirror] = self._of(mirror).used()

    def forgetting(self, mirror: int) -> Iterator[None]:
        """As `forget`, but a page at a time: nothing stands still for a million claims."""
        for table in ("claim", "promise", "signed"):
            sql = f"DELETE FROM {table} WHERE mirror=?1 AND path IN (SELECT path FROM {table} WHERE mirror=?1 LIMIT ?2)"  # noqa: S608  constants
            deleted = PAGE
            while deleted == PAGE:
                self._of(mirror).do(sql, (mirror, PAGE))
                deleted = self._of(mirror).one("SELECT changes()")[0]
                yield
        self.forget(mirror)

    def growth(self, mirror: int) -> int:
        """Return by how many bytes the mirror's file has grown since the survey began."""
        return self._of(mirror).used() - self._began.get(mirror, 0)

    def claimed(self, mirror: int) -> int:
        """Return the number of claimed files."""
        return int(self._of(mirror).one("SELECT count(*) FROM claim WHERE mirror=?", (mirror,))[0])

    def add(self, mirror: int, stats: Iterable[Stat]) -> None:
        """Add Stats in any order; merge two claims of one path, and record contradictions."""
        self._of(mirror).many(
            "INSERT INTO claim VALUES (?,?,?,?,?,?,?) ON CONFLICT (mirror, path) DO UPDATE SET "
            "size=coalesce(claim.size, excluded.size), modified=coalesce(claim.modified, excluded.modified), "
            "version=join_version(claim.version, excluded.version, claim.digests, excluded.digests), "
            "digests=join_digests(claim.digests, excluded.digests), urls=coalesce(claim.urls, excluded.urls)",
            (
                (
                    mirror,
                    storable(stat.path),
                    stat.size,
                    stat.modified,
                    stat.version,
                    _written(stat.digests) if stat.digests else None,
                    _json(stat.urls).decode() if stat.urls else None,
                )
                for stat in stats
            ),
        )

    def claim_held(self, mirror: int) -> None:
        """Claim all current Entries, as upstream described them when they were fetched."""
        self._of(mirror).do(
            "INSERT OR REPLACE INTO claim (mirror, path, size, modified, version, digests) "
            "SELECT mirror, path, bytes, modified, coalesce(version, 'held'), digests FROM entry "
            "WHERE mirror=?",
            (mirror,),
        )

    def change(self, mirror: int, changes: Mapping[str, Stat | None]) -> None:
        """Replace the claims of these paths by their Stats; delete the claims of paths without one."""
        self._of(mirror).many(
            "DELETE FROM claim WHERE mirror=? AND path=?", ((mirror, storable(path)) for path in changes)
        )
        self.add(mirror, [stat for stat in changes.values() if stat is not None])

    def promise(self, mirror: int, promises: Iterable[Promise]) -> None:
        """Add digests published for paths, which need not be claimed."""
        self._of(mirror).many(
            "INSERT INTO promise VALUES (?,?,?,?) ON CONFLICT (mirror, path) DO UPDATE SET "
            "digests=join_digests(promise.digests, excluded.digests), by=promise.by || ', ' || excluded.by",
            ((mirror, storable(p.path), _json(p.digests).decode(), p.by) for p in promises),
        )

    def all(self, mirror: int) -> Iterator[Stat]:
        """Yield all claims with their published digests, sorted by path."""
        for page in self.pages(mirror):
            yield from page

    def pages(self, mirror: int) -> Iterator[Sequence[Stat]]:
        """As `all`, in pages; by column if its files have only size, time and version."""
        rows = self._of(mirror).rows(
            "SELECT c.path, c.size, c.modified, join_version(c.version, NULL, c.digests, p.digests), c.digests, "
            "c.urls, p.digests FROM claim c LEFT JOIN promise p ON p.mirror=c.mirror AND p.path=c.path "
            "WHERE c.mirror=? ORDER BY c.path",
            (mirror,),
        )
        while page := list(islice(rows, PAGE)):
            paths, sizes, modified, versions, *more = map(list, zip(*page, strict=True))
            is_plain = all(column.count(None) == len(page) for column in more)
            if is_plain and None not in sizes and None not in modified:
                yield Stats(paths, sizes, modified, versions)
            else:
                yield [_claimed(*row) for row in page]

    def without_validator(self, mirror: int, after: str, limit: int) -> list[Stat]:
        """Return claims after path `after` by which no change can be detected: no time, version or digest. Sorted."""
        return [
            Stat(path, urls=_strings(urls) if urls else ())
            for path, urls in self._of(mirror).rows(
                "SELECT c.path, c.urls FROM claim c LEFT JOIN promise p ON p.mirror=c.mirror AND p.path=c.path WHERE "
                "c.mirror=? AND c.path>? AND c.modified IS NULL AND c.version IS NULL AND c.digests IS NULL "
                "AND p.digests IS NULL ORDER BY c.path LIMIT ?",
                (mirror, after, limit),
            )
        ]


def _claimed(
    path: str,
    size: int | None,
    modified: float | None,
    version: str | None,
    digests: str | None,
    urls: str | None,
    promised: str | None,
) -> Stat:
    found = _digests(digests) if digests else {}
    if promised:
        found = {**_digests(promised), **found}
    return Stat(path, size, modified, version, found, _strings(urls) if urls else ())


def _written(digests: Mapping[str, str]) -> str:
    """Return digests as JSON; a lone sha256, as nearly all are, without the encoder."""
    sha256 = digests.get("sha256", "")
    if len(digests) == 1 and sha256.isalnum() and sha256.isascii():
        return f'{{"sha256":"{sha256}"}}'
    return _json(digests).decode()
