"""One control connection to an FTP server, and the meaning of its replies; beneath `transports.ftp.transport`.

aioftp speaks the protocol. In addition:
1. Only passive mode is used, and a data connection goes to the address of the control connection, whatever PASV says;
   behind a proxy, it goes to the same host through the proxy.
2. Every reply is bounded in lines and in time; messages show it without control characters.
3. With TLS (`ftps`) both connections are encrypted, and the data connection resumes the session of its control
   connection. Bytes that arrived in clear text before a handshake are refused: an attacker can have sent them.
"""

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import cast

import aioftp

from manifests.messages import message
from syncd.core import (
    Denied,
    NotFound,
    RangeRefused,
    Refused,
    Unreachable,
    answering,
)
from transports.ftp.errors import translated_errors
from transports.ftp.listing import FILE, FtpEntry, mlsd
from transports.net import Network, valid_until
from transports.net.connect import connect

BUFFER = 1 << 18  # bytes of a data connection that wait to be read
MAX_REPLY = 1000  # lines; some servers have long greetings
EPSV_PATIENCE = 10.0  # seconds for a data connection by EPSV: the host answers, so its port may be closed to us
FINISHING = 5.0  # seconds for the reply to the end of a data connection, or to a question whether there is one
LAST_REPLY = 15.0  # seconds for the reply to the end of a whole file
KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 20), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 6))  # seconds, probes


@dataclass(slots=True)
class PassiveMode:
    """How data connections of a server are opened: by EPSV, or by PASV where only that was seen to work."""

    is_classic: bool = False


@dataclass(frozen=True, slots=True)
class FtpServer:
    """The address of an FTP server, how it is spoken to, and the login."""

    origin: str
    host: str
    port: int
    username: str
    password: str
    encoding: str
    is_private_allowed: bool
    context: ssl.SSLContext | None
    implicit: bool
    connect_timeout: float
    reply_timeout: float
    network: Network | None = None
    passive: PassiveMode = field(default_factory=PassiveMode)


