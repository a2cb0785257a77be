"""The configuration in deploy/nginx lets nginx send the bytes, with the answers that syncd itself gives."""

import asyncio
import re
from pathlib import Path

from syncd.usage import Period, read_report, recording
from tests.acceptance.public_side import PublicSide
from tests.acceptance.test_public_bytes import FILES, at
from tests.fakes import Archive
from tests.servers.nginx import nginx

EVER = Period("2000-01-01", "2999-12-31")
CONFIGURATION = Path("deploy/nginx/syncd.conf")


def locations(port, store, usage="/nowhere/usage.sock"):
    """The locations of the file, for a node of the test."""
    text = CONFIGURATION.read_text()
    found = text[text.index("  location / {") : text.rindex("}")]
    return (
        found.replace("127.0.0.1:8760", f"127.0.0.1:{port}")
        .replace("/srv/syncd/store/", f"{store}/")
        .replace("/run/syncd/usage.sock", str(usage))
    )


async def test_nginx_sends_what_syncd_would_have_sent(tmp_path):
    side = PublicSide(tmp_path / "node", Archive(FILES, digests=("sha256",)), more="  send: accel")
    first = await side.run()
    side.archive.files["scene.tif"] = b"another"
    snapshot = await side.run()
    async with side.serving():
        own = side.port
        with nginx(tmp_path, tmp_path / "nginx", locations(own, side.folder / "store")) as front:
            side.port = front.port
            whole = await side.get(at(snapshot, "big.bin"))
            tag = whole.headers["etag"]
            assert (whole.status, whole.body) == (200, FILES["big.bin"])
            assert whole.headers["repr-digest"].startswith("sha-256=:")
            assert whole.headers["content-security-policy"] == "sandbox; default-src 'none'"
            part = await side.get(at(snapshot, "big.bin"), Range="bytes=5-9", If_Range=tag)
            assert (part.status, part.body, part.headers["etag"]) == (206, FILES["big.bin"][5:10], tag)
            other = await side.get(at(snapshot, "big.bin"), Range="bytes=5-9", If_Range='"other"')
            assert (other.status, other.body) == (200, FILES["big.bin"])
            several = await side.get(at(snapshot, "big.bin"), Range="bytes=0-1,5-6")
            assert (several.status, several.body) == (200, FILES["big.bin"])
            assert (await side.get(at(snapshot, "big.bin"), If_None_Match=tag)).status == 304
            assert (await side.get(at(snapshot, "day/%E6%95%B0%E6%8D%AE%201.txt"))).body == b"hello"
            assert (await side.get(at(snapshot, "day/a%20b+c%2541%23%3F&.txt"))).body == b"odd"
            assert (await side.get(at(first, "scene.tif"))).body == FILES["scene.tif"]
            for hidden in ("/internal/scenes/big.bin", "/internal/.syncd/lease.json", "/internal/../etc/passwd"):
                assert (await side.get(hidden)).status in {400, 404}
        side.port = own
        handed = await side.get(at(snapshot, "big.bin"))
        assert (handed.body, handed.headers["x-accel-redirect"]) == (b"", "/internal/scenes/big.bin")


def test_the_three_lines_that_an_operator_changes_are_marked():
    marked = re.findall(r"#.*(serve\.\w+|folder of the store|usage\.nginx)", CONFIGURATION.read_text())
    assert marked == ["serve.url", "serve.proxies", "folder of the store", "usage.nginx"]


def test_the_line_of_the_log_is_that_of_the_test():
    wanted = re.search(r"'(syncd-usage .*)'", CONFIGURATION.read_text())
    assert wanted is not None
    assert wanted[1] in Path("tests/servers/nginx.py").read_text()


async def test_what_nginx_sent_is_counted_by_its_report_and_a_download_that_broke_off_is_not_delivered(tmp_path):
    content = bytes(range(256)) * (32 << 12)  # 32 MiB: more than the system takes for a client that reads nothing
    side = PublicSide(tmp_path / "node", Archive({"big.bin": content}, digests=("sha256",)), more="  send: accel")
    socket = tmp_path / "usage.sock"
    with (side.folder / "syncd.yaml").open("a") as file:
        file.write(f"usage: {{nginx: {socket}}}\n")
    snapshot = await side.run()
    config, problems = await asyncio.to_thread(side.config), []

    async def total(**expected):
        """The figures, once nginx has reported."""
        async with asyncio.timeout(60):
            while True:
                await asyncio.to_thread(recorder.flush)
                report = await asyncio.to_thread(read_report, config.state, EVER, "mirror", (), ())
                found = report.total
                if all(getattr(found, name) == value for name, value in expected.items()):
                    return found
                await asyncio.sleep(0.02)

    async with recording(config, problems.append) as recorder:
        side.on_served = recorder.on_served
        async with side.serving():
            with nginx(tmp_path, tmp_path / "nginx", locations(side.port, side.folder / "store", socket)) as front:
                side.port = front.port
                path = at(snapshot, "big.bin")
                assert (await side.get(path)).body == content
                await total(requests=1, files=1, bytes=len(content))
                for start in range(0, len(content), 8 << 20):
                    part = await side.get(path, Range=f"bytes={start}-{start + (8 << 20) - 1}")
                    assert part.status == 206
                await total(requests=2, files=2, bytes=2 * len(content))
                _, writer = await asyncio.open_connection("127.0.0.1", side.port)
                writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                await writer.drain()
                async with asyncio.timeout(60):
                    while len(recorder._nginx._handed) != 1:
                        await asyncio.sleep(0.01)
                writer.transport.abort()
                async with asyncio.timeout(60):
                    while recorder._nginx._handed:
                        await asyncio.sleep(0.01)
                found = await total(requests=2, files=2)
                assert 2 * len(content) <= found.bytes < 3 * len(content)
    assert not problems
    assert not socket.exists()


async def test_without_a_report_what_nginx_sends_is_not_counted_and_that_is_told(tmp_path):
    side = PublicSide(tmp_path / "node", Archive({"a": b"a"}, digests=("sha256",)), more="  send: accel")
    snapshot = await side.run()
    config, problems = await asyncio.to_thread(side.config), []
    async with recording(config, problems.append) as recorder:
        side.on_served = recorder.on_served
        async with side.serving():
            assert "x-accel-redirect" in (await side.get(at(snapshot, "a"))).headers
    assert "usage.nginx" in str(problems[0])
    report = await asyncio.to_thread(read_report, config.state, EVER, "mirror", (), ())
    assert report.total.requests == 0
