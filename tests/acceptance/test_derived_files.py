"""Files that a Reader makes from documents: catalogues whose answers are the dataset."""

import json

import pytest
from msgspec.structs import replace

from manifests.reading.document import MAX_MADE, DerivedFile, DocumentError, DocumentRequest
from syncd.core.errors import Changed, Damaged, NotFound
from syncd.engine.pass_paths import PassPaths
from syncd.engine.verify import Verification
from syncd.streams.derived_files import Spool
from syncd.wrappers.derived_file_transport import DerivedFileTransport
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive, sha256


class Cards:
    """A Reader of one document that is a mapping from names to cards."""

    native = False

    def start(self):
        return [DocumentRequest("cards.json")]

    def read(self, document):
        for name, card in json.loads(document.read(64 << 20)).items():
            yield DerivedFile(f"{name}.json", json.dumps(card, sort_keys=True).encode())


class Catalogued(Mirroring):
    def work(self, *given):
        return replace(super().work(*given), reader=Cards())

    def publish(self, cards):
        self.archive.files["cards.json"] = json.dumps(cards).encode()


@pytest.fixture
def catalogued(tmp_path):
    mirroring = Catalogued(tmp_path, Archive())
    mirroring.publish({"a": {"n": 1}, "b/c": {"n": "x" * (5 << 20)}, "d": {}})
    return mirroring


async def test_an_unchanged_answer_is_an_unchanged_file(catalogued):
    first = await catalogued.run()
    assert catalogued.natural() == {
        "a.json": b'{"n": 1}',
        "b/c.json": b'{"n": "' + b"x" * (5 << 20) + b'"}',
        "d.json": b"{}",
    }
    assert (first.fetched, first.complete) == (3, True)
    assert list((catalogued.folder / "spool").iterdir()) == []
    catalogued.archive.files["cards.json"] += b"\n "  # another document that says the same
    second = await catalogued.run()
    assert (second.fetched, second.replaced, second.kept, second.snapshot) == (0, 0, 3, first.snapshot)


async def test_a_changed_card_is_replaced_and_one_that_is_gone_removed(catalogued):
    await catalogued.run()
    catalogued.publish({"a": {"n": 2}, "b/c": {"n": "x" * (5 << 20)}, "e": None})
    second = await catalogued.run()
    assert (second.fetched, second.replaced, second.kept, second.removed) == (1, 1, 1, 1)
    assert catalogued.natural()["a.json"] == b'{"n": 2}'


async def test_nobody_is_said_to_have_promised_what_we_made(catalogued):
    await catalogued.run()
    async with catalogued.open() as (_, catalogue):
        row = catalogue.history.mirror("scenes")
        entry, origin = catalogue.holdings.entry(row.id, "a.json")
        assert (origin.verdict, origin.digests, origin.by) == ("attested", {}, "")
        assert origin.version == f"made:{entry.sha256}"
        assert origin.url.endswith(":memory://cards.json")


async def test_a_made_file_that_is_damaged_is_made_anew_by_the_next_pass(catalogued):
    await catalogued.run()
    (catalogued.store_folder / "scenes/a.json").write_bytes(b"rotten!!")
    async with catalogued.open() as (store, catalogue):
        row = catalogue.history.mirror("scenes")
        verification = Verification(
            store,
            catalogue,
            row,
            PassPaths("scenes", "scenes/", "verify"),
            catalogued.hashing,
            lambda files, size: None,
            catalogued.archive,
        )
        report = await verification.run(read_data=True)
        await verification.repair(report)
        (fault,) = report.faults
        assert "the next pass will derive it again" in fault.reason
    again = await catalogued.run()
    assert (again.replaced, again.kept) == (1, 2)
    assert catalogued.natural()["a.json"] == b'{"n": 1}'


async def test_what_is_not_as_it_was_kept_is_refused(tmp_path):
    spool = Spool(tmp_path / "m.made")
    stats = [
        spool.add(DerivedFile(name, name.encode()), "https://a.example/list?token=secret") for name in ("one", "two")
    ]
    assert [stat.size for stat in stats] == [3, 3]
    assert stats[1].urls == (f"made:3+3:{sha256(b'two')}:https://a.example/list",)
    await spool.flush()
    await spool.flush()
    source = DerivedFileTransport(Archive({"plain": b"other"}), spool.path)
    async with source.open(stats[1].urls[0], start=1, stop=9) as body:
        assert ([chunk async for chunk in body], body.start, body.stop, body.stat.size) == ([b"wo"], 1, 3, 3)
    async with source.open("plain") as body:
        assert [chunk async for chunk in body] == [b"other"]
    for wrong, error in (("made:what", NotFound), (stats[0].urls[0].replace("made:0", "made:1"), Damaged)):
        with pytest.raises(error):
            async with source.open(wrong):
                pass
    with pytest.raises(Changed):
        async with source.open(stats[0].urls[0], version='"other"'):
            pass
    await spool.drop()
    with pytest.raises(Damaged):
        async with source.open(stats[0].urls[0]):
            pass
    with pytest.raises(DocumentError, match="made of more than"):
        spool.add(DerivedFile("huge", bytes(MAX_MADE + 1)), "https://a.example/")
