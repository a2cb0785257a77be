"""The errors of S3 answers: one table for codes, one for statuses.

Some errors come with status 200: a server that copies or joins for minutes has sent its headers before it fails.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

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
    answering,
    of_gateway,
)

Writes = Literal["", "body", "copy"]

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


class BadArgument(Unsupported):
    """The server does not accept a value of the request: the number of a part, for example."""


class PartTooSmall(PermanentError):
    """A part that is not the last one is smaller than the server accepts; `least` is the size it names, or 0."""

    least = 0


_QUOTA = message("free some space or raise the quota")
_RIGHTS = message("are the credentials right, and do they grant this request?")
_REGION = message("the bucket is in another region: set `region`")
_ADDRESS = message("set `addressing: virtual`, and give the endpoint by its name")
_BODY = message(
    "free some space or raise the quota; if the server has enough, a proxy in front of it limits the size of a body "
    "(nginx: client_max_body_size)"
)
VIRTUAL_ONLY = frozenset({
    "SecondLevelDomainForbidden", "PathStyleDomainForbidden", "VirtualHostDomainRequired", "InvalidPathAccess",
})  # fmt: skip
"""Codes of servers that take the bucket in the host name only: Aliyun OSS, Tencent COS, Huawei OBS, TOS."""
_FULL_CODE = re.compile(
    r"(?!.*(?:throttl|qps|bps|request|rate))"
    r".*(?:quota|storage_?full|disk_?full|no_?space|insufficient_?(?:storage|space|capacity)"
    r"|(?:storage|capacity)\w*(?:limit|exceed)|(?:limit|exceed)\w*(?:storage|capacity))",
    re.IGNORECASE | re.DOTALL,
)
_FULL_TEXT = re.compile(
    r"(?!.*(?:throttl|requests\b|request rate|\brate\b|bandwidth|per second))"
    r".*(?:\bquota\b|\b(?:storage|disk|bucket|volume) (?:is )?full\b|no space left"
    r"|insufficient (?:storage|space|capacity)"
    r"|storage (?:cap|limit|space)[\w ]{0,20}exceeded|exceed[\w ]{0,30}storage)",
    re.IGNORECASE | re.DOTALL,
)
_FULL_STATUSES = frozenset({400, 403, 409, 413, 422, 500, 507})
_GONE = ("NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion", "NotFound")

# The error of a code, else of a status, and what to do about it.
_BY_CODE: dict[str, tuple[type[SyncdError], str]] = {
    **dict.fromkeys(_BUSY, (Refused, "")),
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
    "EntityTooSmall": (PartTooSmall, message("set `parts.least` of the store")),
    "NotImplemented": (Unimplemented, ""),
    **dict.fromkeys(("InvalidArgument", "InvalidPartNumber", "TooManyParts"), (BadArgument, "")),
    **dict.fromkeys(VIRTUAL_ONLY, (Denied, _ADDRESS)),
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


def failure(
    status: int, body: bytes, path: str, retry_after: float | None = None, *, action: str = "", writes: Writes = ""
) -> SyncdError:
    """Return the error of an answer that is no success.

    `action` is the right that the request needs; `writes` is what it writes: a body, or the copy of an object.
    """
    code, text = read_error(body)
    other: tuple[type[SyncdError], str] = (Unreachable if status >= 500 else PermanentError, "")
    known = None if status in (429, 503) else _BY_CODE.get(code)  # busy servers write any code
    kind, advice = _full(status, code, text or _plain(body), writes) or known or _BY_STATUS.get(status, other)
    if kind is NotFound:
        return _missing(code, path)
    if kind is Archived and (stored := read_texts(body, ("StorageClass",)).get("StorageClass")):
        code = f"{code} ({stored[:40]})"
    if advice is _RIGHTS and action:
        advice = message("are the credentials right, and do they grant {action}?", action=action)
    is_of_gateway = status in (502, 504) or (status == 503 and not code)
    said = f"{path}: S3 answers {status} {code}: {text}".rstrip(": ")
    if advice:
        said = f"{said}{'; ' if kind is NoSpace else ': '}{advice}"
    if kind is PartTooSmall:
        small = PartTooSmall(said)
        least = read_texts(body, ("MinSizeAllowed",)).get("MinSizeAllowed", "").strip()
        small.least = int(least[:18]) if least.isascii() and least.isdigit() else 0
        return small
    if not issubclass(kind, Unreachable | Refused):
        return kind(said)
    error = kind(said, retry_after=retry_after)
    if isinstance(error, Unreachable):
        answering(error)
    return of_gateway(error) if is_of_gateway else error


def _full(status: int, code: str, text: str, writes: Writes) -> tuple[type[SyncdError], str] | None:
    """Return the error of a store that is full, whatever its code; None for other answers."""
    if not writes:
        return None
    if status == 507 or (status == 503 and re.search(r"storage_?full|disk_?full", code, re.IGNORECASE)):
        return NoSpace, _QUOTA
    if status not in _FULL_STATUSES:
        return None
    if (code and _FULL_CODE.match(code)) or _FULL_TEXT.match(text):
        return NoSpace, _QUOTA
    if writes == "body" and (
        code == "EntityTooLarge" or (status == 413 and code)
    ):  # no body of ours is larger than S3 allows
        return NoSpace, _BODY
    return (TooLarge, _BODY) if status == 413 else None


def _plain(body: bytes) -> str:
    """Return the beginning of a document that is not of S3, as text."""
    return "" if b"<Error>" in body else body[:2000].decode("utf-8", "replace")


def hidden_failure(body: bytes, path: str, *, writes: Writes = "") -> SyncdError | None:
    """Return the error in a body of status 200, or None."""
    start = body.lstrip()[:512]
    if re.match(rb"(?:<\?xml[^>]*\?>\s*)?<Error[\s>]", start) is None:
        return None
    code, _ = read_error(body)
    status = 503 if code in _BUSY else 500 if code in {"", "InternalError"} else 400
    return failure(status, body, path, writes=writes)


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
