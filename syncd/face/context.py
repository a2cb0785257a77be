"""What every route of the public side works with."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from manifests.access import Part, access_of, may
from syncd.config import ServeSettings
from syncd.core import Store
from syncd.face.answers import Reject
from syncd.face.asked import Asked, OnServed
from syncd.face.callers import Callers
from syncd.face.change_lists import ChangeLists
from syncd.face.differences import Differences
from syncd.face.page_templates import PageTemplates
from syncd.face.public_mirrors import PublicMirror, PublicMirrors
from syncd.face.publication_cache import PublicationCache
from syncd.face.snapshot_lists import SnapshotLists
from syncd.face.stored_files import StoredFiles


@dataclass(frozen=True, slots=True)
class FaceContext:
    """The open resources of the public side."""

    settings: ServeSettings
    mirrors: PublicMirrors
    store: Store
    lists: SnapshotLists
    threads: Executor
    now: Callable[[], float]
    callers: Callers
    publications: PublicationCache
    templates: PageTemplates
    on_served: OnServed = field(default=lambda _: None)
    differences: Differences = field(default_factory=Differences)
    changes: ChangeLists = field(default_factory=ChangeLists)

    @property
    def files(self) -> StoredFiles:
        """Return the published files, as the open Catalogue has them. Raises Unavailable."""
        return StoredFiles(self.store, self.mirrors.catalogue, self.lists, self.threads)

    def url(self, path: str = "") -> str:
        """Return the address of one of our own paths, which is escaped already."""
        return self.settings.url.rstrip("/") + "/" + path

    def mirror(self, asked: Asked, name: str, part: Part) -> PublicMirror:
        """Return a mirror of which the sender may read a part. Raises Reject, Unavailable."""
        found = self.mirrors.find(name)
        if found is None:
            raise Reject(404)
        answer = may(asked.caller, found.manifest, part, self.mirrors.moment())
        if answer == "absent":
            raise Reject(404)
        asked.mirror = name
        asked.is_open = access_of(found.manifest, self.mirrors.moment()) == "open"
        if answer == "token":
            raise Reject(401, WWW_Authenticate='Bearer realm="syncd"')
        if answer != "allowed":
            raise Reject(403)
        return found
