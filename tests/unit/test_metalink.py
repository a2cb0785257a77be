"""Metalinks of both versions: what they promise, where files are asked, what is refused."""

import hashlib
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings, strategies as st

from manifests.readers.metalink import MetalinkOptions, open_reader
from manifests.reading.document import DocumentError, ReaderWarning
from manifests.stat import Stat, UnsafePath, check_path
from tests.unit.reader_harness import Source, answer, broken, stats, survives

SHA1 = "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"
FOUR = f"""<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink"><published>2009-05-15T12:23:23Z</published>
 <file name="example.ext"><size>786430</size>
  <hash type="md5">cbd18db4cc2f85cedef654fccc4a4d8</hash><hash type="sha-1">{SHA1}</hash>
  <pieces length="262144" type="sha-1"><hash>{"5" * 40}</hash><hash>{"6" * 40}</hash></pieces>
  <url location="de" priority="2">https://de.example/example.ext</url><url>http://last.example/example.ext</url>
  <url location="jp" priority="1">ftp://jp.example/example.ext</url><url priority="1">https://one.example/example.ext</url>
  <metaurl mediatype="torrent" priority="1">https://one.example/example.ext.torrent</metaurl>
  <signature mediatype="application/pgp-signature">a signature</signature></file></metalink>"""
THREE = """<?xml version="1.0" encoding="UTF-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic" origin="https://evil.example/other.metalink">
 <publisher><name>UniProt</name></publisher><license><name>CC BY 4.0</name></license><version>2024_05</version><files>
 <file name="uniprot_sprot.fasta.gz"><size>92345678901</size>
  <verification><hash type="md5">D41D8CD98F00B204E9800998ECF8427E</hash>
   <pieces length="262144" type="sha1"><hash piece="0">%s</hash></pieces></verification>
  <resources maxconnections="-1"><url location="uk" type="ftp" preference="100">ftp://uk.example/uniprot_sprot.fasta.gz</url>
   <url location="ch" type="https" preference="90">https://ch.example/uniprot_sprot.fasta.gz</url>
   <url location="us" type="https" preference="-5">https://us.example/uniprot_sprot.fasta.gz</url></resources></file>
 <file name="reldate.txt"><size>abc</size><verification><hash>0</hash></verification>
  <resources><url type="ftp">ftp://uk.example/reldate.txt</url></resources></file></files></metalink>""" % ("0" * 40)


def reader(*lists, **options):
    return open_reader(
        Source("https://archive.example/", MetalinkOptions(lists=lists or ("RELEASE.metalink",), **options))
    )


def read(body, path="RELEASE.metalink", **options):
    chosen = reader(path, **options)
    (follow,) = chosen.start()
    return list(chosen.read(answer(follow, body)))


def test_version_4_gives_the_best_place_first_and_a_digest_that_cannot_be_one_is_absent():
    assert read(FOUR).pop(1) == ReaderWarning("invalid checksums were ignored")
    assert [one for one in read(FOUR) if isinstance(one, Stat)] == [
        Stat(
            "example.ext",
            786430,
            digests={"sha1": SHA1},
            urls=(
                "https://one.example/example.ext",
                "https://de.example/example.ext",
                "http://last.example/example.ext",
            ),
        ),
        Stat("RELEASE.metalink", len(FOUR), version=f"sha256:{hashlib.sha256(FOUR.encode()).hexdigest()}"),
    ]


def test_version_3_counts_preference_down_and_files_without_a_place_we_can_ask_lie_beside_the_list():
    found = stats(read(THREE, "knowledgebase/RELEASE.metalink"))
    assert found["knowledgebase/uniprot_sprot.fasta.gz"] == Stat(
        "knowledgebase/uniprot_sprot.fasta.gz",
        92345678901,
        digests={"md5": "d41d8cd98f00b204e9800998ecf8427e"},
        urls=("https://ch.example/uniprot_sprot.fasta.gz", "https://us.example/uniprot_sprot.fasta.gz"),
    )
    assert found["knowledgebase/reldate.txt"] == Stat("knowledgebase/reldate.txt")
    assert list(found)[-1] == "knowledgebase/RELEASE.metalink"


def test_places_near_the_steward_come_first_and_beside_wins_over_all_of_them():
    first = read(FOUR, prefer=("jp", "de"), protocols=("ftp", "https"))[0]
    assert first.urls[:2] == ("ftp://jp.example/example.ext", "https://de.example/example.ext")
    assert read(FOUR, beside=True)[0].urls == ()


@pytest.mark.parametrize("name", ["../unsafe", "..\\..\\x", "/etc/passwd", "a/../../b", "C:\\x", ".syncd/x"])
def test_names_that_lead_out_come_out_as_they_are_to_be_refused(name):
    (stat, _) = read(f'<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="{name}"/></metalink>')
    assert stat.path == name
    with pytest.raises(UnsafePath):
        check_path(stat.path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<!DOCTYPE metalink []><metalink/>", "document type"),
        ("<html><title>Log in</title></html>", "begins with <html>"),
        ('<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>', "without a single file"),
        ('<metalink xmlns="urn:other"><file name="x"/></metalink>', "neither Metalink 3 nor 4"),
        ('<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file/></metalink>', "a file without a name"),
        (FOUR[:-20], "cannot be read as XML"),
    ],
)
def test_what_is_no_metalink_is_said(body, said):
    with pytest.raises(DocumentError, match=said):
        read(body)


def test_a_file_without_a_name_does_not_hide_the_others():
    body = '<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file/><file name="a"/><file name=""/></metalink>'
    found = survives(reader(), next(iter(reader().start())), body)
    assert [one.path for one in found] == ["a"]


names = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(
    st.dictionaries(names, st.tuples(st.integers(0, 1 << 50), st.binary(min_size=32, max_size=32)), min_size=1),
    st.booleans(),
)
def test_what_is_written_is_read_back(files, is_three):
    def one(name, size, digest):
        hash_ = f'<hash type="sha-256">{digest.hex()}</hash>'
        hash_ = f"<verification>{hash_}</verification>" if is_three else hash_
        return f"<file name={quoteattr(name)}><size>{size}</size>{hash_}<os>{escape(name)}</os></file>"

    body = "".join(one(name, *rest) for name, rest in files.items())
    space, body = (
        ("http://www.metalinker.org/", f"<files>{body}</files>")
        if is_three
        else ("urn:ietf:params:xml:ns:metalink", body)
    )
    found = read(f'<metalink xmlns="{space}">{body}</metalink>', "the list")[:-1]
    assert found == [
        Stat(name, size, digests={"sha256": digest.hex()})
        for name, (size, digest) in files.items()
        if name != "the list"
    ]


@settings(max_examples=40)
@given(broken(FOUR) | broken(THREE))
def test_a_broken_metalink_is_a_document_error_and_invents_nothing(body):
    chosen = reader()
    for one in survives(chosen, next(iter(chosen.start())), body):
        if isinstance(one, ReaderWarning):
            continue
        assert one.size is None or one.size >= 0
        assert set(one.digests) <= {"md5", "sha1"}
