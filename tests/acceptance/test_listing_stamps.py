"""What a listing's stamp may claim: a young one proves nothing, and a changed one is a reason to ask."""

from datetime import UTC, datetime

import msgspec
import pytest

from tests.acceptance.listed_site import OLD, Listed, ListedSite, SiteFile

pytestmark = [pytest.mark.promise("P3")]


def site(**how):
    return ListedSite({f"f{n}": SiteFile(b"%d" % n * 100, etag=f'"{n}"') for n in range(4)}, **how)


async def test_a_file_rewritten_within_the_minute_that_its_listing_shows_is_noticed_at_the_next_pass(tmp_path):
    listed = Listed(tmp_path, site())
    async with listed.serving():
        file = listed.site.files["f1"]
        file.modified = listed.now + 60 - 10  # ten seconds before the pass, in the same minute
        await listed.run()
        assert listed.natural()["f1"] == file.content
        file.content, file.modified, file.etag = b"x" * 100, file.modified + 20, '"new"'
        assert (file.modified - 20) // 60 == file.modified // 60
        result = await listed.run()
        assert listed.natural()["f1"] == b"x" * 100
        assert (result.replaced, result.kept) == (1, 3)


async def test_a_young_file_is_asked_for_until_its_stamp_is_older_and_then_no_more(tmp_path):
    listed = Listed(tmp_path, site())
    async with listed.serving():
        listed.site.files["f2"].modified = listed.now + 60 - 20
        await listed.run()
        result = await listed.run()
        assert (result.replaced, result.bytes, listed.site.names()) == (0, 0, ["f2"])
        await listed.run()
        assert listed.site.asked == []


async def test_a_file_read_in_the_second_in_which_it_was_modified_is_read_again(tmp_path):
    """Its server makes ETags of seconds, so that HEAD would tell nothing of a change within this one."""
    listed = Listed(tmp_path, site(stamp="%Y-%m-%d %H:%M:%S"))
    async with listed.serving():
        file = listed.site.files["f0"]
        file.modified = listed.now + 60
        file.etag = f'"{int(file.modified):x}-64"'
        await listed.run()
        file.content = b"y" * 100  # in the same second: the same stamp, size and ETag
        result = await listed.run()
        assert (listed.natural()["f0"], result.replaced) == (b"y" * 100, 1)
        assert (await listed.run()).replaced == 0
        assert listed.site.asked == []


async def test_a_date_without_clock_and_exact_size_is_no_version(tmp_path):
    """Such a file is asked for in every pass, and fetched only if the answer differs."""
    listed = Listed(tmp_path, site(stamp="%Y-%m-%d"))
    for file in listed.site.files.values():
        file.listed_size = "1K"
    async with listed.serving():
        await listed.run()
        listed.site.files["f3"].content, listed.site.files["f3"].etag = b"z" * 100, '"z"'
        result = await listed.run()
        assert (result.replaced, listed.natural()["f3"]) == (1, b"z" * 100)
        result = await listed.run()
        assert (result.bytes, listed.site.names()) == (0, [f"f{n}" for n in range(4)])


def in_sitemap(site, *, day, size):
    """Let the site have a sitemap of its files that shows only the day of each, and its size if `size`."""
    length = '<rs:md length="100"/>' if size else ""
    rows = "".join(
        f"<url><loc>{name}</loc><lastmod>{day}</lastmod>{length}</url>" for name in site.files if name[0] == "f"
    )
    names = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:rs="http://www.openarchives.org/rs/terms/"'
    site.files["sitemap.xml"] = SiteFile(f"<urlset {names}>{rows}</urlset>".encode())


async def test_the_date_of_a_catalogue_without_a_size_is_no_version(tmp_path):
    listed = Listed(tmp_path, site(), reader="resourcesync", start="sitemap.xml", include=["f*"])
    in_sitemap(listed.site, day="2020-09-13", size=False)
    async with listed.serving():
        await listed.run()
        listed.site.files["f3"].content, listed.site.files["f3"].etag = b"z" * 100, '"z"'
        result = await listed.run()
        assert (result.replaced, listed.natural()["f3"]) == (1, b"z" * 100)
        assert (await listed.run()).bytes == 0


