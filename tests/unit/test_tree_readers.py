"""Trees that servers of weather and ocean data show: THREDDS catalogs, ERDDAP's files, WebDAV folders."""

import itertools

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from manifests.errors import InvalidValue
from manifests.readers import erddap, thredds, webdav
from manifests.readers.folder_loops import LEFT_OUT, MAX_DEPTH
from manifests.reading.document import DocumentError, DocumentRequest, ReaderWarning
from manifests.stat import Stat, UnsafePath, check_path
from tests.unit.reader_harness import Source, answer, broken, follows, notes, read_all, stats, survives

# THREDDS

TDS = "https://thredds.example/thredds/catalog/"
CATALOG = """<?xml version="1.0" encoding="UTF-8"?>
<catalog name="x" version="1.0.1" xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0"
    xmlns:xlink="http://www.w3.org/1999/xlink">
  <service name="latest" serviceType="Resolver" base="" />
  <service name="all" serviceType="Compound" base="">
    <service name="odap" serviceType="OPENDAP" base="/thredds/dodsC/" />
    <service name="HTTPServer" serviceType="HTTPServer" base="/thredds/fileServer/" />
  </service>
  <dataset name="hdob" ID="t">
    <metadata inherited="true"><serviceName>all</serviceName><dataType>GRID</dataType></metadata>
    <dataset name="High_density_obs_20170824.txt" ID="a" urlPath="noaaport/text/hdob/High density#20170824.txt">
      <dataSize units="Kbytes">11.75</dataSize>
      <property name="NotAThreddsDataset" value="true" /><date type="modified">2017-08-25T00:00:27Z</date>
    </dataset>
    <dataset name="exact" urlPath="noaaport/text/hdob/b.txt"><dataSize units="bytes">452</dataSize></dataset>
    <dataset name="only by opendap" urlPath="noaaport/x"><serviceName>odap</serviceName></dataset>
    <dataset name="latest" urlPath="latest.xml"><serviceName>latest</serviceName></dataset>
    <dataset name="esgf" urlPath="noaaport/text/c.nc">
      <property name="checksum" value="E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"/>
      <property name="checksum_type" value="SHA256"/><property name="size" value="1234567"/>
    </dataset>
    <dataset name="inside"><dataset name="deep" urlPath="elsewhere/d.nc" serviceName="HTTPServer"/></dataset>
    <catalogRef xlink:href="sub/catalog.xml" xlink:title="sub" name=""/>
    <catalogRef xlink:href="/thredds/catalog/other/catalog.html" xlink:title="other"/>
    <catalogRef xlink:href="https://far.example/thredds/catalog.xml" xlink:title="far"/>
  </dataset>
</catalog>"""


def tds(**options):
    return thredds.open_reader(Source(TDS, thredds.ThreddsOptions(**options)))


def read_catalog(body, url=f"{TDS}catalog.xml", **options):
    return list(tds(**options).read(answer(DocumentRequest(url), body)))


