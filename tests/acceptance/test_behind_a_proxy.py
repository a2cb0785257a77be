"""Passes of an institute whose only way out is a proxy: as syncd.yaml, the variables or a manifest say."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest

from syncd.config import load_config
from syncd.core.errors import ConfigError, SyncdError
from syncd.core.network import NetworkPlan, parse_proxy
from syncd.core.redaction import Secrets
from syncd.engine.mirror_pass import Pass
from syncd.engine.pass_paths import PassPaths
from syncd.session.manifests import parse
from syncd.session.opening import open_session
from syncd.sources.open_source import Upstream
from syncd.workers.messages import Setup, decode_order, encode
from syncd.wrappers import retrying_transport
from syncd.wrappers.retry_policy import Policy
from tests.hostile.archives import Scripted
from tests.servers.proxies import LOGIN, Microsocks, Squid

FILES = {f"f{number}.nc": b"data %d" % number for number in range(5)}


@pytest.fixture(scope="module")
def squid():
    proxy = Squid(login=True)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def socks():
    proxy = Microsocks(login=True)
    yield proxy
    proxy.close()


@asynccontextmanager
async def archive(folder):
    (folder / "password").write_text(f"{LOGIN[1]}\n")
    (folder / "password").chmod(0o600)
    async with Scripted(files=FILES) as server:
        yield server


async def mirror(folder, server, *, network=None, environ=None, via=None, allow=()):
    """Run one pass; return its result and the events."""
    settings = {
        "allow_private": [server.origin, *allow],
        "store": {"url": "store"},
        "state": "state",
        "workers": 0,
        **({"network": network} if network is not None else {}),
    }
    (folder / "syncd.yaml").write_text(json.dumps(settings))
    source = {"url": server.url(), **({"via": via} if via is not None else {})}
    manifest = parse(f"mirror: m\nsource: {json.dumps(source)}\n", "m.yaml")
    config = await asyncio.to_thread(load_config, folder / "syncd.yaml", environ={})
    events, secrets, stopping = [], Secrets(), asyncio.Event()
    async with open_session(
        config, environ or {}, events.append, lease="held", stopping=stopping, secrets=secrets
    ) as session:
        done: Any = None
        try:
            async with session.pass_context(manifest) as context:
                done = await Pass(context).run()
        except SyncdError as error:
            done = error
    assert LOGIN[1] not in str(events) + str(done)
    return done


def long_form(proxy):
    return {"url": proxy.url, "username": LOGIN[0], "password": {"file": "password"}}


async def test_a_proxy_of_the_configuration_with_its_password_in_a_file(tmp_path, squid):
    async with archive(tmp_path) as server:
        done = await mirror(tmp_path, server, network={"proxy": long_form(squid)})
        assert (done.complete, done.fetched) == (True, len(FILES))
        assert ("GET", server.url("f1.nc"), "200") in await squid.logged("GET", server.url("f1.nc"))


async def test_the_usual_variables_in_either_case_with_their_exceptions(tmp_path, squid):
    async with archive(tmp_path) as server:
        login = f"{LOGIN[0]}:pa%20ss%2Fw%25rd"
        url = squid.url.replace("//", f"//{login}@")
        for name in ("HTTP_PROXY", "all_proxy"):
            before = len(squid.asked())
            assert (await mirror(tmp_path, server, environ={name: url})).complete
            assert len(squid.asked()) > before
        before = len(squid.asked())
        for exception in ({"NO_PROXY": "example.org, 127.0.0.0/8"}, {"no_proxy": "*"}):
            assert (await mirror(tmp_path, server, environ={"HTTP_PROXY": url, **exception})).complete
        assert (await mirror(tmp_path, server, environ={"HTTP_PROXY": url}, network={"proxy": "direct"})).complete
        assert (
            await mirror(tmp_path, server, environ={"HTTP_PROXY": url}, network={"no_proxy": "x.org, 127.0.0.1"})
        ).complete
        assert len(squid.asked()) == before


async def test_a_source_goes_by_a_proxy_of_its_own_or_by_none(tmp_path, squid, socks, monkeypatch):
    monkeypatch.setattr(retrying_transport, "Policy", lambda: Policy(attempts=2, first=0.01))
    async with archive(tmp_path) as server:
        network = {"proxy": "http://127.0.0.1:9", "proxies": {"fast": long_form(socks)}}
        assert (await mirror(tmp_path, server, network=network, via="fast")).complete
        assert (await mirror(tmp_path, server, network=network, via="direct")).complete
        told = await mirror(tmp_path, server, network=network)
        assert "no connection to proxy 127.0.0.1:9" in str(told)
        told = await mirror(tmp_path, server, network=network, via="slow")
        assert isinstance(told, ConfigError)
        assert "m: source.via: 'slow' is not among network.proxies of syncd.yaml, known are fast" in str(told)


@pytest.mark.promise("P10")
async def test_a_proxy_that_only_a_manifest_names_is_on_no_private_address_unless_it_is_allowed(tmp_path):
    proxy = await asyncio.to_thread(Microsocks)
    try:
        async with archive(tmp_path) as server:
            told = await mirror(tmp_path, server, via=proxy.url)
            assert "is on the private address 127.0.0.1" in str(told)
            allowed = f"https://127.0.0.1:{proxy.port}"
            assert (await mirror(tmp_path, server, via=proxy.url, allow=[allowed])).complete
    finally:
        proxy.close()


async def test_a_wrong_variable_is_named(tmp_path):
    async with archive(tmp_path) as server:
        with pytest.raises(ConfigError, match=r"^HTTPS_PROXY: is not the url of an HTTP or SOCKS5 proxy"):
            await mirror(tmp_path, server, environ={"HTTPS_PROXY": "https://proxy.example.org:443"})


def test_a_password_in_the_configuration_is_refused_where_it_stands(tmp_path):
    (tmp_path / "syncd.yaml").write_text('network:\n  proxy: "http://me:SWORDFISH@proxy:3128"\n')
    with pytest.raises(ConfigError, match=r"a secret is not allowed here.*password: \{file") as told:
        load_config(tmp_path / "syncd.yaml", environ={})
    assert "syncd.yaml:2" in str(told.value)


def test_a_worker_is_told_how_upstreams_are_reached():
    proxy = parse_proxy("socks5://me:pw@proxy.example.org", secret_allowed=True)
    network = NetworkPlan(http=proxy, https=proxy, other=proxy, no_proxy=("x",), prefer="ipv4")
    setup = Setup(Upstream(url="https://x/", network=network), "/store", PassPaths("m", "m/", "id"), "", 1, 0)
    assert decode_order(encode(setup)).upstream.network == network
