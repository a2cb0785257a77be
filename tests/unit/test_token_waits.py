"""No request waits for a token while it holds a slot: all orders of events, drawn on a loop without time."""

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial

import pytest

from manifests.stat import Stat
from syncd.core.errors import CredentialExpired, CredentialRefused, PermanentError, Refused, TokenOutdated, Unreachable
from syncd.core.ports import Credential
from syncd.sources.credentialed_transport import CredentialedTransport, RenewableAdapter
from syncd.sources.oauth import TokenBroker
from syncd.wrappers.fair_share import FairShares
from syncd.wrappers.governor import Governor
from syncd.wrappers.governors import Governors
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.stack import stack_transport
from tests.simulation.event_loop import SimulatedLoop, seeded_world

ORIGIN = "https://archive.example.org"
ME = Credential("mine", ORIGIN, "oauth", "s3cret", username="me", at=f"{ORIGIN}/token", client="public")
READERS = 60


class ReaderBody:
    def __init__(self, path):
        self.stat, self.start, self.stop, self.headers, self.url = Stat(path, 1), 0, 1, {}, path

    async def __aiter__(self):
        yield b"x"


class TokenArchive:
    """An archive that is slow, forgets tokens, and issues them itself."""

    def __init__(self, chance, lifetime):
        self.chance, self.lifetime = chance, lifetime
        self.valid, self.count, self.refused = {}, Counter(), 0

    @property
    def now(self):
        return asyncio.get_running_loop().time()

    async def answer(self, token):
        await asyncio.sleep(self.chance.random())
        if self.valid.get(token, 0) < self.now:
            self.count["401"] += 1
            raise CredentialRefused("401", is_sure=False)
        self.count["200"] += 1

    async def post(self):
        await asyncio.sleep(self.chance.random())
        if self.chance.random() < 0.2:
            raise self.chance.choice([Unreachable("500"), Refused("429", retry_after=1.0)])
        self.count["token"] += 1
        token = f"token{self.count['token']}"
        self.valid[token] = self.now + self.lifetime
        return b'{"access_token": "%s", "expires_in": %g}' % (token.encode(), self.lifetime)


class TokenAdapter:
    """The transport of the archive; `broker` is None for that of the token's requests."""

    def __init__(self, archive, broker=None):
        self.archive, self.broker, self.reply = archive, broker, b""

    async def list(self, prefix=""):
        for page in ():
            yield page

    async def list_pages(self, prefix="", after=""):
        for page in ():
            yield page

    @asynccontextmanager
    async def open(self, path, *, start=0, stop=None, version=None):
        if self.broker is None:
            self.reply = await self.archive.post()
        else:
            await self.archive.answer(self.broker.token())
        yield ReaderBody(path)

    async def stat(self, path):
        async with self.open(path):
            return Stat(path, 1)

    async def aclose(self):
        """Nothing is open."""


@pytest.fixture
def slots(monkeypatch):
    """The number of slots that each task holds."""
    held = Counter()
    enter, leave = Governor.enter, Governor.leave

    async def entered(self):
        task = asyncio.current_task()
        before = held[task]
        await enter(self)  # which may enter and leave again
        held[task] = before + 1

    def left(self):
        held[asyncio.current_task()] -= 1
        leave(self)

    monkeypatch.setattr(Governor, "enter", entered)
    monkeypatch.setattr(Governor, "leave", left)
    return held


def watched(slots):
    class WatchedBroker(TokenBroker):
        """Notices who waits for it with a slot."""

        async def ready(self):
            assert slots[asyncio.current_task()] <= 0
            await super().ready()

        async def renew(self, seen):
            assert slots[asyncio.current_task()] <= 0
            return await super().renew(seen)

    return WatchedBroker


async def play(chance, slots):
    archive = TokenArchive(chance, lifetime=chance.choice([2, 3, 10]))
    loop = asyncio.get_running_loop()
    governors = Governors(clock=loop.time)

    async def ask(url, form):
        adapter = TokenAdapter(archive)
        asking = stack_transport(adapter, url, governors, policy=Policy(attempts=4, first=0.1), is_side=True)
        async with asking.open(url):
            return adapter.reply

    broker = watched(slots)(ME, ask, clock=loop.time)
    with FairShares(1 << 30, 20).share(ORIGIN) as share:
        adapters = [RenewableAdapter(lambda _: TokenAdapter(archive, broker), broker) for _ in range(2)]
        mirrors = [
            stack_transport(
                adapter,
                f"{ORIGIN}/",
                governors,
                limit=chance.choice([1, 2, 16]),
                connections=share,
                policy=Policy(attempts=20, first=0.1, most=4.0),
                outside=partial(
                    CredentialedTransport, keeper=broker, root=f"{ORIGIN}/", adapter=adapter, clock=loop.time
                ),
            )
            for adapter in adapters
        ]
        done = []

        async def read(number):
            await asyncio.sleep(chance.random())
            async with mirrors[number % 2].open(f"f{number}") as body:
                async for _ in body:
                    await asyncio.sleep(chance.random())
                done.append(number)

        async def stop_some(tasks):
            for task in chance.sample(tasks, 5):
                await asyncio.sleep(chance.random())
                task.cancel()

        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(read(number)) for number in range(READERS)]
            group.create_task(stop_some(reads))
    assert len(done) >= READERS - 5
    assert archive.count["token"] <= loop.time() / 0.5 + 2  # renewed, and not hammered
    assert governors.of(ORIGIN).busy == 0
    return archive


@pytest.mark.promise("P10")
@pytest.mark.fault(25)
@pytest.mark.parametrize("seed", range(25))
def test_a_token_of_the_datas_own_origin_is_renewed_in_whatever_order_requests_come(seed, slots):
    chance = random.Random(seed)
    loop = SimulatedLoop(chance)
    with seeded_world(loop, chance):
        try:
            loop.run_until_complete(play(chance, slots))  # raises Stuck if all wait for one another
        finally:
            loop.close()


async def test_a_request_with_an_outdated_token_is_not_sent_and_gives_its_slot_back():
    async def never(url, form):
        raise AssertionError(url)

    broker = TokenBroker(ME, never)
    archive = TokenArchive(random.Random(0), 2)
    with pytest.raises(TokenOutdated):
        async with TokenAdapter(archive, broker).open("f"):
            pass
    assert archive.count == {}


async def test_a_credential_that_is_given_up_is_not_sent_again_until_the_next_pass():
    asked = []

    async def ask(url, form):
        asked.append(form)
        raise PermanentError("https://archive.example.org/token: upstream answers 400")

    broker = TokenBroker(ME, ask)
    for _ in range(3):
        with pytest.raises(CredentialExpired, match="no token for it"):
            await broker.ready()
    assert len(asked) == 1
