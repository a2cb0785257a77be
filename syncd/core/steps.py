"""The steps of a Plan, and the rows of the Catalogue that a plan compares."""

from typing import Literal, NamedTuple

import msgspec

from manifests.messages import message
from manifests.stat import Stat

Action = Literal["fetch", "replace", "keep", "remove", "refuse"]

NEW = message("new upstream")


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
