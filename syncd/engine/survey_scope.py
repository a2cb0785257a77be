"""What a survey works on: one source of a mirror, what the mirror wants of it, and where its claims are recorded."""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import msgspec

from manifests.messages import message
from syncd.catalogue import Claims, SigningDocuments, SurveyFrontier
from syncd.core import Listener, Transport
from syncd.engine.followed_node import FollowedNode
from syncd.engine.selection import SourceSelection
from syncd.streams import Spool

MAX_GROWTH = 64 << 30  # bytes by which one survey may enlarge the Catalogue

Wants = Callable[[str], bool]


class SurveyScope(msgspec.Struct, frozen=True):
    """One source of a mirror, what the mirror wants of it, and where its claims are recorded.

    `key` identifies the source as declared: a killed survey is resumed under the same key; "" is never resumed.
    """

    mirror: str
    mirror_id: int
    transport: Transport
    claims: Claims
    frontier: SurveyFrontier
    links: SigningDocuments
    selection: SourceSelection
    listener: Listener
    spool: Path
    made: Spool
    key: str = ""
    now: Callable[[], float] = time.time
    max_files: int = 100_000_000
    """The most files that the source may name (`source.limits.max_files`)."""
    max_documents: int = 1 << 60
    """The most documents that are requested."""
    node: FollowedNode | None = None
    """The node that is surveyed, if the source is one."""
    reading: Executor | None = None
    """Reads documents off the event loop; None: the loop's own threads."""

    @property
    def wants(self) -> Wants:
        """Return the function that returns True for the paths that the mirror wants."""
        return self.selection.wants

    def excess(self, files: int) -> str:
        """Return why a survey that named so many files must stop, or "" if it may go on."""
        if files > self.max_files:
            return message(
                "more than {most:,} files are named: is the listing endless? See source.limits.max_files",
                most=self.max_files,
            )
        if self.claims.growth(self.mirror_id) > MAX_GROWTH:
            return message(
                "the files that it names take more than {size} GiB in the Catalogue: is the listing endless?",
                size=MAX_GROWTH >> 30,
            )
        return ""
