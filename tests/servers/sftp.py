"""An SFTP server on loopback that asks for a name and a password, over one folder, from a thread of its own."""

import asyncio
import contextlib
import threading

import asyncssh


class _Asking(asyncssh.SSHServer):
    def __init__(self, username, password):
        self._login = (username, password)

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == self._login


@contextlib.contextmanager
def sftp(root, known_hosts, username, password):
    """Serve `root` as the top of the server; its key is written to the file `known_hosts`. Yields the origin."""
    key, loop, up, ports = asyncssh.generate_private_key("ssh-ed25519"), asyncio.new_event_loop(), threading.Event(), []

    async def serve(over):
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[key],
            server_factory=lambda: _Asking(username, password),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=bytes(root)),
        )
        ports.append(server.get_port())
        up.set()
        await over.wait()
        server.close()
        await server.wait_closed()

    over = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(over),))
    thread.start()
    assert up.wait(60)
    known_hosts.parent.mkdir(parents=True, exist_ok=True)
    known_hosts.write_text(f"[127.0.0.1]:{ports[0]} {key.export_public_key().decode()}")
    try:
        yield f"sftp://127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)
        loop.close()
