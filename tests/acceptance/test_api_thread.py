"""The API beside passes that keep the daemon's own loop busy."""

import asyncio
import hashlib
import json
import threading
import urllib.request
from contextlib import asynccontextmanager

import pytest

from syncd.core import Reloaded
from syncd.daemon.api_thread import api_thread
from syncd.web import StatusPage
from tests.daemons import MORE, House, small

TOKEN = "a token of forty characters, for the test"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
PATHS = ("mirrors", "mirrors/one", "mirrors/one/entries", "mirrors/one/passes", "daemon", "store", "scrubs", "origins")


def ask(url, found):
    for path in PATHS:
        with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=120) as answer:
            found.append((path, json.load(answer)))


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path, MORE + "listen: 127.0.0.1:0\n")
    house.archive("one", small())
    house.declare("one")
    return house


@asynccontextmanager
async def served(house):
    """The daemon with its API; yields the address."""
    urls = []

    @asynccontextmanager
    async def door(control, config):
        async with api_thread(control, config, None, StatusPage.load()) as running:
            urls.append(running.url)
            yield running.on_config

    async with house.living(http=door):
        await house.idle("one")
        yield urls[0]


async def test_the_api_answers_while_the_daemons_own_loop_stands_still(house):
    async with served(house) as url:
        found = []
        asking = threading.Thread(target=ask, args=(url, found))
        asking.start()
        asking.join(60)  # the loop stands still, as for a long step of a pass, until all is answered
        answered = [path for path, _ in found]
        await asyncio.to_thread(asking.join)
    assert answered == [*PATHS]


async def test_what_an_action_changed_is_in_the_next_answer(house):
    async with served(house) as url:

        def pause():
            token = {"Authorization": f"Bearer {TOKEN}"}
            asked = urllib.request.Request(f"{url}/api/v1/mirrors/one/pause", method="POST", headers=token)
            with urllib.request.urlopen(asked, timeout=120) as answer:
                outcome = json.load(answer)["outcome"]
            with urllib.request.urlopen(f"{url}/api/v1/mirrors/one", timeout=120) as answer:
                return outcome, json.load(answer)["state"]

        house.configure(f"{MORE}listen: 127.0.0.1:0\ntokens: [{{name: me, role: operator, sha256: '{DIGEST}'}}]\n")
        house.around.reload.set()
        await house.until(lambda: house.heard(Reloaded))
        assert await asyncio.to_thread(pause) == ("paused", "paused")
