"""The two kinds of parts of the Catalogue: over the daemon's file, and over the files of the mirrors."""

from typing import Any

from syncd.catalogue.database import Database
from syncd.catalogue.mirror_files import MirrorFiles
from syncd.core import Damaged


class DaemonPart:
    """A part whose tables are in the daemon's file."""

    def __init__(self, database: Database) -> None:
        """Use an open database."""
        self._db = database

    def _blame(self, error: BaseException, *_given: Any, **_named: Any) -> Damaged:
        return self._db.damage(error)


class MirrorPart:
    """A part whose tables are in the file of each mirror. The first parameter of its methods is the mirror."""

    def __init__(self, files: MirrorFiles) -> None:
        """Use the files of the mirrors."""
        self._of = files.of

    def _blame(self, error: BaseException, mirror: int, *_given: Any, **_named: Any) -> Damaged:
        return self._of(mirror).damage(error)