async def test_the_date_of_a_catalogue_proves_a_file_that_is_older_than_that_day(tmp_path):
    listed = Listed(tmp_path, site(), reader="resourcesync", start="sitemap.xml", include=["f*"])
    in_sitemap(listed.site, day=datetime.fromtimestamp(listed.now, UTC).date(), size=True)
    async with listed.serving():
        for file in listed.site.files.values():
            file.modified = listed.now
        await listed.run()
        listed.site.files["f2"].content, listed.site.files["f2"].etag = b"y" * 100, '"y"'
        result = await listed.run()
        assert (result.replaced, listed.natural()["f2"]) == (1, b"y" * 100)
        listed.now += 2 * 86_400.0
        await listed.run()
        await listed.run()
        assert listed.site.names() == ["sitemap.xml"]


@pytest.mark.parametrize("stamp", ["%d-%b-%Y %H:%M", "%Y-%m-%d %H:%M"])
async def test_another_clock_of_the_listing_is_asked_about_once_and_nothing_is_fetched(tmp_path, stamp):
    listed = Listed(tmp_path, site())
    async with listed.serving():
        first = await listed.run()
        listed.site.stamp = stamp
        for file in listed.site.files.values():
            file.listed = "13-Sep-2020 13:26" if stamp.startswith("%d") else "2020-09-13 12:26"
        result = await listed.run()
        assert (result.bytes, listed.site.names()) == (0, [f"f{n}" for n in range(4)])
        assert (result.replaced, result.kept, result.snapshot) == (0, 4, first.snapshot)
        await listed.run()
        assert listed.site.asked == []


async def test_a_changed_stamp_with_another_validator_is_fetched(tmp_path):
    listed = Listed(tmp_path, site())
    async with listed.serving():
        await listed.run()
        file = listed.site.files["f1"]
        file.content, file.modified, file.etag = b"n" * 100, OLD + 3600, '"n"'
        assert (await listed.run()).replaced == 1
        assert listed.natural()["f1"] == b"n" * 100


async def test_a_replacement_with_the_same_bytes_publishes_nothing_and_is_remembered(tmp_path):
    """As after a server that gives no validator touched its files."""
    listed = Listed(tmp_path, site())
    async with listed.serving():
        first = await listed.run()
        for n, file in enumerate(listed.site.files.values()):
            file.modified, file.etag = OLD + 86_400, f'"touched{n}"'
        result = await listed.run()
        assert (result.replaced, result.kept, result.snapshot) == (0, 4, first.snapshot)
        assert not list((listed.store_folder / ".syncd").glob("staged/**/f*"))
        await listed.run()
        assert listed.site.asked == []


async def test_several_etags_of_one_file_are_learnt_and_fetched_once(tmp_path):
    listed = Listed(tmp_path, site(stamp="%Y-%m-%d"))
    turns = iter(range(1000))
    etag_of = listed.site.answer

    async def answer(request):
        for file in listed.site.files.values():
            file.etag = f'"{next(turns)}-bb8"'
        return await etag_of(request)

    listed.site.answer = answer
    for file in listed.site.files.values():
        file.listed_size = "1K"  # so each file is asked for in each pass
    async with listed.serving():
        await listed.run()
        assert (await listed.run()).replaced == 0
        for _ in range(3):
            result = await listed.run()
            assert (result.replaced, result.bytes) == (0, 0)


async def test_a_damaged_entry_is_not_kept_because_upstream_is_unchanged(tmp_path):
    listed = Listed(tmp_path, site())
    async with listed.serving():
        await listed.run()
        async with listed.open() as (_, catalogue):
            row = catalogue.history.mirror("scenes")
            _, origin = catalogue.holdings.entry(row.id, "f1")
            catalogue.holdings.renew(row.id, [msgspec.structs.replace(origin, version="damaged")])
        (listed.store_folder / "scenes/f1").write_bytes(b"rot")
        assert (await listed.run()).replaced == 1
        assert listed.natural()["f1"] == b"1" * 100
