"""The public side: bytes after the terms were accepted, and those of a tagged snapshot for as long as the tag."""

import asyncio
import hashlib

from manifests.model import load_mirror
from syncd.api import AcceptedTerms
from syncd.engine import Tagging
from tests.acceptance.public_side import MANIFEST, OPEN, PublicSide
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
