"""An SSH server on loopback that lets everybody in, and whose sftp side hangs or ends where it is told to.

    async with HostileSftp(folder) as server:
        server.hangs = "stat"  # or another of STEPS: nothing is answered on that channel from there on
        server.ends = True     # the next stat ends the file channel, while the connection lives on

sshd goes on to answer keepalives all the while, as the real one does.
"""

import asyncio

import asyncssh

STEPS = ("handshake", "stat", "open", "fstat", "scandir", "read", "close")


class HostileSftp:
    def __init__(self, folder):
        self.folder = folder
        self.hangs = ""
        self.ends = False
        self.logins = 0
        self._over = asyncio.Event()

    async def __aenter__(self):
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.fingerprint = key.get_fingerprint()
        self._server = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[key], server_factory=lambda: _Open(self), sftp_factory=self._begin
        )
        self.port = self._server.get_port()
        self.origin = f"sftp://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self._over.set()
        self._server.close()
        await self._server.wait_closed()

    async def _begin(self, channel):
        await self.reach("handshake", channel)
        return _Files(self, channel)

    async def reach(self, step, channel):
        if self.hangs == step:
            channel.pause_reading()
            await self._over.wait()


class _Open(asyncssh.SSHServer):
    def __init__(self, hostile):
        self._hostile = hostile

    def begin_auth(self, username):
        self._hostile.logins += 1
        return False


class _Files(asyncssh.SFTPServer):
    def __init__(self, hostile, channel):
        super().__init__(channel, chroot=hostile.folder)
        self._hostile = hostile

    async def _reach(self, step):
        await self._hostile.reach(step, self.channel)

    async def stat(self, path):
        if self._hostile.ends:
            self.channel.close()
        await self._reach("stat")
        return super().stat(path)

    async def open(self, path, pflags, attrs):
        await self._reach("open")
        return super().open(path, pflags, attrs)

    async def fstat(self, file_obj):
        await self._reach("fstat")
        return super().fstat(file_obj)

    async def scandir(self, path):
        async for one in super().scandir(path):
            yield one
            await self._reach("scandir")

    async def read(self, file_obj, offset, size):
        await self._reach("read")
        return super().read(file_obj, offset, size)

    async def close(self, file_obj):
        await self._reach("close")
        return super().close(file_obj)
