"""SSH connections to one server, and the meaning of their errors; beneath `transports.sftp.transport`.

Rules:
1. The server must prove its identity with a host key: one of the manifest, else one of the known_hosts files of the
   daemon's user and of the machine. There is no trust on first use.
2. No ssh agent, no other private keys, no ssh configuration: only the credential that is named.
3. Reads share a connection; another is opened when the first has PLENTY, up to LINKS.
4. Every request has a time limit: sshd still answers keepalives while its sftp-server hangs. If there is no answer in
   time, the connection is closed, and the next request uses a new one.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from syncd.core import (
    ConfigError,
    Credential,
    Denied,
    Interrupted,
    NotFound,
    Refused,
    SyncdError,
    Unreachable,
    Unsupported,
)
from transports.net import one_line
from transports.net.connect import connect

LINKS = 4
PLENTY = 4  # reads on one connection before another one is made
FINISHING = 5.0  # seconds for the answer to a close
KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True, slots=True)
class SftpServer:
    """The address of an SSH server, its host keys, and the login."""

    origin: str
    host: str
    port: int
    credential: Credential | None
    host_keys: tuple[str, ...]
    known_hosts: tuple[str, ...]
    encoding: str
    is_private_allowed: bool
    connect_timeout: float
    reply_timeout: float


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


class _Client(asyncssh.SSHClient):
    """Checks the host key of a server."""

    def __init__(self, pinned: Sequence[str]) -> None:
        self._pinned = {one.split()[-1] if one.startswith("SHA256:") else " ".join(one.split()[:2]) for one in pinned}
        self.shown: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port
        self.shown = key
        return key.get_fingerprint() in self._pinned or _written(key) in self._pinned


async def _connect(server: SftpServer, label: str) -> SftpConnection:
    client = _Client(server.host_keys)
    credential = server.credential
    keys = [_key(credential)] if credential is not None and credential.scheme == "key" else []
    known = None if server.host_keys else await asyncio.to_thread(_known_hosts, server)
    socket = await connect(
        server.origin, server.host, server.port, allowed=server.is_private_allowed, timeout=server.connect_timeout,
        label=label,
    )  # fmt: skip
    try:
        with translated_errors(label, server.origin, lambda: _untrusted(label, server, client, known), credential):
            connection = await asyncssh.connect(
                server.host,
                server.port,
                sock=socket,
                client_factory=lambda: client,
                known_hosts=known if known is not None else ([], [], []),
                username=credential.username if credential is not None else "anonymous",
                password=credential.secret if credential is not None and credential.scheme == "basic" else None,
                client_keys=keys,
                agent_path=None,
                config=[],
                gss_host=None,
                login_timeout=server.connect_timeout,
                keepalive_interval=30,
            )
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
            raise TimeoutError(f"no answer in {wait:g} s") from error
        raise
    finally:
        timer.cancel()


def _key(credential: Credential) -> asyncssh.SSHKey:
    """Return a private key; error messages show no character of it."""
    try:
        return asyncssh.import_private_key(credential.secret, credential.token or None)
    except asyncssh.KeyEncryptionError:
        # `from None`: as below
        raise ConfigError(f"credentials.{credential.name}: its passphrase does not open the key") from None
    except asyncssh.KeyImportError:
        # `from None`: the original may quote the key
        todo = "name a private key as ssh-keygen writes it, and its passphrase if it has one"
        raise ConfigError(f"credentials.{credential.name}: not a readable private key: {todo}") from None


def _known_hosts(server: SftpServer) -> asyncssh.SSHKnownHosts | None:
    """Read the known_hosts files that exist. Blocks."""
    files = [path for name in server.known_hosts if (path := Path(os.path.expanduser(name))).is_file()]  # noqa: PTH111  no error without a home
    try:
        return asyncssh.read_known_hosts([str(path) for path in files]) if files else None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{', '.join(map(str, files))}: not a readable known_hosts file: {one_line(error)}"
        ) from error


def _written(key: asyncssh.SSHKey) -> str:
    """Return a public key in the form of known_hosts."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def _untrusted(label: str, server: SftpServer, client: _Client, known: asyncssh.SSHKnownHosts | None) -> Denied:
    """Return the error for an untrusted host key, with what to do."""
    shown = client.shown
    if shown is None:
        why = "presents no host key of a known type: ask its publisher whether the server was reinstalled"
        return Denied(f"{label}: {server.origin} {why}")
    what = f"{server.origin} presents the host key {shown.get_algorithm()} {shown.get_fingerprint()}"
    trusted = known.match(server.host, "", server.port)[0] if known is not None else server.host_keys
    if trusted:
        why = "another key is known for it: an attack, or a reinstalled server: ask its publisher"
        return Denied(f"{label}: {what}, and {why}")
    todo = (
        "compare it with what its publisher says, then write it into the manifest, as in "
        f"host_keys: [{shown.get_fingerprint()}], or add the server to the known_hosts of the daemon's user"
    )
    return Denied(f"{label}: {what}, which is not known here: {todo}")


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
        raise (untrusted() if untrusted is not None else Denied(f"{label}: {origin}: {one_line(error)}")) from error
    except asyncssh.KeyExchangeFailed as error:
        if untrusted is not None and "host key" in str(error).lower():
            raise untrusted() from error
        raise Denied(f"{label}: SSH with {origin} failed: {one_line(error)}") from error
    except asyncssh.PermissionDenied as error:
        todo = "name one under credentials" if credential is None else f"is {credential.name} still valid?"
        who = "without a credential" if credential is None else f"with credential {credential.name}"
        raise Denied(f"{label}: {origin} rejects the login {who}: {todo}") from error
    except asyncssh.ConnectionLost as error:
        raise Interrupted(f"{label}: {origin} closed the connection: {one_line(error)}") from error
    except (asyncssh.DisconnectError, asyncssh.ChannelOpenError) as error:
        raise Refused(f"{label}: {origin} rejects the connection: {one_line(error)}") from error
    except TimeoutError as error:
        raise Unreachable(f"{label}: {origin} sent no answer in time") from error
    except OSError as error:
        raise Interrupted(f"{label}: {origin}: {one_line(error)}") from error


def _meaning(label: str, origin: str, error: asyncssh.SFTPError) -> SyncdError:
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath | asyncssh.SFTPNotADirectory):
        return NotFound(f"{label}: no such file on {origin}")
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return Denied(f"{label}: permission denied on {origin}")
    if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
        return Interrupted(f"{label}: {origin} closed the connection: {one_line(error)}")
    if isinstance(error, asyncssh.SFTPOpUnsupported):
        return Unsupported(f"{label}: {origin}: {one_line(error)}")
    return Interrupted(f"{label}: {origin}: {one_line(error)}")
