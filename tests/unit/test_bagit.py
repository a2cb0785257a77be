"""Bags of every version: what makes one invalid, what is only odd, and where the files are taken from."""

import json

import msgspec
import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from manifests.readers.bagit import BagitOptions, open_reader
from manifests.reading.document import DocumentError, ReaderWarning
from manifests.stat import Stat, UnsafePath, check_path
from tests.unit.reader_harness import Source, answer, broken, read_all, stats, survives

ROOT = "https://archive.example/"
HELLO = "b1946ac92492d2347c6235b4d2611184"
OTHER = "5a105e8b9d40e1329780d62ea2265d8a"


def declared(version="1.0", encoding="UTF-8", end="\n"):
    return f"BagIt-Version: {version}{end}Tag-File-Character-Encoding: {encoding}{end}"


def bag(version="1.0", **files):
    return {
        "bagit.txt": declared(version),
        **{name.replace("__", "-").replace("_", "."): b for name, b in files.items()},
    }


def reader(**options):
    return open_reader(Source(ROOT, BagitOptions(**options)))


def read(documents, **options):
    return read_all(reader(**options), documents)


def payload(documents, **options):
    """Path, size and digests of what is in data/."""
    found = {}
    for one in read(documents, **options):
        if isinstance(one, Stat) and "data/" in one.path:
            old = found.get(one.path, Stat(one.path))
            found[one.path] = Stat(
                one.path, old.size or one.size, digests={**old.digests, **one.digests}, urls=old.urls or one.urls
            )
    return found


def test_a_bag_is_its_payload_and_its_own_lists():
    documents = bag(
        manifest__md5_txt=f"{HELLO}  data/hello.txt\n",
        manifest__sha256_txt=f"{'a' * 64}  data/hello.txt\n",
        tagmanifest__md5_txt=f"{OTHER}  bag-info.txt\n{OTHER}  manifest-md5.txt\n{OTHER}  extra/notes.txt\n",
    )
    documents["bag-info.txt"] = "Payload-Oxum: 6.1\nSource-Organization: X\n"
    found = read(documents)
    assert set(stats(found)) == {*documents, "data/hello.txt", "extra/notes.txt"}
    assert payload(documents)["data/hello.txt"].digests == {"md5": HELLO, "sha256": "a" * 64}


def test_values_that_cannot_be_checksums_are_noted_and_their_files_stay():
    found = read(bag(manifest__md5_txt=f"abc  data/a\n{HELLO}  data/b\n", tagmanifest__md5_txt="abc  x.txt\n"))
    assert found.count(ReaderWarning("invalid checksums were ignored")) == 2
    assert {"data/a", "data/b", "x.txt"} <= set(stats(found))


def test_a_bag_may_lie_in_a_folder():
    documents = {f"bags/one/{name}": body for name, body in bag(manifest__md5_txt=f"{HELLO} data/a\n").items()}
    assert set(stats(read(documents, bag="bags/one"))) == {*documents, "bags/one/data/a"}


