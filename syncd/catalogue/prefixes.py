"""Which mirror a folder of the store belongs to: each folder has one writer.

Folders are compared as a file system that ignores case would compare them: a copy may be moved to one.
"""

from collections.abc import Iterable

from manifests.messages import message
from manifests.stat import fold


def overlap(name: str, prefix: str, holders: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """Return the problem and the remedy if another mirror holds `prefix`, a folder in it or one around it.

    `holders` are names and prefixes of the mirrors that have stored files, retired ones too.
    """
    folder = fold(prefix)
    for other, held in holders:
        if other == name:
            continue
        theirs = fold(held)
        if folder.startswith(theirs) or theirs.startswith(folder):
            what = message(
                "{prefix} overlaps {held}, where mirror {other} has files", prefix=prefix, held=held, other=other
            )
            return what, message(
                "give the mirror another store.prefix, or withdraw {other} and run: syncd forget {other}", other=other
            )
    return None