def test_a_catalog_names_files_on_its_file_server_and_further_catalogs():
    found = read_catalog(CATALOG)
    server = "https://thredds.example/thredds/fileServer/"
    assert list(stats(found).values()) == [
        Stat(
            "noaaport/text/hdob/High density#20170824.txt",
            None,
            1503619227.0,
            urls=(f"{server}noaaport/text/hdob/High%20density%2320170824.txt",),
        ),
        Stat("noaaport/text/hdob/b.txt", 452, urls=(f"{server}noaaport/text/hdob/b.txt",)),
        Stat(
            "noaaport/text/c.nc",
            1234567,
            digests={"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
            urls=(f"{server}noaaport/text/c.nc",),
        ),
        Stat("elsewhere/d.nc", urls=(f"{server}elsewhere/d.nc",)),
    ]
    assert [one.url for one in follows(found)] == [
        f"{TDS}sub/catalog.xml",
        "https://thredds.example/thredds/catalog/other/catalog.xml",
    ]


def test_paths_leave_out_what_the_manifest_names_and_with_it_what_is_elsewhere():
    assert list(stats(read_catalog(CATALOG, below="noaaport/text"))) == [
        "hdob/High density#20170824.txt",
        "hdob/b.txt",
        "c.nc",
    ]


def test_a_catalog_of_hyrax_has_its_own_prefix_and_access_elements():
    body = """<thredds:catalog xmlns:thredds="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0">
    <thredds:service name="dap" serviceType="OPeNDAP" base="/opendap/hyrax"/>
    <thredds:service name="file" serviceType="HTTPServer" base="/opendap/hyrax"/>
    <thredds:dataset name="/data" ID="/data"><thredds:dataset name="x.nc" ID="/data/x.nc">
      <thredds:dataSize units="bytes">512</thredds:dataSize><thredds:date type="modified">2017-01-02T03:04:05</thredds:date>
      <thredds:access serviceName="dap" urlPath="/data/x.nc"/><thredds:access serviceName="file" urlPath="/data/x.nc"/>
    </thredds:dataset></thredds:dataset></thredds:catalog>"""
    (stat,) = read_catalog(body)
    assert stat == Stat("data/x.nc", 512, 1483326245.0, urls=("https://thredds.example/opendap/hyrax/data/x.nc",))


def test_a_catalog_of_ramadda_is_in_latin_1_and_its_links_begin_at_the_root():
    body = """<?xml version="1.0" encoding="ISO-8859-1"?><catalog xmlns:xlink="http://www.w3.org/1999/xlink">
    <service name="h" serviceType="HTTPServer" base="/repository/entry/get/"/>
    <dataset name="é" urlPath="été.nc" serviceName="h"><date type="modified">2014-09-26 02:56:17 UTC</date></dataset>
    <catalogRef xlink:href="/repository/e?output=thredds.catalog"/></catalog>""".encode("latin-1")
    found = read_catalog(body)
    assert found[0] == Stat(
        "été.nc", None, 1411700177.0, urls=("https://thredds.example/repository/entry/get/%C3%A9t%C3%A9.nc",)
    )
    assert found[1].url == "https://thredds.example/repository/e?output=thredds.catalog"


def test_datasets_that_no_file_server_serves_are_counted_and_told():
    notes = [one for one in read_catalog(CATALOG) if isinstance(one, ReaderWarning)]
    assert notes == [  # `latest` is another name of a dataset that is listed
        ReaderWarning("datasets without a file server (OPENDAP) were left out"),
        ReaderWarning("catalogs on other hosts were left out"),
    ]
    body = """<catalog xmlns:xlink="http://www.w3.org/1999/xlink">
    <service name="all" serviceType="Compound" base=""><service name="d" serviceType="OPENDAP" base="/d/"/>
    <service name="w" serviceType="WMS" base="/w/"/></service>
    <dataset name="a" urlPath="a.nc" serviceName="all"/><dataset name="b" urlPath="b.nc" serviceName="all"/>
    <dataset name="c" urlPath="c.nc" serviceName="typo"/><dataset name="collection"/></catalog>"""
    assert read_catalog(body) == [
        ReaderWarning("datasets without a file server (OPENDAP, WMS) were left out", 2),
        ReaderWarning("datasets without a file server (typo) were left out"),
    ]


def test_a_catalog_behind_a_proxy_that_knows_itself_by_another_scheme_or_port_is_followed_on_its_own():
    body = """<catalog xmlns:xlink="http://www.w3.org/1999/xlink">
    <catalogRef xlink:href="http://thredds.example/thredds/catalog/a/catalog.xml"/>
    <catalogRef xlink:href="http://thredds.example:8080/thredds/catalog/b/catalog.html"/></catalog>"""
    assert [one.url for one in follows(read_catalog(body))] == [f"{TDS}a/catalog.xml", f"{TDS}b/catalog.xml"]


def test_catalogs_that_lead_in_a_circle_are_each_read_once():
    body = CATALOG.replace("/thredds/catalog/other/catalog.html", "/thredds/catalog/catalog.xml")
    documents = {f"{TDS}catalog.xml": body, f"{TDS}sub/catalog.xml": body.replace("sub/catalog", "../catalog")}
    assert sum(isinstance(one, Stat) for one in read_all(tds(), documents)) == 8


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html><body>Catalog</body></html>", "begins with <html>"),
        ("<!DOCTYPE html><html/>", "document type"),
        (CATALOG[:900], "cannot be read as XML"),
    ],
)
def test_what_is_no_catalog_is_said(body, said):
    with pytest.raises(DocumentError, match=said):
        read_catalog(body)


