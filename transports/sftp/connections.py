"""SSH connections to one server, and the meaning of their errors; beneath `transports.sftp.transport`.

Rules:
1. No ssh agent, no other private keys, no ssh configuration: only the credential that is named.
2. Reads share a connection; another is opened when the first has PLENTY, up to LINKS.
3. Every request has a time limit: sshd still answers keepalives while its sftp-server hangs. If there is no answer in
   time, the connection is closed, and the next request uses a new one.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import asyncssh

from manifests.messages import message
from syncd.core import (
    ConfigError,
    Credential,
    CredentialRefused,
    Denied,
    Interrupted,
    NotFound,
    Refused,
    SyncdError,
    Unreachable,
    Unsupported,
)
from transports.net import one_line
from transports.sftp.host_keys import HostKeyCheck, SftpServer, dial, read_known_hosts

LINKS = 4
PLENTY = 4  # reads on one connection before another one is made
FINISHING = 5.0  # seconds for the answer to a close


@dataclass(slots=True, eq=False)
class SftpConnection:
    """One connection with its SFTP channel; `busy` counts its users."""

    connection: asyncssh.SSHClientConnection
    files: asyncssh.SFTPClient
    reply_timeout: float
    busy: int = 0
    is_gone: bool = False

    @contextmanager
    def answers(self) -> Iterator[None]:
        """Limit the time of one request. Raises TimeoutError."""
        try:
            with _answers(self.connection, self.reply_timeout):
                yield
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            self.is_gone = True  # sftp-server has ended, though sshd lives on
            self.connection.abort()
            raise

    async def names(self, folder: str) -> AsyncGenerator[asyncssh.SFTPName, None]:
        """Yield the entries of a folder; each step has a time limit."""
        names = self.files.scandir(folder)
        try:
            while True:
                with self.answers():
                    one = await anext(names, None)
                if one is None:
                    return
                yield one
        finally:
            with suppress(asyncssh.Error, OSError), _answers(self.connection, FINISHING):
                await names.aclose()  # type: ignore[attr-defined]  # a generator, whatever its annotation says

    async def close(self, file: asyncssh.SFTPClientFile, asked: asyncio.Future[bytes] | None) -> None:
        """Close a file after its last request has ended. Errors of the server are ignored."""
        if not self.connection.is_closed():
            with suppress(asyncssh.Error, OSError), _answers(self.connection, FINISHING):
                if asked is not None:
                    await asyncio.wait({asked})
                await file.close()


@dataclass(slots=True)
class SftpConnections:
    """All connections to one server."""

    server: SftpServer
    _open: list[SftpConnection] = field(default_factory=list)
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def acquire(self, label: str) -> SftpConnection:
        """Return the connection with the fewest users; the caller releases it. Raises our own errors."""
        async with self._making:
            self._open = [link for link in self._open if not (link.is_gone or link.connection.is_closed())]
            link = min(self._open, key=lambda link: link.busy, default=None)
            if link is None or (link.busy >= PLENTY and len(self._open) < LINKS):
                link = await _connect(self.server, label)
                self._open.append(link)
            link.busy += 1
            return link

    def release(self, link: SftpConnection) -> None:
        """Give a connection back."""
        link.busy -= 1

    async def aclose(self) -> None:
        """Close all; may be called twice."""
        links, self._open = self._open, []
        for link in links:
            link.connection.abort()
        for link in links:
            await link.connection.wait_closed()


async def _connect(server: SftpServer, label: str) -> SftpConnection:
    credential = server.credential
    keys = [_key(credential)] if credential is not None and credential.scheme == "key" else []
    check = HostKeyCheck(server, None if server.host_keys else await asyncio.to_thread(read_known_hosts, server))
    socket = await dial(server, label)
    try:
        with translated_errors(label, server.origin, lambda: check.untrusted(label), credential):
            try:
                connection = await asyncssh.connect(
                    server.host,
                    server.port,
                    sock=socket,
                    client_factory=lambda: check,
                    known_hosts=check.known if check.known is not None else ([], [], []),
                    username=credential.username if credential is not None else "anonymous",
                    password=credential.secret if credential is not None and credential.scheme == "basic" else None,
                    client_keys=keys,
                    agent_path=None,
                    config=[],
                    gss_host=None,
                    login_timeout=server.connect_timeout,
                    keepalive_interval=30,
                )
            except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionError) as error:
                if await check.has_another_key(label):
                    raise check.untrusted(label) from error
                raise
            try:
                with _answers(connection, server.reply_timeout):
                    files = await connection.start_sftp_client(
                        path_encoding=server.encoding, path_errors="surrogateescape"
                    )
            except BaseException:
                connection.abort()
                raise
    except BaseException:
        socket.close()
        raise
    return SftpConnection(connection, files, server.reply_timeout)


@contextmanager
def _answers(connection: asyncssh.SSHClientConnection, wait: float) -> Iterator[None]:
    """Close the connection after `wait` seconds without an answer; raises TimeoutError then.

    A cancellation would not do: a cancelled scan asks the server to close its folder, and waits again. If the
    connection is closed, every wait on it ends.
    """
    is_late = False

    def hang_up() -> None:
        nonlocal is_late
        is_late = True
        connection.abort()

    timer = asyncio.get_running_loop().call_later(wait, hang_up)
    try:
        yield
    except (asyncssh.Error, OSError) as error:
        if is_late:
            raise TimeoutError(message("no answer in {wait:g} s", wait=wait)) from error
        raise
    finally:
        timer.cancel()


def _key(credential: Credential) -> asyncssh.SSHKey:
    """Return a private key; error messages show no character of it."""
    try:
        return asyncssh.import_private_key(credential.secret, credential.token or None)
    except asyncssh.KeyEncryptionError:
        # `from None`: as below
        raise ConfigError(
            message("credentials.{name}: its passphrase does not open the key", name=credential.name)
        ) from None
    except asyncssh.KeyImportError:
        # `from None`: the original may quote the key
        todo = message("name a private key as ssh-keygen writes it, and its passphrase if it has one")
        raise ConfigError(
            message("credentials.{name}: not a readable private key: {todo}", name=credential.name, todo=todo)
        ) from None


@contextmanager
def translated_errors(
    label: str, origin: str, untrusted: Callable[[], Denied] | None = None, credential: Credential | None = None
) -> Iterator[None]:
    """Raise our own errors for those of asyncssh."""
    try:
        yield
    except SyncdError:
        raise
    except asyncssh.SFTPError as error:
        raise _meaning(label, origin, error) from error
    except asyncssh.HostKeyNotVerifiable as error:
        raise (
            untrusted()
            if untrusted is not None
            else Denied(message("{label}: {origin}: {line}", label=label, origin=origin, line=one_line(error)))
        ) from error
    except asyncssh.KeyExchangeFailed as error:
        raise Denied(
            message("{label}: SSH with {origin} failed: {line}", label=label, origin=origin, line=one_line(error))
        ) from error
    except asyncssh.PermissionDenied as error:
        todo = (
            message("name one under credentials")
            if credential is None
            else message("is {name} still valid?", name=credential.name)
        )
        who = (
            message("without a credential")
            if credential is None
            else message("with credential {name}", name=credential.name)
        )
        kind = Denied if credential is None else CredentialRefused
        raise kind(
            message("{label}: {origin} rejects the login {who}: {todo}", label=label, origin=origin, who=who, todo=todo)
        ) from error
    except asyncssh.ConnectionLost as error:
        raise Interrupted(
            message("{label}: {origin} closed the connection: {line}", label=label, origin=origin, line=one_line(error))
        ) from error
    except (asyncssh.DisconnectError, asyncssh.ChannelOpenError) as error:
        raise Refused(
            message(
                "{label}: {origin} rejects the connection: {line}", label=label, origin=origin, line=one_line(error)
            )
        ) from error
    except TimeoutError as error:
        raise Unreachable(message("{label}: {origin} sent no answer in time", label=label, origin=origin)) from error
    except OSError as error:
        raise Interrupted(
            message("{label}: {origin}: {line}", label=label, origin=origin, line=one_line(error))
        ) from error


def _meaning(label: str, origin: str, error: asyncssh.SFTPError) -> SyncdError:
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath | asyncssh.SFTPNotADirectory):
        return NotFound(message("{label}: no such file on {origin}", label=label, origin=origin))
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return Denied(message("{label}: permission denied on {origin}", label=label, origin=origin))
    if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
        return Interrupted(
            message("{label}: {origin} closed the connection: {line}", label=label, origin=origin, line=one_line(error))
        )
    if isinstance(error, asyncssh.SFTPOpUnsupported):
        return Unsupported(message("{label}: {origin}: {line}", label=label, origin=origin, line=one_line(error)))
    return Interrupted(message("{label}: {origin}: {line}", label=label, origin=origin, line=one_line(error)))
