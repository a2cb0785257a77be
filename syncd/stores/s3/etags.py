"""What the ETag of an object or a part proves, for servers that make it of MD5s and for those that do not.

Rule 1: an ETag is the MD5 of the bytes, or of the MD5s of the parts with `-N`, in either case of letters.
Rule 2: with encryption by keys of the server or the client (SSE-KMS, SSE-C), and on some servers always, it is the
server's own. It may have 32 digits, too, and has to be given back as the server wrote it.
"""

import hashlib
import re
from collections.abc import Mapping

_MD5 = re.compile(r"[0-9a-fA-F]{32}")


def bare(etag: str | None) -> str:
    """Return an ETag without its quotes; "" if there is none."""
    return (etag or "").strip().removeprefix("W/").strip('"')


def is_md5_of(etag: str | None, md5: bytes) -> bool:
    """Return True if an ETag is this MD5."""
    return bare(etag).lower() == md5.hex()


def md5_in(etag: str | None) -> bytes | None:
    """Return the MD5 that an ETag has the form of, or None."""
    found = bare(etag)
    return bytes.fromhex(found) if _MD5.fullmatch(found) is not None else None


def is_same(etag: str | None, other: str | None) -> bool:
    """Return True if two ETags are equal, with or without quotes and in either case of letters."""
    return bare(etag).lower() == bare(other).lower() != ""


def joined_etag(md5s: Mapping[int, bytes | None]) -> str:
    """Return the ETag of an object joined from parts of these MD5s, by number; "" if one is not known."""
    whole = hashlib.md5(usedforsecurity=False)
    for number in sorted(md5s):
        md5 = md5s[number]
        if md5 is None:
            return ""
        whole.update(md5)
    return f"{whole.hexdigest()}-{len(md5s)}"


def is_encrypted(headers: Mapping[str, str]) -> bool:
    """Return True if an answer says that the object is encrypted so that its ETag is no MD5."""
    if "x-amz-server-side-encryption-customer-algorithm" in headers:
        return True
    return headers.get("x-amz-server-side-encryption", "AES256") != "AES256"
