"""Sources that tell what changed: after a first pass only that is asked for, and what it says is all that happens."""

import json

import pytest
from msgspec.structs import replace

from manifests.reading.document import Cursor, Deleted, DerivedFile, DocumentRequest, Gap
from manifests.stat import Stat
from syncd.engine import survey_run
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive, sha256


class Telling:
    """A Reader of `all.json` (paths and versions, and when it was made) and of `since/N.json` (changes, in order)."""

    native = False

    def __init__(self, archive):
        self.archive = archive

    def start(self):
        return [DocumentRequest("all.json")]

    def resume(self, mark):
        return [DocumentRequest(f"since/{mark}.json", state=mark)]

    def read(self, document):
        said = json.loads(document.read(1 << 20))
        if said.get("gap"):
            raise Gap(f"{document.url}: begins later")
        for path, version in said["files"]:
            if version is None:
                yield Deleted(path)
            elif path.endswith(".json"):
                yield DerivedFile(path, version.encode())
            else:
                yield Stat(path, None, None, version)
        yield Cursor(said["at"])


class Told(Mirroring):
    def __init__(self, folder):
        super().__init__(folder, Archive(versions=False), guard="90%")
        self.publish("1", {f"f{n}": f"v{n}" for n in range(5)})
        self.tell("1", "1")

    def work(self, *given):
        return replace(super().work(*given), reader=Telling(self.archive))

    def publish(self, at, files):
        self.archive.files.update({path: f"{path} {version}".encode() for path, version in files.items()})
        self.archive.files["all.json"] = json.dumps({"at": at, "files": list(files.items())}).encode()

    def tell(self, mark, at, *changes, **more):
        self.archive.files.update({p: f"{p} {v}".encode() for p, v in changes if v is not None})
        self.archive.files[f"since/{mark}.json"] = json.dumps({"at": at, "files": changes, **more}).encode()

    async def passed(self):
        self.archive.asked.clear()
        result = await self.run()
        return result, [path for path, _, _ in self.archive.asked]


@pytest.fixture
def told(tmp_path):
    return Told(tmp_path)


async def test_only_changes_are_asked_for_and_what_they_do_not_name_stays(told):
    first, asked = await told.passed()
    assert first.fetched == 5
    assert set(asked[:2]) == {"all.json", "since/1.json"}
    told.tell("1", "2", ["f1", "other"], ["f2", None], ["new/a.json", "made"], ["new/b", "v1"])
    second, asked = await told.passed()
    assert asked[0] == "since/1.json"
    assert sorted(asked[1:]) == ["f1", "new/b"]
    assert (second.fetched, second.replaced, second.removed, second.kept, second.complete) == (2, 1, 1, 3, True)
    told.tell("2", "2")
    third, asked = await told.passed()
    assert (asked, third.kept, third.snapshot) == (["since/2.json"], 6, second.snapshot)


async def test_the_last_word_on_a_path_counts(told):
    await told.passed()
    told.tell("1", "2", ["f1", None], ["f1", "again"], ["f2", "x"], ["f2", None], ["f9", "x"], ["f9", None])
    result, _ = await told.passed()
    assert (result.fetched, result.replaced, result.removed) == (0, 1, 1)
    assert told.natural()["f1"] == b"f1 again"


async def test_changes_made_while_all_was_read_are_not_missed(told):
    told.tell("1", "2", ["f3", None], ["late", "v1"])
    result, _ = await told.passed()
    assert result.complete
    assert sorted(told.natural()) == ["f0", "f1", "f2", "f4", "late"]


async def test_a_gap_means_that_all_is_read_once_more(told):
    await told.passed()
    told.tell("1", "7", gap=True)
    told.publish("5", {"f0": "v0", "f7": "v7"})
    told.tell("5", "5")
    result, asked = await told.passed()
    assert asked[:2] == ["since/1.json", "all.json"]
    assert (result.fetched, result.removed, result.kept) == (1, 4, 1)


async def test_a_pass_that_failed_does_not_move_the_mark(told):
    await told.passed()
    told.tell("1", "2", ["f1", "other"], ["lost", "v1"])
    del told.archive.files["lost"]
    failed, _ = await told.passed()
    assert (failed.failed, failed.complete) == (1, False)
    again, asked = await told.passed()
    assert asked[0] != "since/2.json"
    told.archive.files["lost"] = b"found"
    told.publish("2", {**{f"f{n}": f"v{n}" for n in range(5)}, "f1": "other", "lost": "v1"})
    told.tell("2", "2")
    found, _ = await told.passed()
    assert found.complete
    assert again.failed == 1


async def test_after_a_rollback_all_is_read_once_more(told):
    first, _ = await told.passed()
    told.tell("1", "2", ["f1", "other"])
    second, _ = await told.passed()
    async with told.open() as (store, catalogue):
        await told.restoration(store, catalogue).rollback(first.snapshot)
    told.publish("2", {**{f"f{n}": f"v{n}" for n in range(5)}, "f1": "other"})
    told.tell("2", "2")
    third, asked = await told.passed()
    assert "all.json" in asked
    assert third.snapshot == second.snapshot
    assert sha256(told.natural()["f1"]) == sha256(b"f1 other")


async def test_now_and_then_all_is_read_anyway(told):
    await told.passed()
    told.now += 31 * 86_400
    _, asked = await told.passed()
    assert "all.json" in asked


async def test_another_choice_of_files_means_that_all_is_read(told):
    await told.passed()
    narrower = told.mirror.source.model_copy(update={"exclude": ("f4",)})
    told.mirror = told.mirror.model_copy(update={"sources": (narrower,)})
    result, asked = await told.passed()
    assert "all.json" in asked
    assert result.removed == 1


async def test_too_many_changes_are_a_gap(told, monkeypatch):
    await told.passed()
    monkeypatch.setattr(survey_run, "MAX_CHANGES", 3)
    told.tell("1", "2", *([f"n{n}", "v1"] for n in range(5)))
    told.publish("2", {"f0": "v0"})
    told.tell("2", "2")
    result, _ = await told.passed()
    assert (result.kept, result.removed) == (1, 4)
