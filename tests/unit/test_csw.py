"""CSW: which online resources are files, what is asked for, and counts."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings

from manifests.readers.csw import CswOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.miniatures.csw import ANSWER, LINK, RECORD
from tests.unit.reader_harness import Source, broken, notes, read_all, stats, survives

ROOT = "https://node.example/geonetwork/srv/eng/"
FUNCTION = """<gmd:onLine><gmd:CI_OnlineResource><gmd:linkage><gmd:URL>{url}</gmd:URL></gmd:linkage><gmd:function>
<gmd:CI_OnLineFunctionCode codeList="x" codeListValue="download"/></gmd:function></gmd:CI_OnlineResource></gmd:onLine>"""


def answer(*links, matched=1, following=0, name="AB-1"):
    record = RECORD.format(name=name, links="".join(links))
    return ANSWER.format(matched=matched, returned=1, next=following, records=record)


def link(url, protocol="WWW:DOWNLOAD-1.0-http--download"):
    return LINK.format(url=url, protocol=protocol)


def reader(**options):
    return open_reader(Source(ROOT, CswOptions(**options)))


def read(body, **options):
    chosen = reader(**options)
    (request,) = chosen.start()
    return read_all(chosen, {request.url: body})


def test_what_is_for_downloading_is_a_file_and_a_service_is_none():
    links = [
        link("https://x.example/a%20b.tif"),
        FUNCTION.format(url="https://x.example/c.nc"),
        link("https://x/wms", "OGC:WMS"),
    ]
    assert stats(read(answer(*links))) == {
        "AB-1/a b.tif": Stat("AB-1/a b.tif", urls=("https://x.example/a%20b.tif",)),
        "AB-1/c.nc": Stat("AB-1/c.nc", urls=("https://x.example/c.nc",)),
    }


def test_protocols_are_selected_by_their_names():
    links = [link("https://x/a.tif"), link("https://x/b.zip", "FILE:GEO")]
    assert [path.rpartition("/")[2] for path in stats(read(answer(*links), protocols=("file:*",)))] == ["b.zip"]


def test_a_download_by_ftp_is_left_out_and_told():
    assert notes(read(answer(link("ftp://x/a.tif")))) == ["downloads that are not on the web are left out"]


def test_a_filter_is_sent_in_the_language_of_the_service():
    (request,) = reader(cql="AnyText LIKE '%landsat%'", service="csw?portal=a").start()
    words = dict(parse_qsl(urlsplit(request.url).query))
    assert (words["portal"], words["constraint"], words["constraintLanguage"]) == (
        "a",
        "AnyText LIKE '%landsat%'",
        "CQL_TEXT",
    )


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (answer(matched=3), "3 records were announced, and the list ends after 1"),
        (answer(name="..."), "a record without a fileIdentifier"),
        (answer(link("http://[")), "a download with an invalid url"),
        ("<html/>", "not the answer of a catalogue service"),
        (
            '<ExceptionReport><Exception exceptionCode="X"><ExceptionText>no such filter</ExceptionText></Exception></ExceptionReport>',
            "the service reports: no such filter",
        ),
    ],
)
def test_a_list_that_is_short_or_is_none_is_said(body, said):
    with pytest.raises(DocumentError, match=said):
        read(body)


def test_a_page_that_leads_back_ends_the_list():
    with pytest.raises(DocumentError, match="9 records were announced, and the list ends after 1"):
        read(answer(matched=9, following=1))


@settings(max_examples=100)
@given(body=broken(answer(link("https://x/a.tif"))))
def test_a_broken_answer_is_said_and_nothing_worse(body):
    chosen = reader()
    survives(chosen, next(iter(chosen.start())), body)
