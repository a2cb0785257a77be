"""A file that grew or changed between listing and answer: a whole answer that is newer counts, unless a checksum binds."""

import hashlib

import pytest

from syncd.core import TransferFailed
from tests.acceptance.listed_site import OLD, Listed, ListedSite, SiteFile

pytestmark = [pytest.mark.promise("P1")]


def growing(by=b"line\n", start=b"line\n" * 100):
    """A file that grows whenever it is read; each answer is whole."""
    site = ListedSite({"now.csv": SiteFile(start, etag='"0"'), "old.csv": SiteFile(b"old", etag='"old"')})

    def grow(name):
        if name == "now.csv":
            file = site.files[name]
            file.content += by
            file.etag = f'"{len(file.content)}"'

    site.on_get = grow
    return site


@pytest.mark.parametrize(
    ("by", "start"), [(b"line\n", b"line\n" * 100), (b"x" * (5 << 20), b"x"), (b"y", b"y" * (6 << 20))], ids=len
)
async def test_a_file_that_grows_all_the_time_is_taken_whole_as_it_was_answered(tmp_path, by, start):
    listed = Listed(tmp_path, growing(by, start))
    async with listed.serving():
        result = await listed.run()
        got = listed.natural()["now.csv"]
        assert (result.complete, result.failed) == (True, 0)
        assert set(got) == set(by)
        assert len(got) > len(start)
        result = await listed.run()
        assert result.complete
    async with listed.open() as (_, catalogue):
        _, origin = catalogue.holdings.entry(catalogue.history.mirror("scenes").id, "now.csv")
        assert origin.verdict == "attested"


async def test_the_next_listing_of_a_file_that_grew_is_asked_about_and_kept(tmp_path):
    site = growing()
    listed = Listed(tmp_path, site)
    async with listed.serving():
        await listed.run()
        site.on_get = lambda _: None
        result = await listed.run()
        assert (result.replaced, result.kept, result.bytes, site.names()) == (0, 2, 0, ["now.csv"])
        await listed.run()
        assert site.asked == []


async def test_a_listing_that_always_lies_about_a_size_costs_no_transfer(tmp_path):
    site = ListedSite({"a": SiteFile(b"a" * 500, etag='"a"', listed_size=123)})
    listed = Listed(tmp_path, site)
    async with listed.serving():
        await listed.run()
        for _ in range(2):
            result = await listed.run()
            assert (result.replaced, result.kept, site.asked) == (0, 1, [])


@pytest.mark.parametrize(("listed", "size"), [(123, 500), (123, 5 << 20), (5 << 20, 6 << 20)])
async def test_an_answer_in_chunks_that_grew_is_taken_whole(tmp_path, listed, size):
    site = ListedSite({"a": SiteFile(b"a" * size, listed_size=listed, in_chunks=True)})
    listed = Listed(tmp_path, site)
    async with listed.serving():
        result = await listed.run()
        assert (result.complete, result.failed, set(listed.natural()["a"])) == (True, 0, set(b"a"))
        assert len(listed.natural()["a"]) == size
        result = await listed.run()
        assert (result.complete, result.replaced, result.kept) == (True, 0, 1)


@pytest.mark.parametrize(("size", "listed"), [(500, 700), (5 << 20, 6 << 20)])
async def test_a_shorter_answer_in_chunks_must_be_of_a_later_time(tmp_path, size, listed):
    """A proxy may end a body properly that broke off behind it."""
    site = ListedSite({"a": SiteFile(b"a" * size, listed_size=listed, in_chunks=True)})
    mirror = Listed(tmp_path, site)
    async with mirror.serving():
        assert (await mirror.run()).failed == 1
        site.files["a"].listed = "10-Sep-2020 10:00"
        assert (await mirror.run()).failed == 0
        assert len(mirror.natural()["a"]) == size


@pytest.mark.parametrize("checksums", [[], ["SHA256SUMS"]], ids=["older", "checksum"])
async def test_an_answer_in_chunks_binds_less_than_a_checksum_or_a_newer_listing(tmp_path, checksums):
    sums = SiteFile(f"{hashlib.sha256(b'b' * 500).hexdigest()}  a\n".encode(), etag='"s"')
    site = ListedSite({"a": SiteFile(b"a" * 500, listed="20-Sep-2020 10:00", listed_size=700, in_chunks=True)})
    if checksums:
        site.files["SHA256SUMS"] = sums
    listed = Listed(tmp_path, site, checksums=checksums)
    async with listed.serving():
        result = await listed.run()
        assert (result.failed, "a" in listed.natural()) == (1, False)


async def test_an_answer_that_is_older_than_its_listing_is_not_taken(tmp_path):
    """A cache between has the version of the day before."""
    site = ListedSite({"a": SiteFile(b"a" * 500, etag='"a"', listed="20-Sep-2020 10:00", listed_size=700)})
    listed = Listed(tmp_path, site)
    async with listed.serving():
        result = await listed.run()
        assert (result.failed, listed.natural()) == (1, {})
        reason = next(event.reason for event in listed.events if isinstance(event, TransferFailed))
        assert "700 bytes promised, upstream now announces 500" in reason


async def test_an_answer_without_a_validator_of_another_size_is_refused(tmp_path):
    site = ListedSite({"a": SiteFile(b"{}", modified=None, listed="20-Sep-2020 10:00", listed_size=700)})
    listed = Listed(tmp_path, site)
    async with listed.serving():
        result = await listed.run()
        assert (result.failed, listed.natural()) == (1, {})


@pytest.mark.parametrize("size", [300, 6 << 20], ids=["small", "large"])
async def test_a_file_with_a_checksum_that_changed_meanwhile_waits_for_the_next_survey(tmp_path, size):
    before, after = b"b" * size, b"a" * size
    sums = SiteFile(f"{hashlib.sha256(before).hexdigest()}  f.bin\n".encode(), etag='"s"')
    site = ListedSite({"f.bin": SiteFile(before, etag='"b"'), "SHA256SUMS": sums})
    listed = Listed(tmp_path, site, checksums=["SHA256SUMS"])

    def change(name):
        if name == "f.bin":
            file = site.files[name]
            file.content, file.etag, file.modified, file.listed = after, '"a"', OLD + 86_400 * 3, None
            sums.content = f"{hashlib.sha256(after).hexdigest()}  f.bin\n".encode()
            sums.etag, sums.modified = '"s2"', OLD + 86_400 * 3

    site.on_get = change
    async with listed.serving():
        result = await listed.run()
        failed = [event for event in listed.events if isinstance(event, TransferFailed) and event.path == "f.bin"]
        assert [(one.error, "changed while being read" in one.reason) for one in failed] == [("Changed", True)]
        assert (result.failed, result.complete) == (1, False)
        assert not list((listed.store_folder / ".syncd").glob("quarantine/**/f.bin*"))
        assert (await listed.run()).complete
        assert listed.natural()["f.bin"] == after
