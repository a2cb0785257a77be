"""The command line and the daemon, real servers on both sides: what is held is copied, and everybody is told."""

import asyncio
import hashlib
import json
import random

import pytest

from syncd.core import PassFinished
from tests.acceptance.cli import Bucket, Folder, run, sync
from tests.daemons import House
from tests.hostile.server import HostileServer

chance = random.Random(7)
FILES = {f"2023/{n:02}.nc": chance.randbytes(1000 + n) for n in range(20)} | {
    "2023/deep/large.nc": chance.randbytes(5 << 20),
    "2023/middle.nc": chance.randbytes(300 << 10),
}
ALL = sum(map(len, FILES.values()))


def publish(server, files):
    """Let a server have exactly these files, with their checksums."""
    for path in list(server.files):
        server.remove(path)
    for path, body in files.items():
        server.put(path, body)
    sums = "".join(f"{hashlib.sha256(body).hexdigest()}  {path}\n" for path, body in sorted(files.items()))
    server.put("SHA256SUMS", sums.encode())


def moved(files, old="2023", new="archive/2023"):
    return {path.replace(old, new, 1): body for path, body in files.items()}


class Mirrors:
    """Mirrors of a server into one store."""

    def __init__(self, folder, store):
        self.folder, self.store, self.state = folder, store, folder / "state"

    def manifest(self, server, name="m", **more):
        text = {
            "mirror": name,
            "source": {
                "url": server.url(),
                "reader": "checksums",
                "checksums": ["SHA256SUMS"],
                "exclude": ["SHA256SUMS"],
            },
            "guard": {"max_removed": "10%"},
            **more,
        }
        file = self.folder / f"{name}.yaml"
        file.write_text(json.dumps(text))
        return file

    async def sync(self, server, *given, wanted=0, **more):
        words = (self.manifest(server, *given, **more), "--allow-private", server.origin)
        return await asyncio.to_thread(sync, self.store, self.state, *words, wanted=wanted)

    async def plan(self, server, *words, **more):
        words = ("plan", self.manifest(server, **more), "--allow-private", server.origin, *words)
        return await asyncio.to_thread(run, self.store, self.state, *words)


@pytest.fixture(params=["folder", "swift"])
def mirrors(request, tmp_path):
    if request.param == "folder":
        return Mirrors(tmp_path, Folder(tmp_path / "store"))
    server = request.getfixturevalue("swift")
    return Mirrors(tmp_path, Bucket(server, server.url()))


def asked(server):
    return sorted({request.path for request in server.requests} - {"", "SHA256SUMS"})


@pytest.mark.promise("P5")
async def test_a_renamed_folder_is_planned_and_copied_and_nothing_of_it_is_asked_for(mirrors):
    async with HostileServer() as server:
        publish(server, FILES)
        await mirrors.sync(server)
        publish(server, moved(FILES))
        server.requests.clear()
        plan = json.loads(await mirrors.plan(server, "--json"))
        assert (plan["copy"], plan["copy_bytes"], plan["bytes"], plan["moved"]) == (len(FILES), ALL, 0, len(FILES))
        assert plan["parked"] == ""
        text = await mirrors.plan(server, "--all")
        assert "copied inside the store: 22 files" in text
        assert "a copy of 2023/deep/large.nc of m" in text
        result = await mirrors.sync(server)
        assert asked(server) == []
        assert (result["copied"], result["copied_bytes"], result["bytes"]) == (len(FILES), ALL, 0)
        assert (result["removed"], result["parked"], result["complete"]) == (len(FILES), 0, True)
        assert await asyncio.to_thread(mirrors.store.read, "m/") == moved(FILES)
        again = await mirrors.sync(server)
        assert "copied" not in again


async def test_a_second_mirror_with_wider_access_must_show_that_its_upstream_has_the_bytes(tmp_path):
    mirrors = Mirrors(tmp_path, Folder(tmp_path / "store"))
    async with HostileServer() as server, HostileServer() as another:
        publish(server, FILES)
        publish(another, FILES)
        await mirrors.sync(server, "m", about={"access": "restricted"})
        result = await mirrors.sync(another, "open", about={"access": "open"})
        large = [path for path, body in FILES.items() if len(body) >= 256 << 10]
        assert (result["copied"], result["bytes"]) == (len(large), ALL - sum(len(FILES[path]) for path in large))
        ranges = [request.headers.get("range") for request in another.requests if request.path in large]
        assert len(ranges) == 4 * len(large)
        assert None not in ranges
        result = await mirrors.sync(server, "restricted", about={"access": "restricted"})
        assert (result["copied"], result["bytes"]) == (len(FILES), 0)


async def test_the_configuration_can_switch_it_off(tmp_path):
    mirrors = Mirrors(tmp_path, Folder(tmp_path / "store"))
    config = tmp_path / "syncd.yaml"
    config.write_text("reuse: {min_size: 200 KiB}\n")
    async with HostileServer() as server:
        publish(server, FILES)
        words = (mirrors.manifest(server), "--allow-private", server.origin, "--config", config)
        await asyncio.to_thread(sync, mirrors.store, mirrors.state, *words)
        publish(server, moved(FILES))
        result = await asyncio.to_thread(sync, mirrors.store, mirrors.state, *words)
        assert (result["copied"], result["parked"], result["removed"]) == (2, 0, len(FILES))
        config.write_text("reuse: {enabled: false}\n")
        publish(server, moved(FILES, new="elsewhere"))
        result = await asyncio.to_thread(sync, mirrors.store, mirrors.state, *words)
        assert "copied" not in result
        assert (result["bytes"], result["parked"], result["removed"]) == (ALL, 0, len(FILES))


async def test_the_daemon_copies_and_its_page_metrics_and_history_tell_it(tmp_path):
    house = House(tmp_path)
    house.archive("m", FILES)
    house.declare("m", "guard: {max_removed: 10%}\n")
    async with house.living() as control:
        await control.sync("m", "ada")
        await house.until(lambda: house.heard(PassFinished))
        await house.idle("m")
        (house.root / "www/m/2023").rename(house.root / "www/m/2024")
        plan = await control.plan_text((house.manifests / "m.yaml").read_text(), limit=50)
        assert (plan.copy, plan.remove, plan.moved, plan.parked) == (2, len(FILES), len(FILES), "")
        assert {step.copy_of for step in plan.steps} >= {"m: 2023/deep/large.nc", "m: 2023/middle.nc"}
        await control.sync("m", "ada")
        await house.until(lambda: len(house.heard(PassFinished)) == 2)
        await house.idle("m")
        (last, *_) = await control.passes("m")
        assert (last.copied, last.copied_bytes) == (2, (5 << 20) + (300 << 10))
        assert (last.removed, last.parked) == (len(FILES), 0)
        assert house.copy("m") == house.upstream("m")
