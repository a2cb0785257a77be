"""The steps of a Plan, and the rows of the Catalogue that a plan compares."""

from typing import Literal, NamedTuple

import msgspec

from manifests.messages import message
from manifests.stat import Stat

Action = Literal["fetch", "replace", "keep", "remove", "refuse", "hold", "ask", "wait"]
"""hold: a replacement that loses bytes, and that waits for approval before it is downloaded. ask: only its stamp tells
that a file may have changed, so it is asked for before the plan is complete. wait: upstream may still be writing it."""

LossKind = Literal["deleted", "emptied", "shrunk", "same"]
"""deleted: upstream no longer lists the file. emptied: it has no bytes now. shrunk: it has less than half of its bytes.
same: it has the same content now as other files that differed before."""

NEW = message("new upstream")
SLICE = 256  # rows that one turn of the event loop reads, compares or records: some milliseconds


class Known(NamedTuple):
    """One Entry and upstream's claims when it was fetched: a row of the Catalogue, unconverted."""

    path: str
    length: int
    version: str | None
    modified: float | None
    sha256: bytes
    digests: str | None
    """JSON, parsed only when needed."""


class Step(msgspec.Struct, frozen=True):
    """One action on a file, and its reason. `stat` is None for a deletion; `bytes` is the size of the file deleted."""

    action: Action
    path: str
    reason: str
    stat: Stat | None = None
    bytes: int = 0


class Loss(msgspec.Struct, frozen=True):
    """A deletion, or a replacement that loses bytes; `bytes` is the size of the file here, `new_bytes` that upstream.

    `claim` is the version upstream of a replacement, by which an approval or a rejection recognises it.
    """

    path: str
    bytes: int
    kind: LossKind = "deleted"
    new_bytes: int | None = None
    claim: Known | None = None
