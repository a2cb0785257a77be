"""Which SSH servers are believed, who is let in, and what becomes of a file that changes."""

import asyncio
import os
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest

from syncd.core.errors import (
    Changed,
    ConfigError,
    Denied,
    Interrupted,
    NotFound,
    Stalled,
    Unreachable,
    Unsafe,
    Unsupported,
)
from syncd.core.ports import Credential
from tests.hostile.http_case import read
from tests.hostile.sftp_server import HostileSftp
from tests.servers.sshd import sshd
from transports.net import NOWHERE, SPECIAL, TO_FOLDERS
from transports.sftp import connections
from transports.sftp.transport import SftpTransport

CONTENT = bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        (server.work / "root" / "a").mkdir(parents=True)
        (server.work / "root" / "a" / "x").write_bytes(CONTENT)
        for name, target in (
            ("link", "a/x"),
            ("self", "."),
            ("out", "/etc/hostname"),
            ("nowhere", "b"),
            ("a/up", ".."),
        ):
            (server.work / "root" / name).symlink_to(target)
        os.mkfifo(server.work / "root" / "pipe")
        yield server


@pytest.fixture
async def reach(server):
    opened = []

    def reach(**options):
        given: dict[str, Any] = {
            "credential": Credential("archive", server.origin, "key", server.private_key, username=server.username),
            "allow_private": frozenset({server.origin}),
            "known_hosts": (server.known_hosts(),),
        }
        opened.append(SftpTransport(f"{server.origin}{server.work}/{options.pop('below', 'root')}/", **given | options))
        return opened[-1]

    yield reach
    for transport in opened:
        await transport.aclose()


async def test_a_server_whose_key_is_not_known_is_not_talked_to_and_we_say_what_to_do(server, reach):
    with pytest.raises(Denied) as refused:
        await reach(known_hosts=()).stat("a/x")
    assert server.fingerprint in str(refused.value)
    assert f"host_keys: [{server.fingerprint}]" in str(refused.value)


async def test_a_server_that_shows_another_key_than_the_known_one_is_not_talked_to(server, reach, tmp_path):
    other_key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {other_key}\n")
    with pytest.raises(Denied, match="another key is known for it"):
        await reach(known_hosts=(str(tmp_path / "known"),)).stat("a/x")
    with pytest.raises(Denied, match="another key is known for it"):
        await reach(host_keys=(other_key,)).stat("a/x")


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256"])
async def test_a_known_server_that_has_no_key_of_the_known_type_is_another_server(server, reach, tmp_path, kind):
    known = asyncssh.generate_private_key(kind).export_public_key().decode().strip()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {known}\n")
    with pytest.raises(Denied, match="another key is known for it") as refused:
        await reach(known_hosts=(str(tmp_path / "known"),)).stat("a/x")
    assert server.fingerprint in str(refused.value)


async def test_a_known_server_that_ends_the_connection_is_asked_again(server, reach, tmp_path):
    async def hang_up(reader, writer):
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {server.host_key}\n")
        origin = f"sftp://127.0.0.1:{port}"
        transport = SftpTransport(
            f"{origin}/", allow_private=frozenset({origin}), known_hosts=(str(tmp_path / "known"),)
        )
        with pytest.raises(Interrupted):
            await transport.stat("a/x")
        await transport.aclose()


async def test_a_key_or_a_fingerprint_of_the_manifest_is_enough(server, reach):
    for pinned in (server.fingerprint, server.host_key):
        assert (await reach(known_hosts=(), host_keys=(pinned,)).stat("a/x")).size == len(CONTENT)


async def test_a_private_key_with_a_passphrase_opens_with_it_alone(server, reach):
    locked = server.locked_key("sesame")

    def key(passphrase):
        return Credential("archive", server.origin, "key", locked, username=server.username, token=passphrase)

    assert (await reach(credential=key("sesame")).stat("a/x")).size == len(CONTENT)
    for credential in (key("wrong"), key(""), Credential("archive", server.origin, "key", "no key", username="me")):
        with pytest.raises(ConfigError, match=r"^credentials.archive: ") as refused:
            await reach(credential=credential).stat("a/x")
        assert locked[40:80] not in str(refused.value)


async def test_who_is_not_let_in_is_told_with_whose_credential(server, reach):
    password = Credential("archive", server.origin, "basic", "s3cret", username=server.username)
    with pytest.raises(Denied, match="with credential archive: is archive still valid"):
        await reach(credential=password).stat("a/x")
    with pytest.raises(Denied, match="name one under credentials"):
        await reach(credential=None).stat("a/x")
    elsewhere = Credential("archive", "sftp://elsewhere", "key", server.private_key, username=server.username)
    with pytest.raises(Denied, match="name one under credentials"):
        await reach(credential=elsewhere).stat("a/x")


async def test_a_file_that_changes_while_it_is_read_is_changed(server, reach):
    path = server.work / "root" / "changing"
    path.write_bytes(CONTENT)
    transport = reach()
    async with transport.open("changing") as body:
        chunks = aiter(body)
        await anext(chunks)
        os.utime(path, (1, 1))
        with pytest.raises(Changed, match=r"^changing: version modified:\d+\|\d+ became modified:1\|"):
            [chunk async for chunk in chunks]
    path.unlink()


