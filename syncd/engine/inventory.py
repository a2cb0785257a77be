"""The result of a survey."""

import msgspec

from manifests.head import FollowedHead
from syncd.streams import Spool


class Inventory(msgspec.Struct):
    """The result of a survey: the numbers of `files` claimed and `documents` read, and failures with their reasons.

    `made` holds the files that the Reader derived from documents, or None. `mark` is the upstream's cursor, "" if it
    has none. `is_part` is True if only changes since a cursor were requested, `gap` if upstream did not report all of
    them. `notes` are warnings on ignored parts of documents, and their counts.
    """

    files: int = 0
    documents: int = 0
    failed: list[tuple[str, str]] = []
    made: Spool | None = None
    mark: str = ""
    gap: bool = False
    is_part: bool = False
    notes: dict[str, int] = {}
    unmatched: tuple[tuple[str, str], ...] = ()
    """What the manifest selects by (globs, collections) that matched nothing; known of a complete survey only."""
    head: FollowedHead | None = None
    """The head of the node that was surveyed, if the source is one."""
    elsewhere: str = ""
    """The url of the source that was surveyed because the first one did not respond: its files are only added."""

    def add(self, other: "Inventory") -> None:
        """Add the results of another survey of the same source."""
        self.files += other.files
        self.documents += other.documents
        self.failed += other.failed
        self.made = self.made or other.made
        self.mark = max(self.mark, other.mark)

    @property
    def complete(self) -> bool:
        """Return True if every document was read to its end, and every file could be asked for."""
        return not self.failed