def test_what_fetch_txt_names_is_taken_from_there():
    documents = bag("0.97", manifest__md5_txt=f"{OTHER} data/test 1.txt\r\n{HELLO} data/b\r\n")
    documents["fetch.txt"] = (
        "http://localhost:8989/bags/data/test%201.txt - data/test 1.txt\r\nhttp://x.example/b 17 data/b\r\n"
    )
    assert payload(documents) == {
        "data/test 1.txt": Stat(
            "data/test 1.txt", digests={"md5": OTHER}, urls=("http://localhost:8989/bags/data/test%201.txt",)
        ),
        "data/b": Stat("data/b", 17, digests={"md5": HELLO}, urls=("http://x.example/b",)),
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_every_way(end):
    documents = bag("0.97", manifest__md5_txt=f"{HELLO}  data/a{end}{OTHER} *data/b{end}")
    documents["bagit.txt"] = declared("0.97", end=end).rstrip(end)
    assert sorted(payload(documents)) == ["data/a", "data/b"]


@pytest.mark.promise("P5")
def test_a_last_line_without_its_end_is_whole_if_a_second_manifest_names_the_same_files():
    documents = bag("0.97", manifest__md5_txt=f"{HELLO}  data/a\n{OTHER} *data/b")
    with pytest.raises(DocumentError, match=r"the last line of manifest-md5\.txt has no line end: it may be cut"):
        payload(documents)
    assert sorted(payload(documents, unterminated=True)) == ["data/a", "data/b"]
    documents["manifest-sha1.txt"] = f"{'0' * 40}  data/a\n{'1' * 40}  data/b\n"
    assert sorted(payload(documents)) == ["data/a", "data/b"]


@pytest.mark.parametrize(("encoding", "codec"), [("ISO-8859-1", "latin-1"), ("UTF-16", "utf-16"), ("utf-8", "utf-8")])
def test_lists_are_in_the_encoding_that_the_bag_declares(encoding, codec):
    documents = bag("0.97", manifest__md5_txt=f"{HELLO}  data/été.txt\n".encode(codec))
    documents["bagit.txt"] = declared("0.97", encoding)
    assert list(payload(documents)) == ["data/été.txt"]


@pytest.mark.parametrize(
    ("version", "written", "name"),
    [
        ("1.0", "data/100%25.txt", "data/100%.txt"),
        ("0.97", "data/100%25.txt", "data/100%25.txt"),
        ("1.0", "data/%7Eme", "data/%7Eme"),
        ("0.97", "data/%7Eme", "data/%7Eme"),
        ("1.0", "data/a%0Ab", "data/a\nb"),
        ("0.96", "data/a%0db", "data/a\rb"),
        ("1.0", "./data/a", "data/a"),
        ("0.97", "data/ a  b", "data/ a  b"),
    ],
)
def test_names_are_escaped_as_their_version_has_it(version, written, name):
    assert list(payload(bag(version, manifest__md5_txt=f"{HELLO}  {written}\n"))) == [name]


@pytest.mark.parametrize(
    ("declaration", "said"),
    [
        (b"\xef\xbb\xbf" + declared().encode(), "not a bag: the first line"),
        ("BagIt-Version : 1.0\nTag-File-Character-Encoding: UTF-8\n", "spaces in"),
        ("BagIt-Version: 2.5\nTag-File-Character-Encoding: UTF-8\n", "BagIt 2.5 is not supported"),
        ("BagIt-Version: 1.0\n", "does not name a Tag-File"),
        (declared(encoding="klingon"), "not a known character encoding"),
        *(
            (declared(encoding=name), "not a known character encoding")
            for name in ("base64", "zip", "bz2", "undefined")
        ),
        ("<html>", "not a bag"),
        ("", "not a bag"),
    ],
)
def test_a_declaration_that_is_none_says_why(declaration, said):
    with pytest.raises(DocumentError, match=said):
        read({"bagit.txt": declaration})


def test_an_odd_declaration_before_1_0_is_read():
    documents = bag(manifest__md5_txt=f"{HELLO}  data/a\n")
    documents["bagit.txt"] = "BagIt-Version : 0.96\nTag-File-Character-Encoding : UTF-8\n"
    assert list(payload(documents)) == ["data/a"]


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        (bag(), r"no payload manifest \(manifest-sha512.txt, .*\): name its algorithms"),
        (bag(manifest__md5_txt=f"{HELLO}  elsewhere/a\n"), "not in data/"),
        (bag(manifest__md5_txt="no digest\n"), "line 1 is not a checksum and a path"),
        (
            bag(manifest__md5_txt=f"{HELLO}  data/a\n", manifest__sha1_txt=f"{'a' * 40}  data/b\n"),
            "lists different files from the manifest before it",
        ),
        (bag(manifest__md5_txt=b"\xff\xfe  data/a\n"), "is not encoded in utf-8"),
        (
            {**bag(manifest__md5_txt=f"{HELLO} data/a\n"), "bag-info.txt": "Payload-Oxum: 7.2\n"},
            "lists 1 files, bag-info.txt counts 2",
        ),
        (
            {**bag(manifest__md5_txt=f"{HELLO} data/a\n"), "fetch.txt": "data/a\n"},
            "line 1 is not a url, a length and a path",
        ),
    ],
)
def test_a_bag_that_is_not_valid_says_why(documents, said):
    with pytest.raises(DocumentError, match=said):
        read(documents)


def test_before_1_0_manifests_need_not_list_the_same():
    documents = bag("0.97", manifest__md5_txt=f"{HELLO}  data/a\n", manifest__sha1_txt=f"{'a' * 40}  data/b\n")
    assert sorted(payload(documents)) == ["data/a", "data/b"]


@pytest.mark.parametrize("name", ["../up", "data/../../up", "/etc/passwd", "~/x/../../y", "..\\x"])
def test_a_name_out_of_the_bag_comes_out_to_be_refused(name):
    documents = bag("0.97", manifest__md5_txt=f"{HELLO}  data/a\n", tagmanifest__md5_txt=f"{HELLO}  {name}\n")
    documents["fetch.txt"] = f"http://x.example/y - {name}\n"
    wrong = [one for one in read(documents) if one.path not in (*documents, "data/a")]
    assert len(wrong) == 2
    for one in wrong:
        with pytest.raises(UnsafePath):
            check_path(one.path)


def test_a_long_line_ends_the_reading(monkeypatch):
    from manifests.readers import bagit

    monkeypatch.setattr(bagit, "MAX_LINE", 100)
    with pytest.raises(DocumentError, match="longer than 100 characters"):
        read(bag(manifest__md5_txt=f"{HELLO}  data/{'x' * 100}\n"))


def test_only_algorithms_that_can_be_checked_are_asked_for():
    assert BagitOptions.model_validate({"algorithms": ["SHA256"]}).algorithms == ("sha256",)
    for wrong in (["rot13"], []):
        with pytest.raises(ValidationError):
            BagitOptions.model_validate({"algorithms": wrong})


@given(st.data())
def test_whatever_is_broken_only_a_document_error_comes_of_it(drawn):
    kind = drawn.draw(st.sampled_from(["bagit.txt", "bag-info.txt", "fetch.txt", "manifest", "tagmanifest"]))
    body = {
        "bagit.txt": declared(),
        "bag-info.txt": "Payload-Oxum: 6.1\n folded\n",
        "fetch.txt": "http://x.example/y - data/y\n",
    }.get(kind, f"{HELLO}  data/a%0Ab\n{OTHER} *data/b\n")
    encoding = drawn.draw(st.sampled_from(["utf-8", "utf-16", "ascii", "utf-7"]))
    note = {"kind": kind, "version": [1, 0], "encoding": encoding, "algorithm": "md5" if "manifest" in kind else ""}
    follow = next(iter(reader().start()))
    follow = msgspec.structs.replace(follow, state=json.dumps({**note, "rest": ["md5"]}))
    survives(reader(), follow, drawn.draw(broken(body)))


def test_a_document_is_asked_where_the_bag_lies():
    follow = next(iter(reader(bag="b").start()))
    assert follow.url == "b/bagit.txt"
    assert answer(follow, "", base=ROOT).url == f"{ROOT}b/bagit.txt"
