"""What we proved: an Entry for each file, and the Snapshot that lists them all and names itself by its content.

Entries are sorted by path (code points, which is UTF-8 byte order) and cut into shards after every path whose xxh3-64
is divisible by 16,384: a cut depends on nothing but the path itself, so the same content gives the same shards whatever
the history, and a change of k files touches at most 2k of them.
"""

from typing import Literal

import msgspec
import xxhash

CUT_EVERY = 16_384

Verdict = Literal["verified", "attested"]


class Entry(msgspec.Struct, frozen=True):
    """One file as we proved it. Digests are lower-case hex. This, and nothing else, is a Snapshot's content."""

    path: str
    size: int
    sha256: str
    xxh3: str = msgspec.field(name="xxh3-128")


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an Entry came from: what upstream claimed when we fetched it, and how it was proved.

    `size`, `modified`, `version` and `digests` are the Stat's own claims, so that the next inventory can be compared
    with them. `verdict` is `verified` (a published digest matched; `by` says whose) or `attested` (upstream published
    none). `proved` is when, in seconds since the epoch, UTC.
    """

    path: str
    url: str
    verdict: Verdict
    proved: float
    size: int | None = None
    modified: float | None = None
    version: str | None = None
    digests: dict[str, str] = {}
    by: str = ""


def is_cut(path: str) -> bool:
    """Tell whether a shard ends after this path."""
    return xxhash.xxh3_64_intdigest(path.encode()) % CUT_EVERY == 0
