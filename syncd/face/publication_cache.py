"""The published mirrors as the outward formats take them, kept until a mirror or its manifest changes."""

from manifests.access import access_of
from manifests.messages import message
from syncd.config import ServeSettings
from syncd.core import Store
from syncd.exchange import Node, Publication
from syncd.face.public_mirrors import PublicMirror, PublicMirrors, Unavailable
from syncd.face.publications import node_of, read_publication


class PublicationCache:
    """The publications of one node."""

    def __init__(self, settings: ServeSettings, store: Store, mirrors: PublicMirrors) -> None:
        """Read from the Catalogue that `mirrors` has open, and from `store`."""
        self.node: Node = node_of(settings)
        self._store, self._mirrors = store, mirrors
        self._known: dict[str, tuple[tuple[object, ...], Publication]] = {}

    async def get(self, mirror: PublicMirror) -> Publication:
        """Return that of one mirror. Raises Unavailable, Damaged."""
        row, now = mirror.row, self._mirrors.moment()
        key = (row.snapshot, row.succeeded, id(mirror.manifest), access_of(mirror.manifest, now))
        known = self._known.get(mirror.name)
        if known is None or known[0] != key:
            found = await read_publication(self._store, self._mirrors.catalogue, self.node, mirror.manifest, row, now)
            if found is None:
                raise Unavailable(message("{name}: its snapshot is not known", name=mirror.name))
            known = self._known[mirror.name] = (key, found)
        return known[1]

    async def all(self, door: str | None) -> list[Publication]:
        """Return those of all mirrors that `publish.to` lets into a door; None: all. Raises as `get`."""
        found: list[Publication] = []
        for mirror in self._mirrors.all():
            assert mirror.manifest.publish is not None
            if door is None or mirror.manifest.publish.listed_in(door):
                found.append(await self.get(mirror))
        return found