# ERDDAP

ERDDAP = "https://erddap.example/erddap/"
FOLDER = """Name,Last modified,Size,Description
sub/,NaN,NaN,
MB2008032_2008060_sstd.nc,1204467796000,140954640,
"odd, name.nc",2008-03-02T14:23:16Z,17,"a word"
"""
DATASETS = """datasetID,accessible,files
,,
erdMB,public,https://erddap.example/erddap/files/erdMB/
noFiles,public,
secret,no,https://erddap.example/erddap/files/secret/
"""


def erd(*datasets):
    return erddap.open_reader(Source(ERDDAP, erddap.ErddapOptions(datasets=datasets)))


def test_the_folders_of_a_dataset_are_read_with_exact_sizes_and_times():
    documents = {
        f"{ERDDAP}files/erdMB/.csv": FOLDER,
        f"{ERDDAP}files/erdMB/sub/.csv": "Name,Last modified,Size,Description\nx.nc,NaN,5,\n",
    }
    assert read_all(erd("erdMB"), documents) == [
        Stat(
            "MB2008032_2008060_sstd.nc",
            140954640,
            1204467796.0,
            urls=(f"{ERDDAP}files/erdMB/MB2008032_2008060_sstd.nc",),
        ),
        Stat("odd, name.nc", 17, 1204467796.0, urls=(f"{ERDDAP}files/erdMB/odd%2C%20name.nc",)),
        Stat("sub/x.nc", 5, urls=(f"{ERDDAP}files/erdMB/sub/x.nc",)),
    ]


@pytest.mark.promise("P5")
def test_a_row_may_end_before_its_description_and_not_before_its_size():
    (follow,) = erd("erdMB").start()
    short = "Name,Last modified,Size,Description\nsub/,NaN\na.nc,1000,5\n"
    folder, file = erd("erdMB").read(answer(follow, short))
    assert (folder.url, file.path, file.size) == (f"{ERDDAP}files/erdMB/sub/.csv", "a.nc", 5)
    for row in ("a.nc,1000\n", "a.nc\n", ",1000,5,\n"):
        with pytest.raises(DocumentError, match="line 2"):
            list(erd("erdMB").read(answer(follow, f"Name,Last modified,Size,Description\n{row}")))


def test_without_names_all_public_datasets_with_files_are_mirrored_each_in_its_folder():
    documents = {
        f"{ERDDAP}tabledap/allDatasets.csv?datasetID%2Caccessible%2Cfiles": DATASETS,
        f"{ERDDAP}files/erdMB/.csv": "Name,Last modified,Size,Description\nx.nc,1000,5,\n",
    }
    found = read_all(erd(), documents)
    assert list(stats(found)) == ["erdMB/x.nc"]
    assert notes(found) == [
        "datasets that do not show their files have none to copy",
        "datasets that need a login are left out",
    ]
    assert [one.url for one in erd("a", "b").start()] == [f"{ERDDAP}files/a/.csv", f"{ERDDAP}files/b/.csv"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html>", "is not a list of ERDDAP's files"),
        ("", "is not a list of ERDDAP's files"),
        (FOLDER + "short\n", "line 5 does not have the columns"),
        (FOLDER + '"open\n', "cannot be read as CSV"),
        (FOLDER.encode() + b"\xff,,,\n", "cannot be read as CSV"),
    ],
)
def test_a_folder_that_is_none_says_why(body, said):
    (follow,) = erd("erdMB").start()
    with pytest.raises(DocumentError, match=said):
        list(erd("erdMB").read(answer(follow, body)))


