"""An SSH server, and the proof of its identity.

Rules:
1. The server must prove its identity with a host key: one of the manifest, else one of the known_hosts files of the
   daemon's user and of the machine. There is no trust on first use.
2. A known server is offered the types of its known keys only. A server that has none of these presents no key; most end
   the connection without a reason. It is asked once more, for any type, so that we can name the key.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from manifests.messages import message
from syncd.core import ConfigError, Credential, Denied
from transports.net import Network, one_line
from transports.net.connect import connect

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
    network: Network | None = None


async def dial(server: SftpServer, label: str) -> socket.socket:
    """Return a socket that is connected to the server. Raises our own errors."""
    return await connect(
        server.origin, server.host, server.port, allowed=server.is_private_allowed, timeout=server.connect_timeout,
        label=label, network=server.network,
    )  # fmt: skip


class HostKeyCheck(asyncssh.SSHClient):
    """Checks the host key of a server on one connection."""

    def __init__(self, server: SftpServer, known: asyncssh.SSHKnownHosts | None) -> None:
        """`known` has the keys of the known_hosts files; the manifest's keys take their place."""
        self._server = server
        self.known = known
        self._pinned = {
            one.split()[-1] if one.startswith("SHA256:") else " ".join(one.split()[:2]) for one in server.host_keys
        }
        self._shown: asyncssh.SSHKey | None = None
        self._connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Remember the connection."""
        self._connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Return True if the manifest names this key; called for keys that known_hosts does not have."""
        del host, addr, port
        self._shown = key
        return key.get_fingerprint() in self._pinned or _written(key) in self._pinned

    async def has_another_key(self, label: str) -> bool:
        """Return True if a known server presented no key, and presents an unknown one when it may choose the type."""
        trusted, connection = self._trusted(), self._connection
        if not trusted or (connection is not None and connection.get_server_host_key() is not None):
            return False
        self._shown = self._shown or await self._ask_for_key(label)
        return self._shown is not None and self._shown not in trusted

    def untrusted(self, label: str) -> Denied:
        """Return the error for an untrusted host key, with what to do."""
        server, shown = self._server, self._shown
        if shown is None:
            why = message("presents a host key that is revoked or cannot be read: ask its publisher which key is valid")
            return Denied(message("{label}: {origin} {why}", label=label, origin=server.origin, why=why))
        what = message(
            "{origin} presents the host key {algorithm} {fingerprint}",
            origin=server.origin,
            algorithm=shown.get_algorithm(),
            fingerprint=shown.get_fingerprint(),
        )
        if server.host_keys or self._trusted():
            why = message("another key is known for it: an attack, or a reinstalled server: ask its publisher")
            return Denied(message("{label}: {what}, and {why}", label=label, what=what, why=why))
        todo = message(
            "compare it with what its publisher says, then write it into the manifest, as in "
            "host_keys: [{fingerprint}], or add the server to the known_hosts of the daemon's "
            "user",
            fingerprint=shown.get_fingerprint(),
        )
        return Denied(message("{label}: {what}, which is not known here: {todo}", label=label, what=what, todo=todo))

    def _trusted(self) -> Sequence[asyncssh.SSHKey]:
        return self.known.match(self._server.host, "", self._server.port)[0] if self.known is not None else []

    async def _ask_for_key(self, label: str) -> asyncssh.SSHKey | None:
        server = self._server
        dialed = await dial(server, label)
        try:
            async with asyncio.timeout(server.connect_timeout):
                return await asyncssh.get_server_host_key(server.host, server.port, sock=dialed, config=[])
        except (asyncssh.Error, OSError, TimeoutError):
            return None
        finally:
            dialed.close()


def read_known_hosts(server: SftpServer) -> asyncssh.SSHKnownHosts | None:
    """Read the known_hosts files that exist. Blocks."""
    files = [path for name in server.known_hosts if (path := Path(os.path.expanduser(name))).is_file()]  # noqa: PTH111  no error without a home
    try:
        return asyncssh.read_known_hosts([str(path) for path in files]) if files else None
    except (OSError, ValueError) as error:
        raise ConfigError(
            message("{map}: not a readable known_hosts file: {line}", map=map(str, files), line=one_line(error))
        ) from error


def _written(key: asyncssh.SSHKey) -> str:
    """Return a public key in the form of known_hosts."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])
