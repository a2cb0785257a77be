"""What was learnt of an S3 server: by trying before the first write, and from its answers later.

Rule 1: a server is taken for a usual one until it says otherwise; so the usual servers get no request more.
Rule 2: what was learnt holds until the process ends. A server that learns to do more is asked again after a restart.
"""

import logging

import msgspec

_log = logging.getLogger(__name__)

MOST_PARTS = 10_000  # parts of one upload that AWS takes
LEAST_PART = 5 << 20  # bytes of a part, of AWS and most others


class ServerChecks(msgspec.Struct, frozen=True):
    """`md5`, `sha256`: a wrong digest is refused. `if_none_match`: a create-only put refuses to replace."""

    md5: bool
    sha256: bool
    if_none_match: bool


class S3Traits:
    """The habits of one server, learnt one by one."""

    def __init__(self, checks: ServerChecks | None = None) -> None:
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
        self._may_delete = True

    def may_not_delete(self, text: str) -> None:
        """Warn, once, that the credentials may not delete what was only needed for a while."""
        if self._may_delete:
            _log.warning("%s; it stays, and does no harm", text)
        self._may_delete = False
