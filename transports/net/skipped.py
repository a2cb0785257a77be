"""Counts the names of a tree that a listing passes over because they are no files: links, devices, pipes, sockets.

A link that leads to a regular file of the same source is listed as that file. All others are counted, and the survey
reports them: "there are files, but none that we can take" is never "there are no files".
"""

from manifests.messages import message

TO_FOLDERS = message("symbolic links to folders are not followed")
NOWHERE = message("symbolic links that lead nowhere, or out of the source, are not followed")
SPECIAL = message("devices, pipes and sockets are not copied")
UNKNOWN = message("names whose kind the server does not report are not copied")


class SkippedNames:
    """What one listing passed over, by reason."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, reason: str) -> None:
        """Count a name."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
