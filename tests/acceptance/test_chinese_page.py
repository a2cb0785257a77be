"""The Chinese page of a real daemon whose mirrors fail in many ways: every reason that it shows is Chinese."""

import hashlib

import pytest

from syncd.core.events import PassFailed, PassFinished
from tests.api.conftest import served_by
from tests.api.page_text import english_in, page, words
from tests.daemons import MORE, House
from tests.hostile import faults as f
from tests.hostile.server import HostileServer

FILES = {f"d/{n}.dat": bytes([n]) * 400 for n in range(1, 9)}


def sums(files):
    return "".join(f"{hashlib.sha256(body).hexdigest()}  {path}\n" for path, body in files.items()).encode()


def archive(server, name, files=FILES, **more):
    for path, body in {**files, "SHA256SUMS": sums({**files, **more})}.items():
        server.put(f"{name}/{path}", body)


@pytest.fixture
async def server():
    async with HostileServer({}) as server:
        yield server


async def test_every_reason_of_a_daemon_whose_mirrors_fail_is_shown_in_chinese(tmp_path, server):
    house = House(tmp_path, f"{MORE}allow_private: ['{server.origin}']\nscrub: {{mend: false}}\n")
    names = ["fine", "bad", "lost", "cut", "empty", "page", "denied", "held", "paused"]
    for name in [*names, "nowhere"]:
        (house.manifests / f"{name}.yaml").write_text(
            f"mirror: {name}\nschedule: {{every: 1d}}\n"
            f"source: {{url: '{server.origin}/{name}/', reader: checksums, checksums: [SHA256SUMS]}}\n"
        )
    for name in names:
        archive(server, name)
    (house.manifests / "wrong.yaml").write_text("mirror: wrong\nsource: {url: ftp//x, reader: nonsense}\nkeep: 3\n")
    async with house.living() as control:
        await house.until(lambda: all(house.heard(PassFinished, name) for name in names))
        await house.until(lambda: house.heard(PassFailed, "nowhere"))
        await house.until(lambda: all(control.mirror(name).state == "idle" for name in names))
        server.put("bad/d/1.dat", b"changed")  # another checksum
        archive(
            server, "bad", {path: body for path, body in FILES.items() if path != "d/1.dat"}, **{"d/1.dat": b"promised"}
        )
        archive(server, "lost", {**FILES, "d/new.dat": b"new", "d/other.dat": b"other"})
        server.remove("lost/d/new.dat")
        server.fault("lost/d/other.dat", f.Status(403), times=None)
        server.put("cut/SHA256SUMS", sums(FILES)[:-30])
        server.put("empty/SHA256SUMS", b"")
        server.put("page/SHA256SUMS", b"<!DOCTYPE html><html><title>Log in</title></html>")
        server.fault("denied/SHA256SUMS", f.Status(403), times=None)
        archive(server, "held", {"d/1.dat": FILES["d/1.dat"], "d/2.dat": b""})
        for name in ("bad", "lost", "cut", "empty", "page", "denied", "held"):
            await control.sync(name, "ada")
        await control.pause("paused", "ada")
        await house.until(
            lambda: all(
                control.mirror(name).last.id != 1 and control.mirror(name).last.why == "asked"
                and control.mirror(name).last.ended is not None
                for name in ("bad", "lost", "cut", "empty", "page", "denied", "held")
            ),
            60,
        )  # fmt: skip
        health = {one.name: (one.state, one.health) for one in control.mirrors()}
        assert health["cut"] == ("idle", "degraded")
        assert {health[name][0] for name in ("empty", "page", "denied", "nowhere")} <= {"failing", "nothing_found"}
        control.now = house.time.now()
        async with served_by(control, clock=house.time.now) as api:
            paths = ["/", "/audit", "/mirrors/held/parked"]
            for one in control.mirrors():
                paths += [f"/mirrors/{one.name}", f"/mirrors/{one.name}/passes"]
                paths += [f"/mirrors/{one.name}/passes/{run.id}" for run in await control.passes(one.name)]
            found = {path: english_in(await page(api, path, Accept_Language="zh"), [*health]) for path in paths}
            assert {path: one for path, one in found.items() if one} == {}
            told = words((await page(api, "/mirrors/cut", Accept_Language="zh")).css_first("#spoken"))
            assert "只读取到上游列表的一部分" in told
