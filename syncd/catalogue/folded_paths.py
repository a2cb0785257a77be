"""The digests of folded paths of a plan, which are too many for memory: in the scratch file of its mirror."""

from collections.abc import Iterable, Iterator

from syncd.catalogue.database import Database


class CatalogueSpill:
    """The digests of one mirror's folded paths; satisfies `syncd.engine.path_collisions.DigestSpill`."""

    def __init__(self, database: Database, mirror: int) -> None:
        """Use an open database."""
        self._db = database
        self._mirror = mirror

    def add(self, parts: Iterable[tuple[int, bytes]]) -> None:
        """Add digests to partitions."""
        self._db.many(
            "INSERT INTO scratch.fold VALUES (?,?,?)", ((self._mirror, part, digests) for part, digests in parts)
        )

    def read(self, part: int) -> Iterator[bytes]:
        """Yield the digests of a partition."""
        rows = self._db.rows("SELECT digests FROM scratch.fold WHERE mirror=? AND part=?", (self._mirror, part))
        return (digests for (digests,) in rows)
