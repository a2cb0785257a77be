"""Objects in an archive of their store: each storage class is reported once, and they are not requested in each pass."""

from contextlib import asynccontextmanager

from syncd.core import Archived, SurveyNoted, TransferFailed
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive
from transports.s3.errors import failure

BODY = "<Error><Code>InvalidObjectState</Code><Message>Not valid</Message><StorageClass>{}</StorageClass></Error>"


def refusal(path, storage_class):
    return failure(403, BODY.format(storage_class).encode(), path)


class Glacier(Archive):
    """Files below `cold/` and `deep/` are archived, until they are `restored`."""

    restored = False

    @asynccontextmanager
    async def open(self, path, **more):
        folder = path.partition("/")[0]
        if folder in {"cold", "deep"} and not self.restored:
            self.asked.append((path, None, None))
            raise refusal(path, {"cold": "GLACIER", "deep": "DEEP_ARCHIVE"}[folder])
        async with super().open(path, **more) as body:
            yield body


def test_the_answer_to_an_archived_object_says_its_class_and_what_to_do():
    error = refusal("a", "GLACIER")
    assert isinstance(error, Archived)
    assert str(error).startswith("a: S3 answers 403 InvalidObjectState (GLACIER): Not valid: restore it first")
    assert not isinstance(failure(403, b"<Error><Code>AccessDenied</Code></Error>", "a"), Archived)


async def test_archived_objects_are_told_once_by_class_and_not_requested_again_in_each_pass(tmp_path):
    files = {f"{folder}/{n:02}": b"x%d" % n for folder in ("cold", "deep", "warm") for n in range(9)}
    mirroring = Mirroring(tmp_path, Glacier(files))
    for number in range(3):
        mirroring.events.clear()
        mirroring.archive.asked.clear()
        result = await mirroring.run()
        assert (result.failed, result.complete) == (18, False)
        told = [event for event in mirroring.events if isinstance(event, TransferFailed)]
        assert sorted(event.path.partition("/")[0] for event in told) == ["cold", "deep"]
        notes = {event.text: event.times for event in mirroring.events if isinstance(event, SurveyNoted)}
        assert [count for text, count in notes.items() if "restore it first" in text] == [9, 9]
        asked = {path for path, *_ in mirroring.archive.asked}
        assert asked == (set(files) if number == 0 else set())
    assert len(mirroring.natural()) == 9
    async with mirroring.open() as (_, catalogue):
        assert len(list(catalogue.failures.files(1))) == 18
    mirroring.archive.restored = True
    mirroring.now += 86400 * 40
    assert (await mirroring.run()).complete
    assert mirroring.natural() == files
