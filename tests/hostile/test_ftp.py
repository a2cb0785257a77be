"""What FTP servers may do to us, and what becomes of it."""

import asyncio
import contextlib
import os
import socket
from contextlib import aclosing, asynccontextmanager

import pytest

from manifests.stat import UnsafePath, check_path
from syncd.core.errors import (
    Changed,
    Denied,
    Interrupted,
    NotFound,
    RangeRefused,
    Refused,
    Stalled,
    Unsafe,
    Unsupported,
)
from syncd.core.ports import FINAL_REPLY, Credential
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.hostile.ftp_server import HostileFtp
from tests.hostile.http_case import read
from tests.servers.ftp import TLS, vsftpd
from transports.ftp.transport import FtpTransport
from transports.net import NOWHERE, SPECIAL, TO_FOLDERS

CONTENT = bytes(range(256)) * 4000
TREE = {"a/b/c": b"deep", "a-b": b"before a/", "a/x y": b"two words", "x": CONTENT}


@asynccontextmanager
async def hostile(files=TREE, **options):
    async with HostileFtp(files) as server:
        given = {"user_agent": "syncd/test (ops@example.org)", "allow_private": frozenset({server.origin}), **options}
        transport = FtpTransport(f"{server.origin}/", **given)
        try:
            yield server, transport
        finally:
            await transport.aclose()


async def append_all(found, stats):
    async for stat in stats:
        found.append(stat.path)


async def test_a_listing_by_mlsd_is_sorted_by_whole_paths_and_needs_no_question_for_each_file():
    async with hostile() as (server, transport):
        found = [stat async for stat in transport.list()]
        assert [(stat.path, stat.size) for stat in found] == [(path, len(TREE[path])) for path in sorted(TREE)]
        assert found[0] == await transport.stat("a-b")
        assert sum(said.startswith(("MLST", "SIZE", "MDTM")) for said in server.said) == 1
        assert server.logins == 1
        assert "PASS ops@example.org" in server.said


async def test_a_body_that_breaks_off_is_gone_on_with_at_its_byte():
    async with hostile() as (server, transport):
        server.cut = 1000
        with pytest.raises(Interrupted, match=r"^x: ended at byte 1000 of 1024000$"):
            await read(transport, "x")
        server.cut = 70_000
        assert await read(Retrying(transport, Policy(first=0.0)), "x") == CONTENT
        assert "REST 70000" in server.said


async def test_a_file_that_is_replaced_while_it_is_read_is_changed_and_never_spliced():
    async with hostile() as (server, transport):
        server.after = lambda: server.files.update(x=(CONTENT[::-1], "20260102000000"))
        with pytest.raises(
            Changed, match=r"^x: version modified:20260101000000\|1024000 became modified:20260102000000"
        ):
            await read(transport, "x")
        with pytest.raises(Changed):
            await read(transport, "x", start=5, version="modified:20260101000000|1024000")


async def test_bytes_behind_the_announced_end_are_not_taken_and_no_end_is_announced_the_next_time():
    async with hostile() as (server, transport):
        server.more = b"!"
        with pytest.raises(Changed, match=r"more than the announced 1024000 bytes arrived"):
            await read(transport, "x")
        server.files["x"] = (CONTENT + b"?", "20260101000000")
        async with transport.open("x", stop=1000) as body:
            assert (body.stat.size, body.stop, FINAL_REPLY in body.headers) == (None, None, True)
            assert b"".join([chunk async for chunk in body]) == CONTENT + b"?"


async def test_a_server_that_does_not_know_what_it_announces_is_asked_in_the_older_way():
    async with hostile() as (server, transport):
        server.replies.update(MLST="502 Command not implemented", MLSD="500 what?")
        server.shown = {"x": "Jan  1  2026"}
        assert [(stat.path, stat.size) async for stat in transport.list()] == [("x", len(CONTENT))]
        assert (await transport.stat("x")).size == len(CONTENT)
        assert await read(transport, "x") == CONTENT


@pytest.mark.parametrize("content", [b"", b"not empty"])
async def test_a_file_that_is_empty_by_its_size_is_asked_for(content):
    async with hostile({"x": content}) as (server, transport):
        server.features = []
        server.replies["SIZE"] = "213 0"
        async with transport.open("x", stop=1000) as body:
            assert (body.stat.size, body.stop) == ((None, None) if content else (0, 0))
            assert b"".join([chunk async for chunk in body]) == content


@pytest.mark.parametrize("features", [["SIZE", "MDTM"], ["MLST type*;size*;modify*;", "SIZE", "MDTM"]])
async def test_a_file_that_the_server_denies_and_sends_is_read_whole(features):
    async with hostile() as (server, transport):
        server.features = features
        server.replies.update(MLST="550 nothing there", SIZE="550 not a plain file", MDTM="550 no")
        assert await read(transport, "x") == CONTENT
        with pytest.raises(NotFound):
            await transport.stat("x")
        with pytest.raises(NotFound):
            await read(transport, "absent")


