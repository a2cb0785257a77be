"""How a connection is made: which addresses its sockets may reach, and what to say where there is none."""

import asyncio
import socket
import ssl
from contextvars import ContextVar

import aiohttp
from aiohttp.connector import AddrInfoType

from syncd.core import Denied, Refused, SyncdError, Unreachable, Unsafe
from transports.net.ip_policy import is_public, refusal


class SocketPolicy:
    """One attempt to connect: whether private addresses will do, and what became of its sockets."""

    __slots__ = ("allowed", "made", "refused")

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.made = 0
        self.refused = ""


current: ContextVar[SocketPolicy] = ContextVar("dial")  # the only way for a socket to know for whom it is made


def make_socket(address: AddrInfoType) -> socket.socket:
    """Make the socket for one address, if it may be reached."""
    family, kind, protocol, _, where = address
    policy = current.get()
    if not policy.allowed and not is_public(str(where[0])):
        policy.refused = str(where[0])
        raise PermissionError(f"{policy.refused} is no public address")
    policy.made += 1
    return socket.socket(family, kind, protocol)


def valid_until(transport: asyncio.Transport | None) -> float | None:
    """Return until when the other side's certificate is valid, since the epoch; None where it showed none."""
    shown = transport.get_extra_info("peercert") if transport is not None else None
    until = shown.get("notAfter") if shown else None
    return None if until is None else float(ssl.cert_time_to_seconds(until))


def connection_error(error: Exception, policy: SocketPolicy, origin: str, label: str) -> SyncdError:
    """Say in our words why there is no connection."""
    if policy.refused and not policy.made:
        return Unsafe(f"{label}: {refusal(origin, policy.refused)}")
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):
        return Unsafe(f"{label}: {origin} is no valid address: {one_line(error)}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Denied(f"{label}: {origin} {_why_untrusted(error.certificate_error)}")
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return Denied(f"{label}: no TLS with {origin}: {one_line(error.os_error)}")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreachable(f"{label}: no address found for {origin}: {one_line(error.os_error)}")
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return Refused(f"{label}: {origin} reset the connection at once")
    return Unreachable(f"{label}: no connection to {origin}: {one_line(cause)}")


def _why_untrusted(error: Exception) -> str:
    """Say what is wrong with a certificate, in words an operator can act on."""
    reason = getattr(error, "verify_message", "") or str(error)
    if "expired" in reason:
        return "shows a certificate that has expired"
    if "not yet valid" in reason:
        return "shows a certificate that is not yet valid; is this machine's clock right?"
    if "doesn't match" in reason or "mismatch" in reason:
        return f"shows a certificate for another host: {reason}"
    if "self-signed" in reason or "self signed" in reason or "unable to get local issuer" in reason:
        return f"shows a certificate of an unknown authority: {reason}"
    return f"shows a certificate that proves nothing: {reason}"


def one_line(error: BaseException) -> str:
    """Return what a library says, fit for a message of ours."""
    text = str(error) or type(error).__name__
    return " ".join(text.split())[:300]
