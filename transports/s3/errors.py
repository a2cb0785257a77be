"""The errors of S3 answers: one table for codes, one for statuses.

Some errors come with status 200: a server that copies or joins for minutes has sent its headers before it fails.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from manifests.messages import message
from manifests.reading import Doctype, XmlElement, XmlError, xml_events
from syncd.core import (
    Archived,
    Changed,
    CredentialRefused,
    Denied,
    Interrupted,
    NoSpace,
    NotFound,
    PermanentError,
    Refused,
    SyncdError,
    TooLarge,
    Unreachable,
    Unsafe,
    Unsupported,
)

MAX_ERROR = 1 << 16  # bytes of an error document

_BUSY = frozenset({
    "SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded",
    "BandwidthLimitExceeded", "OperationAborted", "ConditionalRequestConflict",
})  # fmt: skip


_REJECTED = frozenset({
    "ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidAccessKeyId", "InvalidClientTokenId",
    "TokenRefreshRequired", "SignatureDoesNotMatch", "RequestExpired", "UnrecognizedClientException",
})  # fmt: skip
"""Codes that concern the keys of a request, whatever it asked for."""


class NoSuchUpload(NotFound):
    """The multipart upload is over: completed, aborted, or never begun."""


class NoSuchBucket(NotFound):
    """There is no such bucket."""


class BadDigest(Interrupted):
    """The bytes that the server received do not match their checksum."""


class Precondition(Changed):
    """A condition of the request is not met."""


class Unimplemented(Unsupported):
    """The server does not have this operation, or does not know a header of the request."""


_QUOTA = message("free some space or raise the quota")
_RIGHTS = message("are the credentials right, and do they grant this request?")
_REGION = message("the bucket is in another region: set `region`")
_GONE = ("NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion", "NotFound")

# The error of a code, else of a status, and what to do about it.
_BY_CODE: dict[str, tuple[type[SyncdError], str]] = {
    **dict.fromkeys(_BUSY, (Refused, "")),
    **dict.fromkeys(
        ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "XMinioAdminBucketQuotaExceeded"),
        (NoSpace, _QUOTA),
    ),
    **dict.fromkeys(
        ("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"), (BadDigest, "")
    ),
    **dict.fromkeys(("InternalError", "RequestTimeout", "IncompleteBody"), (Interrupted, "")),
    **dict.fromkeys(_GONE, (NotFound, "")),
    **dict.fromkeys(_REJECTED, (CredentialRefused, _RIGHTS)),
    "AuthorizationHeaderMalformed": (Denied, _RIGHTS),
    "RequestTimeTooSkewed": (
        Denied,
        message("the clocks of this machine and the server differ too much: set the clock"),
    ),
    "InvalidObjectState": (
        Archived,
        message("restore it first (aws s3api restore-object), or exclude it (source.exclude)"),
    ),
    "PreconditionFailed": (Precondition, ""),
    "EntityTooLarge": (TooLarge, ""),
    "NotImplemented": (Unimplemented, ""),
}
_BY_STATUS: dict[int, tuple[type[SyncdError], str]] = {
    **dict.fromkeys((301, 307), (Denied, _REGION)),
    **dict.fromkeys((400, 416), (Unsupported, "")),
    **dict.fromkeys((405, 501), (Unimplemented, "")),
    **dict.fromkeys((401, 403), (Denied, _RIGHTS)),
    **dict.fromkeys((404, 410), (NotFound, "")),
    409: (Refused, ""),
    412: (Precondition, ""),
    413: (TooLarge, ""),
    429: (Refused, ""),
    500: (Interrupted, ""),
    503: (Refused, ""),
    507: (NoSpace, _QUOTA),
}


def failure(status: int, body: bytes, path: str, retry_after: float | None = None) -> SyncdError:
    """Return the error of an answer that is no success."""
    code, message = read_error(body)
    other: tuple[type[SyncdError], str] = (Unreachable if status >= 500 else PermanentError, "")
    known = None if status in (429, 503) else _BY_CODE.get(code)  # busy servers write any code
    kind, advice = known or _BY_STATUS.get(status, other)
    if kind is NotFound:
        return _missing(code, path)
    if kind is Archived and (stored := read_texts(body, ("StorageClass",)).get("StorageClass")):
        code = f"{code} ({stored[:40]})"
    said = f"{path}: S3 answers {status} {code}: {message}".rstrip(": ")
    if advice:
        said = f"{said}{'; ' if kind is NoSpace else ': '}{advice}"
    return kind(said, retry_after=retry_after) if issubclass(kind, Refused | Unreachable) else kind(said)


def hidden_failure(body: bytes, path: str) -> SyncdError | None:
    """Return the error in a body of status 200, or None."""
    start = body.lstrip()[:512]
    if re.match(rb"(?:<\?xml[^>]*\?>\s*)?<Error[\s>]", start) is None:
        return None
    code, _ = read_error(body)
    return failure(503 if code in _BUSY else 500 if code in {"", "InternalError"} else 400, body, path)


def read_error(body: bytes) -> tuple[str, str]:
    """Return code and message of an error document; both "" for another document."""
    texts = read_texts(body, ("Code", "Message"))
    return texts.get("Code", "")[:100], " ".join(texts.get("Message", "").split())[:300]


def read_texts(body: bytes, names: tuple[str, ...]) -> dict[str, str]:
    """Return the text of each element of `names`; of a broken document, those before the error."""
    opened: list[XmlElement] = []
    with suppress(XmlError):
        for opens, element in xml_events((body,)):
            if opens and element.name in names:
                opened.append(element)
    return {element.name: element.text for element in reversed(opened)}  # of several, the first one's


@contextmanager
def refused_xml(label: str) -> Iterator[None]:
    """Raise Unsafe and PermanentError for XML that is invalid or not allowed; their text begins with `label`."""
    try:
        yield
    except Doctype as error:
        raise Unsafe(message("{label} {cause}", label=label, cause=error)) from error
    except XmlError as error:
        raise PermanentError(message("{label} {cause}", label=label, cause=error)) from error


def _missing(code: str, path: str) -> NotFound:
    if code == "NoSuchUpload":
        return NoSuchUpload(message("{path}: the multipart upload no longer exists", path=path))
    if code == "NoSuchBucket":
        return NoSuchBucket(message("{path}: no such bucket: create it, or correct its name", path=path))
    return NotFound(message("{path}: no such object", path=path))
