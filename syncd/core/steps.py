"""What a Plan consists of: what we hold of a file, and what is to be done about it."""

from typing import Literal, NamedTuple

import msgspec

from manifests.stat import Stat

Action = Literal["fetch", "replace", "keep", "remove", "refuse"]

NEW = "new upstream"


class Known(NamedTuple):
    """What the Catalogue has of one Entry, and what upstream claimed of it when it was fetched; a row as it comes."""

    path: str
    length: int
    version: str | None
    modified: float | None
    sha256: bytes
    digests: str | None
    """As JSON: of millions of Entries hardly one is asked for it."""


class Step(msgspec.Struct, frozen=True):
    """One thing to do, and why. `stat` is None for a removal; `bytes` are those we hold of a file that goes."""

    action: Action
    path: str
    reason: str
    stat: Stat | None = None
    bytes: int = 0