class FtpControl(aioftp.Client):
    """A control connection, logged in."""

    def __init__(self, server: FtpServer, label: str) -> None:
        """`label` begins the messages of errors during the login."""
        super().__init__(
            socket_timeout=server.reply_timeout,
            encoding=server.encoding,
            ssl=server.context if server.implicit else None,
        )
        self._server = server
        self._label = label
        self._peer = ""
        self.features: frozenset[str] = frozenset()
        self.has_identities = False  # of folders: MLSD says which are one and the same
        self.base = ""
        self.used_at = 0.0
        self.certificate: float | None = None

    async def _open_connection(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        del host  # a data connection goes to the peer of the control connection
        server = self._server
        is_data = self._stream is not None
        network = server.network
        is_proxied = network is not None and network.proxy_for(server.origin) is not None
        where = self._peer if is_data and not is_proxied else server.host
        try:
            connected = await connect(
                server.origin, where, port, allowed=server.is_private_allowed, timeout=server.connect_timeout,
                label=self._label, network=network,
            )  # fmt: skip
        except Unreachable as error:
            if is_data:
                answering(error)  # its control connection does
            raise
        context = self.ssl if isinstance(self.ssl, ssl.SSLContext) and not is_data else None
        if context is not None:
            context = await self._context(context)
        try:
            reader, writer = await asyncio.open_connection(
                sock=connected,
                ssl=context,
                server_hostname=server.host if context is not None else None,
                limit=BUFFER,
            )
        except BaseException:
            connected.close()
            raise
        if not is_data:
            _keep_alive(writer)
            self._peer = str(writer.get_extra_info("peername")[0])
        return reader, writer

    async def _context(self, usual: ssl.SSLContext) -> ssl.SSLContext:
        """Return the context of TLS: `usual`, or that with the authorities and the certificate of the network."""
        network = self._server.network
        return (await network.ssl_context(self._server.origin) if network is not None else None) or usual

    async def parse_line(self) -> tuple[aioftp.Code, str]:
        """Read one line of a reply, in whatever encoding."""
        line = await self.stream.readline()
        if not line.endswith(b"\n"):
            self.stream.close()
            raise ConnectionResetError(message("the connection was closed"))
        text = line.decode(self.encoding, "replace").rstrip("\r\n")
        return aioftp.Code(text[:3]), text[3:]

    async def parse_response(self) -> tuple[aioftp.Code, list[str]]:
        """Read a reply of up to MAX_REPLY lines."""
        code, rest = await self.parse_line()
        lines = [rest]
        if not code.isdigit():
            raise ValueError(message("{code}{rest} is not a reply", code=code, rest=rest))
        if not rest.startswith("-"):
            return code, lines
        while len(lines) < MAX_REPLY:
            found, rest = await self.parse_line()
            if found == code and not rest.startswith("-"):
                lines.append(rest)
                return code, lines
            lines.append(rest if found == code else found + rest)
        raise ValueError(message("a reply of more than {max_reply} lines", max_reply=MAX_REPLY))

    def at(self, where: str) -> str:
        """Return the server's absolute path of one that may be relative to the folder of the login."""
        return where if where.startswith("/") else f"{self.base}/{where}"

    async def send_command(
        self, command: str, expected: str | tuple[str, ...], wait: str | tuple[str, ...] = ()
    ) -> tuple[aioftp.Code, list[str]]:
        """Send a command that holds a name, byte for byte as the server wrote it, and return the reply."""
        await self.send([command])
        return await self.command(None, expected, wait)

    async def send(self, commands: list[str]) -> None:
        """Send commands whose replies are read later."""
        for command in commands:
            if any(character in "\r\n\0" for character in command):
                raise aioftp.errors.AIOFTPException(message("contains a line break"))
        lines = "".join(f"{command}\r\n" for command in commands)
        await self.stream.write(lines.encode(self.encoding, "surrogateescape"))

    async def begin(self) -> None:
        """Connect, log in, and ask for the features of the server. Raises our own errors."""
        server = self._server
        with translated_errors(self._label, server.origin):
            await self.connect(server.host, server.port)
            if server.context is not None:
                if not server.implicit:
                    await self.command("AUTH TLS", "234")
                    context = await self._context(server.context)
                    await self._secure(self.stream.reader, self.stream.writer, context, self._label)
                await self.command("PBSZ 0", "200")
                await self.command("PROT P", "200")
            self.certificate = valid_until(cast("asyncio.Transport", self.stream.writer.transport))
        with translated_errors(self._label, server.origin, login=server.username):
            await self.login(server.username, server.password)
        with translated_errors(self._label, server.origin):
            code, lines = await self.command("FEAT", ("211", "5xx"))
            if code == "211":
                offered = [line.strip().upper().partition(" ") for line in lines[1:-1]]
                self.features = frozenset(name for name, _, _ in offered)
                self.has_identities = any(name == "MLST" and "UNIQUE" in facts for name, _, facts in offered)
            if "UTF8" in self.features and server.encoding == "utf-8":
                await self.command("OPTS UTF8 ON", ("2xx", "5xx"))
            if "MLST" in self.features:
                facts = "type;size;modify;unique;" if self.has_identities else "type;size;modify;"
                await self.command(f"OPTS MLST {facts}", ("2xx", "5xx"))
            await self.command("TYPE I", "200")
            code, lines = await self.command("PWD", ("257", "5xx"))
            if code == "257":
                self.base = lines[-1].partition('"')[2].rpartition('"')[0].replace('""', '"').rstrip("/")

    async def _secure(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, label: str
    ) -> None:
        """Begin TLS on a connection. Raises Denied if bytes arrived before it (as in CVE-2011-0411)."""
        server = self._server
        # Bytes in the buffer stay there and would be read as if they had come through TLS. None can arrive after this
        # check: the loop has no turn (nothing is left to drain) until TLS reads the socket.
        early = bytes(reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001  public reads wait
        if early:
            said = early[:60].decode(server.encoding, "replace").rstrip("\r\n")
            shown = "".join(one if one.isprintable() else "?" for one in said)
            raise Denied(
                message(
                    "{label}: {count} bytes came from {origin} in clear text before TLS began "
                    "({shown!r}): an attacker between here and the server may have sent them",
                    label=label,
                    count=len(early),
                    origin=server.origin,
                    shown=shown,
                )
            )
        await writer.start_tls(context, server_hostname=server.host, ssl_handshake_timeout=server.connect_timeout)

    async def describe(self, path: str, name: str, *, is_read: bool = False) -> FtpEntry:
        """Return size and time of one file; `path` is the server's, `name` for messages. Raises NotFound, Denied.

        If the file `is_read` next, a server that denies knowing it is not believed: the read decides. A server that
        announces MLST and does not know it is asked for SIZE and MDTM.
        """
        unknown = ("50x", "550") if is_read else ("50x",)
        with translated_errors(name, self._server.origin):
            if "MLST" in self.features:
                code, lines = await self.send_command(f"MLST {path}", ("250", *unknown))
                if code == "250":
                    found = mlsd(lines[1].strip().encode(self.encoding, "surrogateescape"), self.encoding)
                    if found is None or found.kind != FILE:
                        raise NotFound(message("{name}: not a file on {origin}", name=name, origin=self._server.origin))
                    return found
                if code != "550":
                    self.without("MLST")
            code, lines = await self.send_command(f"SIZE {path}", ("213", *unknown))
            size = int(lines[-1]) if code == "213" else None
            return FtpEntry(name, FILE, size, (await self.times([path]))[0])

    def without(self, feature: str) -> None:
        """Ask no longer for a feature that the server announces and does not have."""
        self.features -= {feature}

    async def identity(self, path: str) -> str:
        """Return the identity of a folder, which all of its names share; "" if the server does not say."""
        if not self.has_identities:
            return ""
        code, lines = await self.command(f"MLST {path}", ("250", "5xx"))
        found = re.search(r"(?:^|;)unique=([^;]+);", lines[1].strip(), re.IGNORECASE) if code == "250" else None
        return found[1] if found is not None else ""

    async def times(self, paths: list[str]) -> list[str]:
        """Return the times of modification, "" if unknown; all are asked for before the first reply."""
        await self.send([f"MDTM {path}" for path in paths])
        replies = [await self.command(None, ("213", "5xx")) for _ in paths]
        return [lines[-1].strip() if code == "213" else "" for code, lines in replies]

    async def opened(self, command: str, name: str, offset: int = 0) -> aioftp.DataConnectionThrottleStreamIO:
        """Open a data connection for a command, from the byte `offset` on."""
        with translated_errors(name, self._server.origin):
            try:
                return await self._opened(command, name, offset)
            except aioftp.StatusCodeError as error:
                if offset and "350" in error.expected_codes:
                    raise RangeRefused(
                        message(
                            "{name}: {origin} cannot begin at byte {offset}",
                            name=name,
                            origin=self._server.origin,
                            offset=offset,
                        )
                    ) from error
                raise

    async def _opened(self, command: str, name: str, offset: int) -> aioftp.DataConnectionThrottleStreamIO:
        reader, writer = await self._passive()
        try:
            if offset:
                await self.command(f"REST {offset}", "350")
            await self.send_command(command, "1xx")
            if (secured := self.stream.writer.get_extra_info("ssl_object")) is not None:
                resumed = aioftp.common.SSLSessionBoundContext(
                    ssl.PROTOCOL_TLS_CLIENT, context=secured.context, session=secured.session
                )
                await self._secure(reader, writer, resumed, name)
        except BaseException:
            writer.transport.abort()
            raise
        return aioftp.DataConnectionThrottleStreamIO(self, reader, writer, throttles={"_": self.throttle})

    async def _passive(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a data connection to the server of the control connection: by EPSV, or by PASV where that fails.

        What worked is remembered for the server: a firewall may let EPSV pass, and drop the connection to its port.
        """
        passive = self._server.passive
        if not passive.is_classic:
            try:
                _, port = await self._do_epsv()
                async with asyncio.timeout(EPSV_PATIENCE):
                    return await self._connect_passive(port)
            except aioftp.StatusCodeError as error:
                if error.received_codes[-1] == "421":
                    raise
                opened = await self._classic()
                passive.is_classic = error.received_codes[-1].matches("5xx")
                return opened
            except (Refused, Unreachable, TimeoutError, ValueError, IndexError) as error:
                try:
                    opened = await self._classic()
                except aioftp.StatusCodeError:
                    raise error from None
                passive.is_classic = True
                return opened
        return await self._classic()

    async def _classic(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        _, port = await self._do_pasv()
        return await self._connect_passive(port)

    async def _connect_passive(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not 0 < port < 65_536:
            raise ValueError(message("invalid data port {port}", port=port))
        return await self._open_connection(self._peer, port)

    async def finish(self, name: str, *, early: bool) -> str:
        """Return the reply at the end of a data connection; `early` is True if it was closed before its end."""
        with translated_errors(name, self._server.origin, broken=True):
            async with asyncio.timeout(FINISHING if early else min(LAST_REPLY, self._server.reply_timeout)):
                _, lines = await self.command(None, ("2xx", "4xx", "5xx") if early else "2xx", "1xx")
        return " ".join(line.strip(" -") for line in lines)

    async def is_alive(self) -> bool:
        """Return True if the server still answers here: a NAT on the way may have forgotten an idle connection."""
        try:
            async with asyncio.timeout(FINISHING):
                await self.command("NOOP", ("2xx", "5xx"))
        except (aioftp.AIOFTPException, OSError, ValueError, IndexError):
            return False
        return True

    def drop(self) -> None:
        """Close without QUIT."""
        if self._stream is not None:
            self._stream.writer.transport.abort()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Send a sign of life on a control connection that is idle, so that no NAT forgets it during a long transfer."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEP_ALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
