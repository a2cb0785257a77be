"""Whose copy is how fresh: a daemon asks its peers for their heads, and shows what each of them said."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.acceptance.nodes import COPY, SigningNode
from tests.acceptance.public_side import PublicSide
from tests.daemons import MORE, House
from tests.fakes import Archive

PUBLISH = "about: {access: open, redistribution: allowed}\npublish: {access: open}\nschedule: {every: 1h}\n"


@asynccontextmanager
async def peer(folder, files):
    """Serve a node that signs its heads; yields its public side."""
    folder.mkdir()
    node = SigningNode(folder, Archive(files), guard="100%")
    node.now = time.time() - 3600
    side = PublicSide(folder, node.archive, mirroring=node)
    await side.run()
    async with side.serving():
        yield side


def house_with(folder, port, keys, more=""):
    origin = f"http://127.0.0.1:{port}"
    house = House(folder, f'{MORE}allow_private: ["{origin}"]\npeers: [{{url: "{origin}/", every: 1s{keys}{more}}}]\n')
    house.archive("scenes", {"x.txt": b"x"})
    house.declare("scenes", PUBLISH)
    return house


async def shown(house, control, true):
    """Return what is shown of the one peer, once it is so."""
    found = []

    async def seen():
        found[:] = [one for one in await control.copies("scenes") if one.role == "peer"]
        return bool(found) and true(found[0])

    async with asyncio.timeout(60):
        while not await seen():
            await asyncio.sleep(0.02)
    return found[0]


async def test_a_peer_that_is_cut_off_is_shown_with_what_it_said_last(tmp_path):
    async with AsyncExitStack() as serving:
        side = await serving.enter_async_context(peer(tmp_path / "two", {"x.txt": b"x"}))
        house = house_with(tmp_path / "one", side.port, f', keys: ["{side.mirroring.key.public.text}"]')
        async with house.living() as control:
            copy = await shown(house, control, lambda one: one.is_same)
            here = (await control.copies("scenes"))[0]
            assert (here.role, here.snapshot) == ("here", copy.snapshot)
            assert copy.node == "cn-one"
            assert copy.is_proved
            assert copy.upstream_checked < copy.answered
            side.archive.files["y.txt"] = b"y"
            await side.mirroring.run()
            newer = await shown(house, control, lambda one: not one.is_same)
            assert newer.upstream_checked > copy.upstream_checked
            await serving.aclose()
            lost = await shown(house, control, lambda one: one.error)
            assert (lost.snapshot, lost.is_proved) == (newer.snapshot, True)
            assert lost.message is not None
        async with house.living() as control:  # a restart forgets nothing
            assert (await shown(house, control, lambda one: one.error)).snapshot == newer.snapshot


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_head_by_a_key_that_is_not_trusted_is_refused_and_without_a_key_it_is_not_proved(tmp_path, is_known):
    async with AsyncExitStack() as serving:
        side = await serving.enter_async_context(peer(tmp_path / "two", {"x.txt": b"x"}))
        keys = f', keys: ["{COPY.public.text}"]' if is_known else ""
        house = house_with(tmp_path / "one", side.port, keys)
        async with house.living() as control:
            copy = await shown(house, control, lambda one: one.error or one.snapshot)
            assert (bool(copy.error), bool(copy.snapshot), copy.is_proved) == (is_known, not is_known, False)
            await serving.aclose()


async def test_a_peer_is_asked_for_published_mirrors_that_it_copies_and_for_no_other_name(tmp_path):
    asked = set()

    async def answer(request):
        asked.add(request.path)
        raise web.HTTPNotFound

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with TestServer(application) as server:
        house = house_with(tmp_path, server.port, "", ', mirrors: ["s*"]')
        for name, more in (("secret", "schedule: {every: 1h}\n"), ("terra", PUBLISH)):
            house.archive(name, {"x.txt": b"x"})
            house.declare(name, more)
        async with house.living() as control:
            await house.idle("scenes", "secret", "terra")
            copy = await shown(house, control, lambda one: one.error)
            assert copy.error == "publishes no head of this mirror"
            assert {one.role for name in ("secret", "terra") for one in await control.copies(name)} == {"here"}
        assert asked == {"/mirrors/scenes/head.json"}
