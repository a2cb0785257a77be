"""What was learnt of an S3 server: by trying before the first write, and from its answers later.

Rule 1: a server is taken for a usual one until it says otherwise; so the usual servers get no request more.
Rule 2: what was learnt holds until the process ends. A server that learns to do more is asked again after a restart.
"""

import logging
import re

import msgspec

_warnings = logging.getLogger(__name__)  # shown as those of libraries are, by each command too

MOST_PARTS = 10_000  # parts of one upload that AWS takes
MIB = 1 << 20
_LIMIT = re.compile(r"(?:between 1 and|maximum|at most|limit|exceed)\D{0,30}(\d{1,6})\b", re.IGNORECASE)


class ServerChecks(msgspec.Struct, frozen=True):
    """`md5`, `sha256`: a wrong digest is refused. `if_none_match`: a create-only put refuses to replace.

    `payload`: other bytes than those of the sha256 that is signed are refused.
    """

    md5: bool
    sha256: bool
    if_none_match: bool
    payload: bool = False

    @property
    def verifies_parts(self) -> bool:
        """True if the server verifies each body, also that of a part."""
        return self.md5 or self.payload


class S3Traits:
    """The habits of one server, learnt one by one."""

    def __init__(
        self, checks: ServerChecks | None = None, *, most_parts: int = MOST_PARTS, least_part: int = 0
    ) -> None:
        self.most_parts = most_parts
        """The parts of one upload that it takes."""
        self.least_part = least_part
        """The bytes of a part, but the last, that it takes."""
        self.proved_parts = 1_000
        """The number of a part that it certainly takes, unless it says otherwise."""
        self.checks = checks
        """What it verifies, once it was tried."""
        self.has_own_etags = False
        """Its ETags of objects and parts are no MD5s."""
        self.has_own_joined_etags = False
        """Its ETags of joined objects are not made of the MD5s of the parts."""
        self.copies = True
        """It copies objects."""
        self.copies_parts = True
        """It copies ranges of objects into an upload."""
        self.copies_conditionally = True
        """It copies a certain version of an object only, if asked to."""
        self.creates_conditionally = True
        """It can refuse to replace an object."""
        self.joins_in_place: bool | None = None
        """Joined bytes are right if their parts were: an upload may end at its final path. None: not tried yet."""
        self.joins_conditionally = True
        """It can refuse to replace an object by a joined one."""
        self._may_delete = True

    def may_not_delete(self, text: str) -> None:
        """Warn, once, that the credentials may not delete what was only needed for a while."""
        if self._may_delete:
            _warnings.warning("%s; it stays, and does no harm", text)
        self._may_delete = False

    def part_size(self, size: int | None, piece: int) -> int:
        """Return the size of a part of a file: a piece, or as many MiB as keep the file within the limits."""
        least = max(piece, self.least_part)
        return least if size is None else max(least, -(-size // self.most_parts // MIB) * MIB)

    def learn_most_parts(self, number: int, text: str) -> None:
        """Learn from the refusal of part `number`, whose text may name the limit."""
        named = [int(digits) for digits in _LIMIT.findall(text) if 0 < int(digits) < number]
        self.most_parts = max(1, min(self.most_parts, max(named, default=min(number - 1, 1_000))))

    def learn_least_part(self, step: int, named: int) -> None:
        """Learn that parts of `step` bytes are too small; `named` is the size that the server names, or 0."""
        self.least_part = max(named, 2 * step) if named <= step else named