async def test_the_data_connection_goes_to_the_server_whatever_pasv_says():
    async with hostile() as (server, transport):
        server.epsv, server.pasv_host = False, "10,1,2,3"
        assert await read(transport, "x") == CONTENT


async def test_a_body_that_stops_coming_is_stalled():
    async with hostile(floor=(1024.0, 1.0)) as (server, transport):
        server.cut, server.hang = 10, True
        with pytest.raises(Stalled, match=r"^x: stalled, 10 bytes in 1 s"):
            await read(transport, "x")


async def test_what_the_server_says_is_said_in_our_words():
    for command, reply, kind in [
        ("PASS", "530 Login incorrect.", Denied),
        ("PASS", "530 Sorry, too many users", Refused),
        ("RETR", "550 Permission denied.", Denied),
        ("RETR", "550 gone", NotFound),
        ("RETR", "451 local error", Interrupted),
        ("RETR", "421 come back", Refused),
        ("FEAT", "no reply at all", Refused),
    ]:
        async with hostile() as (server, transport):
            server.replies[command] = reply
            with pytest.raises(kind, match=r"^x: "):
                await read(transport, "x")


@pytest.mark.parametrize("reply", ["229 (|||99999|)", "229 nothing", "500 what?", "425 not now", "229 ok (|||{dead}|)"])
async def test_where_epsv_leads_nowhere_pasv_is_asked_and_remembered(reply):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as closed:
        dead = closed.getsockname()[1]
    async with hostile() as (server, transport):
        server.replies["EPSV"] = reply.format(dead=dead)
        assert [stat.path async for stat in transport.list()] == sorted(TREE)
        assert await read(transport, "x") == CONTENT
        if not reply.startswith("4"):
            assert server.said.count("EPSV") == 1
            assert server.said.count("PASV") > 3


async def test_where_neither_leads_anywhere_the_first_failure_is_told():
    async with hostile() as (server, transport):
        server.replies |= {"EPSV": "229 (|||99999|)", "PASV": "500 what?"}
        with pytest.raises(Refused, match="invalid data port 99999"):
            await read(transport, "x")


async def test_a_server_that_is_full_greets_with_a_refusal_and_one_without_an_end_is_refused():
    async with hostile() as (server, transport):
        for greeting in (
            "421 too many connections",
            "220-" + "\r\n220-".join(["chatter"] * 2000),
            "220 " + "x" * 300_000,
        ):
            server.greeting = greeting
            with pytest.raises(Refused):
                await transport.stat("x")


async def test_a_server_that_cannot_begin_in_the_middle_serves_whole_files():
    async with hostile() as (server, transport):
        server.replies["REST"] = "502 no"
        with pytest.raises(RangeRefused, match=r"^x: .* cannot begin at byte 5"):
            await read(transport, "x", start=5)
        assert await read(transport, "x") == CONTENT


@pytest.mark.promise("P5")
@pytest.mark.fault(30)
async def test_a_folder_that_may_not_be_entered_is_told_after_all_other_files():
    async with hostile() as (server, transport):
        server.denied = {"/a/b"}
        found = []
        with pytest.raises(Denied, match=r"^1 folder could not be listed, so files may be missing: a/b/: .*Permission"):
            await append_all(found, transport.list())
        assert found == ["a-b", "a/x y", "x"]


async def test_a_folder_that_cannot_be_listed_is_an_error_and_not_an_empty_folder():
    for lines in (["type=file;size=1; a/../../etc"], ["type=dir; x/y"]):
        async with hostile() as (server, transport):
            server.lines["a/"] = lines
            with pytest.raises(Unsafe):
                [stat async for stat in transport.list()]
    async with hostile() as (server, transport):
        server.replies["MLSD"] = "550 Permission denied"
        with pytest.raises(Denied):
            [stat async for stat in transport.list()]


@pytest.mark.parametrize(
    "said", ["550 No files found.", "450 没有找到文件", "550 Keine Dateien gefunden", "550 ファイルがありません"]
)
async def test_an_empty_folder_that_the_server_refuses_to_list_is_empty(said):
    async with hostile({"x": b"x"}) as (server, transport):
        server.replies["MLSD"] = said
        assert [stat async for stat in transport.list()] == []


