"""What an act is carried out with, and the words that several of them use."""

from collections.abc import Callable
from typing import Any

import msgspec

from manifests.messages import count
from manifests.model import format_size
from syncd.catalogue import MirrorRow
from syncd.control import Actor
from syncd.core import Listener
from syncd.session import Session


class ActContext(msgspec.Struct, frozen=True):
    """The open session in which an act is carried out, and in whose name."""

    session: Session
    actor: Actor
    on_verified: Callable[[int, int], None] = lambda _files, _bytes: None
    """Called with the numbers of files and bytes done since the last call."""
    declared_in: Callable[[str], str | None] = lambda _mirror: None
    """Returns the manifest that declares a mirror; blocks."""
    threads: int = 2
    """Threads that read the store at once."""

    @property
    def listener(self) -> Listener:
        """Return what hears of the events."""
        return self.session.listener

    def row(self, mirror: str) -> MirrorRow:
        """Return a mirror. Raises NotFound."""
        return self.session.mirror(mirror)


def files_text(number: int) -> str:
    """Return a number of files, as in "2 files"."""
    return count(number, "{n} file", "{n:,} files")


def size_text(number: int) -> str:
    """Return bytes for people."""
    return format_size(number)


Data = dict[str, Any]
