"""Tells how a file upstream differs from the Entry, and whether that must be asked before it is believed. Pure.

A listing's stamp is a reason to ask, not a proof: clocks change their zone, servers their way to write dates, and one
file has another ETag at each of several servers.
"""

import msgspec

from manifests.messages import message, plain
from manifests.snapshot import Entry, Origin
from manifests.stamps import Doubt, is_less_exact, is_validator, names_content
from manifests.stat import Stat
from syncd.core import Known, Step

YOUNG = message("its stamp is too young to prove that it is unchanged")
REWRITTEN = message("it was read in the moment in which it was modified, so only its bytes prove that it is unchanged")

_encode = msgspec.json.Encoder(enc_hook=plain).encode
_digests = msgspec.json.Decoder(dict[str, str]).decode
_DAMAGED = "damaged"  # the version of an Entry that must be replaced


def known_of(entry: Entry, origin: Origin) -> Known:
    """Return a file that we have in the form that a plan compares."""
    digests = _encode(origin.digests).decode() if origin.digests else None
    return Known(entry.path, entry.size, origin.version, origin.modified, bytes.fromhex(entry.sha256), digests)


def changed(known: Known, stat: Stat) -> str | None:
    """Return why upstream's file differs from the Entry, or None if no difference is known."""
    _, size, version, modified, sha256, digests = known
    if stat.digests:
        held = {**(_digests(digests) if digests else {}), "sha256": sha256.hex()}
        common = [algorithm for algorithm in stat.digests if algorithm in held]
        for algorithm in common:
            if stat.digests[algorithm] != held[algorithm]:
                return message(
                    "{algorithm} {before}… became {after}…",
                    algorithm=algorithm,
                    before=held[algorithm][:12],
                    after=stat.digests[algorithm][:12],
                )
        if common:
            return None
    if stat.size is not None and stat.size != size:
        return message("{before} bytes became {after}", before=size, after=stat.size)
    if stat.version is not None and version is not None:
        return (
            None
            if stat.version == version or is_less_exact(version, stat.version)
            else message("version {before} became {after}", before=version, after=stat.version)
        )
    if stat.modified is not None and modified is not None and stat.modified != modified:
        return message("modified {before:.0f} became {after:.0f}", before=modified, after=stat.modified)
    return None


def is_stamp_only(known: Known, stat: Stat, *, native: bool) -> bool:
    """Return True if `changed` found nothing but another stamp of a file that may be the same.

    `native` claims are the Transport's own: only several ETags of one file, of one time and size, remain a question.
    """
    _, length, version, modified, _, digests = known  # a row of the Catalogue is a plain tuple
    if version == _DAMAGED or names_content(stat.version):
        return False
    if stat.digests and not stat.digests.keys().isdisjoint({"sha256", *(_digests(digests) if digests else ())}):
        return False
    has_same_time = stat.modified is not None and stat.modified == modified
    if stat.size is not None and stat.size != length:
        # the listing said the same before: its size is not that of the file
        return not native and (has_same_time if stat.version is None else stat.version == version)
    if native:
        return has_same_time and (stat.version or "").startswith('"')
    return True


def doubted(stat: Stat, doubt: Doubt, size: int) -> Step | None:
    """Return the step for a file of `size` bytes without a known difference whose stamp proves nothing yet."""
    if stat.digests:
        return None
    if doubt == "ask":
        return Step("ask", stat.path, YOUNG, stat, size)
    return Step("replace", stat.path, REWRITTEN, stat, size) if doubt == "read" else None


def is_unchanged(entry: Entry, origin: Origin, found: Stat, *, several_etags: bool) -> bool:
    """Return True if the answer to a question is of the bytes that we have.

    `several_etags`: the servers of this source are known to give one file several ETags; time and size tell then.
    """
    if found.size is not None and found.size != entry.size:
        return False
    version, modified = validator_of(origin)
    if version is None or found.version is None:
        return False
    if found.version == version:
        return True
    if modified is None or found.modified != modified or found.size is None:
        return False
    return several_etags or not (version.startswith('"') and found.version.startswith('"'))


def validator_of(origin: Origin) -> tuple[str | None, float | None]:
    """Return the version and time of the answer that brought an Entry's bytes, None if it had none."""
    if origin.answer_version is not None or origin.answer_modified is not None:
        return origin.answer_version or (origin.version if is_validator(origin.version) else None), (
            origin.answer_modified if origin.answer_modified is not None else origin.modified
        )
    return (origin.version, origin.modified) if is_validator(origin.version) else (None, None)
