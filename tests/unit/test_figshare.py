"""Figshare: pages until an empty one, windows past the thousandth row, links that are no files."""

import json

import pytest
from hypothesis import given, settings

from manifests.readers import figshare
from manifests.readers.figshare import FigshareOptions, open_reader
from manifests.reading.document import DocumentError, ReaderWarning
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, follows, read_all, stats, survives

ROOT = "https://figshare.example/v2/"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def reader(**options):
    return open_reader(Source(ROOT, FigshareOptions(**options)))


def file(number, name=None, **more):
    url = f"https://ndownloader.example/files/{number}"
    return {
        "id": number, "name": name or f"f{number}.csv", "size": 5, "is_link_only": False, "download_url": url,
        "supplied_md5": "0" * 32, "computed_md5": MD5, "mimetype": "text/csv", **more,
    }  # fmt: skip


def files(article, number, size=100):
    return f"{ROOT}articles/{article}/files?page={number}&page_size={size}"


def test_pages_are_read_until_an_empty_one_and_the_computed_md5_is_the_promise():
    documents = {
        files(5616409, 1): json.dumps([file(n) for n in range(10)]),  # the site gives ten, whatever was asked
        files(5616409, 2): json.dumps([file(n) for n in range(10, 13)]),
        files(5616409, 3): "[]",
    }
    found = stats(read_all(reader(articles=("5616409",)), documents))
    assert len(found) == 13
    url = "https://ndownloader.example/files/12"
    assert found["f12.csv"] == Stat("f12.csv", 5, version="file:12", digests={"md5": MD5}, urls=(url,))


@pytest.mark.promise("P5")
def test_a_site_that_ignores_pages_may_never_show_the_rest():
    same = json.dumps([file(1), file(2)])
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        read_all(reader(articles=("1",)), {files(1, 1): same, files(1, 2): same})


def test_a_link_to_a_page_elsewhere_is_no_file_and_is_noted():
    link = file(1, is_link_only=True, computed_md5="", size=0, download_url="https://elsewhere.example/")
    found = read_all(reader(articles=("1",)), {files(1, 1): json.dumps([link]), files(1, 2): "[]"})
    assert found == [ReaderWarning("links to pages elsewhere are no files, and are not copied")]


def test_one_version_of_an_article_is_asked_for_by_its_number():
    documents = {f"{ROOT}articles/1/versions/3/files?page=1&page_size=100": "[]", files(2, 1): "[]"}
    assert read_all(reader(articles=("1.v3", "2")), documents) == []


def test_each_article_of_a_collection_has_a_folder():
    listed = f"{ROOT}collections/77/articles?page={{}}&page_size=100"
    documents = {listed.format(1): json.dumps([{"id": 5}, {"id": 6}]), listed.format(2): "[]"}
    documents |= {files(n, 1): json.dumps([file(n, "x.csv")]) for n in (5, 6)} | {files(n, 2): "[]" for n in (5, 6)}
    assert sorted(stats(read_all(reader(collections=("77",)), documents))) == ["5/x.csv", "6/x.csv"]


class Published:
    """A list of articles as Figshare gives it: sorted by date, from a day on, a thousand rows and not one more."""

    def __init__(self, dates):
        self.dates = dates
        self.asked = []

    def get(self, url):
        words = dict(pair.split("=") for pair in url.partition("?")[2].split("&"))
        if "/files" in url:
            return "[]"
        self.asked.append(url)
        assert (words["order"], words["order_direction"], words["group"]) == ("published_date", "asc", "7")
        begin = (int(words["page"]) - 1) * int(words["page_size"])
        assert begin + int(words["page_size"]) <= 1000, "422: offset out of bounds"
        rows = [
            {"id": n, "published_date": f"{date}T10:00:00Z"}
            for n, date in enumerate(self.dates)
            if date >= words.get("published_since", "")
        ]
        return json.dumps(rows[begin : begin + int(words["page_size"])])


def test_a_group_of_more_than_a_thousand_articles_is_read_in_windows():
    group = Published([f"{2000 + n // 300}-01-01" for n in range(2500)])
    seen = set()
    chosen = reader(group="7")

    def walk(follow):
        for one in chosen.read(_answered(follow, group)):
            if one.url not in seen:
                seen.add(one.url)
                walk(one)

    for follow in chosen.start():
        walk(follow)
    assert len({url for url in seen if "/files?page=1&" in url}) == 2500
    assert len(group.asked) < 60


def _answered(follow, group):
    return answer(follow, group.get(follow.url))


def test_a_window_that_cannot_move_is_told():
    chosen, crowded = reader(group="7", page_size=1000), Published(["2024-01-01"] * 1500)

    def walk(waiting):
        while waiting:
            follow = waiting.pop()
            if "/files" not in follow.url:
                waiting += follows(chosen.read(_answered(follow, crowded)))

    with pytest.raises(DocumentError, match="has more than the 1000 rows"):
        walk(list(chosen.start()))


def test_a_list_without_an_end_is_told(monkeypatch):
    monkeypatch.setattr(figshare, "MAX_PAGES", 3)
    documents = {files(1, n): json.dumps([file(n)]) for n in range(1, 9)}
    with pytest.raises(DocumentError, match="has more than 3 pages"):
        read_all(reader(articles=("1",)), documents)


@settings(max_examples=40)
@given(broken(json.dumps([file(1), file(2)])))
def test_a_broken_page_is_a_document_error(body):
    chosen = reader(articles=("1",))
    for one in survives(chosen, next(iter(chosen.start())), body):
        assert not isinstance(one, Stat) or set(one.digests) <= {"md5"}