def test_folders_without_end_are_a_loop():
    reader = erd("erdMB")
    (follow,) = reader.start()
    for _ in range(erddap.MAX_DEPTH):
        (follow,) = follows(reader.read(answer(follow, "Name,Last modified,Size,Description\nd/,NaN,NaN,\n")))
    with pytest.raises(DocumentError, match="a loop"):
        list(reader.read(answer(follow, FOLDER)))


def test_an_identifier_is_one():
    with pytest.raises(ValidationError):
        erddap.ErddapOptions.model_validate({"datasets": ["../x"]})


# WebDAV

DAV = "https://cloud.example/remote.php/dav/files/u/"


def response(href, *properties, status="HTTP/1.1 200 OK", folder=False):
    kind = "<d:resourcetype><d:collection/></d:resourcetype>" if folder else "<d:resourcetype/>"
    return (
        f"<d:response><d:href>{href}</d:href><d:propstat><d:prop>{kind}{''.join(properties)}</d:prop>"
        f"<d:status>{status}</d:status></d:propstat><d:propstat><d:prop><d:getcontentlength>99</d:getcontentlength></d:prop>"
        "<d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
    )


def multistatus(*responses):
    return f'<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns">{"".join(responses)}</d:multistatus>'


def dav():
    return webdav.open_reader(Source(DAV, webdav.READER.options()))


def prop(name, value):
    return f"<d:{name}>{value}</d:{name}>"


LISTED = multistatus(
    response("/remote.php/dav/files/u/", folder=True),
    response("/remote.php/dav/files/u/data", folder=True),
    response(
        "/remote.php/dav/files/u/a%20b%231.nc",
        prop("getcontentlength", "12"),
        prop("getetag", "&quot;abc&quot;"),
        prop("getlastmodified", "Mon, 2 Jan 2006 15:04:05 GMT"),
        "<oc:checksums><oc:checksum>SHA1:0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33 MD5:rubbish ADLER32:03da0195</oc:checksum></oc:checksums>",
    ),
    response(
        f"{DAV}plain",
        prop("getcontentlength", "0"),
        prop("getetag", "def"),
        prop("getlastmodified", "2006-01-02T15:04:05Z"),
        prop("sha1hex", "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"),
    ),
)
OWN = response("/remote.php/dav/files/u/", folder=True)


def read_dav(body, follow=None, url=None):
    reader = dav()
    follow = follow or next(iter(reader.start()))
    return list(reader.read(answer(follow, body, url=url)))


def test_a_folder_is_asked_by_propfind_and_names_its_files_and_folders():
    (first,) = dav().start()
    assert (first.url, first.method, first.headers["depth"]) == (DAV, "PROPFIND", "1")
    assert b"getetag" in first.body
    folder, *found = read_dav(LISTED)
    assert (folder.url, folder.method) == (f"{DAV}data/", "PROPFIND")
    sha1 = "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"
    assert found == [
        Stat("a b#1.nc", 12, 1136214245.0, '"abc"', {"sha1": sha1, "adler32": "03da0195"}),
        Stat("plain", 0, 1136214245.0, '"def"', {"sha1": sha1}),
    ]


def test_files_in_a_folder_lie_below_it():
    (folder, *_) = read_dav(LISTED)
    body = multistatus(
        response("/remote.php/dav/files/u/data", folder=True),
        response("/remote.php/dav/files/u/data/x", prop("getcontentlength", "5")),
    )
    assert read_dav(body, folder) == [Stat("data/x", 5)]
    elsewhere = read_dav(body.replace("/u/data", "/u/Data2"), folder, url=f"{DAV}Data2/")
    assert elsewhere == [Stat("data/x", 5, urls=(f"{DAV}Data2/x",))]


