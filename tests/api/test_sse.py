"""Server-sent events: what happens is told once, in order, to who keeps up, and again to who was away for a moment."""

import asyncio
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import pytest

from syncd.api import sse as stream_module
from syncd.config.api_access import ApiSettings
from syncd.core.events import Audited, EventsLost, Published, TransferAdvanced, TransferFailed, TransferStarted
from tests.api.conftest import OPERATOR, READER, bearer, served_by


class Heard:
    """One listener's end of the stream."""

    def __init__(self, response):
        self._lines = response.content

    async def next(self, *words):
        """The next event (with one of `words`), as its id, its word and what it says."""
        while True:
            number, word = None, None
            async with asyncio.timeout(120):
                while (line := (await self._lines.readline()).decode()) not in {"\n", ""}:
                    name, _, value = line.rstrip("\n").partition(": ")
                    number, word = (value, word) if name == "id" else (number, value if name == "event" else word)
                    said = value
            if line == "":
                return None
            if word is not None and (not words or word in words):
                return number, word, msgspec.json.decode(said)


@asynccontextmanager
async def listening(api, path="/api/v1/events", **headers):
    seen = api.served.stream.listeners
    async with api.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()}) as response:
        assert response.status == 200, await response.read()
        assert response.headers["Content-Type"] == "text/event-stream"
        while api.served.stream.listeners <= seen:
            await asyncio.sleep(0)
        yield Heard(response)


async def settled(api, count):
    """Wait until `count` events were taken from the daemon."""
    async with asyncio.timeout(120):
        while api.served.stream._count < count:
            await asyncio.sleep(0.001)


async def test_what_happens_is_told_in_order(api, control):
    async with listening(api) as heard:
        control.feed(TransferFailed("idle", "a/b.nc", "NotFound", quarantined=False, reason="a/b.nc: 404"))
        control.feed(Published("running", "2" * 64, 12, 5, changed=True))
        first = await heard.next("transfer_failed", "published")
        second = await heard.next("transfer_failed", "published")
        assert first[1:] == (
            "transfer_failed",
            {"mirror": "idle", "path": "a/b.nc", "reason": "a/b.nc: 404", "error": "NotFound", "quarantined": False},
        )
        assert second[1] == "published"
        assert [one[0].partition("-")[2] for one in (first, second)] == ["1", "2"]


async def test_only_one_mirror_is_told_to_who_asks_for_it(api, control):
    async with listening(api, "/api/v1/events?mirror=running") as heard:
        control.feed(Audited("idle", "ops", "pause", "paused"))
        control.feed(Audited("running", "ops", "cancel", "stops"))
        assert (await heard.next("audited"))[2]["mirror"] == "running"


async def test_what_happens_often_is_told_as_progress(api, control):
    async with listening(api) as heard:
        for n in range(1000):
            control.feed(TransferStarted("running", f"{n}", 5))
            control.feed(TransferAdvanced("running", f"{n}", 5))
        number, word, said = await heard.next()
        assert (number, word, said["mirror"]) == (None, "progress", "running")
        assert said["progress"]["files_done"] == 3


async def test_who_was_away_is_told_what_it_missed(api, control):
    async with listening(api) as heard:
        control.feed(Audited("idle", "ops", "pause", "paused"))
        last, _, _ = await heard.next("audited")
    for n in range(3):
        control.feed(Audited("idle", "ops", "resume", f"{n}"))
    await settled(api, 4)
    async with listening(api, Last_Event_ID=last) as heard:
        assert [(await heard.next("audited", "reset"))[2].get("outcome") for _ in range(3)] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "last", ["0badc0de-1", "nonsense", "", "{epoch}-99", "{epoch}-x", "{epoch}-" + "9" * 30, "{epoch}-0"]
)
async def test_who_was_away_too_long_is_told_to_ask_anew(api, control, monkeypatch, last):
    api.served.stream._kept = type(api.served.stream._kept)(maxlen=2)
    for n in range(4):
        control.feed(Audited("idle", "ops", "resume", f"{n}"))
    await settled(api, 4)
    async with listening(api, Last_Event_ID=last.format(epoch=api.served.stream._epoch)) as heard:
        number, word, said = await heard.next("audited", "reset")
        assert (word, said) == ("reset", {})
        assert number == f"{api.served.stream._epoch}-4"


