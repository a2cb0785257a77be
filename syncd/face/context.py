"""What every route of the public side works with."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from manifests.access import Part, access_of, may
from syncd.catalogue import Tombstone
from syncd.config import ServeSettings
from syncd.core import Store
from syncd.face.answers import Reject
from syncd.face.asked import Asked, OnServed
from syncd.face.callers import Callers
from syncd.face.change_lists import ChangeLists
from syncd.face.differences import Differences
from syncd.face.feature_index import FeatureIndex
from syncd.face.page_templates import PageTemplates
from syncd.face.public_mirrors import PublicMirror, PublicMirrors
from syncd.face.publication_cache import PublicationCache
from syncd.face.snapshot_lists import SnapshotLists
from syncd.face.stored_files import StoredFiles
from syncd.face.verdict_counts import VerdictCounts

_REASONS = {
    "withdrawn": "The dataset was withdrawn on {day}.",
    "private": "The dataset is no longer published since {day}.",
    "forgotten": "The copy was deleted on {day}.",
}


def reason_of(stone: Tombstone) -> str:
    """Return why a mirror is no longer there, for those who knew it."""
    return _REASONS[stone.reason].format(day=datetime.fromtimestamp(stone.ended, UTC).date().isoformat())


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
    verdicts: VerdictCounts
    features: FeatureIndex
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
            if (stone := self.mirrors.ended(name)) is not None:
                raise Reject(410, reason_of(stone))
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