@pytest.mark.parametrize(
    ("body", "url", "said"),
    [
        ("<html><title>log in</title></html>", None, "begins with <html>"),
        (multistatus(), "https://login.example/", "outside the source"),
        ("<ListBucketResult><Name>data</Name></ListBucketResult>", None, "write url: s3://data/"),
        (LISTED[:-30], None, "cannot be read as XML"),
    ],
)
def test_an_answer_that_is_no_folder_says_why(body, url, said):
    with pytest.raises(DocumentError, match=said):
        read_dav(body, url=url)


def test_a_folder_that_is_sent_back_up_is_none():
    (folder, *_) = read_dav(LISTED)
    with pytest.raises(DocumentError, match="redirected back up"):
        read_dav(LISTED, folder, url=DAV)


def walk_dav(inside):
    """Walk a server on which `inside` returns the entries of a folder: files by name, folders with a slash."""
    reader, found, asked = dav(), [], []
    waiting = list(reader.start())
    while waiting:
        follow = waiting.pop()
        path = follow.url.removeprefix("https://cloud.example")
        asked.append(path)
        rows = [response(f"{path}{name}", folder=name.endswith("/")) for name in inside(path)]
        for one in reader.read(answer(follow, multistatus(response(path, folder=True), *rows))):
            (waiting if isinstance(one, DocumentRequest) else found).append(one)
    return found, asked


def test_folders_without_end_are_a_loop_too():
    with pytest.raises(DocumentError, match="a loop"):
        walk_dav(lambda path: [f"d{path.count('/')}/"])


@pytest.mark.fault(18)
def test_a_link_to_its_own_folder_is_left_out_of_a_walk_by_webdav():
    found, asked = walk_dav(lambda _: ["x/", "file"])
    assert (sorted(stats(found)), notes(found)) == (["file"], [LEFT_OUT.text])
    assert len(asked) == 1 + MAX_DEPTH


@pytest.mark.promise("P5")
def test_folders_of_webdav_that_only_look_alike_are_no_links():
    top = DAV.removeprefix("https://cloud.example").count("/")
    found, _ = walk_dav(lambda path: ["0/", "1/", "t.png"] if path.count("/") < top + 4 else ["t.png"])
    wanted = {"/".join((*names, "t.png")) for n in range(5) for names in itertools.product("01", repeat=n)}
    assert (set(stats(found)), notes(found)) == (wanted, [])


def dav_partly(*responses, url=DAV):
    """What is found in an answer, and why it is not complete, "" if it is."""
    reader = webdav.open_reader(Source(url, webdav.READER.options()))
    (follow,) = reader.start()
    found = []
    try:
        for one in reader.read(answer(follow, multistatus(*responses))):
            found.append(one)
    except DocumentError as error:
        return found, str(error).removeprefix(f"{url}: ")
    return found, ""


FILE = prop("getcontentlength", "5")


def test_a_folder_that_is_not_in_its_own_listing_is_not_listed():
    for responses in ((), (response("/elsewhere/x", FILE),), (response("/remote.php/dav/files/u/x", FILE),)):
        found, why = dav_partly(*responses)
        assert (found, why) == ([], "the response does not list the requested folder itself")


@pytest.mark.parametrize(
    "base",
    [
        "/remote.php/dav/files/u/",
        "https://public.example/remote.php/dav/files/u/",
        "http://cloud.example:8080/remote.php/dav/files/u/",
        "/Remote.php/DAV/files/U/",
        "/internal/dav/u/",
        "https://backend/u/",
        "",
    ],
)
def test_a_server_may_know_itself_by_another_scheme_host_case_or_prefix(base):
    folder = response(base, folder=True)
    for responses in ([folder, response(f"{base}a%20b", FILE)], [response(f"{base}a%20b", FILE), folder]):
        found, why = dav_partly(*responses, response(f"{base}sub/", folder=True))
        assert why == ""
        assert [one.path for one in found if isinstance(one, Stat)] == ["a b"]
        assert [one.url for one in found if isinstance(one, DocumentRequest)] == [f"{DAV}sub/"]


