"""Which addresses a socket may connect to, and the errors of connections."""

import asyncio
import errno
import os
import socket
import ssl
from contextvars import ContextVar

import aiohttp
from aiohttp.connector import AddrInfoType

from manifests.messages import message
from syncd.core import Denied, Refused, SyncdError, Unreachable, Unsafe, exhausted
from transports.net.ip_policy import is_public, refusal


class SocketPolicy:
    """One attempt to connect: whether private addresses are allowed, and which sockets were made or refused.

    `source` is the address of this machine to connect from, or "".
    """

    __slots__ = ("allowed", "made", "refused", "source")

    def __init__(self, allowed: bool, source: str = "") -> None:
        self.allowed = allowed
        self.source = source
        self.made = 0
        self.refused = ""


current: ContextVar[SocketPolicy] = ContextVar("dial")  # passes the policy to the socket factory


def make_socket(address: AddrInfoType) -> socket.socket:
    """Make the socket for one address. Raises PermissionError if the address is not allowed."""
    family, kind, protocol, _, where = address
    policy = current.get()
    if not policy.allowed and not is_public(str(where[0])):
        policy.refused = str(where[0])
        raise PermissionError(message("{refused} is not a public address", refused=policy.refused))
    policy.made += 1
    made = socket.socket(family, kind, protocol)
    if policy.source:
        try:
            made.bind((policy.source, 0))
        except OSError as error:  # an address of the other family, or none of this machine
            made.close()
            cause = one_line(error)
            raise OSError(
                message("cannot connect from {source}: {cause}", source=policy.source, cause=cause)
            ) from error
    return made


def valid_until(transport: asyncio.Transport | None) -> float | None:
    """Return the expiry of the peer's certificate in seconds since the epoch; None if it presented none."""
    shown = transport.get_extra_info("peercert") if transport is not None else None
    until = shown.get("notAfter") if shown else None
    return None if until is None else float(ssl.cert_time_to_seconds(until))


def connection_error(error: Exception, policy: SocketPolicy, origin: str, label: str) -> SyncdError:
    """Return our error for a failed connection."""
    if policy.refused and not policy.made:
        return Unsafe(message("{label}: {refusal}", label=label, refusal=refusal(origin, policy.refused)))
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):
        return Unsafe(
            message(
                "{label}: {origin} is not a valid address: {line}", label=label, origin=origin, line=one_line(error)
            )
        )
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Denied(
            message(
                "{label}: {origin} {untrusted}",
                label=label,
                origin=origin,
                untrusted=_why_untrusted(error.certificate_error),
            )
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return Denied(
            message(
                "{label}: TLS with {origin} failed: {line}", label=label, origin=origin, line=one_line(error.os_error)
            )
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreachable(
            message(
                "{label}: no address found for {origin}: {line}",
                label=label,
                origin=origin,
                line=one_line(error.os_error),
            )
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        untrusted = _why_untrusted(error)
        return Denied(message("{label}: {origin} {untrusted}", label=label, origin=origin, untrusted=untrusted))
    if isinstance(error, ssl.SSLError):
        return Denied(
            message("{label}: TLS with {origin} failed: {line}", label=label, origin=origin, line=one_line(error))
        )
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if (ours := exhausted(cause, label)) is not None:
        return ours
    if isinstance(cause, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return Refused(message("{label}: {origin} reset the connection at once", label=label, origin=origin))
    return Unreachable(
        message("{label}: no connection to {origin}: {line}", label=label, origin=origin, line=one_line(cause))
    )


def _why_untrusted(error: Exception) -> str:
    """Describe the fault of a certificate for operators."""
    reason = getattr(error, "verify_message", "") or str(error)
    if "expired" in reason:
        return message("presents a certificate that has expired")
    if "not yet valid" in reason:
        return message("presents a certificate that is not yet valid; is this machine's clock right?")
    if "doesn't match" in reason or "mismatch" in reason:
        return message("presents a certificate for another host: {reason}", reason=reason)
    if "self-signed" in reason or "self signed" in reason or "unable to get local issuer" in reason:
        return message("presents a certificate of an unknown authority: {reason}", reason=reason)
    return message("presents an invalid certificate: {reason}", reason=reason)


def one_line(error: BaseException) -> str:
    """Return the message of a library's error in one line, at most 300 characters."""
    text = str(error) or type(error).__name__
    code = error.errno if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
    if code is not None and code in errno.errorcode:
        text = os.strerror(code)  # the words of the library are those of its developers
    elif isinstance(error, socket.gaierror) and error.strerror:
        text = error.strerror
    return " ".join(text.split())[:300]
