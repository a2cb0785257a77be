"""An FTP server on loopback that is polite until told otherwise; it knows MLSD and MLST, which vsftpd does not.

    async with HostileFtp({"a.txt": b"hello"}) as server:
        server.replies["RETR"] = "550 Permission denied"       # instead of doing it, as often as asked
        server.cut, server.more, server.hang = 3, b"!", True   # what happens to the next body

`context` gives it TLS, and `behind_auth` and `before_data` are what somebody between it and us then adds in the clear.
`said` are the commands it got. It listens on IPv4 only, has no EPSV unless `epsv`, and PASV may lie (`pasv_host`).
"""

import asyncio
import contextlib
import posixpath


class HostileFtp:
    def __init__(self, files):
        self.files = {path: (content, "20260101000000") for path, content in files.items()}
        self.said, self.replies = [], {}
        self.features = ["MLST type*;size*;modify*;", "REST STREAM", "SIZE", "MDTM"]
        self.lines = {}  # what MLSD writes of a folder, instead of the truth
        self.shown = {}  # the time that LIST writes of a file
        self.identity = ""  # of the top folder
        self.denied = set()  # folders that may not be entered
        self.cut = self.hang = self.after = None
        self.more = b""
        self.pasv_host, self.epsv = "127,0,0,1", True
        self.greeting, self.end = "220 here", "226 sent"
        self.logins = 0
        self.context = None
        self.behind_auth = self.before_data = b""
        self._open = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.origin = f"ftp://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    def close_idle(self):
        """Close every connection that is open."""
        for task in tuple(self._open):
            task.cancel()

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._open.add(task)
        try:
            await _Session(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            self._open.discard(task)
            writer.close()


class _Session:
    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.folder, self.offset, self.data = "/", 0, None
        self.listeners, self.writers = [], []
        self.is_secure = False

    def say(self, *lines):
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape"))

    async def run(self):
        self.say(self.server.greeting)
        try:
            while line := await self.reader.readline():
                command, _, argument = line.decode("utf-8", "surrogateescape").rstrip("\r\n").partition(" ")
                self.server.said.append(f"{command} {argument}".strip())
                canned = self.server.replies.get(command)
                if canned is not None:
                    self.say(canned)
                else:
                    await getattr(self, f"on_{command.lower()}", self.on_nothing)(argument)
                await self.writer.drain()
        finally:
            for each in self.listeners:
                each.close()
            for each in self.writers:
                each.close()

    async def on_nothing(self, argument):
        self.say("502 no")

    async def on_auth(self, argument):
        if self.server.context is None:
            self.say("502 no")
            return
        self.writer.write(b"234 go on\r\n" + self.server.behind_auth)
        await self.writer.start_tls(self.server.context)
        self.is_secure = True

    async def on_pbsz(self, argument):
        self.say("200 yes")

    on_prot = on_pbsz

    async def on_user(self, argument):
        self.say("331 and?")

    async def on_pass(self, argument):
        self.server.logins += 1
        self.say("230 in")

    async def on_feat(self, argument):
        self.say("211-can", *(f" {one}" for one in self.server.features), "211 End")

    async def on_opts(self, argument):
        self.say("200 yes")

    on_type = on_opts

    async def on_pwd(self, argument):
        self.say('257 "/" is here')

    def _find(self, argument):
        path = posixpath.normpath(posixpath.join(self.folder, argument)).strip("/")
        return path, self.server.files.get(path)

    async def on_mlst(self, argument):
        path, found = self._find(argument)
        if found is None and self.server.identity and not path:
            self.say("250-it is", f" type=dir;unique={self.server.identity}; /", "250 End")
        elif found is None:
            self.say("550 nothing there")
        else:
            self.say("250-it is", f" type=file;size={len(found[0])};modify={found[1]}; /{path}", "250 End")

    async def on_size(self, argument):
        _, found = self._find(argument)
        self.say("550 nothing there" if found is None else f"213 {len(found[0])}")

    async def on_mdtm(self, argument):
        _, found = self._find(argument)
        self.say("550 nothing there" if found is None else f"213 {found[1]}")

    async def on_cwd(self, argument):
        self.folder = posixpath.normpath(posixpath.join("/", argument))
        self.say("550 Permission denied" if self.folder in self.server.denied else "250 there")

    async def on_rest(self, argument):
        self.offset = int(argument)
        self.say("350 from there")

    async def _listen(self):
        arrived = asyncio.get_running_loop().create_future()

        async def take(reader, writer):
            self.writers.append(writer)
            arrived.set_result(writer)

        self.listeners.append(await asyncio.start_server(take, "127.0.0.1", 0))
        self.data = arrived
        return self.listeners[-1].sockets[0].getsockname()[1]

    async def on_epsv(self, argument):
        self.say(f"229 ok (|||{await self._listen()}|)" if self.server.epsv else "500 what?")

    async def on_pasv(self, argument):
        port = await self._listen()
        self.say(f"227 ok ({self.server.pasv_host},{port >> 8},{port & 255})")

    async def on_mlsd(self, argument):
        here = self.folder.strip("/") + "/" if self.folder != "/" else ""
        lines = ["type=cdir; .", "type=pdir; .."]
        names = sorted(
            {path.removeprefix(here).partition("/")[0] for path in self.server.files if path.startswith(here)},
            reverse=True,
        )
        for name in names:
            found = self.server.files.get(here + name)
            lines.append(
                f"type=dir; {name}" if found is None else f"Type=file;Size={len(found[0])};Modify={found[1]}; {name}"
            )
        lines = self.server.lines.get(here, lines)
        await self._send("".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape"))

    async def on_list(self, argument):
        """List files of the top folder with the times of `server.shown`."""
        lines = [
            f"-rw-r--r-- 1 a b {len(self.server.files[path][0])} {when} {path}"
            for path, when in self.server.shown.items()
        ]
        await self._send("".join(f"{line}\r\n" for line in lines).encode())

    async def on_retr(self, argument):
        _, found = self._find(argument)
        if found is None:
            self.say("550 nothing there")
            return
        server, body = self.server, found[0][self.offset :]
        self.offset = 0
        cut, more, after = server.cut, server.more, server.after
        server.cut, server.more, server.after = None, b"", None
        await self._send((body if cut is None else body[:cut]) + more)
        if after is not None:
            after()

    async def _send(self, body):
        assert self.data is not None
        writer = await self.data
        writer.write(self.server.before_data)  # before "150", so that it is there when TLS begins
        self.say("150 coming")
        with contextlib.suppress(ConnectionError):
            if self.is_secure:
                await writer.start_tls(self.server.context)
            writer.write(body)
            await writer.drain()
            if self.server.hang:
                await asyncio.sleep(3600)
        writer.close()
        self.listeners[-1].close()
        if self.server.end:
            self.say(self.server.end)
