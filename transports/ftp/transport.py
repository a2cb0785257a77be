"""Reads files over FTP, plain (`ftp`) or with TLS on both connections (`ftps`).

Rules:
1. FTP has no strong validator. A version is `modified:<MDTM>|<size>`, asked for before the first byte and after the
   last, so that a file that is replaced during the read is noticed. Versions of other kinds bind nothing.
2. A path is relative to the folder of the login, as in FTP urls (`ftp://host//srv/data/` is absolute).
3. A listing uses MLSD, else LIST, with the time of each file asked for. A symbolic link that leads to a file of the
   source is listed as that file; others are counted, and so are folders that are one of the folders above them.
4. Every read has a control connection of its own; the governor limits how many.
"""

import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from urllib.parse import urlsplit

from manifests.stat import Stat
from syncd.core import Body, Credential, NetworkPlan, Page
from transports.ftp.connections import FtpConnections
from transports.ftp.control import FtpControl, FtpServer
from transports.ftp.folders import FolderLister
from transports.ftp.listing import stat_of
from transports.ftp.read import FtpRead, described
from transports.net import Listing, Selection, ServerTree, SkippedNames, open_network, walk_tree

FLOOR = (1024.0, 60.0)
CONNECTIONS = 8  # at once, by default: FTP servers ban clients with too many
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)


def open_transport(
    url: str,
    *,
    options: Mapping[str, object],
    credential: Credential | None,
    allow_private: frozenset[str],
    user_agent: str,
    network: NetworkPlan | None = None,
) -> "FtpTransport":
    """Return the transport of an `ftp://` or `ftps://` url."""
    encoding = str(options.get("encoding", "utf-8"))
    return FtpTransport(
        url,
        encoding=encoding,
        credential=credential,
        allow_private=allow_private,
        user_agent=user_agent,
        network=network,
    )


class FtpTransport:
    """One server, below one folder."""

    connections = CONNECTIONS

    def __init__(
        self,
        url: str,
        *,
        user_agent: str,
        credential: Credential | None = None,
        allow_private: frozenset[str] = frozenset(),
        encoding: str = "utf-8",
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 30.0,
        reply_timeout: float = 60.0,
        floor: tuple[float, float] = FLOOR,
        clock: Callable[[], float] = time.monotonic,
        network: NetworkPlan | None = None,
    ) -> None:
        """`floor` is bytes per second over a window of seconds. Port 990 is TLS from the first byte, others by AUTH."""
        parts = urlsplit(url)
        self.root = url
        self.floor = floor
        self._tree = ServerTree(url, encoding, _below_login)
        self._origin = self._tree.origin
        self._folder = self._tree.folder
        is_secure = parts.scheme == "ftps"
        if credential is not None and credential.origin != self._origin:
            credential = None  # it belongs to another origin
        mail = _MAIL.search(user_agent)
        server = FtpServer(
            origin=self._origin,
            host=parts.hostname or "",
            port=parts.port or 21,
            username=credential.username if credential is not None else "anonymous",
            password=credential.secret if credential is not None else mail[0] if mail is not None else "anonymous@",
            encoding=encoding,
            is_private_allowed=self._origin in allow_private,
            context=(ssl_context or ssl.create_default_context()) if is_secure else None,
            implicit=is_secure and parts.port == 990,
            connect_timeout=connect_timeout,
            reply_timeout=reply_timeout,
            network=open_network(network),
        )
        self._connections = FtpConnections(server, clock)
        self.certificates = self._connections.certificates
        self._encoding = encoding
        self._skipped = SkippedNames()

    async def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """Yield every file, sorted by its whole path."""
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, a page at a time."""
        self._skipped = SkippedNames()
        lister = FolderLister(
            self._tree, Selection(prefix, after), self._skipped, encoding=self._encoding, floor=self.floor
        )
        control: FtpControl | None = None

        async def list_folder(above: str) -> Listing:
            nonlocal control
            if control is not None:
                return await lister.files(control, above)
            control, found = await self._connections.ask(lambda control: lister.files(control, above), self.root)
            return found

        try:
            async with aclosing(walk_tree(list_folder)) as pages:
                async for page in pages:
                    yield page
            if control is not None:
                self._connections.keep(control)
                control = None
            lister.raise_if_unread()
        finally:
            if control is not None:
                control.drop()

    def skipped(self) -> Mapping[str, int]:
        """Return what the last listing passed over."""
        return self._skipped.counts

    async def stat(self, path: str) -> Stat:
        """Describe one file."""
        control, _, found = await described(self._connections, self._tree, path)
        self._connections.keep(control)
        return stat_of(path, found)

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Read `[start, stop)`; bytes behind `stop` are cut off."""
        return FtpRead(self._connections, self._tree, path, start=start, stop=stop, version=version, floor=self.floor)

    async def aclose(self) -> None:
        """Close all idle connections."""
        await self._connections.aclose()


def _below_login(path: str) -> str:
    """Return the path of a url as the server takes it: relative to the folder of the login."""
    return path.removeprefix("/")