async def test_links_to_files_of_the_source_are_files_and_all_others_are_counted(server, reach):
    transport = reach()
    found = {stat.path: stat async for stat in transport.list()}
    assert [*found] == ["a/x", "link"]
    assert found["link"].version == found["a/x"].version
    assert await read(transport, "link") == CONTENT
    assert transport.skipped() == {TO_FOLDERS: 2, NOWHERE: 2, SPECIAL: 1}


async def test_folders_are_no_files(server, reach):
    transport = reach()
    with pytest.raises(NotFound, match="not a file"):
        await transport.stat("a")
    with pytest.raises(NotFound):
        await read(transport, "a")
    home = f"{server.origin}/~/nowhere"
    with pytest.raises(NotFound):
        await transport.stat(home)


async def test_a_name_that_is_not_text_is_listed_with_its_bytes_and_read_where_its_encoding_is_named(server, reach):
    folder = server.work / "names"
    (folder / os.fsdecode("数据".encode("gb18030"))).mkdir(parents=True)
    (folder / os.fsdecode("数据/降.nc".encode("gb18030"))).write_bytes(b"rain")
    (folder / "good").write_bytes(b"good")
    for encoding, expected in [("utf-8", ["\\xca\\xfd\\xbe\\xdd", "good"]), ("gb18030", ["good", "数据/降.nc"])]:
        transport = reach(below="names", encoding=encoding)
        assert [stat.path async for stat in transport.list()] == expected
        if encoding == "gb18030":
            assert await read(transport, "数据/降.nc") == b"rain"


async def test_urls_of_other_servers_are_not_asked_and_private_addresses_need_leave(server, reach):
    with pytest.raises(Unsupported):
        await reach().stat("sftp://elsewhere.example.org/x")
    with pytest.raises(Unsafe):
        await reach().stat("../x")
    with pytest.raises(Unsafe, match="private address"):
        await reach(allow_private=frozenset()).stat("a/x")


async def test_many_reads_share_a_few_connections(server, reach):
    transport = reach()
    async with asyncio.TaskGroup() as group:
        parts = [
            group.create_task(read(transport, "a/x", start=at, stop=at + 100_000))
            for at in range(0, 4_000_000, 100_000)
        ]
    assert b"".join(part.result() for part in parts) == CONTENT[:4_000_000]
    assert 1 < len(transport.links._open) <= 4


@asynccontextmanager
async def hostile(folder, **options):
    (folder / "a").mkdir()
    (folder / "a" / "x").write_bytes(CONTENT)
    async with HostileSftp(folder) as server:
        given: dict[str, Any] = {
            "allow_private": frozenset({server.origin}),
            "host_keys": (server.fingerprint,),
            "reply_timeout": 0.3,
        }
        transport = SftpTransport(f"{server.origin}/", **given | options)
        try:
            yield server, transport
        finally:
            await transport.aclose()


async def names(transport):
    return [stat.path async for stat in transport.list()]


@pytest.mark.parametrize(
    ("step", "ask", "label"),
    [
        ("handshake", lambda transport: transport.stat("a/x"), "a/x"),
        ("stat", lambda transport: transport.stat("a/x"), "a/x"),
        ("open", lambda transport: read(transport, "a/x"), "a/x"),
        ("fstat", lambda transport: read(transport, "a/x"), "a/x"),
        ("scandir", names, "sftp://127.0.0.1"),
    ],
)
async def test_a_server_that_lives_but_answers_nothing_is_hung_up_on_and_the_next_question_goes_over_a_new_connection(
    tmp_path, step, ask, label
):
    async with hostile(tmp_path) as (server, transport):
        server.hangs = step
        async with asyncio.timeout(120):
            with pytest.raises(Unreachable, match=rf"^{label}.*{server.origin} sent no answer in time"):
                await ask(transport)
        server.hangs = ""
        assert await read(transport, "a/x") == CONTENT
        assert await names(transport) == ["a/x"]
        assert server.logins == 2


async def test_a_file_that_arrived_whole_is_not_lost_by_a_server_that_does_not_close_it(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "FINISHING", 0.2)
    async with hostile(tmp_path) as (server, transport):
        server.hangs = "close"
        async with asyncio.timeout(120):
            assert await read(transport, "a/x") == CONTENT
        server.hangs = ""
        assert await read(transport, "a/x") == CONTENT
        assert server.logins == 2


async def test_a_body_that_stops_coming_is_stalled_and_its_end_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "FINISHING", 0.2)
    async with hostile(tmp_path, floor=(1024.0, 1.0)) as (server, transport):
        server.hangs = "read"
        async with asyncio.timeout(120):
            with pytest.raises(Stalled, match=r"^a/x: stalled, 0 bytes"):
                await read(transport, "a/x")
        server.hangs = ""
        assert await read(transport, "a/x") == CONTENT
        assert server.logins == 2


async def test_a_connection_whose_file_channel_is_gone_is_not_asked_again(tmp_path):
    async with hostile(tmp_path, reply_timeout=30.0) as (server, transport):
        server.ends = True
        with pytest.raises(Interrupted, match=r"^a/x: .* closed the connection"):
            await transport.stat("a/x")
        server.ends = False
        assert (await transport.stat("a/x")).size == len(CONTENT)
        assert server.logins == 2
