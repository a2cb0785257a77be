"""The public side: bytes after the terms were accepted, and those of a tagged snapshot for as long as the tag."""

import asyncio
import contextlib
import hashlib
import html
import re
import time
from urllib.parse import urlencode

from manifests.model import load_mirror
from syncd.api import AcceptedTerms
from syncd.engine import Tagging
from tests.acceptance.public_side import MANIFEST, OPEN, PublicSide, parse
from tests.fakes import Archive

TERMS = 'publish: {access: registered, terms: {en: "Cite us."}}\n'
FILES = {f"f{n:02}": b"x%d" % n for n in range(12)} | {"cited": b"as it was"}
DAY = 86_400.0


async def test_a_partner_gets_bytes_once_the_terms_are_accepted_and_not_for_changed_terms(tmp_path):
    digest = hashlib.sha256(b"syncd_ihep").hexdigest()
    more = f"tokens:\n- {{name: ihep, role: partner, sha256: '{digest}'}}\n"
    side = PublicSide(tmp_path, Archive(dict(FILES)), more=more, publish=TERMS)
    snapshot = await side.run()
    path = f"/mirrors/scenes/snapshots/{snapshot}/files/cited"
    publish = load_mirror(MANIFEST.format(name="scenes", publish=TERMS), "m").publish
    assert publish is not None
    async with side.serving():
        assert (await side.get(path)).status == 401
        assert (await side.get(path, Authorization="Bearer syncd_ihep")).status == 403
        terms = AcceptedTerms(tmp_path / "state")
        await asyncio.to_thread(terms.accept, "ihep", "scenes", "of other terms", 1.0)
        assert (await side.get(path, Authorization="Bearer syncd_ihep")).status == 403
        await asyncio.to_thread(terms.accept, "ihep", "scenes", publish.terms_version, 1.0)
        answer = await side.get(path, Authorization="Bearer syncd_ihep")
        assert (answer.status, answer.body) == (200, b"as it was")


def partner(tmp_path, publish=TERMS, more=""):
    digest = hashlib.sha256(b"syncd_ihep").hexdigest()
    token = f"tokens:\n- {{name: ihep, role: partner, sha256: '{digest}'{more}}}\n"
    return PublicSide(tmp_path, Archive(dict(FILES) | {"sub/x y": b"1"}), more=token, publish=publish)


def field(text, name):
    return re.findall(rf'name="{name}"[^>]* value="([^"]*)"', text)[0]


async def send(side, fields, path="/mirrors/scenes/access", **headers):
    body = urlencode(fields).encode()
    lines = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": len(body), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    raw = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode() + body
    return parse(await side.exchange(raw))


def local(url):
    return html.unescape(url).removeprefix("https://data.example.org")


async def test_terms_are_accepted_in_a_browser_and_the_link_reads_that_version_without_the_token(tmp_path):
    side = partner(tmp_path)
    snapshot = await side.run()
    path = f"/mirrors/scenes/snapshots/{snapshot}/files/cited"
    async with side.serving():
        assert 'href="access"' in (await side.get("/mirrors/scenes/", Accept="text/html")).body.decode()
        page = await side.get("/mirrors/scenes/access", Accept="text/html")
        text = page.body.decode()
        assert "Cite us." in text
        assert page.headers["cache-control"] == "no-store"
        given = {"mark": field(text, "mark"), "token": "syncd_ihep"}
        refused = (await send(side, given, Accept="text/html")).body.decode()
        assert "after the terms were accepted" in refused
        assert "sig=" not in refused
        assert (await side.get(path, Authorization="Bearer syncd_ihep")).status == 403
        given["accept"] = field(text, "accept")
        answer = await send(side, given, Accept="text/html", Origin="https://data.example.org")
        assert answer.headers["cache-control"] == "no-store"
        assert "syncd_ihep" not in answer.body.decode()
        link = local(re.findall(r'<a href="([^"]*sig=[^"]*)"', answer.body.decode())[0])
        assert (await side.get(path, Authorization="Bearer syncd_ihep")).status == 200
        listing = await side.get(link)
        rows = [html.unescape(one) for one in re.findall(r'href="\./([^"]+)"', listing.body.decode())]
        base, _, query = link.partition("?")
        assert rows
        for row in rows:
            assert row.endswith("?" + query)
        cited = next(one for one in rows if one.startswith("cited"))
        assert (await side.get(base + cited)).body == b"as it was"
        folder = next(one for one in rows if one.startswith("sub/"))
        assert "sig=" in (await side.get(base + folder)).body.decode()
        assert (await side.get(f"{base}sub/x%20y?{query}")).body == b"1"
        assert (await side.get(path)).status == 401
    assert '"partner":"ihep"' in (tmp_path / "state/accepted-terms.jsonl").read_text()


