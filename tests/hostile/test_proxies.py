"""Real proxies, HTTP and SOCKS5: everything goes through them, they are named when they refuse, and nothing leaks."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
import trustme

from syncd.core.errors import ConfigError, Denied, Unreachable, Unsafe
from syncd.core.network import ClientCertificate, NetworkPlan, Proxy, as_address, parse_proxy
from syncd.core.ports import Credential
from tests.hostile.archives import Scripted
from tests.hostile.faults import Answer
from tests.hostile.http_case import read
from tests.servers.ftp import Vsftpd
from tests.servers.proxies import LOGIN, Microsocks, Squid
from tests.servers.sshd import Sshd
from transports.ftp.transport import FtpTransport
from transports.http.session import SessionClient
from transports.http.transport import HttpTransport
from transports.net.connect import connect
from transports.net.network import Network
from transports.s3.boto_network import botocore_session
from transports.s3.client import Bucket
from transports.s3.signing import Account
from transports.s3.transport import S3Transport
from transports.sftp.transport import SftpTransport

CONTENT = bytes(range(256)) * 4000
BIG = bytes(range(251)) * 40_000


@pytest.fixture(scope="module")
def proxies():
    """A proxy of each kind, by name."""
    found: dict[str, Squid | Microsocks] = {
        "http": Squid(),
        "http with login": Squid(login=True),
        "socks": Microsocks(),
        "socks with login": Microsocks(login=True),
    }
    yield found
    for proxy in found.values():
        proxy.close()


def plan(proxies, name, **more):
    found = parse_proxy(proxies[name].url, secret_allowed=True)
    if "login" in name:
        found = Proxy(found.scheme, found.host, found.port, *LOGIN)
    return NetworkPlan(http=found, https=found, other=found, **more)


KINDS = ["http", "http with login", "socks", "socks with login"]


@asynccontextmanager
async def reading(url, network, *, allowed=(), seconds=60.0):
    transport = HttpTransport(
        url, user_agent="syncd/test", allow_private=frozenset(allowed), network=network, connect_timeout=seconds
    )
    try:
        yield transport
    finally:
        await transport.aclose()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
async def test_files_are_read_through_a_proxy_and_connections_are_reused(proxies, kind, is_secure, authority):
    context = authority.server if is_secure else None
    async with Scripted(files={"x": CONTENT, "big": BIG}) as plain, _secure(plain, context) as server:
        network = plan(proxies, kind, ca=str(authority.root))
        async with reading(server.url(), network, allowed=[server.origin]) as transport:
            for _ in range(5):
                assert await read(transport, "x", start=10) == CONTENT[10:]
            assert await read(transport, "big") == BIG
            assert (await transport.stat("x")).size == len(CONTENT)
        assert server.connections <= 2
        heard = server.heard().lower()
        assert "proxy-authorization" not in heard
        assert LOGIN[1] not in heard
    if kind == "http":
        expected = ("CONNECT", f"127.0.0.1:{server.port}") if is_secure else ("GET", server.url("x"))
        await proxies[kind].logged(*expected)


@asynccontextmanager
async def _secure(plain, context):
    if context is None:
        yield plain
        return
    async with Scripted(files={"x": CONTENT, "big": BIG}) as unused:
        del unused
    server = Scripted(files={"x": CONTENT, "big": BIG})
    server._ssl = context
    async with server:
        yield server


@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
async def test_a_login_that_the_proxy_wants_is_named_and_not_tried_again(proxies, is_secure):
    network = plan(proxies, "http")
    closed = parse_proxy(proxies["http with login"].url, secret_allowed=True)
    network = network.with_proxy(closed)
    before = len(proxies["http with login"].asked())
    async with reading(f"{'https' if is_secure else 'http'}://upstream.test:9/", network) as transport:
        with pytest.raises(Denied, match=rf"proxy {closed.address} answered 407 .*: set username and password"):
            await read(transport, "x")
    await asyncio.sleep(0)
    assert len(proxies["http with login"].asked()) <= before + 1


async def test_a_wrong_login_is_named_without_the_password(proxies):
    for name, kind in (("http with login", "http"), ("socks with login", "socks5")):
        wrong = Proxy(kind, "127.0.0.1", proxies[name].port, "me", "SWORDFISH")
        async with reading("https://upstream.test:9/", NetworkPlan().with_proxy(wrong)) as transport:
            with pytest.raises(Denied, match=r"check username and password of network\.proxy") as told:
                await read(transport, "x")
        assert f"127.0.0.1:{wrong.port}" in str(told.value)
        assert "SWORDFISH" not in f"{told.value} {wrong!r}"


async def test_a_socks_proxy_that_wants_a_login_is_named(proxies):
    network = NetworkPlan().with_proxy(parse_proxy(proxies["socks with login"].url, secret_allowed=True))
    async with reading("https://upstream.test:9/", network) as transport:
        with pytest.raises(Denied, match=r"wants a login .*set username and password of network\.proxy"):
            await read(transport, "x")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_what_a_proxy_forbids_or_cannot_reach_is_told_with_its_name(proxies, scheme):
    address = f"127.0.0.1:{proxies['http'].port}"
    async with reading(f"{scheme}://forbidden.test/", plan(proxies, "http")) as transport:
        with pytest.raises(Denied, match=rf"proxy {address} answered 403 .*ask its operator"):
            await read(transport, "x")
    async with reading(f"{scheme}://upstream.test:9/", plan(proxies, "http")) as transport:
        with pytest.raises(Unreachable, match=rf"proxy {address} answered 503 .*does not reach {scheme}://upstream"):
            await read(transport, "x")


async def test_a_socks_proxy_that_cannot_reach_the_server_is_named(proxies):
    async with reading("http://127.0.0.1:9/", plan(proxies, "socks"), allowed=["http://127.0.0.1:9"]) as transport:
        with pytest.raises(Unreachable, match=r"proxy socks5://127.0.0.1:\d+ answered connection refused"):
            await read(transport, "x")


async def test_a_proxy_that_is_away_is_named():
    network = NetworkPlan().with_proxy(Proxy("http", "127.0.0.1", 9))
    async with reading("https://data.example.org/", network) as transport:
        with pytest.raises(Unreachable, match=r"no connection to proxy 127\.0\.0\.1:9"):
            await read(transport, "x")


async def test_what_is_no_proxy_is_told():
    async with Scripted(files={}) as server:
        for scheme in ("http", "socks5"):
            network = NetworkPlan().with_proxy(Proxy(scheme, "127.0.0.1", server.port))
            async with reading("https://data.example.org/", network, seconds=0.5) as transport:
                with pytest.raises((Denied, Unreachable), match=f"127.0.0.1:{server.port}"):
                    await read(transport, "x")


@pytest.mark.promise("P10")
@pytest.mark.fault(23)
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.1", "127.1", "0x7f000001", "localhost", "2130706433"])
async def test_a_private_address_in_a_url_is_refused_behind_a_proxy_too(proxies, host):
    for kind in ("http", "socks"):
        before = proxies["http"].asked()
        async with reading(f"http://{host}:9/", plan(proxies, kind)) as transport:
            with pytest.raises(Unsafe):
                await read(transport, "x")
        assert proxies["http"].asked() == before


async def test_names_are_resolved_by_the_proxy(proxies):
    async with Scripted(files={"x": CONTENT}) as server:
        url = f"http://upstream.test:{server.port}/"
        async with reading(url, plan(proxies, "http")) as transport:
            assert await read(transport, "x") == CONTENT


async def test_no_proxy_is_asked_for_what_no_proxy_names():
    async with Scripted(files={"x": CONTENT}) as server:
        dead = Proxy("http", "127.0.0.1", 9)
        network = NetworkPlan(http=dead, no_proxy=("127.0.0.0/8",))
        async with reading(server.url(), network, allowed=[server.origin]) as transport:
            assert await read(transport, "x") == CONTENT


@pytest.mark.parametrize(
    ("rules", "origin", "is_direct"),
    [
        (("example.org",), "https://example.org", True),
        (("example.org",), "https://data.example.org", True),
        (("example.org",), "https://notexample.org", False),
        ((".example.org",), "https://data.example.org", True),
        (("*.example.org",), "https://data.example.org", True),
        (("EXAMPLE.org",), "https://data.Example.ORG", True),
        (("*",), "https://data.example.org", True),
        (("10.0.0.0/8",), "http://10.1.2.3", True),
        (("10.0.0.0/8",), "http://11.1.2.3", False),
        (("10.1.2.3",), "http://10.1.2.3:8080", True),
        (("10.1.2.3:80",), "http://10.1.2.3:8080", False),
        (("example.org:8080",), "http://example.org:8080", True),
        (("example.org:443",), "https://example.org", True),
        (("::1",), "http://[::1]:80", True),
        (("fd00::/8",), "http://[fd00::1]", True),
        (("[::1]:80",), "http://[::1]", True),
        ((), "https://data.example.org", False),
    ],
)
def test_no_proxy_takes_hosts_domains_addresses_networks_and_ports(rules, origin, is_direct):
    proxy = Proxy("http", "proxy", 3128)
    found = NetworkPlan(http=proxy, https=proxy, other=proxy, no_proxy=rules).proxy_for(origin)
    assert (found is None) == is_direct


def test_an_address_is_known_in_whatever_form():
    for text in ("127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1"):
        assert str(as_address(text)) == "127.0.0.1"
    for text in ("example.org", "1.example.org", "abc"):
        assert as_address(text) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_ftp_goes_through_a_proxy_with_its_data(proxies, kind, tmp_path):
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "sub" / "a.dat").write_bytes(CONTENT)
    server = await asyncio.to_thread(Vsftpd, tmp_path / "root", tmp_path / "work")
    try:
        url = f"ftp://127.0.0.1:{server.port}/"
        transport = FtpTransport(
            url,
            user_agent="x",
            allow_private=frozenset({f"ftp://127.0.0.1:{server.port}"}),
            network=plan(proxies, kind),
        )
        assert [stat.path async for stat in transport.list()] == ["sub/a.dat"]
        assert await read(transport, "sub/a.dat") == CONTENT
        await transport.aclose()
    finally:
        server.close()
    if kind == "http":
        asked = await proxies[kind].logged("CONNECT", f"127.0.0.1:{server.port}")
        tunnels = [target for method, target, _ in asked if method == "CONNECT"]
        assert len(set(tunnels)) > 2  # each data connection has a port of its own


@pytest.mark.parametrize("kind", KINDS)
async def test_sftp_goes_through_a_proxy_also_when_it_asks_for_a_host_key(proxies, kind, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.dat").write_bytes(CONTENT)
    server = await asyncio.to_thread(Sshd, tmp_path / "work")
    try:

        def reach(*known):
            return SftpTransport(
                f"{server.origin}{tmp_path}/root/",
                credential=Credential("archive", server.origin, "key", server.private_key, username=server.username),
                allow_private=frozenset({server.origin}),
                known_hosts=(),
                host_keys=known,
                network=plan(proxies, kind),
            )

        unknown, known = reach(), reach(server.fingerprint)
        with pytest.raises(Denied, match=server.fingerprint.replace("+", r"\+")):
            await unknown.stat("a.dat")
        assert [stat.path async for stat in known.list()] == ["a.dat"]
        assert await read(known, "a.dat") == CONTENT
        await unknown.aclose()
        await known.aclose()
    finally:
        server.close()
    if kind == "http":
        assert f"127.0.0.1:{server.port}" in [
            target for method, target, _ in proxies[kind].asked() if method == "CONNECT"
        ]


async def test_an_authority_of_ones_own_and_a_client_certificate_for_one_origin(tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    mine = ca.issue_cert("me@example.org")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "me.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = Scripted(files={"x": CONTENT})
    server._ssl = context
    async with server:
        trusting = NetworkPlan(ca=str(tmp_path / "ca.pem"))
        known = NetworkPlan(
            ca=str(tmp_path / "ca.pem"),
            certificates=(ClientCertificate(server.origin, str(tmp_path / "me.pem")),),
        )
        async with reading(server.url(), known, allowed=[server.origin]) as transport:
            assert await read(transport, "x") == CONTENT
        async with reading(server.url(), None, allowed=[server.origin]) as transport:
            with pytest.raises(Denied, match="unknown authority"):
                await read(transport, "x")
        async with reading(server.url(), trusting, allowed=[server.origin]) as transport:
            with pytest.raises(Exception, match=server.origin):
                await read(transport, "x")
        missing = NetworkPlan(ca=str(tmp_path / "none.pem"))
        async with reading(server.url(), missing, allowed=[server.origin]) as transport:
            with pytest.raises(ConfigError, match=r"network\.ca: .*none\.pem"):
                await read(transport, "x")


async def test_connections_come_from_the_source_address():
    peers = []

    async def accept(reader, writer):
        peers.append(writer.get_extra_info("peername")[0])
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        for source, seen in (("127.0.0.3", "127.0.0.3"), ("", "127.0.0.1")):
            network = Network(NetworkPlan(source_address=source, prefer="ipv4"))
            made = await connect("ftp://x", "127.0.0.1", port, allowed=True, timeout=5.0, label="x", network=network)
            made.close()
            while not peers:
                await asyncio.sleep(0.01)
            assert peers.pop() == seen
        strange = Network(NetworkPlan(source_address="192.0.2.7"))
        with pytest.raises(Unreachable, match=r"cannot connect from 192\.0\.2\.7"):
            await connect("ftp://x", "127.0.0.1", port, allowed=True, timeout=5.0, label="x", network=strange)
    finally:
        server.close()
        await server.wait_closed()


async def test_the_preferred_addresses_are_tried_first(monkeypatch):
    tried = []

    async def note(found, **more):
        tried.append([one[0].name for one in found])
        raise OSError("no")

    monkeypatch.setattr("transports.net.connect.aiohappyeyeballs.start_connection", note)
    loop = asyncio.get_running_loop()

    async def both(*words, **more):
        import socket

        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 1, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 1)),
        ]

    monkeypatch.setattr(loop, "getaddrinfo", both)
    for prefer in ("ipv4", "ipv6"):
        network = Network(NetworkPlan(prefer=prefer))
        with pytest.raises(Unreachable):
            await connect("ftp://x", "x", 1, allowed=True, timeout=5.0, label="x", network=network)
    assert tried == [["AF_INET", "AF_INET6"], ["AF_INET6", "AF_INET"]]


STS = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>SK</SecretAccessKey><SessionToken>T</SessionToken>
<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@pytest.mark.parametrize("kind", KINDS)
async def test_boto3_asks_for_keys_through_the_same_proxy_as_the_bucket(proxies, kind, tmp_path, monkeypatch):
    def answer(request):
        return Answer(200, [("Content-Type", "text/xml")], STS) if request.method == "POST" else None

    async with Scripted(answer, {"bkt/x": CONTENT}) as server:
        (tmp_path / "config").write_text(
            "[profile p]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nregion = us-east-1\n[profile base]\n"
        )
        (tmp_path / "credentials").write_text("[base]\naws_access_key_id = AK\naws_secret_access_key = SK\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv(
            "AWS_ENDPOINT_URL_STS", f"http://upstream.test:{server.port}" if "http" in kind else server.origin
        )
        bucket = Bucket(
            "bkt",
            Account(endpoint=server.origin, region="us-east-1", profile="p"),
            user_agent="x",
            allow_private=frozenset({server.origin}),
            network=plan(proxies, kind),
        )
        assert await read(S3Transport(bucket, ""), "x") == CONTENT
        await bucket.aclose()
        assert [request.method for request in server.requests] == ["POST", "GET"]


def test_boto3_ignores_the_environment_where_the_configuration_says_direct(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    session = botocore_session(NetworkPlan(https=Proxy("http", "x", 1)).with_proxy(None), None)
    client = session.create_client("sts", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    assert client._endpoint.http_session._proxy_config.proxy_url_for("https://sts.amazonaws.com") is None
    assert botocore_session(NetworkPlan(), None) is None


async def test_the_slower_client_uses_an_http_proxy_too(proxies):
    async with Scripted(files={"x": CONTENT}) as server:
        client = SessionClient(
            allow_private=frozenset({server.origin}), network=Network(plan(proxies, "http with login"))
        )
        request = f"GET /x HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        answer = await client.ask(server.origin, request, label="x")
        body = b""
        while chunk := await answer.read():
            body += chunk
        answer.close()
        await client.aclose()
        assert body == CONTENT


def test_a_password_in_a_variable_may_hold_any_character():
    found = parse_proxy("http://me:p/a#s?s@w:%41@proxy.example.org:8080/", secret_allowed=True)
    assert (found.host, found.port, found.username, found.password) == (
        "proxy.example.org", 8080, "me", "p/a#s?s@w:A",
    )  # fmt: skip
    assert "p/a" not in repr(found)
    assert parse_proxy("proxy.example.org", secret_allowed=True) == Proxy("http", "proxy.example.org", 3128)
