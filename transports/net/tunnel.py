"""A connection through a proxy: HTTP CONNECT (RFC 9110, 9.3.6) or SOCKS5 (RFC 1928, 1929), on a socket of ours.

Rules:
1. The proxy resolves the name. Nothing behind its answer is read: the first bytes may be the server's own greeting.
2. A proxy that refuses (407, 403, its rules) is a permanent error; one that does not reach the server, a transient one.
   Every message names the proxy.
"""

import asyncio
import base64
import ipaddress
import re
import socket

from manifests.messages import message
from syncd.core import Denied, Proxy, Refused, SyncdError, Unreachable, Unsupported

MAX_HEAD = 16 << 10  # bytes of the answer to CONNECT
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \t]*([^\r\n]{0,100})")
_CODES = {
    1: message("general failure"),
    2: message("not allowed by its rules"),
    3: message("network unreachable"),
    4: message("host unreachable"),
    5: message("connection refused"),
    6: message("time to live exceeded"),
    7: message("command not supported"),
    8: message("address type not supported"),
}
_RULES, _COMMAND, _ADDRESS = 2, 7, 8
_LATER = frozenset({408, 429, 500, 502, 503, 504})


async def open_tunnel(sock: socket.socket, proxy: Proxy, host: str, port: int, *, origin: str, label: str) -> None:
    """Have the proxy at `sock` connect to `host`. Raises Denied, Unsupported, Unreachable, Refused."""
    try:
        if proxy.scheme == "http":
            await _connect(sock, proxy, host, port, origin, label)
        else:
            await _socks(sock, proxy, host, port, origin, label)
    except (OSError, EOFError) as error:
        raise Refused(
            message(
                "{label}: the proxy {proxy} closed the connection to {origin} before it stood",
                label=label,
                proxy=proxy.shown,
                origin=origin,
            )
        ) from error


def basic_credentials(proxy: Proxy) -> str:
    """Return the header that authenticates us to an HTTP proxy, or ""."""
    if not proxy.username:
        return ""
    pair = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    return f"Proxy-Authorization: Basic {pair}\r\n"


def proxy_refusal(proxy: Proxy, status: int, said: str, origin: str, label: str) -> SyncdError:
    """Return the error for an answer of an HTTP proxy itself."""
    answer = f"{status} {said}".rstrip()
    if status == 407:
        todo = (
            message("check username and password of network.proxy")
            if proxy.username
            else message("set username and password of network.proxy")
        )
        return Denied(
            message(
                "{label}: proxy {proxy} answered {answer} for {origin}: {todo}",
                label=label,
                proxy=proxy.shown,
                answer=answer,
                origin=origin,
                todo=todo,
            )
        )
    if status in _LATER:
        return Unreachable(
            message(
                "{label}: proxy {proxy} answered {answer}: it does not reach {origin}",
                label=label,
                proxy=proxy.shown,
                answer=answer,
                origin=origin,
            )
        )
    return Denied(
        message(
            "{label}: proxy {proxy} answered {answer} for {origin}: ask its operator to allow this host and port, "
            "or name it in no_proxy",
            label=label,
            proxy=proxy.shown,
            answer=answer,
            origin=origin,
        )
    )


async def _connect(sock: socket.socket, proxy: Proxy, host: str, port: int, origin: str, label: str) -> None:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{basic_credentials(proxy)}\r\n"
    await asyncio.get_running_loop().sock_sendall(sock, request.encode("latin-1"))
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        head += await _read(sock, 1)
        if len(head) > MAX_HEAD:
            break
    status = _STATUS.match(head)
    if status is None:
        raise Denied(
            message(
                "{label}: {proxy} is no HTTP proxy: it answered {said!r}",
                label=label,
                proxy=proxy.shown,
                said=bytes(head[:60]).decode("ascii", "replace"),
            )
        )
    if not 200 <= int(status[1]) < 300:
        said = "".join(one if one.isprintable() else "?" for one in status[2].decode("latin-1"))
        raise proxy_refusal(proxy, int(status[1]), said.strip(), origin, label)


async def _socks(sock: socket.socket, proxy: Proxy, host: str, port: int, origin: str, label: str) -> None:
    loop = asyncio.get_running_loop()
    methods = b"\x00\x02" if proxy.username else b"\x00"
    await loop.sock_sendall(sock, bytes([5, len(methods)]) + methods)
    version, method = await _read(sock, 2)
    if version != 5:
        raise Denied(
            message("{label}: {proxy} is no SOCKS5 proxy: check network.proxy", label=label, proxy=proxy.shown)
        )
    if method == 2:
        name, password = proxy.username.encode()[:255], proxy.password.encode()[:255]
        await loop.sock_sendall(sock, bytes([1, len(name)]) + name + bytes([len(password)]) + password)
        _, status = await _read(sock, 2)
        if status != 0:
            raise Denied(
                message(
                    "{label}: proxy {proxy} rejects the login for {origin}: check username and password of "
                    "network.proxy",
                    label=label,
                    proxy=proxy.shown,
                    origin=origin,
                )
            )
    elif method != 0:
        raise Denied(
            message(
                "{label}: proxy {proxy} wants a login for {origin}: set username and password of network.proxy",
                label=label,
                proxy=proxy.shown,
                origin=origin,
            )
        )
    await loop.sock_sendall(sock, b"\x05\x01\x00" + _address(host, origin, label) + port.to_bytes(2, "big"))
    _, code, _, kind = await _read(sock, 4)
    if code != 0:
        raise _socks_refusal(proxy, code, origin, label)
    length = {1: 4, 4: 16}.get(kind) or (await _read(sock, 1))[0]
    await _read(sock, length + 2)


def _socks_refusal(proxy: Proxy, code: int, origin: str, label: str) -> SyncdError:
    said = _CODES.get(code, message("error {code}", code=code))
    if code in (_RULES, _COMMAND, _ADDRESS):
        return Denied(
            message(
                "{label}: proxy {proxy} answered {answer} for {origin}: ask its operator to allow this host and port, "
                "or name it in no_proxy",
                label=label,
                proxy=proxy.shown,
                answer=said,
                origin=origin,
            )
        )
    return Unreachable(
        message(
            "{label}: proxy {proxy} answered {answer}: it does not reach {origin}",
            label=label,
            proxy=proxy.shown,
            answer=said,
            origin=origin,
        )
    )


def _address(host: str, origin: str, label: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            name = host.encode("ascii") if host.isascii() else host.encode("idna")
        except UnicodeError:
            name = b""
        if not 0 < len(name) < 256:
            raise Unsupported(message("{label}: {origin} has no valid host", label=label, origin=origin)) from None
        return b"\x03" + bytes([len(name)]) + name
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed


async def _read(sock: socket.socket, count: int) -> bytes:
    """Return exactly `count` bytes. Raises EOFError."""
    loop, found = asyncio.get_running_loop(), b""
    while len(found) < count:
        chunk = await loop.sock_recv(sock, count - len(found))
        if not chunk:
            raise EOFError
        found += chunk
    return found
