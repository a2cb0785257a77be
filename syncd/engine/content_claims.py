"""By what held content is recognised: checksums, or upstream's claims of size and version. Pure.

Rules:
1. A checksum without known collisions (`manifests.digest.STRONG`) tells alone.
2. Any other one, and upstream's size with its version or time, is a reason to compare ranges, and only within one
   upstream.
3. A time tells only of files of one name; an ETag that is made of a time, as well.
"""

import posixpath

import msgspec

from manifests.digest import KNOWN, STRONG
from manifests.stamps import is_validator, names_content, resolution
from manifests.stat import Stat
from syncd.catalogue import HeldBytes, claim_key, digest_key

MOST_KEYS = 3  # of one file, beside its sha256
DAMAGED = "damaged"  # the version of an Entry whose bytes must be replaced


class Evidence(msgspec.Struct, frozen=True):
    """What content must have to be the wanted one: a checksum of `algorithm`, or with "" upstream's claim `value`."""

    algorithm: str
    value: str
    name: str = ""
    """The last part of the path that it must have; "" for any."""

    @property
    def key(self) -> int:
        """Return the key in the index."""
        return digest_key(self.algorithm, self.value) if self.algorithm else claim_key(self.value)

    @property
    def is_strong(self) -> bool:
        """Return True if it tells alone."""
        return self.algorithm in STRONG

    def fits(self, stored: HeldBytes) -> bool:
        """Return True if stored content has it."""
        if stored.version == DAMAGED:
            return False
        if self.algorithm == "sha256":
            return stored.sha256 == self.value
        if self.algorithm:
            return stored.digests.get(self.algorithm) == self.value
        if self.name and posixpath.basename(stored.path) != self.name:
            return False
        return _claim(stored.bytes, stored.modified, stored.version) == self.value


def evidence_of(stat: Stat) -> list[Evidence]:
    """Return what content must have one of to be the file that upstream describes, the best first."""
    promised = [Evidence(name, value) for name, value in stat.digests.items() if name in KNOWN]
    if strong := [one for one in promised if one.is_strong]:
        return sorted(strong, key=lambda one: one.algorithm != "sha256")
    if promised:
        return promised
    claim = _claim(stat.size, stat.modified, stat.version)
    if not claim:
        return []
    tells_alone = is_validator(stat.version) and not resolution(stat.version)
    return [Evidence("", claim, "" if tells_alone else posixpath.basename(stat.path))]


def evidence_in(stored: HeldBytes) -> list[Evidence]:
    """Return all evidence that stored content has: what `evidence_of` may return for it under another path."""
    if stored.version == DAMAGED:
        return []
    found = [Evidence("sha256", stored.sha256), *(Evidence(name, value) for name, value in stored.digests.items())]
    if claim := _claim(stored.bytes, stored.modified, stored.version):
        found += [Evidence("", claim), Evidence("", claim, posixpath.basename(stored.path))]
    return found


def keys_of(stored: HeldBytes) -> list[int]:
    """Return the keys under which stored content is indexed: at most `MOST_KEYS` beside its sha256; mostly one."""
    keys = [digest_key("sha256", stored.sha256)]
    promised = [(name, value) for name, value in stored.digests.items() if name in KNOWN and name != "sha256"]
    if promised:
        keys += [digest_key(name, value) for name, value in promised[:MOST_KEYS]]
    elif not stored.digests and (claim := _claim(stored.bytes, stored.modified, stored.version)):
        keys.append(claim_key(claim))
    return keys


def _claim(size: int | None, modified: float | None, version: str | None) -> str:
    """Return what upstream says of a file's content, or ""."""
    if size is None:
        return ""
    if is_validator(version) or names_content(version):
        return f"{size} {version}"
    return f"{size} {modified:.0f}" if modified is not None else ""
