"""The socket in the state folder: the same API for users of this machine, without tokens.

Rules:
1. The mode of the socket decides who may connect: its owner, and the members of its group. The kernel says who a peer
   is (SO_PEERCRED), and every peer is an operator.
2. The state folder is locked by this process, so a socket that is there already is left by a killed one.
3. A path may be longer than the 107 bytes that an address can have: it is reached through a descriptor of its folder.
"""

import os
import pwd
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from manifests.messages import message
from syncd.api.auth.door import Identity
from syncd.core import ConfigError

CONTROL_SOCKET = "control.sock"
MODE = 0o660
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


@contextmanager
def folder_address(path: Path) -> Iterator[str]:
    """Yield an address of at most 107 bytes for a socket."""
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


@contextmanager
def bound_socket(path: Path, group: int | None) -> Iterator[socket.socket]:
    """Yield a listening socket of mode 0660, of a group of users; it is deleted at the end. Raises ConfigError."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        try:
            path.unlink(missing_ok=True)
            with folder_address(path) as address:
                bound.bind(address)
            if group is not None:
                os.chown(path, -1, group)
            path.chmod(MODE)  # until now the usual mask let nobody else connect
        except OSError as error:
            raise ConfigError(
                message(
                    "{path}: the control socket cannot be made: {cause}: see control.group and the owner of the folder",
                    path=path,
                    cause=error.strerror,
                )
            ) from error
        yield bound
    finally:
        bound.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)


def peer_of(request: web.Request) -> Identity | None:
    """Return the user at the other end of the control socket; None for a request over the network."""
    if request.transport is None:
        return None
    found: Any = request.transport.get_extra_info("socket")
    if found is None or found.family != socket.AF_UNIX:
        return None
    with socket.socket(fileno=os.dup(found.fileno())) as peer:
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a user of another name space, or without a name
        name = f"uid {uid}"
    return Identity(f"{name} (command line)", "operator", door="socket", uid=uid)
