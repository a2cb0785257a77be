"""What an S3 server means by a status and an error document, in our words.

Some errors come with status 200: a server that copies or joins for minutes has sent its headers long before it fails.
"""

import re
from xml.parsers import expat

from syncd.core import (
    Changed,
    Denied,
    Interrupted,
    NoSpace,
    NotFound,
    PermanentError,
    Refused,
    SyncdError,
    TooLarge,
    Unreachable,
    Unsupported,
)

MAX_ERROR = 1 << 16  # bytes of an error document

_BUSY = frozenset({
    "SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded",
    "BandwidthLimitExceeded", "OperationAborted", "ConditionalRequestConflict",
})  # fmt: skip
_BROKEN = frozenset({"InternalError", "RequestTimeout", "IncompleteBody"})
_GARBLED = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"})
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "XMinioAdminBucketQuotaExceeded"})
_GONE = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion", "NotFound"})
_CLOCK = "the clock of this machine and the server's differ too much: set the clock"


class NoSuchUpload(NotFound):
    """The multipart upload is over: completed, aborted, or never begun."""


class NoSuchBucket(NotFound):
    """There is no such bucket."""


class BadDigest(Interrupted):
    """The bytes that arrived there are not those of the digest that came with them."""


class Precondition(Changed):
    """A condition that came with the request does not hold."""


def failure(status: int, body: bytes, path: str, retry_after: float | None = None) -> SyncdError:
    """Return what to raise for an answer that is no success."""
    code, message = read_error(body)
    said = f"{path}: S3 answers {status} {code}: {message}".rstrip(": ")
    if code in _BUSY or status in {429, 503}:
        return Refused(said, retry_after=retry_after)
    if code in _FULL or status == 507:
        return NoSpace(f"{said}; free some space or raise the quota")
    if code in _GARBLED:
        return BadDigest(said)
    if code in _BROKEN:
        return Interrupted(said)
    if code in _GONE or status in {404, 410}:
        return _missing(code, path)
    if code == "RequestTimeTooSkewed":
        return Denied(f"{said}: {_CLOCK}")
    if status in {401, 403} or code in {"ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"}:
        return Denied(f"{said}: are the credentials right, and may they do this?")
    if status == 412 or code == "PreconditionFailed":
        return Precondition(said)
    if code == "EntityTooLarge" or status == 413:
        return TooLarge(said)
    if status == 409:
        return Refused(said, retry_after=retry_after)
    if status >= 500 and status != 501:
        return Interrupted(said) if status == 500 else Unreachable(said, retry_after=retry_after)
    if status in {301, 307}:
        return Denied(f"{said}: the bucket is in another region: give `region`")
    return Unsupported(said) if status in {400, 405, 416, 501} else PermanentError(said)


def hidden_failure(body: bytes, path: str) -> SyncdError | None:
    """Return the error that a body of status 200 holds, or None."""
    start = body.lstrip()[:512]
    if re.match(rb"(?:<\?xml[^>]*\?>\s*)?<Error[\s>]", start) is None:
        return None
    code, _ = read_error(body)
    return failure(503 if code in _BUSY else 500 if code in {"", "InternalError"} else 400, body, path)


def read_error(body: bytes) -> tuple[str, str]:
    """Return code and message of an error document; both "" if it is none."""
    texts = read_texts(body, ("Code", "Message"))
    return texts.get("Code", "")[:100], " ".join(texts.get("Message", "").split())[:300]


def read_texts(body: bytes, names: tuple[str, ...]) -> dict[str, str]:
    """Return the first text of each element among `names`; what cannot be parsed gives what came before it."""
    found: dict[str, str] = {}
    stack: list[str] = []

    def begin(name: str, _: dict[str, str]) -> None:
        stack.append(name.rpartition(":")[2])

    def end(_: str) -> None:
        stack.pop()

    def text(characters: str) -> None:
        if stack and stack[-1] in names:
            found[stack[-1]] = found.get(stack[-1], "") + characters

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, text
    parser.StartDoctypeDeclHandler = refuse_doctype
    try:
        parser.Parse(body.strip(), True)
    except (expat.ExpatError, Doctype):
        return found
    return found


class Doctype(ValueError):
    """A document type declaration: nobody needs one here, and entities are how XML explodes."""


def refuse_doctype(name: str, system: str | None, public: str | None, internal: bool) -> None:
    """Raise Doctype."""
    del system, public, internal
    raise Doctype(f"a document type declaration ({name[:40]}) is refused")


def _missing(code: str, path: str) -> NotFound:
    if code == "NoSuchUpload":
        return NoSuchUpload(f"{path}: there is no such upload any more")
    if code == "NoSuchBucket":
        return NoSuchBucket(f"{path}: there is no such bucket: create it, or correct its name")
    return NotFound(f"{path}: no such object")
