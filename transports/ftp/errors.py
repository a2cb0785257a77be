"""The meaning of what goes wrong on an FTP connection: our own errors for those of aioftp, by the codes of replies."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import aioftp

from manifests.messages import message
from syncd.core import (
    CredentialRefused,
    Denied,
    Interrupted,
    NotFound,
    Refused,
    SyncdError,
    Unreachable,
    Unsafe,
    Unsupported,
)
from transports.net import one_line

_FULL = ("too many", "maximum", "try again", "limit", "busy", "overload")
_FORBIDDEN = ("permission", "denied", "not allowed", "not permitted", "forbidden", "access")


@contextmanager
def translated_errors(label: str, origin: str, *, login: str = "", broken: bool = False) -> Iterator[None]:
    """Raise our own errors for those of aioftp; `broken` is True during a body."""
    try:
        yield
    except SyncdError:
        raise
    except aioftp.StatusCodeError as error:
        raise _meaning(label, origin, error, login, broken=broken) from error
    except ssl.SSLCertVerificationError as error:
        raise Denied(
            message(
                "{label}: {origin} presents an invalid certificate: {verify_message}",
                label=label,
                origin=origin,
                verify_message=error.verify_message,
            )
        ) from error
    except ssl.SSLError as error:
        raise Denied(
            message("{label}: TLS with {origin} failed: {line}", label=label, origin=origin, line=one_line(error))
        ) from error
    except TimeoutError as error:
        raise Unreachable(message("{label}: {origin} sent no reply in time", label=label, origin=origin)) from error
    except aioftp.AIOFTPException as error:
        raise Unsafe(message("{label}: not a valid FTP command: {line}", label=label, line=one_line(error))) from error
    except OSError as error:
        kind = Interrupted if broken else Refused
        raise kind(
            message("{label}: {origin} closed the connection: {line}", label=label, origin=origin, line=one_line(error))
        ) from error
    except UnicodeEncodeError as error:
        raise NotFound(
            message(
                "{label}: cannot be encoded in {encoding}, as {origin} needs",
                label=label,
                encoding=error.encoding,
                origin=origin,
            )
        ) from error
    except (ValueError, IndexError) as error:
        raise Refused(
            message(
                "{label}: {origin} sent an invalid FTP reply: {line}", label=label, origin=origin, line=one_line(error)
            )
        ) from error


def _meaning(label: str, origin: str, error: aioftp.StatusCodeError, login: str, *, broken: bool) -> SyncdError:
    code = str(error.received_codes[-1])
    lines = error.info if isinstance(error.info, list) else [error.info]
    said = "".join(one if one.isprintable() else "?" for one in " ".join(line.strip(" -") for line in lines))[:200]
    answer = f"{origin} answers {code} {said}".rstrip()
    low = said.lower()
    if code == "421" or (code.startswith(("4", "5")) and code != "550" and any(word in low for word in _FULL)):
        return Refused(message("{label}: {answer}", label=label, answer=answer))
    if code == "534" or "AUTH" in low.upper().split() or (code in ("502", "504") and "234" in error.expected_codes):
        return Denied(
            message(
                "{label}: TLS with {origin} failed: it answers {status} {said}; ftp:// connects without encryption",
                label=label,
                origin=origin,
                status=code,
                said=said,
            )
        )
    if login:
        who = (
            message("no anonymous access: name a credential")
            if login == "anonymous"
            else message("is the credential still valid?")
        )
        kind = Denied if login == "anonymous" else CredentialRefused
        return kind(message("{label}: {answer}: {who}", label=label, answer=answer, who=who))
    if code in ("530", "532", "553") or (code == "550" and any(word in low for word in _FORBIDDEN)):
        return Denied(message("{label}: {answer}", label=label, answer=answer))
    if code == "550":
        return NotFound(message("{label}: {answer}", label=label, answer=answer))
    if code.startswith("4") or broken:
        return Interrupted(message("{label}: {answer}", label=label, answer=answer))
    return Unsupported(message("{label}: {answer}", label=label, answer=answer))