async def test_what_was_lost_on_the_way_to_us_is_a_reset(api, control):
    async with listening(api) as heard:
        control.feed(EventsLost("", 7))
        assert (await heard.next("reset"))[1] == "reset"


async def test_silence_is_broken_by_a_heartbeat(api, control):
    control.by_name = {name: one for name, one in control.by_name.items() if one.progress is None}
    api.served.stream._heartbeat = 0.01
    async with api.get("/api/v1/events") as response:
        assert await response.content.readline() == b"retry: 3000\n"
        await response.content.readline()
        assert await response.content.readline() == b": still here\n"


async def test_who_does_not_keep_up_is_let_go(api, control):
    async with listening(api) as heard:
        for n in range(stream_module.BEHIND * 3):
            api.served.stream._keep_event(Audited("idle", "ops", "sync", f"{n}"))
        told = 0
        while await heard.next() is not None:
            told += 1
        assert told < stream_module.BEHIND * 2
    assert api.served.stream.listeners == 0


async def test_who_does_not_read_is_let_go(api, control):
    stream, address = api.served.stream, api.served.url.removeprefix("http://")
    stream._slow = 0.05
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    await reader.readuntil(b"retry: 3000")
    cast("asyncio.Transport", writer.transport).pause_reading()
    async with asyncio.timeout(120):
        while stream.listeners:
            stream._keep_event(Audited("idle", "ops", "sync", "x" * 200_000))
            await asyncio.sleep(0.001)
    writer.close()


async def test_listeners_are_bounded(api, monkeypatch):
    monkeypatch.setattr(stream_module, "LISTENERS", 1)
    async with listening(api), api.get("/api/v1/events") as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "30"
    async with asyncio.timeout(120):
        while api.served.stream.listeners:
            await asyncio.sleep(0.001)
    async with listening(api):
        pass


async def test_the_stream_of_no_mirror_is_not_found(api):
    async with api.get("/api/v1/events?mirror=nobody") as response:
        assert response.status == 404


async def test_the_stream_ends_when_the_daemon_stops(api, control):
    async with listening(api) as heard:
        control.feed(Audited("idle", "ops", "pause", "paused"))
        control.feed.end()
        assert (await heard.next("audited"))[1] == "audited"
        assert await heard.next("audited") is None


async def test_serving_ends_while_somebody_listens(control):
    async with served_by(control) as api:
        response = await api.get("/api/v1/events")
        async with asyncio.timeout(120):
            await response.content.readline()
        response.close()
    assert api.served.stream.listeners == 0


async def test_the_stream_needs_a_token_where_reading_does(control):
    async with served_by(control, settings=ApiSettings(read="token")) as api:
        async with listening(api, Authorization=bearer(READER)["Authorization"]):
            pass
        async with api.get("/api/v1/events") as response:
            assert response.status == 401


async def test_a_stream_ends_with_its_session(api, control, monkeypatch):
    await api.post("/login", data={"token": OPERATOR}, headers={"Origin": api.served.url})
    monkeypatch.setattr("syncd.api.auth.sessions.LASTS", 0.05)
    await api.post("/login", data={"token": OPERATOR}, headers={"Origin": api.served.url})
    async with listening(api) as heard:
        assert await heard.next("audited") is None


async def test_a_name_that_is_no_unicode_is_told_all_the_same(api, control):
    async with listening(api) as heard:
        control.feed(TransferFailed("idle", "a\udcff", "NotFound", quarantined=False, reason="a\udcff: 404"))
        assert (await heard.next("transfer_failed"))[2]["path"] == "a\\udcff"


async def test_the_stream_of_a_revoked_token_ends_before_the_next_event(api, control):
    async with listening(api, **bearer(READER)) as heard:
        control.feed(Published("idle", "1" * 64, 1, 1, changed=True))
        assert await heard.next("published")
        api.served.tokens.replace(())
        control.feed(Published("idle", "2" * 64, 1, 1, changed=True))
        assert await heard.next("published") is None
