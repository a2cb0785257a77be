"""The contract of transports, held by http, files, S3, FTP and SFTP, and by the stores where they read."""

import asyncio

import pytest

from syncd.core.ports import Credential
from syncd.stores.filesystem.store import FilesystemStore
from tests.contracts.transport_contract import TREE, TransportContract, read
from tests.hostile.server import HostileServer
from tests.servers.ftp import TLS, vsftpd
from tests.servers.nginx import nginx
from tests.servers.sshd import sshd
from tests.servers.started import free_port
from transports.file import FileTransport
from transports.ftp.transport import FtpTransport
from transports.http.client import missing_names
from transports.http.session import SessionClient
from transports.http.transport import HttpTransport
from transports.s3.transport import open_transport as open_s3
from transports.sftp.transport import SftpTransport


def write(tree, folder):
    for path, content in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


class OverHttp(TransportContract):
    lists = False

    @pytest.fixture
    def trusted(self):
        """What the client trusts: nothing is needed without TLS."""

    @pytest.fixture
    async def transport(self, origin, trusted):
        found = HttpTransport(
            f"{origin}/", user_agent="syncd/test", allow_private=frozenset({origin}), ssl_context=trusted
        )
        yield found
        await found.aclose()

    async def test_a_version_of_a_listing_binds_nothing(self, transport, tree):
        assert await read(transport, "a/c", start=3, version="listed:24-Nov-2026 00:00|11") == tree["a/c"][3:]


class TestNginx(OverHttp):
    @pytest.fixture
    def origin(self, tree, tmp_path):
        write(tree, tmp_path / "root")
        with nginx(tmp_path / "root", tmp_path / "work") as server:
            yield server.origin


class TestNginxWithTls(OverHttp):
    @pytest.fixture
    def trusted(self, authority):
        return authority.client

    @pytest.fixture
    def origin(self, tree, tmp_path, authority):
        write(tree, tmp_path / "root")
        port, key = free_port(), authority.certificate
        more = f"listen 127.0.0.1:{port} ssl; ssl_certificate {key}; ssl_certificate_key {key};"
        with nginx(tmp_path / "root", tmp_path / "work", more):
            yield f"https://127.0.0.1:{port}"


class OverTheClientSession(OverHttp):
    """As if aiohttp had renamed something that our own connections need."""

    @pytest.fixture
    async def transport(self, origin, trusted, monkeypatch):
        monkeypatch.setattr("transports.http.client.PROTOCOL_NAMES", ("a_name_of_another_release",))
        missing_names.cache_clear()
        found = HttpTransport(
            f"{origin}/", user_agent="syncd/test", allow_private=frozenset({origin}), ssl_context=trusted
        )
        assert isinstance(found._client, SessionClient)
        yield found
        await found.aclose()
        await self.closed()
        missing_names.cache_clear()

    async def closed(self):
        """Wait until the server has closed its side, too, where that matters."""


class TestNginxOverTheClientSession(OverTheClientSession, TestNginx):
    pass


class TestNginxWithTlsOverTheClientSession(OverTheClientSession, TestNginxWithTls):
    async def closed(self):
        """TLS ends with a message of the server: wait until the loop reads no socket any more but its own."""
        sockets = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]  # of the standard loop
        async with asyncio.timeout(120):
            while len(sockets) > 1:
                await asyncio.sleep(0.005)


class TestPoliteServer(OverHttp):
    @pytest.fixture
    async def origin(self, tree):
        async with HostileServer(tree) as server:
            yield server.origin


class TestPoliteServerWithTls(OverHttp):
    @pytest.fixture
    def trusted(self, authority):
        return authority.client

    @pytest.fixture
    async def origin(self, tree, authority):
        async with HostileServer(tree, ssl_context=authority.server) as server:
            yield server.origin


class TestPoliteServerOverTheClientSession(OverTheClientSession, TestPoliteServer):
    pass


class TestFiles(TransportContract):
    @pytest.fixture
    async def transport(self, tree, tmp_path):
        write(tree, tmp_path)
        return FileTransport(str(tmp_path))


class TestFolderAsASource(TransportContract):
    @pytest.fixture
    async def transport(self, tree, tmp_path):
        store = FilesystemStore(tmp_path / "store")
        for path, content in tree.items():
            await store.put(path, content)
        yield store
        await store.aclose()


@pytest.fixture(scope="module")
def ftp_work(tmp_path_factory):
    work = tmp_path_factory.mktemp("ftp")
    write(TREE, work / "root")
    (work / "root").chmod(0o555)  # vsftpd lets nobody into a folder of his own that he may write
    yield work
    (work / "root").chmod(0o755)


@pytest.fixture(scope="module")
def ftp_server(ftp_work):
    with vsftpd(ftp_work / "root", ftp_work / "plain") as server:
        yield server


@pytest.fixture(scope="module")
def ftps_server(ftp_work, authority):
    with vsftpd(ftp_work / "root", ftp_work / "tls", TLS.format(certificate=authority.certificate)) as server:
        yield server


@pytest.fixture(scope="module")
def sftp_server(tmp_path_factory):
    work = tmp_path_factory.mktemp("sftp")
    write(TREE, work / "root")
    with sshd(work) as server:
        yield server


class OverFtp(TransportContract):
    strong = "modified:"

    async def test_a_version_of_another_kind_binds_nothing(self, transport, tree):
        assert await read(transport, "a/c", start=3, version="listed:24-Nov-2026 00:00|11") == tree["a/c"][3:]


class TestVsftpd(OverFtp):
    @pytest.fixture
    async def transport(self, ftp_server):
        origin = ftp_server.origin
        found = FtpTransport(f"{origin}/", user_agent="syncd/test", allow_private=frozenset({origin}))
        yield found
        await found.aclose()


class TestVsftpdWithTls(OverFtp):
    @pytest.fixture
    async def transport(self, ftps_server, authority):
        origin = ftps_server.origin.replace("ftp:", "ftps:")
        found = FtpTransport(
            f"{origin}/", user_agent="syncd/test", allow_private=frozenset({origin}), ssl_context=authority.client
        )
        yield found
        await found.aclose()


class TestSshd(TransportContract):
    strong = "modified:"

    @pytest.fixture
    async def transport(self, sftp_server):
        server = sftp_server
        key = Credential("archive", server.origin, "key", server.private_key, username=server.username)
        found = SftpTransport(
            f"{server.origin}{server.work}/root/",
            credential=key,
            allow_private=frozenset({server.origin}),
            known_hosts=(server.known_hosts(),),
        )
        yield found
        await found.aclose()


class FromS3(TransportContract):
    @pytest.fixture
    async def filled(self, server, tree):
        url = server.url()
        store = server.store(url)
        for path, content in tree.items():
            await store.put(path, content)
        yield url, store
        await store.aclose()


@pytest.mark.swift
class TestSwiftAsAStore(FromS3):
    @pytest.fixture
    def server(self, swift):
        return swift

    @pytest.fixture
    async def transport(self, filled):
        return filled[1]


@pytest.mark.swift
class TestSwiftAsASource(FromS3):
    @pytest.fixture
    def server(self, swift):
        return swift

    @pytest.fixture
    async def transport(self, filled, server):
        found = open_s3(
            filled[0],
            options={"endpoint": server.endpoint, "region": "us-east-1"},
            credential=server.credential,
            allow_private=frozenset({server.endpoint}),
            user_agent="syncd/test",
        )
        yield found
        await found.aclose()
