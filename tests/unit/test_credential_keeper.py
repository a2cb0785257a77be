"""A rejected secret is read again, once for all that wait, whatever the protocol; a dead one is not sent again."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from manifests.stat import Stat
from syncd.core.errors import ConfigError, CredentialExpired, CredentialRefused
from syncd.core.ports import Credential
from syncd.sources.credential_keeper import GRACE, READ_EVERY, CredentialKeeper
from syncd.sources.credentialed_transport import CredentialedTransport, RenewableAdapter

ORIGIN = "ftps://archive.example.org"
OLD = Credential("mine", ORIGIN, "basic", "old", username="me")


class LoginServer:
    """A server that accepts one password, and the file of the password; the clock is moved by sleeping."""

    def __init__(self):
        self.good, self.now = "old", 0.0
        self.file: Credential | None = OLD
        self.sent, self.readings, self.open = [], 0, 0

    def read_file(self):
        self.readings += 1
        if self.file is None:
            raise ConfigError("it is being written")
        return self.file

    async def sleep(self, seconds):
        self.now += seconds
        self.on_sleep()
        await asyncio.sleep(0)

    def on_sleep(self):
        """Nothing happens meanwhile."""

    def transport(self):
        keeper = CredentialKeeper(OLD, self.read_file, clock=lambda: self.now, sleep=self.sleep)
        adapter = RenewableAdapter(lambda credential: LoginAdapter(self, credential), keeper)
        return CredentialedTransport(adapter, keeper, f"{ORIGIN}/", adapter), keeper


class LoginAdapter:
    def __init__(self, server, credential):
        self.server, self.credential = server, credential
        server.open += 1

    def log_in(self):
        self.server.sent.append(self.credential.secret)
        if self.credential.secret != self.server.good:
            raise CredentialRefused("530")

    async def list(self, prefix=""):
        self.log_in()
        yield Stat("a", 1)

    async def list_pages(self, prefix="", after=""):
        self.log_in()
        yield [Stat("a", 1)]

    async def stat(self, path):
        self.log_in()
        return Stat(path, 1)

    @asynccontextmanager
    async def open(self, path, *, start=0, stop=None, version=None):
        await asyncio.sleep(0)
        self.log_in()
        yield self

    async def aclose(self):
        self.server.open -= 1


async def opened(transport, path="a"):
    async with transport.open(path):
        return True


@pytest.mark.promise("P10")
async def test_a_new_secret_is_read_once_for_all_and_the_server_is_spoken_to_anew():
    server = LoginServer()
    transport, _ = server.transport()
    assert await opened(transport)
    server.good, server.file = "new", replace(OLD, secret="new")
    assert await asyncio.gather(*(opened(transport) for _ in range(30))) == [True] * 30
    assert server.readings == 1
    assert server.open == 2
    assert [page async for page in transport.list_pages()] == [[Stat("a", 1)]]
    assert (await transport.stat("a")).size == 1
    await transport.aclose()
    assert server.open == 0


async def test_a_listing_and_a_question_read_a_new_secret_too():
    server = LoginServer()
    transport, _ = server.transport()
    server.good, server.file = "new", replace(OLD, secret="new")
    assert [stat.path async for stat in transport.list()] == ["a"]
    server.good, server.file = "newer", replace(OLD, secret="newer")
    assert (await transport.stat("a")).size == 1


async def test_a_secret_that_is_about_to_be_written_is_waited_for():
    server = LoginServer()
    transport, _ = server.transport()
    server.good, server.file = "new", None

    def write():
        server.file = replace(OLD, secret="new" if server.now > 1 else "old")

    server.on_sleep = write
    assert await opened(transport)
    assert server.now == 3 * READ_EVERY


async def test_a_dead_secret_is_sent_once_and_then_no_more_until_a_pass_begins():
    server = LoginServer()
    transport, keeper = server.transport()
    server.good = "new"
    told = await asyncio.gather(*(opened(transport) for _ in range(30)), return_exceptions=True)
    assert {type(error) for error in told} == {CredentialExpired}
    assert "credentials.mine: is no longer accepted" in str(told[0])
    assert told[0].origins == {ORIGIN}
    assert server.now == GRACE
    sent = len(server.sent)
    with pytest.raises(CredentialExpired):
        await opened(transport)
    assert len(server.sent) == sent
    keeper.begin_pass(replace(OLD, secret="new"))
    assert await opened(transport)