@pytest.mark.promise("P5")
async def test_a_line_that_cannot_be_read_is_shown_once_and_the_others_are_files():
    async with hostile() as (server, transport):
        server.lines["a/"] = ["nonsense", "type=file;size=4;modify=20260101000000; c", "more of it"]
        policy = Policy(attempts=4, first=0.001, most=0.002)
        found = []
        with pytest.raises(Unsupported, match=r"^a/: .*lists 2 lines that syncd cannot read.*: 'nonsense'$"):
            await append_all(found, Retrying(transport, policy).list())
        assert found == ["a-b", "a/c", "x"]
        assert server.said.count("MLSD") == 2


@pytest.mark.promise("P4")
async def test_a_listing_that_the_server_cut_is_an_error():
    async with hostile() as (server, transport):
        server.end = "226 10000 matches total"
        assert [stat async for stat in transport.list()]
        server.end = "226 Output truncated to 10000 matches"
        with pytest.raises(Unsupported, match="lists only a part of the folder: Output truncated to 10000 matches"):
            [stat async for stat in transport.list()]


async def test_folders_without_end_are_not_followed_for_ever():
    async with hostile() as (server, transport):
        server.lines = type("Endless", (), {"get": lambda self, here, lines: ["type=dir; d"]})()
        with pytest.raises(Exception, match="more than 64 folders"):
            [stat async for stat in transport.list()]


async def test_a_connection_that_was_closed_while_it_was_idle_is_no_failure():
    async with hostile() as (server, transport):
        await transport.stat("x")
        server.close_idle()
        assert (await transport.stat("x")).size == len(CONTENT)
        assert server.logins == 2


async def test_a_name_in_another_encoding_is_read_under_it():
    async with hostile({}, encoding="latin-1") as (server, transport):
        server.features = ["MLST type*;size*;modify*;"]
        server.lines[""] = ["type=file;size=2;modify=20260101000000; \udce9.txt"]  # é in latin-1
        assert [stat.path async for stat in transport.list()] == ["é.txt"]


async def test_a_name_that_is_not_text_is_listed_with_its_bytes_so_that_it_is_refused_alone():
    async with hostile({}) as (server, transport):
        lines = ["type=file;size=2; caf\udce9.txt", "type=dir; \udcbd\udcb5", "type=file;size=2; good"]
        server.lines[""] = lines
        found = [stat.path async for stat in transport.list()]
        assert found == [r"\xbd\xb5", r"caf\xe9.txt", "good"]
        assert not [said for said in server.said if "xe9" in said or "xbd" in said]
        for path in found[:2]:
            with pytest.raises(UnsafePath, match=r"not text in the encoding of the source.*source\.encoding"):
                check_path(path)


async def test_a_path_cannot_smuggle_a_command_and_a_url_of_another_server_is_not_asked():
    async with hostile() as (server, transport):
        for path, kind in [
            ("x\r\nDELE x", Unsafe),
            (f"{server.origin}/x%0d%0aDELE%20x", Unsafe),
            ("ftp://other.example.org/x", Unsupported),
            ("https://127.0.0.1/x", Unsupported),
        ]:
            with pytest.raises(kind):
                await transport.stat(path)
        assert not any("DELE" in said for said in server.said)
        assert await read(transport, f"{server.origin}/a/x%20y") == b"two words"


@pytest.mark.fault(23)
async def test_a_private_address_is_refused_unless_it_is_allowed():
    async with hostile(allow_private=frozenset()) as (_, transport):
        with pytest.raises(Unsafe, match="private address"):
            await transport.stat("x")


@pytest.mark.promise("P10")
@pytest.mark.fault(22)
async def test_a_password_goes_to_its_own_origin_only():
    async with hostile() as (server, _):
        for origin, said in [(server.origin, "PASS s3cret"), ("ftp://elsewhere.example.org", "PASS anonymous@")]:
            credential = Credential("archive", origin, "basic", "s3cret", username="me")
            transport = FtpTransport(
                f"{server.origin}/", user_agent="syncd", credential=credential, allow_private=frozenset({server.origin})
            )
            await transport.stat("x")
            await transport.aclose()
            assert server.said[1] == said
            server.said.clear()


@pytest.mark.promise("P10")
@pytest.mark.fault(28)
async def test_a_certificate_of_an_unknown_authority_ends_it_before_the_password(tmp_path, authority):
    (tmp_path / "root").mkdir(mode=0o555)
    with vsftpd(tmp_path / "root", tmp_path / "work", TLS.format(certificate=authority.certificate)) as server:
        origin = server.origin.replace("ftp:", "ftps:")
        transport = FtpTransport(f"{origin}/", user_agent="syncd", allow_private=frozenset({origin}))
        with pytest.raises(Denied, match="certificate"):
            await transport.stat("x")
        await transport.aclose()


