"""The configuration in deploy/nginx lets nginx send the bytes, with the answers that syncd itself gives."""

import re
from pathlib import Path

from tests.acceptance.public_side import PublicSide
from tests.acceptance.test_public_bytes import FILES, at
from tests.fakes import Archive
from tests.servers.nginx import nginx

CONFIGURATION = Path("deploy/nginx/syncd.conf")


def locations(port, store):
    """The locations of the file, for a node of the test."""
    text = CONFIGURATION.read_text()
    found = text[text.index("  location / {") : text.rindex("}")]
    return found.replace("127.0.0.1:8760", f"127.0.0.1:{port}").replace("/srv/syncd/store/", f"{store}/")


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
    marked = re.findall(r"#.*(serve\.\w+|folder of the store)", CONFIGURATION.read_text())
    assert marked == ["serve.url", "serve.proxies", "folder of the store"]
