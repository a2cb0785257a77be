"""What boto3 itself asks (STS, single sign-on) goes the way of every request; instance metadata are asked for directly.

botocore takes an HTTP proxy, and no SOCKS proxy: its connections are then made by `transports.net`, in the thread in
which boto3 runs.
"""

import asyncio
import atexit
import os
import socket
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from syncd.core import NetworkPlan, Proxy
from transports.net import Network
from transports.net.connect import connect_through

CONNECT = 30.0  # seconds
_STS = "://sts.amazonaws.com"


def botocore_session(plan: NetworkPlan | None, profile: str | None) -> Any:
    """Return the session for boto3; None for its own, if everything is reached directly. Blocks."""
    if plan is None or plan.is_default:
        return None
    from botocore.config import Config  # noqa: PLC0415  slow to import, and not always needed
    from botocore.session import get_session  # noqa: PLC0415  as above

    session = get_session()
    session.set_config_variable("profile", profile)
    routes = {scheme: plan.proxy_for(scheme + _STS) for scheme in ("http", "https")}
    proxies = {scheme: _url(proxy) for scheme, proxy in routes.items() if proxy is not None and proxy.scheme == "http"}
    session.set_default_client_config(Config(proxies=proxies))
    if plan.ca:
        session.set_config_variable("ca_bundle", _bundle(plan.ca))
    if (socks := routes["https"]) is not None and socks.scheme != "http":
        _connect_by_socks(session, Network(plan), socks)
    for provider in session.get_component("credential_provider").providers:
        _ask_directly(getattr(provider, "_role_fetcher", None))
    return session


def _url(proxy: Proxy) -> str:
    """Return the url of a proxy with its login; botocore sends that as a header."""
    from urllib.parse import quote  # noqa: PLC0415  beside its only use

    login = f"{quote(proxy.username, safe='')}:{quote(proxy.password, safe='')}@" if proxy.username else ""
    return f"http://{login}{proxy.address}"


def _ask_directly(fetcher: Any) -> None:
    """Have a fetcher of instance metadata use no proxy: they are on a link-local address."""
    from botocore.httpsession import URLLib3Session  # noqa: PLC0415  slow to import, and not always needed

    if hasattr(fetcher, "_session") and hasattr(fetcher, "_timeout"):
        fetcher._session = URLLib3Session(timeout=fetcher._timeout, proxies={})  # noqa: SLF001  no public way


def _connect_by_socks(session: Any, network: Network, proxy: Proxy) -> None:
    """Have the clients that the session creates connect through a SOCKS proxy."""
    from botocore.awsrequest import (  # noqa: PLC0415  as above
        AWSHTTPConnection,
        AWSHTTPConnectionPool,
        AWSHTTPSConnection,
        AWSHTTPSConnectionPool,
    )

    class ThroughSocks:
        host: str
        port: int

        def _new_conn(self) -> socket.socket:
            made = _connect(network, proxy, self.host, self.port)
            made.settimeout(CONNECT)
            return made

    class PlainSocks(ThroughSocks, AWSHTTPConnection):  # type: ignore[misc]  # botocore has no types
        pass

    class SecureSocks(ThroughSocks, AWSHTTPSConnection):  # type: ignore[misc]  # as above
        pass

    class PlainSocksPool(AWSHTTPConnectionPool):  # type: ignore[misc]  # as above
        ConnectionCls = PlainSocks

    class SecureSocksPool(AWSHTTPSConnectionPool):  # type: ignore[misc]  # as above
        ConnectionCls = SecureSocks

    create = session.create_client

    def create_client(*words: Any, **more: Any) -> Any:
        client = create(*words, **more)
        manager = client._endpoint.http_session._manager  # noqa: SLF001  no public way
        manager.pool_classes_by_scheme = {"http": PlainSocksPool, "https": SecureSocksPool}
        return client

    session.create_client = create_client


def _connect(network: Network, proxy: Proxy, host: str, port: int) -> socket.socket:
    """Return a connected socket. Blocks. Raises OSError, as urllib3 expects it."""
    made = asyncio.run(
        connect_through(proxy, f"https://{host}", host, port, timeout=CONNECT, label="boto3", network=network)
    )
    made.setblocking(True)
    return made


@cache
def _bundle(ca: str) -> str:
    """Return a file with the usual authorities and our own: boto3 takes one file. It is deleted at the end."""
    usual = ssl.get_default_verify_paths().cafile or _certifi()
    with tempfile.NamedTemporaryFile("wb", prefix="syncd-ca-", suffix=".pem", delete=False) as file:
        for one in (usual, ca):
            file.write(Path(one).read_bytes() + b"\n")
    atexit.register(os.unlink, file.name)
    return file.name


def _certifi() -> str:
    from botocore.httpsession import where  # noqa: PLC0415  botocore's own bundle, or certifi's

    return str(where())