def test_the_prefix_of_another_folder_is_not_that_of_this_one():
    _, why = dav_partly(response("/internal/other/", folder=True), response("/internal/other/a", FILE))
    assert "does not list the requested folder itself" in why
    _, why = dav_partly(response("/x/u", FILE), response("/x/u/a", FILE))  # a file has nothing below it
    assert "does not list the requested folder itself" in why
    _, why = dav_partly(response("/x/u/", folder=True), response("/y/u/", folder=True), response("/x/u/a", FILE))
    assert "does not list the requested folder itself" in why


def test_a_source_at_the_top_of_its_host_may_have_a_prefix_too():
    found, why = dav_partly(response("/srv/", folder=True), response("/srv/a", FILE), url="https://cloud.example/")
    assert ([one.path for one in found], why) == (["a"], "")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (response("/elsewhere/x", FILE), "an entry links to '/elsewhere/x', outside its folder"),
        (
            (
                "<d:response><d:href>/remote.php/dav/files/u/x</d:href><d:propstat><d:prop><d:resourcetype/></d:prop>"
                "<d:status>HTTP/1.1 403 Forbidden</d:status></d:propstat></d:response>"
            ),
            "the server withholds the properties of 'x'",
        ),
        (
            (
                "<d:response><d:href>/remote.php/dav/files/u/x</d:href><d:href>/remote.php/dav/files/u/y</d:href>"
                "<d:status>HTTP/1.1 423 Locked</d:status></d:response>"
            ),
            (
                "the server withholds the properties of '/remote.php/dav/files/u/y': HTTP/1.1 423 Locked; "
                "the server withholds the properties of 'x': HTTP/1.1 423 Locked"
            ),
        ),
        (
            (
                "<d:response><d:href>/remote.php/dav/files/u/</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status>"
                "</d:response>"
            ),
            "the server lists only a part of the folder: HTTP/1.1 507 Insufficient Storage",
        ),
        (response("/remote.php/dav/files/u/a%2Fb/", folder=True), "an entry links to"),
    ],
)
def test_what_a_server_does_not_show_makes_the_folder_incomplete(more, said):
    found, why = dav_partly(OWN, more, response("/remote.php/dav/files/u/z", FILE))
    assert [one.path for one in found] == ["z"]
    assert said in why


def test_the_folders_above_and_below_are_no_children_and_are_not_missed():
    above = response("/remote.php/dav/files/", folder=True)
    deeper = response("/remote.php/dav/files/u/data/x", FILE)  # a server that ignores Depth
    found, why = dav_partly(OWN, above, deeper, response("/remote.php/dav/files/u/data/", folder=True))
    assert ([one.url for one in found], why) == ([f"{DAV}data/"], "")


@pytest.mark.parametrize(
    ("href", "name", "urls"),
    [("c#1.txt", "c#1.txt", ()), ("what?.txt", "what?.txt", ()), ("a%2Fb.txt", "a%2Fb.txt", (f"{DAV}a%2Fb.txt",))],
)
def test_characters_that_the_server_did_not_escape_are_part_of_the_name(href, name, urls):
    found, why = dav_partly(OWN, response(f"/remote.php/dav/files/u/{href}", FILE))
    assert (found, why) == ([Stat(name, 5, urls=urls)], "")


def test_a_name_no_store_may_hold_comes_out_to_be_refused():
    (stat,) = read_dav(multistatus(OWN, response("/remote.php/dav/files/u/.syncd/", folder=True)))
    with pytest.raises(UnsafePath):
        check_path(stat.path)


def test_only_web_servers_have_such_folders():
    with pytest.raises(InvalidValue):
        webdav.open_reader(Source("s3://bucket/", webdav.READER.options()))


BROKEN = {
    "thredds": (tds(), CATALOG),
    "erddap": (erd("a"), FOLDER),
    "allDatasets": (erd(), DATASETS),
    "webdav": (dav(), LISTED),
}


@pytest.mark.parametrize("name", BROKEN)
@given(drawn=st.data())
def test_whatever_is_broken_only_a_document_error_comes_of_it(name, drawn):
    reader, body = BROKEN[name]
    (follow,) = reader.start()
    survives(reader, follow, drawn.draw(broken(body)))