async def test_a_form_of_another_site_of_another_mirror_or_of_changed_terms_grants_nothing(tmp_path):
    side = partner(tmp_path)
    await side.run()
    publish = load_mirror(MANIFEST.format(name="scenes", publish=TERMS), "m").publish
    assert publish is not None
    async with side.serving():
        text = (await side.get("/mirrors/scenes/access", Accept="text/html")).body.decode()
        good = {"mark": field(text, "mark"), "token": "syncd_ihep", "accept": publish.terms_version}
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
            assert (await send(side, good, **headers)).status == 403, headers
        kid, made, mac = good["mark"].split(".")
        for mark in (
            "",
            "..",
            f"{kid}.{int(made) + 1}.{mac}",
            f"{kid}.{made}.{mac[:-1]}",
            "x" * 3_000,
            good["mark"] + "x",
        ):
            assert "sig=" not in (await send(side, {**good, "mark": mark})).body.decode(), mark
        assert (await send(side, {**good, "token": "syncd_wrong"})).status == 401
        assert "sig=" not in (await send(side, {**good, "accept": "0" * 16})).body.decode()
        assert (await send(side, good, path="/mirrors/absent/access")).status == 404
        assert (await send(side, good, path="/mirrors/scenes/")).status == 405
        assert (await send(side, {"a": "b" * 9_000})).status == 400
        assert b"sig=" in (await send(side, good)).body


async def test_a_program_accepts_with_its_token_in_a_header_and_a_restricted_mirror_wants_a_named_partner(tmp_path):
    restricted = TERMS.replace("registered", "restricted")
    side = partner(tmp_path, publish=restricted)
    await side.run()
    bearer = {"Authorization": "Bearer syncd_ihep", "Accept": "application/json"}
    async with side.serving():
        asked = (await side.get("/mirrors/scenes/access", Accept="application/json")).json()
        assert asked["terms"] == {"en": "Cite us."}
        assert (await send(side, {"accept": asked["version"]}, **bearer)).status == 403
    named = partner(tmp_path / "named", publish=restricted, more=", mirrors: [scenes]")
    await named.run()
    async with named.serving():
        found = (await send(named, {"accept": asked["version"]}, **bearer)).json()
        assert (await named.get(local(found["url"]))).status == 200
        assert 0 < found["until"] - time.time() <= 7 * DAY


async def test_an_open_mirror_has_no_form_and_a_private_one_tells_nothing_by_it(tmp_path):
    for number, publish in enumerate((OPEN, "")):
        side = PublicSide(tmp_path / str(number), Archive({"a": b"1"}), publish=publish)
        await side.run()
        async with side.serving():
            answers = [await side.get(f"/mirrors/{name}/access") for name in ("scenes", "absent")]
            answers += [await send(side, {}, path=f"/mirrors/{name}/access") for name in ("scenes", "absent")]
            assert {one.status for one in answers} == {404}
            assert len({one.body for one in answers}) == 1


async def test_a_download_ends_when_its_token_is_revoked(tmp_path):
    side = partner(tmp_path, publish="publish: {access: registered}\n")
    side.archive.files["big"] = bytes(32 << 20)
    snapshot = await side.run()
    async with side.serving():
        reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
        path = f"/mirrors/scenes/snapshots/{snapshot}/files/big"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer syncd_ihep\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        assert head.startswith(b"HTTP/1.1 200")
        side.face.replace_tokens(())
        got = 0
        with contextlib.suppress(ConnectionError):
            while chunk := await asyncio.wait_for(reader.read(1 << 20), 60):
                got += len(chunk)
        writer.close()
        assert got < 32 << 20
        assert (await side.get(path, Authorization="Bearer syncd_ihep")).status == 401


async def test_a_removed_and_a_replaced_file_are_served_from_the_tagged_snapshot_until_it_is_untagged(tmp_path):
    side = PublicSide(tmp_path, Archive(dict(FILES)), publish=OPEN)
    first = await side.run()
    async with side.mirroring.open() as (store, catalogue):
        await Tagging(store, catalogue, catalogue.history.mirror("scenes")).tag(first, "v1", "anna")
    side.archive.files["new"] = b"0"
    await side.run()
    side.archive.files["cited"] = b"another"
    del side.archive.files["f00"]
    for n in range(4):
        side.mirroring.now += 40 * DAY
        side.archive.files["new"] = b"%d" % n
        await side.run()
    place = f"/mirrors/scenes/snapshots/{first}/files/"
    async with side.serving():
        assert (await side.get(place + "cited")).body == b"as it was"
        assert (await side.get(place + "f00")).body == b"x0"
    async with side.mirroring.open() as (store, catalogue):
        await Tagging(store, catalogue, catalogue.history.mirror("scenes")).untag("v1")
    side.mirroring.now += 40 * DAY
    side.archive.files["new"] = b"last"
    await side.run()
    async with side.serving():
        assert (await side.get(place + "cited")).status in {404, 410}
