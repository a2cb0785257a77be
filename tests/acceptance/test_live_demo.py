"""The daemon of the demo: `syncd run` as people run it, seen and steered over its API and its page."""

import asyncio
import importlib
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

DEMO = Path(__file__).parents[2] / "deploy/demo"


@pytest.fixture
def live(monkeypatch):
    monkeypatch.syspath_prepend(str(DEMO))
    for name in ("live", "serve", "nodes"):
        sys.modules.pop(name, None)
    live = importlib.import_module("live")
    monkeypatch.setattr(live, "PORT", 0)
    return live


async def until(session, path, seen, why):
    async with asyncio.timeout(120):
        while True:
            async with session.get(path) as response:
                found = await response.json()
            if seen(found):
                return found
            await asyncio.sleep(0.05)


async def test_a_daemon_at_work_is_seen_and_steered(live, tmp_path):
    manifests = tmp_path / "manifests.d"
    manifests.mkdir()
    upstream, address = tmp_path / "upstream", live.listen()
    async with (
        live.publishing(upstream, manifests, hurry=True) as origins,
        live.daemon(tmp_path, address, origins) as token,
        aiohttp.ClientSession(f"http://{address}") as session,
    ):
        mirrors = {one["name"]: one for one in await live.first_passes(address, len(live.PUBLISHERS))}
        assert set(mirrors) == {"atlas", "buoys", "forecasts", "stations"}
        assert {mirrors[name]["health"] for name in ("atlas", "buoys", "forecasts")} == {"good"}
        assert mirrors["stations"]["health"] == "degraded"  # its first copy lacks two files

        async with session.get("/mirrors/stations", headers={"Accept": "text/html"}) as response:
            page = await response.text()
        assert "2 files failed to download" in page
        assert "Upstream lists the file but does not have it." in page
        assert (
            "The file failed verification: its size or checksum differs from what upstream published. Upstream may be changing the file or its checksum list; if this persists, contact the publisher."
            in page
        )

        async with session.get("/api/v1/mirrors/buoys/entries?limit=1") as response:
            (entry,) = (await response.json())["entries"]
        stored = tmp_path / "store/buoys" / entry["path"]
        assert stored.stat().st_size == entry["size"]

        live._less_atlas(upstream / "atlas", 1)
        bearer = {"Authorization": f"Bearer {token}"}
        async with session.post("/api/v1/mirrors/atlas/sync", headers=bearer) as response:
            assert (await response.json())["who"] == "demo"
        await until(session, "/api/v1/mirrors/atlas", lambda one: one["parked"] == 41, "nothing was parked")
        async with session.post("/api/v1/mirrors/atlas/approve?files=41", headers=bearer) as response:
            assert response.status == 200
        await until(
            session, "/api/v1/mirrors/atlas", lambda one: (one["parked"], one["files"]) == (0, 21), "they stayed"
        )

        async with session.get("/metrics") as response:
            assert "syncd_" in await response.text()
        async with session.get("/tunasync.json") as response:
            assert {one["name"] for one in await response.json()} == set(mirrors)
        async with session.get("/api/v1/audit", headers=bearer) as response:
            acts = (await response.json())["audit"]
            assert [one["what"] for one in acts if one["who"] == "demo"] == ["approve", "sync"]
    assert b'"stopped"' in (tmp_path / "daemon.log").read_bytes()


async def test_three_nodes_end_with_one_snapshot_after_one_was_cut_off(live, tmp_path, monkeypatch):
    nodes, serve = importlib.import_module("nodes"), importlib.import_module("serve")
    monkeypatch.setattr(live, "PUBLISHERS", [one for one in live.PUBLISHERS if one.name == nodes.MIRROR])
    manifests, upstream = tmp_path / "manifests.d", tmp_path / "upstream"
    manifests.mkdir()
    one = nodes.Node("demo-one", tmp_path)
    two, three = (nodes.Node(f"demo-{name}", tmp_path / name) for name in ("two", "three"))
    await nodes.make_keys([one, two, three])
    async with live.publishing(upstream, manifests, hurry=True) as origins:
        more = one.serving() + nodes.watching([two, three])
        allowed = [*origins, f"http://{two.face}", f"http://{three.face}"]
        async with live.daemon(tmp_path, one.page, allowed, more=more) as one.token, AsyncExitStack() as following:
            await live.first_passes(one.page, 1)  # before that there is nothing to follow
            way = await following.enter_async_context(serve.relayed(one.face))
            await following.enter_async_context(nodes.following(one, [two, three], way))
            await nodes.until(one, nodes.agree)
            way.cut()
            before = one.snapshot
            live.more_buoys(upstream / nodes.MIRROR, 1)
            await nodes.sync(one)
            await nodes.until(one, lambda copies: copies[0]["snapshot"] != before)
            await nodes.sync(two)
            here, near, far = await nodes.until(one, lambda copies: nodes.agree(copies, 2))
            assert (near["is_same"], far["is_same"], far["snapshot"]) == (True, False, before)
            assert far["upstream_checked"] < near["upstream_checked"] == here["upstream_checked"]
            assert all(copy["is_proved"] and copy["via"] == ["demo-one"] for copy in (near, far))
            way.mend()
            await nodes.sync(three)
            await nodes.until(one, nodes.agree)
            assert one.snapshot == two.snapshot == three.snapshot
