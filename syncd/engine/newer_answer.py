"""Judges an answer whose file has another size than the listing said: grown, changed meanwhile, or wrong. Pure.

A listing's size binds less than a consistent answer that is newer: without a promised checksum, the answer's own whole
version is taken. With one, the next survey must show the new checksum first.
"""

from collections.abc import Mapping

from manifests.messages import message
from manifests.stamps import MINUTE, ZONES, has_zone
from manifests.stat import Stat
from syncd.core import FINAL_REPLY, Changed, Mismatch
from syncd.engine.verdict import has_digest


def expected_size(stat: Stat, answered: Stat) -> int | None:
    """Return the size that a body must have, None if nothing tells it. Raises Changed, Mismatch."""
    listed, size = stat.size, answered.size
    if listed is None or size is None or listed == size:
        return size if listed is None else listed
    if overrides(stat, answered):
        return size
    if changed_meanwhile(stat, answered):
        raise Changed(
            message(
                "{path}: changed while being read: {size} bytes listed, upstream now announces {announced}",
                path=stat.path,
                size=listed,
                announced=size,
            )
        )
    raise Mismatch(
        message(
            "{path}: {size} bytes promised, upstream now announces {announced}",
            path=stat.path,
            size=listed,
            announced=size,
        )
    )


def overrides(stat: Stat, answered: Stat) -> bool:
    """Return True if the size of the answer counts, and not the listing's.

    The answer must have a length and a validator, so that its version is whole, and must not be older.
    """
    return (
        answered.size is not None
        and answered.version is not None
        and not has_digest(stat)
        and not _is_older(stat, answered)
    )


def ends_itself(answered: Stat, headers: Mapping[str, str], *, is_decoded: bool) -> bool:
    """Return True if an answer without a length shows its end: in chunks, by its content coding, by a last reply."""
    return answered.size is None and (
        is_decoded or FINAL_REPLY in headers or "chunked" in headers.get("transfer-encoding", "")
    )


def overrides_unsized(stat: Stat, answered: Stat, headers: Mapping[str, str]) -> bool:
    """As `overrides`, for an answer that `ends_itself`: what arrives by then may be its whole version.

    An answer with the version of the listing has its size, too.
    """
    if has_digest(stat):
        return False
    if answered.version is None and answered.modified is None and FINAL_REPLY not in headers:
        return False
    return (answered.version is None or answered.version != stat.version) and not _is_older(stat, answered)


def is_plausible(stat: Stat, answered: Stat, size: int) -> bool:
    """Return True if an answer of `size` bytes without a length is newer: grown, or of a later time.

    A shorter one of the same time may have been cut by a proxy that ended it properly.
    """
    return stat.size is None or size > stat.size or changed_meanwhile(stat, answered)


def changed_meanwhile(stat: Stat, answered: Stat) -> bool:
    """Return True if the answer shows that the file was changed after the listing was made."""
    if answered.modified is None or stat.modified is None:
        return False
    return answered.modified > stat.modified + MINUTE + (0.0 if has_zone(stat.version) else ZONES)


def _is_older(stat: Stat, answered: Stat) -> bool:
    if answered.modified is None or stat.modified is None:
        return False
    return answered.modified < stat.modified - MINUTE - (0.0 if has_zone(stat.version) else ZONES)