async def test_a_server_without_tls_is_not_talked_to_without():
    async with hostile() as (server, _):
        origin = server.origin.replace("ftp:", "ftps:")
        transport = FtpTransport(f"{origin}/", user_agent="syncd", allow_private=frozenset({origin}))
        with pytest.raises(Denied, match="TLS with"):
            await transport.stat("x")
        await transport.aclose()
        assert server.said == ["AUTH TLS"]


async def test_what_somebody_adds_in_the_clear_before_tls_begins_is_never_read_as_the_servers_word(authority):
    async with hostile() as (server, _):
        server.context = authority.server
        origin = server.origin.replace("ftp:", "ftps:")

        def reach():
            return FtpTransport(
                f"{origin}/", user_agent="syncd", allow_private=frozenset({origin}), ssl_context=authority.client
            )

        async with aclosing(reach()) as transport:
            assert await read(transport, "x") == CONTENT
            assert [stat.path async for stat in transport.list()] == sorted(TREE)
        server.said.clear()
        server.behind_auth = b"200 yes\r\n200 yes\r\n230 in\x1b[2J\r\n"
        async with aclosing(reach()) as transport:
            with pytest.raises(
                Denied, match=r"^x: 30 bytes came .* in clear text .*'200 yes.*an attacker between here and the server"
            ):
                await transport.stat("x")
        assert server.said == ["AUTH TLS"]
        server.behind_auth, server.before_data = b"", b"type=file;size=4;modify=20260101000000; evil\r\n"
        async with aclosing(reach()) as transport:
            with pytest.raises(Denied, match=r"46 bytes came .* in clear text .*evil"):
                [stat async for stat in transport.list()]
        async with aclosing(reach()) as transport:
            with pytest.raises(Denied, match=r"^x: 46 bytes came .* in clear text"):
                await read(transport, "x")


async def test_a_whole_file_is_not_waited_for_where_a_nat_has_forgotten_the_control_connection():
    async with hostile(reply_timeout=1.5) as (server, transport):
        server.end = ""  # the reply to the end of the data never comes
        assert await read(transport, "x") == CONTENT
        assert server.logins == 2, "a new connection tells that the file has not changed"
        server.cut = 1000
        with pytest.raises(Interrupted, match="ended at byte 1000"):
            await read(transport, "x")


async def test_a_connection_that_was_idle_is_asked_for_a_sign_of_life_before_it_is_used():
    now = 0.0
    async with hostile(clock=lambda: now) as (server, transport):
        await transport.stat("x")
        await transport.stat("x")
        assert "NOOP" not in server.said
        now = 5.0
        await transport.stat("x")
        assert (server.said.count("NOOP"), server.logins) == (1, 1)
        now = 10.0
        server.close_idle()
        await transport.stat("x")
        assert server.logins == 2


# -- links ------------------------------------------------------------------------------------------------------------


async def skipped_by(server):
    transport = FtpTransport(f"{server.origin}/", user_agent="tests", allow_private=frozenset({server.origin}))
    try:
        return [stat.path async for stat in transport.list()], transport.skipped()
    finally:
        await transport.aclose()


async def test_links_of_mlsd_are_files_if_the_server_says_so_and_else_counted():
    async with HostileFtp({"x": b"content", "link": b"content"}) as server:
        server.lines[""] = [
            "type=file;size=7;modify=20260101000000; x",
            "type=OS.unix=slink:x;modify=20260101000000; link",
            "type=OS.unix=slink:.; self",
            "type=OS.unix=slink:../other/x; out",
            "type=OS.unix=slink:/srv/x; beyond",
            "type=OS.unix=symlink; untold",
            "type=OS.unix=chr-3/1; device",
        ]
        assert await skipped_by(server) == (["link", "x"], {TO_FOLDERS: 3, NOWHERE: 1, SPECIAL: 1})


async def test_a_folder_that_is_one_of_the_folders_above_it_is_not_walked_again():
    async with HostileFtp({"a/x": b"content"}) as server:
        server.identity, server.features[0] = "fd00g1", "MLST type*;size*;modify*;unique*;"
        server.lines[""] = ["type=dir;unique=fd00g2; a", "type=dir;unique=fd00g1; self"]
        server.lines["a/"] = ["type=file;size=7;modify=20260101000000; x", "type=dir;unique=fd00g2; again"]
        assert await skipped_by(server) == (["a/x"], {TO_FOLDERS: 2})


def test_a_real_server_that_lists_links_gives_their_files_once(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "x").write_bytes(b"content")
    for name, target in (("link", "a/x"), ("self", "."), ("out", "/etc/hostname"), ("nowhere", "b"), ("a/up", "..")):
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe")
    root.chmod(0o555)
    with vsftpd(root, tmp_path / "work") as server:
        assert asyncio.run(skipped_by(server)) == (["a/x", "link"], {TO_FOLDERS: 2, NOWHERE: 2, SPECIAL: 1})
    root.chmod(0o755)
