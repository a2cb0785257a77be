"""The listing that the benchmark plans from answers as S3 does."""

from xml.etree import ElementTree as ET

import pytest

from tests.bench.s3_listing_server import Keys, Pages, list_objects

SPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages(Keys(370_500))


def ask(pages: Pages, **words: str | None) -> tuple[list[str], list[str], str | None]:
    """Return keys, common prefixes and the token of the next page."""
    asked = {name.replace("_", "-"): value for name, value in words.items() if value is not None}
    tree = ET.fromstring(list_objects(pages, {"list-type": "2", **asked}))
    keys = [one.findtext(f"{SPACE}Key", "") for one in tree.iter(f"{SPACE}Contents")]
    folders = [one.findtext(f"{SPACE}Prefix", "") for one in tree.iter(f"{SPACE}CommonPrefixes")]
    assert tree.findtext(f"{SPACE}KeyCount") == str(len(keys) + len(folders))
    token = tree.findtext(f"{SPACE}NextContinuationToken")
    assert tree.findtext(f"{SPACE}IsTruncated") == ("true" if token else "false")
    return keys, folders, token


def test_the_pages_hold_every_key_once_and_in_order(pages):
    found, words = [], {"start_after": pages.keys[367_999]}
    while True:
        keys, _, token = ask(pages, **words)
        found += keys
        if token is None:
            break
        words = {"continuation_token": token}
    assert found == pages.keys[368_000:]
    assert found == sorted(found)


def test_a_page_may_begin_and_end_anywhere(pages):
    keys, _, token = ask(pages, start_after=pages.keys[998], max_keys="700")
    assert keys == pages.keys[999:1699]
    assert ask(pages, continuation_token=token, max_keys="3")[0] == pages.keys[1699:1702]


def test_no_two_keys_share_an_etag(pages):
    page = list_objects(pages, {"list-type": "2"}) + list_objects(
        pages, {"list-type": "2", "start-after": pages.keys[999]}
    )
    etags = [part.split(b"</ETag>")[0] for part in page.split(b"<ETag>")[1:]]
    assert len(set(etags)) == 2000


def test_a_prefix_ends_where_the_folder_does(pages):
    assert ask(pages, prefix="l2/2001/003/")[0] == pages.keys[367_000:368_000]
    assert ask(pages, prefix="nothing") == ([], [], None)


def test_a_delimiter_folds_folders(pages):
    assert ask(pages, delimiter="/")[1] == ["l2/"]
    assert ask(pages, delimiter="/", prefix="l2/")[1] == ["l2/2000/", "l2/2001/"]
    _, folders, token = ask(pages, delimiter="/", prefix="l2/2000/", max_keys="300")
    assert (folders[0], folders[-1]) == ("l2/2000/001/", "l2/2000/300/")
    assert ask(pages, delimiter="/", prefix="l2/2000/", continuation_token=token)[1][0] == "l2/2000/301/"
